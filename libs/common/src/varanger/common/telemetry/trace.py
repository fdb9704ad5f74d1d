"""W3C trace context (https://www.w3.org/TR/trace-context/): one trace from the upload to the answer."""

import re
import secrets

_FORM = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")


def new_traceparent() -> str:
    """A fresh trace, sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def continue_trace(traceparent: str | None) -> str:
    """A child span of the given trace; a fresh trace where there is none or it is malformed."""
    if traceparent is None or not _FORM.match(traceparent):
        return new_traceparent()
    version, trace_id, _, flags = traceparent.split("-")
    return f"{version}-{trace_id}-{secrets.token_hex(8)}-{flags}"


def trace_id(traceparent: str | None) -> str | None:
    """The trace's id, for log lines."""
    return traceparent.split("-")[1] if traceparent and _FORM.match(traceparent) else None
