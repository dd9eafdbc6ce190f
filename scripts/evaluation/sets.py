"""The sets of pictures and their roles (docs/evaluation/protocol.md): constants are chosen on development sets only."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .images import SUFFIXES, Picture, read


@dataclass(frozen=True)
class PictureSet:
    """Pictures of several laboratories that should become alike."""

    name: str
    role: str
    #: Relative to the data folder.
    pattern: str
    #: Every nth picture is used.
    step: int = 1

    def read(self, data: Path, side: int) -> list[Picture]:
        files = sorted(path for path in data.glob(self.pattern) if path.suffix.lower() in SUFFIXES)[:: self.step]
        return [Picture(path.stem, self.name, read(path, side)) for path in files]


#: `eval` was printed beside the development sets while the linear transfer was developed, so it is not a test of it.
SETS = (
    PictureSet("BreaKHis", "development", "eval/breakhis_scanner/*"),
    PictureSet("MoNuSeg", "development", "eval/monuseg_train/*"),
    PictureSet("varied", "development", "varied/*"),
    PictureSet("oral cancer, camera", "test", "train/oscc_400x/*"),
    PictureSet("osteosarcoma", "test", "train/osteosarcoma_utsw/*", 3),
)
#: Sources of the truth and other measures, and their roles.
ROLES = {
    "two scanners (paired/mitos)": "development",
    "nine protocols (paired/protocols)": "development",
    "authors' example (seed-images)": "development",
    "reversed order (cases/pictures/j13-blur-4)": "development",
    "parts, strength, tint, profile, casts, eosin (of BreaKHis and MoNuSeg)": "development",
    "the same of the oral cancers and osteosarcomas": "test",
    "classifier (paired/protocols, whose colours are development)": "test",
}


def scanner_pairs(data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same section on Aperio and on Hamamatsu, registered."""
    folder = data / "paired/mitos"
    return [(read(path), read(folder / path.name.replace("A", "H", 1).replace("aperio", "hamamatsu"))) for path in sorted(folder.glob("A*"))]


def protocols(data: Path) -> dict[str, list[np.ndarray]]:
    """Region of a block -> nine neighbouring sections, stained by nine protocols."""
    regions: dict[str, list[np.ndarray]] = {}
    for path in sorted((data / "paired/protocols").glob("*_p*.png")):
        regions.setdefault(path.stem.split("_")[0], []).append(read(path))
    return regions
