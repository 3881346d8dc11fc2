"""What a piece of code reads of this package, and a digest of it: what was computed by other code
is not used again.

Comments, docstrings and blank lines do not count. They change no result, and rewording them must
not cost hours of measuring.
"""

import ast
import functools
import hashlib
import inspect
import io
import tokenize
from collections.abc import Callable
from pathlib import Path

from . import storage

# what the course's own machinery is made of: it decides whether an exercise is right, and nothing
# that a lesson's figures show or a record holds
MACHINERY = ("exercises", "authoring", "cli", "workcopy", "__init__", "__main__")


@functools.cache
def substance(text: str) -> str:
    """Python text without comments, docstrings and blank lines: what changes no result.

    Spans of the text are cut, nothing is re-printed, so every Python gives the same.
    """
    lines = text.splitlines()
    tree = ast.parse(text)
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            doc = node.body[0]
            if doc.lineno == getattr(node, "lineno", 0):
                continue  # def f(): "..." on one line
            for i in range(doc.lineno - 1, doc.end_lineno):
                lines[i] = ""
    kept = "\n".join(lines) + "\n"
    for token in reversed(_comments(kept)):
        row, column = token.start
        lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _comments(text: str) -> list[tokenize.TokenInfo]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [t for t in tokens if t.type == tokenize.COMMENT]


def file_of(module: str) -> Path | None:
    """The file of a module of this package, found without importing it."""
    path = storage.PACKAGE.joinpath(*module.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imported(text: str, module: str) -> set[str]:
    """The modules of this package that ``text`` (of ``module``) imports, lazily or not."""
    package, found = storage.PACKAGE.name, set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = [".".join(module.split(".")[: -node.level])] if node.level else []
            base = ".".join(parts + ([node.module] if node.module else []))
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return {m for m in found if m.split(".")[0] == package and file_of(m)}


def modules_read(code: str, module: str = "notebook") -> list[str]:
    """The modules of course_lib that ``code`` (a notebook's, or that of ``module``) reads, directly
    or through others.

    >>> modules_read("from course_lib import storage")
    ['course_lib.storage']
    """
    package = storage.PACKAGE.name
    found: set[str] = set()
    waiting = _imported(code, module)
    while waiting:
        module = waiting.pop()
        if module in found or module == package or module.split(".")[1] in MACHINERY:
            continue
        found.add(module)
        path = file_of(module)
        inside = module + ".__init__" if path.name == "__init__.py" else module
        waiting |= _imported(path.read_text(encoding="utf-8"), inside)
    return sorted(found)


def reached(text: str, name: str) -> str:
    """The part of a file's ``text`` that its definition ``name`` needs: the statements of its top
    level that bind a name that is used there, and those that bind none.

    The rest of a program (what it tries, prints and sums up) may change, and ``name`` does not.
    Raises KeyError if there is no such definition.
    """
    lines = text.splitlines()
    waiting = {node: _bound(node) for node in _pieces(ast.parse(text).body)}
    if not any(name in bound for bound in waiting.values()):
        raise KeyError(f"There is no {name!r} at the top level of the file.")
    taken, wanted = [], {name}
    while more := [node for node, bound in waiting.items() if not bound or bound & wanted]:
        for node in more:
            del waiting[node]
            taken.append(node)
            wanted |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    parts = []
    for node in sorted(taken, key=lambda node: node.lineno):
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        alone = isinstance(node, ast.Import | ast.ImportFrom)
        parts += [ast.unparse(node)] if alone else lines[first - 1 : node.end_lineno]
    return "\n".join(parts) + "\n"


def _pieces(body: list[ast.stmt]):
    """The statements of a file, those that import several names taken apart; but text, and
    ``if __name__ == "__main__"``, on which no function depends."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (ast.Import([name], lineno=node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                yield ast.ImportFrom(node.module, [name], node.level, lineno=node.lineno)
        elif isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            continue
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            yield node


def _bound(node: ast.stmt) -> set[str]:
    """The names that a statement of the top level binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    inner = {
        n
        for part in ast.walk(node)
        if isinstance(part, ast.comprehension)
        for n in ast.walk(part.target)
    }
    names = (n for n in ast.walk(node) if isinstance(n, ast.Name) and n not in inner)
    return {n.id for n in names if isinstance(n.ctx, ast.Store)}


@functools.cache
def code_digest(*roots: Callable | Path) -> str:
    """The SHA-256 sum, in hexadecimal, of the code that ``roots`` run, as far as it is ours.

    roots: functions, of whose own file counts what they need (:func:`reached`), or whole files.
    Beside them count all modules of course_lib that they import, directly or through others, and
    the files of the same folder that a program imports. Code of other packages does not count.
    Raises TypeError for what is neither, and for a function without a name of its own, as a lambda.
    """
    total, done = hashlib.sha256(), set()
    for root in roots:
        path, text = _text_of(root)
        module = "program"
        if path.is_relative_to(storage.PACKAGE):
            inside = path.relative_to(storage.PACKAGE).with_suffix("")
            module = ".".join((storage.PACKAGE.name, *inside.parts))
        texts = {path.name: text} | _beside(path, text)
        for name, part in texts.items():
            total.update(f"{name}\n{substance(part)}\n".encode())
        for part in texts.values():
            done |= set(modules_read(part, module))
    for name in sorted(done):
        total.update(f"{name}\n{substance(file_of(name).read_text(encoding='utf-8'))}\n".encode())
    return total.hexdigest()


def _text_of(root: Callable | Path) -> tuple[Path, str]:
    """The file of a root, and the text in it that counts."""
    if isinstance(root, Path):
        return root.resolve(), root.read_text(encoding="utf-8")
    function = inspect.unwrap(root) if callable(root) else root
    name = getattr(function, "__qualname__", "<none>")
    if not inspect.isfunction(function) or "<" in name:
        raise TypeError(
            f"{root!r} has no code that can be looked up: give a function that is defined, by its "
            "name, in a file."
        )
    path = Path(inspect.getsourcefile(function)).resolve()
    return path, reached(path.read_text(encoding="utf-8"), name.split(".")[0])


def _beside(path: Path, text: str) -> dict[str, str]:
    """Name -> text of the files beside the program ``path`` that it imports."""
    found: dict[str, str] = {}
    waiting = [] if path.is_relative_to(storage.PACKAGE) else [text]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop())):
            for alias in node.names if isinstance(node, ast.Import) else ():
                other = path.with_name(f"{alias.name}.py")
                if other.name not in (path.name, *found) and other.is_file():
                    found[other.name] = other.read_text(encoding="utf-8")
                    waiting.append(found[other.name])
    return found
