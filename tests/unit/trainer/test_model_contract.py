"""The exported graph answers what the torch reference answers, for any batch."""

import numpy as np
import onnxruntime
import pytest
import torch

from varanger.trainer.training.architecture import build_detector, detector_architecture
from varanger.trainer.training.contract_reference import MAX_DETECTIONS, ContractSettings, DetectorContract
from varanger.trainer.training.export import SoftmaxClassifier, export_classifier, export_detector

SIDE, CLASSES = 64, 3


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def detector() -> torch.nn.Module:
    """A narrow network whose random head scores anchors very differently, so that suppression has work to do."""
    torch.manual_seed(3)
    network = build_detector(detector_architecture("demo", CLASSES))
    with torch.no_grad():
        # One pass with momentum 1 gives every batch norm real statistics; else a random network answers a constant.
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        network.train()(torch.rand(8, 3, SIDE, SIDE))
        for name, value in network.named_parameters():
            if ".cv3." in name and name.endswith("2.weight"):
                value.normal_(0, 0.2)
            if ".cv3." in name and name.endswith("2.bias"):
                value.zero_()
    return network.eval()


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.parametrize("floor", [0.01, 0.4])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_onnx_runtime_equals_torch(detector: torch.nn.Module, count: int, floor: float) -> None:
    settings = ContractSettings(side=SIDE, iou_threshold=0.5, detection_floor=floor)
    batch = images(count)
    expected_boxes, expected_scores = DetectorContract(detector, settings)(torch.from_numpy(batch))
    boxes, scores = session(export_detector(detector, settings)).run(["boxes", "scores"], {"images": batch})
    assert boxes.shape == (count, MAX_DETECTIONS, 6)
    assert scores.shape == (count, CLASSES)
    np.testing.assert_allclose(scores, expected_scores.numpy(), atol=1e-4)
    np.testing.assert_allclose(boxes, expected_boxes.numpy(), atol=1e-3)
    assert (expected_boxes[..., 4] > 0).any(axis=1).all()


def test_an_image_without_a_detection_is_all_zeros() -> None:
    untrained = build_detector(detector_architecture("demo", CLASSES)).eval()
    with torch.no_grad():
        for name, value in untrained.named_parameters():
            if ".cv3." in name and name.endswith("2.bias"):
                value.fill_(-8.0)
    boxes, scores = session(export_detector(untrained, ContractSettings(side=SIDE))).run(None, {"images": images(2)})
    assert boxes.shape == (2, MAX_DETECTIONS, 6)
    assert not boxes.any()
    assert (scores > 0).all()


def test_rows_are_sorted_padded_and_inside(detector: torch.nn.Module) -> None:
    settings = ContractSettings(side=SIDE, iou_threshold=0.5)
    boxes, scores = session(export_detector(detector, settings)).run(["boxes", "scores"], {"images": images(3)})
    assert (np.diff(boxes[..., 4], axis=1) <= 0).all()
    assert not boxes[boxes[..., 4] == 0].any()
    assert boxes[..., :4].min() >= 0
    assert boxes[..., :4].max() <= SIDE
    np.testing.assert_allclose(boxes[:, 0, 4], scores.max(axis=1), atol=1e-6)


def test_overlap_is_dropped_within_a_class_and_kept_between_classes(detector: torch.nn.Module) -> None:
    settings = ContractSettings(side=SIDE, iou_threshold=0.3)
    boxes, _ = session(export_detector(detector, settings)).run(None, {"images": images(4)})
    between = 0.0
    for image in boxes:
        rows = image[image[:, 4] > 0]
        assert len(rows) > 1
        for first in range(len(rows)):
            for second in range(first + 1, len(rows)):
                overlap = iou(rows[first], rows[second])
                if rows[first, 5] == rows[second, 5]:
                    # Boxes are clipped to the image after suppression, which can only raise the overlap at its edge.
                    if inside(rows[first]) and inside(rows[second]):
                        assert overlap <= 0.3 + 1e-4
                else:
                    between = max(between, overlap)
    assert between > 0.3


def iou(first: np.ndarray, second: np.ndarray) -> float:
    width = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return float(width * height / (areas - width * height + 1e-9))


def inside(box: np.ndarray) -> bool:
    return bool(box[:4].min() > 0 and box[:4].max() < SIDE)


def test_classifier_answers_probabilities_only() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, stride=8), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
    )
    classifier = SoftmaxClassifier(network, mean=(0.4, 0.4, 0.4), deviation=(0.2, 0.2, 0.3))
    model = session(export_classifier(classifier, side=SIDE))
    batch = images(3)
    (scores,) = model.run(None, {"images": batch})
    assert [output.name for output in model.get_outputs()] == ["scores"]
    with torch.inference_mode():
        expected = classifier(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255)
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("side", [0, 100])
def test_a_side_the_strides_do_not_divide_is_refused(side: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        ContractSettings(side=side)
