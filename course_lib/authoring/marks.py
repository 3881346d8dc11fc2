"""The marked solutions of a source's cells, and each code cell's two shapes that follow."""

import ast
import importlib.util
import re
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path

from . import asserts
from .source import Cell, Source, near

WIDTH = 79  # columns of a code cell: what fits beside JupyterLab's file browser
LINES = 25  # lines of a code cell in the lesson: what is read at one go
MARK = re.compile(r"(?P<indent>[ \t]*)### (?P<edge>BEGIN|END) (?P<what>SOLUTION|BUG|STUB)\s*")
FROM = re.compile(r"### SOLUTION FROM (?P<name>[\w.]+)\s*")
# anything that was probably meant as a mark, however it is written
ALMOST_MARK = re.compile(
    r"#+\s*(BEGIN|END)\s+(SOLUTION|BUG|STUB)\b|#+\s*SOLUTION\s+FROM\b", re.IGNORECASE
)


@dataclass
class Region:
    """A marked solution in a cell: its lines, and what the lesson has instead (None: a raise)."""

    indent: str
    solution: list[str]
    instead: list[str] | None = None
    bug: bool = False
    size: int = 0  # lines of the source, with the marks


def regions(source: Source, cell: Cell) -> list[str | Region]:
    """The cell's lines with each marked solution as a Region; wrong marks become problems."""
    parts: list[str | Region] = []
    open_mark, inside, opened, doubtful = None, [], 0, False
    for i, line in enumerate(cell.text.split("\n")):
        number = cell.first + i
        mark = MARK.fullmatch(line)
        if not mark:
            if ALMOST_MARK.search(line) and not FROM.fullmatch(line):
                source.problem(number, f"this mark is not understood: {line.strip()}")
                doubtful = True
            (inside if open_mark else parts).append(line)
        elif mark["edge"] == "BEGIN":
            if open_mark:
                begun = f"the {open_mark['what']} begun in line {opened}"
                source.problem(number, f"### BEGIN {mark['what']} inside {begun}.")
            open_mark, inside, opened = mark, [], number
        elif not open_mark or open_mark["what"] != mark["what"]:
            if not doubtful:  # else it was that mark
                what = mark["what"]
                source.problem(number, f"### END {what} without its ### BEGIN {what}.")
            if open_mark:  # as if it had been closed rightly
                _close(source, parts, open_mark, inside, opened)
            open_mark = None
        else:
            _close(source, parts, open_mark, inside, opened)
            open_mark = None
    if open_mark and not doubtful:
        source.problem(
            opened, f"### BEGIN {open_mark['what']} without its ### END {open_mark['what']}."
        )
    return parts


def _close(source, parts, mark, inside, opened) -> None:
    if mark["what"] == "SOLUTION":
        if not any(line.strip() for line in inside):
            source.problem(opened, "the solution is empty.")
        parts.append(Region(mark["indent"], inside, size=len(inside) + 2))
        return
    text = []
    for line in inside:
        match = re.fullmatch(r"([ \t]*)#\|(?: (.*))?", line)
        if match:
            text.append((match[1] + match[2]).rstrip() if match[2] else "")
        elif line.strip():
            source.problem(opened, f"each line of a {mark['what']} block begins with '#| '.")
            return
    last = parts[-1] if parts else None
    after_from = isinstance(last, str) and FROM.fullmatch(last)
    if not (isinstance(last, Region) and last.instead is None) and not after_from:
        source.problem(opened, f"a {mark['what']} block stands right after a solution.")
    elif not any(text):
        source.problem(
            opened, f"the {mark['what']} block is empty: the lesson would have nothing there."
        )
    elif after_from:
        parts.append(Region("    ", [], text, mark["what"] == "BUG"))
    else:
        last.instead, last.bug = text, mark["what"] == "BUG"
        last.size += len(inside) + 2


def _file_of(module: str) -> Path | None:
    """The file of ``module``. No package on the way is imported: that can take seconds."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except ValueError:  # an empty name
        return None
    for part in rest:
        inside = spec and spec.submodule_search_locations
        spec = PathFinder.find_spec(part, inside) if inside else None
    return Path(spec.origin) if spec and (spec.origin or "").endswith(".py") else None


def library_function(dotted: str) -> tuple[Path, str, ast.FunctionDef]:
    """File, text and syntax of the library function ``course_lib.module.function``.

    Raises LookupError with a sentence if there is no such module or function.
    """
    module, _, name = dotted.rpartition(".")
    path = _file_of(module)
    if path is None:
        raise LookupError(f"there is no module {module!r}.")
    text = path.read_text(encoding="utf-8")
    functions = {n.name: n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)}
    if name not in functions:
        raise LookupError(f"{module} has no function {name!r}; {near(name, functions)}")
    node = functions[name]
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]  # lineno: behind the decorators
    return path, "\n".join(line.rstrip() for line in lines), node


@dataclass
class Views:
    """A code cell in its two shapes."""

    solved: str
    lesson: str
    buggy: bool = False
    library: str | None = None  # the dotted name, where the solution is a library function
    numbers: list[int] = field(default_factory=list)  # the source's line of each line of solved
    broken: bool = False  # its marks are wrong, which is told: the texts may be anything


def views(source: Source, cell: Cell) -> Views:
    """The cell as the solved notebook and as the lesson have it; mistakes become problems."""
    before = len(source.problems)
    view = _views(source, cell)
    view.broken = len(source.problems) > before
    return view


def _views(source: Source, cell: Cell) -> Views:
    parts = regions(source, cell)
    froms = [p for p in parts if isinstance(p, str) and FROM.fullmatch(p)]
    if froms:
        return _views_from(source, cell, parts, FROM.fullmatch(froms[0])["name"])
    solved: list[tuple[int, str]] = []  # each with its line in the source
    lesson: list[tuple[int, str]] = []
    stub, number, buggy = set(), cell.first, False
    for part in parts:
        if isinstance(part, str):
            solved.append((number, part))
            lesson.append((number, part))
            number += 1
            continue
        solved += list(enumerate(part.solution, number + 1))
        buggy |= part.bug
        if part.instead is not None:
            instead = part.instead
        elif slug := cell.option("exercise"):
            instead = [part.indent + "# YOUR CODE HERE"]
            instead += [part.indent + f'raise NotImplementedError("{slug}")']
        else:
            instead = []
            if cell.id not in source.slugs() or cell.id in source.exercises():
                source.problem(
                    cell.line,
                    "a solution outside an exercise needs a '### BEGIN STUB' block: what the "
                    "lesson has there.",
                )  # else it is told that the exercise has no stub
        lesson += [(number, line) for line in instead]
        stub.add(number)
        number += part.size
    if cell.option("exercise") or "solution-only" in cell.tags:
        shown = [line for _, line in lesson]
    else:
        shown = asserts.left_out(source, lesson, stub)
    while solved and not solved[0][1]:  # as _trim does
        del solved[0]
    numbers = [number for number, _ in solved]
    return Views(_trim([line for _, line in solved]), _trim(shown), buggy, None, numbers)


def _trim(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n")


def _views_from(source, cell, parts, dotted) -> Views:
    rest = [p for p in parts if isinstance(p, Region) or (p.strip() and not FROM.fullmatch(p))]
    if not cell.option("exercise") or any(isinstance(p, str) for p in rest) or len(rest) > 1:
        source.problem(
            cell.line,
            "### SOLUTION FROM stands alone in an exercise cell (a BUG block may follow).",
        )
    try:
        path, text, node = library_function(dotted)
    except LookupError as error:
        source.problem(cell.first, f"### SOLUTION FROM {dotted}: {error}")
        return Views("", "", library=dotted)
    if not ast.get_docstring(node):
        source.problem(cell.first, f"{dotted} has no docstring, which the lesson would show.")
        return Views(text, text, library=dotted)
    for i, line in enumerate(text.split("\n")):
        if len(line) > WIDTH:
            source.problem(
                cell.first,
                f"{path.name}:{node.lineno + i}, which the notebook shows, has {len(line)} "
                f"columns, of at most {WIDTH}.",
            )
    head = text.split("\n")[: node.body[0].end_lineno - node.lineno + 1]
    slug = cell.option("exercise")
    instead = ["    # YOUR CODE HERE", f'    raise NotImplementedError("{slug}")']
    bug = next((p for p in rest if isinstance(p, Region)), None)
    if bug:
        instead = [f"    {line}" if line else "" for line in bug.instead]
    return Views(text, _trim(head + instead), bool(bug and bug.bug), dotted)
