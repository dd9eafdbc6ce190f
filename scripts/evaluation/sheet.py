"""One picture with all results: a row per picture, a column per method, the class map at the end."""
import numpy as np
from PIL import Image, ImageDraw

from dcgmm import reference, weights

#: Colours of the class map, in the order of constants.CLASS_NAMES.
CLASS_COLOURS = np.array([[40, 0, 120], [120, 70, 220], [240, 130, 170], [255, 255, 255]], float)
CELL, HEADING = 256, 18


def class_map(pixels: np.ndarray, model: str) -> np.ndarray:
    """Responsibilities of uint8 [H, W, 3] as mixed colours."""
    _, x = reference.features(pixels[None])
    g = reference.responsibilities(x[:, 0], weights.read_weights(weights.weights_file(model)), model)[0]
    return np.einsum("khw,kc->hwc", g, CLASS_COLOURS).round().astype(np.uint8)


def sheet(columns: dict[str, list[np.ndarray]]) -> Image.Image:
    """columns: heading -> one picture [CELL, CELL, 3] per row."""
    rows = len(next(iter(columns.values())))
    image = Image.new("RGB", (len(columns) * (CELL + 4), rows * (CELL + 4) + HEADING), "white")
    draw = ImageDraw.Draw(image)
    for column, (heading, pictures) in enumerate(columns.items()):
        draw.text((column * (CELL + 4) + 4, 3), heading, "black")
        for row, picture in enumerate(pictures):
            image.paste(Image.fromarray(picture), (column * (CELL + 4), row * (CELL + 4) + HEADING))
    return image
