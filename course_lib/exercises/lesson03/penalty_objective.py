"""`penalty-objective`, lesson 03: the oracle differentiates by differences, in double precision.

Where r is 0, as at the start of every search, its norm counts as flat; a NaN hides there.
"""

import numpy as np
import scipy.special
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.exercises import Case, Exercise


def _net(*layers):
    return nn.Sequential(*layers)


def penalty_cases(rng):
    def case(label, net, n, shape, c, classes):
        images = torch.rand(n, *shape, generator=rng)
        r = 0.2 * torch.randn(n, *shape, generator=rng)
        targets = torch.randint(0, classes, (n,), generator=rng)
        return label, net, images, r, targets, c

    flat = _net(nn.Flatten(), nn.Linear(6, 3))
    label, net, images, r, targets, c = case("one image", flat, 1, (1, 2, 3), 0.5, 3)
    yield Case(label, net, images, r, targets, c)
    net = _net(nn.Flatten(), nn.Linear(12, 8), nn.Sigmoid(), nn.Linear(8, 5))
    label, _, images, r, targets, c = case(
        "four images, one not changed", net, 4, (1, 3, 4), 2.0, 5
    )
    r[2] = 0
    yield Case(label, net, images, r, targets, c)
    label, _, images, r, targets, c = case("nothing changed yet", net, 3, (1, 3, 4), 0.7, 5)
    yield Case(label, net, images, 0 * r, targets, c)
    wide = _net(nn.Linear(5, 4))
    label, _, images, r, targets, c = case("flat images that leave the box", wide, 3, (5,), 1.3, 4)
    yield Case(label, wide, images, 8 * r, targets, c)
    # logits so far apart that a probability is 0 in any precision, its logarithm -inf, and that
    # half precision has no number for the loss
    sharp = _net(nn.Linear(6, 3))
    with torch.no_grad():
        sharp[0].weight.mul_(50)
        sharp[0].bias.copy_(torch.tensor([0.0, 90000.0, -70000.0]))
    label, _, images, r, _, c = case("sharp logits, a target far behind", sharp, 3, (6,), 0.9, 3)
    yield Case(label, sharp, images, r, torch.tensor([0, 2, 1]), c)
    # in double precision, as in the lesson, and without a price
    double = _net(nn.Flatten(), nn.Linear(6, 4)).double()
    label, _, images, r, targets, _ = case("double precision, c = 0", double, 2, (1, 2, 3), 0.0, 4)
    yield Case(label, double, images.double(), r.double(), targets, 0.0)
    label, _, images, r, targets, c = case("a change of a thousandth", flat, 2, (1, 2, 3), 0.8, 3)
    yield Case(label, flat, images, r / 100, targets, c)


def penalty_by_differences(net, images, r, targets, c):
    """Values by NumPy, gradients by central differences in double precision."""
    layers = [
        (m.weight.detach().double().numpy(), m.bias.detach().double().numpy())
        for m in net
        if isinstance(m, nn.Linear)
    ]
    x, y = images.double().numpy(), targets.numpy()
    rows = np.arange(len(y))

    def logits(batch):
        h = batch.reshape(len(batch), -1)
        for i, (w, b) in enumerate(layers):
            h = h @ w.T + b
            h = scipy.special.expit(h) if i + 1 < len(layers) else h
        return h

    def losses(change):
        z = logits(x + change)
        return scipy.special.logsumexp(z, axis=1) - z[rows, y]

    at = r.double().numpy()
    sizes = np.sqrt((at.reshape(len(at), -1) ** 2).sum(1))
    slopes = np.zeros_like(at)
    for index in np.ndindex(at.shape[1:]):
        step = np.zeros_like(at)
        step[(slice(None), *index)] = 1e-5
        slopes[(slice(None), *index)] = (losses(at + step) - losses(at - step)) / 2e-5
    over = np.where(sizes > 0, 1 / np.where(sizes > 0, sizes, 1), 0)
    units = at * over.reshape(-1, *[1] * (at.ndim - 1))
    return c * sizes + losses(at), c * units + slopes


EXERCISE = Exercise(
    title="The paper's objective, and its gradient",
    difficulty=3,
    minutes=12,
    hints=[
        "Every image has its own loss: `F.cross_entropy(logits, targets, reduction='none')` is "
        "(N,). The gradient of their sum holds each image's own gradient, because no image's loss "
        "depends on another's r.",
        "Let autograd differentiate the loss only, with respect to a copy of r: "
        "`torch.autograd.grad(losses.sum(), r)` leaves the network's own gradients alone.",
        "The gradient of ||r|| is r / ||r||, and its root has no derivative at 0: there, 0 is the "
        "choice to make. Dividing by `sizes.clamp(min=1e-12)` gives just that.",
    ],
    cases=penalty_cases,
    oracle=penalty_by_differences,
    parts=("values", "gradients"),
    rtol=1e-3,
    atol=1e-5,
    equivalent_mutants={
        **{
            "- r = r.detach().clone().requires_grad_() / + r = r." + copy + ".requires_grad_()": (
                "The r that comes in has no history, and nothing writes into it."
            )
            for copy in ("detach()", "clone()")
        },
        **{
            "- each = sizes.clamp(min=1e-12).reshape(-1, *[1] * (r.ndim - 1)) / + each = "
            f"sizes.clamp(min={least}).reshape(-1, *[1] * (r.ndim - 1))": (
                "Any tiny number will do: it only ever divides an r of 0."
            )
            for least in ("2e-12", "5e-13")
        },
    },
    done="Values and gradients agree with finite differences, and r = 0 has a gradient.",
)


@EXERCISE.variant
def penalty_autograd(net, images, r, targets, c):
    """All by autograd: vector_norm has the gradient 0 at 0."""
    r = r.detach().requires_grad_()
    z = net(images + r)
    losses = z.logsumexp(1) - z.gather(1, targets[:, None]).squeeze(1)
    values = c * torch.linalg.vector_norm(r.flatten(1), dim=1) + losses
    values.sum().backward(inputs=[r])
    return values.detach(), r.grad


@EXERCISE.variant
def penalty_loop(net, images, r, targets, c):
    values, gradients = [], []
    for x, change, target in zip(images, r, targets, strict=True):
        change = change[None].clone().requires_grad_()
        loss = F.cross_entropy(net(x[None] + change), target[None])
        (slope,) = torch.autograd.grad(loss, change)
        size = change.detach().norm()
        values.append(loss.detach() + c * size)
        part = change.detach() / size if size > 0 else torch.zeros_like(slope)
        gradients.append((slope + c * part)[0])
    return torch.stack(values), torch.stack(gradients)


HISTORY = (
    "The numbers are right, but they carry autograd's history, which keeps the network's whole "
    "computation in memory and cannot become an array for SciPy: return `.detach()`ed tensors."
)


@EXERCISE.probe(only_right=True)
def has_history(answer):
    """A probe: neither result asks for a gradient."""
    net = _net(nn.Linear(4, 3))
    images, r = torch.full((2, 4), 0.5), torch.full((2, 4), 0.1)
    results = answer(net, images, r, torch.tensor([0, 2]), 1.0)
    parts = [part for result in results for part in result]
    return HISTORY if any(getattr(part, "requires_grad", False) for part in parts) else None


EXERCISE.mistake(
    "NaN at 0",
    "The gradient is NaN where r = 0, which is where every search starts: r / ||r|| is 0/0 "
    "there, and autograd through a root gives the same. Take 0 for the norm's gradient.",
    (".clamp(min=1e-12)", ""),
)

LOGARITHM = (
    "The logarithm of a softmax: where the target is far behind, its probability is 0, and the "
    "logarithm of that is not the loss, in double precision neither. Take `F.cross_entropy(logits, "
    "targets)`, or `logsumexp` of the logits minus the target's, which never sees the probability."
)

SOFTMAX = (
    'losses = F.cross_entropy(net(images + r), targets, reduction="none")',
    "losses = -net(images + r).softmax(1).gather(1, targets[:, None])[:, 0].log()",
)

EXERCISE.mistake("softmax, then logarithm", LOGARITHM, SOFTMAX)

for SMALL in ("1e-12", "1e-10", "1e-8", "1e-7", "1e-6"):
    EXERCISE.mistake(
        f"{SMALL} in the logarithm",
        f"{LOGARITHM} The {SMALL} that you add keeps it finite, at a wrong number, and leaves no "
        "gradient.",
        (SOFTMAX[0], SOFTMAX[1].replace(".log()", f".add({SMALL}).log()")),
    )

EXERCISE.mistake(
    "a gradient without c",
    "The values are right, but the gradient of the penalty lacks c: it is c·r/||r||.",
    ("c * r / each + slopes", "r / each + slopes"),
)

EXERCISE.mistake(
    "no c",
    "The constant c does not appear: the penalty is c·||r||.",
    ("c * sizes + losses", "sizes + losses"),
    ("c * r / each + slopes", "r / each + slopes"),
)

EXERCISE.mistake(
    "c on the slope of the loss, too",
    "The values are right, but c multiplies the whole gradient: it belongs to the norm's part.",
    ("c * r / each + slopes", "c * (r / each + slopes)"),
)

EXERCISE.mistake(
    "the direction of the whole batch",
    "The values are right, but the norm's gradient is r divided by one norm for the whole batch: "
    "each image's r is divided by its own.",
    ("c * r / each", "c * r / r.norm().clamp(min=1e-12)"),
)

EXERCISE.mistake(
    "r not divided by its norm",
    "The values are right, but the gradient of ||r|| is r / ||r||, of length 1: yours is r.",
    ("c * r / each", "c * r"),
)

EXERCISE.mistake(
    "one norm in the values",
    "The gradients are right, but the values have the norm of the whole batch: each image has its "
    "own, along its pixels.",
    ("return c * sizes", "return c * r.norm().repeat(len(r))"),
)

EXERCISE.mistake(
    "gradients first",
    "The two results are in the other order: first the values, then the gradients.",
    (
        "c * sizes + losses.detach(), c * r / each + slopes",
        "c * r / each + slopes, c * sizes + losses.detach()",
    ),
)

EXERCISE.mistake(
    "batch mean",
    "The losses are averaged over the batch, so each image's value depends on its company: "
    "these are N problems, `reduction='none'`.",
    ("losses.detach()", "losses.detach().mean()"),
)

EXERCISE.mistake(
    "batch mean throughout, loss",
    "The loss is averaged over the batch, so each image's value depends on its company "
    "and the gradient of the loss is N times too small: these are N problems. Ask "
    "for `reduction='none'`, and differentiate the sum.",
    (', reduction="none"', ""),
)

EXERCISE.mistake(
    "batch mean throughout, all",
    "The loss is averaged over the batch, so each image's value depends on its company "
    "and the gradient is N times too small: these are N problems. Ask "
    "for `reduction='none'`, and differentiate the sum.",
    (', reduction="none"', ""),
    ("c * r / each + slopes", "c * r / each / len(r) + slopes"),
)

EXERCISE.mistake(
    "gradient of the mean",
    "The values are right, but you differentiate their mean: each image's gradient is N "
    "times too small. Differentiate the sum.",
    ("c * r / each + slopes", "(c * r / each + slopes) / len(r)"),
)

EXERCISE.mistake(
    "batch mean in the gradient",
    "The values are right, but the loss's gradient is that of the batch's mean, N times "
    "too small beside c·r/||r||: differentiate the sum of the losses.",
    ("losses.sum()", "losses.mean()"),
)

EXERCISE.mistake(
    "squared norm",
    "The penalty here is the norm ||r||, not its square (which Carlini and Wagner "
    "take: then c means something else).",
    (".norm(dim=1)", ".square().sum(dim=1)"),
    ("c * r / each", "2 * c * r"),
)

EXERCISE.mistake(
    "1-norm",
    "This penalty is the sum of absolute values: the L2 norm is asked for.",
    (".norm(dim=1)", ".abs().sum(dim=1)"),
    ("c * r / each", "c * r.sign()"),
)

EXERCISE.mistake(
    "distortion for norm",
    "The penalty is the distortion, the norm divided by the root of the number of pixels: "
    "the norm itself is asked for.",
    ("sizes = r", "c = c / r[0].numel() ** 0.5\n    sizes = r"),
)

EXERCISE.mistake(
    "one norm for the batch",
    "The norm is that of the whole batch: each image has its own, along its pixels.",
    ("r.flatten(1).norm(dim=1)", "r.norm().repeat(len(r))"),
    ("c * r /", "len(r) * c * r /"),
)

EXERCISE.mistake(
    "c on the loss",
    "Here c multiplies the loss: in the paper it multiplies |r|. (In Carlini and Wagner's "
    "paper it is the loss: their large c is a small one here.) Swap the two factors.",
    ("c * sizes + losses", "sizes + c * losses"),
    ("c * r / each + slopes", "r / each + c * slopes"),
)

EXERCISE.mistake(
    "away from the answer",
    "This raises the loss of the class that the network gave before, whichever class wins "
    "then: the paper lowers the loss of the target.",
    ("losses = F", "losses = -F"),
    (" targets, reduction", " net(images).argmax(1), reduction"),
)

EXERCISE.mistake(
    "the answer for the target",
    "The loss is that of the class that the network gives the clean image, which is what "
    "training lowers: an attack lowers the loss of the target.",
    (" targets, reduction", " net(images).argmax(1), reduction"),
)

EXERCISE.mistake(
    "uphill",
    "The loss has the wrong sign: minimising this leads away from the target.",
    ("losses = F", "losses = -F"),
)

EXERCISE.mistake(
    "clipped inside",
    "The image is clipped inside the objective: a pixel that left the box then has no "
    "gradient, and nothing tells it to come back. The optimiser keeps x + r in the box; "
    "the objective takes what it is given.",
    ("net(images + r),", "net((images + r).clamp(0, 1)),"),
)

EXERCISE.mistake(
    "the penalty has no gradient",
    "The values are right, but the gradient is that of the loss alone: c·||r|| pulls r "
    "back, by c·r/||r||.",
    ("c * r / each + slopes", "slopes"),
)

EXERCISE.mistake(
    "the r alone",
    "The network gets r without the image: its input is images + r.",
    ("net(images + r),", "net(r),"),
)

EXERCISE.mistake(
    "summed",
    "The values are added up: one per image is asked for, (N,).",
    ("c * sizes + losses.detach()", "(c * sizes + losses.detach()).sum()"),
)

EXERCISE.mistake("history", HISTORY, ("losses.detach()", "losses"))

EXERCISE.mistake(
    "values only",
    "These are the values; the gradients are asked for, too: return both, values first.",
    (", c * r / each + slopes", ""),
)
