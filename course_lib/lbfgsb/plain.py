"""L-BFGS-B to read: minimise f(x) over a box, lower <= x <= upper, one problem, in plain steps.

The batched engine beside this file does the same for many problems at once; here every part is a
function of its own. One iteration goes

1. the projected gradient (:func:`projected_gradient`): is it small enough to stop?
2. the variables that sit at a bound and are pushed against it (:func:`active`) are set apart;
3. the others get a quasi-Newton direction from the last steps (:func:`two_loop`), those apart the
   plain gradient: the "two-metric projection" of Bertsekas;
4. a search along that direction, each point of it brought back into the box
   (:func:`projected_search`), finds a lower point;
5. the step s and the change of the gradient y it made are remembered as a pair.

This is not the algorithm of Byrd, Lu, Nocedal and Zhu (1995) that SciPy wraps under this name:
theirs finds the active variables by following the gradient's projected path through a quadratic
model, and minimises that model on the rest. Both stop at the same points; this one fits a page.

Everything is a one-dimensional float64 tensor; ``fun(x)`` returns (value, gradient).
References: Bertsekas, Projected Newton methods for optimization problems with simple constraints,
SIAM J. Control Optim. 20 (1982); Nocedal, Updating quasi-Newton matrices with limited storage,
Math. Comp. 35 (1980); Nocedal, Wright, Numerical optimization (2006), algorithm 7.4.
"""

import dataclasses

import torch

from ..checked import FUNCTION, NUMBER, WHOLE, shown, takes

EPSILON = 1e-3  # how near to a bound counts as at it, while the projected gradient is larger
CURVATURE = 1e-8  # a pair is used if its s.y exceeds this share of |s||y|


def project(x, lower=0.0, upper=1.0):
    """The point of the box that is nearest to ``x``: every coordinate is
    cut off at its bounds.

    x: (n,); lower, upper: numbers or (n,) tensors. Returns (n,).
    """
    lower, upper = (torch.as_tensor(b, dtype=x.dtype, device=x.device) for b in (lower, upper))
    return torch.minimum(torch.maximum(x, lower), upper)


def projected_gradient(x, gradient, lower=0.0, upper=1.0):
    """How far a full step against the gradient moves ``x`` in the box:
    x - P(x - gradient), with P the projection.

    x: (n,), inside the box; gradient: (n,). Returns (n,): 0 exactly where
    x cannot be improved to first order; away from the bounds it is the
    gradient itself, as long as that is short.
    """
    return x - project(x - gradient, lower, upper)


def active(x, gradient, lower=0.0, upper=1.0):
    """Which variables a descent pushes against a bound that they are at.

    x, gradient: (n,). Returns (n,) bool. "At" a bound means nearer than
    min(EPSILON, largest entry of the projected gradient): with exactly 0
    for that distance the set could change without end as steps come close
    to a bound and never reach it (Bertsekas 1982, his epsilon).
    """
    distance = float(projected_gradient(x, gradient, lower, upper).abs().max())
    near = min(EPSILON, distance)
    return ((x <= lower + near) & (gradient > 0)) | ((x >= upper - near) & (gradient < 0))


def two_loop(gradient, pairs):
    """The gradient times the inverse Hessian that the pairs describe:
    the two-loop recursion of L-BFGS.

    gradient: (n,); pairs: a list, oldest first, of (s, y), both (n,): a
    step and the change of the gradient along it. Pairs whose s.y is not
    positive are left out. Returns (n,); without a pair the gradient.
    """
    pairs = [(s, y) for s, y in pairs if s @ y > 0]
    if not pairs:
        return gradient.clone()
    q, shares = gradient, []
    for s, y in reversed(pairs):  # from the newest to the oldest
        shares.append((s @ q) / (s @ y))
        q = q - shares[-1] * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q  # the newest pair's scale
    for (s, y), share in zip(pairs, reversed(shares), strict=True):
        r = r + (share - (y @ r) / (s @ y)) * s
    return r


def as_tensor(result, like):
    """What somebody's own part returns, a list or an array too, as a tensor like ``like``."""
    if isinstance(result, list | tuple) and any(isinstance(r, torch.Tensor) for r in result):
        result = torch.stack([as_tensor(r, like) for r in result])
    if not isinstance(result, torch.Tensor):
        result = torch.as_tensor(result, dtype=like.dtype)  # not by way of float32
    return result.detach().to(like)


def direction(gradient, bound, pairs, two_loop=two_loop):
    """Where to go: the quasi-Newton step of the free variables, a scaled gradient step of the rest.

    gradient: (n,); bound: (n,) bool, from :func:`active`; pairs: of full length, oldest first.
    Returns (n,); its product with the gradient is negative. One matrix for both groups would not
    do: a step that leads downhill can lead uphill once a part of it is cut off at a bound, unless
    the variables at their bounds are scaled one by one (Bertsekas 1982, proposition 1).
    """
    free = ~bound
    seen = [(s[free], y[free]) for s, y in pairs]
    seen = [(s, y) for s, y in seen if s @ y > CURVATURE * s.norm() * y.norm()]
    if not seen:  # nothing is known of the curvature: a step of length 1 at most
        return -gradient / max(1.0, float(gradient.norm()))
    s, y = seen[-1]
    step = -(s @ y) / (y @ y) * gradient
    step[free] = -as_tensor(two_loop(gradient[free], seen), step)
    return step


def projected_search(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
    """A lower point on the path P(x + t direction), t = 1, 1/2, 1/4, ...

    value, gradient: those of fun at x; direction: (n,). The first point is
    taken whose value is below value + 1e-4 gradient . (point - x), with
    gradient . (point - x) negative (Armijo's condition, in the box).
    fun is asked once at most for each t, and not at x again. Returns
    (point, its value, its gradient), or None where about thirty halvings
    have found none.
    """
    for halvings in range(31):
        point = project(x + 0.5**halvings * direction, lower, upper)
        slope = gradient @ (point - x)
        if not slope < 0:
            continue
        new_value, new_gradient = fun(point)
        if new_value <= value + 1e-4 * slope:
            return point, new_value, new_gradient
    return None


CONVERGED = "converged: the projected gradient is below the tolerance"
LIMIT = "stopped: the largest number of iterations is reached"
ROUNDING = "stopped: no lower point was found, within rounding"


@dataclasses.dataclass
class Step:
    """One iteration, for drawing.

    x, gradient, direction: (n,); value: a float; active: (n,) bool; tried: the points at which the
    function was evaluated from here, the last of them accepted.
    """

    x: torch.Tensor
    value: float
    gradient: torch.Tensor
    active: torch.Tensor
    direction: torch.Tensor
    tried: list[torch.Tensor]


@dataclasses.dataclass
class Result:
    """Where a minimisation ended.

    x: (n,), in the box; value: a float; gradient_norm: the largest entry of the projected gradient;
    iterations, evaluations: how many; converged: whether that entry is below the tolerance;
    status: why it stopped, a sentence; path: the :class:`Step` of every iteration.
    """

    x: torch.Tensor
    value: float
    gradient_norm: float
    iterations: int
    evaluations: int
    converged: bool
    status: str
    path: list[Step]


@takes(function=FUNCTION)
def with_gradient(function):
    """``fun`` for :func:`minimize` out of a function (n,) -> scalar tensor, by autograd."""

    def fun(x):
        x = x.detach().requires_grad_()
        value = function(x)
        return float(value.detach()), torch.autograd.grad(value, x)[0]

    return fun


def checked_start(x0, lower, upper):
    """The start in float64 and inside the box, and the bounds, of its shape.

    Raises ValueError, with a sentence, for another shape, a NaN, or a lower bound above the upper.
    """
    try:
        x = torch.as_tensor(x0).detach().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"The start must be a vector of numbers ({error}).") from None
    if x.ndim != 1 or not len(x):
        raise ValueError(f"The start must have the shape (n,), not {tuple(x.shape)}: flatten it.")
    try:
        bounds = [
            torch.as_tensor(b, dtype=x.dtype, device=x.device).expand_as(x) for b in (lower, upper)
        ]
    except (TypeError, RuntimeError):
        raise ValueError(
            f"Each bound must be a number or a tensor of shape {tuple(x.shape)}."
        ) from None
    if any(v.isnan().any() for v in (x, *bounds)):
        raise ValueError("There is a NaN in the start or in the bounds.")
    crossed = (bounds[0] > bounds[1]).nonzero().flatten().tolist()
    if crossed:
        raise ValueError(
            f"The lower bound is above the upper one at {crossed[:5]}: no box is there."
        )
    return project(x, *bounds), *bounds


def checked_values(fun, tried):
    """``fun`` that keeps each point it is asked for in ``tried`` and refuses what is no gradient.

    Raises ValueError for a gradient of another shape, or not finite where the value is. A value
    that is not finite is no error: the search takes a shorter step.
    """

    def watched(x):
        tried.append(x)
        found = fun(x)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise TypeError(f"The function must return (value, gradient), not {shown(found)}.")
        try:
            value, gradient = float(found[0]), as_tensor(found[1], x)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"The function must return a number and a gradient of numbers ({error})."
            ) from None
        if gradient.shape != x.shape:
            raise ValueError(
                f"The gradient's shape is {tuple(gradient.shape)}, x has {tuple(x.shape)}."
            )
        if value == -float("inf"):
            raise ValueError("The function is -inf at a point of the box: it has no minimum.")
        if abs(value) < float("inf") and not gradient.isfinite().all():
            raise ValueError(f"The value is {value:g}, but its gradient is not finite.")
        return value, gradient

    return watched


@takes(
    fun=FUNCTION,
    memory=WHOLE,
    tolerance=NUMBER,
    max_iterations=WHOLE,
    two_loop=FUNCTION,
    search=FUNCTION,
)
def minimize(
    fun,
    x0,
    lower=0.0,
    upper=1.0,
    *,
    memory=10,
    tolerance=1e-6,
    max_iterations=1000,
    two_loop=two_loop,
    search=projected_search,
):
    """Minimise ``fun`` over the box from ``x0``; return a :class:`Result`.

    fun: (n,) float64 -> (value, gradient (n,)); x0: (n,), brought into the box first if it lies
    outside; lower, upper: numbers or (n,), infinite where there is no bound. It stops when no entry
    of the projected gradient exceeds ``tolerance``, after ``max_iterations``, or when no lower
    point is found (at the limit of rounding). two_loop, search: the parts, to put in one's own,
    which may return lists and arrays as well.

    Raises ValueError for bad bounds or starts, and where fun is not finite at the start.
    """
    if memory < 1:
        raise ValueError(f"The memory must hold at least one pair, not {memory}.")
    x, lower, upper = checked_start(x0, lower, upper)
    tried, path, pairs, evaluations, status = [], [], [], 1, None
    fun = checked_values(fun, tried)
    value, gradient = fun(x)
    if not abs(value) < float("inf"):
        raise ValueError(f"The function is {value} at the start: begin where it is finite.")
    while status is None:
        norm = float(projected_gradient(x, gradient, lower, upper).abs().max())
        if norm <= tolerance or len(path) >= max_iterations:
            status = CONVERGED if norm <= tolerance else LIMIT
            break
        bound = active(x, gradient, lower, upper)
        step = direction(gradient, bound, pairs, two_loop)
        tried.clear()
        found = search(fun, x, value, gradient, step, lower, upper)
        evaluations += len(tried)
        path.append(Step(x, value, gradient, bound, step, list(tried)))
        if found is not None:
            point, value, new_gradient = found
            point, new_gradient = (as_tensor(v, x) for v in (point, new_gradient))
            pairs = [*pairs, (point - x, new_gradient - gradient)][-memory:]
            x, gradient = point, new_gradient
        elif pairs:
            pairs = []  # begin again with the plain gradient
        else:
            status = ROUNDING
    converged = status == CONVERGED
    return Result(x, float(value), norm, len(path), evaluations, converged, status, path)
