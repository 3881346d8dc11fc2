"""torch.cuda, as it answers where there is one GPU; torch.load, as it does there."""

import contextlib
import functools
import gc
import types

import torch

from .operations import Generator
from .tensors import NAME, OnGpu, is_gpu, on_every


class Gpu:
    """What the pretended GPU did: ``operations`` counts them; ``memory`` is its size in bytes."""

    def __init__(self, memory: int):
        self.memory, self.operations, self.peak = memory, 0, 0
        self.generator = Generator("cuda")

    def fits(self, tensor) -> None:
        size = tensor.numel() * tensor.element_size()
        if size > self.memory:
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB. GPU 0 has a total "
                f"capacity of {self.memory / 2**20:.2f} MiB."
            )

    def allocated(self, device=None) -> int:
        """The bytes of the tensors that live."""
        live = [t for t in gc.get_objects() if type(t) is OnGpu]
        memory = [t.untyped_storage() for t in live]
        sizes = {m.data_ptr(): m.nbytes() for m in memory}
        self.peak = max(self.peak, sum(sizes.values()))
        return sum(sizes.values())

    def most(self, device=None) -> int:
        return max(self.allocated(), self.peak)

    def forget_most(self, device=None) -> None:
        self.peak = 0

    def set_generators(self, states) -> None:
        self.generator.set_state(states[0])

    def answers(self) -> dict:
        """torch.cuda's names, as they answer where there is one GPU."""
        seeds = self.generator

        def device_is_0(device=None, *_):
            return None if device is None or not is_gpu(_index(device)) else 0

        properties = types.SimpleNamespace(
            name=NAME, total_memory=self.memory, major=9, minor=0, multi_processor_count=1
        )
        stats = {
            "allocated_bytes.all.current": self.allocated,
            "allocated_bytes.all.peak": self.most,
        }
        stream = Stream()
        return {
            "_lazy_init": lambda: None,
            "init": lambda: None,
            "is_initialized": lambda: True,
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "set_device": device_is_0,
            "_exchange_device": lambda index: 0,
            "_maybe_exchange_device": lambda index: 0,
            "synchronize": device_is_0,
            "get_device_name": lambda device=None: NAME,
            "get_device_capability": lambda device=None: (9, 0),
            "get_device_properties": lambda device=None: properties,
            "is_bf16_supported": lambda including_emulation=True: True,
            "empty_cache": lambda: None,
            "mem_get_info": lambda device=None: (self.memory - self.allocated(), self.memory),
            "memory_allocated": self.allocated,
            "max_memory_allocated": self.most,
            "memory_reserved": self.allocated,
            "max_memory_reserved": self.most,
            "reset_peak_memory_stats": self.forget_most,
            "memory_stats": lambda device=None: {k: v() for k, v in stats.items()},
            "default_generators": (seeds,),
            "get_rng_state": lambda device="cuda": seeds.get_state(),
            "get_rng_state_all": lambda: [seeds.get_state()],
            "set_rng_state": lambda state, device="cuda": seeds.set_state(state),
            "set_rng_state_all": self.set_generators,
            "manual_seed": seeds.manual_seed,
            "manual_seed_all": seeds.manual_seed,
            "seed": seeds.seed,
            "seed_all": seeds.seed,
            "initial_seed": seeds.initial_seed,
            "Event": functools.partial(Event, self),
            "Stream": Stream,
            "current_stream": lambda device=None: stream,
            "default_stream": lambda device=None: stream,
            "stream": lambda stream=None: contextlib.nullcontext(),
        }


def own(answer):
    """``answer`` as a function that is like no other: torch's compiler refuses two of a kind."""
    return (lambda *a, **k: answer(*a, **k)) if callable(answer) else answer


def _index(device):
    return torch.device("cuda", device) if isinstance(device, int) else device


class Stream:
    """There is one, and it is always done."""

    def __init__(self, *args, **kwargs):
        pass

    def synchronize(self):
        pass

    def wait_stream(self, stream):
        pass

    wait_event = wait_stream

    def query(self):
        return True


class Event:
    """torch.cuda.Event; an operation takes a microsecond."""

    def __init__(self, gpu, enable_timing=False, blocking=False, interprocess=False):
        self.gpu, self.timed, self.at = gpu, enable_timing, None

    def record(self, stream=None):
        self.at = self.gpu.operations

    def synchronize(self):
        pass

    def wait(self, stream=None):
        pass

    def query(self):
        return True

    def elapsed_time(self, end) -> float:
        """Milliseconds from this event to ``end``."""
        if not (self.timed and end.timed):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self.at is None or end.at is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return (end.at - self.at) / 1000


def load(real, file, map_location=None, **kwargs):
    """torch.load: tensors that were saved on a GPU come back there, if nothing else is said."""
    there = set()

    def place(storage, location):
        wanted = map_location
        if isinstance(wanted, dict):
            wanted = wanted.get(location, location)
        elif callable(wanted):
            return wanted(storage, location)
        if is_gpu(location if wanted is None else wanted):
            there.add(storage.data_ptr())
        return storage

    def label(value):
        if isinstance(value, dict):
            return type(value)((k, label(v)) for k, v in value.items())
        return on_every(lambda t: OnGpu(t) if t.untyped_storage().data_ptr() in there else t, value)

    return label(real(file, map_location=place, **kwargs))
