"""The reference model over a slide in Python: wsidicom reads and writes, PyTorch computes.

    python -m peers.reference SOURCE DESTINATION --template PICTURE
"""
from pathlib import Path
from threading import Lock

import numpy as np
from wsidicom import WsiDicom

from dcgmm import constants, transfer
from dcgmm.reference import optical_density

from .network import TorchModel, picture
from .pipeline import arguments, report
from .slide import NormalisedByWindow, read, save_normalised

#: Windows of tissue for the statistics, and the criteria of a good one: the numbers of server/src/pipeline/fit.ts.
SAMPLES, SAMPLE_SIZE, GOOD_TISSUE = 16, 512, 0.2
HALO = constants.HALO["reference"]


def density(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> mean optical density [H, W], by a table."""
    return optical_density(np.arange(256)).astype(np.float32)[pixels].mean(-1)


def origins(length: int) -> list[int]:
    """Positions of windows along an axis: side by side, the last one moved back into the slide."""
    last = max(0, length - SAMPLE_SIZE) // constants.ALIGNMENT * constants.ALIGNMENT
    return [min(start, last) for start in range(0, length, SAMPLE_SIZE)]


def sample_windows(overview: np.ndarray, columns: int, rows: int, glass: float) -> list[tuple[int, int]]:
    """Origins of windows rich in tissue, spread over the slide, in pixels of its base level of columns x rows."""
    tissue = density(overview) > glass + transfer.TISSUE_ABOVE_GLASS
    down, across = overview.shape[0] / rows, overview.shape[1] / columns
    shares = {}
    for y in origins(rows):
        for x in origins(columns):
            part = tissue[int(y * down) : int((y + SAMPLE_SIZE) * down), int(x * across) : int((x + SAMPLE_SIZE) * across)]
            shares[x, y] = part.mean()
    good = [place for place, share in shares.items() if share >= GOOD_TISSUE]
    if len(good) < SAMPLES / 4:
        return sorted(shares, key=lambda place: -shares[place])[: SAMPLES // 4]
    count = min(SAMPLES, len(good))
    return [good[int((i + 0.5) * len(good) / count)] for i in range(count)]


def fit(files: Path, model: TorchModel) -> tuple[transfer.Stain, int]:
    """The slide's stain, and the number of windows that it was fitted on."""
    with WsiDicom.open(files) as slide:
        base, small = (level.default_instance.image_data for level in (slide.levels[0], slide.levels[-1]))
        overview = read(small, 0, 0, small.image_size.width, small.image_size.height)
        glass = transfer.glass_density(overview)
        size = base.image_size
        places = sample_windows(overview, size.width, size.height, glass)
        sums = 0
        for x, y in places:
            left, top = max(0, x - HALO), max(0, y - HALO)
            right, bottom = min(size.width, x + SAMPLE_SIZE + HALO), min(size.height, y + SAMPLE_SIZE + HALO)
            width, height = ((length // constants.ALIGNMENT) * constants.ALIGNMENT for length in (right - left, bottom - top))
            pixels = read(base, left, top, width, height)
            weight = np.zeros((height, width), np.uint8)
            weight[y - top : y - top + SAMPLE_SIZE, x - left : x - left + SAMPLE_SIZE] = 1
            sums = sums + model.sums(pixels, weight * transfer.counted(pixels))
        return transfer.stain(sums, glass), len(places)


def main() -> None:
    options = arguments(__doc__)
    model = TorchModel()
    template = model.fit(picture(options.template))
    stain, samples = fit(options.source, model)
    scale, offset, fade, blueness = transfer.coefficients(stain, template)
    # wsidicom reads in several threads. One at a time uses all cores for the network; the others decode and encode.
    network = Lock()
    skipped = 0

    def normalise(pixels: np.ndarray) -> np.ndarray:
        nonlocal skipped
        if not (density(pixels) > fade[0]).any():
            skipped += 1
            return pixels
        with network:
            return model.apply(pixels, scale, offset, fade, blueness)

    save_normalised(
        options.source,
        options.destination,
        lambda source: NormalisedByWindow(source, normalise, HALO, constants.ALIGNMENT),
        options.threads,
    )
    report("torch", "wsidicom", "imagecodecs", samples=samples, skipped=skipped)


if __name__ == "__main__":
    main()
