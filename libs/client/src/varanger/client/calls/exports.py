"""Exports, written to a file that appears whole or not at all."""

from pathlib import Path

from varanger.client.call import Call, Flow, ask, given, url, work
from varanger.client.errors import GatewayAway
from varanger.client.uploads.files import sha256_of


def final_table(project: str, path: Path, *, names: str | None = None) -> Flow[None]:
    """Write Böhner's final table as CSV. It appears whole or not at all."""
    return _to_file(url("v1", "projects", project, "exports", "final-table"), path, names=names)


def export_names(project: str, path: Path, *, template: str | None = None) -> Flow[None]:
    """Write each media's name under an export template, as CSV."""
    return _to_file(url("v1", "projects", project, "exports", "names"), path, template=template)


def quarantined_file(media_id: str, path: Path) -> Flow[None]:
    """Write a quarantined file's bytes."""
    return _to_file(url("v1", "quarantine", media_id, "file"), path)


def original(media_id: str, path: Path, *, sha256: str | None = None) -> Flow[None]:
    """Write a media's original file. It appears whole or not at all.

    Raises:
        GatewayAway: also where other bytes come than those of this sha256.
    """
    return _to_file(url("v1", "media", media_id, "image"), path, sha256)


def _to_file(address: str, path: Path, sha256: str | None = None, **params: str | None) -> Flow[None]:
    part = path.with_name(f"{path.name}.part")
    try:
        yield from ask(Call("GET", address, lambda _: None, given(params), into=part))
        if sha256 is not None and (yield from work(lambda: sha256_of(part))) != sha256:
            raise GatewayAway(f"{address}: what came is not the file, by its sha256; something in between changed it")
        yield from work(lambda: part.replace(path))
    finally:
        part.unlink(missing_ok=True)
