"""How long a lesson takes: the exercises' minutes from the registry, the rest by stated speeds."""

from dataclasses import dataclass

from .lesson import Lesson, Section, Task

WORDS = 180  # of a lesson's text, read in a minute: with its formulas, slower than a novel's 240
LINES = 30  # of code that is run and not written, looked at in a minute
ASKED = {"predict": 1, "quiz": 1, "answer": 4}  # minutes for a question of each kind

# What learners have needed for lessons that were planned shorter. The measurement is one range
# for these four lessons together: "learners needed 105 to 130 minutes for 02, 03, 05 and 07".
MEASURED = dict.fromkeys((2, 3, 5, 7), (105, 130))
SOURCE = "Learners who tried lessons 02, 03, 05 and 07 needed 105 to 130 minutes for each."


@dataclass(frozen=True)
class Row:
    """Minutes of a section, or of a lesson: what is for everybody, and what is optional."""

    title: str
    reading: float
    questions: float
    exercises: float
    optional: float

    @property
    def total(self) -> float:
        return self.reading + self.questions + self.exercises


def reading(section: Section, optional: bool = False) -> float:
    """Minutes for the texts and the code of a section."""
    return section.words[optional] / WORDS + section.lines[optional] / LINES


def questions(section: Section, optional: bool = False) -> float:
    """Minutes for predictions, quizzes and short answers."""
    return float(sum(ASKED[kind] for kind, _ in section.asked[optional]))


def exercises(tasks: list[Task], optional: bool = False) -> float:
    """The registry's minutes of those exercises that are, or are not, optional."""
    return float(sum(task.exercise.minutes for task in tasks if task.optional == optional))


def row(section: Section) -> Row:
    """The row of one section."""
    optional = reading(section, True) + questions(section, True)
    optional += exercises(section.tasks, True)
    return Row(
        section.title, reading(section), questions(section), exercises(section.tasks), optional
    )


def timetable(lesson: Lesson) -> list[Row]:
    """A row for each section, and the sum as the last one."""
    rows = [row(section) for section in lesson.sections]
    parts = ("reading", "questions", "exercises", "optional")
    return [*rows, Row("Sum", *(sum(getattr(r, part) for r in rows) for part in parts))]


def factor(lesson: Lesson) -> float:
    """By how much learners were slower than the sum says: the middle of what was measured.

    1 where nothing was measured, or they were not slower.
    """
    if lesson.number not in MEASURED:
        return 1.0
    return max(1.0, sum(MEASURED[lesson.number]) / 2 / timetable(lesson)[-1].total)
