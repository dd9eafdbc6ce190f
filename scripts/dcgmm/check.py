"""Checks the model files without training: SHA-256, interface, parity with the reference vectors, tiling.

    python -m dcgmm.check        (numpy, onnx and onnxruntime only; exit code 1 on any failure)
"""
import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from .graph import IR_VERSION
from .weights import MODELS

VECTORS = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "parity"
FAILURES: list[str] = []


def expect(condition: bool, text: str) -> None:
    print(("ok      " if condition else "FAILED  ") + text)
    if not condition:
        FAILURES.append(text)


def matches(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check_graph(model: dict, name: str) -> None:
    """Checks file, opset and interface of one graph against the manifest."""
    graph = model["graphs"][name]
    path = MODELS / graph["file"]
    expect(matches(path, graph["sha256"]), f"{graph['file']}: SHA-256")
    proto = onnx.load(str(path))
    onnx.checker.check_model(proto, full_check=True)
    expect(proto.ir_version <= IR_VERSION, f"{graph['file']}: IR version {proto.ir_version}")
    expect(proto.opset_import[0].version == model["opset"] <= 21, f"{graph['file']}: opset {model['opset']}")
    for side, values in (("inputs", proto.graph.input), ("outputs", proto.graph.output)):
        found = [(v.name, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]) for v in values]
        expect(found == [(v["name"], v["shape"]) for v in graph[side]], f"{graph['file']}: {side}")


def read_case(case: dict) -> dict[str, np.ndarray]:
    """The arrays of one vector; a wrong SHA-256 is a failure."""
    arrays = {}
    for key, entry in case["arrays"].items():
        path = VECTORS / entry["file"]
        expect(matches(path, entry["sha256"]), f"{entry['file']}: SHA-256")
        dtype = np.dtype(entry["type"]).newbyteorder("<")
        arrays[key] = np.fromfile(path, dtype).reshape(entry["shape"])
    return arrays


def check_parity(model: dict, sessions: dict) -> None:
    """Checks every vector: relative error of the sums, grey levels of the output."""
    index = json.loads((VECTORS / "index.json").read_text())
    expected = index["weightsSha256"][model["name"]]
    expect(expected == model["weights"]["sha256"], f"{model['name']}: vectors and graphs are of the same weights")
    floor = index["tolerances"]["statisticsFloorPerPixel"]
    for case in index["cases"]:
        a = read_case(case)
        sums = sessions["statistics"].run(None, {"tile": a["tile"], "weight": a["weight"], "gain": a["gain"]})[0]
        pixels = max(1.0, float(a["weight"].sum()))
        error = float((np.abs(sums - a[f"{model['name']}.sums"]) / np.maximum(np.abs(a[f"{model['name']}.sums"]), floor * pixels)).max())
        expect(error <= model["tolerances"]["statisticsRelative"], f"{model['name']}, {case['name']}: sums, relative error {error:.1e}")
        inputs = {key: a[key] for key in ("tile", "scale", "offset", "fade", "blueness")}
        levels = sessions["apply"].run(None, inputs)[0]
        worst = float(np.abs(levels - a[f"{model['name']}.levels"].astype(np.float64)).max())
        expect(worst <= model["tolerances"]["greyLevels"], f"{model['name']}, {case['name']}: output within {worst:.3f} grey levels")


def tile_origins(length: int, tile: int) -> list[int]:
    """Origins of windows of `tile` pixels that cover the length, the last one shifted inward."""
    return sorted({min(at, length - tile) for at in range(0, length, tile - 64)})


def check_tiling(model: dict, threads: int, size: tuple[int, int], tile: int) -> None:
    """Tile-wise output with the manifest's halo must equal the output of the whole image, bit by bit."""
    random = np.random.default_rng(size[0])
    height, width = size
    small = random.uniform(0, 255, (1, height // 8 + 1, width // 8 + 1, 3)).repeat(8, 1).repeat(8, 2)[:, :height, :width]
    image = np.clip(small + random.normal(0, 12, small.shape), 0, 255).astype(np.uint8)
    ones = np.ones((model["classes"], 3), np.float32)
    coefficients = {"scale": ones * np.float32(0.8), "offset": ones * np.float32(0.05), "fade": np.array([0.03, 0.1], np.float32),
                    "blueness": np.array([0.1], np.float32)}
    coefficients["offset"] *= np.arange(model["classes"], dtype=np.float32)[:, None]
    apply = session(MODELS / model["graphs"]["apply"]["file"], threads)
    whole = apply.run(None, {"tile": image, **coefficients})[0]
    halo, pasted = model["halo"], np.zeros_like(whole)
    for top in tile_origins(height, tile):
        for left in tile_origins(width, tile):
            window = np.ascontiguousarray(image[:, top : top + tile, left : left + tile])
            part = apply.run(None, {"tile": window, **coefficients})[0]
            inner = [0 if at == 0 else halo for at in (top, left)]
            outer = [tile if at + tile == end else tile - halo for at, end in ((top, height), (left, width))]
            rows, columns = slice(inner[0], outer[0]), slice(inner[1], outer[1])
            pasted[:, top + inner[0] : top + outer[0], left + inner[1] : left + outer[1]] = part[:, rows, columns]
    different = int((pasted != whole).sum())
    expect(different == 0, f"{model['name']}, tiles of {tile} equal the whole {width} x {height}, {threads} thread(s): {different} values differ")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    manifest = json.loads((MODELS / "manifest.json").read_text())
    for model in manifest["models"]:
        expect(matches(MODELS / model["weights"]["file"], model["weights"]["sha256"]), f"{model['weights']['file']}: SHA-256")
        for name in model["graphs"]:
            check_graph(model, name)
        check_parity(model, {name: session(MODELS / graph["file"]) for name, graph in model["graphs"].items()})
        for threads in (1, 2):
            for size, tile in (((256, 320), 128), ((212, 372), 160), ((200, 200), 100)):
                check_tiling(model, threads, size, tile)
    print(f"{len(FAILURES)} failures")
    sys.exit(1 if FAILURES else 0)


if __name__ == "__main__":
    main()
