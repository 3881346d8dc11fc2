"""The cases, right and wrong answers of `projected-step`, lesson 04."""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise

from .shared import doubles, exactly, lost_digits


def step_cases(rng):
    def draw(*shape):
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    yield Case(
        "three pixels", doubles(0.25, 0, 1), doubles(0.125, 0, -0.5), doubles(1, 1, -5), 0.25
    )
    image = draw(1, 3, 4).round(decimals=1)
    image[0, 0], image[0, 1] = 0, 1
    r = (image + draw(1, 3, 4) - 0.5).clamp(0, 1) - image
    yield Case("an image of 3 x 4", image, r, 4 * draw(1, 3, 4) - 2, 0.25)
    yield Case("a long step", image, r, 40 * draw(1, 3, 4) - 20, 0.5)
    yield Case("from the image itself", image, torch.zeros_like(image), draw(1, 3, 4) - 0.5, 1.0)


def step_of_numpy(image, r, gradient, length):
    x, r, g = (t.numpy().ravel() for t in (image, r, gradient))
    moved = [min(max(x[i] + r[i] - length * g[i], 0.0), 1.0) - x[i] for i in range(len(x))]
    return np.array(moved).reshape(image.shape)


EXERCISE = Exercise(
    title="A step that stays in the box",
    difficulty=1,
    minutes=4,
    hints=[
        "What has to lie in [0, 1] is the changed image, image + r, and not r.",
        "Take the step from image + r, cut every pixel off at 0 and 1 (`clamp`), and subtract the "
        "image: what is left is the new r.",
    ],
    cases=step_cases,
    oracle=step_of_numpy,
    on_device=False,
    done="Every pixel of image + r stays in [0, 1].",
)


@EXERCISE.variant
def step_within_room(image, r, gradient, length):
    """The room of r: from -image to 1 - image."""
    return torch.minimum(torch.maximum(r - length * gradient, -image), 1 - image)


@EXERCISE.variant
def step_where(image, r, gradient, length):
    z = image + r - length * gradient
    z = torch.where(z < 0, torch.zeros_like(z), torch.where(z > 1, torch.ones_like(z), z))
    return z - image


@EXERCISE.probe(only_right=True)
def in_double_precision(answer):
    """A probe: image + r is in the box to the last digits."""
    image, r, slope = doubles(0.1, 0.7, 0.3), doubles(0.2, 0.1, 0.3), doubles(7, -9, 0.123)
    right = (image + r - 0.1 * slope).clamp(0, 1) - image
    return lost_digits(exactly(answer)(image, r, slope, 0.1), right)


EXERCISE.mistake(
    "the gradient brought to length 1",
    "The gradient is divided by its norm before the step: it is `length` times the gradient as it "
    "is, so that steps become short where the gradient does.",
    ("length * gradient", "length * gradient / gradient.norm()"),
)

EXERCISE.mistake(
    "the sign of the gradient",
    "Every pixel moves by the same amount, along the gradient's sign: that is FGSM's step. Take "
    "the gradient itself.",
    ("* gradient", "* gradient.sign()"),
)

EXERCISE.mistake(
    "no length", "The length is not used: the step is `length * gradient`.", ("length * ", "")
)

EXERCISE.mistake(
    "pixels that would leave stay",
    "A pixel whose step would leave the box does not move at all: it goes as far as its bound.",
    lambda image, r, gradient, length: torch.where(
        (image + r - length * gradient).clamp(0, 1) == image + r - length * gradient,
        r - length * gradient,
        r,
    ),
)

EXERCISE.mistake(
    "cut off below only",
    "Pixels are cut off at 0 and not at 1: the box has two sides.",
    ("clamp(0, 1)", "clamp(min=0)"),
)

EXERCISE.mistake(
    "cut off above only",
    "Pixels are cut off at 1 and not at 0: the box has two sides.",
    ("clamp(0, 1)", "clamp(max=1)"),
)

EXERCISE.mistake(
    "r clamped to [0, 1]",
    "It is r that is cut off at 0 and 1, so no pixel can become darker, and image + r can "
    "exceed 1: the box is that of image + r.",
    lambda image, r, gradient, length: (r - length * gradient).clamp(0, 1),
)

EXERCISE.mistake(
    "r clamped to [-1, 1]",
    "It is r that is cut off, at -1 and 1: a pixel at 0.9 can then go to 1.9. The box is "
    "that of image + r.",
    lambda image, r, gradient, length: (r - length * gradient).clamp(-1, 1),
)

EXERCISE.mistake(
    "no projection", "Nothing is cut off: the step leaves the box.", (".clamp(0, 1)", "")
)

EXERCISE.mistake(
    "the image instead of r",
    "This is the changed image: subtract the image, a perturbation is asked for.",
    (" - image", ""),
)

EXERCISE.mistake(
    "uphill",
    "The step goes uphill: against the gradient means minus.",
    ("image + r - length", "image + r + length"),
)

EXERCISE.mistake(
    "from the image",
    "The step starts at the image, and what r was before is lost: start at image + r.",
    ("image + r - length", "image - length"),
)

EXERCISE.mistake(
    "r projected, image forgotten",
    "The old r is kept and only the step is cut off: image + r + step can still leave the "
    "box. Project the sum of all three.",
    lambda image, r, gradient, length: r + (image - length * gradient).clamp(0, 1) - image,
)
