"""Hue-saturation-density colour space, for numpy arrays and torch tensors alike.

optical density OD_c = -ln(RGB_c), D = mean(OD_R, OD_G, OD_B),
cx = OD_R / D - 1, cy = (OD_G - OD_B) / (sqrt(3) D); see constants.py for the bound of D.
"""
import math

from .constants import MINIMUM_OPTICAL_DENSITY

ROOT3 = math.sqrt(3.0)


def from_optical_density(red, green, blue, bound: float = MINIMUM_OPTICAL_DENSITY):
    """(OD_R, OD_G, OD_B) -> (D unbounded, D bounded, cx, cy), each of the shape of the inputs."""
    density = (red + green + blue) / 3
    bounded = density.clip(bound, None)
    return density, bounded, (red - density) / bounded, (green - blue) / (ROOT3 * bounded)


def to_optical_density(density, cx, cy):
    """(D, cx, cy) -> (OD_R, OD_G, OD_B); the inverse of the published formulas."""
    return (
        (cx + 1) * density,
        density * (2 - cx + ROOT3 * cy) / 2,
        density * (2 - cx - ROOT3 * cy) / 2,
    )
