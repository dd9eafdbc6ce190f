"""Averages the weights of several checkpoints of one run (stochastic weight averaging, Izmailov et al. 2018).

    python -m dcgmm.average --data DATA --out averaged.npz runs/a/step00200.npz runs/a/step00500.npz ...

The training record of the last checkpoint is kept, with the steps that were averaged and the validation
figures of the average on the same held-out images.
"""
import argparse
from pathlib import Path

import numpy as np
import torch

from .data import read_sources
from .model import Network
from .validation import cases_of, restoration_error
from .weights import read_record, read_weights, write_weights


def validate(arrays: dict[str, np.ndarray], record: dict, data: Path) -> dict[str, float]:
    """restoration_error of these weights on the images held out in the run they come from."""
    options = record["options"][-1]
    network = Network(record["classes"])
    network.load_state_dict({name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()})

    def responsibilities(density: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            logits = network(torch.from_numpy(density[:, None].astype(np.float32)))
            return torch.softmax(logits, 1).double().numpy()

    _, held_out = read_sources(data, options["held_out"])
    return restoration_error(cases_of(held_out, options["validation_side"]), responsibilities)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    options = parser.parse_args()
    parts = [read_weights(path) for path in options.checkpoints]
    arrays = {name: np.mean([part[name] for part in parts], 0, dtype=np.float64) for name in parts[0]}
    record = read_record(options.checkpoints[-1])
    record["averaged"] = [read_record(path)["steps"] for path in options.checkpoints]
    record["validation"] = validate(arrays, record, options.data)
    write_weights(options.out, arrays, record)


if __name__ == "__main__":
    main()
