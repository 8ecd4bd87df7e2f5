"""A submission in the shapes that others read."""
