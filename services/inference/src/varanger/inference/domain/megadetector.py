"""MegaDetector batch results, format 1.6 (https://lila.science/megadetector-output-format), from predictions.

`detection_categories` are animal, person and vehicle only; species stand in `classification_categories`, else
Timelapse warns. Each final box is one detection with its species. Boxes below the release's detection floor follow, so
that a person can lower the threshold in Timelapse; what the routing rule dropped above it does not come back.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from varanger.common.answering.answer import final_boxes, keep_from
from varanger.common.answering.same_animal import same_place
from varanger.common.releases import ReleaseManifest
from varanger.common.words import BAD_QUALITY, BLANK, PERSON, VEHICLE, Detection, Prediction

FORMAT_VERSION = "1.6"
ANIMAL = "animal"
DETECTION_CATEGORIES = {"1": ANIMAL, "2": PERSON, "3": VEHICLE}
_CATEGORY = {name: number for number, name in DETECTION_CATEGORIES.items()}
WHOLE_IMAGE = (0.0, 0.0, 1.0, 1.0)
DECIMALS = 5


def species_categories(manifest: ReleaseManifest) -> dict[str, str]:
    """`classification_categories`: every species of every stage, numbered from 1 in the alphabet's order."""
    nothing = {*_CATEGORY, BLANK, BAD_QUALITY, "bad quality", *manifest.routing.blank_classes}
    names = sorted({name for stage in manifest.stages.values() for name in stage.classes} - nothing)
    return {str(number): name for number, name in enumerate(names, start=1)}


def image_entry(file: str, prediction: Prediction, manifest: ReleaseManifest) -> dict[str, Any]:
    """One image's entry; `file` is relative to the folder, with `/`.

    `varanger` holds what the format has no place for. An image of bad quality was not observed, which is not empty:
    it is a failure here, as readers of the format understand it.
    """
    if prediction.label == BAD_QUALITY:
        return failure_entry(file, "bad_quality: the picture shows too little to answer")
    numbers = {name: number for number, name in species_categories(manifest).items()}
    return {
        "file": file,
        "detections": [_detection(box, numbers) for box in _boxes(prediction, manifest)],
        "varanger": {
            "label": prediction.label,
            "confidence": prediction.confidence,
            "route": prediction.route,
            "observations": {one.taxon: one.count for one in prediction.observations},
            "flags": list(prediction.flags),
            "private": prediction.private,
        },
    }


def failure_entry(file: str, reason: str) -> dict[str, Any]:
    """The entry of a file that could not be answered; it has no detections, which is not the same as none."""
    return {"file": file, "failure": reason, "detections": None}


def results(
    images: Sequence[Mapping[str, Any]], manifest: ReleaseManifest, *, completed_at: datetime, code_version: str
) -> dict[str, Any]:
    """The whole file."""
    completed = completed_at.strftime("%Y-%m-%d %H:%M:%S")
    return {
        "info": {
            "format_version": FORMAT_VERSION,
            "detector": manifest.name,
            "detection_completion_time": completed,
            "detector_metadata": {
                "varanger_release": manifest.release_id,
                "varanger_code": code_version,
                "typical_detection_threshold": manifest.routing.detection_floor,
                "conservative_detection_threshold": keep_from(manifest),
            },
            "classifier": manifest.name,
            "classification_completion_time": completed,
        },
        "detection_categories": DETECTION_CATEGORIES,
        "classification_categories": species_categories(manifest),
        "images": list(images),
    }


def _boxes(prediction: Prediction, manifest: ReleaseManifest) -> list[Detection]:
    if manifest.kind == "classifier":
        if prediction.label == BLANK:
            return []
        return [
            Detection(stage="classifier", label=prediction.label, confidence=prediction.confidence, bbox=WHOLE_IMAGE)
        ]
    boxes = list(final_boxes(prediction, manifest))
    faint = [box for box in prediction.detections if box.confidence < manifest.routing.detection_floor]
    for box in sorted(faint, key=lambda box: -box.confidence):
        if not any(same_place(box, other, manifest.routing.match_iou) for other in boxes):
            boxes.append(box)
    return sorted(boxes, key=lambda box: -box.confidence)


def _detection(box: Detection, numbers: Mapping[str, str]) -> dict[str, Any]:
    detection: dict[str, Any] = {
        "category": _CATEGORY.get(box.label, _CATEGORY[ANIMAL]),
        "conf": round(float(box.confidence), DECIMALS),
        "bbox": [round(share, DECIMALS) for share in box.bbox],
    }
    if box.label in numbers:
        detection["classifications"] = [[numbers[box.label], round(float(box.confidence), DECIMALS)]]
    return detection
