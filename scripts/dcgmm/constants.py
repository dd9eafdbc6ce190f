"""The numbers every part of the method must agree on. Imported by training, export and reference alike."""

#: Lower bound of the optical density D (natural logarithm) in every division: the chroma of a pixel is
#: (OD_c - D) / max(D, bound). One grey level below white has D = 1/255 (-ln(254/255) = 0.00393), so below
#: the bound there is no 8-bit signal, only rounding: chroma there tends to neutral instead of exploding.
#: From the bound on the formulas are the published ones to the letter.
MINIMUM_OPTICAL_DENSITY = 1 / 255

#: An 8-bit value of 0 stands for anything below half a grey level; its optical density is -ln(0.5 / 255).
ZERO_LEVEL = 0.5

#: cx of a transferred pixel is clipped to this range before the inverse (published range).
CX_RANGE = (-1.0, 2.0)

#: Pixels of real image the network needs on each side for the exact result, at origins that are multiples
#: of ALIGNMENT (two max-poolings by 2).
HALO = 16
ALIGNMENT = 4

CLASSES = 4
#: Stable order after training: descending mean D.
CLASS_NAMES = ("nuclei", "dense eosin", "pale stroma and cytoplasm", "glass and lumen")

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
