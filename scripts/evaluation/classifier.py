"""A downstream check: a small classifier trained on one laboratory and tested on others, with and without a normaliser.

Tissue of three tumour blocks, each stained by nine protocols (paired/protocols). The classifier learns which block a piece is
from, on regions 1 to 3 under one protocol; it is tested on regions 4 and 5 under the eight others. Every protocol is the
training's in turn. Linear discriminant on colour and texture of pieces of 41 pixels, numpy alone.
"""
import numpy as np
from scipy.ndimage import gaussian_filter

from .truth import Move

PIECE = 41


def features(pixels: np.ndarray) -> np.ndarray:
    """[pieces, features] of one picture: means and deviations of the channels at three scales."""
    scales = [gaussian_filter(pixels.astype(float), (sigma, sigma, 0)) for sigma in (0.5, 2, 6)]
    rows = []
    for top in range(0, pixels.shape[0] - PIECE + 1, PIECE):
        for left in range(0, pixels.shape[1] - PIECE + 1, PIECE):
            pieces = [scale[top : top + PIECE, left : left + PIECE].reshape(-1, 3) for scale in scales]
            rows.append(np.concatenate([np.concatenate((piece.mean(0), piece.std(0))) for piece in pieces]))
    return np.array(rows)


def accuracy(move: Move, regions: dict[str, list[np.ndarray]]) -> float:
    """Fraction of the pieces whose block is recognised under a protocol that was not in training; a third by chance."""
    found = {(name, p): features(move(pixels)) for name, sections in regions.items() for p, pixels in enumerate(sections)}
    blocks = sorted({name[0] for name in regions})
    protocols = range(len(next(iter(regions.values()))))

    def gathered(is_wanted) -> tuple[np.ndarray, np.ndarray]:
        chosen = [(rows, blocks.index(name[0])) for (name, p), rows in found.items() if is_wanted(name, p)]
        return np.concatenate([rows for rows, _ in chosen]), np.concatenate([[block] * len(rows) for rows, block in chosen])

    rates = []
    for trained in protocols:
        x, y = gathered(lambda name, p: p == trained and name[1] in "123")
        mean, scale = x.mean(0), x.std(0) + 1e-9
        x = (x - mean) / scale
        centres = np.array([x[y == k].mean(0) for k in range(len(blocks))])
        within = np.cov((x - centres[y]).T) + 0.1 * np.eye(x.shape[1])
        weights = np.linalg.solve(within, centres.T)
        bias = -0.5 * (centres * weights.T).sum(1)
        tested, truth = gathered(lambda name, p: p != trained and name[1] in "45")
        rates.append((((tested - mean) / scale @ weights + bias).argmax(1) == truth).mean())
    return float(np.mean(rates))
