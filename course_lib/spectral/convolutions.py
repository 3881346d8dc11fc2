"""Convolutions: exact where they are circulants, iterated and bounded where they are not."""

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor, nn

from . import embedding, fourier, operators
from .geometry import TRANSPOSE, Geometry, geometry, stored, transposed_geometry
from .rules import Measured, Size


def not_circulant(layer: Geometry) -> ValueError:
    """What to say where symbols are asked of a layer that has none."""
    sizes = " x ".join(str(axis.n) for axis in layer.axes)
    return ValueError(
        f"On {sizes} cells this layer is no circulant: symbols need padding_mode='circular' that "
        "keeps the size, and a stride that divides it (or windows that neither overlap nor leave "
        "the input). Use operator_norm or norm_bounds, which take any layer."
    )


def symbols(layer: nn.Module, input_shape) -> Tensor:
    """The symbols of a convolution that is a circulant: (M1, ..., D, C·s^k) complex128.

    M = N / s frequencies per axis, in the order of torch.fft.fft; with groups they are the first
    axis, and each has its own channels. Raises ValueError, saying what to do, if the layer is no
    circulant on inputs (C, *n), TypeError if it is no convolution.
    """
    shape = geometry(layer, input_shape)
    grid = shape.circulant_grid()
    if grid is None:
        raise not_circulant(shape)
    split = fourier.polyphase(shape, grid)
    every = fourier.frequencies(split.grid, split.twist, half=False)
    found = split.symbols(every).unflatten(1, split.grid)
    return found[0] if shape.groups == 1 else found


def convolution_map(layer: Geometry) -> operators.LinearMap:
    """A convolution as a linear map."""
    weight = layer.weight.detach()
    sizes = layer.input_shape, layer.output_shape, weight.device
    scaled = (weight / weight.abs().max().clamp_min(1e-300)).float()
    single = operators.LinearMap(dataclasses.replace(layer, weight=scaled).apply, *sizes)
    return operators.LinearMap(dataclasses.replace(layer, weight=weight).apply, *sizes, single)


def measure(layer: nn.Module, shape, upper: bool) -> Measured:
    """The norm of a convolution."""
    return measured(geometry(layer, shape), upper)


def measured(convolution: Geometry, upper: bool) -> Measured:
    grid = convolution.circulant_grid()
    if grid is not None:
        top = fourier.top(fourier.polyphase(convolution, grid))
        return Measured(top.value, top.lower, top.upper, "symbols")
    operator = convolution_map(convolution)
    total, terms = embedding.absolute(convolution)
    if not upper:
        return Measured(operators.leading(operator).value, 0.0, math.inf, "Lanczos")
    if min(operator.inputs, operator.outputs) <= operators.CERTIFIED_SIZE:
        value, bound = operators.certified(operator.gram(), 2 * terms * total**2)
        slack = 4 * fourier.EPS * (terms * total**2 / max(value, 1e-300) + terms * value)
        return Measured(value, max(value - slack, 0.0), bound, "Gram matrix")
    work = convolution.outputs * convolution.weight[0].numel()
    heavy = work > operators.HEAVY and convolution.mode == "zeros"
    bound = embedding.upper_bound(convolution, thorough=not heavy)
    if heavy:
        wave = embedding.plane_wave(convolution, bound)
        value, method = float(torch.linalg.vector_norm(operator.apply(wave))), "plane wave"
    else:
        value, method = operators.leading(operator, precise=False).value, "Lanczos"
    lower = max(value - 4 * fourier.EPS * terms * total, 0.0)
    return Measured(value, lower, bound.upper, f"{method}; {bound.method}")


def linear_map(layer: nn.Module, shape) -> operators.LinearMap:
    return convolution_map(geometry(layer, shape))


def singular_values(layer: nn.Module, shape) -> np.ndarray:
    """All singular values of a convolution: by its symbols, or from its explicit matrix."""
    convolution = geometry(layer, shape)
    grid = convolution.circulant_grid()
    if grid is not None:
        return of_symbols(convolution, grid)
    return torch.linalg.svdvals(convolution_map(convolution).matrix()).cpu().numpy()


def of_symbols(layer: Geometry, grid) -> np.ndarray:
    """All singular values of a circulant: those of its symbols, conjugate pairs counted twice."""
    split = fourier.polyphase(layer, grid)
    split = dataclasses.replace(split, taps=split.taps.detach())
    every = fourier.frequencies(split.grid, split.twist)
    whole = 2 * torch.tensor(split.grid)
    alone = ((2 * every) % whole == 0).all(1)
    step = max(1, fourier.CHUNK_BYTES // (16 * math.prod(split.size) * layer.groups))
    values = []
    for part, single in zip(every.split(step), alone.split(step), strict=True):
        found = torch.linalg.svdvals(split.symbols(part))  # (groups, frequencies, ...)
        values += [found.flatten(), found[:, ~single].flatten()]
    total = torch.cat(values).sort(descending=True).values.cpu().numpy()
    count = min(layer.inputs, layer.outputs)  # the grid may have other zeros at its end
    return np.concatenate([total, np.zeros(max(0, count - len(total)))])[:count]


def differentiable(layer: nn.Module, shape, bound: str) -> Tensor:
    """The norm with its gradient, or for ``bound`` "upper" that of an upper bound."""
    return with_gradient(geometry(layer, shape), bound).to(stored(layer))


def with_gradient(layer: Geometry, bound: str) -> Tensor:
    grid = layer.circulant_grid()
    if grid is not None:
        return fourier.at_vectors(fourier.polyphase(layer, grid))
    if bound == "exact":
        _, left, right = operators.leading(convolution_map(layer))
        return (left * layer.apply(right[None])[0]).sum()
    best = embedding.upper_bound(layer)
    return best.factor * fourier.at_vectors(best.split, best.top)


def size(layer: nn.Module, shape) -> Size:
    inputs = layer.in_channels // layer.groups
    sizes = [inputs, *layer.kernel_size, layer.out_channels]
    return Size(" x ".join(map(str, sizes)), tuple(layer.stride))


# --- transposed convolutions: the adjoint of a convolution, and so of the same norm ---------------


def measure_transposed(layer: nn.Module, shape, upper: bool) -> Measured:
    """The norm of a transposed convolution."""
    return measured(transposed_geometry(layer, shape), upper)


def transposed_map(layer: nn.Module, shape) -> operators.LinearMap:
    convolution = transposed_geometry(layer, shape)
    weight, transpose = convolution.weight.detach(), TRANSPOSE[len(convolution.axes)]
    options = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
    return operators.LinearMap(
        lambda x: transpose(x, weight, None, *options),
        shape,
        convolution.input_shape,
        weight.device,
    )


def transposed_size(layer: nn.Module, shape) -> Size:
    outputs = layer.out_channels // layer.groups
    sizes = [layer.in_channels, *layer.kernel_size, outputs]
    return Size(" x ".join(map(str, sizes)), tuple(layer.stride))
