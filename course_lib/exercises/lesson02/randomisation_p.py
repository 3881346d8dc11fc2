"""`randomisation-p`, lesson 02: units beyond all bases, among them, and tied with some.

The oracle ranks means that it has rounded, so that a tie is a tie in any order of summation.
"""

import warnings

import numpy as np
import scipy.stats
import torch

from course_lib import units
from course_lib.exercises import Case, Exercise


def randomisation_cases(rng):
    def case(label, shift, bases, width, step=None):
        table = torch.rand(bases, width, generator=rng, dtype=torch.float64)
        seen = table.mean(1).sort().values
        level = shift(seen)
        spread = torch.randn(width, generator=rng, dtype=torch.float64) * 0.2
        return Case(label, level + spread - spread.mean(), table)

    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    tied = torch.tensor([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0], [0.75, 0.75], [0.75, 0.5]])
    yield Case("equal means, five bases", half, tied.double())
    yield Case("equal means and lower ones", half, 1 - tied.double())
    yield case("below all 39", lambda s: s[0] - 1e-3, 39, 6)
    yield case("above all 19", lambda s: s[-1] + 1e-3, 19, 8)
    yield case("in the middle", lambda s: (s[9] + s[10]) / 2, 20, 5)
    yield case("above most", lambda s: (s[-4] + s[-3]) / 2, 59, 12)
    yield case("below most", lambda s: (s[4] + s[5]) / 2, 99, 10)
    yield case("as many bases as units", lambda s: (s[1] + s[2]) / 2, 9, 9)


def p_by_rank(units, bases):
    seen = round(float(units.mean()), 9)
    others = [round(float(row.mean()), 9) for row in bases]
    above = 1 + sum(value >= seen for value in others)
    below = 1 + sum(value <= seen for value in others)
    return min(1.0, 2 * min(above, below) / (len(others) + 1))


EXERCISE = Exercise(
    title="A randomisation test of a basis",
    difficulty=3,
    minutes=8,
    hints=[
        "Reduce first: one number for the units, `units.mean()`, and one per basis, "
        "`bases.mean(1)`. How many bases lie at or above the units, how many at or below?",
        "If the units were a basis like the others, every rank of theirs among all 1 + B would be "
        "equally likely: hence (1 + count) / (1 + B) on each side.",
        "Two sides: twice the smaller of the two, and at most 1.",
    ],
    cases=randomisation_cases,
    oracle=p_by_rank,
    twins=[units.randomisation_p],
    done="The smallest p that B bases can give is 2 / (1 + B).",
)


@EXERCISE.variant
def p_of_pool(units, bases):
    """The units as one more basis among the others."""
    pool = np.append(bases.cpu().numpy().mean(1), units.cpu().numpy().mean()).round(9)
    sides = (pool >= pool[-1]).mean(), (pool <= pool[-1]).mean()
    return min(1, 2 * min(sides))


@EXERCISE.variant
def p_of_scipy(units, bases):
    chance, seen = bases.mean(1).cpu().numpy().round(9), round(float(units.mean()), 9)
    tails = [
        scipy.stats.percentileofscore(sign * chance, sign * seen, kind="weak") / 100
        for sign in (1, -1)
    ]
    n = len(chance)
    return min(1.0, 2 * min((1 + t * n) / (1 + n) for t in tails))


EXERCISE.mistake(
    "no + 1",
    "The units themselves are not counted, so p can be 0, which no finite number of bases "
    "can show: (1 + count) / (1 + B).",
    ("2 * (1 + min(above, below)) / (1 + len(chance))", "2 * min(above, below) / len(chance)"),
)

EXERCISE.mistake(
    "+ 1 above only",
    "The + 1 belongs to both: the units are one more basis in the count and in the number "
    "of bases.",
    ("(1 + len(chance))", "len(chance)"),
)

EXERCISE.mistake(
    "directions as n",
    "Every direction of every basis counts as a draw of its own. The test asks how the "
    "mean over a whole basis varies: reduce each basis to its mean first.",
    ("bases.mean(dim=1)", "bases.flatten()"),
)


@EXERCISE.mistake(
    "a t test over directions",
    "This is a t test with the directions as n. The directions of a basis share their "
    "layer and are not independent, and thousands of them make anything significant: the "
    "basis is the unit of chance.",
)
def _t_test(units, bases):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's, about units that are all alike
        found = scipy.stats.ttest_ind(units.cpu().numpy(), bases.flatten().cpu().numpy())
    return float(found.pvalue)


EXERCISE.mistake(
    "one side (above)",
    "This is the p-value of one side, above: units may also be less meaningful. Twice "
    "the smaller side.",
    (
        "min(1.0, 2 * (1 + min(above, below)) / (1 + len(chance)))",
        "(1 + above) / (1 + len(chance))",
    ),
)

EXERCISE.mistake(
    "one side (below)",
    "This is the p-value of one side, below: units may also be more meaningful. Twice "
    "the smaller side.",
    (
        "min(1.0, 2 * (1 + min(above, below)) / (1 + len(chance)))",
        "(1 + below) / (1 + len(chance))",
    ),
)

EXERCISE.mistake(
    "the smaller side, not doubled",
    "The smaller side is picked after looking at the data, which is two tests: double it.",
    ("2 * (1 +", "(1 +"),
)

EXERCISE.mistake(
    "above 1",
    "A p-value is at most 1: where both sides hold more than half, cap it.",
    (
        "min(1.0, 2 * (1 + min(above, below)) / (1 + len(chance)))",
        "2 * (1 + min(above, below)) / (1 + len(chance))",
    ),
)

EXERCISE.mistake(
    "ties not counted",
    "A basis exactly as good as the units is as extreme as they are: count with >= and "
    "<=, not > and <.",
    ("chance >= seen", "chance > seen"),
    ("chance <= seen", "chance < seen"),
)


@EXERCISE.mistake(
    "distance from the middle",
    "This counts the bases that lie as far from the bases' mean, on either side: a fair "
    "test if they spread symmetrically, and another one. Twice the smaller side is asked "
    "for.",
)
def _from_the_middle(units, bases):
    seen, chance = units.mean(), bases.mean(1)
    far = (chance - chance.mean()).abs() >= (seen - chance.mean()).abs() - 1e-9
    return float((1 + far.sum()) / (1 + len(chance)))


@EXERCISE.mistake(
    "a normal distribution",
    "This takes the means of bases for normally distributed: no need to assume that when "
    "they can be counted.",
)
def _normal(units, bases):
    chance = bases.mean(1)
    z = float((units.mean() - chance.mean()) / chance.std())
    return 2 * scipy.stats.norm.sf(abs(z))


EXERCISE.mistake(
    "along the bases",
    "The mean runs over the bases of each direction: it is over the directions of each basis, "
    "`bases.mean(dim=1)`.",
    ("bases.mean(dim=1)", "bases.mean(dim=0)"),
)

EXERCISE.mistake(
    "the best unit",
    "The best unit is compared with the best direction of each basis: the means are compared.",
    ("units.mean(), bases.mean(dim=1)", "units.max(), bases.amax(dim=1)"),
)

EXERCISE.mistake(
    "the larger side",
    "This is twice the larger side: a p-value takes the side on which fewer bases lie.",
    ("min(above, below)", "max(above, below)"),
)

EXERCISE.mistake(
    "the first unit",
    "Only the first unit is compared: the units' mean stands for them.",
    ("units.mean()", "units[0]"),
)
