"""The attack within a budget of gradients, with many classes, and the routes that it takes."""

import dataclasses

import pytest
import torch
from attack_problems import net_of, problem_of, some, targets_of
from torch import nn

from course_lib import attacks, data, zoo
from course_lib.attacks import Status, averaging, descent, minimal, routes, sqp, turns
from course_lib.attacks.metering import LOOKS, Meter
from course_lib.attacks.problem import BestPoints

BUDGETS = (1, 2, 5, 10, 13, 30, 37, 100, 300, 1000)


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
def test_the_steps_of_a_length_do_not_know_the_scale_of_the_logits(factor):
    net, x = net_of(nn.ReLU()), some()
    targets = targets_of(net, x)

    def scaled(v):
        return factor * net(v)

    found = descent.solve(problem_of(scaled, x, targets, 1e-4 * factor))
    plain = descent.solve(problem_of(net, x, targets, 1e-4))
    assert found.square.isfinite().all()
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


@pytest.mark.parametrize("who", [[], [1, 4]])
def test_for_any_class_images_led_astray_get_steps_away_from_the_label(monkeypatch, who):
    """Normalised ones, then averaged normals: of these images alone."""
    net, x = net_of(nn.Tanh()), some(6)
    problem = dataclasses.replace(problem_of(net, x, net(x).argmax(1)), away=True)
    programming, asked = sqp.solve, []

    def solve(*given, misled=None, **more):
        if misled is not None:
            misled[who] = True
        return programming(*given, **more)

    def noted(name, solver):
        def solve(some, *given, **more):
            asked.append((name, len(some), some.away))
            return solver(some, *given, **more)

        return solve

    meter = Meter(problem.x, 1000, problem.targets)
    problem = problem.metered(meter, torch.arange(6))
    monkeypatch.setattr(sqp, "solve", solve)
    for module in (descent, averaging):
        monkeypatch.setattr(module, "solve", noted(module.__name__.split(".")[-1], module.solve))
    routes.soon(problem, net(x))
    assert asked[:2] == [("averaging", 6, True), ("averaging", 6, False)]
    wanted = [("descent", len(who), True), ("averaging", len(who), True)]
    assert asked[2:] == (wanted if who else [])
    rest = [k for k in range(6) if k not in who]
    more = turns.STAGES[-1] + averaging.STEPS
    assert (meter.spent[who] >= more).all()
    assert (meter.spent[rest] < more).all()


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
