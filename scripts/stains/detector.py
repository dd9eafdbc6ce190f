"""The detector of other stains as the server runs it (core/src/stain/other-stain.ts): numbers of other-stain.json."""
import json
from pathlib import Path

import numpy as np

from .summary import NODES, ORIGIN, PARTS, STEP, find_white, summary

FILE = Path(__file__).resolve().parents[2] / "core/src/stain/other-stain.json"


def inputs(summaries: np.ndarray, white_known: np.ndarray) -> np.ndarray:
    """[n, LENGTH], [n] -> float64 [n, LENGTH + 1]: the roots of the shares of each part, and whether the colour of light is known."""
    parts = summaries.reshape(len(summaries), PARTS, -1)
    shares = parts / np.maximum(parts.sum(-1, keepdims=True), 1e-12)
    return np.hstack([np.sqrt(shares).reshape(len(summaries), -1), np.asarray(white_known, float)[:, None]])


def read_detector(file: Path = FILE) -> dict:
    return json.loads(file.read_text())


def scores(summaries: np.ndarray, white_known: np.ndarray, detector: dict) -> np.ndarray:
    """The confidence that each is not H&E, 0 to 1; 0 for an empty summary."""
    hidden = detector["hidden"]
    active = np.maximum(inputs(summaries, white_known) @ np.array(hidden["weights"]).T + hidden["biases"], 0)
    logits = active @ np.array(detector["output"]) + detector["bias"]
    return np.where(summaries.sum(-1) > 0, 1 / (1 + np.exp(-logits)), 0)


def bluish(summaries: np.ndarray, detector: dict) -> np.ndarray:
    """Fraction of the nuclei of each, 0 to 1, that absorb red nearly as much as green, by (R - G) / D: 0 in eosin alone,
    however dense it is."""
    nuclei = summaries[:, : NODES[0] * NODES[1]]
    cx = (ORIGIN[0] + STEP * np.arange(NODES[0]))[:, None]
    cy = (ORIGIN[1] + STEP * np.arange(NODES[1]))[None]
    # (R - G) / D in terms of chroma.
    where = (1.5 * cx - np.sqrt(3) / 2 * cy > detector["limits"]["bluish"]["from"]).ravel()
    return (nuclei * where).sum(-1) / np.maximum(nuclei.sum(-1), 1e-12)


def judge(rgb: np.ndarray, detector: dict) -> tuple[str, float]:
    """Verdict on a whole picture, uint8 [H, W, 3]: he, unsure (noted) or other (refused); and the score."""
    white = find_white(rgb)
    sums = summary(rgb, white)[None]
    score, limits = float(scores(sums, np.array([white is not None]), detector)[0]), detector["limits"]
    if score > limits["other"]:
        return "other", score
    is_eosin_alone = sums.sum() > 0 and bluish(sums, detector)[0] < limits["bluish"]["min"]
    return "unsure" if score > limits["unsure"] or is_eosin_alone else "he", score
