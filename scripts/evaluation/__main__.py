"""Runs the comparison and writes tables (Markdown, JSON) and picture sheets.

    npm run evaluate -- --data ../shared/data --out docs/evaluation

sets.py and docs/evaluation/protocol.md say which sets are for development and which are tests; the output says it too.
Missing sets are skipped, and the tables say so. If a method fails on a picture, the picture stays unchanged and counts as a
failure.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np

from . import metrics, sheet, truth
from .casts import CASTS
from .classifier import accuracy
from .images import Picture, read, tissue
from .methods import PEERS, STEPS, Method, Normalise, identity, ours, version, without
from .sets import ROLES, SETS, protocols, scanner_pairs
from .tables import table

MODELS = ("reference", "fast")
#: Side of the compared pictures in pixels.
SIDE = 320
#: Number of pictures of a set, for measures that need many results of each.
FEW = 5
COMPARISON = {
    "method": "method", "nmiCv": "NMI CV", "between": "CIEDE2000 between", "toTemplate": "to template, CIELAB", "dice": "nuclear Dice",
    "ssim": "SSIM", "failed": "failed",
}
SAME = {
    "method": "method", "casts": "casts", "parts": "parts", "strengths": "pale and dark", "tints": "tinted light",
    "profiles": "profile lost", "eosinLikeKept": "dense eosin kept", "eosinLikeHue": "its hue, degrees off",
    "eosinLikeChroma": "its chroma, ratio", "eosinKept": "kept, of the densest", "eosinHue": "hue", "eosinChroma": "chroma",
}
TRUTH = {
    "method": "method", "scanners": "two scanners", "protocols": "nine protocols", "reversed": "reversed order, %",
    "authors": "authors' example, grey levels", "classifier": "classifier, accuracy", "megapixelsPerSecond": "Mpx/s",
}


class Attempt:
    """A method that may fail on a picture, which then stays unchanged and is counted."""

    def __init__(self, normalise: Normalise):
        self.normalise, self.failed, self.seconds, self.pixels = normalise, 0, 0.0, 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        begin = time.perf_counter()
        try:
            return self.normalise(pixels)
        except Exception as error:  # noqa: BLE001  other people's code
            print(f"  failed: {type(error).__name__}: {error}", file=sys.stderr)
            self.failed += 1
            return pixels
        finally:
            self.seconds += time.perf_counter() - begin
            self.pixels += pixels.shape[0] * pixels.shape[1]


def compare(name: str, normalise: Normalise, pictures: list[Picture], template: np.ndarray) -> dict:
    """One row of a set's table."""
    move = Attempt(normalise)
    template_lab = metrics.lab(template)[tissue(template)]
    intensity, means, distances, dice, structure = [], [], [], [], []
    for picture in pictures:
        mask, result = tissue(picture.pixels), move(picture.pixels)
        lab = metrics.lab(result)[mask]
        intensity.append(metrics.nmi(result, mask))
        means.append(lab.mean(0)[None])
        distances.append(metrics.distance(lab, template_lab))
        dice.append(metrics.dice(metrics.nuclei(picture.pixels, mask), metrics.nuclei(result, mask)))
        structure.append(metrics.structure(picture.pixels, result))
    return {"method": name, "nmiCv": float(np.std(intensity) / np.mean(intensity)), "between": metrics.between(means),
            "toTemplate": float(np.mean(distances)), "dice": float(np.mean(dice)), "ssim": float(np.mean(structure)), "failed": move.failed}


def same_tissue(name: str, normalise: Normalise, pictures: list[Picture], template: np.ndarray) -> dict:
    """One row of the table of pictures that should become alike."""
    move, few = Attempt(normalise), [picture.pixels for picture in pictures]
    casts = [metrics.between([metrics.lab(move(cast(pixels)))[tissue(pixels)] for cast in CASTS]) for pixels in few]
    return {"method": name, "casts": float(np.mean(casts)), "parts": truth.parts(move, few), "strengths": truth.strengths(move, few),
            "tints": truth.tints(move, few), "profiles": truth.profiles(move, few), **truth.eosin(move, few, template)}


def against_truth(name: str, method: Method, template: np.ndarray, data: Path) -> dict:
    """One row of the table of truth."""
    move = Attempt(method(template))
    pairs, regions, blurred = scanner_pairs(data), protocols(data), data / "cases/pictures/j13-blur-4.png"
    row = {
        "method": name,
        "scanners": truth.scanners(move, pairs) if pairs else None,
        "protocols": truth.protocols(move, regions) if regions else None,
        "reversed": truth.reversed_order(read(blurred), move(read(blurred))) if blurred.exists() else None,
        "authors": authors_example(method, data / "seed-images"),
        "classifier": accuracy(move, regions) if regions else None,
    }
    return row | {"megapixelsPerSecond": move.pixels / 1e6 / move.seconds if move.pixels and name != "as it is" else None}


def authors_example(method: Method, folder: Path) -> float | None:
    """Mean absolute difference in grey levels to the output that the method's authors published for their example."""
    if not folder.is_dir():
        return None
    result = Attempt(method(read(folder / "Template.png")))(read(folder / "P1C7-L2di1Snap1.png"))
    return float(np.abs(result.astype(float) - read(folder / "DCGMM_P1C7-L2di1Snap1.png")).mean())


def student_differences(pictures: list[Picture], template: np.ndarray) -> dict:
    """CIEDE2000 between the outputs of `reference` and `fast`, over all pixels of all pictures."""
    from skimage.color import deltaE_ciede2000

    found = {}
    for transfer in ("linear", "paper"):
        large, small = (ours(name, transfer)(template) for name in MODELS)
        pairs = ((metrics.lab(large(picture.pixels)), metrics.lab(small(picture.pixels))) for picture in pictures)
        values = np.concatenate([deltaE_ciede2000(a, b).ravel() for a, b in pairs])
        found[transfer] = {"mean": float(values.mean()), "p95": float(np.percentile(values, 95))}
    return found


def available() -> tuple[dict[str, Method], list[str]]:
    """Methods that can run here, and what is missing."""
    methods: dict[str, Method] = {
        "as it is": identity,
        **{f"{transfer} (ours)": ours("fast", transfer) for transfer in ("linear", "paper")},
        **{f"linear, {step}": without(changes) for step, changes in STEPS.items()},
    }
    missing = []
    for name, (package, make) in PEERS.items():
        try:
            methods[f"{name} ({version(package)})"] = make()
        except Exception as error:  # noqa: BLE001
            missing.append(f"{name}: {package} cannot be used here ({error})")
    return methods, missing


def measure(name: str, data: Path, chosen: Path) -> dict:
    """All rows of one method: "truth", and for each set "comparison" and "same". Runs in a process of its own, which makes its
    methods."""
    print(name, file=sys.stderr, flush=True)
    template, method = read(chosen), available()[0][name]
    normalise = method(template)
    rows: dict[str, dict] = {"truth": against_truth(name, method, template, data)}
    for item in SETS:
        pictures = item.read(data, SIDE)
        if pictures:
            few = pictures[:: max(1, len(pictures) // FEW)][:FEW]
            rows[item.name] = {"comparison": compare(name, normalise, pictures, template), "same": same_tissue(name, normalise, few, template)}
    return rows


def commit() -> str:
    """The commit itself: the name of a release holds dots, and says less."""
    return subprocess.run(["git", "describe", "--always", "--dirty", "--exclude", "*"], capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--template", type=Path, help="picture that every method normalises to")
    parser.add_argument("--methods", default="", help="only methods whose name matches this regular expression")
    parser.add_argument("--processes", type=int, default=2, help="number of methods measured at once")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = options.template or options.data / "train/ocdc_rbswap/1009009_r28c12.png"
    template = read(chosen)
    methods, missing = available()
    methods = {name: method for name, method in methods.items() if re.search(options.methods, name)}
    sets = [(item, item.read(options.data, SIDE)) for item in SETS]
    for item, pictures in sets:
        print(f"{item.role}: {item.name}, {len(pictures)} pictures", file=sys.stderr)
    for what, role in ROLES.items():
        print(f"{role}: {what}", file=sys.stderr)
    missing += [f"{item.name}: no pictures" for item, pictures in sets if not pictures]
    missing += [name for name in ("paired/mitos", "paired/protocols", "seed-images", "cases/pictures") if not (options.data / name).is_dir()]
    sets = [(item, pictures) for item, pictures in sets if pictures]
    report: dict = {
        "date": date.today().isoformat(), "commit": commit(), "command": "npm run evaluate -- " + " ".join(sys.argv[1:]),
        "processor": f"{os.cpu_count()} cores", "template": chosen.name, "missing": missing, "truth": [],
        "sets": [{"name": item.name, "role": item.role, "pictures": len(pictures), "comparison": [], "same": []} for item, pictures in sets],
    }
    # Every run is kept.
    stem = options.out / f"{report['date']}-{report['commit']}"
    with ProcessPoolExecutor(options.processes) as pool:
        tasks = [pool.submit(measure, name, options.data, chosen) for name in methods]
        for task in tasks:
            found = task.result()
            report["truth"].append(found["truth"])
            for entry in report["sets"]:
                entry["comparison"].append(found[entry["name"]]["comparison"])
                entry["same"].append(found[entry["name"]]["same"])
            # Finished results are kept, even if the run is interrupted.
            stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    report["student"] = student_differences([picture for _, pictures in sets for picture in pictures[::4]], template)
    draw(options.out, sets, methods, template)
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    stem.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))


def markdown(report: dict) -> str:
    parts = [
        f"# Evaluation of {report['date']}, {report['commit']}",
        f"`{report['command']}`, {report['processor']}, one thread for our models. Template: {report['template']}. What the columns "
        "mean: scripts/evaluation/metrics.py and truth.py. Which set is which: [protocol.md](protocol.md).",
        "## Truth: the same tissue", table(TRUTH, report["truth"]),
    ]
    for entry in report["sets"]:
        parts += [
            f"## {entry['name']} ({entry['role']}, {entry['pictures']} pictures)", table(COMPARISON, entry["comparison"]),
            f"{FEW} of them, changed and cut:", table(SAME, entry["same"]),
        ]
    parts += ["## `fast` against `reference`"]
    parts += [
        f"CIEDE2000 between both outputs over all pixels, {name}: mean {value['mean']:.2f}, 95th percentile {value['p95']:.2f}."
        for name, value in report["student"].items()
    ]
    if report["missing"]:
        parts += ["## Missing", "\n".join(f"- {line}" for line in report["missing"])]
    return "\n\n".join(parts) + "\n"


def draw(folder: Path, sets, methods: dict[str, Method], template: np.ndarray) -> None:
    """A sheet for each set whose licence permits it (the training folders): every method, at 100 %."""
    shown = {name: method for name, method in methods.items() if "without" not in name and "with a short" not in name}
    for item, pictures in sets:
        if not item.pattern.startswith("train/"):
            continue
        columns: dict[str, list[np.ndarray]] = {}
        for name, method in shown.items():
            move = Attempt(method(template))
            columns[name.split(" (torch")[0].split(" (stain")[0]] = [
                move(picture.pixels)[: sheet.CELL, : sheet.CELL] for picture in pictures[:: max(1, len(pictures) // 8)][:8]
            ]
        sheet.sheet(columns).save(folder / f"sheet-{item.pattern.split('/')[1]}.jpg", quality=85)


if __name__ == "__main__":
    main()
