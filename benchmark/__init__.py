"""The vocabulary and the systems under test: edits and streams, backbones, editors, and how a name finds one."""
