"""A process for each answer, begun fresh and ended in time.

On POSIX it is a fork of a server that has imported the course from the disk, once, and never runs
anything of a student's; elsewhere (Windows) it is a new Python, which takes seconds.
"""

import json
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from .. import storage
from ..exercises.running import PATIENCE
from . import runner

PREPARED = 240  # seconds until the lesson's own cells have run
JUDGED = 90  # seconds for the course's own part of a judgement
MOST_BYTES = 100_000_000  # of all messages of a process
MOST_MESSAGES = 200
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH")
_starting = threading.Lock()


def environment(home: Path) -> dict[str, str]:
    """The variables of an answer's process: nothing of the grader's own but where programs lie."""
    found = {name: os.environ[name] for name in KEPT if name in os.environ}
    paths = [str(storage.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    return found | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "HOME": str(home),
        "TMPDIR": str(home),
        "COURSE_HOME": str(home / "course"),
        "COURSE_DEVICE": "cpu",
        "COURSE_STATIC": "1",
        "TQDM_DISABLE": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(home),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def prepare() -> None:
    """Start the server of the processes, if there is to be one and it does not run.

    Whoever grades in several threads calls this before they begin: while the server starts, with an
    environment of its own, the variables of this process are others.
    """
    with _starting:
        _context()


def _context():
    """How processes are made; the server is started with an environment of its own."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    if _lives(forkserver):
        return context
    context.set_forkserver_preload([f"{__package__}.server"])
    before, inside = dict(os.environ), environment(Path(tempfile.gettempdir()))
    os.environ.clear()
    try:
        os.environ.update(inside)
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


def _lives(forkserver) -> bool:
    """Whether the server runs; where that cannot be told, False.

    multiprocessing itself looks only when it starts one, and would start it with all variables of
    this process if it had died meanwhile.
    """
    server = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if server is None or not hasattr(os, "waitid"):
        return False
    try:  # WNOWAIT: multiprocessing is to find its end itself
        return os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def told(job: dict) -> Iterator[dict]:
    """What the process of ``job`` tells, message by message, until it ends or its time is up.

    The last message is the grader's own: {"what": "over", "why"}, why: "end", "time" or the exit
    status of a process that ended before it was done. What follows a "done" is not read.
    """
    with _starting:
        context = _context()
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=runner.main, args=(job, sender), daemon=True)
        process.start()
        sender.close()
    messages: queue.Queue = queue.Queue()
    # a thread reads: half a message, or a pipe that a grandchild keeps open, must stop nobody
    threading.Thread(target=_read, args=(receiver, messages), daemon=True).start()
    patient = PATIENCE * job["seconds"] + 5
    own = sum(kind == "own" for kind, _ in job["steps"])
    limits = {
        "start": PREPARED,
        "ready": (own + 1) * patient,
        "defined": patient,
        "ran": patient + JUDGED,
    }
    until = time.monotonic() + limits["start"]
    try:
        while True:
            try:
                message = messages.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                yield {"what": "over", "why": "time"}
                return
            if message is None:
                process.join(5)
                code = process.exitcode
                yield {"what": "over", "why": "unreadable" if code is None else code}
                return
            yield message
            if message["what"] in ("done", "broken"):
                yield {"what": "over", "why": "end"}
                return
            if message["what"] in limits:
                until = time.monotonic() + limits.pop(message["what"])
    finally:
        _end(process)


def _read(receiver, messages: queue.Queue) -> None:
    """Put every message into the queue, None at the end, at what is none, or at too many."""
    left = MOST_BYTES
    try:
        for _ in range(MOST_MESSAGES):
            data = receiver.recv_bytes(left)
            left -= len(data)
            message = json.loads(data.decode("utf-8"))
            if not isinstance(message, dict) or not isinstance(message.get("what"), str):
                raise ValueError("no message")
            messages.put(message)
    except (EOFError, OSError, ValueError, RecursionError):
        pass
    finally:
        messages.put(None)
        receiver.close()


def _end(process) -> None:
    """End the process and all of its session."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # gone, or no session of its own yet
            process.kill()
    else:
        process.kill()
    process.join(10)
