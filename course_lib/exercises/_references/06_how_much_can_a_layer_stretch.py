"""References of lesson 06_how_much_can_a_layer_stretch, taken out of its solutions by course build.

Never edited: the source is solutions/06_how_much_can_a_layer_stretch.py.
"""

# ruff: noqa
# fmt: off

import torch

ORDER = [
    "power-iteration",
    "norm-from-above",
    "convolution-matrix",
    "symbol-norm",
    "strided-norm",
    "pooling-constant",
]


def power_iteration(matrix, start, steps=100):
    """The largest stretch of a matrix, found by power iteration.

    matrix: (outputs, inputs); start: (inputs,), any vector but 0; steps:
    how many are taken, at least 1. Returns the stretch of the last
    direction, a scalar, and that direction, (inputs,), of length 1.
    """
    v = start
    for _ in range(steps):
        v = matrix.T @ (matrix @ v)
        v = v / v.norm()
    return (matrix @ v).norm(), v


def norm_from_above(matrix, squarings=6):
    """A bound from above for the operator norm, by Gram iteration.

    matrix: (outputs, inputs), not all 0; squarings: k, how often WᵀW is
    squared. Returns the Frobenius norm of its power 2ᵏ, to the power
    1 / 2ᵏ⁺¹, a scalar, by products of matrices: without a decomposition.
    """
    gram, log = matrix.T @ matrix, 0.0
    for _ in range(squarings):
        size = gram.norm()
        gram = (gram / size) @ (gram / size)
        log = 2 * (log + size.log())
    return ((log + gram.norm().log()) / 2 ** (squarings + 1)).exp()


def convolution_matrix(kernel, n, padding, stride=1, circular=False):
    """The matrix of a convolution of one channel on a line of n pixels.

    kernel: (taps,); padding: on both sides, n at most, of zeros, or
    (circular) of what is found going round. Returns (outputs, n), with
    outputs = (n + 2 padding - taps) // stride + 1.
    """
    outputs = (n + 2 * padding - len(kernel)) // stride + 1
    matrix = kernel.new_zeros(outputs, n)
    for j in range(outputs):
        for m in range(len(kernel)):
            i = stride * j + m - padding
            if circular:
                matrix[j, i % n] += kernel[m]
            elif 0 <= i < n:
                matrix[j, i] = kernel[m]
    return matrix


def symbol_norm(weight, n):
    """The operator norm of a circular convolution with stride 1.

    weight: (D, C, height, width), the kernel, at most n high and wide; n:
    the images have n x n pixels. Returns a scalar, from the symbols: without
    the layer's matrix, which can be too large to hold.
    """
    symbols = torch.fft.fft2(weight, s=(n, n))  # (D, C, n, n)
    symbols = symbols.permute(2, 3, 0, 1)
    return torch.linalg.svdvals(symbols).max()


def strided_norm(weight, n, stride):
    """The operator norm of a circular convolution with a stride.

    weight: (D, C, height, width), the kernel, at most n high and wide; n:
    the images have n x n pixels; stride: Δ, a divisor of n. Returns a
    scalar, from the symbols: without the layer's matrix.
    """
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    m = n // stride
    blocks = [
        symbols[a * m : (a + 1) * m, b * m : (b + 1) * m]
        for a in range(stride)
        for b in range(stride)
    ]
    together = torch.cat(blocks, dim=-1) / stride  # (m, m, D, C·Δ²)
    return torch.linalg.svdvals(together).max()


def pooling_constant(kernel, stride, n, dimensions=2):
    """The Lipschitz constant of max pooling, in L2.

    kernel, stride: of the windows, along every axis; n: the images have n
    pixels along every axis, n >= kernel; no padding; dimensions: of the
    images. Returns the root of the largest number of windows that one pixel
    is in.
    """
    windows = [0] * n
    for start in range(0, n - kernel + 1, stride):
        for i in range(start, start + kernel):
            windows[i] += 1
    return max(windows) ** (dimensions / 2)
