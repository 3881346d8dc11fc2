"""A bound of a network from below: the largest slope that is found.

Any slope that is really found is a bound, whatever led to it: here gradient ascent, and the norms
of Jacobians where it ends.
"""

import copy
import dataclasses

import torch

from .steps import Step, device_of, multiplications, run

ASCENT = 1e11  # multiplications for the search of a large Jacobian
# Many rounds from one start find more than few from many: a deep network's slope still grows.
STARTS, ROUNDS, FEWEST = 32, 150, 30
LONGEST, LEAST = 6e11, 12  # multiplications that these few may take, and how many there are then
STEPS = (0.01, 0.02)  # of x, as an rms over the pixels, of the starts in turn; 0 in the end
SINGLE = 3e9  # multiplications of a gradient from which on the search is done in float32
AGREES = 1e-2  # relative: what a slope in float32 may be off, that a search is done in it
MOMENTUM = 0.9  # of the directions of x: at kinks they turn to and fro


def largest_slope(
    steps: list[Step], starts: int | None = None, rounds: int | None = None, seed: int = 0
) -> tuple[float, torch.Tensor]:
    """The largest slope ||φ(x + h v) - φ(x - h v)|| / 2h found by gradient ascent, and its x.

    Ascent in x with momentum, from many starts, beside power iterations in v; h shrinks from one
    that sees past the kinks of a rectified network (whose Jacobian is constant between them, so
    that its own gradient says nothing) to a small one. Where there are few outputs, the norms of
    the Jacobians at the ends are computed in full. Every such quotient is a lower bound of L,
    whatever led to it; a part of 1e-9 is taken off for rounding.
    """
    work = 6 * sum(multiplications(step) for step in steps)
    starts = starts or max(1, min(STARTS, int(ASCENT / ROUNDS / work)))
    fewest = max(LEAST, min(FEWEST, int(LONGEST / work)))
    rounds = rounds or max(fewest, min(ROUNDS, int(ASCENT / work / starts)))
    shape = steps[0].shape
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(starts, *shape, generator=rng, dtype=torch.float64)
    x[::2] = torch.rand(x[::2].shape, generator=rng, dtype=torch.float64)
    v = unit(torch.randn(starts, *shape, generator=rng, dtype=torch.float64))
    x, v = x.to(device_of(steps)), v.to(device_of(steps))
    size = steps[0].size ** 0.5
    lengths = x.new_tensor(STEPS).repeat(starts)[:starts].reshape(-1, *[1] * len(shape)) * size
    quick = steps if work < SINGLE else in_single(steps, x, v, 3e-4 * size)
    if quick is not steps:
        x, v, lengths = x.float(), v.float(), lengths.float()
    best, place, way, end = 0.0, x[0], torch.zeros_like(x), None
    for k in range(rounds):
        h = size * 0.03 * 0.01 ** (k / max(rounds - 1, 1))
        with torch.enable_grad():
            x, v = x.detach().requires_grad_(), v.detach().requires_grad_()
            slopes = quotients(quick, x, v, h)
            if not slopes.isfinite().all() or not (slopes > 0).any():
                break
            gx, gv = torch.autograd.grad(slopes.clamp_min(1e-300).log().sum(), (x, v))
        slopes = slopes.detach()
        top = int(slopes.argmax())
        if float(slopes[top]) > best:
            best, place = float(slopes[top]), x[top].detach().clone()
            end = v[top].detach().clone(), h
        v = unit(torch.where(gv.abs().amax() > 0, gv, v.detach()))
        way = MOMENTUM * way + unit(gx)
        x = x.detach() + lengths * (1 - k / rounds) * unit(way)
    if quick is not steps:  # what was found counts as it is in float64
        x, place = x.double(), place.double()
        best = 0.0
        if end is not None:
            with torch.no_grad():
                best = float(quotients(steps, place[None], unit(end[0][None].double()), end[1])[0])
    if steps[-1].size <= 32:
        norms = jacobian_norms(steps, x.detach())
        top = int(norms.argmax())
        if float(norms[top]) > best:
            best, place = float(norms[top]), x[top].detach()
    return best * (1 - 1e-9), place


def quotients(steps: list[Step], x: torch.Tensor, v: torch.Tensor, h: float) -> torch.Tensor:
    """(N,) the slopes from x - h v to x + h v, of unit vectors v."""
    both = run(steps, torch.cat([x + h * v, x - h * v]))[-1].flatten(1)
    return (both[: len(x)] - both[len(x) :]).norm(dim=1) / (2 * h)


@torch.no_grad()
def in_single(steps: list[Step], x: torch.Tensor, v: torch.Tensor, h: float) -> list[Step]:
    """The steps in float32; as they are if they agree too little there, as where the logits hardly
    depend on the image."""
    single = [
        step if step.module is None else dataclasses.replace(step, module=in_floats(step.module))
        for step in steps
    ]
    exact, found = (
        quotients(steps, x[:1], v[:1], h),
        quotients(single, x[:1].float(), v[:1].float(), h),
    )
    return single if bool((found - exact).abs() <= AGREES * exact) else steps


def in_floats(module: torch.nn.Module) -> torch.nn.Module:
    return copy.deepcopy(module).float()


def unit(x: torch.Tensor) -> torch.Tensor:
    """Each row of ``x`` at length 1 (or 0)."""
    norms = x.flatten(1).norm(dim=1).clamp_min(1e-300)
    return x / norms.reshape(-1, *[1] * (x.ndim - 1))


def jacobian_norms(steps: list[Step], x: torch.Tensor) -> torch.Tensor:
    """(N,) the largest singular value of the Jacobian at each of the images ``x``."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        out = run(steps, x)[-1].flatten(1)
        rows = [
            torch.autograd.grad(out[:, i].sum(), x, retain_graph=True)[0].flatten(1)
            for i in range(out.shape[1])
        ]
    return torch.linalg.svdvals(torch.stack(rows, 1))[:, 0]
