"""`robust-accuracy`, lesson 07: radii and distances that equal the radius, and failed attacks.

Where an attack found nothing its distance is NaN, which compares as False with everything.
"""

import math

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def accuracy_cases(rng):
    nan = math.nan

    def double(*numbers):
        return torch.tensor(numbers, dtype=torch.float64)

    yield Case(
        "four images", double(0.5, 0.2, 0.1, 0), double(2, 1, 0.3, 0), double(1, 1, 1, 0) > 0, 0.3
    )
    yield Case(
        "on the edge of both",
        double(0.25, 0.125, 0.5, 0.25, 0.0),
        double(0.75, 0.25, 1.0, 0.5, 0.25),
        double(1, 1, 1, 0, 0) > 0,
        0.25,
    )
    yield Case(
        "two attacks failed",
        double(0.1, 0.4, 0.2, 0.3, 0.5, 0.6, 0.15),
        double(nan, 0.9, 0.25, nan, 1.5, 0.8, 0.2),
        double(1, 1, 1, 0, 1, 0, 1) > 0,
        0.3,
    )
    yield Case(
        "what was found is nearer",
        double(0.4, 0.1, 0.3, 0.2, 0.7),
        double(0.9, nan, 0.6, 1.1, nan),
        double(1, 1, 0, 1, 1) > 0,
        2.0,
    )
    yield Case(
        "all attacks failed", double(0.4, 0.1, 0.3), double(nan, nan, nan), double(1, 0, 1) > 0, 20
    )
    yield Case(
        "ties at 0", double(0, 0.2, 0, 0), double(0.1, 0.4, 0, nan), double(1, 1, 0, 1) > 0, 0
    )
    radii = torch.rand(40, generator=rng, dtype=torch.float64)
    factor = 1 + 4 * torch.rand(40, generator=rng, dtype=torch.float64)
    right = torch.rand(40, generator=rng) < 0.8
    yield Case("forty images", radii, radii * factor, right, 0.5)
    yield Case("a radius of 0", radii * right, radii * factor, right, 0.0)
    yield Case("a large radius", radii, radii * factor, right, 1.3)


def accuracy_in_loops(radii, distances, correct, radius):
    certified = surviving = 0
    for promised, found, right in zip(
        radii.tolist(), distances.tolist(), correct.tolist(), strict=True
    ):
        if not right:
            continue
        certified += promised > radius
        surviving += not found <= radius
    return [certified / len(radii), surviving / len(radii)]


EXERCISE = Exercise(
    title="Between what is proved and what is broken",
    difficulty=2,
    minutes=8,
    hints=[
        "Two shares of all images: those that are read correctly *and* have a certificate that "
        "reaches further than the radius; those that are read correctly *and* for which no mistake "
        "within the radius was found.",
        "A NaN compares as False with everything: decide which of `distances <= radius` and "
        "`distances > radius` should be False for an attack that found nothing.",
    ],
    cases=accuracy_cases,
    parts=("certified", "not fooled"),
    oracle=accuracy_in_loops,
    on_device=False,
    done="The accuracy under the worst change within the radius lies between your two numbers.",
)


@EXERCISE.variant
def accuracy_of_numpy(radii, distances, correct, radius):
    promised, found, right = radii.numpy(), distances.numpy(), correct.numpy()
    found = np.where(np.isnan(found), np.inf, found)
    return np.mean(right & (promised > radius)), np.mean(right & (found > radius))


@EXERCISE.variant
def accuracy_by_sums(radii, distances, correct, radius):
    n = len(correct)
    certified = (radii[correct] > radius).sum() / n
    fooled = (distances[correct] <= radius).sum() / n
    return certified, correct.sum() / n - fooled


EXERCISE.mistake(
    "misclassified counted",
    "Images that are misclassified count as certified or surviving, if only their radius "
    "is large enough: accuracy counts those that are read correctly.",
    ("correct & (radii", "(radii"),
    ("correct & ~", "~"),
)


EXERCISE.mistake(
    "misclassified counted as certified",
    "The second number is right. In the first, images that are misclassified count as certified "
    "if only their radius is large enough: accuracy counts those that are read correctly.",
    ("correct & (radii", "(radii"),
)

EXERCISE.mistake(
    "misclassified counted as surviving",
    "The first number is right. In the second, images that are misclassified count as surviving "
    "if only their distance is large enough: accuracy counts those that are read correctly.",
    ("correct & ~", "~"),
)

EXERCISE.mistake(
    "numbers of images",
    "These are numbers of images: shares of all images are asked for, so divide by how many there "
    "are.",
    (
        "certified.double().mean(), surviving.double().mean()",
        "certified.double().sum(), surviving.double().sum()",
    ),
)


@EXERCISE.mistake(
    "share of the correct",
    "These are shares of the images that are read correctly. Accuracy is a share of all "
    "images, and at radius 0 it is the clean accuracy.",
)
def among_the_correct(radii, distances, correct, radius):
    low = (radii[correct] > radius).double().mean()
    return low, (~(distances[correct] <= radius)).double().mean()


EXERCISE.mistake(
    "certified at the radius itself",
    "An image whose certificate is exactly the radius counts as certified: there, at the "
    "end, the two classes may tie. At radius 0 this even certifies images without any "
    "certificate.",
    ("radii > radius", "radii >= radius"),
)

EXERCISE.mistake(
    "not broken at the distance itself",
    "An image that was fooled at exactly this distance counts as surviving: the mistake "
    "has been found, and it lies within the radius.",
    ("distances <= radius", "distances < radius"),
)

EXERCISE.mistake(
    "failed attacks count as broken",
    "Where the attack found nothing (NaN) the image counts as broken, because NaN > radius "
    "is False. No mistake was found there: it survives.",
    ("~(distances <= radius)", "(distances > radius)"),
)


@EXERCISE.mistake(
    "failed attacks left out",
    "Images for which the attack found nothing (NaN) are left out of the mean. They are images "
    "like all others: those that are read correctly survive, and all of them are counted.",
)
def without_failed_attacks(radii, distances, correct, radius):
    found = ~distances.isnan()
    low = (correct & (radii > radius)).double().mean()
    return low, (correct & (distances > radius))[found].double().mean()


@EXERCISE.mistake(
    "failed attacks left out of both",
    "Images for which the attack found nothing (NaN) are left out of both shares. They are images "
    "like all others: those that are read correctly survive, and all of them are counted.",
)
def only_where_found(radii, distances, correct, radius):
    found = ~distances.isnan()
    low = (correct & (radii > radius))[found].double().mean()
    return low, (correct & (distances > radius))[found].double().mean()


EXERCISE.mistake(
    "misread images survive where the attack failed",
    "Where the attack found nothing (NaN) the image counts as surviving, also where it is misread "
    "from the start: there is nothing left to break, and accuracy counts what is read correctly.",
    ("correct & ~(distances <= radius)", "(correct & ~(distances <= radius)) | distances.isnan()"),
)


@EXERCISE.mistake(
    "share of the fooled",
    "The second number is the share of mistakes, and the share that survives is asked for.",
)
def the_fooled(radii, distances, correct, radius):
    low = (correct & (radii > radius)).double().mean()
    return low, (~correct | (distances <= radius)).double().mean()


EXERCISE.mistake(
    "the other way round",
    "The two are in the other order: the proved share, which is the smaller one, first.",
    (
        "certified.double().mean(), surviving.double().mean()",
        "surviving.double().mean(), certified.double().mean()",
    ),
)

EXERCISE.mistake(
    "radius as a distortion",
    "The radius is divided by 28, as if it were an L2 norm and the others distortions: "
    "all three are L2 norms.",
    lambda radii, distances, correct, radius: accuracy_by_sums(
        radii, distances, correct, radius / 28
    ),
)


@EXERCISE.mistake(
    "means",
    "These are the mean radius and the mean distance. Shares of images are asked for, "
    "those beyond the given radius.",
)
def mean_radius(radii, distances, correct, radius):
    return radii[correct].mean(), distances[correct].nanmean()
