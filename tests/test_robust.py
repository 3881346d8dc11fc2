"""The penalty is made of exact norms and their gradient; bounded networks are what they claim."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import models, robust, training
from course_lib.data import load_mnist


@pytest.fixture(scope="module")
def few():
    return load_mnist("train", "cpu").sample(1500, seed=5)


def norms_of(net):
    """By NumPy, in double precision."""
    layers = [m for m in net.modules() if isinstance(m, nn.Linear)]
    return [np.linalg.norm(m.weight.detach().numpy().astype(float), 2) for m in layers]


# ---------------------------------------------------------------- the penalty


@pytest.mark.parametrize("kind", ["sum", "log-product"])
def test_the_penalty_is_made_of_the_largest_singular_values(kind):
    # a layer that widens too; in double, for float32's last digits are the processor's
    net = robust.build(hidden=(60, 80), seed=1).double()
    norms = norms_of(net)
    wanted = sum(norms) if kind == "sum" else math.log(math.prod(norms))
    assert robust.penalty(net, kind=kind).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("shape", [(6, 11), (11, 6), (7, 7), (1, 5), (5, 1)])
def test_the_gradient_is_that_of_finite_differences(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    robust.largest_singular_value(weight).backward()
    matrix, step = weight.detach().numpy(), 1e-6
    for at in np.ndindex(shape):
        moved = [matrix.copy(), matrix.copy()]
        moved[0][at] += step
        moved[1][at] -= step
        up, down = (np.linalg.norm(m, 2) for m in moved)
        assert weight.grad[at].item() == pytest.approx((up - down) / (2 * step), abs=1e-8)


def test_the_gradient_is_the_outer_product_of_the_singular_vectors():
    torch.manual_seed(1)
    weight = torch.randn(9, 14, dtype=torch.float64, requires_grad=True)
    robust.largest_singular_value(weight).backward()
    u, _, vt = scipy.linalg.svd(weight.detach().numpy())
    np.testing.assert_allclose(weight.grad.numpy(), np.outer(u[:, 0], vt[0]), atol=1e-12)


def test_singular_values_that_nearly_agree_cost_no_accuracy():
    # where power iteration would need millions of steps: the ratio of the first two is 1 + 1e-7
    torch.manual_seed(2)
    u = torch.linalg.qr(torch.randn(20, 20, dtype=torch.float64))[0]
    v = torch.linalg.qr(torch.randn(30, 20, dtype=torch.float64))[0]
    values = torch.linspace(0.9, 1.0, 20, dtype=torch.float64)
    values[-2] = 1 - 1e-7
    weight = (u * values @ v.T).requires_grad_()
    sigma = robust.largest_singular_value(weight)
    sigma.backward()
    assert sigma.item() == pytest.approx(1.0, abs=1e-12)
    # any subgradient at an exact tie, and here nearly one: it has norm 1 and gives σ back
    assert (weight.grad * weight.detach()).sum().item() == pytest.approx(1.0, abs=1e-7)
    assert weight.grad.norm().item() == pytest.approx(1.0, abs=1e-9)


def test_a_multiple_singular_value_has_a_subgradient_and_no_nan():
    weight = torch.eye(4, 6, requires_grad=True)
    robust.largest_singular_value(weight).backward()
    assert torch.isfinite(weight.grad).all()
    assert weight.grad.norm().item() == pytest.approx(1.0, abs=1e-6)


def test_the_bounds_are_penalised_and_not_the_biases():
    net = robust.build(hidden=(20,))
    robust.penalty(net).backward()
    assert net.fc1.bias.grad is None
    # d log σ / dW = u vᵀ / σ
    assert net.fc1.weight.grad.norm().item() == pytest.approx(1 / norms_of(net)[0], rel=1e-5)


def test_convolutions_are_penalised_by_an_upper_bound():
    torch.manual_seed(0)
    convolution = nn.Conv2d(2, 4, 3, padding=1)
    net = nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    conv, fc = robust.norms_of_layers(net, (2, 6, 6))
    images = torch.eye(72).reshape(72, 2, 6, 6)
    matrix = F.conv2d(images, convolution.weight.detach(), padding=1).flatten(1).double()
    true = np.linalg.norm(matrix.numpy(), 2)
    assert true <= conv.item() <= 1.1 * true
    robust.penalty(net, (2, 6, 6), "sum").backward()
    # σ is homogeneous: its gradient times the weights gives it back
    product = (convolution.weight.grad * convolution.weight).sum()
    assert product.item() == pytest.approx(conv.item(), rel=1e-5)
    assert fc.item() == pytest.approx(norms_of(net)[0], rel=1e-6)


@pytest.mark.parametrize(("variant", "strength"), [("sum", 0.3), ("log-product", 0.3)])
def test_training_with_the_penalty_lowers_the_bound(few, variant, strength):
    made = {
        v: robust.train_bounded(v, s, hidden=(30, 20), dataset=few, epochs=30, progress=False)
        for v, s in (("plain", None), (variant, strength))
    }
    plain, bounded = (math.prod(norms_of(made[v])) for v in ("plain", variant))
    assert bounded < plain / 4
    assert models.error_rate(made[variant], few) < 0.35


def test_the_penalty_of_an_orthonormal_network_is_that_of_ones():
    net = robust.build(hidden=(30, 20))
    robust.make_orthonormal(net)
    assert robust.penalty(net, kind="sum").item() == pytest.approx(3.0, rel=1e-5)


def test_weights_that_are_no_numbers_are_refused():
    net = robust.build(hidden=(20,))
    net.fc2.weight.data[3, 4] = float("nan")
    with pytest.raises(FloatingPointError, match="NaN or an infinity among the weights"):
        robust.penalty(net)
    with pytest.raises(FloatingPointError, match="NaN or an infinity among the weights"):
        robust.make_orthonormal(net)


def test_what_cannot_be_penalised_is_named():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10))
    with pytest.raises(ValueError, match="'2' is a BatchNorm1d"):
        robust.penalty(net)
    with pytest.raises(ValueError, match="no linear layer"):
        robust.penalty(nn.Flatten())
    with pytest.raises(ValueError, match="sum or log-product"):
        robust.penalty(robust.build(), kind="product")


# ---------------------------------------------------------------- orthonormal rows


def test_the_nearest_orthonormal_matrix_is_scipys_polar_factor():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((8, 13))
    ours = robust.NearestOrthonormal.apply(torch.from_numpy(matrix)).numpy()
    np.testing.assert_allclose(ours, scipy.linalg.polar(matrix, side="left")[0], atol=1e-12)


def test_its_gradient_is_that_of_finite_differences_also_at_equal_singular_values():
    torch.manual_seed(3)
    general = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    orthonormal = torch.linalg.qr(torch.randn(8, 5, dtype=torch.float64))[0].T.contiguous()
    assert torch.autograd.gradcheck(robust.NearestOrthonormal.apply, general)
    assert torch.autograd.gradcheck(robust.NearestOrthonormal.apply, orthonormal.requires_grad_())


@pytest.mark.parametrize("activation", ["relu", "maxmin"])
def test_rows_are_orthonormal_after_training(few, activation):
    net = robust.train_bounded(
        "orthonormal", activation=activation, hidden=(40, 30), dataset=few, epochs=8, progress=False
    )
    for layer in (net.fc1, net.fc2, net.fc3):
        assert type(layer) is nn.Linear  # plain again: it can be stored and bounded as any other
        weight = layer.weight.detach().double()
        gram = weight @ weight.T
        torch.testing.assert_close(gram, torch.eye(len(gram)).double(), atol=1e-6, rtol=0)
    assert models.error_rate(net, few) < 0.3


def test_maxmin_sorts_pairs_and_keeps_every_length():
    x = torch.tensor([[1.0, -2.0, 3.0, 0.5], [0.0, 4.0, -1.0, 5.0]])
    assert robust.MaxMin()(x).tolist() == [[3.0, 0.5, 1.0, -2.0], [0.0, 5.0, -1.0, 4.0]]
    jacobian = torch.autograd.functional.jacobian(robust.MaxMin(), x[:1]).reshape(4, 4)
    torch.testing.assert_close(jacobian @ jacobian.T, torch.eye(4))


def test_the_margin_loss_at_no_margin_and_temperature_one_is_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(20, 10, dtype=torch.float64), torch.arange(20) % 10
    loss = robust.MarginLoss(0.0, 1.0)(logits, labels)
    assert loss.item() == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
    # one image by hand: log(1 + 9 e^((0 - (3 - 1)) / 0.5))
    one = torch.zeros(1, 10)
    one[0, 4] = 3.0
    wanted = math.log(1 + 9 * math.exp(-2 / 0.5))
    assert robust.MarginLoss(1.0, 0.5)(one, torch.tensor([4])).item() == pytest.approx(
        wanted, rel=1e-5
    )


def test_rows_that_cannot_be_orthonormal_are_refused_before_anything_is_changed():
    net = robust.build(hidden=(20, 30))
    with pytest.raises(ValueError, match="'fc2' has 30 outputs and 20 inputs"):
        robust.make_orthonormal(net)
    assert not torch.nn.utils.parametrize.is_parametrized(net.fc1)


# ---------------------------------------------------------------- the one function


@pytest.mark.parametrize(
    ("variant", "strength"), [("plain", None), ("log-product", 0.1), ("orthonormal", None)]
)
def test_the_same_seed_gives_the_same_network(few, variant, strength):
    weights = [
        robust.train_bounded(
            variant, strength, hidden=(20,), dataset=few, epochs=2, seed=seed, progress=False
        ).fc1.weight.detach()
        for seed in (3, 3, 4)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_no_strength_is_plain_training(few):
    def weight(variant, strength=None):
        return robust.train_bounded(
            variant, strength, hidden=(20,), dataset=few, epochs=2, progress=False
        ).fc1.weight.detach()

    for variant in ("decay", "sum", "log-product"):
        torch.testing.assert_close(weight(variant, 0.0), weight("plain"), atol=1e-6, rtol=0)


def test_the_plain_variant_is_the_training_of_the_zoo(few):
    net = robust.build(hidden=(20,), seed=7)
    training.train(
        net,
        few,
        epochs=2,
        learning_rate=1e-2,
        batch_size=256,
        seed=models.initial_seed("robust", 7),
        progress=False,
    )
    again = robust.train_bounded(
        "plain", hidden=(20,), seed=7, dataset=few, epochs=2, progress=False
    )
    assert torch.equal(net.fc2.weight, again.fc2.weight)


def test_a_net_has_the_layers_that_it_says(few):
    net = robust.build("maxmin", (30, 20))
    assert models.layer_names(net) == ["flatten", "fc1", "maxmin1", "fc2", "maxmin2", "fc3"]
    assert net(few.images[:3]).shape == (3, 10)
    assert torch.equal(net.fc1.weight, robust.build("sigmoid", (30, 20)).fc1.weight)


# ---------------------------------------------------------------- globally robust networks


@pytest.mark.parametrize("step", [1, 5, 40])
def test_the_eleventh_class_is_what_a_rival_can_reach(few, step):
    net = robust.build("maxmin", (20, 10), seed=3).double()
    images, labels = few.images[:40].double(), few.labels[:40]
    loss = robust.GloballyRobustLoss(net, 0.7, steps=20)
    for _ in range(step):
        found = loss(net(images), labels)
    found.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    rows = net.fc3.weight.detach().numpy()
    below, radius = math.prod(norms_of(net)[:2]), 0.7 * min(1, step / 10)
    values = []
    for z, label in zip(net(images).detach().numpy(), labels.tolist(), strict=True):
        top = int(z.argmax())
        reach = [
            z[j] + radius * below * math.dist(rows[top], rows[j]) for j in range(10) if j != top
        ]
        all_eleven = np.append(z, max(reach))
        values.append(scipy.special.logsumexp(all_eleven) - all_eleven[label])
    assert found.item() == pytest.approx(np.mean(values), rel=1e-9)


def test_a_globally_robust_network_certifies_more(few):
    same = {"activation": "maxmin", "hidden": (30, 20), "dataset": few, "epochs": 20}
    plain = robust.train_bounded("plain", learning_rate=3e-3, progress=False, **same)
    made = robust.train_bounded(
        "globally robust", radius=0.5, learning_rate=3e-3, progress=False, **same
    )

    def certified(net):
        """By hand: the margin over the pair's row and the norms below."""
        z, rows = net(few.images).detach().numpy(), net.fc3.weight.detach().numpy()
        below = math.prod(norms_of(net)[:2])
        radii = [
            min(
                (one[y] - one[j]) / (below * math.dist(rows[y], rows[j]))
                for j in range(10)
                if j != y
            )
            for one, y in zip(z, few.labels.tolist(), strict=True)
        ]
        return np.mean(np.array(radii) > 0.5)

    assert certified(made) > certified(plain) + 0.3


def test_the_loss_wants_a_last_linear_layer():
    with pytest.raises(ValueError, match="ends in Sigmoid"):
        robust.GloballyRobustLoss(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Sigmoid()), 1.0)


WRONG = [
    (("Plain",), {}, "no variant called 'Plain'"),
    (("plain", 0.1), {}, "'plain' has no strength"),
    (("orthonormal", 0.1), {}, "'orthonormal' has no strength"),
    (("decay",), {}, "'decay' needs a strength"),
    (("sum",), {}, "'sum' needs a strength"),
    (("sum", -0.1), {}, "reward layers that stretch"),
    (("log-product", float("nan")), {}, "must not be negative"),
    (("sum", 0.1), {"margin": 1.0}, "margin belongs to the loss of the variant 'orthonormal'"),
    (("orthonormal",), {"margin": -1.0}, "margin must be positive"),
    (("orthonormal",), {"temperature": 0.0}, "temperature must be positive"),
    (("globally robust",), {}, "needs the radius"),
    (("globally robust",), {"radius": 0.0}, "radius must be positive"),
    (("globally robust",), {"radius": 1.0, "activation": "sigmoid"}, "use relu or maxmin"),
    (("globally robust",), {"radius": 1.0, "margin": 1.0}, "margin belongs to the loss of the va"),
    (("orthonormal",), {"radius": 1.0}, "radius belongs to the loss of the variant 'globally rob"),
    (("plain",), {"activation": "tanh"}, "no activation called 'tanh'"),
    (("plain",), {"hidden": (10, 0)}, "must be positive"),
    (("orthonormal",), {"activation": "maxmin", "hidden": (11,)}, "must be even"),
    (("orthonormal",), {"hidden": (5,)}, "10 outputs and 5 inputs"),
    (("plain",), {"epochs": 0}, "epochs must be positive"),
]


@pytest.mark.parametrize(("given", "named", "sentence"), WRONG)
def test_wrong_settings_are_refused_with_a_sentence(few, given, named, sentence):
    with pytest.raises(ValueError, match=sentence):
        robust.train_bounded(*given, dataset=few, progress=False, **named)


# ---------------------------------------------------------------- the record and what made it

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """benchmarks/robust.py as a module of another name than the package's."""
    spec = importlib.util.spec_from_file_location("robust_benchmark", BENCHMARKS / "robust.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def record(bench):
    return json.loads(bench.PATH.read_text(encoding="utf-8"))


def networks(record):
    return [
        (name, seed, run)
        for name, method in record["methods"].items()
        for result in method["results"]
        for seed, run in result["seeds"].items()
    ]


def test_a_goal_chooses_among_the_accurate_ones(bench):
    rows = [
        {"accuracy": a, "certified": {"0.3": c}, "settings": name}
        for name, a, c in (("bold", 0.90, 0.8), ("good", 0.97, 0.7), ("tied", 0.98, 0.7))
    ]
    assert bench.choose(rows, 0.3, 0.0) == "bold"
    assert bench.choose(rows, 0.3, 0.97) == "tied"
    assert bench.choose(rows, 0.3, 0.99) == "tied"  # none is so accurate: the most accurate one


def test_a_network_is_trained_once_and_then_read(bench, few, monkeypatch):
    settings = {"variant": "orthonormal", "activation": "maxmin", "hidden": (20,), "epochs": 2}
    monkeypatch.setattr(bench, "load_mnist", lambda part, where: few)
    net, seconds = bench.trained(settings, "fit", 3)
    monkeypatch.setattr(bench, "load_mnist", None)  # nothing more to train
    again, stored = bench.trained(settings, "fit", 3)
    assert stored == seconds
    assert torch.equal(net(few.images[:50]), again(few.images[:50]))


def test_the_record_has_every_method_and_five_seeds(bench, record):
    assert list(record["methods"]) == list(bench.METHODS)
    for name, method in record["methods"].items():
        tried = [row["settings"] for row in method["candidates"]]
        assert tried == json.loads(json.dumps(bench.METHODS[name].candidates()))
        for result in method["results"]:
            assert list(result["seeds"]) == ["0", "1", "2", "3", "4"]


def test_the_record_was_made_with_what_validation_chose(bench, record):
    for name, method in record["methods"].items():
        goals = {}
        for result in method["results"]:
            goals |= dict.fromkeys(result["goals"], result["settings"])
        assert set(goals) == set(bench.METHODS[name].goals)
        for goal, settings in goals.items():
            assert settings == bench.choose(method["candidates"], *bench.GOALS[goal])


def test_the_records_certificates_never_exceed_the_attack(record):
    for name, seed, run in networks(record):
        for certificate in ("pairs", "tight", "local"):
            assert run[f"{certificate}_above_attack"] == 0, (name, seed, certificate)
            assert 0 <= run[f"{certificate}_ratio"] <= 1
        assert run["lower"] <= run["tight"] <= run["product"] * (1 + 1e-9)
        assert run["attacked"] >= 0.95 * run["right"]


def test_the_records_summaries_are_those_of_its_networks(record):
    for method in record["methods"].values():
        for result in method["results"]:
            accuracies = [run["accuracy"] for run in result["seeds"].values()]
            summary = result["summary"]["accuracy"]
            assert summary["mean"] == pytest.approx(np.mean(accuracies))
            # Student's t for five values: 2.776 standard errors
            half = 2.776 * np.std(accuracies, ddof=1) / 5**0.5
            assert summary["half_width"] == pytest.approx(half, rel=1e-3, abs=1e-12)


def test_the_record_reaches_what_was_aimed_at(record):
    def summary(name, goal):
        results = record["methods"][name]["results"]
        return next(r["summary"] for r in results if goal in r["goals"])

    for name in ("sum", "log-product", "orthonormal, MaxMin"):
        accuracy = summary(name, "near")["accuracy"]
        assert accuracy["mean"] - accuracy["half_width"] >= 0.97
        assert summary(name, "near")["certified_pairs"]["0.3"]["mean"] >= 0.90
    published = next(p for p in record["published"] if "fully connected" in p["name"])
    ours = summary("orthonormal, MaxMin, 256-256", "middle")["certified_pairs"]["1.58"]
    assert ours["mean"] - ours["half_width"] > published["certified"] / 100
