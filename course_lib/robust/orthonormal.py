"""The rival of a penalty: layers that cannot stretch, and keep all lengths that they can."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from ..spectral.plain import difference
from .penalties import check_finite


class NearestOrthonormal(torch.autograd.Function):
    """V (m, n), m <= n and of full rank, -> (V Vᵀ)^(-1/2) V, the nearest matrix whose rows are
    orthonormal.

    The derivative of G^(-1/2) in the basis of G's eigenvectors is that of G times the divided
    differences of λ^(-1/2) (Daletskii and Krein), which have a closed form; autograd's way through
    the eigenvectors would divide by λ_i - λ_j, which is near 0 here.
    """

    @staticmethod
    def forward(ctx, v: torch.Tensor) -> torch.Tensor:
        check_finite(v)
        values, vectors = torch.linalg.eigh(v @ v.T)
        inverse_root = (vectors * values.rsqrt()) @ vectors.T
        ctx.save_for_backward(v, values.sqrt(), vectors, inverse_root)
        return inverse_root @ v

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        v, roots, vectors, inverse_root = ctx.saved_tensors
        differences = -1 / (roots[:, None] * roots * (roots[:, None] + roots))
        inner = vectors.T @ (gradient @ v.T) @ vectors
        of_gram = vectors @ (differences * inner) @ vectors.T
        return inverse_root @ gradient + (of_gram + of_gram.T) @ v


class OrthonormalRows(nn.Module):
    """A parametrisation of a weight matrix (outputs, inputs), outputs <= inputs: whatever the free
    parameters are, the rows of the matrix are orthonormal. Its norm is 1, and so are all of its
    singular values: what it does not drop, it keeps at its length."""

    def forward(self, free: torch.Tensor) -> torch.Tensor:
        return NearestOrthonormal.apply(free)

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return NearestOrthonormal.apply(weight)


def make_orthonormal(net: nn.Module) -> None:
    """Give all linear layers of ``net``, in place, weights with orthonormal rows that stay so in
    training, until :func:`settle_orthonormal`.

    Raises ValueError, naming the layer, where there are more outputs than inputs.
    """
    layers = {n: m for n, m in net.named_modules() if isinstance(m, nn.Linear)}
    for name, layer in layers.items():
        if why := difference(layer, nn.Linear):
            raise ValueError(
                f"The layer {name!r} need not compute what a Linear does: {why}. Orthonormal rows "
                "would not make its norm 1; use plain linear layers."
            )
        if layer.out_features > layer.in_features:
            raise ValueError(
                f"The layer {name!r} has {layer.out_features} outputs and {layer.in_features} "
                "inputs: so many rows cannot be orthonormal. Use widths that do not grow."
            )
    for layer in layers.values():
        parametrize.register_parametrization(layer, "weight", OrthonormalRows())


@torch.no_grad()
def settle_orthonormal(net: nn.Module) -> None:
    """Turn what :func:`make_orthonormal` made back into plain linear layers, in place, their rows
    orthonormal to float32's rounding (a last step in float64)."""
    ours = [
        m
        for m in net.modules()
        if parametrize.is_parametrized(m, "weight")
        and type(m.parametrizations["weight"][-1]) is OrthonormalRows
    ]
    for layer in ours:
        parametrize.remove_parametrizations(layer, "weight")
        exact = NearestOrthonormal.apply(layer.weight.cpu().double())
        layer.weight.copy_(exact)


class MaxMin(nn.Module):
    """Sorts pairs: (N, 2k) -> (N, 2k), x_i and x_(i+k) become the larger and the smaller of them.

    GroupSort with groups of two (Anil, Lucas and Grosse, 2019). It permutes its inputs, so it keeps
    every length and every gradient's length, where a ReLU loses what it sets to 0: in an
    orthonormal network with a ReLU, the bound 1 is hardly ever reached.
    """

    lipschitz_constant = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=1)
        return torch.cat([torch.maximum(first, second), torch.minimum(first, second)], dim=1)


class MarginLoss:
    """Cross-entropy after the true logit was lowered by ``margin``, at ``temperature``, a mean.

    A network of norm 1 cannot make its logits large, so that plain cross-entropy would ask it for
    impossible confidence and spend its efforts on images that are right already. With logits
    z - margin · onehot(y), divided by the temperature, images have little loss once they lead by
    the margin; with orthonormal last rows that is a certified radius of margin/√2.
    """

    def __init__(self, margin: float, temperature: float):
        self.margin, self.temperature = margin, temperature

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        lowered = logits - self.margin * F.one_hot(labels, logits.shape[1])
        return F.cross_entropy(lowered / self.temperature, labels)
