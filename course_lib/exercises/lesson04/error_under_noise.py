"""`error-under-noise`, lesson 04: other numbers of pixels than 784, and images on the wrong side.

The oracle is the tail of SciPy's normal distribution.
"""

import math

import numpy as np
import scipy.stats
import torch

from course_lib.exercises import Case, Exercise

from .shared import doubles


def noise_cases(rng):
    yield Case("two images", doubles(0.02, 0.05), 0.5, 100)
    few = torch.rand(7, generator=rng, dtype=torch.float64) * 0.06 + 0.005
    yield Case("seven images", few, 0.3, 784)
    yield Case("images on the wrong side", torch.cat([few, doubles(-0.01, -0.05)]), 0.4, 784)
    yield Case("little noise, the pixels of MNIST", few / 4, 0.06)
    yield Case("one pixel", doubles(0.2, 0.1, 0.9), 0.2, 1)
    yield Case("images far away: an error of a billionth", doubles(0.045, 0.05, 0.06), 0.2, 784)


def noise_of_scipy(distortion, stddev, pixels=784):
    return np.mean(
        [scipy.stats.norm.sf(d * math.sqrt(pixels) / stddev) for d in distortion.numpy()]
    )


EXERCISE = Exercise(
    title="The error under noise, from the distance",
    difficulty=2,
    minutes=6,
    hints=[
        "Only one component of the noise moves the image towards the boundary: the one along the "
        "shortest way. It is normal, with standard deviation σ, in any number of pixels.",
        "The shortest way has the L2 length d = distortion · √pixels. The image crosses when the "
        "component exceeds d: probability Φ(-d/σ), `torch.special.ndtr`.",
        "One probability for each image, and the mean of those at the end.",
    ],
    cases=noise_cases,
    oracle=noise_of_scipy,
    on_device=False,
    atol=1e-7,
    done="The probabilities agree with SciPy's normal distribution.",
)


@EXERCISE.variant
def noise_erfc(distortion, stddev, pixels=784):
    far = distortion.double() * pixels**0.5 / (stddev * 2**0.5)
    return torch.erfc(far).sum() / (2 * len(distortion))


@EXERCISE.variant
def noise_normal(distortion, stddev, pixels=784):
    component = torch.distributions.Normal(0.0, stddev)
    return (1 - component.cdf(distortion.double() * math.sqrt(pixels))).mean()


EXERCISE.mistake(
    "rms for length",
    "The distortion, a root mean square per pixel, is compared with σ as it is (or both "
    "are multiplied by √pixels, which is the same). The way to the boundary has the length "
    "distortion · √pixels, 28 times as much on MNIST, and the noise's component along it "
    "has the standard deviation σ: all the rest of the noise points sideways.",
    ("distortion * pixels**0.5", "distortion"),
)

EXERCISE.mistake(
    "times the number of pixels",
    "The distortion is multiplied by the number of pixels: an L2 length takes its root.",
    ("pixels**0.5", "pixels"),
)

EXERCISE.mistake(
    "28 for every image size",
    "The length is 28 times the distortion whatever `pixels` says: 28 is √784. Take the "
    "root of `pixels`, which is 100 in the first case and 1 in the last.",
    ("pixels**0.5", "28"),
)

EXERCISE.mistake(
    "the mean distance",
    "The distances are averaged first. The images near a boundary make up most of the "
    "error where σ is small, and a mean forgets them: average the probabilities.",
    ("distortion * ", "distortion.mean() * "),
)

EXERCISE.mistake(
    "accuracy",
    "This is the share that stays right: the error is what crosses, Φ(-d/σ).",
    ("-distance", "distance"),
)

EXERCISE.mistake(
    "wrong ones stay wrong",
    "An image on the wrong side counts as wrong for certain: noise puts some of those right, and "
    "Φ(-d/σ) with a negative d knows by itself how many.",
    (
        "torch.special.ndtr(-distance / stddev)",
        "torch.where(distance < 0, 1.0, torch.special.ndtr(-distance / stddev))",
    ),
)

EXERCISE.mistake(
    "wrong ones left out",
    "Images on the wrong side are left out: they are among the N, with a probability above 1/2.",
    ("-distance", "-distance[distance >= 0]"),
)

EXERCISE.mistake(
    "negative distances cut off",
    "Negative distances have become 0, so that an image on the wrong side counts as one on the "
    "boundary: keep the sign.",
    ("-distance", "-distance.clamp(min=0)"),
)

EXERCISE.mistake(
    "√2 missing",
    "Φ is written with the error function, and a √2 is missing: Φ(-t) = erfc(t / √2) / 2.",
    ("torch.special.ndtr(-distance / stddev)", "torch.erfc(distance / stddev).div(2)"),
)

EXERCISE.mistake(
    "the sum",
    "The probabilities are added up: the share of the images is their mean.",
    (".mean()", ".sum()"),
)

EXERCISE.mistake(
    "the median",
    "This is the probability of the image in the middle: the expected error is the mean.",
    (".mean()", ".quantile(0.5)"),
)

EXERCISE.mistake(
    "two sides",
    "This counts both tails, 2Φ(-d/σ): the boundary lies on one side of the image.",
    ("return torch", "return 2 * torch"),
)

EXERCISE.mistake(
    "the absolute distance",
    "The sign of the distance is lost: an image on the wrong side already, with a negative "
    "one, is mostly still wrong under noise.",
    ("-distance", "-distance.abs()"),
)

EXERCISE.mistake(
    "variance",
    "The distance is divided by the variance σ²: divide by the standard deviation.",
    ("/ stddev", "/ stddev**2"),
)

EXERCISE.mistake(
    "the root of the standard deviation",
    "The distance is divided by √σ: `stddev` is the standard deviation already, divide by it.",
    ("/ stddev", "/ stddev**0.5"),
)

EXERCISE.mistake(
    "multiplied by σ",
    "The distance is multiplied by σ, so that more noise does less: divide by it.",
    ("/ stddev", "* stddev"),
)

EXERCISE.mistake(
    "torch's median",
    "This is the probability of an image in the middle (of an even number, the lower one of two): "
    "the expected error is the mean.",
    (".mean()", ".median()"),
)

EXERCISE.mistake(
    "one for each image",
    "This is one probability per image: their mean is asked for.",
    (".mean()", ""),
)
