"""Lesson 03: what the generic tests of the exercises do not cover."""

import importlib

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn

from course_lib import zoo
from course_lib.attacks.first_order import fgsm
from course_lib.attacks.linear import exact_minimum, linear_distance, linear_map
from course_lib.attacks.measures import distortion
from course_lib.data import load_mnist
from course_lib.exercises import find, judge, sources
from course_lib.exercises.lesson03.penalty_objective import HISTORY

nearest_in_box = find("nearest-in-box").solution()
nearest_plane = find("nearest-plane").solution()
penalty_objective = find("penalty-objective").solution()


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def few():
    return load_mnist("test", device="cpu").sample(40, seed=11)


@pytest.fixture(scope="module")
def net():
    return zoo.load("FC10(1)", device="cpu").double().requires_grad_(False)


def test_the_references_are_built():
    module = importlib.import_module(
        "course_lib.exercises._references.03_how_far_is_the_nearest_mistake"
    )
    assert set(module.BUGGY) == {"attack-summary"}


def test_the_exercises_solutions_are_what_the_library_finds(net, few):
    weight, bias = linear_map(net, (1, 28, 28))
    x = few.images.double().flatten(1)
    labels = net(few.images.double()).argmax(1)
    distances, classes = nearest_plane(weight, bias, x, labels)
    table = linear_distance(net, few.images)
    assert torch.allclose(distances, table.amin(1))
    assert torch.equal(classes, table.argmin(1))
    exact = exact_minimum(net, few.images)
    for k, (y, j) in enumerate(zip(labels.tolist(), exact.targets.tolist(), strict=True)):
        point = nearest_in_box(x[k], weight[j] - weight[y], float(bias[j] - bias[y]))
        assert torch.allclose(point, exact.images[k].flatten(), atol=1e-9)


def test_the_scale_of_the_logits_moves_no_mistake(net, few):
    """The quiz, and what the sharpened loss rests on."""
    louder = nn.Sequential(net, Times(10.0))
    assert torch.allclose(
        exact_minimum(net, few.images).l2, exact_minimum(louder, few.images).l2, rtol=1e-9
    )


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def shortest_by_penalty(net, image, target):
    """The smallest r on the path of the penalty that reaches the target, by bisection in c."""
    pixels = image.numpy().ravel()
    bounds = scipy.optimize.Bounds(-pixels, 1 - pixels)
    target = torch.tensor([target])

    def objective(flat, c):
        r = torch.from_numpy(flat).reshape(image.shape)
        value, slope = penalty_objective(net, image, r, target, c)
        return float(value), slope.numpy().ravel()

    low, high, best = 1e-6, 1e3, np.inf
    for _ in range(40):
        c = (low * high) ** 0.5
        found = scipy.optimize.minimize(
            objective, np.zeros(len(pixels)), (c,), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"ftol": 1e-15, "gtol": 1e-10},
        )  # fmt: skip
        z = net(image + torch.from_numpy(found.x).reshape(image.shape))
        if int(z.argmax()) == int(target):
            low, best = c, min(best, float(np.linalg.norm(found.x)))
        else:
            high = c
    return best


def test_the_paper_is_right_for_two_classes_and_not_for_three():
    """The quiz: the loss's levels are parallel to the boundary only if there is one other class."""
    rng = torch.Generator().manual_seed(3)
    image = 0.5 + 0.2 * torch.rand(1, 6, generator=rng, dtype=torch.float64)
    for classes, exact in ((2, True), (3, False)):
        net = nn.Sequential(nn.Linear(6, classes)).double().requires_grad_(False)
        net[0].weight.copy_(torch.randn(classes, 6, generator=rng))
        net[0].bias.zero_()
        target = int(net(image).argsort(dim=1)[0, -2])  # the runner-up
        least = float(exact_minimum(net, image, torch.tensor([target])).l2)
        over = shortest_by_penalty(net, image, target) / least - 1
        assert over > -1e-6
        assert (over < 1e-3) == exact


def test_the_found_summary_flatters_a_weak_attack(net, few):
    exercise = find("attack-summary")
    buggy = sources.build(exercise.buggy(), exercise.solution(), exercise.function)
    images = load_mnist("test", device="cpu").sample(300, seed=2)
    x, labels = images.images.double(), images.labels
    tried = fgsm(net, x, labels, 0.02)
    back = torch.where(tried.success.reshape(-1, 1, 1, 1), tried.images, x)
    answers = net(x).argmax(1), net(back).argmax(1)
    rate, size = buggy(x, back, labels, *answers)
    right_rate, right_size = exercise.solution()(x, back, labels, *answers)
    assert rate > 3 * right_rate
    assert size < right_size / 2
    assert right_size == pytest.approx(
        float(distortion(back, x)[(answers[0] == labels) & (answers[1] != labels)].mean())
    )


def test_a_foreseen_mistake_is_recognised_however_it_is_written():
    def clipped(x, w, d):
        gap = w @ x + d
        return np.clip((x - min(float(gap), 0.0) / (w**2).sum() * w).numpy(), 0, 1)

    assert judge(find("nearest-in-box"), clipped).mistake == "clipped afterwards"

    def margins(weight, bias, x, labels):
        z = torch.stack([weight @ image + bias for image in x])
        best = z[range(len(x)), labels]
        z[range(len(x)), labels] = -torch.inf
        return best - z.max(1).values, z.max(1).indices

    assert judge(find("nearest-plane"), margins).mistake == "smallest margin"

    def printed(adversarial, images, stddev):
        return torch.stack(
            [
                x + stddev * (a - x) / (a - x).norm()
                for a, x in zip(adversarial, images, strict=True)
            ]
        )

    assert judge(find("amplify"), printed).mistake == "the printed formula"


@pytest.mark.parametrize("at_zero", [1e-12, 1e-30, 0.0])
def test_the_root_at_zero_is_told(at_zero):
    def objective(net, images, r, targets, c):
        r = r.clone().requires_grad_()
        losses = nn.functional.cross_entropy(net(images + r), targets, reduction="none")
        values = c * (r.flatten(1).square().sum(1) + at_zero).sqrt() + losses
        (slopes,) = torch.autograd.grad(values.sum(), r)
        return values.detach(), slopes

    feedback = judge(find("penalty-objective"), objective)
    if at_zero:  # a small number in the root will do
        assert feedback.status == "PASS"
    else:
        assert feedback.mistake == "NaN at 0"


def test_results_with_a_history_are_told():
    def objective(net, images, r, targets, c):
        r = r.detach().clone().requires_grad_()
        losses = nn.functional.cross_entropy(net(images + r), targets, reduction="none")
        (slopes,) = torch.autograd.grad(losses.sum(), r)
        sizes = r.detach().flatten(1).norm(dim=1)
        unit = nn.functional.normalize(r.detach().flatten(1), dim=1).reshape(r.shape)
        return c * sizes + losses, slopes + c * unit

    assert judge(find("penalty-objective"), objective).sentences == [HISTORY]


# --- right and wrong answers of the kinds that learners gave ----------------------------------


def newton(stop):
    def nearest_in_box(x, w, d):
        mu = 0.0
        while True:
            raw = x + mu * w
            point = raw.clamp(0, 1)
            value = w @ point + d
            if stop(value):
                return point
            mu -= value / w[raw == point].square().sum()

    return nearest_in_box


def test_a_newton_search_that_rounding_never_ends_does_not_pass():
    feedback = judge(find("nearest-in-box"), newton(lambda value: value >= 0), 1)
    assert feedback.status == "FAIL"
    assert "never quite reaches 0, by rounding" in feedback.sentence
    assert judge(find("nearest-in-box"), newton(lambda value: value >= -1e-12)).status == "PASS"


def bisection(halvings):
    def nearest_in_box(x, w, d):
        low, high = 0.0, 1.0
        if w @ x + d >= 0:
            return x.tolist()
        while w @ (x + high * w).clamp(0, 1) + d < 0:
            high *= 2
        for _ in range(halvings):
            middle = (low + high) / 2
            short = w @ (x + middle * w).clamp(0, 1) + d < 0
            low, high = (middle, high) if short else (low, middle)
        return (x + low * w).clamp(0, 1).tolist()

    return nearest_in_box


def test_a_search_that_ends_early_falls_short_and_a_list_keeps_its_digits():
    assert judge(find("nearest-in-box"), bisection(60)).status == "PASS"
    assert judge(find("nearest-in-box"), bisection(10)).status == "FAIL"
    assert "does not reach the plane" in judge(find("nearest-in-box"), bisection(20)).sentence
    for tolerance in (1e-3, 1e-5, 1e-6):
        feedback = judge(find("nearest-in-box"), newton(lambda v, t=tolerance: v >= -t))
        assert "content too early" in feedback.sentence


def test_a_weight_of_0_is_tried():
    def nearest_in_box(x, w, d):
        if w @ x + d >= 0:
            return x.clone()
        leaves, lower = torch.where(w > 0, 1 - x, -x) / w, 0.0
        for upper in [*leaves.sort().values.tolist(), np.inf]:
            slope = float(w[leaves > lower].square().sum())
            value = float(w @ (x + lower * w).clamp(0, 1) + d)
            if slope > 0 and lower - value / slope <= upper:
                break
            lower = upper
        return (x + (lower - value / slope) * w).clamp(0, 1)

    assert "two of the weights are 0" in judge(find("nearest-in-box"), nearest_in_box).sentence


@pytest.mark.parametrize(
    "refuses", [lambda a, b: len(a) != len(b), lambda a, b: a.numel() != b.numel()]
)
def test_two_shapes_are_refused_whichever_they_are(refuses):
    def own(adversarial, images):
        if refuses(adversarial, images):
            raise ValueError("two shapes")
        return (adversarial.flatten(1) - images.flatten(1)).square().mean(1).sqrt()

    assert "some pairs of two shapes are refused" in judge(find("distortion"), own).sentence


@pytest.mark.parametrize("small", [1e-6, 1e-8, 1e-10, 1e-12])
def test_a_small_number_under_the_root_is_told(small):
    def own(adversarial, images):
        if adversarial.shape != images.shape:
            raise ValueError("two shapes")
        return ((adversarial - images).flatten(1).square().mean(1) + small).sqrt()

    assert "small number added under the root" in judge(find("distortion"), own).sentence


def objective(loss, small=0.0):
    def penalty_objective(net, images, r, targets, c):
        r = r.detach().clone().requires_grad_()
        losses = loss(net(images + r), targets)
        (slopes,) = torch.autograd.grad(losses.sum(), r)
        r = r.detach()
        sizes = r.flatten(1).norm(dim=1)
        each = (sizes + small).clamp(min=1e-12).reshape(-1, *[1] * (r.ndim - 1))
        return c * sizes + losses.detach(), c * r / each + slopes

    return penalty_objective


@pytest.mark.parametrize("small", [0.0, 1e-12, 1e-8])
def test_the_logarithm_of_a_softmax_does_not_pass(small):
    def loss(logits, targets):
        return -(logits.softmax(1).gather(1, targets[:, None])[:, 0] + small).log()

    feedback = judge(find("penalty-objective"), objective(loss))
    assert feedback.status == "FAIL"
    assert feedback.sentence.startswith("The logarithm of a softmax")


def test_a_small_number_beside_the_norm_does_not_pass():
    def loss(logits, targets):
        return nn.functional.cross_entropy(logits, targets, reduction="none")

    assert judge(find("penalty-objective"), objective(loss)).status == "PASS"
    feedback = judge(find("penalty-objective"), objective(loss, 1e-5))
    assert "a change of a thousandth" in feedback.sentence


def test_28_is_not_the_root_of_every_number_of_pixels():
    def size(adversarial, images):
        if adversarial.shape != images.shape:
            raise ValueError("two shapes")
        return (adversarial - images).flatten(1).norm(dim=1) / 28

    def stretched(adversarial, images, stddev):
        change = adversarial - images
        factor = 28 * stddev / change.flatten(1).norm(dim=1)
        return images + factor.reshape(-1, *[1] * (images.ndim - 1)) * change

    for slug, answer in (("distortion", size), ("amplify", stretched)):
        assert judge(find(slug), answer).mistake == "28 for every image size"


def test_planes_at_0_and_far_away_are_tried():
    def table(weight, bias, x, labels, small):
        z = x @ weight.T + bias
        lead = z.gather(1, labels[:, None]) - z
        return lead / ((weight[labels][:, None] - weight).norm(dim=2) + small)

    def without_zeros(weight, bias, x, labels):
        found = table(weight, bias, x, labels, 1e-30)
        return found.where(found != 0, torch.inf).min(dim=1)

    def with_epsilon(weight, bias, x, labels):
        found = table(weight, bias, x, labels, 1e-8)
        return found.scatter(1, labels[:, None], torch.inf).min(dim=1)

    assert judge(find("nearest-plane"), without_zeros).mistake == "zeros left out"
    assert "tiny weights" in judge(find("nearest-plane"), with_epsilon).sentence
