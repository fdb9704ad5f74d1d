"""What Varanger's services must agree on: words, messages, ports and their adapters, the catalog, telemetry."""

__version__ = "0.1.0"
