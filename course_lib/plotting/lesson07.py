"""The figures of lesson 07: what a bound can promise."""

import matplotlib.pyplot as plt
import numpy as np

from . import OURS, PAPER


def bounds(found: dict):
    """Draw what is known of L, one row for each network; return the figure.

    found: name -> bounds with ``lower``, ``tight`` and ``product``, of ``spectral.lipschitz``.
    """
    figure, axis = plt.subplots(figsize=(6.4, 3.2))
    rows = np.arange(len(found))
    for row, one in zip(rows, found.values(), strict=True):
        axis.plot([one.lower, one.product], [row, row], color="0.8", zorder=0)
    columns = {
        "largest found": ("lower", "o", OURS),
        "LipLT": ("tight", "|", "black"),
        "product": ("product", "s", PAPER),
    }
    for label, (key, marker, colour) in columns.items():
        values = [getattr(one, key) for one in found.values()]
        axis.plot(values, rows, marker, color=colour, label=label, linestyle="")
    axis.set_yticks(rows, list(found))
    axis.invert_yaxis()
    axis.set(xscale="log", xlabel="L")
    axis.legend(loc="lower left")
    return figure


def states(images, certified, broken, title: str):
    """Draw a hundred images, blue if certified, orange if broken, else grey; return the figure.

    images: (100, 1, 28, 28); certified, broken: (100,) bool; title: what stands above, also how
    many there are of each, in a second line.
    """
    colours = np.full((len(images), 3), 0.55)
    colours[certified], colours[broken] = (0, 0.45, 0.7), (0.84, 0.37, 0)
    pixels = images[:, 0, :, :, None].numpy()
    tiles = pixels + (1 - pixels) * colours[:, None, None]
    tiles = tiles.reshape(10, 10, 28, 28, 3).transpose(0, 2, 1, 3, 4)
    figure = plt.figure(figsize=(3.9, 4.3), layout="none")
    axis = figure.add_axes((0, 0, 1, 0.88))
    axis.imshow(tiles.reshape(280, 280, 3))
    axis.axis("off")
    known = int(certified.sum()), int(broken.sum())
    unknown = len(images) - sum(known)
    figure.suptitle(
        f"{title}: {known[0]} certified (blue),\n"
        f"{unknown} unknown (grey), {known[1]} misread or broken (orange)",
        fontsize=9,
    )
    return figure


def strengths(radii, trials, chosen, title: str):
    """Draw the certified accuracy of networks trained with more and more penalty.

    radii: K numbers above 0; trials: each with "certified", radius -> share (K), and "accuracy";
    chosen: the one of them that is drawn in colour. Returns the figure.
    """
    figure, axis = plt.subplots(figsize=(5, 2.8))

    def curve(one):
        # every curve begins at the accuracy: a change of length 0 misleads nobody
        return [0, *radii], [one["accuracy"], *one["certified"].values()]

    for other in trials:
        axis.plot(*curve(other), color="0.85")
    axis.plot(*curve(chosen), "o-")
    axis.plot(0, chosen["accuracy"], "o", color=PAPER, clip_on=False, label="accuracy")
    axis.set(ylim=(0, 1.05), xlim=(0, 1.7), xlabel="L2 radius")
    axis.set(ylabel="certified", title=title)
    axis.legend(loc="upper right")
    return figure
