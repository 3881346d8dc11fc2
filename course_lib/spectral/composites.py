"""A layer that derives from a known one but has a forward of its own, hooks or a patch: it is read
like a network, and its norm is that of what it does."""

import math

from torch import nn

from . import graph, guard, operators
from .ascent import largest_slope
from .bounds import NetworkBounds
from .fourier import EPS
from .logarithms import exp
from .operators import LinearMap
from .rules import Measured
from .steps import Step, device_of, linear_run

LINEAR = ("input", "affine", "reshape", "permute", "sum", "cat")


def is_linear(steps: list[Step]) -> bool:
    """Whether all that is done is linear, up to what is added."""
    return all(step.kind in LINEAR for step in steps)


def linear_map(layer: nn.Module, shape) -> LinearMap:
    """What a layer does, without what it adds. Raises TypeError if that is not linear."""
    steps = graph.read(layer, shape, any_mode=True).steps
    if not is_linear(steps):
        raise TypeError(f"{type(layer).__name__} is not linear, so it has no matrix.")
    return map_of(steps)


def map_of(steps: list[Step]) -> LinearMap:
    return LinearMap(
        lambda x: linear_run(steps, x), steps[0].shape, steps[-1].shape, device_of(steps)
    )


def measure(layer: nn.Module, shape, upper: bool) -> Measured:
    """The norm of a layer by its operations: from above the bound of a network, from below the
    norm of the map that it is, or the largest slope found."""
    program = graph.read(layer, shape, any_mode=True)
    steps = program.steps
    if is_linear(steps):
        operator = map_of(steps)
        value = operators.leading(operator).value
        lost = 4 * EPS * len(steps) * max(operator.inputs, operator.outputs) ** 0.5
        lower, method = value * (1 - lost), "Lanczos"
    else:
        value, _ = largest_slope(steps)
        lower, method = value, "largest slope found"
    if not upper:
        return Measured(value, 0.0, math.inf, method)
    bound = exp(NetworkBounds(steps).tight[-1])
    guard.check_bound(bound, lower, f"{layer}")
    seen = guard.largest_seen(program.network, steps[0].shape, device_of(steps))
    guard.check_bound(bound, seen, f"{layer}")
    return Measured(min(value, bound), min(lower, bound), bound, f"{method}; composed operations")
