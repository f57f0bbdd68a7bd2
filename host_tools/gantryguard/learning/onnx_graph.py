"""A trained network as a quantised ONNX graph that any runtime can check us with.

Standard operators only (DequantizeLinear, Gemm, Relu, QuantizeLinear), int8 with zero point 0 and power-of-two scales,
int32 biases. Every accumulator lies below 2^24 (`quantise.prove`), so float32 holds it exactly and onnxruntime gives the
device's integers, bit for bit. The same network gives the same bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # the package ships no types
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gantryguard.learning.quantise import SIGNED, prove
from gantryguard.profiles.nets import TrainedLayer, TrainedNet

OPSET = 17
IR_VERSION = 8  # the one that goes with opset 17
INPUT, OUTPUT = "inputs", "outputs"


def export(net: TrainedNet) -> bytes:
    """The graph: input int8 (n, n_in) of 0..127, output int8 (n, n_out). Raises UserError (exit 4) as `prove` does."""
    prove(net)
    nodes: list[onnx.NodeProto] = []
    constants = [_constant("unit", np.float32(1.0)), _constant("zero", np.int8(0)), _constant("zero32", np.int32(0))]
    source = INPUT
    for index, layer in enumerate(net.layers):
        target = OUTPUT if index == len(net.layers) - 1 else f"activation{index}"
        nodes += _layer(layer, f"layer{index}", source, target, constants)
        source = target
    graph = helper.make_graph(
        nodes,
        net.name,
        [helper.make_tensor_value_info(INPUT, TensorProto.INT8, ["n", net.layers[0].weights.shape[1]])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.INT8, ["n", net.layers[-1].weights.shape[0]])],
        constants,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="gantryguard", producer_version="1"
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _constant(name: str, value: NDArray[Any] | np.generic) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def _layer(layer: TrainedLayer, name: str, source: str, target: str, constants: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """Dequantise, multiply and add, rectify, quantise; activations have the scale 1, weights and biases 2^-shift."""
    constants += [
        _constant(f"{name}.weights", layer.weights.astype(np.int8)),
        _constant(f"{name}.bias", layer.bias.astype(np.int32)),
        _constant(f"{name}.scale", np.float32(2.0**-layer.shift)),
    ]
    summed, kept = f"{name}.sum", f"{name}.kept"
    nodes = [
        helper.make_node("DequantizeLinear", [source, "unit", "zero"], [f"{name}.source"]),
        helper.make_node("DequantizeLinear", [f"{name}.weights", f"{name}.scale", "zero"], [f"{name}.w"]),
        helper.make_node("DequantizeLinear", [f"{name}.bias", f"{name}.scale", "zero32"], [f"{name}.b"]),
        helper.make_node("Gemm", [f"{name}.source", f"{name}.w", f"{name}.b"], [summed], transB=1),
    ]
    if (layer.lowest, layer.highest) != SIGNED:
        nodes.append(helper.make_node("Relu", [summed], [kept]))
    last = kept if len(nodes) > 4 else summed
    return [*nodes, helper.make_node("QuantizeLinear", [last, "unit", "zero"], [target])]


def run(model: bytes, inputs: NDArray[np.integer], *, optimise: bool = True) -> NDArray[np.int32]:
    """Outputs int32 (n, n_out) of onnxruntime on one thread, for inputs 0..127 of shape (n, n_in)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    outputs = session.run([OUTPUT], {INPUT: np.ascontiguousarray(inputs, dtype=np.int8)})[0]
    return np.asarray(outputs, dtype=np.int32)
