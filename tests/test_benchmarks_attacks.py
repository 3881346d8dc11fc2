"""benchmarks/attacks.py without any peer: what it reads, refuses, judges and writes."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """The modules attacks, attacks_report and peers/common, and nothing of them left behind."""
    folders = [str(BENCHMARKS), str(BENCHMARKS / "peers")]
    names = ("attacks", "attacks_report", "common")
    sys.path[:0] = folders
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path[:] = [folder for folder in sys.path if folder not in folders]
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture
def attacks(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    return bench["attacks"]


@pytest.fixture
def report(bench):
    return bench["attacks_report"]


def small_net() -> nn.Sequential:
    """Class 1 where the first pixel is above a half, else class 0."""
    net = nn.Sequential()
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc1", nn.Linear(4, 2))
    net.fc1.weight.data = torch.tensor([[-1.0, 0, 0, 0], [1.0, 0, 0, 0]])
    net.fc1.bias.data = torch.tensor([0.5, -0.5])
    return net.eval()


def images(n: int = 3) -> dict[str, np.ndarray]:
    return {
        "images": np.full((n, 1, 2, 2), 0.25, np.float32),
        "labels": np.zeros(n, np.int64),
        "targets": np.ones(n, np.int64),
    }


# --- the command line ------------------------------------------------------------------------


def test_a_part_is_not_the_whole(attacks):
    assert attacks.parse([]).whole
    assert attacks.parse(["--fresh"]).whole
    for part in (["--images", "50"], ["--runs", "1"], ["--methods", "ours"], ["--only", "table"]):
        assert not attacks.parse(part).whole
    assert attacks.parse([]).images == 200
    assert attacks.parse([]).networks == list(attacks.NETWORKS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--images", "0"], "no whole number above 0"),
        (["--images", "many"], "no whole number above 0"),
        (["--runs", "-1"], "no whole number above 0"),
        (["--networks", "FC11"], "invalid choice"),
        (["--methods", "nobody"], "No method's name begins with 'nobody'"),
    ],
)
def test_bad_arguments_get_a_sentence(attacks, capsys, arguments, sentence):
    with pytest.raises(SystemExit):
        attacks.parse(arguments)
    assert sentence in capsys.readouterr().err


def test_a_report_needs_results(attacks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(attacks, "RESULTS", tmp_path / "attacks.json")
    with pytest.raises(SystemExit):
        attacks.parse(["--report"])
    assert "there is no attacks.json" in capsys.readouterr().err


def test_methods_by_the_start_of_their_names(attacks):
    assert len(attacks.pick_methods(None)) == len(attacks.METHODS)
    assert {m.name for m in attacks.pick_methods(["ours"])} == {
        "ours, faithful",
        "ours, best",
        "ours, best, any",
    }
    names = [m.name for m in attacks.METHODS]
    assert len(set(names)) == len(names)


def test_every_method_has_its_worker_and_its_requirements(attacks):
    for method in attacks.METHODS:
        assert (attacks.PEERS / f"{method.worker}_worker.py").is_file() or (
            method.name == "cleverhans LBFGS"  # it cannot be installed
        )
        if method.environment != attacks.OURS:
            assert attacks.requirements(method.environment).is_file()


# --- networks as files -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["FC10(1)", "FC100-100-10", "CONV"])
def test_a_worker_reads_the_network_that_was_written(attacks, bench, name):
    net = attacks.zoo.load(name, 0, "cpu", progress=False)
    copy = bench["common"].load_net(attacks.network_file(net))
    x = torch.rand(5, 1, 28, 28)
    assert torch.equal(net(x), copy(x))


def test_an_unknown_layer_is_named(attacks):
    with pytest.raises(TypeError, match="no layer of the kind Dropout"):
        attacks.layers(nn.Sequential(nn.Dropout()))


def test_a_file_is_named_after_its_contents(attacks):
    first = attacks.write_arrays({"a": np.arange(3)})
    assert attacks.write_arrays({"a": np.arange(3)}) == first
    assert attacks.write_arrays({"a": np.arange(4)}) != first
    assert attacks.write_arrays({"a": np.arange(3, dtype=np.int32)}) != first


def test_images_are_right_and_their_targets_wrong(attacks):
    net = attacks.zoo.load("FC10(1)", 0, "cpu", progress=False)
    found = attacks.chosen_images(net, "test", 50)
    with torch.no_grad():
        classes = net(torch.from_numpy(found["images"])).argmax(1).numpy()
    assert len(classes) == 50
    assert (classes == found["labels"]).all()
    assert (classes != found["targets"]).all()


# --- jobs ------------------------------------------------------------------------------------


def test_the_key_of_a_cell_follows_what_decides_it(attacks):
    method = attacks.METHODS[0]
    net, data = Path("net.npz"), Path("images.npz")

    def key(method=method, n=200, runs=3, images=data):
        return attacks.job_of(method, net, images, n, runs)["out"]

    replace = attacks.dataclasses.replace
    assert key() == key()
    assert key() == attacks.job_of(method, Path("elsewhere/net.npz"), data, 200, 3)["out"]
    changed = {
        key(n=100),
        key(runs=1),
        key(images=Path("other.npz")),
        key(replace(method, settings={"steps": 1})),
        key(replace(method, targeted=False)),
    }
    assert len(changed) == 5
    assert key() not in changed


def test_a_slow_method_gets_fewer_images(attacks):
    slow = next(m for m in attacks.METHODS if m.name == "SciPy, tight")
    job = attacks.job_of(slow, Path("net.npz"), Path("images.npz"), 200, 3)
    assert (job["n"], job["runs"]) == (100, 1)


def test_why_an_installation_failed_without_paths_and_addresses(attacks):
    output = (
        "WARNING: Location 'file:///opt/somewhere/' is ignored\n"
        "Looking in indexes: https://registry.example/simple\n"
        "ERROR: Could not find a version that satisfies the requirement tensorflow<2\n"
        "ERROR: No matching distribution found for tensorflow<2\n"
    )
    assert attacks.reason(output) == "No matching distribution found for tensorflow<2"
    said = attacks.reason("ModuleNotFoundError: No module named 'x' in /home/somebody/x.py")
    assert "somebody" not in said
    assert attacks.reason("") == "no reason given"


def test_a_failed_environment_is_remembered_and_tried_again_when_fresh(attacks, monkeypatch):
    stamp = attacks.home() / "environments" / "cleverhans" / "installed.json"
    wanted = attacks.requirements("cleverhans").read_text(encoding="utf-8")
    attacks.storage.write_text(stamp, json.dumps({"requirements": wanted, "failed": "No."}))
    assert attacks.install("cleverhans") == "No."

    class Tried(Exception):
        pass

    def run(*arguments, **options):
        raise Tried

    monkeypatch.setattr(attacks.subprocess, "run", run)
    with pytest.raises(Tried):
        attacks.install("cleverhans", fresh=True)
    assert attacks.install(attacks.OURS) is None


# --- the timed run ---------------------------------------------------------------------------


def test_a_worker_counts_gradients_and_cpu_seconds(attacks, bench, monkeypatch, tmp_path):
    net = attacks.zoo.load("FC10(1)", 0, "cpu", progress=False)
    job = {
        "network": str(attacks.network_file(net)),
        "images": str(attacks.write_arrays(attacks.chosen_images(net, "test", 4))),
        "attack": "climb",
        "settings": {"steps": 3},
        "targeted": True,
        "n": 4,
        "runs": 2,
        "counted": 2,
        "out": str(tmp_path / "out.npz"),
    }

    def climb(net, images, labels, targets, steps):
        for _ in range(steps):
            images = images.detach().requires_grad_()
            nn.functional.cross_entropy(net(images), targets).backward()
        with torch.no_grad():
            net(images)
        return images

    told = tmp_path / "job.json"
    told.write_text(json.dumps(job))
    monkeypatch.setattr(sys, "argv", ["worker", str(told)])
    bench["common"].main({"climb": climb})
    cell = attacks.read_cell(Path(job["out"]))
    assert cell["gradients"] == 3
    assert cell["forward"] == 4
    assert len(cell["cpu"]) == 2
    assert cell["adversarial"].shape == (4, 1, 28, 28)


def test_that_a_method_failed_is_kept(attacks, monkeypatch):
    """Whoever asks for it alone runs it anew; whoever does not is told why; that a run was ended
    from outside says nothing of the method."""
    net = attacks.zoo.load("FC100-100-10", 0, "cpu", progress=False)
    network = attacks.network_file(net)
    data = attacks.write_arrays(attacks.chosen_images(net, "test", 2))
    ours = next(m for m in attacks.METHODS if m.environment == attacks.OURS and m.targeted)
    method = attacks.dataclasses.replace(ours, settings={"budget": 0})
    job = attacks.job_of(method, network, data, 2, 1)
    options = attacks.argparse.Namespace(since=0.0)

    def ask(chosen):
        return attacks.cell_of(method, job, chosen, options, {attacks.OURS: None})

    assert ask(chosen=False) is None
    why = ask(chosen=True)
    assert "budget" in why
    assert ask(chosen=False) == why
    monkeypatch.setattr(attacks, "work", lambda *_: f"{attacks.STOPPED}, by signal 2")
    assert "signal 2" in ask(chosen=True)
    assert ask(chosen=False) is None


def test_several_jobs_of_a_worker_give_what_each_alone_gives(attacks):
    """In one process that imports once; a job that fails leaves the others alone, and is left."""
    net = attacks.zoo.load("FC100-100-10", 0, "cpu", progress=False)
    network = attacks.network_file(net)
    data = attacks.write_arrays(attacks.chosen_images(net, "test", 4))
    ours = next(m for m in attacks.METHODS if m.environment == attacks.OURS and m.targeted)
    several = [{"budget": 10}, {"budget": 0}, {"budget": 30}]
    methods = [attacks.dataclasses.replace(ours, settings=settings) for settings in several]
    jobs = [attacks.job_of(method, network, data, 4, 1) for method in methods]
    attacks.work_ahead(ours, jobs, 0.0)
    ahead = [Path(job["out"]) for job in jobs]
    assert [path.is_file() for path in ahead] == [True, False, True]
    assert "budget" in attacks.work(methods[1], jobs[1])
    for method, job, path in zip(methods[::2], jobs[::2], ahead[::2], strict=True):
        before = attacks.read_cell(path)
        assert attacks.work(method, job) is None  # the same once more, by itself
        after = attacks.read_cell(path)
        assert np.array_equal(before["adversarial"], after["adversarial"])
        assert before["gradients"] == after["gradients"]
    written = [path.stat().st_mtime_ns for path in ahead[::2]]
    attacks.work_ahead(ours, jobs, 0.0)  # what is finished is not done again
    assert [path.stat().st_mtime_ns for path in ahead[::2]] == written


def test_runs_in_turn_all_count(attacks, monkeypatch):
    """Of methods with several turns each later one comes after the first of all methods; its times
    count, and the images, the gradients and the memory are those of the first."""
    seen = []

    def answer(method, job, chosen, options, failures):
        seen.append((method.name, job["out"], job["counted"]))
        turn = sum(name == method.name for name, *_ in seen)
        if method.name == "stops" and turn > 1:
            return f"{attacks.STOPPED}, by signal 2"
        made = images(2)["images"]
        made[:, 0, 0, 0] = 0.75 if turn == 1 else 1.0  # the target, nearer the first time
        cell = {"adversarial": made, "cpu": [float(turn)], "load": [0, turn], "gradients": turn}
        cell |= {"reference_work": [turn, turn], "began": str(turn), "ended": str(turn)}
        return cell | {"forward": turn, "counted": 2, "peak_mib": turn, "version": ""}

    ahead = []
    monkeypatch.setattr(attacks, "cell_of", answer)
    monkeypatch.setattr(
        attacks, "work_ahead", lambda m, jobs, _: ahead.append((m.worker, len(jobs)))
    )
    monkeypatch.setattr(attacks, "write_arrays", lambda arrays: Path("images.npz"))
    turns = {"often": 3, "once": 1, "stops": 2, "twice": 2}
    workers = {"stops": "another"}
    of = [
        attacks.Method(
            name, attacks.OURS, workers.get(name, "ours"), "minimal", {"of": name}, runs=1, turns=n
        )
        for name, n in turns.items()
    ]
    options = attacks.argparse.Namespace(images=2, runs=1, since=0.0)
    net, data = small_net(), images(2)
    chosen, failures = [m for m in of if m.name != "once"], {attacks.OURS: None}
    given = "gelu", net, Path("net"), data, of, chosen, options, failures
    rows = attacks.measure_methods(*given)["rows"]
    # what one worker does it imports for once, of what is chosen
    assert ahead == [("ours", 2), ("another", 1), ("ours", 2), ("another", 1), ("ours", 1)]
    assert [name for name, *_ in seen] == [*turns, "often", "stops", "twice", "often"]
    assert len({out for _, out, _ in seen}) == len(seen)
    assert {counted for *_, counted in seen} == {200}
    assert rows["often"]["cpu_ms_runs"] == [500, 1000, 1500]
    assert rows["often"]["cpu_ms"] == 1000
    assert rows["twice"]["cpu_ms"] == 750
    assert rows["once"]["cpu_ms"] == rows["stops"]["cpu_ms"] == 500
    assert rows["often"]["reference_work"] == [1, 1, 2, 2, 3, 3]
    assert rows["often"]["ended"] == "3"
    assert rows["often"]["turns"] == [["1", "1"], ["2", "2"], ["3", "3"]]
    assert "turns" not in rows["once"]
    for row in rows.values():
        assert (row["gradients"], row["peak_mib"], row["began"]) == (1, 1, "1")
        assert row["l2_mean"] == 0.5


# --- the judge -------------------------------------------------------------------------------


def test_the_judge_counts_no_failure_as_a_distance(attacks):
    made = images()["images"].astype(np.float64)
    made[0, 0, 0, 0] = 0.75  # the target
    made[1, 0, 0, 0] = 1.5  # the target, outside the box
    found = attacks.judge(small_net(), images(), made, True)
    assert found["success"].tolist() == [True, False, False]
    assert found["l2"][0] == pytest.approx(0.5)
    cell = {"cpu": [0.3, 0.1, 0.2], "forward": 1, "gradients": 1, "counted": 3, "peak_mib": 1}
    cell |= {"began": "", "ended": "", "load": [0, 0], "reference_work": [1, 1], "version": ""}
    best = attacks.known_best({"one": found}, None, 3)
    row = attacks.summary(found, cell, best, {"itself": found})
    assert row["success"] == pytest.approx(1 / 3)
    assert row["l2_mean"] == pytest.approx(0.5)
    assert row["cpu_ms"] == pytest.approx(1000 * 0.2 / 3)
    assert row["beside"]["itself"] == {"n": 1, "mean": 0, "median": 0}
    nothing = attacks.judge(small_net(), images(), images()["images"], True)
    assert "l2_mean" not in attacks.summary(nothing, cell, best, {})


def test_the_judge_tells_a_result_that_only_float64_sees(attacks):
    made = images(1)["images"].astype(np.float64)
    made[0, 0, 0, 0] = 0.5 + 1e-12
    found = attacks.judge(small_net(), images(1), made, True)
    assert found["success"].all()
    assert not found["robust"].any()


def test_without_a_target_any_other_class_will_do(attacks):
    made = images(1)["images"].copy()
    made[0, 0, 0, 0] = 0.75
    assert attacks.judge(small_net(), images(1), made, False)["success"].all()
    assert not attacks.judge(small_net(), images(1), images(1)["images"], False)["success"].any()


# --- the report ------------------------------------------------------------------------------


def row(mean: float, cpu: float, beside: dict | None = None, **more) -> dict:
    """A row of the table, its distances a tenth of a percent above the least."""
    about = {"n": 200, "success": 1.0, "robust": 1.0, "cpu_ms": cpu, "cpu_ms_runs": [cpu]}
    about |= {"gradients": 30, "l2_mean": mean, "l2_median": mean, "above_best": 0.0005}
    about |= {"worst": 0.005, "targeted": True, "load": [0.1, 0.2], "reference_work": [0.1, 0.2]}
    about |= {"began": "2026-01-01T00:00:00", "ended": "2026-01-01T00:01:00"}
    pairs = {key: {"n": 100, "mean": gap, "median": gap} for key, gap in (beside or {}).items()}
    return about | {"beside": pairs} | more


def results(report, gap: float = -0.001, cpu: float = 1.0) -> dict:
    """Invented results: ours is ``gap`` above each peer and takes ``cpu`` ms an image."""
    peers = (report.SCIPY, report.TIGHT, report.PDGD, report.CW, report.ALMA, report.DDN)
    rows = {
        report.FAITHFUL: row(1.4, cpu, dict.fromkeys(peers, gap)),
        report.BEST: row(1.4, cpu, dict.fromkeys(peers, gap)),
        **{peer: row(1.41, 110.0 if peer == report.SCIPY else 2.0) for peer in peers},
        "cleverhans LBFGS": {"failed": "No matching distribution.", "targeted": True},
    }
    least = {"targeted": {"kind": "exact", "mean": 1.39}}
    part = {"n": 200, "least": least, "rows": rows}
    points = [
        {"images": n, "chunk": None, "cpu_ms": 1.0, "peak_mib": 500, "grown_mib": 50}
        for n in (1000, 10_000)
    ]
    names = ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)", "FC100-100-10", "CONV")
    return {
        "machine": {"processor": "one", "cores": 2},
        "began": "2026-01-01T00:00:00",
        "ended": "2026-01-01T01:00:00",
        "networks": dict.fromkeys(names, part),
        "curve": {"network": "FC100-100-10", "points": points},
    }


def test_verdicts_follow_the_figures(report):
    good = [v.met for v in report.verdicts(results(report), {})]
    assert good[:-1] == [True] * (len(good) - 1)
    assert good[-1] is None  # no GPU
    far = {v.statement: v.met for v in report.verdicts(results(report, gap=0.01), {})}
    assert sum(met is False for met in far.values()) == 5
    slow = {v.statement: v.met for v in report.verdicts(results(report, cpu=3.0), {})}
    assert [s for s, met in slow.items() if met is False] == [
        "Aimed at: 100 times.",
        next(s for s in slow if s.startswith("Aimed at: at or below")),
    ]


def test_a_failure_of_ours_shows(report):
    found = results(report)
    found["networks"]["CONV"] = json.loads(json.dumps(found["networks"]["CONV"]))
    found["networks"]["CONV"]["rows"][report.BEST]["robust"] = 0.995
    failed = [v for v in report.verdicts(found, {}) if v.met is False]
    assert len(failed) == 1
    assert "CONV, ours, best: 99.5%" in failed[0].figures


def test_what_was_not_measured_is_said_to_be_so(report):
    found = results(report)
    del found["curve"]
    for part in found["networks"].values():
        part["rows"].pop(report.BEST, None)
    unknown = [v.statement for v in report.verdicts(found, {}) if v.met is None]
    assert len(unknown) == 6
    assert "**Not measured.**" in report.render(found, {})
    assert report.render({"machine": {}, "began": "", "ended": ""}, {})


def test_memory_that_grows_with_the_images_is_noticed(report):
    found = results(report)
    found["curve"]["points"][1]["grown_mib"] = 500
    verdict = next(v for v in report.verdicts(found, {}) if "memory" in v.statement)
    assert verdict.met is False


def test_the_report_is_a_table_with_every_row(report):
    text = report.render(results(report), {})
    assert "| cleverhans LBFGS | | not run: No matching distribution |" in text
    assert "all by this command" in text
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.count("|") for line in tables if "distortion" in line}) == 1
    width = next(line for line in tables if "distortion" in line).count("|")
    assert all(line.count("|") == width for line in tables if line.startswith(("| ours", "| clev")))


def test_the_published_report_is_that_of_the_results(bench):
    stored, report = bench["attacks"].record.stored, bench["attacks_report"]
    found, device = (stored(BENCHMARKS / name) for name in ("attacks.json", "attacks_device.json"))
    text = (BENCHMARKS / "ATTACKS.md").read_text(encoding="utf-8")
    assert report.render(found, device) == text
