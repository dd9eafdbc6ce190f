"""Figures and pictures for a weights file, computed with the exported graphs (onnxruntime), not with torch.

    python -m dcgmm.evaluate --weights runs/first/best.npz --template t.png [--like source.png expected.png]
                             [--pictures folder image.png ...] [--speed]

--like: mean absolute difference in grey levels to a published output for the same template.
--speed: Mpx/s of both graphs at 512 and 1024 tiles, 1 and 2 threads, best of three.
"""
import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from . import reference, transfer
from .export import apply_graph, statistics_graph
from .weights import WEIGHTS, read_record, read_weights


class Model:
    """Both graphs of a weights file, built in memory."""

    def __init__(self, weights: Path, threads: int = 1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        classes = read_record(weights)["classes"]
        self.sessions = {}
        for name, build in (("statistics", statistics_graph), ("apply", apply_graph)):
            graph, inputs, outputs = build(read_weights(weights), classes)
            octets = graph.model(name, inputs, outputs, name).SerializeToString()
            self.sessions[name] = onnxruntime.InferenceSession(octets, options, providers=["CPUExecutionProvider"])

    def sums(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] -> [K, 7]."""
        weight = np.ones((1, *image.shape[:2]), np.uint8)
        return self.sessions["statistics"].run(None, {"tile": image[None], "weight": weight})[0][0]

    def normalise(self, image: np.ndarray, template_sums: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] moved onto the template; guards and fade of the product."""
        scale, offset = transfer.coefficients(self.sums(image), template_sums)
        density, _ = reference.features(image[None])
        fade = np.add(transfer.FADE_ABOVE_GLASS, transfer.glass_density(density))
        inputs = {"scale": scale, "offset": offset, "fade": fade}
        inputs = {key: np.asarray(value, np.float32) for key, value in inputs.items()}
        return self.sessions["apply"].run(None, {"tile": image[None], **inputs})[0][0]


def read_image(path: Path, largest: int = 1024) -> np.ndarray:
    """Centre of an image file, at most `largest` on a side, both multiples of 4."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    height, width = (min(largest, length // 4 * 4) for length in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def speed(weights: Path) -> None:
    random = np.random.default_rng(0)
    for threads in (1, 2):
        model = Model(weights, threads)
        for side in (512, 1024):
            tile = random.integers(60, 256, (1, side, side, 3), np.uint8)
            inputs = {
                "statistics": {"tile": tile, "weight": np.ones((1, side, side), np.uint8)},
                "apply": {"tile": tile, "scale": np.ones((4, 3), np.float32), "offset": np.zeros((4, 3), np.float32),
                          "fade": np.array([0.02, 0.08], np.float32)},
            }
            for name, values in inputs.items():
                times = []
                for _ in range(4):
                    begin = time.perf_counter()
                    model.sessions[name].run(None, values)
                    times.append(time.perf_counter() - begin)
                print(f"{name} {side} {threads} thread(s): {side * side / min(times[1:]) / 1e6:.2f} Mpx/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--template", type=Path)
    parser.add_argument("--like", type=Path, nargs=2)
    parser.add_argument("--pictures", type=Path, nargs="+", help="folder, then images: before and after side by side")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    if options.template:
        model = Model(options.weights)
        template_sums = model.sums(read_image(options.template, 4096))
        share, mean, _ = transfer.class_statistics(template_sums)
        print("template: shares", share.round(3), "D", mean[:, 0].round(3), "cx", mean[:, 1].round(3), "cy", mean[:, 2].round(3))
        if options.like:
            source, expected = (read_image(path, 4096) for path in options.like)
            output = model.normalise(source, template_sums)
            before, after = (np.abs(expected.astype(float) - image).mean() for image in (source, output))
            print(f"difference to the published output: source {before:.1f}, ours {after:.1f} grey levels")
        if options.pictures:
            folder, *images = options.pictures
            folder.mkdir(parents=True, exist_ok=True)
            for path in images:
                image = read_image(path)
                pair = np.concatenate((image, model.normalise(image, template_sums)), 1)
                Image.fromarray(pair).save(folder / f"{path.parent.name}-{path.stem}.png")
    if options.speed:
        speed(options.weights)


if __name__ == "__main__":
    main()
