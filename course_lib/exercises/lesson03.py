"""The exercises of lesson 03: sizes of changes, planes, the box, the penalty, and honest means."""

import math

import numpy as np
import scipy.optimize
import scipy.special
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.attacks import measures
from course_lib.exercises import (
    Case,
    Exercise,
    Mistake,
    Option,
    Prediction,
    Quiz,
    ShortAnswer,
)


def named(*names):
    """What is compared: a tuple of results as a dict, so that feedback names its parts."""

    def observe(result, *args, **kwargs):
        fits = isinstance(result, tuple | list) and len(result) == len(names)
        return dict(zip(names, result, strict=True)) if fits else result

    return observe


# --- distortion ------------------------------------------------------------------------------


def pairs(rng):
    """Images and changed ones, labels for the cases: one pixel, all pixels, none."""

    def pair(*shape):
        images = torch.rand(*shape, generator=rng)
        return images + 0.3 * torch.rand(*shape, generator=rng) - 0.1, images

    yield "one image of four pixels", *pair(1, 1, 2, 2)
    changed, images = pair(3, 1, 4, 5)
    changed[1] = images[1]
    changed[2] = images[2]
    changed[2, 0, 1, 3] += 0.5
    yield "three images: one unchanged, one changed in one pixel", changed, images
    yield "two colour images", *pair(2, 3, 4, 4)
    yield "five flat images", *pair(5, 7)


def distortion_cases(rng):
    for label, changed, images in pairs(rng):
        yield Case(label, changed, images)


def rms_of_numpy(adversarial, images):
    change = np.asarray(adversarial, np.float64) - np.asarray(images, np.float64)
    return np.sqrt((change.reshape(len(change), -1) ** 2).mean(axis=1))


def _same_shape(adversarial, images):
    if adversarial.shape != images.shape:
        raise ValueError("two shapes")


def distortion_norm(adversarial, images):
    _same_shape(adversarial, images)
    change = (adversarial - images).flatten(1)
    return torch.linalg.vector_norm(change, dim=1) / change.shape[1] ** 0.5


def distortion_loop(adversarial, images):
    _same_shape(adversarial, images)
    return [
        float(((a.double() - b.double()) ** 2).mean()) ** 0.5
        for a, b in zip(adversarial, images, strict=True)
    ]


def distortion_einsum(adversarial, images):
    _same_shape(adversarial, images)
    change = (adversarial - images).reshape(len(images), -1)
    return (torch.einsum("np,np->n", change, change) / change.shape[1]).sqrt()


def _of_change(size):
    """A wrong distortion: size(change (N, pixels))."""

    def wrong(adversarial, images):
        _same_shape(adversarial, images)
        return size((adversarial - images).flatten(1))

    return wrong


TWO_SHAPES = (
    "The numbers are right, but the docstring promises a ValueError for images of two shapes: "
    "without it (N, 784) minus (1, 784) is silently spread over all images. Keep the `if` of the "
    "stub."
)


def refuses_two_shapes(answer):
    """A probe: images that would broadcast are refused."""
    try:
        answer(torch.rand(3, 1, 2, 2), torch.rand(1, 1, 2, 2))
    except ValueError:
        return None
    return TWO_SHAPES


def distortion_unguarded(adversarial, images):
    return (adversarial - images).flatten(1).square().mean(1).sqrt()


DISTORTION = Exercise(
    slug="distortion",
    title="The size of a change",
    difficulty=1,
    minutes=4,
    hints=[
        "Subtract, square, take the mean over the pixels of each image, take the root, in this "
        "order.",
        "`.flatten(1)` makes every image a row, whatever its shape; the mean then runs along "
        "`dim=1`.",
    ],
    reference=measures.distortion,
    cases=distortion_cases,
    oracle=rms_of_numpy,
    probes=[refuses_two_shapes],
    mistakes=[
        Mistake(
            "L2 norm",
            "These are L2 norms: the paper divides the sum of squares by the number of pixels, "
            "which makes it a change per pixel, 28 times smaller for MNIST.",
            _of_change(lambda change: change.norm(dim=1)),
            right_shape=True,
        ),
        Mistake(
            "rms of the set",
            "This is one number for the whole set, the root of the mean over all images: the "
            "distortion is each image's own, and a set is reported by the mean of those.",
            _of_change(lambda change: change.square().mean().sqrt()),
        ),
        Mistake(
            "rms of the set, repeated",
            "Every image gets the same number, that of the whole set: the mean runs over the "
            "pixels of one image only, along `dim=1`.",
            _of_change(lambda change: change.square().mean().sqrt().repeat(len(change))),
            right_shape=True,
        ),
        Mistake(
            "mean of the set",
            "This is already the mean over the images: return each image's own distortion, (N,).",
            _of_change(lambda change: change.square().mean(1).sqrt().mean()),
        ),
        Mistake(
            "no root",
            "These are mean squares, the root is missing: a change twice as large would count four "
            "times.",
            (".sqrt()", ""),
            right_shape=True,
        ),
        Mistake(
            "mean of absolute values",
            "This is the mean absolute change: square before the mean, and take the root after it.",
            _of_change(lambda change: change.abs().mean(1)),
            right_shape=True,
        ),
        Mistake(
            "standard deviation",
            "This is the standard deviation of the change: it takes the mean off first, so it does "
            "not see that an image got brighter as a whole.",
            _of_change(lambda change: change.std(dim=1, correction=0)),
            right_shape=True,
        ),
        Mistake(
            "standard deviation, n - 1",
            "This is `.std()` of the change: it takes the mean off first, so it does not see that "
            "an image got brighter as a whole (and it divides by the number of pixels minus 1).",
            _of_change(lambda change: change.std(dim=1)),
            right_shape=True,
        ),
        Mistake(
            "changed pixels only",
            "The mean runs over the changed pixels only: it runs over all, or a change of one "
            "pixel would count as much as the same change everywhere.",
            _of_change(
                lambda change: (change.square().sum(1) / (change != 0).sum(1).clamp(min=1)).sqrt()
            ),
            right_shape=True,
        ),
        Mistake(
            "largest change",
            "This is the largest change of a pixel, the max norm, which the paper does not use.",
            _of_change(lambda change: change.abs().amax(1)),
            right_shape=True,
        ),
        Mistake("two shapes", TWO_SHAPES, distortion_unguarded, right_shape=True),
    ],
    variants=[distortion_norm, distortion_loop, distortion_einsum],
    done="That is the distortion of the paper's tables: their figure is its mean over the images.",
)

# --- nearest-plane ---------------------------------------------------------------------------


def plane_cases(rng):
    yield Case(
        "two classes, three pixels",
        torch.tensor([[1.0, 0.0, 2.0], [0.0, 2.0, 0.0]]),
        torch.tensor([0.5, 0.0]),
        torch.tensor([[0.5, 0.2, 0.8]]),
        torch.tensor([0]),
    )
    yield Case(
        "the runner-up is farther than another class",
        torch.tensor([[2.0, 0.0], [0.0, 0.2], [-3.0, -4.0]]),
        torch.tensor([0.0, 0.9, 0.2]),
        torch.tensor([[0.7, 0.3], [0.9, 0.1]]),
        torch.tensor([0, 0]),
    )
    weight = torch.randn(5, 12, generator=rng) * torch.tensor([1.0, 0.3, 2.0, 0.6, 4.0])[:, None]
    bias = torch.randn(5, generator=rng)
    x = torch.rand(8, 12, generator=rng)
    yield Case("eight images, none a mistake", weight, bias, x, (x @ weight.T + bias).argmax(1))
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    yield Case("eight images, some are mistakes", weight, bias, x, labels)


def plane_by_plane(weight, bias, x, labels):
    """Image after image, class after class."""
    w, b, x = (t.double().numpy() for t in (weight, bias, x))
    distances, classes = [], []
    for image, y in zip(x, labels.tolist(), strict=True):
        found = []
        for j in range(len(w)):
            if j != y:
                normal = w[y] - w[j]
                found.append(((normal @ image + b[y] - b[j]) / np.linalg.norm(normal), j))
        distance, j = min(found)
        distances.append(distance)
        classes.append(j)
    return np.array(distances), np.array(classes)


def plane_cdist(weight, bias, x, labels):
    z = x @ weight.T + bias
    table = (z.gather(1, labels[:, None]) - z) / torch.cdist(weight, weight)[labels]
    table = table.scatter(1, labels[:, None], float("inf"))
    return table.amin(1), table.argmin(1)


def plane_points(weight, bias, x, labels):
    """Through the step itself: how far along the normal, with its sign."""
    results = []
    for image, y in zip(x.double(), labels.tolist(), strict=True):
        best = None
        for j in range(len(weight)):
            if j == y:
                continue
            n = weight[j].double() - weight[y].double()
            t = -(n @ image + float(bias[j]) - float(bias[y])) / (n @ n)
            signed = float(t * n.norm())
            best = min(best, (signed, j)) if best else (signed, j)
        results.append(best)
    distances, classes = zip(*results, strict=True)
    return list(distances), list(classes)


def _planes(weight, bias, x, labels):
    """Leads z_y - z_j (N, classes), normals w_y - w_j (N, classes, pixels), the labels' mask."""
    z = x @ weight.T + bias
    own = F.one_hot(labels, len(weight)).bool()
    return z[own][:, None] - z, weight[labels][:, None] - weight, own


def _smallest(table, own):
    table = table.masked_fill(own, float("inf"))
    return table.amin(1), table.argmin(1)


def _nearest_by(measure):
    """A wrong nearest plane: measure(lead, normals, weight) -> (N, classes)."""

    def wrong(weight, bias, x, labels):
        lead, normals, own = _planes(weight, bias, x, labels)
        return _smallest(measure(lead, normals, weight), own)

    return wrong


def plane_runner_up(weight, bias, x, labels):
    lead, normals, own = _planes(weight, bias, x, labels)
    _, j = _smallest(lead, own)
    rows = torch.arange(len(x), device=x.device)
    return lead[rows, j] / normals[rows, j].norm(dim=1), j


def plane_own_class(weight, bias, x, labels):
    lead, normals, _ = _planes(weight, bias, x, labels)
    table = lead / normals.norm(dim=2).clamp(min=1e-12)
    return table.amin(1), table.argmin(1)


def plane_nan(weight, bias, x, labels):
    lead, normals, _ = _planes(weight, bias, x, labels)
    table = lead / normals.norm(dim=2)
    return table.amin(1), table.argmin(1)


def plane_own_answer(weight, bias, x, labels):
    return plane_cdist(weight, bias, x, (x @ weight.T + bias).argmax(1))


def plane_distances_only(weight, bias, x, labels):
    return plane_cdist(weight, bias, x, labels)[0]


def plane_swapped(weight, bias, x, labels):
    distances, classes = plane_cdist(weight, bias, x, labels)
    return classes, distances


NEAREST_PLANE = Exercise(
    slug="nearest-plane",
    title="The nearest of nine planes",
    difficulty=2,
    minutes=10,
    hints=[
        "For a class j the distance is the lead z_y - z_j, divided by the norm of w_y - w_j. Fill "
        "a table (N, classes) of these, then look for each row's smallest entry.",
        "`weight[labels][:, None] - weight` is w_y - w_j for every image and class, of shape (N, "
        "classes, pixels); its norm runs along `dim=2`.",
        "The label's own column is 0/0: overwrite it with `float('inf')` before `.min(dim=1)`, "
        "which gives values and indices.",
    ],
    cases=plane_cases,
    oracle=plane_by_plane,
    observe=named("distances", "classes"),
    mistakes=[
        Mistake(
            "smallest margin",
            "These are leads in the logits, not distances: divide by the norm of w_y - w_j before "
            "you look for the smallest. The second-best class need not be the nearest.",
            _nearest_by(lambda lead, normals, weight: lead),
            right_shape=True,
        ),
        Mistake(
            "the runner-up's plane",
            "This is the distance to the plane of the class with the second-largest logit. Another "
            "class that is farther behind may have a steeper difference, and be nearer: compare "
            "the distances, not the logits.",
            plane_runner_up,
            right_shape=True,
        ),
        Mistake(
            "norm of w_j",
            "You divide by the norm of w_j: the lead z_y - z_j changes along w_y - w_j, so it is "
            "that difference whose norm counts.",
            _nearest_by(lambda lead, normals, weight: lead / weight.norm(dim=1)),
            right_shape=True,
        ),
        Mistake(
            "norms apart",
            "You divide by the difference of two norms, ||w_y|| - ||w_j||: it is the norm of the "
            "difference, ||w_y - w_j||, that counts.",
            _nearest_by(
                lambda lead, normals, weight: (
                    lead
                    / ((normals + weight).norm(dim=2) - weight.norm(dim=1)).abs().clamp(min=1e-12)
                )
            ),
            right_shape=True,
        ),
        Mistake(
            "squared norm",
            "You divide by the squared norm of w_y - w_j. That is the factor μ in front of w_y - "
            "w_j in the step r; the step's length is μ times one norm, so one power remains.",
            _nearest_by(lambda lead, normals, weight: lead / normals.square().sum(2)),
            right_shape=True,
        ),
        Mistake(
            "1-norm",
            "You divide by the 1-norm, which gives the distance in the max norm (the smallest ε of "
            "a sign step): the L2 distance has the L2 norm.",
            _nearest_by(lambda lead, normals, weight: lead / normals.abs().sum(2)),
            right_shape=True,
        ),
        Mistake(
            "rms",
            "These are distortions: the L2 distance is asked for, which is larger by the root of "
            "the number of pixels.",
            _nearest_by(
                lambda lead, normals, weight: lead / normals.norm(dim=2) / normals.shape[2] ** 0.5
            ),
            right_shape=True,
        ),
        Mistake(
            "absolute value",
            "The sign is lost: an image that lies beyond a plane already has a negative distance, "
            "and is no farther from being a mistake, it is one.",
            _nearest_by(lambda lead, normals, weight: (lead / normals.norm(dim=2)).abs()),
            right_shape=True,
        ),
        Mistake(
            "sign",
            "The sign is turned: z_y - z_j is positive while the label is ahead.",
            _nearest_by(lambda lead, normals, weight: -lead / normals.norm(dim=2)),
            right_shape=True,
        ),
        Mistake(
            "the label itself",
            "The nearest class is the label itself here, at distance 0: leave its column out, for "
            "example by an infinity.",
            plane_own_class,
            right_shape=True,
        ),
        Mistake(
            "0/0",
            "There are NaNs: in the label's own column both the lead and the norm are 0. Leave "
            "that column out, for example by an infinity.",
            plane_nan,
            right_shape=True,
        ),
        Mistake(
            "the network's answer for the label",
            "You measure from the class that wins, not from the label: for an image that is a "
            "mistake these differ, and its distance is to come out negative.",
            plane_own_answer,
            right_shape=True,
        ),
        Mistake(
            "no biases",
            "The biases are missing from the logits: a plane need not go through the black image.",
            lambda weight, bias, x, labels: plane_cdist(weight, bias * 0, x, labels),
            right_shape=True,
        ),
        Mistake(
            "distances only",
            "These are the distances; the classes are asked for as well: return both, distances "
            "first.",
            plane_distances_only,
        ),
        Mistake(
            "classes first",
            "The two results are in the other order: first the distances, then the classes.",
            plane_swapped,
        ),
    ],
    variants=[plane_cdist, plane_points],
    done="Checked class by class, also for images that are mistakes already.",
)

# --- nearest-in-box --------------------------------------------------------------------------


def box_cases(rng):
    yield Case(
        "three pixels, one of them soon white",
        torch.tensor([0.2, 0.9, 0.0], dtype=torch.float64),
        torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64),
        -2.6,
    )
    yield Case(
        "across the plane already",
        torch.tensor([0.5, 0.5], dtype=torch.float64),
        torch.tensor([1.0, -0.5], dtype=torch.float64),
        0.1,
    )
    for n, depth in ((30, 0.3), (200, 0.8)):
        x = (torch.rand(n, generator=rng, dtype=torch.float64) * 3 - 1.5).clamp(0, 1)
        w = torch.randn(n, generator=rng, dtype=torch.float64)
        least = w @ x
        most = w.clamp(min=0).sum()
        yield Case(f"{n} pixels, half of them black", x, w, -float(least + depth * (most - least)))
    gentle = torch.full((6,), 0.5, dtype=torch.float64)
    w = torch.randn(6, generator=rng, dtype=torch.float64)
    yield Case("the box is far away", gentle, w, -float(w @ gentle + 0.05 * w.norm()))
    # a slack plane: the multiplier is large where w is small
    x = (torch.rand(20, generator=rng, dtype=torch.float64) * 3 - 1.5).clamp(0, 1)
    w = torch.randn(20, generator=rng, dtype=torch.float64)
    way = x + 0.6 * w  # beyond the root of a plane through clip(way) the multiplier is 0.6
    for scale in (50, 2000, 50000):
        small = w / scale
        d = -float(small @ way.clamp(0, 1))
        yield Case(f"small weights: the multiplier is {0.6 * scale:g}", x, small, d)


def by_root(x, w, d):
    """The root of a scalar function, by Brent's method."""
    x, w = x.double().numpy(), w.double().numpy()

    def short(multiplier):
        return w @ np.clip(x + multiplier * w, 0, 1) + d

    if short(0.0) >= 0:
        return x
    far = 1.0
    while short(far) < 0:
        far *= 2
    return np.clip(x + scipy.optimize.brentq(short, 0.0, far, xtol=1e-14, rtol=1e-14) * w, 0, 1)


def box_bisection(x, w, d):
    def point(multiplier):
        return torch.clamp(x + multiplier * w, 0, 1)

    if w @ x + d >= 0:
        return x.clone()
    low, high = 0.0, 1.0
    while w @ point(high) + d < 0:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if w @ point(middle) + d < 0:
            low = middle
        else:
            high = middle
    return point(high)


def box_breakpoints(x, w, d):
    """Exactly: each pixel leaves at a known multiplier, in between the function is a line."""
    if w @ x + d >= 0:
        return x.clone()
    to_face = torch.where(w > 0, 1 - x, x)
    leaves = to_face / w.abs().clamp(min=1e-300)
    lower = 0.0
    for upper in [*leaves.sort().values.tolist(), float("inf")]:
        moving = leaves > lower
        slope = float(w[moving].square().sum())
        value = float(w @ (x + lower * w).clamp(0, 1) + d)
        if slope > 0 and lower - value / slope <= upper:
            return (x + (lower - value / slope) * w).clamp(0, 1)
        lower = upper
    return (x + lower * w).clamp(0, 1)


def box_repeated(x, w, d):
    """To the plane, into the box, to the plane, ...: with one normal that ends where it should."""
    point = x.clone()
    for _ in range(20000):
        short = float(w @ point + d)
        if short > -1e-10:
            break
        point = (point - short / float(w @ w) * w).clamp(0, 1)
    return point


def _one_step(x, w, d):
    return -float(w @ x + d) / float(w @ w) * w


def _unless_across(make):
    """A wrong point: make(x, w, d), but x itself where it is across the plane already."""

    def wrong(x, w, d):
        return x.clone() if float(w @ x + d) >= 0 else make(x, w, d)

    return wrong


def box_twice(x, w, d):
    point = (x + _one_step(x, w, d)).clamp(0, 1)
    return (point + _one_step(point, w, d)).clamp(0, 1)


def box_back_too(x, w, d):
    point = x.clone()
    for _ in range(20000):
        short = float(w @ point + d)
        if abs(short) < 1e-10:
            break
        point = (point - short / float(w @ w) * w).clamp(0, 1)
    return point


def box_greedy(x, w, d):
    """Pixel after pixel to its face, the largest weights first."""
    point = x.clone()
    for i in w.abs().argsort(descending=True).tolist():
        short = float(w @ point + d)
        if short >= 0:
            break
        point[i] = float((point[i] - short / w[i]).clamp(0, 1))
    return point


def box_sign(x, w, d):
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        short = float(w @ (x + middle * w.sign()).clamp(0, 1) + d) < 0
        low, high = (middle, high) if short else (low, middle)
    return (x + high * w.sign()).clamp(0, 1)


def box_doubling(x, w, d):
    multiplier = 1e-3
    while float(w @ (x + multiplier * w).clamp(0, 1) + d) < 0:
        multiplier *= 2
    return (x + multiplier * w).clamp(0, 1)


def box_stretched(x, w, d):
    """The clipped step stretched and clipped again: a pixel that it had stopped at a face stays
    there, the others go on along w, so this is the same path."""
    if float(w @ x + d) >= 0:
        return x.clone()
    change = (x + _one_step(x, w, d)).clamp(0, 1) - x
    low, high = 0.0, 1.0
    while float(w @ (x + high * change).clamp(0, 1) + d) < 0 and high < 1e12:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        short = float(w @ (x + middle * change).clamp(0, 1) + d) < 0
        low, high = (middle, high) if short else (low, middle)
    return (x + high * change).clamp(0, 1)


UPPER_END = (
    "Your multiplier stops at an upper end: the root is beyond it. Double the end until the value "
    "is at least 0."
)


def box_bracket(end):
    """A wrong point: bisection in [0, end], and the end itself if the root is beyond it."""

    def wrong(x, w, d):
        low, high = 0.0, end
        for _ in range(80):
            middle = (low + high) / 2
            short = float(w @ (x + middle * w).clamp(0, 1) + d) < 0
            low, high = (middle, high) if short else (low, middle)
        return (x + high * w).clamp(0, 1)

    return _unless_across(wrong)


def stops_at_an_end(answer):
    """A probe: a fixed end of any size. Right for a small multiplier; for a large one a point of
    the same path that falls short."""
    x = torch.tensor([0.5, 0.4, 0.0, 1.0, 0.3], dtype=torch.float64)
    w = torch.tensor([0.3, -0.2, -0.6, 0.4, 0.1], dtype=torch.float64)
    for scale in (0.01, 1e2, 1e4, 1e6):
        small = w / scale
        d = -float(small @ (x + 0.5 * w).clamp(0, 1))
        point = torch.as_tensor(answer(x, small, d)).double()
        share = float((point[0] - x[0]) / w[0])  # of the multiplier times the scale; right: 0.5
        if scale == 0.01 and abs(share - 0.5) > 1e-3:
            return None
        on_path = torch.allclose(point, (x + share * w).clamp(0, 1), atol=1e-4)
        if on_path and -1e-9 <= share < 0.499:
            return UPPER_END
    return None


NEAREST_IN_BOX = Exercise(
    slug="nearest-in-box",
    title="The nearest point across a plane, in the box",
    difficulty=3,
    minutes=15,
    hints=[
        "One number is unknown, μ. Write w·x(μ) + d for a given μ in one line; it never falls as μ "
        "grows. Any way to find where it becomes 0 will do. Bisection needs an upper end: double "
        "it until the value there is at least 0, for μ may be 0.01 or 1000.",
        "Newton's method needs the slope: a pixel inside the box contributes w_i², a clipped one "
        "contributes 0. So μ goes up by minus the value, over the sum of w_i² over the free "
        "pixels.",
        "Free are the pixels where `x + mu * w` is the same before and after `.clamp(0, 1)`. "
        "Stop when the value is above -1e-12, or it goes on for ever with rounding errors.",
    ],
    cases=box_cases,
    oracle=by_root,
    mistakes=[
        Mistake(
            "no box",
            "Some pixels are outside [0, 1]: this is the nearest point of the plane, and no image.",
            _unless_across(lambda x, w, d: x + _one_step(x, w, d)),
            right_shape=True,
        ),
        Mistake(
            "clipped afterwards",
            "This is the step to the plane, clipped afterwards. What the clipping takes away is "
            "missing on the way to the plane, so the point does not reach it: the other pixels "
            "have to make up for it, by a larger μ.",
            _unless_across(lambda x, w, d: (x + _one_step(x, w, d)).clamp(0, 1)),
            right_shape=True,
        ),
        *[
            Mistake(
                f"upper end {end}",
                UPPER_END.replace("an upper end", f"an upper end, {end}"),
                box_bracket(float(end)),
                right_shape=True,
            )
            for end in (1, 2, 10, 100, 1000)
        ],
        Mistake(
            "two steps",
            "Two steps, each clipped, come nearer to the plane and do not reach it: go on until "
            "w·x' + d is 0.",
            _unless_across(box_twice),
            right_shape=True,
        ),
        Mistake(
            "the change in the box",
            "The change r is clipped to [0, 1] instead of the image x + r: pixels could then only "
            "get brighter, and beyond white.",
            _unless_across(lambda x, w, d: x + _one_step(x, w, d).clamp(0, 1)),
            right_shape=True,
        ),
        Mistake(
            "the change returned",
            "This is the change r: the point x + r is asked for.",
            lambda x, w, d: box_bisection(x, w, d) - x,
            right_shape=True,
        ),
        Mistake(
            "back to the plane",
            "A point that is across the plane already has moved back to it: its nearest point is "
            "itself, μ is never negative.",
            box_back_too,
            right_shape=True,
        ),
        Mistake(
            "pixel by pixel",
            "The pixels with the largest weights are changed first, each as far as it goes: that "
            "makes the sum of the changes small (the 1-norm), not the sum of their squares.",
            _unless_across(box_greedy),
            right_shape=True,
        ),
        Mistake(
            "every pixel alike",
            "Every pixel is moved by the same amount, as the sign of w says: that makes the "
            "largest change small (the max norm), not the sum of squares. Move along w.",
            _unless_across(box_sign),
            right_shape=True,
        ),
        Mistake(
            "across, but too far",
            "The point is across the plane, but farther than need be: μ is only a power of two "
            "times its first value. Once w·x(μ) + d has changed its sign, look between the last "
            "two values.",
            _unless_across(box_doubling),
            right_shape=True,
        ),
        Mistake(
            "away from the plane",
            "The step has the wrong sign: w·x + d must grow, so μ is positive.",
            _unless_across(lambda x, w, d: (x - _one_step(x, w, d)).clamp(0, 1)),
            right_shape=True,
        ),
    ],
    variants=[box_bisection, box_breakpoints, box_repeated, box_stretched],
    probes=[stops_at_an_end],
    atol=1e-5,
    equivalent_mutants={
        **{
            f"- for _ in range(100): / + for _ in range({n}):": (
                "Newton's method is there after a handful of steps."
            )
            for n in (99, 101)
        },
        **{
            f"- if value >= -1e-12: / + if value {test}:": (
                "Where to stop among rounding errors: the points differ by less than 1e-11."
            )
            for test in ("> -1e-12", ">= 1e-12", ">= -2e-12", ">= -5e-13")
        },
    },
    done="Compared with the root that Brent's method finds, with up to 200 pixels.",
)

# --- penalty-objective -----------------------------------------------------------------------


def _net(*layers):
    return nn.Sequential(*layers)


def penalty_cases(rng):
    def case(label, net, n, shape, c, classes):
        images = torch.rand(n, *shape, generator=rng)
        r = 0.2 * torch.randn(n, *shape, generator=rng)
        targets = torch.randint(0, classes, (n,), generator=rng)
        return label, net, images, r, targets, c

    flat = _net(nn.Flatten(), nn.Linear(6, 3))
    label, net, images, r, targets, c = case("one image", flat, 1, (1, 2, 3), 0.5, 3)
    yield Case(label, net, images, r, targets, c)
    net = _net(nn.Flatten(), nn.Linear(12, 8), nn.Sigmoid(), nn.Linear(8, 5))
    label, _, images, r, targets, c = case(
        "four images, one not changed", net, 4, (1, 3, 4), 2.0, 5
    )
    r[2] = 0
    yield Case(label, net, images, r, targets, c)
    label, _, images, r, targets, c = case("nothing changed yet", net, 3, (1, 3, 4), 0.7, 5)
    yield Case(label, net, images, 0 * r, targets, c)
    wide = _net(nn.Linear(5, 4))
    label, _, images, r, targets, c = case("flat images that leave the box", wide, 3, (5,), 1.3, 4)
    yield Case(label, wide, images, 8 * r, targets, c)


def penalty_by_differences(net, images, r, targets, c):
    """Values by NumPy, gradients by central differences in double precision."""
    layers = [
        (m.weight.detach().double().numpy(), m.bias.detach().double().numpy())
        for m in net
        if isinstance(m, nn.Linear)
    ]
    x, y = images.double().numpy(), targets.numpy()
    rows = np.arange(len(y))

    def logits(batch):
        h = batch.reshape(len(batch), -1)
        for i, (w, b) in enumerate(layers):
            h = h @ w.T + b
            h = scipy.special.expit(h) if i + 1 < len(layers) else h
        return h

    def losses(change):
        z = logits(x + change)
        return scipy.special.logsumexp(z, axis=1) - z[rows, y]

    at = r.double().numpy()
    sizes = np.sqrt((at.reshape(len(at), -1) ** 2).sum(1))
    slopes = np.zeros_like(at)
    for index in np.ndindex(at.shape[1:]):
        step = np.zeros_like(at)
        step[(slice(None), *index)] = 1e-5
        slopes[(slice(None), *index)] = (losses(at + step) - losses(at - step)) / 2e-5
    over = np.where(sizes > 0, 1 / np.where(sizes > 0, sizes, 1), 0)
    units = at * over.reshape(-1, *[1] * (at.ndim - 1))
    return c * sizes + losses(at), c * units + slopes


def penalty_autograd(net, images, r, targets, c):
    """All by autograd: vector_norm has the gradient 0 at 0."""
    r = r.detach().requires_grad_()
    z = net(images + r)
    losses = z.logsumexp(1) - z.gather(1, targets[:, None]).squeeze(1)
    values = c * torch.linalg.vector_norm(r.flatten(1), dim=1) + losses
    values.sum().backward(inputs=[r])
    return values.detach(), r.grad


def penalty_loop(net, images, r, targets, c):
    values, gradients = [], []
    for x, change, target in zip(images, r, targets, strict=True):
        change = change[None].clone().requires_grad_()
        loss = F.cross_entropy(net(x[None] + change), target[None])
        (slope,) = torch.autograd.grad(loss, change)
        size = change.detach().norm()
        values.append(loss.detach() + c * size)
        part = change.detach() / size if size > 0 else torch.zeros_like(slope)
        gradients.append((slope + c * part)[0])
    return torch.stack(values), torch.stack(gradients)


def _penalised(sizes=None, losses=None, inputs=None, total=None):
    """A wrong objective, by autograd throughout: parts replaced by sizes(r (N, pixels)),
    losses(logits, targets, clean logits), inputs(x, r), total(sizes, losses, c)."""
    sizes = sizes or (lambda r: torch.linalg.vector_norm(r, dim=1))
    losses = losses or (lambda z, t, clean: F.cross_entropy(z, t, reduction="none"))
    inputs = inputs or (lambda x, r: x + r)
    total = total or (lambda s, f, c: c * s + f)

    def wrong(net, images, r, targets, c):
        r = r.detach().clone().requires_grad_()
        logits = net(inputs(images, r))
        parts = losses(logits, targets, net(images).detach())
        values = total(sizes(r.flatten(1)), parts, c)
        (gradients,) = torch.autograd.grad(values.sum(), r)
        return values.detach(), gradients

    return wrong


def penalty_mean_gradient(net, images, r, targets, c):
    values, _ = penalty_autograd(net, images, r, targets, c)
    r = r.detach().clone().requires_grad_()
    F.cross_entropy(net(images + r), targets).backward(inputs=[r])
    units = F.normalize(r.detach().flatten(1), dim=1).reshape(r.shape)
    return values, r.grad + c * units


def penalty_mean_loss(net, images, r, targets, c):
    r = r.detach().clone().requires_grad_()
    loss = F.cross_entropy(net(images + r), targets)
    (slopes,) = torch.autograd.grad(loss, r)
    r = r.detach()
    units = F.normalize(r.flatten(1), dim=1).reshape(r.shape)
    return c * r.flatten(1).norm(dim=1) + loss.detach(), c * units + slopes


def penalty_mean_all(net, images, r, targets, c):
    r = r.detach().clone().requires_grad_()
    sizes = torch.linalg.vector_norm(r.flatten(1), dim=1)
    values = c * sizes + F.cross_entropy(net(images + r), targets)
    (slopes,) = torch.autograd.grad(values.mean(), r)
    return values.detach(), slopes


def penalty_gradient_of_mean(net, images, r, targets, c):
    values, gradients = penalty_autograd(net, images, r, targets, c)
    return values, gradients / len(r)


def penalty_slopes_only(net, images, r, targets, c):
    r = r.detach().clone().requires_grad_()
    losses = F.cross_entropy(net(images + r), targets, reduction="none")
    (slopes,) = torch.autograd.grad(losses.sum(), r)
    return c * r.detach().flatten(1).norm(dim=1) + losses.detach(), slopes


def penalty_total(net, images, r, targets, c):
    values, gradients = penalty_autograd(net, images, r, targets, c)
    return values.sum(), gradients


def penalty_values_only(net, images, r, targets, c):
    return penalty_autograd(net, images, r, targets, c)[0]


HISTORY = (
    "The numbers are right, but they carry autograd's history, which keeps the network's whole "
    "computation in memory and cannot become an array for SciPy: return `.detach()`ed tensors."
)


def penalty_with_history(net, images, r, targets, c):
    r = r.detach().clone().requires_grad_()
    losses = F.cross_entropy(net(images + r), targets, reduction="none")
    values = c * torch.linalg.vector_norm(r.flatten(1), dim=1) + losses
    (gradients,) = torch.autograd.grad(values.sum(), r, create_graph=True)
    return values, gradients


def has_history(answer):
    """A probe: neither result asks for a gradient."""
    net = _net(nn.Linear(4, 3))
    images, r = torch.full((2, 4), 0.5), torch.full((2, 4), 0.1)
    results = answer(net, images, r, torch.tensor([0, 2]), 1.0)
    parts = [part for result in results for part in result]
    return HISTORY if any(getattr(part, "requires_grad", False) for part in parts) else None


PENALTY_OBJECTIVE = Exercise(
    slug="penalty-objective",
    title="The paper's objective, and its gradient",
    difficulty=3,
    minutes=12,
    hints=[
        "Every image has its own loss: `F.cross_entropy(logits, targets, reduction='none')` is "
        "(N,). The gradient of their sum holds each image's own gradient, because no image's loss "
        "depends on another's r.",
        "Let autograd differentiate the loss only, with respect to a copy of r: "
        "`torch.autograd.grad(losses.sum(), r)` leaves the network's own gradients alone.",
        "The gradient of ||r|| is r / ||r||, and its root has no derivative at 0: there, 0 is the "
        "choice to make. Dividing by `sizes.clamp(min=1e-12)` gives just that.",
    ],
    cases=penalty_cases,
    oracle=penalty_by_differences,
    observe=named("values", "gradients"),
    rtol=1e-3,
    atol=1e-5,
    probes=[has_history],
    equivalent_mutants={
        **{
            "- r = r.detach().clone().requires_grad_() / + r = r." + copy + ".requires_grad_()": (
                "The r that comes in has no history, and nothing writes into it."
            )
            for copy in ("detach()", "clone()")
        },
        **{
            "- each = sizes.clamp(min=1e-12).reshape(-1, *[1] * (r.ndim - 1)) / + each = "
            f"sizes.clamp(min={least}).reshape(-1, *[1] * (r.ndim - 1))": (
                "Any tiny number will do: it only ever divides an r of 0."
            )
            for least in ("2e-12", "5e-13")
        },
    },
    mistakes=[
        Mistake(
            "NaN at 0",
            "The gradient is NaN where r = 0, which is where every search starts: r / ||r|| is 0/0 "
            "there, and autograd through a root gives the same. Take 0 for the norm's gradient.",
            _penalised(sizes=lambda r: r.square().sum(1).sqrt()),
            right_shape=True,
        ),
        Mistake(
            "batch mean",
            "The losses are averaged over the batch, so each image's value depends on its company: "
            "these are N problems, `reduction='none'`.",
            _penalised(losses=lambda z, t, clean: F.cross_entropy(z, t).repeat(len(t))),
            right_shape=True,
        ),
        *[
            Mistake(
                f"batch mean throughout, {name}",
                "The loss is averaged over the batch, so each image's value depends on its company "
                f"and the gradient{what} is N times too small: these are N problems. Ask "
                "for `reduction='none'`, and differentiate the sum.",
                function,
                right_shape=True,
            )
            for name, what, function in (
                ("loss", " of the loss", penalty_mean_loss),
                ("all", "", penalty_mean_all),
            )
        ],
        Mistake(
            "gradient of the mean",
            "The values are right, but you differentiate their mean: each image's gradient is N "
            "times too small. Differentiate the sum.",
            penalty_gradient_of_mean,
            right_shape=True,
        ),
        Mistake(
            "batch mean in the gradient",
            "The values are right, but the loss's gradient is that of the batch's mean, N times "
            "too small beside c·r/||r||: differentiate the sum of the losses.",
            penalty_mean_gradient,
            right_shape=True,
        ),
        Mistake(
            "squared norm",
            "The penalty here is the norm ||r||, not its square (which is what most later papers "
            "take: then c means something else).",
            _penalised(sizes=lambda r: r.square().sum(1)),
            right_shape=True,
        ),
        Mistake(
            "1-norm",
            "This penalty is the sum of absolute values: the L2 norm is asked for.",
            _penalised(sizes=lambda r: r.abs().sum(1)),
            right_shape=True,
        ),
        Mistake(
            "distortion for norm",
            "The penalty is the distortion, the norm divided by the root of the number of pixels: "
            "the norm itself is asked for.",
            _penalised(sizes=lambda r: torch.linalg.vector_norm(r, dim=1) / r.shape[1] ** 0.5),
            right_shape=True,
        ),
        Mistake(
            "one norm for the batch",
            "The norm is that of the whole batch: each image has its own, along its pixels.",
            _penalised(sizes=lambda r: torch.linalg.vector_norm(r).repeat(len(r))),
            right_shape=True,
        ),
        Mistake(
            "c on the loss",
            "Here c multiplies the loss: in the paper it multiplies |r|. (In Carlini and Wagner's "
            "paper it is the loss: their large c is a small one here.) Swap the two factors.",
            _penalised(total=lambda s, f, c: s + c * f),
            right_shape=True,
        ),
        Mistake(
            "away from the answer",
            "This raises the loss of the class that the network gave before, whichever class wins "
            "then: the paper lowers the loss of the target.",
            _penalised(
                losses=lambda z, t, clean: -F.cross_entropy(z, clean.argmax(1), reduction="none")
            ),
            right_shape=True,
        ),
        Mistake(
            "the answer for the target",
            "The loss is that of the class that the network gives the clean image, which is what "
            "training lowers: an attack lowers the loss of the target.",
            _penalised(
                losses=lambda z, t, clean: F.cross_entropy(z, clean.argmax(1), reduction="none")
            ),
            right_shape=True,
        ),
        Mistake(
            "uphill",
            "The loss has the wrong sign: minimising this leads away from the target.",
            _penalised(losses=lambda z, t, clean: -F.cross_entropy(z, t, reduction="none")),
            right_shape=True,
        ),
        Mistake(
            "clipped inside",
            "The image is clipped inside the objective: a pixel that left the box then has no "
            "gradient, and nothing tells it to come back. The optimiser keeps x + r in the box; "
            "the objective takes what it is given.",
            _penalised(inputs=lambda x, r: (x + r).clamp(0, 1)),
            right_shape=True,
        ),
        Mistake(
            "the penalty has no gradient",
            "The values are right, but the gradient is that of the loss alone: c·||r|| pulls r "
            "back, by c·r/||r||.",
            penalty_slopes_only,
            right_shape=True,
        ),
        Mistake(
            "the r alone",
            "The network gets r without the image: its input is images + r.",
            _penalised(inputs=lambda x, r: r),
            right_shape=True,
        ),
        Mistake(
            "summed",
            "The values are added up: one per image is asked for, (N,).",
            penalty_total,
        ),
        Mistake("history", HISTORY, penalty_with_history, right_shape=True),
        Mistake(
            "values only",
            "These are the values; the gradients are asked for, too: return both, values first.",
            penalty_values_only,
        ),
    ],
    variants=[penalty_autograd, penalty_loop],
    done="Values and gradients agree with finite differences, and r = 0 has a gradient.",
)

# --- amplify ---------------------------------------------------------------------------------


def amplify_cases(rng):
    for label, changed, images in pairs(rng):
        if "unchanged" in label:  # a change of 0 has no direction
            label = "three images: one changed a little, one in one pixel"
            changed[1] = 0.95 * images[1]
        yield Case(label, changed, images, 0.1)
    images = torch.rand(3, 1, 4, 4, generator=rng)
    yield Case(
        "so far that pixels leave the box",
        images + 0.05 * torch.randn(3, 1, 4, 4, generator=rng),
        images,
        0.6,
    )


def amplify_oracle(adversarial, images, stddev):
    x = images.double().numpy()
    change = adversarial.double().numpy() - x
    return np.stack(
        [a + r * (stddev / math.sqrt((r**2).mean())) for a, r in zip(x, change, strict=True)]
    )


def amplify_lerp(adversarial, images, stddev):
    factor = stddev / (adversarial - images).flatten(1).square().mean(1).sqrt()
    factor = factor.reshape(-1, *[1] * (images.ndim - 1))
    return torch.lerp(images, adversarial, factor)


def amplify_normalize(adversarial, images, stddev):
    change = (adversarial - images).flatten(1)
    unit = F.normalize(change, dim=1, eps=1e-20)
    return images + (unit * stddev * change.shape[1] ** 0.5).reshape(images.shape)


def amplify_loop(adversarial, images, stddev):
    return [
        x + (a - x) * stddev / ((a - x) ** 2).mean() ** 0.5
        for a, x in zip(adversarial, images, strict=True)
    ]


def _amplified(size, finish=lambda x, a, r, k: x + k * r):
    """A wrong amplification: stddev / size(change (N, pixels)) as the factor k, then finish."""

    def wrong(adversarial, images, stddev):
        change = adversarial - images
        factor = (stddev / size(change.flatten(1))).reshape(-1, *[1] * (images.ndim - 1))
        return finish(images, adversarial, change, factor)

    return wrong


def _rms(change):
    return change.square().mean(1).sqrt()


PRINTED = (
    "This is the formula as it is printed: divided by the L2 norm of the change, its L2 norm "
    "becomes the stddev, and its rms is smaller by the root of the number of pixels (28 for "
    "MNIST). Divide by the rms."
)
STD = (
    "You divide by the change's standard deviation, which takes its mean off first: the paper's "
    "stddev is that of noise of mean 0, so it is the rms, mean included."
)


AMPLIFY = Exercise(
    slug="amplify",
    title="Amplified to a given stddev",
    difficulty=1,
    minutes=5,
    hints=[
        "The change keeps its direction: it is multiplied by one number per image, and added to "
        "the clean image again.",
        "The number is `stddev / distortion(adversarial, images)`, which has shape (N,). Give it "
        "an axis of length 1 for every axis of an image, so that it multiplies whole images.",
    ],
    cases=amplify_cases,
    oracle=amplify_oracle,
    mistakes=[
        Mistake(
            "the printed formula",
            PRINTED,
            _amplified(lambda change: change.norm(dim=1)),
            right_shape=True,
        ),
        Mistake(
            "the printed formula, one norm for all",
            PRINTED + " And the norm is one for the whole batch: each image has its own.",
            _amplified(lambda change: change.norm().repeat(len(change))),
            right_shape=True,
        ),
        Mistake(
            "the printed formula, clipped",
            PRINTED + " And do not clip: that shortens the change again.",
            _amplified(
                lambda change: change.norm(dim=1), lambda x, a, r, k: (x + k * r).clamp(0, 1)
            ),
            right_shape=True,
        ),
        Mistake(
            "one factor for all",
            "All images get the same factor, that of the whole set: each is to have an rms of "
            "stddev by itself.",
            _amplified(lambda change: change.square().mean().sqrt().repeat(len(change))),
            right_shape=True,
        ),
        Mistake(
            "standard deviation",
            STD,
            _amplified(lambda change: change.std(dim=1, correction=0)),
            right_shape=True,
        ),
        Mistake(
            "standard deviation, n - 1",
            STD + " Besides, `.std()` divides by the number of pixels minus 1.",
            _amplified(lambda change: change.std(dim=1)),
            right_shape=True,
        ),
        Mistake(
            "standard deviation of the batch",
            STD + " And it is one for the whole batch: each image has its own.",
            _amplified(lambda change: change.std().repeat(len(change))),
            right_shape=True,
        ),
        *[
            Mistake(
                f"standard deviation{name}, clipped",
                f"{STD} And do not clip (after `.std(correction={correction})`): that shortens "
                "the change again.",
                _amplified(
                    lambda change, correction=correction: change.std(dim=1, correction=correction),
                    lambda x, a, r, k: (x + k * r).clamp(0, 1),
                ),
                right_shape=True,
            )
            for name, correction in (("", 0), (", n - 1", 1))
        ],
        Mistake(
            "from the adversarial image",
            "The stretched change is added to the adversarial image, so it is in there twice: add "
            "it to the clean one.",
            _amplified(_rms, lambda x, a, r, k: a + k * r),
            right_shape=True,
        ),
        Mistake(
            "the image stretched",
            "The adversarial image is multiplied, not the change: a brighter picture.",
            _amplified(_rms, lambda x, a, r, k: k * a),
            right_shape=True,
        ),
        Mistake(
            "the change returned",
            "This is the stretched change: add it to the images.",
            _amplified(_rms, lambda x, a, r, k: k * r),
            right_shape=True,
        ),
        Mistake(
            "clipped",
            "The result is clipped to [0, 1], so its rms is no longer the stddev asked for: leave "
            "it (and whoever clips has to measure again).",
            _amplified(_rms, lambda x, a, r, k: (x + k * r).clamp(0, 1)),
            right_shape=True,
        ),
        Mistake(
            "not rescaled",
            "The change is multiplied by the stddev and keeps its own size as a factor: divide by "
            "its rms.",
            lambda adversarial, images, stddev: images + stddev * (adversarial - images),
            right_shape=True,
        ),
        Mistake(
            "the other way",
            "The change points the other way: it goes from the image to the adversarial image.",
            _amplified(_rms, lambda x, a, r, k: x - k * r),
            right_shape=True,
        ),
        Mistake(
            "mean square",
            "You divide by the mean square: its root is missing.",
            _amplified(lambda change: change.square().mean(1)),
            right_shape=True,
        ),
    ],
    variants=[amplify_lerp, amplify_normalize, amplify_loop],
    done="Each change has the rms asked for, and its direction.",
)

# --- attack-summary --------------------------------------------------------------------------


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


def summary_weights(images, adversarial, labels, clean, fooled):
    correct = (clean == labels).double()
    success = correct * (fooled != labels)
    sizes = (adversarial - images).double().flatten(1).norm(dim=1) / images[0].numel() ** 0.5
    return success.sum() / correct.sum(), (success * sizes).sum() / success.sum()


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


def _share(correct, changed):
    return changed[correct].double().mean()


def _size(sizes, correct, changed):
    return sizes[correct & changed].mean()


ATTACK_SUMMARY = Exercise(
    slug="attack-summary",
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
    mistakes=[
        Mistake(
            "failures count as 0",
            "The rate is right, but the images at which the attack failed are still in the mean "
            "distortion, with their change of 0: a worse attack would get a smaller mean.",
            _summary(_share, lambda s, correct, changed: s[correct].mean()),
            right_shape=True,
        ),
        Mistake(
            "mistakes count as 0",
            "Images that the network got wrong from the start are still in the mean distortion, "
            "with their change of 0.",
            _summary(_share, lambda s, correct, changed: s[changed].mean()),
            right_shape=True,
        ),
        Mistake(
            "the rate as it was",
            "The mean distortion is right, but the rate still counts images that were mistakes "
            "from the start as successes of the attack.",
            _summary(lambda correct, changed: changed.double().mean(), _size),
            right_shape=True,
        ),
        Mistake(
            "out of all images",
            "The rate divides by all images, also those that were mistakes from the start and so "
            "could not be attacked: divide by the number of images that were right.",
            _summary(lambda correct, changed: (correct & changed).double().mean(), _size),
            right_shape=True,
        ),
        Mistake(
            "accuracy that is left",
            "The first number is the share that the network still gets right: the attack's rate of "
            "success is 1 minus that.",
            _summary(lambda correct, changed: 1 - _share(correct, changed), _size),
            right_shape=True,
        ),
        Mistake(
            "mistakes as successes",
            "The failures are out of both numbers now, but images that the network got wrong from "
            "the start still count as successes in both: a success is `clean == labels` first and "
            "`fooled != labels` then, and the rate is out of the images that were right.",
            _summary(
                lambda correct, changed: changed.double().mean(),
                lambda s, correct, changed: s[changed].mean(),
            ),
            right_shape=True,
        ),
        Mistake(
            "mistakes as successes, out of the right ones",
            "You divide by the number of images that were right, but count successes (and average) "
            "over all that are wrong now, also those that were wrong from the start: leave these "
            "out of the successes, too.",
            _summary(
                lambda correct, changed: changed.double().sum() / correct.sum(),
                lambda s, correct, changed: s[changed].mean(),
            ),
            right_shape=True,
        ),
        Mistake(
            "all images in the mean",
            "The rate is right, but the mean distortion still runs over all images, also those "
            "that were wrong from the start or at which the attack failed.",
            _summary(_share, lambda s, correct, changed: s.mean()),
            right_shape=True,
        ),
        Mistake(
            "out of all images, all in the mean",
            "The successes are the right ones now, but the rate divides by all images, and the "
            "mean distortion runs over all: divide by those that were right, and average over the "
            "successes.",
            _summary(
                lambda correct, changed: (correct & changed).double().mean(),
                lambda s, correct, changed: s.mean(),
            ),
            right_shape=True,
        ),
        Mistake(
            "failures in the mean, mistakes in the rate",
            "Two things are left: the rate counts images that were wrong from the start, and the "
            "mean distortion runs over the failures, too.",
            _summary(
                lambda correct, changed: changed.double().mean(),
                lambda s, correct, changed: s[correct].mean(),
            ),
            right_shape=True,
        ),
        Mistake(
            "any change of class, all in the mean",
            MOVED + " And the mean distortion runs over all images, not the successes.",
            _moved(lambda s, moved: s, out_of_right=False),
            right_shape=True,
        ),
        Mistake(
            "any change of class, out of the right ones",
            MOVED + " You divide by the right number already.",
            _moved(lambda s, moved: s[moved], out_of_right=True),
            right_shape=True,
        ),
        Mistake(
            "any change of class in the mean",
            "The rate is right, but the mean distortion still counts images that were wrong from "
            "the start and changed to another class: leave those out.",
            lambda images, adversarial, labels, clean, fooled: (
                _share(clean == labels, fooled != labels),
                measures.distortion(adversarial, images)[fooled != clean].mean(),
            ),
            right_shape=True,
        ),
        Mistake(
            "any change of class",
            MOVED,
            _moved(lambda s, moved: s[moved], out_of_right=False),
            right_shape=True,
        ),
        Mistake(
            "rms of the set",
            "The distortion is one root over all the successes' pixels: the paper's is the mean "
            "of the images' own.",
            _summary(
                _share, lambda s, correct, changed: s[correct & changed].square().mean().sqrt()
            ),
            right_shape=True,
        ),
        Mistake(
            "median",
            "This is the median of the distortions: the paper reports their mean.",
            _summary(
                _share,
                lambda s, correct, changed: (
                    s[correct & changed].quantile(0.5) if (correct & changed).any() else math.nan
                ),
            ),
            right_shape=True,
        ),
        Mistake(
            "unchanged images by their size",
            "You leave out the images whose change is 0. An attack that fails may well have moved "
            "the image, and that change is no distance to a mistake: ask the network's answers.",
            _summary(_share, lambda s, correct, changed: s[s > 0].mean()),
            right_shape=True,
        ),
    ],
    variants=[summary_weights, summary_subset],
    done="Mistakes from the start and failures are kept apart from the mean.",
)
EXERCISES = [
    DISTORTION,
    NEAREST_PLANE,
    NEAREST_IN_BOX,
    PENALTY_OBJECTIVE,
    AMPLIFY,
    ATTACK_SUMMARY,
]

# --- predictions, quizzes, short answers -----------------------------------------------------

PREDICTIONS = {
    "clipped-success": Prediction(
        "On what share of the images does the step to the nearest plane, clipped to [0, 1] "
        "afterwards, still change the class?",
        unit="%",
        digits=2,
    ),
    "random-over-nearest": Prediction(
        "How many times as far as the nearest class is a random one, on average, for FC10(1e-2)?",
        digits=2,
    ),
    "penalty-excess": Prediction(
        "By how many per cent does the paper's attack end above the exact minimum for FC10(1)?",
        unit="%",
        digits=2,
    ),
    "noise-at-0.1": Prediction(
        "Which share of the images that FC10(1e-2) reads correctly does it get wrong under "
        "Gaussian noise of stddev 0.1, twice the mean distance of the nearest mistake?",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "logit-scale": Quiz(
        "All weights and biases of FC10 are multiplied by 10. What happens to the distance from an "
        "image to its nearest mistake?",
        [
            Option(
                "It becomes ten times smaller: the network is more sensitive",
                False,
                "The logits do change ten times as fast, but the lead that has to be made up is "
                "ten times as large, too.",
            ),
            Option(
                "It becomes ten times larger: the network is more certain",
                False,
                "The lead is ten times as large, but it also changes ten times as fast along the "
                "normal.",
            ),
            Option(
                "Nothing",
                True,
                "Lead and norm both grow by 10, and the planes stay where they are. Certainty, in "
                "the sense of a large probability, is no protection, and small weights by "
                "themselves are none either.",
            ),
        ],
    ),
    "one-plane": Quiz(
        "At the point found for the nearest plane, z_j = z_y. Could a third class k be ahead of "
        "both there?",
        [
            Option(
                "Yes, then the network reads k, and j was the wrong class",
                False,
                "If k were ahead there, then somewhere on the way from x, where y was ahead, k and "
                "y must have tied. That point is nearer, and in the box, so the plane of k would "
                "have been the nearest.",
            ),
            Option(
                "No, or the plane of k would have been crossed on the way",
                True,
                "The way is straight and stays in the box, and y was ahead of k at its start. So "
                "the smallest over the classes of the one-plane problems is the true minimum, "
                "though for a single class j its one-plane problem may be too easy.",
            ),
            Option(
                "No, because softmax probabilities add up to 1",
                False,
                "They do, but three classes can share them in any order: the reason is in the "
                "geometry.",
            ),
        ],
    ),
    "two-classes": Quiz(
        "For which linear network does the penalty with the cross-entropy find the exact minimum?",
        [
            Option(
                "For one that was trained to the optimum",
                False,
                "How the weights were found plays no part: given the weights, the loss's levels "
                "and the boundary are what they are.",
            ),
            Option(
                "For one with two classes",
                True,
                "Then the loss depends on the one difference z_t - z_y alone, so every level of "
                "it is a plane parallel to the boundary, and one of them is the boundary. The "
                "statement about convex losses is right in that case.",
            ),
            Option(
                "For every one, if c is searched finely enough",
                False,
                "Every point of the path is the smallest r for its level of the loss. The exact "
                "point is not on the path at all, however fine the steps are.",
            ),
        ],
    ),
    "printed-formula": Quiz(
        "Taken as printed, x + 0.1 (x' - x) / ||x' - x||_2 changes a 28 x 28 image by which "
        "distortion?",
        [
            Option(
                "0.1",
                False,
                "0.1 is the L2 norm of that change: the distortion divides it by the root of 784.",
            ),
            Option(
                "0.1 / 28, about 0.0036",
                True,
                "That is far below the 0.06 of the examples that were to be amplified. So the text "
                "(stddev 0.1) is right, and the norm in the formula has to be read as an rms.",
            ),
            Option(
                "0.1 x 28 = 2.8",
                False,
                "The other way round: the rms is smaller than the L2 norm. A distortion of 2.8 "
                "would take pixels far out of [0, 1].",
            ),
        ],
    ),
}

ANSWERS = {
    "why-larger": ShortAnswer(
        "FC10(1) has more than twice the distortion of FC10(1e-4) in Table 1. Name three "
        "different reasons for it, say which of them is about the network, and how you would tell "
        "them apart.",
        rubric=[
            "Smooth filters: with more decay the lead per unit of ||w_y - w_j|| is larger. That is "
            "about the network, and the exact minima show it.",
            "The loss: with small logits the cross-entropy stops short of the minimum. That is "
            "about the attack: it goes away with sharper logits or an exact solver.",
            "The images: a network with 20 % of errors is measured on those that it still reads, "
            "which are the easier ones (or, if mistakes were counted as 0, it would be pulled "
            "down instead). Comparing on the images that all three read tells.",
            "It says what would separate them: exact minima, the same images for all, the same "
            "rule for the targets; and that the training sets and seeds play no part here.",
        ],
    ),
}
