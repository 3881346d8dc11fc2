"""The rules that decide on the paper's claims, by the sentences that the report prints of them."""

import math

import pytest

from course_lib.reproduce import verdicts as rules
from course_lib.reproduce.verdicts import Measured, Pair


def here(value, half=0.01, **more):
    return Measured(value, value - half, value + half, **more)


def pair(ours, theirs, half=0.01, own=0.02, row="a", column="c"):
    mine = None if ours is None else here(ours, half)
    return Pair(row, column, mine, Measured(theirs, theirs - own, theirs + own))


def test_one_number_is_judged_by_the_interval_of_the_difference():
    limit = math.hypot(0.01, 0.02)
    assert rules.number(pair(0.5 + 0.99 * limit, 0.5)) == rules.REPRODUCED
    assert rules.number(pair(0.5 + 1.01 * limit, 0.5)) == rules.NOT
    assert rules.number(pair(0.5 - 1.01 * limit, 0.5)) == rules.NOT
    assert rules.number(pair(None, 0.5)) == rules.NOT_MEASURED


def test_a_number_that_is_known_worse_than_the_papers_does_not_agree():
    assert rules.number(pair(0.52, 0.5, half=0.03)) == rules.UNDECIDED
    assert rules.number(pair(0.9, 0.5, half=0.03)) == rules.NOT
    single = Pair("a", "c", Measured(0.5), Measured(0.5, 0.4, 0.6))
    assert rules.number(single) == rules.UNDECIDED  # one network says nothing of the next


@pytest.mark.parametrize(
    ("printed", "scale", "half"),
    [
        (0.067, 100, 0.0005),
        (0.0164, 100, 0.00005),
        (0.02, 100, 0.0005),  # 2.0 %
        (0.2, 100, 0.005),
        (0.0, 100, 0.0005),
        (0.058, 1, 0.0005),
        (0.1, 1, 0.005),  # 0.10
        (0.14, 1, 0.005),
    ],
)
def test_what_rounding_hides(printed, scale, half):
    assert rules.half_unit(printed, scale) == pytest.approx(half)


def test_the_papers_error_is_that_of_256_images():
    share = rules.printed_share(0.5)
    assert share.high - share.low == pytest.approx(2 * (1.96 * 0.5 / 16 + 0.005), rel=0.02)
    mean = rules.printed_mean(0.062, 0.032)
    assert mean.half == pytest.approx(1.96 * 0.032 / 16 + 0.0005, rel=1e-3)


def test_how_many_right_numbers_miss():
    assert rules.misses(0) == 0
    assert rules.misses(2) == 1  # 0.9025 with none
    assert rules.misses(3) == 1  # 0.857 with none, 0.993 with one
    assert rules.misses(42) == 5


def test_a_table_is_reproduced_if_no_more_miss_than_by_chance():
    right = [pair(0.1 * k, 0.1 * k, row=f"r{k}") for k in range(6)]  # of six one may miss: 0.967
    found = rules.numbers(right, "shares")
    assert (found.verdict, found.value, found.of) == (rules.REPRODUCED, 6, 6)
    # limits: 0.0224 for one alone, times 2.638 / 1.96 = 0.0301 for one of six
    one = [*right[:5], pair(0.525, 0.5, row="r5")]
    assert rules.numbers(one, "shares").verdict == rules.REPRODUCED
    beyond = [*right[:5], pair(0.531, 0.5, row="r5")]
    assert rules.numbers(beyond, "shares").verdict == rules.DIRECTION
    gap = [*right[:5], pair(None, 0.5, row="r5")]
    assert rules.numbers(gap, "shares").verdict == rules.UNDECIDED
    two = [*right[:4], pair(0.45, 0.4, row="r4"), pair(0.55, 0.5, row="r5")]
    found = rules.numbers(two, "shares")
    assert found.verdict == rules.DIRECTION  # the order of the six is kept
    assert "2 do not" in found.said
    assert "r4, c" in found.said


def test_a_table_in_another_order_is_not_reproduced():
    turned = [pair(0.1 * (7 - k), 0.1 * k, row=f"r{k}") for k in range(8)]
    assert rules.numbers(turned, "shares").verdict == rules.NOT
    # numbers that the paper does not tell apart have no order to be kept
    alike = [pair(0.5, 0.1, row="a"), pair(0.6, 0.1, row="b"), pair(0.7, 0.1, row="c")]
    assert rules.numbers(alike, "shares").verdict == rules.NOT


def test_rows_of_different_columns_are_not_ordered():
    assert rules.orders([pair(0.1, 0.9, column="a"), pair(0.9, 0.1, column="b")]) == (0, 0, 0)
    assert rules.orders([pair(0.1, 0.9, row="a"), pair(0.9, 0.1, row="b")]) == (0, 1, 1)
    # the other order, but here not told apart
    assert rules.orders([pair(0.5, 0.9, row="a"), pair(0.501, 0.1, row="b")]) == (0, 0, 1)


def test_a_table_that_is_half_measured_is_undecided():
    some = [pair(0.1, 0.1, row="a"), *(pair(None, 0.2, row=f"r{k}") for k in range(5))]
    found = rules.numbers(some, "shares")
    assert found.verdict == rules.UNDECIDED
    assert "5 are open or not measured" in found.said
    assert rules.numbers([pair(None, 0.1)], "shares").verdict == rules.NOT_MEASURED
    wide = [pair(0.1 * k, 0.1 * k, half=0.1, row=f"r{k}") for k in range(8)]
    assert rules.numbers(wide, "shares").verdict == rules.UNDECIDED


def test_directions():
    assert rules.directions([]) == rules.NOT_MEASURED
    assert rules.directions([here(0.02), here(0.5)]) == rules.REPRODUCED
    assert rules.directions([here(0.02), here(0.005)]) == rules.UNDECIDED
    assert rules.directions([here(0.02), here(-0.5)]) == rules.NOT
    # below 0 by its own interval, not by the wider one of two
    assert rules.directions([here(0.02), here(-0.0105)]) == rules.UNDECIDED
    assert rules.directions([here(-0.0105)]) == rules.NOT
    assert rules.directions([here(0.02), Measured(0.5)]) == rules.UNDECIDED
    assert rules.widened(0.95, 1) == pytest.approx(1)
    assert rules.widened(0.95, 2) == pytest.approx(2.2414 / 1.96, rel=1e-3)


def test_a_statement_needs_two_networks_of_a_name():
    assert rules.of_statement({"verdict": "holds"}, 2) == rules.REPRODUCED
    assert rules.of_statement({"verdict": "holds"}, 1) == rules.UNDECIDED
    assert rules.of_statement({"verdict": "does not hold"}, 3) == rules.NOT
    assert rules.of_statement({"verdict": "undecided"}, 3) == rules.UNDECIDED


def test_units_are_judged_by_where_the_interval_lies_beside_the_margin():
    margin = 1 / 16
    below, across, above = here(0.05, 0.01), here(0.06, 0.01), here(0.08, 0.01)
    worse = here(-0.06, 0.02)  # it reaches below -1/16, which the rule does not ask about
    assert rules.equivalences([below, worse], margin) == rules.REPRODUCED
    assert rules.equivalences([below, across], margin) == rules.UNDECIDED
    assert rules.equivalences([across, above], margin) == rules.NOT
    assert rules.equivalences([below, Measured(0.01)], margin) == rules.UNDECIDED  # one network
    assert rules.equivalences([], margin) == rules.NOT_MEASURED


def test_numbers_are_told_apart_by_the_sides_that_face_each_other():
    # Newcombe: d = 0.5, against the root of (0.5 - 0.4)^2 + (0.45 - 0)^2 = 0.461
    a, b = Measured(0.5, 0.4, 0.9), Measured(0.0, 0.0, 0.45)
    assert rules.apart(a, b)
    assert rules.apart(b, a)
    # below: the root of (0.9 - 0.5)^2 + (1 - 0.7)^2 = 0.5 is more than d = 0.49
    assert not rules.apart(Measured(0.5, 0.4, 0.9), Measured(0.99, 0.69, 1.0))
    assert not rules.apart(Measured(0.5), b)


def test_few_networks_widen_by_students_quantiles():
    # t(0.9875, 2) / t(0.975, 2), from a table
    assert rules.widened(0.95, 2, 2) == pytest.approx(6.2053 / 4.3027, rel=1e-4)
    few = [here(0.02, df=2), here(-0.0120, df=2)]  # above 0 within 0.01 * 1.442, not 1.144
    assert rules.directions(few) == rules.UNDECIDED
    assert rules.directions([here(0.02), here(-0.0120)]) == rules.NOT


def test_of_three_numbers_none_may_miss_the_interval_of_all():
    # 0.0224 * 2.394 / 1.96 = 0.0273
    two = [pair(0.1, 0.1, row="a"), pair(0.4, 0.4, row="b")]
    assert rules.numbers([*two, pair(0.726, 0.7)], "errors").verdict == rules.REPRODUCED
    assert rules.numbers([*two, pair(0.728, 0.7)], "errors").verdict == rules.DIRECTION


def test_an_order_is_kept_only_where_ours_are_told_apart():
    assert rules.orders([pair(0.501, 0.9, row="a"), pair(0.5, 0.1, row="b")]) == (0, 0, 1)
    assert rules.orders([pair(0.6, 0.9, row="a"), pair(0.5, 0.1, row="b")]) == (1, 0, 1)


def test_the_paper_has_one_network_and_here_is_the_mean_of_several():
    s, k, t = 0.001, 10, 2.2622
    ours = Measured(0.016, 0.016 - t * s / k**0.5, 0.016 + t * s / k**0.5, None, k, k - 1)
    limit = t * s * (1 + 1 / k) ** 0.5
    for gap, word in ((0.99 * limit, rules.REPRODUCED), (1.01 * limit, rules.NOT)):
        theirs = rules.of_one_network(Measured(0.016 + gap, 0.016 + gap, 0.016 + gap), ours)
        assert rules.number(Pair("a", "c", ours, theirs)) == word
    # two networks: t = 12.7, within which all agrees; that says nothing
    half = 12.706 * s / 2**0.5
    two = Measured(0.016, 0.016 - half, 0.016 + half, None, 2, 1)
    theirs = rules.of_one_network(Measured(0.016, 0.016, 0.016), two)
    assert rules.number(Pair("a", "c", two, theirs)) == rules.UNDECIDED
    # one optimum: rounding alone
    convex = Measured(0.0743, 0.0743, 0.0743, None, 1)
    theirs = rules.of_one_network(rules.printed_exactly(0.074, 100), convex)
    assert rules.number(Pair("a", "c", convex, theirs)) == rules.REPRODUCED
    convex = Measured(0.0746, 0.0746, 0.0746, None, 1)
    assert rules.number(Pair("a", "c", convex, theirs)) == rules.NOT
