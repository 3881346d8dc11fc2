"""What is measured for the figures and the formulas: small runs of the real thing."""

import pytest
import torch

from course_lib import attacks, models, units, zoo
from course_lib.data import load_mnist
from course_lib.reproduce import claims, formulas, pictures, verdicts
from course_lib.reproduce.evidence import Evidence


@pytest.fixture(scope="module")
def made():
    return pictures.make(40, seed=1, networks=1)


def test_the_top_images_are_those_of_the_library(made):
    top, net = made["top"], zoo.load("FC100-100-10")
    test = load_mnist("test")
    h = units.activations(net, test.images, "sigmoid2")
    for unit, images, labels in zip(
        top["unit"], top["units"]["images"], top["units"]["labels"], strict=True
    ):
        assert len(set(images)) == 8
        assert test.labels[images].tolist() == labels
        least = h[images, unit].min()
        assert (h[:, unit] > least).sum() < 8


def test_the_neighbours_are_misread_and_as_far_as_is_said(made):
    found = made["neighbours"]
    clean = pictures.decoded(found["clean"])
    for name, e in found["networks"].items():
        net = zoo.load(name)
        assert models.predictions(net, clean).tolist() == found["labels"]
        assert all(a != b for a, b in zip(e["answers"], found["labels"], strict=True))
        seen = attacks.distortion(pictures.decoded(e["images"]), clean)
        assert torch.allclose(seen, torch.tensor(e["distortion"]), atol=2e-3)  # eight bits


def test_noise_and_the_nearest_image_of_another_class(made):
    shares = made["noise"]["accuracy"]
    linear, other = shares["FC10(1e-4)"], shares["FC200-200-10"]
    assert linear["low"] < linear["mean"] < linear["high"]
    assert other["low"] is None  # one network of many
    assert linear["n"] == other["n"] == 40
    train = load_mnist("train")
    few = train.sample(made["other_class"]["n"], 1)
    first = (train.images - few.images[0]).square().mean((1, 2, 3)).sqrt()
    nearest = float(first[train.labels != few.labels[0]].min())
    assert made["other_class"]["smallest"] <= nearest + 1e-4
    assert 0.1 < made["other_class"]["median"] < 0.3


def test_bad_counts_are_sentences():
    with pytest.raises(ValueError, match="one image and one network"):
        pictures.make(0)
    with pytest.raises(ValueError, match="two of them or more"):
        formulas.make(1)


def test_the_formulas_of_section_4(tmp_path):
    found = {
        "penalty": {"FC10(1)": formulas.penalty("FC10(1)", 30, 0)},
        "convolution": {"2": formulas.convolution(2, 0), "3": formulas.convolution(3, 1)},
        "pooling": {name: formulas.pooling(*what) for name, what in formulas.POOLS.items()},
        "contrast": formulas.contrast(0),
    }
    assert found["convolution"]["2"]["printed"] == pytest.approx(1 / 2)
    assert found["convolution"]["3"] == pytest.approx({"printed": 1 / 3, "mended": 1})
    assert found["pooling"]["2 x 2, no overlap"]["upper"] == pytest.approx(1)
    assert found["pooling"]["3 x 3 by 2, AlexNet's"]["lower"] == pytest.approx(2)
    assert found["penalty"]["FC10(1)"]["excess"] > 0.05
    where = Evidence(tmp_path)
    where._read["formulas"] = found
    words = {
        key: claims.found(claims.BY_KEY[key], where).verdict
        for key in (
            "penalty is exact",
            "bounds, convolution",
            "bounds, pooling",
            "bounds, contrast",
        )
    }
    assert list(words.values()) == [
        verdicts.NOT,
        verdicts.DIRECTION,
        verdicts.NOT,
        verdicts.REPRODUCED,
    ]
