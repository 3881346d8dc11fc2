"""Lower bounds for rectified networks: the dual of the triangle relaxation, many nodes at once.

    min ½ |r|²  such that  C a_L + c >= 0,   a_l = max(h_l, 0),   h_l = W_l a_(l-1) + b_l,   a_0 = r

over a box of r. A *node* knows bounds low <= h <= up of every unit. A unit with low >= 0 is on
(a = h), one with up <= 0 is off (a = 0), and any other is undecided: the relaxation gives it the
triangle a >= 0, a >= h, a <= s (h - low), s = up / (up - low) (Ehlers 2017). Multipliers λ of the
output constraints go backwards through the layers as a gradient does (Wong & Kolter 2018; Wang et
al. 2021, who call them α and β): y is what a unit's activation is worth, and

    undecided  t >= max(y, 0) on the upper line, α (t - y) on a >= h, the rest on a >= 0
    on, off    β >= 0 on the unit's sign

With w = Σ W_1ᵀν what is left is min ½ |r|² - w·r over the box, which is r = clip(w). *Every* choice
of λ >= 0, 0 <= α <= 1, β >= 0 gives a lower bound, so that how well they were chosen decides how
good it is and never whether it is true; :func:`course_lib.lbfgsb.minimize` chooses. Because the
Lagrangian is strongly convex in r, a bound v also says where solutions are:

    every one with |r| <= R lies in the ball around clip(w) of the radius sqrt(R² - 2v),

from which the bounds low and up of a node's children are made tighter (:func:`shrink`).
"""

import dataclasses

import torch

from .. import lbfgsb

EPS = torch.finfo(torch.float64).eps
# t is (y + sqrt(y² + 4 τ²)) / 2 while the multipliers are sought, which is as valid and has no
# kink; τ in units of the ball's radius, which is the size of the multipliers
SMOOTH = 1e-3
# The search for multipliers stops early: what it has not reached, the node's children go on with.
TOLERANCE = {"memory": 8, "tolerance": 1e-6, "decrease": 1e-6}
BISECTIONS = 30  # of the multiplier of a ball: any value is valid, and so many leave 1e-9 of it


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """The hidden layers as functions of r, in units of about 1: weights[l] (k_l, k_(l-1)), biases
    (k_l,), the box low, up (D,) of r, infinite where there is none; size: (K,) what the terms of
    each height add up to, in all the box or ball; gram: W_1 W_1ᵀ; rounding: the relative error of
    the longest of the sums."""

    weights: list[torch.Tensor]
    biases: list[torch.Tensor]
    low: torch.Tensor
    up: torch.Tensor
    size: torch.Tensor
    gram: torch.Tensor
    rounding: float

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self.weights)

    def slices(self) -> list[slice]:
        """Where each layer's units are among all K."""
        ends = torch.tensor([len(b) for b in self.biases]).cumsum(0).tolist()
        return [slice(end - len(b), end) for end, b in zip(ends, self.biases, strict=True)]

    def heights(self, r: torch.Tensor):
        """The heights (n, K) of all hidden units for r (n, D), and the last activations."""
        found = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            height = r @ weight.T + bias
            found.append(height)
            r = height.clamp(min=0)
        return torch.cat(found, 1), r


def power_of_two(x: torch.Tensor) -> torch.Tensor:
    """The power of two nearest to each of ``x`` > 0 (1 for 0): scaling by it does not round."""
    return torch.exp2(torch.where(x > 0, x, 1.0).log2().round())


def make_chain(weights, biases, low, up, radius: float, pixels: int):
    """A :class:`Chain` of hidden layers whose heights have slopes of about 1, and the factors by
    which the last layer's activations are smaller than they were. pixels: in an image."""
    scaled, offsets, sizes = [], [], []
    rescale = torch.ones_like(low)
    reach = torch.maximum(-low, up).clamp(max=radius)
    slopes = None
    for weight, bias in zip(weights, biases, strict=True):
        weight = weight * rescale
        path = weight if slopes is None else weight @ slopes
        rescale = power_of_two(path.norm(dim=1))
        weight, bias = weight / rescale[:, None], bias / rescale
        slopes = path / rescale[:, None]
        reach = weight.abs() @ reach + bias.abs()
        scaled, offsets, sizes = [*scaled, weight], [*offsets, bias], [*sizes, reach]
    longest = max(pixels, *(weight.shape[1] for weight in scaled)) + 10
    gram = scaled[0] @ scaled[0].T
    # twice for the sums themselves and twice for those that they are made of
    chain = Chain(scaled, offsets, low, up, torch.cat(sizes), gram, 4 * longest * EPS)
    return chain, rescale


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """What B nodes ask of the last activations, C a + c >= 0: (B, m, k) and (B, m)."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __getitem__(self, rows) -> "Rows":
        return Rows(self.weight[rows], self.bias[rows])

    def repeat(self, n: int) -> "Rows":
        """The same rows, of a single node, for n nodes."""
        return Rows(self.weight.expand(n, -1, -1), self.bias.expand(n, -1))


@dataclasses.dataclass(frozen=True, eq=False)
class Bound:
    """The dual of B nodes at some multipliers: value (B,); gradient (B, m + K); heights
    (B, K) and r (B, D) of the relaxed solution; lost (B, K) what each undecided unit's upper line
    takes from the value; worth: (B, K) the multipliers ν; error: (B,) what rounding may have added
    to the value."""

    value: torch.Tensor
    gradient: torch.Tensor
    heights: torch.Tensor
    r: torch.Tensor
    lost: torch.Tensor
    worth: torch.Tensor
    error: torch.Tensor

    def safe(self) -> torch.Tensor:
        """(B,) the value less its rounding."""
        return self.value - self.error


def kinds(low, up):
    """Which units are on, off and undecided, each (..., K) bool."""
    off = up <= 0
    on = (low >= 0) & ~off
    return on, off, ~(on | off)


def dual(chain: Chain, theta, low, up, rows: Rows, smooth: float = 0.0) -> Bound:
    """The dual function of B nodes at the multipliers ``theta`` (B, m + K): λ, then α or β.

    low, up: (B, K); smooth: τ.
    """
    m, slices = rows.weight.shape[1], chain.slices()
    lam, free = theta[:, :m], theta[:, m:]
    y = torch.einsum("bm,bmk->bk", lam, rows.weight)
    value = -(lam * rows.bias).sum(1)
    on, _, open_ = kinds(low, up)
    slope = torch.where(open_, up / (up - low), 0.0)
    t, slack, worth, bend = (torch.zeros_like(low) for _ in range(4))
    for layer in reversed(range(chain.depth)):
        z = slices[layer]
        root = (y * y + 4 * smooth * smooth).sqrt()
        t[:, z] = torch.where(open_[:, z], (y + root) / 2, 0.0)
        slack[:, z] = torch.where(open_[:, z], (root - y) / 2, 0.0)
        bend[:, z] = (1 + torch.where(root > 0, y / root, 0.0)) / 2
        decided = torch.where(on[:, z], y + free[:, z], -free[:, z])
        line = slope[:, z] * t[:, z] - free[:, z] * slack[:, z]
        worth[:, z] = torch.where(open_[:, z], line, decided)
        value = value - worth[:, z] @ chain.biases[layer]
        y = worth[:, z] @ chain.weights[layer]
    lost = torch.where(open_, -slope * low * t, 0.0)
    value = value - lost.sum(1)
    r = torch.minimum(torch.maximum(y, chain.low), chain.up)
    square = r.square().sum(1)
    value = value + square / 2 - (y * r).sum(1)
    # forwards: what the relaxed solution is, which is the gradient
    gradient = torch.empty_like(theta)
    heights, a = torch.empty_like(low), r
    for layer, z in enumerate(slices):
        h = a @ chain.weights[layer].T + chain.biases[layer]
        heights[:, z] = h
        line = slope[:, z] * (h - low[:, z]) * bend[:, z] + free[:, z] * h * (1 - bend[:, z])
        a = torch.where(open_[:, z], line, torch.where(on[:, z], h, 0.0))
    signed = torch.where(open_, heights * slack, torch.where(on, -heights, heights))
    gradient[:, m:] = signed
    gradient[:, :m] = -(torch.einsum("bmk,bk->bm", rows.weight, a) + rows.bias)
    # the absolute sum of all terms, of the multipliers' own rounding and of what they multiply
    last = chain.size[slices[-1]]
    terms = (worth.abs() + 2 * (t + slack)) @ chain.size
    terms = terms + (lam * (rows.weight.abs() @ last + rows.bias.abs())).sum(1)
    terms = terms + square + (y * r).abs().sum(1)
    return Bound(value, gradient, heights, r, lost, worth, chain.rounding * terms)


def start(low, up, rows: Rows, radius: float) -> torch.Tensor:
    """Multipliers to begin with: small λ, β = 0, and of the two lower lines the nearer one."""
    small = torch.full_like(rows.bias, 0.1 * radius)
    return torch.cat([small, nearer_line(low, up)], 1)


def nearer_line(low, up) -> torch.Tensor:
    """α = 1 (a >= h) for units that are rather on, 0 (a >= 0) for the others."""
    return (kinds(low, up)[2] & (up > -low)).to(low.dtype)


def maximise(chain, theta, low, up, rows: Rows, radius: float, evaluations: int):
    """Better multipliers, after so many evaluations. Raises KeyboardInterrupt."""
    upper = torch.full_like(theta, torch.inf)
    upper[:, rows.bias.shape[1] :][kinds(low, up)[2]] = 1.0

    def negative(x, at):
        found = dual(chain, x, low[at], up[at], rows[at], SMOOTH * radius)
        return -found.value, -found.gradient

    found = lbfgsb.minimize(negative, theta, 0.0, upper, max_evaluations=evaluations, **TOLERANCE)
    if (found.status == lbfgsb.Status.INTERRUPTED).any():
        raise KeyboardInterrupt
    return found.x


# --- bounds of the units ----------------------------------------------------------------------


def support(chain: Chain, w: torch.Tensor, radius: float) -> torch.Tensor:
    """(n,) at least the maximum of w · r, w (n, D), over the box and the ball |r| <= radius."""
    length = w.norm(dim=1, keepdim=True)
    if not chain.up.isfinite().all():
        return radius * length[:, 0]
    corner = torch.where(w > 0, w * chain.up, w * chain.low).sum(1)
    below, above = torch.zeros_like(length), length / radius + 1e-300
    for _ in range(BISECTIONS):
        kappa = (below + above) / 2
        r = torch.minimum(torch.maximum(w / kappa, chain.low), chain.up)
        outside = r.norm(dim=1, keepdim=True) > radius
        below, above = torch.where(outside, kappa, below), torch.where(outside, above, kappa)
    r = torch.minimum(torch.maximum(w / above, chain.low), chain.up)
    value = above[:, 0] * radius**2 / 2 + (w * r - above * r.square() / 2).sum(1)
    return torch.minimum(value, corner)


def first_bounds(chain: Chain, radius: float):
    """low, up (1, K) of all units in the box and the ball: exact in the first layer, by one pass of
    the relaxation (:func:`shrink`) in the others."""
    first, bias = chain.weights[0], chain.biases[0]
    up = torch.full_like(chain.size, torch.inf)
    low = -up
    z = chain.slices()[0]
    up[z], low[z] = bias + support(chain, first, radius), bias - support(chain, -first, radius)
    margin = chain.rounding * chain.size
    low, up = (low - margin)[None], (up + margin)[None]
    return shrink(chain, low, up, bias[None], low.new_full((1,), radius))


def shrink(chain: Chain, low, up, centre, radius):
    """Tighter low, up (B, K) for solutions in a ball for each node. centre: (B, k_1) the first
    layer's heights at its centre; radius: (B,). Where low > up there is no solution."""
    slices = chain.slices()
    low, up = low.clone(), up.clone()
    margin = chain.rounding * chain.size
    z, reach = slices[0], radius[:, None] * chain.gram.diagonal().sqrt()
    up[:, z] = torch.minimum(up[:, z], centre + reach + margin[z])
    low[:, z] = torch.maximum(low[:, z], centre - reach - margin[z])
    for layer in range(1, chain.depth):
        z = slices[layer]
        y = torch.cat([chain.weights[layer], -chain.weights[layer]])[None].expand(len(low), -1, -1)
        value = torch.cat([chain.biases[layer], -chain.biases[layer]])[None]
        for below in reversed(range(layer)):
            part = low[:, None, slices[below]], up[:, None, slices[below]]
            on, _, open_ = kinds(*part)
            slope = torch.where(open_, part[1] / (part[1] - part[0]), on.to(y.dtype))
            line = torch.where(on, 1.0, nearer_line(*part))
            more, less = y.clamp(min=0), y.clamp(max=0)
            value = value - (more * torch.where(open_, slope * part[0], 0.0)).sum(2)
            y = more * slope + less * line
            if below:
                value, y = value + y @ chain.biases[below], y @ chain.weights[below]
        interval = value + (y.clamp(min=0) * part[1] + y.clamp(max=0) * part[0]).sum(2)
        round_ = value + (y @ centre[:, :, None])[:, :, 0]
        round_ = round_ + radius[:, None] * ((y @ chain.gram) * y).sum(2).clamp(min=0).sqrt()
        most, k = torch.minimum(interval, round_), z.stop - z.start
        up[:, z] = torch.minimum(up[:, z], most[:, :k] + margin[z])
        low[:, z] = torch.maximum(low[:, z], -most[:, k:] - margin[z])
    return low, up
