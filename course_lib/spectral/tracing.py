"""Tracing a network with torch.fx, the values of a probe beside the graph.

Weights are numbers here, not proxies, and so are shapes: what depends on them alone (a weight that
is standardised, a branch on the number of axes) is worked out as the network does it, and only what
depends on the images becomes a node. Hooks are run as the network runs them.
"""

import numpy as np
import torch
from torch import fx, nn
from torch.overrides import TorchFunctionMode

from .diagonals import BATCH_NORMS
from .kinds import DROPOUTS, closest_class, rule_of
from .plain import iterates, own_class

TRAINING = (*BATCH_NORMS, *DROPOUTS)  # what computes something else in train mode
INPUT = "network"  # the name of the network in Whole, which names of modules begin with


class BatchSize(int):
    """The number of images, which must not enter what is computed."""


class Exact(TorchFunctionMode):
    """While this mode is on, nothing is rounded to fewer digits than those of float64: not by a
    cast to another floating type, nor by new numbers of torch's default type."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        args, kwargs = tuple(map(wide, args)), {k: wide(v) for k, v in (kwargs or {}).items()}
        found = (torch.Tensor.double if function in NARROWING else function)(*args, **kwargs)
        if type(found) is torch.Tensor and found.dtype in NARROW:
            return found.double()
        return found


NARROW = {torch.float32, torch.float16, torch.bfloat16}
NARROWING = {torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16}


def wide(argument):
    narrow = isinstance(argument, torch.dtype) and argument in NARROW
    return torch.float64 if narrow else argument


class InExact(nn.Module):
    """A copy in float64 that runs as the network does, hooks and all, without its casts."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images):
        with Exact():
            return self.network(images)


class Whole(nn.Module):
    """A network as a part of another module, so that its own hooks and patches are run as well:
    torch.fx calls the ``forward`` of the class of what it traces."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.training = network.training

    def forward(self, images):
        return self.network(images)


class Valued(fx.Proxy):
    """A proxy that knows its value for the probe: its shape is known, what is in it is not."""

    __array_ufunc__ = None  # a number of NumPy's on the left leaves the operation to this

    def __init__(self, node: fx.Node, tracer: "Tracer", value):
        super().__init__(node, tracer)
        self.value = value

    @property
    def shape(self):
        count, *rest = self.value.shape
        return torch.Size([BatchSize(count), *rest]) if self.batched() else self.value.shape

    def batched(self) -> bool:
        return self.value.ndim > 0 and len(self.value) == self.tracer.count

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def dim(self):
        return self.value.dim()

    def numel(self):
        return BatchSize(self.value.numel())

    @property
    def ndim(self):
        return self.value.ndim

    @property
    def dtype(self):
        return self.value.dtype

    @property
    def device(self):
        return self.value.device

    @property
    def is_cuda(self):
        return self.value.is_cuda

    @property
    def requires_grad(self):
        return False

    def is_floating_point(self):
        return self.value.is_floating_point()

    def is_contiguous(self, *args, **kwargs):
        return self.value.is_contiguous(*args, **kwargs)

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        if isinstance(self.value, (tuple, list)):
            return iter([self[i] for i in range(len(self.value))])
        return super().__iter__()


class Tracer(fx.Tracer):
    """Goes into every module, unless there is a rule for it, or it says itself what its constant
    is."""

    def __init__(self, probe: torch.Tensor):
        super().__init__()
        self.probe, self.count = probe, len(probe)
        self.values: dict[fx.Node, object] = {}
        self.leaves: set[nn.Module] = set()
        self.working = False  # whether a value is worked out just now, and nothing is recorded

    def trace(self, root: nn.Module, concrete_args=None) -> fx.Graph:
        # asked before anything is patched: a rule may look at the weights
        self.leaves = {part for part in root.modules() if rule_of(part) is not None}
        return super().trace(root, concrete_args)

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        if module in self.leaves:
            return True
        # a layer of torch's that has a rule, but does something else too (hooks, a patch), is read
        # by what its forward calls
        return super().is_leaf_module(module, name) and closest_class(module) is None

    def path_of_module(self, module: nn.Module) -> str:
        try:
            return super().path_of_module(module)
        except NameError:  # it was not registered: it lies in a list, or belongs to a hook
            refuse_training(module)
            name = f"unregistered_{len(self.submodule_paths)}"
            self.root._modules[name] = module
            for inner, part in module.named_modules(prefix=name):
                self.submodule_paths.setdefault(part, inner)
            if rule_of(module) is not None:
                self.leaves.add(module)
            return name

    def call_module(self, module, forward, args, kwargs):
        if self.working:
            return forward(*args, **kwargs)
        return super().call_module(module, forward, args, kwargs)

    def getattr(self, attr, attr_val, parameter_proxy_cache):
        return attr_val  # weights are numbers

    def create_arg(self, a):
        if isinstance(a, np.generic):
            a = a.item()
        try:
            return super().create_arg(a)
        except NameError:  # a weight of what a hook belongs to, say, and not of the network
            return super().create_arg(a.data)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        if node.op == "placeholder":
            value = self.probe.clone()
        else:
            self.working = True
            try:
                value = self.evaluate(node)
            finally:
                self.working = False
        self.values[node] = value
        return Valued(node, self, value)

    def known_value(self, node: fx.Node):
        if node not in self.values:  # a weight, for which there is no proxy
            self.values[node] = self.evaluate(node)
        return self.values[node]

    def evaluate(self, node: fx.Node):
        args, kwargs = (
            fx.node.map_arg(part, self.known_value) for part in (node.args, node.kwargs)
        )
        if node.op == "call_function":
            return node.target(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], node.target)(*args[1:], **kwargs)
        if node.op == "call_module":
            return self.root.get_submodule(node.target)(*args, **kwargs)
        value = self.root  # "get_attr"
        for part in node.target.split("."):
            value = getattr(value, part)
        return value


class Untraceable(ValueError):
    """A sentence of our own about what was met while the network was traced."""


def refuse_training(module: nn.Module) -> None:
    """Raise, with a sentence, if ``module``, which torch does not see in the network, has a part
    that computes something else in train mode, and is in it: net.eval() did not reach it."""
    for part in module.modules():
        if part.training and (isinstance(part, TRAINING) or iterates(part)):
            raise Untraceable(
                f"The network uses a {own_class(part).__name__} in train mode that is not "
                "registered (it lies in a plain list, say), so that net.eval() misses it: keep it "
                "in an nn.ModuleList or nn.ModuleDict, and call net.eval() again."
            )
