"""`paired-difference`, lesson 01: an interval for the difference of two error rates.

The oracle reads Bonett and Price's as Wald's, on the images and two invented ones. In two cases the
networks differ never, or on one side only: there the other intervals fail.
"""

import math

import numpy as np
import scipy.stats
import torch

from course_lib.exercises import Case, Exercise

Z = scipy.stats.norm.ppf(0.975)


def pairs_of_errors(both, only_a, only_b, neither, rng):
    """Two boolean vectors with these counts, in a random order."""
    a = torch.tensor([True] * (both + only_a) + [False] * (only_b + neither))
    b = torch.tensor([True] * both + [False] * only_a + [True] * only_b + [False] * neither)
    order = torch.randperm(len(a), generator=rng)
    return a[order], b[order]


def paired_cases(rng):
    yield Case("ten images", *pairs_of_errors(1, 4, 2, 3, rng))
    yield Case("no image on which they differ", *pairs_of_errors(2, 0, 0, 28, rng))
    yield Case("only b is ever wrong", *pairs_of_errors(0, 0, 12, 38, rng))
    yield Case("a thousand images", *pairs_of_errors(9, 14, 5, 972, rng))
    yield Case("only a is ever wrong", *pairs_of_errors(3, 7, 0, 60, rng))
    yield Case("more often wrong than right", *pairs_of_errors(40, 3, 17, 5, rng))


def two_more_images(wrong_a, wrong_b):
    """The same interval, read as data: Wald's, on the images and two invented ones."""
    d = wrong_a.cpu().double().numpy() - wrong_b.cpu().double().numpy()
    more = np.append(d, [1.0, -1.0])
    reach = Z * more.std() / np.sqrt(len(more))
    return d.mean(), more.mean() - reach, more.mean() + reach


EXERCISE = Exercise(
    title="Two networks on the same images",
    difficulty=3,
    minutes=10,
    hints=[
        "Count two things: on how many images only a is wrong, and on how many only b is. For "
        "boolean tensors `wrong_a & ~wrong_b` marks the first (PyTorch does not subtract them).",
        "The difference of the error rates is (only_a - only_b) / n. The interval has its middle "
        "elsewhere: at p - q with p = (only_a + 1) / (n + 2), q = (only_b + 1) / (n + 2).",
        "Half the interval's length is 1.96 times the root of (p + q - (p - q)²) / (n + 2).",
    ],
    cases=paired_cases,
    parts=("difference", "low", "high"),
    oracle=two_more_images,
    atol=1e-5,
    done="That is the interval of Bonett and Price (2012), also where no image tells them apart.",
)


@EXERCISE.variant
def paired_loop(wrong_a, wrong_b):
    n = len(wrong_a)
    only_a = only_b = 0
    for a, b in zip(wrong_a.tolist(), wrong_b.tolist(), strict=True):
        only_a += a and not b
        only_b += b and not a
    p, q = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    reach = 1.96 * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return (only_a - only_b) / n, p - q - reach, p - q + reach


@EXERCISE.variant
def paired_tensor(wrong_a, wrong_b):
    table = torch.bincount(2 * wrong_a.long() + wrong_b.long(), minlength=4).double()
    p, q = (table[2] + 1) / (table.sum() + 2), (table[1] + 1) / (table.sum() + 2)
    reach = Z * ((p + q - (p - q) ** 2) / (table.sum() + 2)).sqrt()
    return torch.stack([(table[2] - table[1]) / table.sum(), p - q - reach, p - q + reach])


EXERCISE.mistake(
    "Wald",
    "Nothing is added to the counts, so two networks that never differ on 30 images get "
    "an interval of length 0, as if that were proof: use p and q with the + 1 and + 2.",
    ("(only_a + 1) / (n + 2), (only_b + 1) / (n + 2)", "only_a / n, only_b / n"),
    ("/ (n + 2)) **", "/ n) **"),
)


@EXERCISE.mistake(
    "unpaired",
    "This treats the two as measured on different images. Most images are right or wrong "
    "for both and say nothing about the difference: only those on which exactly one is "
    "wrong count.",
)
def unpaired(wrong_a, wrong_b):
    a, b = float(wrong_a.double().mean()), float(wrong_b.double().mean())
    reach = Z * math.sqrt((a * (1 - a) + b * (1 - b)) / len(wrong_a))
    return a - b, a - b - reach, a - b + reach


@EXERCISE.mistake(
    "the ends of two intervals",
    "This goes from the lower end of one network's interval to the upper end of the "
    'other\'s, which is what "they overlap, so they are equal" does. Both cannot be off '
    "in opposite directions that often: make one interval, for the difference.",
)
def ends_of_two(wrong_a, wrong_b):
    a, b, n = float(wrong_a.double().mean()), float(wrong_b.double().mean()), len(wrong_a)
    reach = Z * (math.sqrt(a * (1 - a) / n) + math.sqrt(b * (1 - b) / n))
    return a - b, a - b - reach, a - b + reach


@EXERCISE.mistake(
    "all errors for those of one alone",
    "You count all images on which a network is wrong: an image that both get wrong says nothing "
    "about the difference. n_a counts those on which only a is wrong, `wrong_a & ~wrong_b`.",
)
def not_discordant(wrong_a, wrong_b):
    n = len(wrong_a)
    p, q = (int(wrong_a.sum()) + 1) / (n + 2), (int(wrong_b.sum()) + 1) / (n + 2)
    reach = Z * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return float(wrong_a.double().mean() - wrong_b.double().mean()), p - q - reach, p - q + reach


@EXERCISE.mistake(
    "only the discordant images",
    "The sum of the two counts is taken for n: the images on which both are right or both wrong "
    "were tested, too, and n counts all.",
)
def of_the_discordant(wrong_a, wrong_b):
    only_a, only_b = int((wrong_a & ~wrong_b).sum()), int((wrong_b & ~wrong_a).sum())
    n = max(only_a + only_b, 1)
    p, q = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    reach = Z * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return (only_a - only_b) / n, p - q - reach, p - q + reach


EXERCISE.mistake(
    "Student's t",
    "The factor is Student's t with n - 1 degrees of freedom: the interval of Bonett and Price has "
    "the normal quantile, 1.96, for any n.",
    ("scipy.stats.norm.ppf(0.975)", "scipy.stats.t.ppf(0.975, n - 1)"),
)

EXERCISE.mistake(
    "a's errors both times",
    "Both counts are of images on which only a is wrong: q needs those on which only b is.",
    ("int((wrong_b & ~wrong_a).sum())", "int((wrong_a & ~wrong_b).sum())"),
)

EXERCISE.mistake(
    "high before low",
    "The ends of the interval are exchanged: return (difference, low, high).",
    ("p - q - reach, p - q + reach", "p - q + reach, p - q - reach"),
)


@EXERCISE.mistake("b minus a", "The sign is swapped: this is the error of b minus that of a.")
def swapped(wrong_a, wrong_b):
    return two_more_images(wrong_b, wrong_a)


EXERCISE.mistake(
    "spread of one image",
    "The reach is that of one image's difference: the variance of a mean over n + 2 of "
    "them is n + 2 times smaller.",
    (" / (n + 2)) **", ") **"),
)

EXERCISE.mistake(
    "one standard error",
    "The reach is one standard error, which covers 68 %: a 95 % interval takes 1.96.",
    ("scipy.stats.norm.ppf(0.975) * ", ""),
)

EXERCISE.mistake(
    "90 %",
    "A factor of 1.645 leaves 5 % on each side, so this is a 90 % interval: 95 % takes 1.96.",
    ("0.975", "0.95"),
)

EXERCISE.mistake(
    "no squared difference",
    "The variance lacks its - (p - q)²: an image's difference has mean p - q, and p + q "
    "is the mean of its square.",
    (" - (p - q) ** 2", ""),
)

EXERCISE.mistake(
    "middle not shifted",
    "The reach is right, but the interval is centred on the raw difference: its middle is "
    "p - q, a little nearer to 0.",
    (
        "p - q - reach, p - q + reach",
        "(only_a - only_b) / n - reach, (only_a - only_b) / n + reach",
    ),
)

EXERCISE.mistake(
    "divided by n",
    "The variance is divided by n: with two more images in the counts it is n + 2.",
    ("/ (n + 2)) **", "/ n) **"),
)

EXERCISE.mistake(
    "percent",
    "These are percentage points: shares are asked for, 100 times smaller.",
    lambda wrong_a, wrong_b: [100 * v for v in two_more_images(wrong_a, wrong_b)],
)

EXERCISE.mistake(
    "the middle returned as the difference",
    "The first number is the interval's middle: return the difference that was seen, "
    "(only_a - only_b) / n, nothing added.",
    ("(only_a - only_b) / n", "p - q"),
)
