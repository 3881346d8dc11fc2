"""What all solvers of the attack share: the images, their targets, and how to ask the network."""

import dataclasses
from collections.abc import Callable

import torch

from . import losses
from .metering import Meter
from .status import Status

MEASURED = ("stationarity", "complementarity", "multiplier")  # of the point that is kept
ROUNDS = 6  # of regula falsi on the ray through an image, to the boundary
# Points on the ray through an image that are tried, in turn, when the image itself falls short.
LADDER = (1.003, 1.02, 1.1, 1.3, 1.7)


@dataclasses.dataclass(eq=False)
class Problem:
    """Nearest images of given classes: min |z - x| such that the target's logit leads by
    ``needed``, 0 <= z <= 1.

    net: images (n, *shape) to logits (n, classes); x: (N, D) the images, flattened; targets: (N,);
    needed: (N,) the margin in the logits that counts as success; shape: of one image; pixels: the
    type that the network's own images have, None for that of x. away: any class will do but
    ``targets``, which is then the one to get away from. meter: what counts the gradients, if
    somebody does, and numbers: (N,) those of the images there. most: how many
    images the network is given at a time; None for no limit. image: (N,) which of M images each
    problem belongs to, where an image has one for each of several classes, of which the nearest is
    wanted, least: (M,) the smallest |z - x|² known of any, shared by what is taken from here, and
    before: (M,) the gradients that it took to choose the classes, where they are some of many.
    """

    net: Callable
    x: torch.Tensor
    targets: torch.Tensor
    needed: torch.Tensor
    shape: torch.Size
    pixels: torch.dtype | None = None
    away: bool = False
    meter: Meter | None = None
    numbers: torch.Tensor | None = None
    most: int | None = None
    image: torch.Tensor | None = None
    least: torch.Tensor | None = None
    before: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: torch.Tensor) -> "Problem":
        """The same for the images ``rows``."""
        some = dataclasses.replace(
            self, x=self.x[rows], targets=self.targets[rows], needed=self.needed[rows]
        )
        some.numbers = None if self.numbers is None else self.numbers[rows]
        some.image = None if self.image is None else self.image[rows]
        return some

    def metered(self, meter: Meter, numbers: torch.Tensor) -> "Problem":
        """The same with its gradients counted by ``meter`` under ``numbers`` (N,)."""
        return dataclasses.replace(self, meter=meter, numbers=numbers)

    def for_each(self, classes: torch.Tensor) -> "Problem":
        """For each image and each of its ``classes`` (N, k) a problem with that target."""
        k = classes.shape[1]
        image = torch.arange(len(self), device=self.x.device).repeat_interleave(k)
        many = self.take(image)
        least = self.x.new_full((len(self),), torch.inf)
        before = torch.zeros_like(self.targets)
        kept = {"image": image, "least": least, "before": before} if k > 1 else {}
        return dataclasses.replace(many, targets=classes.flatten(), away=False, **kept)

    def within(self, square: torch.Tensor, times: float) -> torch.Tensor:
        """(N,) bool: which problems are at most ``times`` as far as the nearest known one of their
        image; of a class that was not reached nothing is known. square: (N,) the |z - x|² found,
        noted in ``least``."""
        if self.image is None:
            return torch.ones_like(square, dtype=torch.bool)
        self.least.scatter_reduce_(0, self.image, square, "amin")
        return (square <= times**2 * self.least[self.image]) | square.isinf()

    def exhausted(self) -> torch.Tensor:
        """(N,) bool: which images have had all the gradients that their budget has."""
        return self._no_image() if self.meter is None else self.meter.exhausted(self.numbers)

    def affords(self, gradients: int) -> torch.Tensor | None:
        """(N,) bool: for which images so many ``gradients`` may be taken; None: for all of them. An
        image that its budget does not give them is exhausted from now on."""
        if self.meter is None:
            return None
        afforded = self.meter.affords(self.numbers, gradients)
        return None if afforded.all() else afforded

    def refused(self) -> torch.Tensor:
        """(N,) bool: which images were not given the gradients of a step, because of a budget."""
        return self._no_image() if self.meter is None else self.meter.done[self.numbers]

    def _no_image(self) -> torch.Tensor:
        """(N,) bool: none of them."""
        return torch.zeros(len(self), dtype=torch.bool, device=self.x.device)

    def seen(self, z, lead, gradients: int = 0, slope: torch.Tensor | None = None) -> None:
        """Tell the meter of the points ``z`` (N, D), their leads (N,) and how many gradients were
        taken at each, of which ``slope`` (N, D) is one."""
        if self.meter is not None:
            free = dataclasses.replace(self, meter=None, numbers=None)
            self.meter.count(free, self.numbers, z, lead, gradients, slope, to_boundary)

    def logits(self, z: torch.Tensor) -> torch.Tensor:
        """(n, classes) the logits at the flat points ``z`` (n, D)."""
        images = z.unflatten(1, self.shape)
        if self.most is None or len(z) <= self.most:
            return self.net(images)
        return torch.cat([self.net(some) for some in images.split(self.most)])

    def as_given(self, z: torch.Tensor) -> torch.Tensor:
        """``z`` with pixels that the network's own type has."""
        return z if self.pixels in (None, z.dtype) else z.to(self.pixels).to(z.dtype)

    def lead(self, z: torch.Tensor) -> torch.Tensor:
        """(N,) by how much the target leads beyond what is needed: >= 0 is success.

        With ``away`` by how much any other class leads all the rest.
        """
        sure = self._leads(z)[1]
        self.seen(z, sure)
        return sure

    def _leads(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N,) the lead whose gradient shows the way, and (N,) that which is a success at 0."""
        logits = self.logits(z)
        lead = losses.target_margin(logits, self.targets)
        if not self.away:
            return lead - self.needed, lead - self.needed
        # two other classes may lead the label together, and neither the other
        top = logits.topk(2, dim=1)[0]
        sure = torch.minimum(-lead, top[:, 0] - top[:, 1])
        return -lead - self.needed, sure - self.needed

    def lead_and_normal(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N,) the lead and (N, D) its gradient, 0 where the budget has ended."""
        afforded = self.affords(1)
        if afforded is not None:
            lead, normal = self._leads(z)[0], torch.zeros_like(z)
            rows = afforded.nonzero()[:, 0]
            if len(rows):
                lead[rows], normal[rows] = self.take(rows)._lead_and_normal(z[rows])
            return lead, normal
        return self._lead_and_normal(z)

    def _lead_and_normal(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.enable_grad():
            z = z.detach().requires_grad_(True)
            lead, sure = self._leads(z)
            (normal,) = torch.autograd.grad(lead.sum(), z)
        self.seen(z.detach(), sure.detach(), 1, normal)
        return lead.detach(), normal

    def curved(self, z: torch.Tensor) -> bool:
        """Whether the gradient of the lead has a gradient itself at the points ``z`` (N, D): that
        of a network of linear pieces is constant on each of them, whatever creases there are. Not
        where a budget does not give the two gradients that this takes."""
        if self.affords(2) is not None:
            return False
        with torch.enable_grad():
            z = z.detach().requires_grad_(True)
            lead, sure = self._leads(z)
            (normal,) = torch.autograd.grad(lead.sum(), z, create_graph=True)
            self.seen(z.detach(), sure.detach(), 2, normal.detach())
            if not normal.requires_grad:
                return False
            try:
                (turn,) = torch.autograd.grad(normal.sum(), z, allow_unused=True)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:  # a layer that is differentiated only once: no plain piece
                return True
        return turn is not None and bool((turn != 0).any())

    def best_other(self, z: torch.Tensor) -> torch.Tensor:
        """(N,) the class with the largest logit at ``z`` beside the ``targets``."""
        return self.logits(z).scatter(1, self.targets[:, None], -torch.inf).argmax(1)

    def gaps_and_normals(self, z: torch.Tensor, classes: torch.Tensor):
        """For each column of ``classes`` (N, k) in turn: (N,) by how much the ``targets`` lead
        them, and (N, D) the gradient, 0 where the budget has ended. The network is asked once,
        whatever k is; of some images only, once the budget of the others has ended."""
        with torch.enable_grad():
            z = z.detach().requires_grad_(True)
            logits = self.logits(z)
            of_target = logits.gather(1, self.targets[:, None])[:, 0]
        for k, j in enumerate(classes.T, 1):
            afforded = self.affords(1)
            if afforded is not None:
                yield from self._some_gaps(z.detach(), classes[:, k - 1 :], afforded)
                return
            with torch.enable_grad():
                gap = of_target - logits.gather(1, j[:, None])[:, 0]
                more = k < classes.shape[1]
                (normal,) = torch.autograd.grad(gap.sum(), z, retain_graph=more)
            self.seen(z.detach(), torch.full_like(self.needed, -torch.inf), 1, normal)
            yield gap.detach(), normal

    def _some_gaps(self, z: torch.Tensor, classes: torch.Tensor, afforded: torch.Tensor):
        """:meth:`gaps_and_normals` with gradients for the images that are ``afforded`` (N,)."""
        rows, logits = afforded.nonzero()[:, 0], self.logits(z)
        of_target = logits.gather(1, self.targets[:, None])[:, 0]
        some = self.take(rows).gaps_and_normals(z[rows], classes[rows]) if len(rows) else None
        for j in classes.T:
            gap, normal = of_target - logits.gather(1, j[:, None])[:, 0], torch.zeros_like(z)
            if some is not None:
                gap[rows], normal[rows] = next(some)
            yield gap, normal


@dataclasses.dataclass(eq=False)
class BestPoints:
    """The best points of a solver: one row per image.

    z: (N, D); square: (N,) |z - x|², infinite where nothing succeeded; c: (N,) the penalty's weight
    on |r|² at which the point would be the minimiser of c |r|² + (what the target falls short);
    evaluations: (N,) of a gradient; status: (N,) int64, each a :class:`.Status`; stationarity,
    complementarity, multiplier: (N,) how well the first-order conditions hold at z and the sum of
    the multipliers (:mod:`.conditions`), NaN where nobody has asked.
    """

    z: torch.Tensor
    square: torch.Tensor
    c: torch.Tensor
    evaluations: torch.Tensor
    status: torch.Tensor
    stationarity: torch.Tensor
    complementarity: torch.Tensor
    multiplier: torch.Tensor

    @classmethod
    def nothing(cls, problem: Problem, status: Status) -> "BestPoints":
        """Nothing found yet: the clean images, at an infinite distance."""
        x = problem.x
        return cls(
            x.clone(),
            x.new_full((len(x),), torch.inf),
            x.new_full((len(x),), torch.nan),
            torch.zeros(len(x), dtype=torch.int64, device=x.device),
            torch.full((len(x),), status, device=x.device),
            *(x.new_full((len(x),), torch.nan) for _ in MEASURED),
        )

    def note(self, x, rows, z, success, square=None) -> None:
        """Keep the points that succeed with a smaller change than any before.

        x: (N, D) the images; rows: (n,) to which of them the points z (n, D) belong.
        """
        won = success.nonzero()[:, 0]
        if not len(won):
            return
        at, z = rows[won], z[won]
        square = (z - x[at]).square().sum(1) if square is None else square[won]
        better = square < self.square[at]
        at = at[better]
        self.z[at], self.square[at] = z[better], square[better]
        for name in MEASURED:  # of the point that was there
            getattr(self, name)[at] = torch.nan

    def take(self, rows: torch.Tensor) -> "BestPoints":
        """The same for the images ``rows``."""
        return BestPoints(**{name: value[rows] for name, value in vars(self).items()})

    def merge(self, rows: torch.Tensor, other: "BestPoints") -> None:
        """Take over what ``other`` found for the images ``rows``, where it is better."""
        better = other.square < self.square[rows]
        at = rows[better]
        for name in ("z", "square", "c", "status", *MEASURED):
            getattr(self, name)[at] = getattr(other, name)[better]
        self.evaluations[rows] += other.evaluations


def to_boundary(problem: Problem, z: torch.Tensor, rounds: int = ROUNDS):
    """Move along the rays x + t (z - x), cut to the box, to where the lead becomes 0 from above.

    A lead below 0 at t = 1 is followed outward (t up to 1.7), one above 0 inward, by regula falsi
    (Illinois). Forward passes only. Returns ((N, D) points, (N,) whether they succeed); of the
    points tried, the one with the smallest t that succeeds.
    """
    x = problem.x

    def at(t):
        point = torch.lerp(x, z, t[:, None]).clamp_(0, 1)
        return point, problem.lead(point)

    high = x.new_ones(len(x))
    best, f_high = at(high)
    low, f_low = torch.zeros_like(high), problem.lead(x)
    for t in LADDER:
        short = f_high < 0
        if not short.any():
            break
        low, f_low = torch.where(short, high, low), torch.where(short, f_high, f_low)
        high = torch.where(short, t, high)
        point, f = at(high)
        best, f_high = torch.where(short[:, None], point, best), torch.where(short, f, f_high)
    found = f_high >= 0
    side = torch.zeros_like(high)
    for _ in range(rounds):
        share = (f_high / (f_high - f_low)).nan_to_num(0.5).clamp(0.0, 0.95)
        t = high - share * (high - low)
        point, f = at(t)
        hit = f >= 0
        best = torch.where((hit & found)[:, None], point, best)
        f_low = torch.where(hit & (side == 1), f_low / 2, torch.where(hit, f_low, f))
        f_high = torch.where(~hit & (side == -1), f_high / 2, torch.where(hit, f, f_high))
        high, low = torch.where(hit, t, high), torch.where(hit, low, t)
        side = torch.where(hit, 1.0, -1.0)
    return best, found


def finish(problem: Problem, found: BestPoints, last: torch.Tensor, rounds: int = ROUNDS) -> None:
    """Move the points of ``found`` to the boundary, a solver's end; where nothing has succeeded,
    its ``last`` points (N, D)."""
    ends = torch.where(found.square.isfinite()[:, None], found.z, last)
    point, success = to_boundary(problem, ends, rounds)
    found.note(problem.x, torch.arange(len(last), device=last.device), point, success)
