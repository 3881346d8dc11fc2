"""Finished measurements, kept in the course's folder until anything changes that decides them.

What decides a measurement: the function that makes it, with all the code that this reads
(:func:`course_lib.sourcecode.code_digest`); its arguments, networks by what they are
(:mod:`course_lib.identity`) and images by their pixels; the files of the data; torch's version and
the device. A key over these is made here, so that no program can forget one of them.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from . import device as devices
from . import identity, storage, zoo
from .data import FOLDER, Dataset
from .sourcecode import code_digest


class Kept:
    """The finished measurements of one program, a file each, so that an interrupted run goes on
    and two runs at once do not lose each other's.

    name: the program's, for the folder; fresh: forget what is there.
    """

    def __init__(self, name: str, fresh: bool = False):
        self.folder = storage.home() / "kept" / name
        if fresh:
            self.forget()

    def get(self, make: Callable, *arguments, uses=(), **aside):
        """``make(*arguments, **aside)`` as JSON gives it back; from a file if it is finished.

        make: a function that is defined in a file. arguments: numbers, text, functions, networks,
        data sets, tensors, and lists, dicts or dataclasses of these. uses: more of the kind, such
        as a network that ``make`` loads itself. aside: what changes no result, as ``progress``.
        A file that is damaged or foreign is set aside with a warning, and the measurement made
        again. Raises TypeError for an argument that has no digest.
        """
        what = description(make, arguments, uses)
        found = self.find(what)
        if found is not None:
            return found["result"]
        result = json.loads(json.dumps(make(*arguments, **aside)))
        try:
            self.store(what, result)
        except OSError as error:
            warnings.warn(
                f"A measurement could not be kept ({error}): name a folder that can be written to "
                "in the variable COURSE_HOME.",
                stacklevel=2,
            )
        return result

    def has(self, make: Callable, *arguments, uses=()) -> bool:
        """Whether :meth:`get` would find the measurement finished."""
        return self.find(description(make, arguments, uses)) is not None

    def store(self, what: dict, result, **about) -> None:
        """Keep the ``result``, as JSON gives it back, of what a :func:`description` describes.

        about: what else is worth knowing of it, such as the seconds it took; no part of the key.
        Raises OSError where nothing can be written.
        """
        entry = {"what": what, "result": result, "checksum": digest([what, result])}
        storage.write_text(self.path(what), json.dumps(entry | about) + "\n")

    def find(self, what: dict) -> dict | None:
        """The entry that :meth:`store` wrote, with "result"; None if there is none that is right.
        A damaged file is set aside with a warning."""
        path = self.path(what)
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            if entry["checksum"] != digest([entry["what"], entry["result"]]):
                raise ValueError("its contents do not match their checksum")
            if digest(entry["what"]) != digest(what):
                raise ValueError("it holds another measurement")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            set_aside(path, error)
            return None
        return entry

    def forget(self) -> None:
        """Remove all finished measurements of this program."""
        for path in self.folder.glob("*.json"):
            path.unlink(missing_ok=True)

    def path(self, what: dict) -> Path:
        """The file of a measurement: a name for people, and for the machine the key."""
        words = [what["make"][0], *(a for a in what["arguments"] if isinstance(a, str | int))]
        label = re.sub("[^A-Za-z0-9]+", "-", "-".join(map(str, words))).strip("-")[:80]
        return self.folder / f"{label}.{digest(what)[:16]}.json"


def renamed(path: Path) -> Path:
    """The new place of a file that cannot be used, ``NAME.damaged``: nothing is lost."""
    other, count = path.with_name(f"{path.name}.damaged"), 2
    while other.exists():
        other, count = path.with_name(f"{path.name}.damaged-{count}"), count + 1
    with contextlib.suppress(FileNotFoundError):  # another run was first
        os.replace(path, other)
    return other


def set_aside(path: Path, why) -> None:
    """Rename a file that cannot be used (:func:`renamed`), and warn of it."""
    other = renamed(path)
    warnings.warn(
        f"The file {path} is damaged ({why}); it is called {other.name} now, and what it held is "
        "made again.",
        stacklevel=4,
    )


def trained_network(path: Path, restore: Callable, train: Callable):
    """What ``restore(tensors, card)`` makes of the network in the file ``path``, trained and kept
    there first if there is none that is right.

    train() -> the network, and its card: texts by name, to which "weights", the checksum, is added;
    restore raises RuntimeError, KeyError, TypeError or ValueError for what it cannot use, and such
    a file is set aside with a warning.
    """
    if path.is_file():
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                card = file.metadata() or {}
            return restore(safetensors.torch.load_file(path), card)
        except (
            safetensors.SafetensorError,
            RuntimeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            set_aside(path, error)
    net, card = train()
    tensors = {name: value.contiguous() for name, value in net.state_dict().items()}
    card = card | {"weights": zoo.weights_digest(tensors)}
    with storage.atomic(path) as whole:
        safetensors.torch.save_file(tensors, whole, metadata=card)
    return restore(tensors, card)


def digest(what) -> str:
    """The SHA-256 sum, in hexadecimal, of what JSON can hold; the order of a dict plays no part."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def description(make: Callable, arguments=(), uses=()) -> dict:
    """All that decides ``make(*arguments)``, as JSON gives it back."""
    files = [FOLDER / "SHA256SUMS", *sorted(FOLDER.glob("*.npz"))]  # load_mnist checks by the first
    return {
        "make": described(make),
        "arguments": described(arguments),
        "uses": described(uses),
        "data": {path.name: _sum(path, _stamp(path)) for path in files if path.is_file()},
        "torch": torch.__version__,
        "device": str(devices.pick()),
    }


def _stamp(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


@functools.cache
def _sum(path: Path, stamp: tuple[int, int]) -> str:
    """The SHA-256 sum of a file that was last written at the time in ``stamp``."""
    return storage.sha256(path)


def described(value):
    """``value`` as JSON can hold it, tensors and code by their digests. Raises TypeError for what
    has none, as a network with hooks."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, nn.Module):
        return ["network", *identity.described(value)]
    if isinstance(value, torch.Tensor):
        return ["tensor", zoo.weights_digest({"": value})]
    if isinstance(value, Dataset):
        parts = {key: getattr(value, key) for key in ("images", "labels", "index")}
        return ["images", value.name, zoo.weights_digest(parts)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return [type(value).__name__, described(fields)]
    if isinstance(value, dict):
        return {str(key): described(part) for key, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [described(part) for part in value]
    if callable(value) and hasattr(value, "__qualname__"):
        return [value.__qualname__, code_digest(value)]
    raise TypeError(
        f"A measurement cannot be kept by a {type(value).__name__}, which has no digest: give "
        "numbers, text, networks, images or tensors."
    )
