"""What several exercises of lesson 07 share."""

import itertools

import torch
from torch import nn

IMAGE = (1, 3, 4)  # of the little networks that the checks make up


def _draw(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def _linear(rng, inputs, outputs, scale=1.0):
    """A linear layer of its own: weights (outputs, inputs) and biases, in double precision."""
    layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(_draw(rng, outputs, inputs) * scale / inputs**0.5)
        layer.bias.copy_(_draw(rng, outputs))
    return layer


def _network(rng, *widths, activation=nn.Sigmoid, scale=1.0):
    layers = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [_linear(rng, inputs, outputs, scale), activation()]
    return nn.Sequential(*layers[:-1]).eval()


def _linear_layers(net):
    return [module for module in net.modules() if isinstance(module, nn.Linear)]


def _norm(matrix):
    return torch.linalg.matrix_norm(matrix, 2)
