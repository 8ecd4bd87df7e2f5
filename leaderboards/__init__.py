"""The published shape of a result, its report and its page."""
