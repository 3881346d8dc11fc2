"""The norm of every kind of layer, against what the layer itself does."""

import itertools
import math
import random

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import spectral
from course_lib.spectral import operators, pooling


def dense(layer, shape):
    """The matrix of ``layer`` (outputs, inputs), by what it does to the unit vectors."""
    n = math.prod(shape)
    units = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
    with torch.no_grad():
        return (layer(units) - layer(torch.zeros_like(units))).flatten(1).T.numpy()


def check(layer, shape, truth, rel=1e-11):
    assert spectral.operator_norm(layer, shape) == pytest.approx(truth, rel=rel)
    lower, upper = spectral.norm_bounds(layer, shape)
    assert lower <= truth * (1 + 1e-14)
    assert truth * (1 - 1e-14) <= upper < lower + 1e-8 * max(truth, 1)


# --- fully connected ------------------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "outputs"), [(7, 3), (3, 7), (30, 30), (1, 5)])
def test_linear(inputs, outputs):
    torch.manual_seed(0)
    layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    truth = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)
    check(layer, (inputs,), truth[0])
    check(layer, inputs, truth[0])
    check(layer, (4, inputs), truth[0])  # applied at four positions
    assert spectral.singular_values(layer, (inputs,)) == pytest.approx(truth)
    assert spectral.singular_values(layer, (2, inputs)) == pytest.approx(np.repeat(truth, 2))
    assert spectral.explicit_matrix(layer, (2, inputs)).shape == (2 * outputs, 2 * inputs)


def test_a_linear_layer_too_large_for_all_eigenvalues(monkeypatch):
    monkeypatch.setattr("course_lib.spectral.linear.LINEAR_SIZE", 10)
    monkeypatch.setattr("course_lib.spectral.fourier.DENSE_EIGENVALUES", 10)
    torch.manual_seed(0)
    layer = nn.Linear(120, 90, dtype=torch.float64)
    check(layer, 120, np.linalg.norm(layer.weight.detach().numpy(), 2))


# --- activations ----------------------------------------------------------------------------------

ACTIVATIONS = [
    (nn.Sigmoid(), 0.25),
    (nn.Tanh(), 1),
    (nn.ReLU(), 1),
    (nn.ReLU6(), 1),
    (nn.Hardtanh(), 1),
    (nn.LeakyReLU(0.2), 1),
    (nn.LeakyReLU(-3.0), 3),
    (nn.PReLU(3, init=1.5), 1.5),
    (nn.ELU(2.0), 2),
    (nn.Softplus(), 1),
    (nn.Softsign(), 1),
    (nn.GELU(), 1.1289),
    (nn.SiLU(), 1.0998),
]


@pytest.mark.parametrize(("layer", "constant"), ACTIVATIONS, ids=lambda value: str(value))
def test_slopes_of_activations(layer, constant):
    """The slopes of the function itself, on a fine grid: within the range, and up to its ends."""
    layer = layer.double()
    x = torch.cat([torch.linspace(-30, 30, 60_001), torch.linspace(-1e-3, 1e-3, 2001)]).double()
    x = x[:, None].expand(-1, 3).clone().requires_grad_()
    (slopes,) = torch.autograd.grad(layer(x).sum(), x)
    low, high = spectral.slope_range(layer)
    assert low - 1e-12 <= float(slopes.min()) < low + 1e-2
    assert high - 1e-2 < float(slopes.max()) <= high + 1e-12
    assert float(slopes.abs().max()) == pytest.approx(constant, abs=2e-3)
    assert spectral.operator_norm(layer, (3,)) == pytest.approx(constant, abs=5e-5)
    assert float(slopes.abs().max()) <= spectral.norm_bounds(layer, (3,)).upper


def test_an_approximated_gelu_is_refused():
    with pytest.raises(TypeError, match="GELU"):
        spectral.operator_norm(nn.GELU("tanh"), (3,))


# --- pooling --------------------------------------------------------------------------------------


def largest_count(layer, shape):
    """The most outputs that one pixel decides: that pixel 1, all others -1, torch pools."""
    n = math.prod(shape[1:])
    images = 2 * torch.eye(n, dtype=torch.float64).reshape(n, 1, *shape[1:]) - 1
    return int((layer(images) == 1).flatten(1).sum(1).max())


def test_max_pooling_of_alexnet():
    assert spectral.operator_norm(nn.MaxPool2d(3, 2), (96, 55, 55)) == 2
    assert spectral.operator_norm(nn.MaxPool2d(3, 1), (4, 9, 9)) == 3
    assert spectral.operator_norm(nn.MaxPool2d(2), (4, 9, 9)) == 1


@pytest.mark.parametrize("seed", range(60))
def test_max_pooling(seed):
    rng = random.Random(seed)
    k = rng.choice((1, 2, 3))
    kernel = [rng.randint(1, 4) for _ in range(k)]
    layer = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[k - 1](
        kernel if k > 1 else kernel[0],
        rng.choice((None, rng.randint(1, 4))),
        min(kernel) // 2 if rng.random() < 0.5 else 0,
        rng.randint(1, 2),
        ceil_mode=rng.random() < 0.5,
    )
    shape = (2, *(rng.randint(7, 10 if k < 3 else 8) for _ in range(k)))
    check(layer, shape, math.sqrt(largest_count(layer, shape)))


def test_the_constant_of_max_pooling_is_attained():
    layer, shape = nn.MaxPool2d(3, 2), (1, 9, 9)
    image = torch.zeros(1, *shape, dtype=torch.float64)
    image[0, 0, 4, 4] = 1
    moved = image.clone()
    moved[0, 0, 4, 4] += 0.5
    stretch = (layer(moved) - layer(image)).norm() / (moved - image).norm()
    assert float(stretch) == pytest.approx(spectral.operator_norm(layer, shape))


@pytest.mark.parametrize("seed", range(60))
def test_average_pooling(seed):
    rng = random.Random(1000 + seed)
    k = rng.choice((1, 2, 3))
    kernel = [rng.randint(1, 4) for _ in range(k)]
    settings = {"ceil_mode": rng.random() < 0.5, "count_include_pad": rng.random() < 0.5}
    if k > 1 and rng.random() < 0.3:
        settings["divisor_override"] = rng.randint(1, 9)
    layer = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[k - 1](
        kernel if k > 1 else kernel[0],
        rng.choice((None, rng.randint(1, 4))),
        min(kernel) // 2 if rng.random() < 0.6 else 0,
        **settings,
    )
    shape = (2, *(rng.randint(4, 8 if k < 3 else 5) for _ in range(k)))
    truth = np.linalg.svd(dense(layer, shape), compute_uv=False)
    check(layer, shape, truth[0])
    assert spectral.singular_values(layer, shape) == pytest.approx(truth, abs=1e-12)
    assert spectral.explicit_matrix(layer, shape).numpy() == pytest.approx(dense(layer, shape))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.AdaptiveAvgPool1d(5), (2, 12)),
        (nn.AdaptiveAvgPool2d((3, 4)), (2, 7, 6)),
        (nn.AdaptiveAvgPool2d((None, 4)), (2, 7, 6)),
        (nn.AdaptiveAvgPool2d(1), (3, 6, 6)),
        (nn.AdaptiveAvgPool2d(9), (1, 6, 6)),
        (nn.AdaptiveAvgPool3d(2), (1, 3, 4, 5)),
    ],
    ids=str,
)
def test_adaptive_average_pooling(layer, shape):
    truth = np.linalg.svd(dense(layer, shape), compute_uv=False)
    check(layer, shape, truth[0])
    assert spectral.singular_values(layer, shape) == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize(("size", "n"), [(3, 7), (4, 6), (5, 12), (9, 6)])
def test_adaptive_max_pooling(size, n):
    layer = nn.AdaptiveMaxPool2d(size)
    check(layer, (2, n, n), math.sqrt(largest_count(layer, (2, n, n))))


def test_average_pooling_of_a_long_axis():
    layer = nn.AvgPool1d(3, 1, 1)  # 1/3 [1 1 1] on n cells: (1 + 2 cos(π / (n + 1))) / 3
    n = 3000
    truth = (1 + 2 * math.cos(math.pi / (n + 1))) / 3
    check(layer, (2, n), truth)
    with pytest.raises(ValueError, match="smaller inputs"):
        spectral.singular_values(layer, (2, 5000))


# --- normalisation --------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("eps", [0.1, 1.0, 4.0])
def test_local_contrast_normalisation(eps, gamma):
    """No Jacobian is larger than ε^-γ, at 0 it is that, and no pair is stretched more."""
    layer = spectral.LocalContrastNormalisation(eps, gamma)
    constant = eps**-gamma
    assert spectral.operator_norm(layer, (4, 2, 2)) == pytest.approx(constant)
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for scale in [0, *np.geomspace(1e-3, 1e3, 40)]:
        x = scale * torch.randn(1, 4, 2, 2, generator=generator, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(layer, x).reshape(16, 16)
        norm = float(torch.linalg.matrix_norm(jacobian, 2))
        assert norm <= constant * (1 + 1e-12)
        largest = max(largest, norm)
        step = torch.randn(1, 4, 2, 2, generator=generator, dtype=torch.float64)
        assert (layer(x + step) - layer(x)).norm() <= constant * step.norm() * (1 + 1e-12)
    assert largest == pytest.approx(constant)


@pytest.mark.parametrize(("eps", "gamma"), [(0.0, 0.5), (-1.0, 0.5), (1.0, 0.3), (1.0, 1.5)])
def test_local_contrast_normalisation_out_of_range(eps, gamma):
    with pytest.raises(ValueError, match="eps > 0 and gamma between"):
        spectral.LocalContrastNormalisation(eps, gamma)


def batch_norm(kind, channels, affine=True):
    generator = torch.Generator().manual_seed(0)
    layer = kind(channels, affine=affine, dtype=torch.float64).eval()
    layer.running_mean.copy_(torch.randn(channels, generator=generator))
    layer.running_var.copy_(torch.rand(channels, generator=generator) + 0.1)
    if affine:
        layer.weight.data.copy_(torch.randn(channels, generator=generator))
        layer.bias.data.copy_(torch.randn(channels, generator=generator))
    return layer


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (nn.BatchNorm1d, (5,)),
        (nn.BatchNorm1d, (5, 3)),
        (nn.BatchNorm2d, (5, 3, 2)),
        (nn.BatchNorm3d, (5, 2, 2, 2)),
    ],
)
def test_batch_norm(kind, shape, affine):
    layer = batch_norm(kind, 5, affine)
    truth = np.linalg.svd(dense(layer, shape), compute_uv=False)
    check(layer, shape, truth[0])
    assert spectral.singular_values(layer, shape) == pytest.approx(truth)
    assert spectral.explicit_matrix(layer, shape).numpy() == pytest.approx(dense(layer, shape))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_folding_a_batch_norm(bias, affine):
    torch.manual_seed(0)
    pairs = [
        (nn.Linear(4, 5, bias), batch_norm(nn.BatchNorm1d, 5, affine), (4,)),
        (nn.Conv2d(4, 5, 3, 2, 1, bias=bias), batch_norm(nn.BatchNorm2d, 5, affine), (4, 6, 6)),
        (nn.Conv1d(4, 6, 3, groups=2, bias=bias), batch_norm(nn.BatchNorm1d, 6, affine), (4, 6)),
    ]
    for layer, normalisation, shape in pairs:
        layer = layer.double()
        before = layer.weight.detach().clone()
        folded = spectral.fold_batch_norm(layer, normalisation)
        x = torch.randn(3, *shape, dtype=torch.float64)
        assert torch.allclose(folded(x), normalisation(layer(x)), atol=1e-13)
        assert torch.equal(layer.weight, before)
        both = nn.Sequential(layer, normalisation)
        truth = np.linalg.svd(dense(both, shape), compute_uv=False)[0]
        check(folded, shape, truth)


def test_folding_what_cannot_be_folded():
    with pytest.raises(TypeError, match="into a ReLU"):
        spectral.fold_batch_norm(nn.ReLU(), batch_norm(nn.BatchNorm1d, 5))
    with pytest.raises(ValueError, match="5 channels"):
        spectral.fold_batch_norm(nn.Linear(4, 6), batch_norm(nn.BatchNorm1d, 5))
    with pytest.raises(ValueError, match=r"call eval\(\)"):
        spectral.fold_batch_norm(nn.Linear(4, 5), nn.BatchNorm1d(5))


# --- other layers ---------------------------------------------------------------------------------


def test_layers_that_change_nothing():
    for layer in (nn.Flatten(), nn.Identity(), nn.Dropout(0.5).eval(), nn.Dropout(0.0)):
        check(layer, (2, 3), 1)
        assert (spectral.explicit_matrix(layer, (2, 3)).numpy() == np.eye(6)).all()


def test_a_module_that_states_its_constant():
    class Sorted(nn.Module):
        lipschitz_constant = 1.0

        def forward(self, x):
            return x.sort().values

    check(Sorted(), (5,), 1)


def test_the_row_of_a_table():
    row = spectral.norm_row(nn.Conv2d(3, 96, 11, 4), (3, 31, 31))
    assert (row.kind, row.size, row.stride) == ("Conv2d", "3 x 11 x 11 x 96", (4, 4))
    assert row.lower <= row.estimate <= row.upper
    row = spectral.norm_row(nn.Linear(20, 10), 20)
    assert (row.kind, row.size, row.stride) == ("Linear", "20 x 10", None)
    row = spectral.norm_row(nn.MaxPool2d(3, 2), (1, 9, 9))
    assert (row.kind, row.size, row.stride) == ("MaxPool2d", "3 x 3", (2, 2))
    assert spectral.norm_row(nn.Sigmoid(), 3).upper == pytest.approx(0.25)


def test_parametrised_weights():
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3, padding=1)).double()
    truth = np.linalg.svd(dense(layer, (2, 5, 5)), compute_uv=False)[0]
    check(layer, (2, 5, 5), truth)
    assert spectral.norm_row(layer, (2, 5, 5)).kind == "Conv2d"


# --- gradients ------------------------------------------------------------------------------------


def differentiable_cases():
    settings = {"bias": False, "dtype": torch.float64}
    yield nn.Linear(5, 4, **settings), (5,)
    yield nn.Linear(3, 6, **settings), (3,)
    yield nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular", **settings), (2, 5, 4)
    yield nn.Conv2d(2, 3, 3, 2, 1, padding_mode="circular", **settings), (2, 6, 4)
    yield nn.Conv2d(4, 2, 3, padding=1, groups=2, **settings), (4, 5, 6)
    yield nn.Conv1d(2, 3, 3, stride=2, padding=1, **settings), (2, 9)
    yield nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect", **settings), (2, 5, 4)
    yield nn.Conv2d(2, 3, 3, 2, 1, padding_mode="circular", **settings), (2, 7, 5)
    yield nn.Conv3d(1, 2, 2, **settings), (1, 3, 4, 3)


@pytest.mark.parametrize("case", range(len(list(differentiable_cases()))))
@pytest.mark.parametrize("bound", ["upper", "exact"])
def test_the_gradient_of_the_norm(case, bound):
    torch.manual_seed(1)
    layer, shape = list(differentiable_cases())[case]
    names = [name for name, _ in layer.named_parameters()]

    def norm(*weights):
        for name, weight in zip(names, weights, strict=True):
            delattr(layer, name)
            setattr(layer, name, weight)
        return spectral.differentiable_norm(layer, shape, bound)

    weights = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    for name in names:
        layer._parameters.pop(name)
        setattr(layer, name, None)
    assert torch.autograd.gradcheck(norm, weights, eps=1e-6, atol=1e-6)
    value = norm(*weights).item()
    truth = np.linalg.svd(dense(layer, shape), compute_uv=False)[0]
    if bound == "exact":
        assert value == pytest.approx(truth, rel=1e-9)
    else:
        assert value >= truth * (1 - 1e-12)


def test_the_gradient_of_a_batch_norm_and_of_a_constant():
    layer = batch_norm(nn.BatchNorm2d, 5)
    norm = spectral.differentiable_norm(layer, (5, 3, 3))
    norm.backward()
    at = int((layer.weight / (layer.running_var + layer.eps).sqrt()).abs().argmax())
    wanted = torch.zeros(5, dtype=torch.float64)
    wanted[at] = layer.weight[at].sign() / (layer.running_var[at] + layer.eps).sqrt()
    assert torch.allclose(layer.weight.grad, wanted)
    assert not spectral.differentiable_norm(nn.ReLU(), (5,)).requires_grad
    with pytest.raises(ValueError, match="'upper' or 'exact'"):
        spectral.differentiable_norm(nn.Linear(2, 2), 2, bound="best")


def test_a_step_against_the_gradient_lowers_the_norm():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1)
    before = spectral.operator_norm(layer, (3, 12, 12))
    optimiser = torch.optim.SGD(layer.parameters(), 0.05)
    for _ in range(20):
        optimiser.zero_grad()
        norm = spectral.differentiable_norm(layer, (3, 12, 12))
        assert norm.dtype == torch.float32
        norm.backward()
        optimiser.step()
    assert spectral.operator_norm(layer, (3, 12, 12)) < 0.6 * before


# --- bad input ------------------------------------------------------------------------------------


def nan(layer):
    layer.weight.data.flatten()[0] = math.nan
    return layer


BAD = [
    (nan(nn.Conv2d(2, 3, 3)), (2, 8, 8), ValueError, "NaN or infinite.*load other"),
    (nan(nn.Linear(4, 3)), (4,), ValueError, "NaN or infinite"),
    (nan(nn.BatchNorm1d(4)).eval(), (4,), ValueError, "NaN or infinite"),
    (nn.Conv2d(2, 3, 5), (2, 4, 8), ValueError, "covers 5 cells.*larger inputs"),
    (nn.Conv2d(2, 3, 3, dilation=4), (2, 8, 8), ValueError, "covers 9 cells"),
    (nn.MaxPool2d(5), (2, 4, 8), ValueError, "larger than an input"),
    (nn.Conv2d(2, 3, 3), (3, 8, 8), ValueError, r"\(2, height, width\)"),
    (nn.Conv2d(2, 3, 3), (1, 2, 8, 8), ValueError, "without the batch axis"),
    (nn.Conv1d(2, 3, 3), (2,), ValueError, r"\(2, length\)"),
    (nn.MaxPool2d(2), (8, 8), ValueError, "channels first"),
    (nn.Linear(4, 3), (2, 2), ValueError, "flatten them first"),
    (nn.BatchNorm2d(4).eval(), (3, 2, 2), ValueError, "4 channels"),
    (nn.BatchNorm2d(4), (4, 2, 2), ValueError, r"call eval\(\)"),
    (nn.BatchNorm2d(4, track_running_stats=False).eval(), (4, 2, 2), ValueError, "track_running"),
    (nn.Dropout(0.5), (4,), ValueError, r"call eval\(\)"),
    (nn.Conv2d(2, 3, 3), (2, 0, 8), ValueError, "positive sizes"),
    (nn.Conv2d(2, 3, 3), (2, 8.0, 8), ValueError, "positive sizes"),
    (nn.Conv2d(2, 3, 3), (), ValueError, "positive sizes"),
    (nn.Conv2d(2, 3, 9, padding=4, padding_mode="reflect"), (2, 4, 9), ValueError, "cannot pad"),
    (nn.LSTM(3, 3), (5, 3), TypeError, "no rule.*lipschitz_constant"),
    (nn.GroupNorm(2, 4), (4, 2, 2), TypeError, "no rule"),
    (nn.Linear(2, 2, dtype=torch.complex64), (2,), TypeError, "complex"),
]


@pytest.mark.parametrize(("layer", "shape", "error", "sentence"), BAD, ids=lambda v: str(v)[:40])
def test_bad_input_is_a_sentence(layer, shape, error, sentence):
    functions = (spectral.operator_norm, spectral.norm_bounds, spectral.norm_row)
    for function in (*functions, spectral.differentiable_norm):
        with pytest.raises(error, match=sentence):
            function(layer, shape)


def test_all_singular_values_of_what_is_not_linear():
    for layer in (nn.ReLU(), nn.MaxPool2d(2)):
        with pytest.raises(TypeError, match="no linear layer"):
            spectral.singular_values(layer, (1, 4, 4))


def test_weights_are_left_alone():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1)
    before = layer.weight.detach().clone()
    spectral.norm_bounds(layer, (2, 8, 8))
    spectral.singular_values(layer, (2, 8, 8))
    assert torch.equal(layer.weight, before)
    assert layer.weight.grad is None
    assert layer.weight.requires_grad


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_on_a_gpu(dtype, monkeypatch):
    torch.manual_seed(0)
    layers = [
        (nn.Linear(30, 20), (30,)),
        (nn.Conv2d(6, 8, 3, padding=1, padding_mode="circular", groups=2), (6, 12, 12)),
        (nn.Conv2d(6, 8, 3, stride=2, padding=1), (6, 13, 12)),
        (nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect"), (6, 9, 9)),
        (nn.BatchNorm2d(6).eval(), (6, 4, 4)),
        (nn.AvgPool2d(3, 2, 1), (6, 9, 9)),
    ]
    for (layer, shape), size in itertools.product(layers, (0, operators.CERTIFIED_SIZE)):
        monkeypatch.setattr(operators, "CERTIFIED_SIZE", size)
        layer = layer.to(dtype).cpu()
        norm, bounds = spectral.operator_norm(layer, shape), spectral.norm_bounds(layer, shape)
        layer = layer.cuda()
        assert spectral.operator_norm(layer, shape) == pytest.approx(norm, rel=1e-8)
        assert spectral.norm_bounds(layer, shape) == pytest.approx(bounds, rel=1e-8)
        values = spectral.singular_values(layer, shape)
        assert values == pytest.approx(spectral.singular_values(layer.cpu(), shape), abs=1e-10)


def test_windows_are_those_of_torch():
    assert pooling.adaptive(7, 3) == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert pooling.intervals(5, 2, 2, 0, 1, True) == [[0, 1], [2, 3], [4]]
    assert pooling.intervals(5, 3, 2, 1, 1, False) == [[-1, 0, 1], [1, 2, 3], [3, 4, 5]]
