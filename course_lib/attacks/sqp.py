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

import itertools

import torch

from . import averaging
from .problem import Found, Problem, to_boundary

FIRST = 10  # steps of averaged normals: a start that is near and on no detour
ROWS = 3  # classes whose gradients are taken, the nearest; more are rarely active together
LATE_ROWS = 5  # for the images that are still unfinished after
LATE = 6  # iterations
MEMORY = 4
# On a smooth network the linearised gaps come true. Where one falls short by more than this share
# of the clean image's gap, after so many iterations, the image lies on a crease and is given up.
CREASE = {0: 0.045, 2: 0.03, 8: 0.03}
COMPACT = 0.08  # finished images leave once they are this share: leaving is a copy


def rows_times(matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """(n, q, D) times (n, D): the (n, q) inner products of the rows. (bmm is four times slower.)"""
    return torch.linalg.vecdot(matrix, vector[:, None])


def pull(matrix: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
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


def look(problem: Problem, z, classes=None, active=None, rows: int = ROWS):
    """All gaps (n, classes), the q nearest classes (n, q), and their gaps' gradients (n, q, D).

    classes, active: those of the step before; the active ones are taken first.
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
        picked = (of_target - logits.gather(1, chosen)).sum(0)
        last = len(picked) - 1
        normals = [
            torch.autograd.grad(total, z, retain_graph=k < last)[0]
            for k, total in enumerate(picked)
        ]
    return gaps, chosen, torch.stack(normals, 1)


class Batch:
    """The unfinished images; every tensor has a row for each (the memory: slot, image, pixel)."""

    def __init__(self, problem: Problem, z: torch.Tensor, multiplier: torch.Tensor):
        x = problem.x
        n = len(x)
        self.rows = torch.arange(n, device=x.device)
        self.problem, self.z = problem, z
        self.gaps, self.classes, self.normals = look(problem, z)
        self.start = problem.lead(x).abs()
        self.multipliers = torch.zeros_like(self.classes, dtype=x.dtype)
        self.multipliers[:, 0] = multiplier
        self.steps = torch.zeros(MEMORY, *x.shape, dtype=x.dtype, device=x.device)
        self.changes = torch.zeros_like(self.steps)
        self.pairs = 0
        self.radius = x.new_full((n,), torch.inf)
        self.penalty = x.new_zeros(n)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all images but ``rows``."""
        for name, field in list(vars(self).items()):
            if isinstance(field, torch.Tensor):
                axis = 1 if name in ("steps", "changes") else 0
                setattr(self, name, field.index_select(axis, rows))
        self.problem = self.problem.take(rows)

    def widen(self) -> None:
        """Look at more classes from now on, and forget how short the steps had become."""
        before, multipliers = self.classes, self.multipliers
        self.gaps, self.classes, self.normals = look(
            self.problem, self.z, before, multipliers > 0, LATE_ROWS
        )
        self.multipliers = carried(multipliers, before, self.classes)
        self.radius = torch.full_like(self.radius, torch.inf)

    def inverse_hessian(self, q: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
        """(n, r, D) L-BFGS' inverse Hessian of the Lagrangian times ``q``, on the free pixels.

        The two-loop recursion starts from 1, the Hessian of 1/2 |z - x|². A pair without clearly
        positive curvature there is passed over. ``q`` is overwritten.
        """
        pairs = []
        for age in range(min(self.pairs, MEMORY)):
            slot = (self.pairs - 1 - age) % MEMORY
            s, y = self.steps[slot] * free, self.changes[slot] * free
            sy, ss = torch.linalg.vecdot(s, y), torch.linalg.vecdot(s, s)
            rho = torch.where(sy > 0.05 * ss, 1 / sy, 0.0)
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
        x = self.problem.x
        offset = gaps - rows_times(self.normals, self.z)
        multipliers = self.multipliers
        for _ in range(rounds):
            u = x + pull(self.normals, multipliers)
            point = u.clamp(0, 1)
            free = (point == u).to(x.dtype)
            hessian = torch.bmm(self.normals * free[:, None], self.normals.transpose(1, 2))
            right = rows_times(hessian, multipliers) - rows_times(self.normals, point) - offset
            multipliers = nonnegative_minimum(hessian, right)
        return x + pull(self.normals, multipliers)

    def program(self, rounds: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, D) the step and (n, q) its multipliers."""
        gaps = self.gaps.gather(1, self.classes)
        u = self.plain_program(gaps, rounds)
        point = u.clamp(0, 1)
        free = (point == u).to(u.dtype)
        fixed = (point - self.z) * (1 - free)
        both = torch.cat([(self.z - self.problem.x)[:, None], self.normals], 1) * free[:, None]
        normals = both[:, 1:]
        solved = self.inverse_hessian(both.clone(), free)
        pulled = solved[:, 1:]
        matrix = torch.bmm(normals, pulled.transpose(1, 2))
        right = rows_times(normals, solved[:, 0]) - rows_times(self.normals, fixed) - gaps
        multipliers = nonnegative_minimum((matrix + matrix.transpose(1, 2)) / 2, right)
        return fixed - solved[:, 0] + pull(pulled, multipliers), multipliers

    def merit(self, z: torch.Tensor, gaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(n,) the exact penalty function, and |z - x|²."""
        away = z - self.problem.x
        square = torch.linalg.vecdot(away, away)
        return square / 2 + self.penalty * (-gaps.amin(1)).clamp_min(0), square

    def advance(self, rounds: int, rows: int):
        """One trial point for each image.

        Returns (n,) each but the first: the points z (n, D), their smallest gap, |z - x|², the
        length of the step, and by how much the linearised gaps came out too small, as a share of
        the first gap.
        """
        step, multipliers = self.program(rounds)
        length = torch.linalg.vector_norm(step, dim=1)
        step *= (self.radius / length.clamp_min(1e-30)).clamp(max=1)[:, None]
        z = (self.z + step).clamp_(0, 1)
        gaps, classes, normals = look(self.problem, z, self.classes, multipliers > 0, rows)
        self.penalty = torch.maximum(0.9 * self.penalty, 1.2 * multipliers.sum(1))
        value, square = self.merit(z, gaps)
        accepted = value <= self.merit(self.z, self.gaps)[0] * (1 + 1e-6)
        moved = z - self.z
        size = torch.linalg.vector_norm(moved, dim=1)
        self.radius = torch.where(accepted, 1.5 * self.radius, 0.4 * size)
        broken = -gaps.gather(1, self.classes).amin(1) / self.start.clamp_min(1e-30)
        there = carried(multipliers, self.classes, classes)
        # y of the Lagrangian's gradient z - x - Aᵀλ, with the same λ at both ends
        slot = self.pairs % MEMORY
        self.pairs += 1
        self.steps[slot] = moved
        self.changes[slot] = moved - pull(normals, there) + pull(self.normals, multipliers)
        self.move(accepted, z, gaps, classes, normals, there, multipliers)
        return z, gaps.amin(1), square, size, broken

    def move(self, accepted, z, gaps, classes, normals, there, multipliers) -> None:
        """Go to the accepted trial points; a rejected one leaves its multipliers."""
        if accepted.all():
            self.z, self.gaps, self.classes, self.normals = z, gaps, classes, normals
            self.multipliers = there
            return
        yes = accepted[:, None]
        self.z = torch.where(yes, z, self.z)
        self.gaps = torch.where(yes, gaps, self.gaps)
        self.multipliers = torch.where(yes, there, multipliers)
        self.classes = torch.where(yes, classes, self.classes)
        self.normals = torch.where(yes[:, :, None], normals, self.normals)


def carried(multipliers, before, after) -> torch.Tensor:
    """The multipliers of the classes ``before`` (n, q), for the classes ``after`` (n, p)."""
    same = (after[:, :, None] == before[:, None]).to(multipliers.dtype)
    return torch.linalg.vecdot(same, multipliers[:, None])


@torch.no_grad()
def solve(
    problem: Problem,
    codes: tuple[int, int],
    iterations: int = 40,
    tolerance: float = 2e-3,
    first: int = FIRST,
) -> Found:
    """The nearest images with the wanted margin; those on a crease are left without an answer.

    codes: the status of an image that has settled (the step is within ``tolerance`` of |z - x| and
    the gap small), and of one that has not; first: steps of averaged normals before.
    """
    settled_code, unfinished_code = codes
    found = Found.nothing(problem, unfinished_code)
    batch = Batch(problem, *averaging.approach(problem, found, first))
    ends, rows = problem.x.clone(), ROWS
    found.evaluations += batch.normals.shape[1]
    for k in range(iterations):
        if k == LATE:
            rows = LATE_ROWS
            batch.widen()
            found.evaluations[batch.rows] += batch.normals.shape[1]
        z, lead, square, size, broken = batch.advance(rounds=2 if k else 6, rows=rows)
        found.evaluations[batch.rows] += batch.normals.shape[1]
        found.note(problem.x, batch.rows, z, lead >= 0, square)
        short = -batch.gaps.amin(1) / batch.start.clamp_min(1e-30)
        settled = (size <= tolerance * square.sqrt()) & (short.abs() <= 5e-3)
        over = settled | (broken > CREASE.get(k, torch.inf))
        found.status[batch.rows[settled]] = settled_code
        ends[batch.rows] = batch.z
        found.c[batch.rows] = 1 / (2 * batch.multipliers.sum(1))
        if over.all():
            break
        if int(over.sum()) >= COMPACT * len(over):
            batch.keep((~over).nonzero()[:, 0])
    point, success = to_boundary(problem, ends)
    found.note(problem.x, torch.arange(len(problem), device=ends.device), point, success)
    return found
