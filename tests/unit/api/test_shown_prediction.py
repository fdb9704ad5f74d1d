from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varanger.api.domain.media_state import Known, intake_of_frame, media_state
from varanger.api.domain.shown_prediction import shown_prediction
from varanger.common.words import BAD_QUALITY, BLANK, MediaState

ANIMALS = ("vole", "fox")
FRAMES = (0, 15, 30, 45)


@dataclass(frozen=True)
class Row:
    frame_number: int
    label: str | None = "vole"
    confidence: float | None = 0.5
    release_id: str = "a"
    purpose: str = "intake"
    state: str = "classified"


answers = st.builds(
    Row,
    frame_number=st.just(0),
    label=st.sampled_from([*ANIMALS, "person", BAD_QUALITY, BLANK]),
    confidence=st.sampled_from([0.2, 0.5, 0.5, 0.8, 1.0]),
)


def video(rows: list[Row]) -> list[Row]:
    """One row for each frame."""
    return [Row(frame, row.label, row.confidence, row.release_id) for frame, row in zip(FRAMES, rows, strict=True)]


videos = st.lists(answers, min_size=len(FRAMES), max_size=len(FRAMES)).map(video)


@given(videos, st.randoms())
def test_the_order_in_which_frames_are_answered_never_matters(rows, chance):
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert shown_prediction(shuffled, {}, FRAMES) == shown_prediction(rows, {}, FRAMES)


@given(videos)
def test_a_video_shows_its_most_confident_animal_and_is_blank_only_where_every_frame_is(rows):
    shown = shown_prediction(rows, {}, FRAMES)
    assert shown in rows
    animals = [row for row in rows if row.label in ANIMALS]
    if animals:
        assert shown.label in ANIMALS
        assert shown.confidence == max(row.confidence for row in animals)
    elif all(row.label == BLANK for row in rows):
        assert shown.confidence == min(row.confidence for row in rows)
    else:
        assert shown.label == ("person" if any(row.label == "person" for row in rows) else BAD_QUALITY)


@given(videos, st.sets(st.sampled_from(FRAMES), min_size=1))
def test_a_release_that_has_not_answered_every_frame_shows_nothing(rows, missing):
    some = [row for row in rows if row.frame_number not in missing]
    assert shown_prediction(some, {}, FRAMES) is None
    earlier = [Row(frame, release_id="0", label="fox") for frame in FRAMES]
    assert shown_prediction(some + earlier, {"a": "2027"}, FRAMES).release_id == "0"


@pytest.mark.parametrize(
    ("state", "purpose"), [("failed", "intake"), ("requested", "intake"), ("classified", "shadow")]
)
def test_only_answers_that_count_are_shown(state, purpose):
    assert shown_prediction([Row(-1, state=state, purpose=purpose)], {}, [-1]) is None


def test_the_release_put_in_force_last_is_shown():
    rows = [Row(-1, release_id="a"), Row(-1, release_id="b"), Row(-1, release_id="c")]
    assert shown_prediction(rows, {"a": "2027", "b": "2026"}, [-1]).release_id == "a"


per_frame = st.sampled_from(["classified", "failed", "requested"])


@given(st.frozensets(per_frame, min_size=1))
def test_a_stored_file_is_pending_while_anything_is_open_then_failed_if_anything_failed(intake):
    state = media_state(Known(stored=True, intake=intake, dead=True, quarantined=True))
    expected = next(name for name in ("requested", "failed", "classified") if name in intake)
    names = {"requested": MediaState.PENDING, "failed": MediaState.FAILED, "classified": MediaState.MEDIA}
    assert state is names[expected]


@given(st.booleans(), st.booleans(), st.booleans(), st.frozensets(per_frame))
def test_an_unpacked_archive_is_nothing_else_and_a_duplicate_is_always_one(stored, quarantined, dead, intake):
    known = {"stored": stored, "quarantined": quarantined, "dead": dead, "intake": intake}
    assert media_state(Known(unpacked=True, **known)) is MediaState.UNPACKED
    assert media_state(Known(duplicate=True, **known)) is MediaState.DUPLICATE


@given(
    st.lists(st.builds(Row, frame_number=st.just(3), state=per_frame, purpose=st.sampled_from(["intake", "shadow"])))
)
def test_success_beats_failure_and_the_shadow_says_nothing(rows):
    counting = {row.state for row in rows if row.purpose == "intake"}
    expected = next((name for name in ("classified", "failed", "requested") if name in counting), None)
    assert intake_of_frame(rows) == expected
