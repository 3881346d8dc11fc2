"""Our attack beside its peers, in one run: ``python benchmarks/attacks.py``.

Every method gets the same networks, images and targets, one thread, and a process of its own, in
which the attack alone is timed: CPU seconds, child processes counted, not imports or loading.
One judge looks at all results again. The peers live in virtual environments that the command makes
below storage.home() (they are no part of the course); one that cannot be installed gets a row that
says why. What is finished is kept there too, under a key of everything that decides it, so that an
interrupted run goes on where it stopped, and a change of ours leaves the peers' results alone. Not
by course_lib.kept.Kept, since processes without the course write the files, and since --fresh with
some of the methods must not forget the hours of the others; but by its digests.

    python benchmarks/attacks.py --fresh               everything anew: what is committed
    python benchmarks/attacks.py --methods ours --networks CONV --images 50 --runs 1
    python benchmarks/attacks.py --report              ATTACKS.md again from attacks.json
    python benchmarks/attacks.py --device cuda         images per second on a GPU and on the CPU

A run of a part prints its table and leaves the committed files, attacks.json and ATTACKS.md, alone.
"""

import argparse
import copy
import dataclasses
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import attacks_report
import numpy as np
import torch
from torch import nn

from course_lib import data, models, record, storage, zoo
from course_lib import device as devices
from course_lib.attacks import linear, measures
from course_lib.kept import digest, set_aside
from course_lib.sourcecode import code_digest

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
RESULTS = HERE / "attacks.json"
REPORT = HERE / "ATTACKS.md"
DEVICE_RESULTS = HERE / "attacks_device.json"
ON_DEVICE = ("FC100-100-10", "CONV")
NETWORKS = ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)", "FC100-100-10", "AE400-10", "CONV")
ENVIRONMENTS = ("modern", "foolbox2", "advertorch", "cleverhans")
OURS = "course"  # the environment that this file runs in
BOX_TOLERANCE = 1e-6
HEAVY = "left out: on this network it takes longer than all the rest"
HEAVY_NETWORKS = ("CONV", "EfficientNet-Lite0")


@dataclasses.dataclass(frozen=True)
class Method:
    """One attack as it is called: which environment and worker, and with what.

    images: at most so many (fewer where it is slow); runs: timed runs, whose median counts;
    counted: images of the run that counts gradients; heavy: left out on :data:`HEAVY_NETWORKS`,
    where it would take longer than all the rest together. turns: of more than one, each is timed in
    a process of its own, one turn of all such methods of a network after the other, and all their
    runs count: for two times that are compared, as a machine's speed changes from minute to minute
    and from process to process.
    """

    name: str
    environment: str
    worker: str
    attack: str
    settings: dict
    targeted: bool = True
    images: int = 200
    runs: int = 3
    counted: int = 200
    heavy: bool = False
    turns: int = 1


def both(method: Method) -> list[Method]:
    """``method``, and the same without a target."""
    return [method, dataclasses.replace(method, name=f"{method.name}, any", targeted=False)]


def advlib(name: str, attack: str, settings: dict, **more) -> list[Method]:
    """An attack of adv-lib, with a target and without, in one run. What it takes is counted on few
    images: it is the same for each, but for SuperDeepFool."""
    about = {"runs": 1, "counted": 2} | more
    return both(Method(name, "modern", "advlib", attack, settings, **about))


# 150 iterations a solve as in foolbox 2; smooth losses need fewer, rectified ones never end
EIGHT = {"bisections": 8, "maxiter": 150}
FAITHFUL = {"loss": "cross-entropy", "norm": "squared"}
TIGHT = {"bisections": 20, "factr": 10.0, "pgtol": 1e-9, "maxiter": 300, "maxfun": 1000}
CW = {"binary_search_steps": 9, "steps": 1000}
SLOW = {"images": 25, "runs": 1, "counted": 5}

METHODS = [
    Method("ours, faithful", OURS, "ours", "minimal", FAITHFUL),
    *both(Method("ours, best", OURS, "ours", "minimal", {})),
    Method("SciPy, 8 bisections", OURS, "scipy", "lbfgsb", EIGHT, images=100, runs=1, counted=5),
    Method("SciPy, tight", OURS, "scipy", "lbfgsb", TIGHT, images=100, runs=1, counted=5),
    Method("foolbox 2 LBFGS", "foolbox2", "foolbox2", "lbfgs", {}, **SLOW, heavy=True),
    Method("advertorch LBFGS", "advertorch", "advertorch", "lbfgs", {}, **SLOW, heavy=True),
    Method("cleverhans LBFGS", "cleverhans", "cleverhans", "lbfgs", {}, **SLOW),
    *both(Method("foolbox CW 9x1000", "modern", "foolbox3", "L2CarliniWagnerAttack", CW, **SLOW)),
    *both(Method("foolbox DDN-100", "modern", "foolbox3", "DDNAttack", {"steps": 100})),
    Method(
        "foolbox DDN-1000", "modern", "foolbox3", "DDNAttack", {"steps": 1000}, runs=1, heavy=True
    ),
    *both(Method("adv-lib PDGD-500", "modern", "advlib", "pdgd", {"num_steps": 500}, runs=1)),
    *both(Method("adv-lib ALMA-1000", "modern", "advlib", "alma", {"num_steps": 1000}, runs=1)),
    *both(Method("adv-lib ALMA-100", "modern", "advlib", "alma", {"num_steps": 100})),
    Method(
        "torchattacks CW-1000",
        "modern",
        "torchattacks",
        "CW",
        {"c": 1, "steps": 1000, "lr": 0.01},
        runs=1,
        heavy=True,
    ),
    Method("ART CW, default", "modern", "art", "CarliniL2Method", {}, **SLOW, heavy=True),
    Method("foolbox DeepFool, any", "modern", "foolbox3", "L2DeepFoolAttack", {}, targeted=False),
]


# --- networks and images as files ------------------------------------------------------------


def home() -> Path:
    """The folder of the peers' environments and of finished results."""
    return storage.home() / "peers"


def layers(net: nn.Sequential) -> list[list]:
    """The layers of a network of the zoo as peers/common.py reads them: [name, kind, *sizes].

    Raises TypeError for a layer that a plain definition does not know.
    """
    found = []
    for name, layer in net.named_children():
        if isinstance(layer, nn.Linear):
            found.append([name, "linear", layer.in_features, layer.out_features])
        elif isinstance(layer, nn.Conv2d):
            sizes = [layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.padding[0]]
            found.append([name, "conv", *sizes])
        elif isinstance(layer, nn.MaxPool2d):
            found.append([name, "pool", layer.kernel_size])
        elif type(layer) in (nn.Flatten, nn.Sigmoid, nn.ReLU):
            found.append([name, type(layer).__name__.lower()])
        else:
            raise TypeError(f"The workers know no layer of the kind {type(layer).__name__}.")
    return found


def chosen_images(net: nn.Module, part: str, n: int) -> dict[str, np.ndarray]:
    """The first ``n`` images of ``part``, in the order of seed 0, that ``net`` classifies rightly,
    with their labels, recorded targets and rows."""
    dataset = data.load_mnist(part, "cpu")
    shuffled = dataset.sample(len(dataset), seed=0)
    right = models.predictions(net, shuffled.images) == shuffled.labels
    drawn = shuffled[right.nonzero()[:n, 0]]
    return {
        "images": drawn.images.numpy(),
        "labels": drawn.labels.numpy(),
        "targets": measures.recorded_targets(drawn).cpu().numpy(),
        "index": drawn.index.numpy(),
    }


def write_arrays(arrays: dict) -> Path:
    """``arrays`` in a file named after their contents; written once."""
    total = hashlib.sha256()
    for key in sorted(arrays):
        value = np.asarray(arrays[key])
        total.update(f"{key} {value.dtype} {value.shape}".encode() + value.tobytes())
    path = home() / "data" / f"{total.hexdigest()[:16]}.npz"
    if not path.is_file():
        with storage.atomic(path) as part, open(part, "wb") as file:
            np.savez(file, **arrays)
    return path


def network_file(net: nn.Sequential) -> Path:
    """The file of ``net``: what its layers are, and its weights."""
    state = {key: value.cpu().numpy() for key, value in net.state_dict().items()}
    return write_arrays({"layers": json.dumps(layers(net)), **state})


# --- environments ----------------------------------------------------------------------------


def requirements(environment: str) -> Path:
    """The file that lists what the environment called ``environment`` consists of."""
    return PEERS / f"requirements-{environment}.txt"


def python_of(environment: str) -> Path:
    """The interpreter of an environment; the one that runs this file for ours."""
    if environment == OURS:
        return Path(sys.executable)
    folder = home() / "environments" / environment
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def reason(output: str) -> str:
    """The line of pip's ``output`` that says what went wrong, without addresses and paths."""
    lines = [line.strip() for line in output.splitlines() if "WARNING" not in line]
    wanted = ("No matching distribution", "Could not find a version", "Error:", "ERROR:")
    found = next((line for mark in wanted for line in lines if mark in line), "no reason given")
    plain = re.sub(r"\S*(://|/)\S+", "...", found.removeprefix("ERROR:").strip())
    return plain if len(plain) <= 160 else plain[:157] + "..."


def install(environment: str, fresh: bool = False) -> str | None:
    """Make an environment if it is not there; None if it works, else a sentence that says why not.

    It sees the packages of ours behind its own, so that everybody computes with the same torch.
    """
    if environment == OURS:
        return None
    python, wanted = python_of(environment), requirements(environment).read_text(encoding="utf-8")
    folder = home() / "environments" / environment
    stamp = folder / "installed.json"
    if stamp.is_file():
        known = json.loads(stamp.read_text(encoding="utf-8"))
        if known["requirements"] == wanted and not (fresh and known["failed"]):
            return known["failed"]
    print(f"making the environment {environment} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    packages = next(folder.glob("**/site-packages"))
    (packages / "course.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    # adv-lib's visdom is built by a setup.py that needs the pkg_resources of an older setuptools
    constraint = {"PIP_CONSTRAINT": str(PEERS / "constraints-build.txt")}
    pip = [python, "-m", "pip", "install", "-r", requirements(environment)]
    done = subprocess.run(pip, env=os.environ | constraint, capture_output=True, text=True)
    failed = reason(done.stdout + done.stderr) if done.returncode else None
    storage.write_text(stamp, json.dumps({"requirements": wanted, "failed": failed}))
    return failed


# --- cells: one method on one network --------------------------------------------------------


def sources(method: Method) -> str:
    """A digest of the code that ``method`` runs, as far as it is in this repository, and of what
    its environment is made of: a change of ours leaves the peers' results alone."""
    worker = PEERS / f"{method.worker}_worker.py"
    code = [code_digest(worker)] if worker.is_file() else []
    if method.environment != OURS and requirements(method.environment).is_file():
        code.append(storage.sha256(requirements(method.environment)))
    return digest(code)


def job_of(method: Method, network: Path, images: Path, n: int, runs: int, turn: int = 0) -> dict:
    """What the worker is told, and a key of all that decides its answer. turn: 0 for the first;
    the later ones are told apart by it."""
    job = {
        "network": str(network),
        "images": str(images),
        "n": min(n, method.images),
        "attack": method.attack,
        "settings": method.settings,
        "targeted": method.targeted,
        "runs": min(runs, method.runs),
        "counted": method.counted,
    }
    what = job | {"network": network.name, "images": images.name, "code": sources(method)}
    what |= {"worker": method.worker, "torch": torch.__version__}
    if turn:
        what |= {"turn": turn}
    return job | {"out": str(home() / "cells" / f"{digest(what)[:16]}.npz")}


def one_thread() -> dict[str, str]:
    """The environment of a worker: one thread for every library, no GPU."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    quiet = {"CUDA_VISIBLE_DEVICES": "", "COURSE_DEVICE": "cpu", "TQDM_DISABLE": "1"}
    return os.environ | dict.fromkeys(names, "1") | quiet


def tell_worker(job: dict) -> Path:
    """The file that tells a worker its job."""
    told = Path(job["out"]).with_suffix(".json")
    told.parent.mkdir(parents=True, exist_ok=True)
    storage.write_text(told, json.dumps(job))
    return told


def is_open(job: dict, since: float) -> bool:
    """Whether there is no answer to ``job`` yet, or only one from before ``since``."""
    out = Path(job["out"])
    return not out.is_file() or out.stat().st_mtime < since


def work_ahead(method: Method, jobs: list[dict], since: float) -> None:
    """Do the open ones of several ``jobs`` of one method, which imports what it needs only once.

    Nothing is said of those that fail: they stay open, and whoever does them alone learns why.
    """
    told = [tell_worker(job) for job in jobs if is_open(job, since)]
    if len(told) > 1 and hasattr(os, "fork"):
        worker = PEERS / f"{method.worker}_worker.py"
        command = [python_of(method.environment), PEERS / "series.py", worker, *told]
        subprocess.run(command, env=one_thread(), capture_output=True)


def by_worker(methods: list[Method]) -> list[list[Method]]:
    """The ``methods`` that one worker does, together."""
    several: dict[tuple[str, str], list[Method]] = {}
    for method in methods:
        several.setdefault((method.environment, method.worker), []).append(method)
    return list(several.values())


STOPPED = attacks_report.STOPPED


def work(method: Method, job: dict) -> str | None:
    """Run a worker to the end; None, or a sentence that says why it failed."""
    command = [
        python_of(method.environment),
        PEERS / f"{method.worker}_worker.py",
        tell_worker(job),
    ]
    done = subprocess.run(command, env=one_thread(), capture_output=True, text=True)
    if done.returncode < 0:
        return f"{STOPPED}, by signal {-done.returncode}"
    return reason(done.stderr) if done.returncode else None


def read_cell(path: Path) -> dict | None:
    """The answer of a worker: its figures, with the adversarial images; None, and the file is set
    aside, if it is damaged."""
    try:
        with np.load(path) as stored:
            return json.loads(str(stored["found"])) | {"adversarial": stored["adversarial"]}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        set_aside(path, error)
        return None


# --- the judge -------------------------------------------------------------------------------


@torch.no_grad()
def judge(net: nn.Module, images: dict, adversarial: np.ndarray, targeted: bool) -> dict:
    """Every method's results are looked at by this and nothing else.

    Per image: ``l2`` in float64; ``success``: the wanted class in the precision in which the result
    came, and inside [0, 1] within 1e-6; ``robust``: so in float64, in float32 in one batch, and in
    float32 one by one. ``net`` is a float32 network on the CPU.
    """
    n = len(adversarial)
    x, labels, targets = (torch.from_numpy(images[k][:n]) for k in ("images", "labels", "targets"))
    z = torch.from_numpy(adversarial).reshape(x.shape)
    single = z.float()
    given = {
        "float64": copy.deepcopy(net).double()(z.double()).argmax(1),
        "float32": net(single).argmax(1),
        "single": torch.cat([net(row).argmax(1) for row in single.split(1)]),
    }
    there = {key: (p == targets) if targeted else (p != labels) for key, p in given.items()}
    wide = z.double().flatten(1)
    inside = (wide.amin(1) >= -BOX_TOLERANCE) & (wide.amax(1) <= 1 + BOX_TOLERANCE)
    own = "float64" if adversarial.dtype == np.float64 else "float32"
    return {
        "l2": (wide - x.double().flatten(1)).norm(dim=1).numpy(),
        "success": (there[own] & inside).numpy(),
        "robust": (there["float64"] & there["float32"] & there["single"] & inside).numpy(),
    }


def known_best(judged: dict[str, dict], exact: np.ndarray | None, n: int) -> np.ndarray:
    """The smallest L2 known for each of ``n`` images: the exact one, or the nearest success."""
    if exact is not None:
        return exact[:n]
    best = np.full(n, np.inf)
    for found in judged.values():
        rows = len(found["l2"])
        best[:rows] = np.minimum(best[:rows], np.where(found["success"], found["l2"], np.inf))
    return best


def exact_l2(net: nn.Module, images: dict, targeted: bool) -> np.ndarray | None:
    """The exact minima of a linear network, (N,) L2; None for another."""
    if sum(1 for _ in net.parameters()) != 2:
        return None
    x, labels, targets = (torch.from_numpy(images[k]) for k in ("images", "labels", "targets"))
    found = linear.exact_minimum(net, x, targets if targeted else None, labels)
    return found.l2.cpu().numpy()


def summary(found: dict, cell: dict, best: np.ndarray, others: dict[str, dict]) -> dict:
    """The figures of one row: of the successes, and beside each other method on the images where
    both succeed. No success: no distances."""
    ok, n = found["success"], len(found["l2"])
    row = {
        "n": n,
        "success": float(ok.mean()),
        "robust": float(found["robust"].mean()),
        "cpu_ms": 1000 * statistics.median(cell["cpu"]) / n,
        "cpu_ms_runs": [round(1000 * seconds / n, 4) for seconds in cell["cpu"]],
        **{key: cell[key] for key in ("forward", "gradients", "counted", "peak_mib")},
        **{key: cell[key] for key in ("began", "ended", "load", "reference_work", "version")},
    }
    if "turns" in cell:
        row["turns"] = cell["turns"]
    if not ok.any():
        return row
    l2, least = found["l2"][ok], best[:n][ok]
    row |= {"l2_mean": float(l2.mean()), "l2_median": float(np.median(l2))}
    row |= {"above_best": float(l2.mean() / least.mean() - 1)}
    row |= {"worst": float((l2 / least).max() - 1), "beside": {}}
    for name, other in others.items():
        m = min(n, len(other["l2"]))
        common = ok[:m] & other["success"][:m]
        if common.any():
            pair = found["l2"][:m][common], other["l2"][:m][common]
            row["beside"][name] = {
                "n": int(common.sum()),
                "mean": float(pair[0].mean() / pair[1].mean() - 1),
                "median": float(np.median(pair[0]) / np.median(pair[1]) - 1),
            }
    return row


# --- the table -------------------------------------------------------------------------------


def tell(network: str, method: Method, found: dict, cell: dict) -> None:
    """One line on the screen."""
    ok, n = found["success"], len(found["l2"])
    mean = found["l2"][ok].mean() if ok.any() else float("nan")
    print(
        f"{network:13s} {method.name:26s} n {n:4d}  success {ok.mean():7.1%}  "
        f"robust {found['robust'].mean():7.1%}  mean L2 {mean:.4f}  "
        f"CPU {1000 * statistics.median(cell['cpu']) / n:8.2f} ms an image  "
        f"{cell['gradients']:6.0f} gradients",
        flush=True,
    )


def cell_of(method: Method, job: dict, chosen: bool, options, failures: dict):
    """The finished answer of ``method``; a sentence if it failed; None if it was not to be run.

    With --fresh an answer from before this command does not count. That a method failed is an
    answer, too, and kept; whoever wants it run finds out anew.
    """
    out = Path(job["out"])
    failed = out.with_suffix(".failed")
    if not is_open(job, options.since if chosen else 0.0):
        found = read_cell(out)
        if found:
            return found
    if not chosen:
        return failed.read_text(encoding="utf-8") if failed.is_file() else None
    why = failures[method.environment]
    if why:
        return why
    failed.unlink(missing_ok=True)
    why = work(method, job)
    if why and STOPPED not in why:
        storage.write_text(failed, why)
    return why or read_cell(out)


def measure_network(name: str, chosen: list[Method], options, failures: dict) -> dict:
    """Measure the ``chosen`` methods on one network of the zoo, and sum up all that is known."""
    net = zoo.load(name, 0, "cpu", progress=False)
    images = chosen_images(net, "test", options.images)
    return measure_methods(name, net, network_file(net), images, METHODS, chosen, options, failures)


def measure_methods(
    name: str, net, network: Path, images: dict, methods: list, chosen: list, options, failures
) -> dict:
    """Measure the ``chosen`` among ``methods`` on ``net``, whose file is ``network``, and sum up
    all that is known of it."""
    files = network, write_arrays(images)
    judged, cells = {}, {}
    n = min(options.images, len(images["labels"]))  # fewer than asked for, where there are no more
    left_out = [m for m in methods if m.heavy and name in HEAVY_NETWORKS]
    rows = {m.name: {"failed": HEAVY, "targeted": m.targeted} for m in left_out}
    for turn in range(max((m.turns for m in methods), default=1)):
        here = [m for m in methods if m not in left_out and turn < m.turns]
        here = here if not turn else [m for m in here if m.name in cells]
        jobs = {m.name: job_of(m, *files, n, options.runs, turn) for m in here}
        for several in by_worker([m for m in here if m in chosen and not failures[m.environment]]):
            work_ahead(several[0], [jobs[m.name] for m in several], options.since)
        for method in here:
            cell = cell_of(method, jobs[method.name], method in chosen, options, failures)
            if isinstance(cell, str):
                print(f"{name:13s} {method.name:26s} turn {turn + 1}: {cell}", flush=True)
                if not turn:
                    rows[method.name] = {"failed": cell, "targeted": method.targeted}
            elif cell and turn:
                cells[method.name] = with_turn(cells[method.name], cell)
            elif cell:
                found = judge(net, images, cell["adversarial"], method.targeted)
                judged[method.name], cells[method.name] = found, cell
                tell(name, method, found, cell)
    least = {}
    for targeted in (True, False):
        wanted = [m.name for m in methods if m.targeted == targeted and m.name in judged]
        if not wanted:
            continue
        group = {key: judged[key] for key in wanted}
        exact = exact_l2(net, images, targeted)
        best = known_best(group, exact, len(images["labels"]))
        kind = "exact" if exact is not None else "nearest of all"
        finite = best[np.isfinite(best)]
        mean = float(finite.mean()) if len(finite) else None
        least["targeted" if targeted else "any"] = {"kind": kind, "mean": mean}
        for key in wanted:
            others = {other: judged[other] for other in wanted if other != key}
            row = summary(judged[key], cells[key], best, others)
            rows[key] = row | {"targeted": targeted}
    ordered = {m.name: rows[m.name] for m in methods if m.name in rows}
    return {"n": len(images["labels"]), "least": least, "rows": ordered}


def with_turn(cell: dict, later: dict) -> dict:
    """A method's answer with the times of a ``later`` turn; its images are those of the first."""
    both = {key: [*cell[key], *later[key]] for key in ("cpu", "load", "reference_work")}
    when = [*cell.get("turns", [[cell["began"], cell["ended"]]]), [later["began"], later["ended"]]]
    return cell | both | {"ended": later["ended"], "turns": when}


def measure_table(options) -> dict:
    """The table of all chosen networks; environments that are needed are made first."""
    chosen = pick_methods(options.methods)
    used = {m.environment for m in chosen}
    failures = {e: install(e, options.fresh) for e in (OURS, *ENVIRONMENTS) if e in used}
    return {name: measure_network(name, chosen, options, failures) for name in options.networks}


# --- cost against the number of images -------------------------------------------------------


CURVE = {
    "network": "FC100-100-10",
    "images": (100, 300, 1000, 3000, 10_000),
    "chunks": (100, 300, 1000, 3000),
    "images_for_chunks": 3000,
}


def measure_curve(options) -> list[dict]:
    """CPU and memory of ours against the number of images and of the images in a chunk.

    Training images, because more than 10 000 of those are classified rightly; each point is a
    process of its own, whose peak of resident memory is compared with that before the attack.
    """
    net = zoo.load(CURVE["network"], 0, "cpu", progress=False)
    many = max(CURVE["images"])
    images = write_arrays(chosen_images(net, "train", many))
    points = [(n, None) for n in CURVE["images"]]
    points += [(CURVE["images_for_chunks"], chunk) for chunk in CURVE["chunks"]]
    failures = {OURS: None}
    rows = []
    for n, chunk in points:
        settings = {} if chunk is None else {"chunk": chunk}
        method = Method(f"ours, {n}", OURS, "ours", "minimal", settings, images=n, counted=2)
        job = job_of(method, network_file(net), images, n, 1)
        cell = cell_of(method, job, True, options, failures)
        if isinstance(cell, str):
            raise RuntimeError(f"The curve stopped at {n} images: {cell}.")
        rows.append(
            {
                "images": n,
                "chunk": chunk,
                "cpu_ms": 1000 * cell["cpu"][0] / n,
                "peak_mib": cell["peak_mib"],
                "grown_mib": cell["grown_mib"],
            }
        )
        print(f"curve: {rows[-1]}", flush=True)
    return rows


# --- a GPU beside the CPU --------------------------------------------------------------------


def attack_on(net, images: dict, n: int, device: str, dtype) -> dict:
    """Images per second of ours on ``device``, by the clock, and the distances, judged."""
    from course_lib import attacks

    here = copy.deepcopy(net).to(device, dtype)
    x, labels, targets = (
        torch.from_numpy(images[k][:n]).to(device) for k in ("images", "labels", "targets")
    )
    few = min(n, 200)
    attacks.minimal_adversarial(here, x[:few].to(dtype), targets[:few], labels[:few])  # warm-up
    began = clock(device)
    found = attacks.minimal_adversarial(here, x.to(dtype), targets, labels)
    seconds = clock(device) - began
    seen = judge(net, images, found.images.cpu().numpy(), True)
    l2 = seen["l2"][seen["success"]]
    return {
        "images": n,
        "seconds": seconds,
        "images_per_second": n / seconds,
        "success": float(seen["success"].mean()),
        "robust": float(seen["robust"].mean()),
        "l2_mean": float(l2.mean()),
        "l2_median": float(np.median(l2)),
    }


def clock(device: str) -> float:
    """Seconds by the clock, when all that was asked of ``device`` is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure_device(device: str, networks, several: int = 1000) -> dict:
    """The whole test set on ``device`` in float32; ``several`` images there and on the CPU in both
    precisions, for speed and for whether the statistics agree. TF32 is off (device.pick)."""
    where = str(devices.pick(device))
    if where == "cpu" and device != "cpu":
        raise RuntimeError(f"There is no working device {device!r} on this machine.")
    found = {"machine": machine(), "threads": torch.get_num_threads(), "networks": {}}
    for name in networks:
        net = zoo.load(name, 0, "cpu", progress=False)
        images = chosen_images(net, "test", 10_000)
        n = len(images["labels"])
        rows = {f"{where}, all": attack_on(net, images, n, where, torch.float32)}
        for place in dict.fromkeys((where, "cpu")):
            for dtype in (torch.float32, torch.float64):
                key = f"{place}, {str(dtype).removeprefix('torch.')}"
                rows[key] = attack_on(net, images, min(n, several), place, dtype)
                print(f"{name}: {key}: {rows[key]}", flush=True)
        found["networks"][name] = rows
    return found


# --- the command -----------------------------------------------------------------------------


def machine() -> dict:
    """record.machine(), with the processor's name where the system tells it."""
    found = record.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = re.findall(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8"))
        found["processor"] = names[0].strip() if names else found["processor"]
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def pick_methods(words: list[str] | None, methods: list[Method] | None = None) -> list[Method]:
    """The ``methods`` whose name begins with one of ``words``; all for None.

    methods: default :data:`METHODS`. Raises ValueError, listing the names, for a word that begins
    none.
    """
    methods = METHODS if methods is None else methods
    for word in words or ():
        if not any(m.name.startswith(word) for m in methods):
            names = "; ".join(m.name for m in methods)
            raise ValueError(f"No method's name begins with {word!r}: the methods are {names}.")
    return [m for m in methods if words is None or m.name.startswith(tuple(words))]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; SystemExit with a sentence for what it cannot be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--networks", nargs="+", choices=NETWORKS, metavar="NAME", help=", ".join(NETWORKS))
    add("--methods", nargs="+", metavar="START", help="methods whose names begin so, e.g. ours")
    add("--images", type=record.positive, help="at most so many images (default: 200)")
    add("--runs", type=record.positive, help="at most so many timed runs (default: 3)")
    add("--only", choices=("table", "curve"), help="one of the two parts")
    add("--fresh", action="store_true", help="measure again what was finished before")
    add("--finished", action="store_true", help="write what is finished; measure nothing of peers")
    add("--report", action="store_true", help="only write ATTACKS.md again from attacks.json")
    add("--device", help="images per second there and on the CPU (cuda)")
    options = parser.parse_args(arguments)
    parts = (options.networks, options.methods, options.images, options.runs, options.only)
    options.whole = not any(parts)
    if options.finished:
        options.methods = ["ours"]
    options.networks = options.networks or list(NETWORKS)
    options.images, options.runs = options.images or 200, options.runs or 3
    try:
        pick_methods(options.methods)
    except ValueError as error:
        parser.error(str(error))
    if options.report and not RESULTS.is_file():
        parser.error("there is no attacks.json to report on: run the command without --report")
    return options


def main() -> None:
    """Measure what the command line asks for; write the results and their report."""
    options = parse()
    options.since = time.time() if options.fresh else 0.0
    if options.report:
        storage.write_text(
            REPORT, attacks_report.render(record.stored(RESULTS), record.stored(DEVICE_RESULTS))
        )
        return
    if options.device:
        asked = options.networks if len(options.networks) < len(NETWORKS) else ON_DEVICE
        found = measure_device(options.device, asked)
        storage.write_text(DEVICE_RESULTS, json.dumps(found, indent=1) + "\n")
        return
    began = datetime.now(UTC).isoformat(timespec="seconds")
    found = {"machine": machine(), "began": began, "fresh": options.fresh}
    if options.only != "curve":
        found["networks"] = measure_table(options)
    if options.only == "curve" or options.whole:
        found["curve"] = CURVE | {"points": measure_curve(options)}
    found["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
    if options.whole:
        storage.write_text(RESULTS, json.dumps(found, indent=1) + "\n")
        storage.write_text(REPORT, attacks_report.render(found, record.stored(DEVICE_RESULTS)))
    else:
        print(attacks_report.render(found, {}))


if __name__ == "__main__":
    record.run(main)
