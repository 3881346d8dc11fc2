"""A lesson as the guide needs it: read from the solved notebook and the registry, never typed.

What a section, an exercise or a figure is stands in the notebook; minutes, hints, wrong answers,
rubrics in :mod:`course_lib.exercises`; the discussion and exam questions, and which exercises lead
to which objective, in :mod:`.questions`.
"""

import importlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from .. import storage, workcopy
from ..alternatives import KINDS, picture_in
from ..cells import metadata, source
from ..classroom import needs
from ..exercises import lessons
from ..exercises.answers import ShortAnswer
from ..exercises.exercise import Exercise
from ..exercises.predictions import Prediction
from ..exercises.quizzes import Quiz
from .questions import Question

# a text is cut where another heading or an optional part begins
CUT = re.compile(r"(?m)^(?=#{1,3} |\*Optional |\(Optional, )")
HEADING = re.compile(r"(#{1,3}) (.*)")
TO_THE_END = re.compile(r"\*Optional \([^)]*to the end of this section\)|\(Optional, up to section")
ALONE = re.compile(r"\*Optional \(|Optional: ")
FOLDED = re.compile(r"<details>.*?</details>", re.S)
ASKED = re.compile(r"\b(predict|quiz|answer)\(\s*[\"']([a-z0-9.-]+)[\"']")
OPENING = "Opening"
# the opening says the same once more: nobody reads both
TRANSLATED = re.compile(r'<div dir="rtl".*?</div>', re.S)


class GuideError(RuntimeError):
    """Why there is no guide; the message says what to do."""


@dataclass(eq=False)
class Task:
    """An exercise in its lesson. asks: the task, as Markdown; needs: slugs that it builds on."""

    exercise: Exercise
    label: str
    asks: str
    solution: str
    optional: bool
    needs: list[str] = field(default_factory=list)

    @property
    def slug(self) -> str:
        return self.exercise.slug


@dataclass
class Figure:
    """A picture that the solved lesson draws. text: what is there for who cannot see it."""

    name: str  # of its file, as 04-field-1.png
    data: bytes  # of a PNG or a JPEG
    text: str
    caption: str  # Markdown


@dataclass
class Section:
    """What stands below one heading. words, lines: of texts and of code that is not an exercise.

    Each list and number is a pair: what is for everybody, and what the lesson calls optional.
    """

    title: str
    words: list[int] = field(default_factory=lambda: [0, 0])
    lines: list[int] = field(default_factory=lambda: [0, 0])
    asked: list[list[tuple[str, str]]] = field(default_factory=lambda: [[], []])
    tasks: list[Task] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)


@dataclass
class Lesson:
    """All that the guide says of a lesson; predictions, quizzes and answers by slug."""

    name: str
    title: str
    objectives: list[str]
    serves: list[tuple[str, ...]]  # for each objective, the slugs of the exercises that lead to it
    before: str
    time: str
    sections: list[Section]
    predictions: dict[str, Prediction]
    outcomes: dict[str, str]  # slug of a prediction -> what came out, as the lesson says it
    quizzes: dict[str, Quiz]
    answers: dict[str, ShortAnswer]
    models: dict[str, str]  # slug of a short answer -> the answer in the solved lesson
    discussion: list[Question]
    exam: list[Question]

    @property
    def number(self) -> int:
        return int(self.name[:2])

    @property
    def tasks(self) -> list[Task]:
        return [task for section in self.sections for task in section.tasks]


def chosen(asked: list[str] | None) -> list[str]:
    """The lessons that ``asked`` (4, 04, 04_box) means, in order; all of them for None.

    Raises WorkError for one that does not exist.
    """
    known = workcopy.lessons()
    if asked is None:
        return sorted(known)
    if not asked:
        raise ValueError("No lesson was named: leave --lessons out for all of them.")
    return sorted({workcopy.find(name, known) for name in asked})


def read(name: str) -> Lesson:
    """The lesson ``name``. Raises GuideError where there is no checkout, WorkError for a notebook
    that cannot be read."""
    root = storage.checkout()
    if root is None:
        raise GuideError(
            "The guide is made from the solved lessons, which come with the repository and not "
            "with the installed package: clone it, and run `course guide` there."
        )
    cells = workcopy.load(root / "solutions" / f"{name}.ipynb")["cells"]
    found = lessons().get(int(name[:2]))
    exercises = {e.slug: e for e in found.EXERCISES} if found else {}
    opening = source(cells[0])
    title, _, rest = opening.partition("\n")
    lesson = Lesson(
        name=name,
        title=title.removeprefix("# "),
        objectives=_objectives(rest),
        before=_paragraph(rest, "Before it"),
        time=_paragraph(rest, "Time:"),
        sections=_sections(cells, exercises),
        predictions=dict(found.PREDICTIONS) if found else {},
        outcomes={},
        quizzes=dict(found.QUIZZES) if found else {},
        answers=dict(found.ANSWERS) if found else {},
        models=_models(cells),
        **_questions(int(name[:2])),
    )
    lesson.outcomes = _outcomes(cells, lesson.predictions)
    _dependencies(lesson, exercises)
    _pictures(lesson, cells)
    return lesson


def _objectives(text: str) -> list[str]:
    """The items of the list behind "After this lesson"; where it is a sentence, that alone."""
    part = re.search(r"\*\*After this lesson\*\*[^\n]*\n\n(- .*?)(?:\n\n|\Z)", text, re.S)
    if part is None:
        sentence = _paragraph(text, "After this lesson").rstrip(".")
        return [sentence] if sentence else []
    return [" ".join(item.split()).rstrip(";.") for item in re.split(r"(?m)^- ", part[1])[1:]]


def _paragraph(text: str, begins: str) -> str:
    part = re.search(rf"(?m)^\*\*{re.escape(begins)}\*\*(.*?)(?:\n\n|\Z)", text, re.S)
    return " ".join(part[1].split()) if part else ""


def _sections(cells: list[dict], exercises: dict[str, Exercise]) -> list[Section]:
    sections, until, number = [Section(OPENING)], 0, 0
    tasks: dict[str, Task] = {}
    for cell in cells:
        role, text = metadata(cell).get("course", {}), source(cell)
        if cell["cell_type"] == "markdown":
            slug = role.get("task")
            for part in CUT.split(FOLDED.sub("", TRANSLATED.sub("", text))):
                head = None if slug else HEADING.match(part)
                if head and len(head[1]) == 2:
                    sections.append(Section(head[2]))
                if head and until >= len(head[1]):  # this heading ends the optional part
                    until = 0
                if head and head[2].endswith("(optional)"):
                    until = len(head[1])
                elif TO_THE_END.match(part):
                    until = 2
                body = _formulas_on_a_line(part)
                body = body.partition("\n")[2].strip() if HEADING.match(part) else body
                optional = bool(until or ALONE.match(body))
                sections[-1].words[optional] += len(re.findall(r"[^\W_]\S*", body))
                if slug and HEADING.match(part):
                    number += 1
                    label = f"{exercises[slug].lesson}.{number}"
                    tasks[slug] = Task(exercises[slug], label, body, "", optional)
                    sections[-1].tasks.append(tasks[slug])
        elif role.get("exercise"):
            tasks[role["exercise"]].solution = text.strip()
        elif not role:
            lines = [x for x in text.splitlines() if x.strip() and not x.startswith("assert")]
            asked = ASKED.findall(text)
            sections[-1].asked[bool(until)] += asked
            if not asked and cell["id"] not in ("imports", "progress"):
                sections[-1].lines[bool(until)] += len(lines)
    return sections


def _models(cells: list[dict]) -> dict[str, str]:
    """The answers that the solved lesson gives to the short questions."""
    found = {}
    pattern = re.compile(r"""\banswer\(\s*["']([a-z0-9.-]+)["'],\s*((?:f?"[^"\n]*"\s*)+),?\s*\)""")
    for cell in cells:
        if cell["cell_type"] == "code":
            for slug, texts in pattern.findall(source(cell)):
                found[slug] = "".join(re.findall(r'"([^"\n]*)"', texts))
    return found


def _outcomes(cells: list[dict], predictions: dict[str, Prediction]) -> dict[str, str]:
    """What came out, by the sentence that the solved lesson's run has printed."""
    said = [_plain(output) for cell in cells for output in cell.get("outputs", [])]
    found = {}
    for slug, prediction in predictions.items():
        for text in said:
            result = re.search(r"It came out as (.*?): ", text)
            if text.startswith(prediction.question) and result:
                found[slug] = result[1]
    return found


def _plain(output: dict) -> str:
    text = output.get("data", {}).get("text/plain", "")
    return text if isinstance(text, str) else "".join(text)


def _dependencies(lesson: Lesson, exercises: dict[str, Exercise]) -> None:
    released = workcopy.load(workcopy.lessons()[lesson.name])["cells"]
    functions = {slug: e.function for slug, e in exercises.items()}
    for task in lesson.tasks:
        task.needs = needs.of(released, [task.slug], functions).given


def _pictures(lesson: Lesson, cells: list[dict]) -> None:
    """The figures, each with the text that reads it."""
    titles = [section.title for section in lesson.sections]
    place = 0  # of the section in which the cell stands
    for i, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            heads = re.findall(r"(?m)^## (.*)", source(cell))
            place = titles.index(heads[-1]) if heads else place
            continue
        outputs = cell.get("outputs", [])
        drawn = [found for o in outputs if (found := picture_in(o.get("data", {})))]
        for k, picture in enumerate(drawn, 1):
            section = lesson.sections[place]
            name = picture_of(lesson.name, cell["id"], k, picture.kind)
            caption = _formulas_on_a_line(_reads(cells, i))
            text = picture.text or f"Figure of the section “{section.title}”."
            section.figures.append(Figure(name, picture.data, text, caption))


def picture_of(lesson: str, cell: str, number: int, kind: str) -> str:
    """The name of a picture's file: lesson, cell, which of the cell's pictures."""
    return f"{lesson[:2]}-{cell}-{number}.{KINDS[kind]}"


def _reads(cells: list[dict], place: int) -> str:
    """The first paragraph of the text behind a cell, which reads its figure; else of that before.

    Questions may stand between them.
    """
    after = (c for c in cells[place + 1 : place + 4])
    before = reversed(cells[:place])
    for group in (after, before):
        for cell in group:
            text = source(cell).strip()
            if cell["cell_type"] == "markdown" and "task" not in metadata(cell).get("course", {}):
                if not text.startswith("#"):
                    return text.split("\n\n")[0]
                if group is before:
                    return text.partition("\n")[2].strip().split("\n\n")[0]
                break
    return ""


def _formulas_on_a_line(text: str) -> str:
    """``text`` with each formula on one line: a reader of Markdown may ask for that."""
    return re.sub(r"(?<!\$)\$[^$]+\$", lambda found: " ".join(found[0].split()), text)


def _questions(number: int) -> dict[str, list]:
    name = f"{__package__}.questions.lesson{number:02d}"
    if not Path(__file__).with_name("questions").joinpath(f"lesson{number:02d}.py").is_file():
        return {"discussion": [], "exam": [], "serves": []}
    module = importlib.import_module(name)
    return {
        "discussion": list(module.DISCUSSION),
        "exam": list(module.EXAM),
        "serves": list(module.SERVES),
    }
