"""A number with its interval, and whether one network speaks for all of a name."""

import dataclasses
import math

import scipy.stats

from .. import paper, record, zoo
from ..transfer.intervals import LEVEL

Z = float(scipy.stats.norm.ppf((1 + LEVEL) / 2))  # of an interval over images alone


@dataclasses.dataclass(frozen=True)
class Measured:
    """A number and its 95 % interval; low and high are None where one network says nothing of the
    others. n: images, seeds: networks of the name, both None where they play no part. df: degrees
    of freedom of the interval's Student quantile, infinite for one over images alone. least: the
    half width that ours may have at most to agree with this one; half by default."""

    value: float
    low: float | None = None
    high: float | None = None
    n: float | str | None = None
    seeds: int | None = None
    df: float = math.inf
    least: float | None = None

    @property
    def half(self) -> float:
        """Half the interval's width; infinite where there is none."""
        if self.low is None or self.high is None:
            return math.inf
        return (self.high - self.low) / 2


def alone(name: str) -> bool:
    """Whether a network has one optimum, so that one of it is all there are."""
    return zoo.recipe(name).method == "convex"


CONVEX = tuple(name for name in paper.TABLE1 if alone(name))


def over_networks(name: str, values: list[float], n=None) -> Measured | None:
    """The mean over the networks of a name, with Student's interval; None for no values."""
    if not values:
        return None
    if len(values) > 1:
        found = record.interval(values, LEVEL)
        mean, half = found["mean"], found["half_width"]
        return Measured(mean, mean - half, mean + half, n, len(values), len(values) - 1)
    exact = alone(name)
    low, high = (values[0], values[0]) if exact else (None, None)
    return Measured(values[0], low, high, n, 1)
