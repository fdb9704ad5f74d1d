"""Which keys an object store takes."""

import pytest

from varanger.common.adapters.object_keys import check_key


@pytest.mark.parametrize(
    "key", ["a", "a/b", "media/p-1/d_2/x=1.jpg", ".hidden", "..a/b..", "a" * 200, "a/" * 255 + "ab"]
)
def test_a_good_key_is_returned(key):
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/..",
        "../../etc/passwd",
        "a b",
        "a\n",
        "ø",
        "a\\b",
        "~temporary/a",
        "%2e",
        "a" * 201,
        "a/" * 256 + "a",
    ],
)
def test_a_bad_key_is_refused(key):
    with pytest.raises(ValueError, match="object key"):
        check_key(key)
