"""Export a trained network as one ONNX file by the model contract."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from varanger.trainer.training.contract_graph import (
    CANDIDATE_SCORES,
    CORNERS,
    OPSET,
    PIXELS,
    classifier_graph,
    detector_graph,
)
from varanger.trainer.training.contract_reference import CandidateNetwork, ContractSettings


class SoftmaxClassifier(nn.Module):
    """A classifier with its input normalisation and softmax.

    Args:
        network: from normalised pixels [N, 3, S, S] to logits [N, C].
        mean: per channel, of pixels in 0-1.
        deviation: per channel.
    """

    def __init__(
        self, network: nn.Module, mean: tuple[float, float, float], deviation: tuple[float, float, float]
    ) -> None:
        super().__init__()
        self.network = network.float().eval()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).reshape(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """From float pixels [N, 3, S, S] in 0-1 to probabilities [N, C]."""
        normalised = (pixels - self.get_buffer("mean")) / self.get_buffer("deviation")
        logits: torch.Tensor = self.network(normalised)
        return logits.softmax(dim=1)


def export_detector(detector: nn.Module, settings: ContractSettings) -> bytes:
    """Export a YOLOv8-family detector.

    Args:
        detector: an ultralytics ``DetectionModel``; it is put into evaluation mode.
        settings: side, overlap and floor, fixed into the graph.

    Returns:
        the ONNX file.

    Raises:
        ValueError: the head is an end-to-end one.
    """
    network = CandidateNetwork(detector)
    with torch.inference_mode():
        corners, scores = network(torch.zeros(1, 3, settings.side, settings.side))
    exported = _to_onnx(network, settings.side, [CORNERS, CANDIDATE_SCORES])
    model = detector_graph(exported, settings, anchors=corners.shape[1], classes=scores.shape[1])
    return bytes(model.SerializeToString())


def export_classifier(classifier: SoftmaxClassifier, side: int) -> bytes:
    """Export a whole-image classifier: ``scores`` [N, C] only."""
    with torch.inference_mode():
        classes = classifier(torch.zeros(1, 3, side, side)).shape[1]
    model = classifier_graph(_to_onnx(classifier, side, ["scores"]), side, classes)
    return bytes(model.SerializeToString())


def _to_onnx(network: nn.Module, side: int, outputs: list[str]) -> onnx.ModelProto:
    """Trace a network from float pixels; the batch is dynamic."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        file = Path(folder) / "network.onnx"
        # The tracing exporter is deprecated but needs no further package (the new one needs onnxscript), and what it
        # traces here is plain convolutions; the tracer also warns of every Python number it bakes in, which is meant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, side, side),),
            str(file),
            input_names=[PIXELS],
            output_names=outputs,
            dynamic_axes={name: {0: "N"} for name in (PIXELS, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(file)
