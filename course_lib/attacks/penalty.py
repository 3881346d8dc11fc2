"""The paper's attack: min c·|r| + loss(x + r, l), 0 <= x + r <= 1, with its search for c (section
4.1), for many images at once.

A large c holds the image where it is, a small one lets it go: the smallest perturbation comes from
the largest c that still reaches the target. (The paper writes "minimum c"; its c multiplies |r|.)
The margin, the target's logit minus the largest other one, falls as c grows, and its sign tells on
which side of the wanted c a solve has ended: a bracket, then regula falsi in log c. Nothing proves
the margin monotone for a network, so the best success is kept, not the last.

|r|², the sum of squares, is the engine's quadratic: its curvature is known, and L-BFGS learns the
loss alone. |r|, the L2 norm, has no gradient at r = 0, where every solve starts, and needs none:
the minimiser of w·|r|² + loss is a stationary point of c·|r| + loss with c = 2w·|r|, for the
gradient of the one is 2w·r and of the other c·r/|r|. So both trace one path of points, which is
followed in w, and differ in what c is called. (For a convex loss stationary means minimal. For a
network it need not: along the ray itself |r| has no curvature, and where the loss bends downward
there the point is a saddle of c·|r| + loss, off which a descent on |r| would slide.)
"""

import torch

from .. import lbfgsb
from . import losses
from .problem import BestPoints, Problem, finish
from .status import Status

RANGE = 1e8  # c is looked for within this factor of the first guess
SOLVES = 60  # RANGE is 17 factors of 3 away; a bracket closes in far fewer than the rest


class Search:
    """The search for each image's c: a bracket, and the best point so far.

    ``restart`` is what the engine calls when solves have ended. One row per image in every field.
    precision: the search ends when the margin is within this share of the clean image's (or of what
    is needed, if that is more), or the bracket within this share of c.
    """

    def __init__(self, problem, c, clean_margin, precision, found, polish):
        like = torch.zeros_like(c)
        self.problem, self.found, self.polish = problem, found, polish
        self.precision = precision
        self.c = c
        self.goal = precision * clean_margin.abs()
        self.smallest_c, self.largest_c = c / RANGE, c * RANGE
        # the c that succeeded (low) and the one that failed (high), with their margins
        self.low, self.high = like.clone(), torch.full_like(c, torch.inf)
        self.margin_low = torch.full_like(c, torch.nan)
        self.margin_high = -clean_margin.abs()
        self.side, self.solves = like.long(), like.long()
        self.closed = like.bool()

    def restart(self, rows, z, margin, _weight) -> lbfgsb.Restart:
        """Decide how the problems ``rows``, whose solves ended at ``z``, go on."""
        again = self.judge(rows, z, margin)
        return lbfgsb.Restart(again, self.c[rows])

    def judge(self, rows, z, margin) -> torch.Tensor:
        """Note what ended at ``z``, move c; (n,) bool, which images go on."""
        c, needed = self.c[rows], self.problem.needed[rows]
        hit = margin >= needed
        margin = margin - needed
        self.found.note(self.problem.x, rows, z, hit)
        # polished points are nearer than the minimiser, whose c is then the largest that succeeded
        best = hit & (self.polish | (z == self.found.z[rows]).all(1))
        self.found.c[rows[best]] = c[best]
        self.solves[rows] += 1
        low, high = torch.where(hit, c, self.low[rows]), torch.where(hit, self.high[rows], c)
        before = self.side[rows]
        m_low, m_high = self.margin_low[rows], self.margin_high[rows]
        # Illinois: an end that stays twice in a row counts half, or the bracket would creep
        m_high = torch.where(hit & (before == 1), m_high / 2, torch.where(hit, m_high, margin))
        m_low = torch.where(~hit & (before == -1), m_low / 2, torch.where(hit, margin, m_low))
        self.low[rows], self.high[rows] = low, high
        self.margin_low[rows], self.margin_high[rows] = m_low, m_high
        self.side[rows] = torch.where(hit, 1, -1)
        both = (low > 0) & high.isfinite()
        share = (m_low / (m_low - m_high)).nan_to_num(0.5).clamp(0.05, 0.95)
        inside = low.clamp_min(1e-30).log().lerp(high.clamp(max=1e30).log(), share).exp()
        follow = torch.where(both, inside, torch.where(hit, c * 3, c / 3))
        self.closed[rows] = (hit & (margin <= self.goal[rows])) | (
            both & (high <= low * (1 + self.precision))
        )
        outside = (follow < self.smallest_c[rows]) | (follow > self.largest_c[rows])
        again = ~(self.closed[rows] | outside | (self.solves[rows] >= SOLVES))
        self.c[rows] = torch.where(again, follow, c)
        return again


def objective(problem: Problem, loss, found: BestPoints | None):
    """fun(z, rows) for the engine: the loss, its gradient and, as what else there is to say, the
    margin. found: notes every point that succeeds, None for no such notes. The gradient is 0 where
    the budget has ended: there the engine ends, too."""

    def evaluate(z, rows):
        afforded = problem.take(rows).affords(1)
        if afforded is None:
            return differentiated(z, rows)
        some, logits = afforded.nonzero()[:, 0], problem.logits(z)
        values, targets = loss(logits, problem.targets[rows], rows), problem.targets[rows]
        answer = values, torch.zeros_like(z), losses.target_margin(logits, targets)
        if len(some):
            for whole, part in zip(answer, differentiated(z[some], rows[some]), strict=True):
                whole[some] = part
        return answer

    def differentiated(z, rows):
        with torch.enable_grad():
            z = z.detach().requires_grad_(True)
            logits = problem.logits(z)
            targets = problem.targets[rows]
            values = loss(logits, targets, rows)
            (slope,) = torch.autograd.grad(values.sum(), z)
        margin = losses.target_margin(logits.detach(), targets)
        if problem.meter is not None:
            problem.take(rows).seen(z.detach(), margin - problem.needed[rows], 1, slope)
        if found is not None:
            found.note(problem.x, rows, z.detach(), margin >= problem.needed[rows])
        return values.detach(), slope, margin

    return evaluate


def begin(problem, evaluate, precision, found, polish) -> Search:
    """The search at its first c, from the loss and the margin linearised at the clean images.

    There the minimiser lies on the boundary if the loss falls as the margin rises. Where ``found``
    has a point already, its c is the first.
    """
    rows = torch.arange(len(problem), device=problem.x.device)
    _, slope, margin = evaluate(problem.x, rows)
    tiny = torch.finfo(margin.dtype).tiny ** 0.5
    short = torch.maximum(margin.abs(), problem.needed).clamp_min(tiny)
    steepness = torch.linalg.vector_norm(slope, dim=1).clamp_min(tiny)
    c = (steepness / (2 * short.sqrt())).square().clamp_min(tiny)
    c = torch.where(c.isfinite(), c, 1.0)  # a gradient of NaN: the solve fails, and others go on
    c = torch.where(found.square.isfinite() & found.c.isfinite(), found.c, c)
    return Search(problem, c, short, precision, found, polish)


@torch.no_grad()
def solve(
    problem: Problem,
    loss,
    start: BestPoints | None = None,
    *,
    polish: bool = False,
    precision: float = 1e-3,
    tolerance: float = 1e-2,
    decrease: float = 5e-4,
    memory: int = 10,
    budget: int = 2000,
    per_solve: int = 100,
) -> BestPoints:
    """The attack with ``loss(logits, targets, rows)`` on all images of ``problem``.

    start: what another solve found for the same images: its points are
    where this one starts, its c are the first, only what is nearer replaces them, and its
    evaluations count; it is changed, and returned. polish: keep any point seen on the way that
    succeeds with less, and go to the boundary at the end; False is the paper's method, whose
    answers are minimisers. precision: of the search for c; tolerance, decrease, memory, budget,
    per_solve: of the engine (:func:`course_lib.lbfgsb.minimize`). Ctrl-C raises KeyboardInterrupt.
    """
    x = problem.x
    found = BestPoints.nothing(problem, Status.FAILED) if start is None else start
    evaluate = objective(problem, loss, found if polish else None)
    search = begin(problem, evaluate, precision, found, polish)
    result = lbfgsb.minimize(
        evaluate,
        found.z,  # the clean image where nothing is found yet
        0.0,
        1.0,
        centre=x,
        weight=search.c,
        restart=search.restart,
        memory=memory,
        tolerance=tolerance,
        decrease=decrease,
        max_evaluations=budget,
        per_solve=per_solve,
    )
    if (result.status == lbfgsb.Status.INTERRUPTED).any():
        raise KeyboardInterrupt
    found.evaluations += result.evaluations + 1
    if polish:
        finish(problem, found, result.x)
    success = found.square.isfinite()
    ended = torch.where(search.closed, Status.CLOSED, Status.ENDED)
    found.status = torch.where(success, ended, Status.FAILED)
    return found
