"""The frequency domain: symbols, Gram matrices, and the certificate for the largest eigenvalue."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import spectral
from course_lib.spectral import fourier
from course_lib.spectral.geometry import Axis, geometry


def circular(channels, outputs, kernel, k=2, **settings):
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    padding = settings.pop("padding", (kernel - 1) // 2)
    return kinds[k - 1](
        channels,
        outputs,
        kernel,
        padding=padding,
        padding_mode="circular",
        dtype=torch.float64,
        **settings,
    )


@pytest.mark.parametrize("n", [4, 5, 12, 13])
def test_a_difference_in_closed_form(n):
    # |1 - e^(iω)| = 2 |sin(ω / 2)|: 2 for even n, 2 cos(π / 2n) for odd n
    layer = circular(1, 1, 3, 1, bias=False)
    layer.weight.data = torch.tensor([[[1.0, -1.0, 0.0]]], dtype=torch.float64)
    symbols = spectral.symbols(layer, (1, n))
    assert symbols.shape == (n, 1, 1)
    wanted = [2 * abs(math.sin(math.pi * j / n)) for j in range(n)]
    assert symbols.abs().flatten().tolist() == pytest.approx(wanted, abs=1e-14)
    norm = 2 if n % 2 == 0 else 2 * math.cos(math.pi / (2 * n))
    assert spectral.operator_norm(layer, (1, n)) == pytest.approx(norm, rel=1e-14)


@pytest.mark.parametrize(("k", "n", "stride"), [(1, (12,), 3), (2, (8, 6), 2), (3, (4, 6, 4), 2)])
def test_symbols_diagonalise_the_layer(k, n, stride):
    """A wave goes in, the symbol's product with it comes out: the layer itself is asked."""
    torch.manual_seed(0)
    layer = circular(2, 3, 3, k, stride=stride, bias=False)
    symbols = spectral.symbols(layer, (2, *n))
    cells = tuple(size // stride for size in n)
    assert symbols.shape == (*cells, 3, 2 * stride**k)
    for frequency in itertools.product(*(range(m) for m in cells)):
        vector = torch.randn(2, *[stride] * k, dtype=torch.complex128)
        wave = torch.ones(1, dtype=torch.complex128)
        signal = vector
        for i, (size, m) in enumerate(zip(n, cells, strict=True)):
            t = torch.arange(size)
            phase = torch.exp(2j * math.pi * frequency[i] * (t // stride) / m)
            signal = signal.index_select(1 + i, t % stride)
            signal = signal * phase.reshape(-1, *[1] * (k - 1 - i))
            out = torch.exp(2j * math.pi * frequency[i] * torch.arange(m) / m)
            wave = wave[..., None] * out
        with torch.no_grad():
            got = torch.complex(*(layer(part[None])[0] for part in (signal.real, signal.imag)))
        amplitude = symbols[frequency] @ vector.flatten()
        wanted = amplitude.reshape(-1, *[1] * k) * wave[0]
        assert torch.allclose(got, wanted, atol=1e-12)


@pytest.mark.parametrize("stride", [2, 3])
def test_the_prefactor_of_the_papers_formula_is_one_over_the_stride(stride):
    """sup |[ŵ(ξ + l·N/Δ)]| over un-normalised transforms is Δ times the norm in two dimensions."""
    torch.manual_seed(0)
    layer = circular(2, 3, 5, stride=stride, bias=False)
    n = 12
    hat = np.fft.fft2(layer.weight.detach().numpy(), (n, n))
    largest, m = 0.0, n // stride
    for i, j in itertools.product(range(m), repeat=2):
        shifts = itertools.product(range(stride), repeat=2)
        a = np.concatenate([hat[:, :, i + p * m, j + q * m] for p, q in shifts], axis=1)
        largest = max(largest, np.linalg.norm(a, 2))
    assert spectral.operator_norm(layer, (2, n, n)) == pytest.approx(largest / stride, rel=1e-13)


def test_groups_are_separate_layers():
    torch.manual_seed(0)
    layer = circular(4, 6, 3, groups=2, bias=False)
    symbols = spectral.symbols(layer, (4, 6, 5))
    assert symbols.shape == (2, 6, 5, 3, 2)
    for group in range(2):
        part = circular(2, 3, 3, bias=False)
        part.weight.data = layer.weight.data[3 * group : 3 * group + 3]
        assert torch.equal(spectral.symbols(part, (2, 6, 5)), symbols[group])


@pytest.mark.parametrize("grid", [(1,), (6,), (7,), (4, 5), (6, 6), (2, 3, 4)])
def test_the_half_spectrum_has_one_of_each_pair(grid):
    for twist in itertools.product((0, 1), repeat=len(grid)):
        every = {tuple(f) for f in fourier.frequencies(grid, twist, half=False).tolist()}
        half = {tuple(f) for f in fourier.frequencies(grid, twist).tolist()}
        whole = tuple(2 * m for m in grid)
        opposite = {tuple(-f % w for f, w in zip(each, whole, strict=True)) for each in half}
        assert half | opposite == every
        alone = half & opposite
        assert len(every) == 2 * len(half) - len(alone)
        assert all(f % w in (0, w // 2) for each in alone for f, w in zip(each, whole, strict=True))


@pytest.mark.parametrize(("k", "stride", "groups"), [(1, 1, 1), (2, 2, 2), (2, 1, 3), (3, 1, 1)])
def test_gram_matrices_from_the_autocorrelation(k, stride, groups, monkeypatch):
    torch.manual_seed(0)
    layer = circular(6, 6, 3, k, stride=stride, groups=groups)
    shape = geometry(layer, (6, *[6] * k))
    split = fourier.polyphase(shape, shape.circulant_grid(), (1,) + (0,) * (k - 1))
    split = fourier.dataclasses.replace(split, taps=split.taps.detach())
    part = fourier.frequencies(split.grid, split.twist)
    symbols = split.symbols(part).flatten(0, 1)
    wanted = symbols @ symbols.mH
    fast = fourier.Gram(split, 10**6)
    assert fast.correlated
    assert torch.allclose(fast(part), wanted, atol=1e-13)
    monkeypatch.setattr(fourier, "CORRELATION_BYTES", 0)
    plain = fourier.Gram(split, 10**6)
    assert not plain.correlated
    assert torch.allclose(plain(part), wanted, atol=1e-13)
    flipped = split.adjoint().symbols(part).flatten(0, 1)
    assert torch.allclose(flipped, symbols.mH, atol=1e-13)


def hermitian(count, n, seed):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(count, n, n + 2, generator=generator, dtype=torch.complex128)
    return root @ root.mH


@pytest.mark.parametrize("n", [1, 2, 5, 30])
@pytest.mark.parametrize("seed", range(5))
def test_the_largest_eigenvalue_of_many_matrices(n, seed):
    matrices = hermitian(40, n, seed)
    truth = np.linalg.eigvalsh(matrices.numpy())[:, -1]
    best, at = fourier.examine(matrices, -1.0)
    assert best == pytest.approx(truth.max(), rel=1e-12)
    assert truth[at] == pytest.approx(truth.max(), rel=1e-12)
    # nothing above what is known already: no place; a little above it: found
    assert fourier.examine(matrices, truth.max() * 1.01) == (truth.max() * 1.01, None)
    best, at = fourier.examine(matrices, truth.max() * (1 - 1e-6))
    assert best == pytest.approx(truth.max(), rel=1e-12)
    assert at is not None


def test_a_frequency_that_the_ranking_overlooks_is_found_by_the_test(monkeypatch):
    matrices = hermitian(30, 12, 0)
    truth = np.linalg.eigvalsh(matrices.numpy())[:, -1]

    def misled(given, steps=0):
        return torch.where(torch.arange(len(given)) == 3, 1e9, 0.0).double()

    monkeypatch.setattr(fourier, "ranked", misled)
    best, at = fourier.examine(matrices, -1.0)
    assert best == pytest.approx(truth.max(), rel=1e-12)
    assert at == truth.argmax()


def test_an_iteration_that_stops_short_is_found_out(monkeypatch):
    matrices = hermitian(30, 12, 0)
    truth = np.linalg.eigvalsh(matrices.numpy())[:, -1]
    solve = fourier.largest_eigenvalue
    monkeypatch.setattr(fourier, "largest_eigenvalue", lambda matrix: 0.9 * solve(matrix))
    best, at = fourier.examine(matrices, -1.0)
    assert best == pytest.approx(truth.max(), rel=1e-12)
    assert at == truth.argmax()


def test_the_test_knows_what_is_below():
    matrices = hermitian(20, 8, 1)
    truth = np.linalg.eigvalsh(matrices.numpy())[:, -1]
    limit = float(np.median(truth))
    assert (fourier.not_below(matrices, limit).numpy() == (truth >= limit)).all()
    assert fourier.not_below(matrices, truth.max() * (1 - 1e-9)).sum() == 1
    assert not fourier.not_below(matrices, truth.max() * (1 + 1e-9)).any()


def test_chunks_do_not_change_the_result(monkeypatch):
    torch.manual_seed(0)
    layer = circular(5, 7, 3)
    whole = spectral.norm_bounds(layer, (5, 12, 10))
    monkeypatch.setattr(fourier, "CHUNK_BYTES", 1)
    monkeypatch.setattr(fourier, "LEAST_CHUNK", 1)
    assert spectral.norm_bounds(layer, (5, 12, 10)) == pytest.approx(whole, rel=1e-12)


def test_the_memory_is_bounded(monkeypatch):
    """No batch of matrices is larger than the limit, whatever the grid."""
    sizes = []
    inner = fourier.examine

    def recorded(matrices, best):
        sizes.append(matrices.numel() * matrices.element_size())
        return inner(matrices, best)

    monkeypatch.setattr(fourier, "examine", recorded)
    torch.manual_seed(0)
    layer = circular(24, 24, 3)
    spectral.operator_norm(layer, (24, 64, 64))
    assert len(sizes) > 1
    assert max(sizes) <= fourier.CHUNK_BYTES


def test_the_vectors_belong_to_the_value():
    torch.manual_seed(0)
    for channels, outputs in ((3, 5), (5, 3)):
        layer = circular(channels, outputs, 3)
        shape = geometry(layer, (channels, 8, 6))
        split = fourier.polyphase(shape, shape.circulant_grid())
        top = fourier.top(split)
        symbol = split.symbols(top.frequency[None]).detach()[top.group, 0]
        assert torch.allclose(symbol @ top.right, top.value * top.left, atol=1e-9)
        assert float(top.left.norm()) == pytest.approx(1)


def test_stopping_above():
    torch.manual_seed(0)
    layer = circular(3, 5, 3)
    shape = geometry(layer, (3, 8, 6))
    split = fourier.polyphase(shape, shape.circulant_grid())
    norm = fourier.top(split).value
    assert fourier.top(split, stop_above=norm * 0.999) is None
    assert fourier.top(split, stop_above=norm * 1.001).value == norm


def test_where_an_axis_is_periodic():
    assert Axis(12, 3, 2, 1, 1, 1).period(circular=True) == 12
    assert Axis(12, 3, 2, 1, 1, 1).period(circular=False) is None
    assert Axis(13, 3, 2, 1, 1, 1).period(circular=True) is None  # 2 does not divide 13
    assert Axis(12, 3, 1, 1, 0, 0).period(circular=True) is None  # loses two outputs
    assert Axis(13, 3, 4, 1, 0, 0).period(circular=False) == 12  # windows that do not overlap


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(2, 3, 3, padding=1), (2, 8, 8)),
        (circular(2, 3, 3, stride=2), (2, 9, 9)),
        (circular(2, 3, 3, padding=0), (2, 9, 9)),
    ],
)
def test_symbols_of_a_layer_that_is_no_circulant_are_refused(layer, shape):
    with pytest.raises(ValueError, match=r"no circulant.*operator_norm or norm_bounds"):
        spectral.symbols(layer, shape)


def test_symbols_of_something_else_are_refused():
    with pytest.raises(TypeError, match="no Conv1d"):
        spectral.symbols(nn.Linear(3, 3), (3,))
