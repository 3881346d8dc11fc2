"""An image attacked in several ways in turn, until two of them agree.

The ways come to different hollows: normalised steps (:mod:`.descent`), which need no gradient of
the right length, averaged normals (:mod:`.averaging`), which need gradients that have something in
common, descent with long steps (:mod:`.primal_dual`), which passes over hollows, a second pass of
small steps from the nearest point, and the paper's own method (:mod:`.penalty`) where all this has
cost little. From the end of each quadratic programming goes on by itself: which hollow is the
deepest shows at its bottom only. Where many small creases meet, averaged normals come nearest, and
quadratic programming leads nowhere from there: then they begin anew elsewhere, several times, and
come to other ends. Once two ways have come to the same distance the rest is left out.

Who has a budget wants a good point at any time: an image that the first step of quadratic
programming leads astray has normalised steps first, in stages (:func:`in_stages`).

Quadratic programming whose steps are refused again and again is left early: normalised steps then
tell whether it was worth going on with. Where they come much nearer, gradients turn too quickly for
it: more of them is what helps. What decides is how the image at hand behaved, not what layers there
are.
"""

import dataclasses

import torch

from .. import device as devices
from . import averaging, conditions, descent, losses, penalty, primal_dual, sqp
from .problem import BestPoints, Problem
from .status import Status

LONG = 2  # times the gradients of another way: the paper's method searches for its c with them,
# descent with long steps wants many of them, and so do gradients that turn quickly
WORTH = 1.02  # a class this much farther than the nearest one known is not attacked in more ways
# passes (of ``steps`` gradients) after which an image is not worth the paper's method too; and, for
# any class, where others of its classes have been attacked as well, no further way, and no further
# beginning of averaged normals (of many classes, where choosing some has cost gradients: as a way)
DEAR, SPENT, BEGUN = 5, 6, 9
ONWARD = 20  # iterations from the end of a way: it is near a bottom, or on a crease
FAR = 2.0  # a way that ends so many times as far as the nearest known point is not followed on
ROUGH = 1.05  # ends of two ways farther apart than this do not belong to one hollow: by_turns()
# Averaged normals from elsewhere: how far away, as a share of the known distance, and how many at
# once, round after round as long as something nearer is found.
ASIDE, ROUNDS = 0.5, (2, 2, 2, 2)
SAME = 3e-4  # two ways whose distances agree within this share have come to the same place
LITTLE = 3e-3  # of the distance: a way that brings no more has hardly led on
# Normalised steps of an image with a budget that quadratic programming leads astray: with what it
# has had by then they make 30 gradients, and 100.
STAGES = (14, 70)


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


def elsewhere(problem: Problem, steps: int, known: BestPoints, numbers: range) -> BestPoints:
    """Averaged normals whose first gradient is taken aside: :data:`ASIDE` of the known distances
    from the clean images, in the random directions of these ``numbers``, the same for all images.

    At once, as a network takes less time for each of many images: len(numbers) · N points, those of
    the first number first.
    """
    n = len(problem)
    rows = torch.arange(n, device=problem.x.device).repeat(len(numbers))
    drawn = [torch.randn(problem.x.shape[1], generator=devices.generator(k)) for k in numbers]
    aside = torch.stack([v / torch.linalg.vector_norm(v) for v in drawn]).to(problem.x)
    far = ASIDE * known.square.sqrt()
    first_at = problem.x + far[:, None] * aside[:, None]
    return averaging.solve(problem.take(rows), steps, first_at=first_at.flatten(0, 1).clamp_(0, 1))


def long_steps(problem: Problem, _clean, steps: int, known: BestPoints) -> BestPoints:
    """Primal-dual descent, with steps of the length that is known."""
    return primal_dual.solve(problem, LONG * steps, known.square.sqrt())


def small_steps(problem: Problem, _clean, steps: int, known: BestPoints) -> BestPoints:
    """Averaged normals once more, from the nearest points that are known."""
    return averaging.solve(problem, steps, start=known)


def more_steps(problem: Problem, _clean, steps: int, known: BestPoints) -> BestPoints:
    """More normalised steps, and shorter ones; where nothing is known, not far from the image."""
    growth = torch.where(known.square.isfinite(), descent.CHANGE, descent.SLOWLY)
    return descent.solve(problem, LONG * steps, growth)


PASSES = {long_steps: LONG, more_steps: LONG}  # of ``steps`` gradients; the others have one
FIRST_WAY = normalised
WAYS = (long_steps, small_steps, papers)
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
            many = self.problem.before[self.problem.image[rows]] > 0
            limit = torch.where(many, SPENT, BEGUN) if way is elsewhere else SPENT
            worth &= spent + PASSES.get(way, 1) <= limit
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

    def average(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Attack the images ``rows`` by averaged normals; those of them that another way may bring
        nearer, those that averaged normals from elsewhere may, and those of the first that these
        may, too.

        Where the ways before came to about the same distance, nothing has settled the end, and
        quadratic programming leads nowhere from it, it lies where many small creases meet: no step
        from there helps, but another beginning does. Where the ways end far apart, or programming
        leads on, the hollows are larger, and there are other ways out of them. Where it leads on by
        a :data:`LITTLE`, one cannot tell.
        """
        rows = self.worth(averaged, rows)
        if not len(rows):
            return rows, rows, rows
        one, before = self.attack(averaged, rows), self.found.square[rows]
        end = one.square.clone()
        self.follow(rows, one, torch.arange(len(rows), device=rows.device))
        alike = (end <= ROUGH**2 * before) & (before <= ROUGH**2 * end) & end.isfinite()
        alike &= one.status != Status.SETTLED
        stuck = alike & (end <= (1 + SAME) ** 2 * one.square)
        perhaps = alike & ~stuck & (end <= (1 + LITTLE) ** 2 * one.square)
        left = torch.isin(rows, self.keep(rows, one))
        return rows[left & ~stuck], rows[left & stuck], rows[left & perhaps]

    def restart(self, rows: torch.Tensor) -> torch.Tensor:
        """Averaged normals from elsewhere for the images ``rows``, and again as long as they find
        something a little nearer; those of the images that another way may bring nearer: where the
        first ones found nothing, or something so much nearer that these are no small creases."""
        left, begun = rows, 0
        for several in ROUNDS:
            before = self.found.square.clone()
            rows = self.begin_elsewhere(rows, range(begun, begun + several))
            share = before[rows] / self.found.square[rows]
            creased = (share > (1 + SAME) ** 2) & (share <= ROUGH**2)
            if not begun:
                left = rows[~creased]
            rows, begun = rows[creased], begun + several
        return left

    def begin_elsewhere(self, rows: torch.Tensor, numbers: range) -> torch.Tensor:
        """Averaged normals from elsewhere for the images ``rows``, once for each of ``numbers``;
        the images that another way may bring nearer."""
        rows = self.worth(elsewhere, rows, len(numbers) - 1)
        if not len(rows):
            return rows
        problem, known, most = self.problem.take(rows), self.found.take(rows), self.problem.most
        several = max(1, (most or len(rows) * len(numbers)) // len(rows))
        for k in range(0, len(numbers), several):
            every = elsewhere(problem, self.steps, known, numbers[k : k + several])
            for one in torch.arange(len(every.square), device=rows.device).split(len(rows)):
                left = self.keep(rows, every.take(one))
        return left

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
        ways: those where quadratic programming does well, and those where it was led astray, or
        both have found nothing.

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
        rough = (before > ROUGH**2 * one.square) | (before.isinf() & one.square.isinf())
        more = [self.worth(way, rows[rough], PASSES.get(FIRST_WAY, 1)) for way in ROUGH_WAYS[:1]]
        over = ~torch.isin(rows, torch.cat(more)) if more else torch.ones_like(rough)
        self.follow(rows, one, over.nonzero()[:, 0])  # the others go on from the end of the next
        left = torch.isin(rows, self.keep(rows, one))
        return [rows[left & ~rough], rows[left & rough]]


def in_stages(problem: Problem, found: BestPoints, misled: torch.Tensor) -> torch.Tensor:
    """Attack the images that are ``misled`` (N,) so that what is known of them is good at any time:
    by normalised steps in stages, each from the nearest point of those before, and on by quadratic
    programming. ``found`` is changed. (N,) bool: those that the last stage brought so much nearer
    (:data:`ROUGH`) that more of its steps are what helps."""
    rows, quick = misled.nonzero()[:, 0], torch.zeros_like(misled)
    if not len(rows):
        return quick
    for steps in STAGES:
        some, before = problem.take(rows), found.square[rows]
        found.merge(rows, descent.solve(some, steps, start=found.take(rows)))
        after = found.square[rows]
        quick[rows] = (before > ROUGH**2 * after) | after.isinf()
        rows = rows[some.within(after, sqp.BEHIND)]
    onward(problem.take(rows), found, rows, sqp.ITERATIONS)
    return quick


def by_turns(
    problem: Problem,
    clean: torch.Tensor,
    steps: int,
    found: BestPoints,
    rows: torch.Tensor,
    hesitant: torch.Tensor,
    staged: torch.Tensor | None = None,
    quick: torch.Tensor | None = None,
) -> None:
    """Attack the images ``rows`` in one way after the other, and change ``found``, which has what
    quadratic programming has come to; ``hesitant`` (N,): where it was left early. staged, quick:
    (N,) bool, which images have had :func:`in_stages` as their first way, and what it says.

    An image is left alone once its two nearest points, of two ways, are equally far; quadratic
    programming was one if it has settled, else its end is where the others begin to refine. Where
    quadratic programming was led astray, farther than plain normalised steps by :data:`ROUGH`, a
    gradient says little of its surroundings: there only ways with many steps lead on.
    """
    ends = found.square.new_full((2, len(problem)), torch.inf)
    ends[0] = torch.where(found.status == Status.SETTLED, found.square, torch.inf)
    turns = _Turns(problem, clean, steps, found, ends)
    had = rows[:0] if staged is None else rows[staged[rows]]
    some, rough = turns.first(rows[~torch.isin(rows, had)], hesitant)
    if len(had):
        some = torch.cat([some, had[~quick[had]]]).sort()[0]
        rough = torch.cat([rough, had[quick[had]]]).sort()[0]
    left = rough
    for way in ROUGH_WAYS:
        left = turns.go(way, left)
    lost = rough[found.square[rough].isinf()]
    some, stuck, perhaps = turns.average(torch.cat([some, lost]).sort()[0])
    again = turns.restart(torch.cat([stuck, perhaps]).sort()[0])
    left = torch.cat([some, again[torch.isin(again, stuck)]]).sort()[0]
    for way in WAYS:
        left = turns.go(way, left)


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
