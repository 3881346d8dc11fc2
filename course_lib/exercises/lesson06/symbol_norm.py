"""`symbol-norm`, lesson 06: against the norm of the whole matrix, written out.

Taps and channels that cancel tell the norm from moduli and sums; what lies above is only loose.
"""

import math

import numpy as np
import torch

from course_lib import spectral
from course_lib.exercises import Case, Exercise

from .shared import (
    FIXED,
    LOOSE,
    above_a_layer,
    circular_matrix,
    doubles,
    drawn,
    makes_a_large_array,
    one_input_to_three,
    plain,
    stripes,
    waves,
)


def symbol_cases(rng):
    yield Case("one channel, one row of taps", doubles(1, -1).reshape(1, 1, 1, 2), 4)
    yield Case("one channel, an odd grid", doubles(1, -1).reshape(1, 1, 1, 2), 3)
    yield Case("two channels to three", drawn(rng, 3, 2, 3, 3), 5)
    yield Case("three channels to two", 0.1 * drawn(rng, 2, 3, 3, 2), 4)
    yield Case("the kernel as large as the grid", drawn(rng, 2, 2, 4, 4), 4)
    yield Case("one tap, all ones", torch.ones(5, 6, 1, 1, dtype=torch.float64), 2)
    smooth = drawn(rng, 4, 1, 3, 3).abs()
    yield Case("positive weights", smooth, 6)
    yield Case("two channels of opposite signs", doubles(1, -1).reshape(1, 2, 1, 1), 2)
    yield Case("stripes from the upper left to the lower right", stripes(4), 4)
    yield Case("three outputs read one of two channels", one_input_to_three(), 3)
    # its largest symbol is at 5/23: a grid of fixed size has no such frequency, and is no bound
    yield Case("a wave and a quarter of one later, 23 taps", waves(23, 5), 23)


def symbol_of_numpy(weight, n):
    return np.linalg.norm(circular_matrix(weight, n), 2)


EXERCISE = Exercise(
    title="The norm of a circular convolution",
    difficulty=3,
    minutes=10,
    hints=[
        "`torch.fft.fft2(weight, s=(n, n))` pads each kernel with zeros to n x n and transforms "
        "it: the result has shape (D, C, n, n), a D x C matrix for each of the n² frequencies.",
        "Bring the frequencies to the front with `.permute(2, 3, 0, 1)`: "
        "`torch.linalg.svdvals` works on the last two axes.",
        "The layer's norm is the largest of all those singular values.",
    ],
    cases=symbol_cases,
    oracle=symbol_of_numpy,
    twins=[spectral.operator_norm],
    on_device=False,
    valid=above_a_layer,
    loose=LOOSE,
    done="It agrees with the norm of the whole matrix, written out.",
)

N_IGNORED = (
    "The result does not depend on n, and the norm does: on a circle of n x n pixels there are the "
    "frequencies of that circle and no others. Is there a transform with a grid of its own, as "
    "`s=(28, 28)`? It lacks some of them, and what it finds is no bound. `fft2(weight, s=(n, n))`."
)

WHOLE_MATRIX = (
    "The norm is right, and it is that of the layer's whole matrix, written out. That takes "
    "seconds for the layers below, and no machine holds it for those of AlexNet: take the symbols, "
    "a small matrix for each frequency."
)


@EXERCISE.probe
def symbol_probe(answer):
    """Whether the weights and n are used."""
    steep = doubles(1, -1).reshape(1, 1, 1, 2)  # 2 on an even circle, less on an odd one
    if plain(answer(steep, 3)) == plain(answer(3 * steep, 3)):
        return FIXED
    if abs(plain(answer(steep, 3)) - plain(answer(steep, 8))) < 1e-6:
        return N_IGNORED
    return None


@EXERCISE.probe(only_right=True)
def matrix_probe(answer):
    """Whether the matrix of D·n² rows is written out."""
    weight = torch.ones(2, 2, 3, 3, dtype=torch.float64)
    if makes_a_large_array(answer, weight, 20, entries=100 * 2 * 2 * 20**2):
        return WHOLE_MATRIX
    return None


EXERCISE.mistake("a fixed number", FIXED, lambda weight, n: 1e3)

EXERCISE.mistake("n ignored", N_IGNORED, ("s=(n, n)", "s=(28, 28)"))


@EXERCISE.variant
def symbol_one_by_one(weight, n):
    largest = 0.0
    place = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    for f in place:
        for g in place:
            rows = torch.arange(weight.shape[2])[:, None] * f
            phase = torch.exp(-1j * (rows + torch.arange(weight.shape[3]) * g))
            matrix = (weight * phase).sum(dim=(2, 3))
            largest = max(largest, float(torch.linalg.matrix_norm(matrix, 2)))
    return largest


@EXERCISE.variant
def symbol_by_eigenvalues(weight, n):
    s = torch.fft.rfft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.eigvalsh(s.mH @ s).max().sqrt()


@EXERCISE.variant
def symbol_padded(weight, n):
    full = weight.new_zeros(*weight.shape[:2], n, n)
    full[:, :, : weight.shape[2], : weight.shape[3]] = weight
    s = np.fft.fft2(full.numpy()).transpose(2, 3, 0, 1)
    return np.linalg.svd(s, compute_uv=False).max()


EXERCISE.mistake(
    "norm of the reshaped kernel",
    "This is the norm of the kernel reshaped to D x (C·h·w). Neighbouring outputs read the "
    "same pixels again, which that matrix does not know: the layer's norm can be several "
    "times larger. Take the norms of the symbols.",
    lambda weight, n: torch.linalg.matrix_norm(weight.flatten(1), 2),
)

EXERCISE.mistake(
    "largest entry",
    "This is the largest entry of the symbols. With several channels a frequency has a "
    "matrix, and its norm is its largest singular value.",
    ("torch.linalg.svdvals(symbols)", "symbols.abs()"),
)

EXERCISE.mistake(
    "input channels added up",
    "The symbols of the input channels are added up. That is the output for an input that "
    "is the same in every channel, and no bound: where the channels' weights have opposite "
    "signs they cancel. Each channel has an amplitude of its own, a column of the matrix.",
    ("torch.linalg.svdvals(symbols)", "symbols.sum(dim=-1).norm(dim=-1)"),
)

EXERCISE.mistake(
    "modulus before the singular values",
    "The singular values are those of the moduli of the symbols (`.abs()`). Without their "
    "phases the entries cannot cancel: it is a bound, but too large where they do. "
    "`torch.linalg.svdvals` takes complex matrices.",
    ("svdvals(symbols)", "svdvals(symbols.abs())"),
    loose=True,
)

EXERCISE.mistake(
    "root of the taps times the reshaped norm",
    "This is the norm of the reshaped kernel times the root of the number of taps: a "
    "bound, since each pixel is read h·w times, but not the norm. Take the norms of the "
    "symbols.",
    lambda weight, n: (
        math.sqrt(weight[0, 0].numel()) * torch.linalg.matrix_norm(weight.flatten(1), 2)
    ),
    loose=True,
)

EXERCISE.mistake(
    "Frobenius norm of a symbol",
    "This is the largest Frobenius norm of a symbol, which adds up all its singular values "
    "squared: `torch.linalg.svdvals`, or `matrix_norm(..., 2)`.",
    ("svdvals(symbols)", "matrix_norm(symbols)"),
    loose=True,
)

EXERCISE.mistake(
    "frequency 0 alone",
    "This is the symbol at frequency 0, the sum of the taps: it says how constant images "
    "are stretched. Take the largest over all frequencies.",
    ("svdvals(symbols)", "svdvals(symbols[0, 0])"),
)

EXERCISE.mistake(
    "a quarter of the frequencies",
    "Only a quarter of the frequencies is looked at, those from 0 to n/2 along both axes. For a "
    "real kernel one half is enough, but (f, -g) is another frequency than (f, g).",
    ("svdvals(symbols)", "svdvals(symbols[: n // 2 + 1, : n // 2 + 1])"),
)

EXERCISE.mistake(
    "no grid",
    "The kernel is transformed at its own size and not on the grid of n x n: most "
    "frequencies are missing. `fft2(weight, s=(n, n))`.",
    (", s=(n, n)", ""),
)

EXERCISE.mistake(
    "divided by n",
    'The transform is normalised (norm="ortho"), so all symbols are n times too small: '
    "the symbol is the plain sum of taps times waves.",
    ("s=(n, n)", 's=(n, n), norm="ortho"'),
)

EXERCISE.mistake(
    "singular values over the grid",
    "The singular values are those of the n x n arrays of each pair of channels: "
    "the frequencies must come first, and the channels last (`permute(2, 3, 0, 1)`).",
    (".permute(2, 3, 0, 1)", ""),
)

EXERCISE.mistake(
    "the square",
    "This is the square of the norm: the eigenvalues of A*A are the squares of the "
    "singular values of A.",
    (".max()", ".max() ** 2"),
)

EXERCISE.mistake(
    "one for each frequency",
    "These are the norms of all frequencies: their maximum is asked for.",
    ("svdvals(symbols).max()", "matrix_norm(symbols, 2)"),
)

EXERCISE.mistake(
    "the inverse transform",
    "This is n² times too small: `ifft2` divides by n². The symbol is the plain sum of taps times "
    "waves, `fft2`.",
    ("fft.fft2", "fft.ifft2"),
)

EXERCISE.mistake(
    "reshaped and not permuted",
    "The axes are regrouped with `reshape` (or `view`), which keeps the numbers in their order: a "
    "matrix then mixes frequencies and channels. `permute(2, 3, 0, 1)` brings the frequencies to "
    "the front.",
    ("symbols.permute(2, 3, 0, 1)", "symbols.reshape(n, n, *weight.shape[:2])"),
)

EXERCISE.mistake(
    "the real part alone",
    "The singular values are those of the real parts of the symbols. A wave that is shifted on its "
    "way has an imaginary part, and its stretch is the modulus: `torch.linalg.svdvals` takes "
    "complex matrices.",
    ("svdvals(symbols)", "svdvals(symbols.real)"),
)

EXERCISE.mistake(
    "channels transformed",
    "The channels are transformed as well as the pixels, which makes the norm √(D·C) times too "
    "large: waves run over the last two axes of the kernel. `fft2` takes those by itself; `fftn` "
    "takes all axes unless `dim` says which.",
    ("fft.fft2(weight, s=(n, n))", "fft.fftn(torch.fft.fft2(weight, s=(n, n)), dim=(0, 1))"),
    loose=True,
)
