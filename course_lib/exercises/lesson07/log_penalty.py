"""`log-penalty`, lesson 07: the value and its gradient are compared.

A detached penalty has the right value.
"""

import numpy as np
import torch
from torch import nn

from course_lib import robust
from course_lib.exercises import Case, Exercise

from .shared import linear_layers, random_network, spectral_norm


def penalty_cases(rng):
    yield Case("one layer", random_network(rng, 12, 3))
    yield Case("sigmoids", random_network(rng, 12, 6, 4, scale=2.0))
    yield Case("rectified units", random_network(rng, 12, 7, 5, 4, activation=nn.ReLU))
    yield Case("small weights", random_network(rng, 12, 5, 6, 3, activation=nn.ReLU, scale=0.2))


def penalty_of_numpy(net):
    weights = [layer.weight.detach().numpy() for layer in linear_layers(net)]
    return float(np.log([np.sqrt(np.linalg.eigvalsh(w @ w.T)[-1]) for w in weights]).sum())


EXERCISE = Exercise(
    title="The bound as a term of the loss",
    difficulty=2,
    minutes=6,
    hints=[
        "`net.modules()` gives all layers; those of class nn.Linear have the weights.",
        "Everything has to stay a tensor that knows where it came from: no `.item()`, `.detach()`, "
        "`float()`, NumPy. `torch.linalg.matrix_norm(weight, 2)` has a gradient.",
        "The logarithm of a product is the sum of the logarithms.",
    ],
    cases=penalty_cases,
    oracle=penalty_of_numpy,
    twins=[robust.penalty],
    gradients=("net",),
    on_device=False,
    done="Its gradient at a layer is u vᵀ/σ, from the layer's first pair of singular vectors.",
)


@EXERCISE.variant
def penalty_by_svd(net):
    total = 0.0
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            total = total + torch.linalg.svdvals(layer.weight)[0].log()
    return total


@EXERCISE.variant
def penalty_of_gram(net):
    grams = [m.weight @ m.weight.T for m in net.modules() if isinstance(m, nn.Linear)]
    return sum(torch.linalg.eigvalsh(gram)[-1].log() for gram in grams) / 2


@EXERCISE.variant
def penalty_by_vectors(net):
    """u·W v with the singular vectors held fixed: the same value and the same gradient."""
    total = 0.0
    for layer in linear_layers(net):
        u, _, v = torch.linalg.svd(layer.weight.detach(), full_matrices=False)
        total = total + (u[:, 0] @ layer.weight @ v[0]).log()
    return total


def _norms(net):
    return torch.stack([spectral_norm(layer.weight) for layer in linear_layers(net)])


EXERCISE.mistake(
    "detached",
    "The value is right, but it is a constant: no gradient flows back to the weights, so "
    "training would not notice the penalty. Somewhere the norms are turned into numbers "
    "(`.item()`, `float()`, `.detach()`, `.data`).",
    lambda net: _norms(net).detach().log().sum(),
)

EXERCISE.mistake(
    "sum of the norms",
    "These are the norms added up, without the logarithm. They bound the product only "
    "loosely, and a step that shrinks a large norm counts as much as one that shrinks a "
    "small norm.",
    lambda net: _norms(net).sum(),
)

EXERCISE.mistake(
    "sum of squares",
    "These are the squared norms added up, which is another penalty: the logarithm of the "
    "product is asked for.",
    lambda net: _norms(net).square().sum(),
)

EXERCISE.mistake(
    "log of squares",
    "The norms are squared before the logarithm: everything is twice as large, as if L² "
    "were bounded.",
    lambda net: _norms(net).square().log().sum(),
)

EXERCISE.mistake(
    "the product",
    "This is the product itself: with many layers it overflows, and its gradient with it. "
    "Its logarithm is asked for.",
    lambda net: _norms(net).prod(),
)

EXERCISE.mistake(
    "log of the sum",
    "This is the logarithm of the sum of the norms: the product's is the sum of the logarithms.",
    lambda net: _norms(net).sum().log(),
)

EXERCISE.mistake(
    "Frobenius",
    "These are Frobenius norms (`weight.norm()`): the root of the sum of all squares, not "
    "the largest singular value. That is weight decay in another guise.",
    lambda net: sum(layer.weight.norm().log() for layer in linear_layers(net)),
)

EXERCISE.mistake(
    "mean over the layers",
    "This is the mean over the layers, the sum is asked for.",
    lambda net: _norms(net).log().mean(),
)

EXERCISE.mistake(
    "the largest norm alone",
    "Only the layer with the largest norm counts: the other layers get no gradient, and "
    "the bound is the product of all.",
    lambda net: _norms(net).log().max(),
)


@EXERCISE.mistake(
    "biases as well",
    "Biases are among the parameters that count. A bias moves the output and stretches nothing.",
)
def with_the_biases(net):
    return sum(
        torch.linalg.norm(p, 2).log() for p in net.parameters()
    )  # of a vector: its length, of a matrix: its largest singular value
