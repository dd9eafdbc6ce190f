"""Training images: crops balanced by source, augmentation."""
import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from .constants import ZERO_LEVEL
from .sources import Slide

#: Smallest magnification change per source: images taken at 400x may be halved, low-power images may not.
MINIMUM_SCALE = {"oscc_400x": 0.4, "brecahad": 0.5, "ocdc_rbswap": 0.7, "osteosarcoma_utsw": 0.9}


def optical_density(levels: np.ndarray) -> np.ndarray:
    """Optical density of grey levels 0..255 (any shape, real numbers), float32."""
    return -np.log(np.maximum(levels, ZERO_LEVEL).astype(np.float32) / 255)


class CropSampler:
    """Draws groups of crops. A group comes from one image; the source is drawn first, all sources with equal probability."""

    def __init__(self, slides: list[Slide], crop: int, seed: int, augment_scale: bool = True):
        self.by_source: dict[str, list[int]] = {}
        for index, slide in enumerate(slides):
            self.by_source.setdefault(slide.source, []).append(index)
        self.slides = slides
        self.crop = crop
        self.augment_scale = augment_scale
        self.random = np.random.default_rng(seed)

    def group(self, crops: int) -> tuple[int, np.ndarray, np.ndarray]:
        """(image index, levels as in the image, levels as another scanner and stain would give them).

        Both float32 [crops, S, S, 3] in 0..255; the second are dithered by half a grey level.
        """
        source = sorted(self.by_source)[self.random.integers(len(self.by_source))]
        index = int(self.random.choice(self.by_source[source]))
        plain = np.stack([self._crop(self.slides[index]) for _ in range(crops)])
        acquired = self._acquire(plain)
        return index, plain, acquired + self.random.uniform(-0.5, 0.5, plain.shape).astype(np.float32)

    def _acquire(self, levels: np.ndarray) -> np.ndarray:
        """One focus, stain strength, illumination, camera noise and JPEG quality for all crops of the group."""
        random = self.random
        if random.random() < 0.5:
            levels = gaussian_filter(levels, (0, *[random.uniform(0.3, 1.2)] * 2, 0))
        strength = np.exp(random.uniform(-0.5, 0.4))
        tint = random.uniform(0, 0.12, 3) if random.random() < 0.4 else np.zeros(3)
        levels = 255 * np.exp(-optical_density(levels) * strength - tint)
        if random.random() < 0.5:
            levels = levels + random.normal(0, random.uniform(0, 3), levels.shape)
        octets = levels.round().clip(0, 255).astype(np.uint8)
        if random.random() < 0.5:
            quality = int(random.integers(40, 96))
            octets = np.stack([_through_jpeg(crop, quality) for crop in octets])
        return octets.astype(np.float32)

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


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
