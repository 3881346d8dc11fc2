"""What was handed in: one notebook for each student and lesson, wherever it lies."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..cells import metadata
from .folder import Assignment, ClassError

SAYS_LESSON = 300_000_000  # bytes: of a longer file nobody asks which lesson it is


@dataclass(frozen=True)
class Handed:
    """A notebook of a student's. path: None if there is none; notes: what is odd about it."""

    student: str
    lesson: str
    path: Path | None
    notes: tuple[str, ...] = ()


@dataclass
class Collected:
    """All that was found: for each student a notebook of each lesson. sentences: the rest."""

    found: list[Handed] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


def nbgraders(root: Path, assignment: Assignment) -> Collected:
    """The notebooks in ``submitted/STUDENT/NAME/`` below ``root``.

    A student is one who has a folder there, even if nothing is in it. Raises ClassError where there
    is no folder ``submitted`` that can be read.
    """
    place, collected = root / "submitted", Collected()
    for folder in _folders(
        place, f"Put what was handed in into {place}/STUDENT/{assignment.name}/"
    ):
        where = folder / assignment.name
        try:
            if not where.is_dir():
                continue  # of another assignment
            notebooks = sorted(where.glob("*.ipynb"))
            list(where.iterdir())  # a folder that cannot be read is empty to glob
        except OSError as error:
            collected.sentences.append(f"{where} cannot be read: {error.strerror or error}.")
            notebooks = []
        _of_student(collected, folder.name, notebooks, assignment)
    return collected


def flat(place: Path, assignment: Assignment) -> Collected:
    """The notebooks in ``place``: ``STUDENT.ipynb``, ``STUDENT_LESSON.ipynb``, ``STUDENT/*.ipynb``.

    Raises ClassError where the folder cannot be read.
    """
    collected = Collected()
    by_student: dict[str, list[Path]] = {}
    for path in _entries(place, "Name a folder that has one for each student"):
        if path.name.startswith("."):
            continue
        if path.suffix == ".ipynb":
            by_student.setdefault(_student(path.stem, assignment), []).append(path)
        elif path.is_dir():
            try:
                by_student.setdefault(path.name, []).extend(
                    one for one in sorted(path.iterdir()) if one.suffix == ".ipynb"
                )
            except OSError as error:
                collected.sentences.append(f"{path} cannot be read: {error.strerror or error}.")
        else:
            collected.sentences.append(f"{path.name} is no notebook: it was left out.")
    for student, notebooks in sorted(by_student.items()):
        _of_student(collected, student, notebooks, assignment)
    return collected


def with_roster(collected: Collected, students: Iterable[str], assignment: Assignment) -> None:
    """Add who is on the list and handed in nothing; say who handed in and is not on it."""
    students, there = list(students), {handed.student for handed in collected.found}
    for student in sorted(there - set(students)):
        collected.sentences.append(f"{student} handed in, but is not on the list of students.")
    for student in students:
        if student not in there:
            collected.found += [Handed(student, part.lesson, None) for part in assignment.parts]


def _entries(place: Path, advice: str) -> list[Path]:
    try:
        return sorted(place.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        raise ClassError(f"There is no folder {place}. {advice}.") from None
    except OSError as error:
        raise ClassError(f"{place} cannot be read: {error.strerror or error}.") from None


def _folders(place: Path, advice: str) -> list[Path]:
    return [p for p in _entries(place, advice) if p.is_dir() and not p.name.startswith(".")]


def _student(stem: str, assignment: Assignment) -> str:
    """Whose a notebook of this name is: what stands before the lesson's name, if that is there."""
    for part in assignment.parts:
        for sign in "_-.":
            if stem.endswith(sign + part.lesson) and len(stem) > len(part.lesson) + 1:
                return stem[: -len(part.lesson) - 1]
    return stem


def _of_student(collected: Collected, student: str, notebooks: list, assignment: Assignment):
    """Which of a student's notebooks is which lesson's: by its name, or by what it says, or since
    there is no other."""
    left = list(notebooks)
    lessons = [part.lesson for part in assignment.parts]
    chosen: dict[str, Path] = {}
    for how in (_named, _says):
        for path in list(left):
            lesson = how(path, lessons)
            if lesson and lesson not in chosen:
                chosen[lesson] = path
                left.remove(path)
    missing = [lesson for lesson in lessons if lesson not in chosen]
    if len(missing) == 1 and len(left) == 1:
        chosen[missing[0]] = left.pop()
    for lesson in lessons:
        path = chosen.get(lesson)
        notes = ()
        if left:
            names = ", ".join(path.name for path in left[:3])
            notes = (f"Not read: {names}, beside the notebook that was.",) if path else ()
        collected.found.append(Handed(student, lesson, path, notes))
    if left and not chosen:
        names = ", ".join(path.name for path in left[:3])
        collected.sentences.append(
            f"{student}: none of {names} says which lesson it is; call one {lessons[0]}.ipynb."
        )


def _named(path: Path, lessons: list[str]) -> str | None:
    return next((lesson for lesson in lessons if path.stem.endswith(lesson)), None)


def _says(path: Path, lessons: list[str]) -> str | None:
    """The lesson that the notebook's metadata name; None for what is no notebook."""
    try:
        if path.stat().st_size > SAYS_LESSON:
            return None
        about = json.loads(path.read_bytes().decode("utf-8-sig"))
        course = metadata(about).get("course") if isinstance(about, dict) else None
    except (OSError, ValueError, RecursionError):
        return None
    lesson = course.get("lesson") if isinstance(course, dict) else None
    return lesson if lesson in lessons else None
