"""What an answer is worth: rules in their order, the first that has something to say decides.

The order is the one in the package's docstring. The rules of :data:`BEFORE` look at the answer as
it was given; those of :data:`AFTER` at what it gave on the cases. Each takes a :class:`Trial` and
returns the feedback, or None if it has nothing to say.
"""

import ast
import inspect
import linecache
import traceback
import types

from . import leaning, trials
from .comparing import Array, describe, in_the_form_of, pattern, same_form, told_by
from .exercise import Exercise, core
from .feedback import Feedback
from .missing import not_there, what_it_is
from .running import Case, Outcome, disagreement
from .trial import Trial

# --- looking at an answer before it runs -----------------------------------------------------


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


def not_a_function(trial: Trial) -> Feedback | None:
    if callable(trial.answer):
        return None
    name, slug = trial.exercise.function, trial.exercise.slug
    return trial.feedback(
        "FAIL",
        f"`check` was given {what_it_is(trial.answer)}, but it needs the function itself: "
        f'`check("{slug}", {name})`, its name without brackets.',
    )


def the_courses_own(trial: Trial) -> Feedback | None:
    if not is_course_code(trial.answer, trial.exercise):
        return None
    return trial.feedback(
        "NOT RUN",
        f"`{trial.exercise.function}` is the course's version now, not yours: run the cell with "
        "your own code first, then this one.",
    )


def the_bug_as_given(trial: Trial) -> Feedback | None:
    name = trial.exercise.function
    if not is_untouched_bug(trial.answer, trial.exercise.buggy(), name):
        return None
    return trial.feedback(
        "UNATTEMPTED", f"This is the code as it was given: the bug is in `{name}` still."
    )


def called_otherwise(trial: Trial) -> Feedback | None:
    try:
        signature = inspect.signature(trial.answer)
    except (TypeError, ValueError):
        return None
    for case in trial.cases:
        try:
            signature.bind(*case.args, **case.kwargs)
        except TypeError:
            stub = trial.signature or ", ".join(case.named(None))
            return trial.feedback(
                "FAIL",
                f"Your function takes `{bare(signature)}`, but it is called with the arguments of "
                f"the stub, `{bare(stub)}`: keep those.",
            )
    return None


def bare(signature) -> str:
    """A signature without its annotations."""
    if isinstance(signature, str):
        return f"({signature})"
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


# --- looking at what it gave -----------------------------------------------------------------


def is_unattempted(error, answer, slug: str) -> bool:
    """Whether ``error`` is the stub's own NotImplementedError (torch raises some of its own)."""
    if not isinstance(error, NotImplementedError):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    mine = getattr(core(answer), "co_filename", None) == last.filename
    # an operation that torch does not have raises one in the learner's own line, too
    return told_by(error) == slug or (mine and "NotImplementedError" in (last.line or "raise"))


def the_stub(trial: Trial) -> Feedback | None:
    if not any(is_unattempted(o.error, trial.answer, trial.exercise.slug) for o in trial.got):
        return None
    return trial.feedback("UNATTEMPTED", trial.exercise.unattempted)


def out_of_time(trial: Trial) -> Feedback | None:
    if not trial.late:
        return None
    earlier = returns_nothing(trial) or an_exception(trial) or another_form(trial)
    if earlier:
        return earlier
    limit = f"{trial.seconds or trials.limit(trial.exercise):.3g} s"
    where = f"on '{trial.cases[len(trial.got)].label}'"
    return trial.feedback(
        "FAIL",
        f"Your function was still running after {limit} ({where}) and was stopped: is there a loop "
        "that never ends? (Seconds of the processor: on the clock it can be more.)",
    )


def another_form(trial: Trial) -> Feedback | None:
    """Results of another type or shape: they may be why a function does not end elsewhere."""
    for case, g, w in trial.pairs:
        text = disagreement(g, w, trial.exercise.rtol, trial.exercise.atol)
        if text and not same_form(*in_the_form_of(g.value, w.value)):
            return trial.feedback("FAIL", f"On {case.describe(trial.signature)}:\n{text}")
    return None


def changes_an_argument(trial: Trial) -> Feedback | None:
    changed = [name for o in trial.got for name in o.changed] or [
        name for o in trial.got if "leaf" in told_by(o.error) for name in trial.exercise.gradients
    ]
    frozen = [name for o in trial.got for name in o.frozen]
    if frozen and not changed:
        return trial.feedback(
            "FAIL",
            f"Your function leaves its argument `{frozen[0]}` with another `requires_grad`: who "
            "uses it next gets other gradients, or none. `torch.no_grad()` or `.detach()` do "
            "without that.",
        )
    if not changed:
        return None
    return trial.feedback(
        "FAIL",
        f"Your function changes its argument `{changed[0]}` in place: work on a copy, or use an "
        "operation without `_`.",
    )


def returns_nothing(trial: Trial) -> Feedback | None:
    none = [g.returned_none and not w.returned_none for _, g, w in trial.pairs]
    if not any(none):
        return None
    if trial.mistake:  # where None is an answer, a mistake can give it, too
        return trial.feedback("FAIL", trial.mistake.sentence, mistake=trial.mistake)
    text = "Your function returns nothing (None): is there a `return`?"
    if all(g.printed for g in trial.got if g.returned_none):
        text = "Your function prints and returns nothing (None): put `return` where `print` is."
    if any(w.returned_none for w in trial.want) and not all(g.returned_none for g in trial.got):
        wrong = [pair for pair, is_none in zip(trial.pairs, none, strict=True) if is_none]
        case, _, want = min(wrong, key=lambda pair: pair[0].size)
        text = f"On {case.describe(trial.signature)}:\nYour function returns None, where a result "
        text += f"was expected: {in_parts(want.value)}."
    return trial.feedback("FAIL", text)


def in_parts(value) -> str:
    """A result in a few words, its parts by their names."""
    if isinstance(value, dict):
        return ", ".join(f"{name} = {describe(part)}" for name, part in value.items())
    return describe(value)


def gives_a_generator(trial: Trial) -> Feedback | None:
    if not any(g.generator and not w.generator for _, g, w in trial.pairs):
        return None
    return trial.feedback(
        "FAIL",
        "Your function gives a generator: is there a `yield`, or round brackets round a loop, "
        "where all of the result is to be returned?",
    )


def the_engine_changed(trial: Trial) -> Feedback | None:
    if not (trial.got and trial.tampered):  # in this order: it is known when the answer has run
        return None
    return trial.feedback(
        "NOT RUN",
        "Your function changes the check itself: what it gives counts for nothing. The check was "
        "put back as it was.",
    )


def right_by_the_courses_code(trial: Trial) -> Feedback | None:
    """Right results that somebody else's code has computed."""
    if trial.wrong or not trial.called:
        return None
    name, called = trial.exercise.function, trial.called[0]
    if called is trial.exercise.solution() and not trial.exercise.is_the_librarys():
        what = f"the course's version of `{name}`"
    elif called is trial.exercise.oracle or called in trial.exercise.variants:
        what = "what the check compares with"
    else:
        what = f"`{called.__module__}.{called.__qualname__}`, which is the library's version"
    return trial.feedback(
        "NOT RUN",
        f"Your function calls {what}: the results are right, and not yours. Write it out, and run "
        "your own cell before this one.",
    )


def right(trial: Trial) -> Feedback | None:
    """Right results: the probes have a look, and it passes."""
    if trial.wrong:
        return None
    exercise = trial.exercise
    text = trials.probe(exercise, trial.answer, trial.seconds)
    if text:
        return trial.feedback("FAIL", text)
    feedback = trial.feedback("PASS", *([exercise.done] if exercise.done else []))
    # what the course's version returned (``want`` may hold an oracle's array)
    courses = trials.of_the_course(exercise)
    for name, found, courses_own in parts_of(trial.got, courses):
        was = found.kind if isinstance(found, Array) else type(found).__name__
        if not exercise.observe and trials.is_tensor(courses_own) and was != "tensor":
            what = {"array": "a NumPy array", "number": "a plain number"}.get(was, f"a {was}")
            what += f" for `{name}`" if name else ""
            feedback.notices.append(
                f"It returns {what}; the course's version returns a tensor. The values are right; "
                "if a later cell stumbles, return `torch.as_tensor(...)` of it."
            )
            break
    left = next((name for o in trial.got for name in o.left_behind), None)
    if left and not any(o.left_behind for o in courses):
        feedback.notices.append(
            f"It leaves `{left}` with gradients or in a mode that it did not have before."
        )
    return feedback


def parts_of(got: list[Outcome], want: list[Outcome]):
    """Name (None for a result that is one), value and the course's value of every part."""
    for g, w in zip(got, want, strict=True):
        if isinstance(g.value, dict) and isinstance(w.value, dict):
            yield from ((n, g.value[n], v) for n, v in w.value.items() if n in g.value)
        else:
            yield None, g.value, w.value


def is_valid(trial: Trial) -> bool:
    """Whether the results are bounds, if not the tightest: :attr:`Exercise.valid` says so."""
    exercise = trial.exercise

    def values(x):
        return x.values if isinstance(x, Array) else x

    def fine(case, g, w):
        if g.error or not disagreement(g, w, exercise.rtol, exercise.atol):
            return not g.error
        try:
            return bool(exercise.valid(values(g.value), values(w.value), case))
        except (TypeError, ValueError, AttributeError):  # a result of another kind is no bound
            return False

    return bool(exercise.valid) and all(fine(*each) for each in trial.pairs)


def a_known_mistake(trial: Trial) -> Feedback | None:
    if not trial.mistake:
        return None
    status = "VALID BUT LOOSE" if is_valid(trial) else "FAIL"
    return trial.feedback(status, trial.mistake.sentence, mistake=trial.mistake)


def valid_but_loose(trial: Trial) -> Feedback | None:
    return trial.feedback("VALID BUT LOOSE", trial.exercise.loose) if is_valid(trial) else None


def an_exception(trial: Trial) -> Feedback | None:
    failed = next(((c, o) for c, o, _ in trial.pairs if o.error), None)
    if failed is None:
        return None
    return trial.feedback("EXCEPTION", in_words(*failed, trial.answer, trial.signature))


def seen_by_a_probe(trial: Trial) -> Feedback | None:
    # a probe takes results of the right form for granted: on others its own troubles would speak
    text = trial.right_form and trials.probe(
        trial.exercise, trial.answer, trial.seconds, right=False
    )
    return trial.feedback("FAIL", text) if text else None


def the_smallest_failing_case(trial: Trial) -> Feedback:
    case, text = min(trial.wrong, key=lambda pair: pair[0].size)
    got, want = next((g, w) for c, g, w in trial.pairs if c is case)
    if want.value is None and not got.error:
        text = f"Your function returns {in_parts(got.value)}; expected None."
    text += pattern([(g.value, w.value) for _, g, w in trial.pairs])
    return trial.feedback("FAIL", f"On {case.describe(trial.signature)}:\n{text}")


def in_words(case: Case, outcome: Outcome, answer, signature) -> str:
    """An exception in the learner's code: what, on which input, in which line of theirs."""
    code = core(answer)
    mine = getattr(code, "co_filename", None)
    frames = traceback.extract_tb(outcome.error.__traceback__)
    lines = [f.lineno for f in frames if f.filename == mine]
    text = f"{trials.short(outcome.error)}\nOn {case.describe(signature)}"
    line = linecache.getline(mine, lines[-1]).strip() if lines else ""
    return f"{text}, in your line `{line}`." if line else f"{text}."


# --- the rules in their order ----------------------------------------------------------------

BEFORE = (not_there, not_a_function, the_courses_own, the_bug_as_given, called_otherwise)
AFTER = (
    the_engine_changed,
    the_stub,
    out_of_time,
    changes_an_argument,
    returns_nothing,
    gives_a_generator,
    right_by_the_courses_code,
    right,
    a_known_mistake,
    valid_but_loose,
    an_exception,
    seen_by_a_probe,
    the_smallest_failing_case,
)


def first(rules, trial: Trial) -> Feedback | None:
    """The feedback of the first rule that has some."""
    return next((feedback for rule in rules if (feedback := rule(trial))), None)


def judge(exercise: Exercise, answer, seconds: float | None = None) -> Feedback:
    """What ``answer`` is worth; shows and remembers nothing, raises nothing for a wrong one."""
    return judged(Trial(exercise, answer, seconds))


def judged(trial: Trial) -> Feedback:
    """What the answer of ``trial`` is worth."""
    early = first(BEFORE, trial)
    if early:
        return early
    feedback = first(AFTER, trial)
    # only what has the right form: a figure of the lesson must be able to draw it
    feedback.ran = (
        not trial.late
        and not any(o.error or o.returned_none for o in trial.got)
        and (feedback.status == "PASS" or trial.right_form)
    )
    if feedback.status in ("UNATTEMPTED", "NOT RUN"):
        return feedback
    try:
        own_names = inspect.signature(trial.answer)
    except (TypeError, ValueError):
        own_names = trial.signature
    leans = leaning.sentence(leaning.leans_on(trial.answer), trial.cases[0].named(own_names))
    printed = "".join(outcome.printed for outcome in trial.got).splitlines()
    if printed:
        feedback.notices.append(
            f"It printed {len(printed)} lines while it was checked, the first: {printed[0][:80]!r}"
        )
    if leans and feedback.status == "PASS":
        feedback.notices.append(f"It passes. {leans}")
    elif leans:
        feedback.sentences.insert(0, leans)
    return feedback
