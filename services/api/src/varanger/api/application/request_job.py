"""Ask another service for something long: its job row and the command that starts it, in one transaction."""

from typing import Any

from varanger.api import PRODUCER, SERVICE
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import Job
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, Message, QcRoundRequested, TrainingRequested
from varanger.common.words import JobKind


def request_qc_round(
    session: WriteSession, project_id: str, design: dict[str, Any], *, release_id: str | None, traceparent: str
) -> Job:
    """Ask qc to draw a round. `design` goes to it as it is; without `release_id` it takes the one in force."""
    job = Job(
        job_id=new_id(),
        project_id=project_id,
        kind=JobKind.QC_ROUND,
        owner="qc",
        spec={"design": design, "release_id": release_id},
    )
    _request(session, job, QcRoundRequested(round_id=job.job_id), traceparent)
    return job


def request_training(session: WriteSession, project_id: str, spec: dict[str, Any], *, traceparent: str) -> Job:
    """Ask the trainer for a run. `spec` goes to it as it is."""
    job = Job(job_id=new_id(), project_id=project_id, kind=JobKind.TRAINING_RUN, owner="trainer", spec=spec)
    _request(session, job, TrainingRequested(run_id=job.job_id), traceparent)
    return job


def _request(session: WriteSession, job: Job, command: Message, traceparent: str) -> None:
    session.add(job)
    envelope = Envelope.wrap(
        command, project_id=job.project_id, producer=PRODUCER, job_id=job.job_id, traceparent=traceparent
    )
    send(session, SERVICE, [envelope])
