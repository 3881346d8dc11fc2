"""The names of ImageNet's 1000 classes, which torchvision's description of its weights holds."""

import difflib
import functools

import torch
import torchvision

from ..checked import COUNT, TEXT, Kind, is_whole, takes

OSTRICH = "ostrich, Struthio camelus"  # class 9, as the paper calls it
LOGITS = Kind(
    "float logits (N, 1000)",
    lambda value: isinstance(value, torch.Tensor) and value.is_floating_point(),
    lambda value: value.ndim == 2 and value.shape[1] == 1000,
)


@functools.cache
def class_names() -> tuple[str, ...]:
    """The 1000 names, in the order of the logits: the first of the words that WordNet gives."""
    return tuple(torchvision.models.AlexNet_Weights.IMAGENET1K_V1.meta["categories"])


def class_name(index: int) -> str:
    """The name of a class. Raises ValueError unless ``index`` is a whole number from 0 to 999."""
    if not is_whole(index) or not 0 <= index < 1000:
        raise ValueError(f"A class of ImageNet is a whole number from 0 to 999, not {index!r}.")
    return class_names()[index]


@takes(name=TEXT)
def class_index(name: str) -> int:
    """The class called ``name``: class_index("ostrich") is 9.

    Exactly as it is written, or else in any case. A name as WordNet writes it, several words for
    one class between commas, is found by whichever of its words is known.
    Raises ValueError for a name that there is not, with those that it is a part of or that are
    spelled like it, and for one that several classes have, with these.
    """
    known = class_names()
    words = [name.strip(), *(word.strip() for word in name.split(",") if word.strip())]
    for word in words:
        if word in known:
            return known.index(word)
    for word in words:
        same = [i for i, other in enumerate(known) if other.casefold() == word.casefold()]
        if len(same) == 1:
            return same[0]
        if same:
            raise ValueError(f"Several classes are called {name!r}: {_listed(same)}.")
    raise ValueError(f"ImageNet has no class called {name!r}{_near(words[0])}.")


def _listed(indices) -> str:
    return ", ".join(f"{class_names()[i]!r} ({i})" for i in indices)


def _near(word: str) -> str:
    """The end of the sentence: what is like ``word``, or where to look."""
    known = [name.casefold() for name in class_names()]
    low = word.casefold()
    parts = [i for i, name in enumerate(known) if low and low in name.replace("-", " ").split()]
    parts = parts or [i for i, name in enumerate(known) if len(low) > 2 and low in name]
    if parts:
        return f": it is a part of {_listed(parts[:20])}{', ...' if len(parts) > 20 else ''}"
    # two classes differ in their case alone, so a spelling can stand for both
    like = difflib.get_close_matches(low, known, n=5, cutoff=0.6)
    found = [i for spelling in dict.fromkeys(like) for i, n in enumerate(known) if n == spelling]
    if found:
        return f": near it are {_listed(found)}"
    return ", and none that is spelled like it: imagenet.class_names() lists all 1000"


@takes(logits=LOGITS, k=COUNT)
def top_classes(logits: torch.Tensor, k: int = 5) -> list[list[tuple[str, float]]]:
    """For each image the ``k`` likeliest classes: (name, probability), the likeliest first.

    logits: (N, 1000). Raises TypeError or ValueError for what are none, or k above 1000.
    """
    if k > 1000:
        raise ValueError(f"There are 1000 classes, not {k}.")
    shares, classes = logits.detach().cpu().double().softmax(1).topk(k)
    return [
        [(class_names()[i], share) for share, i in zip(*row, strict=True)]
        for row in zip(shares.tolist(), classes.tolist(), strict=True)
    ]
