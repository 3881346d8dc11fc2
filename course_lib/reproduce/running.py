"""Tasks done one after the other or several at once, each result kept as soon as it is there.

:func:`run` does what is not finished yet. A result lies in a file of its own in the course's
folder, by all that decides it (:mod:`course_lib.kept`): whatever interrupts a run costs the tasks
under way, and the same run goes on from there. Two runs at once write the same things into the same
files, each whole.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator

from .. import storage, zoo
from ..kept import Kept, described, description
from ..training import progress_bar
from . import tasks as all_tasks
from .task import Task

PROGRAM = "reproduce"  # the folder of what is kept
ROOM = 300e6  # bytes: the networks and results of a full run take about a tenth of it


class Stopped(RuntimeError):
    """Why a run cannot go on, in a sentence; what was finished is kept."""


# --- what is finished ----------------------------------------------------------------------------


class Finished:
    """The finished tasks, as they lie in the course's folder."""

    def __init__(self):
        self.kept = Kept(PROGRAM)
        self._networks: dict[tuple[str, int], list] = {}

    def network(self, name: str, seed: int) -> list | None:
        """What decides what a network computes, looked up once; None if it is not trained yet."""
        if (name, seed) not in self._networks:
            if zoo.find(name, seed) is None:
                return None
            self._networks[name, seed] = described(zoo.load(name, seed, progress=False))
        return self._networks[name, seed]

    def ready(self, task: Task) -> bool:
        """Whether all networks that a task needs are there; a training task needs none."""
        needs = all_tasks.experiment(task).needs(task)
        return task.experiment == "training" or all(self.network(*n) is not None for n in needs)

    def what(self, task: Task) -> dict | None:
        """All that decides a task's result; None while a network of it is not there."""
        chosen = all_tasks.experiment(task)
        uses = [self.network(*need) for need in chosen.needs(task)]
        if None in uses:
            return None
        arguments = [task.network, task.seed, task.settings]
        return description(chosen.measure, arguments, uses)

    def find(self, task: Task) -> dict | None:
        """The entry of a task, with "result" and "seconds"; None if it is not finished."""
        what = self.what(task)
        return None if what is None else self.kept.find(what)

    def store(self, task: Task, result: dict, seconds: float) -> None:
        """Keep a result. Raises Stopped where it cannot be written."""
        what = self.what(task)
        if what is None:
            raise Stopped(
                f"A network of the task {task} could not be kept in {storage.home()}: free some "
                "room on its disk, or name another folder in the variable COURSE_HOME. What is "
                "finished is kept, and the same command goes on."
            )
        try:
            self.kept.store(what, result, seconds=round(seconds, 2))
        except OSError as error:
            raise Stopped(
                f"A result could not be kept ({error}): free some room on the disk of "
                f"{storage.home()}, or name another folder in the variable COURSE_HOME. What was "
                "finished before is kept, and the same command goes on."
            ) from error

    def forget(self, tasks: list[Task]) -> None:
        """Forget the results of ``tasks``, and of no others."""
        for task in tasks:
            if (what := self.what(task)) is not None:
                self.kept.path(what).unlink(missing_ok=True)


def check_room(folder) -> None:
    """Raise Stopped, before any work, if there is no room for what a run writes."""
    at = folder.resolve()
    while not at.exists() and at != at.parent:
        at = at.parent
    free = shutil.disk_usage(at).free
    if free < ROOM:
        raise Stopped(
            f"There is too little room: {free / 1e6:.0f} MB are free on the disk of {folder}, and "
            f"{ROOM / 1e6:.0f} MB are wanted. Free some, or choose another folder (--output, or "
            "the variable COURSE_HOME)."
        )


# --- what is left --------------------------------------------------------------------------------


class Estimate:
    """How long the rest takes, from the seconds of what is done.

    A task's first guess is the experiment's ``cost``; the guesses of an experiment are corrected
    by what its tasks took, and while none is done, by what all did.
    """

    def __init__(self, tasks: list[Task]):
        self.open = {task: all_tasks.experiment(task).cost(task) for task in tasks}
        self.guessed: dict[str, float] = {}
        self.taken: dict[str, float] = {}

    def done(self, task: Task, seconds: float) -> None:
        """``task`` is done, and took so many seconds."""
        guess = self.open.pop(task)
        for key in (task.experiment, ""):
            self.guessed[key] = self.guessed.get(key, 0.0) + guess
            self.taken[key] = self.taken.get(key, 0.0) + seconds

    def left(self, together: int = 1) -> float:
        """Seconds until all are done, so many at a time."""
        total = 0.0
        for task, guess in self.open.items():
            key = task.experiment if self.guessed.get(task.experiment) else ""
            total += guess * (self.taken[key] / self.guessed[key] if self.guessed.get(key) else 1)
        longest = max(self.open.values(), default=0.0)
        return max(total / together, longest if together > 1 else 0.0)


def in_words(seconds: float) -> str:
    """A length of time for people.

    >>> in_words(8), in_words(200), in_words(9000)
    ('under a minute', '3 min', '2.5 h')
    """
    if seconds < 45:
        return "under a minute"
    return f"{max(1, round(seconds / 60))} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# --- doing them ----------------------------------------------------------------------------------

# (tasks, what is finished) -> the tasks as they are done, each with its result and seconds
Outcome = tuple[Task, dict, float]
Executor = Callable[[list[Task], Finished], Iterator[Outcome]]


def one_by_one(tasks: list[Task], finished: Finished) -> Iterator[Outcome]:
    """Do the tasks in this process, in their order."""
    for task in tasks:
        entry = finished.find(task)  # another run may have done it meanwhile
        if entry is not None:
            yield task, entry["result"], entry.get("seconds", 0.0)
            continue
        began = time.perf_counter()
        result = all_tasks.compute(task)
        yield task, result, time.perf_counter() - began


def run(
    tasks: list[Task],
    *,
    executor: Executor = one_by_one,
    together: int = 1,
    fresh: bool = False,
    progress: bool = True,
    tell: Callable[[Task, dict, float], None] | None = None,
) -> dict[Task, dict]:
    """The results of all ``tasks``, in their order; those that are not finished are done now.

    executor: how; together: how many it does at a time, for the estimate; fresh: forget what is
    finished of these tasks. tell(task, result, seconds) hears of every one, also of those that were
    finished. Raises Stopped where a result cannot be kept; what is done before stays.
    """
    finished = Finished()
    if fresh:
        finished.forget(tasks)
    results: dict[Task, dict] = {}
    for task in tasks:
        if (entry := finished.find(task)) is not None:
            results[task] = entry["result"]
            if tell:
                tell(task, entry["result"], entry.get("seconds", 0.0))
    waiting = [task for task in tasks if task not in results]
    estimate = Estimate(waiting)
    with progress_bar(len(tasks), "reproduce", progress) as bar:
        bar.update(len(results))
        bar.set_postfix_str(f"about {in_words(estimate.left(together))} left", refresh=True)
        doing = executor(waiting, finished)
        with contextlib.closing(doing):
            for task, result, seconds in doing:
                finished.store(task, result, seconds)
                results[task] = result
                estimate.done(task, seconds)
                bar.set_postfix_str(f"about {in_words(estimate.left(together))} left", False)
                bar.update(1)
                if tell:
                    tell(task, result, seconds)
    return {task: results[task] for task in tasks}


def finished_of(tasks: list[Task]) -> dict[Task, dict]:
    """The results of those of ``tasks`` that are finished; nothing is done."""
    finished = Finished()
    found = ((task, finished.find(task)) for task in tasks)
    return {task: entry["result"] for task, entry in found if entry is not None}


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
