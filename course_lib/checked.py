"""What an argument must be: each kind a value, and a sentence where something else is given.

::

    @takes(h=FLOATS, k=WHOLE, ties=FLOATS | None)
    def top_images(h, directions, k=8, ties=None): ...

says that ``h`` is a float tensor and so on, and refuses the rest before the function runs. What a
value means beside others (two shapes, a range) is the function's own to check.
"""

import dataclasses
import functools
import inspect
import numbers
import operator
from collections.abc import Callable, Collection

import numpy as np
import torch
from torch import nn


def is_number(value) -> bool:
    """Whether ``value`` is a real number, of Python or NumPy, and no NaN."""
    return isinstance(value, numbers.Real | np.bool_) and value == value


def is_whole(value) -> bool:
    """Whether ``value`` is a whole number, of Python or NumPy."""
    return isinstance(value, numbers.Integral)


@dataclasses.dataclass(frozen=True)
class Kind:
    """words: what a value of this kind is, in a sentence; fits: whether a value is of it;
    holds: whether it is one that can be used, asked of those that fit."""

    words: str
    fits: Callable[[object], bool]
    holds: Callable[[object], bool] = lambda value: True

    def __or__(self, other: None) -> "Kind":
        """This kind, or None."""
        return Kind(
            f"{self.words}, or None",
            lambda value: value is None or self.fits(value),
            lambda value: value is None or self.holds(value),
        )

    def check(self, value, name: str) -> None:
        """Raise TypeError unless ``value`` fits, ValueError unless it holds."""
        if not self.fits(value):
            raise TypeError(f"The argument `{name}` must be {self.words}, not {shown(value)}.")
        if not self.holds(value):
            raise ValueError(f"The argument `{name}` must be {self.words}, not {shown(value)}.")


def shown(value) -> str:
    """A value in a few words."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of {value.dtype} and the shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and the shape {value.shape}"
    text = type(value).__name__ if isinstance(value, nn.Module) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def instance(kind: type, words: str = "") -> Kind:
    """The kind of all that are of the class ``kind``."""
    return Kind(words or f"a {kind.__name__}", lambda value: isinstance(value, kind))


def tensor(words: str, axes: int, floats: bool) -> Kind:
    """Tensors with so many axes, of floats or of whole numbers."""

    def fits(value) -> bool:
        return isinstance(value, torch.Tensor) and (
            value.is_floating_point()
            if floats
            else not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)
        )

    return Kind(words, fits, lambda value: value.ndim == axes)


def is_row(value) -> bool:
    """Whether ``value`` is several values in a row: a list, a tuple, a range, an array (N,), the
    keys of a dict; a text is one value, and a dict says more than a row."""
    several = isinstance(value, Collection) and not isinstance(value, str | bytes | dict)
    return several and getattr(value, "ndim", 1) == 1


def all_are(kind: Kind, words: str) -> Kind:
    """Values of one kind in a row."""
    return Kind(
        words,
        lambda value: is_row(value) and all(map(kind.fits, value)),
        lambda value: all(map(kind.holds, value)),
    )


NETWORK = instance(nn.Module, "a torch module")
FUNCTION = Kind("a function", callable)
TEXT = instance(str, "a text")
GENERATOR = instance(torch.Generator, "a torch.Generator")
NUMBER = Kind("a number", lambda value: isinstance(value, numbers.Real | np.bool_), is_number)
REAL = Kind("a number", NUMBER.fits)  # NaN is one: where the function has its own word on it
WHOLE = Kind("a whole number", is_whole)
COUNT = Kind("a whole number from 1 on", is_whole, lambda value: value >= 1)
SEED = Kind("a whole number from 0 to 2**32 - 1", is_whole, lambda value: 0 <= value < 2**32)
TENSOR = instance(torch.Tensor, "a torch tensor")
TABLE = Kind("a tensor (M, N)", torch.is_tensor, lambda value: value.ndim == 2)
FLOATS = tensor("a float tensor (N, M)", 2, True)
VECTOR = tensor("a float tensor (N,)", 1, True)
ROWS = tensor("a tensor (M, k) of whole numbers, which are rows", 2, False)
LABELS = tensor("a vector (N,) of whole numbers, a class each", 1, False)
CLASSES = Kind(
    LABELS.words,
    torch.is_tensor,
    lambda value: (
        LABELS.fits(value) and LABELS.holds(value) and not (len(value) and value.min() < 0)
    ),
)
TEXTS = all_are(TEXT, "a list of texts")
NUMBERS = all_are(NUMBER, "a list of numbers")


def takes(**kinds: Kind):
    """A decorator: the arguments named here are of these kinds, or the function is not run."""

    def decorate(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def checking(*args, **kwargs):
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError:  # one that is missing, or that there is not: Python says it well
                return function(*args, **kwargs)
            for name, kind in kinds.items():
                if name in given:
                    kind.check(given[name], name)
            return function(*args, **kwargs)

        return checking

    return decorate


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
            f"batch axis, such as (1, 28, 28), not {shown(shape)}."
        )
    return sizes
