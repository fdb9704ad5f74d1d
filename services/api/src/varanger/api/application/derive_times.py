"""What a deployment makes of its media's times, as columns of their rows."""

from datetime import datetime
from typing import Any

from varanger.api.domain.camera_time import Period, TimeRule, derive_time
from varanger.api.domain.clock_correction import CLOCK_CORRECTION
from varanger.common.catalog.tables import Deployment


def time_rule(deployment: Deployment) -> TimeRule:
    """The deployment's clock, zone and period."""
    correction = deployment.clock_correction
    return TimeRule(
        time_zone=deployment.time_zone,
        correction=None if correction is None else CLOCK_CORRECTION.validate_python(correction),
        start=deployment.deployment_start,
        end=deployment.deployment_end,
        blind_periods=[
            Period(datetime.fromisoformat(each["start"]), datetime.fromisoformat(each["end"]))
            for each in deployment.blind_periods
        ],
    )


def derived_columns(rule: TimeRule, captured_at: datetime | None, utc_offset: str | None) -> dict[str, Any]:
    """`clock_correction_s`, `captured_at_utc` and `time_flags` of a media."""
    if captured_at is None:
        return {"clock_correction_s": 0.0, "captured_at_utc": None, "time_flags": []}
    derived = derive_time(captured_at, rule, utc_offset)
    return {
        "clock_correction_s": derived.correction_s,
        "captured_at_utc": derived.utc,
        "time_flags": [flag.value for flag in derived.flags],
    }
