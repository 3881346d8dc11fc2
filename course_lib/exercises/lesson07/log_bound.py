"""`log-bound`, lesson 07: the oracle multiplies in decimal numbers, which do not overflow.

A larger bound is only loose.
"""

import decimal
import math

import numpy as np
import torch

from course_lib.exercises import Case, Exercise

SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}


def bound_cases(rng):
    def norms(count, low, high):
        return (low + (high - low) * torch.rand(count, generator=rng).double()).tolist()

    yield Case("two layers and a sigmoid", [2.0, 3.0], ["sigmoid"])
    yield Case("one layer", [9.25], [])
    yield Case("two sigmoids", [7.5, 10.5, 9.75], ["sigmoid", "sigmoid"])
    yield Case("rectified", norms(4, 2, 6), ["relu"] * 3)
    yield Case("one of each", norms(4, 0.5, 4), ["tanh", "sigmoid", "relu"])
    yield Case("a bound below 1", norms(3, 0.05, 0.3), ["sigmoid", "tanh"])
    yield Case("200 layers of norm 100", [100.0] * 200, ["relu", "sigmoid"] * 99 + ["tanh"])
    # below what the widest floating-point numbers of NumPy hold, too
    yield Case("2000 layers of norm 1/1000", [1e-3] * 2000, ["sigmoid"] * 1999)


def bound_of_decimals(norms, activations):
    """The product itself, in decimal numbers that do not overflow, and its logarithm."""
    with decimal.localcontext(prec=40):
        product = decimal.Decimal(1)
        for factor in [*norms, *(SLOPES[name] for name in activations)]:
            product *= decimal.Decimal(float(factor))
        return float(product.ln())


def valid_logarithm(got, want, case):
    """Whether ``got`` is no smaller, and of the size of these norms: no number off the shelf."""
    norms = np.array(case.args[0])
    most = 10 + 2 * float(np.sum(norms + np.abs(np.log(norms))))
    return bool(want - 1e-9 <= got <= most)


EXERCISE = Exercise(
    title="A product that does not overflow",
    difficulty=1,
    minutes=5,
    hints=[
        "The logarithm of a product is the sum of the logarithms, which does not overflow.",
        "Every activation is a factor, too: its largest slope. 1 for relu and tanh. The sigmoid is "
        "steepest at 0, where its slope is σ(0)(1 - σ(0)).",
    ],
    cases=bound_cases,
    oracle=bound_of_decimals,
    on_device=False,
    valid=valid_logarithm,
    loose="It is an upper bound on every network here, but a larger one than needed.",
    done="Also where the product itself is beyond any floating-point number, or vanishes.",
)


@EXERCISE.variant
def bound_with_torch(norms, activations):
    slopes = {"sigmoid": 0.25}
    factors = [*norms, *(slopes.get(name, 1.0) for name in activations)]
    return torch.tensor(factors, dtype=torch.float64).log().sum()


@EXERCISE.variant
def bound_by_counting(norms, activations):
    return float(np.log(norms).sum()) - math.log(4) * activations.count("sigmoid")


def _product(norms, activations):
    return math.prod(norms) * math.prod(SLOPES[name] for name in activations)


@EXERCISE.mistake(
    "overflow",
    "The product is formed first and its logarithm taken then: with 200 layers the product "
    "overflows or vanishes, and its logarithm is infinite. Add logarithms instead.",
)
def log_of_product(norms, activations):
    """With the logarithm of NumPy and torch, which is -inf at 0."""
    return torch.tensor(_product(norms, activations)).log()


EXERCISE.mistake(
    "overflow, and an error at 0",
    "The product is formed first and its logarithm taken then: with many layers the product "
    "overflows or vanishes, and its logarithm is infinite, or an error (`math.log(0)`). Add "
    "logarithms instead.",
    lambda norms, activations: math.log(_product(norms, activations)),
)

EXERCISE.mistake(
    "the bound", "This is the bound itself: its natural logarithm is asked for.", _product
)


EXERCISE.mistake(
    "slope 1",
    "Every activation counts as 1, or is left out. That is a valid bound: no slope is larger. But "
    "the sigmoid's slope is at most 1/4, and each sigmoid makes your bound four times too "
    "large.",
    ("1 / 4", "1.0"),
    loose=True,
)

EXERCISE.mistake(
    "slope 1/2",
    "The sigmoid counts as 1/2, which is its value at 0. A valid bound, but its slope "
    "there is σ(0)(1 - σ(0)) = 1/4.",
    ("1 / 4", "1 / 2"),
    loose=True,
)


EXERCISE.mistake(
    "the first factor alone",
    "This is the logarithm of the first norm alone: does the `return` stand inside the loop?",
    lambda norms, activations: math.log(norms[0]),
)


@EXERCISE.mistake(
    "one sigmoid",
    "Only one sigmoid counts, however many there are: a valid bound, but each brings its "
    "own factor 1/4.",
    loose=True,
)
def slope_once(norms, activations):
    return float(np.log(norms).sum()) - math.log(4) * ("sigmoid" in activations)


EXERCISE.mistake(
    "1/4 for tanh",
    "The slope of tanh is taken to be 1/4, and it is 1 at 0: this is no upper bound. "
    "Indeed tanh t = 2σ(2t) - 1 is four times as steep as the sigmoid.",
    ('"tanh": 1.0', '"tanh": 1 / 4'),
)

EXERCISE.mistake(
    "1/4 for all",
    "Every activation counts as 1/4, rectified units as well: their slope is 1 where they "
    "are active, so this is no upper bound.",
    ('"tanh": 1.0, "relu": 1.0', '"tanh": 1 / 4, "relu": 1 / 4'),
)


@EXERCISE.mistake(
    "1/4 for every layer",
    "There is a factor 1/4 for each layer, whatever follows it: only the sigmoids that are "
    "listed count, and after the last layer there is none.",
)
def slope_for_every_layer(norms, activations):
    return float(np.log(norms).sum()) - math.log(4) * len(norms)


@EXERCISE.mistake(
    "slopes added",
    "The slopes are added as they are: they are factors of the product, so their "
    "logarithms are added. That this is a bound is luck.",
    loose=True,
)
def slopes_added(norms, activations):
    slopes = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}
    return float(np.log(norms).sum()) + sum(slopes[name] for name in activations)


EXERCISE.mistake(
    "log10",
    "This is the logarithm to the base 10: the natural one is asked for.",
    ("math.log(", "math.log10("),
)

EXERCISE.mistake(
    "log2",
    "This is the logarithm to the base 2: the natural one is asked for.",
    ("math.log(", "math.log2("),
)
