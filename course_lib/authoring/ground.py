"""The ground that an exercise stands on: what must hold before any of its answers is judged.

Its card, its cases, and that its solution and its oracle give something on each of these.
"""

import contextlib
import inspect
import re
from collections.abc import Iterable

import numpy as np
import torch

from ..exercises import exercise as kind
from ..exercises import running, trials
from ..exercises.comparing import difference, snapshot
from ..exercises.exercise import Exercise, Mistake, place
from ..exercises.judging import bare
from ..exercises.running import Case
from .cards import card, short
from .spots import one_line, place_of, spot

AS = 'yield Case("two images", images)'


def cases(exercise: Exercise) -> list[str]:
    """What is wrong with the cases, as far as it can be said without the solution's results."""
    slug, make = exercise.slug, exercise.cases
    here = place_of(make, exercise)
    with contextlib.suppress(TypeError, ValueError):
        signature = inspect.signature(make)
        if not _fits(signature, (None,), {}):
            takes = f"takes {bare(signature)}"
            return [
                f"{here}: cases of {slug!r} {takes}, but is called with one argument, the seeded "
                "generator: def cases(rng)."
            ]
    with running.undisturbed(kind.SEED):
        try:
            drawn = make(torch.Generator().manual_seed(kind.SEED))
            if drawn is None:
                return [f"{here}: cases of {slug!r} returns nothing: write {AS}."]
            if isinstance(drawn, Case) or not hasattr(drawn, "__iter__"):
                what = type(drawn).__name__
                text = f"cases of {slug!r} returns one {what}, not a series of them: write {AS}."
                return [f"{here}: {text}"]
            return _drawn(exercise, drawn, here)
        except Exception as error:  # whatever an author's code raises
            at = spot(error, exercise)
            return [
                f"{here if at == exercise.where else at}: the cases of {slug!r} stop with "
                f"{one_line(trials.short(error))} None was judged."
            ]


def _drawn(exercise: Exercise, drawn: Iterable, here: str) -> list[str]:
    slug, found, labels = exercise.slug, [], {}
    function, signature = exercise.function, exercise.signature()
    number = 0
    for number, case in enumerate(drawn, 1):
        frame = getattr(drawn, "gi_frame", None)  # a generator stands at its yield
        where = place(frame.f_code.co_filename, frame.f_lineno) if frame else here
        if not isinstance(case, Case):
            what = type(case).__name__
            found.append(
                f"{where}: cases of {slug!r} yields a {what} where a Case is asked: write {AS}."
            )
            break
        label = case.label
        if not isinstance(label, str) or not label.strip():
            found.append(
                f"{where}: case {number} of {slug!r} has no label: the first argument of Case is a "
                f"text that the learner reads, as {AS}; here it is {_a(label)}."
            )
            continue
        if label in labels:
            found.append(
                f"{where}: two cases of {slug!r} are called {label!r} (the other in "
                f"{labels[label]}): rename one."
            )
        labels.setdefault(label, where)
        if signature and not _fits(signature, case.args, case.kwargs):
            given = ", ".join([*map(_a, case.args), *case.kwargs])
            found.append(
                f"{where}: the case {label!r} of {slug!r} gives ({given}), but the stub is "
                f"{function}{bare(signature)}: give it the same arguments."
            )
    if not number:
        found.append(f"{here}: cases of {slug!r} yields no case: write {AS}.")
    return found


def edits(exercise: Exercise, mistakes: Iterable[Mistake]) -> list[str]:
    """Which of ``mistakes`` are edits that do not fit the solution."""
    found = []
    for wrong in mistakes:
        told = f"{wrong.where or exercise.where}: the mistake {wrong.name!r} of {exercise.slug!r}:"
        try:
            exercise.wrong_answer(wrong)
        except SyntaxError as error:
            found.append(f"{told} with its edits the solution is no Python: {error.msg}.")
        except ValueError as error:
            found.append(f"{told} {error}")
        except Exception as error:  # what runs when a function is defined: its defaults
            found.append(f"{told} its edits make a solution that stops with {one_line(error)}")
    return found


def _same(exercise: Exercise) -> list[str]:
    """The cases must be the same each time: every answer is given its own."""
    for one, two in zip(exercise.draw("cpu"), exercise.draw("cpu"), strict=False):
        pairs = zip(
            [*one.args, *one.kwargs.values()], [*two.args, *two.kwargs.values()], strict=False
        )
        kinds = torch.Tensor | np.ndarray | torch.nn.Module
        if any(
            difference(snapshot(a), snapshot(b), 0, 0) for a, b in pairs if isinstance(a, kinds)
        ):
            return [
                f"{place_of(exercise.cases, exercise)}: the case {one.label!r} of "
                f"{exercise.slug!r} is another each time: draw all its numbers from rng."
            ]
    return []


def _fits(signature: inspect.Signature, args, kwargs) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _a(value) -> str:
    """A value by its kind, as a Tensor of shape (2, 3)."""
    if isinstance(value, str | int | float) or value is None:
        return short(value)
    shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
    return f"a {type(value).__name__}{shape}"


def groundwork(exercise: Exercise) -> list[str]:
    """What is wrong with the exercise before any answer is judged: then nothing else is asked."""
    found = [f"{where}: {sentence}" for where, sentence in card(exercise)]
    if found:
        return found
    try:
        exercise.solution()
    except LookupError as error:
        return [f"{exercise.where}: {error.args[0]}"]
    except Exception as error:  # the references are imported: an author's code
        at = spot(error, exercise)
        name = f"{exercise.lesson:02d}" if exercise.lesson is not None else ""
        text = f"the solutions of lesson {name} do not load: {one_line(trials.short(error))}"
        return [f"{at}: {text} Mend the lesson's source and run 'course build {name}'."]
    found = edits(exercise, exercise.mistakes)  # the engine makes all of them for any answer
    return found or cases(exercise) or _same(exercise) or _arguments(exercise) or _runs(exercise)


def _arguments(exercise: Exercise) -> list[str]:
    """The oracle is called as the stub is; what is named by name are arguments of the stub."""
    signature, slug = exercise.signature(), exercise.slug
    if signature is None:
        return []
    stub, found = f"{exercise.function}{bare(signature)}", []
    for name in ("gradients", "may_change"):
        found += [
            f"{exercise.where}: {name} of {slug!r} names {wrong!r}, which is no argument of {stub}."
            for wrong in getattr(exercise, name)
            if wrong not in signature.parameters
        ]
    if not exercise.oracle:
        return found
    with contextlib.suppress(TypeError, ValueError):  # a builtin has no signature
        theirs = inspect.signature(exercise.oracle)
        if not all(_fits(theirs, case.args, case.kwargs) for case in exercise.draw("cpu")):
            found.append(
                f"{place_of(exercise.oracle, exercise)}: the oracle of {slug!r} takes "
                f"{bare(theirs)}, but it is called as the stub is, {stub}: give it the same."
            )
    return found


def _runs(exercise: Exercise) -> list[str]:
    """Whether the solution and the oracle give something on every case."""
    slug = exercise.slug
    try:
        outcomes = trials.of_the_course(exercise)
    except Exception as error:  # the solution's, the oracle's or that of what is observed
        cause = error.__cause__ or error
        at, told = spot(cause, exercise), one_line(trials.short(cause))
        if error.__cause__:
            said = f"the solution of {slug!r} stops{_on(error)} with {told}"
            return [f"{at}: {said} Mend the solution, or what the case gives it."]
        return [f"{at}: the oracle of {slug!r} stops with {told} It is called as the stub is."]
    nothing = [o.oracle is None and not o.returned_none for o in outcomes]
    if exercise.oracle and not exercise.observe and all(nothing):
        here = place_of(exercise.oracle, exercise)
        return [f"{here}: the oracle of {slug!r} returns nothing (None): is there a `return`?"]
    return []


def _on(error: Exception) -> str:
    found = re.search(r"fails on ('.*')", str(error))
    return f" on {found[1]}" if found else ""
