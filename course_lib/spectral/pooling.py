"""Pooling layers: which cells each window covers, and the norms that follow from it.

All windows are products of intervals, so one axis at a time is enough: an average pooling layer is
the Kronecker product of one matrix per axis, and a pixel is in the product of the numbers of
windows that it is in along each axis.
"""

import math

import numpy as np
import scipy.linalg
import scipy.sparse
import torch
from torch import nn

from ..checked import shape_of
from .geometry import each_axis
from .operators import LinearMap
from .rules import UNIT, Measured, Size, closed_form

MAXIMUM = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVERAGE = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE_MAXIMUM = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
ADAPTIVE_AVERAGE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
POOLINGS = (*MAXIMUM, *AVERAGE, *ADAPTIVE_MAXIMUM, *ADAPTIVE_AVERAGE)
SPECTRUM_SIZE = 4096  # the longest axis whose matrix gets all singular values


def axes_of(layer: nn.Module) -> int:
    """1, 2 or 3, from the name of the layer's class in torch."""
    return next(int(base.__name__[-2]) for base in type(layer).__mro__ if base in POOLINGS)


def intervals(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> list[list[int]]:
    """The cells of the padded axis, from -p to n + p - 1, that each window covers.

    As torch counts them: with ceil_mode the last window may stick out beyond the padding (those
    cells are dropped here), but it must not begin there.
    """
    span = n + 2 * p - d * (k - 1) - 1
    count = (-(-span // s) if ceil_mode else span // s) + 1
    if ceil_mode and (count - 1) * s >= n + p:
        count -= 1
    cells = ([j * s - p + d * m for m in range(k)] for j in range(count))
    return [[c for c in window if c < n + p] for window in cells]


def adaptive(n: int, count: int) -> list[list[int]]:
    """The cells of each of ``count`` windows of an adaptive pooling layer on n cells."""
    return [list(range(j * n // count, -(-(j + 1) * n // count))) for j in range(count)]


def windows(layer: nn.Module, input_shape) -> list[list[list[int]]]:
    """For each axis, the cells that each window covers; those below 0 or from n on are padding.

    Raises ValueError for a shape (C, *n) that does not fit or is smaller than the window.
    """
    shape, axes = shape_of(input_shape), axes_of(layer)
    if len(shape) != axes + 1:
        raise ValueError(
            f"{layer} takes inputs of {axes + 1} sizes, channels first and without the batch axis, "
            f"not {shape}."
        )
    if isinstance(layer, (*ADAPTIVE_MAXIMUM, *ADAPTIVE_AVERAGE)):
        sizes = each_axis(layer.output_size, axes)
        return [adaptive(n, size or n) for n, size in zip(shape[1:], sizes, strict=True)]
    kernel = each_axis(layer.kernel_size, axes)
    stride = each_axis(layer.stride, axes) if layer.stride is not None else kernel
    padding = each_axis(layer.padding, axes)
    dilation = each_axis(getattr(layer, "dilation", 1), axes)
    found = []
    for n, k, s, p, d in zip(shape[1:], kernel, stride, padding, dilation, strict=True):
        found.append(intervals(n, k, s, p, d, layer.ceil_mode))
        if not found[-1]:
            raise ValueError(
                f"The windows of {layer} are larger than an input of {shape}: use larger inputs."
            )
    return found


def largest_count(layer: nn.Module, input_shape) -> int:
    """The largest number of windows that any pixel is in, counted exactly at the borders."""
    total = 1
    for n, axis in zip(shape_of(input_shape)[1:], windows(layer, input_shape), strict=True):
        inside = [[c for c in window if 0 <= c < n] for window in axis]
        if not all(inside):
            raise ValueError(
                f"A window of {layer} covers nothing but padding of an input of {input_shape}, "
                "where its maximum is -inf: use larger inputs or less padding."
            )
        cells = np.array([c for window in inside for c in window])
        total *= int(np.bincount(cells, minlength=n).max())
    return total


def averages(layer: nn.Module, input_shape) -> tuple[list[scipy.sparse.csr_array], float]:
    """One matrix (windows, n) for each axis, and a factor: their product is the layer."""
    include = getattr(layer, "count_include_pad", False)
    override = getattr(layer, "divisor_override", None)
    matrices = []
    for n, axis in zip(shape_of(input_shape)[1:], windows(layer, input_shape), strict=True):
        entries = []
        for j, window in enumerate(axis):
            inside = [c for c in window if 0 <= c < n]
            divisor = 1 if override else len(window) if include else len(inside)
            entries += [(1 / divisor, j, c) for c in inside]
        values, rows, columns = zip(*entries, strict=True) if entries else ((), (), ())
        shape = len(axis), n
        matrices.append(scipy.sparse.coo_array((values, (rows, columns)), shape).tocsr())
    return matrices, 1 / override if override else 1.0


def axis_norm(matrix: scipy.sparse.csr_array) -> float:
    """The norm of one axis' matrix: M Mᵀ is banded, for only windows near each other overlap."""
    product = (matrix @ matrix.T).tocsr()
    n = product.shape[0]
    rows, columns = product.nonzero()
    if not len(rows):  # every window lies in the padding
        return 0.0
    width = int(np.abs(rows - columns).max()) + 1
    bands = np.zeros((width, n))
    for i in range(width):
        bands[i, : n - i] = product.diagonal(i)
    top = scipy.linalg.eigvals_banded(bands, lower=True, select="i", select_range=(n - 1, n - 1))
    return math.sqrt(top[0])


def average_norm(layer: nn.Module, input_shape) -> float:
    """The norm of an average pooling layer: the product of its axes' norms."""
    matrices, factor = averages(layer, input_shape)
    return abs(factor) * math.prod(axis_norm(matrix) for matrix in matrices)


def average_spectrum(layer: nn.Module, input_shape) -> np.ndarray:
    """All singular values of average pooling, descending. Raises ValueError if it is too large."""
    matrices, factor = averages(layer, input_shape)
    if max(n for matrix in matrices for n in matrix.shape) > SPECTRUM_SIZE:
        raise ValueError(
            f"All singular values are computed for axes up to {SPECTRUM_SIZE} cells: use smaller "
            "inputs, or operator_norm."
        )
    found = np.array([abs(factor)])
    for matrix in matrices:
        found = np.outer(found, np.linalg.svd(matrix.toarray(), compute_uv=False)).ravel()
    # (windows, n) of all axes may have more of each than all axes' smaller sides together
    channels, rows, columns = shape_of(input_shape)[0], 1, 1
    for matrix in matrices:
        rows, columns = rows * matrix.shape[0], columns * matrix.shape[1]
    found = np.concatenate([found, np.zeros(min(rows, columns) - len(found))])
    return np.sort(np.repeat(found, channels))[::-1]


# --- what the rules say ---------------------------------------------------------------------------


def measure_maximum(layer: nn.Module, shape, upper: bool) -> Measured:
    """A change of one pixel changes at most as many outputs as it is in windows."""
    return closed_form(math.sqrt(largest_count(layer, shape)), "windows of a pixel")


def measure_average(layer: nn.Module, shape, upper: bool) -> Measured:
    return closed_form(average_norm(layer, shape), "product of the axes")


def average_map(layer: nn.Module, shape) -> LinearMap:
    outputs = (shape[0], *(len(axis) for axis in windows(layer, shape)))
    return LinearMap(layer.forward, shape, outputs, torch.device("cpu"))


def size(layer: nn.Module, shape) -> Size:
    """The windows and their stride; of an adaptive layer, whose windows vary, nothing."""
    if not hasattr(layer, "kernel_size"):
        return Size()
    axes = axes_of(layer)
    kernel = each_axis(layer.kernel_size, axes)
    stride = each_axis(layer.stride, axes) if layer.stride is not None else kernel
    return Size(" x ".join(map(str, kernel)), stride)


class Mean(nn.Module):
    """The mean over some axes of each image (axes counted with the batch's, which is 0)."""

    def __init__(self, axes, keepdim):
        super().__init__()
        self.axes, self.keepdim = axes, keepdim

    def forward(self, x):
        return x.mean(self.axes, self.keepdim)

    def output_shape(self, shape) -> tuple[int, ...]:
        """Of the mean of one image of ``shape``."""
        sizes = [1 if i in self.axes else n for i, n in enumerate(shape, 1)]
        return tuple(n for i, n in enumerate(sizes, 1) if self.keepdim or i not in self.axes)


def measure_mean(layer: Mean, shape, upper: bool) -> Measured:
    value = math.sqrt(math.prod(layer.output_shape(shape)) / math.prod(shape))
    return Measured(value, value, value * (1 + 4 * UNIT), "closed form")


def mean_size(layer: Mean, shape) -> Size:
    return Size(" x ".join(map(str, layer.output_shape(shape))))
