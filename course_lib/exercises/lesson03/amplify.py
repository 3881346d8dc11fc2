"""`amplify`, lesson 03: changes whose mean is not 0, some of them beyond the box.

The mean tells the rms from a standard deviation; an image that leaves the box tells who clips.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from course_lib.attacks import measures
from course_lib.exercises import Case, Exercise

from .shared import pairs


def amplify_cases(rng):
    for label, changed, images in pairs(rng):
        if "unchanged" in label:  # a change of 0 has no direction
            label = "three images: one changed a little, one in one pixel"
            changed[1] = 0.95 * images[1]
        yield Case(label, changed, images, 0.1)
    images = torch.rand(2, 3, 3, generator=rng, dtype=torch.float64)
    change = 2e-6 * torch.rand(2, 3, 3, generator=rng, dtype=torch.float64) - 5e-7
    yield Case("changes of a millionth", images + change, images, 0.25)
    images = torch.rand(3, 1, 4, 4, generator=rng)
    yield Case(
        "so far that pixels leave the box",
        images + 0.05 * torch.randn(3, 1, 4, 4, generator=rng),
        images,
        0.6,
    )


def amplify_oracle(adversarial, images, stddev):
    x = images.double().numpy()
    change = adversarial.double().numpy() - x
    return np.stack(
        [a + r * (stddev / math.sqrt((r**2).mean())) for a, r in zip(x, change, strict=True)]
    )


EXERCISE = Exercise(
    title="Amplified to a given stddev",
    difficulty=1,
    minutes=5,
    hints=[
        "The change keeps its direction: it is multiplied by one number per image, and added to "
        "the clean image again.",
        "The number is `stddev / distortion(adversarial, images)`, which has shape (N,). Give it "
        "an axis of length 1 for every axis of an image, so that it multiplies whole images.",
    ],
    cases=amplify_cases,
    oracle=amplify_oracle,
    twins=[measures.amplify],
    done="Each change has the rms asked for, and its direction.",
)


@EXERCISE.variant
def amplify_lerp(adversarial, images, stddev):
    factor = stddev / (adversarial - images).flatten(1).square().mean(1).sqrt()
    factor = factor.reshape(-1, *[1] * (images.ndim - 1))
    return torch.lerp(images, adversarial, factor)


@EXERCISE.variant
def amplify_normalize(adversarial, images, stddev):
    change = (adversarial - images).flatten(1)
    unit = F.normalize(change, dim=1, eps=1e-20)
    return images + (unit * stddev * change.shape[1] ** 0.5).reshape(images.shape)


@EXERCISE.variant
def amplify_loop(adversarial, images, stddev):
    return [
        x + (a - x) * stddev / ((a - x) ** 2).mean() ** 0.5
        for a, x in zip(adversarial, images, strict=True)
    ]


PRINTED = (
    "This is the formula as it is printed: divided by the L2 norm of the change, its L2 norm "
    "becomes the stddev, and its rms is smaller by the root of the number of pixels (28 for "
    "MNIST). Divide by the rms."
)

EXERCISE.mistake("the printed formula", PRINTED, (".square().mean(dim=1).sqrt()", ".norm(dim=1)"))

EXERCISE.mistake(
    "28 for every image size",
    "The L2 norm is divided by 28 whatever the size of the image: 28 is √784, for MNIST. Divide by "
    "the rms, which is right for every size.",
    (".square().mean(dim=1).sqrt()", ".norm(dim=1).div(28)"),
)

for SIZE in (1e-8, 1e-6, 1e-4):
    EXERCISE.mistake(
        f"{SIZE:g} added to the rms",
        f"A small number ({SIZE:g}, it seems) is added to the rms before the division, so that a "
        "small change is not stretched as far as it should be. No pair of images is equal: divide "
        "by the rms itself.",
        (".sqrt()", f".sqrt().add({SIZE})"),
    )

EXERCISE.mistake(
    "the printed formula, one norm for all",
    PRINTED + " And the norm is one for the whole batch: each image has its own.",
    ("change.flatten(1).square().mean(dim=1).sqrt()", "change.norm().repeat(len(change))"),
)

OUT = "images + factor.reshape(-1, *[1] * (images.ndim - 1)) * change"
CLIPPED = (OUT, f"({OUT}).clamp(0, 1)")

EXERCISE.mistake(
    "the printed formula, clipped",
    PRINTED + " And do not clip: that shortens the change again.",
    (".square().mean(dim=1).sqrt()", ".norm(dim=1)"),
    CLIPPED,
)

EXERCISE.mistake(
    "one factor for all",
    "All images get the same factor, that of the whole set: each is to have an rms of "
    "stddev by itself.",
    (
        "change.flatten(1).square().mean(dim=1).sqrt()",
        "change.square().mean().sqrt().repeat(len(change))",
    ),
)

STD = (
    "You divide by the change's standard deviation, which takes its mean off first: the paper's "
    "stddev is that of noise of mean 0, so it is the rms, mean included."
)

EXERCISE.mistake(
    "standard deviation", STD, (".square().mean(dim=1).sqrt()", ".std(dim=1, correction=0)")
)

EXERCISE.mistake(
    "standard deviation, n - 1",
    STD + " Besides, `.std()` divides by the number of pixels minus 1.",
    (".square().mean(dim=1).sqrt()", ".std(dim=1)"),
)

EXERCISE.mistake(
    "standard deviation of the batch",
    STD + " And it is one for the whole batch: each image has its own.",
    ("change.flatten(1).square().mean(dim=1).sqrt()", "change.std().repeat(len(change))"),
)

EXERCISE.mistake(
    "standard deviation, clipped",
    STD + " And do not clip (after `.std(correction=0)`): that shortens the change again.",
    (".square().mean(dim=1).sqrt()", ".std(dim=1, correction=0)"),
    CLIPPED,
)

EXERCISE.mistake(
    "standard deviation, n - 1, clipped",
    STD + " And do not clip (after `.std(correction=1)`): that shortens the change again.",
    (".square().mean(dim=1).sqrt()", ".std(dim=1)"),
    CLIPPED,
)

EXERCISE.mistake(
    "from the adversarial image",
    "The stretched change is added to the adversarial image, so it is in there twice: add "
    "it to the clean one.",
    ("return images", "return adversarial"),
)

EXERCISE.mistake(
    "the image stretched",
    "The adversarial image is multiplied, not the change: a brighter picture.",
    ("return images + ", "return "),
    ("* change", "* adversarial"),
)

EXERCISE.mistake(
    "the change returned",
    "This is the stretched change: add it to the images.",
    ("return images + ", "return "),
)

EXERCISE.mistake(
    "clipped",
    "The result is clipped to [0, 1], so its rms is no longer the stddev asked for: leave "
    "it (and whoever clips has to measure again).",
    CLIPPED,
)

EXERCISE.mistake(
    "not rescaled",
    "The change is multiplied by the stddev and keeps its own size as a factor: divide by its rms.",
    lambda adversarial, images, stddev: images + stddev * (adversarial - images),
)

EXERCISE.mistake(
    "the other way",
    "The change points the other way: it goes from the image to the adversarial image.",
    ("return images +", "return images -"),
)

EXERCISE.mistake(
    "mean square",
    "You divide by the mean square: its root is missing.",
    (".mean(dim=1).sqrt()", ".mean(dim=1)"),
)
