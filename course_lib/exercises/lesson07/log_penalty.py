"""`log-penalty`, lesson 07: the value and its gradient are compared.

A detached penalty has the right value. The product of some norms overflows, that of others is so
small that a number added against 0 shows; layers stand inside of others, and beside other matrices.
"""

import numpy as np
import torch
from torch import nn

from course_lib import robust
from course_lib.exercises import Case, Exercise

from .shared import IMAGE, dense_layer, linear_layers, random_network, spectral_norm


def penalty_cases(rng):
    yield Case("one layer", random_network(rng, 12, 3))
    yield Case("sigmoids", random_network(rng, 12, 6, 4, scale=2.0))
    yield Case("rectified units", random_network(rng, 12, 7, 5, 4, activation=nn.ReLU))
    yield Case("small weights", random_network(rng, 12, 5, 6, 3, activation=nn.ReLU, scale=0.2))
    yield Case("weights near 0", random_network(rng, 12, 4, 3, scale=1e-7))
    yield Case("200 layers", random_network(rng, 12, *[3] * 199, 2, scale=100.0))
    inside = nn.Sequential(nn.Sigmoid(), dense_layer(rng, 6, 4))
    yield Case(
        "a network inside a network", nn.Sequential(nn.Flatten(), dense_layer(rng, 12, 6), inside)
    )
    deep = nn.Sequential(nn.Sequential(nn.Sequential(nn.Sigmoid(), dense_layer(rng, 5, 4))))
    yield Case("three networks deep", nn.Sequential(nn.Flatten(), dense_layer(rng, 12, 5), deep))
    norm = nn.LayerNorm(IMAGE[1:], bias=False, dtype=torch.float64)
    yield Case("other weights", nn.Sequential(norm, *random_network(rng, 12, 5, 3)))


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
    "log of the product",
    "The product is formed first and its logarithm taken then. With many layers the product "
    "overflows or vanishes, and the loss is infinite: add logarithms instead.",
    lambda net: _norms(net).prod().log(),
)


@EXERCISE.mistake(
    "the outermost layers alone",
    "Only the layers that the network holds itself are looked at (`net.children()`, or `for layer "
    "in net`), and those inside of one of its parts are missing: `net.modules()` gives all.",
)
def of_the_children(net):
    norms = [spectral_norm(c.weight) for c in net.children() if isinstance(c, nn.Linear)]
    return torch.stack(norms).log().sum()


@EXERCISE.mistake(
    "two levels deep",
    "Layers that stand deeper inside of the network than two levels are missing: `net.modules()` "
    "gives all, however deep they stand.",
)
def of_the_grandchildren(net):
    near = [*net.children(), *(inner for outer in net.children() for inner in outer.children())]
    norms = [spectral_norm(layer.weight) for layer in near if isinstance(layer, nn.Linear)]
    return torch.stack(norms).log().sum()


EXERCISE.mistake(
    "every matrix",
    "Every matrix among the parameters counts (`p.ndim == 2`), or everything that has a `weight`. "
    "Other layers have weights, too, which multiply nothing by a matrix: of the linear layers "
    "alone is the norm of the layer the norm of its weights.",
    lambda net: sum(spectral_norm(p).log() for p in net.parameters() if p.ndim == 2),
)

EXERCISE.mistake(
    "the first layer alone",
    "This is the logarithm of the first layer's norm: does the `return` stand inside the loop?",
    lambda net: _norms(net)[0].log(),
)

EXERCISE.mistake(
    "the last layer alone",
    "This is the logarithm of the last layer's norm: each turn of the loop forgets what was there "
    "before. Add to it (`total = total + ...`).",
    lambda net: _norms(net)[-1].log(),
)

EXERCISE.mistake(
    "log of the sum",
    "This is the logarithm of the sum of the norms: the product's is the sum of the logarithms.",
    lambda net: _norms(net).sum().log(),
)

EXERCISE.mistake(
    "Frobenius",
    "These are Frobenius norms (`weight.norm()`): the root of the sum of all squares, not "
    "the largest singular value. That is nearer to weight decay.",
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
