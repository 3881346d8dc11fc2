"""LipSDP for one block at a time, by its frequencies: multipliers are searched for, and proven.

A block (:mod:`.responses`) has as variables the change x of its input and the changes v_k of the
outputs of its activations, whose inputs change by u_k = U_k (x, v_1, ..., v_{k-1}), and ends in
y = Y (x, v). As in :mod:`.lipsdp`, with one multiplier for each channel, the same at all positions,

    ρ |x|² - |y|² - Σ_k (-2 lo hi u_kᵀ T_k u_k + 2 (lo + hi) u_kᵀ T_k v_k - 2 v_kᵀ T_k v_k) >= 0

for all x and v proves |y|² <= ρ |x|². Multipliers that do not depend on the position leave the form
a circulant, and it is semidefinite as soon as one Hermitian matrix for each frequency is. These
are small, and each is proven by a Cholesky factorisation in float64 with an allowance for every
rounding, those of the symbols included.

The multipliers are T_k = D λ / (2 q): D a power, one of :data:`POWERS`, of what each channel weighs
in what follows, λ the largest eigenvalue there, and q in (0, 1) the best of a search, which looks
at a few frequencies only.
"""

import dataclasses
import math

import torch
from torch import Tensor

from . import fourier
from .logarithms import log, rounded_up
from .responses import Block, Unfit, Value
from .rules import UNIT

TRIAL = 1.0e9  # cubes of the matrices that one step of the search looks at
TRIALS = 8  # of these frequencies
BYTES = 2**26  # of a batch of matrices
POWERS = (0.0, 0.5, 1.0)
STEP, EDGE = 0.1, 0.05  # of q, and how far it stays from 0 and 1
SLACK = 1e-3  # relative, of ρ, above what the frequencies of the search need
ROUNDS = 12  # of raising ρ
ATTEMPTS = 3  # with other multipliers, where some prove nothing at a frequency
DENSE = 64  # rows of matrices that get all eigenvalues; of larger ones so many
LANCZOS = 16  # steps for the largest


class Unproven(ValueError):
    """Multipliers that prove nothing at some frequencies, (frequencies, axes) numerators."""

    def __init__(self, numerators: Tensor):
        super().__init__("these multipliers prove nothing")
        self.numerators = numerators


# --- the form ------------------------------------------------------------------------------------


class Form:
    """The values of a block at some frequencies, and the quadratic form that they give."""

    def __init__(self, block: Block, numerators: Tensor | None):
        self.block = block
        self.entering, self.ending = block.values(numerators)
        values = [*self.entering, self.ending]
        parts = [part for value in values for part in value.parts.values() if part is not None]
        parts = parts or [block.explicit(0, None)]
        self.count = max(len(part) for part in parts)
        self.kind = torch.complex128 if any(p.is_complex() for p in parts) else torch.float64
        self.device = parts[0].device
        ends = [sum(block.widths[: k + 1]) for k in range(len(block.widths))]
        self.spans = [slice(e - w, e) for e, w in zip(ends, block.widths, strict=True)]

    def parts(self, value: Value) -> dict[int, Tensor]:
        """The matrices of a value, those of the variables themselves included."""
        return {v: self.block.explicit(v, p).to(self.kind) for v, p in value.parts.items()}

    def zeros(self) -> Tensor:
        n = self.block.size
        return torch.zeros(self.count, n, n, dtype=self.kind, device=self.device)

    def spread(self, k: int, t: Tensor) -> Tensor:
        """Numbers of the channels of variable ``k``, for each of its coefficients."""
        return t.repeat(self.block.widths[k] // len(t))

    def add_gram(self, form: Tensor, value: Value, factor: float, t: Tensor | None = None) -> None:
        """Add ``factor`` AᵀTA to the form, A the matrix of ``value``."""
        parts = self.parts(value)
        for v, left in parts.items():
            for w, right in parts.items():
                if w < v:
                    continue
                product = left.mH @ (right if t is None else t[:, None] * right)
                form[:, self.spans[v], self.spans[w]] += factor * product
                if v != w:
                    form[:, self.spans[w], self.spans[v]] += factor * product.mH

    def whole(self, multipliers: list[Tensor]) -> Tensor:
        """(frequencies, n, n) with these multipliers, (channels,) of each layer; ρ is left out."""
        found = self.zeros()
        self.add_gram(found, self.ending, -1.0)
        for k, value in enumerate(self.entering, 1):
            low, high = self.block.slopes[k - 1]
            t, here = self.spread(k, multipliers[k - 1]), self.spans[k]
            if low * high:
                self.add_gram(found, value, 2 * low * high, t)
            for v, part in self.parts(value).items():
                cross = (low + high) * (t[:, None] * part)
                found[:, here, self.spans[v]] -= cross
                found[:, self.spans[v], here] -= cross.mH
            found[:, here, here].diagonal(dim1=1, dim2=2).add_(2 * t)
        return found


def error(block: Block, multipliers: list[Tensor]) -> Tensor:
    """By how much an entry of the form may be off, (n, n), from a form of absolute values.

    Each value errs by 4 · terms units of its own of absolute values, and a product of two matrices
    with sums of m terms by 4 (m + 8) units more; all twice, for what is of second order.
    """
    form = Form(block, None)
    found = form.zeros()
    form.add_gram(found, form.ending, 2.0 * form.ending.terms + block.places[block.end].size + 8)
    for k, value in enumerate(form.entering, 1):
        low, high = block.slopes[k - 1]
        t, here = form.spread(k, multipliers[k - 1]), form.spans[k]
        if low * high:
            terms = 2.0 * value.terms + block.widths[k] + 12
            form.add_gram(found, value, 2 * abs(low * high) * terms, t)
        for v, part in form.parts(value).items():
            cross = (abs(low) + abs(high)) * (value.terms + 8.0) * (t[:, None] * part)
            found[:, here, form.spans[v]] += cross
            found[:, form.spans[v], here] += cross.mT
        found[:, here, here].diagonal(dim1=1, dim2=2).add_(8 * t)
    return 8 * UNIT * found[0]


# --- search --------------------------------------------------------------------------------------


def top(matrices: Tensor) -> Tensor:
    """About the largest eigenvalue of each of (B, n, n) matrices."""
    if matrices.shape[-1] <= DENSE:
        return torch.linalg.eigvalsh(matrices)[:, -1]
    return fourier.ranked(matrices, LANCZOS)


@dataclasses.dataclass(frozen=True)
class Choice:
    """How the multipliers of each layer of activations are made: see the module."""

    powers: tuple[float, ...]
    shares: tuple[float, ...]

    def other(self, k: int, share: float) -> "Choice":
        """The same with another q of layer ``k``."""
        return dataclasses.replace(self, shares=(*self.shares[:k], share, *self.shares[k + 1 :]))


def eliminated(form: Form, choice: Choice) -> tuple[float, list[Tensor]]:
    """What ρ these frequencies need, and the multipliers of a choice, from the last layer to the
    first. Raises torch.linalg.LinAlgError where they prove nothing."""
    block, rest, multipliers = form.block, form.zeros(), []
    form.add_gram(rest, form.ending, 1.0)
    for k in reversed(range(1, len(block.widths))):
        here, before = form.spans[k], slice(0, form.spans[k].start)
        gram, value = rest[:, here, here], form.entering[k - 1]
        low, high = block.slopes[k - 1]
        channels = block.places[block.variables[k]].channels
        weights = gram.diagonal(dim1=1, dim2=2).real.mean(0).reshape(-1, channels).mean(0)
        weights = weights.clamp_min(1e-12 * float(weights.max()) + 1e-300)
        scale = weights.pow(choice.powers[k - 1])
        half = form.spread(k, scale.rsqrt())
        largest = float(top(half[:, None] * gram * half).max())
        multipliers.insert(0, scale * (largest / (2 * choice.shares[k - 1])))
        t = form.spread(k, multipliers[0])
        factor = torch.linalg.cholesky(torch.diag_embed(2 * t).to(gram) - gram)
        cross = rest[:, here, before].clone()
        for v, part in form.parts(value).items():
            cross[:, :, form.spans[v]] += (low + high) * (t[:, None] * part)
        solved = torch.linalg.solve_triangular(factor, cross, upper=False)
        rest = rest[:, before, before] + solved.mH @ solved
        if low * high:
            form.add_gram(rest, value, -2 * low * high, t)
    return float(top(rest).max()), multipliers


def required(form: Form, multipliers: list[Tensor]) -> float:
    """What ρ these frequencies need with these multipliers. Raises torch.linalg.LinAlgError where
    none is enough."""
    matrices, n = form.whole(multipliers), form.block.widths[0]
    factor = torch.linalg.cholesky(matrices[:, n:, n:])
    solved = torch.linalg.solve_triangular(factor, matrices[:, n:, :n], upper=False)
    return float(top(solved.mH @ solved - matrices[:, :n, :n]).max())


def search(block: Block, numerators: Tensor) -> tuple[float, list[Tensor]]:
    """The least ρ that was found for these frequencies, and its multipliers. Raises Unfit if there
    are none."""
    form, layers = Form(block, numerators), len(block.slopes)
    best, kept, choice = math.inf, None, Choice((0.0,) * layers, (0.5,) * layers)

    def better(new: Choice) -> bool:
        nonlocal best, kept, choice
        try:
            value, found = eliminated(form, new)
        except torch.linalg.LinAlgError:
            return False
        if not 0 < value < best:
            return False
        best, kept, choice = value, found, new
        return True

    for power in POWERS:
        better(dataclasses.replace(choice, powers=(power,) * layers))
    for k in reversed(range(layers)):
        for step in (STEP, -STEP):
            moved = False
            while EDGE < choice.shares[k] + step < 1 - EDGE and better(
                choice.other(k, choice.shares[k] + step)
            ):
                moved = True
            if moved:
                break
    if kept is None:
        raise Unfit("no multipliers were found")
    return best, kept


# --- proof ---------------------------------------------------------------------------------------


def positive(matrices: Tensor, needed: Tensor) -> Tensor:
    """Which of (B, n, n) Hermitian matrices surely have no negative eigenvalue, whatever error
    within ``needed`` (n, n), entry by entry, they have: (B,) bool. See lipsdp.semidefinite; complex
    products round four times as much."""
    diagonal = matrices.diagonal(dim1=1, dim2=2).real.amin(0)
    if not bool((diagonal > 0).all()):
        return torch.zeros(len(matrices), dtype=torch.bool, device=matrices.device)
    scale = torch.exp2(-torch.round(torch.log2(diagonal) / 2))  # powers of 2: exact
    scaled = scale[:, None] * matrices * scale
    diagonal, n = scaled.diagonal(dim1=1, dim2=2), matrices.shape[-1]
    trace = float(diagonal.real.sum(1).amax())
    shift = 1.01 * float((scale[:, None] * needed * scale).norm()) + 8 * (n + 4) * 2 * UNIT * trace
    diagonal.sub_(shift)
    return torch.linalg.cholesky_ex(scaled).info == 0


@torch.no_grad()
def proven(block: Block, multipliers: list[Tensor], rho: float) -> float:
    """A ρ, not below the one given, that these multipliers prove at all frequencies. Raises
    Unproven where they prove none. The multipliers count as exact."""
    needed, n = error(block, multipliers), block.widths[0]
    for part in block.numerators.split(max(1, BYTES // (16 * block.size**2))):
        form = Form(block, part)
        matrices = form.whole(multipliers)
        for _ in range(ROUNDS):
            raised, wrong = matrices.clone(), needed.clone()
            raised.diagonal(dim1=1, dim2=2)[:, :n] += rho
            wrong.diagonal()[:n] += (
                4 * UNIT * (rho + raised.diagonal(dim1=1, dim2=2)[:, :n].abs().amax(0))
            )
            fails = ~positive(raised, wrong)
            if not fails.any():
                break
            part, matrices = part[fails], matrices[fails]
            try:
                least = required(Form(block, part), multipliers)
            except torch.linalg.LinAlgError:
                raise Unproven(part) from None
            if not math.isfinite(least):
                raise Unproven(part)
            rho = max(least, rho) * (1 + SLACK)
        else:
            raise Unproven(part)
    return rho


@torch.no_grad()
def bounded(block: Block) -> float:
    """log of a proven bound of the block; inf if there is none."""
    every = len(block.numerators)
    count = int(min(max(TRIAL / block.size**3, 1), TRIALS, every))
    some = block.numerators[torch.arange(count) * (every // count) + every // (2 * count)]
    for _ in range(ATTEMPTS):
        try:
            rho, multipliers = search(block, some)
            return rounded_up(log(proven(block, multipliers, rho * (1 + SLACK))) / 2)
        except Unproven as missing:
            some = torch.cat([some, missing.numerators[:1]])
        except Unfit:
            break
    return math.inf
