"""What the stains of the training look like, so that a slide of another stain can be told (out-of-distribution.ts)."""
from pathlib import Path

import numpy as np
import onnxruntime

from .constants import CLASSES
from .data import Slide, read_sources
from .transfer import MINIMUM_CLASS_SHARE, counted, stain
from .validation import restain

#: Pixels a side of what is looked at in every image.
SIDE = 512
#: Simulated laboratories per image, beside the image itself.
RESTAINED = 3
#: Added to the variances: a stain is not known better than this.
LEAST_SD = 0.02


def chroma(session: onnxruntime.InferenceSession, pixels: np.ndarray) -> np.ndarray:
    """Mean cx and cy of every class but glass, [2 (K - 1)]; nan for a class that hardly occurs."""
    found = stain(session.run(None, {"tile": pixels[None], "weight": counted(pixels)[None]})[0][0], 0)
    means = np.where(found.share[:, None] >= MINIMUM_CLASS_SHARE, found.mean[:, 1:], np.nan)
    return means[: CLASSES - 1].ravel()


def middle(slide: Slide) -> np.ndarray:
    height, width = (min(SIDE, length // 4 * 4) for length in slide.pixels.shape[:2])
    top, left = ((length - size) // 2 for length, size in zip(slide.pixels.shape[:2], (height, width)))
    return np.ascontiguousarray(slide.pixels[top : top + height, left : left + width])


def typical_stain(statistics_graph: Path, data: Path) -> dict:
    """mean [2 (K - 1)], covariance and the 99th percentile of the distance, over all training images as they are and
    restained; every source counts alike."""
    session = onnxruntime.InferenceSession(str(statistics_graph), providers=["CPUExecutionProvider"])
    slides, _ = read_sources(data, 0)
    random = np.random.default_rng(11)
    rows, weights = [], []
    counts = {source: sum(slide.source == source for slide in slides) for source in {slide.source for slide in slides}}
    for slide in slides:
        pixels = middle(slide)
        for number in range(1 + RESTAINED):
            rows.append(chroma(session, restain(pixels, random) if number else pixels))
            weights.append(1 / counts[slide.source])
    values, weight = np.array(rows), np.array(weights)
    complete = ~np.isnan(values).any(1)
    if not complete.any():
        raise SystemExit("No image shows all classes of tissue: more varied images are needed.")
    values, weight = values[complete], weight[complete] / weight[complete].sum()
    mean = weight @ values
    covariance = (values - mean).T @ ((values - mean) * weight[:, None]) + LEAST_SD**2 * np.eye(len(mean))
    distance = np.sqrt(np.einsum("pi,ij,pj->p", values - mean, np.linalg.inv(covariance), values - mean) / len(mean))
    limit = float(np.percentile(distance, 99))
    return {"mean": mean.round(5).tolist(), "covariance": covariance.round(7).tolist(), "limit": round(limit, 4)}
