"""Builds the ONNX graphs and manifest.json from weights files.

    python -m dcgmm.export [--reference runs/a/step01800.npz] [--fast runs/fast/step04000.npz]

Weights that are not given are those already in models/onnx. The graphs are written by hand (blocks.py), not
traced: same weights, same bytes.
"""
import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from . import blocks
from .constants import ALIGNMENT, CLASS_NAMES, CLASSES, HALO, MINIMUM_OPTICAL_DENSITY, SUMS
from .graph import DOUBLE, FLOAT, OPSET, UINT8, Graph
from .weights import MODELS, NETWORKS, read_record, read_weights, weights_file

TILE = ("tile", UINT8, ["N", "H", "W", 3])
TYPE_NAMES = {UINT8: "uint8", FLOAT: "float32", DOUBLE: "float64"}

#: Descriptions of the training sets, by the names of their folders.
SOURCES = {
    "osteosarcoma_utsw": ("TCIA Osteosarcoma-Tumor-Assessment, UT Southwestern / UT Dallas (Leavey et al. 2019)", "CC BY 3.0"),
    "oscc_400x": ("Mendeley Data ftmp4cvtmb: histopathological imaging database for oral cancer analysis (Rahman et al.)", "CC BY 4.0"),
    "brecahad": ("figshare 7379186: BreCaHAD, breast cancer histopathological annotation and diagnosis (Aksac et al. 2019)", "CC BY 4.0"),
    "ocdc_rbswap": ("Mendeley Data 9bsc36jyrt: OCDC, oral cavity-derived cancer (dos Santos et al.), red and blue put back in place", "CC BY 4.0"),
}


def statistics_graph(weights: dict[str, np.ndarray], network: str):
    """tile, weight, gain -> sums float64 [N, K, 17] (reference.run_statistics). Foreign colours do not count.

    A row is summed in float32, rows in float64. The network runs twice: on the density as it is, for the seven sums of
    the paper, and on the density times `gain`, for the ten of optical density.
    """
    graph = Graph()
    od = blocks.optical_density(graph, "tile")
    mean, density, cx, cy = blocks.hsd(graph, od)
    weight = graph.node("Unsqueeze", [blocks.cast_float(graph, "weight"), graph.constant([1], np.int64)])
    counted = graph.node("Mul", [weight, blocks.native(graph, od, mean)])
    last = graph.constant([-1], np.int64)

    def sums(responsibilities: str, values: str) -> str:
        """[N, K, H, W], [N, C, H, W] -> rows summed, [N, K, 1 + C, H]."""
        g = graph.node("Unsqueeze", [graph.node("Mul", [responsibilities, counted]), graph.constant([2], np.int64)])
        terms = graph.node("Mul", [g, graph.node("Unsqueeze", [values, graph.constant([1], np.int64)])])
        return graph.node("Concat", [graph.node("ReduceSum", [part, last], keepdims=0) for part in (g, terms)], axis=2)

    x = graph.node("Concat", [density, cx, cy], axis=1)
    paper = sums(
        blocks.responsibilities(graph, density, weights, network),
        graph.node("Concat", [x, graph.node("Mul", [x, x])], axis=1),
    )
    red, green, blue = graph.node("Split", [od], 3, axis=1, num_outputs=3)
    others = graph.node("Concat", [green, blue, red], axis=1)
    squares = [graph.node("Mul", [od, factor]) for factor in (od, others)]
    densities = sums(
        blocks.responsibilities(graph, blocks.gained(graph, mean, "gain"), weights, network),
        graph.node("Concat", [od, *squares], axis=1),
    )
    rows = graph.node("Concat", [paper, densities], axis=2)
    graph.node("ReduceSum", [graph.node("Cast", [rows], to=DOUBLE), last], ["sums"], keepdims=0)
    inputs = [TILE, ("weight", UINT8, ["N", "H", "W"]), ("gain", FLOAT, [1])]
    return graph, inputs, [("sums", DOUBLE, ["N", CLASSES, SUMS])]


def apply_graph(weights: dict[str, np.ndarray], network: str):
    """tile, scale, offset, fade, blueness -> normalized uint8 [N, H, W, 3]. Foreign colours and glass stay as they are."""
    graph = Graph()
    od = blocks.optical_density(graph, "tile")
    mean, density, cx, cy = blocks.hsd(graph, od)
    g = blocks.responsibilities(graph, density, weights, network)
    moved = []
    coefficients = graph.node("Concat", ["scale", "offset"], axis=1)
    kernel = graph.node("Transpose", [coefficients], perm=[1, 0])
    kernel = graph.node("Unsqueeze", [kernel, graph.constant([2, 3], np.int64)])
    mixed = graph.node("Split", [graph.node("Conv", [g, kernel], kernel_shape=[1, 1])], 6, axis=1, num_outputs=6)
    for channel, x in enumerate((density, cx, cy)):
        moved.append(graph.node("Add", [graph.node("Mul", [x, mixed[channel]]), mixed[channel + 3]]))
    levels = blocks.inverse(graph, *moved)
    source = graph.node("Transpose", [blocks.cast_float(graph, "tile")], perm=[0, 3, 1, 2])
    share = graph.node("Mul", [blocks.fade_in(graph, mean, "fade"), blocks.native(graph, od, mean, "blueness")])
    change = graph.node("Mul", [graph.node("Sub", [levels, source]), share])
    rounded = graph.node("Round", [graph.node("Add", [source, change])])
    clipped = graph.node("Clip", [rounded, graph.constant(0), graph.constant(255)])
    octets = graph.node("Cast", [clipped], to=UINT8)
    graph.node("Transpose", [octets], ["normalized"], perm=[0, 2, 3, 1])
    inputs = [
        TILE, ("scale", FLOAT, [CLASSES, 3]), ("offset", FLOAT, [CLASSES, 3]), ("fade", FLOAT, [2]), ("blueness", FLOAT, [1])
    ]
    return graph, inputs, [("normalized", UINT8, ["N", "H", "W", 3])]


BUILDERS = {"statistics": statistics_graph, "apply": apply_graph}


def describe(values) -> list[dict]:
    return [{"name": name, "type": TYPE_NAMES[kind], "shape": shape} for name, kind, shape in values]


def training_entry(record: dict) -> dict:
    """Describes the training in the manifest, from the record in the weights file."""
    data = [
        {"name": name, "source": source, "licence": licence, "images": images}
        for name, images in sorted(record["images"].items())
        for source, licence in [SOURCES.get(name, ("own slides", "not stated"))]
    ]
    return {key: record[key] for key in ("script", "seed", "steps", "loss", "options")} | {"data": data}


DESCRIPTIONS = {
    "reference": "Deep convolutional Gaussian mixture model (Zanjani et al. 2018) for H&E, the published network.",
    "fast": "A small network that answers as the reference does (knowledge distillation), for processors without a GPU.",
}


def identity_of(graphs: dict) -> str:
    """The server's identity of a model: SHA-256 over the digests of both graphs."""
    return hashlib.sha256((graphs["statistics"]["sha256"] + graphs["apply"]["sha256"]).encode()).hexdigest()


def earlier_identities(name: str, folder: Path, weights: str, graphs: dict) -> list[str]:
    """Earlier models in this folder with the same weights: templates made with them remain valid."""
    manifest = folder / "manifest.json"
    models = json.loads(manifest.read_text())["models"] if manifest.exists() else []
    same = [model for model in models if model["name"] == name and model["weights"]["sha256"] == weights]
    known = [sha for model in same for sha in [*model.get("earlier", []), identity_of(model["graphs"])]]
    return [sha for sha in known if sha != identity_of(graphs)]


def export_model(name: str, folder: Path, version: str) -> dict:
    """Writes both graphs of a model and returns its entry in the manifest."""
    stored = weights_file(name, folder)
    weights, record = read_weights(stored), read_record(stored)
    digest = hashlib.sha256(stored.read_bytes()).hexdigest()
    graphs = {}
    for kind, build in BUILDERS.items():
        graph, inputs, outputs = build(weights, name)
        file = f"{name}.{kind}.onnx"
        octets = graph.model(f"dcgmm_{kind}", inputs, outputs, build.__doc__).SerializeToString(deterministic=True)
        (folder / file).write_bytes(octets)
        graphs[kind] = {"file": file, "sha256": hashlib.sha256(octets).hexdigest(),
                        "inputs": describe(inputs), "outputs": describe(outputs)}
        print(f"{file}: {len(octets)} bytes")
    return {
        "name": name,
        "version": version,
        "description": DESCRIPTIONS[name],
        "classes": CLASSES,
        "classNames": list(CLASS_NAMES),
        "opset": OPSET,
        "halo": HALO[name],
        "alignment": ALIGNMENT,
        "minimumOpticalDensity": MINIMUM_OPTICAL_DENSITY,
        "graphs": graphs,
        "weights": {"file": stored.name, "sha256": digest},
        "earlier": earlier_identities(name, folder, digest, graphs),
        "classesOf": record.get("teacherSha256", digest),
        "tolerances": {"greyLevels": 1, "statisticsRelative": 1e-5, "statisticsFloorPerPixel": 0.01},
        "training": training_entry(record),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in NETWORKS:
        parser.add_argument(f"--{name}", type=Path, help=f"weights of the model {name}")
    parser.add_argument("--out", type=Path, default=MODELS)
    parser.add_argument("--version", default="0.4.2")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        given = getattr(options, name)
        if given:
            shutil.copyfile(given, weights_file(name, options.out))
    models = [
        export_model(name, options.out, options.version)
        for name in NETWORKS
        if weights_file(name, options.out).exists()
    ]
    text = json.dumps({"schemaVersion": 1, "models": models}, indent=2) + "\n"
    (options.out / "manifest.json").write_text(text)


if __name__ == "__main__":
    main()
