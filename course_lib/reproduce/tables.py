"""Tables 1 to 5, the paper beside here, as data: the Markdown and the HTML are made of it.

A table is a dict: key, title, note, columns (head and unit), rows (name, and a cell for each
column). A cell: paper (a number or None), here (value, low, high, n, seeds; or None), agrees
(True, False; None where it is open or nothing is compared), compared.
"""

import math

from .. import paper
from . import evidence as read
from . import verdicts as rules
from .evidence import Evidence
from .stretching import bound_agrees
from .verdicts import Measured, Pair

OURS = ("FC100-100-10-ReLU", "CONV")  # no networks of the paper


def cell(here: Measured | None, printed: float | None, agrees=None, compared=False) -> dict:
    """A cell of a table; ``compared``: by the rule for one number, or a bound's."""
    mine = None
    if here is not None:
        mine = {
            "value": here.value,
            "low": here.low,
            "high": here.high,
            "n": here.n,
            "seeds": here.seeds,
        }
    return {"paper": printed, "here": mine, "agrees": agrees, "compared": compared}


def of_pair(pair: Pair) -> dict:
    """A cell with the paper's number and ours, and whether they agree by the rule."""
    word = rules.number(pair)
    agrees = {rules.REPRODUCED: True, rules.NOT: False}.get(word)
    return cell(pair.here, pair.paper.value, agrees, pair.here is not None)


def _by_network(key, title, note, table, parts, evidence: Evidence, more=()) -> dict:
    pairs = read.error_pairs(evidence, table, parts) + read.distortion_pairs(evidence, table)
    found = {(p.row, p.column): of_pair(p) for p in pairs}
    columns = [{"head": f"{PARTS[part]}, %", "unit": "%"} for part in parts]
    columns.append({"head": "av. min. distortion", "unit": "distortion"})
    rows = [
        {"name": name, "cells": [found[name, c] for c in (*parts, "distortion")]} for name in table
    ]
    for name in more:
        cells = [cell(read.error(evidence, name, part), None) for part in parts]
        cells.append(cell(read.distortion(evidence, name), None))
        rows.append({"name": name, "cells": cells})
    return {"key": key, "title": title, "note": note, "columns": columns, "rows": rows}


PARTS = {
    "train": "train error",
    "test": "test error",
    "P1": "error on P1",
    "P2": "error on P2",
}


def _shares(key, title, note, columns, distortions: dict, evidence: Evidence) -> dict:
    found = {(p.row, p.column): of_pair(p) for p in read.cells(evidence, key)}
    names = list(dict.fromkeys(row for row, _ in found))
    rows = []
    for name in names:
        size = read.row_size(evidence, key, name)
        size = None if size is None else Measured(size)
        cells = [found[name, column] for column in columns]
        rows.append({"name": name, "cells": [*cells, cell(size, distortions[name])]})
    heads = [{"head": f"{column}, %", "unit": "%"} for column in columns]
    heads.append({"head": "av. distortion", "unit": "distortion"})
    return {"key": key, "title": title, "note": note, "columns": heads, "rows": rows}


def _distortions(printed: dict, table: dict) -> dict[str, float]:
    """The distortion of each row of Table 2 or 4: of its examples, or the stddev in its name."""
    found = {}
    for row in printed:
        last = row.rpartition(" ")[2]
        found[row] = table[row].distortion if row in table else float(last)
    return found


def _table5(evidence: Evidence) -> dict:
    record = evidence.get("table5")
    layers, rows = record.get("layers", {}), []
    trained = record.get("weights") == "trained"
    for name, (size, stride, bound) in paper.TABLE5.items():
        e = layers.get(name)
        here = None if e is None else Measured(e["upper"], e["lower"], e["upper"])
        step = "" if stride is None else f", stride {stride}"
        agrees = bound_agrees(e, bound) if e is not None and trained else None
        rows.append(
            {
                "name": f"{name} ({size}{step})",
                "cells": [cell(here, bound, agrees, agrees is not None)],
            }
        )
    note = "Here: a proven upper bound [a lower and an upper one]. "
    note += (
        "The weights are trained ones."
        if trained
        else "The paper's weights are trained; here they are random, as before a training, so "
        "that the numbers are not to agree."
    )
    columns = [{"head": "upper bound", "unit": ""}]
    return {
        "key": "table5",
        "title": "Table 5: upper bounds of AlexNet's layers",
        "note": note,
        "columns": columns,
        "rows": rows,
    }


MAKERS = {
    "table1": lambda e: _by_network(
        "table1",
        "Table 1: the networks on MNIST",
        "The last two networks are not in the paper. Distortion of training images.",
        paper.TABLE1,
        ("train", "test"),
        e,
        OURS,
    ),
    "table2": lambda e: _shares(
        "table2",
        "Table 2: errors on training images distorted for the row's network",
        "A row: for whom the images were made. A column: who reads them.",
        paper.TABLE2_COLUMNS,
        _distortions(paper.TABLE2, paper.TABLE1),
        e,
    ),
    "table3": lambda e: _by_network(
        "table3",
        "Table 3: networks trained on disjoint halves",
        "P1 and P2 are the halves of the training images. Distortion of test images.",
        paper.TABLE3,
        ("P1", "P2", "test"),
        e,
    ),
    "table4": lambda e: _shares(
        "table4",
        "Table 4: errors on test images distorted for the row's network, across the halves",
        "A row: for whom the images were made. A column: who reads them.",
        paper.TABLE4_COLUMNS,
        _distortions(paper.TABLE4, paper.TABLE3),
        e,
    ),
    "table5": _table5,
}
RECORDS = {
    "table1": "networks",
    "table2": "transfer",
    "table3": "networks",
    "table4": "transfer",
    "table5": "table5",
}


def made(evidence: Evidence) -> list[dict]:
    """All tables of which something was measured. One whose record cannot be read is left out,
    and told in ``evidence.problems``."""
    found = []
    for key, maker in MAKERS.items():
        try:
            table = maker(evidence)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            evidence.problem(RECORDS[key], error)
            continue
        if any(c["here"] is not None for row in table["rows"] for c in row["cells"]):
            found.append(table)
    return found


def same(table: dict, what: str) -> str:
    """The images or networks behind a table's numbers, "a to b" where they differ."""
    values = [
        c["here"][what]
        for row in table["rows"]
        for c in row["cells"]
        if c["here"] is not None and c["here"][what] is not None
    ]
    numbers = sorted(v for v in values if not isinstance(v, str))
    words = sorted({v for v in values if isinstance(v, str)})
    if not numbers:
        return ", ".join(words)
    low, high = math.floor(numbers[0]), math.ceil(numbers[-1])
    return f"{low}" if low == high else f"{low} to {high}"
