"""How near the nearest mistake is, proven, for networks of rectified units.

:mod:`.branching` does it for one image; what it returns and what it refuses is here.
"""

import dataclasses
import time

import torch
from torch import nn

from ..training import progress_bar
from . import rectified
from .branching import Proof, Search
from .checking import check_module
from .measures import check_labels, check_pixels, check_targets, is_number
from .minimal import minimal_adversarial
from .result import Adversarial
from .status import Status


@dataclasses.dataclass(frozen=True, eq=False)
class ProvenMinimum:
    """The smallest change of each image, between two bounds.

    images: (N, *shape) float64, of the wanted class by the network in float64; NaN where none was
    found. lower, upper: (N,) L2: no image of the class is nearer than ``lower``, and ``images`` is
    at ``upper`` (inf where there is none). targets: (N,) the class that was asked for, or that
    ``images`` has; -1 where none was found. labels: (N,); status: (N,) each a :class:`Proof`;
    nodes: (N,) parts of the search; seconds: (N,) by the clock, without the attack.

    What ``lower`` rests on: weak duality in float64, less a bound on what rounding adds, for the
    network's weights as they are, computed exactly. A network in float32 rounds, and may take an
    image for another class that lies as near to the boundary as its rounding.
    """

    images: torch.Tensor
    lower: torch.Tensor
    upper: torch.Tensor
    targets: torch.Tensor
    labels: torch.Tensor
    status: torch.Tensor
    nodes: torch.Tensor
    seconds: torch.Tensor

    def __len__(self) -> int:
        return len(self.upper)

    @property
    def proven(self) -> torch.Tensor:
        """(N,) bool: whether the bounds are as near to each other as was asked (or infinite)."""
        return (self.status == Proof.PROVEN) | (self.status == Proof.IMPOSSIBLE)

    @property
    def gap(self) -> torch.Tensor:
        """(N,) (upper - lower) / upper; 0 where both are 0 or infinite, 1 where nothing
        is known."""
        gap = torch.where(self.upper.isinf(), 1.0, 1 - self.lower / self.upper)
        return torch.where((self.upper == 0) | self.lower.isinf(), 0.0, gap)

    def reasons(self) -> list[str]:
        """Why each image's search ended, in words."""
        return Proof.messages(self.status)

    def __repr__(self) -> str:
        proven = f"{int(self.proven.sum())} of {len(self)} proven"
        found = self.upper.isfinite()
        if not found.any():
            return f"ProvenMinimum({proven})"
        low, high = (float(v[found].mean()) for v in (self.lower, self.upper))
        return f"ProvenMinimum({proven}, mean L2 from {low:.4f} to {high:.4f})"


def proven_minimum(
    net: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
    *,
    box: bool = True,
    gap: float = 1e-3,
    seconds: float = 60.0,
    start: torch.Tensor | None = None,
    progress: bool = False,
) -> ProvenMinimum:
    """Lower and upper bounds of the smallest L2 change that turns each image into its target.

    net: a chain of Flatten, Linear and ReLU, of any depth; its weights are taken in float64.
    images: (N, *shape) pixels in [0, 1]; targets: (N,) classes, or None for the nearest of all
    other classes; labels: (N,), default the network's own answers.
    box: whether the changed image has to stay in [0, 1]. gap: how near the bounds have to come,
    relative to the distance. seconds: for each image, by the clock, looked at between rounds of
    under a second or two; what is known then is a bracket, and as true as any.
    start: (N, *shape) images to begin with, as another attack's; default, those of
    :func:`.minimal_adversarial`. One that the network does not take for the class is no upper
    bound, but a place to begin at. progress: show a bar.

    On MNIST, two layers of 20 units take a second or two an image; two of 50 take some seconds for
    the nearest of all classes, and for a farther target more than a minute. Ctrl-C returns what is
    done: images that are not yet done have the status "interrupted" and the bounds so far.
    Raises TypeError or ValueError, with a sentence, for a network with other layers; images,
    labels, targets or a start that do not fit; a target that is the label; a gap outside (0, 1);
    seconds that are not positive; and, where there is no start, as :func:`.minimal_adversarial`.
    """
    _check_settings(gap, seconds)
    check_module(net)
    check_pixels(images)
    if not len(images):
        raise ValueError("There are no images to search around.")
    x = images.detach().cpu().double().flatten(1)
    layers = rectified.read(net, images, x, box)
    logits = layers.logits(x)
    labels = check_labels(
        logits.argmax(1) if labels is None else labels, len(x), logits.shape[1]
    ).cpu()
    if targets is not None:
        targets = check_targets(targets, labels, logits.shape[1])
    stopped = False
    if start is None:
        started = minimal_adversarial(net, images, targets, labels)
        stopped = bool((started.status == Status.INTERRUPTED).any())
        start = _points(started)
    else:
        start = _check_start(start, images)
    result = _nothing(images, x, labels, targets)
    searches = []
    for k in range(len(x)):
        wanted = None if targets is None else int(targets[k])
        searches.append(Search(layers, x[k], int(labels[k]), wanted, box, gap))
        searches[k].begin(start[k])
    try:
        with progress_bar(len(x), "proofs", progress) as bar:
            for k, search in enumerate(searches):
                if stopped:
                    break
                began = time.perf_counter()
                try:
                    search.run(began + seconds)
                except KeyboardInterrupt:
                    stopped = True
                result.seconds[k] = time.perf_counter() - began
                bar.update()
    except KeyboardInterrupt:
        pass
    for k, search in enumerate(searches):
        _report(search, result, k, images.shape[1:])
    return result


def _check_settings(gap, seconds) -> None:
    if not is_number(gap) or not 0 < gap < 1:
        raise ValueError(
            f"The gap is a share of the distance, between 0 and 1 as 0.001 is, not {gap!r}."
        )
    if not is_number(seconds) or not seconds > 0:
        raise ValueError(f"The seconds for an image must be a number above 0, not {seconds!r}.")


def _check_start(start, images) -> torch.Tensor:
    check_pixels(start, False, "The start's images")
    if start.shape != images.shape:
        raise ValueError(
            f"The start has the shape {tuple(start.shape)}, the images {tuple(images.shape)}: give "
            "one for each, of the same shape."
        )
    return start.detach().cpu().double().flatten(1)


def _points(found: Adversarial) -> torch.Tensor:
    return found.images.detach().cpu().double().flatten(1)


def _nothing(images, x, labels, targets) -> ProvenMinimum:
    n = len(x)
    return ProvenMinimum(
        torch.full(images.shape, torch.nan, dtype=x.dtype),
        x.new_zeros(n),
        x.new_full((n,), torch.inf),
        torch.full((n,), -1) if targets is None else targets.clone(),
        labels,
        torch.full((n,), Proof.INTERRUPTED),
        torch.zeros(n, dtype=torch.int64),
        x.new_zeros(n),
    )


def _report(search: Search, result: ProvenMinimum, k: int, shape) -> None:
    """Write what is known into row ``k``."""
    result.lower[k], result.upper[k] = min(search.lower, search.upper), search.upper
    result.status[k], result.nodes[k] = int(search.status), search.nodes
    if search.image is not None:
        result.images[k] = search.image.reshape(shape)
        if search.target is None:
            logits = search.layers.logits(search.image[None])[0]
            logits[search.label] = -torch.inf
            result.targets[k] = int(logits.argmax())
