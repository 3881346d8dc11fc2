"""`nearest-in-box`, lesson 03: the oracle finds the multiplier by Brent's method.

Small weights make the multiplier large, for answers that stop at an upper end; a probe tries any.
In three cases w·x' + d comes to a hair below 0 and stays there, as on every third image of MNIST.
"""

import numpy as np
import scipy.special
import torch

from course_lib.exercises import Case, Exercise

from .shared import exactly, is_on_the_way


def box_cases(rng):
    yield Case(
        "three pixels, one of them soon white",
        torch.tensor([0.2, 0.9, 0.0], dtype=torch.float64),
        torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64),
        -2.6,
    )
    yield Case(
        "across the plane already",
        torch.tensor([0.5, 0.5], dtype=torch.float64),
        torch.tensor([1.0, -0.5], dtype=torch.float64),
        0.1,
    )
    for n, depth in ((30, 0.3), (200, 0.8)):
        x = (torch.rand(n, generator=rng, dtype=torch.float64) * 3 - 1.5).clamp(0, 1)
        w = torch.randn(n, generator=rng, dtype=torch.float64)
        least = w @ x
        most = w.clamp(min=0).sum()
        yield Case(f"{n} pixels, half of them black", x, w, -float(least + depth * (most - least)))
    gentle = torch.full((6,), 0.5, dtype=torch.float64)
    w = torch.randn(6, generator=rng, dtype=torch.float64)
    yield Case("the box is far away", gentle, w, -float(w @ gentle + 0.05 * w.norm()))
    # a slack plane: the multiplier is large where w is small
    x = (torch.rand(20, generator=rng, dtype=torch.float64) * 3 - 1.5).clamp(0, 1)
    w = torch.randn(20, generator=rng, dtype=torch.float64)
    way = x + 0.6 * w  # beyond the root of a plane through clip(way) the multiplier is 0.6
    for scale in (50, 2000, 50000):
        small = w / scale
        d = -float(small @ way.clamp(0, 1))
        yield Case(f"small weights: the multiplier is {0.6 * scale:g}", x, small, d)
    yield Case(
        "two of the weights are 0",
        torch.tensor([0.5, 0.2, 0.0, 0.7], dtype=torch.float64),
        torch.tensor([0.0, 1.0, 0.0, -0.5], dtype=torch.float64),
        -0.8,
    )
    chain = 1.3 ** -torch.arange(20, dtype=torch.float64)
    yield Case(
        "pixels that turn white one after the other",
        torch.zeros(20, dtype=torch.float64),
        chain,
        -0.97 * float(chain.sum()),
    )
    for w, x, d in ROUNDED:
        w, x = (torch.tensor(values, dtype=torch.float64) for values in (w, x))
        yield Case(f"w·x' + d never quite reaches 0, by rounding: w = {w.tolist()}", x, w, d)


# Newton's method ends at a value of about -1e-15, -3e-16 and -2e-16, and moves no more
ROUNDED = (
    ([-6.0, -5.428571428571429], [0.1, 0.8], 0.6647395633322093),
    ([-7.571428571428571, -6.857142857142857], [0.1, 0.3], 0.5169252478562747),
    ([-6.0, -6.857142857142857], [0.2, 0.8], 1.7275906314448495),
)


def by_root(x, w, d):
    """The root of a scalar function, by Brent's method."""
    x, w = x.double().numpy(), w.double().numpy()

    def short(multiplier):
        return w @ np.clip(x + multiplier * w, 0, 1) + d

    if short(0.0) >= 0:
        return x
    far = 1.0
    while short(far) < 0:
        far *= 2
    return np.clip(x + scipy.optimize.brentq(short, 0.0, far, xtol=1e-14, rtol=1e-14) * w, 0, 1)


EXERCISE = Exercise(
    title="The nearest point across a plane, in the box",
    difficulty=3,
    minutes=15,
    hints=[
        "One number is unknown, μ. Write w·x(μ) + d for a given μ in one line; it never falls as μ "
        "grows. Any way to find where it becomes 0 will do. Bisection needs an upper end: double "
        "it until the value there is at least 0, for μ may be 0.01 or 1000.",
        "Newton's method needs the slope: a pixel inside the box contributes w_i², a clipped one "
        "contributes 0. So μ goes up by minus the value, over the sum of w_i² over the free "
        "pixels.",
        "Free are the pixels where `x + mu * w` is the same before and after `.clamp(0, 1)`. "
        "Stop when the value is above -1e-12, or it goes on for ever with rounding errors.",
    ],
    cases=box_cases,
    oracle=by_root,
    atol=1e-5,
    equivalent_mutants={
        **{
            f"- for _ in range(100): / + for _ in range({n}):": (
                "Newton's method is there after a handful of steps."
            )
            for n in (99, 101)
        },
        **{
            f"- if value >= -1e-12: / + if value {test}:": (
                "Where to stop among rounding errors: the points differ by less than 1e-11."
            )
            for test in ("> -1e-12", ">= 1e-12", ">= -2e-12", ">= -5e-13")
        },
    },
    done="Compared with the root that Brent's method finds, with up to 200 pixels.",
)


def _bisected(point, w, d, end):
    """``point`` where it comes across the plane between 0 and ``end``; at the end if nowhere."""
    low, high = 0.0, end
    for _ in range(80):
        middle = (low + high) / 2
        short = float(w @ point(middle) + d) < 0
        low, high = (middle, high) if short else (low, middle)
    return point(high)


@EXERCISE.variant
def box_bisection(x, w, d):
    def point(multiplier):
        return torch.clamp(x + multiplier * w, 0, 1)

    if w @ x + d >= 0:
        return x.clone()
    end = 1.0
    while w @ point(end) + d < 0:
        end *= 2
    return _bisected(point, w, d, end)


@EXERCISE.variant
def box_breakpoints(x, w, d):
    """Exactly: each pixel leaves at a known multiplier, in between the function is a line."""
    if w @ x + d >= 0:
        return x.clone()
    to_face = torch.where(w > 0, 1 - x, x)
    leaves = to_face / w.abs().clamp(min=1e-300)
    lower = 0.0
    for upper in [*leaves.sort().values.tolist(), float("inf")]:
        moving = leaves > lower
        slope = float(w[moving].square().sum())
        value = float(w @ (x + lower * w).clamp(0, 1) + d)
        if slope > 0 and lower - value / slope <= upper:
            return (x + (lower - value / slope) * w).clamp(0, 1)
        lower = upper
    return (x + lower * w).clamp(0, 1)


@EXERCISE.variant
def box_repeated(x, w, d, rounds=20000):
    """To the plane, into the box, to the plane, ...: with one normal that ends where it should."""
    point = x.clone()
    for _ in range(rounds):
        short = float(w @ point + d)
        if short > -1e-10:
            break
        point = (point - short / float(w @ w) * w).clamp(0, 1)
    return point


def _one_step(x, w, d):
    return -float(w @ x + d) / float(w @ w) * w


@EXERCISE.variant
def box_stretched(x, w, d):
    """The clipped step stretched and clipped again: a pixel that it had stopped at a face stays
    there, the others go on along w, so this is the same path."""
    if float(w @ x + d) >= 0:
        return x.clone()
    change, end = (x + _one_step(x, w, d)).clamp(0, 1) - x, 1.0
    while float(w @ (x + end * change).clamp(0, 1) + d) < 0 and end < 1e12:
        end *= 2
    return _bisected(lambda share: (x + share * change).clamp(0, 1), w, d, end)


UPPER_END = (
    "Your multiplier stops at an upper end: the root is beyond it. Double the end until the value "
    "is at least 0."
)


@EXERCISE.probe
def stops_at_an_end(answer):
    """A probe: a fixed end of any size. Right for a small multiplier; for large ones the points of
    the same path at that end. A search that is content too early ends at another multiplier each
    time."""
    ends = []
    x = torch.tensor([0.5, 0.4, 0.0, 1.0, 0.3], dtype=torch.float64)
    w = torch.tensor([0.3, -0.2, -0.6, 0.4, 0.1], dtype=torch.float64)
    for scale in (0.01, 1e2, 1e4, 1e5, 5e5, 1e6):
        small = w / scale
        d = -float(small @ (x + 0.5 * w).clamp(0, 1))
        point = exactly(answer)(x, small, d)
        share = float((point[0] - x[0]) / w[0])  # of the multiplier times the scale; right: 0.5
        if scale == 0.01 and abs(share - 0.5) > 1e-3:
            return None
        on_path = torch.allclose(point, (x + share * w).clamp(0, 1), atol=1e-4)
        if on_path and -1e-9 <= share < 0.499:
            ends.append(share * scale)
    if not ends:
        return None
    return UPPER_END if max(ends) < 1.01 * min(ends) and min(ends) > 0 else CONTENT


CONTENT = (
    "With small weights you are content too early: you take w·x' + d for 0 when it is below some "
    "small number, but there it was a small number at x already. Measure it by its first value, or "
    "go on until the multiplier moves no more."
)
FALLS_SHORT = (
    "The point is on the way and does not reach the plane: w·x' + d is still below 0, by {:.0e} of "
    "what it was at x. Go on until nothing but rounding is left, in double precision."
)


@EXERCISE.probe
def reaches_the_plane(answer):
    """A probe: as many pixels as MNIST has, and the value at the point, not only the point."""
    rng = torch.Generator().manual_seed(5)
    for _ in range(3):
        x = (torch.rand(784, generator=rng, dtype=torch.float64) * 4 - 3).clamp(0, 1)
        w = torch.randn(784, generator=rng, dtype=torch.float64)
        start = float(w @ x)
        d = -start - 0.3 * float(w.clamp(min=0).sum() - start)
        point = exactly(answer)(x, w, d)
        short = (float(w @ point) + d) / (start + d)
        if short > 1e-6 and is_on_the_way(point, x, w):
            return FALLS_SHORT.format(short)
    return None


def _unless_across(make):
    """A wrong point: make(x, w, d), but x itself where it is across the plane already."""

    def wrong(x, w, d):
        return x.clone() if float(w @ x + d) >= 0 else make(x, w, d)

    return wrong


EXERCISE.mistake(
    "no box",
    "Some pixels are outside [0, 1]: this is the nearest point of the plane, and no image.",
    _unless_across(lambda x, w, d: x + _one_step(x, w, d)),
)

EXERCISE.mistake(
    "clipped afterwards",
    "This is the step to the plane, clipped afterwards. What the clipping takes away is "
    "missing on the way to the plane, so the point does not reach it: the other pixels "
    "have to make up for it, by a larger μ.",
    _unless_across(lambda x, w, d: (x + _one_step(x, w, d)).clamp(0, 1)),
)


def box_bracket(end):
    """A wrong point: bisection in [0, end], and the end itself if the root is beyond it."""
    return _unless_across(lambda x, w, d: _bisected(lambda m: (x + m * w).clamp(0, 1), w, d, end))


for end in (1, 2, 10, 100, 1000):
    EXERCISE.mistake(
        f"upper end {end}",
        UPPER_END.replace("an upper end", f"an upper end, {end}"),
        box_bracket(float(end)),
    )


def box_twice(x, w, d):
    point = (x + _one_step(x, w, d)).clamp(0, 1)
    return (point + _one_step(point, w, d)).clamp(0, 1)


EXERCISE.mistake(
    "two steps",
    "Two steps, each clipped, come nearer to the plane and do not reach it: go on until "
    "w·x' + d is 0.",
    _unless_across(box_twice),
)

EXERCISE.mistake(
    "the change in the box",
    "The change r is clipped to [0, 1] instead of the image x + r: pixels could then only "
    "get brighter, and beyond white.",
    _unless_across(lambda x, w, d: x + _one_step(x, w, d).clamp(0, 1)),
)

EXERCISE.mistake(
    "the change returned",
    "This is the change r: the point x + r is asked for.",
    lambda x, w, d: box_bisection(x, w, d) - x,
)


@EXERCISE.mistake(
    "back to the plane",
    "A point that is across the plane already has moved back to it: its nearest point is "
    "itself, μ is never negative.",
)
def box_back_too(x, w, d):
    point = x.clone()
    for _ in range(20000):
        short = float(w @ point + d)
        if abs(short) < 1e-10:
            break
        point = (point - short / float(w @ w) * w).clamp(0, 1)
    return point


def box_greedy(x, w, d):
    """Pixel after pixel to its face, the largest weights first."""
    point = x.clone()
    for i in w.abs().argsort(descending=True).tolist():
        short = float(w @ point + d)
        if short >= 0:
            break
        point[i] = float((point[i] - short / w[i]).clamp(0, 1))
    return point


EXERCISE.mistake(
    "pixel by pixel",
    "The pixels with the largest weights are changed first, each as far as it goes: that "
    "makes the sum of the changes small (the 1-norm), not the sum of their squares.",
    _unless_across(box_greedy),
)


EXERCISE.mistake(
    "every pixel alike",
    "Every pixel is moved by the same amount, as the sign of w says: that makes the "
    "largest change small (the max norm), not the sum of squares. Move along w.",
    _unless_across(lambda x, w, d: _bisected(lambda m: (x + m * w.sign()).clamp(0, 1), w, d, 1.0)),
)


def box_doubling(x, w, d):
    multiplier = 1e-3
    while float(w @ (x + multiplier * w).clamp(0, 1) + d) < 0:
        multiplier *= 2
    return (x + multiplier * w).clamp(0, 1)


EXERCISE.mistake(
    "across, but too far",
    "The point is across the plane, but farther than need be: μ is only a power of two "
    "times its first value. Once w·x(μ) + d has changed its sign, look between the last "
    "two values.",
    _unless_across(box_doubling),
)


@EXERCISE.mistake(
    "a pixel at its end counts as held",
    "Pixels that are black or white from the start count as held in your slope, also those that "
    "are on their way into the box: held are those that x + μw has left the box with. The slope is "
    "too small then, and the step too long.",
)
def box_too_few_free(x, w, d):
    multiplier = 0.0
    for _ in range(100):
        point = (x + multiplier * w).clamp(0, 1)
        value = float(w @ point + d)
        if value >= -1e-12:
            break
        free = (point > 0) & (point < 1)
        multiplier -= value / float(w[free if free.any() else w != 0].square().sum())
    return point


EXERCISE.mistake(
    "Newton's method without the box",
    "Every step divides by the sum of all w_i², also those of pixels that are clipped, and you "
    "stop after a few: the slope is that of the free pixels only, or many more steps are needed.",
    lambda x, w, d: box_repeated(x, w, d, rounds=100),
)

EXERCISE.mistake(
    "away from the plane",
    "The step has the wrong sign: w·x + d must grow, so μ is positive.",
    _unless_across(lambda x, w, d: (x - _one_step(x, w, d)).clamp(0, 1)),
)
