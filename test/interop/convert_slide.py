"""Converts the sample slide with wsidicomizer, once for each way that it writes frames.

    python convert_slide.py SAMPLE_LEVEL.dcm FOLDER

The sample's pixels are put into a tiled TIFF as Aperio writes it, with two levels and a thumbnail. `copied` is the
converter's ordinary work: the JPEG tiles of the scanner as they are; the folders named after an encoding are encoded
anew by it. `added-levels` has the base level, and coarser ones that it makes itself.
"""

import sys
from pathlib import Path

import numpy as np
import tifffile
from wsidicom import WsiDicom
from wsidicom.codec import Jpeg2kSettings, JpegSettings
from wsidicom.codec.settings import HTJpeg2000Settings
from wsidicomizer import WsiDicomizer

ENCODINGS = {
    "copied": None,
    "jpeg": JpegSettings(quality=90),
    "jpeg2000": Jpeg2kSettings(levels=0),
    "htj2k": HTJpeg2000Settings(levels=0),
}
TILE = 256
TILES = {"tile": (TILE, TILE)}
MICRONS_PER_PIXEL = 0.499


def pixels(file: str) -> np.ndarray:
    """A level as rows x columns x 3, RGB."""
    with WsiDicom.open([file]) as slide:
        size = slide.levels.base_level.size
        return np.asarray(slide.read_region((0, 0), 0, (size.width, size.height)).convert("RGB"))


def reduced(image: np.ndarray, by: int) -> np.ndarray:
    """Averages of by x by pixels; incomplete blocks at the edges are dropped."""
    rows, columns = image.shape[0] // by, image.shape[1] // by
    blocks = image[: rows * by, : columns * by].reshape(rows, by, columns, by, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def write_svs(file: Path, *images: tuple[np.ndarray, dict]) -> None:
    with tifffile.TiffWriter(file) as svs:
        for image, layout in images:
            svs.write(
                image,
                photometric="ycbcr",
                compression="jpeg",
                compressionargs={"level": 90},
                subsampling=(2, 1),
                metadata=None,
                description=f"Aperio Image Library v11.2.1\r\nsample |AppMag = 20|MPP = {MICRONS_PER_PIXEL}",
                **layout,
            )


def main(sample: str, folder: str) -> None:
    base = pixels(sample)
    slide, base_alone = Path(folder) / "slide.svs", Path(folder) / "base.svs"
    # The thumbnail follows the base level, without tiles.
    write_svs(slide, (base, TILES), (reduced(base, 8), {}), (reduced(base, 4), TILES))
    write_svs(base_alone, (base, TILES))

    def convert(source: Path, name: str, **options: object) -> None:
        output = Path(folder) / name
        output.mkdir()
        WsiDicomizer.convert(source, output, tile_size=TILE, workers=1, **options)

    for name, encoding in ENCODINGS.items():
        convert(slide, name, encoding=encoding, force_transcoding=encoding is not None)
    convert(base_alone, "added-levels", add_missing_levels=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
