"""Convolutions in the frequency domain: exact norms where a layer is a circulant (section 4.3).

A convolution with circular padding whose stride s divides the size is split by the residues of its
input cells modulo s: y[j] = Σ_r Σ_a w_r[a] x_r[j + a] with x_r[q] = x[s·q + r]. That is a
convolution of stride 1 with C·s² input channels on M = N / s cells, which the Fourier transform
turns into one D x C·s² matrix per frequency, its *symbol*. The layer's singular values are those of
all its symbols, and its norm is the largest of them; groups are separate layers side by side.

The same holds if the signal changes its sign on its way round the grid (a *twist*; the frequencies
then lie half way between the usual ones). Zero padding needs that: see embedding.py.
"""

import dataclasses
import itertools
import math

import scipy.sparse.linalg
import torch
from torch import Tensor

from .geometry import Geometry

CHUNK_BYTES = 2**23  # of one batch of Gram matrices; a few times that is in use
LEAST_CHUNK = 8  # frequencies: each batch reads the whole autocorrelation
CORRELATION_BYTES = 2**28  # of an autocorrelation, which is used only if it is smaller
EPS = torch.finfo(torch.float64).eps
MARGIN = 1e-11  # relative, on squares: the frequencies are tested at this much above the best
PROBES = 6  # Lanczos steps by which the frequencies are ranked
DENSE_EIGENVALUES = 1024  # Gram matrices up to this size get all eigenvalues, larger ones ARPACK


@dataclasses.dataclass(frozen=True)
class Polyphase:
    """A convolution of stride 1 on the grid Z_M: y[j] = Σ_a K_a x[j + a].

    taps: (groups, A1, ..., rows, columns) float64, the matrices K_a of each group, with rows =
    D / groups and columns = C·s^k / groups; the offsets a of an axis are start, start + 1, ...
    grid: M; twist: for each axis 1 if the signal changes its sign on its way round, else 0.
    """

    taps: Tensor
    start: tuple[int, ...]
    grid: tuple[int, ...]
    twist: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a symbol."""
        return self.taps.shape[-2], self.taps.shape[-1]

    @property
    def offsets(self) -> Tensor:
        """The offsets of all taps, (taps, axes) int64."""
        counts = self.taps.shape[1:-2]
        ranges = [range(a, a + n) for a, n in zip(self.start, counts, strict=True)]
        return torch.tensor(list(itertools.product(*ranges)), dtype=torch.int64)

    def adjoint(self) -> "Polyphase":
        """The adjoint layer: transposed matrices at negated offsets; its norm is the same."""
        axes = tuple(range(1, self.taps.ndim - 2))
        ends = [a + n - 1 for a, n in zip(self.start, self.taps.shape[1:-2], strict=True)]
        taps = self.taps.mT.flip(axes).contiguous()
        return dataclasses.replace(self, taps=taps, start=tuple(-end for end in ends))

    def symbols(self, frequencies: Tensor) -> Tensor:
        """Σ_a K_a e^(iω·a) for each ω: (groups, frequencies, rows, columns) complex128."""
        cosines, sines = waves(self.offsets, frequencies, self.grid, self.taps)
        flat = self.taps.flatten(1, -3).flatten(2)
        found = torch.complex(cosines @ flat, sines @ flat)
        return found.unflatten(-1, self.size)


def polyphase(layer: Geometry, grid: tuple[int, ...], twist: tuple[int, ...] = ()) -> Polyphase:
    """``layer`` on the grid Z_N, whose sizes are multiples of the strides, split by residues."""
    starts = [axis.first // axis.s for axis in layer.axes]
    counts = [
        (axis.first + axis.reach) // axis.s - start + 1
        for axis, start in zip(layer.axes, starts, strict=True)
    ]
    strides = [axis.s for axis in layer.axes]
    weight = layer.weight.unflatten(0, (layer.groups, -1))  # (groups, D, C, *kernel)
    sizes = [count * s for count, s in zip(counts, strides, strict=True)]
    full = weight.new_zeros(*weight.shape[:3], *sizes)
    begins = [axis.first - start * axis.s for axis, start in zip(layer.axes, starts, strict=True)]
    places = [
        slice(begin, begin + axis.reach + 1, axis.d)
        for axis, begin in zip(layer.axes, begins, strict=True)
    ]
    full[(..., *places)] = weight
    k = len(strides)
    split = full.reshape(*weight.shape[:3], *itertools.chain(*zip(counts, strides, strict=True)))
    order = [0, *(3 + 2 * i for i in range(k)), 1, 2, *(4 + 2 * i for i in range(k))]
    taps = split.permute(order).flatten(2 + k)
    cells = tuple(n // s for n, s in zip(grid, strides, strict=True))
    return Polyphase(taps, tuple(starts), cells, tuple(twist) or (0,) * k)


def frequencies(grid: tuple[int, ...], twist: tuple[int, ...], half: bool = True) -> Tensor:
    """Numerators of the frequencies: ω = π·numerator / M on each axis. (frequencies, axes) int64.

    half: one of each pair ω, -ω only; a real kernel's symbols there are conjugates.
    """
    axes = [2 * torch.arange(m) + h for m, h in zip(grid, twist, strict=True)]
    found = torch.cartesian_prod(*axes).reshape(-1, len(grid))
    if not half:
        return found
    whole = 2 * torch.tensor(grid)
    place = torch.tensor([math.prod(grid[i + 1 :]) for i in range(len(grid))])
    opposite = ((-found) % whole // 2 * place).sum(1)
    return found[torch.arange(len(found)) <= opposite]


def waves(offsets: Tensor, numerators: Tensor, grid, like: Tensor) -> tuple[Tensor, Tensor]:
    """cos(ω·a) and sin(ω·a), (frequencies, offsets) float64, of exactly reduced angles."""
    whole = 2 * torch.tensor(grid)
    turns = ((numerators[:, None] * offsets) % whole / whole.double()).sum(-1)
    angles = 2 * math.pi * (turns % 1).to(like.device)
    return angles.cos(), angles.sin()


class Gram:
    """The Gram matrices S S* of a convolution's symbols, which are Hermitian, rows x rows.

    They are a trigonometric polynomial themselves, G(ω) = Σ_δ R_δ e^(iω·δ) with the kernel's
    autocorrelation R_δ = Σ_a K_(a+δ) K_aᵀ and R_(-δ) = R_δᵀ. Where there are more frequencies than
    pairs of taps, that costs much less than one matrix product per frequency.
    """

    def __init__(self, layer: Polyphase, count: int, known: dict | None = None):
        """known: where the autocorrelation of the same taps is kept, for other grids."""
        self.layer = layer
        counts = layer.taps.shape[1:-2]
        taps = math.prod(counts)
        self.constant = taps == 1
        spread = math.prod(2 * n - 1 for n in counts)
        small = 8 * spread * layer.taps.shape[0] * layer.size[0] ** 2 <= CORRELATION_BYTES
        self.correlated = self.constant or (small and taps * (taps + 1) // 2 < 4 * count)
        if self.correlated:
            known = {} if known is None else known
            if "correlation" not in known:
                known["correlation"] = self._correlate(counts)
            self.offsets, self.cosine, self.sine = known["correlation"]

    def _correlate(self, counts) -> tuple[Tensor, Tensor, Tensor]:
        """Offsets δ, and R_δ + R_(-δ) and R_δ - R_(-δ), flat."""
        k, (rows, _) = len(counts), self.layer.size
        taps = self.layer.taps.movedim(-2, 1)  # (groups, rows, A1, ..., columns)
        every = itertools.product(*(range(-(n - 1), n) for n in counts))
        offsets = [delta for delta in every if delta >= (0,) * k]  # one of each pair δ, -δ
        cosine, sine = [], []
        for delta in offsets:
            ahead = tuple(
                slice(max(d, 0), n + min(d, 0)) for d, n in zip(delta, counts, strict=True)
            )
            behind = tuple(
                slice(max(-d, 0), n + min(-d, 0)) for d, n in zip(delta, counts, strict=True)
            )
            left = taps[(slice(None), slice(None), *ahead)].flatten(2)
            right = taps[(slice(None), slice(None), *behind)].flatten(2)
            product = left @ right.mT
            zero = not any(delta)
            cosine.append(product if zero else product + product.mT)
            sine.append(torch.zeros_like(product) if zero else product - product.mT)
        return (
            torch.tensor(offsets, dtype=torch.int64).reshape(-1, k),
            torch.stack(cosine, 1).reshape(len(taps), -1, rows * rows),
            torch.stack(sine, 1).reshape(len(taps), -1, rows * rows),
        )

    def __call__(self, numerators: Tensor) -> Tensor:
        """(groups · frequencies, rows, rows), complex128, or float64 if there is only one tap."""
        rows = self.layer.size[0]
        if not self.correlated:
            symbols = self.layer.symbols(numerators).flatten(0, 1)
            return symbols @ symbols.mH
        if self.constant:
            return self.cosine.reshape(-1, rows, rows)
        cosines, sines = waves(self.offsets, numerators, self.layer.grid, self.cosine)
        found = torch.complex(cosines @ self.cosine, sines @ self.sine)
        return found.reshape(-1, rows, rows)


# --- the largest eigenvalue of many Hermitian matrices ------------------------------------------


def ranked(matrices: Tensor, steps: int = PROBES) -> Tensor:
    """Estimates from below of the largest eigenvalues of (B, n, n), by ``steps`` Lanczos steps."""
    count, n, _ = matrices.shape
    steps = min(steps, n)
    start = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vector = start.to(matrices).expand(count, n)[..., None]
    basis = matrices.new_zeros(count, n, steps)
    small = torch.zeros(count, steps, steps, dtype=torch.float64, device=matrices.device)
    for j in range(steps):
        length = torch.linalg.vector_norm(vector, dim=1, keepdim=True)
        if j:
            small[:, j, j - 1] = small[:, j - 1, j] = length[:, 0, 0]
        basis[:, :, j : j + 1] = vector / length.clamp_min(1e-300)
        vector = matrices @ basis[:, :, j : j + 1]
        known = basis[:, :, : j + 1]
        inner = known.mH @ vector
        small[:, j, j] = inner[:, j, 0].real
        vector = vector - known @ inner
    return torch.linalg.eigvalsh(small)[:, -1]


def largest_eigenvalue(matrix: Tensor) -> float:
    """The largest eigenvalue of one Hermitian positive semidefinite matrix; of a large one from
    below, by ARPACK, with an error of about the square of its tolerance."""
    if len(matrix) <= DENSE_EIGENVALUES or matrix.is_cuda:
        return float(torch.linalg.eigvalsh(matrix)[-1])
    start = torch.randn(len(matrix), generator=torch.Generator().manual_seed(0)).to(matrix).numpy()
    found = scipy.sparse.linalg.eigsh(
        matrix.numpy(), k=1, which="LA", v0=start, tol=1e-7, return_eigenvectors=False
    )
    return float(found[0])


def not_below(matrices: Tensor, limit: float) -> Tensor:
    """Which of (B, n, n) have an eigenvalue of ``limit`` or more: (B,) bool.

    limit·I - G has a Cholesky factor exactly if all eigenvalues of G are below the limit.
    """
    shifted = -matrices
    shifted.diagonal(dim1=1, dim2=2).add_(limit)
    return torch.linalg.cholesky_ex(shifted).info > 0


def examine(matrices: Tensor, best: float) -> tuple[float, int | None]:
    """The largest eigenvalue of (B, n, n) matrices if it is above ``best``, and whose it is.

    All eigenvalues of all matrices are then known to be below the result · (1 + MARGIN): by the
    Frobenius norm, which is no smaller than the largest of them, or by a Cholesky factor.
    """
    n, at = matrices.shape[-1], None
    diagonal = matrices.diagonal(dim1=1, dim2=2).real.amax(1)  # no larger than the largest
    if float(diagonal.max()) > best:
        at = int(diagonal.argmax())
        best = float(diagonal[at])
    size = torch.linalg.vector_norm(matrices.flatten(1), dim=1) * (1 + n * n * EPS)
    left = (size > best * (1 + MARGIN)).nonzero()[:, 0]
    if not len(left):
        return best, at
    estimates = ranked(matrices[left])
    order = estimates.argsort(descending=True)
    left, estimates = left[order], estimates[order]
    while len(left):
        if float(estimates[0]) > best:
            best, at = larger(best, at, largest_eigenvalue(matrices[left[0]]), int(left[0]))
            estimates[0] = -math.inf  # it is solved, but tested like the others
        fails = not_below(matrices[left], best * (1 + MARGIN))
        left, estimates = left[fails], estimates[fails]
        solved = estimates == -math.inf
        for i in left[solved].tolist():  # the iteration stopped short of it
            best, at = larger(best, at, float(torch.linalg.eigvalsh(matrices[i])[-1]), i)
        left, estimates = left[~solved], torch.full_like(estimates[~solved], math.inf)
    return best, at


def larger(best: float, at: int | None, value: float, i: int) -> tuple[float, int | None]:
    """(best, at), or (value, i) if that is larger."""
    return (value, i) if value > best else (best, at)


@dataclasses.dataclass(frozen=True, eq=False)
class Top:
    """The largest singular value over all frequencies and where it is.

    value: float; lower, upper: rigorous; group, frequency: where it is (numerators of ω, see
    frequencies); left (rows,) and right (columns,): the symbol's singular vectors there.
    """

    value: float
    lower: float
    upper: float
    left: Tensor
    right: Tensor
    group: int
    frequency: Tensor


def top(layer: Polyphase, stop_above: float = math.inf, known: dict | None = None) -> Top | None:
    """The norm of ``layer``: the largest singular value of its symbols, with a certificate.

    The frequencies go by in chunks, so that the memory is bounded. Returns None as soon as the norm
    is known to be above ``stop_above``. known: see :class:`Gram`.
    """
    largest = float(layer.taps.detach().abs().max())
    scale = 2.0 ** math.frexp(largest)[1] if largest else 1.0  # squares neither over- nor underflow
    layer = dataclasses.replace(layer, taps=layer.taps.detach() / scale)
    flipped = layer.size[0] > layer.size[1]
    thin = layer.adjoint() if flipped else layer
    rows, groups = thin.size[0], len(thin.taps)
    numerators = frequencies(layer.grid, layer.twist)
    gram = Gram(thin, len(numerators), known)
    if gram.constant:
        numerators = numerators[:1]  # all symbols are the same up to a phase
    chunk = max(LEAST_CHUNK, CHUNK_BYTES // (16 * rows * rows * groups))
    best, group, frequency = -1.0, 0, numerators[:1]
    for part in numerators.split(chunk):
        best, at = examine(gram(part), best)
        if at is not None:
            group, frequency = at // len(part), part[at % len(part)][None]
        if best > (stop_above / scale) ** 2:
            return None
    limit = best * (1 + MARGIN)
    unit = eigenvector(gram(frequency)[group], limit)
    image = thin.symbols(frequency)[group, 0].mH @ unit
    value = float(torch.linalg.vector_norm(image))
    lower, upper = rounded(thin, value, limit)
    pair = (unit, image / value if value else image)
    left, right = pair[::-1] if flipped else pair
    return Top(value * scale, lower * scale, upper * scale, left, right, group, frequency[0])


def eigenvector(matrix: Tensor, limit: float) -> Tensor:
    """The unit eigenvector (n,) complex128 of the largest eigenvalue, just below ``limit``.

    Two inverse iterations with the factor of limit·I - matrix; all eigenvectors if there is none.
    """
    n = len(matrix)
    start = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    vector = start.to(matrix)[:, None]
    shifted = limit * (1 + 8 * n * EPS) * torch.eye(n).to(matrix) - matrix
    factor, failed = torch.linalg.cholesky_ex(shifted)
    if failed:
        return torch.linalg.eigh(matrix).eigenvectors[:, -1].to(torch.complex128)
    for _ in range(2):
        vector = torch.cholesky_solve(vector, factor)
        vector = vector / torch.linalg.vector_norm(vector)
    return vector[:, 0].to(torch.complex128)


def rounded(thin: Polyphase, value: float, limit: float) -> tuple[float, float]:
    """Rigorous (lower, upper) from ``value``, a norm |S* u|, and ``limit``, tested on the squares.

    With Σ|K| the sum of the taps' Frobenius norms: a sum of m products has an error below m·ε times
    the sum of their absolute values, so every Gram matrix is within (columns · taps + ...)·ε·Σ|K|²
    of the exact one; and a Cholesky factor that was found belongs to a matrix within 4(n + 2)·ε
    times the trace of the one asked for (Rump, Verification of positive definiteness, 2006).
    """
    rows, columns = thin.size
    norms = torch.linalg.matrix_norm(thin.taps.flatten(1, -3))  # (groups, taps)
    total, taps = float(norms.sum(1).max()), norms.shape[1]
    terms = columns * taps + 2 ** len(thin.grid) * taps + 16
    factor = 4 * EPS * (rows + 2) * rows * limit
    upper = math.sqrt(limit + 4 * EPS * terms * total**2 + factor) * (1 + 4 * EPS)
    lower = value * (1 - 4 * EPS * (rows + columns)) - 4 * EPS * (taps + rows + 8) * total
    return max(lower, 0.0), upper


def at_vectors(split: Polyphase, best: Top | None = None) -> Tensor:
    """u* S(ω) v at the frequency and the vectors of the largest singular value."""
    best = best or top(split)
    symbol = split.symbols(best.frequency[None])[best.group, 0]
    return (best.left.conj() @ symbol @ best.right).real
