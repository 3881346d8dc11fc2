"""Tables 2, 3 and 4 with their controls: ``python benchmarks/transfer.py``.

Adversarial examples for seeded random images of every network and seed, shown to every other
network: course_lib/_assets/records/transfer.json, beside the machine that made it. What
:mod:`course_lib.transfer` measures and how sure it is stands there; the rules of the verdicts, in
:mod:`course_lib.transfer.statements`, are older than the record.

    python benchmarks/transfer.py                       # the record: 1000 images a row
    python benchmarks/transfer.py --n 200 --output /tmp/small.json
    python benchmarks/transfer.py --all --device cuda   # all 60 000 and 10 000 images, seed 0 alone
    python benchmarks/transfer.py --time                # how long Tables 2 to 4 take, SciPy beside

The adversarial sets are kept in the course's folder: an interrupted run goes on where it stopped.
"""

import argparse
import itertools
import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import scipy.stats
import torch

from course_lib import attacks, device, models, paper, record, storage, transfer, zoo
from course_lib.data import load_mnist
from course_lib.transfer import gradients
from course_lib.transfer import table as tables

PATH = storage.ASSETS / "records" / "transfer.json"
TIMES = Path(__file__).resolve().parent / "transfer_times.json"
SIX = tuple(paper.TABLE2_COLUMNS)
WIDE = (*SIX, "FC100-100-10-ReLU", "CONV")
HALVES = tuple(paper.TABLE4_COLUMNS)
SAMPLE_SEED = 0
SEEDS, HALF_SEEDS = range(5), range(3)
NEAREST_SEEDS = range(3)  # nine attacks an image
STDDEV = 0.1
CURVE = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3)
FEW_SEEDS = range(3)  # of cosines and predictions
SCIPY = {"bisections": 8, "maxiter": 150}  # the search that notebooks have, as in attacks.py


# --- the tables --------------------------------------------------------------------------------


def sample(part: str, n: int | None, where):
    """``n`` seeded images of MNIST's ``part``; all of them for None."""
    whole = load_mnist(part, where)
    return whole if n is None else whole.sample(n, SAMPLE_SEED)


def make_tables(n: int | None, seeds, half_seeds, where=None, nearest: bool = True) -> dict:
    """{"table2", "table4", "nearest2", "nearest4"}: the TransferTables of the record.

    The nearest class takes nine attacks an image, so CONV is no source there.
    """
    train, test = sample("train", n, where), sample("test", n, where)
    two = {"noise": (0.1, 0.3), "stddev": STDDEV, "seeds": seeds, "device": where}
    four = {"noise": (0.06, 0.1), "stddev": STDDEV, "seeds": half_seeds, "device": where}
    found = {}
    print("Table 2", flush=True)
    found["table2"] = transfer.transfer_table(WIDE, None, train, **two)
    print("Table 4", flush=True)
    found["table4"] = transfer.transfer_table(HALVES, None, test, **four)
    if nearest:
        print("the nearest classes", flush=True)
        more = {"targets": "nearest"}
        two["seeds"] = [s for s in seeds if s in NEAREST_SEEDS]
        found["nearest2"] = transfer.transfer_table(WIDE[:-1], WIDE, train, **more, **two)
        found["nearest4"] = transfer.transfer_table(HALVES, None, test, **more, **four)
    return found


def short(value) -> float | None:
    """Four digits after the point, which is a hundredth of a per cent; None for no number."""
    if value is None or not np.isfinite(value):
        return None
    return round(float(value), 4)


FIELDS = ("mean", "low", "high", "over_images", "over_networks", "between", "pairs")


def cell_of(e: transfer.Estimate) -> list | None:
    """An Estimate as the record holds it: the values of :data:`FIELDS`."""
    if not np.isfinite(e.mean):
        return None
    values = (e.mean, e.low, e.high, e.over_images, e.over_networks, e.between)
    return [*(short(value) for value in values), e.networks]


def brief(e: transfer.Estimate) -> list | None:
    """Mean, low and high alone."""
    return None if not np.isfinite(e.mean) else [short(v) for v in (e.mean, e.low, e.high)]


def rows_of(table: transfer.TransferTable) -> dict:
    """What each row is: sizes, overshoot, how many images count and how many are left out."""
    found = {}
    for label, row in table.rows.items():
        conventions = transfer.table.CONVENTIONS
        found[label] = {
            "kind": row.kind,
            "source": row.source,
            "stddev": row.stddev,
            "networks": len(set(row.ids)),
            "left_out": table.left_out(label),
            "n": {c: short(table.shares(c).n[label]) for c in conventions},
            "distortion": {c: short(table.size(label, c)) for c in conventions},
            "overshoot": short(table.overshoot(label)),
        }
    return found


def entry_of(table: transfer.TransferTable, networks: bool = True) -> dict:
    """A table's part of the record."""
    found = {"images": table.dataset, "columns": list(table.columns), "rows": rows_of(table)}
    for convention in transfer.table.CONVENTIONS:
        found[convention] = {
            row: {c: cell_of(table.estimate(row, c, convention)) for c in table.columns}
            for row in table.rows
        }
    made = [row.label for row in table.rows.values() if row.kind in ("minimal", "amplified")]
    found["hits"] = {
        row: {c: brief(table.estimate(row, c, what="hit")) for c in table.columns} for row in made
    }
    found["excess"] = {
        row: {c: cell_of(table.excess(row, c)) for c in table.columns if c != table.row(row).source}
        for row in made
    }
    several = [c for k, c in enumerate(table.columns) if len(set(table.ids[k])) > 1]
    found["strangers"] = {
        row: cell_of(table.estimate(row, table.row(row).source, strangers=True))
        for row in made
        if table.row(row).source in several
    }
    if networks:
        minimal = [row for row in made if table.row(row).kind == "minimal"]
        found["by_network"] = {
            row: {c: by_network(table, row, c) for c in table.columns} for row in minimal
        }
    return found


def by_network(table: transfer.TransferTable, row: str, column: str) -> list[list]:
    """The strict share of each pair: source networks down, different target networks across."""
    k = table.columns.index(column)
    down, across = (
        np.unique(ids, return_index=True)[1] for ids in (table.row(row).ids, table.ids[k])
    )
    pairs = table.cell(row, column).by_pair()
    if table.row(row).source == column and len(across) > 1:
        others = table.cell(row, column, strangers=True).by_pair()
        pairs = np.where(np.isfinite(pairs), pairs, others)
    return [[short(v) for v in line] for line in pairs[down][:, across]]


def beside(table: transfer.TransferTable, printed: dict, columns) -> list[dict]:
    """Each cell that the paper prints, beside ours under its own convention."""
    return [
        {
            "row": e["row"],
            "column": e["column"],
            "here": short(e["here"].mean),
            "low": short(e["here"].low),
            "high": short(e["here"].high),
            "paper": e["paper"],
            "paper_low": short(e["low"]),
            "paper_high": short(e["high"]),
            "overlap": bool(e["overlap"]),
        }
        for e in transfer.against_paper(table, printed, columns)
    ]


def table3(table: transfer.TransferTable, seeds) -> dict:
    """Errors on P1, P2 and the test set, and the distortion of test images, beside the paper's."""
    found = {}
    for name in HALVES:
        cards = [zoo.card(name, seed)["scores"] for seed in seeds]
        row = table.row(name)
        each = [row.distortion[k][row.used[k] & row.right[k]].mean() for k in range(len(cards))]
        columns = {part: [card[part] for card in cards] for part in ("P1", "P2", "test")}
        columns["distortion"] = [float(value) for value in each]
        found[name] = {
            "here": {k: several(v) for k, v in columns.items()},
            "paper": {**paper.TABLE3[name].errors, "distortion": paper.TABLE3[name].distortion},
        }
    return found


def several(values: list[float]) -> dict:
    """Values of several networks: each, their mean, and the half-width of Student's interval."""
    found = {"networks": [short(v) for v in values], "mean": short(np.mean(values))}
    if len(values) > 1:
        found["half_width"] = short(record.interval(values)["half_width"])
    return found


# --- beyond the tables -------------------------------------------------------------------------


def curves(n: int | None, seeds, where=None) -> dict:
    """Strict error against stddev, for every pair, and for noise."""
    found = {}
    for key, names, part in (("table2", WIDE, "train"), ("table4", HALVES, "test")):
        made = transfer.curve(names, None, sample(part, n, where), CURVE, seeds=seeds, device=where)
        pairs = {}
        for source in (*names, None):
            label = "Gaussian noise" if source is None else source
            pairs[label] = {
                c: [short(v) for v in transfer.along(made, source, c)[1]] for c in names
            }
        found[key] = {"stddev": list(CURVE), "seeds": list(seeds), "strict": pairs}
    return found


def gradients_of(names, seeds, data, targets, untrained: bool = False) -> dict[str, list]:
    """{name: [unit gradients (N, pixels) of each network of that name]}."""
    found = {}
    for name in names:
        made = []
        for seed in sorted({zoo.replicate(name, s) for s in seeds}):
            net = models.build(name, seed).eval() if untrained else zoo.load(name, seed)
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


def cosines(n: int, seeds, where=None) -> dict:
    """The signed cosine of input gradients for every pair of names, and two nulls.

    "loss": of the loss's gradient; "target": of the way to the recorded target. shuffled: the rms
    for gradients at two different images; untrained: for networks as they were before training.
    """
    found = {}
    for key, names, part in (("table2", WIDE, "train"), ("table4", HALVES, "test")):
        data = sample(part, n, where)
        mixed = np.random.RandomState(SAMPLE_SEED).permutation(n)
        entry = {"null": short(data.images[0].numel() ** -0.5), "pairs": {}}
        for rule, targets in (("loss", None), ("target", attacks.recorded_targets(data))):
            trained = gradients_of(names, seeds, data, targets)
            raw = gradients_of(names, seeds, data, targets, untrained=True)
            for a, b in itertools.combinations_with_replacement(names, 2):
                if a == b and len(trained[a]) == 1:
                    continue
                cell = cosine_cell(trained[a], trained[b], (a, b))
                mean = transfer.hierarchical_bootstrap(cell, share=False)
                entry["pairs"].setdefault(f"{a} | {b}", {})[rule] = {
                    "mean": cell_of(mean),
                    "positive": short((cell.values[cell.valid] > 0).mean()),
                    "sd_over_images": short(cell.values[cell.valid].std()),
                    "shuffled": rms(cosine_cell(trained[a], trained[b], (a, b), mixed)),
                    "untrained": rms(cosine_cell(raw[a], raw[b], (a, b))),
                }
        found[key] = entry
    return found


def rms(cell: transfer.Cell) -> float:
    """The root mean square of the values that count."""
    return short(np.sqrt((cell.values[cell.valid] ** 2).mean()))


def predictions(table: transfer.TransferTable, names, data, seeds) -> dict:
    """Who is fooled, predicted for each ordered pair on images that were not used to fit it.

    The interval is that of the networks of seed 0, over images; networks: the areas of all seeds.
    """
    found = {}
    for a, b in itertools.permutations(names, 2):
        made = []
        for seed in seeds:
            source, target = zoo.load(a, seed), zoo.load(b, seed)
            examples = transfer.adversarial_set(source, data)
            rows = torch.from_numpy(table.images_used(a)[seed, seed])
            draws = 0 if made else 500
            made.append(transfer.who_is_fooled(source, target, examples, rows=rows, draws=draws))
        first = made[0]
        if first is None:
            found[f"{a} → {b}"] = None
            continue
        auc = {
            key: {k: short(v) for k, v in value.items()}
            | {"networks": [short(m.auc[key]["value"]) for m in made if m is not None]}
            for key, value in first.auc.items()
        }
        skill = {key: {k: short(v) for k, v in value.items()} for key, value in first.skill.items()}
        found[f"{a} → {b}"] = {
            "fooled": short(first.fooled),
            "fitted": first.fitted,
            "judged": first.judged,
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
        y.append(entry["strict"][tables.amplified_label(a, STDDEV)][b][0])
    rank = scipy.stats.spearmanr(x, y).statistic if len(set(x)) > 1 else None
    return {"spearman": short(rank), "pairs": len(x)}


# --- the record --------------------------------------------------------------------------------


def compact(found: dict) -> str:
    """JSON with one line for each innermost list or object: small, and readable in a diff."""
    text = json.dumps(found, indent=1, ensure_ascii=False)
    inner = re.compile(r"[\[{][^\[\]{}]*[\]}]")
    return inner.sub(lambda m: re.sub(r"\s*\n\s*", " ", m.group()), text) + "\n"


def comparisons(made: dict) -> dict:
    """Every comparison behind the verdicts: mean, low, high, and the widened upper end."""
    found = {}
    for key, statement in transfer.STATEMENTS.items():
        if set(statement.made_from) <= set(made):
            found[key] = {
                c.what: [short(v) for v in (c.mean, c.low, c.high, c.widest)]
                for c in transfer.statements.compare(statement, made)
            }
    return found


def make(n: int | None, seeds, half_seeds, where, nearest: bool, deep: bool, path: Path) -> None:
    """Measure everything and write the record to ``path``."""
    began = time.process_time()
    made = make_tables(n, seeds, half_seeds, where, nearest)
    for name, table in made.items():
        print(f"{name}\n{table}\n", flush=True)
    found = {
        "machine": record.machine() | {"threads": torch.get_num_threads()},
        "n": n or "all",
        "sample_seed": SAMPLE_SEED,
        "seeds": {name: list(range(table.replicates)) for name, table in made.items()},
        "loss": "cross-entropy",
        "fields": list(FIELDS),
        "tables": {name: entry_of(table) for name, table in made.items()},
        "paper": {
            "table2": beside(made["table2"], paper.TABLE2, SIX),
            "table3": table3(made["table4"], half_seeds),
            "table4": beside(made["table4"], paper.TABLE4, HALVES),
        },
        "own_examples": {
            name: {
                label: {k: short(v) for k, v in entry.items()}
                for label, entry in transfer.own_examples(table).items()
            }
            for name, table in made.items()
        },
    }
    found["verdicts"] = {
        key: value | {"text": transfer.STATEMENTS[key].text, "rule": transfer.STATEMENTS[key].rule}
        for key, value in transfer.verdicts(made).items()
    }
    found["comparisons"] = comparisons(made)

    def keep(what: str) -> None:
        found["cpu_seconds"] = round(time.process_time() - began)
        storage.write_text(path, compact(found))
        print(f"{what}: {found['cpu_seconds']} s so far", flush=True)

    keep("the tables")
    for key, value in found["verdicts"].items():
        print(f"{value['verdict']} ({value['for']} of {value['of']} for it): {key}", flush=True)
    if deep:
        deeper(found, made, n, seeds, half_seeds, where, keep)


def deeper(found: dict, made: dict, n, seeds, half_seeds, where, keep) -> None:
    """Curves (seed 0), cosines and predictions, into the record ``found``; keep() after each."""
    few = [s for s in seeds if s in FEW_SEEDS]
    found["curves"] = curves(n, (0,), where)
    keep("the curves")
    found["cosines"] = cosines(n, few, where)
    found["cosine_and_transfer"] = {
        name: cosine_and_transfer(found["tables"][name], found["cosines"][name]["pairs"])
        for name in ("table2", "table4")
    }
    keep("the cosines")
    jobs = (("table2", WIDE, "train", few), ("table4", HALVES, "test", half_seeds))
    found["predictions"] = {
        name: predictions(made[name], names, sample(part, n, where), which)
        for name, names, part, which in jobs
    }
    found["predicted"] = {
        name: predicted_well(value) for name, value in found["predictions"].items()
    }
    keep("the predictions")


# --- the time ----------------------------------------------------------------------------------


def time_tables(n: int | None, where) -> dict:
    """Seconds for Tables 2, 3 and 4 once, nothing kept from before, the networks trained."""
    for name in (*SIX, *HALVES):
        zoo.load(name, 0, where)
    transfer.adversarial_set(zoo.load(SIX[0], 0, where), sample("train", 50, where), cache=False)
    taken = {}
    wall, cpu = time.perf_counter(), time.process_time()
    two = transfer.transfer_table(
        SIX, None, sample("train", n, where), noise=(0.1, 0.3), cache=False, device=where
    )
    str(two)
    taken["table2"] = round(time.perf_counter() - wall, 2)
    four = transfer.transfer_table(
        HALVES,
        None,
        sample("test", n, where),
        noise=(0.06, 0.1),
        stddev=STDDEV,
        cache=False,
        device=where,
    )
    str(four)
    nets = {name: zoo.load(name, 0, where) for name in HALVES}
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
        for name in (*SIX, *HALVES):
            part = "test" if name in HALVES else "train"
            few = sample(part, images, "cpu")
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
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="networks of each name")
    parser.add_argument("--half-seeds", type=int, default=len(HALF_SEEDS), help="of each half's")
    parser.add_argument("--device", default=None, help="cpu, cuda, ...; default: device.pick()")
    parser.add_argument("--time", action="store_true", help="how long Tables 2 to 4 take")
    parser.add_argument("--scipy", type=int, default=5, help="images for SciPy's time; 0: none")
    parser.add_argument("--output", default=None, help="where the outcome goes")
    given = parser.parse_args()
    n = None if given.all else given.n
    if given.time:
        time_all(n, given.device, given.scipy, Path(given.output or TIMES))
        return
    seeds = range(1 if given.all else given.seeds)
    half_seeds = range(1 if given.all else given.half_seeds)
    if given.all and given.output is None:
        parser.error("--all is another record: say where it goes with --output.")
    path = Path(given.output or PATH)
    make(n, seeds, half_seeds, given.device, not given.all, not given.all, path)


if __name__ == "__main__":
    main()
