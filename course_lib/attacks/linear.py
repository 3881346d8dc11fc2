"""Networks whose logits are affine in the pixels: the exact distance to the nearest mistake.

For logits z = W x + b the paper's problem (section 4.1) is a convex quadratic program,

    min ½ |r|²  such that  z_t(x + r) >= z_j(x + r) for all j,   0 <= x + r <= 1,

with 784 unknowns, but only nine constraints beside the box: :mod:`.dual` solves it.
"""

import dataclasses

import torch
from torch import nn

from ..checked import FLOATS, shape_of, takes
from ..copies import in_double
from . import dual
from .checking import check_module, check_type
from .measures import check_labels, check_pixels, check_targets

PROBES = 8  # points at which a network is compared with its linear map
# A network is affine if it differs from its map by no more than these shares of what the logit does
# in the box, and of the logit itself: the one is far below any kink worth the name, the other is
# what float64 leaves of a logit with a large constant (an offset, a masked class).
SAME = 1e-9
ROUNDING = 1e-13
CHUNK = 2000  # images at a time


@dataclasses.dataclass(frozen=True, eq=False)
class ExactMinimum:
    """The smallest change of each image that makes it a tie with another class.

    images: (N, *shape) float64, on the boundary: at z_t = z_j, to rounding, so an attack that is to
    be seen by the network has to go a little farther; NaN where no image in the box will do.
    l2, distortion: (N,) norm and rms of the change; inf where no image in the box will do.
    targets: (N,) int64, the class that each image ties with. labels: (N,) int64, from which.
    gap: (N,) by how much l2 may be off, from the dual's lower bound and what is left of the
    constraints; inf where l2 is. multipliers: (N, classes) float64, the λ >= 0 that prove it: with
    targets Σ λ_j (w_t - w_j) is what pulls the image, without targets λ_j belongs to the plane of
    class j alone. :func:`dual_bound` checks them.
    """

    images: torch.Tensor
    distortion: torch.Tensor
    l2: torch.Tensor
    targets: torch.Tensor
    labels: torch.Tensor
    gap: torch.Tensor
    multipliers: torch.Tensor

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


@torch.inference_mode(False)
def linear_map(net: nn.Module, image_shape) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights (classes, pixels) and biases (classes,) of a network with affine logits, float64.

    Any module will do, with however many layers, in any floating-point type: they are its
    derivatives at the grey image, in float64, and are compared with its logits at other images in
    [0, 1]. image_shape: of one image, without the batch. Nothing of ``net`` is changed; the result
    lies on its device (on the CPU for MPS, which has no float64).

    Raises ValueError, with a sentence, if the logits are not affine in the pixels, if they are not
    (N, classes) or not finite, and if the network answers differently when asked again.
    """
    check_module(net)
    return _affine(in_double(net), shape_of(image_shape))


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
            found = dual.nearest(x[rows], weight, bias, targets[rows])
            lam = x.new_zeros(len(rows), len(bias))
            lam.scatter_add_(1, found.classes, found.multipliers)
            parts.append((found.images, found.square.sqrt(), found.gap, targets[rows], lam))
    if not parts:
        parts = [(x, x.new_empty(0), x.new_empty(0), labels, x.new_empty(0, len(bias)))]
    found, l2, gap, reached, lam = (torch.cat(column) for column in zip(*parts, strict=True))
    shape = (len(images), *images.shape[1:])
    rms = l2 / x.shape[1] ** 0.5
    return ExactMinimum(found.reshape(shape), rms, l2, reached, labels, gap, lam)


@takes(multipliers=FLOATS)
def dual_bound(net, images, multipliers, targets=None, labels=None) -> torch.Tensor:
    """(N,) float64: a lower bound of the L2 distance within [0, 1] to each image's mistake.

    For any multipliers (N, classes) >= 0, those of :class:`ExactMinimum` or other ones: nothing
    that the search did is trusted. With targets t, for z = clip(x + Σ λ_j (w_t - w_j), 0, 1),

        ½ |z - x|² - Σ λ_j (z_t - z_j)(z)

    is at most ½ |z' - x|² of every z' in the box that reaches t (weak duality), less its rounding
    in float64. Without targets the same for the plane of each other class j alone, with the pull
    λ_j (w_j - w_y); the least of these is the bound. A problem without a solution has a bound that
    exceeds the distance of every image in the box. The rest as :func:`exact_minimum`; the linear
    map is what :func:`linear_map` makes of the network.
    """
    weight, bias, labels, targets = _prepare(net, images, targets, labels)
    x, lam = _flat(images, weight), multipliers.to(weight)
    if lam.shape != (len(x), len(bias)):
        raise ValueError(
            f"The multipliers are (images, classes), here {(len(x), len(bias))}, not "
            f"{tuple(lam.shape)}."
        )
    if not (lam >= 0).all():
        raise ValueError("The multipliers must be 0 or more, and none NaN.")
    bounds = []
    for rows in torch.arange(len(x), device=x.device).split(CHUNK // len(bias) + 1):
        of = (labels if targets is None else targets)[rows]
        a = weight[of][:, None] - weight
        d = bias[of][:, None] - bias
        if targets is not None:
            bounds.append(dual.lower_bound(x[rows], a, d, lam[rows]))
            continue
        many = x[rows].repeat_interleave(len(bias), 0)
        planes = -a.flatten(0, 1)[:, None], -d.reshape(-1, 1)
        each = dual.lower_bound(many, *planes, lam[rows].reshape(-1, 1))
        bounds.append(each.view(len(rows), -1).scatter(1, of[:, None], torch.inf).amin(1))
    return torch.cat(bounds) if bounds else x.new_empty(0)


# --- the network -----------------------------------------------------------------------------


def _affine(double: nn.Module, shape: tuple[int, ...], common: bool = False):
    """Weights and biases of ``double``, compared with it at probes, or a ValueError.

    common: whether a term that all logits share, as that of log-softmax, may be what it likes: the
    map is then that of the differences to one class, which decide what the network answers.
    """
    tensors = [*double.parameters(), *double.buffers()]
    where = tensors[0].device if tensors else torch.device("cpu")
    black = torch.zeros(1, *shape, dtype=torch.float64, device=where)
    try:
        with torch.no_grad():
            bias = double(black)
    except Exception as error:
        raise ValueError(
            f"This network does not take images of the shape {shape} in float64 ({error}): give "
            "images as it was made for, and let its forward keep their type."
        ) from error
    check_type(bias)
    if bias.ndim != 2 or len(bias) != 1 or bias.shape[1] < 2:
        raise ValueError(
            f"A network gives logits (N, classes), at least two; for one image this one gives "
            f"the shape {tuple(bias.shape)}."
        )
    # the class that leads: never one that is masked, whose size would be everybody's rounding
    of = int(bias[0].argmax()) if common else None
    bias = _from(bias, of)[0]
    with torch.enable_grad():
        grey = torch.full_like(black, 0.5).requires_grad_()  # at 0 a rectified pixel has a kink
        logits = _from(double(grey), of)
        unit = torch.eye(len(bias), dtype=logits.dtype, device=logits.device)[:, None]
        rows = [
            torch.autograd.grad(logits, grey, row, retain_graph=True, allow_unused=True)[0]
            for row in (unit if logits.requires_grad else [])
        ]
    zero = torch.zeros_like(black)
    rows = [zero if row is None else row for row in rows] or [zero] * len(bias)
    weight = torch.cat(rows).flatten(1).detach()
    rng = torch.Generator().manual_seed(0)
    probes = torch.rand(PROBES, *shape, generator=rng, dtype=torch.float64)
    probes[: PROBES // 2] = probes[: PROBES // 2].round()  # corners of the box
    probes = probes.to(where)
    with torch.no_grad():
        seen, again = double(probes), double(probes)
    _compare(seen, again, weight, "answers differently when asked again: call net.eval() first")
    _compare(_from(seen, of), probes.flatten(1) @ weight.T + bias, weight, NOT_AFFINE)
    return weight, bias


def _from(logits, of):
    """The logits minus that of the class ``of``; with None as they are."""
    return logits if of is None else logits - logits[:, of : of + 1]


NOT_AFFINE = (
    "does not have logits that are affine in the pixels, so its minimum cannot be had exactly: "
    "use minimal_adversarial"
)


def _compare(seen, expected, weight, problem: str) -> None:
    """Raise ValueError unless the logits (N, classes) are the same, each class by its own size: a
    masked class of -1e9 does not make the others' differences small."""
    if not (torch.isfinite(seen).all() and torch.isfinite(expected).all()):
        raise ValueError("This network gives logits that are not finite.")
    if not seen.numel():
        return
    allowed = SAME * weight.abs().sum(1) + ROUNDING * seen.abs().amax(0)
    if ((seen - expected).abs() > allowed).any():
        raise ValueError(f"This network {problem}.")


@torch.inference_mode(False)  # the map is made of gradients
def _prepare(net, images, targets, labels):
    """The linear map, labels and targets (or None), all checked, on the network's device."""
    check_pixels(images)
    check_module(net)
    double = in_double(net)
    weight, bias = _affine(double, tuple(images.shape[1:]))
    x = images.to(weight)
    with torch.no_grad():
        for few in x.split(CHUNK):  # the probes may have missed a kink; the images do not lie
            _compare(double(few), few.flatten(1) @ weight.T + bias, weight, NOT_AFFINE)
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


# --- the nearest of all classes ---------------------------------------------------------------


def _nearest(x, weight, bias, labels):
    """x (N, pixels) -> the images, l2, gap and classes of the nearest of all other classes, and
    the multipliers (N, classes) of all their planes.

    Class after class in the order of the distances without the box, as long as these, which are
    lower bounds, leave room for a nearer one.
    """
    logits = x @ weight.T + bias
    bounds_of = _planes(logits, weight, labels)
    bounds, order = bounds_of.sort(dim=1)
    best, found = torch.full_like(bounds[:, 0], float("inf")), torch.full_like(x, float("nan"))
    gap, reached = best.clone(), order[:, 0].clone()
    # without the box λ is the distance over |a|; with it this proves no less than that distance
    size = torch.cdist(weight, weight, compute_mode="donot_use_mm_for_euclid_dist")[labels]
    ahead = logits.gather(1, labels[:, None]) - logits
    # two classes of the same weights: their gap is everywhere the same, and no image is far enough
    lam = torch.where(size > 0, bounds_of / size, x.shape[1] / ahead)
    lam = lam.nan_to_num(0.0, 0.0, 0.0).clamp(min=0)
    lost = bounds[:, 0] <= 0  # a mistake as it is: distance 0, and the class that it is taken for
    best[lost], gap[lost], found[lost] = 0.0, 0.0, x[lost]
    reached[lost] = logits[lost].scatter(1, labels[lost, None], -float("inf")).argmax(1)
    for bound, classes in zip(bounds.T[:-1], order.T[:-1], strict=True):
        live = (bound < best).logical_and(best > 0).nonzero().flatten()
        if not len(live):
            break
        j = classes[live]
        y = labels[live]
        images, l2, off, one = dual.one_plane(x[live], weight[j] - weight[y], bias[j] - bias[y])
        lam[live, j] = one
        nearer = l2 < best[live]
        rows = live[nearer]
        found[rows], best[rows], gap[rows] = images[nearer], l2[nearer], off[nearer]
        reached[rows] = j[nearer]
    return found, best, gap, reached, lam
