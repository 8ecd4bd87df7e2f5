"""data_builders/emblems."""
