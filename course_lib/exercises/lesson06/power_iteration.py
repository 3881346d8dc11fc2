"""`power-iteration`, lesson 06: directions are compared up to their sign.

Some cases stop before it has converged: there the start and the number of steps show.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise

from .shared import doubles, drawn, plain


def _with_singular_values(rng, rows, columns, *values):
    """A random matrix (rows, columns) whose first singular values are given, the others 0."""
    left, right = (torch.linalg.qr(drawn(rng, n, len(values)))[0] for n in (rows, columns))
    return left * doubles(*values) @ right.T


def power_cases(rng):
    yield Case("two by two", doubles(3, 0, 4, 5).reshape(2, 2), doubles(1, 0))
    yield Case("wide", _with_singular_values(rng, 3, 7, 2, 1.2, 0.4), drawn(rng, 7))
    yield Case("tall", _with_singular_values(rng, 8, 3, 0.7, 0.4, 0.1), 5 * drawn(rng, 3))
    # eigenvalues ±1, so that W alone goes to and fro for ever
    yield Case("square, not symmetric", doubles(0, 9, 1 / 9, 0).reshape(2, 2), doubles(1, 1))
    square = _with_singular_values(rng, 5, 5, 3, 1.5, 1, 0.5, 0.2)
    yield Case("five by five", square, drawn(rng, 5))
    large = _with_singular_values(rng, 4, 6, 6e4, 3e4, 1e4)
    yield Case("large entries", large, drawn(rng, 6), 150)
    small = _with_singular_values(rng, 6, 4, 5e-4, 2e-4, 1e-4)
    yield Case("small entries", small, drawn(rng, 4), 150)
    # WᵀWv is some 1e-12 long here: a number that is added to it, or a limit, shows
    tiny = _with_singular_values(rng, 5, 4, 2e-6, 1e-6, 5e-7)
    yield Case("tiny entries", tiny, drawn(rng, 4), 150)
    # before it has converged: only the right number of steps from the right start gives this
    close = _with_singular_values(rng, 4, 3, 2, 1.7, 1.1)
    unit = drawn(rng, 3)
    yield Case("one step", close, unit / unit.norm(), 1)
    yield Case("three steps", close, drawn(rng, 3), 3)
    slow = _with_singular_values(rng, 6, 5, 1, 0.99, 0.5)
    yield Case("two nearly equal, a hundred steps", slow, drawn(rng, 5))


def power_of_numpy(matrix, start, steps=100):
    """Without a loop: in the singular vectors the steps multiply by σ to the power 2 · steps."""
    _, values, right = np.linalg.svd(matrix.numpy(), full_matrices=False)
    v = right.T @ ((values / values[0]) ** (2 * steps) * (right @ start.numpy()))
    v = v / np.linalg.norm(v)
    return np.linalg.norm(values * (right @ v)), v


def up_to_sign(result, matrix, start, steps=100):
    """The stretch and the direction, the direction turned so that its largest entry is positive."""
    if not isinstance(result, list | tuple) or len(result) != 2:
        return result
    norm, direction = result
    direction = torch.as_tensor(plain(direction))
    if direction.ndim != 1:
        return result
    turn = torch.sign(direction[direction.abs().argmax()])
    return norm, direction if turn == 0 else direction * turn


EXERCISE = Exercise(
    title="Power iteration",
    difficulty=2,
    minutes=8,
    hints=[
        "One step replaces v by WᵀWv, which is `matrix.T @ (matrix @ v)`, and divides the result "
        "by its length.",
        "After the steps v has length 1, and the stretch of v is the length of `matrix @ v`.",
    ],
    cases=power_cases,
    parts=("stretch", "direction"),
    oracle=power_of_numpy,
    observe=up_to_sign,
    on_device=False,
    atol=1e-9,
    done="It takes the steps asked for, towards the largest singular value and its direction.",
)


@EXERCISE.variant
def power_with_gram(matrix, start, steps=100):
    gram = matrix.T @ matrix
    v = start
    for _ in range(steps):
        v = gram @ v
        v = v / v.norm()
    return (v @ gram @ v).sqrt(), v


@EXERCISE.variant
def power_both_sides(matrix, start, steps=100):
    v = start / start.norm()
    for _ in range(steps):
        u = matrix @ v
        u /= u.norm()
        v = matrix.T @ u
        v = v / v.norm()
    return (matrix @ v).norm(), v


@EXERCISE.variant
def power_numpy(matrix, start, steps=100):
    w, v = matrix.numpy(), start.numpy()
    for _ in range(steps):
        v = w.T @ (w @ v)
        v = v / np.sqrt(np.sum(v**2))
    return float(np.linalg.norm(w @ v)), v


STEPS_IGNORED = (
    "The result does not depend on `steps`: after one step it is what it should be after many. "
    "Take that number of steps from `start`, and no decomposition and no number of your own."
)

START_IGNORED = (
    "The result does not depend on `start`: the iteration begins at a vector of its own. Begin at "
    "the one that is given."
)

STOPS_EARLY = (
    "Where the first two singular values are nearly equal the result has not converged, and yet it "
    "is not what `steps` steps give: the number of steps is limited, or the loop ends as soon as "
    "two steps differ by little. Take all of them."
)

GUARDED = (
    "On a matrix with entries of 1e-6 the direction does not have length 1: against 0/0 something "
    "is added to the length before v is divided by it, or the length is not let below some limit. "
    "There WᵀWv is 1e-12 long, less than such a guard. Divide by the length itself."
)


@EXERCISE.probe
def power_probe(answer):
    """Whether ``start`` and ``steps`` are used, and the length as it is, however it is written."""

    def run(start, steps):
        torch.manual_seed(0)
        number, v = up_to_sign(answer(matrix, start, steps), matrix, start, steps)
        return np.append(plain(v), float(plain(number)))

    def direction(matrix, start, steps):
        return plain(answer(matrix, start, steps)[1])

    matrix, one = doubles(2, 1, 0, 1, 1.5, 1, 0, 1, 1).reshape(3, 3), doubles(1, 0, 0)
    first = run(one, 1)
    if abs(np.linalg.norm(first[:-1]) - 1) > 1e-6:
        return None  # no direction: something else is wrong
    limit = up_to_sign(power_of_numpy(matrix, one, 400), matrix, one)
    if np.allclose(first, np.append(limit[1], limit[0]), rtol=1e-4):
        return STEPS_IGNORED
    if np.allclose(first, run(doubles(0, 0, 1), 1), rtol=1e-6):
        return START_IGNORED
    slow, both = doubles(1, 0, 0, 0.995).reshape(2, 2), doubles(1, 3)
    found = {n: direction(slow, both, n) for n in (3, 800)}
    shares = {n: 3 * 0.995 ** (2 * n) for n in found}
    wrong = [n for n, (a, b) in found.items() if abs(b - shares[n] * a) > 0.01 * abs(shares[n] * a)]
    if wrong == [800]:
        return STOPS_EARLY
    length = {scale: np.linalg.norm(direction(scale * matrix, one, 9)) for scale in (1, 1e-6)}
    if abs(length[1] - 1) < 1e-4 < abs(length[1e-6] - 1):
        return GUARDED
    return None


EXERCISE.mistake("steps ignored", STEPS_IGNORED, ("range(steps)", "range(150)"))

EXERCISE.mistake("start ignored", START_IGNORED, ("v = start", "v = torch.ones_like(start)"))

EXERCISE.mistake("stops early", STOPS_EARLY, ("range(steps)", "range(min(steps, 80))"))

EXERCISE.mistake("guarded", GUARDED, ("v / v.norm()", "v / (v.norm() + 1e-12)"))

EXERCISE.mistake(
    "one step too few",
    "There is one step too few: after `steps` steps v has been multiplied by WᵀW `steps` "
    "times. Does the range begin at 0?",
    ("range(steps)", "range(steps - 1)"),
)

EXERCISE.mistake(
    "return inside the loop",
    "This is what one step gives, whatever `steps` is: the `return` stands inside the loop, or "
    "every step begins at `start` again and not at what the step before has left.",
    ("range(steps)", "range(1)"),
)

EXERCISE.mistake(
    "the stretch before the last step",
    "The first number is √‖WᵀWv‖ with the v from before the last step: the stretch of the "
    "direction that is returned is asked for, the length of Wv with the last v.",
    ("v = v /", "stretch = v.norm().sqrt()\n        v = v /"),
    ("return (matrix @ v).norm()", "return stretch"),
)

EXERCISE.mistake(
    "the length of Wᵀu",
    "The first number is the length of Wᵀu, where u is the output Wv of the step before, "
    "made one unit long. The stretch of the direction that is returned is asked for, the "
    "length of Wv with the last v.",
    ("v = matrix.T @ (matrix @ v)", "u = matrix @ v\n        v = matrix.T @ (u / u.norm())"),
    ("v = v /", "stretch = v.norm()\n        v = v /"),
    ("return (matrix @ v).norm()", "return stretch"),
)

EXERCISE.mistake(
    "the other order",
    "The two results are in the wrong order: the stretch comes first, the direction second.",
    ("(matrix @ v).norm(), v", "v, (matrix @ v).norm()"),
)

EXERCISE.mistake(
    "normalised after the loop",
    "The vector v is made one unit long only after the loop. By then it has been "
    "multiplied by σ two hundred times, and where its square is beyond any float, or "
    "vanishes, no division brings it back. Divide by the length in every step.",
    ("        v = v / v.norm()", "    v = v / v.norm()"),
)

EXERCISE.mistake(
    "the square",
    "The first number is the square of the norm: WᵀW stretches v by σ², since v is "
    "stretched by W and again by Wᵀ. Take the length of Wv, or the root.",
    ("return (matrix @ v)", "return (matrix.T @ (matrix @ v))"),
)

EXERCISE.mistake(
    "never normalised",
    "The loop does not bring v back to length 1: after a hundred steps it has been "
    "multiplied by σ two hundred times, and it overflows or vanishes.",
    ("v = v / v.norm()", ""),
)

EXERCISE.mistake(
    "W without Wᵀ",
    "The loop multiplies v by W alone. That looks for eigenvectors, which a matrix that is "
    "not square does not have, and the largest eigenvalue of a square one can be far below "
    "its norm. Multiply by WᵀW.",
    ("matrix.T @ (matrix @ v)", "matrix @ v"),
)

EXERCISE.mistake(
    "W Wᵀ",
    "The loop multiplies v by WWᵀ: that is the iteration for the outputs. An input is "
    "multiplied by W first and by Wᵀ then.",
    ("matrix.T @ (matrix @ v)", "matrix @ (matrix.T @ v)"),
)

EXERCISE.mistake(
    "the output direction",
    "The direction is that of the output Wv: the unit input v is asked for.",
    ("norm(), v", "norm(), (matrix @ v) / (matrix @ v).norm()"),
)

EXERCISE.mistake(
    "direction times the norm",
    "The direction does not have length 1: normalise after the last product, too.",
    ("norm(), v", "norm(), (matrix @ v).norm() * v"),
)

EXERCISE.mistake(
    "the norm alone",
    "This is the stretch alone: return the direction as well, as a second result.",
    ("norm(), v", "norm()"),
)

EXERCISE.mistake(
    "largest entry 1",
    "The loop divides v by its largest entry and not by its length, so that Wv is longer "
    "than the stretch.",
    ("v / v.norm()", "v / v.abs().max()"),
)

EXERCISE.mistake(
    "Frobenius",
    "The first number is the Frobenius norm, the root of the sum of all squared entries: "
    "it is never below the operator norm, and above it where there is more than one "
    "singular value.",
    ("(matrix @ v).norm()", "matrix.norm()"),
)

EXERCISE.mistake(
    "the growth in the last step",
    "The first number is the length of WᵀWv in the last step, before it is divided by it: that is "
    "the square of the stretch, as v is stretched by W and again by Wᵀ, and of the v before the "
    "last step. The length of Wv is asked for, with the last v.",
    ("v = v /", "stretch = v.norm()\n        v = v /"),
    ("return (matrix @ v).norm()", "return stretch"),
)

EXERCISE.mistake(
    "one step too many",
    "There is one step too many: after `steps` steps v has been multiplied by WᵀW `steps` times. "
    "Is there a product before the loop, or does the range end at `steps + 1`?",
    ("range(steps)", "range(steps + 1)"),
)

EXERCISE.mistake(
    "twice the steps",
    "There are twice as many steps as `steps` says: a product with Wᵀ and W together is one step.",
    ("range(steps)", "range(2 * steps)"),
)

EXERCISE.mistake(
    "half the steps",
    "There are half as many steps as `steps` says (at least one): each step multiplies by W and "
    "by Wᵀ, so one product with each is a whole step and not a half.",
    ("range(steps)", "range(max(1, steps // 2))"),
)

EXERCISE.mistake(
    "the direction before the last step",
    "The direction is that from before the last step: return the v that the last step has left, "
    "the one whose stretch you return.",
    ("v = matrix.T @ (matrix @ v)", "before = v / v.norm()\n        v = matrix.T @ (matrix @ v)"),
    ("norm(), v", "norm(), before"),
)

EXERCISE.mistake(
    "the sum of squares",
    "The first number is the sum of the squares of Wv: its root is missing, for the length is "
    "asked for.",
    ("(matrix @ v).norm()", "(matrix @ v).square().sum()"),
)

EXERCISE.mistake(
    "divided by the sum of squares",
    "The loop divides v by the sum of its squares, the square of its length: divide by the root "
    "of that, and v has length 1.",
    ("v / v.norm()", "v / v.square().sum()"),
)
