"""The tightest bound of a whole network here: a multiplier for each unit (LipSDP).

For z = A_K σ(A_{K-1} ··· σ(A_1 x)) let Δu, Δv be the changes of a layer's units before and after
σ, whose slopes lie in [lo, hi]. Then (Δv - lo Δu)(hi Δu - Δv) >= 0 for every unit; with any
multipliers t >= 0, T = diag(t), the sum over units of a layer is

    -2 lo hi Δuᵀ T Δu + 2 (lo + hi) Δuᵀ T Δv - 2 Δvᵀ T Δv >= 0.

So |Δz|² <= ρ |Δx|² as soon as ρ |Δx|² - |Δz|² minus all these sums is never negative, as a
quadratic form of Δx and all Δv (Fazlyab et al., NeurIPS 2019, "LipSDP-Neuron"): any multipliers
give a bound, and better ones a smaller. The form is block tridiagonal. Elimination from the logits
down leaves, with P_K = A_Kᵀ A_K and S_k = 2 T_k - P_{k+1},

    P_k = A_kᵀ ((lo + hi)² T_k S_k⁻¹ T_k - 2 lo hi T_k) A_k,    ρ = the largest eigenvalue of P_1,

which is right where every S_k is positive definite. T_k = D_k λ / (2 q), λ the largest eigenvalue
of D_k^-½ P_{k+1} D_k^-½ and q in (0, 1), always is. D_k = 1 and q = 1/2 is a closed form, close to
that of ECLipsE-Fast (Xu and Sivaranjani, NeurIPS 2024), never above the product of the norms;
descent on log D and q goes on from there. Eigenvalues that meet have a kink, so their maximum is
approached by norms of a rising power.

What comes out is not believed: :func:`proven` forms the quadratic form anew in float64 and shows by
a Cholesky factorisation, with an allowance for every rounding, that it is never negative (Rump,
BIT 46, 2006). A bound that does not pass that is none.
"""

import dataclasses
import math

import numpy as np
import torch
from torch import nn

from .bounds import NetworkBounds
from .logarithms import LOG_ROUNDING
from .rules import UNIT

WIDEST = 1024  # units of a layer that has multipliers
LARGEST = 4096  # numbers that the quadratic form is of: inputs, and units
WORK = 2.0**32  # of a descent: iterations times the cubes of the widths
# the power of the norm that stands for the largest eigenvalue, and its share of the iterations
SHARPENED = ((20, 0.4), (200, 0.4), (2000, 0.2))
ITERATIONS = 300
HISTORY = 10  # of L-BFGS
EDGE = 1e-9  # q stays so far from 0 and 1
FEWEST = 10  # iterations; where MOST does not allow them, pairs have no multipliers
MOST = 2.0**35  # of the work of all pairs of classes
TRIES = 24  # factorisations with a slightly larger ρ each


class Unfit(ValueError):
    """Why a network has no multipliers, in a sentence."""


@dataclasses.dataclass(frozen=True, eq=False)
class Layered:
    """A network that is a chain of matrices and slopes.

    matrices: A_1 to A_K, (n_k, n_{k-1}) float64; errors: by how much each may be off, in the
    operator norm, because it was composed (0 if it is a layer's own weight); slopes: (lo, hi) of
    the K - 1 functions between them.
    """

    matrices: list[torch.Tensor]
    errors: list[float]
    slopes: list[tuple[float, float]]

    def ending(self, last: torch.Tensor) -> "Layered":
        """The same network with another last matrix, (n, n_{K-1}) or a batch of them."""
        error = 2 * self.errors[-1]  # of a difference of two rows
        return Layered([*self.matrices[:-1], last], [*self.errors[:-1], error], self.slopes)

    def cubes(self) -> float:
        """The cubes of the widths between the matrices, added up: the work of one iteration."""
        return float(sum(len(matrix) ** 3 for matrix in self.matrices[:-1]))


def layered(bounds: NetworkBounds) -> Layered:
    """The network of ``bounds`` as matrices and slopes; :class:`Unfit` where it is none, or where
    a layer is too large."""
    steps = bounds.steps
    matrices, errors, slopes, source = [], [], [], 0
    for i, step in enumerate(steps):
        if i and (step.inputs != (i - 1,) or step.kind in ("sum", "cat")):
            raise Unfit("the network is no chain of layers")
        if step.kind == "lipschitz":
            raise Unfit(f"{step.name} is no function of one number at a time")
        last = i == len(steps) - 1
        if step.kind != "slope" and not last:
            continue
        target = i - 1 if step.kind == "slope" else i
        matrix, error = _matrix(bounds, source, target)
        matrices, errors = [*matrices, matrix], [*errors, error]
        if step.kind == "slope":
            if not math.isfinite(step.slopes.low) or not math.isfinite(step.slopes.high):
                raise Unfit(f"the slope of {step.name} is not bounded")
            slopes.append((step.slopes.low, step.slopes.high))
            source = i
            if last:  # the logits are the values of a function: they go out as they are
                matrices.append(torch.eye(step.size, dtype=matrix.dtype, device=matrix.device))
                errors.append(0.0)
    if matrices[0].shape[1] + sum(len(m) for m in matrices[:-1]) > LARGEST:
        raise Unfit("it has too many units")
    return Layered(matrices, errors, slopes)


def _matrix(bounds: NetworkBounds, source: int, target: int) -> tuple[torch.Tensor, float]:
    """The linear map between two steps as a matrix, and by how much its norm may be off."""
    steps = bounds.steps
    rows, columns = steps[target].size, steps[source].size
    if columns > LARGEST or (rows > WIDEST and target < len(steps) - 1):
        raise Unfit(f"{steps[target].name} is too wide")
    between = [steps[i] for i in bounds.between(source, target)[1:]]
    affine = [step for step in between if step.kind != "reshape"]
    if len(affine) == 1 and isinstance(affine[0].module, nn.Linear):
        weight = affine[0].module.weight.detach().double()
        if tuple(weight.shape) == (rows, columns):  # else it is used on several rows at once
            return weight, 0.0
    if not affine:  # in the order in which a reshape leaves them
        return torch.eye(rows, dtype=torch.float64, device=bounds.device), 0.0
    small = rows <= columns
    matrix = bounds.rows(source, target) if small else bounds.columns(source, target).T
    return matrix.detach(), bounds.slack(source, target)


# --- multipliers -------------------------------------------------------------------------------


def top(matrix: torch.Tensor, power: float | None) -> torch.Tensor:
    """The largest eigenvalue of a semidefinite matrix (..., n, n), or with a ``power`` that norm of
    all of them, which is not below it and has no kinks."""
    values = torch.linalg.eigvalsh(matrix)
    largest = values[..., -1:].clamp_min(torch.finfo(values.dtype).tiny)
    if power is None:
        return largest[..., 0]
    shares = (values / largest).clamp_min(1e-30)
    return largest[..., 0] * shares.pow(power).sum(-1).pow(1 / power)


def log_bound(
    layers: Layered, diagonals: list[torch.Tensor], shifts: torch.Tensor, power: float | None = None
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """log of the bound √ρ, and the multipliers t of each layer.

    diagonals: log D_k, (..., n_k) each; shifts: (..., K - 1), q is their logistic function; power:
    as in :func:`top`.
    """
    last = layers.matrices[-1]
    rest = last.mT @ last
    multipliers: list[torch.Tensor] = []
    for k in reversed(range(len(diagonals))):
        half = torch.exp(-diagonals[k] / 2)
        largest = top(half[..., :, None] * rest * half[..., None, :], power)
        q = EDGE + (1 - 2 * EDGE) * torch.sigmoid(shifts[..., k])
        t = torch.exp(diagonals[k]) * (largest / (2 * q))[..., None]
        multipliers.insert(0, t)
        rest = eliminated(rest, t, layers.matrices[k], layers.slopes[k])
    return torch.log(top(rest, power)) / 2, multipliers


def eliminated(rest, t, matrix, slopes: tuple[float, float]) -> torch.Tensor:
    """P_k from P_{k+1}, the multipliers t (..., n_k), A_k, and the slopes between the two. Raises
    torch.linalg.LinAlgError where S_k is not positive definite."""
    low, high = slopes
    factor = torch.linalg.cholesky(torch.diag_embed(2 * t) - rest)
    # the transpose of A_kᵀ T: the rows of A_k, each times its multiplier
    weighted = t[..., :, None] * matrix
    solved = torch.linalg.solve_triangular(factor, weighted, upper=False)
    below = (low + high) ** 2 * (solved.mT @ solved)
    return below - 2 * low * high * (matrix.mT @ weighted) if low * high else below


def reduced(layers: Layered) -> Layered:
    """The same with a first matrix of no more columns than rows: an orthonormal change of x."""
    first = layers.matrices[0]
    if first.shape[1] <= first.shape[0]:
        return layers
    factor = torch.linalg.qr(first.T, mode="r")[1]
    return dataclasses.replace(layers, matrices=[factor.T, *layers.matrices[1:]])


def start(layers: Layered) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Where the closed form is: D = 1, q = 1/2, for every last matrix of a batch."""
    last = layers.matrices[-1]
    like = {"dtype": last.dtype, "device": last.device}
    batch = last.shape[:-2]
    widths = [len(matrix) for matrix in layers.matrices[:-1]]
    return [torch.zeros(*batch, n, **like) for n in widths], torch.zeros(
        *batch, len(widths), **like
    )


def descend(layers: Layered, iterations: int) -> list[torch.Tensor]:
    """Better multipliers, (..., n_k) of each layer: L-BFGS on the sum of the logarithms of a batch,
    the closed form where nothing better was found."""
    small = reduced(layers)
    diagonals, shifts = start(small)
    with torch.no_grad():
        best, multipliers = log_bound(small, diagonals, shifts)
    unknowns = [x.requires_grad_() for x in (*diagonals, shifts)]
    for power, share in SHARPENED:
        optimiser = torch.optim.LBFGS(
            unknowns,
            max_iter=max(1, round(share * iterations)),
            history_size=HISTORY,
            tolerance_grad=1e-9,
            tolerance_change=1e-12,
            line_search_fn="strong_wolfe",
        )

        def closure(power=power, optimiser=optimiser):
            optimiser.zero_grad()
            total = log_bound(small, diagonals, shifts, power)[0].sum()
            total.backward()
            return total

        try:
            with torch.enable_grad():
                optimiser.step(closure)
            with torch.no_grad():
                found, there = log_bound(small, diagonals, shifts)
        except torch.linalg.LinAlgError:  # a step led out of what floats can hold
            break
        better = found < best  # not where it is NaN
        best = torch.where(better, found, best)
        multipliers = [
            torch.where(better[..., None], new, old)
            for new, old in zip(there, multipliers, strict=True)
        ]
    return multipliers


def closed_form(layers: Layered) -> list[torch.Tensor]:
    """The multipliers with D = 1 and q = 1/2."""
    with torch.no_grad():
        return log_bound(reduced(layers), *start(layers))[1]


# --- proof ---------------------------------------------------------------------------------------


def quadratic_form(layers: Layered, multipliers: list[torch.Tensor]) -> tuple:
    """The form that has to be semidefinite, without its ρ, and what each entry may err by: two
    (n, n) float64 matrices, n the inputs and all units.

    multipliers: (n_k,) of each layer, which count as exact. Every entry is one product, but those
    of AᵀTA, sums of as many products as A has rows. A composed matrix that errs by δ in norm errs
    by no more than δ in an entry.
    """
    widths = [layers.matrices[0].shape[1], *(len(t) for t in multipliers)]
    ends = [sum(widths[: k + 1]) for k in range(len(widths))]
    parts = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
    last = layers.matrices[-1]
    form, error = last.new_zeros(ends[-1], ends[-1]), last.new_zeros(ends[-1], ends[-1])

    def gram(part, matrix, off, weights, factor):
        """Add ``factor`` AᵀTA."""
        size = matrix.abs() + off
        whole = size.T @ (weights[:, None].abs() * size)
        form[part, part] += factor * (matrix.T @ (weights[:, None] * matrix))
        gamma = (len(matrix) + 8) * 2 * UNIT
        changed = whole - matrix.abs().T @ (weights[:, None].abs() * matrix.abs()) if off else 0.0
        error[part, part] += abs(factor) * (gamma * whole + 1.01 * changed)

    for k, t in enumerate(multipliers):
        matrix, off, (low, high) = layers.matrices[k], layers.errors[k], layers.slopes[k]
        before, here = parts[k], parts[k + 1]
        if low * high:
            gram(before, matrix, off, t, 2 * low * high)
        cross = -(low + high) * (t[:, None] * matrix)
        form[here, before], form[before, here] = cross, cross.T
        wrong = 4 * UNIT * cross.abs() + 1.01 * abs(low + high) * off * t[:, None]
        error[here, before], error[before, here] = wrong, wrong.T
        form[here, here] += torch.diag(2 * t)
        error[here, here] += torch.diag(4 * UNIT * t)
    gram(parts[-1], last, layers.errors[-1], last.new_ones(len(last)), -1.0)
    error[parts[-1], parts[-1]] += 4 * UNIT * form[parts[-1], parts[-1]].abs()
    return form, error


def semidefinite(form: torch.Tensor, error: torch.Tensor) -> bool:
    """Whether every symmetric matrix within ``error`` of ``form``, entry by entry, surely has no
    negative eigenvalue.

    Scaled by powers of 2, which is exact, to a diagonal near 1. If Cholesky's factorisation of a
    matrix of n rows runs to its end in floats, the matrix has no eigenvalue below minus (n + 1)
    units of rounding times its trace (with some room: Rump's constant is half of that here).
    """
    diagonal = form.diagonal()
    if not bool((diagonal > 0).all()) or not bool(form.isfinite().all()):
        return False
    powers = -torch.round(torch.log2(diagonal) / 2)
    scale = torch.from_numpy(np.ldexp(1.0, powers.cpu().int().numpy())).to(form)
    form = scale[:, None] * form * scale
    n, trace = len(form), float(form.diagonal().sum())
    # the subtraction rounds, too
    needed = 1.01 * float((scale[:, None] * error * scale).norm())
    needed += 2 * (n + 4) * 2 * UNIT * trace
    shifted = form - needed * torch.eye(n, dtype=form.dtype, device=form.device)
    return int(torch.linalg.cholesky_ex(shifted)[1]) == 0


@torch.no_grad()
def proven(layers: Layered, multipliers: list[torch.Tensor]) -> float:
    """log of a bound of the network that these multipliers prove; inf if they prove none.

    multipliers: (n_k,) of each layer, K - 1 of them. Raises ValueError for another number or
    shape, and for multipliers that are negative or not finite.
    """
    widths = [(len(matrix),) for matrix in layers.matrices[:-1]]
    if [tuple(t.shape) for t in multipliers] != widths:
        raise ValueError(
            f"The multipliers have the shapes {[tuple(t.shape) for t in multipliers]}; the "
            f"network's layers have {widths} units."
        )
    if any(not bool((t.isfinite() & (t >= 0)).all()) for t in multipliers):
        raise ValueError("Multipliers are finite numbers, 0 or above.")
    multipliers = [t.detach().double() for t in multipliers]
    try:
        guess = _at(layers, multipliers)
    except torch.linalg.LinAlgError:  # these multipliers bound nothing
        return math.inf
    if not math.isfinite(guess):
        return math.inf
    form, error = quadratic_form(layers, multipliers)
    inputs = range(layers.matrices[0].shape[1])
    for k in range(TRIES):
        rho = math.exp(2 * guess) * (1 + 1e-10 * 2**k)
        whole = form.clone()
        whole.diagonal()[: len(inputs)] += rho
        wrong = error.clone()
        wrong.diagonal()[: len(inputs)] += 4 * UNIT * whole.diagonal()[: len(inputs)].abs()
        if semidefinite(whole, wrong):
            return math.log(rho) / 2 + LOG_ROUNDING
    return math.inf


def _at(layers: Layered, multipliers: list[torch.Tensor]) -> float:
    """log √ρ by the elimination, for given multipliers: a guess, that has to be proven."""
    small = reduced(layers)
    last = small.matrices[-1]
    rest = last.mT @ last
    for k in reversed(range(len(multipliers))):
        rest = eliminated(rest, multipliers[k], small.matrices[k], small.slopes[k])
    return float(torch.log(top(rest, None)) / 2)


# --- what is called from outside -----------------------------------------------------------------


def whole(bounds: NetworkBounds, descent: bool = False) -> tuple[float, str]:
    """log of the bound of the whole network, and a sentence on how: never above LipLT's."""
    tight = bounds.tight[-1]
    if tight == -math.inf:
        return tight, "LipLT: the network is constant"
    try:
        layers = layered(bounds)
    except Unfit as why:
        return tight, f"no multipliers, as {why}: LipLT's bound"
    if not layers.slopes:
        return tight, "LipLT: the network is linear"
    iterations = iterations_for(layers)
    found = descend(layers, iterations) if descent else closed_form(layers)
    value = proven(layers, found)
    if math.isinf(value):
        return tight, "multipliers were found but not proven: LipLT's bound"
    count = sum(len(t) for t in found)
    made = "by descent" if descent else "in closed form"
    if value >= tight:
        return tight, f"{count} multipliers {made} are no better than LipLT"
    return value, f"LipSDP with {count} multipliers {made}"


def iterations_for(layers: Layered, batch: int = 1) -> int:
    """As many as :data:`WORK` allows."""
    return max(FEWEST, min(ITERATIONS, int(WORK / (batch * max(layers.cubes(), 1.0)))))


def pairs(bounds: NetworkBounds, descent: bool = True) -> torch.Tensor:
    """(classes, classes) log of a bound of z_y - z_j, never above that of LipLT: multipliers for
    each pair of classes, with the difference of the two rows as a last matrix. LipLT's where there
    are none, or where so many pairs of so wide layers would take too long."""
    best = bounds.pairs_tight()
    try:
        layers = layered(bounds)
    except Unfit:
        return best
    classes = len(layers.matrices[-1])
    if classes * (classes - 1) / 2 * layers.cubes() * FEWEST > MOST:
        return best
    first, second = torch.triu_indices(classes, classes, 1, device=best.device)
    rows = layers.matrices[-1]
    # a difference of float32 numbers is exact in float64 unless they are far apart: half a unit
    ends = (rows[first] - rows[second])[:, None]
    live = ends.abs().amax((1, 2)) > 0
    first, second, ends = first[live], second[live], ends[live]
    if not layers.slopes or not len(ends) or not bool(best.isfinite().any()):
        return best
    batch = layers.ending(ends)
    slack = float(ends.abs().amax()) * 2 * UNIT * ends.shape[-1] ** 0.5
    batch = dataclasses.replace(batch, errors=[*batch.errors[:-1], batch.errors[-1] + slack])
    if descent:
        found = descend(batch, iterations_for(layers, len(ends)))
    else:
        found = closed_form(batch)
    for k, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        one = dataclasses.replace(batch, matrices=[*batch.matrices[:-1], ends[k]])
        value = proven(one, [t[k] for t in found])
        best[i, j] = best[j, i] = min(value, float(best[i, j]))
    return best
