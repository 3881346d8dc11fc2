"""A pretended GPU, for tests on machines that have none.

Inside ``with pretended_gpu():`` a tensor that is made on "cuda", or moved there, says that it lies
there, computes on the processor, and refuses what a GPU refuses, in torch's own words: operations
with tensors of the processor (single numbers aside), ``.numpy()``, a generator of the processor, an
index on the GPU for a tensor of the processor. ``torch.cuda`` answers as it does with one GPU. It
finds wrong devices, not wrong kernels. Everything is deterministic. ::

    with pretended_gpu() as gpu:
        net = zoo.load("FC10(1)", device="cuda")
        ...
    assert gpu.operations > 0

In tests: the fixtures ``pretended_gpu`` and ``gpu`` (tests/conftest.py); ``gpu`` runs a test twice,
here and, where there is one, on a real GPU. As a program it runs the solved lessons::

    python -m tests.pretended_gpu          # all of them
    python -m tests.pretended_gpu 04 07    # these

How it is done: a tensor on the GPU is an :class:`OnGpu`, a wrapper round a tensor of the processor
that does the work. Python reads ``cuda:0`` as its device. C++ reads ``lazy:0``, a device of torch
that nobody uses: unlike "cpu", it makes torch's own C++ code (``one_hot``, a backward through
``.cpu()``, ``x[index]``) put things on the right side, and unlike "cuda" it needs no driver. A
dispatch mode sees every operation, checks its devices and unwraps what it computes with.

Random numbers of the GPU have a stream of their own, and other values than the processor's from the
same seed, as on a real one.

Known gaps: what a GPU refuses here is sometimes refused earlier or later than there, and never
with its asynchronous errors. A gradient of the wrong device passes the engine, if no operation
follows. ``resize_``, ``set_``, a ``.data`` of another shape, sparse and quantised tensors,
autocast, ``torch.compile`` and CUDA graphs are refused or not pretended. ``torch.as_tensor``
copies a tensor that lies on the GPU already. A module whose graph is still alive cannot be moved.
Optimizers take their loop over the parameters, not the fused kernels. A thread started inside does
not pretend. ``from torch import Generator`` before the pretence stays the real one, and
``torch.Generator`` inside is a subclass of it. ``max_memory_allocated`` sees only the moments at
which it, or ``memory_allocated``, is asked. torch remembers for the rest of the process that a GPU
was used: only the place from which "no NVIDIA driver" is raised changes.
"""

import contextlib
import functools
import sys

import torch

from .cuda import Gpu, load, own
from .operations import STATE, Generator, Mode, RealGenerator
from .tensors import NAME

MEMORY = 16 * 2**30
COMPILER = "torch._dynamo.trace_rules"


def _forget_answers() -> None:
    """An optimizer imports torch's compiler, which keeps a table of torch.cuda's functions."""
    if COMPILER in sys.modules:
        sys.modules[COMPILER].get_torch_obj_rule_map.cache_clear()


@contextlib.contextmanager
def pretended_gpu(memory: int = MEMORY):
    """Pretend, inside the block, that there is one GPU. Yields a :class:`Gpu`.

    memory: in bytes; a result that is larger raises torch.OutOfMemoryError.
    Raises RuntimeError inside another pretence. Afterwards, also after an exception, torch is as
    before; tensors that are kept go on computing.
    """
    if STATE:
        raise RuntimeError(f"There is a {NAME} already: one pretence at a time.")
    gpu = Gpu(memory)
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    lifts = torch._C._only_lift_cpu_tensors()
    real_load = torch.load
    with contextlib.ExitStack() as after:
        if COMPILER not in sys.modules:
            after.callback(_forget_answers)
        for name, answer in gpu.answers().items():
            after.callback(setattr, torch.cuda, name, getattr(torch.cuda, name))
            setattr(torch.cuda, name, own(answer))
        after.callback(setattr, torch, "Generator", RealGenerator)
        torch.Generator = Generator
        after.callback(setattr, torch, "load", real_load)
        torch.load = functools.partial(load, real_load)
        # a moved parameter stays the same object, as on a GPU: its inside is swapped
        after.callback(torch.__future__.set_swap_module_params_on_conversion, swaps)
        torch.__future__.set_swap_module_params_on_conversion(True)
        # torch.tensor(..., device="cuda") is to be seen by the mode, not done below it
        after.callback(torch._C._set_only_lift_cpu_tensors, lifts)
        torch._C._set_only_lift_cpu_tensors(True)
        after.callback(setattr, torch.backends.cuda.matmul, "allow_tf32", tf32[0])
        after.callback(setattr, torch.backends.cudnn, "allow_tf32", tf32[1])
        torch._C._ensureCUDADeviceGuardSet()  # a guard that does nothing, where there is no driver
        STATE.append(gpu)
        after.callback(STATE.clear)
        with Mode():
            yield gpu
