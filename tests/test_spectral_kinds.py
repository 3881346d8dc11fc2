"""The kinds of layers are listed once: a new one is one entry, and everything treats it."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import robust, spectral
from course_lib.spectral import kinds
from course_lib.spectral.operators import LinearMap
from course_lib.spectral.rules import Rule, Size, closed_form

ORDER = [2, 0, 1]


class Shuffled(nn.Module):
    """x -> 3 · x in another order: a kind that the course does not know."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.tensor(3.0))

    def forward(self, x):
        return self.weight * x[..., ORDER]


SHUFFLED = Rule(
    classes=(Shuffled,),
    step="affine",
    measure=lambda layer, shape, upper: closed_form(float(layer.weight), "by design"),
    linear_map=lambda layer, shape: LinearMap(layer.forward, shape, shape, torch.device("cpu")),
    size=lambda layer, shape: Size(f"{shape[-1]} x {shape[-1]}"),
    called="shuffled inputs",
)
DOORS = {
    "operator_norm": lambda layer, net: spectral.operator_norm(layer, (3,)),
    "norm_bounds": lambda layer, net: spectral.norm_bounds(layer, (3,)),
    "norm_row": lambda layer, net: spectral.norm_row(layer, (3,)),
    "differentiable_norm": lambda layer, net: spectral.differentiable_norm(layer, (3,)),
    "explicit_matrix": lambda layer, net: spectral.explicit_matrix(layer, (3,)),
    "singular_values": lambda layer, net: spectral.singular_values(layer, (3,)),
    "lipschitz": lambda layer, net: spectral.lipschitz(net, (4,)),
    "certified_radius": lambda layer, net: spectral.certified_radius(net, torch.rand(2, 4)),
}


def network(layer):
    torch.manual_seed(0)
    parts = nn.Linear(4, 3), layer, nn.ReLU(), nn.Linear(3, 2)
    return nn.Sequential(*parts).double().eval()


def test_one_entry_makes_a_new_kind_known_everywhere(monkeypatch):
    layer = Shuffled()
    net = network(layer)

    def refused():
        for name, door in DOORS.items():
            with pytest.raises((TypeError, ValueError), match=r"no rule|no linear|No bound"):
                raise AssertionError(f"{name} gave {door(layer, net)}")
        assert "shuffled" not in kinds.supported()

    refused()
    with monkeypatch.context() as patch:
        patch.setattr(kinds, "RULES", [*kinds.RULES, SHUFFLED])
        assert spectral.operator_norm(layer, (3,)) == 3
        lower, upper = spectral.norm_bounds(layer, (3,))
        assert lower <= 3 <= upper
        row = spectral.norm_row(layer, (3,))
        assert (row.kind, row.size, row.method) == ("Shuffled", "3 x 3", "by design")
        assert row.lower <= row.estimate <= row.upper
        assert spectral.differentiable_norm(layer, (3,)).item() == 3
        matrix = 3 * np.eye(3)[ORDER]
        assert (spectral.explicit_matrix(layer, (3,)).numpy() == matrix).all()
        assert spectral.singular_values(layer, (3,)) == pytest.approx([3, 3, 3])
        assert "the usual activations and shuffled inputs" in kinds.supported()

        # in a network it is what the Linear layer with its matrix is
        known = nn.Linear(3, 3, bias=False)
        known.weight.data = torch.from_numpy(matrix)
        twin = network(known)
        found, wanted = (spectral.lipschitz(n, (4,), starts=4, steps=10) for n in (net, twin))
        assert [found.product, found.tight, found.lower] == pytest.approx(
            [wanted.product, wanted.tight, wanted.lower], rel=1e-9
        )
        assert found.how == wanted.how
        assert (found.layers[1].kind, found.layers[1].size) == ("Shuffled", "3 x 3")
        x = torch.rand(20, 4, dtype=torch.float64)
        radii, theirs = (spectral.certified_radii(n, x) for n in (net, twin))
        for method in spectral.METHODS:
            assert radii[method].tolist() == pytest.approx(theirs[method].tolist(), rel=1e-9)
    refused()


class Erf(nn.Module):
    def forward(self, x):
        return torch.special.erf(x)


class Called(nn.Module):
    """The same by its function: no module to be looked up."""

    def forward(self, x):
        return torch.special.erf(1.0 * x)


def test_a_new_activation_is_one_entry_with_its_functions(monkeypatch):
    slopes = (0.0, 2 / math.sqrt(math.pi))
    for net in (Erf(), Called()):
        with pytest.raises(ValueError, match="erf"):
            spectral.lipschitz(net.eval(), (3,))
    rule = kinds.activation(Erf, slopes, (torch.special.erf,))
    monkeypatch.setattr(kinds, "RULES", [*kinds.RULES, rule])
    assert spectral.slope_range(Erf()) == slopes
    assert spectral.operator_norm(Erf(), (3,)) == slopes[1]
    for net in (nn.Sequential(Erf()), Called()):
        found = spectral.lipschitz(net.double().eval(), (3,))
        assert 1 < found.lower <= found.tight == pytest.approx(slopes[1], rel=1e-9)
        assert found.layers[-1].method == "slope"


def test_a_weighted_kind_can_be_penalised(monkeypatch):
    """robust asks the same table: with an entry, a layer with parameters is no longer refused."""

    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.full((3, 1), 2.0))

        def forward(self, x):
            return x * self.weight[:, 0]

    rule = Rule(
        classes=(Scale,),
        step="affine",
        weighted=True,
        measure=lambda layer, shape, upper: closed_form(float(layer.weight.abs().max()), ""),
        differentiable=lambda layer, shape, bound: layer.weight.abs().max(),
    )
    net = nn.Sequential(Scale(), nn.Linear(3, 2))
    with pytest.raises(ValueError, match="Scale"):
        robust.norms_of_layers(net, (3,))
    monkeypatch.setattr(kinds, "RULES", [*kinds.RULES, rule])
    scale, _ = robust.norms_of_layers(net, (3,))
    scale.backward()
    assert scale.item() == 2
    assert net[0].weight.grad.abs().sum() == 1


def test_every_class_is_in_one_entry():
    """So that the order of the table decides nothing."""
    for one, other in itertools.combinations(kinds.RULES, 2):
        for a, b in itertools.product(one.classes, other.classes):
            # ReLU6 derives from Hardtanh, with the same slopes
            assert not issubclass(a, b) or (a, b) == (nn.ReLU6, nn.Hardtanh)
            assert not issubclass(b, a)
    for rule in kinds.RULES:
        assert (rule.step == "slope") == (rule.slopes is not None)
        for functional in rule.functions.values():
            assert functional.layer in rule.classes


def test_a_subclass_is_of_the_kind_of_its_class():
    class Named(nn.Conv2d):
        pass

    assert kinds.kind_of(Named(1, 1, 1)) is kinds.kind_of(nn.Conv2d(1, 1, 1))
    assert spectral.norm_row(Named(1, 1, 1), (1, 2, 2)).kind == "Conv2d"


@pytest.mark.parametrize("step", ["Affine", "slope", ""])
def test_an_entry_that_does_not_say_what_the_step_is(step):
    with pytest.raises(ValueError, match="must say what the layer is in a network"):
        Rule(classes=(Shuffled,), step=step, measure=SHUFFLED.measure)
