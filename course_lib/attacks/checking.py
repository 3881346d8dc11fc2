"""What can be wrong with a network, its images and its targets: said before any long work."""

import itertools

import torch
from torch import nn

from .measures import check_pixels


def dtype_and_device(net: nn.Module, images: torch.Tensor):
    """Type and device of the network's parameters or buffers; the images' own without any."""
    for tensor in itertools.chain(net.parameters(), net.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype, tensor.device
    return images.dtype, images.device


def check_kinds(net: nn.Module, images: torch.Tensor) -> None:
    """Raise TypeError or ValueError unless ``net`` is a module and ``images`` are some images."""
    if not isinstance(net, nn.Module):
        raise TypeError(f"The network must be a torch module, not {type(net).__name__}.")
    check_pixels(images)
    if not len(images):
        raise ValueError("There are no images to attack.")


def check_net(net: nn.Module, images: torch.Tensor, chunk: int) -> torch.Tensor:
    """(N, classes) the logits of the clean images, if ``net`` and ``images`` are fit for an attack.

    Raises TypeError or ValueError, with a sentence, for: a module in train mode; an output that is
    not (N, classes), is not finite, holds probabilities instead of logits, changes from call to
    call, works in place on the images, or has no gradient.
    """
    training = [name or "the network" for name, part in net.named_modules() if part.training]
    if training:
        raise ValueError(
            f"The network is in train mode ({training[0]}): dropout and batch statistics would "
            "blur the answer. Call net.eval() first."
        )
    dtype, where = dtype_and_device(net, images)
    batches = images.detach().to(where, dtype).split(chunk)
    with torch.no_grad():
        probe = batches[0].clone()
        first = net(probe)
        if not torch.equal(probe, batches[0]):
            raise ValueError(
                "The network works in place on its input, which changes the images and has no "
                "gradient: let its first layer make a copy (x.clone(), or inplace=False)."
            )
        check_output(first, len(batches[0]))
        logits = torch.cat([first, *(net(batch) for batch in batches[1:])])
        if not logits.isfinite().all():
            raise ValueError(
                "The network's output is not finite (NaN or infinity) for "
                f"{int((~logits.isfinite().all(1)).sum())} of {len(images)} images: see its "
                "weights."
            )
        if not torch.equal(first, net(batches[0])):
            raise ValueError(
                "The network changes its answer from call to call: an attack needs one function. "
                "Switch off its random parts, or fix its noise."
            )
    _check_gradient(net, batches[0][:1])
    return logits


def _check_gradient(net: nn.Module, image: torch.Tensor) -> None:
    with torch.enable_grad():
        image = image.clone().requires_grad_(True)
        output = net(image).sum()
        slope = None
        if output.requires_grad:
            (slope,) = torch.autograd.grad(output, image, allow_unused=True)
    if slope is None:
        raise ValueError(
            "The network's output has no gradient with respect to the images: there is nothing to "
            "follow. See whether its forward detaches, rounds, or runs under no_grad."
        )


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
