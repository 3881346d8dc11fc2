"""`transfer-cell`, lesson 05: images that were right and are wrong now, and the other way round.

In a difference of two error rates they cancel.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def cell_cases(rng):
    yield Case(
        "five images",
        torch.tensor([0, 1, 2, 2, 1]),
        torch.tensor([0, 0, 2, 1, 2]),
        torch.tensor([0, 1, 2, 0, 2]),
    )

    def draw(n):
        return torch.randint(10, (n,), generator=rng)

    labels = draw(60)
    clean = torch.where(torch.rand(60, generator=rng) < 0.3, draw(60), labels)
    moved = torch.where(torch.rand(60, generator=rng) < 0.4, draw(60), clean)
    yield Case("sixty images, many misread from the start", clean, moved, labels)
    yield Case("nothing happens", clean, clean.clone(), labels)
    yield Case("all is read correctly at first", labels.clone(), moved, labels)


def cell_by_counting(clean, adversarial, labels):
    rows = list(zip(clean.tolist(), adversarial.tolist(), labels.tolist(), strict=True))
    had = [a for c, a, y in rows if c == y]
    lost = sum(a != y for c, a, y in rows if c == y)
    error = sum(a != y for _, a, y in rows) / len(rows)
    return error, 1 - len(had) / len(rows), lost / len(had)


EXERCISE = Exercise(
    title="One cell of the table",
    difficulty=1,
    minutes=4,
    hints=[
        "Two of the three numbers are error rates: what is said, compared with the labels.",
        "The third one is about the images with `clean == labels` only. Which share of *those* is "
        "read as something else now?",
    ],
    cases=cell_cases,
    parts=("wrong after", "wrong before", "wrong after, of those right before"),
    oracle=cell_by_counting,
    done="The error, the error that was there before, and the share that was fooled.",
)


@EXERCISE.variant
def cell_of_numpy(clean, adversarial, labels):
    c, a, y = (t.cpu().numpy() for t in (clean, adversarial, labels))
    return np.mean(a != y), np.mean(c != y), np.mean(a[c == y] != y[c == y])


@EXERCISE.variant
def cell_of_changes(clean, adversarial, labels):
    """Among those that were right, to be wrong is to have changed."""
    right = (clean == labels).double()
    error, before = ((t != labels).double().mean() for t in (adversarial, clean))
    return torch.stack([error, before, ((adversarial != clean) * right).sum() / right.sum()])


EXERCISE.mistake(
    "clean errors as fooled",
    "Every image that is wrong now counts as fooled, also those that the network misread "
    "before anybody changed them: only images that it had right can be fooled.",
    ("wrong[right]", "wrong"),
)

EXERCISE.mistake(
    "over all images",
    "The newly wrong images are counted, but divided by all images: an image that was "
    "wrong from the start could not be fooled and does not belong in the denominator.",
    ("wrong[right]", "(wrong & right)"),
)

EXERCISE.mistake(
    "error minus clean error",
    "This is the difference of the two error rates. Images that were wrong and are right "
    "now hide as many fooled ones in it: look at the images that were right.",
    ("wrong[right].double().mean()", "wrong.double().mean() - (~right).double().mean()"),
)

EXERCISE.mistake(
    "error minus clean error, over the right ones",
    "This is the difference of the two error rates over the share that was right. Images "
    "that were wrong and are right now still hide as many fooled ones in it: count the "
    "images that were right and are wrong now.",
    (
        "wrong[right].double().mean()",
        "(wrong.double() - (~right).double()).mean() / right.double().mean()",
    ),
)

EXERCISE.mistake(
    "any change",
    "Every change of mind counts here, also from one wrong class to another, or to the "
    "right one: fooled means right before and wrong now.",
    ("wrong[right]", "(adversarial != clean)"),
)

EXERCISE.mistake(
    "right after all",
    "The third number is the share that stays right: the share that is fooled is asked for.",
    ("wrong[right]", "(~wrong)[right]"),
)

EXERCISE.mistake(
    "accuracies",
    "The first two numbers are accuracies: an error rate is the share that is not the label.",
    ("return wrong", "return (~wrong)"),
    ("(~right)", "right"),
)

EXERCISE.mistake(
    "before and after exchanged",
    "The two error rates are exchanged: first the one on the adversarial images.",
    (
        "wrong.double().mean(), (~right).double().mean()",
        "(~right).double().mean(), wrong.double().mean()",
    ),
)

EXERCISE.mistake(
    "in per cent",
    "These are per cent: shares are asked for, 0.5 for a half.",
    (
        "wrong.double().mean(), (~right).double().mean(), fooled",
        "100 * wrong.double().mean(), 100 * (~right).double().mean(), 100 * fooled",
    ),
)

EXERCISE.mistake(
    "numbers of images",
    "These are numbers of images: shares are asked for.",
    ("wrong[right].double().mean()", "wrong[right].sum()"),
    (
        "wrong.double().mean(), (~right).double().mean()",
        "wrong.sum(), (~right).sum()",
    ),
)

EXERCISE.mistake(
    "changed for wrong",
    "The first number is the share of images whose class has changed: an error is counted against "
    "the labels.",
    ("return wrong", "return (adversarial != clean)"),
)

EXERCISE.mistake(
    "fooled first",
    "The numbers are right, in another order: wrong after, wrong before, fooled.",
    (
        "wrong.double().mean(), (~right).double().mean(), fooled",
        "fooled, wrong.double().mean(), (~right).double().mean()",
    ),
)
