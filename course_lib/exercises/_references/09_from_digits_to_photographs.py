"""References of lesson 09_from_digits_to_photographs, taken out of its solutions by course build.

Never edited: the source is solutions/09_from_digits_to_photographs.py.
"""

# ruff: noqa
# fmt: off

import torch
import torch.nn.functional as F

ORDER = [
    "photo-distortion",
    "aim-step",
    "as-bytes",
    "photo-crops",
    "unit-detector",
    "fold-the-norm",
]


def photo_distortion(original, adversarial, white):
    """The distortion of each photograph, on the scale where white is 1.

    original, adversarial: (N, 3, H, W) of the same type, floats or
    uint8, from 0 to white. Returns (N,), sqrt(mean((x' - x)²)).
    """
    change = (adversarial.double() - original.double()) / white
    return change.square().mean(dim=(1, 2, 3)).sqrt()


def aim_step(net, images, classes, length):
    """One step of L2 length ``length`` that makes ``classes`` likelier.

    net: images (N, 3, H, W) -> logits (N, K); images: in [0, 1];
    classes: (N,). Every image goes down its own gradient of the
    cross-entropy of its class, and is clipped to [0, 1]; without a
    gradient it stays. Returns (N, 3, H, W), without a history.
    """
    x = images.detach().requires_grad_()
    loss = F.cross_entropy(net(x), classes, reduction="sum")
    gradient = torch.autograd.grad(loss, x)[0]
    step = F.normalize(gradient.flatten(1)).view_as(images)
    return (images - length * step).clamp(0, 1)


def as_bytes(images):
    """The nearest bytes of pixels in [0, 1]: (N, 3, H, W), uint8.

    What lies below 0 is black (0), what lies above 1 is white (255).
    """
    return (255 * images).round().clamp(0, 255).to(torch.uint8)


def photo_crops(images, size, stride):
    """All squares of ``size`` pixels, and of which photograph each is.

    images: (N, 3, H, W). A square begins at every multiple of stride,
    down and across, where it still fits. The squares of a photograph
    follow each other, row by row. Returns (M, 3, size, size), (M,).
    """
    windows = images.unfold(2, size, stride).unfold(3, size, stride)
    each = windows.shape[2] * windows.shape[3]
    parts = windows.permute(0, 2, 3, 1, 4, 5)
    parts = parts.reshape(-1, images.shape[1], size, size)
    return parts, torch.arange(len(images)).repeat_interleave(each)


def unit_detector(values, wanted):
    """The best threshold for a unit, and its balanced accuracy.

    values: (N,); wanted: (N,) bool, both kinds. Candidates lie halfway
    between neighbouring values that differ. Balanced accuracy: the mean
    of the share of the wanted that lie above, and the share of the
    others that do not. Of equals the lowest. Returns two numbers.
    """
    levels = values.double().unique()
    middle = (levels[1:] + levels[:-1]) / 2
    above = values.double() > middle[:, None]
    hits = above[:, wanted].double().mean(1)
    rests = (~above[:, ~wanted]).double().mean(1)
    accuracy = (hits + rests) / 2
    best = accuracy.argmax()
    return middle[best], accuracy[best]


def fold_the_norm(weight, mean, variance, scale, shift, eps):
    """The convolution that does what a convolution and its norm do.

    weight: (D, C, k, k), no bias; then, for each of the D channels,
    (y - mean) / sqrt(variance + eps) * scale + shift, all (D,).
    Returns weight (D, C, k, k), bias (D,).
    """
    factor = scale / (variance + eps).sqrt()
    return weight * factor[:, None, None, None], shift - mean * factor


# what the lesson shows in its bug hunts
BUGGY = {
    "as-bytes": (
        "def as_bytes(images):\n"
        "    \"\"\"The nearest bytes of pixels in [0, 1]: (N, 3, H, W), uint8.\n"
        "\n"
        "    What lies below 0 is black (0), what lies above 1 is white (255).\n"
        "    \"\"\"\n"
        "    return (255 * images).clamp(0, 255).to(torch.uint8)"
    ),
}
