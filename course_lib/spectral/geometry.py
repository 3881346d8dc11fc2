"""What a convolution is, as numbers: which cells each output reads, and what grid it lives on.

Along one axis, output j reads the cells  s·j + d·m - p  for the taps m = 0 .. k-1 of the kernel
(s stride, d dilation, p cells of padding before the first one). Everything below follows from that.
"""

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checked import shape_of
from .plain import base_of, difference, weight_now

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis of a convolution: n cells, kernel k, stride s, dilation d, padding on both sides."""

    n: int
    k: int
    s: int
    d: int
    before: int
    after: int

    @property
    def reach(self) -> int:
        """How far a kernel extends: the distance of its last tap from its first."""
        return self.d * (self.k - 1)

    @property
    def outputs(self) -> int:
        """How many outputs there are along this axis."""
        return (self.n + self.before + self.after - self.reach - 1) // self.s + 1

    @property
    def first(self) -> int:
        """The first cell that is read; negative if it is one of the padding."""
        return -self.before

    @property
    def last(self) -> int:
        """The last cell that is read; n or more if it is one of the padding."""
        return self.first + (self.outputs - 1) * self.s + self.reach

    def period(self, circular: bool) -> int | None:
        """The N for which this axis is that of a circulant on Z_N, or None if there is none.

        Either the padding is circular and the stride divides n, with n / s outputs. Or no window
        leaves the axis and no two share a cell: then N = s · outputs, whatever is left over.
        """
        if self.first >= 0 and self.last < self.n and self.reach < self.s:
            return self.s * self.outputs
        return self.n if circular and self.n == self.s * self.outputs else None

    def embedding(self) -> int:
        """The least N, a multiple of s, such that a circulant on Z_N contains the zero-padded axis.

        The n cells and the outputs must be different on Z_N, and a read of the padding, on either
        side, must not wrap onto one of the n cells: N >= n + p before it, N > the last cell read.
        """
        least = max(self.n + max(-self.first, 0), self.last + 1, self.s * self.outputs)
        return -(-least // self.s) * self.s


@dataclasses.dataclass(frozen=True)
class Geometry:
    """A convolution without its bias: ``weight`` (D, C / groups, *kernel) float64, and its axes."""

    weight: Tensor
    groups: int
    axes: tuple[Axis, ...]
    mode: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.weight.shape[1] * self.groups, *(axis.n for axis in self.axes))

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.weight.shape[0], *(axis.outputs for axis in self.axes))

    @property
    def inputs(self) -> int:
        return math.prod(self.input_shape)

    @property
    def outputs(self) -> int:
        return math.prod(self.output_shape)

    def circulant_grid(self) -> tuple[int, ...] | None:
        """The grid N on which the layer is a circulant, or None if it is none."""
        periods = [axis.period(self.mode == "circular") for axis in self.axes]
        return None if None in periods else tuple(periods)

    def embedding_grid(self) -> tuple[int, ...]:
        """The least grid on which a circulant contains the zero-padded layer (see Axis)."""
        return tuple(axis.embedding() for axis in self.axes)

    def is_padded(self) -> bool:
        """Whether any output reads a cell outside the input."""
        return any(axis.first < 0 or axis.last >= axis.n for axis in self.axes)

    def pad(self, x: Tensor) -> Tensor:
        """``x`` (B, C, *n) with its padding."""
        widths = [w for axis in reversed(self.axes) for w in (axis.before, axis.after)]
        if not any(widths):
            return x
        return F.pad(x, widths, "constant" if self.mode == "zeros" else self.mode)

    def apply(self, x: Tensor) -> Tensor:
        """The layer without its bias: (B, C, *n) -> (B, D, *outputs)."""
        stride = tuple(axis.s for axis in self.axes)
        dilation = tuple(axis.d for axis in self.axes)
        convolve = CONVOLVE[len(self.axes)]
        return convolve(self.pad(x), self.weight, None, stride, 0, dilation, self.groups)


def weight_of(layer: nn.Module) -> Tensor:
    """The layer's weight in float64, connected to it for gradients.

    On a device without float64 (MPS) it is copied to the CPU. Raises ValueError for NaN or infinite
    entries, for none at all, and on the meta device; TypeError for complex ones.
    """
    weight = weight_now(layer)
    if weight.is_meta or not weight.numel():
        why = "lie on the meta device, where they have no values" if weight.is_meta else "are none"
        raise ValueError(
            f"The weights of {layer} {why}, so it has no norm: make it on a real device, with "
            "sizes from 1 on."
        )
    if weight.is_complex():
        raise TypeError(f"{layer} has complex weights: only real ones are supported.")
    if weight.device.type == "mps":
        weight = weight.cpu()
    weight = weight.to(torch.float64)
    if not torch.isfinite(weight.detach()).all():
        raise ValueError(
            f"The weights of {layer} contain NaN or infinite values, so it has no norm: load other "
            "weights, or train again with a smaller learning rate."
        )
    return weight


def stored(layer: nn.Module) -> Tensor:
    """A tensor of the type and on the device of the layer's weight. Not the weight itself: to ask a
    parametrised layer for that in train mode goes on with its power iteration."""
    found = next(layer.parameters(), None)
    return layer.weight if found is None else found


def padding_of(layer: nn.Module) -> tuple[int, ...]:
    """The widths of the padding as F.pad takes them: of the last axis before and after it, and so
    on. As the forward reads them: for other modes than zeros from what was worked out when the
    layer was made."""
    if layer.padding_mode != "zeros":
        return tuple(layer._reversed_padding_repeated_twice)
    if layer.padding == "valid":
        return (0, 0) * len(layer.kernel_size)
    if layer.padding == "same":
        sizes = layer.kernel_size
        dilation = each_axis(layer.dilation, len(sizes))
        reaches = [d * (k - 1) for d, k in zip(dilation, sizes, strict=True)]
        return tuple(w for reach in reversed(reaches) for w in (reach // 2, reach - reach // 2))
    widths = each_axis(layer.padding, len(layer.kernel_size))
    return tuple(width for width in reversed(widths) for _ in range(2))


def each_axis(value, axes: int) -> tuple:
    """A setting of a layer, one int for all axes or one for each."""
    return (value,) * axes if isinstance(value, int) or value is None else tuple(value)


def geometry(layer: nn.Module, input_shape) -> Geometry:
    """The geometry of a convolution on inputs (C, *n).

    Raises TypeError if it is no Conv1d, Conv2d or Conv3d; ValueError, with what to do, for a shape
    that does not fit, an input smaller than the kernel, or padding that the mode cannot make.
    """
    base = base_of(layer, CONVOLUTIONS)
    if base is None:
        raise TypeError(f"{type(layer).__name__} is no Conv1d, Conv2d or Conv3d.")
    if why := difference(layer, base):
        raise TypeError(
            f"This {type(layer).__name__} need not compute what {base.__name__} does ({why}): use "
            "norm_bounds or operator_norm, which read what it does."
        )
    weight = weight_of(layer)  # an attribute may be older than the weight
    shape, kernel, k = shape_of(input_shape), weight.shape[2:], len(layer.kernel_size)
    if len(shape) != k + 1 or shape[0] != weight.shape[1] * layer.groups:
        sizes = ("length", "height, width", "depth, height, width")[k - 1]
        raise ValueError(
            f"{layer} takes inputs of shape ({layer.in_channels}, {sizes}) without the batch axis, "
            f"not {shape}."
        )
    both, settings = padding_of(layer), (layer.stride, layer.dilation)
    axes = []
    for i, (n, size, s, d) in enumerate(
        zip(shape[1:], kernel, *(each_axis(v, k) for v in settings), strict=True)
    ):
        before, after = both[2 * (k - 1 - i)], both[2 * (k - 1 - i) + 1]
        axis = Axis(n, size, s, d, before, after)
        if axis.reach + 1 > n + before + after:
            raise ValueError(
                f"The kernel of {layer} covers {axis.reach + 1} cells, and an input of {shape} has "
                f"only {n + before + after} with its padding: use larger inputs or more padding."
            )
        limit = {"reflect": n - 1, "circular": n}.get(layer.padding_mode, math.inf)
        if max(before, after) > limit:
            raise ValueError(
                f"{layer} cannot pad {n} cells by {max(before, after)} in the mode "
                f"{layer.padding_mode!r}, at most by {limit}: use larger inputs or less padding."
            )
        axes.append(axis)
    return Geometry(weight, layer.groups, tuple(axes), layer.padding_mode)


def transposed_geometry(layer: nn.Module, input_shape) -> Geometry:
    """The convolution whose adjoint a transposed convolution on inputs (C, *n) is.

    Raises ValueError, with what to do, for a shape that does not fit, and for an output padding
    beyond the stride, which that convolution would read.
    """
    shape, k = shape_of(input_shape), len(layer.kernel_size)
    if len(shape) != k + 1 or shape[0] != layer.in_channels:
        raise ValueError(
            f"{layer} takes {layer.in_channels} channels and {k} more sizes, without the batch "
            f"axis, not {shape}."
        )
    settings = zip(
        shape[1:],
        layer.kernel_size,
        layer.stride,
        layer.dilation,
        layer.padding,
        layer.output_padding,
        strict=True,
    )
    axes = []
    for n, size, s, d, p, more in settings:
        cells = (n - 1) * s - 2 * p + d * (size - 1) + more + 1
        if cells < 1:
            raise ValueError(f"{layer} leaves nothing of an input of {shape}: use larger inputs.")
        axes.append(Axis(cells, size, s, d, p, p))
        if axes[-1].outputs != n:
            raise ValueError(
                f"The output_padding of {layer} is not below its stride: what it does is not known "
                "here."
            )
    return Geometry(weight_of(layer), layer.groups, tuple(axes), "zeros")
