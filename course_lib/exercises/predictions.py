"""A learner's guess, kept before the result is there and scored after it."""

import dataclasses
import math
import numbers

from . import find, store
from .feedback import Feedback, show


@dataclasses.dataclass(eq=False)
class Prediction:
    """What is asked: a question, the unit of its answer, and with how many digits to show it."""

    question: str
    unit: str = ""
    digits: int = 3
    lesson: int | None = None
    where: str = ""  # file and line: for authors

    def words(self, value) -> str:
        """A number or a range with its unit."""
        if isinstance(value, list | tuple):
            return f"{self._number(value[0])} to {self.words(value[1])}"
        gap = "" if self.unit in ("", "%") else " "
        return f"{self._number(value)}{gap}{self.unit}"

    def _number(self, value: float) -> str:
        # 100 with two digits is "100", not "1e+02"
        whole = 10**self.digits <= abs(value) < 1e6 or round(abs(value)) == 10**self.digits
        return f"{value:.0f}" if whole else f"{value:.{self.digits}g}"


def as_number(value) -> float | None:
    """A finite number, also out of a 0-d tensor; None for anything else."""
    if isinstance(value, bool | str):
        return None
    if not isinstance(value, numbers.Real):
        try:
            value = value.item()
        except (AttributeError, ValueError, RuntimeError):
            return None
    return float(value) if isinstance(value, numbers.Real) and math.isfinite(value) else None


def read_guess(value) -> float | list[float] | str:
    """A guess as it is kept; a sentence for what is no guess."""
    if isinstance(value, list | tuple):
        ends = [as_number(v) for v in value]
        if len(ends) != 2 or None in ends:
            return "A range needs two numbers: `(low, high)`."
        if ends[0] > ends[1]:
            return "The range is upside down: `(low, high)`, the smaller number first."
        return ends
    guess = as_number(value)
    if guess is None:
        return "A prediction is a number or a range `(low, high)`; None makes no prediction."
    return guess


def predict(slug: str, value=None) -> None:
    """Keep the learner's prediction: a number, a range (low, high), or None for no prediction.

    The first one is kept. Raises LookupError for a slug that does not exist.
    """
    prediction = find(slug, "PREDICTIONS")

    def say(*sentences, problem=None):
        show(Feedback("NOTE", prediction.question, list(sentences), [problem] if problem else []))

    if value is None:
        stored = store.read()["predictions"].get(slug, {})
        if "value" in stored:
            return say(f"Your prediction, {prediction.words(stored['value'])}, is kept.")
        text = "No prediction: the lesson goes on without one."
        return say(f"{text} (A number, or a range `(low, high)`, in its place is one.)")
    guess = read_guess(value)
    if isinstance(guess, str):
        return say(guess)

    def keep_first(data):
        entry = data["predictions"].setdefault(slug, {})
        if "value" not in entry:
            entry.update(value=guess, made=store.now(), late="scored" in entry)
        return entry

    entry, problem = store.kept(keep_first)
    words = prediction.words(entry["value"])
    if entry["value"] != guess:
        again = f"Your first prediction, {words}, is the one that is kept"
        return say(f"{again} (not {prediction.words(guess)}).", problem=problem)
    late = " It was made after the result was out." if entry.get("late") else ""
    return say(f"Your prediction is {words}.{late}", problem=problem)


def score(slug: str, actual) -> None:
    """Show what came out beside the prediction of it.

    Raises LookupError for a slug that does not exist, ValueError if ``actual`` is not a number.
    """
    prediction = find(slug, "PREDICTIONS")
    result = as_number(actual)
    if result is None:
        raise ValueError(f"score needs the number that came out as `{slug}`, got {actual!r}.")

    def keep(data):
        entry = data["predictions"].setdefault(slug, {})
        entry.setdefault("scored", {"actual": result, "at": store.now()})
        return entry

    entry, problem = store.kept(keep)
    came_out = f"It came out as {prediction.words(result)}"
    if "value" not in entry:
        sentences = [f"{came_out}. You made no prediction."]
    else:
        guess = entry["value"]
        sentences = [
            f"You predicted {prediction.words(guess)}. {came_out}: {verdict(guess, result)}."
        ]
        if entry.get("late"):
            sentences.append("This prediction was made after the result was out.")
    show(Feedback("NOTE", prediction.question, sentences, [problem] if problem else []))


def verdict(guess: float | list[float], result: float) -> str:
    """How a guess did, in words."""
    if isinstance(guess, list):
        low, high = guess
        if low <= result <= high:
            return "inside your range"
        side, distance = ("below", low - result) if result < low else ("above", result - high)
        return f"{distance:.3g} {side} your range"
    distance = abs(guess - result)
    if distance == 0:
        return "just that"
    off = f"{distance:.3g} {'lower' if guess > result else 'higher'} than you thought"
    if not result:
        return off
    share = distance / abs(result)
    percent = f"{share:.0%}" if share >= 0.01 else "less than 1%"
    return f"{off} ({percent} of the result)"
