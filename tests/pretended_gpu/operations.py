"""One operation: its devices checked, done on the processor, its results labelled."""

import contextlib
import functools
import types
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .tensors import CPU, CUDA, MIXED, NAME, OnGpu, inside, is_gpu, on_every

STATE: list = []  # what pretends now: at most one

# what may have tensors of both sides
_COPIES = ("copy_", "_foreach_copy_", "_foreach_copy")
# the arguments of an indexing operation: the tensor, the indices, perhaps values
_INDEXING = ("index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_")
_INDEXING += ("_unsafe_index_put",)
# beside the pointwise ones: their last tensor may be a single number of the processor
_NUMBERS = ("masked_fill", "masked_fill_", "index_fill", "index_fill_", "fill", "fill_")

# in-place changes of the shape, of which the wrapper must know
_RESHAPES = ("unsqueeze_", "squeeze_", "t_", "transpose_", "swapaxes_", "swapdims_", "as_strided_")


@functools.cache
def _kind(func) -> types.SimpleNamespace:
    """What has to be known of an operation."""
    name = func._schema.name.removeprefix("aten::")
    written = [a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments]
    return types.SimpleNamespace(
        name=name,
        copies=name in _COPIES,
        indexes=name in _INDEXING,
        numbers=torch.Tag.pointwise in func.tags or name in _NUMBERS,
        writes=written[:1] == [True],
        random=torch.Tag.nondeterministic_seeded in func.tags,
        reshapes=name in _RESHAPES,
        refused=torch.Tag.inplace_view in func.tags and name not in (*_RESHAPES, "detach_"),
    )


def operate(func, args, kwargs):
    """Do one operation: on the processor, with the devices checked and the results labelled."""
    found = []
    for value in (*args, *kwargs.values()):
        on_every(found.append, value)
    ours = [t for t in found if isinstance(t, OnGpu)]
    device = kwargs.get("device")
    there = bool(ours) if device is None else is_gpu(device)
    kind = _kind(func)
    if not there and not ours and not kind.random and "pin" not in kind.name:
        return (
            func(*args, **kwargs) if not kwargs.get("pin_memory") else _pinned(func, args, kwargs)
        )
    _check(kind, args, found, ours)
    _check_generator(kwargs.get("generator"), there)
    if "pin" in kind.name:
        return _pin(kind, args[0])
    if there and kwargs.get("pin_memory"):
        raise RuntimeError("Only dense CPU tensors can be pinned")
    if device is not None:
        kwargs = {**kwargs, "device": CPU if there else device}
    inner = [on_every(inside, a) for a in args], {k: on_every(inside, v) for k, v in kwargs.items()}
    state = STATE[-1] if STATE else None
    if there and kind.random and kwargs.get("generator") is None and state is not None:
        with numbers_of(state.generator):
            out = func(*inner[0], **inner[1])
    else:
        out = func(*inner[0], **inner[1])
    if kind.reshapes and ours:
        _reshape(func, args)
    if state is not None and there:
        state.operations += 1
        on_every(state.fits, out)
    given = {id(inside(t)): t for t in found}  # an operation in place returns what it was given
    return on_every(lambda t: given.get(id(t)) if id(t) in given else OnGpu(t) if there else t, out)


def _check(kind, args, found, ours) -> None:
    """Refuse an operation with tensors of both sides, where a GPU does."""
    if ours and kind.refused:
        raise NotImplementedError(f"The {NAME} has no {kind.name}: it changes the shape in place.")
    if not ours or len(ours) == len(found) or kind.copies:
        return
    first = found[0]
    if kind.indexes:
        indices = []
        on_every(indices.append, args[1])
        if not isinstance(first, OnGpu):
            if any(isinstance(i, OnGpu) for i in indices):
                raise RuntimeError(
                    "indices should be either on cpu or on the same device as the indexed tensor "
                    "(cpu)"
                )
            raise RuntimeError(MIXED.format(CPU, CUDA))
        others = [t for t in found[1:] if all(t is not i for i in indices)]
    else:
        others = found
    strangers = [t for t in others if not isinstance(t, OnGpu)]
    numbers = kind.numbers or kind.indexes
    if kind.name in _NUMBERS and any(t is not found[-1] for t in strangers):
        numbers = False  # a mask or an index lies where the tensor does
    if kind.writes and not isinstance(first, OnGpu):
        numbers = False
    if any(t.dim() > 0 or not numbers for t in strangers):
        shapes = ", ".join(f"{tuple(t.shape)} on {t.device}" for t in found)
        raise RuntimeError(f"{MIXED.format(CUDA, CPU)} ({kind.name} of {shapes})")


def _reshape(func, args) -> None:
    """Do ``func`` with the wrapper's own sizes and strides, as torch does it for a meta tensor."""
    kept = torch._C._meta_in_tls_dispatch_include()
    with torch._C._DisableTorchDispatch():
        torch._C._set_meta_in_tls_dispatch_include(True)
        try:
            func(*args)
        finally:
            torch._C._set_meta_in_tls_dispatch_include(kept)


def _pinned(func, args, kwargs):
    out = func(*args, **{**kwargs, "pin_memory": False})
    out._pretends_pinned = True
    return out


def _pin(kind, tensor):
    if kind.name == "is_pinned":
        return getattr(tensor, "_pretends_pinned", False)
    if isinstance(tensor, OnGpu):
        raise RuntimeError(f"cannot pin '{tensor.type()}' only dense CPU tensors can be pinned")
    return _pinned(lambda t, **_: t.clone(), (tensor,), {})


class Mode(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls):
        return False  # it would wrap every operation, for torch.compile alone

    def __torch_dispatch__(self, func, kinds, args=(), kwargs=None):
        return operate(func, args, kwargs or {})


# ---------------------------------------------------------------- random numbers

RealGenerator = torch.Generator
_GENERATORS = weakref.WeakValueDictionary()  # C++ address -> generator of the GPU
SHIFT = 0x9E3779B97F4A7C15  # of the seeds: another stream than the processor's


class _AnyGenerator(type(RealGenerator)):
    def __instancecheck__(cls, thing):
        return isinstance(thing, RealGenerator)


class Generator(RealGenerator, metaclass=_AnyGenerator):
    """torch.Generator, also for "cuda"."""

    def __new__(cls, device="cpu"):
        if not is_gpu(device):
            return RealGenerator(device)
        made = RealGenerator.__new__(cls, CPU)
        _GENERATORS[made._cdata] = made
        made.manual_seed(torch.default_generator.initial_seed())
        return made

    device = property(lambda self: CUDA)

    def manual_seed(self, seed):
        self._seed = seed
        super().manual_seed((seed + SHIFT) % 2**63)
        return self

    def seed(self):
        return self.manual_seed(super().seed() % 2**63)._seed

    def initial_seed(self):
        return self._seed


def _check_generator(generator, there: bool) -> None:
    if generator is None:
        return
    pretended = generator._cdata in _GENERATORS
    if pretended != there:
        wanted, found = ("cuda", "cpu") if there else ("cpu", "cuda")
        raise RuntimeError(f"Expected a '{wanted}' device type for generator but found '{found}'")


@contextlib.contextmanager
def numbers_of(generator):
    """The processor's default stream is, inside the block, that of ``generator``."""
    default = torch.default_generator
    kept = default.get_state()
    default.set_state(RealGenerator.get_state(generator))
    try:
        yield
    finally:
        RealGenerator.set_state(generator, default.get_state())
        default.set_state(kept)
