"""What normalize_tile.py makes of arrays and pictures other than the usual: slide.json and a folder
for pictures, with wide.icc."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

SCRIPT = Path(__file__).parents[2] / "scripts/normalize_tile.py"
sys.path.insert(0, str(SCRIPT.parent))
from normalize_tile import normalize_tile  # noqa: E402

tables = json.load(open(sys.argv[1]))["tables"]
tile = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
for name, array in {
    "batch": np.stack((tile, tile)),
    "empty": tile[:0],
    "float": tile.astype(np.float32),
    "signed": tile.astype(np.int64),
    "alpha": np.zeros((3, 4, 4), np.uint8),
    "grey": tile[..., 0],
    "channels first": np.moveaxis(tile, -1, 0),
}.items():
    try:
        print(name, normalize_tile(tables, array).shape)
    except ValueError as error:
        print(f"{name}: {error}")

folder = Path(sys.argv[2])
turned = Image.Exif()
turned[0x0112] = 6  # to be shown turned by 90 degrees
Image.new("RGB", (20, 30)).transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=turned)
Image.new("RGBA", (4, 3)).save(folder / "alpha.png")
for name, profile in {
    "srgb": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "wide": (folder / "wide.icc").read_bytes(),
    "damaged": b"nothing",
}.items():
    Image.fromarray(tile).save(folder / f"{name}.png", icc_profile=profile)
for name in ("turned.jpg", "alpha.png", "srgb.png", "wide.png", "damaged.png"):
    result = folder / "result.png"
    run = subprocess.run(
        [sys.executable, SCRIPT, sys.argv[1], folder / name, result], capture_output=True, text=True
    )
    print(name, Image.open(result).size[::-1]) if run.returncode == 0 else print(f"{name}: {run.stderr.strip()}")
