"""`certificate`, lesson 07: a smaller radius holds as well, and is only loose.

In one case a class behind the runner-up is reached first.
"""

import math

import numpy as np
import torch
from torch import nn

from course_lib.exercises import Case, Exercise

from .shared import drawn, spectral_norm


def certificate_cases(rng):
    def case(label, n, classes, hidden, below, bias=2.0, wrong=(), scale=1.0):
        last = scale * drawn(rng, classes, hidden)
        last = last * torch.linspace(0.3, 2.0, classes, dtype=torch.float64)[:, None]
        logits = 3 * drawn(rng, n, classes)
        labels = logits.argmax(1)
        for k in wrong:
            labels[k] = int(logits[k].argsort()[-2])
        logits[torch.arange(n), labels] += bias * (torch.arange(n) % 3 != 0)
        return Case(label, logits, labels, last, below)

    yield Case(
        "two classes",
        torch.tensor([[3.0, 1.0]]).double(),
        torch.tensor([0]),
        torch.tensor([[2.0, 0.0], [0.0, 1.0]]).double(),
        4.0,
    )
    yield Case(
        "the runner-up is far, another is near",
        torch.tensor([[4.0, 3.0, 1.0], [3.0, 4.0, 3.5]]).double(),
        torch.tensor([0, 1]),
        torch.tensor([[1.0, 0.0], [0.9, 0.1], [-9.0, 7.0]]).double(),
        2.0,
    )
    yield case("six images, five classes", 6, 5, 7, 3.5)
    yield case("below 1, small weights", 5, 4, 6, 0.2, scale=0.1)
    yield case("some misclassified", 9, 6, 5, 1.7, bias=0.0, wrong=(0, 4, 7))
    # no large radius beside them, of which a millionth would be allowed
    yield case("all misclassified, below a thousandth", 6, 5, 7, 1e-3, bias=0.0, wrong=range(6))
    yield Case(
        "a tie",
        torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]]).double(),
        torch.tensor([1, 1]),
        torch.tensor([[1.0, 0.5], [-0.5, 2.0], [1.5, -1.0]]).double(),
        0.7,
    )
    yield Case(  # in single precision the lead is a twentieth too large
        "a small lead of large logits",
        torch.tensor([[900.0, 900.0 - 3.5e-4, 4.0]], dtype=torch.float64),
        torch.tensor([0]),
        torch.tensor([[1.0, 0.5], [-0.5, 2.0], [1.5, -1.0]]).double(),
        1.3,
    )
    yield Case(
        "one direction for all classes",
        torch.tensor([[2.0, -1.0], [0.5, 1.0]]).double(),
        torch.tensor([0, 0]),
        torch.tensor([[3.0, 0.0], [-3.0, 0.0]]).double(),
        1.5,
    )


def certificate_in_loops(logits, labels, last, below):
    z, y, w = logits.numpy(), labels.numpy(), last.numpy()
    radii = []
    for i in range(len(z)):
        others = [j for j in range(z.shape[1]) if j != y[i]]
        leads = [(z[i, y[i]] - z[i, j]) / (math.dist(w[y[i]], w[j]) * float(below)) for j in others]
        radii.append(max(0.0, min(leads)))
    return np.array(radii)


EXERCISE = Exercise(
    title="A radius with a proof",
    difficulty=3,
    minutes=12,
    hints=[
        "All leads at once: z_y - z_j has the shape (N, classes), with z_y from "
        "`logits.gather(1, labels[:, None])`.",
        "All distances between rows at once: `(last[labels][:, None] - last).norm(dim=2)`, again "
        "(N, classes).",
        "For j = y both are 0, and 0/0 is no radius: put infinity there (`scatter`, `masked_fill`) "
        "before taking the minimum over j.",
        "A misclassified image has a negative lead somewhere: nothing can be promised, so its "
        "radius is 0.",
    ],
    cases=certificate_cases,
    oracle=certificate_in_loops,
    valid=lambda got, want, case: bool(
        np.isfinite(got).all() and (got >= 0).all() and (got <= want * (1 + 1e-9)).all()
    ),
    loose="No image gets a larger radius than it should, so all of it holds, but more can be "
    "promised.",
    on_device=False,
    done="Within this radius no change of the image, in the box or not, leads to another class.",
)


@EXERCISE.variant
def certificate_with_cdist(logits, labels, last, below):
    apart = torch.cdist(last, last)[labels] * below
    own = nn.functional.one_hot(labels, logits.shape[1]).bool()
    lead = (logits * own).sum(1, keepdim=True) - logits
    radii = torch.where(own, math.inf, lead / apart.masked_fill(own, 1.0))
    return torch.relu(radii.min(dim=1).values)


@EXERCISE.variant
def certificate_image_by_image(logits, labels, last, below):
    found = []
    for z, y in zip(logits, labels, strict=True):
        rest = torch.arange(len(z), device=z.device) != y
        leads = (z[y] - z[rest]) / torch.linalg.norm(last[y] - last[rest], dim=1)
        least = leads.min() / below
        found.append(least if z.argmax() == y else 0 * least)
    return torch.stack(found)


def _margin(logits, labels):
    own = nn.functional.one_hot(labels, logits.shape[1]).bool()
    return (logits[own] - logits.masked_fill(own, -math.inf).amax(1)).clamp(min=0)


def _margin_over(factor):
    def wrong(logits, labels, last, below):
        return _margin(logits, labels) / (factor * spectral_norm(last) * below)

    return wrong


EXERCISE.mistake(
    "margin over L",
    "This is the margin over L = ‖W‖ · below. It promises too much: one logit may rise "
    "while the other falls, and their difference changes by up to ‖w_y - w_j‖ · below "
    "times ‖r‖, which can exceed L ‖r‖.",
    _margin_over(1.0),
)

EXERCISE.mistake(
    "margin over 2L",
    "This is the margin over 2L, with L = ‖W‖ · below: each logit moves by L‖r‖ at most, "
    "their difference by twice that. It holds, but ‖w_y - w_j‖ is smaller than 2‖W‖.",
    _margin_over(2.0),
    loose=True,
)

EXERCISE.mistake(
    "margin over √2 L",
    "This is the margin over √2 L, with L = ‖W‖ · below. It holds, and is the best that L "
    "alone can give; but for most pairs of classes ‖w_y - w_j‖ is smaller than √2 ‖W‖.",
    _margin_over(math.sqrt(2)),
    loose=True,
)


@EXERCISE.mistake(
    "the runner-up by margin",
    "Only the class with the second-largest logit is looked at. Another class, further "
    "behind, can be reached sooner, if its weights differ more: take the minimum of the "
    "quotients.",
)
def runner_up_by_margin(logits, labels, last, below):
    own = nn.functional.one_hot(labels, logits.shape[1]).bool()
    second = logits.masked_fill(own, -math.inf).argmax(1)
    lead = logits[own] - logits.gather(1, second[:, None])[:, 0]
    return (lead / (last[labels] - last[second]).norm(dim=1)).clamp(min=0) / below


EXERCISE.mistake(
    "distortion",
    "This is in units of distortion, 28 times less than the L2 radius that is asked for. "
    "Taken as an L2 radius it holds, and is far too small.",
    ("lead / (apart * below)", "lead / (apart * below) / 28"),
    loose=True,
)

EXERCISE.mistake(
    "single precision",
    "Somewhere the numbers have become float32 (`.float()`). Where the logits are large and the "
    "lead is small, their difference has hardly a digit left, and the radius comes out too large: "
    "a proof must not be lost in rounding. Stay in double precision.",
    ("lead = ", "logits = logits.float()\n    lead = "),
)

EXERCISE.mistake(
    "misclassified images certified",
    "Images that are misclassified get a radius: it is that of the class the network "
    "gives, and says that the mistake is stable. For the label nothing is promised, so "
    "their radius is 0.",
    ("lead = ", "labels = logits.argmax(1)\n    lead = "),
)

EXERCISE.mistake(
    "negative radii",
    "Misclassified images have a negative radius here: it is 0, for there is nothing to promise.",
    (".clamp(min=0)", ""),
)

EXERCISE.mistake(
    "0/0",
    "For j = y the quotient is 0/0, and its NaN is the minimum: take j = y out.",
    ("radii = radii.scatter(1, labels[:, None], math.inf)", ""),
)

EXERCISE.mistake(
    "y among the others",
    "All radii are 0: the class y itself is among the j, with a lead of 0 over itself. "
    "Take it out. A radius of 0 holds, and promises nothing.",
    (
        "radii = radii.scatter(1, labels[:, None], math.inf)",
        "radii = radii.scatter(1, labels[:, None], 0.0)",
    ),
    loose=True,
)

EXERCISE.mistake(
    "‖w_j‖",
    "The quotient has ‖w_j‖: what moves is the difference of two logits, and that has the "
    "weights w_y - w_j.",
    ("(last[labels][:, None] - last).norm(dim=2)", "last.norm(dim=1)"),
)

EXERCISE.mistake(
    "‖w_y‖ + ‖w_j‖",
    "The quotient has ‖w_y‖ + ‖w_j‖, as if both logits always moved against each other. It "
    "holds, by the triangle inequality, but ‖w_y - w_j‖ is smaller.",
    (
        "(last[labels][:, None] - last).norm(dim=2)",
        "last[labels].norm(dim=1)[:, None] + last.norm(dim=1)",
    ),
    loose=True,
)

EXERCISE.mistake(
    "‖w_y - w_j‖²",
    "The quotient has the square of ‖w_y - w_j‖: that is the multiplier μ of lesson 03 "
    "and not the distance.",
    (".norm(dim=2)", ".square().sum(dim=2)"),
)

EXERCISE.mistake(
    "nothing below",
    "The layers below are left out: this is how far the last hidden layer would have to "
    "move. A change of the image can arrive there `below` times as large.",
    ("(apart * below)", "apart"),
)

EXERCISE.mistake(
    "times below",
    "The bound of the layers below multiplies: the more they stretch, the smaller the radius.",
    ("(apart * below)", "apart * below"),
)
