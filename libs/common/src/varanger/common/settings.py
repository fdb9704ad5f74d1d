"""Every setting of every process, read from `VARANGER_…` environment variables. Adapters are chosen by URL alone."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from varanger.common.retry import RETRY_DELAYS_S


class Settings(BaseSettings):
    """One class, so that an operator finds every name on one page; a process reads what it needs."""

    model_config = SettingsConfigDict(env_prefix="VARANGER_", frozen=True, extra="ignore")

    bus_url: str = "memory://"
    catalog_url: str = "sqlite:///.varanger/catalog.sqlite"
    objects_url: str = "file://.varanger/objects"
    predictor_url: str = "onnx://"

    http_host: str = "127.0.0.1"
    http_port: int = 8000
    health_port: int = Field(
        default=0, description="/livez, /readyz, /metrics of processes without a REST API; 0: none"
    )
    log_format: str = Field(default="json", pattern="^(json|console)$")
    log_level: str = "INFO"

    retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S
    prefetch: int = Field(default=16, ge=1)
    batch: int = Field(default=8, ge=1, description="images per model call")
    threads: int = Field(default=2, ge=1, description="decoding threads of ingest; ONNX Runtime threads of onnx://")

    max_file_bytes: int = Field(default=1 << 30, description="a larger file is refused with 413")
    max_pixels: int = Field(default=200_000_000, description="a larger image is a decompression bomb: quarantined")
    partial_uploads_kept_s: float = Field(
        default=604_800.0, gt=0, description="a tus upload that is not finished by then is removed"
    )
    presigned_for_s: int = Field(
        default=86_400, ge=1, le=604_800, description="how long the URLs of a presigned upload hold; S3 allows 7 days"
    )
    bulk_backlog_limit: int = Field(default=100_000, description="bulk uploads are refused with 429 beyond this")
    requests_per_minute: int = Field(default=0, ge=0, description="of one key to one gateway; 0: no limit")
    bytes_per_hour: int = Field(default=0, ge=0, description="that one key may send to one gateway; 0: no limit")
    stall_after_s: float = Field(default=120.0, description="no progress for this long while work waits: not live")
    reconcile_after_s: float = Field(default=600.0, description="work without progress for this long is sent again")
    sweep_after_s: float = Field(default=86_400.0, description="objects without a row are swept after this long")
    relay_poll_s: float = Field(default=0.2, gt=0)
    training_folder: Path = Path(".varanger/training")
