"""`paired-bootstrap`, lesson 05: the draws are given, so nothing is left to chance.

Two cells that agree mostly tell a paired interval from an unpaired one.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def bootstrap_cases(rng):
    def draws(times, n):
        return torch.randint(n, (times, n), generator=rng)

    def bools(n, p):
        return torch.rand(n, generator=rng) < p

    yield Case(
        "six images, ten draws",
        torch.tensor([True, True, False, True, False, True]),
        torch.tensor([False, True, False, False, True, False]),
        draws(10, 6),
    )
    a = bools(80, 0.5)
    yield Case("two cells that agree mostly", a, a ^ bools(80, 0.15), draws(400, 80))
    yield Case("two that do not", bools(50, 0.7), bools(50, 0.2), draws(300, 50))


def bootstrap_of_numpy(a, b, draws):
    d = a.cpu().double().numpy() - b.cpu().double().numpy()
    means = np.array([d[rows].mean() for rows in draws.cpu().numpy()])
    low, high = np.percentile(means, [2.5, 97.5])
    return d.mean(), low, high


EXERCISE = Exercise(
    title="Two cells of a row, compared",
    difficulty=2,
    minutes=6,
    hints=[
        "For each image the difference of the two cells is -1, 0 or 1: its mean is the "
        "difference of the shares.",
        "`d[draws]` has the shape (B, N): each row is a set of images drawn with replacement. A "
        "mean for each row, and of those the 2.5 % and the 97.5 % points (`torch.quantile`).",
    ],
    cases=bootstrap_cases,
    parts=("difference", "2.5 % point", "97.5 % point"),
    oracle=bootstrap_of_numpy,
    atol=1e-5,
    done="Every draw takes the same images for both cells.",
)


@EXERCISE.variant
def bootstrap_by_counts(a, b, draws):
    """How often each image was drawn, times its difference."""
    d = a.double() - b.double()
    n = len(d)
    counts = torch.stack([torch.bincount(rows, minlength=n) for rows in draws]).double()
    means = counts @ d / n
    return d.mean(), torch.quantile(means, 0.025), torch.quantile(means, 0.975)


@EXERCISE.variant
def bootstrap_two_means(a, b, draws):
    means = a.float()[draws].mean(1) - b.float()[draws].mean(1)
    ends = np.quantile(means.double().cpu().numpy(), [0.025, 0.975])
    return float(a.double().mean() - b.double().mean()), *ends


def _ends(values):
    return torch.quantile(values, 0.025), torch.quantile(values, 0.975)


@EXERCISE.mistake(
    "unpaired",
    "The two cells get different draws, as if they had been measured on different images: "
    "what an image does to both no longer cancels. Take the same draw for both.",
)
def unpaired_draws(a, b, draws):
    """Other images for b than for a."""
    means = a.double()[draws].mean(1) - b.double()[draws.flip(0)].mean(1)
    return a.double().mean() - b.double().mean(), *_ends(means)


@EXERCISE.mistake(
    "the ends of two intervals",
    "This subtracts the ends of two intervals. Both shares cannot be off in opposite "
    "directions that often: draw the difference again and again.",
)
def ends_of_both(a, b, draws):
    (low_a, high_a), (low_b, high_b) = (_ends(t.double()[draws].mean(1)) for t in (a, b))
    return a.double().mean() - b.double().mean(), low_a - high_b, high_a - low_b


EXERCISE.mistake(
    "90 %",
    "The ends are the 5 % and the 95 % points, which leave out a tenth: 2.5 % and 97.5 %.",
    ("[0.025, 0.975]", "[0.05, 0.95]"),
)

EXERCISE.mistake(
    "the extremes",
    "The ends are the smallest and the largest draw: the more draws, the wider. Take the "
    "2.5 % and the 97.5 % points.",
    ("[0.025, 0.975]", "[0.0, 1.0]"),
)

EXERCISE.mistake(
    "b minus a",
    "The sign is swapped: this is b minus a.",
    ("a.double() - b.double()", "b.double() - a.double()"),
)

EXERCISE.mistake(
    "the mean of the draws",
    "The first number is the mean of the draws. It is close, but the estimate is the "
    "difference on the images themselves: the draws are for the interval.",
    ("return difference", "return means"),
)

EXERCISE.mistake(
    "divided by the number of draws",
    "The spread of the draws is divided by the root of their number, as if more draws "
    "made the images more: the interval is the spread of the draws itself.",
    ("[0.025, 0.975]", "[-1.96, 1.96]"),
    ("torch.quantile(means, ends)", "difference.mean() + ends * means.std() / len(means) ** 0.5"),
)


@EXERCISE.mistake(
    "only where they differ",
    "Only the images on which the two cells differ are drawn, so the difference is that of "
    "those: an image on which they agree is a difference of 0, and counts.",
)
def where_they_differ(a, b, draws):
    d, differ = a.double() - b.double(), (a != b).double()
    return d[a != b].mean(), *_ends(d[draws].sum(1) / differ[draws].sum(1))
