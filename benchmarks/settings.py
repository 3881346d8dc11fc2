"""The choice of each network's recipe: ``python benchmarks/settings.py [NETWORK ...]``.

Every candidate is trained on the network's images without their validation part (25 000 or 50 000
of them) and measured on that part. The test set is not loaded. For the sigmoid and ReLU networks
with hidden layers the candidate with the lowest validation error among those with at most 0.1 %
training error is chosen. The outcome is course_lib/_assets/records/settings.json; a test compares
it with the recipes of course_lib/zoo.py. Finished measurements are kept (:mod:`course_lib.kept`),
so that an interrupted run goes on where it stopped, until the code changes; ``--fresh`` forgets
them.
"""

import dataclasses
import itertools
import statistics

from course_lib import models, record, storage, zoo
from course_lib.data import load_mnist
from course_lib.kept import Kept
from course_lib.zoo import Recipe

PATH = storage.ASSETS / "records" / "settings.json"
LARGEST_TRAINING_ERROR = 0.001
SEEDS = (10, 11)  # none of the record's


def grid(**choices) -> list[Recipe]:
    """The recipes of all combinations of ``choices``."""
    values = itertools.product(*choices.values())
    return [Recipe(**dict(zip(choices, v, strict=True))) for v in values]


CANDIDATES = {
    "FC100-100-10": [
        *grid(decay=(1e-5, 2e-5, 4e-5), learning_rate=(1e-2,), epochs=(30,)),
        *grid(decay=(4e-5,), learning_rate=(3e-3, 2e-2), epochs=(30,)),
        *grid(decay=(4e-5,), learning_rate=(1e-2,), epochs=(60,)),
    ],
    "FC200-200-10": grid(decay=(2e-5, 4e-5), learning_rate=(1e-2,), epochs=(30,)),
    "FC100-100-10@P1": grid(decay=(4e-5, 8e-5), learning_rate=(1e-2,), epochs=(60,)),
    "FC123-456-10@P1": grid(decay=(4e-5, 8e-5), learning_rate=(1e-2,), epochs=(60,)),
    "FC100-100-10-ReLU": [
        *grid(decay=(1e-5, 5e-5), learning_rate=(1e-3,), epochs=(20,)),
        *grid(decay=(5e-5,), learning_rate=(3e-3,), epochs=(20,)),
    ],
    "AE400-10": [
        Recipe("autoencoder", 1e-5, epochs=5, batch_size=250, filter_decay=5e-4),
        Recipe("autoencoder", 1e-5, epochs=5, batch_size=250),
        Recipe("autoencoder", 1e-5, epochs=14, batch_size=250),
        Recipe("autoencoder", 1e-4, epochs=14, batch_size=250),
    ],
    "CONV": grid(decay=(1e-5, 1e-4), learning_rate=(5e-3,), epochs=(6,)),
}
# as in the paper, the twin on the other half has the settings of the first
SAME_AS = {"FC100-100-10@P2": "FC100-100-10@P1"}


def parts(name: str) -> tuple[str, str]:
    """The parts of the training images to fit on and to validate on."""
    half = models.network(name).trained_on
    return ("fit", "validation") if half == "train" else (f"{half}/fit", f"{half}/validation")


def measure(name: str, candidate: Recipe, seed: int) -> dict[str, float]:
    """Errors on the images it was trained on and on the validation images."""
    fit, validation = (load_mnist(part) for part in parts(name))
    net = zoo.train(name, seed, dataset=fit, chosen=candidate)
    return {"fit": models.error_rate(net, fit), "validation": models.error_rate(net, validation)}


def choose(rows: list[dict]) -> dict:
    """The row of lowest mean validation error among those that fit their training images."""
    fitting = [row for row in rows if row["fit"] <= LARGEST_TRAINING_ERROR] or rows
    return min(fitting, key=lambda row: row["validation"])


def main(arguments: list[str] | None = None) -> None:
    """Measure all candidates of the names that are asked for, and write the record."""
    given = record.parser(__doc__, PATH, CANDIDATES).parse_args(arguments)
    kept = Kept("settings", given.fresh)
    for name in given.names or CANDIDATES:
        before = record.stored(given.output).get("networks", {}).get(name, {"candidates": []})
        rows = []
        for candidate in CANDIDATES[name]:
            runs = [kept.get(measure, name, candidate, seed) for seed in SEEDS]
            means = {key: statistics.fmean(r[key] for r in runs) for key in runs[0]}
            row = {"recipe": dataclasses.asdict(candidate), **means}
            rows.append(row)
            print(
                f"{name}: decay {candidate.decay:g}, rate {candidate.learning_rate:g}, "
                f"{candidate.epochs} epochs: fit {row['fit']:.3%}, "
                f"validation {row['validation']:.2%}",
                flush=True,
            )
            tried = [r["recipe"] for r in rows]
            every = rows + [row for row in before["candidates"] if row["recipe"] not in tried]
            entry = {"candidates": every, "chosen": choose(every)["recipe"]}
            head = {"machine": record.machine()}
            record.merged(given.output, "networks", {name: entry}, head)


if __name__ == "__main__":
    record.run(main)
