"""`inflated`, lesson 07: any network will do.

Compared are its logits on some images, and whether the product has grown enough.
"""

import copy
import math

import torch
from torch import nn

from course_lib.exercises import Case, Exercise

from .shared import IMAGE, linear_layers, random_network, spectral_norm


def inflated_cases(rng):
    def net(*widths):
        return random_network(rng, *widths, activation=nn.ReLU, scale=1.5)

    yield Case("one hidden layer", net(12, 6, 3), 10.0)
    yield Case("two hidden layers", net(12, 8, 7, 5), 1000.0)
    yield Case("a million", net(12, 9, 4), 1e6)
    small, bold = net(12, 5, 4), net(12, 6, 5)
    with torch.no_grad():
        linear_layers(small)[1].weight *= 0.01
        linear_layers(bold)[0].weight[0] *= 10
    yield Case("small weights behind", small, 100.0)
    yield Case("one unit much stronger than the others", bold, 100.0)


def log_product(net):
    """The logarithm of the product of the norms of all layers of ``net``.

    Raises TypeError for a layer other than the three kinds of which the norm is plain.
    """
    total = 0.0
    for module in net.modules():
        if list(module.children()):
            continue
        if isinstance(module, nn.Linear):
            total += math.log(float(spectral_norm(module.weight.detach())))
        elif not isinstance(module, nn.ReLU | nn.Flatten | nn.Identity):
            raise TypeError(
                f"The network has a {type(module).__name__}: this exercise is about networks of "
                "nn.Flatten, nn.Linear and nn.ReLU."
            )
    return total


def seen_of_inflated(result, net, factor):
    """The logits on five images, and whether the product is ``factor`` times as large."""
    if result is None:  # the engine has its own sentence for that
        return None
    if not isinstance(result, nn.Module):
        raise TypeError("Return a network (an nn.Module).")
    images = torch.rand(5, *IMAGE, generator=torch.Generator().manual_seed(1)).double()
    grown = log_product(result) - log_product(net) >= math.log(factor) - 1e-6
    with torch.no_grad():
        return [result(images), 1.0 if grown else 0.0]


def inflated_oracle(net, factor):
    """Two more layers behind the logits, one undoing the other: not the way of the reference."""
    twin = copy.deepcopy(net)
    classes = linear_layers(twin)[-1].out_features
    there, back = (nn.Linear(classes, classes, bias=False, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        there.weight.copy_(torch.eye(classes))
        back.weight.copy_(torch.eye(classes))
        there.weight[0, 0], back.weight[0, 0] = 2 * factor, 1 / (2 * factor)
    return nn.Sequential(*twin, there, back)


EXERCISE = Exercise(
    title="The same network, a hopeless bound",
    difficulty=3,
    minutes=9,
    hints=[
        "Two layers that undo each other change nothing in what is computed. When does the product "
        "of their norms exceed 1?",
        "diag(t, 1, ..., 1) has norm t, and its inverse diag(1/t, 1, ..., 1) has norm 1: together "
        "t, although the two multiply to the identity. Put them behind the logits as two layers "
        "without biases, or ...",
        "... inside: relu(t a) = t relu(a) for t > 0, so one hidden unit's incoming weights *and "
        "its bias* can be multiplied by t and its outgoing weights divided by t. Check how much "
        "the product has grown: it is a little less than t.",
        "Work on `copy.deepcopy(net)`, under `torch.no_grad()`.",
    ],
    cases=inflated_cases,
    parts=("logits", "product"),
    oracle=inflated_oracle,
    observe=seen_of_inflated,
    on_device=False,
    done="To every input it gives the same logits, so it has the same adversarial examples.",
    equivalent_mutants={
        "- after = first.weight[0].norm() * norm(second.weight[:, 1:]) / "
        "+ after = first.weight[0].norm() * norm(second.weight[:, 2:])": "The norm of fewer "
        "columns is smaller, so the unit is scaled by more than needed, which does no harm."
    },
)

EXERCISE.variant(inflated_oracle)


def _rescaled(net, t):
    """What ``net`` computes, its first hidden units multiplied by the scales t (units,)."""
    twin = copy.deepcopy(net)
    first, second, *_ = linear_layers(twin)
    with torch.no_grad():
        first.weight *= t[:, None]
        first.bias *= t
        second.weight /= t
    return twin


@EXERCISE.variant
def inflated_by_halves(net, factor):
    """Half of the units up and half of them down, further and further until it is enough."""
    t = factor**0.5
    half = torch.arange(linear_layers(net)[0].out_features) % 2
    while True:
        found = _rescaled(net, t ** (2.0 * half.double() - 1))
        if log_product(found) - log_product(net) >= math.log(factor):
            return found
        t *= 2


@EXERCISE.variant
def inflated_by_one_unit(net, factor):
    t = torch.ones(linear_layers(net)[0].out_features, dtype=torch.float64)
    t[0] = 100 * factor
    return _rescaled(net, t)


EXERCISE.mistake(
    "the product did not grow",
    "The network computes the same, but the product of its norms is not `factor` times as "
    "large. If all units are scaled alike, one norm grows by t and the next one shrinks "
    "by t: scale them differently.",
    ("first.weight[0] *= t", "first.weight *= t"),
    ("first.bias[0] *= t", "first.bias *= t"),
    ("second.weight[:, 0] /= t", "second.weight /= t"),
)

FAR = ("t = factor * before / after", "t = 100 * factor")  # a plainer t, more than enough

EXERCISE.mistake(
    "the bias forgotten",
    "The bias of the scaled unit is left as it was: relu(t·(w·x) + b) is not "
    "t·relu(w·x + b), so another function is computed.",
    FAR,
    ("first.bias[0] *= t", ""),
)


@EXERCISE.mistake(
    "the logits scaled",
    "The logits are `factor` times as large: the classes stay the same and the function "
    "does not. Its certificates stay as they are, too: the margin grows along with L.",
)
def logits_scaled(net, factor):
    twin = copy.deepcopy(net)
    last = linear_layers(twin)[-1]
    with torch.no_grad():
        last.weight *= factor
        last.bias *= factor
    return twin


@EXERCISE.mistake(
    "the last weights scaled",
    "The last layer's weights are `factor` times as large and its bias is not: neither the "
    "function nor the classes stay the same.",
)
def last_weights_scaled(net, factor):
    twin = copy.deepcopy(net)
    with torch.no_grad():
        linear_layers(twin)[-1].weight *= factor
    return twin


EXERCISE.mistake(
    "not undone",
    "The unit's incoming weights and bias are scaled, and its outgoing weights are not "
    "divided: the scaling is not undone.",
    FAR,
    ("second.weight[:, 0] /= t", ""),
)

EXERCISE.mistake(
    "undone the wrong way",
    "The unit's outgoing weights are multiplied as well: divide them, to undo the scaling.",
    FAR,
    ("second.weight[:, 0] /= t", "second.weight[:, 0] *= t"),
)

EXERCISE.mistake(
    "a negative scale",
    "The scale is negative, and relu(-t a) is not -t relu(a): only positive factors pass "
    "through a rectified unit.",
    ("t = factor * before / after", "t = -100 * factor"),
)
