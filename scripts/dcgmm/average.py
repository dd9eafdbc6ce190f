"""Averages the weights of several checkpoints of one run (stochastic weight averaging, Izmailov et al. 2018).

    python -m dcgmm.average --out averaged.npz runs/a/step00400.npz runs/a/step00500.npz ...

Single checkpoints differ by chance more than by progress; their mean does not. The training record of the
last one is kept, with the steps that were averaged; the validation figures are removed, as they are not its own.
"""
import argparse
from pathlib import Path

import numpy as np

from .weights import read_record, read_weights, write_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    options = parser.parse_args()
    parts = [read_weights(path) for path in options.checkpoints]
    arrays = {name: np.mean([part[name] for part in parts], 0, dtype=np.float64) for name in parts[0]}
    record = read_record(options.checkpoints[-1])
    record["averaged"] = [read_record(path)["steps"] for path in options.checkpoints]
    record["validation"] = {}
    write_weights(options.out, arrays, record)


if __name__ == "__main__":
    main()
