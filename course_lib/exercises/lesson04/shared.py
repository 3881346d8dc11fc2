"""What several exercises of lesson 04 share."""

import torch

from ..lesson03.shared import exactly

__all__ = ["SINGLE", "doubles", "exactly", "single"]


def doubles(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


SINGLE = (
    "The results are right to seven digits and no more: somewhere the numbers become float32. The "
    "descent needs the double precision that it hands you, or its last steps find nothing lower."
)


def single(found, right) -> bool:
    """Whether a result has lost the second half of its digits."""
    return bool((found - right).abs().max() > 1e-10 * right.abs().max())
