"""Trains the small network to answer as the large one: knowledge distillation (Hinton et al. 2015).

    python -m dcgmm.distil --data DATA --teacher runs/a/step01800.npz --out runs/fast [--init fast.npz] [--resume]

Images, crops and augmentation are those of dcgmm.train; the target is the teacher's responsibilities for the same
pixels. Same seed, machine and number of threads: same weights. Output: last.pt (resume), stepNNNNN.npz, log.jsonl.
"""
import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import torch

from .constants import CLASSES
from .descent import Descent, prepare, weights_of
from .data import CropSampler, optical_density
from .hsd import from_optical_density
from .model import FastNetwork, Network
from .sources import read_sources
from .train import chosen
from .weights import read_record, write_weights


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="weights of a small network to start from instead of random ones")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=2e-3, help="of Adam at the start; decreases to a fiftieth by half a cosine")
    parser.add_argument("--crop", type=int, default=160, help="pixels a side")
    parser.add_argument("--crops", type=int, default=4, help="crops per step, two from each image")
    parser.add_argument("--held-out", type=int, default=2, help="images per source that are held out")
    parser.add_argument("--save-every", type=int, default=500)
    return parser.parse_args()


class Distiller:
    """Teacher, student, optimiser and data of one run."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        training, _ = read_sources(options.data, options.held_out)
        self.sampler = CropSampler(training, options.crop, options.seed)
        self.teacher = Network(CLASSES).to(memory_format=torch.channels_last)
        self.teacher.load_state_dict(weights_of(options.teacher))
        student = FastNetwork().to(memory_format=torch.channels_last)
        self.before: list[dict] = []
        if options.init:
            record = read_record(options.init)
            self.before = [*record["options"], {"stopped_at": record["steps"]}]
            student.load_state_dict(weights_of(options.init))
        self.descent = Descent(student, options.rate, options.steps, largest_gradient=1.0)
        self.first = 0

    def batch(self) -> torch.Tensor:
        """D [B, 1, S, S]."""
        groups = [self.sampler.group(2)[2] for _ in range(self.options.crops // 2)]
        od = optical_density(np.concatenate(groups))
        return torch.from_numpy(from_optical_density(od[..., 0], od[..., 1], od[..., 2])[1][:, None])

    def step(self, number: int) -> dict:
        """Takes one optimiser step. Returns the divergence and the mean absolute difference of the responsibilities."""
        density = self.batch()
        with torch.no_grad():
            target = torch.softmax(self.teacher(density), 1)
        log_g = torch.log_softmax(self.descent.network(density), 1)
        entropy = -(target * torch.log(target.clamp_min(1e-6))).sum(1)
        loss = (-(target * log_g).sum(1) - entropy).mean()
        self.descent.step(number, loss)
        return {"divergence": float(loss.detach()), "difference": float((log_g.detach().exp() - target).abs().mean())}

    def save(self, number: int, path: Path) -> None:
        torch.save({**self.descent.state(), "step": number, "random": self.sampler.random.bit_generator.state}, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.descent.restore(state)
        self.sampler.random.bit_generator.state = state["random"]
        self.first = state["step"]


def main() -> None:
    options = arguments()
    prepare(options)
    distiller = Distiller(options)
    if options.resume and (options.out / "last.pt").exists():
        distiller.load(options.out / "last.pt")
    recent: list[dict] = []
    started = time.time()
    for number in range(distiller.first, options.steps):
        recent.append(distiller.step(number))
        done = number + 1
        if done % 100 == 0:
            line = {"step": done, **{key: float(np.mean([item[key] for item in recent])) for key in recent[0]}}
            recent = []
            print(json.dumps(line), f"{time.time() - started:.0f} s", flush=True)
            with open(options.out / "log.jsonl", "a") as log:
                log.write(json.dumps(line) + "\n")
        if done % options.save_every == 0 or done == options.steps:
            facts = {**read_record(options.teacher), "network": "fast", "script": "scripts/dcgmm/distil.py", "seed": options.seed,
                     "teacherSha256": hashlib.sha256(options.teacher.read_bytes()).hexdigest(),
                     "steps": done, "loss": "Kullback-Leibler divergence to the reference's responsibilities",
                     "options": [*distiller.before, {key: value for key, value in chosen(options).items() if key != "teacher"}]}
            write_weights(options.out / f"step{done:05d}.npz", distiller.descent.arrays(), facts)
            distiller.save(done, options.out / "last.pt")


if __name__ == "__main__":
    main()
