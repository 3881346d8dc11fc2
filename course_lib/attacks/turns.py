"""An image attacked in several ways in turn, until two of them agree.

The ways come to different hollows: normalised steps (:mod:`.descent`), which need no gradient of
the right length, averaged normals (:mod:`.averaging`), which need gradients that have something in
common, descent with long steps (:mod:`.primal_dual`), which passes over hollows, a second pass of
small steps from the nearest point, and the paper's own method (:mod:`.penalty`) where all this has
cost little. From the end of each quadratic programming goes on by itself: which hollow is the
deepest shows at its bottom only. Where many small creases meet, averaged normals come nearest, and
quadratic programming leads nowhere from there: then they begin anew elsewhere, several times, and
come to other ends. Once two ways have come to the same distance the rest is left out.

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
# any class, where others of its classes have been attacked as well, no further way
DEAR, SPENT = 5, 8
ONWARD = 20  # iterations from the end of a way: it is near a bottom, or on a crease
FAR = 2.0  # a way that ends so many times as far as the nearest known point is not followed on
ROUGH = 1.05  # see by_turns()
# Averaged normals from elsewhere: how far away, as a share of the known distance, how many times,
# and how many times more where something nearer was found.
ASIDE, RESTARTS, MORE = 0.5, 3, 3
SAME = 3e-4  # two ways whose distances agree within this share have come to the same place


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


def elsewhere(problem: Problem, steps: int, known: BestPoints, number: int) -> BestPoints:
    """Averaged normals, the first of them taken in the ``number``-th random direction from the
    clean images, the same for all, :data:`ASIDE` of the known distances away."""
    x = problem.x
    aside = torch.randn(x.shape[1], generator=devices.generator(number)).to(x)
    aside /= torch.linalg.vector_norm(aside)
    first_at = (x + (ASIDE * known.square.sqrt())[:, None] * aside).clamp_(0, 1)
    return averaging.solve(problem, steps, first_at=first_at)


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

    def average(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attack the images ``rows`` by averaged normals; those of them that another way may bring
        nearer, and those that averaged normals from elsewhere may.

        An end that is settled by nothing, and from which quadratic programming leads nowhere, lies
        where many creases meet: no step from there helps, but another beginning does. Where
        programming has led on, the hollow was a smooth one, and there are other ways out of it.
        """
        rows = self.worth(averaged, rows)
        if not len(rows):
            return rows, rows
        one = self.attack(averaged, rows)
        end = one.square.clone()
        self.follow(rows, one, torch.arange(len(rows), device=rows.device))
        stuck = end.isfinite() & (end <= (1 + SAME) ** 2 * one.square)
        stuck &= one.status != Status.SETTLED
        left = torch.isin(rows, self.keep(rows, one))
        return rows[left & ~stuck], rows[left & stuck]

    def restart(self, rows: torch.Tensor) -> torch.Tensor:
        """Averaged normals from elsewhere for the images ``rows``, more of them where they find
        something nearer; those of the images where they do not, and another way may."""
        before = self.found.square.clone()
        for number in range(RESTARTS):
            rows = self.begin_elsewhere(rows, number)
        nearer = self.found.square[rows] < before[rows] / (1 + SAME) ** 2
        others, rows = rows[~nearer], rows[nearer]
        for number in range(RESTARTS, RESTARTS + MORE):
            rows = self.begin_elsewhere(rows, number)
        return others

    def begin_elsewhere(self, rows: torch.Tensor, number: int) -> torch.Tensor:
        """The ``number``-th restart of the images ``rows``; those that another may bring nearer."""
        rows = self.worth(elsewhere, rows)
        if not len(rows):
            return rows
        known = self.found.take(rows)
        return self.keep(rows, elsewhere(self.problem.take(rows), self.steps, known, number))

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
    """Attack the images ``rows`` in one way after the other, and change ``found``, which has what
    quadratic programming has come to; ``hesitant`` (N,): where it was left early.

    An image is left alone once its two nearest points, of two ways, are equally far; quadratic
    programming was one if it has settled, else its end is where the others begin to refine. Where
    quadratic programming was led astray, farther than plain normalised steps by :data:`ROUGH`, a
    gradient says little of its surroundings: there only ways with many steps lead on.
    """
    ends = found.square.new_full((2, len(problem)), torch.inf)
    ends[0] = torch.where(found.status == Status.SETTLED, found.square, torch.inf)
    turns = _Turns(problem, clean, steps, found, ends)
    some, rough = turns.first(rows, hesitant)
    some, stuck = turns.average(some)
    some = torch.cat([some, turns.restart(stuck)]).sort()[0]
    for ways, left in ((WAYS, some), (ROUGH_WAYS, rough)):
        for way in ways:
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
