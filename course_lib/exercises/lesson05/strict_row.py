"""`strict-row`, lesson 05: clean errors in every network, and failures of the attack.

So each way to choose the images of the row gives other shares.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def row_cases(rng):
    def draw(*shape):
        return torch.randint(10, shape, generator=rng)

    def change(from_, share):
        moved = torch.rand(from_.shape, generator=rng) < share
        return torch.where(moved, draw(*from_.shape), from_)

    labels = torch.tensor([0, 1, 2, 3, 4, 5])
    clean = torch.stack([labels, labels.clone(), labels.clone()])
    clean[0, 0] = clean[2, 1] = 9
    adversarial = torch.stack([labels + 1, labels.clone(), labels.clone()])
    adversarial[1, 2] = adversarial[1, 0] = adversarial[2, 1] = 8
    success = torch.tensor([True, True, True, True, True, False])
    yield Case("three networks, six images", clean, adversarial, labels, success, 0)
    for label, m, n, source in (
        ("four networks, fifty images", 4, 50, 2),
        ("two networks", 2, 40, 1),
        ("six networks, no failure", 6, 90, 3),
    ):
        labels = draw(n)
        clean = change(labels.expand(m, n).clone(), 0.15)
        adversarial = change(clean, 0.4)
        fooled = torch.rand(n, generator=rng) < (1.0 if m == 6 else 0.85)
        goal = (labels + 1 + draw(n) % 9) % 10
        adversarial[source] = torch.where(fooled, goal, clean[source])
        clean[:, 3] = (labels[3] + 1) % 10  # an image that none of them has right
        fooled[3], adversarial[:, 3] = True, (labels[3] + 2) % 10
        yield Case(label, clean, adversarial, labels, fooled, source)


def row_by_counting(clean, adversarial, labels, success, source):
    kept = [
        i for i in range(len(labels)) if success[i] and all(said[i] == labels[i] for said in clean)
    ]
    shares = [sum(int(said[i] != labels[i]) for i in kept) / len(kept) for said in adversarial]
    others = [share for k, share in enumerate(shares) if k != source]
    return np.array(shares), len(kept), sum(others) / len(others)


EXERCISE = Exercise(
    title="A row on the same images",
    difficulty=2,
    minutes=8,
    hints=[
        "One mask for the whole row: the attack reached its goal, and *every* network had the "
        "image right before. `(clean == labels).all(dim=0)` is the second half of that.",
        "With the mask, a share for each network: "
        "`(adversarial[:, use] != labels[use]).double().mean(1)`.",
        "The mean leaves out the row of the source, which is 1 by construction.",
    ],
    cases=row_cases,
    parts=("shares", "count", "mean share"),
    oracle=row_by_counting,
    done="All cells stand for the same images, and the source is not in its own mean.",
)


@EXERCISE.variant
def row_of_numpy(clean, adversarial, labels, success, source):
    c, a, y, s = (t.cpu().numpy() for t in (clean, adversarial, labels, success))
    use = s & (c == y[None]).all(axis=0)
    shares = (a[:, use] != y[use]).mean(axis=1)
    return shares, use.sum(), np.delete(shares, source).mean()


@EXERCISE.variant
def row_of_sums(clean, adversarial, labels, success, source):
    use = success & ((clean != labels).sum(0) == 0)
    wrong = ((adversarial != labels) & use).double().sum(1) / use.sum()
    m = len(clean)
    return wrong, int(use.sum()), (wrong.sum() - wrong[source]) / (m - 1)


EXERCISE.mistake(
    "the source in its own mean",
    "The mean includes the source's own cell, which is 100 % because the images were made "
    "for it. Transfer is what the others say.",
    ("shares[others].mean()", "shares.mean()"),
)


@EXERCISE.mistake(
    "own images for each cell",
    "Each network is measured on the images that it had right itself, so the cells of the "
    "row stand for different images and cannot be compared: take the images that all of "
    "them had right.",
)
def own_images(clean, adversarial, labels, success, source):
    use = success & (clean == labels)
    shares = ((adversarial != labels) & use).double().sum(dim=1) / use.sum(dim=1)
    others = torch.arange(len(clean), device=shares.device) != source
    return shares, int(use[source].sum()), shares[others].mean()


EXERCISE.mistake(
    "only the source's errors left out",
    "The images are those that the source had right. The other networks' clean errors are "
    "still in, and count as fooled.",
    ("(clean == labels).all(dim=0)", "(clean[source] == labels)"),
)

EXERCISE.mistake(
    "failures kept",
    "Images for which the attack failed are kept: they are unchanged and dilute every cell.",
    ("success & ", ""),
)

EXERCISE.mistake(
    "all images",
    "All images count, so this is the paper's way, with the failures of the attack and all "
    "clean errors in it.",
    ("success & (clean == labels).all(dim=0)", "torch.ones_like(success)"),
)

EXERCISE.mistake(
    "only failures left out",
    "Only the attack's failures are left out. The clean errors of every network are still "
    "counted as fooled.",
    (" & (clean == labels).all(dim=0)", ""),
)

EXERCISE.mistake(
    "some network right",
    "An image is kept if at least one network had it right: it takes all of them.",
    (".all(dim=0)", ".any(dim=0)"),
)

EXERCISE.mistake(
    "the others are all but the first",
    "The mean leaves out the first network, whichever the source is: leave out row `source`.",
    ("!= source", "!= 0"),
)

EXERCISE.mistake(
    "how many images there are",
    "The second number counts all images: how many of them the shares are taken over is asked for.",
    ("int(use.sum())", "len(labels)"),
)

EXERCISE.mistake(
    "divided by all images",
    "The fooled images are counted on the right ones and divided by all: divide by how many count.",
    (
        "(adversarial[:, use] != labels[use]).double().mean(dim=1)",
        "(adversarial[:, use] != labels[use]).double().sum(dim=1) / len(labels)",
    ),
)

EXERCISE.mistake(
    "numbers of images",
    "These are numbers of images: shares are asked for.",
    (".double().mean(dim=1)", ".double().sum(dim=1)"),
)

EXERCISE.mistake(
    "the shares that are right",
    "These are the shares that are still right: those that are wrong are asked for.",
    ("adversarial[:, use] != ", "adversarial[:, use] == "),
)

EXERCISE.mistake(
    "the sum over the others divided by all",
    "The sum over the other networks is divided by the number of all networks, the source "
    "included: there is one fewer.",
    ("shares[others].mean()", "shares[others].sum() / len(shares)"),
)
