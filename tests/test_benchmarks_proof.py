"""benchmarks/proof.py: what it measures, what it keeps, and the report."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import attacks, storage

PROGRAM = storage.PACKAGE.parent / "benchmarks" / "proof.py"
NO_WAY = "No matching distribution found for adv-lib"
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
    asked = []

    def install(environment, fresh=False):
        asked.append((environment, fresh))
        return None if environment == made.bench.OURS else NO_WAY

    monkeypatch.setattr(made.bench, "install", install)
    made.asked = asked
    yield made
    for name in ("attacks", "attacks_report"):
        sys.modules.pop(name, None)


def no_attack(net, images, method):
    """An attack that fails everywhere."""
    n = len(images["labels"])
    return {"l2": [0.0] * n, "success": [False] * n, "cpu_seconds": 0.0}


def test_a_run_is_recorded_and_its_proofs_are_kept(program, tmp_path, monkeypatch):
    output = tmp_path / "record.json"
    monkeypatch.setattr(program, "peer_attack", no_attack)
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
    assert set(program.asked) == {("modern", False), (program.bench.OURS, False)}
    monkeypatch.setattr(program.bench, "install", lambda environment, fresh: None)
    program.main([*ARGUMENTS, "--output", str(output)])
    again = json.loads(output.read_text(encoding="utf-8"))["networks"]["784-4-10"]
    assert again["any"]["proofs"] == of["any"]["proofs"]
    peers = {"adv-lib PDGD-500", "adv-lib ALMA-1000", "adv-lib DDN-1000"}
    for kind, more in (("targeted", set()), ("any", {"adv-lib SuperDeepFool"})):
        assert set(of[kind]["left_out"]) == peers | more
        assert set(again[kind]["table"]) == set(of[kind]["table"]) | peers | more
        assert not again[kind]["left_out"]
    assert f"adv-lib SuperDeepFool is left out: {NO_WAY}" in report


@pytest.mark.parametrize(("targeted", "won"), [(True, [True, False]), (False, [True, True])])
def test_a_peers_points_are_judged_as_ours(program, tmp_path, monkeypatch, targeted, won):
    """Two images of class 0: the peer sends one to its target, the other to another class."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 3))
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].bias.copy_(torch.tensor([0.25, 0.0, 0.0]))
        net[1].weight[1, 0] = net[1].weight[2, 1] = 1.0
    images = {"images": torch.zeros(2, 1, 28, 28), "labels": torch.zeros(2, dtype=torch.int64)}
    images["targets"] = torch.tensor([1, 1])
    adversarial = np.zeros((2, 1, 28, 28), dtype=np.float32)
    adversarial[0, 0, 0, 0] = adversarial[1, 0, 0, 1] = 0.5
    told = []

    def work(method, job):
        told.append((method.name, job["targeted"], job["n"]))
        np.savez(job["out"], adversarial=adversarial, found=json.dumps({"cpu": [1.5]}))

    monkeypatch.setattr(program.bench, "work", work)
    monkeypatch.setattr(program.bench, "home", lambda: tmp_path)
    (tmp_path / "cells").mkdir()
    method = next(m for m in program.PEERS if m.targeted == targeted)
    found = program.peer_attack(net, images, method)
    assert found["success"] == won
    assert found["l2"] == [0.5, 0.5]
    assert found["cpu_seconds"] == 1.5
    assert told[0][1:] == (targeted, 2)


def test_a_peer_whose_worker_fails_is_left_out_with_its_reason(program, tmp_path, monkeypatch):
    """And so is one whose answer is damaged; the others and the proofs are recorded."""
    output = tmp_path / "record.json"

    def work(method, job):
        if "PDGD" in method.name:
            return "no such attack"
        Path(job["out"]).parent.mkdir(parents=True, exist_ok=True)
        Path(job["out"]).write_bytes(b"half a file")

    monkeypatch.setattr(program.bench, "work", work)
    monkeypatch.setattr(program.bench, "install", lambda environment, fresh: None)
    with pytest.warns(UserWarning, match="is damaged"):
        program.main([*ARGUMENTS, "--output", str(output)])
    of = json.loads(output.read_text(encoding="utf-8"))["networks"]["784-4-10"]
    assert of["targeted"]["left_out"]["adv-lib PDGD-500"] == "no such attack"
    assert "cannot be read" in of["any"]["left_out"]["adv-lib SuperDeepFool"]
    assert len(of["any"]["proofs"]) == 2
    assert "ours" in of["any"]["table"]


def test_fresh_tries_an_environment_again(program, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "measure", lambda *given: {})
    program.main([*ARGUMENTS, "--fresh", "--output", str(tmp_path / "record.json")])
    assert set(program.asked) == {("modern", True), (program.bench.OURS, True)}


def test_each_network_has_its_own_number_of_images(program, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(program, "measure", lambda name, n, *given: seen.append((name, n)) or {})
    monkeypatch.setattr(program, "NETWORKS", {"784-20-20-10": (20, 20), "784-50-50-10": (50, 50)})
    program.main(["--output", str(tmp_path / "record.json")])
    program.main(["--n", "3", "784-20-20-10", "--output", str(tmp_path / "record.json")])
    assert seen == [("784-20-20-10", 20), ("784-50-50-10", 10), ("784-20-20-10", 3)]


@pytest.mark.parametrize("n", ["0", "-3", "few"])
def test_a_number_of_images_that_is_none_is_refused(program, n, capsys):
    with pytest.raises(SystemExit):
        program.main(["--n", n])
    assert "--n" in capsys.readouterr().err
    assert not program.asked  # before any environment is made
