"""A network without batch norms that computes the same: each folded into the convolution before it.

The norm of a convolution alone says nothing where a batch norm behind it divides by a deviation.
"""

import copy

from torch import nn

from ..checked import NETWORK, takes
from ..spectral.layers import fold_batch_norm


@takes(net=NETWORK)
def folded(net: nn.Module) -> nn.Module:
    """A copy of ``net`` in which every part called "norm" is folded into the "conv" beside it.

    In the eval mode of its batch norms, and in the type of its own weights. A network without such
    parts comes back as a copy.
    """
    made = copy.deepcopy(net).eval()
    for part in list(made.modules()):
        if isinstance(part, nn.Sequential) and hasattr(part, "conv") and hasattr(part, "norm"):
            kind = part.conv.weight.dtype
            part.conv = fold_batch_norm(part.conv, part.norm).to(kind).requires_grad_(False)
            del part.norm
    return made
