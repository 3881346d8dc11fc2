"""One look-up of the device, one seed.

Everything that makes a tensor asks :func:`pick` where to put it. ``COURSE_DEVICE`` (cpu, cuda,
cuda:1, mps) overrules the choice.
"""

import contextlib
import functools
import os
import random
import warnings

import numpy as np
import torch

from .checked import is_whole, shown

KINDS = ("cpu", "cuda", "mps")


def parse(name: str) -> torch.device:
    """The device called ``name``. Raises ValueError, with the names that exist, if there is none.

    >>> parse("cpu")
    device(type='cpu')
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in KINDS:
        raise ValueError(
            f"There is no device called {name!r}: use one of {', '.join(KINDS)} or, with several "
            "GPUs, cuda:0, cuda:1, ... (in the argument or in the variable COURSE_DEVICE)."
        )
    return device


def smoke_test(device: torch.device) -> str | None:
    """Compute a little on ``device``: None if the result is right, else a sentence that says why.

    A device can be listed and yet be useless (a driver too old for this torch, a GPU too old for
    its kernels, no memory left), so the course tries one before it relies on it: a matrix product,
    a convolution, a singular value and a gradient, compared with what they must give.
    """
    try:
        a = torch.arange(12.0, device=device).reshape(3, 4).requires_grad_()
        total = (a @ a.T).sum() + torch.linalg.svdvals(a.detach() * 0 + 1)[0] ** 2
        total.backward()
        image = torch.ones(1, 1, 4, 4, device=device)
        blurred = torch.nn.functional.conv2d(image, torch.ones(1, 1, 3, 3, device=device))
        got = [float(total.detach()), float(a.grad.sum()), float(blurred.sum())]
    except Exception as error:  # whatever a broken driver raises: the sentence is for the user
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        return f"The device {device} failed its smoke test ({type(error).__name__}: {reason})."
    columns = [0 + 4 + 8, 1 + 5 + 9, 2 + 6 + 10, 3 + 7 + 11]
    # sum(A A^T) is the sum of squared column sums; its gradient is 2 * (column sum) per entry;
    # a 3 x 4 matrix of ones has the singular value sqrt(12)
    want = [sum(c * c for c in columns) + 12, 2 * 3 * sum(columns), 2 * 2 * 9]
    if not np.allclose(got, want, rtol=1e-3):
        return f"The device {device} computes wrongly (got {got}, expected {want})."
    return None


def _best_available() -> str:
    # MPS is not chosen by itself: it has no float64, which the exact computations here need
    return "cuda" if torch.cuda.is_available() else "cpu"


def _is_there(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return True


@functools.cache
def _tested(name: str) -> torch.device:
    device = parse(name)
    if device.type == "cpu":
        return device
    if not _is_there(device):
        problem = f"There is no device {device} on this machine."
    else:
        # figures that are reported must not depend on the 10-bit mantissa of TF32
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        problem = smoke_test(device)
    if problem:
        warnings.warn(f"{problem} The course goes on with the CPU.", stacklevel=3)
        return torch.device("cpu")
    return device


def pick(name: str | torch.device | None = None) -> torch.device:
    """Where to compute: ``name``, else ``$COURSE_DEVICE``, else a working GPU, else the CPU.

    The device is smoke-tested the first time; one that is missing or fails falls back to the CPU
    with a warning that says why. A CUDA device gets TF32 switched off, because the figures that the
    course reports are float32 figures. On a Mac the CPU is the default: MPS has no float64.

    Raises ValueError if there is no such kind of device.
    """
    if name is not None and not isinstance(name, str | torch.device):
        raise TypeError(
            f"A device is a name or a torch.device, not {shown(name)}: use one of "
            f"{', '.join(KINDS)}."
        )
    return _tested(str(name or os.environ.get("COURSE_DEVICE") or _best_available()))


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global random numbers (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries that use the old global generator
    torch.manual_seed(seed)


@contextlib.contextmanager
def same_random_numbers():
    """Whoever draws global random numbers afterwards (of Python, NumPy, torch on the processor and
    the GPUs in use) draws the same as if nothing had been drawn inside the block."""
    python, old_numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(old_numpy)  # noqa: NPY002 - the user's
        torch.set_rng_state(cpu)
        if gpus is not None:
            torch.cuda.set_rng_state_all(gpus)


def generator(seed: int) -> torch.Generator:
    """A CPU generator of its own, so that a draw does not depend on who drew before.

    Always on the CPU: the same seed then means the same numbers whatever the device.
    """
    if not is_whole(seed):
        raise TypeError(f"A seed is a whole number, not {seed!r}.")
    return torch.Generator().manual_seed(seed)


@contextlib.contextmanager
def without_subnormals():
    """Results below the smallest normal number (1.2e-38 in float32) are 0 inside the block, on the
    CPU and in the calling thread; afterwards it is as it was before.

    Saturated sigmoids and their gradients make such numbers in plenty, and some processors take
    long for a product of one. Does nothing where the processor cannot do it.
    """
    before = bool(torch.tensor(torch.finfo(torch.float32).tiny) / 2 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextlib.contextmanager
def threads(n: int):
    """Use ``n`` CPU threads inside the block (benchmarks compare single threads)."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
