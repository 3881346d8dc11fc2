"""What a learner has done: kept in one small file, and shown as a table.

``progress.json`` in the course's folder (:func:`course_lib.storage.home`) holds::

    {"exercises": {slug: {"status", "attempts", "passed"}}, "predictions": {...}, "answers": {...}}

Two kernels may write at once: each change is made to the file as it is then, under a lock.
"""

import contextlib
import dataclasses
import datetime
import html
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from .. import storage
from . import find, lessons
from .feedback import block

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


def _parse(text: str) -> dict:
    """The sections of a progress file. Raises ValueError if ``text`` is not one."""
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("not a mapping")
    for section in SECTIONS:
        entries = data.setdefault(section, {})
        if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
            raise ValueError(f"{section} is not a mapping of mappings")
    return data


def read() -> dict:
    """All that is kept. A damaged file is put aside, with a warning that says where it is."""
    if not path().exists():
        return {section: {} for section in SECTIONS}
    with _locked():  # else a file that another kernel has just mended could be put aside
        return _read()


def _read() -> dict:
    file = path()
    try:
        return _parse(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {section: {} for section in SECTIONS}
    except ValueError as error:  # of JSON, of UTF-8, of a file that is something else
        n = 1
        while (aside := file.with_name(f"{file.name}.damaged-{n}")).exists():
            n += 1
        os.rename(file, aside)
        warnings.warn(
            f"The file with your progress could not be read ({error}). It is kept as {aside}, "
            "and a new one was begun: your notebooks are not touched.",
            stacklevel=3,
        )
        return {section: {} for section in SECTIONS}


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
        data = {section: {} for section in SECTIONS}
        with contextlib.suppress(OSError):
            data = read()
        reason = error.strerror or error
        return change(data), f"This could not be kept in {path()} ({reason})."


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
        return "\n".join(lines) or "There are no exercises yet."

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
            names = ("Exercise", "State", "Minutes", "Tries")
            header = "".join(f'<th style="text-align:left">{name}</th>' for name in names)
            parts.append(
                f'<p><b>{head}</b></p><table style="color:inherit"><tr>{header}</tr>{rows}</table>'
            )
        return block("".join(parts) or "There are no exercises yet.")


def progress(lesson: int | str | None = None) -> Progress:
    """What is solved, what is open and how many minutes are left; of one lesson, or of all.

    lesson: its number, as 1 or "01". Raises LookupError if there is no such lesson.
    """
    wanted = None if lesson is None else int(lesson) if str(lesson).isdigit() else lesson
    if wanted is not None and wanted not in lessons():
        there = ", ".join(f"{n:02d}" for n in lessons())
        raise LookupError(f"There is no lesson {lesson} with exercises: there are {there}.")
    data = read()
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
    return Progress(rows, others)


_STATES = {"FAIL": "tried", "EXCEPTION": "tried", "VALID BUT LOOSE": "valid, but loose"}
