"""Chains of affine maps and rectified units, read from a network."""

import copy
import dataclasses

import torch
from torch import nn

SAME = 1e-9  # of the logits, relative to what they add up: see linear.SAME


@dataclasses.dataclass(frozen=True, eq=False)
class Layers:
    """Affine maps (weight, bias) with rectified units between them, in float64, on the CPU."""

    maps: list[tuple[torch.Tensor, torch.Tensor]]

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """(n, classes) for flat images (n, pixels)."""
        for weight, bias in self.maps[:-1]:
            x = (x @ weight.T + bias).clamp(min=0)
        weight, bias = self.maps[-1]
        return x @ weight.T + bias


def read(net: nn.Module, images: torch.Tensor, x: torch.Tensor, box: bool) -> Layers:
    """The layers of ``net``, compared with what it computes; ValueError for any other network."""
    maps, pending, pixels = [], None, x.shape[1]
    for layer in _chain(net):
        if isinstance(layer, nn.Linear):
            weight = layer.weight.detach().cpu().double()
            bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
            bias, width = bias.cpu().double(), pixels if not maps else len(maps[-1][1])
            if pending is not None:  # two affine maps in a row are one
                width, bias = len(pending[1]), weight @ pending[1] + bias
            if weight.shape[1] != width:
                raise ValueError(
                    f"A Linear layer of this network takes {weight.shape[1]} numbers and is given "
                    f"{width}: give images as the network was made for."
                )
            pending = (weight if pending is None else weight @ pending[0]), bias
        elif isinstance(layer, nn.ReLU):
            if pending is None and not maps and not box:
                pending = torch.eye(pixels, dtype=x.dtype), x.new_zeros(pixels)
            if pending is not None:  # pixels in the box, and rectified units, are what they are
                maps, pending = [*maps, pending], None
    if pending is None:
        width = len(maps[-1][1]) if maps else 0
        pending = torch.eye(width, dtype=x.dtype), x.new_zeros(width)
    layers = Layers([*maps, pending])
    if len(pending[1]) < 2:
        raise ValueError("A network needs a Linear layer and at least two classes.")
    with torch.no_grad():
        seen = copy.deepcopy(net).cpu().double()(images.detach().cpu().double())
    ours = layers.logits(x)
    if not (torch.isfinite(ours).all() and seen.shape == ours.shape):
        raise ValueError(
            "The network's logits are not finite, or not of the shape (N, classes): see its "
            "weights, and that its images are flattened first."
        )
    if ((seen - ours).abs() > SAME * (1 + ours.abs().amax())).any():
        raise ValueError(
            "The network does not compute what its layers do (is there a hook?), so that nothing "
            "can be proven about it from their weights."
        )
    if not maps:  # always on: the search knows rectified units alone
        weight, bias = pending
        lift = 3 * pixels**0.5 * weight.abs().sum(1) + bias.abs() + 1
        eye = torch.eye(len(bias), dtype=x.dtype)
        layers = Layers([(weight, bias + lift), (eye, -lift)])
    return layers


def _chain(net: nn.Module) -> list[nn.Module]:
    """The layers in their order. Raises ValueError for what is no chain of those that are known."""
    if type(net) is nn.Sequential:
        return [layer for child in net for layer in _chain(child)]
    flat = type(net) is nn.Flatten and (net.start_dim, net.end_dim) == (1, -1)
    if not flat and type(net) not in (nn.Linear, nn.ReLU):
        raise ValueError(
            f"A proof is known for chains of Flatten, Linear and ReLU, and this network has a "
            f"{type(net).__name__}: use minimal_adversarial, which proves nothing."
        )
    return [net]
