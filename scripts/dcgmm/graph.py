"""A thin writer of ONNX graphs: one method per operator, with generated value names."""
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
#: Accepted by every onnxruntime since 1.14.
IR_VERSION = 8


class Graph:
    """Collects nodes and initialisers; every operator method takes and returns value names."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._count = 0
        self._constants: dict[tuple, str] = {}

    def node(self, operator: str, inputs: Sequence[str], outputs: int | Sequence[str] = 1, **attributes):
        """Adds a node; returns the name of its output, or a list of names."""
        self._count += 1
        names = [f"{operator}_{self._count}_{i}" for i in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self.nodes.append(helper.make_node(operator, list(inputs), names, f"{operator}_{self._count}", **attributes))
        return names[0] if len(names) == 1 else names

    def constant(self, value, dtype=np.float32, name: str | None = None) -> str:
        """An initialiser; equal constants are stored once."""
        array = np.ascontiguousarray(np.asarray(value, dtype))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name or f"constant_{len(self._constants)}"
            self.initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def convolve(self, x: str, weight: np.ndarray, bias: np.ndarray, pads: Sequence[int], name: str, relu: bool = True) -> str:
        """Convolution of stride 1; pads = [top, left, bottom, right]."""
        operands = [x, self.constant(weight, name=f"{name}.weight"), self.constant(bias, name=f"{name}.bias")]
        y = self.node("Conv", operands, kernel_shape=weight.shape[2:], pads=list(pads))
        return self.node("Relu", [y]) if relu else y

    def model(self, name: str, inputs: Sequence, outputs: Sequence, description: str) -> onnx.ModelProto:
        """The checked model; inputs and outputs are (name, TensorProto type, shape)."""
        values = [[helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, name, values[0], values[1], self.initializers, description)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="dcgmm")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model


UINT8, INT32, FLOAT, DOUBLE = TensorProto.UINT8, TensorProto.INT32, TensorProto.FLOAT, TensorProto.DOUBLE
