"""The library's main paths on a GPU, pretended and, where there is one, real.

Each is done on the processor and on the GPU. The numbers of a real GPU differ in the last digits,
and a search that ends at one point here may end at a neighbour there: hence the tolerances.
"""

import pytest
import torch
from torch import nn

from course_lib import (
    attacks,
    data,
    exercises,
    models,
    robust,
    spectral,
    training,
    transfer,
    units,
    zoo,
)
from course_lib import device as devices
from course_lib.exercises import sources

SMALL = "FC10(1)"
KINKED = "FC100-100-10-ReLU"
SMOOTH = "FC100-100-10"


@pytest.fixture(autouse=True)
def _on_the_gpu(gpu, monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    assert devices.pick() == torch.device("cuda")


def both(n=8, *names):
    """For the processor and the GPU: n test images, and the networks."""
    for where in ("cpu", "cuda"):
        few = data.load_mnist("test", device=where).sample(n, seed=1)
        yield few, *(zoo.load(name, device=where) for name in names)


def is_close(found, rel=1e-6, floor=0.0):
    """Whether the GPU's values, which lie there, are the processor's."""
    ours, theirs = found
    assert theirs.is_cuda
    torch.testing.assert_close(theirs.cpu(), ours, rtol=rel, atol=floor)


# --- data, networks, training -----------------------------------------------------------------


def test_data_and_networks_lie_where_the_course_computes():
    few = data.load_mnist("train").sample(5, seed=0)
    assert few.images.is_cuda
    assert few.labels.is_cuda
    there = zoo.load(SMALL)
    assert {p.device.type for p in there.parameters()} == {"cuda"}
    assert few.to("cpu").images.device.type == "cpu"
    assert attacks.recorded_targets(few).is_cuda
    answers = models.predictions(zoo.load(SMALL, device="cpu"), few.images.cpu())
    assert torch.equal(models.predictions(there, few.images).cpu(), answers)


def test_training_goes_the_same_way():
    ends = []
    for few, *_ in both(300):
        torch.manual_seed(0)  # the first weights are the processor's
        net = models.build(SMOOTH).to(few.images.device)
        history = training.train(net, few, epochs=2, progress=False)
        ends.append((history.loss[-1], net[-1].weight.detach()))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-3)
    is_close([weight for _, weight in ends], rel=1e-2, floor=1e-3)


def test_bounded_training_does():
    ends = []
    for few, *_ in both(256):
        net = robust.train_bounded(
            "log-product", 0.01, hidden=(10,), dataset=few, epochs=2, device=few.images.device,
            progress=False,
        )  # fmt: skip
        ends.append(next(net.parameters()).detach())
    is_close(ends, rel=1e-2, floor=1e-3)


# --- the attack -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["margin", "cross-entropy", "sharpened"])
@pytest.mark.parametrize("name", [SMALL, KINKED])
def test_the_attack_in_its_losses(name, loss):
    found = []
    for few, net in both(4, name):
        targets = attacks.random_targets(few.labels, seed=2)
        result = attacks.minimal_adversarial(net, few.images, targets, few.labels, loss=loss)
        assert result.images.is_cuda == result.success.is_cuda == few.images.is_cuda
        assert result.success.all()
        assert str(result)
        found.append(result.distortion)
    is_close(found, rel=1e-4 if name == SMALL else 1e-2)


def test_the_nearest_class_and_eight_bits():
    found = []
    for few, net in both(4, SMALL):
        nearest = attacks.minimal_adversarial(net, few.images, None, few.labels)
        coarse = attacks.minimal_adversarial(
            net, few.images, nearest.targets, few.labels, eight_bit=True
        )
        found.append((nearest, coarse))
    is_close([one.targets for one, _ in found])
    is_close([one.distortion for one, _ in found], rel=1e-4)
    is_close([one.distortion for _, one in found], rel=1e-2)


def test_too_little_memory_halves_the_batch(monkeypatch):
    """As a GPU does it: the result too large, an exception, the halves tried."""
    from course_lib.attacks import minimal

    few, net = next(f for f in both(8, SMOOTH) if f[0].images.is_cuda)
    sizes, real = [], minimal._choose

    def choose(problem, *args, **kwargs):
        sizes.append(len(problem.x))
        if len(problem.x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(problem, *args, **kwargs)

    monkeypatch.setattr(minimal, "_choose", choose)
    targets = attacks.random_targets(few.labels, seed=2)
    result = attacks.minimal_adversarial(net, few.images, targets, few.labels)
    assert result.success.all()
    assert max(sizes) > 4
    assert sizes.count(2) >= 3


def test_the_exact_minimum_and_the_rest_of_the_attacks():
    found = {}
    for few, net in both(20, SMALL):
        targets = attacks.random_targets(few.labels, seed=2)
        exact = attacks.exact_minimum(net, few.images, targets, few.labels)
        plane = attacks.linear_distance(net, few.images, targets, few.labels)
        fool = attacks.deepfool(net, few.images)
        fast = attacks.fgsm(net, few.images, few.labels)
        noise = attacks.gaussian_noise(few.images, 0.1, seed=3)
        values = (exact.l2, plane, fool.images, fast.images, noise, attacks.all_targets(few.labels))
        for i, value in enumerate(values):
            found.setdefault(i, []).append(value)
    for pair in found.values():
        is_close(pair, rel=1e-5, floor=1e-5)


# --- transfer and units -----------------------------------------------------------------------


def test_transfer():
    shares = []
    for few, net, other in both(16, SMALL, "FC10(1e-2)"):
        table = transfer.transfer_table(
            {SMALL: net, "other": other}, None, few, stddev=0.1, noise=(0.1,), loss="margin"
        )
        again = transfer.adversarial_set(net, few, loss="margin")  # kept, read back
        assert again.adversarial.device == few.images.device
        cosines = transfer.gradient_cosines(net, other, few.images, few.labels)
        shares.append((str(table), cosines, again.adversarial))
    assert shares[0][0] == shares[1][0]
    torch.testing.assert_close(shares[1][1], shares[0][1], rtol=1e-4, atol=1e-5)  # both here
    is_close([one[2] for one in shares], rel=1e-3, floor=1e-3)


def test_units():
    found = []
    for few, net in both(400, SMOOTH):
        with torch.no_grad():
            h = units.activations(net, few.images, units.pre_activation(net, "fc2") or "fc2")
        directions = units.random_directions(20, h.shape[1], devices.generator(0))
        measured = units.measure(h, directions.to(h), few.labels, {"pixels": few.images.flatten(1)})
        found.append(measured | {"top": units.top_images(h, directions.to(h), k=5).double()})
    for name in found[0]:
        is_close([one[name] for one in found], rel=1e-4, floor=1e-4)


# --- norms and certificates -------------------------------------------------------------------


@pytest.mark.parametrize("name", [SMOOTH, KINKED, pytest.param("CONV", marks=pytest.mark.long)])
def test_bounds_of_networks(name):
    values = []
    for _, net in both(1, name):
        bounds = spectral.lipschitz(net, (1, 28, 28))
        assert str(bounds)
        values.append((bounds.product, bounds.tight, bounds.lower))
    assert values[1] == pytest.approx(values[0], rel=1e-6)


@pytest.mark.parametrize("method", spectral.METHODS)
def test_certificates(method):
    radii = [
        spectral.certified_radius(net, few.images, few.labels, method)
        for few, net in both(6, KINKED)
    ]
    assert radii[0].dtype == torch.float64
    is_close(radii, rel=1e-4)


def test_the_norm_of_a_layer_of_ones_own():
    values = []
    for where in ("cpu", "cuda"):
        torch.manual_seed(0)
        layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3, stride=2, padding=1))
        values.append(spectral.operator_norm(layer.to(where), (3, 9, 9)))
    assert values[1] == pytest.approx(values[0], rel=1e-6)


# --- the check engine -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "slug", ["pixel-rms", "stable-cross-entropy", "nearest-plane", "symbol-norm"]
)
def test_the_check_engine(slug):
    exercise = exercises.all_exercises()[slug]
    kinds = {
        "PASS": [sources.own_copy(exercise.solution()), exercise.variants[0]],
        "FAIL": [exercise.wrong_answer(exercise.mistakes[0])],
    }
    for status, answers in kinds.items():
        for answer in answers:
            verdict = exercises.judge(exercise, answer)
            assert verdict.status == status
    assert verdict.sentence == exercise.mistakes[0].sentence
