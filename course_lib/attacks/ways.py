"""The ways in which an image is attacked when quadratic programming does not settle soon.

They come to different hollows: normalised steps (:mod:`.descent`), which need no gradient of the
right length, averaged normals (:mod:`.averaging`), which need gradients that have something in
common, and the paper's own method (:mod:`.penalty`). Averaged normals can begin anew elsewhere, and
between two ends, and lead quadratic programming to other hollows. Which image gets which of them,
and when, is said in :mod:`.turns`.
"""

import dataclasses

import torch

from .. import device as devices
from . import averaging, descent, losses, penalty
from .problem import BestPoints, Problem

LONG = 2  # times the gradients of another way: the paper's method searches for its c with them, and
# gradients that turn quickly want many of them
# Averaged normals from elsewhere: how far away the first gradient is taken, in units of the known
# distance. Near by, there is another mixture of the same normals; from far away another hollow.
NEAR_BY, FAR_AWAY = 0.5, 3.0
# Gradients of a beginning that quadratic programming goes on from, and about as many as that takes.
BRIEF, FOLLOWED = 20, 40
OPPOSITE = 1e-3  # two directions whose sum is not longer have no mean


@dataclasses.dataclass(eq=False)
class Known:
    """N images, and what is known of them. clean: (N, classes) their logits; steps: the gradients
    of one way; found: the nearest points; ends, points: (2, N) and (2, N, D) the two smallest
    |z - x|² that different ways have ended at, infinite where there is none yet, and where; None
    where no ways are compared."""

    problem: Problem
    clean: torch.Tensor
    steps: int
    found: BestPoints
    ends: torch.Tensor | None = None
    points: torch.Tensor | None = None

    def take(self, rows: torch.Tensor) -> "Known":
        """The same for the images ``rows``."""
        problem, clean, found = self.problem.take(rows), self.clean[rows], self.found.take(rows)
        return Known(problem, clean, self.steps, found, self.ends[:, rows], self.points[:, rows])

    def distances(self) -> torch.Tensor:
        """(N,) those of the nearest points."""
        return self.found.square.sqrt()


def normalised(known: Known) -> BestPoints:
    """Normalised steps."""
    return descent.solve(known.problem, known.steps)


def more_steps(known: Known) -> BestPoints:
    """More normalised steps, and shorter ones; where nothing is known, not far from the image."""
    reached = known.found.square.isfinite()
    growth = torch.where(reached, descent.CHANGE, descent.SLOWLY)
    return descent.solve(known.problem, LONG * known.steps, growth)


def averaged(known: Known) -> BestPoints:
    """Averaged normals, from the clean images."""
    return averaging.solve(known.problem, known.steps)


def aside(known: Known, numbers: range, share: float) -> torch.Tensor:
    """(len(numbers) · N, D) points aside of the clean images, ``share`` of the known distances away
    in the random directions of these ``numbers``, the same for all images, and cut to the box;
    those of the first number first."""
    x = known.problem.x
    drawn = [torch.randn(x.shape[1], generator=devices.generator(k)) for k in numbers]
    ways = torch.stack([v / torch.linalg.vector_norm(v) for v in drawn]).to(x)
    far = share * known.distances()
    return (x + far[:, None] * ways[:, None]).flatten(0, 1).clamp_(0, 1)


def elsewhere(known: Known, numbers: range) -> BestPoints:
    """Averaged normals whose first gradient is taken aside: near by for number 0, and far away for
    the others.

    At once, as a network takes less time for each of many images: len(numbers) · N points, those of
    the first number first.
    """
    first_at = torch.cat(
        [aside(known, range(k, k + 1), FAR_AWAY if k else NEAR_BY) for k in numbers]
    )
    return averaging.solve(_repeated(known, numbers), known.steps, first_at=first_at)


def brief(known: Known, numbers: range) -> BestPoints:
    """A few averaged normals whose first gradient is taken far away, as :func:`elsewhere`: what
    they come to is for quadratic programming to go on from, each time to another hollow."""
    first_at = aside(known, numbers, FAR_AWAY)
    return averaging.solve(_repeated(known, numbers), BRIEF, first_at=first_at)


def _repeated(known: Known, numbers: range) -> Problem:
    """The problems once for each of ``numbers``."""
    rows = torch.arange(len(known.problem), device=known.problem.x.device)
    return known.problem.take(rows.repeat(len(numbers)))


def between(known: Known) -> BestPoints:
    """Averaged normals from between the two nearest ends: in their mean direction, as far away as
    the nearest known point, cut to the box. The end is never farther than that point.

    Each end is a mixture of normals that chance has had a part in; their mean has less of it. How
    much the newest gradient counts at first is how far apart the two directions lie, at most 1: of
    two ends of one hollow the mean is to be made a little better, else it is a beginning. From the
    nearest known point where there are no two ends.
    """
    x, tiny = known.problem.x, torch.finfo(known.problem.x.dtype).tiny
    directions = known.points - x
    sizes = torch.linalg.vector_norm(directions, dim=2, keepdim=True).clamp_min(tiny)
    directions = directions / sizes
    mean = directions.sum(0)
    size = torch.linalg.vector_norm(mean, dim=1)
    two = known.ends.isfinite().all(0) & (size > OPPOSITE)
    mean *= (known.distances() / size.clamp_min(tiny))[:, None]
    first_at = torch.where(two[:, None], (x + mean).clamp_(0, 1), known.found.z)
    apart = torch.linalg.vector_norm(directions[1] - directions[0], dim=1)
    weight = torch.where(two, apart, 0.0).clamp(averaging.AGAIN, 1)
    return averaging.solve(known.problem, known.steps, known.found, first_at, weight)


def papers(known: Known) -> BestPoints:
    """The paper's method, every success on its way kept."""
    paper = losses.faithful(known.clean, known.problem.targets)
    return penalty.solve(known.problem, paper, polish=True, budget=LONG * known.steps)


# Of ``steps`` gradients that a way takes; the others take one (the paper's has a limit of its own).
PASSES = {more_steps: LONG}
