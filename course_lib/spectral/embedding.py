"""Upper bounds of convolutions that are no circulants: by circulants that contain them.

The norm of a part of a matrix is at most that of the whole, and a circulant's norm is known.
"""

import dataclasses
import itertools
import math

import torch
from torch.nn import functional as F

from . import fourier
from .geometry import Axis, Geometry


@dataclasses.dataclass(frozen=True, eq=False)
class CirculantBound:
    """factor · top.upper is an upper bound; split: the circulant that ``top`` belongs to."""

    factor: float
    top: fourier.Top
    split: fourier.Polyphase
    method: str

    @property
    def upper(self) -> float:
        return self.factor * self.top.upper * (1 + 4 * fourier.EPS)


def twisted(
    layer: Geometry, grid, twistable, factor: float = 1.0, method: str = "", thorough: bool = True
) -> CirculantBound:
    """The least of the bounds by circulants on ``grid`` with each choice of twists.

    A layer with zero padding is a part of the circulant on any larger grid, whether or not the
    signal changes its sign on its way round: all of them are upper bounds. Without the twist the
    frequencies include 0, where many layers stretch most, and the bound is that of an endless
    input; half a step beside it the bound falls like the norm itself does, with 1 / N².
    twistable: for each axis whether a twist is allowed; thorough: else the first choice, twisted
    wherever it may be, is taken.
    """
    choices = sorted(itertools.product(*[(1, 0) if free else (0,) for free in twistable]))
    choices = choices if thorough else choices[-1:]
    best, known = None, {}  # the taps are the same for all
    for twist in reversed(choices):
        split = fourier.polyphase(layer, grid, twist)
        found = fourier.top(split, math.inf if best is None else best.upper, known)
        if best is None or (found is not None and found.upper < best.upper):
            best, kept = found, split
    return CirculantBound(factor, best, kept, method)


def repeats(axis: Axis, mode: str) -> int:
    """How often the padding shows the cell that it shows most often, that cell itself included."""
    cells = torch.arange(axis.n, dtype=torch.float64)[None, None]
    padded = F.pad(cells, (axis.before, axis.after), mode)
    return int(padded.long().flatten().bincount().max())


def padded_bound(layer: Geometry) -> CirculantBound:
    """The norm of the padding times the bound of the convolution of the padded input."""
    factor = math.sqrt(math.prod(repeats(axis, layer.mode) for axis in layer.axes))
    axes = tuple(
        dataclasses.replace(axis, n=axis.n + axis.before + axis.after, before=0, after=0)
        for axis in layer.axes
    )
    inner = dataclasses.replace(layer, axes=axes, mode="zeros")
    method = f"{layer.mode} padding times circulant"
    return twisted(inner, inner.embedding_grid(), [True] * len(axes), factor, method)


def wrapped_bound(layer: Geometry) -> CirculantBound:
    """For circular padding whose stride does not divide the size: a circulant with more outputs.

    Output j is at cell s·j mod n, one of the multiples of g = gcd(s, n), and each of them occurs at
    most so often; the layer of stride g on Z_n, a circulant, has all of them.
    """
    axes, grid, free, factor = [], [], [], 1.0
    for axis in layer.axes:
        outside = axis.first < 0 or axis.last >= axis.n
        free.append(not outside)
        grid.append(axis.n if outside else axis.embedding())
        if outside:
            step = math.gcd(axis.s, axis.n)
            factor *= math.sqrt(math.ceil(axis.outputs / (axis.n // step)))
            axis = dataclasses.replace(axis, s=step)
        axes.append(axis)
    inner = dataclasses.replace(layer, axes=tuple(axes))
    return twisted(inner, tuple(grid), free, factor, "circulant of smaller stride")


def upper_bound(layer: Geometry, thorough: bool = True) -> CirculantBound:
    """The best of the bounds for a layer that is no circulant; thorough: see :func:`twisted`."""
    if layer.mode == "zeros" or not layer.is_padded():
        grid, free = layer.embedding_grid(), [True] * len(layer.axes)
        return twisted(layer, grid, free, method="circulant that contains it", thorough=thorough)
    if layer.mode == "circular":
        return min(padded_bound(layer), wrapped_bound(layer), key=lambda bound: bound.upper)
    return padded_bound(layer)


def plane_wave(layer: Geometry, bound: CirculantBound) -> torch.Tensor:
    """An input (1, *input_shape) of norm 1 that the layer stretches nearly as ``bound`` says.

    The circulant's own vector is a wave all over the grid; here it swells and fades over the cells
    of the input, as half a period of a sine, so that the border costs a share of 1 / N² only.
    """
    split, top = bound.split, bound.top
    axes, strides = layer.axes, [axis.s for axis in layer.axes]
    cells = [torch.arange(m) for m in split.grid]
    turns = sum(
        (int(w) * part % (2 * m) / (2.0 * m)).reshape(
            [-1 if i == k else 1 for i in range(len(axes))]
        )
        for k, (w, part, m) in enumerate(zip(top.frequency, cells, split.grid, strict=True))
    )
    wave = torch.polar(torch.ones_like(turns), 2 * math.pi * turns).to(top.right.device)
    residues = top.right.reshape(-1, *strides)  # (channels of the group, residues)
    found = residues.reshape(len(residues), *[n for s in strides for n in (1, s)]) * wave.reshape(
        1, *[n for m in split.grid for n in (m, 1)]
    )
    found = found.real.reshape(
        len(residues), *(m * s for m, s in zip(split.grid, strides, strict=True))
    )
    whole = found.new_zeros(layer.groups, len(found), *(axis.n for axis in axes))
    part = found[(slice(None), *(slice(0, axis.n) for axis in axes))]
    for k, axis in enumerate(axes):
        swell = torch.sin(math.pi * (torch.arange(axis.n) + 1.0) / (axis.n + 1)).to(part)
        part = part * swell.reshape([-1 if i == k else 1 for i in range(len(axes))])
    whole[(top.group, slice(None), *(slice(0, s) for s in part.shape[1:]))] = part
    return (whole / torch.linalg.vector_norm(whole)).flatten(0, 1)[None]


def absolute(layer: Geometry) -> tuple[float, int]:
    """A bound of the norm with all weights made positive, and the products in a sum, for rounding.

    The taps of the kernel are shifts, so the norm is at most the sum of their matrices' norms,
    times the norm of the padding.
    """
    split = fourier.polyphase(layer, layer.embedding_grid()).taps.detach().flatten(1, -3)
    total = float(torch.linalg.matrix_norm(split).sum(1).max())
    if layer.mode != "zeros":
        total *= math.sqrt(math.prod(repeats(axis, layer.mode) for axis in layer.axes))
    return total, layer.weight[0].numel() + len(layer.weight) * math.prod(
        layer.weight.shape[2:]
    ) + 16
