"""How files are read: ExifTool, Pillow, and the decoders."""

from varanger.ingest.adapters.exiftool import ExifToolReader, find_exiftool
from varanger.ingest.adapters.pillow_exif import PillowExifReader
from varanger.ingest.ports import MetadataReader


def open_metadata_reader(*, threads: int = 1) -> MetadataReader:
    """ExifTool where it is installed, one process per thread; else Pillow, whose name says what it cannot read."""
    executable = find_exiftool()
    if executable is None:
        return PillowExifReader()
    return ExifToolReader(executable, processes=threads)
