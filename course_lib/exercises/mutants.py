"""How sharp are the checks? One-token changes of a solution, each of which a check should notice.

    python -m course_lib.exercises.mutants [SLUG ...]

prints, per exercise, how many were caught, and each survivor with the lines that changed. A
survivor is a gap in the cases, or it means the same as the solution: the exercise then lists it,
with the reason, in ``equivalent_mutants``.
"""

import ast
import copy
import dataclasses
import difflib
import sys
from collections.abc import Callable, Iterator

from . import all_exercises, find, running, sources, trials
from .exercise import Exercise
from .feedback import Feedback
from .judging import judge

SWAPS = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.MatMult: [ast.Mult],
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.GtE],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.And: [ast.Or],
    ast.Or: [ast.And],
}
NAMES = {
    "min": "max",
    "max": "min",
    "amin": "amax",
    "amax": "amin",
    "argmin": "argmax",
    "argmax": "argmin",
    "sum": "mean",
    "mean": "sum",
    "exp": "log",
    "log": "exp",
    "minimum": "maximum",
    "maximum": "minimum",
    "zeros": "ones",
    "ones": "zeros",
    "zeros_like": "ones_like",
    "ones_like": "zeros_like",
    "softmax": "log_softmax",
    "log_softmax": "softmax",
    "sin": "cos",
    "cos": "sin",
}
DROPPED = (
    *("clamp", "clip", "sqrt", "detach", "abs", "square", "exp", "log", "T", "t", "zero_grad"),
    *("sigmoid", "relu", "flatten", "requires_grad_", "eval", "train", "clone"),
)


@dataclasses.dataclass
class Mutant:
    """One changed function; change: ``- old line`` and ``+ new line``, with ' / ' between."""

    change: str
    function: Callable


def _swaps(node: ast.AST) -> Iterator[tuple[str, object]]:
    """What ``node`` could be instead: pairs (attribute, other value); "" replaces the node."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        for other in SWAPS.get(type(node.op), ()):
            yield "op", other()
    if isinstance(node, ast.Compare):
        for other in SWAPS.get(type(node.ops[0]), ()):
            yield "ops", [other(), *node.ops[1:]]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield "", node.operand
    if isinstance(node, ast.Constant):
        yield from (("value", value) for value in _other_constants(node.value))
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield "attr", NAMES[node.attr]
    if isinstance(node, ast.Name) and node.id in ("min", "max", "sum"):
        yield "id", {"min": "max", "max": "min", "sum": "max"}[node.id]
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield "", node.value
    if isinstance(node, ast.Call) and getattr(node.func, "attr", None) in DROPPED:
        # x.sqrt() -> x and torch.sqrt(x) -> x
        if getattr(node.func.value, "id", None) not in MODULES:
            yield "", node.func.value
        elif node.args:
            yield "", node.args[0]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "", ast.Pass()


MODULES = ("torch", "np", "numpy", "math", "F", "nn")


def _other_constants(value) -> list:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, str):
        return [{"sum": "mean", "mean": "sum"}[value]] if value in ("sum", "mean") else []
    if isinstance(value, float):
        return [value * 2, value / 2] if value else [1.0]
    return []


def mutants(function: Callable, swaps: Callable = _swaps, **names) -> list[Mutant]:
    """Every change of ``function`` that ``swaps`` knows, each once: by default those of one token.

    names: what the changed functions may use beside what ``function`` uses.
    """
    original = sources.tree(function)
    before = ast.unparse(original).splitlines()
    found, seen = [], {ast.unparse(original)}
    spots = [n for n in ast.walk(original.body[0]) if n not in _annotations(original.body[0])]
    for node in spots:
        for attribute, value in swaps(node):
            # a deep copy that knows which of its nodes is the copy of ``node``
            memo = {}
            changed = copy.deepcopy(original, memo)
            twin = memo[id(node)]
            if attribute:
                setattr(twin, attribute, copy.deepcopy(value))
            else:
                changed = _Replace(twin, copy.deepcopy(value)).visit(changed)
            changed = ast.fix_missing_locations(changed)
            text = ast.unparse(changed)
            if text in seen:
                continue
            seen.add(text)
            lines = difflib.unified_diff(before, text.splitlines(), n=0, lineterm="")
            lines = [x for x in list(lines)[2:] if not x.startswith("@@")]
            change = " / ".join(f"{x[0]} {x[1:].strip()}" for x in lines)
            built = sources.build(text, function)
            built.__globals__.update(names)
            found.append(Mutant(change, built))
    return found


def _annotations(function: ast.FunctionDef) -> set:
    """The nodes of annotations and defaults' types, which compute nothing."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    roots = [a.annotation for a in every if a.annotation] + [function.returns]
    inner = [n for n in ast.walk(function) if isinstance(n, ast.AnnAssign)]
    roots += [n.annotation for n in inner]
    return {node for root in roots if root is not None for node in ast.walk(root)}


class _Replace(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else self.generic_visit(node)


@dataclasses.dataclass
class Row:
    """One exercise: how many of its wrong answers, right variants and mutants were told right.

    survivors: the changes that nobody noticed and that are not listed as equivalent;
    stale: changes that are listed as equivalent and are none (any more). told: a sentence for each
    other thing that is wrong.
    """

    slug: str
    wrong: tuple[int, int]
    right: tuple[int, int]
    mutants: tuple[int, int]
    survivors: list[str]
    stale: list[str]
    told: list[str] = dataclasses.field(default_factory=list)


def passed_by(exercise: Exercise, answer: Callable, seconds: float) -> Feedback | None:
    """What :func:`.judging.judge` says to an answer that passes; None for one that does not.

    Most wrong answers differ on the first case, and are not run on the others.
    """
    signature = exercise.signature()
    seconds = trials.limit(exercise, seconds)
    cases = zip(exercise.draw(), exercise.draw(), trials.expected(exercise), strict=True)
    try:
        with running.time_limit(seconds):
            for case, pristine, want in cases:
                got = running.call(answer, case, pristine, exercise, signature)
                if running.disagreement(got, want, exercise.rtol, exercise.atol):
                    return None
    except running.TimeIsUp:
        return None
    feedback = judge(exercise, answer, seconds)
    return feedback if feedback.status == "PASS" else None


def try_mutants(exercise: Exercise, seconds: float = 2.0) -> tuple[int, list[str], list[str]]:
    """How many mutants there are, which survive unexplained, and which reasons are stale."""
    made = mutants(exercise.solution())
    passed = [m.change for m in made if passed_by(exercise, m.function, seconds)]
    explained = [change for change in passed if change in exercise.equivalent_mutants]
    survivors = [change for change in passed if change not in exercise.equivalent_mutants]
    stale = [change for change in exercise.equivalent_mutants if change not in passed]
    return len(made) - len(explained), survivors, stale


def row(exercise: Exercise) -> Row:
    """The row of ``exercise``."""
    told, missed = [], 0
    solution = judge(exercise, sources.own_copy(exercise.solution()))
    if solution.status != "PASS":  # then everything differs, and all would count as caught
        told.append(f"the solution does not pass its own cases: {solution.sentence}")
    for mistake in exercise.mistakes:
        feedback = judge(exercise, exercise.wrong_answer(mistake))
        if feedback.status != "PASS" and feedback.sentence == mistake.sentence:
            continue
        missed += 1
        if feedback.status == "PASS":
            told.append(f"no case tells the mistake {mistake.name!r} from the right answer")
        else:
            told.append(f"the mistake {mistake.name!r} is told: {feedback.sentence}")
    statuses = [(v.__name__, judge(exercise, v)) for v in exercise.variants]
    refused = [
        f"the variant {n} is no PASS: {f.sentence}" for n, f in statuses if f.status != "PASS"
    ]
    number, survivors, stale = try_mutants(exercise)
    return Row(
        exercise.slug,
        (len(exercise.mistakes) - missed, len(exercise.mistakes)),
        (len(statuses) - len(refused), len(statuses)),
        (number - len(survivors), number),
        survivors,
        stale,
        told + refused,
    )


def report(slugs=()) -> list[Row]:
    """A row for each exercise of ``slugs``, or for all. Raises LookupError for an unknown slug."""
    chosen = [find(slug) for slug in slugs] or list(all_exercises().values())
    return [row(exercise) for exercise in chosen]


def table(rows: list[Row]) -> str:
    """The rows as text, with the survivors below each exercise."""
    width = max([len(r.slug) for r in rows] + [8])
    lines = [f"{'exercise':<{width}}  wrong answers  right variants  mutants"]
    for r in rows:
        shares = [f"{a} of {b}" for a, b in (r.wrong, r.right, r.mutants)]
        lines.append(f"{r.slug:<{width}}  {shares[0]:<13}  {shares[1]:<14}  {shares[2]}")
        lines += [f"    {sentence}" for sentence in r.told]
        lines += [f"    survives: {change}" for change in r.survivors]
        lines += [f"    listed as equivalent, but is not: {change}" for change in r.stale]
    caught, number = (sum(r.mutants[i] for r in rows) for i in (0, 1))
    if number:
        lines.append(f"Mutants caught: {caught} of {number} ({caught / number:.0%}).")
    return "\n".join(lines)


def main(slugs: list[str]) -> int:
    """Print the table; 1 if an answer is judged otherwise than it is meant, 2, with a sentence, for
    a slug that does not exist."""
    try:
        rows = report(slugs)
        print(table(rows))
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    return int(any(row.told for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
