"""Blocks of convolutions frequency by frequency: what each value is of the block's variables.

A block is a part of a network between two of its values, the only way from the one to the other.
Its *variables* are the changes of its input and of the outputs of its activations; in between all
is linear. On a torus that is large enough for each convolution (:meth:`.geometry.Axis.embedding`)
a convolution with zero padding is a part of a circulant, so the Fourier transform splits the block:
for each frequency ω of the coarsest grid M, a variable on a grid q times as fine has q coefficients
a channel and axis, at the frequencies of which ω is the alias, and a stride s adds s of them up,
divided by √s. What leaves its grid's true cells is cut off: an activation's slope there is 0.

The same walk through the block is done with the absolute values of all weights, without
frequencies: those bound every entry, and so what rounding may have done to it.
"""

import dataclasses
import itertools
import math

import torch
from torch import Tensor, nn

from . import fourier
from .diagonals import BATCH_NORMS, Diagonal, scales
from .geometry import CONVOLUTIONS, Geometry, geometry
from .padding import PADDINGS, mode_of
from .steps import Step

TWIST = 1  # all signals change their sign on their way round: no frequency is 0 (see embedding)
ANGLE = 16  # roundings of a cosine, of an exactly reduced angle


class Unfit(ValueError):
    """Why a part of a network is no block, in a sentence."""


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A value as a linear function of the variables.

    parts: for each variable that it depends on its matrix (frequencies, rows, columns), None for
    the variable itself; rows: coefficient by coefficient, all channels of one after the other.
    terms: how many roundings of 4 units an entry has, relative to the entry of absolute values.
    """

    parts: dict[int, Tensor | None]
    terms: int


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A step of a block: how many channels its value has, how many times finer than the coarsest
    its grid is on each axis, and whether it is 0 outside of its true cells."""

    channels: int
    ratio: tuple[int, ...]
    clean: bool

    @property
    def size(self) -> int:
        """Coefficients of a frequency."""
        return self.channels * math.prod(self.ratio)


class Block:
    """The steps after ``begin`` up to ``end``: see above. Raises Unfit if they are no block.
    An activation at the end counts as one in between.

    variables: the places of ``begin`` and of the activations in between; slopes: (lo, hi) of
    these; widths: the coefficients of each variable; grid: the coarsest, M; order: the steps.
    """

    def __init__(self, steps: list[Step], begin: int, end: int):
        self.steps, self.begin, self.end = steps, begin, end
        self.order = range(begin + 1, end + 1)
        shape = steps[begin].shape
        self.flat = len(shape) == 1
        self.axes = max(len(shape) - 1, 1)
        self.layers: dict[int, Geometry] = {}
        self.shifts: dict[int, tuple[int, ...]] = {}  # of padding: the cells before the first one
        self.places = self._places(shape)
        self.variables = [begin, *(i for i in self.order if steps[i].kind == "slope")]
        self.slopes = [self._slope(i) for i in self.variables[1:]]
        self.widths = [self.places[i].size for i in self.variables]
        self.grid = self._grid()
        self.numerators = fourier.frequencies(self.grid, self.twist)

    @property
    def twist(self) -> tuple[int, ...]:
        return (0 if self.flat else TWIST,) * self.axes

    @property
    def size(self) -> int:
        """Coefficients of all variables."""
        return sum(self.widths)

    @property
    def work(self) -> float:
        """The cubes of the matrices of all frequencies."""
        rows = self.places[self.end].size
        return float(len(self.numerators)) * (self.size**3 + 1.5 * rows * self.size**2)

    # --- what the steps are ---

    def _slope(self, i: int) -> tuple[float, float]:
        low, high = self.steps[i].slopes
        if not (math.isfinite(low) and math.isfinite(high)):
            raise Unfit(f"the slope of {self.steps[i].name} is not bounded")
        return (low, high) if self.flat else (min(low, 0.0), max(high, 0.0))

    def _places(self, shape) -> dict[int, Place]:
        """Each step's place, with how many times coarser than the input its grid is, turned round
        in the end."""
        found = {self.begin: Place(shape[0], (1,) * self.axes, True)}
        for i in self.order:
            step = self.steps[i]
            if any(j not in found for j in step.inputs):
                raise Unfit(f"{step.name} needs what was before the block")
            inputs = [found[j] for j in step.inputs]
            if len({place.ratio for place in inputs}) > 1:
                raise Unfit(f"{step.name} joins values of different grids")
            clean = all(place.clean for place in inputs)
            ratio = inputs[0].ratio
            if step.kind == "slope":
                clean = True
            elif step.kind == "cat":
                if step.axis != 1:
                    raise Unfit(f"{step.name} joins along another axis than that of the channels")
            elif step.kind == "affine":
                ratio, clean = self._affine(i, inputs[0])
            elif step.kind != "sum":
                raise Unfit(f"{step.name} is no convolution and no function of one number")
            found[i] = Place(step.shape[0], ratio, clean)
        coarsest = [max(place.ratio[k] for place in found.values()) for k in range(self.axes)]
        if any(
            c % r for place in found.values() for c, r in zip(coarsest, place.ratio, strict=True)
        ):
            raise Unfit("its grids do not divide one another")
        return {
            i: dataclasses.replace(
                place, ratio=tuple(c // r for c, r in zip(coarsest, place.ratio, strict=True))
            )
            for i, place in found.items()
        }

    def _affine(self, i: int, source: Place) -> tuple[tuple[int, ...], bool]:
        step, shape = self.steps[i], self.steps[self.steps[i].inputs[0]].shape
        if isinstance(step.module, CONVOLUTIONS) and len(shape) == self.axes + 1:
            layer = self.layers[i] = geometry(step.module, shape)
            if layer.mode != "zeros" and layer.is_padded():
                raise Unfit(f"{step.name} is padded, and not with zeros")
            if layer.is_padded() and not source.clean:
                raise Unfit(f"{step.name} reads beyond the true cells of a convolution")
            ratio = tuple(r * axis.s for r, axis in zip(source.ratio, layer.axes, strict=True))
            alone = layer.weight[0, 0].numel() == 1 and not layer.is_padded()
            return ratio, source.clean and alone
        if isinstance(step.module, BATCH_NORMS) or self._scaling(step) is not None:
            return source.ratio, source.clean
        if isinstance(step.module, nn.Linear) and self.flat:
            return source.ratio, True
        if isinstance(step.module, PADDINGS) and mode_of(step.module) == "constant":
            widths = list(step.module.padding)
            if len(widths) > 2 * self.axes or min(widths) < 0 or not source.clean:
                raise Unfit(f"{step.name} pads other axes, or what is not 0 there")
            before = widths[::2] + [0] * (self.axes - len(widths) // 2)
            self.shifts[i] = tuple(reversed(before))
            return source.ratio, True
        raise Unfit(f"{step.name} is no convolution")

    def _scaling(self, step: Step) -> Tensor | None:
        """The factor of each channel, (C,), of a step that multiplies channels; None if it does
        something else."""
        if isinstance(step.module, BATCH_NORMS):
            return scales(step.module).detach()
        if not isinstance(step.module, Diagonal):
            return None
        weight = step.module.weight.detach().expand(1, *step.shape).reshape(step.shape[0], -1)
        return weight[:, 0] if bool((weight == weight[:, :1]).all()) else None

    def _grid(self) -> tuple[int, ...]:
        """The coarsest grid: large enough for each convolution, and for every value."""
        if self.flat:
            return (1,)
        least = [1] * self.axes
        for i, place in self.places.items():
            sizes = list(self.steps[i].shape[1:])
            for k, q in enumerate(place.ratio):
                least[k] = max(least[k], -(-sizes[k] // q))
        for i, layer in self.layers.items():
            ratio = self.places[self.steps[i].inputs[0]].ratio
            for k, axis in enumerate(layer.axes):
                least[k] = max(least[k], -(-axis.embedding() // ratio[k]))
        return tuple(least)

    # --- the walk ---

    def values(self, numerators: Tensor | None) -> tuple[list[Value], Value]:
        """What goes into each activation, and what comes out of the block, at these frequencies
        (frequencies, axes); None: the same of absolute values, (1, rows, columns)."""
        found = {self.begin: Value({0: None}, 0)}
        for i in self.order:
            step = self.steps[i]
            inputs = [found[j] for j in step.inputs]
            if i in self.variables:
                found[i] = Value({self.variables.index(i): None}, 0)
                continue
            if step.kind == "affine":
                found[i] = self._applied(i, inputs[0], numerators)
            else:
                found[i] = self._joined(i, inputs, numerators is None)
        entering = [found[self.steps[i].inputs[0]] for i in self.variables[1:]]
        return entering, found[self.end]

    def _applied(self, i: int, value: Value, numerators: Tensor | None) -> Value:
        step = self.steps[i]
        scaling = self._scaling(step)
        if scaling is not None:
            factor = scaling.abs() if numerators is None else scaling
            rows = factor.repeat(math.prod(self.places[i].ratio))[:, None]
            parts = {v: rows * self.explicit(v, part) for v, part in value.parts.items()}
            return Value(parts, value.terms + 4)
        if i in self.shifts:
            if numerators is None:
                return Value(value.parts, value.terms + ANGLE)
            phases = self._phases(i, numerators)
            parts = {v: phases * self.explicit(v, part) for v, part in value.parts.items()}
            return Value(parts, value.terms + ANGLE)
        matrix, terms = self.response(i, numerators)
        parts = {
            v: matrix if part is None else matrix @ part.to(matrix.dtype)
            for v, part in value.parts.items()
        }
        more = 0 if all(part is None for part in value.parts.values()) else matrix.shape[-1] + 8
        return Value(parts, value.terms + terms + more)

    def _frequencies(self, ratio, numerators: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Of which frequencies of a grid so many times finer these are the aliases: numerators
        (frequencies, coefficients, axes), and that grid."""
        fine = torch.tensor(list(itertools.product(*map(range, ratio))))
        grid = tuple(m * q for m, q in zip(self.grid, ratio, strict=True))
        return numerators[:, None] + 2 * torch.tensor(self.grid) * fine, grid

    def _phases(self, i: int, numerators: Tensor) -> Tensor:
        """What a shift by the padding multiplies, (frequencies, rows, 1)."""
        every, grid = self._frequencies(self.places[i].ratio, numerators)
        offset = -torch.tensor([self.shifts[i]])
        waves = fourier.waves(offset, every.flatten(0, 1), grid, self.device_like())
        phases = torch.complex(*waves).reshape(len(numerators), -1)
        return phases.repeat_interleave(self.places[i].channels, 1)[:, :, None]

    def explicit(self, variable: int, part: Tensor | None) -> Tensor:
        if part is not None:
            return part
        n, weight = self.widths[variable], self.device_like()
        return torch.eye(n, dtype=weight.dtype, device=weight.device)[None]

    def device_like(self) -> Tensor:
        """A float64 tensor on the block's device."""
        if self.layers:
            return next(iter(self.layers.values())).weight.detach()
        modules = [self.steps[i].module for i in self.order if self.steps[i].kind == "affine"]
        tensors = [t for m in modules for t in (*m.parameters(), *m.buffers())]
        return tensors[0].detach().double()

    def _joined(self, i: int, inputs: list[Value], absolute: bool) -> Value:
        step = self.steps[i]
        variables = sorted({v for value in inputs for v in value.parts})
        terms = max(value.terms for value in inputs) + len(inputs)
        if step.kind == "sum":
            signs = [1 if absolute else sign for sign in step.signs]
            parts = {
                v: sum(
                    sign * self.explicit(v, value.parts[v])
                    for sign, value in zip(signs, inputs, strict=True)
                    if v in value.parts
                )
                for v in variables
            }
            return Value(parts, terms)
        cells = math.prod(self.places[i].ratio)
        parts = {}
        for v in variables:
            pieces = []
            for j, value in zip(step.inputs, inputs, strict=True):
                if v in value.parts:
                    piece = self.explicit(v, value.parts[v])
                else:
                    piece = self.device_like().new_zeros(1, self.places[j].size, self.widths[v])
                pieces.append(piece.unflatten(1, (cells, -1)))
            most = max(len(piece) for piece in pieces)
            kind = torch.complex128 if any(p.is_complex() for p in pieces) else torch.float64
            pieces = [p.to(kind).expand(most, *p.shape[1:]) for p in pieces]
            parts[v] = torch.cat(pieces, 2).flatten(1, 2)
        return Value(parts, terms)

    def response(self, i: int, numerators: Tensor | None) -> tuple[Tensor, int]:
        """The matrix of a convolution or a Linear at each frequency, (frequencies, rows, columns),
        and its roundings."""
        step = self.steps[i]
        if i not in self.layers:
            weight = step.module.weight.detach().double()
            return (weight.abs() if numerators is None else weight)[None], 1
        layer = self.layers[i]
        source = self.places[step.inputs[0]].ratio
        target = self.places[i].ratio
        weight = layer.weight.detach().unflatten(0, (layer.groups, -1)).flatten(3)
        taps = weight.shape[3]
        strides = math.prod(axis.s for axis in layer.axes)
        fine = list(itertools.product(*map(range, source)))
        if numerators is None:
            found = weight.abs().sum(3)[None].expand(len(fine), *weight.shape[:3])
            found, count = found[None], 1
        else:
            count = len(numerators)
            every, grid = self._frequencies(source, numerators)
            offsets = torch.tensor(
                list(
                    itertools.product(
                        *([axis.first + axis.d * m for m in range(axis.k)] for axis in layer.axes)
                    )
                )
            )
            waves = fourier.waves(offsets, every.flatten(0, 1), grid, weight)
            flat = weight.permute(3, 0, 1, 2).flatten(1)
            parts = [(wave @ flat).reshape(count, len(fine), *weight.shape[:3]) for wave in waves]
            found = torch.complex(*parts)
        found = dense(found / strides**0.5)
        rows, columns = found.shape[-2:]
        if len(fine) == 1:
            return found[:, 0], taps + ANGLE
        coarse = list(itertools.product(*map(range, target)))
        place = {cell: k for k, cell in enumerate(coarse)}
        matrix = found.new_zeros(count, len(coarse), rows, len(fine), columns)
        for k, cell in enumerate(fine):
            at = place[tuple(c % q for c, q in zip(cell, target, strict=True))]
            matrix[:, at, :, k] = found[:, k]
        return matrix.flatten(3).flatten(1, 2), taps + ANGLE


def dense(groups: Tensor) -> Tensor:
    """(..., groups, rows, columns) as block diagonal matrices (..., all rows, all columns)."""
    count, rows, columns = groups.shape[-3:]
    if count == 1:
        return groups[..., 0, :, :]
    found = groups.new_zeros(*groups.shape[:-3], count, rows, count, columns)
    at = torch.arange(count, device=groups.device)
    found[..., at, :, at, :] = groups.movedim(-3, 0)
    return found.flatten(-4, -3).flatten(-2)
