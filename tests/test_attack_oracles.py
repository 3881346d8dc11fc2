"""The attack against what is known to be right: exact minima, SciPy, float64, other batch sizes."""

import functools

import numpy as np
import pytest
import scipy.optimize
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import attacks, device, zoo
from course_lib.attacks import Status, losses, penalty, problem, sqp
from course_lib.attacks.minimal import minimal_adversarial
from course_lib.data import load_mnist

DOUBLE = torch.float64
LINEAR = ["FC10(1e-4)", "FC10(1e-2)", "FC10(1)"]
SMOOTH = "FC100-100-10"


@functools.lru_cache(maxsize=16)
def network(name: str, dtype=torch.float32) -> nn.Module:
    return zoo.load(name).to(dtype)


@functools.lru_cache(maxsize=16)
def sample(n: int, seed: int = 0):
    """(images, labels, recorded targets) of ``n`` test images that FC10(1) has right, too."""
    data = load_mnist("test").sample(2 * n, seed)
    right = network("FC10(1)")(data.images).argmax(1) == data.labels
    rows = right.nonzero()[:n, 0]
    return data.images[rows], data.labels[rows], attacks.recorded_targets(data)[rows]


@functools.lru_cache(maxsize=32)
def attacked(name: str, n: int = 24, loss="margin", norm="squared"):
    images, _, targets = sample(n)
    net = network(name)
    labels = net(images).argmax(1)
    fair = labels != targets
    return minimal_adversarial(net, images[fair], targets[fair], loss=loss, norm=norm)


def wins(found, net, dtype=torch.float32) -> torch.Tensor:
    """(N,) by how much the target leads at the images found, asked in ``dtype``."""
    with torch.no_grad():
        return losses.target_margin(net(found.images.to(dtype)), found.targets)


def linear(d: int, classes: int, seed: int, scale: float = 1.0) -> nn.Sequential:
    net = nn.Sequential(nn.Flatten(), nn.Linear(d, classes)).eval()
    rng = device.generator(seed)
    with torch.no_grad():
        net[1].weight.copy_(scale * torch.randn(classes, d, generator=rng))
        net[1].bias.copy_(0.1 * scale * torch.randn(classes, generator=rng))
    return net


# --- exact minima -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LINEAR)
def test_on_linear_networks_the_distance_is_the_exact_one(name):
    found = attacked(name)
    exact = attacks.exact_minimum(network(name), found.originals, found.targets)
    assert found.success.all()
    ratio = found.distortion.double() / exact.distortion
    assert ratio.mean() < 1.002
    assert ratio.max() < 1.01
    assert ratio.min() > 1 - 1e-5  # nothing is nearer than the nearest


@pytest.mark.parametrize("name", ["FC10(1e-4)", "FC10(1)"])
def test_the_nearest_class_of_a_linear_network_is_the_exact_one(name):
    images = sample(12)[0]
    net = network(name)
    found = minimal_adversarial(net, images)
    exact = attacks.exact_minimum(net, images)
    assert torch.allclose(found.distortion.double(), exact.distortion, rtol=2e-3)
    clear = exact.distortion[:, None] * 28 * 1.01 < attacks.linear_distance(net, images)
    clear = clear.sum(1) == 9 - 1  # all others but one are clearly farther, even without the box
    assert torch.equal(found.targets[clear], exact.targets[clear])


def test_without_the_box_it_is_the_closed_form():
    net = linear(60, 4, 0, 0.3)
    images = 0.45 + 0.1 * torch.rand(30, 60, generator=device.generator(1))
    table = attacks.linear_distance(net, images)
    found = minimal_adversarial(net, images)
    assert ((found.images > 0) & (found.images < 1)).all()  # the box was inactive
    assert torch.allclose(found.l2.double(), table.amin(1), rtol=2e-4)
    assert torch.equal(found.targets, table.argmin(1))
    two = linear(60, 2, 1, 0.3)
    exact = attacks.linear_distance(two, images).amin(1)
    length = (two[1].weight[0] - two[1].weight[1]).norm().double()
    for loss in ("cross-entropy", "sharpened"):
        found = minimal_adversarial(two, images, loss=loss)
        beyond = found.margin.double() / length  # the lead that counts as success costs this much
        assert torch.allclose(found.l2.double(), exact + beyond, rtol=2e-3)


@pytest.mark.parametrize("loss", ["margin", "sharpened"])
@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1e4, 1e8])
def test_the_scale_of_the_logits_does_not_matter(loss, scale):
    images = torch.rand(30, 20, generator=device.generator(1))
    wanted = minimal_adversarial(linear(20, 4, 0), images, loss=loss)
    found = minimal_adversarial(linear(20, 4, 0, scale), images, loss=loss)
    assert found.success.all()
    assert torch.allclose(found.distortion, wanted.distortion, rtol=2e-3)


# --- one loss against another -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n"),
    [("FC10(1e-2)", 60), (SMOOTH, 60), ("AE400-10", 30), ("FC100-100-10-ReLU", 120), ("CONV", 40)],
)
def test_sharpened_is_never_farther_than_faithful_and_the_default_the_nearest(name, n):
    results = [attacked(name, n, loss) for loss in ("margin", "sharpened", "cross-entropy")]
    assert all(result.success.all() for result in results)
    # image by image, for the sharpened search starts where the faithful one ended; 1e-6: float32
    # rounding of the distortion, a root of a mean over 784 pixels
    assert (results[1].distortion <= results[2].distortion * (1 + 1e-6)).all()
    # an average over images: at a crease of a rectified network the default may stop earlier on one
    margin, sharpened, faithful = (result.mean_distortion() for result in results)
    assert sharpened <= faithful * (1 + 1e-6)
    assert margin <= sharpened * 1.001


@pytest.mark.parametrize("name", ["FC10(1e-2)", "FC10(1)"])
def test_both_norms_have_the_same_answer_on_a_convex_network(name):
    # c·|r|² and c·|r| have the same minimisers, for other c: the last that succeeds is the same
    square = attacked(name, 12, "cross-entropy")
    root = attacked(name, 12, "cross-entropy", "l2")
    assert root.success.all()
    assert root.mean_distortion() == pytest.approx(square.mean_distortion(), rel=3e-3)
    assert torch.allclose(root.distortion, square.distortion, rtol=1e-2)
    # at the minimiser c_root / (2 |r|) is the weight of |r|²
    assert torch.allclose(root.c / (2 * root.l2), square.c, rtol=0.05)


def test_the_margin_does_not_know_the_norm():
    square, root = (attacked(SMOOTH, 8, "margin", norm) for norm in ("squared", "l2"))
    assert torch.equal(square.images, root.images)
    assert torch.allclose(root.c / (2 * root.l2), square.c, rtol=1e-3)


def test_a_loss_of_ones_own():
    own = attacked(SMOOTH, 8, lambda z, t: F.cross_entropy(z, t, reduction="none"))
    faithful = attacked(SMOOTH, 8, "cross-entropy")
    assert torch.equal(own.images, faithful.images)
    hinge = attacked(SMOOTH, 8, lambda z, t: (1 - losses.target_margin(z, t)).clamp_min(0))
    assert hinge.success.all()
    assert hinge.mean_distortion() < 2 * faithful.mean_distortion()


# --- SciPy ------------------------------------------------------------------------------------


def by_scipy(net, image, target, start_c):
    """The L2 distance of the paper's attack on one image: L-BFGS-B in float64, c by bisection."""
    x, shape = image.double().flatten().numpy(), image.shape
    t = torch.tensor([target])

    def objective(z, c):
        point = torch.from_numpy(z.copy()).reshape(1, *shape).requires_grad_(True)
        loss = F.cross_entropy(net(point), t)
        (slope,) = torch.autograd.grad(loss, point)
        away = z - x
        return loss.item() + c * away @ away, slope.numpy().ravel() + 2 * c * away

    def solve(c):
        found = scipy.optimize.minimize(
            objective,
            x,
            (c,),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, 1)] * len(x),
            options={"ftol": 1e-10, "gtol": 1e-7, "maxiter": 500},
        ).x
        with torch.no_grad():
            logits = net(torch.from_numpy(found).reshape(1, *shape))
        return float(losses.target_margin(logits, t)) > 0, np.linalg.norm(found - x)

    low, high, best = start_c / 4, start_c * 4, np.inf
    for _ in range(9):
        middle = (low * high) ** 0.5
        won, distance = solve(middle)
        if won:
            low, best = middle, min(best, distance)
        else:
            high = middle
    return best


@pytest.mark.parametrize("name", ["FC10(1e-2)", SMOOTH])
def test_the_faithful_attack_is_per_image_scipy(name):
    found = attacked(name, 24, "cross-entropy")
    net = network(name, DOUBLE)
    try:
        theirs = [
            by_scipy(net, found.originals[k], int(found.targets[k]), float(found.c[k]))
            for k in range(4)
        ]
    finally:
        net.float()
    ratio = found.l2[:4].double() / torch.tensor(theirs, dtype=DOUBLE)
    assert (ratio - 1).abs().max() < 0.015
    assert ratio.mean() < 1.003


# --- gradients --------------------------------------------------------------------------------


def test_the_losses_pass_gradcheck():
    rng = device.generator(0)
    logits = (3 * torch.randn(6, 5, generator=rng, dtype=DOUBLE)).requires_grad_()
    clean = torch.randn(9, 5, generator=rng, dtype=DOUBLE)
    targets = torch.tensor([0, 1, 2, 3, 4, 0])
    rows = torch.tensor([8, 3, 1, 0, 4, 5])
    of_all = torch.arange(9) % 5
    of_all[rows] = targets
    sharpened = losses.sharpened(clean / 50, of_all)
    assert torch.autograd.gradcheck(lambda z: losses.cross_entropy(z, targets), logits)
    assert torch.autograd.gradcheck(lambda z: losses.target_margin(z, targets), logits)
    assert torch.autograd.gradcheck(lambda z: sharpened(z, targets, rows), logits / 1000)
    # what they are
    plain = -logits.log_softmax(1)[torch.arange(6), targets]
    assert torch.allclose(losses.cross_entropy(logits, targets), plain)
    gap = losses.target_margin(logits, targets)
    best = logits.argmax(1) == targets
    assert torch.equal(gap > 0, best)
    hinge = (-losses.target_margin(logits, targets)).clamp_min(0)
    tiny = losses.sharpened(clean / 1e6, of_all)
    assert torch.allclose(tiny(logits, targets, rows), hinge, atol=1e-3)


class Stop(Exception):
    pass


@pytest.mark.parametrize("norm", ["squared", "l2"])
@pytest.mark.parametrize("loss", ["cross-entropy", "sharpened"])
def test_the_penalty_that_is_minimised_passes_gradcheck(norm, loss, monkeypatch):
    # what the engine is given: h with its gradient, the centre and the weight of the quadratic
    net = nn.Sequential(nn.Linear(6, 8), nn.Sigmoid(), nn.Linear(8, 4)).double().eval()
    rng = device.generator(3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    images = torch.rand(5, 6, generator=rng, dtype=DOUBLE)
    given = {}

    def minimize(fun, x0, *box, **settings):
        given.update(settings, fun=fun, box=box, x0=x0)
        raise Stop

    monkeypatch.setattr(penalty.lbfgsb, "minimize", minimize)
    targets = (net(images).argmax(1) + 1) % 4
    with pytest.raises(Stop):
        minimal_adversarial(net, images, targets, loss=loss, norm=norm)
    assert given["box"] == (0.0, 1.0)
    assert torch.equal(given["x0"], images)
    assert torch.equal(given["centre"], images)
    assert (given["weight"] > 0).all()
    rows = torch.arange(5)

    class Whole(torch.autograd.Function):
        @staticmethod
        def forward(context, z):
            value, slope, _ = given["fun"](z, rows)
            away, w = z - given["centre"], given["weight"]
            context.save_for_backward(slope + 2 * w[:, None] * away)
            return value + w * away.square().sum(1)

        @staticmethod
        def backward(context, above):
            return context.saved_tensors[0] * above[:, None]

    at = torch.rand(5, 6, generator=rng, dtype=DOUBLE).requires_grad_()
    assert torch.autograd.gradcheck(Whole.apply, at)


def test_the_lead_and_its_normal():
    # multiples of 1/64: their sums and products are exact, so that the size of a batch, which
    # changes the order of summation on some machines, changes no bit
    net = linear(7, 4, 2).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(64).round_().div_(64)
    x = torch.rand(5, 7, generator=device.generator(4), dtype=DOUBLE).mul(64).round().div(64)
    targets, needed = torch.tensor([0, 1, 2, 3, 0]), torch.linspace(0, 0.4, 5, dtype=DOUBLE)
    whole = problem.Problem(net, x, targets, needed, torch.Size([7]))
    lead, normal = whole.lead_and_normal(x)
    logits = net(x)
    rest = logits.scatter(1, targets[:, None], -torch.inf)
    weight = net[1].weight
    assert torch.allclose(lead, logits[torch.arange(5), targets] - rest.amax(1) - needed)
    assert torch.allclose(normal, weight[targets] - weight[rest.argmax(1)])
    rows = torch.tensor([3, 1])
    part = whole.take(rows)
    assert len(part) == 2
    assert torch.equal(part.lead(x[rows]), whole.lead(x)[rows])
    assert torch.equal(part.needed, needed[rows])
    assert part.shape == whole.shape


# --- the parts --------------------------------------------------------------------------------


def test_to_the_boundary_and_not_beyond():
    net = linear(20, 3, 5).double()
    x = torch.rand(40, 20, generator=device.generator(4), dtype=DOUBLE)
    labels = net(x).argmax(1)
    whole = problem.Problem(net, x, (labels + 1) % 3, x.new_full((40,), 1e-6), torch.Size([20]))
    _, normal = whole.lead_and_normal(x)
    inside = (x + 3 * normal).clamp(0, 1)
    point, success = problem.to_boundary(whole, inside)
    reached = whole.lead(inside) >= 0
    assert reached.any()
    assert success[reached].all()
    assert (whole.lead(point)[success] >= 0).all()
    assert ((point >= 0) & (point <= 1)).all()
    start = whole.lead(x).abs()
    assert (whole.lead(point)[success] < 0.02 * start[success]).all()
    assert ((point - x).norm(dim=1) <= (inside - x).norm(dim=1) + 1e-12)[reached].all()
    away = (x - 3 * normal).clamp(0, 1)
    _, none = problem.to_boundary(whole, away)
    assert torch.equal(none, none & (whole.lead(away) >= 0))
    # from just before the boundary it is followed outward
    short = torch.lerp(x, point, 0.9)
    onward, again = problem.to_boundary(whole, short)
    unclipped = success & ((point > 0) & (point < 1) | (point == x)).all(1)
    assert again[unclipped].all()
    assert (whole.lead(onward)[again] >= 0).all()


def test_the_small_quadratic_programs_meet_their_conditions():
    rng = device.generator(0)
    for q in (1, 2, 3, 5):
        factor = torch.randn(200, q, 8, generator=rng, dtype=DOUBLE)
        factor[:40] *= 1e-4
        matrix, right = factor @ factor.mT, torch.randn(200, q, generator=rng, dtype=DOUBLE)
        right[:40] *= 1e-8
        found = sqp.nonnegative_minimum(matrix, right)
        slope = torch.linalg.vecdot(matrix, found[:, None]) - right
        # a ridge of 1e-6 of the largest diagonal entry keeps the systems regular
        ridge = 2e-6 * matrix.diagonal(dim1=1, dim2=2).amax(1) * found.amax(1)
        unit = (1e-9 * right.abs().amax(1) + ridge)[:, None]
        assert (found >= 0).all()
        assert (slope >= -unit).all()
        assert ((slope * (found > 0)).abs() <= unit).all()


def test_only_a_better_point_replaces_another():
    x = torch.zeros(3, 2)
    whole = problem.Problem(lambda z: z, x, torch.zeros(3).long(), torch.zeros(3), torch.Size([2]))
    found = problem.BestPoints.nothing(whole, 5)
    assert found.square.isinf().all()
    rows = torch.tensor([0, 2])
    found.note(x, rows, torch.full((2, 2), 0.5), torch.tensor([True, False]))
    found.note(x, rows, torch.full((2, 2), 0.7), torch.tensor([True, True]))
    assert torch.allclose(found.square, torch.tensor([0.5, torch.inf, 0.98]))
    assert found.z[0].tolist() == [0.5, 0.5]
    other = problem.BestPoints.nothing(whole.take(rows), 1)
    other.note(x[rows], torch.arange(2), torch.full((2, 2), 0.6), torch.tensor([True, True]))
    other.evaluations += 7
    found.merge(rows, other)
    assert torch.allclose(found.square, torch.tensor([0.5, torch.inf, 0.72]))
    assert found.status.tolist() == [5, 5, 1]
    assert found.evaluations.tolist() == [7, 0, 7]


# --- invariance, precision, rounding ----------------------------------------------------------


@pytest.mark.parametrize("loss", ["margin", "cross-entropy", "sharpened"])
@pytest.mark.parametrize("name", ["FC10(1)", SMOOTH, "FC100-100-10-ReLU"])
def test_success_and_distance_survive_order_company_and_precision(name, loss):
    net, found = network(name), attacked(name, 16, loss)
    n, x = len(found), found.originals
    assert found.success.all()
    assert ((found.images >= 0) & (found.images <= 1)).all()
    # the very images returned, asked for one by one, in other batches, permuted, in float64
    order = torch.randperm(n, generator=device.generator(0))
    asked = {
        "as they are": net(found.images),
        "one by one": torch.cat([net(image[None]) for image in found.images]),
        "in fives": torch.cat([net(part) for part in found.images.split(5)]),
        "permuted": net(found.images[order])[order.argsort()],
        "among others": net(torch.cat([sample(60)[0], found.images]))[-n:],
        "in float64": zoo.load(name).double()(found.images.double()),
    }
    for how, logits in asked.items():
        lead = losses.target_margin(logits, found.targets)
        assert (lead > 0).all(), how
        assert torch.allclose(
            lead.float(), found.overshoot, atol=float(1e-5 * logits.detach().abs().max())
        )
    assert (found.overshoot >= found.margin / 2).all()
    # the same call in another order and other chunks
    again = minimal_adversarial(net, x[order], found.targets[order], loss=loss, chunk=5)
    assert again.success.all()
    tolerance = 3e-3 if loss == "margin" else 1e-2
    if name.endswith("ReLU"):
        tolerance *= 5  # kinks magnify a difference of rounding
    assert torch.allclose(again.distortion, found.distortion[order], rtol=tolerance)
    assert again.mean_distortion() == pytest.approx(found.mean_distortion(), rel=tolerance / 3)
    alone = minimal_adversarial(net, x[:1], found.targets[:1], loss=loss)
    assert torch.allclose(alone.distortion, found.distortion[:1], rtol=tolerance)


@pytest.mark.parametrize("loss", ["margin", "sharpened"])
def test_float32_and_float64_agree(loss):
    single = attacked(SMOOTH, 16, loss)
    net = zoo.load(SMOOTH).double()
    double = minimal_adversarial(net, single.originals.double(), single.targets, loss=loss)
    assert double.success.all()
    assert double.images.dtype == DOUBLE
    assert single.mean_distortion() == pytest.approx(double.mean_distortion(), rel=1e-3)
    assert torch.allclose(single.distortion.double(), double.distortion, rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("FC10(1e-2)", "margin"),
        ("FC10(1e-2)", "cross-entropy"),
        (SMOOTH, "margin"),
        (SMOOTH, "sharpened"),
        ("FC100-100-10-ReLU", "margin"),
    ],
)
def test_without_targets_it_is_the_smallest_of_all_targeted_solves(name, loss):
    net, images = network(name), sample(5)[0]
    labels = net(images).argmax(1)
    nearest = minimal_adversarial(net, images, loss=loss)
    every = [
        minimal_adversarial(net, images, targets, loss=loss)
        for targets in attacks.all_targets(labels).T
    ]
    table = torch.stack([torch.where(one.success, one.distortion, torch.inf) for one in every])
    tolerance = 2e-2 if name.endswith("ReLU") else 3e-3
    assert torch.allclose(nearest.distortion, table.amin(0), rtol=tolerance)
    best = torch.stack([one.targets for one in every]).gather(0, table.argmin(0)[None])[0]
    runner_up = table.topk(2, dim=0, largest=False)[0][1]
    clear = runner_up > table.amin(0) * (1 + 2 * tolerance)
    assert clear.any()
    assert torch.equal(nearest.targets[clear], best[clear])
    assert torch.equal(net(nearest.images).argmax(1), nearest.targets)
    given = minimal_adversarial(net, images, None, labels, loss=loss)
    assert torch.equal(given.images, nearest.images)  # labels=None: the net's own predictions


@pytest.mark.parametrize("name", ["FC10(1)", SMOOTH, "FC100-100-10-ReLU"])
def test_eight_bit_images_are_multiples_of_1_255_and_still_succeed(name):
    images, _, targets = sample(24)
    net = network(name)
    fair = net(images).argmax(1) != targets
    found = minimal_adversarial(net, images[fair], targets[fair], eight_bit=True)
    assert found.success.all()
    steps = (found.images.double() * 255).round()
    assert torch.equal((steps / 255).float(), found.images)
    stored = steps.to(torch.uint8)  # there and back, as a file of 8 bits
    assert torch.equal(net(stored.float() / 255).argmax(1), found.targets)
    assert (wins(found, net) > 0).all()
    free = attacked(name)
    assert (found.distortion >= free.distortion * 0.999).all()
    assert found.mean_distortion() < 1.05 * free.mean_distortion() + 0.5 / 255
    assert torch.allclose(attacks.distortion(found.images, found.originals), found.distortion)


# --- many random cases ------------------------------------------------------------------------


class Random(nn.Module):
    """A small network of a random kind: linear or with one hidden layer, gentle or extreme."""

    KINDS = (
        "linear",
        "no bias",
        "sigmoid",
        "saturated",
        "relu",
        "dead",
        "tanh-relu",
        "log-softmax",
    )

    def __init__(self, seed: int):
        super().__init__()
        rng = device.generator(seed)
        self.kind = self.KINDS[seed % len(self.KINDS)]
        d, classes = int(torch.randint(2, 13, (), generator=rng)), 2 + seed % 5
        self.pixels, self.classes = d, classes
        width = 12
        hidden = self.kind not in ("linear", "no bias", "log-softmax")
        self.first = nn.Linear(d, width if hidden else classes)
        self.last = nn.Linear(width, classes) if hidden else nn.Identity()
        scale = 10.0 ** float(torch.randint(-4, 5, (), generator=rng))
        with torch.no_grad():
            for layer in self.children():
                for parameter in layer.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=rng))
            if self.kind == "no bias":
                self.first.bias.zero_()
            if self.kind == "saturated":
                self.first.weight.mul_(30)
            if self.kind == "dead":
                self.first.bias.sub_(2)
            top = self.last if hidden else self.first
            top.weight.mul_(scale)
            top.bias.mul_(scale)
        self.eval()

    def forward(self, x):
        x = self.first(x)
        if self.kind in ("sigmoid", "saturated"):
            x = x.sigmoid()
        elif self.kind in ("relu", "dead"):
            x = x.relu()
        elif self.kind == "tanh-relu":
            x = x.tanh().relu()
        x = self.last(x)
        return x.log_softmax(1) if self.kind == "log-softmax" else x


def random_case(seed: int, n: int):
    """A random network, ``n`` images with many pixels on the box, and random targets."""
    rng = device.generator(10_000 + seed)
    net = Random(seed)
    images = (torch.rand(n, net.pixels, generator=rng) * 1.6 - 0.3).clamp(0, 1)
    images[: n // 50] = 0.0
    with torch.no_grad():
        labels = net(images).argmax(1)
    step = torch.randint(1, net.classes, (n,), generator=rng)
    return net, images, (labels + step) % net.classes


def is_told_rightly(found, net, images, targets, none=None):
    """No image leaves the box, none is counted wrongly. none: the target of a failure."""
    won, n = found.success, len(images)
    assert ((found.images >= 0) & (found.images <= 1)).all()
    assert torch.equal(found.images[~won], images[~won])
    assert torch.equal(won, ~found.distortion.isnan())
    asked = targets if none is None else torch.where(won, targets, none)
    assert torch.equal(found.targets, asked)
    names = np.array(found.reasons())
    told = {Status.COARSE.message, Status.NO_GRADIENT.message}
    assert set(names[~won.numpy()]) <= {"failed", *told}
    ended = {"settled", "closed", "averaged", "ended", "out of budget"}
    assert set(names[won.numpy()]) <= ended | told
    change = attacks.distortion(found.images, images)
    assert torch.allclose(change[won], found.distortion[won], rtol=1e-5, atol=1e-12)
    order = torch.randperm(n, generator=device.generator(1))
    with torch.no_grad():
        ways = {
            "permuted": net(found.images[order])[order.argsort()],
            "in sevens": torch.cat([net(v) for v in found.images[:700].split(7)]),
            "in batches of 1000": torch.cat([net(v) for v in found.images.split(1000)]),
        }
    for how, logits in ways.items():
        told = won[: len(logits)]
        given = logits.argmax(1) == targets[: len(logits)]
        assert (given & told).sum() == told.sum(), (net.kind, how)
    double = net.double()
    with torch.no_grad():
        lead = losses.target_margin(double(found.images.double()), targets)
    net.float()
    assert (lead[won] > 0).all(), net.kind
    return int(won.sum())


@pytest.mark.slow
def test_100_000_random_cases_none_leaves_the_box_and_none_is_counted_wrongly():
    networks, n, won = 20, 5000, 0
    for seed in range(networks):
        net, images, targets = random_case(seed, n)
        found = minimal_adversarial(net, images, targets, steps=20, chunk=n)
        won += is_told_rightly(found, net, images, targets)
    assert networks * n == 100_000
    assert won > 60_000


@pytest.mark.parametrize("loss", ["cross-entropy", "sharpened"])
def test_some_random_cases_of_the_penalty_method(loss):
    won = 0
    for seed in range(0, 12, 3):
        net, images, targets = random_case(seed, 200)
        found = minimal_adversarial(net, images, targets, loss=loss, budget=150)
        won += is_told_rightly(found, net, images, targets)
    assert won > 300


def test_some_random_cases_without_targets_and_in_eight_bits():
    won = 0
    for seed in (1, 4, 6):
        net, images, targets = random_case(seed, 100)
        with torch.no_grad():
            labels = net(images).argmax(1)
        free = minimal_adversarial(net, images, steps=20)
        assert ((free.targets == -1) == ~free.success).all()
        is_told_rightly(free, net, images, free.targets.clamp_min(0), -1)
        assert (free.targets != labels).all()
        coarse = minimal_adversarial(net, images, targets, steps=20, eight_bit=True)
        won += is_told_rightly(coarse, net, images, targets)
        changed = coarse.images[coarse.success]
        assert torch.equal((changed.double() * 255).round().div(255).float(), changed)
    assert won > 100


# --- a GPU ------------------------------------------------------------------------------------


WITH_KINKS = [pytest.param(n, marks=pytest.mark.long) for n in ("FC100-100-10-ReLU", "CONV")]


@pytest.mark.parametrize("name", ["FC10(1e-2)", SMOOTH, *WITH_KINKS])
@pytest.mark.parametrize("loss", ["margin", "cross-entropy"])
def test_cpu_and_gpu_and_both_precisions_agree(name, loss, gpu):
    where = device.pick("cuda")
    assert not torch.backends.cuda.matmul.allow_tf32
    images, _, targets = sample(60)
    keep = network(name)(images).argmax(1) != targets
    if gpu:  # pretended: slow, and its arithmetic is the processor's
        keep &= torch.arange(len(keep)) < 8
    images, targets = images[keep], targets[keep]
    runs = {}
    for kind in ("cpu", "cuda"):
        for dtype in (torch.float32, DOUBLE):
            net = zoo.load(name).to(kind, dtype)
            found = minimal_adversarial(net, images.to(kind, dtype), targets.to(kind), loss=loss)
            assert found.success.all()
            assert found.images.device.type == kind
            runs[kind, dtype] = found
    first = runs["cpu", torch.float32]
    kinks = name in ("FC100-100-10-ReLU", "CONV")
    for found in runs.values():
        mean = found.mean_distortion()
        assert mean == pytest.approx(first.mean_distortion(), rel=1e-2 if kinks else 2e-3)
        rest = found.distortion.cpu().double() / first.distortion.double()
        assert rest.median() == pytest.approx(1, abs=1e-2 if kinks else 1e-3)
    # a success on one device is one on the other
    moved = runs["cuda", torch.float32]
    lead = losses.target_margin(network(name)(moved.images.cpu()), moved.targets.cpu())
    assert (lead > 0).all()
    assert where.type == "cuda"
