"""SciPy's L-BFGS-B, one image after the other: what everybody writes from the paper's text.

min c·|r|² + cross-entropy(x + r, l) over 0 <= x + r <= 1 in float64, from r = 0 for each c. The
largest c that succeeds is bracketed by factors of ten and then bisected in log c; the nearest
success of all solves is kept.
"""

import common
import numpy as np
import torch
from scipy.optimize import fmin_l_bfgs_b

DIGIT = (1, 1, 28, 28)


def solve(net, x, target, c, shape=DIGIT, **options) -> np.ndarray:
    """The minimiser for one image ``x`` (flat, float64) and one ``c``; the network has its own
    type."""
    kind = next(net.parameters()).dtype

    def objective(z):
        point = torch.from_numpy(z).to(kind).reshape(shape).requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(point), target[None])
        (gradient,) = torch.autograd.grad(loss, point)
        change = z - x
        return c * change @ change + loss.item(), 2 * c * change + gradient.double().numpy().ravel()

    return fmin_l_bfgs_b(objective, x.copy(), bounds=[(0, 1)] * len(x), **options)[0]


@torch.no_grad()
def reached(net, z, target, shape=DIGIT) -> bool:
    kind = next(net.parameters()).dtype
    return int(net(torch.from_numpy(z).to(kind).reshape(shape)).argmax()) == int(target)


def nearest(net, x, target, bisections, shape=DIGIT, **options) -> np.ndarray:
    """The nearest point of the target's class that the search for c meets; x itself if none."""
    best, low, high, c = x, None, None, 1.0  # low succeeds, high fails
    for _ in range(30 + bisections):
        with torch.enable_grad():
            z = solve(net, x, target, c, shape, **options)
        if reached(net, z, target, shape):
            low = c
            if best is x or np.sum((z - x) ** 2) < np.sum((best - x) ** 2):
                best = z
        else:
            high = c
        bracketed = low is not None and high is not None
        if bracketed:
            if bisections == 0:
                break
            bisections -= 1
        c = (low * high) ** 0.5 if bracketed else (c * 10 if low is not None else c / 10)
        if not 1e-12 < c < 1e12:
            break
    return best


def lbfgsb(net, images, labels, targets, bisections, **options):
    net = net.double()
    flat = images.double().flatten(1).numpy()
    return np.stack(
        [nearest(net, x, t, bisections, **options) for x, t in zip(flat, targets, strict=True)]
    )


if __name__ == "__main__":
    common.main({"lbfgsb": lbfgsb}, "scipy")
