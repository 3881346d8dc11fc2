"""What a bound can promise: radii within which no change of an image changes its class.

If z_y - z_j, as a function of the image, grows by at most K_yj per unit of distance, then no image
nearer than (z_y - z_j) / K_yj is given j in place of y. The forms differ in K alone, from the
weakest to the strongest, L being the product of section 4.3:

``"half"``   2 L: each of two logits moves by at most L
``"root"``   √2 L: z_y - z_j is (e_y - e_j)ᵀ z, and ||e_y - e_j|| = √2
``"pairs"``  ||w_y - w_j|| times the product of the layers below the last, whose rows are the w
``"tight"``  LipLT for each pair, with w_y - w_j as the last layer (:mod:`.bounds`)
``"sdp"``    the same with a multiplier for each unit and pair (:mod:`.lipsdp`; up to a minute for
             the table of a network, whatever the number of images; "tight" where there is none)
``"local"``  on the ball itself, where most units cannot reach their largest slope (:mod:`.local`)
``"box"``    the same, for changes that stay in the box [0, 1] of the pixels only
``"sdp-local"``, ``"sdp-box"``  the two with a multiplier for each unit, image and pair, found by
             ascent (:mod:`.refined`; seconds an image; "local" and "box" where there is none)

A radius is an L2 norm in pixels: 28 times the distortion on MNIST. All but "box" and "sdp-box" hold
whether or not the change stays in the box. They are for the function with these weights in exact
arithmetic: the logits are computed in float64 and what they may err by is subtracted; a network
that runs in float32 itself errs by about 1e-6 of its logits.
"""

import math

import torch
from torch import nn

from ..attacks import measures
from ..checked import TEXTS, takes
from . import graph, guard, lipsdp
from .bounds import NetworkBounds
from .kinds import rule_of
from .local import Balls
from .logarithms import exp
from .pooled import Pooled
from .refined import Refined
from .rules import UNIT
from .steps import absolute_part, device_of, run

METHODS = ("half", "root", "pairs", "tight", "local", "box")
SEARCHED = ("sdp-local", "sdp-box")  # the sizes of their bounds, for each image
SLOW = ("sdp", *SEARCHED)  # not among those that are computed unless one is asked for
# On balls, with those from which each can start: what these certify holds for it, too.
ON_BALLS = {
    "local": ("sdp", "tight"),
    "box": ("local", "sdp", "tight"),
    "sdp-local": ("local",),
    "sdp-box": ("sdp-local", "box"),
}
IN_BOX = ("box", "sdp-box")
CHUNK = 1000  # images at a time


def certified_radius(
    net: nn.Module, images: torch.Tensor, labels=None, method: str = "tight"
) -> torch.Tensor:
    """The L2 radius around each image within which ``net`` gives its label: (N,) float64.

    net: any module in eval mode that torch.fx can trace, images to logits (N, classes); images:
    (N, *shape), finite; labels: (N,), default the network's own answers; method: see the module's
    first lines. 0 where the network is wrong without any change; inf where no change of
    any size can make it wrong. Section 4.3, last paragraph but one: small bounds exclude
    adversarial examples.

    Raises TypeError or ValueError, with a sentence, for an unknown method, for what are no images
    or labels, and as :func:`~course_lib.spectral.lipschitz` for the network.
    """
    return certified_radii(net, images, labels, (method,))[method]


@takes(methods=TEXTS)
@torch.inference_mode(False)
def certified_radii(
    net: nn.Module, images: torch.Tensor, labels=None, methods=METHODS
) -> dict[str, torch.Tensor]:
    """:func:`certified_radius` by several methods, whose bounds are computed once: name -> (N,)."""
    names = (*METHODS, *SLOW)
    unknown = [method for method in methods if method not in names]
    if unknown:
        raise ValueError(
            f"There is no certificate called {unknown[0]!r}: use one of {', '.join(names)}."
        )
    check(images)
    boxed = [method for method in IN_BOX if method in methods]
    if boxed and images.numel() and (images.min() < 0 or images.max() > 1):
        raise ValueError(
            f"The certificate {boxed[0]!r} is for pixels in [0, 1]; these go from "
            f"{float(images.min()):.4g} to {float(images.max()):.4g}. Use "
            f"{boxed[0].replace('box', 'local')!r} for others."
        )
    read = graph.read(net, images.shape[1:])
    program = read.steps
    classes = program[-1].size
    if len(program[-1].shape) != 1 or classes < 2:
        raise ValueError(
            "A certificate needs logits (N, classes), at least two; for one image this network "
            f"gives the shape {program[-1].shape}."
        )
    bounds = NetworkBounds(program)
    images = images.detach().double().to(bounds.device)
    labels = checked_labels(labels, images, classes)
    wanted = {*methods, "tight"} if set(methods) & set(ON_BALLS) else set(methods)
    wanted |= {method.removeprefix("sdp-") for method in methods if method in SEARCHED}
    tables = {m: pair_slopes(bounds, m) for m in wanted if m not in ON_BALLS}
    asked = [method for method in ON_BALLS if method in wanted]
    made = {search: on_balls(bounds, search) for search in {m in SEARCHED for m in asked}}
    balls = {method: made[method in SEARCHED] for method in asked}
    found: dict[str, list[torch.Tensor]] = {method: [] for method in methods}
    for start in range(0, len(images), CHUNK):
        x = images[start : start + CHUNK]
        y = None if labels is None else labels[start : start + CHUNK]
        gaps, y = guarded_gaps(bounds, x, y)
        radii = {m: radius_of(gaps, y, table) for m, table in tables.items()}
        for method, ball in balls.items():
            known = torch.stack([radii[m] for m in ON_BALLS[method] if m in radii]).amax(0)
            radii[method] = ball.radius(x, y, gaps, known, box=method in IN_BOX)
        given = {method: radii[method] for method in methods}
        guard.check_radii(read.network, x, y, given, IN_BOX)
        for method in methods:
            found[method].append(radii[method])
    guard.check_activations(program)
    empty = images.new_zeros(0)
    return {method: torch.cat(parts) if parts else empty for method, parts in found.items()}


def certified_accuracy(radii: torch.Tensor, radius) -> float | torch.Tensor:
    """The share of images that are certainly given their label at any change up to ``radius``.

    radii: (N,) of :func:`certified_radius`, 0 where the network is wrong, so that at radius 0 it
    is the accuracy; radius: a number, or a tensor of them, whose shape the answer has.
    Raises ValueError for no radii, for a NaN among them, and for a negative radius.
    """
    try:
        radii, radius = torch.as_tensor(radii), torch.as_tensor(radius)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"Radii must be numbers: no tensor can be made of them ({error})."
        ) from None
    if not radii.is_floating_point():
        raise TypeError(
            f"The radii must be floats (N,), as of certified_radius, not {radii.dtype}."
        )
    if radii.ndim != 1 or not len(radii) or radii.isnan().any():
        raise ValueError("The radii must be a tensor (N,) of at least one number, none of it NaN.")
    if not (radius >= 0).all():
        raise ValueError("A radius is a number from 0 on.")
    share = (radii > radius.to(radii)[..., None]).double().mean(-1)
    return float(share) if radius.ndim == 0 else share


@torch.inference_mode(False)
@torch.no_grad()
def margins(net: nn.Module, images: torch.Tensor, labels=None) -> torch.Tensor:
    """z_y minus the largest other logit, (N,) float64: below 0 where the network is wrong.

    labels: (N,), default the network's own answers. Bounds of the logits are compared over these
    (:meth:`Lipschitz.over`): both double when the logits do. Raises as :func:`certified_radius`.
    """
    check(images)
    program = graph.trace(net, images.shape[1:])
    images = images.detach().double().to(device_of(program))
    labels = checked_labels(labels, images, program[-1].size)
    logits = torch.cat([run(program, x)[-1] for x in images.split(CHUNK)])
    labels = logits.argmax(1) if labels is None else labels
    own = logits.gather(1, labels[:, None])
    return (own - logits.scatter(1, labels[:, None], -torch.inf)).amin(1)


# --- what the methods share -------------------------------------------------------------------


def check(images: torch.Tensor) -> None:
    """Raise TypeError or ValueError, with a sentence, for what are no images (N, *shape)."""
    if not isinstance(images, torch.Tensor) or not images.is_floating_point():
        raise TypeError(
            "Images must be a float tensor (N, *shape); for bytes, images.float() / 255."
        )
    measures.check_pixels(images, box=False)


def checked_labels(labels, images: torch.Tensor, classes: int) -> torch.Tensor | None:
    """``labels`` as a tensor (N,) int64 beside the images; raises unless they are classes."""
    if labels is None:
        return None
    return measures.check_labels(labels, len(images), classes).to(images.device)


def on_balls(bounds: NetworkBounds, ascent: bool = False) -> Balls:
    """What certifies on balls: by matrices where layers are small, else by diagonals. ascent:
    whether the sizes of its bounds are searched for each image."""
    found = Refined(bounds) if ascent else Balls(bounds)
    return found if found.able else Pooled(bounds)


def pair_slopes(bounds: NetworkBounds, method: str) -> torch.Tensor:
    """(classes, classes) log K, K the most by which z_y - z_j grows per unit of distance."""
    if method == "half":
        return bounds.whole(bounds.product[-1]) + math.log(2) / 2
    if method == "root":
        return bounds.whole(bounds.product[-1])
    if method == "sdp":
        return lipsdp.pairs(bounds)
    return bounds.pairs_product() if method == "pairs" else bounds.pairs_tight()


def radius_of(gaps: torch.Tensor, labels: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """(N,) min over j of gap_j / K_yj, rounded down, 0 where a gap is not above 0.

    gaps: (N, classes) z_y - z_j, inf for j = y; table: log K. In logarithms, because K may
    leave the range of a float."""
    ratio = (gaps.clamp_min(0).log() - table[labels]).exp() * (1 - 16 * UNIT)
    ratio = torch.where(gaps > 0, ratio, 0.0)
    return ratio.scatter(1, labels[:, None], torch.inf).amin(1)


@torch.no_grad()
def guarded_gaps(bounds: NetworkBounds, x: torch.Tensor, labels=None):
    """(N, classes) z_y - z_j, less what rounding may have added to it, inf for j = y; and the
    labels, the network's own answers where there are none."""
    logits, error = logits_with_error(bounds, x)
    labels = logits.argmax(1) if labels is None else labels
    own = labels[:, None]
    gaps = logits.gather(1, own) - logits - (error.gather(1, own) + error) * (1 + 4 * UNIT)
    gaps = gaps - 2 * UNIT * logits.abs()
    return gaps.scatter(1, own, torch.inf), labels


def logits_with_error(bounds: NetworkBounds, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits in float64 and, element by element, a bound of their rounding errors.

    A sum of n products errs by at most γ = n u / (1 - n u) times the sum of their absolute values,
    whatever its order (Higham, Accuracy and Stability, section 3.1), and errors of the inputs pass
    through |W|. A function with slopes up to s passes s times the error on.
    """
    values, errors = [x], [torch.zeros_like(x)]
    for i, step in enumerate(bounds.steps[1:], 1):
        inputs, passed = [values[j] for j in step.inputs], [errors[j] for j in step.inputs]
        value = step.apply(inputs)
        gamma = 1.01 * UNIT * (inputs[0][0].numel() + 16)
        if step.kind == "affine":
            whole = absolute_part(step.module, offset=True)(inputs[0].abs())
            error = absolute_part(step.module)(passed[0]) * (1 + gamma) + gamma * whole
        elif step.kind == "slope":
            steepest = step.slopes.steepest
            error = steepest * passed[0] + 16 * UNIT * (value.abs() + steepest * inputs[0].abs())
        elif step.kind == "lipschitz" and rule_of(step.module).selects:
            error = step.module(passed[0])
        elif step.kind == "lipschitz":  # only the norm of its error is known
            sizes = [v.flatten(1).norm(dim=1) for v in (passed[0], inputs[0], value)]
            constant = exp(bounds.norms[i])
            total = constant * sizes[0] + gamma * (constant * sizes[1] + sizes[2])
            error = torch.ones_like(value) * total.reshape(-1, *[1] * (value.ndim - 1))
        elif step.kind == "sum":
            error = sum(passed) + 4 * UNIT * sum(v.abs() for v in inputs)
        else:
            error = step.apply(passed)
        values.append(value)
        errors.append(error)
    return values[-1], errors[-1]
