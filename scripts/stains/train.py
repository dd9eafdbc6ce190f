"""Makes the detector of other stains: core/src/stain/other-stain.json.

    python -m stains.train --data ../../shared/data/train --out summaries.npz     # takes a quarter of an hour
    python -m stains.train --summaries summaries.npz

The first command stains tissue of the training pictures anew (synthesis.py) and keeps the detector's input; the second fits
the network. The limits from which a slide is noted or refused were chosen on the development sets, see
docs/evaluation/protocol.md.
"""
import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dcgmm.sources import SUFFIXES

from .detector import FILE, inputs
from .summary import find_white, summary
from .synthesis import HE, OTHER, Tissue, make, tell_apart

#: Crops per picture, by source: more for sources with few or large pictures.
CROPS = {"osteosarcoma_utsw": 1, "oscc_400x": 3, "brecahad": 2, "ocdc_rbswap": 5}
#: How often a source is drawn.
SOURCES = {"osteosarcoma_utsw": 0.25, "oscc_400x": 0.25, "brecahad": 0.3, "ocdc_rbswap": 0.2}
SIDE = 512
MIN_TISSUE = 0.4
INKED = 0.05
INKS = ((20, 120, 60), (20, 40, 130), (30, 30, 30), (150, 30, 40), (20, 100, 200), (40, 20, 110))
#: Number of averaged networks, and units of each.
MEMBERS, HIDDEN = 2, 20
EPOCHS, BATCH, RATE, DECAY, NOISE = 50, 128, 3e-3, 0.05, 0.015
#: Limits the confidence, because synthetic slides are not real ones.
SMOOTHING = 0.04
DECIMALS = 3
#: Scores from which a slide is noted and refused, chosen on the development sets.
LIMITS = {"unsure": 0.62, "other": 0.73, "bluish": {"from": -0.9, "min": 0.01}}


def tissues(data: Path, random: np.random.Generator) -> dict[str, list[Tissue]]:
    found: dict[str, list[Tissue]] = {}
    for source, crops in CROPS.items():
        for file in sorted(path for path in (data / source).iterdir() if path.suffix.lower() in SUFFIXES):
            pixels = np.asarray(Image.open(file).convert("RGB"))
            white = np.array(find_white(pixels) or (255, 255, 255))
            for number in range(crops):
                large = source == "oscc_400x" and number > 0
                crop = _crop(pixels, 2 * SIDE if large else SIDE, white, random)
                if crop is None:
                    continue
                if large:
                    crop = np.asarray(Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.BOX))
                on_white = np.clip(crop / (white / 255), 0, 255).astype(np.uint8)
                found.setdefault(source, []).append(tell_apart(on_white, (255, 255, 255), source))
    return found


def _crop(pixels: np.ndarray, side: int, white: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    side = min(side, *pixels.shape[:2])
    for _ in range(20):
        top, left = (random.integers(length - side + 1) for length in pixels.shape[:2])
        crop = pixels[top : top + side, left : left + side]
        density = np.log(white / 255).mean() - np.log(np.maximum(crop, 0.5) / 255).mean(-1)
        if (density > 0.08).mean() > MIN_TISSUE:
            return crop
    return None


def part_of(tissue: Tissue, random: np.random.Generator) -> Tissue:
    height, width = tissue.eosin.shape
    side = min(int(random.integers(224, 449)), height, width)
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    changes = {
        field.name: getattr(tissue, field.name)[top : top + side, left : left + side]
        for field in dataclasses.fields(Tissue)
        if field.name != "source"
    }
    return dataclasses.replace(tissue, **changes)


def inked(rgb: np.ndarray, random: np.random.Generator) -> np.ndarray:
    colour = np.clip(np.array(INKS[random.integers(len(INKS))]) + random.integers(-15, 40, 3), 2, 255) / 255
    rows = int(len(rgb) * random.uniform(0.02, 0.2))
    top = random.integers(len(rgb) - rows)
    result = rgb.copy()
    result[top : top + rows] = result[top : top + rows] * colour
    return result


def make_summaries(data: Path, count: int, seed: int) -> dict[str, np.ndarray]:
    """X: summaries, K: whether the colour of light is known, Y: 1 for another stain, R: recipe, S: source; `count` of each."""
    random = np.random.default_rng(seed)
    by_source = tissues(data, random)
    rows: dict[str, list] = {name: [] for name in "XKYRS"}
    while len(rows["X"]) < count:
        recipes, is_other = (HE, 0) if random.random() < 0.5 else (OTHER, 1)
        weights = np.array(list(recipes.values()))
        recipe = str(random.choice(list(recipes), p=weights / weights.sum()))
        source = str(random.choice(list(SOURCES), p=list(SOURCES.values())))
        picture = make(part_of(by_source[source][random.integers(len(by_source[source]))], random), recipe, random)
        if not is_other and random.random() < INKED:
            picture = inked(picture, random)
        white = find_white(picture)
        seen = summary(picture, white)
        if seen.sum() < 200:
            continue
        for name, value in zip("XKYRS", (seen.astype(np.float32), white is not None, is_other, recipe, source)):
            rows[name].append(value)
    return {name: np.array(values) for name, values in rows.items()}


def train(values: np.ndarray, is_other: np.ndarray, seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(values.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    x = torch.tensor(values, dtype=torch.float32)
    y = torch.tensor(is_other, dtype=torch.float32) * (1 - SMOOTHING) + SMOOTHING / 2
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            noisy = x[batch] + NOISE * torch.randn_like(x[batch])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(noisy)[:, 0], y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return network


def merged(networks: list[torch.nn.Sequential]) -> dict:
    """One network whose logit is the mean of those of all."""
    numbers = [{name: value.detach().numpy() for name, value in network.named_parameters()} for network in networks]

    def rounded(values: np.ndarray) -> list:
        return np.round(values.astype(float), DECIMALS).tolist()

    return {
        "hidden": {
            "weights": rounded(np.vstack([n["0.weight"] for n in numbers])),
            "biases": rounded(np.concatenate([n["0.bias"] for n in numbers])),
        },
        "output": rounded(np.concatenate([n["2.weight"][0] for n in numbers]) / len(numbers)),
        "bias": round(float(np.mean([n["2.bias"][0] for n in numbers])), DECIMALS),
    }


def written(detector: dict) -> str:
    """JSON with one line per unit, so that changes can be read."""
    return json.dumps(detector).replace("[[", "[\n[").replace("], [", "],\n[").replace("]]", "]\n]") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the training pictures, one folder per source")
    parser.add_argument("--out", type=Path, help="file for the summaries")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--summaries", type=Path, nargs="+")
    options = parser.parse_args()
    if options.data and options.out:
        np.savez_compressed(options.out, **make_summaries(options.data, options.count, options.seed))
    if options.summaries:
        files = [np.load(file) for file in options.summaries]
        made = {name: np.concatenate([file[name] for file in files]) for name in "XKY"}
        values = inputs(made["X"].astype(float), made["K"])
        detector = merged([train(values, made["Y"], seed) for seed in range(MEMBERS)])
        FILE.write_text(written({"limits": LIMITS, **detector}))


if __name__ == "__main__":
    main()
