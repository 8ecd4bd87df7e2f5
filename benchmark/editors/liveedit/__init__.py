"""LiveEdit, the reference editor: low-rank experts, a vision sentinel's hard filter, soft routing by the prompt."""
