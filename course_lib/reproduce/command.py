"""``course reproduce``: the tables and figures of the paper, measured here, and the report."""

import contextlib
import sys
import warnings
from pathlib import Path

from .. import device, storage
from ..imagenet import needed
from . import folder, helpers, photographs, running
from . import tasks as all_tasks
from .task import Task

OUTPUT = Path("results")


def how_many(jobs: int | None) -> int:
    """Helpers at a time: as asked for; one on a GPU; else one for each core, at most eight (each
    takes about half a gigabyte)."""
    if jobs is not None:
        return jobs
    return 1 if device.pick().type != "cpu" else min(8, running.cores())


def executor_for(jobs: int, scheduler: str | None):
    """(how tasks are done, how many at a time)."""
    if scheduler is not None:
        from . import cluster

        return cluster.on(scheduler), cluster.workers(scheduler)
    if jobs == 1:
        return running.one_by_one, 1
    return helpers.at_once(jobs, max(1, running.cores() // jobs)), jobs


@contextlib.contextmanager
def plain_warnings():
    """Warnings inside are lines of text, as everything else that a command says."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *where, **how: print(message, file=sys.stderr)
        yield


def of_photographs(mode: str, only, wanted: tuple[str, ...], asked: list[Task]) -> str | None:
    """A sentence, where photographs are asked for (``only``: by name) and not measured; else None.

    Raises ValueError with it where nothing else is asked for.
    """
    figures = [table for table in wanted if table in photographs.FIGURES and table != "table5"]
    lacking = needed.missing()
    measured = all_tasks.MODES[mode].photographs
    if not figures or (measured and lacking is None) or not (measured or only):
        return None
    if not measured:
        said = f"The mode {mode} measures no photographs ({', '.join(figures)}): take another."
    else:
        said = f"{', '.join(figures)}: {lacking}"
    if not asked:
        raise ValueError(said)
    return f"{said} The report takes the course's own record of them."


def reproduce(
    only=(),
    mode: str = "default",
    output: Path = OUTPUT,
    scheduler: str | None = None,
    fresh: bool = False,
    jobs: int | None = None,
    progress: bool = True,
) -> list[Path]:
    """Measure what is not finished, write the records and the report to ``output``; their files.

    only: tables and figures, all for none; mode: "quick", "default" or "full"; scheduler: the
    address of a Dask scheduler, whose workers do the tasks; fresh: forget what is finished of what
    is asked for; jobs: how many tasks at a time on this machine.

    Raises ValueError, before any work, for an unknown table or mode and for figures of photographs
    alone where nothing can be measured of them, and running.Stopped, with a
    sentence, where it cannot go on; what is finished is kept then.
    """
    wanted = all_tasks.check_tables(only)
    asked = all_tasks.grid(mode, wanted)
    left_out = of_photographs(mode, only, wanted, asked)
    output = Path(output)
    for place in (output, storage.home()):
        running.check_room(place)
    with plain_warnings():
        for sentence in folder.examine(output, mode):
            print(sentence, file=sys.stderr)
        if left_out:
            print(left_out, file=sys.stderr)
        executor, together = executor_for(how_many(jobs), scheduler)
        results = running.run(
            asked, executor=executor, together=together, fresh=fresh, progress=progress
        )
        # a record holds all that is finished of it, whichever table was asked for today
        rest = [task for task in all_tasks.grid(mode) if task not in results]
        experiments = {task.experiment for task in asked}
        names = [n for n, r in all_tasks.RECORDS.items() if experiments & set(r.experiments)]
        whole = results | running.finished_of(rest)
        files = folder.write(output, mode, names, whole)
        from . import report

        return [*files, *report.write(output, mode)]
