"""`fold-the-norm`, lesson 09: a batch norm that becomes part of the convolution before it."""

import torch
import torch.nn.functional as F
from torch import nn

from course_lib.exercises import Case, Exercise


def fold_cases(rng):
    def case(label, outputs, inputs, kernel, eps):
        def normal(*shape):
            return torch.randn(*shape, generator=rng, dtype=torch.float64)

        variance = 0.02 + torch.rand(outputs, generator=rng, dtype=torch.float64)
        return Case(
            label,
            normal(outputs, inputs, kernel, kernel),
            normal(outputs),
            variance,
            0.5 + normal(outputs).abs(),
            normal(outputs),
            eps,
        )

    yield case("two channels in, one out", 1, 2, 1, 0.001)
    yield case("three in, five out", 5, 3, 3, 0.001)
    yield case("as many in as out", 4, 4, 1, 0.05)
    yield case("each channel by itself", 6, 1, 3, 0.1)


def fold_by_probing(weight, mean, variance, scale, shift, eps):
    """What the pair answers to 0 is the bias, what it answers to each entry alone the weight."""
    norm = nn.BatchNorm2d(len(weight), eps=eps).double().eval()
    norm.running_mean, norm.running_var = mean.clone(), variance.clone()
    norm.weight.data, norm.bias.data = scale.clone(), shift.clone()
    inside = weight[0].numel()
    basis = torch.eye(inside, dtype=torch.float64).reshape(inside, *weight.shape[1:])
    with torch.no_grad():
        bias = norm(F.conv2d(torch.zeros_like(basis[:1]), weight))[0, :, 0, 0]
        answers = norm(F.conv2d(basis, weight))[:, :, 0, 0] - bias
    return answers.T.reshape(weight.shape), bias


EXERCISE = Exercise(
    title="Fold a batch norm",
    difficulty=2,
    minutes=10,
    hints=[
        "In eval mode a batch norm computes (y - mean) / √(variance + eps) · scale + shift, with "
        "fixed numbers for each channel. Put y = W * x into it.",
        "What multiplies W is a factor for each output channel; what is left is the bias.",
        "`weight * factor[:, None, None, None]`, and `shift - mean * factor`.",
    ],
    cases=fold_cases,
    parts=("weight", "bias"),
    oracle=fold_by_probing,
    on_device=False,
    done="Of the pair only the folded convolution has a norm that means something.",
)


def _factor(variance, scale, eps):
    return scale / (variance + eps).sqrt()


@EXERCISE.variant
def by_einsum(weight, mean, variance, scale, shift, eps):
    factor = scale * torch.rsqrt(variance + eps)
    return torch.einsum("dcij,d->dcij", weight, factor), shift - factor * mean


@EXERCISE.variant
def channel_by_channel(weight, mean, variance, scale, shift, eps):
    weights, biases = [], []
    for w, m, v, g, b in zip(weight, mean, variance, scale, shift, strict=True):
        deviation = float(v + eps) ** 0.5
        weights.append(w * g / deviation)
        biases.append(float(b - g * m / deviation))
    return torch.stack(weights), biases


@EXERCISE.mistake(
    "no eps",
    "The small `eps` is missing: it is added to the variance, which is hardly larger in some "
    "channels.",
)
def no_eps(weight, mean, variance, scale, shift, eps):
    factor = _factor(variance, scale, 0)
    return weight * factor[:, None, None, None], shift - mean * factor


@EXERCISE.mistake(
    "eps outside",
    "Here `eps` is added to the deviation: it belongs to the variance, below the root.",
)
def eps_outside(weight, mean, variance, scale, shift, eps):
    factor = scale / (variance.sqrt() + eps)
    return weight * factor[:, None, None, None], shift - mean * factor


@EXERCISE.mistake(
    "the variance",
    "This divides by the variance: a batch norm divides by its root.",
)
def by_the_variance(weight, mean, variance, scale, shift, eps):
    factor = scale / (variance + eps)
    return weight * factor[:, None, None, None], shift - mean * factor


@EXERCISE.mistake(
    "the mean stays",
    "The bias is the shift alone: the mean, which is subtracted before, is missing.",
)
def without_mean(weight, mean, variance, scale, shift, eps):
    return weight * _factor(variance, scale, eps)[:, None, None, None], shift


@EXERCISE.mistake(
    "the mean as it is",
    "The mean goes into the bias as it is: it is divided and scaled with the rest.",
)
def plain_mean(weight, mean, variance, scale, shift, eps):
    return weight * _factor(variance, scale, eps)[:, None, None, None], shift - mean


@EXERCISE.mistake(
    "the mean added",
    "The mean is added: a batch norm subtracts it.",
)
def mean_added(weight, mean, variance, scale, shift, eps):
    factor = _factor(variance, scale, eps)
    return weight * factor[:, None, None, None], shift + mean * factor


@EXERCISE.mistake(
    "no scale",
    "The learned scale is missing: the factor is scale / √(variance + eps).",
)
def no_scale(weight, mean, variance, scale, shift, eps):
    factor = (variance + eps).rsqrt()
    return weight * factor[:, None, None, None], shift - mean * factor


@EXERCISE.mistake(
    "the wrong axis",
    "The factors multiply the input channels, or the kernel's columns: they belong to the output "
    "channels, the first axis of the weight.",
)
def wrong_axis(weight, mean, variance, scale, shift, eps):
    factor = _factor(variance, scale, eps)
    return weight * factor[None, :, None, None], shift - mean * factor
