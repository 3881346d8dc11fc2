"""Are units more meaningful than random directions? The record unit_semantics.json.

For several networks of each kind, trained and untrained, every measure of :mod:`course_lib.units`
for the units of a layer, for random (Haar) bases of it, and for the controls. The test set,
shuffled.
"""

import functools
import statistics
import zlib

import torch

from .. import device, models, record, units, zoo
from .task import Task

SEEDS = range(10)
WIDE = 1000  # a layer from which on fewer bases are drawn: a basis takes seconds there
# how many bases: of a layer; of a wide one; of an untrained wide one, and of each control; with
# selectivity; of each control of a wide layer
BASES = {"bases": 199, "wide": 49, "control": 5, "ranked": 3, "wide control": 2}
# the features for a spread without labels: an autoencoder never saw one
WITNESS = {"AE400-10": ("CONV", "pool2")}
ELSE = ("AE400-10", "sigmoid1")


def settings_of(bases: dict[str, int] = BASES) -> dict:
    """What the record says of how it was made."""
    return {
        "k": units.K,
        "bases": bases["bases"],
        "bases of CONV, trained": bases["wide"],
        "bases of CONV, untrained": bases["control"],
        "bases of a control": f"{bases['control']}, of CONV {bases['wide control']}",
        "bases with selectivity": bases["ranked"],
        "level": units.LEVEL,
        "margins": units.MARGINS,
        "images": "MNIST test, shuffled with seed 0",
    }


@functools.cache
def images():
    """The held-out images, on the CPU or whatever the course uses."""
    return units.held_out()


def witness(name: str):
    """The network whose features serve for ``name``."""
    return zoo.load(WITNESS.get(name, ELSE)[0], progress=False)


@functools.cache
def spaces(name: str) -> dict[str, torch.Tensor]:
    """The pixels, and the features of a network that is not ``name``."""
    layer = WITNESS.get(name, ELSE)[1]
    features = units.activations(witness(name), images().images, layer)
    return {"pixels": images().images.flatten(1), "features": features}


def means(h, directions, name: str, ties=None, ranks: bool = False) -> dict[str, float]:
    """The mean over ``directions`` of each measure."""
    data = images()
    found = units.measure(h, directions, data.labels, spaces(name), ties, ranks)
    return {key: float(value.mean()) for key, value in found.items()}


def of_bases(h, name: str, count: int, rng, ranked: int = 0) -> dict[str, list[float]]:
    """Measure -> its mean over the directions of each of ``count`` Haar bases."""
    width = h.shape[1]
    together = max(1, 4000 // width)  # bases that are measured in one go
    found: dict[str, list[float]] = {}
    for first in range(0, count, together):
        n = min(together, count - first)
        directions = units.haar_bases(n, width, rng).flatten(0, 1)
        parts = units.measure(h, directions, images().labels, spaces(name), ranks=False)
        if first < ranked:
            few = directions[: min(n, ranked - first) * width]
            parts["selectivity"] = units.selectivity(h, few, images().labels).amax(1)
        for key, values in parts.items():
            found.setdefault(key, []).extend(values.view(-1, width).mean(1).tolist())
    return found


def averaged(rows: dict[str, list[float]]) -> dict[str, float]:
    """The mean over bases of each measure."""
    return {key: statistics.fmean(values) for key, values in rows.items()}


def shuffled(h: torch.Tensor, rng) -> torch.Tensor:
    """Every unit's activations dealt out to the images anew: no image means anything any more."""
    order = torch.rand(h.shape, generator=rng).argsort(dim=0)
    return h.gather(0, order.to(h.device))


def channel_bases(h, name: str, channels: int, count: int, rng) -> dict[str, float]:
    """Bases of a convolutional layer that mix its channels, alike at every place."""
    maps = h.view(len(h), channels, -1)
    rows = []
    for _ in range(count):
        basis = units.haar_bases(1, channels, rng)[0].to(h)
        turned = torch.einsum("ncp,dc->ndp", maps, basis).flatten(1)
        rows.append(means(turned, units.unit_directions(h.shape[1]), name))
    return averaged({key: [row[key] for row in rows] for key in rows[0]})


def controls(h, name: str, bases: dict, rng) -> dict[str, dict[str, float]]:
    """Other references: loud units turned down, an isotropic space, directions weighted by the
    covariance, principal directions, and activations without meaning."""
    mixed = shuffled(h, rng)
    eye = units.unit_directions(h.shape[1])
    count = bases["wide control"] if h.shape[1] >= WIDE else bases["control"]
    found = {
        "unit variance": averaged(of_bases(units.unit_variance(h), name, count, rng)),
        "white": averaged(of_bases(units.stretch(h, -1), name, count, rng)),
        "covariance": averaged(of_bases(units.stretch(h, 1), name, count, rng)),
        "principal": means(h, units.principal_directions(h), name),
        "shuffled units": means(mixed, eye, name),
        "shuffled haar": averaged(of_bases(mixed, name, 1, rng)),
    }
    if name == "CONV":
        found["channels"] = channel_bases(h, name, 32, bases["control"], rng)
    return found


def compared(h, name: str, ties, count: int, ranked: int, rng) -> dict:
    """The units of a layer against ``count`` Haar bases of it, by every measure."""
    found = means(h, units.unit_directions(h.shape[1]), name, ties, ranks=True)
    bases = of_bases(h, name, count, rng, ranked)
    p = {
        # a measure's mean stands for its directions: the basis is what is counted
        key: units.randomisation_p(torch.tensor([found[key]]), torch.tensor(values)[:, None])
        for key, values in bases.items()
        if 2 / (1 + len(values)) < 0.05  # with fewer bases the test can say nothing
    }
    haar = {
        key: {
            "mean": statistics.fmean(v),
            "sd": statistics.stdev(v),
            "bases": len(v),
            "p": p.get(key),
        }
        for key, v in bases.items()
    }
    return {"width": h.shape[1], "units": found, "haar": haar}


# --- what a task measures ------------------------------------------------------------------------


def layer(network: str, seed: int, settings: dict) -> dict:
    """All that the record says of one layer of one network; settings: layer, state, bases."""
    state, one, bases = (settings[key] for key in ("state", "layer", "bases"))
    trained = state == "trained"
    net = models.build(network, seed) if not trained else zoo.load(network, seed, progress=False)
    net = net.to(device.pick())
    h = units.activations(net, images().images, one)
    before = units.pre_activation(net, one)
    ties = units.activations(net, images().images, before) if before else None
    rng = device.generator(zlib.crc32(f"{network}/{seed}/{state}/{one}".encode()))
    count = bases["bases"]
    if h.shape[1] >= WIDE:
        count = bases["wide"] if trained else bases["control"]
    found = compared(h, network, ties, count, bases["ranked"], rng)
    return rounded(found | ({"controls": controls(h, network, bases, rng)} if trained else {}))


def pixels(network: str, seed: int, settings: dict) -> dict:
    """The control without a network: single pixels (those that vary) against bases of the image
    space; there is one of it, so it has a randomisation test and no interval. network: the
    witness's; settings: bases."""
    bases = settings["bases"]
    x = images().images.flatten(1)
    varying = x[:, x.std(0) > 0]
    count, rng = bases["bases"] // 2, device.generator(0)
    return rounded(compared(varying, "FC100-100-10", None, count, bases["ranked"], rng))


def needs(task: Task) -> list[tuple[str, int]]:
    """The networks that a layer's task depends on: the one that is measured, and the witness. Of
    an untrained one the code tells all."""
    witness_of = (WITNESS.get(task.network, ELSE)[0], 0)
    return [witness_of, (task.network, task.seed)][: 1 + (task.settings["state"] == "trained")]


def witness_alone(task: Task) -> list[tuple[str, int]]:
    """What the pixels' task depends on."""
    return [(ELSE[0], 0)]


def tasks(studied: dict, seeds, bases: dict[str, int] = BASES, untrained=("untrained",)):
    """The tasks of a record: {name: layers}, trained and untrained, and the pixels."""
    found = [Task("pixels", "pixels", 0, {"bases": bases})]
    for seed in seeds:
        for name, layers in studied.items():
            for one in layers:
                for state in ("trained", *untrained):
                    settings = {"state": state, "layer": one, "bases": bases}
                    found.append(Task("units", name, seed, settings))
    return found


# --- the record ----------------------------------------------------------------------------------


def significant(values: list[float | None]) -> int | None:
    """How many p-values are below 0.05; None where there are none, for want of bases."""
    return None if None in values else sum(p < 0.05 for p in values)


def summary(cells: list[dict]) -> dict:
    """Over networks: units, Haar bases and their comparison by each measure; purity against each
    control; the number of networks in which the randomisation test says p < 0.05."""
    found = {}
    for key, margin in units.MARGINS.items():
        pairs = [(c["units"][key], c["haar"][key]["mean"]) for c in cells]
        differences = [units.advantage(u, h, key) for u, h in pairs]
        result = units.equivalence(differences, margin)
        found[key] = {
            "units": record.interval([u for u, _ in pairs]),
            "haar": record.interval([h for _, h in pairs]),
            "difference": {"mean": result.mean, "low": result.low, "high": result.high},
            "verdict": result.verdict,
            "networks with p < 0.05": significant([c["haar"][key]["p"] for c in cells]),
        }
    against = {}
    for control in cells[0].get("controls", {}):
        pairs = [(c["units"]["purity"], c["controls"][control]["purity"]) for c in cells]
        result = units.equivalence([u - v for u, v in pairs], units.MARGINS["purity"])
        against[control] = {
            "purity": record.interval([v for _, v in pairs]),
            "difference": {"mean": result.mean, "low": result.low, "high": result.high},
            "verdict": result.verdict,
        }
    return found | ({"purity against": against} if against else {})


def assemble(results: dict[Task, dict]) -> dict:
    """The record from its finished tasks: the layers of which there are two networks or more, the
    fewest that there can be an interval of."""
    networks: dict = {}
    bases = next((t.settings["bases"] for t in results), BASES)
    for name, layers in units.STUDIED.items():
        for one in layers:
            for state in ("trained", "untrained"):
                mine = [t for t in results if (t.experiment, t.network) == ("units", name)]
                mine = [
                    t for t in mine if (t.settings["layer"], t.settings["state"]) == (one, state)
                ]
                cells = {str(t.seed): results[t] for t in sorted(mine, key=lambda t: t.seed)}
                if len(cells) > 1:
                    entry = {"seeds": cells, "summary": summary(list(cells.values()))}
                    networks.setdefault(name, {}).setdefault(one, {})[state] = entry
    chance = {"purity": units.chance_purity(images().labels), **chances()}
    made = {"settings": settings_of(bases), "chance": chance}
    for task in results:
        if task.experiment == "pixels":
            made["pixels"] = results[task]
    made["networks"] = networks
    return {"machine": record.machine(), **rounded(made)}


def chances() -> dict[str, float]:
    """The chance levels of entropy and spread, from 20 000 rows drawn blindly."""
    rows = torch.rand(20000, 80, generator=device.generator(0)).argsort(1)[:, : units.K]
    rows = rows * (len(images()) // 80)  # images are shuffled, so every 125th is as good as any
    rows = rows.to(images().labels.device)
    return {"entropy": float(units.entropy(images().labels, rows).mean())}


def rounded(entry):
    """The same with numbers of six digits: what differs beyond them is the machine."""
    if isinstance(entry, dict):
        return {key: rounded(value) for key, value in entry.items()}
    return float(f"{entry:.6g}") if isinstance(entry, float) else entry
