"""`convolution-matrix`, lesson 06: against unit inputs that NumPy correlates.

A circular kernel longer than its line comes round to the same pixel twice.
"""

import numpy as np
import torch
import torch.nn.functional as F

from course_lib.exercises import Case, Exercise

from .shared import doubles, drawn


def matrix_cases(rng):
    yield Case("two taps, three pixels", doubles(2, 5), 3, 0)
    yield Case("padded by 1", doubles(1, -1, 0), 5, 1)
    yield Case("padded by 2, five taps", drawn(rng, 5), 7, 2)
    yield Case("stride 2", drawn(rng, 3), 8, 1, 2)
    yield Case("stride 3, no padding", drawn(rng, 4), 11, 0, 3)
    yield Case("circular", drawn(rng, 3), 6, 1, circular=True)
    yield Case("circular, stride 2", drawn(rng, 4), 8, 1, 2, circular=True)
    yield Case("circular, once round", drawn(rng, 5), 3, 2, circular=True)
    yield Case("circular, no padding", drawn(rng, 3), 6, 0, circular=True)
    yield Case("circular, more outputs than pixels", drawn(rng, 3), 5, 2, circular=True)
    yield Case("padded by more than the kernel reaches", drawn(rng, 3), 4, 3)
    yield Case("a kernel longer than the line", drawn(rng, 6), 4, 2)
    yield Case("nine taps", drawn(rng, 9), 12, 4)
    yield Case("seven taps, circular", drawn(rng, 7), 9, 3, 3, circular=True)
    yield Case("a stride longer than the kernel", drawn(rng, 2), 9, 1, 4)


def matrix_of_numpy(kernel, n, padding, stride=1, circular=False):
    """Output by output: what a unit input gives, with the sum written out."""
    taps = kernel.numpy()
    mode = "wrap" if circular else "constant"
    columns = [np.pad(unit, padding, mode=mode) for unit in np.eye(n)]
    return np.array([np.correlate(c, taps, mode="valid")[::stride] for c in columns]).T


EXERCISE = Exercise(
    title="The matrix of a convolution",
    difficulty=2,
    minutes=10,
    hints=[
        "Two loops: over the outputs j and over the taps m of the kernel. Tap m of output j reads "
        "the input at i = stride · j + m - padding.",
        "The number of outputs is (n + 2 padding - taps) // stride + 1.",
        "With zeros, a position i outside of 0, ..., n - 1 reads a 0: nothing to enter (mind that "
        "Python takes a negative index for one from the end). On the circle it reads i modulo n; "
        "add there, for a kernel may come round to the same pixel twice.",
    ],
    cases=matrix_cases,
    oracle=matrix_of_numpy,
    on_device=False,
    done="It does to every unit input what `torch.nn.functional.conv1d` does.",
)


def _mode(circular):
    return {"mode": "circular"} if circular else {}


@EXERCISE.variant
def matrix_by_unit_inputs(kernel, n, padding, stride=1, circular=False):
    """Column i: what PyTorch's own convolution makes of the i-th unit input."""
    x = F.pad(torch.eye(n).to(kernel)[:, None], (padding, padding), **_mode(circular))
    return F.conv1d(x, kernel[None, None], stride=stride)[:, 0].T


@EXERCISE.variant
def matrix_by_folding(kernel, n, padding, stride=1, circular=False):
    """The matrix on the padded line, its outer columns folded back or cut off."""
    wide = n + 2 * padding
    outputs = (wide - len(kernel)) // stride + 1
    band = kernel.new_zeros(outputs, wide)
    for j in range(outputs):
        band[j, stride * j : stride * j + len(kernel)] = kernel
    inner = band[:, padding : padding + n].clone()
    if circular and padding:
        inner[:, n - padding :] += band[:, :padding]
        inner[:, :padding] += band[:, padding + n :]
    return inner


@EXERCISE.variant
def matrix_by_where(kernel, n, padding, stride=1, circular=False):
    outputs = (n + 2 * padding - len(kernel)) // stride + 1
    total = np.zeros((outputs, n))
    for m, value in enumerate(kernel.tolist()):
        for i in range(n):
            gap = i - m + padding - stride * np.arange(outputs)
            total[:, i] += value * (gap % n == 0 if circular else gap == 0)
    return total


EXERCISE.mistake(
    "circular for zero",
    "The positions beyond the ends come back at the other end also where the padding is "
    "zeros: those taps read a 0 and have no entry.",
    ("if circular:", "if True:"),
)

EXERCISE.mistake(
    "zero for circular",
    "The circular matrix is the one with zeros: there a position beyond an end is taken modulo n.",
    ("if circular:", "if False:"),
)

EXERCISE.mistake(
    "negative positions from the end",
    "A negative position has become an entry at the far end, because Python takes an "
    "index of -1 for the last. With zeros leave it out.",
    ("0 <= i < n", "i < n"),
)

EXERCISE.mistake(
    "flipped kernel",
    "The kernel is turned round. That is the convolution of mathematics; PyTorch's layers "
    "do not turn it, so tap m reads the pixel m places to the right.",
    ("matrix = kernel", "kernel = kernel.flip(0)\n    matrix = kernel"),
)

EXERCISE.mistake(
    "padding not subtracted",
    "Tap 0 of output 0 reads position 0, but with padding it reads position -padding: subtract it.",
    ("+ m - padding", "+ m"),
)

EXERCISE.mistake(
    "padding added",
    "The padding is added to the position that a tap reads: with padding, tap 0 of output "
    "0 reads position -padding, to the left of the line. Subtract it.",
    ("+ m - padding", "+ m + padding"),
)

EXERCISE.mistake(
    "stride not in the position",
    "The number of outputs is right, but each output reads one pixel to the right of the "
    "one before: with a stride, output j begins at stride · j - padding.",
    ("stride * j", "j"),
)


@EXERCISE.mistake(
    "as many outputs as pixels",
    "The circular matrix has n // stride rows, whatever the padding is. How many outputs there are "
    "does not depend on what the padding is made of: (n + 2 padding - taps) // stride + 1.",
)
def as_many_outputs_as_pixels(kernel, n, padding, stride=1, circular=False):
    if not circular:
        return torch.tensor(matrix_of_numpy(kernel, n, padding, stride))
    matrix = kernel.new_zeros(n // stride, n)
    for j in range(n // stride):
        for m in range(len(kernel)):
            matrix[j, (stride * j + m - padding) % n] += kernel[m]
    return matrix


EXERCISE.mistake(
    "return inside the loop",
    "Only the first row is filled: does the `return` stand inside the loop?",
    ("range(outputs)", "range(1)"),
)

EXERCISE.mistake(
    "overwritten",
    "Where the kernel comes round to the same pixel twice, the second tap overwrites the "
    "first: add them.",
    ("+= kernel[m]", "= kernel[m]"),
)

EXERCISE.mistake(
    "transposed",
    "This is the transposed matrix: a row for each output, a column for each input.",
    ("return matrix", "return matrix.T"),
)

EXERCISE.mistake(
    "stride ignored",
    "Every output is there: with a stride, only those at 0, stride, 2 · stride, ... are computed.",
    ("len(kernel)) // stride", "len(kernel))"),
    ("stride * j", "j"),
)

EXERCISE.mistake(
    "negative positions from the end, added",
    "A negative position has been added to the entry at the far end, because Python takes an index "
    "of -1 for the last. With zeros such a tap reads a 0: leave it out.",
    ("0 <= i < n", "i < n"),
    ("matrix[j, i] = kernel[m]", "matrix[j, i] += kernel[m]"),
)

EXERCISE.mistake(
    "round one end alone, the left",
    "On the circle a position below 0 comes round, and one beyond n - 1 is left out: both ends "
    "meet, so take all positions modulo n.",
    ("if circular:", "if circular and i < n:"),
)

EXERCISE.mistake(
    "round one end alone, the right",
    "On the circle a position beyond n - 1 comes round, and one below 0 is left out: both ends "
    "meet, so take all positions modulo n.",
    ("if circular:", "if circular and i >= 0:"),
)

EXERCISE.mistake(
    "half the kernel for padding",
    "The padding is half the kernel's length, whatever `padding` says: use the argument.",
    ("outputs = (n + 2 * padding", "padding = len(kernel) // 2\n    outputs = (n + 2 * padding"),
)
