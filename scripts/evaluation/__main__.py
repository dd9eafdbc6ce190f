"""Runs the comparison and writes tables (Markdown, JSON) and a picture sheet.

    npm run evaluate -- --data ../shared/data --out docs/evaluation

--data holds eval/ (pictures of several laboratories, a folder per source), train/ (for the template and the sheet) and
seed-images/ (the method authors' example). A part that is absent is left out, and the tables say so.
"""
import argparse
import json
import os
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np

from dcgmm.data import read_sources

from . import metrics, sheet
from .casts import CASTS
from .images import Picture, read, read_folder, tissue
from .methods import PEERS, Method, Normalise, identity, ours, version
from .tables import table

MODELS = ("reference", "fast")
#: Pixels a side of what is compared.
SIDE = 512
#: Pictures whose simulated casts are compared; evenly spread over all.
CAST_PICTURES = 8
PICTURES = {
    "method": "method", "nmiSd": "NMI SD", "nmiCv": "NMI CV", "between": "CIEDE2000 between images",
    "toTemplateLab": "to template, CIELAB", "toTemplateHsd": "to template, HSD", "ssim": "SSIM", "matched": "SSIM, histogram matched", "dice": "nuclear Dice",
    "gradients": "gradient correlation", "reversed": "reversed edges, %", "megapixelsPerSecond": "Mpx/s", "failed": "failed",
}
CAST_COLUMNS = {"method": "method", "mean": "CIEDE2000 between casts", "p95": "95th percentile of the images", "nmiCv": "NMI CV", "failed": "failed"}


def attempt(normalise: Normalise, pixels: np.ndarray) -> np.ndarray | None:
    """The result, or None where the method fails on a picture: that is a result as well."""
    try:
        return normalise(pixels)
    except Exception as error:  # noqa: BLE001  other people's code
        print(f"  failed: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def compare(name: str, normalise: Normalise, pictures: list[Picture], template: np.ndarray) -> dict:
    """One row of the table of pictures."""
    template_mask = tissue(template)
    template_lab, template_hsd = (space(template)[template_mask] for space in (metrics.lab, metrics.hsd))
    values: dict[str, list] = {key: [] for key in ("nmi", "lab", "toTemplateLab", "toTemplateHsd", "ssim", "matched", "dice", "gradients", "reversed")}
    seconds, failed, pixels = 0.0, 0, 0
    for picture in pictures:
        source, mask = picture.pixels, tissue(picture.pixels)
        begin = time.perf_counter()
        result = attempt(normalise, source)
        seconds += time.perf_counter() - begin
        if result is None:
            failed += 1
            continue
        pixels += mask.size
        lab = metrics.lab(result)[mask]
        values["nmi"].append(metrics.nmi(result, mask))
        values["lab"].append(lab.mean(0)[None])
        values["toTemplateLab"].append(metrics.distance(lab, template_lab))
        values["toTemplateHsd"].append(metrics.distance(metrics.hsd(result)[mask], template_hsd))
        values["ssim"].append(metrics.structure(source, result))
        values["matched"].append(metrics.matched_structure(source, result))
        values["dice"].append(metrics.dice(metrics.nuclei(source, mask), metrics.nuclei(result, mask)))
        values["gradients"].append(metrics.gradient_correlation(source, result))
        values["reversed"].append(100 * metrics.reversed_edges(source, result, mask))
    intensity = np.array(values.pop("nmi"))
    means = values.pop("lab")
    return {"method": name, "nmiSd": float(intensity.std()), "nmiCv": float(intensity.std() / intensity.mean()),
            "between": metrics.between(means), **{key: float(np.mean(value)) for key, value in values.items()},
            "megapixelsPerSecond": pixels / 1e6 / seconds if name != "as it is" else None, "failed": failed}


def compare_casts(name: str, normalise: Normalise, pictures: list[Picture]) -> dict:
    """One row of the table of casts: the same tissue in several stains must come out alike."""
    spread, intensity, failed = [], [], 0
    for picture in pictures:
        mask = tissue(picture.pixels)
        results = [attempt(normalise, cast(picture.pixels)) for cast in CASTS]
        kept = [result for result in results if result is not None]
        failed += len(results) - len(kept)
        spread.append(metrics.between([metrics.lab(result)[mask] for result in kept]))
        intensity += [metrics.nmi(result, mask) for result in kept]
    return {"method": name, "mean": float(np.mean(spread)), "p95": float(np.percentile(spread, 95)),
            "nmiCv": float(np.std(intensity) / np.mean(intensity)), "failed": failed}


def authors_example(folder: Path, methods: dict[str, Method]) -> list[dict]:
    """Mean absolute difference in grey levels to the output that the method's authors published for their example."""
    source, expected = read(folder / "P1C7-L2di1Snap1.png"), read(folder / "DCGMM_P1C7-L2di1Snap1.png")
    template = read(folder / "Template.png")
    rows = []
    for name, method in methods.items():
        result = attempt(method(template), source)
        if result is not None:
            rows.append({"method": name, "difference": float(np.abs(result.astype(float) - expected).mean())})
    return rows


def student_differences(pictures: list[Picture], template: np.ndarray) -> dict:
    """CIEDE2000 between the outputs of `reference` and `fast`, over all pixels of all pictures."""
    from skimage.color import deltaE_ciede2000

    large, small = (ours(name)(template) for name in MODELS)
    pairs = ((metrics.lab(large(picture.pixels)), metrics.lab(small(picture.pixels))) for picture in pictures)
    values = np.concatenate([deltaE_ciede2000(a, b).ravel() for a, b in pairs])
    return {"mean": float(values.mean()), "p95": float(np.percentile(values, 95))}


def available() -> tuple[dict[str, Method], list[str]]:
    """Methods that can be run here, and what is missing."""
    methods: dict[str, Method] = {"as it is": identity, **{f"DCGMM {name} (ours)": ours(name) for name in MODELS}}
    missing = []
    for name, (package, make) in PEERS.items():
        try:
            methods[f"{name} ({version(package)})"] = make()
        except Exception as error:  # noqa: BLE001
            missing.append(f"{name}: {package} cannot be used here ({error})")
    return methods, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--template", type=Path, help="picture that every method normalises to")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = options.template or options.data / "train/ocdc_rbswap/1009009_r28c12.png"
    template = read(chosen)
    methods, missing = available()
    pictures = [p for folder in sorted((options.data / "eval").iterdir()) if folder.is_dir() for p in read_folder(folder, SIDE)]
    casts = pictures[:: max(1, len(pictures) // CAST_PICTURES)][:CAST_PICTURES]
    report: dict = {"date": date.today().isoformat(), "command": "npm run evaluate -- " + " ".join(sys.argv[1:]),
                    "processor": f"{os.cpu_count()} cores", "template": chosen.name, "pictures": len(pictures), "missing": missing,
                    "casts": [], "comparison": []}
    for name, method in methods.items():
        print(name, file=sys.stderr, flush=True)
        normalise = method(template)
        report["comparison"].append(compare(name, normalise, pictures, template))
        report["casts"].append(compare_casts(name, normalise, casts))
    seed = options.data / "seed-images"
    report["authors"] = authors_example(seed, methods) if seed.is_dir() else []
    report["student"] = student_differences(pictures, template)
    _, held_out = read_sources(options.data / "train", 2)
    draw(options.out, [Picture(s.name, s.source, s.pixels) for s in held_out], methods, template)
    stem = options.out / report["date"]
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    stem.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))


def markdown(report: dict) -> str:
    student = report["student"]
    parts = [
        f"# Evaluation of {report['date']}",
        f"`{report['command']}`, {report['processor']}, one thread for our models. Template: {report['template']}. "
        f"What the columns mean: scripts/evaluation/metrics.py.",
        f"## {report['pictures']} pictures of several laboratories", table(PICTURES, report["comparison"]),
        "## The same tissue under six simulated stains and scanners", table(CAST_COLUMNS, report["casts"]),
        "## The authors' example: mean absolute difference to their published output, grey levels",
        table({"method": "method", "difference": "difference"}, report["authors"]) if report["authors"] else "Not at hand.",
        "## `fast` against `reference`",
        f"CIEDE2000 between both outputs over all pixels of the pictures: mean {student['mean']:.2f}, 95th percentile {student['p95']:.2f}.",
        *(["## Missing", "\n".join(f"- {line}" for line in report["missing"])] if report["missing"] else []),
    ]
    return "\n\n".join(parts) + "\n"


def draw(folder: Path, pictures: list[Picture], methods: dict[str, Method], template: np.ndarray) -> None:
    """The sheet, of pictures whose licence permits it (the training's held-out ones)."""
    cells = []
    for picture in pictures:
        height, width = picture.pixels.shape[:2]
        top, left = (height - sheet.CELL) // 2, (width - sheet.CELL) // 2
        cells.append((picture.pixels[: height // 4 * 4, : width // 4 * 4], slice(top, top + sheet.CELL), slice(left, left + sheet.CELL)))
    columns: dict[str, list[np.ndarray]] = {}
    for name, method in methods.items():
        normalise = method(template)
        results = [(attempt(normalise, np.ascontiguousarray(pixels)), rows, cols) for pixels, rows, cols in cells]
        columns[name.split(" (torch")[0].split(" (stain")[0]] = [
            np.full((sheet.CELL, sheet.CELL, 3), 255, np.uint8) if result is None else result[rows, cols] for result, rows, cols in results
        ]
    columns["classes"] = [sheet.class_map(np.ascontiguousarray(pixels[rows, cols]), MODELS[0]) for pixels, rows, cols in cells]
    sheet.sheet(columns).save(folder / "sheet.jpg", quality=85)


if __name__ == "__main__":
    main()
