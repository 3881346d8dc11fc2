"""What several exercises of lesson 04 share."""

import math

import torch

from ..lesson03.shared import exactly

__all__ = ["SINGLE", "doubles", "exactly", "lost_digits"]


def doubles(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


SINGLE = (
    "The results are right to about seven digits, as many as float32 keeps: do the numbers become "
    "float32 somewhere, or is a small number added? The descent needs the double precision that it "
    "hands you, or its last steps find nothing lower."
)

DIGITS = (
    "The results are right to {} digits, and double precision has fifteen: is a small number added "
    "somewhere, or a small one cut off or rounded? Nothing of the kind is needed here."
)


def lost_digits(found, right) -> str | None:
    """What to say of a result of which only the first digits are right; else None.

    float32 rounds by 6e-8 at most in each operation: a few of them make more than 3e-9 and less
    than 1e-6. What differs in the first three digits is another result.
    """
    off = float((found - right).abs().max() / right.abs().max())
    if 3e-9 < off <= 1e-6:
        return SINGLE
    return DIGITS.format(math.floor(-math.log10(off))) if 1e-10 < off < 3e-4 else None
