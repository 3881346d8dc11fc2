"""The rules that decide on a claim, each in code and in the sentence that the report prints.

They were written before the report was first made. A verdict says no more than was computed: where
an interval leaves both answers open it is "undecided", and an interval over networks needs two.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable

import scipy.stats

from .. import paper
from ..transfer.intervals import LEVEL, wilson
from .measured import Measured, Z

REPRODUCED = "reproduced"
DIRECTION = "in direction only"
NOT = "not reproduced"
UNDECIDED = "undecided"
NOT_MEASURED = "not measured"
VERDICTS = (REPRODUCED, DIRECTION, NOT, UNDECIDED, NOT_MEASURED)

FEW = 0.05  # in a table that is right, so many numbers miss their 95 % interval
MOST = 0.95  # of a table's order that has to be kept for "in direction only"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found about a claim: the verdict, one number that stands for it, and a sentence.

    unit: "%", "points", "distortion", "" (a ratio, a norm) or "count" (value of ``of``). level: of
    the interval; n: images; seeds: networks of a name. proof: a proof decides, and was checked
    here, so that no measurement could have come out otherwise.
    """

    verdict: str
    said: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    of: int | None = None
    n: float | str | None = None
    seeds: int | None = None
    level: float = LEVEL
    proof: bool = False


def shown(
    verdict: str, said: str, measured: Measured, unit: str = "", scale: float = 1.0, **more
) -> Finding:
    """A finding whose number, images and networks are those of ``measured``, or stand in ``more``;
    the number and its interval are told ``scale`` times."""
    values = (measured.value, measured.low, measured.high)
    told = (None if value is None else scale * value for value in values)
    return Finding(verdict, said, *told, unit, **{"n": measured.n, "seeds": measured.seeds} | more)


def not_measured(said: str) -> Finding:
    """The finding of a claim of which there is no record."""
    return Finding(NOT_MEASURED, said)


# --- numbers beside numbers ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Pair:
    """A number of the paper and ours; here is None where it was not measured."""

    row: str
    column: str
    here: Measured | None
    paper: Measured


def half_unit(printed: float, scale: float = 1.0) -> float:
    """Half a unit of the last place of a number that is printed as ``printed`` times ``scale``.

    The paper's tables print two significant digits or more, without zeros at the end: 0.1 beside
    0.062 is 0.10, 2 % beside 2.4 % is 2.0 %; and 0 % is 0.0 %.
    """
    shown = printed * scale
    places = len(f"{shown:.6g}".partition(".")[2])
    least = 1 - math.floor(math.log10(abs(shown))) if shown else 1
    return 0.5 * 10.0 ** -max(places, least) / scale


def printed_share(share: float, n: int = paper.SAMPLE) -> Measured:
    """A share that the paper prints: Wilson's interval for n images, and what rounding hides."""
    low, high = wilson(share, n)
    rounded = half_unit(share, 100)
    return Measured(share, max(0.0, low - rounded), high + rounded, n, 1)


def printed_exactly(value: float, scale: float = 1.0) -> Measured:
    """A number that the paper prints, of which nothing but rounding is unsure: an error on the
    same images as here has no error over images."""
    rounded = half_unit(value, scale)
    return Measured(value, max(0.0, value - rounded), value + rounded, None, 1)


def printed_mean(value: float, deviation: float, n: int = paper.SAMPLE) -> Measured:
    """A mean that the paper prints of n images that spread by ``deviation``, and rounding."""
    half = Z * deviation / n**0.5 + half_unit(value)
    return Measured(value, value - half, value + half, n, 1)


def of_one_network(printed: Measured, ours: Measured | None) -> Measured:
    """The paper's number as that of one network, which varies as ours do from one to the next.

    With s between k of ours, the difference to their mean has t * s * (1 + 1/k)^0.5 of the
    networks. ``ours``: their mean, its interval of the networks alone, t * s / k^0.5.
    """
    if ours is None or ours.low is None or (ours.seeds or 1) < 2:
        return printed
    more = ours.half * ours.seeds**0.5
    s = more / float(scipy.stats.t(ours.df).ppf((1 + LEVEL) / 2))
    # two networks have a t of 12.7: agreement within so much says nothing, so it has to be z
    return dataclasses.replace(
        printed,
        low=printed.low - more,
        high=printed.high + more,
        df=min(printed.df, ours.df),
        least=printed.half + Z * s,
    )


def as_sure(pair: Pair) -> bool:
    """Whether our number is known at least as well as the paper's."""
    theirs = pair.paper.half if pair.paper.least is None else pair.paper.least
    return pair.here.half <= theirs


def far(pair: Pair, k: int) -> bool:
    """Whether a number of k differs by more than the interval of all of them together."""
    grow = [widened(LEVEL, k, side.df) for side in (pair.here, pair.paper)]
    return beyond(pair.here, pair.paper, *grow)


def apart(a: Measured, b: Measured) -> bool:
    """Whether two numbers differ by more than the 95 % interval of their difference.

    Newcombe's interval of a difference: of each number it takes the side that faces the other, for
    that of a share near 0 or 1 is not symmetric.
    """
    return beyond(a, b)


def beyond(a: Measured, b: Measured, grow_a: float = 1.0, grow_b: float = 1.0) -> bool:
    """As :func:`apart`, with the intervals grown by factors; False where one has none."""
    if None in (a.low, a.high, b.low, b.high):
        return False
    down, up = ((a, grow_a), (b, grow_b)) if a.value > b.value else ((b, grow_b), (a, grow_a))
    upper, lower = down[1] * (down[0].value - down[0].low), up[1] * (up[0].high - up[0].value)
    return abs(a.value - b.value) > math.hypot(upper, lower)


def misses(k: int) -> int:
    """How many of k right numbers miss their 95 % interval, in 19 of 20 tables or more."""
    return int(scipy.stats.binom.ppf(LEVEL, k, FEW)) if k else 0


def orders(pairs: Iterable[Pair]) -> tuple[int, int, int]:
    """(kept, turned, all): the pairs of numbers of a column that the paper's errors tell apart, by
    whether they are told apart here too, in its order or in the other."""
    kept = turned = every = 0
    columns: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair.here is not None:
            columns.setdefault(pair.column, []).append(pair)
    for column in columns.values():
        for a, b in itertools.combinations(column, 2):
            if not apart(a.paper, b.paper):
                continue
            every += 1
            told = apart(a.here, b.here)
            same = (a.here.value - b.here.value) * (a.paper.value - b.paper.value) > 0
            kept += told and same
            turned += told and not same
    return kept, turned, every


NUMBERS_RULE = (
    "A number agrees if it differs from the paper's by no more than the 95 % interval of the "
    "difference: rounding; one network there and the mean of several here, where training "
    f"makes several; images, {paper.SAMPLE} where the paper does not say, but none for errors "
    "on the same fixed images. It must be known as well as the paper's: an agreement within a "
    "wider interval of ours counts as open. Reproduced, if every number is measured and none "
    "open, no more miss than chance would let miss in 19 of 20 right tables if the cells were "
    "independent, and none misses the interval widened to 95 % of all together; of two or "
    "three numbers all have to agree within that. In direction only, if that fails by misses, "
    "but 95 % of the pairs of numbers of a column that the paper's errors tell apart are told "
    "apart here in the paper's order. Not reproduced, if it fails so, and of these pairs more "
    "than 5 % come, told apart, in the other order, or there are none. Else undecided."
)
SMALL = 3  # numbers: of so few one miss would be most of a table's word


def numbers(pairs: list[Pair], what: str) -> Finding:
    """The verdict on a table's numbers by :data:`NUMBERS_RULE`; ``what``: their name, plural."""
    measured = [pair for pair in pairs if pair.here is not None]
    if not measured:
        return not_measured(f"None of these {len(pairs)} {what} was measured in this run.")
    k = len(pairs)
    beside = [p for p in measured if math.isfinite(p.here.half) and far(p, k)]
    missed = beside if k <= SMALL else [p for p in measured if apart(p.here, p.paper)]
    agree = [p for p in measured if p not in missed and as_sure(p)]
    unsure = k - len(agree) - len(missed)
    allowed = 0 if k <= SMALL else misses(k)
    said = f"{len(agree)} of {len(pairs)} {what} agree"
    if missed:
        said += f", {len(missed)} {'does' if len(missed) == 1 else 'do'} not ({_few(missed)})"
    if unsure:
        said += f", {unsure} {'is' if unsure == 1 else 'are'} open or not measured"
    kept, turned, every = orders(pairs)
    if every:
        said += f"; of {every} pairs that the paper's errors tell apart {kept} are so here in order"
    verdict = UNDECIDED
    if len(missed) <= allowed and not beside:
        if not unsure:
            verdict = REPRODUCED
    elif every and kept >= MOST * every:
        verdict = DIRECTION
    elif not every or turned > (1 - MOST) * every:
        verdict = NOT
    seeds = [p.here.seeds for p in measured if p.here.seeds is not None]
    sizes = [p.here.n for p in measured if p.here.n is not None]
    return Finding(
        verdict,
        f"{said}.",
        value=len(agree),
        unit="count",
        of=len(pairs),
        n=_range_of(sizes),
        seeds=max(seeds, default=None),
    )


def _range_of(sizes: list) -> float | str | None:
    """One size, or "a to b"."""
    if not sizes or any(isinstance(size, str) for size in sizes):
        return sizes[0] if sizes else None
    low, high = min(sizes), max(sizes)
    return low if low == high else f"{low:g} to {high:g}"


def _few(pairs: list[Pair], most: int = 3) -> str:
    """The worst of some pairs, by name."""
    worst = sorted(pairs, key=lambda p: -abs(p.here.value - p.paper.value))[:most]
    names = "; ".join(f"{p.row}, {p.column}" for p in worst)
    return names if len(pairs) <= most else f"among them {names}"


NUMBER_RULE = (
    "Reproduced, if the number differs from the paper's by no more than the 95 % interval of the "
    "difference, and is known at least as well; undecided, if only because it is known worse; else "
    "not reproduced."
)


def number(pair: Pair) -> str:
    """The verdict on one number by :data:`NUMBER_RULE`."""
    if pair.here is None:
        return NOT_MEASURED
    if not math.isfinite(pair.here.half):
        return UNDECIDED
    if apart(pair.here, pair.paper):
        return NOT
    return REPRODUCED if as_sure(pair) else UNDECIDED


EVERY_RULE = (
    "Reproduced, if every network's number differs from the paper's by no more than the interval "
    "of the difference that is of 95 % for all together, and is known at least as well; not "
    "reproduced, if one differs by more; else, or with one that is not measured, undecided."
)
IMAGES_RULE = (
    " The figure does not say of how many images: about 40 that it shows, 256 and 10 000 tried; "
    "it is undecided where the three do not decide alike."
)


def every(pairs: list[Pair]) -> str:
    """The verdict on numbers that have to agree one and all, by :data:`EVERY_RULE`."""
    measured = [p for p in pairs if p.here is not None and math.isfinite(p.here.half)]
    if any(far(p, len(pairs)) for p in measured):
        return NOT
    if len(measured) == len(pairs) and all(as_sure(p) for p in measured):
        return REPRODUCED
    return UNDECIDED


def unanimous(words: dict[int, str]) -> str:
    """The verdict by :data:`IMAGES_RULE` on those with each number of images."""
    first, *rest = dict.fromkeys(words.values())
    return UNDECIDED if rest else first


# --- directions ----------------------------------------------------------------------------------

DIRECTION_RULE = (
    "Reproduced, if the 95 % interval of every difference, taken so that it is positive where the "
    "claim is right, lies above 0; not reproduced, if one lies below 0 with all intervals widened "
    "to 95 % together; else undecided. So it is, too, with a single network of a name of which "
    "training makes several."
)
WORDS = {"holds": REPRODUCED, "does not hold": NOT, "undecided": UNDECIDED}


def widened(level: float, k: int, df: float = math.inf) -> float:
    """By how much k intervals of 95 % grow when they are to have ``level`` together (Bonferroni),
    for Student's errors with ``df`` degrees of freedom; normal ones where that is infinite."""
    tail = (1 - level) / 2
    law = scipy.stats.t(df) if math.isfinite(df) else scipy.stats.norm
    return float(law.isf(tail / max(k, 1)) / law.isf(tail))


def directions(differences: list[Measured]) -> str:
    """The verdict on differences by :data:`DIRECTION_RULE`."""
    if not differences:
        return NOT_MEASURED
    known = [d for d in differences if math.isfinite(d.half)]
    k = len(differences)
    if any(d.value + widened(LEVEL, k, d.df) * (d.high - d.value) < 0 for d in known):
        return NOT
    if len(known) == len(differences) and all(d.low > 0 for d in known):
        return REPRODUCED
    return UNDECIDED


def of_statement(entry: dict, seeds: int) -> str:
    """The verdict on a statement about transfer, from the one of :mod:`transfer.statements`."""
    return UNDECIDED if seeds < 2 else WORDS[entry["verdict"]]


SEARCH_RULE = (
    "Reproduced, if every search succeeds; else undecided: a failed search proves no absence."
)


EQUIVALENCE_RULE = (
    "Reproduced, if in every layer the units are not purer than random directions by as "
    "much as half an image in eight (the 90 % interval of the difference over networks lies below "
    "that margin); not reproduced, if in one layer or more they are (the interval lies above it); "
    "else, or with a layer of these networks that is not measured, undecided."
)


def equivalences(differences: list[Measured], margin: float) -> str:
    """The verdict by :data:`EQUIVALENCE_RULE` on the layers' differences, units minus random; their
    intervals are of 90 %. One network alone has no interval, and leaves its layer open."""
    if not differences:
        return NOT_MEASURED
    if any(d.low is not None and d.low > margin for d in differences):
        return NOT
    if all(d.high is not None and d.high < margin for d in differences):
        return REPRODUCED
    return UNDECIDED
