"""FGSM and DeepFool, on linear networks against the closed form."""

import pytest
import torch
from torch import nn

from course_lib import device as devices
from course_lib import zoo
from course_lib.attacks.first_order import deepfool, fgsm
from course_lib.attacks.linear import exact_minimum, linear_distance, linear_map
from course_lib.attacks.measures import distortion
from course_lib.data import load_mnist


@pytest.fixture
def slack():
    """A linear network of 4 classes and images for which the box is far away."""
    rng = devices.generator(4)
    net = nn.Sequential(nn.Flatten(), nn.Linear(30, 4)).double().requires_grad_(False)
    with torch.no_grad():
        net[1].weight.copy_(0.1 * torch.randn(4, 30, generator=rng))
        net[1].bias.copy_(0.02 * torch.randn(4, generator=rng))
    x = 0.5 + 0.02 * torch.randn(15, 1, 5, 6, generator=rng, dtype=torch.float64)
    return net, x


def test_deepfool_is_the_closed_form_on_a_linear_network(slack):
    net, x = slack
    wanted = linear_distance(net, x)
    for overshoot in (0.02, 0.5):
        found = deepfool(net, x, overshoot=overshoot)
        assert found.success.all()
        l2 = (found.images - x).flatten(1).norm(dim=1)
        assert torch.allclose(l2, (1 + overshoot) * wanted.amin(1), rtol=1e-3)
        assert torch.allclose(found.distortion, l2 / 30**0.5)
    assert torch.equal(deepfool(net, x).predictions, wanted.argmin(1))


def test_fgsm_is_the_best_step_of_its_size_on_two_classes(slack):
    """Of all changes of at most ε per pixel it lowers the margin most: by ε ||w||_1."""
    net, x = slack
    two = nn.Sequential(nn.Flatten(), nn.Linear(30, 2)).double().requires_grad_(False)
    with torch.no_grad():
        two[1].weight.copy_(net[1].weight[:2])
        two[1].bias.copy_(net[1].bias[:2])
    weight, _ = linear_map(two, x.shape[1:])
    labels = two(x).argmax(1)
    before, found = two(x), fgsm(two, x, labels, 0.01)
    assert float((found.images - x).abs().max()) == pytest.approx(0.01)
    assert torch.allclose(found.distortion, torch.full((15,), 0.01).double())
    rows = torch.arange(15)
    margin = before[rows, labels] - before[rows, 1 - labels]
    after = two(found.images)
    after = after[rows, labels] - after[rows, 1 - labels]
    assert torch.allclose(margin - after, 0.01 * (weight[0] - weight[1]).abs().sum())
    assert torch.equal(found.success, after < 0)
    enough = fgsm(two, x, labels, float(margin.max() / (weight[0] - weight[1]).abs().sum()) * 1.01)
    assert enough.success.all()


def test_success_is_what_the_network_says_of_the_returned_images():
    net = zoo.load("FC100-100-10", device="cpu")
    few = load_mnist("test", device="cpu").sample(60, seed=2)
    for found in (fgsm(net, few.images, few.labels, 0.05), deepfool(net, few.images, few.labels)):
        with torch.no_grad():
            assert torch.equal(found.success, net(found.images).argmax(1) != few.labels)
        assert found.images.min() >= 0
        assert found.images.max() <= 1
        assert torch.equal(found.distortion, distortion(found.images, few.images))
    assert 0.2 < found.success.double().mean() <= 1
    tired = deepfool(net, few.images, few.labels, steps=0)
    assert torch.equal(tired.images, few.images)
    with torch.no_grad():
        clean = net(few.images).argmax(1)
    assert torch.equal(tired.success, clean != few.labels)
    assert not fgsm(net, few.images, epsilon=0.0).success.any()


def test_deepfool_is_near_the_exact_minimum_and_never_below_it():
    net = zoo.load("FC10(1e-2)", device="cpu")
    few = load_mnist("test", device="cpu").sample(60, seed=2)
    found, exact = deepfool(net, few.images), exact_minimum(net, few.images)
    assert found.success.all()
    ratio = found.distortion / exact.distortion
    assert ratio.min() > 0.9999
    assert ratio.mean() < 1.2


def test_a_misclassified_image_stays_as_it_is(slack):
    net, x = slack
    wrong = (net(x).argmax(1) + 1) % 4
    found = deepfool(net, x, wrong)
    assert found.success.all()
    assert torch.equal(found.images, x)


def test_the_network_and_the_images_are_left_alone(slack):
    net, x = slack
    net.requires_grad_(True)
    before = [p.clone() for p in net.parameters()]
    kept = x.clone()
    fgsm(net, x, epsilon=0.1)
    deepfool(net, x)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(x, kept)
    with torch.no_grad():
        assert fgsm(net, x, epsilon=0.5).success.any()


@pytest.mark.parametrize("attack", [fgsm, deepfool])
def test_bad_input_is_said(attack, slack):
    net, x = slack
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\]"):
        attack(net, x - 1)
    with pytest.raises(ValueError, match="labels have the shape"):
        attack(net, x, torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="from 0 to 3"):
        attack(net, x, torch.full((15,), 4))
    with pytest.raises(ValueError, match="epsilon"):
        fgsm(net, x, epsilon=-0.1)
