"""Whether a point is a nearest one: the first-order conditions, as numbers, at the point itself.

At a nearest point z of the target's region there are multipliers λ_j >= 0, one for each other class
j, with which z minimises, over the box,

    L(z') = ½ |z' - x|² - Σ λ_j (g_j + ∇g_j · (z' - z)),        Σ λ_j g_j = 0,

g_j being by how much the target leads class j beyond what is needed. Two numbers say how far this
is from true, whatever method found z:

    stationarity      sqrt(2 (L(z) - min L)) / |z - x|: on the pixels inside the box the length of
                      z - x - Σ λ_j ∇g_j, and what the others, held by the box, would gain
    complementarity   Σ λ_j g_j / |z - x|²: what is left of the way to the boundary

The λ are those that make the bound below best, among λ >= 0, so that a sign that is wrong shows in
the stationarity. For a linear network min L is a lower bound of every ½ |z' - x|² that succeeds, so
that no success is nearer than |z - x| · sqrt(1 - stationarity² - 2 · complementarity).
"""

import torch

from . import sqp
from .problem import BestPoints, Problem
from .status import Status

# The conditions hold within these: together 0.4 % of the distance, by the bound above. A gap within
# what is needed counts as none, and so does a pixel's rounding.
STATIONARITY = 0.05
COMPLEMENTARITY = 2.5e-3
ROWS = (1, sqp.LATE_ROWS)  # classes that may hold the image back: more where one does not do
ROUNDS = 5  # of Newton's method on the multipliers, whose sets of free pixels then rarely change


def residuals(x, z, pull, held):
    """(n,) stationarity and (n,) complementarity. x, z: (n, D); pull: (n, D) Σ λ_j ∇g_j; held: (n,)
    Σ λ_j g_j. In float64."""
    u = x + pull
    best = u.clamp(0, 1)
    # L(z') is ½ |z' - u|² but for a constant
    above = torch.linalg.vecdot(z - best, z + best - 2 * u).clamp_min(0)
    square = (z - x).square().sum(1).clamp_min(torch.finfo(x.dtype).tiny)
    return (above / square).sqrt(), held / square


def hold(problem: Problem, found: BestPoints, rows: torch.Tensor) -> torch.Tensor:
    """(n,) bool: whether the conditions, as noted in ``found``, hold for its points ``rows``."""
    z, needed = found.z[rows], problem.needed[rows]
    size = found.square[rows].sqrt()
    tiny = torch.finfo(z.dtype).tiny
    pixels = torch.finfo(problem.pixels or z.dtype).eps * torch.linalg.vector_norm(z, dim=1)
    lead = found.multiplier[rows] * needed
    still = found.stationarity[rows] <= STATIONARITY + pixels / size.clamp_min(tiny)
    tight = found.complementarity[rows].abs() <= COMPLEMENTARITY + lead / (size**2).clamp_min(tiny)
    return still & tight & (found.multiplier[rows] > 0)


@torch.no_grad()
def judge(problem: Problem, found: BestPoints, rows: torch.Tensor) -> torch.Tensor:
    """Measure the conditions at the points ``rows`` of ``found`` and note them there.

    One gradient for each image, and those of more classes for the images at which one does not do.
    Returns the rows at which they hold.
    """
    everything = rows
    for q in ROWS:
        if not len(rows) or _measure(problem, found, rows, q) < q:
            break  # with fewer classes than that, more are none
        rows = rows[~hold(problem, found, rows)]
    return everything[hold(problem, found, everything)]


def _measure(problem: Problem, found: BestPoints, rows: torch.Tensor, q: int) -> int:
    """The same with the ``q`` nearest classes; returns how many there were. Nothing is noted of
    images whose budget does not give these gradients."""
    some = problem.take(rows)
    here = sqp.linearise(some, found.z[rows], rows=q)
    refused = some.refused()
    if refused.any():
        left = (~refused).nonzero()[:, 0]
        rows, some, here = rows[left], some.take(left), here.take(left)
    found.evaluations[rows] += here.normals.shape[1]
    x, z, normals = some.x.double(), found.z[rows].double(), here.normals.double()
    gaps = here.nearest_gaps().double()
    multipliers = torch.zeros_like(gaps)
    offset = gaps - sqp.rows_times(normals, z)
    for _ in range(ROUNDS):
        u = x + sqp.transpose_times(normals, multipliers)
        point = u.clamp(0, 1)
        free = (point == u).to(u.dtype)
        hessian = torch.bmm(normals * free[:, None], normals.transpose(1, 2))
        right = sqp.rows_times(hessian, multipliers) - sqp.rows_times(normals, point) - offset
        multipliers = sqp.nonnegative_minimum(hessian, right)
    note(found, rows, x, z, sqp.transpose_times(normals, multipliers), multipliers, gaps)
    return here.normals.shape[1]


def note(found: BestPoints, rows, x, z, pull, multipliers, gaps) -> None:
    """Write what the multipliers (n, q) say of the points ``z`` into the ``rows`` of ``found``."""
    held = torch.linalg.vecdot(multipliers, gaps)
    still, tight = residuals(x, z, pull, held)
    found.stationarity[rows] = still.to(found.stationarity.dtype)
    found.complementarity[rows] = tight.to(found.complementarity.dtype)
    found.multiplier[rows] = multipliers.sum(1).to(found.multiplier.dtype)


def settle(problem: Problem, found: BestPoints) -> None:
    """Leave the status "settled" to the points at which the conditions hold, and give it to no
    other."""
    claimed = ((found.status == Status.SETTLED) & found.square.isfinite()).nonzero()[:, 0]
    found.status[claimed] = Status.ENDED
    found.status[judge(problem, found, claimed)] = Status.SETTLED
