"""Training against pools: as many candidates for each, a fair choice, paired differences, tasks."""

import json

import pytest
import torch

from course_lib import record, robust, storage
from course_lib.data import load_mnist
from course_lib.reproduce import hardening as bench
from course_lib.reproduce import tasks

PATH = storage.ASSETS / "records" / "pools.json"


@pytest.fixture(scope="module")
def few():
    return load_mnist("test", "cpu").sample(40, seed=5)


def test_every_method_has_as_many_candidates_of_the_same_epochs():
    for activation, rates in bench.RATES.items():
        for method in bench.METHODS:
            tried = bench.candidates(activation, method)
            assert len(tried) == 6
            assert {one["epochs"] for one in tried} == {bench.EPOCHS}
            assert {one["learning_rate"] for one in tried} == set(rates)
            assert len({one[bench.tuned(method)] for one in tried}) == 3
            assert json.loads(json.dumps(tried)) == tried


def test_every_candidate_is_a_training_that_there_is(few):
    for activation in bench.RATES:
        for method in bench.METHODS:
            settings = bench.candidates(activation, method)[0] | {"epochs": 1, "batch_size": 20}
            settings |= {"size": 1} if method == "pools of the attack" else {}
            made = robust.train_against(
                **bench.as_arguments(settings), dataset=few[:20], device="cpu", progress=False
            )
            assert not made.net.training


def test_a_network_is_trained_once_and_then_read(few, monkeypatch):
    settings = bench.candidates("relu", "pools")[0] | {"epochs": 1, "places": ["relu2"], "size": 20}
    monkeypatch.setattr(bench, "load_mnist", lambda part, where: few)
    net, cost = bench.trained(settings, "fit", 3)
    monkeypatch.setattr(bench, "load_mnist", None)  # nothing more to train
    again, stored = bench.trained(settings, "fit", 3)
    assert stored == cost
    assert set(cost) == {"cpu_seconds", "attack_share", "examples"}
    assert torch.equal(net(few.images), again(few.images))


def test_the_first_of_the_best_on_validation_images_is_chosen(monkeypatch):
    errors = iter([0.03, 0.02, 0.02, 0.04])
    monkeypatch.setattr(bench, "trained", lambda *given: (None, {"cpu_seconds": 1}))
    monkeypatch.setattr(bench, "validation_error", lambda net: next(errors))
    tried = [{"strength": k, "learning_rate": 1} for k in range(4)]
    rows, chosen = bench.settle(tried)
    assert chosen == tried[1]
    assert [row["error"] for row in rows] == [0.03, 0.02, 0.02, 0.04]


def test_what_is_trained_for_longer_has_three_candidates_each(monkeypatch):
    asked = []

    def settle(tried):
        asked.append(tried)
        return [], tried[0]

    monkeypatch.setattr(bench, "settle", settle)
    monkeypatch.setattr(bench, "measured", lambda settings, *rest: {"settings": settings})
    for method in bench.LENGTHENED:
        bench.lengthened("sigmoid", method, 5, 10)
        longer = asked.pop()
        assert len({json.dumps(one) for one in longer}) == 3
        assert {one["epochs"] for one in longer} == {bench.LONG}
        assert all(one["average"] for one in longer)


# ---------------------------------------------------------------- what the rows say


def row(*errors):
    runs = {str(k): {"error": error} for k, error in enumerate(errors)}
    return {"seeds": runs, "summary": bench.summarise(list(runs.values()))}


def test_differences_are_paired_by_seed():
    ours, control = row(0.01, 0.02, 0.03), row(0.02, 0.03, 0.05)
    rows = {"relu: decay": control, "relu: virtual": ours}
    wanted = record.interval([-0.01, -0.01, -0.02])
    assert bench.compared(rows) == {"relu: virtual": pytest.approx(wanted)}


def test_transfer_is_asked_of_images_that_the_network_reads():
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


# ---------------------------------------------------------------- tasks and the record


def test_a_row_is_a_task_and_the_record_made_of_rows(few, monkeypatch):
    monkeypatch.setattr(bench, "trained", lambda *given: (few, {"cpu_seconds": 1}))
    monkeypatch.setattr(bench, "validation_error", lambda net: 0.02)
    errors = iter([0.01, 0.02, 0.03, 0.02, 0.03, 0.05])
    monkeypatch.setattr(bench, "measure", lambda net, kind, n: {"error": next(errors)})
    two = bench.tasks(["relu: dropout", "relu: decay"], seeds=3, n=7)
    threads = torch.get_num_threads()
    made = {t: bench.row(t.network, t.seed, t.settings) for t in two}
    assert torch.get_num_threads() == threads
    whole = tasks.assemble("pools", made)
    assert list(whole["rows"]) == ["relu: decay", "relu: dropout"]
    assert whole["images"]["attack"] == 7
    wanted = record.interval([-0.01, -0.01, -0.02])
    assert whole["against_decay"] == {"relu: dropout": pytest.approx(wanted)}
    assert [bench.stranger(t) for t in two] == 2 * [[("FC100-100-10-ReLU", 0)]]


def test_the_full_mode_trains_every_row_and_the_others_none():
    for mode, count in (("quick", 0), ("default", 0), ("full", len(bench.ROWS))):
        found = [t for t in tasks.grid(mode, ["training"]) if t.experiment == "hardening"]
        assert len(found) == count


@pytest.fixture(scope="module")
def whole():
    if not PATH.is_file():
        pytest.skip("no record: python benchmarks/pools.py")
    return json.loads(PATH.read_text(encoding="utf-8"))


def test_the_record_has_every_row_and_five_seeds(whole):
    # the long trainings are an aim of their own, and need each of their rivals trained as long
    there = [name for name in bench.ROWS if not name.endswith(", long")]
    assert [name for name in whole["rows"] if not name.endswith(", long")] == there
    for found in whole["rows"].values():
        assert list(found["seeds"]) == ["0", "1", "2", "3", "4"]
        assert found["summary"]["error"] == pytest.approx(
            record.interval([run["error"] for run in found["seeds"].values()])
        )


def test_the_record_was_made_with_what_validation_chose(whole):
    for name, found in whole["rows"].items():
        tried = found.get("candidates")
        if tried:
            assert found["settings"] == min(tried, key=lambda one: one["error"])["settings"], name
        make, activation, of = bench.ROWS[name]
        if make is bench.entry:
            assert [one["settings"] for one in tried] == bench.candidates(activation, of)


def test_the_records_differences_are_those_of_its_rows(whole):
    assert whole["against_decay"] == bench.compared(whole["rows"])
