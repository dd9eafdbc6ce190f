"""Likelihood of the mixture, per group of crops, and the cross entropy of the warm start."""
import math

import torch

#: Added to every class variance in training: saturated or empty areas have no spread of their own, and an
#: almost infinite density there swallows the whole likelihood (classes collapse).
VARIANCE_FLOOR = 1e-3


def negative_log_likelihood(log_g: torch.Tensor, features: torch.Tensor, floor: float = VARIANCE_FLOOR) -> torch.Tensor:
    """-mean log sum_k g_k N(x; mu_k, sd_k), the Gaussians from the M-step of the same group.

    log_g [G, K, P] log responsibilities, features [G, 3, P] = (D, cx, cy); G groups with statistics of their own.
    Unclipped: the published code clips the density at 1, which zeroes most gradients.
    """
    g = log_g.exp()
    mass = g.sum(2).clamp_min(1e-3)
    mean = torch.einsum("gkp,gcp->gkc", g, features) / mass[..., None]
    square = torch.einsum("gkp,gcp->gkc", g, features**2) / mass[..., None]
    variance = (square - mean**2).clamp_min(0) + floor
    log_density = log_g - 0.5 * (variance.log().sum(2) + 3 * math.log(2 * math.pi))[..., None]
    for channel in range(3):
        deviation = features[:, None, channel] - mean[:, :, channel, None]
        log_density = log_density - 0.5 * deviation**2 / variance[:, :, channel, None]
    return -torch.logsumexp(log_density, 1).mean()


def cross_entropy(log_g: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """log_g and target [G, K, P]; every class that occurs is weighted by the root of its share."""
    share = target.mean((0, 2))
    weight = 1 / (share + 0.02).sqrt()
    weight = weight / (weight * share).sum()
    return -(weight[None, :, None] * target * log_g).sum(1).mean()
