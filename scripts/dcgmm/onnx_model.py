"""A model of models/onnx as the product runs it: graphs in onnxruntime, with the server's fit and transfers in Python."""
import json
from pathlib import Path

import numpy as np
import onnxruntime

from normalize_tile import normalize_tile

from . import linear, transfer
from .weights import MODELS


class OnnxModel:
    """Both graphs of a model of the manifest, on one thread of the CPU."""

    def __init__(self, name: str, folder: Path = MODELS, threads: int = 1):
        models = json.loads((folder / "manifest.json").read_text())["models"]
        self.facts = next(model for model in models if model["name"] == name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.sessions = {
            graph: onnxruntime.InferenceSession(str(folder / entry["file"]), options, providers=["CPUExecutionProvider"])
            for graph, entry in self.facts["graphs"].items()
        }

    def fit(self, pixels: np.ndarray) -> transfer.Stain:
        """The stain of uint8 [H, W, 3], H and W multiples of 4; all pixels but the black ones count."""
        glass = transfer.glass_density(pixels)
        inputs = {
            "tile": pixels[None],
            "weight": transfer.counted(pixels)[None],
            "gain": np.array([linear.gain(transfer.tissue_density(pixels, glass))], np.float32),
        }
        return transfer.stain(self.sessions["statistics"].run(None, inputs)[0][0], glass)

    def apply(
        self, pixels: np.ndarray, scale: np.ndarray, offset: np.ndarray, fade: np.ndarray, blueness: np.ndarray
    ) -> np.ndarray:
        """uint8 [H, W, 3] by the apply graph."""
        named = {"scale": scale, "offset": offset, "fade": fade, "blueness": blueness}
        inputs = {key: np.asarray(value, np.float32) for key, value in named.items()}
        return self.sessions["apply"].run(None, {"tile": pixels[None], **inputs})[0][0]

    def normalise(self, pixels: np.ndarray, template: transfer.Stain, name: str = "linear") -> np.ndarray:
        """uint8 [H, W, 3] normalised to the template by the transfer `name`."""
        stain = self.fit(pixels)
        if name == "paper":
            return self.apply(pixels, *transfer.coefficients(stain, template))
        blueness = transfer.blueness(stain.densities)
        return normalize_tile(linear.tables(*linear.optical_map(stain, template), stain.glass_density, blueness), pixels)
