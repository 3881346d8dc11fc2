"""`mixed-batch`, lesson 08, a bug hunt: examples and labels that were shuffled apart."""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def batch_cases(rng):
    def case(label, n, m, *shape):
        yield Case(
            label,
            torch.rand(n, *shape, generator=rng),
            torch.randint(10, (n,), generator=rng),
            torch.rand(m, *shape, generator=rng) + 1,
            torch.randint(10, (m,), generator=rng) + 10,
            torch.randperm(n + m, generator=rng),
        )

    yield Case(
        "two and one",
        torch.tensor([[0.1], [0.2]]),
        torch.tensor([1, 2]),
        torch.tensor([[0.9]]),
        torch.tensor([9]),
        torch.tensor([2, 0, 1]),
    )
    yield from case("images", 5, 3, 1, 4, 3)
    yield from case("activations", 4, 7, 6)
    yield from case("no pool", 6, 0, 5)


def batch_by_counting(images, labels, pool, pool_labels, order):
    rows = [*zip(images.numpy(), labels.tolist(), strict=True)]
    rows += [*zip(pool.numpy(), pool_labels.tolist(), strict=True)]
    drawn = [rows[k] for k in order.tolist()]
    return np.stack([row for row, _ in drawn]), [label for _, label in drawn]


EXERCISE = Exercise(
    title="A bug: what the network is told of its examples",
    difficulty=2,
    minutes=7,
    hints=[
        "With it, most rows get the label of another. Try it: two images, one example, "
        "`order = torch.tensor([2, 0, 1])`. Which label has which row?",
        "The k-th row of the batch is row `order[k]` of all rows. Is the k-th label?",
    ],
    cases=batch_cases,
    parts=("rows", "labels"),
    oracle=batch_by_counting,
    on_device=False,
    done="Nothing crashes: only a look at single rows finds such a bug.",
)


@EXERCISE.variant
def batch_of_lists(images, labels, pool, pool_labels, order):
    rows, classes = [*images, *pool], [*labels, *pool_labels]
    return torch.stack([rows[k] for k in order]), torch.stack([classes[k] for k in order])


@EXERCISE.variant
def batch_by_index_select(images, labels, pool, pool_labels, order):
    every = torch.cat([images, pool]), torch.cat([labels, pool_labels])
    return tuple(part.index_select(0, order) for part in every)


@EXERCISE.mistake(
    "neither is shuffled",
    "Rows and labels belong together now, and none of them is in the order asked for: the images "
    "come first and the pool last.",
)
def unshuffled(images, labels, pool, pool_labels, order):
    return torch.cat([images, pool]), torch.cat([labels, pool_labels])


@EXERCISE.mistake(
    "the inverse order",
    "Row k of all went to place `order[k]`; place k gets row `order[k]`.",
)
def inverse(images, labels, pool, pool_labels, order):
    back = order.argsort()
    return torch.cat([images, pool])[back], torch.cat([labels, pool_labels])[back]


@EXERCISE.mistake(
    "only the labels",
    "The labels are in the order asked for and the rows are not.",
)
def only_labels(images, labels, pool, pool_labels, order):
    return torch.cat([images, pool]), torch.cat([labels, pool_labels])[order]


@EXERCISE.mistake(
    "the pool first",
    "The pool's rows are counted before the images: in `order` the images come first.",
)
def pool_first(images, labels, pool, pool_labels, order):
    return torch.cat([pool, images])[order], torch.cat([pool_labels, labels])[order]
