"""Time, kept four ways."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from varanger.api.domain.camera_time import Period, TimeRule, derive_time
from varanger.api.domain.clock_correction import CLOCK_CORRECTION, ClockCorrection, Drift, Offset, WrongYear, WrongZone

OSLO = "Europe/Oslo"
ZONES = st.sampled_from(
    [OSLO, "America/Anchorage", "Australia/Lord_Howe", "Europe/Dublin", "Asia/Kathmandu", "Etc/UTC"]
)
TIMES = st.datetimes(datetime(1995, 1, 1), datetime(2060, 1, 1)).map(lambda time: time.replace(microsecond=0))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def rule(correction: dict | None = None, zone: str = OSLO, **more) -> TimeRule:
    return TimeRule(zone, correction and CLOCK_CORRECTION.validate_python(correction), **more)


def seen(captured_at: str, of: TimeRule, offset: str | None = None) -> tuple[float, str, list[str]]:
    found = derive_time(at(captured_at), of, offset)
    assert found.utc is not None
    return found.correction_s, found.utc.isoformat(), [flag.value for flag in found.flags]


DRIFT = {
    "kind": "drift",
    "points": [
        {"camera": "2026-01-10T12:00:00", "true": "2026-01-10T12:00:00"},
        {"camera": "2026-01-20T12:00:00", "true": "2026-01-20T12:01:40"},
    ],
}


@pytest.mark.parametrize(
    ("correction", "captured_at", "seconds", "utc"),
    [
        (None, "2026-06-01T12:00:00", 0, "2026-06-01T10:00:00"),
        ({"kind": "offset", "seconds": -3600}, "2026-06-01T12:00:00", -3600, "2026-06-01T09:00:00"),
        (DRIFT, "2026-01-10T12:00:00", 0, "2026-01-10T11:00:00"),
        (DRIFT, "2026-01-15T12:00:00", 50, "2026-01-15T11:00:50"),
        (DRIFT, "2026-01-20T12:00:00", 100, "2026-01-20T11:01:40"),
        (DRIFT, "2026-01-30T12:00:00", 200, "2026-01-30T11:03:20"),
        (DRIFT, "2025-12-31T12:00:00", -100, "2025-12-31T10:58:20"),
        ({"kind": "wrong_year", "years": 6}, "2020-06-01T12:00:00", 2191 * 86400, "2026-06-01T10:00:00"),
        ({"kind": "wrong_year", "years": 4}, "2020-02-29T12:00:00", 1461 * 86400, "2024-02-29T11:00:00"),
        # Alaska's summer clock is ten hours behind Oslo's.
        (
            {"kind": "wrong_zone", "camera_zone": "America/Anchorage"},
            "2026-06-01T12:00:00",
            36000,
            "2026-06-01T20:00:00",
        ),
        # A camera on winter time all year: right in January, an hour behind in June.
        ({"kind": "wrong_zone", "camera_zone": "Etc/GMT-1"}, "2026-01-01T12:00:00", 0, "2026-01-01T11:00:00"),
        ({"kind": "wrong_zone", "camera_zone": "Etc/GMT-1"}, "2026-06-01T12:00:00", 3600, "2026-06-01T11:00:00"),
    ],
)
def test_each_correction_gives_the_true_local_time_and_utc(correction, captured_at, seconds, utc):
    assert seen(captured_at, rule(correction)) == (seconds, f"{utc}+00:00", [])


def test_29_february_where_the_true_year_has_none_is_1_march_and_flagged():
    found = seen("2020-02-29T12:00:00", rule({"kind": "wrong_year", "years": 1}))
    assert found == (366 * 86400, "2021-03-01T11:00:00+00:00", ["leap_day"])
    after = seen("2020-03-01T12:00:00", rule({"kind": "wrong_year", "years": 1}))
    assert after == (365 * 86400, "2021-03-01T11:00:00+00:00", [])


@pytest.mark.parametrize(
    ("captured_at", "offset", "utc", "flags"),
    [
        ("2026-10-25T02:30:00", None, "2026-10-25T00:30:00", ["ambiguous_local_time"]),
        ("2026-10-25T02:30:00", "+02:00", "2026-10-25T00:30:00", []),
        ("2026-10-25T02:30:00", "+01:00", "2026-10-25T01:30:00", []),
        ("2026-10-25T02:30:00", "-09:00", "2026-10-25T00:30:00", ["offset_disagrees", "ambiguous_local_time"]),
        ("2026-03-29T02:30:00", None, "2026-03-29T01:30:00", ["missing_local_time"]),
        ("2026-03-29T02:30:00", "+01:00", "2026-03-29T01:30:00", []),
        ("2026-03-29T02:30:00", "+02:00", "2026-03-29T00:30:00", []),
        ("2026-06-01T12:00:00", "+02:00", "2026-06-01T10:00:00", []),
        ("2026-06-01T12:00:00", "+01:00", "2026-06-01T10:00:00", ["offset_disagrees"]),
        ("2026-06-01T12:00:00", "Z", "2026-06-01T10:00:00", ["offset_disagrees"]),
        ("2026-06-01T12:00:00", "gibberish", "2026-06-01T10:00:00", []),
    ],
)
def test_dst_is_never_guessed(captured_at, offset, utc, flags):
    assert seen(captured_at, rule(), offset) == (0, f"{utc}+00:00", flags)


def test_a_wrong_zones_own_doubtful_hours_are_flagged_and_not_the_deployments():
    camera_in_oslo = rule({"kind": "wrong_zone", "camera_zone": OSLO}, "Etc/UTC")
    assert seen("2026-10-25T02:30:00", camera_in_oslo)[2] == ["ambiguous_local_time"]
    assert seen("2026-10-25T02:30:00", camera_in_oslo, "+01:00") == (-3600, "2026-10-25T01:30:00+00:00", [])
    camera_in_utc = rule({"kind": "wrong_zone", "camera_zone": "Etc/UTC"}, OSLO)
    assert seen("2026-10-25T00:30:00", camera_in_utc) == (7200, "2026-10-25T00:30:00+00:00", [])
    assert seen("2026-10-25T01:30:00", camera_in_utc) == (3600, "2026-10-25T01:30:00+00:00", [])


def test_what_lies_outside_the_deployment_or_in_a_blind_period_is_flagged():
    def hour(number: int) -> datetime:
        return datetime(2026, 6, 1, number, tzinfo=UTC)

    of = rule(zone="Etc/UTC", start=hour(6), end=hour(18), blind_periods=[Period(hour(10), hour(11))])
    flags = {hour: seen(f"2026-06-01T{hour}", of)[2] for hour in ("05:59:59", "06:00:00", "10:00:00", "11:00:00")}
    assert list(flags.values()) == [["before_deployment"], [], ["in_blind_period"], []]
    assert seen("2026-06-01T18:00:00", of)[2] == []
    assert seen("2026-06-01T18:00:01", of)[2] == ["after_deployment"]
    early = rule({"kind": "offset", "seconds": -86400}, "Etc/UTC", start=hour(6))
    assert seen("2026-06-01T12:00:00", early)[2] == ["before_deployment"], "the corrected time counts"


@pytest.mark.parametrize(("captured_at", "years"), [(datetime.min, -150), (datetime.max, 150)])
def test_a_time_beyond_the_calendar_is_flagged_and_breaks_nothing(captured_at, years):
    for correction in (WrongYear(years=years), Offset(seconds=years * 3e7), WrongZone(camera_zone=OSLO), None):
        found = derive_time(captured_at, TimeRule(OSLO, correction))
        assert (found.utc, found.correction_s, found.flags) == (None, 0.0, ("time_out_of_range",))


@pytest.mark.parametrize(
    ("correction", "field", "why"),
    [
        ({"kind": "slow"}, "()", "does not match"),
        ({"kind": "offset"}, "seconds", "required"),
        ({"kind": "offset", "seconds": 1e12}, "seconds", "less than"),
        ({"kind": "wrong_year", "years": 0.5}, "years", "integer"),
        ({"kind": "wrong_zone", "camera_zone": "CET+1"}, "camera_zone", "Europe/Oslo"),
        ({"kind": "drift", "points": DRIFT["points"][:1]}, "points", "required"),
        ({"kind": "drift", "points": DRIFT["points"][::-1]}, "drift", "points.1.camera must be later than"),
        ({"kind": "drift", "points": [DRIFT["points"][0]] * 2}, "drift", "points.1.camera must be later than"),
        (
            {"kind": "drift", "points": [DRIFT["points"][0], DRIFT["points"][1] | {"true": "2026-01-01T00:00:00"}]},
            "drift",
            "points.1.true must be later than",
        ),
        (
            {"kind": "drift", "points": [DRIFT["points"][0], DRIFT["points"][1] | {"true": "2026-01-21T12:00:00Z"}]},
            "true",
            "no zone",
        ),
    ],
)
def test_a_correction_that_does_not_fit_names_the_field(correction, field, why):
    with pytest.raises(ValidationError) as refused:
        CLOCK_CORRECTION.validate_python(correction)
    first = refused.value.errors()[0]
    assert field in f"{first['loc']}"
    assert why in first["msg"]


CORRECTIONS: st.SearchStrategy[ClockCorrection | None] = st.one_of(
    st.none(),
    st.builds(Offset, seconds=st.floats(-1e8, 1e8)),
    st.builds(WrongYear, years=st.integers(-20, 20)),
    st.builds(WrongZone, camera_zone=ZONES),
    st.builds(
        lambda first, camera, true, began: Drift.model_validate(
            {"points": [{"camera": first, "true": began}, {"camera": first + camera, "true": began + true}]}
        ),
        TIMES,
        st.timedeltas(timedelta(days=1), timedelta(days=400)),
        st.timedeltas(timedelta(days=1), timedelta(days=400)),
        TIMES,
    ),
)


@given(TIMES, ZONES, CORRECTIONS)
def test_the_four_ways_always_agree(captured_at, zone, correction):
    found = derive_time(captured_at, TimeRule(zone, correction))
    if found.utc is None:
        assert found.flags == ("time_out_of_range",)
        return
    local = captured_at + timedelta(seconds=found.correction_s)
    read_back = found.utc.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if isinstance(correction, WrongZone) or "missing_local_time" not in found.flags:
        assert abs(read_back - local) < timedelta(milliseconds=1)
    assert found == derive_time(captured_at, TimeRule(zone, correction))


@given(TIMES, ZONES)
def test_a_camera_in_the_deployments_own_zone_needs_no_correction(captured_at, zone):
    wrong = derive_time(captured_at, TimeRule(zone, WrongZone(camera_zone=zone)))
    plain = derive_time(captured_at, TimeRule(zone))
    assert wrong.utc == plain.utc
    if not plain.flags:
        assert wrong == plain


@given(TIMES, TIMES, st.timedeltas(timedelta(hours=1), timedelta(days=900)), st.floats(-0.01, 0.01))
def test_a_drift_is_exact_at_its_points_and_a_line_everywhere(first, true, apart, rate):
    second = (first + apart).replace(microsecond=0)
    runs = timedelta(seconds=round(apart.total_seconds() * (1 + rate)))
    drift = Drift.model_validate({"points": [{"camera": first, "true": true}, {"camera": second, "true": true + runs}]})
    of = TimeRule("Etc/UTC", drift)
    assert derive_time(first, of).utc == true.replace(tzinfo=UTC)
    assert derive_time(second, of).utc == (true + runs).replace(tzinfo=UTC)
    before, after = (derive_time(first + sign * apart, of).correction_s for sign in (-1, 1))
    middle = derive_time(first, of).correction_s
    assert after - middle == pytest.approx(middle - before, abs=1e-3)
