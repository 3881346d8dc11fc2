"""The steps of a network: what each computes, and what follows from it.

A step is one operation, its place in the list stands for its value. :mod:`.graph` makes the list.
"""

import copy
import dataclasses
import math

import torch
from torch import nn

from .kinds import kind_of
from .padding import PADDINGS
from .rules import Slopes


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One operation of a network.

    name: of the module, or of the node in the graph; kind: "input", "affine", "slope" (applied
    to every element; its derivative lies in ``slopes``), "lipschitz" (max pooling and whatever else
    only has a constant; ``slopes`` if it states that itself), "reshape", "permute", "sum" (of
    ``signs`` times the inputs) or "cat" (along ``axis``); inputs: places of other steps in the
    list; shape: of its value for one image; module: what computes it, in float64.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    module: nn.Module | None = None
    slopes: Slopes | None = None
    signs: tuple[int, ...] = ()
    axis: int = 0
    axes: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers its value has for one image."""
        return math.prod(self.shape)

    @property
    def nonlinear(self) -> bool:
        return self.kind in ("slope", "lipschitz")

    def apply(self, values: list[torch.Tensor], module: nn.Module | None = None) -> torch.Tensor:
        """Its value, from those of its inputs; module: another one in place of its own."""
        x = values[0]
        if self.kind == "reshape":
            return x.reshape(len(x), *self.shape)
        if self.kind == "permute":
            return x.permute(self.axes)
        if self.kind == "cat":
            return torch.cat(values, self.axis)
        if self.kind == "sum":
            return sum(sign * value for sign, value in zip(self.signs, values, strict=True))
        return (module or self.module)(x)


def run(steps: list[Step], x: torch.Tensor, rounded=torch.float64) -> list[torch.Tensor]:
    """The value of every step for the images ``x`` (N, *shape), in float64; rounded: to what
    precision each value is rounded before it goes on."""
    values = [x]
    for step in steps[1:]:
        value = step.apply([values[i] for i in step.inputs])
        values.append(value if rounded == torch.float64 else value.to(rounded).double())
    return values


def linear_run(steps: list[Step], x: torch.Tensor) -> torch.Tensor:
    """The last value of steps that are all linear, without what they add."""
    values = [x]
    for step in steps[1:]:
        twin = linear_part(step.module) if step.kind == "affine" else None
        values.append(step.apply([values[i] for i in step.inputs], twin))
    return values[-1]


def linear_part(module: nn.Module) -> nn.Module:
    """The affine layer ``module`` without what it adds; the weights are shared."""
    twin = copy.copy(module)
    twin._parameters, twin._buffers = dict(module._parameters), dict(module._buffers)
    for place in (twin._parameters, twin._buffers):
        for name in ("bias", "running_mean"):
            if place.get(name) is not None:
                place[name] = torch.zeros_like(place[name])
    if getattr(module, "value", None) and isinstance(module, PADDINGS):
        twin.value = 0.0
    return twin


def absolute_part(module: nn.Module, offset: bool = False) -> nn.Module:
    """The same with the absolute values of the weights; offset: and of what is added."""
    twin = linear_part(module)
    for place, own in ((twin._parameters, module._parameters), (twin._buffers, module._buffers)):
        if place.get("weight") is not None:
            place["weight"] = place["weight"].detach().abs()
        if offset and own.get("bias") is not None:
            place["bias"] = own["bias"].detach().abs()
        if offset and own.get("running_mean") is not None:  # it is subtracted
            place["running_mean"] = -own["running_mean"].abs()
    if offset and isinstance(module, PADDINGS) and getattr(module, "value", None):
        twin.value = abs(module.value)
    if getattr(module, "divisor_override", None):
        twin.divisor_override = abs(module.divisor_override)
    return twin


def device_of(steps: list[Step]) -> torch.device:
    """Where the weights of the steps lie; the CPU if there are none."""
    modules = [step.module for step in steps if step.module is not None]
    found = [t.device for module in modules for t in tensors(module)]
    return found[0] if found else torch.device("cpu")


def tensors(net: nn.Module) -> list[torch.Tensor]:
    return [t for t in (*net.parameters(), *net.buffers()) if t.is_floating_point()]


def multiplications(step: Step) -> int:
    """About how many multiplications a step costs for one image."""
    kind = kind_of(step.module)
    return step.size * (step.module.weight[0].numel() if kind and kind.weighted else 1)
