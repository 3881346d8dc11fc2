"""What the search of `projected-search` is tried on: bowls, waves and a hill; and its oracle.

Each is drawn so that one rule of the search decides where it ends.
"""

import numpy as np
import torch

from course_lib.exercises import Case

from .shared import doubles


class Bowl:
    """x·A x / 2 - b·x, with its gradient."""

    def __init__(self, a, b):
        self.a, self.b = a, b

    def __call__(self, x):
        return float(x @ self.a @ x / 2 - self.b @ x), self.a @ x - self.b

    def __repr__(self):
        return "a quadratic"


class Waves:
    """A sum of sines, that has hills to step over."""

    def __call__(self, x):
        return float((5 * x).sin().sum()), 5 * (5 * x).cos()

    def __repr__(self):
        return "a sum of sines"


class Tilted:
    """A narrow hill beside the start: lower than the start beyond it, and barely higher there."""

    def __call__(self, x):
        value = x[0] + 0.02 * x[1] - 2 * x[0] ** 2
        return float(value), torch.stack([1 - 4 * x[0], torch.full_like(x[1], 0.02)])

    def __repr__(self):
        return "a hill"


def search_cases(rng):
    def draw(n):
        return torch.randn(n, generator=rng, dtype=torch.float64)

    def case(label, fun, x, direction, *box):
        value, gradient = fun(x)
        return Case(label, fun, x, value, gradient, direction, *box)

    identity = torch.eye(2, dtype=torch.float64)
    bowl = Bowl(2 * identity, doubles(0.8, 0.8))
    yield case("the full step is right", bowl, doubles(0.9, 0.9), doubles(-0.5, -0.5))
    yield case("too long a step", bowl, doubles(0.9, 0.5), doubles(-4, -0.8), -9.0, 9.0)
    yield case("a bound on the way", bowl, doubles(0.1, 0.9), doubles(-0.4, -0.5))
    # (0, 0) at t = 1, too high; (0.8, 0.15) at t = 1/16, where the second has left its bound
    curved = Bowl(torch.diag(doubles(1, 30)), doubles(0.5, 15))
    yield case("a bend, and t = 1 too far", curved, doubles(0.9, 0.9), doubles(-1.6, -12))
    yield case("uphill", bowl, doubles(0.9, 0.9), doubles(1, 1), -9.0, 9.0)
    far = doubles(-1e6, -0.3)
    yield case("one variable far beyond its bound", bowl, doubles(0.6, 0.9), far)
    a = doubles(1, 1.9, 1.9, 4).reshape(2, 2)
    steep = Bowl(a, a @ doubles(0.5, 0) - doubles(0.2, 0.9))
    newton = -torch.linalg.solve(a, doubles(0.2, 0.9))
    yield case("down without the box, up within", steep, doubles(0.5, 0), newton)
    yield case("hills", Waves(), doubles(0.5, 0.2, 0.9), doubles(2.5, -3, 1.0), -3.0, 3.0)
    # sin 5x is 0.6 at the start, 0.99 at t = 1, 0.3 at t = 2 and -0.9 at t = 1/2
    label = "a hill at t = 1, a valley on either side"
    yield case(label, Waves(), doubles(0.5, 0.3), doubles(1.04, 0), -9.0, 9.0)
    corner = doubles(0, 0)
    yield case("pushed into a corner", Bowl(identity, doubles(-1, -2)), corner, doubles(-1, -2))
    yield case("the box of the defaults", Bowl(identity, doubles(3, 0.5)), corner, doubles(3, 0.5))
    # x² from 1 to -1 + δ: the decrease is δ/2 of what the slope promises
    for label, δ in (("barely enough", 3e-4), ("not quite enough", 1.4e-4)):
        way = doubles(-2 + δ, 0)
        yield case(label, Bowl(2 * identity, corner), doubles(1, 0.25), way, -9.0, 9.0)
    yield case(
        "hardly lower",
        Bowl(2 * identity, doubles(0, 0)),
        doubles(1, 0.25),
        doubles(-1.99996, 0),
        -9.0,
        9.0,
    )
    yield case("over the hill", Tilted(), doubles(0.3, 0.5), doubles(-0.4, 0.4), 0.0, 0.9)
    # the direction alone points uphill, the path does not: its second variable cannot move
    blocked = Bowl(identity, doubles(-0.1, 0.2))
    yield case("uphill but for the bound", blocked, doubles(0.5, 0), doubles(-0.3, -5))
    infinite = -np.inf, np.inf
    # (0.3, 100) is the gradient: its square is large, the slope of the direction is not
    across = Bowl(identity, doubles(0.2, -99.1))
    label = "a steep side that the direction does not go along"
    yield case(label, across, doubles(0.5, 0.9), doubles(-0.3, 0))
    flat = Bowl(1e-14 * identity, doubles(4e-15, 4e-15))
    way = doubles(-4, -0.8)
    yield case("a flat valley, all values below 1e-13", flat, doubles(0.9, 0.5), way, -9.0, 9.0)
    valley = Bowl(2 * identity, corner)
    label, way = "a fifth of what the slope promises", doubles(-1.6, 0)
    yield case(label, valley, doubles(1, 0.25), way, -9.0, 9.0)
    for halvings in (12, 21, 28):
        way = 1.5 * 2.0**halvings * doubles(-0.5, -0.1)
        label = f"the first {halvings} halvings too long"
        yield case(label, bowl, doubles(0.9, 0.5), way, *infinite)
    n = 6
    wide = draw(n)
    big = Bowl(torch.diag(torch.linspace(1, 30, n, dtype=torch.float64)), wide)
    x = torch.rand(n, generator=rng, dtype=torch.float64)
    yield case("six variables, bounds of their own", big, x, -big(x)[1], x - 0.3, x + 0.2)


def search_of_numpy(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
    t = 1.0
    low, high = (np.broadcast_to(np.asarray(b, dtype=float), x.shape) for b in (lower, upper))
    for _ in range(31):
        point = np.clip(x.numpy() + t * direction.numpy(), low, high)
        slope = float(gradient.numpy() @ (point - x.numpy()))
        new_value, new_gradient = fun(torch.from_numpy(point))
        if slope < 0 and new_value <= value + 1e-4 * slope:
            return torch.from_numpy(point), new_value, new_gradient
        t /= 2
    return None
