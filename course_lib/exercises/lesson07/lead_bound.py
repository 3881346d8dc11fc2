"""`lead-bound`, lesson 07: the bound of two layers for the lead of one class over another."""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise

from .shared import drawn, spectral_norm


def lead_cases(rng):
    def double(rows):
        return torch.tensor(rows, dtype=torch.float64)

    yield Case("one hidden unit", double([[3.0]]), double([[2.0], [-1.0]]), 1.0, 0, 1)
    # the two classes share what the first unit says: their difference does not look at it
    shared = double([[5.0, 1.0], [5.0, -1.0], [0.0, 3.0]])
    yield Case(
        "a unit that both classes share", double([[9.0, 0.0], [0.0, 1.0]]), shared, 0.25, 0, 1
    )
    yield Case("the same, another pair", double([[9.0, 0.0], [0.0, 1.0]]), shared, 0.25, 2, 0)
    yield Case("sigmoids", 3 * drawn(rng, 5, 6), drawn(rng, 4, 5), 0.25, 1, 3)
    yield Case("rectified", drawn(rng, 6, 4), drawn(rng, 3, 6), 1.0, 2, 0)
    yield Case("slope 2", drawn(rng, 4, 5), drawn(rng, 3, 4), 2.0, 0, 2)
    yield Case("many units", drawn(rng, 20, 9), drawn(rng, 10, 20), 1.0, 7, 4)
    # in single precision little is left of the difference of these rows
    large = 1e6 + drawn(rng, 3, 5)
    yield Case("a large part that all classes share", drawn(rng, 5, 6), large, 0.25, 0, 1)
    yield Case("tiny weights", 1e-4 * drawn(rng, 5, 6), 1e-4 * drawn(rng, 3, 5), 0.25, 1, 2)


def lead_of_numpy(first, second, slope, y, j):
    """By an eigenvalue and two lengths: the lead's last layer has one row."""
    a, b = first.numpy(), second.numpy()[y] - second.numpy()[j]
    stretch = float(np.sqrt(max(np.linalg.eigvalsh(a @ a.T)[-1], 0.0)))
    length = np.sqrt((b**2).sum())
    return slope / 2 * (np.sqrt(((b @ a) ** 2).sum()) + length * stretch)


def two_layers(first, second, slope):
    """The bound of the exercise before."""
    product = spectral_norm(second) * spectral_norm(first)
    return slope / 2 * (spectral_norm(second @ first) + product)


EXERCISE = Exercise(
    title="How fast can a lead fall?",
    difficulty=2,
    minutes=5,
    hints=[
        "The lead z_y - z_j is an output like any other. Which row of weights computes it from the "
        "hidden units?",
        "Its row is second[y] - second[j]. A bound for two layers wants a matrix there, with one "
        "row: `[None]` or `[[...]]`.",
    ],
    cases=lead_cases,
    oracle=lead_of_numpy,
    on_device=False,
    atol=1e-12,
    done="One output, one row: whatever both classes share is gone before anything is bounded.",
)


@EXERCISE.variant
def lead_by_hand(first, second, slope, y, j):
    row = second[y] - second[j]
    bent = row.norm() * torch.linalg.svdvals(first)[0]
    return slope / 2 * ((row @ first).norm() + bent)


@EXERCISE.variant
def lead_of_arrays(first, second, slope, y, j):
    a, row = first.numpy(), np.diff(second.numpy()[[j, y]], axis=0)
    return slope * (np.linalg.norm(row @ a, 2) + np.linalg.norm(row) * np.linalg.norm(a, 2)) / 2


EXERCISE.mistake(
    "the whole network",
    "This is the bound of all logits together, for whichever pair: it is no bound of a lead, which "
    "can change by up to √2 times as much. The lead has a row of its own.",
    lambda first, second, slope, y, j: two_layers(first, second, slope),
)

EXERCISE.mistake(
    "√2 times the whole network",
    "This is √2 times the bound of all logits together: it holds, for every pair alike, and so it "
    "is too large for this one.",
    lambda first, second, slope, y, j: 2**0.5 * two_layers(first, second, slope),
)

EXERCISE.mistake(
    "two bounds added",
    "This is the bound of z_y plus the bound of z_j. It holds, but what the two have in common is "
    "counted twice, where the lead does not see it at all. Subtract the rows first.",
    lambda first, second, slope, y, j: (
        two_layers(first, second[y][None], slope) + two_layers(first, second[j][None], slope)
    ),
)

EXERCISE.mistake(
    "two bounds subtracted",
    "This is the bound of z_y minus that of z_j. Bounds cannot be subtracted: both logits can "
    "move, and in opposite directions. Subtract the rows.",
    lambda first, second, slope, y, j: (
        two_layers(first, second[y][None], slope) - two_layers(first, second[j][None], slope)
    ),
)

EXERCISE.mistake(
    "the sum of the rows",
    "This is the bound of z_y + z_j: the lead is their difference.",
    lambda first, second, slope, y, j: two_layers(first, (second[y] + second[j])[None], slope),
)

EXERCISE.mistake(
    "one row",
    "This is the bound of the logit z_y alone; j moves as well.",
    lambda first, second, slope, y, j: two_layers(first, second[y][None], slope),
)

EXERCISE.mistake(
    "the product",
    "This is s ‖w_y - w_j‖ ‖A‖, what `certificate` divides by: it holds, and the straight half "
    "of σ can still be multiplied out, as in `two_layer_bound`.",
    lambda first, second, slope, y, j: (
        slope * (second[y] - second[j]).norm() * spectral_norm(first)
    ),
)

EXERCISE.mistake(
    "both rows as a matrix",
    "This is the bound of the pair (z_y, z_j) as two outputs, not of their difference.",
    lambda first, second, slope, y, j: two_layers(first, second[[y, j]], slope),
)
