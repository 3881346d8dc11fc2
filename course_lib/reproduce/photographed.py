"""The findings about Figures 3 to 6, of networks of photographs that are not the paper's."""

import statistics

from .. import record, units
from ..imagenet.needed import NAME as NETWORK
from ..transfer.intervals import wilson
from . import verdicts as rules
from .evidence import Evidence
from .findings import NO_RECORD
from .measured import Measured
from .verdicts import REPRODUCED, UNDECIDED, Finding, not_measured, shown

OTHER_NETWORK = (
    "Undecided: the paper's network cannot be had, and one network says nothing of another. Sizes "
    "are shown."
)


def single_units(evidence: Evidence) -> Finding:
    """Units of the last two layers against random directions, over crops of photographs."""
    made = evidence.get("photographs")
    networks = {NETWORK: made} | made.get("others", {})
    found = {name: parts["units"] for name, parts in networks.items() if "units" in parts}
    if not found:
        return not_measured(NO_RECORD)
    layers = {"the last before the logits": list(found.values())}
    layers["the logits"] = [e["logits"] for e in found.values() if "logits" in e]
    gaps = {layer: _gap(entries) for layer, entries in layers.items() if entries}
    verdict = rules.equivalences(list(gaps.values()), units.MARGINS["purity"])
    if len(gaps) < len(layers) and verdict == REPRODUCED:
        verdict = UNDECIDED
    highest = max(gaps, key=lambda layer: gaps[layer].high or gaps[layer].value)
    blind = statistics.fmean(e["photograph"]["chance"] for e in found.values())
    each = "; ".join(
        f"{layer}: {', '.join(f'{_difference(e):.3f}' for e in layers[layer])}" for layer in gaps
    )
    return shown(
        verdict,
        f"Units minus random directions, of {', '.join(found)}: {each}; the margin is "
        f"{units.MARGINS['purity']:g}. The number is that of {highest}. Eight crops drawn blindly "
        f"have a share of {blind:.2f}. These networks are not the paper's, and their crops no "
        "sample of ImageNet.",
        gaps[highest],
        n=max(e["crops"] for e in found.values()),
        level=units.LEVEL,
    )


def _difference(entry: dict) -> float:
    """Units minus random directions, by which photograph a crop is of."""
    return entry["photograph"]["units"] - entry["photograph"]["directions"]


def _gap(entries: list[dict]) -> Measured:
    """The mean of a layer's differences; one network has no interval."""
    values = [_difference(e) for e in entries]
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Measured(mean, seeds=1)
    half = record.interval(values, units.LEVEL)["half_width"]
    return Measured(mean, mean - half, mean + half, None, len(values))


def ostriches(evidence: Evidence) -> Finding:
    """Whether every photograph can be turned into an ostrich."""
    found = evidence.get("photographs").get("ostrich")
    if not found:
        return not_measured(NO_RECORD)
    n, done = len(found["success"]), sum(found["success"])
    noise = sum(found["changed_by_noise"])
    return Finding(
        REPRODUCED if done == n else UNDECIDED,
        f"{done} of {n} photographs, for a network that is not the paper's. Of "
        f"{n * found['draws']} draws of noise as large as the change {noise} changed its answer.",
        done / n,
        *wilson(done / n, n),
        "%",
        n=n,
        seeds=1,
    )


def ostrich_sizes(evidence: Evidence) -> Finding:
    """How large the changes are, in the mean of the photographs."""
    found = evidence.get("photographs").get("ostrich")
    sizes = [size for size in (found or {}).get("distortion", []) if size is not None]
    if not sizes:
        return not_measured(NO_RECORD)
    return shown(
        UNDECIDED,
        f"{min(sizes):.5f} to {max(sizes):.5f}, by {found['steps']} gradients each, for a network "
        "that is not the paper's. Nobody was asked what is seen.",
        Measured(statistics.fmean(sizes), n=len(sizes), seeds=1),
        "distortion",
    )


def detectors(evidence: Evidence) -> Finding:
    """Whether single units, read as detectors, can be switched off."""
    found = evidence.get("photographs").get("detectors", {})
    found = {name: e for name, e in found.items() if isinstance(e, dict)}
    if not found:
        return not_measured(NO_RECORD)
    n, done = (sum(e[key] for e in found.values()) for key in ("n", "success"))
    each = "; ".join(
        f"{name}: unit {e['unit']}, which tells its kind with a balanced accuracy of "
        f"{e['accuracy']:.2f}, {e['success']} of {e['n']}"
        + ("" if e["distortion"] is None else f", distortion {e['distortion']:.4f}")
        for name, e in found.items()
    )
    return Finding(
        REPRODUCED if done == n else UNDECIDED,
        f"Switched off, for units that are not QuocNet's: {each}.",
        done / n,
        unit="%",
        n=n,
        seeds=1,
    )
