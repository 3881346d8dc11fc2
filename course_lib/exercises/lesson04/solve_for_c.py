"""`solve-for-c`, lesson 04: against SciPy's own L-BFGS-B on the same objective.

The tolerance allows for where two minimisers stop.
"""

import itertools
import math

import numpy as np
import scipy.stats
import torch
from torch import nn

from course_lib.exercises import Case, Exercise
from course_lib.exercises.exercise import InADict
from course_lib.lbfgsb import plain


def small_net(rng, pixels, hidden, classes, scale=3.0):
    """A network in double precision with weights from ``rng``."""
    sizes = (pixels, *hidden, classes)
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        layer = nn.Linear(a, b, dtype=torch.float64)
        with torch.no_grad():
            # in float64: a network that somebody turns into float32 and back is another one
            weight = torch.randn(b, a, generator=rng, dtype=torch.float64)
            layer.weight.copy_(weight * scale / a**0.5)
            layer.bias.copy_(torch.randn(b, generator=rng, dtype=torch.float64) * 0.1)
        layers += [layer] + [nn.Sigmoid()] * (i + 2 < len(sizes))
    return nn.Sequential(*layers).requires_grad_(False)


def c_cases(rng):
    """Images with pixels at the bounds, small networks, targets that are not the prediction."""

    def image(*shape):
        drawn = torch.rand(*shape, generator=rng, dtype=torch.float64) * 2 - 0.5
        return drawn.clamp(0, 1)

    def case(label, shape, hidden, classes, target, c):
        net = small_net(rng, math.prod(shape), hidden, classes)
        x = image(*shape)
        order = net(x[None])[0].argsort(descending=True).tolist()
        return Case(label, net, x, order[target], c)

    yield case("four pixels, three classes", (1, 2, 2), (), 3, 1, 0.3)
    yield case("a smaller c", (1, 3, 4), (), 4, 1, 0.1)
    yield case("a large c", (1, 3, 4), (), 4, 3, 5.0)
    yield case("a sigmoid layer", (1, 4, 4), (8,), 5, 2, 0.05)
    yield case("two colours", (2, 3, 3), (6,), 4, 3, 0.1)
    yield case("nearly", (1, 4, 4), (), 5, 4, 0.35)
    yield case("a flat image", (6,), (), 3, 1, 0.2)
    behind = small_net(rng, 4, (), 3)  # so far that its probability is 0 in double precision
    behind[1].bias.copy_(torch.tensor([0.0, 900.0, -100.0]))
    yield Case("a target far behind", behind, image(1, 2, 2), 0, 1.5)


def c_of_scipy(net, image, target, c):
    """SciPy's own L-BFGS-B on the same objective, with the gradient by autograd."""
    x = image.double().flatten()

    def objective(z):
        z = torch.from_numpy(z).requires_grad_()
        logits = net(z.reshape(1, *image.shape))
        value = c * (z - x).square().sum() - logits.log_softmax(1)[0, target]
        value.backward()
        return float(value.detach()), z.grad.numpy()

    found = scipy.optimize.minimize(
        objective,
        x.numpy(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 1)] * len(x),
        options={"ftol": 0, "gtol": 1e-8, "maxiter": 5000, "maxfun": 20000},
    )
    z = torch.from_numpy(found.x).reshape(1, *image.shape)
    return (z[0] - image).numpy(), int(net(z).argmax()) == target


def one_truth(result, *_):
    """The result, with a success that is a tensor or an array of one element as a scalar."""
    if isinstance(result, tuple | list) and len(result) == 2:
        r, success = result
        if isinstance(success, torch.Tensor | np.ndarray) and success.shape == (1,):
            return r, success[0]
    return InADict() if isinstance(result, dict) else result


CALL = (
    "minimize(with_gradient(objective), start, 0.0, 1.0, tolerance={}, two_loop=two_loop, "
    "search=projected_search)"
)

EXERCISE = Exercise(
    title="The paper's problem, for one c",
    difficulty=3,
    minutes=10,
    hints=[
        "Let the changed image z = image + r be the variable, flat. Then the box is 0 and 1, and "
        "the start is the image.",
        "The objective of z: c times the sum of the squares of z - image, plus "
        "`F.cross_entropy(logits, torch.tensor([target]))`, with `logits = net(z.reshape(1, "
        "*image.shape))`. `with_gradient(objective)` is what `minimize` wants.",
        "`minimize(..., two_loop=two_loop, search=projected_search)` puts your parts in. Its "
        "result's `.x` is z: take r from it, and ask the network for the class of image + r.",
    ],
    cases=c_cases,
    parts=("r", "success"),
    observe=one_truth,
    oracle=c_of_scipy,
    on_device=False,
    rtol=1e-3,
    atol=4e-3,
    time_limit=30,
    done="The minimisers are those of SciPy's L-BFGS-B, and so are the successes.",
    equivalent_mutants={
        f"- found = {CALL.format('0.0001')} / + found = {CALL.format(other)}": (
            "Such a tolerance moves the minimiser by less than what is compared."
        )
        for other in ("0.0002", "5e-05")
    },
)


@EXERCISE.variant
def c_in_r(net, image, target, c):
    """With r as the variable, and its own bounds."""
    image = image.double()
    flat = image.flatten()

    def objective(r):
        logits = net((image + r.reshape(image.shape))[None])
        return c * r @ r - logits.log_softmax(1)[0, target]

    found = plain.minimize(
        plain.with_gradient(objective), torch.zeros_like(flat), -flat, 1 - flat, tolerance=1e-6
    )
    r = found.x.reshape(image.shape)
    return r, bool(net((image + r)[None]).argmax() == target)


@EXERCISE.variant
def c_projected_gradient(net, image, target, c):
    """Projected gradient descent with momentum, which starts anew where it overshoots."""
    x = image.double()

    def at(z):
        return c * (z - x).square().sum() - net(z[None]).log_softmax(1)[0, target]

    z = ahead = x.clone()
    rate, t = 1.0, 1.0
    for _ in range(3000):
        ahead = ahead.detach().requires_grad_()
        value = at(ahead)
        (slope,) = torch.autograd.grad(value, ahead)
        with torch.no_grad():
            while True:  # a step that is short enough for the curvature here
                new = (ahead - rate * slope).clamp(0, 1)
                step = new - ahead
                most = value + (slope * step).sum() + step.square().sum() / (2 * rate)
                if at(new) <= most + 1e-12 or rate < 1e-6:
                    break
                rate /= 2
            if step.abs().max() < 1e-7 * rate:
                break
            t = 1.0 if (step * (new - z)).sum() < 0 else t
            after = (1 + (1 + 4 * t * t) ** 0.5) / 2
            z, ahead, t = new, new + (t - 1) / after * (new - z), after
    return z - image, bool(net(z[None]).argmax() == target)


STARTED_ELSEWHERE = (
    "The minimisers are right, but the search starts elsewhere: the first image that the network "
    "sees is not `image`. Start at r = 0, where the paper's penalty is 0: where there is more than "
    "one minimum, the one near the image is wanted."
)


@EXERCISE.probe(only_right=True)
def starts_at_the_image(answer):
    """A probe: what the network is asked first."""
    net, image, target, c = EXERCISE.draw("cpu")[0].args
    seen = []
    net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    answer(net, image, target, c)
    if not seen or torch.allclose(seen[0].double().flatten(), image.flatten(), atol=1e-6):
        return None
    return STARTED_ELSEWHERE


EXERCISE.mistake(
    "started elsewhere",
    STARTED_ELSEWHERE,
    ("        start,\n", "        torch.full_like(start, 0.5),\n"),
)

LOGARITHM = (
    "The logarithm of a softmax: where the target is far behind, its probability is 0, and the "
    "logarithm of that is not the loss. `F.cross_entropy(logits, label)` never sees it."
)

SOFTMAX = ("F.cross_entropy(logits, label)", "-logits.softmax(1)[0, target].log()")

EXERCISE.mistake("softmax, then logarithm", LOGARITHM, SOFTMAX)

EXERCISE.mistake(
    "a small number in the logarithm",
    f"{LOGARITHM} The small number that you add keeps it finite, at a wrong value, and leaves no "
    "gradient.",
    (SOFTMAX[0], SOFTMAX[1].replace(".log()", ".add(1e-12).log()")),
)

EXERCISE.mistake(
    "the softmax's cross-entropy",
    "The softmax is taken twice: `F.cross_entropy` wants logits and makes it itself.",
    ("F.cross_entropy(logits, ", "F.cross_entropy(logits.softmax(1), "),
)

EXERCISE.mistake(
    "the probability",
    "The loss is minus the target's probability: the cross-entropy is minus its logarithm.",
    ("F.cross_entropy(logits, label)", "-logits.softmax(1)[0, target]"),
)

EXERCISE.mistake(
    "the logit",
    "The loss is minus the target's logit: the cross-entropy looks at the other classes, too.",
    ("F.cross_entropy(logits, label)", "-logits[0, target]"),
)

EXERCISE.mistake(
    "stopped early",
    "You stop before the minimum: `tolerance=1e-4`, and no small number of iterations.",
    ("tolerance=1e-4", "tolerance=1e-2"),
)

EXERCISE.mistake(
    "stopped after a few iterations",
    "The minimiser is stopped before it is there: leave `max_iterations` alone, `tolerance` says "
    "when it is done.",
    ("tolerance=1e-4,", "tolerance=1e-4,\n        max_iterations=5,"),
)

EXERCISE.mistake(
    "success of the image itself",
    "The network is asked for the class of the image as it was: ask for that of image + r.",
    ("(image + r)[None]", "image[None]"),
)

EXERCISE.mistake(
    "a box that begins at -1",
    "The lower bound is -1: pixels of image + r become darker than black. The box is [0, 1].",
    ("0.0,", "-1.0,"),
)

EXERCISE.mistake(
    "a box that ends at 2",
    "The upper bound is 2: pixels of image + r become brighter than white. The box is [0, 1].",
    ("1.0,", "2.0,"),
)

EXERCISE.mistake(
    "always a success",
    "You call every r a success: ask the network for the class of image + r.",
    ("int(net((image + r)[None]).argmax()) == target", "True"),
)

EXERCISE.mistake(
    "flat",
    "This r is flat: give it the shape of the image.",
    (".reshape(image.shape)", ""),
    ("(image + r)[None]", "(start + r).reshape(1, *image.shape)"),
)

EXERCISE.mistake(
    "the class for the success",
    "The class that the network says is returned: whether that is the target is asked for.",
    (".argmax()) == target", ".argmax())"),
)

EXERCISE.mistake(
    "the box for r",
    "It is r that is kept between 0 and 1, so pixels can only become brighter, and image "
    "+ r can exceed 1: the box is that of image + r.",
    ("0.0,", "start,"),
    ("1.0,", "start + 1,"),
)

EXERCISE.mistake(
    "no box",
    "There are no bounds at all: image + r leaves [0, 1].",
    ("0.0,", "-torch.inf,"),
    ("1.0,", "torch.inf,"),
)

EXERCISE.mistake(
    "clipped at the end",
    "The problem is solved without bounds, and the result is cut off at the end. What is "
    "cut off is missing from the attack, and the pixels that are free do not make up for "
    "it: give the bounds to `minimize`.",
    ("0.0,", "-torch.inf,"),
    ("1.0,", "torch.inf,"),
    ("found.x - start", "found.x.clamp(0, 1) - start"),
)

EXERCISE.mistake(
    "c on the loss",
    "Here c multiplies the loss: in the paper's problem it multiplies |r|. Carlini and "
    "Wagner put it on the loss later, where a large c means the opposite.",
    ("c * size + F", "size + c * F"),
)

EXERCISE.mistake("no c", "The constant c does not appear in the objective.", ("c * size", "size"))

EXERCISE.mistake(
    "mean of the squares",
    "The squares of r are averaged over the pixels: sum them, or c means something else "
    "for every image size.",
    (".sum()", ".mean()"),
)

EXERCISE.mistake(
    "the norm and not its square",
    "Here c multiplies |r| itself. The text takes the square, the sum of the squares of r: "
    "|r| has no gradient at r = 0, where every run starts.",
    (".square().sum()", ".norm()"),
)

EXERCISE.mistake(
    "the root of the sum of squares",
    "Your c multiplies the root of the sum of squares, |r|, whose gradient at r = 0, where "
    "every run starts, is 0/0: take the sum of the squares without the root.",
    (".sum()", ".sum().sqrt()"),
)

EXERCISE.mistake(
    "half of the squares",
    "The squares of r have a factor 1/2 in front: without it here.",
    ("c * size", "c / 2 * size"),
)

EXERCISE.mistake(
    "away from the label",
    "The loss drives away from the class that the network gives the image, to wherever is "
    "near: the paper's loss pulls towards the target.",
    ("torch.tensor([target])", "net(image[None]).argmax(1)"),
    ("+ F.", "- F."),
)

EXERCISE.mistake(
    "the label for the target",
    "The cross-entropy is that of the network's own class for the image, not of the "
    "target: it holds the image where it is.",
    ("torch.tensor([target])", "net(image[None]).argmax(1)"),
)

EXERCISE.mistake(
    "away from the target",
    "The sign of the loss is wrong: it drives away from the target.",
    ("+ F.", "- F."),
)

EXERCISE.mistake(
    "any other class counts",
    "Success is counted for any class but the old one: it has to be the target.",
    (".argmax()) == target", ".argmax()) != int(net(image[None]).argmax())"),
)

EXERCISE.mistake(
    "half of the probability",
    "Success is counted when the target has more than half of the probability: it has won "
    "as soon as no other class has more, which with ten classes can be at 20 %.",
    (".argmax()) == target", ".softmax(1)[0, target] > 0.5)"),
)

EXERCISE.mistake(
    "success of r alone",
    "The network is asked for the class of r, not of image + r.",
    ("(image + r)[None]", "r[None]"),
)

EXERCISE.mistake(
    "the changed image",
    "This returns the changed image: subtract the image, r is asked for.",
    ("return r,", "return image + r,"),
)

EXERCISE.mistake(
    "r without success",
    "Only r is returned: whether the network says the target for image + r belongs to it.",
    ("return r, int(net((image + r)[None]).argmax()) == target", "return r"),
)
