"""benchmarks/proof.py: what it measures, what it keeps, and the report."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import attacks, storage

PROGRAM = storage.PACKAGE.parent / "benchmarks" / "proof.py"
ARGUMENTS = ["784-4-10", "--n", "2", "--seconds", "60"]


@pytest.fixture
def program(monkeypatch):
    """benchmarks/proof.py with a network of four units, and without the other processes."""
    if not PROGRAM.is_file():
        pytest.skip("an installed course has no benchmarks")
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    spec = importlib.util.spec_from_file_location("benchmark_proof", PROGRAM)
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_proof", made)
    spec.loader.exec_module(made)
    monkeypatch.setattr(made, "NETWORKS", {"784-4-10": (4,)})
    monkeypatch.setattr(made, "TRAINING", {"epochs": 1, "learning_rate": 1e-2, "seed": 0})
    monkeypatch.setattr(made, "scipy_attack", no_attack)
    yield made
    for name in ("attacks", "attacks_report"):
        sys.modules.pop(name, None)


def no_attack(net, images):
    """An attack that fails everywhere."""
    n = len(images["labels"])
    return {"l2": [0.0] * n, "success": [False] * n, "cpu_seconds": 0.0}


def test_a_run_is_recorded_and_its_proofs_are_kept(program, tmp_path, monkeypatch):
    output, points = tmp_path / "record.json", tmp_path / "points.npz"
    program.main([*ARGUMENTS, "--output", str(output)])
    found = json.loads(output.read_text(encoding="utf-8"))
    of = found["networks"]["784-4-10"]
    for kind in program.KINDS:
        assert len(of[kind]["proofs"]) == 2
        for proof in of[kind]["proofs"]:
            assert 0 <= proof["lower"] <= proof["upper"]
            assert proof["proven"]
            assert proof["upper"] - proof["lower"] <= program.GAP * proof["upper"]
        ours = of[kind]["table"]["ours"]
        assert ours["below_the_bound"] == 0
        assert ours["n"] == 2
        assert ours["worst_above"] >= -1e-5
    assert of["targeted"]["table"]["SciPy, 8 bisections"]["n"] == 0
    assert of["any"]["table"]["DeepFool"]["worst_above"] >= -1e-5
    report = program.render(found)
    assert "2 of 2 images proven" in report
    assert "| SciPy, 8 bisections | 0 | 0% | - |" in report
    monkeypatch.setattr(attacks, "proven_minimum", None)  # what is kept is not proven again
    # a peer's points: the clean images, which are no successes
    clean = np.zeros((2, 1, 28, 28), dtype=np.float32)
    cell = {"cpu": [1.0], "version": "0"}
    np.savez(points, adversarial=clean, found=json.dumps(cell))
    peer = ["--points", "784-4-10", "any", "a peer", str(points)]
    program.main([*ARGUMENTS, "--output", str(output), *peer])
    again = json.loads(output.read_text(encoding="utf-8"))["networks"]["784-4-10"]
    assert again["any"]["proofs"] == of["any"]["proofs"]
    assert again["any"]["table"]["a peer"]["cpu_seconds_each"] == 0.5
    assert "a peer" not in again["targeted"]["table"]


def test_points_of_other_images_are_refused(program, tmp_path):
    points = tmp_path / "points.npz"
    np.savez(points, adversarial=np.zeros((3, 1, 28, 28)), found=json.dumps({"cpu": [1.0]}))
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    images = {"images": torch.zeros(2, 1, 28, 28), "labels": torch.zeros(2, dtype=torch.int64)}
    with pytest.raises(ValueError, match="does not hold 2 images"):
        program.points_of(str(points), net, images, "any")
