"""`error-in-batches`, lesson 01: a bug hunt.

A short batch that follows full ones is all wrong, so that its weight shows. A probe counts what the
network is given at once.
"""

import numpy as np
import torch
from torch import nn

from course_lib.exercises import Case, Exercise

from .shared import sequential


def batch_cases(rng):
    def case(label, n, batch_size, late):
        net = sequential(nn.Flatten(), nn.Linear(6, 4))
        images = torch.randn(n, 1, 2, 3, generator=rng)
        labels = net(images).argmax(1)
        wrong = torch.zeros(n, dtype=torch.bool)
        wrong[::3] = True
        wrong[-late:] = True
        labels = torch.where(wrong, (labels + 1) % 4, labels)
        return Case(label, net, images, labels, batch_size)

    yield case("five images in batches of 2", 5, 2, 1)
    yield case("twelve images in batches of 4", 12, 4, 1)
    yield case("twenty images in batches of 6", 20, 6, 2)
    yield case("three images in batches of 8", 3, 8, 1)
    yield case("four images, one by one", 4, 1, 1)
    default = case("three hundred images, batches of the default size", 300, 256, 44)
    yield Case(default.label, *default.args[:3])
    yield case("forty-five images in batches of 2", 45, 2, 5)
    right = case("seven images, all read correctly", 7, 3, 1)
    net, images = right.args[:2]
    yield Case(right.label, net, images, net(images).argmax(1), 3)


def error_of_loop(net, images, labels, batch_size=100):
    """One image after the other, in double precision."""
    weight, bias = net[1].weight.detach().double().numpy(), net[1].bias.detach().double().numpy()
    guessed = [(weight @ x.double().numpy().ravel() + bias).argmax() for x in images]
    return float(np.mean(np.array(guessed) != labels.numpy()))


HEAD = "error_in_batches(net, images, labels, batch_size"

EXERCISE = Exercise(
    title="An error rate that depends on the batch size",
    difficulty=2,
    minutes=5,
    hints=[
        "10 000 images in batches of 256: how many images are in the last batch, and how much "
        "does each of them count?",
        "Add up the number of errors, and divide once, at the end.",
    ],
    cases=batch_cases,
    oracle=error_of_loop,
    done="Every image counts once, whatever the batch size.",
    equivalent_mutants={
        f"- def {HEAD}=256): / + def {HEAD}={other}):": (
            "The share of wrong images does not depend on the batch size: that is the point."
        )
        for other in (255, 257)
    },
)


@EXERCISE.variant
@torch.no_grad()
def error_weighted(net, images, labels, batch_size=100):
    rates, sizes = [], []
    for x, y in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        rates.append(float((net(x).argmax(1) != y).double().mean()))
        sizes.append(len(y))
    return np.average(rates, weights=sizes)


@EXERCISE.variant
@torch.no_grad()
def error_concatenated(net, images, labels, batch_size=100):
    guessed = torch.cat([net(x).argmax(1) for x in images.split(batch_size)])
    return (guessed != labels).double().mean()


class _Watched(nn.Module):
    """A network that keeps how many images it was given each time."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, images):
        self.sizes.append(len(images))
        return images.flatten(1)[:, :3]


AT_ONCE = (
    "The share is right, and the network is given more than `batch_size` images at once: where "
    "memory is short, that is what it stops at. Give it slices of `batch_size` images."
)


@EXERCISE.probe(only_right=True)
def obeys_the_batch_size(answer):
    """A probe: no batch is larger than it may be."""
    for batch_size in (1, 3, 4):
        net, images = _Watched(), torch.rand(10, 1, 2, 3)
        answer(net, images, torch.zeros(10, dtype=torch.int64), batch_size)
        if net.sizes and max(net.sizes) > batch_size:
            return AT_ONCE
    return None


@EXERCISE.mistake("all images at once", AT_ONCE)
@torch.no_grad()
def error_one_batch(net, images, labels, batch_size=100):
    return 1 - float((net(images).argmax(1) == labels).double().mean())


EXERCISE.mistake(
    "return inside the loop",
    "Only the first batch is counted: is the `return` inside the loop?",
    ("    return wrong", "        return wrong"),
)


EXERCISE.mistake(
    "short batch dropped",
    "The short last batch is left out: the result no longer depends on how it is weighed, "
    "but its images are never looked at.",
    ("0, len(images), batch", "0, len(images) - batch_size + 1, batch"),
    ("wrong / len(images)", "wrong / max(1, len(images) // batch_size * batch_size)"),
)

EXERCISE.mistake(
    "short batch dropped, all counted",
    "The errors of the short last batch are left out while its images are counted: the "
    "error comes out too small.",
    ("0, len(images), batch", "0, len(images) - batch_size + 1, batch"),
)

EXERCISE.mistake(
    "all batches counted as full",
    "You divide by the number of batches times the batch size, which is more than there "
    "are images: divide by `len(images)`.",
    ("wrong / len(images)", "wrong / (start + batch_size)"),
)

EXERCISE.mistake(
    "accuracy",
    "This is the share that is right, the accuracy: the error rate is 1 minus that.",
    ("return wrong", "return 1 - wrong"),
)

EXERCISE.mistake(
    "a count",
    "This is the number of errors: divide it by the number of images.",
    (" / len(images)", ""),
)

EXERCISE.mistake(
    "the last batch only",
    "Only the last batch's errors are left at the end: add them up over the batches.",
    ("wrong +=", "wrong ="),
)

EXERCISE.mistake(
    "divided by the number of batches",
    "The errors are divided by the number of batches: divide by the number of images.",
    ("wrong / len(images)", "wrong / len(images[::batch_size])"),
)

EXERCISE.mistake(
    "percent",
    "These are percent: the course's error rates are shares in [0, 1].",
    ("return wrong", "return 100 * wrong"),
)
