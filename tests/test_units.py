"""Units and directions: rankings, ties, measures, and the tests of the claim."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from course_lib import device, models, storage, units, zoo
from course_lib.data import load_mnist
from course_lib.reproduce import semantics


def rng(seed=0):
    return device.generator(seed)


def layer(n=3000, width=7, seed=0):
    return torch.randn(n, width, generator=rng(seed))


# ---------------------------------------------------------------- activations


def test_held_out_images_are_the_test_set_shuffled():
    ours, test = units.held_out(), load_mnist("test")
    assert len(ours) == len(test)
    assert sorted(ours.index.tolist()) == list(range(10000))
    assert ours.index.tolist() != test.index.tolist()


def test_a_layer_that_does_not_exist_lists_those_that_do():
    net = models.build("FC100-100-10")
    images = torch.rand(2, 1, 28, 28)
    for call in (
        lambda: units.activations(net, images, "sigmoid3"),
        lambda: units.pre_activation(net, "sigmoid3"),
    ):
        with pytest.raises(ValueError, match=r"'sigmoid3'.*fc1, sigmoid1, fc2, sigmoid2, fc3"):
            call()


def test_the_pre_activation_is_the_layer_below_a_non_linearity():
    net = models.build("FC100-100-10")
    assert units.pre_activation(net, "sigmoid2") == "fc2"
    assert units.pre_activation(net, "fc2") is None
    conv = models.build("CONV")
    assert units.pre_activation(conv, "relu1") == "conv1"
    assert units.pre_activation(conv, "pool1") is None
    assert units.pre_activation(nn.Sequential(nn.ReLU()), "0") is None


# ---------------------------------------------------------------- directions


@pytest.mark.parametrize("width", [2, 3, 6])
def test_bases_have_the_moments_of_scipys(width):
    ours = units.haar_bases(4000, width, rng()).double().numpy()
    theirs = scipy.stats.ortho_group.rvs(width, size=4000, random_state=1)
    np.testing.assert_allclose(ours @ ours.transpose(0, 2, 1), np.eye(width) + 0 * ours, atol=1e-5)
    for power in (1, 2, 4):
        np.testing.assert_allclose(
            (ours**power).mean(0), (theirs**power).mean(0), atol=0.06 / width**0.5
        )
    assert (np.linalg.det(ours) < 0).mean() == pytest.approx(0.5, abs=0.05)


def test_random_directions_have_length_1_and_no_preference():
    v = units.random_directions(20000, 2, rng())
    torch.testing.assert_close(v.norm(dim=1), torch.ones(20000))
    angle = torch.atan2(v[:, 1], v[:, 0]).numpy()
    assert scipy.stats.kstest(angle, scipy.stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 0.01


def test_principal_directions_are_those_of_the_svd():
    h = layer() * torch.tensor([5.0, 1, 3, 0.5, 2, 0.1, 4])
    ours = units.principal_directions(h, 3)
    _, _, v = torch.linalg.svd(h - h.mean(0), full_matrices=False)
    torch.testing.assert_close((ours @ v[:3].T).abs(), torch.eye(3), atol=1e-3, rtol=0)
    assert (ours.gather(1, ours.abs().argmax(1, keepdim=True)) > 0).all()
    assert units.principal_directions(h).shape == (7, 7)
    with pytest.raises(ValueError, match="no 8 principal"):
        units.principal_directions(h, 8)


def test_a_stretched_layer_has_the_covariance_it_should():
    h = layer() @ torch.randn(7, 7, generator=rng(3))
    covariance = torch.cov(h.T)
    torch.testing.assert_close(torch.cov(units.stretch(h, -1).T), torch.eye(7), atol=1e-3, rtol=0)
    torch.testing.assert_close(units.stretch(h, 0), h - h.mean(0), atol=1e-4, rtol=0)
    square = covariance @ covariance
    torch.testing.assert_close(torch.cov(units.stretch(h, 1).T), square, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(units.unit_variance(h).std(0), torch.ones(7))


def test_a_dead_unit_stays_dead_and_finite():
    h = layer()
    h[:, 2] = 0.25
    assert (units.unit_variance(h)[:, 2] == 0).all()
    white = units.stretch(h, -1)
    assert torch.isfinite(white).all()
    assert white[:, 2].abs().max() < 1e-4


# ---------------------------------------------------------------- top images


@pytest.mark.parametrize("n", [9, 100, 1151, 3000, 3001])
@pytest.mark.parametrize("k", [1, 8])
def test_top_images_are_those_of_a_plain_sort(n, k):
    h, v = layer(n), units.random_directions(31, 7, rng(1))
    want = (v.double() @ h.double().T).argsort(dim=1, descending=True)[:, :k]
    assert torch.equal(units.top_images(h, v, k), want)


def test_all_images_can_be_ranked():
    h, v = layer(12), units.random_directions(3, 7, rng(1))
    assert torch.equal(units.top_images(h, v, 12).sort(1).values, torch.arange(12).expand(3, 12))


def test_chunks_change_nothing(monkeypatch):
    h, v = layer(), units.random_directions(50, 7, rng(1))
    whole = units.top_images(h, v)
    monkeypatch.setattr(units, "SCORES_AT_ONCE", 7 * len(h) + 1)
    assert torch.equal(units.top_images(h, v), whole)
    monkeypatch.setattr(units, "SCORES_AT_ONCE", 1)
    assert torch.equal(units.top_images(h, v), whole)


@pytest.mark.parametrize("levels", [1, 2, 5])
@pytest.mark.parametrize("n", [40, 3000])
def test_ties_follow_the_stated_rule(levels, n):
    h = torch.randint(levels, (n, 4), generator=rng(2)).float()
    before = torch.randint(50, (n, 4), generator=rng(3)).float()
    v = torch.cat([torch.eye(4), torch.randint(1, 3, (5, 4), generator=rng(4)).float()])
    for second in (before, torch.zeros_like(before)):
        keys = [(np.arange(n), -(second @ row).numpy(), -(h @ row).numpy()) for row in v]
        want = torch.tensor(np.array([np.lexsort(key)[:8] for key in keys]))
        assert torch.equal(units.top_images(h, v, ties=second), want)
    assert torch.equal(units.top_images(h, v), want)  # without a second key: by position


def test_a_saturated_unit_is_ranked_by_what_goes_in():
    net = zoo.load("FC200-200-10", device="cpu")
    images = units.held_out("cpu").images
    h, before = (units.activations(net, images, name) for name in ("sigmoid1", "fc1"))
    nine = h.topk(9, dim=0).values
    assert (nine[1:] == nine[:-1]).any(0).sum() > 3  # the lesson counts them
    top = units.top_images(h, units.unit_directions(200), ties=before)
    want = before.argsort(dim=0, descending=True)[:8].T
    assert torch.equal(before.T.gather(1, top), before.T.gather(1, want))
    assert not torch.equal(units.top_images(h, units.unit_directions(200)), top)


def test_what_does_not_change_the_ranking():
    h, v = layer(), units.random_directions(9, 7, rng(1))
    top = units.top_images(h, v)
    assert torch.equal(units.top_images(h - h.mean(0), v), top)
    assert torch.equal(units.top_images(h, 8 * v), top)


def test_no_directions_no_rows():
    assert units.top_images(layer(), torch.empty(0, 7)).shape == (0, 8)
    labels = torch.arange(3000) % 10
    assert units.selectivity(layer(), torch.empty(0, 7), labels).shape == (0, 10)


def test_the_weights_of_a_network_are_directions():
    head = nn.Linear(7, 4)
    plain = units.top_images(layer(), head.weight.detach())
    assert torch.equal(units.top_images(layer().requires_grad_(), head.weight), plain)


def test_memory_is_bounded(monkeypatch):
    largest = []
    plain = units._largest
    monkeypatch.setattr(
        units, "_largest", lambda scores, k: (largest.append(scores.numel()), plain(scores, k))[1]
    )
    units.top_images(layer(), units.random_directions(5000, 7, rng(1)))
    assert max(largest) <= units.SCORES_AT_ONCE


def bad(direction, entry):
    v = units.random_directions(3, 7, rng())
    v[direction] = entry
    return v


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((layer(), bad(1, 0.0)), "Direction 1 is zero: it points nowhere"),
        ((layer(), bad(2, float("nan"))), "direction 2 are not finite: find the NaN"),
        ((layer(), bad(0, float("inf"))), "direction 0 are not finite"),
        ((bad(1, float("nan")), bad(0, 1.0), 2), "image 1 are not finite"),
        ((layer(), torch.ones(3, 6)), r"rows \(M, 7\), not \(3, 6\)"),
        ((layer(), torch.ones(7)), r"directions\[None\]"),
        ((layer().long(), torch.ones(1, 7)), r"floats \(N, width\)"),
        ((layer()[0], torch.ones(1, 7)), r"floats \(N, width\)"),
        ((layer(5), torch.ones(1, 7), 6), "The 6 strongest of 5 images cannot be chosen"),
        ((layer(5), torch.ones(1, 7), 0), "The 0 strongest of 5 images"),
        ((layer(5), torch.ones(1, 7), 2, layer(4)), r"`ties` is \(4, 7\).*\(5, 7\)"),
    ],
)
def test_bad_input_of_top_images_is_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        units.top_images(*arguments)


# ---------------------------------------------------------------- measures


def test_purity_and_entropy_of_rows_worked_out_by_hand():
    labels = torch.tensor([3, 3, 3, 1, 0])
    top = torch.tensor([[0, 1, 2, 3], [0, 1, 3, 4], [0, 3, 4, 4]])
    assert units.purity(labels, top).tolist() == [0.75, 0.5, 0.5]
    want = [scipy.stats.entropy(p, base=2) for p in ([3, 1], [2, 1, 1], [1, 1, 2])]
    assert units.entropy(labels, top).tolist() == pytest.approx(want)


@pytest.mark.parametrize("sizes", [[3, 4], [1, 2, 5], [10, 1], [2, 2, 2, 2]])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_chance_purity_is_the_mean_over_all_draws(sizes, k):
    from itertools import combinations

    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    rows = torch.tensor(list(combinations(range(len(labels)), k)))
    assert units.chance_purity(labels, k) == pytest.approx(float(units.purity(labels, rows).mean()))


def test_chance_purity_at_eight_of_ten_classes_is_three_tenths():
    labels = units.held_out("cpu").labels
    assert units.chance_purity(labels) == pytest.approx(0.300, abs=0.001)
    with pytest.raises(ValueError, match="11 images cannot be drawn from 10"):
        units.chance_purity(torch.arange(10), 11)


def test_selectivity_is_the_u_statistic_with_ties():
    h = torch.randint(4, (200, 3), generator=rng(5)).float()
    labels = torch.randint(3, (200,), generator=rng(6))
    v = torch.tensor([[1.0, 0, 0], [1, -2, 1]])
    ours = units.selectivity(h, v, labels)
    assert ours.shape == (2, 3)
    for row, direction in enumerate(v):
        score = (h @ direction).numpy()
        for c in range(3):
            inside, outside = score[labels == c], score[labels != c]
            u = scipy.stats.mannwhitneyu(inside, outside).statistic
            assert float(ours[row, c]) == pytest.approx(u / (len(inside) * len(outside)))


def test_middle_ranks_are_scipys():
    values = torch.randint(6, (5, 40), generator=rng(7)).sort(1).values
    want = scipy.stats.rankdata(values.numpy(), axis=1)
    np.testing.assert_array_equal(units.middle_ranks(values).numpy(), want)


def test_spread_is_the_distance_of_pairs():
    x = torch.randn(60, 5, generator=rng(8)) + 3
    top = torch.tensor([[0, 1, 2], [5, 9, 7]])
    every = torch.pdist(x).square().mean()
    want = [(torch.pdist(x[row]).square().mean() / every).sqrt() for row in top]
    torch.testing.assert_close(units.spread(x, top), torch.stack(want).double(), rtol=1e-4, atol=0)
    assert float(units.spread(x, torch.tensor([[4, 4, 4]]))) == pytest.approx(0, abs=1e-3)


def test_blind_rows_are_at_chance():
    images = units.held_out("cpu")
    h = layer(10000, 5)  # activations that have nothing to do with the images
    v = units.random_directions(400, 5, rng())
    found = units.measure(h, v, images.labels, {"pixels": images.images.flatten(1)}, ranks=False)
    means = {name: float(value.mean()) for name, value in found.items()}
    assert means["purity"] == pytest.approx(units.chance_purity(images.labels), abs=0.02)
    assert means["entropy"] == pytest.approx(2.37, abs=0.1)
    assert means["pixels"] == pytest.approx(1, abs=0.02)


def test_a_perfect_detector_is_seen_by_every_measure():
    labels = torch.arange(10).repeat(100)
    h = nn.functional.one_hot(labels, 10).float()
    found = units.measure(h, torch.eye(10), labels, {"features": h})
    assert list(found) == ["purity", "entropy", "selectivity", "features"]
    for name, value in found.items():
        assert (value == (0 if name in units.LOWER_IS_BETTER else 1)).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: units.purity(torch.arange(5), torch.tensor([[5, 1]])), "image 5.*5 labels"),
        (lambda: units.purity(torch.ones(5, 1), torch.tensor([[0, 1]])), r"vector \(N,\)"),
        (
            lambda: units.measure(layer(20), torch.eye(7), torch.arange(19)),
            r"20 images and \(19,\) labels",
        ),
        (
            lambda: units.selectivity(layer(20), torch.eye(7), torch.arange(19)),
            r"20 images and \(19,\) labels",
        ),
        (
            lambda: units.selectivity(layer(20), torch.eye(7), torch.full((20,), 3)),
            "same label: there is nothing to be told apart",
        ),
        (lambda: units.spread(layer(), torch.tensor([[1]])), "A row of one image has no spread"),
        (lambda: units.spread(layer(9), torch.tensor([[1, 9]])), "image 9 of 9"),
    ],
)
def test_bad_input_of_the_measures_is_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


# ---------------------------------------------------------------- the tests


def test_the_randomisation_test_is_a_test():
    """p below 5 % in 5 % of the cases if the units are a basis like the others."""
    draws = torch.rand(4000, 40, 3, generator=rng())
    low = [units.randomisation_p(table[0], table[1:]) < 0.05 + 1e-9 for table in draws]
    assert np.mean(low) == pytest.approx(0.05, abs=0.012)  # 40 ranks: p of 0.05 is one of each end


def test_p_is_never_0_and_never_above_1():
    bases = torch.rand(19, 4, generator=rng())
    assert units.randomisation_p(torch.full((4,), 2.0), bases) == pytest.approx(2 / 20)
    assert units.randomisation_p(torch.full((4,), -2.0), bases) == pytest.approx(2 / 20)
    assert units.randomisation_p(torch.full((4,), 0.5), torch.full((9, 4), 0.5)) == 1
    with pytest.raises(ValueError, match=r"\(width,\).*\(3,\) and \(5, 4\)"):
        units.randomisation_p(torch.ones(3), torch.ones(5, 4))


@pytest.mark.parametrize("mean", [-0.1, -0.0625, -0.03, 0.0, 0.05, 0.0625, 0.2])
@pytest.mark.parametrize("sd", [0.005, 0.05, 0.3])
def test_the_verdict_is_that_of_two_one_sided_tests(mean, sd):
    d = (mean + sd * torch.randn(10, generator=rng(9)).double()).tolist()
    margin = units.MARGINS["purity"]
    p = [
        scipy.stats.ttest_1samp(d, sign * margin, alternative=side).pvalue
        for sign, side in ((-1, "greater"), (1, "less"), (-1, "less"), (1, "greater"))
    ]
    want = "undecided"
    if max(p[:2]) < 0.05:
        want = "equivalent"
    elif p[2] < 0.05:
        want = "worse"
    elif p[3] < 0.05:
        want = "better"
    found = units.equivalence(d, margin)
    assert found.verdict == want
    assert found.low < found.mean < found.high


def test_equivalence_is_found_in_at_most_a_twentieth_of_cases_at_the_margin():
    draws = 1 + torch.randn(4000, 10, generator=rng()).double() * 0.3
    verdicts = [units.equivalence(d.tolist(), 1.0).verdict for d in draws]
    assert verdicts.count("equivalent") / 4000 == pytest.approx(0.05, abs=0.012)
    assert verdicts.count("better") / 4000 == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize(
    ("differences", "margin", "sentence"),
    [
        ([0.1], 1.0, "needs at least two"),
        ([0.1, float("nan")], 1.0, "not finite"),
        ([0.1, 0.2], 0.0, "A margin of 0.0 makes nothing equivalent"),
        ([0.1, 0.2], float("nan"), "A margin of nan"),
    ],
)
def test_bad_input_of_the_equivalence_test_is_a_sentence(differences, margin, sentence):
    with pytest.raises(ValueError, match=sentence):
        units.equivalence(differences, margin)


def test_less_is_better_where_it_is():
    assert units.advantage(0.8, 0.7, "purity") == pytest.approx(0.1)
    assert units.advantage(0.8, 0.7, "pixels") == pytest.approx(-0.1)
    assert set(units.LOWER_IS_BETTER) < set(units.MARGINS)


# ---------------------------------------------------------------- the record


def test_a_missing_record_says_what_makes_one(monkeypatch, tmp_path):
    monkeypatch.setattr(units, "RECORD", tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match=r"python benchmarks/unit_semantics\.py"):
        units.read_record()


def entries():
    for name, layers in units.STUDIED.items():
        for one in layers:
            for state in ("trained", "untrained"):
                yield name, one, state, units.read_record()["networks"][name][one][state]


def test_the_record_holds_ten_networks_of_each_kind_at_todays_settings():
    record = units.read_record()
    assert record["settings"] == semantics.settings_of()
    assert record["settings"]["margins"] == units.MARGINS
    for _, _, _, entry in entries():
        assert sorted(entry["seeds"], key=int) == [str(seed) for seed in range(10)]


def test_the_records_summary_follows_from_its_networks():
    for name, one, state, entry in entries():
        again = semantics.rounded(semantics.summary(list(entry["seeds"].values())))
        assert again == entry["summary"], (name, one, state)


def test_a_network_measured_again_is_as_in_the_record():
    net, images = zoo.load("FC100-100-10-ReLU", device="cpu"), units.held_out("cpu")
    run = units.read_record()["networks"]["FC100-100-10-ReLU"]["relu1"]["trained"]["seeds"]["0"]
    h, before = (units.activations(net, images.images, one) for one in ("relu1", "fc1"))
    space = {"pixels": images.images.flatten(1)}
    found = units.measure(h, units.unit_directions(100), images.labels, space, before)
    for name, values in found.items():
        assert float(values.mean()) == pytest.approx(run["units"][name], abs=0.005)
    bases = units.haar_bases(20, 100, rng()).reshape(-1, 100)
    found = units.measure(h, bases, images.labels, space, ranks=False)
    for name, values in found.items():
        wanted = run["haar"][name]
        assert float(values.mean()) == pytest.approx(wanted["mean"], abs=wanted["sd"])


def test_shuffled_activations_are_at_chance_in_the_record():
    record = units.read_record()
    for _, _, state, entry in entries():
        if state == "trained":
            for key in ("shuffled units", "shuffled haar"):
                found = entry["summary"]["purity against"][key]["purity"]
                assert found["mean"] == pytest.approx(record["chance"]["purity"], abs=0.01)


def test_the_record_is_in_the_package():
    assert units.RECORD.is_relative_to(storage.ASSETS)


@pytest.mark.usefixtures("gpu")
def test_a_gpu_finds_the_same_images():
    h, v = layer(10000, 100), units.random_directions(300, 100, rng())
    there = units.top_images(h.cuda(), v.cuda()).cpu()
    assert (there == units.top_images(h, v)).double().mean() > 0.999
    labels = units.held_out("cpu").labels
    ours = units.measure(h, v, labels, {"pixels": h})
    theirs = units.measure(h.cuda(), v.cuda(), labels.cuda(), {"pixels": h.cuda()})
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name].cpu(), value, atol=1e-3, rtol=1e-3)
