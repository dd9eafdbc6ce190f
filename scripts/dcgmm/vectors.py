"""Writes the parity vectors: inputs and float64-reference outputs that every runtime must reproduce.

    python -m dcgmm.vectors --data /path/to/train

test/fixtures/parity holds them for every model, test/fixtures/transfer.json the coefficients of transfer.py.
index.json names every case, its provenance and its raw little-endian arrays. Expected sums are float64,
expected levels the float64 result before rounding, stored as float32.
"""
import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from .constants import CLASSES
from normalize_tile import normalize_tile

from . import linear, transfer
from .reference import run_statistics, run_transfer
from .weights import NETWORKS, read_weights, weights_file

VECTORS = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "parity"
MADE_HERE = {"provenance": "computed by scripts/dcgmm/vectors.py", "licence": "Apache-2.0"}

#: Coefficients of realistic size, one per class, channels D, cx, cy.
SCALE = np.array([[1.25, 0.8, 0.9], [0.7, 1.4, 1.1], [1.1, 0.6, 1.3], [0.9, 1.0, 0.5]], np.float32)
OFFSET = np.array([[-0.1, 0.12, -0.05], [0.15, -0.2, 0.1], [0.02, 0.07, -0.12], [0.01, 0.0, 0.05]], np.float32)
IDENTITY = (np.ones((CLASSES, 3), np.float32), np.zeros((CLASSES, 3), np.float32))
NO_FADE = np.array([-1, -0.5], np.float32)
FADE = np.array([0.03, 0.09], np.float32)
BLUENESS = np.array([0.15], np.float32)
GAIN = np.array([1.25], np.float32)


def crop(path: Path, left: int, top: int, width: int, height: int) -> np.ndarray:
    """uint8 [height, width, 3] of an image file."""
    return np.asarray(Image.open(path).convert("RGB"))[top : top + height, left : left + width]


def saturated(height: int, width: int) -> np.ndarray:
    """Squares of the pure colours, 0 and 255 in every combination, and some in between."""
    levels = np.array([[r, g, b] for r in (0, 128, 255) for g in (0, 1, 255) for b in (0, 254, 255)], np.uint8)
    rows, columns = np.mgrid[:height, :width] // 8
    return levels[(rows * 7 + columns) % len(levels)]


def ramp() -> np.ndarray:
    """All 256 greys, one per column, 8 rows: [8, 256, 3]."""
    return np.repeat(np.tile(np.arange(256, dtype=np.uint8), (8, 1))[..., None], 3, 2)


def inked(tile: np.ndarray) -> np.ndarray:
    """Bars of ink in the colours that must stay unchanged, half transparent at their edges."""
    result = tile.astype(np.float64)
    for row, colour in enumerate(((20, 120, 60), (30, 50, 190), (25, 25, 28), (110, 60, 25))):
        part = result[:, 8 + 20 * row : 20 + 20 * row, 8:-8]
        part[:] = part * np.array(colour) / 255
    return result.round().astype(np.uint8)


def cases(data: Path):
    """(name, facts, tile [N, H, W, 3], weight [N, H, W], scale, offset, fade)."""
    random = np.random.default_rng(20181)

    def tissue(file: str, source: str, licence: str, *window: int):
        facts = {"provenance": f"{source}, {file}, left {window[0]} top {window[1]} {window[2]} x {window[3]}", "licence": licence}
        return facts, crop(data / file, *window)[None]

    def whole(tile: np.ndarray) -> np.ndarray:
        return np.ones(tile.shape[:3], np.uint8)

    facts, tile = tissue("brecahad/10021.jpg", "BreCaHAD (figshare 7379186)", "CC BY 4.0", 160, 200, 128, 96)
    weight = whole(tile)
    weight[:, :16] = weight[:, -16:] = weight[:, :, :16] = weight[:, :, -16:] = 0
    yield "breast-halo", facts, tile, weight, SCALE, OFFSET, FADE
    file = sorted((data / "ocdc_rbswap").iterdir())[4].relative_to(data).as_posix()
    facts, tile = tissue(file, "OCDC (Mendeley 9bsc36jyrt), red and blue exchanged", "CC BY 4.0", 64, 240, 100, 132)
    yield "oral-identity", facts, tile, whole(tile), *IDENTITY, NO_FADE
    file = "osteosarcoma_utsw/Viable___Case-4-C22-39386-26786_108.jpg"
    facts, one = tissue(file, "TCIA Osteosarcoma-Tumor-Assessment", "CC BY 3.0", 300, 300, 64, 64)
    _, two = tissue(file, "", "", 500, 100, 64, 64)
    facts["provenance"] += " and left 500 top 100, as a batch"
    pair = np.concatenate((one, two))
    yield "bone-batch", facts, pair, random.integers(0, 2, pair.shape[:3], np.uint8), SCALE, OFFSET, FADE
    glass = random.integers(238, 256, (1, 64, 96, 3), np.uint8)
    yield "glass", MADE_HERE, glass, whole(glass), SCALE, OFFSET, FADE
    white = np.full((1, 16, 24, 3), 255, np.uint8)
    yield "white-no-fade", MADE_HERE, white, whole(white), SCALE, OFFSET, NO_FADE
    black = np.zeros((1, 32, 48, 3), np.uint8)
    yield "black", MADE_HERE, black, whole(black), SCALE, OFFSET, FADE
    colours = saturated(72, 88)[None]
    yield "saturated", MADE_HERE, colours, whole(colours), SCALE, OFFSET, FADE
    greys = ramp()[None]
    yield "grey-ramp", MADE_HERE, greys, whole(greys), *IDENTITY, FADE
    ink = inked(crop(data / "brecahad/10021.jpg", 160, 200, 96, 96)[None])
    yield "inked", MADE_HERE | {"licence": "CC BY 4.0", "provenance": "BreCaHAD (figshare 7379186), brecahad/10021.jpg, with ink drawn on it"}, ink, whole(ink), SCALE, OFFSET, FADE
    noise = random.integers(0, 256, (1, 52, 76, 3), np.uint8)
    yield "noise", MADE_HERE, noise, random.integers(0, 2, (1, 52, 76), np.uint8), SCALE, OFFSET, NO_FADE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=VECTORS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, facts, tile, weight, scale, offset, fade in cases(options.data):
        arrays = {"tile": tile, "weight": weight, "scale": scale, "offset": offset, "fade": fade, "blueness": BLUENESS, "gain": GAIN}
        for model in NETWORKS:
            weights = read_weights(weights_file(model))
            wide = scale.astype(np.float64), offset.astype(np.float64)
            arrays[f"{model}.sums"] = run_statistics(tile, weight, float(GAIN[0]), weights, model)
            arrays[f"{model}.levels"] = run_transfer(tile, *wide, fade, BLUENESS, weights, model).astype(np.float32)
        files = {}
        for key, array in arrays.items():
            file = f"{name}.{key}.bin"
            octets = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
            (options.out / file).write_bytes(octets)
            files[key] = {"file": file, "type": str(array.dtype), "shape": list(array.shape),
                          "sha256": hashlib.sha256(octets).hexdigest()}
        entries.append({"name": name, **facts, "arrays": files})
        print(name, tile.shape, file=sys.stderr)
    index = {
        "schemaVersion": 2, "byteOrder": "little",
        "weightsSha256": {model: hashlib.sha256(weights_file(model).read_bytes()).hexdigest() for model in NETWORKS},
        "tolerances": {"greyLevels": 1, "statisticsRelative": 1e-5, "statisticsFloorPerPixel": 0.01}, "cases": entries,
    }
    (options.out / "index.json").write_text(json.dumps(index, indent=2) + "\n")
    (options.out.parent / "transfer.json").write_text(json.dumps(list(transfers()), indent=1) + "\n")


def transfers():
    """Stains and the results of both transfers: ordinary ones, absent classes, every kind of glass."""
    random = np.random.default_rng(40)

    def some(glass: float, absent: tuple[int, ...] = ()) -> transfer.Stain:
        def shares() -> np.ndarray:
            share = random.uniform(0.1, 1, CLASSES)
            share[list(absent)] = 0.001
            return share / share.sum()

        mean = random.uniform([0.05, -0.5, 0.1], [1.4, 0.3, 0.8], (CLASSES, 3))
        spread = random.normal(0, 0.1, (CLASSES, 3, 3))
        densities = transfer.Densities(
            shares(), random.uniform(0.05, 1.2, (CLASSES, 3)), spread @ spread.transpose(0, 2, 1) + 1e-3 * np.eye(3)
        )
        return transfer.Stain(shares(), mean, random.uniform(0.02, 0.5, (CLASSES, 3)), densities, glass)

    def plain(stain: transfer.Stain) -> dict:
        triples = zip(stain.share.tolist(), stain.mean.tolist(), stain.sd.tolist())
        d = stain.densities
        return {
            "classes": [{"share": s, "mean": m, "sd": d} for s, m, d in triples],
            "densities": [
                {"share": s, "mean": m, "covariance": c}
                for s, m, c in zip(d.share.tolist(), d.mean.tolist(), d.covariance.tolist())
            ],
            "glassDensity": stain.glass_density,
        }

    pixels = random.integers(0, 256, (64, 3), np.uint8)
    for name, source, template in (
        ("usual", some(0.04), some(0.03)),
        ("white slide, tinted template", some(0.01), some(0.15)),
        ("tinted slide", some(0.18), some(0.03)),
        ("glass between white and tinted", some(0.085), some(0.02)),
        ("a class absent in the slide", some(0.03, (0,)), some(0.03)),
        ("a class absent in the template", some(0.03), some(0.03, (2,))),
        ("two classes absent", some(0.03, (0, 3)), some(0.03, (1,))),
        ("none on both sides", some(0.03, (0, 1)), some(0.03, (2, 3))),
    ):
        scale, offset, fade, blueness = transfer.coefficients(source, template)
        matrix, intercept = linear.optical_map(source, template)
        moved = normalize_tile(linear.tables(matrix, intercept, source.glass_density, float(blueness[0])), pixels)
        yield {"name": name, "source": plain(source), "template": plain(template),
               "paper": {"scale": scale.ravel().tolist(), "offset": offset.ravel().tolist(), "fade": list(fade), "blueness": float(blueness[0])},
               "linear": {"matrix": matrix.tolist(), "intercept": intercept.tolist(),
                          "pixels": pixels.ravel().tolist(), "moved": moved.ravel().tolist()}}


if __name__ == "__main__":
    main()
