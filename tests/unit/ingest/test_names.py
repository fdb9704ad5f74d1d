from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varanger.common.adapters.object_keys import check_key
from varanger.ingest.domain.names import default_name, media_key, quarantine_key, safe, view_key

SHA256 = "0123456789abcdef" * 4


def test_the_default_name():
    name = default_name("vj_ga_hu_1", datetime(2019, 7, 8, 8, 0, 1), SHA256, "jpg")
    assert name == "vj_ga_hu_1_20190708_080001_0123456789ab.jpg"


def test_the_name_without_a_date():
    assert default_name("A", None, SHA256, "png") == "A_nodate_0123456789ab.png"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("Vestre Jakobselv", "Vestre-Jakobselv"),
        ("Šumava č. 3", "Sumava-c.-3"),
        ("../../etc", "etc"),
        ("猫", ""),
        ("a//b", "a-b"),
    ],
)
def test_foreign_letters_become_safe_ones(location, expected):
    assert safe(location) == expected


@given(location=st.text(), captured_at=st.none() | st.datetimes(min_value=datetime(1900, 1, 1)))
def test_every_name_makes_a_key_that_every_store_takes(location, captured_at):
    name = default_name(location, captured_at, SHA256, "jpg")
    assert "/" not in name
    check_key(media_key("project", "D" * 127, name))


def test_views_and_quarantine_go_by_media():
    media_id = UUID(int=7)
    assert view_key("p", media_id) == f"views/p/{media_id}.jpg"
    assert quarantine_key("p", media_id) == f"quarantine/p/{media_id}"
