"""How sure a share is: the spread over images beside the spread over networks.

A cell of a transfer table is a mean over images and over pairs of networks (source, target). An
interval over pooled images treats every image of every pair as a new draw. It answers "these two
networks, other images"; a reader asks "networks trained anew, other images". So both levels are
drawn again here, and both spreads are shown.
"""

import dataclasses
import functools
import zlib

import numpy as np
import scipy.stats

from ..checked import COUNT, NUMBER, SEED, instance, takes

DRAWS = 1000
LEVEL = 0.95


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """Values of one cell: (S, T, N) for S source networks, T target networks and N images.

    values: what is averaged (True for "wrong"); valid: (S, T, N) bool, which of them count;
    source, target: what the networks are called; cells with the same names share their draws, so
    that a difference of two of them is paired. None: one fixed network, or none at all.
    source_ids, target_ids: (S,) and (T,) which network each row is, if not each its own.
    """

    values: np.ndarray
    valid: np.ndarray
    source: str | None = "source"
    target: str | None = "target"
    source_ids: np.ndarray | None = None
    target_ids: np.ndarray | None = None

    def by_pair(self) -> np.ndarray:
        """(S, T) the mean over the images of each pair; NaN where none counts."""
        return _ratio((self.values * self.valid).sum(2), self.valid.sum(2))


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean share or difference, and how sure it is.

    mean: over images, then over pairs of networks; n: images that count, the mean over pairs;
    networks: pairs; over_images, over_networks: the standard error of the mean from either alone,
    the latter None with a single network on both sides; between: the standard deviation of the
    pairs' own means, None for one. error, freedom: the standard error from both, and Student's
    degrees of freedom for it. share: a share in [0, 1], not a difference.
    """

    mean: float
    n: float
    networks: int
    over_images: float
    over_networks: float | None
    between: float | None
    error: float
    freedom: float
    share: bool

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """(low, high): Student's; Wilson's for a share of one pair of networks, or of 0 or 1."""
        if not np.isfinite(self.mean):
            return float("nan"), float("nan")
        if self.share and (self.over_networks is None or self.mean in (0.0, 1.0)):
            return wilson(self.mean, self.n, level)
        half = float(scipy.stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        low, high = self.mean - half, self.mean + half
        return (max(0.0, low), min(1.0, high)) if self.share else (low, high)

    @property
    def low(self) -> float:
        """The interval's lower end, at 95 %."""
        return self.interval()[0]

    @property
    def high(self) -> float:
        """The interval's upper end, at 95 %."""
        return self.interval()[1]

    def __str__(self) -> str:
        text = f"{self.mean:.1%} [{self.low:.1%}, {self.high:.1%}], n = {self.n:.0f} images"
        if self.over_networks is None:
            return f"{text}, one pair of networks"
        return (
            f"{text}, {self.networks} pairs of networks (standard error {self.over_images:.1%} "
            f"over images, {self.over_networks:.1%} over networks)"
        )


@takes(share=NUMBER, n=NUMBER, level=NUMBER)
def wilson(share: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval for a share of ``n`` independent images, also right at 0 and 1."""
    z = scipy.stats.norm.ppf((1 + level) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


@takes(cell=instance(Cell), minus=instance(Cell) | None, draws=COUNT, seed=SEED)
def hierarchical_bootstrap(
    cell: Cell,
    minus: Cell | None = None,
    *,
    share: bool | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """The mean of ``cell``, or of ``cell`` minus ``minus``, with both levels drawn again.

    In each of ``draws`` rounds, networks are drawn with replacement among the networks of each
    name, images among the images, and the mean is taken anew. The images are the same for every
    cell, as are the networks of one name, so a difference is paired by construction. Of k networks
    k - 1 are drawn (of N images N - 1): the variance of the mean then comes out as s²/k and not as
    (k - 1)/k of that, a third too small with three networks (Rao and Wu, JASA 83, 1988). Owen
    (Annals of Applied Statistics 1, 2007) shows for such crossed draws that the variance is not too
    small otherwise; what only one image on one pair shows is counted more than once, so the
    interval is rather too wide than too narrow.

    share: whether the mean is one of 0/1 values; default, unless ``minus`` is given.

    Three or five networks say little about their variance: the interval is Student's, with
    Satterthwaite's degrees of freedom from the parts of the variance that sources, targets and
    images have alone. With one network on each side it is Wilson's (for a difference: Student's
    over images). Shares of exactly 0 or 1 get Wilson's too.
    """
    cells = [cell] if minus is None else [cell, minus]
    pairs = [c.by_pair() for c in cells]
    mean = _mean(pairs[0]) - (_mean(pairs[1]) if minus is not None else 0.0)
    count, share = _pairs(cell, pairs[0]), minus is None if share is None else share
    if not np.isfinite(mean):
        nan = float("nan")
        return Estimate(nan, 0.0, count, nan, None, None, nan, nan, share)
    n = float(np.mean(cell.valid.sum(2)[np.isfinite(pairs[0])]))
    names = {c.source: _ids(c, 0) for c in cells} | {c.target: _ids(c, 1) for c in cells}
    free = [name for name, ids in names.items() if name is not None and len(set(ids)) > 1]

    drawn = [_image_draws(c, draws, seed) for c in cells]

    def variance(networks, images) -> float:
        rates = drawn if images else [p[None] for p in pairs]
        found = [
            _network_draws(c, by_pair, set(networks), draws, seed)
            for c, by_pair in zip(cells, rates, strict=True)
        ]
        return float(np.nanvar(found[0] - (found[1] if minus is not None else 0.0)))

    images = variance([], True)
    whole = max(n - 1, 1.0)
    if not free:
        error = images**0.5
        return Estimate(mean, n, count, error, None, None, error, whole, share)
    parts = {name: variance([name], False) for name in free}
    alone = {name: len(set(names[name])) - 1 for name in free}
    scale = sum(v * v / alone[name] for name, v in parts.items()) + images**2 / whole
    freedom = (sum(parts.values()) + images) ** 2 / scale if scale else whole
    change = pairs[0] if minus is None else _aligned(pairs)
    between = float(np.nanstd(change, ddof=1)) if np.isfinite(change).sum() > 1 else None
    error, over_networks = variance(free, True) ** 0.5, variance(free, False) ** 0.5
    return Estimate(mean, n, count, images**0.5, over_networks, between, error, freedom, share)


def _aligned(pairs: list[np.ndarray]) -> np.ndarray:
    """The difference pair by pair, where the two cells have the same pairs; else the first's."""
    try:
        return pairs[0] - pairs[1]
    except ValueError:
        return pairs[0]


def _ids(cell: Cell, axis: int) -> np.ndarray:
    given = (cell.source_ids, cell.target_ids)[axis]
    return np.arange(cell.values.shape[axis]) if given is None else np.asarray(given)


def _pairs(cell: Cell, by_pair: np.ndarray) -> int:
    """How many different pairs of networks have a value."""
    where = np.argwhere(np.isfinite(by_pair))
    return len({(int(_ids(cell, 0)[s]), int(_ids(cell, 1)[t])) for s, t in where})


def _ratio(total, count):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)


def _mean(by_pair: np.ndarray) -> float:
    return float(np.nanmean(by_pair)) if np.isfinite(by_pair).any() else float("nan")


# --- drawing again -----------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _image_weights(n: int, draws: int, seed: int) -> np.ndarray:
    """(draws, n) how often each image is drawn."""
    rng = np.random.RandomState(seed)
    rows = (np.bincount(rng.randint(0, n, max(n - 1, 1)), minlength=n) for _ in range(draws))
    return np.stack([row.astype(np.float32) for row in rows])


@functools.lru_cache(maxsize=256)
def _network_weights(name: str, k: int, draws: int, seed: int) -> np.ndarray:
    """(draws, k) how often each of the k networks called ``name`` is drawn."""
    rng = np.random.RandomState(zlib.crc32(f"{name}/{seed}".encode()))
    return rng.multinomial(k - 1, np.full(k, 1 / k), draws).astype(float)


def _factor(cell: Cell, axis: int, networks: set, draws: int, seed: int) -> np.ndarray:
    """(draws, S) or (draws, T): the weight of each row of networks in each round."""
    name, ids = (cell.source, cell.target)[axis], _ids(cell, axis)
    if name not in networks:
        return np.ones((draws, len(ids)))
    # a cell within one name is a pair of strangers: its two sides are drawn on their own
    again = " as target" if axis and cell.source == cell.target else ""
    return _network_weights(name + again, int(ids.max()) + 1, draws, seed)[:, ids]


def _image_draws(cell: Cell, draws: int, seed: int) -> np.ndarray:
    """(draws, S, T) the mean of each pair in each round, the images drawn again."""
    s, t, n = cell.values.shape
    weights = _image_weights(n, draws, seed)
    hits = (cell.values * cell.valid).reshape(s * t, n).astype(np.float32)
    count = cell.valid.reshape(s * t, n).astype(np.float32)
    return _ratio(weights @ hits.T, weights @ count.T).reshape(draws, s, t)


def _network_draws(cell: Cell, by_pair, networks: set, draws: int, seed: int) -> np.ndarray:
    """(draws,) the mean over pairs in each round, ``networks`` drawn again; NaN without any.

    by_pair: (draws, S, T), or (1, S, T) for the same in every round.
    """
    sides = (_factor(cell, axis, networks, draws, seed) for axis in (0, 1))
    weight = np.einsum("bs,bt->bst", *sides) * np.isfinite(by_pair)
    return _ratio((weight * np.nan_to_num(by_pair)).sum((1, 2)), weight.sum((1, 2)))
