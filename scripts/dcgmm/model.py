"""The E-step networks in PyTorch: optical density in, class logits out."""
import math

import torch
import torch.nn.functional as F
from torch import nn

from .constants import BLOCK, FAST_LAYERS, LAYERS


def subpixel_kernels(weight: torch.Tensor) -> list[tuple[int, int, torch.Tensor]]:
    """The 3x3 convolution of a nearest-upsampled image as four 2x2 convolutions of the small one.

    weight [O, I, 3, 3] -> (row phase, column phase, kernel [O, I, 2, 2]); output pixel (2i+r, 2j+c) is the
    kernel of phase (r, c) on the small pixels (i-1+r .. i+r, j-1+c .. j+c).
    """

    def halves(w: torch.Tensor, axis: int, phase: int) -> torch.Tensor:
        a, b, c = w.unbind(axis)
        return torch.stack((a, b + c) if phase == 0 else (a + b, c), axis)

    return [(r, c, halves(halves(weight, 2, r), 3, c)) for r in (0, 1) for c in (0, 1)]


def upsample_convolve(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """conv3x3(nearest x2 (x)) with zero 'same' padding, at 16/36 of its arithmetic."""
    height, width = x.shape[2] + 1, x.shape[3] + 1
    padded = F.pad(x, (1, 1, 1, 1))
    phases = [
        F.conv2d(padded[:, :, r : r + height, c : c + width][:, :, :height, :width], kernel, bias)
        for r, c, kernel in subpixel_kernels(weight)
    ]
    return F.pixel_shuffle(torch.stack(phases, 2).flatten(1, 2), 2)


class Network(nn.Module):
    """The published network. [B, 1, H, W] optical density D -> [B, K, H, W] logits; H and W multiples of 4."""

    def __init__(self, classes: int):
        super().__init__()
        for name, kernel, inputs, outputs in LAYERS:
            layer = nn.Conv2d(inputs, outputs or classes, kernel, padding=kernel // 2)
            if outputs:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.normal_(layer.weight, std=0.1 / math.sqrt(inputs))
            nn.init.zeros_(layer.bias)
            setattr(self, name, layer)

    def forward(self, density: torch.Tensor) -> torch.Tensor:
        x = density.contiguous(memory_format=torch.channels_last)
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.max_pool2d(F.relu(self.conv4(F.relu(self.conv3(x)))), 2)
        x = F.relu(self.conv5(x))
        x = F.relu(upsample_convolve(x, self.conv6.weight, self.conv6.bias))
        x = F.relu(upsample_convolve(x, self.conv7.weight, self.conv7.bias))
        return self.conv9(F.relu(self.conv8(x)))


class FastNetwork(nn.Module):
    """The small network. [B, 1, H, W] optical density D -> [B, K, H, W] logits; H and W multiples of 4."""

    def __init__(self):
        super().__init__()
        for name, inputs, outputs in FAST_LAYERS:
            layer = nn.Conv2d(inputs, outputs, 3, padding=1)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            setattr(self, name, layer)

    def forward(self, density: torch.Tensor) -> torch.Tensor:
        x = F.pixel_unshuffle(density, BLOCK).contiguous(memory_format=torch.channels_last)
        for name, *_ in FAST_LAYERS[:-1]:
            x = F.relu(getattr(self, name)(x))
        return F.pixel_shuffle(getattr(self, FAST_LAYERS[-1][0])(x), BLOCK)
