"""The recorder: facts become rows. In any order, any number of times, a batch in one transaction.

Raising on a batch makes the consumer run each message alone, so one bad row never stops the others.
"""

from collections.abc import Sequence

from varanger.api import SERVICE
from varanger.api.application.failed_answers import close_letters, lay_aside
from varanger.api.application.known_media import KnownMedia
from varanger.api.application.record_unpacked import record_unpacked
from varanger.api.application.request_classification import request_intake
from varanger.api.domain.clock_correction import CLOCK_CORRECTION, derive_time
from varanger.api.domain.shown_prediction import Beats
from varanger.common.catalog.database import Catalog, WriteSession
from varanger.common.catalog.history import remember
from varanger.common.catalog.inbox import take_new
from varanger.common.catalog.tables import NO_FRAME, Deployment, Media, PredictionRow, Quarantine
from varanger.common.clock import now
from varanger.common.consumer import Handler
from varanger.common.errors import BadMessage
from varanger.common.messages import (
    Envelope,
    MediaClassified,
    MediaFailed,
    MediaQuarantined,
    MediaStored,
    MediaUnpacked,
)
from varanger.common.words import MediaState

Fact = MediaStored | MediaQuarantined | MediaUnpacked | MediaClassified | MediaFailed


def fact_recorder(catalog: Catalog) -> Handler:
    """The handler of the recorder's queues."""

    async def record(envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
        async with catalog.writing() as session:
            new = await take_new(session, SERVICE, envelopes)
            fresh = {e.message_id: e for e in envelopes if e.message_id in new}
            facts = [(envelope, _fact(envelope)) for envelope in fresh.values()]
            known = await KnownMedia.read(session, [fact.media_id for _, fact in facts])
            for envelope, fact in facts:
                if fact.media_id not in known.uploads:
                    raise BadMessage(f"media_id: no upload {fact.media_id} is known")
                await _record(session, known, envelope, fact)
                known.settle(fact.media_id)
            await _keep_letters(session, known, [fact for _, fact in facts])
        return ()

    return record


async def _keep_letters(session: WriteSession, known: KnownMedia, facts: Sequence[Fact]) -> None:
    """A failed answer gets a letter to replay, an answer closes the letters about it."""
    for fact in facts:
        if isinstance(fact, MediaFailed):
            row = known.predictions[fact.media_id].get((fact.release_id, _frame(fact)))
            media = known.media.get(fact.media_id)
            if row is not None and row.state == "failed" and media is not None:
                await lay_aside(session, media, row)
    failed_before = known.with_letters & {fact.media_id for fact in facts if isinstance(fact, MediaClassified)}
    answered = [(fact.media_id, fact.release_id, _frame(fact)) for fact in facts if isinstance(fact, MediaClassified)]
    await close_letters(session, [one for one in answered if one[0] in failed_before])


def _fact(envelope: Envelope) -> Fact:
    if isinstance(envelope.payload, Fact):
        return envelope.payload
    raise BadMessage(f"type: the recorder takes no {envelope.type}")


async def _record(session: WriteSession, known: KnownMedia, envelope: Envelope, fact: Fact) -> None:
    match fact:
        case MediaStored():
            _stored(session, known, envelope, fact)
        case MediaQuarantined():
            _quarantined(session, known, envelope, fact)
        case MediaUnpacked():
            await record_unpacked(session, known, envelope, fact)
        case MediaClassified():
            _classified(session, known, envelope, fact)
        case MediaFailed():
            _failed(session, known, envelope, fact)


def _stored(session: WriteSession, known: KnownMedia, envelope: Envelope, fact: MediaStored) -> None:
    upload = known.uploads[fact.media_id]
    if fact.media_id in known.media or upload.state == MediaState.UNPACKED:
        return
    if fact.deployment_id != upload.deployment_id:
        return  # of an intake before a person gave the file another deployment: the one after is on its way
    media = Media(
        project_id=envelope.project_id,
        flags=list(fact.flags),
        frame_numbers=list(fact.frame_numbers),
        **fact.metadata.model_dump(),
        **fact.model_dump(exclude={"metadata", "flags", "frame_numbers"}),
    )
    _derive_time(media, known.deployments[envelope.project_id, fact.deployment_id])
    session.add(media)
    known.media[fact.media_id] = media
    if fact.media_id in known.quarantined:
        upload.swept_at = None  # the quarantined copy is to be swept now, too
    remember(session, media.project_id, media.media_id, "stored", envelope.producer, name=media.name)
    release_id = known.projects[envelope.project_id].release_id
    if release_id is not None:
        request_intake(
            session,
            known,
            media,
            release_id=release_id,
            lane=envelope.lane,
            traceparent=envelope.traceparent,
        )


def _derive_time(media: Media, deployment: Deployment) -> None:
    if media.captured_at is None:
        return
    correction = deployment.clock_correction and CLOCK_CORRECTION.validate_python(deployment.clock_correction)
    derived = derive_time(media.captured_at, deployment.time_zone, correction or None)
    media.clock_correction_s, media.captured_at_utc = derived.correction_s, derived.utc
    media.time_flags = list(derived.flags)


def _quarantined(session: WriteSession, known: KnownMedia, envelope: Envelope, fact: MediaQuarantined) -> None:
    upload = known.uploads[fact.media_id]
    if fact.media_id in known.media or upload.state == MediaState.UNPACKED:
        return
    if fact.intake_number < upload.intake_number:
        return  # a person has sent it back since: the verdict on what they said is still to come
    row = known.quarantined.get(fact.media_id)
    if row is not None and row.released_at is None:
        return
    verdict = fact.model_dump(exclude={"intake_number"})
    if row is None:
        row = Quarantine(project_id=envelope.project_id, **verdict)
        session.add(row)
        known.quarantined[fact.media_id] = row
    else:
        row.sqlmodel_update(verdict | {"quarantined_at": now(), "released_at": None})
    remember(session, row.project_id, row.media_id, "quarantined", envelope.producer, reason=row.reason)


def _classified(session: WriteSession, known: KnownMedia, envelope: Envelope, fact: MediaClassified) -> None:
    row = _answer_row(session, known, envelope, fact)
    if not Beats(True, envelope.attempt).over(Beats(row.state == "classified", row.attempt)):
        return
    prediction = fact.prediction
    row.state, row.attempt, row.reason = "classified", envelope.attempt, None
    row.label, row.confidence, row.route = prediction.label, prediction.confidence, prediction.route
    row.private, row.answer = prediction.private, prediction.model_dump(mode="json")
    row.producer, row.answered_at, row.progress_at = envelope.producer, now(), now()
    remember(
        session,
        envelope.project_id,
        fact.media_id,
        "classified",
        envelope.producer,
        release=fact.release_id,
        label=prediction.label,
        confidence=prediction.confidence,
        **_of_frame(fact),
    )


def _failed(session: WriteSession, known: KnownMedia, envelope: Envelope, fact: MediaFailed) -> None:
    row = _answer_row(session, known, envelope, fact)
    if row.state == "classified" or (row.state == "failed" and envelope.attempt < row.attempt):
        return  # asked for again (`requested`), it may fail again on whatever attempt
    row.state, row.attempt, row.reason = "failed", envelope.attempt, fact.reason
    row.producer, row.answered_at, row.progress_at = envelope.producer, now(), now()
    remember(
        session, envelope.project_id, fact.media_id, "failed", envelope.producer, reason=fact.reason, **_of_frame(fact)
    )


def _frame(fact: MediaClassified | MediaFailed) -> int:
    return NO_FRAME if fact.frame_number is None else fact.frame_number


def _of_frame(fact: MediaClassified | MediaFailed) -> dict[str, int]:
    """For a line of history."""
    return {} if fact.frame_number is None else {"frame_number": fact.frame_number}


def _answer_row(
    session: WriteSession, known: KnownMedia, envelope: Envelope, fact: MediaClassified | MediaFailed
) -> PredictionRow:
    frame = _frame(fact)
    row = known.predictions[fact.media_id].get((fact.release_id, frame))
    if row is None:
        row = PredictionRow(
            media_id=fact.media_id,
            release_id=fact.release_id,
            frame_number=frame,
            project_id=envelope.project_id,
            purpose=fact.purpose,
            state="requested",
            lane=envelope.lane,
            job_id=envelope.job_id,
        )
        session.add(row)
        known.predictions[fact.media_id][(fact.release_id, frame)] = row
    return row
