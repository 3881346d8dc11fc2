"""`layer-step`, lesson 08: a step of a given length at a layer's output, and the units' range.

Rectified units have no upper wall; rows' gradients differ much in length, and some are 0.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from course_lib import robust
from course_lib.exercises import Case, Exercise

from .shared import classes, doubles, little_network


def step_cases(rng):
    yield Case(
        "one linear layer",
        little_network(rng, 3, 2),
        doubles(rng, 2, 3) / 2 + 0.25,
        torch.tensor([0, 1]),
        0.1,
        1.0,
    )
    yield Case(
        "sigmoid units near their walls",
        little_network(rng, 8, 6, 4),
        (4 * doubles(rng, 7, 8) - 2).sigmoid().round(decimals=1),
        classes(rng, 7, 4),
        0.9,
        1.0,
    )
    yield Case(
        "rectified units",
        little_network(rng, 9, 7, 5, activation=nn.ReLU),
        3 * (doubles(rng, 6, 9) - 0.3).clamp_min(0),
        classes(rng, 6, 5),
        1.5,
        math.inf,
    )
    yield Case(
        "a short step",
        little_network(rng, 5, 4, 3),
        doubles(rng, 9, 5),
        classes(rng, 9, 3),
        0.01,
        1.0,
    )


def step_row_by_row(above, values, labels, length, ceiling):
    rows = []
    for value, label in zip(values, labels, strict=True):
        gradient = torch.func.grad(lambda h, y=label: -above(h).log_softmax(0)[y])(value)
        norm = float(gradient.square().sum().sqrt())
        moved = value + length * gradient / norm if norm else value
        rows.append(moved.clamp(0, ceiling).detach())
    return torch.stack(rows)


EXERCISE = Exercise(
    title="A step at a layer's output",
    difficulty=3,
    minutes=12,
    hints=[
        "`above` is a network like any other, with `values` as its images: make them a leaf that "
        "wants a gradient, compute the loss, and ask `torch.autograd.grad` for it.",
        "Every row gets a step of its own: divide each row by its own norm, which "
        "`F.normalize(gradient, dim=1)` does; a row of zeros it leaves as it is. (A mean over the "
        "batch shrinks all gradients alike, and has no effect on directions.)",
        "The activations of a sigmoid lie in [0, 1], those of a rectified unit in [0, ∞): "
        "`clamp(0, ceiling)` knows both.",
    ],
    cases=step_cases,
    oracle=step_row_by_row,
    twins=[robust.single_step],
    on_device=False,
    done="No image need exist that makes these activations: above the layer nobody can tell.",
)


def _gradient(above, values, labels):
    h = values.detach().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(above(h), labels), h)[0]


@EXERCISE.variant
def step_by_backward(above, values, labels, length, ceiling):
    h = values.clone().requires_grad_()
    loss = F.cross_entropy(above(h), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, [h])
    norms = gradient.square().sum(1, keepdim=True).sqrt()
    return (h + length / norms.clamp_min(1e-300) * gradient).detach().clamp(0, ceiling)


@EXERCISE.variant
def step_of_vmap(above, values, labels, length, ceiling):
    def loss(h, y):
        return F.cross_entropy(above(h)[None], y[None])

    gradient = torch.func.vmap(torch.func.grad(loss))(values, labels)
    moved = values + length * F.normalize(gradient, dim=1)
    return torch.minimum(moved.clamp_min(0), torch.tensor(float(ceiling)).double()).detach()


HISTORY = (
    "The step is right, but it carries autograd's history: a pool of such examples would keep the "
    "computation of each in memory. Return a tensor without it, by `.detach()`."
)


@EXERCISE.probe(only_right=True)
def has_history(answer):
    """A probe: what comes back asks for no gradient."""
    above, values = nn.Linear(3, 2), torch.full((2, 3), 0.5)
    found = answer(above, values, torch.tensor([0, 1]), 0.1, 1.0)
    return HISTORY if getattr(found, "requires_grad", False) else None


@EXERCISE.mistake("history", HISTORY)
def step_with_history(above, values, labels, length, ceiling):
    h = values.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(above(h), labels), h)
    return (h + length * F.normalize(gradient, dim=1)).clamp(0, ceiling)


EXERCISE.mistake(
    "out of range",
    "Some activations leave the range of the units: a sigmoid never puts out less than 0 or more "
    "than 1, so that what stands above would be trained on what it can never see.",
    (".clamp(0, ceiling)", ""),
)

EXERCISE.mistake(
    "the wall of a sigmoid",
    "Everything is clipped at 1. Rectified units can be as large as they like: the wall is at "
    "`ceiling`.",
    (".clamp(0, ceiling)", ".clamp(0, 1)"),
)

EXERCISE.mistake(
    "no floor",
    "The activations are clipped from above and not from below: neither sigmoids nor rectified "
    "units ever put out less than 0.",
    (".clamp(0, ceiling)", ".clamp(max=ceiling)"),
)


@EXERCISE.mistake(
    "downhill",
    "The step makes the loss smaller: it goes against the gradient. Training does that; an attack "
    "goes the other way.",
)
def step_downhill(above, values, labels, length, ceiling):
    step = length * F.normalize(_gradient(above, values, labels), dim=1)
    return (values - step).clamp(0, ceiling)


@EXERCISE.mistake(
    "one norm for all",
    "The whole batch shares one norm, so that most steps are far too short, and the longest goes "
    "to the image that was in doubt already: divide each row by its own.",
)
def step_of_the_batch(above, values, labels, length, ceiling):
    gradient = _gradient(above, values, labels)
    return (values + length * gradient / gradient.norm()).clamp(0, ceiling)


@EXERCISE.mistake(
    "the bare gradient",
    "The gradient is not brought to length 1: the step is as long as the loss is steep, which is "
    "hardly anything where the network is sure.",
)
def step_bare(above, values, labels, length, ceiling):
    h = values.detach().requires_grad_()
    loss = F.cross_entropy(above(h), labels, reduction="sum")
    return (values + length * torch.autograd.grad(loss, h)[0]).clamp(0, ceiling)


@EXERCISE.mistake(
    "the sign",
    "This is a step of the same size in every unit, along the sign of the gradient (the fast "
    "gradient sign method). The length here is L2.",
)
def step_of_signs(above, values, labels, length, ceiling):
    return (values + length * _gradient(above, values, labels).sign()).clamp(0, ceiling)


@EXERCISE.mistake(
    "the change alone",
    "This is the change, and the activations with the change are asked for.",
)
def step_alone(above, values, labels, length, ceiling):
    step = length * F.normalize(_gradient(above, values, labels), dim=1)
    return (values + step).clamp(0, ceiling) - values


@EXERCISE.mistake(
    "its own answer",
    "The loss is that of the network's own answer. Where it is wrong already, that step leads away "
    "from its mistake: use the labels.",
)
def step_from_the_answer(above, values, labels, length, ceiling):
    own = above(values).argmax(1)
    step = length * F.normalize(_gradient(above, values, own), dim=1)
    return (values + step).clamp(0, ceiling).detach()
