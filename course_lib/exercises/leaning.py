"""Which of a notebook's variables a function leans on, instead of on its arguments."""

import dis
import types

import numpy as np
import torch
from torch import nn


def global_names(code: types.CodeType) -> set[str]:
    """The names that ``code`` and the functions inside it look up as globals."""
    found = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    found |= {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_NAME"}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= global_names(constant)
    return found


def leans_on(function, seen: set | None = None) -> dict[str, object]:
    """Name -> value of the global tensors, arrays, data sets and networks that it uses.

    Helpers of the same notebook are looked into; modules, functions, classes and numbers are fine.
    """
    code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    seen = set() if seen is None else seen
    if code is None or code in seen:
        return {}
    seen.add(code)
    found = {}
    for name in sorted(global_names(code) & set(names)):
        value = names[name]
        if kind(value):
            found[name] = value
        elif isinstance(value, types.FunctionType) and value.__globals__ is names:
            found |= leans_on(value, seen)
    return found


def kind(value) -> str:
    """ "numbers", "network" or "data"; nothing for what a function may use as a global."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return "numbers"
    if isinstance(value, nn.Module):
        return "network"
    data = isinstance(value, torch.utils.data.Dataset | torch.utils.data.DataLoader)
    looks_like_data = not isinstance(value, type | types.ModuleType) and (
        hasattr(value, "images") and hasattr(value, "labels")
    )
    return "data" if data or looks_like_data else ""


def argument_like(value, arguments: dict) -> str | None:
    """The name of the argument that ``value`` was probably meant to be."""
    if kind(value) == "data":
        value = getattr(value, "images", None)
    same_kind = [n for n, a in arguments.items() if kind(a) and kind(a) == kind(value)]

    def likeness(name):
        argument = arguments[name]
        if kind(value) != "numbers":
            return 0
        return (argument.ndim == value.ndim) + (tuple(argument.shape[1:]) == tuple(value.shape[1:]))

    return max(same_kind, key=likeness, default=None)


def sentence(leaning: dict, arguments: dict) -> str:
    """What is said about the globals in ``leaning``; nothing if there are none."""
    if not leaning:
        return ""
    name, value = next(iter(leaning.items()))
    meant = argument_like(value, arguments)
    ask = f"did you mean its argument `{meant}`?" if meant else "pass it as an argument."
    return f"Your function uses the notebook's variable `{name}`, not only its arguments: {ask}"
