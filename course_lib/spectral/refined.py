"""Certificates on the ball with a multiplier for each unit, of each image and pair of classes.

:mod:`.local` bounds a margin by tangents and parabolas whose sizes it sets by rules. Any sizes are
sound, so here they are searched, by ascent on the bound itself:

- between two layers, u -> v with chords in [α, β], a form vᵀ M v of what comes out is
  at most uᵀ (W (T - M)⁻¹ W - αβ T) u, W = (α + β) T / 2, for every T = diag(t) above M: by
  t (v - αu)(βu - v) >= 0 for every unit, and the largest value over v (LipSDP's elimination, on
  the ball's own chords);
- where a rectified unit must not be too low, any slope s in [0, 1] will do with the offset
  max(z, 0) - s z; where it must not be too high, and for a smooth unit on either side, any slope
  and curvature, with the offset that they need on the range;
- λ of the ball.

For changes that stay in the box, a unit's range is what ball and box allow together. A millionth of
every multiplier is held back where it has to be above a form, which is far more than what rounding
does to a Cholesky factorisation that is scaled by the multipliers. Every radius that is returned
was found to hold by such a bound, at numbers that are at hand: nothing rests on the ascent.
"""

import math

import torch
from torch import Tensor, nn

from .bounds import NetworkBounds
from .local import SPARE, Balls, Side, boxed, curve_of, sandwiched, smooth_side
from .rules import UNIT, Kink

STEPS, RATE = 60, 0.05  # of the ascent (Adam); at twice the rate it often ends below the form
WORK = 2.0**30  # of an ascent: steps times the cubes of the widths
FEWEST = 20  # steps; a network that allows fewer is left as it is
BENT = 0.5  # curvature of a rectified unit's parabola, where the ascent starts, over 1 / its range
GRID = 32  # points on each side of a smooth unit's range
HELD = 1e-6  # of a multiplier, for rounding
TRIED = 2**21  # numbers in the matrices of the images that are treated at once


class Refined(Balls):
    """:class:`~.local.Balls`, with an ascent where the rules do not certify.

    ascent: its steps; 0 where there are no units, or it would take too long."""

    def __init__(self, bounds: NetworkBounds):
        super().__init__(bounds)
        self.ascent = 0
        if self.able and self.units:
            allowed = int(WORK / sum(float(len(weight)) ** 3 for weight in self.weights[:-1]))
            self.bent = [isinstance(curve_of(unit), Kink) for unit in self.units]
            self.ascent = min(STEPS, allowed) if allowed >= FEWEST else 0

    def _bound(self, x, values, labels, gaps, r, items, box) -> Tensor:
        found = super()._bound(x, values, labels, gaps, r, items, box)
        if not self.ascent:
            return found
        width = max(len(weight) for weight in self.weights[:-1])
        left = (found <= 0).nonzero()[:, 0]
        for places in left.split(max(1, TRIED // width**2)) if len(left) else ():
            image, pair = items[places].T
            z = [value[image] for value in values]
            c = self.weights[-1][labels[image]] - self.weights[-1][pair]
            gap = gaps[image, pair]
            with torch.enable_grad():
                ascent = Ascent(self, x[image].flatten(1), z, c, r[image], box)
                best = ascent.run(self.ascent, -gap)
            found[places] = torch.maximum(found[places], gap + best)
        return found


class Ascent:
    """The bound of c · (what the last units put out, less that at x), as a function of its sizes.

    x: (items, pixels); z: what enters the units of each layer, (items, units); c: (items, units of
    the last layer); r: (items,)."""

    def __init__(self, balls: Refined, x, z: list[Tensor], c: Tensor, r: Tensor, box: bool):
        self.balls, self.x, self.z, self.c, self.r, self.box = balls, x, z, c, r, box
        with torch.no_grad():
            first = self._first_ranges() if box else None
            self.reach, self.chords = balls._ranges(z, r, first)
            self._start()

    def _first_ranges(self) -> Tensor:
        """(items, units) how far the inputs of the first units can move in ball and box."""
        weight, found = self.balls.weights[0], []
        for x, r in zip(self.x, self.r, strict=True):
            both = torch.cat([weight, -weight])
            image, radius = x.expand(len(both), -1), r.expand(len(both))
            slope, cost = boxed(both, image, radius)
            lowest = radius * slope.norm(dim=1) + cost
            found.append(lowest.reshape(2, -1).amax(0) * (1 + 1e-12))
        return torch.minimum(torch.stack(found), self.r[:, None] * self.balls.rows)

    def _start(self) -> None:
        """The sizes with which the ascent begins: those of the rules, about."""
        self.curvature, self.slope, self.multiplier = {}, {}, {}
        self.curves = {}
        for k, (z, reach, unit) in enumerate(
            zip(self.z, self.reach, self.balls.units, strict=True)
        ):
            if self.balls.bent[k]:
                bent = BENT / reach.clamp_min(1e-300)
                self.slope[k] = (0.5 + 2 * bent * z).clamp(0, 1)
            else:
                self.curves[k] = Covered(unit, z, reach)
                sides = [smooth_side(unit, z, reach, sign * torch.ones_like(z)) for sign in (1, -1)]
                bent = torch.maximum(sides[0].curvature, sides[1].curvature).clamp_min(1e-6)
                self.slope[k] = sides[0].slope.clone()
            self.curvature[k] = bent.log()
        self.lower = {k: (z > 0).to(z) for k, z in enumerate(self.z) if self.balls.bent[k]}
        _, gradient, form = self._down(starts=True)
        # NaN where sizes leave the range of floats: then the bound is NaN, too, and says nothing
        whole = sandwiched(self.balls.first, form).nan_to_num(0.0, 0.0, 0.0)
        largest = torch.linalg.eigvalsh(whole)[:, -1]
        self.lam = (1.05 * largest.clamp_min(0) + gradient.norm(dim=1) / (2 * self.r)).log()

    def unknowns(self) -> list[Tensor]:
        sizes = (self.multiplier, self.curvature, self.slope, self.lower)
        return [value for kind in sizes for value in kind.values()] + [self.lam]

    def _side(self, k: int, c: Tensor) -> Side:
        """Slope, curvature and offset of each unit of layer ``k``, on the side that ``c`` asks."""
        convex = c.detach() >= 0
        if k in self.curves:
            bent, slope = self.curvature[k].exp(), self.slope[k]
            return Side(slope, bent, self.curves[k].offset(convex, slope, bent))
        z, reach, bent = self.z[k], self.reach[k], self.curvature[k].exp()
        over = touching(z, reach, bent, self.slope[k])
        gone = (z > 0).to(z)
        still = z.abs() >= reach
        under = torch.where(still, gone, self.lower[k])
        nothing = torch.zeros_like(z)
        return Side(
            torch.where(convex, under, torch.where(still, gone, self.slope[k])),
            torch.where(convex | still, nothing, bent),
            torch.where(convex, z.clamp_min(0) - under * z, torch.where(still, nothing, over))
            * (~still),
        )

    def _down(self, starts: bool = False):
        """From the logits to the pixels: what the offsets cost, the gradient, and the form of what
        the first units receive; ``self.failed``: where a multiplier is not above its form."""
        balls, c, form = self.balls, self.c, None
        cost = torch.zeros_like(self.r)
        self.failed = torch.zeros_like(self.r, dtype=torch.bool)
        for k in range(len(balls.units) - 1, -1, -1):
            side = self._side(k, c)
            cost = cost + (c.abs() * side.offset).sum(1)
            h, own = c * side.slope, torch.diag_embed(c.abs() * side.curvature)
            if form is not None:
                if starts:  # above the form, as it is diagonally dominant
                    size = form.abs().sum(2)
                    self.multiplier[k] = (1.2 * size + 1e-3 * size.amax(1, keepdim=True)).log()
                own = own + self._eliminated(k, form)
            form = own
            if k:
                c = h @ balls.weights[k]
                form = balls.weights[k].T @ form @ balls.weights[k]
        return cost, h @ balls.weights[0], form

    def _eliminated(self, k: int, form: Tensor) -> Tensor:
        """The form of what the units of layer ``k`` receive, above ``form`` of what they put out:
        W (T - M)⁻¹ W - αβ T."""
        t = self.multiplier[k].exp()
        low, high = self.chords[k]
        factor, info = torch.linalg.cholesky_ex(torch.diag_embed(t * (1 - HELD)) - form)
        self.failed = self.failed | (info != 0)
        half = torch.diag_embed((low + high) / 2 * t)
        solved = torch.linalg.solve_triangular(factor, half, upper=False)
        return solved.mT @ solved - torch.diag_embed(low * high * t)

    def value(self) -> Tensor:
        """(items,) the bound with the sizes as they are; NaN where they bound nothing."""
        cost, gradient, form = self._down()
        if self.box:
            gradient, lost = boxed(gradient, self.x, self.r)
            cost = cost + lost
        inside = gradient @ self.balls.basis
        whole = gradient.square().sum(1)
        outside = (whole - inside.square().sum(1)).clamp_min(0) + 1e-12 * whole
        lam, first = self.lam.exp(), self.balls.first
        shifted = torch.diag_embed((lam * (1 - HELD))[:, None].expand(-1, first.shape[1]))
        factor, info = torch.linalg.cholesky_ex(shifted - first.T @ form @ first)
        solved = torch.linalg.solve_triangular(factor, inside[:, :, None], upper=False)
        bent = solved.square().sum((1, 2)) + outside / (lam * (1 - HELD))
        found = -(lam * self.r.square() + bent / 4 + cost) * (1 + SPARE)
        return torch.where(self.failed | (info != 0), torch.nan, found)

    def run(self, steps: int, needed: Tensor) -> Tensor:
        """(items,) the best bound of so many steps of Adam; they end when all are above
        ``needed``."""
        unknowns = [value.requires_grad_() for value in self.unknowns()]
        first = [torch.zeros_like(value) for value in unknowns]
        second = [torch.zeros_like(value) for value in unknowns]
        best = torch.full_like(self.r, -torch.inf)
        for step in range(steps):
            found = self.value()
            fits = found.isfinite()
            best = torch.where(fits & (found > best), found.detach(), best)
            if bool((best > needed).all()):
                break
            total = torch.where(fits, found, 0.0).sum()
            slopes = torch.autograd.grad(total, unknowns, allow_unused=True)
            rate = RATE * (1 + math.cos(math.pi * step / steps)) / 2
            with torch.no_grad():
                for value, slope, m, v in zip(unknowns, slopes, first, second, strict=True):
                    slope = torch.zeros_like(value) if slope is None else slope.nan_to_num(0.0)
                    m.mul_(0.9).add_(slope, alpha=0.1)
                    v.mul_(0.99).addcmul_(slope, slope, value=0.01)
                    fair = (v / (1 - 0.99 ** (step + 1))).sqrt() + 1e-12
                    value += rate * m / (1 - 0.9 ** (step + 1)) / fair
                self._back(~fits)
        return best

    def _back(self, astray: Tensor) -> None:
        """Slopes stay in [0, 1]; where the multipliers are not above the forms they are raised."""
        for k, value in self.lower.items():
            value.clamp_(0, 1)
            self.slope[k].clamp_(0, 1)
        self.lam[astray] += 0.2
        for value in self.multiplier.values():
            value[astray] += 0.1


class Covered:
    """A smooth unit at z on the range |u| <= reach, each (items, units): what a slope and a
    curvature there leave to an offset."""

    def __init__(self, unit: nn.Module, z: Tensor, reach: Tensor):
        self.u = reach[..., None] * torch.linspace(-1, 1, 2 * GRID + 1).to(reach)
        self.rise = unit(z[..., None] + self.u) - unit(z)[..., None]
        self.apart, self.second = reach / GRID, curve_of(unit).second

    def offset(self, convex: Tensor, slope: Tensor, bent: Tensor) -> Tensor:
        """A β with ±(φ(z + u) - φ(z) - slope u) <= bent u² + β on the range, - where ``convex``.

        The largest of both sides' difference at the points of a grid; between two of them it can
        be larger by no more than (max |φ''| + 2 bent) / 8 times the square of their distance."""
        sign = torch.where(convex, -1.0, 1.0)[..., None]
        over = sign * (self.rise - slope[..., None] * self.u) - bent[..., None] * self.u.square()
        between = (self.second + 2 * bent) * self.apart.square() / 8
        return (over.amax(-1) + between + 16 * UNIT).clamp_min(0)


def touching(z: Tensor, reach: Tensor, bent: Tensor, slope: Tensor) -> Tensor:
    """The least β with relu(z + u) - relu(z) <= slope u + bent u² + β for |u| <= reach."""
    kink = z.clamp_min(0)
    up = torch.minimum(torch.maximum(((1 - slope) / (2 * bent)).clamp_min(0), -z), reach)
    down = torch.maximum(torch.minimum(-slope / (2 * bent), -z), -reach)
    above = up + z - kink - slope * up - bent * up * up
    below = -kink - slope * down - bent * down * down
    above = torch.where(z + reach > 0, above, -torch.inf)
    below = torch.where(z - reach < 0, below, -torch.inf)
    return torch.maximum(above, below).clamp_min(0)
