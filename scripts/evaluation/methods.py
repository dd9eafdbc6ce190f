"""The compared methods, behind one interface; a method that is not installed is named, not hidden."""
import importlib.metadata
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np

from dcgmm.constants import TRANSFER
from dcgmm.onnx_model import OnnxModel

Normalise = Callable[[np.ndarray], np.ndarray]
#: uint8 template [H, W, 3] -> a function from uint8 [H, W, 3] to uint8 [H, W, 3].
Method = Callable[[np.ndarray], Normalise]


def identity(_template: np.ndarray) -> Normalise:
    return lambda pixels: pixels


def ours(name: str, transfer: str) -> Method:
    """A model of models/onnx in onnxruntime, with the fit and a transfer of the product."""
    model = OnnxModel(name)

    def prepare(template: np.ndarray) -> Normalise:
        stain = model.fit(template)
        return lambda pixels: model.normalise(pixels, stain, transfer)

    return prepare


#: The linear transfer without each of its steps (dcgmm/linear.py): constants that replace the product's.
STEPS: dict[str, dict] = {
    "without the gain": {"gainLimits": [1, 1]},
    "without pure ends": {"pureEnd": {"nuclei": 0, "eosin": 0}},
    "without the intercept": {"interceptRidge": 1e9},
    "without the ridge": {"ridge": 1e-4},
    "with a short fade into glass": {"glassReach": 1e-6, "glassToe": 0.06},
}


def without(changes: dict) -> Method:
    """The linear transfer of `fast` with other constants."""
    model = OnnxModel("fast")

    def prepare(template: np.ndarray) -> Normalise:
        with constants(changes):
            stain = model.fit(template)

        def normalise(pixels: np.ndarray) -> np.ndarray:
            with constants(changes):
                return model.normalise(pixels, stain)

        return normalise

    return prepare


@contextmanager
def constants(changes: dict):
    before = dict(TRANSFER)
    TRANSFER.update(changes)
    try:
        yield
    finally:
        TRANSFER.update(before)


def torchstain(kind: str) -> Method:
    import torch
    from torchstain.torch.normalizers import TorchMacenkoNormalizer, TorchMultiMacenkoNormalizer, TorchReinhardNormalizer

    def channels_first(pixels: np.ndarray):
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)

    def prepare(template: np.ndarray) -> Normalise:
        if kind == "Reinhard":
            normalizer = TorchReinhardNormalizer(method="modified")
            normalizer.fit(channels_first(template))
            return lambda pixels: octets(normalizer.normalize(channels_first(pixels)).numpy())
        if kind == "multi-target Macenko":
            # The halves of the template are the targets: every method learns from the same pixels.
            normalizer = TorchMultiMacenkoNormalizer(norm_mode="avg-post")
            middle = template.shape[1] // 2
            normalizer.fit([channels_first(template[:, :middle]), channels_first(template[:, middle : 2 * middle])])
        else:
            normalizer = TorchMacenkoNormalizer()
            normalizer.fit(channels_first(template))
        return lambda pixels: octets(normalizer.normalize(channels_first(pixels), stains=False)[0].numpy())

    return prepare


def staintools_vahadane() -> Method:
    import staintools

    def prepare(template: np.ndarray) -> Normalise:
        normalizer = staintools.StainNormalizer(method="vahadane")
        # It changes its input in place.
        normalizer.fit(template.copy())
        return lambda pixels: octets(normalizer.transform(pixels.copy()))

    return prepare


def stainx_histogram() -> Method:
    import stainx
    import torch

    def batch(pixels: np.ndarray):
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]

    def prepare(template: np.ndarray) -> Normalise:
        normalizer = stainx.HistogramMatching(device="cpu")
        normalizer.fit(batch(template))
        return lambda pixels: octets(normalizer.transform(batch(pixels))[0].permute(1, 2, 0).numpy())

    return prepare


def octets(levels: np.ndarray) -> np.ndarray:
    """Levels 0..255 of any type -> uint8."""
    return np.asarray(levels, np.float64).round().clip(0, 255).astype(np.uint8)


def version(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"


#: name in the tables -> (package and version, how to make it).
PEERS: dict[str, tuple[str, Callable[[], Method]]] = {
    "Reinhard": ("torchstain", lambda: torchstain("Reinhard")),
    "Macenko": ("torchstain", lambda: torchstain("Macenko")),
    "multi-target Macenko": ("torchstain", lambda: torchstain("multi-target Macenko")),
    "Vahadane": ("staintools", staintools_vahadane),
    "histogram matching": ("stainx", stainx_histogram),
}
