"""Blue nuclei of blue cameras taken for ink, and ink kept on the same slides, with and without blueness (dcgmm/transfer.py).

    python -m evaluation.blue_cameras --data ../../shared/data

Every fourth picture of the development sets, as bluer stains and cameras would show it, and with a stroke of ink across an
eighth of it. Pictures with foreign nuclei as they are (yellow light) are left out: that is another rule. The numbers of
blueness were chosen on such pictures.
"""
import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcgmm import transfer
from dcgmm.onnx_model import OnnxModel
from dcgmm.reference import native, optical_density
from dcgmm.validation import STAINS

from .sets import SETS

SIDE = 256
STROKE = slice(100, 132)
#: Most nuclei that may be kept in a picture as it is, %.
FOREIGN = 1
#: Transmitted light of inks on white; black is left to another rule.
INKS = {
    "sky": (20, 100, 200), "pen": (30, 50, 190), "royal": (25, 60, 150), "dark blue": (25, 45, 140),
    "navy": (15, 25, 80), "green": (20, 120, 60), "dark green": (15, 60, 40), "tattoo": (30, 40, 60),
}


@dataclass(frozen=True)
class Camera:
    """Strength and colour of haematoxylin, then contrast by channel and white of the camera."""

    name: str
    strength: float = 1
    haematoxylin: tuple[float, float, float] = tuple(STAINS[0])
    contrast: tuple[float, float, float] = (1, 1, 1)
    white: tuple[float, float, float] = (1, 1, 1)

    def __call__(self, pixels: np.ndarray, ink: tuple[int, int, int] | None = None) -> np.ndarray:
        """uint8 [H, W, 3] -> the same, with ink across the rows of STROKE."""
        stains = np.vstack((np.array(self.haematoxylin) / np.linalg.norm(self.haematoxylin), STAINS[1:]))
        density = np.maximum(optical_density(pixels) @ np.linalg.inv(STAINS) * [self.strength, 1, 1] @ stains, 0)
        if ink:
            density[STROKE] -= np.log(np.array(ink) / 255)
        return (255 * np.exp(-density * self.contrast) * self.white).round().clip(0, 255).astype(np.uint8)


CAMERAS = (
    Camera("as it is"),
    Camera("blue light", white=(0.70, 0.82, 0.97)),
    Camera("very blue light", 1.3, white=(0.58, 0.76, 0.98)),
    Camera("red contrast", 1.1, contrast=(1.4, 1, 0.95)),
    Camera("bluer stain", 1.2, (0.74, 0.62, 0.25)),
    Camera("blue stain", 1.2, (0.80, 0.56, 0.22)),
    Camera("bluer stain and light", 1.3, (0.74, 0.62, 0.25), white=(0.75, 0.86, 0.98)),
    Camera("blue stain and light", 1.4, (0.80, 0.56, 0.22), white=(0.68, 0.82, 0.98)),
)


def nuclei(pixels: np.ndarray, stain: transfer.Stain) -> np.ndarray:
    """bool [H, W]: more haematoxylin than half-way from stroma to the mean of the nuclei."""
    share, mean = stain.densities.share[:-2], stain.densities.mean
    to_amount = np.linalg.inv(STAINS)[:, 0]
    middle = (share @ mean[:-2] / max(share.sum(), 1e-9) + mean[-2]) @ to_amount / 2
    return optical_density(pixels) @ to_amount > max(middle, 0.25)


def kept(pixels: np.ndarray, where: np.ndarray | slice, blueness: float) -> float:
    """Percentage of the pixels there that get less than half of the change."""
    return 100 * float((native(pixels[None], blueness)[0][where] < 0.5).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    model = OnnxModel("fast")
    sets = [found for found in SETS if found.role == "development"]
    pictures = [picture.pixels for found in sets for picture in found.read(options.data, SIDE)[::4]]
    masks = [nuclei(pixels, model.fit(pixels)) for pixels in pictures]
    usable = [where.any() and kept(pixels, where, 0) < FOREIGN for pixels, where in zip(pictures, masks)]
    pictures, masks = [[one for one, use in zip(all, usable) if use] for all in (pictures, masks)]
    print(f"{len(pictures)} pictures; kept, % of the pixels, without blueness and with it: nuclei (the worst picture), then ink\n")
    print("| camera | nuclei | " + " | ".join(INKS) + " |\n" + "| --- " * (2 + len(INKS)) + "|")
    for camera in CAMERAS:
        cells = []
        for ink in (None, *INKS.values()):
            seen = [camera(pixels, ink) for pixels in pictures]
            blueness = [transfer.blueness(model.fit(pixels).densities) for pixels in seen]
            where = [STROKE] * len(seen) if ink else masks
            pairs = [[kept(p, w, b) for b in (0, own)] for p, w, own in zip(seen, where, blueness)]
            means, worst = np.mean(pairs, 0), np.max(pairs, 0)
            parts = [f"{mean:.0f}" if ink else f"{mean:.2f} ({most:.0f})" for mean, most in zip(means, worst)]
            cells.append(" to ".join(parts))
        print(f"| {camera.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
