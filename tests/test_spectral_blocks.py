"""Blocks of convolutions, frequency by frequency: held against slopes of explicit matrices, and
against what their layers' norms give; what is no proof is none."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib import spectral
from course_lib.spectral import blocks, graph, multipliers, responses
from course_lib.spectral.bounds import NetworkBounds
from course_lib.spectral.responses import Block, Unfit
from course_lib.spectral.steps import linear_part


class Residual(nn.Module):
    """relu(shortcut + conv relu bn conv): ``sizes`` are the channels in and out."""

    def __init__(self, inputs, outputs, stride=1, groups=1, activation=F.relu):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups)
        self.norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.norm.weight.data.uniform_(0.2, 2)
        self.norm.running_var.uniform_(0.5, 2)
        alone = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if alone else nn.Conv2d(inputs, outputs, 1, stride)
        self.activation = activation

    def forward(self, x):
        inner = self.second(self.activation(self.norm(self.first(x))))
        return self.activation(self.shortcut(x) + inner)


class Fire(nn.Module):
    """squeezenet's: two convolutions side by side, concatenated."""

    def __init__(self):
        super().__init__()
        self.squeeze, self.one = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 3, 1)
        self.three = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.one(x).relu(), self.three(x).relu()], 1)


class Inverted(nn.Module):
    """mobilenet's, whose last convolution is not rectified."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride
        self.wide, self.depth = nn.Conv2d(2, 6, 1), nn.Conv2d(6, 6, 3, stride, 1, groups=6)
        self.narrow = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        inner = self.narrow(F.relu6(self.depth(F.relu6(self.wide(x)))))
        return x - inner if self.stride == 1 else inner


def leaky(x):
    return F.leaky_relu(x, 0.3)


NETWORKS = {
    "residual": (lambda: Residual(3, 3), (3, 4, 5)),
    "with a stride": (lambda: Residual(2, 3, stride=2), (2, 6, 5)),
    "with groups": (lambda: Residual(2, 4, groups=2), (2, 4, 4)),
    "leaky": (lambda: Residual(2, 2, activation=leaky), (2, 4, 4)),
    "two blocks": (lambda: nn.Sequential(Residual(2, 2), Residual(2, 3, 2)), (2, 5, 4)),
    "fire": (lambda: nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), Fire()), (2, 4, 4)),
    "inverted": (lambda: Inverted(1), (2, 4, 4)),
    "inverted with a stride": (lambda: Inverted(2), (2, 5, 5)),
    "chain": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Conv2d(3, 4, 3, 2, 1), nn.Sigmoid(),
            nn.Conv2d(4, 2, (2, 1), padding=(1, 0), dilation=(1, 2)),
        ),
        (1, 7, 6),
    ),
    "padded by itself": (
        lambda: nn.Sequential(
            nn.ZeroPad2d((0, 1, 2, 1)), nn.Conv2d(2, 3, 3, 2), nn.ReLU(),
            nn.ZeroPad2d((1, 0)), nn.Conv2d(3, 2, 3),
        ),
        (2, 11, 10),
    ),
    "one axis": (
        lambda: nn.Sequential(nn.Conv1d(2, 4, 5, padding=2), nn.ReLU(), nn.Conv1d(4, 3, 3, 3)),
        (2, 9),
    ),
    "Linear": (
        lambda: nn.Sequential(
            nn.Linear(4, 6), nn.ELU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)
        ),
        (4,),
    ),
}  # fmt: skip


def made(name, seed=0):
    build, shape = NETWORKS[name]
    torch.manual_seed(seed)
    net = build().double().eval().requires_grad_(False)
    return net, shape


def bounds_of(net, shape):
    return NetworkBounds(graph.read(net, shape).steps)


def matrix(steps, slopes):
    """The product of all layers as a matrix, each activation a product with given slopes."""
    n = steps[0].size
    values = [torch.eye(n, dtype=torch.float64).reshape(n, *steps[0].shape)]
    for i, step in enumerate(steps[1:], 1):
        inputs = [values[j] for j in step.inputs]
        if step.kind == "slope":
            values.append(slopes[i] * inputs[0])
        else:
            twin = linear_part(step.module) if step.kind == "affine" else None
            values.append(step.apply(inputs, twin))
    return values[-1].flatten(1).numpy()


def steepest(steps, seed, draws=60, changes=120):
    """The largest norm of a product of the layers with slopes at the ends of their ranges: drawn,
    and then changed one by one."""
    rng = np.random.default_rng(seed)
    ends = {i: step.slopes for i, step in enumerate(steps) if step.kind == "slope"}

    def norm(slopes):
        given = {i: torch.from_numpy(s).reshape(steps[i].shape) for i, s in slopes.items()}
        return np.linalg.norm(matrix(steps, given), 2)

    best, kept = 0.0, {}
    for k in range(draws):
        share = (0.5, 0.8, 1.0)[k % 3]  # of the steepest
        slopes = {
            i: np.where(rng.random(steps[i].size) < share, high, low)
            for i, (low, high) in ends.items()
        }
        value = norm(slopes)
        if value > best:
            best, kept = value, slopes
    for _ in range(changes if kept else 0):
        i = rng.choice(list(kept))
        at = rng.integers(len(kept[i]))
        old = kept[i][at]
        kept[i][at] = ends[i].low + ends[i].high - old
        value = norm(kept)
        if value > best:
            best = value
        else:
            kept[i][at] = old
    return best


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_no_slopes_exceed_the_bound_which_is_never_above_the_product(name, seed):
    net, shape = made(name, seed)
    bounds = bounds_of(net, shape)
    value, better = blocks.of_network(bounds)
    assert better >= 1
    below = steepest(bounds.steps, seed)
    assert below * (1 - 1e-12) <= math.exp(value)
    assert value < bounds.product[-1] + 1e-9
    found = spectral.lipschitz(net, shape, starts=2, steps=10)
    assert found.log_lower <= found.log_sdp <= found.log_tight
    if "multipliers in closed form" not in found.how_sdp:  # one for each unit of a small chain
        assert found.log_sdp <= value


def test_padding_of_its_own_is_the_padding_of_the_layer():
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 3, 3, 2, 1), nn.Conv2d(3, 2, 3, 1, 1)
    apart = (nn.Conv2d(2, 3, 3, 2), nn.Conv2d(3, 2, 3))
    for layer, other in zip((first, second), apart, strict=True):
        other.weight, other.bias = layer.weight, layer.bias
    pad = nn.ZeroPad2d(1)
    nets = (
        nn.Sequential(first, nn.ReLU(), second),
        nn.Sequential(pad, apart[0], nn.ReLU(), nn.ZeroPad2d(1), apart[1]),
    )
    values = []
    for net in nets:
        bounds = bounds_of(net.double().eval().requires_grad_(False), (2, 6, 6))
        values.append(blocks.of_network(bounds)[0])
    assert values[1] == pytest.approx(values[0], abs=0.05)  # on a larger grid


def test_a_deep_block_is_nearer_than_its_layers_norms():
    net, shape = made("two blocks")
    bounds = bounds_of(net, shape)
    (_, _, block), *_ = [part for part in blocks.planned(bounds) if part[2] is not None]
    assert len(block.slopes) == 3
    value, _ = blocks.of_network(bounds)
    assert math.exp(value) < 0.8 * math.exp(bounds.product[-1])


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_responses_are_the_symbols(stride, groups, monkeypatch):
    """Without the twist: the singular values of the circular layer on the block's grid."""
    monkeypatch.setattr(responses, "TWIST", 0)
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3, stride, 1, groups=groups, bias=False)
    net = nn.Sequential(layer, nn.ReLU()).double().eval().requires_grad_(False)
    block = Block(graph.read(net, (4, 7, 5)).steps, 0, 2)
    every = responses.fourier.frequencies(block.grid, block.twist, half=False)
    found = torch.linalg.svdvals(block.values(every)[0][0].parts[0]).flatten()
    circular = nn.Conv2d(
        4, 6, 3, stride, 1, groups=groups, bias=False, padding_mode="circular"
    ).double()
    circular.weight = layer.weight
    cells = [m * stride for m in block.grid]
    expected = spectral.singular_values(circular, (4, *cells))
    found = found.sort(descending=True).values.numpy()[: len(expected)]
    assert np.allclose(found, expected, atol=1e-12)


def test_a_fine_value_and_its_coarse_one_are_joined_by_their_aliases(monkeypatch):
    """conv of stride 1, then of stride 2: the symbols of both together, by explicit matrices."""
    monkeypatch.setattr(responses, "TWIST", 0)
    torch.manual_seed(1)
    first, second = nn.Conv2d(2, 3, 3, 1, 1, bias=False), nn.Conv2d(3, 2, 3, 2, 1, bias=False)
    net = nn.Sequential(first, nn.BatchNorm2d(3), nn.ReLU(), second)
    net = net.double().eval().requires_grad_(False)
    block = Block(graph.read(net, (2, 6, 8)).steps, 0, 4)
    n = [2 * m for m in block.grid]
    every = responses.fourier.frequencies(block.grid, block.twist, half=False)
    (entering,), ending = block.values(every)
    product = ending.parts[1] @ entering.parts[0]
    one, two = (
        nn.Conv2d(a, b, 3, s, 1, bias=False, padding_mode="circular").double()
        for a, b, s in ((2, 3, 1), (3, 2, 2))
    )
    one.weight, two.weight = first.weight, second.weight
    dense = spectral.explicit_matrix(two, (3, *n)) @ spectral.explicit_matrix(one, (2, *n))
    scale = 1 / math.sqrt(1 + net[1].eps)
    expected = torch.linalg.svdvals(scale * dense)
    found = torch.linalg.svdvals(product).flatten().sort(descending=True).values
    assert torch.allclose(found[: len(expected)], expected, atol=1e-12)


# --- proofs --------------------------------------------------------------------------------------


def test_multipliers_that_are_no_proof_prove_nothing():
    net, shape = made("residual")
    steps = graph.read(net, shape).steps
    block = Block(steps, 0, len(steps) - 2)
    for size in (0.0, 1e-9):
        with pytest.raises(multipliers.Unproven):
            multipliers.proven(block, [torch.full((3,), size).double()], 1.0)


def test_any_multipliers_that_prove_something_prove_what_is_true():
    net, shape = made("residual")
    steps = graph.read(net, shape).steps
    block = Block(steps, 0, len(steps) - 2)
    below = steepest(steps[:-1], 0)
    rng, proofs = torch.Generator().manual_seed(0), 0
    for size in (0.1, 0.3, 1.0, 3.0, 10.0):
        t = size * (0.5 + torch.rand(3, generator=rng).double())
        try:
            rho = multipliers.proven(block, [t], 1e-3)
        except multipliers.Unproven:
            continue
        proofs += 1
        assert below <= math.sqrt(rho)
    assert proofs > 2


def test_what_has_a_negative_eigenvalue_is_refused_however_small():
    none = torch.zeros(2, 2).double()
    forms = torch.tensor([[[1.0, 1.0], [1.0, 1.0 - 2**-40]], [[1.0, 1.0], [1.0, 1.0 + 2**-20]]])
    assert multipliers.positive(forms.double(), none).tolist() == [False, True]
    imaginary = torch.tensor([[[1.0, 1j], [-1j, 1.0 + 2**-20]]], dtype=torch.complex128)
    assert multipliers.positive(imaginary, none).tolist() == [True]
    assert not multipliers.positive(imaginary, none + 1e-3).any()
    assert not multipliers.positive(forms.double() * 0, none).any()


def test_the_allowance_is_above_what_rounding_does():
    """The form in float64 beside the same with weights that are sums of two floats' halves: their
    difference is rounding alone."""
    net, shape = made("leaky", 3)
    steps = graph.read(net, shape).steps
    block = Block(steps, 0, len(steps) - 2)
    t = [torch.rand(2, generator=torch.Generator().manual_seed(0)).double()]
    form = multipliers.Form(block, block.numerators).whole(t)
    shuffled = form.clone()
    for k, numerator in enumerate(block.numerators):  # one by one: other sums
        shuffled[k] = multipliers.Form(block, numerator[None]).whole(t)[0]
    allowed = multipliers.error(block, t)
    assert bool(((form - shuffled).abs() <= allowed).all())
    assert 0 < float(allowed.max()) < 1e-10


# --- what is no block ----------------------------------------------------------------------------


class Twice(nn.Module):
    """Two convolutions without an activation between: the second would read what the first one
    leaves beyond its true cells."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        return self.b(self.a(x)).relu() + x


@pytest.mark.parametrize(
    ("net", "shape", "why"),
    [
        (Twice(), (2, 4, 4), "true cells"),
        (nn.Sequential(nn.Conv2d(2, 2, 3), nn.MaxPool2d(2)), (2, 6, 6), "no convolution"),
        (
            nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), nn.ReLU()),
            (2, 6, 6),
            "not with zeros",
        ),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()), (1, 4, 4), "no convolution"),
    ],
)
def test_what_is_no_block_has_a_reason(net, shape, why):
    net = net.eval().requires_grad_(False)
    steps = graph.read(net, shape).steps
    with pytest.raises(Unfit, match=why):
        Block(steps, 0, len(steps) - 1)
    bounds = bounds_of(net, shape)
    assert blocks.of_network(bounds)[0] <= bounds.product[-1] + 1e-9


def test_a_network_is_cut_where_every_way_passes():
    net, shape = made("two blocks")
    bounds = bounds_of(net, shape)
    names = [bounds.steps[i].name for i in blocks.cuts(bounds)]
    assert [n for n in names if "conv" in n or "first" in n] == []
    assert len(names) == 5  # the image, and of each block its sum and its activation
    product = sum(
        blocks.joined(bounds, a, b)
        for a, b in zip(blocks.cuts(bounds), blocks.cuts(bounds)[1:], strict=False)
    )
    assert product == pytest.approx(bounds.product[-1], abs=1e-9)


def test_a_network_whose_blocks_are_too_large_has_the_product(monkeypatch):
    monkeypatch.setattr(blocks, "WORK", 0.0)
    net, shape = made("residual")
    bounds = bounds_of(net, shape)
    value, better = blocks.of_network(bounds)
    assert better == 0
    assert value == pytest.approx(bounds.product[-1], abs=1e-9)


@pytest.mark.slow
@pytest.mark.thorough
def test_a_resnet_gains_a_factor_of_ten():
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    net = torchvision.models.resnet18(weights=None, num_classes=10).eval()
    found = spectral.lipschitz(net, (3, 64, 64), starts=1, steps=10)
    assert found.lower <= found.sdp < 0.1 * found.product
    assert "blocks" in found.how_sdp
