"""Wrong answers that one result does not show: memory, networks, random numbers, histories.

Kinds as those of :mod:`.wraps`, which they are added to.
"""

import copy
from unittest import mock

import torch
from torch import nn

from .wraps import Made, each, first_arguments, inside, kind, solution, with_argument, with_result

# what these do is not seen in the result of one call: no input need tell them from the solution
UNSEEN = {"history", "one buffer", "first result kept", "traces left", "argument changed"}
UNSEEN |= {"generator set back"}

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


@kind("first result kept", "Remembers a result and returns it in later calls.")
def first_result_kept(exercise) -> Made:
    right = solution(exercise)

    kept = []

    def answer(*args, **kwargs):
        if not kept:
            kept.append(right(*args, **kwargs))
        return kept[0]

    answer.__signature__ = exercise.signature()
    yield "for ever", answer


def _holds_tensors(exercise) -> bool:
    """Whether any of the results is made of tensors that have no history."""
    found = []
    for case in exercise.draw():
        result = exercise.solution()(*case.args, **case.kwargs)
        each(result, lambda x: found.append(not x.requires_grad))
    return any(found)


@kind("one buffer", "Returns the same memory in every call: a later call overwrites its result.")
def one_buffer(exercise) -> Made:
    if not _holds_tensors(exercise):  # a number or a text is nobody's memory
        return
    kept = {}

    def buffered(value):
        if not isinstance(value, torch.Tensor) or value.requires_grad:
            return value
        key = value.shape, value.dtype
        kept.setdefault(key, value.clone()).copy_(value)
        return kept[key]

    yield "results", with_result(exercise, lambda result: each(result, buffered))


@kind("history", "Returns results that carry autograd's history.")
def history(exercise) -> Made:
    if exercise.gradients or not _holds_tensors(exercise):
        return
    yield (
        "results",
        with_result(
            exercise,
            lambda r: each(
                r,
                lambda x: (
                    x + torch.zeros((), requires_grad=True).to(x) if x.is_floating_point() else x
                ),
            ),
        ),
    )


@kind("argument changed", "Changes an argument, or what is inside of it, in place.")
def argument_changed(exercise) -> Made:
    for name, value in first_arguments(exercise).items():
        if name in exercise.may_change:
            continue

        right = solution(exercise)

        def after(*args, name=name, right=right, **kwargs):
            result = right(*args, **kwargs)
            given = exercise.signature().bind(*args, **kwargs).arguments
            with torch.no_grad():
                _spoil(given[name])
            return result

        no_data = callable(value) and not isinstance(value, nn.Module)
        if not no_data and _spoil(copy.deepcopy(value)):
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
