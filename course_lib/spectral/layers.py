"""The norm of a layer, whatever its kind: one function for the estimate, one for rigorous bounds.

``operator_norm``       the best estimate
``norm_bounds``         a rigorous lower and upper bound; certificates use the upper one only
``norm_row``            both, as a row of a table
``differentiable_norm`` the same numbers with a gradient, for penalties
``singular_values``, ``symbols``, ``explicit_matrix``   all that there is to see

"Norm" is the largest factor by which a layer stretches a difference of two inputs, in L2: the
operator norm of a linear layer without its bias, the Lipschitz constant of any other. All is
computed in float64, whatever the weights are stored in.
"""

import dataclasses
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..checked import NETWORK, shape_of, takes
from ..copies import in_double
from . import guard
from .diagonals import BATCH_NORMS, scales
from .kinds import kind_of, rule_of, supported, why_unknown
from .operators import LinearMap
from .plain import is_plain, own_class, refuse_hooks_of_all
from .rules import Measured, Rule, Size, Slopes


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


@torch.inference_mode(False)
def measure(layer: nn.Module, input_shape, upper: bool) -> Measured:
    """What :func:`operator_norm` and :func:`norm_bounds` return parts of."""
    refuse_hooks_of_all()
    shape, rule = shape_of(input_shape), rule_of(layer)
    if rule is None and not why_unknown(layer):
        raise TypeError(
            f"There is no rule for the norm of {layer}. Supported are {supported()}. If you know a "
            "bound, state it in the module's attribute lipschitz_constant, a number from 0 on."
        )
    if rule is None:  # a known layer with a forward of its own, or hooks
        from . import composites  # which is made of what stands on this module

        return composites.measure(layer, shape, upper)
    return checked(in_double(layer), shape, rule, upper)


def checked(layer: nn.Module, shape, rule: Rule, upper: bool) -> Measured:
    """What ``rule`` measures of a layer in float64; ValueError if the layer itself contradicts."""
    found = rule.measure(layer, shape, upper)
    guard.check_bound(found.upper, found.lower, f"{layer}")
    limit = found.upper if upper else found.estimate * (1 + 1e-6)
    guard.check_layer(layer, shape, limit, rule.linear_map)
    return found


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
    padding the norm of a circulant that contains them (:mod:`.embedding`), and reflected or
    replicated padding its norm times that of the padding. Raises as :func:`operator_norm`.
    """
    result = measure(layer, input_shape, upper=True)
    return NormBounds(result.lower, result.upper)


def size_of(layer: nn.Module, input_shape) -> Size:
    """The size and the stride of a layer as a table shows them; empty where there is no rule."""
    rule = rule_of(layer)
    return rule.size(layer, shape_of(input_shape)) if rule else Size()


def norm_row(layer: nn.Module, input_shape) -> NormRow:
    """Estimate and rigorous bounds of the norm of ``layer``, as a row of a table."""
    begin = time.perf_counter()
    found, size = measure(layer, input_shape, upper=True), size_of(layer, input_shape)
    rule = rule_of(layer)
    return NormRow(
        rule.label(layer) if rule else own_class(layer).__name__,
        size.text,
        size.stride,
        found.estimate,
        found.lower,
        found.upper,
        found.method,
        time.perf_counter() - begin,
    )


@takes(layer=NETWORK)
def slope_range(layer: nn.Module) -> Slopes | None:
    """The least and the largest slope of an activation function; None if ``layer`` is none.

    They are attained or approached, so the largest absolute value is the exact constant.
    """
    kind = kind_of(layer)
    return kind.slopes(layer) if kind and kind.slopes else None


# --- linear layers ---


@torch.inference_mode(False)
def linear_map(layer: nn.Module, input_shape) -> LinearMap:
    """Any linear layer, without its bias, as a linear map. Raises TypeError for other layers."""
    shape, kind = shape_of(input_shape), kind_of(layer)
    if why_unknown(layer):
        from . import composites  # which is made of what stands on this module

        return composites.linear_map(layer, shape)
    if kind is None or kind.linear_map is None:
        raise TypeError(f"{type(layer).__name__} is no linear layer, so it has no matrix.")
    return kind.linear_map(in_double(layer), shape)


def explicit_matrix(layer: nn.Module, input_shape) -> Tensor:
    """The matrix (outputs, inputs) float64 of a linear layer, its bias left out.

    Inputs and outputs are numbered as in ``x.flatten()``. Raises ValueError above
    operators.MATRIX_ENTRIES entries, TypeError if the layer is not linear.
    """
    return linear_map(layer, input_shape).matrix()


def singular_values(layer: nn.Module, input_shape) -> np.ndarray:
    """All singular values of a linear layer, min(inputs, outputs) of them, descending, float64.

    Of a circulant through its symbols, of average pooling and batch normalisation in closed form;
    others through the explicit matrix. Raises ValueError where that is too large (see
    :func:`explicit_matrix`), TypeError if the layer is not linear.
    """
    shape, kind = shape_of(input_shape), kind_of(layer)
    if kind and kind.singular_values:
        return kind.singular_values(in_double(layer), shape)
    return torch.linalg.svdvals(explicit_matrix(layer, shape)).cpu().numpy()


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
    shape, rule = shape_of(input_shape), rule_of(layer)
    if rule is None and (why := why_unknown(layer)):
        raise ValueError(
            f"The norm of {layer} has no gradient here: {why}. Use norm_bounds for its value, or "
            "penalise the layer that it derives from."
        )
    if rule and rule.differentiable:
        return rule.differentiable(layer, shape, bound)
    return torch.tensor(measure(layer, shape, upper=False).estimate)


def fold_batch_norm(layer: nn.Module, normalisation: nn.Module) -> nn.Module:
    """A copy of a linear layer or convolution that computes ``normalisation(layer(x))`` by itself.

    normalisation: the batch normalisation (eval mode) behind it. The copy has a bias in any case.
    Raises TypeError for other kinds, ValueError if the numbers of channels differ.
    """
    kind = kind_of(layer)
    if not (kind and kind.weighted and is_plain(normalisation, BATCH_NORMS)):
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
    folded = in_double(layer)
    weight = folded.weight.detach()
    bias = torch.zeros(len(factor)).to(weight) if layer.bias is None else layer.bias.detach()
    offset = 0.0 if normalisation.bias is None else normalisation.bias.detach().double()
    bias = (bias.double() - normalisation.running_mean.double()) * factor + offset
    weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    folded.weight = nn.Parameter(weight.to(layer.weight.detach()))
    folded.bias = nn.Parameter(bias.to(layer.weight.detach()))
    return folded
