"""The networks are what their names say, and can be taken apart by name."""

import pytest
import torch
from torch import nn

from course_lib import models
from course_lib.data import load_mnist

# (inputs, units) of every weighted layer, from the names and section 4.2; CONV is ours
SHAPES = {
    "FC10(1e-4)": [(784, 10)],
    "FC10(1e-2)": [(784, 10)],
    "FC10(1)": [(784, 10)],
    "FC100-100-10": [(784, 100), (100, 100), (100, 10)],
    "FC200-200-10": [(784, 200), (200, 200), (200, 10)],
    "AE400-10": [(784, 400), (400, 10)],
    "FC100-100-10-ReLU": [(784, 100), (100, 100), (100, 10)],
    "CONV": [(9, 16), (144, 32), (1568, 10)],
    "FC100-100-10@P1": [(784, 100), (100, 100), (100, 10)],
    "FC123-456-10@P1": [(784, 123), (123, 456), (456, 10)],
    "FC100-100-10@P2": [(784, 100), (100, 100), (100, 10)],
}


def weighted(net):
    return [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def test_all_networks_are_here():
    assert list(models.NETWORKS) == list(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_network_has_the_layers_of_its_name(name):
    net = models.build(name)
    assert [(m.weight[0].numel(), len(m.weight)) for m in weighted(net)] == SHAPES[name]
    logits = net(torch.rand(3, 1, 28, 28))
    assert logits.shape == (3, 10)
    assert not torch.allclose(logits.exp().sum(1), torch.ones(3)), "logits, not probabilities"


@pytest.mark.parametrize("name", SHAPES)
def test_a_network_takes_any_pixel_values(name):
    logits = models.build(name)(torch.full((1, 1, 28, 28), -3.0))
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", SHAPES)
def test_a_network_can_be_traced_and_compiled(name):
    net = models.build(name)
    images = torch.rand(2, 1, 28, 28)
    traced = torch.fx.symbolic_trace(net)
    torch.testing.assert_close(traced(images), net(images))
    # without a code generator: that needs a C++ compiler, which a learner may not have
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), net(images))


def test_the_sigmoid_networks_are_sigmoid_and_the_twin_is_not():
    kinds = {type(m) for m in models.build("FC100-100-10").children()}
    assert kinds == {nn.Flatten, nn.Linear, nn.Sigmoid}
    kinds = {type(m) for m in models.build("FC100-100-10-ReLU").children()}
    assert kinds == {nn.Flatten, nn.Linear, nn.ReLU}


def test_a_seed_decides_the_first_weights():
    a, b, c = (models.build("FC100-100-10", seed) for seed in (0, 0, 1))
    assert torch.equal(a.fc1.weight, b.fc1.weight)
    assert not torch.equal(a.fc1.weight, c.fc1.weight)


def test_first_weights_do_not_depend_on_other_random_numbers():
    a = models.build("CONV")
    torch.manual_seed(99)
    torch.rand(7)
    assert torch.equal(a.conv1.weight, models.build("CONV").conv1.weight)


def test_the_halves_networks_start_apart():
    one, other = models.build("FC100-100-10@P1"), models.build("FC100-100-10@P2")
    a, b = one.fc1.weight.flatten(), other.fc1.weight.flatten()
    assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 0.02


@pytest.mark.parametrize("name", ["FC100", "FC10", "fc100-100-10", "", "AlexNet"])
def test_a_wrong_name_lists_the_right_ones(name):
    with pytest.raises(ValueError, match=r"FC100-100-10@P1, FC123-456-10@P1"):
        models.build(name)


def test_activations_before_and_after_a_non_linearity():
    net = models.build("FC100-100-10")
    images = load_mnist("test").sample(37).images
    before = models.activations(net, images, "fc1", batch_size=10)
    after = models.activations(net, images, "sigmoid1")
    by_hand = images.flatten(1) @ net.fc1.weight.T + net.fc1.bias
    torch.testing.assert_close(before, by_hand.detach())
    torch.testing.assert_close(after, 1 / (1 + torch.exp(-by_hand.detach())))
    assert not before.requires_grad


def test_activations_of_a_convolution_are_flattened():
    net = models.build("CONV")
    images = torch.rand(4, 1, 28, 28)
    assert models.activations(net, images, "pool2").shape == (4, 32 * 7 * 7)
    torch.testing.assert_close(models.activations(net, images, "fc1"), net(images).detach())


def test_activations_leave_no_hook_behind():
    net = models.build("FC10(1)")
    with pytest.raises(RuntimeError):
        models.activations(net, torch.rand(2, 1, 5, 5), "fc1")
    assert not net.fc1._forward_hooks


@pytest.mark.parametrize("layer", ["fc4", "sigmoid", "", "Linear"])
def test_a_wrong_layer_lists_the_right_ones(layer):
    with pytest.raises(ValueError, match=r"flatten, fc1, sigmoid1, fc2, sigmoid2, fc3"):
        models.activations(models.build("FC100-100-10"), torch.rand(1, 1, 28, 28), layer)


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), TypeError),
        ([[0.0] * 784], TypeError),
        (torch.zeros(2, 28, 28), ValueError),
    ],
)
def test_what_are_no_images_is_said_in_a_sentence(images, error):
    net = models.build("FC10(1)")
    with pytest.raises(error, match="Images must"):
        models.predictions(net, images)
    with pytest.raises(error, match="Images must"):
        models.activations(net, images, "fc1")


def test_the_error_rate_is_the_share_of_wrong_predictions():
    net, test = models.build("FC10(1)"), load_mnist("test").sample(1000)
    wrong = sum(int(net(x[None]).argmax()) != int(y) for x, y in zip(*vars_of(test), strict=True))
    assert models.error_rate(net, test) == pytest.approx(wrong / 1000)


def vars_of(dataset):
    return dataset.images, dataset.labels
