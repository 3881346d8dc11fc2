"""Training against the attack: the paper's pools, and what they compete with, in one function.

The end of section 4.2: a pool of adversarial examples, a random part of which is replaced all the
time, is mixed into the training set. The paper gained only by examples for each layer's output,
"used to train all the layers above", the layers in alternation, with a pool for each.
"""

import contextlib
import dataclasses
import time

import torch
from torch import nn

from .. import device as devices
from .. import models, training
from ..checked import is_number, is_whole
from ..data import Dataset, load_mnist
from . import examples, objectives
from .bounded import build
from .places import Place, some_places
from .pools import Pool

# what is done, and what its strength is
AGAINST = {
    "decay": "λ of the usual weight decay, λ/2 · Σ w²",
    "dropout": "the share of hidden units that are dropped, and 2/5 as large a share of the pixels",
    "bounds": "what multiplies Σ log σ, the logarithm of the product of the layers' norms",
    "virtual": "the length of the virtual adversarial step",
    "single-step": "the length of the step",
    "several-steps": "the radius of the ball that the steps stay in",
    "input pool": "the length of the step, or what the attack's change is multiplied by",
    "pools": "the same, times the place's entry in the schedule",
}
POOLED = ("input pool", "pools")
ADVERSARIES = ("step", "several-steps", "attack")
STEPS = 3  # of "several-steps"


@dataclasses.dataclass(frozen=True, eq=False)
class Hardened:
    """net: trained, in eval mode; loss: the mean loss of each epoch; seconds: CPU time of the
    training; attack_seconds: how much of it went into making examples; made: how many examples
    that were; replaced: how many of them took the place of an older one in a pool."""

    net: nn.Sequential
    loss: list[float]
    seconds: float
    attack_seconds: float
    made: int
    replaced: int

    @property
    def attack_share(self) -> float:
        """The share of the time that went into making adversarial examples, in [0, 1]."""
        return self.attack_seconds / max(self.seconds, 1e-9)


class Making:
    """How a training makes its examples, with a clock: called as a pool calls it.

    adversary: one of :data:`ADVERSARIES`; strength: see :data:`AGAINST`; schedule: what it is
    multiplied by at a place, by its name; reference: the mean L2 length of the images.
    """

    def __init__(self, adversary: str, strength: float, schedule: dict, reference: float):
        self.adversary, self.strength = adversary, strength
        self.schedule, self.reference = schedule, reference
        self.seconds, self.made = 0.0, 0

    @contextlib.contextmanager
    def clock(self, count: int):
        """Inside it, ``count`` examples are made."""
        began = time.process_time()
        yield
        self.seconds += time.process_time() - began
        self.made += count

    def __call__(self, place: Place, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with self.clock(len(labels)):
            strength = self.strength * self.schedule.get(place.name, 1.0)
            if self.adversary == "attack":
                return examples.nearest(place.above, values, labels, place.ceiling, strength).values
            length = strength * self.unit(place, values)
            if self.adversary == "step":
                return examples.single_step(place.above, values, labels, length, place.ceiling)
            how = {"ceiling": place.ceiling, "steps": STEPS}
            return examples.several_steps(place.above, values, labels, length, **how)

    def unit(self, place: Place, values: torch.Tensor) -> float:
        """What a length of 1 of the pixels is worth at this place: at a layer's output the same
        share of the activations' mean length. A number of its own would soon mean nothing there: a
        rectified layer makes room for itself by larger weights."""
        if place.name == "input":
            return 1.0
        return float(values.flatten(1).norm(dim=1).mean()) / self.reference


class Average:
    """A moving average of a network's weights, w̄ <- d·w̄ + (1-d)·w, with d growing from 0.1 to
    ``decay``, so that the first weights are soon forgotten."""

    def __init__(self, net: nn.Module, decay: float):
        self.weights = [p.detach() for p in net.parameters()]
        self.mean = [p.clone() for p in self.weights]
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of now into the mean."""
        kept = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mean, weight in zip(self.mean, self.weights, strict=True):
            mean.lerp_(weight, 1 - kept)
        self.steps += 1

    @torch.no_grad()
    def settle(self) -> None:
        """Give the network the averaged weights."""
        for mean, weight in zip(self.mean, self.weights, strict=True):
            weight.copy_(mean)


def train_against(
    variant: str = "pools",
    strength: float = 1.0,
    *,
    share: float = 0.5,
    places: tuple[str, ...] | None = None,
    schedule: dict[str, float] | None = None,
    adversary: str = "step",
    fresh: bool = False,
    alternate: bool = True,
    size: int = 5000,
    replaced: float = 1.0,
    rounds: int = 10,
    decay: float = 0.0,
    average: float = 0.0,
    activation: str = "sigmoid",
    hidden: tuple[int, ...] = (100, 100),
    dataset: Dataset | None = None,
    epochs: int = 10,
    learning_rate: float = 1e-2,
    batch_size: int = 256,
    seed: int = 0,
    device=None,
    progress: bool = True,
) -> Hardened:
    """A network trained against adversarial examples (end of section 4.2), or by one of the rivals.

    variant, and what its ``strength`` is (not negative; lengths are L2, in units of the pixels):
    see :data:`AGAINST`. "pools" is the paper's procedure; "input pool" has the one of images;
    "single-step" and "several-steps" make an example of each image of each batch anew.

    share: of the loss that is on adversarial examples, in [0, 1]; the rest is on the images (not
    for the first four variants). For the two kinds of pools:
    adversary: "step" (:func:`single_step`; at a layer's output its length is the same share of the
        activations' mean length as the strength is of the images'), "several-steps" (likewise), or
        "attack" (:func:`nearest`: the strength is its stretch, 1 for just across the boundary);
    size: of each pool (at most one example of each image); replaced: the part of a pool that is
        replaced in an epoch, in ``rounds`` rounds; fresh: no pool, but examples of the batch;
    and for "pools" alone:
    places: which have one, by their names, "input", "sigmoid1", ... (None: all; () is alternation
        alone); schedule: what the strength is multiplied by at some of them, by name; alternate: a
        step for one place after the other, with a pool or without, which trains the layers above
        it and no others (the paper's), else all places in each step.

    decay: weight decay beside any of them. average: of the weights, by a moving average with this
    decay, 0.999 for one (0: none). activation, hidden, seed, device: of :func:`train_bounded`;
    dataset: default MNIST's training images; epochs, learning_rate, batch_size, progress: of
    :func:`training.train`. The same seed gives the same weights, on the same kind of machine.

    Raises ValueError, before any training, for an unknown variant, adversary, place or activation,
    numbers that make no sense, a setting of pools for a variant without any; else as
    :func:`training.train` does.
    """
    named = {"places": places, "schedule": schedule, "alternate": None if alternate else False}
    pooled = {"adversary": None if adversary == "step" else adversary, "fresh": fresh or None}
    _check(variant, adversary, named, pooled)
    _check_numbers(strength, share, variant, size, replaced, rounds, decay, average)
    net = build(activation, hidden, seed).eval().to(devices.pick(device))
    chosen = some_places(net, places if variant == "pools" else ("input",))
    some_places(net, tuple(schedule or ()))  # one of another name is refused
    where = next(net.parameters()).device
    dataset = load_mnist("train", where) if dataset is None else dataset.to(where)
    training.check(dataset, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    generator = devices.generator(models.initial_seed("against", seed))
    began = time.process_time()
    reference = float(dataset.images.flatten(1).norm(dim=1).mean())
    kind = "several-steps" if variant == "several-steps" else adversary
    making = Making(kind, strength, schedule or {}, max(reference, 1e-9))
    per_epoch = max(1, len(dataset) // batch_size)
    pools: dict[str, Pool] = {}
    if variant in POOLED:
        size = min(size, len(dataset))
        if not fresh:
            pools = {p.name: Pool(p, making, dataset, size, generator) for p in chosen}
        every = max(1, per_epoch // rounds)
        goal = objectives.Pooled(
            some_places(net, None) if variant == "pools" else chosen,
            pools,
            making,
            tuple(p.name for p in chosen) if fresh else (),
            share,
            alternate,
            every,
            min(size, round(size * replaced * every / per_epoch)),
        )
    elif variant in ("single-step", "several-steps"):
        goal = objectives.stepped(net, making, share)
    elif variant == "virtual":
        goal = objectives.virtual(net, strength, making, generator)
    elif variant == "dropout":
        goal = objectives.dropout(net, strength, generator)
    else:
        goal = {"decay": objectives.decayed, "bounds": objectives.bounded}[variant](net, strength)
    mean = Average(net, average)

    def objective(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if average:
            mean.update()  # with the weights after the last step
        value = goal(images, labels)
        return value + training.weight_decay(net, decay, "half") if decay else value

    history = training.descend(
        list(net.parameters()),
        objective,
        lambda: training.shuffled_batches(dataset, batch_size, generator),
        per_epoch,
        epochs=epochs,
        learning_rate=learning_rate,
        progress=progress,
    )
    if average:
        mean.update()
        mean.settle()
    return Hardened(
        net,
        history.loss,
        time.process_time() - began,
        making.seconds,
        making.made,
        sum(pool.made - len(pool) for pool in pools.values()),
    )


def _check(variant: str, adversary: str, named: dict, pooled: dict) -> None:
    """Raise ValueError for a name that there is not, or a setting that the variant has not."""
    for what, value, known in (
        ("variant", variant, tuple(AGAINST)),
        ("adversary", adversary, ADVERSARIES),
    ):
        if value not in known:
            raise ValueError(f"There is no {what} called {value!r}: use one of {', '.join(known)}.")
    for settings, owners in ((named, ("pools",)), (pooled, POOLED)):
        for name, value in settings.items():
            if value is not None and variant not in owners:
                raise ValueError(
                    f"The setting {name} belongs to {' and '.join(owners)}, and {variant!r} has "
                    "none: leave it out."
                )


def _check_numbers(strength, share, variant, size, replaced, rounds, decay, average) -> None:
    """Raise ValueError, naming it, for a number that makes no sense."""
    largest = 1 if variant == "dropout" else float("inf")
    for name, value, least, most, whole in (
        ("strength", strength, 0, largest, False),
        ("share", share, 0, 1.0000001, False),
        ("decay", decay, 0, float("inf"), False),
        ("average", average, 0, 1, False),
        ("replaced", replaced, 0, 1.0000001, False),
        ("size", size, 1, float("inf"), True),
        ("rounds", rounds, 1, float("inf"), True),
    ):
        kind = is_whole(value) if whole else is_number(value)
        if not (kind and least <= value < most):
            words = "a whole number" if whole else "a number"
            upper = (
                ""
                if most == float("inf")
                else f", at most {int(most)}" + ("" if most > 1 else " and less than that")
            )
            raise ValueError(
                f"The setting {name} of {variant!r} is {words} from {least} on{upper}, not "
                f"{value!r}."
            )
