"""The intervals against SciPy, closed forms, and simulations whose variances are known."""

import numpy as np
import pytest
import scipy.stats

from course_lib import transfer
from course_lib.transfer import intervals
from course_lib.transfer.intervals import Cell, hierarchical_bootstrap, wilson


def cell(values, valid=None, source="a", target="b", **ids) -> Cell:
    values = np.asarray(values, float)
    valid = np.ones(values.shape, bool) if valid is None else valid
    return Cell(values, valid, source, target, **ids)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 20), (20, 20), (117, 256)])
def test_wilson_is_scipys(hits, n):
    want = scipy.stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
    assert wilson(hits / n, n) == pytest.approx((want.low, want.high), abs=1e-12)


def test_one_pair_of_networks_has_wilsons_interval():
    values = np.zeros((1, 1, 50))
    values[..., :10] = 1
    found = hierarchical_bootstrap(cell(values))
    assert (found.mean, found.n, found.networks) == (0.2, 50, 1)
    assert (found.low, found.high) == wilson(0.2, 50)
    assert found.over_networks is None
    assert found.between is None
    # drawing N - 1 images makes the variance of the mean s²/N with the divisor N - 1
    assert found.over_images == pytest.approx(scipy.stats.sem(values.ravel()), rel=0.08)
    assert "one pair of networks" in str(found)


def test_a_paired_difference_is_scipys():
    rng = np.random.RandomState(1)
    first = rng.rand(400) < 0.4
    second = np.where(rng.rand(400) < 0.7, first, rng.rand(400) < 0.3)  # correlated
    found = hierarchical_bootstrap(cell(first[None, None]), cell(second[None, None]), draws=4000)
    change = first.astype(float) - second
    want = scipy.stats.ttest_1samp(change, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(change.mean())
    assert found.low == pytest.approx(want.low, abs=0.004)
    assert found.high == pytest.approx(want.high, abs=0.004)
    unpaired = scipy.stats.ttest_ind(first.astype(float), second.astype(float))
    wide = unpaired.confidence_interval(0.95)
    assert found.high - found.low < 0.8 * (wide.high - wide.low), "pairing matters here"


def test_the_mean_over_several_networks_is_students_where_images_do_not_matter():
    rng = np.random.RandomState(2)
    by_network = rng.randn(5) / 10
    values = np.repeat(by_network[:, None, None], 300, 2)  # five sources, one target, no images
    found = hierarchical_bootstrap(cell(values), share=False, draws=4000)
    want = scipy.stats.ttest_1samp(by_network, 0).confidence_interval(0.95)
    assert found.over_images == pytest.approx(0, abs=1e-6)
    assert found.over_networks == pytest.approx(scipy.stats.sem(by_network), rel=0.05)
    assert found.between == pytest.approx(by_network.std(ddof=1))
    assert found.freedom == pytest.approx(4)
    assert (found.low, found.high) == pytest.approx((want.low, want.high), rel=0.05, abs=0.01)


def simulated(rng, k, n, over_networks, over_images, rest):
    """(k, k, n) 0 + source + target + image + rest, with these standard deviations."""
    return (
        rng.normal(0, over_networks, (k, 1, 1))
        + rng.normal(0, over_networks, (1, k, 1))
        + rng.normal(0, over_images, (1, 1, n))
        + rng.normal(0, rest, (k, k, n))
    )


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("sds", [(0.03, 0.2, 0.3), (0.1, 0.1, 0.1), (0.0, 0.5, 0.1)])
def test_the_two_spreads_are_those_of_the_simulation(k, sds):
    rng, n, reps = np.random.RandomState(k), 200, 150
    found = [
        hierarchical_bootstrap(cell(simulated(rng, k, n, *sds)), share=False, draws=200)
        for _ in range(reps)
    ]
    network, image, rest = sds
    over_images = image**2 / n + rest**2 / (k * k * n)
    over_networks = 2 * network**2 / k + rest**2 / (k * k * n)
    means = np.array([e.mean for e in found])
    truth = means.var()
    assert np.mean([e.over_images**2 for e in found]) == pytest.approx(over_images, rel=0.15)
    # what only one image on one pair shows is seen by both sides' draws
    extra = 2 * rest**2 / (k * k * n)
    assert over_networks * 0.8 < np.mean([e.over_networks**2 for e in found])
    assert np.mean([e.over_networks**2 for e in found]) < (over_networks + extra) * 1.25
    assert np.mean([e.error**2 for e in found]) > 0.8 * truth, "not too sure"
    inside = np.mean([e.low <= 0 <= e.high for e in found])
    assert inside >= 0.92, "the interval holds what it promises"


def test_pooling_the_images_would_be_far_too_sure():
    rng, k, n = np.random.RandomState(0), 3, 300
    inside = {"hierarchical": 0, "pooled": 0}
    for _ in range(150):
        values = simulated(rng, k, n, 0.1, 0.1, 0.3)
        found = hierarchical_bootstrap(cell(values), share=False, draws=200)
        inside["hierarchical"] += found.low <= 0 <= found.high
        half = 1.96 * values.std() / values.size**0.5
        inside["pooled"] += abs(values.mean()) <= half
    assert inside["hierarchical"] >= 0.92 * 150
    assert inside["pooled"] < 0.4 * 150


def test_the_same_networks_and_images_are_drawn_in_every_cell():
    rng = np.random.RandomState(3)
    values = (rng.rand(4, 4, 100) < 0.3).astype(float)
    same = hierarchical_bootstrap(cell(values), cell(values))
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    shifted = hierarchical_bootstrap(cell(values + 0.25), cell(values))
    assert shifted.error == pytest.approx(0, abs=1e-6)
    # another target's networks are other draws, the source's and the images stay paired
    other = hierarchical_bootstrap(cell(values), cell(values, target="c"))
    assert other.error > 0.001


def test_images_that_do_not_count_play_no_part():
    rng = np.random.RandomState(4)
    values = (rng.rand(2, 3, 80) < 0.5).astype(float)
    valid = rng.rand(2, 3, 80) < 0.6
    found = hierarchical_bootstrap(cell(values, valid))
    by_pair = [[values[s, t][valid[s, t]].mean() for t in range(3)] for s in range(2)]
    assert found.mean == pytest.approx(np.mean(by_pair))
    assert found.n == pytest.approx(valid.sum(2).mean())
    garbage = np.where(valid, values, 7.0)
    again = hierarchical_bootstrap(cell(garbage, valid))
    assert again == found


def test_a_network_that_stands_in_several_rows_is_one():
    rng = np.random.RandomState(5)
    one = (rng.rand(1, 1, 200) < 0.4).astype(float)
    three = np.repeat(np.repeat(one, 3, 0), 3, 1)
    ids = {"source_ids": np.zeros(3, int), "target_ids": np.zeros(3, int)}
    found = hierarchical_bootstrap(cell(three, **ids))
    alone = hierarchical_bootstrap(cell(one))
    assert (found.mean, found.networks, found.over_networks) == (alone.mean, 1, None)
    assert (found.low, found.high) == (alone.low, alone.high)


def test_shares_of_0_and_1_still_have_an_interval():
    for share in (0.0, 1.0):
        found = hierarchical_bootstrap(cell(np.full((3, 3, 40), share)))
        assert (found.low, found.high) == wilson(share, 40)
        assert found.high - found.low > 0.05
    nothing = hierarchical_bootstrap(cell(np.zeros((2, 2, 5)), np.zeros((2, 2, 5), bool)))
    assert np.isnan(nothing.mean)
    assert np.isnan(nothing.low)
    assert nothing.n == 0


def test_an_interval_of_a_share_stays_a_share():
    values = np.zeros((3, 3, 30))
    values[0, :, 0] = 1
    found = hierarchical_bootstrap(cell(values))
    assert 0 <= found.low < found.mean < found.high <= 1
    low, high = found.interval(0.999)
    assert low <= found.low
    assert high >= found.high


def test_draws_are_the_same_for_the_same_seed():
    values = (np.random.RandomState(6).rand(3, 3, 50) < 0.3).astype(float)
    assert hierarchical_bootstrap(cell(values)) == hierarchical_bootstrap(cell(values))
    intervals._image_weights.cache_clear()
    intervals._network_weights.cache_clear()
    first = hierarchical_bootstrap(cell(values))
    assert first == hierarchical_bootstrap(cell(values))
    assert first.error != hierarchical_bootstrap(cell(values), seed=1).error


def test_a_pair_within_a_name_leaves_out_the_network_itself():
    rng = np.random.RandomState(7)
    values = (rng.rand(4, 4, 60) < 0.2).astype(float)
    values[np.arange(4), np.arange(4)] = 1.0
    valid = np.broadcast_to(~np.eye(4, dtype=bool)[..., None], values.shape)
    found = hierarchical_bootstrap(cell(values, valid, "a", "a"))
    others = values[~np.eye(4, dtype=bool)]
    assert found.mean == pytest.approx(others.mean())
    assert found.networks == 12
    assert np.isfinite(found.error)
    assert isinstance(found, transfer.Estimate)
