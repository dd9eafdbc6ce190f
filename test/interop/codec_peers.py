"""Runs independent codecs (imagecodecs, Pillow, pydicom) on the files of a folder, for codec-peers.test.ts.

decode FOLDER: reads ours.jpg, ours.j2k, ours.jph; writes NAME.rgb beside each.
encode FOLDER ROWS COLUMNS: reads frame.rgb; writes what other systems would store.
icc FOLDER: reads profile.icc and colours.rgb (N x 3); writes converted.rgb by LittleCMS.
"""

import io
import sys
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageCms
from pydicom.pixels.encoders import RLELosslessEncoder


def decode(folder: Path) -> None:
    decoders = {"ours.jpg": imagecodecs.jpeg8_decode, "ours.j2k": imagecodecs.jpeg2k_decode, "ours.jph": imagecodecs.htj2k_decode}
    for name, decoder in decoders.items():
        decoder((folder / name).read_bytes()).astype(np.uint8).tofile(folder / f"{name}.rgb")


def encode(folder: Path, rows: int, columns: int) -> None:
    rgb = np.fromfile(folder / "frame.rgb", np.uint8).reshape(rows, columns, 3)
    image = Image.fromarray(rgb)

    def jpeg(name: str, **options: object) -> None:
        image.save(folder / name, "JPEG", quality=95, **options)

    jpeg("ycc.jpg", subsampling="4:4:4")
    jpeg("422.jpg", subsampling="4:2:2")
    jpeg("420.jpg", subsampling="4:2:0")
    jpeg("rgb.jpg", keep_rgb=True)
    description = {
        "rows": rows,
        "columns": columns,
        "samples_per_pixel": 3,
        "number_of_frames": 1,
        "bits_allocated": 8,
        "bits_stored": 8,
        "pixel_representation": 0,
        "photometric_interpretation": "RGB",
        "planar_configuration": 0,
    }
    codestreams = {
        "lossless.jls": imagecodecs.jpegls_encode(rgb),
        "lossless.rle": RLELosslessEncoder.encode(rgb, **description),
        "lossless.j2k": imagecodecs.jpeg2k_encode(rgb, codecformat="j2k", level=0, reversible=True, mct=True),
        "no-mct.j2k": imagecodecs.jpeg2k_encode(rgb, codecformat="j2k", level=0, reversible=True, mct=False),
        "lossy.j2k": imagecodecs.jpeg2k_encode(rgb, codecformat="j2k", level=45, reversible=False, mct=True),
        "lossless.jph": imagecodecs.htj2k_encode(rgb, reversible=True),
    }
    for name, data in codestreams.items():
        (folder / name).write_bytes(data)


def icc(folder: Path) -> None:
    colours = np.fromfile(folder / "colours.rgb", np.uint8).reshape(1, -1, 3)
    source = ImageCms.ImageCmsProfile(io.BytesIO((folder / "profile.icc").read_bytes()))
    image = ImageCms.profileToProfile(Image.fromarray(colours), source, ImageCms.createProfile("sRGB"), renderingIntent=0)
    np.asarray(image).tofile(folder / "converted.rgb")


if __name__ == "__main__":
    command, folder, *numbers = sys.argv[1:]
    {"decode": decode, "encode": encode, "icc": icc}[command](Path(folder), *map(int, numbers))
