"""Gradients, cosines and predictions against finite differences, closed forms and SciPy."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
from torch import nn

from course_lib import attacks, transfer, zoo
from course_lib.data import load_mnist
from course_lib.transfer import gradients
from course_lib.transfer.gradients import area, distance, fit_logistic, input_gradients, judge


def affine(weight, bias) -> nn.Sequential:
    net = nn.Sequential(nn.Flatten(), nn.Linear(weight.shape[1], weight.shape[0]))
    net[1].weight.data, net[1].bias.data = weight.clone(), bias.clone()
    return net.double().eval()


@pytest.fixture
def nets():
    rng = torch.Generator().manual_seed(0)
    parts = [torch.randn(n, generator=rng, dtype=torch.float64) for n in ((4, 9), (4,)) * 2]
    return affine(*parts[:2]), affine(*parts[2:])


@pytest.fixture
def images():
    rng = torch.Generator().manual_seed(1)
    return torch.rand(6, 1, 3, 3, generator=rng, dtype=torch.float64)


LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
TARGETS = torch.tensor([1, 2, 3, 0, 2, 3])


def test_the_gradient_is_parallel_to_that_of_the_loss(nets, images):
    found = input_gradients(nets[0], images, LABELS)
    x = images.clone().requires_grad_()
    nn.functional.cross_entropy(nets[0](x), LABELS, reduction="sum").backward()
    cosine = nn.functional.cosine_similarity(found, x.grad.flatten(1))
    assert torch.allclose(cosine, torch.ones_like(cosine))


def test_the_gradient_against_finite_differences(nets, images):
    net = nn.Sequential(*nets[0], nn.Tanh(), nn.Linear(4, 4).double()).eval()
    found = input_gradients(net, images, LABELS, TARGETS)

    def lead(flat, k):
        with torch.no_grad():
            z = net(torch.from_numpy(flat).reshape(1, 1, 3, 3))[0]
        return float(z[TARGETS[k]] - z[LABELS[k]])

    for k, image in enumerate(images):
        want = scipy.optimize.approx_fprime(image.flatten().numpy(), lead, 1e-7, k)
        np.testing.assert_allclose(found[k].numpy(), want, atol=1e-5)


def test_a_network_that_is_very_sure_still_has_a_gradient(nets, images):
    sure = affine(nets[0][1].weight.data * 1e4, nets[0][1].bias.data).float()
    x = images.float().requires_grad_()
    labels = sure(x).argmax(1).detach()
    nn.functional.cross_entropy(sure(x), labels, reduction="sum").backward()
    assert (x.grad.flatten(1).norm(dim=1) == 0).any(), "the loss itself has none"
    assert (input_gradients(sure, x.detach(), labels).norm(dim=1) > 0).all()


def test_cosines_of_linear_networks_are_those_of_their_weights(nets, images):
    found = transfer.gradient_cosines(*nets, images, LABELS, TARGETS)
    a, b = ((net[1].weight[TARGETS] - net[1].weight[LABELS]).detach().numpy() for net in nets)
    want = [1 - scipy.spatial.distance.cosine(u, v) for u, v in zip(a, b, strict=True)]
    np.testing.assert_allclose(found.numpy(), want, atol=1e-12)
    assert (found < 0).any(), "the sign is kept"
    opposite = affine(-nets[0][1].weight.data, -nets[0][1].bias.data)
    against = transfer.gradient_cosines(nets[0], opposite, images, LABELS, TARGETS)
    assert torch.allclose(against, -torch.ones(6).double())
    with pytest.raises(ValueError, match="two shapes"):
        transfer.cosines(torch.zeros(2, 3), torch.zeros(1, 3))


def test_random_directions_have_the_null_of_1_28():
    rng = torch.Generator().manual_seed(2)
    a, b = (torch.randn(4000, 784, generator=rng) for _ in range(2))
    found = transfer.cosines(a, b)
    assert float(found.square().mean().sqrt()) == pytest.approx(1 / 28, rel=0.03)
    assert abs(float(found.mean())) < 4 / 28 / 4000**0.5


def test_distances_of_a_linear_network_are_those_to_its_planes(nets, images):
    table = attacks.linear_distance(nets[0], images, labels=LABELS) / 3  # rms over nine pixels
    towards = distance(nets[0], images, LABELS, TARGETS)
    assert torch.allclose(towards, table.gather(1, TARGETS[:, None])[:, 0])
    z = nets[0](images).detach()
    runner = z.scatter(1, LABELS[:, None], -torch.inf).argmax(1)
    assert torch.allclose(distance(nets[0], images, LABELS), table.gather(1, runner[:, None])[:, 0])


def test_labels_and_targets_are_checked(nets, images):
    with pytest.raises(ValueError, match="there are 6 images"):
        input_gradients(nets[0], images, LABELS[:2])
    with pytest.raises(ValueError, match="its own label"):
        input_gradients(nets[0], images, LABELS, LABELS)


# --- predictions -------------------------------------------------------------------------------


def test_the_area_is_mann_and_whitneys():
    rng = np.random.RandomState(0)
    score, truth = rng.randint(0, 5, 80).astype(float), rng.rand(80) < 0.3
    u = scipy.stats.mannwhitneyu(score[truth], score[~truth]).statistic
    assert area(score, truth) == pytest.approx(u / (truth.sum() * (~truth).sum()))
    assert area(truth.astype(float), truth) == 1
    assert area(np.zeros(80), truth) == 0.5


def test_the_regression_finds_the_coefficients_it_was_made_with():
    rng = np.random.RandomState(1)
    x = rng.randn(40_000, 2)
    y = rng.rand(40_000) < scipy.special.expit(-1 + 2 * x[:, 0] - 0.5 * x[:, 1])
    np.testing.assert_allclose(fit_logistic(x, y, ridge=0), [-1, 2, -0.5], atol=0.06)


def features(rng, n):
    names = ("distance", "towards", "cosine", "size", "reach")
    return {name: rng.randn(n) for name in names}


def test_what_decides_is_found_and_what_does_not_is_not():
    rng = np.random.RandomState(2)
    table = features(rng, 600)
    fooled = rng.rand(600) < scipy.special.expit(3 * table["cosine"])
    found = judge(table, fooled)
    assert found.auc["cosine"]["low"] > 0.8
    assert found.skill["cosine"]["low"] > 0.2
    assert found.auc["margin"]["low"] < 0.5 < found.auc["margin"]["high"]
    assert found.skill["margin"]["low"] < 0.03
    assert found.auc["margin and cosine"]["low"] > 0.8
    assert (found.fitted, found.judged) == (300, 300)
    assert found.fooled == fooled.mean()


def test_a_feature_that_fits_by_chance_does_not_pass_on_other_images():
    rng = np.random.RandomState(3)
    areas = []
    for seed in range(15):
        table = features(rng, 100)
        fooled = rng.rand(100) < 0.5
        areas.append(judge(table, fooled, seed).auc["margin, cosine and size"]["value"])
    # four features on 50 images fit them well (area about 0.7); on the others they guess
    assert np.mean(areas) == pytest.approx(0.5, abs=0.06)


def test_too_few_fooled_images_give_no_prediction():
    rng = np.random.RandomState(4)
    fooled = np.zeros(200, bool)
    fooled[:12] = True
    assert judge(features(rng, 200), fooled) is None


def test_the_images_and_features_of_a_prediction():
    few = load_mnist("train", device="cpu").sample(240, seed=2)
    source, target = (zoo.load(n, device="cpu") for n in ("FC100-100-10", "FC10(1e-4)"))
    examples = transfer.adversarial_set(source, few)
    found = transfer.who_is_fooled(source, target, examples)
    with torch.no_grad():
        right = [net(few.images).argmax(1) == few.labels for net in (source, target)]
        rows = right[0] & right[1] & examples.changed
        fooled = (target(examples.adversarial).argmax(1) != few.labels)[rows]
    assert found.fitted + found.judged == int(rows.sum())
    assert found.fooled == pytest.approx(float(fooled.double().mean()))
    assert set(found.auc) == set(gradients.FEATURES) == set(found.skill)
    # to first order a linear target is fooled where the change reaches its plane
    assert found.auc["first order"]["value"] > 0.75
    half = torch.zeros(len(few), dtype=torch.bool)
    half[:120] = True
    fewer = transfer.who_is_fooled(source, target, examples, rows=half & rows)
    assert fewer.fitted + fewer.judged == int((half & rows).sum())
