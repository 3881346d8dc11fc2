"""Grade a notebook: an answer at a time, each in its own process, and believe only results."""

import dataclasses
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import storage, workcopy
from ..cells import Cell, source, text_hash
from ..exercises import find, trials
from ..exercises.exercise import Exercise
from ..exercises.feedback import STATUSES
from ..exercises.judging import is_valid
from ..exercises.trial import Trial
from . import launch, plan, wire
from .submission import Released, Submission, read, released

WORTH = {"PASS": 1.0, "VALID BUT LOOSE": 0.5}  # of an exercise's points
MEMORY = 2 * 2**30
MOST_TEXT, MOST_TEXTS = 2000, 20  # characters of a sentence, and sentences
_engine = threading.Lock()  # the check works on global random numbers: one at a time


@dataclasses.dataclass
class Result:
    """What one exercise is worth in a submission.

    points: of ``most``; status: the check's, or MISSING (no answer was handed in), or NOT GRADED
    (the course's own fault: the points are to be given by hand); sentences: what the learner would
    see; notices: what else is to be said, to the instructor as well; seconds: what grading took.
    """

    slug: str
    points: float
    most: float
    status: str
    sentences: list[str] = dataclasses.field(default_factory=list)
    notices: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        text = f"{self.slug}: {self.points:g} of {self.most:g}, {self.status}."
        return " ".join([text, *self.sentences])


class Totals:
    """What all of its ``results`` are worth together."""

    results: list[Result]

    @property
    def points(self) -> float:
        return sum(result.points for result in self.results)

    @property
    def most(self) -> float:
        return sum(result.most for result in self.results)


@dataclasses.dataclass
class Grade(Totals):
    """A graded submission. notes: what is to be said of the notebook as a whole."""

    name: str
    results: list[Result]
    notes: list[str] = dataclasses.field(default_factory=list)

    def __getitem__(self, slug: str) -> Result:
        return next(result for result in self.results if result.slug == slug)


def points(exercise: Exercise) -> float:
    """What an exercise is worth: a point for each minute that it is planned to take."""
    return float(exercise.minutes)


def grade_notebook(
    path: str | Path,
    exercises: Iterable[str] | None = None,
    *,
    time_limit: float | None = None,
    memory_limit: int = MEMORY,
    lessons: Mapping[str, Path] | None = None,
) -> Grade:
    """Grade the notebook at ``path``; whatever it is, every exercise gets its result.

    exercises: slugs; None: all of the lesson that the notebook says it is. time_limit: seconds of
    processor time for an answer's cell, and again for its function, ten times the course's version
    at least; None: the exercise's own. memory_limit: bytes that an answer may use. lessons: name ->
    released notebook; None: the course's.

    Raises LookupError for an exercise that does not exist, and where ``exercises`` is None and
    the notebook does not say which lesson it is; ValueError for the same exercise twice; WorkError
    for released lessons that are not there. May be called from several threads at once.
    """
    there = workcopy.lessons() if lessons is None else dict(lessons)
    handed_in = read(Path(path))
    chosen = _chosen(handed_in, exercises, there)
    results = []
    for exercise in chosen:
        began = time.monotonic()
        result = _graded(handed_in, exercise, there, time_limit, memory_limit)
        result.seconds = time.monotonic() - began
        results.append(result)
    return Grade(handed_in.name, results, handed_in.notes)


def _chosen(handed_in: Submission, slugs, there: Mapping[str, Path]) -> list[Exercise]:
    if slugs is not None:
        slugs = [slugs] if isinstance(slugs, str) else list(slugs)
        twice = {slug for slug in slugs if slugs.count(slug) > 1}
        if twice:
            raise ValueError(f"An exercise is graded once: {', '.join(sorted(twice))}.")
        return [find(slug) for slug in slugs]
    name = handed_in.lesson if handed_in.lesson in there else Path(handed_in.name).stem
    if name not in there:
        raise LookupError(
            f"{handed_in.name} does not say which lesson it is: name the exercises to be graded."
        )
    from ..exercises import lessons

    number = int(name[:2])
    return list(lessons()[number].EXERCISES) if number in lessons() else []


def _lesson(exercise: Exercise, there: Mapping[str, Path]) -> Released:
    for name, path in there.items():
        if int(name[:2]) == exercise.lesson:
            return released(Path(path))
    raise workcopy.WorkError(f"There is no released notebook of lesson {exercise.lesson:02d}.")


def _graded(
    handed_in: Submission, exercise: Exercise, there, time_limit: float | None, memory: int
) -> Result:
    lesson = _lesson(exercise, there)

    def result(status: str, *sentences: str, notices: Iterable[str] = ()) -> Result:
        most = points(exercise)
        got = most * WORTH.get(status, 0.0)
        return Result(exercise.slug, got, most, status, list(sentences), list(notices))

    if handed_in.problem:
        return result("MISSING", handed_in.problem)
    answer = handed_in.answer(lesson, exercise.slug, exercise.function)
    if answer is None:
        text = "the cell was deleted, or the notebook comes from another release"
        return result("MISSING", f"The notebook has no cell with `{exercise.function}`: {text}.")
    notice = handed_in.check_is(lesson, exercise.slug)
    notices = [notice] if notice else []
    given = lesson.cell("exercise", exercise.slug)
    if not exercise.buggy() and given and text_hash(source(given)) == text_hash(answer.text):
        return result("UNATTEMPTED", exercise.unattempted, notices=notices)
    before = _files()
    told = _told(handed_in, answer, exercise, lesson, time_limit, memory)
    changed = sorted(p.name for p, what in _files().items() ^ before.items())
    if changed:  # by this answer, or by another that ran at the same time
        text = f"While it ran, files of the course were changed ({', '.join(changed[:3])}): look "
        text += "who did it, install the course again, and grade again."
        return result("NOT GRADED", text, notices=notices)
    with _engine:
        status, sentences, more = believed(exercise, told)
    return result(status, *sentences, notices=[*more, *notices])


def _files() -> dict[Path, tuple[int, int]]:
    """When the course's own modules were written, and how long they are."""
    stats = ((path, path.stat()) for path in storage.PACKAGE.rglob("*.py"))
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats}


def _told(
    handed_in: Submission,
    answer: Cell,
    exercise: Exercise,
    lesson: Released,
    time_limit: float | None,
    memory: int,
) -> list[dict]:
    """What the answer's process tells."""
    from ..exercises import lessons

    functions = {e.slug: e.function for e in lessons()[exercise.lesson].EXERCISES}
    steps = plan.steps(answer, handed_in.matched(lesson), lesson, functions, exercise.slug)
    with _engine:
        seconds = trials.limit(exercise, time_limit)
    folder = tempfile.TemporaryDirectory(prefix="course-grade-", ignore_cleanup_errors=True)
    with folder as home:
        home = Path(home).resolve()
        job = {
            "slug": exercise.slug,
            "text": answer.text,
            "steps": [(step.kind, step.text) for step in steps],
            "home": str(home),
            "environment": launch.environment(home),
            "seconds": seconds,
            "processor": 4 * seconds + launch.JUDGED,
            "memory": memory,
        }
        return [*launch.told(job), {"what": "limit", "seconds": seconds}]


class _HandedOver(Trial):
    """A trial whose results came from the answer's own process."""

    def __init__(self, exercise: Exercise, got: list, late: bool):
        super().__init__(exercise, None)
        self._ran = got, late


def believed(exercise: Exercise, told: list[dict]) -> tuple[str, list[str], list[str]]:
    """Status, sentences and notices, out of what an answer's process told.

    That it failed is believed; that it passed only if the results that it handed over are right,
    and if it was not seen to call the course's own functions.
    """
    messages: dict[str, dict] = {}
    for message in told:
        messages.setdefault(message["what"], message)  # the first of each: none is taken back
    called = [m for m in told if m["what"] == "called"]
    if "done" not in messages:
        return _not_done(messages)
    try:
        done = messages["done"]
        status = done["status"]
        texts = (list(done[kind])[:MOST_TEXTS] for kind in ("sentences", "notices"))
        sentences, notices = ([_cut(text) for text in one] for one in texts)
        if status not in STATUSES:
            raise ValueError("no status")
    except (KeyError, TypeError, ValueError):
        return "NOT RUN", ["The answer's process handed over no verdict that can be read."], []
    for text in sorted({_cut(m.get("text")) for m in told if m["what"] == "noticed"}):
        notices.append(f"To be looked at: its code {text}.")
    if any(m.get("when") == "cell" for m in called):
        names = ", ".join(sorted({_cut(m.get("text")) for m in called}))
        notices.append(
            f"To be looked at: while its cell ran, it called the course's own {names}. What it "
            "kept of that cannot be seen."
        )
    if status not in WORTH:
        return status, sentences, notices
    if "switched" in messages:
        return "NOT RUN", [_cut(messages["switched"].get("text"))], notices
    inside = [_cut(m.get("text")) for m in called if m.get("when") != "cell"]
    if inside:
        text = f"Your function calls the course's own `{inside[0]}`: the results are not yours."
        return "NOT RUN", [text], notices
    if not _right(exercise, messages.get("ran"), status):
        text = "The results that were handed over are not the right ones, though the answer's own "
        return "NOT RUN", [f"{text}process says so: it does not count."], notices
    return status, sentences, notices


def _right(exercise: Exercise, ran: dict | None, status: str) -> bool:
    """Whether the results that were handed over are worth ``status``."""
    try:
        want = trials.expected(exercise)
        if ran is None or ran["late"] or len(ran["got"]) != len(want):
            return False
        pairs = zip(ran["got"], want, strict=True)
        got = [wire.unpacked_outcome(data, right) for data, right in pairs]
        trial = _HandedOver(exercise, got, late=False)
        return not trial.wrong if status == "PASS" else is_valid(trial)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return False


def _not_done(messages: dict) -> tuple[str, list[str], list[str]]:
    """What is said of an answer whose process did not come to its end."""
    if "broken" in messages:
        text = _cut(messages["broken"].get("text"))
        what = "check" if "ready" in messages else "lesson's own cells"
        return "NOT GRADED", [f"The {what} did not run: {text}."], []
    why, seconds = messages["over"]["why"], messages["limit"]["seconds"]
    if "ready" not in messages:
        return "NOT GRADED", ["The lesson's own cells did not come to an end."], []
    where = "your function" if "defined" in messages else "the cell"
    if why in ("time", -getattr(signal, "SIGXCPU", 0)):
        text = f"{where[0].upper()}{where[1:]} did not end in its time ({seconds:.3g} s of the "
        return "FAIL", [f"{text}processor) and was stopped: is there a loop that never ends?"], []
    if why == "unreadable":
        text = f"While {where} ran, its process handed over what cannot be read, and was stopped."
        return "EXCEPTION", [text], []
    if why == -9:
        text = f"The system ended the process while {where} ran: was its memory full?"
        return "EXCEPTION", [text], []
    text = f"The process ended while {where} ran (exit status {why}): `os._exit`, or a crash."
    return "EXCEPTION", [text], []


def _cut(text) -> str:
    text = str(text)
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 3]}..."
