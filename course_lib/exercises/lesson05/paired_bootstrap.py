"""`paired-bootstrap`, lesson 05: the draws are given, so nothing is left to chance.

Two cells that agree mostly tell a paired interval from an unpaired one. There are a dozen usual
definitions of a quantile, between or beside two draws: the draws of each case are such that the
neighbours of both points are equal, and all definitions say the same.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise

OFF = 2.5  # places in the sorted draws by which two definitions of a quantile are apart at most


def _same_by_any_definition(a, b, draws) -> bool:
    """Whether the draws around both points are equal, and those of other points are others."""
    means = (a.double() - b.double())[draws].mean(1).sort().values.numpy()
    for p, others in ((0.025, (0.0125, 0.05)), (0.975, (0.95, 0.9875))):
        place = p * (len(means) - 1)
        around = means[max(0, int(place - OFF)) : int(place + OFF) + 2]
        if np.ptp(around) > 1e-12 or (around[0] == np.quantile(means, others)).any():
            return False
    return True


def bootstrap_cases(rng):
    def bools(n, p):
        return torch.rand(n, generator=rng) < p

    def case(label, a, b, times):
        n = len(a)
        while True:
            draws = torch.randint(n, (times, n), generator=rng)
            if _same_by_any_definition(a, b, draws):
                return Case(label, a, b, draws)

    a = torch.tensor([True, True, False, True, False, True])
    yield Case(
        "six images, thirty draws",
        a,
        torch.tensor([False, True, False, False, True, False]),
        torch.tensor([[0] * 6] * 4 + [[0, 3, 5, 1, 2, 4], [1] * 6] * 11 + [[4] * 6] * 4),
    )
    a = bools(80, 0.5)
    yield case("two cells that agree mostly", a, a ^ bools(80, 0.15), 1500)
    yield case("two that do not", bools(50, 0.7), bools(50, 0.2), 1200)


def bootstrap_of_numpy(a, b, draws):
    d = a.cpu().double().numpy() - b.cpu().double().numpy()
    means = np.array([d[rows].mean() for rows in draws.cpu().numpy()])
    low, high = np.percentile(means, [2.5, 97.5])
    return d.mean(), low, high


EXERCISE = Exercise(
    title="Two cells of a row, compared",
    difficulty=2,
    minutes=6,
    hints=[
        "For each image the difference of the two cells is -1, 0 or 1: its mean is the "
        "difference of the shares.",
        "`d[draws]` has the shape (B, N): each row is a set of images drawn with replacement. A "
        "mean for each row, and of those the 2.5 % and the 97.5 % points (`torch.quantile`).",
    ],
    cases=bootstrap_cases,
    parts=("difference", "2.5 % point", "97.5 % point"),
    oracle=bootstrap_of_numpy,
    atol=1e-5,
    done="Every draw takes the same images for both cells.",
)


NOT_DRAWN = (
    "The interval does not follow `draws`: where every draw takes all the images once, it must "
    "have no width. Take the images that each row of `draws` names."
)


@EXERCISE.probe
def bootstrap_follows_the_draws(answer):
    a, b = torch.arange(12) % 2 == 0, torch.arange(12) % 3 == 0
    parts = answer(a, b, torch.arange(12).expand(40, -1).clone())
    _, low, high = (float(part) for part in parts)
    return NOT_DRAWN if high - low > 1e-6 else None


@EXERCISE.variant
def bootstrap_by_counts(a, b, draws):
    """How often each image was drawn, times its difference."""
    d = a.double() - b.double()
    n = len(d)
    counts = torch.stack([torch.bincount(rows, minlength=n) for rows in draws]).double()
    means = counts @ d / n
    return d.mean(), torch.quantile(means, 0.025), torch.quantile(means, 0.975)


@EXERCISE.variant
def bootstrap_two_means(a, b, draws):
    means = a.float()[draws].mean(1) - b.float()[draws].mean(1)
    ends = np.quantile(means.double().cpu().numpy(), [0.025, 0.975])
    return float(a.double().mean() - b.double().mean()), *ends


@EXERCISE.variant
def bootstrap_of_sorted(a, b, draws):
    """The entries at a place of the sorted draws: no interpolation."""
    means = sorted((a[row].double() - b[row].double()).mean().item() for row in draws)
    at = [means[int(p * len(means))] for p in (0.025, 0.975)]
    return (a.sum() - b.sum()).item() / len(a), *at


@EXERCISE.variant
def bootstrap_median_unbiased(a, b, draws):
    d = a.cpu().numpy().astype(float) - b.cpu().numpy()
    ends = np.quantile(d[draws.cpu().numpy()].mean(1), [0.025, 0.975], method="median_unbiased")
    return np.array([d.mean(), *ends])


def _ends(values):
    return torch.quantile(values, 0.025), torch.quantile(values, 0.975)


@EXERCISE.mistake(
    "unpaired",
    "The two cells get different draws, as if they had been measured on different images: "
    "what an image does to both no longer cancels. Take the same draw for both.",
)
def unpaired_draws(a, b, draws):
    """Other images for b than for a."""
    means = a.double()[draws].mean(1) - b.double()[draws.flip(0)].mean(1)
    return a.double().mean() - b.double().mean(), *_ends(means)


@EXERCISE.mistake(
    "the ends of two intervals",
    "This subtracts the ends of two intervals. Both shares cannot be off in opposite "
    "directions that often: draw the difference itself again and again.",
)
def ends_of_both(a, b, draws):
    (low_a, high_a), (low_b, high_b) = (_ends(t.double()[draws].mean(1)) for t in (a, b))
    return a.double().mean() - b.double().mean(), low_a - high_b, high_a - low_b


EXERCISE.mistake(
    "90 %",
    "The ends are the 5 % and the 95 % points, which leave out a tenth: 2.5 % and 97.5 %.",
    ("[0.025, 0.975]", "[0.05, 0.95]"),
)

EXERCISE.mistake(
    "the extremes",
    "The ends are the smallest and the largest draw: the more draws, the wider. Take the "
    "2.5 % and the 97.5 % points.",
    ("[0.025, 0.975]", "[0.0, 1.0]"),
)

EXERCISE.mistake(
    "b minus a",
    "The sign is swapped: this is b minus a.",
    ("a.double() - b.double()", "b.double() - a.double()"),
)

EXERCISE.mistake(
    "the mean of the draws",
    "The first number is the mean of the draws. It is close, but the estimate is the "
    "difference on the images themselves: the draws are for the interval.",
    ("return difference", "return means"),
)

EXERCISE.mistake(
    "divided by the number of draws",
    "The spread of the draws is divided by the root of their number, as if more draws "
    "made the images more: the interval is the spread of the draws itself.",
    ("[0.025, 0.975]", "[-1.96, 1.96]"),
    ("torch.quantile(means, ends)", "difference.mean() + ends * means.std() / len(means) ** 0.5"),
)


EXERCISE.mistake(
    "a normal interval",
    "This is the mean, give or take 1.96 standard deviations of the draws. For many images it "
    "comes near, but the middle 95 % of the draws themselves are asked for, and they need not lie "
    "evenly about the mean.",
    ("[0.025, 0.975]", "[-1.96, 1.96]"),
    ("torch.quantile(means, ends)", "difference.mean() + ends * means.std()"),
)

EXERCISE.mistake(
    "a formula instead of draws",
    "This is the interval of a formula, 1.96 standard errors of the mean difference to each side: "
    "the middle 95 % of the draws are asked for.",
    ("[0.025, 0.975]", "[-1.96, 1.96]"),
    (
        "torch.quantile(means, ends)",
        "difference.mean() + ends * difference.std() / len(difference) ** 0.5",
    ),
)

EXERCISE.mistake(
    "turned round",
    "The interval is mirrored at the mean, 2 times the difference minus each point. That is an "
    "interval, too (the basic bootstrap), but the points of the draws themselves are asked for.",
    (
        "return difference.mean(), low, high",
        "m = difference.mean()\n    return m, 2*m-high, 2*m-low",
    ),
)

EXERCISE.mistake(
    "in per cent",
    "These are per cent: shares are asked for, 0.5 for a half.",
    (
        "return difference.mean(), low, high",
        "return 100 * difference.mean(), 100 * low, 100 * high",
    ),
)


@EXERCISE.mistake(
    "a alone",
    "The points are those of the share of a alone: the difference to b is to be drawn.",
)
def a_alone(a, b, draws):
    return a.double().mean() - b.double().mean(), *_ends(a.double()[draws].mean(1))


EXERCISE.mistake(
    "high before low",
    "The two ends are exchanged: first the 2.5 % point.",
    ("return difference.mean(), low, high", "return difference.mean(), high, low"),
)


@EXERCISE.mistake(
    "only where they differ",
    "Only the images on which the two cells differ are drawn, so the difference is that of "
    "those: an image on which they agree is a difference of 0, and counts.",
)
def where_they_differ(a, b, draws):
    d, differ = a.double() - b.double(), (a != b).double()
    return d[a != b].mean(), *_ends(d[draws].sum(1) / differ[draws].sum(1))
