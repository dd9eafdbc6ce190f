"""From sums to coefficients: the product's fit and its transfer `paper` (core/src/stain), for evaluation.

Compared with the product by test/fixtures/transfer.json, which `dcgmm.vectors` writes.
"""
from dataclasses import dataclass

import numpy as np

from .constants import TRANSFER
from .reference import optical_density

#: A class with a smaller share of the pixels than this, in slide or template, has no usable statistics.
MINIMUM_CLASS_SHARE = TRANSFER["minimumClassShare"]
#: A smaller standard deviation says more about 8-bit rounding than about the stain.
MINIMUM_SD = TRANSFER["minimumDeviation"]
#: Blueness of usual nuclei, and the most above it that is allowed for.
BLUENESS = TRANSFER["blueness"]
FADE_ABOVE = (TRANSFER["fade"]["low"], TRANSFER["fade"]["high"])
#: Glass up to the first D is white and stays unchanged; from the second on it is moved like the rest.
KEPT_GLASS = (TRANSFER["keptGlass"]["surely"], TRANSFER["keptGlass"]["never"])
#: As in core/src/stain/optical-density.ts.
DENSEST_GLASS, GREATEST_TINT, GLASS_PEAK, GLASS_BIN, BLACK_DENSITY, TISSUE_ABOVE_GLASS = 0.25, 20, 0.4, 0.005, 2.5, 0.08


@dataclass(frozen=True)
class Densities:
    """share [K], mean [K, 3] and covariance [K, 3, 3] of optical density (R, G, B)."""

    share: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Stain:
    """share [K], mean [K, 3] and sd [K, 3] of (D, cx, cy), the classes in optical density where they were measured, and D
    of the empty glass."""

    share: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    densities: Densities | None
    glass_density: float


def stain(sums: np.ndarray, glass: float) -> Stain:
    """Class statistics of sums [K, 17] (reference.run_statistics), or [K, 7], which `paper` needs."""
    share, mean, square = moments(sums[:, :7])
    sd = np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), MINIMUM_SD)
    return Stain(share, mean, sd, densities(sums[:, 7:]) if sums.shape[1] > 7 else None, glass)


def moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share [K], and means over the class of three values and of all their products."""
    mass = np.maximum(sums[:, :1], 1e-9)
    return sums[:, 0] / max(sums[:, 0].sum(), 1e-9), sums[:, 1:4] / mass, sums[:, 4:] / mass


def densities(sums: np.ndarray) -> Densities:
    """sums [K, 10] (reference.density_statistics)."""
    share, mean, products = moments(sums)
    # R^2, G^2, B^2, RG, GB, BR -> the elements of a symmetric matrix.
    covariance = products[:, [[0, 3, 5], [3, 1, 4], [5, 4, 2]]] - mean[:, :, None] * mean[:, None, :]
    return Densities(share, mean, covariance)


def averaged(stains: list[Stain]) -> Stain:
    """The stain of several slides with equal weights: the mean of their moments. Glass is the median."""
    share = np.mean([s.share for s in stains], 0)
    weight = np.array([s.share for s in stains]) / np.maximum(share, 1e-9) / len(stains)
    mean = np.einsum("sk,skc->kc", weight, [s.mean for s in stains])
    square = np.einsum("sk,skc->kc", weight, [s.sd**2 + s.mean**2 for s in stains])
    d_share = np.mean([s.densities.share for s in stains], 0)
    weight = np.array([s.densities.share for s in stains]) / np.maximum(d_share, 1e-9) / len(stains)
    d_mean = np.einsum("sk,skc->kc", weight, [s.densities.mean for s in stains])
    products = [s.densities.covariance + s.densities.mean[:, :, None] * s.densities.mean[:, None, :] for s in stains]
    covariance = np.einsum("sk,skij->kij", weight, products) - d_mean[:, :, None] * d_mean[:, None, :]
    sd = np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), MINIMUM_SD)
    return Stain(share, mean, sd, Densities(d_share, d_mean, covariance), float(np.median([s.glass_density for s in stains])))


def kept_glass(glass: float) -> float:
    """1 if the slide's glass stays unchanged, 0 if it is moved like tissue."""
    surely, never = KEPT_GLASS
    return float(np.clip((never - glass) / (never - surely), 0, 1))


def blueness(classes: Densities | None) -> float:
    """How blue the slide's own haematoxylin is (core/src/stain/blueness.ts): by how much more than usual its nuclei absorb
    red rather than green, relative to their density; 0 if unknown."""
    share = classes.share[:-2] if classes else np.zeros(1)
    if share.sum() < MINIMUM_CLASS_SHARE:
        return 0.0
    red, green, blue = share @ classes.mean[:-2] / share.sum()
    return float(np.clip(3 * (red - green) / max(red + green + blue, 1e-9) - BLUENESS["usual"], 0, BLUENESS["most"]))


def coefficients(source: Stain, template: Stain) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(scale [K, 3], offset [K, 3], fade [2], blueness [1]) of x' = sum_k g_k ((x - mu_k) / sd_k sdT_k + muT_k), Zanjani et al. 2018.

    A class that hardly occurs on one side has no such numbers: its pixels move like those of the nearest class that occurs
    on both, the paler one of two at the same distance. If no class occurs on both sides, nothing moves.
    """
    classes = len(source.share)
    usable = np.flatnonzero((source.share >= MINIMUM_CLASS_SHARE) & (template.share >= MINIMUM_CLASS_SHARE))
    scale, offset = np.ones((classes, 3)), np.zeros((classes, 3))
    for k in range(classes if len(usable) else 0):
        donor = min(usable, key=lambda other: (abs(other - k), -other))
        scale[k] = template.sd[donor] / source.sd[donor]
        offset[k] = template.mean[donor] - source.mean[donor] * scale[k]
    fade = np.add(kept_glass(source.glass_density) * source.glass_density, FADE_ABOVE)
    return scale, offset, fade, np.array([blueness(source.densities)])


def counted(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> uint8 [H, W], 1 where a pixel counts: all except black ones."""
    return (optical_density(pixels).mean(-1) < BLACK_DENSITY).astype(np.uint8)


def glass_density(levels: np.ndarray) -> float:
    """Optical density D of the empty glass in uint8 [H, W, 3], 0 without glass. Same as `BrightPixels.glass` in TypeScript."""
    density = optical_density(levels).mean(-1)
    grey = (levels.max(-1).astype(int) - levels.min(-1)) <= GREATEST_TINT
    bins = round(DENSEST_GLASS / GLASS_BIN)
    index = np.floor(density[grey] / GLASS_BIN).astype(int)
    counts = np.bincount(index[index < bins], minlength=bins)
    bright = counts.sum()
    if bright == 0 or bright < density.size * 0.01:
        return 0.0
    beside_white = 1 + int(counts[1:].argmax())
    peak = counts[max(1, beside_white - 1) : beside_white + 2].sum()
    mode = beside_white if peak > GLASS_PEAK * (bright - counts[0]) else int(counts.argmax())
    return (mode + 0.5) * GLASS_BIN


def tissue_density(levels: np.ndarray, glass: float) -> float:
    """Mean D of the tissue of uint8 [H, W, 3]; nan without tissue."""
    density = optical_density(levels).mean(-1)
    tissue = density[(density > glass + TISSUE_ABOVE_GLASS) & (density < BLACK_DENSITY)]
    return float(tissue.mean()) if len(tissue) else float("nan")
