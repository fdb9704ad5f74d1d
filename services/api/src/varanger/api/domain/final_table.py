"""Böhner's final table (Böhner et al. 2023): long, one row per image and class.

`presence_*` is 1 or 0 where somebody looked at a usable image, and NA where nobody looked, where the image was bad, or
(automatic) where the release that answered does not know the class. Never 0 for "we do not know".
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from varanger.common.words import BAD_QUALITY, BLANK

COLUMNS = (
    "locality",
    "site",
    "date",
    "time",
    "image_name",
    "class_id",
    "presence_automatic",
    "presence_manual",
    "confidence_automatic",
    "observer_manual",
    "type_manual_classification",
    "comment",
)
NA = "NA"
EMPTY = "empty"
"""The table's word for blank."""

_EMPTY = frozenset({BLANK, EMPTY})
_BAD = frozenset({BAD_QUALITY, "bad quality"})


def class_id(word: str) -> str:
    """A label, taxon or class name as the table writes it."""
    if word in _EMPTY:
        return EMPTY
    return BAD_QUALITY if word in _BAD else word


@dataclass(frozen=True)
class MachineAnswer:
    """What a release said, in the table's words."""

    confidences: dict[str, float]
    """Of the classes it saw: of `empty` where it saw nothing, of `bad_quality` where it could not see."""
    known: frozenset[str]
    """Every class it could have seen."""


@dataclass(frozen=True)
class PersonsAnswer:
    """What the review in force says, in the table's words."""

    seen: frozenset[str]
    """Taxa; `empty` where they saw nothing; `bad_quality` where they could not see."""
    observer: str
    kind: str
    """`quality_check_random`, `quality_check_class` or `corrected_image_label`."""
    comment: str = ""


@dataclass(frozen=True)
class TableImage:
    """One image with its answers, if it has them."""

    locality: str
    site: str
    captured_at: datetime | None
    """The true local time: the camera's own, corrected."""
    name: str
    machine: MachineAnswer | None = None
    person: PersonsAnswer | None = None


def machine_answer(
    label: str, confidence: float, detections: Iterable[tuple[str, float]], taxa: Iterable[str], known: Iterable[str]
) -> MachineAnswer:
    """A prediction in the table's words.

    Args:
        label: the prediction's.
        confidence: of the label, calibrated.
        detections: (label, confidence) of every box of every stage.
        taxa: those of the prediction's observations.
        known: the release's classes.
    """
    best: dict[str, float] = {}
    for name, score in detections:
        best[class_id(name)] = max(score, best.get(class_id(name), 0.0))
    seen = {class_id(label): confidence}
    if class_id(label) not in (EMPTY, BAD_QUALITY):
        for taxon in map(class_id, taxa):
            seen.setdefault(taxon, best.get(taxon, confidence))
    return MachineAnswer(seen, frozenset(map(class_id, known)) | {EMPTY, class_id(label)})


def persons_answer(
    taxa: Collection[str], *, bad_quality: bool, observer: str, kind: str, comment: str = ""
) -> PersonsAnswer:
    """A review in the table's words."""
    seen = frozenset({BAD_QUALITY}) if bad_quality else frozenset(map(class_id, taxa)) or frozenset({EMPTY})
    return PersonsAnswer(seen, observer, kind, comment)


def rows(image: TableImage, classes: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The image's rows, one per class, in the order of `COLUMNS`."""
    person = image.person
    head = (
        image.locality or NA,
        image.site,
        NA if image.captured_at is None else f"{image.captured_at:%Y-%m-%d}",
        NA if image.captured_at is None else f"{image.captured_at:%H:%M:%S}",
        image.name,
    )
    tail = (NA, NA, NA) if person is None else (person.observer, person.kind, person.comment or NA)
    for name in classes:
        yield (
            *head,
            name,
            _automatic(image.machine, name),
            _manual(person, name),
            _confidence(image.machine, name),
            *tail,
        )


def _automatic(machine: MachineAnswer | None, name: str) -> str:
    if machine is None:
        return NA
    if name in machine.confidences:
        return "1"
    return NA if BAD_QUALITY in machine.confidences or name not in machine.known else "0"


def _manual(person: PersonsAnswer | None, name: str) -> str:
    if person is None:
        return NA
    if name in person.seen:
        return "1"
    return NA if BAD_QUALITY in person.seen else "0"


def _confidence(machine: MachineAnswer | None, name: str) -> str:
    return NA if machine is None or name not in machine.confidences else repr(machine.confidences[name])


@dataclass
class BohnerNames:
    """`<site>_YYYY-MM-DD_NNNN.JPG`, numbered per site and day. Images must come in order of site and capture time."""

    _counted: dict[tuple[str, str], int] = field(default_factory=dict)

    def name(self, image: TableImage) -> str:
        """The image's name in the published workflow; its own where it has no date."""
        if image.captured_at is None:
            return image.name
        day = f"{image.captured_at:%Y-%m-%d}"
        self._counted = {key: count for key, count in self._counted.items() if key == (image.site, day)}
        number = self._counted.get((image.site, day), 0) + 1
        self._counted[image.site, day] = number
        return f"{image.site}_{day}_{number:04d}.JPG"
