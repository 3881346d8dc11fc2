"""`training-step`, lesson 01: what is compared is the loss returned and where the weights are then.

One network comes with the gradients of an earlier batch, one holds another network.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from course_lib import training
from course_lib.exercises import Case, Exercise

from .shared import sequential


def step_cases(rng):
    def batch(n):
        images = torch.rand(n, 1, 2, 3, generator=rng)
        return images, torch.randint(3, (n,), generator=rng)

    yield Case(
        "one linear layer, two images",
        sequential(nn.Flatten(), nn.Linear(6, 3)),
        *batch(2),
        learning_rate=0.5,
        decay=0.1,
    )
    yield Case(
        "a hidden layer, no decay",
        sequential(nn.Flatten(), nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 3)),
        *batch(5),
        learning_rate=2.0,
        decay=0.0,
    )
    used = sequential(nn.Flatten(), nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 3))
    images, labels = batch(4)
    F.cross_entropy(used(images), labels).backward()
    yield Case(
        "gradients left over from an earlier batch",
        used,
        *batch(7),
        learning_rate=0.3,
        decay=0.2,
    )
    inner = sequential(nn.Flatten(), nn.Linear(6, 4), nn.Sigmoid())
    yield Case(
        "a network inside a network, one image",
        sequential(inner, nn.Linear(4, 3)),
        *batch(1),
        learning_rate=1.0,
        decay=0.05,
    )


def loss_and_weights(result, net, images, labels, learning_rate, decay):
    """What is compared: the loss that was returned, and where the parameters are now."""
    return {"objective": result, "parameters": torch.cat([p.flatten() for p in net.parameters()])}


def step_in_double(net, images, labels, learning_rate, decay):
    """The step of a copy in double precision, with PyTorch's own cross-entropy."""
    twin = copy.deepcopy(net).double()
    loss = F.cross_entropy(twin(images.double()), labels)
    rates = [decay if name.endswith("weight") else 0 for name, _ in twin.named_parameters()]
    slopes = torch.autograd.grad(loss, list(twin.parameters()))
    value = loss.detach()
    with torch.no_grad():
        for p, q, slope, rate in zip(
            net.parameters(), twin.parameters(), slopes, rates, strict=True
        ):
            p.copy_(q - learning_rate * (slope + rate * q))
            value += rate / 2 * q.square().sum()
    return value


EXERCISE = Exercise(
    title="One step of training",
    difficulty=2,
    minutes=8,
    hints=[
        "Four things, in this order: the objective, gradients to zero, backward, the step. "
        "`weight_decay` and `stable_cross_entropy` are yours already.",
        "`backward()` adds to what is in `.grad` already: `net.zero_grad()` clears that.",
        "Inside `with torch.no_grad():` a parameter can be changed in place: "
        "`parameter -= learning_rate * parameter.grad`.",
    ],
    cases=step_cases,
    parts=("loss", "parameters"),
    oracle=step_in_double,
    observe=loss_and_weights,
    may_change=("net",),
    done="Loss and weights are those of the same step in double precision.",
)


def _objective(net, images, labels, decay):
    return F.cross_entropy(net(images), labels) + training.weight_decay(net, decay, "half")


@EXERCISE.variant
def step_sgd(net, images, labels, learning_rate, decay):
    """The decay by the optimizer's own setting, for weights and not for biases."""
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in net.parameters() if p.ndim == 1]},
    ]
    optimizer = torch.optim.SGD(groups, lr=learning_rate)
    loss = _objective(net, images, labels, decay)
    optimizer.zero_grad()
    F.cross_entropy(net(images), labels).backward()
    optimizer.step()
    return loss.detach()


@EXERCISE.variant
def step_autograd(net, images, labels, learning_rate, decay):
    objective = _objective(net, images, labels, decay)
    slopes = torch.autograd.grad(objective, list(net.parameters()))
    for p, slope in zip(net.parameters(), slopes, strict=True):
        p.data.sub_(learning_rate * slope)
    return objective.detach()


@EXERCISE.variant
def step_data(net, images, labels, learning_rate, decay):
    net.zero_grad()
    objective = _objective(net, images, labels, decay)
    objective.backward()
    for p in net.parameters():
        p.data = p.data - learning_rate * p.grad
    return float(objective.detach())


HISTORY = (
    "The step is right, and the number that you return still carries its history: whoever keeps "
    "the losses of all steps would keep all their graphs in memory. Return `objective.detach()`, "
    "or a float."
)


@EXERCISE.probe(only_right=True)
def keeps_its_history(answer):
    """A probe: what comes back is a number and no more."""
    net = sequential(nn.Flatten(), nn.Linear(6, 3))
    found = answer(net, torch.rand(2, 1, 2, 3), torch.tensor([0, 2]), 0.1, 0.1)
    return HISTORY if isinstance(found, torch.Tensor) and found.requires_grad else None


EXERCISE.mistake(
    "the graph is returned as well", HISTORY, ("return objective.detach()", "return objective")
)

EXERCISE.mistake(
    "return inside the loop",
    "Only the first parameter has moved: is the `return` inside the loop?",
    ("\n    return objective.detach()", "\n            return objective.detach()"),
)


@EXERCISE.mistake(
    "the decay twice",
    "In the step the decay counts twice: it is in the objective, and so in its gradient, and need "
    "not be subtracted once more (nor be given to an optimizer).",
)
def step_that_decays_twice(net, images, labels, learning_rate, decay):
    objective = _objective(net, images, labels, decay)
    net.zero_grad()
    objective.backward()
    with torch.no_grad():
        for p in net.parameters():
            p -= learning_rate * (p.grad + (decay * p if p.ndim > 1 else 0))
    return objective.detach()


EXERCISE.mistake(
    "biases stay",
    "The weights move and the biases do not: they do not decay, but they have a gradient, and θ "
    "stands for all parameters.",
    ("in net.parameters():", "in [p for p in net.parameters() if p.ndim > 1]:"),
)


@EXERCISE.mistake(
    "layers inside a layer stay",
    "Layers that lie inside another one do not move: `net.parameters()` finds all of them, "
    "`net.children()` only the outermost.",
)
def step_of_children(net, images, labels, learning_rate, decay):
    objective = _objective(net, images, labels, decay)
    net.zero_grad()
    objective.backward()
    with torch.no_grad():
        for layer in net.children():
            if isinstance(layer, nn.Linear):
                layer.weight -= learning_rate * layer.weight.grad
                layer.bias -= learning_rate * layer.bias.grad
    return objective.detach()


def _by_optimizer(net, images, labels, learning_rate, decay):
    loss = F.cross_entropy(net(images), labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, weight_decay=decay)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


EXERCISE.mistake(
    "the optimizer's decay",
    "The number returned is the cross-entropy alone, and the optimizer's `weight_decay` lets the "
    "biases decay, too: the objective has its decay in it, and only weight matrices decay.",
    _by_optimizer,
)


@EXERCISE.mistake(
    "the optimizer's decay, in the step only",
    "The objective is right, but in the step the biases decay, too: an optimizer's `weight_decay` "
    "makes no difference between weights and biases.",
)
def step_with_decaying_biases(net, images, labels, learning_rate, decay):
    objective = _objective(net, images, labels, decay).detach()
    _by_optimizer(net, images, labels, learning_rate, decay)
    return objective


EXERCISE.mistake(
    "gradients not zeroed",
    "The gradients of an earlier batch are still in `.grad`, and `backward()` adds to "
    "them: set them to zero before.",
    ("net.zero_grad()", ""),
)

EXERCISE.mistake(
    "no step",
    "The objective is right, but nothing has moved: is there a step, in place, and are the "
    "gradients set to zero before `backward()` and not after it?",
    (
        "net.zero_grad()\n    objective.backward()",
        "objective.backward()\n    net.zero_grad(set_to_none=False)",
    ),
)

EXERCISE.mistake(
    "uphill",
    "The step goes uphill: the gradient points to where the loss grows, so subtract it.",
    ("parameter -=", "parameter +="),
)

EXERCISE.mistake(
    "the objective after the step",
    "The step is right, but the objective is that of the changed weights: return the one "
    "before the step.",
    (
        "return objective.detach()",
        'return stable_cross_entropy(net(images), labels) + weight_decay(net, decay, "half")',
    ),
)

EXERCISE.mistake(
    "no decay",
    "The weight decay is missing from the objective.",
    (' + weight_decay(net, decay, "half")', ""),
)

EXERCISE.mistake(
    "decay not in the result",
    "The weights are right, but the number returned is the cross-entropy alone: return "
    "the whole objective, weight decay included.",
    ("objective = stable", "loss = objective = stable"),
    ("return objective", "return loss"),
)

EXERCISE.mistake(
    "the paper's convention",
    'The decay is in the paper\'s convention, the default of `weight_decay`: here "half" '
    "is asked for.",
    ('decay, "half")', "decay)"),
)

EXERCISE.mistake(
    "biases decay",
    "The biases decay, too: the decay belongs to the weight matrices.",
    (
        'weight_decay(net, decay, "half")',
        "decay / 2 * sum(p.square().sum() for p in net.parameters())",
    ),
)

EXERCISE.mistake(
    "sum over the batch",
    "The cross-entropy is summed over the batch: with its mean, the step does not grow "
    "with the number of images.",
    ("(net(images), labels)", "(net(images), labels) * len(labels)"),
)

EXERCISE.mistake(
    "step under autograd's eyes",
    "A parameter is changed in place while autograd keeps its books: put the step inside "
    "`with torch.no_grad():`.",
    ("with torch.no_grad():", "if True:"),
)


@EXERCISE.mistake(
    "an old gradient",
    "The step is taken with the gradients of an earlier batch, before `backward()` has "
    "found those of this one: first backward, then the step.",
)
def step_too_early(net, images, labels, learning_rate, decay):
    with torch.no_grad():
        for p in net.parameters():
            p -= learning_rate * p.grad
    objective = _objective(net, images, labels, decay)
    net.zero_grad()
    objective.backward()
    return objective.detach()
