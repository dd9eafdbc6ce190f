"""Slides of other stains, and of unusual H&E, made from H&E: its two stains are separated and given other colours.

Haematoxylin and eosin are unmixed by vectors estimated on the picture (Macenko et al. 2009). The nuclei, cytoplasm,
stroma, fibres and membranes that they show are then stained by a recipe, with the published vectors (Ruifrok and
Johnston 2001, and the plugin Colour Deconvolution of ImageJ), with jitter. Lastly a camera is simulated.
"""
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, label

from dcgmm.data import optical_density

RUIFROK = np.array([[0.644, 0.717, 0.267], [0.093, 0.954, 0.283]])

#: Optical densities (R, G, B) of the stains, of any length.
HAEMATOXYLIN = (0.65, 0.70, 0.29)
BLUE_HAEMATOXYLIN = (0.72, 0.62, 0.30)
IRON_HAEMATOXYLIN = (0.62, 0.60, 0.50)
EOSIN = (0.09, 0.95, 0.28)
DAB = (0.27, 0.57, 0.78)
AEC = (0.20, 0.70, 0.68)
FAST_RED = (0.21, 0.85, 0.48)
NUCLEAR_FAST_RED = (0.15, 0.85, 0.45)
VIP = (0.45, 0.80, 0.40)
FAST_BLUE = (0.75, 0.61, 0.27)
METHYL_GREEN = (0.92, 0.30, 0.25)
METHYLENE_BLUE = (0.83, 0.51, 0.20)
ANILINE_BLUE = (0.85, 0.51, 0.11)
METHYL_BLUE = (0.80, 0.59, 0.11)
LIGHT_GREEN = (0.93, 0.25, 0.28)
FAST_GREEN = (0.90, 0.38, 0.15)
PONCEAU = (0.10, 0.74, 0.67)
AZOCARMINE = (0.09, 0.87, 0.49)
ORANGE_G = (0.11, 0.37, 0.92)
PAS = (0.175, 0.972, 0.155)
PALE_PAS = (0.32, 0.85, 0.40)
ALCIAN_BLUE = (0.87, 0.46, 0.16)
CONGO_RED = (0.15, 0.75, 0.64)
SILVER = (0.58, 0.58, 0.57)
BROWN_SILVER = (0.50, 0.58, 0.64)
PICRIC_YELLOW = (0.03, 0.20, 0.98)
SIRIUS_RED = (0.12, 0.85, 0.50)
SAFRANIN = (0.12, 0.83, 0.54)
CRESYL_VIOLET = (0.62, 0.74, 0.25)
TOLUIDINE_BLUE = (0.78, 0.58, 0.22)
LUXOL_BLUE = (0.90, 0.42, 0.10)
PRUSSIAN_BLUE = (0.85, 0.49, 0.18)


@dataclass(frozen=True)
class Tissue:
    """The structures in a picture of H&E, each float16 [H, W] from 0 to about 1."""

    source: str
    rgb: np.ndarray
    haematoxylin: np.ndarray
    eosin: np.ndarray
    #: 0 in stroma, 1 among many nuclei.
    epithelium: np.ndarray
    #: Thin lines around the epithelium.
    membrane: np.ndarray
    #: Fine structure of the eosin.
    fibres: np.ndarray
    #: Index of its nucleus, 0 outside, int16.
    nucleus: np.ndarray


def stain_vectors(density: np.ndarray) -> np.ndarray:
    """[2, 3]: haematoxylin and eosin of a picture of optical densities [n, 3]; Ruifrok's if it does not show two stains."""
    tissue = density[density.mean(1) > 0.15]
    if len(tissue) < 1000:
        return RUIFROK
    _, vectors = np.linalg.eigh(np.cov(tissue.T))
    plane = vectors[:, [2, 1]] * np.sign(vectors[:, [2, 1]].sum(0) + 1e-9)
    angle = np.arctan2(*(tissue @ plane).T[::-1])
    ends = [plane @ [np.cos(a), np.sin(a)] for a in np.percentile(angle, (1, 99))]
    found = np.maximum(np.array(sorted(ends, key=lambda v: -v[0] / v.sum())), 0.01)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found if found[0, 0] - found[1, 0] > 0.2 else RUIFROK


def tell_apart(rgb: np.ndarray, glass: tuple[float, float, float], source: str) -> Tissue:
    density = np.maximum(optical_density(rgb) + np.log(np.asarray(glass, np.float32) / 255), 0)
    vectors = stain_vectors(density.reshape(-1, 3))
    third = np.cross(*vectors)
    basis = np.vstack([vectors, third / np.linalg.norm(third)])
    amounts = np.maximum(density @ np.linalg.inv(basis), 0)[..., :2]
    h, e = (amounts[..., i] / max(0.3, np.percentile(amounts[..., i], 99)) for i in (0, 1))
    smooth = gaussian_filter(h, 1)
    nuclei = smooth > max(0.35, np.percentile(smooth, 75))
    crowd = gaussian_filter(nuclei.astype(np.float32), 18)
    epithelium = 1 / (1 + np.exp(-(crowd - 0.25) / 0.05))
    slope = np.hypot(*np.gradient(epithelium)) + 1e-4
    membrane = np.exp(-(((epithelium - 0.5) / slope / 2.5) ** 2)) * (slope > 0.004)
    fibres = np.maximum(gaussian_filter(e, 1) - gaussian_filter(e, 4), 0)
    fibres /= max(0.05, np.percentile(fibres, 99))
    numbers, _ = label(nuclei)
    maps = [m.astype(np.float16) for m in (h, e, epithelium, membrane, fibres)]
    return Tissue(source, rgb, *maps, numbers.astype(np.int16))


class Stainer:
    """Colours one tissue; every call of a recipe gives the slide of another laboratory."""

    def __init__(self, tissue: Tissue, random: np.random.Generator):
        self.random = random
        self.density = np.zeros((*tissue.eosin.shape, 3), np.float32)
        self.h, self.e, self.epithelium, self.membrane, self.fibres = (
            m.astype(np.float32)
            for m in (tissue.haematoxylin, tissue.eosin, tissue.epithelium, tissue.membrane, tissue.fibres)
        )
        self.numbers = tissue.nucleus.astype(int)
        self.nuclei = np.minimum(1.5, self.h) * (self.numbers > 0)
        self.everything = np.minimum(1.5, 0.5 * self.h + self.e)
        self.stroma = self.e * (1 - self.epithelium)
        self.cytoplasm = self.e * self.epithelium

    def between(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def any(self, *choices):
        return choices[self.random.integers(len(choices))]

    def add(self, vector, amount: np.ndarray, low: float, high: float, jitter: float = 0.05) -> None:
        """A stain of the densest 1 % between `low` and `high` in its strongest channel."""
        jittered = np.maximum(np.asarray(vector) / np.linalg.norm(vector) + self.random.normal(0, jitter, 3), 0.01)
        self.density += amount[..., None] * (jittered / jittered.max() * self.between(low, high)).astype(np.float32)

    def patches(self, share: float, size: float) -> np.ndarray:
        """float [H, W], 0 or 1: patches of `size` pixels over `share` of the picture."""
        field = gaussian_filter(self.random.normal(size=self.e.shape).astype(np.float32), size)
        return np.clip((field - np.quantile(field, 1 - share)) / field.std() * 3, 0, 1)

    def some_nuclei(self, share: float) -> np.ndarray:
        chosen = self.random.random(self.numbers.max() + 1) < share
        chosen[0] = False
        return self.nuclei * chosen[self.numbers] * self.random.uniform(0.5, 1.3, len(chosen))[self.numbers]

    def counterstain(self) -> None:
        """Haematoxylin of immunohistochemistry: bluer than beside eosin, hardly any between the nuclei."""
        vector = self.any(HAEMATOXYLIN, BLUE_HAEMATOXYLIN, BLUE_HAEMATOXYLIN)
        self.add(vector, self.nuclei + self.between(0.03, 0.35) * self.everything, 0.3, 1.5)

    # Recipes -----------------------------------------------------------------------------------------------------

    def immuno(self) -> None:
        chromogen = self.any(DAB, DAB, DAB, DAB, AEC, FAST_RED, VIP, FAST_BLUE)
        if self.random.random() < 0.15:
            self.add(METHYL_GREEN, self.nuclei + self.between(0.05, 0.4) * self.everything, 0.3, 1.3, 0.07)
        else:
            self.counterstain()
        share = self.random.random() ** 2
        kind = self.random.integers(4)
        if kind == 0:
            self.add(chromogen, self.some_nuclei(share), 0.5, 2.5)
        elif kind == 1:
            self.add(chromogen, self.patches(max(0.03, share), self.between(5, 60)) * self.everything, 0.4, 2.5)
        elif kind == 2:
            ring = np.clip(gaussian_filter((self.numbers > 0).astype(np.float32), 4) * 4, 0, 1) * (self.numbers == 0)
            self.add(chromogen, ring * self.patches(max(0.05, share), 40), 0.4, 2)
        else:
            self.add(chromogen, self.membrane + self.fibres * self.patches(max(0.05, share), 20), 0.3, 2)
        self.add(chromogen, self.everything, 0, 0.2)

    def negative_control(self) -> None:
        self.counterstain()
        if self.random.random() < 0.4:
            self.add(DAB, self.everything, 0, 0.15)

    def trichrome(self) -> None:
        nuclei = self.any(IRON_HAEMATOXYLIN, IRON_HAEMATOXYLIN, HAEMATOXYLIN)
        collagen = self.any(ANILINE_BLUE, ANILINE_BLUE, METHYL_BLUE, LIGHT_GREEN, FAST_GREEN)
        red = self.any(PONCEAU, PONCEAU, AZOCARMINE, EOSIN)
        self.add(nuclei, self.nuclei, 0.3, 1.5)
        blue = self.stroma if self.random.random() < 0.7 else self.e * self.patches(self.between(0.08, 0.7), self.between(6, 50))
        left = np.maximum(self.e - blue, 0)
        self.add(collagen, blue + self.between(0, 0.15) * self.everything, 0.5, 2)
        self.add(red, left + self.between(0, 0.15) * self.everything, 0.5, 2)
        if self.random.random() < 0.3:
            self.add(ORANGE_G, left * self.patches(0.1, 8), 0.5, 1.5)

    def pas(self) -> None:
        self.add(self.any(HAEMATOXYLIN, BLUE_HAEMATOXYLIN), self.nuclei, 0.4, 1.5)
        self.add(self.any(HAEMATOXYLIN, BLUE_HAEMATOXYLIN), self.everything, 0, 0.2)
        schiff = self.any(PAS, PALE_PAS)
        self.add(schiff, self.membrane + self.between(0, 0.8) * self.fibres, 0.5, 2)
        self.add(schiff, self.everything, 0.1, 0.6)
        self.add(schiff, self.patches(self.between(0.02, 0.3), self.between(4, 25)) * self.everything, 0.2, 2)
        if self.random.random() < 0.2:
            self.add(LIGHT_GREEN, self.everything, 0.1, 0.6)

    def silver(self) -> None:
        """Jones, reticulin, Grocott: black lines on a counterstain."""
        silver = self.any(SILVER, SILVER, BROWN_SILVER)
        lines = self.membrane + self.between(0, 1.2) * self.fibres
        if self.random.random() < 0.3:
            lines = lines + self.patches(self.between(0.01, 0.1), self.between(1.5, 4))
        self.add(silver, lines, 0.7, 3, 0.03)
        self.add(silver, self.everything, 0, 0.5, 0.03)
        kind = self.random.integers(6)
        if kind == 0:
            self.add(LIGHT_GREEN, self.everything, 0.2, 1)
        elif kind == 1:
            self.add(NUCLEAR_FAST_RED, self.nuclei + 0.3 * self.everything, 0.3, 1)
        elif kind in (2, 3):
            self.add(HAEMATOXYLIN, self.nuclei, 0.2, 1)
            self.add(EOSIN, self.e, 0.2, 1)
        elif kind == 4:
            self.add(self.any(SILVER, BROWN_SILVER), self.nuclei, 0.2, 1)
            self.add(self.any(EOSIN, VIP, BROWN_SILVER), self.everything, 0, 0.5)

    def elastic(self) -> None:
        self.add(SILVER, self.nuclei + self.fibres * self.patches(0.4, 20), 0.5, 2.5)
        self.add(SIRIUS_RED, self.stroma, 0.5, 2)
        self.add(PICRIC_YELLOW, self.cytoplasm + self.between(0.1, 0.5) * self.everything, 0.4, 1.5)

    def blue(self) -> None:
        """Giemsa, toluidine blue, cresyl violet, Luxol fast blue, methylene blue of Ziehl-Neelsen."""
        stain = self.any(METHYLENE_BLUE, METHYLENE_BLUE, TOLUIDINE_BLUE, CRESYL_VIOLET, LUXOL_BLUE)
        self.add(stain, self.nuclei, 0.6, 2.5)
        self.add(stain, self.everything, 0.15, 1.2)
        if self.random.random() < 0.4:
            self.add(EOSIN, self.e * self.patches(self.between(0.05, 0.5), 10), 0.2, 1)
        if self.random.random() < 0.3:
            self.add(self.any(CRESYL_VIOLET, FAST_RED), self.nuclei, 0.3, 1.2)

    def red(self) -> None:
        """Congo red, Sirius red, safranin, nuclear fast red beside Alcian blue, Prussian blue or fast green."""
        kind = self.random.integers(5)
        if kind == 0:
            self.add(CONGO_RED, self.everything * (0.2 + self.patches(self.between(0.1, 0.6), 15)), 0.3, 1.5)
            self.counterstain()
        elif kind == 1:
            self.add(SIRIUS_RED, self.stroma + self.fibres, 0.5, 2)
            self.add(PICRIC_YELLOW, self.everything, 0.3, 1.2)
        elif kind == 2:
            self.add(SAFRANIN, self.nuclei + self.patches(0.3, 20) * self.e, 0.5, 2)
            self.add(FAST_GREEN, self.e, 0.3, 1.5)
        else:
            self.add(NUCLEAR_FAST_RED, self.nuclei + self.between(0.1, 0.5) * self.everything, 0.3, 1.3)
            blue = self.any(ALCIAN_BLUE, ALCIAN_BLUE, PRUSSIAN_BLUE)
            self.add(blue, self.e * self.patches(self.between(0.05, 0.5), self.between(3, 30)), 0.4, 1.8)

    def mucin(self) -> None:
        self.counterstain()
        self.add(ALCIAN_BLUE, self.e * self.patches(self.between(0.1, 0.6), self.between(4, 30)), 0.4, 1.8)
        if self.random.random() < 0.5:
            self.add(PAS, self.everything * self.patches(0.3, 10), 0.3, 1.5)

    def invented(self) -> None:
        """Two stains of random colours, at least one of them far from those of H&E."""
        while True:
            vectors = self.random.dirichlet((1, 1, 1), 2)
            red, green, blue = vectors.T
            if ((blue > 1.1 * green) | (red > 1.5 * green)).any():
                break
        self.add(vectors[0], self.nuclei, 0.5, 2)
        self.add(vectors[1], self.e, 0.5, 2)

    def haematoxylin_and_eosin(self) -> None:
        h = from_chroma(self.between(-0.05, 0.28), self.between(0.15, 0.65))
        e = from_chroma(self.between(-0.97, -0.55), self.between(0.2, 1.3))
        strength = np.exp(self.between(-1.1, 0.5))
        balance = np.exp(self.random.normal(0, 0.4))
        diffuse = self.between(0, 0.35) * self.everything
        self.add(h, self.h + diffuse, strength / balance, 1.6 * strength / balance, 0.02)
        eosin = self.e
        if self.random.random() < 0.1:
            eosin = eosin + self.everything
        self.add(e, eosin, 0.8 * strength * balance, 1.5 * strength * balance, 0.02)
        if self.random.random() < 0.2:
            # Erythrocytes, or a pigment, in places.
            colour = from_chroma(self.between(-0.9, -0.6), self.between(-0.1, 0.5))
            self.add(colour, self.e * self.patches(self.between(0.01, 0.15), self.between(3, 12)), 0.5, 1.5)

    def film(self, vector, low: float, high: float) -> None:
        """Tissue without gaps: what looks like glass is pale cytoplasm."""
        self.add(vector, np.ones_like(self.e), low, high, 0.02)

    def faded(self) -> None:
        """Old or thin sections, with hardly any eosin, and no visible glass."""
        self.add(from_chroma(self.between(-0.1, 0.2), self.between(0.2, 0.5)), self.h + self.between(0, 0.3) * self.everything, 0.3, 1.1, 0.02)
        self.add(from_chroma(self.between(-0.7, -0.2), self.between(0.2, 0.7)), self.e, 0.05, 0.4, 0.02)
        self.film(from_chroma(self.between(-0.35, 0.1), self.between(0.2, 0.7)), 0.05, 0.4)

    def one_of_two(self) -> None:
        """Eosin alone, or hardly any eosin, as also occurs in H&E."""
        eosin = self.any(0.05, 1.0)
        self.add(from_chroma(self.between(-0.1, 0.1), self.between(0.25, 0.6)), self.h + self.between(0.1, 0.4) * self.everything, *((0.5, 1.5) if eosin < 1 else (0, 0.15)))
        self.add(from_chroma(self.between(-0.95, -0.6), self.between(0.25, 1)), self.e, *((0.4, 1.4) if eosin == 1 else (0.15, 0.35)))


def from_chroma(cx: float, cy: float) -> np.ndarray:
    """Optical densities (R, G, B) of mean 1."""
    root = np.sqrt(3.0)
    return np.maximum([cx + 1, (2 - cx + root * cy) / 2, (2 - cx - root * cy) / 2], 0.01)


HE = {"as it is": 0.28, "haematoxylin_and_eosin": 0.5, "faded": 0.15, "one_of_two": 0.07}
OTHER = {
    "immuno": 0.3,
    "negative_control": 0.06,
    "trichrome": 0.16,
    "pas": 0.15,
    "silver": 0.15,
    "elastic": 0.03,
    "blue": 0.05,
    "red": 0.06,
    "mucin": 0.02,
    "invented": 0.02,
}


def camera(density: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """float [H, W, 3] of optical densities above the glass -> uint8 as a scanner or microscope shows them."""
    kind = random.random()
    gamma = np.exp(random.normal(0, 0.12)) * np.exp(random.normal(0, 0.05, 3))
    light = np.exp(-density * gamma)
    saturation = np.exp(random.normal(0, 0.15))
    if random.random() < 0.25:
        saturation *= random.uniform(0.45, 1)
    grey = light.mean(-1, keepdims=True)
    mixing = np.eye(3) + random.normal(0, 0.03, (3, 3))
    mixing /= mixing.sum(1, keepdims=True)
    light = np.clip(grey + saturation * (light - grey), 0.002, 1) @ mixing.T
    white = np.ones(3) * random.uniform(0.78, 1)
    if kind < 0.3:
        white = white * (1 - random.uniform(0, 0.12, 3))
    elif kind < 0.36:
        white = np.array([random.uniform(0.75, 1), random.uniform(0.7, 0.95), random.uniform(0.45, 0.8)])
    elif kind < 0.42:
        white = np.array([random.uniform(0.75, 0.92), random.uniform(0.8, 0.95), random.uniform(0.92, 1)])
    if random.random() < 0.08:
        # A picture whose saturation was increased.
        light = np.clip((light - 0.6) * random.uniform(1.1, 2) + 0.6, 0, 1)
    if random.random() < 0.25:
        white = white * uneven_light(light.shape[:2], random)
    levels = 255 * light * white + random.normal(0, random.uniform(0, 2.5), light.shape)
    if random.random() < 0.3:
        levels = gaussian_filter(levels, (*[random.uniform(0.3, 2)] * 2, 0))
    image = Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))
    if random.random() < 0.5:
        scale = random.uniform(0.35, 1)
        image = image.resize([max(96, int(length * scale)) for length in image.size], Image.Resampling.BOX)
    if random.random() < 0.7:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(random.integers(45, 96)))
        image = Image.open(buffer)
    return np.asarray(image)


def uneven_light(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """[H, W, 3], at most 1: a microscope whose lamp is not centred tints one side of the picture."""
    down, across = (np.linspace(-1, 1, length)[:, None] for length in shape)
    field = down[:, None] * random.normal(0, 0.05, 3) + across[None] * random.normal(0, 0.05, 3)
    return np.exp(field - field.max((0, 1)))


def make(tissue: Tissue, recipe: str, random: np.random.Generator) -> np.ndarray:
    """uint8 [H, W, 3]: the tissue, stained by a recipe and photographed by a camera."""
    if recipe == "as it is":
        strength = np.exp(random.uniform(-0.7, 0.4))
        return camera(optical_density(tissue.rgb) * strength, random)
    stainer = Stainer(tissue, random)
    getattr(stainer, recipe)()
    if recipe in OTHER and random.random() < 0.15:
        stainer.film(from_chroma(random.uniform(-0.3, 0.3), random.uniform(-0.1, 0.5)), 0.03, 0.3)
    # Glass stays glass: the amounts between the stained parts are noise.
    return camera(np.maximum(stainer.density - 0.02, 0), random)
