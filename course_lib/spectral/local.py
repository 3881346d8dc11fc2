"""Certificates on the ball itself: tangents of the units, and how far they can be off.

Around one image x a unit moves by u = W δ, ||δ|| <= r, and cannot go through all its slopes. Let
z be its value at x and [-ρ, ρ] the range of u. Then a coefficient c of what the unit puts out pays

    c (φ(z + u) - φ(z)) >= c α u - |c| (q u² + β)        for all u in [-ρ, ρ],

with a slope α (the tangent, or one that suits a kink better), a curvature q and an offset β that
hold on this range and on the side that the sign of c asks for (:class:`Side`). From the last layer
to the first, this bounds the margin, a function of kinks and plateaus, by one that is quadratic:

    m(x + δ) >= m(x) + γ·δ - δᵀ P δ - β.

Its minimum over the ball is known as well as one likes: for every λ above the eigenvalues of P

    min  γ·δ - δᵀ P δ  >=  - λ r² - ¼ γᵀ (λ - P)^-1 γ        (||δ|| <= r).

Where a layer stands between, its curvature's share Σ a_i u_i², u = W v, is a form vᵀ M v,
M = Wᵀ diag(a) W, of what the layer below puts out, v = α̂ u' + e with |e| <= t |u'|: at most
(1 + η) (α̂ u')ᵀ M (α̂ u') + (1 + 1/η) Σ κ_i t_i² u'_i², with κ_i = Σ_j |M_ij| (so that
diag(κ) - M is diagonally dominant) and any η > 0.

In the box [0, 1] a step from a black pixel cannot make it darker: for any γ' and δ in the box,
γ·δ >= γ'·δ - Σ_i cost_i, the cost being the most that (γ' - γ)_i δ_i can reach (:func:`boxed`).

The largest r whose bound is above 0 for every class is searched. Every r that is returned was found
to hold itself, so nothing rests on the search. All numbers are in float64, and the quadratic bound
is made a millionth larger than it comes out, which is far more than rounding takes.
"""

import dataclasses

import torch
from torch import Tensor, nn

from .bounds import NetworkBounds, upper_norm
from .kinds import rule_of
from .rules import UNIT, Kink, Smooth
from .steps import run

WIDEST = 1024  # units of the first layer: its Gram matrix is decomposed for each image
GRID = 16  # points on each side of a unit's range
SPARE = 1e-6  # of the bound, for rounding
TRIALS = 9  # radii tried for an image
CLOSE = 2e-3  # a radius is as good as another that is nearer to it
KINKS = (0.3, 1.0)  # curvatures tried at kinks, in units of 1 / range
ITEMS = 2**24  # numbers in the matrices that are decomposed at once


@dataclasses.dataclass(frozen=True, eq=False)
class Side:
    """Slope α, curvature q and offset β of a one-sided bound: each (items, units)."""

    slope: Tensor
    curvature: Tensor
    offset: Tensor


def curve_of(module: nn.Module) -> Kink | Smooth | None:
    """How an activation bends; None for what is none, or where that is not known."""
    rule = rule_of(module)
    return rule.curve if rule else None


def derivatives(module: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """φ' and φ'' at ``z`` of a smooth activation."""
    return curve_of(module).derivatives(module(z))


def smooth_side(module: nn.Module, z: Tensor, reach: Tensor, sign: Tensor) -> Side:
    """The tangent, and the largest curvature on the range, on the side of ``sign`` (±1).

    Q(u) = sign (φ(z) + φ'(z) u - φ(z + u)) / u² is - sign ∫ (1 - t) φ''(z + t u) dt, so that it
    changes by at most max |φ'''| / 6 per unit of u: its values at some points bound it in between.
    """
    third = curve_of(module).third
    first, second = derivatives(module, z)
    at_zero = -sign * second / 2
    value = module(z)
    worst = at_zero.clone()
    for k in range(1, GRID + 1):
        u = reach * (k / GRID)
        lost = 8 * UNIT / u.square().clamp_min(1e-300)
        for v in (u, -u):
            q = sign * (value + first * v - module(z + v)) / v.square().clamp_min(1e-300) + lost
            worst = torch.maximum(worst, q)
    worst = worst + reach / GRID * third / 12
    worst = torch.minimum(worst, at_zero + reach * third / 6).clamp_min(0)
    return Side(first, worst, torch.zeros_like(worst))


def smooth_chords(module: nn.Module, z: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest of (φ(z + u) - φ(z)) / u on the range.

    It is a mean of φ' from z to z + u, which rises to one peak and falls: so it is least at an
    end; and it changes by at most max |φ''| / 2 per unit of u.
    """
    second = curve_of(module).second
    first, _ = derivatives(module, z)
    value, low, high = module(z), first, first
    for k in range(1, GRID + 1):
        u = (reach * (k / GRID)).clamp_min(1e-300)
        for v in (u, -u):
            chord = (module(z + v) - value) / v
            lost = 8 * UNIT / u
            high = torch.maximum(high, chord + lost)
            low = torch.minimum(low, chord - lost)
    steepest = derivatives(module, torch.zeros((), dtype=z.dtype))[0].to(z)
    high = torch.minimum(high + reach / GRID * second / 4, first + reach * second / 2)
    return low.clamp_min(0), torch.minimum(high, steepest)


def kinked_side(z: Tensor, reach: Tensor, sign: Tensor, kink: float) -> Side:
    """The same for ReLU: its tangent where it must not be too high; where it must not be too low, a
    parabola above it.

    For q > 0 the best slope has α = ½ + 2 q z between 0 and 1, for which both branches touch; q is
    the one that needs no offset, or kink / range if that is less.
    """
    size, gone = z.abs(), (z > 0).to(z)
    # without offset: the tangent, and (reach - |z|) / reach² or, where it touches, 1 / (4 |z|)
    safe = reach.clamp_min(1e-300)
    exact = torch.where(
        reach >= 2 * size, 1 / (4 * size).clamp_min(1e-300), (reach - size).clamp_min(0) / safe**2
    )
    bent = kink / safe
    slope = (0.5 + 2 * bent * z).clamp(0, 1)
    # the largest of relu(z + u) - relu(z) - α u - q u² on each branch's part of the range
    up = ((1 - slope) / (2 * bent)).clamp_min(0)
    up = torch.minimum(torch.maximum(up, -z), reach)
    down = torch.maximum(torch.minimum(-slope / (2 * bent), -z), -reach)
    above = up + z - z.clamp_min(0) - slope * up - bent * up * up
    below = -z.clamp_min(0) - slope * down - bent * down * down
    above = torch.where(z + reach > 0, above, -torch.inf)
    below = torch.where(z - reach < 0, below, -torch.inf)
    offset = torch.maximum(above, below).clamp_min(0)
    tangent = (sign > 0) | (exact <= bent)
    convex = sign > 0
    return Side(
        torch.where(tangent, gone, slope),
        torch.where(convex, 0.0, torch.where(tangent, exact, bent)),
        torch.where(tangent, 0.0, offset),
    )


def kinked_chords(z: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest of (relu(z + u) - relu(z)) / u on the range."""
    safe = reach.clamp_min(1e-300)
    low = torch.where(z > 0, (z / safe).clamp(0, 1), 0.0)
    high = torch.where(z < 0, (1 + z / safe).clamp(0, 1), 1.0)
    return low, high


class Balls:
    """The chain of a network, prepared for certificates on balls.

    able: whether the network is a chain of affine layers and ReLU, sigmoid or tanh units, the first
    of at most :data:`WIDEST`; elsewhere the radius is the one that comes in.
    """

    def __init__(self, bounds: NetworkBounds):
        self.bounds = bounds
        self.steps = bounds.steps
        self.places = [i for i, step in enumerate(self.steps) if step.nonlinear]
        self.able = self._able()
        if not self.able:
            return
        ends = [*(self.steps[i].inputs[0] for i in self.places), len(self.steps) - 1]
        starts = [0, *self.places]
        self.weights = [
            self._matrix(source, target) for source, target in zip(starts, ends, strict=True)
        ]
        self.units = [self.steps[i].module for i in self.places]
        self.norms = [upper_norm(weight) for weight in self.weights]
        # W_1 = B Qᵀ: in the coordinates Qᵀ δ all that the units see of δ
        self.basis, upper = torch.linalg.qr(self.weights[0].T)
        self.first = upper.T.contiguous()
        self.rows = self.weights[0].norm(dim=1) * (1 + 1e-12)

    def _able(self) -> bool:
        chain = all(step.inputs == (i,) for i, step in enumerate(self.steps[1:]))
        if not chain or not all(curve_of(self.steps[i].module) for i in self.places):
            return False
        sizes = [self.steps[i].size for i in self.places]
        return all(size <= WIDEST for size in sizes) and self.steps[-1].kind != "slope"

    def _matrix(self, source: int, target: int) -> Tensor:
        rows, columns = self.steps[target].size, self.steps[source].size
        if rows <= columns:
            return self.bounds.rows(source, target)
        return self.bounds.columns(source, target).T.contiguous()

    # --- the search ---

    @torch.no_grad()
    def radius(self, x: Tensor, labels: Tensor, gaps: Tensor, known: Tensor, box: bool) -> Tensor:
        """(N,) the radii of the images ``x``, never below ``known``.

        gaps: (N, classes) z_y - z_j, rounded down, inf for j = y."""
        if not self.able or not len(x):
            return known
        values = self._values(x)
        right = (gaps > 0).all(1)
        linear = self._linear(values, labels, gaps)
        first, worst = linear.min(1)
        done = gaps.isinf().to(gaps) * 1e300  # the largest r that holds for each pair
        low, top = torch.zeros_like(known), 2 * first
        at_low, at_top = gaps.gather(1, worst[:, None])[:, 0], torch.full_like(known, torch.nan)
        r = 0.9 * first
        for _ in range(TRIALS):
            r = torch.maximum(r, known)
            todo = right & (top > low * (1 + CLOSE)) & (r > low) & (r < top)
            if not todo.any():
                break
            value = self._value(x, values, labels, gaps, r, todo, worst, done, box)
            holds, fails = todo & (value > 0), todo & ~(value > 0)
            low, at_low = torch.where(holds, r, low), torch.where(holds, value, at_low)
            top, at_top = torch.where(fails, r, top), torch.where(fails, value, at_top)
            # the line through both ends, a little to the side that holds, or the middle
            share = (at_low / (at_low - at_top)).nan_to_num(0.5).clamp(0.1, 0.9)
            share = torch.where(at_top.isnan(), 0.25, share)
            r = low + (top - low) * share * (1 - CLOSE)
        return torch.where(right, torch.maximum(known, low), known)

    def _value(self, x, values, labels, gaps, r, todo, worst, done, box) -> Tensor:
        """(N,) the least bound of z_y - z_j on the ball of radius r, over those j that are not done
        there: first the worst one, then, where that holds, the others."""
        lowest = torch.full_like(r, torch.inf)
        likely = torch.zeros_like(gaps, dtype=torch.bool).scatter(1, worst[:, None], True)
        for chosen in (likely, ~likely):
            items = (chosen & (done < r[:, None]) & (todo & (lowest > 0))[:, None]).nonzero()
            if not len(items):
                continue
            bound = self._bound(x, values, labels, gaps, r, items, box)
            image, pair = items[bound > 0].T
            done[image, pair] = r[image]
            lowest.scatter_reduce_(0, items[:, 0], bound, "amin")
            mine = items[:, 0][bound <= 0]
            worst[mine] = items[:, 1][bound <= 0]
        return lowest

    def _values(self, x: Tensor) -> list[Tensor]:
        """What enters the units of each layer, (N, width)."""
        values = run(self.steps, x)
        return [values[self.steps[i].inputs[0]].flatten(1) for i in self.places]

    def _linear(self, values: list[Tensor], labels: Tensor, gaps: Tensor) -> Tensor:
        """(N, classes) the distance at which the tangent of a margin reaches 0: a first guess."""
        last = self.weights[-1]
        c = last[labels][:, None] - last[None]
        for z, module, weight in zip(
            reversed(values), reversed(self.units), reversed(self.weights[:-1]), strict=True
        ):
            bent = isinstance(curve_of(module), Kink)
            slope = (z > 0).to(z) if bent else derivatives(module, z)[0]
            c = (c * slope[:, None]) @ weight
        return gaps / c.norm(dim=2).clamp_min(1e-300)

    def _bound(self, x, values, labels, gaps, r, items, box) -> Tensor:
        """(len(items),) a lower bound of z_y - z_j within r, for each (image, j) in items."""
        width = self.weights[0].shape[0] if self.units else 1
        kinks = KINKS if any(isinstance(curve_of(unit), Kink) for unit in self.units) else (0.0,)
        found = []
        for image, pair in (part.T for part in items.split(max(1, ITEMS // width**2))):
            z = [value[image] for value in values]
            c = self.weights[-1][labels[image]] - self.weights[-1][pair]
            pixels = x[image].flatten(1)
            bounds = [self._lowest(pixels, z, c, r[image], kink, box) for kink in kinks]
            found.append(gaps[image, pair] + torch.stack(bounds).amax(0))
        return torch.cat(found)

    # --- the bound ---

    def _lowest(self, x, z, c, r, kink: float, box: bool) -> Tensor:
        """A lower bound of c · (what the last units put out, less that at x) on the balls."""
        if not self.places:  # the logits are affine: the margin is its tangent
            gradient, cost = boxed(c, x, r) if box else (c, torch.zeros_like(r))
            return -(r * gradient.norm(dim=1) + cost) * (1 + 1e-12)
        reach, chords = self._ranges(z, r)
        offset = torch.zeros_like(r)
        form = None  # (items, units, units): of what the units of this layer receive
        for k in range(len(self.units) - 1, -1, -1):
            side = self._side(k, z[k], reach[k], torch.where(c >= 0, 1.0, -1.0), kink)
            offset = offset + (c.abs() * side.offset).sum(1)
            h = c * side.slope
            own = c.abs() * side.curvature
            if form is None:
                form = own  # a diagonal
            else:
                form = self._through(k, form, chords[k], h)
                form.diagonal(dim1=1, dim2=2).add_(own)
            if k:
                c = h @ self.weights[k]
                form = sandwiched(self.weights[k], form)
        gradient = h @ self.weights[0]
        cost = torch.zeros_like(r)
        if box:
            gradient, cost = boxed(gradient, x, r)
        lowest = ball_minimum(gradient, self.basis, self.first, form, r)
        return (lowest - offset - cost) * (1 + SPARE)

    def _through(self, k: int, form: Tensor, chords, h: Tensor) -> Tensor:
        """A form of what enters the units of layer k, above ``form`` of what they put out."""
        low, high = chords
        middle, half = (low + high) / 2, (high - low) / 2 * (1 + 1e-12)
        inner = middle[:, :, None] * form * middle[:, None, :]
        outer = form.abs().sum(2) * half.square()
        # η is best where both shares are weighed in the direction that matters, that of h
        weight = self.weights[k] if k else self.first
        u = (h @ weight) @ weight.T
        a = ((u[:, None] @ inner) @ u[:, :, None])[:, 0, 0].clamp_min(1e-300)
        b = (outer * u.square()).sum(1).clamp_min(1e-300)
        eta = (b / a).sqrt().clamp(1e-3, 1e3)[:, None]
        above = (1 + eta)[:, :, None] * inner
        above.diagonal(dim1=1, dim2=2).add_((1 + 1 / eta) * outer)
        return above

    def _side(self, k: int, z, reach, sign, kink: float) -> Side:
        if isinstance(curve_of(self.units[k]), Kink):
            return kinked_side(z, reach, sign, kink)
        return smooth_side(self.units[k], z, reach, sign)

    def _chords(self, k: int, z, reach) -> tuple[Tensor, Tensor]:
        if isinstance(curve_of(self.units[k]), Kink):
            return kinked_chords(z, reach)
        return smooth_chords(self.units[k], z, reach)

    def _ranges(self, z: list[Tensor], r: Tensor, first: Tensor | None = None):
        """How far each unit's input can move on the ball, (items, units) for each layer, and the
        least and the largest slope of its chords there. first: the same of the first layer, where
        more than the ball is known."""
        reach = [r[:, None] * self.rows if first is None else first]
        norm = r * self.norms[0]
        chords = [self._chords(0, z[0], reach[0])]
        for k in range(1, len(self.units)):
            low, high = chords[-1]
            weight = self.weights[k]
            middle, half = (low + high) / 2, (high - low) / 2
            apart = torch.minimum(
                ((weight.square() @ half.square().T).T).sqrt() * norm[:, None],
                (half * reach[-1]) @ weight.abs().T,
            )
            whole = torch.minimum(
                ((weight.square() @ high.square().T).T).sqrt() * norm[:, None],
                (high * reach[-1]) @ weight.abs().T,
            )
            if k == 1:  # what passes the middle slopes is one matrix
                through = (weight[None] * middle[:, None]) @ self.first
                whole = torch.minimum(whole, r[:, None] * through.norm(dim=2) + apart)
            reach.append(whole * (1 + 1e-12))
            norm = norm * high.amax(1) * self.norms[k]
            chords.append(self._chords(k, z[k], reach[-1]))
        return reach, chords


def ball_minimum(gradient: Tensor, basis: Tensor, first: Tensor, form: Tensor, r: Tensor) -> Tensor:
    """A lower bound of γ·δ - uᵀ N u, u = B Qᵀ δ, over ||δ|| <= r: (items,), at most 0.

    gradient: (items, pixels) γ; basis: Q; first: B; form: N, (items, units, units),
    or its diagonal (items, units). Any λ above the eigenvalues of P = Bᵀ N B is sound. One that is
    nearly the best is found on the space that a few Lanczos steps from γ span; a Cholesky factor of
    λ' - P, λ' a little below λ, then proves it, and its solution errs on the safe side: what
    rounding can do to it is less than λ - λ'.
    """
    inside = gradient @ basis
    whole = gradient.square().sum(1)
    outside = (whole - inside.square().sum(1)).clamp_min(0) + 1e-12 * whole
    p = sandwiched(first, form)
    best = spectrum_dual(*krylov(p, inside), outside, r)
    value, failed = proved(p, inside, outside, best, r)
    if failed.any():
        values, vectors = torch.linalg.eigh(p[failed])
        parts = (inside[failed][:, None] @ vectors)[:, 0].square()
        best = spectrum_dual(values, parts, outside[failed], r[failed])
        again, lost = proved(p[failed], inside[failed], outside[failed], best, r[failed])
        value[failed] = torch.where(lost, torch.inf, again)
    return -value


def sandwiched(weight: Tensor, form: Tensor) -> Tensor:
    """Wᵀ F W for each F in ``form``: matrices, or (items, n) diagonals."""
    right = form[:, :, None] * weight if form.ndim == 2 else form @ weight
    return weight.T @ right


def krylov(p: Tensor, start: Tensor, steps: int = 8) -> tuple[Tensor, Tensor]:
    """Ritz values of ``p`` (items, n, n) on a Krylov space from ``start`` (items, n), and the
    squares of the parts of ``start`` along their vectors: both (items, steps)."""
    steps = min(steps, p.shape[-1])
    length = start.norm(dim=1, keepdim=True).clamp_min(1e-300)
    vectors = [start / length]
    for _ in range(steps - 1):
        known = torch.stack(vectors, 2)
        new = (p @ vectors[-1][:, :, None])[:, :, 0]
        for _ in range(2):  # twice is enough to be orthogonal in spite of rounding
            new = new - (known @ (known.mT @ new[:, :, None]))[:, :, 0]
        size = new.norm(dim=1, keepdim=True)  # underflows where the space is all there is
        vectors.append(torch.where(size > 1e-100, new / size.clamp_min(1e-100), 0.0))
    space = torch.stack(vectors, 2)
    values, turned = torch.linalg.eigh(space.mT @ p @ space)
    return values, (turned[:, 0] * length).square()


def spectrum_dual(values: Tensor, parts: Tensor, outside: Tensor, r: Tensor) -> Tensor:
    """The λ above ``values`` with the least λ r² + ¼ (Σ parts / (λ - values) + outside / λ)."""
    top = values.amax(1).clamp_min(0) * (1 + 1e-3)
    size = (parts.sum(1) + outside).sqrt() / r.clamp_min(1e-300)
    low, high = (1e-6 * (top + size) + 1e-300).log(), (1e-5 * top + size + 1e-290).log()

    def dual(extra):
        bent = (parts / (top + extra)[:, None].sub(values).clamp_min(1e-300)).sum(1)
        return (top + extra) * r.square() + (bent + outside / (top + extra)) / 4

    for _ in range(30):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        right = dual(a.exp()) > dual(b.exp())
        low, high = torch.where(right, a, low), torch.where(right, high, b)
    return top + high.exp()


def proved(p: Tensor, inside: Tensor, outside: Tensor, best: Tensor, r: Tensor):
    """λ r² + ¼ γᵀ (λ' - P)^-1 γ for λ = ``best``, and where λ' - P is not positive definite."""
    below = best * (1 - 1e-6)
    shifted = -p
    shifted.diagonal(dim1=1, dim2=2).add_(below[:, None])
    factor, info = torch.linalg.cholesky_ex(shifted)
    solved = torch.linalg.solve_triangular(factor, inside[:, :, None], upper=False)
    bent = solved.square().sum((1, 2))
    return best * r.square() + (bent + outside / below) / 4, info != 0


def boxed(gradient: Tensor, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """A gradient γ' and a cost with γ·δ >= γ'·δ - cost for every x + δ in the box [0, 1].

    The best step for γ alone is clip(-τ γ, -x, 1 - x) with the norm r; γ' is what would lead there
    without a box, -δ / τ. cost = Σ max over δ_i in [-x_i, 1 - x_i] of (γ' - γ)_i δ_i.
    """
    low, high = -x, 1 - x
    small, large = torch.full_like(r, -20.0), torch.full_like(r, 20.0)
    with torch.no_grad():  # any τ is sound
        for _ in range(30):
            middle = (small + large) / 2
            step = torch.minimum(torch.maximum(-middle.exp()[:, None] * gradient, low), high)
            short = step.norm(dim=1) < r
            small, large = torch.where(short, middle, small), torch.where(short, large, middle)
    tau = large.exp()[:, None]
    changed = -torch.minimum(torch.maximum(-tau * gradient, low), high) / tau
    slope = changed - gradient
    cost = torch.maximum(slope * low, slope * high).clamp_min(0).sum(1)
    return changed, cost
