"""The `varanger` command and the embedded mode: the only place that imports every service."""

__version__ = "0.1.0"
