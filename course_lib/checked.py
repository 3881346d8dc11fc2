"""What an argument must be: numbers and shapes, each refused with a sentence."""

import numbers
import operator

import numpy as np


def is_number(value) -> bool:
    """Whether ``value`` is a real number, of Python or NumPy, and no NaN."""
    return isinstance(value, numbers.Real | np.bool_) and value == value


def is_whole(value) -> bool:
    """Whether ``value`` is a whole number, of Python or NumPy."""
    return isinstance(value, numbers.Integral)


def shape_of(shape) -> tuple[int, ...]:
    """``shape``, of one image without the batch, as a tuple of positive ints; a single number is
    that of the pixels. Raises ValueError if it is anything else."""
    try:
        sizes = (operator.index(shape),) if is_whole(shape) else tuple(map(operator.index, shape))
    except TypeError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ValueError(
            "The input's shape must be whole numbers, the positive sizes of one input without the "
            f"batch axis, such as (1, 28, 28), not {shape!r}."
        )
    return sizes
