"""The same tasks on a Dask cluster: ``course reproduce --scheduler tcp://HOST:8786``.

The workers compute; the results, and the networks that were trained, come back to the process that
asked, and are kept there. A worker that has not the same networks is sent them, so that workers
need no common folder and all measure the same. A worker that is lost costs the task it was at,
which another does again. ``docs/CLUSTER.md`` says how to start a cluster.
"""

import contextlib
import dataclasses
import queue
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from .. import storage, zoo
from ..sourcecode import code_digest
from . import running
from . import tasks as all_tasks
from .running import Finished, Outcome, Stopped
from .task import Task

TIMEOUT = 10  # seconds, to reach a scheduler, and to wait for a first worker
ALONE = 120  # seconds without any worker after which a run does not wait longer


def _distributed():
    try:
        import distributed
    except ImportError:
        raise Stopped(
            "A cluster needs the package distributed, which is not installed: "
            "pip install 'intriguing-properties-course[cluster]' (in a checkout: pip install -e "
            "'.[cluster]'), or leave out --scheduler."
        ) from None
    return distributed


def connect(address: str):
    """A client of the scheduler at ``address``; Stopped, with a sentence, if there is none."""
    distributed = _distributed()
    try:
        return distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise Stopped(
            f"There is no Dask scheduler at {address!r} ({type(error).__name__}): start one with "
            "`dask scheduler`, and give the address that it prints, as tcp://HOST:8786."
        ) from None


# --- on a worker ---------------------------------------------------------------------------------


def digest_of(experiment: str) -> str:
    """The code that an experiment's tasks run, as a hash."""
    return code_digest(all_tasks.EXPERIMENTS[experiment].measure)


def network_file(name: str, seed: int) -> Path | None:
    """Where a trained network lies; None for one that comes with the course, or is not there."""
    path = zoo.kept() / zoo.file_name(name, seed)
    shipped = (zoo.SHIPPED / path.name).is_file()
    return path if path.is_file() and not shipped else None


def place(networks: dict[str, bytes]) -> None:
    """Write the files of networks into the zoo's folder."""
    for name, data in networks.items():
        with storage.atomic(zoo.kept() / name) as part:
            part.write_bytes(data)


def missing(sums: dict[str, str]) -> list[str]:
    """Which of the zoo's files are not here as they should be: {file name: SHA-256 sum}."""
    paths = {name: zoo.kept() / name for name in sums}
    return [n for n, p in paths.items() if not p.is_file() or storage.sha256(p) != sums[n]]


_ALONE = threading.Lock()  # a worker with several threads does one task at a time


def do(fields: tuple, code: str, sums: dict[str, str], networks: dict[str, bytes]) -> dict:
    """A task, on a worker: its result, its seconds, and the file of the network it trained; or
    which networks are "missing" here.

    fields: of the Task; code: the digest of the code that was asked for; sums: of the files of the
    networks that it needs; networks: the contents of some. Raises RuntimeError where the worker's
    course is another.
    """
    task = Task(*fields)
    if digest_of(task.experiment) != code:
        raise RuntimeError(
            "a worker has another version of the course than the process that asked: install the "
            "same on all machines"
        )
    with _ALONE:
        place(networks)
        if names := missing(sums):
            return {"missing": names}
        began = time.perf_counter()
        found = {"result": all_tasks.compute(task), "seconds": time.perf_counter() - began}
        if task.experiment == "training":
            path = network_file(task.network, zoo.replicate(task.network, task.seed))
            if path is not None:
                found["network"] = (path.name, path.read_bytes())
        return found


# --- in the process that asks --------------------------------------------------------------------


def files_for(task: Task) -> list[Path]:
    """The files of the networks that a task needs, as far as workers may not have them."""
    needs = all_tasks.experiment(task).needs(task)
    return [path for need in needs if (path := network_file(*need)) is not None]


class Cluster:
    """The tasks that are on their way to workers, and come back."""

    def __init__(self, client, finished: Finished):
        self.client, self.finished = client, finished
        self.tasks: dict = {}  # futures -> tasks
        self.done: queue.Queue = queue.Queue()  # futures
        self.sent: dict[Task, dict[str, bytes]] = {}  # the networks that went with a task

    def send(self, tasks: list[Task]) -> list[Task]:
        """Send off those that are ready; return the rest."""
        rest = []
        for task in tasks:
            if self.finished.ready(task):
                self._submit(task)
            else:
                rest.append(task)
        return rest

    def _submit(self, task: Task) -> None:
        sums = {path.name: storage.sha256(path) for path in files_for(task)}
        what = (dataclasses.astuple(task), digest_of(task.experiment), sums)
        # pure=False: a task that is asked for again, by another run, is another one
        future = self.client.submit(do, *what, self.sent.get(task, {}), pure=False)
        self.tasks[future] = task
        future.add_done_callback(self.done.put)

    def receive(self) -> Outcome | None:
        """What is done next, or None where a task was sent again; Stopped where one failed, or all
        workers are gone for long."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                return self._outcome(self.done.get(timeout=2))
            if self.client.status != "running":
                raise Stopped(
                    "The scheduler is gone. What is finished is kept: start it again, and the same "
                    "command goes on."
                )
            if self.client.nthreads():
                began = time.monotonic()
            elif time.monotonic() - began > ALONE:
                raise Stopped(
                    f"The scheduler has had no worker for {ALONE} seconds: start some with `dask "
                    "worker ADDRESS`. What is finished is kept, and the same command goes on."
                )

    def _outcome(self, future) -> Outcome | None:
        """A task's outcome; None where it was sent again, with the networks that were missing."""
        task = self.tasks.pop(future)
        error = future.exception()
        if error is not None:
            raise Stopped(
                f"The task {task} failed on the cluster ({type(error).__name__}: {error}). What is "
                "finished is kept."
            )
        found = future.result()
        if "missing" in found:
            more = {name: (zoo.kept() / name).read_bytes() for name in found["missing"]}
            self.sent[task] = self.sent.get(task, {}) | more
            self._submit(task)
            return None
        self.sent.pop(task, None)
        if "network" in found:
            place(dict([found["network"]]))
        return task, found["result"], found["seconds"]


def workers(address: str) -> int:
    """How many threads the workers have together, at least 1: so many tasks at a time."""
    client = connect(address)
    with contextlib.closing(client):
        return max(1, sum(client.nthreads().values()))


def on(address: str) -> running.Executor:
    """An executor on the cluster of the scheduler at ``address``."""

    def executor(tasks: list[Task], finished: Finished) -> Iterator[Outcome]:
        if not tasks:
            return
        client = connect(address)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")  # of the networks
            try:
                here = Cluster(client, finished)
                rest = here.send(tasks)
                while here.tasks:
                    outcome = here.receive()
                    if outcome is not None:
                        yield outcome
                    rest = here.send(rest)  # the networks of more tasks are there now
            finally:
                if client.status == "running":
                    client.cancel(list(here.tasks))
                client.close()

    return executor
