"""An answer tried on the cases of its exercise, and beside it the right answer and the mistakes."""

import contextlib
import dataclasses
import functools
import io
import sys
import warnings
from collections.abc import Callable, Iterable

import numpy as np
import torch

from .. import device as devices
from . import running, sources
from .comparing import Array, snapshot, told_by
from .exercise import Exercise, Mistake, core
from .running import Outcome, disagreement
from .tensors import stacked

SLOWER = 10  # than the course's version an answer may be, on a machine that is slow for both


def limit(exercise: Exercise, seconds: float | None = None) -> float:
    """Seconds of processor time that an answer gets: more than asked for on a slow machine.

    seconds: what is asked for; None: the exercise's.
    """
    least = exercise.time_limit if seconds is None else seconds
    return max(least, SLOWER * _reference(exercise, str(devices.pick()))[1])


class Calls:
    """Inside: which of ``functions`` are called, by whatever name, seen by their code.

    switched_off: at the end something else profiled, and calls may have gone unseen.
    """

    def __init__(self, functions: Iterable[Callable]):
        self.codes = {core(function): function for function in functions}
        self.seen: list[Callable] = []
        self.switched_off = False

    def __enter__(self):
        self.before = sys.getprofile()
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_):
        self.switched_off = sys.getprofile() != self._look
        running.profile_again(self.before)

    def _look(self, frame, event, arg):
        if event == "call" and frame.f_code in self.codes:
            self.seen.append(self.codes[frame.f_code])


def outcomes(exercise: Exercise, function: Callable, seconds: float | None = None):
    """What ``function`` gives on each case, and whether the time ran out before the last one."""
    signature, done = exercise.signature(), []
    pairs = list(zip(exercise.draw(), exercise.draw(), strict=True))
    try:
        with running.time_limit(seconds or limit(exercise)):
            for case, pristine in pairs:
                done.append(running.call(function, case, pristine, exercise, signature))
    except running.TimeIsUp:
        return done, len(done) < len(pairs)
    return done, False


@functools.cache
def _reference(exercise: Exercise, device: str) -> tuple[list[Outcome], float]:
    """What the course's version gives, the oracle beside it, and the seconds that the version took.

    device: where the cases lie, a key of what is kept.
    """
    with warnings.catch_warnings():  # the course's own are no business of the learner's
        warnings.simplefilter("ignore")
        return _tried(exercise)


def _tried(exercise: Exercise) -> tuple[list[Outcome], float]:
    watch = running.Stopwatch()
    reference = [
        running.call(exercise.solution(), case, pristine, exercise, exercise.signature())
        for case, pristine in zip(exercise.draw(), exercise.draw(), strict=True)
    ]
    seconds = watch.computed()
    for case, outcome in zip(exercise.draw("cpu"), reference, strict=True):
        if outcome.error:
            raise RuntimeError(
                f"The course's version of `{exercise.slug}` fails on '{case.label}'."
            ) from outcome.error
        if exercise.oracle:
            with running.undisturbed():
                result = exercise.oracle(*case.args, **case.kwargs)
                outcome.oracle = snapshot(exercise.seen(result, *case.args, **case.kwargs))
    return reference, seconds


def of_the_course(exercise: Exercise) -> list[Outcome]:
    """What the course's version gives, and what the oracle says beside it.

    Raises RuntimeError if the version fails.
    """
    return _reference(exercise, str(devices.pick()))[0]


def expected(exercise: Exercise) -> list[Outcome]:
    """What the right answer gives: the oracle's values, the reference's gradients."""
    found = of_the_course(exercise)
    if not exercise.oracle:
        return found
    return [dataclasses.replace(outcome, value=outcome.oracle) for outcome in found]


@functools.cache
def _mistaken(exercise: Exercise, device: str) -> list[tuple[Mistake, list[Outcome]]]:
    wrong = []
    for mistake in exercise.mistakes:
        # an edit that no longer fits: `course build` tells the author, nobody the learner
        with contextlib.suppress(ValueError):
            wrong.append((mistake, exercise.wrong_answer(mistake)))
    buggy = exercise.buggy()
    if buggy:
        text = "Your version gives the same results as the code with the bug: look further."
        function = sources.build(buggy, exercise.solution(), exercise.function)
        wrong.append((Mistake("still buggy", text, function), function))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(mistake, outcomes(exercise, function)[0]) for mistake, function in wrong]


def recognise(exercise: Exercise, got: list[Outcome]) -> Mistake | None:
    """The mistake that gives the same as ``got`` on all cases, if there is one."""
    for mistake, outcome in _mistaken(exercise, str(devices.pick())):
        if len(outcome) == len(got) and all(
            disagreement(g, m, exercise.rtol, exercise.atol) is None
            for g, m in zip(got, outcome, strict=True)
        ):
            return mistake
    return None


def is_tensor(value) -> bool:
    """Whether a snapshot was a tensor."""
    return isinstance(value, Array) and value.kind == "tensor"


def returning_tensors(answer) -> Callable:
    """``answer`` with results that are arrays, numbers or lists of them turned into tensors.

    As everywhere in the check, Python's numbers count as double precision.
    """

    @functools.wraps(answer)
    def wrapper(*args, **kwargs):
        return stacked(answer(*args, **kwargs))

    return wrapper


def overwrites(exercise: Exercise, answer) -> str | None:
    """A sentence for an answer that keeps what it returned, and writes the next result over it.

    The first result that is made of tensors or arrays gets other numbers, then the answer is called
    once more on the same input: the numbers must stay.
    """
    for case, again in zip(exercise.draw(), exercise.draw(), strict=True):
        with running.undisturbed():
            held = _memory(answer(*case.args, **case.kwargs))
        if held and _overwritten(held, lambda again=again: answer(*again.args, **again.kwargs)):
            return (
                "Your function returns the same memory in every call: what it gave before is "
                "overwritten by the next result. Make a new tensor in each call, or return a copy "
                "(`.clone()`)."
            )
        if held:
            break
    return None


def _overwritten(held: list[np.ndarray], call: Callable) -> bool:
    """Whether ``call`` writes into the arrays ``held``; they are left as they were."""
    kept = [values.copy() for values in held]
    try:
        for values in held:
            values[...] = ~values if values.dtype.kind == "b" else 77
        marked = [values.copy() for values in held]
        with running.undisturbed():
            call()
        return not all(map(np.array_equal, held, marked))
    finally:  # it may be something of the learner's
        for values, old in zip(held, kept, strict=True):
            values[...] = old


def _memory(result) -> list[np.ndarray]:
    """The memory of the tensors and arrays in a result, as arrays that can be written to."""
    if isinstance(result, list | tuple):
        return [values for part in result for values in _memory(part)]
    if isinstance(result, dict):
        return _memory(list(result.values()))
    if isinstance(result, torch.Tensor) and result.device.type == "cpu":
        with contextlib.suppress(RuntimeError, TypeError):  # sparse, conjugated, half, ...
            result = result.detach().numpy()
    overlaps = isinstance(result, np.ndarray) and 0 in result.strides
    writable = isinstance(result, np.ndarray) and result.flags.writeable and not overlaps
    return [result] if writable and result.size and result.dtype.kind in "biufc" else []


def probe(exercise: Exercise, answer, seconds: float | None = None, right=True) -> str | None:
    """The first sentence that a probe of the exercise has for ``answer``.

    right: whether its results are: if not, those of ``only_right`` are not asked.

    A probe may rely on tensors where the course's version returns one, whatever the answer gives.
    """
    courses = of_the_course(exercise)
    if not exercise.observe and all(is_tensor(o.value) for o in courses):
        answer = returning_tensors(answer)
    try:
        with running.time_limit(seconds or limit(exercise)):
            for look in (functools.partial(overwrites, exercise), *exercise.probes):
                if not right and look in exercise.only_right:
                    continue
                with running.undisturbed(), contextlib.redirect_stdout(io.StringIO()):
                    text = look(answer)
                if text:
                    return text
    except running.TimeIsUp:
        return "Your function ran out of time in a further test: is there a loop that never ends?"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the learner's code: whatever it raises is told
        return f"In a further test your function stopped with {short(error)}."
    return None


def short(error: BaseException) -> str:
    """Kind and text of an error, on one line."""
    text = " ".join(told_by(error).split())
    text = text if len(text) <= 300 else f"{text[:297]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
