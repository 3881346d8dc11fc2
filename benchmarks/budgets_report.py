"""BUDGETS.md and its figure out of budgets.json; a verdict for each claim, by a rule in code."""

from pathlib import Path

import matplotlib
from attacks_report import Verdict, percent, provenance
from matplotlib.figure import Figure

OURS = "ours"
FROM = 30  # the least budget at which ours is to be first
MODES = {"targeted": "with a target", "any": "any class"}
STARTED = 0.001  # the figure's scale is linear below this share


# --- the rules -------------------------------------------------------------------------------


def parts(found: dict):
    """(network, mode, its results) of all that was measured."""
    for name, modes in found.get("networks", {}).items():
        for mode in MODES:
            if mode in modes:
                yield name, mode, modes[mode]


def rivals(part: dict, budget: str) -> dict[str, dict]:
    """The rows of the other methods at ``budget``."""
    rows = part["methods"].items()
    return {name: row[budget] for name, row in rows if name != OURS and budget in row}


def ahead(ours: dict, other: dict) -> bool:
    """Whether ``other`` is ahead of ours: it succeeds more often; or as often, and is nearer in the
    mean over the images where both do."""
    if other["success"] != ours["success"]:
        return other["success"] > ours["success"]
    return other["beside"] is not None and other["beside"] < 0


def first(found: dict) -> Verdict:
    """Whether no method is ahead of ours at any budget from :data:`FROM` on."""
    statement = (
        f"Aimed at: first at every budget from {FROM} on, on every network, with a target and for "
        "any class (as many successes as any, and no mean L2 above another's over the images where "
        "both succeed)."
    )
    wrong, looked = [], 0
    for name, mode, part in parts(found):
        for budget in (str(b) for b in found["budgets"] if b >= FROM):
            ours = part["methods"].get(OURS, {}).get(budget)
            others = rivals(part, budget)
            if not ours or not others:
                return Verdict(statement, None, "")
            looked += 1
            for other, row in others.items():
                if ahead(ours, row):
                    by = percent(row["beside"]) if row["beside"] is not None else "no common image"
                    wrong.append(
                        f"{name}, {MODES[mode]}, {budget}: {other} {by}, success "
                        f"{row['success']:.0%} against {ours['success']:.0%}"
                    )
    if not looked:
        return Verdict(statement, None, "")
    cases = len({text.split(":")[0] for text in wrong})
    head = f"Behind in {cases} of {looked}: " if wrong else f"{looked} of {looked}."
    return Verdict(statement, not wrong, head + "; ".join(wrong) + ("." if wrong else ""))


def falling(found: dict) -> Verdict:
    """Whether ours never ends farther with more gradients, nor loses an image."""
    statement = "Anytime: the curve of distance against gradients never rises."
    wrong, looked = [], 0
    for name, mode, part in parts(found):
        for budget, rise in part["rises"].items():
            looked += 1
            if rise["mean"] > 0 or rise["lost"] or rise["images"] > 0:
                wrong.append(
                    f"{name}, {MODES[mode]}, at {budget}: {rise['images']:.0%} of the images "
                    f"farther, mean {percent(rise['mean'])}, {rise['lost']} lost"
                )
    if not looked:
        return Verdict(statement, None, "")
    return Verdict(statement, not wrong, "; ".join(wrong) + ("." if wrong else ""))


def within(found: dict) -> Verdict:
    """Whether no method took more gradients than its budget."""
    statement = "No method took more gradients an image than its budget."
    rows = [
        (f"{name}, {MODES[mode]}, {method} {budget}", row["gradients"], int(budget))
        for name, mode, part in parts(found)
        for method, of in part["methods"].items()
        for budget, row in of.items()
    ]
    over = [f"{label}: {taken:.1f}" for label, taken, budget in rows if taken > budget]
    return Verdict(statement, not over if rows else None, "; ".join(over) + ("." if over else ""))


def verdicts(found: dict) -> list[Verdict]:
    """What is claimed, beside what was measured."""
    return [within(found), falling(found), first(found)]


# --- the figure ------------------------------------------------------------------------------


def draw(found: dict, path: Path) -> None:
    """The mean L2 above the least known against gradients: a column a network, a row a mode.

    Only points at which every image is a success are on a line; the others are hollow.
    """
    names = list(found["networks"])
    fixed = {"svg.hashsalt": "budgets", "svg.fonttype": "none"}  # the same file from the same data
    with matplotlib.rc_context(fixed):
        figure = Figure(figsize=(3.1 * max(len(names), 1), 6.2), layout="constrained")
        axes = figure.subplots(len(MODES), len(names), squeeze=False, sharex=True)
        methods = list(dict.fromkeys(m for _, _, part in parts(found) for m in part["methods"]))
        for name, mode, part in parts(found):
            axis = axes[list(MODES).index(mode)][names.index(name)]
            for method, rows in part["methods"].items():
                shown = [(int(b), r["above"], r["success"]) for b, r in rows.items()]
                shown = [point for point in shown if point[1] is not None]
                style = {"color": f"C{methods.index(method)}", "marker": "o", "markersize": 3}
                style["linewidth"] = 2.2 if method == OURS else 1
                style["zorder"] = 3 if method == OURS else 2
                whole = [(b, 100 * a) for b, a, share in shown if share == 1]
                some = [(b, 100 * a) for b, a, share in shown if share < 1]
                axis.plot(*zip(*whole or [(None, None)], strict=True), **style, label=method)
                hollow = style | {"linewidth": 0, "markerfacecolor": "none"}
                axis.plot(*zip(*some or [(None, None)], strict=True), **hollow)
            axis.set_xscale("log")
            axis.set_yscale("symlog", linthresh=100 * STARTED)
            axis.set_ylim(bottom=0)
            axis.set_title(f"{name}, {MODES[mode]}", fontsize=9)
            axis.minorticks_off()
            axis.grid(alpha=0.3)
        for row in axes:
            row[0].set_ylabel("mean L2 above the least known, %")
        for axis in axes[-1]:
            axis.set_xlabel("gradients an image")
        handles = [
            matplotlib.lines.Line2D([], [], color=f"C{i}", marker="o", markersize=3, label=m)
            for i, m in enumerate(methods)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=9, fontsize=9)
        figure.savefig(path, metadata={"Date": None})


# --- the tables ------------------------------------------------------------------------------


def cell(row: dict | None) -> str:
    """One method at one budget: mean L2 above the least known, success if not all, the score."""
    if not row or row["above"] is None:
        return "" if not row else "no success"
    share = "" if row["success"] == 1 else f" ({row['success']:.0%})"
    score = "" if row["score"] is None else f", {row['score']:.3f}"
    return f"{percent(row['above'])}{share}{score}"


def table(name: str, mode: str, part: dict, budgets: list[int]) -> list[str]:
    """The lines of one network's table."""
    if not part["methods"]:
        return [f"### {name}, {MODES[mode]}", "", "Not measured.", ""]
    lines = [
        f"### {name}, {MODES[mode]}",
        "",
        f"{part['n']} images; least known: mean L2 {part['least']:.4f}.",
        "",
        "| method | " + " | ".join(f"{b} gradients" for b in budgets) + " | CPU ms at the last |",
        "|" + " --- |" * (len(budgets) + 2),
    ]
    for method, rows in part["methods"].items():
        cells = [cell(rows.get(str(b))) for b in budgets]
        last = rows.get(str(budgets[-1]))
        lines.append(
            "| " + " | ".join([method, *cells, f"{last['cpu_ms']:.1f}" if last else ""]) + " |"
        )
    lines += [f"- {label}: not run: {why}" for label, why in part["failed"].items()]
    return [*lines, ""]


EXPLAINED = """\
Generated by `python benchmarks/budgets.py` from budgets.json; no figure here is typed in.

Every method gets so many gradients an image and no more, on the same images and targets, one thread
and a process each. What counts for a peer is the nearest success among all the images at which it
has looked by then, whatever it returns, as in AttackBench; for ours, what `budget=` returns. One
judge looks at all results. Settings of the peers: their own, with their number of steps set to the
budget; C&W divides it among up to nine searches and APGD among up to twenty of its radius, of
twenty gradients at the least; DeepFool and SuperDeepFool end by themselves, and take a gradient for
each class at each step.

In each cell: the mean L2 of the successes above the least known of the same images (the nearest
success of all methods at all budgets); in brackets the share of successes, if not all; then
AttackBench's local optimality, which counts the failures (1: the least known of every image).
Beware of the first where few succeed: those are the near ones.
"""


def render(found: dict) -> str:
    """The whole of BUDGETS.md."""
    lines = ["# Distance against gradients", "", EXPLAINED, provenance(flat(found)), ""]
    if found.get("score"):
        lines += [f"AttackBench's score was not computed: {found['score']}.", ""]
    lines += ["## Verdicts", ""]
    lines += [f"- {verdict.markdown()}" for verdict in verdicts(found)]
    lines += ["", "![Mean L2 above the least known against gradients](budgets.svg)", ""]
    lines += ["## Tables", ""]
    for name, mode, part in parts(found):
        lines += table(name, mode, part, found["budgets"])
    return "\n".join(lines).rstrip() + "\n"


def flat(found: dict) -> dict:
    """``found`` as attacks_report.provenance reads it: each cell a row."""
    rows = {
        f"{mode} {method} {budget} {name}": row
        for name, mode, part in parts(found)
        for method, of in part["methods"].items()
        for budget, row in of.items()
    }
    return found | {"networks": {"all": {"rows": rows}}}
