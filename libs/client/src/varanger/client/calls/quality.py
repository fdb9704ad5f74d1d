"""Rounds, tasks, reviews."""

from collections.abc import Iterable

from varanger.client.call import Call, Json, Page, get, get_list, get_page, send, url
from varanger.client.models.media import Review, Reviews
from varanger.client.models.quality import Round, Task
from varanger.client.reading import to_json


def request_round(project: str, design: Json, release_id: str | None = None) -> Call[Round]:
    """Ask for a QC round."""
    body = {"design": design} if release_id is None else {"design": design, "release_id": release_id}
    return send("POST", url("v1", "projects", project, "qc", "rounds"), body, Round)


def rounds(project: str) -> Call[tuple[Round, ...]]:
    """The project's rounds, newest first."""
    return get_list(url("v1", "projects", project, "qc", "rounds"), Round)


def round(round_id: str) -> Call[Round]:  # noqa: A001 - the word for it
    """One round, with its report so far."""
    return get(url("v1", "qc", "rounds", round_id), Round)


def tasks(round_id: str, *, observer: str | None = None, limit: int | None = None) -> Call[Page[Task]]:
    """The round's images to answer, in the order of review."""
    return get_page(url("v1", "qc", "rounds", round_id, "tasks"), Task, {"observer": observer, "limit": limit})


def review(project: str, reviews: Iterable[Json]) -> Call[tuple[Review, ...]]:
    """Record up to 1000 answers, all or none."""
    body = {"reviews": [to_json(each) for each in reviews]}
    return send("POST", url("v1", "projects", project, "reviews"), body, Reviews).then(lambda many: many.reviews)
