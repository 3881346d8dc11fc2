"""References of lesson 02_do_units_mean_anything, taken out of its solutions by course build.

Never edited: the source is solutions/02_do_units_mean_anything.py.
"""

# ruff: noqa
# fmt: off

from collections import OrderedDict
from torch import nn
import copy
import numpy as np
import scipy.stats
import torch

ORDER = [
    "strongest-images",
    "haar-bases",
    "changes-the-ranking",
    "purity",
    "chance-purity",
    "randomisation-p",
    "equivalence-verdict",
    "rotated-network",
]


def strongest_images(parts, directions, k):
    """The k images that excite each direction most, the strongest first.

    parts: {"train": (h, before), "test": (h, before)}, all (N, width):
    h are the layer's activations, before is what went into the layer;
    directions: (M, width). Returns (M, k) int64 indices.
    """
    h, before = parts["test"]
    scores, second = directions @ h.T, directions @ before.T
    order = second.argsort(dim=1, descending=True, stable=True)
    scores = scores.gather(1, order)
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    return order.gather(1, best)


def haar_bases(count, width, generator):
    """Random orthonormal bases, every one equally likely.

    generator: a torch.Generator on the CPU, to draw with.
    Returns (count, width, width); each matrix is orthogonal.
    """
    gaussian = torch.randn(count, width, width, generator=generator)
    q, r = torch.linalg.qr(gaussian)
    signs = torch.diagonal(r, dim1=1, dim2=2).sign()
    return q * signs[:, None, :]


def changes_the_ranking(change):
    """Whether ``change`` can alter the order of the images: a bool."""
    can_change = {
        "centre": False,  # every unit's mean is subtracted from it
        "longer": False,  # v is multiplied by 3
        "opposite": True,  # v becomes -v
        "loud unit": True,  # one unit's activations are multiplied by 3
        "shifted direction": True,  # 1 is added to every entry of v
        "unit through sigmoid": False,  # a unit, ranked before or after it
        "mixture through sigmoid": True,  # v, applied before or after it
        "bias": True,  # 1 is added to one unit's input
    }
    return can_change[change]


def purity(labels, top):
    """The share of each row's images with the row's most frequent label.

    labels: (N,) int64, 0 to 9; top: (M, k) indices of images.
    Returns (M,).
    """
    rows = labels[top]
    most_frequent = rows.mode(dim=1).values
    return (rows == most_frequent[:, None]).double().mean(dim=1)


def chance_purity(labels, k, generator, draws=4000):
    """The mean purity of k different images drawn blindly: a number.

    labels: (N,) int64; generator: a torch.Generator on the CPU, to draw
    with; draws: how many rows to draw (an exact answer needs neither).
    """
    rows = [
        torch.randperm(len(labels), generator=generator)[:k]
        for _ in range(draws)
    ]
    found = purity(labels.cpu(), torch.stack(rows))
    return float(torch.as_tensor(found).mean())


def randomisation_p(units, bases):
    """Two-sided p-value of the units' mean among those of random bases.

    units: (width,), the purity of each unit; bases: (B, width), the
    purity of each direction of B random bases. Returns a float.
    """
    seen, chance = units.mean(), bases.mean(dim=1)
    above = int((chance >= seen).sum())
    below = int((chance <= seen).sum())
    return min(1.0, 2 * (1 + min(above, below)) / (1 + len(chance)))


def equivalence_verdict(differences, margin):
    """The verdict of two one-sided t tests at 5 %, over networks.

    differences: a list of numbers, one per network, above 0 where units
    are more meaningful; margin: above 0.
    Returns "worse", "equivalent", "better" or "undecided".
    """
    d = np.asarray(differences)
    t = scipy.stats.t.ppf(0.95, len(d) - 1)
    reach = t * d.std(ddof=1) / len(d) ** 0.5
    low, high = d.mean() - reach, d.mean() + reach
    if -margin < low and high < margin:
        return "equivalent"
    if high < -margin:
        return "worse"
    return "better" if low > margin else "undecided"


def rotated_network(net, layer, basis):
    """``net`` with the layer ``layer`` seen in another basis.

    net: a named nn.Sequential, in which a linear layer follows ``layer``;
    basis: (width, width), orthogonal; its rows are the new units.
    Returns a new nn.Sequential with the same outputs, in which a layer
    called "rotation" comes after ``layer``; ``net`` stays as it is.
    """
    parts = OrderedDict(copy.deepcopy(net).named_children())
    names = list(parts)
    following = parts[names[names.index(layer) + 1]]
    rotation = nn.Linear(*basis.shape, bias=False)
    rotation.weight = nn.Parameter(basis.clone())
    following.weight = nn.Parameter(following.weight @ basis.T)
    items = list(parts.items())
    items.insert(names.index(layer) + 1, ("rotation", rotation))
    return nn.Sequential(OrderedDict(items))
