"""The lifelong replay of a stream: probing, journal and resume, and the training of editors."""
