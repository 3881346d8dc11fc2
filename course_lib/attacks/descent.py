"""The nearest image of a class where gradients turn quickly: steps of a fixed length, on a sphere.

Where the gradient at a point says little of that at the next, its length says nothing either: a
multiplier that is made from it (:mod:`.averaging`, :mod:`.sqp`) can send an image across the box.
Here only the direction of the lead's gradient counts. The point goes a step along it, and back to a
sphere around the clean image, whose radius shrinks after a success and grows after a failure: the
direction and the size of the change are looked for apart (Rony et al., "Decoupling Direction and
Norm", CVPR 2019). The steps, relative to the radius, fall with the cosine of that paper, and so
does the share by which the radius changes once something was found.
"""

import math

import torch

from .problem import BestPoints, Problem, finish
from .status import Status

STEPS = 100
CHANGE = 0.1  # of the radius, as a share
SLOWLY = 0.025  # the same, from the start, where a radius that grew soon lost sight of the target
MOMENTUM = 0.5  # of the directions: without it two classes in turn can hold an image between them
END = 0.01  # of the step, and 10 times this of the change, is left in the end
FARTHEST = 0.03  # first radius, as an rms over the pixels: a weak gradient promises any distance


@torch.no_grad()
def solve(
    problem: Problem,
    steps: int = STEPS,
    growth: torch.Tensor | float = CHANGE,
    start: BestPoints | None = None,
) -> BestPoints:
    """Nearest images by ``steps`` normalised gradients each, then to the boundary.

    growth: (N,), or one number, by which share a step the radius grows as long as there is no
    success. start: what another solver has found, where this one begins; it is left as it is.
    """
    x = problem.x
    found = BestPoints.nothing(problem, Status.AVERAGED)
    if start is not None:
        found.z, found.square = start.z.clone(), start.square.clone()
    rows = torch.arange(len(x), device=x.device)
    r, direction, radius = found.z - x, None, None
    tiny = torch.finfo(x.dtype).tiny
    for step in range(steps):
        if problem.exhausted().all():
            break
        lead, normal = problem.lead_and_normal(x + r)
        success, size = lead >= 0, torch.linalg.vector_norm(r, dim=1)
        found.note(x, rows, x + r, success)
        length = torch.linalg.vector_norm(normal, dim=1).clamp_min(tiny)
        unit = normal.nan_to_num(0.0) / length[:, None]
        direction = unit if direction is None else direction.lerp_(unit, 1 - MOMENTUM)
        share = END + (1 - END) * (1 + math.cos(math.pi * step / steps)) / 2
        if radius is None:
            radius = (-lead / length).nan_to_num(1.0).clamp(1e-6, FARTHEST * x.shape[1] ** 0.5)
            radius = torch.where(found.square.isfinite(), (1 - CHANGE) * size, radius)
        else:
            known = found.square.isfinite()
            change = torch.where(known, CHANGE * max(share, 10 * END), growth)
            inward = torch.minimum(size, radius) * (1 - change)
            radius = torch.where(success, inward, radius * (1 + change))
            radius = torch.minimum(radius, found.square.sqrt())
        way = torch.linalg.vector_norm(direction, dim=1).clamp_min(tiny)
        r = r + (share * radius / way)[:, None] * direction
        r *= (radius / torch.linalg.vector_norm(r, dim=1).clamp_min(tiny))[:, None]
        r = (x + r).clamp_(0, 1) - x
    found.evaluations += steps
    finish(problem, found, x + r)
    return found
