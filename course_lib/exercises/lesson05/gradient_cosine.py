"""`gradient-cosine`, lesson 05: against the chain rule by hand, in NumPy.

A network with itself and with its opposite has the cosines 1 and -1.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import transfer
from course_lib.exercises import Case, Exercise


def _net(rng, *sizes):
    layers = []
    for a, b in itertools.pairwise(sizes):
        layer = nn.Linear(a, b)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(b, a, generator=rng) * 1.5 / a**0.5)
            layer.bias.copy_(torch.randn(b, generator=rng) / 2)
        layers += [layer, nn.Sigmoid()]
    return nn.Sequential(nn.Flatten(), *layers[:-1]).double().eval()


def cosine_cases(rng):
    def draw(*shape):
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    yield Case(
        "two linear networks, one image of 2 x 2",
        _net(rng, 4, 3),
        _net(rng, 4, 3),
        draw(1, 1, 2, 2),
        torch.tensor([2]),
    )
    first, second = _net(rng, 12, 8, 5), _net(rng, 12, 6, 5)
    yield Case("seven images", first, second, draw(7, 1, 3, 4), torch.tensor([0, 4, 2, 2, 1, 3, 0]))
    yield Case("a network and itself", first, first, draw(4, 3, 2, 2), torch.tensor([1, 1, 0, 4]))
    against = _net(rng, 12, 5)
    opposed = _net(rng, 12, 5)
    with torch.no_grad():
        opposed[1].weight.copy_(-against[1].weight)
        opposed[1].bias.copy_(-against[1].bias)
    # images that are no images, networks whose parameters are frozen, as those of the lesson are
    rows = [_net(rng, 9, 7, 4).requires_grad_(False), _net(rng, 9, 4).requires_grad_(False)]
    yield Case("five rows of nine numbers", *rows, draw(5, 9), torch.tensor([3, 0, 1, 1, 2]))
    yield Case(
        "a network and its opposite", against, opposed, draw(6, 1, 3, 4), torch.arange(6) % 5
    )


def _gradient_by_hand(net, images, targets):
    """The chain rule, layer by layer, in NumPy: W1ᵀ σ' ... (p - onehot)."""
    layers = [m for m in net if isinstance(m, nn.Linear)]
    h, kept = images.flatten(1).numpy(), []
    for k, layer in enumerate(layers):
        h = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        if k < len(layers) - 1:
            h = 1 / (1 + np.exp(-h))
            kept.append(h)
    p = np.exp(h - h.max(1, keepdims=True))
    g = p / p.sum(1, keepdims=True) - np.eye(p.shape[1])[targets.numpy()]
    for layer in reversed(layers):
        g = g @ layer.weight.detach().numpy()
        if kept:
            s = kept.pop()
            g = g * s * (1 - s)
    return g


def cosine_by_hand(net_a, net_b, images, targets):
    a, b = (_gradient_by_hand(net.cpu(), images, targets) for net in (net_a, net_b))
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


EXERCISE = Exercise(
    title="Do two networks pull the same way?",
    difficulty=3,
    minutes=8,
    hints=[
        "The gradient with respect to the *images*: `x = images.clone().requires_grad_()`, then "
        "`torch.autograd.grad(loss, x)`. With the sum of the losses of all images, row k of it is "
        "the gradient of image k's own loss.",
        "Flatten each gradient to one row per image, (N, pixels).",
        "The cosine of each pair of rows, with its sign: their inner product over the product of "
        "their norms (`F.cosine_similarity(a, b, dim=1)`).",
    ],
    cases=cosine_cases,
    oracle=cosine_by_hand,
    twins=[transfer.cosines],
    on_device=False,
    atol=1e-5,
    done="One signed cosine for each image, as found by the chain rule in NumPy.",
    equivalent_mutants={
        "- x = images.detach().clone().requires_grad_() / + x = "
        "images.detach().requires_grad_()": "What is detached is another tensor already.",
        "- x = images.detach().clone().requires_grad_() / + x = "
        "images.clone().requires_grad_()": "The images have no history here.",
        "- loss = F.cross_entropy(net(x), targets, reduction='sum') / + loss = "
        "F.cross_entropy(net(x), targets, reduction='mean')": "A factor does not turn a gradient.",
        "- gradients.append(torch.autograd.grad(loss, x)[0].flatten(1)) / + "
        "gradients.append(torch.autograd.grad(loss, x)[-1].flatten(1))": "There is only one.",
    },
)


@EXERCISE.variant
def cosine_one_by_one(net_a, net_b, images, targets):
    found = []
    for image, target in zip(images, targets, strict=True):
        sides = []
        for net in (net_a, net_b):
            x = image[None].clone().requires_grad_()
            loss = F.cross_entropy(net(x), target[None])
            sides.append(torch.autograd.grad(loss, x)[0].flatten())
        a, b = sides
        found.append(torch.dot(a, b) / (torch.linalg.norm(a) * torch.linalg.norm(b)))
    return torch.stack(found)


@EXERCISE.variant
def cosine_of_jacobians(net_a, net_b, images, targets):
    """The loss's gradient from the Jacobian of the mean loss: its scale does not matter."""
    sides = []
    for net in (net_a, net_b):
        x = images.clone().requires_grad_()
        log_p = net(x).log_softmax(1)[torch.arange(len(x)), targets]
        sides.append(F.normalize(torch.autograd.grad(-log_p.mean(), x)[0].flatten(1), dim=1))
    return (sides[0] * sides[1]).sum(1)


def _slopes(net, images, targets):
    x = images.detach().clone().requires_grad_()
    loss = F.cross_entropy(net(x), targets, reduction="sum")
    return torch.autograd.grad(loss, x)[0].flatten(1)


def _cosine(of):
    """A wrong cosine: of(a, b), the gradients (N, pixels) of the two."""

    def wrong(net_a, net_b, images, targets):
        return of(*(_slopes(net, images, targets) for net in (net_a, net_b)))

    return wrong


def _each(a, b):
    return F.cosine_similarity(a, b, dim=1)


EXERCISE.mistake(
    "the cosine of the means",
    "The gradients are averaged over the images first, and one cosine is left. The mean "
    "gradient is what all images have in common, and two networks can agree on that and "
    "on no image: a cosine for each image is asked for.",
    _cosine(lambda a, b: _each(a.mean(0, keepdim=True), b.mean(0, keepdim=True))[0]),
)

EXERCISE.mistake(
    "the cosine of the means, for every image",
    "Every image gets the same number, the cosine of the two mean gradients: take the "
    "cosine image by image.",
    _cosine(lambda a, b: _each(a.mean(0, keepdim=True), b.mean(0, keepdim=True)).expand(len(a))),
)

EXERCISE.mistake(
    "absolute value",
    "The sign is lost. Opposite directions count as the same, and random ones no longer "
    "have the mean 0.",
    _cosine(lambda a, b: _each(a, b).abs()),
)

EXERCISE.mistake(
    "the batch as one vector",
    "All images' gradients are taken as one long vector: the images with large gradients "
    "decide, and there is one number for all.",
    _cosine(lambda a, b: _each(a.flatten(), b.flatten()[None])[0]),
)

EXERCISE.mistake(
    "the target's logit",
    "This is the gradient of the target's logit. The attack descends the loss, which also "
    "pulls the other logits down: take the cross-entropy.",
    (
        'F.cross_entropy(net(x), targets, reduction="sum")',
        "-net(x).gather(1, targets[:, None]).sum()",
    ),
)

EXERCISE.mistake(
    "the class it gives",
    "This is the gradient of the loss for the class that the network gives the image: take the "
    "loss for the target.",
    ("net(x), targets", "net(x), net(x).argmax(1)"),
)

EXERCISE.mistake(
    "softmax twice",
    "The softmax is taken twice: `F.cross_entropy` takes logits and has it inside.",
    ("net(x), targets", "net(x).softmax(1), targets"),
)


@EXERCISE.mistake(
    "gradients added up in x.grad",
    "The second gradient has the first one in it: `backward` adds to `x.grad` what is there "
    "already. Take a new copy of the images for each network, or `torch.autograd.grad`.",
)
def added_up(net_a, net_b, images, targets):
    a, b = (_slopes(net, images, targets) for net in (net_a, net_b))
    return _each(a, a + b)


@EXERCISE.mistake(
    "a gradient with itself",
    "The cosine is 1 on every image: one gradient is compared with itself. Both networks must be "
    "used; and `x.grad` is one place, into which a second `backward` adds, so take a new copy of "
    "the images for each network, or `torch.autograd.grad`.",
)
def one_gradient(net_a, net_b, images, targets):
    return _each(*2 * [_slopes(net_a, images, targets)])


EXERCISE.mistake(
    "the distance",
    "This is 1 minus the cosine, a distance: the cosine is asked for.",
    _cosine(lambda a, b: 1 - _each(a, b)),
)

EXERCISE.mistake(
    "not divided by the norms",
    "These are inner products: divide by both norms, or large gradients look like agreement.",
    _cosine(lambda a, b: (a * b).sum(1)),
)

EXERCISE.mistake(
    "correlation",
    "The mean over pixels is taken off each gradient first, which makes it a correlation: "
    "a step that brightens all pixels is a direction like any other.",
    _cosine(lambda a, b: _each(a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True))),
)

EXERCISE.mistake(
    "signs only",
    "The signs of the gradients are compared, not the gradients: a pixel with next to no "
    "slope counts as much as the steepest.",
    _cosine(lambda a, b: _each(a.sign(), b.sign())),
)

EXERCISE.mistake(
    "an angle",
    "This is the angle, in radians: its cosine is asked for.",
    _cosine(lambda a, b: _each(a, b).clamp(-1, 1).arccos()),
)
