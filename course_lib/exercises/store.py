"""What a learner has done: kept in one small file, and shown as a table.

``progress.json`` in the course's folder (:func:`course_lib.storage.home`) holds::

    {"exercises": {slug: {"status", "attempts", "passed"}}, "predictions": {...}, "answers": {...}}

Two kernels may write at once: each change is made to the file as it is then, under a lock. The
file may be damaged, or be out of reach: whatever is asked for is shown all the same.
"""

import contextlib
import dataclasses
import datetime
import html
import json
import math
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from .. import storage
from . import find, lessons
from .feedback import block, paragraph

SECTIONS = ("exercises", "predictions", "answers")


def path() -> Path:
    """The file: ``progress.json`` in the course's folder."""
    return storage.home() / "progress.json"


def now() -> str:
    """The time, as it is written into the file."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _locked(wait: float = 5.0):
    """Hold ``progress.json.lock``: one kernel at a time. A dead process holds no lock.

    In a folder that takes no lock, or if somebody holds it for ``wait`` seconds, go on without.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            path().parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path().with_name("progress.json.lock"), "a+b"))
            until = time.monotonic() + wait
            while not _lock(file) and time.monotonic() < until:
                time.sleep(0.02)
        yield  # closing the file gives the lock back


def _lock(file) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # somebody else has it
        return False
    except OSError:  # no locks here
        return True
    return True


def _empty() -> dict:
    return {section: {} for section in SECTIONS}


def _parse(text: str) -> tuple[dict, list[str]]:
    """The sections of a progress file, without what is damaged in them, and what that was.

    Raises ValueError if ``text`` is no such file at all.
    """
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("brackets without end") from None
    if not isinstance(data, dict):
        raise ValueError("not a mapping")
    problems = []
    for section in SECTIONS:
        entries = data.setdefault(section, {})
        if not isinstance(entries, dict):
            problems.append(f"{section} is not a mapping")
            data[section] = {}
            continue
        for slug, entry in list(entries.items()):
            if not isinstance(entry, dict):
                problems.append(f"{section}, {slug}: not a mapping")
                del entries[slug]
                continue
            for name, good in _FIELDS[section].items():
                if name in entry and not good(entry[name]):
                    problems.append(f"{section}, {slug}: {name} is {_short(entry[name])}")
                    del entry[name]
    return data, problems


def _is_text(value) -> bool:
    return isinstance(value, str)


def _is_count(value) -> bool:
    return type(value) is int and 0 <= value < 10**9


def _is_number(value) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


def _is_guess(value) -> bool:
    if isinstance(value, list):
        return len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]
    return _is_number(value)


# what a field must be for the rest of the course to read it; others are a newer course's, and stay
_FIELDS = {
    "exercises": {"status": _is_text, "attempts": _is_count, "passed": _is_text},
    "predictions": {
        "value": _is_guess,
        "made": _is_text,
        "late": lambda late: isinstance(late, bool),
        "scored": lambda scored: isinstance(scored, dict) and _is_number(scored.get("actual")),
    },
    "answers": {"value": _is_text, "written": _is_text},
}


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 30 else f"{text[:27]}..."


def read() -> dict:
    """All that is kept. What is damaged in the file is left out, with a warning that says where
    the file as it was is kept.

    Raises OSError if the file is there and cannot be opened.
    """
    if not path().exists():
        return _empty()
    with _locked():  # else a file that another kernel has just mended could be put aside
        return _read()


def _read() -> dict:
    file = path()
    try:
        data, problems = _parse(file.read_text(encoding="utf-8"))
        mended = problems
    except (FileNotFoundError, NotADirectoryError):
        return _empty()
    except ValueError as error:  # of JSON, of UTF-8, of a file that is something else
        data, problems, mended = _empty(), [str(error)], []
    if problems:
        _put_aside(file, data if mended else None, problems)
    return data


def _put_aside(file: Path, data: dict | None, problems: list[str]) -> None:
    """Keep a damaged file under another name, and in its place ``data``, what is left of it."""
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    reason = f"{'; '.join(problems[:3])}{more}"
    n = 1
    while (aside := file.with_name(f"{file.name}.damaged-{n}")).exists():
        n += 1
    try:
        os.rename(file, aside)
        if data is not None:
            storage.write_text(file, json.dumps(data, indent=1, sort_keys=True) + "\n")
    except OSError as error:  # then everybody who reads it leaves the same out
        outcome = f"It could not be mended there ({error.strerror or error}): {file}"
    else:
        left = "a new one was begun" if data is None else "all else in it stays"
        outcome = f"It is kept as {aside}, and {left}: your notebooks are not touched."
    part = "" if data is None else " in part"
    warnings.warn(
        f"The file with your progress could not be read{part} ({reason}). {outcome}", stacklevel=4
    )


def update(change: Callable[[dict], object]):
    """Let ``change`` work on all that is kept, and keep what it makes of it; return its result.

    Raises OSError if the course's folder cannot be written to.
    """
    with _locked():
        data = _read()
        result = change(data)
        storage.write_text(path(), json.dumps(data, indent=1, sort_keys=True) + "\n")
    return result


def kept(change: Callable[[dict], object]) -> tuple[object, str | None]:
    """Like :func:`update`, but a folder that cannot be written to gives a sentence, no error."""
    try:
        return update(change), None
    except OSError as error:
        return change(seen()[0]), f"This could not be kept{_place()} ({error.strerror or error})."


def seen() -> tuple[dict, str | None]:
    """Like :func:`read`, but a file that cannot be opened gives a sentence, no error."""
    try:
        return read(), None
    except OSError as error:
        reason = error.strerror or error
        return _empty(), f"What you did before could not be read{_place()} ({reason})."


def _place() -> str:
    try:
        return f" in {path()}"
    except OSError:  # then the reason says that there is no such folder
        return ""


def record(slug: str, status: str) -> str | None:
    """Keep that a check of ``slug`` gave ``status``; the sentence if it could not be kept."""

    def change(data):
        entry = data["exercises"].setdefault(slug, {})
        if status in ("UNATTEMPTED", "NOT RUN"):
            entry.setdefault("status", status)
            return
        entry["attempts"] = entry.get("attempts", 0) + 1
        entry["status"] = status
        if status == "PASS":  # running a lesson again from its stubs does not undo that
            entry.setdefault("passed", now())

    return kept(change)[1]


@dataclasses.dataclass
class Row:
    """One exercise in the table."""

    lesson: int
    slug: str
    title: str
    minutes: int
    state: str  # "solved", "open", "tried", "valid, but loose"
    attempts: int


@dataclasses.dataclass
class Progress:
    """The table: rows, and per lesson how many predictions and answers were given of how many."""

    rows: list[Row]
    others: dict[int, str]
    problem: str | None = None  # why nothing of what is kept is in it

    @property
    def minutes_left(self) -> int:
        return sum(row.minutes for row in self.rows if row.state != "solved")

    def summary(self, lesson: int) -> str:
        """``3 of 7 exercises solved, about 40 minutes left``, for one lesson."""
        rows = [row for row in self.rows if row.lesson == lesson]
        solved = sum(row.state == "solved" for row in rows)
        left = sum(row.minutes for row in rows if row.state != "solved")
        time_left = f"about {left} minutes left" if left else "nothing left"
        noun = "exercise" if len(rows) == 1 else "exercises"
        extra = f"; {self.others[lesson]}" if self.others.get(lesson) else ""
        return f"{solved} of {len(rows)} {noun} solved, {time_left}{extra}"

    def __repr__(self) -> str:
        lines = []
        width = max((len(row.title) for row in self.rows), default=0)
        for lesson in sorted({row.lesson for row in self.rows} | set(self.others)):
            lines.append(f"Lesson {lesson:02d}: {self.summary(lesson)}")
            for row in (r for r in self.rows if r.lesson == lesson):
                tries = f"{row.attempts} tries" if row.attempts != 1 else "1 try"
                lines.append(
                    f"  {row.title:<{width}}  {row.state:<16}  {row.minutes:>3} min  {tries}"
                )
        lines = lines or ["There are no exercises yet."]
        if self.problem:
            lines.append(f"({self.problem})")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = []
        cell = '<td style="text-align:left">'
        for lesson in sorted({row.lesson for row in self.rows} | set(self.others)):
            head = f"Lesson {lesson:02d}: {html.escape(self.summary(lesson))}"
            rows = "".join(
                f"<tr>{cell}{html.escape(row.title)}</td>{cell}{row.state}</td>"
                f"<td>{row.minutes} min</td><td>{row.attempts}</td></tr>"
                for row in self.rows
                if row.lesson == lesson
            )
            names = ("Exercise", "State", "Planned", "Tries")
            header = "".join(f'<th style="text-align:left">{name}</th>' for name in names)
            parts.append(
                f'<p><b>{head}</b></p><table style="color:inherit"><tr>{header}</tr>{rows}</table>'
            )
        parts = parts or ["There are no exercises yet."]
        if self.problem:
            parts.append(paragraph(self.problem))
        return block("".join(parts))


def progress(lesson: int | str | None = None) -> Progress:
    """What is solved, what is open and how many minutes are left; of one lesson, or of all.

    lesson: its number, as 1 or "01". Raises LookupError if there is no such lesson.
    """
    wanted = int(lesson) if str(lesson).isdecimal() else lesson
    if wanted is not None and wanted not in list(lessons()):
        there = ", ".join(f"{n:02d}" for n in lessons())
        raise LookupError(f"There is no lesson {lesson} with exercises: there are {there}.")
    data, problem = seen()
    rows, others = [], {}
    for number, module in lessons().items():
        if wanted not in (None, number):
            continue
        for exercise in module.EXERCISES:
            find(exercise.slug)
            entry = data["exercises"].get(exercise.slug, {})
            state = "solved" if "passed" in entry else _STATES.get(entry.get("status"), "open")
            tries = entry.get("attempts", 0)
            rows.append(Row(number, exercise.slug, exercise.title, exercise.minutes, state, tries))
        given = []
        for kind, section, word in (
            ("PREDICTIONS", "predictions", "predictions made"),
            ("ANSWERS", "answers", "short answers written"),
        ):
            slugs = getattr(module, kind, {})
            if slugs:
                made = sum("value" in data[section].get(slug, {}) for slug in slugs)
                given.append(f"{made} of {len(slugs)} {word}")
        others[number] = ", ".join(given)
    return Progress(rows, others, problem)


_STATES = {"FAIL": "tried", "EXCEPTION": "tried", "VALID BUT LOOSE": "valid, but loose"}
