"""What section 4 says in formulas, checked in numbers: the penalty method's exactness for convex
networks, and the norms of strided convolutions, of max pooling and of contrast normalisation.

``python -m course_lib.reproduce.formulas`` makes the course's record of it.
"""

import itertools

import torch
from torch import nn

from .. import attacks, device, record, spectral, storage, zoo
from ..data import load_mnist
from .measured import CONVEX, Z

PATH = storage.ASSETS / "records" / "formulas.json"
GRID = 12  # of the convolutions: small enough for the explicit matrix, a multiple of each stride
STRIDES = (1, 2, 3)
CHANNELS = 3, 4  # in, out
POOLS = {
    "2 x 2, no overlap": (nn.MaxPool2d(2), (1, 12, 12)),
    "3 x 3 by 2, AlexNet's": (nn.MaxPool2d(3, 2), (1, 13, 13)),
}


def make(n: int, seed: int = 0) -> dict:
    """The record ``formulas``; n: images for each convex network, drawn with ``seed``.

    Raises ValueError for an n below 2, of which there is no interval.
    """
    if n < 2:
        raise ValueError(f"An interval over images needs two of them or more, not {n}.")
    return {
        "machine": record.machine(),
        "n": n,
        "seed": seed,
        "penalty": {name: penalty(name, n, seed) for name in CONVEX},
        "convolution": {str(stride): convolution(stride, seed) for stride in STRIDES},
        "pooling": {name: pooling(*what) for name, what in POOLS.items()},
        "contrast": contrast(seed),
    }


def task(network: str, seed: int, settings: dict) -> dict:
    """:func:`make` as a task of ``tasks``; a setting: n."""
    return make(settings["n"], seed)


def penalty(name: str, n: int, seed: int) -> dict:
    """How much larger the penalty method's change is than the smallest one, as a share of it."""
    net, few = zoo.load(name), load_mnist("train").sample(n, seed)
    targets = attacks.recorded_targets(few)
    made = attacks.minimal_adversarial(net, few.images, targets, few.labels, loss="cross-entropy")
    exact = attacks.exact_minimum(net, few.images, targets, few.labels).distortion.cpu()
    # an image that is in its target already needs no change, by either
    here = made.success.cpu() & (exact > 0)
    excess = (made.distortion.cpu().double() / exact - 1)[here]
    half = Z * float(excess.std()) / len(excess) ** 0.5
    return {"excess": float(excess.mean()), "half_width": half, "n": len(excess)}


def convolution(stride: int, seed: int) -> dict:
    """The paper's formula for a circular convolution over its norm by the explicit matrix.

    printed: with the prefactor Δ⁻² and the plain Fourier transform; mended: with Δ⁻¹.
    """
    c, d = CHANNELS
    layer = nn.Conv2d(c, d, 3, stride, padding=1, padding_mode="circular", bias=False)
    taps = torch.randn(layer.weight.shape, generator=device.generator(seed)).double()
    with torch.no_grad():
        layer.double().weight.copy_(taps)
    exact = float(torch.linalg.svdvals(spectral.explicit_matrix(layer, (c, GRID, GRID)))[0])
    whole = torch.fft.fft2(taps, s=(GRID, GRID))  # ŵ, (D, C, N, N)
    fold = GRID // stride
    places = itertools.product(range(stride), repeat=2)
    blocks = [whole[..., i * fold : (i + 1) * fold, j * fold : (j + 1) * fold] for i, j in places]
    a = torch.cat(blocks, 1).permute(2, 3, 0, 1)  # A(ξ), (N/Δ, N/Δ, D, C·Δ²)
    largest = float(torch.linalg.matrix_norm(a, 2).max())
    return {"printed": largest / stride**2 / exact, "mended": largest / stride / exact}


def pooling(pool: nn.Module, shape: tuple[int, ...]) -> dict:
    """Proven bounds of a pool's norm."""
    bounds = spectral.norm_bounds(pool, shape)
    return {"lower": bounds.lower, "upper": bounds.upper}


def contrast(seed: int) -> dict:
    """The largest norm of contrast normalisation's derivative, over ε^(-γ), on a grid."""
    direction = torch.randn(6, generator=device.generator(seed)).double()
    direction /= direction.norm()
    ratios = []
    for eps, gamma in itertools.product((0.1, 1.0, 10.0), (0.5, 0.75, 1.0)):
        layer = spectral.LocalContrastNormalisation(eps, gamma, dim=0)
        for size in (0.0, 0.1, 0.3, 1.0, 3.0, 10.0):
            slope = torch.autograd.functional.jacobian(layer, size * direction)
            ratios.append(float(torch.linalg.matrix_norm(slope, 2)) * eps**gamma)
    return {"largest": max(ratios), "points": len(ratios)}


def main() -> None:
    """Make the record."""
    given = record.parser(__doc__, PATH, n=1000).parse_args()
    record.merged(given.output, None, make(given.n))


if __name__ == "__main__":
    record.run(main)
