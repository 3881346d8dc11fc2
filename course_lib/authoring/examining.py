"""An exercise examined: is each of its answers judged as it is meant to be?

``course build`` and tests/test_exercises.py ask the same functions, so that an author reads the
same sentence in both: file and line, what is there, what to do.
"""

import contextlib
import copy
from collections.abc import Callable

from ..exercises import running, sources, trials
from ..exercises.exercise import Exercise, Mistake
from ..exercises.feedback import Feedback
from ..exercises.judging import judge
from ..exercises.trial import Trial
from .cards import short
from .ground import edits, groundwork
from .spots import one_line, place_of, spot, stub_of

Judged = tuple[Feedback | None, list[str]]


def _judged(exercise: Exercise, answer: Callable) -> Judged:
    """The feedback for an answer; where none can be had, a sentence why."""
    try:
        return judge(exercise, answer), []
    except Exception as error:  # an author's code, or what the ground is not laid for
        told = groundwork(exercise)
        at, what = spot(error, exercise), one_line(trials.short(error))
        return None, told or [f"{at}: {exercise.slug!r} cannot be judged: {what}"]


def reference(exercise: Exercise) -> Judged:
    """The solution, as if a learner had written it: it must PASS, without a notice."""
    feedback, told = _judged(exercise, sources.own_copy(exercise.solution()))
    if told or (feedback.status == "PASS" and not feedback.notices):
        return feedback, told
    slug, said = exercise.slug, one_line(feedback.sentence)
    stub = stub_of(exercise)
    if feedback.status == "PASS":
        notice = one_line(feedback.notices[0])
        return feedback, [f"{stub}: the solution of {slug!r} passes with a notice: {notice}"]
    trial = Trial(exercise, sources.own_copy(exercise.solution()))
    if trial.late or not trial.wrong:
        return feedback, _objections(exercise, stub, feedback)
    if exercise.oracle:
        here = place_of(exercise.oracle, exercise)
        text = f"the oracle of {slug!r} and the solution ({stub}) disagree: mend the one that is "
        return feedback, [f"{here}: {text}wrong. Of the solution it says: {said}"]
    return feedback, [f"{stub}: the solution of {slug!r} is judged {feedback.status}: {said}"]


def _objections(exercise: Exercise, stub: str, feedback: Feedback) -> list[str]:
    """Right results that do not pass: a probe objects to them, or a rule for all exercises."""
    answer, slug = sources.own_copy(exercise.solution()), exercise.slug
    for probe in exercise.probes:
        alone = copy.copy(exercise)
        alone.probes = [probe]
        text = trials.probe(alone, answer)
        if not text:
            continue
        said = f"the probe {_name(probe)} of {slug!r}"
        if isinstance(text, str):
            said += f" objects to the solution: {one_line(text)} Mend one of the two."
        else:
            said += f" returns {short(text)}: it returns a sentence, or None where all is well."
        return [f"{place_of(probe, exercise)}: {said}"]
    said = one_line(feedback.sentence)
    return [f"{stub}: the solution of {slug!r} is judged {feedback.status}: {said}"]


def _name(function) -> str:
    return getattr(function, "__name__", type(function).__name__)


def variant(exercise: Exercise, function: Callable) -> Judged:
    """Another right answer, which must PASS."""
    feedback, told = _judged(exercise, function)
    if told or feedback.status == "PASS":
        return feedback, told
    return feedback, [
        f"{place_of(function, exercise)}: the variant {_name(function)} of {exercise.slug!r} is "
        f"judged {feedback.status}, and a variant must PASS: {one_line(feedback.sentence)}"
    ]


def mistake(exercise: Exercise, wrong: Mistake) -> Judged:
    """A wrong answer, which must get its own sentence."""
    where, slug = wrong.where or exercise.where, exercise.slug
    told = f"{where}: the mistake {wrong.name!r} of {slug!r}"
    if unfit := edits(exercise, [wrong]):
        return None, unfit
    feedback, problems = _judged(exercise, exercise.wrong_answer(wrong))
    status = "VALID BUT LOOSE" if wrong.loose else "FAIL"
    if problems or (feedback.status == status and feedback.sentences == [wrong.sentence]):
        return feedback, problems
    if feedback.status == "PASS":
        text = "passes: no case tells it from the solution; draw one, or drop it."
    elif feedback.mistake == wrong.name:
        text = (
            f"is judged {feedback.status}, not {status}: say loose={not wrong.loose}, or mend "
            "`valid`."
        )
    elif feedback.mistake:
        text = (
            f"and the mistake {feedback.mistake!r} give the same on every case: draw a case that "
            "tells them apart, or drop one."
        )
    elif not isinstance(feedback.sentence, str):
        text = (
            f"is told {short(feedback.sentence)} by a probe: a probe returns a sentence, or None "
            "where all is well."
        )
    else:
        text = (
            f"is told another sentence than its own, which a rule for all exercises says first: "
            f"{feedback.status}: {one_line(feedback.sentence)} Write it otherwise, or drop it."
        )
    return feedback, [f"{told} {text}"]


def right_shape(exercise: Exercise, wrong: Mistake) -> bool:
    """Whether no look at the shapes of the results tells that the answer is wrong."""
    results, late = trials.outcomes(exercise, exercise.wrong_answer(wrong))
    told = [
        running.disagreement(got, want, exercise.rtol, exercise.atol) or ""
        for got, want in zip(results, trials.expected(exercise), strict=True)
    ]
    shapes = any("shape" in text or "expected a" in text for text in told)
    return not (late or shapes or any(got.error for got in results))


def shapes(exercise: Exercise) -> list[str]:
    """At least one mistake must have results of the right shape."""
    with contextlib.suppress(ValueError, SyntaxError):  # an edit that does not fit is told
        if any(right_shape(exercise, wrong) for wrong in exercise.mistakes):
            return []
        return [
            f"{exercise.where}: none of the {len(exercise.mistakes)} mistakes of {exercise.slug!r} "
            "has results of the right shape, and such are the hard ones: write at least one."
        ]
    return []
