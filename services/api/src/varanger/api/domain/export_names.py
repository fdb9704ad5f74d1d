"""Names for exported files, numbered as three published tools number theirs.

Every template names every media, never two alike (letter case and Unicode forms disregarded, as Windows and macOS do),
and says the same for the same media. A file that comes late moves the numbers after it: only the own name is for life.

| template | name | counts | source |
|---|---|---|---|
| `default` | the media's own name | – | ingest |
| `bohner` | `<site>_YYYY-MM-DD_NNNN.JPG` | per site and day | `R/01_extract_metadata_rename_images.R` of
  https://github.com/hannaboe/camera_trap_workflow at 3be5edf |
| `camtrapr` | `Station__Camera__YYYY-MM-DD__HH-MM-SS(n).JPG` | per camera and *minute* | `imageRename` of camtrapR,
  https://search.r-project.org/CRAN/refmans/camtrapR/html/imageRename.html |
| `megadetector` | `<folders>_<file>.YYYY-MM-DD_HH-MM-SS.JPG` | what would be named alike | `rename_images` of
  `megadetector/data_management/rename_images.py` in https://pypi.org/project/megadetector/10.0.28/ |

Where the originals stop, these go on:

- Böhner's numbers have four digits. A day of more than 9,999 images has as many digits as it needs in *all* its names,
  so that they still sort. Their site is a folder's name; ours is the location.
- camtrapR leaves files without a date behind, Böhner's script writes `NA` for the date; ours keep their own name.
  Without a camera id the camera's part is left out, as camtrapR does where stations have no camera folders.
- MegaDetector's lets two files of one name overwrite each other. Here the second is `<folders>_<file>(2).…`. Its
  folders begin with the card's, which here is the deployment. Without a date it writes `unknown_datetime`; we add the
  hash.
- Videos keep their extension, in the template's letter case.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from pathlib import PurePosixPath


class Template(StrEnum):
    """Whose names files get."""

    DEFAULT = "default"
    BOHNER = "bohner"
    CAMTRAPR = "camtrapr"
    MEGADETECTOR = "megadetector"


_LONGEST_WORD = 80
_LONGEST_PATH = 120
"""UTF-8 bytes; a file's name may have 255 in all."""
_HASH_DIGITS = 12
_REFUSED = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
"""By some file system."""
_SAME_KIND = {".jpeg": ".jpg", ".tiff": ".tif"}
"""Extensions that ingest writes otherwise."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """What a media's name may follow from."""

    media_id: str
    name: str
    """Its own."""
    location_id: str
    camera_id: str | None
    deployment_id: str
    local_time: datetime | None
    """The true local time, to the second (`local_time`)."""
    sub_seconds: float | None
    sequence_number: int | None
    original_path: str
    """With `/`; the last part is the file's name on its card."""
    sha256: str

    @property
    def day(self) -> tuple[str, date | None]:
        """Location and local day: what numbers never reach across. Files must come together by it."""
        return self.location_id, None if self.local_time is None else self.local_time.date()


Names = Iterator[tuple[ExportedFile, str]]
_NameDay = Callable[[Sequence[ExportedFile]], Iterable[str]]


class Namer:
    """Names the files of a project.

    Args:
        template: whose names.
        places: (location, camera, deployment) ids of every file that will come, in any order.
    """

    def __init__(self, template: Template, places: Iterable[tuple[str, str | None, str]]) -> None:
        known = set(places)
        locations = {location for location, _, _ in known}
        self._sites: Mapping[str, str] = {}
        self._cameras: Mapping[tuple[str, str], str] = {}
        self._cards: Mapping[str, str] = {}
        self._name_day: _NameDay = self._own
        self._undated: Callable[[ExportedFile], str] = lambda file: file.name
        match template:
            case Template.DEFAULT:
                pass
            case Template.BOHNER:
                self._sites, self._name_day = distinct_words(locations, file_word), self._bohner
            case Template.CAMTRAPR:
                self._sites, self._name_day = distinct_words(locations, _camtrapr_word), self._camtrapr
                for location in locations:
                    cameras = {camera for place, camera, _ in known if place == location and camera}
                    words = distinct_words(cameras, _camtrapr_word)
                    self._cameras = {**self._cameras, **{(location, camera): word for camera, word in words.items()}}
            case Template.MEGADETECTOR:
                cards = {deployment for _, _, deployment in known}
                self._cards, self._name_day = distinct_words(cards, file_word, separator="_"), self._megadetector
                self._undated = self._megadetector_undated

    def names(self, files: Iterable[ExportedFile]) -> Names:
        """Each file with its name. Memory holds one location's day.

        Args:
            files: those of one `day` together; within it in any order, which names and this order do not depend on.
        """
        for (_, day), group in groupby(files, key=lambda file: file.day):
            if day is None:
                yield from ((file, self._undated(file)) for file in group)
            else:
                ordered = sorted(group, key=_capture_order)
                yield from zip(ordered, self._name_day(ordered), strict=True)

    @staticmethod
    def _own(day: Sequence[ExportedFile]) -> Iterator[str]:
        return (file.name for file in day)

    def _bohner(self, day: Sequence[ExportedFile]) -> Iterator[str]:
        digits = max(4, len(str(len(day))))
        for number, file in enumerate(day, start=1):
            site, taken = self._sites[file.location_id], _taken(file).date().isoformat()
            yield f"{site}_{taken}_{number:0{digits}d}{_suffix(file).upper()}"

    def _camtrapr(self, day: Sequence[ExportedFile]) -> Iterator[str]:
        counted: Counter[tuple[str | None, datetime]] = Counter()
        for file in day:
            taken, camera = _taken(file), file.camera_id or None
            counted[camera, taken.replace(second=0)] += 1
            station = self._sites[file.location_id]
            who = station if camera is None else f"{station}__{self._cameras[file.location_id, camera]}"
            when = taken.isoformat().replace("T", "__").replace(":", "-")
            yield f"{who}__{when}({counted[camera, taken.replace(second=0)]}){_suffix(file).upper()}"

    def _megadetector(self, day: Sequence[ExportedFile]) -> Iterator[str]:
        given: set[str] = set()
        for file in day:
            stem, suffix = self._flat(file)
            when = _taken(file).isoformat().replace("T", "_").replace(":", "-")
            name, number = f"{stem}.{when}{suffix}", 1
            while _fold(name) in given:
                number += 1
                name = f"{stem}({number}).{when}{suffix}"
            given.add(_fold(name))
            yield name

    def _megadetector_undated(self, file: ExportedFile) -> str:
        stem, suffix = self._flat(file)
        return f"{stem}.unknown_datetime.{file.sha256[:_HASH_DIGITS]}{suffix}"

    def _flat(self, file: ExportedFile) -> tuple[str, str]:
        """The path on its card as one word, the card's own first, and its extension as it was written."""
        path, suffix = PurePosixPath(file.original_path), _suffix(file)
        if _SAME_KIND.get(path.suffix.lower(), path.suffix.lower()) == suffix:
            path, suffix = path.with_suffix(""), path.suffix
        parts = [file_word(part, longest=_LONGEST_PATH) for part in path.parts]
        flat = "_".join(part for part in parts if part)
        if len(flat.encode()) > _LONGEST_PATH:
            tail = flat.encode()[-_LONGEST_PATH:].decode(errors="ignore")
            flat = f"{file.sha256[:_HASH_DIGITS]}_{tail}"
        return f"{self._cards[file.deployment_id]}_{flat}", suffix


def distinct_words(ids: Collection[str], clean: Callable[[str], str], *, separator: str = "") -> dict[str, str]:
    """A word for each id that no file system takes for another id's; those that would be get part of a hash.

    Args:
        ids: of locations, cameras or deployments.
        clean: makes a word that may stand in a file's name.
        separator: what follows the word, where any text may follow that: no word then begins with another and this.
    """
    plain = {each: clean(each) or "unnamed" for each in ids}
    words, digits = plain, 0
    while clashing := _clashing(words, separator):
        digits += 6
        words = {
            each: f"{plain[each]}-{hashlib.sha256(each.encode()).hexdigest()[:digits]}" if each in clashing else word
            for each, word in words.items()
        }
    return words


def _clashing(words: Mapping[str, str], separator: str) -> set[str]:
    by_key: dict[str, list[str]] = {}
    for each, word in words.items():
        by_key.setdefault(_fold(word), []).append(each)
    clashing = {each for several in by_key.values() if len(several) > 1 for each in several}
    if separator:
        for key, several in by_key.items():
            starts = [key[:at] for at in range(1, len(key)) if key.startswith(separator, at)]
            if inside := [start for start in starts if start in by_key]:
                clashing.update(several, *(by_key[start] for start in inside))
    return clashing


def file_word(text: str, *, longest: int = _LONGEST_WORD) -> str:
    """Text as part of a file's name: what some file system refuses becomes `-`; letters of any script stay."""
    word = _REFUSED.sub("-", unicodedata.normalize("NFC", text)).strip(" .-")
    return word.encode()[:longest].decode(errors="ignore").rstrip(" .-")


def _camtrapr_word(text: str) -> str:
    """camtrapR splits names at `__`, so no part of one may hold or touch it."""
    return re.sub("_{2,}", "_", file_word(text)).strip("_")


def _fold(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _suffix(file: ExportedFile) -> str:
    """`.jpg`: the extension of its kind, as ingest writes it."""
    return PurePosixPath(file.name).suffix.lower()


def _taken(file: ExportedFile) -> datetime:
    if file.local_time is None:
        raise ValueError(f"{file.name}: has no date")
    return file.local_time


def _capture_order(file: ExportedFile) -> tuple[datetime, float, int, str, str]:
    """Within a second the camera's own numbering decides, then its numbering of files, then nothing that may change."""
    return (
        _taken(file),
        file.sub_seconds or 0.0,
        file.sequence_number or 0,
        file.original_path,
        file.sha256,
    )
