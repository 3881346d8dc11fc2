"""The figures of lesson 05: why adversarial examples transfer."""

import matplotlib.pyplot as plt
import numpy as np

from . import COLOURS


def shares(tables, rows, columns, titles, size, ylabel="made for"):
    """Draw tables of shares side by side, in per cent, the darker the larger; return the figure.

    tables: one or more, each (len(rows), len(columns)), from 0 to 1; rows, columns: names; titles:
    one for each table; size: of the figure, in inches; ylabel: of the rows, at the first table.
    """
    figure, axes = plt.subplots(1, len(tables), figsize=size, sharey=True, squeeze=False)
    for axis, table, title in zip(axes[0], tables, titles, strict=True):
        percent = 100 * np.asarray(table)
        axis.imshow(percent, cmap="Blues", vmin=0, vmax=130, aspect="auto")
        for (i, j), share in np.ndenumerate(percent):
            axis.text(j, i, f"{share:.1f}", ha="center", va="center", size=8)
        axis.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
        axis.set_yticks(range(len(rows)), rows)
        axis.tick_params(length=0)
        axis.set_title(title)
        axis.spines[:].set_visible(False)
    axes[0, 0].set_ylabel(ylabel)
    return figure


def groups(cells: dict):
    """Draw the pairs of networks by what they share, and each group's mean; return the figure.

    cells: (training images in common, first weights) -> the per cent fooled, one for each pair;
    images in common are "all", "half" or "none", first weights "same" or "other".
    """
    figure, axis = plt.subplots(figsize=(5.6, 3))
    common = ("all", "half", "none")
    kinds = (-0.1, "other", COLOURS[0]), (0.1, "same", COLOURS[1])
    for k, images in enumerate(common):
        for shift, weights, colour in kinds:
            found = cells.get((images, weights), [])
            axis.plot([k + shift] * len(found), found, ".", color=colour)
            if found:
                axis.plot(k + shift, np.mean(found), "_", color=colour, ms=22)
    axis.plot([], [], ".", color=COLOURS[0], label="other first weights")
    axis.plot([], [], ".", color=COLOURS[1], label="the same")
    axis.set_xticks(range(3), common)
    axis.set(xlabel="training images in common", ylabel="fooled (%)")
    axis.set(ylim=(0, None), title="a dot: a pair of networks; a bar: the mean")
    axis.legend()
    return figure


def by_size(levels, lines: dict, noise, level: float, title: str, images, titles):
    """Draw the share fooled against the size of the change, and ten images; return the figure.

    levels: K sizes; lines: reader -> K shares; noise: K shares; level: the size that is marked;
    title: of the curves; images: (10, 1, H, W), changed by ``level``; titles: one for each.
    """
    figure = plt.figure(figsize=(9.4, 2.7), layout="none")
    axis = figure.add_axes((0.06, 0.18, 0.36, 0.68))
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        axis.plot(levels, line, "o-", ms=3, c=colour, label=name)
    axis.plot(levels, noise, "k:", label="noise")
    axis.axvline(level, color="0.7", zorder=0)
    axis.set(xlabel="stddev", ylabel="share fooled", ylim=(-0.03, 1.03))
    axis.set_title(title)
    axis.legend(fontsize=7)
    for k, (image, text) in enumerate(zip(images.cpu(), titles, strict=True)):
        place = (0.46 + 0.108 * (k % 5), 0.5 - 0.46 * (k // 5), 0.1, 0.36)
        axis = figure.add_axes(place)
        axis.imshow(image[0], vmin=0, vmax=1)
        axis.axis("off")
        axis.set_title(text, fontsize=9)
    figure.text(0.46, 0.94, f"stddev {level:g}; label: what the three say")
    return figure


def reach(cosines, expected, hits, named: dict, whose: str, theirs=None):
    """Draw the share of target hits against the cosine, and against what is expected.

    cosines, expected, hits: P numbers, one for each pair of networks; named: two pairs that get
    their names, "A → B" -> (expected, hits); whose: whose code made ``expected``; theirs: the P
    numbers that another version expects, or None. Returns the figure.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.5))
    axes[0].plot(cosines, hits, "o", ms=4)
    axes[0].set(xlabel="mean cosine of the gradients", xlim=(0, 1))
    axes[0].set(ylabel="target hit", title="the cosine alone")
    axes[1].plot([0, 1], [0, 1], color="0.8", zorder=0)
    axes[1].plot(expected, hits, "o", ms=4)
    line = {"arrowstyle": "-", "color": "0.6"}
    middle = {"fontsize": 8, "ha": "center", "va": "center"}
    for (name, dot), place in zip(named.items(), ((0.35, 0.85), (0.3, 0.02)), strict=True):
        axes[1].annotate(name, dot, place, arrowprops=line, **middle)
    if theirs is not None:
        axes[1].plot(theirs, hits, "x", label="your last version")
        axes[1].legend()
    axes[1].set(xlabel="share whose change reaches far enough", ylabel="target hit")
    axes[1].set_title(f"cosine and lengths: {whose}")
    return figure
