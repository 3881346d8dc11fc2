"""Say what is wrong with a source: ids, exercises, names, calls, widths."""

import ast
import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping

from .marks import FROM, LINES, WIDTH, Views, library_function, views
from .names import bound, free, function_named, imports
from .registry import Registered
from .source import SLUG, Cell, Source, near

LIKE = 0.6  # how like each other two slugs are, of which one is a typo of the other
MAGIC = re.compile(r"(# )?%{1,2}[a-z]\w*\b|![a-z]")
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
    shapes = judge_text(source)
    judge_slugs(source, shapes, registered or Registered())
    return shapes


def judge_text(source: Source) -> dict[str, Views]:
    """:func:`judge` as far as the source's own text goes: nothing is imported for it."""
    _judge_ids(source)
    shapes = {cell.id: views(source, cell) for cell in source.cells if cell.kind == "code"}
    source.told |= {
        slug
        for cell in source.cells
        if cell.kind == "code" and shapes[cell.id].broken and (slug := cell.option("exercise"))
    }
    _judge_exercises(source, shapes)
    _judge_code(source, shapes)
    return shapes


def judge_slugs(source: Source, shapes: dict[str, Views], registered: Registered) -> None:
    """:func:`judge` as far as the registry is needed."""
    _judge_unknown(source, registered)
    for cell in source.cells:
        if cell.kind != "code":
            continue
        view = shapes[cell.id]
        try:
            trees = [ast.parse(view.solved), ast.parse(view.lesson)]
        except SyntaxError:
            continue  # told by _judge_code
        for tree in trees[:1] if "solution-only" in cell.tags else trees:
            _judge_calls(source, cell, view, tree, registered)
        slug = cell.option("exercise")
        if slug and slug not in source.told:
            _judge_stub(source, cell, view, trees, registered.function(slug))
    _judge_unasked(source, shapes, registered)


def _judge_unknown(source: Source, registered: Registered) -> None:
    """A slug that no module has is told once, at its stub; so is a typo in all of its cells."""
    if registered.check is None:
        return
    places: dict[str, int] = {}
    for role in ("exercise", "check", "task"):
        for cell in source.cells:
            if slug := cell.option(role):
                places.setdefault(slug, cell.line)
    for slug, line in places.items():
        if slug in registered.check or slug in source.told:
            continue
        source.told.add(slug)
        close = difflib.get_close_matches(slug, registered.check, n=2, cutoff=LIKE)
        offer = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
        folder = f"course_lib/exercises/lesson{source.number:02d}"
        source.problem(
            line,
            f"there is no exercise {slug!r}{offer} Its module would be "
            f"{folder}/{slug.replace('-', '_')}.py.",
        )


def _judge_unasked(source: Source, shapes: dict[str, Views], registered: Registered) -> None:
    """A question of this lesson that no cell asks is a problem, told where it stands."""
    asked = set()
    for text in [text for v in shapes.values() for text in (v.solved, v.lesson)]:
        with contextlib.suppress(SyntaxError):  # told by _judge_code
            asked |= set(_calls(ast.parse(text)))
    for kind, call in (("predict", "prediction"), ("quiz", "quiz"), ("answer", "short answer")):
        entries = getattr(registered, kind)
        for slug, entry in entries.items() if isinstance(entries, Mapping) else ():
            if entry.lesson == source.number and (kind, slug) not in asked:
                source.problem(
                    1,
                    f'no lesson asks the {call} {slug!r}: write {kind}("{slug}") in a cell of '
                    f"{source.path.name}, or delete it.",
                    entry.where,
                )


def _judge_ids(source: Source) -> None:
    seen: dict[str, int] = {}
    for cell in source.cells:
        if not cell.id:
            at = f"{source.at(cell.line)}: "
            if not any(problem.startswith(at) for problem in source.problems):
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


def _judge_misspelt(source: Source) -> None:
    """A slug in one cell that goes with the two cells of another is one mistake, told there."""
    lines: dict[str, dict[str, int]] = {}
    for cell in source.cells:
        for role in ("exercise", "check", "task"):
            if slug := cell.option(role):
                lines.setdefault(slug, {})[role] = cell.line
    for slug, own in lines.items():
        for other in difflib.get_close_matches(slug, lines.keys() - {slug}, n=3, cutoff=LIKE):
            theirs = lines[other]
            if len(own) == 1 and len(theirs) == 2 and not own.keys() & theirs.keys():
                source.told |= {slug, other}
                role, line = next(iter(own.items()))
                beside = " and ".join(f"{r} in line {i}" for r, i in theirs.items())
                source.problem(
                    line,
                    f'{role}="{slug}" stands here alone; did you mean {other!r}, which is the '
                    f"{beside}?",
                )
                break


def _judge_exercises(source: Source, shapes) -> None:
    _judge_misspelt(source)
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
                lacking = _lacking(source, role)
                source.told |= {slug, *lacking} if lacking else set()
                hint = f" Is this one that of {' or '.join(map(repr, lacking))}?" if lacking else ""
                source.problem(
                    cell.line, f"there are two {role} cells of the exercise {slug!r}.{hint}"
                )
            if "solution-only" in cell.tags:
                source.problem(cell.line, f"the {role} cell of {slug!r} is needed in the lesson.")
            found.setdefault(slug, i)
    for slug, i in places["exercise"].items():
        if slug in source.told:
            continue
        cell = source.cells[i]
        for role, before in (("check", False), ("task", True)):
            j = places[role].get(slug)
            if j is None:
                if not source.unsure:  # a header that is not understood may be this one
                    source.problem(
                        cell.line, f'the exercise {slug!r} has no cell with {role}="{slug}".'
                    )
            elif (j < i) != before:
                where = "before" if before else "after"
                source.problem(
                    source.cells[j].line, f"the {role} of {slug!r} belongs {where} its stub."
                )
        view = shapes.get(cell.id)
        if view and view.solved == view.lesson and not view.library:
            source.problem(cell.line, f"the exercise {slug!r} has no marked solution.")
    for role in ("check", "task"):
        for slug, j in places[role].items():
            if slug not in places["exercise"] and slug not in source.told and not source.unsure:
                source.told.add(slug)
                source.problem(
                    source.cells[j].line,
                    f'a {role} of {slug!r}, but no cell with exercise="{slug}"; '
                    + near(slug, places["exercise"]),
                )


def _lacking(source: Source, role: str) -> list[str]:
    """The slugs that have the other two cells and none of this ``role``."""
    others = {"exercise", "check", "task"} - {role}
    there = {
        r: {slug for cell in source.cells if (slug := cell.option(r))} for r in (role, *others)
    }
    return sorted(set.intersection(*(there[r] for r in others)) - there[role])


def _judge_stub(source, cell, view, trees, name) -> None:
    slug = cell.option("exercise")
    if view.solved == view.lesson:
        return  # there is a problem already
    if view.library:
        name = view.library.rpartition(".")[2]
    for tree, what in zip(trees, ("solved notebook", "lesson"), strict=True):
        function = function_named(tree, name)
        if function is None:
            there = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
            line, also = cell.line, ": begin it with a def, outside the solution."
            if there and not view.library:
                if view.numbers and tree is trees[0]:
                    line = view.numbers[there[0].lineno - 1]
                names = " and ".join(repr(n.name) for n in there)
                also = f", which is asked, but {names}: rename one of the two."
            source.problem(
                line, f"in the {what}, the exercise {slug!r} defines no function {name!r}{also}"
            )
            return
        if not ast.get_docstring(function):
            source.problem(
                cell.line,
                f"in the {what}, {name!r} has no docstring: the stub would be empty. Keep the "
                "signature and a docstring with shapes outside the solution.",
            )
            return


def _judge_code(source: Source, shapes) -> None:
    known = [{"display", "get_ipython"}, {"display", "get_ipython"}]  # solved, lesson
    origins: dict[str, str] = {}
    missed: set[str] = set()
    for cell in source.cells:
        if cell.kind != "code":
            continue
        magic = False
        for i, line in enumerate(cell.text.split("\n")):
            if len(line) > WIDTH and not FROM.fullmatch(line):
                source.problem(
                    cell.first + i,
                    f"{len(line)} columns; a code cell of a notebook has at most {WIDTH}.",
                )
            if MAGIC.match(line):
                magic = True
                source.problem(cell.first + i, f"no magics in a lesson: {line.strip()}")
        view = shapes[cell.id]
        long = view.lesson.count("\n") + 1
        if long > LINES and "solution-only" not in cell.tags:
            source.problem(
                cell.line,
                f"the cell {cell.id!r} has {long} lines in the lesson, of at most {LINES}: make it "
                "two, or shorter.",
            )
        if cell.option("check"):
            _judge_check(source, cell, view)
        trees = []
        for text, what in ((view.solved, "solved notebook"), (view.lesson, "lesson")):
            try:
                trees.append(ast.parse(text))
            except SyntaxError as error:
                if not (magic or view.broken):  # told, and why
                    _judge_syntax(source, cell, view if text == view.solved else None, what, error)
                break
            if not text.strip() and not view.broken:
                source.problem(cell.line, f"the cell is empty in the {what}.")
                break
        if len(trees) < 2:
            continue
        # where its line is not right, which is told, an unknown name comes of that
        sound = not cell.option("check") or _keeps_its_check(cell, view)
        sound = sound and not view.broken
        missing: set[str] = set()
        shown = 1 if "solution-only" in cell.tags else 2
        for tree, names in list(zip(trees, known, strict=True))[:shown]:
            for name in sorted(free(tree) - names - missed) if sound else ():
                there = " of the lesson" if name in known[0] else ""
                source.problem(cell.first, _unknown(name, cell, view, there))
            missing |= free(tree) - names if sound else set()
            names |= bound(tree)
            if cell.option("exercise") and not view.library:  # its name is judged with the stub
                names.add(cell.option("exercise").replace("-", "_"))
        missed |= missing  # a forgotten import is told where it is first missed
        if view.library and view.solved:
            _judge_origins(source, cell, trees[0], view.library, origins)
        origins |= imports(trees[0])


def _judge_syntax(source, cell, view, what: str, error: SyntaxError) -> None:
    """A cell that is no Python; view: where it is so in the solved notebook, whose lines it has."""
    line = cell.first
    if view and view.numbers and error.lineno:
        line = view.numbers[min(error.lineno, len(view.numbers)) - 1]
    text = (error.text or "").rstrip()
    source.problem(line, f"the cell is not Python in the {what}: {error.msg}: {text}")


def _unknown(name: str, cell: Cell, view: Views, there: str = "") -> str:
    if view.library:
        module = view.library.rpartition(".")[0]
        return (
            f"{view.library} uses {name!r} from its module: import it in an earlier cell of the "
            f"lesson (as {module} does, or from {module})."
        )
    return f"the cell {cell.id!r} uses the name {name!r}, which no earlier cell{there} binds."


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


def _keeps_its_check(cell, view) -> bool:
    """Whether a check cell binds the function anew to what the check of its slug gives."""
    slug = cell.option("check")
    try:
        tree = ast.parse(view.solved)
    except SyntaxError:
        return True  # told otherwise
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and getattr(node.value.func, "id", "") == "check"
            and len(node.value.args) >= 2
            and getattr(node.value.args[0], "value", "") == slug
            and ast.unparse(node.targets[0]) == ast.unparse(node.value.args[1])
        ):
            return True
    return False


def _judge_check(source, cell, view) -> None:
    slug = cell.option("check")
    if slug in source.told or _keeps_its_check(cell, view):
        return
    name = slug.replace("-", "_")
    source.problem(
        cell.first, f'the check cell of {slug!r} needs a line as {name} = check("{slug}", {name}).'
    )


def _calls(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Function and slug of each call that asks the registry for something."""
    for node in ast.walk(tree):
        name = getattr(getattr(node, "func", None), "id", "")
        if isinstance(node, ast.Call) and name in CALLS and node.args:
            slug = getattr(node.args[0], "value", None)
            if isinstance(slug, str):
                yield name, slug


def _judge_calls(source, cell, view, tree, registered) -> None:
    for name, slug in _calls(tree):
        slugs = getattr(registered, CALLS[name])
        if slug in source.told or (
            name == "check" and cell.option("check") and not _keeps_its_check(cell, view)
        ):
            continue  # told already
        if slugs is not None and slug not in slugs:
            source.problem(
                cell.first, f"{name}({slug!r}): there is none of that name; {near(slug, slugs)}"
            )
