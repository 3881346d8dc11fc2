"""Certificates whose sizes are searched: sound for any sizes, and farther than those by rule."""

import pytest
import torch
from torch import nn

from course_lib import attacks, spectral, zoo
from course_lib.data import load_mnist
from course_lib.spectral import graph, refined
from course_lib.spectral.bounds import NetworkBounds

KINDS = {
    "relu": [nn.ReLU, nn.ReLU],
    "sigmoid": [nn.Sigmoid, nn.Sigmoid],
    "mixed": [nn.ReLU, nn.Tanh],
    "three": [nn.Tanh, nn.ReLU, nn.ReLU],
    "one": [nn.ReLU],
    "one smooth": [nn.Sigmoid],
}


def network(kind: str, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers, width = [nn.Flatten()], 9
    for unit in KINDS[kind]:
        layers += [nn.Linear(width, 12), unit()]
        width = 12
    net = nn.Sequential(*layers, nn.Linear(width, 3)).double().eval()
    for layer in net:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 2
    return net.requires_grad_(False)


def on_the_ball(x, r, box, n=4000):
    """(n, items, pixels) points at distance ``r`` at most, many of them at the edge."""
    away = torch.randn(n, *x.shape, dtype=torch.float64)
    share = torch.rand(n, len(x), 1).double() ** 0.1
    points = x + away / away.norm(dim=2, keepdim=True) * r[:, None] * share
    return points.clamp(0, 1) if box else points


@pytest.mark.parametrize("box", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_any_sizes_bound_what_is_found(kind, box):
    """The bound holds whatever the ascent has made of the sizes."""
    net = network(kind, 0)
    balls = refined.Refined(NetworkBounds(graph.read(net, (9,)).steps))
    assert balls.able
    x = torch.rand(6, 9).double()
    x[:, :4] = x[:, :4].round()  # at the walls of the box
    r = torch.tensor([0.05, 0.2, 0.5, 1.0, 0.3, 0.7]).double()
    z = balls._values(x)
    c = balls.weights[-1][0] - balls.weights[-1][1]
    margin = net(x) @ torch.tensor([1.0, -1.0, 0.0]).double()
    lead = net(on_the_ball(x, r, box).flatten(0, 1)) @ torch.tensor([1.0, -1.0, 0.0]).double()
    truth = lead.reshape(-1, len(x)).amin(0) - margin
    ascent = refined.Ascent(balls, x, z, c.expand(len(x), -1), r, box)
    told = 0
    for size in (0.0, 0.3, 1.0, 3.0):
        for value in ascent.unknowns():
            value += size * torch.randn_like(value)
        for value in (*ascent.slope.values(), *ascent.lower.values()):
            value.clamp_(0, 1)
        found = ascent.value()
        fits = found.isfinite()
        assert bool((found <= truth + 1e-12)[fits].all())
        told += int(fits.sum())
    assert told >= len(x)
    with torch.enable_grad():
        best = refined.Ascent(balls, x, z, c.expand(len(x), -1), r, box).run(40, r * torch.inf)
    assert bool((best <= truth + 1e-12).all())
    assert bool(best.isfinite().all())


def test_what_a_rectified_units_offset_covers():
    z = torch.linspace(-2, 2, 41).double()
    reach, bent = torch.full_like(z, 1.3), torch.full_like(z, 0.4)
    u = torch.linspace(-1.3, 1.3, 5201).double()[:, None]
    for slope in (0.0, 0.3, 1.0):
        offset = refined.touching(z, reach, bent, torch.full_like(z, slope))
        over = (z + u).clamp_min(0) - z.clamp_min(0) - slope * u - bent * u * u
        assert torch.allclose(offset, over.amax(0).clamp_min(0), atol=1e-6)


@pytest.mark.parametrize("unit", [nn.Sigmoid(), nn.Tanh()])
def test_what_a_smooth_units_offset_covers(unit):
    z = torch.linspace(-4, 4, 33).double()
    reach = torch.linspace(0.1, 5, 33).double()
    u = torch.linspace(-1, 1, 20001).double()[:, None] * reach
    curve = refined.Covered(unit, z, reach)
    for slope in (-0.1, 0.1, 0.7):
        for bent in (1e-6, 0.05, 0.5):
            for convex in (False, True):
                sizes = (
                    torch.full_like(z, convex).bool(),
                    *(torch.full_like(z, value) for value in (slope, bent)),
                )
                offset = curve.offset(*sizes)
                sign = -1 if convex else 1
                over = sign * (unit(z + u) - unit(z) - slope * u) - bent * u * u
                assert bool((offset >= over.amax(0) - 1e-12).all())
                assert bool((offset <= over.amax(0).clamp_min(0) + 0.01).all())


@pytest.fixture(scope="module")
def some():
    net = zoo.load("FC100-100-10-ReLU", device="cpu")
    chosen = load_mnist("test").sample(8)
    images, labels = chosen.images, chosen.labels
    right = net(images).argmax(1) == labels
    return net, images[right][:4], labels[right][:4]


def test_it_certifies_farther_than_the_rules_and_no_farther_than_a_mistake(some):
    net, images, labels = some
    methods = ("local", "box", "sdp-local", "sdp-box")
    radii = spectral.certified_radii(net, images, labels, methods)
    nearest = attacks.minimal_adversarial(net, images, labels=labels).l2.double()
    for plain in ("local", "box"):
        gain = radii[f"sdp-{plain}"] / radii[plain]
        assert bool((gain >= 1).all())
        assert float(gain.median()) > 1.1
    assert bool((radii["sdp-box"] >= radii["sdp-local"]).all())
    assert bool((radii["sdp-box"] <= nearest * (1 + 1e-6)).all())
    alone = spectral.certified_radius(net, images[:1], labels[:1], "sdp-box")
    assert float(alone) == pytest.approx(float(radii["sdp-box"][0]), rel=0.05)


def test_what_cannot_be_searched_is_what_the_rules_give(monkeypatch):
    net = network("relu", 1)
    x = torch.rand(5, 9)
    plain = spectral.certified_radii(net, x, methods=("local", "box"))
    monkeypatch.setattr(refined, "WORK", 1.0)  # too wide
    for method in ("local", "box"):
        found = spectral.certified_radius(net, x, method=f"sdp-{method}")
        assert torch.allclose(found, plain[method], rtol=5e-3)
    convolved = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 16, 3))
    convolved.eval()
    x = torch.rand(3, 1, 6, 6)
    both = spectral.certified_radii(convolved, x, methods=("box", "sdp-box"))
    assert bool((both["sdp-box"] >= both["box"]).all())


def test_pixels_outside_of_the_box_are_told(some):
    net, images, labels = some
    with pytest.raises(ValueError, match=r"'sdp-box' is for pixels .* Use 'sdp-local'"):
        spectral.certified_radius(net, images * 2, labels, "sdp-box")
