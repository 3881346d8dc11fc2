"""Layers that are diagonal matrices: batch normalisation, and products with constants."""

import numpy as np
import torch
from torch import Tensor, nn

from .geometry import weight_of
from .operators import LinearMap
from .rules import Measured, Size, closed_form

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Diagonal(nn.Module):
    """x -> scale · x + shift, element by element: sums with and products by constants."""

    def __init__(self, scale, shift):
        super().__init__()
        self.register_buffer("weight", torch.as_tensor(scale, dtype=torch.float64))
        self.register_buffer("bias", torch.as_tensor(shift, dtype=torch.float64))

    def forward(self, x):
        return x * self.weight + self.bias


def measure_diagonal(layer: Diagonal, shape, upper: bool) -> Measured:
    value = float(layer.weight.abs().max())
    return Measured(value, value, value, "largest entry")


def diagonal_size(layer: Diagonal, shape) -> Size:
    return Size(" x ".join(map(str, shape)))


# --- batch normalisation -------------------------------------------------------------------------


def scales(layer: nn.Module) -> Tensor:
    """The factor of each channel of a batch normalisation in eval mode: γ / sqrt(variance + ε).

    Raises ValueError in training mode, or without running statistics: it is then no function of one
    input.
    """
    if layer.training or layer.running_var is None:
        raise ValueError(
            f"{layer} normalises by its batch, so that it has no norm of its own: call eval() on "
            "the network, and build it with track_running_stats=True."
        )
    variance = layer.running_var
    variance = (variance.cpu() if variance.device.type == "mps" else variance).double()
    weight = weight_of(layer) if layer.weight is not None else torch.ones_like(variance)
    found = weight / (variance + layer.eps).sqrt()
    if not torch.isfinite(found.detach()).all():
        raise ValueError(f"The running variance of {layer} contains NaN or infinite values.")
    return found


def channel_scales(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """:func:`scales`, shaped to multiply inputs of ``shape`` (C, ...)."""
    if shape[0] != layer.num_features:
        raise ValueError(f"{layer} takes inputs of {layer.num_features} channels, not {shape}.")
    return scales(layer).reshape(-1, *[1] * (len(shape) - 1))


def measure(layer: nn.Module, shape, upper: bool) -> Measured:
    """The norm of a batch normalisation."""
    return closed_form(float(channel_scales(layer, shape).detach().abs().max()), "diagonal")


def linear_map(layer: nn.Module, shape) -> LinearMap:
    factor = channel_scales(layer, shape).detach()
    return LinearMap(lambda x: x * factor, shape, shape, factor.device)


def singular_values(layer: nn.Module, shape) -> np.ndarray:
    factors = channel_scales(layer, shape).detach().abs().expand(shape)
    return factors.flatten().sort(descending=True).values.cpu().numpy()


def differentiable(layer: nn.Module, shape, bound: str) -> Tensor:
    return channel_scales(layer, shape).abs().max().to(layer.running_var)
