"""Networks whose logits are affine in the pixels: the exact distance to the nearest mistake.

For logits z = W x + b the paper's problem (section 4.1) is a convex quadratic program,

    min ½ |r|²  such that  z_t(x + r) >= z_j(x + r) for all j,   0 <= x + r <= 1,

with 784 unknowns, but only nine constraints beside the box. Its dual has nine unknowns λ >= 0: for
given λ the best image in the box is x(λ) = clip(x + Aᵀλ, 0, 1), the rows of A being w_t - w_j, and
the smallest r is where x(λ) satisfies the constraints, each tightly or with λ_j = 0.
"""

import copy
import dataclasses

import torch
from torch import nn

from .measures import check_labels, check_pixels, check_targets

PROBES = 8  # points at which a network is compared with its linear map
TOLERANCE = 1e-12  # of the conditions of optimality, relative to the size of the logits
CHUNK = 2000  # images at a time


@dataclasses.dataclass(frozen=True, eq=False)
class ExactMinimum:
    """The smallest change of each image that makes it a tie with another class.

    images: (N, *shape) float64, on the boundary: at z_t = z_j, to rounding, so an attack that is to
    be seen by the network has to go a little farther; NaN where no image in the box will do.
    l2, distortion: (N,) norm and rms of the change; inf where no image in the box will do.
    targets: (N,) int64, the class that each image ties with. labels: (N,) int64, from which.
    gap: (N,) by how much l2 may be off, from the dual's lower bound and what is left of the
    constraints; inf where l2 is.
    """

    images: torch.Tensor
    distortion: torch.Tensor
    l2: torch.Tensor
    targets: torch.Tensor
    labels: torch.Tensor
    gap: torch.Tensor

    def __len__(self) -> int:
        return len(self.l2)

    def __repr__(self) -> str:
        possible = torch.isfinite(self.l2)
        text = f"ExactMinimum({len(self)} images"
        if not possible.all():
            text += f", {int((~possible).sum())} without a solution in the box"
        if possible.any():
            text += f": mean distortion {float(self.distortion[possible].mean()):.5f}"
        return f"{text}, largest gap {float(self.gap[possible].max()):.1e})" if len(self) else text


def linear_map(net: nn.Module, image_shape) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights (classes, pixels) and biases (classes,) of a network with affine logits, float64.

    Any module will do, with however many layers, in any floating-point type: they are its
    derivatives at the zero image, in float64, and are compared with its logits at other images in
    [0, 1]. image_shape: of one image, without the batch. Nothing of ``net`` is changed; the result
    lies on its device (on the CPU for MPS, which has no float64).

    Raises ValueError, with a sentence, if the logits are not affine in the pixels, if they are not
    (N, classes) or not finite, and if the network answers differently when asked again.
    """
    return _affine(_in_double(net), tuple(image_shape))


def linear_distance(net: nn.Module, images: torch.Tensor, targets=None, labels=None):
    """The L2 distance from each image to the plane where class j ties with its label, without box.

    (z_y - z_j) / ||w_y - w_j||: (N, classes) float64, or (N,) for ``targets`` (N,). inf for j = y,
    so that a row's smallest entry belongs to the nearest class; negative where the image lies on
    the other side already. It is at most the distance within [0, 1], and at most that at which j
    beats all other classes, too. labels: (N,), default the network's own answers.
    Raises as :func:`exact_minimum`.
    """
    weight, bias, labels, targets = _prepare(net, images, targets, labels)
    logits = _flat(images, weight) @ weight.T + bias
    table = _planes(logits, weight, labels)
    return table if targets is None else table.gather(1, targets[:, None]).squeeze(1)


def exact_minimum(net: nn.Module, images: torch.Tensor, targets=None, labels=None):
    """The smallest L2 change within [0, 1] that turns each image into its target: ExactMinimum.

    net: logits affine in the pixels (:func:`linear_map`); images: (N, *shape). targets: (N,), or
    None for the nearest of all other classes, for which one constraint per class is enough: if
    another class k beat j at the nearest point of j's plane, the way there would have crossed k's
    plane before, and k would be nearer. labels: (N,), default the network's own answers. An image
    that is in its target already (with targets=None: not in its label) has distance 0.

    The dual is solved by Newton's method, in float64, on the network's device, 2000 images at a
    time; :attr:`ExactMinimum.gap` says how well (about 1e-12). Section 4.1, problem 1.

    Raises TypeError or ValueError, with a sentence, for pixels outside [0, 1], for targets or
    labels that are not (N,) classes, for a target that is the label, and as :func:`linear_map`.
    """
    weight, bias, labels, targets = _prepare(net, images, targets, labels)
    x = _flat(images, weight)
    parts = []
    for rows in torch.arange(len(x), device=x.device).split(CHUNK):
        if targets is None:
            parts.append(_nearest(x[rows], weight, bias, labels[rows]))
        else:
            parts.append((*_targeted(x[rows], weight, bias, targets[rows]), targets[rows]))
    if not parts:
        parts = [(x, x.new_empty(0), x.new_empty(0), labels)]
    found, l2, gap, reached = (torch.cat(column) for column in zip(*parts, strict=True))
    shape = (len(images), *images.shape[1:])
    rms = l2 / x.shape[1] ** 0.5
    return ExactMinimum(found.reshape(shape), rms, l2, reached, labels, gap)


# --- the network -----------------------------------------------------------------------------


def _in_double(net: nn.Module) -> nn.Module:
    tensors = [*net.parameters(), *net.buffers()]
    where = tensors[0].device if tensors else torch.device("cpu")
    double = copy.deepcopy(net)
    if where.type == "mps":
        double = double.cpu()
    return double.double().requires_grad_(False)


def _affine(double: nn.Module, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    tensors = [*double.parameters(), *double.buffers()]
    where = tensors[0].device if tensors else torch.device("cpu")
    with torch.enable_grad():
        black = torch.zeros(1, *shape, dtype=torch.float64, device=where).requires_grad_()
        logits = double(black)
        if logits.ndim != 2 or len(logits) != 1 or logits.shape[1] < 2:
            raise ValueError(
                f"A network gives logits (N, classes), at least two; for one image this one gives "
                f"the shape {tuple(logits.shape)}."
            )
        rows = [
            torch.autograd.grad(z, black, retain_graph=True, allow_unused=True)[0]
            for z in (logits[0] if logits.requires_grad else [])
        ]
    zero = torch.zeros_like(black)
    rows = [zero if row is None else row for row in rows] or [zero] * logits.shape[1]
    weight, bias = torch.cat(rows).flatten(1).detach(), logits[0].detach()
    rng = torch.Generator().manual_seed(0)
    probes = torch.rand(PROBES, *shape, generator=rng, dtype=torch.float64)
    probes[: PROBES // 2] = probes[: PROBES // 2].round()  # corners of the box
    probes = probes.to(where)
    with torch.no_grad():
        seen, again = double(probes), double(probes)
    _compare(seen, again, "answers differently when asked again: call net.eval() first")
    _compare(seen, probes.flatten(1) @ weight.T + bias, NOT_AFFINE)
    return weight, bias


NOT_AFFINE = (
    "does not have logits that are affine in the pixels, so its minimum cannot be had exactly: "
    "use minimal_adversarial"
)


def _compare(seen: torch.Tensor, expected: torch.Tensor, problem: str) -> None:
    if not (torch.isfinite(seen).all() and torch.isfinite(expected).all()):
        raise ValueError("This network gives logits that are not finite.")
    if seen.numel() and (seen - expected).abs().max() > 1e-9 * (1 + seen.abs().max()):
        raise ValueError(f"This network {problem}.")


def _prepare(net, images, targets, labels):
    """The linear map, labels and targets (or None), all checked, on the network's device."""
    check_pixels(images)
    double = _in_double(net)
    weight, bias = _affine(double, tuple(images.shape[1:]))
    x = images.to(weight)
    with torch.no_grad():
        for few in x.split(CHUNK):  # the probes may have missed a kink; the images do not lie
            _compare(double(few), few.flatten(1) @ weight.T + bias, NOT_AFFINE)
    if labels is None:
        labels = (x.flatten(1) @ weight.T + bias).argmax(1)
    labels = check_labels(labels, len(x), len(bias)).to(weight.device)
    if targets is not None:
        targets = check_targets(targets, labels, len(bias))
    return weight, bias, labels, targets


def _flat(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return images.to(weight).flatten(1)


def _planes(logits, weight, labels) -> torch.Tensor:
    """The table of linear_distance, from logits (N, classes)."""
    distances = torch.cdist(weight, weight, compute_mode="donot_use_mm_for_euclid_dist")
    ahead = logits.gather(1, labels[:, None]) - logits
    table = ahead / distances[labels]
    table = torch.where(ahead == 0, ahead, table)  # a tie of two equal classes is 0, not 0/0
    return table.scatter(1, labels[:, None], float("inf"))


# --- the dual --------------------------------------------------------------------------------


def _targeted(x, weight, bias, targets):
    """x (N, pixels) -> the images, l2 and gap of the problem with all constraints z_t >= z_j."""
    classes = len(bias)
    others = torch.arange(classes - 1, device=x.device).expand(len(x), -1)
    others = others + (others >= targets[:, None]).long()
    unit = torch.eye(classes, dtype=x.dtype, device=x.device)
    return _solve(x, weight, bias, unit[targets][:, None] - unit[others])


def _nearest(x, weight, bias, labels):
    """x (N, pixels) -> the images, l2, gap and classes of the nearest of all other classes.

    Class after class in the order of the distances without the box, as long as these, which are
    lower bounds, leave room for a nearer one.
    """
    unit = torch.eye(len(bias), dtype=x.dtype, device=x.device)
    logits = x @ weight.T + bias
    bounds, order = _planes(logits, weight, labels).sort(dim=1)
    best, found = torch.full_like(bounds[:, 0], float("inf")), torch.full_like(x, float("nan"))
    gap, reached = best.clone(), order[:, 0].clone()
    lost = bounds[:, 0] <= 0  # a mistake as it is: distance 0, and the class that it is taken for
    best[lost], gap[lost], found[lost] = 0.0, 0.0, x[lost]
    reached[lost] = logits[lost].scatter(1, labels[lost, None], -float("inf")).argmax(1)
    for bound, classes in zip(bounds.T[:-1], order.T[:-1], strict=True):
        live = (bound < best).logical_and(best > 0).nonzero().flatten()
        if not len(live):
            break
        j = classes[live]
        images, l2, off = _solve(x[live], weight, bias, (unit[j] - unit[labels[live]])[:, None])
        nearer = l2 < best[live]
        rows = live[nearer]
        found[rows], best[rows], gap[rows] = images[nearer], l2[nearer], off[nearer]
        reached[rows] = j[nearer]
    return found, best, gap, reached


@dataclasses.dataclass(frozen=True, eq=False)
class _DualState:
    """P problems at some multipliers λ. constraints: (P, m) at x(λ); half_square: (P,) ½|r|²; free:
    (P, pixels) bool, where x(λ) is inside the box."""

    constraints: torch.Tensor
    half_square: torch.Tensor
    free: torch.Tensor

    def __getitem__(self, rows) -> "_DualState":
        return _DualState(self.constraints[rows], self.half_square[rows], self.free[rows])

    def __setitem__(self, rows, other: "_DualState") -> None:
        self.constraints[rows] = other.constraints
        self.half_square[rows] = other.half_square
        self.free[rows] = other.free

    def value(self, multipliers):
        """(P,) minus the dual function: λ · constraints - ½|r|²."""
        return (multipliers * self.constraints).sum(1) - self.half_square


class _Dual:
    """The dual of P problems: x (P, pixels), one image each; signs (P, m, classes), so that the
    constraints are signs @ (W x' + b) >= 0; multipliers (P, m)."""

    def __init__(self, x, weight, bias, signs):
        self.x, self.weight, self.bias, self.signs = x, weight, bias, signs

    def __getitem__(self, rows) -> "_Dual":
        return _Dual(self.x[rows], self.weight, self.bias, self.signs[rows])

    def point(self, multipliers):
        """x(λ) before it is clipped to the box (P, pixels)."""
        return self.x + torch.einsum("pm,pmk->pk", multipliers, self.signs) @ self.weight

    def at(self, multipliers) -> _DualState:
        """The state at x(λ)."""
        raw = self.point(multipliers)
        clipped = raw.clamp(0, 1)
        logits = clipped @ self.weight.T + self.bias
        constraints = torch.einsum("pmk,pk->pm", self.signs, logits)
        half_square = (clipped - self.x).square().sum(1) / 2
        return _DualState(constraints, half_square, raw == clipped)

    def curvature(self, free, products):
        """A_F A_Fᵀ (P, m, m) over the free pixels F; products: (classes², pixels), w_i w_j."""
        classes = len(self.bias)
        gram = (free.to(self.x.dtype) @ products.T).reshape(-1, classes, classes)
        return self.signs @ gram @ self.signs.mT


def _solve(x, weight, bias, signs, steps: int = 200):
    """Images (P, pixels), l2 (P,) and gap (P,) of min |r| with signs @ (W (x + r) + b) >= 0.

    Projected Newton steps on the convex, piecewise quadratic -dual(λ), whose gradient is the
    constraints at x(λ), whose curvature is A_F A_Fᵀ: multipliers at 0 with their constraint
    satisfied rest, a system is solved for the others, the step is halved until the function falls.
    The more halvings, the more of the identity is added to the next system (Levenberg), because a
    system that is singular, as with fewer free pixels than constraints, makes steps of no use.
    With one constraint this is Newton's method on an increasing concave function of λ, and
    approaches its root from the left, without a halving.
    """
    problem = _Dual(x, weight, bias, signs)
    products = (weight[:, None] * weight[None]).flatten(0, 1)
    norms = torch.diagonal(signs @ (weight @ weight.T) @ signs.mT, dim1=1, dim2=2)
    farthest = torch.maximum(x, 1 - x).square().sum(1) / 2  # no image in the box is farther
    lam = x.new_zeros(signs.shape[:2])
    scale = 1 + (x @ weight.T + bias).abs().amax(1)
    damping = torch.full_like(scale, 1e-13)
    live = torch.arange(len(x), device=x.device)
    impossible = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    state = problem.at(lam)
    for _ in range(steps):
        now = lam[live]
        off = torch.minimum(state.constraints, now * norms[live]).abs().amax(1)  # 0: the optimum
        lost = -state.value(now) > farthest[live] * (1 + 1e-9)  # the dual exceeds any primal
        impossible[live[lost]] = True
        going = (off > TOLERANCE * scale[live]) & ~lost
        if not going.any():
            break
        live, now, state = live[going], now[going], state[going]
        part = problem[live]
        added = damping[live, None] * norms[live].amax(1, keepdim=True) + 1e-300
        step = _newton_step(part.curvature(state.free, products), state.constraints, now, added)
        lam[live], state, length = _descend(part, now, step, state)
        more = torch.where(length < 1, length**-2, 0.1)
        damping[live] = (damping[live] * more).clamp(1e-13, 1.0)
    return _result(problem, lam, norms, impossible)


def _newton_step(curvature, c, lam, added):
    """A direction (P, m) from the curvature (P, m, m), the constraints c and the multipliers;
    added: (P, 1), to the diagonal."""
    rests = (lam <= 0) & (c >= 0)
    moves = (~rests).to(c.dtype)
    system = curvature * moves[:, :, None] * moves[:, None, :]
    system = system + torch.diag_embed(torch.where(rests, torch.ones_like(c), added))
    return torch.linalg.solve(system, -(c * moves)[..., None])[..., 0]


def _descend(problem, lam, step, before: _DualState):
    """The multipliers after the longest of the steps 1, 1/2, 1/4, ... that lowers -dual, and the
    problem's state there, and the lengths (P,). before: the state at ``lam``."""
    value = before.value(lam)
    length = torch.ones_like(value)
    new = (lam + step).clamp(min=0)
    state = problem.at(new)
    for _ in range(40):
        change = new - lam
        lower = state.value(new) <= value + 1e-4 * (before.constraints * change).sum(1)
        # near the optimum the values are equal to rounding; a slope that still falls is a proof
        lower |= (state.constraints * change).sum(1) <= 0
        again = (~lower).nonzero().flatten()
        if not len(again):
            break
        length[again] /= 2
        new[again] = (lam[again] + length[again, None] * step[again]).clamp(min=0)
        state[again] = problem[again].at(new[again])
    return new, state, length


def _result(problem, lam, norms, impossible):
    """What _solve returns, from the multipliers that it ended with."""
    state = problem.at(lam)
    images = problem.point(lam).clamp(0, 1)
    l2 = (2 * state.half_square).sqrt()
    bound = (2 * (-state.value(lam)).clamp(min=0)).sqrt()
    short = ((-state.constraints).clamp(min=0) / norms.sqrt().clamp(min=1e-300)).amax(1)
    gap = (l2 - bound).abs() + short
    infinite = torch.full_like(l2, float("inf"))
    images = torch.where(impossible[:, None], float("nan"), images)
    return images, torch.where(impossible, infinite, l2), torch.where(impossible, infinite, gap)
