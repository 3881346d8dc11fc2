"""Tasks that measure nothing, and runs of them by processes that are killed, or run at once.

    python -m tests.pretended_tasks killed                 ten runs, each killed at a random moment
    python -m tests.pretended_tasks together FOLDER        two runs at once, into FOLDER

The processes are forks of one that has no threads: a fork of the tests' own process could wait for
ever for a lock that one of its threads holds.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
import types
from pathlib import Path

from course_lib.reproduce import command, running, tasks
from course_lib.reproduce.task import Task

SECONDS = 0.01  # that a pretended task takes
KILLS = 10


def pretended(network, seed, settings):
    """A measurement of no network: a number for each seed, and a line in a log."""
    time.sleep(SECONDS)
    if log := os.environ.get("PRETENDED_LOG"):
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{seed}\n")
    return {"value": random.Random(seed).random(), "of": network}


def install(setitem, setattribute) -> list[Task]:
    """Twelve pretended tasks, of a record of their own, in place of all tables."""
    kind = types.SimpleNamespace(
        measure=pretended, needs=lambda task: [], cost=lambda task: 1.0 + task.seed
    )
    record = tasks.Record(("pretended",), lambda made: {str(t.seed): r for t, r in made.items()})
    setitem(tasks.EXPERIMENTS, "pretended", kind)
    setattribute(tasks, "RECORDS", {"pretended": record})
    found = [Task("pretended", "net", seed) for seed in range(12)]
    setattribute(tasks, "of_table", lambda mode, table: found)
    return found


def no_report(setitem, setattribute) -> list:
    """The report's place taken by a list of what it is asked for."""
    asked = []
    module = types.ModuleType("course_lib.reproduce.report")
    module.write = lambda folder, mode: asked.append((folder, mode)) or []
    setitem(sys.modules, module.__name__, module)
    setattribute(sys.modules["course_lib.reproduce"], "report", module)
    return asked


def run_all(every):
    running.run(every, progress=False)


def main() -> None:
    """See the module's docstring."""
    for_good = dict.__setitem__, setattr
    every, fork = install(*for_good), multiprocessing.get_context("fork")
    if sys.argv[1] == "killed":
        running.run(every[:1], progress=False)  # what is imported is imported
        rng = random.Random(0)
        for _ in range(KILLS):
            child = fork.Process(target=run_all, args=(every,))
            child.start()
            time.sleep(rng.uniform(0.005, 0.05))
            os.kill(child.pid, signal.SIGKILL)
            child.join()
        return
    no_report(*for_good)
    how = {"mode": "quick", "output": Path(sys.argv[2]), "jobs": 1, "progress": False}
    runs = [fork.Process(target=command.reproduce, kwargs=how) for _ in range(2)]
    for child in runs:
        child.start()
    for child in runs:
        child.join()
    sys.exit(max(abs(child.exitcode) for child in runs))


if __name__ == "__main__":
    main()
