"""Tables 2, 3 and 4 with their controls: the record transfer.json.

Adversarial examples for seeded random images of every network and seed, shown to every other
network. What :mod:`course_lib.transfer` measures and how sure it is stands there; the rules of the
verdicts, in :mod:`course_lib.transfer.statements`, are older than the record. A task makes the
examples for one network and shows them to all; :func:`tables_of` puts the tables together.
"""

import base64
import json
import re
import time
import zlib

import numpy as np
import torch

from .. import attacks, paper, record, transfer, zoo
from ..data import load_mnist
from ..transfer import making
from ..transfer.table import Row
from .task import Task, networks_of, seeds_of

SIX = tuple(paper.TABLE2_COLUMNS)
WIDE = (*SIX, "FC100-100-10-ReLU", "CONV")
HALVES = tuple(paper.TABLE4_COLUMNS)
SAMPLE_SEED, NOISE_SEED = 0, 0
SEEDS, HALF_SEEDS = range(5), range(3)
NEAREST_SEEDS = range(3)  # nine attacks an image
STDDEV = 0.1
CURVE = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3)


def sample(part: str, n: int | None, where=None):
    """``n`` seeded images of MNIST's ``part``; all of them for None."""
    whole = load_mnist(part, where)
    return whole if n is None else whole.sample(n, SAMPLE_SEED)


def settings_of(table: str, n: int | None, seeds) -> dict:
    """What decides a table: "table2", "table4", or "nearest2", "curve2", ... for the examples of
    the nearest class, and for changes of every size.

    The nearest class takes nine attacks an image, so CONV is no source there.
    """
    kind, two = table[:-1], table.endswith("2")
    columns = WIDE if two else HALVES
    sources = columns[:-1] if (kind, two) == ("nearest", True) else columns
    return {
        "table": table,
        "part": "train" if two else "test",
        "n": n,
        "sources": list(sources),
        "columns": list(columns),
        "seeds": list(seeds),
        "targets": "nearest" if kind == "nearest" else "random",
        "levels": list(CURVE) if kind == "curve" else [STDDEV],
        "noise": [] if kind == "curve" else [0.1, 0.3] if two else [0.06, 0.1],
    }


def tasks(table: str, n: int | None, seeds) -> list[Task]:
    """The tasks of a table: its rows without a source, and those of each source's networks."""
    settings = settings_of(table, n, seeds)
    sources = networks_of(settings["sources"], seeds)
    plain = Task("noise", table, 0, settings)
    return [plain, *(Task("examples", name, seed, settings) for name, seed in sources)]


def all_columns(task: Task) -> list[tuple[str, int]]:
    """The networks that a task shows images to, those that it attacks among them."""
    return networks_of(task.settings["columns"], task.settings["seeds"])


# --- what a task measures ------------------------------------------------------------------------


def columns_of(settings: dict) -> making.Columns:
    """The networks of a table."""
    names, seeds = settings["columns"], settings["seeds"]
    groups = {
        name: [zoo.load(name, seed, progress=False) for seed in seeds_of(name, seeds)]
        for name in names
    }
    return making.Columns(groups, max(map(len, groups.values())))


def packed(array: np.ndarray) -> dict:
    """An array as JSON can hold it, all of its bits."""
    data = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes())).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


def unpacked(entry: dict) -> np.ndarray:
    """The array that :func:`packed` was given."""
    data = zlib.decompress(base64.b64decode(entry["data"]))
    return np.frombuffer(data, entry["dtype"]).reshape(entry["shape"]).copy()


FIELDS_OF_ROW = ("used", "right", "targets", "distortion", "overshoot")


def examples(network: str, seed: int, settings: dict) -> dict:
    """The adversarial examples for one network, noise as large, and amplified ones, shown to all
    columns: the rows of its source, as far as they are this network's."""
    began = time.process_time()
    net, few = zoo.load(network, seed, progress=False), sample(settings["part"], settings["n"])
    made = transfer.adversarial_set(net, few, targets=settings["targets"])
    columns = columns_of(settings)
    rows = making.source_rows(network, [made], settings["levels"], NOISE_SEED, columns)
    found = [
        {
            "label": row.label,
            "kind": row.kind,
            "stddev": row.stddev,
            **{field: packed(getattr(row, field)[0]) for field in FIELDS_OF_ROW},
            "answers": packed(row.answers[0].astype(np.int8)),
        }
        for row in rows
    ]
    return {"rows": found, "cpu_seconds": round(time.process_time() - began, 2)}


def noise(network: str, seed: int, settings: dict) -> dict:
    """Gaussian noise, and clean images, shown to all columns; network: the table's name."""
    began = time.process_time()
    few, columns = sample(settings["part"], settings["n"]), columns_of(settings)
    found = []
    for level in (*making.noise_levels(settings["noise"], settings["levels"]), None):
        images = making.noisy(few, level, NOISE_SEED)
        size = attacks.distortion(images, few.images).cpu().numpy()
        answers = columns.answers(images).astype(np.int8)
        found.append({"stddev": level, "size": packed(size), "answers": packed(answers)})
    return {"rows": found, "cpu_seconds": round(time.process_time() - began, 2)}


# --- the tables ----------------------------------------------------------------------------------


def table_of(settings: dict, results: dict[Task, dict]) -> transfer.TransferTable:
    """A table from its finished tasks."""
    groups = {name: seeds_of(name, settings["seeds"]) for name in settings["columns"]}
    t = max(map(len, groups.values()))
    parts = {}
    for source in settings["sources"]:
        made = [
            results[Task("examples", source, seed, settings)]["rows"]
            for seed in seeds_of(source, settings["seeds"])
        ]
        parts[source] = [joined(source, several, t) for several in zip(*made, strict=True)]
    rows = [row for kind in zip(*parts.values(), strict=True) for row in kind]
    # one set of targets for each network that was attacked
    minimal = [row for row in rows if row.kind == "minimal"]
    aims = [row.targets[k] for row in minimal for k in np.unique(row.ids, return_index=True)[1]]
    for entry in results[Task("noise", settings["table"], 0, settings)]["rows"]:
        answers = unpacked(entry["answers"]).astype(np.int32)
        rows.append(making.plain_row(entry["stddev"], unpacked(entry["size"]), answers, aims))
    few = sample(settings["part"], settings["n"], "cpu")
    ids = np.array([np.arange(t) % len(group) for group in groups.values()])
    by_label = {row.label: row for row in rows}
    return transfer.TransferTable(tuple(groups), ids, by_label, few.labels.cpu().numpy(), few.name)


def joined(source: str, entries: tuple[dict, ...], t: int) -> Row:
    """The row of a source in ``t`` replicates, from the entries of its networks."""
    ids = np.arange(t) % len(entries)
    arrays = [np.stack([unpacked(e[field]) for e in entries])[ids] for field in FIELDS_OF_ROW]
    answers = np.stack([unpacked(e["answers"]).astype(np.int32) for e in entries])[ids]
    first = entries[0]
    return Row(first["label"], first["kind"], source, first["stddev"], ids, *arrays, answers)


def tables_of(results: dict[Task, dict]) -> dict[str, transfer.TransferTable]:
    """The tables of which all tasks are finished, by name."""
    found = {}
    for task in results:
        if task.experiment == "noise":
            settings = task.settings
            wanted = networks_of(settings["sources"], settings["seeds"])
            if all(Task("examples", *who, settings) in results for who in wanted):
                found[settings["table"]] = table_of(settings, results)
    return found


# --- the record's tables -------------------------------------------------------------------------


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


def table3(table: transfer.TransferTable, errors: dict[str, list[dict]]) -> dict:
    """Errors on P1, P2 and the test set, and the distortion of test images, beside the paper's.

    errors: the scores of each name's networks, in the order of the table's.
    """
    found = {}
    for name in HALVES:
        cards = errors[name]
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


def curves(made: dict) -> dict:
    """Strict error against stddev, for every pair, and for noise."""
    found = {}
    for key, table in made.items():
        pairs = {}
        for source in (*table.columns, None):
            label = "Gaussian noise" if source is None else source
            pairs[label] = {
                c: [short(v) for v in transfer.along(table, source, c)[1]] for c in table.columns
            }
        seeds = list(range(table.replicates))
        found[key.replace("curve", "table")] = {
            "stddev": list(CURVE),
            "seeds": seeds,
            "strict": pairs,
        }
    return found


def scores_of(results: dict[Task, dict], seeds: int) -> dict[str, list[dict]] | None:
    """The errors of the halves' networks by name, ``seeds`` of each; None if one is missing."""
    found = {
        name: [results.get(Task("training", name, seed)) for seed in range(seeds)]
        for name in HALVES
    }
    return None if any(None in scores for scores in found.values()) else found


def first_part(results: dict[Task, dict], made: dict[str, transfer.TransferTable]) -> dict:
    """The record's tables, what they say beside the paper's, and the verdicts."""
    any_task = next((t for t in results if t.experiment == "noise"), None)
    found = {
        "machine": record.machine() | {"threads": torch.get_num_threads()},
        "n": (any_task.settings["n"] if any_task else None) or "all",
        "sample_seed": SAMPLE_SEED,
        "seeds": {name: list(range(table.replicates)) for name, table in made.items()},
        "loss": "cross-entropy",
        "fields": list(FIELDS),
        "tables": {name: entry_of(table) for name, table in made.items()},
        "paper": {},
    }
    if "table2" in made:
        found["paper"]["table2"] = beside(made["table2"], paper.TABLE2, SIX)
    if "table4" in made:
        if errors := scores_of(results, made["table4"].replicates):
            found["paper"]["table3"] = table3(made["table4"], errors)
        found["paper"]["table4"] = beside(made["table4"], paper.TABLE4, HALVES)
    found["own_examples"] = {
        name: {
            label: {k: short(v) for k, v in entry.items()}
            for label, entry in transfer.own_examples(table).items()
        }
        for name, table in made.items()
    }
    found["verdicts"] = {
        key: value | {"text": transfer.STATEMENTS[key].text, "rule": transfer.STATEMENTS[key].rule}
        for key, value in transfer.verdicts(made).items()
    }
    found["comparisons"] = comparisons(made)
    seconds = sum(r.get("cpu_seconds", 0) for r in results.values())
    return found | {"cpu_seconds": round(seconds)}


# --- the record's file ---------------------------------------------------------------------------


def compact(found: dict) -> str:
    """JSON with one line for each innermost list or object: small, and readable in a diff."""
    text = json.dumps(found, indent=1, ensure_ascii=False)
    inner = re.compile(r"[\[{][^\[\]{}]*[\]}]")
    return inner.sub(lambda m: re.sub(r"\s*\n\s*", " ", m.group()), text) + "\n"
