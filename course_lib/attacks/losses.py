"""Losses for the attack: (N, classes) logits and (N,) targets to (N,) values, small at success."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

# The lead in the logits that counts as success, in units of rounding of what the logits vary by.
# Another batch size moves the logits of the networks here by up to 10 of them.
ULPS = 100
# The same in half precision, where sums are taken in float32 and rounded once for each layer.
ULPS_COARSE = 8
# The sharpened loss exceeds max(0, -margin) by at most log(classes) / SHARPNESS of the clean
# margin: 1.2 % for ten classes.
SHARPNESS = 200.0


def target_margin(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(N,) the target's logit minus the largest of the others: positive where the target wins."""
    others = logits.scatter(1, targets[:, None], -torch.inf).amax(1)
    return logits.gather(1, targets[:, None])[:, 0] - others


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(N,) the paper's loss (section 4.1): -log of the probability that softmax gives the target.

    It is small only where the target's logit leads by several units, so its penalty method ends
    inside the target's region or, with the largest c that succeeds, at a point of the boundary that
    is not the nearest: by how much depends on the scale of the logits.
    """
    return F.cross_entropy(logits, targets, reduction="none")


def faithful(clean: torch.Tensor, targets: torch.Tensor, plain: Callable | None = None) -> Callable:
    """``plain(logits, targets)``, the paper's loss if None, in the form of :func:`sharpened`."""
    plain = plain or cross_entropy
    return lambda logits, targets, rows: plain(logits, targets)


def sharpened(clean: torch.Tensor, targets: torch.Tensor) -> Callable:
    """The cross-entropy of t·logits, over t, with t relative to the scale of the logits.

    clean: (N, classes) logits of the clean images; targets: (N,). Returns loss(logits, targets,
    rows), rows (n,) telling which of the N images the logits belong to. t = 200 / |margin of the
    clean image|, so that multiplying a network's logits by a number leaves the attack as it was.
    As t grows the loss tends to max(0, -margin), whose minimum lies on the boundary itself.
    """
    sharpness = SHARPNESS / target_margin(clean, targets).abs().clamp_min(
        torch.finfo(clean.dtype).tiny * SHARPNESS
    )

    def loss(logits, targets, rows):
        t = sharpness[rows]
        return cross_entropy(logits * t[:, None], targets) / t

    return loss
