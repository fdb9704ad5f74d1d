"""Removing a source: only what is what was confirmed."""

import hashlib
import os

import pytest

from varanger.client.field.reading import measure, remove_if_same


def test_only_the_same_content_is_removed(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    measured = measure(path)
    assert (measured.bytes, measured.sha256) == (5, hashlib.sha256(b"photo").hexdigest())
    assert not remove_if_same(path, "0" * 64)
    assert path.exists()
    assert remove_if_same(path, measured.sha256)
    assert not path.exists()
    assert tmp_path.exists()


def test_content_of_the_same_size_and_date_is_told_apart(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    measured, known = measure(path), path.stat()
    path.write_bytes(b"other")
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert not remove_if_same(path, measured.sha256)
    assert path.read_bytes() == b"other"


def test_a_link_is_neither_read_nor_removed(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"photo")
    (tmp_path / "link").symlink_to(tmp_path / "a.jpg")
    with pytest.raises(OSError, match="symbolic"):
        measure(tmp_path / "link")
    with pytest.raises(OSError, match="symbolic"):
        remove_if_same(tmp_path / "link", hashlib.sha256(b"photo").hexdigest())
    assert (tmp_path / "a.jpg").exists()
