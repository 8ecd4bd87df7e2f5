"""One file or folder per source of edits; each builds an `EditStream`."""
