"""SDP-CROWN's bound of ReLU networks on L2 balls, by Theorem 4.1 of its paper.

Chiu, Chen, Zhang and Zhang, ICML 2025 (arXiv 2506.06665). Their own code is a changed auto_LiRPA
that is on no package index, so the theorem is programmed here, with what helps it: units that
cannot change sign are exact, slopes and λ are searched together, and each layer takes the better
of their offset and CROWN's. Nothing is said of rounding.
"""

import math

import torch
from torch import Tensor, nn

STEPS, RATE = 300, 0.1  # of Adam; as many steps as their experiments take


def ball_offset(c: Tensor, g: Tensor, center: Tensor, rho: Tensor, lam: Tensor) -> Tensor:
    """h with c·relu(z) >= g·z + h for all z within ``rho`` of ``center``, for any ``lam`` > 0.

    c, g, center: (items, units); rho, lam: (items,). Theorem 4.1."""
    shift = lam[:, None] * center
    phi = torch.minimum(torch.minimum(c - g - shift, g + shift), torch.zeros_like(c))
    ball = lam * (rho.square() - center.square().sum(1))
    return -(ball + phi.square().sum(1) / lam) / 2


def chain_of(net: nn.Sequential) -> list[nn.Linear]:
    """The layers of a network of linear layers with ReLU between; ValueError for any other."""
    kinds = [module for module in net if not isinstance(module, nn.Flatten)]
    layers = [module for module in kinds[::2] if isinstance(module, nn.Linear)]
    units = [module for module in kinds[1::2] if isinstance(module, nn.ReLU)]
    if len(layers) + len(units) != len(kinds) or len(layers) != len(units) + 1:
        raise ValueError("SDP-CROWN's theorem is about linear layers with ReLU between them.")
    return layers


def norms_of(layers: list[nn.Linear]) -> list[float]:
    """The products of the spectral norms up to each layer, by SVD."""
    sizes = [float(torch.linalg.matrix_norm(layer.weight.detach().double(), 2)) for layer in layers]
    return [math.prod(sizes[: k + 1]) for k in range(len(sizes))]


class Propagation:
    """The balls around some images, and what CROWN knows of each unit on them.

    x: (N, inputs) float64; radius: (N,)."""

    def __init__(self, layers: list[nn.Linear], norms: list[float], x: Tensor, radius: Tensor):
        self.weights = [layer.weight.detach().double() for layer in layers]
        self.biases = [layer.bias.detach().double() for layer in layers]
        self.x, self.radius = x, radius
        self.centers, value = [], x
        for weight, bias in zip(self.weights, self.biases, strict=True):
            self.centers.append(value @ weight.T + bias)
            value = self.centers[-1].relu()
        self.rho = [norm * radius for norm in norms]
        self.low: list[Tensor] = []
        self.high: list[Tensor] = []
        for k in range(len(layers) - 1):
            units = torch.eye(len(self.weights[k]), dtype=x.dtype)
            reach = [self._crown(k, sign * units) for sign in (1.0, -1.0)]
            apart = torch.minimum(self.rho[k][:, None], self._rows(k))
            self.low.append(torch.maximum(reach[0], self.centers[k] - apart))
            self.high.append(torch.minimum(-reach[1], self.centers[k] + apart))

    def _rows(self, k: int) -> Tensor:
        """How far each unit of a layer can move: by its row, and what the layer below can do."""
        before = self.rho[k - 1] if k else self.radius
        return self.weights[k].norm(dim=1)[None] * before[:, None]

    def _crown(self, k: int, rows: Tensor) -> Tensor:
        """(N, rows) CROWN's lower bounds of ``rows`` times what layer ``k`` puts out."""
        found = []
        for row in rows:
            c = row.expand(len(self.x), -1)
            slopes = [self.slopes(i) for i in range(k)]
            found.append(self.bound(k, c, slopes, None))
        return torch.stack(found, 1)

    def slopes(self, k: int) -> Tensor:
        """The slopes from which a search starts: 1 where a unit is more on than off, else 0."""
        return (self.high[k] > -self.low[k]).to(self.x)

    def bound(self, top: int, c: Tensor, slopes: list[Tensor], lams: list[Tensor] | None) -> Tensor:
        """(N,) a lower bound of c · (what layer ``top`` puts out) on the balls.

        slopes: of each layer's units where c is positive, (N, units) each, in [0, 1];
        lams: log λ of each layer, (N,), or None for CROWN alone."""
        offset = c @ self.biases[top]
        for k in range(top - 1, -1, -1):
            c = c @ self.weights[k + 1]
            low, high = self.low[k].clamp_max(0), self.high[k].clamp_min(0)
            chord = high / (high - low).clamp_min(1e-300)
            g = torch.where(c >= 0, c * slopes[k], c * chord)
            boxed = (c.clamp_max(0) * -chord * low).sum(1)
            if lams is None:
                offset = offset + boxed
            else:
                offset = offset + self._offset(k, c, g, low, high, boxed, lams[k])
            c = g
            offset = offset + c @ self.biases[k]
        gradient = c @ self.weights[0]
        return (gradient * self.x).sum(1) - self.radius * gradient.norm(dim=1) + offset

    def _offset(self, k: int, c, g, low, high, boxed, log_lam) -> Tensor:
        """The better of both offsets; units that keep their sign stand outside of the ball."""
        moving = ((low < 0) & (high > 0)).to(c)
        parts = (c * moving, g * moving, self.centers[k] * moving)
        return torch.maximum(boxed, ball_offset(*parts, self.rho[k], log_lam.exp()))


def lower_bounds(propagation: Propagation, c: Tensor, steps: int = STEPS) -> Tensor:
    """(N,) the best lower bound of c · logits that Adam finds, over slopes and λ."""
    top = len(propagation.weights) - 1
    slopes = [propagation.slopes(k) for k in range(top)]
    with torch.no_grad():
        best = propagation.bound(top, c, slopes, None)
    sizes = c.norm(dim=1).clamp_min(1e-12)
    lams = [(sizes / rho.clamp_min(1e-12)).log() for rho in propagation.rho[:top]]
    unknowns = [value.clone().requires_grad_() for value in (*slopes, *lams)]
    optimiser = torch.optim.Adam(unknowns, lr=RATE)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * step / steps)) / 2
        optimiser.zero_grad()
        found = propagation.bound(top, c, unknowns[:top], unknowns[top:])
        best = torch.maximum(best, found.detach())
        (-found.sum()).backward()
        optimiser.step()
        with torch.no_grad():  # outside, a slope would have no gradient that leads it back
            for slope in unknowns[:top]:
                slope.clamp_(0, 1)
    return best


def radii(net: nn.Sequential, images: Tensor, labels: Tensor, largest: float, bisections: int):
    """(N,) certified radii by bisection, each over all other classes. Raises as chain_of."""
    layers = chain_of(net)
    norms = norms_of(layers)
    x = images.double().flatten(1)
    classes = len(layers[-1].weight)
    low, high = torch.zeros(len(x)).double(), torch.full((len(x),), largest).double()
    for _ in range(bisections):
        middle = (low + high) / 2
        propagation = Propagation(layers, norms, x, middle)
        lowest = torch.full_like(middle, torch.inf)
        for other in range(classes):
            c = torch.zeros(len(x), classes).double()
            c[torch.arange(len(x)), labels] = 1.0
            c[:, other] -= 1.0
            bound = lower_bounds(propagation, c)
            lowest = torch.minimum(lowest, torch.where(labels == other, torch.inf, bound))
        low, high = torch.where(lowest > 0, middle, low), torch.where(lowest > 0, high, middle)
    return low
