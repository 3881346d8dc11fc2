"""What several exercises of lesson 06 share."""

import math
import sys
import tracemalloc

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from course_lib.exercises import running

LOOSE = (
    "On these cases this is not below the norm, but it is not the norm. (Whether it is a bound for "
    "all kernels, the cases cannot say.)"
)

FIXED = (
    "The result is the same for a kernel three times as large: no number that does not depend on "
    "the weights is a bound for all of them."
)


def plain(result):
    """A number or a vector as a NumPy array, also where it carries a history."""
    return np.asarray(result.detach().cpu() if isinstance(result, torch.Tensor) else result)


def called(function, *args):
    """The names of all functions, also those of torch's and NumPy's own, that a call runs."""
    names, before = set(), sys.getprofile()

    def look(frame, event, arg):
        if event in ("call", "c_call"):
            names.add(frame.f_code.co_name if event == "call" else arg.__name__)

    sys.setprofile(look)
    try:
        function(*args)
    finally:
        running.profile_again(before)
    return names


def doubles(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def drawn(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def stripes(n):
    """A kernel (1, 1, n, n): the slanting wave of the frequencies (1, -1) and (-1, 1)."""
    place = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    return (place[:, None] - place).cos()[None, None]


def waves(n, cycles):
    """A kernel (2, 1, 1, n): a cosine and a sine, which answer most to their own frequency.

    Of the frequencies on n points both together pass on that one alone, n/√2 times as long. A grid
    of another size lacks it, and finds less.
    """
    place = torch.arange(n, dtype=torch.float64) * 2 * math.pi * cycles / n
    return torch.stack([place.cos(), place.sin()])[:, None, None]


def one_input_to_three():
    """A kernel (3, 2, 1, 1) of norm √3: three outputs read the first channel, none the second.

    With the roles of inputs and outputs exchanged, the same numbers in a row have the norm √2.
    """
    return doubles(1, 0, 1, 0, 1, 0).reshape(3, 2, 1, 1)


def above_a_layer(got, want, case):
    """Whether ``got`` is nowhere below the norm, and of the layer's size: no number off the shelf.

    Sums and products of norms of the symbols stay below 2n times the sum of all |weights|.
    """
    weight, n = case.args[:2]
    most = 2 * n * float(weight.abs().sum())
    return np.ndim(got) == 0 and want <= got <= most


def above_a_matrix(got, want, case):
    """The same for a matrix, whose norm is no larger than the sum of all |entries|."""
    return np.ndim(got) == 0 and want <= got <= 2 * float(case.args[0].abs().sum())


class Sizes(TorchFunctionMode):
    """Inside: ``largest``, the number of entries of the largest tensor that is made."""

    largest = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
        return result


def makes_a_large_array(function, *args, entries):
    """Whether ``function(*args)`` makes a tensor or an array of more than ``entries`` entries."""
    tracemalloc.start()  # NumPy tells it what it takes, torch does not
    try:
        with Sizes() as sizes:
            function(*args)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return sizes.largest > entries or peak > 8 * entries


def circular_matrix(weight, n, stride=1):
    """The layer's matrix, one unit image after the other, by sums written out in NumPy."""
    w = weight.numpy()
    outputs, inputs, height, width = w.shape
    columns = []
    for c in range(inputs):
        for a in range(n):
            for b in range(n):
                y = np.zeros((outputs, n, n))
                for i in range(height):
                    for j in range(width):
                        y[:, (a - i) % n, (b - j) % n] += w[:, c, i, j]
                columns.append(y[:, ::stride, ::stride].ravel())
    return np.array(columns).T
