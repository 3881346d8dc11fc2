"""`weight-decay`, lesson 01: the term and its gradient are compared.

A frozen layer, a convolution and a network inside a network are among the networks; bad settings
are left to a probe.
"""

from collections import OrderedDict

import torch
from torch import nn

from course_lib import training
from course_lib.exercises import Case, Exercise

from .shared import sequential


def decay_cases(rng):
    # nowhere two units alone: 1/k would be the 1/2 of "half"
    yield Case("one layer, 2 inputs, 3 units", sequential(nn.Linear(2, 3)), 0.5)
    yield Case("the same, half", sequential(nn.Linear(2, 3)), 0.5, "half")
    two = OrderedDict(fc1=nn.Linear(6, 5), sigmoid1=nn.Sigmoid(), fc2=nn.Linear(5, 3))
    yield Case("two layers", nn.Sequential(two), 0.01, "paper")
    yield Case("two layers, half", nn.Sequential(OrderedDict(two)), 0.01, "half")
    frozen = sequential(nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 5))
    frozen[0].requires_grad_(False)
    yield Case("the first layer frozen", frozen, 0.2)
    yield Case(
        "a convolution",
        sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)),
        0.1,
        "paper",
    )
    inner = sequential(nn.Linear(4, 5), nn.Sigmoid(), sequential(nn.Linear(5, 3), nn.Sigmoid()))
    yield Case("a network inside a network", sequential(inner, nn.Linear(3, 2)), 0.3, "half")
    yield Case("no decay", sequential(nn.Linear(3, 2)), 0.0)
    heavy = sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4))
    yield Case("much decay: the term is larger than 1", heavy, 30.0)


def value_and_gradients(result, net, strength, convention="paper"):
    """What is compared: the term, and what it does to each parameter that can move."""
    weights = [p for p in net.parameters() if p.requires_grad]
    if not (isinstance(result, torch.Tensor) and result.requires_grad):
        return {"term": result, "gradient": "none"}
    found = torch.autograd.grad(result.sum(), weights, allow_unused=True)
    pairs = zip(found, weights, strict=True)
    slopes = [torch.zeros_like(w) if g is None else g for g, w in pairs]
    return {"term": result, "gradient": torch.cat([g.flatten() for g in slopes])}


def decay_by_units(net, strength, convention="paper"):
    """Unit by unit, in double precision."""
    total = torch.zeros((), dtype=torch.float64)
    for layer in net.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d) or not layer.weight.requires_grad:
            continue
        units = [torch.dot(u.flatten(), u.flatten()) for u in layer.weight.double()]
        total += sum(units) / (len(units) if convention == "paper" else 2)
    return strength * total


EXERCISE = Exercise(
    title="The weight decay, as a term of the loss",
    difficulty=2,
    minutes=8,
    hints=[
        "Loop over `weight_matrices(net)` and add up one number per layer. The result must stay a "
        "tensor, so that a gradient can flow back to the weights.",
        "A weight matrix has one row per unit: k is `len(weight)`.",
        '`strength * weight.square().sum() / len(weight)` is a layer\'s term for "paper"; "half" '
        "has another factor in place of 1/k.",
    ],
    cases=decay_cases,
    parts=("term", "gradients"),
    oracle=decay_by_units,
    observe=value_and_gradients,
    done="The term and its gradient are right in both conventions.",
)


def _guard(strength, convention):
    if strength < 0 or convention not in ("paper", "half"):
        raise ValueError("no such decay")


@EXERCISE.variant
def decay_norms(net, strength, convention="paper"):
    _guard(strength, convention)
    total = 0.0
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.requires_grad:
            units = layer.weight.shape[0]
            factor = strength / units if convention == "paper" else strength / 2
            total = total + factor * torch.linalg.vector_norm(layer.weight) ** 2
    return total


@EXERCISE.variant
def decay_by_name(net, strength, convention="paper"):
    _guard(strength, convention)
    terms = []
    for name, p in net.named_parameters():
        if name.endswith("weight") and p.requires_grad:
            flat = p.double().reshape(len(p), -1)
            k = len(p) if convention == "paper" else 2
            terms.append(torch.einsum("ui,ui->", flat, flat) / k)
    return strength * torch.stack(terms).sum()


GUARDED = (
    "The term is right, but the docstring promises a ValueError for a negative strength and for a "
    "convention that does not exist: keep the two `if` lines of the stub."
)


@EXERCISE.probe(only_right=True)
def guards(answer):
    """A probe: bad settings are refused."""
    for strength, convention in ((-1.0, "paper"), (-1.0, "half"), (1.0, "third")):
        try:
            answer(sequential(nn.Linear(2, 2)), strength, convention)
        except ValueError:
            continue
        except Exception:  # another error is not the one that is promised
            pass
        return GUARDED
    return None


NO_GUARD_FOR_0 = (
    "A strength of 0 is refused, and only a negative one is to be: no decay at all is a setting "
    "like others."
)


@EXERCISE.probe
def refuses_nothing_else(answer):
    """A probe: no decay at all is allowed."""
    try:
        answer(sequential(nn.Linear(2, 2)), 0.0)
    except ValueError:
        return NO_GUARD_FOR_0
    return None


EXERCISE.mistake(
    "no half",
    'The convention "half" is λ/2 · Σ w²: the 1/2 is missing (it makes the gradient λw).',
    ("1 / 2", "1.0"),
)

EXERCISE.mistake(
    "the half everywhere",
    'The 1/2 belongs to the convention "half" alone: the paper divides by k, and by nothing else.',
    ("1 / len(weight)", "1 / len(weight) / 2"),
)

EXERCISE.mistake(
    "k for the inputs",
    "The k of a layer is the number of its units, its outputs: you divide by the number of "
    "inputs. The first axis of a weight matrix counts the units.",
    ("len(weight)", "weight.shape[1]"),
)

EXERCISE.mistake(
    "mean over all weights",
    "This divides by the number of weights (a mean of squares): the paper divides their "
    "sum by the number of units.",
    ("len(weight)", "weight.numel()"),
)

EXERCISE.mistake(
    "half by default",
    'Without a convention yours takes "half": the stub\'s default is "paper", and it stays.',
    ('convention: str = "paper"', 'convention: str = "half"'),
)

EXERCISE.mistake(
    "no λ", "The strength λ does not appear: multiply the sum by it.", ("strength * share", "share")
)

EXERCISE.mistake(
    "not divided by k",
    'In the convention "paper" each layer\'s sum is divided by k, its number of units: '
    "that division is missing.",
    ("1 / len(weight)", "1.0"),
)


@EXERCISE.mistake(
    "one k for all layers",
    "All layers' squares are added up first and then divided by the number of all units: "
    "each layer has its own k.",
)
def decay_all_units(net, strength, convention="paper"):
    _guard(strength, convention)
    weights = training.weight_matrices(net)
    squares = strength * sum(w.square().sum() for w in weights)
    return squares / (sum(len(w) for w in weights) if convention == "paper" else 2)


EXERCISE.mistake(
    "biases too",
    "The biases decay as well here: a bias does not stretch what comes in, so it is left "
    "alone. `weight_matrices(net)` leaves them out.",
    ("weight_matrices(net)", "[p for p in net.parameters() if p.requires_grad]"),
)

EXERCISE.mistake(
    "frozen layers too",
    "A frozen layer is counted: its weights cannot move, so its decay is a constant that "
    "only blurs the loss. `weight_matrices(net)` leaves frozen weights out.",
    ("weight_matrices(net)", "[p for p in net.parameters() if p.ndim > 1]"),
)

EXERCISE.mistake(
    "absolute values",
    "These are absolute values (the lasso's penalty): a quadratic decay sums squares.",
    (".square()", ".abs()"),
)

EXERCISE.mistake(
    "norms without their square",
    "This sums the norms of the layers: the decay has their squares, so leave the root out.",
    (".square().sum()", ".norm()"),
)


@EXERCISE.mistake(
    "layers inside a layer left out",
    "A network may hold another one, and the layers inside it are left out: `weight_matrices(net)` "
    "finds them all (it asks `net.modules()`, where `net.children()` stays on top).",
)
def decay_of_children(net, strength, convention="paper"):
    _guard(strength, convention)
    total = torch.zeros(())
    for layer in net.children():
        if hasattr(layer, "weight") and layer.weight.requires_grad:
            k = len(layer.weight) if convention == "paper" else 2
            total = total + strength * layer.weight.square().sum() / k
    return total


EXERCISE.mistake(
    "return inside the loop",
    "Only the first layer's term comes back: is the `return` inside the loop?",
    ("    return total", "        return total"),
)

EXERCISE.mistake(
    "λ squared",
    "The strength λ stands inside the square: it multiplies the sum of the squares, once.",
    ("strength * share * weight.square()", "share * (strength * weight).square()"),
)

EXERCISE.mistake(
    "0 refused",
    NO_GUARD_FOR_0,
    ("if strength < 0", "if strength <= 0"),
)

EXERCISE.mistake(
    "the last layer only",
    "Only the last layer's term is left at the end: add to `total`, do not replace it.",
    ("total = total + strength", "total = strength"),
)

EXERCISE.mistake(
    "no gradient",
    "The number is right, but no gradient flows back from it: keep the tensors, without "
    "`.item()`, `.data`, `.detach()` or `float(...)`, or the decay will not move anything.",
    ("return total", "return total.detach()"),
)

EXERCISE.mistake(
    "no guards",
    GUARDED,
    ("if convention not in CONVENTIONS", "if False"),
    ("if strength < 0", "if False"),
)
