"""The shipped backbone: a small LLaVA trained from scratch on Emblems, with tokenizer and processor."""
