"""A two-stage release whose answers follow from an image's mean colours: small, deterministic, every route taken."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from varanger.common.releases import GLOBAL, ReleaseManifest, RoutingRule, StageModel, expert_stage, write_manifest

SIDE = 32
GROUPS = {"large": ("red_deer", "wild_boar"), "micro": ("hare", "mouse")}
EVERY = ("red_deer", "wild_boar", "hare", "mouse", "person")
WEIGHTS = {
    "red_deer": (60, -20, -40, -4.0),
    "wild_boar": (-50, 20, 30, -2.0),
    "hare": (-20, 60, -40, -1.0),
    "mouse": (20, -60, 40, -0.5),
    "person": (8, 8, 8, -14.0),
}
"""Class -> weights of the mean red, green and blue (0-1), and a constant: the logit of its score."""


def write_release(folder: Path) -> Path:
    """Write the bundle; its folder."""
    (folder / "models").mkdir(parents=True)
    stages = {GLOBAL: _stage(folder, EVERY)}
    stages |= {expert_stage(group): _stage(folder, species) for group, species in GROUPS.items()}
    manifest = ReleaseManifest(
        name="mean-colours",
        kind="two_stage",
        description="Answers by mean colour. It tests the way of an image, and knows nothing of animals.",
        licence="Apache-2.0",
        stages=stages,
        routing=RoutingRule(groups={name: group for group, names in GROUPS.items() for name in names}),
    )
    write_manifest(manifest, folder)
    return folder


def _stage(folder: Path, classes: tuple[str, ...]) -> StageModel:
    data = _model(classes)
    sha256 = hashlib.sha256(data).hexdigest()
    (folder / "models" / f"{sha256}.onnx").write_bytes(data)
    return StageModel(sha256=sha256, bytes=len(data), classes=classes, input_size=SIDE)


def _model(classes: tuple[str, ...]) -> bytes:
    table = np.array([WEIGHTS[name] for name in classes], np.float32)
    constants = {
        "scale": np.float32(255.0),
        "weights": table[:, :3].T.copy(),
        "bias": table[:, 3].copy(),
        "corner": np.array([[4, 4, 28, 28]], np.float32),
        "two": np.array([1, 4], np.int64),
        "row": np.array([-1, 1, 6], np.int64),
        "rest": np.zeros((1, 299, 6), np.float32),
        "tail": np.array([299, 6], np.int64),
        "four": np.array([4], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        node("ReduceMean", ["floats"], ["means"], axes=[1, 2], keepdims=0),
        node("Div", ["means", "scale"], ["shares"]),
        node("Gemm", ["shares", "weights", "bias"], ["logits"]),
        node("Sigmoid", ["logits"], ["scores"]),
        node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=1),
        node("ArgMax", ["scores"], ["index"], axis=1, keepdims=1),
        node("Cast", ["index"], ["class"], to=TensorProto.FLOAT),
        node("Shape", ["best"], ["column"]),
        node("Slice", ["column", "zero", "one"], ["count"]),
        node("Concat", ["count", "four"], ["corners_shape"], axis=0),
        node("Expand", ["corner", "corners_shape"], ["corners"]),
        node("Concat", ["corners", "best", "class"], ["flat"], axis=1),
        node("Reshape", ["flat", "row"], ["first"]),
        node("Concat", ["count", "tail"], ["rest_shape"], axis=0),
        node("Expand", ["rest", "rest_shape"], ["others"]),
        node("Concat", ["first", "others"], ["boxes"], axis=1),
    ]
    constants |= {"zero": np.array([0], np.int64), "one": np.array([1], np.int64)}
    del constants["two"]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 300, 6]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", len(classes)]),
    ]
    kept = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "mean-colours", [images], outputs, kept),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 9
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
