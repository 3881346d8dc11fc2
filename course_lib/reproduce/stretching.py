"""The findings about section 4.3: what layers stretch, what bounds exclude, and the density of
adversarial images, which bounds decide."""

import math

from .. import paper
from . import evidence as read
from . import verdicts as rules
from .evidence import Evidence
from .findings import NO_RECORD
from .trained import gap
from .verdicts import NOT, REPRODUCED, UNDECIDED, Finding, not_measured, shown

EXACT = 1e-6  # relative: bounds of a layer are proven to about this


def _all_of(evidence: Evidence) -> list[tuple[str, dict]]:
    """(name, entry) of every certified network."""
    return [(name, e) for name, seeds in read.certified(evidence).items() for e in seeds]


def _seeds(evidence: Evidence) -> int:
    return max(len(seeds) for seeds in read.certified(evidence).values())


def _images(found: list[tuple[str, dict]]) -> int:
    return max(e["images"] for _, e in found)


def product(evidence: Evidence) -> Finding:
    """Whether what a network surely stretches is below the product of its layers' bounds."""
    found = _all_of(evidence)
    if not found:
        return not_measured(NO_RECORD)
    gaps = [e["bounds"]["log_product"] - e["bounds"]["log_lower"] for _, e in found]
    closest = min(gaps)
    return Finding(
        REPRODUCED if closest >= -EXACT else NOT,
        f"In all {len(found)} networks the product is at least what a search found them to "
        f"stretch; it is up to {math.exp(max(gaps)):.0f} times as much.",
        math.exp(closest),
        seeds=_seeds(evidence),
        proof=True,
    )


def convolution(evidence: Evidence) -> Finding:
    """The paper's formula for strided convolutions against the explicit matrix."""
    found = evidence.get("formulas").get("convolution", {})
    if not found:
        return not_measured(NO_RECORD)
    printed = max(abs(e["printed"] - 1) for e in found.values())
    mended = max(abs(e["mended"] - 1) for e in found.values())
    shown = ", ".join(f"stride {stride}: {e['printed']:.3g}" for stride, e in found.items())
    verdict = NOT
    if printed < EXACT:
        verdict = REPRODUCED
    elif mended < EXACT:
        verdict = rules.DIRECTION
    return Finding(
        verdict,
        "The formula as printed, with the plain Fourier transform, over the largest singular "
        f"value of the explicit matrix, {shown}: too small by 1/stride. With Δ⁻¹ in place of Δ⁻² "
        f"it is right to {mended:.0e}."
        if verdict == rules.DIRECTION
        else f"The formula over the largest singular value of the explicit matrix, {shown}; with "
        f"Δ⁻¹ in place of Δ⁻² it is off by {mended:.0e}.",
        min(e["printed"] for e in found.values()),
    )


def pooling(evidence: Evidence) -> Finding:
    """What max pooling can stretch, without and with overlap."""
    found = evidence.get("formulas").get("pooling", {})
    if found:
        worst = max(found, key=lambda name: found[name]["lower"])
        over = any(e["lower"] > 1 + EXACT for e in found.values())
        within = all(e["upper"] <= 1 + EXACT for e in found.values())
        verdict = REPRODUCED if within else NOT if over else UNDECIDED
        shown = ", ".join(f"{name} {e['lower']:.3g}" for name, e in found.items())
        return Finding(verdict, f"Proven norms: {shown}.", found[worst]["lower"])
    return not_measured(NO_RECORD)


def contrast(evidence: Evidence) -> Finding:
    """The norm of contrast normalisation's derivative over the paper's bound."""
    found = evidence.get("formulas").get("contrast", {})
    if not found:
        return not_measured(NO_RECORD)
    return Finding(
        REPRODUCED if found["largest"] <= 1 + EXACT else NOT,
        f"The derivative's norm over ε^(-γ), the largest of {found['points']} settings and points.",
        found["largest"],
    )


def table5(evidence: Evidence) -> Finding:
    """The upper bounds of AlexNet's layers beside the paper's: only for trained weights."""
    record = evidence.get("table5")
    found = record.get("layers", {})
    if not found:
        return not_measured(NO_RECORD)
    total = sum(math.log(e["upper"]) for e in found.values())
    theirs = sum(math.log(bound) for _, _, bound in paper.TABLE5.values())
    said = (
        f"Bounds of {len(found)} layers of these sizes, their product {math.exp(total):.3g} here "
        f"and {math.exp(theirs):.0f} in the paper"
    )
    if record.get("weights") != "trained":
        said += (
            f"; but here the weights are random (stddev {record.get('stddev', math.nan):g}), as "
            "before a training, for the trained ones are not in the course"
        )
        return not_measured(f"{said}.{of_photographs(evidence)}")
    if set(found) != set(paper.TABLE5):
        return not_measured(f"{said}; but these are not the paper's eight layers.")
    off = [name for name, e in found.items() if not bound_agrees(e, paper.TABLE5[name][2])]
    said = f"{said}. Other than the paper's: {', '.join(off) or 'none'}."
    return Finding(NOT if off else REPRODUCED, said)


def of_photographs(evidence: Evidence) -> str:
    """What a trained network of photographs has instead, as a sentence; "" without a record."""
    found = evidence.get("photographs").get("table5")
    if not found:
        return ""
    norms = [row["upper"] for row in found["layers"] if row["kind"] in ("Conv2d", "Linear")]
    return (
        f" EfficientNet-Lite0 is trained: its {len(norms)} layers with weights have norms of "
        f"{min(norms):.2g} to {max(norms):.3g} (batch norms folded), their product is "
        f"10^{found['log10_product']:.1f}, and a search found it to stretch by "
        f"10^{found['log10_lower']:.1f}."
    )


def bound_agrees(layer: dict, printed: float) -> bool:
    """Whether a printed bound lies, within rounding, between a layer's proven bounds."""
    rounded = rules.half_unit(printed)
    return layer["lower"] - rounded <= printed <= layer["upper"] + rounded


def first_layer(evidence: Evidence) -> Finding:
    """What the first convolutional layer surely stretches."""
    norms = [
        e["bounds"]["layers"][0]["lower"]
        for name, e in _all_of(evidence)
        if e["bounds"]["layers"][0]["kind"] == "Conv2d"
    ]
    if not norms:
        return not_measured(NO_RECORD)
    verdict = REPRODUCED if min(norms) > 1 else NOT if max(norms) < 1 else UNDECIDED
    return Finding(
        verdict,
        f"In the {len(norms)} trained CONV measured the first layer has a direction that it "
        f"stretches {min(norms):.1f} times. That adversarial changes lie along it is not said.",
        min(norms),
        seeds=len(norms),
    )


def small_bounds(evidence: Evidence) -> Finding:
    """Whether any attack found a mistake within the radius that a bound promises to be empty."""
    found = _all_of(evidence)
    ratios = [c["ratio"]["largest"] for _, e in found for c in e["certificates"].values()]
    robust = evidence.get("robust").get("methods", {})
    counts = [
        run.get(f"{way}_above_attack")
        for e in robust.values()
        for result in e["results"]
        for run in result["seeds"].values()
        for way in ("pairs", "tight", "local")
    ]
    if not ratios:
        return not_measured(NO_RECORD)
    inside = sum(count for count in counts if count is not None)
    lacking = counts.count(None)
    said = (
        f"In {len(found)} networks the largest promise is {max(ratios):.3f} of the distance of the "
        "attack"
    )
    if counts:
        said += f"; of the networks trained for bounds {inside} promises are beyond an attack"
    if lacking:
        said += f", and {lacking} of {len(counts)} counts are missing"
    # a certificate that touches the boundary may end at the nearest mistake itself
    over = max(ratios) > 1 + 1e-3 or inside > 0
    return Finding(
        NOT if over else UNDECIDED if lacking else REPRODUCED,
        f"{said}.",
        max(ratios),
        n=_images(found),
        seeds=_seeds(evidence),
        proof=True,
    )


def large_bounds(evidence: Evidence) -> Finding:
    """How far images are proven safe beyond what the product of the layers' bounds promises."""
    ratios = {}
    for name, seeds in read.certified(evidence).items():
        values = [
            e["certificates"]["box"]["radius"]["median"]
            / e["certificates"]["half"]["radius"]["median"]
            for e in seeds
        ]
        ratios[name] = read.over_networks(name, values)
    if not ratios:
        return not_measured(NO_RECORD)
    best = max(ratios, key=lambda name: ratios[name].value)
    low, high = (min(r.value for r in ratios.values()), ratios[best].value)
    return shown(
        UNDECIDED,
        "These networks have mistakes near every image, so they cannot show that a large bound "
        "does without. The median radius that is proven to be free of mistakes, over the one that "
        f"the product promises by itself: {low:.1f} to {high:.1f} in {len(ratios)} kinds of "
        f"network; the largest is that of {best}.",
        ratios[best],
        n=_images(_all_of(evidence)),
    )


def discontinuous(evidence: Evidence) -> Finding:
    """A network with a finite bound is no discontinuous mapping."""
    found = read.certified(evidence)
    if not found:
        return not_measured(NO_RECORD)
    bounds = {name: max(e["bounds"]["log_product"] for e in of) for name, of in found.items()}
    worst = max(bounds, key=bounds.get)
    return Finding(
        UNDECIDED,
        f"{sum(map(math.isfinite, bounds.values()))} of {len(bounds)} kinds of network have a "
        f"proven constant; the largest is that of {worst}. So the output is continuous, as section "
        "4.3 itself proves: what jumps is the class. Which of the two is meant is a reading.",
        math.exp(bounds[worst]),
        seeds=_seeds(evidence),
        proof=True,
    )


def dense(evidence: Evidence) -> Finding:
    """Around an image that has a certified radius, no mistake is arbitrarily near."""
    found = _all_of(evidence)
    if not found:
        return not_measured(NO_RECORD)
    radii = [e["certificates"]["box"]["radius"] for _, e in found]
    smallest = min(r["smallest"] for r in radii)
    return Finding(
        NOT if smallest > 0 else UNDECIDED,
        "Round an image that is read correctly there is a ball that is proven to hold no mistake. "
        f"The number is the smallest radius (L2, 784 pixels) in {len(found)} networks. Whether "
        "there are mistakes outside of the balls is not asked in this row.",
        smallest,
        n=_images(found),
        seeds=_seeds(evidence),
        proof=True,
    )


def penalised(evidence: Evidence) -> Finding:
    """Test error without and with a penalty on the bounds, settings chosen for the test error."""
    gained = gap(evidence, "weight decay", "penalised bounds")
    if gained is not None:
        return shown(
            rules.directions([gained]),
            "Test error with weight decay alone minus that with a penalty, the same seeds.",
            gained,
            "points",
        )
    methods = evidence.get("robust").get("methods", {})
    errors = {name: _accuracies(methods.get(name)) for name in ("plain", "sum", "log-product")}
    steps = {
        name: [100 * (runs[s] - errors["plain"][s]) for s in runs if s in errors["plain"]]
        for name, runs in errors.items()
        if name != "plain"
    }
    gaps = {
        name: read.over_networks("FC100-100-10", values) for name, values in steps.items() if values
    }
    if not gaps:
        return not_measured(NO_RECORD)
    best = max(gaps, key=lambda name: gaps[name].value)
    return shown(
        UNDECIDED,
        f"Test error without a penalty minus that with the better of {len(gaps)} ({best}). But the "
        "settings were chosen for what can be certified, not for the test error.",
        gaps[best],
        "points",
        n=read.SIZES["test"],
    )


def _accuracies(method: dict | None) -> dict[str, float]:
    """Test accuracy by seed of the settings that were chosen for near certificates."""
    for result in (method or {}).get("results", []):
        if "near" in result["goals"]:
            return {seed: run["accuracy"] for seed, run in result["seeds"].items()}
    return {}
