"""The measure that selects a checkpoint: can the stain of an image be restored from its other half?

Every held-out image is cut in two. One half is changed in a known way (both stains weaker or
stronger, by different factors, and turned); the other half is the template. After the transfer the first
half must look as before. The measure is repeated with a template without dense eosin. Unlike the likelihood, it is in grey
levels and penalises eosin that turns purple.
"""
from dataclasses import dataclass

import numpy as np

from . import clustering, reference, transfer
from .data import optical_density
from .sources import Slide

#: Optical densities of haematoxylin, eosin and the rest (R, G, B), unit length; Ruifrok and Johnston 2001.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
STAINS = STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True)


def restain(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """uint8 [H, W, 3] with both stains changed: concentration by 0.65 .. 1.5, colour by a few degrees."""
    concentration = optical_density(pixels) @ np.linalg.inv(STAINS)
    gains = np.exp(random.uniform(-0.43, 0.41, 3))
    gains[2] = np.sqrt(gains[0] * gains[1])
    turned = np.maximum(STAINS + random.normal(0, 0.06, (3, 3)) * [[1], [1], [0]], 0.01)
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    levels = 255 * np.exp(-np.maximum((concentration * gains) @ turned, 0))
    return levels.round().astype(np.uint8)


@dataclass(frozen=True)
class Case:
    """One held-out image: three uint8 [side, side, 3] and the share of dense eosin in the template's pixels."""

    source: str
    original: np.ndarray
    restained: np.ndarray
    template: np.ndarray
    eosin: np.ndarray


def cases_of(slides: list[Slide], side: int, seed: int = 7) -> list[Case]:
    """Cuts the middle of every slide in two; the same seed makes the same cases."""
    random = np.random.default_rng(seed)
    result = []
    for slide in slides:
        height, width = slide.pixels.shape[:2]
        long = np.swapaxes(slide.pixels, 0, 1) if height > width else slide.pixels
        height, width = long.shape[:2]
        extent = min(side, height // 4 * 4, width // 8 * 4)
        top = (height - extent) // 2
        left = max(0, width // 2 - extent)
        original = np.ascontiguousarray(long[top : top + extent, left : left + extent])
        template = np.ascontiguousarray(long[top : top + extent, left + extent : left + 2 * extent])
        posterior = clustering.fit(slide.pixels, 1).posterior(clustering.smooth_features(template).reshape(-1, 3))
        eosin = posterior[:, 1].reshape(extent, extent)
        result.append(Case(slide.source, original, restain(original, random), template, eosin))
    return result


def sums_and_parts(tile: np.ndarray, responsibilities, weight=None) -> tuple[np.ndarray, tuple]:
    """sums [K, 7] of one image [H, W, 3] (weight [H, W] or all pixels), and the other values that the transfer needs."""
    density, x = reference.features(tile[None])
    g = responsibilities(x[:, 0])
    counted = (density < transfer.BLACK_DENSITY) * reference.native(tile[None])
    if weight is not None:
        counted = counted * weight[None]
    return reference.statistics(x, g, counted)[0], (tile[None].astype(float), density, x, g)


def normalise(tile: np.ndarray, template: transfer.Stain, responsibilities) -> np.ndarray:
    """float levels [H, W, 3] of one image normalised to the template by the transfer `paper`."""
    sums, parts = sums_and_parts(tile, responsibilities)
    source = transfer.stain(sums, transfer.glass_density(tile))
    return reference.transfer(*parts, *transfer.coefficients(source, template))[0]


def restoration_error(cases: list[Case], responsibilities) -> dict[str, float]:
    """Mean absolute grey-level differences to the original.

    'before': restained and left alone. 'other half': the template is the other half. 'without eosin': the
    template is the other half less its dense eosin, so that a class which mixes eosin with nuclei pulls the
    eosin towards the nuclei. 'all': mean of the two. responsibilities: bounded D [1, H, W] -> [1, K, H, W].
    """
    errors: dict[str, list[float]] = {"before": [], "other half": [], "without eosin": []}
    for case in cases:
        errors["before"].append(float(np.abs(case.restained.astype(float) - case.original).mean()))
        for name, weight in (("other half", None), ("without eosin", 1 - case.eosin)):
            sums, _ = sums_and_parts(case.template, responsibilities, weight)
            template = transfer.stain(sums, transfer.glass_density(case.template))
            restored = normalise(case.restained, template, responsibilities)
            errors[name].append(float(np.abs(restored - case.original).mean()))
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    return {**means, "all": (means["other half"] + means["without eosin"]) / 2}
