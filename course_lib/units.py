"""Units and directions: which images excite them most, and a number for "equally meaningful".

Section 3 of the paper looks at the images x' of a held-out set that maximise <phi(x), e_i>, a
single unit of the layer phi, and at those that maximise <phi(x), v>, v a random direction, and
finds the two sets equally meaningful. It shows pictures only. Here that claim gets measures, their
chance levels, a randomisation test within a network and an equivalence test across networks.

Directions are rows (M, width); a basis is a square of them; activations h are (N, width).
"""

import dataclasses
import json
import math

import torch
import torch.nn.functional as F
from torch import nn

from . import models, record, storage
from .checked import (
    CLASSES,
    COUNT,
    FLOATS,
    GENERATOR,
    NETWORK,
    NUMBER,
    REAL,
    ROWS,
    TABLE,
    TENSOR,
    TEXT,
    WHOLE,
    Kind,
    instance,
    is_row,
    takes,
)
from .data import Dataset, load_mnist

K = 8  # images in a row, as in the paper's figures
# How small a difference between units and random directions is one that does not matter. Fixed
# before the ten networks were measured, and on these grounds: purity moves in steps of one image
# of eight, so a difference below half an image (1/16) leaves the typical row as it is, and nobody
# who reads rows of eight would see it. That is 9 % of the way from chance (0.30) to a perfect row
# (1); the other measures get the same share of their own way.
MARGINS = {
    "purity": 1 / 16,
    "entropy": 0.21,  # bits; chance 2.37, perfect 0
    "selectivity": 0.045,  # chance 0.5, perfect 1
    "pixels": 0.09,  # spread; chance 1, perfect 0
    "features": 0.09,
}
# The layers that the course's record compares: each hidden layer after its non-linearity, as in the
# paper, and the last one of the convolutional network
STUDIED = {
    "FC100-100-10": ("sigmoid1", "sigmoid2"),
    "FC100-100-10-ReLU": ("relu1", "relu2"),
    "FC200-200-10": ("sigmoid1", "sigmoid2"),
    "AE400-10": ("sigmoid1",),
    "CONV": ("pool2",),
}
LOWER_IS_BETTER = ("entropy", "pixels", "features")
LEVEL = 0.9  # two one-sided tests at 5 % are one interval at 90 %
SCORES_AT_ONCE = 2**22  # numbers of a chunk of scores: 16 MB of float32, which caches like

SIZE = Kind("a whole number from 0 on", WHOLE.fits, lambda value: value >= 0)
DIFFERENCES = Kind(
    "numbers, one for each network",
    lambda value: is_row(value) and all(map(NUMBER.fits, value)),
)

RECORD = storage.ASSETS / "records" / "unit_semantics.json"


def read_record() -> dict:
    """The course's record: every measure of ten networks of each kind, with controls and verdicts.

    Raises FileNotFoundError, saying what makes one, if there is none.
    """
    if not RECORD.is_file():
        raise FileNotFoundError(
            f"There is no record {RECORD}: make it with `python benchmarks/unit_semantics.py`."
        )
    return json.loads(RECORD.read_text(encoding="utf-8"))


# --- activations and directions --------------------------------------------------------------


def held_out(device=None) -> Dataset:
    """The 10 000 test images, shuffled with a seed: ties fall to the earlier image, and MNIST's
    test set is ordered (its first half was written by other people than its second)."""
    test = load_mnist("test", device)
    return test.sample(len(test), seed=0)


def activations(net: nn.Module, images: torch.Tensor, layer: str) -> torch.Tensor:
    """What the layer called ``layer`` puts out for each image: (N, width); section 3's phi(x).

    Give it images that the network was not trained on. On those it was, it has been pushed to the
    extremes, and the strongest of them are the ones that it knows by heart.
    Raises as :func:`models.activations`: a layer that does not exist lists those that do.
    """
    return models.activations(net, images, layer)


@takes(net=NETWORK, layer=TEXT)
def pre_activation(net: nn.Module, layer: str) -> str | None:
    """The name of the layer whose value goes into the non-linearity ``layer``; None for others.

    "fc1" for "sigmoid1", where activations near 1 are equal in float32 and what goes in is not.
    Raises ValueError, listing the layers, if there is none of that name.
    """
    names = models.layer_names(net)
    if layer not in names:
        raise ValueError(
            f"The network has no layer called {layer!r}: use one of {', '.join(names)}."
        )
    monotone = isinstance(net.get_submodule(layer), nn.Sigmoid | nn.ReLU)
    return names[names.index(layer) - 1] if monotone and names.index(layer) else None


@takes(width=COUNT)
def unit_directions(width: int) -> torch.Tensor:
    """The units themselves, e_1 to e_width, as directions: the identity (width, width)."""
    return torch.eye(width)


@takes(count=SIZE, width=COUNT, generator=GENERATOR)
def random_directions(count: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """``count`` directions of length 1, every one equally likely: (count, width); section 3's v.

    A normalised Gaussian vector, because its density depends on its length alone. (A point of a
    cube does not do: a cube has corners.)
    """
    return F.normalize(torch.randn(count, width, generator=generator), dim=1)


@takes(count=SIZE, width=COUNT, generator=GENERATOR)
def haar_bases(count: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """``count`` random orthonormal bases, every one equally likely (Haar): (count, width, width).

    Rows and columns of each are orthonormal. The same as scipy.stats.ortho_group, for many at once.
    """
    gaussian = torch.randn(count, width, width, generator=generator)
    q, r = torch.linalg.qr(gaussian)
    # QR leaves the signs of R's diagonal open; only with one choice for all is Q as random as
    # the Gaussian matrix (Mezzadri 2007)
    return q * torch.diagonal(r, dim1=1, dim2=2).sign()[:, None, :]


def _covariance(h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues (width,), falling, and eigenvectors (width, width; rows) of h's covariance."""
    values, vectors = torch.linalg.eigh(torch.cov(h.double().T.cpu()).reshape(h.shape[1], -1))
    return values.flip(0).clamp(min=0), vectors.T.flip(0)


@takes(h=FLOATS, count=COUNT | None)
def principal_directions(h: torch.Tensor, count: int | None = None) -> torch.Tensor:
    """The directions (count, width) along which h (N, width) varies most, strongest first.

    Their sign is arbitrary; here the entry of largest size is positive.
    Raises ValueError if ``count`` (default: all) exceeds the width.
    """
    width = h.shape[1]
    if count is not None and not 1 <= count <= width:
        raise ValueError(f"A layer of {width} units has no {count} principal directions.")
    rows = _covariance(h)[1][:count]
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return (rows * largest.sign()).to(h)


@takes(h=FLOATS)
def unit_variance(h: torch.Tensor) -> torch.Tensor:
    """h (N, width), every unit centred and divided by its standard deviation (0 stays 0).

    A random direction of this is one of h in which loud units count no more than quiet ones.
    """
    deviation = h.std(0)
    return (h - h.mean(0)) / torch.where(deviation > 0, deviation, 1)


@takes(h=FLOATS, power=NUMBER)
def stretch(h: torch.Tensor, power: float) -> torch.Tensor:
    """h (N, width), centred, times its covariance to the power ``power`` / 2.

    -1 makes h isotropic (whitens it: no direction varies more than another); 1 weights random
    directions by the covariance, so that they favour the directions that vary already. Directions
    without variance (below 1e-6 of the largest) are dropped.
    """
    values, vectors = _covariance(h)
    kept = values > 1e-6 * values[0]
    scale = torch.where(kept, values.clamp(min=1e-300) ** (power / 2), 0.0)
    matrix = (vectors.T * scale) @ vectors
    return (h - h.mean(0)) @ matrix.to(h)


# --- top images ------------------------------------------------------------------------------


@takes(h=TENSOR, directions=TENSOR)
def check_directions(h: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """``directions`` as floats like h, or ValueError with a sentence.

    Refused: activations that are not (N, width) or not finite, directions that are not (M, width),
    that hold a NaN or an infinity, or that are all zero and so point nowhere.
    """
    if h.ndim != 2 or not h.is_floating_point():
        raise ValueError(f"Activations are floats (N, width), not {h.dtype} {tuple(h.shape)}.")
    if directions.ndim != 2 or directions.shape[1] != h.shape[1]:
        raise ValueError(
            f"Directions of a layer of {h.shape[1]} units are rows (M, {h.shape[1]}), not "
            f"{tuple(directions.shape)}: a single one needs directions[None]."
        )
    directions = directions.detach().to(h)  # weights of a network make fine directions
    for what, table in (("direction", directions), ("image", h)):
        bad = ~torch.isfinite(table.sum(1))  # a sum is finite if all its terms are, at this size
        if bad.any():
            row = int(bad.nonzero()[0])
            raise ValueError(f"The numbers of {what} {row} are not finite: find the NaN first.")
    zero = (directions == 0).all(1)
    if zero.any():
        row = int(zero.nonzero()[0])
        raise ValueError(f"Direction {row} is zero: it points nowhere and ranks no images.")
    return directions


def _score_chunks(h: torch.Tensor, directions: torch.Tensor):
    """Yield (rows of ``directions``, their scores (rows, N)), a bounded number at a time.

    The scores lie in one buffer, which the next ones overwrite: a new one each time would cost page
    faults, and now and then some hundred megabytes of freed memory that nobody takes back.
    """
    transposed = h.detach().T.contiguous()  # twice as fast below as a view
    rows = min(len(directions), max(1, SCORES_AT_ONCE // len(h)))
    buffer = h.new_empty(rows, len(h))
    for chunk in directions.split(rows) if rows else ():
        yield chunk, torch.mm(chunk, transposed, out=buffer[: len(chunk)])


def _largest(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and columns of the k largest scores (M, N) of each row, largest first.

    Three times as fast as ``topk``: the k largest lie in the k blocks of largest maximum, and the
    maxima of blocks of eight are found at the speed of memory.
    """
    m, n = scores.shape
    size = 8
    if n < 16 * size * k:
        return scores.topk(k, dim=1)
    padded = F.pad(scores, (0, -n % size), value=-math.inf) if n % size else scores
    blocks = padded.shape[1] // size
    # block b holds the columns b, b + blocks, ...: maxima run along contiguous memory
    best = padded.view(m, size, blocks).amax(1).topk(k, dim=1, sorted=False).indices
    steps = torch.arange(size, device=scores.device) * blocks
    columns = (best[:, None, :] + steps[None, :, None]).reshape(m, -1)
    values, place = padded.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, place)


def _untie(scores: torch.Tensor, then: torch.Tensor | None, k: int) -> torch.Tensor:
    """The k first columns of scores (N,), equal ones ordered by ``then`` (N,), then by column."""
    rows = (scores >= scores.topk(k).values[-1]).nonzero()[:, 0]
    if then is not None:
        rows = rows[then[rows].argsort(descending=True, stable=True)]
    return rows[scores[rows].argsort(descending=True, stable=True)][:k]


@takes(k=WHOLE, ties=TENSOR | None)
def top_images(
    h: torch.Tensor, directions: torch.Tensor, k: int = K, ties: torch.Tensor | None = None
) -> torch.Tensor:
    """The k images that excite each direction most, the strongest first: (M, k) indices into h.

    h: (N, width) activations; directions: (M, width), of any length; ties: (N, width), what orders
    images with equal scores, best the pre-activations (see :func:`pre_activation`): a saturated
    sigmoid unit gives hundreds of images the same 1.0. What is still equal stays in the order of
    the images, so shuffle those: MNIST's test set is ordered. Section 3.

    Scores are made in chunks (:data:`SCORES_AT_ONCE`), so memory is bounded whatever M is.
    Raises ValueError for bad directions (:func:`check_directions`), for a k that is not in 1..N,
    and for ties of another shape than h.
    """
    directions = check_directions(h, directions)
    if not 1 <= k <= len(h):
        raise ValueError(f"The {k} strongest of {len(h)} images cannot be chosen: k is 1 to N.")
    if ties is not None and ties.shape != h.shape:
        raise ValueError(f"`ties` is {tuple(ties.shape)}: it must be like h, {tuple(h.shape)}.")
    if not len(directions):
        return torch.empty(0, k, dtype=torch.int64, device=h.device)
    found = []
    for chunk, scores in _score_chunks(h, directions):
        values, top = _largest(scores, min(k + 1, len(h)))
        for row in (values[:, 1:] == values[:, :-1]).any(1).nonzero()[:, 0].tolist():
            then = None if ties is None else ties @ chunk[row]
            top[row, :k] = _untie(scores[row], then, k)
        found.append(top[:, :k])
    return torch.cat(found)


# --- measures of meaning ---------------------------------------------------------------------


@takes(labels=CLASSES, top=ROWS)
def label_counts(labels: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """How many of each row's images have each label: (M, classes), from labels (N,), top (M, k).

    Raises ValueError if ``top`` names images that have no label.
    """
    if labels.ndim != 1:
        raise ValueError(f"Labels are a vector (N,), not {tuple(labels.shape)}.")
    if top.numel() and not 0 <= int(top.min()) <= int(top.max()) < len(labels):
        raise ValueError(
            f"The rows name image {int(top.max())}, and there are {len(labels)} labels: give the "
            "labels of the images that were ranked."
        )
    return F.one_hot(labels[top], int(labels.max()) + 1).sum(1)


@takes(labels=CLASSES, top=ROWS)
def purity(labels: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """The share of each row's images that have the row's most frequent label: (M,), 1/k to 1.

    labels: (N,) int64; top: (M, k) indices. Its chance level is :func:`chance_purity`.
    """
    counts = label_counts(labels, top)
    return counts.amax(1).double() / top.shape[1]


@takes(labels=CLASSES, top=ROWS)
def entropy(labels: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """The entropy of the labels in each row, in bits: (M,), 0 for a pure row."""
    share = label_counts(labels, top).double() / top.shape[1]
    return torch.special.entr(share).sum(1) / math.log(2)


@takes(labels=CLASSES, k=WHOLE)
def chance_purity(labels: torch.Tensor, k: int = K) -> float:
    """The mean purity of k images drawn blindly, without replacement: exactly.

    About 0.30 for k = 8 and ten classes of equal size, far above 1/10: *some* label is the most
    frequent one. E[max] = Σ_m P(max >= m), and the ways to draw k images with at most m of each
    label are a coefficient of Π_c Σ_j C(n_c, j) t^j, j <= m.
    Raises ValueError unless k is in 1..N.
    """
    sizes = torch.bincount(labels.cpu()).tolist()
    if not 1 <= k <= sum(sizes):
        raise ValueError(f"{k} images cannot be drawn from {sum(sizes)}.")
    total, mean = math.comb(sum(sizes), k), 0.0
    for m in range(k):
        ways = [1] + [0] * k
        for n in sizes:
            most = range(min(m, n) + 1)
            ways = [
                sum(ways[i - j] * math.comb(n, j) for j in most if j <= i) for i in range(k + 1)
            ]
        mean += 1 - ways[k] / total
    return mean / k


@takes(labels=CLASSES)
def selectivity(h: torch.Tensor, directions: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """How well each direction alone tells each class from the rest, as an AUC: (M, classes).

    The chance that an image of the class scores higher than one of another class, ties counting
    half: 0.5 says nothing, 1 is a detector, 0 one of the opposite sign. From all N images, not
    from the top k, by rank sums (Mann and Whitney); float64.
    Raises ValueError as :func:`check_directions`, and for labels of another length or one class.
    """
    directions = check_directions(h, directions)
    if labels.shape != h.shape[:1]:
        raise ValueError(f"There are {len(h)} images and {tuple(labels.shape)} labels.")
    sizes = torch.bincount(labels).double()
    if (sizes > 0).sum() < 2:
        raise ValueError("All images have the same label: there is nothing to be told apart.")
    found = [sizes.new_empty(0, len(sizes))]
    for _, scores in _score_chunks(h, directions):
        ordered, place = scores.sort(dim=1)
        sums = torch.zeros(len(scores), len(sizes), dtype=torch.float64, device=h.device)
        sums.scatter_add_(1, labels[place], middle_ranks(ordered))
        found.append((sums - sizes * (sizes + 1) / 2) / (sizes * (len(h) - sizes)))
    return torch.cat(found)


@takes(ordered=TABLE)
def middle_ranks(ordered: torch.Tensor) -> torch.Tensor:
    """The ranks 1..N of rows (M, N) in rising order, equal values sharing their mean rank."""
    m, n = ordered.shape
    place = torch.arange(n, device=ordered.device).expand(m, n)
    new = ordered[:, 1:] != ordered[:, :-1]
    edge = torch.ones(m, 1, dtype=torch.bool, device=ordered.device)
    first = torch.where(torch.cat([edge, new], 1), place, 0).cummax(1).values
    last = torch.where(torch.cat([new, edge], 1), place, n - 1).flip(1).cummin(1).values.flip(1)
    return (first + last).double() / 2 + 1


@takes(features=TENSOR, top=ROWS)
def spread(features: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """How far apart the images of each row are, without any label: (M,), 1 is chance, 0 the same.

    features: (N, F), the pixels or another network's activations; the rms distance between two
    images of the row, divided by that between two images of the whole set. Not below k = 2.
    Raises ValueError for rows of one image, and if ``top`` names images without features.
    """
    k = top.shape[1]
    if k < 2:
        raise ValueError("A row of one image has no spread: take k of at least 2.")
    if top.numel() and int(top.max()) >= len(features):
        raise ValueError(f"The rows name image {int(top.max())} of {len(features)}.")
    x = features.flatten(1)
    x = x - x.mean(0)
    norms = x.square().sum(1, keepdim=True)
    # Σ_{i<j} |x_i - x_j|² = k Σ |x_i|² - |Σ x_i|²
    sums = F.embedding_bag(top, x, mode="sum").square().sum(1)
    pairs = k * F.embedding_bag(top, norms, mode="sum")[:, 0] - sums
    within = pairs.clamp(min=0) / (k * (k - 1) / 2)
    return (within / (2 * norms.sum() / (len(x) - 1))).double().sqrt()


@takes(h=TENSOR, labels=CLASSES, spaces=instance(dict) | None)
def measure(
    h: torch.Tensor,
    directions: torch.Tensor,
    labels: torch.Tensor,
    spaces: dict[str, torch.Tensor] | None = None,
    ties: torch.Tensor | None = None,
    ranks: bool = True,
    k: int = K,
) -> dict[str, torch.Tensor]:
    """Every measure of every direction: name -> (M,).

    "purity" and "entropy" of the top k images' labels; "selectivity", the largest AUC over the
    classes (left out if ``ranks`` is False: it sorts all images); the :func:`spread` in each of
    ``spaces`` (name -> features (N, F)). ties: see :func:`top_images`.
    Raises ValueError as those do, and for labels of another length than h.
    """
    if labels.shape != h.shape[:1]:
        raise ValueError(f"There are {len(h)} images and {tuple(labels.shape)} labels.")
    top = top_images(h, directions, k, ties)
    found = {"purity": purity(labels, top), "entropy": entropy(labels, top)}
    if ranks:
        found["selectivity"] = selectivity(h, directions, labels).amax(1)
    return found | {name: spread(space, top) for name, space in (spaces or {}).items()}


# --- is it chance? is it the same? -------------------------------------------------------------


@takes(units=TENSOR, bases=TENSOR)
def randomisation_p(units: torch.Tensor, bases: torch.Tensor) -> float:
    """Two-sided p-value of a layer's units against random bases of the same layer.

    units: (width,), a measure of each unit; bases: (B, width), of the directions of B random bases.
    A basis is the unit of chance: its directions share a space and are not independent, so each
    basis counts once, by its mean. The units are one more basis under the hypothesis, hence the
    + 1: p = 2 min over the sides of (1 + #{as far out}) / (1 + B), at most 1.
    Raises ValueError for other shapes.
    """
    if units.ndim != 1 or bases.ndim != 2 or bases.shape[1] != len(units):
        raise ValueError(
            f"Give a number per unit (width,) and per direction of each basis (B, width), not "
            f"{tuple(units.shape)} and {tuple(bases.shape)}."
        )
    seen, chance = units.double().mean(), bases.double().mean(1)
    sides = [int((chance >= seen).sum()), int((chance <= seen).sum())]
    return min(1.0, 2 * (1 + min(sides)) / (1 + len(chance)))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Units minus random bases over networks: the mean, its 90 % interval, and the verdict."""

    mean: float
    low: float
    high: float
    margin: float
    verdict: str


@takes(low=NUMBER, high=NUMBER, margin=NUMBER)
def verdict(low: float, high: float, margin: float) -> str:
    """What the interval of a difference (above 0: units are better) says against a margin.

    "equivalent" if it lies inside -margin..margin, "worse" or "better" if wholly beyond one of
    them, else "undecided". With the 90 % interval each of these errs in at most 5 % of cases.
    """
    if -margin < low and high < margin:
        return "equivalent"
    if high < -margin:
        return "worse"
    return "better" if low > margin else "undecided"


@takes(differences=DIFFERENCES, margin=REAL)
def equivalence(differences: list[float], margin: float) -> Comparison:
    """Two one-sided t tests over networks, as one 90 % interval; and the verdict.

    differences: units minus random bases, one number per network (the replicates), above 0 where
    units are more meaningful; margin: what is too small to matter, fixed before looking.
    Raises ValueError for fewer than two networks, a NaN, or a margin that is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"A margin of {margin} makes nothing equivalent: it must be above 0.")
    if not all(math.isfinite(d) for d in differences):
        raise ValueError("A difference is not finite: find the network that it comes from.")
    found = record.interval(list(differences), LEVEL)
    low, high = found["mean"] - found["half_width"], found["mean"] + found["half_width"]
    return Comparison(found["mean"], low, high, margin, verdict(low, high, margin))


@takes(units=NUMBER, chance=NUMBER, name=TEXT)
def advantage(units: float, chance: float, name: str) -> float:
    """How much more meaningful units are than random directions, by the measure ``name``: the
    difference, its sign turned where less is better (entropy and the spreads)."""
    return chance - units if name in LOWER_IS_BETTER else units - chance
