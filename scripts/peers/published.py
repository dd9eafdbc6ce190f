"""The method as its authors run it: picture by picture, each with its own statistics, the network as published.

    python -m peers.published PICTURES DESTINATION --template PICTURE

No halo (pictures have seams where they meet), no guards, no pyramid, no DICOM: PNG in, PNG out. `seconds` is the time
of network, statistics and transfer alone.
"""
import time

import numpy as np
import torch
from PIL import Image

from .network import TorchModel, levels_of, octets, optical_density, picture
from .pipeline import arguments, report

#: For D, cx and cy: prevents a deviation of 0 in an empty class.
MIN_SD = 1e-6


def moments(x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x [3, H, W], g [K, H, W] -> mean [K, 3] and standard deviation [K, 3] of each class."""
    x, g = x.flatten(1), g.flatten(1)
    mass = g.sum(1, keepdim=True).clamp(min=MIN_SD)
    mean = g @ x.T / mass
    return mean, (g @ (x**2).T / mass - mean**2).clamp(min=MIN_SD**2).sqrt()


class Published:
    """Fitted to a template; then normalises pictures of uint8 [H, W, 3] to it, one by one."""

    def __init__(self, template: np.ndarray):
        self.model = TorchModel()
        _, x, g = self.model.classes(optical_density(template))
        self.mean, self.sd = moments(x, g[0])

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        _, x, g = self.model.classes(optical_density(pixels))
        mean, sd = moments(x, g[0])
        scale = self.sd / sd
        numbers = torch.cat((scale, self.mean - mean * scale), 1)
        blends = torch.einsum("khw,kc->chw", g[0], numbers)
        return octets(levels_of(blends[:3] * x + blends[3:]))


@torch.inference_mode()
def main() -> None:
    options = arguments(__doc__)
    published = Published(picture(options.template))
    options.destination.mkdir(parents=True)
    seconds, files = 0.0, sorted(options.source.glob("*.png"))
    for file in files:
        pixels = picture(file)
        begin = time.perf_counter()
        result = published.normalise(pixels)
        seconds += time.perf_counter() - begin
        Image.fromarray(result).save(options.destination / file.name)
    report("torch", "pillow", seconds=seconds, pictures=len(files))


if __name__ == "__main__":
    main()
