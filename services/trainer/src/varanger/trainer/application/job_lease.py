"""Which training run this process works on: job rows claimed under a lease, every write fenced by its token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, or_, update
from sqlmodel import col, select

from varanger.common.catalog import Catalog
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import Job
from varanger.common.clock import now
from varanger.common.messages import Envelope
from varanger.common.words import JobKind, JobState

OWNER = "trainer"


class LeaseLost(Exception):
    """The job was cancelled, or another process took it over: whatever this one has done does not count."""


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job in this process's hands.

    Attributes:
        token: the fencing token; a write with an older one changes nothing.
    """

    job_id: UUID
    project_id: str
    spec: dict[str, Any]
    token: int


class JobLease:
    """Claims, renews and ends training jobs."""

    def __init__(self, catalog: Catalog, holder: str, lease_s: float) -> None:
        self._catalog, self._holder, self.lease_s = catalog, holder, lease_s

    async def is_known(self, job_id: UUID) -> bool:
        """Tell whether the durable row of a requested run exists."""
        async with self._catalog.reading() as session:
            job = await session.get(Job, job_id)
        return job is not None and job.owner == OWNER and job.kind == JobKind.TRAINING_RUN

    async def claim(self) -> ClaimedJob | None:
        """Take the oldest run that waits, or whose worker has not been heard of since its lease ended."""
        moment = now()
        free = (
            col(Job.owner) == OWNER,
            col(Job.kind) == JobKind.TRAINING_RUN,
            col(Job.state).in_((JobState.REQUESTED, JobState.RUNNING)),
            or_(col(Job.leased_until).is_(None), col(Job.leased_until) < moment),
        )
        async with self._catalog.writing() as session:
            oldest = select(Job.job_id).where(*free).order_by(col(Job.created_at), col(Job.job_id)).limit(1)
            job_id = (await session.execute(oldest)).scalar_one_or_none()
            if job_id is None:
                return None
            # The condition is repeated: another process may have claimed it between the two statements.
            claimed = await session.execute(
                update(Job)
                .where(col(Job.job_id) == job_id, *free)
                .values(
                    state=JobState.RUNNING,
                    leased_by=self._holder,
                    leased_until=moment + timedelta(seconds=self.lease_s),
                    fencing_token=col(Job.fencing_token) + 1,
                )
                .returning(col(Job.project_id), col(Job.spec), col(Job.fencing_token))
            )
            row = claimed.one_or_none()
        return ClaimedJob(job_id, *row) if row else None

    async def renew(self, job: ClaimedJob, progress: float, message: str) -> None:
        """Keep the lease and tell how far the run is.

        Raises:
            LeaseLost: the row is no longer this process's.
        """
        until = now() + timedelta(seconds=self.lease_s)
        async with self._catalog.writing() as session:
            await self._write(session, job, progress=progress, message=message, leased_until=until)

    async def finish(self, job: ClaimedJob, result: dict[str, Any], facts: Sequence[Envelope]) -> None:
        """End the run well; the facts go out with the same commit.

        Raises:
            LeaseLost: the row is no longer this process's; nothing is said.
        """
        async with self._catalog.writing() as session:
            await self._end(session, job, JobState.DONE, "done", result)
            send(session, OWNER, facts)

    async def fail(self, job: ClaimedJob, reason: str) -> None:
        """End the run badly.

        Raises:
            LeaseLost: the row is no longer this process's.
        """
        async with self._catalog.writing() as session:
            await self._end(session, job, JobState.FAILED, reason, None)

    async def give_back(self, job: ClaimedJob) -> None:
        """Let another process begin the run again at once (shutdown)."""
        async with self._catalog.writing() as session:
            await self._write(session, job, state=JobState.REQUESTED, leased_by=None, leased_until=None)

    async def _end(
        self, session: WriteSession, job: ClaimedJob, state: JobState, message: str, result: dict[str, Any] | None
    ) -> None:
        done = {"progress": 1.0} if state is JobState.DONE else {}
        values = {"state": state, "message": message, "result": result, "ended_at": now(), "leased_until": None}
        await self._write(session, job, **values, **done)

    async def _write(self, session: WriteSession, job: ClaimedJob, **values: object) -> None:
        changed = await session.execute(
            update(Job)
            .where(
                col(Job.job_id) == job.job_id,
                col(Job.fencing_token) == job.token,
                col(Job.state) == JobState.RUNNING,
            )
            .values(**values)
        )
        if not isinstance(changed, CursorResult) or changed.rowcount != 1:
            raise LeaseLost(f"run {job.job_id} is no longer ours")
