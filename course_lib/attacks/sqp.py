"""The nearest image of a class for smooth networks: sequential quadratic programming.

    min 1/2 |z - x|²   such that   g_j(z) = Z_t(z) - Z_j(z) - κ >= 0 for all j != t,   0 <= z <= 1

Z are the logits, t the target, κ a small margin. The paper's penalty method (section 4.1) searches
for a c, and its loss decides where it ends; here the multipliers λ_j take the place of c
(c = 1 / (2 Σ λ) for the margin loss), and several classes may hold the image back at once, which
makes a penalty's valley sharp and costs this method nothing.

An iteration, for all images at once: the gaps g, and the gradients of the few that matter; the
quadratic program with these linearised, first with the Hessian 1 (its dual has one unknown per
class, and its solution tells which pixels the box holds), then on the free pixels with an L-BFGS
approximation of the Hessian of the Lagrangian, 1 - Σ λ_j ∇²g_j; a trial point, judged by the exact
penalty 1/2 |z - x|² + μ max(0, -min g) (Nocedal & Wright, *Numerical Optimization*, chapter 18).
On a linear network the step lands on the solution once the right classes are among the few.
"""

import dataclasses
import itertools

import torch

from . import averaging
from .problem import BestPoints, Problem, to_boundary
from .status import Status

FIRST = 10  # steps of averaged normals: a start that is near and on no detour
ROWS = 3  # classes whose gradients are taken, the nearest; more are rarely active together
LATE_ROWS = 4  # for the images that are still unfinished after
LATE = 6  # iterations
LOSING = 8  # iterations, after which an image without any success is left to other ways
BEHIND = 1.1  # and so is a class that is then so many times as far as its image's nearest one
# One that goes on from another way's end is left after as many if it is then still so many times as
# far as the nearest point that is known.
CATCH_UP = 1.25
# Where a gradient says little of the next point every other step is refused. Of an image that is
# still unfinished after so many iterations this share tells whether another way is tried first.
HESITANT, REFUSED = 12, 1 / 3
# Where every gradient counts, an image is left after its first step if the gaps there are by more
# than this, as a share of the clean one, not what they were linearised to be. (Medians: 0.003 where
# quadratic programming does well, 0.13 on CONV and on the transformer of benchmarks/foreign.py.)
MISLED = 0.02
ITERATIONS = 40
MEMORY = 4  # pairs of L-BFGS; each takes two numbers for every pixel
CURVATURE = 0.05  # that a pair must show, sᵀy / sᵀs, to count; 1 is that of 1/2 |z - x|²
ON_BOUNDARY = 5e-3  # an image is there when its smallest gap is within this share of the clean one
# A step that is not accepted is tried again at 0.4 of its length. On a smooth network the error of
# the linearised gaps then falls with the square of the length, across a crease with the length: an
# image where it does not fall faster than with this power is given up, after so many such trials.
POWER, CREASES = 1.5, 2
LOST = 1e-3  # so is one whose steps have become this short, as a share of |z - x|
SHORT = 0.25  # of the lead may be missing at a success; the report takes up to half
COMPACT = 0.08  # finished images leave once they are this share: leaving is a copy


def rows_times(matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """(n, q, D) times (n, D): the (n, q) inner products of the rows. (bmm is four times slower.)"""
    return torch.linalg.vecdot(matrix, vector[:, None])


def transpose_times(matrix: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(n, q, D) and (n, q): the (n, D) weighted sums of the rows."""
    return torch.bmm(weights[:, None], matrix)[:, 0]


def nonnegative_minimum(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(n, q) the λ >= 0 that minimises 1/2 λᵀMλ - λᵀb, for M (n, q, q) semidefinite, b (n, q).

    q is so small that all sets of positive entries are tried at once: each gives a linear system,
    and of the solutions that are >= 0 the one with the smallest value is the minimum.
    """
    n, q = right.shape
    like = {"dtype": right.dtype, "device": right.device}
    sets = torch.tensor(list(itertools.product((0.0, 1.0), repeat=q))[1:], **like)
    ridge = 1e-6 * matrix.diagonal(dim1=1, dim2=2).amax(1).clamp_min(1e-20)
    both = sets[:, :, None] * sets[:, None]
    systems = matrix[:, None] * both + torch.diag_embed((1 - sets) + ridge[:, None, None] * sets)
    wanted = right[:, None] * sets
    solutions = torch.linalg.solve_ex(systems, wanted)[0]  # (n, sets, q)
    value = -(solutions * wanted).sum(2)
    value = value.masked_fill((solutions < 0).any(2) | value.isnan(), 0.0)
    lowest, at = value.min(1)  # 0: no set lowers it, and λ = 0 is the minimum
    chosen = solutions.gather(1, at[:, None, None].expand(n, 1, q))[:, 0]
    return torch.where((lowest < 0)[:, None], chosen, 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Linearisation:
    """The constraints at some points. gaps: (n, classes), infinite for the target; classes: (n, q)
    those with the smallest gaps; normals: (n, q, D) the gradients of these gaps."""

    gaps: torch.Tensor
    classes: torch.Tensor
    normals: torch.Tensor

    def take(self, rows: torch.Tensor) -> "Linearisation":
        """The same for the points ``rows``."""
        return Linearisation(*(v.index_select(0, rows) for v in vars(self).values()))

    def put(self, rows: torch.Tensor, other: "Linearisation") -> None:
        """Take over ``other`` for the points ``rows``."""
        for name, value in vars(self).items():
            value[rows] = getattr(other, name)

    def nearest_gaps(self) -> torch.Tensor:
        """(n, q) the gaps of ``classes``."""
        return self.gaps.gather(1, self.classes)


def linearise(problem: Problem, z, classes=None, active=None, rows: int = ROWS) -> Linearisation:
    """The gaps at ``z`` (n, D), and the gradients of the ``rows`` smallest.

    classes, active: (n, q) those of the step before; the active ones are taken first. The normals
    are 0 where the budget has ended.
    """
    targets = problem.targets[:, None]
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        logits = problem.logits(z)
        of_target = logits.gather(1, targets)
        gaps = (of_target - logits).detach() - problem.needed[:, None]
        gaps.scatter_(1, targets, torch.inf)
        rank = gaps
        if classes is not None:
            first = torch.where(active, -torch.inf, gaps.gather(1, classes))
            rank = gaps.scatter(1, classes, first)
        chosen = rank.topk(min(rows, gaps.shape[1] - 1), dim=1, largest=False)[1]
        afforded = problem.affords(chosen.shape[1])
        if afforded is not None:
            here = Linearisation(gaps, chosen, z.new_zeros(*chosen.shape, z.shape[1]))
            some = afforded.nonzero()[:, 0]
            if len(some):
                before = () if classes is None else (classes[some], active[some])
                here.put(some, linearise(problem.take(some), z[some], *before, rows=rows))
            return here
        picked = (of_target - logits.gather(1, chosen)).sum(0)
        last = len(picked) - 1
        normals = [
            torch.autograd.grad(total, z, retain_graph=k < last)[0]
            for k, total in enumerate(picked)
        ]
    problem.seen(z.detach(), gaps.amin(1), len(normals), normals[0])
    return Linearisation(gaps, chosen, torch.stack(normals, 1))


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """What a trial point of each image was. z: (n, D); lead: (n,) its smallest gap; square: (n,)
    |z - x|²; step_length: (n,) the L2 norm of the step to it; hopeless: (n,) bool, whether it
    lies on a crease."""

    z: torch.Tensor
    lead: torch.Tensor
    square: torch.Tensor
    step_length: torch.Tensor
    hopeless: torch.Tensor


class Batch:
    """The unfinished images; every tensor has a row for each (the memory: slot, image, pixel)."""

    def __init__(self, problem: Problem, z: torch.Tensor, multiplier: torch.Tensor):
        x = problem.x
        n = len(x)
        self.rows = torch.arange(n, device=x.device)
        self.problem, self.z = problem, z
        self.here = linearise(problem, z)
        self.clean_gap = problem.lead(x).abs().clamp_min(1e-30)
        self.multipliers = torch.zeros_like(self.here.classes, dtype=x.dtype)
        self.multipliers[:, 0] = multiplier
        self.pairs_s = torch.zeros(MEMORY, *x.shape, dtype=x.dtype, device=x.device)
        self.pairs_y = torch.zeros_like(self.pairs_s)
        self.remembered = 0  # pairs, those overwritten included
        self.trust_radius = x.new_full((n,), torch.inf)
        self.merit_weight = x.new_zeros(n)  # μ
        # the last step, where it was not accepted: its length, and the error of the linearised gaps
        self.last_length, self.last_error = x.new_full((n,), torch.nan), x.new_zeros(n)
        self.creases = x.new_zeros(n)
        self.refused = x.new_zeros(n)  # steps so far that were not accepted

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all images but ``rows``."""
        for name, field in list(vars(self).items()):
            if isinstance(field, torch.Tensor):
                axis = 1 if name in ("pairs_s", "pairs_y") else 0
                setattr(self, name, field.index_select(axis, rows))
        self.problem, self.here = self.problem.take(rows), self.here.take(rows)

    def widen(self) -> None:
        """Look at more classes from now on, and forget how short the steps had become."""
        before, multipliers = self.here.classes, self.multipliers
        self.here = linearise(self.problem, self.z, before, multipliers > 0, LATE_ROWS)
        self.multipliers = carried(multipliers, before, self.here.classes)
        self.trust_radius = torch.full_like(self.trust_radius, torch.inf)

    def gap_share(self) -> torch.Tensor:
        """(n,) by how much the images fall short, as a share of the clean image's gap."""
        return -self.here.gaps.amin(1) / self.clean_gap

    def inverse_hessian(self, q: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
        """(n, r, D) L-BFGS' inverse Hessian of the Lagrangian times ``q``, on the free pixels.

        The two-loop recursion starts from 1, the Hessian of 1/2 |z - x|². A pair without clearly
        positive curvature there is passed over. ``q`` is overwritten.
        """
        pairs = []
        for age in range(min(self.remembered, MEMORY)):
            slot = (self.remembered - 1 - age) % MEMORY
            s, y = self.pairs_s[slot] * free, self.pairs_y[slot] * free
            sy, ss = torch.linalg.vecdot(s, y), torch.linalg.vecdot(s, s)
            rho = torch.where(sy > CURVATURE * ss, 1 / sy, 0.0)
            alpha = rows_times(q, s) * rho[:, None]
            q.addcmul_(alpha[:, :, None], y[:, None], value=-1)
            pairs.append((s, y, rho, alpha))
        for s, y, rho, alpha in reversed(pairs):
            beta = rows_times(q, y) * rho[:, None]
            q.addcmul_((alpha - beta)[:, :, None], s[:, None])
        return q

    def plain_program(self, gaps: torch.Tensor, rounds: int) -> torch.Tensor:
        """(n, D) x + Aᵀλ, before it is cut to the box: the program with the Hessian 1.

        Newton's method on the dual, whose gradient is piecewise linear; λ starts where the last
        step left it.
        """
        x, normals = self.problem.x, self.here.normals
        offset = gaps - rows_times(normals, self.z)
        multipliers = self.multipliers
        for _ in range(rounds):
            u = x + transpose_times(normals, multipliers)
            point = u.clamp(0, 1)
            free = (point == u).to(x.dtype)
            hessian = torch.bmm(normals * free[:, None], normals.transpose(1, 2))
            right = rows_times(hessian, multipliers) - rows_times(normals, point) - offset
            multipliers = nonnegative_minimum(hessian, right)
        return x + transpose_times(normals, multipliers)

    def program(self, rounds: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, D) the step and (n, q) its multipliers."""
        gaps = self.here.nearest_gaps()
        u = self.plain_program(gaps, rounds)
        point = u.clamp(0, 1)
        free = (point == u).to(u.dtype)
        fixed = (point - self.z) * (1 - free)
        away = self.z - self.problem.x
        both = torch.cat([away[:, None], self.here.normals], 1) * free[:, None]
        normals = both[:, 1:]
        solved = self.inverse_hessian(both.clone(), free)
        of_normals = solved[:, 1:]
        matrix = torch.bmm(normals, of_normals.transpose(1, 2))
        right = rows_times(normals, solved[:, 0]) - rows_times(self.here.normals, fixed) - gaps
        multipliers = nonnegative_minimum((matrix + matrix.transpose(1, 2)) / 2, right)
        return fixed - solved[:, 0] + transpose_times(of_normals, multipliers), multipliers

    def merit(self, z: torch.Tensor, gaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(n,) the exact penalty function, and |z - x|²."""
        away = z - self.problem.x
        square = torch.linalg.vecdot(away, away)
        return square / 2 + self.merit_weight * (-gaps.amin(1)).clamp_min(0), square

    def advance(self, rounds: int, rows: int) -> Trial:
        """One trial point for each image; it becomes the image's point where it is better."""
        here = self.here
        step, multipliers = self.program(rounds)
        whole = torch.linalg.vector_norm(step, dim=1)
        step *= (self.trust_radius / whole.clamp_min(1e-30)).clamp(max=1)[:, None]
        z = (self.z + step).clamp_(0, 1)
        there = linearise(self.problem, z, here.classes, multipliers > 0, rows)
        # the penalty is exact once μ exceeds the sum of the multipliers; it may fall, slowly
        self.merit_weight = torch.maximum(0.9 * self.merit_weight, 1.2 * multipliers.sum(1))
        value, square = self.merit(z, there.gaps)
        accepted = value <= self.merit(self.z, here.gaps)[0] * (1 + 1e-6)
        s = z - self.z
        length = torch.linalg.vector_norm(s, dim=1)
        self.refused += ~accepted
        self.trust_radius = torch.where(accepted, 1.5 * self.trust_radius, 0.4 * length)
        expected = here.nearest_gaps() + rows_times(here.normals, s)
        error = (expected - there.gaps.gather(1, here.classes)).abs().amax(1)
        hopeless = self.on_a_crease(accepted, length, error, square.sqrt())
        multipliers_there = carried(multipliers, here.classes, there.classes)
        # y of the Lagrangian's gradient z - x - Aᵀλ, with the same λ at both ends
        slot = self.remembered % MEMORY
        self.remembered += 1
        self.pairs_s[slot] = s
        self.pairs_y[slot] = (
            s
            - transpose_times(there.normals, multipliers_there)
            + transpose_times(here.normals, multipliers)
        )
        self.multipliers = torch.where(accepted[:, None], multipliers_there, multipliers)
        self.accept(accepted, z, there)
        return Trial(z, there.gaps.amin(1), square, length, hopeless)

    def on_a_crease(self, accepted, length, error, size) -> torch.Tensor:
        """(n,) bool: whether shorter steps have not made the gaps come true.

        accepted: (n,) bool, of the step just tried; length: (n,) its; error: (n,) that of its
        linearised gaps; size: (n,) |z - x| there.
        """
        # NaN, of a first trial, compares as false
        fallen = self.last_error * (length / self.last_length) ** POWER
        self.creases = torch.where(accepted, 0.0, self.creases + (error > fallen))
        self.last_length = torch.where(accepted, torch.nan, length)
        self.last_error = error
        return ~accepted & ((self.creases >= CREASES) | (length < LOST * size))

    def accept(self, accepted: torch.Tensor, z: torch.Tensor, there: Linearisation) -> None:
        """Go to the trial points ``z`` that are ``accepted`` (n,)."""
        if accepted.all():
            self.z, self.here = z, there
            return
        yes, here = accepted[:, None], self.here
        self.z = torch.where(yes, z, self.z)
        self.here = Linearisation(
            torch.where(yes, there.gaps, here.gaps),
            torch.where(yes, there.classes, here.classes),
            torch.where(yes[:, :, None], there.normals, here.normals),
        )


def carried(multipliers, before, after) -> torch.Tensor:
    """The multipliers of the classes ``before`` (n, q), for the classes ``after`` (n, p)."""
    same = (after[:, :, None] == before[:, None]).to(multipliers.dtype)
    return torch.linalg.vecdot(same, multipliers[:, None])


@torch.no_grad()
def solve(
    problem: Problem,
    iterations: int = ITERATIONS,
    tolerance: float = 2e-3,
    first: int = FIRST,
    start: torch.Tensor | None = None,
    hesitant: torch.Tensor | None = None,
    rival: torch.Tensor | None = None,
    misled: torch.Tensor | None = None,
) -> BestPoints:
    """The nearest images with the wanted margin; those on a crease are left without an answer.

    An image has settled (:attr:`.Status.SETTLED`; else FAILED) when the step is within
    ``tolerance`` of |z - x| and the gap small: a claim that :mod:`.conditions` examines, at the
    point that is kept. first: steps of averaged normals before; start: (N, D) where to begin
    instead. hesitant: (N,) bool, where it is given: an image whose steps are too often refused is
    left at :data:`HESITANT` iterations or later, and marked here. rival: (N,) the |z - x|² that
    are known from elsewhere: who is far behind (:data:`CATCH_UP`) after a while is left. misled:
    (N,) bool, where it is given: an image that the first step leads astray (:data:`MISLED`) is left
    there, and marked here.
    """
    found = BestPoints.nothing(problem, Status.FAILED)
    if start is None:
        batch = Batch(problem, *averaging.approach(problem, found, first))
    else:
        batch = Batch(problem, start.clone(), problem.x.new_zeros(len(start)))
    ends, rows = problem.x.clone(), ROWS
    found.evaluations += batch.here.normals.shape[1]
    for k in range(iterations):
        if k == LATE:
            rows = LATE_ROWS
            batch.widen()
            found.evaluations[batch.rows] += batch.here.normals.shape[1]
        trial = batch.advance(rounds=2 if k else 6, rows=rows)
        found.evaluations[batch.rows] += batch.here.normals.shape[1]
        # the last steps end on either side of the boundary, by rounding
        won = trial.lead >= -SHORT * batch.problem.needed
        found.note(problem.x, batch.rows, trial.z, won, trial.square)
        settled = (trial.step_length <= tolerance * trial.square.sqrt()) & (
            batch.gap_share().abs() <= ON_BOUNDARY
        )
        over = settled | trial.hopeless | batch.problem.exhausted()
        if k == LOSING and start is None:
            near = problem.within(found.square, BEHIND) & found.square.isfinite()
            over |= ~near[batch.rows]
        if k == LOSING and rival is not None:
            over |= found.square[batch.rows] > CATCH_UP**2 * rival[batch.rows]
        if misled is not None and k == 0:
            leaves = ~over & (batch.last_error > MISLED * batch.clean_gap)
            misled[batch.rows[leaves]] = True
            over |= leaves
        if hesitant is not None and k + 1 >= HESITANT:
            leaves = ~over & (batch.refused >= REFUSED * (k + 1))
            hesitant[batch.rows[leaves]] = True
            over |= leaves
        found.status[batch.rows[settled]] = Status.SETTLED
        ends[batch.rows] = batch.z
        found.c[batch.rows] = 1 / (2 * batch.multipliers.sum(1))
        if over.all():
            break
        if int(over.sum()) >= COMPACT * len(over):
            batch.keep((~over).nonzero()[:, 0])
    point, success = to_boundary(problem, ends)
    found.note(problem.x, torch.arange(len(problem), device=ends.device), point, success)
    return found
