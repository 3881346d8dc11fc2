"""What every worker does: read its job, load the network, run the attack, write what it made.

Runs in the peers' own environments, so it needs numpy and torch and nothing of the course.
A worker is called as ``python worker.py job.json``. The job names the file of the network (layers
and weights), the file of the images, the attack and its settings, and where the answer goes. An
attack is a function ``attack(net, images, labels, targets, **settings)`` of a network in eval mode,
images (N, 1, 28, 28) float32 in [0, 1], their classes and the wanted classes (None: any other
class); it returns the adversarial images, as a tensor or an array of any shape and type.
"""

import collections
import contextlib
import importlib.metadata
import json
import os
import re
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import foreign_nets
import lite0
import numpy as np
import torch
from torch import nn

STATUS = Path("/proc/self/status")
LAYERS = {
    "flatten": nn.Flatten,
    "linear": nn.Linear,
    "conv": lambda inputs, outputs, size, padding: nn.Conv2d(
        inputs, outputs, size, padding=padding
    ),
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "pool": nn.MaxPool2d,
}


def load_net(path: str) -> nn.Module:
    """The network in ``path``: its layers as [name, kind, *sizes], and its weights; or, for
    {"foreign": name}, the network of that name of foreign_nets.py or lite0.py."""
    with np.load(path) as stored:
        layers = json.loads(str(stored["layers"]))
        state = {key: torch.from_numpy(stored[key]) for key in stored.files if key != "layers"}
    if isinstance(layers, dict):
        name = layers["foreign"]
        net = lite0.Lite0() if name == lite0.NAME else foreign_nets.built(name)
    else:
        net = nn.Sequential(
            collections.OrderedDict((name, LAYERS[kind](*sizes)) for name, kind, *sizes in layers)
        )
    net.load_state_dict(state)
    return net.eval()


class Counter:
    """Counts the images that go forward through a network, and those whose gradient comes back."""

    def __init__(self, net: nn.Module):
        self.forward = self.backward = 0
        last = list(net.children())[-1]  # ART calls the layers one by one
        self.handle = last.register_forward_hook(self._seen)

    def _seen(self, net, inputs, output):
        self.forward += len(output)
        if output.requires_grad:
            output.register_hook(self._back)

    def _back(self, gradient):
        self.backward += len(gradient)


def cpu_seconds() -> float:
    """User and system seconds of this process and of its children so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def resident_mib(field: str) -> float:
    """Resident memory of this process: now ("VmRSS"), or the most of it so far ("VmHWM").

    Not getrusage's: on Linux a process inherits that from the one that started it. Elsewhere only
    getrusage knows, and both fields are its peak.
    """
    if STATUS.is_file():
        found = re.search(rf"{field}:\s*(\d+) kB", STATUS.read_text(encoding="utf-8"))
        return int(found[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def forget_peak() -> None:
    """Let the peak of resident memory start anew, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def reference_work() -> float:
    """CPU seconds of a fixed piece of work: how fast this machine is just now."""
    a = torch.ones(300, 784)
    began = cpu_seconds()
    for _ in range(100):
        (a @ a.T).tanh().sum()
    return cpu_seconds() - began


def version(package: str | None) -> str:
    """The installed version of ``package``, or the empty string for none."""
    return importlib.metadata.version(package) if package else ""


def as_array(adversarial) -> np.ndarray:
    """The adversarial images as an array, in the type in which they came."""
    if isinstance(adversarial, torch.Tensor):
        adversarial = adversarial.detach().cpu().numpy()
    return np.asarray(adversarial)


def measure(attack, job: dict) -> dict:
    """Run ``attack`` as ``job`` says: once on a few images with a counter, then timed runs."""
    net, data = load_net(job["network"]), np.load(job["images"])
    n = job["n"]
    images, labels, targets = (
        torch.from_numpy(data[k][:n]) for k in ("images", "labels", "targets")
    )
    targets = targets if job["targeted"] else None

    def run(rows: int):
        return attack(
            net,
            images[:rows].clone(),
            labels[:rows].clone(),
            None if targets is None else targets[:rows].clone(),
            **job["settings"],
        )

    counted = min(n, job["counted"])
    counter = Counter(net)
    run(counted)  # also the warm-up
    counter.handle.remove()
    before, cpu, wall = reference_work(), [], []
    forget_peak()
    resident = resident_mib("VmRSS")
    for _ in range(job["runs"]):
        began, clock = cpu_seconds(), time.perf_counter()
        made = run(n)
        cpu.append(cpu_seconds() - began)
        wall.append(time.perf_counter() - clock)
    peak = resident_mib("VmHWM")
    return {
        "adversarial": as_array(made).reshape(n, *images.shape[1:]),
        "cpu": cpu,
        "wall": wall,
        "forward": counter.forward / counted,
        "gradients": counter.backward / counted,
        "counted": counted,
        "reference_work": [round(before, 4), round(reference_work(), 4)],
        "peak_mib": round(peak, 1),
        "grown_mib": round(peak - resident, 1),
    }


def main(attacks: dict, package: str | None = None) -> None:
    """The job named on the command line, with one of ``attacks`` of ``package``."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global numbers that older libraries draw from
    began, load = datetime.now(UTC).isoformat(timespec="seconds"), os.getloadavg()
    found = measure(attacks[job["attack"]], job)
    adversarial = found.pop("adversarial")
    found |= {
        "began": began,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": [round(load[0], 2), round(os.getloadavg()[0], 2)],
        "version": version(package),
        "torch": torch.__version__,
    }
    part = job["out"] + ".part.npz"
    np.savez(part, adversarial=adversarial, found=json.dumps(found))
    os.replace(part, job["out"])
