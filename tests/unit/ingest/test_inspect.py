import json

import pytest

from varanger.ingest.adapters.fixed_tags import FixedTags
from varanger.ingest.application import inspect
from varanger.ingest.application.inspect import inspect_file, inspect_files

RECONYX = {
    "IFD0:Make": "RECONYX",
    "IFD0:Model": "HC550 HYPERFIRE",
    "ExifIFD:DateTimeOriginal": "2014:07:04 18:40:53",
    "Reconyx:SerialNumber": "H550HH12223665",
    "Reconyx:TriggerMode": "M",
}


@pytest.fixture(autouse=True)
def _reader(monkeypatch):
    monkeypatch.setattr(inspect, "open_metadata_reader", lambda: FixedTags(RECONYX))


def test_what_ingest_sees(draw, saved):
    found = inspect_file(saved(draw(320, 200)))
    expected = {
        "width": 320,
        "height": 200,
        "captured_at": "2014-07-04T18:40:53",
        "make": "RECONYX",
        "model": "HC550 HYPERFIRE",
        "serial_number": "H550HH12223665",
        "capture_method": "activityDetection",
        "verdict": "media",
        "reason": None,
        "flags": [],
    }
    assert {name: found[name] for name in expected} == expected
    json.dumps(found)


def test_every_file_gets_its_line(draw, tmp_path):
    paths = [tmp_path / name for name in ("a.jpg", "gone.jpg", "empty.jpg")]
    paths[0].write_bytes(draw())
    paths[2].write_bytes(b"")
    found = list(inspect_files([*paths, tmp_path]))
    assert [one["file"] for one in found] == [*map(str, paths), str(tmp_path)]
    assert [(one["verdict"], one["reason"]) for one in found] == [
        ("media", None),
        ("unreadable", "no_such_file"),
        ("quarantined", "empty_file"),
        ("unreadable", "not_readable"),
    ]
    assert len({frozenset(one) for one in found}) == 1, "every line has the same fields"
