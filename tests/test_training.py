"""The loss is the paper's, the optimum is the optimum, a run can be repeated."""

import numpy as np
import pytest
import scipy.optimize
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import models, training
from course_lib.data import Dataset, load_mnist


@pytest.fixture(scope="module")
def few():
    return load_mnist("train", "cpu").sample(600, seed=4)


def by_hand(net, share):
    return sum(
        share(m) * w * w
        for m in net.modules()
        if isinstance(m, nn.Linear | nn.Conv2d)
        for w in m.weight.detach().double().flatten().tolist()
    )


@pytest.mark.parametrize("name", ["FC10(1)", "FC100-100-10", "CONV"])
def test_the_decay_is_the_sum_that_is_written(name):
    net = models.build(name)
    for parameter in net.parameters():
        parameter.data += 0.01  # biases are not 0: they must not count
    units = {m: m.weight.shape[0] for m in net.modules() if hasattr(m, "weight")}
    paper = training.weight_decay(net, 0.3, "paper")
    half = training.weight_decay(net, 0.3, "half")
    assert paper.item() == pytest.approx(by_hand(net, lambda m: 0.3 / units[m]), rel=1e-5)
    assert half.item() == pytest.approx(by_hand(net, lambda m: 0.15), rel=1e-5)


def test_the_decay_has_the_gradient_of_a_square():
    net = models.build("FC10(1)")
    training.weight_decay(net, 0.5, "half").backward()
    torch.testing.assert_close(net.fc1.weight.grad, 0.5 * net.fc1.weight.detach())
    assert net.fc1.bias.grad is None


def test_frozen_weights_do_not_decay():
    net = models.build("AE400-10")
    net.fc1.requires_grad_(False)
    only_last = 0.5 * float(net.fc2.weight.detach().square().sum())
    assert training.weight_decay(net, 1.0, "half").item() == pytest.approx(only_last, rel=1e-5)


def test_a_wrong_decay_is_refused():
    net = models.build("FC10(1)")
    with pytest.raises(ValueError, match="paper"):
        training.weight_decay(net, 1.0, "l2")
    with pytest.raises(ValueError, match="weights grow"):
        training.weight_decay(net, -1.0)


def test_training_learns_and_ends_in_eval_mode(few):
    net = models.build("FC100-100-10")
    history = training.train(net, few, epochs=40, progress=False)
    assert not net.training
    assert len(history.loss) == 40
    assert history.loss[-1] < 0.05 < 1 < history.loss[0]
    assert models.error_rate(net, few) == 0


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 6])
def test_a_handful_of_steps_is_training_too(few, steps):
    net = models.build("FC100-100-10")
    before = net.fc1.weight.detach().clone()
    training.train(net, few, epochs=steps, batch_size=len(few), progress=False)
    assert not torch.equal(net.fc1.weight, before)


def test_the_same_seed_gives_the_same_network(few):
    weights = []
    for seed in (3, 3, 4):
        net = models.build("FC100-100-10")
        training.train(net, few, epochs=2, seed=seed, progress=False)
        weights.append(net.fc3.weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_penalty_is_part_of_the_loss(few):
    norms = []
    for strength in (0.0, 10.0):
        net = models.build("FC100-100-10")

        def penalty(net, strength=strength):
            return strength * net.fc3.bias.square().sum()

        training.train(net, few, epochs=5, penalty=penalty, progress=False)
        norms.append(float(net.fc3.bias.detach().norm()))
    assert norms[1] < norms[0] / 2


def test_batches_can_come_from_elsewhere(few):
    seen = []

    def inverted(dataset, batch_size, generator):
        for images, labels in training.shuffled_batches(dataset, batch_size, generator):
            seen.append(len(images))
            yield 1 - images, labels

    net = models.build("FC100-100-10")
    training.train(net, few, epochs=30, batches=inverted, progress=False)
    assert seen == [128] * 4 * 30
    negative = Dataset(1 - few.images, few.labels, "inverted", few.index)
    assert models.error_rate(net, negative) < 0.15 < 0.3 < models.error_rate(net, few)


def test_an_epoch_shows_every_image_once_but_for_the_last_few(few):
    counted = Dataset(torch.arange(600.0), torch.arange(600), "counted", torch.arange(600))
    generator = torch.Generator().manual_seed(0)
    shown = torch.cat([y for _, y in training.shuffled_batches(counted, 128, generator)])
    assert len(shown) == 512
    assert len(set(shown.tolist())) == 512
    assert shown.tolist() != sorted(shown.tolist())


def test_a_loss_that_is_no_number_stops_the_run(few):
    net = models.build("FC10(1)")
    with pytest.raises(FloatingPointError, match="epoch 1"):
        training.train(
            net,
            few,
            epochs=3,
            penalty=lambda net: net.fc1.bias.sum() * float("nan"),
            progress=False,
        )


def test_a_wrong_convention_is_refused_before_any_work(few):
    net = models.build("FC10(1)")
    with pytest.raises(ValueError, match="convention"):
        training.train(net, few, epochs=1, convention="Paper")
    with pytest.raises(ValueError, match="convention"):
        training.fit_softmax(
            net.fc1, few.images.flatten(1), few.labels, decay=1, convention="PAPER"
        )


@pytest.mark.parametrize("setting", ["epochs", "learning_rate", "batch_size"])
def test_settings_must_be_positive(few, setting):
    with pytest.raises(ValueError, match=f"{setting} must be positive"):
        training.train(models.build("FC10(1)"), few, **{"epochs": 1, setting: 0})


def test_an_empty_training_set_is_refused(few):
    with pytest.raises(ValueError, match="no images"):
        training.train(models.build("FC10(1)"), few[:0], epochs=1)


def scipy_optimum(dataset, decay, convention):
    """The same convex problem for SciPy, with autograd's gradient and no change of coordinates."""
    x, y = dataset.images.flatten(1).double(), dataset.labels
    share = decay / 10 if convention == "paper" else decay / 2

    def objective(flat):
        parameters = torch.tensor(flat, requires_grad=True)
        weight, bias = parameters[:7840].reshape(10, 784), parameters[7840:]
        loss = F.cross_entropy(x @ weight.T + bias, y) + share * weight.square().sum()
        loss.backward()
        return loss.item(), parameters.grad.numpy()

    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0, "gtol": 1e-7, "maxcor": 30}
    found = scipy.optimize.minimize(
        objective, np.zeros(7850), jac=True, method="L-BFGS-B", options=options
    )
    return found.fun, found.x[:7840].reshape(10, 784)


@pytest.mark.parametrize(("decay", "convention"), [(1.0, "half"), (1e-2, "half"), (1e-2, "paper")])
def test_the_convex_fit_is_scipys_optimum(few, decay, convention):
    layer = nn.Linear(784, 10)
    history = training.fit_softmax(
        layer,
        few.images.flatten(1),
        few.labels,
        decay=decay,
        convention=convention,
        progress=False,
    )
    value, weight = scipy_optimum(few, decay, convention)
    assert history.gradient <= 1e-6
    assert history.loss[-1] == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(layer.weight.detach().numpy(), weight, atol=2e-3 * abs(weight).max())


def test_the_convex_fit_does_not_depend_on_where_it_starts(few):
    weights = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        layer = nn.Linear(784, 10)
        order = torch.randperm(len(few))
        training.fit_softmax(
            layer, few.images.flatten(1)[order], few.labels[order], decay=1e-2, progress=False
        )
        weights.append(layer.weight.detach())
    torch.testing.assert_close(weights[0], weights[1], atol=1e-4, rtol=0)


def test_a_convex_fit_that_fails_leaves_the_layer_alone(few):
    layer = nn.Linear(784, 10)
    before = layer.weight.detach().clone()
    with pytest.raises(RuntimeError, match="more iterations"):
        training.fit_softmax(
            layer, few.images.flatten(1), few.labels, decay=1e-4, iterations=3, progress=False
        )
    assert torch.equal(layer.weight, before)


def test_without_decay_there_is_no_optimum_to_find(few):
    with pytest.raises(ValueError, match="no unique optimum"):
        training.fit_softmax(nn.Linear(784, 10), few.images.flatten(1), few.labels, decay=0)


def test_the_sparsity_term_is_the_divergence_of_bernoullis():
    active = torch.rand(40, 7, generator=torch.Generator().manual_seed(1))
    found = training.kl_sparsity(active, 0.05)
    wanted, seen = (torch.distributions.Bernoulli(p) for p in (torch.tensor(0.05), active.mean(0)))
    torch.testing.assert_close(found, torch.distributions.kl_divergence(wanted, seen).sum())
    assert training.kl_sparsity(torch.full((3, 5), 0.2), 0.2).item() == pytest.approx(0, abs=1e-6)


def test_units_that_are_always_off_cost_much_but_not_infinitely():
    off = torch.zeros(4, 3, requires_grad=True)
    value = training.kl_sparsity(off, 0.1)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(off.grad).all()


def test_the_autoencoder_is_as_sparse_as_it_is_told(few):
    shares = {}
    for strength in (0.0, 30.0):
        encoder = models.build("AE400-10").fc1
        history = training.train_autoencoder(
            encoder, few, epochs=25, batch_size=100, target=0.05, strength=strength, progress=False
        )
        with torch.no_grad():
            shares[strength] = torch.sigmoid(encoder(few.images.flatten(1))).mean().item()
        assert history.loss[-1] < history.loss[0]
    assert shares[30.0] == pytest.approx(0.05, abs=0.02)
    assert abs(shares[0.0] - 0.05) > 0.03


def test_the_autoencoder_sees_no_labels(few):
    weights = []
    for labels in (few.labels, torch.zeros_like(few.labels)):
        encoder = models.build("AE400-10").fc1
        blind = Dataset(few.images, labels, "relabelled", few.index)
        training.train_autoencoder(encoder, blind, epochs=1, progress=False)
        weights.append(encoder.weight.detach().clone())
    assert torch.equal(*weights)


def test_a_share_of_the_time_lies_between_0_and_1(few):
    with pytest.raises(ValueError, match="share of the time"):
        training.train_autoencoder(models.build("AE400-10").fc1, few, epochs=1, target=5)


@pytest.mark.usefixtures("gpu")
def test_the_optimum_on_a_gpu_is_that_on_a_cpu(few):
    weights = []
    for where in ("cpu", "cuda"):
        layer = nn.Linear(784, 10).to(where)
        there = few.to(where)
        training.fit_softmax(
            layer, there.images.flatten(1), there.labels, decay=1e-2, progress=False
        )
        weights.append(layer.weight.detach().cpu())
    torch.testing.assert_close(*weights, atol=1e-4, rtol=0)


@pytest.mark.usefixtures("gpu")
def test_networks_train_on_a_gpu(few):
    net = models.build("CONV").cuda()
    history = training.train(net, few, epochs=10, progress=False)
    assert history.loss[-1] < history.loss[0] / 5
    encoder = models.build("AE400-10").fc1.cuda()
    history = training.train_autoencoder(encoder, few, epochs=5, progress=False)
    assert history.loss[-1] < history.loss[0]
