"""How the solvers ask a network: in its own precision, and with answers that they can compute on.

A network in half precision, or under autocast, answers in half; programs of quadratic steps cannot
be solved in that. The solvers then work in float32, and the network is given what it takes: what
they see is the network as it runs, rounding included.
"""

import contextlib
import itertools

import torch
from torch import nn

from .. import device as devices

COARSE = (torch.float16, torch.bfloat16)  # too coarse for a solver


def dtype_and_device(net: nn.Module, images: torch.Tensor):
    """Type and device of the network's parameters or buffers; the images' own without any."""
    for tensor in itertools.chain(net.parameters(), net.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype, tensor.device
    return images.dtype, images.device


def working(dtype: torch.dtype) -> torch.dtype:
    """The type that a solver computes in, for a network of type ``dtype``."""
    return torch.float32 if dtype in COARSE else dtype


class Asked:
    """A network as a function of images (n, *shape) to logits (n, classes), both in the solvers'
    type; ``rounds_to`` is the type of its answers, whose rounding a lead has to exceed.

    Autocast that was on when this was made is on for the network, and off for the solvers, who are
    to compute inside :meth:`plain`.
    """

    def __init__(self, net: nn.Module, images: torch.Tensor):
        self.net = net
        self.dtype, self.device = dtype_and_device(net, images)
        self.working = working(self.dtype)
        kind = self.device.type
        self.autocast = None
        if torch.is_autocast_enabled(kind):
            self.autocast = torch.get_autocast_dtype(kind)
        self.rounds_to = self.dtype

    def raw(self, images: torch.Tensor):
        """What the network returns, for images of its own type."""
        if self.autocast is None:
            return self.net(images)
        with torch.autocast(self.device.type, self.autocast):
            return self.net(images)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return self.raw(images.to(self.dtype)).to(self.working)

    def plain(self):
        """A context without autocast, with gradients even inside of inference mode, and on a CPU
        without numbers that only take time (:func:`.device.without_subnormals`)."""
        stack = contextlib.ExitStack()
        if self.device.type == "cpu":
            stack.enter_context(devices.without_subnormals())
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.autocast(self.device.type, enabled=False))
        return stack

    def epsilon(self) -> float:
        """The unit of rounding of the logits: that of the coarsest type on the way to them."""
        return max(torch.finfo(t).eps for t in (self.dtype, self.rounds_to))
