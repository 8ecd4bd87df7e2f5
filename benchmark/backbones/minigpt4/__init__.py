"""MiniGPT-4, which transformers does not have: its parts are the library's, and so is everything around them."""
