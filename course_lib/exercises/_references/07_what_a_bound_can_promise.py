"""References of lesson 07_what_a_bound_can_promise, taken out of its solutions by course build.

Never edited: the source is solutions/07_what_a_bound_can_promise.py.
"""

# ruff: noqa
# fmt: off

from torch import nn
import copy
import math
import torch

ORDER = [
    "log-bound",
    "local-stretch",
    "two-layer-bound",
    "certificate",
    "lead-bound",
    "robust-accuracy",
    "inflated",
    "log-penalty",
]


def log_bound(norms, activations):
    """The natural logarithm of the product bound of a network's L.

    norms: the norms of its layers, positive numbers, in any order;
    activations: the names of the non-linearities between them, each
    "sigmoid", "tanh" or "relu". Returns a number.
    """
    slopes = {"sigmoid": 1 / 4, "tanh": 1.0, "relu": 1.0}
    factors = [*norms, *(slopes[name] for name in activations)]
    return sum(math.log(factor) for factor in factors)


def local_stretch(net, image):
    """The spectral norm of the Jacobian of ``net`` at ``image``.

    net: images (N, *shape) in, logits (N, classes) out; image: (*shape),
    without the batch axis. Returns a scalar.
    """
    jacobian = torch.func.jacrev(lambda x: net(x[None])[0])(image)
    return torch.linalg.matrix_norm(jacobian.flatten(1), 2)


def two_layer_bound(first, second, slope):
    """A bound on how much x -> second σ(first x) stretches.

    first: (hidden, inputs); second: (outputs, hidden); the slopes of σ
    lie between 0 and ``slope``. Returns a scalar.
    """

    def norm(matrix):
        return torch.linalg.matrix_norm(matrix, 2)

    straight = norm(second @ first)
    bent = norm(second) * norm(first)
    return slope / 2 * (straight + bent)


def certificate(logits, labels, last, below):
    """The L2 radius around each image in which no class overtakes its label.

    logits: (N, classes), float64; labels: (N,); last: (classes, hidden), the
    last layer's weights, no two rows equal; below: a bound on how much the
    layers below it stretch, a number > 0. Returns (N,), 0 for misclassified
    images, computed in double precision.
    """
    lead = logits.gather(1, labels[:, None]) - logits
    apart = (last[labels][:, None] - last).norm(dim=2)
    radii = lead / (apart * below)
    radii = radii.scatter(1, labels[:, None], math.inf)
    return radii.amin(dim=1).clamp(min=0)


def lead_bound(first, second, slope, y, j):
    """A bound on how fast the lead of class y over class j can change.

    The logits are second σ(first x); first: (hidden, inputs); second:
    (classes, hidden); the slopes of σ lie between 0 and ``slope``; y, j:
    two different classes. Returns a scalar.
    """
    return two_layer_bound(first, (second[y] - second[j])[None], slope)


def robust_accuracy(radii, distances, correct, radius):
    """What is known of the accuracy under the worst change of L2 norm up to
    ``radius``: (the share that is certified, the share not yet broken).

    radii: (N,), no change shorter than this leads to another class;
    distances: (N,), a change of this length does, NaN where none was found;
    correct: (N,) bool, whether the unchanged image is read correctly.
    """
    certified = correct & (radii > radius)
    surviving = correct & ~(distances <= radius)
    return certified.double().mean(), surviving.double().mean()


def inflated(net, factor):
    """A network that computes what ``net`` computes, with a product of norms
    at least ``factor`` times as large.

    net: nn.Flatten, then nn.Linear with nn.ReLU between them; factor > 1.
    Returns a new network of such layers; ``net`` stays as it is.
    """
    twin = copy.deepcopy(net)
    layers = [m for m in twin.modules() if isinstance(m, nn.Linear)]
    first, second = layers[:2]

    def norm(weight):
        return torch.linalg.matrix_norm(weight, 2)

    with torch.no_grad():
        before = norm(first.weight) * norm(second.weight)
        # what is left of the two norms for sure once unit 0 is scaled
        after = first.weight[0].norm() * norm(second.weight[:, 1:])
        t = factor * before / after
        first.weight[0] *= t
        first.bias[0] *= t
        second.weight[:, 0] /= t
    return twin


def log_penalty(net):
    """The logarithm of the product of the norms of all linear layers of
    ``net``, a scalar through which gradients flow to the weights."""
    total = 0.0
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            total = total + torch.linalg.matrix_norm(layer.weight, 2).log()
    return total
