"""The programs of benchmarks/ that make records: each uses what it has finished, and measures again
when a network changes."""

import importlib.util
import json
import sys

import pytest
import safetensors.torch
import torch

from course_lib import attacks, data, models, record, sourcecode, storage, units, zoo
from course_lib.reproduce import running, semantics

BENCHMARKS = storage.PACKAGE.parent / "benchmarks"
CALLS = []


def program(name):
    """A program of benchmarks/ as a module of a name of its own."""
    if not BENCHMARKS.is_dir():
        pytest.skip("an installed course has no benchmarks")
    known = f"benchmark_{name}"
    if known not in sys.modules:
        sys.path.insert(0, str(BENCHMARKS))
        try:
            spec = importlib.util.spec_from_file_location(known, BENCHMARKS / f"{name}.py")
            sys.modules[known] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[known])
        finally:
            sys.path.remove(str(BENCHMARKS))
    return sys.modules[known]


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    CALLS.clear()
    yield
    for name in [name for name in sys.modules if name.startswith("benchmark_")]:
        del sys.modules[name]


@pytest.fixture
def output(tmp_path):
    return tmp_path / "record.json"


@pytest.fixture
def attacked(monkeypatch):
    """How often the attack was called."""
    attack, calls = attacks.minimal_adversarial, []

    def counted(*args, **kwargs):
        calls.append(args)
        return attack(*args, **kwargs)

    monkeypatch.setattr(attacks, "minimal_adversarial", counted)
    return calls


@pytest.fixture
def retrain(monkeypatch):
    """A call after which the zoo's networks differ in a weight, and in nothing that names them."""
    load = zoo.load

    def changed(*args, **kwargs):
        net = load(*args, **kwargs)
        with torch.no_grad():
            next(net.parameters())[0, ...].mul_(1.001)
        return net

    return lambda: monkeypatch.setattr(zoo, "load", changed)


@pytest.mark.parametrize(("name", "each"), [("certificates", 1), ("distortions", 6)])
def test_a_record_of_the_attack(name, each, output, attacked, retrain, monkeypatch):
    bench = program(name)
    asked = ["FC10(1)", "--n", "3", "--output", str(output)]
    bench.main(asked)
    first = json.loads(output.read_text(encoding="utf-8"))
    assert len(attacked) == each
    assert list(first["networks"]) == ["FC10(1)"]
    bench.main(asked)  # nothing changed
    assert json.loads(output.read_text(encoding="utf-8")) == first
    assert len(attacked) == each
    with monkeypatch.context() as changed:  # another attack
        changed.setattr("course_lib.kept.code_digest", lambda *roots: "another")
        bench.main(asked)
    assert len(attacked) == 2 * each
    bench.main([*asked, "--fresh"])
    assert len(attacked) == 3 * each
    retrain()
    bench.main(asked)
    assert len(attacked) == 4 * each
    again = json.loads(output.read_text(encoding="utf-8"))
    assert again["networks"]["FC10(1)"] != first["networks"]["FC10(1)"]
    other = [*asked]
    other[0] = "FC10(1e-2)"
    bench.main(other)
    whole = json.loads(output.read_text(encoding="utf-8"))["networks"]
    assert list(whole) == ["FC10(1e-2)", "FC10(1)"]  # in the order of the networks
    assert whole["FC10(1)"] == again["networks"]["FC10(1)"]


@pytest.mark.parametrize("name", ["certificates", "distortions", "robust", "settings"])
def test_an_unknown_name_is_answered_in_a_sentence(name, output, capsys):
    with pytest.raises(SystemExit):
        program(name).main(["FC11", "--output", str(output)])
    assert "there is no 'FC11' here: use some of " in capsys.readouterr().err
    output.write_text("{", encoding="utf-8")
    with pytest.raises(SystemExit):
        program(name).main(["--output", str(output)])
    assert "is damaged" in capsys.readouterr().err
    assert output.read_text(encoding="utf-8") == "{"


# --- units ---------------------------------------------------------------------------------------


def layer(network, seed, settings):
    CALLS.append((network, seed, settings["state"], settings["layer"]))
    return {"of": len(CALLS)}


def pixels(network, seed, settings):
    CALLS.append("pixels")
    return {"of": len(CALLS)}


def test_units_are_measured_again_when_their_network_or_the_witness_changes(monkeypatch, retrain):
    monkeypatch.setattr(semantics, "layer", layer)
    _, trained, untrained = semantics.tasks({"CONV": ("pool2",)}, [0])

    def measured(task):
        return running.run([task], progress=False)[task]

    for _ in range(2):
        assert measured(trained) == {"of": 1}
        assert measured(untrained) == {"of": 2}
    retrain()
    assert measured(trained) == {"of": 3}
    assert measured(untrained) == {"of": 4}  # by the features of a trained one


def test_the_record_of_units_waits_for_all_seeds(monkeypatch, output, capsys):
    bench = program("unit_semantics")
    monkeypatch.setattr(semantics, "layer", layer)
    monkeypatch.setattr(semantics, "pixels", pixels)
    monkeypatch.setattr(semantics, "SEEDS", range(2))
    cells = {}
    monkeypatch.setattr(semantics, "assemble", lambda made: cells.update(made) or {"cells": []})
    monkeypatch.setattr(units, "STUDIED", {"CONV": ("pool2",)})
    monkeypatch.setattr(zoo, "load", lambda name, seed=0, **how: models.build(name, seed))
    monkeypatch.setattr(zoo, "find", lambda name, seed=0: ({}, {}))
    asked = ["--output", str(output), "--seeds"]
    bench.main([*asked, "0"])
    assert "Seeds [1] are missing" in capsys.readouterr().out
    assert not output.exists()
    bench.main([*asked, "1"])
    assert output.exists()
    assert [(t.network, t.seed, t.settings.get("state")) for t in cells] == [
        ("pixels", 0, None),
        ("CONV", 0, "trained"),
        ("CONV", 0, "untrained"),
        ("CONV", 1, "trained"),
        ("CONV", 1, "untrained"),
    ]
    assert len(CALLS) == 5


# --- bounded training ----------------------------------------------------------------------------


@pytest.fixture
def robust(monkeypatch):
    bench = program("robust")
    few = data.load_mnist("test", "cpu").sample(60)
    monkeypatch.setattr(bench, "load_mnist", lambda part, where: few)
    monkeypatch.setattr(bench, "METHODS", {"plain": bench.Method(SMALL, ({},), ("near",))})
    return bench


SMALL = {"variant": "plain", "activation": "relu", "hidden": (8,), "epochs": 20, "batch_size": 20}


def test_a_bounded_network_is_measured_again_when_its_file_is_another(robust, output, attacked):
    asked = ["plain", "--n", "20", "--seeds", "2", "--output", str(output)]
    robust.main(asked)
    first = output.read_text(encoding="utf-8")
    assert len(attacked) == 2
    robust.main(asked)
    assert output.read_text(encoding="utf-8") == first
    assert len(attacked) == 2
    path = storage.home() / "robust" / f"{robust.key_of(SMALL, 'train', 1)}.safetensors"
    net, _ = robust.trained(SMALL, "train", 1)
    tensors = {key: 1.01 * value for key, value in net.state_dict().items()}
    safetensors.torch.save_file(tensors, path, metadata={"cpu_seconds": "1.0"})
    robust.main(asked)
    assert len(attacked) == 3


def test_a_damaged_bounded_network_is_set_aside_and_trained_again(robust):
    net, _ = robust.trained(SMALL, "fit", 3)
    (path,) = (storage.home() / "robust").glob("*")
    raw = path.read_bytes()
    for broken in (raw[:-8], raw[:-1] + bytes([raw[-1] ^ 1]), b""):
        path.write_bytes(broken)
        with pytest.warns(UserWarning, match="is damaged"):
            again, _ = robust.trained(SMALL, "fit", 3)
        assert zoo.weights_digest(again.state_dict()) == zoo.weights_digest(net.state_dict())
    assert len(list(path.parent.glob("*.damaged*"))) == 3


# --- settings, norms, peers ----------------------------------------------------------------------


def of_recipe(name, candidate, seed):
    CALLS.append((candidate.decay, seed))
    return {"fit": 0.0, "validation": candidate.decay}


def test_settings_are_measured_once_and_old_candidates_stay(monkeypatch, output):
    bench = program("settings")
    monkeypatch.setattr(bench, "measure", of_recipe)
    recipes = [zoo.Recipe(decay=decay) for decay in (3.0, 2.0, 1.0)]
    for tried in (recipes[:2], recipes[1:]):
        monkeypatch.setattr(bench, "CANDIDATES", {"CONV": tried})
        bench.main(["--output", str(output)])
    assert [(decay, seed) for decay in (3.0, 2.0, 1.0) for seed in bench.SEEDS] == CALLS
    entry = record.stored(output)["networks"]["CONV"]
    assert [row["recipe"]["decay"] for row in entry["candidates"]] == [2.0, 1.0, 3.0]
    assert entry["chosen"]["decay"] == 1.0


def norms():
    CALLS.append("norms")
    return {"worst": 1e-9}


def more_norms(method):
    if "stop" in CALLS:
        CALLS.remove("stop")
        raise KeyboardInterrupt
    CALLS.append(method)
    return {}


def test_the_norms_go_on_and_are_forgotten_when_all_are_done(monkeypatch, tmp_path):
    bench = program("spectral")
    monkeypatch.setattr(bench, "PARTS", {"a": (norms,), "b": (more_norms, "ours")})
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "spectral.json")
    monkeypatch.setattr(bench, "REPORT", tmp_path / "SPECTRAL.md")
    monkeypatch.setattr(bench.spectral_report, "render", lambda *found: "text")
    monkeypatch.setattr(sys, "argv", ["spectral.py"])
    CALLS.append("stop")
    with pytest.raises(KeyboardInterrupt):
        bench.main()
    bench.main()
    assert CALLS == ["norms", "ours"]
    found = record.stored(tmp_path / "spectral.json")
    assert list(found) == ["started", "a", "b", "machine", "finished"]
    assert found["a"]["result"] == {"worst": 1e-9}
    bench.main()
    assert len(CALLS) == 4


def test_a_peers_key_follows_its_worker_and_ours_follows_the_attack(monkeypatch, tmp_path):
    bench = program("attacks")
    names = {"ours": "ours, faithful", "advlib": "adv-lib PDGD-500"}
    methods = {k: next(m for m in bench.METHODS if m.name == v) for k, v in names.items()}
    before = {key: bench.sources(method) for key, method in methods.items()}
    read = type(BENCHMARKS).read_text

    def after(*where):
        def changed(path, *args, **kwargs):
            text = read(path, *args, **kwargs)
            return f"{text}\nMORE = 1\n" if path.parts[-2:] == where else text

        sourcecode.code_digest.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(type(BENCHMARKS), "read_text", changed)
            found = {key for key, method in methods.items() if bench.sources(method) != before[key]}
        sourcecode.code_digest.cache_clear()
        return found

    assert after("attacks", "sqp.py") == {"ours"}
    assert after("peers", "advlib_worker.py") == {"advlib"}
    assert after("peers", "common.py") == {"ours", "advlib"}
    assert after("exercises", "lesson01.py") == set()


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 and no more", b"text"])
def test_a_damaged_cell_is_set_aside(raw, tmp_path):
    path = tmp_path / "cell.npz"
    path.write_bytes(raw)
    with pytest.warns(UserWarning, match=r"is damaged .+ cell\.npz\.damaged now"):
        assert program("attacks").read_cell(path) is None
    assert not path.exists()


# --- the list of them ----------------------------------------------------------------------------


def test_the_list_names_every_program_and_what_it_makes():
    program("settings")  # or skip
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    for path in BENCHMARKS.glob("*.py"):
        assert f"`{path.name}" in text, path.name
    made = [*BENCHMARKS.glob("*.json"), *(storage.ASSETS / "records").glob("*.json")]
    for path in (*made, BENCHMARKS / "ATTACKS.md", BENCHMARKS / "SPECTRAL.md"):
        assert path.name in text, path.name
