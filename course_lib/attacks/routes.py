"""The nearest image of a class by several ways in turn, and which classes are worth one.

Quadratic programming first (:mod:`.sqp`): where it settles soon there is nothing better. Where it
does not, because the network is rough there or bends many times on the way, there are hollows, and
what a search finds is that of its own. So the image is attacked in other ways, which come to other
hollows: normalised steps (:mod:`.descent`), which need no gradient of the right length, averaged
normals (:mod:`.averaging`), which need gradients that have something in common, descent with long
steps (:mod:`.primal_dual`), which passes over hollows, a second pass of small steps from the
nearest point, and the paper's own method (:mod:`.penalty`) where all this has cost little. From the
end of each quadratic programming goes on by itself: which hollow is the deepest shows at its bottom
only. Once two ways have come to the same distance the rest is left out. Quadratic programming whose
steps are refused again and again is left early: normalised steps then tell whether it was worth
going on with. Where they come much nearer, gradients turn too quickly for it: more of them is what
helps. For any class the classes are compared by their first distances, and looked at again where
these are not to be trusted. What decides is how the image at hand behaved, not what layers there
are.
"""

import dataclasses

import torch

from . import averaging, conditions, descent, losses, penalty, primal_dual, sqp
from .measures import all_targets
from .problem import BestPoints, Problem
from .status import Status

# Quadratic programming that settles only after so many gradients has had creases in its way, and
# may have settled at the first hollow: the other ways are asked, too, and the nearest one kept.
SLOW = 60
LONG = 2  # times the gradients of another way: the paper's method searches for its c with them,
# descent with long steps wants many of them, and so do gradients that turn quickly
WORTH = 1.02  # a class this much farther than the nearest one known is not attacked in more ways
# passes (of ``steps`` gradients) after which an image is not worth the paper's method too; and, for
# any class, where others of its classes have been attacked as well, no further way
DEAR, SPENT = 5, 6
ONWARD = 20  # iterations from the end of a way: it is near a bottom, or on a crease
FAR = 2.0  # a way that ends so many times as far as the nearest known point is not followed on
ROUGH = 1.05  # see by_turns()
SAME = 3e-4  # two ways whose distances agree within this share have come to the same place
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
    found = sqp.solve(problem, hesitant=hesitant)
    conditions.settle(problem, found)
    settled = (found.status == Status.SETTLED) & found.square.isfinite()
    left = ~(settled & (found.evaluations <= SLOW)) & ~problem.exhausted()
    left = left.nonzero()[:, 0]
    by_turns(problem, clean, steps, found, left, hesitant)
    for make in (losses.sharpened, losses.faithful):  # the last is the paper's own
        lost = (~found.square.isfinite() & ~problem.exhausted()).nonzero()[:, 0]
        if not len(lost):
            break
        rest = problem.take(lost)
        one = penalty.solve(rest, make(clean[lost], rest.targets), polish=True)
        found.merge(lost, one)
        onward(rest, found, lost)
    return found


def normalised(problem: Problem, _clean, steps: int, _known: BestPoints) -> BestPoints:
    """Normalised steps."""
    return descent.solve(problem, steps)


def papers(problem: Problem, clean, steps: int, _known: BestPoints) -> BestPoints:
    """The paper's method, every success on its way kept."""
    paper = losses.faithful(clean, problem.targets)
    return penalty.solve(problem, paper, polish=True, budget=LONG * steps)


def averaged(problem: Problem, _clean, steps: int, _known: BestPoints) -> BestPoints:
    """Averaged normals, from the clean images."""
    return averaging.solve(problem, steps)


def long_steps(problem: Problem, _clean, steps: int, known: BestPoints) -> BestPoints:
    """Primal-dual descent, with steps of the length that is known."""
    return primal_dual.solve(problem, LONG * steps, known.square.sqrt())


def small_steps(problem: Problem, _clean, steps: int, known: BestPoints) -> BestPoints:
    """Averaged normals once more, from the nearest points that are known."""
    return averaging.solve(problem, steps, start=known)


def more_steps(problem: Problem, _clean, steps: int, _known: BestPoints) -> BestPoints:
    """More normalised steps, and shorter ones."""
    return descent.solve(problem, LONG * steps)


PASSES = {long_steps: LONG, more_steps: LONG}  # of ``steps`` gradients; the others have one
FIRST_WAY = normalised
WAYS = (averaged, long_steps, small_steps, papers)
ROUGH_WAYS = (more_steps,)


@dataclasses.dataclass(eq=False)
class _Turns:
    """What the ways have come to. problem, clean, steps, found: as in :func:`by_turns`; ends:
    (2, N) the two smallest |z - x|² of different ways, infinite where there is none yet."""

    problem: Problem
    clean: torch.Tensor
    steps: int
    found: BestPoints
    ends: torch.Tensor

    def spent(self) -> torch.Tensor:
        """(N,) the gradients that each image has had, for all of its classes together."""
        gradients, image = self.found.evaluations, self.problem.image
        if image is None:
            return gradients
        return self.problem.before.scatter_add(0, image, gradients)[image]

    def worth(self, way, rows: torch.Tensor, passes: int = 0) -> torch.Tensor:
        """Those of the images ``rows`` that are worth this way; passes: what they have had and is
        not counted yet."""
        worth = self.problem.take(rows).within(self.found.square[rows], WORTH)
        spent = self.spent()[rows] / self.steps + passes
        if way is papers:
            worth &= spent < DEAR
        elif self.problem.image is not None:
            worth &= spent + PASSES.get(way, 1) <= SPENT
        return rows[worth]

    def keep(self, rows: torch.Tensor, one: BestPoints) -> torch.Tensor:
        """Take over what one way has found for the images ``rows``; those that another may bring
        nearer."""
        self.ends[:, rows] = torch.cat([self.ends[:, rows], one.square[None]]).sort(0)[0][:2]
        self.found.merge(rows, one)
        two = self.ends[:, rows].sqrt()
        apart = (two[1] > (1 + SAME) * two[0]) | two[1].isinf()
        return rows[apart & ~self.problem.take(rows).exhausted()]

    def follow(self, rows: torch.Tensor, one: BestPoints, which: torch.Tensor) -> None:
        """From the ends of one way for the images ``rows[which]`` to nearest points."""
        known = self.found.square[rows]
        which = which[one.square[which] <= FAR**2 * known[which]]
        onward(self.problem.take(rows[which]), one, which, rival=known[which])

    def attack(self, way, rows: torch.Tensor) -> BestPoints:
        """What one way finds for the images ``rows``."""
        return way(self.problem.take(rows), self.clean[rows], self.steps, self.found.take(rows))

    def program(self, rows: torch.Tensor) -> None:
        """Go on with the quadratic programming of the images ``rows``, where it was left."""
        more = sqp.ITERATIONS - sqp.HESITANT
        onward(self.problem.take(rows), self.found, rows, more)
        settled = self.found.status[rows] == Status.SETTLED
        self.ends[0, rows] = torch.where(settled, self.found.square[rows], torch.inf)

    def go(self, way, rows: torch.Tensor) -> torch.Tensor:
        """Attack the images ``rows`` in one way; those of them that another may bring nearer."""
        rows = self.worth(way, rows)
        if not len(rows):
            return rows
        one = self.attack(way, rows)
        self.follow(rows, one, torch.arange(len(rows), device=rows.device))
        return self.keep(rows, one)

    def first(self, rows: torch.Tensor, hesitant: torch.Tensor) -> list[torch.Tensor]:
        """Attack the images ``rows`` in the first way. Which of them are to be attacked in more
        ways: those where quadratic programming does well, and those where it was led astray.

        Where it was left early, ``hesitant`` (N,), it goes on if it is not known yet: it is behind,
        but not by so much that it could not catch up.
        """
        rows = self.worth(FIRST_WAY, rows)
        if not len(rows):
            return [rows, rows]
        one, before = self.attack(FIRST_WAY, rows), self.found.square[rows]
        again = hesitant[rows] & (before > ROUGH**2 * one.square) & (before <= FAR**2 * one.square)
        again = again.nonzero()[:, 0]
        if len(again):
            self.program(rows[again])
            before = self.found.square[rows]
        rough = before > ROUGH**2 * one.square
        more = [self.worth(way, rows[rough], PASSES.get(FIRST_WAY, 1)) for way in ROUGH_WAYS[:1]]
        over = ~torch.isin(rows, torch.cat(more)) if more else torch.ones_like(rough)
        self.follow(rows, one, over.nonzero()[:, 0])  # the others go on from the end of the next
        left = torch.isin(rows, self.keep(rows, one))
        return [rows[left & ~rough], rows[left & rough]]


def by_turns(problem, clean, steps: int, found: BestPoints, rows, hesitant) -> None:
    """Attack the images ``rows`` in the :data:`WAYS`, one after the other, and change ``found``,
    which has what quadratic programming has come to; ``hesitant`` (N,): where it was left early.

    An image is left alone once its two nearest points, of two ways, are equally far; quadratic
    programming was one if it has settled, else its end is where the others begin to refine. Where
    quadratic programming was led astray, farther than plain normalised steps by :data:`ROUGH`, a
    gradient says little of its surroundings: there only ways with many steps lead on.
    """
    ends = found.square.new_full((2, len(problem)), torch.inf)
    ends[0] = torch.where(found.status == Status.SETTLED, found.square, torch.inf)
    turns = _Turns(problem, clean, steps, found, ends)
    for ways, some in zip((WAYS, ROUGH_WAYS), turns.first(rows, hesitant), strict=True):
        for way in ways:
            some = turns.go(way, some)


def onward(
    problem: Problem,
    found: BestPoints,
    rows: torch.Tensor,
    iterations: int = ONWARD,
    rival: torch.Tensor | None = None,
) -> None:
    """From the points of ``found`` for ``problem``, its ``rows``, to nearest ones, if possible;
    rival: as in :func:`.sqp.solve`."""
    won = (found.square[rows].isfinite() & ~problem.exhausted()).nonzero()[:, 0]
    if len(won):
        some, rival = problem.take(won), None if rival is None else rival[won]
        again = sqp.solve(some, iterations, start=found.z[rows[won]], rival=rival)
        conditions.settle(some, again)
        found.merge(rows[won], again)


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
    away from the label, some for the class whose plane is the nearest, and onward from there.
    """
    rows = torch.arange(len(problem), device=problem.x.device)
    found = averaging.solve(problem, FIRST)
    k = min(sqp.FIRST - 1, clean.shape[1] - 1)
    one = problem.for_each(_by_distance(problem, clean, k)[:, :1])
    found.merge(rows, averaging.solve(one, FIRST))
    there = problem.best_other(found.z)
    onward(problem.for_each(there[:, None]), found, rows)


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
    pieces is left alone: there it is the creases that quadratic programming does not settle on.

    clean: (N · others, classes) logits; steps: as in :func:`targeted`; seen: of :func:`near`; size:
    images at a time.
    """
    first = seen.others * torch.arange(len(problem) // seen.others, device=problem.x.device)
    nearest = seen.of_image(found.square).argmin(1) + first
    settled = found.status == Status.SETTLED
    soon = settled & (found.evaluations - seen.spent <= SLOW)
    again = seen.for_each(~soon[nearest]) & ~soon & ~problem.exhausted()
    again[nearest] = False
    best = seen.for_each(found.square[nearest])
    rows = again.nonzero()[:, 0]
    if not len(rows) or not problem.take(rows[:1]).curved(found.z[rows[:1]]):
        return
    for some in rows.split(size):
        rest = problem.take(some)
        one = papers(rest, clean[some], steps, found)
        close = (one.square <= sqp.BEHIND**2 * best[some]).nonzero()[:, 0]
        onward(rest.take(close), one, close, rival=best[some[close]])
        found.merge(some, one)
