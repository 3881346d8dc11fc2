"""course_lib.imagenet, what lesson 09 uses: aimed pictures, noise, crops, detectors, folding."""

import importlib.util
import json
import math

import numpy as np
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import imagenet, models
from course_lib.imagenet import needed


def numbers(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class Halves(nn.Module):
    """Two classes: the mean of the pixels against a threshold. Planes, so distances are known."""

    def __init__(self, threshold=0.6, size=3 * 4 * 4):
        super().__init__()
        self.weight = nn.Parameter(torch.full((size,), 20.0 / size))
        self.threshold = threshold

    def forward(self, x):
        value = x.flatten(1) @ self.weight - 20 * self.threshold
        return torch.stack([-value, value], 1)


# --- aimed ----------------------------------------------------------------------------------------


def test_the_nearest_of_a_plane_is_found():
    """From grey at g the plane of the mean 0.6 is 0.6 - g away in the rms, and no nearer."""
    net = Halves().eval()
    images = torch.stack([torch.full((3, 4, 4), g) for g in (0.3, 0.45, 0.55)])
    found = imagenet.aimed(net, images, torch.tensor([1, 1, 1]), 120)
    assert found.success.all()
    assert torch.equal(net(found.images).argmax(1), torch.tensor([1, 1, 1]))
    exact = 0.6 - images.flatten(1).mean(1)
    assert (found.distortion >= exact - 1e-6).all()
    assert (found.distortion <= 1.1 * exact + 0.01).all()
    by_hand = (found.images - images).square().mean((1, 2, 3)).sqrt()
    assert torch.allclose(found.distortion, by_hand, rtol=1e-4)


def test_the_box_is_kept_and_what_cannot_be_is_no_success():
    images = numbers(4, 3, 4, 4)
    # a mean above 1.2 lies outside of the box
    found = imagenet.aimed(Halves(1.2).eval(), images, torch.ones(4).long(), 30)
    assert not found.success.any()
    assert found.distortion.isnan().all()
    assert torch.equal(found.images, images)
    near = imagenet.aimed(Halves(0.9).eval(), images, torch.ones(4).long(), 80)
    assert near.success.all()
    assert near.images.min() >= 0
    assert near.images.max() <= 1


def test_a_margin_and_a_way_ask_for_more():
    net, images = Halves().eval(), torch.full((1, 3, 4, 4), 0.4)
    aim = torch.tensor([1])
    plain = imagenet.aimed(net, images, aim, 80)
    # a lead of 4 logits: 40 (mean - 0.6) > 4, the mean 0.7
    lead = imagenet.aimed(net, images, aim, 80, margin=4.0)
    logits = net(lead.images)[0]
    assert logits[1] - logits[0] > 4
    assert 0.3 - 1e-6 <= lead.distortion[0] < 0.36
    assert plain.distortion[0] < 0.25
    # what is darkened by 0.1 afterwards must have the mean 0.7 before
    firm = imagenet.aimed(net, images, aim, 80, [lambda x: x - 0.1])
    assert net(firm.images - 0.1).argmax() == 1
    assert 0.3 - 1e-6 <= firm.distortion[0] < 0.36


def test_an_image_of_the_class_stays_where_it_is():
    images = torch.full((1, 3, 4, 4), 0.8)
    found = imagenet.aimed(Halves().eval(), images, torch.tensor([1]), 5)
    assert found.distortion.tolist() == [0.0]


def test_nothing_that_is_given_changes():
    net, images = Halves().eval(), numbers(2, 3, 4, 4)
    before, generator = images.clone(), torch.get_rng_state()
    imagenet.aimed(net, images, torch.tensor([1, 0]), 5)
    assert torch.equal(images, before)
    assert torch.equal(generator, torch.get_rng_state())
    assert net.weight.grad is None


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"classes": torch.tensor([1])}, ValueError, "2 images and 1 classes"),
        ({"classes": [1, 1]}, TypeError, "whole numbers"),
        ({"steps": 0}, ValueError, "from 1 on"),
        ({"margin": -1.0}, ValueError, "from 0 on"),
        ({"ways": [3]}, TypeError, "functions of images"),
        ({"ways": 3}, TypeError, "functions of images"),
        ({"net": 3}, TypeError, "module"),
        ({"images": torch.ones(2, 3, 4, 4) + 1}, ValueError, r"in \[0, 1\]"),
    ],
)
def test_what_cannot_be_aimed(change, error, words):
    given = {"net": Halves().eval(), "images": numbers(2, 3, 4, 4), "classes": torch.ones(2).long()}
    with pytest.raises(error, match=words):
        imagenet.aimed(**(given | change))


def test_noise_is_as_long_as_the_change_and_of_no_direction():
    change = torch.stack(
        [numbers(3, 40, 40, seed=7), 0.01 * numbers(3, 40, 40, seed=1), torch.zeros(3, 40, 40)]
    )
    noise = imagenet.equal_noise(change, torch.Generator().manual_seed(0))
    lengths = change.square().sum((1, 2, 3)).sqrt()
    assert torch.allclose(noise.square().sum((1, 2, 3)).sqrt(), lengths, rtol=1e-5)
    assert noise[2].abs().max() == 0
    cosine = F.cosine_similarity(noise[:2].flatten(1), change[:2].flatten(1))
    assert cosine.abs().max() < 5 / 4800**0.5
    kurtosis = (noise[0] ** 4).mean() / (noise[0] ** 2).mean() ** 2
    assert abs(kurtosis - 3) < 0.3
    with pytest.raises(TypeError, match="Generator"):
        imagenet.equal_noise(change, 0)


# --- crops and detectors --------------------------------------------------------------------------


def test_crops_are_slices():
    images = numbers(2, 3, 9, 11)
    parts, of = imagenet.crops(images, 4, 3)
    wanted = [
        (n, images[n, :, i : i + 4, j : j + 4])
        for n in range(2)
        for i in range(0, 6, 3)
        for j in range(0, 8, 3)
    ]
    assert of.tolist() == [n for n, _ in wanted]
    assert torch.equal(parts, torch.stack([part for _, part in wanted]))
    large, again = imagenet.crops(torch.full((1, 3, 8, 8), 0.25), 8, 1, enlarged=16)
    assert large.shape == (1, 3, 16, 16)
    assert torch.allclose(large, torch.tensor(0.25))
    assert again.tolist() == [0]
    with pytest.raises(ValueError, match=r"no square of 12 pixels in an image of 9 x 11"):
        imagenet.crops(images, 12, 1)
    with pytest.raises(ValueError, match="from 1 on"):
        imagenet.crops(images, 4, 0)


def test_the_threshold_is_the_best_of_all():
    """By scikit-learn's balanced accuracy, over a fine grid of thresholds."""
    for seed in range(5):
        wanted = numbers(50, seed=seed) < 0.3
        values = numbers(50, seed=seed + 10) + 0.4 * wanted
        threshold, accuracy = imagenet.best_threshold(values, wanted)

        def score(t, wanted=wanted, values=values):
            return sklearn.metrics.balanced_accuracy_score(wanted, values > t)

        assert accuracy == pytest.approx(score(threshold))
        assert accuracy >= max(score(t) for t in np.linspace(-0.1, 1.6, 400)) - 1e-12
    assert imagenet.best_threshold(torch.tensor([1.0, 3]), torch.tensor([False, True])) == (
        2.0,
        1.0,
    )


@pytest.mark.parametrize(
    ("values", "wanted", "words"),
    [
        ([1.0, 2], [True, True], "and of what it does not"),
        ([1.0, 2], [False, False], "and of what it does not"),
        ([1.0, 1], [True, False], "All values are equal"),
        ([1.0, 1, 2], [True, False], "for each value"),
        ([1.0, 2], [1, 0], "True or False"),
    ],
)
def test_what_has_no_threshold(values, wanted, words):
    with pytest.raises(ValueError, match=words):
        imagenet.best_threshold(torch.tensor(values), torch.tensor(wanted))


def test_a_detector_says_what_its_unit_says():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Sigmoid(), nn.Linear(5, 3)).eval()
    images = numbers(6, 3, 2, 2)
    value = models.activations(net, images, "2")[:, 3]
    threshold = float(value.median())
    detector = imagenet.Detector(net, "2", 3, threshold, 0.5)
    logits = detector(images)
    assert torch.equal(logits.argmax(1) == 1, value > threshold)
    assert torch.allclose(logits[:, 1], (value - threshold) / 0.5)
    assert torch.allclose(logits.sum(1), torch.zeros(6))
    with pytest.raises(ValueError, match=r"no layer called 'relu9': use one of"):
        imagenet.Detector(net, "relu9", 0, 0.0)


# --- folding --------------------------------------------------------------------------------------


def test_a_folded_network_says_the_same():
    net = imagenet.load("efficientnet-lite0", device="cpu", size=64)
    made = imagenet.folded(net)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in made.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in net.modules())
    x = numbers(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(made(x), net(x), atol=1e-3)


# --- the lesson's packages and record -------------------------------------------------------------


def test_what_is_missing_is_named_with_its_command(monkeypatch):
    assert imagenet.ready() == "The network efficientnet-lite0 and 13 photographs are here."
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "skimage" else real(name)
    )
    said = imagenet.ready()
    assert said.endswith("not installed here: `python -m pip install scikit-image`.")
    assert said.count(". ") == 0


def test_the_record_agrees_with_itself(monkeypatch, tmp_path):
    """What other parts of it, or arithmetic, say as well."""
    record = imagenet.read_record()
    ostrich, kept = record["ostrich"], record["kept"]
    assert ostrich["names"] == list(imagenet.PHOTOGRAPHS)
    n = len(ostrich["names"])
    assert {len(ostrich[name]) for name in ("distortion", "success", "class")} == {n}
    for part in (ostrich, kept):
        for survivors in part["survives"].values():
            assert len(survivors) == n
            assert all(s or not kept for s, kept in zip(part["success"], survivors, strict=True))
    # the change of a picture is in no number larger than what is said to be the largest
    pairs = zip(ostrich["distortion"], ostrich["largest"], strict=True)
    assert all(0 < rms <= largest for rms, largest in pairs)
    for name in kept["ways"]:
        assert kept["survives"][name] == kept["success"]
    units = record["units"]
    for of in ("photograph", "network's class"):
        assert units[of]["p"] >= 2 / (units["bases"] + 1) - 1e-12
        assert units[of]["chance"] < units[of]["directions"] < 1
    rows = [r for r in record["table5"]["layers"] if r["kind"] in ("Conv2d", "Linear")]
    assert all(0 < row["lower"] <= row["upper"] for row in rows)
    assert record["table5"]["log10_lower"] <= record["table5"]["log10_tight"]
    assert record["table5"]["log10_tight"] <= record["table5"]["log10_product"] + 1e-9
    for name in record["transfer"]["networks"]:
        assert record["transfer"]["rows"][f"{name} read by {name}"]["ostrich"][0] == n
    monkeypatch.setattr("course_lib.imagenet.needed.RECORD", tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match=r"benchmarks/photographs\.py"):
        imagenet.read_record()


def test_the_first_photographs_of_the_record_can_be_measured_again():
    """One of them, with as many gradients: on another processor a little nearer or farther."""
    record = json.loads(needed.RECORD.read_text(encoding="utf-8"))["ostrich"]
    k = record["names"].index("rocket")
    net = imagenet.load("efficientnet-lite0", device="cpu")
    some = imagenet.photographs(names=["rocket"], device="cpu")
    found = imagenet.aimed(net, some.images, torch.tensor([9]), record["steps"])
    assert math.isclose(float(found.distortion), record["distortion"][k], rel_tol=0.1)
    assert not imagenet.survives(net, found.images, torch.tensor([9]))["PNG"].any()
