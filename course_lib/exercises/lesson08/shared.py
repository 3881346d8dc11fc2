"""What several exercises of lesson 08 share."""

import itertools

import torch
from torch import nn


def dense_layer(rng, inputs, outputs, scale=2.0):
    """A linear layer of its own: weights (outputs, inputs) and biases, in double precision."""
    layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    with torch.no_grad():
        drawn = torch.randn(outputs, inputs, generator=rng, dtype=torch.float64)
        layer.weight.copy_(scale * drawn / inputs**0.5)
        layer.bias.copy_(torch.randn(outputs, generator=rng, dtype=torch.float64))
    return layer


def little_network(rng, *widths, activation=nn.Sigmoid):
    """An nn.Sequential of linear layers with ``activation`` after each but the last."""
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [dense_layer(rng, inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1]).eval()


def classes(rng, n, count):
    """(n,) labels below ``count``."""
    return torch.randint(count, (n,), generator=rng)


def doubles(rng, *shape):
    """Uniform numbers in [0, 1], in double precision."""
    return torch.rand(*shape, generator=rng, dtype=torch.float64)
