"""`norm-from-above`, lesson 06: powers that overflow or vanish unless they are rescaled.

Singular values below 1 make a forgotten root fall below the norm; what lies above is only loose.
"""

import math

import numpy as np
import torch

from course_lib.exercises import Case, Exercise

from .shared import above_a_matrix, called, doubles, drawn, plain


def above_cases(rng):
    yield Case("two by two, no squaring", doubles(3, 0, 4, 5).reshape(2, 2), 0)
    yield Case("two by two", doubles(3, 0, 4, 5).reshape(2, 2), 1)
    # small singular values: a forgotten root is then no bound at all
    yield Case("wide, three squarings", 0.02 * drawn(rng, 3, 6), 3)
    yield Case("tall, two squarings", drawn(rng, 7, 4), 2)
    yield Case("large entries", 3e3 * drawn(rng, 4, 5), 7)
    yield Case("small entries", 1e-3 * drawn(rng, 5, 4), 8)
    # none of them stands out: powers of what was scaled once vanish
    yield Case("ten squarings", drawn(rng, 8, 9), 10)
    yield Case("tiny entries", 1e-6 * drawn(rng, 4, 6), 5)
    # a guard against 0 is larger than G, and behind no squaring nothing hides it
    yield Case("tiny entries, no squaring", 1e-6 * drawn(rng, 4, 6), 0)
    yield Case("entries of 1e-9, eight squarings", 1e-9 * drawn(rng, 5, 4), 8)
    yield Case("all singular values equal, six squarings", 2 * torch.linalg.qr(drawn(rng, 4, 4))[0])
    # the sums of rows or of columns are no bounds: here the others are much larger
    yield Case("one column", torch.ones(6, 1, dtype=torch.float64), 2)
    yield Case("one row", torch.ones(1, 6, dtype=torch.float64), 3)
    yield Case("two equal ones, eight squarings", 2 * torch.linalg.qr(drawn(rng, 4, 2))[0], 8)


def above_of_numpy(matrix, squarings=6):
    """From the singular values: (Σ σ^p)^(1/p) with p = 4 · 2^squarings."""
    values = np.linalg.svd(matrix.numpy(), compute_uv=False)
    p = 4 * 2**squarings
    return values[0] * np.sum((values / values[0]) ** p) ** (1 / p)


EXERCISE = Exercise(
    title="A bound from above",
    difficulty=3,
    minutes=10,
    hints=[
        "The Gram matrix is G = WᵀW. Square it `squarings` times; the Frobenius norm of the last "
        "power (`.norm()`) is the root of the sum of all σ to the power 4·2ᵏ, with k = squarings. "
        "So its root of order 2ᵏ⁺¹ is the bound.",
        "Against overflow: before each squaring divide by s, the Frobenius norm of what you have, "
        "and keep log s. The square then lacks the factor s², so the logarithm that you keep is "
        "log ← 2 (log + log s).",
        "At the end: exp((log + log of the last Frobenius norm) / 2ᵏ⁺¹).",
    ],
    cases=above_cases,
    oracle=above_of_numpy,
    on_device=False,
    atol=1e-11,
    valid=above_a_matrix,
    loose="This is a bound from above on every case, but a looser one than the powers give. Does "
    "it come down with every squaring, as theirs does?",
    done="It is a bound from above on every case, as tight as that number of squarings gives.",
)


@EXERCISE.variant
def above_with_logarithms(matrix, squarings=6):
    gram, log = matrix @ matrix.T, 0.0
    for _ in range(squarings):
        size = float(gram.norm())
        gram = (gram / size) @ (gram / size)
        log = 2 * (log + math.log(size))
    return math.exp((log + math.log(float(gram.norm()))) / 2 ** (squarings + 1))


@EXERCISE.variant
def above_by_powers_of_the_scaled(matrix, squarings=6):
    """One more product, and the trace: tr(G^(2^(k+1))) is the square of the Frobenius norm."""
    gram = matrix.T.numpy() @ matrix.numpy()
    log = 0.0
    for _ in range(squarings + 1):
        size = np.abs(gram).max()
        gram = (gram / size) @ (gram / size)
        log = 2 * (log + np.log(size))
    return np.exp((log + np.log(np.trace(gram))) / 2 ** (squarings + 2))


EXERCISE.mistake(
    "overflow",
    "The powers are taken as they are, and overflow or vanish: with 8 squarings a norm of "
    "3000 has become 3000 to the power 512, beyond any float. Divide before each squaring "
    "and keep the logarithm of what you divided by.",
    ("(gram / size) @ (gram / size)", "gram @ gram"),
    ("2 * (log + size.log())", "0.0"),
)


@EXERCISE.mistake(
    "scaled once",
    "The matrix is scaled once, before all squarings. With many of them its powers vanish all the "
    "same, and 0 is no bound: divide again before each squaring, and keep the logarithms.",
)
def above_scaled_once(matrix, squarings=6):
    scale = matrix.norm()
    gram = (matrix / scale).T @ (matrix / scale)
    power = torch.linalg.matrix_power(gram, 2**squarings)
    return scale * power.norm() ** (1 / 2 ** (squarings + 1))


EXERCISE.mistake(
    "the square",
    "The root is of half the order: the result is a bound for σ², since G = WᵀW has the "
    "squares of the singular values.",
    ("2 ** (squarings + 1)", "2**squarings"),
)

EXERCISE.mistake(
    "the root of one squaring too many",
    "The root is of twice the order: with k squarings it is of order 2ᵏ⁺¹.",
    ("squarings + 1", "squarings + 2"),
)

EXERCISE.mistake(
    "logarithms not doubled",
    "What you divided by is not squared when the matrix is: each squaring doubles the "
    "logarithm that you keep.",
    ("log = 2 * ", "log = "),
)

EXERCISE.mistake(
    "doubled too early",
    "The logarithm of the newest divisor is not doubled: the matrix is divided by s before "
    "it is squared, so its square lacks s². log ← 2 (log + log s).",
    ("2 * (log + size.log())", "2 * log + size.log()"),
)

EXERCISE.mistake(
    "divisors forgotten",
    "The result lacks what was divided by on the way: keep the logarithms and add them at the end.",
    ("(log + gram", "(gram"),
)

EXERCISE.mistake(
    "return inside the loop",
    "There is one squaring, whatever `squarings` is, or it is the root of the first that is "
    "returned: does the `return` stand inside the loop?",
    ("range(squarings)", "range(min(squarings, 1))"),
    ("2 ** (squarings + 1)", "2 ** (min(squarings, 1) + 1)"),
    loose=True,
)

GUARDED = (
    "On a matrix with entries of 1e-6 the result is wrong, and right where they are larger: "
    "something is added to what you divide by (against 0/0), and does not come back at the end. "
    "There G has entries of 1e-12, less than such a guard. Use the norm itself."
)

EXERCISE.mistake(
    "guarded",
    GUARDED,
    ("gram / size) @ (gram / size", "gram / (size + 1e-12)) @ (gram / (size + 1e-12)"),
)

EXERCISE.mistake(
    "a guard inside of the logarithm",
    "Something is added inside of a logarithm (against the log of 0), which makes the bound larger "
    "than what the powers give: on a matrix with entries of 1e-6 it is far too large, for there "
    "G has entries of 1e-12. The matrix is not 0, so its norm is not either.",
    ("size.log()", "(size + 1e-12).log()"),
    ("gram.norm().log()", "(gram.norm() + 1e-12).log()"),
)


FIXED = (
    "The result is the same for a matrix three times as large: no number that does not depend on "
    "the entries is a bound for all matrices."
)

EXERCISE.mistake("a fixed number", FIXED, lambda matrix, squarings=6: 1e9)

DECOMPOSED = (
    "The number is right, and it comes from a decomposition (the singular values, or the "
    "eigenvalues of G): who has those has the norm itself, and needs no bound. Here it is to be "
    "found by products of matrices alone: square G `squarings` times."
)


@EXERCISE.probe
def above_probe(answer):
    """Whether a guard against 0 shows, wherever it stands: the bound of tW is t times that of W.

    And whether the number depends on W, and comes from products alone.
    """
    matrix = doubles(2, 1, 0, 1, 1.5, 1, 0, 1, 1).reshape(3, 3)
    right = above_of_numpy(matrix, 4)
    found = [float(plain(answer(scale * matrix, 4))) / scale for scale in (1.0, 1e-6, 3.0)]
    if abs(found[0] / right - 1) < 1e-4 < abs(found[1] / right - 1):
        return GUARDED
    if found[0] == 3.0 * found[2]:
        return FIXED
    decomposes = any("svd" in name or "eig" in name for name in called(answer, matrix, 4))
    return DECOMPOSED if decomposes and abs(found[0] / right - 1) < 1e-4 else None


EXERCISE.mistake(
    "entries squared",
    "Each entry of G is squared by itself (`G ** 2`): the square of the matrix is `G @ G`. "
    "This can lie below the norm.",
    ("(gram / size) @ (gram / size)", "(gram / size) ** 2"),
)

EXERCISE.mistake(
    "Frobenius norm of W",
    "This is the Frobenius norm of W whatever `squarings` is: a bound, and up to the root "
    "of the rank too large. The powers let the largest singular value win.",
    lambda matrix, squarings=6: matrix.norm(),
    loose=True,
)

EXERCISE.mistake(
    "sum of all entries",
    "This is the sum of the sizes of all entries, whatever `squarings` is: a bound, and for a full "
    "matrix a far larger one than even the Frobenius norm. The powers let the largest singular "
    "value win.",
    lambda matrix, squarings=6: matrix.abs().sum(),
    loose=True,
)

EXERCISE.mistake(
    "the norm itself",
    "This is the norm itself, by a decomposition or by many steps of power iteration. Such steps "
    "reach it from below, so they promise nothing; a decomposition is what large matrices do not "
    "allow. Asked for is a bound from above, by products of matrices: it is a little larger.",
    lambda matrix, squarings=6: torch.linalg.matrix_norm(matrix, 2),
)

EXERCISE.mistake(
    "largest entry",
    "The largest entry of the power stands for its Frobenius norm: the operator norm can "
    "be above that, so this is no bound.",
    ("gram.norm().log()", "gram.abs().max().log()"),
)


@EXERCISE.mistake(
    "the last norm forgotten",
    "The logarithms of the divisors are there, and the Frobenius norm of the last power is not: "
    "after the last squaring the matrix has not been divided any more, so its norm belongs in.",
)
def above_without_the_last_norm(matrix, squarings=6):
    gram, log = matrix.T @ matrix, torch.zeros(()).double()
    for _ in range(squarings):
        size = gram.norm()
        gram = (gram / size) @ (gram / size)
        log = 2 * (log + size.log())
    return (log / 2 ** (squarings + 1)).exp()


EXERCISE.mistake(
    "the logarithm",
    "This is the logarithm of the bound: `exp` is missing at the end.",
    (".exp()", ""),
)

EXERCISE.mistake(
    "one squaring too many",
    "The matrix is squared once more than `squarings` says, and the root is that of the smaller "
    "number: is there a product before the loop, or does the range end at `squarings + 1`?",
    ("range(squarings)", "range(squarings + 1)"),
)

EXERCISE.mistake(
    "six squarings always",
    "There are six squarings whatever `squarings` is: 6 is what it is where nobody says another "
    "number.",
    ("range(squarings)", "range(6)"),
    ("2 ** (squarings + 1)", "2**7"),
)
