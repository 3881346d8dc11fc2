"""`bootstrap-means`, lesson 05: the draws are given, so nothing is left to chance.

The oracle weighs rows and columns by how often they were drawn.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def levels_cases(rng):
    def draw(k, n, times, p=0.4):
        shift = torch.rand(k, 1, generator=rng) * 0.5 - 0.25
        fooled = torch.rand(k, n, generator=rng) < p + shift
        networks = torch.randint(k, (times, k), generator=rng)
        return fooled, networks, torch.randint(n, (times, n), generator=rng)

    yield Case(
        "two pairs, three images",
        torch.tensor([[True, False, False], [True, True, False]]),
        torch.tensor([[0, 0], [0, 1], [1, 1]]),
        torch.tensor([[0, 1, 2], [0, 0, 1], [2, 2, 2]]),
    )
    yield Case("four pairs, thirty images", *draw(4, 30, 12))
    yield Case("as many pairs as images and draws", *draw(5, 5, 5))
    yield Case("three pairs, fifty images", *draw(3, 50, 40))


def levels_by_counts(fooled, networks, images):
    """A draw is a weight for each row and for each column of the table."""
    table = fooled.cpu().double().numpy()
    k, n = table.shape
    rows = np.stack([np.bincount(r, minlength=k) for r in networks.cpu().numpy()])
    columns = np.stack([np.bincount(r, minlength=n) for r in images.cpu().numpy()])
    return np.einsum("bk,kn,bn->b", rows, table, columns) / (k * n)


EXERCISE = Exercise(
    title="Networks drawn, and images drawn",
    difficulty=2,
    minutes=6,
    hints=[
        "One draw b first: `fooled[networks[b]]` repeats and omits rows, then `[:, images[b]]` "
        "repeats and omits columns. The mean of what is left is one number.",
        "`fooled` is boolean: `.double()` before the mean. All draws at once: "
        "`fooled[networks[:, :, None], images[:, None, :]]` has the shape (B, K, N).",
    ],
    cases=levels_cases,
    oracle=levels_by_counts,
    done="Every draw is a table of K pairs and N images, drawn with replacement.",
)


NOT_DRAWN = (
    "The means do not follow `networks` and `images`: where every draw takes each of them once, "
    "all means must be the same, and yours are not. Take those that the rows of the two name."
)


@EXERCISE.probe
def means_follow_the_draws(answer):
    fooled = (torch.arange(28) % 3 == 0).reshape(4, 7)
    once = (torch.arange(n).expand(9, -1).clone() for n in (4, 7))
    found = answer(fooled, *once).double()
    return NOT_DRAWN if found.max() - found.min() > 1e-5 else None


@EXERCISE.variant
def levels_loop(fooled, networks, images):
    means = []
    for rows, columns in zip(networks, images, strict=True):
        means.append(fooled.double()[rows][:, columns].mean())
    return torch.stack(means)


@EXERCISE.variant
def levels_gather(fooled, networks, images):
    table = fooled.float()[networks]
    wide = images[:, None].expand(-1, fooled.shape[0], -1)
    return table.gather(2, wide).flatten(1).mean(1)


def _levels(pick):
    """A wrong mean: pick(table, rows, columns) -> what is averaged, for each draw."""

    def wrong(fooled, networks, images):
        table = fooled.double()
        each = [pick(table, r, c) for r, c in zip(networks, images, strict=True)]
        return torch.stack([part.mean() for part in each])

    return wrong


EXERCISE.mistake(
    "networks not drawn",
    "The images are drawn and the networks are always the same: the spread is that over "
    "images only, and a table of other networks may well lie outside of it.",
    _levels(lambda t, r, c: t[:, c]),
)

EXERCISE.mistake(
    "images not drawn",
    "The networks are drawn and the images are always the same: draw the columns, too.",
    _levels(lambda t, r, c: t[r]),
)


def _unequal(table, rows, columns):
    """Each pair with images of its own: here the draw, moved on by one for each pair."""
    n = table.shape[1]
    return torch.stack([table[r][(columns + i) % n] for i, r in enumerate(rows)])


EXERCISE.mistake(
    "other images for each pair",
    "Each pair gets images of its own. The pairs share their images, an easy one is easy "
    "for all of them, and that does not average out over pairs: use the same columns for "
    "all rows of a draw.",
    _levels(_unequal),
)

EXERCISE.mistake(
    "each network once",
    "A network that was drawn twice counts once here. Drawing with replacement means that "
    "it counts as often as it was drawn.",
    _levels(lambda t, r, c: t[r.unique()][:, c]),
)

EXERCISE.mistake(
    "each image once",
    "An image that was drawn twice counts once here. Drawing with replacement means that "
    "it counts as often as it was drawn.",
    _levels(lambda t, r, c: t[r][:, c.unique()]),
)

EXERCISE.mistake(
    "each once",
    "A network or an image that was drawn twice counts once here: with replacement, each "
    "counts as often as it was drawn.",
    _levels(lambda t, r, c: t[r.unique()][:, c.unique()]),
)

EXERCISE.mistake(
    "sums",
    "These are sums: the mean over all K · N entries of the drawn table is asked for.",
    _levels(lambda t, r, c: t[r][:, c].sum()),
)

EXERCISE.mistake(
    "the first draw's networks",
    "All draws get the networks of the first one: take row b of `networks` for draw b.",
    lambda fooled, networks, images: torch.stack(
        [fooled.double()[networks[0]][:, c].mean() for c in images]
    ),
)

EXERCISE.mistake(
    "the first draw's images",
    "All draws get the images of the first one: take row b of `images` for draw b.",
    lambda fooled, networks, images: torch.stack(
        [fooled.double()[r][:, images[0]].mean() for r in networks]
    ),
)

EXERCISE.mistake(
    "one draw",
    "This is the mean of the first draw only: is there a `return` inside the loop? One number for "
    "each draw is asked for.",
    lambda fooled, networks, images: fooled.double()[networks[0]][:, images[0]].mean(),
)

EXERCISE.mistake(
    "in per cent",
    "These are per cent: shares are asked for, 0.5 for a half.",
    _levels(lambda t, r, c: 100 * t[r][:, c]),
)

EXERCISE.mistake(
    "a mean for each pair",
    "This is a mean for each pair and each draw: one number for each draw is asked for.",
    lambda fooled, networks, images: torch.stack(
        [fooled.double()[r][:, c].mean(1) for r, c in zip(networks, images, strict=True)]
    ),
)
