"""How much H&E tissue the rule for blue ink mistakes for ink (dcgmm/constants.py).

    python -m evaluation.ink --data ../../shared/data --sets train/* paired/mitos
    python -m evaluation.ink --data ../../shared/data --sets eval/* varied paired/protocols seed-images

The rule was chosen on the first sets, but not on the second. Every second pixel is examined.
"""
import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from dcgmm.constants import FOREIGN_INK_DENSITY, FOREIGN_INK_RED_OVER_GREEN, ZERO_LEVEL

TISSUE_DENSITY = 0.15
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


def share_of_ink(path: Path) -> float:
    """Fraction of the tissue above the lower ends of both ramps, 0 to 1."""
    levels = np.asarray(Image.open(path).convert("RGB"))[::2, ::2].astype(np.float32)
    density = -np.log(np.maximum(levels, ZERO_LEVEL) / 255)
    mean = density.mean(-1)
    ink = (mean > FOREIGN_INK_DENSITY[0]) & (density[..., 0] - density[..., 1] > FOREIGN_INK_RED_OVER_GREEN[0])
    tissue = mean > TISSUE_DENSITY
    return float((ink & tissue).sum() / max(1, tissue.sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", required=True)
    options = parser.parse_args()
    folders = [folder for pattern in options.sets for folder in sorted(options.data.glob(pattern))]
    pictures = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    shares = np.array([share_of_ink(path) for path in pictures])
    worst = pictures[int(shares.argmax())]
    print(f"{len(pictures)} pictures: most {100 * shares.max():.2f} % ({worst.name}), 95th percentile {100 * np.percentile(shares, 95):.3f} %")


if __name__ == "__main__":
    main()
