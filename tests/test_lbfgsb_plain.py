"""The short L-BFGS-B: the minimisers of SciPy's, its parts one by one, and bad input.

tests/test_lbfgsb.py holds the batched engine against it.
"""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.lbfgsb import plain


def draw(seed):
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    return normal


def scipy_minimum(fun, x0, lower, upper):
    def in_numpy(x):
        value, gradient = fun(torch.from_numpy(x.copy()))
        return value, gradient.numpy()

    box = list(zip(lower.tolist(), upper.tolist(), strict=True))
    settings = {"maxiter": 10_000, "maxfun": 100_000, "ftol": 0, "gtol": 1e-9}
    found = scipy.optimize.minimize(
        in_numpy, x0.numpy(), jac=True, method="L-BFGS-B", bounds=box, options=settings
    )
    return torch.from_numpy(found.x), found.fun


def compare(fun, x0, lower, upper, close=1e-6, tolerance=1e-7):
    lower, upper = (torch.as_tensor(b).double().expand_as(x0) for b in (lower, upper))
    ours = plain.minimize(fun, x0, lower, upper, tolerance=tolerance)
    point, value = scipy_minimum(fun, plain.project(x0, lower, upper), lower, upper)
    assert ((ours.x >= lower) & (ours.x <= upper)).all()
    assert ours.value <= value + 1e-9 * max(1.0, abs(value))
    assert torch.allclose(ours.x, point, atol=close)
    assert fun(ours.x)[0] == pytest.approx(ours.value)
    return ours


def quadratic(normal, n, condition):
    basis, _ = torch.linalg.qr(normal(n, n))
    a = basis @ torch.diag(torch.logspace(0, math.log10(condition), n).double()) @ basis.T
    b = normal(n) * condition**0.5
    return lambda x: (float(x @ a @ x / 2 - b @ x), a @ x - b)


@pytest.mark.parametrize("n", [1, 2, 5, 40])
@pytest.mark.parametrize("condition", [1e1, 1e3])
def test_quadratics_have_the_minimisers_of_scipy(n, condition):
    bound = 0
    for seed in range(4):
        normal = draw(seed)
        ours = compare(quadratic(normal, n, condition), torch.full((n,), 0.5).double(), 0.0, 1.0)
        bound += int(((ours.x == 0) | (ours.x == 1)).sum())
    assert bound > 0  # bounds were active


@plain.with_gradient
def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize(
    ("n", "lower", "upper"),
    [(2, -2, 2), (2, -1.5, 0.5), (2, (-1.5, -0.5), (0.8, 0.3)), (10, -2, 0.7), (10, 0.2, 0.8)],
)
def test_rosenbrock_has_the_minimiser_of_scipy(n, lower, upper):
    ours = compare(rosenbrock, torch.full((n,), -1.2).double(), lower, upper)
    assert ours.converged


@pytest.mark.parametrize("c", [1.0, 1e-2, 1e-4])
def test_softmax_problems_have_the_minimisers_of_scipy(c):
    """The paper's attack on a linear network: c |r|² + the cross-entropy of the target."""
    normal = draw(7)
    weight = normal(10, 60)
    image = normal(60).clamp(0, 1)  # half of the pixels are at 0

    @plain.with_gradient
    def objective(x):
        target = torch.tensor(3)
        loss = torch.nn.functional.cross_entropy(weight @ x, target)
        return c * (x - image).square().sum() + loss

    ours = compare(objective, image, 0.0, 1.0, close=1e-4, tolerance=1e-8)
    assert ours.converged
    assert ((ours.x == 0) & (image == 0)).any()


def test_a_variable_that_must_leave_its_bound_leaves_it():
    def fun(x):
        centre = torch.tensor([0.3, -1.0, 2.0]).double()
        return float((x - centre).square().sum()), 2 * (x - centre)

    for start in ([0, 0, 0], [1, 1, 1], [0.0, 1.0, 0.0]):
        ours = plain.minimize(fun, torch.tensor(start).double())
        assert ours.x.tolist() == pytest.approx([0.3, 0, 1])


def test_one_matrix_for_all_variables_would_go_uphill():
    """Why the variables at their bounds are set apart (Bertsekas 1982, section 1): along the full
    Newton step, cut off at the bound, no length leads down."""
    hessian = torch.tensor([[1.0, 1.9], [1.9, 4.0]]).double()
    start, gradient = torch.tensor([0.5, 0.0]).double(), torch.tensor([0.2, 0.9]).double()
    slope = gradient - hessian @ start

    def fun(x):
        return float(x @ hessian @ x / 2 + slope @ x), hessian @ x + slope

    newton = -torch.linalg.solve(hessian, gradient)
    value = fun(start)[0]
    assert newton @ gradient < 0  # without the box it leads down
    for t in torch.logspace(-6, 0, 50).double():
        assert fun(plain.project(start + t * newton))[0] > value
    assert plain.projected_search(fun, start, value, gradient, newton) is None
    bound = plain.active(start, gradient)
    assert bound.tolist() == [False, True]
    assert compare(fun, start, 0.0, 1.0).converged


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 8))
def test_parts_hold_for_any_numbers(seed, n):
    normal = draw(seed)
    x, lower = normal(n), normal(n)
    upper = lower + normal(n).abs()
    inside = plain.project(x, lower, upper)
    assert ((inside >= lower) & (inside <= upper)).all()
    assert torch.equal(plain.project(inside, lower, upper), inside)
    gradient = normal(n)
    moved = plain.projected_gradient(inside, gradient, lower, upper)
    assert moved @ gradient >= moved @ moved - 1e-12  # the variational inequality
    pairs = [(s, s * normal(n).abs() + 0.1 * normal(n)) for s in (normal(n) for _ in range(4))]
    bound = plain.active(inside, gradient, lower, upper)
    step = plain.direction(gradient, bound, pairs)
    assert step @ gradient < 0
    for t in (1e-6, 1e-8):  # also after the projection, for short steps
        point = plain.project(inside + t * step, lower, upper)
        assert (point - inside) @ gradient <= 0


def dense_bfgs(gradient, pairs):
    """The inverse Hessian as a matrix, update by update (Nocedal and Wright, equation 6.17)."""
    s, y = pairs[-1]
    identity = torch.eye(len(s)).double()
    inverse = (s @ y) / (y @ y) * identity
    for s, y in pairs:
        rho = 1 / (s @ y)
        left = identity - rho * torch.outer(s, y)
        inverse = left @ inverse @ left.T + rho * torch.outer(s, s)
    return inverse @ gradient


def test_the_two_loops_are_the_update_of_the_matrix():
    normal = draw(3)
    hessian = normal(6, 6)
    hessian = hessian @ hessian.T + torch.eye(6).double()
    pairs = [(s, hessian @ s) for s in (normal(6) for _ in range(4))]
    gradient = normal(6)
    assert torch.allclose(plain.two_loop(gradient, pairs), dense_bfgs(gradient, pairs))
    newest_s, newest_y = pairs[-1]  # the secant equation
    assert torch.allclose(plain.two_loop(newest_y, pairs), newest_s)
    backwards = normal(6)
    bad = (backwards, -backwards)
    assert torch.equal(
        plain.two_loop(gradient, [pairs[0], bad, pairs[1], bad]),
        plain.two_loop(gradient, pairs[:2]),
    )
    assert torch.equal(plain.two_loop(gradient, [bad]), gradient)


def test_the_search_halves_and_stays_in_the_box():
    seen = []

    def fun(x):
        seen.append(x.tolist())
        return float(x @ x), 2 * x

    x = torch.tensor([1.0, 0.25]).double()
    value, gradient = fun(x)
    far = torch.tensor([-1.99, 0.0]).double()
    point, _, _ = plain.projected_search(fun, x, value, gradient, far, -2.0, 2.0)
    assert seen[1:] == [pytest.approx([-0.99, 0.25])]
    assert point.tolist() == seen[-1]
    seen.clear()
    point, _, _ = plain.projected_search(fun, x, value, gradient, 4 * far, -2.0, 2.0)
    assert [row[0] for row in seen] == pytest.approx([-2, -2, -0.99])
    assert plain.projected_search(fun, x, value, gradient, -far, -2.0, 2.0) is None


def test_a_value_that_is_not_finite_shortens_the_step():
    def fun(x):
        inside = bool((x > 0.1).all())
        value = float(-x.log().sum()) if inside else math.nan
        return value + float(5 * x.sum()), 5 - 1 / x

    ours = plain.minimize(fun, torch.tensor([0.9, 0.5]).double())
    assert ours.converged
    assert ours.x.tolist() == pytest.approx([0.2, 0.2], abs=1e-6)


def test_the_result_says_what_happened():
    ours = plain.minimize(rosenbrock, torch.tensor([-1.2, 1.0]), -2.0, 2.0)
    assert ours.converged
    assert ours.gradient_norm <= 1e-6
    assert ours.iterations == len(ours.path)
    assert ours.evaluations == 1 + sum(len(step.tried) for step in ours.path)
    values = [step.value for step in ours.path] + [ours.value]
    assert values == sorted(values, reverse=True)
    assert torch.equal(ours.path[1].x, ours.path[0].tried[-1])
    short = plain.minimize(rosenbrock, torch.tensor([-1.2, 1.0]), -2.0, 2.0, max_iterations=3)
    assert not short.converged
    assert "iterations" in short.status
    exact = plain.minimize(rosenbrock, torch.tensor([-1.2, 1.0]), -2.0, 2.0, tolerance=0)
    assert exact.x.tolist() == pytest.approx([1, 1])


def test_a_start_outside_is_brought_into_the_box():
    ours = plain.minimize(rosenbrock, torch.tensor([9.0, -9.0]), -2.0, 2.0)
    assert ours.path[0].x.tolist() == [2, -2]
    assert ours.x.tolist() == pytest.approx([1, 1], abs=1e-5)


def sphere(x):
    return float(x @ x), 2 * x


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"lower": 1.0, "upper": 0.0}, "lower bound is above"),
        ({"lower": torch.tensor([0.0, 2.0])}, r"above the upper one at \[1\]"),
        ({"lower": torch.zeros(3)}, "number or a tensor of shape"),
        ({"upper": math.nan}, "NaN in the start or in the bounds"),
        ({"x0": torch.tensor([0.5, math.nan])}, "NaN in the start"),
        ({"x0": torch.zeros(2, 2)}, "flatten it"),
        ({"x0": torch.zeros(0)}, "flatten it"),
        ({"memory": 0}, "at least one pair"),
        ({"fun": lambda x: (math.nan, x)}, "nan at the start"),
        ({"fun": lambda x: (math.inf, x)}, "inf at the start"),
        ({"fun": lambda x: (-math.inf, x)}, "no minimum"),
        ({"fun": lambda x: (1.0, x[:1])}, "gradient's shape"),
        ({"fun": lambda x: (1.0, x * math.nan)}, "gradient is not finite"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(arguments, sentence):
    call = {"fun": sphere, "x0": torch.full((2,), 0.5)} | arguments
    with pytest.raises(ValueError, match=sentence):
        plain.minimize(**call)


def test_it_needs_no_bounds():
    far = np.inf
    ours = plain.minimize(rosenbrock, torch.tensor([-1.2, 1.0, 0.3]), -far, far)
    assert ours.x.tolist() == pytest.approx([1, 1, 1], abs=1e-5)
