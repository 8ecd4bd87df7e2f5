"""Clears build/, nothing else: it keeps deleted modules, and the next wheel would ship them."""

import shutil
from pathlib import Path

from setuptools import setup

shutil.rmtree(Path(__file__).parent / "build", ignore_errors=True)
setup()
