"""Speed of both graphs in PyTorch, as lines of JSON: what `npm run bench:gpu` compares ONNX Runtime with.

    python -m dcgmm.torch_speed --device cuda --seconds 2 --shapes 512x1,1024x4

The same job as the graphs do, eagerly: uint8 pixels in the host's memory in, uint8 pixels or sums there out. The line
"network" is the network alone, density and logits on the card: what no pipeline around it can reach. Convolutions may
take TF32, as ONNX Runtime lets them.
"""
import argparse
import json
import time

import numpy as np
import torch
from torch import nn

from .constants import (
    CLASSES,
    CX_RANGE,
    FOREIGN_BLACK_DENSITY,
    FOREIGN_BLUE_OVER_GREEN,
    FOREIGN_INK_BLUE_OVER_GREEN,
    FOREIGN_INK_DENSITY,
    FOREIGN_INK_RED_OVER_GREEN,
    FOREIGN_RED_OVER_GREEN,
    MINIMUM_OPTICAL_DENSITY,
    ZERO_LEVEL,
)
from .hsd import from_optical_density, to_optical_density
from .model import FastNetwork, Network
from .weights import read_weights, weights_file

NETWORK_OF = {"reference": lambda: Network(CLASSES), "fast": FastNetwork}


def load(name: str, half: bool, device: torch.device) -> nn.Module:
    network = NETWORK_OF[name]()
    network.load_state_dict({key: torch.from_numpy(value) for key, value in read_weights(weights_file(name)).items()})
    network = network.to(device, memory_format=torch.channels_last).eval()
    return network.half() if half else network


def smoothstep(t: torch.Tensor) -> torch.Tensor:
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


class Graphs:
    """Computes the same as the two graphs, on one device."""

    def __init__(self, network: nn.Module, device: torch.device):
        self.network, self.device = network, device
        self.dtype = next(network.parameters()).dtype
        levels = torch.arange(256, dtype=torch.float64).clamp(min=ZERO_LEVEL)
        self.density_of = (-torch.log(levels / 255)).float().to(device)

    def features(self, tile: torch.Tensor):
        """uint8 [N, H, W, 3] on the device -> optical density [N, 3, H, W], mean, (D, cx, cy), responsibilities."""
        od = self.density_of[tile.int()].permute(0, 3, 1, 2)
        mean, density, cx, cy = from_optical_density(od[:, :1], od[:, 1:2], od[:, 2:])
        logits = self.network(density.to(self.dtype)).float()
        return od, mean, torch.cat((density, cx, cy), 1), torch.softmax(logits, 1)

    def native(self, od: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """1 where the colour can be H&E, 0 where it is foreign; as blocks.native."""
        red, green, blue = od.split(1, 1)
        ramp = lambda value, ends: (value - ends[0]) / (ends[1] - ends[0])  # noqa: E731
        black_or_blue = torch.maximum(
            ramp(blue - green, FOREIGN_INK_BLUE_OVER_GREEN), ramp(red - green, FOREIGN_INK_RED_OVER_GREEN)
        )
        ink = torch.minimum(ramp(mean, FOREIGN_INK_DENSITY), black_or_blue)
        foreign = torch.maximum(ramp(blue - green, FOREIGN_BLUE_OVER_GREEN), ramp(red - green, FOREIGN_RED_OVER_GREEN))
        black = ramp(od.amin(1, keepdim=True), FOREIGN_BLACK_DENSITY)
        return 1 - smoothstep(torch.maximum(torch.maximum(foreign, ink), black))

    def statistics(self, tile: torch.Tensor, weight: torch.Tensor, gain: float) -> torch.Tensor:
        """Sums float64 [N, K, 17] in the host's memory, as reference.run_statistics."""
        tile = tile.to(self.device, non_blocking=True)
        od, mean, x, g = self.features(tile)
        counted = weight.to(self.device, non_blocking=True)[:, None].float() * self.native(od, mean)
        one = torch.ones_like(mean)
        logits = self.network((mean * gain).clamp(min=MINIMUM_OPTICAL_DENSITY).to(self.dtype)).float()
        parts = (
            (g, torch.cat((one, x, x * x), 1)),
            (torch.softmax(logits, 1), torch.cat((one, od, od * od, od * od[:, [1, 2, 0]]), 1)),
        )
        rows = [torch.einsum("nkhw,nchw->nkch", g * counted, moments) for g, moments in parts]
        return torch.cat(rows, 2).double().sum(-1).cpu()

    def apply(self, tile: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor, fade: tuple[float, float]) -> torch.Tensor:
        """uint8 [N, H, W, 3] in the host's memory."""
        tile = tile.to(self.device, non_blocking=True)
        od, mean, x, g = self.features(tile)
        mix = lambda table: torch.einsum("nkhw,kc->nchw", g, table.to(self.device))  # noqa: E731
        density, cx, cy = (mix(scale) * x + mix(offset)).split(1, 1)
        moved = torch.cat(to_optical_density(density, cx.clamp(*CX_RANGE), cy), 1)
        levels = 255 * torch.exp(-moved.clamp(min=0))
        source = tile.permute(0, 3, 1, 2).float()
        share = smoothstep((mean - fade[0]) / max(fade[1] - fade[0], 1e-6)) * self.native(od, mean)
        result = (source + share * (levels - source)).round().clamp(0, 255)
        return result.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()


def megapixels_per_second(run, pixels: int, seconds: float, device: torch.device) -> float:
    """Mean over at least `seconds` and three runs, after three warm-up runs."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(3):
        run()
    wait()
    runs, start = 0, time.perf_counter()
    while runs < 3 or time.perf_counter() - start < seconds:
        run()
        wait()
        runs += 1
    return runs * pixels / 1e6 / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--shapes", required=True, help="tile size x batch, with commas")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    generator = np.random.default_rng(1)
    scale, offset = torch.full((CLASSES, 3), 1.1), torch.zeros(CLASSES, 3)
    print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}), flush=True)
    with torch.inference_mode():
        for name in NETWORK_OF:
            # Half precision is only measured on GPUs.
            for precision in ("fp32", "fp16") if device.type == "cuda" else ("fp32",):
                network = load(name, precision == "fp16", device)
                graphs = Graphs(network, device)
                for size, batch in (map(int, shape.split("x")) for shape in options.shapes.split(",")):
                    tile = torch.from_numpy(generator.integers(40, 250, (batch, size, size, 3), np.uint8))
                    weight = torch.ones(batch, size, size, dtype=torch.uint8)
                    density = torch.rand(batch, 1, size, size, device=device).to(graphs.dtype)
                    if device.type == "cuda":
                        tile, weight = tile.pin_memory(), weight.pin_memory()
                    jobs = {
                        "statistics": lambda: graphs.statistics(tile, weight, 1.25),
                        "apply": lambda: graphs.apply(tile, scale, offset, (0.02, 0.08)),
                        "network": lambda: network(density),
                    }
                    for job, run in jobs.items():
                        speed = megapixels_per_second(run, batch * size * size, options.seconds, device)
                        row = {"model": name, "graph": job, "precision": precision, "size": size, "batch": batch}
                        print(json.dumps(row | {"megapixelsPerSecond": speed}), flush=True)


if __name__ == "__main__":
    main()
