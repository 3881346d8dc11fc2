"""The last column of Tables 1 and 3: the record attacks.json.

The paper's attack on seeded random images, training images for Table 1 and test images for the
halves of Table 3, for several seeds of each network (one for FC10, which has one optimum), with the
rule of the targets, the loss and the norm changed one at a time. Images that the network gets wrong
without any attack are counted and left out of every mean; so are failures.
"""

import functools
import itertools
import time

import torch

from .. import attacks, models, paper, record, zoo
from ..data import load_mnist
from ..lbfgsb import plain
from .task import Task, part_of, seeds_of

NETWORKS = (*paper.TABLE1, "FC100-100-10-ReLU", "CONV", *paper.TABLE3)
SAMPLE_SEED = 0
SHARE = {"CONV": 0.2}  # of the images, where one costs much more than elsewhere
MONOTONE = ("FC100-100-10", "AE400-10")  # a scan over c with the short solver
# targets, loss, norm, share of the images: nine targets an image are nine times the work
CELLS = (
    ("recorded", "cross-entropy", "squared", 1.0),
    ("recorded", "cross-entropy", "l2", 1.0),
    ("recorded", "margin", "squared", 1.0),
    ("next", "cross-entropy", "squared", 1.0),
    ("all", "cross-entropy", "squared", 0.2),
    ("all", "margin", "squared", 0.2),
)


def targets_of(rule: str, few) -> torch.Tensor:
    """(N, k) the classes that each image is to become: k is 1, or 9 for "all"."""
    if rule == "all":
        return attacks.all_targets(few.labels)
    rules = {
        "recorded": lambda: attacks.recorded_targets(few),
        "next": lambda: attacks.next_targets(few.labels),
    }
    return rules[rule]()[:, None]


def statistics_of(values: torch.Tensor) -> dict[str, float]:
    """Mean, its standard error over the images, median and extremes of (N,) values."""
    values = values.double().cpu()
    if not len(values):
        return {"n": 0}
    error = float(values.std()) / len(values) ** 0.5 if len(values) > 1 else None
    return {
        "n": len(values),
        "mean": float(values.mean()),
        "standard_error": error,
        "median": float(values.median()),
        "smallest": float(values.min()),
        "largest": float(values.max()),
    }


def measure(net, few, rule: str, loss: str, norm: str) -> dict:
    """One cell: the distortions of the images ``few`` that ``net`` gets right."""
    right = models.predictions(net, few.images) == few.labels
    chosen = few[right]
    targets = targets_of(rule, chosen)
    each = targets.shape[1]
    began = time.process_time()
    found = attacks.minimal_adversarial(
        net,
        chosen.images.repeat_interleave(each, 0),
        targets.flatten(),
        chosen.labels.repeat_interleave(each),
        loss=loss,
        norm=norm,
    )
    seconds = time.process_time() - began
    success = found.success.reshape(-1, each)
    table = found.distortion.double().reshape(-1, each)
    whole = success.all(1)  # a mean over nine targets needs all nine
    outcome = {
        "images": len(few),
        "misclassified": int((~right).sum()),
        "success": float(success.double().mean()),
        "distortion": statistics_of(table[whole].mean(1)),
        "overshoot": float(found.overshoot[found.success].double().mean()),
        "evaluations": float(found.evaluations.double().mean()),
        "cpu_seconds": round(seconds, 2),
    }
    if each > 1:
        reached = table.masked_fill(~success, torch.inf).amin(1)
        outcome["nearest"] = statistics_of(reached[reached.isfinite()])
    return outcome


@functools.cache
def all_of(part: str) -> int:
    """How many images there are."""
    return len(load_mnist(part, "cpu"))


def drawn(name: str, n: int | None, where=None):
    """``n`` images for a network, in a random order; all of them for None."""
    whole = load_mnist(part_of(name), where)
    return whole.sample(len(whole) if n is None else n, SAMPLE_SEED)


def cell(network: str, seed: int, settings: dict) -> dict:
    """:func:`measure` as a task; settings: n, the first ``images`` of which are attacked; rule,
    loss, norm."""
    few = drawn(network, settings["n"])[: settings["images"]]
    net = zoo.load(network, seed, progress=False)
    return measure(net, few, settings["rule"], settings["loss"], settings["norm"])


# --- is success monotone in c? -------------------------------------------------------------------


def solve_one(net, image, target, c: float, tolerance: float) -> tuple[float, bool]:
    """The distortion of the minimiser of c |r|² + cross-entropy, and whether it succeeds,
    by the short solver from r = 0; image: (1, 28, 28) in double precision."""
    start = image.flatten()

    def objective(z):
        logits = net(z.reshape(1, *image.shape))
        size = (z - start).square().sum()
        return c * size + torch.nn.functional.cross_entropy(logits, target[None])

    fun = plain.with_gradient(objective)
    z = plain.minimize(fun, start, 0.0, 1.0, tolerance=tolerance, max_iterations=400).x
    says = int(net(z.reshape(1, *image.shape)).argmax())
    return float((z - start).square().mean()) ** 0.5, says == int(target)


def monotone(network: str, seed: int, settings: dict) -> dict:
    """Is success monotone in c? 41 values from half to twice each image's threshold, for n images
    (a setting), on the processor."""
    few = drawn(network, settings["n"], "cpu")
    net = zoo.load(network, seed, device="cpu", progress=False).double().requires_grad_(False)
    targets = attacks.recorded_targets(few)
    found = {"images": 0, "values": 41, "not_monotone": 0, "largest_c_not_best": 0}
    for image, target in zip(few.images.double(), targets, strict=True):
        low, high = 1e-3, 30.0
        for _ in range(7):
            c = (low * high) ** 0.5
            low, high = (c, high) if solve_one(net, image, target, c, 1e-4)[1] else (low, c)
        tried = [solve_one(net, image, target, low * 2 ** (k / 20 - 1), 1e-5) for k in range(41)]
        hits = [success for _, success in tried]
        sizes = [size for size, success in tried if success]
        found["images"] += 1
        found["not_monotone"] += sum(a != b for a, b in itertools.pairwise(hits)) != 1
        found["largest_c_not_best"] += bool(sizes) and min(sizes) < sizes[-1]
    return found


# --- the tasks -----------------------------------------------------------------------------------


def tasks(names, seeds, n: int | None, cells=CELLS) -> list[Task]:
    """A task for each network, seed and cell; n: images of each network, None for all."""
    found = []
    for name in names:
        whole = round((all_of(part_of(name)) if n is None else n) * SHARE.get(name, 1))
        for seed in seeds_of(name, seeds):
            for rule, loss, norm, share in cells:
                images = max(2, round(share * whole))  # the first of images in a random order
                settings = {"n": whole, "images": images, "rule": rule, "loss": loss, "norm": norm}
                found.append(Task("distortions", name, seed, settings))
    return found


def monotone_tasks(names, n: int) -> list[Task]:
    """The scan over c, for those of ``names`` that have one."""
    return [Task("monotone", name, 0, {"n": n}) for name in names if name in MONOTONE and n]


# --- the record ----------------------------------------------------------------------------------


def label(settings: dict) -> str:
    """The name of a cell: RULE/LOSS/NORM."""
    return "/".join(settings[key] for key in ("rule", "loss", "norm"))


def summaries(name: str, runs: dict[str, dict]) -> dict[str, dict[str, float]]:
    """Every cell's summary; "all/..." gives "nine/..." (the mean over nine) and "nearest/..."."""
    found = {}
    unique = zoo.recipe(name).method == "convex"

    def summarise(cell: str, key: str) -> dict[str, float]:
        means = [run[cell][key]["mean"] for run in runs.values() if run[cell][key]["n"]]
        if len(means) > 1:
            return {**record.interval(means), "networks": len(means)}
        # one optimum has no interval; of one network of many, none is known
        width = 0.0 if unique else None
        return {"mean": means[0] if means else None, "half_width": width, "networks": len(means)}

    cells = set.intersection(*(set(run) for run in runs.values()))
    for rule, *rest, _ in CELLS:
        cell = "/".join((rule, *rest))
        if cell not in cells:
            continue
        if rule == "all":
            found["/".join(("nine", *rest))] = summarise(cell, "distortion")
            found["/".join(("nearest", *rest))] = summarise(cell, "nearest")
        else:
            found[cell] = summarise(cell, "distortion")
    return found


def entry(name: str, results: dict[Task, dict]) -> dict:
    """A network's part of the record, from its finished cells."""
    runs: dict[str, dict] = {}
    for task, result in results.items():
        runs.setdefault(str(task.seed), {})[label(task.settings)] = result
    n = next(iter(results)).settings["n"]
    return {
        "images": drawn(name, n, "cpu").name,
        "fingerprint": zoo.recipe_fingerprint(name, zoo.recipe(name)),
        "seeds": runs,
        "summary": summaries(name, runs),
    }


def head(n: int | str, cells=CELLS) -> dict:
    """The first part of the record: the machine, n, the cells."""
    machine = record.machine() | {"threads": torch.get_num_threads()}
    return {"machine": machine, "n": n, "cells": [list(cell) for cell in cells]}


def assemble(results: dict[Task, dict]) -> dict:
    """The record from the finished tasks, those of "distortions" and "monotone"."""
    mine = [t for t in results if t.experiment == "distortions"]
    labels = {label(t.settings) for t in mine}
    cells = [c for c in CELLS if "/".join(c[:3]) in labels]
    n = max((t.settings["n"] for t in mine), default=0)
    networks = {}
    for name in NETWORKS:
        part = {t: results[t] for t in mine if t.network == name}
        if part:
            networks[name] = entry(name, part)
    scans = {t.network: results[t] for t in results if t.experiment == "monotone"}
    return head(n, cells) | {"networks": networks, "monotone": scans}
