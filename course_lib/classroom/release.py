"""The notebook that students get: the builder's lesson, cut down to what is assigned.

It is made of the released lesson, in which no solution ever was. Every cell keeps its id and its
text, so that what comes back is recognised (:mod:`course_lib.cells`) as a lesson's is. nbgrader's
metadata (schema 3) and Jupyter's own locks say which cells are a student's.
"""

import copy

import nbformat

from .. import __version__, workcopy
from ..authoring.making import METADATA, text_of
from ..cells import metadata, source
from ..exercises import find, lessons
from . import needs
from .choice import Part

SCHEMA = 3
OPENING, GIVEN = "assignment", "assignment-given"


def text(name: str, part: Part) -> str:
    """The file of the notebook of ``part`` in the assignment ``name``, the same at every call.

    Raises WorkError where the released lesson cannot be read.
    """
    return text_of(notebook(name, part))


def notebook(name: str, part: Part) -> nbformat.NotebookNode:
    """The notebook itself. Raises WorkError where the released lesson cannot be read."""
    lesson = workcopy.load(workcopy.lessons()[part.lesson])["cells"]
    made, given, opening = lesson, [], []
    if not part.whole:
        functions = {e.slug: e.function for e in lessons()[int(part.lesson[:2])].EXERCISES}
        found = needs.of(lesson, list(part.points), functions)
        made, given = [lesson[place] for place in found.places], _given(found.given)
        opening = [_text_cell(OPENING, _opening(name, part, lesson))]
    imports = next((i for i, c in enumerate(made) if c["cell_type"] == "code"), 0) + 1
    # what is given stands behind the imports, where nothing has asked for it yet
    cells = [*opening, *map(_cell, made[:imports]), *given, *map(_cell, made[imports:])]
    for cell in cells:
        _mark(cell, part)
    about = {"lesson": part.lesson, "assignment": name, "version": __version__}
    about |= {"exercises": list(part.points)}
    return nbformat.v4.new_notebook(
        cells=cells, metadata=nbformat.from_dict({**METADATA, "course": about})
    )


def _cell(cell: dict) -> nbformat.NotebookNode:
    kept = copy.deepcopy(metadata(cell))
    if cell["cell_type"] == "markdown":
        return nbformat.v4.new_markdown_cell(source(cell), id=cell["id"], metadata=kept)
    return nbformat.v4.new_code_cell(source(cell), id=cell["id"], metadata=kept)


def _text_cell(key: str, words: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(words, id=key)


def _opening(name: str, part: Part, lesson: list[dict]) -> str:
    """What a student reads first: what is asked, what it is worth, and how it is handed in."""
    title = source(lesson[0]).split("\n")[0].removeprefix("# ")
    rows = [f"| {find(slug).title} | {points:g} |" for slug, points in part.points.items()]
    return "\n".join(
        [
            f"# {name}: {title}",
            "",
            "| exercise | points |",
            "|---|---|",
            *rows,
            "",
            "Run the cells from the top. Write your code where it says `YOUR CODE HERE`, and leave "
            "the cells with the checks as they are: each says at once whether the answer is "
            "right, and why not. Texts come from the course's lesson, where the whole story is "
            f"(`course lab --lesson {part.lesson[:2]}`).",
            "",
            f"Save the notebook, and hand it in as `{part.lesson}.ipynb`.",
        ]
    )


def _given(slugs: list[str]) -> list[nbformat.NotebookNode]:
    if not slugs:
        return []
    lines = ["# other exercises of the lesson, in the course's version"]
    lines += ["from course_lib.classroom import given", ""]
    lines += [f'{find(slug).function} = given("{slug}")' for slug in slugs]
    return [nbformat.v4.new_code_cell("\n".join(lines), id=GIVEN)]


def _mark(cell: nbformat.NotebookNode, part: Part) -> None:
    """Say what nbgrader and JupyterLab are to make of a cell: locked, or a student's, or neither.

    Neither: cells to play with, predictions, short answers, and exercises that are not assigned.
    """
    role = cell.metadata.get("course", {})
    check, answer = role.get("check"), role.get("exercise")
    if check in part.points:
        more = {"grade": True, "points": part.points[check], "locked": True, "solution": False}
    elif answer in part.points:
        more = {"grade": False, "locked": False, "solution": True}
    elif cell.cell_type == "markdown" or cell.id in ("imports", GIVEN):
        more = {"grade": False, "locked": True, "solution": False}
    else:
        return
    about = {"grade_id": cell.id, "schema_version": SCHEMA, "task": False, **more}
    cell.metadata["nbgrader"] = nbformat.from_dict(about)
    cell.metadata["deletable"] = False
    if about["locked"]:
        cell.metadata["editable"] = False
