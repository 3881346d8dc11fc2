"""Adversarial images that a file of eight bits can hold."""

import dataclasses

import torch

from . import averaging
from .problem import MEASURED, BestPoints, Problem
from .status import Status


@torch.no_grad()
def rounded(problem: Problem, found: BestPoints, steps: int) -> BestPoints:
    """The points rounded to multiples of 1/255 and still successes, by two ways.

    A point that does not survive rounding is moved along its ray by 1 %, 2 %, 4 % ... and rounded
    again; if none of these does, the image is attacked again with a larger lead to lose, by
    averaged normals of ``steps`` gradients. Those that no way leads to have failed.
    """
    best = dataclasses.replace(
        found,
        z=problem.x.clone(),
        square=torch.full_like(found.square, torch.inf),
        status=torch.full_like(found.status, Status.FAILED),
        evaluations=found.evaluations.clone(),
        **{name: torch.full_like(found.square, torch.nan) for name in MEASURED},
    )

    def attempt(rows, points, status):
        some = problem.take(rows)
        points = (points.clamp(0, 1) * 255).round() / 255
        success = some.lead(points) >= 0
        best.note(problem.x, rows, points, success)
        best.status[rows[success]] = status[success]
        return rows[~success]

    left = found.square.isfinite().nonzero()[:, 0]
    for t in (1.0, *(1 + 0.01 * 2**k for k in range(5))):
        points = torch.lerp(problem.x[left], found.z[left], t)
        left = attempt(left, points, found.status[left])
    gap = problem.lead(problem.x).abs()
    for share in (0.01, 0.03, 0.1, 0.3):
        if not len(left):
            break
        harder = problem.take(left)
        harder.needed = harder.needed + share * gap[left]
        again = averaging.solve(harder, steps)
        best.evaluations[left] += again.evaluations
        left = attempt(left, again.z, again.status)
    return best
