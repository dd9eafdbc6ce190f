"""torchstain's Macenko on a slide: wsidicom reads and writes, and each tile is normalised separately.

    python -m peers.macenko SOURCE DESTINATION --template PICTURE

A tile with little tissue is left unchanged: torchstain fits stain vectors to every picture, which fails on glass or turns it
into noise. Its users skip such tiles.
"""
import numpy as np
import torch
from torchstain.torch.normalizers import TorchMacenkoNormalizer

from .network import picture
from .pipeline import arguments, report
from .slide import NormalisedByTile, save_normalised

#: torchstain's own limit of transparent pixels (beta = 0.15, Io = 240) as a grey level.
TRANSPARENT = 240 * np.exp(-0.15) - 1
#: A tile with a smaller part of opaque pixels than this is left unchanged.
MIN_TISSUE = 0.05


def is_tissue(pixels: np.ndarray) -> bool:
    """Whether enough pixels of uint8 [H, W, 3] have no transparent channel, so that torchstain fits to them."""
    return bool((pixels.max(-1) < TRANSPARENT).mean() >= MIN_TISSUE)


def main() -> None:
    options = arguments(__doc__)
    # wsidicom reads tiles in as many threads as the others get; a tile is too small to be split between threads.
    torch.set_num_threads(1)
    normalizer = TorchMacenkoNormalizer()
    normalizer.fit(channels_first(picture(options.template)))
    counts = {"normalised": 0, "glass": 0, "failed": 0}

    def normalise(pixels: np.ndarray) -> np.ndarray:
        if not is_tissue(pixels):
            counts["glass"] += 1
            return pixels
        try:
            with torch.inference_mode():
                levels, _, _ = normalizer.normalize(channels_first(pixels), stains=False)
        except RuntimeError:
            counts["failed"] += 1
            return pixels
        counts["normalised"] += 1
        return levels.clamp(0, 255).byte().contiguous().numpy()

    save_normalised(
        options.source, options.destination, lambda source: NormalisedByTile(source, normalise), options.threads
    )
    report("torchstain", "torch", "wsidicom", "imagecodecs", **counts)


def channels_first(pixels: np.ndarray) -> torch.Tensor:
    """uint8 [H, W, 3] -> uint8 [3, H, W]."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)


if __name__ == "__main__":
    main()
