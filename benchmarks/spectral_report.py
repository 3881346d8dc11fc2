"""SPECTRAL.md out of spectral.json: the tables, and a verdict for each claim, by a rule."""

import networks_report

CIRCULAR = (
    "ours",
    "full SVD",
    "full SVD, half",
    "Gram iteration, 6",
    "Gram iteration, 12",
    "torch spectral_norm",
)
ABOUT = {
    "ours": "ours: bounds with a certificate",
    "full SVD": "full SVD of every frequency",
    "full SVD, half": "the same on the half spectrum",
    "Gram iteration, 6": "Gram iteration, 6 steps",
    "Gram iteration, 12": "Gram iteration, 12 steps",
    "torch spectral_norm": "torch's spectral_norm, 100 iterations",
}
EQUAL_PRECISION = 1e-8  # relative, of the certified upper bound to the full SVD
SHORT = 60  # seconds: what "in seconds" is taken to mean


def result(found: dict, part: str):
    """The result of a part of the run."""
    return found[part]["result"]


def total(rows: dict) -> float:
    """The seconds of all layers together."""
    return sum(row["seconds"] for row in rows.values())


def line(met: bool, statement: str, figures: str) -> str:
    return f"- **{'Met' if met else 'Not met'}.** {statement} {figures}"


def verdicts(found: dict) -> list[str]:
    """A line for each thing that is claimed or aimed at, with what was measured."""
    accuracy = result(found, "accuracy")
    circle, zeros = accuracy["circular"], accuracy["zeros"]
    ours, svd, half = (result(found, f"alexnet/{m}") for m in CIRCULAR[:3])
    error = max(abs(ours[c]["upper"] / svd[c]["upper"] - 1) for c in ours)
    below = max(abs(ours[c]["lower"] / svd[c]["upper"] - 1) for c in ours)
    precise = max(error, below) <= EQUAL_PRECISION
    share, of_half = total(ours) / total(svd), total(ours) / total(half)
    figures = (
        f"{total(ours):.2f} s against {total(svd):.2f} s ({share:.1%}), and {of_half:.1%} of the "
        f"half spectrum's {total(half):.2f} s; bounds within {max(error, below):.1e}."
    )
    resnet = result(found, "resnet")
    wrong = result(found, "wrong")
    worst = max(abs(row["ours"] / row["truth"] - 1) for row in wrong)
    memory = result(found, "memory")
    return [
        line(
            circle["cases"] >= 250 and circle["worst"] <= 1e-12,
            "Error, circular, float64: at most 1e-12 on at least 250 small cases.",
            f"{circle['cases']} cases, worst {circle['worst']:.1e}.",
        ),
        line(
            circle["cases"] >= 250 and circle["worst_float32"] <= 1e-6,
            "Error, circular, float32 weights: at most 1e-6.",
            f"Worst {circle['worst_float32']:.1e}, which is the rounding of the weights.",
        ),
        line(
            zeros["cases"] >= 250 and zeros["worst"] <= 1e-8,
            "Error, zero padding, float64: at most 1e-8 on at least 250 small cases, iterated.",
            f"{zeros['cases']} cases, worst {zeros['worst']:.1e}.",
        ),
        line(
            zeros["upper_least"] >= 0 and circle["upper_least"] >= 0,
            "The upper bound is one in every case.",
            f"Zero padding: above the truth by {zeros['upper_least']:.1e} at least, "
            f"{zeros['upper_median']:.1e} in the median, {zeros['upper_most']:.1e} at most (tiny "
            "inputs, treated as if they were large).",
        ),
        line(
            precise and share <= 0.5,
            "AlexNet's five convolutions in at most half of the full-SVD method's CPU time "
            "at equal precision.",
            figures,
        ),
        line(precise and share <= 0.25, "Aimed at: at most a quarter.", figures),
        line(
            precise and of_half <= 0.25,
            "Beyond the aim: a quarter of the full SVD on the half spectrum.",
            figures,
        ),
        line(
            0 < memory["ours, 96"] <= 2 * memory["ours, 32"] + 64,
            "With bounded memory (64 channels, 3 x 3): nine times the cells take at most twice "
            "the memory, and 64 MiB.",
            f"Ours {memory['ours, 32']:.0f} MiB at 32 x 32 and {memory['ours, 96']:.0f} MiB at "
            f"96 x 96; full SVD {memory['full SVD, 32']:.0f} and {memory['full SVD, 96']:.0f} MiB.",
        ),
        line(
            resnet["layers"] == 20 and resnet["total"]["upper"] <= SHORT,
            f"A ResNet-18-sized network in seconds (rigorous upper bounds, at most {SHORT}).",
            f"{resnet['total']['upper']:.1f} s for the upper bounds of {resnet['layers']} layers, "
            f"{resnet['total']['bounds']:.1f} s for lower and upper ones.",
        ),
        line(
            worst <= 1e-8,
            "Right where shortcuts are wrong.",
            f"Largest error of ours in the last table: {worst:.1e}.",
        ),
    ]


def circular_table(found: dict) -> list[str]:
    truth = result(found, "alexnet/full SVD")
    layers = list(truth)
    lines = [
        "| method | " + " | ".join(layers) + " | all, CPU s | farthest from the norm |",
        "| --- |" + " --- |" * (len(layers) + 2),
    ]
    for method in CIRCULAR:
        rows = result(found, f"alexnet/{method}")
        seconds = " | ".join(f"{rows[c]['seconds']:.3f}" for c in layers)
        errors = [rows[c]["upper"] / truth[c]["upper"] - 1 for c in layers]
        farthest = max(errors, key=abs)
        note = " (no bound)" if min(errors) < -1e-9 else ""
        lines.append(f"| {ABOUT[method]} | {seconds} | {total(rows):.2f} | {farthest:+.1e}{note} |")
    return lines


def zeros_table(found: dict) -> list[str]:
    ours, bounds, svds = (
        result(found, f"alexnet/zeros, {m}") for m in ("ours", "bounds", "SciPy svds")
    )
    lines = [
        "| layer | operator_norm | CPU s | SciPy svds | CPU s | bounds: lower | upper | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in ours:
        value = ours[name]["upper"]
        cells = [
            name,
            f"{value:.9f}",
            f"{ours[name]['seconds']:.2f}",
            f"{svds[name]['upper'] / value - 1:+.1e}",
            f"{svds[name]['seconds']:.2f}",
            f"{bounds[name]['lower'] / value - 1:+.1e}",
            f"{bounds[name]['upper'] / value - 1:+.1e}",
            f"{bounds[name]['seconds']:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def resnet_table(found: dict) -> list[str]:
    lines = [
        "| inputs x k x k x outputs | stride | on | layers | upper, CPU s | both, CPU s | gap |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result(found, "resnet")["rows"]:
        c, d, k, s, _, n = row["size"]
        lines.append(
            f"| {c} x {k} x {k} x {d} | {s} | {n} x {n} | {row['count']} | {row['upper']:.2f} | "
            f"{row['bounds']:.2f} | {row['gap']:.1e} |"
        )
    return lines


def wrong_table(found: dict) -> list[str]:
    lines = ["| layer | shortcut | its value | true | ours | |", "| --- |" + " --- |" * 5]
    for row in result(found, "wrong"):
        ratio = row["value"] / row["truth"] - 1
        word = "below the truth: no bound" if ratio < -1e-9 else "above it: loose"
        word = "right" if abs(ratio) <= 1e-9 else word
        lines.append(
            f"| {row['layer']} | {row['shortcut']} | {row['value']:.6f} | {row['truth']:.6f} | "
            f"{row['ours']:.6f} | {word} ({ratio:+.1%}) |"
        )
    return lines


def render(found: dict, networks: dict) -> str:
    """The whole report; networks: what networks.py found, or nothing."""
    machine = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
    loads = [
        entry["load"] for entry in found.values() if isinstance(entry, dict) and "load" in entry
    ]
    parts = [
        "# Operator norms beside other ways to compute them",
        "Generated by `python benchmarks/spectral.py` from spectral.json; no figure here is typed "
        "in. Random weights (torch's default, seed 0). CPU seconds of one thread; medians of three "
        "runs for circular padding (Gram iteration with 12 steps: one), one run elsewhere. All of "
        "ours is computed in float64.",
        f"Machine: {machine}. From {found['started']} to {found['finished']}; load average "
        f"{min(loads):.1f} to {max(loads):.1f} on this shared machine.",
        "## Verdicts",
        "\n".join(verdicts(found)),
        "## AlexNet's five convolutions, circular padding, at their true sizes",
        "3 x 11 x 11 x 96 stride 4 on 224, 96 x 5 x 5 x 256 on 27, then three 3 x 3 on 13; groups "
        "= 1. The methods of the papers know stride 1; conv1 gets our split by residues for all of "
        "them. Farthest: relative, of the upper bound, to the full SVD.",
        "\n".join(circular_table(found)),
        "## The same with zero padding",
        "torchvision's padding (2, 2, 1, 1, 1). Relative to operator_norm, which comes from below.",
        "\n".join(zeros_table(found)),
        "## The 20 convolutions of a ResNet-18, zero padding",
        "Upper: the rigorous upper bound alone; both: norm_bounds; gap: upper over lower, less 1.",
        "\n".join(resnet_table(found)),
        "## Where shortcuts are wrong",
        "True: NumPy's SVD of the explicit matrix; for max pooling the count of the outputs that "
        "one pixel decides in torch's own layer.",
        "\n".join(wrong_table(found)),
        *networks_report.parts(networks),
    ]
    return "\n\n".join(parts) + "\n"
