"""Examples at a layer's output fool what stands above it; pools are replaced; steps train what they
should; a seed says what becomes of a training."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import attacks, models, robust, training, zoo
from course_lib.data import load_mnist
from course_lib.device import generator
from course_lib.robust import against, examples, objectives
from course_lib.robust.places import some_places

NETWORKS = {"sigmoid": "FC100-100-10", "relu": "FC100-100-10-ReLU"}


@pytest.fixture(scope="module")
def few():
    return load_mnist("train", "cpu").sample(600, seed=5)


@pytest.fixture(scope="module", params=NETWORKS)
def cut(request):
    """A trained network's places."""
    return robust.places(zoo.load(NETWORKS[request.param], device="cpu"))


def trained(few, variant="pools", strength=1.0, **settings):
    settings = {
        "epochs": 1,
        "batch_size": 50,
        "size": 200,
        "seed": 3,
        "hidden": (12, 10),
    } | settings
    return robust.train_against(
        variant, strength, dataset=few, device="cpu", progress=False, **settings
    )


def weights(net):
    return [p.detach().clone() for p in net.parameters()]


# ---------------------------------------------------------------- places


def test_both_parts_of_a_place_make_up_the_network(few):
    net = models.build("FC123-456-10@P1")
    found = robust.places(net)
    assert list(found) == ["input", "sigmoid1", "sigmoid2"]
    for place, shape in zip(found.values(), [(1, 28, 28), (123,), (456,)], strict=True):
        values = place.values(few.images)
        assert values.shape[1:] == shape
        assert not values.requires_grad
        torch.testing.assert_close(place.above(values), net(few.images))
    assert [p.ceiling for p in robust.places(robust.build("relu")).values()] == [
        1,
        math.inf,
        math.inf,
    ]
    assert len(robust.places(models.build("CONV"))) == 3


def test_places_are_refused_in_a_sentence():
    with pytest.raises(
        TypeError, match=r"Places are known in an nn\.Sequential.*not in a Linear\."
    ):
        robust.places(nn.Linear(3, 2))
    net = robust.build("sigmoid")
    with pytest.raises(
        ValueError, match="has no place called 'relu1': use some of input, sigmoid1"
    ):
        some_places(net, ("relu1",))
    assert some_places(net, ()) == []


# ---------------------------------------------------------------- examples


def test_the_attack_fools_what_stands_above_and_stays_in_the_units_range(cut, few):
    some = few[:12]
    for place in cut.values():
        values = place.values(some.images)
        found = robust.nearest(place.above, values, some.labels, place.ceiling)
        right = place.above(values).argmax(1) == some.labels
        assert found.success.all()
        assert (place.above(found.values).argmax(1) != some.labels).all()
        assert found.values.min() >= 0
        assert found.values.max() <= place.ceiling
        assert torch.equal(found.values[~right], values[~right])
        change = (found.values - values).flatten(1).norm(dim=1)
        torch.testing.assert_close(found.distance, change)
        assert (found.distance[right] > 0).all()
        # nowhere near the wall that an attack on rectified units needs
        assert place.ceiling == 1 or found.values.max() < 0.9 * examples.ROOM * values.max()


def test_a_place_is_attacked_as_an_image_is(cut, few):
    some, place = few[:4], cut["input"]
    second = place.above(some.images).topk(2, dim=1)[1][:, 1]
    found = attacks.minimal_adversarial(
        place.above, some.images, second, some.labels, steps=examples.STEPS
    )
    ours = robust.nearest(place.above, some.images, some.labels)
    torch.testing.assert_close(ours.distance, found.l2.float(), rtol=1e-4, atol=1e-4)


def test_above_the_last_layer_the_distance_is_that_to_a_plane():
    torch.manual_seed(0)
    head = nn.Linear(6, 3).eval()
    values = torch.rand(20, 6) * 0.2 + 0.4  # far from the walls
    head.weight.data *= 8
    labels = head(values).argmax(1)
    found = robust.nearest(head, values, labels)
    first, second = head(values).topk(2, dim=1)[1].T
    normal = head.weight[first] - head.weight[second]
    logits = head(values).gather(1, torch.stack([first, second], 1))
    distance = (logits[:, 0] - logits[:, 1]) / normal.norm(dim=1)
    free = (found.values > 0).all(1) & (found.values < 1).all(1)
    # where a third class does not come in between: it would not change the distance either
    assert free.sum() > 10
    torch.testing.assert_close(found.distance[free], distance[free].detach(), rtol=1e-3, atol=1e-5)


def test_a_stretched_example_is_farther_by_as_much(cut, few):
    some, place = few[:20], cut[list(cut)[2]]
    values = place.values(some.images)
    near, far = (
        robust.nearest(place.above, values, some.labels, place.ceiling, stretch)
        for stretch in (1.0, 1.3)
    )
    wanted = (values + 1.3 * (near.values - values)).clamp(0, place.ceiling)
    torch.testing.assert_close(far.values, wanted)


@pytest.mark.parametrize("length", [0.05, 0.4])
def test_a_step_above_a_linear_head_of_two_classes_has_a_closed_form(length):
    """The loss is a function of one difference of logits: the step is along the difference of the
    two weight vectors, and several steps lead to the same point."""
    torch.manual_seed(1)
    head = nn.Linear(5, 2)
    values, labels = torch.rand(9, 5) * 0.1 + 0.45, torch.arange(9) % 2
    normal = head.weight[1 - labels] - head.weight[labels]
    wanted = (values + length * F.normalize(normal, dim=1)).clamp(0, 1).detach()
    torch.testing.assert_close(robust.single_step(head, values, labels, length), wanted)
    torch.testing.assert_close(robust.several_steps(head, values, labels, length), wanted)


def test_a_step_has_its_length_and_raises_the_loss(cut, few):
    place = cut[list(cut)[1]]
    values = place.values(few.images)
    moved = robust.single_step(place.above, values, few.labels, 0.2, math.inf)
    assert moved.min() >= 0
    assert (moved - values).norm(dim=1).max() <= 0.2 + 1e-5

    def losses(h):
        return F.cross_entropy(place.above(h), few.labels, reduction="none")

    assert (losses(moved) >= losses(values)).float().mean() > 0.9
    several = robust.several_steps(place.above, values, few.labels, 0.2, place.ceiling)
    assert (several - values).norm(dim=1).max() <= 0.2 + 1e-5
    assert losses(several).mean() >= losses(moved).mean() - 1e-4


def test_the_virtual_step_is_the_first_direction_of_the_answers_curvature():
    """For logits W x, KL's curvature is Wᵀ (diag p - p pᵀ) W: one power iteration of it."""
    torch.manual_seed(2)
    net = nn.Linear(6, 4, bias=False).double()
    x = torch.rand(3, 6, dtype=torch.float64)
    logits = net(x)
    found = robust.virtual_step(net, x, logits, 2.0, generator(7), probe=1e-4) - x
    start = torch.randn(x.shape, generator=generator(7)).double()
    for row in range(3):
        p = logits[row].softmax(0)
        curvature = net.weight.T @ (torch.diag(p) - torch.outer(p, p)) @ net.weight
        wanted = 2.0 * F.normalize(curvature @ start[row], dim=0)
        torch.testing.assert_close(found[row], wanted.detach(), rtol=1e-3, atol=1e-3)


def test_no_gradient_no_step():
    values = torch.rand(4, 3)
    flat = nn.Linear(3, 2)
    nn.init.zeros_(flat.weight)
    assert torch.equal(robust.single_step(flat, values, torch.zeros(4, dtype=int), 1.0), values)


# ---------------------------------------------------------------- pools


def counted(place, values, labels):
    """Examples that are their own labels."""
    return torch.zeros_like(values) + labels.view(-1, *[1] * (values.ndim - 1))


def test_as_many_examples_are_replaced_as_asked_at_random_slots(few):
    place = robust.places(robust.build("sigmoid"))["sigmoid1"]
    pool = robust.Pool(place, counted, few, 100, generator(0))
    assert len(pool) == pool.made == 100
    assert len(set(pool.rows.tolist())) == 100
    before, rows = pool.values.clone(), pool.rows.clone()
    slots = pool.replace(30)
    assert pool.made == 130
    assert len(set(slots.tolist())) == 30
    assert slots.sort()[0].tolist() != list(range(30))
    old = torch.ones(100, dtype=bool)
    old[slots] = False
    assert torch.equal(pool.values[old], before[old])
    assert torch.equal(pool.rows[old], rows[old])
    assert torch.equal(pool.labels, few.labels[pool.rows])
    assert (pool.values[:, 0] == pool.labels).all()  # the new ones are of the new images
    again = pool.replace(30)
    assert set(again.tolist()) != set(slots.tolist())
    values, labels = pool.draw(500)
    assert values.shape == (500, 100)
    assert torch.equal(values[:, 0].long(), labels)
    assert len(pool.replace(0)) == 0


def test_new_examples_are_made_for_the_network_of_now(few):
    net = robust.build("sigmoid")
    place = robust.places(net)["sigmoid1"]
    pool = robust.Pool(place, lambda place, values, labels: values, few, 50, generator(0))
    before = pool.values.clone()
    with torch.no_grad():
        net.fc1.weight.mul_(2)
    slots = pool.replace(20)
    torch.testing.assert_close(pool.values[slots], place.values(few.images[pool.rows[slots]]))
    old = torch.ones(50, dtype=bool)
    old[slots] = False
    assert torch.equal(pool.values[old], before[old])


def test_a_pool_of_a_wrong_size_is_refused(few):
    place = robust.places(robust.build("sigmoid"))["input"]
    for size in (0, 601):
        with pytest.raises(ValueError, match=f"A pool of {size} examples cannot be drawn from 600"):
            robust.Pool(place, counted, few, size, generator(0))
    pool = robust.Pool(place, counted, few, 10, generator(0))
    for count in (-1, 11):
        with pytest.raises(ValueError, match=f"Of a pool of 10 examples, {count} cannot be"):
            pool.replace(count)


@pytest.mark.parametrize(
    ("replaced", "rounds", "wanted"), [(1.0, 4, 150), (0.2, 2, 20), (0.0, 3, 0)]
)
def test_the_share_that_is_replaced_in_an_epoch(few, replaced, rounds, wanted):
    """12 steps an epoch: after every 3 or 6 of them, but not before the first."""
    made = trained(few, "input pool", replaced=replaced, rounds=rounds)
    assert made.replaced == wanted
    assert made.made == 200 + wanted


# ---------------------------------------------------------------- steps


@pytest.mark.parametrize(
    ("pooled", "fresh"), [(3, False), (3, True), (0, False)], ids=["pools", "fresh", "none"]
)
def test_a_step_trains_the_layers_above_its_place_and_no_others(few, pooled, fresh):
    net = robust.build("sigmoid", (12, 10)).eval()
    turns = list(robust.places(net).values())
    making = against.Making("step", 1.0, {}, 9.0)
    chosen = turns[:pooled]
    pools = {} if fresh else {p.name: robust.Pool(p, making, few, 50, generator(1)) for p in chosen}
    goal = objectives.Pooled(turns, pools, making, tuple(p.name for p in chosen) if fresh else ())
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for step in range(6):
        before = weights(net)
        optimizer.zero_grad()
        goal(few.images[:40], few.labels[:40]).backward()
        optimizer.step()
        moved = [not torch.equal(a, b) for a, b in zip(before, weights(net), strict=True)]
        below = 2 * (step % 3)  # a weight and a bias for each layer below
        assert moved == [False] * below + [True] * (6 - below)


def test_a_place_without_a_pool_has_its_step_on_the_images(few):
    net = robust.build("relu", (12, 10)).eval()
    turns = list(robust.places(net).values())
    goal = objectives.Pooled(turns, {"relu2": robust.Pool(turns[2], counted, few, 9, generator(0))})
    clean = F.cross_entropy(net(few.images), few.labels)
    values = [goal(few.images, few.labels) for _ in range(3)]
    torch.testing.assert_close(values[:2], [clean, clean])
    assert values[2] != clean


def test_without_alternation_each_step_trains_all_layers(few):
    net = robust.build("sigmoid", (12, 10)).eval()
    turns = list(robust.places(net).values())
    making = against.Making("step", 1.0, {}, 9.0)
    value = objectives.Pooled(turns, {}, making, ("sigmoid2",), alternate=False)
    value = value(few.images, few.labels)
    place = turns[2]
    worst = making(place, place.values(few.images), few.labels)
    clean, fooled = (F.cross_entropy(z, few.labels) for z in (net(few.images), place.above(worst)))
    torch.testing.assert_close(value, (clean + fooled) / 2)
    value.backward()
    assert all(p.grad is not None for p in net.parameters())


def test_the_share_weighs_the_two_losses(few):
    net = robust.build("relu", (12, 10)).eval()
    making = against.Making("step", 0.7, {}, 9.0)
    moved = robust.single_step(net, few.images, few.labels, 0.7)
    clean, fooled = (F.cross_entropy(net(x), few.labels) for x in (few.images, moved))
    for share in (0.0, 0.3, 1.0):
        value = objectives.stepped(net, making, share)(few.images, few.labels)
        torch.testing.assert_close(value, (1 - share) * clean + share * fooled)


def test_a_length_at_a_layer_is_the_same_share_of_its_values(few):
    net = robust.build("relu")
    place = robust.places(net)["relu1"]
    values, reference = place.values(few.images), few.images.flatten(1).norm(dim=1).mean()
    making = against.Making("step", 0.5, {"relu1": 2.0}, float(reference))
    length = 2 * 0.5 * values.norm(dim=1).mean() / reference
    wanted = robust.single_step(place.above, values, few.labels, length, math.inf)
    torch.testing.assert_close(making(place, values, few.labels), wanted)
    assert making.made == len(few)


def test_dropout_drops_its_share_and_keeps_the_mean():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2))
    seen = []
    net[3].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].detach()))
    nn.init.zeros_(net[1].weight)
    nn.init.ones_(net[1].bias)
    objectives.dropout(net, 0.25, generator(0))(
        torch.rand(200, 1, 28, 28), torch.zeros(200, dtype=int)
    )
    assert float((seen[0] == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(seen[0].mean()) == pytest.approx(1.0, abs=0.02)


def test_a_moving_average_is_what_the_network_has_in_the_end(few):
    net = robust.build("sigmoid", (4,))
    mean = against.Average(net, 0.5)
    for value, wanted in ((1.0, 1.0), (2.0, 1 * 2 / 11 + 2 * 9 / 11)):
        with torch.no_grad():
            net.fc1.bias.fill_(value)
        if value == 1.0:
            mean = against.Average(net, 0.5)
        mean.update()
        assert float(mean.mean[1][0]) == pytest.approx(wanted)
    mean.settle()
    assert float(net.fc1.bias.detach()[0]) == pytest.approx(wanted)
    plain, averaged = (trained(few, "decay", 0.0, average=a) for a in (0.0, 0.99))
    assert not torch.equal(plain.net.fc1.weight, averaged.net.fc1.weight)
    assert plain.loss == averaged.loss  # the average looks on


# ---------------------------------------------------------------- training

EVERY = [
    ("decay", 1e-4, {}),
    ("dropout", 0.2, {}),
    ("bounds", 0.05, {}),
    ("virtual", 1.0, {}),
    ("single-step", 1.0, {}),
    ("several-steps", 1.0, {}),
    ("input pool", 1.0, {"adversary": "several-steps"}),
    ("pools", 1.0, {"schedule": {"sigmoid1": 0.5}}),
    ("pools", 1.0, {"fresh": True, "places": ("sigmoid1", "sigmoid2")}),
    ("pools", 1.0, {"alternate": False, "activation": "relu"}),
    ("pools", 1.0, {"adversary": "attack", "size": 12, "replaced": 0.5, "places": ("sigmoid2",)}),
]


@pytest.mark.parametrize(("variant", "strength", "settings"), EVERY)
def test_the_same_seed_gives_the_same_weights(few, variant, strength, settings):
    first, second = (trained(few, variant, strength, **settings) for _ in range(2))
    other = trained(few, variant, strength, **settings | {"seed": 4})
    for a, b, c in zip(*map(weights, (first.net, second.net, other.net)), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert not first.net.training
    assert len(first.loss) == 1
    assert 0 <= first.attack_share <= 1
    attacks = variant not in ("decay", "dropout", "bounds")
    assert (first.made > 0) == attacks == (first.attack_seconds > 0)


def test_decay_is_the_training_that_there_was(few):
    """Against the same steps by :func:`training.train`."""
    ours = trained(few, "decay", 1e-3).net
    net = robust.build("sigmoid", (12, 10), 3)
    how = {"epochs": 1, "batch_size": 50, "learning_rate": 1e-2, "progress": False}
    seed = models.initial_seed("against", 3)
    training.train(net, few, decay=1e-3, seed=seed, **how)
    for a, b in zip(weights(ours), weights(net), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("variant", "strength", "settings", "said"),
    [
        ("pool", 1.0, {}, "There is no variant called 'pool': use one of decay, dropout, bounds"),
        ("pools", 1.0, {"adversary": "fgsm"}, "no adversary called 'fgsm': use one of step"),
        ("decay", 1e-4, {"fresh": True}, "fresh belongs to input pool and pools, and 'decay' has"),
        ("input pool", 1.0, {"places": ("input",)}, "places belongs to pools, and 'input pool'"),
        ("pools", -1.0, {}, "strength of 'pools' is a number from 0 on, not -1.0"),
        (
            "dropout",
            1.0,
            {},
            "strength of 'dropout' is a number from 0 on, at most 1 and less than",
        ),
        (
            "pools",
            1.0,
            {"share": 1.5},
            "The setting share of 'pools' is a number from 0 on, at most",
        ),
        ("pools", 1.0, {"size": 0.5}, "The setting size of 'pools' is a whole number from 1 on"),
        ("pools", 1.0, {"replaced": float("nan")}, "replaced of 'pools' is a number from 0 on"),
        ("pools", 1.0, {"average": 1.0}, "average of 'pools' is a number from 0 on"),
        ("pools", 1.0, {"places": ("relu1",)}, "has no place called 'relu1'"),
        ("pools", 1.0, {"schedule": {"fc1": 1.0}}, "has no place called 'fc1'"),
        ("pools", 1.0, {"activation": "tanh"}, "There is no activation called 'tanh'"),
        ("pools", 1.0, {"epochs": 0}, "The setting epochs must be positive"),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(few, variant, strength, settings, said):
    with pytest.raises(ValueError, match="(?s)" + ".*".join(said.split())):
        trained(few, variant, strength, **settings)
