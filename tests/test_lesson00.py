"""Lesson 00: what the generic tests of the exercises do not cover."""

import pytest
import torch

from course_lib.exercises import find, judge


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


WRONG = {
    "the norm of the batch": lambda p: torch.linalg.norm(p.flatten()) / 784**0.5,
    "sum over 784 after the root": lambda p: p.square().sum(dim=(1, 2, 3)).sqrt() / 784,
    "standard deviation, as `std` has it": lambda p: p.std(dim=(1, 2, 3)),
    "the largest change": lambda p: p.abs().flatten(1).max(dim=1).values,
    "along one axis": lambda p: (p**2).mean(1) ** 0.5,
    "the first image only": lambda p: (p[0] ** 2).mean() ** 0.5,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_learner_would_write_has_its_own_sentence(name):
    assert judge(find("pixel-rms"), lambda p: WRONG[name](p)).mistake == name


@pytest.mark.parametrize("ends", [(-1, 1), (0, None)])
def test_a_clamp_is_seen(ends):
    def clamped(p):
        return p.clamp(*ends).square().mean(dim=(1, 2, 3)).sqrt()

    assert judge(find("pixel-rms"), clamped).status == "FAIL"


def test_other_ways_to_hand_it_back():
    for answer in (
        lambda p: [float(x.square().mean().sqrt()) for x in p],
        lambda p: p.double().square().mean((1, 2, 3)).sqrt().numpy(),
        lambda p: p.flatten(1).norm(dim=1) / 28,
    ):
        assert judge(find("pixel-rms"), answer).status == "PASS"
