"""The norm of a layer, whatever its kind: one function for the estimate, one for rigorous bounds.

``operator_norm``       the best estimate
``norm_bounds``         a rigorous lower and upper bound; certificates use the upper one only
``norm_row``          both, as a row of a table
``differentiable_norm`` the same numbers with a gradient, for penalties
``singular_values``, ``symbols``, ``explicit_matrix``   all that there is to see

"Norm" is the largest factor by which a layer stretches a difference of two inputs, in L2: the
operator norm of a linear layer without its bias, the Lipschitz constant of any other. All is
computed in float64, whatever the weights are stored in.
"""

import copy
import dataclasses
import itertools
import math
import time
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import erf
from torch import Tensor, nn
from torch.nn import functional as F

from . import fourier, operators, pooling
from .geometry import CONVOLUTIONS, Axis, Geometry, geometry, shape_of, weight_of
from .kinds import stated_constant

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
ISOMETRIES = (nn.Flatten, nn.Unflatten, nn.Identity)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
LINEAR_SIZE = 1024  # the smaller side of a matrix whose norm is not iterated
ALLOWANCE = 1e-12  # relative, for the rounding of a norm that has a closed form


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


# --- activations ---------------------------------------------------------------------------------

# GELU' = Φ + xφ is largest at √2, SiLU' where y·tanh y = 1 with x = 2y; f'(-x) = 1 - f'(x) in both
GELU_SLOPE = (1 + erf(1.0)) / 2 + math.exp(-1.0) / math.sqrt(math.pi)
SILU_SLOPE = (1 + 1.1996786402577338) / 2


def slope_range(layer: nn.Module) -> tuple[float, float] | None:
    """The least and the largest slope of an activation function; None if ``layer`` is none.

    They are attained or approached, so the largest absolute value is the exact constant.
    """
    match layer:
        case nn.Sigmoid():
            return 0.0, 0.25
        case nn.ReLU() | nn.ReLU6() | nn.Hardtanh() | nn.Tanh() | nn.Softplus() | nn.Softsign():
            return 0.0, 1.0
        case nn.LeakyReLU():
            return min(1.0, layer.negative_slope), max(1.0, layer.negative_slope)
        case nn.PReLU():
            slopes = weight_of(layer).detach()
            return min(1.0, float(slopes.min())), max(1.0, float(slopes.max()))
        case nn.ELU():
            return min(0.0, layer.alpha), max(1.0, layer.alpha)
        case nn.GELU() if layer.approximate == "none":
            return 1 - GELU_SLOPE, GELU_SLOPE
        case nn.SiLU():
            return 1 - SILU_SLOPE, SILU_SLOPE
    return None


def constant_of(layer: nn.Module) -> float | None:
    """The constant of a layer that needs no input shape; None if it has none.

    What a module states itself comes first: it may derive from a layer and compute something else.
    """
    stated = stated_constant(layer)
    if stated is not None:
        return stated
    slopes = slope_range(layer)
    if slopes:
        return max(abs(slope) for slope in slopes)
    if isinstance(layer, ISOMETRIES):
        return 1.0
    if isinstance(layer, DROPOUTS):
        if layer.training and layer.p > 0:
            raise ValueError(f"{layer} is random while it trains: call eval() on the network.")
        return 1.0
    if isinstance(layer, LocalContrastNormalisation):
        return layer.eps**-layer.gamma
    return None


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
    weight = weight_of(layer) if layer.affine else torch.ones_like(variance)
    found = weight / (variance + layer.eps).sqrt()
    if not torch.isfinite(found.detach()).all():
        raise ValueError(f"The running variance of {layer} contains NaN or infinite values.")
    return found


def fold_batch_norm(layer: nn.Module, normalisation: nn.Module) -> nn.Module:
    """A copy of a linear layer or convolution that computes ``normalisation(layer(x))`` by itself.

    normalisation: the batch normalisation (eval mode) behind it. The copy has a bias in any case.
    Raises TypeError for other kinds, ValueError if the numbers of channels differ.
    """
    if not isinstance(layer, (nn.Linear, *CONVOLUTIONS)) or not isinstance(
        normalisation, BATCH_NORMS
    ):
        raise TypeError(
            "A batch normalisation can be folded into the Linear or convolution before it, not a "
            f"{type(normalisation).__name__} into a {type(layer).__name__}."
        )
    factor = scales(normalisation).detach()
    if len(factor) != len(layer.weight):
        raise ValueError(
            f"{normalisation} has {len(factor)} channels and {layer} gives {len(layer.weight)}: "
            "fold it into the layer whose outputs it normalises."
        )
    folded = copy.deepcopy(layer)
    kind = layer.weight.dtype
    weight = layer.weight.detach().double()
    bias = torch.zeros(len(factor)).to(weight) if layer.bias is None else layer.bias.detach()
    offset = normalisation.bias.detach().double() if normalisation.affine else 0.0
    bias = (bias.double() - normalisation.running_mean.double()) * factor + offset
    folded.weight = nn.Parameter((weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).to(kind))
    folded.bias = nn.Parameter(bias.to(kind))
    return folded


# --- linear layers and convolutions --------------------------------------------------------------


def dense_layer(layer: nn.Linear, input_shape) -> fourier.Polyphase:
    """A fully connected layer as a convolution with one tap on a grid of one cell."""
    shape = shape_of(input_shape)
    if shape[-1] != layer.in_features:
        raise ValueError(
            f"{layer} takes inputs whose last size is {layer.in_features}, not {shape}: flatten "
            "them first."
        )
    return fourier.Polyphase(weight_of(layer)[None, None], (0,), (1,), (0,))


def not_circulant(layer: Geometry) -> ValueError:
    """What to say where symbols are asked of a layer that has none."""
    sizes = " x ".join(str(axis.n) for axis in layer.axes)
    return ValueError(
        f"On {sizes} cells this layer is no circulant: symbols need padding_mode='circular' that "
        "keeps the size, and a stride that divides it (or windows that neither overlap nor leave "
        "the input). Use operator_norm or norm_bounds, which take any layer."
    )


def symbols(layer: nn.Module, input_shape) -> Tensor:
    """The symbols of a convolution that is a circulant: (M1, ..., D, C·s^k) complex128.

    M = N / s frequencies per axis, in the order of torch.fft.fft; with groups they are the first
    axis, and each has its own channels. Raises ValueError, saying what to do, if the layer is no
    circulant on inputs (C, *n), TypeError if it is no convolution.
    """
    shape = geometry(layer, input_shape)
    grid = shape.circulant_grid()
    if grid is None:
        raise not_circulant(shape)
    split = fourier.polyphase(shape, grid)
    every = fourier.frequencies(split.grid, split.twist, half=False)
    found = split.symbols(every).unflatten(1, split.grid)
    return found[0] if shape.groups == 1 else found


def convolution_map(layer: Geometry) -> operators.LinearMap:
    """A convolution as a linear map."""
    weight = layer.weight.detach()
    sizes = layer.input_shape, layer.output_shape, weight.device
    scaled = (weight / weight.abs().max().clamp_min(1e-300)).float()
    single = operators.LinearMap(dataclasses.replace(layer, weight=scaled).apply, *sizes)
    return operators.LinearMap(dataclasses.replace(layer, weight=weight).apply, *sizes, single)


def linear_map(layer: nn.Module, input_shape) -> operators.LinearMap:
    """Any linear layer, without its bias, as a linear map. Raises TypeError for other layers."""
    shape = shape_of(input_shape)
    if isinstance(layer, CONVOLUTIONS):
        return convolution_map(geometry(layer, shape))
    if isinstance(layer, nn.Linear):
        weight = dense_layer(layer, shape).taps[0, 0].detach()
        outputs = (*shape[:-1], len(weight))
        return operators.LinearMap(lambda x: x @ weight.T, shape, outputs, weight.device)
    if isinstance(layer, BATCH_NORMS):
        factor = channel_scales(layer, shape).detach()
        return operators.LinearMap(lambda x: x * factor, shape, shape, factor.device)
    if isinstance(layer, (*pooling.AVERAGE, *pooling.ADAPTIVE_AVERAGE)):
        outputs = (shape[0], *(len(axis) for axis in pooling.windows(layer, shape)))
        return operators.LinearMap(layer.forward, shape, outputs, torch.device("cpu"))
    if isinstance(layer, (*ISOMETRIES, *DROPOUTS)):
        return operators.LinearMap(lambda x: x, shape, shape, torch.device("cpu"))
    raise TypeError(f"{type(layer).__name__} is no linear layer, so it has no matrix.")


def channel_scales(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """:func:`scales`, shaped to multiply inputs of ``shape`` (C, ...)."""
    if shape[0] != layer.num_features:
        raise ValueError(f"{layer} takes inputs of {layer.num_features} channels, not {shape}.")
    return scales(layer).reshape(-1, *[1] * (len(shape) - 1))


def explicit_matrix(layer: nn.Module, input_shape) -> Tensor:
    """The matrix (outputs, inputs) float64 of a linear layer, its bias left out.

    Inputs and outputs are numbered as in ``x.flatten()``. Raises ValueError above
    operators.MATRIX_ENTRIES entries, TypeError if the layer is not linear.
    """
    return linear_map(layer, input_shape).matrix()


# --- upper bounds where a layer is no circulant --------------------------------------------------


class CirculantBound(NamedTuple):
    """factor · top.upper is an upper bound; split: the circulant that ``top`` belongs to."""

    factor: float
    top: fourier.Top
    split: fourier.Polyphase
    method: str

    @property
    def upper(self) -> float:
        return self.factor * self.top.upper * (1 + 4 * fourier.EPS)


def twisted(
    layer: Geometry, grid, twistable, factor: float = 1.0, method: str = ""
) -> CirculantBound:
    """The least of the bounds by circulants on ``grid`` with each choice of twists.

    A layer with zero padding is a part of the circulant on any larger grid, whether or not the
    signal changes its sign on its way round: all of them are upper bounds. Without the twist the
    frequencies include 0, where many layers stretch most, and the bound is that of an endless
    input; half a step beside it the bound falls like the norm itself does, with 1 / N².
    twistable: for each axis whether a twist is allowed.
    """
    choices = sorted(itertools.product(*[(1, 0) if free else (0,) for free in twistable]))
    best = None
    for twist in reversed(choices):
        split = fourier.polyphase(layer, grid, twist)
        found = fourier.top(split, stop_above=math.inf if best is None else best.upper)
        if best is None or (found is not None and found.upper < best.upper):
            best, kept = found, split
    return CirculantBound(factor, best, kept, method)


def repeats(axis: Axis, mode: str) -> int:
    """How often the padding shows the cell that it shows most often, that cell itself included."""
    cells = torch.arange(axis.n, dtype=torch.float64)[None, None]
    padded = F.pad(cells, (axis.before, axis.after), mode)
    return int(padded.long().flatten().bincount().max())


def padded_bound(layer: Geometry) -> CirculantBound:
    """The norm of the padding times the bound of the convolution of the padded input."""
    factor = math.sqrt(math.prod(repeats(axis, layer.mode) for axis in layer.axes))
    axes = tuple(
        dataclasses.replace(axis, n=axis.n + axis.before + axis.after, before=0, after=0)
        for axis in layer.axes
    )
    inner = dataclasses.replace(layer, axes=axes, mode="zeros")
    method = f"{layer.mode} padding times circulant"
    return twisted(inner, inner.embedding_grid(), [True] * len(axes), factor, method)


def wrapped_bound(layer: Geometry) -> CirculantBound:
    """For circular padding whose stride does not divide the size: a circulant with more outputs.

    Output j is at cell s·j mod n, one of the multiples of g = gcd(s, n), and each of them occurs at
    most so often; the layer of stride g on Z_n, a circulant, has all of them.
    """
    axes, grid, free, factor = [], [], [], 1.0
    for axis in layer.axes:
        outside = axis.first < 0 or axis.last >= axis.n
        free.append(not outside)
        grid.append(axis.n if outside else axis.embedding())
        if outside:
            step = math.gcd(axis.s, axis.n)
            factor *= math.sqrt(math.ceil(axis.outputs / (axis.n // step)))
            axis = dataclasses.replace(axis, s=step)
        axes.append(axis)
    inner = dataclasses.replace(layer, axes=tuple(axes))
    return twisted(inner, tuple(grid), free, factor, "circulant of smaller stride")


def upper_bound(layer: Geometry) -> CirculantBound:
    """The best of the bounds for a layer that is no circulant."""
    if layer.mode == "zeros" or not layer.is_padded():
        grid, free = layer.embedding_grid(), [True] * len(layer.axes)
        return twisted(layer, grid, free, method="circulant that contains it")
    if layer.mode == "circular":
        return min(padded_bound(layer), wrapped_bound(layer), key=lambda bound: bound.upper)
    return padded_bound(layer)


# --- the public face -----------------------------------------------------------------------------


class NormBounds(NamedTuple):
    """A rigorous lower and upper bound of a layer's norm."""

    lower: float
    upper: float


@dataclasses.dataclass(frozen=True)
class NormRow:
    """A row of a table of norms.

    kind: the class of the layer; size: as in the paper's Table 5, such as "3 x 11 x 11 x 96"
    (inputs, kernel, outputs); stride: None where there is none; estimate: the best estimate;
    lower, upper: rigorous bounds; method: how they were found; seconds: it took.
    """

    kind: str
    size: str
    stride: tuple[int, ...] | None
    estimate: float
    lower: float
    upper: float
    method: str
    seconds: float


class Measured(NamedTuple):
    """What is known about a layer's norm; ``upper`` is inf if it was not asked for."""

    estimate: float
    lower: float
    upper: float
    method: str


def closed_form(value: float, method: str) -> Measured:
    """A norm known up to the rounding of a few operations."""
    return Measured(value, value * (1 - ALLOWANCE), value * (1 + ALLOWANCE), method)


def of_matrix(layer: nn.Linear, shape, upper: bool) -> Measured:
    split = dense_layer(layer, shape)
    if min(split.size) <= LINEAR_SIZE:
        top = fourier.top(split)
        return Measured(top.value, top.lower, top.upper, "matrix")
    if not upper:
        value, _, _ = operators.leading(linear_map(layer, layer.in_features))
        return Measured(value, 0.0, math.inf, "Lanczos")
    weight = split.taps[0, 0].detach()
    scale = (max(split.size) + 16) * float(weight.square().sum())
    value, bound = operators.certified(operators.gram_of(weight), scale)
    slack = 4 * fourier.EPS * (scale + len(weight) * value**2) / max(value, 1e-300)
    return Measured(value, max(value - slack, 0.0), bound, "Gram matrix")


def of_convolution(layer: nn.Module, shape, upper: bool) -> Measured:
    convolution = geometry(layer, shape)
    grid = convolution.circulant_grid()
    if grid is not None:
        top = fourier.top(fourier.polyphase(convolution, grid))
        return Measured(top.value, top.lower, top.upper, "symbols")
    operator = convolution_map(convolution)
    total, terms = absolute(convolution)
    if not upper:
        return Measured(operators.leading(operator)[0], 0.0, math.inf, "Lanczos")
    if min(operator.inputs, operator.outputs) <= operators.CERTIFIED_SIZE:
        value, bound = operators.certified(operator.gram(), 2 * terms * total**2)
        slack = 4 * fourier.EPS * (terms * total**2 / max(value, 1e-300) + terms * value)
        return Measured(value, max(value - slack, 0.0), bound, "Gram matrix")
    value, _, _ = operators.leading(operator, precise=False)
    bound = upper_bound(convolution)
    lower = max(value - 4 * fourier.EPS * terms * total, 0.0)
    return Measured(value, lower, bound.upper, f"Lanczos; {bound.method}")


def absolute(layer: Geometry) -> tuple[float, int]:
    """A bound of the norm with all weights made positive, and the products in a sum, for rounding.

    The taps of the kernel are shifts, so the norm is at most the sum of their matrices' norms,
    times the norm of the padding.
    """
    split = fourier.polyphase(layer, layer.embedding_grid()).taps.detach().flatten(1, -3)
    total = float(torch.linalg.matrix_norm(split).sum(1).max())
    if layer.mode != "zeros":
        total *= math.sqrt(math.prod(repeats(axis, layer.mode) for axis in layer.axes))
    return total, layer.weight[0].numel() + len(layer.weight) * math.prod(
        layer.weight.shape[2:]
    ) + 16


def of_batch_norm(layer: nn.Module, shape, upper: bool) -> Measured:
    return closed_form(float(channel_scales(layer, shape).detach().abs().max()), "diagonal")


def measure(layer: nn.Module, input_shape, upper: bool) -> Measured:
    """What :func:`operator_norm` and :func:`norm_bounds` return parts of."""
    shape = shape_of(input_shape)
    constant = constant_of(layer)
    if constant is not None:
        slope = stated_constant(layer) is None and slope_range(layer)
        return closed_form(constant, "slope" if slope else "constant")
    if isinstance(layer, nn.Linear):
        return of_matrix(layer, shape, upper)
    if isinstance(layer, CONVOLUTIONS):
        return of_convolution(layer, shape, upper)
    if isinstance(layer, BATCH_NORMS):
        return of_batch_norm(layer, shape, upper)
    if isinstance(layer, (*pooling.MAXIMUM, *pooling.ADAPTIVE_MAXIMUM)):
        return closed_form(math.sqrt(pooling.largest_count(layer, shape)), "windows of a pixel")
    if isinstance(layer, (*pooling.AVERAGE, *pooling.ADAPTIVE_AVERAGE)):
        return closed_form(pooling.average_norm(layer, shape), "product of the axes")
    raise TypeError(
        f"There is no rule for the norm of {layer}. Supported are Linear, Conv1d to Conv3d, "
        "BatchNorm (eval mode), max and average pooling, LocalContrastNormalisation, Flatten, "
        "Identity, Dropout (eval mode) and the usual activations. If you know a bound, state it in "
        "the module's attribute lipschitz_constant, a number from 0 on."
    )


def operator_norm(layer: nn.Module, input_shape) -> float:
    """The best estimate of the norm of ``layer`` on inputs of ``input_shape`` (no batch axis).

    Exact (to rounding) where a layer has symbols, is a matrix of moderate size, or has a closed
    form; elsewhere Lanczos from below, with relative errors below 1e-8 as a rule: not a bound.
    A module that states its ``lipschitz_constant`` has that norm. Raises TypeError for a kind of
    layer without a rule and a stated constant that is no number, ValueError for NaN weights, a
    stated constant that is negative or not finite, an input smaller than the kernel or a shape that
    does not fit, each saying what to do.
    """
    return measure(layer, input_shape, upper=False).estimate


def norm_bounds(layer: nn.Module, input_shape) -> NormBounds:
    """Rigorous bounds (lower, upper) of the norm of ``layer``; certificates use the upper one.

    They allow for the rounding of their own computation (in float64), not for that of a network
    evaluated in float32. Circulants, matrices and layers whose smaller side is up to
    operators.CERTIFIED_SIZE get bounds a relative 1e-8 or less apart; larger ones with other
    padding the norm of a circulant that contains them (:func:`twisted`), and reflected or
    replicated padding its norm times that of the padding. Raises as :func:`operator_norm`.
    """
    result = measure(layer, input_shape, upper=True)
    return NormBounds(result.lower, result.upper)


def size_of(layer: nn.Module) -> tuple[str, tuple[int, ...] | None]:
    """The size and the stride of a layer as a table shows them."""
    if isinstance(layer, nn.Linear):
        return f"{layer.in_features} x {layer.out_features}", None
    if isinstance(layer, CONVOLUTIONS):
        inputs = layer.in_channels // layer.groups
        sizes = [inputs, *layer.kernel_size, layer.out_channels]
        return " x ".join(map(str, sizes)), tuple(layer.stride)
    if isinstance(layer, (*pooling.MAXIMUM, *pooling.AVERAGE)):
        axes = pooling.axes_of(layer)
        kernel = pooling.each_axis(layer.kernel_size, axes)
        stride = pooling.each_axis(layer.stride, axes) if layer.stride is not None else kernel
        return " x ".join(map(str, kernel)), stride
    return "", None


def norm_row(layer: nn.Module, input_shape) -> NormRow:
    """Estimate and rigorous bounds of the norm of ``layer``, as a row of a table."""
    begin = time.perf_counter()
    result = measure(layer, input_shape, upper=True)
    size, stride = size_of(layer)
    kind = next((base.__name__ for base in type(layer).__mro__ if hasattr(nn, base.__name__)), "")
    return NormRow(
        kind if kind not in ("", "Module") else type(layer).__name__,
        size,
        stride,
        result.estimate,
        result.lower,
        result.upper,
        result.method,
        time.perf_counter() - begin,
    )


def singular_values(layer: nn.Module, input_shape) -> np.ndarray:
    """All singular values of a linear layer, min(inputs, outputs) of them, descending, float64.

    Of a circulant through its symbols, of average pooling and batch normalisation in closed form;
    others through the explicit matrix. Raises ValueError where that is too large (see
    :func:`explicit_matrix`), TypeError if the layer is not linear.
    """
    shape = shape_of(input_shape)
    if isinstance(layer, CONVOLUTIONS):
        convolution = geometry(layer, shape)
        grid = convolution.circulant_grid()
        if grid is not None:
            return of_symbols(convolution, grid)
    if isinstance(layer, (*pooling.AVERAGE, *pooling.ADAPTIVE_AVERAGE)):
        return pooling.average_spectrum(layer, shape)
    if isinstance(layer, BATCH_NORMS):
        factors = channel_scales(layer, shape).detach().abs().expand(shape)
        return factors.flatten().sort(descending=True).values.cpu().numpy()
    if isinstance(layer, nn.Linear):
        values = torch.linalg.svdvals(dense_layer(layer, shape).taps[0, 0].detach())
        return np.repeat(values.cpu().numpy(), math.prod(shape[:-1]))
    return torch.linalg.svdvals(explicit_matrix(layer, shape)).cpu().numpy()


def of_symbols(layer: Geometry, grid) -> np.ndarray:
    """All singular values of a circulant: those of its symbols, conjugate pairs counted twice."""
    split = fourier.polyphase(layer, grid)
    split = dataclasses.replace(split, taps=split.taps.detach())
    every = fourier.frequencies(split.grid, split.twist)
    whole = 2 * torch.tensor(split.grid)
    alone = ((2 * every) % whole == 0).all(1)
    step = max(1, fourier.CHUNK_BYTES // (16 * math.prod(split.size) * layer.groups))
    values = []
    for part, single in zip(every.split(step), alone.split(step), strict=True):
        found = torch.linalg.svdvals(split.symbols(part))  # (groups, frequencies, ...)
        values += [found.flatten(), found[:, ~single].flatten()]
    total = torch.cat(values).sort(descending=True).values.cpu().numpy()
    count = min(layer.inputs, layer.outputs)  # the grid may have other zeros at its end
    return np.concatenate([total, np.zeros(max(0, count - len(total)))])[:count]


def differentiable_norm(layer: nn.Module, input_shape, bound: str = "upper") -> Tensor:
    """The norm of ``layer`` as a scalar tensor with a gradient, for penalties in training.

    bound: "upper", the circulant that contains a zero-padded layer (what norm_bounds gives for
    large ones; cheap), or "exact", the norm itself, by Lanczos where there are no symbols. The
    gradient is that of σ = u* A v with the singular vectors held fixed, which is exact where the
    largest singular value is simple and one element of the subdifferential elsewhere; there is no
    second derivative. In the dtype of the weights; without a gradient where the layer has none.
    Raises as :func:`operator_norm`, and ValueError for any other ``bound``.
    """
    if bound not in ("upper", "exact"):
        raise ValueError(f"bound must be 'upper' or 'exact', not {bound!r}.")
    shape = shape_of(input_shape)
    if stated_constant(layer) is not None:
        return torch.tensor(measure(layer, shape, upper=False).estimate)
    if isinstance(layer, nn.Linear):
        split = dense_layer(layer, shape)
        if min(split.size) <= LINEAR_SIZE:
            return at_vectors(split).to(layer.weight)
        _, left, right = operators.leading(linear_map(layer, layer.in_features))
        return (left @ split.taps[0, 0] @ right).to(layer.weight)
    if isinstance(layer, CONVOLUTIONS):
        return of_convolution_with_gradient(geometry(layer, shape), bound).to(layer.weight)
    if isinstance(layer, BATCH_NORMS):
        return channel_scales(layer, shape).abs().max().to(layer.running_var)
    return torch.tensor(measure(layer, shape, upper=False).estimate)


def at_vectors(split: fourier.Polyphase, top: fourier.Top | None = None) -> Tensor:
    """u* S(ω) v at the frequency and the vectors of the largest singular value."""
    top = top or fourier.top(split)
    symbol = split.symbols(top.frequency[None])[top.group, 0]
    return (top.left.conj() @ symbol @ top.right).real


def of_convolution_with_gradient(layer: Geometry, bound: str) -> Tensor:
    grid = layer.circulant_grid()
    if grid is not None:
        return at_vectors(fourier.polyphase(layer, grid))
    if bound == "exact":
        _, left, right = operators.leading(convolution_map(layer))
        return (left * layer.apply(right[None])[0]).sum()
    best = upper_bound(layer)
    return best.factor * at_vectors(best.split, best.top)
