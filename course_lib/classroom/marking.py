"""Grade all that was handed in, several notebooks at a time, and go on where it was interrupted.

What is finished is kept, a file for each notebook, under what decides its grade: the notebook's
bytes, the course's code, what was given out, the exercises and the settings. So a run that was
ended, by whatever, goes on with what is left; a student who hands in again is graded again; and a
course that was changed grades everybody anew.
"""

import concurrent.futures
import csv
import dataclasses
import functools
import hashlib
import io
import json
import os
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from .. import storage, workcopy
from ..cells import metadata
from ..exercises import find
from ..grading import Grade, Result, Totals, grade_notebook
from ..grading.launch import prepare
from ..kept import digest, renamed
from .choice import Part
from .folder import Assignment, ClassError, Folder, write
from .handed_in import Handed

NOTHING = "NOT HANDED IN"
FIELDS = ("student", "exercise", "points", "max", "status")


@dataclasses.dataclass
class Marked(Totals):
    """A student's grade for one lesson. kept: it was finished before this run."""

    student: str
    lesson: str
    results: list[Result]
    notes: list[str]
    kept: bool = False
    handed: Path | None = None


def grade_all(
    folder: Folder,
    assignment: Assignment,
    collected: list[Handed],
    jobs: int | None = None,
    settings: dict | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Marked]:
    """The grades of all that was collected, in its order.

    jobs: notebooks at a time; None: one for each core. settings: time_limit and memory_limit, as
    :func:`course_lib.grading.grade_notebook` takes them. tell: gets a line as each is finished.
    Nothing that a submission is raises: what cannot be graded is NOT GRADED, and not kept.

    Raises ClassError where the assignment has exercises that this version of the course has not, or
    where what was given out is not there any more.
    """
    settings, parts = dict(settings or {}), {part.lesson: part for part in assignment.parts}
    _known(assignment)
    given_out = _given_out(folder, assignment)
    shelf = folder.grades(assignment.name) / "finished"
    lock, done = threading.Lock(), [0]

    def say(line: str) -> None:
        with lock:
            tell(line)

    def one(handed: Handed) -> Marked:
        marked = _one(handed, parts[handed.lesson], given_out, shelf, settings, say)
        with lock:
            done[0] += 1
            said = f"{marked.points:g} of {marked.most:g} points"
            if marked.handed is None:
                said = "nothing was handed in"
            elif marked.kept:
                said += ", as before"
            tell(
                f"[{done[0]}/{len(collected)}] {marked.student}, lesson {marked.lesson[:2]}: {said}"
            )
        return marked

    prepare()
    pool = concurrent.futures.ThreadPoolExecutor(jobs or os.cpu_count() or 1)
    try:
        return list(pool.map(one, collected))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for those that run, and begins no more


def _known(assignment: Assignment) -> None:
    try:
        for slug in assignment.points:
            find(slug)
    except LookupError as error:
        raise ClassError(
            f"The assignment {assignment.name!r} was made by another version of the course "
            f"({assignment.version}). {error.args[0]}"
        ) from None


def _given_out(folder: Folder, assignment: Assignment) -> dict[str, Path]:
    """The notebooks as they were given out: a student's answer stands on what is in these, and on
    nothing else of the lesson. Raises ClassError where one cannot be read."""
    found = {}
    for part in assignment.parts:
        path = folder.notebook("source", assignment.name, part.lesson)
        try:
            cells = workcopy.load(path)["cells"]
        except workcopy.WorkError as error:
            raise ClassError(f"{error} Write the assignment again, with --force.") from None
        roles = {metadata(cell).get("course", {}).get("exercise") for cell in cells}
        lost = [slug for slug in part.points if slug not in roles]
        if lost:
            raise ClassError(
                f"{path} has no cell for {', '.join(lost)} any more: write the assignment again, "
                "with --force."
            )
        found[part.lesson] = path
    return found


def _one(
    handed: Handed,
    part: Part,
    given_out: dict[str, Path],
    shelf: Path,
    settings: dict,
    say: Callable[[str], None],
) -> Marked:
    marked = Marked(handed.student, handed.lesson, [], [], handed=handed.path)
    if handed.path is None:
        text = f"There is no notebook {handed.lesson}.ipynb."
        marked.results = [Result(s, 0.0, most, NOTHING, [text]) for s, most in part.points.items()]
        return marked
    entry = None
    try:
        what = _decides(handed.path, part, given_out, settings)
        path = shelf / f"{digest(what)[:32]}.json"
        entry = _finished(path, what, say)
    except OSError:  # it cannot be read: that is what its grade will say, and nothing is kept
        path = None
    if entry is None:
        grade = _graded(handed.path, part, given_out, settings)
        if path and all(result.status != "NOT GRADED" for result in grade.results):
            write(path, _entry(what, grade))
    else:
        marked.kept = True
        results = [Result(**{**one, "seconds": 0.0}) for one in entry["results"]]
        grade = Grade(handed.path.name, results, entry["notes"])
    marked.results, marked.notes = grade.results, [*handed.notes, *grade.notes]
    return marked


def _graded(path: Path, part: Part, given_out: dict[str, Path], settings: dict) -> Grade:
    """The grade, in the assignment's points; an exception of the grader's own is a sentence."""
    try:
        grade = grade_notebook(path, list(part.points), lessons=given_out, **settings)
    except Exception as error:  # whatever it is: the others are to be graded
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())[:300]
        text = (
            f"Grading stopped with {type(error).__name__}: {said} (in {Path(where.filename).name}"
        )
        results = [
            Result(slug, 0.0, most, "NOT GRADED", [f"{text}, line {where.lineno})."])
            for slug, most in part.points.items()
        ]
        return Grade(path.name, results)
    for result in grade.results:  # the points are those that were announced
        worth = part.points[result.slug]
        result.points *= worth / result.most
        result.most = worth
    return grade


def _decides(path: Path, part: Part, given_out: dict[str, Path], settings: dict) -> dict:
    """All that a grade depends on. Raises OSError where the notebook cannot be read."""
    return {
        "notebook": storage.sha256(path),
        "name": path.name,  # sentences name it
        "course": course_digest(),
        "lesson": part.lesson,
        "released": storage.sha256(given_out[part.lesson]),
        "points": part.points,
        "settings": settings,
    }


@functools.cache
def course_digest() -> str:
    """The course's code, and torch's version, as one SHA-256 sum."""
    sums = [
        f"{path.relative_to(storage.PACKAGE).as_posix()} {storage.sha256(path)}"
        for path in sorted(storage.PACKAGE.rglob("*.py"))
        if "classroom" not in path.parts  # this package decides no point
    ]
    return hashlib.sha256("\n".join([torch.__version__, *sums]).encode()).hexdigest()


def _entry(what: dict, grade: Grade) -> str:
    kept = {"results": [dataclasses.asdict(r) for r in grade.results], "notes": grade.notes}
    return json.dumps({"what": what, **kept, "checksum": digest([what, kept])}) + "\n"


def _finished(path: Path, what: dict, say: Callable[[str], None]) -> dict | None:
    """What is kept of such a notebook; a damaged file is set aside, which ``say`` is told."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        kept = {"results": entry["results"], "notes": entry["notes"]}
        if entry["checksum"] != digest([what, kept]):
            raise ValueError("its contents do not match their checksum")
        return kept
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # said, not warned: other threads change what becomes of warnings
        say(f"{path} is damaged ({error}): it is called {renamed(path).name} now; graded again.")
        return None


# --- what is written of it -------------------------------------------------------------------


def as_data(assignment: Assignment, marked: list[Marked], names: dict[str, str]) -> dict:
    """All grades, as grades.json has them. names: of the students, as far as they are known."""
    students: dict[str, dict] = {}
    for one in marked:
        entry = students.setdefault(
            one.student,
            {"student": one.student, "name": names.get(one.student, ""), "notebooks": []},
        )
        results = [
            {key: value for key, value in dataclasses.asdict(r).items() if key != "seconds"}
            for r in one.results
        ]
        about = {"lesson": one.lesson, "file": one.handed.name if one.handed else None}
        entry["notebooks"].append({**about, "notes": one.notes, "results": results})
    for entry in students.values():
        results = [r for notebook in entry["notebooks"] for r in notebook["results"]]
        entry["points"] = sum(r["points"] for r in results)
        entry["max"] = sum(r["most"] for r in results)
    return {
        "assignment": assignment.name,
        "version": assignment.version,
        "exercises": assignment.points,
        "students": list(students.values()),
    }


def write_grades(folder: Folder, data: dict) -> list[Path]:
    """Write grades.json, grades.csv (a row for each exercise) and totals.csv (one per student)."""
    place = folder.grades(data["assignment"])
    rows, totals = [], []
    for student in data["students"]:
        totals.append(
            [student["student"], student["name"], _n(student["points"]), _n(student["max"])]
        )
        rows += [
            [student["student"], r["slug"], _n(r["points"]), _n(r["most"]), r["status"]]
            for notebook in student["notebooks"]
            for r in notebook["results"]
        ]
    texts = {
        "grades.csv": _csv(FIELDS, rows),
        "totals.csv": _csv(("student", "name", "points", "max"), totals),
        "grades.json": json.dumps(data, indent=1, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        write(place / name, text)
    return [place / name for name in texts]


def read_grades(folder: Folder, name: str) -> dict:
    """What :func:`write_grades` wrote. Raises ClassError where nothing, or something else, is."""
    path = folder.grades(name) / "grades.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not data["students"] or not data["exercises"]:
            raise ValueError("nobody is in it")
        return data
    except FileNotFoundError:
        raise ClassError(
            f"Nothing of {name!r} has been graded yet: `course grade {name}` does it."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClassError(f"{path} is damaged ({error}): run `course grade {name}` again.") from None


def _n(number: float) -> str:
    return f"{number:g}"


def _csv(head, rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return text.getvalue()


def _harmless(value: str) -> str:
    """A text that no spreadsheet takes for a formula: students choose the names of their files."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
