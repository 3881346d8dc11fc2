"""Lesson 04: what the generic tests of the exercises do not cover."""

import importlib
import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
import torch.nn.functional as F

from course_lib import attacks, models, paper, storage, zoo
from course_lib.data import load_mnist
from course_lib.exercises import find, judge, sources
from course_lib.exercises.lesson04.questions import QUIZZES
from course_lib.exercises.lesson04.shared import SINGLE
from course_lib.lbfgsb import plain
from course_lib.plotting import lesson04 as figures

ROOT = Path(__file__).parents[1]
RECORD = storage.ASSETS / "records" / "attacks.json"
FAITHFUL = "recorded/cross-entropy/squared"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def example():
    """FC100-100-10 in double precision, one training image and its recorded target."""
    few = load_mnist("train", "cpu").sample(200, seed=4)
    net = zoo.load("FC100-100-10", device="cpu").double().requires_grad_(False)
    return net, few.images[0].double(), int(attacks.recorded_targets(few)[0])


def test_the_learners_own_parts_are_the_ones_that_run():
    used = []

    def two_loop(gradient, pairs):
        used.append("two_loop")
        return plain.two_loop(gradient, pairs)

    def search(*arguments):
        used.append("search")
        return plain.projected_search(*arguments)

    def valley(x):
        return float(x[0] ** 2 + 30 * x[1] ** 2), torch.stack([2 * x[0], 60 * x[1]])

    start = torch.tensor([0.9, 0.2]).double()
    plain.minimize(valley, start, -1.0, 1.0, two_loop=two_loop, search=search)
    assert set(used) == {"two_loop", "search"}


def test_one_image_is_attacked_as_well_as_by_the_library(example):
    net, image, target = example
    solve, search = find("solve-for-c").solution(), find("search-for-c").solution()
    c, r = search(lambda c: solve(net, image, target, c))
    theirs = attacks.minimal_adversarial(
        net, image[None], torch.tensor([target]), loss="cross-entropy"
    )
    assert theirs.success.all()
    ours = float(r.square().mean()) ** 0.5
    assert ours == pytest.approx(float(theirs.distortion[0]), rel=0.01)
    assert int(net((image + r)[None]).argmax()) == target
    assert not solve(net, image, target, 1.01 * c)[1]  # the largest c, to the bracket's width


def test_the_bug_succeeds_everywhere_and_far_away_as_the_lesson_says(example):
    net, image, target = example
    solve, exercise = find("solve-for-c").solution(), find("search-for-c")
    buggy = sources.build(exercise.buggy(), exercise.solution(), exercise.function)
    _, far = buggy(lambda c: solve(net, image, target, c))
    _, near = exercise.solution()(lambda c: solve(net, image, target, c))
    assert int(net((image + far)[None]).argmax()) == target
    assert far.norm() > 1.7 * near.norm()


def test_the_noise_formula_is_exact_for_one_plane():
    """By simulation, without a formula."""
    rng = torch.Generator().manual_seed(0)
    normal = torch.randn(50, generator=rng, dtype=torch.float64)
    images = torch.rand(40, 50, generator=rng, dtype=torch.float64)
    side = images @ normal - 12 * normal.mean()
    distance = side / normal.norm()
    noise = torch.randn(20_000, 50, generator=rng, dtype=torch.float64) * 0.7
    crossed = torch.stack([((x + noise) @ normal < 12 * normal.mean()).double() for x in images])
    formula = find("error-under-noise").solution()(distance / 50**0.5, 0.7, 50)
    assert float(formula) == pytest.approx(float(crossed.mean()), abs=0.005)


def test_a_foreseen_mistake_is_recognised_however_it_is_written():
    def error(distortion, stddev, pixels=784):
        return (0.5 * torch.erfc(distortion / stddev / math.sqrt(2))).mean()

    assert judge(find("error-under-noise"), error).mistake == "rms for length"

    def step(image, r, gradient, length):
        moved = r - length * gradient
        return torch.minimum(torch.maximum(moved, torch.zeros_like(r)), torch.ones_like(r))

    assert judge(find("projected-step"), step).mistake == "r clamped to [0, 1]"

    def solve(net, image, target, c):
        start = image.flatten()

        def objective(z):
            loss = F.cross_entropy(net(z.reshape(1, *image.shape)), torch.tensor([target]))
            return c * F.mse_loss(z, start) + loss

        z = plain.minimize(plain.with_gradient(objective), start).x.reshape(image.shape)
        return z - image, int(net(z[None]).argmax()) == target

    assert judge(find("solve-for-c"), solve).mistake == "mean of the squares"


def test_a_search_on_the_chord_is_told_from_the_bent_path():
    def search(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
        way = plain.project(x + direction, lower, upper) - x
        slope, t = gradient @ way, 1.0
        while slope < 0 and t > 1e-9:
            new = fun(x + t * way)
            if new[0] <= value + 1e-4 * t * slope:
                return x + t * way, *new
            t /= 2

    assert judge(find("projected-search"), search).mistake == "on the chord"

    def impatient(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
        for k in range(31):
            point = plain.project(x + direction / 2**k, lower, upper)
            slope = gradient @ (point - x)
            if slope >= 0:
                return None
            new = fun(point)
            if new[0] <= value + 1e-4 * slope:
                return point, *new

    assert "shorter step" in judge(find("projected-search"), impatient).sentence


def test_the_search_is_asked_at_a_bend_where_the_first_step_is_too_long():
    """By hand: (0, 0) at t = 1 is higher than the start, (0.8, 0.15) at t = 1/16 is taken."""
    case = next(c for c in find("projected-search").draw("cpu") if "bend" in c.label)
    fun, x, value, gradient, direction = case.args
    assert gradient.tolist() == pytest.approx([0.9 - 0.5, 30 * 0.9 - 15])
    assert fun(plain.project(x + direction))[0] > value
    point, _, _ = plain.projected_search(*case.args)
    assert point.tolist() == pytest.approx([0.9 - 1.6 / 16, 0.9 - 12 / 16])


def test_each_pair_needs_its_own_share():
    def two_loop(gradient, pairs):
        pairs = [(s, y) for s, y in pairs if s @ y > 0]
        q, alphas = gradient, []
        for s, y in pairs[::-1]:
            alphas.append(s @ q / (s @ y))
            q = q - alphas[-1] * y
        if pairs:
            s, y = pairs[-1]
            q = s @ y / (y @ y) * q
        for (s, y), alpha in zip(pairs, alphas, strict=True):
            q = q + (alpha - y @ q / (s @ y)) * s
        return q

    assert judge(find("two-loop"), two_loop).mistake == "α in the order of the first loop"
    feedback = judge(find("two-loop"), lambda gradient, pairs: plain.two_loop(gradient, pairs[-1:]))
    assert "s = (1, 0), y = (2, 1)" in feedback.sentence  # an unforeseen one sees the numbers


@pytest.mark.parametrize(
    ("size", "name"),
    [
        (torch.linalg.vector_norm, "the norm and not its square"),
        (lambda r: (r**2).sum() ** 0.5, "the root of the sum of squares"),
    ],
)
def test_the_norm_in_place_of_its_square_is_recognised(size, name):
    def solve(net, image, target, c):
        start = image.flatten()

        def objective(z):
            loss = F.cross_entropy(net(z.reshape(1, *image.shape)), torch.tensor([target]))
            return c * size(z - start) + loss

        fun = plain.with_gradient(objective)
        z = plain.minimize(fun, start, tolerance=1e-4).x.reshape(image.shape)
        return z - image, int(net(z[None]).argmax()) == target

    assert judge(find("solve-for-c"), solve).mistake == name


def test_a_right_answer_may_have_another_tolerance():
    exercise = find("solve-for-c")

    def with_tolerance(tolerance):
        def solve(net, image, target, c):
            start = image.flatten()

            def objective(z):
                logits = net(z.reshape(1, *image.shape))
                return c * ((z - start) ** 2).sum() + F.cross_entropy(
                    logits, torch.tensor([target])
                )

            fun = plain.with_gradient(objective)
            z = plain.minimize(fun, start, tolerance=tolerance).x.reshape(image.shape)
            return z - image, net(z[None]).argmax() == target

        return solve

    for tolerance in (2e-4, 1e-6, 1e-9):
        assert judge(exercise, with_tolerance(tolerance)).status == "PASS"


def test_the_quiz_counts_memory_right():
    n = 3 * 224 * 224
    assert n == 150_528
    assert 20 * n * 8 == pytest.approx(24e6, rel=0.01)
    assert n * n * 8 == pytest.approx(181e9, rel=0.01)


def mean(record, name, key=FAITHFUL):
    return record["networks"][name]["summary"][key]["mean"]


def test_the_record_is_of_todays_networks_and_all_attacks_succeeded(record):
    for name in (*paper.TABLE1, *paper.TABLE3):
        entry = record["networks"][name]
        assert entry["fingerprint"] == zoo.recipe_fingerprint(name, zoo.recipe(name))
        assert entry["images"].startswith(
            f"MNIST {'test' if name in paper.TABLE3 else 'train'}, {record['n']} drawn"
        )
        for run in entry["seeds"].values():
            assert {found["success"] for found in run.values()} == {1.0}


def test_what_the_lesson_says_of_table_1_is_what_the_record_says(record):
    fc10 = [mean(record, name) for name in ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)")]
    assert fc10 == sorted(fc10)
    assert fc10[2] > 2 * fc10[0]
    for name in ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)"):
        assert mean(record, name) == pytest.approx(paper.TABLE1[name].distortion, rel=0.15)
    hidden = {n: mean(record, n) for n in paper.TABLE1 if not n.startswith("FC10(")}
    assert max(hidden, key=hidden.get) == "AE400-10"
    assert min(hidden.values()) > fc10[0]  # not the paper's order
    assert paper.TABLE1["FC100-100-10"].distortion < paper.TABLE1["FC10(1e-4)"].distortion
    for name, row in paper.TABLE3.items():
        assert mean(record, name) == pytest.approx(row.distortion, rel=0.15)


def test_what_the_lesson_says_of_the_readings_is_what_the_record_says(record):
    for name in paper.TABLE1:
        base = mean(record, name)
        assert mean(record, name, "recorded/cross-entropy/l2") == pytest.approx(base, rel=0.02)
        assert mean(record, name, "recorded/margin/squared") < base
        assert mean(record, name, "nearest/cross-entropy/squared") < 0.75 * base
    for key in record["networks"]["FC10(1)"]["summary"]:  # no reading fits all six networks
        apart = [abs(mean(record, n, key) / row.distortion - 1) for n, row in paper.TABLE1.items()]
        assert max(apart) > 0.1
    nearest, nine = (
        mean(record, "FC10(1e-4)", f"{rule}/cross-entropy/squared") for rule in ("nearest", "nine")
    )
    assert nearest < 0.55 * nine
    for name in ("FC100-100-10", "AE400-10"):
        assert record["monotone"][name]["images"] >= 40


@pytest.mark.parametrize("name", list(paper.FIGURE7))
def test_noise_of_stddev_1_leaves_about_half_right(name):
    test = load_mnist("test", "cpu").sample(1000, seed=5)
    noisy = attacks.gaussian_noise(test.images, 1.0)
    guessed = models.predictions(zoo.load(name, device="cpu"), noisy)
    accuracy = float((guessed == test.labels).double().mean())
    assert accuracy == pytest.approx(paper.FIGURE7_NOISE_ACCURACY, abs=0.12)


def test_the_references_are_built():
    module = importlib.import_module("course_lib.exercises._references.04_box_constrained_lbfgs")
    assert set(module.BUGGY) == {"search-for-c"}


# --- right and wrong answers of the kinds that learners gave ----------------------------------


def recursion(keep=lambda s, y: s @ y > 0, small=0.0):
    def two_loop(gradient, pairs):
        pairs = [(s, y) for s, y in pairs if keep(s, y)]
        if not pairs:
            return gradient.clone()
        q, alphas = gradient, []
        for s, y in reversed(pairs):
            alphas.append(s @ q / (s @ y + small))
            q = q - alphas[-1] * y
        s, y = pairs[-1]
        r = s @ y / (y @ y) * q
        for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
            r = r + (alpha - y @ r / (s @ y + small)) * s
        return r

    return two_loop


def test_the_tiny_pairs_near_a_minimum_count():
    two_loop = find("two-loop")
    assert judge(two_loop, recursion()).status == "PASS"
    relative = recursion(lambda s, y: s @ y > 1e-12 * s.norm() * y.norm())
    assert judge(two_loop, relative).status == "PASS"
    for least in (1e-10, 1e-8):
        feedback = judge(two_loop, recursion(lambda s, y, least=least: s @ y > least))
        assert feedback.mistake == "pairs with a small s·y left out"
    assert judge(two_loop, recursion(small=1e-10)).mistake == "1e-10 added to s·y"
    assert judge(two_loop, lambda gradient, pairs: recursion()(gradient, pairs[-10:])).status == (
        "FAIL"
    )


def in_single_precision(function):
    def wrapper(*arguments, **named):
        def narrow(value):
            if isinstance(value, torch.Tensor):
                return value.float()
            return type(value)(map(narrow, value)) if isinstance(value, list | tuple) else value

        return function(*map(narrow, arguments), **named)

    return wrapper


@pytest.mark.parametrize("slug", ["projected-step", "projected-gradient", "two-loop"])
def test_digits_lost_on_the_way_are_told_and_lists_have_them_all(slug):
    exercise = find(slug)
    right = sources.own_copy(exercise.solution())
    assert judge(exercise, in_single_precision(right)).sentence == SINGLE
    assert judge(exercise, lambda *a, **k: right(*a, **k).tolist()).status == "PASS"


def search(halvings=31, up_front=False):
    def projected_search(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
        if up_front and gradient @ direction >= 0:
            return None
        for k in range(halvings):
            point = plain.project(x + direction / 2**k, lower, upper)
            slope = gradient @ (point - x)
            new = fun(point)
            if slope < 0 and new[0] <= value + 1e-4 * slope:
                return point, *new
        return None

    return projected_search


def test_a_search_goes_on_for_thirty_halvings_or_so():
    exercise = find("projected-search")
    assert [judge(exercise, search(n)).status for n in (31, 40)] == ["PASS", "PASS"]
    assert [judge(exercise, search(n)).status for n in (10, 20, 25)] == ["FAIL"] * 3
    assert judge(exercise, search(up_front=True)).mistake == "given up on the direction"


def test_the_minimiser_takes_parts_that_return_lists_and_arrays():
    def two_loop(gradient, pairs):
        return plain.two_loop(gradient, pairs).tolist()

    def own_search(*arguments):
        found = plain.projected_search(*arguments)
        return found and [found[0].numpy(), torch.tensor(found[1]), list(found[2])]

    def valley(x):
        return float(x[0] ** 2 + 30 * (x[1] - 0.3) ** 2), torch.stack([2 * x[0], 60 * x[1] - 18])

    start = torch.tensor([0.9, 0.2]).double()
    found = plain.minimize(valley, start, two_loop=two_loop, search=own_search)
    assert found.converged
    assert found.x.tolist() == pytest.approx([0, 0.3], abs=1e-6)


def test_a_target_far_behind_has_a_loss():
    def solve(small):
        def solve_for_c(net, image, target, c):
            def objective(z):
                p = net(z.reshape(1, *image.shape)).softmax(1)[0, target]
                return c * (z - image.flatten()).square().sum() - (p + small).log()

            z = plain.minimize(plain.with_gradient(objective), image.flatten(), tolerance=1e-4).x
            r = z.reshape(image.shape) - image
            return r, bool(net((image + r)[None]).argmax() == target)

        return solve_for_c

    assert judge(find("solve-for-c"), solve(0.0)).mistake == "softmax, then logarithm"
    told = judge(find("solve-for-c"), solve(1e-12)).mistake
    assert told == "a small number in the logarithm"


@pytest.mark.parametrize(
    ("size", "status"),
    [
        (lambda r: r.norm(), "PASS"),
        (lambda r: float((r**2).mean()), "PASS"),
        (lambda r: r.abs().sum(), "FAIL"),
        (lambda r: r.abs().max(), "FAIL"),
    ],
)
def test_the_smallest_change_is_that_of_the_smallest_norm(size, status):
    def search_for_c(solve, smallest=1e-4, largest=1e2, tries=12):
        low, high, best, least = smallest, largest, (None, None), math.inf
        for _ in range(tries):
            c = math.sqrt(low * high)
            r, success = solve(c)
            low, high = (c, high) if success else (low, c)
            if success and size(r) < least:
                best, least = (c, r), size(r)
        return best

    assert judge(find("search-for-c"), search_for_c).status == status


def test_what_the_lesson_says_of_every_row_is_what_the_record_says(record):
    """The rubric takes each of these for a difference that stands whichever reading is chosen."""
    for key in record["networks"]["FC10(1)"]["summary"]:
        found = {name: mean(record, name, key) for name in paper.TABLE1}
        assert found["FC10(1e-4)"] < found["FC10(1e-2)"] < found["FC10(1)"]
        assert found["FC10(1e-4)"] < found["FC100-100-10"] < found["AE400-10"]
        assert found["FC200-200-10"] < found["AE400-10"]


# --- and once more -----------------------------------------------------------------------------


def own_search(bar, slope_of=None, most=0.0, count=31):
    """A search with the bar ``bar(value, slope, gradient, t)``, or slopes below ``most`` only."""

    def projected_search(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
        for k in range(count):
            point = plain.project(x + direction / 2**k, lower, upper)
            slope = gradient @ (point - x)
            if slope < most:
                new = fun(point)
                if new[0] <= bar(value, slope, gradient, 0.5**k):
                    return point, *new
        return None

    return projected_search


def armijo(value, slope, gradient, t):
    return value + 1e-4 * slope


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (
            own_search(lambda value, slope, g, t: value - 1e-4 * t * (g @ g)),
            "the square of the gradient",
        ),
        (own_search(armijo, most=-1e-8), "small slopes not taken"),
        (own_search(armijo, most=-1e-12), "small slopes not taken"),
        (own_search(lambda value, slope, g, t: value + slope), "all of the promised decrease"),
        (
            own_search(lambda value, slope, g, t: value - 1e-4 * slope),
            "the bar above the old value",
        ),
        (
            own_search(lambda value, slope, g, t: value + 0.1 * slope),
            "a tenth of the promised decrease",
        ),
        (own_search(armijo, count=1), "the first length only"),
        (own_search(armijo, count=5), "10 halvings"),
        (own_search(armijo, count=15), "20 halvings"),
    ],
)
def test_a_usual_wrong_search_is_named(answer, name):
    assert judge(find("projected-search"), answer).mistake == name


def test_no_more_halvings_are_told_than_were_needed():
    exercise = find("projected-search")
    assert "fewer than 12" in judge(exercise, own_search(armijo, count=5)).sentence
    assert "fewer than 21" in judge(exercise, own_search(armijo, count=15)).sentence


def test_a_number_added_to_the_bar_does_not_pass():
    def bar(value, slope, gradient, t):
        return armijo(value, slope, gradient, t) + 1e-10

    assert judge(find("projected-search"), own_search(bar)).status == "FAIL"


def test_the_function_is_asked_once_for_a_point():
    def search(again=0, at_x=False, before=False):
        def projected_search(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
            if at_x:
                value, gradient = fun(x)
            for k in range(31):
                point = plain.project(x + direction / 2**k, lower, upper)
                new = fun(point) if before else None
                slope = gradient @ (point - x)
                if slope < 0 and (new or fun(point))[0] <= value + 1e-4 * slope:
                    return point, *(fun(point) if again else new or fun(point))
            return None

        return projected_search

    exercise = find("projected-search")
    assert judge(exercise, search(before=True)).status == "PASS"
    for wasteful in (search(again=1), search(at_x=True)):
        assert judge(exercise, wasteful).sentence.startswith("The points are right, but `fun`")


@pytest.mark.parametrize("least", [1e-2, 1e-3, 1e-4, 1e-5])
def test_small_entries_of_the_projected_gradient_count(least):
    def dead(x, gradient, lower=0.0, upper=1.0):
        p = x - plain.project(x - gradient, lower, upper)
        return torch.where(p.abs() < least, 0 * p, p)

    assert judge(find("projected-gradient"), dead).status == "FAIL"


def test_the_projected_gradient_may_be_written_with_clamp():
    """Its bounds are both numbers or both tensors, as `clamp` takes them."""

    def clamped(x, gradient, lower=0.0, upper=1.0):
        return x - (x - gradient).clamp(lower, upper)

    assert judge(find("projected-gradient"), clamped).status == "PASS"


def own_solve(begin=None, truth=bool, ruin=False):
    def solve_for_c(net, image, target, c):
        start = image.flatten()

        def objective(z):
            loss = F.cross_entropy(net(z.reshape(1, *image.shape)), torch.tensor([target]))
            return c * (z - start).square().sum() + loss

        z = start if begin is None else begin(start)
        r = plain.minimize(plain.with_gradient(objective), z, tolerance=1e-6).x - start
        r = r.reshape(image.shape)
        success = truth(net((image + r)[None]).argmax(1) == target)
        if ruin:
            net.float()
        return r, success

    return solve_for_c


def test_a_truth_of_one_element_is_one():
    exercise = find("solve-for-c")
    for truth in (lambda found: found, lambda found: found.numpy(), bool):
        assert judge(exercise, own_solve(truth=truth)).status == "PASS"
    assert judge(exercise, own_solve(truth=lambda found: ~found)).status == "FAIL"


def test_the_search_for_r_starts_at_the_image():
    exercise = find("solve-for-c")
    for begin in (torch.rand_like, lambda start: torch.full_like(start, 0.5)):
        assert "starts elsewhere" in judge(exercise, own_solve(begin)).sentence


def test_a_network_left_in_single_precision_is_told():
    assert "argument `net`" in judge(find("solve-for-c"), own_solve(ruin=True)).sentence


def test_a_search_that_finds_nothing_is_told_where_and_what_was_to_be_found():
    """One that no mistake foresees sees x, the direction and the bounds."""

    def third(value, slope, gradient, t):
        return value + 0.33 * slope

    told = judge(find("projected-search"), own_search(third, count=4)).sentence
    assert told.startswith("On ")
    assert "x = [" in told
    assert "direction = [" in told
    assert "returns None, where a result was expected: point = [" in told


def test_something_for_nothing_and_dicts_are_told_by_their_names():
    exercise = find("projected-search")

    def in_a_dict(*args):
        found = plain.projected_search(*args)
        return found and dict(zip(("point", "value", "gradient"), found, strict=True))

    feedback = judge(exercise, in_a_dict)
    assert feedback.status == "FAIL"
    assert "is a dict" in feedback.sentence
    assert "KeyError" not in feedback.sentence

    def solved(*args):
        return dict(zip(("r", "success"), own_solve()(*args), strict=True))

    assert "is a dict" in judge(find("solve-for-c"), solved).sentence

    def always(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
        found = plain.projected_search(fun, x, value, gradient, direction, lower, upper)
        return found or (x + 0.125, value, gradient)

    told = judge(exercise, always).sentence
    assert "Your function returns point = [" in told
    assert told.endswith("; expected None.")


def test_arrays_in_a_part_are_noticed():
    right = own_search(armijo)

    def search(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
        found = right(fun, x, value, gradient, direction, lower, upper)
        return found and (found[0].numpy(), *found[1:])

    notices = judge(find("projected-search"), search).notices
    assert any("a NumPy array for `point`" in text for text in notices)


def path_of_two():
    lower, upper = torch.tensor([-1.5, -0.5]).double(), torch.tensor([0.8, 1.5]).double()

    def height(x, y):
        return 100 * (y - x**2) ** 2 + (1 - x) ** 2

    begin = torch.tensor([-1.2, 1.0]).double()
    fun = plain.with_gradient(lambda x: height(x[0], x[1]))
    return plain.minimize(fun, begin, lower, upper).path, height, lower, upper


def test_the_figure_of_the_descent_names_what_it_draws():
    path, *rest = path_of_two()
    for step, rejected in ((1, True), (13, False), (len(path), False)):
        assert (len(path[step - 1].tried) > 1) == rejected
        axis = figures.descent(path, step, *rest).axes[0]
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("x", "y")
        names = axis.get_legend_handles_labels()[1]
        assert ("tried, too high" in names) == rejected
        assert {"direction (not its length)", "taken"} <= set(names)
        assert any(text.get_text().startswith("f = ") for text in axis.texts)
    plt.close("all")


def source():
    return (ROOT / "solutions" / "04_box_constrained_lbfgs.py").read_text(encoding="utf-8")


def test_the_scores_of_what_the_learners_code_did_say_whose_code_it_was():
    for slug in ("evaluations-for-one-c", "held-pixels"):
        cell = next(c for c in source().split("# %% ") if f'score("{slug}"' in c)
        assert "whose(solve_for_c)" in cell


def test_nothing_before_the_hunt_gives_its_bugs_away():
    before = source().split('exercise="search-for-c"')[0]
    for word in ("maximum", "largest c", "farther away", "best that was tried"):
        assert word not in before.split("## 5. Which c?")[1], word
    options = " ".join(option.why for option in QUIZZES["c-and-size"].options)
    assert "largest" not in options


def test_what_the_text_says_in_numbers_of_the_record_is_so(record):
    ratio = mean(record, "FC100-100-10", "nearest/cross-entropy/squared") / mean(
        record, "FC100-100-10"
    )
    assert f"{ratio:.2f}" == "0.63"  # the model answer of `table-reading`
