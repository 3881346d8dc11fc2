"""A learner's guess, kept before the result is there and scored after it."""

import dataclasses
import math
import numbers

from . import find, store
from .feedback import Feedback, show


@dataclasses.dataclass(eq=False)
class Prediction:
    """What is asked: a question, the unit of its answer, and with how many digits to show it.

    low, high: what the answer cannot be below or above by what it is, whatever comes out. A number
    in per cent is a share, from 0 to 100, unless they say otherwise (``high=math.inf``).
    """

    question: str
    unit: str = ""
    digits: int = 3
    low: float | None = None
    high: float | None = None
    lesson: int | None = None
    where: str = ""  # file and line: for authors

    def __post_init__(self):
        share = self.unit == "%"
        self.low = self.low if self.low is not None else 0 if share else -math.inf
        self.high = self.high if self.high is not None else 100 if share else math.inf

    def can_be(self, guess: float | list[float]) -> bool:
        """Whether a number, or both ends of a range, is within ``low`` and ``high``."""
        ends = guess if isinstance(guess, list) else [guess]
        return all(self.low <= end <= self.high for end in ends)

    def bounds(self) -> str:
        """What an answer can be, in words."""
        if math.isinf(self.high):
            return f"at least {self.words(self.low)}"
        if math.isinf(self.low):
            return f"at most {self.words(self.high)}"
        return f"from {self.words([self.low, self.high])}"

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
    try:
        number = float(value) if isinstance(value, numbers.Real) else math.nan
    except OverflowError:  # an integer that no float can hold
        return None
    return number if math.isfinite(number) else None


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

    The first one is kept. What the answer cannot be is not: a sentence says so. Raises LookupError
    for a slug that does not exist.
    """
    prediction = find(slug, "PREDICTIONS")

    def say(*sentences, problem=None):
        show(Feedback("NOTE", prediction.question, list(sentences), [problem] if problem else []))

    if value is None:
        data, problem = store.seen()
        stored = data["predictions"].get(slug, {}).get("value")
        if stored is not None and prediction.can_be(stored):
            return say(f"Your prediction, {prediction.words(stored)}, is kept.", problem=problem)
        text = "No prediction: the lesson goes on without one."
        more = "(A number, or a range `(low, high)`, in its place is one.)"
        return say(f"{text} {more}", problem=problem)
    guess = read_guess(value)
    if isinstance(guess, str):
        return say(guess)
    if not prediction.can_be(guess):
        return say(
            f"This cannot come out as {prediction.words(guess)}: it is {prediction.bounds()}. "
            "Nothing was kept: write another guess in its place."
        )

    def keep_first(data):
        entry = data["predictions"].setdefault(slug, {})
        if "value" not in entry or not prediction.can_be(entry["value"]):
            entry.update(value=guess, made=store.now(), late="scored" in entry)
        return entry

    entry, problem = store.kept(keep_first)
    words = prediction.words(entry["value"])
    if entry["value"] != guess:
        again = f"Your first prediction, {words}, is the one that is kept"
        why = "Only the first one counts, a slip of the pen too: a second has been thought over."
        return say(f"{again} (not {prediction.words(guess)}). {why}", problem=problem)
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
    if "value" not in entry or not prediction.can_be(entry["value"]):
        sentences = [f"{came_out}. You made no prediction."]
    else:
        guess = entry["value"]
        sentences = [
            f"You predicted {prediction.words(guess)}. {came_out}: "
            f"{verdict(guess, result, prediction.unit)}."
        ]
        if entry.get("late"):
            sentences.append("This prediction was made after the result was out.")
    show(Feedback("NOTE", prediction.question, sentences, [problem] if problem else []))


def verdict(guess: float | list[float], result: float, unit: str = "") -> str:
    """How a guess did, in words; a distance between percentages is in points."""

    def points(distance):
        text = f"{distance:.3g}"
        if unit != "%":
            return text
        return f"{text} percentage point" if text == "1" else f"{text} percentage points"

    if isinstance(guess, list):
        low, high = guess
        if low <= result <= high:
            return "inside your range"
        side, distance = ("below", low - result) if result < low else ("above", result - high)
        return f"{points(distance)} {side} your range"
    distance = abs(guess - result)
    if distance == 0:
        return "just that"
    off = f"{points(distance)} {'lower' if guess > result else 'higher'} than you thought"
    if not guess * result > 0:  # a multiple of nothing, or of the other sign, tells nothing
        return off
    times = guess / result
    if times >= 1.5:
        return f"{off} (your guess is {times:.2g} times the result)"
    return f"{off} (the result is {1 / times:.2g} times your guess)" if times <= 1 / 1.5 else off
