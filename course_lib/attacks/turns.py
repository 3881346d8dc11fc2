"""An image attacked in several ways in turn, until two of them agree.

The ways (:mod:`.ways`) come to different hollows. From the end of each quadratic programming goes
on by itself: which hollow is the deepest shows at its bottom only. Where many small creases meet,
averaged normals come nearest, and quadratic programming leads nowhere from there: then they begin
anew elsewhere, and between the two nearest ends, as long as something nearer is found, and nothing
goes on from these ends. Where the hollows are larger, brief beginnings far away lead programming to
more of them, again as long as something nearer is found. Once two ways have come to the same
distance the rest is left out; so it is once a pass from between two ends has brought nothing
nearer.

Who has a budget wants a good point at any time: an image that the first step of quadratic
programming leads astray has normalised steps first, in stages (:func:`in_stages`).

Quadratic programming whose steps are refused again and again is left early: normalised steps then
tell whether it was worth going on with. Where they come much nearer, and averaged normals do not
come nearer still, gradients turn too quickly for both: more of these steps is what helps (at once
where programming has found nothing, and after stages). What decides is how the image at hand
behaved, not what layers there are.
"""

import dataclasses

import torch

from . import conditions, descent, sqp
from .problem import BestPoints, Problem
from .status import Status
from .ways import (
    BRIEF,
    FOLLOWED,
    PASSES,
    Known,
    averaged,
    between,
    brief,
    elsewhere,
    more_steps,
    normalised,
    papers,
)

WORTH = 1.02  # a class this much farther than the nearest one known is not attacked in more ways
# passes (of ``steps`` gradients) after which an image is not worth the paper's method too; and, for
# any class, where others of its classes have been attacked as well, no further way, and no further
# beginning of averaged normals, elsewhere or between two ends; where choosing some of many classes
# has cost gradients, no beginning after as many passes as the paper's method
DEAR, SPENT, BEGUN = 5, 6, 9
ONWARD = 20  # iterations from the end of a way: it is near a bottom, or on a crease
FAR = 2.0  # a way that ends so many times as far as the nearest known point is not followed on
ROUGH = 1.05  # ends of two ways farther apart than this do not belong to one hollow: by_turns()
# Averaged normals where nothing else leads on: how many begin elsewhere in each round; in each but
# the first one begins between the two nearest ends before. (Two more rounds of that alone bring a
# twentieth of a per cent, for a twentieth more time or, on few images, a tenth.)
ROUNDS = (2, 1)
SAME = 3e-4  # two ways whose distances agree within this share have come to the same place
# Brief beginnings where the hollows are larger: how many at once, and how often at most; their
# random directions are others than those of the beginnings elsewhere.
SEVERAL, TIMES = 3, 2
BRIEF_FROM = sum(ROUNDS)
# Normalised steps of an image with a budget that quadratic programming leads astray: with what it
# has had by then they make 30 gradients, and 100.
STAGES = (14, 70)
FIRST_WAY, ROUGH_WAY = normalised, more_steps
LAST_WAYS = between, papers


def without(rows: torch.Tensor, some: torch.Tensor) -> torch.Tensor:
    """Those of ``rows`` that are not among ``some``."""
    return rows[~torch.isin(rows, some)]


@dataclasses.dataclass(eq=False)
class _Turns(Known):
    """What the ways have come to."""

    @classmethod
    def start(cls, problem: Problem, clean, steps: int, found: BestPoints) -> "_Turns":
        """Quadratic programming was a way if it has settled."""
        turns = cls(problem, clean, steps, found)
        turns.ends = found.square.new_full((2, len(problem)), torch.inf)
        turns.points = torch.stack([found.z, found.z])
        turns.count_program(torch.arange(len(problem), device=found.z.device))
        return turns

    def count_program(self, rows: torch.Tensor) -> None:
        """The end of quadratic programming is one for the images ``rows`` that it has settled."""
        settled = self.found.status[rows] == Status.SETTLED
        self.ends[0, rows] = torch.where(settled, self.found.square[rows], torch.inf)
        self.points[0, rows] = self.found.z[rows]

    def spent(self) -> torch.Tensor:
        """(N,) the gradients that each image has had, for all of its classes together."""
        gradients, image = self.found.evaluations, self.problem.image
        if image is None:
            return gradients
        return self.problem.before.scatter_add(0, image, gradients)[image]

    def passes(self, way) -> float:
        """How many passes, of ``steps`` gradients, this way is."""
        return (BRIEF + FOLLOWED) / self.steps if way is brief else PASSES.get(way, 1)

    def worth(self, way, rows: torch.Tensor, passes: float = 0) -> torch.Tensor:
        """Those of the images ``rows`` that are worth this way; passes: what they have had and is
        not counted yet."""
        worth = self.problem.take(rows).within(self.found.square[rows], WORTH)
        spent = self.spent()[rows] / self.steps + passes
        if way is papers:
            worth &= spent < DEAR
        elif self.problem.image is not None:
            many = self.problem.before[self.problem.image[rows]] > 0
            limit = torch.where(many, DEAR, BEGUN) if way in (elsewhere, between) else SPENT
            worth &= spent + self.passes(way) <= limit
        return rows[worth]

    def keep(self, rows: torch.Tensor, one: BestPoints) -> torch.Tensor:
        """Take over what one way has found for the images ``rows``; those that another may bring
        nearer. A way that began with what is known, and found nothing nearer, has come to the same
        place."""
        ends, order = torch.cat([self.ends[:, rows], one.square[None]]).sort(0)
        points = torch.cat([self.points[:, rows], one.z[None]])
        self.ends[:, rows] = ends[:2]
        self.points[:, rows] = points[order[:2], torch.arange(len(rows), device=rows.device)]
        self.found.merge(rows, one)
        two = self.ends[:, rows].sqrt()
        apart = (two[1] > (1 + SAME) * two[0]) | two[1].isinf()
        return rows[apart & ~self.problem.take(rows).exhausted()]

    def follow(self, rows: torch.Tensor, one: BestPoints, which: torch.Tensor, known=None) -> None:
        """From the ends of one way for the images ``rows[which]`` to nearest points; not from what
        was known before, where a way has found nothing nearer. known: the squares known when the
        way began, where others have ended since."""
        known = self.found.square[rows] if known is None else known
        worth = (one.square <= FAR**2 * known) & (one.square != known)
        which = which[worth[which]]
        onward(self.problem.take(rows[which]), one, which, rival=known[which])

    def program(self, rows: torch.Tensor) -> None:
        """Go on with the quadratic programming of the images ``rows``, where it was left."""
        more = sqp.ITERATIONS - sqp.HESITANT
        onward(self.problem.take(rows), self.found, rows, more)
        self.count_program(rows)

    def average(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attack the images ``rows`` by averaged normals; those of them that another way may bring
        nearer, and those that averaged normals from elsewhere may.

        Where the ways before came to about the same distance, nothing has settled the end, and
        quadratic programming leads nowhere from it, it lies where many small creases meet: no step
        from there helps, but another beginning does. Where the ways end far apart, or programming
        leads on, the hollows are larger, and there are other ways out of them.
        """
        rows = self.worth(averaged, rows)
        if not len(rows):
            return rows, rows
        one, before = averaged(self.take(rows)), self.found.square[rows]
        end = one.square.clone()
        self.follow(rows, one, torch.arange(len(rows), device=rows.device))
        stuck = (end <= ROUGH**2 * before) & (before <= ROUGH**2 * end) & end.isfinite()
        stuck &= (one.status != Status.SETTLED) & (end <= (1 + SAME) ** 2 * one.square)
        left = torch.isin(rows, self.keep(rows, one))
        return rows[left & ~stuck], rows[left & stuck]

    def restart(self, rows: torch.Tensor) -> torch.Tensor:
        """Averaged normals from elsewhere for the images ``rows``; then from between the two
        nearest ends, too, and again as long as they find something a little nearer. Those of the
        images that another way may bring nearer: where the first ones found nothing, or something
        so much nearer that these are no small creases."""
        left, begun = rows, 0
        for k, several in enumerate(ROUNDS):
            before, given = self.found.square.clone(), rows
            if k:
                rows = self.go(between, given, follow=False)
            if several:  # also where the one between has found nothing: there are other hollows
                given = given[~self.problem.take(given).exhausted()]
                rows = self.begin(elsewhere, given, range(begun, begun + several), follow=False)
            share = before[rows] / self.found.square[rows]
            creased = (share > (1 + SAME) ** 2) & (share <= ROUGH**2)
            if not k:
                left = rows[~creased]
            rows, begun = rows[creased], begun + several
        return left

    def search(self, rows: torch.Tensor) -> torch.Tensor:
        """Brief beginnings far away for the images ``rows``, several at once, and again where they
        have found something nearer; the images that another way may bring nearer. How far away is
        not known where nothing is: such an image has none."""
        known = self.found.square[rows].isfinite()
        over, rows = [rows[~known]], rows[known]
        for k in range(TIMES):
            worth = self.worth(brief, rows, (SEVERAL - 1) * self.passes(brief))
            over.append(without(rows, worth))
            before, first = self.found.square.clone(), BRIEF_FROM + k * SEVERAL
            rows = self.begin(brief, worth, range(first, first + SEVERAL))
            nearer = before[rows] > (1 + SAME) ** 2 * self.found.square[rows]
            over.append(rows[~nearer])
            rows = rows[nearer]
        return torch.cat([*over, rows]).sort()[0]

    def begin(self, way, rows: torch.Tensor, numbers: range, follow: bool = True) -> torch.Tensor:
        """Attack the images ``rows`` in one way with several beginnings, one for each of
        ``numbers``; those of them that another may bring nearer. follow: as in :meth:`go`."""
        rows = self.worth(way, rows, self.passes(way) * (len(numbers) - 1))
        if not len(rows):
            return rows
        known, most = self.take(rows), self.problem.most
        several = max(1, (most or len(rows) * len(numbers)) // len(rows))
        if self.problem.meter is not None:
            several = 1  # the order of an image's gradients must not depend on the other images
        for k in range(0, len(numbers), several):
            some = numbers[k : k + several]
            every = way(known, some)
            ends = torch.arange(len(every.square), device=rows.device)
            if follow:
                before = known.found.square.repeat(len(some))
                self.follow(rows.repeat(len(some)), every, ends, before)
            for one in ends.split(len(rows)):
                left = self.keep(rows, every.take(one))
        return left

    def go(self, way, rows: torch.Tensor, follow: bool = True) -> torch.Tensor:
        """Attack the images ``rows`` in one way; those of them that another may bring nearer.
        follow: whether quadratic programming goes on from its end."""
        rows = self.worth(way, rows)
        if not len(rows):
            return rows
        one = way(self.take(rows))
        if follow:
            self.follow(rows, one, torch.arange(len(rows), device=rows.device))
        return self.keep(rows, one)

    def steps_more(self, rows: torch.Tensor) -> torch.Tensor:
        """Attack the images ``rows`` by more normalised steps. Those of them that another way may
        bring nearer: where these have found nothing nearer, or do not fit any more."""
        fits, before = self.worth(ROUGH_WAY, rows), self.found.square.clone()
        left = self.go(ROUGH_WAY, fits)
        left = left[before[left] <= (1 + SAME) ** 2 * self.found.square[left]]
        return torch.cat([without(rows, fits), left]).sort()[0]

    def first(self, rows: torch.Tensor, hesitant: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Attack the images ``rows`` in the first way. Those of them that another may bring nearer,
        and which of these are rough: quadratic programming was led astray there, or both have found
        nothing. (The others are those where it does well.)

        Where it was left early, ``hesitant`` (N,), it goes on if it is not known yet: it is behind,
        but not by so much that it could not catch up.
        """
        rows = self.worth(FIRST_WAY, rows)
        if not len(rows):
            return rows, rows
        one, before = FIRST_WAY(self.take(rows)), self.found.square[rows]
        again = hesitant[rows] & (before > ROUGH**2 * one.square) & (before <= FAR**2 * one.square)
        again = again.nonzero()[:, 0]
        if len(again):
            self.program(rows[again])
            before = self.found.square[rows]
        rough = (before > ROUGH**2 * one.square) | (before.isinf() & one.square.isinf())
        more = self.worth(averaged, rows[rough], self.passes(FIRST_WAY))
        over = ~torch.isin(rows, more)
        self.follow(rows, one, over.nonzero()[:, 0])  # the others go on from the end of the next
        left = self.keep(rows, one)
        return left, left[torch.isin(left, rows[rough])]


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
    staged: torch.Tensor,
    quick: torch.Tensor,
) -> None:
    """Attack the images ``rows`` in one way after the other, and change ``found``, which has what
    quadratic programming has come to; ``hesitant`` (N,): where it was left early. staged, quick:
    (N,) bool, which images have had :func:`in_stages` as their first way, and what it says.

    An image is left alone once its two nearest points, of two ways, are equally far; quadratic
    programming was one if it has settled, and steps in stages are none. Where quadratic programming
    was led astray, farther than plain normalised steps by :data:`ROUGH`, and averaged normals come
    no nearer, a gradient says little of its surroundings: there only many steps lead on. Where
    programming has found nothing at all, and after stages, averaged normals are not waited for.
    Where such steps bring nothing nearer, the image goes on as the others do.
    """
    if not len(rows):
        return
    turns, had = _Turns.start(problem, clean, steps, found), rows[staged[rows]]
    nothing = found.square.isinf()
    some, rough = turns.first(rows[~staged[rows]], hesitant)
    # where programming has found nothing at all, and steps have, no more need be asked
    quickly = rough[nothing[rough] & found.square[rough].isfinite()]
    again = torch.cat([had[quick[had]], quickly]).sort()[0]
    some, rough = torch.cat([some, had]).sort()[0], without(rough, quickly)
    some = without(some, without(again, turns.steps_more(again)))
    before = found.square.clone()
    some, stuck = turns.average(some)
    again = rough[before[rough] <= (1 + SAME) ** 2 * found.square[rough]]
    again = again[torch.isin(again, torch.cat([some, stuck]))]
    over = without(again, turns.steps_more(again))
    some, stuck = without(some, over), without(stuck, over)
    left = turns.search(torch.cat([some, turns.restart(stuck)]).sort()[0])
    for way in LAST_WAYS:
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
