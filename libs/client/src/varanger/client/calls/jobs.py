"""Jobs and dead letters."""

from collections.abc import Iterable

from varanger.client.call import Call, get, get_list, send, url
from varanger.client.models.jobs import DeadLetter, Job, Replayed


def jobs(project: str, *, kind: str | None = None, state: str | None = None) -> Call[tuple[Job, ...]]:
    """The project's newest jobs."""
    return get_list(url("v1", "projects", project, "jobs"), Job, {"kind": kind, "state": state})


def job(job_id: str) -> Call[Job]:
    """One job."""
    return get(url("v1", "jobs", job_id), Job)


def dead_letters(*, limit: int | None = None) -> Call[tuple[DeadLetter, ...]]:
    """Messages that nobody could handle and that were not sent again, oldest first."""
    return get_list(url("v1", "dead-letters"), DeadLetter, {"limit": limit})


def replay(dead_letter_ids: Iterable[str]) -> Call[Replayed]:
    """Send dead letters to the queues they died in again."""
    return send("POST", url("v1", "dead-letters", "replay"), {"dead_letter_ids": list(dead_letter_ids)}, Replayed)
