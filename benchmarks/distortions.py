"""The last column of Tables 1 and 3: ``python benchmarks/distortions.py [NETWORK ...] [--n 1000]``.

The paper's attack on seeded random images, training images for Table 1 and test images for the
halves of Table 3, for five seeds of each network (one for FC10, which has one optimum), with the
rule of the targets, the loss and the norm changed one at a time. Images that the network gets
wrong without any attack are counted and left out of every mean; so are failures.

The outcome is course_lib/_assets/records/attacks.json, beside the machine that made it. Finished
measurements are kept (:mod:`course_lib.kept`), so that an interrupted run goes on where it stopped,
until the code or a network changes; ``--fresh`` forgets them. Further seeds than those kept are
trained first (some seconds each). CONV, whose attack costs thirty times that of the others, has a
fifth of the images.
"""

import itertools
import time

import torch

from course_lib import attacks, models, paper, record, storage, zoo
from course_lib.data import load_mnist
from course_lib.kept import Kept
from course_lib.lbfgsb import plain

PATH = storage.ASSETS / "records" / "attacks.json"
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


def part_of(name: str) -> str:
    """Which images a network is attacked on: its training images, or the test set (Table 3)."""
    return "test" if name in paper.TABLE3 else "train"


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


def summarise(runs: dict[str, dict], cell: str, key: str) -> dict[str, float]:
    """The mean over networks of a cell's mean distortion, and the half-width of its interval (over
    networks; 0 where there is one optimum)."""
    means = [run[cell][key]["mean"] for run in runs.values() if run[cell][key]["n"]]
    if len(means) == 1:
        return {"mean": means[0], "half_width": 0.0, "networks": 1}
    return {**record.interval(means), "networks": len(means)}


def summaries(runs: dict[str, dict]) -> dict[str, dict[str, float]]:
    """Every cell's summary; "all/..." gives "nine/..." (the mean over nine) and "nearest/..."."""
    found = {}
    for rule, *rest, _ in CELLS:
        cell = "/".join((rule, *rest))
        if rule == "all":
            found["/".join(("nine", *rest))] = summarise(runs, cell, "distortion")
            found["/".join(("nearest", *rest))] = summarise(runs, cell, "nearest")
        else:
            found[cell] = summarise(runs, cell, "distortion")
    return found


def entry(name: str, seeds, n: int, kept: Kept) -> dict:
    """A network's part of the record."""
    n = round(n * SHARE.get(name, 1))
    full = load_mnist(part_of(name)).sample(n, SAMPLE_SEED)
    runs: dict[str, dict] = {}
    for seed in seeds:
        net = zoo.load(name, seed)
        runs[str(seed)] = {}
        for rule, loss, norm, share in CELLS:
            few = full[: max(2, round(share * n))]  # of images in a random order
            cell = f"{rule}/{loss}/{norm}"
            runs[str(seed)][cell] = got = kept.get(measure, net, few, rule, loss, norm)
            mean = got["distortion"].get("mean", float("nan"))
            print(
                f"{name}, seed {seed}, {cell}: {mean:.4f} (n = {got['distortion']['n']}, success "
                f"{got['success']:.1%}, {got['cpu_seconds']:.0f} s)",
                flush=True,
            )
    return {
        "images": full.name,
        "fingerprint": zoo.recipe_fingerprint(name, zoo.recipe(name)),
        "seeds": runs,
        "summary": summaries(runs),
    }


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


def monotone(name: str, n: int) -> dict:
    """Is success monotone in c? 41 values from half to twice each image's threshold."""
    few = load_mnist(part_of(name), "cpu").sample(n, SAMPLE_SEED)
    net = zoo.load(name, device="cpu").double().requires_grad_(False)
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


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, and write the record."""
    parser = record.parser(__doc__, PATH, NETWORKS, seeds=len(record.SEEDS), n=1000)
    parser.add_argument("--monotone", type=int, default=60, help="images for the scan over c")
    given = parser.parse_args(arguments)
    kept = Kept("distortions", given.fresh)
    for name in given.names or NETWORKS:
        seeds = range(1 if zoo.recipe(name).method == "convex" else given.seeds)
        made = entry(name, seeds, given.n, kept)
        head = {
            "machine": record.machine() | {"threads": torch.get_num_threads()},
            "n": given.n,
            "cells": [list(cell) for cell in CELLS],
        }
        record.merged(given.output, "networks", {name: made}, head, NETWORKS)
        scans = {}
        if name in MONOTONE and given.monotone:
            net = zoo.load(name, device="cpu")
            scans[name] = kept.get(monotone, name, given.monotone, uses=[net])
            print(f"{name}, scan over c: {scans[name]}", flush=True)
        record.merged(given.output, "monotone", scans)


if __name__ == "__main__":
    record.run(main)
