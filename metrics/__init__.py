"""Pure functions on arrays and tables: no torch, no files."""
