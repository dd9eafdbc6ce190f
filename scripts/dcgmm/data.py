"""Training images: reading, hold-out, crops balanced by source, augmentation."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .constants import ZERO_LEVEL

#: Smallest magnification change per source: images taken at 400x may be halved, low-power images may not.
MINIMUM_SCALE = {"oscc_400x": 0.4, "brecahad": 0.5, "ocdc_rbswap": 0.7, "osteosarcoma_utsw": 0.9}
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


@dataclass(frozen=True)
class Slide:
    """One training image: pixels uint8 [H, W, 3]."""

    name: str
    source: str
    pixels: np.ndarray


def read_sources(folder: Path, held_out_per_source: int) -> tuple[list[Slide], list[Slide]]:
    """(training images, held-out images) of all source folders; the same files are held out every time."""
    training: list[Slide] = []
    held_out: list[Slide] = []
    for source in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
        step = max(1, len(files) // max(1, held_out_per_source))
        chosen = set(files[step // 2 :: step][:held_out_per_source])
        for file in files:
            pixels = np.asarray(Image.open(file).convert("RGB"))
            (held_out if file in chosen else training).append(Slide(file.stem, source.name, pixels))
    return training, held_out


def optical_density(levels: np.ndarray) -> np.ndarray:
    """Optical density of grey levels 0..255 (any shape, real numbers), float32."""
    return -np.log(np.maximum(levels, ZERO_LEVEL).astype(np.float32) / 255)


class CropSampler:
    """Draws groups of crops; a group is from one image, the source is drawn first, all sources alike."""

    def __init__(self, slides: list[Slide], crop: int, seed: int, augment_scale: bool = True):
        self.by_source: dict[str, list[int]] = {}
        for index, slide in enumerate(slides):
            self.by_source.setdefault(slide.source, []).append(index)
        self.slides = slides
        self.crop = crop
        self.augment_scale = augment_scale
        self.random = np.random.default_rng(seed)

    def group(self, crops: int) -> tuple[int, np.ndarray, np.ndarray]:
        """(image index, undithered levels, dithered levels), levels float32 [crops, S, S, 3] in 0..255."""
        source = sorted(self.by_source)[self.random.integers(len(self.by_source))]
        index = int(self.random.choice(self.by_source[source]))
        plain = np.stack([self._crop(self.slides[index]) for _ in range(crops)])
        dithered = plain + self.random.uniform(-0.5, 0.5, plain.shape).astype(np.float32)
        return index, plain, dithered

    def gain(self) -> float:
        """Stain concentration of the group relative to the image, 0.75 .. 1.33."""
        return float(np.exp(self.random.uniform(-0.29, 0.29)))

    def _crop(self, slide: Slide) -> np.ndarray:
        height, width = slide.pixels.shape[:2]
        scale = 1.0
        if self.augment_scale and self.random.random() < 0.6:
            scale = self.random.uniform(MINIMUM_SCALE.get(slide.source, 1.0), 1.0)
        side = min(int(round(self.crop / scale)), height, width)
        top = self.random.integers(height - side + 1)
        left = self.random.integers(width - side + 1)
        window = slide.pixels[top : top + side, left : left + side]
        if side != self.crop:
            window = np.asarray(Image.fromarray(window).resize((self.crop, self.crop), Image.Resampling.BOX))
        window = np.rot90(window, self.random.integers(4))
        if self.random.random() < 0.5:
            window = window[:, ::-1]
        return window.astype(np.float32)
