"""Tables 2, 3 and 4 with their controls: ``python benchmarks/transfer.py``.

Adversarial examples for seeded random images of every network and seed, shown to every other
network: course_lib/_assets/records/transfer.json, beside the machine that made it. What is
measured, and how the record is put together, is in :mod:`course_lib.reproduce.transfers` and
:mod:`course_lib.reproduce.agreement`, whose tasks ``course reproduce`` does too; the rules of the
verdicts, in :mod:`course_lib.transfer.statements`, are older than the record.

    python benchmarks/transfer.py                       # the record: 1000 images a row
    python benchmarks/transfer.py --n 200 --output /tmp/small.json
    python benchmarks/transfer.py --all --device cuda   # all 60 000 and 10 000 images, seed 0 alone
    python benchmarks/transfer.py --time                # how long Tables 2 to 4 take, SciPy beside

Finished measurements are kept in the course's folder, and so are the adversarial sets: an
interrupted run goes on where it stopped.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import torch

from course_lib import attacks, device, models, record, storage, transfer, zoo
from course_lib.data import load_mnist
from course_lib.reproduce import agreement, networks, running, transfers

PATH = storage.ASSETS / "records" / "transfer.json"
TIMES = Path(__file__).resolve().parent / "transfer_times.json"
SIX = transfers.SIX
SCIPY = {"bisections": 8, "maxiter": 150}  # the search that notebooks have, as in attacks.py


def tasks(n: int | None, seeds, half_seeds, deep: bool) -> list:
    """All that the record is made of; deep: also the nearest classes, curves, cosines and
    predictions."""
    halves = [(name, seed) for name in transfers.HALVES for seed in half_seeds]
    found = networks.training_tasks(halves)  # their errors are Table 3's
    found += transfers.tasks("table2", n, seeds) + transfers.tasks("table4", n, half_seeds)
    if deep:
        nearest = [s for s in seeds if s in transfers.NEAREST_SEEDS]
        few = [s for s in seeds if s in agreement.FEW_SEEDS]
        found += transfers.tasks("nearest2", n, nearest)
        found += transfers.tasks("nearest4", n, half_seeds)
        for table, which in (("table2", few), ("table4", list(half_seeds))):
            found += transfers.tasks(table.replace("table", "curve"), n, (0,))
            found += agreement.prediction_tasks(table, n, which)
        found += agreement.cosine_tasks("table2", n, few)
        found += agreement.cosine_tasks("table4", n, few)
    return found


def make(n: int | None, seeds, half_seeds, deep: bool, path: Path) -> None:
    """Measure everything and write the record to ``path``."""

    def say(task, result: dict, seconds: float) -> None:
        print(f"{task}: {seconds:.0f} s", flush=True)

    made = running.run(tasks(n, seeds, half_seeds, deep), progress=False, tell=say)
    for name, table in transfers.tables_of(made).items():
        if not name.startswith("curve"):
            print(f"{name}\n{table}\n", flush=True)
    found = agreement.assemble(made)
    storage.write_text(path, transfers.compact(found))
    for key, value in found["verdicts"].items():
        print(f"{value['verdict']} ({value['for']} of {value['of']} for it): {key}", flush=True)
        print(f"    {value['text']}", flush=True)


# --- the time ----------------------------------------------------------------------------------


def time_tables(n: int | None, where) -> dict:
    """Seconds for Tables 2, 3 and 4 once, nothing kept from before, the networks trained."""
    for name in (*SIX, *transfers.HALVES):
        zoo.load(name, 0, where)
    transfer.adversarial_set(
        zoo.load(SIX[0], 0, where), transfers.sample("train", 50, where), cache=False
    )
    taken = {}
    wall, cpu = time.perf_counter(), time.process_time()
    two = transfer.transfer_table(
        SIX, None, transfers.sample("train", n, where), noise=(0.1, 0.3), cache=False, device=where
    )
    str(two)
    taken["table2"] = round(time.perf_counter() - wall, 2)
    four = transfer.transfer_table(
        transfers.HALVES,
        None,
        transfers.sample("test", n, where),
        noise=(0.06, 0.1),
        stddev=transfers.STDDEV,
        cache=False,
        device=where,
    )
    str(four)
    nets = {name: zoo.load(name, 0, where) for name in transfers.HALVES}
    for net in nets.values():  # Table 3: the errors; its distortions are Table 4's rows
        for part in ("P1", "P2", "test"):
            models.error_rate(net, load_mnist(part, where))
    taken["tables 3 and 4"] = round(time.perf_counter() - wall - taken["table2"], 2)
    taken["wall_seconds"] = round(time.perf_counter() - wall, 2)
    taken["cpu_seconds"] = round(time.process_time() - cpu, 2)
    taken["images_per_row"] = n or "all"
    return taken


def time_scipy(n: int | None, images: int) -> dict:
    """Seconds that SciPy's L-BFGS-B, image by image, would take for the same rows: measured on
    ``images`` images of each of the nine networks, on one thread, and multiplied."""
    sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
    import scipy_worker

    found, whole = {}, 0.0
    with device.threads(1):
        for name in (*SIX, *transfers.HALVES):
            part = "test" if name in transfers.HALVES else "train"
            few = transfers.sample(part, images, "cpu")
            targets = attacks.recorded_targets(few)
            began = time.process_time()
            scipy_worker.lbfgsb(zoo.load(name, 0, "cpu"), few.images, few.labels, targets, **SCIPY)
            each = (time.process_time() - began) / images
            rows = n or len(load_mnist(part, "cpu"))
            found[name] = {"ms_per_image": round(1000 * each, 1)}
            whole += each * rows
    return {"images_each": images, "networks": found, "extrapolated_cpu_seconds": round(whole)}


def time_all(n: int | None, where, scipy_images: int, path: Path) -> None:
    """Print the times and keep them, by device and number of images, in ``path``."""
    where = device.pick(where)
    entry = {
        "machine": record.machine() | {"device": str(where), "threads": torch.get_num_threads()},
        "tables": time_tables(n, where),
    }
    if scipy_images:
        entry["scipy"] = time_scipy(n, scipy_images)
    print(json.dumps(entry, indent=1))
    record.merged(path, None, {f"{where.type}, {n or 'all'} images a row": entry})


def main() -> None:
    """Make the record, or measure the time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=1000, help="images in each row")
    parser.add_argument("--all", action="store_true", help="all images; seed 0 alone, no curves")
    parser.add_argument(
        "--seeds", type=int, default=len(transfers.SEEDS), help="networks of each name"
    )
    parser.add_argument(
        "--half-seeds", type=int, default=len(transfers.HALF_SEEDS), help="of each half's"
    )
    parser.add_argument("--device", default=None, help="cpu, cuda, ...; default: device.pick()")
    parser.add_argument("--time", action="store_true", help="how long Tables 2 to 4 take")
    parser.add_argument("--scipy", type=int, default=5, help="images for SciPy's time; 0: none")
    parser.add_argument("--output", default=None, help="where the outcome goes")
    given = parser.parse_args()
    if given.device:
        os.environ["COURSE_DEVICE"] = given.device  # as every task looks it up
    n = None if given.all else given.n
    if given.time:
        time_all(n, given.device, given.scipy, Path(given.output or TIMES))
        return
    seeds = range(1 if given.all else given.seeds)
    half_seeds = range(1 if given.all else given.half_seeds)
    if given.all and given.output is None:
        parser.error("--all is another record: say where it goes with --output.")
    path = Path(given.output or PATH)
    make(n, seeds, half_seeds, not given.all, path)


if __name__ == "__main__":
    main()
