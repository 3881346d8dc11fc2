"""`equal-size`, lesson 05: every image's change has another size, and the directions have a mean.

So each way to measure a size gives another result.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def equal_cases(rng):
    def draw(*shape):
        return torch.randn(*shape, generator=rng)

    images = torch.tensor([[[0.0, 1.0], [0.5, 0.0]]])
    yield Case(
        "one image of 2 x 2", images, images + 0.1, torch.tensor([[[1.0, -1.0], [2.0, 0.0]]])
    )
    for label, shape in (("three images", (3, 1, 4, 5)), ("seven images", (7, 2, 3, 3))):
        images = torch.rand(*shape, generator=rng).round(decimals=1)
        sizes = torch.rand(shape[0], generator=rng).reshape(-1, 1, 1, 1) + 0.02
        nearby = (images + sizes * draw(*shape)).clamp(0, 1)
        yield Case(label, images, nearby, (1 + 3 * sizes) * draw(*shape) + 0.5)
    images = torch.rand(4, 6, generator=rng)
    nearby = images + 0.2 * draw(4, 6)
    nearby[2] = images[2]
    small = torch.tensor([[1e-3], [1.0], [30.0], [1e-2]])
    yield Case(
        "four rows, one not changed; long and short directions", images, nearby, small * draw(4, 6)
    )
    # factors of 100 000 and of a millionth: as an untrained network's gradient is, or a saturated's
    tiny = torch.tensor([[1e-7], [1e6]])
    images = torch.rand(2, 5, generator=rng)
    yield Case("a tiny and a huge direction", images, images + 0.3 * draw(2, 5), tiny * draw(2, 5))


def equal_of_numpy(images, adversarial, direction):
    x, a, d = (t.double().numpy().reshape(len(t), -1) for t in (images, adversarial, direction))
    size = np.linalg.norm(a - x, axis=1) / np.linalg.norm(d, axis=1)
    return (x + size[:, None] * d).reshape(images.shape)


EXERCISE = Exercise(
    title="A control of the same size",
    difficulty=1,
    minutes=4,
    hints=[
        "Two rms values for each image: of the adversarial change, and of the direction.",
        "`attacks.distortion(adversarial, images)` is the first. Their ratio, with axes of length "
        "1 so that it multiplies whole images, times the direction.",
    ],
    cases=equal_cases,
    oracle=equal_of_numpy,
    done="Each image has a change of exactly the size of its own adversarial one.",
)


@EXERCISE.variant
def equal_loop(images, adversarial, direction):
    done = []
    for x, a, d in zip(images, adversarial, direction, strict=True):
        done.append(x + d * (a - x).pow(2).sum().sqrt() / d.pow(2).sum().sqrt())
    return torch.stack(done)


@EXERCISE.variant
def equal_einsum(images, adversarial, direction):
    change = adversarial - images
    square = torch.einsum("n...,n...->n", change, change)
    factor = (square / torch.einsum("n...,n...->n", direction, direction)).sqrt()
    return torch.einsum("n,n...->n...", factor, direction) + images


EXERCISE.mistake(
    "clipped",
    "The result is clipped to [0, 1]. Most pixels of a digit are at 0, and half of what a "
    "random direction asks of them is cut off: the control is then smaller than what it is "
    "compared with.",
    (
        "images + factor.reshape(-1, *axes) * direction",
        "(images + factor.reshape(-1, *axes) * direction).clamp(0, 1)",
    ),
)

EXERCISE.mistake(
    "one factor for the batch",
    "All images get the same factor, from sizes over the whole batch: each image is to be moved by "
    "the size of its own change.",
    ("direction.flatten(1).norm(dim=1)", "direction.norm()"),
    ("factor = size", "factor = torch.ones_like(size) * (adversarial - images).norm()"),
)

EXERCISE.mistake(
    "the mean size for all",
    "All images get the mean size. Adversarial changes differ much in size: each image "
    "has to have that of its own.",
    ("factor = size", "factor = size.mean()"),
)

EXERCISE.mistake(
    "the direction not measured",
    "The direction is multiplied by the size of the change, which is right only if its "
    "own rms happens to be 1: divide by it, for each image.",
    ("direction.flatten(1).norm(dim=1)", "images[0].numel() ** 0.5"),
)

EXERCISE.mistake(
    "an rms over a norm",
    "The size of the change is an rms here and that of the direction a norm: the result is too "
    "small by the root of the number of pixels. Measure both in one way.",
    ("factor = size", "factor = size / images[0].numel() ** 0.5"),
)

EXERCISE.mistake(
    "a norm over an rms",
    "The size of the change is a norm here and that of the direction an rms: the result is too "
    "large by the root of the number of pixels. Measure both in one way.",
    ("factor = size", "factor = size * images[0].numel() ** 0.5"),
)

EXERCISE.mistake(
    "the direction's own length",
    "The direction is added as it is: bring it to the size of the adversarial change first.",
    ("factor = size / direction.flatten(1).norm(dim=1)", "factor = torch.ones_like(size)"),
)

EXERCISE.mistake(
    "the direction measured over the batch",
    "The direction's rms is one number for the whole batch: some images then get more "
    "than their share and some less.",
    ("direction.flatten(1).norm(dim=1)", "direction.norm() * len(direction) ** 0.5"),
)

EXERCISE.mistake(
    "standard deviation",
    "With `std` the mean of the direction is taken off first. A direction with a mean has "
    "a larger rms than that, and the result is too large.",
    (
        "direction.flatten(1).norm(dim=1)",
        "direction.flatten(1).std(dim=1, correction=0) / images[0].numel() ** 0.5",
    ),
)

EXERCISE.mistake(
    "on the adversarial images",
    "The direction is added to the adversarial images, so they carry both changes: start "
    "from the clean ones.",
    ("return images", "return adversarial"),
)

EXERCISE.mistake(
    "the change", "This is the change: add it to the images.", ("return images + ", "return ")
)
