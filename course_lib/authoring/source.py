"""Read a lesson's source: cells, ids, exercises, marked solutions; say what is wrong with it.

Nothing here imports the lesson's subject (no torch): a source is judged as text and syntax.
"""

import ast
import builtins
import difflib
import importlib.util
import json
import re
import symtable
from dataclasses import dataclass, field
from pathlib import Path

WIDTH = 79  # columns of a code cell: what fits beside JupyterLab's file browser
KEYS = ("id", "exercise", "check", "task", "tags")
TAGS = (
    "solution-only",
    "result",
    "hide-input",
    "hide-output",
    "raises-exception",
    "nbval-check-output",
    "nbval-ignore-output",
    "nbval-skip",
)
SLUG = re.compile(r"[a-z0-9-]{1,64}")
HEADER = re.compile(r"# %%(?: \[(?P<kind>\w+)\])?(?P<options>.*)")
MARK = re.compile(r"(?P<indent>[ \t]*)### (?P<edge>BEGIN|END) (?P<what>SOLUTION|BUG|STUB)\s*")
FROM = re.compile(r"### SOLUTION FROM (?P<name>[\w.]+)\s*")
# anything that was probably meant as a mark, however it is written
ALMOST_MARK = re.compile(
    r"#+\s*(BEGIN|END)\s+(SOLUTION|BUG|STUB)\b|#+\s*SOLUTION\s+FROM\b", re.IGNORECASE
)
MAGIC = re.compile(r"(# )?%{1,2}[a-z]\w*\b|![a-z]")


class SourceError(ValueError):
    """What is wrong with one or more sources: ``problems``, each a sentence with file and line."""

    def __init__(self, problems: list[str]):
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def near(name: str, names) -> str:
    """A clause that offers the names closest to ``name``, or all where none is close."""
    names = sorted(names)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(repr(c) for c in close)}?"
    return f"there are: {', '.join(names)}." if names else "there are none."


@dataclass
class Cell:
    """One cell of a source, as it stands there. ``line`` is its header's line (from 1)."""

    kind: str  # "code" or "markdown"
    line: int
    text: str = ""
    first: int = 0  # the line of the first line of text
    options: dict = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.options.get("id", "")

    @property
    def tags(self) -> list[str]:
        return self.options.get("tags", [])

    def option(self, key: str) -> str | None:
        return self.options.get(key)


@dataclass
class Source:
    """A lesson's source. ``problems`` holds what reading it has found so far."""

    path: Path
    cells: list[Cell] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def number(self) -> int:
        return int(self.name[:2])

    def exercises(self) -> list[str]:
        """The slugs of the exercises, in the order of their stubs."""
        return [c.option("exercise") for c in self.cells if c.option("exercise")]

    def problem(self, line: int, sentence: str) -> None:
        full = f"{self.path.parent.name}/{self.path.name}:{line}: {sentence}"
        if full not in self.problems:  # the two shapes of a cell often share a mistake
            self.problems.append(full)


# ---------------------------------------------------------------- reading


def read(path: Path) -> Source:
    """The cells of the source ``path``. Mistakes are collected in ``problems``, not raised.

    Raises SourceError if there is no such file or its name is not ``NN_name.py``.
    """
    path = Path(path)
    if not re.fullmatch(r"\d\d_[a-z0-9_]+\.py", path.name):
        raise SourceError(
            [f"{path.name}: a lesson's source is called NN_name.py, as 01_training.py."]
        )
    if not path.is_file():
        raise SourceError([f"There is no lesson source {path}."])
    source = Source(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if re.match(r"# ?%%(\s|$)", line)]
    for i, line in enumerate(lines[: starts[0] if starts else len(lines)]):
        if line.strip() and not line.startswith("#"):
            source.problem(
                i + 1, "text before the first cell: begin with a line '# %% id=\"...\"'."
            )
            break
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        cell = _header(source, lines[start], start + 1)
        _body(source, cell, lines[start + 1 : end], start + 2)
        source.cells.append(cell)
    if not starts:
        source.problem(1, "there is no cell: each begins with a line '# %% id=\"...\"'.")
    return source


def _header(source: Source, line: str, number: int) -> Cell:
    match = HEADER.fullmatch(line.rstrip())
    if not match:
        source.problem(number, "a cell begins with '# %%', one blank, then id=\"...\".")
        return Cell("code", number)
    kind = match["kind"] or "code"
    if kind not in ("markdown", "code"):
        source.problem(number, f"a cell is [markdown] or code, not [{kind}].")
        kind = "code"
    cell = Cell(kind, number)
    rest = match["options"].strip()
    while rest:
        pair = rest
        try:
            key, rest = re.match(r"([\w-]+)=(.*)", rest).groups()
            cell.options[key], end = json.JSONDecoder().raw_decode(rest)
        except (AttributeError, ValueError):
            source.problem(number, f'after [kind], a cell has key="value" pairs; not: {pair}')
            break
        rest = rest[end:].strip()
    for key, value in cell.options.items():
        if key not in KEYS:
            source.problem(number, f"a cell has no option {key!r}; {near(key, KEYS)}")
        elif key == "tags":
            if not isinstance(value, list):
                source.problem(number, 'tags are a list, as tags=["result"].')
                cell.options[key] = []
            for tag in cell.tags:
                if tag not in TAGS:
                    source.problem(number, f"there is no tag {tag!r}; {near(str(tag), TAGS)}")
        elif not isinstance(value, str):
            source.problem(number, f'{key} is a text, as {key}="weight-decay".')
            cell.options[key] = str(value)
    return cell


def _body(source: Source, cell: Cell, lines: list[str], number: int) -> None:
    while lines and not lines[0].strip():
        lines, number = lines[1:], number + 1
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    cell.first = number
    if cell.kind == "markdown":
        for i, line in enumerate(lines):
            if line.strip() and line != "#" and not line.startswith("# "):
                source.problem(number + i, "a line of a markdown cell begins with '# '.")
                break
        lines = [line[2:].rstrip() for line in lines]
    cell.text = "\n".join(line.rstrip() for line in lines)


# ---------------------------------------------------------------- marked solutions


@dataclass
class Region:
    """A marked solution in a cell: its lines, and what the lesson has instead (None: a raise)."""

    indent: str
    solution: list[str]
    instead: list[str] | None = None
    bug: bool = False


def regions(source: Source, cell: Cell) -> list[str | Region]:
    """The cell's lines with each marked solution as a Region; wrong marks become problems."""
    parts: list[str | Region] = []
    open_mark, inside, opened = None, [], 0
    for i, line in enumerate(cell.text.split("\n")):
        number = cell.first + i
        mark = MARK.fullmatch(line)
        if not mark:
            if ALMOST_MARK.search(line) and not FROM.fullmatch(line):
                source.problem(number, f"this mark is not understood: {line.strip()}")
            (inside if open_mark else parts).append(line)
        elif mark["edge"] == "BEGIN":
            if open_mark:
                begun = f"the {open_mark['what']} begun in line {opened}"
                source.problem(number, f"### BEGIN {mark['what']} inside {begun}.")
            open_mark, inside, opened = mark, [], number
        elif not open_mark or open_mark["what"] != mark["what"]:
            source.problem(number, f"### END {mark['what']} without its ### BEGIN {mark['what']}.")
            open_mark = None
        else:
            _close(source, parts, open_mark, inside, opened)
            open_mark = None
    if open_mark:
        source.problem(
            opened, f"### BEGIN {open_mark['what']} without its ### END {open_mark['what']}."
        )
    return parts


def _close(source, parts, mark, inside, opened) -> None:
    if mark["what"] == "SOLUTION":
        if not any(line.strip() for line in inside):
            source.problem(opened, "the solution is empty.")
        parts.append(Region(mark["indent"], inside))
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


def library_function(dotted: str) -> tuple[Path, str, ast.FunctionDef]:
    """File, text and syntax of the library function ``course_lib.module.function``.

    Raises LookupError with a sentence if there is no such module or function.
    """
    module, _, name = dotted.rpartition(".")
    try:
        spec = importlib.util.find_spec(module) if module else None
    except ModuleNotFoundError:
        spec = None
    if not spec or not spec.origin or not spec.origin.endswith(".py"):
        raise LookupError(f"there is no module {module!r}.")
    path = Path(spec.origin)
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


def views(source: Source, cell: Cell) -> Views:
    """The cell as the solved notebook and as the lesson have it; mistakes become problems."""
    parts = regions(source, cell)
    froms = [p for p in parts if isinstance(p, str) and FROM.fullmatch(p)]
    if froms:
        return _views_from(source, cell, parts, FROM.fullmatch(froms[0])["name"])
    solved, lesson, buggy = [], [], False
    for part in parts:
        if isinstance(part, str):
            solved.append(part)
            lesson.append(part)
            continue
        solved += part.solution
        buggy |= part.bug
        if part.instead is not None:
            lesson += part.instead
        elif slug := cell.option("exercise"):
            lesson += [part.indent + "# YOUR CODE HERE"]
            lesson += [part.indent + f'raise NotImplementedError("{slug}")']
        else:
            source.problem(
                cell.line,
                "a solution outside an exercise needs a '### BEGIN STUB' block: what the lesson "
                "has there.",
            )
    return Views(_trim(solved), _trim(lesson), buggy)


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


# ---------------------------------------------------------------- names


def bound(tree: ast.Module) -> set[str]:
    """The names that the top level of ``tree`` binds."""
    table = symtable.symtable(ast.unparse(tree), "<cell>", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


def free(tree: ast.Module) -> set[str]:
    """The names that ``tree`` reads and does not bind itself, builtins aside."""
    top = symtable.symtable(ast.unparse(tree), "<cell>", "exec")
    own = bound(tree)

    def names(table):
        for s in table.get_symbols():
            if s.is_referenced() and (table is top or s.is_global()):
                yield s.get_name()
        for child in table.get_children():
            yield from names(child)

    return {n for n in names(top) if n not in own and not hasattr(builtins, n)}


def imports(tree: ast.Module, module: str = "") -> dict[str, str]:
    """The names bound by import statements at the top level, each with its statement.

    ``module`` is the dotted name of the module that ``tree`` is, to resolve relative imports.
    """
    found = {}
    for node in tree.body:
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else []:
            if isinstance(node, ast.Import):
                name, one = alias.asname or alias.name.split(".")[0], ast.Import([alias])
            else:
                package = ".".join(module.split(".")[: -node.level]) if node.level else ""
                origin = ".".join(part for part in (package, node.module) if part)
                name, one = alias.asname or alias.name, ast.ImportFrom(origin, [alias], 0)
            found[name] = ast.unparse(one)
    return found


def function_named(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """The function or class ``name`` at the top level of ``tree``."""
    kinds = ast.FunctionDef | ast.ClassDef
    return next((n for n in tree.body if isinstance(n, kinds) and n.name == name), None)


# ---------------------------------------------------------------- judging


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


# which of the registry's lists the first argument of each notebook function is looked up in
CALLS = {
    "check": "check",
    "yours": "check",
    "predict": "predict",
    "score": "predict",
    "quiz": "quiz",
    "answer": "answer",
}


def judge(source: Source, registered: Registered | None = None) -> dict[str, Views]:
    """The views of every code cell by id; all that is wrong is added to ``source.problems``."""
    registered = registered or Registered()
    _judge_ids(source)
    shapes = {}
    for cell in source.cells:
        if cell.kind == "code":
            shapes[cell.id] = views(source, cell)
    _judge_exercises(source, shapes, registered)
    _judge_code(source, shapes, registered)
    return shapes


def _judge_ids(source: Source) -> None:
    seen: dict[str, int] = {}
    for cell in source.cells:
        if not cell.id:
            source.problem(cell.line, 'this cell has no id: add id="a-slug" to its first line.')
            cell.options["id"] = f"line-{cell.line}"  # so that judging can go on
        elif not SLUG.fullmatch(cell.id):
            source.problem(
                cell.line, f"the id {cell.id!r} is not a slug: 1 to 64 of a-z, 0-9 and '-'."
            )
            cell.options["id"] = f"line-{cell.line}"
        elif cell.id in seen:
            source.problem(
                cell.line,
                f"the id {cell.id!r} is already that of the cell in line {seen[cell.id]}.",
            )
            cell.options["id"] = f"line-{cell.line}"
        seen.setdefault(cell.id, cell.line)


def _judge_exercises(source: Source, shapes, registered) -> None:
    places = {role: {} for role in ("exercise", "check", "task")}
    for i, cell in enumerate(source.cells):
        for role, found in places.items():
            slug = cell.option(role)
            if slug is None:
                continue
            wanted = "markdown" if role == "task" else "code"
            if cell.kind != wanted:
                source.problem(cell.line, f'{role}="{slug}" belongs on a {wanted} cell.')
            if slug in found:
                source.problem(cell.line, f"there are two {role} cells of the exercise {slug!r}.")
            if registered.check is not None and slug not in registered.check:
                source.problem(
                    cell.line, f"there is no exercise {slug!r}; {near(slug, registered.check)}"
                )
            if "solution-only" in cell.tags:
                source.problem(cell.line, f"the {role} cell of {slug!r} is needed in the lesson.")
            found.setdefault(slug, i)
    for slug, i in places["exercise"].items():
        cell = source.cells[i]
        for role, before in (("check", False), ("task", True)):
            j = places[role].get(slug)
            if j is None:
                source.problem(
                    cell.line, f'the exercise {slug!r} has no cell with {role}="{slug}".'
                )
            elif (j < i) != before:
                where = "before" if before else "after"
                source.problem(
                    source.cells[j].line, f"the {role} of {slug!r} belongs {where} its stub."
                )
        if cell.kind == "code":
            _judge_stub(source, cell, shapes[cell.id], slug, registered.function(slug))
    for role in ("check", "task"):
        for slug, j in places[role].items():
            if slug not in places["exercise"]:
                source.problem(
                    source.cells[j].line,
                    f'a {role} of {slug!r}, but no cell with exercise="{slug}"; '
                    + near(slug, places["exercise"]),
                )


def _judge_stub(source, cell, view, slug, name) -> None:
    if view.library and not view.solved:
        return  # there is a problem already
    if view.library:
        name = view.library.rpartition(".")[2]
    if view.solved == view.lesson:
        source.problem(cell.line, f"the exercise {slug!r} has no marked solution.")
        return
    try:
        solved, lesson = ast.parse(view.solved), ast.parse(view.lesson)
    except SyntaxError:
        return  # _judge_code says so, with its line
    for tree, what in ((solved, "solved notebook"), (lesson, "lesson")):
        function = function_named(tree, name)
        if function is None:
            source.problem(
                cell.line, f"in the {what}, the exercise {slug!r} defines no function {name!r}."
            )
            return
        if not ast.get_docstring(function):
            source.problem(
                cell.line,
                f"in the {what}, {name!r} has no docstring: the stub would be empty. Keep the "
                "signature and a docstring with shapes outside the solution.",
            )
            return


def _judge_code(source: Source, shapes, registered) -> None:
    known: set[str] = {"display", "get_ipython"}
    origins: dict[str, str] = {}
    for cell in source.cells:
        if cell.kind != "code":
            continue
        for i, line in enumerate(cell.text.split("\n")):
            if len(line) > WIDTH and not FROM.fullmatch(line):
                source.problem(
                    cell.first + i,
                    f"{len(line)} columns; a code cell of a notebook has at most {WIDTH}.",
                )
            if MAGIC.match(line):
                source.problem(cell.first + i, f"no magics in a lesson: {line.strip()}")
        view = shapes[cell.id]
        if cell.option("check"):
            _judge_check(source, cell, view)
        trees = []
        for text, what in ((view.solved, "solved notebook"), (view.lesson, "lesson")):
            try:
                trees.append(ast.parse(text))
            except SyntaxError as error:
                source.problem(
                    cell.first, f"the cell is not Python in the {what}: {error.msg}: {error.text}"
                )
                break
            if not text.strip():
                source.problem(cell.line, f"the cell is empty in the {what}.")
                break
        if len(trees) < 2:
            continue
        for tree in trees[:1] if "solution-only" in cell.tags else trees:
            for name in sorted(free(tree) - known):
                source.problem(cell.first, _unknown(name, cell, view))
            _judge_calls(source, cell, tree, registered)
        if view.library and view.solved:
            _judge_origins(source, cell, trees[0], view.library, origins)
        known |= bound(trees[0])
        origins |= imports(trees[0])


def _unknown(name: str, cell: Cell, view: Views) -> str:
    if view.library:
        module = view.library.rpartition(".")[0]
        return (
            f"{view.library} uses {name!r} from its module: import it in an earlier cell of the "
            f"lesson (as {module} does, or from {module})."
        )
    return f"the cell {cell.id!r} uses the name {name!r}, which no earlier cell binds."


def _judge_origins(source, cell, tree, dotted, origins) -> None:
    """A name that the library function uses must mean the same thing in the lesson."""
    module = dotted.rpartition(".")[0]
    there = imports(ast.parse(library_function(dotted)[0].read_text(encoding="utf-8")), module)
    for name in sorted(free(tree) & origins.keys()):
        allowed = {there.get(name), f"from {module} import {name}"}
        if origins[name] not in allowed:
            source.problem(
                cell.first,
                f"{dotted} uses {name!r}, which is '{there.get(name) or 'defined'}' in its module, "
                f"but '{origins[name]}' in the lesson.",
            )


def _judge_check(source, cell, view) -> None:
    slug = cell.option("check")
    try:
        tree = ast.parse(view.solved)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and getattr(node.value.func, "id", "") == "check"
            and len(node.value.args) >= 2
            and getattr(node.value.args[0], "value", "") == slug
            and ast.unparse(node.targets[0]) == ast.unparse(node.value.args[1])
        ):
            return
    name = slug.replace("-", "_")
    source.problem(
        cell.first, f'the check cell of {slug!r} needs a line as {name} = check("{slug}", {name}).'
    )


def _judge_calls(source, cell, tree, registered) -> None:
    for node in ast.walk(tree):
        name = getattr(getattr(node, "func", None), "id", "")
        if not isinstance(node, ast.Call) or name not in CALLS or not node.args:
            continue
        slugs, slug = getattr(registered, CALLS[name]), getattr(node.args[0], "value", None)
        if slugs is not None and isinstance(slug, str) and slug not in slugs:
            source.problem(
                cell.first, f"{name}({slug!r}): there is none of that name; {near(slug, slugs)}"
            )
