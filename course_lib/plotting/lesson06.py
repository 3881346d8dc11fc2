"""The figures of lesson 06: how much a layer can stretch."""

import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from . import PAPER


def ellipse(circle, matrix, degrees: int):
    """Draw a direction on the circle, where a matrix takes it, and the stretch of all directions.

    circle: (2, 361), a direction for each whole degree; matrix: (2, 2); degrees: 0 to 360, the
    direction that is marked. Returns the figure.
    """
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.7), layout="none")
    figure.subplots_adjust(0.06, 0.17, 0.98, 0.86, 0.3)
    for axis, curve, name in zip(axes, (circle, matrix @ circle), ("r", "Wr"), strict=False):
        arrow = curve[:, degrees]
        axis.plot(*curve, color="0.6")
        axis.quiver(*(0, 0, *arrow), angles="xy", scale_units="xy", scale=1, width=0.02)
        axis.set(xlim=(-2.1, 2.1), ylim=(-1.4, 1.4), aspect="equal")
        axis.set_title(f"{name}: length {arrow.norm():.2f}")
    stretch = (matrix @ circle).norm(dim=0)
    axes[2].plot(range(361), stretch)
    axes[2].plot(degrees, stretch[degrees], "o", color=PAPER)
    axes[2].set(xticks=[0, 90, 180, 270, 360], ylim=(0, 2.1))
    axes[2].set(xlabel="angle of r in degrees", title="length of Wr")
    return figure


def side_by_side(channels, across: int):
    """The channels (C, 28, 28), ``across`` in a row, as one picture with gaps of NaN between."""
    tiles = F.pad(channels, (0, 3, 0, 3), value=math.nan)
    down = len(tiles) // across
    tiles = tiles.reshape(down, across, 31, 31).transpose(1, 2)
    return tiles.reshape(31 * down, 31 * across)[:-3, :-3]


def frequency(sigmas, down: int, across: int, pattern, out):
    """Draw the singular values of a layer's symbol, and a pattern that goes in and comes out.

    sigmas: (28, 28, K), the singular values of each frequency; down, across: the frequency of the
    pattern, -14 to 13; pattern: (C, 28, 28); out: (D, 28, 28). Returns the figure.
    """
    figure = plt.figure(figsize=(8.6, 2.7), layout="none")
    places = ((0.06, 0.18), (0.35, 0.13), (0.5, 0.23), (0.745, 0.25))
    axes = [figure.add_axes((x, 0.17, w, 0.68)) for x, w in places]
    shown = torch.fft.fftshift(sigmas[..., 0])
    edges = (-14.5, 13.5, 13.5, -14.5)
    drawing = axes[0].imshow(shown, cmap="viridis", vmin=0, extent=edges)
    figure.colorbar(drawing, cax=figure.add_axes((0.25, 0.17, 0.012, 0.68)))
    axes[0].plot(across, down, "o", color=PAPER)
    axes[0].set(xlabel="waves across", ylabel="down", title="largest σ")
    bars = sigmas[down % 28, across % 28]
    axes[1].bar(range(1, len(bars) + 1), bars)
    axes[1].set(xlim=(0, 17), ylim=(0, 11), title="all σ", xlabel="number")
    wide = (int(len(pattern) ** 0.5), 4 if len(out) == 16 else 8)
    axes[2].imshow(side_by_side(pattern, wide[0]), cmap="RdBu_r")
    axes[2].set_title(f"goes in ({len(pattern)})")
    axes[3].imshow(side_by_side(out, wide[1]), cmap="RdBu_r")
    times = out.norm() / pattern.norm()
    axes[3].set_title(f"comes out ({len(out)}), {times:.2f} times")
    for axis, picture in zip(axes[2:], (pattern, out), strict=True):
        top = float(picture.abs().max())
        axis.images[0].set_clim(-top, top)
        axis.axis("off")
    return figure
