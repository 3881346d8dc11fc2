"""Lesson 00: how much was an image changed? A prediction and a quiz."""

import numpy as np
import torch

from course_lib.exercises import (
    Case,
    Exercise,
    Mistake,
    Option,
    Prediction,
    Quiz,
    ShortAnswer,
)


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


def loop(perturbation):
    roots = []
    for image in perturbation:
        roots.append(sum(float(p) ** 2 for p in image.flatten()) / image.numel())
    return torch.tensor(roots, dtype=torch.float64).sqrt()


def einsum(perturbation):
    flat = perturbation.flatten(1)
    return (torch.einsum("np,np->n", flat, flat) / flat.shape[1]) ** 0.5


def norm_over_28(perturbation):
    return torch.linalg.vector_norm(perturbation, dim=(1, 2, 3)) / 28


EXERCISES = [
    Exercise(
        slug="pixel-rms",
        title="How much was an image changed?",
        difficulty=1,
        minutes=2,
        hints=[
            "Read the name backwards: square every pixel's change, take the mean, then the root.",
            "The mean goes over the pixels of one image and leaves the images apart: which axes?",
            "`x.square().mean(dim=(1, 2, 3))` is the mean square of each image.",
        ],
        reference=None,
        cases=cases,
        oracle=by_norm,
        mistakes=[
            Mistake(
                "no root",
                "These are mean squares: the root is missing. Without it a change twice as large "
                "counts four times.",
                (".sqrt()", ""),
                right_shape=True,
            ),
            Mistake(
                "sum for mean",
                "These are Euclidean norms, 28 times too large: take the mean over the 784 "
                "pixels, not their sum.",
                (".mean(", ".sum("),
                right_shape=True,
            ),
            Mistake(
                "mean of absolute values",
                "This is the mean absolute change: square before the mean, so that large changes "
                "count more.",
                lambda perturbation: perturbation.abs().mean(dim=(1, 2, 3)),
                right_shape=True,
            ),
            Mistake(
                "standard deviation",
                "This is the standard deviation, which forgets a change of all pixels by the same "
                "amount: do not subtract the mean.",
                lambda perturbation: perturbation.flatten(1).std(dim=1, correction=0),
                right_shape=True,
            ),
            Mistake(
                "over the batch",
                "This is one number for the whole batch: leave the first axis out of the mean, so "
                "that each image has its own.",
                ("dim=(1, 2, 3)", ""),
            ),
            Mistake(
                "root before the mean",
                "The root is taken of every pixel before the mean, which undoes the square: "
                "first the mean, then the root.",
                lambda perturbation: perturbation.square().sqrt().mean(dim=(1, 2, 3), keepdim=True),
            ),
        ],
        variants=[loop, einsum, norm_over_28],
        done="That is the paper's distortion: the size of a change, in pixel values.",
    ),
]

ANSWERS = {
    "noise-reading": ShortAnswer(
        "Which digits does the network give up first under noise, and what does it see instead?",
        rubric=[
            "It names classes that go first and classes that answers gather in, from several "
            "positions of the slider, and the counts of the next cell agree.",
            "It offers a reason that could be tested, for example that noise breaks the closed "
            "loops which tell an 8 from a 3, and says how.",
            "It says how little twenty images of one network show.",
        ],
    ),
}

PREDICTIONS = {
    "best-test-error": Prediction(
        "What share of the test images does the best of these networks get wrong?", unit="%"
    ),
}

QUIZZES = {
    "circular-difference": Quiz(
        "The last line printed -3, 1, 1, 1. Why is its first number -3?",
        [
            Option(
                "The transform rounds.",
                False,
                "It is exact up to the last digits: the numbers really are -3, 1, 1, 1.",
            ),
            Option(
                "The signal goes round: before its first value comes its last.",
                True,
                "The kernel (1, -1, 0, 0) takes each value minus the one before it, and "
                "circularly 1 - 4 = -3. With zeros outside it would have been 1 - 0.",
            ),
            Option(
                "The kernel has a negative entry.",
                False,
                "That makes differences; but a difference with zeros outside the signal would "
                "begin with 1 - 0 = 1.",
            ),
        ],
    ),
}
