"""`rotated-network`, lesson 02: outputs, and what arrives at the layer that is counter-rotated.

A network in which nothing was rotated has the right outputs, too.
"""

import copy
from collections import OrderedDict

import torch
from torch import nn

from course_lib.exercises import Case, Exercise


def rotation_cases(rng):
    def case(label, layer, sizes, activation=nn.Sigmoid):
        a, b, c = sizes
        net = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=nn.Linear(6, a),
                act1=activation(),
                fc2=nn.Linear(a, b),
                act2=activation(),
                fc3=nn.Linear(b, c),
            )
        )
        width = {"act1": a, "act2": b}[layer]
        basis, _ = torch.linalg.qr(torch.randn(width, width, generator=rng))
        return Case(label, net, layer, basis)

    yield case("two units", "act1", (2, 3, 2))
    yield case("the second layer", "act2", (4, 5, 3))
    yield case("a rectified network", "act1", (4, 3, 3), nn.ReLU)
    yield case("seven units", "act1", (7, 4, 3))


@torch.no_grad()
def as_seen(result, net, layer, basis):
    """The outputs for some images, and what arrives at the layer that is counter-rotated."""
    if not isinstance(result, nn.Module):
        return result
    names = [name for name, _ in net.named_children()]
    following = names[names.index(layer) + 1]
    images = torch.linspace(-2, 2, 30, device=basis.device).reshape(5, 1, 2, 3).sin()
    seen = []
    if following not in dict(result.named_children()):
        return {"logits": result(images), "rotated activations": "nobody knows"}
    hook = result.get_submodule(following).register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0])
    )
    logits = result(images)
    hook.remove()
    return {"logits": logits, "rotated activations": seen[0]}


def rotated_oracle(net, layer, basis):
    """What must be seen: the old outputs, and the old activations in the basis."""
    wanted = copy.deepcopy(net)
    names = [name for name, _ in net.named_children()]
    following = names[names.index(layer) + 1]
    inner = wanted.get_submodule(following)

    class Counter(nn.Module):
        def forward(self, turned):
            return inner(turned @ basis)  # basis is orthogonal: this is the inverse

    class Turn(nn.Module):
        def forward(self, h):
            return h @ basis.T

    parts = OrderedDict()
    for name, module in wanted.named_children():
        if name == following:
            parts["turn"], parts[name] = Turn(), Counter()
        else:
            parts[name] = module
    return nn.Sequential(parts)


EXERCISE = Exercise(
    title="The same function, other units",
    difficulty=3,
    minutes=10,
    hints=[
        "The new units are h' = B h, for a column vector h (the rows of B are the directions). "
        "The next layer computed W h. Which W' gives W' h' = W h?",
        "W' B = W, and B is orthogonal: its inverse is its transpose.",
        "`nn.Linear` computes x @ weight.T for rows x, so its weight is exactly the B of h' = B h.",
    ],
    cases=rotation_cases,
    oracle=rotated_oracle,
    observe=as_seen,
    done="Same outputs, and what were random directions are units now.",
    equivalent_mutants={
        "- rotation.weight = nn.Parameter(basis.clone()) / "
        "+ rotation.weight = nn.Parameter(basis)": (
            "The weights then share their memory with the basis, which nobody changes."
        )
    },
)


def _linear(weight, bias=None):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer


@EXERCISE.variant
def rotated_by_transpose(net, layer, basis):
    """With a linear layer made anew behind the rotation."""
    parts = OrderedDict(copy.deepcopy(net).named_children())
    names = list(parts)
    following = names[names.index(layer) + 1]
    old = parts[following]
    parts[following] = _linear(old.weight.detach() @ basis.T, old.bias.detach())
    items = list(parts.items())
    items.insert(names.index(layer) + 1, ("rotation", _linear(basis)))
    return nn.Sequential(OrderedDict(items))


@EXERCISE.variant
def rotated_by_solve(net, layer, basis):
    parts, found = dict(copy.deepcopy(net).named_children()), OrderedDict()
    turned = False
    for name, module in parts.items():
        if turned:
            weight = torch.linalg.solve(basis.T, module.weight.detach().T).T
            module = _linear(weight, module.bias.detach())
            turned = False
        found[name] = module
        if name == layer:
            found["rotation"], turned = _linear(basis), True
    return nn.Sequential(found)


@EXERCISE.variant
def rotated_module(net, layer, basis):
    """With a module of its own for the rotation."""

    class Rotation(nn.Module):
        def forward(self, h):
            return torch.einsum("nw,dw->nd", h, basis)

    net = copy.deepcopy(net)
    names = [name for name, _ in net.named_children()]
    after = net.get_submodule(names[names.index(layer) + 1])
    after.weight.data = torch.einsum("ow,dw->od", after.weight.data, basis)
    parts = OrderedDict(net.named_children())
    items = list(parts.items())
    items.insert(names.index(layer) + 1, ("rotation", Rotation()))
    return nn.Sequential(OrderedDict(items))


NAMED = (
    "The network computes what it should, but the rotation is not to be found: the docstring "
    'promises a named nn.Sequential with a layer called "rotation" right behind `layer`.'
)


@EXERCISE.probe(only_right=True)
def has_a_layer_of_that_name(answer):
    """A probe: later cells look at the layer called "rotation"."""
    case = EXERCISE.draw("cpu")[0]
    net, layer, basis = case.args
    names = [name for name, _ in answer(net, layer, basis).named_children()]
    after = names.index(layer) + 1 if layer in names else 0
    return None if names[after : after + 1] == ["rotation"] else NAMED


EXERCISE.mistake(
    "names lost",
    "The layers have lost their names: give `nn.Sequential` an OrderedDict of names and layers, so "
    "that later cells find them.",
    ("nn.Sequential(OrderedDict(items))", "nn.Sequential(*OrderedDict(items).values())"),
)

EXERCISE.mistake("another name", NAMED, ('("rotation", rotation)', '("turn", rotation)'))

EXERCISE.mistake(
    "B for its transpose",
    "The next layer is multiplied by B, and needs B's inverse, which is its transpose: W' "
    "B h = W h.",
    ("@ basis.T", "@ basis"),
)

EXERCISE.mistake(
    "not counter-rotated",
    "The activations are rotated and the next layer still expects the old ones: multiply "
    "its weights by B's transpose.",
    (" @ basis.T", ""),
)

EXERCISE.mistake(
    "columns for rows",
    "The outputs are right, but the new units are the columns of the basis: the "
    "directions are its rows, so the inserted weights are the basis itself.",
    ("basis.clone()", "basis.T.clone()"),
    ("@ basis.T", "@ basis"),
)

EXERCISE.mistake(
    "before the non-linearity",
    "The rotation stands before the non-linearity. That mixes the units first and squeezes "
    "the mixtures then, and no weights behind it can undo it: insert it after.",
    ("insert(names.index(layer) + 1", "insert(names.index(layer)"),
)

EXERCISE.mistake(
    "nothing rotated",
    "The outputs are right because nothing was rotated: what arrives at the next layer "
    "must be the activations in the new basis.",
    ("basis.clone()", "torch.eye(len(basis)).to(basis)"),
    (" @ basis.T", ""),
)

EXERCISE.mistake(
    "both transposed",
    "Both are transposed, or neither undoes the other: h' = B h wants the basis in the "
    "inserted layer and its transpose behind the next weights.",
    ("basis.clone()", "basis.T.clone()"),
)
