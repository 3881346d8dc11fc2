"""What the server of the answers' processes imports before it forks: the course, and no more.

It computes nothing: the results of a solution must not lie in the memory of an answer's process.
"""

import contextlib

from ..exercises import lessons
from . import runner

lessons()
# torch imports this, with all of SymPy, when a gradient is first taken by torch.func or in a hook
with contextlib.suppress(ImportError):
    import torch._dynamo  # noqa: F401
__all__ = ["runner"]
