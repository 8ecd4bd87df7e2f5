"""benchmark/backbones/emblem."""
