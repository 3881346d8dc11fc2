"""The nearest image of a class for networks with kinks: averaged normals.

A network of rectified units and maxima is piecewise linear. At the nearest point of its boundary
many pieces meet, and x - z is a mixture of their normals. A single gradient there says little, and
a method that trusts it (quadratic programming, L-BFGS) stops at the first such crease. Here the
mixture is built up: the points are z = x + λ·n, cut to the box, with n a running average of the
gradients of the lead, and λ a multiplier that grows while the target falls short and shrinks while
it leads (dual averaging, Nesterov 2009, with a constraint). The weight of the newest gradient falls
linearly from 1 to almost 0: at first the points jump over creases and small hollows, at the end
they settle. Success at every point is checked, and the best one kept.
"""

import torch

from .problem import ROUNDS, BestPoints, Problem, finish
from .status import Status

STEPS = 100  # twice as many bring 0.1 % on FC100-100-10-ReLU, 0.7 % on CONV
PACE = 0.8  # of the multiplier: 1 is Newton's step for a linear network
LAST = 0.01  # the weight of the newest gradient at the end
AGAIN = 0.2  # and at the beginning of a second pass, if nothing else is said: it is to lose little
# Gradients that point anywhere have a short average, and a multiplier made from it has no limit.
FARTHER = 1.5  # a point is at most so much farther than the best one known
GROWTH = 2.0  # and, as long as none is known, than the largest before


@torch.no_grad()
def approach(
    problem: Problem,
    found: BestPoints,
    steps: int,
    again: bool = False,
    first_at: torch.Tensor | None = None,
    weight: torch.Tensor | float = AGAIN,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``steps`` gradients for every image, the best points noted in ``found``.

    again: a second pass, which begins at the points of ``found`` and not at the clean images; the
    average begins with their directions. weight: (N,), or one number, that of its first gradient
    beside these; 1 and more leave nothing of them. first_at: (N, D) where else a pass begins.
    Returns the last points (N, D) and multipliers (N,), those of 1/2 |z - x|² and the lead.
    """
    x = problem.x
    rows = torch.arange(len(x), device=x.device)
    tiny = torch.finfo(x.dtype).tiny
    z, mean = found.z if again else x, None
    z = z if first_at is None else first_at
    first = torch.as_tensor(weight, dtype=x.dtype, device=x.device).expand(len(x))[:, None]
    multiplier, farthest = x.new_zeros(len(x)), x.new_zeros(len(x))
    for step in range(steps):
        if problem.exhausted().all():
            break
        lead, normal = problem.lead_and_normal(z)
        found.note(x, rows, z, lead >= 0)
        left = 1 - step / steps
        if again:
            newest = (first * left + LAST).clamp(max=1)
        else:
            newest = min(max(left + LAST, 1 / (step + 1)), 1.0)
        if mean is None and again:
            multiplier = torch.linalg.vector_norm(z - x, dim=1)
            multiplier /= torch.linalg.vector_norm(normal, dim=1).clamp_min(tiny)
            mean = (z - x) / multiplier.clamp_min(tiny)[:, None]
        mean = normal if mean is None else mean.lerp_(normal, newest)
        u = x + multiplier[:, None] * mean
        inside = mean * ((u >= 0) & (u <= 1))
        along = torch.linalg.vecdot(inside, mean)
        # how fast the lead grows with λ; where the newest normal turns away, not slower than that
        rate = torch.maximum(torch.linalg.vecdot(inside, normal), 0.3 * along)
        multiplier = (multiplier - PACE * lead / rate.clamp_min(1e-9)).clamp_min(0)
        z = (x + multiplier[:, None] * mean).clamp_(0, 1)
        size = torch.linalg.vector_norm(z - x, dim=1)
        limit = torch.where(farthest > 0, GROWTH * farthest, torch.inf)
        limit = torch.where(found.square.isinf(), limit, FARTHER * found.square.sqrt())
        share = (limit / size.clamp_min(tiny)).clamp(max=1)
        multiplier, z = multiplier * share, torch.lerp(x, z, share[:, None])
        farthest = torch.maximum(farthest, share * size)
    found.evaluations += steps
    return z, multiplier


@torch.no_grad()
def solve(
    problem: Problem,
    steps: int = STEPS,
    start: BestPoints | None = None,
    first_at: torch.Tensor | None = None,
    weight: torch.Tensor | float = AGAIN,
    rounds: int = ROUNDS,
) -> BestPoints:
    """Nearest images by averaged normals: ``steps`` gradients each, then to the boundary.

    start: what another solver has found, where this one begins; it is left as it is. first_at,
    weight: as in :func:`approach`. rounds: of :func:`.problem.to_boundary`.
    """
    found = BestPoints.nothing(problem, Status.AVERAGED)
    if start is not None:
        found.z, found.square = start.z.clone(), start.square.clone()
    z, multiplier = approach(problem, found, steps, start is not None, first_at, weight)
    finish(problem, found, z, rounds)
    found.c = 1 / (2 * multiplier)
    return found
