"""`two-loop`, lesson 04: against the inverse Hessian as a matrix.

Pairs to leave out stand among the others, and once at the newest place. Near the minimum steps are
tiny, and so is s·y: it counts all the same.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise
from course_lib.lbfgsb import plain

from .shared import doubles, exactly, lost_digits


def two_loop_cases(rng):
    def draw(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    def pairs(n, count):
        a = draw(n, n)
        hessian = a @ a.T / n + torch.eye(n, dtype=torch.float64)
        return [(s, hessian @ s) for s in draw(count, n)]

    yield Case("no pair yet", doubles(1, -2), [])
    # the smallest failing case is shown, and of a list only its length: the label has the numbers
    old, new = (doubles(1, 0), doubles(2, 1)), (doubles(1, 1), doubles(3, 4))
    bent = (doubles(0, 1), doubles(1, -2))
    yield Case("one pair, s = (1, 0) and y = (2, 1)", doubles(1, 3), [old])
    label = "two pairs, s = (1, 0), y = (2, 1) and the newer s = (1, 1), y = (3, 4)"
    yield Case(label, doubles(1, 3), [old, new])
    label = "two pairs, s = (1, 0), y = (2, 1) and the newer s = (0, 1), y = (1, -2) with s·y < 0"
    yield Case(label, doubles(1, 3), [old, bent])
    yield Case("three pairs of three variables", draw(3), pairs(3, 3))
    yield Case("four pairs", draw(6), pairs(6, 4))
    short = [(0.1 * s, 0.1 * y) for s, y in pairs(4, 3)]
    yield Case("three short steps", draw(4), short)
    tiny = [(1e-7 * s, 1e-7 * y) for s, y in pairs(4, 3)]
    yield Case("three steps of a ten-millionth, near the minimum", draw(4), tiny)
    yield Case("twelve pairs", draw(15), pairs(15, 12))
    yield Case("thirty pairs", draw(32), pairs(32, 30))
    some = pairs(5, 3)
    bent = draw(5)
    flat = doubles(1, 0, 0, 0, 0)
    yield Case(
        "pairs without positive curvature among them",
        draw(5),
        [some[0], (bent, -bent), some[1], (flat, flat.roll(1)), some[2]],
    )
    yield Case("the newest pair has none", draw(5), [*some[:2], (bent, -0.5 * bent)])
    yield Case("no pair has any", draw(5), [(bent, -bent)])


def two_loop_of_matrices(gradient, pairs):
    """The inverse Hessian as a matrix, updated pair by pair (Nocedal and Wright, (6.17))."""
    g = gradient.numpy()
    pairs = [(s.numpy(), y.numpy()) for s, y in pairs if float(s @ y) > 0]
    if not pairs:
        return g
    s, y = pairs[-1]
    identity = np.eye(len(g))
    inverse = s @ y / (y @ y) * identity
    for s, y in pairs:
        left = identity - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    return inverse @ g


EXERCISE = Exercise(
    title="The two-loop recursion",
    difficulty=4,
    minutes=15,
    hints=[
        "Keep the pairs with s·y > 0 first, and deal with the case that none is left.",
        "First loop, from the newest pair to the oldest: α = s·q / s·y, then q ← q - α y. Keep "
        "the α of every pair for the second loop.",
        "Between the loops: r = γ q, with γ = s·y / y·y of the newest pair that was kept.",
        "Second loop, from the oldest to the newest: β = y·r / s·y, then r ← r + (α - β) s.",
    ],
    cases=two_loop_cases,
    oracle=two_loop_of_matrices,
    on_device=False,
    done="It agrees with the matrix that it never forms.",
    equivalent_mutants={
        "- return gradient.clone() / + return gradient": (
            "The values are the same; the copy keeps the caller's gradient safe from changes."
        ),
        "- for (s, y), share in zip(pairs, reversed(shares), strict=True): / + for (s, y), share "
        "in zip(pairs, reversed(shares), strict=False):": (
            "There is one share for each pair, so nothing is cut off either way."
        ),
    },
)


@EXERCISE.variant
def two_loop_recursive(gradient, pairs, scale=None):
    pairs = [p for p in pairs if p[0] @ p[1] > 0]
    if not pairs:
        return gradient * (1.0 if scale is None else scale)
    s, y = pairs[-1]
    if scale is None:
        scale = (s @ y) / (y @ y)
    alpha = (s @ gradient) / (s @ y)
    inner = two_loop_recursive(gradient - alpha * y, pairs[:-1], scale)
    return inner + (alpha - (y @ inner) / (s @ y)) * s


@EXERCISE.variant
def two_loop_indexed(gradient, pairs):
    kept = [i for i in range(len(pairs)) if torch.dot(*pairs[i]) > 0]
    rho = {i: 1 / torch.dot(*pairs[i]) for i in kept}
    alpha, q = {}, gradient.clone()
    for i in kept[::-1]:
        alpha[i] = rho[i] * torch.dot(pairs[i][0], q)
        q -= alpha[i] * pairs[i][1]
    if kept:
        y = pairs[kept[-1]][1]
        q *= 1 / (rho[kept[-1]] * torch.dot(y, y))
    for i in kept:
        q += (alpha[i] - rho[i] * torch.dot(pairs[i][1], q)) * pairs[i][0]
    return q


@EXERCISE.probe(only_right=True)
def in_double_precision(answer):
    """A probe: nothing becomes float32 on the way."""
    pairs = [(doubles(0.1, 0.3, -0.2), doubles(0.7, 0.9, 0.1))]
    slope = doubles(0.3, -0.7, 1.1)
    return lost_digits(exactly(answer)(slope, pairs), plain.two_loop(slope, pairs))


TINY = (
    "Near the minimum steps are tiny, and s·y with them. {} Only s·y <= 0 is to be left out, and "
    "nothing added: nothing is divided by 0 then."
)

for SIZE in ("1e-10", "1e-8", "1e-12"):
    EXERCISE.mistake(
        f"{SIZE} added to s·y",
        TINY.format(f"Your s·y have {SIZE} added, which there is more than themselves."),
        ("(s @ q) / (s @ y)", f"(s @ q) / (s @ y + {SIZE})"),
        ("(y @ r) / (s @ y)", f"(y @ r) / (s @ y + {SIZE})"),
    )

EXERCISE.mistake(
    "pairs with a small s·y left out",
    TINY.format("You leave out pairs whose s·y is below a small number."),
    ("if s @ y > 0", "if s @ y > 1e-10"),
)

EXERCISE.mistake(
    "ended at a pair without curvature",
    "The first pair with s·y <= 0 ends your list: leave out that pair, and keep those after it.",
    (
        "pairs = [(s, y) for s, y in pairs if s @ y > 0]",
        "bad = [k for k, (s, y) in enumerate(pairs) if not s @ y > 0]\n"
        "    pairs = pairs[: bad[0]] if bad else pairs",
    ),
)

EXERCISE.mistake(
    "all pairs left out for one",
    "One pair with s·y <= 0 and you return the gradient: leave out that pair, and use the others.",
    (
        "pairs = [(s, y) for s, y in pairs if s @ y > 0]",
        "pairs = pairs if all(s @ y > 0 for s, y in pairs) else []",
    ),
)

EXERCISE.mistake(
    "the newest pair only",
    "Only the newest pair is used (or the loop returns in its first round): all of them are.",
    ("if s @ y > 0]", "if s @ y > 0][-1:]"),
)

EXERCISE.mistake(
    "α from the gradient",
    "Every α is computed from the gradient: it is s·q / s·y with the q that the pairs before have "
    "left.",
    ("(s @ q)", "(s @ gradient)"),
)

EXERCISE.mistake(
    "β from q",
    "Every β is computed from the same vector, γ q: it is y·r / s·y with the r as it is by then.",
    ("    for (s, y), share", "    first = r\n    for (s, y), share"),
    ("(y @ r)", "(y @ first)"),
)

EXERCISE.mistake(
    "0 without a pair",
    "Without a pair the result is 0, and the descent stands still: return the gradient.",
    ("return gradient.clone()", "return 0 * gradient"),
)

EXERCISE.mistake(
    "first loop from the oldest",
    "The first loop goes from the oldest pair to the newest. It has to begin with the "
    "newest: that update was made last and is undone first.",
    ("in reversed(pairs)", "in pairs"),
    ("reversed(shares)", "shares"),
)

EXERCISE.mistake(
    "second loop from the newest",
    "The second loop goes from the newest pair to the oldest: it runs the other way than "
    "the first, from the oldest on.",
    ("zip(pairs, reversed(shares)", "zip(reversed(pairs), shares"),
)

EXERCISE.mistake(
    "both loops the wrong way",
    "Both loops run the wrong way round: the first goes from the newest pair to the "
    "oldest, the second back. The list has the oldest first.",
    ("in reversed(pairs)", "in pairs"),
    ("zip(pairs", "zip(reversed(pairs)"),
)

EXERCISE.mistake(
    "α in the order of the first loop",
    "Each pair needs its own α in the second loop, but yours come in the order in which "
    "the first loop found them: the newest pair's α goes to the oldest pair. The second "
    "loop runs the other way, so take the list of α from its end.",
    ("reversed(shares)", "shares"),
)

EXERCISE.mistake(
    "one α for all pairs",
    "The second loop uses one α for all pairs, the last that the first loop found: keep "
    "them all, one for each pair.",
    ("(share - ", "(shares[-1] - "),
)

EXERCISE.mistake(
    "γ of the oldest pair",
    "The scale γ is that of the oldest pair: take the newest, which knows the curvature "
    "where the search is now.",
    ("s, y = pairs[-1]", "s, y = pairs[0]"),
)

EXERCISE.mistake(
    "no γ",
    "There is no scale between the loops: q should be multiplied by γ = s·y / y·y of the "
    "newest pair, or every direction that no pair knows gets a step of the wrong length.",
    ("(s @ y) / (y @ y) * q", "q"),
)

EXERCISE.mistake(
    "γ upside down",
    "The scale γ is upside down: s·y / y·y has the units of an inverse curvature.",
    ("(s @ y) / (y @ y)", "(y @ y) / (s @ y)"),
)

EXERCISE.mistake(
    "γ with s·s",
    "This γ is s·s / s·y, also an inverse curvature (Barzilai and Borwein's long one), but "
    "L-BFGS has the shorter s·y / y·y.",
    ("(s @ y) / (y @ y)", "(s @ s) / (s @ y)"),
)

EXERCISE.mistake(
    "every pair kept",
    "Pairs with s·y <= 0 are used like the others: they describe a function that curves "
    "downwards, and the result need no longer be a descent direction. Leave them out.",
    (" if s @ y > 0", ""),
)

EXERCISE.mistake(
    "pairs with s·y = 0 kept",
    "A pair with s·y = 0 is kept, and divided by: leave it out, too.",
    ("if s @ y > 0", "if s @ y >= 0"),
)

EXERCISE.mistake(
    "γ of a pair that is left out",
    "The scale γ comes from the last pair of the list, even if that one has s·y <= 0 and "
    "was left out: γ is then negative. Take the newest of those that you keep.",
    ("pairs = [", "given, pairs = pairs, ["),
    ("s, y = pairs[-1]", "s, y = given[-1]"),
)

EXERCISE.mistake(
    "no β",
    "The second loop adds α s: subtract β = y·r / s·y from α first.",
    (" - (y @ r) / (s @ y)", ""),
)

EXERCISE.mistake(
    "s and y exchanged",
    "Steps and changes of the gradient are exchanged: this multiplies by the Hessian and "
    "not by its inverse.",
    ("[(s, y) for", "[(y, s) for"),
)

EXERCISE.mistake(
    "sign",
    "The sign is wrong: this is minus the product. The step will go against it, but that "
    "minus is set later.",
    ("return gradient", "return -gradient"),
    ("return r", "return -r"),
)
