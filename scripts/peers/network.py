"""The reference network, statistics and transfer in PyTorch, with the weights and formulas of the product."""
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from dcgmm import constants, hsd, transfer
from dcgmm.model import Network
from dcgmm.weights import read_weights, weights_file


class PublishedNetwork(Network):
    """The network of dcgmm.model with its upsampling as published.

    dcgmm.model computes the same as four small convolutions. With less arithmetic that is slower in PyTorch: 0.18 against
    0.20 Mpx/s on one core of an AMD EPYC, both with channels_last. A peer uses the faster form.
    """

    def forward(self, density: torch.Tensor) -> torch.Tensor:
        """[B, 1, H, W] -> [B, K, H, W]; H and W multiples of 4."""
        x = density.contiguous(memory_format=torch.channels_last)
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.max_pool2d(F.relu(self.conv4(F.relu(self.conv3(x)))), 2)
        x = F.relu(self.conv5(x))
        x = F.relu(self.conv6(F.interpolate(x, scale_factor=2)))
        x = F.relu(self.conv7(F.interpolate(x, scale_factor=2)))
        return self.conv9(F.relu(self.conv8(x)))


def reference_network() -> PublishedNetwork:
    """The shipped reference weights."""
    network = PublishedNetwork(constants.CLASSES)
    arrays = read_weights(weights_file("reference"))
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return network.eval().to(memory_format=torch.channels_last)


class TorchModel:
    """Class statistics and transfer of pictures of uint8 [H, W, 3], H and W multiples of 4."""

    def __init__(self):
        self.network = reference_network()

    @torch.inference_mode()
    def sums(self, pixels: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """weight [H, W] (0 or 1) -> sums float64 [K, 7]: g, g D, g cx, g cy, g D^2, g cx^2, g cy^2."""
        od = optical_density(pixels)
        _, x, g = self.classes(od)
        g = (g[0] * native(od) * torch.from_numpy(weight)).flatten(1).double()
        x = x.flatten(1).double()
        terms = torch.cat((torch.ones_like(x[:1]), x, x**2))
        return (g @ terms.T).numpy()

    def fit(self, pixels: np.ndarray) -> transfer.Stain:
        """The stain of a whole picture; all pixels except black ones count."""
        return transfer.stain(self.sums(pixels, transfer.counted(pixels)), transfer.glass_density(pixels))

    @torch.inference_mode()
    def apply(
        self, pixels: np.ndarray, scale: np.ndarray, offset: np.ndarray, fade: np.ndarray, blueness: np.ndarray
    ) -> np.ndarray:
        """scale and offset [K, 3], fade [2], blueness [1] -> uint8 [H, W, 3]: the output of the product's apply graph."""
        od = optical_density(pixels)
        density, x, g = self.classes(od)
        # Both blends are sums over the classes at each pixel: one 1 x 1 convolution to six channels.
        numbers = torch.from_numpy(np.concatenate((scale, offset), 1).T.astype(np.float32))
        blends = F.conv2d(g, numbers[:, :, None, None].contiguous())[0]
        levels = levels_of(blends[:3] * x + blends[3:])
        low, high = float(fade[0]), float(fade[1])
        share = smoothstep((density - low) / max(high - low, 1e-6)) * native(od, float(blueness[0]))
        source = torch.from_numpy(pixels).permute(2, 0, 1).float()
        return octets(source + share * (levels - source))

    def classes(self, od: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """od [3, H, W] -> unbounded D [H, W], (D, cx, cy) [3, H, W], responsibilities [1, K, H, W]."""
        density, bounded, cx, cy = hsd.from_optical_density(*od)
        return density, torch.stack((bounded, cx, cy)), F.softmax(self.network(bounded[None, None]), 1)


def optical_density(pixels: np.ndarray) -> torch.Tensor:
    """uint8 [H, W, 3] -> float32 [3, H, W]."""
    levels = torch.from_numpy(pixels).permute(2, 0, 1).float().contiguous()
    return levels.clamp_(min=constants.ZERO_LEVEL).log_().neg_().add_(math.log(255))


def levels_of(x: torch.Tensor) -> torch.Tensor:
    """(D, cx, cy) [3, H, W] -> grey levels 0..255, [3, H, W]."""
    od = torch.stack(hsd.to_optical_density(x[0], x[1].clamp(*constants.CX_RANGE), x[2]))
    return od.neg_().exp_().clamp_(0, 1).mul_(255)


def smoothstep(t: torch.Tensor) -> torch.Tensor:
    """0 up to 0, 1 from 1 on, 3t^2 - 2t^3 between."""
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


def native(od: torch.Tensor, blueness: float = 0) -> torch.Tensor:
    """[3, H, W] -> 1 where the colour can be H&E, 0 where it is foreign, [H, W]; as dcgmm.reference.native."""
    red, green, blue = od
    mean = od.mean(0)

    def ramp(value: torch.Tensor, ends: tuple[float, float]) -> torch.Tensor:
        return (value - ends[0]) / (ends[1] - ends[0])

    blue_ink = red - green - blueness * mean
    black_or_blue = torch.maximum(
        ramp(blue - green, constants.FOREIGN_INK_BLUE_OVER_GREEN), ramp(blue_ink, constants.FOREIGN_INK_RED_OVER_GREEN)
    )
    foreign = torch.minimum(ramp(mean, constants.FOREIGN_INK_DENSITY), black_or_blue)
    for value, ends in (
        (blue - green, constants.FOREIGN_BLUE_OVER_GREEN),
        (blue_ink, constants.FOREIGN_RED_OVER_GREEN),
        (od.amin(0), constants.FOREIGN_BLACK_DENSITY),
    ):
        foreign = torch.maximum(foreign, ramp(value, ends))
    return 1 - smoothstep(foreign)


def octets(levels: torch.Tensor) -> np.ndarray:
    """Grey levels [3, H, W] -> uint8 [H, W, 3]."""
    return levels.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def picture(file: Path) -> np.ndarray:
    """A picture as uint8 [H, W, 3], cropped to multiples of 4."""
    pixels = np.array(Image.open(file).convert("RGB"))
    height, width = (length // constants.ALIGNMENT * constants.ALIGNMENT for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[:height, :width])
