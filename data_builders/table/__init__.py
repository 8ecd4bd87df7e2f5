"""Anyone's own table (JSON, JSONL, CSV, Parquet, a Hugging Face dataset) as a stream of edits."""
