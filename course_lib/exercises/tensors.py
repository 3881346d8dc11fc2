"""What a learner's function returned, as a tensor: checks accept lists, arrays and numbers too."""

import numpy as np
import torch


def as_tensor(result, dtype: torch.dtype | None = None, device=None) -> torch.Tensor:
    """What somebody's function returned, as a dense tensor without autograd's history.

    result: a tensor, an array, a number, or a list or tuple of such things (of one shape), as the
    checks accept them. Python's numbers count as double precision. dtype, device: what the tensor
    gets; None leaves what is there. Raises what torch raises where no tensor can be made.

    >>> as_tensor([[1.5, 2.0], torch.ones(2)])
    tensor([[1.5000, 2.0000],
            [1.0000, 1.0000]], dtype=torch.float64)
    """
    return stacked(result).detach().to_dense().to(device=device, dtype=dtype)


def stacked(result) -> torch.Tensor:
    """The same with its history, its layout, its type and on its device."""
    if isinstance(result, list | tuple) and any(isinstance(part, _PARTS) for part in result):
        return torch.stack([stacked(part) for part in result])
    return result if isinstance(result, torch.Tensor) else torch.as_tensor(np.asarray(result))


_PARTS = torch.Tensor | list | tuple
