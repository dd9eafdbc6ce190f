"""Reads the base level of a derived series with every independent reader and compares it with its own frames.

    python read_with.py DERIVED_FOLDER

Prints JSON: for each reader the mean difference in grey levels, or the reader's error message.
The truth is each frame as imagecodecs decodes it, at the place that its header states.
"""

import json
import sys
from pathlib import Path

import highdicom
import imagecodecs
import numpy as np
import openslide
import pydicom
from wsidicom import WsiDicom

Header = pydicom.Dataset


def headers_of(folder: str) -> dict[Path, Header]:
    return {file: pydicom.dcmread(file) for file in sorted(Path(folder).rglob("*.dcm"))}


def base_of(headers: dict[Path, Header]) -> list[tuple[Path, Header]]:
    """The instances of the base level, in order of their frames."""
    widest = max(header.TotalPixelMatrixColumns for header in headers.values())
    base = [item for item in headers.items() if item[1].TotalPixelMatrixColumns == widest]
    return sorted(base, key=lambda item: item[1].get("ConcatenationFrameOffsetNumber", 0))


def decoded(frame: bytes) -> np.ndarray:
    if frame[:2] == b"\xff\xd8":
        return imagecodecs.jpeg8_decode(frame)
    is_high_throughput = frame[6] & 0x40
    return imagecodecs.htj2k_decode(frame) if is_high_throughput else imagecodecs.jpeg2k_decode(frame)


def positions(header: Header) -> list[tuple[int, int]]:
    """Column and row of each frame, 0-based."""
    if header.get("DimensionOrganizationType") == "TILED_FULL":
        across = -(-header.TotalPixelMatrixColumns // header.Columns)
        return [(i % across * header.Columns, i // across * header.Rows) for i in range(header.NumberOfFrames)]
    planes = [item.PlanePositionSlideSequence[0] for item in header.PerFrameFunctionalGroupsSequence]
    return [(p.ColumnPositionInTotalImagePixelMatrix - 1, p.RowPositionInTotalImagePixelMatrix - 1) for p in planes]


def truth(base: list[tuple[Path, Header]]) -> np.ndarray:
    first = base[0][1]
    rows, columns = first.TotalPixelMatrixRows, first.TotalPixelMatrixColumns
    matrix = np.full((rows + first.Rows, columns + first.Columns, 3), 255, np.uint8)
    for _, header in base:
        frames = pydicom.encaps.generate_frames(header.PixelData, number_of_frames=header.NumberOfFrames)
        for (x, y), frame in zip(positions(header), frames):
            matrix[y : y + header.Rows, x : x + header.Columns] = decoded(frame)
    return matrix[:rows, :columns]


def by_wsidicom(folder: str, base: list[tuple[Path, Header]]) -> np.ndarray:
    first = base[0][1]
    size = (first.TotalPixelMatrixColumns, first.TotalPixelMatrixRows)
    with WsiDicom.open(sorted(Path(folder).rglob("*.dcm"))) as slide:
        return np.asarray(slide.read_region((0, 0), 0, size).convert("RGB"))


def by_openslide(folder: str, base: list[tuple[Path, Header]]) -> np.ndarray:
    with openslide.OpenSlide(base[0][0]) as slide:
        picture = slide.read_region((0, 0), 0, slide.dimensions)
    # Where there is no tile it returns transparent pixels.
    white = np.full((*np.asarray(picture).shape[:2], 3), 255, np.uint8)
    rgba = np.asarray(picture)
    return np.where(rgba[..., 3:] > 0, rgba[..., :3], white)


def by_highdicom(folder: str, base: list[tuple[Path, Header]]) -> np.ndarray:
    image = highdicom.imread(base[0][0])
    first = base[0][1]
    matrix = np.asarray(image.get_total_pixel_matrix(apply_icc_profile=False))
    return matrix[: first.TotalPixelMatrixRows, : first.TotalPixelMatrixColumns]


def by_pydicom(folder: str, base: list[tuple[Path, Header]]) -> np.ndarray:
    first = base[0][1]
    rows, columns = first.TotalPixelMatrixRows, first.TotalPixelMatrixColumns
    matrix = np.full((rows + first.Rows, columns + first.Columns, 3), 255, np.uint8)
    for _, header in base:
        for (x, y), frame in zip(positions(header), header.pixel_array.reshape(-1, header.Rows, header.Columns, 3)):
            matrix[y : y + header.Rows, x : x + header.Columns] = frame
    return matrix[:rows, :columns]


READERS = {"pydicom": by_pydicom, "highdicom": by_highdicom, "wsidicom": by_wsidicom, "openslide": by_openslide}


def main(folder: str) -> None:
    base = base_of(headers_of(folder))
    expected = truth(base).astype(np.int16)
    report: dict[str, float | str] = {}
    for name, read in READERS.items():
        try:
            report[name] = float(np.abs(read(folder, base).astype(np.int16) - expected).mean())
        except Exception as error:  # noqa: BLE001 - whatever a reader says of a file it does not read is the finding
            report[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
