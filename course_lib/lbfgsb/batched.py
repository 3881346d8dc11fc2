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

from ..checked import FUNCTION, NUMBER, WHOLE, is_whole, shown, takes
from .batch import Batch, dot
from .status import Status

ARMIJO = 1e-4  # c1 of the sufficient decrease, N&W (3.4): their value
TRIALS = 20  # each is at most half as long as the one before: together a factor of a million
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
    the projected gradient step (see :func:`minimize`); status: (N,) int64, each a :class:`.Status`;
    iterations: (N,) accepted steps; evaluations: (N,) of h and its gradient.
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
        return self.status == Status.CONVERGED

    def reasons(self) -> list[str]:
        """Why each problem stopped, in words."""
        return Status.messages(self.status)


@dataclasses.dataclass(frozen=True, eq=False)
class Restart:
    """What :func:`minimize` is told of n problems that stopped: goes_on: (n,) bool, which of them
    are solved again; weight: (n,) the weight each of these goes on with."""

    goes_on: torch.Tensor
    weight: torch.Tensor


@dataclasses.dataclass(frozen=True)
class _Limits:
    """When a problem stops: the arguments of :func:`minimize` that have these names."""

    tolerance: float
    decrease: float
    max_evaluations: int
    per_solve: int


class _Run:
    """The state of one call of :func:`minimize`."""

    def __init__(self, fun, x0, lower, upper, centre, weight, memory, limits, restart):
        self.fun, self.lower, self.upper, self.restart = fun, lower, upper, restart
        self.limits = limits
        n = len(x0)
        self.has_quadratic = centre is not None
        width = upper - lower
        self.near = NEAR * torch.where(width.isfinite(), width, 1.0)
        if centre is None:
            centre, weight = torch.zeros_like(x0), x0.new_zeros(n)
        self.batch = Batch(x0.clone(), centre, weight.clone(), memory)
        self.result = Result(
            x0.clone(),
            x0.new_full((n,), float("nan")),
            x0.new_full((n,), float("nan")),
            torch.full((n,), Status.INTERRUPTED, device=x0.device),
            *(torch.zeros(n, dtype=torch.int64, device=x0.device) for _ in range(2)),
        )

    def bounds(self, name: str) -> torch.Tensor:
        """A bound for the problems of the batch: one for all, or a row for each."""
        bound = getattr(self, name)
        return bound[self.batch.rows] if bound.dim() == 2 else bound

    def clamp(self, x: torch.Tensor) -> torch.Tensor:
        """The points of the box that are nearest to ``x`` (n, D)."""
        return torch.minimum(torch.maximum(x, self.bounds("lower")), self.bounds("upper"))

    def evaluate(self, x: torch.Tensor):
        """h, its gradient, and what else the function says of the points."""
        found = self.fun(x, self.batch.rows)
        if not isinstance(found, tuple | list) or not 2 <= len(found) <= 3:
            raise TypeError(
                "The function must return values and gradients, and no more than one thing beside "
                f"them, not {shown(found)}."
            )
        if not all(isinstance(part, torch.Tensor) for part in found):
            kinds = ", ".join(type(part).__name__ for part in found)
            raise TypeError(f"The function must return tensors, not {kinds}.")
        h, h_gradient, *aux = found
        if h.shape != x.shape[:1] or h_gradient.shape != x.shape:
            raise ValueError(
                f"For points {tuple(x.shape)} the function must return values {tuple(x.shape[:1])} "
                f"and gradients {tuple(x.shape)}, not {tuple(h.shape)} and "
                f"{tuple(h_gradient.shape)}."
            )
        if h.dtype != x.dtype or h_gradient.dtype != x.dtype:
            raise TypeError(
                f"For points of {x.dtype} the function must return values and gradients of that "
                f"type, not {h.dtype} and {h_gradient.dtype}: convert them, or start in another."
            )
        return h.detach(), h_gradient.detach(), aux[0].detach() if aux else None

    def begin(self) -> None:
        """The first evaluation. A problem that is not finite at its start ends here."""
        batch = self.batch
        batch.h, batch.h_gradient, batch.aux = self.evaluate(batch.x)
        batch.evaluations += 1
        batch.refresh()
        batch.initial_scaling = 1 / batch.curvature()
        finite = batch.value.isfinite() & batch.gradient.sum(1).isfinite()
        batch.projected_gradient_norm = torch.full_like(batch.value, torch.nan)
        self.finish(~finite, torch.full_like(batch.rows, Status.NOT_FINITE))

    def projected_gradient_norm(self) -> torch.Tensor:
        """(n,) how far a gradient step, in units of the curvature, moves inside the box."""
        batch = self.batch
        step = torch.addcdiv(batch.x, batch.gradient, batch.curvature()[:, None], value=-1)
        return torch.linalg.vector_norm(self.clamp(step) - batch.x, dim=1)

    def stop_or_restart(self) -> None:
        """Stopping tests; what has stopped goes on with another weight, or ends."""
        batch, limits = self.batch, self.limits
        batch.projected_gradient_norm = self.projected_gradient_norm()
        size = 1.0
        if self.has_quadratic:
            size = torch.linalg.vector_norm(batch.x - batch.centre, dim=1)
        spent = batch.evaluations >= limits.max_evaluations
        why = torch.full_like(batch.rows, -1)
        # the last of these that holds is the reason
        why[spent | (batch.evaluations_of_solve >= limits.per_solve)] = Status.EXHAUSTED
        why[batch.line_search_trials >= TRIALS] = Status.STUCK
        why[batch.flat_steps >= 2] = Status.FLAT
        why[batch.projected_gradient_norm <= limits.tolerance * size] = Status.CONVERGED
        over = (why >= 0) & ~batch.finished
        if not over.any():
            return
        if self.restart is not None:
            chosen = over.nonzero()[:, 0]
            aux = None if batch.aux is None else batch.aux[chosen]
            restart = self.restart(batch.rows[chosen], batch.x[chosen], aux, batch.weight[chosen])
            again = restart.goes_on & ~spent[chosen]
            if again.any():
                batch.reweigh(chosen[again], restart.weight[again])
                over[chosen[again]] = False
        self.finish(over, why)

    def finish(self, over: torch.Tensor, why: torch.Tensor) -> None:
        """Write the results of the problems that are ``over``; drop them when they are many."""
        batch, result = self.batch, self.result
        if over.any():
            rows = batch.rows[over]
            result.status[rows] = why[over]
            result.gradient_norm[rows] = batch.projected_gradient_norm[over]
            self.store(over)
            batch.finished |= over
        gone = int(batch.finished.sum())
        if gone and gone >= COMPACT * len(batch.rows):
            batch.keep((~batch.finished).nonzero()[:, 0])

    def store(self, over: torch.Tensor) -> None:
        """Write the points of the problems that are ``over``, and what they took."""
        batch, result = self.batch, self.result
        rows = batch.rows[over]
        for name in ("x", "value", "iterations", "evaluations"):
            getattr(result, name)[rows] = getattr(batch, name)[over]

    def search_direction(self) -> torch.Tensor:
        """(n, D) where each problem goes: the gradient at its active bounds, else L-BFGS."""
        batch = self.batch
        g = batch.gradient
        near = self.near[batch.rows] if self.near.dim() == 2 else self.near
        near = torch.minimum(near, batch.projected_gradient_norm[:, None])
        held = ((batch.x <= self.bounds("lower") + near) & (g > 0)) | (
            (batch.x >= self.bounds("upper") - near) & (g < 0)
        )
        free = (~held).to(g.dtype)
        direction = batch.quasi_newton_direction(free)
        # on the held variables: the plain gradient, which the projection stops at the bound
        direction.addcmul_(g * (1 - free), batch.initial_scaling[:, None], value=-1)
        uphill = dot(direction, g) >= 0
        if uphill.any():
            direction[uphill] = -g[uphill] * batch.initial_scaling[uphill, None]
        return direction

    def step(self) -> None:
        """One trial point of the line search and one evaluation for every problem."""
        batch = self.batch
        direction = self.search_direction()
        x = self.clamp(torch.addcmul(batch.x, direction, batch.step_length[:, None]))
        s = x - batch.x
        h, h_gradient, aux = self.evaluate(x)
        away = x - batch.centre
        value = h + batch.weight * dot(away, away)
        broken = ~(value.isfinite() & h_gradient.sum(1).isfinite())
        if broken.any():  # a rejected trial without curvature
            h_gradient = torch.where(broken[:, None], batch.h_gradient, h_gradient)
            value = torch.where(broken, torch.inf, value)
        downhill = dot(batch.gradient, s).clamp(max=0)
        # what rounding may add to a value that did not rise
        slack = 8 * torch.finfo(x.dtype).eps * batch.value.abs()
        accepted = value <= batch.value + ARMIJO * downhill + slack
        batch.remember(s, h_gradient, ~broken)
        flat = batch.value - value <= self.limits.decrease * batch.value.abs()
        batch.flat_steps = torch.where(
            accepted, torch.where(flat, batch.flat_steps + 1, 0), batch.flat_steps
        )
        # the minimum of the parabola through value, slope and trial value, kept within [0.1, 0.5]
        shorter = (-downhill / (2 * (value - batch.value - downhill)).clamp_min(1e-30)).clamp(
            0.1, 0.5
        )
        batch.step_length = torch.where(accepted, 1.0, batch.step_length * shorter)
        batch.line_search_trials = torch.where(accepted, 0, batch.line_search_trials + 1)
        batch.iterations += accepted
        batch.evaluations += 1
        batch.evaluations_of_solve += 1
        batch.accept(accepted, x, h, h_gradient, aux)


def _prepare(x0, lower, upper, centre, weight):
    """The arguments as tensors; ValueError or TypeError, with a sentence, for what is wrong."""
    if not isinstance(x0, torch.Tensor) or x0.dim() != 2 or not x0.is_floating_point():
        raise TypeError("The starting points x0 must be a float tensor (problems, variables).")
    try:
        bounds = [torch.as_tensor(b, dtype=x0.dtype, device=x0.device) for b in (lower, upper)]
        given = (None if v is None else torch.as_tensor(v).detach() for v in (centre, weight))
        centre, weight = (None if v is None else v.to(x0) for v in given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"Bounds, centre and weight must be numbers or tensors of them ({error})."
        ) from None
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


@takes(
    fun=FUNCTION, restart=FUNCTION | None, tolerance=NUMBER, decrease=NUMBER, per_solve=WHOLE | None
)
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
    restart(rows, x, aux, weight): called with problems that stopped; returns a :class:`Restart`:
        which of them go on, and with which weights.
    memory: pairs kept; tolerance: converged when a gradient step of 1/curvature (2·weight; 1 where
        there is no quadratic), projected to the box, is no longer than ``tolerance``, times
        |x - centre| if there is a centre; decrease: "flat" after two steps in a row that
        lowered the function by no more than this share of its value;
        max_evaluations: per problem; per_solve: the same between two restarts.
    Raises ValueError or TypeError before any evaluation for points, bounds or weights that do not
    fit. Ctrl-C ends the run: what is not finished has the status "interrupted" and its last point.
    """
    start, low, high, centre, weight = _prepare(x0, lower, upper, centre, weight)
    if not all(is_whole(n) for n in (memory, max_evaluations)):
        raise TypeError(
            "The memory and the number of evaluations must be whole numbers, not "
            f"{memory!r} and {max_evaluations!r}."
        )
    if memory < 1 or max_evaluations < 1:
        raise ValueError("The memory and the number of evaluations must be at least 1.")
    limits = _Limits(tolerance, decrease, max_evaluations, per_solve or max_evaluations)
    run = _Run(fun, start, low, high, centre, weight, memory, limits, restart)
    if not len(start):
        return run.result
    try:
        run.begin()
        while True:
            run.stop_or_restart()
            if run.batch.finished.all():
                return run.result
            run.step()
    except KeyboardInterrupt:
        run.store(~run.batch.finished)
        return run.result
