"""The exercises of a lesson, examined at a build; and whether their solutions are up to date."""

import ast
import contextlib
import functools
import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from .. import device as devices
from .. import storage
from ..exercises import find
from ..exercises.exercise import Exercise
from ..kept import Kept
from ..sourcecode import file_of, modules_read, substance
from . import references
from .examining import mistake, reference, shapes, variant
from .execute import assets
from .ground import groundwork
from .judging import judge_text
from .registry import Registered, Registry
from .source import SourceError, read
from .spots import EXERCISES, MADE, source_of, stub_of

SECONDS = 10.0  # per lesson at a build: what takes longer is left to pytest


@functools.cache
def _made(path: Path, text: str) -> tuple[str, list[str]]:
    """What `course build` would make of the solutions in the source ``path``, and its problems."""
    try:
        source = read(path)
    except SourceError as error:
        return "", error.problems
    shapes = judge_text(source)
    functions = {}
    for slug in source.exercises():
        with contextlib.suppress(LookupError, ValueError):
            functions[slug] = find(slug).function
    registry = Registry({}, Registered(set(functions), functions=functions))
    return references.module(source, shapes, registry), source.problems


def _of(text: str, name: str, slug: str) -> list[str]:
    """The parts of references that the solution called ``name`` depends on."""
    parts = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if node.name == name:
                parts.append(ast.get_source_segment(text, node))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            parts.append(ast.unparse(node))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "BUGGY":
            parts.append(ast.literal_eval(node.value).get(slug, ""))
    return parts


def stale(exercise: Exercise) -> list[str]:
    """Whether the solution that is judged is still the one that stands in the lesson's source."""
    path = source_of(exercise.lesson)
    if path is None:
        return []
    text, problems = _made(path, path.read_text(encoding="utf-8"))
    if problems:
        return list(problems)
    slug, stored = exercise.slug, EXERCISES / MADE / path.name
    stub = stub_of(exercise)
    if f'"{slug}",' not in text:
        return [f"{exercise.where}: no lesson uses the exercise {slug!r}: give it its cells."]
    there = stored.read_text(encoding="utf-8") if stored.is_file() else ""
    if _of(text, exercise.function, slug) == _of(there, exercise.function, slug):
        return []
    what = "differs from the one that is judged" if there else "has not been built"
    return [f"{stub}: the solution of {slug!r} {what}: run 'course build {path.name[:2]}'."]


class _Wrong(Exception):
    """What is wrong with an exercise; raised, because only what is right is kept."""

    def __init__(self, problems: list[str]):
        self.problems = problems


def digest(exercise: Exercise) -> str:
    """A hash over all that decides how the answers to an exercise are judged: its module and what
    that shares, the solutions of its lesson, the engine, what these read of the library."""
    name = f"lesson{exercise.lesson:02d}"
    own = [EXERCISES / name / f"{exercise.slug.replace('-', '_')}.py"]
    own += [p for pattern in ("shared.py", "_*.py") for p in (EXERCISES / name).glob(pattern)]
    own += sorted((EXERCISES / MADE).glob(f"{exercise.lesson:02d}_*.py"))
    # whole: an edit may be one of a comment or a docstring
    texts = {p.name: p.read_text(encoding="utf-8") for p in own if p.is_file()}
    read: set[str] = set()
    for text in texts.values():
        read |= set(modules_read(text, f"course_lib.exercises.{name}.module"))
    files = {m: file_of(m) for m in sorted(read) if file_of(m)}
    files |= {p.name: p for p in sorted(EXERCISES.glob("*.py"))}
    texts |= {m: substance(p.read_text(encoding="utf-8")) for m, p in files.items()}
    data = [storage.sha256(p) for p in assets(list(read), "".join(texts.values()))]
    parts = [*(f"{n}\n{t}" for n, t in sorted(texts.items())), *data, str(devices.pick())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _answers(slug: str, mark: str, exercise: Exercise) -> bool:
    """True if every answer is judged as it is meant; else raises _Wrong."""
    told = [text for function in exercise.variants for text in variant(exercise, function)[1]]
    told += [text for wrong in exercise.mistakes for text in mistake(exercise, wrong)[1]]
    told = told or shapes(exercise)
    if told:
        raise _Wrong(list(dict.fromkeys(told)))
    return True


def lesson(
    exercises: Iterable[Exercise], log: Callable[[str], None], seconds: float = SECONDS
) -> tuple[list[str], list[str]]:
    """Judge the exercises of one lesson: what is wrong, and the slugs for which there was no time.

    An exercise that was right, and of which nothing has changed since, is not judged again. The
    solutions are judged first, and always; then the other answers, an exercise at a time, until
    ``seconds`` have passed.
    """
    kept, waiting, told = Kept("exercises"), [], []
    end = time.monotonic() + seconds
    marks = [(exercise, digest(exercise)) for exercise in exercises]
    new = [(e, mark) for e, mark in marks if not kept.has(_answers, e.slug, mark)]
    if new:
        log(f"judging the answers of {len(new)} exercise{'s' * (len(new) > 1)} ...")
    for exercise, mark in new:
        wrong = groundwork(exercise) or reference(exercise)[1]
        told += wrong
        waiting.append((exercise, mark, not wrong))
    later = []
    for exercise, mark, sound in waiting:
        if not sound:
            continue
        if time.monotonic() > end:
            later.append(exercise.slug)
            continue
        try:
            kept.get(_answers, exercise.slug, mark, exercise=exercise)
        except _Wrong as error:
            told += error.problems
    return told, later
