"""The model contract in torch: what the exported graph must answer, number for number (docs/decisions/0010).

``contract_graph`` builds the same steps from ONNX operators; golden parity compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from varanger.trainer.training.torchvision_shim import non_maximum_suppression

#: Rows of the answer; an image with fewer detections is padded with zeros.
MAX_DETECTIONS = 300


@dataclass(frozen=True, slots=True)
class ContractSettings:
    """What is fixed into the exported graph.

    Attributes:
        side: square input side S in pixels, a multiple of 32.
        iou_threshold: overlap above which the weaker box of the same class is dropped.
        detection_floor: boxes must score more than this.
    """

    side: int
    iou_threshold: float = 0.6
    detection_floor: float = 0.01

    def __post_init__(self) -> None:
        if self.side <= 0 or self.side % 32:
            raise ValueError(f"the input side must be a positive multiple of 32, not {self.side}")
        if not 0 < self.iou_threshold < 1 or not 0 <= self.detection_floor < 1:
            raise ValueError("iou_threshold must lie in (0, 1) and detection_floor in [0, 1)")


class CandidateNetwork(nn.Module):
    """A detector of the YOLOv8 family, cut before non-maximum suppression."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector.float().eval()
        for module in detector.modules():
            if getattr(module, "end2end", False) is True:
                raise ValueError(
                    "an end-to-end head suppresses duplicates itself; the contract takes a YOLOv8-family head"
                )
            if hasattr(module, "export") and hasattr(module, "stride"):
                # In export mode the head returns decoded candidates alone, without its training outputs.
                cast(Any, module).export = True

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Answer every candidate box.

        Args:
            pixels: float [N, 3, S, S] in 0-1, RGB.

        Returns:
            float [N, A, 4] corners in input pixels, and float [N, C, A] scores in 0-1.
        """
        predicted = self.detector(pixels)
        centre, size = predicted[:, 0:2], predicted[:, 2:4]
        corners = torch.cat((centre - size / 2, centre + size / 2), dim=1)
        return corners.transpose(1, 2), predicted[:, 4:]


class DetectorContract(nn.Module):
    """The whole contract in torch: bytes in, boxes and scores out."""

    def __init__(self, detector: nn.Module, settings: ContractSettings) -> None:
        super().__init__()
        self.network = CandidateNetwork(detector)
        self.settings = settings

    @torch.inference_mode()
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Answer a batch as the exported model does.

        Args:
            images: uint8 [N, S, S, 3], RGB, letterboxed by the caller.

        Returns:
            float [N, 300, 6] rows (x1, y1, x2, y2, score, class index), highest score first, padded with zeros; and
            float [N, C], the highest score per class over all candidates.
        """
        pixels = images.permute(0, 3, 1, 2).float() / 255.0
        corners, scores = self.network(pixels)
        boxes = torch.stack([self._suppress(*pair) for pair in zip(corners, scores, strict=True)])
        return boxes, scores.amax(dim=2)

    def _suppress(self, corners: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Keep the best boxes of one image: [A, 4] and [C, A] to [300, 6]."""
        best, label = scores.max(dim=0)
        kept: list[torch.Tensor] = []
        for index in set(label[best > self.settings.detection_floor].tolist()):
            own = torch.nonzero((label == index) & (best > self.settings.detection_floor)).squeeze(1)
            order = non_maximum_suppression(corners[own], best[own], self.settings.iou_threshold)
            kept.append(own[order[:MAX_DETECTIONS]])
        answer = torch.zeros(MAX_DETECTIONS, 6)
        if kept:
            # Equal scores keep the order of their anchors, as TopK does.
            anchors = torch.cat(kept).sort().values
            anchors = anchors[torch.sort(best[anchors], descending=True, stable=True).indices][:MAX_DETECTIONS]
            inside = corners[anchors].clamp(0.0, float(self.settings.side))
            rows = torch.cat((inside, best[anchors, None], label[anchors, None].float()), dim=1)
            answer[: len(rows)] = rows
        return answer
