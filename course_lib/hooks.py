"""The hooks of a module that may change what it computes."""

from torch import nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

# hooks before the forward that only work out a weight, by torch itself
WEIGHT_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)


def weight_hook(hook) -> bool:
    """Whether a hook is one of torch's that only work out a weight, and not changed itself."""
    return any(
        isinstance(hook, kind) and type(hook).__call__ is kind.__call__ for kind in WEIGHT_HOOKS
    )


def weight_hooks_of(module: nn.Module) -> list:
    """Torch's hooks that work out weights of ``module`` before each forward."""
    return [hook for hook in _register(module, "_forward_pre_hooks") if weight_hook(hook)]


def hooks_of(module: nn.Module) -> list:
    """The hooks that may change what ``module`` computes, but for those of its weights."""
    before = [hook for hook in _register(module, "_forward_pre_hooks") if not weight_hook(hook)]
    return [*before, *_register(module, "_forward_hooks")]


def gradient_hooks_of(module: nn.Module) -> list:
    """The hooks that may change the gradients that go through ``module``."""
    return [*_register(module, "_backward_hooks"), *_register(module, "_backward_pre_hooks")]


def _register(module: nn.Module, name: str) -> list:
    return list((vars(module).get(name) or {}).values())
