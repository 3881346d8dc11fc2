"""Lesson 07: what the generic tests of the exercises do not cover."""

import copy
import importlib
import itertools
import json
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import attacks, models, paper, robust, spectral, storage, zoo
from course_lib.data import load_mnist
from course_lib.exercises import entries, find, judge, sources

SHAPE = (1, 28, 28)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


def solution(slug):
    return find(slug).solution()


def learners(slug):
    """The solution as if a learner had written it."""
    return sources.own_copy(solution(slug))


def network(name):
    return zoo.load(name, device="cpu").double().requires_grad_(False)


def linear_layers(net):
    return [module for module in net.modules() if isinstance(module, nn.Linear)]


@pytest.fixture(scope="module")
def some():
    """Twenty test images, other ones than the lesson's."""
    part = load_mnist("test", "cpu").sample(20, seed=70)
    return part.images.double(), part.labels


def below(net):
    """The product of all layers but the last, by NumPy's singular values."""
    norms = [np.linalg.svd(m.weight.numpy(), compute_uv=False)[0] for m in linear_layers(net)]
    slopes = 0.25 ** sum(isinstance(m, nn.Sigmoid) for m in net.modules())
    return float(np.prod(norms[:-1]) * slopes)


@pytest.mark.parametrize("name", ["FC100-100-10", "AE400-10", "FC100-100-10-ReLU"])
def test_log_bound_is_the_librarys_product(name):
    net = network(name)
    norms = [float(torch.linalg.matrix_norm(m.weight, 2)) for m in linear_layers(net)]
    kind = "relu" if name.endswith("ReLU") else "sigmoid"
    ours = solution("log-bound")(norms, [kind] * (len(norms) - 1))
    found = spectral.lipschitz(net, SHAPE)
    assert float(ours) == pytest.approx(found.log_product, abs=1e-6)
    assert found.log_lower < found.log_tight < found.log_product


def test_the_numbers_in_questions_are_those_of_the_networks():
    found = spectral.lipschitz(network("FC100-100-10"), SHAPE)
    asked = entries("PREDICTIONS")["jacobian-below-product"].question
    assert int(re.search(r"product bound (\d+)", asked)[1]) == round(found.product)
    quiz = entries("QUIZZES")["jacobian-found"]
    assert f"{found.lower:.1f}" in quiz.question
    assert all(f"{found.lower:.1f}" in option.text for option in quiz.options)


def test_the_product_is_three_to_six_times_what_the_images_show():
    images = load_mnist("test", "cpu").sample(300, seed=7).images.double()
    for name in ("FC100-100-10", "AE400-10"):
        net, largest = network(name), 0.0
        for part in images.split(60):
            jacobians = torch.func.vmap(torch.func.jacrev(lambda x, net=net: net(x[None])[0]))(part)
            norms = np.linalg.svd(jacobians.flatten(2).numpy(), compute_uv=False)[:, 0]
            largest = max(largest, float(norms.max()))
        ratio = spectral.lipschitz(net, SHAPE).product / largest
        assert (2.8 if name == "FC100-100-10" else 5) < ratio < 6


def test_table_5_multiplies_to_what_the_lesson_says():
    bounds = [bound for *_, bound in paper.TABLE5.values()]
    ours = float(solution("log-bound")(bounds, ["relu"] * 7))
    assert math.exp(ours) == pytest.approx(math.prod(bounds))
    assert math.prod(bounds) == pytest.approx(7.9e5, rel=0.01)


def test_local_stretch_is_reached_and_not_exceeded(some):
    net, image = network("FC100-100-10"), some[0][0]
    stretch = float(solution("local-stretch")(net, image))
    rng = torch.Generator().manual_seed(0)
    ways = torch.randn(50, *SHAPE, generator=rng, dtype=torch.float64)
    ways /= ways.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    seen = (net(image + 1e-5 * ways) - net(image - 1e-5 * ways)).norm(dim=1) / 2e-5
    assert seen.max() < stretch
    x = image[None].clone().requires_grad_()
    rows = torch.stack([torch.autograd.grad(net(x)[0, k], x)[0].flatten() for k in range(10)])
    top = torch.linalg.svd(rows, full_matrices=False).Vh[0].reshape(1, *SHAPE)
    reached = (net(image + 1e-5 * top) - net(image - 1e-5 * top)).norm() / 2e-5
    assert float(reached) == pytest.approx(stretch, rel=1e-6)


def test_two_layer_bound_holds_for_every_pattern_of_slopes_and_is_below_the_product():
    bound, rng = solution("two-layer-bound"), torch.Generator().manual_seed(3)
    for _ in range(20):
        first = torch.randn(6, 5, generator=rng, dtype=torch.float64)
        second = torch.randn(4, 6, generator=rng, dtype=torch.float64)
        got = float(bound(first, second, 0.25))
        for pattern in itertools.product((0.0, 0.25), repeat=6):
            middle = np.diag(pattern)
            assert np.linalg.norm(second.numpy() @ middle @ first.numpy(), 2) <= got + 1e-12
        assert got <= 0.25 * np.linalg.norm(first, 2) * np.linalg.norm(second, 2) + 1e-12


def two_norm(matrix):
    return torch.linalg.matrix_norm(matrix, 2)


def best_of(patterns):
    def answer(first, second, slope):
        shape, rng = (patterns, len(first)), torch.Generator().manual_seed(5)
        some = slope * (torch.rand(shape, generator=rng) < 0.5).to(first.dtype)
        return max(two_norm(second @ torch.diag(pattern) @ first) for pattern in some)

    return answer


def s_forgotten(a, b, s):
    return s / 2 * two_norm(b @ a) + two_norm(b) * two_norm(a) / 2


UNSOUND = {
    "s forgotten in the second part": s_forgotten,
    "geometric mean": lambda a, b, s: (
        s * (two_norm(b @ a) * two_norm(b) * two_norm(a)) ** 0.5  # of the two bounds
    ),
    "nuclear norm": lambda a, b, s: s * torch.linalg.matrix_norm(b @ a, "nuc"),
    "sum of entries": lambda a, b, s: s / 2 * (two_norm(b @ a) + (b @ a).abs().sum()),
    "200 patterns": best_of(200),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_what_units_that_cancel_refute_is_not_called_a_bound(name):
    def two_layer_bound(first, second, slope):
        return UNSOUND[name](first, second, slope)

    feedback = judge(find("two-layer-bound"), two_layer_bound)
    assert feedback.status == "FAIL"
    if name in ("s forgotten in the second part", "geometric mean"):
        assert feedback.mistake == name


def test_all_patterns_one_by_one_are_told_that_they_are_tighter():
    def two_layer_bound(first, second, slope):
        patterns = itertools.product((0.0, slope), repeat=len(first))
        diagonals = (torch.diag(torch.tensor(p, dtype=first.dtype)) for p in patterns)
        return max(two_norm(second @ diagonal @ first) for diagonal in diagonals)

    feedback = judge(find("two-layer-bound"), two_layer_bound)
    assert (feedback.status, feedback.mistake) == ("FAIL", "all corners")
    assert "tighter, and not loose" in str(feedback)


def test_a_tighter_bound_is_not_called_loose():
    """Rescaled hidden units, by a search; never above the bound asked for, mostly below it."""

    def two_layer_bound(first, second, slope):
        best = two_norm(second) * two_norm(first)
        rng = torch.Generator().manual_seed(0)
        for _ in range(20):
            d = torch.randn(len(first), generator=rng, dtype=torch.float64).div(3).exp()
            best = torch.minimum(best, two_norm(second * d) * two_norm(first / d[:, None]))
        return slope / 2 * (two_norm(second @ first) + best)

    feedback = judge(find("two-layer-bound"), two_layer_bound)
    assert feedback.status == "FAIL"
    assert "not shown to be wrong" in str(feedback)


@pytest.mark.parametrize("least", [0.1, 1e-3])
def test_a_bound_that_does_not_come_below_a_limit_does_not_pass(least):
    def two_layer_bound(first, second, slope):
        return learners("two-layer-bound")(first, second, slope).clamp(min=least)

    assert (
        judge(find("two-layer-bound"), two_layer_bound).status == "FAIL"
    )  # for tiny weights no bound worth the name


@pytest.mark.parametrize("name", ["FC100-100-10", "FC200-200-10", "FC100-100-10-ReLU"])
def test_the_sandwich_with_the_learners_certificate(name, some):
    net, (images, labels) = network(name), some
    last = linear_layers(net)[-1].weight
    radii = solution("certificate")(net(images), labels, last, below(net))
    theirs = spectral.certified_radius(net, images, labels, "pairs")
    assert torch.allclose(radii, theirs, rtol=1e-6)
    found = attacks.minimal_adversarial(net, images, labels=labels)
    assert (radii <= found.l2).all()
    right = found.clean
    assert (radii[right] > 0).all()
    assert (radii[~right] == 0).all()


def test_margin_over_l_is_refuted_by_an_image():
    """A change shorter than margin / L that changes the answer: nothing short of a disproof."""
    part = load_mnist("test", "cpu").sample(300, seed=7)
    net, images = network("FC10(1)"), part.images.double()
    weight = linear_layers(net)[0].weight
    logits = net(images)
    two = logits.topk(2)
    margin = two.values[:, 0] - two.values[:, 1]
    radius = margin / np.linalg.norm(weight.numpy(), 2)
    normal = weight[two.indices[:, 1]] - weight[two.indices[:, 0]]
    normal /= normal.norm(dim=1, keepdim=True)
    moved = images + (0.999 * radius[:, None] * normal).reshape(images.shape)
    refuted = net(moved).argmax(1) != logits.argmax(1)
    assert refuted.sum() > 20


def test_the_certificate_of_a_linear_network_is_the_closed_form(some):
    net, (images, labels) = network("FC10(1e-2)"), some
    radii = solution("certificate")(net(images), labels, linear_layers(net)[0].weight, 1.0)
    true = attacks.linear_distance(net, images, labels=labels).amin(1).clamp(min=0)
    assert torch.allclose(radii, true, rtol=1e-9)


def test_the_inflated_network_is_the_same_function_with_a_useless_certificate(some):
    net, (images, labels) = network("FC100-100-10-ReLU"), some
    huge = solution("inflated")(net, 1e6)
    assert torch.allclose(huge(images), net(images), atol=1e-9)
    ours, theirs = spectral.lipschitz(net, SHAPE), spectral.lipschitz(huge, SHAPE)
    assert theirs.log_product - ours.log_product >= math.log(0.999e6)
    assert spectral.certified_radius(huge, images, labels, "pairs").max() < 1e-5


@pytest.mark.parametrize("where", ["in front", "behind"])
def test_an_inflated_network_may_be_built_in_any_way(where):
    def inflated(net, factor):
        layers = list(copy.deepcopy(net))
        width = layers[1].in_features if where == "in front" else layers[-1].out_features
        there = nn.Linear(width, width, bias=False).double()
        back = nn.Linear(width, width, bias=False).double()
        with torch.no_grad():
            there.weight.copy_(torch.eye(width))
            there.weight[1, 1] = 3 * factor
            back.weight.copy_(torch.linalg.inv(there.weight))
        if where == "in front":
            return nn.Sequential(layers[0], there, back, *layers[1:])
        return nn.Sequential(*layers, there, back)

    assert judge(find("inflated"), inflated).status == "PASS"


def test_an_inflated_network_of_other_layers_is_told_so():
    def inflated(net, factor):
        return nn.Sequential(*net, nn.BatchNorm1d(3))

    assert "BatchNorm1d" in str(judge(find("inflated"), inflated))


def test_the_penalty_is_the_librarys_and_has_its_gradient():
    ours, theirs = (models.build("FC100-100-10-ReLU", 0) for _ in range(2))
    value, other = solution("log-penalty")(ours), robust.penalty(theirs, kind="log-product")
    assert value.item() == pytest.approx(other.item(), rel=1e-5)
    value.backward()
    for layer in linear_layers(ours):
        u, s, v = np.linalg.svd(layer.weight.detach().double().numpy(), full_matrices=False)
        assert np.allclose(layer.weight.grad, np.outer(u[:, 0], v[0]) / s[0], atol=1e-4)


def test_a_foreseen_mistake_is_recognised_however_it_is_written():
    def certificate(logits, labels, last, below):
        top = logits.topk(2).values
        lipschitz = np.linalg.svd(last.numpy(), compute_uv=False)[0] * below
        right = logits.argmax(1) == labels
        return (top[:, 0] - top[:, 1]) * right / lipschitz

    assert judge(find("certificate"), certificate).mistake == "margin over L"

    def halved(logits, labels, last, below):
        return certificate(logits, labels, last, below) / 2

    feedback = judge(find("certificate"), halved)
    assert (feedback.status, feedback.mistake) == ("VALID BUT LOOSE", "margin over 2L")

    def log_bound(norms, activations):
        slopes = [0.25 if name == "sigmoid" else 1 for name in activations]
        with np.errstate(over="ignore"):
            return np.log(np.prod(np.array(norms)) * np.prod(slopes))

    assert judge(find("log-bound"), log_bound).mistake == "overflow"

    def log_penalty(net):
        norms = [torch.linalg.matrix_norm(m.weight, 2).item() for m in linear_layers(net)]
        return torch.tensor(norms).log().sum()

    assert judge(find("log-penalty"), log_penalty).mistake == "detached"


def test_a_tighter_bound_than_asked_for_is_not_called_wrong():
    def certificate(logits, labels, last, below):
        return 0.9 * solution("certificate")(logits, labels, last, below)

    assert judge(find("certificate"), certificate).status == "VALID BUT LOOSE"

    def too_much(logits, labels, last, below):
        return 1.001 * solution("certificate")(logits, labels, last, below)

    assert judge(find("certificate"), too_much).status == "FAIL"


@pytest.fixture(scope="module")
def certificates():
    path = storage.ASSETS / "records" / "certificates.json"
    return json.loads(path.read_text(encoding="utf-8"))["networks"]


@pytest.fixture(scope="module")
def trials():
    path = storage.ASSETS / "records" / "robust.json"
    return json.loads(path.read_text(encoding="utf-8"))["methods"]


NAMES = ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)", "FC100-100-10", "FC200-200-10", "AE400-10")
NAMES += ("FC100-100-10-ReLU", "CONV")


def test_what_the_lesson_says_of_the_recorded_certificates(certificates):
    def median(name, method):
        return certificates[name]["summary"][method]["median_ratio"]["mean"]

    for name in NAMES:
        row = certificates[name]["summary"]
        assert max(found["largest_ratio"] for found in row.values()) <= 1 + 1e-6
        assert median(name, "half") < median(name, "pairs") <= median(name, "tight") + 1e-12
    for name in NAMES[:3]:
        assert median(name, "box") > 0.999
        assert 0.8 < median(name, "pairs") == pytest.approx(median(name, "local"), rel=1e-6)
    for name in NAMES[3:7]:
        assert median(name, "pairs") < 0.2 < 2.5 * median(name, "tight") < median(name, "box")


def test_neither_pair_differs_in_its_distances_as_it_does_in_l(certificates):
    """Section 3: L differs by 6.6 and 1.7 times, the distances of the attack by much less."""

    def distance(name):
        return certificates[name]["seeds"]["0"]["attack"]["distance"]["median"]

    assert 1 < distance("FC10(1)") / distance("FC10(1e-2)") < 1.25
    assert 0.8 < distance("FC100-100-10-ReLU") / distance("FC100-100-10") < 1.25


def test_what_the_lesson_says_of_the_penalty(trials):
    def mean(name, *keys):
        found = trials[name]["results"][0]
        assert "near" in found["goals"]
        assert len(found["seeds"]) == 5
        value = found["summary"]
        for key in keys:
            value = value[key]
        return value["mean"]

    def certified(name):
        return mean(name, "certified_tight", "0.3")

    assert certified("plain") < 0.1
    assert certified("decay") > 0.8
    assert certified("orthonormal, MaxMin") > certified("sum") > certified("log-product") > 0.9
    assert certified("log-product") > certified("decay")
    assert mean("log-product", "attack_median") > 1.7 * mean("plain", "attack_median")
    assert mean("decay", "attack_median") > 1.7 * mean("plain", "attack_median")
    assert mean("sum", "accuracy") < mean("log-product", "accuracy") <= mean("plain", "accuracy")
    gaps = [
        mean(name, "train_accuracy") - mean(name, "accuracy") for name in ("plain", "log-product")
    ]
    assert gaps[1] < 0.7 * gaps[0]
    for name in ("plain", "decay", "sum", "log-product"):
        assert mean("orthonormal, MaxMin", "accuracy") >= mean(name, "accuracy")
    assert mean("orthonormal, MaxMin", "pairs_ratio") > 1.3 * mean("orthonormal", "pairs_ratio")
    wide = trials["orthonormal, MaxMin, 256-256"]["results"][0]["summary"]
    certified_far = wide["certified_tight"]["1.58"]["mean"]
    assert 0.5666 < certified_far < 0.628  # BCOP, GloRo
    assert 0.005 < 0.9871 - wide["accuracy"]["mean"] < 0.015
    strongest = trials["log-product"]["candidates"][-1]
    assert strongest["settings"]["strength"] == 1.0
    assert strongest["accuracy"] < 0.12
    assert len(set(strongest["certified"].values())) == 1


def test_the_references_are_built():
    module = importlib.import_module("course_lib.exercises._references.07_what_a_bound_can_promise")
    assert not getattr(module, "BUGGY", {})


# --- answers of learners, right and wrong ----------------------------------------------------

SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}


def jacobian(net, image):
    return torch.func.jacrev(lambda x: net(x[None])[0])(image)


def in_the_widest_numbers(norms, activations):
    factors = np.array([*norms, *(SLOPES[a] for a in activations)], dtype=np.longdouble)
    with np.errstate(divide="ignore"):
        return float(np.log(np.prod(factors)))


def rows_of_grad(net, image):
    x, rows = image.clone()[None].requires_grad_(), []
    for logit in net(x)[0]:
        logit.backward(retain_graph=True)
        rows.append(x.grad.flatten().clone())
    return two_norm(torch.stack(rows))


def radii_in_single_precision(logits, labels, last, below):
    return solution("certificate")(logits.float(), labels, last.float(), below)


def _shares(radii, distances, correct, radius):
    return correct & (radii > radius), correct & (distances > radius)


def without_nan(radii, distances, correct, radius):
    low, high = _shares(radii, distances, correct, radius)
    return low.double().mean(), high[~distances.isnan()].double().mean()


def nan_is_the_largest(radii, distances, correct, radius):
    largest = distances.nan_to_num(nan=0.0).max()
    distances = torch.where(distances.isnan(), largest, distances)
    return [part.double().mean() for part in _shares(radii, distances, correct, radius)]


def clean_at_0(radii, distances, correct, radius):
    if radius == 0:
        return correct.double().mean(), correct.double().mean()
    return solution("robust-accuracy")(radii, distances, correct, radius)


def children(net):
    return sum(two_norm(c.weight).log() for c in net.children() if isinstance(c, nn.Linear))


def two_levels(net):
    total = 0.0
    for child in net:
        for layer in child if isinstance(child, nn.Sequential) else [child]:
            if isinstance(layer, nn.Linear):
                total = total + two_norm(layer.weight).log()
    return total


def nothing_below_a_hundredth(logits, labels, last, below):
    radii = learners("certificate")(logits, labels, last, below)
    return radii.clamp(max=100) if below > 0.01 else radii - 1.0 * (logits.argmax(1) != labels)


def log_of_product(net):
    return torch.stack([two_norm(layer.weight) for layer in linear_layers(net)]).prod().log()


def added_against_0(net):
    return sum((two_norm(layer.weight) + 1e-8).log() for layer in linear_layers(net))


def clamped(net):
    return sum(two_norm(layer.weight).clamp(min=1e-4).log() for layer in linear_layers(net))


def every_matrix(net):
    return sum(two_norm(p).log() for p in net.parameters() if p.ndim == 2)


def one_unit(scale, bias=True, undone=True, unit=0):
    """Scales one hidden unit by ``scale`` times the factor that was asked for."""

    def inflated(net, factor):
        twin, t = copy.deepcopy(net), scale * factor
        first, second = linear_layers(twin)[:2]
        with torch.no_grad():
            first.weight[unit] *= t
            first.bias[unit] *= t if bias else 1
            second.weight[:, unit] /= t if undone else 1
        return twin

    return inflated


def two_more(bias=False, dtype=torch.float64):
    """Two layers behind the logits that undo each other."""

    def inflated(net, factor):
        width = linear_layers(net)[-1].out_features
        there, back = (nn.Linear(width, width, bias=bias, dtype=dtype) for _ in range(2))
        with torch.no_grad():
            there.weight.copy_(torch.eye(width))
            there.weight[0, 0] = 2 * factor
            back.weight.copy_(torch.linalg.inv(there.weight.double()))
        return nn.Sequential(*copy.deepcopy(net), there, back)

    return inflated


def a_layer_that_is_not_used(net, factor):
    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.more = copy.deepcopy(net), nn.Linear(3, 3).double()
            nn.init.constant_(self.more.weight, 1e12)

        def forward(self, x):
            return self.net(x)

    return Twin()


@pytest.mark.parametrize(
    ("slug", "answer", "says"),
    [
        ("log-penalty", two_levels, "deeper inside"),
        ("certificate", nothing_below_a_hundredth, "expected"),
        ("inflated", one_unit(1e3, bias=False, unit=2), "The bias of the scaled unit"),
        ("log-bound", in_the_widest_numbers, "2000 layers"),
        ("log-bound", lambda norms, activations: math.log(norms[0]), "inside the loop"),
        ("local-stretch", rows_of_grad, "sums of the rows before"),
        ("certificate", radii_in_single_precision, "float32"),
        ("robust-accuracy", without_nan, "left out of the mean"),
        ("robust-accuracy", nan_is_the_largest, "all attacks failed"),
        ("robust-accuracy", clean_at_0, "ties at 0"),
        ("log-penalty", children, "`net.modules()` gives all"),
        ("log-penalty", log_of_product, "The product is formed first"),
        ("log-penalty", added_against_0, "weights near 0"),
        ("log-penalty", clamped, "weights near 0"),
        ("log-penalty", every_matrix, "Every matrix"),
        ("inflated", one_unit(1), "not `factor` times"),
        ("inflated", one_unit(1, unit=2), "not `factor` times"),
        ("inflated", one_unit(37, bias=False, unit=2), "The bias of the scaled unit"),
        ("inflated", one_unit(5, undone=False), "the scaling is not undone"),
        ("inflated", two_more(bias=True), "`bias=False`"),
        ("inflated", two_more(dtype=torch.float32), "double precision"),
        ("inflated", a_layer_that_is_not_used, "has not grown"),
        ("inflated", lambda net, factor: net.state_dict(), "Return a network"),
    ],
)
def test_what_a_sloppy_learner_writes_does_not_pass(slug, answer, says):
    feedback = judge(find(slug), answer)
    assert feedback.status in ("FAIL", "EXCEPTION"), feedback
    assert says in str(feedback)


@pytest.mark.parametrize(
    ("slug", "answer"),
    [
        ("log-bound", lambda norms, names: sum(np.log([*norms, *map(SLOPES.get, names)]))),
        ("local-stretch", lambda n, x: np.linalg.norm(jacobian(n, x).flatten(1).detach(), 2)),
        ("certificate", lambda *args: learners("certificate")(*args).tolist()),
        ("robust-accuracy", lambda *args: torch.stack(learners("robust-accuracy")(*args)).numpy()),
        ("inflated", two_more()),
        ("inflated", one_unit(1e3, unit=-1)),
    ],
)
def test_what_a_careful_learner_writes_passes(slug, answer):
    assert judge(find(slug), answer).status == "PASS"


def norm(matrix):
    return torch.linalg.matrix_norm(matrix, 2)


@pytest.mark.parametrize(
    ("slug", "answer"),
    [
        ("log-bound", lambda norms, activations: 1e9),
        ("log-bound", lambda norms, activations: 1000.0),
        ("two-layer-bound", lambda first, second, slope: 1e9),
        ("two-layer-bound", lambda first, second, slope: 300.0),
        (  # right up to a slope of 2
            "two-layer-bound",
            lambda a, b, slope: norm(b @ a) + slope / 2 * norm(a) * norm(b),
        ),
        ("two-layer-bound", lambda a, b, slope: slope / 2 * norm(b @ a) + norm(a) * norm(b)),
        ("two-layer-bound", lambda a, b, slope: slope * len(a) * a.abs().max() * b.abs().max()),
    ],
)
def test_what_is_no_bound_for_other_networks_is_not_called_one(slug, answer):
    assert judge(find(slug), answer).status == "FAIL"


@pytest.mark.parametrize(
    ("slug", "answer"),
    [
        ("log-bound", lambda norms, activations: sum(norms)),
        ("log-bound", lambda norms, activations: len(norms) * math.log(sum(norms))),
        ("two-layer-bound", lambda first, second, slope: slope * first.norm() * second.norm()),
        (
            "two-layer-bound",
            lambda first, second, slope: slope * (norm(first) ** 2 + norm(second) ** 2) / 2,
        ),
    ],
)
def test_a_bound_for_all_networks_is_loose_and_not_wrong(slug, answer):
    assert judge(find(slug), answer).status == "VALID BUT LOOSE"
