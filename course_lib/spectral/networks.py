"""Bounds of a whole network: the product of section 4.3, a tighter one, and one from below.

For φ = φ_K ∘ ... ∘ φ_1 the paper bounds ||φ(x) - φ(x + r)|| <= L ||r|| by L = Π L_k. Beside it
stands LipLT (Fazlyab et al., 2023): a function σ whose slope lies in [lo, hi] is the line m·z, m
the middle, plus a rest of slope at most ρ = (hi - lo) / 2. Pushed to the end, every rest passes
through the matrices that follow it as one matrix, so that for z_k = W_k σ(z_{k-1})

    L(z_k) <= m^(k-1) ||W_k ··· W_1|| + Σ_j ρ m^(k-1-j) ||W_k ··· W_{j+1}|| L(z_j).

As ||AB|| <= ||A|| ||B|| and m + ρ = hi, this is never above the product. From below, any slope that
is really found is a bound: the largest norm of a Jacobian. All three are kept as logarithms, for
the product of a deep network can leave the range of a float (it is 1e41 for EfficientNet-Lite0).
"""

import dataclasses
import html
import math
import time

import torch
from torch import nn

from . import graph
from .geometry import CONVOLUTIONS
from .graph import Step
from .kinds import stated_constant
from .layers import norm_row

UNIT = 2.0**-53  # rounding of float64
WORK = 2**36  # multiplications that all composed matrices may cost; beyond, the norms' product
ENTRIES = 2**25  # that it may have
CHUNK = 2**25  # numbers in memory while rows of it are made
ASCENT = 4e10  # multiplications for the search of a large Jacobian
LOG_ROUNDING = 1e-12  # of a sum of logarithms


@dataclasses.dataclass(frozen=True)
class StepRow:
    """One row of the table: a step of the network and its norm between two bounds.

    name: of the module, or of the node in the graph; the rest as in
    :class:`~course_lib.spectral.layers.NormRow`.
    """

    name: str
    kind: str
    size: str
    stride: str
    lower: float
    upper: float
    method: str
    seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class Lipschitz:
    """What :func:`lipschitz` found: a row per layer, and bounds of the whole as logarithms.

    layers: every step that is no mere reshaping, in the order of the network; a layer used twice
    has two rows. log_product: of the paper's bound (sums and concatenations of branches
    included); log_tight: of the tighter one, never above it; log_lower: of the largest slope found.
    They are of the logits, whose scale is arbitrary: a network with all logits doubled
    answers the same and has twice the bounds. Compare networks by :meth:`over` a margin.
    how: a sentence on what the tighter bound could use. seconds: of it all.
    """

    layers: list[StepRow]
    log_product: float
    log_tight: float
    log_lower: float
    how: str
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
    def lower(self) -> float:
        """The largest slope found: no bound can be below it."""
        return exp(self.log_lower)

    def over(self, margin: float) -> dict[str, float]:
        """The three bounds divided by a margin of the logits (a median of
        :func:`~course_lib.spectral.margins`, say): per pixel, whatever the logits' scale.

        Raises ValueError unless the margin is above 0.
        """
        if not margin > 0:
            raise ValueError(f"A bound is divided by a margin above 0, not {margin}.")
        logs = {"product": self.log_product, "tight": self.log_tight, "lower": self.log_lower}
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
                ("tighter bound", self.log_tight),
                ("product", self.log_product),
            )
        )
        return f"{' <= '.join(values)} ({self.how})"

    __repr__ = table

    def _repr_html_(self) -> str:
        def line(row, tag):
            return "<tr>" + "".join(f"<{tag}>{html.escape(str(v))}</{tag}>" for v in row) + "</tr>"

        body = "".join(line(row, "td") for row in self.rows())
        return f"<table>{line(COLUMNS, 'th')}{body}</table><p>{html.escape(self.summary())}</p>"


COLUMNS = ("layer", "kind", "size", "stride", "lower", "upper", "method", "seconds")


def exp(value: float) -> float:
    """e to the ``value``; inf where that leaves the range of a float."""
    return math.exp(value) if value < 709.0 else math.inf


def log(value: float) -> float:
    """The natural logarithm, -inf for 0."""
    return math.log(value) if value > 0 else -math.inf


def power(value: float) -> str:
    """e to the ``value`` in words, whatever its size: 32.5, or 1.0e+41."""
    if abs(value) < 20 or not math.isfinite(value):
        return f"{exp(value):.4g}"
    digits, exponent = math.modf(value / math.log(10))
    if digits < 0:
        digits, exponent = digits + 1, exponent - 1
    return f"{10**digits:.3f}e{int(exponent):+d}"


def lipschitz(
    net: nn.Module,
    input_shape,
    *,
    starts: int | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> Lipschitz:
    """Bounds of ||φ(x) - φ(x')|| / ||x - x'|| of a network, per layer and as a whole (section 4.3).

    net: any module in eval mode that torch.fx can trace; input_shape: of one image, without the
    batch, such as (1, 28, 28). Every operation of its graph is bounded, functional ones, sums of
    branches, concatenations and layers that are used twice included. All in float64 whatever the
    network's precision; upper bounds are rounded up, and hold for all inputs, not the box alone.
    starts, steps: of the search for a large Jacobian (:func:`largest_slope`), whose seed is
    ``seed``; by default as many as take some seconds.

    Table 5 for trained weights, where a network connection can fetch them:

        import torchvision
        net = torchvision.models.alexnet(weights="IMAGENET1K_V1").eval()
        spectral.lipschitz(net, (3, 224, 224))

    Raises TypeError for what is no module, and a stated constant that is no number; ValueError,
    with a sentence, for a network in train mode or with NaN weights, a stated constant that is
    negative or not finite, an input shape that does not fit, a forward that cannot be traced, and
    an operation that cannot be bounded, which is named.
    """
    began = time.perf_counter()
    program = graph.trace(net, input_shape)
    bounds = NetworkBounds(program)
    lower, _ = largest_slope(program, starts, steps, seed)
    return Lipschitz(
        layers=bounds.layers,
        log_product=bounds.product[-1],
        log_tight=bounds.tight[-1],
        log_lower=log(lower),
        how=bounds.how(),
        seconds=time.perf_counter() - began,
    )


# --- upper bounds -----------------------------------------------------------------------------


class NetworkBounds:
    """Upper bounds of every step of a network, as logarithms.

    norms: of each step on its own (for a sum and a concatenation, which join several: 0);
    product, tight: of each step's value as a function of the images. composed: how many composed
    matrices were measured; multiplied: for how many the product of the norms stands.
    """

    def __init__(self, steps: list[Step]):
        self.steps = steps
        self.layers, self.norms = step_rows(steps)
        self.device = graph.device_of(steps)
        self.costs = [multiplications(step) for step in steps]
        self.product = self._product()
        self.composed = self.multiplied = self.spent = 0
        self.dense: dict[tuple[int, int], float] = {}
        self.tight = self._tight()

    def how(self) -> str:
        """Where the tighter bound was able to do better than multiply."""
        if not self.composed and not self.multiplied:
            return "LipLT, which has nothing to compose here"
        text = f"LipLT with {self.composed} composed matrices"
        if self.multiplied:
            text += f"; {self.multiplied} too large to compose: the product of their norms"
        return text

    # --- the paper's product, through sums and concatenations ---

    def _product(self) -> list[float]:
        found = [0.0]
        for i in range(1, len(self.steps)):
            found.append(rounded_up(self._joined(i, found)))
        return found

    def _joined(self, i: int, below: list[float]) -> float:
        """The bound of step ``i`` from those of its inputs: triangle inequality for a sum,
        Pythagoras for a concatenation."""
        step = self.steps[i]
        values = [below[j] for j in step.inputs]
        if step.kind == "sum":
            return log_sum(values)
        if step.kind == "cat":
            return log_sum([2 * v for v in values]) / 2
        return values[0] + self.norms[i]

    # --- LipLT ---

    def _tight(self) -> list[float]:
        """LipLT on the graph. Every value is A x + Σ_s B_s rest_s(z_s), s over the non-linear steps
        before it: so L <= ||A|| + Σ_s ||B_s|| ρ_s L(z_s), ρ_s the slope of the rest."""
        steps, last = self.steps, len(self.steps) - 1
        sources = [i for i, step in enumerate(steps) if i == 0 or step.nonlinear]
        targets = sorted({j for s in sources for j in steps[s].inputs} | {last})
        chains = {s: self._chain(s) for s in sources}
        found = [0.0]
        for i in range(1, len(steps)):
            found.append(min(rounded_up(self._joined(i, found)), self.product[i]))
            if i in targets:
                terms = [
                    self._norm(s, i, chains[s]) + self._rest(s, found) for s in sources if s <= i
                ]
                found[i] = min(found[i], rounded_up(log_sum(terms)))
        return found

    def _rest(self, source: int, below: list[float]) -> float:
        """log of ρ_s L(z_s); 0 for the images themselves."""
        step = self.steps[source]
        if source == 0:
            return 0.0
        if step.kind == "lipschitz":
            return self.norms[source] + below[step.inputs[0]]
        low, high = step.slopes
        return log((high - low) / 2) + below[step.inputs[0]]

    def _chain(self, source: int) -> list[tuple[float, int]]:
        """For each step: log of a bound of the linear map that leads there from ``source``, and
        how many products and sums of norms are in it (with one or none it is exact)."""
        found = [(-math.inf, 0)] * (source) + [(0.0, 0)]
        for i in range(source + 1, len(self.steps)):
            step = self.steps[i]
            inputs = [found[j] for j in step.inputs]
            value = self._joined(i, [pair[0] for pair in found])
            if step.kind == "slope":
                value = inputs[0][0] + log(abs(sum(step.slopes)) / 2)
            elif step.kind == "lipschitz":
                value = -math.inf
            live = [pair for pair in inputs if pair[0] > -math.inf]
            count = sum(pair[1] for pair in live) + (step.kind == "affine") + (len(live) > 1)
            found.append((rounded_up(value), count))
        return found

    def _norm(self, source: int, target: int, chain) -> float:
        """log of a bound of the linear map from ``source`` to ``target``: of the composed matrix
        where that is no more than WORK, else the product of the norms in between."""
        value, count = chain[target]
        if value == -math.inf or count <= 1:
            return value
        if (source, target) not in self.dense:
            self._compose(source, target)
        known = self.dense.get((source, target))
        if known is None:
            self.multiplied += 1
            return value
        self.composed += 1
        return min(value, rounded_up(log(known)))

    def _compose(self, source: int, target: int) -> None:
        """Measure the composed matrix, from its smaller side, if it is not too large."""
        rows, columns = self.steps[target].size, self.steps[source].size
        short, long = sorted((rows, columns))
        work = short**2 * long + short * sum(self.costs[i] for i in self.between(source, target))
        if rows * columns > ENTRIES or self.spent + work > WORK:
            return
        self.spent += work
        matrix = self.rows(source, target) if rows <= columns else self.columns(source, target)
        self.dense[source, target] = upper_norm(matrix) + self.slack(source, target)

    def between(self, source: int, target: int) -> list[int]:
        """The steps on a linear path from ``source`` to ``target``, both included."""
        after, before = {source}, {target}
        for i in range(source + 1, target + 1):
            if self.steps[i].kind != "lipschitz" and after.intersection(self.steps[i].inputs):
                after.add(i)
        for i in range(target, source, -1):
            if i in before and self.steps[i].kind != "lipschitz":
                before.update(self.steps[i].inputs)
        return sorted(after & before)

    def slack(self, source: int, target: int) -> float:
        """What rounding may have taken from the norm of a composed matrix.

        A product with n terms each errs by n units of |W| |x|, and || |W| || <= √n ||W||; there are
        √columns of them in the Frobenius norm: so depth · n^1.5 · √columns units of the product of
        the norms.
        """
        path = self.between(source, target)
        size = max(self.steps[i].size for i in path)
        product = exp(self._chain(source)[target][0])
        return 2 * UNIT * len(path) * size**1.5 * self.steps[source].size ** 0.5 * product

    def push(self, source: int, target: int, x: torch.Tensor) -> torch.Tensor:
        """The linear map from ``source`` to ``target`` applied to (N, *shape of source)."""
        values = {source: x}
        for i in self.between(source, target):
            step = self.steps[i]
            if i == source:
                continue
            if step.kind == "slope":
                values[i] = sum(step.slopes) / 2 * values[step.inputs[0]]
                continue
            parts = [
                values[j] if j in values else x.new_zeros(len(x), *self.steps[j].shape)
                for j in step.inputs
            ]
            twin = graph.linear_part(step.module) if step.kind == "affine" else None
            values[i] = step.apply(parts, twin)
        return values[target]

    def columns(self, source: int, target: int) -> torch.Tensor:
        """The composed matrix, transposed: (numbers at source, numbers at target)."""
        n = self.steps[source].size
        eye = torch.eye(n, dtype=torch.float64, device=self.device)
        parts = eye.reshape(n, *self.steps[source].shape).split(self.batch(source, target))
        return torch.cat([self.push(source, target, part).flatten(1) for part in parts])

    def rows(self, source: int, target: int) -> torch.Tensor:
        """The composed matrix (numbers at target, numbers at source), by back-propagation."""
        n, shape = self.steps[target].size, self.steps[source].shape
        eye = torch.eye(n, dtype=torch.float64, device=self.device)
        parts = []
        for rows in eye.split(self.batch(source, target)):
            with torch.enable_grad():
                x = rows.new_zeros(len(rows), *shape).requires_grad_()
                y = self.push(source, target, x).flatten(1)
                parts.append(torch.autograd.grad(y, x, rows)[0].flatten(1))
        return torch.cat(parts)

    def batch(self, source: int, target: int) -> int:
        return max(1, CHUNK // sum(self.steps[i].size for i in self.between(source, target)))

    # --- pairs of outputs ---

    def pairs_product(self) -> torch.Tensor:
        """(classes, classes) log of a bound of z_y - z_j: ||w_y - w_j|| times the product below, w
        the rows of the last layer; √2 times the whole product if the last step is no Linear."""
        last = self.steps[-1]
        if not isinstance(last.module, nn.Linear):
            return self.whole(self.product[-1])
        rows = distances(last.module.weight) * (1 + 4 * last.module.in_features * UNIT)
        return torch.minimum(
            rows.log() + rounded_up(self.product[last.inputs[0]]), self.whole(self.product[-1])
        )

    def pairs_tight(self) -> torch.Tensor:
        """(classes, classes) log of a bound of z_y - z_j by LipLT, with e_y - e_j as a last layer:
        ||(e_y - e_j) A|| + Σ_s ||(e_y - e_j) B_s|| ρ_s L(z_s)."""
        last = len(self.steps) - 1
        best = torch.minimum(self.whole(self.tight[-1]), self.pairs_product())
        terms = []
        for s, step in enumerate(self.steps):
            if s > 0 and not step.nonlinear:
                continue
            chain, _ = self._chain(s)[last]
            if chain == -math.inf:
                continue
            if s == last:  # the logits are the values of a non-linear step
                terms.append(self.whole(self._rest(s, self.tight)))
                continue
            work = sum(self.costs[i] for i in self.between(s, last)) * self.steps[last].size
            if work > WORK or self.steps[last].size * step.size > ENTRIES:
                return best
            matrix = distances(self.rows(s, last)) * (1 + 4 * step.size * UNIT)
            matrix = matrix + 2 * self.slack(s, last)
            terms.append(matrix.log() + self._rest(s, self.tight))
        if not terms:  # constant logits
            return torch.full_like(best, -torch.inf)
        return torch.minimum(best, torch.stack(terms).logsumexp(0) + LOG_ROUNDING)

    def whole(self, value: float) -> torch.Tensor:
        """|z_y - z_j| <= √2 ||z||: the same bound for every pair."""
        n = self.steps[-1].size
        table = torch.full((n, n), value + math.log(2) / 2, dtype=torch.float64)
        return table.to(self.device)


def distances(rows: torch.Tensor) -> torch.Tensor:
    """(n, n) the distances between the rows, without the cancellation of |a|² - 2ab + |b|²."""
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")


def rounded_up(value: float) -> float:
    """A logarithm of an upper bound, with what adding logarithms may have lost."""
    return value + LOG_ROUNDING * (1 + abs(value)) if value > -math.inf else value


def log_sum(values: list[float]) -> float:
    """log Σ exp(values), without overflow."""
    top = max(values)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(v - top) for v in values))


def upper_norm(matrix: torch.Tensor) -> float:
    """The largest singular value of a float64 matrix, rounded up.

    The smaller Gram matrix, each of whose entries errs by as many units of rounding as terms,
    so all of it, like the eigenvalues, by a small multiple of that times its trace.
    """
    short, long = sorted(matrix.shape)
    gram = matrix @ matrix.T if matrix.shape[0] == short else matrix.T @ matrix
    top = float(torch.linalg.eigvalsh(gram)[-1].clamp_min(0))
    return math.sqrt(top + (2 * long + 20 * short) * UNIT * float(gram.trace())) * (1 + 4 * UNIT)


def step_rows(steps: list[Step]) -> tuple[list[StepRow], list[float]]:
    """A row for each step that does something, and the log of each step's norm, from above."""
    layers, norms, seen = [], [], {}
    for step in steps:
        if step.kind in ("input", "reshape", "permute"):
            norms.append(0.0)
            continue
        shape = steps[step.inputs[0]].shape
        key = (id(step.module), shape)
        if step.kind in ("sum", "cat"):
            row = joined_row(step)
        elif key in seen:
            row = dataclasses.replace(seen[key], name=step.name, seconds=0.0)
        else:
            row = seen[key] = layer_row(step, shape)
        layers.append(row)
        norms.append(0.0 if step.kind in ("sum", "cat") else log(row.upper))
    return layers, norms


def joined_row(step: Step) -> StepRow:
    kind, method = ("Sum", "added") if step.kind == "sum" else ("Concatenation", "Pythagoras")
    constant = math.sqrt(len(step.inputs)) if step.kind == "sum" else 1.0
    size = f"{len(step.inputs)} branches"
    return StepRow(step.name, kind, size, "", constant, constant, method, 0.0)


def layer_row(step: Step, shape) -> StepRow:
    """The row of one layer; ValueError, naming it, if it cannot be bounded."""
    began = time.perf_counter()
    module = step.module
    kind = type(module).__name__
    size = " x ".join(map(str, step.shape))
    if step.kind == "slope" or stated_constant(module) is not None:
        value = max(map(abs, step.slopes))
        method = "slope" if step.kind == "slope" else "stated"
        return StepRow(step.name, kind, size, "", value, value, method, 0.0)
    if isinstance(module, graph.Diagonal):
        value = float(module.weight.abs().max())
        return StepRow(step.name, "Scale", size, "", value, value, "largest entry", 0.0)
    if isinstance(module, graph.Mean):
        value = math.sqrt(step.size / math.prod(shape))
        upper = value * (1 + 4 * UNIT)
        return StepRow(step.name, "Mean", size, "", value, upper, "closed form", 0.0)
    try:
        found = norm_row(module, shape)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The layer {step.name!r} cannot be bounded: {error}") from None
    seconds = time.perf_counter() - began
    return StepRow(
        step.name,
        found.kind,
        found.size,
        "" if found.stride is None else " x ".join(map(str, found.stride)),
        found.lower,
        found.upper,
        found.method,
        seconds,
    )


def multiplications(step: Step) -> int:
    """About how many multiplications a step costs for one image."""
    weight = getattr(step.module, "weight", None)
    if not isinstance(weight, torch.Tensor):
        return step.size
    if isinstance(step.module, nn.Linear):
        return step.size * weight.shape[1]
    if isinstance(step.module, CONVOLUTIONS):
        return step.size * weight[0].numel()
    return step.size


# --- from below -------------------------------------------------------------------------------


def largest_slope(
    steps: list[Step], starts: int | None = None, rounds: int | None = None, seed: int = 0
) -> tuple[float, torch.Tensor]:
    """The largest slope ||φ(x + h v) - φ(x - h v)|| / 2h found by gradient ascent, and its x.

    Ascent in x, from many starts, beside power iterations in v; h shrinks from one that sees
    past the kinks of a rectified network (whose Jacobian is constant between them, so that
    its own gradient says nothing) to a small one. Where there are few outputs, the norms of the
    Jacobians at the ends are computed in full. Every such quotient is a lower bound of L, whatever
    led to it; a part of 1e-9 is taken off for rounding.
    """
    work = 6 * sum(multiplications(step) for step in steps)
    starts = starts or max(1, min(32, int(ASCENT / 60 / work)))
    rounds = rounds or max(4, min(150, int(ASCENT / work / starts)))
    shape = steps[0].shape
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(starts, *shape, generator=rng, dtype=torch.float64)
    x[::2] = torch.rand(x[::2].shape, generator=rng, dtype=torch.float64)
    v = unit(torch.randn(starts, *shape, generator=rng, dtype=torch.float64))
    x, v = x.to(graph.device_of(steps)), v.to(graph.device_of(steps))
    size = steps[0].size ** 0.5
    best, place = 0.0, x[0]
    for k in range(rounds):
        h = size * 0.03 * 0.01 ** (k / max(rounds - 1, 1))
        with torch.enable_grad():
            x, v = x.detach().requires_grad_(), v.detach().requires_grad_()
            both = graph.run(steps, torch.cat([x + h * v, x - h * v]))[-1].flatten(1)
            slopes = (both[:starts] - both[starts:]).norm(dim=1) / (2 * h)
            if not slopes.isfinite().all() or not (slopes > 0).any():
                break
            gx, gv = torch.autograd.grad(slopes.clamp_min(1e-300).log().sum(), (x, v))
        slopes = slopes.detach()
        top = int(slopes.argmax())
        if float(slopes[top]) > best:
            best, place = float(slopes[top]), x[top].detach().clone()
        v = unit(torch.where(gv.abs().amax() > 0, gv, v.detach()))
        x = x.detach() + size * 0.02 * (1 - k / rounds) * unit(gx)
    if steps[-1].size <= 32:
        norms = jacobian_norms(steps, x.detach())
        top = int(norms.argmax())
        if float(norms[top]) > best:
            best, place = float(norms[top]), x[top].detach()
    return best * (1 - 1e-9), place


def unit(x: torch.Tensor) -> torch.Tensor:
    """Each row of ``x`` at length 1 (or 0)."""
    norms = x.flatten(1).norm(dim=1).clamp_min(1e-300)
    return x / norms.reshape(-1, *[1] * (x.ndim - 1))


def jacobian_norms(steps: list[Step], x: torch.Tensor) -> torch.Tensor:
    """(N,) the largest singular value of the Jacobian at each of the images ``x``."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        out = graph.run(steps, x)[-1].flatten(1)
        rows = [
            torch.autograd.grad(out[:, i].sum(), x, retain_graph=True)[0].flatten(1)
            for i in range(out.shape[1])
        ]
    return torch.linalg.svdvals(torch.stack(rows, 1))[:, 0]
