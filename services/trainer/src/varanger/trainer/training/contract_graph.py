"""The model contract as ONNX operators around an exported network (docs/decisions/0010).

Only operators of opset 17 that ONNX Runtime runs on a CPU and in Triton's onnxruntime backend. The steps are those of
``contract_reference``; each line below names what it computes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from varanger.trainer.training.contract_reference import MAX_DETECTIONS, ContractSettings

OPSET = 17
#: Names the exported network must use at its seams.
PIXELS, CORNERS, CANDIDATE_SCORES = "pixels", "candidate_corners", "candidate_scores"


_Attribute = int | list[int] | onnx.TensorProto


class _Graph:
    """Collects nodes and constants under a prefix, so that they cannot collide with the network's own names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """Add a constant and return its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"varanger/{name}"))
        return f"varanger/{name}"

    def add(
        self,
        operator: str,
        inputs: list[str],
        output: str | list[str],
        **attributes: int | list[int] | onnx.TensorProto,
    ) -> str:
        """Add a node and return its first output."""
        outputs = [output] if isinstance(output, str) else output
        node_name = f"varanger/{operator}_{len(self.nodes)}"
        make_node: Callable[..., onnx.NodeProto] = helper.make_node
        self.nodes.append(make_node(operator, inputs, outputs, name=node_name, **attributes))
        return outputs[0]


def _bytes_to_pixels(graph: _Graph, output: str) -> None:
    """uint8 [N, S, S, 3] to float [N, 3, S, S] in 0-1."""
    planes = graph.add("Transpose", ["images"], "varanger/planes", perm=[0, 3, 1, 2])
    floats = graph.add("Cast", [planes], "varanger/floats", to=TensorProto.FLOAT)
    graph.add("Div", [floats, graph.constant("255", np.float32(255.0))], output)


def _suppress(graph: _Graph, settings: ContractSettings, anchors: int, classes: int) -> None:
    """Candidates [N, A, 4] and [N, C, A] to ``boxes`` [N, 300, 6] and ``scores`` [N, C]."""
    graph.add("ReduceMax", [CANDIDATE_SCORES], "scores", axes=[2], keepdims=0)
    best = graph.add("ReduceMax", [CANDIDATE_SCORES], "varanger/best", axes=[1], keepdims=0)  # [N, A]
    label = graph.add("ArgMax", [CANDIDATE_SCORES], "varanger/label", axis=1, keepdims=0)  # [N, A]

    # Each anchor speaks for its best class only; NonMaxSuppression then works class by class.
    depth = graph.constant("classes", np.int64(classes))
    one_hot = graph.add(
        "OneHot", [label, depth, graph.constant("off_on", np.array([0, 1], np.float32))], "varanger/one_hot", axis=1
    )
    own = graph.add("Mul", [one_hot, CANDIDATE_SCORES], "varanger/own_scores")  # [N, C, A]
    limits = [
        graph.constant("max_detections", np.array([MAX_DETECTIONS], np.int64)),
        graph.constant("iou_threshold", np.array([settings.iou_threshold], np.float32)),
        graph.constant("detection_floor", np.array([settings.detection_floor], np.float32)),
    ]
    selected = graph.add("NonMaxSuppression", [CORNERS, own, *limits], "varanger/selected")  # [M, 3]

    # Mark the kept anchors, then rank by score: one TopK sorts and cuts every image of the batch.
    image_and_anchor = graph.add(
        "Gather", [selected, graph.constant("columns", np.array([0, 2], np.int64))], "varanger/kept_at", axis=1
    )
    rows = graph.add("Shape", [selected], "varanger/selected_count", start=0, end=1)
    ones = graph.add(
        "ConstantOfShape", [rows], "varanger/ones", value=helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    )
    nothing = graph.add("ConstantOfShape", [graph.add("Shape", [best], "varanger/best_shape")], "varanger/nothing")
    kept = graph.add("ScatterND", [nothing, image_and_anchor, ones], "varanger/kept")
    kept_scores = graph.add("Mul", [best, kept], "varanger/kept_scores")
    top = min(MAX_DETECTIONS, anchors)
    graph.add(
        "TopK",
        [kept_scores, graph.constant("top", np.array([top], np.int64))],
        ["varanger/ranked_scores", "varanger/ranked_anchors"],
        axis=1,
    )

    last = graph.constant("last_axis", np.array([-1], np.int64))
    where = graph.add("Unsqueeze", ["varanger/ranked_anchors", last], "varanger/ranked_index")
    corners = graph.add("GatherND", [CORNERS, where], "varanger/ranked_corners", batch_dims=1)
    edges = [graph.constant("zero", np.float32(0)), graph.constant("side", np.float32(settings.side))]
    inside = graph.add("Clip", [corners, *edges], "varanger/ranked_inside")
    score = graph.add("Unsqueeze", ["varanger/ranked_scores", last], "varanger/ranked_score")
    ranked_label = graph.add("GatherND", [label, where], "varanger/ranked_label", batch_dims=1)
    ranked_class = graph.add("Cast", [ranked_label], "varanger/ranked_float", to=TensorProto.FLOAT)
    column = graph.add("Unsqueeze", [ranked_class, last], "varanger/ranked_class")
    answer = graph.add("Concat", [inside, score, column], "varanger/ranked_rows", axis=2)
    is_kept = graph.add("Greater", [score, edges[0]], "varanger/is_kept")
    mask = graph.add("Cast", [is_kept], "varanger/mask", to=TensorProto.FLOAT)
    graph.add("Mul", [answer, mask], "varanger/kept_rows")
    padding = graph.constant("padding", np.array([0, 0, 0, 0, MAX_DETECTIONS - top, 0], np.int64))
    graph.add("Pad", ["varanger/kept_rows", padding, edges[0]], "boxes")


def detector_graph(network: onnx.ModelProto, settings: ContractSettings, anchors: int, classes: int) -> onnx.ModelProto:
    """Put normalisation before and non-maximum suppression behind an exported candidate network.

    Args:
        network: from float ``pixels`` [N, 3, S, S] to ``candidate_corners`` [N, A, 4] and
            ``candidate_scores`` [N, C, A].
        settings: side, overlap and floor, fixed into the graph.
        anchors: A.
        classes: C.

    Returns:
        a checked model with the contract's input and outputs.
    """
    before, after = _Graph(), _Graph()
    _bytes_to_pixels(before, PIXELS)
    _suppress(after, settings, anchors, classes)
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", MAX_DETECTIONS, 6]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", classes]),
    ]
    return _assemble(network, before, after, settings.side, outputs)


def classifier_graph(network: onnx.ModelProto, side: int, classes: int) -> onnx.ModelProto:
    """Put normalisation before an exported classifier whose output is already ``scores`` [N, C]."""
    before = _Graph()
    _bytes_to_pixels(before, PIXELS)
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", classes])]
    return _assemble(network, before, _Graph(), side, outputs)


def _assemble(
    network: onnx.ModelProto, before: _Graph, after: _Graph, side: int, outputs: list[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", side, side, 3])]
    graph = helper.make_graph(
        [*before.nodes, *network.graph.node, *after.nodes],
        "varanger",
        inputs,
        outputs,
        initializer=[*network.graph.initializer, *before.constants, *after.constants],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="varanger", ir_version=8
    )
    onnx.checker.check_model(model, full_check=True)
    return model
