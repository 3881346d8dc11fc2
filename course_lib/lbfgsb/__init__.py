"""Box-constrained L-BFGS: ``minimize`` for many problems at once, ``plain`` for one, to be read.

``plain``    the method in plain steps, one problem; read it first
``batch``    what the batched engine keeps of each problem, and its two-loop recursion
``batched``  :func:`minimize`: the line search, the stopping tests, restarts
``status``   why it stopped

None of them knows anything of networks.
"""

from . import plain
from .batched import Restart, Result, minimize
from .status import Status

__all__ = ["Restart", "Result", "Status", "minimize", "plain"]
