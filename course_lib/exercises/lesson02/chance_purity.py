"""`chance-purity`, lesson 02: random draws, compared with the exact value.

The tolerance is more than five standard errors of the draws; every wrong answer is farther off. An
exact answer may leave generator and draws aside; probes see to it that one that draws does not.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from course_lib import units
from course_lib.exercises import Case, Exercise

from .shared import purity_by_mode

DRAWS = 4000


def chance_cases(rng):
    def case(label, sizes, k):
        labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        labels = labels[torch.randperm(len(labels), generator=rng)]
        return Case(label, labels, k, torch.Generator().manual_seed(5), DRAWS)

    yield case("two images of two classes", [2, 2], 2)
    yield case("ten classes of thirty, k = 8", [30] * 10, 8)
    yield case("one class has most images", [15, 70, 5], 4)
    yield case("few images", [5, 5], 6)
    yield case("single images", [3, 6], 1)


def exact_chance(labels, k, generator, draws=DRAWS):
    """Over all ways to draw k, by the multivariate hypergeometric distribution."""
    sizes = np.bincount(labels.numpy())
    sizes = sizes[sizes > 0]
    total = math.comb(int(sizes.sum()), k)
    mean = 0.0
    ways = {(): 1}
    for n in sizes:  # (counts so far) -> ways; only what matters is kept: sum and maximum
        step: dict = {}
        for counts, w in ways.items():
            used, top = (counts or (0, 0))[:2]
            for j in range(min(int(n), k - used) + 1):
                key = (used + j, max(top, j))
                step[key] = step.get(key, 0) + w * math.comb(int(n), j)
        ways = step
    for (used, top), w in ways.items():
        mean += top * w / total if used == k else 0
    return mean / k


CHANCE_HEAD = "def chance_purity(labels, k, generator, draws"

EXERCISE = Exercise(
    title="Its chance level",
    difficulty=2,
    minutes=6,
    hints=[
        "Do to blind rows what you do to the others: draw k images, take the purity of that row, "
        "many times over, and average.",
        "`torch.randperm(len(labels), generator=generator)[:k]` draws k different images; stack "
        "`draws` such rows, and give them to `purity`.",
    ],
    cases=chance_cases,
    oracle=exact_chance,
    twins=[units.chance_purity],
    atol=0.012,  # more than five standard errors of 4000 draws
    rtol=0,
    time_limit=20,
    done="Within the error of the draws of the exact value (units.chance_purity computes that).",
    equivalent_mutants={
        f"- {CHANCE_HEAD}=4000): / + {CHANCE_HEAD}={other}):": (
            "One row more or less changes nothing but the error of the draws."
        )
        for other in (3999, 4001)
    },
)


@EXERCISE.variant
def chance_numpy(labels, k, generator, draws=DRAWS):
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    sizes = np.bincount(labels.cpu().numpy())
    return rng.multivariate_hypergeometric(sizes, k, size=draws).max(1).mean() / k


@EXERCISE.variant
def chance_scores(labels, k, generator, draws=DRAWS):
    """The k smallest of N random numbers, for all draws at once."""
    keys = torch.rand(draws, len(labels), generator=generator)
    rows = labels.cpu()[keys.topk(k, dim=1).indices]
    return (rows == rows.mode(dim=1).values[:, None]).double().mean()


EXERCISE.variant(exact_chance)

GENERATOR = (
    "The number changes from call to call, or is the same for every seed and not exact: draw with "
    "`generator=generator`, so that whoever repeats it gets your number."
)
DRAWS_OBEYED = (
    "With many draws the number is about right, but it is not the mean over `draws` rows: with "
    "`draws=1` a row of k images gives a whole number of k-ths, and yours is none."
)


def _small():
    return torch.arange(40) % 7, 9


@EXERCISE.probe(only_right=True)
def draws_with_the_generator(answer):
    """A probe: the generator decides, and nothing else does; or the answer is exact."""
    labels, k = _small()
    found = []
    for seed, other_seed in ((1, 5), (1, 6), (2, 5), (3, 5), (4, 5)):
        torch.manual_seed(other_seed)
        np.random.seed(other_seed)  # noqa: NPY002 - a learner may use the old global generator
        found.append(float(answer(labels, k, torch.Generator().manual_seed(seed), 300)))
    if found[0] != found[1]:
        return GENERATOR
    exact = abs(found[0] - exact_chance(labels, k, None)) < 1e-4
    return GENERATOR if len(set(found)) == 1 and not exact else None


@EXERCISE.probe(only_right=True)
def draws_as_many_rows(answer):
    """A probe: one row gives a whole number of k-ths, two rows give twice as many steps."""
    labels, k = _small()
    for draws in (1, 2):
        for seed in range(4):
            found = float(answer(labels, k, torch.Generator().manual_seed(seed), draws))
            steps = found * k * draws
            exact = abs(found - exact_chance(labels, k, None)) < 1e-4
            if not exact and not abs(steps - round(steps)) < 1e-4:
                return DRAWS_OBEYED
    return None


EXERCISE.mistake("the generator is not used", GENERATOR, ("generator=generator", ""))

EXERCISE.mistake("draws is not used", DRAWS_OBEYED, ("range(draws)", "range(4000)"))


@EXERCISE.mistake(
    "the first images",
    "Every row is the same one, the first k images: draw them blindly, anew for each row.",
)
def not_drawn(labels, k, generator, draws=DRAWS):
    rows = torch.arange(k).expand(draws, k)
    return float(purity_by_mode(labels.cpu(), rows).mean())


EXERCISE.mistake(
    "one over the classes",
    "One over the number of classes is the share of a class that is named in advance. "
    "Purity takes whichever label is the most frequent, and some label always is.",
    lambda labels, k, generator, draws=DRAWS: 1 / len(labels.unique()),
)


def _shares(labels):
    counts = torch.bincount(labels.cpu()).double()
    return counts / counts.sum()


EXERCISE.mistake(
    "the largest class's share",
    "This is the share of the largest class among all images: in a row of k, another "
    "class may be the most frequent one by luck.",
    lambda labels, k, generator, draws=DRAWS: float(_shares(labels).max()),
)


@EXERCISE.mistake(
    "a binomial",
    "This follows one class through all draws (its count is binomial, or nearly so), and "
    "misses that the maximum is taken over all classes in every row.",
)
def one_class(labels, k, generator, draws=DRAWS):
    rows = torch.rand(draws, len(labels), generator=generator).topk(k, dim=1).indices
    return (labels.cpu()[rows] == 0).double().mean()


@EXERCISE.mistake(
    "with replacement",
    "Images are drawn with replacement, so a row may hold one image twice: a row of top "
    "images never does.",
)
def with_replacement(labels, k, generator, draws=DRAWS):
    rows = torch.randint(len(labels), (draws, k), generator=generator)
    return float(purity_by_mode(labels.cpu(), rows).mean())


@EXERCISE.mistake(
    "classes of equal size",
    "Labels are drawn as if all classes had the same size: draw images, and look up their labels.",
)
def equal_classes(labels, k, generator, draws=DRAWS):
    classes = int(labels.max()) + 1
    drawn = torch.randint(classes, (draws, k), generator=generator)
    return F.one_hot(drawn, classes).sum(1).amax(1).double().mean() / k


EXERCISE.mistake(
    "a count",
    "This is the mean number of images with the most frequent label: divide it by k.",
    lambda *a: exact_chance(a[0].cpu(), a[1], None) * a[1],
)

EXERCISE.mistake(
    "pairs that agree",
    "This is the chance that two images have the same label: purity looks at whole rows.",
    lambda labels, k, generator, draws=DRAWS: float(_shares(labels).square().sum()),
)
