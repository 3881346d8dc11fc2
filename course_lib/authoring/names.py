"""The names that Python text binds, reads and imports."""

import ast
import builtins
import symtable


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
