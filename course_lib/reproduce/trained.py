"""The findings about training against adversarial images (section 4.2), from the record "pools"."""

from .. import paper
from . import evidence as read
from . import verdicts as rules
from .evidence import Evidence
from .verdicts import DIRECTION, REPRODUCED, UNDECIDED, Finding, not_measured


def trained_with(method: str):
    """A finder: the test error of a way of training beside the paper's."""

    def find(evidence: Evidence) -> Finding:
        values = list(read.in_pools(evidence, method).values())
        here = read.over_networks("FC100-100-10", values, read.SIZES["test"])
        if here is None:
            return not_measured("Not measured here yet.")
        printed = paper.ADVERSARIAL_TRAINING[method]
        theirs = rules.of_one_network(rules.printed_exactly(printed, 100), here)
        verdict = rules.number(rules.Pair(method, "test", here, theirs))
        said = f"Test error in the mean of {len(values)} networks."
        return Finding(
            verdict, said, here.value, here.low, here.high, "%", n=here.n, seeds=here.seeds
        )

    return find


def pools_help(evidence: Evidence) -> Finding:
    """Adversarial pools: below 1.2 %, or at least better than decay and dropout."""
    pools, decay, dropout = (
        read.in_pools(evidence, method) for method in paper.ADVERSARIAL_TRAINING
    )
    here = read.over_networks("FC100-100-10", list(pools.values()), read.SIZES["test"])
    if here is None:
        return not_measured("Not measured here yet.")
    limit = paper.ADVERSARIAL_TRAINING["adversarial pools"]
    if here.high is None:
        verdict = UNDECIDED
    elif here.high < limit:
        verdict = REPRODUCED
    else:
        gaps = [
            read.over_networks("FC100-100-10", [other[s] - pools[s] for s in pools if s in other])
            for other in (decay, dropout)
        ]
        better = rules.directions(gaps) if None not in gaps else UNDECIDED
        verdict = {REPRODUCED: DIRECTION}.get(better, better)
        if verdict == DIRECTION and here.low <= limit:
            verdict = UNDECIDED
    said = f"Test error in the mean of {len(pools)} networks."
    return Finding(verdict, said, here.value, here.low, here.high, "%", n=here.n, seeds=here.seeds)


def pool_by_pool(first: str, second: str):
    """A finder: that networks trained in the ``first`` way err less than in the ``second``."""

    def find(evidence: Evidence) -> Finding:
        one, two = (read.in_pools(evidence, method) for method in (first, second))
        gap = read.over_networks("FC100-100-10", [100 * (two[s] - one[s]) for s in one if s in two])
        if gap is None:
            return not_measured("Not measured here yet.")
        return Finding(
            rules.directions([gap]),
            f"Test error of {second} minus that of {first}, the same seeds.",
            gap.value,
            gap.low,
            gap.high,
            "points",
            n=read.SIZES["test"],
            seeds=gap.seeds,
        )

    return find
