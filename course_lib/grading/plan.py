"""Which cells an answer needs before it can run: no more of the lesson than its names lead to.

An answer reads names. Where a cell of the released lesson binds one, that cell is needed, and what
it reads itself; of a cell's imports only those that are read. A function of another exercise is the
course's version. What none of these binds may stand in a cell of the student's own, or in another
answer: that cell is needed as it is. Cells that bind nothing (a setting that is made by a call) are
not found.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from ..authoring import names
from ..cells import Cell, metadata, source
from .submission import Released

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass
class Step:
    """What runs before an answer. kind: "released" or "own" code, or the "course"'s version of the
    exercise whose slug ``text`` is."""

    kind: str
    text: str


@dataclass
class _Part:
    step: Step
    place: int
    bound: set
    reads: set


def parsed(text: str) -> ast.Module | None:
    """The tree of a cell's code, without what is IPython's own; None where there is none."""
    try:
        return ast.parse(plain(text))
    except UNREADABLE:
        return None


def plain(text: str) -> str:
    """The code of a cell; where Python cannot read it, without lines that are magics."""
    try:
        ast.parse(text)
    except UNREADABLE:
        lines = [
            f"{line[: len(line) - len(line.lstrip())]}pass"
            if line.lstrip().startswith(("%", "!"))
            else line
            for line in text.split("\n")
        ]
        return "\n".join(lines)
    return text


def steps(
    answer: Cell, cells: list[Cell], lesson: Released, functions: Mapping[str, str], slug: str
) -> list[Step]:
    """What has to run before ``answer``, in order.

    cells: all of the submission's; functions: slug -> function of the lesson's exercises; slug:
    the exercise that is answered.
    """
    tree = parsed(answer.text)
    if tree is None:
        return []
    parts = [*_course(functions, slug), *_released(lesson, slug)]
    own = _own(answer, cells, slug)
    wanted, seen, chosen = list(_free(tree)), {functions[slug]}, []
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        found = [part for part in parts if name in part.bound]
        found = found or [part for part in own if name in part.bound]
        for part in found:
            if part not in chosen:
                chosen.append(part)
                wanted += part.reads
    return [part.step for part in sorted(chosen, key=lambda part: part.place)]


def _free(tree: ast.Module) -> set[str]:
    try:
        return names.free(tree)
    except UNREADABLE:
        return set()


def _course(functions: Mapping[str, str], slug: str):
    for other, function in functions.items():
        if other != slug:
            yield _Part(Step("course", other), -1, {function}, set())


def _released(lesson: Released, slug: str):
    for place, cell in enumerate(lesson.cells):
        role = metadata(cell).get("course", {})
        if role.get("exercise") == slug:
            return
        if cell.get("cell_type") != "code" or role:
            continue
        yield from _parts("released", source(cell), place)


def _own(answer: Cell, cells: list[Cell], slug: str) -> list[_Part]:
    """The student's own cells: new ones, changed ones, and the answers to other exercises."""
    found, late = [], 10_000  # after all of the lesson's
    for place, cell in enumerate(cells):
        if cell is answer or cell.kind != "code" or cell.same or cell.copy:
            continue
        if not any(kind == "check" for kind, _ in cell.calls):
            found += _parts("own", cell.text, late + place)
    return found


def _parts(kind: str, text: str, place: int):
    tree = parsed(text)
    if tree is None:
        return
    imported = names.imports(tree)
    for name, statement in imported.items():
        yield _Part(Step(kind, statement), place, {name}, set())
    try:
        rest = names.bound(tree) - imported.keys()
    except UNREADABLE:
        return
    if rest:
        # all of what it reads, also what it imports itself: the cell runs whole
        yield _Part(Step(kind, text), place, rest, _free(tree))
