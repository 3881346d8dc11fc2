"""Lesson 06: what the generic tests of the exercises do not cover."""

import functools
import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import models, paper, spectral, storage, zoo
from course_lib.exercises import as_tensor, entries, find, judge, sources
from course_lib.reproduce import norms

RECORD = storage.ASSETS / "records" / "table5.json"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def draw(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def solution(slug):
    return find(slug).solution()


def learners(slug):
    """The solution as if a learner had written it."""
    return sources.own_copy(solution(slug))


def dense_norm(matrix):
    return float(np.linalg.svd(torch.as_tensor(matrix).numpy(), compute_uv=False)[0])


# --- a learner's own way of writing it -------------------------------------------------------


def test_the_printed_prefactor_is_recognised_however_it_is_written():
    def strided(weight, n, stride):
        spectrum = torch.fft.fft2(weight, s=(n, n))
        m, largest = n // stride, 0.0
        for f in range(m):
            for g in range(m):
                a = spectrum[:, :, f::m, g::m].flatten(1) * stride**-2
                largest = max(largest, float(torch.linalg.svdvals(a)[0]))
        return largest

    assert judge(find("strided-norm"), strided).mistake == "Δ⁻²"


def test_spectral_normalisations_short_cut_is_recognised():
    def symbol_norm(weight, n):
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), bias=False)
        layer.weight.data = weight
        normed = nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=300)
        normed.eval()
        return (weight.norm() / normed.weight.norm()).detach()

    assert judge(find("symbol-norm"), symbol_norm).mistake == "norm of the reshaped kernel"


def test_a_power_iteration_that_stops_early_passes():
    def power_iteration(matrix, start, steps=100):
        v = start / start.norm()
        for _ in range(steps):
            new = matrix.T @ (matrix @ v)
            new = new / new.norm()
            same, v = bool((new - v).norm() < 1e-12), new
            if same:
                break
        return float((matrix @ v).norm()), v.tolist()

    assert judge(find("power-iteration"), power_iteration).status == "PASS"


def iterate(matrix, v, steps):
    for _ in range(steps):
        v = matrix.T @ (matrix @ v)
        v = v / v.norm()
    return (matrix @ v).norm(), v


def by_decomposition(matrix, start, steps=100):
    _, values, right = torch.linalg.svd(matrix)
    return values[0], right[0]


def twenty_steps(matrix, start, steps=100):
    return iterate(matrix, start, 20)


def from_a_start_of_its_own(matrix, start, steps=100):
    return iterate(matrix, torch.randn(len(start)).to(start), steps)


def from_the_first_unit_vector(matrix, start, steps=100):
    v = torch.zeros_like(start)
    v[0] = 1
    return iterate(matrix, v, steps)


def range_from_one(matrix, start, steps=100):
    return iterate(matrix, start / start.norm(), steps - 1)


def root_of_the_last_length(matrix, start, steps=100):
    v = start
    for _ in range(steps):
        v = v / v.norm()
        new = matrix.T @ (matrix @ v)
        size, v = new.norm(), new
    return size.sqrt(), v / v.norm()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (by_decomposition, "does not depend on `steps`"),
        (twenty_steps, "does not depend on `steps`"),
        (from_a_start_of_its_own, "does not depend on `start`"),
        (from_the_first_unit_vector, "does not depend on `start`"),
        (range_from_one, "one step too few"),
        (root_of_the_last_length, "before the last step"),
        (lambda matrix, start, steps=100: iterate(matrix, start, steps)[::-1], "wrong order"),
    ],
)
def test_a_power_iteration_that_is_none_is_told(answer, says):
    feedback = judge(find("power-iteration"), answer)
    assert feedback.status == "FAIL"
    assert says in feedback.sentence


def test_added_input_channels_are_no_bound():
    def symbol_norm(weight, n):
        s = torch.fft.fft2(weight, s=(n, n))
        return s.sum(1).abs().square().sum(0).sqrt().max()

    feedback = judge(find("symbol-norm"), symbol_norm)
    assert (feedback.status, feedback.mistake) == ("FAIL", "input channels added up")


def test_an_orthonormal_transform_with_a_stride_is_recognised():
    def strided(weight, n, stride):
        s, m = torch.fft.fft2(weight, s=(n, n), norm="ortho"), n // stride
        blocks = [s[:, :, f::m, g::m].flatten(1) for f in range(m) for g in range(m)]
        return max(torch.linalg.matrix_norm(b, 2) for b in blocks) / stride

    assert judge(find("strided-norm"), strided).mistake == "divided by n"


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        ("symbol-norm", "modulus before the singular values"),
        ("symbol-norm", "root of the taps times the reshaped norm"),
        ("symbol-norm", "Frobenius norm of a symbol"),
        ("strided-norm", "Frobenius norm of a block"),
        ("strided-norm", "stride 1"),
    ],
)
def test_what_a_sentence_calls_a_bound_is_one_for_other_kernels(slug, name):
    exercise = find(slug)
    function = exercise.wrong_answer(next(m for m in exercise.mistakes if m.name == name))
    for seed in range(40):
        weight, arguments = draw(seed, 2, 3, 3, 3), (6,) if slug == "symbol-norm" else (6, 2)
        true = float(exercise.solution()(weight, *arguments))
        assert float(function(weight, *arguments)) >= true * (1 - 1e-12)


@pytest.mark.parametrize(
    ("slug", "bound"),
    [
        ("norm-from-above", lambda matrix, squarings=6: 2 * matrix.norm()),
        ("strided-norm", lambda weight, n, stride: weight.abs().sum()),
        ("symbol-norm", lambda weight, n: weight.abs().sum()),
        ("pooling-constant", lambda kernel, stride, n, dimensions=2: float(kernel**dimensions)),
    ],
)
def test_any_other_bound_from_above_is_loose_and_not_wrong(slug, bound):
    assert judge(find(slug), bound).status == "VALID BUT LOOSE"


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_infinity_is_no_bound(value):
    feedback = judge(find("norm-from-above"), lambda matrix, squarings=6: torch.tensor(value))
    assert feedback.status == "FAIL"


# --- what the lesson says --------------------------------------------------------------------


@pytest.mark.parametrize("n", range(5, 31))
def test_the_kernel_1_minus_1_has_the_norms_of_the_closed_forms(n):
    matrix, kernel = solution("convolution-matrix"), torch.tensor([1.0, -1, 0]).double()
    padded = dense_norm(matrix(kernel, n, 1))
    circular = dense_norm(matrix(kernel, n, 1, circular=True))
    assert padded == pytest.approx(2 * math.cos(math.pi / (2 * n + 1)), abs=1e-12)
    assert circular == pytest.approx(2 * math.sin(math.pi * (n // 2) / n), abs=1e-12)
    assert (padded > circular) == (n % 2 == 1)


@pytest.mark.parametrize("seed", range(12))
def test_a_larger_circle_is_a_bound_for_zero_padding(seed):
    taps, padding = 3 + 2 * (seed % 2), 1 + seed % 2
    weight, n = draw(seed, 3, 2, taps, taps), 5 + seed % 4
    layer = nn.Conv2d(2, 3, taps, padding=padding, bias=False).double()
    layer.weight.data = weight
    true = dense_norm(spectral.explicit_matrix(layer, (2, n, n)))
    for larger in (n + padding, n + padding + 1, n + padding + 5):
        assert true <= float(solution("symbol-norm")(weight, larger)) * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_reshaped_kernel_holds_the_norm_between_two_numbers(seed):
    weight = draw(seed, 4, 3, 3, 3)
    reshaped = dense_norm(weight.flatten(1))
    norm = float(solution("symbol-norm")(weight, 6))
    assert reshaped <= norm * (1 + 1e-12)
    assert norm <= 3 * reshaped * (1 + 1e-12)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_prefactor_is_one_over_the_stride_in_two_dimensions(stride):
    """Against the layer's own outputs for all unit images, by PyTorch."""
    weight = draw(stride, 3, 2, 5, 5)
    units = torch.eye(2 * 12 * 12, dtype=torch.float64).reshape(-1, 2, 12, 12)
    padded = F.pad(units, (2, 2, 2, 2), mode="circular")
    true = dense_norm(F.conv2d(padded, weight, stride=stride).flatten(1).T)
    assert float(solution("strided-norm")(weight, 12, stride)) == pytest.approx(true, rel=1e-10)


def test_no_pair_of_images_is_pooled_farther_apart_than_the_constant():
    constant = solution("pooling-constant")
    for size, stride in ((2, 2), (3, 2), (3, 1), (5, 3)):
        most = 0.0
        for seed in range(60):
            a = draw(seed, 1, 1, 11, 11)
            r = draw(100 + seed, 1, 1, 11, 11) * 10.0 ** (seed % 3 - 1)
            moved = F.max_pool2d(a + r, size, stride) - F.max_pool2d(a, size, stride)
            most = max(most, float(moved.norm() / r.norm()))
        dot = torch.zeros(1, 1, 11, 11)
        dot[0, 0, 4, 4] = 1
        if stride < size:  # reached by a bright pixel where most windows meet
            assert float(F.max_pool2d(dot, size, stride).norm()) <= constant(size, stride, 11)
        assert most <= constant(size, stride, 11)
    assert constant(3, 2, 7) == float(F.max_pool2d(dot, 3, 2).norm()) == 2


@pytest.mark.parametrize("gamma", [0.5, 0.75, 1.0])
def test_contrast_normalisation_is_steepest_at_0(gamma):
    epsilon, steepest = 0.3, 0.0

    def normalise(x):
        return x / (epsilon + x @ x) ** gamma

    for seed in range(40):
        x = draw(seed, 5) * 10.0 ** (seed % 5 - 3)
        jacobian = torch.autograd.functional.jacobian(normalise, x)
        steepest = max(steepest, dense_norm(jacobian))
    assert steepest <= epsilon**-gamma * (1 + 1e-12)
    at_0 = torch.autograd.functional.jacobian(normalise, torch.zeros(5).double())
    assert dense_norm(at_0) == pytest.approx(epsilon**-gamma)


def test_two_groups_have_the_norm_of_the_larger_one():
    one, other = draw(1, 3, 2), draw(2, 4, 3)
    one, other = 3 * one / dense_norm(one), 4 * other / dense_norm(other)
    assert dense_norm(torch.block_diag(one, other)) == pytest.approx(4)
    right = [option.text for option in entries("QUIZZES")["groups"].options if option.right]
    assert right == ["4, the larger"]


def test_training_makes_every_layer_of_conv_stretch_more():
    trained, begun = zoo.load("CONV", device="cpu"), models.build("CONV", seed=0)
    for name, shape in (("conv1", (1, 28, 28)), ("conv2", (16, 14, 14)), ("fc1", (1568,))):
        before, after = (spectral.operator_norm(getattr(n, name), shape) for n in (begun, trained))
        assert 1 < before < after


# --- the record of Table 5 -------------------------------------------------------------------


def test_the_record_has_table_5s_layers(record):
    assert list(record["layers"]) == list(paper.TABLE5)
    for name, (size, stride, printed) in paper.TABLE5.items():
        entry = record["layers"][name]
        assert (entry["size"], entry["stride"]) == (size, stride)
        assert 0 < entry["lower"] <= entry["upper"] < 1.01 * entry["lower"]
        assert entry["upper"] < printed


def test_the_fully_connected_layers_have_the_norms_of_random_matrices(record):
    """stddev · (√rows + √columns), the edge of the spectrum (Marchenko and Pastur)."""
    for name, entry in record["layers"].items():
        if name.startswith("FC"):
            inputs, outputs = (int(part) for part in entry["size"].split(" x "))
            edge = record["stddev"] * (math.sqrt(inputs) + math.sqrt(outputs))
            assert entry["lower"] == pytest.approx(edge, rel=0.01)


def test_the_first_layer_of_the_record_by_another_way(record):
    rng = torch.Generator().manual_seed(record["seed"])
    weight = record["stddev"] * torch.randn(96, 3, 11, 11, generator=rng)
    entry = record["layers"]["Conv. 1"]
    bound = float(solution("strided-norm")(weight, 228, 4))
    assert entry["lower"] <= bound <= 1.01 * entry["upper"]


def test_torchvisions_layers_are_known():
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        net = torchvision.models.alexnet(weights=None)
    x, shapes = torch.empty(1, 3, 224, 224, device="meta"), {}
    hooks = [
        module.register_forward_pre_hook(lambda m, i: shapes.update({m: tuple(i[0].shape[1:])}))
        for module in net.modules()
    ]
    net(x)
    for hook in hooks:
        hook.remove()
    layers = norms.of_alexnet(net)
    assert list(layers) == list(paper.TABLE5)
    for layer, shape in layers.values():
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        assert shapes[layer] == shape


def test_a_layer_of_table_5_is_measured():
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1).double()
    entry = norms.measure(layer, (2, 6, 6))
    true = dense_norm(spectral.explicit_matrix(layer, (2, 6, 6)))
    assert entry["lower"] <= true * (1 + 1e-9)
    assert true <= entry["upper"] * (1 + 1e-9)
    assert (entry["size"], entry["stride"], entry["input"]) == ("2 x 3 x 3 x 3", 2, [2, 6, 6])
    assert norms.printed("Conv. 1", entry).endswith("printed 2.75")


def test_the_references_are_built():
    name = "course_lib.exercises._references.06_how_much_can_a_layer_stretch"
    module = importlib.import_module(name)
    for exercise in ("power_iteration", "norm_from_above", "convolution_matrix", "symbol_norm"):
        assert callable(getattr(module, exercise))


# --- answers of learners, right and wrong ----------------------------------------------------


def fifty_steps(matrix, start, steps=50):
    return iterate(matrix, start, steps)


def ninety_nine_steps(matrix, start, steps=99):
    return iterate(matrix, start, steps)


def six_squarings_at_most(matrix, squarings=6):
    return solution("norm-from-above")(matrix, min(squarings, 6))


def as_many_outputs_as_pixels(kernel, n, padding, stride=1, circular=False):
    if not circular:
        return solution("convolution-matrix")(kernel, n, padding, stride)
    matrix = kernel.new_zeros(n // stride, n)
    for j in range(n // stride):
        for m in range(len(kernel)):
            matrix[j, (stride * j + m - padding) % n] += kernel[m]
    return matrix


def padded_by_half_the_kernel(kernel, n, padding, stride=1, circular=False):
    padding = min(padding, len(kernel) // 2)
    return solution("convolution-matrix")(kernel, n, padding, stride, circular)


def a_quarter_of_the_frequencies(weight, n):
    s = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.svdvals(s[: n // 2 + 1, : n // 2 + 1]).max()


def a_quarter_of_the_output(weight, n, stride):
    s, m = torch.fft.fft2(weight, s=(n, n)), n // stride
    places = [(f, g) for f in range(m) for g in range(m) if m >= 2 * max(f, g)]
    blocks = [s[:, :, f::m, g::m].flatten(1) for f, g in places]
    return max(torch.linalg.matrix_norm(b, 2) for b in blocks) / stride


def guarded(by):
    def power_iteration(matrix, start, steps=100):
        v = start
        for _ in range(steps):
            v = matrix.T @ (matrix @ v)
            v = v / by(v.norm())
        return (matrix @ v).norm(), v

    return power_iteration


def until_it_rests(matrix, start, steps=100):
    v = start / start.norm()
    for k in range(steps):
        before, v = v, iterate(matrix, start, k + 1)[1]
        if (v - before).norm() < 1e-3:
            break
    return (matrix @ v).norm(), v


def guarded_from_above(inside, outside):
    def norm_from_above(matrix, squarings=6):
        gram, log = matrix.T @ matrix, 0.0
        for _ in range(squarings):
            size = gram.norm() + outside
            gram = (gram / size) @ (gram / size)
            log = 2 * (log + (size - outside + inside).log())
        return ((log + (gram.norm() + inside).log()) / 2 ** (squarings + 1)).exp()

    return norm_from_above


def scaled_by_the_trace(matrix, squarings=6):
    """Right but for many squarings of a matrix without a singular value that stands out."""
    gram = matrix.T @ matrix
    scale = gram.trace()
    power = torch.linalg.matrix_power(gram / scale, 2**squarings)
    return (scale * power.norm() ** (1 / 2**squarings)).sqrt()


def five_taps(kernel, *args, **kwargs):
    kernel = torch.where(torch.arange(len(kernel)) < 5, kernel, 0 * kernel)
    return learners("convolution-matrix")(kernel, *args, **kwargs)


@pytest.mark.parametrize(
    ("slug", "answer", "says"),
    [
        ("power-iteration", guarded(lambda length: length + 1e-8), "does not have length 1"),
        ("power-iteration", guarded(lambda length: length.clamp(min=1e-6)), "not have length 1"),
        ("power-iteration", lambda w, v, steps=100: iterate(w, v, min(steps, 80)), "Take all"),
        ("power-iteration", lambda w, v, steps=100: iterate(w, v, min(steps, 50)), "Take all"),
        ("power-iteration", until_it_rests, "Take all of them"),
        ("norm-from-above", scaled_by_the_trace, "vanish all the same"),
        ("norm-from-above", guarded_from_above(1e-12, 0), "inside of a logarithm"),
        ("norm-from-above", guarded_from_above(0, 1e-8), "what you divide by"),
        ("convolution-matrix", five_taps, "expected"),
        ("power-iteration", fifty_steps, "a hundred steps"),
        ("power-iteration", ninety_nine_steps, "a hundred steps"),
        ("power-iteration", lambda matrix, v, steps=100: iterate(matrix, v, 1), "inside the loop"),
        ("norm-from-above", six_squarings_at_most, "looser"),
        ("convolution-matrix", as_many_outputs_as_pixels, "n // stride rows"),
        ("convolution-matrix", padded_by_half_the_kernel, "shape"),
        ("symbol-norm", a_quarter_of_the_frequencies, "Only a quarter"),
        ("strided-norm", a_quarter_of_the_output, "stripes"),
    ],
)
def test_what_a_sloppy_learner_writes_does_not_pass(slug, answer, says):
    feedback = judge(find(slug), answer)
    assert feedback.status != "PASS"
    assert says in str(feedback)


@pytest.mark.parametrize(
    ("slug", "answer"),
    [
        ("power-iteration", lambda w, v, steps=100: [x.tolist() for x in iterate(w, v, steps)]),
        ("power-iteration", lambda w, v, steps=100: iterate(w.float(), v.float(), steps)),
        ("norm-from-above", lambda *args: learners("norm-from-above")(*args).numpy()),
        ("convolution-matrix", lambda *a, **k: learners("convolution-matrix")(*a, **k).tolist()),
        ("symbol-norm", lambda *args: learners("symbol-norm")(*args).numpy()),
        ("pooling-constant", lambda *args: np.array(learners("pooling-constant")(*args))),
    ],
)
def test_what_a_careful_learner_writes_passes(slug, answer):
    assert judge(find(slug), answer).status == "PASS"


# --- what is called a bound, and what is right by another way than asked for ------------------


def symbols_on(weight, grid):
    return torch.fft.fft2(weight, s=(grid, grid)).permute(2, 3, 0, 1)


def rows_and_columns_exchanged(weight, n, stride):
    outputs, inputs, m = *weight.shape[:2], n // stride
    a = torch.fft.fft2(weight, s=(n, n)).reshape(outputs, inputs, stride, m, stride, m)
    a = a.permute(3, 5, 0, 1, 2, 4).reshape(m, m, inputs, -1)
    return torch.linalg.svdvals(a).max() / stride


def on_a_grid_of(grid):
    return lambda weight, n: torch.linalg.svdvals(symbols_on(weight, grid)).max()


def strided_on_a_grid_of(grid):
    def strided_norm(weight, n, stride):
        s, m = symbols_on(weight, grid), grid // stride
        blocks = [
            s[a * m : (a + 1) * m, b * m : (b + 1) * m]
            for a in range(stride)
            for b in range(stride)
        ]
        return torch.linalg.svdvals(torch.cat(blocks, dim=-1)).max() / stride

    return strided_norm


def with_the_first_channel_alone(weight, n, stride):
    return solution("symbol-norm")(weight[:, :1], n) * stride


@pytest.mark.parametrize(
    ("slug", "answer", "says"),
    [
        ("strided-norm", rows_and_columns_exchanged, "D rows, one for each output channel"),
        *[("strided-norm", strided_on_a_grid_of(grid), "expected") for grid in (24, 48, 228)],
        ("strided-norm", with_the_first_channel_alone, "expected"),
        ("strided-norm", lambda weight, n, stride: 1e9, "three times as large"),
        ("strided-norm", lambda weight, n, stride: n**0.5 * weight.norm(), "expected"),
        *[("symbol-norm", on_a_grid_of(grid), "does not depend on n") for grid in (28, 32, 64)],
        ("symbol-norm", on_a_grid_of(228), "does not depend on n"),
        ("symbol-norm", lambda w, n: on_a_grid_of(n + 1)(w, n), "expected"),
        ("symbol-norm", lambda weight, n: 1e9, "three times as large"),
        ("norm-from-above", lambda matrix, squarings=6: 1e9, "three times as large"),
        ("norm-from-above", lambda matrix, squarings=6: 7e4, "three times as large"),
        ("norm-from-above", lambda w, squarings=6: torch.linalg.matrix_norm(w, 1), "expected"),
        ("pooling-constant", lambda kernel, stride, n, dimensions=2: 25.0, "expected"),
        ("pooling-constant", lambda kernel, stride, n, d=2: max(1, kernel / stride) ** d, "exp"),
        ("pooling-constant", lambda kernel, stride, n, dimensions=2: kernel * dimensions, "exp"),
    ],
)
def test_what_is_no_bound_for_other_inputs_is_not_called_one(slug, answer, says):
    feedback = judge(find(slug), answer)
    assert feedback.status == "FAIL"
    assert says in str(feedback)


def test_the_sum_of_all_entries_is_a_bound_that_uses_no_squarings():
    feedback = judge(find("norm-from-above"), lambda matrix, squarings=6: matrix.abs().sum())
    assert feedback.status == "VALID BUT LOOSE"
    assert "whatever `squarings` is" in feedback.sentence


def powers_of_singular_values(by):
    def norm_from_above(matrix, squarings=6):
        values, p = by(matrix), 4 * 2**squarings
        return values.max() * ((values / values.max()) ** p).sum() ** (1 / p)

    return norm_from_above


@pytest.mark.parametrize(
    "by",
    [
        torch.linalg.svdvals,
        lambda matrix: torch.linalg.svd(matrix)[1],
        lambda matrix: np.linalg.svd(matrix.numpy(), compute_uv=False),
        lambda matrix: torch.linalg.eigvalsh(matrix.T @ matrix).clamp(min=0).sqrt(),
    ],
)
def test_a_bound_by_a_decomposition_is_refused_as_the_norm_by_one_is(by):
    exercise = find("norm-from-above")
    feedback = judge(exercise, powers_of_singular_values(by))
    assert feedback.status == "FAIL"
    assert "products of matrices alone" in feedback.sentence
    feedback = judge(exercise, lambda matrix, squarings=6: by(matrix).max())
    assert feedback.mistake == "the norm itself"


def whole_matrix_of_torch(weight, n, stride=1):
    height, width = weight.shape[2:]
    units = torch.eye(weight.shape[1] * n * n, dtype=weight.dtype)
    units = units.reshape(-1, weight.shape[1], n, n)
    padded = F.pad(units, (0, width - 1, 0, height - 1), mode="circular")
    rows = F.conv2d(padded, weight, stride=stride).flatten(1)
    return torch.linalg.matrix_norm(rows, 2)


def whole_matrix_of_numpy(weight, n, stride=1):
    """Row by row, so that no tensor is large."""
    outputs, inputs, height, width = weight.shape
    m, w = n // stride, weight.numpy()
    matrix = np.zeros((outputs, m, m, inputs, n, n))
    for a, b, i, j in np.ndindex(m, m, height, width):
        matrix[:, a, b, :, (stride * a + i) % n, (stride * b + j) % n] += w[:, :, i, j]
    return np.linalg.norm(matrix.reshape(outputs * m * m, -1), 2)


@pytest.mark.parametrize("whole", [whole_matrix_of_torch, whole_matrix_of_numpy])
@pytest.mark.parametrize("slug", ["symbol-norm", "strided-norm"])
def test_a_norm_by_the_whole_matrix_is_refused(slug, whole):
    by_symbols = {
        "symbol-norm": lambda weight, n: whole(weight, n),
        "strided-norm": lambda weight, n, stride: whole(weight, n, stride),
    }
    feedback = judge(find(slug), by_symbols[slug])
    assert feedback.status == "FAIL"
    assert "whole matrix, written out" in feedback.sentence


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("slug", "answer"),
    [
        ("power-iteration", lambda w, v, steps=100: iterate(w, v.clone().requires_grad_(), steps)),
        (
            "norm-from-above",
            lambda w, squarings=6: learners("norm-from-above")(
                w.clone().requires_grad_(), squarings
            ),
        ),
        ("symbol-norm", lambda w, n: learners("symbol-norm")(w.clone().requires_grad_(), n)),
        ("strided-norm", lambda w, *a: learners("strided-norm")(w.clone().requires_grad_(), *a)),
    ],
)
def test_a_result_with_a_history_passes_without_a_warning(slug, answer):
    assert judge(find(slug), answer).status == "PASS"


# --- mistakes told by what they are -----------------------------------------------------------


def every_step_from_the_start(matrix, start, steps=100):
    for _ in range(steps):
        v = matrix.T @ (matrix @ start)
        v = v / v.norm()
    return (matrix @ v).norm(), v


def steps_by(change):
    return lambda matrix, start, steps=100: iterate(matrix, start, change(steps))


def length_of_the_last_product(matrix, start, steps=100):
    v = start
    for _ in range(steps):
        v = matrix.T @ (matrix @ v)
        stretch = v.norm()
        v = v / stretch
    return stretch, v


def the_vector_before(matrix, start, steps=100):
    v, before = iterate(matrix, start, steps)[1], iterate(matrix, start, steps - 1)[1]
    return (matrix @ v).norm(), before / before.norm()


def from_above(change=int, last=True):
    def norm_from_above(matrix, squarings=6):
        gram, log = matrix.T @ matrix, torch.zeros(()).double()
        squarings = change(squarings)
        for _ in range(squarings):
            size = torch.linalg.norm(gram)
            gram = torch.linalg.matrix_power(gram / size, 2)
            log = 2 * (log + size.log())
        log = log + gram.norm().log() if last else log
        return torch.exp(log / 2 ** (squarings + 1))

    return norm_from_above


def in_a_loop(read):
    """A convolution's matrix; ``read``: (i, n, circular) -> the column of position i, or None."""

    def convolution_matrix(kernel, n, padding, stride=1, circular=False):
        rows = (n + 2 * padding - len(kernel)) // stride + 1
        matrix = np.zeros((rows, n))
        for j in range(rows):
            for m, tap in enumerate(kernel.tolist()):
                column = read(stride * j + m - padding, n, circular)
                if column is not None:
                    matrix[j, column] += tap
        return matrix

    return convolution_matrix


def taps_left_out(weight, n, stride):
    s = torch.fft.rfft2(weight[..., ::stride, ::stride], s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.svdvals(s).max()


def blocks_of_the_stride(weight, n, stride):
    s, m = symbols_on(weight, n), n // stride
    places = [(a * stride, b * stride) for a in range(m) for b in range(m)]
    blocks = [s[a : a + stride, b : b + stride] for a, b in places]
    return torch.linalg.svdvals(torch.cat(blocks, dim=-1)).max() / stride


@pytest.mark.parametrize(
    ("slug", "answer", "name"),
    [
        ("power-iteration", every_step_from_the_start, "return inside the loop"),
        ("power-iteration", steps_by(lambda n: n + 1), "one step too many"),
        ("power-iteration", steps_by(lambda n: 2 * n), "twice the steps"),
        ("power-iteration", steps_by(lambda n: max(1, n // 2)), "half the steps"),
        ("power-iteration", length_of_the_last_product, "the growth in the last step"),
        ("power-iteration", the_vector_before, "the direction before the last step"),
        ("norm-from-above", from_above(last=False), "the last norm forgotten"),
        ("norm-from-above", lambda *a: from_above()(*a).log(), "the logarithm"),
        ("norm-from-above", from_above(lambda n: 6), "six squarings always"),
        (
            "norm-from-above",
            lambda w, squarings=6: iterate(w, torch.ones(w.shape[1]).double(), 3000)[0],
            "the norm itself",
        ),
        (
            "convolution-matrix",
            in_a_loop(lambda i, n, circular: i % n if circular else i if i < n else None),
            "negative positions from the end, added",
        ),
        (
            "convolution-matrix",
            in_a_loop(lambda i, n, circular: i % n if 0 <= i < n or (circular and i < 0) else None),
            "round one end alone, the left",
        ),
        (
            "convolution-matrix",
            in_a_loop(lambda i, n, circular: i % n if 0 <= i < n or (circular and i > 0) else None),
            "round one end alone, the right",
        ),
        (
            "symbol-norm",
            lambda weight, n: torch.linalg.svdvals(symbols_on(weight, n) / n**2).max(),
            "the inverse transform",
        ),
        (
            "symbol-norm",
            lambda w, n: torch.linalg.matrix_norm(
                torch.fft.fft2(w, s=(n, n)).reshape(n, n, *w.shape[:2]), 2
            ).max(),
            "reshaped and not permuted",
        ),
        (
            "symbol-norm",
            lambda weight, n: torch.linalg.svdvals(symbols_on(weight, n).real).max(),
            "the real part alone",
        ),
        ("strided-norm", taps_left_out, "a kernel with taps left out"),
        ("strided-norm", blocks_of_the_stride, "m and Δ exchanged"),
    ],
)
def test_a_mistake_is_told_by_its_name(slug, answer, name):
    assert judge(find(slug), answer).mistake == name


def test_a_result_of_0_is_not_said_to_be_what_many_steps_give():
    feedback = judge(find("power-iteration"), lambda w, v, steps=100: (0.0, 0 * v))
    assert feedback.status == "FAIL"
    assert "depend" not in str(feedback)
    assert "stretch" in str(feedback)


# --- the lesson with a function that is only a bound ------------------------------------------


def cell(name):
    """The text of a code cell of the lesson's source."""
    path = next(Path(__file__).resolve().parents[1].glob("solutions/06_*.py"))
    text = path.read_text(encoding="utf-8")
    return text.split(f'# %% id="{name}"', 1)[1].split("\n", 1)[1].split("\n# %%", 1)[0]


def loose_norm(weight, n, stride=1):
    return 3 * solution("symbol-norm")(weight, n)


def test_a_prediction_is_scored_with_the_norm_itself_where_the_learners_is_loose(capsys):
    conv = zoo.load("CONV", device="cpu").double().requires_grad_(False)
    space = {"torch": torch, "nn": nn, "spectral": spectral, "conv": conv}
    exec(cell("reshaped"), space | {"symbol_norm": loose_norm, "share": {}}, kept := {})
    true = float(solution("symbol-norm")(conv.conv2.weight, 14))
    assert kept["norm"] == pytest.approx(true)
    assert kept["share"]["conv2"] == pytest.approx(dense_norm(conv.conv2.weight.flatten(1)) / true)


def test_the_printed_prefactors_column_does_not_follow_a_loose_function(capsys):
    space = {"torch": torch, "nn": nn, "spectral": spectral, "rng": torch.Generator()}
    exec(cell("settle"), space | {"symbol_norm": loose_norm, "strided_norm": loose_norm})
    for row in capsys.readouterr().out.splitlines()[1:]:
        stride, matrix, _, printed, _ = map(float, row.split())
        assert printed == pytest.approx(matrix / stride, abs=2e-4)


def test_the_lessons_tensor_takes_what_the_checks_accept():
    space = {"torch": torch, "functools": functools, "as_tensor": as_tensor}
    exec(cell("helpers"), space)
    eye = torch.eye(3, dtype=torch.float64)
    for same in (eye.to_sparse(), eye.tolist(), eye.numpy(), eye.clone().requires_grad_()):
        assert torch.equal(space["tensor"](same), eye)
    assert space["tensor"](2.5) == space["tensor"](np.float32(2.5)) == 2.5
