"""What a step of each training lowers: functions of a batch, (images, labels) -> a scalar tensor.

``net`` is in eval mode all the time: dropout is done here, with a generator of its own, so that a
training is the same again from its seed.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from .. import training
from . import examples
from .penalties import penalty
from .places import Place, places
from .pools import Pool

Objective = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
PIXELS = 0.4  # dropout of 0.5 for hidden units goes with 0.2 for inputs (Srivastava et al., 2014)


class Pooled:
    """The paper's: step t is that of place t mod K, and trains the layers above it, on activations
    of the batch's images and on examples of that place's pool. No gradient goes further down.

    turns: the places that have a step, the input first; pools: by their names, of those that have
    one; at the others a step is on the images alone, so that all layers are trained as often
    whichever have pools. making: makes examples of the batch itself at the places in ``fresh``.
    every, count: after so many steps, so many examples of each pool are replaced.
    alternate: False for the mean over all examples in each step; the images then train all layers.
    """

    def __init__(
        self,
        turns: list[Place],
        pools: dict[str, Pool],
        making: Callable | None = None,
        fresh: tuple[str, ...] = (),
        share: float = 0.5,
        alternate: bool = True,
        every: int = 1,
        count: int = 0,
    ):
        self.turns, self.pools, self.making, self.fresh = turns, pools, making, fresh
        self.share, self.alternate = share, alternate
        self.every, self.count, self.step = every, count, 0

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.step and self.step % self.every == 0:
            for pool in self.pools.values():
                pool.replace(self.count)
        turn = self.turns[self.step % len(self.turns)]
        self.step += 1
        return self.one(turn, images, labels) if self.alternate else self.all(images, labels)

    def examples(self, place: Place, values, labels):
        """As many examples as ``values`` and their labels; None where the place has none."""
        if place.name in self.pools:
            return self.pools[place.name].draw(len(labels))
        if place.name in self.fresh:
            return self.making(place, values, labels), labels
        return None

    def one(self, place: Place, images, labels) -> torch.Tensor:
        """The loss of the step of ``place``."""
        values = place.values(images)
        drawn = self.examples(place, values, labels)
        if drawn is None:
            return F.cross_entropy(place.above(values), labels)
        return mixed(place.above, values, labels, *drawn, self.share)

    def all(self, images, labels) -> torch.Tensor:
        """The loss of a step for all places."""
        clean = F.cross_entropy(self.turns[0].above(images), labels)
        fooled = []
        for place in self.turns:
            drawn = self.examples(place, place.values(images), labels)
            if drawn is not None:
                fooled.append(F.cross_entropy(place.above(drawn[0]), drawn[1]))
        if not fooled:
            return clean
        return (1 - self.share) * clean + self.share * torch.stack(fooled).mean()


def mixed(above, values, labels, found, classes, share: float) -> torch.Tensor:
    """(1 - share) · loss of the values + share · loss of as many examples, in one pass."""
    logits = above(torch.cat([values, found]))
    clean, fooled = logits[: len(values)], logits[len(values) :]
    return (1 - share) * F.cross_entropy(clean, labels) + share * F.cross_entropy(fooled, classes)


def stepped(net: nn.Sequential, making: Callable, share: float) -> Objective:
    """Images and an example of each, made by ``making``."""
    here = places(net)["input"]
    return lambda x, y: mixed(net, x, y, making(here, x, y), y, share)


def virtual(net: nn.Module, length: float, making: Callable, generator) -> Objective:
    """Cross-entropy + KL(answer to x, answer to x + r), r the virtual adversarial step: the answer
    to x is what the other shall become, and gets no gradient from it."""

    def objective(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits = net(x)
        with making.clock(len(y)):
            moved = examples.virtual_step(net, x, logits, length, generator)
        return F.cross_entropy(logits, y) + examples.divergence(logits.detach(), net(moved))

    return objective


def dropout(net: nn.Sequential, dropped: float, generator: torch.Generator) -> Objective:
    """Cross-entropy with hidden units and, less often, pixels left out, the others scaled up."""

    def thinned(values: torch.Tensor, share: float) -> torch.Tensor:
        drawn = torch.rand(values.shape, generator=generator).to(values)
        return values * (drawn >= share) / (1 - share)

    hidden = {id(place.below[-1]) for place in places(net).values() if len(place.below)}

    def objective(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        values = thinned(x, PIXELS * dropped)
        for layer in net:
            values = layer(values)
            if id(layer) in hidden:
                values = thinned(values, dropped)
        return F.cross_entropy(values, y)

    return objective


def decayed(net: nn.Module, strength: float) -> Objective:
    """Cross-entropy + strength/2 · Σ w²."""
    return lambda x, y: F.cross_entropy(net(x), y) + training.weight_decay(net, strength, "half")


def bounded(net: nn.Module, strength: float) -> Objective:
    """Cross-entropy + strength · Σ log σ."""
    return lambda x, y: F.cross_entropy(net(x), y) + strength * penalty(net)
