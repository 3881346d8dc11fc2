"""`stable-cross-entropy`, lesson 01: the values and their gradients, for extreme logits, too.

A small number in the logarithm shows at extreme logits only: a probe looks for it, in single and in
double precision.
"""

import math

import numpy as np
import scipy.stats
import torch
import torch.nn.functional as F

from course_lib.exercises import Case, Exercise

from .shared import Calls


def logits_cases(rng):
    yield Case(
        "two images, three classes",
        torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]]),
        torch.tensor([1, 0]),
    )
    yield Case(
        "seven images",
        torch.randn(7, 10, generator=rng) * 3,
        torch.tensor([3, 1, 4, 1, 5, 9, 2]),
    )
    yield Case("a very small probability", torch.tensor([[0.0, 60.0, 1.0]]), torch.tensor([0]))
    yield Case(
        "large logits",
        torch.tensor([[1000.0, 990.0], [-1000.0, -1001.0], [0.0, 300.0]]),
        torch.tensor([1, 0, 0]),
    )
    yield Case("a gap of 120", torch.tensor([[0.0, 120.0]]), torch.tensor([0]))
    # farther than double precision has exponents
    yield Case("a gap of 1000", torch.tensor([[1000.0, 0.0], [0.0, 2.0]]), torch.tensor([1, 0]))
    yield Case("a gap of 2 million", torch.tensor([[-2e6, 5.0, 4.0]]), torch.tensor([0]))
    # the log of a sum of ten terms that are nearly 1 each: far above 0, and above 1
    nearly_equal = 0.1 * torch.randn(1, 10, generator=rng)
    yield Case("ten logits that are nearly equal", nearly_equal, torch.tensor([6]))
    # nothing to gain: the loss is 0, and so is its gradient
    yield Case("an image beyond doubt", torch.tensor([[1000.0, 0.0]]), torch.tensor([0]))


def cross_entropy_of_scipy(logits, labels):
    z = logits.detach().double().numpy()
    rows = np.arange(len(z))
    return (scipy.special.logsumexp(z, axis=1) - z[rows, labels.numpy()]).mean()


EXERCISE = Exercise(
    title="A cross-entropy that does not overflow",
    difficulty=2,
    minutes=8,
    hints=[
        "Subtract each row's largest logit from the row first. Neither the softmax nor the loss "
        "changes, and no exponential exceeds 1.",
        "`logits.max(dim=1, keepdim=True).values` is that column of maxima. The loss of one image "
        "is the logarithm of the row's sum of exponentials, minus the label's logit: both after "
        "the subtraction.",
        "`shifted[torch.arange(len(labels)), labels]` picks the label's entry out of every row.",
    ],
    cases=logits_cases,
    oracle=cross_entropy_of_scipy,
    gradients=("logits",),
    done="The values and the gradients agree with SciPy's logsumexp, also for logits of 1000.",
)


def _picked(table, labels):
    return table[torch.arange(len(labels), device=labels.device), labels]


@EXERCISE.variant
def ce_logsumexp(logits, labels):
    return torch.logsumexp(logits, dim=1).mean() - _picked(logits, labels).mean()


@EXERCISE.variant
def ce_loop(logits, labels):
    losses = []
    for row, label in zip(logits.double(), labels, strict=True):
        top = row.detach().max()
        losses.append(top + sum(torch.exp(z - top) for z in row).log() - row[label])
    return sum(losses) / len(losses)


@EXERCISE.variant
def ce_one_hot(logits, labels):
    one_hot = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return -torch.einsum("nk,nk->", one_hot, logits.log_softmax(1)) / len(logits)


EPSILON = (
    "A small number is added to the probability (or it is clamped) before the logarithm, so a "
    "confident mistake costs too little and has no gradient: take the logarithm of the sum of "
    "exponentials instead; the probability itself is never needed."
)

OVERFLOW = (
    "The loss is right for moderate logits and not finite for large ones: an exponential is "
    "infinite there, or 0 and then its logarithm infinite. Subtract each row's largest logit "
    "first, and take the logarithm of the sum of exponentials, not of a softmax."
)


@EXERCISE.probe
def looks_capped(answer):
    """A probe: right at moderate logits, too small where the probability is e^-30 or less."""
    label = torch.tensor([0])
    mild = float(answer(torch.tensor([[0.0, 2.0]]), label).detach())
    if not abs(mild - math.log(1 + math.exp(2))) <= 1e-3:  # NaN is not right either
        return None
    for gap in (80.0, 2000.0):
        wild = float(answer(torch.tensor([[0.0, gap]]), label).detach())
        if not math.isfinite(wild):
            return OVERFLOW
        if 4 < wild < 0.99 * gap:
            return EPSILON
    return None


READY_MADE = (
    "This is PyTorch's own `cross_entropy`, which yours is going to replace: write it with `exp`, "
    "`log` and sums (or `logsumexp`)."
)


@EXERCISE.probe(only_right=True)
def is_ready_made(answer):
    """A probe: the library's function, whatever name it was imported by."""
    with Calls() as calls:
        answer(torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.tensor([0, 1]))
    return READY_MADE if "cross_entropy" in calls.names else None


EXERCISE.mistake(
    "PyTorch's own", READY_MADE, lambda logits, labels: F.cross_entropy(logits, labels)
)


@EXERCISE.mistake(
    "not stabilised",
    "The formula is right, but a computer cannot hold its parts: exp(1000) is infinite, even in "
    "double precision, and exp(-1000) is 0. Subtract each row's largest logit first.",
)
def ce_naive(logits, labels):
    return (logits.exp().sum(1).log() - _picked(logits, labels)).mean()


EXERCISE.mistake(
    "logarithm of the softmax",
    "The softmax is fine and its logarithm is not: a probability below 1e-45 is stored as "
    "0, and log(0) is infinite. Simplify log(softmax) on paper first.",
    lambda logits, labels: -_picked(logits.softmax(1), labels).log().mean(),
)

EXERCISE.mistake(
    "logarithm of the softmax in double precision",
    "Double precision only moves the edge: a probability below 1e-323 is stored as 0 there, "
    "which a gap of 746 between two logits reaches. Simplify log(softmax) on paper first.",
    lambda logits, labels: -_picked(logits.double().softmax(1), labels).log().mean(),
)

EXERCISE.mistake(
    "shifted by the row's mean",
    "The mean of each row is subtracted, and the largest logit may still be far above it, so that "
    "its exponential is infinite: subtract each row's largest logit.",
    lambda logits, labels: ce_naive(logits - logits.mean(1, keepdim=True), labels),
)

EXERCISE.mistake(
    "log(softmax + ε)",
    EPSILON,
    lambda logits, labels: -(_picked(logits.softmax(1), labels) + 1e-8).log().mean(),
)


@EXERCISE.mistake(
    "one shift for the batch",
    "The largest logit of the whole batch is subtracted, and in rows far below it every "
    "exponential is 0: each row needs its own maximum.",
)
def ce_one_shift(logits, labels):
    shift = logits.max()
    return ((logits - shift).exp().sum(1).log() + shift - _picked(logits, labels)).mean()


@EXERCISE.mistake(
    "one sum for the batch",
    "The exponentials of the whole batch are added up: each image has its own sum, along `dim=1`.",
)
def ce_one_sum(logits, labels):
    shifted = logits - logits.max()
    return (shifted.exp().sum().log() - _picked(shifted, labels)).mean()


EXERCISE.mistake(
    "return inside the loop",
    "This is the loss of the first image: is the `return` inside the loop over the images?",
    lambda logits, labels: F.cross_entropy(logits[:1], labels[:1]),
)

EXERCISE.mistake(
    "the shift is not subtracted everywhere",
    "The shift cancels only if it is taken from the label's logit, too, or added again: here it "
    "is added to the logarithm of the sum of what was never shifted.",
    lambda logits, labels: F.cross_entropy(logits, labels) + logits.max(1).values.mean(),
)


@EXERCISE.mistake(
    "every label of every row",
    "The index `[:, labels]` takes all the labels' columns of every row, N x N numbers: "
    "pair row n with label n, by `shifted[torch.arange(len(labels)), labels]`.",
)
def ce_all_labels(logits, labels):
    shifted = logits - logits.max(dim=1, keepdim=True).values
    return (shifted.exp().sum(1).log() - shifted[:, labels]).mean()


@EXERCISE.mistake(
    "half shifted",
    "The maximum is subtracted inside the sum of exponentials, but not from the label's "
    "logit: the two no longer belong together. Shift the logits once, and use those.",
)
def ce_half_shifted(logits, labels):
    top = logits.max(dim=1, keepdim=True).values
    return ((logits - top).exp().sum(1).log() - _picked(logits, labels)).mean()


EXERCISE.mistake(
    "over the batch",
    "The softmax runs over the images instead of over the classes: a row is an image, so "
    "its exponentials are summed along `dim=1`.",
    lambda logits, labels: -_picked(logits.log_softmax(0), labels).mean(),
)

EXERCISE.mistake(
    "sum for mean",
    "These losses are summed over the batch: take their mean, or the step would grow with "
    "the number of images.",
    lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"),
)

EXERCISE.mistake(
    "mean over the classes as well",
    "The mean runs over all N x 10 entries: nine of ten are zeros of the one-hot labels. "
    "Divide by the number of images only.",
    lambda logits, labels: F.cross_entropy(logits, labels) / logits.shape[1],
)

EXERCISE.mistake(
    "bits",
    "This is in bits: the paper's (and everybody's) cross-entropy has the natural "
    "logarithm, `log` and not `log2`.",
    lambda logits, labels: F.cross_entropy(logits, labels) / math.log(2),
)

EXERCISE.mistake(
    "the winner for the label",
    "The loss is taken at the class with the largest logit, not at the label: a network "
    "that is sure of a wrong class would be rewarded for it.",
    lambda logits, labels: F.cross_entropy(logits, logits.argmax(1)),
)

EXERCISE.mistake(
    "sign",
    "The sign is missing: this is the mean logarithm of the label's probability, which "
    "training would lower.",
    lambda logits, labels: -F.cross_entropy(logits, labels),
)

EXERCISE.mistake(
    "a vector",
    "This is the loss of each image, a vector: its mean is asked for.",
    lambda logits, labels: F.cross_entropy(logits, labels, reduction="none"),
)

EXERCISE.mistake(
    "probability without logarithm",
    "This is minus the label's mean probability: the cross-entropy has its logarithm.",
    lambda logits, labels: -_picked(logits.softmax(1), labels).mean(),
)
