"""The table of the kinds of layers: a new kind is one more entry of :data:`RULES`.

All of :mod:`course_lib.spectral` asks :func:`rule_of` what a layer is: its norm and bounds, its row
in a table, its step in a network, what a certificate may use.
"""

import math
import numbers

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..hooks import hooks_of
from . import activations, convolutions, diagonals, linear, padding, pooling
from .activations import GELU_SLOPE, SILU_SLOPE, LocalContrastNormalisation
from .geometry import CONVOLUTIONS, TRANSPOSED
from .operators import LinearMap
from .plain import base_of, difference
from .rules import Functional, Kink, Measured, Rule, Slopes, closed_form

POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
DIVIDED = (*AVERAGE, "divisor_override")
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


# --- rules that several kinds share ---


def activation(kind: type[nn.Module], slopes, functions=(), arguments=(), **more) -> Rule:
    """A function of each number on its own: its slopes, attained or approached, are its constant.

    slopes: the range, or what gives it for a layer; functions: of torch that do the same.
    """
    given = slopes if callable(slopes) else lambda layer: Slopes(*slopes)
    return Rule(
        classes=(kind,),
        step="slope",
        slopes=given,
        measure=lambda layer, shape, upper: closed_form(given(layer).steepest, "slope"),
        called="the usual activations",
        functions={function: Functional(kind, arguments) for function in functions},
        **more,
    )


def unchanged(layer: nn.Module, shape, upper: bool) -> Measured:
    """The norm of a layer that keeps its numbers, or moves them; of dropout in eval mode."""
    if isinstance(layer, DROPOUTS) and layer.training and layer.p > 0:
        raise ValueError(f"{layer} is random while it trains: call eval() on the network.")
    return closed_form(1.0, "constant")


def identity(layer: nn.Module, shape) -> LinearMap:
    return LinearMap(lambda x: x, shape, shape, torch.device("cpu"))


# --- the table ---

RULES = [
    Rule(
        classes=(nn.Linear,),
        step="affine",
        weighted=True,
        measure=linear.measure,
        linear_map=linear.linear_map,
        singular_values=linear.singular_values,
        differentiable=linear.differentiable,
        size=linear.size,
        called="Linear",
    ),
    Rule(
        classes=CONVOLUTIONS,
        step="affine",
        weighted=True,
        measure=convolutions.measure,
        linear_map=convolutions.linear_map,
        singular_values=convolutions.singular_values,
        differentiable=convolutions.differentiable,
        size=convolutions.size,
        called="Conv1d to Conv3d",
    ),
    Rule(
        classes=TRANSPOSED,
        step="affine",
        measure=convolutions.measure_transposed,
        linear_map=convolutions.transposed_map,
        size=convolutions.transposed_size,
        called="transposed convolutions",
    ),
    Rule(
        classes=diagonals.BATCH_NORMS,
        step="affine",
        measure=diagonals.measure,
        linear_map=diagonals.linear_map,
        singular_values=diagonals.singular_values,
        differentiable=diagonals.differentiable,
        called="BatchNorm (eval mode)",
    ),
    Rule(
        classes=(*pooling.MAXIMUM, *pooling.ADAPTIVE_MAXIMUM),
        step="lipschitz",
        selects=True,
        measure=pooling.measure_maximum,
        size=pooling.size,
        called="max and average pooling",
        functions={
            F.max_pool1d: Functional(nn.MaxPool1d, POOL),
            F.max_pool2d: Functional(nn.MaxPool2d, POOL),
            F.max_pool3d: Functional(nn.MaxPool3d, POOL),
            torch.max_pool2d: Functional(nn.MaxPool2d, POOL),
            F.adaptive_max_pool1d: Functional(nn.AdaptiveMaxPool1d, ("output_size",)),
            F.adaptive_max_pool2d: Functional(nn.AdaptiveMaxPool2d, ("output_size",)),
            F.adaptive_max_pool3d: Functional(nn.AdaptiveMaxPool3d, ("output_size",)),
        },
    ),
    Rule(
        classes=(*pooling.AVERAGE, *pooling.ADAPTIVE_AVERAGE),
        step="affine",
        measure=pooling.measure_average,
        linear_map=pooling.average_map,
        singular_values=pooling.average_spectrum,
        size=pooling.size,
        called="max and average pooling",
        functions={
            F.avg_pool1d: Functional(nn.AvgPool1d, AVERAGE),
            F.avg_pool2d: Functional(nn.AvgPool2d, DIVIDED),
            F.avg_pool3d: Functional(nn.AvgPool3d, DIVIDED),
            F.adaptive_avg_pool1d: Functional(nn.AdaptiveAvgPool1d, ("output_size",)),
            F.adaptive_avg_pool2d: Functional(nn.AdaptiveAvgPool2d, ("output_size",)),
            F.adaptive_avg_pool3d: Functional(nn.AdaptiveAvgPool3d, ("output_size",)),
        },
    ),
    Rule(
        classes=padding.PADDINGS,
        step="affine",
        measure=padding.measure,
        linear_map=padding.linear_map,
        size=padding.size,
        called="padding",
    ),
    Rule(
        classes=(LocalContrastNormalisation,),
        step="lipschitz",
        measure=lambda layer, shape, upper: closed_form(layer.eps**-layer.gamma, "constant"),
        called="LocalContrastNormalisation",
    ),
    Rule(
        classes=(nn.Flatten, nn.Unflatten),
        step="reshape",
        measure=unchanged,
        linear_map=identity,
        called="Flatten",
    ),
    Rule(
        classes=(nn.Identity,),
        step="nothing",
        measure=unchanged,
        linear_map=identity,
        called="Identity",
    ),
    Rule(
        classes=DROPOUTS,
        step="nothing",
        measure=unchanged,
        linear_map=identity,
        called="Dropout (eval mode)",
    ),
    Rule(  # what a network does with constants, without a module
        classes=(diagonals.Diagonal,),
        step="affine",
        measure=diagonals.measure_diagonal,
        label=lambda layer: "Scale",
        size=diagonals.diagonal_size,
    ),
    Rule(
        classes=(pooling.Mean,),
        step="affine",
        measure=pooling.measure_mean,
        size=pooling.mean_size,
    ),
    activation(nn.ReLU, (0.0, 1.0), (F.relu, torch.relu, torch.relu_), curve=Kink()),
    activation(
        nn.Sigmoid,
        (0.0, 0.25),
        (torch.sigmoid, F.sigmoid, torch.special.expit),
        curve=activations.SIGMOID,
    ),
    activation(nn.Tanh, (0.0, 1.0), (torch.tanh, F.tanh), curve=activations.TANH),
    activation(nn.ReLU6, (0.0, 1.0), (F.relu6,)),
    activation(nn.Hardtanh, (0.0, 1.0), (F.hardtanh,), ("min_val", "max_val")),
    activation(nn.Softplus, activations.softplus_slopes, (F.softplus,), ("beta", "threshold")),
    activation(nn.Softsign, (0.0, 1.0), (F.softsign,)),
    activation(nn.LeakyReLU, activations.leaky_slopes, (F.leaky_relu,), ("negative_slope",)),
    activation(nn.PReLU, activations.parametric_slopes),
    activation(nn.ELU, activations.exponential_slopes, (F.elu,), ("alpha",)),
    activation(
        nn.GELU,
        (1 - GELU_SLOPE, GELU_SLOPE),
        (F.gelu,),
        ("approximate",),
        applies=lambda layer: layer.approximate == "none",
    ),
    activation(nn.SiLU, (1 - SILU_SLOPE, SILU_SLOPE), (F.silu,)),
]


def rule_of(layer: nn.Module) -> Rule | None:
    """The rule for ``layer``, None if there is none. What a module states about itself comes first:
    it may derive from a layer and compute something else. Raises as :func:`stated_constant`, and
    ValueError for a module that states its constant and has hooks, of which that says nothing."""
    if stated_constant(layer) is None:
        return kind_of(layer)
    if hooks_of(layer):
        raise ValueError(
            f"The module {type(layer).__name__} states its lipschitz_constant and has forward "
            "hooks, which may change what it computes: remove the hooks (handle.remove()), or put "
            "what they do into the module's forward and state the constant of it all."
        )
    return STATED


def kind_of(layer: nn.Module) -> Rule | None:
    """The rule for what ``layer`` computes, whatever it states; None if there is none.

    A subclass with a forward of its own is of no kind, nor is a layer with hooks or a patch
    (:mod:`.plain`).
    """
    kind = closest_class(layer)
    if kind is None or difference(layer, kind):
        return None
    fitting = (rule for rule in RULES if kind in rule.classes and rule.applies(layer))
    return next(fitting, None)


def closest_class(layer: nn.Module) -> type[nn.Module] | None:
    """The class with a rule that ``layer`` is of, or derives from most closely; None if none."""
    return base_of(layer, {kind for rule in RULES for kind in rule.classes})


def why_unknown(layer: nn.Module) -> str:
    """Why there is no rule for ``layer``, which derives from a class that has one; "" else."""
    kind = closest_class(layer)
    why = difference(layer, kind) if kind else ""
    return f"it derives from {kind.__name__}, but {why}" if why else ""


def functional(function) -> Functional | None:
    """The layer that stands for a function such as torch.relu; None if there is none."""
    known = (rule.functions for rule in RULES)
    return next((functions[function] for functions in known if function in functions), None)


def supported() -> str:
    """The kinds that there are rules for, as the end of a sentence."""
    *names, last = dict.fromkeys(rule.called for rule in RULES if rule.called)
    return f"{', '.join(names)} and {last}" if names else last


# --- modules that say themselves what their constant is ---


def stated_constant(layer: nn.Module) -> float | None:
    """The constant that a module states in its attribute ``lipschitz_constant``; None if it has no
    such attribute, or None there.

    An int, a float, or one of NumPy or torch without axes. Raises TypeError for anything else, a
    bool included, and ValueError for what is below 0, NaN or infinite.
    """
    stated = getattr(layer, "lipschitz_constant", None)
    if stated is None:
        return None
    value = stated
    if isinstance(stated, (Tensor, np.ndarray, np.generic)) and stated.ndim == 0:
        value = stated.item()
    name = f"{type(layer).__name__}.lipschitz_constant"
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(
            f"{name} must be a number, such as 1.0, not {stated!r:.60} ({type(stated).__name__}): "
            "state the largest factor by which the module stretches a difference of two inputs, or "
            "leave the attribute out."
        )
    try:
        value = float(value)
    except OverflowError:  # an int beyond the range of a float
        value = math.inf
    if not 0 <= value < math.inf:
        raise ValueError(
            f"{name} must be a finite number from 0 on, not {value}: state the largest factor by "
            "which the module stretches a difference of two inputs, or leave the attribute out."
        )
    return value


def stated_slopes(layer: nn.Module) -> Slopes:
    """The slopes that the stated constant allows."""
    constant = stated_constant(layer)
    return Slopes(-constant, constant)


STATED = Rule(
    classes=(nn.Module,),
    step="lipschitz",
    slopes=stated_slopes,
    measure=lambda layer, shape, upper: closed_form(stated_constant(layer), "constant"),
    label=lambda layer: type(layer).__name__,
)
