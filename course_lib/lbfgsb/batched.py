"""Many box-constrained problems at once, each with an L-BFGS of its own.

    minimise  w_i |x_i - a_i|² + h_i(x_i)    over  lower <= x_i <= upper,      i = 1 ... N

The problems share nothing but the calls of the function: one call evaluates h and its gradient for
all problems that are not finished. Each has its own curvature memory, active set, step length,
stopping test and result. The quadratic is optional. Where it is there, its curvature 2w is known
and not learnt, so that w may change (the attack's search for c) and the memory stays right.

The method is the projected quasi-Newton method of Bertsekas (1982) in two metrics: a variable on
its bound whose gradient points outward follows the gradient (and so stays), the others follow the
L-BFGS direction of the function restricted to them (two-loop recursion; Nocedal & Wright,
*Numerical Optimization*, algorithm 7.4); the step is cut back along the projected path until the
decrease is sufficient (Armijo). :mod:`course_lib.lbfgsb.plain` is the same for one problem, to be
read first.
"""

import dataclasses
from collections.abc import Callable

import torch

STATUS = (
    "converged",  # the projected gradient is within the tolerance
    "flat",  # two steps in a row lowered the function by less than ``decrease`` of its value
    "stuck",  # no sufficient decrease in 20 trials: the limit of the precision, or a kink
    "out of evaluations",
    "not finite",  # the function is NaN or infinite at the start
    "interrupted",
)
CONVERGED, FLAT, STUCK, EXHAUSTED, NOT_FINITE, INTERRUPTED = range(len(STATUS))
ARMIJO = 1e-4
TRIALS = 20
# A bound holds a variable whose gradient points outward and that is nearer to it than this (times
# the box) or than the projected gradient step is long, if that is less: without a margin the set
# flickers and the steps zigzag (Bertsekas 1982, eq. 32).
NEAR = 1e-3
# Finished problems leave the tensors once they are this share of them: leaving is a copy.
COMPACT = 0.08


@dataclasses.dataclass
class Result:
    """What :func:`minimize` found, one row per problem.

    x: (N, D), inside the box; value: (N,) the objective there; gradient_norm: (N,) the length of
    the projected gradient step (see :func:`minimize`); status: (N,) int64, an index into
    :data:`STATUS`; iterations: (N,) accepted steps; evaluations: (N,) of h and its gradient.
    """

    x: torch.Tensor
    value: torch.Tensor
    gradient_norm: torch.Tensor
    status: torch.Tensor
    iterations: torch.Tensor
    evaluations: torch.Tensor

    @property
    def converged(self) -> torch.Tensor:
        """(N,) bool: whether the first-order conditions hold within the tolerance."""
        return self.status == CONVERGED

    def reasons(self) -> list[str]:
        """Why each problem stopped, in words."""
        return [STATUS[code] for code in self.status.tolist()]


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(N,) the inner product of each row of ``a`` with that of ``b``."""
    return torch.linalg.vecdot(a, b)


class _Batch:
    """The unfinished problems. Every field has one row per problem but the memory, where the row
    is the second axis: slot, problem, variable."""

    def __init__(self, x, centre, weight, memory):
        n = len(x)
        new = x.new_zeros
        self.rows = torch.arange(n, device=x.device)
        self.x, self.centre, self.weight = x, centre, weight
        self.value, self.h = x.new_full((n,), torch.nan), new(n)
        self.slope_h = torch.zeros_like(x)  # the gradient of h
        self.gradient = torch.zeros_like(x)  # of the whole objective
        self.aux = None
        self.steps = torch.zeros(memory, *x.shape, dtype=x.dtype, device=x.device)
        self.changes = torch.zeros_like(self.steps)
        self.scale = new(n)  # 1 / curvature, of the newest pair that shows any
        self.length = x.new_ones(n)
        self.trials, self.slow, self.iterations, self.evaluations, self.solve = (
            torch.zeros(n, dtype=torch.int64, device=x.device) for _ in range(5)
        )
        self.finished = torch.zeros(n, dtype=torch.bool, device=x.device)
        self.moved = new(n)  # the length of the projected gradient step
        self.newest = -1

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all problems but ``rows``."""
        kept = {}
        for name, field in vars(self).items():
            if isinstance(field, torch.Tensor):
                axis = 1 if name in ("steps", "changes") else 0
                kept[name] = field.index_select(axis, rows)
        vars(self).update(kept)  # in one go: Ctrl-C finds all of them or none

    def curvature(self) -> torch.Tensor:
        """(n,) the known curvature 2w, or 1 where there is no quadratic: the unit of a step."""
        return torch.where(self.weight > 0, 2 * self.weight, 1.0)

    def refresh(self) -> None:
        """Value and gradient of the whole objective from those of h, for today's weight."""
        away = self.x - self.centre
        self.value = self.h + self.weight * dot(away, away)
        self.gradient = torch.addcmul(self.slope_h, 2 * self.weight[:, None], away)

    def reweigh(self, rows: torch.Tensor, weight: torch.Tensor) -> None:
        """Give the problems ``rows`` another weight; their memory and point stay."""
        change = torch.zeros_like(self.weight)
        change[rows] = 2 * (weight - self.weight[rows])
        self.changes.addcmul_(self.steps, change[None, :, None])
        self.weight = self.weight.index_put((rows,), weight)
        self.scale[rows] = 1 / self.curvature()[rows]
        for counter in (self.trials, self.slow, self.solve):
            counter[rows] = 0
        self.length[rows] = 1.0
        self.refresh()


def directions(batch: _Batch, free: torch.Tensor) -> torch.Tensor:
    """(n, D) minus the inverse Hessian times the gradient, on the ``free`` variables; 0 elsewhere.

    The two-loop recursion with every inner product taken over the free variables. A pair without
    positive curvature there counts for nothing (its ρ is 0).
    """
    q = batch.gradient * free
    slots = [(batch.newest - j) % len(batch.steps) for j in range(len(batch.steps))]
    pairs = []
    for slot in slots:  # from the newest to the oldest
        s, y = batch.steps[slot], batch.changes[slot] * free
        sy, ss = dot(s, y), dot(s, s)
        rho = torch.where(sy > 1e-8 * ss, 1 / sy, 0.0)
        alpha = rho * dot(s, q)
        q.addcmul_(y, alpha[:, None], value=-1)
        pairs.append((s, y, rho, alpha))
    q.mul_(batch.scale[:, None])
    for s, y, rho, alpha in reversed(pairs):
        beta = rho * dot(y, q)
        q.addcmul_(s, (alpha - beta)[:, None])
    return q.mul_(free).neg_()


class _Run:
    """The state of one call of :func:`minimize`."""

    def __init__(self, fun, x0, lower, upper, centre, weight, memory, limits, restart):
        self.fun, self.lower, self.upper, self.restart = fun, lower, upper, restart
        self.tolerance, self.decrease, self.budget, self.per_solve = limits
        n = len(x0)
        self.relative = centre is not None
        width = upper - lower
        self.near = NEAR * torch.where(width.isfinite(), width, 1.0)
        if centre is None:
            centre, weight = torch.zeros_like(x0), x0.new_zeros(n)
        self.batch = _Batch(x0.clone(), centre, weight.clone(), memory)
        self.result = Result(
            x0.clone(),
            x0.new_full((n,), float("nan")),
            x0.new_full((n,), float("nan")),
            torch.full((n,), INTERRUPTED, device=x0.device),
            *(torch.zeros(n, dtype=torch.int64, device=x0.device) for _ in range(2)),
        )

    def bounds(self, name: str) -> torch.Tensor:
        """A bound for the problems of the batch: one for all, or a row for each."""
        bound = getattr(self, name)
        return bound[self.batch.rows] if bound.dim() == 2 else bound

    def clamp(self, x: torch.Tensor) -> torch.Tensor:
        return torch.minimum(torch.maximum(x, self.bounds("lower")), self.bounds("upper"))

    def evaluate(self, x: torch.Tensor):
        """h, its gradient, and what else the function says of the points."""
        h, slope, *aux = self.fun(x, self.batch.rows)
        if h.shape != x.shape[:1] or slope.shape != x.shape:
            raise ValueError(
                f"For points {tuple(x.shape)} the function must return values {tuple(x.shape[:1])} "
                f"and gradients {tuple(x.shape)}, not {tuple(h.shape)} and {tuple(slope.shape)}."
            )
        return h.detach(), slope.detach(), aux[0].detach() if aux else None

    def begin(self) -> None:
        """The first evaluation. A problem that is not finite at its start ends here."""
        batch = self.batch
        batch.h, batch.slope_h, batch.aux = self.evaluate(batch.x)
        batch.evaluations += 1
        batch.refresh()
        batch.scale = 1 / batch.curvature()
        finite = batch.value.isfinite() & batch.gradient.sum(1).isfinite()
        batch.moved = torch.full_like(batch.value, torch.nan)
        self.finish(~finite, torch.full_like(batch.rows, NOT_FINITE))

    def projected(self) -> torch.Tensor:
        """(n,) how far a gradient step, in units of the curvature, moves inside the box."""
        batch = self.batch
        step = torch.addcdiv(batch.x, batch.gradient, batch.curvature()[:, None], value=-1)
        return torch.linalg.vector_norm(self.clamp(step) - batch.x, dim=1)

    def judge(self) -> None:
        """Stopping tests; what has converged starts again with another weight, or ends."""
        batch = self.batch
        moved = batch.moved = self.projected()
        size = 1.0
        if self.relative:
            size = torch.linalg.vector_norm(batch.x - batch.centre, dim=1)
        tests = (
            (batch.evaluations >= self.budget) | (batch.solve >= self.per_solve),
            batch.trials >= TRIALS,
            batch.slow >= 2,
            moved <= self.tolerance * size,
        )
        why = torch.full_like(batch.rows, -1)
        for test, code in zip(tests, (EXHAUSTED, STUCK, FLAT, CONVERGED), strict=True):
            why.masked_fill_(test, code)
        over = (why >= 0) & ~batch.finished
        if not over.any():
            return
        if self.restart is not None:
            chosen = over.nonzero()[:, 0]
            aux = None if batch.aux is None else batch.aux[chosen]
            again, weight = self.restart(
                batch.rows[chosen], batch.x[chosen], aux, batch.weight[chosen]
            )
            again = again & (batch.evaluations[chosen] < self.budget)
            if again.any():
                batch.reweigh(chosen[again], weight[again])
                over[chosen[again]] = False
        self.finish(over, why)

    def finish(self, over: torch.Tensor, why: torch.Tensor) -> None:
        """Write the results of the problems that are ``over``; drop them when they are many."""
        batch, result = self.batch, self.result
        if over.any():
            rows = batch.rows[over]
            result.status[rows] = why[over]
            result.gradient_norm[rows] = batch.moved[over]
            self.store(over)
            batch.finished |= over
        gone = int(batch.finished.sum())
        if gone and gone >= COMPACT * len(batch.rows):
            batch.keep((~batch.finished).nonzero()[:, 0])

    def store(self, over: torch.Tensor) -> None:
        batch, result = self.batch, self.result
        rows = batch.rows[over]
        for name in ("x", "value", "iterations", "evaluations"):
            getattr(result, name)[rows] = getattr(batch, name)[over]

    def aim(self) -> torch.Tensor:
        """(n, D) where each problem goes: the gradient at its active bounds, else L-BFGS."""
        batch = self.batch
        g = batch.gradient
        near = self.near[batch.rows] if self.near.dim() == 2 else self.near
        near = torch.minimum(near, batch.moved[:, None])
        held = ((batch.x <= self.bounds("lower") + near) & (g > 0)) | (
            (batch.x >= self.bounds("upper") - near) & (g < 0)
        )
        free = (~held).to(g.dtype)
        direction = directions(batch, free)
        # on the held variables: the plain gradient, which the projection stops at the bound
        direction.addcmul_(g * (1 - free), batch.scale[:, None], value=-1)
        uphill = dot(direction, g) >= 0
        if uphill.any():
            direction[uphill] = -g[uphill] * batch.scale[uphill, None]
        return direction

    def step(self) -> None:
        """One trial point and one evaluation for every problem."""
        batch = self.batch
        direction = self.aim()
        x = self.clamp(torch.addcmul(batch.x, direction, batch.length[:, None]))
        s = x - batch.x
        h, slope, aux = self.evaluate(x)
        away = x - batch.centre
        value = h + batch.weight * dot(away, away)
        broken = ~(value.isfinite() & slope.sum(1).isfinite())
        if broken.any():  # a rejected trial without curvature
            slope = torch.where(broken[:, None], batch.slope_h, slope)
            value = torch.where(broken, torch.inf, value)
        downhill = dot(batch.gradient, s).clamp(max=0)
        slack = 8 * torch.finfo(x.dtype).eps * batch.value.abs()
        accepted = value <= batch.value + ARMIJO * downhill + slack
        self.remember(s, slope, ~broken)
        drop = batch.value - value
        flat = drop <= self.decrease * batch.value.abs()
        batch.slow = torch.where(accepted, torch.where(flat, batch.slow + 1, 0), batch.slow)
        # the minimum of the parabola through value, slope and trial value, kept within [0.1, 0.5]
        shorter = (-downhill / (2 * (value - batch.value - downhill)).clamp_min(1e-30)).clamp(
            0.1, 0.5
        )
        batch.length = torch.where(accepted, 1.0, batch.length * shorter)
        batch.trials = torch.where(accepted, 0, batch.trials + 1)
        batch.iterations += accepted
        batch.evaluations += 1
        batch.solve += 1
        self.move(accepted, x, h, slope, aux)

    def remember(self, s: torch.Tensor, slope: torch.Tensor, usable: torch.Tensor) -> None:
        """Keep the pair (s, y). A rejected trial tells as much of the curvature as another."""
        batch = self.batch
        y = torch.addcmul(slope - batch.slope_h, s, 2 * batch.weight[:, None])
        sy, yy = dot(s, y), dot(y, y)
        good = usable & (sy > 1e-8 * dot(s, s)) & (yy > 0)
        batch.scale = torch.where(good, sy / yy.clamp_min(1e-30), batch.scale)
        batch.newest = (batch.newest + 1) % len(batch.steps)
        batch.steps[batch.newest] = s
        batch.changes[batch.newest] = y

    def move(self, accepted, x, h, slope, aux) -> None:
        """Go to the accepted trial points."""
        batch = self.batch
        if accepted.all():
            batch.x, batch.h, batch.slope_h, batch.aux = x, h, slope, aux
        else:
            batch.x = torch.where(accepted[:, None], x, batch.x)
            batch.slope_h = torch.where(accepted[:, None], slope, batch.slope_h)
            batch.h = torch.where(accepted, h, batch.h)
            if aux is not None:
                wide = accepted.reshape(-1, *[1] * (aux.dim() - 1))
                batch.aux = torch.where(wide, aux, batch.aux)
        batch.refresh()


def _prepare(x0, lower, upper, centre, weight):
    """The arguments as tensors; ValueError or TypeError, with a sentence, for what is wrong."""
    if not isinstance(x0, torch.Tensor) or x0.dim() != 2 or not x0.is_floating_point():
        raise TypeError("The starting points x0 must be a float tensor (problems, variables).")
    bounds = [torch.as_tensor(b, dtype=x0.dtype, device=x0.device) for b in (lower, upper)]
    for bound in bounds:
        if bound.shape not in (torch.Size(), x0.shape[1:], x0.shape):
            raise ValueError(
                f"A bound of shape {tuple(bound.shape)} does not fit points {tuple(x0.shape)}: "
                "give a number, one value per variable, or a row per problem."
            )
    if not (bounds[0] <= bounds[1]).all():
        raise ValueError("Every lower bound must be at most its upper bound (NaN is neither).")
    if not x0.isfinite().all():
        raise ValueError("The starting points x0 contain NaN or infinity.")
    if (centre is None) != (weight is None):
        raise ValueError("The quadratic weight * |x - centre|² needs both its centre and weight.")
    if centre is not None:
        centre, weight = (torch.as_tensor(v).detach().to(x0) for v in (centre, weight))
        weight = weight.expand(len(x0)) if weight.dim() == 0 else weight
        if centre.shape != x0.shape or weight.shape != x0.shape[:1]:
            raise ValueError(
                f"For points {tuple(x0.shape)} the centre must have the same shape, and the weight "
                f"one value per problem; they have {tuple(centre.shape)}, {tuple(weight.shape)}."
            )
        if not (weight >= 0).all():
            raise ValueError("The weights of the quadratic must not be negative (or NaN).")
    start = torch.minimum(torch.maximum(x0.detach(), bounds[0]), bounds[1])
    return start, *bounds, centre, weight


@torch.no_grad()
def minimize(
    fun: Callable,
    x0: torch.Tensor,
    lower=0.0,
    upper=1.0,
    *,
    centre: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    restart: Callable | None = None,
    memory: int = 5,
    tolerance: float = 1e-5,
    decrease: float = 1e-9,
    max_evaluations: int = 1000,
    per_solve: int | None = None,
) -> Result:
    """Minimise N functions at once, each over its box: weight_i |x - centre_i|² + h_i(x).

    fun(x, rows): h of the problems ``rows`` (n,) at the points ``x`` (n, D): returns (n,) values,
        (n, D) gradients and, if it likes, an (n, ...) tensor that says more of these points.
        It is called with the unfinished problems only (but for a few that finished just before).
    x0: (N, D) starting points, float32 or float64, on any device; moved into the box.
    lower, upper: numbers, (D,), or (N, D); infinite where there is no bound.
    centre, weight: (N, D) and (N,) >= 0, the quadratic; None for none.
    restart(rows, x, aux, weight): called with problems that stopped; returns (n,) bool, which
        of them go on, and (n,) the weights they go on with.
    memory: pairs kept; tolerance: converged when a gradient step of 1/curvature (2·weight; 1 where
        there is no quadratic), projected to the box, is no longer than ``tolerance``, times
        |x - centre| if there is a centre; decrease: see :data:`STATUS`, "flat";
        max_evaluations: per problem; per_solve: the same between two restarts.
    Raises ValueError or TypeError before any evaluation for points, bounds or weights that do not
    fit. Ctrl-C ends the run: what is not finished has the status "interrupted" and its last point.
    """
    start, low, high, centre, weight = _prepare(x0, lower, upper, centre, weight)
    if memory < 1 or max_evaluations < 1:
        raise ValueError("The memory and the number of evaluations must be at least 1.")
    limits = (tolerance, decrease, max_evaluations, per_solve or max_evaluations)
    run = _Run(fun, start, low, high, centre, weight, memory, limits, restart)
    if not len(start):
        return run.result
    try:
        run.begin()
        while True:
            run.judge()
            if run.batch.finished.all():
                return run.result
            run.step()
    except KeyboardInterrupt:
        run.store(~run.batch.finished)
        return run.result
