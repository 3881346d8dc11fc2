"""The nearest image of a class by descent on |r| and the lead together, their weights a multiplier.

Other ways keep near the boundary once they have found it, and so to the hollow they came to. Here
the point moves under two forces, the pull back to the clean image and the gradient of the lead, and
what is adapted is their shares: that of the lead falls while the target leads and grows while it
falls short (primal-dual descent; Matyasko and Chau, "PDPGD", 2021). The steps are as long as the
distance itself at first, so that the point passes over many hollows before it settles in one, often
another one than the other ways', and from there quadratic programming goes on.
"""

import torch

from .problem import BestPoints, Problem, finish
from .status import Status

FIRST, LAST = 1.0, 0.01  # length of a step, as a share of the distance that is known
MOMENTUM, SQUARES = 0.9, 0.999  # of the force and of its square, as in Adam
START = 4.6  # log-odds of the lead's share: at first it is nearly all
PACE = 0.1  # of the log-odds, and in the end a tenth of it
MEAN = 0.9  # of the share that is used, a running one: it changes its sign at the boundary
UNKNOWN = 0.03  # the distance where none is known, as an rms over the pixels


@torch.no_grad()
def solve(problem: Problem, steps: int, far: torch.Tensor | None = None) -> BestPoints:
    """Nearest images by ``steps`` gradients each, then to the boundary.

    far: (N,) the distances that are known, infinite where none is; None if none is at all.
    """
    x = problem.x
    found = BestPoints.nothing(problem, Status.AVERAGED)
    rows = torch.arange(len(x), device=x.device)
    tiny = torch.finfo(x.dtype).tiny
    far = x.new_full((len(x),), torch.inf) if far is None else far
    far = torch.where(far.isfinite(), far, UNKNOWN * x.shape[1] ** 0.5)
    odds = x.new_full((len(x),), START)
    share, scale = odds.sigmoid(), None
    r, force, square = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(odds)
    for step in range(steps):
        if problem.exhausted().all():
            break
        lead, normal = problem.lead_and_normal(x + r)
        success = lead >= 0
        found.note(x, rows, x + r, success)
        if scale is None:  # that of the logits must not matter
            scale = torch.linalg.vector_norm(normal, dim=1).clamp_min(tiny)
        size = torch.linalg.vector_norm(r, dim=1).clamp_min(tiny)
        pull = r * ((1 - share) / size)[:, None]
        pull -= normal.nan_to_num(0.0) * (share / scale)[:, None]
        force.lerp_(pull, 1 - MOMENTUM)
        square.lerp_(torch.linalg.vecdot(pull, pull), 1 - SQUARES)
        root = (square / (1 - SQUARES ** (step + 1))).sqrt().clamp_min(tiny)
        length = far * FIRST * (LAST / FIRST) ** (step / steps) / root
        r -= (length / (1 - MOMENTUM ** (step + 1)))[:, None] * force
        r = (x + r).clamp_(0, 1) - x
        odds += PACE * (1 - 0.9 * step / steps) * torch.where(success, -1.0, 1.0)
        share.lerp_(odds.sigmoid(), 1 - MEAN)
    found.evaluations += steps
    finish(problem, found, x + r)
    return found
