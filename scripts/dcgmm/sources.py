"""Training images: reading and hold-out. Needs no scipy."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


@dataclass(frozen=True)
class Slide:
    """One training image: pixels uint8 [H, W, 3]."""

    name: str
    source: str
    pixels: np.ndarray


def read_sources(folder: Path, held_out_per_source: int) -> tuple[list[Slide], list[Slide]]:
    """(training images, held-out images) of all source folders; the same files are held out every time.

    Prints what is used of the folder. Hidden names do not count: systems leave files like "._a.png" that are no pictures.
    """
    training: list[Slide] = []
    held_out: list[Slide] = []
    for source in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = _pictures(source)
        if files:
            print(f"{source.name}: {_counted(files)}", flush=True)
        # At most a quarter of a small folder is held out.
        count = min(held_out_per_source, len(files) // 4)
        step = max(1, len(files) // max(1, count))
        chosen = set(files[step // 2 :: step][:count])
        for file in files:
            (held_out if file in chosen else training).append(Slide(file.stem, source.name, _pixels(file)))
    if not training:
        raise SystemExit(f"{folder} holds no folders of pictures (PNG, JPEG or TIFF), one for each source.")
    if unused := _pictures(folder):
        print(f"{_counted(unused)} directly in {folder} not used", flush=True)
    return training, held_out


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def _counted(files: list[Path]) -> str:
    return f"{len(files)} picture{'' if len(files) == 1 else 's'}"


def _pixels(file: Path) -> np.ndarray:
    try:
        return np.asarray(Image.open(file).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SystemExit(f"{file} cannot be read as a picture: {error}") from error
