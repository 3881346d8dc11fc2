"""References of lesson 03_how_far_is_the_nearest_mistake, taken out of its solutions by course build.

Never edited: the source is solutions/03_how_far_is_the_nearest_mistake.py.
"""

# ruff: noqa
# fmt: off

import torch
import torch.nn.functional as F

# the solutions that are the library's
from course_lib.attacks.measures import distortion

ORDER = [
    "distortion",
    "nearest-plane",
    "nearest-in-box",
    "penalty-objective",
    "amplify",
    "attack-summary",
]


def nearest_plane(weight, bias, x, labels):
    """The smallest of (z_y - z_j) / ||w_y - w_j|| over the classes j != y.

    weight: (classes, pixels); bias: (classes,); x: (N, pixels), flat images;
    labels: (N,), the classes y. Returns the distances (N,), L2 and signed,
    and the classes j (N,).
    """
    logits = x @ weight.T + bias
    lead = logits.gather(1, labels[:, None]) - logits
    distances = lead / (weight[labels][:, None] - weight).norm(dim=2)
    rows = torch.arange(len(x), device=x.device)
    distances[rows, labels] = float("inf")
    nearest = distances.min(dim=1)
    return nearest.values, nearest.indices


def nearest_in_box(x, w, d):
    """The point x' of the box [0, 1] nearest to x with w·x' + d >= 0.

    x, w: (pixels,) float64, x in the box; d: a number. Returns x' (pixels,).
    """
    mu = 0.0
    for _ in range(100):
        raw = x + mu * w
        point = raw.clamp(0, 1)
        value = w @ point + d
        if value >= -1e-12:
            break
        free = raw == point  # Newton's method: the slope of value in mu
        mu -= value / w[free].square().sum()
    return point


def penalty_objective(net, images, r, targets, c):
    """c·||r|| + cross-entropy of net(images + r) for the targets, each image.

    images, r: (N, *shape); targets: (N,) int64; c: a number.
    Returns the values (N,) and their gradients with respect to r
    (N, *shape), both without autograd's history. The gradient of ||r|| at
    r = 0 counts as 0.
    """
    r = r.detach().clone().requires_grad_()
    losses = F.cross_entropy(net(images + r), targets, reduction="none")
    (slopes,) = torch.autograd.grad(losses.sum(), r)
    r = r.detach()
    sizes = r.flatten(1).norm(dim=1)
    each = sizes.clamp(min=1e-12).reshape(-1, *[1] * (r.ndim - 1))
    return c * sizes + losses.detach(), c * r / each + slopes


def amplify(adversarial, images, stddev):
    """The images, changed in the direction of ``adversarial`` by a
    distortion of ``stddev``: not clipped, as in the paper.

    adversarial, images: (N, *shape), no pair of them equal; stddev: a
    number. Returns (N, *shape).
    """
    change = adversarial - images
    factor = stddev / change.flatten(1).square().mean(dim=1).sqrt()
    return images + factor.reshape(-1, *[1] * (images.ndim - 1)) * change


def attack_summary(images, adversarial, labels, clean, fooled):
    """An attack's rate of success and mean distortion.

    images, adversarial: (N, *shape); labels: (N,); clean, fooled: (N,), the
    network's answers to the images and to the adversarial ones. An attack
    that failed may have left the image as it was, or moved it.
    Returns (rate, mean distortion of the successes), floats.
    """
    correct = clean == labels
    success = correct & (fooled != labels)
    change = (adversarial - images).double().flatten(1)
    sizes = change.square().mean(dim=1).sqrt()
    rate = success.sum() / correct.sum()
    return float(rate), float(sizes[success].mean())


# what the lesson shows in its bug hunts
BUGGY = {
    "attack-summary": (
        "def attack_summary(images, adversarial, labels, clean, fooled):\n"
        "    \"\"\"An attack's rate of success and mean distortion.\n"
        "\n"
        "    images, adversarial: (N, *shape); labels: (N,); clean, fooled: (N,), the\n"
        "    network's answers to the images and to the adversarial ones. An attack\n"
        "    that failed may have left the image as it was, or moved it.\n"
        "    Returns (rate, mean distortion of the successes), floats.\n"
        "    \"\"\"\n"
        "    success = fooled != labels\n"
        "    change = (adversarial - images).double().flatten(1)\n"
        "    sizes = change.square().mean(dim=1).sqrt()\n"
        "    return float(success.double().mean()), float(sizes.mean())"
    ),
}
