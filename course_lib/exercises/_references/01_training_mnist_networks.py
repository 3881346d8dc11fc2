"""References of lesson 01_training_mnist_networks, taken out of its solutions by course build.

Never edited: the source is solutions/01_training_mnist_networks.py.
"""

# ruff: noqa
# fmt: off

import scipy.stats
import torch

# the solutions that are the library's
from course_lib.training import weight_decay
from course_lib.training import kl_sparsity

ORDER = [
    "stable-cross-entropy",
    "weight-decay",
    "sigmoid-layer-backward",
    "training-step",
    "kl-sparsity",
    "paired-difference",
    "error-in-batches",
]


def stable_cross_entropy(logits, labels):
    """The mean cross-entropy of the softmax, with natural logarithms.

    logits: (N, classes) float; labels: (N,) int64, the right classes.
    Returns a scalar tensor, through which gradients flow to the logits.
    """
    top = logits.max(dim=1, keepdim=True).values
    shifted = logits - top
    rows = torch.arange(len(labels), device=labels.device)
    log_sums = shifted.exp().sum(dim=1).log()
    return (log_sums - shifted[rows, labels]).mean()


def sigmoid_layer_backward(x, weight, h, g):
    """The gradients of the loss through h = sigmoid(x @ weight.T + bias).

    x: (N, a) inputs; weight: (b, a); h: (N, b) activations;
    g: (N, b), the gradient of the (mean) loss with respect to h.
    Returns its gradients with respect to x (N, a), weight (b, a), bias (b,).
    """
    dz = g * h * (1 - h)
    return dz @ weight, dz.T @ x, dz.sum(dim=0)


def training_step(net, images, labels, learning_rate, decay):
    """One step of gradient descent on a batch; changes ``net`` in place.

    The objective is the mean cross-entropy plus the weight decay of
    strength ``decay`` in the convention "half".
    images: (N, 1, 28, 28); labels: (N,). Returns the objective before the
    step: a scalar tensor without gradient, or a float.
    """
    objective = stable_cross_entropy(net(images), labels)
    objective = objective + weight_decay(net, decay, "half")
    net.zero_grad()
    objective.backward()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter -= learning_rate * parameter.grad
    return objective.detach()


def paired_difference(wrong_a, wrong_b):
    """The error rate of a minus that of b on the same images, with a 95 %
    interval after Bonett and Price (2012).

    wrong_a, wrong_b: (N,) bool, whether each network is wrong on an image.
    Returns (difference, low, high), as shares and not in percent; the
    difference is the plain one, n_a / n - n_b / n.
    """
    n = len(wrong_a)
    only_a = int((wrong_a & ~wrong_b).sum())
    only_b = int((wrong_b & ~wrong_a).sum())
    p, q = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    error = ((p + q - (p - q) ** 2) / (n + 2)) ** 0.5
    reach = scipy.stats.norm.ppf(0.975) * error
    return (only_a - only_b) / n, p - q - reach, p - q + reach


def error_in_batches(net, images, labels, batch_size=256):
    """The share of the images (N, 1, 28, 28) that ``net`` gets wrong.

    The net is never given more than ``batch_size`` images at once.
    """
    wrong = 0
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        guessed = net(images[batch]).argmax(dim=1)
        wrong += int((guessed != labels[batch]).sum())
    return wrong / len(images)


# what the lesson shows in its bug hunts
BUGGY = {
    "error-in-batches": (
        "def error_in_batches(net, images, labels, batch_size=256):\n"
        "    \"\"\"The share of the images (N, 1, 28, 28) that ``net`` gets wrong.\n"
        "\n"
        "    The net is never given more than ``batch_size`` images at once.\n"
        "    \"\"\"\n"
        "    rates = []\n"
        "    for start in range(0, len(images), batch_size):\n"
        "        batch = slice(start, start + batch_size)\n"
        "        guessed = net(images[batch]).argmax(dim=1)\n"
        "        rates.append(float((guessed != labels[batch]).double().mean()))\n"
        "    return sum(rates) / len(rates)"
    ),
}
