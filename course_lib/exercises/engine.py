"""What a lesson calls: check an answer, and ask for one's own, or whose a function is.

:mod:`.exercise` is what an exercise is, :mod:`.registry` finds them, :mod:`.trials` runs an answer
on the cases, :mod:`.judging` says what it is worth.
"""

from collections.abc import Callable

from . import find, store
from .feedback import CheckFailed, show, strict
from .judging import is_course_code, judge

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
