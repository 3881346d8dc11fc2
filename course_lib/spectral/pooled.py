"""Certificates on the ball for convolutions with max pooling: diagonals in place of matrices.

As in :mod:`.local`, with two differences. The quadratic forms are diagonal, Σ n_i u_i² (a matrix
for each image would have 10^8 entries); one passes a layer u = W v by Σ n_i u_i² <= Σ κ_j v_j² with
κ = |W|ᵀ (n · |W| 1), which is diagonal dominance, or κ = max n ||W||². And between a layer and its
unit may stand max pooling without overlap. As a rising function commutes with it, the pooling is
taken first: y = max over a window of z_i. Let i* be where it is largest at x, by gap_i more than
z_i. Then

    y(x + δ) - y(x) >= u_i*,    and   <= u_i* + Σ_i max(0, u_i - u_i* - gap_i),

where only those i matter that can catch up on the ball, and each max(0, w - gap) is bounded like
the kink that it is; moreover w² <= 2 u_i² + 2 u_i*², and |y(x + δ) - y(x)| <= max |u_i|.
"""

import copy
import dataclasses
import math

import torch
from torch import Tensor, nn

from .bounds import NetworkBounds
from .kinds import kind_of, rule_of
from .local import SPARE, Balls, boxed, curve_of, kinked_side
from .logarithms import exp
from .steps import absolute_part, linear_part, run

ITEMS = 2**22  # numbers in a layer of the images that are treated at once


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """One layer with weights, at steps[target], and its unit; windows: (pooled, cells) places of
    the cells of each pooling window in the layer's output, one cell each without pooling."""

    source: int
    target: int
    layer: nn.Module
    unit: nn.Module | None
    windows: Tensor | None
    norm: float


@dataclasses.dataclass(frozen=True, eq=False)
class Range:
    """What can happen to a stage on the ball: z and reach of each cell of each window, (items,
    pooled, cells); top: the place of the largest; gap: how far the others lie below it; near:
    which can catch up; value, moves: (items, pooled) z and reach of the maximum; steepest: the
    largest chord of the unit."""

    top: Tensor
    gap: Tensor
    reach: Tensor
    near: Tensor
    value: Tensor
    moves: Tensor
    steepest: Tensor


class Pooled(Balls):
    """:class:`~.local.Balls` for single layers, units and max pooling without overlap."""

    def __init__(self, bounds: NetworkBounds):
        self.bounds, self.steps = bounds, bounds.steps
        self.stages = self._stages()
        self.able = self.stages is not None
        if self.able:
            self.units = [stage.unit for stage in self.stages[:-1]]
            last = self.stages[-1]
            self.last = last.layer.weight.detach()

    # --- reading the chain ---

    def _stages(self) -> list[Stage] | None:
        """The stages, the last one without a unit; None if the network is no such chain."""
        if any(step.inputs != (i,) for i, step in enumerate(self.steps[1:])):
            return None
        stages, source, i = [], 0, 1
        while i < len(self.steps):
            layers = []
            while i < len(self.steps) and not self.steps[i].nonlinear:
                if self.steps[i].kind == "affine":
                    layers.append(i)
                i += 1
            tail = []
            while i < len(self.steps) and self.steps[i].nonlinear:
                tail.append(i)
                i += 1
            stage = self._stage(source, layers, tail, i - 1)
            if stage is None:
                return None
            stages.append(stage)
            source = i - 1
        ends = stages[-1]
        return stages if ends.unit is None and isinstance(ends.layer, nn.Linear) else None

    def _stage(self, source, layers, tail, end) -> Stage | None:
        modules = [self.steps[i].module for i in tail]
        units = [m for m in modules if curve_of(m)]
        pools = [m for m in modules if rule_of(m).selects and isinstance(m, nn.MaxPool2d)]
        fits = len(layers) == 1 and len(units) + len(pools) == len(modules) and len(pools) <= 1
        if not fits or (tail and len(units) != 1):
            return None
        layer = self.steps[layers[0]].module
        zeros = getattr(layer, "padding_mode", "zeros") == "zeros"
        if not kind_of(layer).weighted or not zeros:
            return None
        target = tail[0] - 1 if tail else end
        windows = None
        if pools:
            windows = self._windows(pools[0], self.steps[target].shape)
            if windows is None:
                return None
        elif tail:
            windows = torch.arange(self.steps[target].size, device=self.bounds.device)[:, None]
        norm = exp(self.bounds.norms[layers[0]])
        return Stage(source, target, layer, units[0] if units else None, windows, norm)

    def _windows(self, pool: nn.MaxPool2d, shape) -> Tensor | None:
        """(pooled, cells) places in the flattened layer; None if windows overlap or are padded."""
        size = [v if isinstance(v, tuple) else (v, v) for v in (pool.kernel_size, pool.stride)]
        plain = pool.padding in (0, (0, 0)) and pool.dilation in (1, (1, 1)) and not pool.ceil_mode
        if size[0] != size[1] or not plain or len(shape) != 3:
            return None
        (a, b), _ = size
        places = torch.arange(math.prod(shape))
        places = places.reshape(shape).unfold(1, a, a).unfold(2, b, b)
        return places.reshape(-1, a * b).to(self.bounds.device)

    # --- the linear maps of a stage, entry by entry also in absolute value and squared ---

    def through(self, k: int, v: Tensor, how: str = "linear") -> Tensor:
        """W v, |W| v or (W·W) v: (items, inputs) -> (items, outputs)."""
        stage = self.stages[k]
        x = v.reshape(len(v), *self.steps[stage.source].shape)
        for i in range(stage.source + 1, stage.target + 1):
            step = self.steps[i]
            x = step.apply([x], twin(step.module, how) if step.kind == "affine" else None)
        return x.flatten(1)

    def back(self, k: int, h: Tensor, how: str = "linear") -> Tensor:
        """Wᵀ h or |W|ᵀ h: (items, outputs) -> (items, inputs)."""
        with torch.enable_grad():
            size = self.steps[self.stages[k].source].size
            v = h.new_zeros(len(h), size).requires_grad_()
            return torch.autograd.grad(self.through(k, v, how), v, h)[0]

    # --- what the search asks for ---

    def _values(self, x: Tensor) -> list[Tensor]:
        values = run(self.steps, x)
        return [values[stage.target].flatten(1) for stage in self.stages[:-1]]

    def _linear(self, values, labels, gaps) -> Tensor:
        columns = []
        for j in range(gaps.shape[1]):
            c = self.last[labels] - self.last[j]
            for k in range(len(self.units) - 1, -1, -1):
                stage, z = self.stages[k], values[k]
                largest, top = z[:, stage.windows].max(2)
                h = c * self._slope(k, largest)
                c = self.back(k, spread(stage, top, h, z))
            columns.append(c.norm(dim=1))
        return gaps / torch.stack(columns, 1).clamp_min(1e-300)

    def _slope(self, k: int, z: Tensor) -> Tensor:
        return self._side(k, z, torch.zeros_like(z), torch.ones_like(z), 1.0).slope

    def _bound(self, x, values, labels, gaps, r, items, box) -> Tensor:
        width = max(self.steps[stage.target].size for stage in self.stages)
        found = []
        for image, pair in (part.T for part in items.split(max(1, ITEMS // width))):
            z = [value[image] for value in values]
            c = self.last[labels[image]] - self.last[pair]
            pixels = x[image].flatten(1)
            bounds = [self._lowest(pixels, z, c, r[image], kink, box) for kink in (0.3, 1.0)]
            found.append(gaps[image, pair] + torch.stack(bounds).amax(0))
        return torch.cat(found)

    # --- the bound ---

    def _lowest(self, x, z, c, r, kink: float, box: bool) -> Tensor:
        ranges = self._ranges(z, r)
        offset, quadratic = torch.zeros_like(r), None
        for k in range(len(self.units) - 1, -1, -1):
            here = ranges[k]
            side = self._side(k, here.value, here.moves, torch.where(c >= 0, 1.0, -1.0), kink)
            own = c.abs() * side.curvature
            own = own if quadratic is None else own + quadratic
            offset = offset + (c.abs() * side.offset).sum(1)
            h, n, lost = self._unpooled(k, here, c * side.slope, own, kink)
            offset = offset + lost
            c = self.back(k, h)
            if k:
                quadratic = self._passed(k, n, ranges[k - 1].steepest)
        cost = torch.zeros_like(r)
        if box:
            c, cost = boxed(c, x, r)
        lowest = -r * c.norm(dim=1) - r.square() * self._largest(n)
        return (lowest - offset - cost) * (1 + SPARE)

    def _ranges(self, z: list[Tensor], r: Tensor) -> list[Range]:
        """Each stage on the balls of radius ``r``, from the first to the last."""
        found: list[Range] = []
        norm = r
        for k, stage in enumerate(self.stages[:-1]):
            if k == 0:
                ones = r.new_ones(1, self.steps[0].size)
                reach = r[:, None] * self.through(0, ones, "squared").sqrt()
            else:
                before = found[-1].steepest
                reach = torch.minimum(
                    self.through(k, before * found[-1].moves, "absolute"),
                    self.through(k, before.square(), "squared").sqrt() * norm[:, None],
                )
            norm = norm * stage.norm * (1.0 if k == 0 else found[-1].steepest.amax(1))
            found.append(self._range(k, z[k], reach * (1 + 1e-12)))
        return found

    def _range(self, k: int, z: Tensor, reach: Tensor) -> Range:
        windows = self.stages[k].windows
        cells, reach = z[:, windows], reach[:, windows]
        value, top = cells.max(2, keepdim=True)
        gap = value - cells
        near = gap < reach + reach.gather(2, top)
        near = near.scatter(2, top, True)
        moves = (reach * near).amax(2)
        _, steepest = self._chords(k, value[..., 0], moves)
        return Range(top[..., 0], gap, reach, near, value[..., 0], moves, steepest)

    def _unpooled(self, k: int, here: Range, h: Tensor, n: Tensor, kink: float):
        """From what the maxima y pay, h·y - Σ n y², to what the layer's cells u pay."""
        stage = self.stages[k]
        size = self.steps[stage.target].size
        if stage.windows.shape[1] == 1:
            return h, n, torch.zeros_like(h[:, 0])
        top = here.top[..., None]
        apart = (here.reach + here.reach.gather(2, top)) * (1 + 1e-12)
        side = kinked_side(-here.gap, apart, -torch.ones_like(apart), kink)
        # only where y must not be too large, and of the cells that can catch up with the top
        weight = (-h).clamp_min(0)[..., None] * here.near.scatter(2, top, False)
        slope = -weight * side.slope
        linear = slope.scatter_add(2, top, h[..., None] - slope.sum(2, keepdim=True))
        bent = 2 * weight * side.curvature
        square = bent.scatter_add(2, top, bent.sum(2, keepdim=True)) + n[..., None] * here.near
        lost = (weight * side.offset).sum((1, 2))
        places = stage.windows.flatten()
        flat = [h.new_zeros(len(h), size) for _ in range(2)]
        flat[0][:, places], flat[1][:, places] = linear.flatten(1), square.flatten(1)
        return *flat, lost

    def _passed(self, k: int, n: Tensor, steepest: Tensor) -> Tensor:
        """Σ n u² through the layer and the unit below: a diagonal of what that unit receives."""
        active = (steepest > 0).to(n)
        dominant = self.back(k, n * self.through(k, active, "absolute"), "absolute")
        whole = n.amax(1, keepdim=True) * self.stages[k].norm ** 2
        choice = (dominant * active).sum(1, keepdim=True) < whole * active.sum(1, keepdim=True)
        return torch.where(choice, dominant, whole) * steepest.square() * (1 + 1e-9)

    def _largest(self, n: Tensor) -> Tensor:
        """A bound of the largest eigenvalue of W_1ᵀ diag(n) W_1: by the layer's norm, and by the
        quotients of Collatz and Wielandt for |W_1|ᵀ diag(n) |W_1|, sound for any positive d."""
        best = n.amax(1) * self.stages[0].norm ** 2
        d = n.new_ones(len(n), self.steps[0].size)
        for _ in range(4):
            image = self.back(0, n * self.through(0, d, "absolute"), "absolute")
            best = torch.minimum(best, (image / d).amax(1))
            d = image + 1e-3 * image.amax(1, keepdim=True) + 1e-300
        return best * (1 + 1e-9)


def spread(stage: Stage, top: Tensor, h: Tensor, like: Tensor) -> Tensor:
    """``h`` (items, pooled) put where the maxima lie in the layer's output."""
    places = stage.windows.expand(len(h), -1, -1).gather(2, top[..., None])[..., 0]
    return torch.zeros_like(like).scatter(1, places, h)


def twin(module: nn.Module, how: str) -> nn.Module:
    """The layer without its bias, its weights as they are, in absolute value or squared."""
    if how == "linear":
        return linear_part(module)
    found = absolute_part(module)
    if how == "squared":
        found = copy.copy(found)
        found._parameters = dict(found._parameters)
        found._parameters["weight"] = module.weight.detach().square()
    return found
