"""One file per family of vision-language models; `emblem` holds the one that is shipped."""
