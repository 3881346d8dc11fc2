"""`strided-norm`, lesson 06: against the norm of the whole matrix, written out.

What is not below it on any case is called loose, not wrong.
"""

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


def strided_cases(rng):
    yield Case("stride 2, a single tap", doubles(1).reshape(1, 1, 1, 1), 4, 2)
    yield Case("stride 1", drawn(rng, 2, 2, 3, 3), 4, 1)
    yield Case("a tap beside the pixels that are kept", doubles(0, 1).reshape(1, 1, 1, 2), 4, 2)
    yield Case("two taps far apart", doubles(1, 0, 0, 0, 1).reshape(1, 1, 1, 5), 8, 2)
    yield Case("stride 2", drawn(rng, 3, 2, 3, 3), 6, 2)
    yield Case("stride 2, one channel to many", drawn(rng, 5, 1, 3, 2), 4, 2)
    yield Case("stride 3", 0.1 * drawn(rng, 2, 2, 2, 4), 6, 3)
    yield Case("stride 4, taps of one sign", drawn(rng, 3, 1, 5, 5).abs(), 8, 4)
    yield Case("stride 4, smaller than the stride", drawn(rng, 2, 1, 3, 3), 4, 4)
    opposite = doubles(1, -1).reshape(1, 2, 1, 1)
    yield Case("two channels of opposite signs", opposite, 4, 2)
    yield Case("stripes from the upper left to the lower right", stripes(8), 8, 2)
    # more inputs than outputs, and the other way round: which is which shows
    yield Case("stride 3, three channels to one", drawn(rng, 1, 3, 2, 2), 6, 3)
    yield Case("stride 1, three outputs read one of two channels", one_input_to_three(), 3, 1)
    # all of the grid's frequencies, and those alone: another grid has not got this one
    yield Case("stride 1, stripes on 4 x 4 pixels", stripes(4), 4, 1)
    yield Case("stride 1, sixteen ones", torch.ones(1, 1, 4, 4, dtype=torch.float64), 4, 1)
    # its largest symbol is at 5/23: a grid of fixed size has no such frequency, and is no bound
    yield Case("stride 1, a wave of 23 taps", waves(23, 5), 23, 1)


def strided_of_numpy(weight, n, stride):
    return np.linalg.norm(circular_matrix(weight, n, stride), 2)


EXERCISE = Exercise(
    title="The norm of a convolution with stride",
    difficulty=4,
    minutes=15,
    hints=[
        "Begin as for stride 1: a D x C matrix for each of the n² frequencies.",
        "With m = n / Δ, frequency (f, g) of the output, 0 ≤ f, g < m, collects the Δ² input "
        "frequencies (f + a·m, g + b·m), a and b from 0 to Δ - 1. With the frequencies in front "
        "their block is `symbols[a * m : (a + 1) * m, b * m : (b + 1) * m]`.",
        "Put those Δ² blocks side by side (`torch.cat(blocks, dim=-1)`): a D x (C·Δ²) matrix for "
        "each of the m² output frequencies.",
        "The prefactor: for the single tap 1 the matrix is a row of Δ² ones, whose norm is Δ, and "
        "the layer's norm is 1.",
    ],
    cases=strided_cases,
    oracle=strided_of_numpy,
    twins=[spectral.operator_norm],
    on_device=False,
    valid=above_a_layer,
    loose=LOOSE,
    done="It agrees with the norm of the whole matrix, written out, for strides 1 to 4.",
)

WHOLE_MATRIX = (
    "The norm is right, and it is that of the layer's whole matrix, written out. The lesson needs "
    "it for AlexNet's first layer, whose matrix would take 90 GB: take the symbols, a small matrix "
    "for each of the (n/Δ)² output frequencies."
)


@EXERCISE.probe
def strided_probe(answer):
    """Whether the weights are used."""
    tap = doubles(1).reshape(1, 1, 1, 1)
    if plain(answer(tap, 4, 2)) == plain(answer(3 * tap, 4, 2)):
        return FIXED
    return None


@EXERCISE.probe(only_right=True)
def matrix_probe(answer):
    """Whether the matrix of D·(n/Δ)² rows is written out."""
    weight = torch.ones(2, 2, 3, 3, dtype=torch.float64)
    if makes_a_large_array(answer, weight, 28, 2, entries=100 * 2 * 2 * 28**2):
        return WHOLE_MATRIX
    return None


@EXERCISE.variant
def strided_polyphase(weight, n, stride):
    """Without aliasing: the pixels sorted by their place modulo the stride, as channels."""
    outputs, inputs, height, width = weight.shape
    full = weight.new_zeros(outputs, inputs, n, n)
    full[:, :, :height, :width] = weight
    m = n // stride
    phases = full.reshape(outputs, inputs, m, stride, m, stride).permute(0, 1, 3, 5, 2, 4)
    s = torch.fft.fft2(phases.reshape(outputs, -1, m, m)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(s, 2).max()


@EXERCISE.variant
def strided_reshaped(weight, n, stride):
    s = torch.fft.fft2(weight, s=(n, n))
    m = n // stride
    s = s.reshape(*weight.shape[:2], stride, m, stride, m)  # ξ + l·m is row l·m + ξ
    s = s.permute(3, 5, 0, 1, 2, 4).flatten(3) / stride
    return torch.linalg.svdvals(s).max()


@EXERCISE.variant
def strided_by_gram(weight, n, stride):
    """Per frequency the sum over the aliases of A A*, divided by stride²."""
    s = np.fft.fft2(weight.numpy(), s=(n, n))
    m, largest = n // stride, 0.0
    for f in range(m):
        for g in range(m):
            block = s[:, :, f::m, g::m].reshape(len(s), -1)
            largest = max(largest, np.linalg.eigvalsh(block @ block.conj().T)[-1])
    return np.sqrt(largest) / stride


EXERCISE.mistake(
    "Δ⁻²",
    "The prefactor is the printed Δ⁻²: the result is Δ times too small, and no bound. A "
    "layer that keeps every Δ-th pixel as it is has norm 1; which prefactor gives that?",
    ("dim=-1) / stride", "dim=-1) / stride**2"),
)

EXERCISE.mistake(
    "no prefactor",
    "There is no prefactor: the result is Δ times the norm. It is a bound, but a layer "
    "that keeps every Δ-th pixel as it is has norm 1.",
    ("dim=-1) / stride", "dim=-1)"),
    loose=True,
)

EXERCISE.mistake(
    "one dimension",
    "The prefactor is 1/√Δ, which is that of one dimension: images have two axes, each "
    "of which brings that factor.",
    ("dim=-1) / stride", "dim=-1) / stride**0.5"),
    loose=True,
)


@EXERCISE.mistake(
    "stride 1",
    "This is the norm with stride 1. It is a bound, because a stride only leaves outputs "
    "out, and not the norm for the same reason.",
    loose=True,
)
def stride_one(weight, n, stride):
    return torch.linalg.matrix_norm(torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1), 2).max()


BLOCK = "symbols[a * m : (a + 1) * m, b * m : (b + 1) * m]"

EXERCISE.mistake("a fixed number", FIXED, lambda weight, n, stride: 1e3)


@EXERCISE.mistake(
    "input and output channels exchanged",
    "The numbers of a frequency are put into a matrix of C rows and D·Δ² columns: with as many "
    "input as output channels that is the same, but else it is another matrix, whose norm can be "
    "below the layer's. D rows, one for each output channel, and C·Δ² columns.",
)
def channels_exchanged(weight, n, stride):
    outputs, inputs = weight.shape[:2]
    m = n // stride
    s = torch.fft.fft2(weight, s=(n, n)).reshape(outputs, inputs, stride, m, stride, m)
    s = s.permute(3, 5, 0, 1, 2, 4).reshape(m, m, inputs, -1)
    return torch.linalg.matrix_norm(s, 2).max() / stride


EXERCISE.mistake(
    "aliases at ξ + l·N",
    "The aliases are taken N apart, where the transform repeats: all Δ² blocks are the "
    "same. The output's grid has N/Δ points, and the aliases lie N/Δ apart.",
    (BLOCK, "symbols[:m, :m]"),
)

EXERCISE.mistake(
    "neighbours for aliases",
    "The blocks are those of ξ, ξ + 1, ...: neighbouring frequencies. Those that look the "
    "same on the output's grid lie N/Δ apart.",
    (BLOCK, "symbols.roll((-a, -b), dims=(0, 1))[:m, :m]"),
)

EXERCISE.mistake(
    "every Δ-th frequency",
    "The blocks are `symbols[a::Δ, b::Δ]`, which puts Δ² neighbouring frequencies into one "
    "matrix. Those that look the same on the output's grid lie n/Δ apart: with m = n/Δ "
    "they are `symbols[a * m : (a + 1) * m, ...]`.",
    (BLOCK, "symbols[a::stride, b::stride]"),
)


@EXERCISE.mistake(
    "the output's grid",
    "The kernel is transformed on the grid of n/Δ points, that of the output. The input "
    "has n x n frequencies: transform with `s=(n, n)`, and then put Δ² of them together.",
)
def on_the_outputs_grid(weight, n, stride):
    m = n // stride
    s = torch.fft.fft2(weight, s=(m, m)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(s, 2).max()


EXERCISE.mistake(
    "divided by n",
    'The transform is normalised (norm="ortho"), so the result is n times too small: the '
    "symbol is the plain sum of taps times waves.",
    ("s=(n, n)", 's=(n, n), norm="ortho"'),
)

EXERCISE.mistake(
    "Frobenius norm of a block",
    "This is the largest Frobenius norm of a block, which adds up all its singular values "
    "squared: a bound, but not the norm. `torch.linalg.svdvals`, or `matrix_norm(..., 2)` "
    "over the last two axes.",
    ("svdvals(together)", "matrix_norm(together)"),
    loose=True,
)

EXERCISE.mistake(
    "aliases on the diagonal",
    "Only Δ aliases are collected, those shifted along both axes at once: there are Δ², "
    "as l has two components.",
    ("for b in range(stride)", "for b in [a]"),
)

EXERCISE.mistake(
    "blocks on top of each other",
    "The blocks are stacked as rows. Δ² input frequencies meet in one output "
    "frequency: they are columns of one matrix, side by side.",
    ("dim=-1", "dim=-2"),
)

EXERCISE.mistake(
    "blocks one by one",
    "Each alias is looked at alone. An input may hold all Δ² of them, and they add up in "
    "the same output frequency: put them into one matrix.",
    ("torch.cat(blocks, dim=-1)", "torch.stack(blocks)"),
)

EXERCISE.mistake(
    "the square",
    "This is the square of the norm: the eigenvalues of AA* are the squares of the "
    "singular values of A.",
    (".max()", ".max() ** 2"),
)

EXERCISE.mistake(
    "blocks added",
    "The blocks are added. That is the output for an input that has the same amplitude in "
    "every alias; each alias has an amplitude of its own, a column of its own.",
    ("torch.cat(blocks, dim=-1)", "sum(blocks)"),
)

EXERCISE.mistake(
    "m and Δ exchanged",
    "The roles of m = n/Δ and Δ are exchanged: there are Δ blocks along each axis, m frequencies "
    "long, and here there are m blocks of Δ frequencies.",
    ("m = n // stride", "m, stride = stride, n // stride"),
    ("dim=-1) / stride", "dim=-1) / m"),
)


@EXERCISE.mistake(
    "a kernel with taps left out",
    "Every Δ-th tap of the kernel is taken, as though the stride left out taps. It leaves out "
    "outputs, and each output that stays has read all taps.",
)
def every_tap_of_stride(weight, n, stride):
    s = torch.fft.fft2(weight[:, :, ::stride, ::stride], s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(s, 2).max()
