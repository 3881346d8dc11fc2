"""`renew-pool`, lesson 08: which slots are new, in which order, and that the old pool stays."""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def pool_cases(rng):
    def case(label, size, count, *shape):
        yield Case(
            label,
            torch.rand(size, *shape, generator=rng),
            torch.randint(10, (size,), generator=rng),
            torch.rand(count, *shape, generator=rng) + 2,
            torch.randint(10, (count,), generator=rng) + 10,
            torch.randperm(size, generator=rng),
        )

    yield Case(
        "two of four",
        torch.tensor([[0.1], [0.2], [0.3], [0.4]]),
        torch.tensor([1, 2, 3, 4]),
        torch.tensor([[0.7], [0.8]]),
        torch.tensor([7, 8]),
        torch.tensor([2, 0, 3, 1]),
    )
    yield from case("activations", 12, 5, 6)
    yield from case("images", 9, 3, 1, 4, 5)
    yield from case("all of them", 6, 6, 3)
    yield from case("none", 5, 0, 4)
    yield from case("a single one", 8, 1, 2)


def pool_by_counting(pool, labels, new, new_labels, order):
    examples, classes = list(pool.numpy().copy()), labels.tolist()
    for k in range(len(new)):
        examples[int(order[k])] = new[k].numpy()
        classes[int(order[k])] = int(new_labels[k])
    return np.stack(examples), classes


EXERCISE = Exercise(
    title="A part of the pool, drawn at random, is new",
    difficulty=1,
    minutes=5,
    hints=[
        "The slots that get a new example are `order[: len(new)]`.",
        "Work on copies (`.clone()`), and assign to many slots at once: `copy[slots] = new`.",
    ],
    cases=pool_cases,
    parts=("pool", "labels"),
    oracle=pool_by_counting,
    on_device=False,
    done="Keep doing this while the network changes, and few examples get very old.",
)


@EXERCISE.variant
def by_index_copy(pool, labels, new, new_labels, order):
    slots = order[: len(new)]
    return pool.index_copy(0, slots, new), labels.index_copy(0, slots, new_labels)


@EXERCISE.variant
def in_a_loop(pool, labels, new, new_labels, order):
    examples, classes = list(pool), labels.tolist()
    for slot, example, label in zip(order.tolist(), new, new_labels.tolist(), strict=False):
        examples[slot], classes[slot] = example, label
    return torch.stack(examples), classes


EXERCISE.mistake(
    "labels stay",
    "The new examples have the labels of those that they replaced: the network would be taught "
    "that a new 3 is an old 5.",
    ("labels[slots] = new_labels", "labels[slots] = labels[slots]"),
)

EXERCISE.mistake(
    "always the first slots",
    "Always the first slots are new: the examples at the pool's end would stay for ever. Which are "
    "replaced is drawn: they are the first of `order`.",
    ("order[: len(new)]", "slice(len(new))"),
)

EXERCISE.mistake(
    "the last of the order",
    "The slots are the last of `order`, and its first are asked for.",
    ("order[: len(new)]", "order[len(order) - len(new) :]"),
)


@EXERCISE.mistake(
    "sorted",
    "The right slots are new, but the new examples are in the order of the slots, as with a mask, "
    "and not in that of `order`: the k-th belongs into slot `order[k]`.",
)
def by_mask(pool, labels, new, new_labels, order):
    slots = order[: len(new)].sort()[0]
    return pool.index_copy(0, slots, new), labels.index_copy(0, slots, new_labels)


@EXERCISE.mistake(
    "added",
    "The new examples are added at the end, and the old ones are all still there: the pool grows, "
    "and its old examples stay for ever.",
)
def appended(pool, labels, new, new_labels, order):
    return torch.cat([pool, new]), torch.cat([labels, new_labels])


@EXERCISE.mistake(
    "a queue",
    "The oldest go and the new ones come last, as in a queue: which are replaced is drawn at "
    "random here, by `order`, so that each example's age is a matter of chance.",
)
def queued(pool, labels, new, new_labels, order):
    return torch.cat([pool[len(new) :], new]), torch.cat([labels[len(new) :], new_labels])


@EXERCISE.mistake(
    "shuffled",
    "The whole pool comes back in another order, `order`'s. Only the new slots change.",
)
def shuffled(pool, labels, new, new_labels, order):
    kept = order[len(new) :]
    return torch.cat([new, pool[kept]]), torch.cat([new_labels, labels[kept]])


@EXERCISE.mistake(
    "examples stay",
    "The labels are new where they should be, the examples themselves are the old ones.",
)
def labels_alone(pool, labels, new, new_labels, order):
    return pool, labels.index_copy(0, order[: len(new)], new_labels)
