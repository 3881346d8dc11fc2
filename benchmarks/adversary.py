"""Which wrong answers that a machine makes are noticed: ``python benchmarks/adversary.py``.

Runs :mod:`course_lib.exercises.adversary` and keeps each exercise's figures in adversary.json;
with SLUGs only those are made anew. ADVERSARY.md is written from that file, with ``--report`` from
what is stored. Takes some minutes for all exercises.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from course_lib import record, storage
from course_lib.exercises import adversary, all_exercises

RESULTS = Path(__file__).with_suffix(".json")
REPORT = Path(__file__).parent / "ADVERSARY.md"

HEAD = """# Wrong answers made by a machine

Written by `python benchmarks/adversary.py`; not edited by hand.

From each solution a machine makes wrong answers of the kinds that learners hand in. *Made* counts
them; *the same* gives what the solution gives on every input that was tried, so is no wrong answer;
*caught* does not PASS its check; *right* passes, and a reason below says why it is right or
harmless; a *gap* passes and should not, and is known; *unexplained* passes, and nobody has looked.
"""


def table(rows: list[adversary.Row]) -> list[str]:
    """A line of the sums for each lesson, and one for all, as Markdown."""
    lines = ["| lesson | " + " | ".join(adversary.HEADS) + " | caught of what is wrong |"]
    lines.append("|---|" + "---:|" * (len(adversary.HEADS) + 1))
    for name, counts in adversary.sums(rows):
        made, same, caught, right, *_ = counts
        wrong = made - same - right
        share = f"{caught / wrong:.1%}" if wrong else ""
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + f" | {share} |")
    return lines


def reasons(rows: list[adversary.Row], which: str) -> list[str]:
    """What passed in each exercise, as Markdown, the changes of one reason together."""
    lines = []
    for r in rows:
        together: dict[str, list[str]] = {}
        for name, why in getattr(r, which).items():
            together.setdefault(why, []).append(name)
        if together:
            lines += ["", f"**{r.lesson:02d} `{r.slug}`**", ""]
        for why, names in together.items():
            kinds = sorted({name.partition(":")[0] for name in names})
            lines.append(f"- {', '.join(kinds)} ({len(names)}): {why or 'not looked at yet.'}")
    return lines or ["", "None."]


def render(found: dict) -> str:
    """ADVERSARY.md from what adversary.json holds."""
    rows = [adversary.Row(**row) for row in found["rows"]]
    kinds = [f"- **{name}**: {sentence}" for name, sentence in adversary.SENTENCES.items()]
    parts = [HEAD, *table(rows)]
    left = [f"`{slug}`" for slug in all_exercises() if slug not in {r.slug for r in rows}]
    if left:
        parts += ["", f"Not measured yet: {', '.join(left)}."]
    parts += ["", "## Right after all"]
    parts += [*reasons(rows, "explained"), "", "## Known gaps", *reasons(rows, "gaps")]
    parts += ["", "## Unexplained", *reasons(rows, "survivors")]
    parts += ["", "## What is made", "", *kinds]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Make the wrong answers of some or all exercises; write the figures and the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slugs", nargs="*", metavar="SLUG", help="exercises; none: all of them")
    parser.add_argument("--report", action="store_true", help="ADVERSARY.md from adversary.json")
    options = parser.parse_args()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"rows": []}
    rows = {row["slug"]: row for row in kept["rows"]}
    if not options.report:
        for r in adversary.report(options.slugs):
            print("\n".join(adversary.lines(r)), flush=True)
            rows[r.slug] = dataclasses.asdict(r)
            ordered = [rows[slug] for slug in all_exercises() if slug in rows]
            kept = {"machine": record.machine(), "rows": ordered}
            storage.write_text(RESULTS, json.dumps(kept, indent=1) + "\n")
    storage.write_text(REPORT, render(kept))
    print(f"Written: {REPORT}")


if __name__ == "__main__":
    main()
