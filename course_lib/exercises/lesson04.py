"""The exercises of lesson 04: descent in a box, L-BFGS, the paper's attack, and noise."""

import itertools
import math

import numpy as np
import scipy.optimize
import scipy.stats
import torch
from torch import nn

from course_lib.exercises import (
    Case,
    Exercise,
    Mistake,
    Option,
    Prediction,
    Quiz,
    ShortAnswer,
)
from course_lib.lbfgsb import plain


def _double(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


# --- projected-step --------------------------------------------------------------------------


def step_cases(rng):
    def draw(*shape):
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    yield Case("three pixels", _double(0.2, 0, 1), _double(0.1, 0, -0.3), _double(1, 1, -5), 0.1)
    image = draw(1, 3, 4).round(decimals=1)
    image[0, 0], image[0, 1] = 0, 1
    r = (image + draw(1, 3, 4) - 0.5).clamp(0, 1) - image
    yield Case("an image of 3 x 4", image, r, 4 * draw(1, 3, 4) - 2, 0.25)
    yield Case("a long step", image, r, 40 * draw(1, 3, 4) - 20, 0.5)
    yield Case("from the image itself", image, torch.zeros_like(image), draw(1, 3, 4) - 0.5, 1.0)


def step_of_numpy(image, r, gradient, length):
    x, r, g = (t.numpy().ravel() for t in (image, r, gradient))
    moved = [min(max(x[i] + r[i] - length * g[i], 0.0), 1.0) - x[i] for i in range(len(x))]
    return np.array(moved).reshape(image.shape)


def step_within_room(image, r, gradient, length):
    """The room of r: from -image to 1 - image."""
    return torch.minimum(torch.maximum(r - length * gradient, -image), 1 - image)


def step_where(image, r, gradient, length):
    z = image + r - length * gradient
    z = torch.where(z < 0, torch.zeros_like(z), torch.where(z > 1, torch.ones_like(z), z))
    return z - image


PROJECTED_STEP = Exercise(
    slug="projected-step",
    title="A step that stays in the box",
    difficulty=1,
    minutes=4,
    hints=[
        "What has to lie in [0, 1] is the changed image, image + r, and not r.",
        "Take the step from image + r, cut every pixel off at 0 and 1 (`clamp`), and subtract the "
        "image: what is left is the new r.",
    ],
    cases=step_cases,
    oracle=step_of_numpy,
    on_device=False,
    mistakes=[
        Mistake(
            "r clamped to [0, 1]",
            "It is r that is cut off at 0 and 1, so no pixel can become darker, and image + r can "
            "exceed 1: the box is that of image + r.",
            lambda image, r, gradient, length: (r - length * gradient).clamp(0, 1),
            right_shape=True,
        ),
        Mistake(
            "r clamped to [-1, 1]",
            "It is r that is cut off, at -1 and 1: a pixel at 0.9 can then go to 1.9. The box is "
            "that of image + r.",
            lambda image, r, gradient, length: (r - length * gradient).clamp(-1, 1),
            right_shape=True,
        ),
        Mistake(
            "no projection",
            "Nothing is cut off: the step leaves the box.",
            (".clamp(0, 1)", ""),
            right_shape=True,
        ),
        Mistake(
            "the image instead of r",
            "This is the changed image: subtract the image, a perturbation is asked for.",
            (" - image", ""),
            right_shape=True,
        ),
        Mistake(
            "uphill",
            "The step goes uphill: against the gradient means minus.",
            ("image + r - length", "image + r + length"),
            right_shape=True,
        ),
        Mistake(
            "from the image",
            "The step starts at the image, and what r was before is lost: start at image + r.",
            ("image + r - length", "image - length"),
            right_shape=True,
        ),
        Mistake(
            "r projected, image forgotten",
            "The old r is kept and only the step is cut off: image + r + step can still leave the "
            "box. Project the sum of all three.",
            lambda image, r, gradient, length: r + (image - length * gradient).clamp(0, 1) - image,
            right_shape=True,
        ),
    ],
    variants=[step_within_room, step_where],
    done="Every pixel of image + r stays in [0, 1].",
)

# --- projected-gradient ----------------------------------------------------------------------


def projected_cases(rng):
    def draw(n):
        return torch.rand(n, generator=rng, dtype=torch.float64)

    yield Case("three variables", _double(0, 0.5, 1), _double(0.2, 0.1, 0.3))
    yield Case(
        "at and near the bounds",
        _double(0, 0, 1, 1, 0.01, 0.99, 0.5),
        _double(3, -3, 3, -3, 0.4, -0.4, 0),
    )
    yield Case("a box of its own", 4 * draw(6) - 2, 6 * draw(6) - 3, -2.0, _double(*[2.5] * 6))
    low = draw(8) - 1
    x = torch.where(draw(8) < 0.4, low, low + draw(8))
    yield Case("a bound on one side", x, 4 * draw(8) - 2, low, math.inf)


def projected_of_scipy(x, gradient, lower=0.0, upper=1.0):
    """Entry by entry, as L-BFGS-B measures it: how far the variable can go, or the gradient."""
    low, high = (torch.as_tensor(b).double().expand_as(x).tolist() for b in (lower, upper))
    found = []
    for xi, g, a, b in zip(x.tolist(), gradient.tolist(), low, high, strict=True):
        found.append(max(xi - b, g) if g < 0 else min(xi - a, g))
    return np.array(found)


def projected_clip(x, gradient, lower=0.0, upper=1.0):
    low, high = (torch.as_tensor(b).to(x) for b in (lower, upper))
    return torch.clip(gradient, x - high, x - low)


def projected_where(x, gradient, lower=0.0, upper=1.0):
    low, high = (torch.as_tensor(b).to(x).expand_as(x) for b in (lower, upper))
    z = x - gradient
    z = torch.where(z < low, low, z)
    return x - torch.where(z > high, high, z)


def reduced(x, gradient, lower=0.0, upper=1.0):
    held = ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0))
    return torch.where(held, torch.zeros_like(gradient), gradient)


def all_bounds_held(x, gradient, lower=0.0, upper=1.0):
    at = (x <= lower) | (x >= upper)
    return torch.where(
        at, torch.zeros_like(gradient), plain.projected_gradient(x, gradient, lower, upper)
    )


PROJECTED_GRADIENT = Exercise(
    slug="projected-gradient",
    title="The gradient that a box leaves",
    difficulty=1,
    minutes=3,
    reference=plain.projected_gradient,
    hints=[
        "Take a full step against the gradient, bring it back into the box with `project`, and "
        "see how far that is from x.",
        "In symbols: x - P(x - g). Away from the bounds P changes nothing, and g is left.",
    ],
    cases=projected_cases,
    oracle=projected_of_scipy,
    on_device=False,
    mistakes=[
        Mistake(
            "the raw gradient",
            "This is the gradient itself, the same inside the box and at its bounds. At the "
            "minimum it need not be 0: a variable at its bound may be pushed against it.",
            lambda x, gradient, lower=0.0, upper=1.0: gradient,
            right_shape=True,
        ),
        Mistake(
            "the step",
            "This is P(x - g) - x, the way that a step takes: x - P(x - g) is asked for, which "
            "inside the box is the gradient and not minus the gradient.",
            lambda x, gradient, lower=0.0, upper=1.0: (
                -plain.projected_gradient(x, gradient, lower, upper)
            ),
            right_shape=True,
        ),
        Mistake(
            "the gradient clamped",
            "The gradient itself is brought into the box, but the box is one for points: project "
            "x - gradient.",
            lambda x, gradient, lower=0.0, upper=1.0: plain.project(gradient, lower, upper),
            right_shape=True,
        ),
        Mistake(
            "the point",
            "This is the point that the step ends at: subtract it from x.",
            lambda x, gradient, lower=0.0, upper=1.0: plain.project(x - gradient, lower, upper),
            right_shape=True,
        ),
        Mistake(
            "uphill",
            "The full step has to go against the gradient: project x - gradient.",
            lambda x, gradient, lower=0.0, upper=1.0: x - plain.project(x + gradient, lower, upper),
            right_shape=True,
        ),
        Mistake(
            "set to 0 at the bounds only",
            "The entries at a bound are right, those near one are not: a variable 0.01 away from "
            "its bound can move by 0.01 and no more, however large its gradient. Your version is 0 "
            "at the same points, but jumps on the way there.",
            reduced,
            right_shape=True,
        ),
        Mistake(
            "0 at every bound",
            "Every variable at a bound counts as held, also one whose gradient points into the "
            "box: that one is free to leave.",
            all_bounds_held,
            right_shape=True,
        ),
        Mistake(
            "the box of the defaults",
            "The box is taken to be [0, 1]: use the bounds that are given.",
            lambda x, gradient, lower=0.0, upper=1.0: x - (x - gradient).clamp(0, 1),
            right_shape=True,
        ),
        Mistake(
            "its size",
            "This is one number, the largest entry: the whole vector is asked for.",
            lambda x, gradient, lower=0.0, upper=1.0: (
                plain.projected_gradient(x, gradient, lower, upper).abs().max()
            ),
        ),
    ],
    variants=[projected_clip, projected_where],
    done="It agrees, entry by entry, with the stopping test of the original L-BFGS-B.",
)

# --- two-loop --------------------------------------------------------------------------------


def two_loop_cases(rng):
    def draw(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    def pairs(n, count):
        a = draw(n, n)
        hessian = a @ a.T / n + torch.eye(n, dtype=torch.float64)
        return [(s, hessian @ s) for s in draw(count, n)]

    yield Case("no pair yet", _double(1, -2), [])
    # the smallest failing case is shown, and of a list only its length: the label has the numbers
    old, new = (_double(1, 0), _double(2, 1)), (_double(1, 1), _double(3, 4))
    bent = (_double(0, 1), _double(1, -2))
    yield Case("one pair, s = (1, 0) and y = (2, 1)", _double(1, 3), [old])
    label = "two pairs, s = (1, 0), y = (2, 1) and the newer s = (1, 1), y = (3, 4)"
    yield Case(label, _double(1, 3), [old, new])
    label = "two pairs, s = (1, 0), y = (2, 1) and the newer s = (0, 1), y = (1, -2) with s·y < 0"
    yield Case(label, _double(1, 3), [old, bent])
    yield Case("three pairs of three variables", draw(3), pairs(3, 3))
    yield Case("four pairs", draw(6), pairs(6, 4))
    short = [(0.1 * s, 0.1 * y) for s, y in pairs(4, 3)]
    yield Case("three short steps", draw(4), short)
    some = pairs(5, 3)
    bent = draw(5)
    flat = _double(1, 0, 0, 0, 0)
    yield Case(
        "pairs without positive curvature among them",
        draw(5),
        [some[0], (bent, -bent), some[1], (flat, flat.roll(1)), some[2]],
    )
    yield Case("the newest pair has none", draw(5), [*some[:2], (bent, -0.5 * bent)])
    yield Case("no pair has any", draw(5), [(bent, -bent)])


def two_loop_of_matrices(gradient, pairs):
    """The inverse Hessian as a matrix, updated pair by pair (Nocedal and Wright, (6.17))."""
    g = gradient.numpy()
    pairs = [(s.numpy(), y.numpy()) for s, y in pairs if float(s @ y) > 0]
    if not pairs:
        return g
    s, y = pairs[-1]
    identity = np.eye(len(g))
    inverse = s @ y / (y @ y) * identity
    for s, y in pairs:
        left = identity - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    return inverse @ g


def two_loop_recursive(gradient, pairs, scale=None):
    pairs = [p for p in pairs if p[0] @ p[1] > 0]
    if not pairs:
        return gradient * (1.0 if scale is None else scale)
    s, y = pairs[-1]
    if scale is None:
        scale = (s @ y) / (y @ y)
    alpha = (s @ gradient) / (s @ y)
    inner = two_loop_recursive(gradient - alpha * y, pairs[:-1], scale)
    return inner + (alpha - (y @ inner) / (s @ y)) * s


def two_loop_indexed(gradient, pairs):
    kept = [i for i in range(len(pairs)) if torch.dot(*pairs[i]) > 0]
    rho = {i: 1 / torch.dot(*pairs[i]) for i in kept}
    alpha, q = {}, gradient.clone()
    for i in kept[::-1]:
        alpha[i] = rho[i] * torch.dot(pairs[i][0], q)
        q -= alpha[i] * pairs[i][1]
    if kept:
        y = pairs[kept[-1]][1]
        q *= 1 / (rho[kept[-1]] * torch.dot(y, y))
    for i in kept:
        q += (alpha[i] - rho[i] * torch.dot(pairs[i][1], q)) * pairs[i][0]
    return q


def _two_loop(
    keep=lambda s, y: s @ y > 0,
    first=reversed,
    second=list,
    gamma=lambda pairs: (pairs[-1][0] @ pairs[-1][1]) / (pairs[-1][1] @ pairs[-1][1]),
    beta=True,
    sign=1,
    shared=lambda order: order,
):
    """A wrong two-loop recursion; shared: whose α the second loop takes for each pair."""

    def wrong(gradient, pairs):
        given = pairs
        pairs = [(s, y) for s, y in pairs if keep(s, y)]
        if not pairs:
            return sign * gradient.clone()
        q, shares = gradient, {}
        order = list(range(len(pairs)))
        for i in first(order):
            s, y = pairs[i]
            shares[i] = (s @ q) / (s @ y)
            q = q - shares[i] * y
        r = (gamma(given) if gamma is of_the_newest_given else gamma(pairs)) * q
        for i, k in zip(second(order), shared(list(second(order))), strict=True):
            s, y = pairs[i]
            r = r + (shares[k] - (y @ r) / (s @ y) * beta) * s
        return sign * r

    return wrong


def of_the_newest_given(pairs):
    s, y = pairs[-1]
    return (s @ y) / (y @ y)


def shares_of_s(gradient, pairs):
    """y and s exchanged: the Hessian instead of its inverse."""
    return plain.two_loop(gradient, [(y, s) for s, y in pairs])


TWO_LOOP = Exercise(
    slug="two-loop",
    title="The two-loop recursion",
    difficulty=4,
    minutes=15,
    reference=plain.two_loop,
    hints=[
        "Keep the pairs with s·y > 0 first, and deal with the case that none is left.",
        "First loop, from the newest pair to the oldest: α = s·q / s·y, then q ← q - α y. Keep "
        "the α of every pair for the second loop.",
        "Between the loops: r = γ q, with γ = s·y / y·y of the newest pair that was kept.",
        "Second loop, from the oldest to the newest: β = y·r / s·y, then r ← r + (α - β) s.",
    ],
    cases=two_loop_cases,
    oracle=two_loop_of_matrices,
    on_device=False,
    mistakes=[
        Mistake(
            "first loop from the oldest",
            "The first loop goes from the oldest pair to the newest. It has to begin with the "
            "newest: that update was made last and is undone first.",
            _two_loop(first=list),
            right_shape=True,
        ),
        Mistake(
            "second loop from the newest",
            "The second loop goes from the newest pair to the oldest: it runs the other way than "
            "the first, from the oldest on.",
            _two_loop(second=reversed),
            right_shape=True,
        ),
        Mistake(
            "both loops the wrong way",
            "Both loops run the wrong way round: the first goes from the newest pair to the "
            "oldest, the second back. The list has the oldest first.",
            _two_loop(first=list, second=reversed),
            right_shape=True,
        ),
        Mistake(
            "α in the order of the first loop",
            "Each pair needs its own α in the second loop, but yours come in the order in which "
            "the first loop found them: the newest pair's α goes to the oldest pair. The second "
            "loop runs the other way, so take the list of α from its end.",
            _two_loop(shared=lambda order: order[::-1]),
            right_shape=True,
        ),
        Mistake(
            "one α for all pairs",
            "The second loop uses one α for all pairs, the last that the first loop found: keep "
            "them all, one for each pair.",
            _two_loop(shared=lambda order: [order[0]] * len(order)),
            right_shape=True,
        ),
        Mistake(
            "γ of the oldest pair",
            "The scale γ is that of the oldest pair: take the newest, which knows the curvature "
            "where the search is now.",
            _two_loop(
                gamma=lambda pairs: (pairs[0][0] @ pairs[0][1]) / (pairs[0][1] @ pairs[0][1])
            ),
            right_shape=True,
        ),
        Mistake(
            "no γ",
            "There is no scale between the loops: q should be multiplied by γ = s·y / y·y of the "
            "newest pair, or every direction that no pair knows gets a step of the wrong length.",
            _two_loop(gamma=lambda pairs: 1.0),
            right_shape=True,
        ),
        Mistake(
            "γ upside down",
            "The scale γ is upside down: s·y / y·y has the units of an inverse curvature.",
            _two_loop(
                gamma=lambda pairs: (pairs[-1][1] @ pairs[-1][1]) / (pairs[-1][0] @ pairs[-1][1])
            ),
            right_shape=True,
        ),
        Mistake(
            "γ with s·s",
            "This γ is s·s / s·y, also an inverse curvature (Barzilai and Borwein's long one), but "
            "L-BFGS has the shorter s·y / y·y.",
            _two_loop(
                gamma=lambda pairs: (pairs[-1][0] @ pairs[-1][0]) / (pairs[-1][0] @ pairs[-1][1])
            ),
            right_shape=True,
        ),
        Mistake(
            "every pair kept",
            "Pairs with s·y <= 0 are used like the others: they describe a function that curves "
            "downwards, and the result need no longer be a descent direction. Leave them out.",
            _two_loop(keep=lambda s, y: True),
            right_shape=True,
        ),
        Mistake(
            "pairs with s·y = 0 kept",
            "A pair with s·y = 0 is kept, and divided by: leave it out, too.",
            _two_loop(keep=lambda s, y: s @ y >= 0),
            right_shape=True,
        ),
        Mistake(
            "γ of a pair that is left out",
            "The scale γ comes from the last pair of the list, even if that one has s·y <= 0 and "
            "was left out: γ is then negative. Take the newest of those that you keep.",
            _two_loop(gamma=of_the_newest_given),
            right_shape=True,
        ),
        Mistake(
            "no β",
            "The second loop adds α s: subtract β = y·r / s·y from α first.",
            _two_loop(beta=0),
            right_shape=True,
        ),
        Mistake(
            "s and y exchanged",
            "Steps and changes of the gradient are exchanged: this multiplies by the Hessian and "
            "not by its inverse.",
            shares_of_s,
            right_shape=True,
        ),
        Mistake(
            "sign",
            "The sign is wrong: this is minus the product. The step will go against it, but that "
            "minus is set later.",
            _two_loop(sign=-1),
            right_shape=True,
        ),
    ],
    variants=[two_loop_recursive, two_loop_indexed],
    done="It agrees with the matrix that it never forms.",
    equivalent_mutants={
        "- return gradient.clone() / + return gradient": (
            "The values are the same; the copy keeps the caller's gradient safe from changes."
        ),
        "- for (s, y), share in zip(pairs, reversed(shares), strict=True): / + for (s, y), share "
        "in zip(pairs, reversed(shares), strict=False):": (
            "There is one share for each pair, so nothing is cut off either way."
        ),
    },
)

# --- projected-search ------------------------------------------------------------------------


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
    bowl = Bowl(2 * identity, _double(0.8, 0.8))
    yield case("the full step is right", bowl, _double(0.9, 0.9), _double(-0.5, -0.5))
    yield case("too long a step", bowl, _double(0.9, 0.5), _double(-4, -0.8), -9.0, 9.0)
    yield case("a bound on the way", bowl, _double(0.1, 0.9), _double(-0.4, -0.5))
    # (0, 0) at t = 1, too high; (0.8, 0.15) at t = 1/16, where the second has left its bound
    curved = Bowl(torch.diag(_double(1, 30)), _double(0.5, 15))
    yield case("a bend, and t = 1 too far", curved, _double(0.9, 0.9), _double(-1.6, -12))
    yield case("uphill", bowl, _double(0.9, 0.9), _double(1, 1), -9.0, 9.0)
    far = _double(-1e6, -0.3)
    yield case("one variable far beyond its bound", bowl, _double(0.6, 0.9), far)
    a = _double(1, 1.9, 1.9, 4).reshape(2, 2)
    steep = Bowl(a, a @ _double(0.5, 0) - _double(0.2, 0.9))
    newton = -torch.linalg.solve(a, _double(0.2, 0.9))
    yield case("down without the box, up within", steep, _double(0.5, 0), newton)
    yield case("hills", Waves(), _double(0.5, 0.2, 0.9), _double(2.5, -3, 1.0), -3.0, 3.0)
    corner = _double(0, 0)
    yield case("pushed into a corner", Bowl(identity, _double(-1, -2)), corner, _double(-1, -2))
    yield case("the box of the defaults", Bowl(identity, _double(3, 0.5)), corner, _double(3, 0.5))
    # x² from 1 to -1 + δ: the decrease is δ/2 of what the slope promises
    for label, δ in (("barely enough", 3e-4), ("not quite enough", 1.4e-4)):
        way = _double(-2 + δ, 0)
        yield case(label, Bowl(2 * identity, corner), _double(1, 0.25), way, -9.0, 9.0)
    yield case(
        "hardly lower",
        Bowl(2 * identity, _double(0, 0)),
        _double(1, 0.25),
        _double(-1.99996, 0),
        -9.0,
        9.0,
    )
    yield case("over the hill", Tilted(), _double(0.3, 0.5), _double(-0.4, 0.4), 0.0, 0.9)
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


def search_while(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
    length = 1.0
    while length > 0.5**31:
        point = plain.project(x + length * direction, lower, upper)
        found = fun(point)
        slope = (gradient * (point - x)).sum()
        if slope < 0 and found[0] - value <= 1e-4 * slope:
            return (point, *found)
        length *= 0.5
    return None


def search_recursive(fun, x, value, gradient, direction, lower=0.0, upper=1.0, left=30):
    point = plain.project(x + direction, lower, upper)
    slope = float(gradient @ (point - x))
    new_value, new_gradient = fun(point)
    if slope < 0 and new_value <= value + 1e-4 * slope:
        return point, new_value, new_gradient
    if not left:
        return None
    return search_recursive(fun, x, value, gradient, direction / 2, lower, upper, left - 1)


def _search(
    place=lambda x, move, low, high: plain.project(x + move, low, high),
    slope=lambda gradient, point, x, move: gradient @ (point - x),
    promise=lambda gradient, point, x, move: gradient @ (point - x),
    negative=True,
    armijo=1e-4,
    start=1.0,
    factor=0.5,
    fail=lambda x, value, gradient: None,
    give=lambda point, new, old: (point, *new),
    condition=None,
    give_up=False,
):
    """A wrong search; slope: what has to be negative; promise: what the decrease is compared to."""

    def wrong(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
        length = start
        for _ in range(31):
            move = length * direction
            point = place(x, move, lower, upper)
            down = slope(gradient, point, x, move)
            new = fun(point)
            promised = promise(gradient, point, x, move)
            low_enough = new[0] <= value + armijo * promised
            if condition:
                low_enough = condition(new[0], value)
            if give_up and not down < 0:
                break
            allowed = down <= 0 if negative == "or 0" else down < 0 or not negative
            if low_enough and allowed:
                return give(point, new, gradient)
            length *= factor
        return fail(x, value, gradient)

    return wrong


def shortened(x, move, lower, upper):
    """The straight step, only as long as it stays in the box."""
    low, high = (torch.as_tensor(b).to(x).expand_as(x) for b in (lower, upper))
    room = torch.where(move > 0, (high - x) / move, torch.where(move < 0, (low - x) / move, 1.0))
    return x + room.clamp(0, 1).min() * move


def without_the_box(gradient, point, x, move):
    """What the slope promises for the straight step."""
    return gradient @ move


def backwards(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
    return plain.projected_search(fun, x, value, gradient, -direction, lower, upper)


def on_the_chord(search):
    """A search on the straight line to P(x + direction), which is projected once."""

    def wrong(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
        end = plain.project(x + direction, lower, upper)
        return search(fun, x, value, gradient, end - x, lower, upper)

    return wrong


GIVEN_UP = (
    "You give up as soon as gradient · (point - x) is not negative. On a bent path a shorter step "
    "can still lead down: go on to the next length."
)


def goes_on(answer):
    """Where the first variable goes uphill and the second down, no farther than 0.1."""
    bowl, x = Bowl(torch.eye(2, dtype=torch.float64), _double(0.2, -0.9)), _double(0.5, 0.1)
    return None if answer(bowl, x, *bowl(x), _double(0.6, -0.5)) is not None else GIVEN_UP


CHORD = (
    "You project once, at t = 1, and then go back on the straight line from x to that point. "
    "Searches of that kind exist, but the path asked for is bent: project x + t · direction anew "
    "for each t. On the straight line all variables shrink together, and one that a bound cut off "
    "has lost its share of the step."
)
CUT_OFF = (
    "The decrease is compared with gradient · (t direction), the way without the box: a part of "
    "it is cut off. Compare with gradient · (point - x)."
)


PROJECTED_SEARCH = Exercise(
    slug="projected-search",
    title="A backtracking search on the projected path",
    difficulty=3,
    minutes=10,
    reference=plain.projected_search,
    hints=[
        "A loop over the lengths 1, 1/2, 1/4, ...; in it the point `project(x + length * "
        "direction, lower, upper)`.",
        "What the first-order model promises for that point is `gradient @ (point - x)`, with the "
        "point after the projection. If it is not negative, go on to the next length.",
        "Return the point with its value and gradient as soon as the value is at most `value + "
        "1e-4 * slope`, and None when the loop is over.",
    ],
    cases=search_cases,
    oracle=search_of_numpy,
    on_device=False,
    mistakes=[
        Mistake(
            "no projection",
            "The points are not brought back into the box.",
            _search(place=lambda x, move, low, high: x + move),
            right_shape=True,
        ),
        Mistake(
            "stopped at the first bound",
            "The step is cut short where the straight line leaves the box, and there all "
            "variables stop together. On the projected path the one that reaches its bound stays "
            "there while the others go on.",
            _search(place=shortened),
            right_shape=True,
        ),
        Mistake(
            "on the chord",
            CHORD,
            on_the_chord(plain.projected_search),
            right_shape=True,
        ),
        Mistake(
            "on the chord, a positive slope allowed",
            f"{CHORD} A point where the slope is positive must not be taken either.",
            on_the_chord(_search(negative=False)),
            right_shape=True,
        ),
        Mistake(
            "backwards",
            "No point was accepted where one can be found: you go the other way. The path is x + t "
            "· direction, and the direction leads down already.",
            backwards,
        ),
        Mistake(
            "the box of the defaults",
            "The points are brought into [0, 1], whatever the bounds are: hand `lower` and `upper` "
            "on to `project`.",
            _search(place=lambda x, move, low, high: plain.project(x + move)),
            right_shape=True,
        ),
        Mistake(
            "slope of the direction",
            CUT_OFF,
            _search(slope=without_the_box, promise=without_the_box),
            right_shape=True,
        ),
        Mistake(
            "slope of the direction, its sign not looked at",
            f"{CUT_OFF} It also has to be negative.",
            _search(promise=without_the_box, negative=False),
            right_shape=True,
        ),
        Mistake(
            "given up at the first slope that is not negative",
            GIVEN_UP,
            _search(give_up=True),
            right_shape=True,
        ),
        Mistake(
            "any decrease will do",
            "Any lower point is taken, however little lower. Steps that gain next to nothing can "
            "go on for ever without reaching the minimum: ask for 1e-4 of the decrease that the "
            "slope promises.",
            _search(condition=lambda new, value: new < value),
            right_shape=True,
        ),
        Mistake(
            "half of the promised decrease",
            "The decrease is compared with half of gradient · (point - x), which many a good step "
            "misses by a little: ask for 1e-4 of it.",
            _search(armijo=0.5),
            right_shape=True,
        ),
        Mistake(
            "a positive slope allowed",
            "Where gradient · (point - x) is positive, value + 1e-4 · slope lies above the old "
            "value, so that a higher point can be taken for a decrease: go on to the next length "
            "there.",
            _search(negative=False),
            right_shape=True,
        ),
        Mistake(
            "a step of length 0 allowed",
            "Where every variable is pushed against its bound, the projected path does not move, "
            "and you return x itself as the lower point: gradient · (point - x) has to be "
            "negative, not 0.",
            _search(negative="or 0"),
            right_shape=True,
        ),
        Mistake(
            "the old gradient",
            "The gradient returned is the one at x: the caller needs the one at the new point.",
            _search(give=lambda point, new, old: (point, new[0], old)),
            right_shape=True,
        ),
        Mistake(
            "first length 1/2",
            "The first length tried is 1/2: begin with 1, the quasi-Newton step itself, which is "
            "the right one near a minimum.",
            _search(start=0.5),
            right_shape=True,
        ),
        Mistake(
            "tenths",
            "The length is divided by 10 each time: halve it.",
            _search(factor=0.1),
            right_shape=True,
        ),
        Mistake(
            "x when nothing was found",
            "Where no point is low enough you return x as if it were one: return None, so that "
            "the caller can tell.",
            _search(fail=lambda x, value, gradient: (x, value, gradient)),
        ),
        Mistake(
            "the point alone",
            "This is the point alone: return its value and its gradient, too, which are known "
            "already and need not be computed again.",
            _search(give=lambda point, new, old: point),
        ),
    ],
    variants=[search_while, search_recursive],
    probes=[goes_on],
    done="It finds the same points as a version written in NumPy.",
    equivalent_mutants={
        f"- for halvings in range(31): / + for halvings in range({n}):": (
            "Where 30 halvings find nothing, one more or less does not either: any such number "
            "will do."
        )
        for n in (30, 32)
    }
    | {
        "- if new_value <= value + 0.0001 * slope: / + if new_value < value + 0.0001 * slope:": (
            "The two differ only where the decrease is exactly the one asked for."
        )
    },
)

# --- solve-for-c -----------------------------------------------------------------------------


def small_net(rng, pixels, hidden, classes, scale=3.0):
    """A network in double precision with weights from ``rng``."""
    sizes = (pixels, *hidden, classes)
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        layer = nn.Linear(a, b)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(b, a, generator=rng) * scale / a**0.5)
            layer.bias.copy_(torch.randn(b, generator=rng) * 0.1)
        layers += [layer] + [nn.Sigmoid()] * (i + 2 < len(sizes))
    return nn.Sequential(*layers).double().requires_grad_(False)


def c_cases(rng):
    """Images with pixels at the bounds, small networks, targets that are not the prediction."""

    def image(*shape):
        drawn = torch.rand(*shape, generator=rng, dtype=torch.float64) * 2 - 0.5
        return drawn.clamp(0, 1)

    def case(label, shape, hidden, classes, target, c):
        net = small_net(rng, math.prod(shape), hidden, classes)
        x = image(*shape)
        order = net(x[None])[0].argsort(descending=True).tolist()
        return Case(label, net, x, order[target], c)

    yield case("four pixels, three classes", (1, 2, 2), (), 3, 1, 0.3)
    yield case("a smaller c", (1, 3, 4), (), 4, 1, 0.1)
    yield case("a large c", (1, 3, 4), (), 4, 3, 5.0)
    yield case("a sigmoid layer", (1, 4, 4), (8,), 5, 2, 0.05)
    yield case("two colours", (2, 3, 3), (6,), 4, 3, 0.1)
    yield case("nearly", (1, 4, 4), (), 5, 4, 0.35)


def c_of_scipy(net, image, target, c):
    """SciPy's own L-BFGS-B on the same objective, with the gradient by autograd."""
    x = image.double().flatten()

    def objective(z):
        z = torch.from_numpy(z).requires_grad_()
        logits = net(z.reshape(1, *image.shape))
        value = c * (z - x).square().sum() - logits.log_softmax(1)[0, target]
        value.backward()
        return float(value.detach()), z.grad.numpy()

    found = scipy.optimize.minimize(
        objective,
        x.numpy(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 1)] * len(x),
        options={"ftol": 0, "gtol": 1e-8, "maxiter": 5000, "maxfun": 20000},
    )
    z = torch.from_numpy(found.x).reshape(1, *image.shape)
    return (z[0] - image).numpy(), int(net(z).argmax()) == target


def c_in_r(net, image, target, c):
    """With r as the variable, and its own bounds."""
    image = image.double()
    flat = image.flatten()

    def objective(r):
        logits = net((image + r.reshape(image.shape))[None])
        return c * r @ r - logits.log_softmax(1)[0, target]

    found = plain.minimize(
        plain.with_gradient(objective), torch.zeros_like(flat), -flat, 1 - flat, tolerance=1e-6
    )
    r = found.x.reshape(image.shape)
    return r, bool(net((image + r)[None]).argmax() == target)


def c_projected_gradient(net, image, target, c):
    """Projected gradient descent, long enough."""
    z = image.double().clone()
    rate = 0.5 / (c + 3.0)
    for _ in range(20_000):
        z.requires_grad_()
        logits = net(z[None])
        value = c * (z - image).square().sum() - logits.log_softmax(1)[0, target]
        (slope,) = torch.autograd.grad(value, z)
        old, z = z.detach(), (z.detach() - rate * slope).clamp(0, 1)
        if (z - old).abs().max() < 1e-8 * rate:
            break
    return z - image, bool(net(z[None]).argmax() == target)


def _solve_c(
    size=lambda r: r @ r,
    loss=lambda logits, target, label: -logits.log_softmax(1)[0, target],
    weigh=lambda size, loss, c: c * size + loss,
    won=lambda logits, target, label: logits.argmax() == target,
    box=lambda x: (-x, 1 - x),
    after=lambda z: z,
    result=lambda r, success, image: (r, success),
    judged="changed",
):
    """A wrong solve; the variable is r."""

    def wrong(net, image, target, c):
        x = image.double().flatten()
        label = int(net(image[None]).argmax())

        def objective(r):
            logits = net((x + r).reshape(1, *image.shape))
            return weigh(size(r), loss(logits, target, label), c)

        found = plain.minimize(plain.with_gradient(objective), torch.zeros_like(x), *box(x))
        r = (after(x + found.x) - x).reshape(image.shape)
        logits = net((image + r if judged == "changed" else r)[None])
        return result(r, bool(won(logits, target, label)), image)

    return wrong


CALL = (
    "minimize(with_gradient(objective), start, 0.0, 1.0, tolerance={}, two_loop=two_loop, "
    "search=projected_search)"
)

SOLVE_FOR_C = Exercise(
    slug="solve-for-c",
    title="The paper's problem, for one c",
    difficulty=3,
    minutes=10,
    hints=[
        "Let the changed image z = image + r be the variable, flat. Then the box is 0 and 1, and "
        "the start is the image.",
        "The objective of z: c times the sum of the squares of z - image, plus "
        "`F.cross_entropy(logits, torch.tensor([target]))`, with `logits = net(z.reshape(1, "
        "*image.shape))`. `with_gradient(objective)` is what `minimize` wants.",
        "`minimize(..., two_loop=two_loop, search=projected_search)` puts your parts in. Its "
        "result's `.x` is z: take r from it, and ask the network for the class of image + r.",
    ],
    cases=c_cases,
    oracle=c_of_scipy,
    on_device=False,
    rtol=1e-3,
    atol=4e-3,
    time_limit=30,
    mistakes=[
        Mistake(
            "the box for r",
            "It is r that is kept between 0 and 1, so pixels can only become brighter, and image "
            "+ r can exceed 1: the box is that of image + r.",
            _solve_c(box=lambda x: (0.0, 1.0)),
            right_shape=True,
        ),
        Mistake(
            "no box",
            "There are no bounds at all: image + r leaves [0, 1].",
            _solve_c(box=lambda x: (-math.inf, math.inf)),
            right_shape=True,
        ),
        Mistake(
            "clipped at the end",
            "The problem is solved without bounds, and the result is cut off at the end. What is "
            "cut off is missing from the attack, and the pixels that are free do not make up for "
            "it: give the bounds to `minimize`.",
            _solve_c(box=lambda x: (-math.inf, math.inf), after=lambda z: z.clamp(0, 1)),
            right_shape=True,
        ),
        Mistake(
            "c on the loss",
            "Here c multiplies the loss: in the paper's problem it multiplies |r|. Carlini and "
            "Wagner put it on the loss later, where a large c means the opposite.",
            _solve_c(weigh=lambda size, loss, c: size + c * loss),
            right_shape=True,
        ),
        Mistake(
            "no c",
            "The constant c does not appear in the objective.",
            _solve_c(weigh=lambda size, loss, c: size + loss),
            right_shape=True,
        ),
        Mistake(
            "mean of the squares",
            "The squares of r are averaged over the pixels: sum them, or c means something else "
            "for every image size.",
            _solve_c(size=lambda r: r.square().mean()),
            right_shape=True,
        ),
        Mistake(
            "the norm and not its square",
            "Here c multiplies |r| itself. The text takes the square, the sum of the squares of r: "
            "|r| has no gradient at r = 0, where every run starts.",
            _solve_c(size=lambda r: r.norm()),
            right_shape=True,
        ),
        Mistake(
            "the root of the sum of squares",
            "Your c multiplies the root of the sum of squares, |r|, whose gradient at r = 0, where "
            "every run starts, is 0/0: take the sum of the squares without the root.",
            _solve_c(size=lambda r: r.square().sum().sqrt()),
        ),
        Mistake(
            "half of the squares",
            "The squares of r have a factor 1/2 in front: without it here.",
            _solve_c(size=lambda r: r @ r / 2),
            right_shape=True,
        ),
        Mistake(
            "away from the label",
            "The loss drives away from the class that the network gives the image, to wherever is "
            "near: the paper's loss pulls towards the target.",
            _solve_c(loss=lambda logits, target, label: logits.log_softmax(1)[0, label]),
            right_shape=True,
        ),
        Mistake(
            "the label for the target",
            "The cross-entropy is that of the network's own class for the image, not of the "
            "target: it holds the image where it is.",
            _solve_c(loss=lambda logits, target, label: -logits.log_softmax(1)[0, label]),
            right_shape=True,
        ),
        Mistake(
            "away from the target",
            "The sign of the loss is wrong: it drives away from the target.",
            _solve_c(loss=lambda logits, target, label: logits.log_softmax(1)[0, target]),
            right_shape=True,
        ),
        Mistake(
            "any other class counts",
            "Success is counted for any class but the old one: it has to be the target.",
            _solve_c(won=lambda logits, target, label: logits.argmax() != label),
            right_shape=True,
        ),
        Mistake(
            "half of the probability",
            "Success is counted when the target has more than half of the probability: it has won "
            "as soon as no other class has more, which with ten classes can be at 20 %.",
            _solve_c(won=lambda logits, target, label: logits.softmax(1)[0, target] > 0.5),
            right_shape=True,
        ),
        Mistake(
            "success of r alone",
            "The network is asked for the class of r, not of image + r.",
            _solve_c(judged="r"),
            right_shape=True,
        ),
        Mistake(
            "the changed image",
            "This returns the changed image: subtract the image, r is asked for.",
            _solve_c(result=lambda r, success, image: (image + r, success)),
            right_shape=True,
        ),
        Mistake(
            "r without success",
            "Only r is returned: whether the network says the target for image + r belongs to it.",
            _solve_c(result=lambda r, success, image: r),
        ),
    ],
    variants=[c_in_r, c_projected_gradient],
    done="The minimisers are those of SciPy's L-BFGS-B, and so are the successes.",
    equivalent_mutants={
        f"- found = {CALL.format('0.0001')} / + found = {CALL.format(other)}": (
            "Such a tolerance moves the minimiser by less than what is compared."
        )
        for other in ("0.0002", "5e-05")
    },
)

# --- search-for-c ----------------------------------------------------------------------------


class Solver:
    """What ``solve(c)`` gives in a made-up problem: r shrinks as c grows, as size(c) says."""

    def __init__(self, size, success, name):
        self.size, self.success, self.name = size, success, name
        self.axis = torch.tensor([[0.6, 0.0], [-0.8, 0.0]], dtype=torch.float64)

    def __call__(self, c):
        return self.size(c) * self.axis, self.success(c)

    def __repr__(self):
        return self.name


def search_c_cases(rng):
    def shrinking(c):
        return 2 / (1 + c) + 0.1

    yield Case(
        "success below c = 0.7", Solver(shrinking, lambda c: c < 0.7, "a solver"), 1e-2, 1e1, 4
    )
    yield Case(
        "success below c = 3, the usual range", Solver(shrinking, lambda c: c < 3, "a solver")
    )
    limit = 10 ** (-4 + 6 * 0.6499)  # the last tries succeed as well
    yield Case("a limit that needs every try", Solver(shrinking, lambda c: c < limit, "a solver"))
    yield Case("success below c = 0.002", Solver(shrinking, lambda c: c < 2e-3, "a solver"))
    yield Case("success everywhere", Solver(shrinking, lambda c: True, "a solver"), 1e-3, 1e3, 9)
    yield Case("success nowhere", Solver(shrinking, lambda c: False, "a solver"), 1e-3, 1e3, 5)

    def jumping(c):  # another local minimum, farther away, from c = 1 on
        return 0.5 / (1 + c) + (0.7 if c > 1 else 0)

    yield Case(
        "a larger c that ends farther away",
        Solver(jumping, lambda c: c < 2, "a solver"),
        1e-2,
        1e3,
        10,
    )


def search_c_slowly(solve, smallest=1e-4, largest=1e2, tries=12):
    """In logarithms, all tries kept, and the best picked at the end."""
    low, high = math.log10(smallest), math.log10(largest)
    seen = []
    for _ in range(tries):
        middle = (low + high) / 2
        r, success = solve(10**middle)
        seen.append((float(r.norm()) if success else math.inf, 10**middle, r))
        low, high = (middle, high) if success else (low, middle)
    size, c, r = min(seen, key=lambda item: item[0])
    return (c, r) if size < math.inf else (None, None)


def search_c_shrinking(solve, smallest=1e-4, largest=1e2, tries=12):
    c = math.sqrt(smallest * largest)
    ratio = math.sqrt(math.sqrt(largest / smallest))
    best_c = best_r = None
    for _ in range(tries):
        r, success = solve(c)
        if success and (best_r is None or r.square().sum() < best_r.square().sum()):
            best_c, best_r = c, r
        c = c * ratio if success else c / ratio
        ratio = math.sqrt(ratio)
    return best_c, best_r


def _search_c(upwards=True, keep="best", mean="geometric", none="none", start=None):
    """A wrong search for c."""

    def wrong(solve, smallest=1e-4, largest=1e2, tries=12):
        low, high = smallest, largest
        best, last = (None, None), (None, None)
        for _ in range(tries):
            c = (low * high) ** 0.5 if mean == "geometric" else (low + high) / 2
            r, success = solve(c)
            last = c, r
            better = best[1] is None or r.norm() < best[1].norm()
            if keep == "any":
                best = last if better else best
            elif success and (better or keep == "newest" or (keep == "largest" and c > best[0])):
                best = last
            if success == upwards:
                low = c
            else:
                high = c
        if keep == "last":
            return last
        return last if best[0] is None and none == "last" else best

    return wrong


SEARCH_FOR_C = Exercise(
    slug="search-for-c",
    title="A bug hunt: the minimum c",
    difficulty=3,
    minutes=8,
    hints=[
        "Run it on paper for a problem that succeeds for every c below 1. To which c does it go?",
        "A larger c presses harder on |r|. Which end of the bracket moves when a c succeeds?",
        "The last c that is tried need not be one that succeeds, and of those that do it need not "
        "be the one with the smallest r. Keep the best pair on the way.",
    ],
    cases=search_c_cases,
    oracle=search_c_slowly,
    on_device=False,
    mistakes=[
        Mistake(
            "direction mended, last result",
            "The search now goes the right way, but it returns the last r that was tried, "
            "successful or not: half of such results are not adversarial. Keep the best "
            "successful one on the way.",
            _search_c(keep="last"),
            right_shape=True,
        ),
        Mistake(
            "best kept, wrong direction",
            "The best result is kept now, but the search still goes to the smallest c after each "
            "success, where r is largest: c multiplies |r|, so the smallest r needs the largest c "
            "that succeeds.",
            _search_c(upwards=False),
            right_shape=True,
        ),
        Mistake(
            "the newest success",
            "What is returned is the newest success: on a network an earlier, smaller c can have "
            "ended at a nearer minimum. Compare the sizes of r.",
            _search_c(keep="newest"),
            right_shape=True,
        ),
        Mistake(
            "the smallest r of all",
            "The smallest r of all tries is returned, whether it reached the target or not: only "
            "successes may be compared.",
            _search_c(keep="any"),
            right_shape=True,
        ),
        Mistake(
            "the last try where nothing succeeded",
            "Where no c succeeds, this returns the last try, which the caller would count as an "
            "adversarial image: return (None, None), as the docstring says.",
            _search_c(none="last"),
            right_shape=True,
        ),
        Mistake(
            "arithmetic mean",
            "The bracket is halved on the plain scale of c: over six powers of ten most of the "
            "tries are spent between 1 and 100. The given code takes the geometric mean.",
            _search_c(mean="arithmetic"),
            right_shape=True,
        ),
    ],
    variants=[search_c_slowly, search_c_shrinking],
    done="It finds the largest c that succeeds, to the width of the bracket, and keeps the best r.",
    equivalent_mutants={
        "- if best[1] is None or r.norm() < best[1].norm(): / + if best[1] is None or r.norm() <= "
        "best[1].norm():": "Of two r of the same size either may be kept.",
        "- if best[1] is None or r.norm() < best[1].norm(): / + if best[0] is None or r.norm() < "
        "best[1].norm():": "Both parts of the best pair are None, or neither is.",
    },
)

# --- error-under-noise -----------------------------------------------------------------------


def noise_cases(rng):
    yield Case("two images", _double(0.02, 0.05), 0.5, 100)
    few = torch.rand(7, generator=rng, dtype=torch.float64) * 0.06 + 0.005
    yield Case("seven images", few, 0.3, 784)
    yield Case("images on the wrong side", torch.cat([few, _double(-0.01, -0.05)]), 0.4, 784)
    yield Case("little noise, the pixels of MNIST", few / 4, 0.06)
    yield Case("one pixel", _double(0.2, 0.1, 0.9), 0.2, 1)


def noise_of_scipy(distortion, stddev, pixels=784):
    return np.mean(
        [scipy.stats.norm.sf(d * math.sqrt(pixels) / stddev) for d in distortion.numpy()]
    )


def noise_erfc(distortion, stddev, pixels=784):
    far = distortion.double() * pixels**0.5 / (stddev * 2**0.5)
    return torch.erfc(far).sum() / (2 * len(distortion))


def noise_normal(distortion, stddev, pixels=784):
    component = torch.distributions.Normal(0.0, stddev)
    return (1 - component.cdf(distortion.double() * math.sqrt(pixels))).mean()


def _noise(argument, finish=lambda p: p.mean(), pre=lambda d: d):
    def wrong(distortion, stddev, pixels=784):
        return finish(torch.special.ndtr(argument(pre(distortion), stddev, pixels)))

    return wrong


NOISE = Exercise(
    slug="error-under-noise",
    title="The error under noise, from the distance",
    difficulty=2,
    minutes=6,
    hints=[
        "Only one component of the noise moves the image towards the boundary: the one along the "
        "shortest way. It is normal, with standard deviation σ, in any number of pixels.",
        "The shortest way has the L2 length d = distortion · √pixels. The image crosses when the "
        "component exceeds d: probability Φ(-d/σ), `torch.special.ndtr`.",
        "One probability for each image, and the mean of those at the end.",
    ],
    cases=noise_cases,
    oracle=noise_of_scipy,
    on_device=False,
    atol=1e-7,
    mistakes=[
        Mistake(
            "rms for length",
            "The distortion, a root mean square per pixel, is compared with σ as it is (or both "
            "are multiplied by √pixels, which is the same). The way to the boundary has the length "
            "distortion · √pixels, 28 times as much on MNIST, and the noise's component along it "
            "has the standard deviation σ: all the rest of the noise points sideways.",
            _noise(lambda d, s, n: -d / s),
            right_shape=True,
        ),
        Mistake(
            "times the number of pixels",
            "The distortion is multiplied by the number of pixels: an L2 length takes its root.",
            _noise(lambda d, s, n: -d * n / s),
            right_shape=True,
        ),
        Mistake(
            "28 for every image size",
            "The length is 28 times the distortion whatever `pixels` says: 28 is √784. Take the "
            "root of `pixels`, which is 100 in the first case and 1 in the last.",
            _noise(lambda d, s, n: -d * 28 / s),
            right_shape=True,
        ),
        Mistake(
            "the mean distance",
            "The distances are averaged first. The images near a boundary make up nearly all of "
            "the error, and a mean forgets them: average the probabilities.",
            _noise(lambda d, s, n: -d * n**0.5 / s, pre=lambda d: d.mean()),
            right_shape=True,
        ),
        Mistake(
            "accuracy",
            "This is the share that stays right: the error is what crosses, Φ(-d/σ).",
            _noise(lambda d, s, n: d * n**0.5 / s),
            right_shape=True,
        ),
        Mistake(
            "two sides",
            "This counts both tails, 2Φ(-d/σ): the boundary lies on one side of the image.",
            _noise(lambda d, s, n: -d * n**0.5 / s, finish=lambda p: 2 * p.mean()),
            right_shape=True,
        ),
        Mistake(
            "the absolute distance",
            "The sign of the distance is lost: an image on the wrong side already, with a negative "
            "one, is mostly still wrong under noise.",
            _noise(lambda d, s, n: -d.abs() * n**0.5 / s),
            right_shape=True,
        ),
        Mistake(
            "variance",
            "The distance is divided by the variance σ²: divide by the standard deviation.",
            _noise(lambda d, s, n: -d * n**0.5 / s**2),
            right_shape=True,
        ),
        Mistake(
            "one for each image",
            "This is one probability per image: their mean is asked for.",
            _noise(lambda d, s, n: -d * n**0.5 / s, finish=lambda p: p),
        ),
    ],
    variants=[noise_erfc, noise_normal],
    done="The probabilities agree with SciPy's normal distribution.",
)

EXERCISES = [
    PROJECTED_STEP,
    PROJECTED_GRADIENT,
    TWO_LOOP,
    PROJECTED_SEARCH,
    SOLVE_FOR_C,
    SEARCH_FOR_C,
    NOISE,
]

# --- predictions, quizzes, short answers -----------------------------------------------------

PREDICTIONS = {
    "evaluations-for-one-c": Prediction(
        "784 variables, a network of two hidden layers: how many evaluations of the objective and "
        "its gradient until no entry of the projected gradient exceeds 1e-4?",
        unit="evaluations",
        digits=3,
    ),
    "held-pixels": Prediction(
        "At that minimum, which share of the 784 pixels is held at a bound by a gradient that "
        "pushes against it?",
        unit="%",
        digits=2,
    ),
    "table-ratio": Prediction(
        "The mean distortion for FC100-100-10 divided by that for FC10(1e-4): it is 0.94 in the "
        "paper. What is it here?",
        digits=3,
    ),
    "same-size-noise": Prediction(
        "Every image gets Gaussian noise of just the size of its own adversarial perturbation. "
        "Which share does FC200-200-10 get wrong, where the perturbations themselves fool it on "
        "100 %?",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "held-variable": Quiz(
        "A pixel is at 0, and the derivative of the objective with respect to it is +3. What does "
        "its entry of the projected gradient say?",
        [
            Option(
                "3: it is far from being done",
                False,
                "Going down means making the pixel smaller, and it is at 0 already. A full step, "
                "projected, leaves it where it is.",
            ),
            Option(
                "0: it is done, for now",
                True,
                "The step leads out of the box and is brought back to where it began. If the sign "
                "changes later, because other pixels have moved, it is free again.",
            ),
            Option(
                "-3: it has to go up",
                False,
                "Going up would raise the objective. A projected gradient is never longer than "
                "the gradient itself, and never has another sign.",
            ),
        ],
    ),
    "two-loop-memory": Quiz(
        "An image of 224 x 224 pixels in three colours has 150 528 variables. What do ten pairs "
        "need, and what would the inverse Hessian need, in double precision?",
        [
            Option(
                "24 MB and 181 GB",
                True,
                "20 vectors of 150 528 numbers of 8 bytes, against 150 528² numbers. The two loops "
                "also take 40 inner products where a product with the matrix takes 150 528.",
            ),
            Option(
                "2.4 MB and 1.2 MB",
                False,
                "The inverse Hessian has a row and a column for every variable: 150 528² numbers.",
            ),
            Option(
                "about the same: each pair holds the curvature of every pair of pixels",
                False,
                "A pair is two vectors: a step, and how the gradient changed along it. It knows "
                "the curvature along one line.",
            ),
        ],
    ),
    "c-and-size": Quiz(
        "The objective is c·|r|² + loss. You solve it for c = 0.01 and for c = 1, and both "
        "solutions reach the target. Which r is smaller?",
        [
            Option(
                "that of c = 0.01",
                False,
                "A small c makes |r| cheap: the solution goes on past the boundary, as long as the "
                "loss still falls a little.",
            ),
            Option(
                "that of c = 1",
                True,
                "c is the price of |r|. As long as the target is reached the price can rise: the "
                "largest c that succeeds gives the smallest perturbation. Whoever looks for the "
                "smallest c that succeeds finds the largest perturbation.",
            ),
            Option(
                "they are equal: both reach the target",
                False,
                "Reaching the target is not asked for in the objective. It trades the loss, which "
                "keeps falling beyond the boundary, against |r|.",
            ),
        ],
    ),
    "noise-and-pixels": Quiz(
        "The image is blown up to 56 x 56 pixels, each pixel becoming four, and the network reads "
        "the mean of each four. The noise keeps its standard deviation per pixel. What happens to "
        "the error under noise?",
        [
            Option(
                "It grows: four times as many pixels carry noise",
                False,
                "The mean of four independent values has half their standard deviation.",
            ),
            Option(
                "It stays the same: the noise per pixel is the same",
                False,
                "The distortion of the nearest mistake stays the same, too, but the distance "
                "d = distortion · √pixels doubles, and the noise along the way to it does not.",
            ),
            Option(
                "It falls: Φ(-d/σ) with d twice as large",
                True,
                "So at equal rms, noise compares the worse the more pixels there are: on "
                "photographs the gap is far wider than on MNIST.",
            ),
        ],
    ),
}

ANSWERS = {
    "table-reading": ShortAnswer(
        "Our column of Table 1 does not equal the paper's. Name two choices that the paper leaves "
        "open and that move the column, say how far each moves it according to the table of "
        "readings, and name one difference between two networks that stands whichever is chosen.",
        rubric=[
            "It names the rule for the targets as one choice, with its factor (the nearest class "
            "against a random one: about 0.6).",
            "It names another: the loss (a few percent, more where the logits are small), which c "
            "(up to a factor of two), the norm (next to nothing), the training of the networks.",
            "It finds that FC10's distortion grows with λ under every rule, by a factor that no "
            "reading undoes.",
            "It does not say that the paper's numbers are wrong, or that ours are.",
        ],
    ),
    "noise-control": ShortAnswer(
        "Somebody says: adversarial images are misclassified because networks cannot cope with "
        "anything they were not trained on. What do the figures on noise say to that?",
        rubric=[
            "Noise of the same size is just as absent from the training images, and nearly all of "
            "those images are still classified correctly.",
            "So it is not being new or being changed that matters, but the direction: nearly all "
            "directions are harmless, a few are not.",
            "It gives n, the size of the noise and the error (with the clean error beside it).",
            "It sees the limit: noise of stddev 1, sixteen times larger, does fool the network.",
        ],
    ),
}
