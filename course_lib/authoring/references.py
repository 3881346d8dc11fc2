"""The references of a lesson: a module with the course's solution of each of its exercises.

It is the one place where the check engine looks for a solution, be it taken out of the source or
a function of the library, which the source names with ``### SOLUTION FROM``.
"""

import ast
import json
from collections.abc import Mapping

from .marks import Views
from .names import free, function_named, imports
from .registry import Registry
from .source import Source

PACKAGE_TEXT = '''"""References: the course's solutions of the exercises, a module per lesson.

Never edited: course build writes them. The name of a module begins with a digit, so it is imported
with importlib.import_module.
"""
'''


def module(source: Source, shapes: Mapping[str, Views], registry: Registry) -> str:
    """The text of the module: its ORDER of exercises, and under its name each one's solution.

    A library function is imported, anything else stands there whole. It may use what the lesson
    imports and the functions of earlier exercises; anything else becomes a problem, because a
    function that leans on a notebook global is a mistake here. A lesson without exercises has no
    references: "".
    """
    if not source.exercises():
        return ""
    known: dict[str, str] = {}  # name -> the import statement that binds it
    own: set[str] = set()
    needed, library, functions, buggy = set(), [], [], []
    for cell in source.cells:
        if cell.kind != "code":
            continue
        view, slug = shapes[cell.id], cell.option("exercise")
        try:
            tree = ast.parse(view.solved)
        except SyntaxError:
            continue  # judged already
        known |= imports(tree)
        if not slug:
            continue
        name = registry.slugs.function(slug)
        if view.buggy:
            buggy.append((slug, view.lesson))
        if view.library:
            module, _, function = view.library.rpartition(".")
            known[function] = f"from {module} import {function}"
            renamed = f" as {name}" if name != function else ""
            library.append(known[function] + renamed)
            continue
        function = function_named(tree, name)
        if function is None:
            continue
        for used in sorted(free(tree) - own) if slug not in source.told else ():
            if used in known:
                needed.add(known[used])
            elif not any(f"uses the name {used!r}," in told for told in source.problems):
                source.problem(
                    cell.first,
                    f"the solution of {slug!r} leans on the notebook's {used!r}: import it, or "
                    "make it an argument.",
                )
        own.add(function.name)
        functions.append(view.solved)
    parts = [
        f'"""References of lesson {source.name}, taken out of its solutions by course build.\n\n'
        f'Never edited: the source is solutions/{source.name}.py.\n"""\n\n'
        "# ruff: noqa\n# fmt: off\n"
    ]
    if needed - set(library):  # the same line need not stand there twice
        parts.append("\n".join(sorted(needed - set(library))) + "\n")
    if library:
        lines = ["# the solutions that are the library's", *library]
        parts.append("\n".join(lines) + "\n")
    order = [f'    "{slug}",' for slug in source.exercises()]
    parts.append("\n".join(["ORDER = [", *order, "]"]) + "\n")
    parts += [f"\n{text}\n" for text in functions]
    if buggy:
        rows = []
        for slug, text in buggy:
            rows.append(f'    "{slug}": (')
            rows += [
                f"        {json.dumps(line, ensure_ascii=False)}" for line in text.splitlines(True)
            ]
            rows.append("    ),")
        parts.append(
            "\n# what the lesson shows in its bug hunts\nBUGGY = {\n" + "\n".join(rows) + "\n}\n"
        )
    return "\n".join(parts)
