"""The gateway (`serve`), the outbox's `relay` and the `recorder`: one image, three processes."""

__version__ = "0.1.0"

SERVICE = "api"
"""Owner of this service's outbox, inbox and job rows."""
PRODUCER = f"varanger-api/{__version__}"
