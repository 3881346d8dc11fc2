"""The README's table of networks, made from the committed record.

``python -m course_lib.authoring.readme`` writes it; a test compares.
"""

import re

from .. import paper, record, storage


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


def updated(text: str) -> str:
    """The README's ``text`` with today's table between its marks.

    Raises ValueError if the marks are not there exactly once.
    """
    pattern = re.compile(r"(<!-- networks -->\n).*?(<!-- /networks -->)", re.S)
    text, count = pattern.subn(lambda m: m[1] + networks_table() + "\n" + m[2], text)
    if count != 1:
        raise ValueError("README.md needs the marks <!-- networks --> and <!-- /networks --> once.")
    return text


if __name__ == "__main__":
    path = storage.checkout() / "README.md"
    storage.write_text(path, updated(path.read_text(encoding="utf-8")))
