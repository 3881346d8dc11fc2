"""`attack-summary`, lesson 03: a bug hunt.

Mistakes from the start, failures, and images that moved in vain: each wrong choice of images shows
in some case.
"""

import numpy as np
import torch

from course_lib.attacks import measures
from course_lib.exercises import Case, Exercise


def summary_cases(rng):
    def case(label, labels, clean, fooled, moved=(), shape=(1, 3, 4)):
        n = len(labels)
        images = torch.rand(n, *shape, generator=rng)
        far = torch.rand(n, *[1] * len(shape), generator=rng)
        adversarial = images + far * torch.rand(n, *shape, generator=rng)
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
    yield case("flat images", [4, 2, 3, 7], [4, 2, 3, 0], [2, 2, 1, 0], moved=[1], shape=(6,))
    yield case("two colours", [1, 2, 3, 4], [1, 2, 3, 4], [1, 0, 0, 2], shape=(2, 3, 3))
    # attacks make pixels darker as well, by very little or by more than the box allows
    for label, size in (("changes of a thousandth", 1e-3), ("changes far outside the box", 40.0)):
        drawn = case(label, [1, 2, 3, 4], [1, 2, 3, 0], [0, 2, 1, 1], shape=(2, 4))
        images, adversarial, *answers = drawn.args
        both_ways = size * (adversarial - images) * torch.randn(4, 2, 4, generator=rng).sign()
        yield Case(label, images, images + both_ways, *answers)


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
    parts=("rate", "mean distortion"),
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


EXERCISE.mistake(
    "failures count as 0",
    "The rate is right, but the images at which the attack failed are still in the mean "
    "distortion, with their change of 0: a worse attack would get a smaller mean.",
    ("sizes[success]", "sizes[correct]"),
)

EXERCISE.mistake(
    "mistakes count as 0",
    "Images that the network got wrong from the start are still in the mean distortion, "
    "with their change of 0.",
    ("sizes[success]", "sizes[fooled != labels]"),
)

EXERCISE.mistake(
    "the rate as it was",
    "The mean distortion is right, but the rate still counts images that were mistakes "
    "from the start as successes of the attack.",
    ("success.sum() / correct.sum()", "(fooled != labels).double().mean()"),
)

EXERCISE.mistake(
    "out of all images",
    "The rate divides by all images, also those that were mistakes from the start and so "
    "could not be attacked: divide by the number of images that were right.",
    ("/ correct.sum()", "/ len(labels)"),
)

EXERCISE.mistake(
    "accuracy that is left",
    "The first number is the share that the network still gets right: the attack's rate of "
    "success is 1 minus that.",
    ("float(rate)", "float(1 - rate)"),
)

EXERCISE.mistake(
    "mistakes as successes",
    "The failures are out of both numbers now, but images that the network got wrong from "
    "the start still count as successes in both: a success is `clean == labels` first and "
    "`fooled != labels` then, and the rate is out of the images that were right.",
    ("correct & (fooled", "(fooled"),
    ("/ correct.sum()", "/ len(labels)"),
)

EXERCISE.mistake(
    "mistakes as successes, out of the right ones",
    "You divide by the number of images that were right, but count successes (and average) "
    "over all that are wrong now, also those that were wrong from the start: leave these "
    "out of the successes, too.",
    ("correct & (fooled", "(fooled"),
)

EXERCISE.mistake(
    "all images in the mean",
    "The rate is right, but the mean distortion still runs over all images, also those "
    "that were wrong from the start or at which the attack failed.",
    ("sizes[success]", "sizes"),
)

EXERCISE.mistake(
    "out of all images, all in the mean",
    "The successes are the right ones now, but the rate divides by all images, and the "
    "mean distortion runs over all: divide by those that were right, and average over the "
    "successes.",
    ("/ correct.sum()", "/ len(labels)"),
    ("sizes[success]", "sizes"),
)

EXERCISE.mistake(
    "failures in the mean, mistakes in the rate",
    "Two things are left: the rate counts images that were wrong from the start, and the "
    "mean distortion runs over the failures, too.",
    ("success.sum() / correct.sum()", "(fooled != labels).double().mean()"),
    ("sizes[success]", "sizes[correct]"),
)

MOVED = (
    "You compare with the clean predictions only, so a mistake that turned into another class, or "
    "into the right one, counts as a success: leave out what was wrong before."
)

EXERCISE.mistake(
    "any change of class, all in the mean",
    MOVED + " And the mean distortion runs over all images, not the successes.",
    ("correct & (fooled != labels)", "fooled != clean"),
    ("/ correct.sum()", "/ len(labels)"),
    ("sizes[success]", "sizes"),
)

EXERCISE.mistake(
    "any change of class, out of the right ones",
    MOVED + " You divide by the right number already.",
    ("correct & (fooled != labels)", "fooled != clean"),
)

EXERCISE.mistake(
    "any change of class in the mean",
    "The rate is right, but the mean distortion still counts images that were wrong from "
    "the start and changed to another class: leave those out.",
    ("sizes[success]", "sizes[fooled != clean]"),
)

EXERCISE.mistake(
    "any change of class",
    MOVED,
    ("correct & (fooled != labels)", "fooled != clean"),
    ("/ correct.sum()", "/ len(labels)"),
)

EXERCISE.mistake(
    "rms of the set",
    "The distortion is one root over all the successes' pixels: the paper's is the mean "
    "of the images' own.",
    ("sizes[success].mean()", "sizes[success].square().mean().sqrt()"),
)

EXERCISE.mistake(
    "28 for every image size",
    "The L2 norm is divided by 28 whatever the size of the image: 28 is √784, for MNIST. Divide by "
    "the root of the number of pixels, as `.square().mean(dim=1).sqrt()` does.",
    ("change.square().mean(dim=1).sqrt()", "change.norm(dim=1) / 28"),
)

EXERCISE.mistake(
    "L2 norm",
    "These are L2 norms: the distortion is the root of the mean square.",
    ("change.square().mean(dim=1).sqrt()", "change.norm(dim=1)"),
)

EXERCISE.mistake(
    "0 where nothing succeeded",
    "Where no attack succeeds the mean distortion is 0, the best there could be, for the worst "
    "attack: let it be nan.",
    ("float(sizes[success].mean())", "float(sizes[success].mean()) if success.any() else 0.0"),
)

EXERCISE.mistake(
    "in per cent",
    "The rate is in per cent: a share, between 0 and 1, is asked for.",
    ("float(rate)", "100 * float(rate)"),
)

EXERCISE.mistake(
    "the other order",
    "The two results are in the other order: first the rate, then the mean distortion.",
    ("float(rate), float(sizes[success].mean())", "float(sizes[success].mean()), float(rate)"),
)

EXERCISE.mistake(
    "median",
    "This is the median of the distortions: the paper reports their mean.",
    ("sizes[success].mean()", "sizes[success].quantile(0.5) if success.any() else torch.nan"),
)

EXERCISE.mistake(
    "unchanged images by their size",
    "You leave out the images whose change is 0. An attack that fails may well have moved "
    "the image, and that change is no distance to a mistake: ask the network's answers.",
    ("sizes[success]", "sizes[sizes > 0]"),
)
