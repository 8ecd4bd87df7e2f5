"""benchmark/editors."""
