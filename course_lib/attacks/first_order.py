"""Two attacks from the network's gradient alone: a step, and a few steps. Short, to be read.

Neither solves the paper's problem; they are what came after it, and cheap. Both judge success by
asking the network about the very images that they return.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from ..checked import is_number, is_whole
from .asking import Asked
from .checking import (
    STEPS,
    check_alone,
    check_gradient,
    check_mode_matters,
    check_module,
    check_shape,
    check_weights,
    first_answer,
)
from .losses import ULPS, target_margin
from .measures import check_labels, check_pixels, distortion

BEYOND = 1e-6  # of the clean image's gap: DeepFool's steps end so far across a boundary at least


@dataclasses.dataclass(frozen=True, eq=False)
class FirstOrder:
    """images: (N, *shape), in [0, 1], of the type that came in; predictions: (N,) the network's
    answers to them; success: (N,) bool, whether these differ from ``labels`` (N,); distortion: (N,)
    the rms change. An image that was a mistake from the start is a success at distortion 0 here:
    keep such images apart in a mean."""

    images: torch.Tensor
    success: torch.Tensor
    distortion: torch.Tensor
    predictions: torch.Tensor
    labels: torch.Tensor


def fgsm(net: nn.Module, images: torch.Tensor, labels=None, epsilon: float = 0.1) -> FirstOrder:
    """The fast gradient sign method: one step of ``epsilon`` in every pixel, then into [0, 1].

    x + ε · sign(∇ loss(x, y)), the loss being the cross-entropy: the largest increase of a linear
    loss among all changes of at most ε per pixel. Goodfellow, Shlens, Szegedy: Explaining and
    harnessing adversarial examples, ICLR 2015, arXiv 1412.6572.

    images: (N, *shape) in [0, 1]; labels: (N,), default the network's own answers.
    Raises TypeError or ValueError, with a sentence, for other images, labels or epsilons, and for a
    network in train mode that a look changes, or that answers otherwise each time, or one whose
    answer to an image depends on the others of its batch.
    """
    net, images, labels, _ = _inputs(net, images, labels)
    if not (is_number(epsilon) and 0 <= epsilon < float("inf")):
        raise ValueError(f"epsilon is a number from 0 on, the change of a pixel, not {epsilon!r}.")
    with net.plain(), torch.enable_grad():
        x = images.clone().requires_grad_()
        loss = F.cross_entropy(net(x), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
    return _judged(net, (images + epsilon * gradient.sign()).clamp(0, 1), images, labels)


@torch.no_grad()
def deepfool(
    net: nn.Module, images: torch.Tensor, labels=None, steps: int = 50, overshoot: float = 0.02
) -> FirstOrder:
    """Step after step to the nearest boundary of the network's linearisation, until it is crossed.

    At x the boundary to class k of the linearised network is |f_k| / ||w_k|| away, f_k = z_k - z_y
    and w_k its gradient; the step is f_k / ||w_k||² · w_k for the nearest k, and the sum of all
    steps is stretched by 1 + overshoot. Moosavi-Dezfooli, Fawzi, Frossard: DeepFool, CVPR 2016,
    arXiv 1511.04599. The original knows no box; here every step ends in [0, 1], as in the usual
    implementations, which is not the shortest way (lesson 03).

    images: (N, *shape) in [0, 1]; labels: (N,), default the network's own answers. An image that
    ``steps`` steps do not change the class of is no success; changed it is once another class leads
    by what another batch size cannot take back. An image that is misclassified already stays as it
    is. Raises TypeError or ValueError for other images or labels, and for a network
    in train mode that a look changes, or that answers otherwise each time, or one whose answer to
    an image depends on the others of its batch.
    """
    net, images, labels, logits = _inputs(net, images, labels)
    if not (is_whole(steps) and steps >= 0):
        raise ValueError(f"The steps are a whole number from 0 on, not {steps!r}.")
    if not (is_number(overshoot) and 0 <= overshoot < float("inf")):
        raise ValueError(f"The overshoot is a number from 0 on, a share, not {overshoot!r}.")
    # what the clean image falls short by: no constant of a logit has a part in it
    gap = target_margin(logits, labels).abs()
    total, found = torch.zeros_like(images), images.clone()
    live = (logits.argmax(1) == labels).nonzero()[:, 0]
    for _ in range(steps):
        if not len(live):
            break
        logits, gradients = _jacobian(net, found[live])
        level, epsilon = logits.amax(1).abs(), net.epsilon()
        unsure = torch.maximum(STEPS * epsilon * level, ULPS * epsilon * gap[live])
        kept = target_margin(logits, labels[live]) > -unsure
        # in the box a step may halve the way: to within float64's rounding it would take too many
        beyond = torch.maximum(unsure, BEYOND * gap[live])[kept]
        live, logits, gradients = live[kept], logits[kept], gradients[kept]
        total[live] += _to_nearest_plane(logits, gradients, labels[live], beyond)
        found[live] = (images[live] + (1 + overshoot) * total[live]).clamp(0, 1)
    return _judged(net, found, images, labels)


def _jacobian(net: Asked, x: torch.Tensor):
    """Logits (N, classes) and their gradients (N, classes, *shape)."""
    with net.plain(), torch.enable_grad():
        x = x.clone().requires_grad_()
        logits = net(x)
        columns = [torch.autograd.grad(z.sum(), x, retain_graph=True)[0] for z in logits.T]
    return logits.detach(), torch.stack(columns, dim=1)


def _to_nearest_plane(logits, gradients, labels, beyond):
    """The shortest step (N, *shape) to a boundary of the linearised network, and across it until
    the other class leads by ``beyond`` (N,): a step that ends on a tie would never end."""
    rows = torch.arange(len(labels), device=labels.device)
    f = logits - logits[rows, labels][:, None]  # (N, classes), at most 0
    w = gradients - gradients[rows, labels][:, None]  # (N, classes, *shape)
    norms = w.flatten(2).norm(dim=2).clamp(min=1e-12)
    distances = f.abs() / norms
    distances[rows, labels] = float("inf")
    nearest = distances.argmin(dim=1)
    length = (f[rows, nearest].abs() + beyond) / norms[rows, nearest] ** 2
    return length.reshape(-1, *[1] * (gradients.ndim - 2)) * w[rows, nearest]


def _inputs(net, images, labels):
    """The network as it is asked, the images, the labels (N,), and the logits of the images, all
    checked."""
    check_module(net)
    check_pixels(images)
    check_weights(net)
    asked = Asked(net, images)
    with asked.plain(), torch.no_grad():
        images = images.detach().clone().to(asked.device).contiguous()
        given = images.to(asked.dtype)
        check_mode_matters(net, lambda: first_answer(asked, given))
        answer = first_answer(asked, given)
        check_shape(answer, len(given))
        if answer.isnan().any():
            raise ValueError(
                "The network's output is NaN for "
                f"{int(answer.isnan().any(1).sum())} of {len(given)} images: see its weights."
            )
        asked.rounds_to = answer.dtype
        logits = answer.to(asked.working)
        if len(given):
            check_alone(asked, given, logits, check_gradient(asked, given[:1]))
    if labels is None:
        labels = logits.argmax(1)
    labels = check_labels(labels, len(images), logits.shape[1]).to(logits.device)
    return asked, images, labels, logits


@torch.no_grad()
def _judged(net, found, images, labels) -> FirstOrder:
    predictions = net(found).argmax(1)
    success = predictions != labels
    return FirstOrder(found, success, distortion(found, images), predictions, labels)
