"""Clears build/, which keeps deleted modules that the next wheel would ship; pyproject.toml says everything else."""

import shutil
from pathlib import Path

from setuptools import setup

shutil.rmtree(Path(__file__).parent / "build", ignore_errors=True)
setup(script_name=__file__)  # or this file, which lies in the package's folder, is taken for one of its modules
