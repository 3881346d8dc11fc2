"""Networks of rectified units inside one of their linear regions: exact quadratic programs.

Where it is settled which units are on, the network is affine, and the nearest point of the region
that has the wanted outputs is the solution of

    min ½ |r|²  such that  A r + d >= 0,   r in the box,

a row for the sign of each hidden unit and one for each output. A primal-dual interior-point method
(Mehrotra 1992) solves it; all rows are combinations of the first layer's weights, A = N W_1, so
that its systems are small. Any λ >= 0 gives a lower bound, ½ |z|² - z·w - λ·d at z = clip(w),
w = Aᵀλ, whatever became of the rest.
"""

import dataclasses

import torch

from .relaxation import Chain, Rows

STEPS = 80  # of the interior-point method, which takes 15 to 30
FEASIBLE = 1e-9  # what is left of a row, in units of r
GAP = 1e-10  # between primal and dual, relative to ½ |r|² + 1
BOUNDARY = 0.995  # the share of the way to the boundary that a step may go
ACTIVE = 1e-7  # a multiplier above this share of the largest: the region's wall holds the point
ROUNDS = 100  # of the walk from region to region


@dataclasses.dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest points of n regions: distance (n,), inf where none was found; r: (n, D); lower:
    (n,) no point of the region is nearer, whatever the solver did; multipliers: (n, K + m)."""

    distance: torch.Tensor
    r: torch.Tensor
    lower: torch.Tensor
    multipliers: torch.Tensor


def rows_of(chain: Chain, on: torch.Tensor, rows: Rows):
    """The regions' rows N (n, K + m, k_1) and d, so that N W_1 r + d >= 0, of about unit length.

    on: (n, K) bool; rows: what is asked of the last activations."""
    signs, offsets = [], []
    slope = torch.eye(len(chain.biases[0]), dtype=torch.float64)
    slope, offset = slope.expand(len(on), -1, -1), chain.biases[0].expand(len(on), -1)
    for layer, z in enumerate(chain.slices()):
        if layer:
            slope = chain.weights[layer] @ slope
            offset = offset @ chain.weights[layer].T + chain.biases[layer]
        sign = torch.where(on[:, z], 1.0, -1.0).to(slope.dtype)
        signs.append(slope * sign[:, :, None])
        offsets.append(offset * sign)
        active = on[:, z].to(slope.dtype)
        slope, offset = slope * active[:, :, None], offset * active
    signs.append(rows.weight @ slope)
    offsets.append((rows.weight @ offset[:, :, None])[:, :, 0] + rows.bias)
    rows_, offset = torch.cat(signs, 1), torch.cat(offsets, 1)
    # a row of zeros, of a unit behind units that are off, keeps its offset
    length = ((rows_ @ chain.gram) * rows_).sum(2).clamp(min=0).sqrt()
    length = torch.where(length > 1e-9, length, 1.0)
    return rows_ / length[:, :, None], offset / length


def nearest(chain: Chain, on: torch.Tensor, rows: Rows, radius: float) -> Nearest:
    """The nearest points of the regions ``on`` (n, K), as far as they are nearer than ``radius``.

    rows: (n, m, k) and (n, m). A region whose bound passes the radius is left at that."""
    normals, offsets = rows_of(chain, on, rows)
    n, q = offsets.shape
    state = _start(chain, n, q, radius)
    live = torch.arange(n)
    best, violated = offsets.new_full((n,), -torch.inf), offsets.new_full((n,), torch.inf)
    out, multipliers = offsets.new_zeros(n, len(chain.low)), offsets.new_zeros(n, q)
    size = chain.size[chain.slices()[0]]
    for _ in range(STEPS):
        a, d = normals[live], offsets[live]
        w = (state.lam[:, None] @ a)[:, 0] @ chain.weights[0]
        z = torch.minimum(torch.maximum(w, chain.low), chain.up)
        half, lifted = z.square().sum(1) / 2, (w * z).sum(1)
        error = (state.lam * ((a.abs() @ size) + d.abs())).sum(1) + half + (w * z).abs().sum(1)
        value = half - lifted - (state.lam * d).sum(1)
        left = (a @ (state.r @ chain.weights[0].T)[:, :, None])[:, :, 0] + d
        short = (-left).clamp(min=0).amax(1)
        best[live] = torch.fmax(best[live], value - chain.rounding * error)
        out[live], violated[live], multipliers[live] = state.r, short, state.lam
        half = state.r.square().sum(1) / 2
        done = (value > radius**2 / 2) | ((short <= FEASIBLE) & (half - value <= GAP * (1 + half)))
        done |= ~(value.isfinite() & half.isfinite())
        if done.all():
            break
        live, state = live[~done], state[~done]
        state = _step(chain, state, a[~done], w[~done], left[~done] - state.s)
    lower = (2 * best.clamp(min=0)).sqrt()
    found = (violated <= 1e3 * FEASIBLE) & (lower < radius)
    return Nearest(torch.where(found, out.norm(dim=1), torch.inf), out, lower, multipliers)


@dataclasses.dataclass(frozen=True, eq=False)
class _State:
    """The iterates of n programs, all but r above 0: r (n, D) inside the box; lam, s (n, K + m) the
    multipliers and slacks of the rows; below, above (n, D) the multipliers of the box, 0 without
    one."""

    r: torch.Tensor
    lam: torch.Tensor
    s: torch.Tensor
    below: torch.Tensor
    above: torch.Tensor

    def __getitem__(self, rows) -> "_State":
        return _State(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))


def _start(chain: Chain, n: int, q: int, radius: float) -> _State:
    r = torch.zeros_like(chain.low)
    box = torch.zeros_like(r)
    if chain.up.isfinite().all():  # a tenth of the way inside
        width = chain.up - chain.low
        r = torch.minimum(torch.maximum(r, chain.low + width / 10), chain.up - width / 10)
        box = torch.full_like(r, 0.1)
    s = r.new_full((n, q), max(radius, 1.0))
    lam = r.new_full((n, q), radius / q**0.5)
    return _State(r.repeat(n, 1), lam, s, box.repeat(n, 1), box.repeat(n, 1))


def _step(chain: Chain, state: _State, a, w, residual) -> _State:
    """One step of predictor and corrector. a: (n, K + m, k_1) the rows; w: (n, D) Aᵀλ; residual:
    (n, K + m) A r + d - s."""
    r, lam, s, below, above = (getattr(state, f.name) for f in dataclasses.fields(state))
    first, boxed = chain.weights[0], bool(chain.up.isfinite().all())
    down, up = (r - chain.low, chain.up - r) if boxed else (torch.ones_like(r),) * 2
    inverse = 1 / (1 + below / down + above / up)
    hessian = a @ ((first * inverse[:, None]) @ first.T) @ a.mT
    hessian.diagonal(dim1=1, dim2=2).add_(s / lam)
    factor = torch.linalg.cholesky_ex(hessian)[0]
    slope = -(r - w - below + above)  # what is left of the stationarity of r

    def direction(mean, second):
        """second: the products of the predictor's steps, of the rows and of the box's two sides."""
        rows, low, high = second
        wanted = mean - lam * s - rows
        of_box = (mean - below * down - low) / down, (mean - above * up - high) / up
        pull = slope + (of_box[0] - of_box[1] if boxed else 0.0)
        rest = wanted / lam - residual - (a @ ((inverse * pull) @ first.T)[:, :, None])[:, :, 0]
        of_lam = torch.cholesky_solve(rest[:, :, None], factor)[:, :, 0]
        of_r = inverse * (pull + (of_lam[:, None] @ a)[:, 0] @ first)
        of_s = (a @ (of_r @ first.T)[:, :, None])[:, :, 0] + residual
        pairs = [(lam, of_lam), (s, of_s)]
        of_below, of_above = torch.zeros_like(r), torch.zeros_like(r)
        if boxed:
            of_below, of_above = of_box[0] - below * of_r / down, of_box[1] + above * of_r / up
            pairs += [(below, of_below), (above, of_above), (down, of_r), (up, -of_r)]
        ways = [torch.where(v < 0, -at / v, torch.inf).amin(1, keepdim=True) for at, v in pairs]
        way = torch.cat(ways, 1).amin(1, keepdim=True)
        return (of_r, of_lam, of_s, of_below, of_above), way

    def mean_of(r_moved, lam, s, below, above):
        total, number = (lam * s).sum(1, keepdim=True), s.shape[1]
        if boxed:
            total = total + (below * (down + r_moved)).sum(1, keepdim=True)
            total = total + (above * (up - r_moved)).sum(1, keepdim=True)
            number += 2 * r.shape[1]
        return total / number

    mean = mean_of(torch.zeros_like(r), lam, s, below, above)
    way_in, way = direction(torch.zeros_like(mean), (0.0, 0.0, 0.0))
    way = way.clamp(max=1.0)
    moved = [way * v for v in way_in]
    after = mean_of(moved[0], lam + moved[1], s + moved[2], below + moved[3], above + moved[4])
    centre = (after / mean).clamp(0, 1) ** 3 * mean
    second = way_in[1] * way_in[2], way_in[3] * way_in[0], -way_in[4] * way_in[0]
    way_in, way = direction(centre, second)
    way = (BOUNDARY * way).clamp(max=1.0)
    return _State(*(v + way * of for v, of in zip((r, lam, s, below, above), way_in, strict=True)))


def walk(chain: Chain, r: torch.Tensor, rows: Rows, radius: float):
    """A nearest point among the region of r (D,) and its neighbours, as long as it gets nearer:
    distance and r; inf and the r that came if the region has no such point.

    A neighbour is the region on the other side of a wall that holds the point. rows: of one node.
    """
    heights, _ = chain.heights(r[None])
    on = heights > 0
    seen = {on.numpy().tobytes()}
    best, point, here, units = float("inf"), r, on[0], on.shape[1]
    for _ in range(ROUNDS):
        found = nearest(chain, on, rows.repeat(len(on)), min(best, 1.01 * radius))
        k = int(found.distance.argmin())
        if not float(found.distance[k]) < best * (1 - 1e-9):
            break
        best, point, here = float(found.distance[k]), found.r[k], on[k]
        lam = found.multipliers[k]
        walls = (lam[:units] > ACTIVE * lam.max()).nonzero()[:, 0]
        on = here.repeat(len(walls), 1)
        on[torch.arange(len(walls)), walls] ^= True
        new = [row.numpy().tobytes() not in seen for row in on]
        on = on[torch.tensor(new, dtype=torch.bool)]
        seen |= {row.numpy().tobytes() for row in on}
        if not len(on):
            break
    return best, point
