"""benchmarks/ostriches.py: its verdicts on hand-made measurements, and SciPy's solver in small."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import torch

from course_lib import storage

BENCHMARKS = storage.PACKAGE.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location("ostriches", BENCHMARKS / "ostriches.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("sizes", "seconds", "met"),
    [
        ([1.0, 2.0], 30, "met"),
        ([1.0, 2.1], 30, "not met"),  # farther
        ([1.0, 2.0], 40, "not met"),  # slower than a third
        ([1.0, None], 30, "not met"),  # one is not found
    ],
)
def test_a_third_of_the_time_and_no_farther(bench, sizes, seconds, met):
    ours = {"distortion": sizes, "cpu_seconds": seconds}
    scipys = {"distortion": [1.5, 1.5], "cpu_seconds": 100}
    [said] = bench.verdicts({"rows": {"ours": ours, "SciPy": scipys}})
    assert said.endswith(f"no farther: {met}.")


def test_the_committed_verdicts_are_those_of_its_numbers(bench):
    found = json.loads((BENCHMARKS / "ostriches.json").read_text(encoding="utf-8"))
    assert found["verdicts"] == bench.verdicts(found)
    assert {len(row["distortion"]) for row in found["rows"].values()} == {bench.MANY}


def test_scipys_way_reaches_the_boundary_of_a_linear_network(bench):
    """Two classes: the nearest point of the other is a projection onto a plane."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    w = torch.linspace(1, 2, 12)
    with torch.no_grad():  # logits ±40 (w·x - 8), where w·x is 9
        net[1].weight[:] = 40 * torch.stack([w, -w])
        net[1].bias[:] = torch.tensor([-320.0, 320.0])
    image = torch.full((3, 2, 2), 0.5)
    z = bench.by_scipy(net, image, torch.tensor(1))
    assert int(net(z[None]).argmax()) == 1
    nearest = 1 / np.linalg.norm(w.numpy())
    assert nearest <= float((z - image).norm()) <= 1.3 * nearest
