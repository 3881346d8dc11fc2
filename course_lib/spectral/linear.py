"""Fully connected layers: a matrix, or several copies of it side by side."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from ..checked import shape_of
from . import fourier, operators
from .geometry import stored, weight_of
from .rules import Measured, Size

LINEAR_SIZE = 1024  # the smaller side of a matrix whose norm is not iterated


def dense_layer(layer: nn.Linear, input_shape) -> fourier.Polyphase:
    """A fully connected layer as a convolution with one tap on a grid of one cell."""
    shape = shape_of(input_shape)
    weight = weight_of(layer)  # which may have been replaced by one of another size
    if shape[-1] != weight.shape[1]:
        raise ValueError(
            f"{layer} takes inputs whose last size is {weight.shape[1]}, not {shape}: flatten "
            "them first."
        )
    return fourier.Polyphase(weight[None, None], (0,), (1,), (0,))


def measure(layer: nn.Linear, shape, upper: bool) -> Measured:
    """The norm of a fully connected layer, of its Gram matrix if it is large."""
    split = dense_layer(layer, shape)
    if min(split.size) <= LINEAR_SIZE:
        top = fourier.top(split)
        return Measured(top.value, top.lower, top.upper, "matrix")
    if not upper:
        value = operators.leading(linear_map(layer, shape[-1:])).value
        return Measured(value, 0.0, math.inf, "Lanczos")
    weight = split.taps[0, 0].detach()
    scale = (max(split.size) + 16) * float(weight.square().sum())
    value, bound = operators.certified(operators.gram_of(weight), scale)
    slack = 4 * fourier.EPS * (scale + len(weight) * value**2) / max(value, 1e-300)
    return Measured(value, max(value - slack, 0.0), bound, "Gram matrix")


def linear_map(layer: nn.Linear, shape) -> operators.LinearMap:
    weight = dense_layer(layer, shape).taps[0, 0].detach()
    outputs = (*shape[:-1], len(weight))
    return operators.LinearMap(lambda x: x @ weight.T, shape, outputs, weight.device)


def singular_values(layer: nn.Linear, shape) -> np.ndarray:
    values = torch.linalg.svdvals(dense_layer(layer, shape).taps[0, 0].detach())
    return np.repeat(values.cpu().numpy(), math.prod(shape[:-1]))


def differentiable(layer: nn.Linear, shape, bound: str) -> Tensor:
    """The norm with its gradient, whatever ``bound`` says: it is exact."""
    split = dense_layer(layer, shape)
    if min(split.size) <= LINEAR_SIZE:
        return fourier.at_vectors(split).to(stored(layer))
    _, left, right = operators.leading(linear_map(layer, tuple(shape)[-1:]))
    return (left @ split.taps[0, 0] @ right).to(stored(layer))


def size(layer: nn.Linear, shape) -> Size:
    return Size(f"{layer.in_features} x {layer.out_features}")
