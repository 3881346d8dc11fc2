"""What is to be assigned: exercises by their slugs, or whole lessons."""

from collections.abc import Iterable
from dataclasses import dataclass

from .. import workcopy
from ..exercises import find, lessons
from ..grading import points


@dataclass(frozen=True)
class Part:
    """What is assigned of one lesson: points by slug, in the lesson's order.

    whole: the lesson is given out as it is, and not only what its exercises need.
    """

    lesson: str
    points: dict[str, float]
    whole: bool = False


def words(texts: Iterable[str]) -> list[str]:
    """The words in ``texts``, which commas and blanks separate."""
    return [word for text in texts for word in text.replace(",", " ").split()]


def of_exercises(slugs: Iterable[str]) -> list[Part]:
    """The exercises called ``slugs``, a part for each lesson.

    Raises LookupError, with near names, for one that does not exist; ValueError for one that is
    there twice, and for none at all.
    """
    slugs = list(slugs)
    _once(slugs, "exercise")
    chosen = [find(slug) for slug in slugs]
    names = {int(name[:2]): name for name in workcopy.lessons()}
    parts = []
    for number in sorted({exercise.lesson for exercise in chosen}):
        if number not in names:
            raise workcopy.WorkError(f"There is no released notebook of lesson {number:02d}.")
        wanted = {exercise.slug for exercise in chosen if exercise.lesson == number}
        parts.append(Part(names[number], _points(number, wanted)))
    return parts


def of_lessons(asked: Iterable[str]) -> list[Part]:
    """The lessons that ``asked`` (4, 04, 04_box) means, whole.

    Raises WorkError for one that does not exist, ValueError for one that has no exercise or is
    there twice, and for none at all.
    """
    known = workcopy.lessons()
    names = [workcopy.find(name, known) for name in asked]
    _once(names, "lesson")
    parts = []
    for name in sorted(names):
        found = _points(int(name[:2]))
        if not found:
            raise ValueError(f"Lesson {name[:2]} has no exercise: there is nothing to assign.")
        parts.append(Part(name, found, whole=True))
    return parts


def _points(number: int, wanted: set[str] | None = None) -> dict[str, float]:
    listed = lessons()[number].EXERCISES if number in lessons() else ()
    return {e.slug: points(e) for e in listed if wanted is None or e.slug in wanted}


def _once(names: list[str], kind: str) -> None:
    if not names:
        raise ValueError(f"No {kind} was named: nothing is assigned.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Named twice, and assigned once: the {kind} {', '.join(twice)}.")
