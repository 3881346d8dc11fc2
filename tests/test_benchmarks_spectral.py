"""benchmarks/spectral.py: its peers compute what they claim, and its verdicts can fail."""

import copy
import importlib
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from course_lib import spectral

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """The modules of benchmarks/ that make SPECTRAL.md, and nothing of them left behind."""
    names = ("spectral", "spectral_report", "networks_report", "peers.sdp_crown")
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def committed():
    return json.loads((BENCHMARKS / "spectral.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("stride", [1, 2])
def test_the_peers(bench, stride):
    peers = bench["spectral"]
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, stride, 1, padding_mode="circular", dtype=torch.float64)
    truth = peers.dense_norm(layer, (3, 8, 8))
    assert peers.full_svd(layer, 8) == pytest.approx(truth, rel=1e-12)
    assert peers.full_svd(layer, 8, half=True) == pytest.approx(truth, rel=1e-12)
    few, many = (peers.gram_iteration(layer, 8, steps) for steps in (3, 8))
    assert truth * (1 - 1e-12) < many < few < 1.5 * truth
    assert many == pytest.approx(truth, rel=1e-2)
    reshaped = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
    assert peers.torch_spectral_norm(layer, 8) == pytest.approx(float(reshaped), rel=1e-6)
    padded = nn.Conv2d(3, 5, 3, stride, 1, dtype=torch.float64)
    truth = peers.dense_norm(padded, (3, 8, 8))
    assert peers.scipy_svds(padded, 8) == pytest.approx(truth, rel=1e-8)


def test_there_are_enough_small_cases(bench):
    for mode in ("circular", "zeros"):
        assert len({case for case, _, _ in bench["spectral"].small_cases(mode)}) >= 250


def test_the_sizes_are_those_of_table_5(bench):
    for mode in ("circular", "zeros"):
        layers = bench["spectral"].alexnet(mode)
        sizes = [spectral.layers.size_of(*case).text for case in layers.values()]
        assert sizes == [
            "3 x 11 x 11 x 96",
            "96 x 5 x 5 x 256",
            "256 x 3 x 3 x 384",
            "384 x 3 x 3 x 384",
            "384 x 3 x 3 x 256",
        ]
    assert sum(count for *_, count in bench["spectral"].resnet18()) == 20


@pytest.fixture(scope="module")
def networks():
    return json.loads((BENCHMARKS / "networks.json").read_text(encoding="utf-8"))


def test_the_report_is_that_of_the_results(bench, committed, networks):
    text = (BENCHMARKS / "SPECTRAL.md").read_text(encoding="utf-8")
    assert bench["spectral_report"].render(committed, networks) == text
    assert "Whole networks" in text
    assert "Whole networks" not in bench["spectral_report"].render(committed, {})


def word(lines, statement):
    (line,) = [line for line in lines if statement in line]
    return "Not met" not in line


CHANGES = [
    ("circular, float64", lambda f: f["accuracy"]["result"]["circular"].update(worst=1e-11)),
    ("circular, float64", lambda f: f["accuracy"]["result"]["circular"].update(cases=249)),
    ("float32 weights", lambda f: f["accuracy"]["result"]["circular"].update(worst_float32=1e-5)),
    ("zero padding, float64", lambda f: f["accuracy"]["result"]["zeros"].update(worst=1e-7)),
    ("is one in every", lambda f: f["accuracy"]["result"]["zeros"].update(upper_least=-1e-6)),
    (
        "at most half",
        lambda f: f["alexnet/ours"]["result"]["conv1"].update(seconds=math.inf),
    ),
    (
        "at most half",
        lambda f: f["alexnet/ours"]["result"]["conv2"].update(upper=2.0),
    ),
    ("bounded memory", lambda f: f["memory"]["result"].update({"ours, 96": 1e6})),
    ("ResNet-18", lambda f: f["resnet"]["result"]["total"].update(upper=1e3)),
    ("shortcuts are wrong", lambda f: f["wrong"]["result"][0].update(ours=1.0)),
]


@pytest.mark.parametrize(("statement", "change"), CHANGES)
def test_a_verdict_turns_when_its_figures_do(bench, committed, statement, change):
    verdicts = bench["spectral_report"].verdicts
    assert word(verdicts(committed), statement)
    changed = copy.deepcopy(committed)
    change(changed)
    assert not word(verdicts(changed), statement)


WEAK = {"sdp, after": 0.1, "local, after": 0.2, "box, after": 0.29}
OF_NETWORKS = [
    ("within 1.25", lambda f: f["ours/FC100-100-10-ReLU"]["result"]["descent"].update(log_lower=1)),
    ("CPU seconds", lambda f: f["deep/resnet18"]["result"].update(cpu_seconds=121)),
    ("any of three ways", lambda f: f["deep/resnet18"]["result"].update(jacobian=1e9)),
    ("of the same CPU time", lambda f: f["deep/resnet18"]["result"].update(other_slope=1.7)),
    ("No certificate", lambda f: f["radii/CONV"]["result"]["largest"].update({"sdp, after": 1.1})),
    ("the better of", lambda f: f["radii/CONV"]["result"]["median"].update(auto_LiRPA=0.4)),
    ("Aimed at: CONV, 0.3", lambda f: f["radii/CONV"]["result"].update(median=WEAK)),
    ("a factor of 10", lambda f: f["deep/resnet18"]["result"].update(log_sdp=16.0)),
]


@pytest.fixture
def with_deep(networks):
    """The results, and such of deep networks as there might be."""
    found = copy.deepcopy(networks)
    row = {"log_product": 16.0, "log_tight": 16.0, "log_sdp": 13.0, "log_lower": 0.5}
    row |= {"how": "", "cpu_seconds": 99.0, "load": 1.0, "jacobian": 1.5}
    row |= {"other_slope": 1.6, "search_seconds": 30.0}
    found["deep/resnet18"] = {"result": row, "at": ""}
    found["deep/vgg11"] = {"result": {"refused": "The layer 'a' cannot be bounded."}, "at": ""}
    medians = {"tight, before": 0.2, "sdp, after": 0.3, "local, after": 0.3, "box, after": 0.31}
    medians |= {"auto_LiRPA": 0.25}
    radii = {"images": 50, "median": medians, "largest": {"sdp, after": 0.9}}
    radii["cpu_seconds"] = {"before": 1.0, "after": 2.0}
    found["radii/CONV"] = {"result": radii, "at": ""}
    return found


def test_the_report_on_deep_networks(bench, with_deep):
    text = "\n".join(bench["networks_report"].parts(with_deep))
    assert "| vgg11 | The layer 'a' cannot be bounded. |" in text
    assert (
        "| resnet18 | 8.89e+06 | 8.89e+06 | 4.42e+05 | 20.1 | 1.65 | 1.6 | 1.5 | 99 | 30 |" in text
    )
    assert "| CONV | 0.200 | " in text


@pytest.mark.parametrize(("statement", "change"), OF_NETWORKS)
def test_a_verdict_on_networks_turns_when_its_figures_do(bench, with_deep, statement, change):
    networks = with_deep
    verdicts = bench["networks_report"].verdicts
    assert word(verdicts(networks), statement)
    changed = copy.deepcopy(networks)
    change(changed)
    assert not word(verdicts(changed), statement)


def test_a_peer_that_failed_says_why_and_one_below_a_slope_is_no_bound(bench, networks):
    changed = copy.deepcopy(networks)
    changed["eclipse/FC100-100-10"]["result"] = {"failed": "no reason given"}
    changed["bare/FC100-100-10"]["result"]["value"] = 1.0
    text = "\n".join(bench["networks_report"].zoo_table(changed))
    assert "did not run: no reason given" in text
    assert "below a slope that was found: no bound" in text


# --- SDP-CROWN's theorem -----------------------------------------------------------------------


def chain(*matrices) -> nn.Sequential:
    """ReLU between linear layers with these weights and no bias."""
    layers = []
    for matrix in matrices:
        weight = torch.tensor(matrix)
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = weight, torch.zeros(len(weight))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def propagated(sdp_crown, net, x, radius):
    layers = sdp_crown.chain_of(net)
    radii = torch.full((len(x),), radius).double()
    return sdp_crown.Propagation(layers, sdp_crown.norms_of(layers), x, radii)


def test_the_theorem_on_the_example_of_its_paper(bench):
    """Appendix B.3 of arXiv 2506.06665: -2 by bound propagation, -√2 by the theorem."""
    peer = bench["peers.sdp_crown"]
    net = chain([[0.0, 1], [1, 0]], [[-1.0, 1], [1, -1]], [[-1.0, -1]])
    ball = propagated(peer, net, torch.ones(1, 2).double(), 1.0)
    assert [float(rho) for rho in ball.rho[:2]] == pytest.approx([1.0, 2.0])
    found = peer.lower_bounds(ball, torch.ones(1, 1).double())
    assert float(found) == pytest.approx(-(2**0.5), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_theorem_bounds_what_is_found_on_the_ball(bench, seed):
    peer = bench["peers.sdp_crown"]
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 2))
    net = net.double()
    x, radius, c = torch.randn(4, 6).double(), 0.7, torch.tensor([[1.0, -1]]).double().expand(4, 2)
    bound = peer.lower_bounds(propagated(peer, net, x, radius), c, steps=60)
    away = torch.randn(20000, 1, 6).double()
    away = radius * away / away.norm(dim=2, keepdim=True)
    with torch.no_grad():
        truth = (net(x + away) * c).sum(2).amin(0)
    assert bool((bound <= truth).all())
    assert bool((truth - bound <= 3 * (net(x) * c).sum(1).sub(truth).abs() + 1).all())


def test_the_theorem_is_about_relu_between_linear_layers(bench):
    for net in (nn.Sequential(nn.Linear(3, 3), nn.Sigmoid()), nn.Sequential(nn.ReLU())):
        with pytest.raises(ValueError, match="linear layers with ReLU"):
            bench["peers.sdp_crown"].chain_of(net)
