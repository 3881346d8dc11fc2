"""Where in a network adversarial examples can be made: the pixels, and each hidden layer's output.

The paper's adversarial training (section 4.2) makes "adversarial examples for each layer outputs":
changed activations of a layer, which fool what stands above it.
"""

import dataclasses
import math

import torch
from torch import nn

# what a unit's activations lie in, from 0 on
CEILINGS = {nn.Sigmoid: 1.0, nn.ReLU: math.inf}


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A place in a network, cut in two there.

    name: "input", or that of the layer whose output it is; below: (N, 1, 28, 28) -> (N, *shape),
    nothing at all at the input; above: (N, *shape) -> (N, classes) logits; ceiling: what is there
    lies in [0, ceiling], 1 for pixels and sigmoid units, infinity for rectified ones.
    Both parts are made of the network's own layers: what trains them trains the network.
    """

    name: str
    below: nn.Sequential
    above: nn.Sequential
    ceiling: float

    @torch.no_grad()
    def values(self, images: torch.Tensor) -> torch.Tensor:
        """What is at this place when the network sees ``images``: (N, *shape), no gradient."""
        return self.below(images)

    def trained(self) -> list[nn.Parameter]:
        """The weights and biases of the layers above."""
        return [p for p in self.above.parameters() if p.requires_grad]


def places(net: nn.Sequential) -> dict[str, Place]:
    """All places of ``net`` by their names, from the input upwards.

    net: an ``nn.Sequential`` with named children, as of :func:`models.build`; a place is the input
    and what each ``nn.Sigmoid`` and ``nn.ReLU`` in it puts out.
    Raises TypeError for any other kind of network: what stands above a layer is then not known.
    """
    if type(net) is not nn.Sequential:
        raise TypeError(
            "Places are known in an nn.Sequential, whose layers come one after the other, not in "
            f"a {type(net).__name__}."
        )
    names, layers = zip(*net.named_children(), strict=True)
    found = {"input": Place("input", nn.Sequential(), net, 1.0)}
    for at, (name, layer) in enumerate(zip(names, layers, strict=True), 1):
        if type(layer) in CEILINGS and at < len(layers):
            halves = nn.Sequential(*layers[:at]), nn.Sequential(*layers[at:])
            for half in halves:
                half.training = False  # a new container says that it trains; its layers know
            found[name] = Place(name, *halves, CEILINGS[type(layer)])
    return found


def some_places(net: nn.Sequential, names: tuple[str, ...] | None) -> list[Place]:
    """The places called ``names``, in the network's order; None for all of them. Raises ValueError,
    listing what there is, for another name."""
    known = places(net)
    if names is None:
        return list(known.values())
    if isinstance(names, str):
        names = (names,)
    strange = [name for name in names if name not in known]
    if strange:
        raise ValueError(
            f"The network has no place called {strange[0]!r}: use some of {', '.join(known)}."
        )
    return [place for name, place in known.items() if name in names]
