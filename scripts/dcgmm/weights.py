"""A weights file: float32 arrays named conv1.weight, conv1.bias ... plus the training record, as .npz."""
import json
from pathlib import Path

import numpy as np

MODELS = Path(__file__).resolve().parents[2] / "models" / "onnx"
#: The networks, and the names of their models.
NETWORKS = ("reference", "fast")


def weights_file(name: str, folder: Path = MODELS) -> Path:
    """The path of a model's weights."""
    return folder / f"{name}.npz"


def write_weights(path: Path, arrays: dict[str, np.ndarray], record: dict) -> None:
    """Writes arrays (float32) and the training record (JSON)."""
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    np.savez(path, training_json=text, **{name: array.astype(np.float32) for name, array in arrays.items()})


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The float32 arrays."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name != "training_json"}


def read_record(path: Path) -> dict:
    """How the weights were trained."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(file["training_json"].tobytes())
