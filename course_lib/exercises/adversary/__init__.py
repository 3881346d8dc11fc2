"""Wrong answers made by a machine, of the kinds that learners hand in: does any of them PASS?

    python -m course_lib.exercises.adversary [SLUG ...]

makes them from each solution and prints, per exercise and lesson, how many the check caught, and
each survivor with what was changed and an input on which it differs from the solution. One that
passes and differs nowhere computes the same and counts as no wrong answer. What else passes is a
gap in the cases or probes, or it is right after all. The modules:

``edits``   changes of a solution's text
``wraps``   changes of what goes in and of what comes out
``state``   what one result does not show: memory, networks, random numbers
``stress``  inputs on which an answer that passes may differ from the solution
``known``   what passes all the same, and why

:mod:`.mutants`, beside this package, makes one-token changes.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator

from .. import all_exercises, find, mutants
from ..exercise import Exercise
from . import edits, state, stress, wraps
from .known import EQUIVALENT, GAPS, known, matches

SECONDS = 2.0  # for one answer

WIDE = "a slip in double precision"

SENTENCES = {
    WIDE: "Makes a one-token slip and computes in double precision, where it may not show.",
    **{name: sentence for name, (sentence, _) in {**edits.KINDS, **wraps.KINDS}.items()},
}


@dataclasses.dataclass
class Attempt:
    """One wrong answer. kind: a key of :data:`SENTENCES`; change: what was changed, on one line."""

    kind: str
    change: str
    function: Callable

    @property
    def name(self) -> str:
        """Kind and change, as the tables of :mod:`.known` have it."""
        return f"{self.kind}: {self.change}"


def attempts(exercise: Exercise) -> Iterator[Attempt]:
    """Every wrong answer to ``exercise`` that the machine knows how to make."""
    solution = exercise.solution()
    for name, (_, swaps) in edits.KINDS.items():
        for mutant in edits.made(solution, swaps):
            yield Attempt(name, mutant.change, mutant.function)
    for name, (_, make) in wraps.KINDS.items():
        for change, function in make(exercise):
            yield Attempt(name, change, function)
    for mutant in mutants.mutants(solution):
        if mutant.change not in exercise.equivalent_mutants:
            yield Attempt(WIDE, mutant.change, wraps.in_double(mutant.function))


def passes(exercise: Exercise, answer: Callable, seconds: float = SECONDS) -> bool:
    """Whether the check says PASS, and not, in a notice, that a network is left otherwise."""
    feedback = mutants.passed_by(exercise, answer, seconds)
    return feedback is not None and not any(t.startswith("It leaves") for t in feedback.notices)


@dataclasses.dataclass
class Row:
    """One exercise: how many wrong answers were made, and what became of those that passed.

    same: how many differ from the solution on no input; explained, gaps: those that are listed,
    with the reason; survivors: those that nobody has explained, with an input that tells; stale:
    what is listed and matches nothing that passes (any more).
    """

    slug: str
    lesson: int | None
    made: int
    same: int
    explained: dict[str, str]
    gaps: dict[str, str]
    survivors: dict[str, str]
    stale: list[str]

    @property
    def caught(self) -> int:
        passed = len(self.explained) + len(self.gaps) + len(self.survivors)
        return self.made - self.same - passed


def survivors(exercise: Exercise, seconds: float = SECONDS) -> tuple[int, int, dict[str, str]]:
    """How many were made, how many are the same, and what passes: name -> an input that tells."""
    made, same, passed = 0, 0, {}
    for attempt in attempts(exercise):
        made += 1
        if not passes(exercise, attempt.function, seconds):
            continue
        told = stress.witness(exercise, attempt.function, seconds)
        if told or attempt.kind in state.UNSEEN:
            passed[attempt.name] = told
        else:
            same += 1
    return made, same, passed


def row(exercise: Exercise, seconds: float = SECONDS) -> Row:
    """The row of ``exercise``."""
    made, same, passed = survivors(exercise, seconds)
    right = {name: why for name in passed if (why := known(EQUIVALENT, exercise.slug, name))}
    gaps = {name: why for name in passed if (why := known(GAPS, exercise.slug, name))}
    left = {name: told for name, told in passed.items() if name not in right and name not in gaps}
    listed = [*EQUIVALENT.get(exercise.slug, {}), *GAPS.get(exercise.slug, {})]
    stale = [pattern for pattern in listed if not any(matches(pattern, name) for name in passed)]
    return Row(exercise.slug, exercise.lesson, made, same, right, gaps, left, stale)


def report(slugs=()) -> Iterator[Row]:
    """A row for each exercise of ``slugs``, or for all. Raises LookupError for an unknown slug."""
    chosen = [find(slug) for slug in slugs] or list(all_exercises().values())
    return map(row, chosen)


def lines(r: Row) -> list[str]:
    """A row as text, with what passed below it."""
    counts = f"made {r.made}, the same {r.same}, caught {r.caught}, right {len(r.explained)}"
    number = "" if r.lesson is None else f"{r.lesson:02d} "
    found = [f"{number}{r.slug}: {counts}, gaps {len(r.gaps)}, unexplained {len(r.survivors)}"]
    for name, told in r.survivors.items():
        found.append(f"    passes: {name}" + (f" (differs on {told!r})" if told else ""))
    found += [f"    a gap: {name}" for name in r.gaps]
    return found + [f"    listed, and nothing that passes is like it: {name}" for name in r.stale]


HEADS = ("made", "the same", "caught", "right", "gaps", "unexplained")


def sums(rows: list[Row]) -> list[tuple[str, list[int]]]:
    """For each lesson, and for "all": the counts of :data:`HEADS`."""
    numbers = sorted({r.lesson for r in rows if r.lesson is not None})
    groups = [(f"{n:02d}", [r for r in rows if r.lesson == n]) for n in numbers]
    counts = {
        r.slug: (r.made, r.same, r.caught, len(r.explained), len(r.gaps), len(r.survivors))
        for r in rows
    }
    return [
        (name, [sum(column) for column in zip(*(counts[r.slug] for r in group), strict=True)])
        for name, group in [*groups, ("all", rows)]
    ]


def table(rows: list[Row]) -> str:
    """One line for each lesson, and one for all."""
    lines = ["lesson" + "".join(f"{head:>13}" for head in HEADS)]
    lines += [f"{name:6}" + "".join(f"{n:13}" for n in counts) for name, counts in sums(rows)]
    return "\n".join(lines)


def main(slugs: list[str]) -> int:
    """Print the tables; 1 if anything unexplained passes; 2, with a sentence, for a wrong slug."""
    rows = []
    try:
        for r in report(slugs):
            rows.append(r)
            print("\n".join(lines(r)), flush=True)
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    print(table(rows))
    return int(any(r.survivors or r.stale for r in rows))
