"""`search-for-c`, lesson 04: a bug hunt, on solvers that are made up.

In two of them a larger c ends farther away, so the newest success is not the best; in another the
r has another direction each time, so that only |r| says which is the smallest.
"""

import math

import torch

from course_lib.exercises import Case, Exercise

from .shared import doubles


class Solver:
    """What ``solve(c)`` gives in a made-up problem: r shrinks as c grows, as size(c) says.

    axis(c): the direction of r, of length 1; the same for all c where none is given.
    """

    def __init__(self, size, success, name, axis=None):
        self.size, self.success, self.name = size, success, name
        self.axis = axis or (lambda c: doubles(0.6, 0, -0.8, 0).reshape(2, 2))

    def __call__(self, c):
        return self.size(c) * self.axis(c), self.success(c)

    def __repr__(self):
        return self.name


def search_c_cases(rng):
    def shrinking(c):
        return 2 / (1 + c) + 0.1

    yield Case(
        "success below c = 0.7", Solver(shrinking, lambda c: c < 0.7, "a solver"), 1e-2, 1e1, 4
    )
    yield Case(
        "success below c = 3, the usual range", Solver(shrinking, lambda c: c < 3, "a solver")
    )
    limit = 10 ** (-4 + 6 * 0.6499)  # the last tries succeed as well
    yield Case("a limit that needs every try", Solver(shrinking, lambda c: c < limit, "a solver"))
    yield Case("success below c = 0.002", Solver(shrinking, lambda c: c < 2e-3, "a solver"))
    yield Case("success everywhere", Solver(shrinking, lambda c: True, "a solver"), 1e-3, 1e3, 9)
    yield Case("success nowhere", Solver(shrinking, lambda c: False, "a solver"), 1e-3, 1e3, 5)

    def jumping(c):  # another local minimum, farther away, from c = 1 on
        return 0.5 / (1 + c) + (0.7 if c > 1 else 0)

    yield Case(
        "a larger c that ends farther away",
        Solver(jumping, lambda c: c < 2, "a solver"),
        1e-2,
        1e3,
        10,
    )

    def hump(c):  # a worse success between two better ones
        return shrinking(c) + (1 if 5 < c < 20 else 0)

    humped = Solver(hump, lambda c: c < 40, "a solver")
    yield Case("a worse success between two better ones", humped, 1e-2, 1e2, 6)

    # at c = 1, 10 and 31.6 the lengths are 1, 0.9 and 1.5; largest entries and sums order otherwise
    spread, pixel = doubles(*[0.5] * 4), doubles(1, 0, 0, 0)
    for label, first, then in (
        ("spread out, then in one pixel", spread, pixel),
        ("in one pixel, then spread out", pixel, spread),
    ):
        solver = Solver(
            lambda c: 1.0 if c < 5 else 0.9 if c < 20 else 1.5,
            lambda c: torch.tensor(c < 40),
            "a solver",
            lambda c, first=first, then=then: first if c < 5 else then,
        )
        yield Case(f"a change that is {label}", solver, 1e-2, 1e2, 3)


def search_c_slowly(solve, smallest=1e-4, largest=1e2, tries=12):
    """In logarithms, all tries kept, and the best picked at the end."""
    low, high = math.log10(smallest), math.log10(largest)
    seen = []
    for _ in range(tries):
        middle = (low + high) / 2
        r, success = solve(10**middle)
        seen.append((float(r.norm()) if success else math.inf, 10**middle, r))
        low, high = (middle, high) if success else (low, middle)
    size, c, r = min(seen, key=lambda item: item[0])
    return (c, r) if size < math.inf else (None, None)


EXERCISE = Exercise(
    title="A bug hunt: the minimum c",
    difficulty=3,
    minutes=8,
    hints=[
        "Run it on paper for a problem that succeeds for every c below 1. To which c does it go?",
        "A larger c presses harder on |r|. Which end of the bracket moves when a c succeeds?",
        "The last c that is tried need not be one that succeeds, and of those that do it need not "
        "be the one with the smallest r. Keep the best pair on the way.",
    ],
    cases=search_c_cases,
    parts=("c", "r"),
    oracle=search_c_slowly,
    on_device=False,
    done="It finds the largest c that succeeds, to the width of the bracket, and keeps the best r.",
    equivalent_mutants={
        "- if best[1] is None or r.norm() < best[1].norm(): / + if best[1] is None or r.norm() <= "
        "best[1].norm():": "Of two r of the same size either may be kept.",
        "- if best[1] is None or r.norm() < best[1].norm(): / + if best[0] is None or r.norm() < "
        "best[1].norm():": "Both parts of the best pair are None, or neither is.",
    },
)

EXERCISE.variant(search_c_slowly)


@EXERCISE.variant
def search_c_shrinking(solve, smallest=1e-4, largest=1e2, tries=12):
    c = math.sqrt(smallest * largest)
    ratio = math.sqrt(math.sqrt(largest / smallest))
    best_c = best_r = None
    for _ in range(tries):
        r, success = solve(c)
        if success and (best_r is None or r.square().sum() < best_r.square().sum()):
            best_c, best_r = c, r
        c = c * ratio if success else c / ratio
        ratio = math.sqrt(ratio)
    return best_c, best_r


EXERCISE.mistake(
    "direction mended, last result",
    "The search now goes the right way, but it returns the last r that was tried, "
    "successful or not: such a result need not be adversarial. Keep the best successful "
    "one on the way.",
    ("return best", "return c, r"),
)

EXERCISE.mistake(
    "best kept, wrong direction",
    "The best result is kept now, but the search still goes to the smallest c after each "
    "success, where r is largest: c multiplies |r|, so the smallest r needs the largest c "
    "that succeeds.",
    ("success:\n            low", "success:\n            high"),
    ("else:\n            high", "else:\n            low"),
)

EXERCISE.mistake(
    "the newest success",
    "What is returned is the newest success: on a network an earlier, smaller c can have "
    "ended at a nearer minimum. Compare the sizes of r.",
    ("if best[1] is None or r.norm() < best[1].norm()", "if True"),
)


@EXERCISE.mistake(
    "the smallest r of all",
    "The smallest r of all tries is returned, whether it reached the target or not: only "
    "successes may be compared.",
)
def smallest_of_all(solve, smallest=1e-4, largest=1e2, tries=12):
    low, high = smallest, largest
    best = None, None
    for _ in range(tries):
        c = (low * high) ** 0.5
        r, success = solve(c)
        if best[1] is None or r.norm() < best[1].norm():
            best = c, r
        low, high = (c, high) if success else (low, c)
    return best


EXERCISE.mistake(
    "the last try where nothing succeeded",
    "Where no c succeeds, this returns the last try, which the caller would count as an "
    "adversarial image: return (None, None), as the docstring says.",
    ("return best", "return (c, r) if best[1] is None else best"),
)

EXERCISE.mistake(
    "the largest entry",
    "The r with the smallest largest entry is kept: the smallest |r| is asked for, `r.norm()`.",
    ("r.norm() < best[1].norm()", "r.abs().max() < best[1].abs().max()"),
)

EXERCISE.mistake(
    "the sum of the entries",
    "The r with the smallest sum of absolute values is kept: the smallest |r| is asked for, "
    "`r.norm()`.",
    ("r.norm() < best[1].norm()", "r.abs().sum() < best[1].abs().sum()"),
)

EXERCISE.mistake(
    "the sum",
    "The r with the smallest sum is kept, in which darker and brighter pixels cancel: the smallest "
    "|r| is asked for, `r.norm()`.",
    ("r.norm() < best[1].norm()", "r.sum() < best[1].sum()"),
)

EXERCISE.mistake(
    "the farthest",
    "The successful r with the largest |r| is kept: the smallest is asked for.",
    ("r.norm() < best[1].norm()", "r.norm() > best[1].norm()"),
)

EXERCISE.mistake(
    "tries ignored",
    "There are always 12 tries: make as many as `tries` says.",
    ("range(tries)", "range(12)"),
)

EXERCISE.mistake(
    "the bracket ignored",
    "The bracket is always that from 1e-4 to 1e2: begin with `smallest` and `largest`.",
    ("low, high = smallest, largest", "low, high = 1e-4, 1e2"),
)

EXERCISE.mistake(
    "success is True",
    "A success that comes as a tensor or a NumPy number is not the object `True`, and you take it "
    "for a failure: `if success:`.",
    ("if success:", "if success is True:"),
)


@EXERCISE.mistake(
    "ended where it got worse",
    "The search ends at the first success that is farther away than the one before: a still larger "
    "c can be nearer again. Make all the tries.",
)
def ended_early(solve, smallest=1e-4, largest=1e2, tries=12):
    low, high = smallest, largest
    best = None, None
    for _ in range(tries):
        c = (low * high) ** 0.5
        r, success = solve(c)
        if success and best[1] is not None and r.norm() >= best[1].norm():
            break
        if success:
            low, best = c, (c, r)
        else:
            high = c
    return best


EXERCISE.mistake(
    "r first",
    "The two results are in the other order: first c, then r.",
    ("return best", "return best[::-1]"),
)

EXERCISE.mistake(
    "the end of the bracket for c",
    "The r is the right one, but c is the lower end of the bracket: return the c that r was found "
    "with.",
    ("return best", "return (low, best[1]) if best[1] is not None else best"),
)

EXERCISE.mistake(
    "one None",
    "Where no c succeeds you return one None: two are promised, (None, None), so that the caller "
    "can take the result apart.",
    ("return best", "return best if best[1] is not None else None"),
)

EXERCISE.mistake(
    "arithmetic mean",
    "The bracket is halved on the plain scale of c: over six powers of ten most of the "
    "tries are spent between 1 and 100. The given code takes the geometric mean.",
    ("(low * high) ** 0.5", "(low + high) / 2"),
)
