"""Results compared as values: whatever they are made of, and in words where they differ."""

import collections.abc
import dataclasses

import numpy as np
import torch
from torch import nn


@dataclasses.dataclass(frozen=True)
class Array:
    """A copy of a tensor, an array or a number: its values in double precision, and what it was."""

    values: np.ndarray
    kind: str  # "tensor", "array" or "number"
    dtype: str

    def __str__(self) -> str:
        if self.values.ndim == 0:
            return number(self.values)
        if self.values.size <= 12:
            text = np.array2string(self.values, separator=", ", formatter={"all": number})
            return " ".join(text.split())
        return f"a {'tensor' if self.kind == 'tensor' else 'array'} of shape {self.values.shape}"


def number(value) -> str:
    """A number with as many digits as help."""
    value = complex(value) if np.iscomplexobj(value) else float(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.5g}"


def snapshot(value):
    """A copy of ``value`` that later changes cannot reach, made of Arrays, lists and dicts.

    Tensors (of any dtype, on any device), arrays and numbers become :class:`Array`; sequences
    lists; dataclasses, named tuples and mappings dicts; a module its state; the rest stays.
    """
    if isinstance(value, Array):
        return value
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        value = value.detach().cpu().resolve_conj().resolve_neg()
        if value.is_sparse:
            value = value.to_dense()
        wide = torch.complex128 if value.is_complex() else torch.float64
        return Array(value.to(wide).numpy().copy(), "tensor", dtype)
    if isinstance(value, np.ndarray | np.generic | bool | int | float | complex):
        array = np.asarray(value)
        if array.dtype.kind not in "biufc":
            return value
        kind = "array" if array.ndim else "number"
        wide = np.complex128 if array.dtype.kind == "c" else np.float64
        return Array(array.astype(wide), kind, str(array.dtype))
    if isinstance(value, nn.Module):
        return {name: snapshot(v) for name, v in value.state_dict().items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: snapshot(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return {name: snapshot(v) for name, v in value._asdict().items()}
    if isinstance(value, collections.abc.Mapping):
        return {str(name): snapshot(v) for name, v in value.items()}
    if isinstance(value, list | tuple | collections.abc.Iterator | range):
        return [snapshot(v) for v in value]
    return value


def same_form(got, want) -> bool:
    """Whether two snapshots are arrays of the same shape, or made of such in the same way."""
    if isinstance(want, Array):
        return isinstance(got, Array) and got.values.shape == want.values.shape
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(map(same_form, got, want))
    if isinstance(want, dict):
        return (
            isinstance(got, dict)
            and got.keys() == want.keys()
            and all(same_form(got[key], want[key]) for key in want)
        )
    return isinstance(got, type(want)) or type(got) is type(want)


def difference(got, want, rtol: float = 1e-4, atol: float = 1e-6) -> str | None:
    """None if ``got`` has the values of ``want``, else how it differs, in words.

    Only values and shapes count: a list of numbers equals a tensor of them, float64 equals
    float32, a 0-d tensor equals a number, a tuple of two equals a tensor of two rows.
    """
    got, want = in_the_form_of(snapshot(got), snapshot(want))
    if isinstance(want, Array):
        if not isinstance(got, Array):
            return f"The result is {describe(got)}, expected {describe(want)}."
        if got.values.shape != want.values.shape:
            return _shapes(got.values.shape, want.values.shape)
        return _values(got.values, want.values, rtol, atol)
    if isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            return f"The result is {describe(got)}, expected {describe(want)}."
        pairs = [(f"part {i}", g, w) for i, (g, w) in enumerate(zip(got, want, strict=True), 1)]
    elif isinstance(want, dict):
        if not isinstance(got, dict) or missing(got, want):
            lacks = f" It lacks {missing(got, want)}." if isinstance(got, dict) else ""
            return f"The result is {describe(got)}, expected {describe(want)}.{lacks}"
        pairs = [(f"`{name}`", got[name], w) for name, w in want.items()]
    else:
        equal = type(got) is type(want) and got == want
        return None if equal else f"The result is {describe(got)}, expected {describe(want)}."
    for name, g, w in pairs:
        text = difference(g, w, rtol, atol)
        if text and text.startswith("The result"):
            return text.replace("The result", f"{name[0].upper()}{name[1:]} of the result", 1)
        if text:  # of a part of this part
            return text.replace("of the result", f"of {name} of the result", 1)
    return None


def missing(got: dict, want: dict) -> str:
    """The names in ``want`` that ``got`` has not, as text."""
    return ", ".join(f"`{name}`" for name in want if name not in got)


def in_the_form_of(got, want):
    """Make a list into an Array where one is expected, and the other way round."""
    if isinstance(want, Array) and isinstance(got, list):
        parts = [in_the_form_of(g, want)[0] for g in got]
        if all(isinstance(p, Array) for p in parts) and len({p.values.shape for p in parts}) == 1:
            return Array(np.stack([p.values for p in parts]), "list", parts[0].dtype), want
    if isinstance(want, list) and isinstance(got, Array) and got.values.ndim:
        return [Array(v, got.kind, got.dtype) for v in got.values], want
    return got, want


def describe(value) -> str:
    """A result in a few words: ``a tensor of shape (5, 10)``, ``3.2``, ``a tuple or list of 2``."""
    value = snapshot(value)
    if isinstance(value, Array):
        return str(value)
    if isinstance(value, list):
        return f"a tuple or list of {len(value)}"
    if isinstance(value, dict):
        return "something with the parts " + ", ".join(f"`{name}`" for name in value)
    try:
        text = repr(value)
    except Exception:  # an object of the learner's own, which cannot say what it is
        text = f"something of the class {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def told_by(error: BaseException | None) -> str:
    """The text of an error; nothing where its own class cannot say it."""
    try:
        return str(error)
    except Exception:
        return ""


def _shapes(got: tuple, want: tuple) -> str:
    text = f"The result has the shape {got}, expected {want}"
    if got == () and want:
        return f"{text}: it is one number for everything, expected one per entry of the first axis."
    if tuple(n for n in got if n != 1) == tuple(n for n in want if n != 1):
        what = "too many" if len(got) > len(want) else "too few or in another place"
        return f"{text}: the numbers may be right, but there is an axis of length 1 {what}."
    if sorted(got) == sorted(want):
        return f"{text}: its axes are in another order."
    if len(got) != len(want):
        return f"{text}: it has {len(got)} axes instead of {len(want)}."
    return f"{text}."


def close(got: np.ndarray, want: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    """Entry by entry, whether ``got`` is ``want`` within the tolerance (NaN equals NaN).

    Beside rtol and atol, an error of 1e-6 of the largest entry is allowed: float32 sums on a GPU
    run in another order, and small entries beside large ones feel it. atol 0 allows nothing.
    """
    finite = want[np.isfinite(want)]
    largest = np.abs(finite).max() if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        slack = max(atol, 1e-6 * largest) if atol else 0.0
        near = np.abs(got - want) <= slack + rtol * np.abs(want)
    return (near & np.isfinite(want)) | (got == want) | (np.isnan(got) & np.isnan(want))


def _values(got: np.ndarray, want: np.ndarray, rtol: float, atol: float) -> str | None:
    good = close(got, want, rtol, atol)
    if good.all():
        return None
    nan = np.isnan(got) & ~np.isnan(want)
    wrong = nan if nan.any() else ~good
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    here, there = number(got[first]), number(want[first])
    if here == there:  # the digits that are shown do not tell them apart
        here, there = f"{got[first]:.9g}", f"{want[first]:.9g}"
    if want.ndim == 0:
        text = f"The result is {here}, expected {there}"
    else:
        where = f"[{', '.join(map(str, first))}]"
        text = f"The result at {where} is {here}, expected {there}"
        if want.size > 1:
            text += f" ({int((~good).sum())} of {good.size} entries differ)"
    if nan.any():
        text += ": NaN is what 0/0, inf - inf and the root or log of a negative number give"
    return f"{text}."


def pattern(pairs, rtol: float = 1e-4) -> str:
    """What wrong results have to do with the right ones, where a few words can say it; else "".

    pairs: (got, expected) of each case; only results that are one tensor or number are looked at.
    """
    pairs = [in_the_form_of(snapshot(g), snapshot(w)) for g, w in pairs]
    for g, w in pairs:
        one = isinstance(g, Array) and isinstance(w, Array)
        if not one or g.values.shape != w.values.shape or np.iscomplexobj(g.values):
            return ""
    got = np.concatenate([g.values.ravel() for g, _ in pairs])
    want = np.concatenate([w.values.ravel() for _, w in pairs])
    used = np.abs(want) > 1e-6
    known = np.isfinite(got).all() and np.isfinite(want).all()
    if not known or used.sum() < 2 or close(got, want, rtol, 1e-6).all():
        return ""
    ratio = got[used] / want[used]
    factor = float(np.median(ratio))
    if factor and np.allclose(ratio, factor, rtol=max(rtol, 1e-4), atol=0):
        if abs(factor + 1) < rtol:
            return " Everything has the wrong sign."
        if number(factor) == "1":  # a factor that cannot be told from 1 tells nothing
            return ""
        return f" All results are {number(factor)} times what is expected."
    shift = got - want
    if np.allclose(shift, shift[0], rtol=1e-3, atol=0):
        size = "large" if shift[0] > 0 else "small"
        return f" All results are {number(abs(shift[0]))} too {size}."
    return ""
