"""The same tissue as other laboratories and scanners would show it: the truth is known, and results should be alike."""
from dataclasses import dataclass

import numpy as np

from dcgmm.reference import optical_density
from dcgmm.validation import STAINS


@dataclass(frozen=True)
class Cast:
    """Concentrations of haematoxylin and eosin relative to the original, both stains' colours moved by `turn`
    (per channel of optical density, by seed), then gamma and white of the scanner (level of white, R, G, B)."""

    name: str
    haematoxylin: float = 1
    eosin: float = 1
    turn: float = 0
    gamma: float = 1
    white: tuple[float, float, float] = (1, 1, 1)
    seed: int = 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] -> the same."""
        random = np.random.default_rng(self.seed)
        concentration = optical_density(pixels) @ np.linalg.inv(STAINS)
        stains = np.maximum(STAINS + random.normal(0, self.turn, (3, 3)) * [[1], [1], [0]], 0.01)
        stains /= np.linalg.norm(stains, axis=1, keepdims=True)
        strength = [self.haematoxylin, self.eosin, np.sqrt(self.haematoxylin * self.eosin)]
        density = np.maximum((concentration * strength) @ stains, 0)
        return (255 * np.exp(-density * self.gamma) * self.white).round().clip(0, 255).astype(np.uint8)


CASTS = (
    Cast("as it is"),
    Cast("pale haematoxylin", 0.65, 1.1, 0.04, seed=1),
    Cast("strong haematoxylin", 1.4, 0.8, 0.04, seed=2),
    Cast("strong eosin, dim scanner", 0.9, 1.4, 0.04, 1.1, (0.95, 0.95, 0.95), seed=3),
    Cast("faint, yellowish scanner", 0.7, 0.65, 0.05, 1, (0.98, 0.96, 0.92), seed=4),
    Cast("strong, bluish scanner", 1.2, 1.2, 0.05, 0.9, (0.91, 0.94, 0.98), seed=5),
)
