"""A run followed live by wandb, trackio or TensorBoard."""
