"""What a class has solved, and what it is told most often."""

import re
import textwrap
from collections import Counter

SOLVED = ("PASS",)
HANDED_IN_NOTHING = ("NOT HANDED IN",)
LOOK = "To be looked at"  # how such a notice of the grader's begins
SHOWN = 3  # sentences of an exercise
WIDTH = 96  # columns
LINES = 2  # of a sentence
# an input: its name, its values, and behind them what came out on it
INPUT = re.compile(r"(On .*) \(\w+ = .*\):\n(.*)", re.S)


def rows(data: dict) -> list[dict]:
    """For each exercise, from grades.json: slug, how many "solved" it, "tried" it and "handed" in
    anything, the mean of its points, and the sentences that most were told, with how many."""
    found = {slug: [] for slug in data["exercises"]}
    for student in data["students"]:
        for notebook in student["notebooks"]:
            for result in notebook["results"]:
                found.setdefault(result["slug"], []).append(result)
    made = []
    for slug, results in found.items():
        handed = [r for r in results if r["status"] not in HANDED_IN_NOTHING]
        tried = [r for r in handed if r["status"] not in ("UNATTEMPTED", "MISSING")]
        # who passes is told nothing that the others should hear
        told = Counter(
            sentence
            for r in tried
            if r["status"] not in SOLVED
            for sentence in dict.fromkeys(r["sentences"][:1])
        )
        made.append(
            {
                "slug": slug,
                "students": len(results),
                "handed": len(handed),
                "tried": len(tried),
                "solved": sum(r["status"] in SOLVED for r in results),
                "not_graded": sum(r["status"] == "NOT GRADED" for r in results),
                "points": sum(r["points"] for r in results) / max(len(results), 1),
                "most": data["exercises"].get(slug, 0.0),
                "told": told.most_common(SHOWN),
            }
        )
    return made


def text(data: dict) -> str:
    """The summary, to be read in a terminal."""
    students = data["students"]
    nothing = [
        s["student"]
        for s in students
        if all(r["status"] in HANDED_IN_NOTHING for n in s["notebooks"] for r in n["results"])
    ]
    lines = [f"{data['assignment']}: {len(students) - len(nothing)} of {_students(len(students))} "
             "handed in."]  # fmt: skip
    if nothing:
        lines.append(f"Nothing from: {', '.join(nothing)}.")
    width = max(len(slug) for slug in data["exercises"])
    for row in rows(data):
        share = f"{row['solved']} of {row['handed']} solved it"
        mean = f"{row['points']:.3g} of {row['most']:g} points in the mean of all"
        lines += ["", f"{row['slug']:{width}}  {share}, {row['tried']} tried; {mean}"]
        if row["not_graded"]:
            lines.append(f"  not graded: {row['not_graded']}")
        for sentence, count in row["told"]:
            lines.append(f"  {count} x  {_short(sentence)}")
    for head, found in (("Could not be read", _unread(data)), (LOOK, _looked_at(data))):
        if found:
            lines += ["", f"{head}:", *(f"  {one}" for one in found)]
    return "\n".join(lines)


def _unread(data: dict) -> list[str]:
    """Of each notebook without a single answer, whose it is and what is wrong with it."""
    return [
        f"{s['student']}: {n['results'][0]['sentences'][0]}"
        for s in data["students"]
        for n in s["notebooks"]
        if all(r["status"] == "MISSING" for r in n["results"])
    ]


def _looked_at(data: dict) -> list[str]:
    """What the grader asks the instructor to look at, and whose it is."""
    return [
        f"{s['student']}, {r['slug']}: {notice.removeprefix(LOOK).lstrip(': ')}"
        for s in data["students"]
        for n in s["notebooks"]
        for r in n["results"]
        for notice in r["notices"]
        if notice.startswith(LOOK)
    ]


def _students(count: int) -> str:
    return f"{count} student{'' if count == 1 else 's'}"


def _short(sentence: str) -> str:
    """A sentence in few lines; of an input its name, since its values are on the student's page."""
    words = " ".join(INPUT.sub(r"\1: \2", sentence).split())
    return textwrap.fill(
        words, WIDTH, subsequent_indent=" " * 7, max_lines=LINES, placeholder=" ..."
    )
