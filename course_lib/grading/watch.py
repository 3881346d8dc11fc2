"""What an answer does that it need not do: who calls the course's functions, and what else.

Calls are seen by the functions' code, whatever name holds them: from Python 3.12 on by
``sys.monitoring``, which sees every thread and costs nothing elsewhere; in 3.11 by a profile
function in this thread and in those that it starts. To switch that off is heard by an audit hook,
which Python lets nobody take away.
"""

import sys
import threading
import types
from collections.abc import Callable, Mapping

from .. import storage
from ..exercises import running

TOOL, NAME = 4, "course"
OWN = ("<answer ", "<own ")  # how the files of the student's cells begin
# event -> what it is; "looked at", no more: it may have its reasons
EVENTS = {
    "code.__new__": "makes code out of other code",
    "os.fork": "starts another process",
    "os.posix_spawn": "starts another process",
    "os.exec": "starts another program",
    "os.system": "starts another program",
    "subprocess.Popen": "starts another program",
    "os.kill": "sends signals to processes",
    "os.killpg": "sends signals to processes",
    "socket.connect": "connects to the network",
}


class Ears:
    """Hears what the student's code does, from :meth:`open` to :meth:`close`.

    noticed: gets what is to be looked at; switched: is called when something, be it only for a
    moment, replaces the profile function by which calls are seen. Both at once, as it happens.
    """

    def __init__(self, noticed: Callable[[str], None], switched: Callable[[], None]):
        self.noticed, self.switched = noticed, switched
        self.stage = ""
        sys.addaudithook(self._hear)

    def open(self, stage: str) -> None:
        """Listen: a "cell" may call the check, which profiles; a "function" may not."""
        self.stage = stage

    def close(self) -> None:
        self.stage = ""

    def _hear(self, event: str, arguments: tuple) -> None:
        if not self.stage:
            return
        if event == "sys.setprofile":
            caller = sys._getframe(1)
            ours = caller.f_code.co_filename in running.OURS
            # the limit on its time does it, too, on top of a frame of the student's
            surprise = caller.f_code is running._surprise.__code__ or caller.f_code in _INNER
            if not surprise and not (ours and self.stage == "cell") and _students(caller):
                self.switched()
        elif event in EVENTS:
            self.noticed(EVENTS[event])
        elif event == "open" and _is_the_courses(arguments[0]) and not _imports(sys._getframe(1)):
            self.noticed("reads the course's own files")


_INNER = {c for c in running._surprise.__code__.co_consts if isinstance(c, types.CodeType)}


def _students(frame) -> bool:
    """Whether code of the student's cells is running in ``frame`` or below it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(OWN):
            return True
        frame = frame.f_back
    return False


def _imports(frame) -> bool:
    return "importlib" in frame.f_code.co_filename


def _is_the_courses(path) -> bool:
    """Whether ``path`` is text of the course: a module, or a solved lesson."""
    if not isinstance(path, str) or not path.endswith((".py", ".ipynb")):
        return False
    return path.startswith((str(storage.PACKAGE), str(storage.PACKAGE.parent / "solutions")))


class Watch:
    """Inside: ``told(name)`` is called at once when one of the functions begins to run.

    names: code -> the name of the function whose code it is.
    """

    def __init__(self, names: Mapping[types.CodeType, str], told: Callable[[str], None]):
        self.names, self.told = dict(names), told
        self.monitors = hasattr(sys, "monitoring")

    def __enter__(self):
        if not self.monitors:
            threading.setprofile(self._look)
            sys.setprofile(self._look)
            return self
        m = sys.monitoring
        m.use_tool_id(TOOL, NAME)
        m.register_callback(TOOL, m.events.PY_START, self._start)
        for code in self.names:
            m.set_local_events(TOOL, code, m.events.PY_START)
        return self

    def __exit__(self, *_):
        if not self.monitors:
            threading.setprofile(None)
            sys.setprofile(None)
        elif sys.monitoring.get_tool(TOOL) == NAME:
            for code in self.names:
                sys.monitoring.set_local_events(TOOL, code, 0)
            sys.monitoring.free_tool_id(TOOL)

    def is_off(self) -> bool:
        """Whether somebody has switched it off."""
        if not self.monitors:
            return sys.getprofile() != self._look
        m = sys.monitoring
        return m.get_tool(TOOL) != NAME or any(
            m.get_local_events(TOOL, code) != m.events.PY_START for code in self.names
        )

    def _look(self, frame, event, arg):
        if event == "call" and frame.f_code in self.names:
            self.told(self.names[frame.f_code])

    def _start(self, code, offset):
        if code in self.names:
            self.told(self.names[code])
