"""Trains the E-step network.

    python -m dcgmm.train --data /path/to/train --out runs/first [--init weights.npz] [--resume]

--data holds one folder per source; every source is drawn equally often. Same seed, same machine and same
number of threads: same weights. Output folder: last.pt (resume), stepNNNNN.npz (the averaged weights at each
validation; the last one is the result), log.jsonl (one line per validation).
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from . import clustering
from .constants import CLASSES
from .descent import Descent, prepare, tensors
from .data import CropSampler, optical_density
from .hsd import from_optical_density
from .loss import VARIANCE_FLOOR, cross_entropy, negative_log_likelihood
from .model import Network
from .sources import read_sources
from .validation import cases_of, restoration_error
from .weights import read_record, read_weights, write_weights

#: A class with a smaller share of the responsibilities than this, over the last steps, counts as collapsed.
COLLAPSED = 0.01


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="weights to start from, such as the shipped ones, instead of random ones")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=5e-4, help="of Adam at the start; decreases to a fiftieth by half a cosine")
    parser.add_argument("--likelihood", type=float, default=0.0, help="weight of the mixture's likelihood relative to the cross entropy")
    parser.add_argument("--sharpness", type=float, default=2.0, help="factor on the logits of the finished network: reduces the overlap of classes")
    parser.add_argument("--crop", type=int, default=192, help="pixels a side")
    parser.add_argument("--groups", type=int, default=2, help="images per step, each with its own M-step")
    parser.add_argument("--crops", type=int, default=2, help="crops per image and step")
    parser.add_argument("--held-out", type=int, default=2, help="validation images per source")
    parser.add_argument("--validate-every", type=int, default=200)
    parser.add_argument("--validation-side", type=int, default=384)
    parser.add_argument("--no-scale", action="store_true", help="no augmentation of the magnification")
    return parser.parse_args()


class Trainer:
    """Network, optimiser and data of one run."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        slides, self.held_out = read_sources(options.data, options.held_out)
        fitted = [(slide, clustering.fit(slide.pixels, options.seed)) for slide in slides]
        usable = [(slide, mixture) for slide, mixture in fitted if mixture.has_nuclei]
        if not usable:
            raise SystemExit("None of the images has nuclei that can be told from eosin by their colour: is it H&E, and in focus?")
        self.training, mixtures = [slide for slide, _ in usable], [mixture for _, mixture in usable]
        print(f"{len(usable)} training images, {len(slides) - len(usable)} without clear nuclei left out, {len(self.held_out)} held out", flush=True)
        self.sampler = CropSampler(self.training, options.crop, options.seed, not options.no_scale)
        self.mixtures = mixtures
        network = Network(CLASSES).to(memory_format=torch.channels_last)
        self.history = []
        if options.init:
            before = read_record(options.init)
            arrays = read_weights(options.init)
            for name in ("conv9.weight", "conv9.bias"):
                arrays[name] = arrays[name] / np.float32(before["options"][-1].get("sharpness", 1))
            network.load_state_dict(tensors(arrays))
            self.history = [*before["options"], {"stopped_at": before["steps"]}]
        self.descent = Descent(network, options.rate, options.steps, largest_gradient=5.0)
        self.cases = cases_of(self.held_out or self.training[:4], options.validation_side)
        self.history.append({"from": 0, **chosen(options)})
        self.first = 0

    def batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(D [G*B, 1, S, S], features [G, 3, P], targets [G, K, P])."""
        densities, features, targets = [], [], []
        for _ in range(self.options.groups):
            index, plain, acquired = self.sampler.group(self.options.crops)
            mixture = self.mixtures[index]
            smooth = np.stack([clustering.smooth_features(crop) for crop in plain]).reshape(-1, 3)
            targets.append(mixture.targets(smooth.astype(np.float64)).T)
            od = optical_density(acquired)
            _, bounded, cx, cy = from_optical_density(od[..., 0], od[..., 1], od[..., 2])
            densities.append(bounded)
            features.append(np.stack((bounded, cx, cy)).reshape(3, -1))
        density = torch.from_numpy(np.concatenate(densities)[:, None])
        as_float = lambda arrays: torch.from_numpy(np.stack(arrays).astype(np.float32))  # noqa: E731
        return density, as_float(features), as_float(targets)

    def step(self, number: int) -> dict:
        """Takes one optimiser step and returns its figures."""
        options = self.options
        density, features, targets = self.batch()
        log_g = torch.log_softmax(self.descent.network(density), 1)
        groups, side = options.groups, options.crop
        log_g = log_g.reshape(groups, options.crops, -1, side * side).transpose(1, 2).flatten(2)
        likelihood = negative_log_likelihood(log_g, features)
        entropy = cross_entropy(log_g, targets)
        self.descent.step(number, entropy + options.likelihood * likelihood)
        share = log_g.detach().exp().mean((0, 2)).tolist()
        return {"nll": float(likelihood.detach()), "entropy": float(entropy.detach()), "share": share}

    def responsibilities(self, density: np.ndarray) -> np.ndarray:
        """Bounded D float64 [N, H, W] -> [N, K, H, W], by the averaged weights."""
        network = Network(CLASSES)
        network.load_state_dict(self.descent.averaged)
        with torch.no_grad():
            logits = network(torch.from_numpy(density[:, None].astype(np.float32)))
            return torch.softmax(self.options.sharpness * logits, 1).double().numpy()

    def class_order(self) -> list[int]:
        """Orders classes by descending mean D over the held-out images."""
        mass, total = 0.0, 0.0
        for case in self.cases:
            density = np.maximum(optical_density(case.original).mean(-1), 1 / 255)[None]
            g = self.responsibilities(density)
            mass = mass + g.sum((0, 2, 3))
            total = total + (g * density[:, None]).sum((0, 2, 3))
        return np.argsort(-(total / np.maximum(mass, 1e-9))).tolist()

    def arrays(self) -> dict[str, np.ndarray]:
        order = self.class_order()
        if order != sorted(order):
            print(f"warning: the classes came out in the order {order} by density and are put in order", flush=True)
        arrays = self.descent.arrays()
        for name in ("conv9.weight", "conv9.bias"):
            arrays[name] = self.options.sharpness * arrays[name][order]
        return arrays

    def save(self, number: int, path: Path) -> None:
        state = {
            **self.descent.state(), "step": number,
            "random": self.sampler.random.bit_generator.state, "history": self.history,
        }
        torch.save(state, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.descent.restore(state)
        self.sampler.random.bit_generator.state = state["random"]
        self.first = state["step"]
        self.history = state["history"]
        if {**self.history[-1], "from": 0} != {"from": 0, **chosen(self.options)}:
            self.history.append({"from": self.first, **chosen(self.options)})


def chosen(options: argparse.Namespace) -> dict:
    """The options that affect the result, without paths."""
    return {key: value for key, value in vars(options).items() if key not in ("data", "out", "init", "resume")}


def record(trainer: Trainer, number: int, validation: dict) -> dict:
    """The training record in the weights file."""
    options, slides = trainer.options, trainer.training
    images: dict[str, int] = {}
    for slide in slides:
        images[slide.source] = images.get(slide.source, 0) + 1
    return {
        "network": "reference", "script": "scripts/dcgmm/train.py", "seed": options.seed, "steps": number, "classes": CLASSES,
        "loss": "cross entropy to a soft clustering by density and hue"
        + (f" + {options.likelihood} x negative log likelihood of the mixture (log-sum-exp, variance floor {VARIANCE_FLOOR})" if options.likelihood else ""),
        "options": trainer.history, "images": images, "validation": validation,
    }


def main() -> None:
    options = arguments()
    prepare(options)
    trainer = Trainer(options)
    if options.resume and (options.out / "last.pt").exists():
        trainer.load(options.out / "last.pt")
    recent: list[dict] = []
    started = time.time()
    for number in range(trainer.first, options.steps):
        recent.append(trainer.step(number))
        done = number + 1
        if done % 20 == 0:
            shown = recent[-20:]
            nll, entropy = (np.mean([item[key] for item in shown]) for key in ("nll", "entropy"))
            share = np.mean([item["share"] for item in shown], 0)
            print(f"{done} nll {nll:.3f} ce {entropy:.3f} share {share.round(3).tolist()} {time.time() - started:.0f} s", flush=True)
        if done % options.validate_every == 0 or done == options.steps:
            share = np.mean([item["share"] for item in recent[-50:]], 0)
            if share.min() < COLLAPSED:
                print(f"warning: class {int(share.argmin())} has collapsed (share {share.min():.4f})", flush=True)
            validation = restoration_error(trainer.cases, trainer.responsibilities)
            line = {"step": done, "validation": validation, "share": share.tolist(), "nll": float(np.mean([i["nll"] for i in recent[-50:]]))}
            with open(options.out / "log.jsonl", "a") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
            facts = record(trainer, done, validation)
            write_weights(options.out / f"step{done:05d}.npz", trainer.arrays(), facts)
            trainer.save(done, options.out / "last.pt")
            recent = recent[-50:]


if __name__ == "__main__":
    main()
