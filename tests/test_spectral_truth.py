"""500 random small networks in NumPy's own arithmetic: no bound is below what they really do.

Every bound is at least the norm of every product of the matrices with slopes in between that the
units may have (all of them where the units are few), and of Jacobians where images are drawn; every
certificate is at most the exact distance of the nearest mistake, which is a least distance problem
(Lawson and Hanson) for each pattern of a rectified network's units.
"""

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import torch
from scipy.special import erf, expit
from torch import nn

from course_lib import spectral

NETWORKS, PARTS = 500, 10
PATTERNS = 9  # units whose patterns are all tried
ALLOWED = 1e-9  # relative, of a comparison of two float64 computations

# what torch's layers compute, and their slopes, written anew
CURVES = {
    "relu": (nn.ReLU, lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0, (0, 1)),
    "sigmoid": (nn.Sigmoid, expit, lambda z: expit(z) * expit(-z), (0, 0.25)),
    "tanh": (nn.Tanh, np.tanh, lambda z: 1 - np.tanh(z) ** 2, (0, 1)),
    "leaky": (
        lambda: nn.LeakyReLU(0.2),
        lambda z: np.where(z > 0, z, 0.2 * z),
        lambda z: np.where(z > 0, 1, 0.2),
        (0.2, 1),
    ),
    "against the grain": (
        lambda: nn.LeakyReLU(-0.5),
        lambda z: np.where(z > 0, z, -0.5 * z),
        lambda z: np.where(z > 0, 1, -0.5),
        (-0.5, 1),
    ),
    "softplus": (nn.Softplus, lambda z: np.logaddexp(0, z), expit, (0, 1)),
    "hardtanh": (nn.Hardtanh, lambda z: np.clip(z, -1, 1), lambda z: (abs(z) < 1) * 1.0, (0, 1)),
    "elu": (
        nn.ELU,
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0))),
        (0, 1),
    ),
    "silu": (
        nn.SiLU,
        lambda z: z * expit(z),
        lambda z: expit(z) * (1 + z * expit(-z)),
        None,
    ),
    "gelu": (
        nn.GELU,
        lambda z: z * (1 + erf(z / math.sqrt(2))) / 2,
        lambda z: (1 + erf(z / math.sqrt(2))) / 2 + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
        None,
    ),
}


def drawn(seed):
    """A network as matrices, offsets and the name of its curve."""
    rng = np.random.default_rng(seed)
    curve = "relu" if seed % 9 == 0 else list(CURVES)[seed % len(CURVES)]
    small = seed % 3 == 0  # for which the nearest mistake is worked out
    depth = int(rng.integers(1, 3 if small else 4))
    widths = [int(rng.integers(1, 5 if small else 11)) for _ in range(depth)]
    widths = [int(rng.integers(1, 4 if small else 9)), *widths, int(rng.integers(2, 5))]
    matrices, offsets = [], []
    for n, m in itertools.pairwise(widths):
        matrix, offset = rng.normal(size=(m, n)) / math.sqrt(n), rng.normal(size=m) * 0.5
        kind = rng.integers(8)
        if kind == 0:
            matrix[-1] = matrix[0]  # a row twice
        elif kind == 1:
            matrix[0], offset[0] = 0, -1  # a unit that is never on
        elif kind == 2:
            offset[-1] = -1e3
        elif kind in (3, 4):
            matrix *= 1e3 if kind == 3 else 1e-3
        matrices, offsets = [*matrices, matrix], [*offsets, offset]
    return matrices, offsets, curve


def as_torch(matrices, offsets, curve):
    layers = []
    for matrix, offset in zip(matrices, offsets, strict=True):
        layer = nn.Linear(*matrix.shape[::-1]).double()
        layer.weight.data, layer.bias.data = torch.from_numpy(matrix), torch.from_numpy(offset)
        layers += [layer, CURVES[curve][0]()]
    return nn.Sequential(*layers[:-1]).eval().requires_grad_(False)


def logits(matrices, offsets, curve, x):
    """(N, classes) for (N, n), and the Jacobians (N, classes, n)."""
    _, function, slope, _ = CURVES[curve]
    jacobian = np.broadcast_to(np.eye(x.shape[1]), (len(x), x.shape[1], x.shape[1]))
    for k, (matrix, offset) in enumerate(zip(matrices, offsets, strict=True)):
        z, jacobian = x @ matrix.T + offset, matrix @ jacobian
        last = k == len(matrices) - 1
        x = z if last else function(z)
        jacobian = jacobian if last else slope(z)[:, :, None] * jacobian
    return x, jacobian


def steepest(matrices, curve, rng):
    """The largest norm of a product with slopes that the units may have: all patterns of the ends
    of their range where the units are few, else many and changes of one at a time."""
    widths = [len(m) for m in matrices[:-1]]
    z = np.linspace(-8, 8, 2001)
    ends = CURVES[curve][3] or (CURVES[curve][2](z).min(), CURVES[curve][2](z).max())

    def norms(patterns):
        slopes, total = np.where(patterns, ends[1], ends[0]), matrices[0]
        place = 0
        for matrix, n in zip(matrices[1:], widths, strict=True):
            total = matrix @ (slopes[:, place : place + n, None] * total)
            place += n
        return np.linalg.norm(total, 2, axis=(1, 2))

    count = sum(widths)
    if count <= PATTERNS:
        return norms(np.array(list(itertools.product((False, True), repeat=count)))).max()
    best = np.vstack([np.ones((1, count), bool), rng.random((200, count)) < rng.random((200, 1))])
    best = best[norms(best).argmax()]
    for _ in range(4):
        tried = np.vstack([best, best ^ np.eye(count, dtype=bool)])
        best = tried[norms(tried).argmax()]
    return norms(best[None])[0]


def images_of(matrices, offsets, rng, count):
    """Images of all sizes, and some at the kinks of the first layer's units."""
    n = matrices[0].shape[1]
    x = rng.normal(size=(count, n)) * 10.0 ** rng.uniform(-4, 2, (count, 1))
    rows = matrices[0][rng.integers(len(matrices[0]), size=count)]
    away = rows @ np.zeros(n) + (x * rows).sum(1)
    size = (rows**2).sum(1)
    at = x - ((away + offsets[0][0]) / np.maximum(size, 1e-300))[:, None] * rows
    return np.vstack([x, at[np.abs(at).max(1) < 1e6]])


def least_distance(rows, least):
    """min |d| with rows @ d >= least; inf where there is no such d (Lawson and Hanson, chapter 23:
    one least squares problem without negative unknowns)."""
    size = np.linalg.norm(rows, axis=1)
    if (least[size == 0] > 0).any():
        return math.inf
    rows, least = rows[size > 0] / size[size > 0, None], least[size > 0] / size[size > 0]
    scale = max(1e-300, float(least.max(initial=0)))
    if scale == 1e-300:
        return 0.0
    stacked = np.vstack([rows.T, least / scale])
    goal = np.zeros(len(stacked))
    goal[-1] = 1
    u, _ = scipy.optimize.nnls(stacked, goal)
    rest = stacked @ u - goal
    if -rest[-1] < 1e-12:
        return math.inf
    d = -rest[:-1] / rest[-1] * scale
    missing = (least - rows @ d).max()
    return np.linalg.norm(d) if missing < 1e-7 * scale else math.inf


def nearest_mistake(matrices, offsets, x, label):
    """The exact distance from ``x`` to the nearest point that a rectified network does not give
    ``label``: over all patterns of its units and all other classes."""
    best, widths = math.inf, [len(m) for m in matrices[:-1]]
    for pattern in itertools.product((0.0, 1.0), repeat=sum(widths)):
        rows, least, place = [], [], 0
        matrix, value = np.eye(len(x)), x
        for w, b, n in zip(matrices[:-1], offsets[:-1], widths, strict=True):
            on = np.array(pattern[place : place + n])
            place += n
            matrix, value = w @ matrix, w @ value + b
            sign = 2 * on - 1
            rows.append(sign[:, None] * matrix)
            least.append(-sign * value)
            matrix, value = on[:, None] * matrix, on * value
        matrix, value = matrices[-1] @ matrix, matrices[-1] @ value + offsets[-1]
        for other in set(range(len(value))) - {label}:
            whole = np.vstack([*rows, matrix[other] - matrix[label]])
            ends = np.concatenate([*least, [value[label] - value[other]]])
            best = min(best, least_distance(whole, ends))
    return best


@pytest.mark.parametrize("part", range(PARTS))
def test_no_bound_is_below_what_a_network_does(part):
    for seed in range(part, NETWORKS, PARTS):
        rng = np.random.default_rng([1, seed])
        matrices, offsets, curve = drawn(seed)
        net, shape = as_torch(matrices, offsets, curve), (matrices[0].shape[1],)
        found = spectral.lipschitz(net, shape, starts=1, steps=1, descent=seed < 6)
        x = images_of(matrices, offsets, rng, 60)
        jacobians = np.linalg.norm(logits(matrices, offsets, curve, x)[1], 2, axis=(1, 2))
        truth = max(steepest(matrices, curve, rng), jacobians.max())
        assert truth <= found.sdp * (1 + ALLOWED) + 1e-300, f"network {seed}"
        assert found.log_sdp <= found.log_tight <= found.log_product, f"network {seed}"
        assert found.lower <= found.sdp, f"network {seed}"


@pytest.mark.parametrize("part", range(4))
def test_no_certificate_is_beyond_the_nearest_mistake(part):
    compared = 0
    for seed in range(0, NETWORKS, 6)[part * 21 : (part + 1) * 21]:
        rng = np.random.default_rng([2, seed])
        matrices, offsets, curve = drawn(seed)
        net, n = as_torch(matrices, offsets, curve), matrices[0].shape[1]
        x = rng.random((3, n))
        labels = logits(matrices, offsets, curve, x)[0].argmax(1)
        slow = ("sdp-local", "sdp-box") if seed % 42 == 0 else ()
        methods = (*spectral.METHODS, *slow, *(("sdp",) if seed == 18 else ()))
        radii = spectral.certified_radii(net, torch.from_numpy(x), None, methods)
        ways = rng.normal(size=(40, n))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        for i, (image, label) in enumerate(zip(x, labels, strict=True)):
            radius = {name: float(value[i]) for name, value in radii.items()}
            assert radius["half"] <= radius["root"] <= radius["pairs"] * (1 + ALLOWED)
            free = max(value for name, value in radius.items() if "box" not in name)
            boxed = max(value for name, value in radius.items() if "box" in name)
            for name, value in {"free": free, "box": boxed}.items():
                there = image + min(value, 1e6) * (1 - 1e-7) * ways
                there = np.clip(there, 0, 1) if name == "box" else there
                seen = logits(matrices, offsets, curve, there)[0]
                lead = seen[:, label] - np.delete(seen, label, 1).max(1)
                assert (lead >= -1e-9 * np.abs(seen).max()).all(), f"network {seed}, {name}"
            if curve == "relu" and sum(len(m) for m in matrices[:-1]) <= 7:
                assert free <= nearest_mistake(matrices, offsets, image, label) * (1 + 1e-6)
                compared += 1
    assert compared >= 9


def test_the_nearest_mistake_of_a_line_is_its_distance():
    one, zero = np.array([[3.0, 4.0], [0.0, 0.0]]), np.zeros(2)
    assert nearest_mistake([one], [zero], np.array([1.0, 1.0]), 0) == pytest.approx(7 / 5)
    # |x| - 1 as two units: from x = 3 the label 0 (the larger) ends at 1
    first, last = np.array([[1.0], [-1.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
    found = nearest_mistake([first, last], [zero, np.array([-1.0, 0.0])], np.array([3.0]), 0)
    assert found == pytest.approx(2)
    assert least_distance(np.array([[1.0], [-1.0]]), np.array([1.0, 1.0])) == math.inf
