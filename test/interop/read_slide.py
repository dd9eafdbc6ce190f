"""Reads the base level of a slide in another format than DICOM, with openslide.

    python read_slide.py SLIDE PIXELS.rgb

PIXELS.rgb is rows x columns x 3 bytes. Prints JSON: its size.
"""

import json
import sys
from pathlib import Path

import numpy as np
import openslide


def main(file: str, output: str) -> None:
    with openslide.OpenSlide(file) as slide:
        columns, rows = slide.dimensions
        picture = slide.read_region((0, 0), 0, slide.dimensions)
    Path(output).write_bytes(np.asarray(picture)[..., :3].tobytes())
    print(json.dumps({"columns": columns, "rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
