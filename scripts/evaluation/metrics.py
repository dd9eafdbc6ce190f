"""The columns of the tables, each as a plain function of pictures (uint8 [H, W, 3]) and a tissue mask (bool [H, W])."""
import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, sobel
from scipy.stats import wasserstein_distance
from skimage.color import deltaE_ciede2000, rgb2hed, rgb2lab
from skimage.exposure import match_histograms
from skimage.filters import threshold_otsu
from skimage.metrics import structural_similarity

from dcgmm.hsd import from_optical_density
from dcgmm.reference import optical_density


def nmi(pixels: np.ndarray, mask: np.ndarray) -> float:
    """Normalised median intensity: median over 95th percentile of mean RGB over tissue."""
    intensity = pixels.mean(-1)[mask]
    return float(np.median(intensity) / np.percentile(intensity, 95))


def lab(pixels: np.ndarray) -> np.ndarray:
    return rgb2lab(pixels / 255)


def hsd(pixels: np.ndarray) -> np.ndarray:
    """(D, cx, cy) [H, W, 3]; chroma is divided by at least D = 0.1, below which it is mostly 8-bit noise."""
    od = optical_density(pixels)
    density, _, cx, cy = from_optical_density(od[..., 0], od[..., 1], od[..., 2], 0.1)
    return np.stack((density, cx, cy), -1)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over the channels of the Wasserstein distance between two sets of colours [P, 3], [Q, 3]."""
    return float(np.mean([wasserstein_distance(a[::7, c], b[::7, c]) for c in range(3)]))


def difference(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    """Mean CIEDE2000 between two pictures of the same tissue, over the mask."""
    return float(deltaE_ciede2000(lab(a)[mask], lab(b)[mask]).mean())


def between(values: list[np.ndarray]) -> float:
    """Mean CIEDE2000 over all pairs of Lab arrays of one shape."""
    pairs = [deltaE_ciede2000(a, b).mean() for i, a in enumerate(values) for b in values[:i]]
    return float(np.mean(pairs))


def structure(source: np.ndarray, result: np.ndarray) -> float:
    """SSIM of the grey images (mean of R, G and B)."""
    return float(structural_similarity(source.mean(-1), result.mean(-1), data_range=255))


def matched_structure(source: np.ndarray, result: np.ndarray) -> float:
    """SSIM of the grey images after the source's levels were given the result's histogram. This removes what one change of
    brightness and contrast for the whole picture explains, which a normalisation must make."""
    grey = result.mean(-1)
    return float(structural_similarity(match_histograms(source.mean(-1), grey), grey, data_range=255))


def nuclei(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """bool [H, W]: haematoxylin (Ruifrok and Johnston's vectors, smoothed by 1 pixel) above Otsu's threshold over the tissue
    of the same picture."""
    haematoxylin = gaussian_filter(rgb2hed(pixels)[..., 0], 1)
    return (haematoxylin > threshold_otsu(haematoxylin[mask])) & mask


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def gradients(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    grey = gaussian_filter(pixels.mean(-1), 1)
    return sobel(grey, 0), sobel(grey, 1)


def gradient_correlation(source: np.ndarray, result: np.ndarray) -> float:
    """Pearson's correlation of the gradients' magnitudes."""
    a, b = (np.hypot(*gradients(pixels)).ravel() for pixels in (source, result))
    return float(np.corrcoef(a, b)[0, 1])


def reversed_edges(source: np.ndarray, result: np.ndarray, mask: np.ndarray) -> float:
    """Fraction of the pixels within 2 of a nucleus's outline where the darker side became the brighter: halos.

    Only pixels with a gradient above the median count; an edge is reversed if the product of the gradients is negative.
    """
    inside = nuclei(source, mask)
    ring = binary_dilation(inside, iterations=2) & ~binary_erosion(inside, iterations=2)
    (ay, ax), (by, bx) = gradients(source), gradients(result)
    size = np.hypot(ay, ax)
    clear = ring & (size > np.median(size[ring]))
    return float(((ay * by + ax * bx)[clear] < 0).mean())
