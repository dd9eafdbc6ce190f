"""The method in float64 numpy, as published: no algebra, no torch, no onnx. The graphs are compared with it.

    python -m dcgmm.reference image.png responsibilities.png   (looks at one image)
"""
import argparse

import numpy as np

from .constants import (
    BLOCK,
    CX_RANGE,
    FAST_LAYERS,
    FOREIGN_BLACK_DENSITY,
    FOREIGN_BLUE_OVER_GREEN,
    FOREIGN_INK_BLUE_OVER_GREEN,
    FOREIGN_INK_DENSITY,
    FOREIGN_INK_RED_OVER_GREEN,
    FOREIGN_RED_OVER_GREEN,
    LAYERS,
    MINIMUM_OPTICAL_DENSITY,
    ZERO_LEVEL,
)
from .hsd import from_optical_density, to_optical_density
from .weights import read_weights, weights_file


def optical_density(tile: np.ndarray) -> np.ndarray:
    """uint8 (or real) [N, H, W, 3] -> optical density float64 [N, H, W, 3]."""
    return -np.log(np.maximum(tile.astype(np.float64), ZERO_LEVEL) / 255)


def features(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[N, H, W, 3] -> (unbounded D [N, H, W], (D, cx, cy) [N, 3, H, W])."""
    od = optical_density(tile)
    density, bounded, cx, cy = from_optical_density(od[..., 0], od[..., 1], od[..., 2])
    return density, np.stack((bounded, cx, cy), 1)


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """[I, H, W] with zero 'same' padding -> [O, H, W]; weight [O, I, k, k]."""
    pad = weight.shape[2] // 2
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    result = np.broadcast_to(bias[:, None, None], (len(bias), height, width)).copy()
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            window = padded[:, row : row + height, column : column + width]
            result += np.tensordot(weight[:, :, row, column], window, 1)
    return result


def pool(x: np.ndarray) -> np.ndarray:
    """[C, H, W] -> [C, H/2, W/2], maximum of 2 x 2."""
    channels, height, width = x.shape
    return x.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))


def upsample(x: np.ndarray) -> np.ndarray:
    """[C, H, W] -> [C, 2H, 2W], nearest neighbour."""
    return x.repeat(2, 1).repeat(2, 2)


def responsibilities(density: np.ndarray, weights: dict[str, np.ndarray], network: str) -> np.ndarray:
    """Bounded D [N, H, W] -> responsibilities float64 [N, K, H, W], summing to 1 over K; network as in blocks.py."""
    result = []
    for image in density:
        x = {"reference": reference_logits, "fast": fast_logits}[network](image[None], weights)
        x = np.exp(x - x.max(0))
        result.append(x / x.sum(0))
    return np.stack(result)


def fast_logits(x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """[1, H, W] -> [K, H, W]."""
    height, width = (length // BLOCK for length in x.shape[1:])
    x = x.reshape(height, BLOCK, width, BLOCK).transpose(1, 3, 0, 2).reshape(BLOCK**2, height, width)
    for name, *_ in FAST_LAYERS:
        x = convolve(x, weights[f"{name}.weight"].astype(np.float64), weights[f"{name}.bias"].astype(np.float64))
        if name != FAST_LAYERS[-1][0]:
            x = np.maximum(x, 0)
    x = x.reshape(-1, BLOCK, BLOCK, height, width).transpose(0, 3, 1, 4, 2)
    return x.reshape(len(x), height * BLOCK, width * BLOCK)


def reference_logits(x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """[1, H, W] -> [K, H, W]."""
    for name, *_ in LAYERS:
        x = convolve(x, weights[f"{name}.weight"].astype(np.float64), weights[f"{name}.bias"].astype(np.float64))
        if name != "conv9":
            x = np.maximum(x, 0)
        if name in ("conv2", "conv4"):
            x = pool(x)
        if name in ("conv5", "conv6"):
            x = upsample(x)
    return x


def statistics(x: np.ndarray, g: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x [N, 3, H, W], g [N, K, H, W], weight [N, H, W] -> sums [N, K, 7]: g, g D, g cx, g cy, g D^2, g cx^2, g cy^2."""
    terms = np.concatenate((np.ones_like(x[:, :1]), x, x**2), 1)
    return np.einsum("nkhw,nchw->nkc", g * weight[:, None], terms)


def smoothstep(t: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, 3t^2 - 2t^3 between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def ramp(value: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """0 at the first end, 1 at the second, linear beyond them."""
    return (value - ends[0]) / (ends[1] - ends[0])


def native(tile: np.ndarray, blueness: float = 0) -> np.ndarray:
    """uint8 [N, H, W, 3] -> 1 where the colour can be H&E, 0 where it is foreign (constants.py); [N, H, W]. blueness of the
    slide (transfer.py), which a fit does not know yet."""
    od = optical_density(tile)
    red, green, blue = od[..., 0], od[..., 1], od[..., 2]
    mean = od.mean(-1)
    blue_ink = red - green - blueness * mean
    black_or_blue = np.maximum(ramp(blue - green, FOREIGN_INK_BLUE_OVER_GREEN), ramp(blue_ink, FOREIGN_INK_RED_OVER_GREEN))
    ink = np.minimum(ramp(mean, FOREIGN_INK_DENSITY), black_or_blue)
    black = ramp(od.min(-1), FOREIGN_BLACK_DENSITY)
    ramps = (ramp(blue - green, FOREIGN_BLUE_OVER_GREEN), ramp(blue_ink, FOREIGN_RED_OVER_GREEN), ink, black)
    return 1 - smoothstep(np.maximum.reduce(ramps))


def transfer(
    tile: np.ndarray, density: np.ndarray, x: np.ndarray, g: np.ndarray,
    scale: np.ndarray, offset: np.ndarray, fade: np.ndarray, blueness: np.ndarray,
) -> np.ndarray:
    """Normalised levels before rounding, float64 [N, H, W, 3] in 0..255; scale and offset [K, 3], fade [2], blueness [1]."""
    blended = np.einsum("nkhw,kc->nchw", g, scale) * x + np.einsum("nkhw,kc->nchw", g, offset)
    od = np.stack(to_optical_density(blended[:, 0], np.clip(blended[:, 1], *CX_RANGE), blended[:, 2]), -1)
    levels = 255 * np.clip(np.exp(-od), 0, 1)
    low, high = float(fade[0]), float(fade[1])
    share = smoothstep((density - low) / max(high - low, 1e-6)) * native(tile, float(blueness[0]))
    return tile + share[..., None] * (levels - tile)


def density_statistics(tile: np.ndarray, g: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """g [N, K, H, W], weight [N, H, W] -> sums [N, K, 10] of optical density R, G, B: g, g R, g G, g B, g R^2, g G^2,
    g B^2, g R G, g G B, g B R."""
    od = optical_density(tile).transpose(0, 3, 1, 2)
    terms = np.concatenate((np.ones_like(od[:, :1]), od, od**2, od * od[:, [1, 2, 0]]), 1)
    return np.einsum("nkhw,nchw->nkc", g * weight[:, None], terms)


def run_statistics(tile: np.ndarray, weight: np.ndarray, gain: float, weights: dict[str, np.ndarray], network: str) -> np.ndarray:
    """The output of the statistics graph, [N, K, 17]: `statistics` of the density, and `density_statistics` of the density
    times `gain`, by responsibilities."""
    density, x = features(tile)
    counted = weight * native(tile)
    g = responsibilities(x[:, 0], weights, network)
    gained = responsibilities(np.maximum(density * gain, MINIMUM_OPTICAL_DENSITY), weights, network)
    return np.concatenate((statistics(x, g, counted), density_statistics(tile, gained, counted)), 2)


def run_transfer(tile, scale, offset, fade, blueness, weights: dict[str, np.ndarray], network: str) -> np.ndarray:
    """The output of the apply graph, before rounding."""
    density, x = features(tile)
    return transfer(tile.astype(np.float64), density, x, responsibilities(x[:, 0], weights, network), scale, offset, fade, blueness)


def main() -> None:
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("responsibilities")
    options = parser.parse_args()
    image = np.asarray(Image.open(options.image).convert("RGB"))
    tile = image[None, : image.shape[0] // 4 * 4, : image.shape[1] // 4 * 4]
    _, x = features(tile)
    g = responsibilities(x[:, 0], read_weights(weights_file("reference")), "reference")[0]
    colours = np.array([[60, 0, 140], [230, 60, 120], [255, 200, 220], [255, 255, 255]], float)
    Image.fromarray(np.einsum("khw,kc->hwc", g, colours).round().astype(np.uint8)).save(options.responsibilities)


if __name__ == "__main__":
    main()
