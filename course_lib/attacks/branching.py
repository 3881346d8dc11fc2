"""Branch and bound for the nearest point of a network of rectified units, around one image.

Half of the search is for points: from the attack's, exact programs in the linear regions around it
(:mod:`.regions`), and again from wherever a bound points to. The other half is the proof: either
every undecided unit is decided, on in one half and off in the other, or a lower bound
(:mod:`.relaxation`) says that no point of this part is nearer than what is known, less the gap.
Parts are halved where the relaxation loses most, the ones with the lowest bounds first.
"""

import dataclasses
import math
import time

import torch

from ..lbfgsb.status import CodedReason
from . import regions, relaxation
from .measures import all_targets
from .rectified import Layers
from .relaxation import Rows

BATCH = 128  # nodes that are halved at once
EVALUATIONS = 25  # of a node's dual: its children go on from there
ROOT_EVALUATIONS = 150
SHARE = 0.9  # of the gap is used to cut the search short; the rest is for rounding
LEAD = 1e-8  # by how much a point is to lead, in units of r: visible to the network in float64
STRETCH = (1.0, 1 + 1e-7, 1 + 1e-6, 1 + 1e-5)  # of a change, until the network sees it


class Proof(CodedReason):
    """A number for :attr:`.ProvenMinimum.status`, with a ``message``."""

    # upper - lower <= gap * upper
    PROVEN = 0, "proven within the gap"
    # lower and upper are infinite
    IMPOSSIBLE = 1, "proven: no image in the box is of that class"
    # the bounds hold, but are farther apart than asked
    TIME = 2, "out of time"
    INTERRUPTED = 3, "interrupted"
    # everything was searched, but a program ended short of the gap
    ROUNDING = 4, "limited by rounding"
    # without the box, where the attack has no point to begin with
    FAR = 5, "none found, and none is nearer than the lower bound"


@dataclasses.dataclass(frozen=True, eq=False)
class Nodes:
    """Parts of the search: multipliers, bounds of the units, which of the roots they belong to; the
    lower bound of |r|; the unit to be decided next, -1 for none; the multipliers ν; the relaxed
    solution's first heights; and the dual's value."""

    theta: torch.Tensor
    low: torch.Tensor
    up: torch.Tensor
    root: torch.Tensor
    bound: torch.Tensor
    unit: torch.Tensor
    worth: torch.Tensor
    centre: torch.Tensor
    value: torch.Tensor

    def __len__(self) -> int:
        return len(self.bound)

    def __getitem__(self, rows) -> "Nodes":
        return Nodes(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))

    def __add__(self, other: "Nodes") -> "Nodes":
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(self))
        return Nodes(*(torch.cat(pair) for pair in pairs))


class Search:
    """The search around one image x (pixels,)."""

    def __init__(self, layers: Layers, x, label: int, target: int | None, box: bool, gap: float):
        self.layers, self.x, self.label, self.target = layers, x, label, target
        self.box, self.gap = box, gap
        self.upper, self.image, self.lower = math.inf, None, 0.0
        self.status, self.nodes = Proof.INTERRUPTED, 0
        self.tried: set[bytes] = set()
        self.left = math.inf  # the lowest bound of a region whose program was not solved
        self.basis = None
        if not box:  # the shortest change lies in the row space of the first layer
            self.basis = torch.linalg.qr(layers.maps[0][0].T)[0]

    def succeeds(self, image) -> bool:
        """Whether the network, in float64, takes the flat image for what is wanted."""
        logits = self.layers.logits(image[None])[0]
        if self.target is None:
            return int(logits.argmax()) != self.label
        others = logits.clone()
        others[self.target] = -torch.inf
        return bool(logits[self.target] > others.max())

    def note(self, image) -> bool:
        """Keep the flat image if it is the nearest success so far; whether it is."""
        distance = float((image - self.x).norm())
        if not distance < self.upper or not self.succeeds(image):
            return False
        self.upper, self.image = distance, image
        return True

    def begin(self, start) -> None:
        """The image itself, and another attack's (pixels,)."""
        self.note(self.x)
        if start.isfinite().all() and not (self.box and (start.min() < 0 or start.max() > 1)):
            self.note(start)
        self.start = start.nan_to_num(0.0)
        if self.upper == 0:
            self.status, self.lower = Proof.PROVEN, 0.0

    @property
    def radius(self) -> float:
        """Nothing farther than this is looked for."""
        if math.isfinite(self.upper):
            return self.upper * (1 - SHARE * self.gap)
        return float(torch.maximum(self.x, 1 - self.x).norm()) * (1 + 1e-9 if self.box else 2)

    def prepare(self) -> None:
        """The chain, and what each root asks of the last activations."""
        maps, x = self.layers.maps, self.x
        weights, biases = [w for w, _ in maps[:-1]], [b for _, b in maps[:-1]]
        biases[0] = weights[0] @ x + biases[0]
        low, up = -x, 1 - x
        if self.basis is not None:
            weights[0] = weights[0] @ self.basis
            up = x.new_full((self.basis.shape[1],), torch.inf)
            low = -up
        self.chain, rescale = relaxation.make_chain(
            weights, biases, low, up, max(self.radius, 1e-9), len(x)
        )
        last, bias = maps[-1]
        if self.target is None:
            self.classes = all_targets(torch.tensor([self.label]), len(bias))[0]
            weight, offset = last[self.classes] - last[self.label], bias[self.classes]
            weight, offset = weight[:, None], (offset - bias[self.label])[:, None]
        else:
            others = all_targets(torch.tensor([self.target]), len(bias))[0]
            weight = (last[self.target] - last[others])[None]
            offset = (bias[self.target] - bias[others])[None]
        weight = weight * rescale
        size = relaxation.power_of_two(weight.norm(dim=2))
        self.rows = Rows(weight / size[:, :, None], offset / size)

    def walk(self, r, root: int) -> None:
        """Look for a nearer point in the regions around r (D,)."""
        heights, _ = self.chain.heights(r[None])
        key = (heights > 0).numpy().tobytes() + bytes([root % 256])
        if key in self.tried:
            return
        self.tried.add(key)
        rows = self.rows[root : root + 1]
        lead = LEAD + self.chain.rounding * (
            rows.weight.abs() @ self.chain.size[self.chain.slices()[-1]] + rows.bias.abs()
        )
        limit = self.upper if math.isfinite(self.upper) else 2 * self.radius
        distance, r = regions.walk(self.chain, r, Rows(rows.weight, rows.bias - lead), limit)
        if not distance < self.upper:
            return
        change = r if self.basis is None else self.basis @ r
        for stretch in STRETCH:
            image = self.x + stretch * change
            if self.note(image.clamp(0, 1) if self.box else image):
                return

    def judged(self, theta, low, up, root, least) -> Nodes:
        """The nodes with these multipliers; least: (B,) bounds that are known of them already."""
        found = relaxation.dual(self.chain, theta, low, up, self.rows[root])
        value = found.safe()
        open_ = relaxation.kinds(low, up)[2]
        # what its upper line loses: at equal loss (as where the bound is 0) the widest triangle
        score = found.lost + 1e-9 * torch.minimum(-low, up)
        unit = torch.where(open_, score, -1.0).argmax(1)
        unit = torch.where(open_.any(1), unit, -1)
        bound = torch.maximum(least, (2 * value.clamp(min=0)).sqrt())
        centre = found.heights[:, self.chain.slices()[0]]
        self.point = found.r
        return Nodes(theta, low, up, root, bound, unit, found.worth, centre, value)

    def roots(self) -> Nodes:
        low, up = relaxation.first_bounds(self.chain, self.radius)
        low, up = low.repeat(len(self.rows.bias), 1), up.repeat(len(self.rows.bias), 1)
        theta = relaxation.start(low, up, self.rows, self.radius)
        theta = relaxation.maximise(
            self.chain, theta, low, up, self.rows, self.radius, ROOT_EVALUATIONS
        )
        return self.judged(theta, low, up, torch.arange(len(low)), low.new_zeros(len(low)))

    def halved(self, nodes: Nodes) -> Nodes:
        """The children: the unit of each node on in the first half of the result, else off."""
        n, m = len(nodes), self.rows.bias.shape[1]
        both = nodes + nodes
        first, second = torch.arange(n), torch.arange(n, 2 * n)
        theta, low, up = both.theta.clone(), both.low.clone(), both.up.clone()
        low[first, nodes.unit], up[second, nodes.unit] = 0.0, 0.0
        theta[first, m + nodes.unit] = 0.0
        # as much as the unit was worth, if that was against it
        theta[second, m + nodes.unit] = (-nodes.worth[first, nodes.unit]).clamp(min=0)
        before = relaxation.kinds(low, up)[2]
        ball = (self.radius**2 - 2 * both.value.clamp(min=0)).clamp(min=0).sqrt()
        low, up = relaxation.shrink(self.chain, low, up, both.centre, ball)
        live = ~(low > up).any(1)
        low, up, theta, before = low[live], up[live], theta[live], before[live]
        theta[:, m:][before & ~relaxation.kinds(low, up)[2]] = 0.0
        root, least = both.root[live], both.bound[live]
        if len(root):
            theta = relaxation.maximise(
                self.chain, theta, low, up, self.rows[root], self.radius, EVALUATIONS
            )
        return self.judged(theta, low, up, root, least)

    def settle(self, nodes: Nodes) -> None:
        """Nodes without an undecided unit: the exact programs of their regions."""
        found = regions.nearest(self.chain, nodes.low >= 0, self.rows[nodes.root], self.upper)
        for k in found.distance.argsort().tolist():
            if float(found.distance[k]) < self.upper:
                self.walk(found.r[k], int(nodes.root[k]))
        self.left = min(self.left, float(torch.maximum(found.lower, nodes.bound).min()))

    def pruned(self, nodes: Nodes) -> Nodes:
        """What is left to halve of ``nodes``; points are looked for on the way."""
        going = nodes.bound < self.radius
        if not going.any():
            return nodes[going]
        k = int(nodes.bound.argmin())
        self.walk(self.point[k], int(nodes.root[k]))
        leaves = going & (nodes.unit < 0)
        if leaves.any():
            self.settle(nodes[leaves])
        return nodes[(nodes.bound < self.radius) & (nodes.unit >= 0)]

    def known(self, nodes: Nodes) -> float:
        """The lower bound when ``nodes`` are left."""
        lowest = float(nodes.bound.min()) if len(nodes) else math.inf
        return min(lowest, self.left, self.radius)

    def run(self, until: float) -> None:
        """Search until ``until`` (time.perf_counter). Raises KeyboardInterrupt; what is known then
        is in ``lower``, ``upper`` and ``image``."""
        if self.upper == 0:  # the image is a mistake as it is
            return
        self.prepare()
        r = self.start - self.x
        r = r if self.basis is None else self.basis.T @ r
        roots = range(len(self.rows.bias))
        if self.target is None:  # towards the class that was found
            reached = int(self.layers.logits(self.start[None]).argmax())
            roots = [k for k in roots if int(self.classes[k]) == reached]
        for root in roots:
            self.walk(r, root)
        everything = self.roots()
        self.nodes += len(everything)
        left = self.pruned(everything)
        while len(left):
            self.lower = max(self.lower, self.known(left))
            if time.perf_counter() > until:
                self.status = Proof.TIME
                break
            order = left.bound.argsort()
            children = self.halved(left[order[:BATCH]])
            self.nodes += len(children)
            left = left[order[BATCH:]] + self.pruned(children)
            left = left[left.bound < self.radius]
        else:
            self.lower, self.status = max(self.lower, self.known(left)), Proof.ROUNDING
            if math.isinf(self.upper) and self.lower >= self.radius:
                self.status = Proof.IMPOSSIBLE if self.box else Proof.FAR
                self.lower = math.inf if self.box else self.lower
        if math.isfinite(self.upper) and self.upper - self.lower <= self.gap * self.upper:
            self.status = Proof.PROVEN
