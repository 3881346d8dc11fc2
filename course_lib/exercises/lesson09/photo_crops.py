"""`photo-crops`, lesson 09: all squares of a photograph, colours in place, the last included."""

import numpy as np
import torch

from course_lib import imagenet
from course_lib.exercises import Case, Exercise


def crop_cases(rng):
    def photographs(n, height, width):
        return torch.rand(n, 3, height, width, generator=rng)

    yield Case("one photograph, two squares", photographs(1, 2, 3), 2, 1)
    yield Case("two, with overlap", photographs(2, 6, 8), 4, 2)
    yield Case("three, side by side", photographs(3, 6, 9), 3, 3)
    yield Case("a rest is left over", photographs(2, 7, 6), 3, 2)
    yield Case("the whole of it", photographs(2, 4, 4), 4, 2)


def crops_by_slicing(images, size, stride):
    parts, of = [], []
    for i, image in enumerate(images.numpy()):
        for top in range(0, image.shape[1] - size + 1, stride):
            for left in range(0, image.shape[2] - size + 1, stride):
                parts.append(image[:, top : top + size, left : left + size])
                of.append(i)
    return np.stack(parts), of


EXERCISE = Exercise(
    title="Crops of photographs",
    difficulty=2,
    minutes=8,
    hints=[
        "Three loops do it: over the photographs, over the upper edge and over the left edge.",
        "`range(0, height - size + 1, stride)` are the upper edges: the last square still fits.",
        "`images.unfold(2, size, stride).unfold(3, size, stride)` has the shape "
        "(N, 3, rows, columns, size, size): the colours have to stand behind the columns before "
        "it is reshaped.",
    ],
    cases=crop_cases,
    parts=("crops", "photographs"),
    oracle=crops_by_slicing,
    twins=[imagenet.crops],
    on_device=False,
    done="Neighbouring crops overlap: they are no independent samples of the world.",
)


def _windows(images, size, stride):
    return images.unfold(2, size, stride).unfold(3, size, stride)


def _numbers(images, windows):
    return torch.arange(len(images)).repeat_interleave(windows.shape[2] * windows.shape[3])


@EXERCISE.variant
def with_loops(images, size, stride):
    parts, of = crops_by_slicing(images, size, stride)
    return torch.from_numpy(parts), torch.tensor(of)


@EXERCISE.variant
def with_unfold(images, size, stride):
    n, channels = images.shape[:2]
    columns = torch.nn.functional.unfold(images, size, stride=stride).transpose(1, 2)
    count = columns.shape[1]
    of = [i for i in range(n) for _ in range(count)]
    return columns.reshape(n * count, channels, size, size), of


@EXERCISE.mistake(
    "colours mixed up",
    "The windows were reshaped without moving the colours behind the columns: each crop is made of "
    "squares of one colour. Use `permute(0, 2, 3, 1, 4, 5)` first.",
)
def colours(images, size, stride):
    windows = _windows(images, size, stride)
    return windows.reshape(-1, images.shape[1], size, size), _numbers(images, windows)


@EXERCISE.mistake(
    "column by column",
    "The crops come column by column: row by row is asked for, from left to right.",
)
def columns_first(images, size, stride):
    windows = _windows(images, size, stride)
    parts = windows.permute(0, 3, 2, 1, 4, 5).reshape(-1, images.shape[1], size, size)
    return parts, _numbers(images, windows)


@EXERCISE.mistake(
    "numbers in turn",
    "The photographs' numbers run 0, 1, 2, 0, 1, 2: the crops of one photograph follow each other, "
    "so its number has to be repeated (`repeat_interleave`).",
)
def in_turn(images, size, stride):
    windows = _windows(images, size, stride)
    parts = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1], size, size)
    return parts, torch.arange(len(images)).repeat(windows.shape[2] * windows.shape[3])


@EXERCISE.mistake(
    "without overlap",
    "The squares lie side by side: the next one begins `stride` pixels further on.",
)
def side_by_side(images, size, stride):
    return imagenet.crops(images, size, size)


@EXERCISE.mistake(
    "the last is missing",
    "The last square of each row and column is missing: it begins at `height - size`, which "
    "`range(0, height - size, stride)` leaves out.",
)
def without_the_last(images, size, stride):
    return imagenet.crops(images[:, :, :-1, :-1], size, stride)
