"""What a network is, so that what was made for one is never taken for another's.

Its text (``repr``) and its weights are not enough: the text of a pooling shows not all of its
settings, that of an attention not its heads, and hooks are nowhere. So a network is known by its
weights, by every plain attribute of its parts, and, where the shape of an image is known, by what
it answers to fixed images, in float64 and to nine digits, which no number of threads moves.
"""

import hashlib
import json

import numpy as np
import torch
from torch import nn

from . import zoo
from .copies import in_double
from .hooks import gradient_hooks_of, hooks_of

DIGITS = 9
INTERNAL = frozenset(vars(nn.Module())) - {"training"}


def is_plain(net: nn.Module) -> bool:
    """Whether all that ``net`` computes is torch's own code: no module of another package, no hook,
    no forward of its own on one of its modules."""
    return not _foreign(net) and all(
        type(part).__module__.split(".")[:2] == ["torch", "nn"] for part in net.modules()
    )


def _foreign(net: nn.Module) -> str:
    """The name of a part of ``net`` that runs code of which nothing is in its attributes, or "".
    Torch's hooks that work out a weight are none: the weights tell what they do."""
    for name, part in net.named_modules():
        if "forward" in vars(part) or hooks_of(part) or gradient_hooks_of(part):
            return name or "the network"
    return ""


def described(net: nn.Module, shape=None) -> list:
    """All that decides what ``net`` computes, as JSON can hold it.

    shape: of one image, for its answers to fixed images; None if it is not known. Raises TypeError
    for a network with hooks or an own forward on a module, whose code no key sees.
    """
    hooked = _foreign(net)
    if hooked:
        raise TypeError(
            f"A measurement cannot be kept by a network with hooks, or with a forward set on a "
            f"module ({hooked}): nothing tells what they do. Put it into a module of its own, or "
            "do not keep the measurement."
        )
    parts = [
        [name, f"{type(part).__module__}.{type(part).__qualname__}", _attributes(part)]
        for name, part in net.named_modules()
    ]
    answers = [] if shape is None else [_answers(net, tuple(shape))]
    return [repr(net), zoo.weights_digest(net.state_dict()), parts, *answers]


def digest(net: nn.Module, shape=None) -> str:
    """:func:`described` as a SHA-256 sum, in hexadecimal."""
    return hashlib.sha256(json.dumps(described(net, shape), sort_keys=True).encode()).hexdigest()


def _attributes(part: nn.Module) -> dict:
    own = {name: value for name, value in vars(part).items() if name not in INTERNAL}
    buffers = {name: value for name, value in part._buffers.items() if value is not None}
    hidden = {f"buffer {name}": value for name, value in buffers.items()}  # some are not stored
    return {name: _plain(value) for name, value in {**own, **hidden}.items()}


def _plain(value):
    """An attribute as JSON can hold it; of what it cannot, the type alone."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, list | tuple | set | frozenset):
        found = [_plain(v) for v in value]
        return sorted(map(str, found)) if isinstance(value, set | frozenset) else found
    if isinstance(value, dict):
        return {str(name): _plain(v) for name, v in value.items()}
    if isinstance(value, torch.Tensor):
        return zoo.weights_digest({"": value})
    if isinstance(value, torch.dtype | torch.device | torch.Size):
        return repr(value)
    kind = value if callable(value) and hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _answers(net: nn.Module, shape: tuple[int, ...]) -> str:
    """A digest of what ``net`` answers to fixed images of the shape, in float64 on the processor.

    Raises TypeError for one that cannot be copied, or does not compute in float64.
    """
    rng = np.random.RandomState(20131221)
    images = rng.uniform(0, 1, (6, *shape))
    images[4], images[5] = 2 * images[4] - 0.5, images[5].round()  # outside of the box; at corners
    try:
        double = in_double(net).cpu()
        with torch.no_grad():
            answers = double(torch.from_numpy(images))
        answers = answers.flatten(1).numpy()
    except Exception as error:
        raise TypeError(
            f"The network cannot be asked in float64, so that what it computes has no digest "
            f"({error})."
        ) from error
    size = np.abs(answers).max(initial=0.0)
    whole = answers / size if 0 < size < np.inf else answers
    text = [f"{value:.{DIGITS}f}" for value in whole.ravel() + 0.0]
    return hashlib.sha256(f"{answers.shape} {size:.{DIGITS}e} {text}".encode()).hexdigest()
