"""Where there is no gradient to follow: along lines to points of the target, by asking alone.

A network that rounds, takes signs or is saturated has a gradient of 0, and every method that
follows one stops where it starts. That is no robustness: what is here finds points of the target by
trying, goes back along the line to the image, and puts random pixels back as long as the target
stays. What it finds is an upper bound, and nothing says how good a one.
"""

import torch

from .. import device as devices
from .problem import BestPoints, Problem
from .status import Status

TRIES = 64  # random images, of which the nearest with the target is a start
NEAREST = 8  # images of the same call that have the target, tried from the nearest on
HALVINGS = 24  # of a line: to the rounding of float32
ROUNDS = 200  # in which random pixels are put back
WEAK = 1e-6  # a gradient that in the whole box could not close this share of the gap is none


@torch.no_grad()
def without_gradient(problem: Problem) -> torch.Tensor:
    """(N,) bool: at which clean images the lead has no gradient to follow."""
    lead, normal = problem.lead_and_normal(problem.x)
    return ~(normal.abs().sum(1) > WEAK * lead.abs())


@torch.no_grad()
def solve(problem: Problem, images: torch.Tensor, classes: torch.Tensor) -> BestPoints:
    """Points of the target near the images of ``problem``; ``images`` (M, D) of the same call and
    ``classes`` (M,), which the network gives them, are where it looks first."""
    found = BestPoints.nothing(problem, Status.FAILED)
    rows = torch.arange(len(problem), device=problem.x.device)
    for other in _others(problem, images, classes):
        point = problem.as_given(other)
        there = problem.lead(point) >= 0
        if there.any():
            at = rows[there]
            found.note(problem.x, at, _back(problem.take(at), point[there]), there[there])
    at = found.square.isfinite().nonzero()[:, 0]
    if len(at):
        some = problem.take(at)
        point = _put_back(some, found.z[at])
        found.note(problem.x, at, point, torch.ones_like(at, dtype=torch.bool))
        found.status[at] = Status.ENDED
    return found


def _others(problem: Problem, images, classes):
    """Points (N, D), one after the other, that may have the targets."""
    x = problem.x
    rank = torch.cdist(x, images)
    rank.masked_fill_(classes[None] != problem.targets[:, None], torch.inf)
    for k in rank.topk(min(NEAREST, len(images)), dim=1, largest=False)[1].T:
        yield images[k]
    for value in (0.0, 0.5, 1.0):
        yield torch.full_like(x, value)
    rng = devices.generator(0)
    for k in range(TRIES):  # every other one at the corners of the box
        random = torch.rand(x.shape[1], generator=rng).to(x)
        yield (random.round() if k % 2 else random).expand_as(x)


def _back(problem: Problem, z: torch.Tensor) -> torch.Tensor:
    """The points where the lines from the images to ``z`` (n, D) come to the target."""
    low, high = torch.zeros_like(z[:, 0]), torch.ones_like(z[:, 0])
    best = z
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        point = problem.as_given(torch.lerp(problem.x, z, middle[:, None]))
        there = problem.lead(point) >= 0
        best = torch.where(there[:, None], point, best)
        high, low = torch.where(there, middle, high), torch.where(there, low, middle)
    return best


def _put_back(problem: Problem, z: torch.Tensor) -> torch.Tensor:
    """``z`` with random pixels, fewer and fewer, part of the way back at the image."""
    rng = devices.generator(1)
    x = problem.x
    pixels = x.shape[1]
    for k in range(ROUNDS):
        share = max(0.5 * (1 - k / ROUNDS), 1 / pixels)
        chosen = (torch.rand(x.shape, generator=rng) < share).to(x.device)
        step = (0.5, 1.0, 0.1)[k % 3]
        point = problem.as_given(torch.where(chosen, torch.lerp(z, x, step), z))
        z = torch.where((problem.lead(point) >= 0)[:, None], point, z)
    return _back(problem, z)
