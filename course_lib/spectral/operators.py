"""Layers as linear maps: applied, transposed, written out as a matrix, and iterated.

What is no circulant is treated here. The iteration (Lanczos, by ARPACK) comes from below: it ends
at some singular value, with a small residual, and nothing proves that it is the largest. Bounds
from above come from fourier.py, or for small layers from a Cholesky factor of their Gram matrix.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
import torch
from torch import Tensor

from . import fourier

MATRIX_ENTRIES = 2**24  # of an explicit matrix: 128 MiB
CERTIFIED_SIZE = 3200  # the smaller side of a layer whose Gram matrix is certified as a whole
BATCH_ENTRIES = 2**21  # numbers in a batch of unit vectors
SMALL = 64  # the smaller side of a layer that needs no iteration
SINGLE_SIZE = 4096  # from this smaller side on the iteration begins in float32
SINGLE_TOLERANCE = 1e-5
HEAVY = 2e8  # multiplications of a layer for one input, from which on it is not iterated
TOLERANCE = 1e-8  # of ARPACK's residual on squares, relative; the error of the value is far smaller


class LinearMap:
    """A linear function between tensors, in float64, with its adjoint.

    function: (B, *input_shape) -> (B, *output_shape), linear, without batch effects; single: the
    same up to a factor in float32, as another LinearMap, where that is faster.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        input_shape,
        output_shape,
        device,
        single: "LinearMap | None" = None,
    ):
        self.apply, self.single = function, single
        self.input_shape, self.output_shape = tuple(input_shape), tuple(output_shape)
        self.inputs, self.outputs = math.prod(input_shape), math.prod(output_shape)
        self.device = device
        self._graphs = {}

    def adjoint(self, y: Tensor) -> Tensor:
        """(B, *output_shape) -> (B, *input_shape): the gradient of <y, f(x)>, the same at any x."""
        batch = len(y)
        if batch not in self._graphs:
            with torch.enable_grad():
                x = torch.zeros(
                    batch, *self.input_shape, dtype=y.dtype, device=y.device, requires_grad=True
                )
                self._graphs = {batch: (x, self.apply(x))}  # one is kept: they hold activations
        x, value = self._graphs[batch]
        return torch.autograd.grad(value, x, y, retain_graph=True)[0]

    @property
    def wide(self) -> bool:
        """Whether there are more inputs than outputs."""
        return self.inputs > self.outputs

    def square(self, v: Tensor) -> Tensor:
        """A Aᵀ v or Aᵀ A v, (B, *shape of the smaller side) -> the same."""
        return self.apply(self.adjoint(v)) if self.wide else self.adjoint(self.apply(v))

    @property
    def small_shape(self) -> tuple[int, ...]:
        """The shape of the side with fewer entries."""
        return self.output_shape if self.wide else self.input_shape

    def columns(self, function, shape) -> Tensor:
        """``function`` of every unit vector of ``shape``, (entries, results)."""
        n = math.prod(shape)
        step = max(1, BATCH_ENTRIES // max(self.inputs, self.outputs))
        found = []
        for begin in range(0, n, step):
            units = torch.zeros(min(step, n - begin), n, dtype=torch.float64, device=self.device)
            units[torch.arange(len(units)), begin + torch.arange(len(units))] = 1
            found.append(function(units.unflatten(1, shape)).flatten(1))
        return torch.cat(found)

    def matrix(self) -> Tensor:
        """The explicit matrix (outputs, inputs). Raises ValueError if it has too many entries."""
        if self.inputs * self.outputs > MATRIX_ENTRIES:
            raise ValueError(
                f"The matrix of this layer would have {self.outputs} x {self.inputs} entries, more "
                f"than {MATRIX_ENTRIES}: use a smaller input_shape, or norm_bounds, which needs no "
                "matrix."
            )
        if self.wide:
            return self.columns(self.adjoint, self.output_shape)
        return self.columns(self.apply, self.input_shape).T.contiguous()

    def gram(self) -> Tensor:
        """The Gram matrix A Aᵀ or Aᵀ A of the smaller side, symmetric."""
        found = self.columns(self.square, self.small_shape)
        return (found + found.T) / 2


def eigenvector(operator: LinearMap, begin: Tensor, tolerance: float) -> Tensor:
    """ARPACK's top eigenvector of ``operator.square``, in the dtype of ``begin`` (n,)."""
    n, shape = len(begin), operator.small_shape

    def multiply(vector: np.ndarray) -> np.ndarray:
        v = torch.from_numpy(vector.reshape(1, *shape)).to(operator.device, begin.dtype)
        return operator.square(v).flatten().cpu().numpy()

    if not multiply(begin.numpy()).any():  # ARPACK refuses a map that is zero
        return begin
    kind = begin.numpy().dtype
    square = scipy.sparse.linalg.LinearOperator((n, n), matvec=multiply, dtype=kind)
    settings = {"which": "LA", "v0": begin.numpy(), "ncv": min(n, 24), "tol": tolerance}
    _, vectors = scipy.sparse.linalg.eigsh(square, k=1, **settings)
    return torch.from_numpy(vectors[:, 0])


class Leading(NamedTuple):
    """A singular value, and its vectors in the shapes of one output and one input."""

    value: float
    left: Tensor
    right: Tensor


def leading(operator: LinearMap, precise: bool = True) -> Leading:
    """The largest singular value that ARPACK finds, from below, and its vectors.

    From a random start with a fixed seed; large layers first in float32, and with ``precise`` then
    in float64. Either way the value is |A v| of the unit vector v returned, computed in float64: a
    lower bound of the norm.
    """
    n, shape = math.prod(operator.small_shape), operator.small_shape
    begin = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    single = operator.single if n > SINGLE_SIZE else None
    if n <= SMALL:
        vector = torch.linalg.eigh(operator.gram()).eigenvectors[:, -1].cpu()
    elif single is None:
        vector = eigenvector(operator, begin, TOLERANCE)
    else:
        vector = eigenvector(single, begin.float(), SINGLE_TOLERANCE).double()
        if precise:
            vector = eigenvector(operator, vector, TOLERANCE)
    near = (vector / torch.linalg.vector_norm(vector)).to(operator.device).reshape(1, *shape)
    far = (operator.adjoint if operator.wide else operator.apply)(near)
    value = float(torch.linalg.vector_norm(far))
    far = far / value if value else far
    left, right = (near, far) if operator.wide else (far, near)
    return Leading(value, left[0], right[0])


def gram_of(matrix: Tensor) -> Tensor:
    """M Mᵀ or Mᵀ M, whichever is smaller, of a large matrix (rows, columns) float64."""
    thin = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    if thin.is_cuda:
        return thin @ thin.T
    half = scipy.linalg.blas.dsyrk(1.0, thin.contiguous().numpy().T, trans=1)  # upper triangle
    half = torch.from_numpy(half)
    return half + half.triu(1).T


def certified(gram: Tensor, scale: float) -> tuple[float, float]:
    """The root of the largest eigenvalue of a Gram matrix G, and a rigorous upper bound of it.

    A Cholesky factor of t²·I - G proves that the norm is below t. scale: times 4ε, a bound of the
    error of G, in norm.
    """
    best, _ = fourier.examine(gram[None], 0.0)
    n, limit = len(gram), best * (1 + fourier.MARGIN)
    rounding = 4 * fourier.EPS * ((n + 2) * n * limit + scale)
    return math.sqrt(best), math.sqrt(limit + rounding) * (1 + 4 * fourier.EPS)
