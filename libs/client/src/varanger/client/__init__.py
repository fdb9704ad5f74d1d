"""Talk to a Varanger gateway. Needs httpx and nothing else, so that it runs on a Raspberry Pi."""

from varanger.client.api import AsyncVarangerClient, VarangerClient
from varanger.client.errors import FileChanged, GatewayAway, RequestRefused, UploadCorrupted, VarangerClientError
from varanger.client.models.jobs import DeadLetter, Job
from varanger.client.models.media import Event, Media, QuarantinedFile, Review, Stats, WholeMedia
from varanger.client.models.projects import (
    BlindPeriod,
    ClockCorrection,
    ClockPoint,
    Deployment,
    Drift,
    Offset,
    Project,
    WrongYear,
    WrongZone,
)
from varanger.client.models.quality import Round, Task
from varanger.client.models.uploads import Checked, FileVerdict, OnProgress, TusUpload, Verdict

__all__ = [
    "AsyncVarangerClient",
    "BlindPeriod",
    "Checked",
    "ClockCorrection",
    "ClockPoint",
    "DeadLetter",
    "Deployment",
    "Drift",
    "Event",
    "FileChanged",
    "FileVerdict",
    "GatewayAway",
    "Job",
    "Media",
    "Offset",
    "OnProgress",
    "Project",
    "QuarantinedFile",
    "RequestRefused",
    "Review",
    "Round",
    "Stats",
    "Task",
    "TusUpload",
    "UploadCorrupted",
    "VarangerClient",
    "VarangerClientError",
    "Verdict",
    "WholeMedia",
    "WrongYear",
    "WrongZone",
]
