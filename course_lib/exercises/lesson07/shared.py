"""What several exercises of lesson 07 share."""

import itertools

import torch
from torch import nn

IMAGE = (1, 3, 4)  # of the little networks that the checks make up


def drawn(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def dense_layer(rng, inputs, outputs, scale=1.0):
    """A linear layer of its own: weights (outputs, inputs) and biases, in double precision."""
    layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(drawn(rng, outputs, inputs) * scale / inputs**0.5)
        layer.bias.copy_(drawn(rng, outputs))
    return layer


def random_network(rng, *widths, activation=nn.Sigmoid, scale=1.0):
    layers = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [dense_layer(rng, inputs, outputs, scale), activation()]
    return nn.Sequential(*layers[:-1]).eval()


def linear_layers(net):
    return [module for module in net.modules() if isinstance(module, nn.Linear)]


def spectral_norm(matrix):
    return torch.linalg.matrix_norm(matrix, 2)
