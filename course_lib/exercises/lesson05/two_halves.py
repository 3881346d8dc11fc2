"""`two-halves`, lesson 05: a bug hunt.

Which images are drawn is up to the answer: the properties of the halves are compared.
"""

import collections
import operator

import numpy as np
import torch
from torch import nn

from course_lib.exercises import Case, Exercise


def small_net(seed: int) -> nn.Module:
    """A network of the given seed: what a case of two-halves builds."""
    seed = operator.index(seed)
    net = nn.Linear(3, 2)
    net.seed = seed
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        net.weight.copy_(torch.randn(2, 3, generator=rng))
        net.bias.zero_()
    return net


def halves_cases(rng):
    sizes = {"400 images, sorted by class": 100, "2000 images, sorted by class": 500}
    for seed, (label, each) in enumerate(sizes.items()):
        yield Case(label, torch.arange(4).repeat_interleave(each), seed, small_net)
    yield Case("an odd number", torch.arange(3).repeat_interleave(67), 3, small_net)
    shuffled = torch.randint(3, (300,), generator=rng)
    yield Case("in no order", shuffled, 11, small_net)


def _parts(result):
    """The two pairs (rows, network), rows as tensors. Raises TypeError with a sentence."""
    try:
        pairs = [(torch.as_tensor(rows).long().cpu(), net) for rows, net in result]
        if len(pairs) == 2 and all(rows.ndim == 1 for rows, _ in pairs):
            return pairs
    except (TypeError, ValueError, RuntimeError):
        pass
    raise TypeError(
        "what is returned is not (rows, network) twice, `return (rows, net), (rows, net)`, where "
        "rows are the numbers of the images in a tensor, an array or a list"
    )


def what_halves_are(result, labels, seed, build):
    """The properties that count: which random halves they are is up to the author."""
    if result is None:
        return None
    (a, net), (b, other) = _parts(result)
    n, classes = len(labels), len(set(labels.tolist()))
    left, right = set(a.tolist()), set(b.tolist())
    return {
        "images in both halves": bool(left & right),
        "an image twice in one half": bool(len(left) < len(a) or len(right) < len(b)),
        "images in neither": bool(len(left | right) < n),
        "the same images in both": left == right,
        "halves of equal size": bool(abs(len(a) - len(b)) <= 1),
        "all classes in each half": all(
            len(set(labels.cpu()[rows].tolist())) == classes for rows in (a, b)
        ),
        "networks as `build` makes them": _is_built(net) and _is_built(other),
        "one initialisation for both": bool(
            _is_built(net) and _is_built(other) and torch.equal(net.weight, other.weight)
        ),
    }


def _is_built(net) -> bool:
    """Whether ``net`` is what small_net made, untouched."""
    seed = getattr(net, "seed", None)
    return seed is not None and torch.equal(net.weight, small_net(seed).weight)


def _rows(labels, seed):
    order = np.random.RandomState(seed).permutation(len(labels))
    return order[: len(order) // 2], order[len(order) // 2 :]


def halves_of_numpy(labels, seed, build):
    first, second = _rows(labels, seed)
    return (first, build(seed + 100)), (second, build(seed + 200))


EXERCISE = Exercise(
    title="A bug hunt: two halves",
    difficulty=2,
    minutes=6,
    hints=[
        "How many images are in both halves? Two slices of one permutation cannot have any in "
        "common. How many permutations are there here?",
        "There is a second thing, and it has nothing to do with the images: from which weights do "
        "the two networks start?",
    ],
    cases=halves_cases,
    oracle=halves_of_numpy,
    observe=what_halves_are,
    done="No image in common, none left out, and each network starts from weights of its own.",
    equivalent_mutants={
        f"- return ((first, build(2 * seed)), (second, build(2 * seed + 1))) / + return {other}": (
            "Any two different seeds will do."
        )
        for other in (
            "((first, build(2 * seed)), (second, build(2 * seed - 1)))",
            "((first, build(1 * seed)), (second, build(2 * seed + 1)))",
            "((first, build(2 * seed)), (second, build(2 * seed + 2)))",
            "((first, build(2 * seed)), (second, build(3 * seed + 1)))",
        )
    },
)

EXERCISE.variant(halves_of_numpy)


@EXERCISE.variant
def halves_by_mask(labels, seed, build):
    rng = torch.Generator().manual_seed(seed)
    score = torch.rand(len(labels), generator=rng)
    low = score <= score.median()
    rows = torch.arange(len(labels))
    return (rows[low], build(7 * seed)), (rows[~low], build(7 * seed + 3))


@EXERCISE.variant
def halves_every_second(labels, seed, build):
    order = np.random.RandomState(seed).permutation(len(labels))
    return (order[::2].tolist(), build(2 * seed + 1)), (order[1::2].tolist(), build(2 * seed))


SEED_IGNORED = (
    "The halves do not depend on the seed: with another seed they should be others, or the spread "
    "over splits can never be looked at."
)

SEED_NOT_KEPT = (
    "The same seed gives other halves the second time: draw from a generator that is seeded with "
    "`seed`, so that the split can be made again."
)


@EXERCISE.probe
def halves_follow_the_seed(answer):
    labels = torch.arange(4).repeat_interleave(50)

    def half(seed):
        return sorted(_parts(answer(labels, seed, small_net))[0][0].tolist())

    with torch.random.fork_rng(devices=[]):
        first = half(5)
        torch.manual_seed(99)
        np.random.seed(99)  # noqa: NPY002 (an answer may draw from it)
        if half(5) != first:
            return SEED_NOT_KEPT
    return SEED_IGNORED if half(6) == first else None


NOT_RANDOM = (
    "The halves are no random ones: two images that stand side by side fall into the same half "
    "far too often, or far too rarely. Draw a permutation of all rows."
)


@EXERCISE.probe
def halves_are_random(answer):
    labels, together, found = torch.arange(4).repeat_interleave(50), 0, collections.Counter()
    for seed in range(30):
        rows = _parts(answer(labels, seed, small_net))[0][0]
        first = torch.zeros(len(labels), dtype=torch.bool)
        first[rows] = True
        together += float((first[1:] == first[:-1]).double().mean()) / 30
        found[tuple(first.tolist())] += 1
    if abs(together - 0.5) > 0.1:  # of 6000 pairs: 15 standard deviations
        return NOT_RANDOM
    return SEED_IGNORED if max(found.values()) > 1 else None


DRAWN_TWICE = ("order[half:]", "torch.randperm(len(labels), generator=generator)[half:]")

EXERCISE.mistake(
    "overlap",
    "The initialisations differ now, but the halves are cut from two permutations, so half "
    "of the images of each are in the other, too: cut both from one.",
    DRAWN_TWICE,
)

EXERCISE.mistake(
    "one initialisation for both",
    "The halves are disjoint now, but both networks start from the same weights. They "
    "might be alike for that reason, too, and the experiment is about the images: give "
    "each a seed of its own.",
    ("build(2 * seed + 1)", "build(2 * seed)"),
)

EXERCISE.mistake(
    "the overlap thrown away",
    "The images that were in both halves are taken out of one, which is now only half as "
    "large, and some images are in neither: cut both halves from one permutation.",
    DRAWN_TWICE,
    ("return (first", "second = second[~torch.isin(second, first)]\n    return (first"),
)

EXERCISE.mistake(
    "the overlap thrown away, one initialisation",
    "The images that were in both halves are taken out of one, which is now only half as "
    "large; and both networks start from the same weights.",
    DRAWN_TWICE,
    ("return (first", "second = second[~torch.isin(second, first)]\n    return (first"),
    ("build(2 * seed + 1)", "build(2 * seed)"),
)

EXERCISE.mistake(
    "first and second half of the file",
    "The images are cut in the order in which they come. Where they are sorted, one "
    "half has other classes than the other: shuffle them first.",
    ("torch.randperm(len(labels), generator=generator)", "torch.arange(len(labels))"),
)

EXERCISE.mistake(
    "the same half twice", "Both networks get the same images.", ("order[half:]", "order[:half]")
)

EXERCISE.mistake("the seed ignored", SEED_IGNORED, ("manual_seed(seed)", "manual_seed(0)"))

EXERCISE.mistake("the seed not kept", SEED_NOT_KEPT, (", generator=generator", ""))

EXERCISE.mistake(
    "every second image",
    NOT_RANDOM,
    (
        "torch.randperm(len(labels), generator=generator)",
        "torch.cat([torch.arange((seed + k) % 2, len(labels), 2) for k in (0, 1)])",
    ),
)

EXERCISE.mistake(
    "rows that are drawn with replacement",
    "The rows are drawn with replacement, so some images are in both halves, or twice in one, and "
    "some in neither: a permutation has each image once.",
    (
        "torch.randperm(len(labels), generator=generator)",
        "torch.randint(len(labels), (len(labels),), generator=generator)",
    ),
)

EXERCISE.mistake(
    "the images of the halves",
    "A half is to be the numbers of its images, each once: these are values that repeat, as labels "
    "do, or a mask of True and False.",
    ("(first, build(2 * seed))", "(labels[first], build(2 * seed))"),
    ("(second, build(2 * seed + 1))", "(labels[second], build(2 * seed + 1))"),
)

EXERCISE.mistake(
    "no networks",
    "The function `build` is returned and not called: `build(seed)` makes a network.",
    ("build(2 * seed)", "build"),
    ("build(2 * seed + 1)", "build"),
)
