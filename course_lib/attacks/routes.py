"""The nearest image of a class, and which classes of an image are worth an attack.

Quadratic programming first (:mod:`.sqp`): where it settles soon there is nothing better. Where it
does not, because the network is rough there or bends many times on the way, there are hollows, and
what a search finds is that of its own: such images are attacked in other ways (:mod:`.turns`). For
any class the classes are compared by their first distances, and looked at again where these are not
to be trusted.
"""

import dataclasses

import torch

from . import averaging, conditions, descent, losses, penalty, sqp
from .measures import all_targets
from .problem import BestPoints, Problem
from .status import Status
from .turns import ONWARD, SPENT, STAGES, by_turns, in_stages, onward
from .ways import Known, papers

# Quadratic programming that settles only after so many gradients has had creases in its way, and
# may have settled at the first hollow: the other ways are asked, too, and the nearest one kept.
SLOW = 60
ROUGHLY = 2  # rounds to the boundary for a distance that is wanted within some per cent
NEAR = 1.25  # which classes are attacked in full, in units of the nearest: see near()
CANDIDATES = 10  # classes of an image that are looked at at all: all of ten
RANKED = 2 * CANDIDATES  # and those with the largest logits, whose gradients choose them
FIRST = 10  # gradients of an image with a budget before its classes are compared


@torch.no_grad()
def targeted(problem: Problem, clean: torch.Tensor, steps: int) -> BestPoints:
    """The nearest points of the targets. clean: (N, classes) the logits of the images; steps: the
    gradients of one pass of the later ways."""
    hesitant = torch.zeros(len(problem), dtype=torch.bool, device=problem.x.device)
    # who counts gradients wants a good answer at any time; who does not wants the nearest
    staged = torch.zeros_like(hesitant)
    misled = None if problem.meter is None else staged
    found = sqp.solve(problem, hesitant=hesitant, misled=misled)
    quick = in_stages(problem, found, staged)
    conditions.settle(problem, found)
    settled = (found.status == Status.SETTLED) & found.square.isfinite()
    left = ~(settled & (found.evaluations <= SLOW)) & ~problem.exhausted()
    left = left.nonzero()[:, 0]
    by_turns(problem, clean, steps, found, left, hesitant, staged, quick)
    for make in (losses.sharpened, losses.faithful):  # the last is the paper's own
        lost = (~found.square.isfinite() & ~problem.exhausted()).nonzero()[:, 0]
        if not len(lost):
            break
        rest = problem.take(lost)
        one = penalty.solve(rest, make(clean[lost], rest.targets), polish=True)
        found.merge(lost, one)
        onward(rest, found, lost)
    return found


@torch.no_grad()
def candidates(problem: Problem, clean: torch.Tensor, every: bool = False) -> torch.Tensor:
    """(N, k) the classes that can be the nearest mistakes of ``problem``, whose targets are the
    labels: all others if these are few, else those whose planes are the nearest.

    clean: (N, classes) logits of the images; every: all others, however many. Of many classes only
    those with the largest logits are looked at: one far behind would need a far larger gradient.
    """
    few = clean.shape[1] - 1
    if every or few <= CANDIDATES:
        return all_targets(problem.targets, clean.shape[1])
    return _by_distance(problem, clean, min(RANKED, few))[:, :CANDIDATES]


def _by_distance(problem: Problem, clean, k: int) -> torch.Tensor:
    """(N, k) the classes with the ``k`` largest logits beside the label's, those first whose planes
    are the nearest: of the gaps linearised at the images (DeepFool's; Moosavi-Dezfooli et al., CVPR
    2016). A gradient for each."""
    others = clean.scatter(1, problem.targets[:, None], -torch.inf)
    classes, far = others.topk(k, dim=1)[1], []
    for gap, normal in problem.gaps_and_normals(problem.x, classes):
        length = torch.linalg.vector_norm(normal, dim=1)
        far.append(gap / length.clamp_min(torch.finfo(gap.dtype).tiny))
    order = torch.stack(far, 1).nan_to_num(torch.inf).argsort(1)
    return classes.gather(1, order)


@torch.no_grad()
def soon(problem: Problem, clean: torch.Tensor) -> None:
    """First mistakes of any class, for small budgets: what is found is for the meter to keep.

    problem: one with ``away``, metered; clean: (N, classes) logits of its images. Some gradients
    away from the label, some for the class whose plane is the nearest, and onward from there; where
    that is led astray, by normalised steps away from the label and by averaged normals: its classes
    one after the other would take too many gradients.
    """
    rows = torch.arange(len(problem), device=problem.x.device)
    found = averaging.solve(problem, FIRST)
    k = min(sqp.FIRST - 1, clean.shape[1] - 1)
    one = problem.for_each(_by_distance(problem, clean, k)[:, :1])
    found.merge(rows, averaging.solve(one, FIRST))
    one, misled = _to_other(problem, found), torch.zeros_like(rows, dtype=torch.bool)
    found.merge(rows, sqp.solve(one, ONWARD, start=found.z, misled=misled))
    rows = misled.nonzero()[:, 0]
    if len(rows):
        some = problem.take(rows)
        found.merge(rows, descent.solve(some, STAGES[-1], start=found.take(rows)))
        found.merge(rows, averaging.solve(some))
        best = found.take(rows)
        onward(_to_other(some, best), best, torch.arange(len(rows), device=rows.device))


def _to_other(problem: Problem, found: BestPoints) -> Problem:
    """``problem`` with the other class that leads at the points of ``found`` as its target."""
    return problem.for_each(problem.best_other(found.z)[:, None])


def in_pieces(solve, problem: Problem, size: int) -> BestPoints:
    """``solve(problem)``, for at most ``size`` images at a time."""
    if len(problem) <= size:
        return solve(problem)
    found = BestPoints.nothing(problem, Status.FAILED)
    for rows in torch.arange(len(problem), device=problem.x.device).split(size):
        found.merge(rows, solve(problem.take(rows)))
    return found


@dataclasses.dataclass(eq=False)
class Compared:
    """What a first look at the classes of N images has shown, ``others`` problems for each. far:
    (N · others,) their distances, as far as they are known; left: (N · others,) bool, which can be
    their image's nearest; spent: (N · others,) the gradients of this look."""

    others: int
    far: torch.Tensor
    left: torch.Tensor
    spent: torch.Tensor

    def of_image(self, values: torch.Tensor) -> torch.Tensor:
        """``values`` (N · others,), a row for each image."""
        return values.unflatten(0, (-1, self.others))

    def for_each(self, values: torch.Tensor) -> torch.Tensor:
        """``values`` (N,) of the images, for each of their classes."""
        return values.repeat_interleave(self.others)

    def look(self, problem: Problem, steps: int, times: float, size: int) -> None:
        """Some steps of averaged normals for the classes that are left, where these are several;
        those within so many ``times`` the least are left then, and those that were not reached."""
        several = self.for_each(self.of_image(self.left).sum(1) > 1)
        rows = (self.left & several).nonzero()[:, 0]
        if not len(rows):
            return
        some = problem.take(rows)
        first = in_pieces(lambda one: averaging.solve(one, steps, rounds=ROUGHLY), some, size)
        self.far[rows] = first.square.sqrt()
        self.spent[rows] += first.evaluations
        least = self.for_each(self.of_image(self.far).amin(1))
        self.left &= (self.far <= times * least) | self.far.isinf()


def near(problem: Problem, others: int, size: int, among: int) -> Compared:
    """Which of each image's classes can be its nearest.

    A few steps of averaged normals bring all of them within some per cent of their distance
    (on the networks here: the nearest one within 7 % of the least); only those within 25 % of
    the least are attacked in full. A class that was not reached stays in. size: images at a time.
    among: how many other classes the network has. Where ``others`` were chosen among more, most of
    them are far behind, which half of the steps show, and the choice counts as part of the passes.
    """
    seen = Compared(
        others,
        torch.full_like(problem.needed, torch.inf),
        torch.ones_like(problem.targets, dtype=torch.bool),
        torch.zeros_like(problem.targets),
    )
    if among > others:
        seen.spent[::others] += min(RANKED, among)
        seen.look(problem, sqp.FIRST // 2, NEAR**2, size)
    seen.look(problem, sqp.FIRST, NEAR, size)
    if among > others:
        problem.before += seen.of_image(seen.spent).sum(1)
    return seen


@torch.no_grad()
def look_again(problem, clean, steps: int, found: BestPoints, seen: Compared, size: int) -> None:
    """Change ``found`` where a class that was left out, left early or led astray is the nearest.

    On a network that bends quickly the first distances of the classes are far too large, and by
    very different shares: that of the nearest may be twice what it is. Such an image shows by its
    nearest class, which quadratic programming does not settle soon. Its other classes that did not
    settle soon then get the paper's method, which asks for nothing but descent from the clean image
    and so depends on no first distance; those that come near go on from there. A network of linear
    pieces is left alone: there it is the creases that quadratic programming does not settle on; and
    so is an image that has cost much already (:data:`.turns.SPENT`).

    clean: (N · others, classes) logits; steps: as in :func:`targeted`; seen: of :func:`near`; size:
    images at a time.
    """
    first = seen.others * torch.arange(len(problem) // seen.others, device=problem.x.device)
    nearest = seen.of_image(found.square).argmin(1) + first
    settled = found.status == Status.SETTLED
    soon = settled & (found.evaluations - seen.spent <= SLOW)
    cheap = seen.of_image(found.evaluations).sum(1) < SPENT * steps
    again = seen.for_each(~soon[nearest] & cheap) & ~soon & ~problem.exhausted()
    again[nearest] = False
    best = seen.for_each(found.square[nearest])
    rows = again.nonzero()[:, 0]
    if not len(rows) or not problem.take(rows[:1]).curved(found.z[rows[:1]]):
        return
    for some in rows.split(size):
        rest = problem.take(some)
        one = papers(Known(rest, clean[some], steps, found.take(some)))
        close = (one.square <= sqp.BEHIND**2 * best[some]).nonzero()[:, 0]
        onward(rest.take(close), one, close, rival=best[some[close]])
        found.merge(some, one)
