"""`as-bytes`, lesson 09, a bug hunt: a cast cuts off what a file should round."""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def byte_cases(rng):
    yield Case("a pixel of 0.999", torch.tensor([0.999, 0.5, 0.1]).reshape(1, 3, 1, 1))
    yield Case("two pictures", torch.rand(2, 3, 4, 5, generator=rng))
    yield Case("beyond black and white", 1.6 * torch.rand(3, 3, 3, 2, generator=rng) - 0.3 + 1e-4)
    exact = torch.randint(256, (1, 3, 6, 7), generator=rng) / 255
    yield Case("what came from a file", exact)


def bytes_of_numpy(images):
    return np.clip(np.rint(images.numpy().astype(np.float64) * 255), 0, 255).astype(np.uint8)


EXERCISE = Exercise(
    title="A bug: the picture gets darker",
    difficulty=1,
    minutes=5,
    hints=[
        "What becomes of 0.999? 255 times it is 254.7.",
        "`.to(torch.uint8)` cuts off: it goes towards 0 and not to the nearest.",
    ],
    cases=byte_cases,
    oracle=bytes_of_numpy,
    on_device=False,
    done="Half a byte at most is lost now, in either direction: 0.002, and 0.0011 in the rms.",
)


@EXERCISE.variant
def add_a_half(images):
    return (255 * images + 0.5).floor().clamp(0, 255).to(torch.uint8)


@EXERCISE.variant
def clamp_first(images):
    return (images.clamp(0, 1).double() * 255).round().byte()


@EXERCISE.mistake(
    "256 steps",
    "The pixels are multiplied by 256 and cut off: then 0 and 1 are right, and what came from a "
    "file is not what goes back into it. White is 255.",
)
def steps_of_256(images):
    return (256 * images).floor().clamp(0, 255).to(torch.uint8)


@EXERCISE.mistake(
    "always up",
    "The pixels are rounded up, so that the picture gets lighter now: the nearest is asked for.",
)
def always_up(images):
    return (255 * images).ceil().clamp(0, 255).to(torch.uint8)


@EXERCISE.mistake(
    "round the corner",
    "What lies beyond white comes out black and the other way round: bytes wrap. Keep the clamp.",
)
def wraps(images):
    return (255 * images).round().long() % 256


@EXERCISE.mistake(
    "floats",
    "These are multiples of 1/255: bytes are whole numbers from 0 to 255.",
)
def floats(images):
    return (255 * images).round().clamp(0, 255) / 255


@EXERCISE.mistake(
    "rounded first",
    "The pixels are rounded before they are multiplied: only black and white are left.",
)
def rounded_first(images):
    return (255 * images.round()).clamp(0, 255).to(torch.uint8)
