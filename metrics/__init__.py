"""Pure functions from what was answered to what is reported: arrays in, numbers out; no torch, no files.

`summary.summarise` turns an answers table (`answers.COLUMNS`) into every number of a result.
"""
