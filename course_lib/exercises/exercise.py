"""What an exercise is: its text, its inputs, its right and its wrong answers."""

import dataclasses
import functools
import importlib
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from .. import device as devices
from . import running, sources
from .running import Case

SEED = 13126199

Edit = tuple[str, str]


def place(path: str | Path, line: int) -> str:
    """``course_lib/exercises/lesson03/nearest_plane.py:97``, as sentences for authors begin."""
    path, root = Path(path), Path(__file__).parents[2]
    inside = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return f"{inside}:{line}"


class InADict:
    """A dict, where parts were to be returned one after the other; as feedback calls it."""

    def __repr__(self):
        return "a dict"


@dataclasses.dataclass(eq=False)
class Mistake:
    """A named wrong answer and the sentence for it: "Your results are what you get when ...".

    function: the wrong answer; or edits of the solution, each ``(old, new)``, the one place where
    its text says ``old`` saying ``new``: one such pair, or several, made one after the other.
    loose: for bounds: its results are VALID BUT LOOSE, not wrong. where: file and line.
    """

    name: str
    sentence: str
    function: Callable | Edit | Sequence[Edit]
    loose: bool = False
    where: str = ""

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits, in their order; none where the wrong answer is a function."""
        if callable(self.function):
            return ()
        one = self.function and isinstance(self.function[0], str)
        return (self.function,) if one else tuple(self.function)


@dataclasses.dataclass(eq=False, kw_only=True)
class Exercise:
    """An exercise. Its solution stands in the lesson's source (the generated ``_references``).

    slug: its name for ever, which is that of its module. title, difficulty (1 to 5), minutes,
    hints: what the lesson shows.
    cases: a function of a seeded torch.Generator (on the CPU) that yields Cases, one tiny first.
    oracle: what the results must be, best by another way than the solution's; None: the solution.
    mistakes: the wrong answers that are recognised. variants: other right answers, as functions.
    parts: the names of the parts of a result that is a tuple, as feedback calls them.
    observe: function(result, *args, **kwargs) -> what is compared, instead of the result; a dict
    names its parts itself.
    twins: functions of the library that do the same: an answer that calls one is nobody's own.
    may_change: names of arguments that the function is meant to change.
    gradients: names of arguments whose gradient must be right, too.
    probes: functions(answer) -> a sentence, or None if all is well. They run on right results, and
    on wrong ones of the right form, where a sentence may say only what the probe has seen;
    only_right: those of them whose sentences are true of right results only.
    valid: function(got, expected, case) -> whether a result that differs is a valid bound
    (float64 arrays); loose: the sentence then. done: a sentence for a learner who passes;
    unattempted: for one whose function is still the stub.
    rtol, atol: the tolerance, for float32 on any device. time_limit: in seconds.
    on_device: inputs go to device.pick(); False keeps them on the CPU.
    equivalent_mutants: change, as mutants.py prints it -> why it is no mistake.
    lesson, where (file and line): set by the registry.
    """

    slug: str = ""
    title: str
    difficulty: int
    minutes: int
    cases: Callable[[torch.Generator], Iterable[Case]]
    mistakes: Sequence[Mistake] = dataclasses.field(default_factory=list)
    variants: Sequence[Callable] = dataclasses.field(default_factory=list)
    probes: Sequence[Callable] = dataclasses.field(default_factory=list)
    only_right: Sequence[Callable] = dataclasses.field(default_factory=list)
    hints: Sequence[str] = ()
    oracle: Callable | None = None
    parts: Sequence[str] = ()
    observe: Callable | None = None
    twins: Sequence[Callable] = ()
    may_change: Sequence[str] = ()
    gradients: Sequence[str] = ()
    valid: Callable | None = None
    loose: str = "This is a valid bound, but not the tightest one."
    done: str = ""
    unattempted: str = "Replace the line `raise NotImplementedError(...)` with your code."
    rtol: float = 1e-4
    atol: float = 1e-6
    time_limit: float = 10.0
    on_device: bool = True
    equivalent_mutants: dict[str, str] = dataclasses.field(default_factory=dict)
    function: str = ""
    lesson: int | None = None
    where: str = ""

    def __post_init__(self):
        self.function = self.function or self.slug.replace("-", "_")

    # --- what an exercise's module says, each thing beside its code ---------------------------

    def mistake(self, name: str, sentence: str, *answer: Callable | Edit, loose: bool = False):
        """Add a wrong answer: over a function, as a decorator, or with edits of the solution.

        ::

            @EXERCISE.mistake("squares", "These are squares: the root is missing.")
            def squares(x): ...

            EXERCISE.mistake("squares", "These are squares: ...", (".sqrt()", ""))

        Raises TypeError for anything else.
        """
        frame = sys._getframe(1)
        where = place(frame.f_code.co_filename, frame.f_lineno)

        def add(function):
            self.mistakes.append(Mistake(name, sentence, function, loose, where))
            return function

        if not answer:
            return add
        if len(answer) == 1 and callable(answer[0]):
            return add(answer[0])
        for edit in answer:
            pair = isinstance(edit, tuple) and len(edit) == 2
            if not pair or not all(isinstance(text, str) for text in edit):
                raise TypeError(
                    f"{where}: the mistake {name!r} is a function, or pairs of texts (old, new); "
                    f"not {edit!r}."
                )
        return add(answer)

    def variant(self, function: Callable) -> Callable:
        """Add another right answer (a decorator)."""
        self.variants.append(function)
        return function

    def probe(self, function: Callable | None = None, *, only_right: bool = False):
        """Add a look at what the results do not show (a decorator).

        only_right: it is not asked about wrong results, of which its sentences may not be true:
        "The numbers are right, but ...".
        """

        def add(function):
            self.probes.append(function)
            if only_right:
                self.only_right.append(function)
            return function

        return add if function is None else add(function)

    # --- what the check asks of it ------------------------------------------------------------

    def solution(self) -> Callable:
        """The course's version. Raises LookupError, with what is missing, if it is not there."""
        if self.lesson is None and not self.slug:
            raise LookupError(
                "The solution is asked for while the exercise's module is being imported, which "
                "does not know yet whose it is: ask for it in a function that runs later."
            )
        for module in references(self.lesson):
            if hasattr(module, self.function):
                return getattr(module, self.function)
        raise LookupError(self._missing())

    def _missing(self) -> str:
        """Why there is no solution: the lesson has no such cell, or has not been built since."""
        name = "NN" if self.lesson is None else f"{self.lesson:02d}"
        for path in (Path(__file__).parents[2] / "solutions").glob(f"{name}_*.py"):
            if f'exercise="{self.slug}"' not in path.read_text(encoding="utf-8"):
                return (
                    f"The exercise `{self.slug}` has no solution: no cell of solutions/{path.name} "
                    f'has exercise="{self.slug}". Give it its three cells there, and run `course '
                    f"build {name}`."
                )
        return (
            f"The solution of `{self.slug}`, the function `{self.function}`, has not been taken "
            f"out of lesson {name} yet: run `course build {name}`."
        )

    def is_the_librarys(self) -> bool:
        """Whether the course's version is a function of the library."""
        return "._references." not in self.solution().__module__

    def buggy(self) -> str | None:
        """In a bug hunt: the source of the code with the bug, as the lesson shows it."""
        for module in references(self.lesson):
            if self.slug in getattr(module, "BUGGY", {}):
                return module.BUGGY[self.slug]
        return None

    def signature(self) -> inspect.Signature | None:
        """How the function is called; None where that cannot be found out."""
        try:
            return inspect.signature(self.solution())
        except (TypeError, ValueError):
            return None

    def seen(self, result, *args, **kwargs):
        """What of a result is compared: :attr:`observe` says, and :attr:`parts` names it."""
        if self.observe:
            result = self.observe(result, *args, **kwargs)
        array = isinstance(result, torch.Tensor | np.ndarray) and result.ndim > 0
        sequence = array or isinstance(result, list | tuple)
        if self.parts and sequence and len(result) == len(self.parts):
            return dict(zip(self.parts, result, strict=True))
        # the cells below take the result apart, and of a dict would get its names
        wrong = self.parts and not self.observe and isinstance(result, dict)
        return InADict() if wrong else result

    def wrong_answer(self, mistake: Mistake) -> Callable:
        """The function of ``mistake``. Raises ValueError if its edits do not fit the solution."""
        if callable(mistake.function):
            return mistake.function
        return sources.edited(self.solution(), *mistake.edits)

    def draw(self, device: str | torch.device | None = None) -> list[Case]:
        """The cases, freshly made and always the same; ``device`` None: the one the course uses."""
        if device is None:
            device = devices.pick() if self.on_device else "cpu"
        with running.undisturbed(SEED):
            cases = list(self.cases(torch.Generator().manual_seed(SEED)))
        return [case.to(device) for case in cases]


@functools.cache
def references(lesson: int | None) -> list[types.ModuleType]:
    """The generated modules with the solutions of a lesson (of all lessons for None)."""
    folder = Path(__file__).parent / "_references"
    pattern = "*.py" if lesson is None else f"{lesson:02d}_*.py"
    names = sorted(path.stem for path in folder.glob(pattern) if path.stem != "__init__")
    return [importlib.import_module(f"{__package__}._references.{name}") for name in names]


def core(function):
    """What a function is at heart: its code, without wrappers, copies and partial arguments."""
    for _ in range(20):
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    function = getattr(function, "__func__", function)
    return getattr(function, "__code__", function)
