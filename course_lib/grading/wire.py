"""What an answer gave, as JSON: the one form in which it leaves the process that ran it.

Nothing of it is ever unpickled: whoever wrote it may be a student.
"""

import base64
import builtins

import numpy as np

from ..exercises.comparing import Array, told_by
from ..exercises.running import Outcome

LISTS = ("changed", "frozen", "left_behind")
FLAGS = ("returned_none", "generator")


class Opaque:
    """Something that has no form in JSON: equal to nothing."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self):
        return f"a {self.name}"


class Foreign(Exception):
    """An error of a class that is not Python's own. kind: its name."""

    def __init__(self, kind: str, text: str):
        super().__init__(text)
        self.kind = kind


def packed(value):
    """A snapshot (:func:`course_lib.exercises.comparing.snapshot`) as JSON can hold it."""
    if isinstance(value, Array):
        values = value.values
        kind = "complex128" if np.iscomplexobj(values) else "float64"
        numbers = base64.b64encode(values.astype(kind).tobytes()).decode("ascii")
        return {"array": numbers, "of": kind, "shape": list(values.shape)} | {
            "kind": value.kind,
            "dtype": value.dtype,
        }
    if isinstance(value, list):
        return {"list": [packed(part) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[str(name), packed(part)] for name, part in value.items()]}
    if value is None or isinstance(value, str):
        return {"plain": value}
    return {"opaque": type(value).__name__}


def unpacked(data):
    """The snapshot again. Raises ValueError, KeyError or TypeError if ``data`` is none."""
    if "array" in data:
        if data["of"] not in ("float64", "complex128"):
            raise ValueError(f"no array of {data['of']!r}")
        values = np.frombuffer(base64.b64decode(data["array"], validate=True), data["of"])
        shape = tuple(int(n) for n in data["shape"])
        return Array(values.reshape(shape).copy(), str(data["kind"]), str(data["dtype"]))
    if "list" in data:
        return [unpacked(part) for part in data["list"]]
    if "dict" in data:
        return {str(name): unpacked(part) for name, part in data["dict"]}
    if "plain" in data:
        if data["plain"] is not None and not isinstance(data["plain"], str):
            raise ValueError("no text")
        return data["plain"]
    return Opaque(str(data["opaque"]))


def packed_outcome(outcome: Outcome) -> dict:
    """What one call gave; the error by its class and its text."""
    data = {name: list(getattr(outcome, name)) for name in LISTS}
    data |= {name: bool(getattr(outcome, name)) for name in FLAGS}
    data["value"] = packed(outcome.value)
    data["gradients"] = packed(outcome.gradients)
    if outcome.error is not None:
        data["error"] = [_kind(outcome.error), told_by(outcome.error)]
    return data


def unpacked_outcome(data: dict, want: Outcome) -> Outcome:
    """The outcome again; ``want``: what the right answer gave, whose error it may have raised, too.

    Raises ValueError, KeyError or TypeError if ``data`` is none.
    """
    found = Outcome(value=unpacked(data["value"]), gradients=unpacked(data["gradients"]))
    if not isinstance(found.gradients, dict):
        raise ValueError("no gradients")
    for name in LISTS:
        setattr(found, name, [str(one) for one in data[name]])
    for name in FLAGS:
        setattr(found, name, bool(data[name]))
    if "error" in data:
        kind, text = map(str, data["error"])
        same = want.error is not None and (_kind(want.error), told_by(want.error)) == (kind, text)
        found.error = want.error if same else Foreign(kind, text)
    return found


def _kind(error: BaseException) -> str:
    kind = type(error)
    own = kind.__module__ == builtins.__name__
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"
