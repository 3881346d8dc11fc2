"""What the builder needs of course_lib.exercises."""

import importlib
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .source import SourceError


@dataclass
class Registered:
    """The slugs that exist, as the judge needs them; None: that kind is not judged."""

    check: set[str] | None = None
    predict: set[str] | None = None
    quiz: set[str] | None = None
    answer: set[str] | None = None
    functions: dict[str, str] = field(default_factory=dict)

    def function(self, slug: str) -> str:
        """What the function of an exercise is called."""
        return self.functions.get(slug) or slug.replace("-", "_")


@dataclass(frozen=True)
class Registry:
    """What the builder needs of the exercises: the blocks' texts, and the slugs that exist.

    ``exercises`` maps a slug to an object with title, difficulty, minutes, hints; it may have
    lesson, the number of its lesson, and where, its file and line.
    """

    exercises: Mapping[str, Any]
    slugs: Registered

    @classmethod
    def of_the_course(cls) -> "Registry":
        """The registry of course_lib.exercises. Raises SourceError if it does not load."""
        try:
            exercises = importlib.import_module("course_lib.exercises")
            known = exercises.all_exercises()
            predictions, quizzes, answers = (
                set(exercises.entries(kind)) for kind in ("PREDICTIONS", "QUIZZES", "ANSWERS")
            )
        except Exception as error:  # whatever an unfinished registry raises
            if getattr(error, "problems", None):  # sentences already
                raise SourceError(error.problems) from None
            name = type(error).__name__
            raise SourceError([f"course_lib.exercises does not load: {name}: {error}"]) from None
        functions = {slug: e.function for slug, e in known.items()}
        return cls(known, Registered(set(known), predictions, quizzes, answers, functions))


def wrong(exercise: Any) -> list[str]:
    """What is wrong with the texts and numbers of an exercise, of which the lesson shows all."""
    title, difficulty, minutes, hints = (
        getattr(exercise, name, None) for name in ("title", "difficulty", "minutes", "hints")
    )
    found = []
    if not _is_text(title):
        found.append(f'title is a text, as title="The nearest plane"; not {_short(title)}.')
    if not _is_number(difficulty, int) or not 1 <= difficulty <= 5:
        found.append(f"difficulty is one of 1, 2, 3, 4, 5; not {_short(difficulty)}.")
    if not _is_number(minutes, int | float) or not 0 < minutes < math.inf:
        found.append(f"minutes is a number above 0, as minutes=15; not {_short(minutes)}.")
    if not isinstance(hints, list | tuple):
        found.append(f'hints is a list of texts, as hints=["Which axis?"]; not {_short(hints)}.')
    else:
        found += [
            f"hint {i} is a text; not {_short(hint)}."
            for i, hint in enumerate(hints, 1)
            if not _is_text(hint)
        ]
    return found


def _is_text(value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value, kind) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _short(value) -> str:
    return "nothing" if value is None else reprlib.repr(value)
