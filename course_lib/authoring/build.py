"""All lessons: judge the sources, write or compare the notebooks and the references.

:func:`build` is what ``course build`` calls. It judges the lessons asked for first, each alone, and
touches nothing of one that is wrong; then it writes what differs.
"""

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from .. import storage
from . import prose
from .making import Made, draft, make, text_of
from .references import PACKAGE_TEXT
from .registry import Registry
from .source import Source, SourceError, near, read


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


class _Course:
    """The lessons asked for, judged step by step. ``problems`` grows, and is logged as it does."""

    def __init__(self, place: Place, names: Iterable[str] | None, log: Callable[[str], None]):
        self.place, self.log = place, log
        self.lessons = [path.stem for path in place.sources()]
        if not self.lessons:
            raise SourceError(
                [f"There are no lesson sources NN_name.py in {place.root / 'solutions'}."]
            )
        self.whole = names is None
        self.chosen = select(self.lessons, names)
        self.problems: list[str] = []
        self.made: dict[str, Made] = {}  # the lessons without a problem

    def judge(self, registry: Registry | None) -> None:
        """Judge the chosen lessons; what is right goes into ``made``.

        The text first, which is a matter of a moment, and only then what needs the registry.
        """
        sources, unread = {}, []
        for path in self.place.sources():
            try:
                sources[path.stem] = read(path)
            except SourceError as error:
                unread.append(_relative(self.place, path))
                if path.stem in self.chosen:
                    self._tell(error.problems)
        numbers = prose.Numbers.of(sources.values(), unread)
        chosen = [sources[name] for name in self.chosen if name in sources]
        names = {"records": prose.records(self.place.records)}
        if any("paper" in cell.text for s in chosen for cell in s.cells if cell.kind == "markdown"):
            names["paper"] = importlib.import_module("course_lib.paper")
        drafts = []
        for source in chosen:
            _judge_twice(source, sources.values())
            drafts.append(draft(source, numbers, names))
            self._tell(source.problems)
        if not drafts:
            return
        try:
            registry = registry or Registry.of_the_course(source.number for source in chosen)
        except SourceError as error:
            self._tell(error.problems)
            return
        for source in chosen:
            source.problems += registry.problems.get(source.number, [])
        sound = [one for one in drafts if one.source.number not in registry.problems]
        made = {one.source.name: make(one, registry, numbers) for one in sound}
        self._judge_unused(registry, sources)
        for source in chosen:
            self._tell(source.problems)
            if not source.problems:
                self.made[source.name] = made[source.name]

    def _judge_unused(self, registry: Registry, sources: Mapping[str, Source]) -> None:
        """An exercise that no source has is a problem of its lesson, or else of the course.

        It is not told where a source may have it, behind a header or a slug that is told already.
        """
        slugs = {name: source.slugs() for name, source in sources.items()}
        doubtful = {
            name
            for name in self.lessons
            if name not in sources
            or sources[name].unsure
            or any(slug not in registry.exercises for slug in slugs[name])
        }
        for slug, exercise in registry.exercises.items():
            lesson = getattr(exercise, "lesson", None)
            there = [name for name in self.lessons if lesson in (None, int(name[:2]))]
            asked = self.whole or (lesson is not None and set(there) & set(self.chosen))
            if not asked or doubtful & set(there) or any(slug in found for found in slugs.values()):
                continue
            where = getattr(exercise, "where", "") or "course_lib.exercises"
            sentence = f"no lesson uses the exercise {slug!r}: give it its cells, or delete it."
            if lesson is not None and there:
                sources[there[0]].problem(1, sentence, where)
            else:
                self._tell([f"{where}: {sentence}"])

    def _tell(self, problems: Iterable[str]) -> None:
        for problem in problems:
            if problem not in self.problems:
                self.problems.append(problem)
                self.log(problem)


def _judge_twice(source: Source, sources: Iterable[Source]) -> None:
    """An exercise belongs to one lesson. Of the other sources this needs the cells' headers."""
    for other in sources:
        for slug, line in source.exercises().items():
            if other.name != source.name and slug in other.exercises():
                already = "already" if other.name < source.name else "also"
                source.problem(line, f"the exercise {slug!r} is {already} one of {other.name}.")


def select(lessons: Iterable[str], names: Iterable[str] | None) -> list[str]:
    """Those of ``lessons`` that ``names`` (01, 1, 01_training) mean; all if None.

    Raises SourceError with the names that exist if there is no such lesson.
    """
    chosen = []
    for name in names or lessons:
        short = name.removesuffix(".py").removesuffix(".ipynb")
        number = short.zfill(2) if short.isdigit() else None
        hits = [m for m in lessons if m == short or m[:2] == number]
        if not hits:
            raise SourceError([f"There is no lesson {name!r}; {near(short, lessons)}"])
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

    Of the other lessons nothing is judged; their sources' headers give the numbers of exercises.
    ``execute=False`` writes sources without executing: a solved notebook then keeps the outputs
    of the cells that did not change. ``environment`` is added to the executing kernel's. Nothing
    is raised for a mistake in a source: each becomes an Outcome whose ``ok`` is False. A lesson
    with a mistake is left as it is, the others are built. ``log`` gets every outcome's text as
    soon as it is known, those of mistakes before anything is executed, and what is being executed.
    The problems are the last of the outcomes.
    """
    outcomes: list[Outcome] = []

    def tell(found: Iterable[Outcome]) -> None:
        for outcome in found:
            outcomes.append(outcome)
            log(outcome.text)

    try:
        place = place or Place.checkout()
        course = _Course(place, names, log)
    except SourceError as error:
        tell(Outcome("problem", problem) for problem in error.problems)
        return outcomes
    course.judge(registry)
    outcomes += [Outcome("problem", problem) for problem in course.problems]
    if names is None:
        tell(_strays(course))
    tell(_references_files(course, check, names is None))  # first: executing needs them
    if course.made:
        from . import execute as executor
    for made in course.made.values():
        if check:
            tell(_compare(place, made, executor))
        else:
            tell(_write(place, made, executor, execute, environment, log))
    return sorted(outcomes, key=lambda outcome: not outcome.ok)


def _references_files(course: _Course, check: bool, whole: bool) -> list[Outcome]:
    """Write, or with ``check`` compare, the references of the lessons that are made.

    The package's own file is compared only with the ``whole`` course.
    """
    place, made = course.place, course.made
    texts = {place.reference(n): m.references for n, m in made.items() if m.references}
    if made and (whole or not check):
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


def _strays(course: _Course) -> list[Outcome]:
    place, made = course.place, course.made
    found = [*place.root.glob("lessons/*.ipynb"), *place.root.glob("solutions/*.ipynb")]
    found += place.references.glob("[0-9]*.py")
    return [
        Outcome(
            "problem",
            f"{_relative(place, path)} has no source solutions/{path.stem}.py: delete it, or bring "
            "the source back.",
        )
        for path in sorted(found)
        if path.stem not in course.lessons
        or (path.suffix == ".py" and path.stem in made and not made[path.stem].references)
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
