"""A classical Gaussian mixture of one image in HSD space, and the network's targets made from it.

The mixture sees the hue and has four components by construction: nuclei (dense and bluish), dense eosin (dense
and reddish), pale tissue, glass. The network never sees the hue: it learns to find nuclei by density and shape.
"""
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from .data import optical_density
from .hsd import from_optical_density

#: Approximate limit between glass and tissue at the start of the fit, optical density.
GLASS_DENSITY = 0.12
#: Below this D chroma is mostly 8-bit noise, so divisions use at least this value.
CHROMA_BOUND = 0.1
#: Minimum difference of the mean cx between nuclei and dense eosin for an image to teach the difference.
MINIMUM_HUE_DIFFERENCE = 0.08
#: A pixel of this D is half glass in the targets.
TARGET_GLASS_DENSITY = 0.1
VARIANCE_FLOOR = np.array([2e-3, 4e-3, 4e-3])


@dataclass(frozen=True)
class Mixture:
    """K diagonal Gaussians over (D, cx, cy): mean [K, 3], variance [K, 3], share [K]."""

    mean: np.ndarray
    variance: np.ndarray
    share: np.ndarray

    @property
    def has_nuclei(self) -> bool:
        """The first component is nuclei: it occurs, is denser than pale tissue and bluer than dense eosin."""
        nuclei, eosin, pale, _ = self.mean
        return bool(self.share[0] > 0.03 and nuclei[0] > pale[0] and nuclei[1] > eosin[1] + MINIMUM_HUE_DIFFERENCE)

    def targets(self, features: np.ndarray) -> np.ndarray:
        """features [P, 3] -> the network's target [P, 4], in the order of constants.CLASS_NAMES.

        Eosin, dense or pale, is one class: a dense eosin structure could only be confused with nuclei. Nuclei are two
        classes, split at their own mean density in this image. Glass is separated by density alone, because not
        every image has a component for it.
        """
        density = features[:, 0]
        nuclei = self.posterior(features)[:, 0]
        mean = self.mean[0, 0]
        dark = logistic((density - mean) / (0.1 * mean))
        glass = logistic((TARGET_GLASS_DENSITY - density) / 0.02)
        parts = nuclei * dark, nuclei * (1 - dark), (1 - nuclei) * (1 - glass), (1 - nuclei) * glass
        return np.stack(parts, 1)

    def posterior(self, features: np.ndarray) -> np.ndarray:
        """features [P, 3] -> responsibilities [P, K]."""
        log = np.log(self.share) - 0.5 * np.log(self.variance).sum(1)
        log = log - 0.5 * (((features[:, None] - self.mean) ** 2) / self.variance).sum(2)
        log -= log.max(1, keepdims=True)
        weight = np.exp(log)
        return weight / weight.sum(1, keepdims=True)


def logistic(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(value, -50, 50)))


def smooth_features(levels: np.ndarray) -> np.ndarray:
    """levels [H, W, 3] -> (D, cx, cy) [H, W, 3] of the 3 x 3 mean colour, float32."""
    od = optical_density(uniform_filter(levels.astype(np.float32), (3, 3, 1)))
    density, _, cx, cy = from_optical_density(od[..., 0], od[..., 1], od[..., 2], CHROMA_BOUND)
    return np.stack((density, cx, cy), -1)


def otsu(values: np.ndarray) -> float:
    """Threshold with the smallest variance within the classes (Otsu)."""
    counts, edges = np.histogram(values, 128)
    centres = (edges[1:] + edges[:-1]) / 2
    mass = np.cumsum(counts)
    total = np.cumsum(counts * centres)
    low = total / np.maximum(mass, 1)
    high = (total[-1] - total) / np.maximum(mass[-1] - mass, 1)
    between = mass * (mass[-1] - mass) * (low - high) ** 2.0
    return float(centres[int(np.argmax(between))])


def fit(pixels: np.ndarray, seed: int, iterations: int = 12, samples: int = 40000) -> Mixture:
    """Expectation-maximisation from a start by density and hue; pixels uint8 [H, W, 3]."""
    features = smooth_features(pixels).reshape(-1, 3).astype(np.float64)
    random = np.random.default_rng(seed)
    features = features[random.choice(len(features), min(samples, len(features)), replace=False)]
    density, cx = features[:, 0], features[:, 1]
    tissue = density >= GLASS_DENSITY
    split = np.median(density[tissue]) if tissue.any() else GLASS_DENSITY
    dense = tissue & (density > split)
    hue = otsu(cx[dense]) if dense.sum() > 100 else 0.0
    start = np.stack((dense & (cx > hue), dense & (cx <= hue), tissue & ~dense, ~tissue), 1).astype(np.float64)
    responsibility = 0.9 * start + 0.025
    for _ in range(iterations):
        mass = responsibility.sum(0)
        mean = responsibility.T @ features / mass[:, None]
        square = responsibility.T @ features**2 / mass[:, None]
        mixture = Mixture(mean, np.maximum(square - mean**2, 0) + VARIANCE_FLOOR, np.maximum(mass / len(features), 0.01))
        responsibility = mixture.posterior(features)
    return mixture
