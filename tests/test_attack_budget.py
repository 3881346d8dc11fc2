"""The attack within a budget of gradients, with many classes, and the routes that it takes."""

import dataclasses

import pytest
import torch
from torch import nn

from course_lib import attacks, data, zoo
from course_lib.attacks import Status, averaging, descent, minimal, primal_dual, routes, sqp, turns
from course_lib.attacks.metering import LOOKS
from course_lib.attacks.problem import BestPoints, Problem

BUDGETS = (1, 2, 5, 10, 13, 30, 37, 100, 300, 1000)


def net_of(unit, classes=5, width=24, seed=0, pixels=36):
    torch.manual_seed(seed)
    layers = nn.Linear(pixels, width), unit, nn.Linear(width, width), unit
    net = nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, classes))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 3
    return net.eval()


def some(n=12, pixels=36, seed=1):
    return torch.rand(n, 1, 6, pixels // 6, generator=torch.Generator().manual_seed(seed))


def targets_of(net, x):
    return net(x).argsort(1)[:, 0]  # the class that is farthest behind


def problem_of(net, x, targets, needed=1e-4):
    return Problem(net, x.flatten(1), targets, x.new_full((len(x),), needed), x.shape[1:])


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


class Counting(nn.Module):
    """A network that counts, for each image (known by its second pixel), the gradients taken."""

    def __init__(self, net):
        super().__init__()
        self.net, self.rows = net, 0

    def forward(self, x):
        if x.requires_grad:
            x.register_hook(lambda gradient: setattr(self, "rows", self.rows + len(gradient)))
        return self.net(x)


@pytest.mark.parametrize("unit", [nn.ReLU(), nn.Tanh()])
@pytest.mark.parametrize("nearest", [False, True])
def test_more_gradients_never_end_farther(unit, nearest):
    net, x = net_of(unit), some()
    targets = None if nearest else targets_of(net, x)
    before = torch.full((len(x),), torch.inf)
    full = attacks.minimal_adversarial(net, x, targets)
    for budget in BUDGETS:
        found = attacks.minimal_adversarial(net, x, targets, budget=budget)
        assert (found.evaluations <= budget).all()
        l2 = torch.where(found.success, found.l2, torch.inf)
        assert (l2 <= before * (1 + 1e-5)).all(), budget
        before = l2
        # judged by the network itself, not by what the attack noted
        logits = net(found.images)
        wanted = net(x).argmax(1) if nearest else found.targets
        assert ((logits.argmax(1) == wanted) ^ nearest)[found.success].all()
        size = (found.images - x).flatten(1).norm(dim=1)
        assert torch.allclose(size[found.success], found.l2[found.success], rtol=1e-4)
    assert before.isfinite().all()
    ratio = float(before.mean() / full.l2.mean())
    assert ratio == pytest.approx(1, abs=0.03)  # 1000 gradients are as good as without a budget


@pytest.mark.parametrize("unit", [nn.ReLU(), nn.Tanh()])
@pytest.mark.parametrize("loss", ["margin", "sharpened", "cross-entropy"])
@pytest.mark.parametrize("nearest", [False, True])
def test_a_budget_holds_for_all_that_autograd_is_asked(unit, loss, nearest):
    """The search, what is checked before it, and the conditions at the point that is returned."""
    net, x = Counting(net_of(unit)).eval(), some(4)
    for budget in (1, 5, 13, 37, 300):
        for few in (x, x[:1]):  # together and alone: no image lives at another's expense
            targets = None if nearest else targets_of(net, few)
            net.rows = 0
            found = attacks.minimal_adversarial(net, few, targets, loss=loss, budget=budget)
            assert net.rows == found.evaluations.sum() <= budget * len(few)
            assert (found.evaluations <= budget).all()
            if not nearest and loss != "margin":  # one gradient a step: all of them are taken
                assert (found.evaluations[found.status == Status.BUDGET] == budget).all()


def test_many_classes_keep_to_a_budget():
    """Of more than ten classes those to attack are chosen by their gradients, which count."""
    net, x = Counting(net_of(nn.Tanh(), classes=30)).eval(), some(3)
    for budget in (5, 10, 13, 20, 37, 100, 300):
        net.rows = 0
        found = attacks.minimal_adversarial(net, x, budget=budget)
        assert net.rows == found.evaluations.sum() <= 3 * budget
        assert found.success.all() or budget < 20


def test_with_a_budget_a_network_without_a_gradient_is_refused_without_asking_for_one():
    class Detached(nn.Module):
        def forward(self, v):
            return v.detach().flatten(1)[:, :5] @ torch.ones(5, 5, requires_grad=True)

    with pytest.raises(ValueError, match="no gradient with respect to the images"):
        attacks.minimal_adversarial(Detached().eval(), some(2), budget=10)


def test_the_status_says_that_the_budget_ended():
    net, x = net_of(nn.ReLU()), some()
    found = attacks.minimal_adversarial(net, x, targets_of(net, x), budget=10)
    assert (found.status == Status.BUDGET).any()
    assert set(found.reasons()) <= {"out of budget", "settled", "failed"}
    assert found.call.budget == 10
    assert (found.success | (found.status == Status.FAILED)).all()


@pytest.mark.parametrize("budget", [0, -3, 2.5, "a"])
def test_a_budget_is_a_number_of_gradients(budget):
    net, x = net_of(nn.ReLU()), some(2)
    with pytest.raises((ValueError, TypeError), match="budget"):
        attacks.minimal_adversarial(net, x, budget=budget)


def test_a_budget_and_eight_bits_do_not_go_together():
    with pytest.raises(ValueError, match="eight_bit"):
        attacks.minimal_adversarial(net_of(nn.ReLU()), some(2), budget=10, eight_bit=True)


@pytest.mark.parametrize("with_targets", [True, False])
def test_what_a_budget_that_has_ended_does_not_allow_is_not_looked_for(monkeypatch, with_targets):
    """Lines to other images need no gradient, but what they find would be thrown away."""
    net, x = net_of(nn.ReLU()), some()
    labels = net(x).argmax(1)
    targets = (labels + 1) % 5 if with_targets else None
    right = minimal.minimal_adversarial(net, x, targets, labels, budget=3)

    def never(*_):
        raise AssertionError("a line was followed after the budget had ended")

    monkeypatch.setattr(minimal.lines, "solve", never)
    found = minimal.minimal_adversarial(net, x, targets, labels, budget=3)
    assert torch.equal(found.l2.nan_to_num(-1.0), right.l2.nan_to_num(-1.0))


@pytest.mark.parametrize("loss", ["cross-entropy", "sharpened"])
def test_the_papers_method_keeps_to_a_budget(loss):
    net, x = net_of(nn.Tanh()), some()
    targets, before = targets_of(net, x), torch.full((12,), torch.inf)
    for budget in (10, 30, 100, 1000):
        found = attacks.minimal_adversarial(net, x, targets, loss=loss, budget=budget)
        assert (found.evaluations <= budget).all()
        l2 = torch.where(found.success, found.l2, torch.inf)
        assert (l2 <= before * (1 + 1e-5)).all()
        before = l2
    assert before.isfinite().all()


def test_a_linear_network_is_computed_whatever_the_budget():
    few = data.load_mnist("test", "cpu").sample(6, seed=2)
    net, targets = zoo.load("FC10(1)", device="cpu"), attacks.recorded_targets(few)
    found = attacks.minimal_adversarial(net, few.images, targets, budget=1)
    exact = attacks.exact_minimum(net, few.images, targets, few.labels)
    assert torch.allclose(found.distortion.double(), exact.distortion.double(), rtol=1e-3)


def test_the_looks_are_the_usual_budgets():
    assert {10, 30, 100, 300, 1000} <= set(LOOKS)


# --- many classes ---------------------------------------------------------------------------------


def test_a_thousand_classes_get_a_gradient_only_where_they_can_be_nearest():
    net, x = net_of(nn.ReLU(), classes=1000), some(6)
    found = attacks.minimal_adversarial(net, x)
    assert found.success.all()
    assert (found.evaluations < 5000).all()  # 999 classes with ten gradients each were 9990
    # the linearised planes of all classes, written out: none is missed that is the nearest by far
    logits, labels = net(x), net(x).argmax(1)
    for k in range(len(x)):
        one = x[k : k + 1].clone().requires_grad_()
        slopes = torch.autograd.functional.jacobian(net, one)[0].flatten(1)
        slopes = slopes - slopes[labels[k]]
        far = (logits[k, labels[k]] - logits[k]) / slopes.norm(dim=1)
        far[labels[k]] = torch.inf
        best = attacks.minimal_adversarial(net, x[k : k + 1], far.argmin()[None])
        assert found.l2[k] <= best.l2[0] * 1.001


@pytest.mark.parametrize("loss", ["margin", "cross-entropy", "sharpened"])
def test_no_more_images_at_a_time_than_the_chunk_whatever_the_classes(loss):
    inner, sizes = net_of(nn.Tanh(), classes=40), []

    class Sized(nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            return inner(x)

    attacks.minimal_adversarial(Sized().eval(), some(3), loss=loss, chunk=4)
    assert max(sizes) <= 7  # the check that asks an image in company has a batch of its own
    sizes.clear()
    attacks.minimal_adversarial(Sized().eval(), some(3), loss=loss, chunk=4, budget=60)
    assert max(sizes) <= 7


def test_of_many_classes_those_far_behind_get_few_steps_and_the_choice_one_pass_forward():
    net, x = net_of(nn.Tanh(), classes=40), some(6)
    labels, batches = net(x).argmax(1), []

    class Noted(nn.Module):
        def forward(self, x):
            batches.append(len(x))
            return net(x)

    problem = problem_of(Noted().eval(), x, labels)
    classes = routes.candidates(problem, net(x))
    assert batches == [len(x)]
    k = classes.shape[1]
    problem = problem.for_each(classes)
    seen = routes.near(problem, k, 100, among=39)
    spent, left = seen.of_image(seen.spent).sum(1), seen.of_image(seen.left)
    assert spent.double().mean() < routes.RANKED + k * sqp.FIRST
    assert (spent >= routes.RANKED + k * (sqp.FIRST // 2)).all()
    assert torch.equal(problem.before, spent)  # a part of the image's passes
    # no class is left out that all of the steps show to be the nearest
    whole = routes.near(problem_of(net, x, labels).for_each(classes), k, 100, among=k)
    assert (whole.spent == sqp.FIRST).all()
    assert left[torch.arange(len(x)), whole.of_image(whole.far).argmin(1)].all()


@pytest.mark.parametrize("unit", [nn.Tanh(), nn.ReLU()])
@pytest.mark.parametrize(("soon", "dear"), [(False, False), (True, False), (False, True)])
def test_a_class_that_was_left_out_is_looked_at_again_where_first_distances_mislead(
    unit, soon, dear
):
    """The nearest class was left out, and a farther one attacked: the nearest is found where that
    one did not settle soon, where the network has no linear pieces, and where the image has not
    cost much already."""
    net, x = net_of(unit), some(6)
    labels, logits = net(x).argmax(1), net(x).detach()
    classes = routes.candidates(problem_of(net, x, labels), logits)
    k = classes.shape[1]
    problem, logits = problem_of(net, x, labels).for_each(classes), logits.repeat_interleave(k, 0)
    seen = routes.near(problem, k, 100, among=k)
    whole = routes.targeted(problem, logits, 100)
    second = seen.of_image(whole.square).argsort(1)[:, 1] + k * torch.arange(len(x))
    found = BestPoints.nothing(problem, Status.FAILED)
    found.merge(second, whole.take(second))
    found.status[second] = Status.SETTLED if soon else Status.ENDED
    found.evaluations = seen.spent.clone()
    found.evaluations[second] += routes.SLOW + (routes.SPENT * 100 if dear else 0)
    before = found.square.clone()
    routes.look_again(problem, logits, 100, found, seen, 100)
    if soon or dear or isinstance(unit, nn.ReLU):
        assert torch.equal(found.square, before)
    else:
        least = seen.of_image(whole.square).amin(1).sqrt()
        assert (seen.of_image(found.square).amin(1).sqrt() <= 1.01 * least).all()


class Attention(nn.Module):
    """Four tokens of six numbers, by torch's own function, which may differentiate only once."""

    def forward(self, x):
        x = x.unflatten(1, (1, 4, 6))
        return nn.functional.scaled_dot_product_attention(x, x, x).flatten(1)


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [
        (nn.ReLU(), False),
        (nn.LeakyReLU(), False),
        (nn.ReLU6(), False),
        (nn.Hardtanh(), False),
        (nn.Sequential(nn.Unflatten(1, (4, 6)), nn.MaxPool1d(2), nn.Flatten()), False),
        (nn.Sequential(nn.BatchNorm1d(24), nn.ReLU()), False),
        (nn.Tanh(), True),
        (nn.Sigmoid(), True),
        (nn.GELU(), True),
        (nn.LayerNorm(24), True),
        (nn.Softmax(1), True),
        (Attention(), True),
    ],
)
def test_what_has_linear_pieces_is_known_by_its_gradient(unit, wanted):
    torch.manual_seed(0)
    last = nn.LazyLinear(5)
    net, x = nn.Sequential(nn.Flatten(), nn.Linear(36, 24), unit, last), some(4)
    net(x)
    problem = problem_of(net.eval(), x, torch.zeros(4).long())
    assert problem.curved(problem.x) is wanted


def test_few_classes_are_all_looked_at():
    net, x = net_of(nn.ReLU(), classes=11), some(3)
    problem = problem_of(net, x, net(x).argmax(1))
    classes = routes.candidates(problem, net(x))
    assert classes.shape == (3, 10)
    for row, label in zip(classes.tolist(), problem.targets.tolist(), strict=True):
        assert sorted([*row, label]) == list(range(11))


# --- the routes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [nn.Tanh(), nn.GELU(), nn.SiLU(), nn.Sigmoid()])
def test_a_smooth_network_is_not_given_up_for_a_crease(unit):
    won = possible = 0
    for seed in range(4):
        net, x = net_of(unit, seed=seed), some(seed=seed)
        problem = problem_of(net, x, net(x).argsort(1)[:, -2])
        found, other = sqp.solve(problem), descent.solve(problem, 200)
        settled = (found.status == Status.SETTLED) & (found.square < 1.21 * other.square)
        won += int((settled & other.square.isfinite()).sum())
        possible += int(other.square.isfinite().sum())
    assert possible > 30
    assert won >= 0.9 * possible


def test_a_crease_is_known_by_the_error_that_a_shorter_step_leaves():
    # |z| has a crease in the middle, z² has none: the error of the linearised gap falls with the
    # length of the step, or with its square
    batch = sqp.Batch.__new__(sqp.Batch)
    rejected, size = torch.tensor([False, False]), torch.ones(2)
    batch.creases, batch.last_error = torch.zeros(2), torch.zeros(2)
    batch.last_length = torch.full((2,), torch.nan)
    given_up = []
    for length in (1.0, 0.4, 0.16, 0.064):
        lengths = torch.full((2,), length)
        errors = torch.tensor([length, length**2])
        given_up.append(batch.on_a_crease(rejected, lengths, errors, size).tolist())
    assert given_up[-1] == [True, False]
    assert given_up[0] == [False, False]


def test_gradients_that_point_anywhere_do_not_send_an_image_away():
    class Turning(nn.Module):  # a lead whose gradient turns by more than a right angle in a step
        def forward(self, x):
            v = x.flatten(1)
            wave = torch.sin(400 * v).sum(1) / 40
            lead = v.sum(1) - 14 + wave
            return torch.stack([-lead, lead], 1)

    net = Turning().eval()
    x = 0.3 * some(6)
    problem = problem_of(net, x, torch.ones(6, dtype=torch.int64))
    found = BestPoints.nothing(problem, Status.AVERAGED)
    z, _ = averaging.approach(problem, found, 60)
    known = found.square.isfinite()
    assert known.any()
    size = (z - problem.x).norm(dim=1)
    assert (size[known] <= averaging.FARTHER * found.square[known].sqrt() * 1.0001).all()


# powers of two, with which every number is scaled without rounding: a step that turns on the last
# digit would lead elsewhere, on one processor and not on another
@pytest.mark.parametrize("factor", [2.0**-10, 1.0, 2.0**10])
@pytest.mark.parametrize(
    ("solve", "reached"),
    # long steps miss a target now and then, and are one way of several
    [(descent.solve, 12), (lambda problem: primal_dual.solve(problem, 100), 11)],
)
def test_the_steps_of_a_length_do_not_know_the_scale_of_the_logits(solve, reached, factor):
    net, x = net_of(nn.ReLU()), some()
    targets = targets_of(net, x)

    def scaled(v):
        return factor * net(v)

    found = solve(problem_of(scaled, x, targets, 1e-4 * factor))
    plain = solve(problem_of(net, x, targets, 1e-4))
    assert found.square.isfinite().sum() >= reached
    assert torch.allclose(found.square, plain.square, rtol=1e-2)


def test_a_second_pass_begins_where_the_first_ended_and_leaves_it_alone():
    net, x = net_of(nn.ReLU()), some()
    problem = problem_of(net, x, targets_of(net, x))
    first = descent.solve(problem, 40)
    z, square = first.z.clone(), first.square.clone()
    again = averaging.solve(problem, 60, start=first)
    assert torch.equal(first.z, z)
    assert torch.equal(first.square, square)
    assert (again.square <= square).all()
    assert (again.square < square).any()


def test_pieces_give_what_the_whole_gives():
    net, x = net_of(nn.Tanh(), pixels=36), some(9)
    problem = problem_of(net, x, targets_of(net, x))
    whole = averaging.solve(problem, 20)
    parts = routes.in_pieces(lambda some: averaging.solve(some, 20), problem, 4)
    assert torch.allclose(whole.square, parts.square, rtol=1e-3)
    assert parts.evaluations.tolist() == [20] * 9


# --- what cannot be attacked ----------------------------------------------------------------------


def test_nan_of_perturbed_images_only_costs_these_images_alone():
    net, x = net_of(nn.ReLU()), some(6)
    clean = x[:3].flatten(1)

    class Broken(nn.Module):  # NaN near the first three images, but not at them (nor far from them)
        def forward(self, v):
            logits = net(v)
            far = torch.cdist(v.flatten(1), clean.to(v))
            bad = ((far > 1e-4) & (far < 1.2)).any(1)
            return torch.where(bad[:, None], torch.nan, logits)

    targets = targets_of(net, x)
    for goal in (targets, None):
        for budget in (None, 50):
            found = attacks.minimal_adversarial(Broken().eval(), x, goal, budget=budget)
            right = attacks.minimal_adversarial(net, x, goal, budget=budget)
            assert found.success[3:].all()
            assert torch.allclose(found.l2[3:], right.l2[3:], rtol=0.05)
            assert found.images.isfinite().all()
            assert not (found.success[:3] & (found.l2[:3] < 1.2)).any()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda logits: (logits, logits), "float tensor"),
        (lambda logits: {"logits": logits}, "float tensor"),
        (lambda logits: logits[:, :1], "two classes"),
    ],
)
def test_what_is_no_network_of_logits_is_told(answer, words):
    net, x = net_of(nn.ReLU()), some(3)

    class Odd(nn.Module):
        def forward(self, v):
            return answer(net(v))

    with pytest.raises((TypeError, ValueError), match=words):
        attacks.minimal_adversarial(Odd().eval(), x, budget=20)


def test_a_network_of_signs_has_no_gradient_to_follow():
    class Signs(nn.Module):
        def forward(self, v):
            return torch.stack([v.flatten(1).sum(1).sign(), v.flatten(1)[:, 0].sign()], 1)

    found = attacks.minimal_adversarial(Signs().eval(), some(3), budget=20)
    assert (found.status == Status.NO_GRADIENT).all()


def test_an_image_at_the_boundary_from_the_start_is_there():
    net, x = net_of(nn.Tanh()), some(4)
    near = attacks.minimal_adversarial(net, x)
    labels = net(x).argmax(1)
    found = attacks.minimal_adversarial(net, near.images, labels=labels, budget=5)
    # those that lead by half of what is asked for are a step of rounding away
    assert (found.distortion < 1e-3 * near.distortion).all()
    assert (found.status == Status.ALREADY_THERE).any()


def test_the_default_is_never_farther_than_the_papers_loss():
    for seed in range(3):
        net, x = net_of(nn.ReLU(), seed=seed), some(seed=seed)
        targets = targets_of(net, x)
        best = attacks.minimal_adversarial(net, x, targets)
        paper = attacks.minimal_adversarial(net, x, targets, loss="cross-entropy")
        both = best.success & paper.success
        assert best.success.sum() >= paper.success.sum()
        assert best.l2[both].mean() <= 1.002 * paper.l2[both].mean()


def test_the_solvers_settings_name_the_budget_once():
    assert "budget" not in minimal.PENALTY_SETTINGS


# --- several ways ------------------------------------------------------------------------------


def a_way(square, seen):
    """A way that ends at these squares, one for each image, and notes which images it was given."""

    def way(problem, clean, steps, known):
        seen.append(problem.image_numbers.tolist())
        found = BestPoints.nothing(problem, Status.AVERAGED)
        found.square = torch.tensor(square)[problem.image_numbers]
        return found

    return way


def numbered(n):
    """A problem of ``n`` images that knows their numbers."""

    class Numbered(Problem):
        @property
        def image_numbers(self):
            return self.x[:, 0].long()

    x = torch.zeros(n, 36)
    x[:, 0] = torch.arange(n)
    return Numbered(
        net_of(nn.ReLU()), x, torch.ones(n).long(), torch.ones(n), torch.Size([1, 6, 6])
    )


def all_of(problem, squares):
    """What averaged normals from elsewhere end at: one of ``squares`` for each beginning."""
    rows = torch.arange(len(problem)).repeat(len(squares))
    found = BestPoints.nothing(problem.take(rows), Status.AVERAGED)
    found.square = torch.cat([torch.tensor(square)[problem.image_numbers] for square in squares])
    return found


def by_turns_of(
    monkeypatch, before, first, ways, rough=(), settled=False, hesitant=None, anew=(), smooth=None
):
    """What :func:`turns.by_turns` makes of ways that end at these squares, averaged normals the
    first of ``ways``: what each of them was given, in turn, the nearest squares, and what was
    refined. before: those of quadratic programming; settled: whether it has; hesitant: where it was
    left early; anew: the squares of averaged normals from elsewhere, the first time, the second,
    ..., whose numbers and images are noted; smooth: for images where programming leads on, by what
    share of the square."""
    seen, followed = [], []
    nothing = len(before) * [torch.inf]

    def onward(problem, found, rows, iterations=None, rival=None):
        images = problem.image_numbers.tolist()
        found.square[rows] *= torch.tensor([1 - (smooth or {}).get(image, 0.0) for image in images])
        if images:
            followed.append(images)

    def elsewhere(problem, steps, known, numbers):
        squares = [anew[k] if k < len(anew) else nothing for k in numbers]
        if anew:
            seen.append((list(numbers), problem.image_numbers.tolist()))
        return all_of(problem, squares)

    first_of_ways, *others = ways or [nothing]
    monkeypatch.setattr(turns, "onward", onward)
    monkeypatch.setattr(turns, "elsewhere", elsewhere)
    monkeypatch.setattr(turns, "FIRST_WAY", a_way(first, seen))
    monkeypatch.setattr(turns, "averaged", a_way(first_of_ways, seen))
    monkeypatch.setattr(turns, "WAYS", [a_way(square, seen) for square in others])
    monkeypatch.setattr(turns, "ROUGH_WAYS", [a_way(square, seen) for square in rough])
    problem, n = numbered(len(before)), len(before)
    found = BestPoints.nothing(problem, Status.SETTLED if settled else Status.FAILED)
    found.square = torch.tensor(before)
    hesitant = torch.tensor(hesitant or n * [False])
    turns.by_turns(problem, torch.zeros(n, 5), 10, found, torch.arange(n), hesitant)
    return seen, found.square.tolist(), followed


def test_an_image_is_left_alone_once_two_ways_agree(monkeypatch):
    ends = [[1.0001, 3.0, 3.5, 8.0], [0.5, 3.0005, 2.0, 8.5], [1.0, 1.0, 1.0, 1.0]]
    before = [1.05, 3.0, 3.0, 8.0]
    seen, square, _ = by_turns_of(monkeypatch, before, [1.0, 3.2, 3.0, 9.0], ends)
    # quadratic programming that has not settled is no way of its own
    assert seen == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3], [2, 3]]
    assert square == [1.0, 3.0, 1.0, 1.0]
    seen, square, _ = by_turns_of(monkeypatch, before, [1.0, 3.2, 3.0, 9.0], ends, settled=True)
    assert seen == [[0, 1, 2, 3], [0, 1, 3]]
    assert square == [1.0, 3.0, 3.0, 8.0]


def test_an_image_where_normalised_steps_are_much_nearer_gets_more_of_them(monkeypatch):
    before = [1.0, 1.2, torch.inf, torch.inf]
    first = [1.0, 1.0, 1.0, torch.inf]
    ways, rough = [[2.0, 9.0, 9.0, 5.0]], [[9.0, 0.5, 0.4, 9.0]]
    seen, square, _ = by_turns_of(monkeypatch, before, first, ways, rough)
    # and so does one for which nothing was found
    assert seen == [[0, 1, 2, 3], [1, 2, 3], [0]]
    assert square == [1.0, 0.5, pytest.approx(0.4), 9.0]


def test_where_programming_leads_nowhere_averaged_normals_begin_elsewhere(monkeypatch):
    """Image 0 is smooth, and of 1 the ways before came to another distance; the others are stuck. 2
    finds nothing nearer, 3 does the second time, 4 comes to the same place again, 5 to one that is
    nearer by less than what counts, 6 to one so much nearer that it was no small crease."""
    before, first = [1.12, 2.5, *(5 * [1.12])], [1.05, 2.5, *(5 * [1.05])]
    ends = [7 * [1.0], 7 * [1.2]]
    anew = [
        [0.1, 0.1, 9.0, 1.1, 1.3, 1.0001, 0.8],
        [0.1, 0.1, 9.0, 0.95, 1.0, 0.9999, 9.0],
        [0.1, 0.1, 0.1, 1.1, 9.0, 9.0, 0.1],
        [0.1, 0.1, 0.1, 0.93, 9.0, 9.0, 0.1],
        [0.1, 0.1, 0.1, 0.94, 9.0, 9.0, 0.1],
        [0.1, 0.1, 0.1, 9.0, 9.0, 9.0, 0.1],
    ]
    seen, square, _ = by_turns_of(monkeypatch, before, first, ends, anew=anew, smooth={0: 0.1})
    everything = [0, 1, 2, 3, 4, 5, 6]
    assert seen[:2] == [everything, everything]
    assert seen[2:5] == [([0, 1], [2, 3, 4, 5, 6]), ([2, 3], [3]), ([4, 5], [3])]
    assert seen[5] == [0, 1, 2, 6]  # of 4 and 5 two ends agree
    assert square == pytest.approx([0.9, 1.0, 1.0, 0.93, 1.0, 0.9999, 0.8])


def test_where_programming_leads_on_by_little_both_are_tried(monkeypatch):
    """Image 0 is stuck, 1 led on by a little, 2 by more: 1 gets other beginnings and other ways,
    whether the first found anything or not, and whether two of its ends agree or not."""
    ends, smooth = [3 * [1.0], 3 * [0.97]], {1: 0.003, 2: 0.03}
    for new, later in (([0.98, 0.98, 0.1], [1, 2]), ([1.0, 1.0, 0.1], [1, 2])):
        anew = [new, 3 * [9.0], 3 * [9.0], 3 * [9.0], 3 * [9.0]]
        seen, square, _ = by_turns_of(
            monkeypatch, 3 * [1.05], 3 * [1.04], ends, anew=anew, smooth=smooth
        )
        rounds = [given for given in seen if isinstance(given, tuple)]
        assert rounds[0] == ([0, 1], [0, 1])
        assert seen[-1] == later
        assert square[1:] == pytest.approx([0.97 * 0.997, 0.97 * 0.97])


def test_an_image_that_had_its_steps_in_stages_gets_no_first_way_again(monkeypatch):
    """Which ways are next is what the stages said: more of such steps, or averaged normals."""
    seen = []
    monkeypatch.setattr(turns, "onward", lambda *given, **more: None)
    for name, square in (("FIRST_WAY", 1.0), ("averaged", 0.9)):
        monkeypatch.setattr(turns, name, a_way(3 * [square], seen))
    monkeypatch.setattr(turns, "ROUGH_WAYS", [a_way(3 * [0.8], seen)])
    monkeypatch.setattr(turns, "WAYS", [])
    problem = numbered(3)
    found = BestPoints.nothing(problem, Status.FAILED)
    found.square = torch.full((3,), 1.04)
    no, staged = torch.zeros(3, dtype=torch.bool), torch.tensor([False, True, True])
    quick = torch.tensor([False, False, True])
    given = problem, torch.zeros(3, 5), 10, found, torch.arange(3), no
    turns.by_turns(*given, staged, quick)
    assert seen == [[0], [2], [0, 1]]


def test_steps_in_stages_go_on_from_what_is_known_and_say_whether_more_help():
    net, x = net_of(nn.Tanh()), some(4)
    problem = problem_of(net, x, targets_of(net, x))
    misled, rows = torch.tensor([True, True, False, True]), torch.arange(4)
    found = averaging.solve(problem, 10)
    first = found.square.clone()
    quick = turns.in_stages(problem, found, misled)
    assert (found.square <= first).all()
    assert found.square[2] == first[2]
    assert found.evaluations[2] == 10
    assert not quick[2]
    assert (found.evaluations[misled] >= 10 + sum(turns.STAGES)).all()
    # nobody is attacked where nobody was misled
    before = found.take(rows)
    assert not turns.in_stages(problem, found, torch.zeros(4, dtype=torch.bool)).any()
    assert torch.equal(found.evaluations, before.evaluations)


def test_normalised_steps_from_a_known_point_do_not_lose_it():
    net, x = net_of(nn.Tanh()), some(4)
    problem = problem_of(net, x, targets_of(net, x))
    start = averaging.solve(problem, 60)
    z, square = start.z.clone(), start.square.clone()
    one = descent.solve(problem, 5, start=start)
    assert torch.equal(start.z, z)  # it is left as it is
    assert torch.equal(start.square, square)
    fresh = descent.solve(problem, 5)
    assert (one.square <= square).all()
    assert (one.square < fresh.square).all()
    assert torch.allclose((one.z - problem.x).square().sum(1), one.square, rtol=1e-4)


def test_quadratic_programming_is_led_astray_where_its_first_step_does_not_come_true():
    """What the gaps were linearised to be, and what the network says of the point of the trial."""
    x, rows, seen = some(12), torch.arange(12), set()
    for unit in (nn.Identity(), nn.Tanh(), nn.ReLU(), Sine()):
        net = net_of(unit, seed=1)
        problem = problem_of(net, x, targets_of(net, x))
        began = averaging.approach(problem, BestPoints.nothing(problem, Status.FAILED), sqp.FIRST)
        batch = sqp.Batch(problem, *began)
        here, z = batch.here, batch.z
        trial = batch.advance(6, sqp.ROWS)

        def gaps(points, net=net, problem=problem, here=here):
            logits = net(points.unflatten(1, x.shape[1:]))
            return logits[rows, problem.targets][:, None] - logits.gather(1, here.classes)

        promised = gaps(z) + torch.einsum("nqd,nd->nq", here.normals, trial.z - z)
        wrong = (promised - gaps(trial.z)).abs().amax(1)
        clean = net(x)
        clean = (clean.amax(1) - clean[rows, problem.targets] + problem.needed).abs()
        misled = torch.zeros(12, dtype=torch.bool)
        found = sqp.solve(problem, misled=misled)
        assert torch.equal(misled, wrong > sqp.MISLED * clean)
        at_once = sqp.FIRST + 2 * sqp.ROWS  # where the first step was judged
        assert (found.evaluations[misled] == at_once).all()
        assert not misled.any() or not isinstance(unit, nn.Identity)
        seen |= set(misled.tolist())
    assert seen == {False, True}


def test_where_nothing_is_known_there_is_no_beginning_beside_it(monkeypatch):
    """Half of an infinite distance would be a corner of the box: more steps, and smaller ones."""
    anew, inf = [[0.1, 0.1]], torch.inf
    seen, square, _ = by_turns_of(
        monkeypatch, 2 * [inf], 2 * [inf], [2 * [1.0]], rough=[[3.0, inf]], anew=anew
    )
    assert seen == [[0, 1], [0, 1], [1]]  # and the other ways where that finds nothing either
    assert square == [3.0, 1.0]
    # where averaged normals alone have found something, theirs is no distance to go by
    before, first = [9.0, 9.0], [8.9, 8.9]
    seen, *_ = by_turns_of(monkeypatch, before, first, [[1.0, 8.5]], anew=anew)
    assert seen[2:] == [([0, 1], [1])]


def test_what_has_settled_is_not_begun_anew(monkeypatch):
    """Where the conditions hold at an end of averaged normals, it is at the bottom of a hollow."""
    seen, begun = [], []

    def settled(problem, clean, steps, known):
        found = a_way([1.0, 1.0], seen)(problem, clean, steps, known)
        found.status[0] = Status.SETTLED
        return found

    def elsewhere(problem, steps, known, numbers):
        begun.append(problem.image_numbers.tolist())
        return all_of(problem, [[0.96, 0.96] for _ in numbers])

    monkeypatch.setattr(turns, "onward", lambda *given, **more: None)
    monkeypatch.setattr(turns, "averaged", settled)
    monkeypatch.setattr(turns, "elsewhere", elsewhere)
    monkeypatch.setattr(turns, "FIRST_WAY", a_way([1.05, 1.05], seen))
    monkeypatch.setattr(turns, "WAYS", [])
    monkeypatch.setattr(turns, "ROUGH_WAYS", [])
    problem = numbered(2)
    found = BestPoints.nothing(problem, Status.FAILED)
    found.square = torch.tensor([1.06, 1.06])
    hesitant = torch.zeros(2, dtype=torch.bool)
    turns.by_turns(problem, torch.zeros(2, 5), 10, found, torch.arange(2), hesitant)
    assert begun == [[1]]  # once: both came to the same place
    assert found.square.tolist() == pytest.approx([1.0, 0.96])


def test_normalised_steps_go_slowly_where_nothing_is_in_sight(monkeypatch):
    """A radius that grows by a tenth in each step is soon beyond a target that is close by."""
    x, asked = torch.full((2, 1, 6, 6), 0.5), []

    def net(images):  # never a success
        asked.append(images.detach().flatten(1))
        total = 1e-3 * images.flatten(1).sum(1)
        return torch.stack([1 + 0 * total, total], 1)

    problem = Problem(net, x.flatten(1), torch.ones(2).long(), torch.ones(2), x.shape[1:])
    descent.solve(problem, 20, torch.tensor([descent.CHANGE, descent.SLOWLY]))
    radius = torch.stack([(z - 0.5).norm(dim=1) for z in asked[1:16]])
    grown = radius[-1] / radius[0]
    wanted = torch.tensor([1 + descent.CHANGE, 1 + descent.SLOWLY]) ** 14
    assert torch.allclose(grown, wanted, rtol=1e-3)
    # which images that is for
    given = []
    monkeypatch.setattr(turns.descent, "solve", lambda *how: given.append(how[1:]))
    known = BestPoints.nothing(problem, Status.FAILED)
    known.square[0] = 1.0
    turns.more_steps(problem, None, 10, known)
    assert given[0][0] == 20
    assert torch.equal(given[0][1], torch.tensor([descent.CHANGE, descent.SLOWLY]))


def test_another_beginning_is_another_end_and_the_same_for_an_image_alone():
    """In float64: on a rough network the last digit decides which hollow it is."""
    torch.manual_seed(4)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 5)
    )
    net, x = net.double().eval(), some(8).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 3
    problem = problem_of(net, x, targets_of(net, x))
    known = averaging.solve(problem, 60)
    every = turns.elsewhere(problem, 60, known, range(3))
    assert every.square.isfinite().all()
    ends = torch.cat([known.square, every.square]).reshape(4, 8).sqrt()
    apart = ends.amax(0) / ends.amin(0) - 1
    assert (apart > turns.SAME).sum() >= 4
    one = torch.tensor([3])
    alone = turns.elsewhere(problem.take(one), 60, known.take(one), range(1, 2))
    assert torch.allclose(alone.square, every.square[8 + one], rtol=1e-9)
    # each is a success inside the box, at the distance that it claims
    rows = torch.arange(8).repeat(3)
    assert ((every.z >= 0) & (every.z <= 1)).all()
    assert torch.equal(net(every.z.unflatten(1, (1, 6, 6))).argmax(1), problem.targets[rows])
    assert torch.allclose((every.z - problem.x[rows]).square().sum(1), every.square)


def test_the_first_gradient_is_taken_at_half_the_known_distance():
    asked = []

    class Noted(nn.Module):
        def forward(self, images):
            if images.requires_grad:
                asked.append(images.detach().clone())
            return net(images)

    net, x = net_of(nn.Tanh()), 0.5 + 0 * some(3)  # grey: nothing is cut to the box
    problem = problem_of(Noted().eval(), x, targets_of(net, x))
    known = BestPoints.nothing(problem, Status.AVERAGED)
    known.square = torch.tensor([1.0, 4.0, 0.25])
    turns.elsewhere(problem, 5, known, range(2))
    away = (asked[0].flatten(1) - 0.5).unflatten(0, (2, 3))
    assert torch.allclose(away.norm(dim=2), torch.tensor([0.5, 1.0, 0.25]), rtol=1e-5)
    assert torch.allclose(away[:, 1] / 2, away[:, 0], atol=1e-6)  # one direction for all images
    assert not torch.allclose(away[0], away[1], atol=1e-2)


def test_a_way_that_ends_far_behind_is_not_followed_on(monkeypatch):
    before, first = [1.0, 1.0, torch.inf], [3.9, 4.1, 9.0]
    *_, followed = by_turns_of(monkeypatch, before, first, [])
    assert followed == [[0, 2]]
    # where more steps come next the end of the first ones is no end: only theirs is followed
    *_, followed = by_turns_of(monkeypatch, before, first, [], [[9.0, 9.0, 8.0]])
    assert followed == [[0], [2]]


def test_quadratic_programming_that_hesitates_goes_on_where_it_may_catch_up(monkeypatch):
    """It is 2.4 % behind, in the distance, then 22 %, then 2.1 times as far, then without a
    success; the last has not hesitated."""
    before, hesitant = [1.05, 1.5, 4.41, torch.inf, 1.5], [True, True, True, True, False]
    *_, followed = by_turns_of(monkeypatch, before, 5 * [1.0], [], hesitant=hesitant)
    assert followed[0] == [1]


def test_an_image_that_has_cost_much_gets_no_papers_way_and_for_any_class_no_way(monkeypatch):
    """10 gradients are a pass: the limits are 50 for the paper's way, 60 for one of several classes
    of an image, and there the classes' gradients count together."""
    monkeypatch.setattr(turns, "onward", lambda *given, **more: None)
    spent = torch.tensor([0, 49, 50, 59, 60, 99])
    seen = []
    paper, other = a_way(6 * [1.0], seen), a_way(6 * [1.0], seen)
    monkeypatch.setattr(turns, "papers", paper)
    for classes, wanted in (
        (1, [[0, 1], [0, 1, 2, 3, 4, 5]]),
        (2, [[0, 1], [0, 1]]),  # 49, 109 and 159 for the pairs
    ):
        problem = numbered(6)
        if classes == 2:
            problem.image, problem.least = torch.tensor([0, 0, 1, 1, 2, 2]), torch.ones(3)
            problem.before = torch.zeros(3).long()
        for way, rows in zip((paper, other), wanted, strict=True):
            found = BestPoints.nothing(problem, Status.FAILED)
            found.square, found.evaluations = torch.ones(6), spent.clone()
            all_six = turns._Turns(problem, torch.zeros(6, 5), 10, found, torch.ones(2, 6))
            all_six.go(way, torch.arange(6))
            assert seen.pop() == rows
        assert not seen


def test_for_any_class_a_way_has_to_fit_into_the_passes_that_are_left(monkeypatch):
    """Of six passes of 10 gradients: after 40 there is room for two more, after 41 for one; of nine
    for averaged normals from elsewhere, three at once: after 60."""
    monkeypatch.setattr(turns, "onward", lambda *given, **more: None)
    seen = []
    long, short = a_way(4 * [1.0], seen), a_way(4 * [1.0], seen)
    monkeypatch.setattr(turns, "PASSES", {long: 2})

    def elsewhere(problem, steps, known, numbers):
        seen.append(problem.image_numbers.tolist())
        return all_of(problem, [4 * [1.0] for _ in numbers])

    def of(*spent, before=0):
        problem = numbered(4)
        problem.image, problem.least = torch.tensor([0, 0, 1, 1]), torch.ones(2)
        problem.before = torch.full((2,), before)
        found = BestPoints.nothing(problem, Status.FAILED)
        found.square, found.evaluations = torch.ones(4), torch.tensor(spent)
        return turns._Turns(problem, torch.zeros(4, 5), 10, found, torch.ones(2, 4))

    for way, wanted in ((long, [0, 1]), (short, [0, 1, 2, 3])):
        of(20, 20, 20, 21).go(way, torch.arange(4))
        assert seen.pop() == wanted
    monkeypatch.setattr(turns, "elsewhere", elsewhere)
    of(30, 30, 30, 31).begin_elsewhere(torch.arange(4), range(3))
    assert seen.pop() == [0, 1]
    # of many classes, whose choice has cost 10 gradients, it is six for them, too
    of(10, 10, 10, 11, before=10).begin_elsewhere(torch.arange(4), range(3))
    assert seen.pop() == [0, 1]


def test_several_beginnings_keep_to_the_images_that_the_network_is_given_at_a_time(monkeypatch):
    asked = []

    def elsewhere(problem, steps, known, numbers):
        asked.append(list(numbers))
        return all_of(problem, [[0.99 - 0.01 * k, 1.0] for k in numbers])

    monkeypatch.setattr(turns, "elsewhere", elsewhere)
    for most, wanted in (
        (None, [[0, 1, 2]]),
        (7, [[0, 1, 2]]),
        (5, [[0, 1], [2]]),
        (1, [[0], [1], [2]]),
    ):
        problem = numbered(2)
        problem.most = most
        found = BestPoints.nothing(problem, Status.FAILED)
        found.square = torch.tensor([1.0, 1.0])
        every = turns._Turns(problem, torch.zeros(2, 5), 10, found, torch.full((2, 2), torch.inf))
        left = every.begin_elsewhere(torch.arange(2), range(3))
        assert asked == wanted
        assert left.tolist() == [0]  # the other came to one place three times
        assert found.square.tolist() == pytest.approx([0.97, 1.0])
        asked.clear()


def test_a_class_far_behind_leaves_quadratic_programming_early():
    """On a rough network, where a class by itself gets all the iterations that there are."""
    rng = torch.Generator().manual_seed(3)
    # in double precision: the batches of the two differ in size, hence in rounding, and on a rough
    # network the last digit of float32 can decide which hollow it is
    weight, bends = torch.randn(2, 3, 36, generator=rng).double()

    def net(images):
        flat = images.flatten(1)
        return flat @ weight.T + 0.5 * (3 * flat @ bends.T).sin()

    x = torch.rand(8, 1, 6, 6, generator=rng).double()
    labels = net(x).argmax(1)
    one = problem_of(net, x, labels)
    both = one.for_each(torch.stack([(labels + k) % 3 for k in (1, 2)], 1))
    alone = sqp.solve(dataclasses.replace(both, image=None, least=None))
    found = sqp.solve(both)
    far = alone.square.unflatten(0, (-1, 2)).sqrt()
    behind = (far > 1.3 * far.amin(1, keepdim=True)).flatten()
    ahead = (far.amax(1, keepdim=True) > 1.3 * far).flatten()  # of the other class by as much
    # the gradients of the first steps and of LOSING iterations, two classes each, and of widening
    limit = sqp.FIRST + 2 * (sqp.LOSING + 3)
    assert (behind & (alone.evaluations > limit)).sum() > 3
    assert (found.evaluations[behind] <= limit).all()
    # of two that are about as far either may leave: its distance after LOSING iterations decides
    assert ahead.sum() > 3
    assert torch.allclose(found.square[ahead], alone.square[ahead], rtol=1e-3)


def test_quadratic_programming_hesitates_where_gradients_turn_quickly():
    """Where every other step is refused, not on a smooth network however long that takes: with a
    curvature that is the same everywhere, and with the tolerance 0, so that nothing settles."""
    rng = torch.Generator().manual_seed(3)
    weight, bends = torch.randn(2, 3, 36, generator=rng).double()
    x = torch.rand(8, 1, 6, 6, generator=rng).double()
    for rough in (True, False):

        def net(images, rough=rough):
            flat = images.flatten(1)
            bent = 0.3 * (8 * flat @ bends.T).sin() if rough else 0.01 * (flat @ bends.T) ** 2
            return flat @ weight.T + bent

        labels = net(x).argmax(1)
        problem = problem_of(net, x, (labels + 1) % 3)
        hesitant = torch.zeros(8, dtype=torch.bool)
        found = sqp.solve(problem, tolerance=0.0, hesitant=hesitant)
        assert hesitant.sum() >= (4 if rough else 0)
        assert rough or not hesitant.any()
        # two classes a step: those of HESITANT iterations, of their start and of widening
        least = sqp.FIRST + 2 * (sqp.HESITANT + 2)
        assert (found.evaluations[hesitant] >= least).all()
        assert (found.status[hesitant] == Status.FAILED).all()


def test_a_class_that_is_far_behind_is_not_attacked_in_more_ways():
    net = net_of(nn.ReLU())
    one = problem_of(net, torch.rand(2, 1, 6, 6), torch.tensor([0, 0]))
    many = one.for_each(torch.tensor([[1, 2, 3], [1, 2, 3]]))
    square = torch.tensor([1.0, 1.2, torch.inf, 4.0, 4.1, 9.0])
    assert many.within(square, 1.05).tolist() == [True, False, True, True, True, False]
    # what is taken from a problem knows what was found for all of it
    assert many.take(torch.tensor([4])).within(torch.tensor([4.5]), 1.05).tolist() == [False]
    assert one.within(torch.ones(2), 1.05).all()


def test_the_first_step_is_as_long_as_the_distance_that_is_known():
    seen = []

    def net(images):
        seen.append(images.detach().flatten(1).clone())
        return net_of(nn.ReLU())(images)

    x = torch.full((2, 1, 6, 6), 0.5)
    problem = problem_of(net, x, targets_of(net, x))
    far = torch.tensor([0.1, 0.3])
    primal_dual.solve(problem, 50, far)
    first = next(z for z in seen if not torch.equal(z, problem.x))
    assert torch.allclose((first - problem.x).norm(dim=1), far, rtol=1e-3)
