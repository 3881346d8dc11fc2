"""Networks that are not ours: a module is known by what it does, and left as it was."""

import collections
import copy
import dataclasses
import functools
import itertools
import random
import threading
import types
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from course_lib import robust, spectral
from course_lib.attacks import minimal_adversarial
from course_lib.spectral import guard, kinds

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*weight_norm.*", "ignore:.*spectral_norm.*", "ignore:.*torch.jit.*"
)


OUTSIDE = torch.eye(3)


class SamePadded(nn.Conv2d):  # as TensorFlow pads: one row and one column at the end
    def forward(self, x):
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class Standardised(nn.Conv2d):
    def forward(self, x):
        w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, w / w.std((1, 2, 3), keepdim=True), self.bias, padding=1)


class InsideChanged(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, 3 * weight, bias)


class Gained(nn.Linear):
    def forward(self, x):
        return 10 * super().forward(x)


class Called(nn.Linear):
    def __call__(self, x):
        return 3 * super().__call__(x)


class Positive(nn.Module):
    """Its weight is a property, worked out each time."""

    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.randn(3, 4))

    def forward(self, x):
        return F.linear(x, self.raw.exp())


class Property(nn.Linear):
    @property
    def weight(self):
        return self.raw.exp()

    @weight.setter
    def weight(self, value):
        self.raw = value


class ScaledNorm(nn.BatchNorm2d):
    def forward(self, x):
        return 5 * super().forward(x)


class Steep(nn.ReLU):
    def forward(self, x):
        return 3 * super().forward(x)


class Named(nn.Linear):
    """A subclass that computes nothing in its own way."""

    def __init__(self, *args):
        super().__init__(*args)
        self.note = "mine"

    def extra_repr(self):
        return self.note

    def describe(self):
        return self.note


def hooked(layer, after=True):
    if after:
        layer.register_forward_hook(lambda module, inputs, output: 4 * output)
    else:
        layer.register_forward_pre_hook(lambda module, inputs: (4 * inputs[0],))
    return layer


def patched(layer, bound=False):
    if bound:
        layer.forward = types.MethodType(lambda self, x: 7 * F.linear(x, self.weight), layer)
        return layer
    before = layer.forward
    layer.forward = lambda x: 7 * before(x)
    return layer


def weighing_hook(layer):
    """A weight that the user's own hook works out before each forward."""

    def standardise(module, inputs):
        module.used = module.weight / module.weight.norm()

    layer.register_forward_pre_hook(standardise)
    layer.forward = types.MethodType(lambda self, x: F.linear(x, self.used), layer)
    return layer


LINEAR = {
    "padding of its own": lambda: (SamePadded(1, 2, 3, stride=2), (1, 6, 6)),
    "standardised": lambda: (Standardised(2, 3, 3), (2, 6, 6)),
    "inside changed": lambda: (InsideChanged(1, 2, 3, padding=1), (1, 5, 5)),
    "gain": lambda: (Gained(4, 3), (4,)),
    "call": lambda: (Called(4, 3), (4,)),
    "exp of a weight": lambda: (Positive(), (4,)),
    "property": lambda: (Property(4, 3), (4,)),
    "batch norm": lambda: (ScaledNorm(2), (2, 3, 3)),
    "hook": lambda: (hooked(nn.Linear(4, 3)), (4,)),
    "pre-hook": lambda: (hooked(nn.Conv2d(1, 2, 3), after=False), (1, 5, 5)),
    "hook on batch norm": lambda: (hooked(nn.BatchNorm2d(2)), (2, 3, 3)),
    "hook on pooling": lambda: (hooked(nn.AvgPool2d(2)), (2, 4, 4)),
    "hook on a container": lambda: (hooked(nn.Sequential(nn.Linear(4, 3))), (4,)),
    "patched": lambda: (patched(nn.Linear(4, 3)), (4,)),
    "patched, bound": lambda: (patched(nn.Linear(4, 3), bound=True), (4,)),
    "patched container": lambda: (patched(nn.Sequential(nn.Linear(4, 3))), (4,)),
    "a hook for weights": lambda: (weighing_hook(nn.Linear(4, 3)), (4,)),
    "circular and hooked": lambda: (
        hooked(nn.Conv1d(1, 2, 3, padding=1, padding_mode="circular")),
        (1, 6),
    ),
    "same name": lambda: (Named(4, 3), (4,)),
}
for name, wrap in {
    "spectral": parametrizations.spectral_norm,
    "weight": parametrizations.weight_norm,
    "orthogonal": parametrizations.orthogonal,
    "old spectral": spectral_norm,
    "old weight": weight_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "pruned twice": lambda layer: prune.random_unstructured(
        prune.l1_unstructured(layer, "weight", 0.3), "weight", 0.3
    ),
}.items():
    LINEAR[name] = lambda wrap=wrap: (wrap(nn.Linear(4, 3)), (4,))
    LINEAR[f"{name}, convolution"] = lambda wrap=wrap: (wrap(nn.Conv2d(2, 3, 3)), (2, 5, 5))
    LINEAR[f"{name} and a gain"] = lambda wrap=wrap: (wrap(Gained(4, 3)), (4,))


def made(name, seed=0):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LINEAR[name]()


def matrix_of(net, shape):
    """What the network does to every unit vector, in its own precision."""
    zero = torch.zeros(1, *shape)
    eye = torch.eye(zero.numel()).reshape(-1, *shape)
    with torch.no_grad():
        return (net(eye) - net(zero)).flatten(1).double().T


def state(net):
    """All that can be seen of a network: attributes, weights, modes, hooks."""
    found = {}
    for name, part in net.named_modules():
        found[name, "class"] = type(part)
        for key, value in vars(part).items():
            if isinstance(value, dict):
                value = [(k, id(v)) for k, v in value.items()]
            found[name, key] = value
    tensors = {k: (id(v), v.detach().clone(), v.requires_grad) for k, v in everything(net).items()}
    return found, tensors


def everything(net):
    return dict([*net.named_parameters(), *net.named_buffers()])


def assert_same(before, after):
    assert before[0].keys() == after[0].keys()
    for key, value in before[0].items():
        assert after[0][key] is value or after[0][key] == value, key
    for key, (number, value, grad) in before[1].items():
        assert after[1][key][::2] == (number, grad)
        assert torch.equal(after[1][key][1], value), key


# --- a module is known by what it does ----------------------------------------------------------


@pytest.mark.parametrize("name", LINEAR)
def test_a_bound_is_that_of_what_the_layer_does(name):
    layer, shape = made(name)
    net = nn.Sequential(layer).eval()
    right = float(torch.linalg.matrix_norm(matrix_of(net, shape), 2))
    found = spectral.lipschitz(net, shape, starts=2, steps=4)
    assert found.tight >= right * (1 - 1e-5)
    assert found.lower <= right * (1 + 1e-5)
    assert found.tight == pytest.approx(right, rel=1e-4)
    if kinds.closest_class(layer) is None:
        return
    # the same of the layer alone
    assert spectral.operator_norm(layer, shape) == pytest.approx(right, rel=1e-5)
    lower, upper = spectral.norm_bounds(layer, shape)
    assert lower * (1 - 1e-5) <= right <= upper * (1 + 1e-5)
    matrix = spectral.explicit_matrix(layer, shape)
    assert torch.allclose(matrix, matrix_of(layer, shape), atol=1e-5)
    assert spectral.singular_values(layer, shape)[0] == pytest.approx(right, rel=1e-5)
    row = spectral.norm_row(layer, shape)
    assert row.lower <= row.estimate <= row.upper


def test_a_subclass_that_changes_nothing_keeps_its_rule():
    assert kinds.kind_of(Named(4, 3)) is kinds.kind_of(nn.Linear(4, 3))
    assert spectral.norm_row(Named(4, 3), (4,)).method == "matrix"
    for changed in (Gained(4, 3), Called(4, 3), hooked(nn.Linear(4, 3)), patched(nn.Linear(4, 3))):
        assert kinds.kind_of(changed) is None


def test_no_example_lies_inside_a_radius_of_a_steep_subclass():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 6), Steep(), nn.Linear(6, 2)).double().eval()
    x = torch.rand(60, 2, dtype=torch.float64)
    nearest = minimal_adversarial(net, x).l2
    for method, radius in spectral.certified_radii(net, x).items():
        assert not (nearest < radius * (1 - 1e-9)).any(), method
    weights = [layer.weight for layer in (net[0], net[2])]
    plain = torch.linalg.matrix_norm(weights[1], 2) * torch.linalg.matrix_norm(weights[0], 2)
    assert spectral.lipschitz(net, (2,)).product == pytest.approx(3 * float(plain.detach()))


def test_hooks_that_only_look_change_nothing():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 2)).eval()
    plain = spectral.lipschitz(net, (4,), starts=2, steps=4)
    seen = []
    for layer in net:
        layer.register_forward_hook(lambda m, i, o: seen.append(o.detach().abs().mean()))
    found = spectral.lipschitz(net, (4,), starts=2, steps=4)
    assert found.product == pytest.approx(plain.product, rel=1e-9)
    assert found.tight == pytest.approx(plain.tight, rel=1e-9)
    assert len(seen) > 0


def test_hooks_for_all_modules_are_refused():
    net = nn.Sequential(nn.Linear(4, 2)).eval()
    handle = nn.modules.module.register_module_forward_hook(lambda m, i, o: 2 * o)
    try:
        with pytest.raises(ValueError, match="hooks for all modules"):
            spectral.lipschitz(net, (4,))
        with pytest.raises(ValueError, match="hooks for all modules"):
            spectral.norm_bounds(net[0], (4,))
    finally:
        handle.remove()


def test_a_stated_constant_says_nothing_of_hooks():
    relu = hooked(nn.ReLU())
    relu.lipschitz_constant = 1.0
    with pytest.raises(ValueError, match="states its lipschitz_constant and has forward hooks"):
        spectral.lipschitz(nn.Sequential(nn.Linear(3, 3), relu).eval(), (3,))
    with pytest.raises(ValueError, match="hooks"):
        spectral.operator_norm(relu, (3,))


def test_a_last_layer_that_states_its_constant_is_no_matrix():
    class Last(nn.Linear):
        lipschitz_constant = 50.0

        def forward(self, x):
            return 20 * torch.sin(super().forward(x))

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), Last(4, 3)).double().eval()
    weights = torch.linalg.matrix_norm(net[0].weight, 2)
    assert spectral.lipschitz(net, (3,)).product == pytest.approx(50 * float(weights.detach()))
    x = torch.rand(40, 3, dtype=torch.float64)
    radii = spectral.certified_radii(net, x)
    assert torch.allclose(radii["pairs"], radii["root"])


def test_the_penalty_names_a_layer_with_a_forward_of_its_own():
    for layer in (Gained(4, 3), hooked(nn.Linear(4, 3))):
        with pytest.raises(ValueError, match=r"'0'.*derives from Linear, but it"):
            robust.norms_of_layers(nn.Sequential(layer), (4,))
        with pytest.raises(ValueError, match="no gradient here"):
            spectral.differentiable_norm(layer, (4,))
        with pytest.raises(TypeError, match="need not compute"):
            spectral.symbols(hooked(nn.Conv2d(1, 1, 1)), (1, 2, 2))
    with pytest.raises(ValueError, match="need not compute"):
        robust.make_orthonormal(nn.Sequential(Gained(4, 3)))


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, weight_norm, spectral_norm])
def test_the_penalty_of_a_computed_weight_has_its_gradient(wrap):
    torch.manual_seed(0)
    layer = wrap(nn.Linear(4, 3))
    layer(torch.rand(2, 4))
    before = state(layer)
    (value,) = robust.norms_of_layers(nn.Sequential(layer), (4,))
    assert_same(before, state(layer))
    value.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())
    right = torch.linalg.matrix_norm(layer.eval()(torch.eye(4)) - layer(torch.zeros(1, 4)), 2)
    assert value.item() == pytest.approx(float(right.detach()), rel=1e-4)


def test_settling_keeps_the_parametrisations_of_others():
    net = nn.Sequential(nn.Linear(4, 4), parametrizations.weight_norm(nn.Conv1d(2, 2, 1)))
    robust.make_orthonormal(net[:1])
    robust.settle_orthonormal(net)
    assert not parametrize.is_parametrized(net[0])
    assert parametrize.is_parametrized(net[1])


# --- the network is left as it was --------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in LINEAR if "convolution" not in n])
def test_the_network_is_left_as_it_was(name):
    layer, shape = made(name)
    net = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).eval()
    x = torch.rand(3, *shape)
    answers = net(x).detach()
    before = state(net)
    for _ in range(2):
        spectral.lipschitz(net, shape, starts=1, steps=2)
        spectral.certified_radius(net, x)
        spectral.margins(net, x)
    with pytest.raises(ValueError, match="shape"):
        spectral.lipschitz(net, (*shape, 7))
    assert_same(before, state(net))
    assert torch.equal(net(x), answers)
    if kinds.closest_class(layer) is None:
        return
    before = state(layer if isinstance(layer, nn.BatchNorm2d) else layer.train())
    for measured in (spectral.norm_bounds, spectral.operator_norm, spectral.explicit_matrix):
        measured(layer, shape)
    assert_same(before, state(layer))


def test_what_a_forward_leaves_behind_is_taken_back():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.calls, self.seen = nn.Linear(3, 3), 0, []
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            self.last = self.layer(x)
            self.seen.append(self.last)
            self.count.add_(1)
            self.layer.weight.data = self.layer.weight.data * 1.0
            return self.last

    net = Keeps().eval()
    net(torch.rand(1, 3))
    before = state(net)
    spectral.lipschitz(net, (3,), starts=1, steps=2)
    assert_same(before, state(net))
    assert (net.calls, len(net.seen), float(net.count)) == (1, 1, 1.0)


def test_weights_after_a_deep_copy_and_under_a_cache():
    net = nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 4))).eval()
    twin = copy.deepcopy(net)
    x = torch.rand(2, 4)
    with parametrize.cached():
        first = net(x)
        found = spectral.lipschitz(net, (4,), starts=1, steps=2)
    spectral.lipschitz(twin, (4,), starts=1, steps=2)
    assert torch.equal(net(x), first)
    assert torch.equal(twin(x), first)
    assert found.product == pytest.approx(1, rel=0.2)


def test_an_exception_leaves_the_network_as_it_was():
    torch.manual_seed(0)
    layers = parametrizations.weight_norm(nn.Linear(4, 4)), spectral_norm(nn.Linear(4, 4))
    net = nn.Sequential(*layers, nn.Softmax(1)).eval()
    x = torch.rand(2, 4)
    answers, before = net(x).detach(), state(net)
    with pytest.raises(ValueError, match="Softmax"):
        spectral.lipschitz(net, (4,))
    assert_same(before, state(net))
    assert torch.equal(net(x), answers)


# --- the guard ----------------------------------------------------------------------------------


def test_a_bound_below_a_slope_is_not_given(monkeypatch):
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    too_small = kinds.activation(nn.ReLU, (0.0, 1e-3), (F.relu,), curve=kinds.Kink())
    rules = [rule for rule in kinds.RULES if nn.ReLU not in rule.classes]
    monkeypatch.setattr(kinds, "RULES", [too_small, *rules])
    with pytest.raises(ValueError, match="No bound is given"):
        spectral.lipschitz(net, (4,))
    with pytest.raises(ValueError, match="No bound is given"):
        spectral.norm_bounds(nn.ReLU(), (4,))
    with pytest.raises(ValueError, match="No certificate is given"):
        spectral.certified_radii(net, torch.rand(64, 4))


def test_a_stated_constant_that_is_too_small_is_seen():
    class Steeper(nn.ReLU):
        lipschitz_constant = 0.1

    net = nn.Sequential(nn.Linear(4, 5), Steeper(), nn.Linear(5, 3)).eval()
    with pytest.raises(ValueError, match="lipschitz_constant that a module states is too small"):
        spectral.lipschitz(net, (4,))


def test_a_network_that_depends_on_the_batch_is_refused():
    class Batched(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(x) * (x.shape[0] * 0.5)

    with pytest.raises(ValueError, match="size of the batch"):
        spectral.lipschitz(Batched().eval(), (4,))


def test_the_steps_are_held_against_the_network_itself(monkeypatch):
    net = nn.Sequential(nn.Linear(4, 3)).eval()
    honest = guard.answer
    monkeypatch.setattr(
        guard, "answer", lambda n, x, shape: honest(n, x, shape) * (2 if n is net else 1)
    )
    with pytest.raises(ValueError, match="do not compute what the network computes"):
        spectral.lipschitz(net, (4,))


# --- PReLU ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("slopes", [[0.25], [2.0], [-3.0], [0.1, -2.0, 0.5, 1.5]])
def test_a_prelu_has_the_larger_of_its_slopes(slopes):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.PReLU(len(slopes)), nn.Linear(4, 2)).double().eval()
    net[1].weight.data = torch.tensor(slopes, dtype=torch.float64)
    steepest = max(1.0, *(abs(s) for s in slopes))
    norms = [torch.linalg.matrix_norm(net[i].weight, 2).item() for i in (0, 2)]
    found = spectral.lipschitz(net, (4,))
    assert found.product == pytest.approx(norms[0] * steepest * norms[1], rel=1e-9)
    assert found.lower <= found.tight <= found.product
    x = torch.rand(40, 4, dtype=torch.float64)
    nearest = minimal_adversarial(net, x).l2
    for method, radius in spectral.certified_radii(net, x).items():
        assert not (nearest < radius * (1 - 1e-9)).any(), method


# --- smaller things ------------------------------------------------------------------------------


class Of(nn.Module):
    def __init__(self, function, *layers):
        super().__init__()
        self.layers, self.function = nn.ModuleList(layers), function

    def forward(self, x):
        return self.function(self, x)


def test_what_cannot_be_read_is_named_and_the_rest_is_bounded():
    torch.manual_seed(0)
    line = nn.Sequential(nn.Linear(4, 3)).eval()
    right = pytest.approx(torch.linalg.matrix_norm(line[0].weight, 2).item(), rel=1e-6)
    with pytest.raises(ValueError, match=r"compiled.*the module that it was made from"):
        spectral.lipschitz(torch.jit.script(line), (4,))
    with pytest.raises(ValueError, match="meta device"):
        spectral.lipschitz(nn.Linear(4, 3, device="meta").eval(), (4,))
    with pytest.raises(ValueError, match="no size yet"):
        spectral.lipschitz(nn.Sequential(nn.LazyLinear(3)).eval(), (4,))
    line.lock = threading.Lock()
    assert spectral.lipschitz(line, (4,)).product == right
    cast = Of(lambda n, v: n.layers[0](v.float()), line[0]).eval()
    assert spectral.lipschitz(cast, (4,)).product == right
    with torch.inference_mode():
        inside = nn.Sequential(nn.Linear(4, 3)).eval()
        inside[0].load_state_dict(line[0].state_dict())
        assert spectral.lipschitz(inside, (4,)).product == right
    assert spectral.lipschitz(inside, (4,)).product == right
    assert spectral.certified_radius(inside, torch.rand(2, 4)).min() >= 0
    rounded = Of(lambda n, v: n.layers[0](v.half().float()), line[0]).eval()
    with pytest.raises(ValueError, match="rounds to torch"):
        spectral.lipschitz(rounded, (4,))


@pytest.mark.slow  # the compiler alone takes half a minute to import
def test_a_compiled_network_is_what_it_was_compiled_from():
    line = nn.Sequential(nn.Linear(4, 3)).eval()
    right = torch.linalg.matrix_norm(line[0].weight, 2).item()
    for net in (torch.compile(line), nn.Sequential(torch.compile(line[0])).eval()):
        assert spectral.lipschitz(net, (4,)).product == pytest.approx(right, rel=1e-6)


def test_settings_that_are_changed_later_are_read_as_they_are():
    for padding in ((1, 1), "same", (0, 2), "valid"):
        layer = nn.Conv2d(1, 2, 3)
        layer.padding = padding
        right = torch.linalg.matrix_norm(matrix_of(layer, (1, 5, 5)), 2).item()
        lower, upper = spectral.norm_bounds(layer, (1, 5, 5))
        assert lower * (1 - 1e-5) <= right <= upper * (1 + 1e-5)


def test_weights_that_are_no_part_of_the_network_are_told():
    outer = nn.Linear(3, 3)
    net = nn.Sequential(nn.Linear(4, 3)).eval()
    net[0].register_forward_hook(functools.partial(lambda m, i, o, layer: layer(o), layer=outer))
    right = torch.linalg.matrix_norm(outer.weight @ net[0].weight, 2).item()
    assert spectral.lipschitz(net, (4,)).tight == pytest.approx(right, rel=1e-5)
    net[0].register_forward_hook(lambda m, i, o: o @ OUTSIDE)
    with pytest.raises(ValueError, match="weights that are no part of it"):
        spectral.lipschitz(net, (4,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, 3)
    net = nn.Sequential(*layers).eval().to(dtype)
    double = copy.deepcopy(net).double()
    found, wanted = (spectral.lipschitz(n, (1, 5, 5), starts=2, steps=4) for n in (net, double))
    assert found.tight == pytest.approx(wanted.tight, rel=1e-9)
    x = torch.rand(3, 1, 5, 5).to(dtype)
    radii = (spectral.certified_radius(n, x) for n in (net, double))
    assert torch.allclose(*radii)


def test_wrappers_and_autocast():
    torch.manual_seed(0)
    line = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    right = spectral.lipschitz(line, (4,), starts=1, steps=2).tight
    spread = nn.DataParallel(line).eval()
    assert spectral.lipschitz(spread, (4,), starts=1, steps=2).tight == right
    graph = torch.fx.symbolic_trace(line).eval()
    assert spectral.lipschitz(graph, (4,), starts=1, steps=2).tight == pytest.approx(right)
    with torch.autocast("cpu"):
        assert spectral.lipschitz(line, (4,), starts=1, steps=2).tight == right
        assert spectral.certified_radius(line, torch.rand(2, 4)).isfinite().all()


def test_poolings_at_the_edges():
    assert spectral.operator_norm(nn.MaxPool2d(3, 2, ceil_mode=True), (1, 2, 2)) == 1
    with pytest.raises(ValueError, match="nothing but padding"):
        spectral.operator_norm(nn.MaxPool2d((1, 2), (4, 2), (0, 1), (1, 2)), (1, 7, 1))
    with pytest.raises(ValueError, match="jumps"):
        spectral.lipschitz(nn.Sequential(nn.Softplus(1.0, 0.1)).eval(), (4,))
    with pytest.raises(ValueError, match="jumps"):
        spectral.operator_norm(nn.Softplus(1.0, 0.1), (4,))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_balls_of_networks_whose_layers_differ_in_width(activation):
    torch.manual_seed(0)
    widths, layers = (6, 5, 3, 4, 2), []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), activation()]
    net = nn.Sequential(*layers[:-1]).double().eval()
    x = torch.rand(20, 6, dtype=torch.float64)
    nearest = minimal_adversarial(net, x).l2
    radii = spectral.certified_radii(net, x)
    assert (radii["local"] >= radii["tight"]).all()
    for method, radius in radii.items():
        assert not (nearest < radius * (1 - 1e-9)).any(), method


# --- what a network does besides ----------------------------------------------------------------


class Function(nn.Module):
    def __init__(self, function, *layers, **more):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)
        for name, value in more.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.function(self, x)


def gain(net, x, condition):
    return net.layers[0](x) * (5.0 if condition else 1.0)


def counts(net, x):
    net.calls += 1
    return net.layers[0](x) * net.calls


def numpys():
    return np.random.get_state()[1].copy()  # noqa: NPY002


CHANGING = {
    "gradients recorded": lambda net, x: gain(net, x, torch.is_grad_enabled()),
    "requires_grad": lambda net, x: gain(net, x, x.requires_grad),
    "a single image": lambda net, x: gain(net, x, x.shape[0] == 1),
    "calls": counts,
    "random numbers": lambda net, x: net.layers[0](x * torch.rand(4, dtype=x.dtype)),
    "Python's random numbers": lambda net, x: net.layers[0](x * random.uniform(0.5, 2)),
    "NumPy's random numbers": lambda net, x: net.layers[0](x * np.random.uniform(0.5, 2)),  # noqa: NPY002
}


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_that_is_not_one_function_is_refused(name, dtype):
    net = Function(CHANGING[name], nn.Linear(4, 3), calls=0).to(dtype).eval()
    drawn = torch.get_rng_state(), random.getstate(), numpys()
    with pytest.raises(ValueError, match="do not compute what the network computes"):
        spectral.lipschitz(net, (4,))
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert random.getstate() == drawn[1]
    assert (numpys() == drawn[2]).all()
    assert net.calls == 0


def test_a_parametrisation_that_draws_leaves_the_random_numbers():
    class Drops(nn.Module):
        def forward(self, weight):
            return weight * torch.bernoulli(torch.full_like(weight, 0.5))

    layer = nn.Linear(4, 3)
    parametrize.register_parametrization(layer, "weight", Drops())
    drawn = torch.get_rng_state()
    with pytest.raises(ValueError, match="do not compute what the network computes"):
        spectral.lipschitz(nn.Sequential(layer).eval(), (4,))
    spectral.norm_bounds(layer, (4,))
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm1d(4), nn.Dropout(0.5), parametrizations.spectral_norm(nn.Linear(4, 4))],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize("holder", [lambda v: [v], lambda v: {"a": v}, lambda v: (v,)])
def test_a_module_that_torch_does_not_see_must_not_train(layer, holder):
    key = "a" if isinstance(holder(0), dict) else 0
    net = Function(lambda n, x: n.layers[0](n.held[key](x)), nn.Linear(4, 3), held=holder(layer))
    net.eval()
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    with pytest.raises(ValueError, match=r"in train mode that is not registered.*ModuleList"):
        spectral.lipschitz(net, (4,))
    assert layer.training
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
    layer.eval()
    assert spectral.lipschitz(net, (4,), starts=1, steps=2).lower > 0
    layer.train()


def test_a_layer_in_a_plain_list_may_train_where_it_changes_nothing():
    net = Function(lambda n, x: n.layers[0](n.held[0](x)), nn.Linear(4, 3), held=[nn.Linear(4, 4)])
    net.other = [nn.Sequential(nn.Linear(2, 2), nn.Dropout())]  # a teacher, not used in forward
    assert spectral.lipschitz(net.eval(), (4,), starts=1, steps=2).lower > 0


class Slots:
    __slots__ = ("weight",)

    def __init__(self, weight):
        self.weight = weight


@dataclasses.dataclass(frozen=True)
class Frozen:
    weight: torch.Tensor


Pair = collections.namedtuple("Pair", "weight")


@pytest.mark.parametrize("kind", [Slots, Frozen, Pair])
def test_weights_in_objects_of_any_kind_are_read(kind):
    weight = torch.randn(3, 4)
    net = Function(lambda n, x: F.linear(x, n.own.weight), own=kind(weight)).eval()
    right = float(torch.linalg.matrix_norm(weight.double(), 2))
    assert spectral.lipschitz(net, (4,), starts=1, steps=4).product == pytest.approx(right)
    assert net.own.weight is weight
    assert weight.dtype == torch.float32


def test_weights_of_what_a_hook_belongs_to_are_read():
    class Teacher(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 3))

        def hook(self, module, inputs, output):
            return output @ self.weight

    layer, teacher = nn.Linear(4, 3), Teacher()
    layer.register_forward_hook(teacher.hook)
    right = torch.linalg.matrix_norm(teacher.weight.T @ layer.weight, 2)
    found = spectral.lipschitz(nn.Sequential(layer).eval(), (4,), starts=1, steps=4)
    assert found.tight == pytest.approx(float(right.detach()), rel=1e-5)


@pytest.mark.parametrize("number", [np.float64(3), np.float32(3), np.int64(3)])
@pytest.mark.parametrize("left", [True, False])
def test_numbers_of_numpys_are_numbers(number, left):
    layer = nn.Linear(4, 3)
    net = Function(lambda n, x: number * n.layers[0](x) if left else n.layers[0](x) * number, layer)
    right = 3 * float(torch.linalg.matrix_norm(layer.weight.detach().double(), 2))
    assert spectral.lipschitz(net.eval(), (4,), starts=1, steps=2).product == pytest.approx(right)


def test_a_replaced_call_of_torchs_is_seen(monkeypatch):
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    call = nn.Module.__call__

    def doubled(self, *args):
        return call(self, *args) * (2 if isinstance(self, nn.ReLU) else 1)

    monkeypatch.setattr(nn.Module, "__call__", doubled)
    with pytest.raises(ValueError, match=r"No bound is given: ReLU\(\) does not compute"):
        spectral.lipschitz(net, (4,))
    with pytest.raises(ValueError, match=r"No (bound|certificate) is given"):
        spectral.certified_radius(net, torch.rand(2, 4))


def test_a_weight_of_another_size_than_the_layer_was_made_with():
    layer = nn.Linear(8, 5)
    layer.weight = nn.Parameter(torch.randn(5, 4))
    net = nn.Sequential(layer, nn.ReLU(), nn.Linear(5, 3)).eval()
    assert spectral.lipschitz(net, (4,), starts=1, steps=2).layers[0].upper == pytest.approx(
        float(torch.linalg.matrix_norm(layer.weight.detach().double(), 2))
    )
    assert (spectral.certified_radius(net, torch.rand(3, 4)) > 0).all()


@pytest.mark.parametrize(
    ("layer", "shape", "word"),
    [
        (nn.Linear(4, 0), (4,), "are none"),
        (nn.Conv2d(2, 0, 3), (2, 5, 5), "are none"),
        (nn.Linear(4, 3, device="meta"), (4,), "meta device"),
        (nn.Flatten(0), (4,), "does not take inputs"),
        (nn.MaxPool2d(2, return_indices=True), (1, 4, 4), "does not take inputs"),
    ],
)
def test_a_layer_without_a_norm_has_a_sentence(layer, shape, word):
    for call in (spectral.operator_norm, spectral.norm_bounds, spectral.norm_row):
        with pytest.raises(ValueError, match=word):
            call(layer, shape)


@pytest.mark.parametrize(
    ("net", "shape", "word"),
    [
        (nn.Sequential(nn.Linear(4, 0)), (4,), "has no numbers"),
        (nn.Sequential(nn.Linear(4, 0), nn.ReLU(), nn.Linear(0, 3)), (4,), "has no numbers"),
        (nn.Sequential(nn.MaxPool2d(2, return_indices=True)), (1, 4, 4), "must return one tensor"),
        (Function(lambda n, x: F.max_pool2d(n.pool(x)[0], 2), pool=nn.MaxPool2d(2, 2, 0, 1, True)),
         (1, 8, 8), "return_indices=False"),
        (Function(lambda n, x: (x * 1j).imag), (4,), "complex number"),
    ],
)  # fmt: skip
def test_a_network_without_a_bound_has_a_sentence(net, shape, word):
    with pytest.raises(ValueError, match=word):
        spectral.lipschitz(net.eval(), shape)


def test_a_batch_norm_without_weight():
    norm = nn.BatchNorm1d(4)
    norm.weight = None
    found = spectral.lipschitz(nn.Sequential(norm).eval(), (4,), starts=1, steps=2)
    assert found.product == pytest.approx((1 + 1e-5) ** -0.5)


@pytest.mark.parametrize("wrong", [{"starts": "a"}, {"steps": -1}, {"seed": None}])
def test_settings_of_the_search_are_whole_numbers(wrong):
    with pytest.raises(ValueError, match="must be a whole number"):
        spectral.lipschitz(nn.Linear(4, 3).eval(), (4,), **wrong)


def test_a_penalty_does_not_go_on_with_a_power_iteration():
    layer = parametrizations.spectral_norm(nn.Conv2d(1, 2, 3))
    net = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(18, 3)).train()
    before = {name: value.clone() for name, value in net.named_buffers()}
    robust.penalty(net, (1, 5, 5)).backward()
    spectral.differentiable_norm(layer, (1, 5, 5))
    spectral.differentiable_norm(parametrizations.spectral_norm(nn.Linear(4, 3)), (4,))
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())


def test_the_penalty_of_half_precision_and_of_no_network():
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    right = float(robust.penalty(net, (4,)).detach())
    found = robust.penalty(net.half(), (4,))
    found.backward()
    assert float(found.detach()) == pytest.approx(right, abs=0.01)
    assert net[0].weight.grad is not None
    with pytest.raises(TypeError, match="must be a torch module"):
        robust.penalty("net")
