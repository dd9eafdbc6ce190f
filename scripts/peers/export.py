"""Exports the tissue of a slide as PNG pictures of at most SIZE pixels a side, for peers.published.

    python -m peers.export SOURCE DESTINATION
"""
import argparse
from pathlib import Path

from PIL import Image
from wsidicom import WsiDicom

from dcgmm.constants import ALIGNMENT

from .macenko import is_tissue
from .slide import read

#: Pixels a side: the crops that the authors trained on.
SIZE = 512


def main(source: Path, destination: Path) -> None:
    destination.mkdir(parents=True)
    with WsiDicom.open(source) as slide:
        base = slide.levels[0].default_instance.image_data
        size = base.image_size
        for y in range(0, size.height, SIZE):
            for x in range(0, size.width, SIZE):
                width, height = (min(SIZE, length) // ALIGNMENT * ALIGNMENT for length in (size.width - x, size.height - y))
                pixels = read(base, x, y, width, height)
                if is_tissue(pixels):
                    Image.fromarray(pixels).save(destination / f"{y:06d}-{x:06d}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    main(**vars(parser.parse_args()))
