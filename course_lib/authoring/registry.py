"""What the builder needs of course_lib.exercises."""

import importlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .source import SourceError


@dataclass
class Registered:
    """The slugs that exist, as the judge needs them; None: that kind is not judged.

    A kind may be a mapping of slug to entry: then an entry of the lesson that it does not show is
    told, too.
    """

    check: Collection[str] | None = None
    predict: Collection[str] | None = None
    quiz: Collection[str] | None = None
    answer: Collection[str] | None = None
    functions: dict[str, str] = field(default_factory=dict)

    def function(self, slug: str) -> str:
        """What the function of an exercise is called."""
        return self.functions.get(slug) or slug.replace("-", "_")


@dataclass(frozen=True)
class Registry:
    """What the builder needs of the exercises: the blocks' texts, and the slugs that exist.

    ``exercises`` maps a slug to an object with title, difficulty, minutes, hints; it may have
    lesson, the number of its lesson, where, its file and line, and mistakes. ``problems`` maps the
    number of a lesson to what is wrong with its modules: without them it cannot be made.
    ``elsewhere`` maps the slugs of other lessons' exercises to their modules.
    """

    exercises: Mapping[str, Any]
    slugs: Registered
    problems: Mapping[int, list[str]] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_the_course(cls, numbers: Iterable[int]) -> "Registry":
        """The exercises and questions of the lessons ``numbers``; of the others only the slugs.

        Raises SourceError if the registry itself does not load.
        """
        try:
            registry = importlib.import_module("course_lib.exercises.registry")
            places = registry.places()
        except Exception as error:  # the check engine itself is broken
            name = type(error).__name__
            raise SourceError([f"course_lib.exercises does not load: {name}: {error}"]) from None
        problems: dict[int, list[str]] = {}
        known: dict[str, Any] = {}
        questions: dict[str, dict] = {kind: {} for kind in registry.QUESTIONS}
        for number in sorted(set(numbers) & set(registry.numbers())):
            try:
                lesson = registry.load(number)
            except registry.RegistryError as error:
                problems[number] = error.problems
                continue
            for exercise in lesson.EXERCISES:
                known[exercise.slug] = exercise
                twins = [p for p in places[exercise.slug] if p.parent.name != lesson.folder.name]
                if twins:
                    problems.setdefault(number, []).append(
                        f"{exercise.where}: the exercise {exercise.slug!r} is also that of "
                        f"{twins[0].parent.name}/{twins[0].name}: rename one."
                    )
            for kind, found in questions.items():
                found |= getattr(lesson, kind)
        functions = {slug: e.function for slug, e in known.items()}
        asked = (questions[kind] for kind in ("PREDICTIONS", "QUIZZES", "ANSWERS"))
        elsewhere = {
            slug: f"{paths[0].parent.name}/{paths[0].name}"
            for slug, paths in places.items()
            if slug not in known
        }
        return cls(known, Registered(set(places), *asked, functions), problems, elsewhere)
