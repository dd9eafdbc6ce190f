"""The detector of other stains as the server runs it (server/src/stain/other-stain.ts): numbers of other-stain.json."""
import json
from pathlib import Path

import numpy as np

from .summary import PARTS, find_white, summary

FILE = Path(__file__).resolve().parents[2] / "server/src/stain/other-stain.json"


def inputs(summaries: np.ndarray, white_known: np.ndarray) -> np.ndarray:
    """[n, LENGTH], [n] -> float64 [n, LENGTH + 1]: the roots of the shares of each part, and whether the colour of light is known."""
    parts = summaries.reshape(len(summaries), PARTS, -1)
    shares = parts / np.maximum(parts.sum(-1, keepdims=True), 1e-12)
    return np.hstack([np.sqrt(shares).reshape(len(summaries), -1), np.asarray(white_known, float)[:, None]])


def read_detector(file: Path = FILE) -> dict:
    return json.loads(file.read_text())


def scores(summaries: np.ndarray, white_known: np.ndarray, detector: dict) -> np.ndarray:
    """How sure it is that each is not H&E, 0 to 1; 0 for a summary of nothing."""
    hidden = detector["hidden"]
    active = np.maximum(inputs(summaries, white_known) @ np.array(hidden["weights"]).T + hidden["biases"], 0)
    logits = active @ np.array(detector["output"]) + detector["bias"]
    return np.where(summaries.sum(-1) > 0, 1 / (1 + np.exp(-logits)), 0)


def score(rgb: np.ndarray, detector: dict) -> float:
    """Of a picture, uint8 [H, W, 3], all of which is looked at."""
    white = find_white(rgb)
    return float(scores(summary(rgb, white)[None], np.array([white is not None]), detector)[0])


def verdict(score_: float, detector: dict) -> str:
    """he, unsure (noted) or other (refused)."""
    limits = detector["limits"]
    return "other" if score_ > limits["other"] else "unsure" if score_ > limits["unsure"] else "he"
