"""What a lesson calls: check an answer, and ask for one's own, or whose a function is.

:mod:`.exercise` is what an exercise is, :mod:`.registry` finds them, :mod:`.trials` runs an answer
on the cases, :mod:`.judging` says what it is worth.

Where checks are strict (:func:`.feedback.strict`), a check that does not pass raises, and still the
later cells run as they do for a learner: the course's version is handed over before, and the check
of a cell that defined nothing (a syntax error) says so (:func:`missing_names`). What a kernel
cannot do for itself is end a cell that loops at its top: a time limit per cell is the business of
whoever executes the notebook (nbgrader: ``ExecutePreprocessor.timeout``, with
``interrupt_on_timeout`` so that the later cells run), or of :mod:`course_lib.grading`.
"""

import sys
from collections.abc import Callable

from .. import cells
from . import find, store
from .feedback import CheckFailed, show, strict
from .judging import is_course_code, judge
from .missing import Missing

_yours: dict[str, Callable] = {}


def check(slug: str, answer) -> Callable:
    """Show what ``answer`` is worth; return it if it passes, else the course's version.

    VALID BUT LOOSE also goes on with the learner's. Raises LookupError for a slug that does not
    exist, and :class:`CheckFailed` for anything but PASS where checks are strict: what would have
    been returned is then bound to the function's name in the cell that asked.
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
    goes_on = answer if kept else solution
    if strict() and feedback.status != "PASS":
        caller = sys._getframe(1)
        if caller.f_locals is caller.f_globals:  # a cell, and not somebody's function
            caller.f_globals[exercise.function] = goes_on
        raise CheckFailed(repr(feedback))
    return goes_on


def missing_names(text: str, names: dict) -> None:
    """Bind in ``names`` what the check in a cell's ``text`` asks for and nothing has defined.

    For the kernel, before it runs a cell; where checks are strict only. The check then says what
    is missing, instead of Python, and the later cells have the course's version. Raises nothing.
    """
    if not strict():
        return
    for kind, slug in cells.CALLS.findall(text):
        try:
            name = find(slug).function if kind == "check" else ""
        except LookupError:  # the check says it
            continue
        if name and name not in names:
            names[name] = Missing(name)


def _watch_cells() -> None:
    """Let the kernel that imports this, if one does, ask :func:`missing_names` before each cell."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:

        def look(info):
            missing_names(info.raw_cell, shell.user_ns)

        shell.events.register("pre_run_cell", look)


_watch_cells()


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
