"""Several jobs of one worker, one after the other: ``python series.py WORKER.py job.json ...``.

What a worker imports takes it longer than a small budget. It is imported once, and every job then
runs in a process of its own, forked from this one before any network or thread is there: nothing
of one job is left when the next begins. A job that fails leaves no answer; the others are done.
"""

import importlib
import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """The worker and its jobs of the command line."""
    worker, *jobs = sys.argv[1:]
    importlib.import_module(Path(worker).stem)
    for job in jobs:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        code = 1
        try:
            sys.argv = [worker, job]
            runpy.run_path(worker, run_name="__main__")
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)


if __name__ == "__main__":
    main()
