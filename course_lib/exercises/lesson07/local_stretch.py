"""`local-stretch`, lesson 07: against central differences, pixel by pixel.

There are more pixels than logits in some cases, and fewer in one; two images are no 1 x h x w.
"""

import math

import numpy as np
import torch
from torch import nn

from course_lib.exercises import Case, Exercise

from .shared import IMAGE, dense_layer, random_network, spectral_norm


def stretch_cases(rng):
    def image():
        return torch.rand(*IMAGE, generator=rng, dtype=torch.float64)

    one = nn.Sequential(nn.Flatten(), dense_layer(rng, 4, 2))
    yield Case("one layer, two logits", one, torch.rand(1, 2, 2, generator=rng).double())
    yield Case("one layer, five logits", random_network(rng, 12, 5), image())
    yield Case("sigmoids", random_network(rng, 12, 8, 6, 5, scale=4.0), image())
    yield Case(
        "rectified units", random_network(rng, 12, 9, 7, 4, activation=nn.ReLU, scale=2.0), image()
    )
    wide = random_network(rng, 3, 20, 10, activation=nn.Tanh, scale=3.0)
    yield Case("more logits than pixels", wide, torch.rand(1, 1, 3, generator=rng).double())
    colour = torch.rand(2, 2, 3, generator=rng).double()
    yield Case("two channels", random_network(rng, 12, 6, 4, scale=2.0), colour)
    line = torch.rand(5, generator=rng).double()
    yield Case("no image, a vector", random_network(rng, 5, 4, 3, scale=2.0), line)


@torch.no_grad()
def stretch_by_differences(net, image):
    """Central differences, pixel by pixel, and NumPy's singular values."""
    columns = []
    for k in range(image.numel()):
        step = torch.zeros(image.numel(), dtype=image.dtype)
        step[k] = 1e-6
        step = step.reshape(image.shape)
        columns.append((net((image + step)[None]) - net((image - step)[None]))[0] / 2e-6)
    return np.linalg.svd(torch.stack(columns, 1).numpy(), compute_uv=False)[0]


EXERCISE = Exercise(
    title="How much the network stretches here",
    difficulty=2,
    minutes=7,
    hints=[
        "Near an image the network is its derivative: f(x + r) is about f(x) + J r, with J the "
        "matrix of the derivatives of the logits with respect to the pixels. A matrix stretches "
        "by its largest singular value at most.",
        "`torch.func.jacrev(f)(image)` is the Jacobian of f at the image; let f add the batch axis "
        "and take it off again: f = lambda x: net(x[None])[0].",
        "It comes with the axes (logits, channel, height, width): flatten all but the first, and "
        "take `torch.linalg.matrix_norm(..., 2)`.",
    ],
    cases=stretch_cases,
    oracle=stretch_by_differences,
    on_device=False,
    done="No upper bound of this network can be smaller, wherever the image lies.",
    equivalent_mutants={
        "- jacobian = torch.func.jacrev(lambda x: net(x[None])[0])(image) / "
        "+ jacobian = torch.func.jacrev(lambda x: net(x[None])[-1])(image)": "The batch has one "
        "image, which is the first and the last."
    },
)


@EXERCISE.variant
def stretch_row_by_row(net, image):
    x = image[None].clone().requires_grad_()
    logits = net(x)[0]
    rows = [torch.autograd.grad(z, x, retain_graph=True)[0].flatten() for z in logits]
    return torch.linalg.svdvals(torch.stack(rows))[0]


@EXERCISE.variant
def stretch_of_gram(net, image):
    jacobian = torch.autograd.functional.jacobian(net, image[None]).reshape(-1, image.numel())
    return torch.linalg.eigvalsh(jacobian @ jacobian.T)[-1].sqrt()


def _jacobian(net, image):
    return torch.func.jacrev(lambda x: net(x[None])[0])(image).flatten(1)


EXERCISE.mistake(
    "Frobenius",
    "This is the Frobenius norm of the Jacobian, all its squares added up. No direction is "
    "stretched that much: as a lower bound of L it is wrong. The largest singular value is "
    "asked for.",
    lambda net, image: _jacobian(net, image).norm(),
)


@EXERCISE.mistake(
    "the winner's gradient",
    "This is the length of the gradient of one logit, the largest one. It is a lower "
    "bound, but f has all the logits, and a change moves them together.",
)
def winners_gradient(net, image):
    return _jacobian(net, image)[net(image[None])[0].argmax()].norm()


EXERCISE.mistake(
    "the longest gradient",
    "This is the longest gradient among those of the single logits, the longest row of "
    "the Jacobian. A change moves several logits at once, and the largest singular value "
    "is at least as large.",
    lambda net, image: _jacobian(net, image).norm(dim=1).max(),
)

EXERCISE.mistake(
    "the sum's gradient",
    "This is the gradient of the sum of the logits, what `net(x).sum().backward()` gives: "
    "logits that move against each other cancel in it.",
    lambda net, image: _jacobian(net, image).sum(0).norm(),
)


def _rows_of_grad(net, image, zeroed, kept):
    """The Jacobian by ``backward``, logit by logit, out of one ``x.grad``."""
    x, rows = image[None].clone().requires_grad_(), []
    for logit in net(x)[0]:
        if zeroed and x.grad is not None:
            x.grad.zero_()
        logit.backward(retain_graph=True)
        rows.append(kept(x.grad).flatten())
    return spectral_norm(torch.stack(rows))


EXERCISE.mistake(
    "gradients added up",
    "The rows of your Jacobian are the sums of the rows before: `backward` adds to `x.grad`. "
    "Set it to None before the next logit, or use `torch.autograd.grad`.",
    lambda net, image: _rows_of_grad(net, image, False, torch.clone),
)

EXERCISE.mistake(
    "one tensor for all rows",
    "All rows of your Jacobian are one and the same tensor, `x.grad`, which holds the gradient of "
    "the last logit in the end: keep a copy of it (`.clone()`) for every logit.",
    lambda net, image: _rows_of_grad(net, image, True, lambda grad: grad),
)

EXERCISE.mistake(
    "one tensor for all rows, added up",
    "All rows of your Jacobian are one and the same tensor, `x.grad`, to which `backward` has "
    "added the gradients of all logits: use `torch.autograd.grad`, or keep a copy and set "
    "`x.grad` to None for the next logit.",
    lambda net, image: _rows_of_grad(net, image, False, lambda grad: grad),
)

EXERCISE.mistake(
    "the first channel alone",
    "Only the first channel of the Jacobian is looked at: all pixels of an image of any shape "
    "count. Flatten all axes but the first.",
    lambda net, image: spectral_norm(_jacobian(net, image)[:, : image[0].numel()]),
)

EXERCISE.mistake(
    "σ²",
    "This is the square of the largest singular value, the largest eigenvalue of J Jᵀ: "
    "take the root.",
    lambda net, image: spectral_norm(_jacobian(net, image)) ** 2,
)

EXERCISE.mistake(
    "norm between largest entries",
    "This is the matrix norm that belongs to the maximum norm, the largest sum of a row's "
    "absolute values. For lengths in L2 it is the largest singular value: order 2.",
    lambda net, image: torch.linalg.matrix_norm(_jacobian(net, image), math.inf),
)

EXERCISE.mistake(
    "nuclear norm",
    "This is the sum of all singular values, and only the largest one counts.",
    lambda net, image: torch.linalg.matrix_norm(_jacobian(net, image), "nuc"),
)

EXERCISE.mistake(
    "smallest singular value",
    "This is the smallest singular value: torch sorts them in descending order.",
    lambda net, image: torch.linalg.svdvals(_jacobian(net, image))[-1],
)


@EXERCISE.mistake(
    "output over input",
    "This is the length of the logits over that of the image. L is about differences: how "
    "much the logits change when the image changes.",
)
def plain_gain(net, image):
    return net(image[None]).norm() / image.norm()


@EXERCISE.mistake(
    "of the probabilities",
    "This is the Jacobian after a softmax. The network gives logits, and the bound is one "
    "of the logits.",
)
def of_softmax(net, image):
    return spectral_norm(torch.func.jacrev(lambda x: net(x[None])[0].softmax(0))(image).flatten(1))
