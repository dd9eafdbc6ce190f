"""From sums to scale, offset and fade: the guards of the product (server/src/stain/transfer.ts), for evaluation.

Held to the product by test/fixtures/transfer.json, which `dcgmm.vectors` writes.
"""
from dataclasses import dataclass

import numpy as np

from .reference import optical_density

MINIMUM_SD = 0.005
MINIMUM_CLASS_SHARE = 0.005
#: Of D; chroma is moved and not scaled.
CONTRAST_LIMITS = 0.4, 2.5
#: How far the densities of the tissue's classes follow one change for all of them instead of each its own.
COMMON_CHANGE = 0.75
#: Least optical density above the glass that a ratio of stain strengths is formed with.
LEAST_STRENGTH = 0.02
#: Part of its density above the glass, or of the template's if that is less, that every class of tissue keeps.
LEAST_REMAINING = 1 / 3
#: The end of a class that meets the template's, in standard deviations of cx from its mean.
PURE_END = 0.5
FADE_ABOVE = (0.02, 0.08)
#: Glass up to the first D is white and stays as it is; from the second on it is moved with the rest.
KEPT_GLASS = (0.06, 0.1)
#: As in server/src/slide/optical-density.ts.
DENSEST_GLASS, GREATEST_TINT, GLASS_PEAK, GLASS_BIN, BLACK_DENSITY, TISSUE_ABOVE_GLASS = 0.25, 20, 0.4, 0.005, 2.5, 0.08


@dataclass(frozen=True)
class Stain:
    """share [K], mean [K, 3] and sd [K, 3] of (D, cx, cy), and D of the empty glass."""

    share: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    glass_density: float


def stain(sums: np.ndarray, glass: float) -> Stain:
    """Class statistics of sums [K, 7]."""
    mass = np.maximum(sums[:, :1], 1e-9)
    mean = sums[:, 1:4] / mass
    variance = np.maximum(sums[:, 4:] / mass - mean**2, 0)
    return Stain(sums[:, 0] / max(sums[:, 0].sum(), 1e-9), mean, np.maximum(np.sqrt(variance), MINIMUM_SD), glass)


def kept_glass(glass: float) -> float:
    """1 where the slide's glass stays as it is, 0 where it is moved onto the template's."""
    surely, never = KEPT_GLASS
    return float(np.clip((never - glass) / (never - surely), 0, 1))


def pooled(share: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of several classes taken together; share [n], mean and sd [n, ...]."""
    weight = (share / share.sum()).reshape(-1, *[1] * (mean.ndim - 1))
    middle = (weight * mean).sum(0)
    return middle, np.sqrt((weight * (sd**2 + (mean - middle) ** 2)).sum(0))


def with_glass(stain: Stain, moved: float) -> Stain:
    """The palest class of tissue together with the part of the glass that is moved as tissue."""
    share, mean, sd = stain.share.copy(), stain.mean.copy(), stain.sd.copy()
    weight = share[-2:] * [1, moved]
    if weight.sum() > 0:
        share[-2] = weight.sum()
        mean[-2], sd[-2] = pooled(weight, stain.mean[-2:], stain.sd[-2:])
    return Stain(share, mean, sd, stain.glass_density)


def wanted_contrast(from_mean: float, from_sd: float, to_mean: float, to_sd: float, glass: tuple[float, float]) -> float:
    """What scales D: geometric mean of the deviations' ratio and of the ratio of the mean densities above the glass."""
    strengths = max(LEAST_STRENGTH, to_mean - glass[1]) / max(LEAST_STRENGTH, from_mean - glass[0])
    return float(np.sqrt(to_sd / from_sd * strengths))


def coefficients(source: Stain, template: Stain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scale [K, 3], offset [K, 3], fade [2]) that move the source onto the template."""
    classes = len(source.share)
    glass = source.glass_density, template.glass_density
    kept = kept_glass(source.glass_density)
    shift = kept * (glass[0] - glass[1]) + (1 - kept) * min(0, glass[0] - glass[1])
    source, template = with_glass(source, 1 - kept), with_glass(template, 1 - kept)
    usable = np.flatnonzero((source.share >= MINIMUM_CLASS_SHARE) & (template.share >= MINIMUM_CLASS_SHARE))
    tissue = usable[usable < classes - 1]
    if len(tissue):
        (from_mean, from_sd), (to_mean, to_sd) = (pooled(s.share[tissue], s.mean[tissue, 0], s.sd[tissue, 0]) for s in (source, template))
        common = np.clip(wanted_contrast(from_mean, from_sd, to_mean, to_sd, glass), *CONTRAST_LIMITS)
    scale, offset = np.ones((classes, 3)), np.zeros((classes, 3))
    for k in range(classes if len(usable) else 0):
        lender = min(usable, key=lambda other: (abs(other - k), -other))
        own, own_sd, target, target_sd = source.mean[lender], source.sd[lender], template.mean[lender], template.sd[lender]
        density = target[0]
        if lender in tissue:
            contrast = np.clip(wanted_contrast(own[0], own_sd[0], target[0], target_sd[0], glass), *CONTRAST_LIMITS)
            contrast += COMMON_CHANGE * (common - contrast)
            density += COMMON_CHANGE * (to_mean + (own[0] - from_mean) * common - density)
            strength = min(own[0] - glass[0], target[0] - glass[1])
            if strength > 0:
                density = max(density, glass[1] + LEAST_REMAINING * strength)
        else:
            contrast = np.clip(target_sd[0] / own_sd[0], *CONTRAST_LIMITS)
        # Haematoxylin absorbs red, eosin does not: the pure end of nuclei has the greater cx, that of eosin the smaller.
        end = PURE_END * (1 if lender < classes - 2 else -1 if lender < classes - 1 else 0)
        scale[k, 0] = contrast
        offset[k] = target - own
        offset[k, 0] = density + shift - own[0] * contrast
        offset[k, 1] += end * (target_sd[1] - own_sd[1])
    for values in (scale, offset):
        values[-1] = kept * values[-1] + (1 - kept) * values[-2]
    return scale, offset, np.add(kept * glass[0], FADE_ABOVE)


def counted(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> uint8 [H, W], 1 where a pixel counts: all but the black ones."""
    return (optical_density(pixels).mean(-1) < BLACK_DENSITY).astype(np.uint8)


def glass_density(levels: np.ndarray) -> float:
    """uint8 [H, W, 3] -> D of the empty glass, 0 where there is none (findGlass of the product)."""
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
