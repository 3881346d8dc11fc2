"""Certificates: below every attack, above nothing that can be found, exact where it is known."""

import copy
import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn

from course_lib import attacks, models, spectral, zoo
from course_lib.data import load_mnist
from course_lib.spectral import certificates, graph, local, pooled
from course_lib.spectral.bounds import NetworkBounds

GLOBAL = ("half", "root", "pairs", "tight")
UNITS = (nn.Sigmoid, nn.Tanh, nn.ReLU)


def perceptron(widths, activation, seed=0, scale=1.0):
    rng = torch.Generator().manual_seed(seed)
    layers = []
    for a, b in itertools.pairwise(widths):
        layer = nn.Linear(a, b).double()
        for value in (layer.weight, layer.bias):
            value.data = scale * torch.randn(value.shape, generator=rng, dtype=torch.float64)
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1]).eval()


def points(n, d, seed=0):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def few():
    return load_mnist("test", "cpu").sample(50, 3)


# --- the sandwich -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", models.NETWORKS)
def test_no_attack_comes_nearer_than_a_certificate(name, few):
    net = zoo.load(name, device="cpu")
    found = attacks.minimal_adversarial(net, few.images, labels=few.labels)
    assert found.success.all()
    radii = spectral.certified_radii(net, few.images, few.labels, GLOBAL)
    right = models.predictions(net, few.images) == few.labels
    assert right.float().mean() > 0.7
    for method in GLOBAL:
        assert (radii[method][right] <= found.l2[right].double()).all(), method
        assert (radii[method][right] > 0).all()
        assert (radii[method][~right] == 0).all()
    for weaker, stronger in itertools.pairwise(GLOBAL):
        assert (radii[weaker] <= radii[stronger] * (1 + 1e-9)).all()
    part = slice(0, 12)
    # of one call: another number of images is summed in another order
    methods = "tight", "local", "box"
    balls = spectral.certified_radii(net, few.images[part], few.labels[part], methods)
    for method, known in (("local", balls["tight"]), ("box", balls["local"])):
        assert (balls[method] <= found.l2[part].double())[right[part]].all(), method
        assert (balls[method] >= known).all()
        assert (balls[method][~right[part]] == 0).all()


@pytest.mark.parametrize("name", ["FC10(1e-4)", "FC10(1)"])
def test_of_a_linear_network_all_three_are_the_same(name, few):
    net = zoo.load(name, device="cpu").double()
    x = few.images.double()
    exact = attacks.linear_distance(net, x).amin(1)
    for method in ("pairs", "tight", "local"):
        radii = spectral.certified_radius(net, x, method=method)
        assert torch.allclose(radii, exact, rtol=1e-9)
        assert (radii <= exact * (1 + 1e-14)).all()
    # the attack works in the box, so the images are moved far from its walls: pixels / 50, around ½
    shrunk = copy.deepcopy(net)
    weight, bias = net.fc1.weight, net.fc1.bias
    shrunk.fc1.weight.data = 50 * weight
    shrunk.fc1.bias.data = bias + weight.sum(1) * (0.5 - 50 * 0.5)
    near = 0.5 + (x - 0.5) / 50
    found = attacks.minimal_adversarial(shrunk, near)
    assert torch.allclose(50 * found.l2, exact, rtol=1e-6)
    in_box = attacks.exact_minimum(net, x).l2
    assert torch.allclose(spectral.certified_radius(net, x, method="box"), in_box, rtol=5e-3)
    assert (spectral.certified_radius(net, x, method="box") <= in_box * (1 + 1e-9)).all()


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("widths", [(2, 6, 3), (2, 5, 7, 3), (2, 4, 4, 4, 3), (3, 8, 2)])
def test_nothing_within_the_radius_changes_class(unit, widths):
    net = perceptron(widths, unit, seed=sum(widths), scale=1.5)
    x = points(40, widths[0])
    labels = net(x).argmax(1)
    radii = spectral.certified_radii(net, x)
    rng = torch.Generator().manual_seed(1)
    way = torch.randn(40, 4000, widths[0], generator=rng, dtype=torch.float64)
    way = way / way.norm(dim=2, keepdim=True)
    length = torch.rand(40, 4000, 1, generator=rng, dtype=torch.float64) ** 0.25
    for method in (*GLOBAL, "local"):
        r = radii[method].clamp_max(1e3)[:, None, None]
        assert (net(x[:, None] + r * length * way).argmax(2) == labels[:, None]).all(), method
    r = radii["box"].clamp_max(1e3)[:, None, None]
    moved = x[:, None] + r * length * way
    inside = ((moved >= 0) & (moved <= 1)).all(2)
    assert ((net(moved).argmax(2) == labels[:, None]) | ~inside).all()
    # and they are no trifles: a search finds a change not much farther out
    reach = torch.logspace(-4, 2, 400, dtype=torch.float64)
    changed = net(x[:, None, None] + reach[:, None, None] * way[:, None, :200]).argmax(3)
    changed = (changed != labels[:, None, None]).any(2)
    nearest = torch.where(changed, reach, torch.inf).amin(1)
    ratio = radii["local"] / nearest
    assert (ratio <= 1).all()
    if nearest.isfinite().any():
        assert ratio[nearest.isfinite()].median() > 0.2


@pytest.mark.parametrize("seed", range(6))
def test_nothing_within_the_radius_changes_class_behind_max_pooling(seed):
    torch.manual_seed(seed)
    unit = UNITS[seed % 3]
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        *((unit(), nn.MaxPool2d(2)) if seed % 2 else (nn.MaxPool2d(2), unit())),
        nn.Conv2d(3, 4, 2),
        unit(),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    net = net.double().eval()
    for part in net.parameters():
        part.data *= 2
    x = torch.rand(25, 1, 4, 4, dtype=torch.float64)
    assert pooled.Pooled(NetworkBounds(graph.trace(net, (1, 4, 4)))).able
    radii = spectral.certified_radii(net, x, methods=("tight", "local"))
    assert (radii["local"] >= radii["tight"]).all()
    if unit is nn.ReLU:
        assert (radii["local"] > 1.01 * radii["tight"]).any()
    labels = net(x).argmax(1)
    found = attacks.minimal_adversarial(net, x)
    assert (radii["local"] <= found.l2.nan_to_num(torch.inf)).all()
    way = torch.randn(25, 2000, 1, 4, 4, dtype=torch.float64)
    way = way / way.flatten(2).norm(dim=2)[..., None, None, None]
    r = radii["local"].clamp_max(1e3).reshape(25, 1, 1, 1, 1)
    moved = (x[:, None] + r * way).flatten(0, 1)
    assert (net(moved).argmax(1).reshape(25, 2000) == labels[:, None]).all()


def test_the_bound_behind_max_pooling_is_below_what_happens():
    # the bound of the margin itself, on balls far larger than the certified ones
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    net = net.double().eval()
    x = torch.rand(8, 1, 8, 8, dtype=torch.float64)
    ball = pooled.Pooled(NetworkBounds(graph.trace(net, (1, 8, 8))))
    c = net[-1].weight[0] - net[-1].weight[1]
    at = net(x) @ torch.tensor([1.0, -1.0, 0.0]).double()
    for size in (0.01, 0.1, 1.0, 10.0):
        r = torch.full((8,), size, dtype=torch.float64)
        way = torch.randn(8, 500, 1, 8, 8, dtype=torch.float64)
        way = way / way.flatten(2).norm(dim=2)[..., None, None, None]
        with torch.no_grad():
            moved = (x[:, None] + size * way).flatten(0, 1)
            least = (net(moved) @ torch.tensor([1.0, -1.0, 0.0]).double()).reshape(8, 500).amin(1)
            z = ball._values(x)
            for kink in (0.1, 1.0, 10.0):
                bound = ball._lowest(x.flatten(1), z, c.expand(8, -1), r, kink, False)
                assert (at + bound <= least).all()


# --- invariances --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["FC100-100-10", "FC100-100-10-ReLU"])
def test_what_does_not_change_the_answers_does_not_change_the_radius(name, few):
    net = zoo.load(name, device="cpu").double()
    x, y = few.images[:15].double(), few.labels[:15]
    before = spectral.certified_radii(net, x, y)
    louder, shifted, mixed = (copy.deepcopy(net) for _ in range(3))
    louder.fc3.weight.data *= 1000
    louder.fc3.bias.data *= 1000
    shifted.fc3.bias.data += 7.0
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    mixed.fc1.weight.data = net.fc1.weight[order]
    mixed.fc1.bias.data = net.fc1.bias[order]
    mixed.fc2.weight.data = net.fc2.weight[:, order]
    for other in (louder, shifted, mixed):
        after = spectral.certified_radii(other, x, y)
        for method, radii in before.items():
            assert torch.allclose(after[method], radii, rtol=1e-7), method
    margins = spectral.margins(net, x, y)
    assert torch.allclose(spectral.margins(louder, x, y), 1000 * margins)
    logits = net(x)
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    assert torch.allclose(margins, logits.gather(1, y[:, None])[:, 0] - others)


def test_the_forms_are_their_formulas():
    net = perceptron((6, 9, 4), nn.Sigmoid)
    x = points(20, 6)
    radii = spectral.certified_radii(net, x, methods=GLOBAL)
    w1, w2 = (net[i].weight.detach().numpy() for i in (0, 2))
    below = np.linalg.norm(w1, 2) / 4
    bound = np.linalg.norm(w2, 2) * below
    for k, logits in enumerate(net(x).detach().numpy()):
        y = logits.argmax()
        gaps = [(logits[y] - logits[j], w2[y] - w2[j]) for j in range(4) if j != y]
        margin = min(gap for gap, _ in gaps)
        liplt = [
            gap / (np.linalg.norm(w @ w1) / 8 + np.linalg.norm(w) * np.linalg.norm(w1, 2) / 8)
            for gap, w in gaps
        ]
        expected = {
            "half": margin / (2 * bound),
            "root": margin / (math.sqrt(2) * bound),
            "pairs": min(gap / (np.linalg.norm(w) * below) for gap, w in gaps),
            "tight": min(liplt),
        }
        for method, value in expected.items():
            assert float(radii[method][k]) == pytest.approx(value, rel=1e-8)
            assert float(radii[method][k]) <= value


def test_networks_that_are_no_chain_fall_back():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.b(x + torch.relu(self.a(x)))

    torch.manual_seed(0)
    net = Residual().double().eval()
    radii = spectral.certified_radii(net, points(10, 4))
    assert torch.equal(radii["local"], radii["tight"])
    assert torch.equal(radii["box"], radii["tight"])
    assert (radii["tight"] >= radii["pairs"]).all()


def test_misclassified_ties_and_the_unshakeable():
    net = perceptron((3, 4, 3), nn.ReLU)
    x = points(30, 3)
    answers = net(x).argmax(1)
    wrong = (answers + 1) % 3
    for radii in spectral.certified_radii(net, x, wrong).values():
        assert (radii == 0).all()
    tied = copy.deepcopy(net)
    tied[2].weight.data[1] = tied[2].weight.data[0]
    tied[2].bias.data[1] = tied[2].bias.data[0]
    for radii in spectral.certified_radii(tied, x, torch.zeros(30, dtype=torch.long)).values():
        assert (radii == 0).all()
    constant = copy.deepcopy(net)
    constant[2].weight.data.zero_()
    constant[2].bias.data = torch.tensor([0.0, 1.0, 0.0]).double()
    for radii in spectral.certified_radii(constant, x, torch.ones(30, dtype=torch.long)).values():
        assert radii.isinf().all()


def test_certified_accuracy():
    radii = torch.tensor([0.0, 0.5, 1.0, 2.0])
    assert spectral.certified_accuracy(radii, 0) == 0.75
    assert spectral.certified_accuracy(radii, 1.0) == 0.25
    table = spectral.certified_accuracy(radii, torch.tensor([0.1, 0.6, 3.0]))
    assert table.tolist() == [0.75, 0.5, 0.0]
    for bad, message in (
        ((torch.tensor([]), 1), "at least one"),
        ((torch.tensor([torch.nan]), 1), "NaN"),
        ((radii, -1), "from 0 on"),
        ((radii[None], 1), "N"),
    ):
        with pytest.raises(ValueError, match=message):
            spectral.certified_accuracy(*bad)


def test_bad_input():
    net = perceptron((4, 5, 3), nn.ReLU)
    x = points(6, 4)
    with pytest.raises(ValueError, match="no certificate called 'best'"):
        spectral.certified_radius(net, x, method="best")
    with pytest.raises(TypeError, match="float tensor"):
        spectral.certified_radius(net, x.numpy())
    with pytest.raises(ValueError, match="batch axis"):
        spectral.certified_radius(net, x[0])
    with pytest.raises(ValueError, match="finite"):
        spectral.certified_radius(net, x * torch.nan)
    with pytest.raises(ValueError, match="shape"):
        spectral.certified_radius(net, x, torch.zeros(5, dtype=torch.long))
    with pytest.raises(ValueError, match="0 to 2"):
        spectral.certified_radius(net, x, torch.full((6,), 3))
    with pytest.raises(TypeError, match="whole numbers"):
        spectral.certified_radius(net, x, torch.zeros(6))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        spectral.certified_radius(net, 2 * x, method="box")
    with pytest.raises(ValueError, match="train mode"):
        spectral.certified_radius(copy.deepcopy(net).train(), x)
    with pytest.raises(ValueError, match="at least two"):
        spectral.certified_radius(nn.Sequential(nn.Linear(4, 1)).eval(), x.float())
    with pytest.raises(ValueError, match="do"):
        spectral.certified_radius(net, points(6, 5))
    broken = copy.deepcopy(net)
    broken[0].weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        spectral.certified_radius(broken, x)
    assert spectral.certified_radius(net, x[:0]).shape == (0,)


# --- the pieces of the local one ----------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_one_sided_bounds_hold_on_their_range(unit):
    rng = torch.Generator().manual_seed(0)
    z = 4 * torch.randn(400, 1, generator=rng, dtype=torch.float64)
    z[0] = 0
    reach = 10 ** (4 * torch.rand(400, 1, generator=rng, dtype=torch.float64) - 3)
    u = reach * torch.linspace(-1, 1, 3001, dtype=torch.float64)
    module = unit()
    change = module(z + u) - module(z)
    for sign in (1.0, -1.0):
        signs = torch.full_like(z, sign)
        for kink in (0.1, 0.3, 1.0, 5.0):
            if unit is nn.ReLU:
                side = local.kinked_side(z, reach, signs, kink)
            else:
                side = local.smooth_side(module, z, reach, signs)
            bound = sign * side.slope * u - side.curvature * u.square() - side.offset
            assert (sign * change - bound >= -1e-12 * (1 + reach)).all()
            assert (side.curvature >= 0).all()
            assert (side.offset >= 0).all()
    low, high = (
        local.kinked_chords(z, reach) if unit is nn.ReLU else local.smooth_chords(module, z, reach)
    )
    chord = (change / u)[:, u[0] != 0]
    chord = torch.where(u[:, u[0] != 0].abs() > 1e-6, chord, low)
    assert (chord >= low - 1e-9).all()
    assert (chord <= high + 1e-9).all()
    if unit is not nn.ReLU:  # and they are not far off
        assert (high - chord.amax(1, keepdim=True) < 0.15).all()


def quadratic_minimum(gradient, matrix, r):
    """min γ·δ - δᵀPδ over the ball, by its optimality conditions, with SciPy's root finder."""
    values, vectors = np.linalg.eigh(matrix)
    parts = vectors.T @ gradient

    def length(lam):
        return np.linalg.norm(parts / (2 * (lam - values))) - r

    low = values[-1] + 1e-12
    lam = scipy.optimize.brentq(length, low, low + np.linalg.norm(parts) / r + 1)
    step = vectors @ (-parts / (2 * (lam - values)))
    return gradient @ step - step @ matrix @ step


def test_the_least_value_on_a_ball_is_bounded_from_below_and_nearly_reached():
    rng = np.random.default_rng(0)
    for n, pixels in ((3, 5), (12, 30)):
        weight = rng.normal(size=(n, pixels))
        basis, upper = torch.linalg.qr(torch.from_numpy(weight.T.copy()))
        for _ in range(20):
            form = np.diag(rng.exponential(size=n) * (rng.random(n) < 0.7))
            gradient = rng.normal(size=pixels) * 10 ** rng.uniform(-1, 1)
            r = 10 ** rng.uniform(-1, 1)
            exact = quadratic_minimum(gradient, weight.T @ form @ weight, r)
            for given in (form, np.diag(form)):
                found = local.ball_minimum(
                    torch.from_numpy(gradient)[None],
                    basis,
                    upper.T.contiguous(),
                    torch.from_numpy(given.copy())[None],
                    torch.tensor([r]).double(),
                )
                assert exact * (1 + 1e-2) <= float(found) <= exact * (1 - 1e-9) + 1e-12


def linear(d, g):
    return d @ g, g


def test_the_box_costs_no_more_than_it_says():
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        gradient = torch.randn(1, 30, generator=rng, dtype=torch.float64)
        x = torch.rand(1, 30, generator=rng, dtype=torch.float64).round(decimals=1)
        r = 3 * torch.rand(1, generator=rng, dtype=torch.float64)
        changed, cost = local.boxed(gradient, x, r)
        bound = float(-r * changed.norm() - cost)
        delta = torch.rand(5000, 30, generator=rng, dtype=torch.float64) - x
        delta = torch.cat([delta, (gradient < 0).double() - x])
        delta = delta * (r / delta.norm(dim=1, keepdim=True)).clamp_max(1)
        assert (delta @ gradient[0] >= bound).all()
        # convex: the least value of a linear function on ball and box
        g, radius = gradient[0].numpy(), float(r)
        found = scipy.optimize.minimize(
            linear,
            np.zeros(30),
            (g,),
            jac=True,
            method="SLSQP",
            bounds=[(-v, 1 - v) for v in x[0].tolist()],
            constraints=scipy.optimize.NonlinearConstraint(lambda d: d @ d, 0, radius**2),
            options={"maxiter": 500, "ftol": 1e-12},
        )
        assert bound <= found.fun + 1e-6  # which it may miss by its tolerance
        assert bound == pytest.approx(found.fun, rel=1e-4)


def test_the_allowance_for_rounding_covers_it():
    net = perceptron((40, 30, 30, 5), nn.Tanh, scale=3.0)
    x = points(50, 40)
    bounds = NetworkBounds(graph.trace(net, (40,)))
    with torch.no_grad():
        logits, error = certificates.logits_with_error(bounds, x)
    exact = x.numpy().astype(np.longdouble)
    for layer in net:
        if isinstance(layer, nn.Linear):
            weight = layer.weight.detach().numpy().astype(np.longdouble)
            exact = exact @ weight.T + layer.bias.detach().numpy().astype(np.longdouble)
        else:
            exact = np.tanh(exact)
    difference = np.abs(logits.numpy() - exact).astype(float)
    assert (difference <= error.numpy()).all()
    assert difference.max() > 0
    assert float(error.max()) < 1e-7
