"""Media, events, quarantine."""

from datetime import datetime

from varanger.client.call import Call, Page, get, get_page, send, url
from varanger.client.models.media import Event, Media, QuarantinedFile, Stats, WholeMedia
from varanger.client.reading import to_json

Filter = str | float | bool | datetime | None


def stats(project: str) -> Call[Stats]:
    """Counts: received = media + duplicate + quarantined + failed + pending."""
    return get(url("v1", "projects", project, "stats"), Stats)


def media(project: str, **filters: Filter) -> Call[Page[Media]]:
    """Every media of a project that passes the filters, page by page."""
    return get_page(url("v1", "media"), Media, {"project": project, **to_json(filters)})


def one_media(media_id: str) -> Call[WholeMedia]:
    """One media with its whole history."""
    return get(url("v1", "media", media_id), WholeMedia)


def patch_media(media_id: str, *, captured_at: datetime) -> Call[Media]:
    """Set the date of one without a right one, in the camera's own time; its name and file stay."""
    if captured_at.tzinfo is not None:
        raise ValueError(f"captured_at: {captured_at} has a zone; give the camera's own time, without one")
    return send("PATCH", url("v1", "media", media_id), {"captured_at": captured_at.isoformat()}, Media)


def events(project: str, *, deployment: str | None = None, limit: int | None = None) -> Call[Page[Event]]:
    """Every event of a project, page by page."""
    return get_page(url("v1", "projects", project, "events"), Event, {"deployment": deployment, "limit": limit})


def quarantine(
    project: str, *, reason: str | None = None, deployment: str | None = None, limit: int | None = None
) -> Call[Page[QuarantinedFile]]:
    """Every quarantined file of a project, page by page."""
    filters = {"reason": reason, "deployment": deployment, "limit": limit}
    return get_page(url("v1", "projects", project, "quarantine"), QuarantinedFile, filters)


def release_from_quarantine(
    media_id: str,
    *,
    deployment: str | None = None,
    captured_at: datetime | None = None,
    accept_as_is: bool = False,
) -> Call[QuarantinedFile]:
    """Mend a quarantined file and send it through ingest again."""
    body = {"deployment": deployment, "captured_at": captured_at, "accept_as_is": accept_as_is or None}
    wanted = {name: to_json(value) for name, value in body.items() if value is not None}
    return send("POST", url("v1", "quarantine", media_id, "release"), wanted, QuarantinedFile)
