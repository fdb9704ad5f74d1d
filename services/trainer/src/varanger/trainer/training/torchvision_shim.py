"""Make torchvision importable beside a CPU build of torch.

PyPI's torchvision wheel is built against CUDA torch: next to a CPU torch its compiled operators do not load and the
import fails with ``operator torchvision::nms does not exist``. ultralytics needs torchvision only for ``nms``; this
module defines that one operator in plain torch when, and only when, the import fails. Beside a matching build it does
nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, cast

import torch

_MISSING_OPERATOR = "torchvision::nms"
# A torch.library.Library unregisters its operators when it is collected, so it must live as long as the process.
_libraries: list[torch.library.Library] = []


def non_maximum_suppression(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression, as ``torchvision.ops.nms`` defines it.

    Args:
        boxes: float [M, 4] corners (x1, y1, x2, y2).
        scores: float [M].
        iou_threshold: a box overlapping a kept one by more than this is dropped.

    Returns:
        int64 [K] indices of the kept boxes, highest score first.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    ranked = boxes[order]
    area = (ranked[:, 2] - ranked[:, 0]) * (ranked[:, 3] - ranked[:, 1])
    kept: list[int] = []
    remaining = torch.arange(len(ranked), device=boxes.device)
    while remaining.numel():
        best, rest = remaining[0], remaining[1:]
        kept.append(int(best))
        top_left = torch.maximum(ranked[best, :2], ranked[rest, :2])
        bottom_right = torch.minimum(ranked[best, 2:], ranked[rest, 2:])
        side = (bottom_right - top_left).clamp(min=0)
        intersection = side[:, 0] * side[:, 1]
        union = area[best] + area[rest] - intersection
        remaining = rest[~(intersection > iou_threshold * union)]
    return order[torch.tensor(kept, dtype=torch.long, device=boxes.device)]


def ensure_torchvision() -> None:
    """Import torchvision, mending it first where its compiled operators are missing.

    Raises:
        RuntimeError: torchvision fails to import for another reason.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if _MISSING_OPERATOR not in str(error):
            raise
    else:
        return
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = cast(Any, torch.library).Library("torchvision", "DEF")
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    library.define("nms" + signature)
    library.define("qnms" + signature)
    library.impl("nms", non_maximum_suppression, "CPU")
    _libraries.append(library)
    extension: Any = importlib.import_module("torchvision.extension")
    # torchvision.ops asks this before every call; the operator it asks about now exists.
    extension._has_ops = lambda: True
