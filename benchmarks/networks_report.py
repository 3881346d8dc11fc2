"""The part of SPECTRAL.md on whole networks, out of networks.json."""

import math

LIMIT = 120  # CPU seconds that `lipschitz` may take for a deep network
GAIN = 10  # aimed at: the product over the bound, on resnet18
NEAR = {"FC100-100-10-ReLU": 1.25, "FC100-100-10": 1.12}  # aimed at: over the largest slope

SHARES = {"FC100-100-10": 0.8, "FC100-100-10-ReLU": 0.8, "CONV": 0.3}  # aimed at: of the distance
OURS = ("sdp, after", "local, after", "box, after")
PEERS = ("SDP-CROWN", "auto_LiRPA")


def results(networks: dict, part: str) -> dict:
    """The results of the parts of a kind, by what comes after the kind."""
    return {
        name.split("/", 1)[1]: entry["result"]
        for name, entry in networks.items()
        if name.startswith(f"{part}/")
    }


def power(value: float) -> str:
    """e to the ``value``: 32.5, or 1.2e+07."""
    return f"{math.exp(value):.2f}" if abs(value) < 9 else f"{math.exp(min(value, 700)):.2e}"


def line(met: bool, statement: str, figures: str) -> str:
    return f"- **{'Met' if met else 'Not met'}.** {statement} {figures}"


def verdicts(networks: dict) -> list[str]:
    found = []
    for name, row in results(networks, "ours").items():
        ratio = math.exp(row["descent"]["log_sdp"] - row["descent"]["log_lower"])
        found.append(
            line(
                ratio <= NEAR[name],
                f"{name}: within {NEAR[name]} of the largest slope found.",
                f"{ratio:.3f}.",
            )
        )
    deep = results(networks, "deep")
    if deep:
        seconds = {name: row["cpu_seconds"] for name, row in deep.items() if "refused" not in row}
        shown = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
        found.append(
            line(
                max(seconds.values()) <= LIMIT,
                f"Deep networks in at most {LIMIT} CPU seconds, or the layer that is not known.",
                f"{shown}.",
            )
        )
        bounded = [row for row in deep.values() if "refused" not in row]
        right = all(
            max(math.exp(row["log_lower"]), row["jacobian"], row["other_slope"])
            <= math.exp(row["log_sdp"])
            for row in bounded
        )
        found.append(line(right, "No slope, found in any of three ways, is above a bound.", ""))
        behind = {
            name: row["other_slope"] / math.exp(row["log_lower"])
            for name, row in deep.items()
            if "refused" not in row
        }
        shown = ", ".join(f"{name} {value:.3f}" for name, value in behind.items())
        found.append(
            line(
                max(behind.values()) <= 1,
                "Another ascent of the same CPU time finds no larger slope than ours.",
                f"Its slope over ours: {shown}.",
            )
        )
    if "resnet18" in deep and "refused" not in deep["resnet18"]:
        gain = math.exp(deep["resnet18"]["log_product"] - deep["resnet18"]["log_sdp"])
        found.append(
            line(gain >= GAIN, f"resnet18 gains a factor of {GAIN} on the product.", f"{gain:.1f}.")
        )
    return [text.rstrip() for text in found + radii_verdicts(results(networks, "radii"))]


def radii_verdicts(radii: dict) -> list[str]:
    """None where no radii were measured."""
    if not radii:
        return []
    largest = max(max(row["largest"].values()) for row in radii.values())
    found = [
        line(largest <= 1, "No certificate is above the distance of an adversarial example.", "")
    ]
    best = {name: max(row["median"][key] for key in OURS) for name, row in radii.items()}
    peers = {
        name: max((row["median"][key] for key in PEERS if key in row["median"]), default=None)
        for name, row in radii.items()
    }
    beside = {name: best[name] / value for name, value in peers.items() if value}
    if beside:
        least = min(beside, key=beside.get)
        found.append(
            line(
                beside[least] >= 1,
                f"Ours is at least the better of SDP-CROWN's theorem and CROWN, on {len(beside)} "
                "networks, in the median.",
                f"The least is {least}: {beside[least]:.2f} times.",
            )
        )
    for name, aim in SHARES.items():
        if name in best:
            found.append(
                line(
                    best[name] >= aim,
                    f"Aimed at: {name}, {aim} of the distance in the median.",
                    f"{best[name]:.3f}.",
                )
            )
    return found


def zoo_table(networks: dict) -> list[str]:
    """Each method's value over the largest slope that we found, on the same network."""
    lines = [
        "| network | bound | value | over the largest slope | CPU s | rigorous |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in results(networks, "ours").items():
        slope = math.exp(row["descent"]["log_lower"])
        closed, descent = row["closed"], row["descent"]
        rows = [
            ("product of the norms", math.exp(closed["log_product"]), None, "yes"),
            ("LipLT", math.exp(closed["log_tight"]), None, "yes"),
            (
                "ours, LipSDP in closed form (all of `lipschitz`)",
                math.exp(closed["log_sdp"]),
                closed["cpu_seconds"],
                "yes: proven in float64",
            ),
            (
                "ours, LipSDP by descent (all of `lipschitz`)",
                math.exp(descent["log_sdp"]),
                descent["cpu_seconds"],
                "yes: proven in float64",
            ),
        ]
        rows += peers_of(networks, name)
        for label, value, seconds, rigorous in rows:
            if value is None:
                lines.append(f"| {name} | {label} | - | - | - | {rigorous} |")
                continue
            note = " (below a slope that was found: no bound)" if value < slope else ""
            shown = "" if seconds is None else f"{seconds:.2f}"
            lines.append(
                f"| {name} | {label} | {value:.2f}{note} | {value / slope:.3f} | {shown} | "
                f"{rigorous} |"
            )
        lines.append(f"| {name} | largest slope found | {slope:.2f} | 1 | | from below |")
    return lines


def peers_of(networks: dict, name: str) -> list[tuple]:
    found = []
    kinds = {
        "eclipse": ("eclipse-nn, ECLipsE-Fast", "a closed form, in floats without their rounding"),
        "bare": (
            "the same, given the bare weights",
            "slopes in [0, 1] are assumed, whatever the activation",
        ),
    }
    for kind, (label, rigorous) in kinds.items():
        row = results(networks, kind).get(name)
        if row:
            found.append(peer_row(label, row, rigorous))
    for part, entry in networks.items():
        if not part.startswith("scs ") or not part.endswith(f"/{name}"):
            continue
        row, tolerance = entry["result"], part.split("/")[0].removeprefix("scs ")
        label = f"LipSDP by cvxpy and SCS, tolerance {tolerance}"
        found.append(peer_row(label, row, f'no: a solver\'s "{row.get("says", "")}"'))
        if "failed" not in row:
            proven = row.get("proven")
            why = "yes: what its multipliers prove, by our proof"
            label = f"{label}: its multipliers"
            found.append((label, proven, None, why if proven else "its multipliers prove nothing"))
    return found


def peer_row(label: str, row: dict, rigorous: str) -> tuple:
    if "failed" in row:
        return label, None, None, f"did not run: {row['failed']}"
    return label, row["value"], row["cpu_seconds"], rigorous


def deep_table(networks: dict) -> list[str]:
    lines = [
        "| network | product | LipLT | bound by blocks | product over it | slope found | "
        "by another ascent | by Jacobian products | CPU s, all | CPU s, search |",
        "| --- |" + " --- |" * 9,
    ]
    for name, row in results(networks, "deep").items():
        if "refused" in row:
            lines.append(f"| {name} | {row['refused']} |" + " |" * 8)
            continue
        gain = math.exp(row["log_product"] - row["log_sdp"])
        lines.append(
            f"| {name} | {power(row['log_product'])} | {power(row['log_tight'])} | "
            f"{power(row['log_sdp'])} | {gain:.3g} | {math.exp(row['log_lower']):.3g} | "
            f"{row['other_slope']:.3g} | {row['jacobian']:.3g} | {row['cpu_seconds']:.0f} | "
            f"{row['search_seconds']:.0f} |"
        )
    return lines


COLUMNS = {
    "tight, before": "LipLT",
    "local, before": "on the ball",
    "box, before": "ball and box",
    "sdp, after": "LipSDP for each pair",
    "local, after": "on the ball",
    "box, after": "ball and box",
    "SDP-CROWN": "SDP-CROWN's theorem",
    "auto_LiRPA": "auto_LiRPA, CROWN",
}


def radii_table(networks: dict) -> list[str]:
    lines = [
        "| network | " + " | ".join(COLUMNS.values()) + " | CPU s before, after |",
        "| --- |" + " --- |" * (len(COLUMNS) + 1),
    ]
    for name, row in results(networks, "radii").items():
        values = [f"{row['median'][key]:.3f}" if key in row["median"] else "" for key in COLUMNS]
        seconds = ", ".join(f"{row['cpu_seconds'][when]:.0f}" for when in ("before", "after"))
        lines.append(f"| {name} | " + " | ".join(values) + f" | {seconds} |")
    return lines


def silu_text(networks: dict) -> str:
    row = networks.get("silu", {}).get("result")
    if not row or "failed" in row:
        return ""
    return (
        "eclipse-nn reads a sigmoid's slopes off a network, and takes any other activation for one "
        f"of slopes in [0, 1]. Of x -> silu(x) its bound is {row['value']:.4f}; the slope of that "
        f"reaches {row['slope']:.4f}."
    )


def parts(networks: dict) -> list[str]:
    """The pieces of the report; none where nothing was measured."""
    if not networks:
        return []
    machine = ", ".join(f"{key} {value}" for key, value in networks["machine"].items())
    found = [
        "## Whole networks: verdicts",
        "Generated by `python benchmarks/networks.py` from networks.json. Lipschitz constants in "
        f"L2, of the logits. Machine: {machine}; others worked on it at the same time.",
        "\n".join(verdicts(networks)),
    ]
    if results(networks, "ours"):
        found += [
            "## Fully connected networks of the zoo, beside peers",
            "The peers know fully connected networks only. auto_LiRPA bounds no Lipschitz constant "
            "of a whole network.",
            "\n".join(zoo_table(networks)),
            silu_text(networks),
        ]
    if results(networks, "deep"):
        found += [
            "## Deep networks, from above and below",
            "Random weights (torch's, seed 0), but for EfficientNet-Lite0, which is trained; "
            "224 x 224 pixels. By another ascent: Adam from one random image, in the CPU seconds "
            "of our search. By Jacobian products: power iteration at one random image, by torch's "
            "own products with the Jacobian and its transpose.",
            "\n".join(deep_table(networks)),
        ]
    if results(networks, "radii"):
        rows = results(networks, "radii")
        counts = sorted({row["images"] for row in rows.values()})
        largest = max(max(row["largest"].values()) for row in rows.values())
        versions = [row.get("lirpa", {}).get("versions", {}) for row in rows.values()]
        lirpa = sorted({found["auto_LiRPA"] for found in versions if found})
        found += [
            "## Certified radii over the distance of the nearest mistake found, medians",
            f"{' or '.join(map(str, counts))} test images of MNIST that the network gets right, "
            "seed 0. The first three columns without multipliers, the next three with them: for "
            "each pair of classes, and on the ball also for each image (`sdp`, `sdp-local`, "
            "`sdp-box`). "
            "SDP-CROWN's code is on no package index: its "
            "theorem for ReLU between linear layers is programmed in `peers/sdp_crown.py`, with "
            "CROWN's bounds of the units. "
            f"auto_LiRPA: {' or '.join(lirpa) or 'not run'}. The largest of all ratios is "
            f"{largest:.4f}; above 1 a certificate would be wrong.",
            "\n".join(radii_table(networks)),
        ]
    return [text for text in found if text]
