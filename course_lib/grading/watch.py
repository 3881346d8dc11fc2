"""Who calls the course's functions: seen by their code, whatever name holds them.

From Python 3.12 on by ``sys.monitoring``, which sees every thread and costs nothing elsewhere; in
3.11 by a profile function in this thread and in those that it starts.
"""

import sys
import threading
import types
from collections.abc import Callable, Mapping

TOOL, NAME = 4, "course"


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
