"""How a media is called, and where its objects are.

The name ends in the first hex digits of the file's sha256, so it is unique, repeatable and does not depend on order.
"""

import re
import unicodedata
from datetime import datetime
from uuid import UUID

HASH_DIGITS = 12
_LONGEST_LOCATION = 64


def safe(text: str) -> str:
    """`text` in the letters an object key may have: accents are dropped, anything else foreign becomes one `-`."""
    letters = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", letters).strip("-.")


def default_name(location_id: str, captured_at: datetime | None, sha256: str, extension: str) -> str:
    """`<location>_<YYYYMMDD>_<HHMMSS>_<hash>.<extension>`, or `<location>_nodate_<hash>.<extension>`."""
    location = safe(location_id)[:_LONGEST_LOCATION] or "location"
    when = "nodate" if captured_at is None else captured_at.strftime("%Y%m%d_%H%M%S")
    return f"{location}_{when}_{sha256[:HASH_DIGITS]}.{extension}"


def media_key(project_id: str, deployment_id: str, name: str) -> str:
    """Where the original is kept for good."""
    return f"media/{project_id}/{deployment_id}/{name}"


def view_key(project_id: str, media_id: UUID) -> str:
    """Where the view is, one per media."""
    return f"views/{project_id}/{media_id}.jpg"


def incoming_key(project_id: str, media_id: UUID) -> str:
    """Where the bytes of an archive's entry wait for ingest, as an upload's do."""
    return f"incoming/{project_id}/{media_id}"


def unpacked_key(project_id: str, media_id: UUID) -> str:
    """Where it stands what an archive was unpacked to."""
    return f"unpacked/{project_id}/{media_id}.json"


def quarantine_key(project_id: str, media_id: UUID) -> str:
    """Where a file is kept that is not media."""
    return f"quarantine/{project_id}/{media_id}"
