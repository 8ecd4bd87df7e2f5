"""Where torchvision lies on the path, its missing operators are defined before anything imports it."""

from importlib import import_module

from tiny_families import HAS_TORCHVISION

if HAS_TORCHVISION:
    import_module("torchvision_stub")
