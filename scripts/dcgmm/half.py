"""The shipped graphs with the network in 16-bit floats, to measure on a GPU; they are not shipped.

    python -m dcgmm.half --out FOLDER        (onnx and numpy only)

Colour space, softmax, mixing and inverse stay in 32 bits: values are cast once before the first convolution and once
after the last.
"""
import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .weights import MODELS, NETWORKS

GRAPHS = ("statistics", "apply")


def in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed in place. A run of the network is what lies from its first to its last convolution with a bias;
    the statistics graph has two, of the same weights."""
    graph = model.graph
    nodes = list(graph.node)
    convolutions = [i for i, node in enumerate(nodes) if node.op_type == "Conv" and len(node.input) == 3]
    begins = [i for i in convolutions if nodes[i].input[1] == nodes[convolutions[0]].input[1]]
    weights = {name for i in convolutions for name in nodes[i].input[1:]}
    for tensor in graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    # From the end, so that earlier positions stay valid.
    for number, first in reversed(list(enumerate(begins))):
        last = max(i for i in convolutions if number + 1 == len(begins) or i < begins[number + 1])
        entry, exit = nodes[first].input[0], nodes[last].output[0]
        nodes[first].input[0] = f"{entry}.half"
        nodes[last].output[0] = f"{exit}.half"
        after = helper.make_node("Cast", [f"{exit}.half"], [exit], f"from_half_{number}", to=TensorProto.FLOAT)
        before = helper.make_node("Cast", [entry], [f"{entry}.half"], f"to_half_{number}", to=TensorProto.FLOAT16)
        nodes[last + 1 : last + 1] = [after]
        nodes[first:first] = [before]
        convolutions = [i for i in convolutions if i < first]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        for graph in GRAPHS:
            model = in_half(onnx.load(str(MODELS / f"{name}.{graph}.onnx")))
            onnx.save(model, str(options.out / f"{name}.{graph}.onnx"))


if __name__ == "__main__":
    main()
