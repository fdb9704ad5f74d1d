"""Inference: one media in, one two-stage or classifier prediction out, by message; holds no database."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("varanger-inference")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
