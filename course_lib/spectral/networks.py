"""A whole network between bounds: its layers' table, and what holds for all of it (section 4.3).

The product of the layers' norms and a tighter bound come from :mod:`.bounds`, the tightest from
:mod:`.lipsdp` or :mod:`.blocks`, the largest slope that is found from :mod:`.ascent`. All are kept
as logarithms.
"""

import dataclasses
import html
import math
import numbers
import time

import torch
from torch import nn

from . import blocks, graph, guard, lipsdp
from .ascent import largest_slope
from .bounds import NetworkBounds
from .logarithms import exp, log, power
from .rows import StepRow

COLUMNS = ("layer", "kind", "size", "stride", "lower", "upper", "method", "seconds")


@dataclasses.dataclass(frozen=True, eq=False)
class Lipschitz:
    """What :func:`lipschitz` found: a row per layer, and bounds of the whole as logarithms.

    layers: every step that is no mere reshaping, in the order of the network; a layer used twice
    has two rows. log_product: of the paper's bound (sums and concatenations of branches
    included); log_tight: of the tighter one (LipLT), never above it; log_sdp: of the tightest, by a
    multiplier for each unit (LipSDP), never above that; log_lower: of the largest slope found.
    They are of the logits, whose scale is arbitrary: a network with all logits doubled
    answers the same and has twice the bounds. Compare networks by :meth:`over` a margin.
    how, how_sdp: a sentence each on what the tighter and the tightest bound could use. seconds: of
    it all.
    """

    layers: list[StepRow]
    log_product: float
    log_tight: float
    log_sdp: float
    log_lower: float
    how: str
    how_sdp: str
    seconds: float

    @property
    def product(self) -> float:
        """The paper's bound L; inf where it leaves the range of a float."""
        return exp(self.log_product)

    @property
    def tight(self) -> float:
        """The tighter bound; inf where it leaves the range of a float."""
        return exp(self.log_tight)

    @property
    def sdp(self) -> float:
        """The tightest bound; inf where it leaves the range of a float."""
        return exp(self.log_sdp)

    @property
    def lower(self) -> float:
        """The largest slope found: no bound can be below it."""
        return exp(self.log_lower)

    def over(self, margin: float) -> dict[str, float]:
        """The bounds divided by a margin of the logits (a median of
        :func:`~course_lib.spectral.margins`, say): per pixel, whatever the logits' scale.

        Raises ValueError unless the margin is above 0.
        """
        if not margin > 0:
            raise ValueError(f"A bound is divided by a margin above 0, not {margin}.")
        logs = {"product": self.log_product, "tight": self.log_tight}
        logs |= {"sdp": self.log_sdp, "lower": self.log_lower}
        return {name: exp(value - math.log(margin)) for name, value in logs.items()}

    def rows(self) -> list[tuple[str, ...]]:
        """The table in words: name, kind, size, stride, lower, upper, method, seconds."""
        return [
            (
                layer.name,
                layer.kind,
                str(layer.size),
                str(layer.stride),
                f"{layer.lower:.6g}",
                f"{layer.upper:.6g}",
                layer.method,
                f"{layer.seconds:.2f}",
            )
            for layer in self.layers
        ]

    def table(self) -> str:
        """The table as text, the bounds of the whole below it."""
        rows = [COLUMNS, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, self.summary()])

    def summary(self) -> str:
        """The bounds of the whole, in a line."""
        values = (
            f"{name} {power(value)}"
            for name, value in (
                ("largest slope found", self.log_lower),
                ("tightest bound", self.log_sdp),
                ("tighter bound", self.log_tight),
                ("product", self.log_product),
            )
        )
        return f"{' <= '.join(values)} ({self.how}; {self.how_sdp})"

    __repr__ = table

    def _repr_html_(self) -> str:
        def line(row, tag):
            return "<tr>" + "".join(f"<{tag}>{html.escape(str(v))}</{tag}>" for v in row) + "</tr>"

        body = "".join(line(row, "td") for row in self.rows())
        return f"<table>{line(COLUMNS, 'th')}{body}</table><p>{html.escape(self.summary())}</p>"


@torch.inference_mode(False)
def lipschitz(
    net: nn.Module,
    input_shape,
    *,
    starts: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    descent: bool = False,
) -> Lipschitz:
    """Bounds of ||φ(x) - φ(x')|| / ||x - x'|| of a network, per layer and as a whole (section 4.3).

    net: any module in eval mode that torch.fx can trace; input_shape: of one image, without the
    batch, such as (1, 28, 28). Every operation of its graph is bounded, functional ones, sums of
    branches, concatenations and layers that are used twice included. All in float64 whatever the
    network's precision; upper bounds are rounded up, and hold for all inputs, not the box alone.
    starts, steps: of the search for a large Jacobian (:func:`largest_slope`), whose seed is
    ``seed``; by default as many as take some seconds. descent: whether the multipliers of the
    tightest bound are improved (:mod:`.lipsdp`; some seconds), or those of a closed form are taken;
    those of the blocks of a deep network (:mod:`.blocks`) are searched for in any case.

    Table 5 for trained weights, where a network connection can fetch them:

        import torchvision
        net = torchvision.models.alexnet(weights="IMAGENET1K_V1").eval()
        spectral.lipschitz(net, (3, 224, 224))

    Raises TypeError for what is no module, a stated constant that is no number, and ``descent``
    that is neither True nor False; ValueError,
    with a sentence, for a network in train mode or with NaN weights, a stated constant that is
    negative or not finite, an input shape that does not fit, a forward that cannot be traced, and
    an operation that cannot be bounded, which is named; and where what was read or found
    contradicts the network as it runs (:mod:`.guard`).
    """
    began = time.perf_counter()
    for name, value in (("starts", starts), ("steps", steps), ("seed", seed)):
        least = 0 if name == "seed" else 1
        whole = isinstance(value, numbers.Integral) and value >= least
        if not whole and (name == "seed" or value is not None):
            raise ValueError(f"{name} must be a whole number from {least} on, not {value!r}.")
    if not isinstance(descent, bool):
        raise TypeError(f"descent must be True or False, not {descent!r}.")
    program = graph.read(net, input_shape)
    guard.check_activations(program.steps)
    bounds = NetworkBounds(program.steps)
    lower, _ = largest_slope(program.steps, starts, steps, seed)
    heavy = sum(bounds.costs) > guard.HEAVY
    times = 1 if heavy else guard.TWICE
    seen = guard.largest_seen(program.network, program.steps[0].shape, bounds.device, times)
    log_sdp, how_sdp = lipsdp.whole(bounds, descent)
    if log_sdp == bounds.tight[-1]:  # no chain of few units
        log_sdp, how_sdp = blocks.whole(bounds, log_sdp, how_sdp)
    guard.check_bound(exp(log_sdp), max(lower, seen), "the network")
    return Lipschitz(
        layers=bounds.layers,
        log_product=bounds.product[-1],
        log_tight=bounds.tight[-1],
        log_sdp=log_sdp,
        log_lower=log(lower),
        how=bounds.how(),
        how_sdp=how_sdp,
        seconds=time.perf_counter() - began,
    )
