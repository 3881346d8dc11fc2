"""Which cells of a lesson an exercise needs, and which other exercises it builds on.

What the solution and the stub read, what the task calls by its name, and what the cells that bind
these read in turn. The solution is read here, and nothing of it is handed on but names.
"""

import ast
import re
from dataclasses import dataclass, field

from ..authoring import names
from ..cells import metadata, source
from ..exercises import find, sources
from ..grading.plan import UNREADABLE, parsed

HEAD = re.compile(r"## ")
ASKS = re.compile(r"(?:\s*#[^\n]*\n)*\s*(?:quiz|predict)\(")
# texts that read what the cell above them has printed or drawn, as the lessons call them
READS = re.compile(r".*-(?:note|read|reading)(?:-\d+)?")


@dataclass
class Needs:
    """Places of cells in the lesson, in order, and slugs of exercises that are given."""

    places: list[int] = field(default_factory=list)
    given: list[str] = field(default_factory=list)


def of(cells: list[dict], slugs: list[str], functions: dict[str, str]) -> Needs:
    """What the exercises ``slugs`` need.

    cells: of the released lesson; functions: slug -> function of all of its exercises, in order.
    """
    wanted: set[int] = set()
    reads: set[str] = set()
    for slug in slugs:
        stub = _place(cells, "exercise", slug)
        task = _place(cells, "task", slug)
        wanted |= {task, stub, _place(cells, "check", slug), *_texts(cells, task)}
        reads |= _reads(slug, source(cells[task]), source(cells[stub]), functions, cells)
    given: set[str] = set()
    own = {functions[slug] for slug in slugs}
    seen = set(own)
    while reads:
        name = reads.pop()
        if name in seen:
            continue
        seen.add(name)
        other = next((s for s, f in functions.items() if f == name), None)
        if other is not None:
            given.add(other)
            continue
        for place in _bind(cells, name):
            wanted.add(place)
            if not _imports_alone(source(cells[place])):
                reads |= _free(source(cells[place]))
    return Needs(sorted(wanted), [slug for slug in functions if slug in given])


def _place(cells: list[dict], role: str, slug: str) -> int:
    return next(i for i, c in enumerate(cells) if metadata(c).get("course", {}).get(role) == slug)


def _texts(cells: list[dict], task: int) -> set[int]:
    """The heading of the section, and the texts that lead to the task.

    These stand right before it; between them only questions, which are left out. A text that reads
    a result is left out with the cell that gives it.
    """
    found = set()
    for place in range(task - 1, -1, -1):
        if cells[place]["cell_type"] == "markdown" and HEAD.match(source(cells[place])):
            found.add(place)
            break
    for place in range(task - 1, -1, -1):
        cell = cells[place]
        if cell["cell_type"] == "markdown":
            after = cells[place - 1] if place else cell
            result = after["cell_type"] == "code" and not metadata(after).get("course")
            if not (result and READS.fullmatch(cell["id"]) and not ASKS.match(source(after))):
                found.add(place)
        elif not ASKS.match(source(cell)):
            break
        if place in found and HEAD.match(source(cell)):
            break
    return found - {place for place in found if source(cells[place]).startswith("# ")}


def _reads(slug: str, task: str, stub: str, functions: dict, cells: list[dict]) -> set[str]:
    """The names that the exercise needs, those that its text calls functions included."""
    solution = sources.source(find(slug).solution())
    there = set(functions.values())
    for cell in cells:
        tree = parsed(source(cell)) if cell["cell_type"] == "code" else None
        kinds = ast.FunctionDef | ast.ClassDef
        there |= {node.name for node in (tree.body if tree else ()) if isinstance(node, kinds)}
    named = set(re.findall(r"`([A-Za-z_]\w*)\b", f"{task}\n{stub}")) & there
    return _free(solution) | _free(stub) | named | {"check"}


def _free(text: str) -> set[str]:
    tree = parsed(text)
    try:
        return names.free(tree) if tree else set()
    except UNREADABLE:
        return set()


def _bind(cells: list[dict], name: str) -> list[int]:
    """The cells of the lesson's own that bind ``name``, up to the first one."""
    for place, cell in enumerate(cells):
        if cell["cell_type"] != "code" or metadata(cell).get("course"):
            continue
        tree = parsed(source(cell))
        try:
            if tree and name in names.bound(tree):
                return [place]
        except UNREADABLE:
            continue
    return []


def _imports_alone(text: str) -> bool:
    """Whether a cell is one of imports: then it is no matter what else its names would need."""
    tree = parsed(text)
    return tree is not None and all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) for node in tree.body
    )
