"""Where something of an exercise stands, as file and line for a sentence to its author."""

import linecache
import re
import traceback
from pathlib import Path

from .. import storage
from ..exercises.exercise import Exercise, core, place

EXERCISES = storage.PACKAGE / "exercises"
MADE = "_references"  # the folder of the solutions that are taken out of the lessons' sources


def place_of(function, exercise: Exercise) -> str:
    """File and line where ``function`` begins; the exercise's, where that cannot be said."""
    code = core(function)
    filename = getattr(code, "co_filename", "")
    return place(filename, code.co_firstlineno) if Path(filename).is_file() else exercise.where


def spot(error: BaseException, exercise: Exercise) -> str:
    """The last of the author's own lines that ``error`` came through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.parent.name == MADE:
            return in_the_source(path, frame.lineno, exercise)
        if re.fullmatch(r"lesson\d\d", path.parent.name):
            return place(path, frame.lineno)
    return exercise.where


def source_of(lesson: int | None) -> Path | None:
    """The lesson's source; None where there is no checkout, or no such lesson."""
    root = storage.checkout()
    if root is None or lesson is None:
        return None
    return next(iter(sorted((root / "solutions").glob(f"{lesson:02d}_*.py"))), None)


def stub_of(exercise: Exercise) -> str:
    """Where the exercise's stub stands in the lesson's source; the module, where there is none."""
    source = source_of(exercise.lesson)
    line = source and _header(source.read_text(encoding="utf-8").splitlines(), exercise)
    return place(source, line) if line else exercise.where


def _header(lines: list[str], exercise: Exercise) -> int:
    """The number of the line in which the exercise's cell begins; 0 if there is none."""
    header = f'exercise="{exercise.slug}"'
    found = (i for i, x in enumerate(lines, 1) if x.startswith("# %%") and header in x)
    return next(found, 0)


def in_the_source(path: Path, line: int, exercise: Exercise) -> str:
    """A line of the generated references, as the line of the lesson's source that it comes from."""
    source, text = source_of(exercise.lesson), linecache.getline(str(path), line).strip()
    if source is None:
        return place(path, line)
    lines = source.read_text(encoding="utf-8").splitlines()
    first = _header(lines, exercise)
    found = (i for i, x in enumerate(lines, 1) if i > first and x.strip() == text)
    return place(source, next(found, first or 1))


def one_line(text: object) -> str:
    """Feedback of several lines as one; with a full stop."""
    line = " ".join(str(text).split())
    return line if line[-1:] in (".", "?", "!", "") else f"{line}."
