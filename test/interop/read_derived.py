"""Opens a derived series with independent readers and compares every pixel with what was computed.

    python read_derived.py SOURCE_FOLDER DERIVED_FOLDER EXPECTED.rgb SIZES

EXPECTED.rgb is what all derived levels show as rows x columns x 3 bytes each, the largest first; SIZES their [columns, rows] as JSON. Prints JSON: for each reader the mean and largest
difference in grey levels over the base level, and the number of frames decoded in all levels; `levels` compares each lower level. `highdicom` is null
where highdicom cannot open the source either (it wants attributes that some converters leave out).
"""

import json
import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from wsidicom import WsiDicom


def difference(got: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    distance = np.abs(got.astype(np.int16) - expected.astype(np.int16))
    return {"mean": float(distance.mean()), "max": int(distance.max())}


def base_of(folder: str) -> Path:
    files = Path(folder).rglob("*.dcm")
    return max(files, key=lambda f: pydicom.dcmread(f, stop_before_pixels=True).TotalPixelMatrixColumns)


def opened_by_highdicom(file: Path) -> highdicom.Image | None:
    try:
        return highdicom.imread(file)
    except AttributeError:
        return None


def total_matrix(file: Path) -> np.ndarray:
    """All tiles of a TILED_FULL level, assembled by pydicom: rows x columns x 3, RGB."""
    ds = pydicom.dcmread(file)
    rows, columns = ds.TotalPixelMatrixRows, ds.TotalPixelMatrixColumns
    across = -(-columns // ds.Columns)
    tiles = ds.pixel_array.reshape(-1, across, ds.Rows, ds.Columns, 3)
    return tiles.swapaxes(1, 2).reshape(-1, across * ds.Columns, 3)[:rows, :columns]


def main(source: str, derived: str, expected_file: str, sizes: str) -> None:
    files = sorted(Path(derived).rglob("*.dcm"))
    base = base_of(derived)
    header = pydicom.dcmread(base, stop_before_pixels=True)
    rows, columns = header.TotalPixelMatrixRows, header.TotalPixelMatrixColumns
    everything = np.fromfile(expected_file, np.uint8)
    expected = everything[: rows * columns * 3].reshape(rows, columns, 3)
    report = {"frames": sum(len(pydicom.dcmread(f).pixel_array.reshape(-1, *frame_shape(f))) for f in files)}

    with WsiDicom.open(files) as slide:
        region = np.asarray(slide.read_region((0, 0), 0, (columns, rows)).convert("RGB"))
        report["wsidicom"] = difference(region, expected) | {"levels": len(slide.levels)}
    # wsidicom omits levels whose tiles are smaller than those of the base: the source shows how many.
    with WsiDicom.open(sorted(Path(source).rglob("*.dcm"))) as slide:
        report["wsidicom"]["levelsOfSource"] = len(slide.levels)

    image = opened_by_highdicom(base)
    if image is None and opened_by_highdicom(base_of(source)) is not None:
        raise SystemExit("highdicom opens the source but not the derived image")
    matrix = None if image is None else np.asarray(image.get_total_pixel_matrix(apply_icc_profile=False))
    report["highdicom"] = None if matrix is None else difference(matrix[:rows, :columns], expected)
    at = 0
    report["levels"] = []
    matrices = sorted((total_matrix(f) for f in files), key=len, reverse=True)
    for level, (width, height) in zip(matrices, json.loads(sizes), strict=True):
        shown = everything[at : at + width * height * 3].reshape(height, width, 3)
        report["levels"].append(difference(level[:height, :width], shown))
        at += shown.size
    # The base level has been compared.
    report["levels"] = report["levels"][1:]
    print(json.dumps(report))


def frame_shape(file: Path) -> tuple[int, int, int]:
    header = pydicom.dcmread(file, stop_before_pixels=True)
    return header.Rows, header.Columns, 3


if __name__ == "__main__":
    main(*sys.argv[1:])
