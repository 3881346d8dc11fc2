"""Box-constrained L-BFGS: ``minimize`` for many problems at once, ``plain`` for one, to be read.

Neither knows anything of networks.
"""

from . import plain
from .batched import CONVERGED, INTERRUPTED, STATUS, Result, minimize

__all__ = ["CONVERGED", "INTERRUPTED", "STATUS", "Result", "minimize", "plain"]
