"""Bounds of whole networks: against explicit matrices, closed forms and slopes that are found."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib import models, spectral
from course_lib.spectral import graph
from course_lib.spectral.bounds import NetworkBounds, upper_norm
from course_lib.spectral.layers import NormRow, norm_row
from course_lib.spectral.steps import run

ACTIVATIONS = {nn.ReLU: (0, 1), nn.Sigmoid: (0, 0.25), nn.Tanh: (0, 1), nn.LeakyReLU: (0.01, 1)}


def perceptron(widths, activation, seed=0, scale=1.0):
    """Linear layers of the given widths with an activation in between, weights N(0, scale²)."""
    rng = torch.Generator().manual_seed(seed)
    layers = []
    for a, b in itertools.pairwise(widths):
        layer = nn.Linear(a, b).double()
        for value in (layer.weight, layer.bias):
            value.data = scale * torch.randn(value.shape, generator=rng, dtype=torch.float64)
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1]).eval()


def matrices(net):
    return [part.weight.detach().numpy() for part in net if isinstance(part, nn.Linear)]


def norm(matrix):
    return np.linalg.svd(np.asarray(matrix), compute_uv=False)[0]


def slopes(net, shape, n=200, seed=1):
    """The largest slope between random pairs of points, near and far."""
    rng = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(n, *shape, generator=rng, dtype=torch.float64)
    step = torch.randn(n, *shape, generator=rng, dtype=torch.float64)
    step = step * 10 ** (torch.arange(n) % 5 - 3.0).reshape(-1, *[1] * len(shape))
    with torch.no_grad():
        change = (net(x + step) - net(x)).flatten(1).norm(dim=1)
    return float((change / step.flatten(1).norm(dim=1)).max())


class Wrapped(nn.Module):
    """A forward of one's own around some layers: net.forward(x) is function(layers, x)."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.double().eval()

    def forward(self, x):
        return self.function(self, x)


# --- the three bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", [(7, 5), (6, 9, 4), (12, 8, 10, 3), (5, 6, 6, 6, 2)])
def test_the_sandwich_holds_on_random_networks(activation, widths):
    for seed in range(3):
        net = perceptron(widths, activation, seed, scale=0.7)
        found = spectral.lipschitz(net, widths[:1], starts=8, steps=40)
        assert found.log_lower <= found.log_tight <= found.log_product
        assert slopes(net, widths[:1]) <= found.tight
        assert found.lower > 0.2 * found.tight / len(widths)


def test_the_product_is_that_of_the_matrices_and_slopes():
    net = perceptron((12, 8, 10, 3), nn.Sigmoid)
    expected = sum(math.log(norm(w)) for w in matrices(net)) + 2 * math.log(0.25)
    assert spectral.lipschitz(net, (12,)).log_product == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_liplt_is_the_formula(activation):
    net = perceptron((12, 8, 10, 3), activation, seed=3)
    w1, w2, w3 = matrices(net)
    low, high = ACTIVATIONS[activation]
    middle, half = (low + high) / 2, (high - low) / 2
    first = norm(w1)
    second = middle * norm(w2 @ w1) + half * norm(w2) * first
    third = (
        middle**2 * norm(w3 @ w2 @ w1)
        + half * middle * norm(w3 @ w2) * first
        + half * norm(w3) * second
    )
    found = spectral.lipschitz(net, (12,))
    assert found.tight == pytest.approx(third, rel=1e-8)
    assert found.tight >= third  # rounded up
    assert "3 composed matrices" in found.how


def test_a_network_without_activations_has_all_three_alike():
    net = nn.Sequential(nn.Linear(9, 20), nn.Dropout(), nn.Linear(20, 4)).double().eval()
    product = (net[2].weight @ net[0].weight).detach().numpy()
    found = spectral.lipschitz(net, (9,))
    assert found.tight == pytest.approx(norm(product), rel=1e-8)
    assert found.lower == pytest.approx(norm(product), rel=1e-6)
    assert found.product > found.tight * 1.01


def test_the_lower_bound_of_a_sigmoid_network_nears_the_truth():
    # one input, one unit: the slope of a·σ(b·x + c) is largest where b·x + c = 0: a·b/4
    net = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid(), nn.Linear(1, 1)).double().eval()
    for layer, weight, bias in ((net[0], 3.0, -1.0), (net[2], -2.0, 5.0)):
        nn.init.constant_(layer.weight, weight)
        nn.init.constant_(layer.bias, bias)
    found = spectral.lipschitz(net, (1,))
    assert found.lower == pytest.approx(1.5, rel=1e-3)
    assert found.lower <= 1.5 <= found.tight == pytest.approx(1.5, rel=1e-9)


def test_zoo_like_networks_and_their_tables():
    net = models.build("CONV").eval()
    found = spectral.lipschitz(net, (1, 28, 28), starts=2, steps=4)
    names = [layer.name for layer in found.layers]
    assert names == ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "fc1"]
    assert found.layers[0].size == "1 x 3 x 3 x 16"
    assert all(layer.lower <= layer.upper for layer in found.layers)
    total = sum(math.log(layer.upper) for layer in found.layers)
    assert found.log_product == pytest.approx(total, abs=1e-9)
    assert "conv2" in found.table()
    assert "<td>conv2</td>" in found._repr_html_()
    assert "product" in repr(found)


def test_overlapping_max_pooling_counts():
    net = nn.Sequential(nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(9, 2)).double().eval()
    found = spectral.lipschitz(net, (1, 7, 7), starts=2, steps=4)
    assert found.product == pytest.approx(2 * norm(net[2].weight.detach()), rel=1e-9)


def test_a_deep_network_does_not_overflow():
    # each pair of layers is the identity, and the product of their norms is 100
    net = nn.Sequential(*[nn.Linear(2, 2, bias=False) for _ in range(400)]).double().eval()
    for k, layer in enumerate(net):
        sizes = [10.0, 0.1] if k % 2 else [0.1, 10.0]
        layer.weight.data = torch.tensor(sizes, dtype=torch.float64).diag()
    found = spectral.lipschitz(net, (2,), starts=1, steps=4)
    assert found.log_product == pytest.approx(400 * math.log(10), rel=1e-9)
    assert found.product == math.inf
    assert found.lower == pytest.approx(1, rel=1e-6)
    assert "e+400" in repr(found)
    assert found.over(1.0)["product"] == math.inf


def test_all_zero_weights_give_zero():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    nn.init.zeros_(net[2].weight)
    found = spectral.lipschitz(net, (3,))
    assert (found.product, found.tight, found.lower) == (0, 0, 0)


def test_over_a_margin_the_scale_of_the_logits_drops_out():
    net = perceptron((6, 5, 3), nn.ReLU)
    doubled = copy.deepcopy(net)
    doubled[-1].weight.data *= 2
    before, after = (spectral.lipschitz(n, (6,)) for n in (net, doubled))
    assert after.tight == pytest.approx(2 * before.tight, rel=1e-9)
    for name, value in before.over(0.5).items():
        assert after.over(1.0)[name] == pytest.approx(value, rel=1e-6)
    with pytest.raises(ValueError, match="above 0"):
        before.over(0)


# --- graphs -------------------------------------------------------------------------------------


def test_functional_relu_and_a_residual_block():
    torch.manual_seed(0)
    net = Wrapped(
        lambda n, x: n.c(x + n.b(F.relu(n.a(x)))),
        a=nn.Linear(6, 9),
        b=nn.Linear(9, 6),
        c=nn.Linear(6, 4),
    )
    a, b, c = (layer.weight.detach().numpy() for layer in (net.a, net.b, net.c))
    found = spectral.lipschitz(net, (6,))
    assert found.product == pytest.approx(norm(c) * (1 + norm(b) * norm(a)), rel=1e-9)
    liplt = norm(c @ (np.eye(6) + b @ a / 2)) + norm(c @ b) * norm(a) / 2
    assert found.tight == pytest.approx(liplt, rel=1e-8)
    assert found.lower <= found.tight < found.product
    assert slopes(net, (6,)) <= found.tight
    assert [layer.kind for layer in found.layers] == ["Linear", "ReLU", "Linear", "Sum", "Linear"]


def test_branches_concatenated_subtracted_and_used_twice():
    torch.manual_seed(1)
    a, b = nn.Linear(5, 3), nn.Linear(5, 4)
    joined = Wrapped(lambda n, x: torch.cat([n.a(x), n.b(x)], 1), a=a, b=b)
    na, nb = norm(a.weight.detach()), norm(b.weight.detach())
    found = spectral.lipschitz(joined, (5,))
    assert found.product == pytest.approx(math.hypot(na, nb), rel=1e-9)
    stacked = torch.cat([a.weight, b.weight]).detach()
    assert found.tight == pytest.approx(norm(stacked), rel=1e-8)
    twice = spectral.lipschitz(Wrapped(lambda n, x: x + x), (5,))
    assert twice.product == pytest.approx(2, rel=1e-9)
    nothing = spectral.lipschitz(Wrapped(lambda n, x: n.a(x) - n.a(x), a=a), (5,))
    assert nothing.product == pytest.approx(2 * na, rel=1e-9)
    assert nothing.tight < 1e-9  # it cancels, and the composed matrix sees it
    square = nn.Linear(4, 4)
    again = spectral.lipschitz(Wrapped(lambda n, x: n.a(F.relu(n.a(x))), a=square), (4,))
    assert again.product == pytest.approx(norm(square.weight.detach()) ** 2, rel=1e-9)
    assert [layer.name for layer in again.layers] == ["a", "relu", "a"]


def everything(n, x):
    x = (x - n.mean) / 0.5
    h = torch.tanh(n.bn(n.c(x)))
    h = -h + F.leaky_relu(n.d(h), 0.2)
    h = torch.cat([F.avg_pool2d(h, 2), F.max_pool2d(h, 2)], dim=1)
    h = F.dropout(h.permute(0, 2, 3, 1).transpose(1, 2), 0.5, n.training)
    pooled = h.mean((1, 2))
    h = torch.sigmoid(h).reshape(h.size(0), -1)
    return F.linear(n.f(h), n.w, n.v) * 3 + 1 + n.g(pooled)


def test_a_network_of_everything():
    torch.manual_seed(2)
    net = Wrapped(
        everything,
        c=nn.Conv2d(2, 4, 3, padding=1),
        bn=nn.BatchNorm2d(4),
        d=nn.Conv2d(4, 4, 3, padding=1, groups=2),
        f=nn.Linear(8 * 9, 5),
        g=nn.Linear(8, 6),
        mean=nn.Parameter(torch.rand(2, 1, 1)),
        w=nn.Parameter(torch.randn(6, 5)),
        v=nn.Parameter(torch.randn(6)),
    )
    net.bn.running_mean.normal_()
    net.bn.running_var.uniform_(0.5, 2)
    found = spectral.lipschitz(net, (2, 6, 6))
    assert found.log_lower <= found.log_tight <= found.log_product
    assert slopes(net, (2, 6, 6)) <= found.tight


def test_the_linear_pieces_are_exact():
    # no activation: the bound must be the norm of the Jacobian, whatever the pieces
    torch.manual_seed(3)
    net = Wrapped(
        lambda n, x: n.f(n.bn(n.c(x / 2)).flatten(1)) * 0.3 - n.g(x.mean((2, 3))),
        c=nn.Conv2d(2, 3, 3, stride=2),
        bn=nn.BatchNorm2d(3),
        f=nn.Linear(12, 7),
        g=nn.Linear(2, 7),
    )
    x = torch.zeros(1, 2, 6, 6, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(net, x).reshape(7, -1)
    found = spectral.lipschitz(net, (2, 6, 6))
    assert found.tight == pytest.approx(norm(jacobian), rel=1e-8)
    assert found.lower == pytest.approx(norm(jacobian), rel=1e-6)


def test_a_module_states_its_own_constant():
    class Pairs(nn.Module):
        lipschitz_constant = 1.0

        def forward(self, x):
            if x.shape[1] % 2:  # control flow that fx could not trace
                raise ValueError
            a, b = x.chunk(2, 1)
            return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], 1)

    net = nn.Sequential(nn.Linear(5, 6), Pairs(), nn.Linear(6, 3)).double().eval()
    found = spectral.lipschitz(net, (5,))
    expected = norm(net[0].weight.detach()) * norm(net[2].weight.detach())
    assert found.product == pytest.approx(expected, rel=1e-9)
    Pairs.lipschitz_constant = -1.0
    with pytest.raises(ValueError, match="from 0 on"):
        spectral.lipschitz(net, (5,))


def test_parametrised_weights_and_single_precision():
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(6, 6))
    net = nn.Sequential(layer, nn.ReLU(), nn.Linear(6, 2)).eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    found = spectral.lipschitz(net, (6,))
    assert found.layers[0].upper == pytest.approx(1, abs=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert next(net.parameters()).requires_grad


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda n, x: torch.softmax(n.a(x), 1), "softmax"),
        (lambda n, x: x * n.a(x), "mul"),
        (lambda n, x: n.a(x)[:, :2], "getitem"),
        (lambda n, x: torch.sin(n.a(x)), "sin"),
        (lambda n, x: F.layer_norm(n.a(x), (4,)), "layer_norm"),
        (lambda n, x: 1 / n.a(x), "truediv"),
        (lambda n, x: x - x.mean(), "mean"),
        (lambda n, x: n.a(x) * x.size(0), "mul"),
        (lambda n, x: F.gelu(n.a(x), approximate="tanh"), "gelu"),
    ],
)
def test_a_node_that_cannot_be_bounded_is_named(function, name):
    with pytest.raises(ValueError, match=f"node '{name}"):
        spectral.lipschitz(Wrapped(function, a=nn.Linear(4, 4)), (4,))


def test_an_unknown_module_is_named():
    net = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).eval()
    with pytest.raises(ValueError, match="LayerNorm"):
        spectral.lipschitz(net, (4,))


def test_work_in_place_that_changes_the_answer_is_noticed():
    def forward(n, x):
        h = n.a(x)
        rectified = torch.relu_(h)
        return rectified + h  # h is rectified by now

    with pytest.raises(ValueError, match="in place"):
        spectral.lipschitz(Wrapped(forward, a=nn.Linear(4, 4)), (4,))
    fine = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)).eval()
    plain = nn.Sequential(fine[0], nn.ReLU(), fine[2]).eval()
    assert spectral.lipschitz(fine, (4,)).tight == spectral.lipschitz(plain, (4,)).tight


def test_bad_networks_and_inputs():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
    with pytest.raises(ValueError, match="train mode"):
        spectral.lipschitz(net, (4,))
    net.eval()
    for shape in ((5,), (1, 28, 28)):
        with pytest.raises(ValueError, match="shape"):
            spectral.lipschitz(net, shape)
    for shape in ((), (0,), 4.0, (2.5,)):
        with pytest.raises(ValueError, match="whole numbers"):
            spectral.lipschitz(net, shape)
    with pytest.raises(TypeError, match="torch module"):
        spectral.lipschitz(torch.relu, (4,))
    net[0].weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"0\.weight.*not finite"):
        spectral.lipschitz(net, (4,))
    branching = Wrapped(lambda n, x: x if x.sum() > 0 else -x)
    with pytest.raises(ValueError, match="cannot be traced"):
        spectral.lipschitz(branching, (4,))
    two = Wrapped(lambda n, x: (x, x))
    with pytest.raises(ValueError, match="one tensor"):
        spectral.lipschitz(two, (4,))


# --- pieces -------------------------------------------------------------------------------------


def test_steps_compute_what_the_network_computes():
    net = models.build("CONV").eval()
    images = torch.rand(3, 1, 28, 28)
    steps = graph.trace(net, (1, 28, 28))
    with torch.no_grad():
        assert torch.allclose(run(steps, images.double())[-1].float(), net(images), atol=1e-5)


def test_rows_and_columns_are_the_same_matrix():
    net = perceptron((7, 5, 6, 4), nn.Sigmoid)
    bounds = NetworkBounds(graph.trace(net, (7,)))
    w1, w2, w3 = (torch.from_numpy(w) for w in matrices(net))
    expected = w3 @ w2 @ w1 / 64
    assert torch.allclose(bounds.rows(0, 5), expected)
    assert torch.allclose(bounds.columns(0, 5).T, expected)
    assert bounds.between(0, 5) == [0, 1, 2, 3, 4, 5]


def test_upper_norm_is_never_below_the_svd():
    rng = np.random.default_rng(0)
    for shape in ((3, 3), (40, 7), (7, 40), (100, 100)):
        for scale in (1e-6, 1, 1e6):
            matrix = scale * rng.normal(size=shape)
            found = upper_norm(torch.from_numpy(matrix))
            assert norm(matrix) <= found <= norm(matrix) * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.thorough) for name in ("resnet18", "squeezenet1_1")),
        "densenet121",  # by far the deepest
        "mobilenet_v2",
    ],
)
def test_networks_for_photographs_are_bounded_without_overflow(name, monkeypatch):
    # with the sum of the taps' Frobenius norms, a rough bound, in place of each convolution's own
    def rough(layer, shape):
        if isinstance(layer, nn.Conv2d):
            value = float(layer.weight.double().square().sum((0, 1)).sqrt().sum())
            return NormRow("Conv2d", "", None, value, 0.0, value, "taps", 0.0)
        return norm_row(layer, shape)

    monkeypatch.setattr("course_lib.spectral.rows.norm_row", rough)
    monkeypatch.setattr("course_lib.spectral.blocks.WORK", 0.0)  # blocks have tests of their own
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    net = getattr(torchvision.models, name)(weights=None, num_classes=10).eval()
    found = spectral.lipschitz(net, (3, 64, 64), starts=1, steps=4)
    assert all(math.isfinite(v) for v in (found.log_lower, found.log_tight, found.log_product))
    assert found.log_lower <= found.log_tight <= found.log_product
    assert name == "squeezenet1_1" or found.product > 1e20
