"""Why examples transfer: gradients that agree, and who is fooled, predicted. The later parts of the
record transfer.json, with which it is whole (:func:`assemble`).
"""

import itertools
import time

import numpy as np
import scipy.stats
import torch

from .. import attacks, models, transfer, zoo
from ..transfer import gradients, making
from ..transfer import table as tables
from . import transfers
from .task import Task, networks_of, seeds_of
from .transfers import cell_of, short

FEW_SEEDS = range(3)  # of cosines and predictions


def gradients_of(names, seeds, data, targets, untrained: bool = False) -> dict[str, list]:
    """{name: [unit gradients (N, pixels) of each network of that name]}."""
    found = {}
    for name in names:
        made = []
        for seed in seeds_of(name, seeds):
            net = models.build(name, seed).eval()
            if not untrained:
                net = zoo.load(name, seed, progress=False)
            net = net.to(data.images.device)
            slope = transfer.input_gradients(net, data.images, data.labels, targets)
            made.append(torch.nn.functional.normalize(slope.double(), dim=1).float().cpu())
        found[name] = made
    return found


def cosine_cell(a: list, b: list, names: tuple[str, str], rows=None) -> transfer.Cell:
    """(S, T, N) cosines of all pairs of networks; of a network with itself, none."""
    values = np.stack([[(x * (y if rows is None else y[rows])).sum(1) for y in b] for x in a])
    own = np.eye(len(a), dtype=bool) if names[0] == names[1] else np.zeros(values.shape[:2], bool)
    valid = np.broadcast_to(~own[..., None] & np.isfinite(values), values.shape)
    return transfer.Cell(np.nan_to_num(values), valid, *names)


def cosines(network: str, seed: int, settings: dict) -> dict:
    """The signed cosine of input gradients for every pair of names, and two nulls; network: the
    table's name.

    "loss": of the loss's gradient; "target": of the way to the recorded target. shuffled: the rms
    for gradients at two different images; untrained: for networks as they were before training.
    """
    began = time.process_time()
    names, seeds = settings["columns"], settings["seeds"]
    data = transfers.sample(settings["part"], settings["n"])
    mixed = np.random.RandomState(transfers.SAMPLE_SEED).permutation(len(data))
    found = {"null": short(data.images[0].numel() ** -0.5), "pairs": {}}
    for rule, targets in (("loss", None), ("target", attacks.recorded_targets(data))):
        trained = gradients_of(names, seeds, data, targets)
        raw = gradients_of(names, seeds, data, targets, untrained=True)
        for a, b in itertools.combinations_with_replacement(names, 2):
            if a == b and len(trained[a]) == 1:
                continue
            cell = cosine_cell(trained[a], trained[b], (a, b))
            mean = transfer.hierarchical_bootstrap(cell, share=False)
            found["pairs"].setdefault(f"{a} | {b}", {})[rule] = {
                "mean": cell_of(mean),
                "positive": short((cell.values[cell.valid] > 0).mean()),
                "sd_over_images": short(cell.values[cell.valid].std()),
                "shuffled": rms(cosine_cell(trained[a], trained[b], (a, b), mixed)),
                "untrained": rms(cosine_cell(raw[a], raw[b], (a, b))),
            }
    return found | {"cpu_seconds": round(time.process_time() - began, 2)}


def rms(cell: transfer.Cell) -> float:
    """The root mean square of the values that count."""
    return short(np.sqrt((cell.values[cell.valid] ** 2).mean()))


def predictions(network: str, seed: int, settings: dict) -> dict:
    """Who is fooled by the examples for one network, predicted for the network of each other name
    and the same seed, on images that were not used to fit it.

    Judged on the images that all columns' networks of the seed have right. settings: those of the
    table, and draws, for an interval over images.
    """
    began = time.process_time()
    few, names = transfers.sample(settings["part"], settings["n"]), settings["columns"]
    nets = {name: zoo.load(name, seed, progress=False) for name in names}
    made = transfer.adversarial_set(nets[network], few)
    answers = making.Columns({name: [net] for name, net in nets.items()}, 1).answers(few.images)
    all_right = (answers[0] == few.labels.cpu().numpy()).all(0)
    rows = torch.from_numpy(all_right & (made.success & made.right).cpu().numpy())
    found = {}
    for name in names:
        if name == network:
            continue
        how = {"rows": rows, "draws": settings["draws"]}
        e = transfer.who_is_fooled(nets[network], nets[name], made, **how)
        parts = ("fooled", "fitted", "judged", "auc", "skill")
        found[name] = None if e is None else {part: getattr(e, part) for part in parts}
    return {"pairs": found, "cpu_seconds": round(time.process_time() - began, 2)}


# --- the tasks -----------------------------------------------------------------------------------


def same_seed(task: Task) -> list[tuple[str, int]]:
    """The networks that a prediction needs: of all columns, that of the seed."""
    return networks_of(task.settings["columns"], [task.seed])


def cosine_tasks(table: str, n: int | None, seeds) -> list[Task]:
    """One task: a table's pairs of gradients."""
    return [Task("cosines", table, 0, transfers.settings_of(table, n, seeds))]


def prediction_tasks(table: str, n: int | None, seeds) -> list[Task]:
    """A task for each source of a table and each seed; the first has an interval over images."""
    settings = transfers.settings_of(table, n, seeds)
    return [
        Task("predictions", name, seed, settings | {"draws": 500 if seed == seeds[0] else 1})
        for name in settings["sources"]
        for seed in seeds
    ]


# --- the record ----------------------------------------------------------------------------------


def predicted(results: dict[Task, dict], table: str) -> dict | None:
    """Each ordered pair of a table's networks; None unless all of its tasks are finished.

    The interval is that of the networks of the first seed, over images; networks: the areas of all
    seeds.
    """
    mine = {t: r for t, r in results.items() if t.experiment == "predictions"}
    mine = {t: r for t, r in mine.items() if t.settings["table"] == table}
    if not mine:
        return None
    settings = next(iter(mine)).settings
    wanted = prediction_tasks(table, settings["n"], settings["seeds"])
    if any(t not in mine for t in wanted):
        return None
    found = {}
    for a, b in itertools.permutations(settings["columns"], 2):
        made = [mine[t]["pairs"][b] for t in wanted if t.network == a]
        first = made[0]
        if first is None:
            found[f"{a} → {b}"] = None
            continue
        auc = {
            key: {k: short(v) for k, v in value.items()}
            | {"networks": [short(m["auc"][key]["value"]) for m in made if m is not None]}
            for key, value in first["auc"].items()
        }
        skill = {
            key: {k: short(v) for k, v in value.items()} for key, value in first["skill"].items()
        }
        found[f"{a} → {b}"] = {
            "fooled": short(first["fooled"]),
            "fitted": first["fitted"],
            "judged": first["judged"],
            "auc": auc,
            "skill": skill,
        }
    return found


def predicted_well(found: dict) -> dict:
    """Over pairs: how many could be judged, the median area, in how many its interval is above
    that of guessing, by set of features."""
    judged = [e for e in found.values() if e is not None]
    return {
        name: {
            "pairs": len(judged),
            "left_out": len(found) - len(judged),
            "median_auc": short(np.median([e["auc"][name]["value"] for e in judged])),
            "above_guessing": sum(e["auc"][name]["low"] > 0.5 for e in judged),
            "below_guessing": sum(e["auc"][name]["high"] < 0.5 for e in judged),
            "median_skill": short(np.median([e["skill"][name]["value"] for e in judged])),
        }
        for name in gradients.FEATURES
        if judged
    }


def cosine_and_transfer(entry: dict, pairs: dict) -> dict:
    """Spearman's correlation, over ordered pairs of networks, of the mean cosine on the way to the
    target with the error on examples of one size. Pairs share networks, so there is no p-value."""
    x, y = [], []
    for a, b in itertools.permutations(entry["columns"], 2):
        key = f"{a} | {b}" if f"{a} | {b}" in pairs else f"{b} | {a}"
        x.append(pairs[key]["target"]["mean"][0])
        y.append(entry["strict"][tables.amplified_label(a, transfers.STDDEV)][b][0])
    rank = scipy.stats.spearmanr(x, y).statistic if len(set(x)) > 1 else None
    return {"spearman": short(rank), "pairs": len(x)}


def assemble(results: dict[Task, dict]) -> dict:
    """The record transfer.json from the finished tasks: what is whole of it."""
    made = transfers.tables_of(results)
    curves = {name: made.pop(name) for name in ("curve2", "curve4") if name in made}
    found = transfers.first_part(results, made)
    if curves:
        found["curves"] = transfers.curves(curves)
    agreed = {t.network: r for t, r in results.items() if t.experiment == "cosines"}
    if agreed:
        found["cosines"] = {
            name: {key: r[key] for key in ("null", "pairs")} for name, r in agreed.items()
        }
        found["cosine_and_transfer"] = {
            name: cosine_and_transfer(found["tables"][name], found["cosines"][name]["pairs"])
            for name in agreed
            if name in found["tables"]
        }
    each = {name: predicted(results, name) for name in ("table2", "table4")}
    each = {name: value for name, value in each.items() if value is not None}
    if each:
        found["predictions"] = each
        found["predicted"] = {name: predicted_well(value) for name, value in each.items()}
    return found
