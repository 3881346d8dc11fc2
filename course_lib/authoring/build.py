"""The lessons asked for: judge each alone, and make the files of those that are right.

:func:`build` is what ``course build`` calls. It judges the lessons asked for first, each alone, and
touches nothing of one that is wrong; then it writes what differs.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import storage
from . import files, prose
from .files import Outcome, Place
from .making import Made, draft, make
from .registry import Registry
from .source import Source, SourceError, near, read


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
        self.exercises: Mapping[str, Any] = {}  # by slug, of the lessons that could be made

    def judge(self, registry: Registry | None) -> None:
        """Judge the chosen lessons; what is right goes into ``made``.

        The text first, which is a matter of a moment, and only then what needs the registry.
        """
        sources, unread = {}, []
        for path in self.place.sources():
            try:
                sources[path.stem] = read(path)
            except SourceError as error:
                unread.append(self.place.relative(path))
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
        self.exercises = registry.exercises
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


def _examine(course: _Course, name: str, changed: bool) -> tuple[list[str], list[str]]:
    """What is wrong with the exercises of a lesson, and the slugs for which the time was up.

    changed: whether its references were written just now, and may be in memory as they were.
    """
    from ..exercises.exercise import Exercise, references
    from . import examined

    if changed:
        sys.modules.pop(f"{storage.PACKAGE.name}.exercises._references.{name}", None)
        references.cache_clear()
    listed = (course.exercises.get(slug) for slug in course.made[name].source.exercises())
    chosen = [exercise for exercise in listed if isinstance(exercise, Exercise)]
    return examined.lesson(chosen, lambda text: course.log(f"{name[:2]}: {text}"))


def _command(later: Mapping[str, list[str]]) -> str:
    """How to judge what there was no time for."""
    root, python = storage.PACKAGE.parent, Path(sys.executable)
    shown = python.relative_to(root).as_posix() if python.is_relative_to(root) else "python"
    slugs = [slug for listed in later.values() for slug in listed]
    what = f"{len(slugs)} exercises were judged by their solution alone"
    if len(slugs) == 1:
        what = "One exercise was judged by its solution alone"
    chosen = " or ".join(slugs)
    return (
        f"{what}: the time for more was up. Judge their other answers with: {shown} -m pytest "
        f'tests/test_exercises.py -k "{chosen}"'
    )


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
    with a mistake is left as it is, the others are built. Its exercises are judged, too, before it
    is executed (:mod:`.examined`); where an answer is not judged as it is meant, the notebooks stay
    as they are. ``log`` gets every outcome's text as soon as it is known, those of mistakes before
    anything is executed, and what is being executed; and which lessons are up to date. The problems
    are the last of the outcomes.
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
        tell(files.strays(place, course.lessons, course.made))
    changed = {
        name
        for name, made in course.made.items()
        if made.references and files.text_at(place.reference(name)) != made.references
    }
    tell(files.references(place, course.made, check, course.whole))  # first: the rest needs them
    later: dict[str, list[str]] = {}
    if not check and place.references == storage.PACKAGE / "exercises" / "_references":
        for name in list(course.made):
            told, later[name] = _examine(course, name, name in changed)
            if told:
                del course.made[name]
            tell(Outcome("problem", sentence) for sentence in told)
    if course.made:
        from . import execute as executor
    for name, made in course.made.items():
        if check:
            found = files.compare(place, made, executor)
        else:
            found = files.write(place, made, executor, execute, environment, log)
        tell(found)
        if not found and name not in changed:
            log(f"{name[:2]}: up to date.")
    if any(later.values()):
        tell([Outcome("note", _command(later))])
    return sorted(outcomes, key=lambda outcome: not outcome.ok)
