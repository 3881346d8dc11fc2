"""Certificates and attacks on the same images: ``python benchmarks/certificates.py [NETWORK ...]``.

For every network of the zoo, five seeds of each (one of FC10, which has one optimum, and of CONV),
on seeded random test images that the network gets right: the certified radius in its forms, the
distance at which the attack finds another class, and their ratio, which is at most 1 and is the
figure to improve. Beside them the bounds of the network: of its layers, their product, the tighter
one, the largest slope found; all over the median margin too, since the logits have no scale.

The outcome is course_lib/_assets/records/certificates.json, beside the machine that made it.
Finished measurements are kept (:mod:`course_lib.kept`), so that an interrupted run goes on where
it stopped, until the code or a network changes; ``--fresh`` forgets them.
"""

import math
import statistics
import time

import torch

from course_lib import attacks, models, record, spectral, storage, zoo
from course_lib.data import load_mnist
from course_lib.kept import Kept

PATH = storage.ASSETS / "records" / "certificates.json"
SAMPLE_SEED = 0
RADII = (0.1, 0.3, 0.5, 1.0, 1.58)  # pixels; the last is that of published certificates
EACH = ("pairs", "tight", "local", "box")  # kept image by image for seed 0
FEWER = {"AE400-10": 0.5, "CONV": 0.5}  # of the images, where a certificate takes seconds


def seeds_of(name: str, count: int) -> range:
    """Which replicates: one where there is one optimum, and of CONV, which is shown but once."""
    return range(1 if zoo.recipe(name).method == "convex" or name == "CONV" else count)


def spread(values: torch.Tensor) -> dict[str, float]:
    """Median and extremes of (N,) values."""
    values = values.double()
    return {
        "median": float(values.median()),
        "smallest": float(values.min()),
        "largest": float(values.max()),
    }


def bounds(net, margin: float) -> dict:
    """A network's layers and its bounds, as logarithms and over the median margin."""
    found = spectral.lipschitz(net, (1, 28, 28))
    keys = ("name", "kind", "size", "stride", "lower", "upper")
    return {
        "layers": [{key: getattr(layer, key) for key in keys} for layer in found.layers],
        "log_product": found.log_product,
        "log_tight": found.log_tight,
        "log_lower": found.log_lower,
        "over_margin": found.over(margin),
    }


def measure(name: str, seed: int, n: int) -> dict:
    """One network: bounds, radii, distances, on those of ``n`` test images that it gets right.

    Of seed 0 the images are kept one by one in "each": "right" of all n, the rest of the right
    ones in their order.
    """
    net = zoo.load(name, seed, device="cpu")
    few = load_mnist("test", "cpu").sample(n, SAMPLE_SEED)
    right = models.predictions(net, few.images) == few.labels
    few = few[right]
    began = time.process_time()
    found = attacks.minimal_adversarial(net, few.images, labels=few.labels)
    attack_seconds = time.process_time() - began
    distance = found.l2.double()
    margin = float(spectral.margins(net, few.images, few.labels).median())
    outcome = {
        "images": n,
        "misclassified": int((~right).sum()),
        "failures": int((~found.success).sum()),
        "median_margin": margin,
        "bounds": bounds(net, margin),
        "attack": {"distance": spread(distance), "cpu_seconds": round(attack_seconds, 2)},
        "certificates": {},
    }
    each = {"right": right.int().tolist(), "distance": [round(d, 4) for d in distance.tolist()]}
    for method in spectral.METHODS:
        began = time.process_time()
        radii = spectral.certified_radius(net, few.images, few.labels, method)
        seconds = time.process_time() - began
        at = spectral.certified_accuracy(radii, torch.tensor(RADII)) * len(few) / n
        outcome["certificates"][method] = {
            "radius": spread(radii),
            "ratio": spread((radii / distance)[found.success]),
            "accuracy": {str(r): float(share) for r, share in zip(RADII, at, strict=True)},
            "cpu_seconds": round(seconds, 2),
        }
        if method in EACH:  # rounded down: a rounded radius is still a promise
            each[method] = [math.floor(r * 1e4) / 1e4 for r in radii.tolist()]
    if seed == 0:
        outcome["each"] = each
    if zoo.recipe(name).method == "convex":  # without the box the distance is known exactly
        exact = attacks.linear_distance(net, few.images, labels=few.labels).amin(1)
        radii = spectral.certified_radius(net, few.images, few.labels, "pairs")
        outcome["closed_form"] = {"largest_difference": float((radii - exact).abs().max())}
    return outcome


def summarise(runs: dict[str, dict]) -> dict:
    """Each certificate's median ratio, over the seeds, and the smallest of all ratios."""
    found = {}
    for method in spectral.METHODS:
        rows = [run["certificates"][method] for run in runs.values()]
        medians = [row["ratio"]["median"] for row in rows]
        center = (
            record.interval(medians)
            if len(medians) > 1
            else {"mean": medians[0], "half_width": None}
        )
        found[method] = {
            "median_ratio": center,
            "smallest_ratio": min(row["ratio"]["smallest"] for row in rows),
            "largest_ratio": max(row["ratio"]["largest"] for row in rows),
            "median_radius": statistics.fmean(row["radius"]["median"] for row in rows),
        }
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, and write the record."""
    parser = record.parser(__doc__, PATH, models.NETWORKS, seeds=len(record.SEEDS), n=200)
    given = parser.parse_args(arguments)
    kept = Kept("certificates", given.fresh)
    for name in given.names or models.NETWORKS:
        n = round(given.n * FEWER.get(name, 1.0))
        runs = {}
        for seed in seeds_of(name, given.seeds):
            net = zoo.load(name, seed, device="cpu")
            runs[str(seed)] = got = kept.get(measure, name, seed, n, uses=[net])
            ratios = ", ".join(
                f"{method} {row['ratio']['median']:.3f}"
                for method, row in got["certificates"].items()
            )
            print(f"{name}, seed {seed}: median of radius / distance: {ratios}", flush=True)
        made = {"seeds": runs, "summary": summarise(runs)}
        head = {
            "machine": record.machine() | {"threads": torch.get_num_threads()},
            "images": f"{given.n} of MNIST's test images, drawn with seed {SAMPLE_SEED}",
            "share_of_images": FEWER,
            "radii": list(RADII),
        }
        record.merged(given.output, "networks", {name: made}, head, models.NETWORKS)


if __name__ == "__main__":
    record.run(main)
