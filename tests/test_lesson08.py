"""Lesson 08: what the generic tests of the exercises do not cover."""

import itertools
import re

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import robust, zoo
from course_lib.data import load_mnist
from course_lib.exercises import entries, find


def solution(slug):
    return find(slug).solution()


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(9, 7), nn.Sigmoid(), nn.Linear(7, 6), nn.Sigmoid(), nn.Linear(6, 4)]
        return nn.Sequential(*layers).double()


def test_ages_in_a_pool_are_geometric():
    """A slot escapes each turn with the chance 1 - n / N: so of the ages."""
    size, new, turns = 4000, 400, 60
    born, labels = torch.zeros(size, 1), torch.zeros(size)
    rng = torch.Generator().manual_seed(1)
    for turn in range(1, turns + 1):
        fresh = torch.full((new, 1), float(turn))
        order = torch.randperm(size, generator=rng)
        born, labels = solution("renew-pool")(born, labels, fresh, fresh[:, 0], order)
    ages = turns - born[:, 0].numpy()
    for limit in (1, 5, 10, 20):
        chance = (1 - new / size) ** limit
        deviation = (chance * (1 - chance) / size) ** 0.5
        assert abs((ages >= limit).mean() - chance) < 5 * deviation
    assert np.array_equal(born[:, 0].numpy(), labels.numpy())


def test_the_bug_mixes_labels_up_and_the_repair_keeps_pairs_together():
    pixels, pool = torch.arange(6.0)[:, None], torch.arange(6.0, 10)[:, None]
    order = torch.randperm(10, generator=torch.Generator().manual_seed(2))
    rows, classes = solution("mixed-batch")(pixels, pixels[:, 0], pool, pool[:, 0], order)
    assert torch.equal(rows[:, 0], classes)
    assert torch.equal(classes.sort()[0], torch.arange(10.0))


def test_a_short_step_raises_the_loss_by_length_times_slope():
    net, values, labels = network()[2:], random(5, 7), torch.tensor([0, 1, 2, 3, 0])
    values = 0.2 + 0.6 * values  # away from the walls
    moved = solution("layer-step")(net, values, labels, 1e-5, 1.0)
    assert (moved - values).norm(dim=1).tolist() == pytest.approx([1e-5] * 5)
    with torch.no_grad():
        risen = F.cross_entropy(net(moved), labels, reduction="none") - F.cross_entropy(
            net(values), labels, reduction="none"
        )
        ways = random(2000, 7, seed=3) - 0.5
        ways *= 1e-5 / ways.norm(dim=1, keepdim=True)
        for k in range(5):
            other = F.cross_entropy(net(values[k] + ways), labels[k].repeat(2000), reduction="none")
            rise = other - F.cross_entropy(net(values[k : k + 1]), labels[k : k + 1])
            assert rise.max() <= risen[k] * (1 + 1e-4)
            assert rise.max() > 0.7 * risen[k]


@pytest.mark.parametrize("place", [0, 2, 4])
def test_the_layers_below_get_no_gradient_and_those_above_the_right_one(place):
    net, images = network(), random(8, 9)
    width = net[place].in_features
    examples, labels = random(5, width, seed=4), torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    given = (net, place, images, labels, examples, labels[:5], 0.3)
    solution("loss-in-turn")(*given).backward()
    for k, parameter in enumerate(net.parameters()):
        if k < place:  # two to a layer, and two modules to a layer
            assert parameter.grad is None or not parameter.grad.any()
            continue
        entry = parameter.flatten()
        with torch.no_grad():
            before, step = float(entry[0]), 1e-6
            entry[0] = before + step
            up = float(solution("loss-in-turn")(*given))
            entry[0] = before - step
            down = float(solution("loss-in-turn")(*given))
            entry[0] = before
        slope = float(parameter.grad.flatten()[0])
        assert slope == pytest.approx((up - down) / (2 * step), abs=1e-8)


def test_choosing_on_test_images_flatters():
    """Settings that are all the same: by validation the mean is right, by the test too small."""
    validation, test = random(400, 6, seed=5), random(400, 6, 5, seed=6)
    fair = solution("fair-errors")(validation, test)
    deviation = (1 / 12 / 5 / 400) ** 0.5
    assert abs(float(fair.mean()) - 0.5) < 4 * deviation
    assert float(test.mean(2).amin(1).mean()) < 0.5 - 20 * deviation


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_the_interval_is_that_of_the_paired_t_test(n):
    first, second = random(n, seed=n), random(n, seed=n + 50)
    mean, half = map(float, solution("paired-interval")(first, second))
    low, high = scipy.stats.ttest_rel(first.numpy(), second.numpy()).confidence_interval(0.95)
    assert [mean - half, mean + half] == pytest.approx([low, high])


def test_the_prediction_says_how_far_the_nearest_mistake_of_an_image_is():
    net = zoo.load("FC100-100-10", device="cpu")
    few = load_mnist("test", "cpu").sample(200, seed=2)
    [(name, place)] = itertools.islice(robust.places(net).items(), 1)
    near = robust.nearest(place.above, few.images, few.labels, place.ceiling)
    share = near.distance[near.distance > 0].mean() / few.images.flatten(1).norm(dim=1).mean()
    asked = entries("PREDICTIONS")["hidden-distance"].question
    assert name == "input"
    assert round(100 * float(share)) == int(re.search(r"about (\d+) %", asked)[1])
