"""Reads and crops the pictures that are compared."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dcgmm.reference import optical_density

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
#: A pixel counts as tissue for the metrics if its optical density D exceeds that of the slide's brightest percentile by this.
TISSUE_DENSITY = 0.1


@dataclass(frozen=True)
class Picture:
    """One picture: its source and its pixels, uint8 [H, W, 3]."""

    name: str
    source: str
    pixels: np.ndarray


def read(path: Path, side: int | None = None) -> np.ndarray:
    """uint8 [H, W, 3]: the middle of a picture, with sides of at most `side` pixels, both multiples of 4."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    height, width = (min(side or length, length) // 4 * 4 for length in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def read_folder(folder: Path, side: int) -> list[Picture]:
    """All pictures of a folder, ordered by name."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return [Picture(path.stem, folder.name, read(path, side)) for path in files]


def tissue(pixels: np.ndarray) -> np.ndarray:
    """bool [H, W]: denser than the brightest percentile by TISSUE_DENSITY."""
    density = optical_density(pixels).mean(-1)
    return density > np.percentile(density, 1) + TISSUE_DENSITY
