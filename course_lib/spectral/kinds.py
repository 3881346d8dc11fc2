"""What is known about a kind of layer; so far: what a module of one's own says about itself."""

import math
import numbers

import numpy as np
from torch import Tensor, nn


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
