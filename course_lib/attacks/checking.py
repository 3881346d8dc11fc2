"""What can be wrong with a network, its images and its targets: said before any long work."""

import torch
from torch import nn

from .measures import check_pixels


def dtype_and_device(net: nn.Module, images: torch.Tensor):
    """Type and device of the network's parameters; the images' own where it has none."""
    for parameter in net.parameters():
        if parameter.is_floating_point():
            return parameter.dtype, parameter.device
    return images.dtype, images.device


def check_net(net: nn.Module, images: torch.Tensor, chunk: int) -> torch.Tensor:
    """(N, classes) the logits of the clean images, if ``net`` and ``images`` are fit for an attack.

    Raises TypeError or ValueError, with a sentence, for: no module; a module in train mode; images
    that are none, or leave [0, 1]; an output that is not (N, classes), is not finite, holds
    probabilities instead of logits, or changes from call to call.
    """
    if not isinstance(net, nn.Module):
        raise TypeError(f"The network must be a torch module, not {type(net).__name__}.")
    training = [name or "the network" for name, part in net.named_modules() if part.training]
    if training:
        raise ValueError(
            f"The network is in train mode ({training[0]}): dropout and batch statistics would "
            "blur the answer. Call net.eval() first."
        )
    check_pixels(images)
    if not len(images):
        raise ValueError("There are no images to attack.")
    dtype, where = dtype_and_device(net, images)
    batches = images.to(where, dtype).split(chunk)
    with torch.no_grad():
        first = net(batches[0])
        check_output(first, len(batches[0]))
        if not torch.equal(first, net(batches[0])):
            raise ValueError(
                "The network changes its answer from call to call: an attack needs one function. "
                "Switch off its random parts, or fix its noise."
            )
        logits = torch.cat([first, *(net(batch) for batch in batches[1:])])
    if not logits.isfinite().all():
        raise ValueError(
            "The network's output is not finite (NaN or infinity) for "
            f"{int((~logits.isfinite().all(1)).sum())} of {len(images)} images: see its weights."
        )
    return logits


def check_output(output, n: int) -> None:
    """Raise unless ``output`` is a float tensor (n, classes) that can be logits."""
    if not isinstance(output, torch.Tensor) or not output.is_floating_point():
        raise TypeError("The network must return a float tensor of logits, (N, classes).")
    if output.dim() != 2 or output.shape[0] != n or output.shape[1] < 2:
        raise ValueError(
            f"The network must return logits (N, classes), at least two classes; for {n} images it "
            f"returned the shape {tuple(output.shape)}."
        )
    total = output.double().sum(1)
    if (output >= 0).all() and (output <= 1).all() and ((total - 1).abs() < 1e-3).all():
        raise ValueError(
            "The network returns probabilities: each row lies in [0, 1] and sums to 1. The attack "
            "needs the logits: leave out the softmax at its end (or give log-probabilities)."
        )
