from uuid import UUID

import pytest

from varanger.common.ids import new_id
from varanger.ingest.domain.archive import clean_path, entry_media_id, true_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DCIM/100RECNX/IMG_0001.JPG", "DCIM/100RECNX/IMG_0001.JPG"),
        ("DCIM\\100RECNX\\IMG_0001.JPG", "DCIM/100RECNX/IMG_0001.JPG"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\Users\\x.jpg", "Users/x.jpg"),
        ("//server/share/x.jpg", "server/share/x.jpg"),
        ("a/./b/.. /c.jpg", "a/b/c.jpg"),
        ("a\r\nb\x1b[31m.jpg", "ab[31m.jpg"),
        ("Smørstad/bilde ü.JPG", "Smørstad/bilde ü.JPG"),
        ("..", "entry-7"),
        ("", "entry-7"),
        ("x" * 300 + ".jpg", "x" * 251 + ".jpg"),
    ],
)
def test_a_path_stays_inside(name, expected):
    assert clean_path(name, 7) == expected


def test_a_path_without_end_is_cut_at_its_front():
    assert clean_path("a/" * 5000 + "b.jpg", 0).count("/") == 63


def test_an_entry_has_the_same_id_every_time():
    archive = new_id()
    assert entry_media_id(archive, 3) == entry_media_id(UUID(str(archive)), 3)
    assert len({entry_media_id(archive, index) for index in range(100)} | {entry_media_id(new_id(), 3)}) == 101


def test_names_in_utf8_that_do_not_say_so():
    assert true_name("Smørstad".encode().decode("cp437"), says_utf8=False) == "Smørstad"
    assert true_name("Smørstad", says_utf8=True) == "Smørstad"
    assert true_name(b"M\x81nchen".decode("cp437"), says_utf8=False) == "München"
