"""Reading a graph of torch.fx: every node becomes a step whose constant is known, or is refused."""

import copy
import dataclasses
import operator

import torch
from torch import fx, nn
from torch.nn import functional as F

from .diagonals import Diagonal
from .kinds import functional, rule_of, why_unknown
from .padding import Padding
from .pooling import Mean
from .steps import Step
from .tracing import INPUT, BatchSize

METHODS_AS_FUNCTIONS = {
    "relu": torch.relu,
    "relu_": torch.relu,
    "sigmoid": torch.sigmoid,
    "sigmoid_": torch.sigmoid,
    "tanh": torch.tanh,
    "tanh_": torch.tanh,
    "add": operator.add,
    "add_": operator.add,
    "sub": operator.sub,
    "sub_": operator.sub,
    "mul": operator.mul,
    "mul_": operator.mul,
    "div": operator.truediv,
    "div_": operator.truediv,
    "neg": operator.neg,
    "mean": torch.mean,
    "permute": torch.permute,
    "transpose": torch.transpose,
}
SUMS = {
    operator.add: 1,
    operator.iadd: 1,
    torch.add: 1,
    operator.sub: -1,
    operator.isub: -1,
    torch.sub: -1,
}
PRODUCTS = {operator.mul, operator.imul, torch.mul}
QUOTIENTS = {operator.truediv, operator.itruediv, torch.div, torch.true_divide}
RESHAPING = {
    torch.flatten,
    torch.reshape,
    torch.squeeze,
    torch.unsqueeze,
    "flatten",
    "view",
    "reshape",
    "squeeze",
    "unsqueeze",
    "unflatten",
    torch.unflatten,
}
SAME = {"contiguous", "clone", "detach", torch.clone, torch.detach}
CASTS = {"float", "double", "to", "type", "type_as", "half", "bfloat16"}
DROPOUTS = {
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    F.alpha_dropout,
    F.feature_alpha_dropout,
}
NORMALISED = ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
FUNCTIONAL_CONVOLUTIONS = {F.conv1d: nn.Conv1d, F.conv2d: nn.Conv2d, F.conv3d: nn.Conv3d}
FUNCTIONAL_TRANSPOSED = {
    F.conv_transpose1d: nn.ConvTranspose1d,
    F.conv_transpose2d: nn.ConvTranspose2d,
    F.conv_transpose3d: nn.ConvTranspose3d,
}
MATRIX_PRODUCTS = {operator.matmul, torch.matmul, torch.mm, "matmul", "mm"}


class Reader:
    """Turns the nodes of a graph into steps, with the values of a probe beside them.

    casts: the floating types to which the network casts on its way, which the steps do not.
    """

    def __init__(self, net: nn.Module, graph: fx.Graph, probe: torch.Tensor):
        self.net, self.graph, self.probe = net, graph, probe
        self.steps: list[Step] = []
        self.values: list[torch.Tensor] = []
        self.known: dict[fx.Node, int | object] = {}  # a step's place, or a constant
        self.is_step: set[fx.Node] = set()
        self.casts: set[torch.dtype] = set()

    def read(self) -> list[Step]:
        live = {next(node for node in reversed(self.graph.nodes) if node.op == "output")}
        for node in reversed(self.graph.nodes):  # what a hook looks at changes nothing
            if node in live:
                live.update(node.all_input_nodes)
        for node in self.graph.nodes:
            if node.op == "output":
                return self.finish(node)
            if node in live or node.op == "placeholder":
                try:
                    self.visit(node)
                except (RuntimeError, TypeError, LookupError, AttributeError) as error:
                    first = str(error).splitlines()[0] if str(error) else type(error).__name__
                    self.refuse(node, f"could not be worked out ({first})")
        raise ValueError("The network's graph has no output.")

    def visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self.put(node, "input", (), self.probe)
        elif node.op == "get_attr":
            value = self.net
            for part in node.target.split("."):
                value = getattr(value, part)
            self.known[node] = value
        elif not any(n in self.is_step for n in node.all_input_nodes):
            self.constant(node)
        elif node.op == "call_module":
            self.from_module(node, self.net.get_submodule(node.target), own_name(node))
        else:
            self.from_function(node)

    # --- what the kinds of nodes become ---

    def from_module(self, node: fx.Node, module: nn.Module, name: str) -> None:
        source = self.only_input(node)
        rule = rule_of(module)
        if rule is None:
            why = why_unknown(module)
            why = f", and {why}" if why else ""
            self.refuse(
                node, f"is a {type(module).__name__}, whose constant is not known here{why}"
            )
        elif rule.step == "nothing":
            self.alias(node, source)
        elif rule.step == "reshape":
            self.add(node, "reshape", (source,), module(self.values[source]), name=name)
        else:
            if rule.step == "affine" and getattr(module, "track_running_stats", True) is False:
                self.refuse(node, "normalises by the statistics of the batch")
            if getattr(module, "return_indices", False):
                self.refuse(node, "returns indices beside the values; use return_indices=False")
            slopes = rule.slopes(module) if rule.slopes else None
            self.module(node, rule.step, module, source, name, slopes=slopes)

    def module(self, node, kind, module, source, name, **more) -> None:
        if getattr(module, "inplace", False):
            module = copy.copy(module)
            module.inplace = False
        self.add(node, kind, (source,), module(self.values[source]), name, module=module, **more)

    def from_function(self, node: fx.Node) -> None:
        target = node.target
        if node.op == "call_method":
            target = METHODS_AS_FUNCTIONS.get(target, target)
        if target in DROPOUTS:
            if self.arguments(node, ("p", "training")).get("training", True):
                self.refuse(node, "drops units at random; pass training=self.training")
            self.alias(node, self.only_input(node))
        elif (known := functional(target)) is not None:
            module = known.layer(**self.arguments(node, known.arguments))
            self.from_module(node, module.eval(), node.name)
        elif target in MATRIX_PRODUCTS:
            self.from_module(node, self.product(node), node.name)
        elif target in FUNCTIONAL_TRANSPOSED:
            self.from_module(node, self.transposed(node, target), node.name)
        elif target is F.linear or target in FUNCTIONAL_CONVOLUTIONS:
            self.from_module(node, self.functional_layer(node, target), node.name)
        elif target is F.batch_norm:
            self.from_module(node, self.normalisation(node), node.name)
        elif target in (F.prelu, torch.prelu, "prelu"):
            self.from_module(node, self.parametric(node), node.name)
        elif target is F.pad:
            given = self.arguments(node, ("pad", "mode", "value"))
            self.from_module(node, Padding(**given).eval(), node.name)
        elif target in RESHAPING:
            value = self.evaluate(node)
            self.add(node, "reshape", (self.only_input(node),), value)
        elif target in SAME or self.looked_at(node, "data"):
            self.alias(node, self.only_input(node))
        elif target in CASTS:
            self.cast(node)
        elif target in (torch.permute, torch.transpose):
            self.permuted(node)
        elif target in (torch.mean,):
            self.mean(node)
        elif target is torch.cat or target is torch.concat:
            self.cat(node)
        elif target in SUMS or target in PRODUCTS or target in QUOTIENTS or target is operator.neg:
            self.arithmetic(node, target)
        elif target is getattr or (node.op == "call_method" and node.target in ("size", "dim")):
            self.known[node] = self.evaluate(node)
            if isinstance(self.known[node], torch.Tensor):
                self.refuse(node, "is not an operation whose constant is known here")
        else:
            self.refuse(node, "is not an operation whose constant is known here")

    def functional_layer(self, node: fx.Node, target) -> nn.Module:
        names = ("weight", "bias", "stride", "padding", "dilation", "groups")
        given = self.arguments(node, names)
        weight, bias = given.pop("weight"), given.pop("bias", None)
        if not isinstance(weight, torch.Tensor):
            self.refuse(node, "has weights that depend on the image")
        if target is F.linear:
            layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        else:
            channels = weight.shape[1] * given.get("groups", 1)
            kind = FUNCTIONAL_CONVOLUTIONS[target]
            layer = kind(channels, weight.shape[0], weight.shape[2:], device="meta", **given)
        return with_weights(layer, weight, bias)

    def product(self, node: fx.Node) -> nn.Module:
        """x @ W, as a layer with the transposed weight."""
        given = self.arguments(node, ("other", "mat2"))
        weight = given.get("other", given.get("mat2"))
        if not isinstance(weight, torch.Tensor) or weight.ndim != 2:
            self.refuse(node, "is no product with a constant matrix on the right")
        layer = nn.Linear(*weight.shape, bias=False, device="meta")
        return with_weights(layer, weight.T.contiguous(), None)

    def transposed(self, node: fx.Node, target) -> nn.Module:
        names = ("weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
        given = self.arguments(node, names)
        weight, bias = given.pop("weight"), given.pop("bias", None)
        if not isinstance(weight, torch.Tensor):
            self.refuse(node, "has weights that depend on the image")
        inputs, outputs, *kernel = weight.shape
        outputs = outputs * given.get("groups", 1)
        layer = FUNCTIONAL_TRANSPOSED[target](inputs, outputs, kernel, device="meta", **given)
        return with_weights(layer, weight, bias)

    def normalisation(self, node: fx.Node) -> nn.Module:
        given = self.arguments(node, NORMALISED)
        if given.get("training") or given.get("running_mean") is None:
            self.refuse(node, "normalises by the statistics of the batch")
        source = self.values[self.only_input(node)]
        kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}.get(source.ndim)
        weight, bias = given.get("weight"), given.get("bias")
        if weight is None and bias is not None:
            weight = torch.ones_like(bias)
        layer = (kind or nn.BatchNorm3d)(
            source.shape[1], given.get("eps", 1e-5), affine=weight is not None, device="meta"
        )
        layer.running_mean, layer.running_var = given["running_mean"], given["running_var"]
        if weight is not None:
            bias = torch.zeros_like(weight) if bias is None else bias
            layer.weight, layer.bias = (nn.Parameter(v.detach(), False) for v in (weight, bias))
        return layer.eval()

    def parametric(self, node: fx.Node) -> nn.Module:
        weight = self.arguments(node, ("weight",))["weight"]
        if not isinstance(weight, torch.Tensor):
            self.refuse(node, "has weights that depend on the image")
        layer = nn.PReLU(weight.numel(), device="meta")
        layer.weight = nn.Parameter(weight.detach().double().flatten(), requires_grad=False)
        return layer.eval()

    def looked_at(self, node: fx.Node, attribute: str) -> bool:
        return node.target is getattr and node.args[1] == attribute

    def cast(self, node: fx.Node) -> None:
        """A cast to another floating type: in exact arithmetic it does nothing."""
        source = self.only_input(node)
        value = self.evaluate(node)
        if value.dtype not in (torch.float32, torch.float64):
            self.refuse(node, f"rounds to {value.dtype}")
        if value.device != self.values[source].device:
            self.refuse(node, "moves the values to another device")
        self.casts.add(value.dtype)
        self.alias(node, source)

    def permuted(self, node: fx.Node) -> None:
        source = self.only_input(node)
        marks = torch.empty([2 + i for i in range(self.values[source].ndim)], device="meta")
        given = [self.value(a) for a in node.args[1:]]
        method = torch.permute if node.target in (torch.permute, "permute") else torch.transpose
        if method is torch.permute and len(given) > 1:
            given = [given]
        axes = tuple(n - 2 for n in method(marks, *given).shape)
        if axes[0] != 0:
            self.refuse(node, "moves the axis of the batch")
        self.add(node, "permute", (source,), self.values[source].permute(axes), axes=axes)

    def mean(self, node: fx.Node) -> None:
        source, given = self.only_input(node), self.arguments(node, ("dim", "keepdim"))
        ndim = self.values[source].ndim
        axes = given.get("dim", tuple(range(ndim)))
        axes = tuple(a % ndim for a in ((axes,) if isinstance(axes, int) else axes))
        if 0 in axes:
            self.refuse(node, "takes the mean over the batch")
        self.from_module(node, Mean(axes, given.get("keepdim", False)), node.name)

    def cat(self, node: fx.Node) -> None:
        parts = node.args[0] if node.args else node.kwargs["tensors"]
        axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        if not all(part in self.is_step for part in parts):
            self.refuse(node, "joins a value of the network with a constant")
        places = tuple(self.known[part] for part in parts)
        axis %= self.values[places[0]].ndim
        if axis == 0:
            self.refuse(node, "joins along the axis of the batch")
        value = torch.cat([self.values[i] for i in places], axis)
        self.add(node, "cat", places, value, axis=axis)

    def arithmetic(self, node: fx.Node, target) -> None:
        if set(node.kwargs) - {"input", "other"}:
            self.refuse(node, "has arguments that are not known here")
        operands = [*node.args, *(node.kwargs[k] for k in ("input", "other") if k in node.kwargs)]
        if target is operator.neg:
            return self.diagonal(node, operands[0], -1.0, 0.0)
        first, second = operands
        if first in self.is_step and second in self.is_step:
            if target not in SUMS:
                self.refuse(node, "multiplies or divides two values that depend on the image")
            places = self.known[first], self.known[second]
            a, b = (self.values[i] for i in places)
            if a.shape != b.shape:
                self.refuse(node, "adds two values of different shapes")
            return self.add(node, "sum", places, a + SUMS[target] * b, signs=(1, SUMS[target]))
        image = first if first in self.is_step else second
        number = self.number(node, second if image is first else first)
        if target in SUMS:
            sign = SUMS[target]
            scale, shift = (1.0, sign * number) if image is first else (float(sign), number)
        elif target in PRODUCTS:
            scale, shift = number, 0.0
        elif image is first:
            scale, shift = 1 / number, 0.0
        else:
            self.refuse(node, "divides by a value that depends on the image")
        self.diagonal(node, image, scale, shift)

    def number(self, node: fx.Node, operand):
        computed = isinstance(operand, fx.Node) and operand.op != "get_attr"
        if computed or isinstance(operand, BatchSize):
            self.refuse(node, "uses a number that the network computes")
        value = self.value(operand)
        if isinstance(value, complex) or (isinstance(value, torch.Tensor) and value.is_complex()):
            self.refuse(node, "uses a complex number")
        return value.detach().double() if isinstance(value, torch.Tensor) else float(value)

    def diagonal(self, node: fx.Node, image: fx.Node, scale, shift) -> None:
        source = self.known[image]
        like = self.values[source][:1]
        scale, shift = (torch.as_tensor(v, dtype=like.dtype).to(like) for v in (scale, shift))
        try:
            layer = Diagonal(scale.expand_as(like).clone(), shift.expand_as(like).clone())
        except RuntimeError:
            self.refuse(node, "combines an image with a constant of another shape")
        if not torch.isfinite(layer.weight).all():
            self.refuse(node, "divides by 0")
        self.module(node, "affine", layer.to(like.device), source, node.name)

    # --- the book-keeping ---

    def put(self, node, kind, inputs, value, name=None, **more) -> None:
        self.steps.append(Step(name or node.name, kind, inputs, tuple(value.shape[1:]), **more))
        self.values.append(value)
        self.known[node] = len(self.steps) - 1
        self.is_step.add(node)

    def add(self, node, kind, inputs, value, name=None, **more) -> None:
        if not isinstance(value, torch.Tensor) or value.ndim < 2 or len(value) != len(self.probe):
            self.refuse(node, "does not keep one row for each image")
        if not value.numel():
            self.refuse(node, "has no numbers (a size of 0), so that nothing passes through it")
        self.put(node, kind, inputs, value, name, **more)

    def alias(self, node: fx.Node, place: int) -> None:
        self.known[node] = place
        self.is_step.add(node)

    def only_input(self, node: fx.Node) -> int:
        found = [n for n in node.all_input_nodes if n in self.is_step]
        first = node.args[0] if node.args else node.kwargs.get("input")
        if len(found) != 1 or found[0] is not first:
            self.refuse(node, "takes several values of the network")
        return self.known[first]

    def arguments(self, node: fx.Node, names) -> dict:
        """The arguments after the input, by name; ``inplace`` and the like change no value."""
        given = dict(zip(names, (self.value(a) for a in node.args[1:]), strict=False))
        given |= {k: self.value(v) for k, v in node.kwargs.items() if k != "input"}
        for name in ("inplace", "return_indices", "dtype"):
            if given.get(name) and name != "inplace":
                self.refuse(node, f"uses {name}")
        return {k: v for k, v in given.items() if k in names}

    def value(self, argument):
        return fx.node.map_arg(argument, lambda n: self.known[n])

    def evaluate(self, node: fx.Node):
        def look(n: fx.Node):
            return self.values[self.known[n]] if n in self.is_step else self.known[n]

        args, kwargs = fx.node.map_arg(node.args, look), fx.node.map_arg(node.kwargs, look)
        if node.op == "call_method":
            method = "reshape" if node.target == "view" else node.target  # contiguous or not
            return getattr(args[0], method)(*args[1:], **kwargs)
        return node.target(*args, **kwargs)

    def constant(self, node: fx.Node) -> None:
        """A node that no image enters: sizes, and sums of them."""
        if node.op == "call_module":
            self.refuse(node, "takes no value of the network")
        self.known[node] = self.evaluate(node)

    def refuse(self, node: fx.Node, why: str):
        target = own_name(node) if node.op == "call_module" else node.target
        what = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        name = target.replace(".", "_") if node.op == "call_module" else node.name
        raise ValueError(
            f"No bound is known for the node {name!r} ({node.op}: {what}): it {why}. A module "
            "of your own can state its constant in an attribute lipschitz_constant."
        )

    def finish(self, node: fx.Node) -> list[Step]:
        out = node.args[0]
        if not isinstance(out, fx.Node) or out not in self.is_step:
            raise ValueError("The network must return one tensor that depends on the images.")
        return needed(self.steps, self.known[out])


def with_weights(layer: nn.Module, weight, bias) -> nn.Module:
    layer.weight = nn.Parameter(weight.detach().double(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.detach().double(), False)
    return layer.eval()


def own_name(node: fx.Node) -> str:
    """The name of a module in the network of the user's."""
    return node.target.removeprefix(f"{INPUT}.")


def needed(steps: list[Step], last: int) -> list[Step]:
    """The input and the steps that ``last`` depends on, renumbered, ``last`` at the end."""
    wanted = {0, last}
    for i in range(last, -1, -1):
        if i in wanted:
            wanted.update(steps[i].inputs)
    order = sorted(wanted)
    place = {old: new for new, old in enumerate(order)}
    return [
        dataclasses.replace(steps[i], inputs=tuple(place[j] for j in steps[i].inputs))
        for i in order
    ]
