"""`kl-sparsity`, lesson 01: the values and their gradients are compared.

One batch has as many images as units, where a mean along the wrong axis keeps its shape; in one,
units are nearly dead or nearly always on, and must have a gradient all the same.
"""

import math

import scipy.stats
import torch
import torch.nn.functional as F

from course_lib.exercises import Case, Exercise


def activation_cases(rng):
    yield Case("two images, one unit", torch.tensor([[0.1], [0.5]]), 0.2)
    yield Case("three images, four units", torch.rand(3, 4, generator=rng) * 0.8 + 0.1, 0.05)
    yield Case("as many images as units", torch.rand(5, 5, generator=rng) * 0.5 + 0.2, 0.3)
    rare = torch.rand(40, 6, generator=rng) ** 4 * 0.9 + 0.01
    yield Case("rarely active units", rare, 0.1)
    # powers of two: their means are exact, and so is 1 minus them
    ends = torch.tensor([2.0**-10, 1 - 2.0**-10, 0.25]).expand(4, 3).clone()
    yield Case("a nearly dead unit and one nearly always on", ends, 0.05)
    yield Case("one image", torch.rand(1, 3, generator=rng) * 0.8 + 0.1, 0.7)
    on_target = torch.tensor([[0.125, 0.25], [0.375, 0.25]])
    yield Case("all units on target", on_target, 0.25)


def kl_of_scipy(activations, target):
    mean = activations.detach().double().numpy().mean(axis=0)
    terms = scipy.special.rel_entr(target, mean) + scipy.special.rel_entr(1 - target, 1 - mean)
    return terms.sum()


CLAMPED = "activations.mean(0).clamp(1e-06, 1 - 1e-06)"

EXERCISE = Exercise(
    title="A penalty for being active too often",
    difficulty=2,
    minutes=8,
    hints=[
        "First the share of the time that each unit is active: the mean over the batch, one "
        "number per unit.",
        "The divergence has two terms: one for being active (ρ against ρ̂) and one for being "
        "silent (1 - ρ against 1 - ρ̂). Both are needed, or it would have no minimum at ρ.",
        "`mean = activations.mean(0)`; the first term is `target * (target / mean).log()`. Sum "
        "over the units at the end.",
    ],
    cases=activation_cases,
    oracle=kl_of_scipy,
    gradients=("activations",),
    done="The term and its gradient are right.",
    equivalent_mutants={
        f"- mean = {CLAMPED} / + mean = {other}": (
            "The docstring promises activations in (0, 1), so a right answer needs no clamp: the "
            "library's keeps float32 from log(0) where a sigmoid has rounded to 0 or 1."
        )
        for other in (
            "activations.mean(0)",
            *(CLAMPED.replace("1e-06,", low) for low in ("2e-06,", "5e-07,")),
            *(
                CLAMPED.replace("1 - 1e-06", high)
                for high in ("1 + 1e-06", "2 - 1e-06", "1 - 2e-06", "1 - 5e-07")
            ),
        )
    },
)


@EXERCISE.variant
def kl_loop(activations, target):
    total = 0.0
    for unit in activations.double().T:
        mean = unit.mean()
        total = total + target * torch.log(target / mean)
        total = total + (1 - target) * torch.log((1 - target) / (1 - mean))
    return total


@EXERCISE.variant
def kl_distributions(activations, target):
    means = activations.mean(dim=0)
    wanted = torch.distributions.Bernoulli(torch.full_like(means, target))
    return torch.distributions.kl_divergence(wanted, torch.distributions.Bernoulli(means)).sum()


@EXERCISE.variant
def kl_cross_entropies(activations, target):
    means = activations.mean(0)
    wanted = torch.full_like(means, target)
    entropy = F.binary_cross_entropy(wanted, wanted, reduction="sum")
    return F.binary_cross_entropy(means, wanted, reduction="sum") - entropy


def _kl(p, q):
    return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()


CAPPED = (
    "The term is right where units are active now and then, and not for a unit that is nearly dead "
    "or nearly always on: is the mean clamped, or a small number added to it? Such a unit then has "
    "next to no gradient that could bring it back. A sigmoid's mean is never 0, so the logarithm "
    "needs no guard above 1e-6."
)


@EXERCISE.probe
def looks_capped(answer):
    """A probe: the gradient of a dead unit, on an answer that is right for lively ones."""

    def value_and_slope(mean):
        activations = torch.full((4, 1), mean, requires_grad=True)
        found = answer(activations, 0.5)
        if not found.requires_grad:
            return float(found), 0.0
        (slope,) = torch.autograd.grad(found.sum(), activations)
        return float(found.detach()), float(slope.sum())

    def is_right(mean, tolerance=5e-3):
        value, slope = value_and_slope(mean)
        wanted = 0.5 * math.log(0.25 / (mean * (1 - mean)))
        steep = 0.5 * (1 / (1 - mean) - 1 / mean)
        near = abs(slope - steep) < tolerance * abs(steep) + 1e-4
        return near and abs(value - wanted) < max(1e-3, tolerance)

    if not (is_right(0.25) and is_right(0.625)):
        return None
    # a guard of 1e-7 does no harm that one could see; one that silences the unit does
    rare = is_right(2.0**-13) and is_right(1 - 2.0**-12)
    rarest = is_right(2.0**-17, 0.2) and is_right(1 - 2.0**-17, 0.2)
    return None if rare and rarest else CAPPED


EXERCISE.mistake("clamped far inside", CAPPED, ("1e-6, 1 - 1e-6", "0.05, 0.95"))

EXERCISE.mistake(
    "return inside the loop",
    "This is the first unit's divergence: is the `return` inside the loop over the units?",
    ("(rare + often).sum()", "(rare + often)[0]"),
)

EXERCISE.mistake(
    "per image",
    "The divergence is taken for each image and then averaged, so every unit is asked to "
    "be at ρ on every image: average the activations over the batch first.",
    lambda activations, target: _kl(target, activations).sum(1).mean(),
)

EXERCISE.mistake(
    "reversed",
    "The two distributions are the wrong way round: the weights in front of the logarithms "
    "are ρ and 1 - ρ, not the means ρ̂ and 1 - ρ̂.",
    lambda activations, target: _kl(activations.mean(0), target).sum(),
)

EXERCISE.mistake(
    "no silent half",
    "The term of the silent share, (1-ρ) log((1-ρ)/(1-ρ̂)), is missing: without it, more "
    "activity is always better.",
    ("(rare + often)", "rare"),
)

EXERCISE.mistake(
    "only the silent half",
    "The term of the active share, ρ log(ρ/ρ̂), is missing: without it, a dead unit is best.",
    ("(rare + often)", "often"),
)

EXERCISE.mistake(
    "mean over the units",
    "The divergences are averaged over the units: sum them, so that the pull on one unit "
    "does not depend on how many others there are.",
    ("(rare + often).sum()", "(rare + often).mean()"),
)

EXERCISE.mistake(
    "mean along the units",
    "The mean runs over the units of each image: it is over the images of each unit, the "
    "first axis.",
    ("activations.mean(0)", "activations.mean(1)"),
)

EXERCISE.mistake(
    "cross-entropy",
    "This is the cross-entropy of ρ and ρ̂. Its gradient is right, but it is not 0 on "
    "target: the entropy of ρ is not subtracted.",
    lambda activations, target: F.binary_cross_entropy(
        activations.mean(0),
        torch.full_like(activations.mean(0), target),
        reduction="sum",
    ),
)

EXERCISE.mistake(
    "sign",
    "The sign is wrong: a divergence is never negative. In the logarithms the target is "
    "above and the mean below.",
    ("return (rare + often).sum()", "return -(rare + often).sum()"),
)

EXERCISE.mistake(
    "squared distance",
    "This is the squared distance of the means from the target: the divergence has "
    "logarithms, and grows without bound as a unit dies.",
    lambda activations, target: (activations.mean(0) - target).square().sum(),
)

EXERCISE.mistake(
    "a count",
    "This counts how often an activation exceeds 1/2, which has no gradient and is 0 or 1 "
    "for many units: take the mean of the activations themselves.",
    lambda activations, target: _kl(target, (activations > 0.5).float().mean(0)).sum(),
)

EXERCISE.mistake(
    "one mean for all units",
    "One mean is taken over images and units together: some units could then be always "
    "on and the others never. Each unit has its own mean.",
    lambda activations, target: _kl(target, activations.mean()) * activations.shape[1],
)

EXERCISE.mistake(
    "a vector",
    "This is one divergence per unit: their sum is asked for.",
    ("(rare + often).sum()", "(rare + often)"),
)
