"""`pixel-rms`, lesson 00: one image, several, and an unchanged one.

The oracle has another way: the Euclidean norm over 28, the root of 784.
"""

import numpy as np
import torch

from course_lib.attacks.measures import distortion
from course_lib.exercises import Case, Exercise


def cases(rng):
    one_pixel = torch.zeros(1, 1, 28, 28)
    one_pixel[0, 0, 14, 14] = 1.0
    yield Case("one image with one pixel changed by 1", one_pixel)
    yield Case("three images", torch.randn(3, 1, 28, 28, generator=rng) * 0.1 + 0.05)
    sizes = torch.tensor([0.0, 1e-3, 0.5, 1.0, 2.0]).reshape(5, 1, 1, 1)
    yield Case("five images, the first unchanged", sizes * torch.rand(5, 1, 28, 28, generator=rng))


def by_norm(perturbation):
    """The Euclidean norm over 28, since 784 = 28 * 28."""
    return np.linalg.norm(perturbation.numpy().reshape(len(perturbation), -1), axis=1) / 28


EXERCISE = Exercise(
    title="How much was an image changed?",
    difficulty=1,
    minutes=2,
    hints=[
        "Read the name backwards: square every pixel's change, take the mean, then the root.",
        "The mean goes over the pixels of one image and leaves the images apart: which axes?",
        "`x.square().mean(dim=(1, 2, 3))` is the mean square of each image.",
    ],
    cases=cases,
    oracle=by_norm,
    twins=[distortion],
    done="That is the paper's distortion: the size of a change, in pixel values.",
)


@EXERCISE.variant
def loop(perturbation):
    roots = []
    for image in perturbation:
        roots.append(sum(float(p) ** 2 for p in image.flatten()) / image.numel())
    return torch.tensor(roots, dtype=torch.float64).sqrt()


@EXERCISE.variant
def einsum(perturbation):
    flat = perturbation.flatten(1)
    return (torch.einsum("np,np->n", flat, flat) / flat.shape[1]) ** 0.5


@EXERCISE.variant
def norm_over_28(perturbation):
    return torch.linalg.vector_norm(perturbation, dim=(1, 2, 3)) / 28


EXERCISE.mistake(
    "no root",
    "These are mean squares: the root is missing. Without it a change twice as large "
    "counts four times.",
    (".sqrt()", ""),
)

EXERCISE.mistake(
    "sum for mean",
    "These are Euclidean norms, 28 times too large: take the mean over the 784 "
    "pixels, not their sum.",
    (".mean(", ".sum("),
)

EXERCISE.mistake(
    "sum over 784 after the root",
    "The mean is inside the root, so the norm is divided by the root of 784, which is 28: you "
    "divide by 784 itself.",
    lambda perturbation: perturbation.flatten(1).norm(dim=1) / perturbation[0].numel(),
)

EXERCISE.mistake(
    "the norm of the batch",
    "This is the norm of all images together, over 28: one number, which grows with the number of "
    "images. Each image has a norm of its own.",
    lambda perturbation: perturbation.norm() / 28,
)

EXERCISE.mistake(
    "the largest change",
    "This is the largest change of a pixel: the mean over all pixels is asked for.",
    lambda perturbation: perturbation.abs().amax(dim=(1, 2, 3)),
)

EXERCISE.mistake(
    "mean of absolute values",
    "This is the mean absolute change: square before the mean, so that large changes count more.",
    lambda perturbation: perturbation.abs().mean(dim=(1, 2, 3)),
)

EXERCISE.mistake(
    "standard deviation",
    "This is the standard deviation, which forgets a change of all pixels by the same "
    "amount: do not subtract the mean.",
    lambda perturbation: perturbation.flatten(1).std(dim=1, correction=0),
)

EXERCISE.mistake(
    "standard deviation, as `std` has it",
    "This is what `std` gives, the spread about the mean (and over 783): a change of all pixels by "
    "the same amount would count nothing. Do not subtract the mean.",
    lambda perturbation: perturbation.flatten(1).std(dim=1),
)

EXERCISE.mistake(
    "along one axis",
    "The mean runs along one axis only, and a table is left of each image: the mean is over all "
    "pixels of an image, `dim=(1, 2, 3)`.",
    ("dim=(1, 2, 3)", "dim=1"),
)

EXERCISE.mistake(
    "the first image only",
    "This is one number, of the first image: is the `return` inside the loop?",
    lambda perturbation: perturbation[0].square().mean().sqrt(),
)

EXERCISE.mistake(
    "over the batch",
    "This is one number for the whole batch: leave the first axis out of the mean, so "
    "that each image has its own.",
    ("dim=(1, 2, 3)", ""),
)

EXERCISE.mistake(
    "root before the mean",
    "The root is taken of every pixel before the mean, which undoes the square: "
    "first the mean, then the root.",
    lambda perturbation: perturbation.square().sqrt().mean(dim=(1, 2, 3), keepdim=True),
)
