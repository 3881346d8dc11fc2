"""A module states its own constant: every door reads it alike, and refuses what is none."""

import fractions
import math

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import robust, spectral


class Scaled(nn.Module):
    """x -> factor · x, by operations that torch.fx would refuse: only what it states is known."""

    def __init__(self, stated, factor=0.0):
        super().__init__()
        self.lipschitz_constant, self.factor = stated, factor

    def forward(self, x):
        return torch.stack([self.factor * row for row in x])


def network(stated, factor=0.0):
    """I, then the module that states its constant, then I again: the constants of all are its."""
    layers = nn.Linear(3, 3), Scaled(stated, factor), nn.Linear(3, 3)
    for layer in (layers[0], layers[2]):
        layer.weight.data = torch.eye(3)
        layer.bias.data = torch.tensor([1.0, 0.0, 0.0])
    return nn.Sequential(*layers).double().eval()


def bounds(stated, factor=0.0):
    """All numbers that say what the constant is, by every door there is."""
    layer = Scaled(stated, factor)
    row = spectral.norm_row(layer, (3,))
    found = spectral.lipschitz(network(stated, factor), (3,), starts=1, steps=4)
    return {
        "operator_norm": spectral.operator_norm(layer, (3,)),
        "lower": spectral.norm_bounds(layer, (3,)).lower,
        "upper": spectral.norm_bounds(layer, (3,)).upper,
        "row": row.estimate,
        "row, upper": row.upper,
        "differentiable_norm": float(spectral.differentiable_norm(layer, (3,))),
        "lipschitz": found.layers[1].upper,
        "product": found.product,
        "tight": found.tight,
    }


STATED = [
    (1, 1.0),
    (1.0, 1.0),
    (0, 0.0),
    (0.0, 0.0),
    (3, 3.0),
    (2.5, 2.5),
    (np.float32(2.5), 2.5),
    (np.float64(2.5), 2.5),
    (np.int64(3), 3.0),
    (np.array(2.5), 2.5),
    (torch.tensor(2.5), 2.5),
    (torch.tensor(3), 3.0),
    (fractions.Fraction(5, 2), 2.5),
]


@pytest.mark.parametrize(("stated", "constant"), STATED, ids=lambda v: f"{type(v).__name__} {v}")
def test_every_door_reads_the_same_constant(stated, constant):
    for door, value in bounds(stated).items():
        assert value == pytest.approx(constant, rel=1e-9), door
    net, x = network(stated), torch.rand(4, 3, dtype=torch.float64)
    plain, labels = network(constant), torch.zeros(4, dtype=torch.int64)
    for method in ("half", "root", "tight", "local", "box"):
        radii = spectral.certified_radius(net, x, labels, method)
        assert torch.equal(radii, spectral.certified_radius(plain, x, labels, method))
        # the logits are (1, 0, 0) whatever the image; their slopes are what is stated
        wanted = {"half": 1 / 2, "root": math.sqrt(1 / 2)}.get(method)
        if wanted and constant:
            assert radii.tolist() == pytest.approx([wanted / constant] * 4)
        assert constant or radii.isinf().all()
    assert len(robust.norms_of_layers(net, (3,))) == 2


def test_a_bound_that_is_stated_holds():
    found = bounds(2, factor=2.0)
    assert found["upper"] >= 2 >= found["lower"]
    net = network(2, factor=2.0)
    assert spectral.lipschitz(net, (3,)).lower == pytest.approx(2)


def test_no_constant_is_stated_by_none():
    with pytest.raises(TypeError, match="no rule"):
        spectral.operator_norm(Scaled(None), (3,))
    relu = nn.ReLU()
    relu.lipschitz_constant = None
    assert spectral.operator_norm(relu, (3,)) == 1


@pytest.mark.parametrize("base", [nn.ReLU, nn.Identity, nn.Flatten])
def test_what_a_subclass_states_comes_before_what_its_class_is(base):
    class Steep(base):
        lipschitz_constant = 3

        def forward(self, x):
            return 3 * x

    assert spectral.operator_norm(Steep(), (3,)) == 3
    assert spectral.norm_row(Steep(), (3,)).method == "constant"
    assert spectral.differentiable_norm(Steep(), (3,)).item() == 3
    net = nn.Sequential(Steep()).double().eval()
    found = spectral.lipschitz(net, (3,))
    assert found.product == pytest.approx(3)
    assert found.lower == pytest.approx(3)
    assert found.tight >= found.lower
    # nor do certificates on balls take it for the unit that it derives from
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 6), Steep(), nn.Linear(6, 2)).double().eval()
    radii = spectral.certified_radii(net, torch.rand(20, 2, dtype=torch.float64))
    assert torch.equal(radii["local"], radii["tight"])


NUMBER = r"Scaled\.lipschitz_constant must be a number.*state the largest factor"
FROM_ZERO = r"Scaled\.lipschitz_constant must be a finite number from 0 on.*state the largest"
REFUSED = [
    (-2.0, ValueError, FROM_ZERO),
    (-1, ValueError, FROM_ZERO),
    (math.nan, ValueError, FROM_ZERO),
    (math.inf, ValueError, FROM_ZERO),
    (10**400, ValueError, FROM_ZERO),
    (np.float32(-1), ValueError, FROM_ZERO),
    (torch.tensor(math.nan), ValueError, FROM_ZERO),
    ("1", TypeError, NUMBER),
    (True, TypeError, NUMBER),
    (np.bool_(True), TypeError, NUMBER),
    (torch.tensor(True), TypeError, NUMBER),
    (1j, TypeError, NUMBER),
    ([1.0], TypeError, NUMBER),
    (torch.ones(1), TypeError, NUMBER),
    (np.ones((1, 1)), TypeError, NUMBER),
    (lambda: 1.0, TypeError, NUMBER),
]
DOORS = {
    "operator_norm": lambda v: spectral.operator_norm(Scaled(v), (3,)),
    "norm_bounds": lambda v: spectral.norm_bounds(Scaled(v), (3,)),
    "norm_row": lambda v: spectral.norm_row(Scaled(v), (3,)),
    "differentiable_norm": lambda v: spectral.differentiable_norm(Scaled(v), (3,)),
    "lipschitz": lambda v: spectral.lipschitz(network(v), (3,)),
    "certified_radius": lambda v: spectral.certified_radius(network(v), torch.rand(1, 3)),
    "margins": lambda v: spectral.margins(network(v), torch.rand(1, 3)),
    "robust.norms_of_layers": lambda v: robust.norms_of_layers(network(v), (3,)),
    "robust.penalty": lambda v: robust.penalty(network(v), (3,)),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("stated", "error", "sentence"), REFUSED, ids=lambda v: repr(v)[:20])
def test_what_is_no_constant_is_refused_by_every_door(door, stated, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        DOORS[door](stated)
    assert "torch.fx" not in str(caught.value)  # it is said as it is, not as a failure to trace
