"""What the folder adapter promises beyond the contract."""

import os
import time
from pathlib import Path

import pytest

from varanger.common.adapters import objects_file
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.errors import DependencyDown


async def keys(store: FileObjectStore) -> list[str]:
    return [stored.key async for stored in store.list("")]


async def test_what_a_crash_left_is_invisible_and_removed(tmp_path):
    store = FileObjectStore(tmp_path)
    await store.put("a/b", b"whole")
    old, young = tmp_path / "~temporary" / "old", tmp_path / "~temporary" / "young"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    long_ago = time.time() - 86_400
    os.utime(old, (long_ago, long_ago))
    assert await keys(store) == ["a/b"]
    await store.close()
    store = FileObjectStore(tmp_path)
    assert not old.exists()
    assert young.exists(), "another process may be writing it"
    assert await keys(store) == ["a/b"]
    await store.close()


async def test_nothing_temporary_stays(tmp_path):
    store = FileObjectStore(tmp_path)
    await store.put("a", b"1")
    await store.copy("a", "b")
    await store.copy("a", "b")
    with pytest.raises(ValueError, match="folder"):
        await store.put("a/b", b"2")
    assert list((tmp_path / "~temporary").iterdir()) == []
    assert await keys(store) == ["a", "b"]
    await store.close()


async def test_without_hard_links_a_copy_is_bytes(tmp_path, monkeypatch):
    def refuse(*_args: object) -> None:
        raise OSError(objects_file.errno.EPERM, "no links on exFAT")

    store = FileObjectStore(tmp_path)
    await store.put("a", b"photo")
    monkeypatch.setattr(os, "link", refuse)
    await store.copy("a", "b")
    assert await store.get("b") == b"photo"
    assert (tmp_path / "a").stat().st_ino != (tmp_path / "b").stat().st_ino
    await store.close()


async def test_a_copy_of_an_old_object_is_young(tmp_path):
    """A sweeper that goes by age must not take it for an orphan before its row is committed."""
    store = FileObjectStore(tmp_path)
    await store.put("incoming/a", b"photo")
    long_ago = time.time() - 7 * 86_400
    os.utime(tmp_path / "incoming" / "a", (long_ago, long_ago))
    await store.copy("incoming/a", "media/a")
    stored = await store.head("media/a")
    assert stored is not None
    assert time.time() - stored.modified_at.timestamp() < 3600
    await store.close()


async def test_everything_is_flushed_before_and_after_the_rename(tmp_path, monkeypatch):
    """Durable on return: file, its folder, and each folder made for it, in an order that a power cut cannot turn."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def name(descriptor: int) -> str:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        return "file" if "~temporary" in path.parts else str(path.relative_to(tmp_path.parent))

    def spy_fsync(descriptor: int) -> None:
        steps.append(f"flush {name(descriptor)}")
        fsync(descriptor)

    def spy_replace(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    root = tmp_path / "objects"
    store = FileObjectStore(root)
    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    await store.put("a/b/c", b"photo")
    await store.close()
    at = f"{tmp_path.name}/objects"
    assert steps == ["flush file", f"flush {at}", f"flush {at}/a", "rename", f"flush {at}/a/b"]


async def test_a_full_disk_is_a_dependency_down(tmp_path, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(objects_file.errno.ENOSPC, "No space left on device")

    store = FileObjectStore(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DependencyDown, match="No space left"):
        await store.put("a", b"photo")
    assert await keys(store) == []
    assert list((tmp_path / "~temporary").iterdir()) == []
    await store.close()


async def test_links_and_strangers_files_are_not_listed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"x")
    store = FileObjectStore(tmp_path / "objects")
    (tmp_path / "objects" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "objects" / "linked-file").symlink_to(tmp_path / "outside" / "secret")
    (tmp_path / "objects" / "a stranger's file").write_bytes(b"x")
    assert await keys(store) == []
    await store.close()
