"""What several exercises of lesson 01 share."""

from torch import nn
from torch.overrides import TorchFunctionMode


def sequential(*layers):
    return nn.Sequential(*layers)


class Calls(TorchFunctionMode):
    """A context in which the names of all functions of PyTorch that are called are kept."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.add(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))
