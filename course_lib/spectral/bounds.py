"""Upper bounds of a whole network: the product of section 4.3, and a tighter one.

For φ = φ_K ∘ ... ∘ φ_1 the paper bounds ||φ(x) - φ(x + r)|| <= L ||r|| by L = Π L_k. Beside it
stands LipLT (Fazlyab et al., 2023): a function σ whose slope lies in [lo, hi] is the line m·z, m
the middle, plus a rest of slope at most ρ = (hi - lo) / 2. Pushed to the end, every rest passes
through the matrices that follow it as one matrix, so that for z_k = W_k σ(z_{k-1})

    L(z_k) <= m^(k-1) ||W_k ··· W_1|| + Σ_j ρ m^(k-1-j) ||W_k ··· W_{j+1}|| L(z_j).

As ||AB|| <= ||A|| ||B|| and m + ρ = hi, this is never above the product. Both are kept as
logarithms, for the product of a deep network can leave the range of a float.
"""

import dataclasses
import math

import torch
from torch import nn

from .logarithms import LOG_ROUNDING, exp, log, log_sum, rounded_up
from .rows import step_rows
from .rules import UNIT
from .steps import Step, device_of, linear_part, multiplications

WORK = 2**36  # multiplications that all composed matrices may cost; beyond, the norms' product
ENTRIES = 2**25  # that it may have
CHUNK = 2**25  # numbers in memory while rows of it are made


@dataclasses.dataclass(frozen=True)
class Chain:
    """The linear map from one step to another: log of a bound of its norm, and how many products
    and sums of norms are in it (with one or none it is exact)."""

    log_norm: float
    factors: int


class NetworkBounds:
    """Upper bounds of every step of a network, as logarithms.

    norms: of each step on its own (for a sum and a concatenation, which join several: 0);
    product, tight: of each step's value as a function of the images. composed: how many composed
    matrices were measured; multiplied: for how many the product of the norms stands.
    """

    def __init__(self, steps: list[Step]):
        self.steps = steps
        self.layers, self.norms = step_rows(steps)
        self.device = device_of(steps)
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
                    self._norm(s, i, chains[s][i]) + self._rest(s, found) for s in sources if s <= i
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
        return log(step.slopes.half) + below[step.inputs[0]]

    def _chain(self, source: int) -> list[Chain]:
        """For each step: the linear map that leads there from ``source``."""
        found = [Chain(-math.inf, 0)] * source + [Chain(0.0, 0)]
        for i in range(source + 1, len(self.steps)):
            step = self.steps[i]
            inputs = [found[j] for j in step.inputs]
            value = self._joined(i, [chain.log_norm for chain in found])
            if step.kind == "slope":
                value = inputs[0].log_norm + log(abs(step.slopes.middle))
            elif step.kind == "lipschitz":
                value = -math.inf
            live = [chain.factors for chain in inputs if chain.log_norm > -math.inf]
            factors = sum(live) + (step.kind == "affine") + (len(live) > 1)
            found.append(Chain(rounded_up(value), factors))
        return found

    def _norm(self, source: int, target: int, chain: Chain) -> float:
        """log of a bound of the linear map from ``source`` to ``target``: of the composed matrix
        where that is no more than WORK, else ``chain``, the product of the norms in between."""
        value = chain.log_norm
        if value == -math.inf or chain.factors <= 1:
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
        product = exp(self._chain(source)[target].log_norm)
        return 2 * UNIT * len(path) * size**1.5 * self.steps[source].size ** 0.5 * product

    def push(self, source: int, target: int, x: torch.Tensor) -> torch.Tensor:
        """The linear map from ``source`` to ``target`` applied to (N, *shape of source)."""
        values = {source: x}
        for i in self.between(source, target):
            step = self.steps[i]
            if i == source:
                continue
            if step.kind == "slope":
                values[i] = step.slopes.middle * values[step.inputs[0]]
                continue
            parts = [
                values[j] if j in values else x.new_zeros(len(x), *self.steps[j].shape)
                for j in step.inputs
            ]
            twin = linear_part(step.module) if step.kind == "affine" else None
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
        if last.kind != "affine" or not isinstance(last.module, nn.Linear):
            return self.whole(self.product[-1])
        rows = distances(last.module.weight) * (1 + 4 * last.module.weight.shape[1] * UNIT)
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
            if self._chain(s)[last].log_norm == -math.inf:
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


def upper_norm(matrix: torch.Tensor) -> float:
    """The largest singular value of a float64 matrix, rounded up.

    The smaller Gram matrix, each of whose entries errs by as many units of rounding as terms,
    so all of it, like the eigenvalues, by a small multiple of that times its trace.
    """
    short, long = sorted(matrix.shape)
    gram = matrix @ matrix.T if matrix.shape[0] == short else matrix.T @ matrix
    top = float(torch.linalg.eigvalsh(gram)[-1].clamp_min(0))
    return math.sqrt(top + (2 * long + 20 * short) * UNIT * float(gram.trace())) * (1 + 4 * UNIT)
