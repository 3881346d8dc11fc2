"""From one source to all that is made of it, in memory."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import nbformat

from .. import storage
from ..alternatives import KEY
from ..exercises.sources import changed
from . import address, prose, references, wording
from .cards import card
from .judging import judge_slugs, judge_text
from .marks import Views
from .names import function_named
from .registry import Registry
from .source import Cell, Source, alternative_cells

METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


# the first code of a lesson: where it was opened in a kernel without the course, the import's own
# words would help nobody. An id of its own, which no source uses.
HERE = "course-is-here"
MISSING = """\
import importlib.util

if importlib.util.find_spec("course_lib") is None:
    raise ModuleNotFoundError(
        "The course is not installed where this notebook runs: run, in a "
        "cell,  %pip install git+{address}  "
        "and restart the kernel; or choose the kernel in the course's .venv."
    )"""


@dataclass
class Made:
    """All that is made from one source, in memory."""

    source: Source
    lesson: nbformat.NotebookNode
    solved: nbformat.NotebookNode
    references: str
    # cell id -> the source's line of each line of the solved notebook's cell
    lines: dict[str, list[int]] = field(default_factory=dict)


def text_of(notebook: nbformat.NotebookNode) -> str:
    """A notebook as the text of its file, the same for the same notebook."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def _cell(cell, text: str, alternatives: Sequence[str] = ()) -> nbformat.NotebookNode:
    metadata: dict = {"tags": list(cell.tags)} if cell.tags else {}
    if alternatives:
        metadata[KEY] = list(alternatives)
    roles = {role: slug for role in ("exercise", "check", "task") if (slug := cell.option(role))}
    if roles:
        metadata["course"] = roles
    if cell.kind == "markdown":
        return nbformat.v4.new_markdown_cell(text, id=cell.id, metadata=metadata)
    return nbformat.v4.new_code_cell(text, id=cell.id, metadata=metadata)


def _notebook(name: str, cells) -> nbformat.NotebookNode:
    metadata = {**METADATA, "course": {"lesson": name}}
    return nbformat.v4.new_notebook(cells=cells, metadata=nbformat.from_dict(metadata))


@dataclass
class Draft:
    """What the text of a source gives, before the registry is asked."""

    source: Source
    shapes: dict[str, Views]  # by id of a code cell
    prose: dict[str, str]  # by id of a markdown cell: its text, the mark-up replaced
    alternatives: dict[str, list[str]]  # by id of a code cell: what its pictures show


def draft(source: Source, numbers: prose.Numbers, names: dict) -> Draft:
    """Judge the text of ``source``, in an instant; mistakes are added to ``source.problems``."""
    shapes = judge_text(source)
    wording.judge(source)
    texts = {
        cell.id: prose.render(source, cell, numbers, names)
        for cell in source.cells
        if cell.kind == "markdown"
    }
    alternatives = {
        cell.id: [prose.render(source, one, numbers, names) for one in alternative_cells(cell)]
        for cell in source.cells
        if cell.alternatives
    }
    return Draft(source, shapes, texts, alternatives)


def make(draft: Draft, registry: Registry, numbers: prose.Numbers) -> Made:
    """The notebooks of ``draft``; what the registry objects to is added to its problems."""
    source, shapes = draft.source, draft.shapes
    judge_slugs(source, shapes, registry.slugs)
    _judge_questions(source, registry)
    lesson, solved, lines = [], [], {}
    for cell in source.cells:
        if cell.kind == "markdown":
            text, slug = draft.prose[cell.id], cell.option("task")
            e = registry.exercises.get(slug)
            if e is not None and _judge_entry(source, cell, slug, e):
                label = numbers.known.get(slug, "?")
                text = prose.task(text, label, e.title, e.difficulty, e.minutes, e.hints)
            view = Views(text, text)
        else:
            view = shapes[cell.id]
            slug = cell.option("exercise")
            if slug in source.told:
                pass  # what is wrong with it explains the rest
            elif slug in registry.exercises:
                _judge_edits(source, cell, view, registry)
            elif slug in registry.elsewhere:
                source.problem(
                    cell.line,
                    f"the exercise {slug!r} is one of another lesson, "
                    f"{registry.elsewhere[slug]}: move its module or its cells.",
                )
        lines[cell.id] = view.numbers or [cell.first]
        told = draft.alternatives.get(cell.id, ())
        solved.append(_cell(cell, view.solved, told))
        if "solution-only" not in cell.tags:
            if cell.kind == "code" and HERE not in [made.id for made in lesson]:
                lesson += _first(source)
            lesson.append(_cell(cell, view.lesson, told))
    module = references.module(source, shapes, registry)
    return Made(
        source, _notebook(source.name, lesson), _notebook(source.name, solved), module, lines
    )


def _first(source: Source) -> list[nbformat.NotebookNode]:
    """The cell that says what is missing, for a lesson that imports the course."""
    code = "\n".join(cell.text for cell in source.cells if cell.kind == "code")
    if not re.search(r"^(from|import) course_lib\b", code, re.MULTILINE):
        return []
    root = storage.checkout()
    text = MISSING.format(address=(root and address.repository(root)) or "ADDRESS-OF-THE-COURSE")
    return [nbformat.v4.new_code_cell(text, id=HERE)]


def _judge_questions(source: Source, registry: Registry) -> None:
    """The texts of this lesson's predictions, quizzes and short answers, each told at its place."""
    for kind in ("predict", "quiz", "answer"):
        entries = getattr(registry.slugs, kind)
        for slug, entry in entries.items() if isinstance(entries, Mapping) else ():
            if entry.lesson == source.number:
                for sentence in wording.asked(entry):
                    source.problem(1, f"{kind} {slug!r}: {sentence}", entry.where)


def _judge_edits(source: Source, cell: Cell, view: Views, registry: Registry) -> None:
    """A wrong answer that is an edit of the solution must fit the solution as it is now."""
    slug = cell.option("exercise")
    exercise = registry.exercises[slug]
    name = view.library.rpartition(".")[2] if view.library else registry.slugs.function(slug)
    try:
        node = function_named(ast.parse(view.solved), name)
    except SyntaxError:
        return  # told already
    if node is None:
        return  # told already
    text = "\n".join(view.solved.split("\n")[node.lineno - 1 : node.end_lineno])
    for mistake in getattr(exercise, "mistakes", ()):
        try:
            ast.parse(changed(text, mistake.edits, name))
        except SyntaxError as error:
            sentence = f"with its edits the solution is no Python: {error.msg}: {error.text}"
            source.problem(cell.line, f"the mistake {mistake.name!r}: {sentence}", mistake.where)
        except ValueError as error:
            source.problem(cell.line, f"the mistake {mistake.name!r}: {error}", mistake.where)


def _judge_entry(source: Source, cell: Cell, slug: str, exercise) -> bool:
    """Whether the registry's exercise is right, for this lesson; if not, that is a problem."""
    where, number = getattr(exercise, "where", ""), getattr(exercise, "lesson", None)
    problems = card(exercise)
    if number not in (None, source.number):
        there = f"it is one of lesson {number:02d}, but stands in {source.at(cell.line)}: move one."
        problems.append((where, f"the exercise {slug!r}: {there}"))
    for place, sentence in problems:
        source.problem(cell.line, sentence, place)
    return not problems
