"""The records of a run, and what is read out of them: numbers with intervals beside the paper's.

A run may hold fewer networks, seeds and images than the course's own records, and may lack a record
altogether. What is not there is None here. A damaged record is told once, and counts as not there.
"""

import math
from pathlib import Path

from .. import paper, record
from .measured import Measured, Z, alone, over_networks
from .verdicts import Pair, of_one_network, printed_exactly, printed_mean, printed_share

NAMES = (
    "networks",
    "attacks",
    "transfer",
    "unit_semantics",
    "table5",
    "robust",
    "certificates",
    "pools",
    "pictures",
    "formulas",
    "photographs",
)
# made by programs of their own, by a full run alone, or with packages that may not be there: a
# report takes the course's where there is none
KEPT = ("robust", "certificates", "pools", "formulas", "photographs")
# how the paper's attack is read: a recorded random class, cross-entropy, the squared norm
CELL = "recorded/cross-entropy/squared"
SIZES = {"train": 60_000, "test": 10_000, "P1": 30_000, "P2": 30_000}


class Evidence:
    """The records in the folder ``folder``, each read when it is first asked for.

    also: a folder for those of :data:`KEPT` that ``folder`` has not; borrowed: which were read
    there. problems: a sentence for each record that could not be used, in the order in which that
    was noticed.
    """

    def __init__(self, folder: Path, also: Path | None = None):
        self.folder = Path(folder)
        self.also = also
        self.problems: list[str] = []
        self.borrowed: list[str] = []
        self._read: dict[str, dict] = {}

    def get(self, name: str) -> dict:
        """The record called ``name``, {} if there is none or it cannot be read."""
        if name not in self._read:
            path = self.folder / f"{name}.json"
            if self.also is not None and name in KEPT and not path.exists():
                path = Path(self.also) / f"{name}.json"
            self._read[name] = self._stored(path)
            if self._read[name] and path.parent != self.folder:
                self.borrowed.append(name)
        return self._read[name]

    def _stored(self, path: Path) -> dict:
        try:
            return record.stored(path)
        except record.DamagedRecord as error:
            self.problems.append(str(error))
        except OSError as error:
            self.problems.append(f"The record {path} cannot be read ({error.strerror}).")
        return {}

    def there(self) -> dict[str, dict]:
        """The records that are there, by name."""
        return {name: found for name in NAMES if (found := self.get(name))}

    def problem(self, name: str, error: Exception) -> str:
        """Note, and return, that a part of a record is not as it should be."""
        said = (
            f"The record {self.folder / f'{name}.json'} has a part that cannot be read "
            f"({type(error).__name__}: {error}): make it again."
        )
        if said not in self.problems:
            self.problems.append(said)
        return said


# --- Tables 1 and 3 ------------------------------------------------------------------------------


def error(evidence: Evidence, name: str, part: str) -> Measured | None:
    """A network's error rate on "train", "test", "P1" or "P2"."""
    entry = evidence.get("networks").get("networks", {}).get(name, {}).get("ours", {})
    values = [run[part] for run in entry.get("seeds", {}).values() if part in run]
    return over_networks(name, values, SIZES[part])


def spread_over_images(evidence: Evidence, name: str, cell: str = CELL) -> float | None:
    """The standard deviation of an image's distortion, the mean over networks."""
    runs = attack_runs(evidence, name, cell)
    sizes = [
        run["distortion"]["standard_error"] * run["distortion"]["n"] ** 0.5
        for run in runs
        if run["distortion"].get("standard_error") is not None
    ]
    return sum(sizes) / len(sizes) if sizes else None


def attack_runs(evidence: Evidence, name: str, cell: str = CELL) -> list[dict]:
    """The attack's outcome for each network of a name."""
    entry = evidence.get("attacks").get("networks", {}).get(name, {})
    return [run[cell] for run in entry.get("seeds", {}).values() if cell in run]


def distortion(evidence: Evidence, name: str, cell: str = CELL) -> Measured | None:
    """A network's mean distortion; the interval is over networks and images.

    All networks of a name get the same images, so their errors over images do not average out.
    """
    runs = [run["distortion"] for run in attack_runs(evidence, name, cell)]
    runs = [run for run in runs if run["n"]]
    if not runs:
        return None
    n = sum(run["n"] for run in runs) / len(runs)
    found = over_networks(name, [run["mean"] for run in runs], round(n))
    spread = spread_over_images(evidence, name, cell)
    if found.low is None or spread is None:
        return Measured(found.value, None, None, found.n, found.seeds)
    half = math.hypot(found.half, Z * spread / n**0.5)
    low, high = found.value - half, found.value + half
    # the fewer degrees, those over networks: so an interval is widened too much, never too little
    return Measured(found.value, low, high, found.n, found.seeds, found.df)


def error_pairs(evidence: Evidence, table: dict[str, paper.Row], parts) -> list[Pair]:
    """The errors of Table 1 or 3, network by network, for the parts of the data given: all of
    their images, here and there, so that no error over images plays a part."""
    pairs = []
    for name, row in table.items():
        for part in parts:
            here = error(evidence, name, part)
            theirs = of_one_network(printed_exactly(row.errors[part], 100), here)
            pairs.append(Pair(name, part, here, theirs))
    return pairs


def distortion_pairs(evidence: Evidence, table: dict[str, paper.Row]) -> list[Pair]:
    """The distortions of Table 1 or 3."""
    return [distortion_pair(evidence, name, row.distortion) for name, row in table.items()]


def distortion_pair(evidence: Evidence, name: str, printed: float, n=paper.SAMPLE) -> Pair:
    """A distortion that the paper prints, of n images, which are taken to spread like ours, and of
    one network, which is taken to vary like ours."""
    spread = spread_over_images(evidence, name) or 0.0
    runs = [run["distortion"] for run in attack_runs(evidence, name) if run["distortion"]["n"]]
    networks = over_networks(name, [run["mean"] for run in runs])
    theirs = of_one_network(printed_mean(printed, spread, n), networks)
    return Pair(name, "distortion", distortion(evidence, name), theirs)


# --- Tables 2 and 4 ------------------------------------------------------------------------------


def cells(evidence: Evidence, table: str) -> list[Pair]:
    """All cells of "table2" or "table4", those of a network on its own examples too.

    The interval of a share is the record's; there is none where one pair of networks stands for
    networks that training could have made otherwise.
    """
    printed, columns = {
        "table2": (paper.TABLE2, paper.TABLE2_COLUMNS),
        "table4": (paper.TABLE4, paper.TABLE4_COLUMNS),
    }[table]
    found = evidence.get("transfer")
    here = {(e["row"], e["column"]): e for e in found.get("paper", {}).get(table, [])}
    seeds = len(found.get("seeds", {}).get(table, []))
    pairs = []
    for row, shares in printed.items():
        for column, share in zip(columns, shares, strict=True):
            e, mine = here.get((row, column)), None
            if e is not None and e["here"] is not None:
                source = row.partition(", amplified")[0]
                lone = [name for name in (source, column) if name in paper.DECAY]
                known = seeds > 1 or all(map(alone, lone))
                low, high = (e["low"], e["high"]) if known else (None, None)
                networks = 1 if all(map(alone, lone)) else seeds
                mine = Measured(e["here"], low, high, found.get("n"), networks)
            theirs = printed_share(share)
            if e is not None:
                theirs = Measured(share, e["paper_low"], e["paper_high"], theirs.n, 1)
            pairs.append(Pair(row, column, mine, theirs))
    return pairs


def others(pairs: list[Pair]) -> list[Pair]:
    """All cells but those of a network on its own examples as they are, 100 % by construction."""
    return [p for p in pairs if p.row != p.column]


def row_size(evidence: Evidence, table: str, row: str) -> float | None:
    """The mean distortion of a row's images."""
    rows = evidence.get("transfer").get("tables", {}).get(table, {}).get("rows", {})
    return rows[row]["distortion"]["paper"] if row in rows else None


def statement(evidence: Evidence, key: str) -> tuple[dict | None, int]:
    """A statement's entry in the record of transfer, and the fewest seeds of its tables."""
    from ..transfer.statements import STATEMENTS

    found = evidence.get("transfer")
    entry = found.get("verdicts", {}).get(key)
    made = [len(found.get("seeds", {}).get(t, [])) for t in STATEMENTS[key].made_from]
    return entry, min(made, default=0)


# --- units, bounds, pools ------------------------------------------------------------------------


def layers(evidence: Evidence, names: tuple[str, ...] | None = None) -> dict[str, dict]:
    """ "NETWORK LAYER" -> the summary over trained networks, with "networks", how many."""
    found = {}
    for name, of_name in evidence.get("unit_semantics").get("networks", {}).items():
        if names is not None and name not in names:
            continue
        for layer, states in of_name.items():
            if "trained" in states:
                entry = states["trained"]
                found[f"{name} {layer}"] = entry["summary"] | {"networks": len(entry["seeds"])}
    return found


def certified(evidence: Evidence) -> dict[str, list[dict]]:
    """The entries of each network's seeds in the record of certificates."""
    networks = evidence.get("certificates").get("networks", {})
    return {name: list(entry["seeds"].values()) for name, entry in networks.items()}


# the rows of the record "pools" (the paper's network has sigmoids), by what the claims call them
POOLS = {
    "adversarial pools": "sigmoid: pools",
    "weight decay": "sigmoid: decay",
    "dropout": "sigmoid: dropout",
    "penalised bounds": "sigmoid: bounds",
    "input pool": "sigmoid: only input",
    "lower pool": "sigmoid: only lower",
    "upper pool": "sigmoid: only upper",
}


def in_pools(evidence: Evidence, method: str) -> dict[str, float]:
    """Test errors by seed of a network trained in a way of :data:`POOLS`; {} if not measured."""
    entry = evidence.get("pools").get("rows", {}).get(POOLS[method], {})
    return {seed: run["error"] for seed, run in entry.get("seeds", {}).items()}
