"""A task: one measurement of one network, which needs nothing of another task but the network."""

import dataclasses
import json

from .. import models, zoo


@dataclasses.dataclass(frozen=True)
class Task:
    """One measurement: of what, of which network, and how.

    experiment: a key of ``tasks.EXPERIMENTS``; network: its name, or what else there is one task
    for each of (a layer of Table 5, a table); seed: which replicate; settings: all else that
    decides the outcome, as JSON has it.
    """

    experiment: str
    network: str
    seed: int = 0
    settings: dict = dataclasses.field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.experiment}, {self.network}, seed {self.seed}"

    @property
    def key(self) -> str:
        """A text that no other task has."""
        return json.dumps(dataclasses.astuple(self), sort_keys=True)


def seeds_of(name: str, seeds) -> list[int]:
    """Of which seeds there are different networks called ``name``: a convex one has one optimum."""
    return sorted({zoo.replicate(name, seed) for seed in seeds})


def networks_of(names, seeds) -> list[tuple[str, int]]:
    """(name, seed) of all different networks called so."""
    return [(name, seed) for name in names for seed in seeds_of(name, seeds)]


def itself(task: Task) -> list[tuple[str, int]]:
    """The networks that a task about one network needs: that one."""
    return [(task.network, zoo.replicate(task.network, task.seed))]


def part_of(name: str) -> str:
    """On which images a network is attacked: its training images; the test set for the halves'."""
    return "train" if models.network(name).trained_on == "train" else "test"
