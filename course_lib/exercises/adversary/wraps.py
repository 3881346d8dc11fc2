"""Wrong answers made round a solution: its arguments or its results tampered with.

A kind takes an exercise and yields pairs (what is changed, the changed function).
"""

import contextlib
import copy
import inspect
import math
from collections.abc import Callable, Iterator

import torch
from torch import nn

from .. import sources
from ..exercise import Exercise

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


def solution(exercise: Exercise) -> Callable:
    """The solution as a learner would have it: the course's own code is recognised when it runs."""
    return sources.own_copy(exercise.solution())


def with_argument(exercise: Exercise, name: str, change: Callable) -> Callable:
    """The solution, given ``change(value)`` for the argument ``name``."""
    right, signature = solution(exercise), exercise.signature()

    def answer(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        return right(**{**given, name: change(given.get(name))})

    return answer


def with_arguments(exercise: Exercise, change: Callable) -> Callable:
    """The solution, given ``change(value)`` for every argument."""
    right = solution(exercise)

    def answer(*args, **kwargs):
        return right(*map(change, args), **{name: change(v) for name, v in kwargs.items()})

    return answer


def with_result(exercise: Exercise, change: Callable) -> Callable:
    """The solution, and ``change`` made to what it returns."""
    right = solution(exercise)
    return lambda *args, **kwargs: change(right(*args, **kwargs))


def inside(exercise: Exercise, *patches: Callable) -> Callable:
    """The solution, run within the context managers that ``patches`` make."""
    right = solution(exercise)

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
            right, signature = solution(exercise), exercise.signature()

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

    yield "results", with_result(exercise, lambda result: each(result, repeated))
    for name, value in first_arguments(exercise).items():
        if isinstance(value, torch.Tensor) and value.ndim and name not in exercise.may_change:
            yield f"argument {name}", with_argument(exercise, name, repeated)


def each(value, change: Callable):
    """``change`` made to every tensor in ``value``, of whatever type."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in (tuple, list):
        return type(value)(each(part, change) for part in value)
    return value


@kind("batch averaged", "Gives every image the mean of the batch.")
def batch_averaged(exercise) -> Made:
    def averaged(value):
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim:
            return value.mean(0, keepdim=True).expand_as(value).clone()
        return value

    yield "results", with_result(exercise, lambda result: each(result, averaged))


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


@kind("constant", "Returns a constant of the right shape.")
def constant(exercise) -> Made:
    for number in (0.0, 1.0):
        yield (
            f"all {number:g}",
            with_result(exercise, lambda r, n=number: mapped(r, lambda x: torch.full_like(x, n))),
        )
    seen = []
    for case in exercise.draw():
        result = solution(exercise)(*case.args, **case.kwargs)
        if isinstance(result, str | bool | int) and result not in seen:
            seen.append(result)
    for value in seen[:6]:
        yield repr(value), with_result(exercise, lambda r, v=value: v)


@kind("rounded result", "Rounds the result to three decimals.")
def rounded_result(exercise) -> Made:
    yield "3 decimals", with_result(exercise, lambda r: mapped(r, lambda x: x.round(decimals=3)))


@kind("reversed result", "Gives the results in the reversed order.")
def reversed_result(exercise) -> Made:
    yield "rows", with_result(exercise, lambda r: each(r, lambda x: x.flip(0) if x.ndim else x))
    yield (
        "parts",
        with_result(exercise, lambda r: r[::-1] if type(r) in (tuple, list) else math.nan),
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
        yield what, with_result(exercise, lambda r, f=change: each(r, f))


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
