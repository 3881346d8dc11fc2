"""The references of a lesson: a module with the solved functions that its source alone keeps."""

import ast
import json
from collections.abc import Mapping

from .marks import Views
from .names import free, function_named, imports
from .registry import Registry
from .source import Source

PACKAGE_TEXT = '''"""References: solved functions out of the lessons' sources, a module per lesson.

Never edited: course build writes them. The name of a module begins with a digit, so it is imported
with importlib.import_module.
"""
'''


def module(source: Source, shapes: Mapping[str, Views], registry: Registry) -> str:
    """The module with the solved functions whose solution is kept in the source alone.

    A reference may use what the lesson imports and the functions of earlier exercises; anything
    else becomes a problem, because a function that leans on a notebook global is a mistake here.
    """
    known: dict[str, str] = {}  # name -> the import statement that binds it
    own: set[str] = set()
    needed, functions, buggy = set(), [], []
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
        if view.buggy:
            buggy.append((slug, view.lesson))
        if view.library:
            module, _, function = view.library.rpartition(".")
            known[function] = f"from {module} import {function}"
            continue
        function = function_named(tree, registry.slugs.function(slug))
        if function is None:
            continue
        for name in sorted(free(tree) - own):
            if name in known:
                needed.add(known[name])
            else:
                source.problem(
                    cell.first,
                    f"the solution of {slug!r} leans on the notebook's {name!r}: import it, or "
                    "make it an argument.",
                )
        own.add(function.name)
        functions.append(view.solved)
    if not functions and not buggy:
        return ""
    parts = [
        f'"""References of lesson {source.name}, taken out of its solutions by course build.\n\n'
        f'Never edited: the source is solutions/{source.name}.py.\n"""\n\n'
        "# ruff: noqa\n# fmt: off\n"
    ]
    if needed:
        parts.append("\n".join(sorted(needed)) + "\n")
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
