"""Somebody's function run on the cases of an exercise, without letting it disturb the notebook."""

import collections.abc
import contextlib
import ctypes
import dataclasses
import inspect
import io
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import device as devices
from .comparing import describe, difference, snapshot, told_by


class TimeIsUp(BaseException):
    """Raised inside a function that runs too long (no ``except Exception`` swallows it)."""


@contextlib.contextmanager
def time_limit(seconds: float):
    """Raise :class:`TimeIsUp` in the block once it has computed for ``seconds``, again and again.

    What counts is the processor time that the block's thread was given: on a machine that is busy
    with something else nothing else is fair. A block that computes nothing, because it sleeps or
    waits for input, is ended when :data:`PATIENCE` times as long has passed on the clock.

    In the main thread of Linux and macOS by a timer signal, which also wakes a sleep; elsewhere
    (Windows, other threads) by a thread that throws the exception into this one. A bare ``except``
    may swallow it: the signal then comes back as an exception at the handler's own first line
    (:func:`_surprise`); the thread cannot do that. A call into compiled code that never comes back
    can be ended by neither.
    """
    main = threading.current_thread() is threading.main_thread()
    limit = _by_signal if main and hasattr(signal, "setitimer") else _by_thread
    with limit(max(seconds, 0.01)):
        yield


# what is never interrupted, be it swallowed or not: the engine, and what puts random numbers back
OURS = {str(path) for path in Path(__file__).parent.glob("*.py")} | {devices.__file__}
PATIENCE = 5  # a process that gets a fifth of a processor is still given all of its time
CAUGHT = 3
AGAIN = 0.2  # seconds on the clock between two looks


class Stopwatch:
    """The processor time of the thread that asks; ``threads``: of the whole process."""

    def __init__(self, threads: bool = False):
        self._cpu = time.process_time if threads else time.thread_time
        self.started, self.used = time.monotonic(), self._cpu()

    def elapsed(self) -> float:
        """Seconds on the clock."""
        return time.monotonic() - self.started

    def computed(self) -> float:
        """Seconds of processor time."""
        return self._cpu() - self.used

    def is_up(self, seconds: float) -> bool:
        """Whether the limit is reached: never before ``seconds`` have passed on the clock."""
        elapsed = self.elapsed()
        spent = self.computed() >= seconds - 0.01 and elapsed >= seconds
        return spent or elapsed >= PATIENCE * seconds


def profile_again(before) -> None:
    """Let ``before``, what ``sys.getprofile()`` gave, profile again. cProfile's is no function."""
    if before is None or callable(before):
        sys.setprofile(before)
    else:  # cProfile, and so %prun: it is switched on, not called
        before.enable()


def _at_its_next_line(frame, event, arg):
    """A trace function; what raises in one ends the tracing, so an "exception" must not."""
    if event == "line":
        raise TimeIsUp
    return _at_its_next_line


def _surprise(frame) -> None:
    """Let the next line of the answer that runs in ``frame`` raise, be it in an ``except`` of its.

    Its frames are traced, the engine's own are not: what they put back is put back. Raising ends
    the tracing, and a caller may swallow what is raised, too: it is traced anew when it is reached.
    """
    sys.settrace(lambda frame, event, arg: None)  # frames that are new are left alone
    sys.setprofile(lambda frame, event, arg: event == "return" and _surprise(frame.f_back))
    while frame is not None and frame.f_code.co_filename not in OURS:
        frame.f_trace = _at_its_next_line
        frame = frame.f_back


@contextlib.contextmanager
def _by_signal(seconds: float):
    watch, rings, hooks = Stopwatch(), 0, (sys.gettrace(), sys.getprofile())

    def ring(_, frame):
        nonlocal rings
        # not in the surprise itself: it is over in a moment, and this rings again
        if watch.is_up(seconds) and frame.f_code is not _surprise.__code__:
            rings += 1
            if rings > CAUGHT:
                _surprise(frame)
            raise TimeIsUp

    old_handler = signal.signal(signal.SIGALRM, ring)
    old_delay, old_interval = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if rings > CAUGHT:
            profile_again(hooks[1])
            sys.settrace(hooks[0])
        signal.signal(signal.SIGALRM, old_handler or signal.SIG_DFL)
        if old_delay:  # somebody else's alarm (pytest-timeout has one): let it ring when it would
            left = max(old_delay - watch.elapsed(), 0.01)
            signal.setitimer(signal.ITIMER_REAL, left, old_interval)


@contextlib.contextmanager
def _by_thread(seconds: float):
    target = ctypes.c_ulong(threading.get_ident())
    # the processor time of another thread cannot be read everywhere: that of all counts
    over, lock, clock = threading.Event(), threading.Lock(), Stopwatch(threads=True)

    def watch():
        delay = seconds
        while not over.wait(delay):
            with lock:
                if clock.is_up(seconds) and not over.is_set():
                    throw = ctypes.py_object(TimeIsUp)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(target, throw)
            delay = AGAIN

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        # What was thrown and has not arrived yet arrives here. (Taking it back would leave a flag
        # that never falls: Python 3.11 then hangs as soon as something traces it.)
        while not over.is_set():
            with contextlib.suppress(TimeIsUp):
                with lock:
                    over.set()
                for _ in range(100):
                    pass


@contextlib.contextmanager
def undisturbed(seed: int = 0):
    """Seed all global random numbers inside the block; afterwards they go on as if nothing was.

    The gradient mode and the default dtype are put back as well.
    """
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    with devices.same_random_numbers():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - a learner may use the old global generator
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
        torch.set_grad_enabled(True)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)


class Case:
    """One input: ``Case("two images", images, labels, weight=0.5)``, its label first.

    size: how large it is (the smallest failing one is shown): the number of all its entries.
    """

    def __init__(self, label: str, *args, **kwargs):
        self.label, self.args, self.kwargs = label, args, kwargs

    @property
    def size(self) -> int:
        return sum(_entries(value) for value in [*self.args, *self.kwargs.values()])

    def named(self, signature: inspect.Signature | None) -> dict:
        """The arguments by the names of ``signature`` (without one, by their numbers)."""
        try:
            bound = signature.bind(*self.args, **self.kwargs).arguments
        except (AttributeError, TypeError):
            bound = {f"argument {i + 1}": value for i, value in enumerate(self.args)} | self.kwargs
        return dict(bound)

    def to(self, device) -> "Case":
        """The same case with its tensors and modules on ``device``."""
        args = [_to(value, device) for value in self.args]
        kwargs = {name: _to(value, device) for name, value in self.kwargs.items()}
        return Case(self.label, *args, **kwargs)

    def describe(self, signature: inspect.Signature | None) -> str:
        """``label (logits = [[1, 2]], labels = [0])``: shapes where the values are too many."""
        parts = ", ".join(f"{n} = {_argument(v)}" for n, v in self.named(signature).items())
        return f"{self.label} ({parts})"


def _argument(value) -> str:
    if isinstance(value, nn.Module):
        return f"a {type(value).__name__}"
    text = describe(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _entries(value) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel()
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, nn.Module):
        return sum(p.numel() for p in value.parameters())
    if isinstance(value, list | tuple):
        return sum(_entries(v) for v in value)
    if isinstance(value, collections.abc.Mapping):
        return sum(_entries(v) for v in value.values())
    return 1


def _to(value, device):
    if isinstance(value, nn.Module):
        return value.to(device)
    if isinstance(value, torch.Tensor):
        return value.detach().to(device).requires_grad_(value.requires_grad)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_to(v, device) for v in value)
    if isinstance(value, dict):
        return {name: _to(v, device) for name, v in value.items()}
    return value


@dataclasses.dataclass
class Outcome:
    """What one call gave.

    value: a snapshot of the result (returned_none: there was none; generator: it came out of a
    ``yield``); gradients: argument -> snapshot, or None where nothing flows back; error: the
    exception; changed: arguments changed in place; frozen: networks whose parameters ask for other
    gradients than before; left_behind: arguments whose mode or .grad is another now; oracle: what
    the oracle of the exercise says, if it has one; printed: the text that the call printed.
    """

    value: object = None
    gradients: dict = dataclasses.field(default_factory=dict)
    error: BaseException | None = None
    changed: list[str] = dataclasses.field(default_factory=list)
    frozen: list[str] = dataclasses.field(default_factory=list)
    left_behind: list[str] = dataclasses.field(default_factory=list)
    returned_none: bool = False
    generator: bool = False
    oracle: object = None
    printed: str = ""


def call(function, case: Case, pristine: Case, exercise, signature) -> Outcome:
    """``function`` on ``case``; ``pristine`` is the same case, untouched, to compare with."""
    arguments = case.named(signature)
    leaves = {name: _leaves(arguments[name]) for name in exercise.gradients}
    for tensor in (tensor for tensors in leaves.values() for tensor in tensors):
        tensor.requires_grad_()
    said = io.StringIO()
    try:
        with undisturbed():
            with contextlib.redirect_stdout(said):
                result = function(*case.args, **case.kwargs)
                generator = inspect.isgenerator(result)
                if generator:
                    result = list(result)
            outcome = Outcome(returned_none=result is None, generator=generator)
            outcome.value = snapshot(exercise.seen(result, *case.args, **case.kwargs))
            if exercise.gradients and result is not None:
                outcome.gradients = gradients(result, leaves)
    except (KeyboardInterrupt, TimeIsUp):  # the learner's own, and the engine's
        raise
    except BaseException as error:  # the answer's: SystemExit, or one of its own class
        return Outcome(error=error, printed=printed(said))
    outcome.printed = printed(said)
    before = pristine.named(signature)
    for name, value in arguments.items():
        if name not in exercise.may_change:
            if _state(value) is not None and difference(_state(value), _state(before[name]), 0, 0):
                outcome.changed.append(name)
            elif isinstance(value, torch.Tensor) and name not in exercise.gradients:
                if value.requires_grad != before[name].requires_grad:
                    outcome.changed.append(name)
            elif isinstance(value, nn.Module) and _asks(value) != _asks(before[name]):
                outcome.frozen.append(name)
            elif isinstance(value, nn.Module) and _traces(value) != _traces(before[name]):
                outcome.left_behind.append(name)
    return outcome


def printed(said: io.StringIO) -> str:
    """What was printed; nothing where the answer has closed what it printed to."""
    return "" if said.closed else said.getvalue()


def _leaves(value) -> list[torch.Tensor]:
    return list(value.parameters()) if isinstance(value, nn.Module) else [value]


def gradients(result, leaves: dict[str, list[torch.Tensor]]) -> dict:
    """The gradient of a fixed mixture of all entries of ``result`` with respect to each argument.

    The mixture has weights cos(1), cos(2), ..., so that errors in single entries do not cancel.
    """
    parts = result if isinstance(result, list | tuple) else [result]
    tensors = [part for part in parts if isinstance(part, torch.Tensor) and part.requires_grad]
    if not tensors:
        return dict.fromkeys(leaves)
    total = 0
    for tensor in tensors:
        weights = torch.arange(1, tensor.numel() + 1, device=tensor.device).cos()
        total = total + (weights.to(tensor.dtype) * tensor.flatten()).sum()
    found = {}
    for name, group in leaves.items():
        parts = torch.autograd.grad(total, group, retain_graph=True, allow_unused=True)
        if all(part is None for part in parts):
            found[name] = None
        else:
            zeros = [torch.zeros_like(leaf) for leaf in group]
            full = [zero if part is None else part for part, zero in zip(parts, zeros, strict=True)]
            found[name] = snapshot(full)
    return found


def _state(value):
    """What must not change in an argument; None where that cannot be said (a generator, ...)."""
    if isinstance(value, torch.Tensor | np.ndarray | nn.Module | list | tuple | dict):
        return snapshot(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return snapshot(value)
    return None


def _asks(module: nn.Module) -> list[bool]:
    return [p.requires_grad for p in module.parameters()]


def _traces(module: nn.Module):
    return module.training, [p.grad is None for p in module.parameters()]


def disagreement(got: Outcome, want: Outcome, rtol: float, atol: float) -> str | None:
    """None if ``got`` is ``want``, else in words how it differs."""
    if got.error or want.error:
        errors = [(type(o.error), told_by(o.error)) for o in (got, want)]
        return None if errors[0] == errors[1] else "It stops with an error."
    text = difference(got.value, want.value, rtol, atol)
    if text:
        return text
    for name, wanted in want.gradients.items():
        found = got.gradients.get(name)
        if (found is None) != (wanted is None):
            return (
                f"The values are right, but no gradient flows back to `{name}`: is something "
                "detached, or turned into a number or an array with .item() or .numpy()?"
                if found is None
                else f"A gradient flows back to `{name}`, which should be detached."
            )
        text = wanted and difference(found, wanted, 10 * rtol, 10 * atol)
        if text:
            text = text.replace("The result", f"The gradient with respect to `{name}`")
            one = len(wanted) == 1  # a tensor; a network has a part for each of its parameters
            which = f"`{name}`" if one else rf"parameter \1 of `{name}`"
            gradient = f"The gradient with respect to {which}"
            text = re.sub(r"Part (\d+) of the result", gradient, text)
            return f"The values are right, their gradient is not. {text}"
    return None
