"""benchmarks/foreign.py and budgets.py without any peer: networks, budgets, verdicts, reports."""

import importlib
import json
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
PROGRAMS = ("foreign", "budgets")
MODULES = ("attacks", "attacks_report", "foreign_report", "budgets_report", "common")
PEERS = ("adv_lib", "foolbox")
WORKER = ("foreign_nets", "lite0", "budget_worker", "peers", "peers.foreign_nets", "peers.lite0")


@pytest.fixture(scope="module")
def bench():
    """The modules of both benchmarks and of their workers, and nothing of them left behind.

    The libraries of the peers' environment are stood in for by others that do nothing.
    """
    folders = [str(BENCHMARKS), str(BENCHMARKS / "peers")]
    before = {name: sys.modules.get(name) for name in PEERS}
    sys.modules.update({name: mock.MagicMock() for name in PEERS})
    sys.path[:0] = folders
    try:
        names = (*PROGRAMS, *MODULES, "foreign_nets", "lite0", "budget_worker")
        yield types.SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path[:] = [folder for folder in sys.path if folder not in folders]
        for name in (*PROGRAMS, *MODULES, *WORKER, *PEERS):
            sys.modules.pop(name, None)
        sys.modules.update({name: module for name, module in before.items() if module})


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


# --- the networks ----------------------------------------------------------------------------


def test_every_network_takes_images_and_gives_its_logits(bench):
    x = torch.rand(3, 1, 28, 28)
    for name, recipe in bench.foreign_nets.RECIPES.items():
        net = bench.foreign_nets.built(name).eval()
        assert net(x).shape == (3, 2 if recipe.two else 10)
        one_by_one = torch.cat([net(row) for row in x.split(1)])
        assert torch.allclose(net(x), one_by_one, rtol=1e-4, atol=1e-3 * recipe.scale)


def test_the_photographs_network_has_the_published_size(bench):
    net = bench.lite0.Lite0().eval()
    assert len(net.state_dict()) == 296  # tensors in the package's file
    assert sum(p.numel() for p in net.parameters()) == 4_652_008
    with torch.no_grad():
        assert net(torch.rand(1, 3, 224, 224)).shape == (1, 1000)


def test_padding_as_tensorflow_does_it(bench):
    same = bench.lite0.Same(1, 1, 3, 2, bias=False)
    nn.init.ones_(same.weight)
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0] = x[0, 0, 3, 3] = 1
    # nothing before the first pixel: windows 0..2 and 2..4
    assert same(x)[0, 0].tolist() == [[1, 0], [0, 1]]


def test_training_is_repeatable_and_leaves_the_random_numbers_alone(bench):
    nets = bench.foreign_nets
    images = torch.rand(2 * nets.BATCH, 1, 28, 28)
    digits = torch.arange(len(images)) % 10
    for name in ("gelu", "two", "times1000"):
        torch.manual_seed(7)
        wanted = torch.rand(1)
        torch.manual_seed(7)
        first = nets.train(name, images, digits)
        assert torch.equal(torch.rand(1), wanted)
        second = nets.train(name, images, digits)
        assert torch.equal(first(images[:5]), second(images[:5]))
        assert not first.training
        assert not any(p.requires_grad for p in first.parameters())


def test_scaled_networks_have_the_same_weights(bench):
    nets = bench.foreign_nets
    assert nets.twin("times0.001") == nets.twin("times1000") == "times1000"
    assert nets.twin("madry") == "madry"
    big, small = nets.built("times1000"), nets.built("times0.001")
    small.load_state_dict(big.state_dict())
    x = torch.rand(2, 1, 28, 28)
    assert torch.allclose(big.eval()(x), 1e6 * small.eval()(x), rtol=1e-4)


def test_two_classes_are_below_five_and_not(bench):
    digits = torch.arange(10)
    assert bench.foreign_nets.classes("two", digits).tolist() == [0] * 5 + [1] * 5
    assert torch.equal(bench.foreign_nets.classes("gelu", digits), digits)


@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.2), ("l2", 1.5)])
def test_images_for_adversarial_training_stay_in_their_ball(bench, norm, radius):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    x, y = torch.rand(6, 1, 28, 28), torch.arange(6)
    z = bench.foreign_nets.against(net, x, y, norm, radius)
    r = (z - x).flatten(1)
    size = r.abs().amax(1) if norm == "linf" else r.norm(dim=1)
    assert (size <= radius * (1 + 1e-5)).all()
    assert z.min() >= 0
    assert z.max() <= 1
    loss = nn.functional.cross_entropy
    assert loss(net(z), y) > loss(net(x), y)


@pytest.mark.parametrize("name", ["transformer", "resnet", "two", "times1000", "madry"])
def test_a_worker_reads_a_foreign_network(bench, name):
    net = bench.foreign_nets.built(name).eval()
    copy = bench.common.load_net(bench.foreign.network_file(name, net))
    x = torch.rand(4, 1, 28, 28)
    assert torch.equal(net(x), copy(x))
    counter = bench.common.Counter(copy)
    x.requires_grad_()
    copy(x).sum().backward()
    assert (counter.forward, counter.backward) == (4, 4)


def test_targets_are_other_classes(bench):
    labels = torch.arange(30) % 2
    drawn = types.SimpleNamespace(images=torch.rand(30, 1, 2, 2), index=torch.arange(30))
    found = bench.foreign.with_targets(drawn, labels, 2)
    assert (found["targets"] == 1 - found["labels"]).all()
    labels = torch.arange(30) % 10
    found = bench.foreign.with_targets(drawn, labels, 10)
    assert (found["targets"] != found["labels"]).all()
    assert found["targets"].max() <= 9


# --- the command lines -----------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_part_is_not_the_whole(bench, program):
    module = getattr(bench, program)
    assert module.parse([]).whole
    assert module.parse(["--fresh"]).whole
    assert module.parse([]).networks == list(module.NETWORKS)
    for part in (["--images", "5"], ["--methods", "ours"], ["--networks", "gelu"]):
        assert not module.parse(part).whole


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--images", "0"], "no whole number above 0"),
        (["--networks", "FC11"], "invalid choice"),
        (["--methods", "nobody"], "No method's name begins with 'nobody'"),
    ],
)
def test_bad_arguments_get_a_sentence(bench, capsys, program, arguments, sentence):
    with pytest.raises(SystemExit):
        getattr(bench, program).parse(arguments)
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_report_needs_results(bench, program, tmp_path, monkeypatch, capsys):
    module = getattr(bench, program)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "none.json")
    with pytest.raises(SystemExit):
        module.parse(["--report"])
    assert f"there is no {program}.json" in capsys.readouterr().err


def test_budgets_are_sorted_and_positive(bench, capsys):
    assert bench.budgets.parse(["--budgets", "30", "10", "30"]).budgets == [10, 30]
    with pytest.raises(SystemExit):
        bench.budgets.parse(["--budgets", "0"])
    assert "no whole number above 0" in capsys.readouterr().err


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_method_has_its_worker_and_its_requirements(bench, program):
    module, peers = getattr(bench, program), BENCHMARKS / "peers"
    names = [m.name for m in module.METHODS]
    assert len(set(names)) == len(names)
    for method in module.METHODS:
        assert (peers / f"{method.worker}_worker.py").is_file()
        if method.environment != bench.attacks.OURS:
            assert bench.attacks.requirements(method.environment).is_file()
    for environment in (bench.foreign.PHOTOGRAPHS, bench.budgets.SCORES):
        assert bench.attacks.requirements(environment).is_file()
    known = {m.attack for m in bench.budgets.METHODS if m.worker == "budget"}
    assert known == set(bench.budget_worker.ATTACKS)


# --- a budget is kept ------------------------------------------------------------------------


class Slope(nn.Module):
    """Class 1 where the first pixel is above a half, else class 0."""

    def forward(self, x):
        lead = x.flatten(1)[:, :1] - 0.5
        return torch.cat([-lead, lead], 1)


def climb(steps):
    """An attack of ``steps`` gradients that raises every pixel by a tenth at each."""

    def attack(net, images, wanted, targeted, budget):
        x = images
        for _ in range(steps):
            x = x.detach().requires_grad_()
            net(x)[:, 1].sum().backward()
            x = (x + 0.1).clamp(max=1)
        net(x.detach())

    return attack


@pytest.mark.parametrize("one_by_one", [True, False])
def test_an_attack_is_stopped_at_its_budget_with_the_nearest_success(bench, one_by_one):
    images = torch.full((2, 1, 2, 2), 0.25)
    images[1] = 0.45
    labels, targets = torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.long)
    net = Slope()
    taken = []

    def count(module, inputs, logits):
        if logits.requires_grad:
            logits.register_hook(lambda gradient: taken.append(len(gradient)))

    hook = net.register_forward_hook(count)
    run = bench.budget_worker.within(climb(10), one_by_one)
    found = run(net, images, labels, targets, budget=3)
    hook.remove()
    assert sum(taken) == 6  # three an image, although it asked for ten
    assert found[0].flatten()[0] == pytest.approx(0.55)  # the third step, seen before the fourth
    assert found[1].flatten()[0] == pytest.approx(0.55)  # the first step, not a later one
    found = run(net, images, labels, None, budget=1)
    assert torch.equal(found[0], images[0])  # no success yet
    assert found[1].flatten()[0] == pytest.approx(0.55)


def test_what_is_outside_the_box_is_no_success(bench):
    def leave(net, images, wanted, targeted, budget):
        net(images + 1)

    images = torch.full((1, 1, 2, 2), 0.25)
    run = bench.budget_worker.within(leave, False)
    labels = torch.zeros(1, dtype=torch.long)
    assert torch.equal(run(Slope(), images, labels, None, budget=9), images)


def test_searches_share_a_budget(bench):
    searches = bench.budget_worker.searches
    assert [searches(b, 9) for b in (1, 10, 30, 100, 300, 1000)] == [1, 1, 1, 5, 9, 9]
    assert searches(1000, 20) == 20


def test_the_radius_of_apgd_is_doubled_until_it_succeeds_and_then_halved(bench, monkeypatch):
    worker, asked = bench.budget_worker, []

    def apgd(net, images, wanted, radius, norm, targeted, n_iter):
        asked.append(radius.tolist())
        step = torch.zeros_like(images)
        step[:, 0, 0, 0] = radius  # as far as it may go, along the first pixel
        net((images + step).clamp(0, 1))

    monkeypatch.setattr(worker.attacks, "apgd", apgd)
    images = torch.zeros(1, 1, 2, 2)
    labels = torch.zeros(1, dtype=torch.long)
    found = worker.within(worker.apgd, False)(Slope(), images, labels, None, budget=100)
    assert asked == [[1.0], [0.5], [0.75], [0.625], [0.5625]]
    assert found[0].flatten()[0] == 0.5625


# --- the figures of a budget -----------------------------------------------------------------


def cell(gradients: float = 10.0) -> dict:
    about = {"began": "2026-01-01T00:00:00", "ended": "2026-01-01T00:01:00", "load": [0.1, 0.2]}
    return about | {"cpu": [0.4], "gradients": gradients, "reference_work": [0.1, 0.2]}


def test_failures_have_no_distance(bench):
    inf = np.inf
    best = np.array([1.0, 1.0, 2.0, 2.0])
    ours = np.array([1.0, 2.0, inf, 2.0])
    row = bench.budgets.entry(cell(), np.array([1.5, inf, 2.0, 2.5]), best, ours)
    assert row["success"] == 0.75
    assert row["l2_mean"] == pytest.approx(2.0)
    assert row["above"] == pytest.approx(6.0 / 5 - 1)
    assert row["beside"] == pytest.approx(4.0 / 3 - 1)
    assert row["cpu_ms"] == pytest.approx(100)
    nothing = bench.budgets.entry(cell(), np.full(4, inf), best, ours)
    assert (nothing["success"], nothing["above"], nothing["beside"]) == (0, None, None)
    json.dumps(nothing, allow_nan=False)


def test_a_longer_search_that_ends_farther_is_noticed(bench):
    farther = bench.budgets.farther
    short, long = np.array([1.0, 2.0, np.inf]), np.array([1.0, 1.9, 3.0])
    assert farther(short, long) == {"images": 0, "mean": pytest.approx(-0.1 / 3), "lost": 0}
    back = farther(long, short)
    assert back["images"] == pytest.approx(2 / 3)
    assert back["mean"] > 0
    assert back["lost"] == 1
    assert farther(short, short)["images"] == 0


def test_methods_that_know_no_target(bench):
    names = {m.name for m in bench.budgets.methods_for(True)}
    assert names.isdisjoint(bench.budgets.UNTARGETED)
    assert {m.name for m in bench.budgets.methods_for(False)} > names
    one = bench.budgets.at(bench.budgets.METHODS[0], 30, False)
    assert one.settings == {"budget": 30}
    assert not one.targeted


def test_no_score_without_its_package(bench):
    assert bench.budgets.scores({"ours 10": np.ones(2)}, np.ones(2), "No package.") == {}


# --- the reports -----------------------------------------------------------------------------


def budget_row(success=1.0, beside=0.0, gradients=10.0, above=0.01, score=0.9) -> dict:
    about = {"began": "2026-01-01T00:00:00", "ended": "2026-01-01T00:01:00", "load": [0.1, 0.2]}
    about |= {"reference_work": [0.1, 0.2], "cpu_ms": 4.0, "l2_mean": 1.5, "score": score}
    return about | {
        "success": success,
        "beside": beside,
        "gradients": gradients,
        "above": above,
    }


def budget_results() -> dict:
    """Invented results: ours is first everywhere, DDN not far behind."""

    def part():
        rise = {"images": 0.0, "mean": -0.01, "lost": 0}
        methods = {
            "ours": {str(b): budget_row(gradients=b) for b in (10, 30, 100)},
            "DDN": {str(b): budget_row(beside=0.02, gradients=b) for b in (10, 30, 100)},
        }
        rises = {"30": dict(rise), "100": dict(rise)}
        return {"n": 20, "least": 1.4, "methods": methods, "rises": rises, "failed": {}}

    networks = {name: {"targeted": part(), "any": part()} for name in ("CONV", "gelu")}
    about = {"machine": {"cores": 2}, "began": "2026-01-01T00:00:00", "ended": "later"}
    return about | {"budgets": [10, 30, 100], "networks": networks, "score": None}


def test_the_verdicts_on_budgets_follow_the_figures(bench):
    report, found = bench.budgets_report, budget_results()
    assert [v.met for v in report.verdicts(found)] == [True, True, True]
    rows = found["networks"]["gelu"]["any"]["methods"]
    rows["DDN"]["10"]["beside"] = -0.1  # below the least budget that is looked at
    assert report.first(found).met
    rows["DDN"]["30"]["beside"] = -0.001
    verdict = report.first(found)
    assert verdict.met is False
    assert "gelu, any class, 30: DDN -0.10 %" in verdict.figures
    rows["DDN"]["30"] = budget_row(beside=0.5, success=1.0)
    rows["ours"]["30"]["success"] = 0.95  # nearer, but not as often
    assert report.first(found).met is False
    rows["DDN"]["100"]["gradients"] = 100.5
    assert report.within(found).met is False
    found["networks"]["CONV"]["targeted"]["rises"]["100"]["images"] = 0.05
    assert report.falling(found).met is False
    del rows["ours"]
    assert report.first(found).met is None


def test_the_report_on_budgets(bench, tmp_path):
    report, found = bench.budgets_report, budget_results()
    found["networks"]["gelu"]["any"]["methods"]["DDN"]["10"] = budget_row(0.0, None, above=None)
    found["networks"]["gelu"]["any"]["methods"]["DDN"]["30"] = budget_row(0.5)
    found["networks"]["CONV"]["any"]["failed"]["FMN 10"] = "No package."
    text = report.render(found)
    assert "| DDN | no success | +1.00 % (50%), 0.900 | +1.00 %, 0.900 | 4.0 |" in text
    assert "- FMN 10: not run: No package." in text
    empty = {"machine": {}, "began": "", "ended": "", "networks": {}, "budgets": []}
    assert report.render(empty).count("**Not measured.**") == 3
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    report.draw(found, first)
    report.draw(found, second)
    assert first.read_bytes() == second.read_bytes()
    assert b"<svg" in first.read_bytes()


def foreign_row(mean: float, cpu: float, targeted: bool, beside=None, **more) -> dict:
    about = {"n": 30, "success": 1.0, "robust": 1.0, "cpu_ms": cpu, "gradients": 500}
    about |= {"l2_mean": mean, "l2_median": mean, "above_best": 0.001, "worst": 0.01}
    about |= {"began": "2026-01-01T00:00:00", "ended": "2026-01-01T00:01:00", "load": [0.1, 0.2]}
    pairs = {key: {"n": 30, "mean": gap, "median": gap} for key, gap in (beside or {}).items()}
    return about | {"reference_work": [0.1, 0.2], "targeted": targeted, "beside": pairs} | more


def foreign_results(report, gap: float = 0.0, cpu: float = 5.0) -> dict:
    """Invented results: ours ``gap`` above each peer, ``cpu`` ms an image; ALMA 20, PDGD 10."""
    networks = {}
    for name in ("gelu", "two", report.PHOTOGRAPHS):
        rows = {}
        for targeted in (True, False):
            end = "" if targeted else ", any"
            others = [f"{peer}{end}" for peer in (*report.PEERS, report.PAPER)]
            rows[f"{report.OURS}{end}"] = foreign_row(
                1.0, cpu, targeted, dict.fromkeys(others, gap)
            )
            for other in others:
                price = 20.0 if other.startswith(report.ALMA) else 10.0
                rows[other] = foreign_row(1.0, price, targeted)
        rows.pop("SuperDeepFool")  # it knows no targets
        rows["ALMA-1000, any"] = {"failed": "Two logits.", "targeted": False}
        networks[name] = {"n": 30, "right": 0.98, "least": {}, "rows": rows}
    about = {"machine": {"cores": 2}, "began": "2026-01-01T00:00:00", "ended": "later"}
    return about | {"networks": networks}


def test_the_verdicts_on_foreign_networks_follow_the_figures(bench):
    report = bench.foreign_report
    assert [v.met for v in report.verdicts(foreign_results(report))] == [True] * 4
    near = [v.met for v in report.verdicts(foreign_results(report, gap=0.0025))]
    assert near == [True, True, False, False]  # above our own loss; not nearest on photographs
    far = [v.met for v in report.verdicts(foreign_results(report, gap=0.004))]
    assert far == [False, True, False, False]
    slow = [v.met for v in report.verdicts(foreign_results(report, cpu=15.0))]
    assert slow == [True, True, True, False]  # dearer than PDGD on the photographs
    slower = [v.met for v in report.verdicts(foreign_results(report, cpu=25.0))]
    assert slower == [True, False, True, False]


def test_times_that_are_compared_are_taken_in_turn(bench):
    foreign, report = bench.foreign, bench.foreign_report
    compared = (report.OURS, report.ALMA)
    in_turn = {m.name for m in foreign.METHODS if m.turns > 1}
    assert in_turn == {*compared, *(f"{name}, any" for name in compared)}
    found = foreign_results(report)
    rows = found["networks"]["gelu"]["rows"]
    ours = [[f"2026-01-01T00:0{k}:00", f"2026-01-01T00:0{k}:20"] for k in range(3)]
    theirs = [[f"2026-01-01T00:0{k}:20", f"2026-01-01T00:0{k}:40"] for k in range(3)]
    rows[report.OURS] |= {"cpu_ms": 19.0, "cpu_ms_runs": [19.0, 22.0, 18.0], "turns": ours}
    rows[report.ALMA] |= {"cpu_ms": 20.0, "cpu_ms_runs": [20.0, 20.0, 24.0], "turns": theirs}
    verdict = report.verdicts(found)[1]
    assert verdict.met, "the medians decide, not the slowest turn"
    assert "0.95 times" in verdict.figures
    assert "| 0.95 (0.75 to 1.10) |" in report.render(found)
    # one after the other is not in turn, and neither are different numbers of runs
    later = [[when.replace("T00", "T01") for when in turn] for turn in theirs]
    for turns in (later, theirs[:2], []):
        rows[report.ALMA]["turns"] = turns
        assert "| 0.95 |" in report.render(found)


def test_where_there_is_no_time_to_compare_with_is_said(bench):
    report = bench.foreign_report
    assert report.STOPPED == bench.attacks.STOPPED
    found = foreign_results(report)
    verdict = report.verdicts(found)[1]
    assert verdict.met
    assert "It cannot be run on gelu, any class, two, any class." in verdict.figures
    stopped = {"failed": f"{report.STOPPED}, by signal 2", "targeted": True}
    found["networks"]["gelu"]["rows"][report.ALMA] = stopped
    assert report.verdicts(found)[1].met is None


def test_nearest_of_all_on_photographs_needs_every_peer(bench):
    report = bench.foreign_report
    found = foreign_results(report)
    found["networks"][report.PHOTOGRAPHS]["rows"].pop("DDN-1000, any")
    verdict = report.verdicts(found)[3]
    assert verdict.met is None
    assert "Not run: DDN-1000, any." in verdict.figures
    # without the one whose time counts a mode is not judged, and the other is
    found["networks"][report.PHOTOGRAPHS]["rows"].pop("PDGD-500")
    verdict = report.verdicts(found)[3]
    assert verdict.met is None
    assert verdict.figures.startswith("any class: ")
    assert "Not run: PDGD-500, DDN-1000, any." in verdict.figures
    # one that is nearer decides all the same, and one that cannot be run has its own row
    assert report.verdicts(foreign_results(report, gap=0.001))[3].met is False
    found = foreign_results(report)
    failed = {"failed": "No package.", "targeted": False}
    found["networks"][report.PHOTOGRAPHS]["rows"]["DDN-1000, any"] = failed
    assert report.verdicts(found)[3].met is True


def test_nearest_on_every_network_needs_every_peer(bench):
    report = bench.foreign_report
    found = foreign_results(report)
    found["networks"]["gelu"]["rows"].pop("CW 9x1000, any")
    found["networks"]["two"]["rows"].pop("CW 9x1000")
    verdict = report.verdicts(found)[0]
    assert verdict.met is None
    assert "Not run: CW 9x1000 on gelu, two." in verdict.figures
    found = foreign_results(report, gap=0.004)
    found["networks"]["gelu"]["rows"].pop("CW 9x1000, any")
    assert report.verdicts(found)[0].met is False


def test_no_more_images_are_asked_for_than_there_are(bench, monkeypatch):
    asked = []
    monkeypatch.setattr(bench.foreign.attacks, "job_of", lambda *job: asked.append(job[3]))
    monkeypatch.setattr(bench.foreign.attacks, "cell_of", lambda *cell: None)
    monkeypatch.setattr(bench.foreign.attacks, "write_arrays", lambda arrays: None)
    options = types.SimpleNamespace(images=50, runs=1, since=0.0)
    images = {"labels": torch.zeros(8).numpy()}
    of = bench.foreign.METHODS[:1]
    bench.foreign.attacks.measure_methods("gelu", None, None, images, of, [], options, {})
    assert asked == [8]


def test_a_peer_that_succeeds_more_often_counts_as_nearer(bench):
    report = bench.foreign_report
    found = foreign_results(report, gap=-0.1)
    found["networks"]["gelu"]["rows"]["ours"]["success"] = 0.9
    verdict = report.verdicts(found)[0]
    assert verdict.met is False
    assert "gelu, with a target" in verdict.figures
    assert "succeeds more often" in verdict.figures
    assert "succeeds more often" in report.render(found)


def test_a_foreign_network_that_was_not_measured_is_said_to_be_so(bench):
    report = bench.foreign_report
    found = foreign_results(report)
    found["networks"]["gelu"]["rows"].pop("ours, any")
    assert report.verdicts(found)[0].met is None
    text = report.render(found)
    assert "| gelu, any class | not measured |" in text
    assert "| ALMA-1000, any | | not run: Two logits |" in text
    failed = {"failed": "No matching distribution.", "targeted": True}
    found["networks"][report.PHOTOGRAPHS] = {"n": 0, "least": {}, "rows": {"ours": failed}}
    assert report.verdicts(found)[3].met is None
    assert report.render(found)
    assert report.render({"machine": {}, "began": "", "ended": "", "networks": {}})


def test_times_of_different_hours_are_corrected_by_the_machines_speed(bench):
    """The machine was half as fast beside the peer; in turn both had the same machine."""
    report = bench.foreign_report
    ours = {"cpu_ms": 30.0, "reference_work": [0.1, 0.1]}
    theirs = {"cpu_ms": 60.0, "reference_work": [0.15, 0.25]}
    assert report.dearer(ours, theirs) == pytest.approx(1.0)
    turns = [["10:00", "10:01"], ["10:02", "10:03"]], [["10:01", "10:02"], ["10:03", "10:04"]]
    both = [row | {"turns": t} for row, t in zip((ours, theirs), turns, strict=True)]
    assert report.dearer(*both) == pytest.approx(0.5)
    assert report.dearer({"cpu_ms": 30.0}, theirs) == pytest.approx(0.5)  # not known


def test_the_lines_of_a_table_are_of_one_width(bench):
    text = bench.foreign_report.render(foreign_results(bench.foreign_report))
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_published_report_is_that_of_the_results(bench, program):
    module = getattr(bench, program)
    if not module.RESULTS.is_file():
        pytest.skip(f"{program}.py has not been run as a whole yet")
    report = getattr(bench, f"{program}_report")
    text = module.REPORT.read_text(encoding="utf-8")
    assert report.render(bench.attacks.record.stored(module.RESULTS)) == text
