import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varanger.common.errors import BadMessage
from varanger.common.ids import new_id
from varanger.common.messages import (
    MESSAGES,
    Envelope,
    MediaClassified,
    MediaMetadata,
    QcRoundRequested,
)
from varanger.common.topology import QUEUES
from varanger.common.words import Detection, Lane, Prediction, Purpose


def classified() -> MediaClassified:
    box = Detection(stage="global", label="red_deer", confidence=0.9, bbox=(0.1, 0.2, 0.3, 0.4))
    prediction = Prediction(label="red_deer", confidence=0.9, route="global>expert:large", detections=(box,))
    return MediaClassified(media_id=new_id(), release_id="a" * 64, purpose=Purpose.INTAKE, prediction=prediction)


def test_an_envelope_survives_the_wire() -> None:
    envelope = Envelope.wrap(classified(), project_id="p", producer="test/1", lane=Lane.BULK, job_id=new_id())
    assert Envelope.from_body(envelope.to_body()) == envelope


def test_an_answer_keeps_project_lane_job_and_trace() -> None:
    asked = Envelope.wrap(
        QcRoundRequested(round_id=new_id()), project_id="p", producer="a/1", lane=Lane.BULK, traceparent="00-1-2-01"
    )
    answer = asked.answer(classified(), producer="b/1")
    assert (answer.project_id, answer.lane, answer.traceparent) == ("p", Lane.BULK, "00-1-2-01")
    assert answer.message_id != asked.message_id


def test_unknown_fields_of_a_later_minor_version_are_ignored() -> None:
    body = json.loads(Envelope.wrap(classified(), project_id="p", producer="test/1").to_body())
    body["later"] = 1
    body["payload"]["also_later"] = {"x": 1}
    assert Envelope.from_body(json.dumps(body).encode()).type == MediaClassified.TYPE


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda body: body.update(type="media.invented.v1"), "no message is called 'media.invented.v1'"),
        (lambda body: body.pop("project_id"), "project_id: Field required"),
        (lambda body: body["payload"].pop("release_id"), "media.classified.v1: payload.release_id: Field required"),
        (lambda body: body["payload"]["prediction"].update(confidence=2), "payload.prediction.confidence"),
    ],
)
def test_a_broken_message_names_its_field(damage: object, says: str) -> None:
    body = json.loads(Envelope.wrap(classified(), project_id="p", producer="test/1").to_body())
    assert callable(damage)
    damage(body)
    with pytest.raises(BadMessage, match=says.replace(".", r"\.")):
        Envelope.from_body(json.dumps(body).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_an_envelope_or_a_bad_message(body: bytes) -> None:
    with pytest.raises(BadMessage):
        Envelope.from_body(body)


def test_every_message_is_bound_to_exactly_one_queue_on_each_lane() -> None:
    binds = [bind for queue in QUEUES for bind in queue.binds]
    assert sorted(binds) == sorted(f"{message.TYPE}.{lane}" for message in MESSAGES for lane in Lane)


def test_a_camera_time_with_a_zone_and_a_utc_time_without_are_refused() -> None:
    with pytest.raises(ValueError, match="carries no zone"):
        MediaMetadata(captured_at=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="must carry its zone"):
        Envelope.model_validate({"occurred_at": datetime(2026, 1, 1)})
