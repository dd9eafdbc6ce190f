"""Speed of the graphs on one core, and the gain from 8-bit integers.

    python -m evaluation.speed --data ../../shared/data

The best of several runs. The graphs run in turn, so that a busy machine slows all of them; ratios are relative to `reference`.
"""
import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from dcgmm.sources import read_sources
from dcgmm.weights import MODELS, NETWORKS

from .tables import table

TILE, RUNS = 512, 5
COLUMNS = {"graph": "graph", "megapixelsPerSecond": "Mpx/s, 1 thread", "ratio": "times reference", "mean": "mean difference, grey levels", "p99": "99th percentile"}


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def inputs(tile: np.ndarray) -> dict[str, np.ndarray]:
    """An ordinary transfer of one tile [H, W, 3]."""
    scale, offset = np.full((4, 3), 1.2, np.float32), np.linspace(-0.1, 0.1, 12, dtype=np.float32).reshape(4, 3)
    return {"tile": tile[None], "scale": scale, "offset": offset, "fade": np.array([0.05, 0.1], np.float32),
            "blueness": np.zeros(1, np.float32)}


class Tiles(CalibrationDataReader):
    """Inputs that determine the ranges of the 8-bit integers."""

    def __init__(self, tiles: list[np.ndarray]):
        self.rest = iter([inputs(tile) for tile in tiles])

    def get_next(self):
        return next(self.rest, None)


def in_integers(path: Path, folder: Path, tiles: list[np.ndarray]) -> Path:
    """The graph with the convolutions of its network in 8-bit integers; the first and last stay unchanged."""
    import onnx

    prepared, result = folder / f"prepared.{path.name}", folder / f"int8.{path.name}"
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    convolutions = [node.name for node in onnx.load(str(prepared)).graph.node if node.op_type == "Conv"]
    # The very last one mixes the coefficients and is not part of the network.
    quantize_static(str(prepared), str(result), Tiles(tiles), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=convolutions[1:-2])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    slides, held_out = read_sources(options.data / "train", 2)
    middle = lambda s: np.ascontiguousarray(s.pixels[:TILE, :TILE])  # noqa: E731
    tiles = [middle(slide) for slide in held_out]
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: MODELS / f"{name}.apply.onnx" for name in NETWORKS}
        for name in NETWORKS:
            paths[f"{name}, int8"] = in_integers(paths[name], Path(folder), [middle(slide) for slide in slides[::12]])
        sessions = {name: session(path) for name, path in paths.items()}
        best = dict.fromkeys(sessions, np.inf)
        for _ in range(RUNS):
            for name, each in sessions.items():
                begin = time.perf_counter()
                each.run(None, inputs(tiles[0]))
                best[name] = min(best[name], time.perf_counter() - begin)
        results = {name: [each.run(None, inputs(tile))[0].astype(int) for tile in tiles] for name, each in sessions.items()}
    rows = []
    for name, seconds in best.items():
        differences = np.concatenate([np.abs(a - b).ravel() for a, b in zip(results[name], results[name.split(",")[0]])])
        exact = "," not in name
        rows.append({"graph": name, "megapixelsPerSecond": TILE**2 / 1e6 / seconds, "ratio": best["reference"] / seconds,
                     "mean": None if exact else float(differences.mean()), "p99": None if exact else float(np.percentile(differences, 99))})
    print(table(COLUMNS, rows))


if __name__ == "__main__":
    main()
