"""What several exercises of lesson 08 share."""

import torch
from torch import nn

from ..lesson07.shared import random_network

SCALE = 2.0  # of the weights: so large that units of several layers come near their walls


def little_network(rng, *widths, activation=nn.Sigmoid):
    """An nn.Sequential of linear layers with ``activation`` after each but the last."""
    _flat, *layers = random_network(rng, *widths, activation=activation, scale=SCALE)
    return nn.Sequential(*layers).eval()


def classes(rng, n, count):
    """(n,) labels below ``count``."""
    return torch.randint(count, (n,), generator=rng)


def doubles(rng, *shape):
    """Uniform numbers in [0, 1], in double precision."""
    return torch.rand(*shape, generator=rng, dtype=torch.float64)
