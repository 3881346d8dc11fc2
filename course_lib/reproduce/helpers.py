"""Several tasks at a time on one machine: helper processes, each with one task after the other.

A helper is this file, run by Python: it reads a task from its input, a line of JSON, and writes the
result to its output. It ends with the process that started it, however that ends, since its input
ends then. One that dies (no memory, or killed) is replaced, and its task done again.
"""

import contextlib
import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from .. import storage
from . import running
from . import tasks as all_tasks
from .running import Finished, Outcome, Stopped
from .task import Task

TRIES = 3  # of one task: what kills its process three times will do so again
COMMAND = [sys.executable, "-m", __name__]


class Lost(RuntimeError):
    """A helper ended in the middle of a task."""


class Helper:
    """A process that does one task at a time."""

    def __init__(self, threads: int):
        paths = [str(storage.PACKAGE.parent), os.environ.get("PYTHONPATH")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        }
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
        )

    def do(self, task: Task) -> tuple[dict, float]:
        """The result of a task, and its seconds. Raises Lost if the process ends, and Stopped with
        what the task raised."""
        try:
            self.process.stdin.write(json.dumps(dataclasses.astuple(task)) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        if not answer.endswith("\n"):
            raise Lost(f"A process ended in the middle of the task {task}.")
        answer = json.loads(answer)
        if "error" in answer:
            raise Stopped(f"The task {task} failed: {answer['error']}")
        return answer["result"], answer["seconds"]

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


class Shared:
    """The tasks that wait, for several threads, each taken when its networks are there."""

    def __init__(self, tasks: list[Task], finished: Finished):
        self.waiting, self.finished = list(tasks), finished
        self.changed = threading.Condition()
        self.over = False

    def take(self) -> Task | None:
        """The first task that is ready; None when there is none left."""
        with self.changed:
            while self.waiting and not self.over:
                for task in self.waiting:
                    if self.finished.ready(task):
                        self.waiting.remove(task)
                        return task
                self.changed.wait()
            return None

    def more_is_ready(self, over: bool = False) -> None:
        """A task was done and kept: others may be ready now. over: nothing is to be taken more."""
        with self.changed:
            self.over |= over
            self.changed.notify_all()


def at_once(count: int, threads: int = 1) -> running.Executor:
    """An executor with ``count`` helpers, each with so many threads."""

    def executor(tasks: list[Task], finished: Finished) -> Iterator[Outcome]:
        shared, outcomes, helpers = Shared(tasks, finished), queue.Queue(), []
        crew = [
            threading.Thread(target=_work, args=(shared, outcomes, helpers, threads), daemon=True)
            for _ in range(min(count, len(tasks)))
        ]
        for thread in crew:
            thread.start()
        try:
            for _ in tasks:
                outcome = _next(outcomes)
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome  # kept by the time that this goes on
                shared.more_is_ready()
        finally:
            shared.more_is_ready(over=True)
            for helper in list(helpers):
                helper.end()

    return executor


def _next(outcomes: queue.Queue):
    """What is done next; Ctrl-C is heard while it is waited for, on every system."""
    while True:
        with contextlib.suppress(queue.Empty):
            return outcomes.get(timeout=1)


def _work(shared: Shared, outcomes: queue.Queue, helpers: list[Helper], threads: int) -> None:
    """Take tasks until there are none, with a helper of one's own."""
    helper = None
    try:
        while (task := shared.take()) is not None:
            for left in reversed(range(TRIES)):
                if helper is None:
                    helper = Helper(threads)
                    helpers.append(helper)
                try:
                    outcomes.put((task, *helper.do(task)))
                    break
                except Lost as error:
                    helper.end()
                    helpers.remove(helper)
                    helper = None
                    if shared.over:
                        return
                    if not left:
                        raise Stopped(
                            f"{error} It was tried {TRIES} times: there may be too little memory "
                            "for so many at a time (--jobs 1). What is finished is kept."
                        ) from error
                    print(f"{error} It is done again.", file=sys.stderr, flush=True)
    except Exception as error:
        outcomes.put(error)


def serve() -> None:
    """Read tasks, do them, write their results, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a task prints is no result
    for line in sys.stdin:
        task = Task(*json.loads(line))
        began = time.perf_counter()
        try:
            found = {"result": all_tasks.compute(task)}
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        try:
            answers.write(json.dumps(found | {"seconds": time.perf_counter() - began}) + "\n")
            answers.flush()
        except BrokenPipeError:  # the process that asked was killed meanwhile
            os._exit(1)


if __name__ == "__main__":
    serve()
