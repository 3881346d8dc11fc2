"""`distortion`, lesson 03: images changed in all pixels, in one, and in none.

Two shapes are to be refused, also where they would broadcast, have as many images or as many
pixels: a probe asks for each.
"""

import math

import numpy as np
import torch

from course_lib.exercises import Case, Exercise

from .shared import pairs


def distortion_cases(rng):
    for label, changed, images in pairs(rng):
        yield Case(label, changed, images)


def rms_of_numpy(adversarial, images):
    change = np.asarray(adversarial, np.float64) - np.asarray(images, np.float64)
    return np.sqrt((change.reshape(len(change), -1) ** 2).mean(axis=1))


EXERCISE = Exercise(
    title="The size of a change",
    difficulty=1,
    minutes=4,
    hints=[
        "Subtract, square, take the mean over the pixels of each image, take the root, in this "
        "order.",
        "`.flatten(1)` makes every image a row, whatever its shape; the mean then runs along "
        "`dim=1`.",
    ],
    cases=distortion_cases,
    oracle=rms_of_numpy,
    done="That is the distortion of the paper's tables: their figure is its mean over the images.",
)


def _same_shape(adversarial, images):
    if adversarial.shape != images.shape:
        raise ValueError("two shapes")


@EXERCISE.variant
def distortion_norm(adversarial, images):
    _same_shape(adversarial, images)
    change = (adversarial - images).flatten(1)
    return torch.linalg.vector_norm(change, dim=1) / change.shape[1] ** 0.5


@EXERCISE.variant
def distortion_loop(adversarial, images):
    _same_shape(adversarial, images)
    return [
        float(((a.double() - b.double()) ** 2).mean()) ** 0.5
        for a, b in zip(adversarial, images, strict=True)
    ]


@EXERCISE.variant
def distortion_einsum(adversarial, images):
    _same_shape(adversarial, images)
    change = (adversarial - images).reshape(len(images), -1)
    return (torch.einsum("np,np->n", change, change) / change.shape[1]).sqrt()


TWO_SHAPES = (
    "The numbers are right, but the docstring promises a ValueError for images of two shapes: "
    "without it (N, 784) minus (1, 784) is silently spread over all images. Keep the `if` of the "
    "stub."
)


@EXERCISE.probe(only_right=True)
def refuses_two_shapes(answer):
    """A probe: two shapes are refused, and not only those of which a part was looked at."""
    for shape in ((1, 1, 2, 2), (3, 1, 1, 2), (3, 4), (1, 3, 2, 2), (4, 1, 2, 2)):
        try:
            answer(torch.rand(3, 1, 2, 2), torch.rand(*shape))
        except ValueError:
            continue
        except Exception:  # torch has an error of its own for some: not the promised one
            pass
        return TWO_SHAPES if shape == (1, 1, 2, 2) else SOME_SHAPES.format(shape)
    return None


SOME_SHAPES = (
    "The numbers are right, and some pairs of two shapes are refused, but (3, 1, 2, 2) with {} is "
    "not: compare the shapes themselves, as the `if` of the stub does."
)


@EXERCISE.probe
def unchanged_is_zero(answer):
    """A probe: an image that did not change is at distance 0, and not at the root of a number that
    is there under the root of a changed one as well."""
    images = torch.full((2, 1, 2, 2), 0.5, dtype=torch.float64)
    small = float(answer(images, images.clone()).double()[0])
    changed = float(answer(images + 0.5, images).double()[0])
    under_the_root = abs(changed - math.hypot(0.5, small)) < 0.01 * small + 1e-7
    return SMALL_NUMBER if 1e-9 < small < 0.1 and under_the_root else None


SMALL_NUMBER = (
    "An image that did not change has the distortion 0, and yours is a little more: is a small "
    "number added under the root? Nothing is divided here, and nothing differentiated."
)


def _of_change(size):
    """A wrong distortion: size(change (N, pixels))."""

    def wrong(adversarial, images):
        _same_shape(adversarial, images)
        return size((adversarial - images).flatten(1))

    return wrong


EXERCISE.mistake(
    "L2 norm",
    "These are L2 norms: the paper divides the sum of squares by the number of pixels, "
    "which makes it a change per pixel, 28 times smaller for MNIST.",
    _of_change(lambda change: change.norm(dim=1)),
)

EXERCISE.mistake(
    "28 for every image size",
    "The L2 norm is divided by 28 whatever the size of the image: 28 is √784, for MNIST. Divide by "
    "the root of the number of pixels, or take the mean of the squares.",
    _of_change(lambda change: change.norm(dim=1) / 28),
)

EXERCISE.mistake(
    "divided by the number of pixels",
    "The L2 norm is divided by the number of pixels: it is the sum of squares that is, under the "
    "root, so that the norm is divided by the root of that number.",
    _of_change(lambda change: change.norm(dim=1) / change.shape[1]),
)

for SIZE, WHERE in ((1e-6, "1e-6"), (1e-8, "1e-8")):
    EXERCISE.mistake(
        f"{WHERE} under the root",
        f"{SMALL_NUMBER} It looks like {WHERE}.",
        (".mean(dim=1)", f".mean(dim=1).add({SIZE})"),
    )

EXERCISE.mistake(
    "rms of the set",
    "This is one number for the whole set, the root of the mean over all images: the "
    "distortion is each image's own, and a set is reported by the mean of those.",
    _of_change(lambda change: change.square().mean().sqrt()),
)

EXERCISE.mistake(
    "rms of the set, repeated",
    "Every image gets the same number, that of the whole set: the mean runs over the "
    "pixels of one image only, along `dim=1`.",
    _of_change(lambda change: change.square().mean().sqrt().repeat(len(change))),
)

EXERCISE.mistake(
    "mean of the set",
    "This is already the mean over the images: return each image's own distortion, (N,).",
    _of_change(lambda change: change.square().mean(1).sqrt().mean()),
)

EXERCISE.mistake(
    "no root",
    "These are mean squares, the root is missing: a change twice as large would count four times.",
    (".sqrt()", ""),
)

EXERCISE.mistake(
    "mean of absolute values",
    "This is the mean absolute change: square before the mean, and take the root after it.",
    _of_change(lambda change: change.abs().mean(1)),
)

EXERCISE.mistake(
    "standard deviation",
    "This is the standard deviation of the change: it takes the mean off first, so it does "
    "not see that an image got brighter as a whole.",
    _of_change(lambda change: change.std(dim=1, correction=0)),
)

EXERCISE.mistake(
    "standard deviation, n - 1",
    "This is `.std()` of the change: it takes the mean off first, so it does not see that "
    "an image got brighter as a whole (and it divides by the number of pixels minus 1).",
    _of_change(lambda change: change.std(dim=1)),
)

EXERCISE.mistake(
    "changed pixels only",
    "The mean runs over the changed pixels only: it runs over all, or a change of one "
    "pixel would count as much as the same change everywhere.",
    _of_change(lambda change: (change.square().sum(1) / (change != 0).sum(1).clamp(min=1)).sqrt()),
)

EXERCISE.mistake(
    "largest change",
    "This is the largest change of a pixel, the max norm, which the paper does not use.",
    _of_change(lambda change: change.abs().amax(1)),
)


@EXERCISE.mistake("two shapes", TWO_SHAPES)
def distortion_unguarded(adversarial, images):
    return (adversarial - images).flatten(1).square().mean(1).sqrt()
