"""Activations: their slopes and how they bend; and contrast normalisation."""

import math

from scipy.special import erf
from torch import Tensor, nn

from .geometry import weight_of
from .rules import Slopes, Smooth

# GELU' = Φ + xφ is largest at √2, SiLU' where y·tanh y = 1 with x = 2y; f'(-x) = 1 - f'(x) in both
GELU_SLOPE = (1 + erf(1.0)) / 2 + math.exp(-1.0) / math.sqrt(math.pi)
SILU_SLOPE = (1 + 1.1996786402577338) / 2


def leaky_slopes(layer: nn.LeakyReLU) -> Slopes:
    return Slopes(min(1.0, layer.negative_slope), max(1.0, layer.negative_slope))


def softplus_slopes(layer: nn.Softplus) -> Slopes:
    """Torch goes over to the line x where β x exceeds the threshold, and jumps there by
    log(1 + e^-t) / β: by less than the rounding of float32 for a threshold t of 17."""
    if not layer.threshold >= 17 or not layer.beta > 0:
        raise ValueError(
            f"{layer} jumps where it goes over to a line, so that it has no bound: use beta > 0 "
            "and threshold=20, which is torch's own."
        )
    return Slopes(0.0, 1.0)


def parametric_slopes(layer: nn.PReLU) -> Slopes:
    slopes = weight_of(layer).detach()
    return Slopes(min(1.0, float(slopes.min())), max(1.0, float(slopes.max())))


def exponential_slopes(layer: nn.ELU) -> Slopes:
    return Slopes(min(0.0, layer.alpha), max(1.0, layer.alpha))


def sigmoid_derivatives(value: Tensor) -> tuple[Tensor, Tensor]:
    first = value * (1 - value)
    return first, first * (1 - 2 * value)


def tanh_derivatives(value: Tensor) -> tuple[Tensor, Tensor]:
    first = 1 - value * value
    return first, -2 * value * first


SIGMOID = Smooth(1 / (6 * math.sqrt(3)), 1 / 8, sigmoid_derivatives)
TANH = Smooth(4 / (3 * math.sqrt(3)), 2.0, tanh_derivatives)


class LocalContrastNormalisation(nn.Module):
    """x / (ε + |x|²)^γ, the contrast normalisation of section 4.3; |x| is taken over ``dim``.

    Its constant is exactly ε^-γ for all γ >= 0, not only a bound: at x = 0 the Jacobian is that
    multiple of the identity, and elsewhere both of its eigenvalues, (ε + |x|²)^-γ across x and
    (ε + (1 - 2γ)|x|²) / (ε + |x|²)^(γ + 1) along x, are smaller in absolute value. It would be
    smaller on inputs that stay away from 0, |x| >= ρ: there (ε + ρ²)^-γ for γ in [0, 1].

    dim: the axes over which |x| is summed; by default the channels at each position. Sets of cells
    that are normalised together do not overlap, so the constant of one is that of all. Raises
    ValueError unless eps > 0 and 0.5 <= gamma <= 1, the paper's range.
    """

    def __init__(self, eps: float = 1.0, gamma: float = 0.5, dim: int | tuple[int, ...] = 1):
        super().__init__()
        if not (eps > 0 and 0.5 <= gamma <= 1):
            raise ValueError(
                f"Contrast normalisation needs eps > 0 and gamma between 0.5 and 1, not eps = "
                f"{eps} and gamma = {gamma}: without eps it is not continuous at 0."
            )
        self.eps, self.gamma, self.dim = eps, gamma, dim

    def forward(self, x: Tensor) -> Tensor:
        """The normalised ``x``, of the same shape."""
        return x / (self.eps + x.square().sum(self.dim, keepdim=True)) ** self.gamma

    def extra_repr(self) -> str:
        return f"eps={self.eps}, gamma={self.gamma}, dim={self.dim}"
