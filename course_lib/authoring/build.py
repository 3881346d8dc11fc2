"""All lessons: judge the sources, write or compare the notebooks and the references.

:func:`build` is what ``course build`` calls. It judges every source first and touches nothing if
one of them is wrong; then it writes what differs.
"""

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from .. import storage
from . import prose
from .making import Made, labels, make, text_of
from .references import PACKAGE_TEXT
from .registry import Registry
from .source import SourceError, near, read


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


def make_all(place: Place, registry: Registry | None = None) -> dict[str, Made]:
    """Everything that the sources in ``place`` make, by lesson.

    Raises SourceError with all that is wrong in all sources.
    """
    sources = [read(path) for path in place.sources()]
    if not sources:
        raise SourceError(
            [f"There are no lesson sources NN_name.py in {place.root / 'solutions'}."]
        )
    registry = registry or Registry.of_the_course()
    names = {"records": prose.records(place.records)}
    if any("paper" in cell.text for s in sources for cell in s.cells if cell.kind == "markdown"):
        names["paper"] = importlib.import_module("course_lib.paper")
    numbers = labels(sources)
    made, seen = {}, {}
    for source in sources:
        for slug in source.exercises():
            if slug in seen:
                source.problem(1, f"the exercise {slug!r} is already one of {seen[slug]}.")
            seen.setdefault(slug, source.name)
        made[source.name] = make(source, registry, numbers, names)
    problems = [problem for source in sources for problem in source.problems]
    if problems:
        raise SourceError(problems)
    return made


def select(made: Mapping[str, Made], names: Iterable[str] | None) -> list[str]:
    """The lessons that ``names`` (01, 1, 01_training) mean; all if None.

    Raises SourceError with the names that exist if there is no such lesson.
    """
    chosen = []
    for name in names or made:
        short = name.removesuffix(".py").removesuffix(".ipynb")
        number = short.zfill(2) if short.isdigit() else None
        hits = [m for m in made if m == short or m[:2] == number]
        if not hits:
            raise SourceError([f"There is no lesson {name!r}; {near(short, made)}"])
        chosen += hits
    return sorted(set(chosen))


def build(
    names: Iterable[str] | None = None,
    check: bool = False,
    execute: bool = True,
    place: Place | None = None,
    registry: Registry | None = None,
    environment: Mapping[str, str] | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> list[Outcome]:
    """Build the lessons ``names`` (all if None), or with ``check`` only compare, in seconds.

    ``execute=False`` writes sources without executing: a solved notebook then keeps the outputs
    of the cells that did not change. ``environment`` is added to the executing kernel's. Nothing
    is raised for a mistake in a source: each becomes an Outcome whose ``ok`` is False.
    """
    from . import execute as executor

    try:
        place = place or Place.checkout()
        made = make_all(place, registry)
        chosen = select(made, names)
    except SourceError as error:
        return [Outcome("problem", problem) for problem in error.problems]
    outcomes = _strays(place, made) if names is None else []
    outcomes += _references_files(place, made, check)  # first: executing a lesson needs them
    for name in chosen:
        if check:
            outcomes += _compare(place, made[name], executor)
        else:
            outcomes += _write(place, made[name], executor, execute, environment, log)
    return outcomes


def _references_files(place: Place, made: Mapping[str, Made], check: bool) -> list[Outcome]:
    """Write, or with ``check`` compare, the references of all lessons: they are cheap."""
    texts = {place.reference(n): m.references for n, m in made.items() if m.references}
    texts[place.references / "__init__.py"] = PACKAGE_TEXT
    outcomes = []
    for path, text in texts.items():
        if _read(path) == text:
            continue
        if check:
            name = path.stem if path.stem in made else ""
            outcomes.append(Outcome("problem", _out_of_date(place, path, name)))
        else:
            storage.write_text(path, text)
            outcomes.append(Outcome("written", f"{_relative(place, path)}: written."))
    return outcomes


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _relative(place: Place, path: Path) -> str:
    return path.relative_to(place.root).as_posix() if path.is_relative_to(place.root) else str(path)


def _out_of_date(place: Place, path: Path, name: str, why: str = "") -> str:
    state = why or ("is out of date" if path.exists() else "is missing")
    return f"{_relative(place, path)} {state}: run 'course build{' ' + name[:2] if name else ''}'."


def _strays(place: Place, made: Mapping[str, Made]) -> list[Outcome]:
    found = [*place.root.glob("lessons/*.ipynb"), *place.root.glob("solutions/*.ipynb")]
    found += place.references.glob("[0-9]*.py")
    return [
        Outcome(
            "problem",
            f"{_relative(place, path)} has no source solutions/{path.stem}.py: delete it, or bring "
            "the source back.",
        )
        for path in sorted(found)
        if path.stem not in made or (path.suffix == ".py" and not made[path.stem].references)
    ]


def _plain(notebook) -> list:
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


def _compare(place: Place, made: Made, executor) -> list[Outcome]:
    name, problems = made.source.name, []
    if _read(place.lesson(name)) != text_of(made.lesson):
        problems.append(_out_of_date(place, place.lesson(name), name))
    path = place.solved(name)
    stored = load_notebook(path)
    if stored is None and path.exists():
        problems.append(_out_of_date(place, path, name, "is not a notebook that can be read"))
    elif stored is None or _plain(stored) != _plain(made.solved):
        problems.append(_out_of_date(place, path, name))
    elif complaints := executor.complaints(stored):
        problems += [
            f"{_relative(place, path)}: {sentence} Run 'course build {name[:2]}'."
            for sentence in complaints
        ]
    elif not executor.is_fresh(stored, made.solved):
        why = "was executed before its code, or what that reads, changed"
        problems.append(_out_of_date(place, path, name, why))
    return [Outcome("problem", problem) for problem in problems]


def _write(place, made: Made, executor, execute, environment, log) -> list[Outcome]:
    name, outcomes = made.source.name, []
    path, text = place.lesson(name), text_of(made.lesson)
    if _read(path) != text:
        storage.write_text(path, text)
        outcomes.append(Outcome("written", f"{_relative(place, path)}: written."))
    path = place.solved(name)
    stored, kind = load_notebook(path), "written"
    if stored is not None and executor.is_fresh(stored, made.solved):
        new = executor.with_outputs_of(made.solved, stored)
    elif not execute:
        new = executor.with_outputs_of(made.solved, stored) if stored else made.solved
        outcomes.append(Outcome("note", f"{_relative(place, path)}: not executed, as asked."))
    else:
        log(f"executing {_relative(place, path)} ...")
        kind = "executed"
        try:
            new, notes = executor.execute(made.solved, made.lines, f"{name}.py", environment)
        except executor.ExecutionError as error:
            sentence = f"{error} {_relative(place, path)} is left as it was."
            return [*outcomes, Outcome("problem", sentence)]
        outcomes += [Outcome("note", f"{_relative(place, path)}: {note}") for note in notes]
    if _read(path) != text_of(new):
        storage.write_text(path, text_of(new))
        outcomes.append(Outcome(kind, f"{_relative(place, path)}: {kind}."))
    return outcomes
