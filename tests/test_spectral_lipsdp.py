"""LipSDP: bounds by multipliers, held against slopes drawn at random, closed forms and exact
fractions; what is no proof is none."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import attacks, spectral, zoo
from course_lib.data import load_mnist
from course_lib.spectral import graph, lipsdp
from course_lib.spectral.bounds import NetworkBounds

ACTIVATIONS = {
    "ReLU": (nn.ReLU(), 0.0, 1.0),
    "sigmoid": (nn.Sigmoid(), 0.0, 0.25),
    "tanh": (nn.Tanh(), 0.0, 1.0),
    "leaky": (nn.LeakyReLU(0.3), 0.3, 1.0),
    "against the grain": (nn.LeakyReLU(-0.5), -0.5, 1.0),
    "softplus": (nn.Softplus(), 0.0, 1.0),
}


def network(widths, activation, seed=0, scale=1.0):
    rng = torch.Generator().manual_seed(seed)
    layers = []
    for a, b in itertools.pairwise(widths):
        layer = nn.Linear(a, b)
        layer.weight.data = scale * torch.randn(b, a, generator=rng) / a**0.5
        layers += [layer, activation]
    return nn.Sequential(*layers[:-1]).double().eval().requires_grad_(False)


def bounds_of(net, shape):
    return NetworkBounds(graph.read(net, shape).steps)


def steepest(weights, low, high, rng, draws=400, ending=None):
    """The largest norm of a product of the weights with slopes in between, drawn from the ends
    (where the norm of a product is largest) at random, and then changed one by one."""
    weights = [np.asarray(w) for w in weights]
    weights = weights if ending is None else [*weights[:-1], ending]

    def norm(slopes):
        total = weights[0]
        for w, d in zip(weights[1:], slopes, strict=True):
            total = w @ (d[:, None] * total)
        return np.linalg.norm(total, 2)

    ends = np.array([low, high])
    best, at = 0.0, None
    for _ in range(draws):
        slopes = [rng.choice(ends, len(w)) for w in weights[:-1]]
        value = norm(slopes)
        if value > best:
            best, at = value, slopes
    for k, d in enumerate(at or []):
        for i in range(len(d)):
            d[i] = low + high - d[i]
            value = norm(at)
            if value > best:
                best = value
            else:
                d[i] = low + high - d[i]
        at[k] = d
    return best


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("widths", [(4, 6, 5, 3), (6, 5, 4, 5, 2), (3, 9, 4)])
def test_no_slopes_exceed_the_bound_which_is_never_above_liplt(name, widths):
    activation, low, high = ACTIVATIONS[name]
    for seed in range(2):
        net = network(widths, activation, seed, scale=2.0)
        bounds = bounds_of(net, widths[:1])
        found = [math.exp(lipsdp.whole(bounds, descent)[0]) for descent in (False, True)]
        weights = [layer.weight.numpy() for layer in net if isinstance(layer, nn.Linear)]
        below = steepest(weights, low, high, np.random.default_rng(seed))
        assert below * (1 - 1e-12) <= found[1]
        assert found[1] <= math.exp(bounds.tight[-1]) <= math.exp(bounds.product[-1])
        assert found[0] <= math.exp(bounds.tight[-1])


def test_of_diagonal_matrices_the_bound_is_the_norm():
    a, b, c = (torch.tensor(v).double() for v in ([3.0, -1.0, 0.5], [0.2, 4, 2], [1, 0.5, -6]))
    layers = [torch.diag(v) for v in (a, b, c)]
    chain = lipsdp.Layered(layers, [0.0] * 3, [(0.0, 1.0)] * 2)
    exact = float((a * b * c).abs().max())
    found = math.exp(lipsdp.proven(chain, lipsdp.descend(chain, 300)))
    assert exact <= found <= 1.001 * exact
    # multipliers of one's own: t_2 = c², t_1 = (b c)², which make the elimination exact
    own = math.exp(lipsdp.proven(chain, [(b * c).square(), c.square()]))
    assert exact <= own <= exact * (1 + 1e-6)


@pytest.mark.parametrize(("name", "times"), [("FC100-100-10-ReLU", 1.25), ("FC100-100-10", 1.12)])
def test_networks_of_the_zoo_are_near_the_largest_slope_found(name, times):
    found = spectral.lipschitz(zoo.load(name, device="cpu"), (1, 28, 28), descent=True)
    assert found.lower <= found.sdp <= times * found.lower
    assert found.sdp < 0.8 * found.tight
    assert "200 multipliers by descent" in found.summary()
    closed = spectral.lipschitz(zoo.load(name, device="cpu"), (1, 28, 28), starts=1, steps=1)
    assert found.sdp < closed.sdp < closed.tight


def test_a_convolution_is_composed_and_bounded():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 4)
    ).eval()
    net.requires_grad_(False)
    bounds = bounds_of(net, (1, 6, 6))
    value, how = lipsdp.whole(bounds, descent=True)
    assert "72 multipliers" in how
    first = spectral.explicit_matrix(net[0], (1, 6, 6)).numpy()
    pool = spectral.explicit_matrix(net[2], (2, 6, 6)).numpy()
    ending = net[4].weight.double().numpy() @ pool
    below = steepest([first, ending], 0.0, 1.0, np.random.default_rng(0), draws=50)
    assert below <= math.exp(value) < math.exp(bounds.product[-1])


def test_a_linear_layer_that_is_used_on_several_rows_is_no_single_matrix():
    """Its weight stands for each row: the matrix is block diagonal."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6, 2))
    net = net.double().eval().requires_grad_(False)
    bounds = bounds_of(net, (2, 4))
    value, how = lipsdp.whole(bounds, descent=True)
    assert "6 multipliers" in how
    first = np.kron(np.eye(2), net[0].weight.numpy())
    below = steepest([first, net[3].weight.numpy()], 0.0, 1.0, np.random.default_rng(0))
    assert below <= math.exp(value) < math.exp(bounds.product[-1])


def test_so_many_pairs_that_it_would_take_too_long_have_liplts_bound():
    net = network((3, 200, 200), nn.ReLU())
    bounds = bounds_of(net, (3,))
    assert torch.equal(lipsdp.pairs(bounds), bounds.pairs_tight())


@pytest.mark.parametrize(
    ("net", "shape", "why"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten()), (1, 8, 8), "one number"),
        (nn.Sequential(nn.Linear(3, 2000), nn.ReLU(), nn.Linear(2000, 2)), (3,), "too wide"),
        (nn.Sequential(nn.Linear(3, 4)), (3,), "linear"),
    ],
)
def test_a_network_without_multipliers_has_liplts_bound_and_a_reason(net, shape, why):
    bounds = bounds_of(net.eval(), shape)
    value, how = lipsdp.whole(bounds, descent=True)
    assert value == bounds.tight[-1]
    assert why in how
    if bounds.steps[-1].size > 1 and len(bounds.steps[-1].shape) == 1:
        assert torch.equal(lipsdp.pairs(bounds), bounds.pairs_tight())


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return x + self.layer(x).relu()


def test_a_sum_of_branches_is_no_chain():
    """It is a block, whose bound is another one (test_spectral_blocks)."""
    net = Residual().eval().requires_grad_(False)
    bounds = bounds_of(net, (3,))
    value, how = lipsdp.whole(bounds, descent=True)
    assert value == bounds.tight[-1]
    assert "no chain" in how
    assert spectral.lipschitz(net, (3,), descent=True).sdp <= math.exp(value)


# --- proofs --------------------------------------------------------------------------------------


def semidefinite(rows):
    form = torch.tensor(rows, dtype=torch.float64)
    return lipsdp.semidefinite(form, torch.zeros_like(form))


def test_what_has_a_negative_eigenvalue_is_refused_however_small():
    # determinants in exact fractions: -2⁻⁴⁰, 0, and 2⁻²⁰
    assert not semidefinite([[1.0, 1.0], [1.0, 1.0 - 2**-40]])
    assert not semidefinite([[1.0, 1.0], [1.0, 1.0]])  # semidefinite, but not provably in floats
    assert semidefinite([[1.0, 1.0], [1.0, 1.0 + 2**-20]])
    assert semidefinite([[2.0**60, 2.0**30], [2.0**30, 1.0 + 2**-20]])  # whatever the scale
    assert not semidefinite([[0.0, 0.0], [0.0, 1.0]])
    assert not semidefinite([[math.nan, 0.0], [0.0, 1.0]])


def test_an_error_of_the_entries_is_taken_off():
    form = torch.tensor([[1.0, 0.5], [0.5, 1.0]]).double()
    assert lipsdp.semidefinite(form, torch.full((2, 2), 0.2).double())
    assert not lipsdp.semidefinite(form, torch.full((2, 2), 0.3).double())


def chain_of(net):
    return lipsdp.layered(bounds_of(net, (net[0].in_features,)))


def test_multipliers_that_are_no_proof_prove_nothing():
    chain = chain_of(network((4, 6, 5, 3), nn.ReLU(), seed=1))
    widths = [6, 5]
    assert lipsdp.proven(chain, [torch.zeros(n) for n in widths]) == math.inf
    assert lipsdp.proven(chain, [torch.full((n,), 1e-9) for n in widths]) == math.inf
    with pytest.raises(ValueError, match="shapes"):
        lipsdp.proven(chain, [torch.ones(6)])
    with pytest.raises(ValueError, match="finite"):
        lipsdp.proven(chain, [torch.ones(6), torch.tensor([1.0, math.nan, 1, 1, 1])])
    with pytest.raises(ValueError, match="0 or above"):
        lipsdp.proven(chain, [torch.ones(6), -torch.ones(5)])


def test_any_multipliers_that_prove_something_prove_what_is_true():
    rng, drawn = np.random.default_rng(0), torch.Generator().manual_seed(0)
    proofs = 0
    for seed in range(20):
        net = network((4, 6, 5, 3), nn.ReLU(), seed, scale=2.0)
        chain = chain_of(net)
        below = steepest([m.numpy() for m in chain.matrices], 0.0, 1.0, rng, draws=100)
        for size in (0.3, 1.0, 3.0, 10.0, 30.0):
            first, second = (torch.rand(n, generator=drawn).double() for n in (6, 5))
            value = lipsdp.proven(chain, [size**2 * first, size * second])
            proofs += math.isfinite(value)
            assert math.exp(min(value, 700)) >= below
    assert proofs > 10


def test_the_form_is_the_one_of_the_docstring():
    """Its value at a change that real units make, computed from the units themselves."""
    for name in ("ReLU", "against the grain", "leaky"):
        activation, low, high = ACTIVATIONS[name]
        net = network((4, 6, 5, 3), activation, seed=2)
        chain = chain_of(net)
        t = [torch.rand(6).double(), torch.rand(5).double()]
        form, error = lipsdp.quadratic_form(chain, t)
        x, y = torch.randn(2, 4).double()
        values, sums = [x - y], 0.0
        a, b = x, y
        for k, layer in enumerate((net[0], net[2])):
            u, v = layer(a), layer(b)
            a, b = activation(u), activation(v)
            du, dv = u - v, a - b
            sums += float(2 * (t[k] * (dv - low * du) * (high * du - dv)).sum())
            values.append(dv)
        z = torch.cat(values)
        wanted = -float((net(x) - net(y)).square().sum()) - sums
        assert float(z @ form @ z) == pytest.approx(wanted, rel=1e-9)
        assert bool((error >= 0).all())
        assert float(error.max()) < 1e-12


def test_logits_of_any_scale_have_a_bound_of_that_scale():
    values = []
    for factor in (1e-8, 1.0, 1e8):
        net = network((5, 7, 6, 3), nn.Tanh(), seed=3)
        net[-1].weight.data *= factor
        values.append(math.exp(lipsdp.whole(bounds_of(net, (5,)), descent=True)[0]) / factor)
    assert values == pytest.approx([values[1]] * 3, rel=1e-3)


# --- pairs of classes ----------------------------------------------------------------------------


def test_pairs_of_classes_have_multipliers_of_their_own():
    net = network((5, 8, 7, 4), nn.ReLU(), seed=4, scale=2.0)
    net[-1].weight.data[3] = net[-1].weight.data[2]  # two logits that differ by a constant
    bounds = bounds_of(net, (5,))
    tight, found = bounds.pairs_tight(), lipsdp.pairs(bounds)
    assert torch.equal(found, found.T)
    assert bool((found <= tight).all())
    assert bool((found[:2, 2:] < tight[:2, 2:] - 0.05).all())
    assert float(found[2, 3]) == -math.inf
    weights = [layer.weight.numpy() for layer in net if isinstance(layer, nn.Linear)]
    for i, j in itertools.combinations(range(4), 2):
        rng = np.random.default_rng(i)
        row = (weights[-1][i] - weights[-1][j])[None]
        assert steepest(weights, 0.0, 1.0, rng, ending=row) <= math.exp(float(found[i, j])) + 1e-12


def test_a_certificate_by_pairs_is_never_beyond_the_nearest_mistake():
    images = load_mnist("test", "cpu").sample(12, seed=1)
    pixels = images.images[:, :, 8:20, 8:20].contiguous()
    net = nn.Sequential(nn.Flatten(), *network((144, 12, 10, 10), nn.ReLU(), seed=5, scale=2.0))
    net = net.float().eval()
    labels = net(pixels).argmax(1)
    radii = spectral.certified_radii(net, pixels, labels, ("tight", "sdp"))
    assert bool((radii["sdp"] >= radii["tight"]).all())
    assert float((radii["sdp"] / radii["tight"]).median()) > 1.05
    found = attacks.minimal_adversarial(net, pixels, None, labels)
    distance = (found.images - pixels).flatten(1).double().norm(dim=1)
    assert bool((radii["sdp"] <= distance)[found.success].all())
    assert bool(found.success.any())


def test_an_unknown_certificate_names_those_there_are():
    net = network((5, 6, 3), nn.ReLU())
    with pytest.raises(ValueError, match="sdp"):
        spectral.certified_radius(net, torch.zeros(1, 5), method="lipsdp")
    with pytest.raises(TypeError, match="descent"):
        spectral.lipschitz(net, (5,), descent="yes")
