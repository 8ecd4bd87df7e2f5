"""benchmark/editors/liveedit."""
