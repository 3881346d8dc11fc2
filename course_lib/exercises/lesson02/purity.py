"""The cases, right and wrong answers of `purity`, lesson 02."""

from collections import Counter

import numpy as np
import torch

from course_lib import units
from course_lib.exercises import Case, Exercise

from .shared import purity_by_mode


def purity_cases(rng):
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    yield Case("one row of four", labels, torch.tensor([[0, 2, 3, 5]]))
    labels = torch.randint(0, 4, (30,), generator=rng)
    yield Case("five rows of eight", labels, torch.randint(0, 30, (5, 8), generator=rng))
    labels = torch.randint(0, 10, (60,), generator=rng)
    yield Case("ten classes", labels, torch.randint(0, 60, (12, 8), generator=rng))
    yield Case("a pure row and a mixed one", torch.tensor([7, 7, 7, 3, 9, 1]), _rows())

    # the most frequent label is not the first, nor the largest, nor that of a majority
    labels = torch.tensor([3, 5, 5, 8, 8, 8, 1, 0, 9, 2])
    top = torch.tensor([[0, 1, 3, 4, 5, 2, 6, 7], [8, 9, 1, 2, 0, 7, 6, 3]])
    yield Case("no label has the majority", labels, top)
    yield Case("rows of one image", labels, torch.tensor([[0], [4], [9]]))


def _rows():
    return torch.tensor([[0, 1, 2], [2, 3, 4]])


def purity_by_counter(labels, top):
    rows = labels.numpy()[top.numpy()]
    return np.array([max(Counter(row.tolist()).values()) / len(row) for row in rows])


EXERCISE = Exercise(
    title="The purity of a row",
    difficulty=1,
    minutes=5,
    hints=[
        "`labels[top]` is (M, k): the labels of every row. How often does each row's most frequent "
        "label occur in it?",
        "`torch.nn.functional.one_hot(labels[top], classes).sum(1)` counts the labels of each row; "
        "or compare each row with its `.mode(dim=1).values`.",
    ],
    cases=purity_cases,
    oracle=purity_by_counter,
    twins=[units.purity],
    done="1 for a row of one label, and never below 1/k.",
)

EXERCISE.variant(purity_by_mode)


@EXERCISE.variant
def purity_by_pairs(labels, top):
    rows = labels[top]
    alike = rows[:, :, None] == rows[:, None, :]
    return alike.sum(2).amax(1) / top.shape[1]


@EXERCISE.variant
def purity_loop(labels, top):
    found = []
    for row in top.tolist():
        seen = [int(labels[i]) for i in row]
        found.append(max(seen.count(c) for c in seen) / len(seen))
    return torch.tensor(found)


@EXERCISE.variant
def purity_list(labels, top):
    return [int(torch.bincount(row).max()) / len(row) for row in labels[top]]


def _of_rows(f):
    return lambda labels, top: f(labels[top])


EXERCISE.mistake(
    "the strongest image's label",
    "This counts the images that have the strongest image's label. The strongest may be "
    "the odd one out: count the row's most frequent label.",
    _of_rows(lambda rows: (rows == rows[:, :1]).double().mean(1)),
)


def agreement(rows):
    k = rows.shape[1]
    alike = (rows[:, :, None] == rows[:, None, :]).sum((1, 2)) - k
    return alike / (k * (k - 1))


EXERCISE.mistake(
    "pairs that agree",
    "This is the share of pairs with equal labels, a fair measure, but another one: the "
    "share of images with the most frequent label is asked for.",
    _of_rows(agreement),
)

EXERCISE.mistake(
    "one label for all rows",
    "One label, the most frequent of all rows together, is counted in every row: each row "
    "has its own.",
    _of_rows(lambda rows: (rows == rows.flatten().mode().values).double().mean(1)),
)

EXERCISE.mistake(
    "number of labels",
    "This is one over the number of different labels: a row with seven sevens and a two "
    "would count as much as one with four of each.",
    _of_rows(lambda rows: torch.tensor([1 / len(set(row.tolist())) for row in rows])),
)

EXERCISE.mistake(
    "return inside the loop",
    "One number came back, the first row's: is the `return` inside the loop?",
    lambda labels, top: purity_by_mode(labels, top)[0],
)

EXERCISE.mistake(
    "divided by 8",
    "The counts are divided by 8, whatever the length of a row: it is `top.shape[1]`.",
    lambda labels, top: purity_by_mode(labels, top) * top.shape[1] / 8,
)

EXERCISE.mistake(
    "the largest label",
    "This counts the images with the row's largest label: count the most frequent one.",
    _of_rows(lambda rows: (rows == rows.amax(1, keepdim=True)).double().mean(1)),
)

EXERCISE.mistake(
    "the labels of the first images",
    "The rows' own labels are not looked up: `top` holds places in `labels`, so it is "
    "`labels[top]`.",
    lambda labels, top: purity_by_mode(torch.arange(len(labels)), top),
)

EXERCISE.mistake(
    "a count",
    "This is the number of images with the most frequent label: divide it by k.",
    lambda labels, top: purity_by_mode(labels, top) * top.shape[1],
)

EXERCISE.mistake(
    "the label itself",
    "This is each row's most frequent label: how often does it occur?",
    _of_rows(lambda rows: rows.mode(dim=1).values),
)

EXERCISE.mistake(
    "mean over the rows",
    "One number came back, the mean over the rows: return each row's purity, (M,).",
    lambda labels, top: purity_by_mode(labels, top).mean(),
)
