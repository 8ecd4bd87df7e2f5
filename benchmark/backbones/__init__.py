"""benchmark/backbones."""
