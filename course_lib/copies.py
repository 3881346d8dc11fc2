"""A copy of a network in float64, with its weights worked out, and the network left as it was.

``copy.deepcopy`` refuses weights that were computed (weight norm, pruning), locks and open files,
and a function that was attached to a module (a hook, a patched forward) goes on using the weights
of the original. Here everything that holds weights is rebuilt, and the rest is shared.
"""

import contextlib
import copy
import functools
import types
from collections import OrderedDict, defaultdict, deque

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from . import device as devices
from .hooks import hooks_of, weight_hook

DEPTH = 6  # of objects within objects that are searched for weights
SHARED = (type, types.ModuleType, types.BuiltinFunctionType, str, bytes, int, float, complex)
DICTS = (dict.__init__, OrderedDict.__init__, defaultdict.__init__)
REGISTERS = {"_modules", "_parameters", "_buffers"}
# these concern gradients or files, not what the network computes
DROPPED = {"_backward_hooks", "_backward_pre_hooks", "_non_full_backward_hooks"}


def in_double(module: nn.Module) -> nn.Module:
    """A copy of ``module`` in float64, without gradients; parametrised, normalised and pruned
    weights are plain ones, of the values that they have now. ``module`` is left as it is.

    On the device of ``module``; on the CPU for MPS, which has no float64. A compiled module is
    replaced by what it was compiled from. Raises ValueError, with a sentence, where that fails.
    """
    try:
        # a parametrisation of the user's may draw random numbers; the copy is to have gradients
        # with respect to images even where it is made inside of inference mode
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            devices.same_random_numbers(),
        ):
            return Copier().module(module)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the user's own parametrisations and objects are run
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"The network cannot be copied in float64 ({first}): see whether what is attached to "
            "it (parametrisations, hooks) works in float64."
        ) from error


class Copier:
    """Copies what holds weights, each object once, so that what is shared stays shared."""

    def __init__(self):
        self.memo: dict[int, object] = {}
        self.kept: list[object] = []  # so that no id is given away meanwhile

    def value(self, value, depth: int = 0):
        """The copy of anything that a module may have as an attribute."""
        if id(value) in self.memo:
            return self.memo[id(value)]
        if isinstance(value, nn.Module):
            return self.module(value)
        if isinstance(value, Tensor):
            return self.keep(value, self.tensor(value))
        if value is None or isinstance(value, SHARED) or depth > DEPTH:
            return value
        if isinstance(value, types.MethodType):
            own = self.value(value.__self__, depth + 1)
            return value if own is value.__self__ else types.MethodType(value.__func__, own)
        if isinstance(value, types.FunctionType):
            return self.function(value, depth)
        if type(value) is functools.partial:
            parts = (value.func, value.args, value.keywords)
            function, args, keywords = (self.value(part, depth + 1) for part in parts)
            return self.keep(value, functools.partial(function, *args, **keywords))
        if isinstance(value, dict) and type(value).__init__ in DICTS:
            found = self.keep(value, copy.copy(value))
            found.update((key, self.value(v, depth + 1)) for key, v in list(value.items()))
            return found
        if type(value) is list:
            found = self.keep(value, [])
            found.extend(self.value(v, depth + 1) for v in value)
            return found
        if type(value) in (tuple, set, deque):
            return type(value)(self.value(v, depth + 1) for v in value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named tuple
            return type(value)._make(self.value(v, depth + 1) for v in value)
        return self.object(value, depth)

    def keep(self, value, found):
        self.memo[id(value)] = found
        self.kept.append(value)
        return found

    def tensor(self, value: Tensor) -> Tensor:
        plain = value.detach()
        if plain.is_floating_point() and not plain.is_quantized:
            plain = plain.cpu() if plain.device.type == "mps" else plain
            plain = plain.to(torch.float64)
        return plain.clone()

    def function(self, value: types.FunctionType, depth: int):
        """A function; one of its own if what it carries with it was copied."""
        cells = []
        for cell in value.__closure__ or ():
            try:
                cells.append(cell.cell_contents)
            except ValueError:  # not set yet
                return value
        self.keep(value, value)  # a function that refers to itself
        own = [self.value(content, depth + 1) for content in cells]
        defaults = self.value(value.__defaults__, depth + 1)
        same = all(a is b for a, b in zip(own, cells, strict=True))
        if same and all(
            a is b for a, b in zip(defaults or (), value.__defaults__ or (), strict=True)
        ):
            return value
        closure = tuple(types.CellType(content) for content in own)
        found = types.FunctionType(
            value.__code__, value.__globals__, value.__name__, defaults, closure or None
        )
        found.__kwdefaults__ = value.__kwdefaults__
        found.__dict__.update(value.__dict__)
        return self.keep(value, found)

    def object(self, value, depth: int):
        """An object of any other class: the same one unless it holds weights."""
        if not attributes(value) or not holds_weights(value, DEPTH - depth):
            return value
        try:
            found = copy.copy(value)
        except Exception:  # a class may refuse it for any reason: then it is shared
            return value
        if found is value:
            return value
        self.keep(value, found)
        for name, content in attributes(value).items():
            object.__setattr__(found, name, self.value(content, depth + 1))
        return found

    def module(self, module: nn.Module) -> nn.Module:
        """A module with all that is below it, its weights worked out."""
        if id(module) in self.memo:
            return self.memo[id(module)]
        if hasattr(module, "_orig_mod") and not hooks_of(module):  # of torch.compile
            return self.keep(module, self.module(module._orig_mod))
        if isinstance(module, torch.jit.ScriptModule):  # its weights lie in C++: no part is shared
            found = copy.deepcopy(module)
            where = "cpu" if on_mps(module) else None
            return self.keep(module, found.to(where, torch.float64))
        found = self.keep(module, object.__new__(module.__class__))
        state = found.__dict__
        for name, value in vars(module).items():
            if name == "_parameters":
                state[name] = {key: self.parameter(v) for key, v in value.items()}
            elif name in DROPPED:
                state[name] = OrderedDict()
            elif name == "_compiled_call_impl":
                state[name] = None
            else:
                state[name] = self.value(value)
        work_out(found)
        return found

    def parameter(self, value):
        if value is None or id(value) in self.memo:
            return None if value is None else self.memo[id(value)]
        return self.keep(value, nn.Parameter(self.tensor(value), requires_grad=False))


def on_mps(module: nn.Module) -> bool:
    """Whether ``module`` lies on a device that has no float64."""
    return any(t.device.type == "mps" for t in (*module.parameters(), *module.buffers()))


def holds_weights(value, depth: int) -> bool:
    """Whether an object has a tensor or a module among its attributes, or theirs."""
    if isinstance(value, (Tensor, nn.Module)):
        return True
    if depth < 0 or value is None or isinstance(value, SHARED):
        return False
    if isinstance(value, dict):
        return any(holds_weights(v, depth - 1) for v in list(value.values()))
    if isinstance(value, (list, tuple, set)):
        return any(holds_weights(v, depth - 1) for v in list(value))
    return any(holds_weights(v, depth - 1) for v in attributes(value).values())


def attributes(value) -> dict:
    """The attributes of an object, those in ``__slots__`` included."""
    found = dict(getattr(value, "__dict__", None) or {})
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if not name.startswith("__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def work_out(module: nn.Module) -> None:
    """Turn the computed weights of a copy into plain ones: parametrisations, torch's older weight
    and spectral norm, and pruning. As in eval mode: no power iteration goes on."""
    if parametrize.is_parametrized(module):
        parametrizations = module.parametrizations
        parametrizations.eval()
        values = {name: inner() for name, inner in parametrizations.items()}
        del module._modules["parametrizations"]
        module.__class__ = type(module).__bases__[0]
        for name, value in values.items():
            set_weight(module, name, value)
    training, module.__dict__["training"] = module.training, False
    for key, hook in list(module._forward_pre_hooks.items()):
        if weight_hook(hook):
            hook(module, None)
            del module._forward_pre_hooks[key]
    module.__dict__["training"] = training
    for name in ("weight", "bias"):
        if isinstance(module.__dict__.get(name), Tensor):
            set_weight(module, name, module.__dict__[name])


def set_weight(module: nn.Module, name: str, value: Tensor) -> None:
    """Make ``value`` a parameter of the copy, whatever it was before."""
    module.__dict__.pop(name, None)
    module._buffers.pop(name, None)
    module._parameters[name] = nn.Parameter(value.detach(), requires_grad=False)


@contextlib.contextmanager
def unharmed(net: nn.Module):
    """Leave ``net`` as it was, whatever running it does: attributes, counters, weights, modes, and
    all global random numbers. Modules in plain lists and dicts belong to it."""
    modules = list(dict.fromkeys(part for found in all_within(net) for part in found.modules()))
    kept = [(module, dict(vars(module)), contents(module)) for module in modules]
    weights = dict.fromkeys(t for m in modules for t in (*m.parameters(False), *m.buffers(False)))
    tensors = [(t, t.data, t.detach().clone()) for t in weights]
    try:
        with devices.same_random_numbers():
            yield
    finally:
        for module, state, inner in kept:
            vars(module).clear()
            vars(module).update(state)
            for holder, content in inner:
                holder.clear()
                (holder.extend if isinstance(holder, list) else holder.update)(content)
        with torch.no_grad():
            for tensor, held, value in tensors:
                if tensor.data_ptr() != held.data_ptr():
                    tensor.data = held
                if not torch.equal(tensor, value):
                    tensor.copy_(value)


def all_within(net: nn.Module) -> list[nn.Module]:
    """``net``, and the modules that lie in lists and dicts where torch does not see them."""
    found = [net]
    for module in net.modules():
        for name, value in vars(module).items():
            if name not in REGISTERS and isinstance(value, (list, tuple, dict)):
                inner = value.values() if isinstance(value, dict) else value
                found.extend(part for part in list(inner) if isinstance(part, nn.Module))
    return found


def contents(module: nn.Module) -> list[tuple]:
    """The lists and dicts of a module, its registers of parameters and the like included, with
    what is in them."""
    holders = [v for v in vars(module).values() if isinstance(v, (list, dict))]
    return [(holder, copy.copy(holder)) for holder in holders]
