"""Where the exercises are found: a folder for each lesson, a module for each exercise.

``lesson03/nearest_plane.py`` holds the exercise ``nearest-plane``, bound to ``EXERCISE``;
``lesson03/questions.py`` may hold PREDICTIONS, QUIZZES and ANSWERS, each a dict by slug;
``lesson03/shared.py``, and whatever begins with ``_``, is what several exercises share. Nothing is
listed by hand. The order is that of the lesson's source, from the generated ``_references``; what
no lesson uses yet comes last.
"""

import ast
import dataclasses
import functools
import importlib
import pkgutil
import re
import traceback
from pathlib import Path

from . import exercise
from .answers import ShortAnswer
from .predictions import Prediction
from .quizzes import Quiz

HELPERS = ("questions", "shared")
QUESTIONS = {"PREDICTIONS": Prediction, "QUIZZES": Quiz, "ANSWERS": ShortAnswer}
FOLDER = Path(__file__).parent


class RegistryError(ValueError):
    """What is wrong with the modules of a lesson: ``problems``, sentences with file and line."""

    def __init__(self, problems: list[str]):
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclasses.dataclass
class Lesson:
    """What the exercises' folder of one lesson holds."""

    number: int
    EXERCISES: list[exercise.Exercise] = dataclasses.field(default_factory=list)
    PREDICTIONS: dict[str, Prediction] = dataclasses.field(default_factory=dict)
    QUIZZES: dict[str, Quiz] = dataclasses.field(default_factory=dict)
    ANSWERS: dict[str, ShortAnswer] = dataclasses.field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where its modules lie."""
        return folder_of(self.number)


def numbers() -> list[int]:
    """The lessons that have a folder, in order; imports none of them."""
    names = [module.name for module in pkgutil.iter_modules([str(FOLDER)]) if module.ispkg]
    return sorted(int(name[6:]) for name in names if re.fullmatch(r"lesson\d\d", name))


def places() -> dict[str, list[Path]]:
    """Slug -> the modules called so, one unless two exercises have one name; imports nothing."""
    found: dict[str, list[Path]] = {}
    for number in numbers():
        for path in sorted(folder_of(number).glob("*.py")):
            if not path.stem.startswith("_") and path.stem not in HELPERS:
                found.setdefault(path.stem.replace("_", "-"), []).append(path)
    return found


def folder_of(number: int) -> Path:
    """Where the modules of a lesson lie."""
    return FOLDER / f"lesson{number:02d}"


def order_of(number: int) -> list[str]:
    """The slugs of a lesson's exercises as its source has them, out of the generated references.

    They are read and not imported: a solution that they can no longer import is for ``course
    build`` to mend, which needs the order for it.
    """
    for path in (FOLDER / "_references").glob(f"{number:02d}_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER":
                return ast.literal_eval(node.value)
    return []


@functools.cache
def load(number: int) -> Lesson:
    """Import the modules of one lesson, and no other's.

    Raises RegistryError with all that is wrong: a module that does not load or holds no exercise,
    a slug that is not its module's name, an entry of another type.
    """
    lesson, problems = Lesson(number), []
    folder = lesson.folder
    for found in pkgutil.iter_modules([str(folder)]):
        name = found.name
        if name.startswith("_") or name == "shared":
            continue
        if "-" in name:
            new = name.replace("-", "_")
            problems.append(
                f"{exercise.place(folder / f'{name}.py', 1)}: a module's name has no hyphen: call "
                f"it {new}.py, and the exercise is {name!r}."
            )
            continue
        try:
            module = importlib.import_module(f"{__package__}.{folder.name}.{name}")
        except Exception as error:  # whatever an unfinished module raises
            problems.append(_does_not_load(folder / f"{name}.py", error))
            continue
        if name == "questions":
            problems += _questions(lesson, module)
        else:
            problems += _exercise(lesson, module, name)
    if problems:
        raise RegistryError(problems)
    order = order_of(number)
    lesson.EXERCISES.sort(
        key=lambda e: (order.index(e.slug) if e.slug in order else len(order), e.slug)
    )
    return lesson


def find(slug: str, kind: str):
    """The entry of ``kind`` called ``slug``, or None; imports no lesson that does not name it."""
    for number in numbers():
        if kind == "EXERCISES":
            there = (folder_of(number) / f"{str(slug).replace('-', '_')}.py").is_file()
        else:
            path = folder_of(number) / "questions.py"
            there = path.is_file() and f'"{slug}"' in path.read_text(encoding="utf-8")
        if there:
            entries = getattr(load(number), kind)
            listed = entries if isinstance(entries, dict) else {e.slug: e for e in entries}
            if slug in listed:
                return listed[slug]
    return None


def _exercise(lesson: Lesson, module, name: str) -> list[str]:
    """Add the exercise of ``module``; the sentences for what is wrong with it."""
    path, slug = Path(module.__file__), name.replace("_", "-")
    found = getattr(module, "EXERCISE", None)
    if not isinstance(found, exercise.Exercise):
        return [
            f"{exercise.place(path, 1)}: this module has no exercise: bind EXERCISE to an "
            f"Exercise(...), or call the module {' or '.join(f'{h}.py' for h in HELPERS)} if it "
            "holds something else."
        ]
    line = _line(path, r"EXERCISE\b")
    found.where = exercise.place(path, line)
    if found.slug not in ("", slug):
        return [
            f"{found.where}: the exercise is called {found.slug!r} and its module {name}.py: leave "
            f"the slug out, and it is {slug!r}."
        ]
    found.slug, found.lesson = slug, lesson.number
    found.function = found.function or name
    lesson.EXERCISES.append(found)
    return []


def _questions(lesson: Lesson, module) -> list[str]:
    path, problems = Path(module.__file__), []
    for kind, wanted in QUESTIONS.items():
        for slug, entry in getattr(module, kind, {}).items():
            where = exercise.place(path, _line(path, rf'\s*"{re.escape(slug)}"'))
            if isinstance(entry, wanted):
                entry.where, entry.lesson = where, lesson.number
                getattr(lesson, kind)[slug] = entry
            else:
                what = f"{wanted.__name__}(...), not a {type(entry).__name__}"
                problems.append(f"{where}: the entry {slug!r} of {kind} must be a {what}.")
    return problems


def _line(path: Path, pattern: str) -> int:
    """The number of the first line of ``path`` that begins with ``pattern``; 1 if none does."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((i for i, line in enumerate(lines, 1) if re.match(pattern, line)), 1)


def _does_not_load(path: Path, error: Exception) -> str:
    """File, line and reason of a module that cannot be imported."""
    if isinstance(error, SyntaxError) and error.filename:
        path, line = Path(error.filename), error.lineno or 1
    else:
        frames = traceback.extract_tb(error.__traceback__)
        here = [f.lineno for f in frames if Path(f.filename) == path]
        line = here[-1] if here else 1
    text = " ".join(str(error).split())
    if re.match(re.escape(exercise.place(path, 0)[:-1]) + r"\d+: ", text):
        return text  # a sentence with file and line of its own
    return f"{exercise.place(path, line)}: does not load: {type(error).__name__}: {text}"
