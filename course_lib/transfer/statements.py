"""What the paper says about transfer in words (section 4.2), and the rules that decide on it.

The rules were written before the record was made. Each statement becomes comparisons, differences
that are positive where it is right, taken over the images that every network has right when clean.
It *holds* if every one of them has a 95 % interval above 0. It *does not hold* if one of them is
below 0 with all intervals widened so that together they have 95 % (Bonferroni). Otherwise it is
*undecided*, and how many comparisons are for it is told.
"""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np

from ..checked import Kind, instance, takes
from .intervals import LEVEL, Estimate, hierarchical_bootstrap, wilson
from .table import TransferTable, amplified_label, noise_label, paired

TABLES = Kind(
    "a dict of transfer tables by their names",
    lambda value: (
        isinstance(value, dict)
        and all(isinstance(table, TransferTable) for table in value.values())
    ),
)
SIX = ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)", "FC100-100-10", "FC200-200-10", "AE400-10")
HALVES = ("FC100-100-10@P1", "FC123-456-10@P1", "FC100-100-10@P2")
ACROSS = [(a, b) for a, b in itertools.permutations(HALVES, 2) if a[-1] != b[-1]]
STDDEV = 0.1  # of the amplified examples and of the noise beside them, as in Table 4
FAR = 2.0  # "far less": at most one in this many


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A difference that is above 0 where the statement is right: (low, high) at 95 %, and the upper
    end of the interval that is widened for the number of comparisons."""

    what: str
    mean: float
    low: float
    high: float
    widest: float


@dataclasses.dataclass(frozen=True)
class Statement:
    """text: in our words; rule: what is compared; made_from: which tables, of "table2", "table4",
    "nearest2", "nearest4"; in_paper: whether the paper says it; compare: tables to estimates."""

    text: str
    rule: str
    made_from: tuple[str, ...]
    compare: Callable[..., dict[str, Estimate]]
    in_paper: bool = True


def pairs_of(table: TransferTable, names=None) -> list[tuple[str, str]]:
    """All (source, column) with two different networks, of ``names`` if given."""
    sources = [row.source for row in table.rows.values() if row.kind == "minimal"]
    chosen = [n for n in (names or sources) if n in sources]
    return [
        (a, b) for a in chosen for b in (names or table.columns) if a != b and b in table.columns
    ]


def _has(table: TransferTable, names) -> bool:
    """Whether all ``names`` are rows and columns."""
    return all(name in table.rows and name in table.columns for name in names)


def _excess(table, pairs, times: float = 1.0, row=lambda a: a) -> dict[str, Estimate]:
    """The error on a source's examples minus ``times`` that on equally large noise."""
    return {f"{a} → {b}": table.excess(row(a), b, times=times) for a, b in pairs}


def _other_hyperparameters(table):
    return _excess(table, pairs_of(table, SIX))


def _other_weights(table):
    found = {}
    for a in table.columns:
        if len(set(table.ids[table.columns.index(a)])) > 1 and a in table.rows:
            both = (True, True)
            found[a] = table.difference((a, a), (table.control(a), a), strangers=both)
    return found


def _weaker_as_printed(table):
    first, other, second = HALVES
    if not _has(table, HALVES):
        return {}
    return {
        f"{a} → {b} minus → {second}": table.difference((a, b), (a, second))
        for a, b in ((first, other), (other, first))
    }


def _weaker_alike(table):
    found = {}
    if not _has(table, HALVES):
        return found
    for a, b in ((HALVES[0], HALVES[2]), (HALVES[2], HALVES[0])):
        name = f"{a} → {a}, other weights, minus → {b}"
        found[name] = table.difference((a, a), (a, b), strangers=(True, False))
    return found


def _far_less_equal(two, four):
    found = _excess(two, pairs_of(two, SIX), FAR)
    return found | _excess(four, pairs_of(four, HALVES), FAR)


def _far_less_larger(two, four):
    found = {}
    for table, names in ((two, SIX), (four, HALVES)):
        for a, b in pairs_of(table, names):
            if table.size(a) < STDDEV:
                noise = (noise_label(STDDEV), b)
                found[f"{a} → {b}"] = table.difference((a, b), noise, times=FAR)
    return found


def _amplified(table):
    return {
        f"{a} → {b}": table.difference((amplified_label(a, STDDEV), b), (a, b))
        for a, b in pairs_of(table, HALVES)
    }


def _amplified_and_noise(table):
    row = lambda a: amplified_label(a, STDDEV)  # noqa: E731 - a name for one line
    return _excess(table, pairs_of(table, HALVES), FAR, row)


def _autoencoder_least(table):
    auto = SIX[-1]
    if auto not in table.columns:
        return {}
    return {
        f"{a} → {b} minus → {auto}": table.difference((a, b), (a, auto))
        for a, b in pairs_of(table, SIX)
        if auto not in (a, b)
    }


def _autoencoder_not_immune(table):
    return _excess(table, [(a, b) for a, b in pairs_of(table, SIX) if b == SIX[-1]])


def _nearest_less(two, four, near2, near4):
    found = {}
    for random, nearest, names in ((two, near2, SIX), (four, near4, HALVES)):
        for a, b in pairs_of(nearest, names):
            found[f"{a} → {b}"] = paired((random, a, b), (nearest, a, b))
    return found


def _aimed_at(two, four):
    """The class aimed at, minus a ninth of all mistakes: what blind mistakes would give."""
    found = {}
    for table, names in ((two, SIX), (four, HALVES)):
        for a, b in pairs_of(table, names):
            hit, wrong = (table.cell(a, b, what=what) for what in ("hit", "wrong"))
            blind = dataclasses.replace(wrong, values=wrong.values / 9)
            found[f"{a} → {b}"] = hierarchical_bootstrap(hit, blind)
    return found


STATEMENTS = {
    "other hyperparameters": Statement(
        "Examples made for one network fool networks of other architectures and other settings.",
        "For each of Table 2's 30 pairs of different networks: the error on the examples minus "
        "that on Gaussian noise that is, image by image, exactly as large.",
        ("table2",),
        _other_hyperparameters,
    ),
    "other initial weights": Statement(
        "Examples made for one network fool a network that differs in its first weights alone.",
        "For each name of which several networks were trained: the error of the others of the "
        "name on the examples minus that on equally large noise.",
        ("table2",),
        _other_weights,
    ),
    "other training images": Statement(
        "Examples made for one network fool networks trained on entirely different images.",
        "For each of Table 4's four pairs across the halves: the error on the examples minus that "
        "on equally large noise.",
        ("table4",),
        lambda table: _excess(table, [p for p in pairs_of(table, HALVES) if p in ACROSS]),
    ),
    "weaker across training images": Statement(
        "They fool networks trained on other images less than those trained on the same.",
        "For each of the two rows that Table 4 has of networks trained on P1: the error of the "
        "other network of P1 minus that of the network of P2.",
        ("table4",),
        _weaker_as_printed,
    ),
    "weaker, one architecture": Statement(
        "The same, the architecture kept: only the half of the training images differs.",
        "For FC100-100-10 on P1 and on P2: the error of networks of the same name, trained from "
        "other first weights, minus that of networks of the other half.",
        ("table4",),
        _weaker_alike,
        in_paper=False,
    ),
    "equal noise": Statement(
        "Random noise of the same size does far less.",
        f"For all pairs of different networks of Tables 2 and 4: the error on the examples minus "
        f"{FAR:g} times that on equally large noise.",
        ("table2", "table4"),
        _far_less_equal,
    ),
    "larger noise": Statement(
        "Even larger random noise does far less.",
        f"For all pairs of different networks of Tables 2 and 4 whose examples are smaller than "
        f"{STDDEV:g} on average: the error on the examples minus {FAR:g} times that on Gaussian "
        f"noise of stddev {STDDEV:g}.",
        ("table2", "table4"),
        _far_less_larger,
    ),
    "amplified": Statement(
        f"Examples amplified to stddev {STDDEV:g} transfer more.",
        "For each of Table 4's six pairs of different networks: the error on the amplified "
        "examples minus that on the examples as they are.",
        ("table4",),
        _amplified,
    ),
    "amplified, noise": Statement(
        f"Gaussian noise of stddev {STDDEV:g} does far less than amplified examples.",
        f"For each of Table 4's six pairs: the error on the amplified examples minus {FAR:g} "
        "times that on noise of the same size.",
        ("table4",),
        _amplified_and_noise,
    ),
    "autoencoder least": Statement(
        "The autoencoder is the least fooled by other networks' examples.",
        "For each row of Table 2 but the autoencoder's, and each other network: its error minus "
        "the autoencoder's, 20 comparisons.",
        ("table2",),
        _autoencoder_least,
    ),
    "autoencoder not immune": Statement(
        "The autoencoder is not immune to them either.",
        "For each row of Table 2 but its own: the autoencoder's error on the examples minus that "
        "on equally large noise.",
        ("table2",),
        _autoencoder_not_immune,
    ),
    "nearest class": Statement(
        "Examples made for the nearest class transfer less than those for a random class.",
        "For all pairs of different networks of Tables 2 and 4: the error on the examples for the "
        "recorded random class minus that on those for the nearest class, on the same images.",
        ("table2", "table4", "nearest2", "nearest4"),
        _nearest_less,
        in_paper=False,
    ),
    "class aimed at": Statement(
        "A network that is fooled gives the class aimed at more often than one mistake in nine.",
        "For all pairs of different networks of Tables 2 and 4: the share of images that get the "
        "class aimed at minus a ninth of the error.",
        ("table2", "table4"),
        _aimed_at,
        in_paper=False,
    ),
}


def compare(statement: Statement, tables: dict[str, TransferTable]) -> list[Comparison]:
    """The comparisons of a statement; KeyError, saying which, if a table that it needs is missing.

    Comparisons without any image are left out.
    """
    missing = [name for name in statement.made_from if name not in tables]
    if missing:
        raise KeyError(f"This statement also needs {', '.join(missing)}.")
    estimates = statement.compare(*(tables[name] for name in statement.made_from))
    estimates = {what: e for what, e in estimates.items() if e.n > 0}
    together = 1 - (1 - LEVEL) / max(len(estimates), 1)
    return [
        Comparison(what, e.mean, e.low, e.high, e.interval(together)[1])
        for what, e in estimates.items()
    ]


def verdict(comparisons: list[Comparison]) -> dict:
    """What the comparisons say: {"verdict", "for", "against", "of"}.

    "holds" if all intervals lie above 0, "does not hold" if a widened one lies below, else
    "undecided"; for and against count the comparisons of either kind.
    """
    over = sum(c.low > 0 for c in comparisons)
    under = sum(c.widest < 0 for c in comparisons)
    word = "undecided"
    if under:
        word = "does not hold"
    elif comparisons and over == len(comparisons):
        word = "holds"
    return {"verdict": word, "for": over, "against": under, "of": len(comparisons)}


@takes(tables=TABLES)
def verdicts(tables: dict[str, TransferTable]) -> dict[str, dict]:
    """The verdict on each statement whose tables are there, with the smallest comparison."""
    found = {}
    for key, statement in STATEMENTS.items():
        if not set(statement.made_from) <= set(tables):
            continue
        comparisons = compare(statement, tables)
        entry = verdict(comparisons) | {"in_paper": statement.in_paper}
        if comparisons:
            entry["smallest"] = dataclasses.asdict(min(comparisons, key=lambda c: c.low))
        found[key] = entry
    return found


@takes(table=instance(TransferTable))
def own_examples(table: TransferTable) -> dict[str, dict]:
    """How surely each network fails on its own examples: share with Wilson's interval over images
    of one network; an image whose attack failed counts as not fooled."""
    found = {}
    for row in table.rows.values():
        if row.kind != "minimal" or row.source not in table.columns:
            continue
        cell = table.cell(row.label, row.source, "paper")
        each = np.unique(row.ids, return_index=True)[1]
        n = row.used[each].size
        fooled = int((cell.values & cell.valid).any(1)[each].sum())
        low, high = wilson(fooled / n, n)
        found[row.source] = {"share": fooled / n, "low": low, "high": high, "n": n}
    return found
