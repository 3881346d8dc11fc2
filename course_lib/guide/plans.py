"""What to do in an hour, a day and four weeks: computed from the minutes, by the rules below.

*An hour.* Of 60 minutes 10 are for the opening and the discussion; the lesson was read before. Of
the lesson's objectives whole ones are taken, each with all exercises that lead to it and what those
build on: as many as fit, of as many those that fill the time best, of these the earlier. Which
exercises lead to which objective is said by hand (:mod:`.questions`). For the rest the course's
version stands in.

*A day.* Six hours of work, pauses aside. A lesson gets the share of the day that its own minutes
are of the whole course's. Half of its share is for showing the solved lesson, the other half for
exercises, chosen as for an hour. What is left is for home.

*Four weeks.* The lessons in their order, section by section: the texts and the questions, then the
exercises. A session of at most 90 minutes takes what comes next as long as it fits. The sessions
are spread evenly over the weeks.

All minutes are multiplied by :func:`.minutes.factor`; optional parts are in no plan.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import minutes
from .lesson import Lesson, Task

HOUR, FRAME = 60, 10
RULE = (
    "Whole objectives are taken, each with all the exercises that lead to it and those that they "
    "build on: as many as fit, and of as many those that fill the time best."
)
DAY = 360
SESSION, WEEKS = 90, 4


@dataclass(frozen=True)
class Choice:
    """The required exercises of a lesson: done together, and not; minutes: those of the first.

    reached: which of the lesson's objectives, by their places, have an exercise among the first.
    """

    lesson: Lesson
    kept: list[Task]
    left: list[Task]
    minutes: float
    share: float  # the minutes that there are, for all that is done
    reached: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """A section's texts and questions (task None), or an exercise."""

    lesson: Lesson
    section: str
    task: Task | None
    minutes: float


@dataclass
class Session:
    """What is done in one session. week, day: from 1; day counts the sessions of the week."""

    week: int = 0
    day: int = 0
    pieces: list[Piece] = field(default_factory=list)

    @property
    def minutes(self) -> float:
        return sum(piece.minutes for piece in self.pieces)


def with_needs(task: Task, tasks: dict[str, Task]) -> set[str]:
    """The slugs of ``task`` and of all that it builds on, directly or not."""
    found, open_ = set(), [task.slug]
    while open_:
        slug = open_.pop()
        if slug not in found and slug in tasks:
            found.add(slug)
            open_ += tasks[slug].needs
    return found


def fitting(lesson: Lesson, budget: float, share: float) -> Choice:
    """The exercises that fit into ``budget`` minutes: those of whole objectives, as many as fit,
    with what each builds on (an optional one, too)."""
    tasks, slower = {task.slug: task for task in lesson.tasks}, minutes.factor(lesson)
    required = [task for task in lesson.tasks if not task.optional]
    chosen = [(i, _path(slugs, tasks)) for i, slugs in enumerate(lesson.serves)]
    chosen = [(i, path) for i, path in chosen if path]  # some objectives are reached by reading

    def cost(slugs: set[str]) -> float:
        return slower * sum(tasks[slug].exercise.minutes for slug in slugs)

    best: tuple = (0, 0.0, set(), [])
    for count in range(1, len(chosen) + 1):
        for some in itertools.combinations(chosen, count):
            kept = set().union(*(path for _, path in some))
            used = cost(kept)
            if used <= budget and (count, used) > best[:2]:
                best = (count, used, kept, [i for i, _ in some])
    _, used, kept, reached = best
    there = [task for task in lesson.tasks if task.slug in kept]
    left = [task for task in required if task.slug not in kept]
    return Choice(lesson, there, left, used, share, reached)


def _path(slugs: Sequence[str], tasks: dict[str, Task]) -> set[str]:
    """The required exercises among ``slugs``, with all that they build on."""
    wanted = [tasks[slug] for slug in slugs if slug in tasks and not tasks[slug].optional]
    return set().union(*(with_needs(task, tasks) for task in wanted))


def hour(lesson: Lesson) -> Choice:
    """What to do of a lesson in a class of 60 minutes, and what to skip."""
    return fitting(lesson, HOUR - FRAME, HOUR)


def length(lesson: Lesson) -> float:
    """Minutes that a lesson takes without its optional parts, as learners needed them."""
    return minutes.timetable(lesson)[-1].total * minutes.factor(lesson)


def one_day(lessons: Sequence[Lesson]) -> list[Choice]:
    """A day with all of ``lessons``."""
    whole = sum(map(length, lessons))
    shares = [DAY * length(lesson) / whole for lesson in lessons]
    return [fitting(one, share / 2, share) for one, share in zip(lessons, shares, strict=True)]


def pieces(lesson: Lesson) -> list[Piece]:
    """What a lesson consists of, in its order, optional parts left out."""
    slower, found = minutes.factor(lesson), []
    for section in lesson.sections:
        alone = minutes.reading(section) + minutes.questions(section)
        if alone:
            found.append(Piece(lesson, section.title, None, slower * alone))
        for task in section.tasks:
            if not task.optional:
                found.append(Piece(lesson, section.title, task, slower * task.exercise.minutes))
    return found


def four_weeks(lessons: Sequence[Lesson]) -> list[Session]:
    """The sessions, each of at most :data:`SESSION` minutes.

    Raises ValueError for a piece that is longer than a session.
    """
    sessions = [Session()]
    for piece in (piece for lesson in lessons for piece in pieces(lesson)):
        if piece.minutes > SESSION:
            what = piece.task.slug if piece.task else piece.section
            raise ValueError(
                f"{what!r} of lesson {piece.lesson.name[:2]} takes {piece.minutes:.0f} minutes, "
                f"and a session has {SESSION}: cut it in two."
            )
        if sessions[-1].minutes + piece.minutes > SESSION:
            sessions.append(Session())
        sessions[-1].pieces.append(piece)
    for i, session in enumerate(sessions):
        session.week = i * WEEKS // len(sessions) + 1
        session.day = 1 + sum(one.week == session.week for one in sessions[:i])
    return sessions
