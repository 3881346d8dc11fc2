"""Lesson 01: what the generic tests of the exercises do not cover."""

import importlib
import math

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F

from course_lib import models, paper, record, training, zoo
from course_lib.data import load_mnist
from course_lib.exercises import find, judge, sources
from course_lib.exercises.lesson01.error_in_batches import AT_ONCE
from course_lib.exercises.lesson01.kl_sparsity import CAPPED
from course_lib.exercises.lesson01.sigmoid_layer_backward import AUTOGRAD
from course_lib.exercises.lesson01.stable_cross_entropy import EPSILON, OVERFLOW, READY_MADE
from course_lib.exercises.lesson01.training_step import HISTORY

paired_difference = find("paired-difference").solution()


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


def vectors(only_a, only_b, n):
    rows = torch.arange(n)
    return rows < only_a, (rows >= only_a) & (rows < only_a + only_b)


def coverage(interval, p, q, n):
    """The exact probability that interval(only_a, only_b) holds p - q, over all counts."""
    a, b = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    possible = a + b <= n
    a, b = a[possible], b[possible]
    weights = scipy.stats.multinomial.pmf(np.stack([a, b, n - a - b], axis=1), n, [p, q, 1 - p - q])
    ends = np.array([interval(i, j) for i, j in zip(a.tolist(), b.tolist(), strict=True)])
    return float(weights[(ends[:, 0] <= p - q) & (p - q <= ends[:, 1])].sum())


@pytest.mark.parametrize(("p", "q"), [(0.02, 0.02), (0.1, 0.02), (0.3, 0.1), (0.05, 0.2)])
def test_the_paired_interval_covers_what_it_says(p, q):
    """By enumeration of all outcomes, without a formula of it; Wald's does not."""
    n = 30

    def wald(a, b):
        d = (a - b) / n
        reach = 1.96 * math.sqrt(((a + b) / n - d * d) / n)
        return d - reach, d + reach

    ours = coverage(lambda a, b: paired_difference(*vectors(a, b, n))[1:], p, q, n)
    assert ours > 0.94
    assert ours > coverage(wald, p, q, n)


def test_without_a_discordant_image_the_interval_still_has_a_length():
    difference, low, high = paired_difference(*vectors(0, 0, 98))
    assert difference == 0
    assert (low, high) == pytest.approx((-1.959964 * 2**0.5 / 100, 1.959964 * 2**0.5 / 100))


@pytest.mark.parametrize("epsilon", [1e-5, 1e-7, 1e-8, 1e-10, 1e-12, 1e-15])
@pytest.mark.parametrize("how", ["add", "clamp"])
def test_any_small_number_in_the_logarithm_is_told(epsilon, how):
    def answer(logits, labels):
        picked = logits.softmax(1)[torch.arange(len(labels)), labels]
        picked = picked + epsilon if how == "add" else picked.clamp(min=epsilon)
        return -picked.log().mean()

    assert judge(find("stable-cross-entropy"), answer).sentences == [EPSILON]


def test_a_foreseen_mistake_is_recognised_however_it_is_written():
    def step(net, images, labels, learning_rate, decay):
        loss = F.nll_loss(net(images).log_softmax(1), labels)
        loss = loss + sum(decay / 2 * (p * p).sum() for p in net.parameters())
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        for p, slope in zip(net.parameters(), slopes, strict=True):
            p.data -= learning_rate * slope
        return loss.item()

    assert judge(find("training-step"), step).mistake == "biases decay"

    def sparsity(activations, target):
        terms = target * torch.log(target / activations)
        terms = terms + (1 - target) * torch.log((1 - target) / (1 - activations))
        return terms.mean(0).sum()

    assert judge(find("kl-sparsity"), sparsity).mistake == "per image"


def picked(table, labels):
    return table[torch.arange(len(labels)), labels]


def test_extreme_logits_find_out_what_double_precision_hides():
    def double(logits, labels):
        return -picked(logits.double().softmax(1), labels).log().mean()

    def tiny(logits, labels):
        return -(picked(logits.double().softmax(1), labels) + 1e-300).log().mean()

    def no_shift(logits, labels):
        logits = logits.double()
        return (logits.exp().sum(1).log() - picked(logits, labels)).mean()

    def row_mean(logits, labels):
        logits = logits - logits.mean(1, keepdim=True)
        return (logits.exp().sum(1).log() - picked(logits, labels)).mean()

    exercise = find("stable-cross-entropy")
    wanted = "logarithm of the softmax in double precision"
    assert judge(exercise, double).mistake == wanted
    assert judge(exercise, tiny).sentences == [EPSILON]
    assert judge(exercise, no_shift).sentences == [OVERFLOW]
    assert judge(exercise, row_mean).mistake == "shifted by the row's mean"


def test_the_ready_made_cross_entropy_is_refused_by_any_name():
    exercise = find("stable-cross-entropy")
    for answer in (F.cross_entropy, torch.nn.CrossEntropyLoss()):
        assert judge(exercise, lambda z, y, f=answer: f(z, y)).sentences == [READY_MADE]
    assert judge(exercise, lambda z, y: F.nll_loss(z.log_softmax(1), y)).status == "PASS"


@pytest.mark.parametrize("low", [0.05, 1e-2, 1e-3, 1e-4])
def test_a_dead_unit_needs_a_gradient(low):
    def clamped(activations, target):
        mean = activations.mean(0).clamp(low, 1 - low)
        terms = target * (target / mean).log()
        return (terms + (1 - target) * ((1 - target) / (1 - mean)).log()).sum()

    assert judge(find("kl-sparsity"), clamped).sentences == [CAPPED]


@pytest.mark.parametrize("guard", [1e-7, 1e-8, 1e-12])
def test_a_guard_that_does_no_harm_passes(guard):
    def guarded(activations, target):
        mean = activations.mean(0)
        terms = target * (target / (mean + guard)).log()
        return (terms + (1 - target) * ((1 - target) / (1 - mean + guard)).log()).sum()

    assert judge(find("kl-sparsity"), guarded).status == "PASS"


def test_autograd_is_told_and_so_is_history():
    def backward(x, weight, h, g):
        z = torch.logit(h, eps=1e-7).requires_grad_()
        (dz,) = torch.autograd.grad((z.sigmoid() * g).sum(), z)
        return dz @ weight, dz.T @ x, dz.sum(0)

    assert judge(find("sigmoid-layer-backward"), backward).sentences == [AUTOGRAD]

    def step(net, images, labels, learning_rate, decay):
        optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate)
        loss = F.cross_entropy(net(images), labels) + training.weight_decay(net, decay, "half")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    assert judge(find("training-step"), step).sentences == [HISTORY]
    detached = judge(find("training-step"), lambda *a, **k: step(*a, **k).detach())
    assert detached.status == "PASS"


def test_the_decay_finds_layers_in_layers_and_keeps_its_default():
    def decay(net, strength, convention="paper", modules=torch.nn.Module.modules):
        if strength < 0 or convention not in training.CONVENTIONS:
            raise ValueError("no such decay")
        total = torch.zeros(())
        for layer in modules(net):
            weight = getattr(layer, "weight", None)
            if weight is not None and weight.requires_grad:
                k = len(weight) if convention == "paper" else 2
                total = total + strength * weight.square().sum() / k
        return total

    exercise = find("weight-decay")
    assert judge(exercise, lambda n, s, c="paper": decay(n, s, c)).status == "PASS"

    def on_top(net, strength, convention="paper"):
        return decay(net, strength, convention, torch.nn.Module.children)

    assert judge(exercise, on_top).mistake == "layers inside a layer left out"
    other = judge(exercise, lambda n, s, c="half": decay(n, s, c))
    assert other.mistake == "half by default"


def test_the_batch_size_is_obeyed():
    def whole(net, images, labels, batch_size=256):
        return float((net(images).argmax(1) != labels).double().mean())

    def own_size(net, images, labels, batch_size=256):
        pairs = zip(images.split(100), labels.split(100), strict=True)
        return sum(int((net(x).argmax(1) != y).sum()) for x, y in pairs) / len(labels)

    for answer in (whole, own_size):
        assert judge(find("error-in-batches"), answer).sentences == [AT_ONCE]

    def one_by_one(net, images, labels, batch_size=256):
        pairs = zip(images.split(1), labels, strict=True)
        return np.mean([int(net(x).argmax()) != int(y) for x, y in pairs])

    assert judge(find("error-in-batches"), one_by_one).status == "PASS"


def test_the_interval_may_end_at_one():
    own = sources.own_copy(paired_difference)

    def clamped(wrong_a, wrong_b):
        d, low, high = own(wrong_a, wrong_b)
        return d, max(-1.0, low), min(1.0, high)

    assert judge(find("paired-difference"), clamped).status == "PASS"


def test_no_gradient_of_the_decay_is_told():
    def decay(net, strength, convention="paper"):
        total = 0.0
        for p in net.parameters():
            if p.ndim > 1 and p.requires_grad:
                factor = 1 / len(p) if convention == "paper" else 0.5
                total += strength * factor * p.square().sum().item()
        return total

    assert judge(find("weight-decay"), decay).mistake == "no gradient"


def test_the_bug_makes_the_error_too_small_as_the_lesson_says():
    exercise = find("error-in-batches")
    buggy = sources.build(exercise.buggy(), exercise.solution(), exercise.function)
    net, test = zoo.load("FC100-100-10", device="cpu"), load_mnist("test", device="cpu")
    right = models.error_rate(net, test)
    with torch.no_grad():
        assert buggy(net, test.images, test.labels, 256) < right - 1e-5
        assert buggy(net, test.images, test.labels, 100) == pytest.approx(right)


def test_the_bug_has_no_sign_as_the_lesson_says():
    net, test = zoo.load("FC100-100-10", device="cpu"), load_mnist("test", device="cpu")
    wrong = (models.predictions(net, test.images) != test.labels).double()
    of_batches = {
        size: np.mean([float(b.mean()) for b in wrong.split(size)]) for size in (256, 3000)
    }
    assert of_batches[256] < float(wrong.mean()) < of_batches[3000]
    assert float(wrong[-16:].sum()) == 0


def test_what_the_lesson_says_of_table_1_is_what_the_record_says():
    networks = record.read()["networks"]
    off = {
        name: abs(networks[name]["ours"]["summary"]["test"]["mean"] - row.test)
        for name, row in paper.TABLE1.items()
    }
    assert off.pop("FC10(1)") < 0.02
    assert max(off.values()) < 0.0025
    for name in ("FC10(1e-2)", "FC10(1)"):  # the printed formula is farther off
        tests = [networks[name][v]["summary"]["test"]["mean"] for v in ("ours", "literal")]
        ours, literal = (abs(test - paper.TABLE1[name].test) for test in tests)
        assert ours < literal
    train = networks["AE400-10"]["ours"]["summary"]["train"]["mean"]
    assert 1.8 < train / paper.TABLE1["AE400-10"].errors["train"] < 2.2
    for name in ("FC100-100-10", "FC200-200-10"):  # would the paper's stand out?
        errors = [run["test"] for run in networks[name]["ours"]["seeds"].values()]
        n, spread = len(errors), np.std(errors, ddof=1)
        reach = scipy.stats.t.ppf(0.975, n - 1) * spread * (1 + 1 / n) ** 0.5
        assert abs(np.mean(errors) - paper.TABLE1[name].test) < reach
    assert zoo.recipe("FC100-100-10").decay == 4e-5


def test_the_references_are_built():
    module = importlib.import_module("course_lib.exercises._references.01_training_mnist_networks")
    assert set(module.BUGGY) == {"error-in-batches"}
