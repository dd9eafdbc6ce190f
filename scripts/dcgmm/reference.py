"""The method in float64 numpy, as published: no algebra, no torch, no onnx. What the graphs are held against.

    python -m dcgmm.reference image.png responsibilities.png   (looks at one image)
"""
import sys
from pathlib import Path

import numpy as np

from .constants import CX_RANGE, LAYERS, ZERO_LEVEL
from .hsd import from_optical_density, to_optical_density
from .weights import WEIGHTS, read_weights


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


def responsibilities(density: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Bounded D [N, H, W] -> responsibilities float64 [N, K, H, W], summing to 1 over K."""
    result = []
    for image in density:
        x = image[None]
        for name, *_ in LAYERS:
            x = convolve(x, weights[f"{name}.weight"].astype(np.float64), weights[f"{name}.bias"].astype(np.float64))
            if name != "conv9":
                x = np.maximum(x, 0)
            if name in ("conv2", "conv4"):
                x = pool(x)
            if name in ("conv5", "conv6"):
                x = upsample(x)
        x = np.exp(x - x.max(0))
        result.append(x / x.sum(0))
    return np.stack(result)


def statistics(x: np.ndarray, g: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x [N, 3, H, W], g [N, K, H, W], weight [N, H, W] -> sums [N, K, 7]: g, g D, g cx, g cy, g D^2, g cx^2, g cy^2."""
    terms = np.concatenate((np.ones_like(x[:, :1]), x, x**2), 1)
    return np.einsum("nkhw,nchw->nkc", g * weight[:, None], terms)


def smoothstep(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to low, 1 from high on, 3t^2 - 2t^3 between; a step where high <= low."""
    t = np.clip((value - low) / max(high - low, 1e-6), 0, 1)
    return t * t * (3 - 2 * t)


def transfer(
    tile: np.ndarray, density: np.ndarray, x: np.ndarray, g: np.ndarray,
    scale: np.ndarray, offset: np.ndarray, fade: np.ndarray,
) -> np.ndarray:
    """Normalised levels before rounding, float64 [N, H, W, 3] in 0..255; scale and offset [K, 3], fade [2]."""
    blended = np.einsum("nkhw,kc->nchw", g, scale) * x + np.einsum("nkhw,kc->nchw", g, offset)
    od = np.stack(to_optical_density(blended[:, 0], np.clip(blended[:, 1], *CX_RANGE), blended[:, 2]), -1)
    levels = 255 * np.clip(np.exp(-od), 0, 1)
    share = smoothstep(density, float(fade[0]), float(fade[1]))[..., None]
    return tile + share * (levels - tile)


def run_statistics(tile: np.ndarray, weight: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """What reference.statistics.onnx computes."""
    _, x = features(tile)
    return statistics(x, responsibilities(x[:, 0], weights), weight.astype(np.float64))


def run_transfer(tile, scale, offset, fade, weights: dict[str, np.ndarray]) -> np.ndarray:
    """What reference.apply.onnx computes, before rounding."""
    density, x = features(tile)
    return transfer(tile.astype(np.float64), density, x, responsibilities(x[:, 0], weights), scale, offset, fade)


def main() -> None:
    from PIL import Image

    image = np.asarray(Image.open(sys.argv[1]).convert("RGB"))
    tile = image[None, : image.shape[0] // 4 * 4, : image.shape[1] // 4 * 4]
    _, x = features(tile)
    g = responsibilities(x[:, 0], read_weights(Path(WEIGHTS)))[0]
    colours = np.array([[60, 0, 140], [230, 60, 120], [255, 200, 220], [255, 255, 255]], float)
    Image.fromarray(np.einsum("khw,kc->hwc", g, colours).round().astype(np.uint8)).save(sys.argv[2])


if __name__ == "__main__":
    main()
