"""What one stage said of one image, and how boxes are ordered so that no answer depends on who spoke first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from varanger.common.releases import GLOBAL
from varanger.common.words import PRIVATE_LABELS, BoundingBox, Detection


@dataclass(frozen=True)
class StageAnswer:
    """One stage's boxes and its highest score per class, both calibrated, boxes in shares of the upright image."""

    detections: tuple[Detection, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)

    def seen(self, floor: float) -> tuple[Detection, ...]:
        """The boxes that reach the floor, in the fixed order."""
        return ordered(box for box in self.detections if box.confidence >= floor)


def ordered(boxes: Iterable[Detection]) -> tuple[Detection, ...]:
    """The fixed order: global before experts by name, then the most confident, then label, then place."""
    return tuple(sorted(boxes, key=_rank))


def is_animal(label: str) -> bool:
    """People and vehicles are not."""
    return label not in PRIVATE_LABELS


def _rank(box: Detection) -> tuple[bool, str, float, str, BoundingBox]:
    return box.stage != GLOBAL, box.stage, -box.confidence, box.label, box.bbox
