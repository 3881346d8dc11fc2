"""ATTACKS.md out of attacks.json: the tables, and a verdict for each claim, by a rule in code.

A rule gets the results and returns a :class:`Verdict`; what was not measured is said to be so.
"""

import dataclasses
import math

LINEAR = ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)")
FAITHFUL, BEST = "ours, faithful", "ours, best"
SCIPY, TIGHT = "SciPy, 8 bisections", "SciPy, tight"
PDGD, CW, ALMA = "adv-lib PDGD-500", "foolbox CW 9x1000", "adv-lib ALMA-1000"
DDN = "foolbox DDN-100"
PIXELS = 784
STOPPED = "ended from outside"  # such a run says nothing of its method: it is no answer


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A statement, whether it is met (None: not measured), and the figures that decide it."""

    statement: str
    met: bool | None
    figures: str

    def markdown(self) -> str:
        word = {True: "Met", False: "Not met", None: "Not measured"}[self.met]
        return f"**{word}.** {self.statement} {self.figures}".strip()


# --- the rules -------------------------------------------------------------------------------


def row_of(found: dict, network: str, method: str) -> dict | None:
    """A row with distances, or None if there is none."""
    row = found.get("networks", {}).get(network, {}).get("rows", {}).get(method)
    return row if row and "l2_mean" in row else None


def percent(value: float, digits: int = 2) -> str:
    """0.0123 as "+1.23 %"."""
    return f"{100 * value:+.{digits}f} %"


def beside(found: dict, ours: str, other: str, networks) -> list[tuple[str, dict]]:
    """(network, {n, mean, median}) of ``ours`` relative to ``other`` where both succeed."""
    rows = [(name, row_of(found, name, ours)) for name in networks]
    return [(name, r["beside"][other]) for name, r in rows if r and other in r["beside"]]


def others(found: dict) -> list[str]:
    """The networks that are not linear."""
    return [name for name in found.get("networks", {}) if name not in LINEAR]


def close(found, statement, ours, other, networks, limit, keys=("mean",), nearer=True) -> Verdict:
    """Whether ``ours`` is farther than ``other`` by no more than ``limit`` in each of ``keys``;
    nearer: whether it may be nearer by more than that."""
    pairs = beside(found, ours, other, networks)
    listed = "; ".join(
        f"{name}: " + ", ".join(f"{key} {percent(p[key])}" for key in keys) + f" (n = {p['n']})"
        for name, p in pairs
    )
    complete = len(pairs) == len(list(networks)) and pairs
    gaps = [p[key] if nearer else abs(p[key]) for _, p in pairs for key in keys]
    met = all(gap <= limit for gap in gaps) if complete else None
    return Verdict(statement, met, listed + "." if listed else "")


def cheaper(found, statement, times: float) -> Verdict:
    """Whether the faithful attack is ``times`` cheaper than SciPy's eight bisections everywhere."""
    names = list(found.get("networks", {}))
    pairs = [(n, row_of(found, n, FAITHFUL), row_of(found, n, SCIPY)) for n in names]
    ratios = [(name, s["cpu_ms"] / r["cpu_ms"]) for name, r, s in pairs if r and s]
    listed = "; ".join(f"{name}: {ratio:.0f} times" for name, ratio in ratios)
    met = (
        all(ratio >= times for _, ratio in ratios) if ratios and len(ratios) == len(names) else None
    )
    return Verdict(statement, met, listed + "." if listed else "")


def exact(found, statement, mean: float, worst: float = math.inf) -> Verdict:
    """Whether the best loss is within ``mean`` of the exact optimum, the worst image ``worst``."""
    rows = [(name, row_of(found, name, BEST)) for name in LINEAR]
    rows = [(name, row) for name, row in rows if row]
    listed = "; ".join(
        f"{name}: mean {percent(row['above_best'], 3)}, worst image {percent(row['worst'])} "
        f"(n = {row['n']})"
        for name, row in rows
    )
    met = all(r["above_best"] <= mean and r["worst"] <= worst for _, r in rows)
    met = met if len(rows) == len(LINEAR) else None
    return Verdict(statement, met, listed + "." if listed else "")


def success(found, statement) -> Verdict:
    """Whether ours succeeds on all images, in both precisions and batched or not."""
    rows = [
        (name, method, row_of(found, name, method))
        for name in found.get("networks", {})
        for method in (FAITHFUL, BEST, f"{BEST}, any")
    ]
    rows = [entry for entry in rows if entry[2]]
    short = [f"{n}, {m}: {r['robust']:.1%}" for n, m, r in rows if r["robust"] < 1]
    met = not short if rows else None
    return Verdict(statement, met, "; ".join(short) + "." if short else "")


def everywhere(found, statement) -> Verdict:
    """Whether the best loss is at or below the three best peers, in no more CPU time than DDN."""
    names = list(found.get("networks", {}))
    listed, met, complete = [], True, bool(names)
    for name in names:
        ours, ddn = row_of(found, name, BEST), row_of(found, name, DDN)
        if not ours or not ddn or any(peer not in ours["beside"] for peer in (PDGD, CW, ALMA)):
            complete = False
            continue
        gaps = {peer: ours["beside"][peer]["mean"] for peer in (PDGD, CW, ALMA)}
        ratio = ours["cpu_ms"] / ddn["cpu_ms"]
        met &= all(gap <= 0 for gap in gaps.values()) and ratio <= 1
        figures = ", ".join(f"{peer} {percent(gap)}" for peer, gap in gaps.items())
        listed.append(f"{name}: {figures}; CPU time {ratio:.2f} of {DDN}'s")
    return Verdict(statement, met if complete else None, ". ".join(listed) + "." if listed else "")


def linear_cost(found, statement) -> Verdict:
    """Cost: an image among the most costs at most 1.2 times one among 1000. Memory: the largest
    run grows by no more than the one of 1000 images and five copies of its float32 images."""
    points = [p for p in found.get("curve", {}).get("points", []) if p["chunk"] is None]
    thousand = next((p for p in points if p["images"] == 1000), None)
    if not thousand:
        return Verdict(statement, None, "")
    most = max(points, key=lambda p: p["images"])
    ratio = most["cpu_ms"] / thousand["cpu_ms"]
    copies = 5 * most["images"] * PIXELS * 4 / 2**20
    met = ratio <= 1.2 and most["grown_mib"] <= thousand["grown_mib"] + copies
    grown = [f"{p['grown_mib']:.0f} MiB" for p in (most, thousand)]
    figures = (
        f"An image costs {most['cpu_ms']:.2f} ms among {most['images']} and "
        f"{thousand['cpu_ms']:.2f} ms among 1000 ({ratio:.2f} times; the rule: at most 1.2). The "
        f"process grew by {grown[0]} and by {grown[1]}; five copies "
        f"of the {most['images']} images are {copies:.0f} MiB, and no more than that may be added."
    )
    return Verdict(statement, met, figures)


def on_device(device: dict, statement: str) -> Verdict:
    """Whether a GPU was measured; its precisions agree with the CPU's within 0.2 % in the mean."""
    if not device.get("machine", {}).get("gpu"):
        return Verdict(statement, None, "No GPU was there.")
    gaps = []
    for rows in device["networks"].values():
        means = [row["l2_mean"] for key, row in rows.items() if not key.endswith("all")]
        gaps.append(max(means) / min(means) - 1)
    return Verdict(statement, max(gaps) <= 2e-3, f"Largest difference {percent(max(gaps), 3)}.")


def verdicts(found: dict, device: dict) -> list[Verdict]:
    """What is claimed and what is aimed at, beside what was measured, in the report's order."""
    deep = others(found)
    return [
        close(
            found,
            "Faithful (cross-entropy, |r|²): mean L2 within 0.2 % of float64 SciPy's optimum "
            "(tight, 20 bisections) on the three FC10.",
            FAITHFUL,
            TIGHT,
            LINEAR,
            0.002,
            nearer=False,
        ),
        close(
            found,
            "Faithful: mean and median L2 no worse than the tight SciPy's by more than 0.3 % on "
            "the other networks.",
            FAITHFUL,
            TIGHT,
            deep,
            0.003,
            ("mean", "median"),
        ),
        close(
            found,
            "The same beside SciPy with eight bisections.",
            FAITHFUL,
            SCIPY,
            deep,
            0.003,
            ("mean", "median"),
        ),
        cheaper(
            found,
            "Faithful: 30 times fewer CPU seconds an image than SciPy image by image with "
            "eight bisections, on every network.",
            30,
        ),
        cheaper(found, "Aimed at: 100 times.", 100),
        exact(found, "Best loss: mean within 0.2 % of the optimum on the three FC10.", 0.002),
        exact(found, "Aimed at: 0.1 %, and 1 % in the worst image.", 0.001, 0.01),
        close(
            found,
            "Best loss: mean L2 at most 0.5 % above adv-lib's PDGD-500 on the other networks.",
            BEST,
            PDGD,
            deep,
            0.005,
        ),
        success(
            found,
            "Success 100 % (in float64, in float32 in one batch, in float32 one by one).",
        ),
        everywhere(
            found,
            "Aimed at: at or below PDGD-500, CW 9x1000 and ALMA-1000 on every network (images "
            "where both succeed), in no more CPU time than DDN-100.",
        ),
        linear_cost(found, "Cost linear in the images, memory bounded by the chunk."),
        on_device(
            device,
            "On a GPU: the whole test set there, and CPU and GPU, float32 and float64 agree within "
            "0.2 % in mean L2.",
        ),
    ]


# --- the tables ------------------------------------------------------------------------------


COLUMNS = (
    "method | n | success | robust | mean L2 | distortion | median L2 | above the least known | "
    "worst image | beside ours, best | CPU ms an image | × SciPy-8 | gradients"
)


def table_row(name: str, row: dict, scipy: dict | None, ours: str) -> str:
    """One line of a network's table."""
    if "failed" in row:
        return f"| {name} | | not run: {row['failed'].rstrip('.')} |" + " |" * 10
    cells = [name, str(row["n"]), f"{row['success']:.1%}", f"{row['robust']:.1%}"]
    if "l2_mean" in row:
        mean = row["l2_mean"]
        pair = row["beside"].get(ours)
        cells += [f"{mean:.4f}", f"{mean / math.sqrt(PIXELS):.4f}", f"{row['l2_median']:.4f}"]
        cells += [percent(row["above_best"], 3), percent(row["worst"])]
        cells += [percent(pair["mean"], 3) if pair else ""]
    else:
        cells += [""] * 6
    ratio = f"{row['cpu_ms'] / scipy['cpu_ms']:.4f}" if scipy else ""
    gradients = f"{row['gradients']:.0f}"
    return "| " + " | ".join([*cells, f"{row['cpu_ms']:.2f}", ratio, gradients]) + " |"


def network_table(name: str, part: dict, targeted: bool) -> list[str]:
    """The lines of one network's table, with or without targets; none if nothing was measured."""
    rows = {key: row for key, row in part["rows"].items() if row["targeted"] == targeted}
    least = part["least"].get("targeted" if targeted else "any")
    if not rows or not least:
        return []
    scipy = part["rows"].get(SCIPY)
    scipy = scipy if scipy and "cpu_ms" in scipy else None
    ours = BEST if targeted else f"{BEST}, any"
    known = "the exact optimum" if least["kind"] == "exact" else "the nearest of all methods"
    heads = COLUMNS.split(" | ")
    return [
        f"### {name}{'' if targeted else ', any other class'}",
        "",
        f"Least known: {known}, mean L2 {least['mean']:.4f} over {part['n']} images.",
        "",
        "| " + " | ".join(heads) + " |",
        "|" + " --- |" * len(heads),
        *(table_row(key, row, scipy, ours) for key, row in rows.items()),
        "",
    ]


def curve_lines(curve: dict) -> list[str]:
    """The table of cost and memory against images and chunk."""
    lines = [
        "## Cost and memory against the number of images",
        "",
        f"Ours, best, on {curve['network']}, images of the training set, one process a line. "
        "Growth: the peak of resident memory during the attack over that before it.",
        "",
        "| images | chunk | CPU ms an image | peak MiB | growth MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for p in curve["points"]:
        chunk = p["chunk"] or "default"
        memory = f"{p['peak_mib']:.0f} | {p['grown_mib']:.0f}"
        lines.append(f"| {p['images']} | {chunk} | {p['cpu_ms']:.2f} | {memory} |")
    return [*lines, ""]


def device_lines(device: dict) -> list[str]:
    """The table of images per second."""
    about = ", ".join(f"{key} {value}" for key, value in device["machine"].items())
    lines = [
        "## On another device",
        "",
        f"Images per second by the clock (ours, best). Machine: {about}; {device['threads']} "
        "threads on the CPU.",
        "",
        "| network | where | images | images a second | robust | mean L2 | median L2 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, rows in device["networks"].items():
        for key, r in rows.items():
            lines.append(
                f"| {name} | {key} | {r['images']} | {r['images_per_second']:.0f} | "
                f"{r['robust']:.1%} | {r['l2_mean']:.4f} | {r['l2_median']:.4f} |"
            )
    return [*lines, ""]


def provenance(found: dict) -> str:
    """When and where, and whether all cells are of this one command."""
    rows = [r for part in found.get("networks", {}).values() for r in part["rows"].values()]
    rows = [r for r in rows if "began" in r]
    about = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
    text = f"Machine: {about}. The command ran from {found['began']} to {found['ended']}"
    if not rows:
        return text + "."
    first, last = min(r["began"] for r in rows), max(r["ended"] for r in rows)
    earlier = sum(r["began"] < found["began"] for r in rows)
    loads = [value for r in rows for value in r["load"]]
    steady = [value for r in rows for value in r["reference_work"]]
    text += f"; the {len(rows)} cells of the tables were measured from {first} to {last}, "
    text += "all by this command. " if not earlier else f"{earlier} of them by an earlier command. "
    return text + (
        f"Load average {min(loads):.1f} to {max(loads):.1f}; a fixed piece of work beside each "
        f"cell took {1000 * min(steady):.0f} to {1000 * max(steady):.0f} ms of CPU time, which "
        "shows how much the machine's own speed varied."
    )


EXPLAINED = """\
Generated by `python benchmarks/attacks.py` from attacks.json; no figure here is typed in.

The same images, targets and weights go to every method, which runs in a process of its own with
one thread. CPU time: user and system seconds of the process and its children around the attack
alone, the median of three runs (one run for the methods that are shown with one in attacks.json),
divided by the images. Images: test images in the order of seed 0 that the network classifies
rightly; targets: the recorded random ones.

- success: the wanted class in the precision in which the method returned its images, and inside
  [0, 1] within 1e-6, by one judge. A failure has no distance; the means are over the successes.
- robust: the same in float64, in float32 in one batch, and in float32 one by one.
- distortion: mean L2 / 28.
- above the least known: the mean over the method's successes against the least known distances of
  the same images (the exact optimum for FC10, the nearest success of all methods elsewhere);
  worst image: the largest of the ratios, less one.
- beside ours, best: the method's mean against that of ours over the images where both succeed.
- × SciPy-8: CPU time as a share of SciPy's with eight bisections (targeted) in this run.
- gradients: images whose gradient was taken, for each image, counted at the network.
"""


def render(found: dict, device: dict) -> str:
    """The whole of ATTACKS.md."""
    lines = ["# The attack beside its peers", "", EXPLAINED, provenance(found), ""]
    if found.get("networks"):
        lines += ["## Verdicts", ""]
        for verdict in verdicts(found, device):
            lines += [f"- {verdict.markdown()}"]
        lines += ["", "## With a target", ""]
        for name, part in found["networks"].items():
            lines += network_table(name, part, True)
        lines += ["## Any other class", ""]
        for name, part in found["networks"].items():
            lines += network_table(name, part, False)
    if found.get("curve"):
        lines += curve_lines(found["curve"])
    if device:
        lines += device_lines(device)
    return "\n".join(lines).rstrip() + "\n"
