"""Shared by the pipelines: arguments, threads, and the JSON line at their end."""
import argparse
import importlib.metadata
import json
from pathlib import Path

import torch


def arguments(description: str) -> argparse.Namespace:
    """source (DICOM files or pictures), destination, --template PICTURE, --threads N; PyTorch gets the threads."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


def report(*packages: str, **facts: object) -> None:
    """Prints the versions of the packages and other facts, as the last line."""
    versions = {package: importlib.metadata.version(package) for package in packages}
    print(json.dumps({"versions": versions, **facts}))
