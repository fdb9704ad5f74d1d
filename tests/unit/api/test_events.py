"""What an event is: one trigger burst, whatever came when."""

import hashlib
import random
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from varanger.api.domain.events import Burst, Shot, bursts, settled
from varanger.common.ids import new_id
from varanger.fieldsim.plan import SeasonPlan
from varanger.fieldsim.schedule import plan_events

NOON = datetime(2026, 6, 1, 12)
MOTION, LAPSE = "activityDetection", "timeLapse"


def shot(name: str, seconds: float | None, numbers: str = "", event: int | None = None, **more) -> Shot:
    """`numbers`: "n m", as Reconyx writes it."""
    number, length = (int(word) for word in (numbers or "0 0").split())
    return Shot(
        media_id=new_id(),
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        at=None if seconds is None else NOON + timedelta(seconds=seconds),
        sequence_number=number,
        sequence_length=length,
        event_number=event,
        **{"capture_method": MOTION, **more},
    )


def named(shots: dict[str, Shot], gap_s: float = 60.0) -> set[frozenset[str]]:
    """The events, by their members' names."""
    names = {one.media_id: name for name, one in shots.items()}
    return {
        frozenset(names[one.media_id] for one in burst.members) for burst in bursts("d", list(shots.values()), gap_s)
    }


def made(*rows: tuple) -> dict[str, Shot]:
    return {row[0]: shot(*row) for row in rows}


def sets(*groups: str) -> set[frozenset[str]]:
    return {frozenset(group.split()) for group in groups}


def test_one_event_while_no_gap_is_longer_than_the_deployments():
    shots = made(("a", 0), ("b", 60), ("c", 120), ("d", 180.5), ("e", 240))
    assert named(shots) == sets("a b c", "d e")
    assert named(shots, 0) == sets("a", "b", "c", "d", "e")
    assert named(shots, 61) == sets("a b c d e")


def test_a_camera_that_numbers_its_triggers_is_believed_and_the_gap_joins_none_of_them():
    shots = made(
        ("a1", 0, "1 3", 77), ("a2", 1, "2 3", 77), ("a3", 1, "3 3", 77), ("b1", 4, "1 3", 78), ("b3", 5, "3 3", 78)
    )
    assert named(shots) == sets("a1 a2 a3", "b1 b3")


def test_bursts_within_the_same_second_are_told_apart_by_event_number():
    shots = made(*((f"{event}{n}", 0, f"{n} 3", event) for event in (1, 2) for n in (1, 2, 3)))
    assert named(shots) == sets("11 12 13", "21 22 23")


def test_or_by_the_sequence_starting_again():
    shots = made(
        ("a1", 0, "1 3"), ("a2", 0, "2 3"), ("a3", 1, "3 3"), ("b1", 1, "1 3"), ("b2", 1, "2 3"), ("b3", 2, "3 3")
    )
    assert named(shots) == sets("a1 a2 a3", "b1 b2 b3")
    fine = made(("a1", 0.1, "1 2"), ("a2", 0.4, "2 2"), ("b1", 0.6, "1 2"), ("b2", 0.9, "2 2"))
    assert named(fine) == sets("a1 a2", "b1 b2")


def test_a_counter_that_started_again_makes_another_event():
    weeks = 14 * 86400
    shots = made(
        ("a1", 0, "1 2", 1), ("a2", 1, "2 2", 1), ("b1", weeks, "1 2", 1), ("b2", weeks + 1, "2 2", 1),
        ("c2", 2 * weeks, "2 3", 1), ("d3", 2 * weeks + 61, "3 3", 1),
    )  # fmt: skip
    assert named(shots) == sets("a1 a2", "b1 b2", "c2", "d3")


def test_two_cameras_of_one_deployment_number_for_themselves():
    shots = {
        name: shot(name, second, f"{number} 2", 5, serial_number=serial)
        for name, second, number, serial in (("a1", 0, 1, "A"), ("b1", 0, 1, "B"), ("a2", 1, 2, "A"), ("b2", 1, 2, "B"))
    }
    assert named(shots) == sets("a1 a2", "b1 b2")


def test_a_picture_per_trigger_with_an_event_number_is_an_event_of_its_own():
    assert named(made(("a", 0, "1 1", 4), ("b", 2, "1 1", 5))) == sets("a", "b")
    assert named(made(("a", 0, "1 1"), ("b", 2, "1 1"))) == sets("a b"), "no number says what it is of"


def test_time_lapse_is_never_merged_with_motion_and_each_shot_is_its_own_event():
    shots = {
        "m1": shot("m1", 0),
        "t1": shot("t1", 5, "0 0", 2, capture_method=LAPSE),
        "m2": shot("m2", 10),
        "t2": shot("t2", 15, "0 0", 3, capture_method=LAPSE),
        "x": shot("x", 20, capture_method=None),
        "s1": shot("s1", 30, "1 2", 9, capture_method=LAPSE),
        "s2": shot("s2", 31, "2 2", 9, capture_method=LAPSE),
        "n1": shot("n1", 30, "1 2", 9),
    }
    assert named(shots) == sets("m1 m2 x", "t1", "t2", "s1 s2", "n1")


def test_a_media_without_a_time_is_an_event_of_its_own():
    assert named(made(("a", None), ("b", None, "1 2", 5), ("c", None, "2 2", 5))) == sets("a", "b", "c")


def test_an_events_id_follows_from_its_first_member_and_the_deployment():
    shots = made(("a", 0), ("b", 10), ("c", 20))
    [whole] = bursts("d", list(shots.values()), 60)
    [late] = bursts("d", [shots["a"], shots["c"]], 60)
    [without_first] = bursts("d", [shots["b"], shots["c"]], 60)
    assert [one.sha256 for one in whole.members] == [shots[name].sha256 for name in "abc"]
    assert whole.event_id == late.event_id != without_first.event_id
    assert bursts("e", list(shots.values()), 60)[0].event_id != whole.event_id


SHOTS = st.builds(
    lambda tag, second, part, numbers, event, method, serial: shot(
        str(tag), second and second + part, numbers, event, capture_method=method, serial_number=serial
    ),
    st.integers(),
    st.one_of(st.none(), st.integers(1, 400)),
    st.sampled_from([0, 0, 0.25, 0.5]),
    st.sampled_from(["", "1 1", "1 3", "2 3", "3 3"]),
    st.sampled_from([None, None, 1, 2]),
    st.sampled_from([None, MOTION, MOTION, LAPSE]),
    st.sampled_from([None, "A"]),
)
CARD = st.lists(SHOTS, max_size=40, unique_by=lambda one: one.sha256)
GAPS = st.sampled_from([0.0, 10.0, 60.0, 300.0])


def partition(found: list[Burst]) -> set[tuple[str, tuple[str, ...]]]:
    return {(burst.event_id, tuple(one.sha256 for one in burst.members)) for burst in found}


@given(CARD, GAPS, st.randoms())
def test_events_are_a_partition_that_no_order_changes(card, gap, chance):
    whole = partition(bursts("d", card, gap))
    members = [sha for _, burst in whole for sha in burst]
    assert sorted(members) == sorted(one.sha256 for one in card)
    assert len({event_id for event_id, _ in whole}) == len(whole)
    shuffled = list(card)
    chance.shuffle(shuffled)
    assert partition(bursts("d", shuffled, gap)) == whole


@given(CARD, GAPS, st.integers(1, 8))
@settings(max_examples=300)
def test_events_found_piece_by_piece_between_silences_are_those_of_the_whole(card, gap, size):
    waiting = sorted((one for one in card if one.at), key=lambda one: one.when.replace(microsecond=0))
    whole = partition(bursts("d", waiting, gap))
    pieces: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        limit = size
        while limit < len(waiting) and not settled(waiting[:limit], gap):
            limit *= 2
        stand = settled(waiting[:limit], gap) if limit < len(waiting) else len(waiting)
        pieces |= partition(bursts("d", waiting[:stand], gap))
        waiting = waiting[stand:]
    assert pieces == whole


def test_the_bursts_of_a_simulated_season_come_out_as_they_happened():
    chance = random.Random(7)
    for numbers in (False, True):
        shots: list[Shot] = []
        truth: dict[str, list[str]] = {}
        for event in plan_events(SeasonPlan(images=3000, sites=1, seed=7)):
            for index in range(len(event.shows)):
                name = f"{event.number}-{index}"
                at = event.begins + timedelta(seconds=index, milliseconds=chance.randrange(1000))
                told = f"{index + 1} {len(event.shows)}" if numbers else ""
                one = shot(name, (at - NOON).total_seconds(), told, capture_method=event.method)
                truth.setdefault(str(event.number), []).append(one.sha256)
                shots.append(one)
        chance.shuffle(shots)
        found = {tuple(one.sha256 for one in burst.members) for burst in bursts("d", shots, 60)}
        assert found == {tuple(members) for members in truth.values()}
