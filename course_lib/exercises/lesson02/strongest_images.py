"""`strongest-images`, lesson 02: the ties are what the cases are about.

The activations are coarse, and exact in float32 however they are summed, so equal scores are equal.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise, as_tensor


def _layer(rng, n, width):
    """Activations with many ties, and what went into them; exact in float32, however summed."""
    before = (torch.randn(n, width, generator=rng) * 64).round() / 64
    return (before.sigmoid() * 8).round() / 8, before


def layer_cases(rng):
    def case(label, width, count, k, train=23, test=17, twins=False):
        parts = {"train": _layer(rng, train, width), "test": _layer(rng, test, width)}
        if twins:  # the same image twice: nothing but their order tells them apart
            parts["test"] = tuple(torch.cat([part, part[:9]]) for part in parts["test"])
        directions = torch.randint(-3, 4, (count, width), generator=rng).float()
        directions[:, 0] += directions.abs().sum(1) == 0
        return Case(label, parts, directions, k)

    yield case("one direction of two units", 2, 1, 3)
    yield case("seven directions of five units", 5, 7, 4)
    yield case("equal images", 4, 6, 6, twins=True)
    yield case("more units than images", 40, 3, 5, train=12, test=11)
    units = torch.eye(6)
    saturated = {}
    for part, n in (("train", 30), ("test", 25)):
        before = (torch.randn(n, 6, generator=rng) * 640).round() / 64
        saturated[part] = (before.clamp(-2, 2).add(2) / 4, before)
    yield Case("the units themselves, saturated", saturated, units, 5)
    yield case("all images of one direction", 3, 1, 17)
    # scores a millionth apart, whose images went in in the opposite order
    h = 0.5 + torch.arange(12.0).reshape(12, 1) * 2.0**-20
    close = (h, torch.arange(12.0, 0, -1).reshape(12, 1))
    order = torch.randperm(12, generator=rng)
    close = tuple(part[order] for part in close)
    yield Case("scores that hardly differ", {"train": close, "test": close}, torch.ones(1, 1), 4)


def ranked_by_lexsort(parts, directions, k):
    h, before = (part.double().numpy() for part in parts["test"])
    found = []
    for v in directions.double().numpy():
        keys = (np.arange(len(h)), -(before @ v), -(h @ v))
        found.append(np.lexsort(keys)[:k])
    return np.array(found)


EXERCISE = Exercise(
    title="The strongest images of many directions",
    difficulty=3,
    minutes=10,
    hints=[
        "All scores at once: `directions @ h.T` has a row per direction and a column per image. "
        "`argsort(dim=1, descending=True)` ranks each row.",
        "For the ties: sort by the second key first, then sort *that* order by the first key with "
        "`stable=True`: a stable sort leaves equal entries as it found them.",
        "`order = second.argsort(dim=1, descending=True, stable=True)`; then "
        "`scores.gather(1, order)` are the scores in that order, and what their stable argsort "
        "picks are places in `order`.",
    ],
    cases=layer_cases,
    oracle=ranked_by_lexsort,
    done="Ranked by score, then by what went into the layer, then by position.",
)


@EXERCISE.variant
def ranked_by_sorting(parts, directions, k):
    h, before = (part.double() for part in parts["test"])
    found = []
    for v in directions.double():
        pairs = list(zip((h @ v).tolist(), (before @ v).tolist(), strict=True))
        order = sorted(range(len(h)), key=lambda i: (-pairs[i][0], -pairs[i][1], i))
        found.append(order[:k])
    return torch.tensor(found)


@EXERCISE.variant
def ranked_by_two_sorts(parts, directions, k):
    h, before = parts["test"]
    scores, second = h @ directions.T, before @ directions.T
    order = second.sort(dim=0, descending=True, stable=True).indices
    again = scores.gather(0, order).sort(dim=0, descending=True, stable=True).indices
    return order.gather(0, again)[:k].T


@EXERCISE.variant
def ranked_list(parts, directions, k):
    return [row.tolist() for row in ranked_by_sorting(parts, directions, k)]


TIES = (
    "The scores are right, and images with equal scores stand in another order than was asked "
    "for: by the product with `before`, then by position. `topk` promises no order among equals, "
    "and a sort needs `stable=True`."
)
NUMBERS = (
    "The images are right, but their indices are not whole numbers (int64), and nothing can be "
    "indexed with them: `.long()`."
)


@EXERCISE.probe
def only_ties_are_wrong(answer):
    """A probe: the scores of the images are the best ones in every row, if not their order."""
    wrong = False
    for case in EXERCISE.draw("cpu"):
        parts, directions, k = case.args
        scores = directions @ parts["test"][0].T
        top = as_tensor(answer(*case.args)).long()
        if top.numel() and not 0 <= int(top.min()) <= int(top.max()) < scores.shape[1]:
            return None
        distinct = all(len(set(row)) == k for row in top.tolist())
        best = scores.sort(dim=1, descending=True).values[:, :k]
        if not distinct or not torch.equal(scores.gather(1, top), best):
            return None
        wrong |= not torch.equal(top, torch.from_numpy(ranked_by_lexsort(*case.args)))
    return TIES if wrong else None


@EXERCISE.probe(only_right=True)
def whole_numbers(answer):
    """A probe: what comes back can be used as indices."""
    parts = {name: (torch.eye(4), torch.eye(4)) for name in ("train", "test")}
    found = as_tensor(answer(parts, torch.eye(4)[:2], 2))
    return None if found.dtype in (torch.int64, torch.int32) else NUMBERS


EXERCISE.mistake(
    "topk",
    TIES,
    lambda parts, directions, k: (directions @ parts["test"][0].T).topk(k, dim=1).indices,
)

EXERCISE.mistake(
    "no whole numbers",
    NUMBERS,
    lambda parts, directions, k: ranked_by_two_sorts(parts, directions, k).float(),
)

EXERCISE.mistake(
    "return inside the loop",
    "This is the row of the first direction only: is the `return` inside the loop?",
    lambda parts, directions, k: ranked_by_two_sorts(parts, directions[:1], k)[0],
)

EXERCISE.mistake(
    "before added to the scores",
    "Images whose scores differ by very little change places, as they do when a small multiple of "
    "`before` is added to the scores (or the scores are rounded). `before` is for equal scores "
    "only: sort by it first and then by the score.",
    lambda parts, directions, k: _ranked(
        (directions @ parts["test"][0].T).double()
        + 1e-6 * (directions @ parts["test"][1].T).double(),
        k,
    ),
)

EXERCISE.mistake(
    "training images",
    "These are training images. The network was fitted to them, and what excites it most "
    'among them it may know by heart: rank the held-out ones, `parts["test"]`.',
    ('parts["test"]', 'parts["train"]'),
)

EXERCISE.mistake(
    "all images",
    "Training and test images are ranked together: the paper takes images that the "
    'network was not trained on, `parts["test"]` alone.',
    ('parts["test"]', 'map(torch.cat, zip(parts["train"], parts["test"]))'),
)


def _ranked(scores, k):
    return scores.argsort(dim=1, descending=True, stable=True)[:, :k]


EXERCISE.mistake(
    "ties by position",
    "Equal scores fall to the earlier image. A saturated unit gives many images the same "
    "value, so most of its row would be the beginning of the file: order equal scores by "
    "`before` in the same direction.",
    lambda parts, directions, k: _ranked(directions @ parts["test"][0].T, k),
)

EXERCISE.mistake(
    "ties to the last image",
    "Equal scores fall to the later image (a reversed rising sort does that): order them "
    "by `before` in the same direction, and what is still equal by position.",
    lambda parts, directions, k: (
        (directions @ parts["test"][0].T).argsort(dim=1, stable=True).flip(1)[:, :k]
    ),
)

EXERCISE.mistake(
    "ranked by what goes in",
    "This ranks by `before` alone. For a unit that is the same ranking without the ties; "
    "for a mixture of units it is another ranking: `before` is for equal scores only.",
    lambda parts, directions, k: _ranked(directions @ parts["test"][1].T, k),
)

EXERCISE.mistake(
    "weakest first",
    "These are the images that excite each direction least: sort falling.",
    ("second.argsort(dim=1, descending=True", "second.argsort(dim=1"),
    ("scores.argsort(dim=1, descending=True", "scores.argsort(dim=1"),
)

EXERCISE.mistake(
    "by size",
    "Scores are ranked by their size, so strongly negative ones count as strong. The "
    "paper takes the maximum of <h, v>, with its sign.",
    (
        "directions @ h.T, directions @ before.T",
        "(directions @ h.T).abs(), (directions @ before.T).abs()",
    ),
)


@EXERCISE.mistake(
    "the wrong axis",
    "For every image the directions are ranked, not for every direction the images: the "
    "row of a direction runs over the images.",
)
def directions_of_images(parts, directions, k):
    scores = parts["test"][0] @ directions.T
    return scores.argsort(dim=1, descending=True, stable=True)[:, :k]


@EXERCISE.mistake(
    "transposed",
    "The indices are right and stand in columns: a row per direction is asked for, (M, k).",
)
def first_axis(parts, directions, k):
    return ranked_by_two_sorts(parts, directions, k).T


@EXERCISE.mistake(
    "scores", "These are the scores of the strongest images: their indices are asked for."
)
def scores_returned(parts, directions, k):
    scores = directions @ parts["test"][0].T
    return scores.sort(dim=1, descending=True).values[:, :k]
