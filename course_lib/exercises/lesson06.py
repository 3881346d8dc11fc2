"""The exercises of lesson 06: operator norms of matrices, convolutions, strides and pooling."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from course_lib.exercises import (
    Case,
    Exercise,
    Mistake,
    Option,
    Prediction,
    Quiz,
    ShortAnswer,
)


def _double(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def _draw(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


# --- power-iteration -------------------------------------------------------------------------


def _with_singular_values(rng, rows, columns, *values):
    """A random matrix (rows, columns) whose first singular values are given, the others 0."""
    left, right = (torch.linalg.qr(_draw(rng, n, len(values)))[0] for n in (rows, columns))
    return left * _double(*values) @ right.T


def power_cases(rng):
    yield Case("two by two", _double(3, 0, 4, 5).reshape(2, 2), _double(1, 0))
    yield Case("wide", _with_singular_values(rng, 3, 7, 2, 1.2, 0.4), _draw(rng, 7))
    yield Case("tall", _with_singular_values(rng, 8, 3, 0.7, 0.4, 0.1), 5 * _draw(rng, 3))
    # eigenvalues ±1, so that W alone goes to and fro for ever
    yield Case("square, not symmetric", _double(0, 9, 1 / 9, 0).reshape(2, 2), _double(1, 1))
    square = _with_singular_values(rng, 5, 5, 3, 1.5, 1, 0.5, 0.2)
    yield Case("five by five", square, _draw(rng, 5))
    large = _with_singular_values(rng, 4, 6, 6e4, 3e4, 1e4)
    yield Case("large entries", large, _draw(rng, 6), 150)
    small = _with_singular_values(rng, 6, 4, 5e-4, 2e-4, 1e-4)
    yield Case("small entries", small, _draw(rng, 4), 150)
    # before it has converged: only the right number of steps from the right start gives this
    close = _with_singular_values(rng, 4, 3, 2, 1.7, 1.1)
    unit = _draw(rng, 3)
    yield Case("one step", close, unit / unit.norm(), 1)
    yield Case("three steps", close, _draw(rng, 3), 3)


def power_of_numpy(matrix, start, steps=100):
    """Without a loop: in the singular vectors the steps multiply by σ to the power 2 · steps."""
    _, values, right = np.linalg.svd(matrix.numpy(), full_matrices=False)
    v = right.T @ ((values / values[0]) ** (2 * steps) * (right @ start.numpy()))
    v = v / np.linalg.norm(v)
    return np.linalg.norm(values * (right @ v)), v


def up_to_sign(result, matrix, start, steps=100):
    """The norm and the direction, the direction turned so that its largest entry is positive."""
    if not isinstance(result, list | tuple) or len(result) != 2:
        return result
    norm, direction = result
    direction = torch.as_tensor(np.asarray(direction))
    if direction.ndim != 1:
        return result
    turn = torch.sign(direction[direction.abs().argmax()])
    return norm, direction if turn == 0 else direction * turn


def power_with_gram(matrix, start, steps=100):
    gram = matrix.T @ matrix
    v = start
    for _ in range(steps):
        v = gram @ v
        v = v / v.norm()
    return (v @ gram @ v).sqrt(), v


def power_both_sides(matrix, start, steps=100):
    v = start / start.norm()
    for _ in range(steps):
        u = matrix @ v
        u /= u.norm()
        v = matrix.T @ u
        v = v / v.norm()
    return (matrix @ v).norm(), v


def power_numpy(matrix, start, steps=100):
    w, v = matrix.numpy(), start.numpy()
    for _ in range(steps):
        v = w.T @ (w @ v)
        v = v / np.sqrt(np.sum(v**2))
    return float(np.linalg.norm(w @ v)), v


def _power(
    step=lambda w, v: w.T @ (w @ v),
    normalise=lambda v: v / v.norm(),
    norm=lambda w, v: (w @ v).norm(),
    give=lambda w, v: v,
):
    """A wrong power iteration."""

    def wrong(matrix, start, steps=100):
        v = start
        for _ in range(steps):
            v = normalise(step(matrix, v))
        return norm(matrix, v), give(matrix, v)

    return wrong


def _normalised_at_the_end(matrix, start, steps=100):
    v = start
    for _ in range(steps):
        v = matrix.T @ (matrix @ v)
    v = v / v.norm()
    return (matrix @ v).norm(), v


def _size_of_the_last_product(root, product):
    """The number is taken from the last product in the loop, before v is what is returned."""

    def wrong(matrix, start, steps=100):
        v = start / start.norm()
        for _ in range(steps):
            number = root(product(matrix, v).norm())
            v = matrix.T @ (matrix @ v)
            v = v / v.norm()
        return number, v

    return wrong


STEPS_IGNORED = (
    "The result does not depend on `steps`: after one step it is what it should be after many. "
    "Take that number of steps from `start`, and no decomposition and no number of your own."
)
START_IGNORED = (
    "The result does not depend on `start`: the iteration begins at a vector of its own. Begin at "
    "the one that is given."
)


def power_probe(answer):
    """Whether ``start`` and ``steps`` are used, however the answer goes about it."""

    def run(start, steps):
        torch.manual_seed(0)
        number, v = up_to_sign(answer(matrix, start, steps), matrix, start, steps)
        return np.append(np.asarray(v), float(number))

    matrix, one = _double(2, 1, 0, 1, 1.5, 1, 0, 1, 1).reshape(3, 3), _double(1, 0, 0)
    if np.allclose(run(one, 1), run(one, 3), rtol=1e-6):
        return STEPS_IGNORED
    if np.allclose(run(one, 1), run(_double(0, 0, 1), 1), rtol=1e-6):
        return START_IGNORED
    return None


POWER_ITERATION = Exercise(
    slug="power-iteration",
    title="Power iteration",
    difficulty=2,
    minutes=8,
    hints=[
        "One step replaces v by WᵀWv, which is `matrix.T @ (matrix @ v)`, and divides the result "
        "by its length.",
        "After the steps v has length 1, and the stretch of v is the length of `matrix @ v`.",
    ],
    cases=power_cases,
    oracle=power_of_numpy,
    observe=up_to_sign,
    on_device=False,
    probes=[power_probe],
    mistakes=[
        Mistake(
            "steps ignored",
            STEPS_IGNORED,
            lambda matrix, start, steps=100: power_both_sides(matrix, start, 150),
            right_shape=True,
        ),
        Mistake(
            "start ignored",
            START_IGNORED,
            lambda matrix, start, steps=100: power_both_sides(
                matrix, torch.ones_like(start), steps
            ),
            right_shape=True,
        ),
        Mistake(
            "one step too few",
            "There is one step too few: after `steps` steps v has been multiplied by WᵀW `steps` "
            "times. Does the range begin at 0?",
            lambda matrix, start, steps=100: _power()(matrix, start, steps - 1),
            right_shape=True,
        ),
        Mistake(
            "the stretch before the last step",
            "The first number is √‖WᵀWv‖ with the v from before the last step: the stretch of the "
            "direction that is returned is asked for, the length of Wv with the last v.",
            _size_of_the_last_product(lambda s: s.sqrt(), lambda w, v: w.T @ (w @ v)),
            right_shape=True,
        ),
        Mistake(
            "the length of Wᵀu",
            "The first number is the length of Wᵀu, where u is the output Wv of the step before, "
            "made one unit long. The stretch of the direction that is returned is asked for, the "
            "length of Wv with the last v.",
            _size_of_the_last_product(lambda s: s, lambda w, v: w.T @ ((w @ v) / (w @ v).norm())),
            right_shape=True,
        ),
        Mistake(
            "the other order",
            "The two results are in the wrong order: the stretch comes first, the direction "
            "second.",
            lambda matrix, start, steps=100: _power()(matrix, start, steps)[::-1],
        ),
        Mistake(
            "normalised after the loop",
            "The vector v is made one unit long only after the loop. By then it has been "
            "multiplied by σ two hundred times, and where its square is beyond any float, or "
            "vanishes, no division brings it back. Divide by the length in every step.",
            _normalised_at_the_end,
            right_shape=True,
        ),
        Mistake(
            "the square",
            "The first number is the square of the norm: WᵀW stretches v by σ², since v is "
            "stretched by W and again by Wᵀ. Take the length of Wv, or the root.",
            _power(norm=lambda w, v: (w.T @ (w @ v)).norm()),
            right_shape=True,
        ),
        Mistake(
            "never normalised",
            "The loop does not bring v back to length 1: after a hundred steps it has been "
            "multiplied by σ two hundred times, and it overflows or vanishes.",
            _power(normalise=lambda v: v),
            right_shape=True,
        ),
        Mistake(
            "W without Wᵀ",
            "The loop multiplies v by W alone. That looks for eigenvectors, which a matrix that is "
            "not square does not have, and the largest eigenvalue of a square one can be far below "
            "its norm. Multiply by WᵀW.",
            _power(step=lambda w, v: w @ v),
        ),
        Mistake(
            "W Wᵀ",
            "The loop multiplies v by WWᵀ: that is the iteration for the outputs. An input is "
            "multiplied by W first and by Wᵀ then.",
            _power(step=lambda w, v: w @ (w.T @ v)),
        ),
        Mistake(
            "the output direction",
            "The direction is that of the output Wv: the unit input v is asked for.",
            _power(give=lambda w, v: (w @ v) / (w @ v).norm()),
        ),
        Mistake(
            "direction times the norm",
            "The direction does not have length 1: normalise after the last product, too.",
            _power(give=lambda w, v: (w @ v).norm() * v),
            right_shape=True,
        ),
        Mistake(
            "the norm alone",
            "This is the stretch alone: return the direction as well, as a second result.",
            lambda matrix, start, steps=100: power_both_sides(matrix, start, steps)[0],
        ),
        Mistake(
            "largest entry 1",
            "The loop divides v by its largest entry and not by its length, so that Wv is longer "
            "than the stretch.",
            _power(normalise=lambda v: v / v.abs().max()),
            right_shape=True,
        ),
        Mistake(
            "Frobenius",
            "The first number is the Frobenius norm, the root of the sum of all squared entries: "
            "it is never below the operator norm, and above it where there is more than one "
            "singular value.",
            _power(norm=lambda w, v: w.norm()),
            right_shape=True,
        ),
    ],
    variants=[power_with_gram, power_both_sides, power_numpy],
    done="It finds the largest singular value and its direction.",
    equivalent_mutants={
        "- def power_iteration(matrix, start, steps=100): / + def power_iteration(matrix, start, "
        f"steps={n}):": "One step more or less, where the iteration has converged."
        for n in (99, 101)
    },
)

# --- norm-from-above -------------------------------------------------------------------------


def above_cases(rng):
    yield Case("two by two, no squaring", _double(3, 0, 4, 5).reshape(2, 2), 0)
    yield Case("two by two", _double(3, 0, 4, 5).reshape(2, 2), 1)
    # small singular values: a forgotten root is then no bound at all
    yield Case("wide, three squarings", 0.02 * _draw(rng, 3, 6), 3)
    yield Case("tall, two squarings", _draw(rng, 7, 4), 2)
    yield Case("large entries", 3e3 * _draw(rng, 4, 5), 7)
    yield Case("small entries", 1e-3 * _draw(rng, 5, 4), 8)
    yield Case("all singular values equal, six squarings", 2 * torch.linalg.qr(_draw(rng, 4, 4))[0])


def above_of_numpy(matrix, squarings=6):
    """From the singular values: (Σ σ^p)^(1/p) with p = 4 · 2^squarings."""
    values = np.linalg.svd(matrix.numpy(), compute_uv=False)
    p = 4 * 2**squarings
    return values[0] * np.sum((values / values[0]) ** p) ** (1 / p)


def above_with_logarithms(matrix, squarings=6):
    gram, log = matrix @ matrix.T, 0.0
    for _ in range(squarings):
        size = float(gram.norm())
        gram = (gram / size) @ (gram / size)
        log = 2 * (log + math.log(size))
    return math.exp((log + math.log(float(gram.norm()))) / 2 ** (squarings + 1))


def above_scaled_once(matrix, squarings=6):
    """One scale for all: with singular values up to 1 the powers vanish, the trace does not."""
    scale = matrix.norm()
    gram = (matrix / scale).T @ (matrix / scale)
    power = torch.linalg.matrix_power(gram, 2**squarings)
    size = power.norm()
    return scale * size ** (1 / 2 ** (squarings + 1))


def above_by_eigenvalues(matrix, squarings=6):
    values = torch.linalg.eigvalsh(matrix.T @ matrix).clamp_min(0)
    largest = values.max()
    powers = ((values / largest) ** (2 ** (squarings + 1))).sum()
    return largest.sqrt() * powers ** (1 / 2 ** (squarings + 2))


def _above(size=lambda g: g.norm(), twice=2, root=lambda k: 2 ** (k + 1), scaled=True, first=None):
    """A wrong bound from above."""

    def wrong(matrix, squarings=6):
        gram = first(matrix) if first else matrix.T @ matrix
        log = 0.0
        for _ in range(squarings):
            s = size(gram) if scaled else torch.ones(()).double()
            gram = (gram / s) @ (gram / s)
            log = twice * (log + s.log())
        return ((log + size(gram).log()) / root(squarings)).exp()

    return wrong


def entries_squared(matrix, squarings=6):
    """Each entry by itself is squared, and not the matrix."""
    gram, log = matrix.T @ matrix, 0.0
    for _ in range(squarings):
        s = gram.norm()
        gram, log = (gram / s) ** 2, 2 * (log + s.log())
    return ((log + gram.norm().log()) / 2 ** (squarings + 1)).exp()


def shifted_once(matrix, squarings=6):
    """The logarithm is added after it should have been doubled."""
    gram, log = matrix.T @ matrix, 0.0
    for _ in range(squarings):
        s = gram.norm()
        gram = (gram / s) @ (gram / s)
        log = 2 * log + s.log()
    return ((log + gram.norm().log()) / 2 ** (squarings + 1)).exp()


ABOVE = Exercise(
    slug="norm-from-above",
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
    valid=lambda got, want, case: np.ndim(got) == 0 and np.isfinite(got) and got >= want,
    loose="This is a bound from above on every case, but a looser one than the powers give.",
    mistakes=[
        Mistake(
            "overflow",
            "The powers are taken as they are, and overflow or vanish: with 8 squarings a norm of "
            "3000 has become 3000 to the power 512, beyond any float. Divide before each squaring "
            "and keep the logarithm of what you divided by.",
            _above(scaled=False),
            right_shape=True,
        ),
        Mistake(
            "the square",
            "The root is of half the order: the result is a bound for σ², since G = WᵀW has the "
            "squares of the singular values.",
            _above(root=lambda k: 2**k),
            right_shape=True,
        ),
        Mistake(
            "the root of one squaring too many",
            "The root is of twice the order: with k squarings it is of order 2ᵏ⁺¹.",
            _above(root=lambda k: 2 ** (k + 2)),
            right_shape=True,
        ),
        Mistake(
            "logarithms not doubled",
            "What you divided by is not squared when the matrix is: each squaring doubles the "
            "logarithm that you keep.",
            _above(twice=1),
            right_shape=True,
        ),
        Mistake(
            "doubled too early",
            "The logarithm of the newest divisor is not doubled: the matrix is divided by s before "
            "it is squared, so its square lacks s². log ← 2 (log + log s).",
            shifted_once,
            right_shape=True,
        ),
        Mistake(
            "divisors forgotten",
            "The result lacks what was divided by on the way: keep the logarithms and add them "
            "at the end.",
            _above(twice=0),
            right_shape=True,
        ),
        Mistake(
            "entries squared",
            "Each entry of G is squared by itself (`G ** 2`): the square of the matrix is `G @ G`. "
            "This can lie below the norm.",
            entries_squared,
            right_shape=True,
        ),
        Mistake(
            "Frobenius norm of W",
            "This is the Frobenius norm of W whatever `squarings` is: a bound, and up to the root "
            "of the rank too large. The powers let the largest singular value win.",
            lambda matrix, squarings=6: matrix.norm(),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "the norm itself",
            "This is the norm itself, from a singular value decomposition: here a bound is asked "
            "for that needs nothing but products of matrices.",
            lambda matrix, squarings=6: torch.linalg.matrix_norm(matrix, 2),
            right_shape=True,
        ),
        Mistake(
            "largest entry",
            "The largest entry of the power stands for its Frobenius norm: the operator norm can "
            "be above that, so this is no bound.",
            _above(size=lambda g: g.abs().max()),
            right_shape=True,
        ),
    ],
    variants=[above_with_logarithms, above_scaled_once, above_by_eigenvalues],
    done="It is a bound from above on every case, as tight as that number of squarings gives.",
)

# --- convolution-matrix ----------------------------------------------------------------------


def matrix_cases(rng):
    yield Case("two taps, three pixels", _double(2, 5), 3, 0)
    yield Case("padded by 1", _double(1, -1, 0), 5, 1)
    yield Case("padded by 2, five taps", _draw(rng, 5), 7, 2)
    yield Case("stride 2", _draw(rng, 3), 8, 1, 2)
    yield Case("stride 3, no padding", _draw(rng, 4), 11, 0, 3)
    yield Case("circular", _draw(rng, 3), 6, 1, circular=True)
    yield Case("circular, stride 2", _draw(rng, 4), 8, 1, 2, circular=True)
    yield Case("circular, once round", _draw(rng, 5), 3, 2, circular=True)


def matrix_by_unit_inputs(kernel, n, padding, stride=1, circular=False):
    """Column i: what PyTorch's own convolution makes of the i-th unit input."""
    x = F.pad(torch.eye(n).to(kernel)[:, None], (padding, padding), **_mode(circular))
    return F.conv1d(x, kernel[None, None], stride=stride)[:, 0].T


def _mode(circular):
    return {"mode": "circular"} if circular else {}


def matrix_by_folding(kernel, n, padding, stride=1, circular=False):
    """The matrix on the padded line, its outer columns folded back or cut off."""
    wide = n + 2 * padding
    outputs = (wide - len(kernel)) // stride + 1
    band = kernel.new_zeros(outputs, wide)
    for j in range(outputs):
        band[j, stride * j : stride * j + len(kernel)] = kernel
    inner = band[:, padding : padding + n].clone()
    if circular and padding:
        inner[:, n - padding :] += band[:, :padding]
        inner[:, :padding] += band[:, padding + n :]
    return inner


def matrix_by_where(kernel, n, padding, stride=1, circular=False):
    outputs = (n + 2 * padding - len(kernel)) // stride + 1
    total = np.zeros((outputs, n))
    for m, value in enumerate(kernel.tolist()):
        for i in range(n):
            gap = i - m + padding - stride * np.arange(outputs)
            total[:, i] += value * (gap % n == 0 if circular else gap == 0)
    return total


def matrix_of_numpy(kernel, n, padding, stride=1, circular=False):
    """Output by output: what a unit input gives, with the sum written out."""
    taps = kernel.numpy()
    mode = "wrap" if circular else "constant"
    columns = [np.pad(unit, padding, mode=mode) for unit in np.eye(n)]
    return np.array([np.correlate(c, taps, mode="valid")[::stride] for c in columns]).T


def _matrix(
    place=None,
    add=True,
    shift=True,
    flip=False,
    step=True,
    always=None,
    finish=lambda m: m,
    left_edge=True,
    in_place=True,
):
    """A wrong matrix of a convolution."""

    def wrong(kernel, n, padding, stride=1, circular=False):
        stride = stride if step else 1
        outputs = (n + 2 * padding - len(kernel)) // stride + 1
        matrix = kernel.new_zeros(outputs, n)
        round_ = circular if always is None else always
        for j in range(outputs):
            for m in range(len(kernel)):
                i = (stride if in_place else 1) * j + m - padding * shift
                value = kernel[len(kernel) - 1 - m if flip else m]
                if round_:
                    i %= n
                if i < n and (i >= 0 or not left_edge):
                    if add:
                        matrix[j, i] += value
                    else:
                        matrix[j, i] = value
        return finish(matrix)

    return wrong


CONVOLUTION_MATRIX = Exercise(
    slug="convolution-matrix",
    title="The matrix of a convolution",
    difficulty=2,
    minutes=10,
    hints=[
        "Two loops: over the outputs j and over the taps m of the kernel. Tap m of output j reads "
        "the input at i = stride · j + m - padding.",
        "The number of outputs is (n + 2 padding - taps) // stride + 1.",
        "With zeros, a position i outside of 0, ..., n - 1 reads a 0: nothing to enter (mind that "
        "Python takes a negative index for one from the end). On the circle it reads i modulo n; "
        "add there, for a kernel may come round to the same pixel twice.",
    ],
    cases=matrix_cases,
    oracle=matrix_of_numpy,
    on_device=False,
    mistakes=[
        Mistake(
            "circular for zero",
            "The positions beyond the ends come back at the other end also where the padding is "
            "zeros: those taps read a 0 and have no entry.",
            _matrix(always=True),
            right_shape=True,
        ),
        Mistake(
            "zero for circular",
            "The circular matrix is the one with zeros: there a position beyond an end is taken "
            "modulo n.",
            _matrix(always=False),
            right_shape=True,
        ),
        Mistake(
            "negative positions from the end",
            "A negative position has become an entry at the far end, because Python takes an "
            "index of -1 for the last. With zeros leave it out.",
            _matrix(left_edge=False),
            right_shape=True,
        ),
        Mistake(
            "flipped kernel",
            "The kernel is turned round. That is the convolution of mathematics; PyTorch's layers "
            "do not turn it, so tap m reads the pixel m places to the right.",
            _matrix(flip=True),
            right_shape=True,
        ),
        Mistake(
            "padding not subtracted",
            "Tap 0 of output 0 reads position 0, but with padding it reads position -padding: "
            "subtract it.",
            _matrix(shift=False),
            right_shape=True,
        ),
        Mistake(
            "padding added",
            "The padding is added to the position that a tap reads: with padding, tap 0 of output "
            "0 reads position -padding, to the left of the line. Subtract it.",
            _matrix(shift=-1),
            right_shape=True,
        ),
        Mistake(
            "stride not in the position",
            "The number of outputs is right, but each output reads one pixel to the right of the "
            "one before: with a stride, output j begins at stride · j - padding.",
            _matrix(in_place=False),
            right_shape=True,
        ),
        Mistake(
            "overwritten",
            "Where the kernel comes round to the same pixel twice, the second tap overwrites the "
            "first: add them.",
            _matrix(add=False),
            right_shape=True,
        ),
        Mistake(
            "transposed",
            "This is the transposed matrix: a row for each output, a column for each input.",
            _matrix(finish=lambda m: m.T),
        ),
        Mistake(
            "stride ignored",
            "Every output is there: with a stride, only those at 0, stride, 2 · stride, ... are "
            "computed.",
            _matrix(step=False),
        ),
    ],
    variants=[matrix_by_unit_inputs, matrix_by_folding, matrix_by_where],
    done="It does to every unit input what `torch.nn.functional.conv1d` does.",
)

# --- symbol-norm -----------------------------------------------------------------------------


def symbol_cases(rng):
    yield Case("one channel, one row of taps", _double(1, -1).reshape(1, 1, 1, 2), 4)
    yield Case("one channel, an odd grid", _double(1, -1).reshape(1, 1, 1, 2), 3)
    yield Case("two channels to three", _draw(rng, 3, 2, 3, 3), 5)
    yield Case("three channels to two", 0.1 * _draw(rng, 2, 3, 3, 2), 4)
    yield Case("the kernel as large as the grid", _draw(rng, 2, 2, 4, 4), 4)
    yield Case("one tap, all ones", torch.ones(5, 6, 1, 1, dtype=torch.float64), 2)
    smooth = _draw(rng, 4, 1, 3, 3).abs()
    yield Case("positive weights", smooth, 6)
    yield Case("two channels of opposite signs", _double(1, -1).reshape(1, 2, 1, 1), 2)


def _circular_matrix(weight, n, stride=1):
    """The layer's matrix, one unit image after the other, by sums written out in NumPy."""
    w = weight.numpy()
    outputs, inputs, height, width = w.shape
    columns = []
    for c in range(inputs):
        for a in range(n):
            for b in range(n):
                y = np.zeros((outputs, n, n))
                for i in range(height):
                    for j in range(width):
                        y[:, (a - i) % n, (b - j) % n] += w[:, c, i, j]
                columns.append(y[:, ::stride, ::stride].ravel())
    return np.array(columns).T


def symbol_of_numpy(weight, n):
    return np.linalg.norm(_circular_matrix(weight, n), 2)


def symbol_one_by_one(weight, n):
    largest = 0.0
    place = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    for f in place:
        for g in place:
            rows = torch.arange(weight.shape[2])[:, None] * f
            phase = torch.exp(-1j * (rows + torch.arange(weight.shape[3]) * g))
            matrix = (weight * phase).sum(dim=(2, 3))
            largest = max(largest, float(torch.linalg.matrix_norm(matrix, 2)))
    return largest


def symbol_by_eigenvalues(weight, n):
    s = torch.fft.rfft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.eigvalsh(s.mH @ s).max().sqrt()


def symbol_padded(weight, n):
    full = weight.new_zeros(*weight.shape[:2], n, n)
    full[:, :, : weight.shape[2], : weight.shape[3]] = weight
    s = np.fft.fft2(full.numpy()).transpose(2, 3, 0, 1)
    return np.linalg.svd(s, compute_uv=False).max()


def _symbol(reduce, **options):
    def wrong(weight, n):
        s = torch.fft.fft2(weight, **({"s": (n, n)} | options))
        return reduce(s.permute(2, 3, 0, 1))

    return wrong


SYMBOL_NORM = Exercise(
    slug="symbol-norm",
    title="The norm of a circular convolution",
    difficulty=3,
    minutes=10,
    hints=[
        "`torch.fft.fft2(weight, s=(n, n))` pads each kernel with zeros to n x n and transforms "
        "it: the result has shape (D, C, n, n), a D x C matrix for each of the n² frequencies.",
        "Bring the frequencies to the front with `.permute(2, 3, 0, 1)`: "
        "`torch.linalg.svdvals` works on the last two axes.",
        "The layer's norm is the largest of all those singular values.",
    ],
    cases=symbol_cases,
    oracle=symbol_of_numpy,
    on_device=False,
    mistakes=[
        Mistake(
            "norm of the reshaped kernel",
            "This is the norm of the kernel reshaped to D x (C·h·w). Neighbouring outputs read the "
            "same pixels again, which that matrix does not know: the layer's norm can be several "
            "times larger. Take the norms of the symbols.",
            lambda weight, n: torch.linalg.matrix_norm(weight.flatten(1), 2),
            right_shape=True,
        ),
        Mistake(
            "largest entry",
            "This is the largest entry of the symbols. With several channels a frequency has a "
            "matrix, and its norm is its largest singular value.",
            _symbol(lambda s: s.abs().max()),
            right_shape=True,
        ),
        Mistake(
            "input channels added up",
            "The symbols of the input channels are added up. That is the output for an input that "
            "is the same in every channel, and no bound: where the channels' weights have opposite "
            "signs they cancel. Each channel has an amplitude of its own, a column of the matrix.",
            _symbol(lambda s: s.sum(-1).abs().square().sum(-1).sqrt().max()),
            right_shape=True,
        ),
        Mistake(
            "modulus before the singular values",
            "The singular values are those of the moduli of the symbols (`.abs()`). Without their "
            "phases the entries cannot cancel: it is a bound, but too large where they do. "
            "`torch.linalg.svdvals` takes complex matrices.",
            _symbol(lambda s: torch.linalg.matrix_norm(s.abs(), 2).max()),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "root of the taps times the reshaped norm",
            "This is the norm of the reshaped kernel times the root of the number of taps: a "
            "bound, since each pixel is read h·w times, but not the norm. Take the norms of the "
            "symbols.",
            lambda weight, n: (
                math.sqrt(weight[0, 0].numel()) * torch.linalg.matrix_norm(weight.flatten(1), 2)
            ),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "Frobenius norm of a symbol",
            "This is the largest Frobenius norm of a symbol, which adds up all its singular values "
            "squared: `torch.linalg.svdvals`, or `matrix_norm(..., 2)`.",
            _symbol(lambda s: torch.linalg.matrix_norm(s).max()),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "frequency 0 alone",
            "This is the symbol at frequency 0, the sum of the taps: it says how constant images "
            "are stretched. Take the largest over all frequencies.",
            _symbol(lambda s: torch.linalg.matrix_norm(s[0, 0], 2)),
            right_shape=True,
        ),
        Mistake(
            "no grid",
            "The kernel is transformed at its own size and not on the grid of n x n: most "
            "frequencies are missing. `fft2(weight, s=(n, n))`.",
            lambda weight, n: _symbol(lambda s: torch.linalg.matrix_norm(s, 2).max(), s=None)(
                weight, n
            ),
            right_shape=True,
        ),
        Mistake(
            "divided by n",
            'The transform is normalised (norm="ortho"), so all symbols are n times too small: '
            "the symbol is the plain sum of taps times waves.",
            _symbol(lambda s: torch.linalg.matrix_norm(s, 2).max(), norm="ortho"),
            right_shape=True,
        ),
        Mistake(
            "singular values over the grid",
            "The singular values are those of the n x n arrays of each pair of channels: "
            "the frequencies must come first, and the channels last (`permute(2, 3, 0, 1)`).",
            _symbol(lambda s: torch.linalg.matrix_norm(s.permute(2, 3, 0, 1), 2).max()),
            right_shape=True,
        ),
        Mistake(
            "the square",
            "This is the square of the norm: the eigenvalues of A*A are the squares of the "
            "singular values of A.",
            _symbol(lambda s: torch.linalg.matrix_norm(s, 2).max() ** 2),
            right_shape=True,
        ),
        Mistake(
            "one for each frequency",
            "These are the norms of all frequencies: their maximum is asked for.",
            _symbol(lambda s: torch.linalg.matrix_norm(s, 2)),
        ),
    ],
    variants=[symbol_one_by_one, symbol_by_eigenvalues, symbol_padded],
    valid=lambda got, want, case: np.ndim(got) == 0 and np.isfinite(got) and got >= want,
    loose="On these cases this is not below the norm, but it is not the norm. (Whether it is a "
    "bound for all kernels, the cases cannot say.)",
    done="It agrees with the norm of the whole matrix, written out.",
)

# --- strided-norm ----------------------------------------------------------------------------


def strided_cases(rng):
    yield Case("stride 2, a single tap", _double(1).reshape(1, 1, 1, 1), 4, 2)
    yield Case("stride 1", _draw(rng, 2, 2, 3, 3), 4, 1)
    yield Case("a tap beside the pixels that are kept", _double(0, 1).reshape(1, 1, 1, 2), 4, 2)
    yield Case("two taps far apart", _double(1, 0, 0, 0, 1).reshape(1, 1, 1, 5), 8, 2)
    yield Case("stride 2", _draw(rng, 3, 2, 3, 3), 6, 2)
    yield Case("stride 2, one channel to many", _draw(rng, 5, 1, 3, 2), 4, 2)
    yield Case("stride 3", 0.1 * _draw(rng, 2, 2, 2, 4), 6, 3)
    yield Case("stride 4, taps of one sign", _draw(rng, 3, 1, 5, 5).abs(), 8, 4)
    yield Case("stride 4, smaller than the stride", _draw(rng, 2, 1, 3, 3), 4, 4)
    opposite = _double(1, -1).reshape(1, 2, 1, 1)
    yield Case("two channels of opposite signs", opposite, 4, 2)


def strided_of_numpy(weight, n, stride):
    return np.linalg.norm(_circular_matrix(weight, n, stride), 2)


def strided_polyphase(weight, n, stride):
    """Without aliasing: the pixels sorted by their place modulo the stride, as channels."""
    outputs, inputs, height, width = weight.shape
    full = weight.new_zeros(outputs, inputs, n, n)
    full[:, :, :height, :width] = weight
    m = n // stride
    phases = full.reshape(outputs, inputs, m, stride, m, stride).permute(0, 1, 3, 5, 2, 4)
    s = torch.fft.fft2(phases.reshape(outputs, -1, m, m)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(s, 2).max()


def strided_reshaped(weight, n, stride):
    s = torch.fft.fft2(weight, s=(n, n))
    m = n // stride
    s = s.reshape(*weight.shape[:2], stride, m, stride, m)  # ξ + l·m is row l·m + ξ
    s = s.permute(3, 5, 0, 1, 2, 4).flatten(3) / stride
    return torch.linalg.svdvals(s).max()


def strided_by_gram(weight, n, stride):
    """Per frequency the sum over the aliases of A A*, divided by stride²."""
    s = np.fft.fft2(weight.numpy(), s=(n, n))
    m, largest = n // stride, 0.0
    for f in range(m):
        for g in range(m):
            block = s[:, :, f::m, g::m].reshape(len(s), -1)
            largest = max(largest, np.linalg.eigvalsh(block @ block.conj().T)[-1])
    return np.sqrt(largest) / stride


def _strided(
    factor=lambda d: 1 / d,
    jump=lambda n, d: n // d,
    pairs=lambda d: [(a, b) for a in range(d) for b in range(d)],
    join=lambda blocks: torch.cat(blocks, dim=-1),
    last=lambda a: torch.linalg.matrix_norm(a, 2).max(),
):
    """A wrong norm of a strided convolution."""

    def wrong(weight, n, stride):
        s = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
        m, by = n // stride, jump(n, stride)
        rows = torch.arange(m)
        blocks = [
            s[((rows + a * by) % n)[:, None], ((rows + b * by) % n)[None]] for a, b in pairs(stride)
        ]
        return last(join(blocks) * factor(stride))

    return wrong


def stride_one(weight, n, stride):
    return torch.linalg.matrix_norm(torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1), 2).max()


def every_stride_th(weight, n, stride):
    """Blocks of every Δ-th frequency, where every n/Δ-th belongs together."""
    s = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    blocks = [s[a::stride, b::stride] for a in range(stride) for b in range(stride)]
    return torch.linalg.matrix_norm(torch.cat(blocks, dim=-1) / stride, 2).max()


def on_the_outputs_grid(weight, n, stride):
    m = n // stride
    s = torch.fft.fft2(weight, s=(m, m)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(s, 2).max()


STRIDED_NORM = Exercise(
    slug="strided-norm",
    title="The norm of a convolution with stride",
    difficulty=4,
    minutes=15,
    hints=[
        "Begin as for stride 1: a D x C matrix for each of the n² frequencies.",
        "With m = n / Δ, frequency (f, g) of the output, 0 ≤ f, g < m, collects the Δ² input "
        "frequencies (f + a·m, g + b·m), a and b from 0 to Δ - 1. With the frequencies in front "
        "their block is `symbols[a * m : (a + 1) * m, b * m : (b + 1) * m]`.",
        "Put those Δ² blocks side by side (`torch.cat(blocks, dim=-1)`): a D x (C·Δ²) matrix for "
        "each of the m² output frequencies.",
        "The prefactor: for the single tap 1 the matrix is a row of Δ² ones, whose norm is Δ, and "
        "the layer's norm is 1.",
    ],
    cases=strided_cases,
    oracle=strided_of_numpy,
    on_device=False,
    valid=lambda got, want, case: np.ndim(got) == 0 and np.isfinite(got) and got >= want,
    loose="On these cases this is not below the norm, but it is not the norm. (Whether it is a "
    "bound for all kernels, the cases cannot say.)",
    mistakes=[
        Mistake(
            "Δ⁻²",
            "The prefactor is the printed Δ⁻²: the result is Δ times too small, and no bound. A "
            "layer that keeps every Δ-th pixel as it is has norm 1; which prefactor gives that?",
            _strided(factor=lambda d: d**-2.0),
            right_shape=True,
        ),
        Mistake(
            "no prefactor",
            "There is no prefactor: the result is Δ times the norm. It is a bound, but a layer "
            "that keeps every Δ-th pixel as it is has norm 1.",
            _strided(factor=lambda d: 1.0),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "one dimension",
            "The prefactor is 1/√Δ, which is that of one dimension: images have two axes, each "
            "of which brings that factor.",
            _strided(factor=lambda d: d**-0.5),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "stride 1",
            "This is the norm with stride 1. It is a bound, because a stride only leaves outputs "
            "out, and not the norm for the same reason.",
            stride_one,
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "aliases at ξ + l·N",
            "The aliases are taken N apart, where the transform repeats: all Δ² blocks are the "
            "same. The output's grid has N/Δ points, and the aliases lie N/Δ apart.",
            _strided(jump=lambda n, d: n),
            right_shape=True,
        ),
        Mistake(
            "neighbours for aliases",
            "The blocks are those of ξ, ξ + 1, ...: neighbouring frequencies. Those that look the "
            "same on the output's grid lie N/Δ apart.",
            _strided(jump=lambda n, d: 1),
            right_shape=True,
        ),
        Mistake(
            "every Δ-th frequency",
            "The blocks are `symbols[a::Δ, b::Δ]`, which puts Δ² neighbouring frequencies into one "
            "matrix. Those that look the same on the output's grid lie n/Δ apart: with m = n/Δ "
            "they are `symbols[a * m : (a + 1) * m, ...]`.",
            every_stride_th,
            right_shape=True,
        ),
        Mistake(
            "the output's grid",
            "The kernel is transformed on the grid of n/Δ points, that of the output. The input "
            "has n x n frequencies: transform with `s=(n, n)`, and then put Δ² of them together.",
            on_the_outputs_grid,
            right_shape=True,
        ),
        Mistake(
            "divided by n",
            'The transform is normalised (norm="ortho"), so the result is n times too small: the '
            "symbol is the plain sum of taps times waves.",
            lambda weight, n, stride: strided_reshaped(weight, n, stride) / n,
            right_shape=True,
        ),
        Mistake(
            "Frobenius norm of a block",
            "This is the largest Frobenius norm of a block, which adds up all its singular values "
            "squared: a bound, but not the norm. `torch.linalg.svdvals`, or `matrix_norm(..., 2)` "
            "over the last two axes.",
            _strided(last=lambda a: torch.linalg.matrix_norm(a).max()),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "aliases on the diagonal",
            "Only Δ aliases are collected, those shifted along both axes at once: there are Δ², "
            "as l has two components.",
            _strided(pairs=lambda d: [(a, a) for a in range(d)]),
            right_shape=True,
        ),
        Mistake(
            "blocks on top of each other",
            "The blocks are stacked as rows. Δ² input frequencies meet in one output "
            "frequency: they are columns of one matrix, side by side.",
            _strided(join=lambda blocks: torch.cat(blocks, dim=-2)),
            right_shape=True,
        ),
        Mistake(
            "blocks one by one",
            "Each alias is looked at alone. An input may hold all Δ² of them, and they add up in "
            "the same output frequency: put them into one matrix.",
            _strided(join=lambda blocks: torch.stack(blocks)),
            right_shape=True,
        ),
        Mistake(
            "the square",
            "This is the square of the norm: the eigenvalues of AA* are the squares of the "
            "singular values of A.",
            _strided(last=lambda a: torch.linalg.matrix_norm(a, 2).max() ** 2),
            right_shape=True,
        ),
        Mistake(
            "blocks added",
            "The blocks are added. That is the output for an input that has the same amplitude in "
            "every alias; each alias has an amplitude of its own, a column of its own.",
            _strided(join=sum),
            right_shape=True,
        ),
    ],
    variants=[strided_polyphase, strided_reshaped, strided_by_gram],
    done="It agrees with the norm of the whole matrix, written out, for strides 1 to 4.",
)


# --- pooling-constant ------------------------------------------------------------------------


def pooling_cases(rng):
    yield Case("2 x 2, stride 2", 2, 2, 28)
    yield Case("3 x 3, stride 2", 3, 2, 13)
    yield Case("3 x 3, stride 1", 3, 1, 10)
    yield Case("5 x 5, stride 2", 5, 2, 20)
    yield Case("2 x 2, stride 3", 2, 3, 11)
    yield Case("one dimension", 3, 2, 9, 1)
    yield Case("three dimensions", 4, 2, 12, 3)
    yield Case("a small image", 3, 1, 4)
    yield Case("one window", 4, 2, 5)


def pooling_of_numpy(kernel, stride, n, dimensions=2):
    """Counted: the windows of every pixel of the whole image."""
    counts = np.zeros((n,) * dimensions)
    starts = range(0, n - kernel + 1, stride)
    for place in np.ndindex(*(len(starts),) * dimensions):
        counts[tuple(slice(starts[j], starts[j] + kernel) for j in place)] += 1
    return np.sqrt(counts.max())


def pooling_closed(kernel, stride, n, dimensions=2):
    windows = (n - kernel) // stride + 1
    return min(math.ceil(kernel / stride), windows) ** (dimensions / 2)


def pooling_by_gradient(kernel, stride, n, dimensions=2):
    """How often a sum over windows reads each pixel of a line: the gradient of the sums."""
    line = torch.zeros(1, 1, n, dtype=torch.float64, requires_grad=True)
    F.conv1d(line, line.new_ones(1, 1, kernel), stride=stride).sum().backward()
    return math.sqrt(float(line.grad.max()) ** dimensions)


def _along(kernel, stride, n):
    return min(-(-kernel // stride), (n - kernel) // stride + 1)


POOLING = Exercise(
    slug="pooling-constant",
    title="How much max pooling can stretch",
    difficulty=2,
    minutes=8,
    hints=[
        "Along one axis, window j covers the pixels from stride · j to stride · j + kernel - 1, "
        "for j = 0, 1, ... as long as it fits. Count for each pixel how many windows cover it.",
        "In d dimensions a pixel's windows are counted along every axis, and the counts multiply: "
        "the largest count of one axis to the power d.",
        "The constant is the square root of that: every one of those outputs moves by the same "
        "amount, and the L2 norm adds squares.",
    ],
    cases=pooling_cases,
    oracle=pooling_of_numpy,
    on_device=False,
    valid=lambda got, want, case: np.ndim(got) == 0 and np.isfinite(got) and got >= want,
    loose="This is never below the constant, but it is not the constant.",
    mistakes=[
        Mistake(
            "1",
            "This says that max pooling never stretches, as the paper does. That is so where the "
            "windows do not overlap; a pixel that is the maximum of several windows moves "
            "several outputs.",
            lambda kernel, stride, n, dimensions=2: 1.0,
            right_shape=True,
        ),
        Mistake(
            "the count without the root",
            "This is the number of windows. If all of them move by t, the output moves by "
            "√(number · t²): take the root.",
            lambda kernel, stride, n, dimensions=2: _along(kernel, stride, n) ** dimensions,
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "one axis alone",
            "The windows are counted along one axis only: in d dimensions the counts multiply, and "
            "the root is taken of the product.",
            lambda kernel, stride, n, dimensions=2: _along(kernel, stride, n) ** 0.5,
            right_shape=True,
        ),
        Mistake(
            "kernel over stride",
            "The ratio kernel / stride is the average number of windows along an axis; a pixel is "
            "in a whole number of them, and the largest counts.",
            lambda kernel, stride, n, dimensions=2: (kernel / stride) ** (dimensions / 2),
            right_shape=True,
        ),
        Mistake(
            "rounded down",
            "The ratio kernel / stride is rounded down: of 3 x 3 windows with stride 2, every "
            "second pixel of a line is in two. Round up.",
            lambda kernel, stride, n, dimensions=2: max(kernel // stride, 1) ** (dimensions / 2),
            right_shape=True,
        ),
        Mistake(
            "an endless image",
            "This is right for an image that is large enough. On a small one there are fewer "
            "windows than kernel / stride: count those that fit.",
            lambda kernel, stride, n, dimensions=2: math.ceil(kernel / stride) ** (dimensions / 2),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "two dimensions always",
            "This is the constant in two dimensions: in d the count of one axis is taken to the "
            "power d / 2.",
            lambda kernel, stride, n, dimensions=2: float(_along(kernel, stride, n)),
            right_shape=True,
        ),
        Mistake(
            "all pixels of a window",
            "This counts the pixels of a window. What stretches is the other way round: the "
            "windows of a pixel.",
            lambda kernel, stride, n, dimensions=2: kernel ** (dimensions / 2),
            right_shape=True,
            loose=True,
        ),
    ],
    variants=[pooling_closed, pooling_by_gradient],
    done="It agrees with the windows of every pixel, counted.",
)

EXERCISES = [
    POWER_ITERATION,
    ABOVE,
    CONVOLUTION_MATRIX,
    SYMBOL_NORM,
    STRIDED_NORM,
    POOLING,
]

# --- predictions, quizzes, short answers -----------------------------------------------------

PREDICTIONS = {
    "random-stretch": Prediction(
        "The first layer of FC100-100-10: its operator norm, divided by its average stretch of a "
        "random direction. How many times?",
        digits=2,
    ),
    "reshaped-share": Prediction(
        "conv2 of CONV: the norm of its kernel reshaped to 32 x (16 · 3 · 3), as a share of the "
        "layer's operator norm?",
        unit="%",
        digits=2,
    ),
    "prefactor": Prediction(
        "Δ = 4, the kernel a single 1: what is the norm of the printed matrix, with Δ⁻²?",
        digits=3,
    ),
    "overlapping-pool": Prediction(
        "Max pooling over windows of 3 x 3 with stride 2: how many times larger can the change of "
        "its output be than the change of its input?",
        digits=2,
    ),
    "fooled-by-pattern": Prediction(
        "Each image gets the pattern that conv1 stretches most, as large as its own adversarial "
        "perturbation. Which share does CONV misread?",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "from-below": Quiz(
        "After 20 steps, power iteration says 7.28 for a layer. What is known about its norm?",
        [
            Option(
                "It is at most 7.28",
                False,
                "An input was found that is stretched by 7.28. There may be others that are "
                "stretched more: the number is a bound from below.",
            ),
            Option(
                "It is at least 7.28",
                True,
                "The number is the stretch of one input, and the norm is the largest of all "
                "inputs. Nothing of what the iteration has seen says how far away that is.",
            ),
            Option(
                "It is 7.28 to the digits printed, once two steps give the same",
                False,
                "Where the start has hardly any share of the first singular vector, the iteration "
                "rests at the second for a long time before it moves on.",
            ),
        ],
    ),
    "larger-grid": Quiz(
        "A layer with zero padding reads an image of 28 x 28. Why is its norm at most that of the "
        "circular layer on 29 x 29 (padding 1)?",
        [
            Option(
                "Because a larger grid has more frequencies",
                False,
                "It has other frequencies. On a larger grid the circular norm can be smaller, as "
                "the crosses in the figure show.",
            ),
            Option(
                "Because the image, with zeros beside it, is an input of the circular layer",
                True,
                "One row of zeros separates the two ends, so the circular layer reads a zero "
                "wherever the padded one does. Its inputs include all padded images, and its "
                "outputs include all those of the padded layer.",
            ),
            Option(
                "Because padding adds something to the image",
                False,
                "Zeros add nothing to its length. What counts is what the wrapped kernel reads at "
                "the edge.",
            ),
        ],
    ),
    "sigmoid-slope": Quiz(
        "A layer of norm 8 is followed by the sigmoid. What can you say about the two together?",
        [
            Option(
                "They stretch by at most 8",
                False,
                "True, as anything larger would be; but the sigmoid's slope is nowhere above 1/4.",
            ),
            Option(
                "They stretch by at most 2",
                True,
                "The slope s(1 - s) is at most 1/4, at 0. It is a bound: it is reached only where "
                "all units that the direction uses are near 0.",
            ),
            Option(
                "They stretch by exactly 2",
                False,
                "Only where every unit that matters stands at the steepest point. Everywhere else "
                "the sigmoid stretches less.",
            ),
        ],
    ),
    "groups": Quiz(
        "A convolution in two groups: the first half of the channels is read by one kernel of "
        "norm 3, the other half by one of norm 4. What is the norm of the layer?",
        [
            Option(
                "4, the larger",
                True,
                "The matrix has two blocks that share no row and no "
                "column. An input does best to put all of its length into the second.",
            ),
            Option(
                "5, the root of 9 + 16",
                False,
                "That would be an input of length 1 in each of "
                "the halves, and it has the length √2.",
            ),
            Option(
                "12, the product",
                False,
                "Norms multiply where one layer comes after the "
                "other; these two stand side by side. (A published library did multiply them.)",
            ),
        ],
    ),
}

ANSWERS = {
    "table-5": ShortAnswer(
        "Somebody shows you the first row of Table 5: Conv. 1, 3 x 11 x 11 x 96, stride 4, upper "
        "bound 2.75. Name two things that you would have to know before you call 2.75 a bound for "
        "this layer, and say what each would change.",
        rubric=[
            "It asks for the prefactor: with the printed Δ⁻² the number is four times too small.",
            "It asks for the grid: a circular norm at the image's own size is no bound for zero "
            "padding; the larger grid costs little.",
            "Or it asks for the grid of the aliases, or whether the number is that of a reshaped "
            "kernel, or one from power iteration, which are bounds from below.",
            "It does not say that 2.75 is wrong: the paper does not tell, and without the weights "
            "it cannot be computed again.",
        ],
    ),
}
