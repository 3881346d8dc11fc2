"""Functions made from the source of another one: a small edit, or a tree that was changed."""

import ast
import inspect
import textwrap


def source(function) -> str:
    """The source of ``function``, at the left margin, without its decorators."""
    text = textwrap.dedent(inspect.getsource(function))
    node = ast.parse(text).body[0]
    return "\n".join(text.splitlines()[node.lineno - 1 :]) + "\n"


def tree(function) -> ast.Module:
    """The syntax tree of ``function`` without decorators and docstring."""
    module = ast.parse(source(function))
    node = module.body[0]
    node.decorator_list = []
    if ast.get_docstring(node) is not None and len(node.body) > 1:
        node.body = node.body[1:]
    return module


def build(code: str | ast.Module, like, name: str | None = None):
    """The function ``name`` that ``code`` defines, with the globals and the closure of ``like``.

    ``name`` None is the first function in ``code``.
    """
    module = ast.parse(code) if isinstance(code, str) else code
    names = dict(like.__globals__)
    names.update(inspect.getclosurevars(like).nonlocals)
    exec(compile(module, f"<made from {like.__name__}>", "exec"), names)
    return names[name or next(n.name for n in module.body if isinstance(n, ast.FunctionDef))]


def own_copy(function):
    """``function`` as if a learner had written it: the same code, which is not the course's."""
    return build(source(function), function, function.__name__)


def changed(text: str, edits, name: str) -> str:
    """``text`` with each edit ``(old, new)`` made in turn: the one ``old`` becomes ``new``.

    name: of the function whose text it is. Raises ValueError if an ``old`` is not there exactly
    once.
    """
    for old, new in edits:
        if text.count(old) != 1:
            raise ValueError(
                f"{old!r} is {text.count(old)} times in the source of {name}, not once: "
                "adapt the edit to the solution."
            )
        text = text.replace(old, new)
    return text


def edited(function, *edits: tuple[str, str]):
    """``function`` with its source changed by ``edits``, as :func:`changed` does it."""
    return build(changed(source(function), edits, function.__name__), function)
