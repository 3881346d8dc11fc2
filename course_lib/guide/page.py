"""The guide's pages, as Markdown: one for each lesson, and the index with the plans."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence

from ..exercises.exercise import Mistake
from . import minutes, plans, saying
from .lesson import Figure, Lesson, Task

FIGURES = "figures"  # the folder beside the pages
NOT_SHOWN = "(The solved lesson gives no answer of its own: the rubric is the model.)"


def plain(text: str) -> str:
    """A sentence that is no Markdown, as Markdown; what stands in backquotes stays code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(p if p[:1] == "`" else re.sub(r"([\\*_\[\]<>|#$~^])", r"\\\1", p) for p in parts)


def number(value: float) -> str:
    """Minutes, whole; what is less than half a minute, and not nothing, is "< 1"."""
    return "< 1" if 0 < value < 0.5 else f"{value:.0f}"


def lesson_page(lesson: Lesson) -> str:
    """The page of one lesson."""
    blocks = [f"# Guide to lesson {plain(lesson.title)}", _opening(lesson)]
    blocks += ["## Objectives", *_objectives(lesson.objectives)]
    blocks += ["## Timetable", *_timetable(lesson)]
    blocks += ["## In a class of 60 minutes", *_hour(lesson)]
    blocks.append("## Exercises")
    for task in lesson.tasks:
        blocks += _task(task)
    if lesson.predictions:
        blocks += ["## Predictions", *_predictions(lesson)]
    if lesson.answers:
        blocks += ["## Short answers", *_answers(lesson)]
    if lesson.quizzes:
        blocks += ["## Questions with a choice", *_quizzes(lesson)]
    for title, listed in (("Discussion", lesson.discussion), ("Exam", lesson.exam)):
        if listed:
            blocks.append(f"## {title} questions")
        for i, question in enumerate(listed, 1):
            blocks += [f"### {title} question {i}", question.asks]
            blocks.append(f"**A good answer.** {question.answer}")
    figures = [figure for section in lesson.sections for figure in section.figures]
    if figures:
        blocks.append("## Figures")
        blocks.append("As the solved lesson draws them, for slides; the files lie in `figures/`.")
        for figure in figures:
            blocks += [shown(figure), figure.caption]
    return _joined(blocks)


def shown(figure: Figure) -> str:
    """A figure with its alternative text."""
    return f"![{plain(figure.text)}]({FIGURES}/{figure.name})"


def captions(lessons: Iterable[Lesson]) -> str:
    """The file beside the figures: each file's name, its section and its caption."""
    blocks = ["# Figures of the lessons"]
    for lesson in lessons:
        blocks.append(f"## Lesson {plain(lesson.title)}")
        for section in lesson.sections:
            for figure in section.figures:
                where = plain(section.title)
                blocks.append(f"`{figure.name}` ({where}): {' '.join(figure.caption.split())}")
    return _joined(blocks)


def index(lessons: Sequence[Lesson]) -> str:
    """The first page: the lessons, the plans, and how the minutes are counted."""
    rows = [
        f"| [{plain(x.title)}]({x.name}.md) | {len(x.tasks)} | "
        f"{number(minutes.timetable(x)[-1].total)} | {number(plans.length(x))} | "
        f"{number(minutes.timetable(x)[-1].optional)} |"
        for x in lessons
    ]
    blocks = [
        "# Instructor's guide",
        "It holds the solutions: keep it from the learners. `course guide` makes it anew from the "
        "solved lessons and from what the checks know.",
        "## Lessons",
        _table("| lesson | exercises | minutes | as learners needed | optional, beside |", rows),
        *_speeds(),
        "## A day",
        f"{plans.DAY} minutes of work, pauses aside. Each lesson gets the share of the day that it "
        "has of the whole course. Half of the share is for showing the solved lesson, half for "
        f"exercises. {plans.RULE}",
        _table("| lesson | minutes | together | for home |", map(_day_row, plans.one_day(lessons))),
        "## Four weeks",
        f"Sessions of at most {plans.SESSION} minutes, in the lessons' order; optional parts are "
        "in none of them.",
    ]
    head, week = "| session | minutes | what |", 0
    rows = []
    for session in [*plans.four_weeks(lessons), plans.Session(week=plans.WEEKS + 1)]:
        if session.week != week and rows:
            blocks += [f"### Week {week}", _table(head, rows)]
            rows = []
        week = session.week
        rows.append(f"| {session.day} | {number(session.minutes)} | {_what(session)} |")
    return _joined(blocks)


def _speeds() -> list[str]:
    asked = minutes.ASKED
    return [
        f"Minutes: those of the exercises as their tasks announce them; texts at {minutes.WORDS} "
        f"words a minute, code that is there already at {minutes.LINES} lines a minute, "
        f"{asked['predict']} minute for a prediction, {asked['quiz']} for a question with a "
        f"choice, {asked['answer']} for a short answer.",
        f"{minutes.SOURCE} Where that is more than the sum, all of the lesson's minutes are "
        "multiplied by what leads to the middle of that range (*as learners needed*). The other "
        "lessons were not measured.",
    ]


def _day_row(choice: plans.Choice) -> str:
    kept, left = (", ".join(t.label for t in part) or "-" for part in (choice.kept, choice.left))
    return f"| {plain(choice.lesson.title)} | {number(choice.share)} | {kept} | {left} |"


def _what(session: plans.Session) -> str:
    """The sections of a session; exercises by their numbers."""
    parts: list[str] = []
    last = None
    for piece in session.pieces:
        place = (piece.lesson.name, piece.section)
        if place != last:
            parts.append(f"{piece.lesson.name[:2]} *{plain(piece.section)}*")
        if piece.task:
            parts[-1] += f", exercise {piece.task.label}"
        last = place
    return "; ".join(parts)


def _objectives(listed: list[str]) -> list[str]:
    if len(listed) == 1:
        return [f"After this lesson {listed[0]}."]
    return ["After this lesson you can", *_list(listed)]


def _opening(lesson: Lesson) -> str:
    lines = ["It holds the solutions: keep it from the learners."]
    if lesson.before:
        lines.append(f"**Before it:** {lesson.before}")
    if lesson.time:
        lines.append(f"**Time, as the lesson says it:** {lesson.time}")
    return "\n\n".join(lines)


def _timetable(lesson: Lesson) -> list[str]:
    measured, slower = lesson.number in minutes.MEASURED, minutes.factor(lesson)
    rows = [
        f"| {plain(r.title)} | {number(r.reading)} | {number(r.questions)} | "
        f"{number(r.exercises)} | {number(r.total)} | "
        + f"{number(slower * r.total)} | " * measured
        + f"{number(r.optional)} |"
        for r in minutes.timetable(lesson)
    ]
    head = "| section | reading | questions | exercises | sum | "
    head += "as learners needed | " * measured + "optional, beside |"
    blocks = [_table(head, rows), *_speeds()[:1]]
    if measured:
        blocks.append(
            f"{minutes.SOURCE} The plans therefore multiply this lesson's minutes by "
            f"{slower:.2f}, which makes {number(plans.length(lesson))}."
        )
    return blocks


def _hour(lesson: Lesson) -> list[str]:
    choice = plans.hour(lesson)
    blocks = [
        f"The lesson is read before the class. {plans.FRAME} minutes are for the opening and the "
        f"discussion, {plans.HOUR - plans.FRAME} for exercises. {plans.RULE}"
    ]
    reached = [lesson.objectives[i] for i in choice.reached if len(lesson.objectives) > 1]
    if reached:
        blocks += ["Afterwards they can", *_list(reached)]
    kept = ", ".join(f"{t.label} ({plain(t.exercise.title)})" for t in choice.kept)
    blocks.append(f"**Together** ({number(choice.minutes)} minutes): {kept or 'none fits'}.")
    left = ", ".join(f"{t.label} ({plain(t.exercise.title)})" for t in choice.left)
    optional = [t.label for t in lesson.tasks if t.optional and t not in choice.kept]
    text = f"{left or 'nothing that is required'}" + "".join(f", {x} (optional)" for x in optional)
    blocks.append(f"**Skip:** {text}. The lesson goes on with the course's version.")
    return blocks


def _task(task: Task) -> list[str]:
    exercise = task.exercise
    about = [
        f"{exercise.minutes:g} minutes, as many points",
        f"difficulty {exercise.difficulty} of 5",
        _kind(task),
    ]
    if task.optional:
        about.append("optional")
    if task.needs:
        about.append("builds on " + ", ".join(f"`{slug}`" for slug in task.needs))
    blocks = [f"### {task.label} {plain(exercise.title)} (`{exercise.slug}`)"]
    blocks += ["; ".join(about).capitalize() + ".", task.asks]
    hints = [f"Hint {i}: {' '.join(hint.split())}" for i, hint in enumerate(exercise.hints, 1)]
    blocks += [*_list(hints), "**Solution**", _code(task.solution)]
    blocks.append("**Wrong answers that are recognised**")
    differences = saying.differences(exercise)
    for mistake in exercise.mistakes:
        blocks += _mistake(mistake, exercise.hints, differences.get(mistake.name, ""))
    return blocks


def _kind(task: Task) -> str:
    exercise = task.exercise
    if exercise.buggy():
        return "a bug hunt"
    what = "a class to write" if task.solution.startswith("class ") else "a function to write"
    if exercise.valid:
        what += ", where a valid answer may be loose"
    return what


def _mistake(mistake: Mistake, hints: Sequence[str], difference: str) -> list[str]:
    """What is told, where the error lies, and what to say: first where it shows, if it does."""
    seen = f"Ask what should come out, then have it run. {plain(difference)}" * bool(difference)
    blocks = [f"*{plain(mistake.name)}*", f"> {plain(mistake.sentence)}"]
    if not mistake.edits:
        code = written(mistake.function)
        blocks += ["As code:", _code(code)] if code else []
        say = seen or "Have the result on the smallest input predicted by hand, then run it."
        return [*blocks, f"What to say: {say}{' If that is not enough: hint 1.' * bool(hints)}"]
    slips = [f"{_inline(new)} where the solution has {_inline(old)}" for old, new in mistake.edits]
    blocks.append(f"It has {'; and '.join(slips)}.")
    there = [new for _, new in mistake.edits if new.strip()]
    if there:
        say = f"Ask what {_inline(there[0])} computes, and which words of the task ask for it."
    else:
        say = "Ask which words of the task no line of the code answers to."
    blocks.append(f"What to say: {seen and f'{seen} '}{say}")
    return blocks


def written(function) -> str:
    """The code of a wrong answer, without its decorators; nothing where there is no such text."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        node = ast.parse(text).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return ""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        return ""
    return "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])


def _inline(text: str) -> str:
    """A piece of the solution within a line: code, whatever it holds."""
    words = " ".join(text.split())
    if not words:
        return "nothing"
    return f"`` {words} ``" if "`" in words else f"`{words}`"


def _predictions(lesson: Lesson) -> list[str]:
    items = []
    for slug, prediction in lesson.predictions.items():
        came = lesson.outcomes.get(slug)
        words = f"What comes out: **{plain(came)}**." if came else "The lesson prints no outcome."
        items.append(f"{plain(prediction.question)} {words}")
    return _list(items)


def _answers(lesson: Lesson) -> list[str]:
    blocks = []
    for slug, answer in lesson.answers.items():
        blocks += [f"### {plain(answer.question)}", "A good answer says:"]
        blocks += _list(plain(point) for point in answer.rubric)
        model = lesson.models.get(slug)
        blocks.append(f"**Model answer.** {plain(model)}" if model else NOT_SHOWN)
    return blocks


def _quizzes(lesson: Lesson) -> list[str]:
    blocks = []
    for quiz in lesson.quizzes.values():
        blocks.append(f"### {plain(quiz.question)}")
        blocks += _list(
            f"{'**Right:**' if option.right else 'Wrong:'} {plain(option.text)}. "
            f"{plain(option.why)}".replace(".. ", ". ")
            for option in quiz.options
        )
    return blocks


def _list(items: Iterable[str]) -> list[str]:
    text = "\n".join(f"- {item}" for item in items)
    return [text] if text else []


def _table(head: str, rows: Iterable[str]) -> str:
    rule = "|" + "---|" * (head.count("|") - 1)
    return "\n".join([head, rule, *rows])


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(block.strip("\n") for block in blocks if block.strip()) + "\n"
