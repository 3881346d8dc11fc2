"""Sizes of changes, changes of a size, and targets."""

import dataclasses

import numpy as np
import pytest
import torch

from course_lib import data, storage
from course_lib.attacks import measures
from course_lib.attacks.measures import (
    all_targets,
    amplify,
    check_labels,
    check_targets,
    distortion,
    gaussian_noise,
    next_targets,
    random_targets,
    recorded_targets,
)

RECORDED = [5, 0, 3, 1, 5, 9, 1, 6]  # the first test images': another draw would change every table


@pytest.fixture(scope="module")
def test_set():
    return data.load_mnist("test", device="cpu")


def test_distortion_is_the_rms_of_each_image():
    images = torch.zeros(3, 1, 2, 2)
    adversarial = images.clone()
    adversarial[0] += 0.1
    adversarial[1, 0, 0, 0] = 0.4
    assert torch.allclose(distortion(adversarial, images), torch.tensor([0.1, 0.2, 0.0]))
    l2 = (adversarial - images).flatten(1).norm(dim=1)
    assert torch.allclose(distortion(adversarial, images), l2 / 2)
    assert distortion(adversarial.double(), images).dtype == torch.float64
    with pytest.raises(ValueError, match="two shapes"):
        distortion(adversarial, images[:1])  # which would broadcast


def test_noise_has_the_size_asked_for_and_is_not_clipped_unless_asked(test_set):
    few = test_set.sample(50, seed=1).images
    noisy = gaussian_noise(few, 0.1, seed=3)
    assert float(distortion(noisy, few).mean()) == pytest.approx(0.1, rel=0.01)
    assert noisy.min() < 0
    clipped = gaussian_noise(few, 0.1, seed=3, clip=True)
    assert torch.equal(clipped, noisy.clamp(0, 1))
    # what the docstring says of clipping
    assert 0.068 < float(distortion(clipped, few).mean()) < 0.078


def test_noise_depends_on_the_seed_and_the_image_alone():
    images = torch.full((6, 3, 4, 5), 0.5)
    noise = gaussian_noise(images, 0.1, seed=5)
    assert torch.equal(noise[:2], gaussian_noise(images[:2], 0.1, seed=5))
    assert not torch.equal(noise, gaussian_noise(images, 0.1, seed=6))
    assert torch.allclose(gaussian_noise(images.double(), 0.1, seed=5).float(), noise, atol=1e-6)
    assert float(gaussian_noise(images, 1.0, seed=0)[0, 0, 0, 0]) == pytest.approx(2.264052)
    assert torch.equal(gaussian_noise(images, 0.0), images)


def test_amplify_keeps_the_direction_and_sets_the_size():
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(4, 1, 5, 5, generator=rng, dtype=torch.float64)
    adversarial = images + 0.01 * torch.randn(4, 1, 5, 5, generator=rng, dtype=torch.float64)
    amplified = amplify(adversarial, images, 0.1)
    assert torch.allclose(distortion(amplified, images), torch.full((4,), 0.1).double())
    ratio = (amplified - images) / (adversarial - images)
    assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(ratio))
    assert (ratio > 0).all()
    clipped = amplify(adversarial, images, 0.3, clip=True)
    assert clipped.min() >= 0
    assert clipped.max() <= 1
    assert (distortion(clipped, images) < 0.3).all()


def test_amplify_says_which_images_are_not_changed():
    images = torch.rand(9, 1, 3, 3)
    adversarial = images.clone()
    adversarial[4] += 0.1
    with pytest.raises(ValueError, match="images 0, 1, 2, 3, 5 and 3 more is 0"):
        amplify(adversarial, images, 0.1)
    adversarial[:8] += 0.1
    with pytest.raises(ValueError, match="change of image 8 is 0"):
        amplify(adversarial, images, 0.1)


@pytest.mark.parametrize("stddev", [-0.1, float("nan"), float("inf")])
def test_a_standard_deviation_is_a_number_from_0_on(stddev):
    images = torch.rand(2, 4)
    with pytest.raises(ValueError, match="standard deviation"):
        gaussian_noise(images, stddev)
    with pytest.raises(ValueError, match="standard deviation"):
        amplify(1 - images, images, stddev)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (np.zeros((2, 4)), "torch tensor"),
        (torch.zeros(2, 4, dtype=torch.uint8), "floating-point"),
        (torch.zeros(4), "batch axis"),
        (torch.full((2, 4), float("nan")), "finite"),
    ],
)
def test_what_are_no_images_is_said(images, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        gaussian_noise(images, 0.1)


def test_pixels_outside_the_box_are_allowed_only_where_noise_is():
    images = torch.tensor([[0.5, 1.2]])
    measures.check_pixels(images, box=False)
    measures.check_pixels(torch.zeros(0, 4))
    with pytest.raises(ValueError, match=r"\[0, 1\]; these go from 0.5 to 1.2"):
        measures.check_pixels(images)


# --- targets ---------------------------------------------------------------------------------


def test_the_rules_never_give_the_label():
    labels = torch.arange(10).repeat(400)
    drawn = random_targets(labels, seed=2)
    assert (drawn != labels).all()
    assert ((drawn >= 0) & (drawn < 10)).all()
    shares = torch.bincount((drawn - labels) % 10, minlength=10) / len(labels)
    assert shares[0] == 0
    assert ((shares[1:] - 1 / 9).abs() < 0.02).all()
    assert torch.equal(drawn, random_targets(labels, seed=2))
    assert not torch.equal(drawn, random_targets(labels, seed=3))
    assert torch.equal(next_targets(torch.tensor([0, 8, 9])), torch.tensor([1, 9, 0]))
    assert torch.equal(next_targets(torch.tensor([0, 2]), classes=3), torch.tensor([1, 0]))
    others = all_targets(torch.tensor([0, 2, 1]), classes=3)
    assert torch.equal(others, torch.tensor([[1, 2], [0, 1], [0, 2]]))


def test_the_rules_refuse_what_are_no_labels():
    for rule in (next_targets, random_targets, all_targets):
        with pytest.raises(ValueError, match="classes from 0 to 9"):
            rule(torch.tensor([3, 10]))
        with pytest.raises(TypeError, match="whole numbers"):
            rule(torch.tensor([3.0]))
        with pytest.raises(ValueError, match="no other class"):
            rule(torch.tensor([0]), classes=1)
        assert rule(torch.zeros(0, dtype=torch.int64)).shape[0] == 0


def test_the_recorded_targets_are_what_their_seeds_make(test_set):
    train = data.load_mnist("train", device="cpu")
    made = measures.make_recorded({"train": train.labels.numpy(), "test": test_set.labels.numpy()})
    assert torch.equal(recorded_targets(train), torch.from_numpy(made["train"].astype(np.int64)))
    assert torch.equal(recorded_targets(test_set), torch.from_numpy(made["test"].astype(np.int64)))
    assert (recorded_targets(train) != train.labels).all()
    assert recorded_targets(test_set)[:8].tolist() == RECORDED


def test_an_image_has_one_recorded_target_in_every_sample(test_set):
    train, half = data.load_mnist("train", device="cpu"), data.load_mnist("P2/fit", device="cpu")
    everything = recorded_targets(train)
    assert torch.equal(recorded_targets(half), everything[half.index])
    few = half.sample(100, seed=4)
    assert torch.equal(recorded_targets(few), everything[few.index])
    assert torch.equal(
        recorded_targets(few[few.labels == 3]), everything[few.index][few.labels == 3]
    )
    one = test_set[17]
    assert recorded_targets(one).tolist() == [int(recorded_targets(test_set)[17])]


def test_other_data_have_no_recorded_targets(test_set):
    other = dataclasses.replace(test_set, name="FashionMNIST test")
    with pytest.raises(ValueError, match="random_targets"):
        recorded_targets(other)
    relabelled = dataclasses.replace(test_set, labels=(test_set.labels + 1) % 10)
    with pytest.raises(ValueError, match="are not MNIST's"):
        recorded_targets(relabelled)


def test_the_stored_targets_are_checked(tmp_path, monkeypatch, test_set):
    assert data._checksums()["targets.npz"] == storage.sha256(measures.TARGETS)
    raw = bytearray(measures.TARGETS.read_bytes())
    raw[-1] ^= 1
    for name, content in (("damaged", bytes(raw)), ("missing", None)):
        path = tmp_path / name / "targets.npz"
        path.parent.mkdir()
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setattr(measures, "TARGETS", path)
        measures._recorded.cache_clear()
        with pytest.raises(RuntimeError, match=rf"targets\.npz is {name}"):
            recorded_targets(test_set)
    measures._recorded.cache_clear()


def test_targets_are_checked_one_by_one():
    labels = torch.tensor([1, 2, 3])
    assert check_targets([0, 1, 2], labels, 10).dtype == torch.int64
    assert check_targets(np.array([0, 1, 2], np.uint8), labels, 10).tolist() == [0, 1, 2]
    assert check_labels(torch.tensor([], dtype=torch.int64), 0, 10).shape == (0,)
    with pytest.raises(ValueError, match="target of images 0, 2 is its own label"):
        check_targets(torch.tensor([1, 0, 3]), labels, 10)
    with pytest.raises(ValueError, match=r"targets have the shape \(2,\), but there are 3 images"):
        check_targets(torch.tensor([0, 1]), labels, 10)
    with pytest.raises(ValueError, match="from 0 to 9; these go from -1 to 10"):
        check_targets(torch.tensor([-1, 0, 10]), labels, 10)
    with pytest.raises(TypeError, match="whole numbers, one class for each image"):
        check_targets(torch.tensor([0.0, 1.0, 2.0]), labels, 10)
