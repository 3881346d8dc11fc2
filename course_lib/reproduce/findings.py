"""From the records to a finding about each claim; which claim takes which stands in ``claims``.

A finder takes the :class:`Evidence` and gives a :class:`Finding`. What the records lack is "not
measured". Rules that are more than a line are in ``verdicts``.
"""

import dataclasses
import itertools
import math

from .. import paper, units
from ..transfer.intervals import wilson
from ..transfer.table import equal_label
from . import evidence as read
from . import verdicts as rules
from .evidence import Evidence
from .measured import CONVEX, Measured
from .verdicts import DIRECTION, NOT, REPRODUCED, UNDECIDED, Finding, not_measured, shown

NO_RECORD = "The run has no record of it."
LABELLED = ("FC100-100-10", "FC100-100-10-ReLU", "FC200-200-10", "CONV")
# hidden layers of which units are examined; one that a record lacks leaves the claim open
LAYERS = {
    "FC100-100-10": 2,
    "FC100-100-10-ReLU": 2,
    "FC200-200-10": 2,
    "CONV": 1,
    "AE400-10": 1,
}
HIDDEN = tuple(name for name in paper.TABLE1 if name not in CONVEX)
CLASSES = 10
FIGURE7_IMAGES = (40, paper.SAMPLE, 10_000)  # those shown, the usual sample, a whole test set
RARE = 0.05  # "of low probability": below what is commonly called rare


# --- section 3 -----------------------------------------------------------------------------------


def units_of(names: tuple[str, ...]):
    """A finder: units against random directions in the layers of some networks, by purity."""

    def find(evidence: Evidence) -> Finding:
        found = read.layers(evidence, names)
        if not found:
            return not_measured(NO_RECORD)
        gaps = {place: _gap(e["purity"]["difference"], e["networks"]) for place, e in found.items()}
        largest = max(gaps, key=lambda place: _upper(gaps[place]))
        margin = units.MARGINS["purity"]
        below = sum(gap.high is not None and gap.high < margin for gap in gaps.values())
        above = sum(gap.low is not None and gap.low > margin for gap in gaps.values())
        expected = sum(LAYERS[name] for name in names)
        verdict = rules.equivalences(list(gaps.values()), margin)
        if len(gaps) < expected and verdict == REPRODUCED:
            verdict = UNDECIDED
        return shown(
            verdict,
            f"By purity; layers measured {len(gaps)} of {expected}: {below} below the "
            f"margin of {margin:g}, {above} above it. The number is the difference, units minus "
            f"random, of the layer whose interval reaches highest ({largest}).",
            gaps[largest],
            n=read.SIZES["test"],
            seeds=min(e["networks"] for e in found.values()),
            level=units.LEVEL,
        )

    return find


def _gap(difference: dict, networks: int) -> Measured:
    """A layer's difference; a single network has no interval."""
    low, high = (difference["low"], difference["high"]) if networks > 1 else (None, None)
    return Measured(difference["mean"], low, high, seeds=networks, df=networks - 1)


def _upper(measured: Measured) -> float:
    return math.inf if measured.high is None else measured.high


def random_directions(evidence: Evidence) -> Finding:
    """The purity of the top images of random directions, over that of images drawn blindly."""
    found = read.layers(evidence)
    chance = evidence.get("unit_semantics").get("chance", {}).get("purity")
    if not found or chance is None:
        return not_measured(NO_RECORD)
    gaps = {}
    for place, e in found.items():
        haar = e["purity"]["haar"]
        mean, half = haar["mean"] - chance, haar["half_width"]
        gaps[place] = _gap({"mean": mean, "low": mean - half, "high": mean + half}, e["networks"])
    least = min(gaps, key=lambda place: gaps[place].value)
    return shown(
        rules.directions(list(gaps.values())),
        f"Purity of rows of eight, minus {chance:.3f} by chance, in {len(gaps)} layers of trained "
        f"networks; least in {least}.",
        gaps[least],
        n=read.SIZES["test"],
    )


# --- sections 4.1 and 4.2: Tables 1 to 4 ---------------------------------------------------------


def every_image(evidence: Evidence) -> Finding:
    """How many of the attacks, of all networks, images and readings, succeeded."""
    failed = tried = 0
    seeds = []
    for entry in evidence.get("attacks").get("networks", {}).values():
        seeds.append(len(entry["seeds"]))
        for run in entry["seeds"].values():
            for key, cell in run.items():
                each = CLASSES - 1 if key.startswith("all/") else 1
                searches = each * (cell["images"] - cell["misclassified"])
                tried += searches
                failed += searches - math.floor(cell["success"] * searches + 1e-6)
    if not tried:
        return not_measured(NO_RECORD)
    # all networks get the same images; each search that failed may be of another of them
    images = max(
        cell["images"]
        for entry in evidence.get("attacks")["networks"].values()
        for run in entry["seeds"].values()
        for cell in run.values()
    )
    share = max(0.0, 1 - failed / images)
    low, high = wilson(share, images)
    return Finding(
        UNDECIDED if failed else REPRODUCED,
        f"In {len(seeds)} kinds of network: of {tried} searches on images that the network had "
        f"right, {tried - failed} ended in a mistake, {failed} did not. The interval is over "
        f"{images} images.",
        share,
        low,
        high,
        unit="%",
        n=images,
        seeds=max(seeds),
    )


def nearness(evidence: Evidence) -> Finding:
    """How large the changes are; whether somebody sees them was not asked."""
    sizes = {name: read.distortion(evidence, name) for name in paper.TABLE1}
    sizes = {name: size for name, size in sizes.items() if size is not None}
    if not sizes:
        return not_measured(NO_RECORD)
    values = [size.value for size in sizes.values()]
    said = (
        f"The changes are {min(values):.3f} to {max(values):.3f} of the grey scale (rms), in the "
        f"mean of each of {len(sizes)} networks"
    )
    beside = evidence.get("pictures").get("other_class")
    if beside:
        said += (
            f"; the nearest training image of another class is {beside['median']:.3f} away (median)"
        )
    largest = max(sizes.values(), key=lambda size: size.value)
    return shown(
        UNDECIDED,
        said + ". Nobody was asked what is seen.",
        largest,
        "distortion",
        seeds=max(size.seeds for size in sizes.values()),
    )


def penalty(evidence: Evidence) -> Finding:
    """By how much the penalty method misses the minimum of convex networks."""
    found = evidence.get("formulas").get("penalty", {})
    if found:
        worst = max(found, key=lambda name: found[name]["excess"])
        e = found[worst]
        said = "; ".join(f"{name} {100 * e['excess']:.1f} %" for name, e in found.items())
        return Finding(
            NOT if e["excess"] - e["half_width"] > 0 else UNDECIDED,
            f"The penalty method's distance above the exact minimum, in the mean: {said}.",
            e["excess"],
            e["excess"] - e["half_width"],
            e["excess"] + e["half_width"],
            "%",
            n=e["n"],
            seeds=1,
        )
    ratios = {}
    for name in CONVEX:
        ours, nearer = (
            read.distortion(evidence, name, cell) for cell in (read.CELL, "recorded/margin/squared")
        )
        if ours is not None and nearer is not None:
            ratios[name] = (ours.value / nearer.value - 1, ours.n)
    if not ratios:
        return not_measured(NO_RECORD)
    worst = max(ratios, key=lambda name: ratios[name][0])
    said = "; ".join(f"{name} {100 * gap:.1f} %" for name, (gap, _) in ratios.items())
    return Finding(
        NOT if ratios[worst][0] > 0 else UNDECIDED,
        "The same images lead to the same classes by changes that are smaller in the mean, found "
        f"with another loss, so the paper's are no minima. They are larger by: {said}.",
        ratios[worst][0],
        unit="%",
        n=ratios[worst][1],
        seeds=1,
    )


def table_errors(table: dict, parts: tuple[str, ...]):
    """A finder: the errors of Table 1 or 3 beside the paper's."""
    return lambda evidence: rules.numbers(read.error_pairs(evidence, table, parts), "errors")


def table_distortions(table: dict):
    """A finder: the distortions of Table 1 or 3 beside the paper's."""
    return lambda evidence: rules.numbers(read.distortion_pairs(evidence, table), "distortions")


def table_cells(table: str):
    """A finder: the cells of Table 2 or 4 where a network gets others' examples, or noise."""
    return lambda evidence: rules.numbers(read.others(read.cells(evidence, table)), "shares")


def rising(measure, what: str, scale: float, unit: str):
    """A finder: that ``measure`` of the FC10 rises with their decay, from each to the next."""

    def find(evidence: Evidence) -> Finding:
        values = [measure(evidence, name) for name in CONVEX]
        if any(value is None for value in values):
            return not_measured(NO_RECORD)
        steps = [difference(b, a) for a, b in itertools.pairwise(values)]
        least = min(steps, key=lambda step: step.value)
        each = ", ".join(
            f"{name} {scale * v.value:.3g}" for name, v in zip(CONVEX, values, strict=True)
        )
        return shown(
            rules.directions(steps),
            f"{what}: {each}. The number is the smaller of the two steps.",
            least,
            unit,
            scale,
            n=values[0].n,
            seeds=1,
        )

    return find


def difference(a: Measured, b: Measured) -> Measured:
    """a - b, two independent measurements."""
    value, half = a.value - b.value, math.hypot(a.half, b.half)
    if not math.isfinite(half):
        return Measured(value, None, None, a.n, a.seeds)
    return Measured(value, value - half, value + half, a.n, a.seeds, min(a.df, b.df))


def halves_cost(evidence: Evidence) -> Finding:
    """How much more FC100-100-10 errs when it was trained on half of the images."""
    whole = read.error(evidence, "FC100-100-10", "test")
    halves = [read.error(evidence, f"FC100-100-10@{p}", "test") for p in ("P1", "P2")]
    if whole is None or None in halves:
        return not_measured(NO_RECORD)
    steps = [difference(half, whole) for half in halves]
    least = min(steps, key=lambda step: step.value)
    said = ", ".join(f"{100 * half.value:.2f} %" for half in halves)
    return shown(
        rules.directions(steps),
        f"Test error on half of the images {said}, on all {100 * whole.value:.2f} %.",
        least,
        "points",
        100,
        n=read.SIZES["test"],
        seeds=min(whole.seeds, *(half.seeds for half in halves)),
    )


def stated(key: str):
    """A finder: a statement about transfer, decided by the rules of transfer.statements."""

    def find(evidence: Evidence) -> Finding:
        entry, seeds = read.statement(evidence, key)
        if entry is None or not entry["of"]:
            return not_measured(NO_RECORD)
        least = entry.get("smallest", {})
        said = f"For it {entry['for']} of {entry['of']} comparisons, against it {entry['against']}"
        if least:
            said += f"; least: {least['what']}"
        if seeds < 2:
            said += ". One network of each name says nothing of the next"
        return Finding(
            rules.of_statement(entry, seeds),
            f"{said}.",
            *(100 * least[k] if least else None for k in ("mean", "low", "high")),
            unit="points",
            n=evidence.get("transfer").get("n"),
            seeds=seeds,
        )

    return find


def equal_noise(evidence: Evidence) -> Finding:
    """As :func:`stated`; in direction only where the examples do more, but not surely twice as
    much."""
    found = stated("equal noise")(evidence)
    more = []
    for table, columns in (("table2", paper.TABLE2_COLUMNS), ("table4", paper.TABLE4_COLUMNS)):
        excess = evidence.get("transfer").get("tables", {}).get(table, {}).get("excess", {})
        for row in columns:
            more += [excess.get(row, {}).get(c) for c in columns if c != row]
    sure = all(cell is not None and cell[1] > 0 for cell in more)
    if found.verdict in (NOT, UNDECIDED) and sure and found.seeds > 1:
        return dataclasses.replace(found, verdict=DIRECTION)
    return found


def low_probability(evidence: Evidence) -> Finding:
    """The share of images that noise, as large as the adversarial change, turns into a mistake."""
    transfer = evidence.get("transfer")
    found = {}
    for table in ("table2", "table4"):
        entry = transfer.get("tables", {}).get(table, {})
        for name, row in entry.get("rows", {}).items():
            cell = entry["strict"].get(equal_label(name), {}).get(name)
            if row["kind"] == "minimal" and cell is not None:
                found[name] = cell
    if not found:
        return not_measured(NO_RECORD)
    worst = max(found, key=lambda name: found[name][2])
    mean, low, high = found[worst][:3]
    seeds = max((len(s) for s in transfer.get("seeds", {}).values()), default=1)
    verdict = REPRODUCED if high < RARE else NOT if low > RARE else UNDECIDED
    verdict = UNDECIDED if seeds < 2 else verdict
    return Finding(
        verdict,
        f"The largest share among {len(found)} networks is that of {worst}.",
        mean,
        low,
        high,
        "%",
        n=transfer.get("n"),
        seeds=seeds,
    )


def figure7_noise(evidence: Evidence) -> Finding:
    """The accuracy under Gaussian noise of stddev 1, of the two networks of Figure 7."""
    found = evidence.get("pictures").get("noise", {}).get("accuracy", {})
    if not found:
        return not_measured(NO_RECORD)
    here = {
        name: Measured(e["mean"], e["low"], e["high"], e["n"], e["seeds"])
        for name, e in found.items()
    }

    def at(n: int) -> str:
        theirs = rules.printed_share(paper.FIGURE7_NOISE_ACCURACY, n)
        pairs = [rules.Pair(name, "accuracy", here.get(name), theirs) for name in paper.FIGURE7]
        return rules.every(pairs)

    words = {n: at(n) for n in FIGURE7_IMAGES}
    worst = max(here, key=lambda name: abs(here[name].value - paper.FIGURE7_NOISE_ACCURACY))
    said = "; ".join(f"{name} {100 * e.value:.1f} %" for name, e in here.items())
    return shown(
        rules.unanimous(words),
        f"{said}. {_by_images(words)} The number is that of {worst}.",
        here[worst],
        "%",
    )


def _by_images(words: dict[int, str]) -> str:
    each = ", ".join(f"{n}: {word}" for n, word in words.items())
    return f"The paper does not say of how many images; with {each}."


def figure7_sizes(evidence: Evidence) -> Finding:
    """The distortions that Figure 7 tells of its two networks, beside those of Table 1's images."""
    found = {
        n: rules.numbers(
            [read.distortion_pair(evidence, name, size, n) for name, size in paper.FIGURE7.items()],
            "distortions",
        )
        for n in FIGURE7_IMAGES
    }
    words = {n: row.verdict for n, row in found.items()}
    row = found[paper.SAMPLE]
    if row.verdict == rules.NOT_MEASURED:
        return row
    said = f"With {paper.SAMPLE} images there: {row.said} {_by_images(words)}"
    return dataclasses.replace(row, verdict=rules.unanimous(words), said=said)


error_rise = rising(
    lambda evidence, name: read.error(evidence, name, "test"), "Test errors, %", 100, "points"
)
distortion_rise = rising(read.distortion, "Mean distortions", 1, "distortion")
