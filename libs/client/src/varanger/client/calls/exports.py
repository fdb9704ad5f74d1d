"""Exports, written to a file that appears whole or not at all."""

from pathlib import Path

from varanger.client.call import Call, Flow, ask, given, url, work


def final_table(project: str, path: Path, *, names: str | None = None) -> Flow[None]:
    """Write Böhner's final table as CSV. It appears whole or not at all."""
    return _to_file(url("v1", "projects", project, "exports", "final-table"), path, names=names)


def export_names(project: str, path: Path, *, template: str | None = None) -> Flow[None]:
    """Write each media's name under an export template, as CSV."""
    return _to_file(url("v1", "projects", project, "exports", "names"), path, template=template)


def original(media_id: str, path: Path) -> Flow[None]:
    """Write a media's original file. Compare its sha256 where it matters."""
    return _to_file(url("v1", "media", media_id, "image"), path)


def quarantined_file(media_id: str, path: Path) -> Flow[None]:
    """Write a quarantined file's bytes."""
    return _to_file(url("v1", "quarantine", media_id, "file"), path)


def _to_file(address: str, path: Path, **params: str | None) -> Flow[None]:
    part = path.with_name(f"{path.name}.part")
    try:
        yield from ask(Call("GET", address, lambda _: None, given(params), into=part))
        yield from work(lambda: part.replace(path))
    finally:
        part.unlink(missing_ok=True)
