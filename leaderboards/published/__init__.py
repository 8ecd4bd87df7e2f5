"""Numbers that others printed, as data with their source. They are never ranked together with runs."""
