"""Norms and bounds of convolutions against NumPy's SVD of the matrix that the layer gives."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import spectral
from course_lib.spectral import embedding, layers, operators
from course_lib.spectral.geometry import geometry

KINDS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def dense(layer, shape):
    """The matrix of ``layer`` (outputs, inputs), by what it does to the unit vectors."""
    n = math.prod(shape)
    units = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
    with torch.no_grad():
        return (layer(units) - layer(torch.zeros_like(units))).flatten(1).T.numpy()


def convolution(rng, mode):
    """A random convolution with its input shape; settings that torch refuses are drawn again."""
    while True:
        k, groups = rng.choice((1, 2, 2, 3)), rng.choice((1, 1, 2, 3))
        channels = groups * rng.randint(1, 3), groups * rng.randint(1, 3)
        kernel = [rng.randint(1, 6 - k) for _ in range(k)]
        stride = [rng.choice((1, 1, 2, 3, 4)) for _ in range(k)]
        dilation = [rng.choice((1, 1, 2)) for _ in range(k)]
        padding = rng.choice(("numbers", "numbers", "same", "valid"))
        if padding == "same":
            stride = [1] * k
        elif padding == "numbers":
            padding = [rng.randint(0, 2) for _ in range(k)]
        shape = (channels[0], *(rng.randint(4, 13 - 3 * k) for _ in range(k)))
        settings = {"groups": groups, "padding_mode": mode, "dtype": torch.float64}
        layer = KINDS[k - 1](*channels, kernel, stride, padding, dilation, **settings)
        try:
            layer(torch.zeros(1, *shape, dtype=torch.float64))
        except RuntimeError:
            with pytest.raises(ValueError, match=r"kernel|cannot pad"):
                spectral.operator_norm(layer, shape)
            continue
        return layer, shape


def circulant(rng):
    """A random convolution that is a circulant: circular padding, a stride dividing the size."""
    k, groups = rng.choice((1, 2, 2, 3)), rng.choice((1, 1, 2, 3))
    channels = groups * rng.randint(1, 3), groups * rng.randint(1, 3)
    axes = []
    for _ in range(k):
        s, d, size = rng.randint(1, 4 - (k == 3)), rng.randint(1, 2), rng.randint(1, 6 - k)
        # any total padding from d(k - 1) + 1 - s to d(k - 1) keeps n / s outputs
        reach = d * (size - 1)
        p = (reach + 1) // 2 if (reach + 1) // 2 * 2 <= reach else reach // 2
        if 2 * p < reach + 1 - s:
            s, d, size, p = 1, 1, 1, 0
        axes.append((size, s, p, d, s * rng.randint(max(1, -(-p // s)), 7 - 2 * k + (k == 3))))
    kernel, stride, padding, dilation, n = zip(*axes, strict=True)
    settings = {"groups": groups, "padding_mode": "circular", "dtype": torch.float64}
    layer = KINDS[k - 1](*channels, kernel, stride, padding, dilation, **settings)
    return layer, (channels[0], *n)


def contains(bounds, truth):
    return bounds.lower <= truth * (1 + 1e-14) and bounds.upper >= truth * (1 - 1e-14)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate"])
@pytest.mark.parametrize("seed", range(3))
def test_everything_about_random_convolutions(mode, seed, monkeypatch):
    rng = random.Random(f"{mode} {seed}")
    torch.manual_seed(seed)
    for _ in range(25):
        layer, shape = convolution(rng, mode)
        matrix = dense(layer, shape)
        truth = np.linalg.svd(matrix, compute_uv=False)
        assert np.abs(spectral.explicit_matrix(layer, shape).numpy() - matrix).max() < 1e-13
        values = spectral.singular_values(layer, shape)
        assert values.shape == truth.shape
        assert np.abs(values - truth).max() < 1e-12 * truth[0]
        assert spectral.operator_norm(layer, shape) == pytest.approx(truth[0], rel=1e-12)
        bounds = spectral.norm_bounds(layer, shape)
        assert contains(bounds, truth[0])
        assert bounds.upper - bounds.lower < 1e-8 * truth[0]
        with monkeypatch.context() as patch:  # as if the layer were large: iterated, bounded above
            patch.setattr(operators, "CERTIFIED_SIZE", 0)
            patch.setattr(operators, "SMALL", 3)
            assert spectral.operator_norm(layer, shape) == pytest.approx(truth[0], rel=1e-8)
            bounds = spectral.norm_bounds(layer, shape)
        assert contains(bounds, truth[0])
        assert bounds.lower > (1 - 1e-8) * truth[0]
        assert bounds.upper < 5 * truth[0]


@pytest.mark.parametrize("seed", range(4))
def test_circulants_are_exact_without_a_matrix(seed, monkeypatch):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    monkeypatch.setattr(operators.LinearMap, "matrix", None)
    monkeypatch.setattr(operators, "leading", None)
    for _ in range(25):
        layer, shape = circulant(rng)
        assert geometry(layer, shape).circulant_grid() is not None
        truth = np.linalg.svd(dense(layer, shape), compute_uv=False)
        assert spectral.operator_norm(layer, shape) == pytest.approx(truth[0], rel=1e-13)
        assert np.abs(spectral.singular_values(layer, shape) - truth).max() < 1e-13 * truth[0]
        found = spectral.norm_row(layer, shape)
        assert found.method == "symbols"
        assert contains(found, truth[0])
        assert found.upper - found.lower < 1e-9 * truth[0]
        single = spectral.operator_norm(layer.float(), shape)
        assert single == pytest.approx(truth[0], rel=1e-6)


def test_float32_weights_give_the_norm_of_those_very_weights():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1)
    truth = np.linalg.svd(dense(layer.double(), (3, 8, 8)), compute_uv=False)[0]
    layer = layer.float()  # float32 values again, exactly
    assert spectral.operator_norm(layer, (3, 8, 8)) == pytest.approx(truth, rel=1e-12)
    assert contains(spectral.norm_bounds(layer, (3, 8, 8)), truth)


def test_the_circular_norm_at_the_same_size_is_no_bound_and_ours_is(monkeypatch):
    # kernel [1, -1, 0], p = 1, n = 13: 1.98648 with zeros, 1.98542 on the circle
    zeros, circle = (
        nn.Conv1d(1, 1, 3, padding=1, bias=False, padding_mode=m, dtype=torch.float64)
        for m in ("zeros", "circular")
    )
    for layer in (zeros, circle):
        layer.weight.data = torch.tensor([[[1.0, -1.0, 0.0]]], dtype=torch.float64)
    truth = np.linalg.svd(dense(zeros, (1, 13)), compute_uv=False)[0]
    assert spectral.operator_norm(circle, (1, 13)) < truth - 1e-3
    monkeypatch.setattr(operators, "CERTIFIED_SIZE", 0)
    assert truth <= spectral.norm_bounds(zeros, (1, 13)).upper < truth * 1.005


@pytest.mark.parametrize("n", [7, 20, 51])
def test_the_twist_makes_the_bound_of_a_smoothing_kernel_exact(n):
    # [1, 1] with zeros on both sides: A Aᵀ is tridiagonal, its norm 2 cos(π / (2n + 2)) is known
    layer = nn.Conv1d(1, 1, 2, padding=1, bias=False, dtype=torch.float64)
    layer.weight.data[:] = 1
    truth = 2 * math.cos(math.pi / (2 * n + 2))
    assert np.linalg.svd(dense(layer, (1, n)), compute_uv=False)[0] == pytest.approx(truth)
    shape = geometry(layer, (1, n))
    plain = embedding.twisted(shape, shape.embedding_grid(), [False]).upper
    assert plain == pytest.approx(2, rel=1e-8)
    assert embedding.upper_bound(shape).upper == pytest.approx(truth, rel=1e-8)


def test_adjoint():
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3, 2, (1, 0), 2, 2, padding_mode="reflect", dtype=torch.float64)
    operator = layers.linear_map(layer, (4, 9, 11))
    for batch in (1, 3, 1):
        x = torch.randn(batch, *operator.input_shape, dtype=torch.float64)
        y = torch.randn(batch, *operator.output_shape, dtype=torch.float64)
        there, back = (operator.apply(x) * y).sum(), (x * operator.adjoint(y)).sum()
        assert float(there) == pytest.approx(float(back), rel=1e-12)


def test_leading_gives_the_vectors_of_its_value():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 5, 3, stride=2, padding=1, dtype=torch.float64)
    operator = layers.linear_map(layer, (2, 15, 14))
    value, left, right = operators.leading(operator)
    truth = np.linalg.svd(dense(layer, (2, 15, 14)), compute_uv=False)[0]
    assert value == pytest.approx(truth, rel=1e-10)
    assert float(left.norm()) == pytest.approx(1)
    assert float(right.norm()) == pytest.approx(1)
    assert torch.allclose(operator.apply(right[None])[0], value * left, atol=1e-7)


def test_a_layer_of_zeros():
    for mode in ("zeros", "circular", "reflect"):
        layer = nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode, dtype=torch.float64)
        nn.init.zeros_(layer.weight)
        for n in (4, 13):
            assert spectral.operator_norm(layer, (3, n, n)) == 0
            assert spectral.norm_bounds(layer, (3, n, n)).upper < 1e-100


def test_huge_and_tiny_weights():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular", dtype=torch.float64)
    one = spectral.operator_norm(layer, (3, 8, 8))
    for scale in (1e60, 1e-60):
        layer.weight.data *= scale
        assert spectral.operator_norm(layer, (3, 8, 8)) == pytest.approx(one * scale, rel=1e-12)
        bounds = spectral.norm_bounds(layer, (3, 8, 8))
        assert bounds.lower <= one * scale * (1 + 1e-14)
        assert one * scale <= bounds.upper < one * scale * (1 + 1e-8)
        layer.weight.data /= scale


def test_explicit_matrix_is_refused_when_too_large():
    with pytest.raises(ValueError, match="smaller input_shape"):
        spectral.explicit_matrix(nn.Conv2d(16, 16, 3), (16, 64, 64))
    with pytest.raises(ValueError, match="smaller input_shape"):
        spectral.singular_values(nn.Conv2d(16, 16, 3), (16, 64, 64))


def test_nearly_equal_singular_values_are_told_apart_from_below():
    # two groups whose norms differ by 1e-6: the iteration must find the larger one
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 2, 3, groups=2, bias=False, dtype=torch.float64)
    layer.weight.data[1] = layer.weight.data[0] * (1 + 1e-6)
    truth = np.linalg.svd(dense(layer, (2, 16, 16)), compute_uv=False)[0]
    assert spectral.operator_norm(layer, (2, 16, 16)) == pytest.approx(truth, rel=1e-8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("settings", "groups", "least", "most"),
    [
        # least, most: what a border may cost; a kernel of 5 meets more of it
        ((6, 8, 3, 1, 1), 1, 0.97, 1.03),
        ((6, 8, 3, 2, 1), 1, 0.97, 1.03),
        ((6, 8, 5, 1, 2), 2, 0.93, 1.04),
        ((8, 3, 3, 3, 1), 1, 0.97, 1.03),
    ],
)
def test_a_wave_that_fades_at_the_border_is_stretched_nearly_as_the_bound_says(
    settings, groups, least, most, seed, monkeypatch
):
    """Of a heavy layer: its bounds still hold the truth between them."""
    torch.manual_seed(seed)
    layer = nn.Conv2d(*settings, groups=groups)
    shape = (layer.in_channels, 21, 20)
    truth = spectral.operator_norm(layer, shape)
    monkeypatch.setattr(operators, "HEAVY", 0)
    monkeypatch.setattr(operators, "CERTIFIED_SIZE", 0)
    found = spectral.norm_row(layer, shape)
    assert "plane wave" in found.method
    assert least * truth < found.lower <= truth * (1 + 1e-9)
    assert truth <= found.upper < most * truth
