"""Numbers on which all parts of the method must agree, for training, export and reference."""
import json
from pathlib import Path

#: The constants of both transfers, which the server reads too; transfer.py and linear.py explain them.
TRANSFER = json.loads((Path(__file__).parents[2] / "core/src/stain/transfer-constants.json").read_text())

#: Lower bound of the optical density D (natural logarithm) in every division: the chroma of a pixel is
#: (OD_c - D) / max(D, bound). One grey level below white has D = 1/255 (-ln(254/255) = 0.00393), so below
#: the bound there is no 8-bit signal, only rounding: chroma there tends to neutral instead of exploding.
#: From the bound on the formulas are the published ones to the letter.
MINIMUM_OPTICAL_DENSITY = 1 / 255

#: An 8-bit value of 0 stands for anything below half a grey level; its optical density is -ln(0.5 / 255).
ZERO_LEVEL = 0.5

#: Colours that haematoxylin and eosin cannot have, as ramps over differences of optical density: below the first
#: value a pixel is H&E, from the second on it is foreign; it is then neither counted nor changed. Brown, green and
#: yellow (DAB, ink) absorb blue more than green; blue and green ink absorbs red much more than green. Of the 152
#: H&E images at hand the worst has 1.3 % and 2.2 % of its tissue above the lower ends.
FOREIGN_BLUE_OVER_GREEN = tuple(TRANSFER["foreign"]["blueOverGreen"])
FOREIGN_RED_OVER_GREEN = tuple(TRANSFER["foreign"]["redOverGreen"])
#: Black ink: dense, and absorbs blue nearly as much as green (dark nuclei absorb green far more).
FOREIGN_INK_DENSITY = tuple(TRANSFER["foreign"]["inkDensity"])
FOREIGN_INK_BLUE_OVER_GREEN = tuple(TRANSFER["foreign"]["inkBlueOverGreen"])
#: Blue ink, as dense as the black one: it absorbs red more than green, haematoxylin does not. Chosen on 130 H&E images
#: (2.5 % of the tissue of the worst is above the lower ends); of 213 others the worst has 0.3 % (evaluation.ink).
#: Red over green is judged against the slide's own nuclei (transfer.blueness, evaluation.blue_cameras).
FOREIGN_INK_RED_OVER_GREEN = tuple(TRANSFER["foreign"]["inkRedOverGreen"])
#: No transmitted light: the black rim of a scan. Of the least dense channel: by their mean, dark nuclei with hardly any
#: green would be black too, and keep specks.
FOREIGN_BLACK_DENSITY = tuple(TRANSFER["foreign"]["blackDensity"])

#: cx of a transferred pixel is clipped to this range before the inverse (published range).
CX_RANGE = (-1.0, 2.0)

#: Pixels of real image each network needs on each side for the exact result, at origins that are multiples of
#: ALIGNMENT (two max-pooling layers by 2 in the one, blocks of 4 x 4 in the other).
HALO = {"reference": 16, "fast": 20}
ALIGNMENT = 4

CLASSES = 4
#: Sums of the statistics graph for each class: seven of the paper's, ten of optical density.
SUMS = 7 + 10
#: Stable order after training: descending mean D.
CLASS_NAMES = ("dark nuclei", "pale nuclei", "stroma, cytoplasm and erythrocytes", "glass and lumen")

#: (name, kernel, inputs, outputs) of the published network; outputs None = number of classes.
LAYERS = (
    ("conv1", 3, 1, 32),
    ("conv2", 3, 32, 64),
    # max-pooling by 2
    ("conv3", 3, 64, 64),
    ("conv4", 3, 64, 128),
    # max-pooling by 2
    ("conv5", 3, 128, 128),
    # nearest-neighbour upsampling by 2
    ("conv6", 3, 128, 128),
    # nearest-neighbour upsampling by 2
    ("conv7", 3, 128, 64),
    ("conv8", 1, 64, 32),
    ("conv9", 3, 32, None),
)

#: (name, inputs, outputs) of the small network: blocks of 4 x 4 pixels become 16 channels, five 3x3 convolutions at a
#: quarter of the resolution, and the last one's 16 K channels become the pixels' logits again. ReLU but after the last.
BLOCK = 4
FAST_LAYERS = (
    ("conv1", BLOCK**2, 48),
    ("conv2", 48, 48),
    ("conv3", 48, 48),
    ("conv4", 48, 48),
    ("conv5", 48, BLOCK**2 * CLASSES),
)
