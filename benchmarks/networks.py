"""Bounds of whole networks beside their peers', in one run: ``python benchmarks/networks.py``.

Fully connected networks of the zoo beside eclipse-nn and LipSDP by cvxpy and SCS, which run in an
environment of their own (peers/requirements-bounds.txt); what a peer calls a bound and is none; and
deep networks with random weights (torch's, seed 0), where a power iteration with exact Jacobians
and another ascent, of the same CPU time as ours, look for a slope above a bound, and above ours.
Certified radii of the zoo beside SDP-CROWN's and auto_LiRPA's. CPU seconds of one thread. Finished
parts are kept (:mod:`course_lib.kept`); the results are networks.json and, with those of
spectral.py, SPECTRAL.md.

    python benchmarks/networks.py                   what is missing
    python benchmarks/networks.py --parts deep/resnet18   some parts only
    python benchmarks/networks.py --lirpa PYTHON    with auto_LiRPA, see peers/lirpa_worker.py
    python benchmarks/networks.py --fresh           everything anew
"""

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
from pathlib import Path

import attacks as peers
import spectral as layers
import torch
from peers import sdp_crown
from torch import nn

from course_lib import attacks, models, record, spectral, storage, zoo
from course_lib.kept import Kept
from course_lib.spectral import ascent, graph, lipsdp
from course_lib.spectral.bounds import NetworkBounds

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "networks.json"
ZOO = ("FC100-100-10-ReLU", "FC100-100-10")
DEEP = ("resnet18", "squeezenet1_1", "mobilenet_v2", "vgg11", "densenet121", "EfficientNet-Lite0")
ROUNDS = 12  # of the power iteration on a deep network's Jacobian
RATE = 0.02  # of Adam, in the ascent beside ours
TOLERANCES = (1e-3, 1e-4)  # of SCS
IMAGES, BISECTIONS = 50, 12  # of the certificates; for auto_LiRPA
BEFORE = ("tight", "local", "box")


def figures(found: spectral.Lipschitz, seconds: float) -> dict:
    """What is kept of our bounds."""
    return {
        "log_product": found.log_product,
        "log_tight": found.log_tight,
        "log_sdp": found.log_sdp,
        "log_lower": found.log_lower,
        "how": found.how_sdp,
        "cpu_seconds": seconds,
        "load": os.getloadavg()[0],
    }


def ours(net: nn.Module, shape, **settings) -> dict:
    began = time.process_time()
    found = spectral.lipschitz(net, shape, **settings)
    return figures(found, time.process_time() - began)


def by_worker(python, script: str, net: nn.Module, **told) -> dict:
    """What a worker of peers/ answers, run by ``python`` on a job of ``told`` and the file of
    ``net``; ``failed``, a sentence, if it did not run."""
    with tempfile.TemporaryDirectory() as folder:
        job, answer = Path(folder) / "job.json", Path(folder) / "answer.json"
        told |= {"net": str(peers.network_file(net)), "answer": str(answer)}
        job.write_text(json.dumps(told), encoding="utf-8")
        worker = [python, peers.PEERS / script, job]
        done = subprocess.run(worker, env=peers.one_thread(), capture_output=True, text=True)
        if done.returncode:
            return {"failed": peers.reason(done.stderr)}
        return json.loads(answer.read_text(encoding="utf-8"))


# --- fully connected networks, and their peers ----------------------------------------------------


def of_zoo(name: str) -> dict:
    """Our bounds of a network of the zoo, in closed form and by descent."""
    net = zoo.load(name, device="cpu")
    return {
        "closed": ours(net, (1, 28, 28)),
        "descent": ours(net, (1, 28, 28), descent=True),
    }


def of_peer(name: str, method: str, settings: dict) -> dict:
    """A peer's value, as its worker gives it; ``failed`` if it did not run. What multipliers prove
    is told beside what the solver said."""
    failed = peers.install("bounds")
    if failed:
        return {"failed": failed}
    net = zoo.load(name, device="cpu")
    python = peers.python_of("bounds")
    found = by_worker(python, "bounds_worker.py", net, method=method, settings=settings)
    if multipliers := found.pop("multipliers", None):
        chain = lipsdp.layered(NetworkBounds(graph.read(net, (1, 28, 28)).steps))
        log = lipsdp.proven(chain, [torch.tensor(t).double() for t in multipliers])
        found["proven"] = math.exp(log) if math.isfinite(log) else None
    return found


# --- certificates ---------------------------------------------------------------------------------


def name_of(method: str) -> str:
    """Of a certificate, with or without multipliers: "sdp-box" is the one of "box"."""
    return method.removeprefix("sdp-")


def certificates(name: str, lirpa: str | None = None) -> dict:
    """Certified radii of some test images over the distance of the nearest mistake found: before
    and after each pair of classes has multipliers of its own, by SDP-CROWN's theorem where it holds
    (ReLU between linear layers), and by auto_LiRPA's CROWN on L2 balls. lirpa: an interpreter in
    which that can be imported."""
    net = zoo.load(name, device="cpu")
    arrays = peers.chosen_images(net, "test", IMAGES)
    images, labels = (torch.from_numpy(arrays[key]) for key in ("images", "labels"))
    began = time.process_time()
    nearest = attacks.minimal_adversarial(net, images, labels=labels)
    distance = nearest.l2.double()
    found = {"images": len(images), "attack_cpu_seconds": time.process_time() - began}
    rows, seconds = {}, {}
    for when, methods in (("before", BEFORE), ("after", spectral.certificates.SLOW)):
        began = time.process_time()
        radii = spectral.certified_radii(net, images, labels, methods)
        seconds[when] = time.process_time() - began
        rows |= {f"{name_of(method)}, {when}": radii[method].double() for method in methods}
    largest = float(distance.max())
    began = time.process_time()
    try:
        rows["SDP-CROWN"] = sdp_crown.radii(net, images, labels, largest, BISECTIONS)
        seconds["SDP-CROWN"] = time.process_time() - began
    except ValueError as error:
        found["refused"] = {"SDP-CROWN": str(error)}
    if lirpa:
        told = {"images": str(peers.write_arrays(arrays)), "largest": largest}
        told |= {"bisections": BISECTIONS}
        found["lirpa"] = by_worker(lirpa, "lirpa_worker.py", net, **told)
        if "radii" in found["lirpa"]:
            rows["auto_LiRPA"] = torch.tensor(found["lirpa"].pop("radii")).double()
    ratios = {key: (radii / distance)[nearest.success] for key, radii in rows.items()}
    found["median"] = {key: float(ratio.median()) for key, ratio in ratios.items()}
    found["largest"] = {key: float(ratio.max()) for key, ratio in ratios.items()}
    return found | {"cpu_seconds": seconds}


# --- deep networks --------------------------------------------------------------------------------


def deep_network(name: str) -> nn.Module:
    if name == "EfficientNet-Lite0":
        from course_lib import imagenet

        return imagenet.load(device="cpu")
    import torchvision

    torch.manual_seed(0)
    return getattr(torchvision.models, name)(weights=None).eval()


def jacobian_slope(net: nn.Module, shape, rounds: int = ROUNDS, seed: int = 1) -> float:
    """The largest norm |J v| of a unit vector v found at a random image, by power iteration with
    exact products with the Jacobian J and its transpose, in float64: none may be above a bound."""
    rng = torch.Generator().manual_seed(seed)
    net = net.double()
    x = torch.rand(1, *shape, generator=rng, dtype=torch.float64)
    v = torch.randn(1, *shape, generator=rng, dtype=torch.float64)
    best = 0.0
    for _ in range(rounds):
        v = v / v.norm()
        _, forward = torch.autograd.functional.jvp(net, x, v)
        best = max(best, float(forward.norm()))
        _, v = torch.autograd.functional.vjp(net, x, forward)
        if not v.any():
            break
    return best


def other_ascent(net: nn.Module, shape, seconds: float, seed: int = 2) -> float:
    """The largest slope that Adam finds from one random image and direction in as many CPU seconds:
    of (f(x + h v) - f(x - h v)) / 2h, in float32 with a falling h, the best one in float64."""
    rng = torch.Generator().manual_seed(seed)
    x, v = torch.rand(1, *shape, generator=rng), torch.randn(1, *shape, generator=rng)
    size = x.numel() ** 0.5
    optimiser = torch.optim.Adam([x.requires_grad_(), v.requires_grad_()], lr=RATE)

    def slope(f, x, v, h):
        both = f(torch.cat([x + h * v / v.norm(), x - h * v / v.norm()]))
        return (both[0] - both[1]).norm() / (2 * h)

    single, best, found = net.float(), 0.0, None
    began = time.process_time()
    while (passed := (time.process_time() - began) / seconds) < 1:
        h = 0.03 * size * 0.01**passed
        value = slope(single, x, v, h)
        if float(value) > best:
            best, found = float(value), (x.detach().double(), v.detach().double(), h)
        optimiser.zero_grad()
        (-value.log()).backward()
        optimiser.step()
    with torch.no_grad():
        return float(slope(net.double(), *found))


def of_deep(name: str) -> dict:
    """Our bounds of a deep network, and slopes found by other ways."""
    net, shape = deep_network(name).requires_grad_(False), (3, 224, 224)
    try:
        found = ours(net, shape)
        steps = graph.read(net, shape).steps
    except ValueError as error:
        return {"refused": str(error)}
    began = time.process_time()
    ascent.largest_slope(steps)
    found["search_seconds"] = time.process_time() - began
    found["other_slope"] = other_ascent(net, shape, found["search_seconds"])
    return found | {"jacobian": jacobian_slope(net, shape)}


# --- the run --------------------------------------------------------------------------------------

PARTS = {
    **{f"ours/{name}": (of_zoo, name) for name in ZOO},
    **{f"eclipse/{name}": (of_peer, name, "eclipse", {"bare": False}) for name in ZOO},
    **{f"bare/{name}": (of_peer, name, "eclipse", {"bare": True}) for name in ZOO},
    **{
        f"scs {tolerance:g}/{name}": (of_peer, name, "lipsdp", {"tolerance": tolerance})
        for tolerance in TOLERANCES
        for name in ZOO
    },
    "silu": (of_peer, ZOO[0], "silu", {}),
    **{f"deep/{name}": (of_deep, name) for name in DEEP},
    **{f"radii/{name}": (certificates, name) for name in models.NETWORKS},
}


def main() -> None:
    """Measure what is asked for and not yet measured, and write the results and the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="forget the parts that are finished")
    parser.add_argument("--parts", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--lirpa", metavar="PYTHON", help="an interpreter that can import auto_LiRPA"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept("networks", options.fresh)
    done = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in options.parts or PARTS:
        print(name, flush=True)
        aside = {"lirpa": options.lirpa} if name.startswith("radii/") else {}
        done[name] = {"result": kept.get(*PARTS[name], **aside), "at": layers.now()}
        print(f"  {done[name]['result']}", flush=True)
        done["machine"] = record.machine()
        ordered = {key: done[key] for key in ("machine", *PARTS) if key in done}
        storage.write_text(RESULTS, json.dumps(ordered, indent=1) + "\n")
    layers.report()


if __name__ == "__main__":
    record.run(main)
