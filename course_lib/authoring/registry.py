"""What the builder needs of course_lib.exercises."""

import importlib
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

    ``exercises`` maps a slug to an object with title, difficulty, minutes, hints.
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
            name = type(error).__name__
            raise SourceError([f"course_lib.exercises does not load: {name}: {error}"]) from None
        functions = {slug: e.function for slug, e in known.items()}
        return cls(known, Registered(set(known), predictions, quizzes, answers, functions))
