"""`unit-detector`, lesson 09, a measure: a threshold for a unit, with classes of unequal size."""

import itertools

import numpy as np
import torch

from course_lib import imagenet
from course_lib.exercises import Case, Exercise


def detector_cases(rng):
    def double(*values):
        return torch.tensor(values, dtype=torch.float64)

    yield Case(
        "one of four",
        double(0.1, 0.7, 0.3, 0.9),
        torch.tensor([False, False, False, True]),
    )
    yield Case(
        "a tie of two thresholds",
        double(1.0, 2.0, 3.0, 4.0),
        torch.tensor([False, True, False, True]),
    )
    yield Case(
        "few that are wanted, many that are not",
        double(0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.1, 0.15, 0.45, 0.05, 0.3, 0.35),
        torch.tensor([False, False, False, False, False, True, False, False, True, *[False] * 3]),
    )
    wanted = torch.rand(60, generator=rng) < 0.2
    noise = torch.rand(60, generator=rng, dtype=torch.float64)
    small = 0.01 * torch.rand(20, generator=rng, dtype=torch.float64)
    yield Case("twenty small values", small, torch.arange(20) % 3 == 0)
    yield Case("sixty crops", (noise + 0.4 * wanted).round(decimals=2), wanted)


def detector_by_search(values, wanted):
    v, w = values.numpy(), wanted.numpy()
    levels = sorted(set(v.tolist()))
    best = (-1.0, None)
    for low, high in itertools.pairwise(levels):
        t = (low + high) / 2
        score = (np.mean(v[w] > t) + np.mean(v[~w] <= t)) / 2
        if score > best[0] + 1e-12:
            best = (score, t)
    return best[1], best[0]


EXERCISE = Exercise(
    title="One unit as a detector",
    difficulty=3,
    minutes=12,
    hints=[
        "Sort the values that occur (`values.unique()` does); between each two neighbours lies one "
        "threshold to be tried.",
        "Balanced accuracy: the share of the wanted that lie above, the share of the others that "
        "do not, and the mean of the two.",
        "`values > middle[:, None]` is a table, a row for each threshold; `[:, wanted]` takes the "
        "columns of the wanted; `argmax` the first of equals.",
    ],
    cases=detector_cases,
    parts=("threshold", "balanced accuracy"),
    oracle=detector_by_search,
    twins=[imagenet.best_threshold],
    on_device=False,
    done="A threshold that was chosen on crops is judged fairly on other crops only.",
)


def _table(values, wanted):
    levels = values.double().unique()
    middle = (levels[1:] + levels[:-1]) / 2
    above = values.double() > middle[:, None]
    return middle, above[:, wanted].double().mean(1), (~above[:, ~wanted]).double().mean(1)


@EXERCISE.variant
def with_a_loop(values, wanted):
    return detector_by_search(values, wanted)


@EXERCISE.variant
def with_numpy(values, wanted):
    v, w = values.numpy(), wanted.numpy()
    levels = np.unique(v)
    middle = (levels[1:] + levels[:-1]) / 2
    above = v[None] > middle[:, None]
    score = above[:, w].mean(1) / 2 + (1 - above[:, ~w].mean(1)) / 2
    best = score.round(12).argmax()
    return middle[best], score[best]


@EXERCISE.mistake(
    "all alike",
    "This is the share of all images that are on the right side. Where few are wanted, a detector "
    "that never fires does well in it: take the mean of the two shares.",
)
def plain_accuracy(values, wanted):
    middle, hits, rests = _table(values, wanted)
    share = wanted.double().mean()
    score = share * hits + (1 - share) * rests
    best = score.argmax()
    return middle[best], score[best]


@EXERCISE.mistake(
    "between the means",
    "This is the threshold halfway between the two means: try all, and take the one whose balanced "
    "accuracy is the largest.",
)
def between_means(values, wanted):
    t = (values[wanted].mean() + values[~wanted].mean()) / 2
    hits, rests = (values[wanted] > t).double().mean(), (values[~wanted] <= t).double().mean()
    return t, (hits + rests) / 2


@EXERCISE.mistake(
    "the last of equals",
    "Of several thresholds with the same accuracy this is the highest: take the lowest.",
)
def last_of_equals(values, wanted):
    middle, hits, rests = _table(values, wanted)
    score = (hits + rests) / 2
    best = len(score) - 1 - score.round(decimals=12).flip(0).argmax()
    return middle[best], score[best]


@EXERCISE.mistake(
    "on a value",
    "The threshold is one of the values themselves: put it halfway to the next, so that rounding "
    "cannot move an image across.",
)
def on_a_value(values, wanted):
    _middle, hits, rests = _table(values, wanted)
    score = (hits + rests) / 2
    best = score.round(decimals=12).argmax()
    return values.double().unique()[best], score[best]


@EXERCISE.mistake(
    "misses alone",
    "Only the wanted count: a detector that always fires is the best at that. The others, which "
    "must not fire it, count half.",
)
def hits_alone(values, wanted):
    middle, hits, _rests = _table(values, wanted)
    best = hits.argmax()
    return middle[best], hits[best]


@EXERCISE.mistake(
    "the sum",
    "The second number is the sum of the two shares: their mean is asked for.",
)
def the_sum(values, wanted):
    middle, hits, rests = _table(values, wanted)
    best = (hits + rests).round(decimals=12).argmax()
    return middle[best], (hits + rests)[best]
