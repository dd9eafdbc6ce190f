"""Writes test/fixtures/stains: what the server's detector must find in pictures of test/fixtures/parity (CC BY).

    python -m stains.vectors
"""
import argparse
import json
from pathlib import Path

import numpy as np

from .detector import read_detector, scores
from .summary import find_white, summary

FIXTURES = Path(__file__).resolve().parents[2] / "test/fixtures"
#: Name, height, width; one picture with glass and one without.
PICTURES = (("bone-batch", 64, 64), ("breast-halo", 96, 128))


def vector(name: str, height: int, width: int) -> dict:
    octets = np.fromfile(FIXTURES / f"parity/{name}.tile.bin", np.uint8)
    rgb = octets[: height * width * 3].reshape(height, width, 3)
    white = find_white(rgb)
    sums = summary(rgb, white)
    score = scores(sums[None], np.array([white is not None]), read_detector())[0]
    return {
        "tile": name,
        "height": height,
        "width": width,
        "white": white,
        "summary": np.round(sums, 9).tolist(),
        "score": round(float(score), 9),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    (FIXTURES / "stains").mkdir(exist_ok=True)
    vectors = [vector(*picture) for picture in PICTURES]
    (FIXTURES / "stains/vectors.json").write_text(json.dumps(vectors) + "\n")


if __name__ == "__main__":
    main()
