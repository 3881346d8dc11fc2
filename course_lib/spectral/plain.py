"""Whether a module computes what its class is known to compute.

A module is known by what it does. ``isinstance`` says nothing of it: a subclass may have a
``forward`` of its own, a single module may have had its own patched, hooks may change what comes in
or goes out. Such a module has no rule; it is read by its operations (:mod:`.tracing`) like any
module of the user's own.
"""

import functools
import types

from torch import Tensor, nn
from torch.nn.modules import module as torch_modules
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ..hooks import hooks_of, weight_hooks_of

# what a subclass may define without another computation: how it is made, shown and kept
HARMLESS = {
    "__init__",
    "__repr__",
    "__str__",
    "__setstate__",
    "_get_name",
    "_load_from_state_dict",
    "_save_to_state_dict",
    "extra_repr",
    "reset_parameters",
    "__doc__",
    "__module__",
    "__annotations__",
    "__constants__",
    "__parameters__",
    "__init_subclass__",
}
CALLS = {"__call__", "_call_impl", "_wrapped_call_impl", "__getattr__", "__getattribute__"}


def own_class(module: nn.Module) -> type[nn.Module]:
    """The class of ``module``; of a parametrised one, that from which torch derived its own."""
    kind = type(module)
    return kind.__bases__[0] if parametrize.is_parametrized(module) else kind


@functools.cache
def names_used(base: type[nn.Module]) -> frozenset[str]:
    """All names that the computation of ``base`` goes through: its methods, and what they read."""
    names = set(CALLS)
    for kind in base.__mro__:
        if kind is nn.Module or not issubclass(kind, nn.Module):
            continue
        for name, value in vars(kind).items():
            if name in HARMLESS:
                continue
            value = getattr(value, "__func__", value)
            names.update(value.__code__.co_names if isinstance(value, types.FunctionType) else ())
            if not name.startswith("__"):
                names.add(name)
    return frozenset(names)


@functools.cache
def changed_by_class(kind: type[nn.Module], base: type[nn.Module]) -> str:
    """What a subclass of ``base`` computes in its own way, the name of it; "" if nothing."""
    for between in kind.__mro__[: kind.__mro__.index(base)]:
        for name in vars(between):
            if name in names_used(base) and name not in HARMLESS:
                return name
    return ""


def iterates(module: nn.Module) -> bool:
    """Whether in train mode each forward of ``module`` may change its weights: of parametrisations,
    or of torch's older spectral norm."""
    hooks = module._forward_pre_hooks.values()
    return parametrize.is_parametrized(module) or any(isinstance(h, SpectralNorm) for h in hooks)


def refuse_hooks_of_all() -> None:
    """Raise ValueError if there are hooks that are run for every module there is."""
    registers = ("forward_pre", "forward", "backward_pre", "backward")
    if any(getattr(torch_modules, f"_global_{name}_hooks", None) for name in registers):
        raise ValueError(
            "There are hooks for all modules (register_module_forward_hook or the like), which may "
            "change what the network computes: remove them (handle.remove()) for as long as a "
            "bound is computed."
        )


def difference(module: nn.Module, base: type[nn.Module]) -> str:
    """Why ``module`` need not compute what ``base`` does, as the end of a sentence; "" if it
    does."""
    kind = own_class(module)
    if changed := changed_by_class(kind, base):
        return f"its class {kind.__name__} has its own {changed!r}"
    patched = [name for name in vars(module) if name in names_used(base)]
    patched = [name for name in patched if callable(getattr(base, name, None))]
    if patched:
        return f"its own {patched[0]!r} was set on the module itself"
    if hooks_of(module):
        return "it has forward hooks"
    return ""


def base_of(module: nn.Module, classes) -> type[nn.Module] | None:
    """The class among ``classes`` that ``module`` derives from most closely; None if none."""
    return next((kind for kind in type(module).__mro__ if kind in classes), None)


def is_plain(module: nn.Module, classes) -> bool:
    """Whether ``module`` computes what one of ``classes`` does, which it is or derives from."""
    base = base_of(module, classes)
    return base is not None and not difference(module, base)


def weight_now(layer: nn.Module) -> Tensor:
    """The weight that the next forward of ``layer`` works with, connected to its parameters.

    Of a parametrised layer in train mode as it is now, without the power iteration that the
    forward would do first. Raises TypeError for several of torch's older hooks on one weight.
    """
    if parametrize.is_parametrized(layer, "weight"):
        inner = layer.parametrizations["weight"]
        modes = [(part, part.training) for part in inner.modules()]
        inner.eval()
        try:
            return inner()
        finally:
            for part, mode in modes:
                part.training = mode
    hooks = weight_hooks_of(layer)
    if not hooks:
        return layer.weight
    if len(hooks) > 1:
        raise TypeError(
            f"{layer} has {len(hooks)} hooks of torch's on its weights: use norm_bounds for its "
            "value, or the parametrisations of torch.nn.utils.parametrizations."
        )
    (hook,) = hooks
    if isinstance(hook, SpectralNorm):
        return hook.compute_weight(layer, do_power_iteration=False)
    return hook.compute_weight(layer) if isinstance(hook, WeightNorm) else hook.apply_mask(layer)
