"""A release whose models can be read by eye: they see the colour of an image, so every answer is known beforehand."""

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from varanger.common.releases import ReleaseManifest, RoutingRule, StageModel, write_manifest

SIDE = 64
BOX = (16.0, 16.0, 48.0, 48.0)
"""Where every detector sees what it sees, pixels; the middle half of the square."""


def colour_model(*, gain: float = 1.0, detector: bool = True) -> bytes:
    """Class scores are gain x the mean red, green and blue; a detector's one box has the highest of them."""
    constants = {
        "scale": np.float32(gain / 255.0),
        "one": np.float32(1.0),
        "corners": np.array([BOX], np.float32),
        "count_axis": np.array([1], np.int64),
        "row_axis": np.array([1], np.int64),
        "padding": np.array([0, 0, 0, 0, 299, 0], np.int64),
        "four": np.array([4], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["colour"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["colour", "scale"], ["raised"]),
        helper.make_node("Min", ["raised", "one"], ["scores"]),
    ]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])]
    if detector:
        nodes += [
            helper.make_node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=1),
            helper.make_node("ArgMax", ["scores"], ["index"], axis=1, keepdims=1),
            helper.make_node("Cast", ["index"], ["class"], to=TensorProto.FLOAT),
            helper.make_node("Shape", ["best"], ["both"]),
            helper.make_node("Slice", ["both", "zero", "row_axis"], ["count"]),
            helper.make_node("Concat", ["count", "four"], ["shape"], axis=0),
            helper.make_node("Expand", ["corners", "shape"], ["where"]),
            helper.make_node("Concat", ["where", "best", "class"], ["row"], axis=1),
            helper.make_node("Unsqueeze", ["row", "row_axis"], ["rows"]),
            helper.make_node("Pad", ["rows", "padding"], ["boxes"]),
        ]
        constants["zero"] = np.array([0], np.int64)
        outputs.insert(0, helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 300, 6]))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    kept = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "colour", [images], outputs, kept), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    return bytes(model.SerializeToString())


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """A uniform image."""
    buffer = BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_release(
    folder: Path, models: dict[str, tuple[bytes, Sequence[str]]], *, kind: str, image: str, **rule: object
) -> ReleaseManifest:
    """A bundle folder with these models."""
    (folder / "models").mkdir(parents=True)
    stages = {}
    for name, (data, classes) in models.items():
        stage = StageModel(
            sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), classes=tuple(classes), input_size=SIDE
        )
        (folder / stage.path).write_bytes(data)
        stages[name] = stage
    manifest = ReleaseManifest.model_validate(
        {
            "name": "colours",
            "kind": kind,
            "description": "red, green and blue",
            "licence": "Apache-2.0",
            "stages": stages,
            "image": image,
            "routing": RoutingRule.model_validate(rule),
        }
    )
    write_manifest(manifest, folder)
    return manifest


class Colours:
    """What tests need, as one fixture, since test files cannot import one another."""

    side = SIDE
    jpeg = staticmethod(jpeg)
    hare, red_deer, person, blank = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
    faint_deer = (0, 50, 0)
    """Below the floor of the global model; the large expert sees four times as well."""

    @staticmethod
    def two_stage(folder: Path, image: str = "view") -> ReleaseManifest:
        """Global: red is a hare, green a deer, blue a person. The small expert calls red a rabbit."""
        models = {
            "global": (colour_model(), ("hare", "red_deer", "person")),
            "expert:small": (colour_model(gain=0.9), ("rabbit", "hare", "small_2")),
            "expert:large": (colour_model(gain=4.0), ("large_0", "red_deer", "large_2")),
        }
        groups = {"hare": "small", "red_deer": "large"}
        return write_release(folder, models, kind="two_stage", image=image, groups=groups)

    @staticmethod
    def classifier(folder: Path) -> ReleaseManifest:
        """Red is a lemming, green empty, blue of bad quality."""
        models = {"classifier": (colour_model(detector=False), ("lemming", "empty", "bad_quality"))}
        return write_release(folder, models, kind="classifier", image="view")


@pytest.fixture
def colours() -> type[Colours]:
    return Colours
