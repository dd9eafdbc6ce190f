"""Trains the small network to answer as the large one: knowledge distillation (Hinton et al. 2015).

    python -m dcgmm.distil --data DATA --teacher runs/a/step01800.npz --out runs/fast [--init fast.npz] [--resume]

Images, crops and augmentation are those of dcgmm.train; the target is the teacher's responsibilities for the same
pixels. Same seed, machine and number of threads: same weights. Output: last.pt (resume), stepNNNNN.npz, log.jsonl.
"""
import argparse
import hashlib
import json
import math
import time
from pathlib import Path

import numpy as np
import torch

from .constants import CLASSES
from .data import CropSampler, optical_density, read_sources
from .hsd import from_optical_density
from .model import FastNetwork, Network
from .train import AVERAGE, chosen
from .weights import read_record, read_weights, write_weights


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
    parser.add_argument("--rate", type=float, default=2e-3, help="of Adam at the start; falls to a fiftieth by half a cosine")
    parser.add_argument("--crop", type=int, default=160, help="pixels a side")
    parser.add_argument("--crops", type=int, default=4, help="crops per step, of one image each two")
    parser.add_argument("--held-out", type=int, default=2, help="images per source that are not trained on")
    parser.add_argument("--save-every", type=int, default=500)
    return parser.parse_args()


def tensors(weights: Path) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in read_weights(weights).items()}


class Distiller:
    """Teacher, student, optimiser and data of one run."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        training, _ = read_sources(options.data, options.held_out)
        self.sampler = CropSampler(training, options.crop, options.seed)
        self.teacher = Network(CLASSES).to(memory_format=torch.channels_last)
        self.teacher.load_state_dict(tensors(options.teacher))
        self.student = FastNetwork().to(memory_format=torch.channels_last)
        self.before: list[dict] = []
        if options.init:
            record = read_record(options.init)
            self.before = [*record["options"], {"stopped_at": record["steps"]}]
            self.student.load_state_dict(tensors(options.init))
        self.averaged = {name: value.clone() for name, value in self.student.state_dict().items()}
        self.optimiser = torch.optim.Adam(self.student.parameters(), options.rate)
        self.first = 0

    def batch(self) -> torch.Tensor:
        """D [B, 1, S, S]."""
        groups = [self.sampler.group(2)[2] for _ in range(self.options.crops // 2)]
        od = optical_density(np.concatenate(groups))
        return torch.from_numpy(from_optical_density(od[..., 0], od[..., 1], od[..., 2])[1][:, None])

    def step(self, number: int) -> dict:
        """One optimiser step; the divergence and the mean absolute difference of the responsibilities."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.rate * (0.02 + 0.98 * (1 + math.cos(math.pi * number / self.options.steps)) / 2)
        density = self.batch()
        with torch.no_grad():
            target = torch.softmax(self.teacher(density), 1)
        log_g = torch.log_softmax(self.student(density), 1)
        entropy = -(target * torch.log(target.clamp_min(1e-6))).sum(1)
        loss = (-(target * log_g).sum(1) - entropy).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimiser.step()
        kept = min(AVERAGE, (number + 1) / (number + 10))
        for name, value in self.student.state_dict().items():
            self.averaged[name].lerp_(value, 1 - kept)
        return {"divergence": float(loss.detach()), "difference": float((log_g.detach().exp() - target).abs().mean())}

    def save(self, number: int, path: Path) -> None:
        torch.save({"step": number, "student": self.student.state_dict(), "averaged": self.averaged,
                    "optimiser": self.optimiser.state_dict(), "random": self.sampler.random.bit_generator.state}, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.student.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.sampler.random.bit_generator.state = state["random"]
        self.averaged, self.first = state["averaged"], state["step"]


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True)
    options.out.mkdir(parents=True, exist_ok=True)
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
            arrays = {name: value.numpy().copy() for name, value in distiller.averaged.items()}
            write_weights(options.out / f"step{done:05d}.npz", arrays, facts)
            distiller.save(done, options.out / "last.pt")


if __name__ == "__main__":
    main()
