"""Talk to a Varanger gateway. Needs httpx and nothing else, so that it runs on a Raspberry Pi."""

from varanger.client.api import VarangerClient
from varanger.client.errors import GatewayAway, RequestRefused, UploadCorrupted, VarangerClientError
from varanger.client.models import OnProgress, Verdict

__all__ = [
    "GatewayAway",
    "OnProgress",
    "RequestRefused",
    "UploadCorrupted",
    "VarangerClient",
    "VarangerClientError",
    "Verdict",
]
