"""Our attack beside its peers on networks that are no part of the course:
``python benchmarks/foreign.py``.

Networks for MNIST with other activations, layers and trainings (peers/foreign_nets.py), which the
command trains and keeps below storage.home(), and a network of 1000 classes for photographs
(peers/lite0.py), whose weights and pictures come from packages. Environments, workers, finished
cells and the judge are those of attacks.py.

    python benchmarks/foreign.py --fresh               everything anew: what is committed
    python benchmarks/foreign.py --networks gelu two --methods ours --images 30
    python benchmarks/foreign.py --finished            what peers have not finished is left out
    python benchmarks/foreign.py --report              FOREIGN.md again from foreign.json

A run of a part prints its table and leaves the committed files, foreign.json and FOREIGN.md, alone.
"""

import argparse
import json
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import attacks
import foreign_report
import numpy as np
import torch
from attacks import OURS, Method, advlib, both
from peers import foreign_nets, lite0

from course_lib import data, models, record, storage
from course_lib.data import Dataset
from course_lib.kept import digest
from course_lib.sourcecode import code_digest

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "foreign.json"
REPORT = HERE / "FOREIGN.md"
PHOTOGRAPHS = "photographs"  # the environment with the weights and the pictures of lite0.py
NETWORKS = (*foreign_nets.RECIPES, lite0.NAME)
IMAGES = 50
CW = {"binary_search_steps": 9, "max_iterations": 1000}

TURNS = 3  # of those whose times are compared
PAPER = Method(
    foreign_report.PAPER, OURS, "ours", "minimal", {"loss": "cross-entropy"}, runs=1, counted=8
)

METHODS = [
    *both(Method(foreign_report.OURS, OURS, "ours", "minimal", {}, runs=1, counted=8, turns=TURNS)),
    # the paper's loss attacks each of the 1000 classes in full
    *both(replace(PAPER, heavy=True)),
    *advlib(foreign_report.PDGD, "pdgd", {"num_steps": 500}),
    *advlib(foreign_report.ALMA, "alma", {"num_steps": 1000}, turns=TURNS),
    *advlib("DDN-1000", "ddn", {"steps": 1000, "levels": None}),
    *advlib("DDN-100", "ddn", {"steps": 100, "levels": None}),
    *advlib("CW 9x1000", "carlini_wagner_l2", CW, images=30, heavy=True),
    # without targets alone; a gradient for each of the 1000 classes at each step is too much
    advlib("SuperDeepFool", "sdf", {}, heavy=True)[1],
]

# --- the networks ----------------------------------------------------------------------------


def home() -> Path:
    """The folder of the trained networks and of the photographs."""
    return storage.home() / "foreign"


def foreign_net(name: str) -> torch.nn.Module:
    """The network called ``name`` for MNIST, trained if it is not there: on one thread, so that
    every run of this program on a machine gives the same."""
    twin = foreign_nets.twin(name)
    what = [twin, code_digest(Path(foreign_nets.__file__)), torch.__version__]
    path = home() / f"{twin}-{digest(what)[:16]}.pt"
    if not path.is_file():
        print(f"training {twin} ...", flush=True)
        train, threads = data.load_mnist("train", "cpu"), torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            net = foreign_nets.train(twin, train.images, train.labels)
        finally:
            torch.set_num_threads(threads)
        with storage.atomic(path) as part:
            torch.save(net.state_dict(), part)
    net = foreign_nets.built(name)
    net.load_state_dict(torch.load(path, weights_only=True))
    return net.eval().requires_grad_(False)


def network_file(name: str, net: torch.nn.Module) -> Path:
    """The file of ``net`` as peers/common.py reads it: the network's name, the code that builds
    it, and its weights."""
    of = Path((lite0 if name == lite0.NAME else foreign_nets).__file__)
    layers = json.dumps({"foreign": name, "code": code_digest(of)})
    state = {key: value.cpu().numpy() for key, value in net.state_dict().items()}
    return attacks.write_arrays({"layers": layers, **state})


def chosen_images(name: str, net: torch.nn.Module, n: int) -> dict[str, np.ndarray]:
    """The first ``n`` test images, in the order of seed 0, that ``net`` classifies rightly, with
    their classes, random other classes as targets, and rows."""
    shuffled = data.load_mnist("test", "cpu")
    shuffled = shuffled.sample(len(shuffled), seed=0)
    labels = foreign_nets.classes(name, shuffled.labels)
    rows = (models.predictions(net, shuffled.images) == labels).nonzero()[:n, 0]
    drawn, labels = shuffled[rows], labels[rows]
    return with_targets(drawn, labels, 2 if foreign_nets.RECIPES[name].two else 10)


def with_targets(drawn: Dataset, labels: torch.Tensor, classes: int) -> dict[str, np.ndarray]:
    """Images with their ``labels``, a random one of the other ``classes`` for each, and rows."""
    shift = torch.randint(1, classes, (len(labels),), generator=torch.Generator().manual_seed(0))
    return {
        "images": drawn.images.numpy(),
        "labels": labels.numpy(),
        "targets": ((labels + shift) % classes).numpy(),
        "index": drawn.index.numpy(),
    }


def photographs() -> tuple[torch.nn.Module, dict[str, np.ndarray]] | str:
    """EfficientNet-Lite0 and eight photographs; a sentence if the packages cannot be had."""
    failed = attacks.install(PHOTOGRAPHS)
    if failed:
        return failed
    script = Path(lite0.__file__)
    folder = home() / digest([code_digest(script), torch.__version__])[:16]
    if not (folder / "cases" / "lite0.npz").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = [attacks.python_of(PHOTOGRAPHS), script, folder]
        done = subprocess.run(command, env=attacks.one_thread(), capture_output=True, text=True)
        if done.returncode:
            return attacks.reason(done.stderr)
    with np.load(folder / "cases" / "lite0.npz") as stored:
        return lite0.load(folder), {key: stored[key] for key in stored.files}


def measure_network(name: str, chosen: list[Method], options, failures: dict) -> dict:
    """Measure the ``chosen`` methods on one network, and sum up all that is known of it."""
    methods = METHODS
    if name == lite0.NAME:
        # a run takes minutes there, over which the machine's speed evens out; counting takes more
        methods, chosen = (
            [replace(m, turns=1, counted=min(m.counted, 2)) for m in some]
            for some in (METHODS, chosen)
        )
        found = photographs()
        if isinstance(found, str):
            print(f"{name}: {found}", flush=True)
            rows = {m.name: {"failed": found, "targeted": m.targeted} for m in methods}
            return {"n": 0, "least": {}, "rows": rows}
        net, images = found
        about = {"right": None, "pixels": images["images"][0].size}
    else:
        net, test = foreign_net(name), data.load_mnist("test", "cpu")
        images = chosen_images(name, net, options.images)
        right = models.predictions(net, test.images) == foreign_nets.classes(name, test.labels)
        about = {"right": float(right.double().mean()), "pixels": 784}
    file = network_file(name, net)
    return about | attacks.measure_methods(
        name, net, file, images, methods, chosen, options, failures
    )


# --- the command -----------------------------------------------------------------------------


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; SystemExit with a sentence for what it cannot be."""
    parser = argparse.ArgumentParser(description=__doc__.split(":\n")[0])
    add = parser.add_argument
    add("--networks", nargs="+", choices=NETWORKS, metavar="NAME", help=", ".join(NETWORKS))
    add("--methods", nargs="+", metavar="START", help="methods whose names begin so, e.g. ours")
    add("--images", type=record.positive, help=f"at most so many images (default: {IMAGES})")
    add("--fresh", action="store_true", help="measure again what was finished before")
    add("--finished", action="store_true", help="write what is finished; measure nothing of peers")
    add("--report", action="store_true", help="only write FOREIGN.md again from foreign.json")
    options = parser.parse_args(arguments)
    options.whole = not any((options.networks, options.methods, options.images))
    if options.finished:
        options.methods = ["ours"]
    options.networks = options.networks or list(NETWORKS)
    options.images, options.runs = options.images or IMAGES, 1
    try:
        attacks.pick_methods(options.methods, METHODS)
    except ValueError as error:
        parser.error(str(error))
    if options.report and not RESULTS.is_file():
        parser.error("there is no foreign.json to report on: run the command without --report")
    return options


def main() -> None:
    """Measure what the command line asks for; write the results and their report."""
    options = parse()
    options.since = time.time() if options.fresh else 0.0
    if options.report:
        storage.write_text(REPORT, foreign_report.render(record.stored(RESULTS)))
        return
    began = datetime.now(UTC).isoformat(timespec="seconds")
    found = {"machine": attacks.machine(), "began": began, "fresh": options.fresh}
    chosen = attacks.pick_methods(options.methods, METHODS)
    failures = {e: attacks.install(e, options.fresh) for e in {m.environment for m in METHODS}}
    found["networks"] = {
        name: measure_network(name, chosen, options, failures) for name in options.networks
    }
    found["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
    text = foreign_report.render(found)
    if options.whole:
        storage.write_text(RESULTS, json.dumps(found, indent=1) + "\n")
        storage.write_text(REPORT, text)
    else:
        print(text)


if __name__ == "__main__":
    record.run(main)
