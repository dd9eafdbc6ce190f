"""The transfer `linear`: one map of optical density for a slide (core/src/stain/linear.ts, linear-tables.ts).

By Beer and Lambert the optical density of a pixel is amounts of stain times the colours of the stains. To first
order, another laboratory and scanner change both by one linear map. It is estimated from the colours of the mixture's
classes: those of the slide must meet those of the template. Each step is a function; docs/evaluation has a row without it.
"""
import numpy as np

from .constants import (
    FOREIGN_BLACK_DENSITY,
    FOREIGN_BLUE_OVER_GREEN,
    FOREIGN_INK_BLUE_OVER_GREEN,
    FOREIGN_INK_DENSITY,
    FOREIGN_INK_RED_OVER_GREEN,
    FOREIGN_RED_OVER_GREEN,
    TRANSFER,
    ZERO_LEVEL,
)
from .reference import smoothstep
from .transfer import MINIMUM_CLASS_SHARE, Densities, Stain, kept_glass

#: Integer units of one optical density, and of a weight of 1.
UNIT = 4096
#: Largest optical density in the tables, and steps of the sum of three densities in the table of weights.
MAX_DENSITY, STEP, WEIGHTS, RAMP = 7 * UNIT, 16, 512, 256
#: Direction in optical density in which haematoxylin and eosin differ most: red against green (Ruifrok and Johnston 2001).
HAEMATOXYLIN = np.array([1, -1, 0]) / np.sqrt(2)


def gain(density: float) -> float:
    """What the network's input is multiplied by: a slide of any strength has the usual mean density then.

    The network was trained on densities as they are. A pale slide's nuclei look like stroma to it otherwise.
    """
    low, high = TRANSFER["gainLimits"]
    return float(np.clip(TRANSFER["usualDensity"] / density, low, high)) if density > 0 else 1.0


def nuclei_together(classes: Densities) -> Densities:
    """All but the last two classes as one: where nuclei are split in dark and pale says more of the tissue than of the stain."""
    share, mean = classes.share[:-2], classes.mean[:-2]
    weight = share / max(share.sum(), 1e-9)
    middle = weight @ mean
    spread = classes.covariance[:-2] + (mean - middle)[:, :, None] * (mean - middle)[:, None, :]
    return Densities(
        np.array([share.sum(), *classes.share[-2:]]),
        np.vstack((middle, classes.mean[-2:])),
        np.concatenate((np.einsum("k,kij->ij", weight, spread)[None], classes.covariance[-2:])),
    )


def pure_ends(classes: Densities) -> np.ndarray:
    """Colours [3, 3] of nuclei, eosin, glass where they are purest: from the mean along the class's own spread, some
    standard deviations towards more haematoxylin or more eosin. What else a class holds differs between slides of one
    laboratory; its purest pixels hardly do."""
    ends = classes.mean.copy()
    for k, direction in ((0, TRANSFER["pureEnd"]["nuclei"]), (1, -TRANSFER["pureEnd"]["eosin"])):
        along = classes.covariance[k] @ HAEMATOXYLIN
        ends[k] += direction * along / np.sqrt(max(HAEMATOXYLIN @ along, 1e-8))
    return ends


def optical_map(source: Stain, template: Stain) -> tuple[np.ndarray, np.ndarray]:
    """(A [3, 3], b [3]): OD' = OD A + b, ridge regression of the template's class colours on the slide's.

    The weight of a class is the geometric mean of its shares on both sides. The ridge, relative to the slide's own densities, draws A
    towards one factor for all stains; that of the intercept draws b towards 0. Identity where no class of tissue occurs on both sides.
    """
    own, target = nuclei_together(source.densities), nuclei_together(template.densities)
    occurs = (own.share >= MINIMUM_CLASS_SHARE) & (target.share >= MINIMUM_CLASS_SHARE)
    if not occurs[:-1].any():
        return np.eye(3), np.zeros(3)
    weight = np.sqrt(own.share * target.share) * occurs
    weight = weight / weight.sum()
    x, y = np.hstack((pure_ends(own), np.ones((3, 1)))), pure_ends(target)
    left, right = x.T @ (weight[:, None] * x), x.T @ (weight[:, None] * y)
    size = np.trace(left[:3, :3])
    factor, ridge = np.trace(right[:3]) / size, TRANSFER["ridge"] * size
    left[[0, 1, 2, 3], [0, 1, 2, 3]] += [ridge, ridge, ridge, TRANSFER["interceptRidge"]]
    right[[0, 1, 2], [0, 1, 2]] += ridge * factor
    solved = np.linalg.solve(left, right)
    return solved[:3], solved[3]


def glass_weight(density: np.ndarray, glass: float) -> np.ndarray:
    """The fraction of the change that a pixel of mean density D gets. It decreases linearly towards kept glass, and is 0 there, so
    that glass and tissue meet without an edge and without a reversed order of brightness."""
    above = np.maximum(density - kept_glass(glass) * glass, 0)
    # Very white glass is treated as ordinary glass: otherwise the intercept of the map would apply at once.
    way = kept_glass(glass) * max(glass, TRANSFER["minimumGlass"])
    reach = TRANSFER["glassReach"]
    falling = np.minimum(1, above / np.maximum(above + way, 1e-9) * (reach + way) / reach)
    return smoothstep((above - TRANSFER["fade"]["low"]) / TRANSFER["glassToe"]) * falling


def rounded(values: np.ndarray) -> np.ndarray:
    return np.floor(np.asarray(values) + 0.5).astype(np.int32)


def bounded(values: np.ndarray) -> np.ndarray:
    """Limits coefficients so that four can be added: no slide has larger ones."""
    return rounded(np.clip(values, -(2**28), 2**28))


def ramp_of(ends: tuple[float, float], times: int = 1) -> tuple[int, int]:
    """(first, slope): (value - first) slope >> 12 is 0 at the first end and RAMP at the second, value in `times` UNIT."""
    low, high = (int(rounded(end * UNIT * times)) for end in ends)
    return low, int(rounded(RAMP * 4096 / (high - low)))


def tables(a: np.ndarray, b: np.ndarray, glass: float, blueness: float) -> dict:
    """Everything `normalize_tile` needs: integers only, so that every runtime gives the same pixels."""
    density = rounded(-np.log(np.maximum(np.arange(256), ZERO_LEVEL) / 255) * UNIT)
    level = rounded(255 * np.exp(-np.arange(MAX_DENSITY) / UNIT))
    level[density] = np.arange(256)  # A weight of 0 leaves a pixel unchanged.
    middles = (np.arange(WEIGHTS) * STEP + STEP / 2) / (3 * UNIT)
    return {
        "density": density,
        "product": bounded(a[:, None, :] * density[None, :, None]),
        "offset": bounded(np.asarray(b) * UNIT),
        "weight": rounded(UNIT * glass_weight(middles, glass)),
        "native": rounded(UNIT * (1 - smoothstep(np.arange(RAMP + 1) / RAMP))),
        "ramps": [
            list(ramp_of(FOREIGN_BLUE_OVER_GREEN)),
            list(ramp_of(FOREIGN_RED_OVER_GREEN)),
            list(ramp_of(FOREIGN_INK_BLUE_OVER_GREEN)),
            list(ramp_of(FOREIGN_INK_RED_OVER_GREEN)),
            list(ramp_of(FOREIGN_INK_DENSITY, 3)),
            list(ramp_of(FOREIGN_BLACK_DENSITY, 3)),
        ],
        "blueness": rounded([blueness * UNIT / 3]),
        "level": level.astype(np.uint8),
    }
