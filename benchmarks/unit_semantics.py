"""The record of lesson 02: are units more meaningful than random directions?

    python benchmarks/unit_semantics.py                # all seeds; trains what is not there yet
    python benchmarks/unit_semantics.py --seeds 0 1    # these only; no record before all are done

For ten networks of each kind, trained and untrained, every measure of :mod:`course_lib.units` for
the units of a layer, for random (Haar) bases of it, and for the controls. The test set, shuffled.
Finished measurements are kept (:mod:`course_lib.kept`), so that an interrupted run goes on where
it stopped, until the code or a network changes; ``--fresh`` forgets them. The outcome is
course_lib/_assets/records/unit_semantics.json; a test recomputes its verdicts and parts of its
numbers.
"""

import functools
import json
import statistics
import time
import zlib

import torch

from course_lib import device, models, record, storage, units, zoo
from course_lib.kept import Kept

SEEDS = range(10)
BASES, WIDE_BASES, CONTROL_BASES, RANKED = 199, 49, 5, 3
WIDE_CONTROL_BASES = 2
WIDE = 1000  # a layer from which on WIDE_BASES are drawn: a basis takes seconds there
# the features for a spread without labels: an autoencoder never saw one
WITNESS = {"AE400-10": ("CONV", "pool2")}
ELSE = ("AE400-10", "sigmoid1")
SETTINGS = {
    "k": units.K,
    "bases": BASES,
    "bases of CONV, trained": WIDE_BASES,
    "bases of CONV, untrained": CONTROL_BASES,
    "bases of a control": f"{CONTROL_BASES}, of CONV {WIDE_CONTROL_BASES}",
    "bases with selectivity": RANKED,
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


def channel_bases(h, name: str, channels: int, rng) -> dict[str, float]:
    """Bases of a convolutional layer that mix its channels, alike at every place."""
    maps = h.view(len(h), channels, -1)
    rows = []
    for _ in range(CONTROL_BASES):
        basis = units.haar_bases(1, channels, rng)[0].to(h)
        turned = torch.einsum("ncp,dc->ndp", maps, basis).flatten(1)
        rows.append(means(turned, units.unit_directions(h.shape[1]), name))
    return averaged({key: [row[key] for row in rows] for key in rows[0]})


def controls(h, name: str, rng) -> dict[str, dict[str, float]]:
    """Other references: loud units turned down, an isotropic space, directions weighted by the
    covariance, principal directions, and activations without meaning."""
    mixed = shuffled(h, rng)
    eye = units.unit_directions(h.shape[1])
    count = WIDE_CONTROL_BASES if h.shape[1] >= WIDE else CONTROL_BASES
    found = {
        "unit variance": averaged(of_bases(units.unit_variance(h), name, count, rng)),
        "white": averaged(of_bases(units.stretch(h, -1), name, count, rng)),
        "covariance": averaged(of_bases(units.stretch(h, 1), name, count, rng)),
        "principal": means(h, units.principal_directions(h), name),
        "shuffled units": means(mixed, eye, name),
        "shuffled haar": averaged(of_bases(mixed, name, 1, rng)),
    }
    if name == "CONV":
        found["channels"] = channel_bases(h, name, 32, rng)
    return found


def compared(h, name: str, ties, count: int, rng) -> dict:
    """The units of a layer against ``count`` Haar bases of it, by every measure."""
    found = means(h, units.unit_directions(h.shape[1]), name, ties, ranks=True)
    bases = of_bases(h, name, count, rng, RANKED)
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


def cell(name: str, seed: int, state: str, layer: str) -> dict:
    """All that the record says of one layer of one network."""
    trained = state == "trained"
    net = zoo.load(name, seed, progress=False) if trained else models.build(name, seed)
    net = net.to(device.pick())
    h = units.activations(net, images().images, layer)
    before = units.pre_activation(net, layer)
    ties = units.activations(net, images().images, before) if before else None
    rng = device.generator(zlib.crc32(f"{name}/{seed}/{state}/{layer}".encode()))
    count = BASES
    if h.shape[1] >= WIDE:
        count = WIDE_BASES if trained else CONTROL_BASES
    found = compared(h, name, ties, count, rng)
    return rounded(found | ({"controls": controls(h, name, rng)} if trained else {}))


def pixels() -> dict:
    """The control without a network: single pixels (those that vary) against bases of the image
    space; there is one of it, so it has a randomisation test and no interval."""
    x = images().images.flatten(1)
    varying = x[:, x.std(0) > 0]
    return rounded(compared(varying, "FC100-100-10", None, BASES // 2, device.generator(0)))


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


def assemble(finished: dict[str, dict]) -> dict:
    """The record from its finished cells."""
    networks: dict = {}
    for name, layers in units.STUDIED.items():
        for layer in layers:
            for state in ("trained", "untrained"):
                cells = {str(s): finished[f"{name}/{s}/{state}/{layer}"] for s in SEEDS}
                entry = {"seeds": cells, "summary": summary(list(cells.values()))}
                networks.setdefault(name, {}).setdefault(layer, {})[state] = entry
    chance = {"purity": units.chance_purity(images().labels), **chances()}
    return {
        "settings": SETTINGS,
        "chance": chance,
        "pixels": finished["pixels"],
        "networks": networks,
    }


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


def measured(kept: Kept, name: str, seed: int, state: str, layer: str) -> dict:
    """The cell of one layer of one network, from what is kept if it is there."""
    return kept.get(cell, name, seed, state, layer, uses=networks_of(name, seed, state))


def networks_of(name: str, seed: int, state: str) -> list:
    """The networks that a cell depends on: the one that is measured, and the witness."""
    trained = state == "trained"
    net = zoo.load(name, seed, progress=False) if trained else models.build(name, seed)
    return [net, witness(name)]


def main(arguments: list[str] | None = None) -> None:
    """Measure what is not finished yet, and write the record if nothing is missing."""
    parser = record.parser(__doc__, units.RECORD)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="networks")
    given = parser.parse_args(arguments)
    kept = Kept("unit_semantics", given.fresh)
    wanted = [
        (name, seed, state, layer)
        for seed in SEEDS
        for name, layers in units.STUDIED.items()
        for layer in layers
        for state in ("trained", "untrained")
    ]
    finished = {"pixels": kept.get(pixels, uses=[witness("FC100-100-10")])}
    for name, seed, state, layer in wanted:
        if seed in given.seeds:
            key = f"{name}/{seed}/{state}/{layer}"
            began = time.perf_counter()
            finished[key] = measured(kept, name, seed, state, layer)
            print(f"{key}: {time.perf_counter() - began:.0f} s", flush=True)
    # the last cell of a seed; its network is not trained, so that to look for it trains none
    last = ("CONV", "untrained", "pool2")
    missing = [
        s
        for s in SEEDS
        if s not in given.seeds
        and not kept.has(cell, last[0], s, *last[1:], uses=networks_of(last[0], s, last[1]))
    ]
    if missing:
        print(f"Seeds {missing} are missing: the record is written when all are there.")
        return
    for what in wanted:
        name, seed, state, layer = what
        finished[f"{name}/{seed}/{state}/{layer}"] = measured(kept, *what)
    whole = {"machine": record.machine(), **rounded(assemble(finished))}
    storage.write_text(given.output, json.dumps(whole, indent=1) + "\n")
    print(f"{given.output.name} is written.")


if __name__ == "__main__":
    record.run(main)
