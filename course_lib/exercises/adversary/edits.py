"""Wrong answers made from the text of a solution: each kind is one thing that a learner does.

A kind yields, for a node of the solution's tree, what it could be instead: pairs as those of
:mod:`.mutants`. What a changed text calls as ``adversary.something`` is a function of this module.
"""

import ast
import copy
import sys
from collections.abc import Callable, Iterator

import torch

from .. import mutants

Pairs = Iterator[tuple[str, object]]
KINDS: dict[str, tuple[str, Callable[[ast.AST], Pairs]]] = {}


def kind(name: str, sentence: str):
    """Register a function of a node under ``name``, with a sentence that says what it does."""

    def add(function):
        KINDS[name] = sentence, function
        return function

    return add


def made(function: Callable, swaps: Callable[[ast.AST], Pairs]) -> list[mutants.Mutant]:
    """Every change of the solution ``function`` that ``swaps`` knows, each once."""
    return mutants.mutants(function, swaps, adversary=sys.modules[__name__])


# --- pieces of trees -------------------------------------------------------------------------


def _parsed(text: str, **holes: ast.expr) -> ast.expr:
    """The expression ``text`` with trees in place of the names in ``holes``."""

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node):
            return copy.deepcopy(holes.get(node.id, node))

    return Fill().visit(ast.parse(text, mode="eval").body)


def _attribute(node) -> str:
    """The name of the method or function that ``node`` calls; "" for another node."""
    return getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""


def _of_module(node: ast.Call) -> bool:
    """Whether a function of a module is called (``torch.log(x)``), not a method."""
    owner = node.func.value
    while isinstance(owner, ast.Attribute):
        owner = owner.value
    return getattr(owner, "id", None) in mutants.MODULES


def _values(node) -> ast.expr | None:
    """What a statement computes."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Return):
        value = node.value
        plain = isinstance(value, ast.Constant | ast.Name | ast.Lambda | ast.Dict | ast.Tuple)
        if value is not None and (isinstance(node, ast.Return) or not plain):
            return value
    return None


def _around(node, *calls: str) -> Pairs:
    """What a statement computes, put through each of ``calls``, in which X is the value."""
    value = _values(node)
    if value is not None:
        for call in calls:
            yield "value", _parsed(call, X=value)


# --- autograd and copies ---------------------------------------------------------------------


@kind("copies dropped", "Leaves out every .detach(), .clone(), deepcopy and no_grad at once.")
def copies_dropped(node) -> Pairs:
    if isinstance(node, ast.FunctionDef):
        bare = _Bare().visit(copy.deepcopy(node))
        yield "body", bare.body
    if isinstance(node, ast.With):
        yield "", node.body
    if _attribute(node) == "deepcopy":
        yield "", node.args[0]


class _Bare(ast.NodeTransformer):
    def visit_Call(self, node):
        node = self.generic_visit(node)
        if _attribute(node) in ("detach", "clone"):
            return node.func.value
        return node.args[0] if _attribute(node) == "deepcopy" else node

    def visit_With(self, node):
        return self.generic_visit(node).body


# --- types and ranges ------------------------------------------------------------------------


@kind("narrow in the middle", "Computes one step in a narrower floating-point type.")
def narrow(node) -> Pairs:
    yield from _around(node, "adversary.through(X, 'float32')", "adversary.through(X, 'float16')")


@kind("clamped in the middle", "Brings one intermediate result into a range that seems harmless.")
def clamped_in_the_middle(node) -> Pairs:
    yield from _around(
        node,
        "adversary.clamped(X, 1e-6, 1 - 1e-6)",
        "adversary.clamped(X, 0.05, 0.95)",
        "adversary.clamped(X, 1e-6)",
    )


@kind("a little added", "Adds a little under a root or a logarithm, or to what is divided by.")
def a_little_added(node) -> Pairs:
    if _attribute(node) in ("log", "sqrt"):
        changed = copy.deepcopy(node)
        for text in ("X + 1e-12", "X + 1e-8", "adversary.clamped(X, 1e-6)"):
            if not _of_module(node):
                changed.func.value = _parsed(text, X=node.func.value)
            elif node.args:
                changed.args = [_parsed(text, X=node.args[0]), *node.args[1:]]
            yield "", copy.deepcopy(changed)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        for text in ("X + 1e-12", "X + 1e-8", "adversary.clamped(X, 1e-6)"):
            yield "right", _parsed(text, X=node.right)
    if isinstance(node, ast.BinOp) and ast.unparse(node).endswith("** 0.5"):
        yield "left", _parsed("X + 1e-12", X=node.left)


def through(value, dtype: str):
    """``value`` rounded to ``dtype`` and back, wherever it is made of floating-point tensors."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.to(getattr(torch, dtype)).to(value.dtype)
    if isinstance(value, float):
        return float(torch.tensor(value, dtype=getattr(torch, dtype)))
    if type(value) in (tuple, list):
        return type(value)(through(part, dtype) for part in value)
    return value


def clamped(value, low=None, high=None):
    """``value`` brought into [low, high], wherever it is made of floating-point numbers."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.clamp(low, high)
    if isinstance(value, float):
        value = max(value, low)
        return value if high is None else min(value, high)
    if type(value) in (tuple, list):
        return type(value)(clamped(part, low, high) for part in value)
    return value


# --- batches ---------------------------------------------------------------------------------

REDUCTIONS = (
    *("mean", "sum", "norm", "vector_norm", "matrix_norm", "std", "var", "amax", "amin", "all"),
    *(
        "any",
        "max",
        "min",
        "argmax",
        "argmin",
        "logsumexp",
        "quantile",
        "prod",
        "cosine_similarity",
    ),
)


@kind("axis dropped", "Reduces over all axes instead of one, or keeps the one that should go.")
def axis_dropped(node) -> Pairs:
    if _attribute(node) not in REDUCTIONS:
        return
    others = [k for k in node.keywords if k.arg not in ("dim", "axis", "keepdim", "keepdims")]
    named = [k for k in node.keywords if k.arg in ("dim", "axis")]
    by_place = not named and len(node.args) == 1 and not _of_module(node)
    if named:
        yield "keywords", others
    if by_place:
        yield "args", []
    if any(k.arg == "keepdim" for k in node.keywords):
        yield "keywords", [k for k in node.keywords if k.arg != "keepdim"]
    elif (named or by_place) and _attribute(node) not in ("cosine_similarity", "all", "any"):
        yield "keywords", [*node.keywords, ast.keyword("keepdim", ast.Constant(True))]


@kind("one for all in the middle", "Takes the first entry along an axis for all of that axis.")
def one_for_all(node) -> Pairs:
    yield from _around(node, "adversary.first_of(X, 0)", "adversary.first_of(X, -1)")


def first_of(value, dim: int):
    """``value`` with the first entry along ``dim`` in place of every other one."""
    if isinstance(value, torch.Tensor) and value.ndim and value.shape[dim]:
        return value.narrow(dim, 0, 1).expand_as(value).clone()
    return value


@kind("NaN left out", "Leaves NaN out of a mean or a sum.")
def nan_left_out(node) -> Pairs:
    if _attribute(node) in ("mean", "sum"):
        changed = copy.deepcopy(node)
        changed.func.attr = f"nan{changed.func.attr}"
        yield "", changed
    yield from _around(node, "adversary.without_nan(X)")


def without_nan(value):
    """``value`` with 0 for NaN."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return torch.where(value.isnan(), torch.zeros_like(value), value)
    return value


# --- random numbers --------------------------------------------------------------------------


@kind("another generator", "Draws from the global generator, or a new one, instead of the given.")
def another_generator(node) -> Pairs:
    if isinstance(node, ast.Call) and any(k.arg == "generator" for k in node.keywords):
        others = [k for k in node.keywords if k.arg != "generator"]
        yield "keywords", others
        fixed = ast.keyword("generator", _parsed("torch.Generator().manual_seed(0)"))
        yield "keywords", [*others, fixed]


# --- networks --------------------------------------------------------------------------------


@kind("children for modules", "Looks at a network's own layers and not at those inside of them.")
def children_for_modules(node) -> Pairs:
    if isinstance(node, ast.Attribute) and node.attr in ("modules", "named_modules"):
        yield "attr", node.attr.replace("modules", "children")


@kind("first layer only", "Takes the first layer's parameters for all.")
def first_layer_only(node) -> Pairs:
    if _attribute(node) in ("parameters", "named_parameters", "modules", "children"):
        for text in ("list(X)[:1]", "list(X)[:2]", "list(X)[-2:]", "list(X)[:-1]"):
            yield "", _parsed(text, X=node)


# --- loops -----------------------------------------------------------------------------------


@kind("loop left early", "Leaves a loop in its first round, or one round early.")
def loop_left_early(node) -> Pairs:
    if isinstance(node, ast.For):
        yield "body", [*node.body, ast.Break()]
    if isinstance(node, ast.For | ast.comprehension):
        for text in ("list(X)[:-1]", "list(X)[1:]"):
            yield "iter", _parsed(text, X=node.iter)
    if isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return):
        for loop in [n for n in ast.walk(node) if isinstance(n, ast.For)]:
            memo = {}
            changed = copy.deepcopy(node, memo)
            memo[id(loop)].body.append(copy.deepcopy(node.body[-1]))
            yield "body", changed.body


@kind("loop cut short", "Allows a loop only a few rounds.")
def loop_cut_short(node) -> Pairs:
    if isinstance(node, ast.For):
        for most in (2, 5, 20):
            yield "iter", _parsed(f"list(X)[:{most}]", X=node.iter)
    if isinstance(node, ast.While):
        stop = ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Break()], [])
        for most in (1, 3, 10):
            rounds = ast.parse(f"range({most})", mode="eval").body
            name = ast.Name("_", ast.Store())
            yield "", ast.For(name, rounds, [stop, *node.body], [])


# --- order -----------------------------------------------------------------------------------

SORTS = ("argsort", "sort", "topk", "argmax", "argmin", "max", "min", "mode")


@kind("ties the other way", "Puts equal numbers in the other order: the last of them comes first.")
def ties_the_other_way(node) -> Pairs:
    if _attribute(node) in SORTS and not _of_module(node):
        call = _parsed(f"adversary.from_the_end(X, {node.func.attr!r})", X=node.func.value)
        call.args += node.args
        call.keywords += node.keywords
        yield "", call


def from_the_end(value, method: str, *args, **kwargs):
    """``value.method(...)``, with the last of equal entries in place of the first."""
    place = args[-1] if args and method not in ("topk", "argsort", "sort") else -1
    dim = kwargs.get("dim", place)
    if not isinstance(value, torch.Tensor) or not isinstance(dim, int):
        return getattr(value, method)(*args, **kwargs)
    found = getattr(value.flip(dim), method)(*args, **kwargs)
    last = value.shape[dim] - 1
    if isinstance(found, torch.Tensor):
        return found if found.is_floating_point() else last - found
    return type(found)((found[0], last - found[1]))


@kind("order reversed", "Gives, or goes through, things in the reversed order.")
def order_reversed(node) -> Pairs:
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "reversed":
        yield "", node.args[0]
    elif isinstance(node, ast.For):
        yield "iter", _parsed("list(X)[::-1]", X=node.iter)
    elif _attribute(node) in ("argsort", "sort"):
        yield "", _parsed("X.flip(-1)", X=node)
