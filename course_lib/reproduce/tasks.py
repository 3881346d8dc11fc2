"""All that ``course reproduce`` measures, as a list of independent tasks, and the records that are
put together from them.

An :class:`Experiment` says which function measures a task, and which networks it needs; a
:class:`Mode` how much is measured; a table or figure of the paper is a list of tasks
(:func:`grid`), and a :class:`Record` is made of all tasks of some experiments.
"""

import dataclasses
import importlib
import json
from collections.abc import Callable

from .. import models, paper, units, zoo
from . import agreement, distortions, hardening, networks, norms, photographs, semantics, transfers
from .measured import CONVEX
from .task import Task, itself, networks_of

TABLES = ("table1", "table2", "table3", "table4", "table5", "formulas")
TABLES += ("figure1", "figure2", "figure3", "figure4", "figure5", "figure6", "figure7", "training")


def convex_ones(task: Task) -> list[tuple[str, int]]:
    """The networks of the formulas."""
    return [(name, 0) for name in CONVEX]


def shown_in_pictures(task: Task) -> list[tuple[str, int]]:
    """The networks of the figures: the one of Figures 1 and 2, and several of Figure 7's."""
    several = networks_of(paper.FIGURE7, range(task.settings["networks"]))
    return [("FC100-100-10", 0), *several]


def no_network(task: Task) -> list[tuple[str, int]]:
    """For what is measured without a network of the zoo."""
    return []


# --- experiments ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Experiment:
    """How the tasks of one kind are done.

    module, function: function(network, seed, settings) of a module of this package gives the
    result, which JSON can hold; needs(task): the networks (name, seed) that it depends on; cost:
    (task) -> about how many seconds of one core, for a first estimate of what is left.
    """

    module: str
    function: str
    needs: Callable[[Task], list[tuple[str, int]]]
    cost: Callable[[Task], float]

    @property
    def measure(self) -> Callable:
        """The function, looked up when it is needed."""
        return getattr(importlib.import_module(f"{__package__}.{self.module}"), self.function)


# seconds of one core, measured: to train a network, and for the attack on a thousand images
TRAINING = {"FC100-100-10": 60, "FC200-200-10": 40, "AE400-10": 45, "FC100-100-10-ReLU": 22}
TRAINING |= {"CONV": 70, "FC100-100-10@P1": 30, "FC100-100-10@P2": 30, "FC123-456-10@P1": 45}
ATTACK = {"CONV": 70.0, "AE400-10": 8.0, "FC10(1e-4)": 2.0, "FC10(1e-2)": 2.0, "FC10(1)": 2.0}


def of_training(task: Task) -> float:
    """Long for a network that is not there."""
    there = zoo.find(task.network, zoo.replicate(task.network, task.seed)) is not None
    return 1.0 if there else TRAINING.get(task.network, 5.0)


def of_attack(task: Task) -> float:
    """By the number of images and of targets."""
    settings = task.settings
    images = settings.get("images") or settings["n"] or 60_000
    nine = settings.get("rule") == "all" or settings.get("targets") == "nearest"
    each = ATTACK.get(task.network, 5.0) * (9 if nine else 1)
    return 1.0 + each * images / 1000


def of_images(task: Task) -> float:
    """By the number of images alone."""
    return 1.0 + (task.settings["n"] or 60_000) / 500


def of_units(task: Task) -> float:
    """Wide layers cost most."""
    bases = task.settings["bases"]["bases"] / 100
    wide = {"CONV": 100, "AE400-10": 15, "FC200-200-10": 5, "pixels": 20}
    return 1.0 + wide.get(task.network, 2.5) * bases


EXPERIMENTS = {
    "training": Experiment("networks", "errors", itself, of_training),
    "literal": Experiment(
        "networks", "literal_errors", networks.of_literal, lambda t: TRAINING.get(t.network, 5)
    ),
    "distortions": Experiment("distortions", "cell", itself, of_attack),
    "monotone": Experiment("distortions", "monotone", itself, lambda t: 1.5 * t.settings["n"]),
    "examples": Experiment("transfers", "examples", transfers.all_columns, of_attack),
    "noise": Experiment("transfers", "noise", transfers.all_columns, of_images),
    "cosines": Experiment("agreement", "cosines", transfers.all_columns, of_images),
    "predictions": Experiment("agreement", "predictions", agreement.same_seed, of_images),
    "units": Experiment("semantics", "layer", semantics.needs, of_units),
    "pixels": Experiment("semantics", "pixels", semantics.witness_alone, of_units),
    "hardening": Experiment("hardening", "row", hardening.stranger, hardening.cost),
    "norms": Experiment("norms", "bound", no_network, lambda t: 7.0),
    "pictures": Experiment("pictures", "task", shown_in_pictures, lambda t: 10.0),
    "photographs": Experiment("photographs", "part", photographs.needs, photographs.cost),
    "formulas": Experiment("formulas", "task", convex_ones, lambda t: 5.0 + t.settings["n"] / 100),
}


def experiment(task: Task) -> Experiment:
    """The experiment of a task."""
    return EXPERIMENTS[task.experiment]


def compute(task: Task) -> dict:
    """Do a task: what it found, as JSON gives it back. Networks that are not there are trained."""
    found = experiment(task).measure(task.network, task.seed, task.settings)
    return json.loads(json.dumps(found))


# --- how much is measured ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Mode:
    """How much is measured.

    n: images of each row, None for all; seeds: networks of each name, other than those of the
    convex ones; half_seeds: of each half's; nearest_seeds: of those with nine attacks an image, 0
    for none; cells: of :data:`distortions.CELLS`; deep_seeds: of cosines and predictions, 0 for
    none, and for no curves; literal: the seeds trained with the paper's own decay, by the method of
    training; studied: layers whose units are measured, in unit_seeds networks each, with so many
    bases; monotone: images for the scan over c; pictures: images under Figure 7's noise; hardened:
    networks of each way to train against adversarial examples, 0 for those of the course's record;
    photographs: whether networks of photographs are measured; relatives: more than one, and what
    lesson 09 says beside the paper's figures.
    """

    n: int | None
    seeds: int
    half_seeds: int
    nearest_seeds: int
    cells: tuple
    deep_seeds: int
    literal: dict[str, int]
    studied: dict[str, tuple[str, ...]]
    unit_seeds: int
    bases: dict[str, int]
    untrained: bool
    monotone: int
    pictures: int
    hardened: int
    photographs: bool
    relatives: bool


FORMULAS = 1000  # images of each convex network are enough for the penalty method's excess
# seconds for a layer of a hundred units, and a randomisation test that can still say p < 0.05
FEW_BASES = {"bases": 39, "wide": 39, "control": 2, "ranked": 3, "wide control": 1}
MORE_BASES = FEW_BASES | {"bases": 99, "control": 3}
MODES = {
    "quick": Mode(
        n=100,
        seeds=1,
        half_seeds=1,
        nearest_seeds=0,
        cells=distortions.CELLS[:1],
        deep_seeds=0,
        literal={},
        studied={"FC100-100-10-ReLU": units.STUDIED["FC100-100-10-ReLU"]},
        unit_seeds=2,
        bases=FEW_BASES,
        untrained=False,
        monotone=0,
        pictures=1000,
        hardened=0,
        photographs=False,
        relatives=False,
    ),
    "default": Mode(
        n=256,
        seeds=3,
        half_seeds=3,
        nearest_seeds=1,
        cells=tuple(distortions.CELLS[k] for k in (0, 2, 5)),
        deep_seeds=1,
        literal={},
        studied={name: layers for name, layers in units.STUDIED.items() if name != "CONV"},
        unit_seeds=3,
        bases=MORE_BASES,
        untrained=False,
        monotone=0,
        pictures=1000,
        hardened=0,
        photographs=True,
        relatives=False,
    ),
    "full": Mode(
        n=None,
        seeds=5,
        half_seeds=5,
        nearest_seeds=3,
        cells=distortions.CELLS,
        deep_seeds=3,
        literal={"convex": 1, "autoencoder": 3, "steps": 3},
        studied=units.STUDIED,
        unit_seeds=10,
        bases=semantics.BASES,
        untrained=True,
        monotone=60,
        pictures=10_000,
        hardened=5,
        photographs=True,
        relatives=True,
    ),
}


def mode_called(name: str) -> Mode:
    """The mode of that name; ValueError, listing them, for another."""
    if name not in MODES:
        raise ValueError(f"There is no mode {name!r}: use one of {', '.join(MODES)}.")
    return MODES[name]


# --- the tables ----------------------------------------------------------------------------------


def of_transfer(mode: Mode, which: str, seeds: int) -> list[Task]:
    """The tasks of Table 2 or 4 (``which`` is their figure), and of what explains them."""
    table, found = f"table{which}", []
    found += transfers.tasks(table, mode.n, range(seeds))
    if mode.nearest_seeds:
        few = range(min(seeds, mode.nearest_seeds))
        found += transfers.tasks(f"nearest{which}", mode.n, few)
    if mode.deep_seeds:
        few = list(range(min(seeds, mode.deep_seeds)))
        found += transfers.tasks(f"curve{which}", mode.n, (0,))
        found += agreement.cosine_tasks(table, mode.n, few)
        found += agreement.prediction_tasks(table, mode.n, few)
    return found


def of_networks(mode: Mode, names) -> list[Task]:
    """Training and errors of ``names``, the literal decay included."""
    found = []
    for name in names:
        seeds = mode.half_seeds if name in transfers.HALVES else mode.seeds
        found += networks.training_tasks((name, zoo.replicate(name, s)) for s in range(seeds))
        few = range(mode.literal.get(zoo.recipe(name).method, 0))
        found += networks.literal_tasks([name], few)
    return found


def of_distortions(mode: Mode, names, seeds: int) -> list[Task]:
    """The distortions of ``names``, and the scan over c."""
    found = distortions.tasks(names, range(seeds), mode.n, mode.cells)
    return found + distortions.monotone_tasks(names, mode.monotone)


def of_units_in(mode: Mode) -> list[Task]:
    """The units of the studied layers."""
    if not mode.studied:
        return []
    states = ("untrained",) if mode.untrained else ()
    return semantics.tasks(mode.studied, range(mode.unit_seeds), mode.bases, states)


def of_photographs(mode: Mode, figure: str) -> list[Task]:
    """What is measured of networks of photographs for a figure, or for Table 5."""
    if not mode.photographs:
        return []
    beside = photographs.BESIDE if mode.relatives and figure == "figure5" else ()
    return photographs.tasks((*photographs.FIGURES[figure], *beside), mode.relatives)


def of_table(mode: Mode, table: str) -> list[Task]:
    """All tasks that a table or figure is made of, the training of networks apart."""
    shown = [Task("pictures", "pictures", 0, {"n": mode.pictures, "networks": mode.seeds})]
    if table == "table1":
        wide = transfers.WIDE
        return [*of_networks(mode, wide), *of_distortions(mode, wide, mode.seeds)]
    if table == "table2":
        return of_transfer(mode, "2", mode.seeds)
    if table == "table3":
        halves = transfers.HALVES
        made = [*of_networks(mode, halves), *of_distortions(mode, halves, mode.half_seeds)]
        return made + transfers.tasks("table4", mode.n, range(mode.half_seeds))
    if table == "table4":
        return of_transfer(mode, "4", mode.half_seeds)
    if table == "table5":
        return [*norms.tasks(tuple(paper.TABLE5)), *of_photographs(mode, table)]
    if table == "formulas":
        return [Task("formulas", "formulas", 0, {"n": min(mode.n or FORMULAS, FORMULAS)})]
    if table in ("figure1", "figure2"):
        return [*of_units_in(mode), *shown]
    if table == "figure7":
        return shown
    if table in photographs.FIGURES:
        return of_photographs(mode, table)
    hard = hardening.tasks(seeds=mode.hardened) if mode.hardened else []
    return [*of_networks(mode, models.NETWORKS), *hard]


def check_tables(only) -> tuple[str, ...]:
    """The tables and figures asked for, all for none; ValueError, listing them, for another."""
    for table in only or ():
        if table not in TABLES:
            raise ValueError(
                f"There is no table or figure {table!r} here: use some of {', '.join(TABLES)}."
            )
    return tuple(dict.fromkeys(only or TABLES))


def grid(mode: str, only=None) -> list[Task]:
    """The tasks of a mode ("quick", "default", "full"), for some tables and figures or for all.

    Each is independent of the others' results; all networks that one needs have a task of their
    own, at the head of the list. Long ones come first, so that no long one is left over at the end.
    Raises ValueError for an unknown mode or table, with those that there are.
    """
    chosen = mode_called(mode)
    wanted = {task: None for table in check_tables(only) for task in of_table(chosen, table)}
    needed = [need for task in wanted for need in experiment(task).needs(task)]
    every = list(dict.fromkeys([*networks.training_tasks(needed), *wanted]))
    cost = {task: experiment(task).cost(task) for task in every}
    return sorted(every, key=lambda task: (task.experiment != "training", -cost[task]))


# --- the records ---------------------------------------------------------------------------------


def as_text(found: dict) -> str:
    """A record's file."""
    return json.dumps(found, indent=1) + "\n"


def the_one(results: dict[Task, dict]) -> dict:
    """A record that is one task's result."""
    return next(iter(results.values()))


@dataclasses.dataclass(frozen=True)
class Record:
    """A record: of which experiments' tasks it is made, how, and what its file looks like."""

    experiments: tuple[str, ...]
    assemble: Callable[[dict[Task, dict]], dict]
    text: Callable[[dict], str] = as_text


TRANSFER = ("noise", "examples", "cosines", "predictions", "training")
RECORDS = {
    "networks": Record(("training", "literal"), networks.assemble),
    "attacks": Record(("distortions", "monotone"), distortions.assemble),
    "transfer": Record(TRANSFER, agreement.assemble, transfers.compact),
    "unit_semantics": Record(("pixels", "units"), semantics.assemble),
    "pools": Record(("hardening",), hardening.assemble),
    "table5": Record(("norms",), norms.assemble),
    "pictures": Record(("pictures",), the_one),
    "formulas": Record(("formulas",), the_one),
    "photographs": Record(("photographs",), photographs.assemble),
}


def assemble(name: str, results: dict[Task, dict]) -> dict | None:
    """The record called ``name`` from finished tasks; None where none of them is its own."""
    record = RECORDS[name]
    mine = {t: r for t, r in results.items() if t.experiment in record.experiments}
    own = [t for t in mine if t.experiment != "training" or name == "networks"]
    return record.assemble(mine) if own else None
