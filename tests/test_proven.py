"""The proven minimum: beside every linear region solved on its own, and what it refuses."""

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn

from course_lib import attacks
from course_lib.attacks import Proof, branching, regions, relaxation

SHAPE = (2, 4)


def small_net(*widths, seed=0, classes=3):
    """A chain of these hidden widths, with biases, on 8 pixels."""
    rng = torch.Generator().manual_seed(seed)
    layers, inputs = [nn.Flatten()], math.prod(SHAPE)
    for width in (*widths, classes):
        layer = nn.Linear(inputs, width)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(width, inputs, generator=rng) / inputs**0.5)
            layer.bias.copy_(0.3 * torch.randn(width, generator=rng))
        layers, inputs = [*layers, layer, nn.ReLU()], width
    return nn.Sequential(*layers[:-1]).eval()


def some_images(n=4, seed=1):
    """Pixels of which a third lies on the box's sides."""
    x = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))
    return (1.5 * x - 0.25).clamp(0, 1)


def least_distance(g, h):
    """min |r| such that g r >= h, by Lawson and Hanson's reduction to SciPy's nnls; inf if none."""
    system = np.vstack([g.T, h])
    goal = np.zeros(len(system))
    goal[-1] = 1
    u, _ = scipy.optimize.nnls(system, goal, maxiter=10_000)
    left = system @ u - goal
    return np.linalg.norm(left[:-1] / left[-1]) if np.linalg.norm(left) > 1e-7 else math.inf


def by_regions(net, x, label, target, box):
    """The distance by trying every pattern of units that are on; target None for the nearest."""
    affine = [layer for layer in net if isinstance(layer, nn.Linear)]
    maps = [(a.weight.detach().double().numpy(), a.bias.detach().double().numpy()) for a in affine]
    x, best = x.double().flatten().numpy(), math.inf
    eye = np.eye(len(x))
    for pattern in itertools.product((0.0, 1.0), repeat=sum(len(b) for _, b in maps[:-1])):
        g, h, used, slope, offset = [], [], 0, eye, x
        for weight, bias in maps[:-1]:
            slope, offset = weight @ slope, weight @ offset + bias
            on = np.array(pattern[used : used + len(bias)])
            used += len(bias)
            g, h = [*g, (2 * on - 1)[:, None] * slope], [*h, -(2 * on - 1) * offset]
            slope, offset = on[:, None] * slope, on * offset
        slope, offset = maps[-1][0] @ slope, maps[-1][0] @ offset + maps[-1][1]
        if box:
            g, h = [*g, eye, -eye], [*h, -x, x - 1]
        classes = [k for k in range(len(offset)) if k != label] if target is None else [target]
        for k in classes:
            others = [label] if target is None else [j for j in range(len(offset)) if j != k]
            rows = np.vstack([*g, slope[k] - slope[others]])
            best = min(best, least_distance(rows, np.hstack([*h, offset[others] - offset[k]])))
    return best


def seen_by(net, images):
    """The classes that the network gives in float64."""
    weights = {key: value.double() for key, value in net.state_dict().items()}
    return torch.func.functional_call(net, weights, (images,)).argmax(1)


CASES = [((4,), 0), ((4, 4), 1), ((3, 3, 2), 2)]


@pytest.mark.parametrize("box", [True, False])
@pytest.mark.parametrize(("widths", "seed"), CASES)
def test_it_is_what_all_regions_give_together(widths, seed, box):
    net, images = small_net(*widths, seed=seed), some_images(3)
    labels = net(images).argmax(1)
    for targets in (attacks.next_targets(labels, 3), None):
        # with no attack to begin from, the search has to find its points itself
        found = attacks.proven_minimum(net, images, targets, labels, box=box, start=1 - images)
        for k in range(len(images)):
            target = None if targets is None else int(targets[k])
            true = by_regions(net, images[k], int(labels[k]), target, box)
            if math.isinf(true):
                assert found.upper[k] == math.inf
                if box:
                    assert found.status[k] == Proof.IMPOSSIBLE
                    assert found.lower[k] == math.inf
                continue
            assert found.status[k] == Proof.PROVEN, found.reasons()[k]
            # the oracle's own rounding, and the lead that makes the point visible
            assert float(found.lower[k]) <= true + 1e-7
            assert true - 1e-7 <= float(found.upper[k]) <= true * (1 + 1e-3) + 1e-6
            assert found.gap[k] <= 1e-3
        there = found.upper.isfinite()
        at = found.images[there]
        away = (at - images[there].double()).flatten(1).norm(dim=1)
        assert torch.allclose(away, found.upper[there], rtol=1e-12)
        assert torch.equal(seen_by(net, at), found.targets[there])
        assert not box or torch.equal(at, at.clamp(0, 1))


@pytest.mark.parametrize("targeted", [True, False])
def test_a_linear_network_has_its_exact_minimum(targeted):
    net, images = small_net(seed=3, classes=4), some_images(6)
    labels = net(images).argmax(1)
    targets = attacks.next_targets(labels, 4) if targeted else None
    exact = attacks.exact_minimum(net, images, targets, labels)
    found = attacks.proven_minimum(net, images, targets, labels, start=images)
    assert found.proven.all()
    assert torch.equal(found.upper.isinf(), exact.l2.isinf())
    some = exact.l2.isfinite()
    assert (found.lower[some] <= exact.l2[some]).all()
    assert torch.allclose(found.upper[some], exact.l2[some], rtol=1e-5)


def test_scales_of_layers_and_logits_play_no_part():
    net, images = small_net(4, 4, seed=1), some_images(2)
    labels = net(images).argmax(1)
    before = attacks.proven_minimum(net, images, None, labels, start=images)
    with torch.no_grad():  # a layer's scale is undone by the next, that of the logits by nothing
        for layer, scale in ((net[1], 2.0**10), (net[5], 2.0**-23)):
            layer.weight *= scale
            layer.bias *= scale
        net[3].weight *= 2.0**-10
    after = attacks.proven_minimum(net, images, None, labels, start=before.images)
    assert after.proven.all()
    assert torch.allclose(before.upper, after.upper, rtol=1e-6)


def test_no_attack_is_nearer_than_the_lower_bound_and_ours_is_near():
    net, images = small_net(6, 6, seed=5), some_images(8, seed=6)
    labels = net(images).argmax(1)
    targets = attacks.next_targets(labels, 3)
    proven = attacks.proven_minimum(net, images, targets, labels)
    assert proven.proven.all()
    for loss in ("margin", "sharpened", "cross-entropy"):
        found = attacks.minimal_adversarial(net, images, targets, labels, loss=loss)
        won = found.success
        assert torch.equal(won, proven.upper.isfinite())
        # a success of a network in float32 may lie on the wrong side of the boundary by rounding
        assert (found.l2[won].double() >= proven.lower[won] * (1 - 1e-5)).all()
        if loss == "margin":
            ratio = found.l2[won].double() / proven.upper[won]
            # an attack may end in another basin on some images, so the mean is no yardstick; in
            # the right one it ends within 1 %
            assert ratio.median() <= 1.01


def test_out_of_time_leaves_a_bracket_that_holds():
    net, images = small_net(8, 8, seed=7), some_images(3, seed=8)
    labels = net(images).argmax(1)
    targets = attacks.next_targets(labels, 3)
    whole = attacks.proven_minimum(net, images, targets, labels, start=images)
    short = attacks.proven_minimum(
        net, images, targets, labels, seconds=1e-9, gap=1e-9, start=images
    )
    possible = whole.upper.isfinite()
    assert possible.any()
    assert (short.lower <= whole.upper).all()
    assert (short.upper >= whole.lower).all()
    assert (short.lower <= short.upper).all()
    assert (short.status == Proof.TIME).any()
    assert "out of time" in short.reasons()
    assert not short.proven.all()


def test_an_interrupted_search_keeps_its_brackets(monkeypatch):
    net, images = small_net(8, 8, seed=7), some_images(3, seed=8)
    labels = net(images).argmax(1)
    targets = attacks.next_targets(labels, 3)
    whole = attacks.proven_minimum(net, images, targets, labels, start=images)
    halved, calls = branching.Search.halved, []

    def interrupted(search, nodes):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return halved(search, nodes)

    monkeypatch.setattr(branching.Search, "halved", interrupted)
    found = attacks.proven_minimum(net, images, targets, labels, gap=1e-9, start=images)
    assert (found.status == Proof.INTERRUPTED).any()
    assert (found.lower <= whole.upper).all()
    assert (found.upper >= whole.lower).all()


def test_ctrl_c_inside_the_engine_is_not_lost(monkeypatch):
    net, images = small_net(4, 4, seed=1), some_images(2)
    wrong = attacks.minimal_adversarial(net, images)
    calls = []
    real = relaxation.dual

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(relaxation, "dual", interrupted)
    found = attacks.proven_minimum(net, images, start=wrong.images)
    assert (found.status == Proof.INTERRUPTED).all()
    assert (found.lower == 0).all()
    assert found.upper.isfinite().all()


def test_an_image_that_is_there_already_has_the_distance_0():
    net, images = small_net(4, seed=0), some_images(3)
    seen = net(images).argmax(1)
    labels = (seen + 1) % 3
    for targets in (seen, None):
        found = attacks.proven_minimum(net, images, targets, labels, start=images)
        assert (found.upper == 0).all()
        assert found.proven.all()
        assert (found.gap == 0).all()
        assert torch.equal(found.images, images.double())
        assert torch.equal(found.targets, seen)


def test_a_class_that_no_image_has_is_proven_to_have_none():
    net, images = small_net(4, 4, seed=1), some_images(2)
    with torch.no_grad():
        net[-1].bias[2] = -100.0
    labels = net(images).argmax(1)
    targets = torch.full_like(labels, 2)
    found = attacks.proven_minimum(net, images, targets, labels, start=images)
    assert (found.status == Proof.IMPOSSIBLE).all()
    assert found.images.isnan().all()
    assert "2 of 2 proven" in repr(found)
    free = attacks.proven_minimum(net, images, targets, labels, box=False, start=images)
    assert (free.status == Proof.FAR).logical_or(free.upper.isfinite()).all()
    assert (free.lower > 0).all()


# --- the parts --------------------------------------------------------------------------------


def a_chain(box=True):
    net = small_net(5, 4, seed=9)
    x = some_images(1)[0].double().flatten()
    maps = [
        (a.weight.detach().double(), a.bias.detach().double())
        for a in net
        if isinstance(a, nn.Linear)
    ]
    weights, biases = [maps[0][0], maps[1][0]], [maps[0][0] @ x + maps[0][1], maps[1][1]]
    low, up = (
        (-x, 1 - x) if box else (torch.full_like(x, -torch.inf), torch.full_like(x, torch.inf))
    )
    chain, rescale = relaxation.make_chain(weights, biases, low, up, 1.0, len(x))
    weight = ((maps[2][0][1] - maps[2][0][[0, 2]]) * rescale)[None]
    return chain, relaxation.Rows(weight, (maps[2][1][1] - maps[2][1][[0, 2]])[None])


def points_of(chain, n=20_000):
    """Points of the box, no farther than 1."""
    rng = torch.Generator().manual_seed(0)
    r = torch.randn(n, len(chain.low), generator=rng, dtype=torch.float64)
    r = r / r.norm(dim=1, keepdim=True) * torch.rand(n, 1, generator=rng, dtype=torch.float64)
    return torch.minimum(torch.maximum(r, chain.low), chain.up)


@pytest.mark.parametrize("box", [True, False])
def test_any_multipliers_give_a_lower_bound(box):
    chain, rows = a_chain(box)
    r = points_of(chain)
    heights, last = chain.heights(r)
    low, up = relaxation.first_bounds(chain, 1.0)
    assert (heights >= low).all()
    assert (heights <= up).all()
    good = (last @ rows.weight[0].T + rows.bias[0] >= 0).all(1)
    assert good.sum() > 20
    rng = torch.Generator().manual_seed(1)
    for _ in range(30):
        theta = torch.rand(1, 2 + 9, generator=rng, dtype=torch.float64)
        theta[:, :2] *= 0.3
        at = torch.rand(1, 9, generator=rng, dtype=torch.float64)
        split = low.clone(), up.clone()  # one unit decided
        unit = int(at.argmax())
        inside = good
        if split[0][0, unit] < 0 < split[1][0, unit]:
            split[0][0, unit] = 0.0
            inside = good & (heights[:, unit] >= 0)
        found = relaxation.dual(chain, theta, *split, rows)
        if not inside.any():
            continue
        assert found.safe() <= r[inside].square().sum(1).min() / 2
        # and where the solutions are
        ball = (1 - 2 * float(found.safe())) ** 0.5 if found.safe() < 0.5 else 0.0
        assert ((r[inside] - found.r).norm(dim=1) <= ball + 1e-12).all()
        centre = found.heights[:, :5]
        tight = relaxation.shrink(chain, *split, centre, found.value.new_full((1,), ball))
        assert (heights[inside] >= tight[0]).all()
        assert (heights[inside] <= tight[1]).all()


def test_the_duals_gradient_is_that_of_its_value():
    chain, rows = a_chain()
    low, up = relaxation.first_bounds(chain, 1.0)
    rng = torch.Generator().manual_seed(2)
    theta = torch.rand(1, 2 + 9, generator=rng, dtype=torch.float64)

    def value(at):
        return relaxation.dual(chain, at, low, up, rows, 0.05)

    step = 1e-6 * torch.eye(theta.shape[1], dtype=theta.dtype)
    rise = [(value(theta + s).value - value(theta - s).value) / 2e-6 for s in step]
    assert torch.allclose(torch.cat(rise), value(theta).gradient[0], atol=1e-6)


def test_a_regions_bound_holds_and_its_point_is_in_it():
    chain, rows = a_chain()
    heights, last = chain.heights(points_of(chain))
    good = (last @ rows.weight[0].T + rows.bias[0] >= 0).all(1)
    on = (heights[good] > 0).unique(dim=0)
    found = regions.nearest(chain, on, rows.repeat(len(on)), 10.0)
    for k, pattern in enumerate(on):
        inside = good & ((heights > 0) == pattern).all(1)
        assert found.lower[k] <= points_of(chain)[inside].norm(dim=1).min()
        at, _ = chain.heights(found.r[k : k + 1])
        assert (at[0][pattern] >= -1e-7).all()
        assert (at[0][~pattern] <= 1e-7).all()
        assert found.distance[k] - found.lower[k] <= 1e-4


# --- sentences --------------------------------------------------------------------------------


def refused(error, says, net=None, images=None, targets=None, **settings):
    net, images = net or small_net(4), some_images() if images is None else images
    with pytest.raises(error, match=says):
        attacks.proven_minimum(net, images, targets, **settings)


def test_what_it_refuses():
    refused(
        ValueError,
        "chains of Flatten, Linear and ReLU, and this network has a Sigmoid",
        nn.Sequential(nn.Flatten(), nn.Linear(8, 3), nn.Sigmoid(), nn.Linear(3, 3)),
    )
    refused(ValueError, "has a Conv2d", nn.Sequential(nn.Conv2d(1, 1, 3)))
    refused(TypeError, "must be a torch module", net="a net")
    refused(
        ValueError, "takes 9 numbers and is given 8", nn.Sequential(nn.Flatten(), nn.Linear(9, 3))
    )
    refused(ValueError, "at least two classes", nn.Sequential(nn.Flatten(), nn.Linear(8, 1)))
    refused(ValueError, "at least two classes", nn.Sequential(nn.Flatten()))
    refused(ValueError, "number above 0, not 0", seconds=0)
    refused(ValueError, "number above 0, not -1", seconds=-1)
    refused(ValueError, "number above 0, not nan", seconds=math.nan)
    refused(ValueError, "between 0 and 1", gap=0)
    refused(ValueError, "between 0 and 1", gap=1.0)
    refused(ValueError, r"pixels in \[0, 1\]", images=2 * some_images() + 1)
    refused(ValueError, "no images to search around", images=some_images()[:0])
    refused(TypeError, "must be a torch tensor", images=[1.0])
    refused(ValueError, "its own label", targets=small_net(4)(some_images()).argmax(1))
    refused(ValueError, "there are 4 images", targets=torch.zeros(3, dtype=torch.int64))
    refused(ValueError, "one for each, of the same shape", start=some_images(3))


def test_a_hook_is_not_taken_for_the_layers():
    net = small_net(4)
    net[1].register_forward_hook(lambda layer, given, made: made + 1)
    refused(ValueError, "does not compute what its layers do", net)
