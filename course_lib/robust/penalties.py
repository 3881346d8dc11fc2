"""The closing suggestion of section 4.3 as a term of the loss: the layers' upper bounds, with exact
norms and their exact gradient."""

import torch
import torch.nn.functional as F
from torch import nn

from .. import spectral
from ..copies import unharmed
from ..spectral.kinds import kind_of, stated_constant, why_unknown
from ..spectral.plain import is_plain, weight_now

KINDS = ("sum", "log-product")


def largest_singular_value(weight: torch.Tensor) -> torch.Tensor:
    """The operator norm of a matrix, with its gradient: a scalar tensor.

    weight: (outputs, inputs). The gradient of σ is u vᵀ, with u and v the singular vectors of σ.
    u comes from a full decomposition of the smaller Gram matrix, never from a number of power
    iterations: these stall just where a penalty leads, at several nearly equal singular values.
    An error ε in u costs σ an error of order ε². Where σ is multiple, its gradient is one of many
    (σ is then no differentiable function, but still a convex one, and u vᵀ is a subgradient).

    :func:`spectral.differentiable_norm` is for layers of any kind and certifies what it finds;
    this is for matrices in every step of a training, a fifth to a third of its time.
    Raises FloatingPointError for a NaN or an infinity among the weights.
    """
    check_finite(weight)
    if weight.dtype in (torch.float16, torch.bfloat16):  # which have no decompositions
        return largest_singular_value(weight.float()).to(weight.dtype)
    if weight.shape[0] > weight.shape[1]:
        return largest_singular_value(weight.T)
    with torch.no_grad():
        u = torch.linalg.eigh(weight @ weight.T)[1][:, -1]
        v = F.normalize(weight.T @ u, dim=0)
    return u @ weight @ v


def check_finite(weight: torch.Tensor) -> None:
    if not weight.isfinite().all():
        raise FloatingPointError(
            "There is a NaN or an infinity among the weights: train with a smaller learning rate, "
            "or look for one in the images."
        )


def norms_of_layers(
    net: nn.Module, input_shape: tuple[int, ...] = (1, 28, 28)
) -> list[torch.Tensor]:
    """The norms of all linear layers and convolutions of ``net``, differentiable, in its order.

    input_shape: one image's, without the batch axis; convolutions need it. Each is a scalar tensor
    on the net's device: exact for a linear layer, an upper bound for a convolution.
    Activations and pooling have constant norms, which no training changes: they are left out.
    Raises ValueError, naming it, for another layer that has parameters, for a network without any
    linear layer or convolution, and as the network does for images of a wrong shape; TypeError or
    ValueError for a ``lipschitz_constant`` that is no number from 0 on.
    """
    if not isinstance(net, nn.Module):
        raise TypeError(f"The network must be a torch module, not {type(net).__name__}.")
    layers = {}
    for name, module in net.named_modules():
        stated_constant(module)  # it is no part of the penalty, but must be one
        kind = kind_of(module)
        if kind and kind.weighted:
            layers[module] = name
        elif list(module.parameters(recurse=False)) and not _works_out_a_weight(name):
            why = f" ({why})" if (why := why_unknown(module)) else ""
            raise ValueError(
                f"The layer {name!r} is a {type(module).__name__}, whose norm is not penalised "
                f"here{why}: use linear layers and convolutions, or fold it into one of them."
            )
    if not layers:
        raise ValueError("There is no linear layer or convolution whose norm could be penalised.")
    shapes = _input_shapes(net, layers, input_shape)
    return [
        largest_singular_value(weight_now(layer))
        if is_plain(layer, (nn.Linear,))
        else spectral.differentiable_norm(layer, shapes[layer])
        for layer in layers
    ]


def _works_out_a_weight(name: str) -> bool:
    """Whether the module called ``name`` belongs to what works out a weight."""
    return "parametrizations" in name.split(".")


@torch.no_grad()
def _input_shapes(net: nn.Module, layers, input_shape) -> dict[nn.Module, tuple[int, ...]]:
    """What shape each convolution gets; without convolutions the network is not run. It is left as
    it was: running it in train mode would change the statistics of a batch normalisation."""
    convolutions = [layer for layer in layers if not is_plain(layer, (nn.Linear,))]
    shapes: dict[nn.Module, tuple[int, ...]] = {}
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, inputs: shapes.__setitem__(layer, tuple(inputs[0].shape[1:]))
        )
        for layer in convolutions
    ]
    try:
        if convolutions:
            with unharmed(net):
                net.eval()(torch.zeros(1, *input_shape, device=_device_of(net)))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _device_of(net: nn.Module) -> torch.device:
    # not through a layer's weight: to work that out goes on with the iteration of a spectral norm
    return next(net.parameters()).device


def penalty(
    net: nn.Module, input_shape: tuple[int, ...] = (1, 28, 28), kind: str = "log-product"
) -> torch.Tensor:
    """The upper bounds of the layers of ``net`` as a term of the loss: a scalar tensor.

    kind: "sum", Σ σ_k, the paper's words taken literally, or "log-product", Σ log σ_k, the
    logarithm of the bound on the whole network. The latter does not care how the bound is shared
    out among the layers; it has no lower bound itself, and from some strength on (1 is too much
    for 784-100-100-10) the loss falls for ever while the network shrinks to nothing.
    Multiply it by a strength; :func:`train_bounded` does, and :func:`training.train` takes it as

        training.train(net, dataset, epochs=5, penalty=lambda net: 0.1 * robust.penalty(net))

    The norm of a linear layer is exact; that of a convolution is the upper bound of
    :func:`spectral.differentiable_norm`, which is exact where the padding is circular.

    Raises ValueError for another kind, and as :func:`norms_of_layers` does.
    """
    if kind not in KINDS:
        raise ValueError(f"The kind of penalty is {' or '.join(KINDS)}, not {kind!r}.")
    norms = torch.stack(norms_of_layers(net, input_shape))
    return norms.sum() if kind == "sum" else norms.log().sum()
