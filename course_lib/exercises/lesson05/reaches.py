"""`reaches`, lesson 05: changes that go far enough, sideways, and the opposite way.

The oracle projects and compares lengths; the solution multiplies instead.
"""

import numpy as np
import torch
import torch.nn.functional as F

from course_lib.exercises import Case, Exercise

SHARES = torch.tensor([[1.0], [2.0], [0.5]])


def reach_cases(rng):
    def draw(*shape):
        return torch.randn(*shape, generator=rng)

    yield Case(
        "three images of two pixels",
        torch.tensor([[3.0, 1.0], [1.0, 4.0], [-3.0, 0.0]]),
        torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]),
    )
    # along one pixel, by powers of two: no way to compute it rounds
    same = torch.tensor([[2.0, 0.0, 0.0], [0.0, -4.0, 0.0], [0.0, 0.0, 0.25]])
    yield Case("exactly as far, once beyond it and once not", same * SHARES, same)
    for label, shape in (("forty images", (40, 1, 2, 3)), ("sixty images", (60, 2, 3, 2))):
        theirs = draw(*shape)
        sizes = torch.rand(shape[0], generator=rng).reshape(-1, 1, 1, 1)
        yield Case(label, 2.5 * sizes * theirs + draw(*shape) / 2, theirs)
    small = 0.05 * draw(50, 1, 4, 4)
    yield Case("changes of the size of ours", 0.8 * small + 0.03 * draw(50, 1, 4, 4), small)
    # sums of squares of a hundred-millionth, and components on either side of them
    tiny = 1e-5 * draw(30, 6)
    yield Case("changes of a hundred-thousandth", tiny + 1e-5 * draw(30, 6), tiny)


def reaches_of_numpy(r, theirs):
    """Project, and compare the lengths."""
    a, b = (t.cpu().double().numpy().reshape(len(t), -1) for t in (r, theirs))
    length = np.linalg.norm(b, axis=1)
    along = (a * b / length[:, None]).sum(1)
    return along >= length


EXERCISE = Exercise(
    title="Far enough in its direction?",
    difficulty=2,
    minutes=5,
    hints=[
        "The component of r along the other network's change s is r·s / |s|. When is it at least "
        "|s|?",
        "Multiplied by |s|: `(r * theirs).flatten(1).sum(1)` against the sum of squares of "
        "`theirs`.",
    ],
    cases=reach_cases,
    oracle=reaches_of_numpy,
    done="Whether the component along the other network's own change is at least as long as it.",
)


LENGTH_IGNORED = (
    "Your answers stay the same when all r are made a thousand times as long or as short: only the "
    "direction is looked at. A long change reaches farther than a short one along the same line."
)

DIRECTION_IGNORED = (
    "Your answers stay the same when the pixels of r trade places: only its length is looked at. "
    "What counts is the component along the other change."
)


@EXERCISE.probe
def reaching_is_a_matter_of_length(answer):
    rng = torch.Generator().manual_seed(3)
    theirs = torch.randn(40, 1, 2, 4, generator=rng)
    r = theirs + torch.randn(40, 1, 2, 4, generator=rng)
    long, short = answer(1000 * r, theirs), answer(r / 1000, theirs)
    # an answer that is always the same does not look at the direction either
    turned = not torch.equal(answer(-1000 * r, theirs), long)
    return LENGTH_IGNORED if torch.equal(long, short) and turned else None


@EXERCISE.probe
def reaching_is_a_matter_of_direction(answer):
    rng = torch.Generator().manual_seed(4)
    theirs = torch.randn(40, 1, 2, 4, generator=rng)
    r = 1.5 * torch.rand(40, 1, 1, 1, generator=rng) * theirs
    other = torch.stack([x.flatten().roll(k % 7 + 1).reshape(x.shape) for k, x in enumerate(r)])
    here, there = answer(r, theirs), answer(other, theirs)
    stretched = not torch.equal(answer(1000 * r, theirs), answer(r / 1000, theirs))
    return DIRECTION_IGNORED if torch.equal(here, there) and stretched else None


@EXERCISE.variant
def reaches_by_cosine(r, theirs):
    a, b = r.flatten(1), theirs.flatten(1)
    return F.cosine_similarity(a, b) * a.norm(dim=1) >= b.norm(dim=1)


@EXERCISE.variant
def reaches_loop(r, theirs):
    return [bool((a * b).sum() >= (b * b).sum()) for a, b in zip(r, theirs, strict=True)]


def _reach(rule):
    def wrong(r, theirs):
        return rule(r.flatten(1), theirs.flatten(1))

    return wrong


EXERCISE.mistake(
    "longer",
    "This asks whether r is at least as long as the other change, whatever its direction: "
    "only its component along the other change counts.",
    _reach(lambda a, b: a.norm(dim=1) >= b.norm(dim=1)),
)

EXERCISE.mistake(
    "farther",
    "An r that goes exactly as far is left out: `at least as long` is >=.",
    ("along >= ", "along > "),
)

EXERCISE.mistake(
    "the cosine against a length",
    "The cosine is compared with the length of the other change: the component of r is the cosine "
    "times the length of r.",
    _reach(lambda a, b: F.cosine_similarity(a, b) >= b.norm(dim=1)),
)

EXERCISE.mistake(
    "the cosine against 1",
    "The cosine is compared with 1, which only the very same direction reaches: the component of r "
    "is the cosine times the length of r, and is compared with the length of the other change.",
    _reach(lambda a, b: (a * b).sum(1) >= a.norm(dim=1) * b.norm(dim=1)),
)

EXERCISE.mistake(
    "the cosine",
    "This is the cosine of the two changes: whether the component, the cosine times the length of "
    "r, is at least as long as the other change is asked for.",
    _reach(F.cosine_similarity),
)

EXERCISE.mistake(
    "the component",
    "This is the component of r along the other change: whether it is at least as long as that one "
    "is asked for.",
    _reach(lambda a, b: (a * b).sum(1) / b.norm(dim=1)),
)

EXERCISE.mistake(
    "the same side",
    "This asks whether r points to the same side as the other change: it has to go as far, too.",
    _reach(lambda a, b: (a * b).sum(1) >= 0),
)

EXERCISE.mistake(
    "the other way round",
    "This asks whether the other change reaches as far along r: the boundary in question "
    "is the other network's, so project r on `theirs`.",
    _reach(lambda a, b: (a * b).sum(1) >= a.square().sum(1)),
)

EXERCISE.mistake(
    "not divided by the length",
    "The inner product is compared with the length of the other change, or the component with 1: "
    "the component is r·s / |s|, and it has to be as long as the other change is.",
    _reach(lambda a, b: (a * b).sum(1) >= b.norm(dim=1)),
)

EXERCISE.mistake(
    "the absolute component",
    "The sign is lost: r may go just as far the opposite way.",
    _reach(lambda a, b: (a * b).sum(1).abs() >= b.square().sum(1)),
)

EXERCISE.mistake(
    "beyond it in every pixel",
    "Every pixel is asked to change at least as much as in the other change. Pixels can "
    "stand in for each other: it is the component along the direction that counts.",
    _reach(lambda a, b: (a * b.sign() >= b.abs()).all(1)),
)

EXERCISE.mistake(
    "the fraction",
    "This is how far r goes in units of the other change: whether it is at least 1 is asked for.",
    _reach(lambda a, b: (a * b).sum(1) / b.square().sum(1)),
)
