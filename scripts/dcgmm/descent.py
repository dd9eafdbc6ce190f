"""Shared by training and distillation: one network, Adam, its decreasing rate, and the moving average of the weights."""
import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .weights import read_weights

#: Decay of the moving average of the weights per step.
AVERAGE = 0.995


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    """The state of a network, from a weights file."""
    return tensors(read_weights(path))


def prepare(options: argparse.Namespace) -> None:
    """Makes the output folder. The same seed, machine and number of threads give the same weights."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True)
    options.out.mkdir(parents=True, exist_ok=True)


class Descent:
    """Steps of Adam; the rate decreases to a fiftieth by half a cosine over `steps`."""

    def __init__(self, network: nn.Module, rate: float, steps: int, largest_gradient: float):
        self.network, self.rate, self.steps, self.largest_gradient = network, rate, steps, largest_gradient
        self.averaged = {name: value.clone() for name, value in network.state_dict().items()}
        self.optimiser = torch.optim.Adam(network.parameters(), rate)

    def step(self, number: int, loss: torch.Tensor) -> None:
        """Takes step number `number` (0-based) of gradient descent on the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * (0.02 + 0.98 * (1 + math.cos(math.pi * number / self.steps)) / 2)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.largest_gradient)
        self.optimiser.step()
        # A young average forgets its start faster.
        kept = min(AVERAGE, (number + 1) / (number + 10))
        for name, value in self.network.state_dict().items():
            self.averaged[name].lerp_(value, 1 - kept)

    def arrays(self) -> dict[str, np.ndarray]:
        """The averaged weights."""
        return {name: value.numpy().copy() for name, value in self.averaged.items()}

    def state(self) -> dict:
        """For a checkpoint."""
        return {"network": self.network.state_dict(), "averaged": self.averaged, "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.averaged = state["averaged"]
