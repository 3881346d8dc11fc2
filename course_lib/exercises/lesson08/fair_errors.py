"""`fair-errors`, lesson 08: the setting is chosen on validation images, and all seeds count.

The best setting on the test images is another one; two settings tie; a training came to nothing.
"""

import math

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def error_cases(rng):
    nan = math.nan

    def double(rows):
        return torch.tensor(rows, dtype=torch.float64)

    yield Case(
        "two methods, two settings, two seeds",
        double([[0.03, 0.02], [0.01, 0.04]]),
        double([[[0.02, 0.03], [0.05, 0.07]], [[0.04, 0.02], [0.01, 0.02]]]),
    )
    yield Case(
        "a tie",
        double([[0.03, 0.02, 0.02]]),
        double([[[0.03, 0.04], [0.05, 0.02], [0.01, 0.02]]]),
    )
    yield Case(
        "a training that diverged",
        double([[nan, 0.05, 0.03], [0.04, 0.02, nan]]),
        double(
            [[[0.09, 0.08], [0.02, 0.03], [0.04, 0.06]], [[0.01, 0.02], [0.05, 0.03], [nan, nan]]]
        ),
    )
    validation = torch.rand(5, 6, generator=rng, dtype=torch.float64)
    test = validation[..., None] + torch.rand(5, 6, 4, generator=rng, dtype=torch.float64)
    yield Case("five methods", validation, test)


def errors_in_loops(validation, test):
    found = []
    for tried, measured in zip(validation.tolist(), test.tolist(), strict=True):
        finished = [k for k, error in enumerate(tried) if not math.isnan(error)]
        best = min(finished, key=lambda k: tried[k])
        found.append(sum(measured[best]) / len(measured[best]))
    return found


EXERCISE = Exercise(
    title="A fair comparison",
    difficulty=2,
    minutes=8,
    hints=[
        "For each method: which setting has the smallest validation error? Only then look at the "
        "test errors, and of that setting alone.",
        "`argmin` returns the place of a NaN, if there is one: turn it into infinity first, "
        '`torch.nan_to_num(validation, nan=float("inf"))`.',
        "`test[range(len(test)), chosen]` takes one setting of each method: (methods, seeds).",
    ],
    cases=error_cases,
    oracle=errors_in_loops,
    on_device=False,
    done="Every method got the same number of settings: with more tries the best looks better.",
)


def _chosen(errors):
    return torch.nan_to_num(errors, nan=math.inf).argmin(1)


@EXERCISE.variant
def errors_of_numpy(validation, test):
    chosen = np.nanargmin(validation.numpy(), axis=1)
    return np.take_along_axis(test.numpy(), chosen[:, None, None], axis=1)[:, 0].mean(1)


@EXERCISE.variant
def errors_by_gather(validation, test):
    return test.mean(2).gather(1, _chosen(validation)[:, None])[:, 0]


@EXERCISE.mistake(
    "chosen on the test images",
    "The setting is the one with the smallest test error: the test images then decide what they "
    "are to judge, and the error comes out too small. Choose by `validation`.",
)
def chosen_on_test(validation, test):
    mean = torch.nan_to_num(test.mean(2), nan=math.inf)
    return mean.amin(1)


@EXERCISE.mistake(
    "the best seed",
    "This is the error of the best seed. Which seed is the best is known after the test only: "
    "take the mean over all of them.",
)
def best_seed(validation, test):
    return test[torch.arange(len(test)), _chosen(validation)].amin(1)


@EXERCISE.mistake(
    "the first seed",
    "This is the error of the first seed alone: the mean over all is asked for.",
)
def first_seed(validation, test):
    return test[torch.arange(len(test)), _chosen(validation), 0]


@EXERCISE.mistake(
    "all settings",
    "This is the mean over all settings, good and bad: it punishes a method for what was tried and "
    "dropped. First choose one by its validation error.",
)
def all_settings(validation, test):
    return test.nanmean(dim=(1, 2))


@EXERCISE.mistake(
    "one setting for all methods",
    "All methods get the same setting, the one that is best on average or for the first method: "
    "each method has a best setting of its own.",
)
def setting_of_the_first(validation, test):
    return test[:, _chosen(validation)[0]].mean(1)


@EXERCISE.mistake(
    "validation errors",
    "These are the validation errors of the chosen settings. They were made small by choosing, and "
    "are too good for that: report the test errors.",
)
def validation_errors(validation, test):
    return torch.nan_to_num(validation, nan=math.inf).amin(1)


@EXERCISE.mistake(
    "diverged and chosen",
    "A training that came to nothing (NaN) is chosen: `argmin` returns the place of a NaN.",
)
def diverged(validation, test):
    return test[torch.arange(len(test)), validation.argmin(1)].mean(1)


@EXERCISE.mistake(
    "the last of equals",
    "Of two settings with the same validation error the later one is chosen: take the first, so "
    "that the choice does not depend on the test errors.",
)
def last_of_equals(validation, test):
    tried = torch.nan_to_num(validation, nan=math.inf)
    last = tried.shape[1] - 1 - tried.flip(1).argmin(1)
    return test[torch.arange(len(test)), last].mean(1)


@EXERCISE.mistake(
    "the worst",
    "The setting with the largest validation error is chosen.",
)
def worst(validation, test):
    found = torch.nan_to_num(validation, nan=-math.inf).argmax(1)
    return test[torch.arange(len(test)), found].mean(1)
