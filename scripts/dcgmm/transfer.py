"""From sums to scale and offset, with the guards of the product (server/src/stain): for evaluation only."""
import numpy as np

MINIMUM_SD = 0.005
MINIMUM_CLASS_SHARE = 0.005
SCALE_LIMITS = (0.4, 2.5)
#: Distance above the glass density up to which a pixel is left alone, and where it is fully moved.
FADE_ABOVE_GLASS = (0.02, 0.08)


def class_statistics(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sums [K, 7] -> share [K], mean [K, 3], sd [K, 3]."""
    mass = np.maximum(sums[:, :1], 1e-9)
    mean = sums[:, 1:4] / mass
    variance = np.maximum(sums[:, 4:] / mass - mean**2, 0)
    return sums[:, 0] / sums[:, 0].sum(), mean, np.maximum(np.sqrt(variance), MINIMUM_SD)


def coefficients(source: np.ndarray, template: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(scale [K, 3], offset [K, 3]) that move the source's sums [K, 7] onto the template's."""
    share_s, mean_s, sd_s = class_statistics(source)
    share_t, mean_t, sd_t = class_statistics(template)
    usable = (share_s >= MINIMUM_CLASS_SHARE) & (share_t >= MINIMUM_CLASS_SHARE)
    if not usable.all() and usable.any():
        for share, mean, sd in ((share_s, mean_s, sd_s), (share_t, mean_t, sd_t)):
            part = (share / share[usable].sum())[usable, None]
            pooled = (part * mean[usable]).sum(0)
            spread = np.sqrt((part * (sd[usable] ** 2 + mean[usable] ** 2)).sum(0) - pooled**2)
            mean[~usable], sd[~usable] = pooled, np.maximum(spread, MINIMUM_SD)
    scale = np.clip(sd_t / sd_s, *SCALE_LIMITS)
    return scale, mean_t - mean_s * scale


def glass_density(density: np.ndarray) -> float:
    """Commonest D among the bright pixels (D < 0.25), 0 where there are hardly any."""
    counts, edges = np.histogram(density[density < 0.25], np.arange(0, 0.2501, 0.005))
    return float(edges[counts.argmax()] + 0.0025) if counts.sum() >= 0.01 * density.size else 0.0
