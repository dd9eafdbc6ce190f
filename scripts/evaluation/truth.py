"""Measures of results that should be alike because they show the same tissue: scanned twice, stained nine times, cut into
parts, or changed by us.

Every function takes `move`, a function from uint8 [H, W, 3] to the same, normalising to one template. CIEDE2000 throughout.
"""
from collections.abc import Callable
from itertools import product

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.color import deltaE_ciede2000

from dcgmm.reference import optical_density
from dcgmm.transfer import glass_density

from . import metrics
from .images import tissue

Move = Callable[[np.ndarray], np.ndarray]
#: Registered pictures are smoothed by this many pixels: registration is no better.
SMOOTHING = 2

#: Changes of one picture: the colour of the light, and one stain weaker or stronger.
TINTS = ((0.92, 0.95, 0.98), (0.86, 0.82, 0.78), (0.80, 0.85, 0.95))
STRENGTHS = (0.5, 1.7)
#: Linear sRGB to linear Adobe RGB (1998) and to linear P3, all of the white D65 (IEC 61966-2-1, Adobe RGB 1998, SMPTE EG 432-1).
PRIMARIES = (
    np.array([[0.7152, 0.2848, 0], [0, 1, 0], [0, 0.0412, 0.9588]]),
    np.array([[0.8225, 0.1775, 0], [0.0332, 0.9668, 0], [0.0171, 0.0724, 0.9105]]),
)


def smoothed(pixels: np.ndarray) -> np.ndarray:
    return metrics.lab(gaussian_filter(pixels.astype(float), (SMOOTHING, SMOOTHING, 0)))


def scanners(move: Move, pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Distance on tissue between the pictures of two scanners, both normalised."""
    return float(np.mean([
        deltaE_ciede2000(smoothed(move(a)), smoothed(move(b)))[tissue(a)].mean() for a, b in pairs
    ]))


def protocols(move: Move, regions: dict[str, list[np.ndarray]]) -> float:
    """Distance between the mean colours of a region under its protocols."""
    return float(np.mean([
        metrics.between([metrics.lab(move(pixels)).reshape(-1, 3).mean(0)[None] for pixels in region]) for region in regions.values()
    ]))


def parts(move: Move, pictures: list[np.ndarray]) -> float:
    """Distance of a picture normalised as a whole from its quarters normalised separately: the effect of its content."""
    values = []
    for pixels in pictures:
        whole, mask = metrics.lab(move(pixels)), tissue(pixels)
        height, width = (length // 8 * 4 for length in pixels.shape[:2])
        for top, left in product((0, height), (0, width)):
            part = np.s_[top : top + height, left : left + width]
            if mask[part].mean() >= 0.1:
                alone = metrics.lab(move(np.ascontiguousarray(pixels[part])))
                values.append(deltaE_ciede2000(whole[part], alone)[mask[part]].mean())
    return float(np.mean(values))


def restained(pixels: np.ndarray, strength: float) -> np.ndarray:
    return (255 * np.exp(-strength * optical_density(pixels))).round().clip(0, 255).astype(np.uint8)


def relit(pixels: np.ndarray, light: tuple[float, float, float]) -> np.ndarray:
    return (pixels * np.array(light)).round().clip(0, 255).astype(np.uint8)


def changed(move: Move, pictures: list[np.ndarray], changes: list[Move]) -> float:
    """Distance on tissue between a picture normalised, and changed and normalised."""
    values = []
    for pixels in pictures:
        original, mask = metrics.lab(move(pixels)), tissue(pixels)
        values += [deltaE_ciede2000(original, metrics.lab(move(change(pixels))))[mask].mean() for change in changes]
    return float(np.mean(values))


def strengths(move: Move, pictures: list[np.ndarray]) -> float:
    return changed(move, pictures, [lambda pixels, k=k: restained(pixels, k) for k in STRENGTHS])


def tints(move: Move, pictures: list[np.ndarray]) -> float:
    return changed(move, pictures, [lambda pixels, w=w: relit(pixels, w) for w in TINTS])


def profiles(move: Move, pictures: list[np.ndarray]) -> float:
    """The same values as from two scanners with other primaries, whose ICC profile got lost."""
    return changed(move, pictures, [lambda pixels, m=m: with_primaries(pixels, m) for m in PRIMARIES])


def with_primaries(pixels: np.ndarray, to_device: np.ndarray) -> np.ndarray:
    """sRGB -> the values of a device, by its linear RGB and a gamma of 2.2."""
    linear = np.where(pixels <= 10.31, pixels / 255 / 12.92, ((pixels / 255 + 0.055) / 1.055) ** 2.4)
    return (255 * np.clip(linear @ to_device.T, 0, 1) ** (1 / 2.2)).round().astype(np.uint8)


def reversed_order(before: np.ndarray, after: np.ndarray) -> float:
    """Neighbours more than 2 levels apart whose order of brightness is reversed, % of all such: false contours."""
    clear = turned = 0
    for axis in (0, 1):
        was, now = (np.diff(pixels.mean(-1), axis=axis) for pixels in (before, after))
        apart = np.abs(was) > 2
        clear, turned = clear + apart.sum(), turned + (apart & (was * now < 0)).sum()
    return float(100 * turned / clear)


def red_tissue(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """bool [H, W], the third of the tissue that absorbs red least against green; and D [H, W], after a smoothing of 1 pixel."""
    density = optical_density(gaussian_filter(pixels.astype(float), (1, 1, 0)))
    mean, glass = density.mean(-1), glass_density(pixels)
    stained = (mean > glass + 0.15) & (density.max(-1) < 2.5)
    above = np.maximum(density - glass, 1e-3)
    ratio = above[..., 0] / above[..., 1]
    return stained & (ratio <= np.quantile(ratio[stained], 1 / 3)), mean


def dense_eosin(pixels: np.ndarray) -> np.ndarray:
    """bool [H, W]: the densest quarter of the red tissue."""
    red, mean = red_tissue(pixels)
    return red & (mean >= np.quantile(mean[red], 0.75))


def hue_and_chroma(pixels: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Chroma and hue, in degrees, of the mean CIELAB colour."""
    _, a, b = metrics.lab(pixels)[mask].mean(0)
    return float(np.degrees(np.arctan2(b, a))), float(np.hypot(a, b))


def eosin(move: Move, pictures: list[np.ndarray], template: np.ndarray) -> dict[str, float]:
    """How the source's dense eosin compares with the template's after normalisation. It is compared twice: with the template's
    eosin of the same density, which is the same stain whatever the template contains, and with its densest eosin, which may be
    erythrocytes that the source lacks. Each gives the fraction of pictures within 10 degrees of hue and 0.8 to 1.25 of chroma,
    the mean difference of hue and the mean ratio of chroma."""
    red, density = red_tissue(template)
    densest = hue_and_chroma(template, dense_eosin(template))
    like, dense = [], []
    for pixels in pictures:
        mask, result = dense_eosin(pixels), move(pixels)
        if not mask.any():
            continue
        found = hue_and_chroma(result, mask)
        reached = optical_density(result).mean(-1)[mask].mean()
        like.append(difference_of(found, hue_and_chroma(template, nearest(red, density, reached))))
        dense.append(difference_of(found, densest))
    return kept("eosinLike", like) | kept("eosin", dense)


#: Part of a density within which the template's eosin counts as of the same density, and the minimum of pixels to look at.
SAME_DENSITY, MIN_PIXELS = 0.15, 200


def nearest(red: np.ndarray, density: np.ndarray, to: float) -> np.ndarray:
    """bool [H, W]: red tissue of about this density, or, if there is hardly any, the pixels nearest to it."""
    away = np.where(red, np.abs(density - to), np.inf)
    limit = np.partition(away.ravel(), MIN_PIXELS - 1)[MIN_PIXELS - 1]
    return red & (away <= max(limit, SAME_DENSITY * to))


def difference_of(found: tuple[float, float], own: tuple[float, float]) -> tuple[float, float]:
    """Degrees between hues, ratio of chroma."""
    return abs((found[0] - own[0] + 180) % 360 - 180), found[1] / own[1]


def kept(name: str, differences: list[tuple[float, float]]) -> dict[str, float]:
    good = [hue <= 10 and 0.8 <= ratio <= 1.25 for hue, ratio in differences]
    hues, ratios = zip(*differences)
    return {f"{name}Kept": float(np.mean(good)), f"{name}Hue": float(np.mean(hues)), f"{name}Chroma": float(np.mean(ratios))}
