"""Padding as a layer: constant (zeros), reflected, replicated or circular.

Every cell of the output is one of the input, or a constant. So the layer is a selection of cells,
and its norm the root of how often the most frequent cell occurs, counted exactly on every axis.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from ..checked import shape_of
from .operators import LinearMap
from .rules import Measured, Size, closed_form


class Padding(nn.Module):
    """F.pad as a module: ``widths`` as it takes them, the last axis first."""

    def __init__(self, pad, mode="constant", value=None):
        super().__init__()
        self.padding, self.mode, self.value = tuple(pad), mode, value

    def forward(self, x):
        return F.pad(x, self.padding, self.mode, self.value)


CONSTANT = (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)
ZERO = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)
MODES = {
    "reflect": (nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    "replicate": (nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
    "circular": (nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d),
}
PADDINGS = (Padding, *CONSTANT, *ZERO, *(kind for kinds in MODES.values() for kind in kinds))


def mode_of(layer: nn.Module) -> str:
    if hasattr(layer, "mode"):
        return layer.mode
    return next((m for m, kinds in MODES.items() if isinstance(layer, kinds)), "constant")


def pad(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """``x`` (B, *shape) padded, with zeros for any constant."""
    return F.pad(x, tuple(layer.padding), mode_of(layer))


def measure(layer: nn.Module, shape, upper: bool) -> Measured:
    """The norm: the root of the product over the axes of how often a cell occurs there at most."""
    widths, total = list(layer.padding), 1
    if len(widths) > 2 * len(shape):
        raise ValueError(f"{layer} pads more axes than an input of {shape} has.")
    for n, before, after in zip(reversed(shape), widths[::2], widths[1::2], strict=False):
        if min(before, after) < 0 and mode_of(layer) != "constant":
            raise ValueError(f"{layer} has a negative width: use a slice of the input instead.")
        if n + before + after < 1:
            raise ValueError(f"{layer} leaves nothing of an input of {shape}.")
        if mode_of(layer) != "constant":
            cells = torch.arange(n, dtype=torch.float64).reshape(1, 1, n)
            try:
                cells = F.pad(cells, (before, after), mode_of(layer))
            except (RuntimeError, ValueError):
                raise ValueError(
                    f"{layer} cannot pad {n} cells by {max(before, after)}: use less padding."
                ) from None
            total *= int(torch.bincount(cells.flatten().long()).max())
        elif -before >= n or -after >= n:
            raise ValueError(f"{layer} leaves nothing of an input of {shape}.")
    return closed_form(math.sqrt(total), "copies of a cell")


def linear_map(layer: nn.Module, shape) -> LinearMap:
    shape = shape_of(shape)
    outputs = pad(layer, torch.zeros(1, *shape)).shape[1:]
    return LinearMap(lambda x: pad(layer, x), shape, outputs, torch.device("cpu"))


def size(layer: nn.Module, shape) -> Size:
    return Size(" x ".join(map(str, shape)))
