"""Figures 3 to 6: findings from hand-made records, the tasks, and one part measured in small."""

import json
import types

import numpy as np
import pytest
import torch

from course_lib import cli, imagenet, record
from course_lib.imagenet import needed
from course_lib.reproduce import claims, photographs, running, tasks
from course_lib.reproduce.evidence import Evidence
from course_lib.reproduce.task import Task
from course_lib.reproduce.verdicts import NOT, NOT_MEASURED, REPRODUCED, UNDECIDED

LITE0 = "efficientnet-lite0"


def found(tmp_path, key, made):
    (tmp_path / "photographs.json").write_text(json.dumps(made), encoding="utf-8")
    return claims.found(claims.BY_KEY[key], Evidence(tmp_path))


def ostriches(success, distortion):
    n = len(success)
    parts = {"success": success, "distortion": distortion, "draws": 3, "steps": 60}
    return {"ostrich": parts | {"changed_by_noise": [1] * n}}


# --- what a record says --------------------------------------------------------------------------


def test_every_photograph_or_it_is_open(tmp_path):
    row = found(tmp_path, "figure 5", ostriches([True] * 3, [0.001, 0.002, 0.003]))
    assert (row.verdict, row.value, row.n) == (REPRODUCED, 1.0, 3)
    # Wilson's interval of 3 of 3: n / (n + z²) to 1
    assert (row.low, row.high) == (pytest.approx(3 / (3 + 1.959964**2)), pytest.approx(1))
    assert "Of 9 draws of noise as large as the change 3 changed its answer." in row.said
    row = found(tmp_path, "figure 5", ostriches([True, False], [0.001, None]))
    assert (row.verdict, row.value, row.n) == (UNDECIDED, 0.5, 2)


def test_sizes_of_another_network_decide_nothing(tmp_path):
    row = found(tmp_path, "figure 5, distances", ostriches([True, True], [0.001, 0.003]))
    assert row.verdict == UNDECIDED
    assert row.value == pytest.approx(0.002)
    assert (row.low, row.n) == (None, 2)
    row = found(tmp_path, "figure 5, distances", ostriches([False], [None]))
    assert row.verdict == NOT_MEASURED


def test_detectors_are_counted_over_all_units(tmp_path):
    unit = {"unit": 7, "accuracy": 0.9, "n": 1, "success": 1, "distortion": 0.0004}
    many = unit | {"n": 100, "success": 100, "distortion": 0.03}
    made = {"detectors": {"chelsea": unit, "AE400-10": many, "seconds": 3.0}}
    row = found(tmp_path, "figure 6", made)
    assert (row.verdict, row.value, row.n) == (REPRODUCED, 1.0, 101)
    made["detectors"]["AE400-10"] = many | {"success": 99}
    assert found(tmp_path, "figure 6", made).verdict == UNDECIDED


def purities(gaps, behind=None):
    """A record of units from the difference of each network, Lite0 first; behind: of the logits."""

    def layer(gap):
        return {"photograph": {"units": 0.5 + gap, "directions": 0.5, "chance": 0.25}}

    parts = [{"crops": 50} | layer(gap) for gap in gaps]
    for part, gap in zip(parts, behind or (), strict=False):
        part["logits"] = layer(gap)
    others = {f"efficientnet-lite{k}": {"units": e} for k, e in enumerate(parts) if k}
    return {"units": parts[0], "others": others}


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ((0.0,), UNDECIDED),  # one network says nothing of another
        ((0.3,), UNDECIDED),
        ((0.0, 0.001, -0.001), REPRODUCED),  # the margin is half an image in eight
        ((0.2, 0.201, 0.199), NOT),
        ((0.0, 0.2, 0.1), UNDECIDED),
    ],
)
def test_units_on_photographs_need_several_networks(tmp_path, gaps, verdict):
    row = found(tmp_path, "units, photographs", purities(gaps, gaps))
    assert row.verdict == verdict
    assert row.value == pytest.approx(sum(gaps) / len(gaps))
    assert (row.seeds, row.n, row.level) == (len(gaps), 50, 0.9)
    if len(gaps) == 3:  # Student's 95 % quantile with two degrees of freedom, from a table
        half = 2.920 * np.std(gaps, ddof=1) / 3**0.5
        assert row.high - row.value == pytest.approx(half, rel=1e-3, abs=1e-6)


def test_units_are_asked_of_both_layers(tmp_path):
    near, far = (0.0, 0.001, -0.001), (0.2, 0.201, 0.199)
    row = found(tmp_path, "units, photographs", purities(near, far))
    assert row.verdict == NOT
    assert row.value == pytest.approx(0.2)
    assert "The number is that of the logits." in row.said
    assert found(tmp_path, "units, photographs", purities(near)).verdict == UNDECIDED


def test_table_5_says_what_a_trained_network_has(tmp_path):
    layers = {"Conv. 1": {"lower": 1.0, "upper": 1.1}}
    (tmp_path / "table5.json").write_text(json.dumps({"layers": layers}), encoding="utf-8")
    rows = [{"kind": "Conv2d", "upper": 2.0}, {"kind": "ReLU", "upper": 1.0}]
    rows.append({"kind": "Linear", "upper": 7.0})
    made = {"table5": {"layers": rows, "log10_product": 5.25, "log10_lower": 1.5}}
    row = found(tmp_path, "table 5", made)
    assert row.verdict == NOT_MEASURED
    assert "its 2 layers with weights have norms of 2 to 7" in row.said
    assert "10^5.2" in row.said
    assert "10^1.5" in row.said


# --- the tasks -----------------------------------------------------------------------------------


def test_the_modes_measure_what_they_say():
    def parts(mode):
        grid = [t for t in tasks.grid(mode) if t.experiment == "photographs"]
        return {(t.settings["part"], t.network) for t in grid}

    assert parts("quick") == set()
    four = {("ostrich", LITE0), ("units", LITE0), ("detectors", LITE0), ("table5", LITE0)}
    assert parts("default") == four | {("autoencoder", "AE400-10")}
    assert parts("full") >= parts("default") | {("kept", LITE0), ("library", LITE0)}


def test_transfer_and_units_take_in_every_network_that_is_here(monkeypatch):
    monkeypatch.setattr(imagenet, "here", lambda: ["efficientnet-lite0", "efficientnet-lite2"])
    made = photographs.tasks(("units", "transfer", "ostrich"), relatives=True)
    both = ["efficientnet-lite0", "efficientnet-lite2"]
    assert [t.network for t in made] == [*both, *both, LITE0]
    assert {tuple(t.settings.get("readers", both)) for t in made} == {tuple(both)}
    assert len(photographs.tasks(("units",))) == 1
    monkeypatch.setattr(imagenet, "here", lambda: [LITE0])
    assert photographs.tasks(("transfer",), relatives=True) == []  # none to read them


def test_what_is_missing_is_said_and_the_rest_measured(monkeypatch, capsys):
    monkeypatch.setattr(needed, "missing", lambda: "Install it.")
    monkeypatch.setattr(running, "run", lambda *a, **k: pytest.fail("worked"))
    assert not [t for t in tasks.grid("default") if t.experiment == "photographs"]
    assert cli.main(["reproduce", "figure5", "figure6"]) == 1
    assert "figure5, figure6: Install it." in capsys.readouterr().err
    with pytest.raises(pytest.fail.Exception, match="worked"):
        cli.main(["reproduce", "figure5", "formulas"])
    said = capsys.readouterr().err
    assert "figure5: Install it. The report takes the course's own record of them." in said


def test_a_mode_without_photographs_says_so(monkeypatch, capsys):
    monkeypatch.setattr(running, "run", lambda *a, **k: pytest.fail("worked"))
    assert cli.main(["reproduce", "figure3", "--mode", "quick"]) == 1
    assert "The mode quick measures no photographs (figure3)" in capsys.readouterr().err


def test_the_record_is_put_together_from_tasks():
    def task(part, network=LITE0, **more):
        return Task("photographs", network, 0, {"part": part} | more)

    one, two = "efficientnet-lite0", "efficientnet-lite1"
    read = {"networks": [one, two], "n": 2, "amplified": [1]}
    made = photographs.assemble(
        {
            task("transfer", two, readers=[one, two]): read
            | {"rows": {one: {"changed": [1]}, two: {"changed": [2]}}, "seconds": 2.0},
            task("transfer", one, readers=[one, two]): read
            | {"rows": {one: {"changed": [2]}, two: {"changed": [0]}}, "seconds": 1.5},
            task("autoencoder", "AE400-10"): {"unit": 3},
            task("detectors"): {"chelsea": {"unit": 4}},
            task("units", two): {"crops": 9},
            task("units"): {"crops": 8},
        }
    )
    assert made["units"] == {"crops": 8}
    assert made["others"] == {two: {"units": {"crops": 9}}}
    assert made["detectors"] == {"chelsea": {"unit": 4}, "AE400-10": {"unit": 3}}
    assert made["transfer"]["seconds"] == 3.5
    assert made["transfer"]["rows"][f"{two} read by {one}"] == {"changed": [1]}
    assert len(made["transfer"]["rows"]) == 4


def test_parts_of_an_experiment_have_different_keys_for_what_is_kept():
    made = photographs.tasks(photographs.PARTS, relatives=True)
    assert len({task.key for task in made}) == len(made)


# --- measured ------------------------------------------------------------------------------------


def test_pictures_come_back_as_they_look():
    torch.manual_seed(0)
    smooth = torch.rand(2, 3, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    back = [np.asarray(photographs.unpacked(t)) for t in photographs.packed(smooth, 64)]
    for image, picture in zip(smooth, back, strict=True):
        assert picture.shape == (64, 64, 3)
        assert np.abs(picture / 255 - image.permute(1, 2, 0).numpy()).mean() < 0.03


def test_the_autoencoders_unit_is_switched_off(monkeypatch):
    monkeypatch.setattr(photographs, "FEW", 10)
    made = photographs.part("AE400-10", 0, {"part": "autoencoder"})
    assert made["success"] == made["n"] == 10
    kept = needed.read_record()["detectors"]["AE400-10"]
    assert (made["unit"], made["digit"]) == (kept["unit"], kept["digit"])
    assert made["distortion"] == pytest.approx(kept["distortion"], rel=0.5)


def test_the_benchmark_keeps_what_it_did_not_measure(tmp_path, monkeypatch, capsys):
    module = types.ModuleType("bench")
    path = record.storage.PACKAGE.parent / "benchmarks" / "photographs.py"
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    output = tmp_path / "record.json"
    old = {"detectors": {"chelsea": {"unit": 1}, "AE400-10": {"unit": 1}}, "units": {"crops": 1}}
    output.write_text(json.dumps(old), encoding="utf-8")
    monkeypatch.setattr(running, "run", lambda asked, **how: {task: {"unit": 2} for task in asked})
    monkeypatch.setattr(running, "finished_of", lambda rest: {})
    module.main(["autoencoder", "--output", str(output)])
    made = json.loads(output.read_text(encoding="utf-8"))
    assert made["detectors"] == {"chelsea": {"unit": 1}, "AE400-10": {"unit": 2}}
    assert made["units"] == {"crops": 1}
    monkeypatch.setattr(needed, "missing", lambda: "Install it.")
    with pytest.raises(SystemExit, match="Install it"):
        module.main(["--output", str(output)])


def test_alexnet_is_bounded_where_its_weights_are(monkeypatch):
    monkeypatch.setattr(imagenet, "here", lambda: [LITE0, "alexnet"])
    made = photographs.tasks(("table5",), relatives=True)
    assert [t.network for t in made] == [LITE0, "alexnet"]
    found = photographs.assemble({t: {"layers": [t.network]} for t in made})
    assert found["table5"] == {"layers": [LITE0]}
    assert found["others"] == {"alexnet": {"table5": {"layers": ["alexnet"]}}}
    assert len(photographs.tasks(("table5",))) == 1
