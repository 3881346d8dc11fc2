"""What there is to know about a kind of layer, and in which words it is said.

A :class:`Rule` says it of one kind; the table of all of them is :data:`.kinds.RULES`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor, nn

from .operators import LinearMap

UNIT = 2.0**-53  # rounding of float64
STEPS = ("affine", "slope", "lipschitz", "reshape", "nothing")  # see Rule
ALLOWANCE = 1e-12  # relative, for the rounding of a norm that has a closed form


@dataclasses.dataclass(frozen=True)
class Measured:
    """What is known about a layer's norm: the best estimate, rigorous bounds, and how they were
    found. ``upper`` is inf if it was not asked for."""

    estimate: float
    lower: float
    upper: float
    method: str


def closed_form(value: float, method: str) -> Measured:
    """A norm known up to the rounding of a few operations."""
    return Measured(value, value * (1 - ALLOWANCE), value * (1 + ALLOWANCE), method)


class Slopes(NamedTuple):
    """The least and the largest slope of a function of one number."""

    low: float
    high: float

    @property
    def steepest(self) -> float:
        """The largest absolute value, which is the function's constant."""
        return max(abs(self.low), abs(self.high))

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def half(self) -> float:
        """Half the range: the steepest slope of what the line of slope ``middle`` leaves."""
        return (self.high - self.low) / 2


@dataclasses.dataclass(frozen=True)
class Kink:
    """The curve of an activation whose slope is 0 below 0 and 1 above it."""


@dataclasses.dataclass(frozen=True)
class Smooth:
    """The curve of a smooth activation φ, whose slope rises up to 0 and falls beyond.

    second, third: the largest |φ''| and |φ'''|; derivatives: from φ(z) to φ'(z) and φ''(z).
    """

    second: float
    third: float
    derivatives: Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclasses.dataclass(frozen=True)
class Size:
    """How large a layer is, as a table shows it: "3 x 11 x 11 x 96", say, and its stride."""

    text: str = ""
    stride: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Functional:
    """The layer that does what a function does, and the names of the function's arguments after
    the image, which are also the layer's."""

    layer: type[nn.Module]
    arguments: tuple[str, ...] = ()


def torch_name(layer: nn.Module) -> str:
    """The name of the class of torch that ``layer`` is of; of its own class if there is none."""
    kind = next((base.__name__ for base in type(layer).__mro__ if hasattr(nn, base.__name__)), "")
    return kind if kind not in ("", "Module") else type(layer).__name__


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """All that is known about one kind of layer. ``shape`` is that of one input, without the batch.

    What every kind has:

    classes: the kind, subclasses included; applies: whether the rule holds for this very layer.
    step: what the layer is in a network: "affine" (x -> A x + b; b is its ``bias``, or comes from
    its ``running_mean``, and the signs of A are those of its ``weight``), "slope" (a function of
    each number on its own, with ``slopes``), "lipschitz" (only its norm is known), "reshape" (the
    same numbers in another shape) or "nothing".
    measure(layer, shape, upper): its norm; upper: whether an upper bound is wanted, which may cost
    more. Raises ValueError, with what to do, for a layer or a shape that has none.

    What some have:

    slopes(layer), curve: the range of slopes, and for certificates on balls how the function bends.
    linear_map(layer, shape): a linear layer without its bias. singular_values(layer, shape): all of
    them, descending, where there is a better way than the explicit matrix.
    differentiable(layer, shape, bound): the norm with its gradient (see differentiable_norm).
    weighted: it is a matrix or a convolution whose entries are those of ``weight``, outputs first:
    it can be penalised, take up a batch normalisation, and each output costs weight[0] products.
    selects: each output is one of the inputs, so that errors pass as values do.

    How it is spoken of:

    called: in the list of what is supported (once for several rules, nowhere
    if empty); label(layer), size(layer, shape): in a table; functions: what does the same without a
    module, such as torch.relu.
    """

    classes: tuple[type[nn.Module], ...]
    step: str
    measure: Callable[[nn.Module, tuple[int, ...], bool], Measured]
    applies: Callable[[nn.Module], bool] = lambda layer: True
    slopes: Callable[[nn.Module], Slopes] | None = None
    curve: Kink | Smooth | None = None
    linear_map: Callable[[nn.Module, tuple[int, ...]], LinearMap] | None = None
    singular_values: Callable[[nn.Module, tuple[int, ...]], np.ndarray] | None = None
    differentiable: Callable[[nn.Module, tuple[int, ...], str], Tensor] | None = None
    weighted: bool = False
    selects: bool = False
    called: str = ""
    label: Callable[[nn.Module], str] = torch_name
    size: Callable[[nn.Module, tuple[int, ...]], Size] = lambda layer, shape: Size()
    functions: Mapping[Callable, Functional] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.step not in STEPS or (self.step == "slope" and self.slopes is None):
            raise ValueError(
                f"The rule for {self.classes} must say what the layer is in a network: a step of "
                f"{', '.join(STEPS)}, and for 'slope' its slopes; not {self.step!r}."
            )
