"""`amplify-in-box`, lesson 05: pixels at the bounds, where clipping takes away.

The oracle finds each image's factor by Brent's method.
"""

import numpy as np
import scipy.optimize
import torch

from course_lib.exercises import Case, Exercise


def box_cases(rng):
    def draw(*shape):
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    def pair(n, *shape, size):
        """Images with many pixels at 0 and 1, and changes that stay in the box."""
        images = (2.4 * draw(n, *shape) - 1.0).clamp(0, 1)
        change = size.reshape(-1, *[1] * len(shape)) * (2 * draw(n, *shape) - 1)
        return (images + change).clamp(0, 1), images

    images = torch.tensor([[0.0, 0.9, 0.5, 0.3]], dtype=torch.float64)
    near = torch.tensor([[0.1, 1.0, 0.4, 0.3]], dtype=torch.float64)
    yield Case("one image of four pixels", near, images, 0.2)
    sizes = torch.tensor([0.1, 0.4, 0.2], dtype=torch.float64)
    yield Case("three images of 2 x 5", *pair(3, 2, 5, size=sizes), 0.2)
    yield Case("made smaller", *pair(3, 2, 5, size=4 * sizes), 0.05)
    sizes = 0.05 + 0.3 * draw(4)
    yield Case("four images of 1 x 6 x 6", *pair(4, 1, 6, 6, size=sizes), 0.25)
    images = draw(3, 12).round(decimals=0)
    noise = torch.randn(3, 12, generator=rng, dtype=torch.float64)
    yield Case("noise that leaves the box", images + 0.2 * noise, images, 0.2)
    yield Case("no pixel meets the box", 0.5 + 0.01 * draw(2, 9), 0.5 * torch.ones(2, 9), 0.1)
    sizes = torch.tensor([1e-4, 0.5, 2e-3], dtype=torch.float64)
    yield Case("a factor of hundreds, and one below 1", *pair(3, 40, size=sizes), 0.15)
    images = draw(2, 20).round(decimals=0)
    inward = (1 - 2 * images) * (0.2 + 0.1 * draw(2, 20))
    yield Case("nearly all pixels at the other bound", images + inward, images, 0.96)
    far = 300 * draw(3, 8) - 150
    yield Case("far outside the box: a thousandth of the way is enough", far, draw(3, 8), 0.1)
    # as the lesson's are, in single precision: a search that waits for equality never ends
    images = torch.zeros(6, 1, 28, 28)
    images[:, :, 6:22, 6:22] = draw(6, 1, 16, 16).float().round(decimals=1)
    noise = torch.randn(6, 1, 28, 28, generator=rng)
    yield Case("images like the lesson's, and noise", images + 0.1 * noise, images, 0.1)


def box_of_scipy(changed, images, stddev):
    """Each image by Brent's method."""
    found = []
    for a, x in zip(changed.double().numpy(), images.double().numpy(), strict=True):

        def excess(k, a=a, x=x):
            return np.sqrt(np.mean((np.clip(x + k * (a - x), 0, 1) - x) ** 2)) - stddev

        k = scipy.optimize.brentq(excess, 0, 1e4, xtol=1e-14, rtol=1e-13)
        found.append(np.clip(x + k * (a - x), 0, 1))
    return np.stack(found)


EXERCISE = Exercise(
    title="Amplified, and still an image",
    difficulty=3,
    minutes=9,
    hints=[
        "Of the change only its factor k is free: the images are clip(x + k (x' - x)), and their "
        "distortion grows with k. So look for k, one for each image.",
        "An upper end first: start from k = 1 and double it for the images that are too small. "
        "Then halve the bracket some 40 times.",
        "Inside the loop: `out = (images + k * change).clamp(0, 1)`, its rms against the clean "
        "images measured *after* the clipping, and `torch.where` to move one end or the other.",
    ],
    cases=box_cases,
    oracle=box_of_scipy,
    atol=1e-5,
    on_device=False,
    done="Every image is in the box, and has the distortion asked for after the clipping.",
    equivalent_mutants={
        "- return rms < stddev / + return rms <= stddev": "The size itself fits either end.",
        "- for _ in range(40): / + for _ in range(41):": "One halving more changes no digit.",
        "- for _ in range(40): / + for _ in range(39):": "One halving fewer changes no digit.",
        "- high = torch.where(too_small(high), 2 * high, high) / + high = "
        "torch.where(too_small(high), 3 * high, high)": "Any upper end that is large enough.",
    },
)


@EXERCISE.probe
def size_and_box(answer):
    """For what no mistake foresees: which of the promises is broken, where no image stands out."""
    for case in EXERCISE.draw():
        _, images, stddev = case.args
        out = answer(*case.args).to(images)
        outside = max(float(out.max()) - 1, -float(out.min()))
        if outside > 1e-4:
            return f"On '{case.label}' pixels leave [0, 1], by up to {outside:.3g}."
        for k, rms in enumerate(_rms(out - images).flatten().tolist()):
            if not abs(rms - stddev) < 2e-5:
                return (
                    f"On '{case.label}' the rms of the change of image {k}, as returned, is "
                    f"{rms:.5f}, and {stddev} is asked for."
                )
    return None


@EXERCISE.variant
def box_by_fixed_point(changed, images, stddev):
    """Stretched by what is missing, again and again."""
    change = (changed - images).double()
    k = torch.ones(len(images), *[1] * (images.ndim - 1)).to(change)
    for _ in range(400):
        out = (images + k * change).clamp(0, 1)
        k = k * stddev / (out - images).flatten(1).square().mean(1).sqrt().reshape(k.shape)
    return out


@EXERCISE.variant
def box_one_by_one(changed, images, stddev):
    done = []
    for a, x in zip(changed, images, strict=True):
        low, high = 0.0, 1e5
        for _ in range(200):
            k = (low + high) / 2
            point = torch.clamp(x + k * (a - x), 0, 1)
            if torch.sqrt(torch.mean((point - x) ** 2)) < stddev:
                low = k
            else:
                high = k
        done.append(torch.clamp(x + high * (a - x), 0, 1))
    return torch.stack(done)


def _rms(change):
    """Of each image, with axes of length 1 behind."""
    return change.flatten(1).square().mean(1).sqrt().reshape(-1, *[1] * (change.ndim - 1))


def _stretch(changed, images, stddev):
    return images + stddev / _rms(changed - images) * (changed - images)


@EXERCISE.mistake(
    "not measured after clipping",
    "The change is stretched to the stddev and clipped afterwards, so what comes out is "
    "smaller than asked for: measure the size after the clipping, and choose the factor "
    "by that.",
)
def stretched_and_clipped(changed, images, stddev):
    return _stretch(changed, images, stddev).clamp(0, 1)


@EXERCISE.mistake(
    "stretched after clipping",
    "What was clipped is stretched again to make up for it, and leaves the box again: no "
    "clipping follows.",
)
def clipped_and_stretched(changed, images, stddev):
    return _stretch(stretched_and_clipped(changed, images, stddev), images, stddev)


@EXERCISE.mistake(
    "repaired once",
    "Stretched, clipped, stretched by what was missing, clipped: nearer, but still too "
    "small, because the second clipping takes away as the first did. The factor has to be "
    "looked for.",
)
def repaired_once(changed, images, stddev):
    return clipped_and_stretched(changed, images, stddev).clamp(0, 1)


EXERCISE.mistake(
    "no box", "These are stretched without the box, as in Table 4: pixels leave [0, 1].", _stretch
)


@EXERCISE.mistake(
    "one factor for all",
    "All images get the same factor, such that the mean of their sizes is the stddev: each "
    "is to have that size itself.",
)
def one_factor(changed, images, stddev):
    """One factor for the batch, such that the mean of the sizes is right."""
    low, high = 0.0, 1e4
    for _ in range(200):
        k = (low + high) / 2
        out = (images + k * (changed - images)).clamp(0, 1)
        low, high = (k, high) if _rms(out - images).mean() < stddev else (low, k)
    return out


def _search(size, lowest=0.0, highest=1e5):
    """The factor for which ``size`` of the changes is the stddev, between two ends."""

    def answer(changed, images, stddev):
        low = torch.full((len(images),), lowest).to(images)
        high = torch.full((len(images),), highest).to(images)
        for _ in range(60):
            k = (low + high) / 2
            out = _at(k, changed, images)
            small = size((out - images).flatten(1)) < stddev
            low, high = torch.where(small, k, low), torch.where(small, high, k)
        return _at(high, changed, images)

    return answer


def _at(k, changed, images):
    return (images + k.reshape(-1, *[1] * (images.ndim - 1)) * (changed - images)).clamp(0, 1)


def _root_mean_square(change):
    return change.square().mean(1).sqrt()


EXERCISE.mistake(
    "one factor for all, by the batch",
    "All images get the same factor, such that the rms over the whole batch is the stddev: each "
    "is to have that size itself.",
    _search(lambda change: change.square().mean().sqrt().expand(len(change))),
)

EXERCISE.mistake(
    "never made larger",
    "The factor is looked for between 0 and 1, so a change that is too small stays as it is: look "
    "for an upper end that is large enough first.",
    _search(_root_mean_square, highest=1.0),
)

EXERCISE.mistake(
    "never made smaller",
    "The factor is never below 1, so a change that is too large stays as it is: it has to get "
    "smaller.",
    _search(_root_mean_square, lowest=1.0),
)

EXERCISE.mistake(
    "norm / 28",
    "The norm is divided by 28, which is the root of the number of pixels only for 28 x 28: the "
    "images of the check have other sizes.",
    _search(lambda change: change.norm(dim=1) / 28),
)

EXERCISE.mistake(
    "standard deviation",
    "The size is measured with `std`, which takes the mean of the change off and divides by one "
    "pixel fewer: the rms is asked for.",
    _search(lambda change: change.std(dim=1)),
)

EXERCISE.mistake(
    "standard deviation, over all pixels",
    "The size is measured as a standard deviation, which takes the mean of the change off: the rms "
    "is asked for.",
    _search(lambda change: change.std(dim=1, correction=0)),
)

EXERCISE.mistake(
    "mean square",
    "The mean square of the change is brought to the stddev: its root is to be.",
    _search(lambda change: change.square().mean(1)),
)

EXERCISE.mistake(
    "mean absolute change",
    "The mean of the absolute change is brought to the stddev: the rms is asked for.",
    _search(lambda change: change.abs().mean(1)),
)


@EXERCISE.mistake(
    "the printed formula",
    "It is the L2 norm of the change that is brought to the stddev, as in the formula that "
    "the paper prints: the rms is asked for, the norm over the root of the number of "
    "pixels.",
)
def in_l2(changed, images, stddev):
    return box_one_by_one(changed, images, stddev / images[0].numel() ** 0.5)


EXERCISE.mistake(
    "the change",
    "This is the change: add it to the images.",
    lambda changed, images, stddev: box_one_by_one(changed, images, stddev) - images,
)
