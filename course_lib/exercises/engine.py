"""The check engine: what an exercise is, and what is said about an answer to it.

``judge`` looks at a function and says what it is worth; ``check`` is what a lesson calls: it shows
that, remembers it, and hands back the function with which the lesson goes on.
"""

import ast
import dataclasses
import functools
import importlib
import inspect
import linecache
import traceback
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch

from .. import device as devices
from . import find, leaning, running, sources, store
from .comparing import Array, alike_in_form, pattern, snapshot
from .feedback import CheckFailed, Feedback, show, strict
from .running import Case, Outcome, alike, disagreement

SEED = 13126199


@dataclasses.dataclass(eq=False)
class Mistake:
    """A named wrong answer and the sentence for it: "Your results are what you get when ...".

    function: the wrong answer; or ``(old, new)``, the solution with one piece of its text replaced.
    right_shape: its results have the right shape (and scale), so that no look at them tells.
    loose: for bounds: its results are VALID BUT LOOSE, not wrong.
    """

    name: str
    sentence: str
    function: Callable | tuple[str, str]
    right_shape: bool = False
    loose: bool = False


@dataclasses.dataclass(eq=False, kw_only=True)
class Exercise:
    """An exercise: its text, its solution, its inputs, its wrong and its right answers.

    slug: its name for ever; title, difficulty (1 to 5), minutes, hints: what the lesson shows.
    cases: a function of a seeded torch.Generator (on the CPU) that yields Cases, one tiny first.
    reference: the solution; None takes it from the lesson's source (the generated _references).
    oracle: what the results must be, best by another way than the reference's; None: the reference.
    mistakes: the wrong answers that are recognised. variants: other right answers, as functions.
    observe: function(result, *args, **kwargs) -> what is compared, instead of the result.
    may_change: names of arguments that the function is meant to change.
    gradients: names of arguments whose gradient must be right, too.
    probes: functions(answer) -> a sentence, or None if all is well; they run on right results.
    valid: function(got, expected, case) -> whether a result that differs is a valid bound
    (float64 arrays); loose: the sentence then. done: a sentence for a learner who passes.
    rtol, atol: the tolerance, for float32 on any device. time_limit: in seconds.
    on_device: inputs go to device.pick(); False keeps them on the CPU.
    equivalent_mutants: change, as mutants.py prints it -> why it is no mistake.
    lesson: set by the registry from the name of the module.
    """

    slug: str
    title: str
    difficulty: int
    minutes: int
    cases: Callable[[torch.Generator], Iterable[Case]]
    mistakes: Sequence[Mistake]
    variants: Sequence[Callable]
    hints: Sequence[str] = ()
    reference: Callable | None = None
    oracle: Callable | None = None
    observe: Callable | None = None
    may_change: Sequence[str] = ()
    gradients: Sequence[str] = ()
    probes: Sequence[Callable] = ()
    valid: Callable | None = None
    loose: str = "This is a valid bound, but not the tightest one."
    done: str = ""
    rtol: float = 1e-4
    atol: float = 1e-6
    time_limit: float = 10.0
    on_device: bool = True
    equivalent_mutants: dict[str, str] = dataclasses.field(default_factory=dict)
    function: str = ""
    lesson: int | None = None

    def __post_init__(self):
        self.function = self.function or self.slug.replace("-", "_")

    def solution(self) -> Callable:
        """The course's version. Raises LookupError if `course build` has not written it yet."""
        if self.reference is not None:
            return self.reference
        for module in _reference_modules(self.lesson):
            if hasattr(module, self.function):
                return getattr(module, self.function)
        raise LookupError(
            f"The course's version of `{self.slug}` is not there: run `course build`, which takes "
            f"the function `{self.function}` out of the lesson's source."
        )

    def buggy(self) -> str | None:
        """In a bug hunt: the source of the code with the bug, as the lesson shows it."""
        for module in _reference_modules(self.lesson):
            if self.slug in getattr(module, "BUGGY", {}):
                return module.BUGGY[self.slug]
        return None

    def signature(self) -> inspect.Signature | None:
        """How the function is called; None where that cannot be found out."""
        try:
            return inspect.signature(self.solution())
        except (TypeError, ValueError):
            return None

    def wrong_answer(self, mistake: Mistake) -> Callable:
        """The function of ``mistake``. Raises ValueError if its edit does not fit the solution."""
        if callable(mistake.function):
            return mistake.function
        return sources.edited(self.solution(), *mistake.function)

    def draw(self, device: str | torch.device | None = None) -> list[Case]:
        """The cases, freshly made and always the same; ``device`` None: the one the course uses."""
        if device is None:
            device = devices.pick() if self.on_device else "cpu"
        with running.undisturbed(SEED):
            cases = list(self.cases(torch.Generator().manual_seed(SEED)))
        return [case.to(device) for case in cases]


@functools.cache
def _reference_modules(lesson: int | None) -> list[types.ModuleType]:
    folder = Path(__file__).parent / "_references"
    pattern = "*.py" if lesson is None else f"{lesson:02d}_*.py"
    names = sorted(path.stem for path in folder.glob(pattern) if path.stem != "__init__")
    return [importlib.import_module(f"{__package__}._references.{name}") for name in names]


def outcomes(exercise: Exercise, function: Callable, seconds: float | None = None):
    """What ``function`` gives on each case, and whether the time ran out before the last one."""
    signature, done = exercise.signature(), []
    pairs = list(zip(exercise.draw(), exercise.draw(), strict=True))
    try:
        with running.time_limit(seconds or exercise.time_limit):
            for case, pristine in pairs:
                done.append(running.call(function, case, pristine, exercise, signature))
    except running.TimeIsUp:
        return done, len(done) < len(pairs)
    return done, False


@functools.cache
def _expected(exercise: Exercise, device: str) -> list[Outcome]:
    reference = [
        running.call(exercise.solution(), case, pristine, exercise, exercise.signature())
        for case, pristine in zip(exercise.draw(), exercise.draw(), strict=True)
    ]
    for case, outcome in zip(exercise.draw("cpu"), reference, strict=True):
        if outcome.error:
            raise RuntimeError(
                f"The course's version of `{exercise.slug}` fails on '{case.label}'."
            ) from outcome.error
        if exercise.oracle:
            with running.undisturbed():
                result = exercise.oracle(*case.args, **case.kwargs)
                if exercise.observe:
                    result = exercise.observe(result, *case.args, **case.kwargs)
                outcome.oracle = snapshot(result)
    return reference


def expected(exercise: Exercise) -> list[Outcome]:
    """What the right answer gives: the oracle's values, the reference's gradients."""
    found = _expected(exercise, str(devices.pick()))
    if not exercise.oracle:
        return found
    return [dataclasses.replace(outcome, value=outcome.oracle) for outcome in found]


# --- looking at an answer before it runs -----------------------------------------------------


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


def is_course_code(function, exercise: Exercise) -> bool:
    """Whether ``function`` is the course's version of this exercise, whatever name holds it."""
    return core(function) is core(exercise.solution())


def is_untouched_bug(function, source: str | None, name: str) -> bool:
    """Whether ``function`` is the code with the bug just as the lesson gave it."""
    code = getattr(function, "__code__", None)
    if not source or code is None:
        return False
    parts = compile(ast.parse(source), "<bug>", "exec").co_consts
    given = [c for c in parts if isinstance(c, types.CodeType) and c.co_name == name]

    def essence(c):
        inner = [essence(x) if isinstance(x, types.CodeType) else repr(x) for x in c.co_consts]
        return c.co_code, c.co_names, c.co_varnames, inner

    return bool(given) and essence(code) == essence(given[-1])


def what_it_is(thing) -> str:
    """A thing that is no function, in words."""
    if thing is None:
        return "None"
    if isinstance(thing, torch.Tensor):
        return f"a tensor of shape {tuple(thing.shape)}"
    if isinstance(thing, str):
        return "a text"
    name = type(thing).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def before_running(exercise: Exercise, answer) -> Feedback | None:
    """The feedback for an answer that need not be run: none, the course's own, the wrong call."""
    name, slug = exercise.function, exercise.slug
    if not callable(answer):
        return Feedback(
            "FAIL",
            slug,
            [
                f"`check` was given {what_it_is(answer)}, but it needs the function itself: "
                f'`check("{slug}", {name})`, its name without brackets.'
            ],
        )
    if is_course_code(answer, exercise):
        return Feedback(
            "NOT RUN",
            slug,
            [
                f"`{name}` is the course's version now, not yours: run the cell with your own "
                "code first, then this one."
            ],
        )
    if is_untouched_bug(answer, exercise.buggy(), name):
        return Feedback(
            "UNATTEMPTED",
            slug,
            [f"This is the code as it was given: the bug is in `{name}` still."],
        )
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):
        return None
    for case in exercise.draw():
        try:
            signature.bind(*case.args, **case.kwargs)
        except TypeError:
            stub = exercise.signature() or ", ".join(case.named(None))
            return Feedback(
                "FAIL",
                slug,
                [
                    f"Your function takes `{bare(signature)}`, but it is called with the arguments "
                    f"of the stub, `{bare(stub)}`: keep those."
                ],
            )
    return None


def bare(signature) -> str:
    """A signature without its annotations."""
    if isinstance(signature, str):
        return f"({signature})"
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


# --- judging what it gave --------------------------------------------------------------------


def judge(exercise: Exercise, answer, seconds: float | None = None) -> Feedback:
    """What ``answer`` is worth; shows and remembers nothing, raises nothing for a wrong one."""
    early = before_running(exercise, answer)
    if early:
        return early
    got, late = outcomes(exercise, answer, seconds)
    feedback = _verdict(exercise, answer, got, late, seconds)
    # only what has the right form: a figure of the lesson must be able to draw it
    feedback.ran = (
        not late
        and not any(o.error or o.returned_none for o in got)
        and (feedback.status == "PASS" or all(map(_same_form, got, expected(exercise))))
    )
    if feedback.status in ("UNATTEMPTED", "NOT RUN"):
        return feedback
    try:
        own_names = inspect.signature(answer)
    except (TypeError, ValueError):
        own_names = exercise.signature()
    leans = leaning.sentence(leaning.leans_on(answer), exercise.draw()[0].named(own_names))
    if leans and feedback.status == "PASS":
        feedback.notices.append(f"It passes. {leans}")
    elif leans:
        feedback.sentences.insert(0, leans)
    return feedback


def _verdict(exercise, answer, got, late, seconds) -> Feedback:
    slug, want = exercise.slug, expected(exercise)
    cases, signature = exercise.draw(), exercise.signature()
    if any(is_unattempted(o.error, answer, slug) for o in got):
        line = "Replace the line `raise NotImplementedError(...)` with your code."
        return Feedback("UNATTEMPTED", slug, [line])
    if late:
        limit = f"{seconds or exercise.time_limit:g} s"
        where = f"on '{cases[len(got)].label}'"
        text = f"Your function was still running after {limit} ({where}) and was stopped: is there "
        return Feedback("FAIL", slug, [f"{text}a loop that never ends?"])
    changed = [name for o in got for name in o.changed] or [
        name for o in got if "leaf" in str(o.error) for name in exercise.gradients
    ]
    if changed:
        text = f"Your function changes its argument `{changed[0]}` in place"
        return Feedback("FAIL", slug, [f"{text}: work on a copy, or use an operation without `_`."])
    none = [g.returned_none and not w.returned_none for g, w in zip(got, want, strict=True)]
    if any(none):
        mistake = recognise(exercise, got)  # where None is an answer, a mistake can give it, too
        if mistake:
            return Feedback("FAIL", slug, [mistake.sentence], mistake=mistake.name)
        text = "Your function returns nothing (None): is there a `return`?"
        if any(w.returned_none for w in want) and not all(g.returned_none for g in got):
            text = f"Your function returns None on '{cases[none.index(True)].label}', where a "
            text += "result was expected."
        return Feedback("FAIL", slug, [text])
    if any(g.generator and not w.generator for g, w in zip(got, want, strict=True)):
        text = (
            "Your function gives a generator: is there a `yield`, or round brackets round a loop,"
        )
        return Feedback("FAIL", slug, [f"{text} where all of the result is to be returned?"])

    wrong = [
        (case, text)
        for case, g, w in zip(cases, got, want, strict=True)
        if (text := disagreement(g, w, exercise.rtol, exercise.atol))
    ]
    if not wrong:
        return _passed(exercise, answer, got, want, seconds)
    loose = exercise.valid and _is_valid(exercise, cases, got, want)
    status = "VALID BUT LOOSE" if loose else "FAIL"
    mistake = recognise(exercise, got)
    if mistake:
        return Feedback(status, slug, [mistake.sentence], mistake=mistake.name)
    if loose:
        return Feedback(status, slug, [exercise.loose])
    failed = next(((c, o) for c, o in zip(cases, got, strict=True) if o.error), None)
    if failed:
        return Feedback("EXCEPTION", slug, [in_words(*failed, answer, signature)])
    # a probe takes results of the right form for granted: on others its own troubles would speak
    text = probe(exercise, answer, seconds) if all(map(_same_form, got, want)) else None
    if text:
        return Feedback("FAIL", slug, [text])
    case, text = min(wrong, key=lambda pair: pair[0].size)
    text += pattern([(g.value, w.value) for g, w in zip(got, want, strict=True)])
    return Feedback("FAIL", slug, [f"On {case.describe(signature)}:\n{text}"])


def _same_form(got: Outcome, want: Outcome) -> bool:
    return alike_in_form(got.value, want.value)


def _is_tensor(value) -> bool:
    return isinstance(value, Array) and value.kind == "tensor"


def _passed(exercise, answer, got, want, seconds) -> Feedback:
    text = probe(exercise, answer, seconds)
    if text:
        return Feedback("FAIL", exercise.slug, [text])
    feedback = Feedback("PASS", exercise.slug, [exercise.done] if exercise.done else [])
    # what the course's version returned (``want`` may hold an oracle's array)
    courses = _expected(exercise, str(devices.pick()))
    for g, w in zip(got, courses, strict=True):
        was = g.value.kind if isinstance(g.value, Array) else type(g.value).__name__
        if not exercise.observe and _is_tensor(w.value) and was != "tensor":
            what = {"array": "a NumPy array", "number": "a plain number"}.get(was, f"a {was}")
            feedback.notices.append(
                f"It returns {what}; the course's version returns a tensor. The values are right; "
                "if a later cell stumbles, return `torch.as_tensor(...)` of it."
            )
            break
    left = next((name for o in got for name in o.left_behind), None)
    if left and not any(o.left_behind for o in courses):
        feedback.notices.append(
            f"It leaves `{left}` with gradients or in a mode that it did not have before."
        )
    return feedback


def _is_valid(exercise, cases, got, want) -> bool:
    def values(x):
        return x.values if isinstance(x, Array) else x

    def fine(case, g, w):
        if g.error or alike(g, w, exercise.rtol, exercise.atol):
            return not g.error
        try:
            return bool(exercise.valid(values(g.value), values(w.value), case))
        except (TypeError, ValueError, AttributeError):  # a result of another kind is no bound
            return False

    return all(fine(*each) for each in zip(cases, got, want, strict=True))


@functools.cache
def _mistaken(exercise: Exercise, device: str) -> list[tuple[Mistake, list[Outcome]]]:
    found = []
    for mistake in exercise.mistakes:
        try:
            function = exercise.wrong_answer(mistake)
        except ValueError:  # an edit that no longer fits: a test tells the author, not the learner
            continue
        found.append((mistake, outcomes(exercise, function)[0]))
    buggy = exercise.buggy()
    if buggy:
        text = "Your version gives the same results as the code with the bug: look further."
        function = sources.build(buggy, exercise.solution(), exercise.function)
        found.append((Mistake("still buggy", text, function), outcomes(exercise, function)[0]))
    return found


def recognise(exercise: Exercise, got: list[Outcome]) -> Mistake | None:
    """The mistake that gives the same as ``got`` on all cases, if there is one."""
    for mistake, outcome in _mistaken(exercise, str(devices.pick())):
        if len(outcome) == len(got) and all(
            alike(g, m, exercise.rtol, exercise.atol) for g, m in zip(got, outcome, strict=True)
        ):
            return mistake
    return None


def returning_tensors(answer) -> Callable:
    """``answer`` with results that are arrays, numbers or lists of them turned into tensors."""

    @functools.wraps(answer)
    def wrapper(*args, **kwargs):
        result = answer(*args, **kwargs)
        if isinstance(result, list | tuple) and any(isinstance(r, torch.Tensor) for r in result):
            return torch.stack([torch.as_tensor(r) for r in result])
        return result if isinstance(result, torch.Tensor) else torch.as_tensor(result)

    return wrapper


def probe(exercise: Exercise, answer, seconds: float | None = None) -> str | None:
    """The first sentence that a probe of the exercise has for ``answer``.

    A probe may rely on tensors where the course's version returns one, whatever the answer gives.
    """
    courses = _expected(exercise, str(devices.pick()))
    if not exercise.observe and all(_is_tensor(o.value) for o in courses):
        answer = returning_tensors(answer)
    try:
        with running.time_limit(seconds or exercise.time_limit):
            for look in exercise.probes:
                with running.undisturbed():
                    text = look(answer)
                if text:
                    return text
    except running.TimeIsUp:
        return "Your function ran out of time in a further test: is there a loop that never ends?"
    except Exception as error:  # the learner's code: whatever it raises is told
        return f"In a further test your function stopped with {_short(error)}."
    return None


def is_unattempted(error, answer, slug: str) -> bool:
    """Whether ``error`` is the stub's own NotImplementedError (torch raises some of its own)."""
    if not isinstance(error, NotImplementedError):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    mine = getattr(core(answer), "co_filename", None) == last.filename
    # an operation that torch does not have raises one in the learner's own line, too
    return str(error) == slug or (mine and "NotImplementedError" in (last.line or "raise"))


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    text = text if len(text) <= 300 else f"{text[:297]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def in_words(case: Case, outcome: Outcome, answer, signature) -> str:
    """An exception in the learner's code: what, on which input, in which line of theirs."""
    code = core(answer)
    mine = getattr(code, "co_filename", None)
    frames = traceback.extract_tb(outcome.error.__traceback__)
    lines = [f.lineno for f in frames if f.filename == mine]
    text = f"{_short(outcome.error)}\nOn {case.describe(signature)}"
    line = linecache.getline(mine, lines[-1]).strip() if lines else ""
    return f"{text}, in your line `{line}`." if line else f"{text}."


# --- what a lesson calls ---------------------------------------------------------------------

_yours: dict[str, Callable] = {}


def check(slug: str, answer) -> Callable:
    """Show what ``answer`` is worth; return it if it passes, else the course's version.

    VALID BUT LOOSE also goes on with the learner's. Raises LookupError for a slug that does not
    exist, and :class:`CheckFailed` for anything but PASS where checks are strict.
    """
    exercise = find(slug)
    solution = exercise.solution()
    feedback = judge(exercise, answer)
    if feedback.ran:
        _yours[slug] = answer
    kept = feedback.status in ("PASS", "VALID BUT LOOSE")
    if not kept:
        text = f"The lesson goes on with the course's version of `{exercise.function}`."
        if feedback.ran or (feedback.status == "NOT RUN" and slug in _yours):
            text += f' Yours stays at hand as `yours("{slug}")`.'
        feedback.notices.append(text)
    problem = store.record(slug, feedback.status)
    if problem:
        feedback.notices.append(problem)
    show(feedback)
    if strict() and feedback.status != "PASS":
        raise CheckFailed(repr(feedback))
    return answer if kept else solution


def yours(slug: str) -> Callable | None:
    """The learner's last version that ran to its end in a check, right or wrong; None without one.

    Only one whose results have the right form is kept, so that a figure can draw it.

    Raises LookupError for a slug that does not exist.
    """
    find(slug)
    return _yours.get(slug)


def whose(function) -> str:
    """``"the course's code"`` or ``"your code"``: for the caption of a figure that it made."""
    from . import all_exercises

    for exercise in all_exercises().values():
        try:
            if is_course_code(function, exercise):
                return "the course's code"
        except LookupError:  # a reference that is not built yet is nobody's
            continue
    return "your code"
