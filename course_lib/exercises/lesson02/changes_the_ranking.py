"""`changes-the-ranking`, lesson 02: eight questions, each with a mistake of its own.

The oracle tries every change on random activations.
"""

import numpy as np

from course_lib.exercises import Case, Exercise

CHANGES = {
    "centre": (
        False,
        "Subtracting each unit's mean takes the same number, <mean, v>, from every image's score: "
        "no image overtakes another.",
    ),
    "longer": (
        False,
        "A direction three times as long makes all scores three times as large: their order stays.",
    ),
    "opposite": (
        True,
        "The opposite direction reverses the order: its strongest images were the weakest.",
    ),
    "loud unit": (
        True,
        "One unit's share of every score grows and the others' do not: a mixture is ranked "
        "otherwise (a single unit would not be).",
    ),
    "shifted direction": (
        True,
        "Adding 1 to every entry of v adds the sum of the image's activations to its score, and "
        "that sum differs from image to image.",
    ),
    "unit through sigmoid": (
        False,
        "The sigmoid is increasing: for one unit the order before it is the order after it, but "
        "for ties that come from rounding.",
    ),
    "mixture through sigmoid": (
        True,
        "The sigmoid squeezes each unit by another amount before they are added up: for a mixture "
        "the order changes.",
    ),
    "bias": (
        True,
        "A bias inside the sigmoid moves images by different amounts, little where the unit is "
        "saturated: for a mixture the order changes. Outside, it would be a constant.",
    ),
}


def change_cases(rng):
    for change in CHANGES:
        yield Case(change, change)


def changes_by_trial(change):
    rng = np.random.default_rng(0)
    z, v = rng.normal(size=(50, 4)), rng.normal(size=4)
    h = 1 / (1 + np.exp(-z))
    e = np.eye(4)[0]
    before, after = {
        "centre": (h @ v, (h - h.mean(0)) @ v),
        "longer": (h @ v, h @ (3 * v)),
        "opposite": (h @ v, -(h @ v)),
        "loud unit": (h @ v, (h * [3, 1, 1, 1]) @ v),
        "shifted direction": (h @ v, h @ (v + 1)),
        "unit through sigmoid": (z @ e, h @ e),
        "mixture through sigmoid": (z @ v, h @ v),
        "bias": (h @ v, 1 / (1 + np.exp(-z - np.eye(4)[1])) @ v),
    }[change]
    return bool((before.argsort() != after.argsort()).any())


EXERCISE = Exercise(
    title="What changes the ranking?",
    difficulty=2,
    minutes=5,
    hints=[
        "Write the score as a sum, Σ v_i h_i, and ask of each change: does it add the same to "
        "every image's score, or multiply every score by the same positive number?",
        "For a sigmoid: does it matter whether you add first and squeeze then, or the other way "
        "round? And if there is only one term to add?",
    ],
    cases=change_cases,
    oracle=changes_by_trial,
    unattempted='There is still a question mark: write `True` or `False` in place of every "?".',
    done="Order survives where every image's score goes through the same increasing function.",
)


@EXERCISE.variant
def changes_listed(change):
    changing = "opposite", "loud unit", "shifted direction", "mixture through sigmoid", "bias"
    return change in changing


EXERCISE.variant(changes_by_trial)


@EXERCISE.variant
def changes_in_numbers(change):
    return int(changes_listed(change))


@EXERCISE.probe
def the_first_that_is_wrong(answer):
    """A probe, for several wrong answers at once: the reason of the first of them."""
    wrong = [why for name, (changes, why) in CHANGES.items() if bool(answer(name)) != changes]
    return wrong[0] if wrong else None


def _flipped(*names):
    def wrong(change):
        return CHANGES[change][0] != (change in names)

    return wrong


for name, (_, why) in CHANGES.items():
    EXERCISE.mistake(f"wrong: {name}", why, _flipped(name))

EXERCISE.mistake(
    "everything does",
    "Not everything does: adding the same number to every score, or multiplying all scores "
    "by the same positive number, leaves their order alone.",
    lambda change: True,
)

EXERCISE.mistake(
    "nothing does",
    "Some do: a change that treats images differently can reverse two of them. Begin with "
    "the opposite direction.",
    lambda change: False,
)

EXERCISE.mistake(
    "everything but the sign",
    "You let the two sigmoid questions have the same answer: for one unit an increasing "
    "function changes no order, for a mixture it does.",
    _flipped("mixture through sigmoid", "unit through sigmoid"),
)
