"""`photo-distortion`, lesson 09: pixels in [0, 1], and bytes, which wrap when subtracted."""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def distortion_cases(rng):
    def pair(n, height, width, white, dtype):
        shape = n, 3, height, width
        original = torch.rand(shape, generator=rng) * white
        change = 0.1 * white * torch.randn(shape, generator=rng)
        sizes = torch.linspace(0.2, 1, n).reshape(n, 1, 1, 1)
        return original.to(dtype), (original + sizes * change).clamp(0, white).to(dtype), white

    dark = torch.full((1, 3, 1, 2), 0.5)
    yield Case("one photograph of two pixels", dark, dark + 0.25, 1.0)
    yield Case("three, pixels from 0 to 1", *pair(3, 5, 4, 1.0, torch.float32))
    yield Case("two, of bytes", *pair(2, 6, 5, 255.0, torch.uint8))
    yield Case("four, of 12 bits", *pair(4, 3, 7, 4095.0, torch.float64))
    grey = torch.full((2, 3, 4, 3), 0.5, dtype=torch.float64)
    tiny = 1e-7 * torch.randn(2, 3, 4, 3, generator=rng, dtype=torch.float64)
    yield Case("two, hardly changed", grey, grey + tiny, 1.0)


def by_norm(original, adversarial, white):
    a, b = (x.numpy().astype(np.float64) for x in (original, adversarial))
    flat = (b - a).reshape(len(a), -1)
    return np.linalg.norm(flat, axis=1) / (white * flat.shape[1] ** 0.5)


EXERCISE = Exercise(
    title="How large is a change of a photograph?",
    difficulty=1,
    minutes=6,
    hints=[
        "Lesson 00 had it for digits: square, mean over an image's numbers, root. A photograph has "
        "three numbers a pixel; each is one of them.",
        "Bytes wrap: 3 - 5 is 254 in uint8. Make them floats before they are subtracted, and as "
        "fine as the finest that may come: `.double()`.",
        "On the scale where white is 1, every difference is divided by `white`.",
    ],
    cases=distortion_cases,
    oracle=by_norm,
    on_device=False,
    atol=1e-12,
    done="A figure without its scale says nothing: 0.0065 is 1.7 of 255.",
)


def _change(original, adversarial, white):
    return ((adversarial.double() - original.double()) / white).flatten(1)


@EXERCISE.variant
def with_a_loop(original, adversarial, white):
    rows = zip(original.double() / white, adversarial.double() / white, strict=True)
    return [float(((b - a) ** 2).mean() ** 0.5) for a, b in rows]


@EXERCISE.variant
def with_numpy(original, adversarial, white):
    change = adversarial.numpy().astype(float) - original.numpy().astype(float)
    return np.sqrt((change**2).mean(axis=(1, 2, 3))) / white


@EXERCISE.mistake(
    "wrapped bytes",
    "Bytes were subtracted as bytes, where 3 - 5 is 254: turn both into floats first.",
)
def wrapped(original, adversarial, white):
    return ((adversarial - original).double() / white).flatten(1).square().mean(1).sqrt()


@EXERCISE.mistake(
    "single precision",
    "These are float64 pictures that hardly differ, and float32 rounds them before they are "
    "subtracted: a change of 1e-7 is lost in a grey of 0.5. Turn both into float64 (`.double()`).",
)
def in_single(original, adversarial, white):
    change = ((adversarial.float() - original.float()) / white).flatten(1)
    return change.square().mean(1).sqrt()


@EXERCISE.mistake(
    "the scale of the file",
    "These are in the units of the file: divide by `white`, so that white is 1 and the figures of "
    "two files can be compared.",
)
def unscaled(original, adversarial, white):
    return _change(original, adversarial, 1).square().mean(1).sqrt()


@EXERCISE.mistake(
    "always 255",
    "The change is divided by 255 whatever the scale is: pixels may go up to 1 or to 4095. Divide "
    "by `white`.",
)
def always_255(original, adversarial, white):
    return _change(original, adversarial, 255).square().mean(1).sqrt()


@EXERCISE.mistake(
    "the norm",
    "This is the Euclidean norm, which grows with the size of the picture: the paper's distortion "
    "is the root of the mean square.",
)
def norm(original, adversarial, white):
    return _change(original, adversarial, white).norm(dim=1)


@EXERCISE.mistake("no root", "These are mean squares: the root is missing.")
def no_root(original, adversarial, white):
    return _change(original, adversarial, white).square().mean(1)


@EXERCISE.mistake(
    "one number for all",
    "This is one figure for all photographs together: one for each is asked for.",
)
def for_all(original, adversarial, white):
    return _change(original, adversarial, white).square().mean().sqrt()


@EXERCISE.mistake(
    "three numbers as one",
    "The squares of the three colours are added up to one number for each pixel, so that the "
    "result is √3 times too large: the paper's n counts every number of the image.",
)
def per_pixel(original, adversarial, white):
    return 3**0.5 * _change(original, adversarial, white).square().mean(1).sqrt()


@EXERCISE.mistake(
    "the mean change",
    "This is the mean of the changes' sizes: square them first, and take the root afterwards.",
)
def mean_size(original, adversarial, white):
    return _change(original, adversarial, white).abs().mean(1)
