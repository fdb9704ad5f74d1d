"""What a file really is, by its first bytes; its name is never believed."""

from dataclasses import dataclass
from enum import StrEnum

from varanger.ingest.domain.verdict import Quarantine, QuarantineReason

SNIFF_BYTES = 4096
"""How much of a file's beginning `sniff` wants to see."""


class Kind(StrEnum):
    """What can be done with a type."""

    IMAGE = "image"
    OTHER_IMAGE = "other_image"
    VIDEO = "video"
    ARCHIVE = "archive"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class FileType:
    """A type by its bytes. The first extension is the one we give; the rest are accepted as telling the truth."""

    name: str
    kind: Kind
    media_type: str
    extensions: tuple[str, ...]


JPEG = FileType("JPEG", Kind.IMAGE, "image/jpeg", ("jpg", "jpeg", "jpe", "jfif", "mpo"))
PNG = FileType("PNG", Kind.IMAGE, "image/png", ("png",))
GIF = FileType("GIF", Kind.IMAGE, "image/gif", ("gif",))
WEBP = FileType("WEBP", Kind.IMAGE, "image/webp", ("webp",))
TIFF = FileType("TIFF", Kind.IMAGE, "image/tiff", ("tif", "tiff"))
BMP = FileType("BMP", Kind.IMAGE, "image/bmp", ("bmp", "dib"))
IMAGE_TYPES = (JPEG, PNG, GIF, WEBP, TIFF, BMP)
"""What is decoded; their names are Pillow's names of formats."""
RAW = FileType("camera raw", Kind.OTHER_IMAGE, "image/x-raw", ("cr2",))
HEIF = FileType("HEIF", Kind.OTHER_IMAGE, "image/heif", ("heic", "heif", "avif"))
JPEG_2000 = FileType("JPEG 2000", Kind.OTHER_IMAGE, "image/jp2", ("jp2", "j2k"))
MP4 = FileType("MP4", Kind.VIDEO, "video/mp4", ("mp4", "m4v", "mov", "3gp"))
QUICKTIME = FileType("QuickTime", Kind.VIDEO, "video/quicktime", ("mov", "qt", "mp4"))
AVI = FileType("AVI", Kind.VIDEO, "video/x-msvideo", ("avi",))
MATROSKA = FileType("Matroska", Kind.VIDEO, "video/x-matroska", ("mkv", "webm"))
ASF = FileType("ASF", Kind.VIDEO, "video/x-ms-asf", ("wmv", "asf"))
MPEG = FileType("MPEG", Kind.VIDEO, "video/mpeg", ("mpg", "mpeg"))
FLV = FileType("FLV", Kind.VIDEO, "video/x-flv", ("flv",))
ZIP = FileType("ZIP", Kind.ARCHIVE, "application/zip", ("zip",))
SEVEN_ZIP = FileType("7-Zip", Kind.ARCHIVE, "application/x-7z-compressed", ("7z",))
RAR = FileType("RAR", Kind.ARCHIVE, "application/vnd.rar", ("rar",))
GZIP = FileType("gzip", Kind.ARCHIVE, "application/gzip", ("gz", "tgz"))
BZIP2 = FileType("bzip2", Kind.ARCHIVE, "application/x-bzip2", ("bz2",))
XZ = FileType("xz", Kind.ARCHIVE, "application/x-xz", ("xz",))
TAR = FileType("tar", Kind.ARCHIVE, "application/x-tar", ("tar",))
OFFICE = FileType("a document or program that is a zip inside", Kind.OTHER, "application/octet-stream", ("docx",))
PDF = FileType("PDF", Kind.OTHER, "application/pdf", ("pdf",))
EXECUTABLE = FileType("program", Kind.OTHER, "application/x-executable", ("exe",))
TEXT = FileType("text", Kind.OTHER, "text/plain", ("txt",))
UNKNOWN = FileType("unknown", Kind.UNKNOWN, "application/octet-stream", ("bin",))

_OTHERS = (RAW, HEIF, JPEG_2000, MP4, QUICKTIME, AVI, MATROSKA, ASF, MPEG, FLV, ZIP, PDF, TEXT)
KNOWN_EXTENSIONS = frozenset(extension for each in (*IMAGE_TYPES, *_OTHERS) for extension in each.extensions)

_MAGIC: tuple[tuple[int, bytes, FileType], ...] = (
    (0, b"\xff\xd8", JPEG),
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    (8, b"CR\x02\x00", RAW),
    (0, b"II*\x00", TIFF),
    (0, b"MM\x00*", TIFF),
    (0, b"\x00\x00\x00\x0cjP  ", JPEG_2000),
    (0, b"\xff\x4f\xff\x51", JPEG_2000),
    (0, b"\x1a\x45\xdf\xa3", MATROSKA),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ASF),
    (0, b"\x00\x00\x01\xba", MPEG),
    (0, b"\x00\x00\x01\xb3", MPEG),
    (0, b"FLV\x01", FLV),
    (30, b"[Content_Types].xml", OFFICE),
    (30, b"mimetype", OFFICE),
    (30, b"META-INF/", OFFICE),
    (0, b"PK\x03\x04", ZIP),
    (0, b"PK\x05\x06", ZIP),
    (0, b"PK\x06\x06", ZIP),
    (0, b"7z\xbc\xaf\x27\x1c", SEVEN_ZIP),
    (0, b"Rar!\x1a\x07", RAR),
    (0, b"\x1f\x8b", GZIP),
    (0, b"BZh", BZIP2),
    (0, b"\xfd7zXZ\x00", XZ),
    (257, b"ustar", TAR),
    (0, b"%PDF-", PDF),
    (0, b"\x7fELF", EXECUTABLE),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heif", b"mif1", b"msf1", b"avif", b"avis")
_QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


def sniff(head: bytes) -> FileType:
    """The type of a file that begins with `head` (its first `SNIFF_BYTES`, or all of a shorter one)."""
    for offset, magic, file_type in _MAGIC:
        if head.startswith(magic, offset):
            return file_type
    return _container(head) or (TEXT if _is_text(head) else UNKNOWN)


def _container(head: bytes) -> FileType | None:
    """Types told by a word inside: RIFF, ISO base media, QuickTime without `ftyp`; BMP, whose two letters are weak."""
    word, after = head[4:8], head[8:12]
    if head.startswith(b"RIFF"):
        return {b"WEBP": WEBP, b"AVI ": AVI}.get(after)
    if word == b"ftyp":
        if after in _HEIF_BRANDS:
            return HEIF
        return QUICKTIME if after == b"qt  " else MP4
    if word in _QUICKTIME_ATOMS:
        return QUICKTIME
    if (
        head.startswith(b"BM")
        and len(head) >= 18
        and int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 108, 124)
    ):
        return BMP
    return None


def _is_text(head: bytes) -> bool:
    if not head:
        return False
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if any(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character cut in two by the end of `head` is no fault; else allow for a few bytes of an 8-bit code page.
        return error.start >= len(head) - 3 or sum(byte >= 0x80 for byte in head) <= len(head) // 10
    return True


def refuse_type(file_type: FileType, *, inside_archive: bool = False) -> Quarantine | None:
    """The verdict for a type that cannot be media; None for images and videos we decode, and for zips."""
    match file_type.kind:
        case Kind.IMAGE | Kind.VIDEO:
            return None
        case Kind.OTHER_IMAGE:
            return Quarantine(QuarantineReason.UNSUPPORTED_IMAGE, f"{file_type.name} images are not decoded here")
        case Kind.ARCHIVE:
            return _refuse_archive(file_type, inside_archive=inside_archive)
        case Kind.OTHER:
            return Quarantine(QuarantineReason.WRONG_TYPE, f"the file is {file_type.name}, neither image nor video")
        case Kind.UNKNOWN:
            return Quarantine(QuarantineReason.NOT_AN_IMAGE, "the file begins like no image, video or archive we know")


def _refuse_archive(file_type: FileType, *, inside_archive: bool) -> Quarantine | None:
    if file_type is ZIP and not inside_archive:
        return None
    nested = "an archive inside an archive is not opened: send it by itself"
    foreign = f"{file_type.name} archives are not unpacked here: send a zip"
    return Quarantine(QuarantineReason.UNSUPPORTED_ARCHIVE, nested if inside_archive else foreign)


def name_contradicts(original_name: str, file_type: FileType) -> bool:
    """Whether the name ends like another known type's files. No extension, or one we do not know, says nothing."""
    stem, dot, extension = original_name.rpartition(".")
    claimed = extension.lower()
    return bool(stem and dot) and claimed in KNOWN_EXTENSIONS and claimed not in file_type.extensions
