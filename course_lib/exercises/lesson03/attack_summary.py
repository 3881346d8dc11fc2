"""The cases, right and wrong answers of `attack-summary`, lesson 03."""

import math

import numpy as np
import torch

from course_lib.attacks import measures
from course_lib.exercises import Case, Exercise

from .shared import named


def summary_cases(rng):
    def case(label, labels, clean, fooled, moved=()):
        n = len(labels)
        images = torch.rand(n, 1, 3, 4, generator=rng)
        adversarial = images + torch.rand(n, 1, 1, 1, generator=rng) * torch.rand(
            n, 1, 3, 4, generator=rng
        )
        labels, clean, fooled = (torch.tensor(v) for v in (labels, clean, fooled))
        untouched = (clean != labels) | (fooled == labels)
        untouched[list(moved)] = False
        adversarial[untouched] = images[untouched]
        return Case(label, images, adversarial, labels, clean, fooled)

    yield case("four images, all go well", [1, 2, 3, 4], [1, 2, 3, 4], [0, 0, 0, 0])
    yield case("five images, one attack failed", [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [2, 3, 3, 0, 1])
    yield case("five images, two were mistakes", [1, 2, 3, 4, 5], [1, 0, 3, 9, 5], [0, 0, 7, 9, 6])
    yield case(
        "eight images, mistakes and failures",
        [1, 2, 3, 4, 5, 6, 7, 8],
        [1, 0, 3, 9, 5, 6, 7, 8],
        [0, 0, 3, 9, 6, 6, 1, 1],
        moved=[2],
    )
    yield case("a mistake that the attack put right", [1, 2, 3], [1, 0, 3], [0, 2, 5])
    yield case("no attack succeeds", [1, 2, 3], [1, 2, 0], [1, 2, 0])


def summary_by_image(images, adversarial, labels, clean, fooled):
    """Image after image."""
    correct, sizes = 0, []
    for x, a, y, before, after in zip(images, adversarial, labels, clean, fooled, strict=True):
        if before != y:
            continue
        correct += 1
        if after != y:
            sizes.append(float(((a.double() - x.double()) ** 2).mean()) ** 0.5)
    return len(sizes) / correct, float(np.mean(sizes)) if sizes else float("nan")


EXERCISE = Exercise(
    title="An attack that looks too good",
    difficulty=2,
    minutes=6,
    hints=[
        "Which images should not be in the mean at all? What is the distortion of an image that "
        "the attack left as it was?",
        "An image that the network got wrong from the start is no success of the attack, and an "
        "image whose class did not change has no distortion that could count: its change of 0 "
        "makes the mean look better.",
        "`correct = clean == labels`; the rate is a mean over `correct` images, the distortion "
        "one over `correct & (fooled != labels)`.",
    ],
    cases=summary_cases,
    oracle=summary_by_image,
    observe=named("rate", "mean distortion"),
    done="Mistakes from the start and failures are kept apart from the mean.",
)


@EXERCISE.variant
def summary_weights(images, adversarial, labels, clean, fooled):
    correct = (clean == labels).double()
    success = correct * (fooled != labels)
    sizes = (adversarial - images).double().flatten(1).norm(dim=1) / images[0].numel() ** 0.5
    return success.sum() / correct.sum(), (success * sizes).sum() / success.sum()


@EXERCISE.variant
def summary_subset(images, adversarial, labels, clean, fooled):
    keep = clean == labels
    images, adversarial, labels, fooled = (t[keep] for t in (images, adversarial, labels, fooled))
    success = fooled != labels
    sizes = measures.distortion(adversarial[success], images[success])
    return success.double().mean(), sizes.mean()


def _summary(rate, mean):
    """A wrong summary: rate(correct, changed) and mean(sizes, correct, changed)."""

    def wrong(images, adversarial, labels, clean, fooled):
        correct, changed = clean == labels, fooled != labels
        sizes = measures.distortion(adversarial, images)
        return rate(correct, changed), mean(sizes, correct, changed)

    return wrong


def _share(correct, changed):
    return changed[correct].double().mean()


EXERCISE.mistake(
    "failures count as 0",
    "The rate is right, but the images at which the attack failed are still in the mean "
    "distortion, with their change of 0: a worse attack would get a smaller mean.",
    _summary(_share, lambda s, correct, changed: s[correct].mean()),
)

EXERCISE.mistake(
    "mistakes count as 0",
    "Images that the network got wrong from the start are still in the mean distortion, "
    "with their change of 0.",
    _summary(_share, lambda s, correct, changed: s[changed].mean()),
)


def _size(sizes, correct, changed):
    return sizes[correct & changed].mean()


EXERCISE.mistake(
    "the rate as it was",
    "The mean distortion is right, but the rate still counts images that were mistakes "
    "from the start as successes of the attack.",
    _summary(lambda correct, changed: changed.double().mean(), _size),
)

EXERCISE.mistake(
    "out of all images",
    "The rate divides by all images, also those that were mistakes from the start and so "
    "could not be attacked: divide by the number of images that were right.",
    _summary(lambda correct, changed: (correct & changed).double().mean(), _size),
)

EXERCISE.mistake(
    "accuracy that is left",
    "The first number is the share that the network still gets right: the attack's rate of "
    "success is 1 minus that.",
    _summary(lambda correct, changed: 1 - _share(correct, changed), _size),
)

EXERCISE.mistake(
    "mistakes as successes",
    "The failures are out of both numbers now, but images that the network got wrong from "
    "the start still count as successes in both: a success is `clean == labels` first and "
    "`fooled != labels` then, and the rate is out of the images that were right.",
    _summary(
        lambda correct, changed: changed.double().mean(),
        lambda s, correct, changed: s[changed].mean(),
    ),
)

EXERCISE.mistake(
    "mistakes as successes, out of the right ones",
    "You divide by the number of images that were right, but count successes (and average) "
    "over all that are wrong now, also those that were wrong from the start: leave these "
    "out of the successes, too.",
    _summary(
        lambda correct, changed: changed.double().sum() / correct.sum(),
        lambda s, correct, changed: s[changed].mean(),
    ),
)

EXERCISE.mistake(
    "all images in the mean",
    "The rate is right, but the mean distortion still runs over all images, also those "
    "that were wrong from the start or at which the attack failed.",
    _summary(_share, lambda s, correct, changed: s.mean()),
)

EXERCISE.mistake(
    "out of all images, all in the mean",
    "The successes are the right ones now, but the rate divides by all images, and the "
    "mean distortion runs over all: divide by those that were right, and average over the "
    "successes.",
    _summary(
        lambda correct, changed: (correct & changed).double().mean(),
        lambda s, correct, changed: s.mean(),
    ),
)

EXERCISE.mistake(
    "failures in the mean, mistakes in the rate",
    "Two things are left: the rate counts images that were wrong from the start, and the "
    "mean distortion runs over the failures, too.",
    _summary(
        lambda correct, changed: changed.double().mean(),
        lambda s, correct, changed: s[correct].mean(),
    ),
)

MOVED = (
    "You compare with the clean predictions only, so a mistake that turned into another class, or "
    "into the right one, counts as a success: leave out what was wrong before."
)


def _moved(part, out_of_right):
    """A wrong summary: an image whose class changed, right or wrong before, is a success."""

    def wrong(images, adversarial, labels, clean, fooled):
        moved, sizes = fooled != clean, measures.distortion(adversarial, images)
        number = (clean == labels).sum() if out_of_right else len(labels)
        return moved.sum() / number, part(sizes, moved).mean()

    return wrong


EXERCISE.mistake(
    "any change of class, all in the mean",
    MOVED + " And the mean distortion runs over all images, not the successes.",
    _moved(lambda s, moved: s, out_of_right=False),
)

EXERCISE.mistake(
    "any change of class, out of the right ones",
    MOVED + " You divide by the right number already.",
    _moved(lambda s, moved: s[moved], out_of_right=True),
)

EXERCISE.mistake(
    "any change of class in the mean",
    "The rate is right, but the mean distortion still counts images that were wrong from "
    "the start and changed to another class: leave those out.",
    lambda images, adversarial, labels, clean, fooled: (
        _share(clean == labels, fooled != labels),
        measures.distortion(adversarial, images)[fooled != clean].mean(),
    ),
)

EXERCISE.mistake(
    "any change of class", MOVED, _moved(lambda s, moved: s[moved], out_of_right=False)
)

EXERCISE.mistake(
    "rms of the set",
    "The distortion is one root over all the successes' pixels: the paper's is the mean "
    "of the images' own.",
    _summary(_share, lambda s, correct, changed: s[correct & changed].square().mean().sqrt()),
)

EXERCISE.mistake(
    "median",
    "This is the median of the distortions: the paper reports their mean.",
    _summary(
        _share,
        lambda s, correct, changed: (
            s[correct & changed].quantile(0.5) if (correct & changed).any() else math.nan
        ),
    ),
)

EXERCISE.mistake(
    "unchanged images by their size",
    "You leave out the images whose change is 0. An attack that fails may well have moved "
    "the image, and that change is no distance to a mistake: ask the network's answers.",
    _summary(_share, lambda s, correct, changed: s[s > 0].mean()),
)
