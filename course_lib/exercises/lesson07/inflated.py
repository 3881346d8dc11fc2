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
    tiny = net(12, 6, 5, 4)  # no last bias, beside which the rest would not show
    with torch.no_grad():
        for parameter in tiny.parameters():
            parameter *= 1e-4
        linear_layers(tiny)[-1].bias.zero_()
    yield Case("weights of 1e-4", tiny, 100.0)
    yield Case("one unit much stronger than the others", bold, 100.0)
    heard = net(12, 6, 5, 4)  # 1e-8 behind the first layer, and 1e8 makes up for it
    with torch.no_grad():
        _, second, last = linear_layers(heard)
        second.weight[:, 0] *= 8
        second.weight *= 1e-8
        second.bias *= 1e-8
        last.weight *= 1e8
    yield Case("weights of 1e-8, one unit heard much more than the others", heard, 100.0)


def layers_in_order(net):
    """The layers that ``net`` computes an image with, one after the other, as often as it does.

    Raises TypeError for a layer other than those of which the norm is plain, and for one whose
    weights are not in double precision.
    """
    ran, hooks = [], []
    for module in net.modules():
        if not list(module.children()):
            hooks.append(module.register_forward_pre_hook(lambda layer, _: ran.append(layer)))
    for layer in net.modules():
        dtypes = {p.dtype for p in layer.parameters(recurse=False)} - {torch.float64}
        if dtypes:
            raise TypeError(
                f"One of your layers, {layer}, is in {dtypes.pop()}, and the network and its "
                "images are in double precision: make new layers with `dtype=torch.float64`, or "
                "say `.double()`."
            )
    try:
        with torch.no_grad():
            net(torch.zeros(1, *IMAGE, dtype=torch.float64))
    finally:
        for hook in hooks:
            hook.remove()
    for layer in ran:
        if not isinstance(layer, nn.Linear | nn.ReLU | nn.Flatten | nn.Identity):
            raise TypeError(
                f"The network has a {type(layer).__name__}: this exercise is about networks of "
                "nn.Flatten, nn.Linear and nn.ReLU."
            )
    return ran


def log_product(net):
    """The logarithm of the product of the norms of all linear layers that ``net`` computes with."""
    linear = [layer for layer in layers_in_order(net) if isinstance(layer, nn.Linear)]
    return sum(math.log(float(spectral_norm(layer.weight.detach()))) for layer in linear)


def seen_of_inflated(result, net, factor):
    """The logits on five images, and whether the product has grown.

    1 if it is ``factor`` times as large, 1/2 if it is larger, but not that much, 0 if it is not.
    """
    if result is None:  # the engine has its own sentence for that
        return None
    if not isinstance(result, nn.Module):
        raise TypeError(f"Return a network (an nn.Module); this is {type(result).__name__}.")
    images = torch.rand(5, *IMAGE, generator=torch.Generator().manual_seed(1)).double()
    grown = log_product(result) - log_product(net)
    enough = 1.0 if grown >= math.log(factor) - 1e-6 else 0.5 if grown > 1e-6 else 0.0
    with torch.no_grad():
        return {"logits": result(images), "growth of the product": enough}


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
        "the product has grown: by less than t.",
        "Work on `copy.deepcopy(net)`, under `torch.no_grad()`.",
    ],
    cases=inflated_cases,
    parts=("logits", "product"),
    oracle=inflated_oracle,
    observe=seen_of_inflated,
    on_device=False,
    atol=1e-14,
    done="The same logits, from a network whose product is at least `factor` times as large.",
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
        norms = [[spectral_norm(m.weight) for m in linear_layers(n)] for n in (found, net)]
        if math.prod(norms[0]) >= factor * math.prod(norms[1]):
            return found
        t *= 2


@EXERCISE.variant
def inflated_by_one_unit(net, factor):
    t = torch.ones(linear_layers(net)[0].out_features, dtype=torch.float64)
    t[0] = 100 * factor
    return _rescaled(net, t)


@EXERCISE.variant
def inflated_by_dense_layers(net, factor):
    """U diag(t, 1, ..., 1) Vᵀ and its inverse behind the logits, in a network round the network."""
    classes = linear_layers(net)[-1].out_features
    rng = torch.Generator().manual_seed(0)
    u, v = (torch.linalg.qr(torch.randn(classes, classes, generator=rng).double())[0] for _ in "uv")
    t = torch.ones(classes, dtype=torch.float64)
    t[0] = 2 * factor
    there, back = (nn.Linear(classes, classes, bias=False, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        there.weight.copy_(u * t @ v.T)
        back.weight.copy_(v / t @ u.T)
    return nn.Sequential(net, there, back)


@EXERCISE.variant
def inflated_by_a_unit_that_nobody_hears(net, factor):
    """A hidden unit more, with large weights, from which the next layer takes nothing."""
    twin = copy.deepcopy(net)
    first, second, *_ = linear_layers(twin)
    more = torch.full((1, first.in_features), 100.0 * factor, dtype=torch.float64)
    with torch.no_grad():
        first.weight = nn.Parameter(torch.cat([first.weight, more]))
        first.bias = nn.Parameter(torch.cat([first.bias, first.bias.new_zeros(1)]))
        nothing = second.weight.new_zeros(len(second.weight), 1)
        second.weight = nn.Parameter(torch.cat([second.weight, nothing], dim=1))
    return twin


# --- what is wrong with a network of the same layers, by whatever number it was scaled -----------

BIAS = (
    "The bias of the scaled unit is left as it was: relu(t·(w·x) + b) is not "
    "t·relu(w·x + b), so another function is computed."
)
NOT_UNDONE = (
    "The unit's incoming weights and bias are scaled, and its outgoing weights are not "
    "divided: the scaling is not undone."
)
WRONG_WAY = "The unit's outgoing weights are multiplied as well: divide them, to undo the scaling."
NEGATIVE = (
    "The scale is negative, and relu(-t a) is not -t relu(a): only positive factors pass "
    "through a rectified unit."
)
LOGITS_SCALED = (
    "The logits are all multiplied by one number: the classes stay the same and the function "
    "does not. Its certificates stay as they are, too: the margin grows along with L."
)
LAST_WEIGHTS_SCALED = (
    "The last layer's weights are multiplied by a number and its bias is not: neither the "
    "function nor the classes stay the same."
)
NEW_BIAS = (
    "The layers that you put in have biases, which are drawn at random and are added to the "
    "logits: make them with `bias=False`, or set their biases to 0."
)
DID_NOT_GROW = (
    "The network computes the same, but the product of its norms has not grown. If all "
    "units are scaled alike, one norm grows by t and the next one shrinks by t: scale them "
    "differently."
)
NOT_ENOUGH = (
    "The network computes the same, and the product of its norms has grown, but not `factor` "
    "times. One unit's weights are only a part of a layer, so scaled by t they make its norm grow "
    "by less than t: measure both norms, and scale by more."
)


def _factor(new, old):
    """The number by which ``new`` is ``old``, None if there is none."""
    t = float((new * old).sum() / old.square().sum())
    return (
        t if torch.allclose(new, t * old, rtol=1e-6, atol=1e-9 * float(old.abs().max())) else None
    )


def _one(t):
    return t is not None and abs(t - 1) < 1e-9


def _of_a_unit(first, second, first_was, second_was):
    """What is wrong with how some unit between two layers was scaled."""
    for k in range(len(first.weight)):
        t = _factor(first.weight[k], first_was.weight[k])
        if t is None or _one(t):
            continue
        bias = _factor(first.bias[k : k + 1], first_was.bias[k : k + 1])
        out = _factor(second.weight[:, k], second_was.weight[:, k])
        if t < 0:
            return NEGATIVE
        if _one(out):
            return NOT_UNDONE
        if out and abs(out / t - 1) < 1e-6:
            return WRONG_WAY
        if _one(bias):
            return BIAS
    return None


@EXERCISE.probe
@torch.no_grad()
def inflated_probe(answer):
    """Whether the weights show what was forgotten. Looked at only where the logits are wrong."""
    net = random_network(
        torch.Generator().manual_seed(4), 12, 6, 5, 4, activation=nn.ReLU, scale=1.5
    )
    found = answer(copy.deepcopy(net), 100.0)
    images = torch.rand(5, *IMAGE, generator=torch.Generator().manual_seed(1)).double()
    if torch.allclose(found(images), net(images)):
        return None
    are = [layer for layer in layers_in_order(found) if isinstance(layer, nn.Linear)]
    were = linear_layers(net)
    if len(are) > len(were) and any(
        b.bias is not None and b.bias.abs().max() > 0 for b in are[-2:]
    ):
        for layer in linear_layers(found)[len(were) :]:
            if layer.bias is not None:
                layer.bias.zero_()
        return NEW_BIAS if torch.allclose(found(images), net(images)) else None
    if [layer.weight.shape for layer in are] != [layer.weight.shape for layer in were]:
        return None
    for a, b, c, d in zip(are, are[1:], were, were[1:], strict=False):
        text = _of_a_unit(a, b, c, d)
        if text:
            return text
    t, bias = (_factor(getattr(are[-1], n), getattr(were[-1], n)) for n in ("weight", "bias"))
    if t is None or _one(t):
        return None
    return LAST_WEIGHTS_SCALED if _one(bias) else LOGITS_SCALED if bias == t else None


EXERCISE.mistake(
    "the product did not grow",
    DID_NOT_GROW,
    ("first.weight[0] *= t", "first.weight *= t"),
    ("first.bias[0] *= t", "first.bias *= t"),
    ("second.weight[:, 0] /= t", "second.weight /= t"),
)

EXERCISE.mistake("not enough", NOT_ENOUGH, ("t = factor * before / after", "t = factor"))

FAR = ("t = factor * before / after", "t = 100 * factor")  # a plainer t, more than enough

EXERCISE.mistake("the bias forgotten", BIAS, FAR, ("first.bias[0] *= t", ""))


@EXERCISE.mistake("the logits scaled", LOGITS_SCALED)
def logits_scaled(net, factor):
    twin = copy.deepcopy(net)
    last = linear_layers(twin)[-1]
    with torch.no_grad():
        last.weight *= factor
        last.bias *= factor
    return twin


@EXERCISE.mistake("the last weights scaled", LAST_WEIGHTS_SCALED)
def last_weights_scaled(net, factor):
    twin = copy.deepcopy(net)
    with torch.no_grad():
        linear_layers(twin)[-1].weight *= factor
    return twin


EXERCISE.mistake("not undone", NOT_UNDONE, FAR, ("second.weight[:, 0] /= t", ""))

EXERCISE.mistake(
    "undone the wrong way",
    WRONG_WAY,
    FAR,
    ("second.weight[:, 0] /= t", "second.weight[:, 0] *= t"),
)

EXERCISE.mistake("a negative scale", NEGATIVE, ("t = factor * before / after", "t = -100 * factor"))
