"""Wrong answers made round a solution: its arguments or its results tampered with.

A kind takes an exercise and yields pairs (what is changed, the changed function).
"""

import contextlib
import copy
import inspect
import math
from collections.abc import Callable, Iterator
from unittest import mock

import torch
from torch import nn

from . import sources
from .exercise import Exercise

Made = Iterator[tuple[str, Callable]]
KINDS: dict[str, tuple[str, Callable[[Exercise], Made]]] = {}


def kind(name: str, sentence: str):
    """Register a function of an exercise under ``name``, with a sentence that says what it does."""

    def add(function):
        KINDS[name] = sentence, function
        return function

    return add


# --- pieces ----------------------------------------------------------------------------------


def mapped(value, change: Callable):
    """``value`` with ``change`` made to every floating-point tensor and every float in it."""
    if isinstance(value, torch.Tensor):
        return change(value) if value.is_floating_point() else value
    if isinstance(value, float):
        return float(change(torch.tensor(value, dtype=torch.float64)))
    if type(value) in (tuple, list):
        return type(value)(mapped(part, change) for part in value)
    if isinstance(value, dict):
        return {name: mapped(part, change) for name, part in value.items()}
    return value


def with_argument(exercise: Exercise, name: str, change: Callable) -> Callable:
    """The solution, given ``change(value)`` for the argument ``name``."""
    right, signature = exercise.solution(), exercise.signature()

    def answer(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        return right(**{**given, name: change(given.get(name))})

    return answer


def with_arguments(exercise: Exercise, change: Callable) -> Callable:
    """The solution, given ``change(value)`` for every argument."""
    right = exercise.solution()

    def answer(*args, **kwargs):
        return right(*map(change, args), **{name: change(v) for name, v in kwargs.items()})

    return answer


def with_result(exercise: Exercise, change: Callable) -> Callable:
    """The solution, and ``change`` made to what it returns."""
    right = exercise.solution()
    return lambda *args, **kwargs: change(right(*args, **kwargs))


def inside(exercise: Exercise, *patches: Callable) -> Callable:
    """The solution, run within the context managers that ``patches`` make."""
    right = exercise.solution()

    def answer(*args, **kwargs):
        with contextlib.ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch())
            return right(*args, **kwargs)

    return answer


def first_arguments(exercise: Exercise) -> dict:
    return exercise.draw()[0].named(exercise.signature())


# --- arguments -------------------------------------------------------------------------------


@kind("argument ignored", "Takes the default, the first case's or a constant for an argument.")
def argument_ignored(exercise) -> Made:
    first = first_arguments(exercise)
    for name, parameter in exercise.signature().parameters.items():
        if name in exercise.may_change:
            continue
        if parameter.default is not inspect.Parameter.empty:
            default = parameter.default
            yield (
                f"{name} is always {default!r}",
                with_argument(exercise, name, lambda _, default=default: default),
            )
        if name in first:
            kept = copy.deepcopy(first[name]) if not callable(first[name]) else first[name]
            yield (
                f"{name} is always the first case's",
                with_argument(exercise, name, lambda _, kept=kept: kept),
            )
        value = first.get(name, parameter.default)
        if isinstance(value, torch.Tensor):
            for constant in (0, 1):
                yield (
                    f"{name} is all {constant}",
                    with_argument(exercise, name, lambda v, c=constant: torch.full_like(v, c)),
                )
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{name} is always 1", with_argument(exercise, name, lambda _: 1)


@kind("other default", "Has another default in the signature.")
def other_default(exercise) -> Made:
    for name, parameter in exercise.signature().parameters.items():
        default = parameter.default
        if default is inspect.Parameter.empty or not isinstance(default, int | float):
            continue
        others = [not default] if isinstance(default, bool) else [default + 1, 3 * default + 2]
        for other in others:
            right, signature = exercise.solution(), exercise.signature()

            def answer(*args, right=right, signature=signature, name=name, other=other, **kwargs):
                return right(**{name: other, **signature.bind(*args, **kwargs).arguments})

            answer.__signature__ = signature
            yield f"{name}={other}", answer


@kind("narrow arguments", "Rounds every argument to a narrower floating-point type.")
def narrow_arguments(exercise) -> Made:
    for dtype in (torch.float16, torch.float32):

        def rounded(value, dtype=dtype):
            return mapped(value, lambda x: x.to(dtype).to(x.dtype))

        yield str(dtype), with_arguments(exercise, rounded)


@kind("first row only", "Computes the first image, row or case, and repeats it for the others.")
def first_row_only(exercise) -> Made:
    def repeated(value):
        if isinstance(value, torch.Tensor) and value.ndim and len(value):
            return value[:1].expand_as(value).clone()
        return value

    yield "results", with_result(exercise, lambda result: _each(result, repeated))
    for name, value in first_arguments(exercise).items():
        if isinstance(value, torch.Tensor) and value.ndim and name not in exercise.may_change:
            yield f"argument {name}", with_argument(exercise, name, repeated)


def _each(value, change: Callable):
    """``change`` made to every tensor in ``value``, of whatever type."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in (tuple, list):
        return type(value)(_each(part, change) for part in value)
    return value


@kind("batch averaged", "Gives every image the mean of the batch.")
def batch_averaged(exercise) -> Made:
    def averaged(value):
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim:
            return value.mean(0, keepdim=True).expand_as(value).clone()
        return value

    yield "results", with_result(exercise, lambda result: _each(result, averaged))


@kind("NaN made a number", "Replaces NaN and infinite numbers of arguments or results by finite.")
def nan_made_a_number(exercise) -> Made:
    def finite(value):
        return mapped(value, torch.nan_to_num)

    yield "arguments", with_arguments(exercise, finite)
    yield "results", with_result(exercise, finite)
    yield (
        "infinite to 0",
        with_result(exercise, lambda r: mapped(r, lambda x: x.nan_to_num(0, 0, 0))),
    )


# --- random numbers and networks -------------------------------------------------------------

DRAWS = ("rand", "randn", "randint", "randperm", "normal", "bernoulli")


@kind("one draw for all", "Draws once and uses that for the whole batch, or in every round.")
def one_draw_for_all(exercise) -> Made:
    if not any(isinstance(v, torch.Generator) for v in first_arguments(exercise).values()):
        return

    def shared(draw):
        def drawn(*args, **kwargs):
            found = draw(*args, **kwargs)
            return found[:1].expand_as(found).clone() if found.ndim > 1 else found

        return drawn

    def once(draw):
        kept = {}

        def drawn(*args, **kwargs):
            key = repr(args)
            if key not in kept:
                kept[key] = draw(*args, **kwargs)
            return kept[key].clone()

        return drawn

    for what, change in (("over the batch", shared), ("in every round", once)):
        patches = [
            lambda name=name, change=change: mock.patch.object(
                torch, name, change(getattr(torch, name))
            )
            for name in DRAWS
        ]
        yield what, inside(exercise, *patches)


@kind("generator set back", "Leaves the generator as it was, or seeds it anew in each call.")
def generator_set_back(exercise) -> Made:
    for name, value in first_arguments(exercise).items():
        if isinstance(value, torch.Generator):
            yield f"a copy of {name}", with_argument(exercise, name, torch.Generator.clone_state)
            yield f"{name} seeded anew", with_argument(exercise, name, lambda g: g.manual_seed(0))


@kind("layers looked for in vain", "Helpers see the network's own layers alone, or the first.")
def layers_in_vain(exercise) -> Made:
    if not any(isinstance(v, nn.Module) for v in first_arguments(exercise).values()):
        return
    names = {
        "children for modules": ("modules", nn.Module.children),
        "the last parameter left out": (
            "parameters",
            lambda self, r=True, all_of=nn.Module.parameters: iter(list(all_of(self, r))[:-1]),
        ),
    }
    for what, (name, other) in names.items():
        patch = lambda name=name, other=other: mock.patch.object(nn.Module, name, other)  # noqa: E731
        yield what, inside(exercise, patch)


@kind("traces left", "Leaves gradients, another mode or another requires_grad in a network.")
def traces_left(exercise) -> Made:
    for name, value in first_arguments(exercise).items():
        if not isinstance(value, nn.Module) or name in exercise.may_change:
            continue

        def with_gradients(net):
            for parameter in net.parameters():
                parameter.grad = torch.ones_like(parameter)
            return net

        def fixed(net):
            for parameter in net.parameters():
                parameter.requires_grad_(not parameter.requires_grad)
            return net

        yield f"gradients in {name}", with_argument(exercise, name, with_gradients)
        other = lambda net: net.train(not net.training)  # noqa: E731
        yield f"another mode of {name}", with_argument(exercise, name, other)
        yield f"requires_grad of {name}", with_argument(exercise, name, fixed)


# --- results ---------------------------------------------------------------------------------


@kind("overflow in the middle", "Takes a detour that over- or underflows and else comes back.")
def overflow_in_the_middle(exercise) -> Made:
    detours = {
        "exp(log(x))": lambda x: x.log().exp(),
        "sqrt(x²)": lambda x: x.square().sqrt() * x.sign(),
        "1 / (1 / x)": lambda x: 1 / (1 / x),
        "x + 1000 - 1000": lambda x: x + 1000 - 1000,
    }
    if "log" in exercise.function or ".log" in sources.source(exercise.solution()):
        detours["log(exp(x))"] = lambda x: x.exp().log()
    for text, detour in detours.items():
        yield text, with_result(exercise, lambda r, f=detour: mapped(r, f))


@kind("first result kept", "Remembers a result and returns it in later calls.")
def first_result_kept(exercise) -> Made:
    right = exercise.solution()

    kept = []

    def answer(*args, **kwargs):
        if not kept:
            kept.append(right(*args, **kwargs))
        return kept[0]

    answer.__signature__ = exercise.signature()
    yield "for ever", answer


@kind("one buffer", "Returns the same memory in every call: a later call overwrites its result.")
def one_buffer(exercise) -> Made:
    kept = {}

    def buffered(value):
        if not isinstance(value, torch.Tensor) or value.requires_grad:
            return value
        key = value.shape, value.dtype
        kept.setdefault(key, value.clone()).copy_(value)
        return kept[key]

    yield "results", with_result(exercise, lambda result: _each(result, buffered))


@kind("constant", "Returns a constant of the right shape.")
def constant(exercise) -> Made:
    for number in (0.0, 1.0):
        yield (
            f"all {number:g}",
            with_result(exercise, lambda r, n=number: mapped(r, lambda x: torch.full_like(x, n))),
        )
    seen = []
    for case in exercise.draw():
        result = exercise.solution()(*case.args, **case.kwargs)
        if isinstance(result, str | bool | int) and result not in seen:
            seen.append(result)
    for value in seen[:6]:
        yield repr(value), with_result(exercise, lambda r, v=value: v)


@kind("rounded result", "Rounds the result to three decimals.")
def rounded_result(exercise) -> Made:
    yield "3 decimals", with_result(exercise, lambda r: mapped(r, lambda x: x.round(decimals=3)))


@kind("reversed result", "Gives the results in the reversed order.")
def reversed_result(exercise) -> Made:
    yield "rows", with_result(exercise, lambda r: _each(r, lambda x: x.flip(0) if x.ndim else x))
    yield (
        "parts",
        with_result(exercise, lambda r: r[::-1] if type(r) in (tuple, list) else math.nan),
    )


@kind("history", "Returns results that carry autograd's history.")
def history(exercise) -> Made:
    if exercise.gradients:
        return
    yield (
        "results",
        with_result(
            exercise,
            lambda r: _each(
                r,
                lambda x: (
                    x + torch.zeros((), requires_grad=True).to(x) if x.is_floating_point() else x
                ),
            ),
        ),
    )


@kind("gradient lost", "Has the right values, and no gradient or another one.")
def gradient_lost(exercise) -> Made:
    if not exercise.gradients:
        return
    changes = {
        "detached": lambda x: x.detach(),
        "half of it": lambda x: x.detach() / 2 + x / 2,
        "a copy": lambda x: x.detach().clone().requires_grad_(),
    }
    for what, change in changes.items():
        yield what, with_result(exercise, lambda r, f=change: _each(r, f))


@kind("argument changed", "Changes an argument, or what is inside of it, in place.")
def argument_changed(exercise) -> Made:
    for name, value in first_arguments(exercise).items():
        if name in exercise.may_change:
            continue

        def after(*args, name=name, **kwargs):
            result = exercise.solution()(*args, **kwargs)
            given = exercise.signature().bind(*args, **kwargs).arguments
            with torch.no_grad():
                _spoil(given[name])
            return result

        if _spoil(copy.deepcopy(value) if not callable(value) else None):
            after.__signature__ = exercise.signature()
            yield name, after
        if isinstance(value, list) and value:
            reverse = lambda v: v.reverse() or v[::-1]  # noqa: E731
            yield f"{name} turned round", with_argument(exercise, name, reverse)


def _spoil(value) -> bool:
    """Change the last number that ``value`` holds; whether there is one."""
    if isinstance(value, torch.Tensor) and value.numel():
        flat = value.view(-1) if value.is_contiguous() else value.T.reshape(-1)
        flat[-1] = ~flat[-1] if value.dtype == torch.bool else flat[-1] + 1
        return True
    if isinstance(value, nn.Module):
        return any(_spoil(p.data) for p in list(value.parameters())[-1:])
    if isinstance(value, dict):
        return any(_spoil(part) for part in list(value.values())[-1:])
    return isinstance(value, list | tuple) and any(_spoil(part) for part in list(value)[-1:])


def in_double(function: Callable) -> Callable:
    """``function``, given every number, tensor and network of its arguments in double precision."""

    def wide(value):
        if isinstance(value, nn.Module):
            return copy.deepcopy(value).double()
        return mapped(value, torch.Tensor.double)

    def answer(*args, **kwargs):
        return function(*map(wide, args), **{name: wide(v) for name, v in kwargs.items()})

    answer.__signature__ = inspect.signature(function)
    return answer
