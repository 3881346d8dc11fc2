"""Which part of a network is in train mode, and what its user can do about it."""

import types

import torch
from torch import nn


def exported(part: nn.Module) -> bool:
    """Whether ``part`` is what torch.export made of a module: its mode is part of its graph, its
    flag says nothing, and torch has put an ``eval`` on it that refuses."""
    return isinstance(part, torch.fx.GraphModule) and isinstance(
        vars(part).get("eval"), types.MethodType
    )


def in_training(net: nn.Module) -> str:
    """Which part of ``net`` is in train mode, and how to change that, as the beginning of a
    sentence and its end; "" if none is."""
    fixed = {inner for part in net.modules() if exported(part) for inner in part.modules()}
    for name, part in net.named_modules():
        name = name or "the network"
        if part in fixed:
            if exported(part) and trains(part):
                return (
                    f"The network was exported in train mode ({name}), in which it stays: call "
                    "net.eval() on the module that it was made from, and export that"
                )
        # a frozen module of TorchScript has no mode any more: it is in eval mode for good
        elif getattr(part, "training", False):
            return f"The network is in train mode ({name}): call net.eval() first"
    return ""


def trains(part: torch.fx.GraphModule) -> bool:
    """Whether an exported module has an operation that works as in train mode."""
    for node in part.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        for argument, value in zip(schema.arguments if schema else (), node.args, strict=False):
            if argument.name in ("train", "training") and value is True:
                return True
    return False
