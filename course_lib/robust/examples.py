"""Adversarial examples at any place of a network, in three ways: a step, several, the attack.

``above`` is what stands above the place, a module in eval mode from (N, *shape) to logits
(N, classes); ``values`` (N, *shape) are what is at the place, in [0, ceiling], and so are the
examples. All lengths are L2, in the units of the place: of pixels, or of activations.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn

from .. import attacks

# An attack needs a box and a rectified unit has no upper wall: one is put at so many times the
# largest activation seen, where an example has no business. The examples found are examples all
# the same, and the nearest ones unless one of them touches that wall.
ROOM = 2.0
# gradients that the attack's other ways get where quadratic programming does not settle: a pool
# needs examples that are near, not a record of the nearest
STEPS = 10


def of_length(direction: torch.Tensor, length) -> torch.Tensor:
    """Each row of ``direction`` (N, *shape) with the L2 norm ``length``, a number or (N,) of them;
    a row of zeros, which points nowhere, stays one."""
    norms = direction.flatten(1).norm(dim=1).clamp_min(torch.finfo(direction.dtype).tiny)
    return direction * (length / norms).view(-1, *[1] * (direction.ndim - 1))


def ascent(above: nn.Module, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The gradient of the cross-entropy with respect to ``values``: (N, *shape)."""
    with torch.enable_grad():
        x = values.detach().requires_grad_()
        loss = F.cross_entropy(above(x), labels, reduction="sum")
        return torch.autograd.grad(loss, x)[0]


def single_step(
    above: nn.Module, values: torch.Tensor, labels: torch.Tensor, length, ceiling: float = 1.0
) -> torch.Tensor:
    """One step of L2 length ``length`` up the gradient of the loss, then back into the box.

    The worst change of that length for a loss that is linear; the box makes some of them shorter.
    Miyato, Dai, Goodfellow (ICLR 2017, arXiv 1605.07725) use it, on activations (embeddings) too.
    Returns (N, *shape).
    """
    return (values + of_length(ascent(above, values, labels), length)).clamp(0, ceiling)


def several_steps(
    above: nn.Module,
    values: torch.Tensor,
    labels: torch.Tensor,
    length,
    ceiling: float = 1.0,
    steps: int = 3,
) -> torch.Tensor:
    """Projected gradient ascent in L2, from ``values``: ``steps`` steps of 1.5/steps of ``length``,
    each followed by a way back into the ball of that radius and into the box.

    Madry et al., ICLR 2018, arXiv 1706.06083, without their random start. The factor 1.5 lets a
    path that bends reach the ball's edge all the same. Returns (N, *shape).
    """
    found = values
    for _ in range(steps):
        found = found + of_length(ascent(above, found, labels), 1.5 / steps * length)
        change = found - values
        norms = change.flatten(1).norm(dim=1)
        found = values + of_length(change, torch.minimum(norms, torch.as_tensor(length).to(norms)))
        found = found.clamp(0, ceiling)
    return found


def virtual_step(
    net: nn.Module,
    images: torch.Tensor,
    logits: torch.Tensor,
    length: float,
    generator: torch.Generator,
    probe: float = 0.1,
) -> torch.Tensor:
    """The step of ``length`` that changes the network's answer most, whatever the label.

    One power iteration on the curvature of KL(answer to x, answer to x + r) at r = 0, by the
    gradient at a random r of length ``probe`` (in units of the pixels; the curvature does not
    depend on it as long as it is small). Miyato et al., TPAMI 2018, arXiv 1704.03976, who do not
    keep to the box either. logits: (N, classes), of ``images``. Returns (N, *shape).
    """
    start = torch.randn(images.shape, generator=generator).to(images)
    with torch.enable_grad():
        x = (images + of_length(start, probe)).requires_grad_()
        direction = torch.autograd.grad(divergence(logits.detach(), net(x), "sum"), x)[0]
    return images + of_length(direction, length)


def divergence(before: torch.Tensor, after: torch.Tensor, over: str = "batchmean") -> torch.Tensor:
    """KL(softmax(before), softmax(after)) of logits (N, classes), their mean or their "sum"."""
    logs = before.log_softmax(1), after.log_softmax(1)
    return F.kl_div(logs[1], logs[0], reduction=over, log_target=True)


class Scaled(nn.Module):
    """``above`` for values that were divided by ``scale``."""

    def __init__(self, above: nn.Module, scale: float):
        super().__init__()
        self.above, self.scale = above, scale
        self.training = False  # a new container says that it trains; its layers know

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.above(self.scale * values)


@dataclasses.dataclass(frozen=True, eq=False)
class Nearest:
    """values: (N, *shape) the examples; success: (N,) bool, whether ``above`` gives them another
    class than their label; distance: (N,) their L2 distance, 0 for a mistake from the start."""

    values: torch.Tensor
    success: torch.Tensor
    distance: torch.Tensor


def nearest(
    above: nn.Module,
    values: torch.Tensor,
    labels: torch.Tensor,
    ceiling: float = 1.0,
    stretch: float = 1.0,
) -> Nearest:
    """The nearest values that ``above`` gives the class that came second: the paper's attack, by
    :func:`attacks.minimal_adversarial`, at any place (section 4.1 and the end of 4.2).

    stretch: by how much the change is multiplied, and clipped into the box; from 1 on it is across
    the boundary of a network that is nearly linear there, 1 is just across of any. What is a
    mistake already is returned as it is, a success. Where there is no ceiling, the box ends at
    :data:`ROOM` times the largest of ``values``. Raises as the attack does, so for a layer in train
    mode where that matters.
    """
    with torch.no_grad():
        logits = above(values)
    first, second = logits.topk(2, dim=1)[1].T
    right = first == labels
    found = values.clone()
    if right.any():
        scale = 1.0 if math.isfinite(ceiling) else ROOM * float(values.max().clamp_min(1e-6))
        attack = attacks.minimal_adversarial(
            Scaled(above, scale),
            (values[right] / scale).clamp(0, 1),
            targets=second[right],
            labels=labels[right],
            steps=STEPS,
        )
        change = scale * attack.images.to(values) - values[right]
        found[right] = (values[right] + stretch * change).clamp(0, ceiling)
    with torch.no_grad():
        success = above(found).argmax(1) != labels
    return Nearest(found, success, (found - values).flatten(1).norm(dim=1))
