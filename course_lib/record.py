"""The committed record of the networks: five seeds of each, their errors with an interval.

``course train --record`` remakes it; each seed that is done is kept, so that an interrupted run
goes on where it stopped. Seed 0 of each network is the one that comes with the course: the first,
not the best.
"""

import dataclasses
import json
import os
import platform
import statistics
from pathlib import Path

import scipy.stats
import torch

from . import device as devices
from . import models, paper, storage, zoo
from .data import load_mnist

PATH = storage.ASSETS / "records" / "networks.json"
SEEDS = (0, 1, 2, 3, 4)


def machine() -> dict:
    """What computed a record: the processor's kind, how many cores, the versions."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "device": str(devices.pick()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def interval(values: list[float], level: float = 0.95) -> dict[str, float]:
    """Mean of ``values`` and the half-width of Student's t interval for it at ``level``.

    The values are of networks from different seeds: they are the replicates, images are not.
    Raises ValueError for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("An interval over networks needs at least two of them.")
    n = len(values)
    t = scipy.stats.t.ppf((1 + level) / 2, n - 1)
    return {
        "mean": statistics.fmean(values),
        "half_width": float(t * statistics.stdev(values) / n**0.5),
    }


def train_and_save(name: str, seed: int, folder: Path, progress: bool = True) -> dict:
    """Train a network afresh, store it in ``folder``, and return its card.

    Raises PermissionError, before any work, if nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(
            f"The networks cannot be written to {folder}: see whom it belongs to."
        )
    net = zoo.train(name, seed, progress=progress)
    return zoo.save(net, folder / zoo.file_name(name, seed), name, seed)


def literal(name: str) -> zoo.Recipe:
    """The recipe of ``name`` with the paper's own decay, λ · Σ w² / k, at the λ that it prints."""
    return dataclasses.replace(zoo.recipe(name), decay=paper.DECAY[name], convention="paper")


def read() -> dict:
    """The committed record. Raises FileNotFoundError, saying what makes one, if there is none."""
    if not PATH.is_file():
        raise FileNotFoundError(f"There is no record {PATH}: make it with `course train --record`.")
    return json.loads(PATH.read_text(encoding="utf-8"))


def literal_scores(name: str, seed: int, progress: bool = True) -> dict[str, float]:
    """Scores of a network trained with the paper's own decay; nothing is stored.

    The autoencoder below AE400-10 has no part in that decay: the stored one is used again.
    """
    if zoo.recipe(name).method != "autoencoder":
        return zoo.scores(name, zoo.train(name, seed, chosen=literal(name), progress=progress))
    net = zoo.load(name, seed, progress=progress)
    zoo.fit_last(net, load_mnist(models.network(name).trained_on), literal(name), progress)
    return zoo.scores(name, net)


def seeds_of(chosen: zoo.Recipe, variant: str) -> tuple[int, ...]:
    """Which seeds are trained: five; three with the literal decay; one where the optimum is
    unique, so that the seed plays no part."""
    if chosen.method == "convex":
        return SEEDS[:1]
    return SEEDS if variant == "ours" else SEEDS[:3]


def summarise(by_seed: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and half-width of the interval of each error; half-width 0 for a unique optimum."""
    runs = list(by_seed.values())
    if len(runs) == 1:
        return {part: {"mean": error, "half_width": 0.0} for part, error in runs[0].items()}
    return {part: interval([run[part] for run in runs]) for part in runs[0]}


def measure(name: str, variant: str, finished: dict, keep, progress: bool) -> dict:
    """The record's entry of one network: "ours", or "literal" with the paper's own decay.

    finished: scores by fingerprint and seed, of this run and of interrupted ones; keep() stores it.
    """
    chosen = zoo.recipe(name) if variant == "ours" else literal(name)
    fingerprint = zoo.recipe_fingerprint(name, chosen)
    by_seed = {}
    for seed in seeds_of(chosen, variant):
        key = f"{fingerprint}/{seed}"
        if key not in finished:
            if variant == "ours":
                folder = zoo.SHIPPED if seed == 0 else zoo.kept()
                finished[key] = train_and_save(name, seed, folder, progress)["scores"]
            else:
                finished[key] = literal_scores(name, seed, progress)
            keep()
        by_seed[str(seed)] = finished[key]
        test = finished[key]["test"]
        print(f"{name} ({variant}), seed {seed}: test {test:.2%}", flush=True)
    return {
        "recipe": dataclasses.asdict(chosen),
        "fingerprint": fingerprint,
        "seeds": by_seed,
        "summary": summarise(by_seed),
    }


def make(names: list[str], progress: bool = True) -> None:
    """Train ``names`` with our recipe, then with the paper's decay, and write the record.

    Scores of finished seeds wait under storage.home() while the rest is made, so that an
    interrupted run goes on where it stopped; those of another recipe are not used.
    """
    partial = storage.home() / "record.json"
    finished = json.loads(partial.read_text(encoding="utf-8")) if partial.is_file() else {}
    variants = [("ours", name) for name in names]
    variants += [("literal", name) for name in names if name in paper.DECAY]
    for variant, name in variants:
        entry = measure(
            name,
            variant,
            finished,
            lambda: storage.write_text(partial, json.dumps(finished)),
            progress,
        )
        networks = read()["networks"] if PATH.is_file() else {}
        networks.setdefault(name, {})[variant] = entry
        ordered = {known: networks[known] for known in models.NETWORKS if known in networks}
        text = json.dumps({"machine": machine(), "networks": ordered}, indent=1)
        storage.write_text(PATH, text + "\n")
    partial.unlink(missing_ok=True)
