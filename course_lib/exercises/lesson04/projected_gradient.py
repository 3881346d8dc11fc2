"""`projected-gradient`, lesson 04: points at the bounds, near them and between.

The oracle goes entry by entry, as the stopping test of the original L-BFGS-B does.
"""

import math

import numpy as np
import torch

from course_lib.exercises import Case, Exercise
from course_lib.lbfgsb import plain

from .shared import doubles, exactly, lost_digits


def projected_cases(rng):
    def draw(n):
        return torch.rand(n, generator=rng, dtype=torch.float64)

    yield Case("three variables", doubles(0, 0.5, 1), doubles(0.2, 0.1, 0.3))
    yield Case("small gradients", doubles(0.25, 0.5, 1), doubles(2e-3, -2e-4, 5e-6))
    yield Case(
        "at and near the bounds",
        doubles(0, 0, 1, 1, 0.01, 0.99, 0.5),
        doubles(3, -3, 3, -3, 0.4, -0.4, 0),
    )
    yield Case("a box of its own", 4 * draw(6) - 2, 6 * draw(6) - 3, -2.0, 2.5)
    low = draw(8) - 1
    x = torch.where(draw(8) < 0.4, low, low + draw(8))
    # both are numbers or both tensors: `clamp` takes no other two, and is a right answer
    yield Case("a bound on one side", x, 4 * draw(8) - 2, low, doubles(*[math.inf] * 8))
    yield Case("bounds for each variable", x, 4 * draw(8) - 2, low, low + 1)


def projected_of_scipy(x, gradient, lower=0.0, upper=1.0):
    """Entry by entry, as L-BFGS-B measures it: how far the variable can go, or the gradient."""
    low, high = (torch.as_tensor(b).double().expand_as(x).tolist() for b in (lower, upper))
    found = []
    for xi, g, a, b in zip(x.tolist(), gradient.tolist(), low, high, strict=True):
        found.append(max(xi - b, g) if g < 0 else min(xi - a, g))
    return np.array(found)


EXERCISE = Exercise(
    title="The gradient that a box leaves",
    difficulty=1,
    minutes=3,
    hints=[
        "Take a full step against the gradient, bring it back into the box with `project`, and "
        "see how far that is from x.",
        "In symbols: x - P(x - g). Away from the bounds P changes nothing, and g is left.",
    ],
    cases=projected_cases,
    oracle=projected_of_scipy,
    on_device=False,
    done="It agrees, entry by entry, with the stopping test of the original L-BFGS-B.",
)


@EXERCISE.variant
def projected_clip(x, gradient, lower=0.0, upper=1.0):
    low, high = (torch.as_tensor(b).to(x) for b in (lower, upper))
    return torch.clip(gradient, x - high, x - low)


@EXERCISE.variant
def projected_where(x, gradient, lower=0.0, upper=1.0):
    low, high = (torch.as_tensor(b).to(x).expand_as(x) for b in (lower, upper))
    z = x - gradient
    z = torch.where(z < low, low, z)
    return x - torch.where(z > high, high, z)


@EXERCISE.variant
def projected_clamp(x, gradient, lower=0.0, upper=1.0):
    return x - (x - gradient).clamp(lower, upper)


@EXERCISE.probe(only_right=True)
def in_double_precision(answer):
    """A probe: nothing becomes float32 on the way."""
    x, slope = doubles(0.1, 0.7, 0.3), doubles(0.7, -0.9, 0.123)
    right = plain.projected_gradient(x, slope)
    return lost_digits(exactly(answer)(x, slope), right)


EXERCISE.mistake(
    "0 where the step leaves",
    "The entry is 0 wherever the full step leaves the box, also for a variable that has room to "
    "move: what counts is how far it gets, x - P(x - g).",
    lambda x, gradient, lower=0.0, upper=1.0: torch.where(
        plain.project(x - gradient, lower, upper) == x - gradient,
        gradient,
        torch.zeros_like(gradient),
    ),
)

for SMALL in ("1e-2", "1e-3", "1e-4"):
    EXERCISE.mistake(
        f"small entries are 0: {SMALL}",
        f"Entries whose size is below {SMALL} have become 0. The stopping test looks at how small "
        "they are: give them as they are.",
        (
            "return x - project(x - gradient, lower, upper)",
            "p = x - project(x - gradient, lower, upper)\n"
            f"    return torch.where(p.abs() < {SMALL}, 0 * p, p)",
        ),
    )

EXERCISE.mistake(
    "the lower bounds only",
    "Only the lower bounds are looked at: a variable at its upper bound can be pushed, too.",
    lambda x, gradient, lower=0.0, upper=1.0: plain.projected_gradient(
        x, gradient, lower, math.inf
    ),
)

EXERCISE.mistake(
    "the upper bounds only",
    "Only the upper bounds are looked at: a variable at its lower bound can be pushed, too.",
    lambda x, gradient, lower=0.0, upper=1.0: plain.projected_gradient(
        x, gradient, -math.inf, upper
    ),
)

EXERCISE.mistake(
    "the raw gradient",
    "This is the gradient itself, the same inside the box and at its bounds. At the "
    "minimum it need not be 0: a variable at its bound may be pushed against it.",
    lambda x, gradient, lower=0.0, upper=1.0: gradient,
)

EXERCISE.mistake(
    "the step",
    "This is P(x - g) - x, the way that a step takes: x - P(x - g) is asked for, which "
    "inside the box is the gradient and not minus the gradient.",
    lambda x, gradient, lower=0.0, upper=1.0: -plain.projected_gradient(x, gradient, lower, upper),
)

EXERCISE.mistake(
    "the gradient clamped",
    "The gradient itself is brought into the box, but the box is one for points: project "
    "x - gradient.",
    lambda x, gradient, lower=0.0, upper=1.0: plain.project(gradient, lower, upper),
)

EXERCISE.mistake(
    "the point",
    "This is the point that the step ends at: subtract it from x.",
    lambda x, gradient, lower=0.0, upper=1.0: plain.project(x - gradient, lower, upper),
)

EXERCISE.mistake(
    "uphill",
    "The full step has to go against the gradient: project x - gradient.",
    lambda x, gradient, lower=0.0, upper=1.0: x - plain.project(x + gradient, lower, upper),
)


@EXERCISE.mistake(
    "set to 0 at the bounds only",
    "The entries at a bound are right, those near one are not: a variable 0.01 away from "
    "its bound can move by 0.01 and no more, however large its gradient. Your version is 0 "
    "at the same points, but jumps on the way there.",
)
def reduced(x, gradient, lower=0.0, upper=1.0):
    held = ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0))
    return torch.where(held, torch.zeros_like(gradient), gradient)


@EXERCISE.mistake(
    "0 at every bound",
    "Every variable at a bound counts as held, also one whose gradient points into the "
    "box: that one is free to leave.",
)
def all_bounds_held(x, gradient, lower=0.0, upper=1.0):
    at = (x <= lower) | (x >= upper)
    return torch.where(
        at, torch.zeros_like(gradient), plain.projected_gradient(x, gradient, lower, upper)
    )


EXERCISE.mistake(
    "the box of the defaults",
    "The box is taken to be [0, 1]: use the bounds that are given.",
    lambda x, gradient, lower=0.0, upper=1.0: x - (x - gradient).clamp(0, 1),
)

EXERCISE.mistake(
    "its size",
    "This is one number, the largest entry: the whole vector is asked for.",
    lambda x, gradient, lower=0.0, upper=1.0: (
        plain.projected_gradient(x, gradient, lower, upper).abs().max()
    ),
)
