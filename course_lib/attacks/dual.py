"""The quadratic program behind the exact distance of a linear network, solved through its dual.

    min ½ |z - x|²  such that  a_j · z + d_j >= 0 for all j,   0 <= z <= 1

The dual has one unknown λ_j >= 0 for each constraint: for given λ the best image in the box is
z(λ) = clip(x + Aᵀλ, 0, 1), and the minimum is where z(λ) satisfies the constraints, each tightly or
with λ_j = 0. Every λ >= 0 gives a lower bound, so that how well a solution is one can be told from
it alone: :class:`Solution` does.
"""

import dataclasses

import torch

EPSILON = torch.finfo(torch.float64).eps
TOLERANCE = 1e-12  # of the conditions of optimality, relative to the terms that each one adds up
WORKING = 4  # constraints at first; more are added as they are violated, image by image
MEMORY = 2**24  # bytes that the rows of the constraints of one batch may take


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """P problems, solved. images: (P, pixels), NaN where no image in the box will do; possible:
    (P,) bool, false where that is proved (the dual exceeds the distance of any image in the box);
    square: (P,) |z - x|²; classes, multipliers: (P, q) the classes that the target had to pass and
    the λ >= 0 of these (all others have 0); gap: (P,) by how much |z - x| may be off, from the
    dual's bound and what is left of the constraints."""

    images: torch.Tensor
    possible: torch.Tensor
    square: torch.Tensor
    classes: torch.Tensor
    multipliers: torch.Tensor
    gap: torch.Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class _State:
    """P problems at some λ. constraints: (P, m) at z(λ); half_square: (P,) ½|z - x|²; free:
    (P, pixels) bool, where z(λ) is inside the box."""

    constraints: torch.Tensor
    half_square: torch.Tensor
    free: torch.Tensor

    def __getitem__(self, rows) -> "_State":
        return _State(self.constraints[rows], self.half_square[rows], self.free[rows])

    def __setitem__(self, rows, other: "_State") -> None:
        self.constraints[rows] = other.constraints
        self.half_square[rows] = other.half_square
        self.free[rows] = other.free

    def value(self, multipliers):
        """(P,) minus the dual function: λ · constraints - ½|z - x|²."""
        return (multipliers * self.constraints).sum(1) - self.half_square


class _Dual:
    """P problems: x (P, pixels), the rows a (P, m, pixels) and the offsets d (P, m)."""

    def __init__(self, x, a, d):
        self.x, self.a, self.d = x, a, d

    def __getitem__(self, rows) -> "_Dual":
        return _Dual(self.x[rows], self.a[rows], self.d[rows])

    def point(self, multipliers):
        """(P, pixels) x + Aᵀλ, before it is clipped to the box."""
        return self.x + torch.bmm(multipliers[:, None], self.a)[:, 0]

    def at(self, multipliers) -> _State:
        """The state at z(λ)."""
        raw = self.point(multipliers)
        clipped = raw.clamp(0, 1)
        constraints = torch.bmm(self.a, clipped[:, :, None])[:, :, 0] + self.d
        return _State(constraints, (clipped - self.x).square().sum(1) / 2, raw == clipped)

    def curvature(self, free):
        """(P, m, m) A_F A_Fᵀ over the free pixels F."""
        return torch.bmm(self.a * free[:, None].to(self.a.dtype), self.a.mT)


def nearest(x, weight, bias, targets, lead=None) -> Solution:
    """The nearest images at which the class ``targets`` is first, by at least ``lead``.

    x: (P, pixels) in the box; weight (classes, pixels) and bias (classes,) of the logits; targets:
    (P,); lead: (P,), default 0. All in float64.
    """
    lead = x.new_zeros(len(x)) if lead is None else lead
    q = min(WORKING, len(bias) - 1)
    few = max(1, MEMORY // (8 * q * max(x.shape[1], 1)))
    parts = [
        _nearest(x[rows], weight, bias, targets[rows], lead[rows])
        for rows in torch.arange(len(x), device=x.device).split(few)
    ]
    width = max((part.classes.shape[1] for part in parts), default=q)
    columns = []
    for field in dataclasses.fields(Solution):
        values = [getattr(part, field.name) for part in parts]
        if field.name in ("classes", "multipliers"):  # λ = 0 of any class changes nothing
            values = [torch.nn.functional.pad(v, (0, width - v.shape[1])) for v in values]
        columns.append(torch.cat(values) if values else x.new_zeros(0))
    return Solution(*columns)


def _nearest(x, weight, bias, targets, lead) -> Solution:
    """The same for one batch: with the constraints that are nearest to being violated, and those
    that turn out to be, until none is."""
    everything = torch.arange(len(x), device=x.device)
    gaps = _gaps(x, weight, bias, targets, lead)
    # the planes that are crossed first, were the image to go straight there
    size = torch.cdist(weight[targets], weight)
    q = min(WORKING, len(bias) - 1)
    classes = (gaps / size).nan_to_num(nan=torch.inf).topk(q, dim=1, largest=False)[1]
    images, square, gap = torch.empty_like(x), x.new_empty(len(x)), x.new_empty(len(x))
    possible = torch.ones(len(x), dtype=torch.bool, device=x.device)
    multipliers = x.new_zeros(classes.shape)
    rows = everything
    while True:
        a = weight[targets[rows]][:, None] - weight[classes[rows]]
        d = bias[targets[rows]][:, None] - bias[classes[rows]] - lead[rows, None]
        found, lam, can, of_square, off = _solve(x[rows], a, d, multipliers[rows])
        images[rows], multipliers[rows], possible[rows] = found, lam, can
        square[rows], gap[rows] = of_square, off
        if q == len(bias) - 1:
            break
        gaps = _gaps(found, weight, bias, targets[rows], lead[rows])
        unit = found @ weight.abs().T + bias.abs()
        unit = unit + unit.gather(1, targets[rows, None])
        left = (gaps < -10 * TOLERANCE * unit).scatter(1, classes[rows], False) & can[:, None]
        worst = torch.where(left, gaps, torch.inf).topk(min(4, len(bias) - 1), 1, largest=False)
        again = left.any(1)
        if not again.any():
            break
        # one more slot for each that is added; where there are fewer to add, a class twice is none
        added = torch.where(worst[0].isfinite(), worst[1], classes[rows, :1])
        wide = classes[:, :1].expand(-1, added.shape[1]).clone()
        wide[rows] = added
        classes = torch.cat([classes, wide], 1)
        multipliers = torch.nn.functional.pad(multipliers, (0, added.shape[1]))
        rows = rows[again]
    images = torch.where(possible[:, None], images, torch.nan)
    infinite = torch.full_like(square, torch.inf)
    return Solution(
        images,
        possible,
        torch.where(possible, square, infinite),
        classes,
        multipliers,
        torch.where(possible, gap, infinite),
    )


def one_plane(x, a, d):
    """The nearest images in the box with a · z + d >= 0: images (P, pixels), |z - x| (P,), inf
    where no image will do, gap (P,) and λ (P,). x, a: (P, pixels); d: (P,)."""
    found, lam, possible, square, gap = _solve(x, a[:, None], d[:, None], x.new_zeros(len(x), 1))
    infinite = torch.full_like(square, torch.inf)
    images = torch.where(possible[:, None], found, torch.nan)
    return (
        images,
        torch.where(possible, square.sqrt(), infinite),
        torch.where(possible, gap, infinite),
        lam[:, 0],
    )


def lower_bound(x, a, d, multipliers):
    """(P,) a lower bound of |z - x| over all z in the box with a_j · z + d_j >= 0 for all j: the
    dual function at the ``multipliers`` (P, m) >= 0, whatever they are.

    x: (P, pixels); a: (P, m, pixels); d: (P, m); all float64. Its rounding is taken off: of sums of
    so many terms, by n u / (1 - n u) of the sum of their sizes (Higham, *Accuracy and Stability of
    Numerical Algorithms*, section 3.1), and what a z that is rounded is above the best one.
    """
    problem, lam = _Dual(x, a, d), multipliers.clamp(min=0)
    state = problem.at(lam)
    n = sum(a.shape[1:]) + 8
    share = n * EPSILON / (1 - n * EPSILON)
    size = torch.bmm(lam[:, None], a.abs())[:, 0]  # of what Aᵀλ adds up
    sums = (lam * (torch.bmm(a.abs(), torch.ones_like(x)[:, :, None])[:, :, 0] + d.abs())).sum(1)
    not_best = (share * (x + size)).square().sum(1)
    rounding = 2 * share * (state.half_square + sums) + not_best
    half = (-state.value(lam) - rounding).clamp(min=0)
    return (2 * half).sqrt() * (1 - 4 * EPSILON)


def _gaps(z, weight, bias, targets, lead):
    """(P, classes) by how much the target leads each class beyond ``lead``; inf for itself."""
    logits = z @ weight.T + bias
    gaps = logits.gather(1, targets[:, None]) - logits - lead[:, None]
    return gaps.scatter(1, targets[:, None], torch.inf)


def _solve(x, a, d, lam, steps: int = 200):
    """Images (P, pixels), λ (P, m), whether there is one (P,), |z - x|² (P,) and gap (P,).

    Projected Newton steps on the convex, piecewise quadratic -dual(λ), whose gradient is the
    constraints at z(λ), whose curvature is A_F A_Fᵀ: multipliers at 0 with their constraint
    satisfied rest, a system is solved for the others, the step is halved until the function falls.
    The more halvings, the more of the identity is added to the next system (Levenberg), because a
    system that is singular, as with fewer free pixels than constraints, makes steps of no use.
    With one constraint this is Newton's method on an increasing concave function of λ, and
    approaches its root from the left, without a halving.
    """
    problem = _Dual(x, a, d)
    norms = a.square().sum(2)
    # the terms that a constraint adds up: its own rounding, whatever the others' size
    unit = torch.bmm(a.abs(), torch.ones_like(x)[:, :, None])[:, :, 0] + d.abs()
    farthest = torch.maximum(x, 1 - x).square().sum(1) / 2  # no image in the box is farther
    lam = lam.clone()
    damping = torch.full_like(farthest, 1e-13)
    live = torch.arange(len(x), device=x.device)
    possible = torch.ones(len(x), dtype=torch.bool, device=x.device)
    state = problem.at(lam)
    for _ in range(steps):
        now = lam[live]
        off = torch.minimum(state.constraints, now * norms[live]).abs()  # 0: the optimum
        lost = -state.value(now) > farthest[live] * (1 + 1e-9)  # the dual exceeds any primal
        possible[live[lost]] = False
        going = (off > TOLERANCE * unit[live]).any(1) & ~lost
        if not going.any():
            break
        live, now, state = live[going], now[going], state[going]
        part = problem if len(live) == len(x) else problem[live]
        added = damping[live, None] * norms[live].amax(1, keepdim=True) + 1e-300
        step = _newton_step(part.curvature(state.free), state.constraints, now, added)
        lam[live], state, length = _descend(part, now, step, state)
        more = torch.where(length < 1, length**-2, 0.1)
        damping[live] = (damping[live] * more).clamp(1e-13, 1.0)
    state = problem.at(lam)
    l2 = (2 * state.half_square).sqrt()
    bound = (2 * (-state.value(lam)).clamp(min=0)).sqrt()
    short = ((-state.constraints).clamp(min=0) / norms.sqrt().clamp(min=1e-300)).amax(1)
    gap = (l2 - bound).abs() + short
    return problem.point(lam).clamp(0, 1), lam, possible, 2 * state.half_square, gap


def _newton_step(curvature, c, lam, added):
    """A direction (P, m) from the curvature (P, m, m), the constraints c and the multipliers;
    added: (P, 1), to the diagonal."""
    rests = (lam <= 0) & (c >= 0)
    moves = (~rests).to(c.dtype)
    system = curvature * moves[:, :, None] * moves[:, None, :]
    system = system + torch.diag_embed(torch.where(rests, torch.ones_like(c), added))
    return torch.linalg.solve(system, -(c * moves)[..., None])[..., 0]


def _descend(problem, lam, step, before: _State):
    """The multipliers after the longest of the steps 1, 1/2, 1/4, ... that lowers -dual, and the
    problem's state there, and the lengths (P,). before: the state at ``lam``."""
    value = before.value(lam)
    length = torch.ones_like(value)
    new = (lam + step).clamp(min=0)
    state = problem.at(new)
    for _ in range(40):
        change = new - lam
        lower = state.value(new) <= value + 1e-4 * (before.constraints * change).sum(1)
        # near the optimum the values are equal to rounding; a slope that still falls is a proof
        lower |= (state.constraints * change).sum(1) <= 0
        again = (~lower).nonzero().flatten()
        if not len(again):
            break
        length[again] /= 2
        new[again] = (lam[again] + length[again, None] * step[again]).clamp(min=0)
        state[again] = problem[again].at(new[again])
    return new, state, length
