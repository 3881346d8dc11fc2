"""The record of the transfer tables, and the program that makes it."""

import importlib
import itertools
import json
import sys

import numpy as np
import pytest

from course_lib import paper, storage, transfer, zoo
from course_lib.data import load_mnist
from course_lib.transfer.table import CLEAN, amplified_label, equal_label, noise_label

PATH = storage.ASSETS / "records" / "transfer.json"


@pytest.fixture(scope="module")
def bench():
    folder = str(storage.PACKAGE.parent / "benchmarks")
    if not (storage.PACKAGE.parent / "benchmarks").is_dir():
        pytest.skip("an installed course has no benchmarks")
    sys.path.insert(0, folder)
    try:
        sys.modules.pop("transfer", None)
        yield importlib.import_module("transfer")
    finally:
        sys.path.remove(folder)
        sys.modules.pop("transfer", None)


@pytest.fixture(scope="module")
def record():
    return json.loads(PATH.read_text(encoding="utf-8"))


# --- the record --------------------------------------------------------------------------------


def test_the_record_is_large_enough_and_small_enough(record):
    assert record["n"] >= 1000
    assert PATH.stat().st_size < 300_000
    assert min(len(seeds) for seeds in record["seeds"].values()) >= 3
    for name, part, columns in (
        ("table2", "train", paper.TABLE2_COLUMNS),
        ("table4", "test", paper.TABLE4_COLUMNS),
    ):
        entry = record["tables"][name]
        assert entry["images"].startswith(f"MNIST {part}, {record['n']} drawn with seed")
        assert set(columns) <= set(entry["columns"])
    assert {"FC100-100-10-ReLU", "CONV"} <= set(record["tables"]["table2"]["rows"])


def test_every_row_has_its_controls_and_its_counts(record):
    for entry in record["tables"].values():
        minimal = [r for r, row in entry["rows"].items() if row["kind"] == "minimal"]
        for row in minimal:
            assert equal_label(row) in entry["rows"]
            assert amplified_label(row, 0.1) in entry["rows"]
            of_row, of_noise = entry["rows"][row], entry["rows"][equal_label(row)]
            assert of_row["n"] == of_noise["n"], "the same images"
            sizes = [r["distortion"]["strict"] for r in (of_row, of_noise)]
            assert sizes[0] == pytest.approx(sizes[1], abs=2e-4)
            assert of_row["n"]["paper"] == record["n"] - of_row["left_out"] / of_row["networks"]
        assert {CLEAN, noise_label(0.1)} <= set(entry["rows"])
        for cell in entry["strict"][CLEAN].values():
            assert cell[0] == 0


def test_a_network_is_wrong_on_all_of_its_own_examples(record):
    for name in ("table2", "table4"):
        for row, entry in record["own_examples"][name].items():
            assert entry["share"] == 1, row
            assert record["tables"][name]["strict"][row][row][0] == 1


def test_intervals_hold_their_means(record):
    for entry in record["tables"].values():
        for convention in ("paper", "strict"):
            for cells in entry[convention].values():
                for cell in cells.values():
                    mean, low, high, *_ = cell
                    assert 0 <= low <= mean + 1e-4
                    assert mean <= high + 1e-4 <= 1.0002


def test_the_means_are_those_of_the_pairs_of_networks(record):
    for name in ("table2", "table4"):
        entry = record["tables"][name]
        for row, cells in entry["by_network"].items():
            for column, pairs in cells.items():
                pairs = np.array(pairs, float)
                cell = entry["strict"][row][column]
                own = np.eye(len(pairs), dtype=bool) if row == column else None
                shares = pairs[own] if row == column else pairs.ravel()
                # a network with one optimum stands in every replicate, each with its own images
                one = any(zoo.recipe(name).method == "convex" for name in (row, column))
                near = 5e-3 if one else 2e-4
                assert shares.mean() == pytest.approx(cell[0], abs=near), (row, column)
                assert len(shares) == cell[-1]
                if row == column and len(pairs) > 1:
                    others = pairs[~own].mean()
                    assert others == pytest.approx(entry["strangers"][row][0], abs=2e-4)


def test_the_papers_numbers_are_the_papers(record):
    for key, printed, columns in (
        ("table2", paper.TABLE2, paper.TABLE2_COLUMNS),
        ("table4", paper.TABLE4, paper.TABLE4_COLUMNS),
    ):
        entries = record["paper"][key]
        assert len(entries) == len(printed) * len(columns)
        for entry in entries:
            assert entry["paper"] == printed[entry["row"]][columns.index(entry["column"])]
            overlap = entry["low"] <= entry["paper_high"] and entry["paper_low"] <= entry["high"]
            assert entry["overlap"] == overlap
    for name, entry in record["paper"]["table3"].items():
        assert entry["paper"]["test"] == paper.TABLE3[name].test
        assert entry["paper"]["distortion"] == paper.TABLE3[name].distortion
        for part in ("P1", "P2", "test"):
            first = zoo.card(name, 0)["scores"][part]
            assert entry["here"][part]["networks"][0] == pytest.approx(first, abs=6e-5)


def test_the_verdicts_follow_from_the_comparisons(record):
    assert set(record["verdicts"]) == set(transfer.STATEMENTS)
    for key, value in record["verdicts"].items():
        comparisons = record["comparisons"][key].values()
        low = [c[1] for c in comparisons]
        widest = [c[3] for c in comparisons]
        word = "undecided"
        if any(w < 0 for w in widest):
            word = "does not hold"
        elif all(x > 0 for x in low):
            word = "holds"
        # what is stored is rounded: a limit at 0 may fall on either side
        if min(abs(x) for x in (*low, *widest)) > 1e-4:
            assert value["verdict"] == word, key
        assert value["of"] == len(comparisons)
        assert abs(value["for"] - sum(x > 0 for x in low)) <= sum(x == 0 for x in low)
        assert value["rule"] == transfer.STATEMENTS[key].rule


def test_some_of_the_numbers_come_out_again(record):
    names = ["FC10(1e-4)", "FC10(1e-2)", "FC10(1)"]
    few = load_mnist("train", device="cpu").sample(record["n"], record["sample_seed"])
    table = transfer.transfer_table(names, None, few, stddev=0.1)
    stored = record["tables"]["table2"]["paper"]
    for row, column in itertools.product(table.rows, names):
        assert table.paper()[row, column] == pytest.approx(stored[row][column][0], abs=0.004), row
    for name in names:
        sizes = record["tables"]["table2"]["rows"][name]["distortion"]
        assert table.size(name, "paper") == pytest.approx(sizes["paper"], rel=0.01)


def test_curves_cosines_and_predictions_are_there(record):
    for name in ("table2", "table4"):
        columns = record["tables"][name]["columns"]
        curves = record["curves"][name]
        assert set(curves["strict"]) == {*columns, "Gaussian noise"}
        for cells in curves["strict"].values():
            assert all(len(c) == len(curves["stddev"]) for c in cells.values())
        assert len(record["predictions"][name]) == len(columns) * (len(columns) - 1)
        pairs = record["cosines"][name]["pairs"]
        for a, b in itertools.combinations(columns, 2):
            mean = pairs[f"{a} | {b}"]["loss"]["mean"][0]
            assert -1 <= mean <= 1
        assert record["cosines"][name]["null"] == pytest.approx(1 / 28, abs=1e-4)


# --- the program -------------------------------------------------------------------------------


def test_compact_json_is_the_same_json(bench):
    found = {"a": [1, 2, [3, None]], "b": {"c": {"d": 0.25}, "e": "π → x, [y]"}, "f": []}
    text = bench.transfers.compact(found)
    assert json.loads(text) == found
    assert "[3, null]" in text or "[ 3, null ]" in text
    assert text.count("\n") < 14


def test_a_small_record_is_made_and_made_again(bench, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench.transfers, "WIDE", ("FC10(1e-4)", "FC10(1e-2)"))
    path = tmp_path / "small.json"
    arguments = ["transfer.py", "--n", "24", "--seeds", "1", "--half-seeds", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--device", "cpu", "--output", str(path)])
    bench.main()
    first = json.loads(path.read_text(encoding="utf-8"))
    assert first["n"] == 24
    assert set(first["tables"]) == {"table2", "table4", "nearest2", "nearest4"}
    assert first["tables"]["table4"]["rows"][CLEAN]["n"]["paper"] == 24
    assert "other training images" in capsys.readouterr().out
    attacks_made = []
    monkeypatch.setattr(
        bench.attacks, "minimal_adversarial", lambda *a, **k: attacks_made.append(a)
    )
    bench.main()
    assert not attacks_made, "the sets are kept"
    again = json.loads(path.read_text(encoding="utf-8"))
    first.pop("cpu_seconds"), again.pop("cpu_seconds")
    assert again == first


def test_all_images_go_elsewhere(bench, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["transfer.py", "--all"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "--output" in capsys.readouterr().err


def test_the_times_are_measured(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "SIX", ("FC10(1e-4)",))
    path = tmp_path / "times.json"
    bench.time_all(10, "cpu", 1, path)
    entry = json.loads(path.read_text())["cpu, 10 images a row"]
    assert entry["tables"]["images_per_row"] == 10
    assert entry["tables"]["wall_seconds"] > 0
    each = [v["ms_per_image"] for v in entry["scipy"]["networks"].values()]
    assert entry["scipy"]["extrapolated_cpu_seconds"] == pytest.approx(sum(each) * 10 / 1000, abs=1)
