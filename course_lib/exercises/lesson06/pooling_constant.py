"""`pooling-constant`, lesson 06: the oracle counts the windows of every pixel.

A larger number is a bound still, and only loose.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from course_lib.exercises import Case, Exercise
from course_lib.spectral import pooling


def pooling_cases(rng):
    yield Case("2 x 2, stride 2", 2, 2, 28)
    yield Case("3 x 3, stride 2", 3, 2, 13)
    yield Case("3 x 3, stride 1", 3, 1, 10)
    yield Case("5 x 5, stride 2", 5, 2, 20)
    yield Case("2 x 2, stride 3", 2, 3, 11)
    yield Case("one dimension", 3, 2, 9, 1)
    yield Case("three dimensions", 4, 2, 12, 3)
    yield Case("a small image", 3, 1, 4)
    yield Case("one window", 4, 2, 5)
    yield Case("an image as small as the window", 3, 2, 3)
    # no number is large enough for all windows
    yield Case("wide windows, stride 1", 20, 1, 40)
    yield Case("wide windows, stride 2", 9, 2, 40)
    yield Case("three dimensions, wide windows", 12, 1, 24, 3)
    yield Case("windows that overlap a little", 5, 4, 21)
    yield Case("three dimensions, three windows", 3, 1, 5, 3)


def pooling_of_numpy(kernel, stride, n, dimensions=2):
    """Counted: the windows of every pixel of the whole image."""
    counts = np.zeros((n,) * dimensions)
    starts = range(0, n - kernel + 1, stride)
    for place in np.ndindex(*(len(starts),) * dimensions):
        counts[tuple(slice(starts[j], starts[j] + kernel) for j in place)] += 1
    return np.sqrt(counts.max())


def valid_constant(got, want, case):
    """Whether ``got`` is a bound that knows its window: at most twice the pixels of a window."""
    kernel, dimensions = case.args[0], (*case.args, 2)[3]
    return np.ndim(got) == 0 and want <= got <= 2 * kernel**dimensions


EXERCISE = Exercise(
    title="How much max pooling can stretch",
    difficulty=2,
    minutes=8,
    hints=[
        "Along one axis, window j covers the pixels from stride · j to stride · j + kernel - 1, "
        "for j = 0, 1, ... as long as it fits. Count for each pixel how many windows cover it.",
        "In d dimensions a pixel's windows are counted along every axis, and the counts multiply: "
        "the largest count of one axis to the power d.",
        "The constant is the square root of that: every one of those outputs moves by the same "
        "amount, and the L2 norm adds squares.",
    ],
    cases=pooling_cases,
    oracle=pooling_of_numpy,
    twins=[pooling.largest_count],
    on_device=False,
    valid=valid_constant,
    loose="This is never below the constant, but it is not the constant.",
    done="It agrees with the windows of every pixel, counted.",
)


@EXERCISE.variant
def pooling_closed(kernel, stride, n, dimensions=2):
    windows = (n - kernel) // stride + 1
    return min(math.ceil(kernel / stride), windows) ** (dimensions / 2)


@EXERCISE.variant
def pooling_by_gradient(kernel, stride, n, dimensions=2):
    """How often a sum over windows reads each pixel of a line: the gradient of the sums."""
    line = torch.zeros(1, 1, n, dtype=torch.float64, requires_grad=True)
    F.conv1d(line, line.new_ones(1, 1, kernel), stride=stride).sum().backward()
    return math.sqrt(float(line.grad.max()) ** dimensions)


EXERCISE.mistake(
    "1",
    "This says that max pooling never stretches, as the paper does. That is so where the "
    "windows do not overlap; a pixel that is the maximum of several windows moves "
    "several outputs.",
    lambda kernel, stride, n, dimensions=2: 1.0,
)


def _along(kernel, stride, n):
    return min(-(-kernel // stride), (n - kernel) // stride + 1)


EXERCISE.mistake(
    "the count without the root",
    "This is the number of windows. If all of them move by t, the output moves by "
    "√(number · t²): take the root.",
    lambda kernel, stride, n, dimensions=2: _along(kernel, stride, n) ** dimensions,
    loose=True,
)

EXERCISE.mistake(
    "one axis alone",
    "The windows are counted along one axis only: in d dimensions the counts multiply, and "
    "the root is taken of the product.",
    lambda kernel, stride, n, dimensions=2: _along(kernel, stride, n) ** 0.5,
)

EXERCISE.mistake(
    "kernel over stride",
    "The ratio kernel / stride is the average number of windows along an axis; a pixel is "
    "in a whole number of them, and the largest counts.",
    lambda kernel, stride, n, dimensions=2: (kernel / stride) ** (dimensions / 2),
)

EXERCISE.mistake(
    "rounded down",
    "The ratio kernel / stride is rounded down: of 3 x 3 windows with stride 2, every "
    "second pixel of a line is in two. Round up.",
    lambda kernel, stride, n, dimensions=2: max(kernel // stride, 1) ** (dimensions / 2),
)

EXERCISE.mistake(
    "an endless image",
    "This is right for an image that is large enough. On a small one there are fewer "
    "windows than kernel / stride: count those that fit.",
    lambda kernel, stride, n, dimensions=2: math.ceil(kernel / stride) ** (dimensions / 2),
    loose=True,
)

EXERCISE.mistake(
    "two dimensions always",
    "This is the constant in two dimensions: in d the count of one axis is taken to the "
    "power d / 2.",
    lambda kernel, stride, n, dimensions=2: float(_along(kernel, stride, n)),
)

EXERCISE.mistake(
    "all pixels of a window",
    "This counts the pixels of a window. What stretches is the other way round: the "
    "windows of a pixel.",
    lambda kernel, stride, n, dimensions=2: kernel ** (dimensions / 2),
    loose=True,
)
