"""The nearest image of a class by descent on |r| and the lead together, their weights a multiplier.

Other ways keep near the boundary once they have found it, and so to the hollow they came to. Here
the point moves under two forces, the pull back to the clean image and the gradient of the lead, and
what is adapted is their shares: that of the lead falls while the target leads and grows while it
falls short (primal-dual descent; Matyasko and Chau, "PDPGD", 2021). The steps are as long as the
distance itself at first, so that the point passes over many hollows before it settles in one, often
another one than the other ways', and from there quadratic programming goes on.
"""

import dataclasses

import torch

from .problem import BestPoints, Problem, finish
from .status import Status

FIRST, LAST = 1.0, 0.01  # length of a step, as a share of the distance that is known
MOMENTUM, SQUARES = 0.9, 0.999  # of the force and of its square, as in Adam
START = 4.6  # log-odds of the lead's share: at first it is nearly all
PACE = 0.1  # of the log-odds, and in the end a tenth of it
MEAN = 0.9  # of the share that is used, a running one: it changes its sign at the boundary
UNKNOWN = 0.03  # the distance where none is known, as an rms over the pixels
# Where gradients turn too quickly for long steps the points stay far from the boundary: an image
# whose nearest success at half the way is farther than so many times the known one is given up.
HOPELESS = 3.0


@dataclasses.dataclass(eq=False)
class _Descent:
    """The images that are under way. x, r, force: (n, D) clean images, changes and running forces;
    square: (n,) the running square of the force; odds, share: (n,) the lead's, the latter a running
    mean; scale: (n,) the length of the first gradient; far: (n,) the length of a long step."""

    x: torch.Tensor
    r: torch.Tensor
    force: torch.Tensor
    square: torch.Tensor
    odds: torch.Tensor
    share: torch.Tensor
    scale: torch.Tensor
    far: torch.Tensor

    @classmethod
    def start(cls, x: torch.Tensor, far: torch.Tensor) -> "_Descent":
        odds, zero = torch.full_like(far, START), torch.zeros_like
        scale = torch.full_like(far, torch.nan)
        return cls(x, zero(x), zero(x), zero(far), odds, odds.sigmoid(), scale, far)

    def take(self, rows: torch.Tensor) -> "_Descent":
        """The same for the images ``rows``."""
        return _Descent(*(value[rows] for value in vars(self).values()))

    def step(self, k: int, of: int, lead: torch.Tensor, normal: torch.Tensor) -> None:
        """Step ``k`` of ``of``. lead: (n,) at x + r; normal: (n, D) its gradient."""
        tiny = torch.finfo(self.x.dtype).tiny
        if k == 0:  # that of the logits must not matter
            self.scale = torch.linalg.vector_norm(normal, dim=1).clamp_min(tiny)
        size = torch.linalg.vector_norm(self.r, dim=1).clamp_min(tiny)
        pull = self.r * ((1 - self.share) / size)[:, None]
        pull -= normal.nan_to_num(0.0) * (self.share / self.scale)[:, None]
        self.force.lerp_(pull, 1 - MOMENTUM)
        self.square.lerp_(torch.linalg.vecdot(pull, pull), 1 - SQUARES)
        root = (self.square / (1 - SQUARES ** (k + 1))).sqrt().clamp_min(tiny)
        length = self.far * FIRST * (LAST / FIRST) ** (k / of) / root
        self.r -= (length / (1 - MOMENTUM ** (k + 1)))[:, None] * self.force
        self.r = (self.x + self.r).clamp_(0, 1) - self.x
        self.odds += PACE * (1 - 0.9 * k / of) * torch.where(lead >= 0, -1.0, 1.0)
        self.share.lerp_(self.odds.sigmoid(), 1 - MEAN)


@torch.no_grad()
def solve(problem: Problem, steps: int, far: torch.Tensor | None = None) -> BestPoints:
    """Nearest images by ``steps`` gradients each, then to the boundary; by half as many where the
    points stay far from it (:data:`HOPELESS`).

    far: (N,) the distances that are known, infinite where none is; None if none is at all.
    """
    x = problem.x
    found = BestPoints.nothing(problem, Status.AVERAGED)
    far = x.new_full((len(x),), torch.inf) if far is None else far
    unknown = UNKNOWN * x.shape[1] ** 0.5
    going = _Descent.start(x, torch.where(far.isfinite(), far, unknown))
    rows, some, ends = torch.arange(len(x), device=x.device), problem, x.clone()
    for k in range(steps):
        if k == steps // 2:
            ends[rows] = going.x + going.r
            near = (found.square[rows].sqrt() <= HOPELESS * far[rows]).nonzero()[:, 0]
            rows, some, going = rows[near], some.take(near), going.take(near)
        if some.exhausted().all():
            break
        z = going.x + going.r
        lead, normal = some.lead_and_normal(z)
        found.note(x, rows, z, lead >= 0)
        found.evaluations[rows] += 1
        going.step(k, steps, lead, normal)
    ends[rows] = going.x + going.r
    finish(problem, found, ends)
    return found
