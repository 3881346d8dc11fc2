"""`haar-bases`, lesson 02: facts are compared that hold for every right draw.

The numbers themselves are up to the answer; whether the generator decides them is a probe's
question. The counts are so small that count and width exchanged are still a matter of seconds.
"""

import scipy.stats
import torch
import torch.nn.functional as F

from course_lib import units
from course_lib.exercises import Case, Exercise, as_tensor


def basis_cases(rng):
    for count, width in ((3, 4), (2000, 2), (1500, 3), (1200, 5)):
        seed = int(torch.randint(1000, (1,), generator=rng))
        generator = torch.Generator().manual_seed(seed)
        yield Case(f"{count} bases of {width} dimensions", count, width, generator)


def doubles(result):
    """What somebody's function returned, in double precision on the processor."""
    return as_tensor(result, torch.float64, "cpu")


def facts(result, count, width, generator):
    """What every right answer has in common, whatever numbers it draws.

    The moments of Haar bases are known: E[q] = 0, E[q_ij q_kl] is 1 / width where (i, j) = (k, l)
    and 0 elsewhere, E[q_ij^4] = 3 / (width (width + 2)), E[trace(turn q)^4] = 3 for any turn,
    and as many have determinant 1 as -1. Each is allowed five standard errors or more. Of a few
    bases only the form is looked at.
    """
    if result is None:
        return None
    q = doubles(result)
    shape, wanted = tuple(q.shape), (count, width, width)
    told = {"shape": f"{shape}"}
    if shape != wanted:
        return told
    length, across = q.square().sum(1), q.square().sum(2)
    angles = q.transpose(1, 2) @ q - torch.diag_embed(length)
    told |= {
        "columns have length 1": bool((length - 1).abs().max() < 1e-4),
        "rows have length 1": bool((across - 1).abs().max() < 1e-4),
        "columns are orthogonal": bool(angles.abs().max() < 1e-4),
    }
    return told | (moments(q) if count > 100 else {})


def moments(q):
    """The facts about the distribution of the bases q (count, width, width)."""
    count, width, _ = q.shape
    near, flat = 6 / count**0.5, q.flatten(1)
    # the sum of the fourth powers of a column, or a row: small towards the corners of a cube
    fourth = torch.cat([q.pow(4).sum(1), q.pow(4).sum(2)], dim=1)
    mean, ways = 3 / (width + 2), (width + 2) * (width + 4) * (width + 6)
    spread = ((105 + 9 * (width - 1)) / ways - mean**2) ** 0.5
    pairs = flat.T @ flat / count - torch.eye(width**2, dtype=torch.float64) / width
    following = (q[1:] * q[:-1]).sum((1, 2))
    turn = torch.linalg.qr(torch.arange(float(width**2)).cos().reshape(width, width).double()).Q
    traces = torch.einsum("kij,bij->kb", torch.stack([torch.eye(width).double(), turn]), q).pow(4)
    return {
        "entries are 0 on average": bool(q.mean(0).abs().max() < near / width**0.5),
        "no direction is preferred": bool(
            (fourth.mean(0) - mean).abs().max() < 5 * spread / count**0.5
        ),
        "turned, they are as likely": bool((traces.mean(1) - 3).abs().max() < 10 * near),
        "no two entries go together": bool(pairs.abs().max() < near / width),
        "both orientations occur": bool(torch.linalg.det(q).sign().mean().abs() < near),
        "bases differ": bool((q - q[0]).abs().max() > 1e-3),
        "a basis says nothing about the next": bool(
            following.mean().abs() < near and (following.square().mean() - 1).abs() < 2 * near
        ),
    }


def bases_of_scipy(count, width, generator):
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return scipy.stats.ortho_group.rvs(width, size=count, random_state=seed)


EXERCISE = Exercise(
    title="Bases in which every direction is equally likely",
    difficulty=3,
    minutes=10,
    hints=[
        "A matrix of independent Gaussian numbers has no preferred direction: turned, it is as "
        "likely as before. `torch.linalg.qr` makes its columns orthonormal and works on a whole "
        "batch (count, width, width).",
        "QR is not unique: a column of Q and the row of R that belongs to it may both change "
        "sign. The library has its own habit, and Q inherits it. Ask for a positive diagonal of "
        "R.",
        "`torch.diagonal(r, dim1=1, dim2=2).sign()` is (count, width), a sign per column: it "
        "has to be multiplied along the last axis, `[:, None, :]`.",
    ],
    cases=basis_cases,
    oracle=bases_of_scipy,
    twins=[units.haar_bases],
    observe=facts,
    time_limit=20,
    done="Orthonormal, and no direction is preferred (SciPy has it as scipy.stats.ortho_group).",
    equivalent_mutants={
        "- return q * signs[:, None, :] / + return q / signs[:, None, :]": (
            "Signs are 1 and -1: to divide by them is to multiply by them."
        ),
    },
)


@EXERCISE.variant
def bases_one_by_one(count, width, generator):
    found = []
    for _ in range(count):
        q, r = torch.linalg.qr(torch.randn(width, width, generator=generator))
        found.append(q @ torch.diag(torch.sign(torch.diag(r))))
    return torch.stack(found)


EXERCISE.variant(bases_of_scipy)


@EXERCISE.variant
def bases_with_random_signs(count, width, generator):
    """A random sign for each column is as good as the one that R's diagonal asks for."""
    q, _ = torch.linalg.qr(torch.randn(count, width, width, generator=generator))
    return q * (2 * torch.randint(2, (count, 1, width), generator=generator) - 1)


@EXERCISE.variant
def bases_by_svd(count, width, generator):
    """The nearest orthogonal matrix, which is Haar as well."""
    u, _, v = torch.linalg.svd(torch.randn(count, width, width, generator=generator))
    return u @ v


@EXERCISE.variant
def bases_by_gram_schmidt(count, width, generator):
    columns = list(torch.randn(width, count, width, generator=generator).double())
    for i, column in enumerate(columns):
        for earlier in columns[:i]:
            column = column - (column * earlier).sum(1, keepdim=True) * earlier
        columns[i] = F.normalize(column, dim=1)
    return torch.stack(columns, dim=2)


@EXERCISE.variant
def bases_in_a_list(count, width, generator):
    return [bases_by_svd(1, width, generator)[0].double().numpy() for _ in range(count)]


GENERATOR = (
    "The same seed gives other bases, or every seed the same: draw with "
    "`generator=generator`, so that whoever repeats the test gets your numbers."
)
AGAIN = (
    "Two calls with one generator give the same bases: draw with the generator itself, so that it "
    "goes on, and neither seed it anew nor only read its seed."
)


@EXERCISE.probe
def not_reproducible(answer):
    """A probe: the generator decides, and nothing else does."""
    draws = []
    for seed, other_seed in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(other_seed)
        draws.append(doubles(answer(2, 3, torch.Generator().manual_seed(seed))))
    if not all(d.isfinite().all() for d in draws):
        return None
    same, other = ((draws[0] - d).abs().max() < 1e-6 for d in draws[1:])
    if not same or other:
        return GENERATOR
    generator = torch.Generator().manual_seed(1)
    one, two = (doubles(answer(2, 3, generator)) for _ in range(2))
    return AGAIN if (one - two).abs().max() < 1e-6 else None


TOLD = {
    "columns have length 1": "The columns do not have length 1, so these are no orthonormal bases.",
    "rows have length 1": "The rows do not have length 1, so these are no orthonormal bases.",
    "columns are orthogonal": "The columns are not at right angles: these are no bases.",
    "entries are 0 on average": "Some entry is not 0 on average: a direction comes up more often "
    "than the opposite one. Which signs has the library chosen?",
    "no direction is preferred": "The bases are orthonormal, but their directions are not spread "
    "evenly: some come up more often. Which numbers do they begin with?",
    "turned, they are as likely": "The bases are orthonormal, but turned they are not as likely as "
    "before: some bases come up more often.",
    "no two entries go together": "Two entries of a basis go together, as if one direction decided "
    "on the sign of another: each needs a sign of its own.",
    "both orientations occur": "Determinant 1 and -1 do not come up equally often: a basis with "
    "one direction reversed is as likely.",
    "bases differ": "All bases are the same one.",
    "a basis says nothing about the next": "A basis has to do with the one before it: draw each "
    "from numbers of its own.",
}


@EXERCISE.probe
def what_is_not_so(answer):
    """A probe: the first fact that does not hold, in a sentence."""
    for case in EXERCISE.draw("cpu"):
        found = facts(answer(*case.args), *case.args)
        told = [TOLD[name] for name, holds in found.items() if holds is False]
        if told:
            return told[0]
    return None


def _hardly_any(count, width, generator):
    """No basis at all, in the shape of count and width exchanged."""
    return torch.zeros(width, count, count)


EXERCISE.mistake(
    "count and width exchanged",
    "These are `width` matrices of size count x count: the other way round, (count, width, width).",
    _hardly_any,
)

EXERCISE.mistake(
    "Gaussian numbers only",
    "These are the Gaussian numbers themselves: their columns have neither length 1 nor right "
    "angles between them. `torch.linalg.qr` makes a basis of each matrix.",
    ("return q * signs[:, None, :]", "return gaussian"),
)

EXERCISE.mistake(
    "one sign for each matrix",
    "Each matrix gets one random sign, for all of its columns together: whether two columns agree "
    "in sign is still the library's habit. Every column needs a sign of its own.",
    (
        "torch.diagonal(r, dim1=1, dim2=2).sign()",
        "2.0 * torch.randint(2, (count, 1), generator=generator) - 1",
    ),
)


@EXERCISE.mistake(
    "rotations only",
    "All of these have determinant 1, so they are rotations, half of all bases: a basis with one "
    "direction reversed is as good, and never comes up. Leave the determinant to chance.",
)
def rotations(count, width, generator):
    q = bases_by_svd(count, width, generator)
    return torch.cat([q[:, :, :1] * torch.linalg.det(q).sign()[:, None, None], q[:, :, 1:]], dim=2)


EXERCISE.mistake(
    "one generator's seed over and over",
    AGAIN,
    (
        "    gaussian",
        "    generator = torch.Generator().manual_seed(generator.initial_seed())\n    gaussian",
    ),
)


EXERCISE.mistake(
    "signs left to the library",
    "QR leaves the signs of its columns open, and the library picks them by a rule of its "
    "own: some directions never come up, only their opposites. Multiply every column by the sign "
    "of R's diagonal entry.",
    ("q * signs[:, None, :]", "q"),
)

EXERCISE.mistake(
    "cube directions",
    "The numbers before the QR are uniform, so they fill a cube, and directions towards "
    "its corners are more likely than others: begin with Gaussian numbers (`randn`), whose "
    "density depends on the length alone.",
    (
        "torch.randn(count, width, width, generator=generator)",
        "2 * torch.rand(count, width, width, generator=generator) - 1",
    ),
)

EXERCISE.mistake(
    "positive numbers",
    "The numbers before the QR are all positive (`rand`): the first direction is never "
    "opposite to (1, ..., 1). Use `randn`.",
    ("torch.randn(", "torch.rand("),
)

EXERCISE.mistake(
    "columns not orthogonal",
    "The columns have length 1 and are not orthogonal: this is a set of random directions. "
    "A basis needs `torch.linalg.qr`.",
    ("return q * signs[:, None, :]", "return gaussian / gaussian.norm(dim=1, keepdim=True)"),
)

EXERCISE.mistake(
    "rows not orthogonal",
    "The rows have length 1, and neither they nor the columns are orthogonal: this is a "
    "set of random directions. A basis needs `torch.linalg.qr`.",
    ("return q * signs[:, None, :]", "return gaussian / gaussian.norm(dim=2, keepdim=True)"),
)

EXERCISE.mistake(
    "one basis for all",
    "All bases are the same one: draw a Gaussian matrix for each, (count, width, width).",
    ("randn(count", "randn(1"),
    ("q * signs[:, None, :]", "(q * signs[:, None, :]).expand(count, width, width)"),
)

EXERCISE.mistake(
    "one basis only",
    "This is a single basis: `count` of them are asked for, (count, width, width).",
    ("randn(count", "randn(1"),
    ("q * signs[:, None, :]", "(q * signs[:, None, :])[0]"),
)

EXERCISE.mistake("the generator is not used", GENERATOR, (", generator=generator", ""))
