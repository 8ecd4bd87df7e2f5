"""Emblems, the default dataset: a generated world of drawings whose attributes have invented meanings."""
