"""The attack on a network that is linear in the pixels: not searched for, but computed.

Whether a network is linear is asked of what it computes, not of its layers: its logits at points of
the box, the images and the points that come out must be those of one affine map, but for a term
that all classes share. The map is taken from a copy in float64; what is returned is judged by the
network as it runs.
"""

import dataclasses

import torch

from ..copies import in_double
from . import conditions, dual, linear
from .asking import Asked
from .checking import STEPS
from .problem import BestPoints, Problem
from .status import Status

SOME = 8  # images whose middle points tell most networks from a linear one, at little cost
BENT = 1e-3  # of what the logits vary by: more is no rounding
# Units of rounding of the sum of the terms, |w| · x: 784 of them, added in any order, were never
# seen to be off by more than 2.3, and two sums may be.
TERMS = 5
VISIBLE = 8e-4  # of the clean image's gap: a lead that is within a thousandth of the distance
GAP = 1e-6  # by how much the dual may leave the distance open, as a share of it
MORE = (1.0, 2.0, 4.0, 16.0)  # times the lead: what the rounding of the pixels takes, is added


@dataclasses.dataclass(frozen=True, eq=False)
class Map:
    """weight (classes, pixels) and bias (classes,), float64: the logits but for a common term.
    rounding: (N,) for the clean images, by how much two logits of the network as it runs may come
    nearer than by this map, twice."""

    weight: torch.Tensor
    bias: torch.Tensor
    rounding: torch.Tensor


@torch.no_grad()
def recognise(asked: Asked, images: torch.Tensor, clean, chunk: int) -> Map | None:
    """The map of the network if it is linear, else None. images: (N, *shape), the clean ones;
    clean: what the network says of them (:class:`.checking.Clean`); chunk: the most at a time."""
    few = min(SOME, chunk)
    of = clean.logits[0].argmax()

    def from_one(logits):
        return logits - logits[:, of, None]

    x = images[:few]
    step = 8 * asked.epsilon() * clean.logits[:few].abs()
    allowed = BENT * clean.varies.amax() + step + step[:, of, None]
    ends = from_one(clean.logits[:few])
    for other, end in ((1 - x, None), (x.flip(0), ends.flip(0))):
        end = from_one(asked(other)) if end is None else end
        if not ((from_one(asked((x + other) / 2)) - (ends + end) / 2).abs() <= allowed).all():
            return None
    try:
        double = in_double(asked.net)
        weight, bias = linear._affine(double, tuple(images.shape[1:]), common=True)
    except Exception:  # it cannot be copied, or computed in float64, or is not linear
        return None
    weight, bias = weight.to(images.device), bias.to(images.device)
    expected = images.flatten(1).to(weight) @ weight.T + bias
    step = 8 * asked.epsilon() * clean.logits.abs()
    step = step + step[:, of, None]
    off = (from_one(clean.logits.to(weight)) - from_one(expected)).abs()
    if not (off <= BENT * clean.varies[:, None] + step).all():
        return None
    # a class that is masked has a rounding of its own, which nobody's lead has to exceed
    plain = step <= BENT * clean.varies[:, None]
    size = _size(clean.logits, clean.varies)
    seen = (off / size)[plain]
    # two such errors, and more where few were seen: the largest of ten is no largest
    several = 2 + 20 / max(len(seen), 1) ** 0.5
    seen = several * float(seen.amax()) * size[:, 0] if len(seen) else 0 * size[:, 0]
    # other sizes of a batch are summed in another order: what that has to do with the terms summed
    terms = images.flatten(1).to(weight) @ weight.abs().T
    terms = torch.where(plain, terms, 0.0).amax(1)
    return Map(weight, bias, torch.maximum(seen, TERMS * asked.epsilon() * terms.to(seen)))


def lead(of: Map, clean, epsilon: float, gap):
    """(N,) the lead that counts as success: what rounding may take, with something to spare; where
    that shows in the distance, less is spared, but no success is then told unless the network gives
    it to the image alone as well. clean: :class:`.checking.Clean`; gap: (N,) of the clean images.
    """
    least = STEPS * epsilon * clean.logits.amax(1).abs()
    return torch.maximum(torch.minimum(of.rounding, VISIBLE * gap), least)


def _size(logits, varies):
    """(N, 1) the size of what is rounded: the leading logit, or what the logits vary by."""
    return torch.maximum(logits.amax(1).abs(), varies)[:, None].clamp_min(
        torch.finfo(logits.dtype).tiny
    )


@torch.no_grad()
def solve(problem: Problem, of: Map, others: int = 1) -> tuple[BestPoints, torch.Tensor]:
    """The nearest images, and (N,) bool: for which problems that is the last word.

    others: how many problems in a row belong to one image; those that cannot be its nearest are not
    solved, and done. A problem that no image in the box solves is done as well, and has failed.
    """
    found = BestPoints.nothing(problem, Status.FAILED)
    done = torch.zeros(len(problem), dtype=torch.bool, device=problem.x.device)
    if others == 1:
        _targeted(problem, of, found, done, torch.arange(len(done), device=done.device))
        return found, done
    bound = _bound(problem, of).unflatten(0, (-1, others))
    first = bound.argmin(1) + others * torch.arange(len(bound), device=bound.device)
    _targeted(problem, of, found, done, first)
    best = found.square.sqrt().unflatten(0, (-1, others)).amin(1, keepdim=True)
    near = (bound <= best).flatten()
    near[first] = False
    _targeted(problem, of, found, done, near.nonzero()[:, 0])
    best = found.square.sqrt().unflatten(0, (-1, others)).amin(1, keepdim=True)
    done |= ((bound > best) & best.isfinite()).flatten()
    return found, done


def _bound(problem: Problem, of: Map) -> torch.Tensor:
    """(N,) a distance that is not enough: that to the farthest of the target's planes, no box."""
    x = problem.x.to(of.weight)
    logits = x @ of.weight.T + of.bias
    short = logits - logits.gather(1, problem.targets[:, None]) + problem.needed[:, None]
    size = torch.cdist(of.weight, of.weight, compute_mode="donot_use_mm_for_euclid_dist")
    far = (short / size[problem.targets]).scatter(1, problem.targets[:, None], 0.0)
    return far.nan_to_num(0.0).amax(1)


def _alone(problem: Problem, z, rows) -> torch.Tensor:
    """(n,) bool: whether the points ``z``, of the ``rows`` (n,) bool, succeed without company, too;
    asked where the lead is so small that rounding could tell otherwise."""
    x = problem.x
    good = rows.clone()
    small = problem.needed >= 0.9 * VISIBLE * problem.lead(x).abs()
    for k in (rows & small).nonzero()[:, 0].tolist():
        one = problem.take(torch.tensor([k], device=x.device))
        good[k] = bool(one.lead(z[k : k + 1])[0] >= -one.needed[0] / 2)
    return good


def _tell_the_coarse(some: Problem, of: Map, found: BestPoints, rows, failed) -> None:
    """Note the problems, of ``rows``, for which no image of the box has the lead though some have
    the target: that they failed says nothing. failed: (n,) bool, which of ``some`` did."""
    if not failed.any():
        return
    few = some.take(failed.nonzero()[:, 0])
    free = dual.nearest(
        few.x.to(of.weight), of.weight, of.bias, few.targets, 0 * few.needed.to(of.weight)
    )
    found.status[rows[failed][free.possible]] = Status.COARSE


def _targeted(problem: Problem, of: Map, found: BestPoints, done, rows) -> None:
    """Solve the problems ``rows``; write into ``found`` and ``done``."""
    for times in MORE:
        if not len(rows):
            return
        some = problem.take(rows)
        x, needed = some.x.to(of.weight), some.needed.to(of.weight)
        solved = dual.nearest(x, of.weight, of.bias, some.targets, times * needed)
        if times == 1:
            done[rows[~solved.possible]] = True
            _tell_the_coarse(some, of, found, rows, ~solved.possible)
        z = some.as_given(solved.images.nan_to_num(0.5).to(some.x.dtype))
        good = solved.possible & (solved.gap <= GAP * solved.square.sqrt())
        good &= some.lead(z) >= -some.needed / 2
        good &= _alone(some, z, good)
        at, w = rows[good], of.weight
        found.note(problem.x, at, z[good], torch.ones_like(at, dtype=torch.bool))
        lam, j, t = solved.multipliers[good], solved.classes[good], some.targets[good]
        # Aᵀλ by classes: the target's weights λ's sum, the others' each its own
        share = torch.zeros(len(at), len(of.bias), dtype=w.dtype, device=w.device)
        share.scatter_add_(1, t[:, None], lam.sum(1, keepdim=True)).scatter_add_(1, j, -lam)
        logits = z[good].to(w) @ w.T + of.bias
        gaps = logits.gather(1, t[:, None]) - logits.gather(1, j) - needed[good, None]
        conditions.note(found, at, x[good], z[good].to(w), share @ w, lam, gaps)
        found.c[at] = (1 / (2 * lam.sum(1))).to(found.c.dtype)
        settled = at[conditions.hold(problem, found, at)]
        found.status[at] = Status.ENDED
        found.status[settled] = Status.SETTLED
        done[settled] = True
        rows = rows[~good & solved.possible]
    found.status[rows] = Status.COARSE  # unless another solver finds a point
