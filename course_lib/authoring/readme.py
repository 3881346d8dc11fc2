"""The README's table of networks, made from the committed record, and its ledger of claims with
two figures, made from the committed report (``results/``, by ``course reproduce``).

``python -m course_lib.authoring.readme`` writes them; a test compares.
"""

import re
from pathlib import Path

from .. import paper, record, storage
from ..reproduce import report, report_text, showing
from . import address

RESULTS = "results"
SHOWN = ("beside-the-paper", "transfer")  # of the report's figures
BEFORE = "## The map\n"  # a README without a ledger gets one here


def _errors(row: dict | None, part: str) -> str:
    if row is None:
        return "-"
    summary = row["summary"][part]
    bar = f" ± {100 * summary['half_width']:.2f}" if summary["half_width"] else ""
    return f"{100 * summary['mean']:.2f}{bar}"


def networks_table() -> str:
    """Markdown: train and test errors in per cent, here, with the literal decay, in the paper."""
    lines = [
        "| network | train error, % | test error, % | literal decay: train | test "
        "| paper: train | test |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in record.read()["networks"].items():
        printed = paper.TABLE1.get(name) or paper.TABLE3.get(name)
        trained = "train" if name in paper.TABLE1 else name.rpartition("@")[2]
        theirs = [f"{100 * printed.errors[p]:g}" if printed else "-" for p in (trained, "test")]
        ours = [_errors(entry["ours"], part) for part in ("train", "test")]
        literal = [_errors(entry.get("literal"), part) for part in ("train", "test")]
        lines.append("| " + " | ".join([f"`{name}`", *ours, *literal, *theirs]) + " |")
    return "\n".join(lines)


def ledger(data: dict) -> str:
    """Markdown: what was found of each claim, in short, and two figures, from a report's data."""
    lines = [
        f"Of {len(data['ledger'])} claims of the paper: {report_text.counted(data['counts'])} "
        f"(mode {data['mode']}). What was measured, every rule, and Tables 1 to 5 beside the "
        f"paper's: [{RESULTS}/{report.NAME}.md]({RESULTS}/{report.NAME}.md), or "
        f"[the page]({RESULTS}/{report.NAME}.html).",
        "",
        "| § | claim | paper | here, with a 95 % interval | networks | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in data["ledger"]:
        cells = [row["section"], row["claim"], row["paper"], showing.finding(row)]
        cells += [showing.count(row["seeds"]), row["verdict"]]
        lines.append(report_text.row_of(*cells))
    for figure in data["figures"]:
        if figure["name"] in SHOWN:
            alt = figure["alt"].replace("[", "(").replace("]", ")")
            picture = f"![{alt}]({RESULTS}/figures/{figure['name']}.png)"
            lines += ["", picture, "", f"*{figure['title']}* {figure['note']}"]
    return "\n".join(lines)


def between(text: str, mark: str, inside: str) -> str:
    """``text`` with ``inside`` between the marks of that name.

    Raises ValueError if the marks are not there exactly once.
    """
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.S)
    text, count = pattern.subn(lambda m: m[1] + inside + "\n" + m[2], text)
    if count != 1:
        raise ValueError(f"README.md needs the marks <!-- {mark} --> and <!-- /{mark} --> once.")
    return text


def updated(text: str, root: Path | None = None) -> str:
    """The README's ``text`` with today's table of networks, and the ledger of the report in
    ``root`` (default: the checkout) if there is one; a section for it is put in where none is.

    Raises ValueError if marks are not there exactly once, or the report is damaged.
    """
    root = root or storage.checkout()
    text = between(text, "networks", networks_table())
    text = address.placed(text, address.repository(root))
    try:
        data = report.read(root / RESULTS)
    except FileNotFoundError:
        return text
    if "<!-- ledger -->" not in text:
        if BEFORE not in text:
            raise ValueError("README.md needs the marks <!-- ledger --> and <!-- /ledger -->.")
        section = "## The paper beside here\n\n<!-- ledger -->\n<!-- /ledger -->\n\n"
        text = text.replace(BEFORE, section + BEFORE, 1)
    return between(text, "ledger", ledger(data))


if __name__ == "__main__":
    path = storage.checkout() / "README.md"
    storage.write_text(path, updated(path.read_text(encoding="utf-8")))
