"""The batched L-BFGS-B: SciPy's minimisers, independence, status, restarts, and bad input."""

import math

import pytest
import scipy.optimize
import torch

from course_lib import lbfgsb
from course_lib.lbfgsb import plain

INF = math.inf
DOUBLE = torch.float64
TIGHT = {"tolerance": 1e-9, "decrease": 0.0, "max_evaluations": 20_000}


def normal(seed: int, *shape) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def uniform(seed: int, *shape) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def quadratics(seed: int, n: int, d: int, condition: float):
    """1/2 (x - b)ᵀ H (x - b), a rotated H for each problem; the minimisers b are mostly outside."""
    basis, _ = torch.linalg.qr(normal(seed, n, d, d))
    spread = torch.logspace(0, math.log10(condition), d, dtype=DOUBLE)
    hessian = (basis * spread) @ basis.mT
    middle = 0.5 + 0.6 * normal(seed + 1, n, d)

    def fun(x, rows):
        h = hessian[rows].to(x)
        away = x - middle[rows].to(x)
        slope = torch.einsum("nij,nj->ni", h, away)
        return (away * slope).sum(1) / 2, slope

    return fun


def rosenbrock(x, rows):
    a, b = x[:, :-1], x[:, 1:]
    valley, rest = b - a.square(), 1 - a
    slope = torch.zeros_like(x)
    slope[:, :-1] = -400 * a * valley - 2 * rest
    slope[:, 1:] += 200 * valley
    return (100 * valley.square() + rest.square()).sum(1), slope


def softmax(seed: int, n: int, d: int, classes: int = 4, scale: float = 3.0):
    """The cross-entropy of a linear network for one target per problem: the attack's h."""
    weight = scale * normal(seed, d, classes)
    targets = torch.arange(n) % classes

    def fun(x, rows):
        logits = x @ weight.to(x)
        target = targets[rows, None]
        slope = logits.softmax(1).scatter_add(1, target, -torch.ones_like(logits[:, :1]))
        value = logits.logsumexp(1) - logits.gather(1, target)[:, 0]
        return value, slope @ weight.to(x).T

    return fun


def separable(seed: int, n: int, d: int):
    """A function of one variable for each variable: nothing in it mixes two rows."""
    a, b = 0.2 + uniform(seed, n, d), 0.5 + normal(seed + 1, n, d)

    def fun(x, rows):
        a_, b_ = a[rows], b[rows]
        t = x - b_
        return (a_ * t.square() + t.square().square()).sum(1), 2 * a_ * t + 4 * t * t.square()

    return fun


def scipy_minima(fun, x0, lower, upper):
    """(N, D) SciPy's minimisers, each problem on its own, and (N,) their values."""
    points, values = [], []
    low, high = (torch.as_tensor(b, dtype=DOUBLE).expand(x0.shape) for b in (lower, upper))
    for k, start in enumerate(x0):
        row = torch.tensor([k])

        def one(x, row=row):
            value, slope = fun(torch.from_numpy(x.copy())[None], row)
            return float(value), slope[0].numpy()

        found = scipy.optimize.minimize(
            one,
            start.clamp(low[k], high[k]).numpy(),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(low[k].tolist(), high[k].tolist(), strict=True)),
            options={"ftol": 0, "gtol": 1e-10, "maxiter": 10_000, "maxfun": 100_000},
        )
        points.append(torch.from_numpy(found.x))
        values.append(found.fun)
    return torch.stack(points), torch.tensor(values, dtype=DOUBLE)


def watched(fun, lower, upper):
    """``fun``, and an assertion that every point it is asked about lies in the box."""
    low, high = (torch.as_tensor(b, dtype=DOUBLE) for b in (lower, upper))

    def inside(x, rows):
        assert x.isfinite().all()
        box = [(b[rows] if b.dim() == 2 else b).to(x) for b in (low, high)]
        assert ((x >= box[0]) & (x <= box[1])).all()
        return fun(x, rows)

    return inside


def is_sound(result, x0):
    n = len(x0)
    assert result.x.shape == x0.shape
    assert result.x.dtype == x0.dtype
    assert result.value.dtype == x0.dtype
    for field in (result.value, result.gradient_norm, result.status, result.iterations):
        assert field.shape == (n,)
    assert (result.evaluations > result.iterations).all()  # one at the start
    assert result.reasons() == [lbfgsb.Status(k).message for k in result.status.tolist()]
    assert torch.equal(result.converged, result.status == lbfgsb.Status.CONVERGED)


BOXES = {
    "numbers": (0.0, 1.0),
    "per variable": (torch.linspace(-0.5, 0.4, 12, dtype=DOUBLE), torch.full((12,), 1.0)),
    "per problem": (uniform(7, 8, 12) - 0.5, 0.6 + uniform(8, 8, 12)),
    "none": (-INF, INF),
    "from below": (0.0, INF),
    "from above": (-INF, 0.7),
    "some infinite": (
        torch.tensor([-INF, 0.0] * 6, dtype=DOUBLE),
        torch.tensor([1.0, 1.0, INF] * 4, dtype=DOUBLE),
    ),
    "wide": (0.0, 1e4),
    "some fixed": (
        torch.tensor([0.3, 0.0] * 6, dtype=DOUBLE),
        torch.tensor([0.3, 1.0] * 6, dtype=DOUBLE),
    ),
}


# --- SciPy's minimisers ----------------------------------------------------------------------


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("condition", [1.0, 1e3])
def test_quadratics_have_the_minimisers_of_scipy(box, condition):
    lower, upper = BOXES[box]
    fun, x0 = quadratics(3, 8, 12, condition), uniform(5, 8, 12)
    wanted, values = scipy_minima(fun, x0, lower, upper)
    result = lbfgsb.minimize(watched(fun, lower, upper), x0, lower, upper, **TIGHT)
    is_sound(result, x0)
    assert (result.value <= values + 1e-9 * (1 + values)).all(), result.reasons()
    assert torch.allclose(result.x, wanted, atol=1e-5)
    assert torch.allclose(fun(result.x, torch.arange(8))[0], result.value)
    if box != "none":
        low, high = (torch.as_tensor(b, dtype=DOUBLE) for b in (lower, upper))
        assert ((result.x == low) | (result.x == high)).any()


def test_one_sided_and_wide_boxes_cost_little_more_than_none():
    # a variable that is far from its bound must not be treated as if it were held by it
    basis, _ = torch.linalg.qr(normal(1, 20, 20))
    hessian = (basis * torch.logspace(0, 3, 20, dtype=DOUBLE)) @ basis.T
    spent = {}
    for lower, upper in [(-INF, INF), (0.0, INF), (-INF, 1.0), (0.0, 1e4), (0.0, 1.0)]:

        def fun(x, rows):
            away = x - 0.5
            return (away @ hessian * away).sum(1) / 2, away @ hessian

        start = torch.full((1, 20), 0.9, dtype=DOUBLE)
        result = lbfgsb.minimize(fun, start, lower, upper, **TIGHT)
        assert (result.x - 0.5).abs().max() < 1e-7
        spent[lower, upper] = int(result.evaluations)
    assert max(spent.values()) < 4 * spent[-INF, INF], spent


def test_a_minimiser_near_the_bound_but_not_on_it():
    basis, _ = torch.linalg.qr(normal(1, 20, 20))
    hessian = (basis * torch.logspace(0, 3, 20, dtype=DOUBLE)) @ basis.T

    def fun(x, rows):
        away = x - 5e-4
        return (away @ hessian * away).sum(1) / 2, away @ hessian

    result = lbfgsb.minimize(fun, torch.full((1, 20), 0.9, dtype=DOUBLE), **TIGHT)
    assert (result.x - 5e-4).abs().max() < 1e-7
    assert result.evaluations < 1500


@pytest.mark.parametrize(
    ("d", "lower", "upper"),
    [(2, -2.0, 2.0), (2, -1.5, 0.5), (10, -2.0, 0.7), (10, 0.2, 0.8), (10, -INF, INF)],
)
def test_rosenbrock_has_the_minimiser_of_scipy(d, lower, upper):
    # with d >= 4 there are other local minima: where the values differ, SciPy must be content with
    # our point when it starts there
    x0 = (2 * normal(d, 6, d)).clamp(max(lower, -2), min(upper, 2))
    wanted, values = scipy_minima(rosenbrock, x0, lower, upper)
    result = lbfgsb.minimize(watched(rosenbrock, lower, upper), x0, lower, upper, **TIGHT)
    assert (result.gradient_norm < 1e-6).all(), result.reasons()
    same = (result.value - values).abs() <= 1e-8 * (1 + values)
    assert torch.allclose(result.x[same], wanted[same], atol=1e-4)
    _, content = scipy_minima(rosenbrock, result.x, lower, upper)
    assert (result.value <= content + 1e-8 * (1 + values)).all()
    assert same.sum() >= (6 if d == 2 else 4)


@pytest.mark.parametrize("c", [1.0, 1e-2, 1e-3])
def test_softmax_problems_with_active_bounds(c):
    n, d = 8, 30
    h, centre = softmax(2, n, d), uniform(3, n, d).round(decimals=1)
    centre[:, ::2] = 0.0  # as in MNIST, most pixels lie on a bound

    def whole(x, rows):
        value, slope = h(x, rows)
        away = x - centre[rows]
        return value + c * away.square().sum(1), slope + 2 * c * away

    wanted, values = scipy_minima(whole, centre, 0.0, 1.0)
    weight = torch.full((n,), c, dtype=DOUBLE)
    result = lbfgsb.minimize(watched(h, 0, 1), centre, centre=centre, weight=weight, **TIGHT)
    assert ((wanted == 0) & (centre == 0)).any()
    assert (result.value <= values + 1e-10).all(), result.reasons()
    assert torch.allclose(result.x, wanted, atol=1e-5 / c**0.5)


@pytest.mark.parametrize("kind", ["quadratic", "softmax"])
def test_in_float32(kind):
    fun = quadratics(3, 8, 12, 30.0) if kind == "quadratic" else softmax(2, 8, 12)
    x0 = uniform(5, 8, 12)
    w = 0.1 * torch.ones(8, dtype=DOUBLE)

    def whole(x, rows):
        value, slope = fun(x, rows)
        away = x - x0[rows]
        return value + 0.1 * away.square().sum(1), slope + 0.2 * away

    wanted, values = scipy_minima(whole, x0, 0.0, 1.0)
    single = x0.float()
    result = lbfgsb.minimize(fun, single, centre=single, weight=w.float(), tolerance=1e-5)
    is_sound(result, single)
    assert torch.allclose(result.x.double(), wanted, atol=2e-3)
    reached = whole(result.x.double(), torch.arange(8))[0]
    assert (reached <= values + 1e-5 * (1 + values)).all()


def test_it_agrees_with_the_short_one():
    for seed, box in enumerate([(0.0, 1.0), (-0.3, 0.6)]):
        fun, x0 = quadratics(seed, 5, 9, 100.0), uniform(seed, 5, 9)
        result = lbfgsb.minimize(fun, x0, *box, **TIGHT)
        for k in range(5):

            def one(x, k=k, fun=fun):
                value, slope = fun(x[None], torch.tensor([k]))
                return float(value), slope[0]

            short = plain.minimize(one, x0[k], *box, tolerance=1e-9, max_iterations=5000)
            assert torch.allclose(result.x[k], short.x, atol=1e-6)
            assert float(result.value[k]) == pytest.approx(short.value, rel=1e-9)


@pytest.mark.parametrize("memory", [1, 3, 20])
def test_any_memory_will_do(memory):
    fun, x0 = quadratics(3, 6, 10, 50.0), uniform(5, 6, 10)
    wanted, _ = scipy_minima(fun, x0, 0.0, 1.0)
    result = lbfgsb.minimize(fun, x0, memory=memory, **TIGHT)
    assert torch.allclose(result.x, wanted, atol=1e-6)


# --- the known quadratic, and restarts --------------------------------------------------------


def test_the_known_quadratic_is_the_same_function():
    n, d = 10, 15
    h, centre, weight = softmax(4, n, d), uniform(6, n, d), 0.05 + uniform(9, n)

    def whole(x, rows):
        value, slope = h(x, rows)
        away, w = x - centre[rows], weight[rows]
        return value + w * away.square().sum(1), slope + 2 * w[:, None] * away

    with_it = lbfgsb.minimize(h, centre, centre=centre, weight=weight, **TIGHT)
    without = lbfgsb.minimize(whole, centre, **TIGHT)
    assert torch.allclose(with_it.x, without.x, atol=1e-6)
    assert torch.allclose(with_it.value, without.value, rtol=1e-10)


def test_a_restart_is_a_fresh_solve():
    n, d = 10, 15
    h, centre, weight = softmax(4, n, d), uniform(6, n, d), 0.05 + uniform(9, n)
    ladder = torch.tensor([1.0, 3.0, 0.4, 1.7], dtype=DOUBLE)
    at = torch.zeros(n, dtype=torch.int64)
    ends = []

    def restart(rows, x, aux, today):
        assert torch.equal(today, weight[rows] * ladder[at[rows]])
        assert torch.equal(aux, x[:, :2] * 2)  # what fun said of these very points
        ends.extend(zip(rows.tolist(), at[rows].tolist(), x, strict=True))
        last = torch.where(rows % 2 == 0, 3, 1)  # the odd problems stop earlier
        again = at[rows] < last
        at[rows] = torch.where(again, at[rows] + 1, at[rows])
        return lbfgsb.Restart(again, weight[rows] * ladder[at[rows]])

    def fun(x, rows):
        return *h(x, rows), x[:, :2] * 2

    result = lbfgsb.minimize(fun, centre, centre=centre, weight=weight, restart=restart, **TIGHT)
    assert len(ends) == 5 * 4 + 5 * 2
    for k, step, x in ends:
        row = slice(k, k + 1)
        fresh = lbfgsb.minimize(
            lambda x, rows, k=k: h(x, rows + k),
            centre[row],
            centre=centre[row],
            weight=weight[row] * ladder[step],
            **TIGHT,
        )
        assert torch.allclose(fresh.x[0], x, atol=1e-6)
        if (k % 2, step) in ((0, 3), (1, 1)):
            assert torch.allclose(fresh.value[0], result.value[k], rtol=1e-9)
            assert torch.equal(result.x[k], x)


def test_the_memory_stays_right_when_the_weight_changes():
    # with as many pairs as variables the curvature is known after one solve: the next is short
    n, d = 20, 5
    h, centre = quadratics(3, n, d, 30.0), uniform(5, n, d)
    settings = {"tolerance": 1e-6, "decrease": 0.0, "memory": 12}
    free = (-INF, INF)
    spent = torch.zeros(2, n, dtype=torch.int64)
    solve = torch.zeros(n, dtype=torch.int64)

    def fun(x, rows):
        spent[solve[rows], rows] += 1
        return h(x, rows)

    def restart(rows, x, aux, weight):
        again = solve[rows] == 0
        solve[rows] = 1
        return lbfgsb.Restart(again, torch.where(again, 5.0, weight))

    weak, strong = (torch.full((n,), w, dtype=DOUBLE) for w in (0.05, 5.0))
    again = lbfgsb.minimize(
        fun, centre, *free, centre=centre, weight=weak, restart=restart, **settings
    )
    fresh = lbfgsb.minimize(h, centre, *free, centre=centre, weight=strong, **settings)
    assert torch.allclose(again.x, fresh.x, atol=1e-5)
    assert spent[1].double().mean() < 0.8 * fresh.evaluations.double().mean()


def test_a_restart_without_more_to_say():
    h, centre = softmax(4, 3, 6), uniform(6, 3, 6)
    seen = []

    def restart(rows, x, aux, weight):
        seen.append(aux)
        return lbfgsb.Restart(torch.zeros_like(rows, dtype=torch.bool), weight)

    ones = torch.ones(3, dtype=DOUBLE)
    result = lbfgsb.minimize(h, centre, centre=centre, weight=ones, restart=restart)
    assert result.converged.all()
    assert seen
    assert all(aux is None for aux in seen)


def test_the_evaluations_between_two_restarts_are_limited():
    fun, x0 = quadratics(3, 1, 12, 1e3), uniform(5, 1, 12)
    spent, counts = [0], []

    def counted(x, rows):
        spent[0] += 1
        return *fun(x, rows), x

    def restart(rows, x, aux, weight):
        counts.append(spent[0])
        return lbfgsb.Restart(torch.full_like(rows, len(counts) < 4, dtype=torch.bool), weight)

    zero = torch.zeros(1, dtype=DOUBLE)
    lbfgsb.minimize(counted, x0, centre=x0, weight=zero, restart=restart, per_solve=5)
    assert len(counts) == 4
    assert all(b - a <= 5 for a, b in zip([1, *counts], counts, strict=False))


# --- each problem on its own ------------------------------------------------------------------


@pytest.mark.parametrize("n", [7, 60])
def test_companions_do_not_matter(n):
    fun, x0 = separable(3, n, 6), uniform(4, n, 6)
    together = lbfgsb.minimize(fun, x0, tolerance=1e-7)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    permuted = lbfgsb.minimize(lambda x, rows: fun(x, order[rows]), x0[order], tolerance=1e-7)
    for field in ("x", "value", "gradient_norm", "status", "iterations", "evaluations"):
        assert torch.equal(getattr(permuted, field), getattr(together, field)[order]), field
    for k in range(0, n, 5):
        alone = lbfgsb.minimize(
            lambda x, rows, k=k: fun(x, rows + k), x0[k : k + 1], tolerance=1e-7
        )
        for field in ("x", "value", "status", "iterations", "evaluations"):
            assert torch.equal(getattr(alone, field)[0], getattr(together, field)[k]), field


@pytest.mark.parametrize("n", [10, 300])
def test_what_has_finished_is_not_evaluated_any_more(n):
    # n hard problems beside n that are solved at once
    hard, asked = quadratics(3, n, 6, 300.0), []
    easy = torch.full((n, 6), 0.5, dtype=DOUBLE)

    def fun(x, rows):
        asked.append(rows)
        value, slope = hard(x, rows % n)
        flat = (rows < n)[:, None]
        return torch.where(flat[:, 0], 0.0, value), torch.where(flat, 0.0, slope)

    result = lbfgsb.minimize(fun, torch.cat([easy, uniform(3, n, 6)]), tolerance=1e-7)
    total, needed = sum(map(len, asked)), int(result.evaluations.sum())
    counts = torch.cat(asked).bincount(minlength=2 * n)
    assert (counts >= result.evaluations).all()
    assert (result.evaluations[:n] == 1).all()
    assert (counts[:n] == 1).all()  # half of the batch: dropped at once
    if n == 10:
        assert total == needed
    assert total <= needed / (1 - lbfgsb.batched.COMPACT)


# --- how it can end ---------------------------------------------------------------------------


def test_every_way_to_end_in_one_batch():
    names = ["converged", "stuck", "not finite", "not finite", "out of evaluations"]
    rosen = torch.tensor([[-1.2, 1.0, -1.2, 1.0]], dtype=DOUBLE)

    def fun(x, rows):
        value, slope = ((x - 0.3) ** 2).sum(1), 2 * (x - 0.3)
        kinds = rows[:, None]
        hard = rosenbrock(x, rows)
        value = torch.where(rows == 4, hard[0], value)
        slope = torch.where(kinds == 4, hard[1], slope)
        slope = torch.where(kinds == 1, -slope, slope)  # points uphill: no step will do
        value = torch.where(rows == 2, torch.nan, value)
        slope = torch.where(kinds == 3, torch.nan, slope)
        return value, slope

    x0 = torch.full((5, 4), 0.6, dtype=DOUBLE)
    x0[4] = rosen
    result = lbfgsb.minimize(fun, x0, -2.0, 2.0, max_evaluations=30)
    assert result.reasons() == names
    assert result.converged.tolist() == [True, False, False, False, False]
    assert torch.allclose(result.x[0], torch.tensor(0.3, dtype=DOUBLE))
    assert torch.equal(result.x[1:4], x0[1:4])
    assert result.value[4] < rosenbrock(x0[4:], None)[0][0]
    assert result.evaluations.tolist()[1:] == [21, 1, 1, 30]
    assert result.gradient_norm[0] < 1e-5
    assert result.gradient_norm[2:4].isnan().all()  # none was computed


def test_flat():
    fun, x0 = quadratics(3, 4, 12, 1e3), uniform(5, 4, 12)
    result = lbfgsb.minimize(fun, x0, tolerance=0.0, decrease=0.05)
    assert result.reasons() == ["flat"] * 4
    fine = lbfgsb.minimize(fun, x0, tolerance=1e-9, decrease=0.0, max_evaluations=5000)
    assert (result.value >= fine.value).all()
    assert (result.evaluations < fine.evaluations).all()


def test_a_start_that_is_the_minimum():
    x0 = torch.full((2, 3), 0.3, dtype=DOUBLE)
    result = lbfgsb.minimize(lambda x, rows: (((x - 0.3) ** 2).sum(1), 2 * (x - 0.3)), x0)
    assert result.reasons() == ["converged"] * 2
    assert result.evaluations.tolist() == [1, 1]
    assert result.iterations.tolist() == [0, 0]


def test_a_function_that_is_not_finite_on_the_way_takes_a_shorter_step():
    def fun(x, rows):  # -log(0.6 - x): infinite beyond 0.6, and pulled there
        room = 0.6 - x
        bad = (room <= 0).any(1)
        value = (-room.clamp_min(1e-9).log() - 8 * x).sum(1)
        return torch.where(bad, torch.nan, value), 1 / room - 8

    result = lbfgsb.minimize(fun, torch.full((3, 4), 0.1, dtype=DOUBLE), tolerance=1e-8)
    assert result.converged.all()
    assert torch.allclose(result.x, torch.tensor(0.6 - 1 / 8, dtype=DOUBLE), atol=1e-7)


@pytest.mark.parametrize("at", [1, 2, 5, 30])
def test_an_interrupt_leaves_what_is_done(at):
    n, calls = 30, []
    inner = quadratics(3, n, 6, 100.0)

    def fun(x, rows):
        calls.append(len(rows))
        if len(calls) == at:
            raise KeyboardInterrupt
        value, slope = inner(x, rows)
        easy = rows < 15
        return torch.where(easy, 0, value), torch.where(easy[:, None], 0, slope)

    x0 = uniform(3, n, 6)
    result = lbfgsb.minimize(fun, x0, tolerance=1e-9)
    left = result.status == lbfgsb.Status.INTERRUPTED
    assert left[15:].any()
    assert [name == "interrupted" for name in result.reasons()] == left.tolist()
    if at > 1:
        assert result.reasons()[:15] == ["converged"] * 15
    if at == 1:
        assert result.value.isnan().all()  # nothing is known of any point
        assert torch.equal(result.x, x0)
    else:
        now = inner(result.x, torch.arange(n))[0]
        assert torch.allclose(result.value[15:], now[15:])  # the last point, and its own value
        before = inner(x0, torch.arange(n))[0]
        assert (result.value[15:] <= before[15:]).all()


# --- bad input --------------------------------------------------------------------------------


def nothing(x, rows):
    raise AssertionError("the function was evaluated")


X0 = torch.zeros(3, 4)


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "sentence"),
    [
        (([0.0, 1.0],), {}, TypeError, "x0 must be a float tensor"),
        ((torch.zeros(4),), {}, TypeError, "x0 must be a float tensor"),
        ((torch.zeros(3, 4, dtype=torch.int64),), {}, TypeError, "x0 must be a float tensor"),
        ((X0, torch.zeros(3)), {}, ValueError, "does not fit points"),
        ((X0, 0.0, torch.zeros(4, 4)), {}, ValueError, "does not fit points"),
        ((X0, 0.0, torch.zeros(1, 3, 4)), {}, ValueError, "does not fit points"),
        ((X0, 1.0, 0.0), {}, ValueError, "lower bound must be at most"),
        ((X0, 0.0, math.nan), {}, ValueError, "lower bound must be at most"),
        ((X0 / 0,), {}, ValueError, "NaN or infinity"),
        ((X0,), {"centre": X0}, ValueError, "needs both its centre and weight"),
        ((X0,), {"weight": X0[:, 0]}, ValueError, "needs both its centre and weight"),
        ((X0,), {"centre": X0, "weight": X0[:2, 0]}, ValueError, "one value per problem"),
        (
            (X0,),
            {"centre": X0[:2], "weight": X0[:, 0]},
            ValueError,
            "centre must have",
        ),
        ((X0,), {"centre": X0, "weight": X0[:, 0] - 1}, ValueError, "must not be negative"),
        ((X0,), {"centre": X0, "weight": X0[:, 0] / 0}, ValueError, "must not be negative"),
        ((X0,), {"memory": 0}, ValueError, "at least 1"),
        ((X0,), {"max_evaluations": 0}, ValueError, "at least 1"),
    ],
)
def test_bad_input_is_said_before_any_evaluation(arguments, settings, error, sentence):
    with pytest.raises(error, match=sentence):
        lbfgsb.minimize(nothing, *arguments, **settings)


@pytest.mark.parametrize(
    "fun",
    [
        lambda x, rows: (x.sum(1, keepdim=True), x),
        lambda x, rows: (x.sum(), x),
        lambda x, rows: (x.sum(1), x[:1]),
    ],
)
def test_a_function_of_the_wrong_shape_is_said(fun):
    with pytest.raises(ValueError, match=r"must return|should return|returned"):
        lbfgsb.minimize(fun, torch.ones(3, 4))


def test_no_problems():
    result = lbfgsb.minimize(nothing, torch.zeros(0, 4))
    assert result.x.shape == (0, 4)
    assert result.reasons() == []


def test_the_arguments_are_left_alone():
    x0 = torch.full((2, 3), 7.0).requires_grad_()
    centre, weight = torch.zeros(2, 3), torch.ones(2)
    kept = x0.detach().clone()
    result = lbfgsb.minimize(softmax(2, 2, 3), x0, centre=centre, weight=weight)
    assert torch.equal(x0, kept)
    assert torch.equal(centre, torch.zeros(2, 3))
    assert torch.equal(weight, torch.ones(2))
    assert not result.x.requires_grad
    assert ((result.x >= 0) & (result.x <= 1)).all()  # brought into the box


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_a_gpu_finds_the_same(dtype, gpu):
    n, d = 8 if gpu else 64, 30  # fewer on a pretended one, which is slow
    weight, x0 = 3 * normal(2, d, 4), uniform(3, n, d).to(dtype)
    targets = torch.arange(n) % 4
    found = []
    for where in ("cpu", "cuda"):
        w, t, c = (v.to(where) for v in (weight.to(dtype), targets, x0))

        def fun(x, rows, w=w, t=t):
            logits = x @ w
            target = t[rows, None]
            slope = logits.softmax(1).scatter_add(1, target, -torch.ones_like(logits[:, :1]))
            return logits.logsumexp(1) - logits.gather(1, target)[:, 0], slope @ w.T

        tolerance = 1e-5 if dtype == torch.float32 else 1e-9
        weights = torch.full((n,), 0.1, dtype=dtype, device=where)
        found.append(lbfgsb.minimize(fun, c, centre=c, weight=weights, tolerance=tolerance))
    assert found[1].x.is_cuda
    close = 2e-3 if dtype == torch.float32 else 1e-6
    assert torch.allclose(found[0].x, found[1].x.cpu(), atol=close)
