"""One answer in a process of its own: what runs there, and what it tells the grader.

:func:`main` is the whole process. It tells its story as lines of JSON, each as soon as it is
known: ``ready``, then (when the student's code has run) ``defined``, ``ran`` with what the answer
gave on the cases, ``done`` with the verdict. A ``called`` in between says that the answer runs a
function of the course's own. None of it is believed without need: :mod:`.grade` compares the
results itself.
"""

import functools
import json
import linecache
import os
import sys
import traceback

import torch

from ..exercises import find, running
from ..exercises.exercise import Exercise, core
from ..exercises.feedback import Feedback
from ..exercises.judging import judged
from ..exercises.trial import Trial, engine_untouched
from . import plan, watch, wire

running.OURS.update({__file__, watch.__file__, wire.__file__})

FILES = 200_000_000  # bytes of a file that is written
SWITCHED_OFF = "Your code changes the check itself: what it gives counts for nothing."


class _Watched(Trial):
    """A trial whose results are told as soon as they are there."""

    def __init__(self, exercise: Exercise, answer, seconds: float, tell):
        super().__init__(exercise, answer, seconds)
        self.tell = tell

    @property
    def courses(self):
        e = self.exercise
        return [e.solution(), *([e.oracle] if e.oracle else []), *e.twins, *e.variants]

    @property
    def got(self):
        if "told" not in vars(self):
            self.told = True
            with engine_untouched(self):
                done, late = self._ran
            self.tampered |= self.unwatched
            self.tell("ran", got=[wire.packed_outcome(one) for one in done], late=late)
        return self._ran[0]


def main(job: dict, sender) -> None:
    """Run the answer of ``job``, and tell ``sender``, the end of a pipe, what came of it.

    job: slug; text: of the cell; steps: [kind, text] of what comes before it; home: a folder of its
    own; environment; seconds: of processor time for the cell, and for its function; memory: bytes.
    """

    def tell(what: str, **more):
        sender.send_bytes(json.dumps({"what": what, **more}).encode("utf-8", "backslashreplace"))

    try:
        _apart(job)
        exercise = find(job["slug"])
        names = _prepared(job)
        exercise.draw(), exercise.solution()
    except BaseException as error:  # the course's fault, or the machine's
        tell("broken", text="".join(traceback.format_exception_only(error)).strip())
        return
    _limited(job)
    tell("ready")
    try:
        feedback = _graded(job, exercise, names, tell)
    except BaseException as error:  # the check's own, and nobody knows why
        tell("broken", text="".join(traceback.format_exception_only(error)).strip())
        return
    tell("done", **{n: getattr(feedback, n) for n in ("status", "sentences", "notices", "mistake")})


def _apart(job: dict) -> None:
    """Leave the grader's session, folder, environment and outputs."""
    if hasattr(os, "setsid"):
        os.setsid()
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["home"])
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        setattr(sys, name, open(os.devnull, mode, encoding="utf-8", errors="replace"))  # noqa: SIM115
    sys.argv = ["answer"]
    torch.set_num_threads(1)


def _limited(job: dict) -> None:
    """No more memory than now and ``job["memory"]``, no endless file, no core (POSIX)."""
    try:
        import resource
    except ImportError:  # Windows: the grader's clock alone
        return

    def limit(which, most: int):
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(which, (most, most))
        except (ValueError, OSError):  # a system that does not know this one
            return

    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, FILES)
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + job["processor"]) + 1)
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # macOS, which keeps no such limit either
        return
    limit(resource.RLIMIT_AS, size + job["memory"])


def _prepared(job: dict) -> dict:
    """The names that the lesson's cells give, before anything of the student's has run."""
    names = {"__name__": "__main__", "display": lambda *a, **k: None}
    _of_the_course(job, names)
    for number, (kind, text) in enumerate(job["steps"]):
        if kind == "released":
            exec(compile(plan.plain(text), f"<lesson {number}>", "exec"), names)
    return names


def _of_the_course(job: dict, names: dict) -> None:
    """Bind the course's versions of the other exercises that the answer uses."""
    for kind, text in job["steps"]:
        if kind == "course":
            exercise = find(text)
            names[exercise.function] = exercise.solution()


def _graded(job: dict, exercise: Exercise, names: dict, tell) -> Feedback:
    """Run the student's cells and judge the answer."""
    trial = _Watched(exercise, None, job["seconds"], tell)
    before = _state(exercise)
    stage = ["cell"]
    codes = {core(f): f"{f.__module__}.{f.__qualname__}" for f in trial.courses}
    once = functools.cache(lambda what, text, when: tell(what, text=text, when=when))
    ears = watch.Ears(
        lambda text: once("noticed", text, ""), lambda: once("switched", SWITCHED_OFF, "")
    )

    def called(name: str):
        once("called", name, stage[0])

    with watch.Watch(codes, called) as look:
        ears.open("cell")
        with engine_untouched(trial):
            for number, (kind, text) in enumerate(job["steps"]):
                if kind == "own":
                    _run(text, f"<own {number}>", names, job)
            # a helper may stand in the cell of another answer, which is not to count here
            _of_the_course(job, names)
            names.pop(exercise.function, None)
            problem = _run(job["text"], f"<answer {exercise.slug}>", names, job)
        ears.close()
        off = look.is_off()
    tell("defined")
    if trial.tampered or off or _state(exercise) != before:
        return trial.feedback("NOT RUN", SWITCHED_OFF)
    if problem and (exercise.function not in names or problem.status == "FAIL"):
        return problem
    if exercise.function not in names:
        return trial.feedback(
            "FAIL", f"The cell defines no `{exercise.function}`: the name of the stub has to stay."
        )
    stage[0] = "function"
    trial.answer = names[exercise.function]
    with watch.Watch(codes, called):
        # what the answer gives; the judgement below runs the course's version itself
        if callable(trial.answer):
            ears.open("function")
            _ = trial.got
            ears.close()
    if trial.tampered or _state(exercise) != before:
        return trial.feedback("NOT RUN", SWITCHED_OFF)
    feedback = judged(trial)
    if problem:
        feedback.notices.append(f"After its definition: {problem.sentence}")
    return feedback


def _state(exercise: Exercise) -> dict:
    """All that an exercise consists of, to see whether it was changed."""
    return {n: list(v) if isinstance(v, list) else v for n, v in vars(exercise).items()}


def _run(text: str, name: str, names: dict, job: dict) -> Feedback | None:
    """Run a cell of the student's; what is to be said if it did not come to its end."""
    text = plan.plain(text)
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    about = job["slug"]
    try:
        code = compile(text, name, "exec")
    except plan.UNREADABLE as error:
        line = getattr(error, "lineno", None)
        said = getattr(error, "msg", None) or str(error)
        where = f", line {line}: `{(getattr(error, 'text', '') or '').strip()}`" if line else ""
        return Feedback("EXCEPTION", about, [f"Python cannot read the cell: {said}{where}."])
    try:
        with running.time_limit(job["seconds"]):
            exec(code, names)
    except running.TimeIsUp:
        text = f"The cell was still running after {job['seconds']:.3g} s of the processor and was "
        return Feedback("FAIL", about, [f"{text}stopped: is there a loop that never ends?"])
    except BaseException as error:  # whatever the student's code raises
        return Feedback("EXCEPTION", about, [_in_words(error, name)])
    return None


def _in_words(error: BaseException, name: str) -> str:
    from ..exercises.trials import short

    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    line = linecache.getline(name, lines[-1]).strip() if lines else ""
    where = f", in the line `{line}`" if line else ""
    if isinstance(error, SystemExit):
        return f"The cell ended the program{where}: the answer's cell has to go on."
    memory = " (there is a limit on its memory)" if isinstance(error, MemoryError) else ""
    return f"The cell stopped with {short(error)}{memory}{where}."
