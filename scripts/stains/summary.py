"""Input of the detector of other stains: where the colours of a slide lie, separately for nuclei, the rest and the darkest.

The same as core/src/stain/colour-summary.ts, which test/fixtures/stains compare with this.
"""
import numpy as np

from dcgmm.constants import FOREIGN_BLACK_DENSITY, MINIMUM_OPTICAL_DENSITY, ZERO_LEVEL

#: Cells of CELL x CELL pixels are averaged, to reduce noise and JPEG artefacts; blocks of BLOCK x BLOCK cells are examined separately.
CELL = 2
BLOCK = 32
#: A cell is tissue from this density above that of the light.
TISSUE = 0.08
#: Fraction of a block's tissue cells that absorb red most; these are its nuclei in nearly every stain.
NUCLEI = 0.25
#: Densest fraction of them, which shows rare structures such as silver fibres or single brown nuclei.
DARKEST = 0.1
#: A block with fewer tissue cells than this is ignored.
MIN_CELLS = 64
#: From this density on all cells have the same weight; paler ones are weighted by their density.
FULL_WEIGHT = 0.5
#: Nodes of the grid over chroma: cx from -1 and cy from -1.25, STEP apart. A cell's weight is shared by the four around it.
STEP = 0.25
ORIGIN = (-1.0, -1.25)
NODES = (11, 12)
#: Parts of a summary: the grid for nuclei, for the rest, and for the darkest of both.
PARTS = 3
LENGTH = PARTS * NODES[0] * NODES[1]
ROOT3 = np.sqrt(3.0)
#: The brightest part of what is not pure white is taken for the light: density in bins, how many, the part, and the
#: difference of channels in grey levels from which on it is tissue, or a lamp, and tells nothing.
WHITE_BIN, WHITE_BINS, WHITE_SHARE, WHITE_TINT = 0.005, 50, 0.005, 20


def summary(rgb: np.ndarray, white: tuple[float, float, float] | None = None) -> np.ndarray:
    """uint8 [H, W, 3] -> float64 [LENGTH], additive over pictures whose sides are multiples of a block's."""
    side = CELL * BLOCK
    sums = np.zeros(LENGTH)
    white_density = -np.log(np.asarray(white or (255, 255, 255), float) / 255)
    for top in range(0, rgb.shape[0] - CELL + 1, side):
        for left in range(0, rgb.shape[1] - CELL + 1, side):
            sums += _block(rgb[top : top + side, left : left + side], white_density)
    return sums


def _block(rgb: np.ndarray, white_density: np.ndarray) -> np.ndarray:
    height, width = (length // CELL for length in rgb.shape[:2])
    cells = rgb[: height * CELL, : width * CELL].reshape(height, CELL, width, CELL, 3).sum((1, 3), dtype=float) / CELL**2
    raw = -np.log(np.maximum(cells, ZERO_LEVEL) / 255).reshape(-1, 3)
    density = np.maximum(raw - white_density, 0)
    mean = density.mean(-1)
    tissue = (mean > TISSUE) & (raw.mean(-1) < FOREIGN_BLACK_DENSITY[0])
    density, mean = density[tissue], mean[tissue]
    sums = np.zeros((PARTS, *NODES))
    if len(mean) < MIN_CELLS:
        return sums.ravel()
    # Equal ones in the order of the cells.
    part = np.ones(len(mean), int)
    part[np.argsort(-density[:, 0], kind="stable")[: int(len(mean) * NUCLEI)]] = 0
    darkest = np.argsort(-mean, kind="stable")[: int(len(mean) * DARKEST)]
    bounded = np.maximum(mean, MINIMUM_OPTICAL_DENSITY)
    weight = np.minimum(mean, FULL_WEIGHT) / FULL_WEIGHT
    chroma = (density[:, 0] / bounded - 1, (density[:, 1] - density[:, 2]) / (ROOT3 * bounded))
    place = [np.clip((value - origin) / STEP, 0, nodes - 1) for value, origin, nodes in zip(chroma, ORIGIN, NODES)]
    low = [np.minimum(at.astype(int), nodes - 2) for at, nodes in zip(place, NODES)]
    rest = [at - node for at, node in zip(place, low)]
    for i in (0, 1):
        for j in (0, 1):
            share = (rest[0] if i else 1 - rest[0]) * (rest[1] if j else 1 - rest[1])
            node = (low[0] + i, low[1] + j)
            np.add.at(sums, (part, *node), weight * share)
            np.add.at(sums[2], (node[0][darkest], node[1][darkest]), (weight * share)[darkest])
    return sums.ravel()


def find_white(rgb: np.ndarray) -> tuple[float, float, float] | None:
    """The colour of the light as `BrightPixels.white` of core/src/stain/optical-density.ts determines it; None if it cannot."""
    levels = rgb.reshape(-1, 3)
    levels = levels[levels.min(-1) < 255]
    index = np.floor(-np.log(np.maximum(levels, ZERO_LEVEL) / 255.0).mean(-1) / WHITE_BIN).astype(int)
    counts = np.bincount(index[index < WHITE_BINS], minlength=WHITE_BINS)
    reached = np.flatnonzero(np.cumsum(counts) >= max(1, WHITE_SHARE * len(levels)))
    if len(reached) == 0:
        return None
    mean = levels[index <= reached[0]].mean(0)
    return tuple(mean.tolist()) if mean.max() - mean.min() <= WHITE_TINT else None
