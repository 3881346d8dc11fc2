"""The networks' errors, five seeds of each, with an interval: the record networks.json.

``course train --record`` remakes it, the networks of the course with it; each seed that is done is
kept, so that an interrupted run goes on where it stopped. Seed 0 of each network is the one that
comes with the course: the first, not the best. ``course reproduce`` measures the networks that are
there, and trains those that are not.
"""

import dataclasses
from collections.abc import Iterable

from .. import models, paper, record, zoo
from ..data import load_mnist
from ..kept import Kept
from .task import Task, itself, seeds_of

LITERAL_SEEDS = (0, 1, 2)


def errors(network: str, seed: int, settings: dict) -> dict[str, float]:
    """The scores of the zoo's network, trained first if it is not there; no settings."""
    return zoo.scores(network, zoo.load(network, seed, progress=False))


def literal(name: str) -> zoo.Recipe:
    """The recipe of ``name`` with the paper's own decay, λ · Σ w² / k, at the λ that it prints."""
    return dataclasses.replace(zoo.recipe(name), decay=paper.DECAY[name], convention="paper")


def literal_scores(name: str, seed: int, progress: bool = True) -> dict[str, float]:
    """Scores of a network trained with the paper's own decay; nothing is stored.

    The autoencoder below AE400-10 has no part in that decay: the stored one is used again.
    """
    if zoo.recipe(name).method != "autoencoder":
        return zoo.scores(name, zoo.train(name, seed, chosen=literal(name), progress=progress))
    net = zoo.load(name, seed, progress=progress)
    zoo.fit_last(net, load_mnist(models.network(name).trained_on), literal(name), progress)
    return zoo.scores(name, net)


def literal_errors(network: str, seed: int, settings: dict) -> dict[str, float]:
    """:func:`literal_scores` as a task; no settings."""
    return literal_scores(network, seed, progress=False)


def of_literal(task: Task) -> list[tuple[str, int]]:
    """The networks that are used again: an autoencoder."""
    return itself(task) if zoo.recipe(task.network).method == "autoencoder" else []


# --- the tasks -----------------------------------------------------------------------------------


def training_tasks(needed: Iterable[tuple[str, int]]) -> list[Task]:
    """A task for each of the networks (name, seed)."""
    return [Task("training", name, seed) for name, seed in dict.fromkeys(needed)]


def literal_tasks(names: Iterable[str], seeds: Iterable[int] = LITERAL_SEEDS) -> list[Task]:
    """A task for each network that the paper prints a decay of, and each of ``seeds``."""
    return [
        Task("literal", name, seed)
        for name in names
        if name in paper.DECAY
        for seed in seeds_of(name, seeds)
    ]


# --- the record ----------------------------------------------------------------------------------


def summarise(name: str, by_seed: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and half-width of the interval of each error: 0 for a unique optimum, None for one
    network of many, which says nothing of the others."""
    runs = list(by_seed.values())
    if len(runs) > 1:
        return {part: record.interval([run[part] for run in runs]) for part in runs[0]}
    width = 0.0 if zoo.recipe(name).method == "convex" else None
    return {part: {"mean": error, "half_width": width} for part, error in runs[0].items()}


def entry(name: str, variant: str, by_seed: dict[str, dict[str, float]]) -> dict:
    """A network's part of the record: "ours", or "literal" with the paper's own decay."""
    chosen = zoo.recipe(name) if variant == "ours" else literal(name)
    return {
        "recipe": dataclasses.asdict(chosen),
        "fingerprint": zoo.recipe_fingerprint(name, chosen),
        "seeds": by_seed,
        "summary": summarise(name, by_seed),
    }


def assemble(results: dict[Task, dict]) -> dict:
    """The record from the finished tasks, those of "training" and "literal"."""
    networks: dict = {}
    for name in models.NETWORKS:
        for experiment, variant in (("training", "ours"), ("literal", "literal")):
            mine = [t for t in results if (t.experiment, t.network) == (experiment, name)]
            if mine:
                by_seed = {str(t.seed): results[t] for t in sorted(mine, key=lambda t: t.seed)}
                networks.setdefault(name, {})[variant] = entry(name, variant, by_seed)
    return {"machine": record.machine(), "networks": networks}


# --- the command that trains all anew ------------------------------------------------------------


def trained_anew(name: str, variant: str, kept: Kept, progress: bool) -> dict:
    """The record's entry of one network, all of its seeds trained now.

    kept: what this run and interrupted ones have finished.
    """
    by_seed = {}
    seeds = record.SEEDS if variant == "ours" else LITERAL_SEEDS
    for seed in seeds_of(name, seeds):
        if variant == "ours":
            folder = zoo.SHIPPED if seed == 0 else zoo.kept()
            how = {"uses": [zoo.recipe(name)], "folder": folder, "progress": progress}
            scores = kept.get(record.train_and_save, name, seed, **how)["scores"]
        else:
            below = [zoo.load(*need) for need in of_literal(Task("literal", name, seed))]
            how = {"uses": [literal(name), *below], "progress": progress}
            scores = kept.get(literal_scores, name, seed, **how)
        by_seed[str(seed)] = scores
        print(f"{name} ({variant}), seed {seed}: test {scores['test']:.2%}", flush=True)
    return entry(name, variant, by_seed)


def make(names: list[str], progress: bool = True) -> None:
    """Train ``names`` with our recipe, then with the paper's decay, and write the record.

    Scores of finished seeds are kept while the rest is made, so that an interrupted run goes on
    where it stopped; then they are forgotten.
    """
    kept = Kept("networks")
    variants = [("ours", name) for name in names]
    variants += [("literal", name) for name in names if name in paper.DECAY]
    for variant, name in variants:
        made = trained_anew(name, variant, kept, progress)
        before = record.stored(record.PATH).get("networks", {}).get(name, {})
        whole = {name: before | {variant: made}}
        record.merged(
            record.PATH, "networks", whole, {"machine": record.machine()}, models.NETWORKS
        )
    kept.forget()
