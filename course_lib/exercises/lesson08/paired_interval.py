"""`paired-interval`, lesson 08: an interval for the difference, seed by seed."""

import numpy as np
import scipy.stats
import torch

from course_lib import record
from course_lib.exercises import Case, Exercise


def pair_cases(rng):
    def case(label, n, spread):
        hard = 0.02 + spread * torch.rand(n, generator=rng, dtype=torch.float64)
        noise = 0.001 * torch.rand(n, generator=rng, dtype=torch.float64)
        yield Case(label, hard - 0.002 - noise, hard)

    yield Case(
        "three seeds",
        torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64),
        torch.tensor([2.0, 4.0, 5.0], dtype=torch.float64),
    )
    yield from case("five seeds", 5, 0.01)
    yield from case("two seeds", 2, 0.005)
    yield from case("nine seeds", 9, 0.02)


def interval_of_scipy(first, second):
    found = scipy.stats.ttest_rel(first.numpy(), second.numpy())
    low, high = found.confidence_interval(0.95)
    return (low + high) / 2, (high - low) / 2


EXERCISE = Exercise(
    title="Is it better, seed by seed?",
    difficulty=2,
    minutes=8,
    hints=[
        "Both networks of a seed start from the same weights: look at their difference.",
        "The standard error of a mean of n numbers is their standard deviation (n - 1 below the "
        "root) divided by √n; the half-width is that times Student's t for n - 1 degrees of "
        "freedom, `scipy.stats.t.ppf(0.975, n - 1)`.",
    ],
    cases=pair_cases,
    parts=("mean", "half-width"),
    oracle=interval_of_scipy,
    twins=[record.interval],
    on_device=False,
    done="An interval that contains 0 decides nothing, in neither direction.",
)


def _interval(first, second, quantile=None, ddof=1):
    differences = np.asarray(first) - np.asarray(second)
    n = len(differences)
    t = scipy.stats.t.ppf(0.975, n - 1) if quantile is None else quantile
    return differences.mean(), t * differences.std(ddof=ddof) / n**0.5


@EXERCISE.variant
def interval_with_numpy(first, second):
    return _interval(first, second)


@EXERCISE.variant
def interval_with_torch(first, second):
    differences = first - second
    n = len(differences)
    t = scipy.stats.t.interval(0.95, n - 1)[1]
    return differences.mean(), t * (differences.var() / n).sqrt()


@EXERCISE.mistake(
    "not paired",
    "The half-width is that of two independent groups: what the seeds have in common is counted as "
    "noise. Take the differences first, seed by seed, and then their spread.",
)
def not_paired(first, second):
    a, b = np.asarray(first), np.asarray(second)
    n = len(a)
    error = ((a.var(ddof=1) + b.var(ddof=1)) / n) ** 0.5
    return (a - b).mean(), scipy.stats.t.ppf(0.975, n - 1) * error


@EXERCISE.mistake(
    "a normal quantile",
    "This is the half-width for many seeds, 1.96 standard errors. With a few, Student's t is much "
    "larger: 2.78 for five.",
)
def normal(first, second):
    return _interval(first, second, scipy.stats.norm.ppf(0.975))


@EXERCISE.mistake(
    "n instead of n - 1",
    "The spread is divided by n and not by n - 1 (`ddof=0`, or `correction=0`): that is too small, "
    "the more so the fewer seeds there are.",
)
def biased(first, second):
    return _interval(first, second, ddof=0)


@EXERCISE.mistake(
    "no root of n",
    "The half-width is that of a single difference: the standard error of the mean is √n times "
    "smaller.",
)
def of_a_single_one(first, second):
    mean, half = _interval(first, second)
    return mean, half * len(first) ** 0.5


@EXERCISE.mistake(
    "the other way round",
    "The difference has the wrong sign: first minus second is asked for.",
)
def reversed_difference(first, second):
    return _interval(second, first)


@EXERCISE.mistake(
    "the standard error",
    "The second number is the standard error: multiply it by Student's t.",
)
def standard_error(first, second):
    return _interval(first, second, 1.0)


@EXERCISE.mistake(
    "one-sided",
    "This is Student's t at 0.95, which leaves out 5 % on each side: use 0.975.",
)
def one_sided(first, second):
    return _interval(first, second, scipy.stats.t.ppf(0.95, len(first) - 1))


@EXERCISE.mistake(
    "as many degrees as seeds",
    "The degrees of freedom are one less than the number of seeds: the mean has used up one.",
)
def degrees(first, second):
    return _interval(first, second, scipy.stats.t.ppf(0.975, len(first)))
