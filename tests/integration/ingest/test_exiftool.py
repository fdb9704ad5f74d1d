"""The ExifTool reader on the real program. `make services` installs it."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from PIL import ExifTags, Image

from varanger.common.words import CaptureMethod
from varanger.ingest.adapters import open_metadata_reader
from varanger.ingest.adapters.exiftool import ExifToolReader
from varanger.ingest.adapters.pillow_exif import PillowExifReader
from varanger.ingest.domain.metadata import read_metadata
from varanger.ingest.ports import MetadataUnread


@pytest.fixture(scope="module")
def executable():
    found = shutil.which("exiftool")
    if found is None:
        pytest.fail("exiftool is not on PATH: run `make services`, or install libimage-exiftool-perl", pytrace=False)
    return found


@pytest.fixture
def reader(executable):
    reader = ExifToolReader(executable, processes=2)
    yield reader
    reader.close()


@pytest.fixture
def photo(tmp_path):
    def taken(name="photo.jpg", make="RECONYX", model="4.10"):
        exif = Image.Exif()
        exif[ExifTags.Base.Make], exif[ExifTags.Base.Model], exif[ExifTags.Base.Orientation] = make, model, 6
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        inner[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
        inner[ExifTags.Base.BodySerialNumber] = "0012"
        path = tmp_path / name
        Image.new("RGB", (32, 24)).save(path, "JPEG", exif=exif)
        return path

    return taken


def test_both_readers_say_the_same_of_standard_tags(reader, photo):
    path = photo()
    known = ("IFD0:Make", "IFD0:Orientation", "ExifIFD:DateTimeOriginal", "ExifIFD:SerialNumber")
    first, second = reader.read(path), PillowExifReader().read(path)
    assert {tag: first[tag] for tag in known} == {tag: second[tag] for tag in known}
    assert read_metadata(first, "").model_dump(exclude={"exif_data"}) == read_metadata(second, "").model_dump(
        exclude={"exif_data"}
    )


def test_what_stands_behind_a_nul_is_no_part_of_a_text(reader, photo):
    path = photo(make="BUSHNELL\0\0rubbish")
    for each in (reader, PillowExifReader()):
        assert read_metadata(each.read(path), "").make == "BUSHNELL"


def test_a_model_that_looks_like_a_number_keeps_its_digits(reader, photo):
    found = read_metadata(reader.read(photo(model="4.10", make="4E22")), reader.name)
    assert (found.model, found.make, found.serial_number) == ("4.10", "4E22", "0012")
    assert found.reader.startswith("exiftool 1")


def test_names_may_hold_anything_but_line_ends(reader, photo):
    for name in ("-execute.jpg", "#comment.jpg", "ends with pipe |", "Vestre Jakobselv ø 猫.JPG", "  leads.jpg"):
        assert reader.read(photo(name))["IFD0:Make"] == "RECONYX"
    for name in ("two\nlines.jpg", "ends in a blank "):
        with pytest.raises(MetadataUnread):
            reader.read(photo(name))


def test_a_value_that_looks_like_the_end_of_an_answer(reader, photo):
    assert reader.read(photo(make="{ready1}\n{ready1}"))["IFD0:Make"] == "{ready1}\n{ready1}"
    assert reader.read(photo())["IFD0:Make"] == "RECONYX"


def test_what_has_no_metadata_says_nothing(reader, tmp_path):
    path = tmp_path / "noise.jpg"
    path.write_bytes(b"\xff\xd8" + os.urandom(1000))
    assert read_metadata(reader.read(path), "").captured_at is None


def test_a_date_behind_an_avis_pictures(reader, tmp_path):
    def chunk(name, data):
        return name + struct.pack("<I", len(data)) + data

    header = chunk(b"LIST", b"hdrl" + chunk(b"avih", bytes(56)))
    behind = chunk(b"IDIT", b"Mon Sep 12 14:23:00 2011\n\0")
    path = tmp_path / "film.avi"
    path.write_bytes(chunk(b"RIFF", b"AVI " + header + chunk(b"LIST", b"movi" + bytes(64)) + behind))
    assert read_metadata(reader.read(path), "").captured_at == datetime(2011, 9, 12, 14, 23)


def test_many_threads_share_a_few_processes(reader, photo):
    paths = {make: photo(f"{make}.jpg", make=make) for make in (f"maker-{number}" for number in range(24))}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(reader.read, paths.values()))
    assert [tags["IFD0:Make"] for tags in found] == list(paths)


def running(group):
    """Process ids and commands of a process group, the dead but not yet buried left out."""
    table = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 3) for line in table.splitlines()]
    return {int(row[0]): row[3] for row in rows if int(row[1]) == group and not row[2].startswith("Z")}


def group_of(reader):
    """The process group of the only process of a reader."""
    process = reader._idle.get()
    reader._idle.put(process)
    return process._popen.pid


@pytest.mark.parametrize("victim", ["all of it", "exiftool alone"])
def test_a_dead_process_costs_one_file_and_is_replaced(executable, photo, victim):
    reader = ExifToolReader(executable, processes=1)
    path = photo()
    reader.read(path)
    for pid, command in running(group_of(reader)).items():
        if victim == "all of it" or "perl" in command:
            os.kill(pid, signal.SIGKILL)
    with pytest.raises(MetadataUnread):
        reader.read(path)
    assert reader.read(path)["IFD0:Make"] == "RECONYX"
    reader.close()


def test_a_killed_parent_leaves_no_exiftool_behind(executable, photo):
    script = (
        "import os, pathlib, sys\n"
        "from varanger.ingest.adapters.exiftool import ExifToolReader\n"
        f"reader = ExifToolReader({executable!r})\n"
        f"reader.read(pathlib.Path({str(photo())!r}))\n"
        "print(reader._idle.get()._popen.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for _ in range(200):
        if not running(int(killed.stdout)):
            return
        time.sleep(0.05)
    pytest.fail(f"still there: {running(int(killed.stdout))}")


def test_a_program_that_never_answers_is_given_up(tmp_path, photo):
    hanging = tmp_path / "exiftool"
    hanging.write_text('#!/bin/sh\nif [ "$1" = -ver ]; then echo 0.0; exit; fi\nexec sleep 600\n')
    hanging.chmod(0o755)
    reader = ExifToolReader(str(hanging), answer_within_s=0.2)
    for _ in range(2):
        with pytest.raises(MetadataUnread, match="did not answer"):
            reader.read(photo())
    reader.close()


def test_closing_leaves_no_process(executable, photo):
    reader = open_metadata_reader(threads=1)
    assert isinstance(reader, ExifToolReader)
    reader.read(photo())
    group = group_of(reader)
    assert running(group)
    reader.close()
    assert not running(group)


def test_without_exiftool_the_fallback_names_what_it_cannot_read(monkeypatch, photo):
    monkeypatch.setenv("PATH", "")
    reader = open_metadata_reader()
    assert "install exiftool" in reader.name
    assert read_metadata(reader.read(photo()), reader.name).captured_at is not None


def test_notes_that_this_exiftool_does_not_know_are_read_all_the_same(reader, tmp_path):
    """As a HyperFire 4K with nothing outside its maker note would write them."""
    note = b"RECONYXHF4K\0".ljust(0x28, b"\0") + b"T\x00\x00" + struct.pack("<I5BH", 7, 6, 5, 4, 3, 2, 2024)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = note.ljust(0x97, b"\0")
    path = tmp_path / "hyperfire_4k.jpg"
    Image.new("RGB", (32, 24)).save(path, "JPEG", exif=exif)
    found = read_metadata(reader.read(path), reader.name)
    assert (found.captured_at, found.capture_method) == (datetime(2024, 2, 3, 4, 5, 6), CaptureMethod.TIME_LAPSE)
    assert (found.event_number, found.make) == (7, None)
