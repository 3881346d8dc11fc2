"""`haar-bases`, lesson 02: facts are compared that hold for every right draw.

The numbers themselves are up to the answer; whether the generator decides them is a probe's
question.
"""

import scipy.stats
import torch
import torch.nn.functional as F

from course_lib import units
from course_lib.exercises import Case, Exercise


def basis_cases(rng):
    for count, width in ((3000, 2), (4000, 3), (3000, 5)):
        seed = int(torch.randint(1000, (1,), generator=rng))
        generator = torch.Generator().manual_seed(seed)
        yield Case(f"{count} bases of {width} dimensions", count, width, generator)


def facts(result, count, width, generator):
    """What every right answer has in common, whatever numbers it draws."""
    if result is None:
        return None
    q = torch.as_tensor(result).detach().cpu().double()
    if q.shape != (count, width, width):
        return {"shape": list(q.shape)}
    length = q.square().sum(1)
    angles = q.transpose(1, 2) @ q - torch.diag_embed(length)
    across = torch.full((width,), width**-0.5, dtype=torch.float64)
    fourth = torch.stack([q[:, 0], across @ q]).pow(4).mean(1)
    near = 6 / count**0.5
    return {
        "columns have length 1": bool((length - 1).abs().max() < 1e-4),
        "columns are orthogonal": bool(angles.abs().max() < 1e-4),
        "entries are 0 on average": bool(q.mean(0).abs().max() < near),
        "no direction is preferred": bool(
            (fourth - 3 / (width * (width + 2))).abs().max() < near / 6
        ),
        "bases differ": bool((q - q[0]).abs().max() > 1e-3),
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
        )
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


GENERATOR = (
    "The same seed gives other bases, or every seed the same: draw with "
    "`generator=generator`, so that whoever repeats the test gets your numbers."
)


@EXERCISE.probe
def not_reproducible(answer):
    """A probe: the generator decides, and nothing else does."""
    draws = [
        torch.as_tensor(answer(2, 3, torch.Generator().manual_seed(seed))).double()
        for seed in (1, 1, 2)
    ]
    same, other = ((draws[0] - d).abs().max() < 1e-6 for d in draws[1:])
    return None if same and not other else GENERATOR


EXERCISE.mistake(
    "signs left to the library",
    "QR leaves the signs of its columns open, and the library picks them by a rule of its "
    "own: most of the diagonal of Q is negative. Multiply every column by the sign of R's "
    "diagonal entry.",
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
