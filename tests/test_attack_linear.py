"""The exact minimum of linear networks, against SciPy, the closed form and optimality itself."""

import os
import time
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn

from course_lib import device as devices
from course_lib import zoo
from course_lib.attacks import linear, measures, minimal_adversarial
from course_lib.attacks.linear import dual_bound, exact_minimum, linear_distance, linear_map
from course_lib.data import load_mnist


def affine(weight, bias) -> nn.Sequential:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return nn.Sequential(nn.Flatten(), layer)


def case(seed: int, n: int = 12, classes: int = 4, images: int = 8, scale: float = 1.0):
    """A random network and images, a third of whose pixels lie on the box's faces."""
    rng = devices.generator(seed)
    net = affine(
        scale * torch.randn(classes, n, generator=rng), torch.randn(classes, generator=rng)
    ).double()
    x = (torch.rand(images, n, generator=rng, dtype=torch.float64) * 1.5 - 0.25).clamp(0, 1)
    return net, x


def by_slsqp(weight, bias, x, others, target):
    """min |r|² with z_t >= z_j for j in others, in the box; (distance or inf)."""
    a, d = weight[target] - weight[others], bias[target] - bias[others]
    linear_program = scipy.optimize.linprog(  # is there any such image?
        np.zeros(len(x)), A_ub=-a, b_ub=d, bounds=[(0, 1)] * len(x)
    )
    if linear_program.status == 2:
        return np.inf
    solution = scipy.optimize.minimize(
        lambda y: 0.5 * ((y - x) ** 2).sum(),
        linear_program.x,
        jac=lambda y: y - x,
        bounds=[(0, 1)] * len(x),
        constraints={"type": "ineq", "fun": lambda y: a @ y + d, "jac": lambda y: a},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    return float(np.linalg.norm(solution.x - x))


def test_targeted_agrees_with_slsqp():
    compared, impossible, bounded = 0, 0, 0
    for seed in range(12):
        net, x = case(seed)
        weight, bias = (t.numpy() for t in linear_map(net, x.shape[1:]))
        labels = net(x).argmax(1)
        targets = measures.random_targets(labels, seed, classes=4)
        found = exact_minimum(net, x, targets)
        for k in range(len(x)):
            t = int(targets[k])
            others = [j for j in range(4) if j != t]
            wanted = by_slsqp(weight, bias, x[k].numpy(), others, t)
            got = float(found.l2[k])
            if np.isinf(wanted):
                impossible += 1
                assert np.isinf(got)
                assert torch.isnan(found.images[k]).all()
                assert "without a solution" in repr(found)
                continue
            assert got == pytest.approx(wanted, rel=1e-6)
            assert found.gap[k] < 1e-9
            at_face = (found.images[k] == 0) | (found.images[k] == 1)
            bounded += int((at_face & (found.images[k] != x[k])).any())
            compared += 1
    assert compared > 60
    assert impossible > 3
    assert bounded > 20  # the box mattered


def awkward(seed: int):
    """Weights of any scale, with a common part, equal classes, or fewer pixels than constraints."""
    rng = devices.generator(seed)
    classes, n = (int(torch.randint(2, top, (), generator=rng)) for top in (11, 60))
    scale = 10 ** float(torch.rand((), generator=rng) * 8 - 4)
    weight = scale * torch.randn(classes, n, generator=rng, dtype=torch.float64)
    if seed % 3 == 0:
        weight += 100 * scale * torch.randn(1, n, generator=rng, dtype=torch.float64)
    if seed % 5 == 0:
        weight[:, : n // 2] = 0
    if seed % 7 == 0 and classes > 2:
        weight[1] = weight[0]
    net = nn.Sequential(nn.Linear(n, classes).double().requires_grad_(False))
    net[0].weight.copy_(weight)
    net[0].bias.copy_(2 * scale * torch.randn(classes, generator=rng))
    x = torch.rand(20, n, generator=rng, dtype=torch.float64) * 2 - 0.5
    return net, x.clamp(0, 1), classes


def test_newton_arrives_in_awkward_cases_too():
    for seed in [*range(40), 72, 75, 112, 126, 282]:
        net, x, classes = awkward(seed)
        labels = net(x).argmax(1)
        for targets in (None, measures.random_targets(labels, seed, classes)):
            found = exact_minimum(net, x, targets)
            possible = torch.isfinite(found.l2)
            assert (found.gap[possible] < 1e-8).all()
            reached = net(found.images[possible])
            t = found.targets[possible, None]
            short = reached.amax(1) - reached.gather(1, t).squeeze(1)
            assert (short <= 1e-8 * (1 + reached.abs().amax(1))).all()


def test_nearest_is_the_nearest_of_all_constraints_problems():
    """One constraint per class is enough if all classes are tried (the docstring's proof)."""
    for seed in range(10):
        net, x = case(seed, images=12, classes=5)
        labels = net(x).argmax(1)
        nearest = exact_minimum(net, x)
        every = measures.all_targets(labels, 5)
        table = torch.stack([exact_minimum(net, x, every[:, k]).l2 for k in range(4)], dim=1)
        assert torch.allclose(nearest.l2, table.amin(1), rtol=1e-9)
        possible = torch.isfinite(nearest.l2)
        chosen = every.gather(1, table.argmin(1, keepdim=True)).squeeze(1)
        assert torch.equal(nearest.targets[possible], chosen[possible])
        # and the label ties with the target, ahead of all others
        logits = net(nearest.images[possible])
        top = logits.amax(1)
        for who in (labels, nearest.targets):
            assert torch.allclose(logits.gather(1, who[possible, None]).squeeze(1), top, atol=1e-9)


def test_nearest_agrees_with_slsqp():
    net, x = case(3, images=10)
    weight, bias = (t.numpy() for t in linear_map(net, x.shape[1:]))
    found = exact_minimum(net, x)
    for k, label in enumerate(net(x).argmax(1).tolist()):
        others = [j for j in range(4) if j != label]
        distances = [by_slsqp(weight, bias, x[k].numpy(), [label], j) for j in others]
        assert float(found.l2[k]) == pytest.approx(min(distances), rel=1e-6)


def test_the_closed_form_where_the_box_is_slack():
    net, _ = case(1, n=30, scale=0.1)
    x = 0.5 + 0.02 * torch.randn(20, 30, generator=devices.generator(0), dtype=torch.float64)
    with torch.no_grad():
        net[1].bias.mul_(0.02)
    table = linear_distance(net, x)
    found = exact_minimum(net, x)
    assert (found.images > 0).all()
    assert (found.images < 1).all()
    assert torch.allclose(found.l2, table.amin(1), rtol=1e-9)
    assert torch.equal(found.targets, table.argmin(1))
    weight, bias = linear_map(net, (30,))
    y, j = int(found.labels[0]), int(found.targets[0])
    w, z = weight[y] - weight[j], x[0] @ weight.T + bias
    assert float(found.l2[0]) == pytest.approx(float((z[y] - z[j]) / w.norm()))
    step = x[0] - (z[y] - z[j]) / w.norm() ** 2 * w
    assert torch.allclose(found.images[0], step)
    targets = measures.next_targets(found.labels, 4)
    assert torch.equal(linear_distance(net, x, targets), table[torch.arange(20), targets])
    assert torch.isinf(table[torch.arange(20), found.labels]).all()


@pytest.mark.parametrize("name", ["FC10(1e-4)", "FC10(1e-2)", "FC10(1)"])
def test_on_the_papers_networks_the_conditions_of_optimality_hold(name):
    """KKT, without the dual: r = Aᵀλ in free pixels, pushed outwards at the faces, λ >= 0."""
    net = zoo.load(name, device="cpu")
    few = load_mnist("test", device="cpu").sample(40, seed=5)
    targets = measures.recorded_targets(few)
    found = exact_minimum(net, few.images, targets, few.labels)
    weight, bias = linear_map(net, (1, 28, 28))
    assert (found.gap < 1e-9).all()
    x, y = few.images.double().flatten(1), found.images.flatten(1)
    assert float(y.min()) >= 0
    assert float(y.max()) <= 1
    for k in range(len(few)):
        if found.l2[k] == 0:
            continue
        a = weight[targets[k]] - weight
        margins = a @ y[k] + (bias[targets[k]] - bias)
        assert float(margins.min()) > -1e-9
        active = (margins < 1e-8) & (torch.arange(10) != targets[k])
        r, free = y[k] - x[k], (y[k] > 0) & (y[k] < 1)
        multipliers, residual = scipy.optimize.nnls(a[active][:, free].T.numpy(), r[free].numpy())
        assert residual < 1e-7
        pull = torch.from_numpy(multipliers) @ a[active]  # where the step would go without a box
        assert (pull - r)[y[k] == 0].max() < 1e-7
        assert (pull - r)[y[k] == 1].min() > -1e-7 if (y[k] == 1).any() else True
        for other in torch.rand(3, 784, generator=devices.generator(k)).double():
            inside = (a @ other + bias[targets[k]] - bias).min() >= 0
            assert not inside or (other - x[k]).norm() >= found.l2[k]
    assert (found.l2 >= linear_distance(net, few.images, targets, few.labels) - 1e-9).all()
    nearest = exact_minimum(net, few.images, None, few.labels)
    assert (nearest.l2 <= found.l2 + 1e-9).all()
    assert (nearest.gap < 1e-9).all()


def test_an_image_that_is_a_mistake_already_is_at_distance_0():
    net, x = case(2, classes=5)
    predicted = net(x).argmax(1)
    wrong = (predicted + 1) % 5
    found = exact_minimum(net, x, labels=wrong)
    assert (found.l2 == 0).all()
    assert torch.equal(found.targets, predicted)
    assert torch.equal(found.images, x)
    found = exact_minimum(net, x, targets=predicted, labels=wrong)
    assert (found.l2 == 0).all()
    assert (found.gap < 1e-12).all()


def test_order_and_company_do_not_matter(monkeypatch):
    net, x = case(7, images=11)
    whole = exact_minimum(net, x)
    shuffle = torch.randperm(11, generator=devices.generator(0))
    other = exact_minimum(net, x[shuffle])
    assert torch.allclose(whole.l2[shuffle], other.l2, rtol=1e-12)
    monkeypatch.setattr(linear, "CHUNK", 3)
    in_chunks = exact_minimum(net, x)
    assert torch.allclose(whole.l2, in_chunks.l2, rtol=1e-12)
    assert torch.equal(whole.targets, in_chunks.targets)
    assert len(exact_minimum(net, x[:0])) == 0
    assert exact_minimum(net, x[:0], torch.zeros(0, dtype=torch.int64)).images.shape == (0, 12)


def test_two_classes_and_any_shape():
    rng = devices.generator(0)
    net = affine(torch.randn(2, 24, generator=rng), torch.randn(2, generator=rng))
    x = torch.rand(5, 2, 3, 4, generator=rng)
    nearest = exact_minimum(net, x)
    targeted = exact_minimum(net, x, 1 - nearest.labels)
    assert nearest.images.shape == x.shape
    assert torch.allclose(nearest.l2, targeted.l2, rtol=1e-9)
    assert torch.allclose(nearest.distortion, nearest.l2 / 24**0.5)


def test_a_class_that_no_image_in_the_box_belongs_to():
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    net = affine(weight, torch.tensor([0.5, 0.0, -3.0]))
    found = exact_minimum(net, torch.tensor([[0.9, 0.2]]), torch.tensor([2]))
    assert torch.isinf(found.l2).all()
    assert torch.isinf(found.distortion).all()
    assert torch.isinf(found.gap).all()
    assert torch.isnan(found.images).all()
    found = exact_minimum(net, torch.tensor([[0.9, 0.2]]))
    assert found.targets.tolist() == [1]
    # z_1 >= z_0 asks x_1 >= x_0 + 0.5: from (0.9, 0.2) it is 1.2 / sqrt(2) along the diagonal
    assert float(found.l2[0]) == pytest.approx(1.2 / 2**0.5)
    same = affine(torch.ones(3, 2), torch.tensor([1.0, 0.0, 0.0]))  # constant differences
    assert torch.isinf(exact_minimum(same, torch.rand(4, 2)).l2).all()


def test_any_affine_module_is_recognised():
    torch.manual_seed(0)
    deep = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(12, 7), nn.Dropout(0.5), nn.Linear(7, 4),
    ).eval()  # fmt: skip
    x = torch.rand(6, 1, 4, 4)
    weight, bias = linear_map(deep, (1, 4, 4))
    assert weight.dtype == torch.float64
    assert torch.allclose((x.flatten(1).double() @ weight.T + bias).float(), deep(x), atol=1e-5)
    assert next(deep.parameters()).dtype == torch.float32  # nothing was changed
    assert next(deep.parameters()).requires_grad
    deep.train()
    with pytest.raises(ValueError, match=r"call net.eval\(\) first"):
        linear_map(deep, (1, 4, 4))


class Kinked(nn.Module):
    """Affine, but for images whose first pixel is exactly 0.123."""

    def forward(self, x):
        z = x.flatten(1)[:, :3] * 2.0
        return z + (x.flatten(1)[:, :1] == 0.123).to(z)


@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), "not have logits that are af"),
        (nn.Sequential(nn.Linear(6, 3), nn.Softmax(1)), "not have logits that are affine"),
        (nn.Sequential(nn.Linear(6, 1)), "at least two"),
        (nn.Sequential(nn.Unflatten(1, (2, 3))), "one gives the shape"),
        (affine(torch.full((3, 6), float("nan")), torch.zeros(3)), "not finite"),
    ],
)
def test_networks_that_will_not_do(net, sentence):
    for part in net.modules():
        if isinstance(part, nn.Linear) and not part.weight.isnan().any():
            nn.init.normal_(part.weight)
    with pytest.raises(ValueError, match=sentence):
        exact_minimum(net, torch.rand(4, 6))


def test_a_kink_that_the_probes_miss_is_seen_at_the_images():
    x = torch.rand(4, 6, dtype=torch.float64)
    linear_map(Kinked(), (6,))
    exact_minimum(Kinked(), x)
    x[2, 0] = 0.123
    with pytest.raises(ValueError, match="affine"):
        exact_minimum(Kinked(), x)


@pytest.mark.parametrize("function", [exact_minimum, linear_distance])
def test_bad_input_is_said(function):
    net, x = case(0)
    labels = net(x).argmax(1)
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\]"):
        function(net, x + 0.5)
    with pytest.raises(ValueError, match="is its own label"):
        function(net, x, labels)
    with pytest.raises(ValueError, match="targets must be classes from 0 to 3"):
        function(net, x, labels + 4)
    with pytest.raises(ValueError, match="targets have the shape"):
        function(net, x, labels[:3])
    with pytest.raises(ValueError, match="labels have the shape"):
        function(net, x, labels=labels[:3])
    with pytest.raises(TypeError, match="whole numbers"):
        function(net, x, labels.double())


def test_it_takes_about_a_millisecond_an_image():
    """Generous: it takes 0.1 to 0.3 ms on one core; a crawl would take a hundred."""
    net = zoo.load("FC10(1e-2)", device="cpu")
    few = load_mnist("test", device="cpu").sample(200, seed=0)
    targets = measures.recorded_targets(few)
    with devices.threads(1):
        exact_minimum(net, few.images, targets, few.labels)
        start = time.perf_counter()
        exact_minimum(net, few.images, targets, few.labels)
        assert (time.perf_counter() - start) / 200 < 0.005


@pytest.mark.usefixtures("gpu")
def test_the_gpu_gives_the_same():
    few = load_mnist("test", device="cpu").sample(300, seed=0)
    targets = measures.recorded_targets(few)
    results = []
    for device in ("cpu", "cuda"):
        net = zoo.load("FC10(1)", device=device)
        on_device = few.to(device)
        for t in (targets, None):
            found = exact_minimum(net, on_device.images, t, on_device.labels)
            assert found.l2.device.type == device
            results.append(found)
    for one, other in zip(results[:2], results[2:], strict=True):
        assert torch.allclose(one.l2, other.l2.cpu(), rtol=1e-9)


# --- the proof that a reader can check ------------------------------------------------------------


def exact_bound(weight, bias, x, of, multipliers, targeted):
    """The square of the dual's bound in fractions, without any rounding: the formula of
    ``dual_bound``, written out for one image."""
    weight, bias, x, lam = (
        np.vectorize(Fraction)(v.numpy()) for v in (weight, bias, x, multipliers)
    )
    if targeted:
        sets = [{j: weight[of] - weight[j] for j in range(len(bias)) if j != of}]
        signs = 1
    else:
        sets = [{j: weight[j] - weight[of]} for j in range(len(bias)) if j != of]
        signs = -1
    values = []
    for planes in sets:
        u = x + sum(lam[j] * a for j, a in planes.items())
        z = np.array([min(max(value, Fraction(0)), Fraction(1)) for value in u])
        value = ((z - x) ** 2).sum()
        for j, a in planes.items():
            value -= 2 * lam[j] * ((a * z).sum() + signs * (bias[of] - bias[j]))
        values.append(value)
    return min(values)


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_the_bound_is_below_the_exact_value_of_its_formula_and_close(targeted, scale):
    net, x = case(3, images=4, scale=scale)
    weight, bias = linear_map(net, x.shape[1:])
    labels = net(x).argmax(1)
    targets = measures.random_targets(labels, 3, classes=4) if targeted else None
    lam = exact_minimum(net, x, targets).multipliers
    bound = dual_bound(net, x, lam, targets)
    for k in range(len(x)):
        of = int(targets[k] if targeted else labels[k])
        wanted = exact_bound(weight, bias, x[k], of, lam[k], targeted)
        assert Fraction(float(bound[k])) ** 2 <= max(wanted, 0)
        assert float(bound[k]) >= (float(wanted) ** 0.5) * (1 - 1e-9)


@pytest.mark.parametrize("targeted", [True, False])
def test_no_multipliers_prove_more_than_is_true(targeted):
    rng = devices.generator(5)
    for seed in range(6):
        net, x = case(seed)
        labels = net(x).argmax(1)
        targets = measures.random_targets(labels, seed, classes=4) if targeted else None
        found = exact_minimum(net, x, targets)
        best = dual_bound(net, x, found.multipliers, targets)
        assert (best <= found.l2 + found.gap).all()
        possible = found.l2.isfinite()
        assert torch.allclose(best[possible], found.l2[possible], rtol=1e-7, atol=1e-7)
        farthest = torch.maximum(x, 1 - x).norm(dim=1)
        assert (best[~possible] > farthest[~possible]).all(), "no image in the box is so far"
        for size in (1e-3, 1.0, 30.0):
            other = found.multipliers + size * torch.rand(8, 4, generator=rng, dtype=torch.float64)
            bound = dual_bound(net, x, other, targets)
            assert (bound[possible] <= found.l2[possible] + found.gap[possible]).all()


def test_classes_of_equal_weights_are_proven_out_of_reach():
    net = affine(torch.tensor([[1.0, 2.0]] * 3), torch.tensor([0.0, -0.5, -1e-9])).double()
    x = torch.tensor([[0.9, 0.6]], dtype=torch.float64)
    found = exact_minimum(net, x)
    assert found.l2.isinf().all()
    assert (dual_bound(net, x, found.multipliers) > torch.maximum(x, 1 - x).norm(dim=1)).all()


def test_the_bound_says_what_is_wrong_with_multipliers():
    net, x = case(0)
    lam = exact_minimum(net, x).multipliers
    with pytest.raises(ValueError, match=r"\(images, classes\), here \(8, 4\), not \(8, 3\)"):
        dual_bound(net, x, lam[:, :3])
    with pytest.raises(ValueError, match="0 or more, and none NaN"):
        dual_bound(net, x, -lam - 1)
    with pytest.raises(ValueError, match="0 or more, and none NaN"):
        dual_bound(net, x, lam * float("nan"))


def test_every_target_of_the_linear_networks_is_within_a_thousandth_of_what_is_proven():
    # all of 1000 images: COURSE_THOROUGH=1, some seconds more
    few = load_mnist("test").sample(1000 if os.environ.get("COURSE_THOROUGH") else 20, seed=9)
    for name in ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)"):
        net = zoo.load(name, device="cpu")
        labels = net(few.images).argmax(1)
        targets = measures.all_targets(labels, 10)
        images, of = few.images.repeat_interleave(9, 0), labels.repeat_interleave(9)
        found = minimal_adversarial(net, images, targets.flatten(), of)
        lam = exact_minimum(net, images, targets.flatten(), of).multipliers
        proven = dual_bound(net, images, lam, targets.flatten(), of)
        assert (found.l2.double() <= 1.001 * proven).all()
        assert (found.l2.double() >= proven * (1 - 1e-6)).all(), (
            "float32 pixels, a proof in float64"
        )
