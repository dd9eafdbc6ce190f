"""Normalises tiles in a data loader as the service does, bit for bit, with NumPy alone. This file may be copied.

    stain-normalization fit SLIDE --template he-violet --json > slide.json         (docs/data-loader.md)
    normalised = normalize_tile(json.load(open("slide.json"))["tables"], tile)     # uint8 [..., 3], sRGB

From a shell: python normalize_tile.py slide.json tile.png normalised.png
"""
import numpy as np


def normalize_tile(tables: dict, tile: np.ndarray) -> np.ndarray:
    if tile.dtype != np.uint8 or tile.shape[-1:] != (3,):
        raise ValueError(f"A tile is uint8 with R, G and B last, not {tile.dtype} {tile.shape}.")
    t = {name: np.asarray(values, np.int64) for name, values in tables.items()}
    od = t["density"][tile]  # optical density of each channel, 4096 is 1
    red, green, blue = np.moveaxis(od, -1, 0)
    total = od.sum(-1)
    # How foreign to haematoxylin and eosin the colour is, 0 to 256.
    bluer = red - green - (total * t["blueness"] >> 12)
    values = np.stack((blue - green, bluer, blue - green, bluer, total, 3 * od.min(-1)), -1)
    first, slope = t["ramps"].reshape(6, 2).T
    ramp = np.moveaxis((values - first) * slope >> 12, -1, 0)
    ink = np.minimum(np.maximum(ramp[2], ramp[3]), ramp[4])
    foreign = np.clip(np.maximum.reduce((ramp[0], ramp[1], ink, ramp[5])), 0, len(t["native"]) - 1)
    # How much of the change the pixel gets: none on glass and for foreign colours.
    weight = t["weight"][np.minimum(total >> 4, len(t["weight"]) - 1)] * t["native"][foreign] + 2048 >> 12
    product = t["product"].reshape(3, 256, 3)
    moved = sum(product[c][tile[..., c]] for c in range(3)) + t["offset"]
    moved = np.clip(moved, 0, len(t["level"]) - 1)
    return t["level"][od + ((moved - od) * weight[..., None] + 2048 >> 12)].astype(np.uint8)


if __name__ == "__main__":
    import io
    import json
    import sys

    from PIL import Image, ImageCms, ImageOps

    if len(sys.argv) != 4:
        print(__doc__)
        sys.exit(0 if "--help" in sys.argv else 2)
    tables = json.load(open(sys.argv[1]))["tables"]
    picture = ImageOps.exif_transpose(Image.open(sys.argv[2]))
    if picture.mode != "RGB":
        sys.exit(f"An 8-bit RGB picture is needed, not {picture.mode}.")
    if profile := picture.info.get("icc_profile"):
        try:
            srgb = ImageCms.profileToProfile(picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"))
        except ImageCms.PyCMSError:
            sys.exit("The ICC profile of the picture is damaged.")
        if np.abs(np.asarray(srgb, np.int16) - np.asarray(picture)).max() > 1:
            sys.exit("The picture is not sRGB, according to its ICC profile. Convert it to sRGB first.")
    Image.fromarray(normalize_tile(tables, np.asarray(picture))).save(sys.argv[3])
