"""The figures of lesson 02: rows of strongest images, and the measures over networks."""

import matplotlib.pyplot as plt
import numpy as np
import torch

from course_lib.plotting import COLOURS


def _sheet(images, top):
    """Rows of k images as one picture; images: (N, 1, 28, 28); top: (M, k) indices."""
    tiles = torch.nn.functional.pad(images[top][:, :, 0], (1, 1, 2, 2))
    return tiles.permute(0, 2, 1, 3).reshape(32 * top.shape[0], 30 * top.shape[1])


def strongest(images, left, right, titles):
    """Draw two blocks of rows of images beside each other; return the figure.

    images: (N, 1, 28, 28) on the CPU; left, right: (M, k) indices of images, a row per direction;
    titles: of the two blocks.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 2.7))
    for axis, top, title in zip(axes, (left, right), titles, strict=True):
        axis.imshow(_sheet(images, top))
        axis.axis("off")
        axis.set_title(title)
    return figure


def numbered(images, top):
    """Draw numbered rows of images, the first half of them on the left; return the figure.

    images: (N, 1, 28, 28) on the CPU; top: (M, k) indices of images, M even.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 6.2))
    half = len(top) // 2
    for axis, first in zip(axes, (0, half), strict=True):
        axis.imshow(_sheet(images, top[first : first + half]))
        numbers = [str(i + 1) for i in range(first, first + half)]
        axis.set_yticks(16 + 32 * np.arange(half), numbers)
        axis.set_xticks([])
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    return figure


def differences(places, trained, untrained, margins):
    """Draw the units' advantage over random bases, a panel for each measure; return the figure.

    places: the rows' names; trained, untrained: measure -> a (low, mean, high) for each row, the
    bar and its dot; margins: measure -> half the width of the grey band.
    """
    figure, axes = plt.subplots(1, len(margins), figsize=(11, 3.4), sharey=True)
    states = (
        ("trained", trained, COLOURS[0], -0.12),
        ("untrained", untrained, COLOURS[4], 0.15),
    )
    for axis, (name, margin) in zip(axes, margins.items(), strict=True):
        axis.axvspan(-margin, margin, color="0.9")
        axis.axvline(0, color="0.6", linewidth=0.8)
        for state, found, colour, shift in states:
            for y, (low, mean, high) in enumerate(found[name]):
                axis.plot([low, high], [y + shift] * 2, color=colour)
                label = state if y == 0 else None
                axis.plot(mean, y + shift, "o", ms=4, color=colour, label=label)
        axis.set_title(name)
    axes[0].set_yticks(range(len(places)), places)
    axes[0].invert_yaxis()
    axes[0].legend(loc="upper left", bbox_to_anchor=(-1.6, -0.05))
    figure.supxlabel("units minus random bases, above 0: units are more meaningful")
    return figure
