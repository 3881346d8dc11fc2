"""Where does an answer that passes differ from the solution? Inputs that the cases do not have.

Made from the cases: larger, smaller, equal, empty of variety, one row, every row twice. Some may
lie outside of what the exercise promises: whoever reads the witness decides.
"""

import copy
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

import torch
from torch import nn

from .. import running, trials
from ..exercise import Exercise
from ..running import Case

FACTORS = (1000.0, 30.0, 0.03, 1e-4, -1.0)
INPUTS = 200  # variations that are tried; fewer where the solution is slow
FEWER = {"chance-purity": 3, "solve-for-c": 20, "rotated-network": 30, "equivalence-verdict": 25}
SLOW = 3.0  # seconds: inputs on which the solution takes longer are left out


def _scaled(value, factor: float):
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.detach() * factor
    if isinstance(value, float):
        return value * factor if 0.01 < factor < 100 else None
    if type(value) in (list, tuple):
        return type(value)(_scaled(part, factor) for part in value)
    if isinstance(value, nn.Module):
        value = copy.deepcopy(value)
        with torch.no_grad():
            for parameter in value.parameters():
                parameter.mul_(factor)
        return value
    return None


def _range(values: list) -> tuple[float, float]:
    """The smallest and the largest number in ``values``: what the cases keep to, others do too."""
    numbers = [0.5]
    for value in values:
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel():
            known = value.detach()[~value.isnan()]
            numbers += [float(known.min()), float(known.max())] if known.numel() else []
        elif isinstance(value, float):
            numbers.append(value)
    return min(numbers), max(numbers)


def _others(value, low: float, high: float) -> Iterator[tuple[str, object]]:
    """What an argument could be instead, each with a word for it.

    low, high: of the cases; where all lie in [0, 1], or none is negative, it stays so.
    """
    for factor in FACTORS:
        scaled = _scaled(value, factor)
        outside = (factor < 0 and low >= 0) or (factor > 1 and low >= 0 and high <= 1)
        if scaled is not None and not (outside and not isinstance(value, nn.Module)):
            yield f"times {factor:g}", scaled
    if isinstance(value, torch.Tensor) and value.ndim:
        if value.is_floating_point():
            if high > 1 or low < 0:
                yield "plus 1000", value.detach() + 1000
            yield "rounded", value.detach().round(decimals=1)
            yield "all rows the first", value.detach()[:1].expand_as(value).clone()
        if value.dtype == torch.bool:
            yield "not", ~value
            yield "all", torch.ones_like(value)
            yield "none", torch.zeros_like(value)
        yield "rolled", value.detach().roll(1, 0)
        if value.ndim > 1:
            yield "columns rolled", value.detach().roll(1, -1)
    if isinstance(value, nn.Module):
        yield "inside another", nn.Sequential(copy.deepcopy(value))
    if isinstance(value, list) and len(value) > 1:
        yield "reversed", value[::-1]
        yield "twice", [*value, *value]
        yield "the first half", value[: len(value) // 2]
    if isinstance(value, int) and not isinstance(value, bool):
        yield "one more", value + 1
        yield "one less", value - 1
    if isinstance(value, bool):
        yield "not", not value


def fresh(case: Case) -> Case:
    """A copy of ``case`` that nothing done to the other one can reach."""

    def copied(value):
        if isinstance(value, torch.Generator):
            return value.clone_state()
        return value if callable(value) and not isinstance(value, nn.Module) else _copy(value)

    args = [copied(value) for value in case.args]
    return Case(case.label, *args, **{name: copied(v) for name, v in case.kwargs.items()})


def _copy(value):
    try:
        return copy.deepcopy(value)
    except (RuntimeError, TypeError):  # what has a history, or cannot be copied
        return value


def inputs(exercise: Exercise) -> list[Case]:
    """The cases, and variations of them, as many as there is time for."""
    most = FEWER.get(exercise.slug, INPUTS)
    return [*exercise.draw(), *itertools.islice(_variations(exercise), most)]


def _variations(exercise: Exercise) -> Iterator[Case]:
    """Variations of the three largest cases, and of the first two, which may be special."""
    signature = exercise.signature()
    cases = exercise.draw()
    named = [case.named(signature) for case in cases]
    ranges = {name: _range([n[name] for n in named if name in n]) for n in named for name in n}
    for case in dict.fromkeys([*sorted(cases, key=lambda case: -case.size)[:3], *cases[:2]]):
        arguments = case.named(signature)
        for name, value in arguments.items():
            for word, other in _others(value, *ranges[name]):
                yield Case(f"{case.label}, {name} {word}", **{**arguments, name: other})
        tensors = [v for v in arguments.values() if isinstance(v, torch.Tensor) and v.ndim]
        n = len(tensors[0]) if tensors else 0
        for word, change in (("one row", _one_row), ("more rows", _more_rows)):
            if n:
                given = {
                    name: change(v.detach())
                    if isinstance(v, torch.Tensor) and v.ndim and len(v) == n
                    else v
                    for name, v in arguments.items()
                }
                yield Case(f"{case.label}, {word}", **given)


def _one_row(rows: torch.Tensor) -> torch.Tensor:
    return rows[:1]


def _more_rows(rows: torch.Tensor) -> torch.Tensor:
    """Every row again, turned round, if it is one of floating-point numbers."""
    others = rows.flip(-1) if rows.is_floating_point() and rows.ndim > 1 else rows
    return torch.cat([rows, others])


@functools.lru_cache(maxsize=2)
def _wanted(exercise: Exercise) -> list[tuple[Case, running.Outcome, float]]:
    """The inputs, what the solution gives, and the seconds that it took.

    Without those that it fails on or is slow for.
    """
    plain, found = dataclasses.replace(exercise, observe=None), []
    for case in inputs(exercise):
        watch = running.Stopwatch()
        try:
            with running.time_limit(SLOW):
                want = running.call(
                    exercise.solution(), fresh(case), fresh(case), plain, exercise.signature()
                )
        except running.TimeIsUp:
            continue
        if not want.error:
            found.append((case, want, watch.computed()))
    return found


def witness(exercise: Exercise, answer: Callable, seconds: float) -> str:
    """The label of an input on which ``answer`` gives another result than the solution; else ""."""
    plain, signature = dataclasses.replace(exercise, observe=None), exercise.signature()
    for case, want, own in _wanted(exercise):
        try:  # on a machine that is slow for both, slow is no difference
            with running.time_limit(max(seconds, trials.SLOWER * own)):
                got = running.call(answer, fresh(case), fresh(case), plain, signature)
        except running.TimeIsUp:
            return case.label
        if running.disagreement(got, want, exercise.rtol, exercise.atol) or got.changed:
            return case.label
    return ""
