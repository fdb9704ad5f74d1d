"""What of a folder is sent."""

import os
from collections import Counter

import pytest

from varanger.client.field.ends import FolderGone
from varanger.client.field.looking import files_in


def look(folder):
    left_out, said = Counter(), []
    found = sorted(path for path, _, _ in files_in(folder, left_out, said.append))
    return found, left_out, said


def test_regular_files_alone_with_size_and_date(tmp_path):
    for name in ("DCIM/100/IMG_1.JPG", "a.txt", "b.tmp", "C.PART", ".hidden", ".Trash/x.jpg", "DCIM/.DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.txt")
    (tmp_path / "linked").symlink_to(tmp_path / "DCIM")
    os.mkfifo(tmp_path / "pipe")
    found, left_out, said = look(tmp_path)
    assert found == [b"DCIM/100/IMG_1.JPG", b"a.txt"]
    assert left_out == {"hidden": 3, "links": 2, "*.tmp and *.part": 2, "neither files nor folders": 1}
    assert said == []
    [(_, size, mtime_ns)] = [each for each in files_in(tmp_path, Counter(), said.append) if each[0] == b"a.txt"]
    assert (size, mtime_ns) == (5, (tmp_path / "a.txt").stat().st_mtime_ns)


def test_names_that_are_no_utf8(tmp_path):
    (tmp_path / os.fsdecode(b"b\xe6r.jpg")).write_bytes(b"bear")
    assert look(tmp_path)[0] == [b"b\xe6r.jpg"]


def test_a_folder_that_is_not_there_is_not_an_empty_one(tmp_path):
    assert look(tmp_path)[0] == []
    with pytest.raises(FolderGone, match="was the card taken out"):
        look(tmp_path / "card")
    (tmp_path / "file").touch()
    with pytest.raises(FolderGone):
        look(tmp_path / "file")
