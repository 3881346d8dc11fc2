"""The findings about training against adversarial images (section 4.2), from the record "pools"."""

from .. import paper
from . import evidence as read
from . import verdicts as rules
from .evidence import Evidence
from .measured import Measured
from .verdicts import NOT, REPRODUCED, UNDECIDED, Finding, not_measured, shown


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
        return shown(verdict, said, here, "%")

    return find


def pools_help(evidence: Evidence) -> Finding:
    """Adversarial pools: whether the test error is below 1.2 %."""
    pools = read.in_pools(evidence, "adversarial pools")
    here = read.over_networks("FC100-100-10", list(pools.values()), read.SIZES["test"])
    if here is None:
        return not_measured("Not measured here yet.")
    limit = paper.ADVERSARIAL_TRAINING["adversarial pools"]
    verdict = UNDECIDED
    if here.high is not None:
        verdict = REPRODUCED if here.high < limit else NOT if here.low > limit else UNDECIDED
    said = f"Test error in the mean of {len(pools)} networks."
    return shown(verdict, said, here, "%")


def gap(evidence: Evidence, worse: str, better: str) -> Measured | None:
    """The test error of a way minus that of another in points, over the seeds that both have."""
    high, low = (read.in_pools(evidence, method) for method in (worse, better))
    values = [100 * (high[s] - low[s]) for s in low if s in high]
    return read.over_networks("FC100-100-10", values, read.SIZES["test"])


def pool_by_pool(*pairs: tuple[str, str]):
    """A finder: that networks err more when trained in the first way of each pair than in its
    second; a pair that was not measured leaves it open."""

    def find(evidence: Evidence) -> Finding:
        gaps = {pair: gap(evidence, *pair) for pair in pairs}
        known = {pair: one for pair, one in gaps.items() if one is not None}
        if not known:
            return not_measured("Not measured here yet.")
        # one that is not measured is one without an interval
        verdict = rules.directions([one or Measured(0.0) for one in gaps.values()])
        least = min(known, key=lambda pair: known[pair].value)
        said = "; ".join(
            f"{worse} minus {better} "
            + ("is not measured" if one is None else f"{one.value:.2f} points")
            for (worse, better), one in gaps.items()
        )
        return shown(verdict, f"Test errors, the same seeds: {said}.", known[least], "points")

    return find


def no_gain(method: str, plain: str):
    """A finder: that networks trained in a way err no less than with ``plain``."""

    def find(evidence: Evidence) -> Finding:
        gained = gap(evidence, plain, method)
        if gained is None:
            return not_measured("Not measured here yet.")
        verdict = UNDECIDED
        if gained.low is not None:
            verdict = NOT if gained.low > 0 else REPRODUCED if gained.high < 0 else UNDECIDED
        return shown(
            verdict,
            f"Test error of {plain} minus that of {method}, the same seeds.",
            gained,
            "points",
        )

    return find
