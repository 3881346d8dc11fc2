"""benchmarks/pools.py: as many candidates for each, a fair choice, verdicts by rule, its record."""

import importlib.util
import json
import sys

import pytest
import torch

from course_lib import record, robust, storage
from course_lib.data import load_mnist

BENCHMARKS = storage.PACKAGE.parent / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    if not BENCHMARKS.is_dir():
        pytest.skip("an installed course has no benchmarks")
    spec = importlib.util.spec_from_file_location("pools_benchmark", BENCHMARKS / "pools.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def few():
    return load_mnist("test", "cpu").sample(40, seed=5)


def test_every_method_has_as_many_candidates_of_the_same_epochs(bench):
    for activation, rates in bench.RATES.items():
        for method in bench.METHODS:
            tried = bench.candidates(activation, method)
            assert len(tried) == 6
            assert {one["epochs"] for one in tried} == {bench.EPOCHS}
            assert {one["learning_rate"] for one in tried} == set(rates)
            assert len({one[bench.tuned(method)] for one in tried}) == 3
            assert json.loads(json.dumps(tried)) == tried


def test_every_candidate_is_a_training_that_there_is(bench, few):
    for activation in bench.RATES:
        for method in bench.METHODS:
            settings = bench.candidates(activation, method)[0] | {"epochs": 1, "batch_size": 20}
            settings |= {"size": 1} if method == "pools of the attack" else {}
            made = robust.train_against(
                **bench.as_arguments(settings), dataset=few[:20], device="cpu", progress=False
            )
            assert not made.net.training


def test_a_network_is_trained_once_and_then_read(bench, few, monkeypatch):
    settings = bench.candidates("relu", "pools")[0] | {"epochs": 1, "places": ["relu2"], "size": 20}
    monkeypatch.setattr(bench, "load_mnist", lambda part, where: few)
    net, cost = bench.trained(settings, "fit", 3)
    monkeypatch.setattr(bench, "load_mnist", None)  # nothing more to train
    again, stored = bench.trained(settings, "fit", 3)
    assert stored == cost
    assert set(cost) == {"cpu_seconds", "attack_share", "examples"}
    assert torch.equal(net(few.images), again(few.images))


def test_the_first_of_the_best_on_validation_images_is_chosen(bench, monkeypatch):
    errors = iter([0.03, 0.02, 0.02, 0.04])
    monkeypatch.setattr(bench, "trained", lambda *given: (None, {"cpu_seconds": 1}))
    monkeypatch.setattr(bench, "validation_error", lambda net: next(errors))
    tried = [{"strength": k, "learning_rate": 1} for k in range(4)]
    rows, chosen = bench.settle("any", tried)
    assert chosen == tried[1]
    assert [row["error"] for row in rows] == [0.03, 0.02, 0.02, 0.04]


def test_what_is_trained_for_longer_has_three_candidates_each(bench, monkeypatch):
    asked = []

    def settle(name, tried):
        asked.append(tried)
        return [], tried[0]

    monkeypatch.setattr(bench, "settle", settle)
    monkeypatch.setattr(bench, "measured", lambda name, settings, *rest: {"settings": settings})
    for method in bench.LENGTHENED:
        bench.lengthened("sigmoid", method, 5, 10, None)
        longer = asked.pop()
        assert len({json.dumps(one) for one in longer}) == 3
        assert {one["epochs"] for one in longer} == {bench.LONG}
        assert all(one["average"] for one in longer)


# ---------------------------------------------------------------- verdicts


def row(bench, *errors, validation=0.02):
    runs = {str(k): {"error": error} for k, error in enumerate(errors)}
    return {
        "seeds": runs,
        "summary": bench.summarise(list(runs.values())),
        "candidates": [{"error": validation}],
    }


@pytest.mark.parametrize(
    ("pools", "verdict"),
    [
        ((0.0110, 0.0112, 0.0111), "reproduced"),
        ((0.0125, 0.0126, 0.0127), "in direction only"),
        ((0.0110, 0.0150, 0.0111), "undecided"),
        ((0.0150, 0.0152, 0.0151), "not reproduced"),
        ((0.0140, 0.0130, 0.0120), "undecided"),
    ],
)
def test_the_verdict_on_the_errors(bench, pools, verdict):
    rows = {
        "sigmoid: pools": row(bench, *pools),
        "sigmoid: decay": row(bench, 0.0160, 0.0161, 0.0162),
        "sigmoid: dropout": row(bench, 0.0131, 0.0132, 0.0133),
    }
    assert bench.errors_verdict(rows) == verdict
    # of two rows of pools that one speaks which validation images prefer, whatever the test says
    rows["sigmoid: pools, long"] = row(bench, 0.001, 0.001, 0.001, validation=0.03)
    assert bench.errors_verdict(rows) == verdict


@pytest.mark.parametrize(
    ("lowest", "top", "verdict"),
    [
        ((0.0190, 0.0191, 0.0192), (0.0180, 0.0181, 0.0182), "reproduced"),
        ((0.0170, 0.0195, 0.0199), (0.0180, 0.0181, 0.0182), "in direction only"),
        ((0.0170, 0.0171, 0.0172), (0.0180, 0.0181, 0.0182), "not reproduced"),
        ((0.0220, 0.0221, 0.0222), (0.0210, 0.0211, 0.0212), "not reproduced"),
        ((0.0210, 0.0190, 0.0202), (0.0210, 0.0192, 0.0200), "undecided"),
    ],
)
def test_the_verdict_on_the_higher_layers(bench, lowest, top, verdict):
    rows = {
        "relu: no pool": row(bench, 0.0200, 0.0201, 0.0202),
        "relu: only input": row(bench, *lowest),
        "relu: only upper": row(bench, *top),
    }
    assert bench.layers_verdict(rows, "relu") == verdict


@pytest.mark.parametrize(
    ("lowest", "every", "verdict"),
    [
        ((0.0190, 0.0205, 0.0199), (0.0170, 0.0171, 0.0172), "reproduced"),
        ((0.0190, 0.0191, 0.0192), (0.0170, 0.0171, 0.0172), "not reproduced"),
        ((0.0190, 0.0205, 0.0199), (0.0190, 0.0205, 0.0199), "undecided"),
    ],
)
def test_the_verdict_on_each_layer(bench, lowest, every, verdict):
    rows = {
        "sigmoid: decay": row(bench, 0.0200, 0.0201, 0.0202),
        "sigmoid: input pool": row(bench, *lowest),
        "sigmoid: pools": row(bench, *every),
    }
    assert bench.each_layer_verdict(rows) == verdict


def test_differences_are_paired_by_seed(bench):
    ours, control = row(bench, 0.01, 0.02, 0.03), row(bench, 0.02, 0.03, 0.05)
    rows = {"relu: decay": control, "relu: virtual": ours}
    wanted = record.interval([-0.01, -0.01, -0.02])
    assert bench.compared(rows) == {"relu: virtual": pytest.approx(wanted)}
    assert bench.verdicts(rows) == {}


def test_transfer_is_asked_of_images_that_the_network_reads(bench):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Identity())  # pixels are the logits
    right, wrong = torch.eye(3)[:, None, None], torch.eye(3)[[1, 2, 0]][:, None, None]
    labels = torch.tensor([0, 1, 0])  # it misreads the third, whatever is done to it
    found = {"labels": labels, "clean": right, "minimal": wrong, "amplified": right, "noise": right}
    net.register_parameter("unused", torch.nn.Parameter(torch.zeros(1)))
    assert bench.transferred(net, found) == {
        "transfer_minimal": 1.0,
        "transfer_amplified": 0.0,
        "transfer_noise": 0.0,
    }


# ---------------------------------------------------------------- the record


@pytest.fixture(scope="module")
def whole(bench):
    if not bench.PATH.is_file():
        pytest.skip("the record has not been made yet: python benchmarks/pools.py")
    return json.loads(bench.PATH.read_text(encoding="utf-8"))


def test_the_record_has_every_row_and_five_seeds(bench, whole):
    assert list(whole["rows"]) == list(bench.ROWS)
    for found in whole["rows"].values():
        assert list(found["seeds"]) == ["0", "1", "2", "3", "4"]
        assert found["summary"]["error"] == pytest.approx(
            record.interval([run["error"] for run in found["seeds"].values()])
        )


def test_the_record_was_made_with_what_validation_chose(whole, bench):
    for name, found in whole["rows"].items():
        tried = found.get("candidates")
        if tried:
            assert found["settings"] == min(tried, key=lambda one: one["error"])["settings"], name
        make, activation, of = bench.ROWS[name]
        if make is bench.entry:
            assert [one["settings"] for one in tried] == bench.candidates(activation, of)


def test_the_records_verdicts_are_those_of_the_rule(bench, whole):
    assert whole["verdicts"] == bench.verdicts(whole["rows"])
    assert whole["against_decay"] == bench.compared(whole["rows"])
    assert set(whole["verdicts"]) == set(bench.RATES)
