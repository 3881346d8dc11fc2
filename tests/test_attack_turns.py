"""The attack's ways, and which image gets which of them, in turn."""

import dataclasses

import pytest
import torch
from attack_problems import Sine, net_of, problem_of, some, targets_of
from torch import nn

from course_lib.attacks import Status, averaging, descent, metering, sqp, turns, ways
from course_lib.attacks.problem import BestPoints, Problem


def a_way(square, seen):
    """A way that ends at these squares, one for each image, and notes which images it was given."""

    def way(known):
        numbers = known.problem.image_numbers
        seen.append(numbers.tolist())
        found = BestPoints.nothing(known.problem, Status.AVERAGED)
        found.square = torch.tensor(square)[numbers]
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
    monkeypatch,
    before,
    first,
    later,
    rough=None,
    settled=False,
    hesitant=None,
    anew=(),
    middle=(),
    smooth=None,
    hollows=(),
):
    """What :func:`turns.by_turns` makes of ways that end at these squares, averaged normals the
    first of ``later``: what each of them was given, in turn, the nearest squares, and what was
    refined. before: those of quadratic programming; rough: of more normalised steps; settled:
    whether programming has; hesitant: where it was left early; anew, middle: the squares of
    averaged normals from elsewhere, and from between two ends, the first time, the second, ...,
    whose numbers (None between) and images are noted; smooth: for images where programming leads
    on, by what share of the square; hollows: the squares of brief beginnings, noted as those."""
    seen, followed, betweens = [], [], iter(middle)
    nothing = len(before) * [torch.inf]

    def onward(problem, found, rows, iterations=None, rival=None):
        images = problem.image_numbers.tolist()
        found.square[rows] *= torch.tensor([1 - (smooth or {}).get(image, 0.0) for image in images])
        if images:
            followed.append(images)

    def elsewhere(known, numbers):
        squares = [anew[k] if k < len(anew) else nothing for k in numbers]
        if anew:
            seen.append((list(numbers), known.problem.image_numbers.tolist()))
        return all_of(known.problem, squares)

    def brief(known, numbers):
        at = [k - turns.BRIEF_FROM for k in numbers]
        if hollows:
            seen.append((at, known.problem.image_numbers.tolist()))
        return all_of(known.problem, [hollows[k] if k < len(hollows) else nothing for k in at])

    def between(known):
        seen.append((None, known.problem.image_numbers.tolist()))
        return all_of(known.problem, [next(betweens, nothing)])

    averages, *others = later or [nothing]
    monkeypatch.setattr(turns, "onward", onward)
    monkeypatch.setattr(turns, "elsewhere", elsewhere)
    monkeypatch.setattr(turns, "between", between)
    monkeypatch.setattr(turns, "brief", brief)
    monkeypatch.setattr(turns, "FIRST_WAY", a_way(first, seen))
    monkeypatch.setattr(turns, "averaged", a_way(averages, seen))
    monkeypatch.setattr(turns, "LAST_WAYS", [a_way(square, seen) for square in others])
    monkeypatch.setattr(turns, "ROUGH_WAY", a_way(rough or nothing, seen if rough else []))
    problem, n = numbered(len(before)), len(before)
    found = BestPoints.nothing(problem, Status.SETTLED if settled else Status.FAILED)
    found.square = torch.tensor(before)
    hesitant, no = torch.tensor(hesitant or n * [False]), torch.zeros(n, dtype=torch.bool)
    turns.by_turns(problem, torch.zeros(n, 5), 10, found, torch.arange(n), hesitant, no, no)
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
    """At once where programming has found nothing, image 2. Else unless averaged normals are nearer
    still: 4, and 3, for which nothing else was found. Of image 5 theirs end at the same place."""
    before = [1.0, 1.2, torch.inf, torch.inf, 1.2, 1.2]
    first = [1.0, 1.0, 1.0, torch.inf, 1.0, 1.0]
    later = [[2.0, 9.0, 9.0, 5.0, 0.9, 1.0001], 6 * [3.0]]
    rough = [9.0, 0.5, 0.4, 9.0, 9.0, 9.0]
    seen, square, _ = by_turns_of(monkeypatch, before, first, later, rough)
    everything = [0, 1, 2, 3, 4, 5]
    assert seen == [everything, [2], [0, 1, 3, 4, 5], [1], [0, 3, 4]]
    assert square == [1.0, 0.5, pytest.approx(0.4), 3.0, pytest.approx(0.9), 1.0]


def test_where_more_steps_bring_nothing_nearer_the_image_goes_on(monkeypatch):
    """At once, where programming has found nothing: they bring 0 nearer, 1 to the same place, and
    2 on. After averaged normals: they bring 3 nearer, 4 to the same place, and 5 on."""
    before, first = [*(3 * [torch.inf]), *(3 * [1.2])], 6 * [1.0]
    rough, later = 2 * [0.5, 1.0001, 1.2], [6 * [0.9], 6 * [0.3]]
    later[0][3:] = 3 * [2.0]
    seen, square, _ = by_turns_of(monkeypatch, before, first, later, rough)
    assert seen == [[0, 1, 2, 3, 4, 5], [0, 1, 2], [2, 3, 4, 5], [3, 4, 5], [2, 5]]
    assert square == pytest.approx([0.5, 1.0, 0.3, 0.5, 1.0, 0.3])


def test_a_stuck_image_that_more_steps_bring_nowhere_begins_elsewhere(monkeypatch):
    """Both were led astray by programming, and averaged normals end near the first way: more steps
    bring 0 nothing, and it begins elsewhere as stuck images do; 1 they bring nearer, and no more
    is asked of it."""
    anew = [[0.95, 0.1], [0.97, 0.1], [9.0, 0.1]]
    seen, square, _ = by_turns_of(
        monkeypatch, 2 * [1.2], 2 * [1.0], [2 * [1.05]], rough=[1.2, 0.5], anew=anew
    )
    assert seen[:4] == [[0, 1], [0, 1], [0, 1], ([0, 1], [0])]
    assert square == pytest.approx([0.95, 0.5])
    assert not any(1 in given[-1] for given in seen[3:] if isinstance(given, tuple))


def test_brief_beginnings_go_on_as_long_as_they_find_something_nearer(monkeypatch):
    """Several at once, each followed. Image 0 finds nothing, 1 in its first beginnings, 2 in all of
    them, 3 something nearer by less than what counts; of image 4 two of them end at one place."""
    before, first, ends = 5 * [1.05], 5 * [1.0], [5 * [1.3], 5 * [2.0]]
    hollows = [
        [3.0, 0.9, 0.9, 0.9999, 0.8],
        [3.1, 1.1, 0.8, 1.1, 0.8001],
        [3.2, 1.2, 0.7, 1.2, 0.9],
        [0.1, 1.3, 0.6, 0.1, 0.1],
        [0.1, 1.4, 0.5, 0.1, 0.1],
        [0.1, 1.5, 0.4, 0.1, 0.1],
        5 * [0.1],
    ]
    seen, square, followed = by_turns_of(monkeypatch, before, first, ends, hollows=hollows)
    several = list(range(turns.SEVERAL))
    assert turns.TIMES * turns.SEVERAL == 6  # of the table above
    assert seen[2] == (several, [0, 1, 2, 3, 4])
    assert seen[3] == ([k + turns.SEVERAL for k in several], [1, 2])
    assert seen[4] == [0, 1, 2]  # the way after; of 3 and 4 two ways agree
    assert square == pytest.approx([1.0, 0.9, 0.4, 0.9999, 0.8])
    assert followed[2] == 3 * [0, 1, 2, 3, 4]


def test_where_programming_leads_nowhere_averaged_normals_begin_elsewhere(monkeypatch):
    """Image 0 is smooth, and of 1 the ways before came to another distance; the others are stuck.
    Of these 2 finds nothing nearer, 3 and 4 do, 5 something nearer by less than what counts, 6 so
    much nearer that it was no small crease. From then on between two ends, too: 3 finds nothing
    there, nor at its third beginning, 4 does each time."""
    monkeypatch.setattr(turns, "ROUNDS", (2, 1, 0, 0))  # more than there are, to see them end
    before, first = [1.12, 2.5, *(5 * [1.12])], [1.05, 2.5, *(5 * [1.05])]
    ends = [7 * [1.0], 7 * [1.2]]
    anew = [
        [0.1, 0.1, 9.0, 1.1, 1.3, 1.0001, 0.8],
        [0.1, 0.1, 9.0, 0.95, 0.97, 0.9999, 9.0],
        [0.1, 0.1, 0.1, 0.96, 1.2, 0.1, 0.1],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
    ]
    middle = [7 * [0.96], 7 * [0.94], 7 * [0.92], 7 * [0.1]]
    seen, square, _ = by_turns_of(
        monkeypatch, before, first, ends, anew=anew, middle=middle, smooth={0: 0.1}
    )
    everything = [0, 1, 2, 3, 4, 5, 6]
    assert seen[:2] == [everything, everything]
    assert seen[2] == ([0, 1], [2, 3, 4, 5, 6])
    assert seen[3:5] == [(None, [3, 4]), ([2], [3, 4])]
    assert seen[5:7] == [(None, [4]), (None, [4])]  # ROUNDS: not more
    assert seen[7] == [0, 1, 2, 6]  # of 5 two ends agree
    assert len(seen) == 8
    assert square == pytest.approx([0.9, 1.0, 1.0, 0.95, 0.92, 0.9999, 0.8])


def test_a_round_that_finds_nothing_nearer_is_the_last(monkeypatch):
    """Image 1 comes between its ends to the same place as before, image 0 to one a little nearer,
    twice; what quadratic programming would make of it is not asked there."""
    monkeypatch.setattr(turns, "ROUNDS", (2, 1, 0, 0))
    anew, before, first = [[0.97, 0.98], [0.98, 0.97], [0.99, 0.98]], 2 * [1.05], 2 * [1.04]
    middle = [[0.95, 0.97], [0.95, 0.1], [0.1, 0.1]]
    ends = [2 * [1.0]]
    seen, square, followed = by_turns_of(monkeypatch, before, first, ends, anew=anew, middle=middle)
    assert seen[2:] == [([0, 1], [0, 1]), (None, [0, 1]), ([2], [0, 1]), (None, [0])]
    assert square == pytest.approx([0.95, 0.97])
    assert followed == [[0, 1], [0, 1]]  # the ends of the first way and of averaged normals


def test_where_programming_leads_on_there_is_no_other_beginning(monkeypatch):
    """Image 0 is stuck; 1 is led on by 0.03 % of its distance, and 2 by 3 %."""
    ends, smooth = [3 * [1.0], 3 * [0.97]], {1: 0.00065, 2: 0.06}
    anew = 3 * [3 * [0.98]]
    seen, square, _ = by_turns_of(
        monkeypatch, 3 * [1.05], 3 * [1.04], ends, anew=anew, smooth=smooth
    )
    rounds = [given for given in seen if isinstance(given, tuple)]
    assert rounds[0] == ([0, 1], [0])
    assert seen[-1] == [1, 2]
    assert square[0] == pytest.approx(0.98)


def test_nothing_goes_on_from_what_was_known_before(monkeypatch):
    """The second way finds nothing nearer for image 0, and begins with what was known of it."""
    *_, followed = by_turns_of(
        monkeypatch, [1.05, 1.22], [1.0, 1.2], [[1.0, 1.1]], smooth={0: 0.1, 1: 0.1}
    )
    assert followed == [[0, 1], [0, 1]]  # programming has led on from the first, to 0.9
    *_, followed = by_turns_of(monkeypatch, [1.05, 1.22], [1.0, 1.2], [[1.0, 1.1]])
    assert followed == [[0, 1], [1]]


def test_an_image_that_had_its_steps_in_stages_gets_no_first_way_again(monkeypatch):
    """Which ways are next is what the stages said: more of such steps, or averaged normals."""
    seen = []
    monkeypatch.setattr(turns, "onward", lambda *given, **more: None)
    for name, square in (("FIRST_WAY", 1.0), ("averaged", 0.9)):
        monkeypatch.setattr(turns, name, a_way(3 * [square], seen))
    monkeypatch.setattr(turns, "ROUGH_WAY", a_way(3 * [0.8], seen))
    monkeypatch.setattr(turns, "TIMES", 0)
    monkeypatch.setattr(turns, "LAST_WAYS", [])
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
    """A share of an infinite distance would be a corner of the box."""
    anew, inf = [[0.1, 0.1]], torch.inf
    rough = [inf, 3.0]
    seen, square, _ = by_turns_of(
        monkeypatch, 2 * [inf], 2 * [inf], [[1.0, inf]], rough=rough, anew=anew, hollows=anew
    )
    assert seen[:3] == [[0, 1], [0, 1], [1]]
    assert seen[3] == ([0, 1, 2], [0])  # of the first one a distance is known
    assert square == pytest.approx([0.1, 3.0])
    # where averaged normals alone have found something, they have not ended among small creases
    before, first = [9.0, 9.0], [8.9, 8.9]
    seen, *_ = by_turns_of(monkeypatch, before, first, [[1.0, 8.5]], anew=anew)
    assert [given for given in seen if isinstance(given, tuple)] == [([0, 1], [1])]


def test_what_has_settled_is_not_begun_anew(monkeypatch):
    """Where the conditions hold at an end of averaged normals, it is at the bottom of a hollow."""
    seen, begun = [], []

    def settled(known):
        found = a_way([1.0, 1.0], seen)(known)
        found.status[0] = Status.SETTLED
        return found

    def elsewhere(known, numbers):
        begun.append(known.problem.image_numbers.tolist())
        return all_of(known.problem, [[0.96, 0.96] for _ in numbers])

    monkeypatch.setattr(turns, "onward", lambda *given, **more: None)
    monkeypatch.setattr(turns, "averaged", settled)
    monkeypatch.setattr(turns, "elsewhere", elsewhere)
    monkeypatch.setattr(turns, "TIMES", 0)
    monkeypatch.setattr(turns, "FIRST_WAY", a_way([1.05, 1.05], seen))
    monkeypatch.setattr(turns, "LAST_WAYS", [])
    problem = numbered(2)
    found = BestPoints.nothing(problem, Status.FAILED)
    found.square = torch.tensor([1.06, 1.06])
    no = torch.zeros(2, dtype=torch.bool)
    turns.by_turns(problem, torch.zeros(2, 5), 10, found, torch.arange(2), no, no, no)
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
    monkeypatch.setattr(descent, "solve", lambda *how: given.append(how[1:]))
    known = BestPoints.nothing(problem, Status.FAILED)
    known.square[0] = 1.0
    ways.more_steps(ways.Known(problem, torch.zeros(2, 2), 10, known))
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
    known = ways.Known(problem, torch.zeros(8, 5), 60, averaging.solve(problem, 60))
    every = ways.elsewhere(known, range(3))
    assert every.square.isfinite().all()
    ends = torch.cat([known.found.square, every.square]).reshape(4, 8).sqrt()
    apart = ends.amax(0) / ends.amin(0) - 1
    assert (apart > turns.SAME).sum() >= 4
    one = torch.tensor([3])
    alone = ways.Known(problem.take(one), torch.zeros(1, 5), 60, known.found.take(one))
    alone = ways.elsewhere(alone, range(1, 2))
    assert torch.allclose(alone.square, every.square[8 + one], rtol=1e-9)
    # each is a success inside the box, at the distance that it claims
    rows = torch.arange(8).repeat(3)
    assert ((every.z >= 0) & (every.z <= 1)).all()
    assert torch.equal(net(every.z.unflatten(1, (1, 6, 6))).argmax(1), problem.targets[rows])
    assert torch.allclose((every.z - problem.x[rows]).square().sum(1), every.square)


class Noted(nn.Module):
    """A network that keeps the images at which its gradients are taken, flattened."""

    def __init__(self, net):
        super().__init__()
        self.net, self.asked = net, []

    def forward(self, images):
        if images.requires_grad:
            self.asked.append(images.detach().flatten(1).clone())
        return self.net(images)


def test_the_first_gradient_is_taken_aside_near_by_or_far_away():
    net, x = net_of(nn.Tanh()), 0.5 + 0 * some(3)  # grey: nothing is cut to the box
    problem = problem_of(net, x, targets_of(net, x))
    found = BestPoints.nothing(problem, Status.AVERAGED)
    found.square = torch.tensor([0.01, 0.04, 0.0025])
    known = torch.tensor([0.1, 0.2, 0.05])

    def first_points(way, numbers):
        noted = Noted(net).eval()
        given = ways.Known(problem_of(noted, x, problem.targets), torch.zeros(3, 5), 5, found)
        one = way(given, numbers)
        assert len(one.square) == 3 * len(numbers)
        return (noted.asked[0] - 0.5).unflatten(0, (len(numbers), 3)), len(noted.asked)

    away, gradients = first_points(ways.elsewhere, range(3))
    assert gradients == 5
    shares = torch.tensor([ways.NEAR_BY, ways.FAR_AWAY, ways.FAR_AWAY])
    assert torch.allclose(away.norm(dim=2), shares[:, None] * known, rtol=1e-5)
    assert torch.allclose(away[:, 1] / 2, away[:, 0], atol=1e-6)  # one direction for all images
    for k, m in ((0, 1), (1, 2)):
        cosine = torch.cosine_similarity(away[k], away[m], dim=1)
        assert (cosine < 0.9).all()
    brief, gradients = first_points(ways.brief, range(2, 4))
    assert gradients == ways.BRIEF
    assert torch.allclose(brief.norm(dim=2), ways.FAR_AWAY * known.expand(2, 3), rtol=1e-5)
    assert torch.allclose(brief[0], away[2])  # the number decides


def test_a_point_aside_is_cut_to_the_box():
    net, x = net_of(nn.Tanh()), some(3).round()  # every pixel at one of its ends
    problem = problem_of(net, x, targets_of(net, x))
    found = BestPoints.nothing(problem, Status.AVERAGED)
    found.square = torch.tensor([0.01, 1.0, 100.0])
    at = ways.aside(ways.Known(problem, torch.zeros(3, 5), 5, found), range(2), 3.0)
    assert at.shape == (6, 36)
    assert ((at >= 0) & (at <= 1)).all()


def with_ends(problem, first, second, square=None):
    """What is known where two ways ended at these changes (N, D) of the images."""
    points = problem.x + torch.stack([first, second])
    found = BestPoints.nothing(problem, Status.AVERAGED)
    found.z, found.square = points[0].clone(), first.square().sum(1)
    ends = torch.stack([first, second]).square().sum(2) if square is None else square
    return ways.Known(problem, torch.zeros(len(problem), 5), 5, found, ends, points)


def test_between_two_ends_is_their_mean_direction_at_the_nearest_distance():
    """Three images: ends at a right angle, in one direction, and one end only."""
    net, x = net_of(nn.Tanh()), 0.5 + 0 * some(3)  # grey: nothing is cut to the box
    noted = Noted(net).eval()
    problem = problem_of(noted, x, targets_of(net, x))
    first, second = torch.zeros(2, 3, 36)
    first[:, 0], second[:, 1] = 0.03, 0.04
    second[1] = 2 * first[1]
    ends = torch.tensor([[9e-4, 9e-4, 9e-4], [16e-4, 36e-4, torch.inf]])
    ways.between(with_ends(problem, first, second, ends))
    wanted = torch.zeros(3, 36)
    wanted[:, 0] = 0.03
    wanted[0, :2] = 0.03 / 2**0.5
    assert torch.allclose(noted.asked[0] - 0.5, wanted, atol=1e-6)


def test_the_farther_apart_two_ends_lie_the_more_the_newest_gradient_counts(monkeypatch):
    net, x = net_of(nn.Tanh()), 0.5 + 0 * some(5)
    problem = problem_of(net, x, targets_of(net, x))
    angle = torch.tensor([0.0, 0.1, 0.5, 1.0, 3.0])
    first, second = torch.zeros(2, 5, 36)
    first[:, 0], second[:, 0], second[:, 1] = 0.1, 0.1 * angle.cos(), 0.1 * angle.sin()
    given = []
    monkeypatch.setattr(averaging, "solve", lambda *how: given.append(how))
    ways.between(with_ends(problem, first, second))
    chord = 2 * (angle / 2).sin()
    assert torch.allclose(given[0][-1], chord.clamp(averaging.AGAIN, 1), atol=1e-6)


def test_a_second_pass_mixes_the_first_gradient_by_each_images_weight():
    """The lead is linear with the slope (0, 1) in the two pixels; the images begin along the first.
    The average is then (1 - w) |r| / λ along the one and w along the other, with λ = |r| / 1."""
    slope = torch.tensor([0.0, 1.0])
    asked = []

    def net(images):
        asked.append(images.detach().flatten(1).clone())
        return torch.stack([0 * images.flatten(1).sum(1), images.flatten(1) @ slope], 1)

    x, weights = torch.full((3, 1, 1, 2), 0.5), torch.tensor([0.2, 0.7, 1.5])
    problem = Problem(net, x.flatten(1), torch.ones(3).long(), torch.full((3,), 0.6), x.shape[1:])
    found = BestPoints.nothing(problem, Status.AVERAGED)
    found.z[:, 0], found.square[:] = 0.6, 0.01
    averaging.approach(problem, found, 50, True, None, weights)
    second = asked[1] - 0.5
    share = (weights + averaging.LAST).clamp(max=1)
    assert torch.allclose(second[:, 1] / second.sum(1), share, atol=1e-5)


def test_between_two_ends_nothing_known_is_lost_and_something_found_that_no_end_leads_to():
    """In float64: on a rough network the last digit decides which hollow it is."""
    torch.manual_seed(4)
    conv = nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 5)
    net, x = nn.Sequential(*conv).double().eval(), some(24).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 3
    problem = problem_of(net, x, targets_of(net, x))
    every = turns._Turns.start(
        problem, torch.zeros(24, 5), 60, BestPoints.nothing(problem, Status.FAILED)
    )
    rows = torch.arange(24)
    every.keep(rows, averaging.solve(problem, 60))
    first = every.found.z.clone()
    every.begin(ways.elsewhere, rows, range(2), follow=False)
    # the two nearest ends are kept with their places
    away = torch.linalg.vector_norm(every.points - problem.x, dim=2)
    assert torch.allclose(away, every.ends.sqrt())
    assert (every.ends[0] <= every.ends[1]).all()
    assert (every.ends[0] < every.ends[1]).sum() > 12
    assert torch.equal(every.ends[0], every.found.square)
    assert not torch.equal(every.points[0], first)
    known = every.found.square.clone()
    one = ways.between(every)
    assert (one.square <= known).all()
    from_there = averaging.solve(problem, 60, start=every.found)
    assert (one.square < (1 - turns.SAME) ** 2 * torch.minimum(from_there.square, known)).sum() > 2
    assert ((one.z >= 0) & (one.z <= 1)).all()
    assert torch.equal(net(one.z.unflatten(1, (1, 6, 6))).argmax(1), problem.targets)
    assert torch.allclose((one.z - problem.x).square().sum(1), one.square)


def test_a_way_that_ends_far_behind_is_not_followed_on(monkeypatch):
    before, first = [1.0, 1.0, torch.inf], [3.9, 4.1, 9.0]
    # where more steps come next the end of the first ones is no end: only theirs is followed
    *_, followed = by_turns_of(monkeypatch, before, first, [], [9.0, 9.0, 8.0])
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
            turns._Turns.start(problem, torch.zeros(6, 5), 10, found).go(way, torch.arange(6))
            assert seen.pop() == rows
        assert not seen


def test_for_any_class_a_way_has_to_fit_into_the_passes_that_are_left(monkeypatch):
    """Of six passes of 10 gradients: after 40 there is room for two more, after 41 for one. Of nine
    for averaged normals from elsewhere, three at once, after 60; from between two ends after 80."""
    monkeypatch.setattr(turns, "onward", lambda *given, **more: None)
    seen = []
    long, short = a_way(4 * [1.0], seen), a_way(4 * [1.0], seen)
    monkeypatch.setattr(turns, "PASSES", {long: 2})

    def elsewhere(known, numbers):
        seen.append(known.problem.image_numbers.tolist())
        return all_of(known.problem, [4 * [1.0] for _ in numbers])

    def of(*spent, before=0):
        problem = numbered(4)
        problem.image, problem.least = torch.tensor([0, 0, 1, 1]), torch.ones(2)
        problem.before = torch.full((2,), before)
        found = BestPoints.nothing(problem, Status.FAILED)
        found.square, found.evaluations = torch.ones(4), torch.tensor(spent)
        return turns._Turns.start(problem, torch.zeros(4, 5), 10, found)

    for way, wanted in ((long, [0, 1]), (short, [0, 1, 2, 3])):
        of(20, 20, 20, 21).go(way, torch.arange(4))
        assert seen.pop() == wanted
    monkeypatch.setattr(turns, "elsewhere", elsewhere)
    of(30, 30, 30, 31).begin(elsewhere, torch.arange(4), range(3))
    assert seen.pop() == [0, 1]
    between = a_way(4 * [1.0], seen)
    monkeypatch.setattr(turns, "between", between)
    of(40, 40, 40, 41).go(between, torch.arange(4))
    assert seen.pop() == [0, 1]
    # of many classes, whose choice has cost 10 gradients, it is five for them, and six for others
    of(5, 5, 5, 6, before=10).begin(elsewhere, torch.arange(4), range(3))
    assert seen.pop() == [0, 1]
    of(15, 15, 15, 16, before=10).go(between, torch.arange(4))
    assert seen.pop() == [0, 1]
    of(20, 20, 20, 21, before=10).go(short, torch.arange(4))
    assert seen.pop() == [0, 1]


def test_who_may_not_have_a_way_any_more_gets_the_next_one(monkeypatch):
    """For any class, passes of 100 gradients. Image 1 has had 4.5 of the six: two of more steps do
    not fit, nor three brief beginnings with what follows; one of another way does."""
    monkeypatch.setattr(turns, "onward", lambda *given, **more: None)
    seen = []
    for name, square in (("FIRST_WAY", 1.0), ("averaged", 1.2), ("ROUGH_WAY", 1.0), ("brief", 1.0)):
        monkeypatch.setattr(turns, name, a_way(2 * [square], seen))
    monkeypatch.setattr(turns, "PASSES", {turns.ROUGH_WAY: 2})
    monkeypatch.setattr(turns, "LAST_WAYS", [a_way(2 * [0.9], seen)])
    problem = numbered(2)
    problem.image, problem.least = torch.arange(2), torch.full((2,), torch.inf)
    problem.before = torch.zeros(2).long()
    found = BestPoints.nothing(problem, Status.FAILED)
    found.square, found.evaluations = torch.full((2,), 1.5), torch.tensor([400, 450])
    no = torch.zeros(2, dtype=torch.bool)
    turns.by_turns(problem, torch.zeros(2, 5), 100, found, torch.arange(2), no, no, no)
    assert seen == [[0, 1], [0, 1], [0], [1]]
    # what brief beginnings take, of one image for which they fit and one for which they do not
    found.square, found.evaluations = torch.ones(2), torch.tensor([420, 421])
    problem.least = torch.ones(2)
    every = turns._Turns.start(problem, torch.zeros(2, 5), 100, found)
    assert turns.SEVERAL * every.passes(turns.brief) == pytest.approx(1.8)
    seen.clear()
    monkeypatch.setattr(turns, "TIMES", 1)

    def brief(known, numbers):
        seen.append(known.problem.image_numbers.tolist())
        return all_of(known.problem, [[0.9 - 0.1 * k] * 2 for k in range(len(numbers))])

    monkeypatch.setattr(turns, "brief", brief)
    assert every.search(torch.arange(2)).tolist() == [0, 1]
    assert seen == [[0]]


def test_a_beginning_is_followed_by_what_was_known_before_all_of_them(monkeypatch):
    """So that it does not matter how many the network is given at a time; with a budget one after
    the other, as the order of its gradients must not depend on other images."""
    rivals, asked = [], []

    def onward(problem, found, rows, iterations=None, rival=None):
        rivals.append(rival.tolist())

    def brief(known, numbers):
        asked.append(list(numbers))
        return all_of(known.problem, [[0.9 - 0.1 * k] * 2 for k in numbers])

    monkeypatch.setattr(turns, "onward", onward)
    monkeypatch.setattr(turns, "brief", brief)
    for most, meter, wanted in (
        (None, None, [[0, 1]]),
        (3, None, [[0], [1]]),
        (None, 1, [[0], [1]]),
    ):
        problem = numbered(2)
        problem.most = most
        found = BestPoints.nothing(problem, Status.FAILED)
        found.square = torch.tensor([1.0, 2.0])
        every = turns._Turns.start(problem, torch.zeros(2, 5), 100, found)
        if meter:
            budget = metering.Meter(problem.x, 100)
            every.problem = problem.metered(budget, torch.arange(2))
        every.begin(brief, torch.arange(2), range(2))
        assert asked == wanted
        assert [square for one in rivals for square in one] == [1.0, 2.0, 1.0, 2.0]
        asked.clear()
        rivals.clear()


def test_several_beginnings_keep_to_the_images_that_the_network_is_given_at_a_time(monkeypatch):
    asked = []

    def elsewhere(known, numbers):
        asked.append(list(numbers))
        return all_of(known.problem, [[0.99 - 0.01 * k, 1.0] for k in numbers])

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
        every = turns._Turns.start(problem, torch.zeros(2, 5), 10, found)
        left = every.begin(elsewhere, torch.arange(2), range(3), follow=False)
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
