"""What to say to a wrong answer: where it differs from the right one, on the smallest such input.

The exercise's own cases are tried, the smallest first, as the check tries an answer's.
"""

import functools
import warnings

from ..exercises import running
from ..exercises.exercise import Exercise, Mistake
from ..exercises.running import disagreement
from ..exercises.trials import short

MOST = 400  # characters of a sentence: who reads more than that aloud?
SECONDS = 10.0  # for a wrong answer: one that never ends differs by that


@functools.cache
def differences(exercise: Exercise) -> dict[str, str]:
    """Name of a wrong answer -> where it differs, in words; none where no result shows it."""
    sizes = [case.size for case in exercise.draw("cpu")]
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    right: dict[int, running.Outcome] = {}
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the wrong answers
        for mistake in exercise.mistakes:
            if text := _difference(exercise, mistake, order, right):
                found[mistake.name] = text
    return found


def _difference(exercise: Exercise, mistake: Mistake, order: list[int], right: dict) -> str:
    function, signature = exercise.wrong_answer(mistake), exercise.signature()
    cases, untouched = exercise.draw("cpu"), exercise.draw("cpu")
    for i in order:
        if i not in right:
            one, same = exercise.draw("cpu")[i], exercise.draw("cpu")[i]
            right[i] = running.call(exercise.solution(), one, same, exercise, signature)
        where = cases[i].describe(signature)  # before the answer may change it
        try:
            with running.time_limit(SECONDS):
                got = running.call(function, cases[i], untouched[i], exercise, signature)
        except running.TimeIsUp:
            said = "It does not come to an end."
        else:
            said = disagreement(got, right[i], exercise.rtol, exercise.atol)
            if got.error and said:
                said = f"It stops with {short(got.error)}."
        if said:
            text = f"On {where}: {said}"
            return text if len(text) <= MOST else f"On {cases[i].label}: {said}"
    return ""
