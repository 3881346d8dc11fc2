"""The files of a course: where they are, and writing or comparing those of a lesson."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from .. import storage
from . import described
from .making import Made, text_of
from .references import PACKAGE_TEXT
from .source import SourceError


@dataclass(frozen=True)
class Place:
    """The folders of a course: the checkout's, or a test's."""

    root: Path
    references: Path
    records: Path

    @classmethod
    def checkout(cls) -> "Place":
        """The folders of the checkout. Raises SourceError where the course was installed."""
        root = storage.checkout()
        if root is None:
            raise SourceError(
                ["course build needs the course's repository: this course_lib was installed."]
            )
        references = storage.PACKAGE / "exercises" / "_references"
        return cls(root, references, storage.ASSETS / "records")

    def sources(self) -> list[Path]:
        return sorted((self.root / "solutions").glob("[0-9][0-9]_*.py"))

    def lesson(self, name: str) -> Path:
        return self.root / "lessons" / f"{name}.ipynb"

    def solved(self, name: str) -> Path:
        return self.root / "solutions" / f"{name}.ipynb"

    def reference(self, name: str) -> Path:
        return self.references / f"{name}.py"

    def relative(self, path: Path) -> str:
        """How ``path`` is named in a sentence: from the root, where it is below that."""
        inside = path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else str(path)


@dataclass(frozen=True)
class Outcome:
    """What became of a file: ``kind`` is "problem", "written", "executed" or "note"."""

    kind: str
    text: str

    @property
    def ok(self) -> bool:
        return self.kind != "problem"

    def __str__(self) -> str:
        return self.text


def references(place: Place, made: Mapping[str, Made], check: bool, whole: bool) -> list[Outcome]:
    """Write, or with ``check`` compare, the references of the lessons that are made.

    The package's own file is compared only with the ``whole`` course.
    """
    texts = {place.reference(n): m.references for n, m in made.items() if m.references}
    if made and (whole or not check):
        texts[place.references / "__init__.py"] = PACKAGE_TEXT
    outcomes = []
    for path, text in texts.items():
        if text_at(path) == text:
            continue
        if check:
            name = path.stem if path.stem in made else ""
            outcomes.append(Outcome("problem", _out_of_date(place, path, name)))
        else:
            storage.write_text(path, text)
            outcomes.append(Outcome("written", f"{place.relative(path)}: written."))
    return outcomes


def text_at(path: Path) -> str | None:
    """The text of a file; None where there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _out_of_date(place: Place, path: Path, name: str, why: str = "") -> str:
    state = why or ("is out of date" if path.exists() else "is missing")
    return f"{place.relative(path)} {state}: run 'course build{' ' + name[:2] if name else ''}'."


def strays(place: Place, lessons: Iterable[str], made: Mapping[str, Made]) -> list[Outcome]:
    """The generated files that belong to none of ``lessons``, each a problem."""
    found = [*place.root.glob("lessons/*.ipynb"), *place.root.glob("solutions/*.ipynb")]
    found += place.references.glob("[0-9]*.py")
    return [
        Outcome(
            "problem",
            f"{place.relative(path)} has no source solutions/{path.stem}.py: delete it, or bring "
            "the source back.",
        )
        for path in sorted(found)
        if path.stem not in lessons
        or (path.suffix == ".py" and path.stem in made and not made[path.stem].references)
    ]


def plain(notebook) -> list:
    """What of a notebook does not depend on the run: its cells without their outputs."""
    return [
        (c.cell_type, c.id, c.source, json.dumps(c.metadata, sort_keys=True))
        for c in notebook.cells
    ]


def load_notebook(path: Path) -> nbformat.NotebookNode | None:
    """The notebook ``path``; None where there is none, or none that can be read."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=nbformat.NO_CONVERT)
    except (OSError, ValueError, nbformat.ValidationError, AttributeError):
        return None


def compare(place: Place, made: Made, executor) -> list[Outcome]:
    """What of a lesson's notebooks is missing or out of date."""
    name, problems = made.source.name, []
    if text_at(place.lesson(name)) != text_of(made.lesson):
        problems.append(_out_of_date(place, place.lesson(name), name))
    path = place.solved(name)
    stored = load_notebook(path)
    if stored is None and path.exists():
        problems.append(_out_of_date(place, path, name, "is not a notebook that can be read"))
    elif stored is None or plain(stored) != plain(made.solved):
        problems.append(_out_of_date(place, path, name))
    elif complaints := executor.complaints(stored):
        problems += [
            f"{place.relative(path)}: {sentence} Run 'course build {name[:2]}'."
            for sentence in complaints
        ]
    elif told := list(described.problems(made.source, stored)):
        problems += told
    elif text_of(described.describe(stored)) != text_of(stored):
        problems.append(_out_of_date(place, path, name, "has other alternative texts"))
    elif not executor.is_fresh(stored, made.solved):
        why = "was executed before its code, or what that reads, changed"
        problems.append(_out_of_date(place, path, name, why))
    return [Outcome("problem", problem) for problem in problems]


def write(place, made: Made, executor, execute, environment, log) -> list[Outcome]:
    """Write what differs of a lesson's notebooks, the solved one executed where it has to be."""
    name, outcomes = made.source.name, []
    path, text = place.lesson(name), text_of(made.lesson)
    if text_at(path) != text:
        storage.write_text(path, text)
        outcomes.append(Outcome("written", f"{place.relative(path)}: written."))
    path = place.solved(name)
    stored, kind = load_notebook(path), "written"
    if stored is not None and executor.is_fresh(stored, made.solved):
        new = executor.with_outputs_of(made.solved, stored)
    elif not execute:
        new = executor.with_outputs_of(made.solved, stored) if stored else made.solved
        outcomes.append(Outcome("note", f"{place.relative(path)}: not executed, as asked."))
    else:
        log(f"executing {place.relative(path)} ...")
        kind = "executed"
        try:
            new, notes = executor.execute(
                made.solved, made.lines, made.source.at(0)[:-2], environment
            )
        except executor.ExecutionError as error:
            sentence = f"{error} {place.relative(path)} is left as it was."
            return [*outcomes, Outcome("problem", sentence)]
        outcomes += [Outcome("note", f"{place.relative(path)}: {note}") for note in notes]
    new = described.describe(new)
    outcomes += [Outcome("problem", told) for told in described.problems(made.source, new)]
    if text_at(path) != text_of(new):
        storage.write_text(path, text_of(new))
        outcomes.append(Outcome(kind, f"{place.relative(path)}: {kind}."))
    return outcomes
