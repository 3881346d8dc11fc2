"""The figures of lesson 03: Newton's method, a gallery, the path of the penalty, a toy network."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from course_lib.plotting import COLOURS


def newton(mus, values, straight, trail, heights):
    """Draw a concave function of μ, and Newton's method on its way to 0; return the figure.

    mus, values: (K,), the function; straight: (K,), what it would be without the box, which is the
    first tangent, too; trail: the steps' μ, one more than heights, the function's values there.
    The tangents of the first two steps are drawn, each up to where it is 0.
    """
    figure, axis = plt.subplots(figsize=(7, 3.8))
    axis.plot(mus, values, linewidth=2.5, label="clipped: w·x(μ) + d")
    axis.plot(mus, straight, "--", linewidth=2.5, label="without the box")
    for k in range(2):
        name = "_" if k else "tangents"
        axis.plot(trail[k : k + 2], [heights[k], 0], "-.", color="black", linewidth=1.2, label=name)
        if k + 1 < len(heights):
            axis.plot([trail[k + 1]] * 2, [0, heights[k + 1]], color="0.7", linewidth=0.8)
    axis.plot(trail[: len(heights)], heights, "o", color=COLOURS[2], zorder=3, label="Newton")
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.set_ylim(1.1 * values[0], 0.15 * abs(values[0]))
    axis.set_xlabel("multiplier μ")
    axis.legend(loc="lower right")
    return figure


def mistake(clean, changed, size, logits):
    """Draw an image, a mistake beside it, their difference, and the logits; return the figure.

    clean, changed: (1, 28, 28); size: the distortion; logits: name -> (10,), for the
    one and the other image.
    """
    figure, axes = plt.subplots(1, 4, figsize=(8.8, 2.1), layout="none")
    figure.subplots_adjust(0.01, 0.1, 0.9, 0.86, 0.08)
    axes[0].imshow(clean[0], vmin=0, vmax=1)
    axes[0].set_title("clean")
    axes[1].imshow(changed[0], vmin=0, vmax=1)
    axes[1].set_title(f"distortion {size:.3f}")
    axes[2].imshow((changed - clean)[0], cmap="RdBu_r", vmin=-0.5, vmax=0.5)
    axes[2].set_title("change (blue -0.5, red 0.5)")
    for k, (what, values) in enumerate(logits.items()):
        axes[3].bar(np.arange(10) + 0.4 * k, values, 0.4, label=what)
    axes[3].set_xticks(range(10))
    axes[3].set_yticks([])
    axes[3].set_title("logits")
    axes[3].legend(loc="upper left", bbox_to_anchor=(1, 1))
    for axis in axes[:3]:
        axis.axis("off")
    return figure


def penalty_path(image, path, lengths, outputs, cs, number, target, least):
    """Draw one point of the penalty's path and, over c, the lengths of all; return the figure.

    image: (1, 28, 28); path: the changes r, (1, 28, 28) each, with their distortions lengths, the
    network's logits outputs, (10,) each, and their c; number: the one that is shown; target: the
    class whose points are orange; least: the exact minimum's distortion, a dashed line.
    """
    figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.4), layout="none")
    figure.subplots_adjust(0.01, 0.2, 0.99, 0.86, 0.25)
    answers = [int(z.argmax()) for z in outputs]
    axes[0].imshow((image + path[number])[0], vmin=0, vmax=1)
    axes[0].set_title(f"read as a {answers[number]}")
    axes[1].imshow(path[number][0], cmap="RdBu_r", vmin=-0.5, vmax=0.5)
    axes[1].set_title(f"r, distortion {lengths[number]:.3f}")
    for axis in axes[:2]:
        axis.axis("off")
    axes[2].bar(range(10), outputs[number].softmax(0))
    axes[2].set(ylim=(0, 0.5), xticks=range(10), title="probabilities")
    colours = [COLOURS[int(answer == target)] for answer in answers]
    axes[3].scatter(cs, lengths, 12, colours)
    axes[3].plot(cs[number], lengths[number], "ks", fillstyle="none")
    axes[3].axhline(least, ls="--", color="0.5")
    axes[3].set(xlabel="c", title="distortion")
    axes[3].invert_xaxis()
    return figure


def toy(classes, losses, level, start, path, penalty, exact):
    """Draw the unit square of a network on two pixels with three classes; return the figure.

    classes, losses: (K, K) on a grid over the square; level: the loss that is drawn as a curve;
    start, penalty, exact: (2,), the image and where the two answers lie; path: (M, 2), the
    minimisers of the penalty, drawn to a little behind its answer.
    """
    orange = COLOURS[1]
    tints = ListedColormap(["#dfe9f5", "#fdebd8", "#e3f2e3"])
    figure, axis = plt.subplots(figsize=(6.6, 4.2))
    axis.imshow(classes, origin="lower", extent=(0, 1, 0, 1), cmap=tints)
    side = np.linspace(0, 1, len(losses))
    axis.contour(side, side, losses, [level], colors=orange)
    axis.plot([], [], color=orange, label="loss as at the penalty's")
    sizes = [np.linalg.norm(point - start) for point in (penalty, exact)]
    short = np.linalg.norm(path - start, axis=1) < sizes[0] + 0.05
    axis.plot(*path[short].T, "k", lw=1, label="minimisers, all c")
    angles = np.linspace(-np.pi, np.pi, 1441)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    for size, style, what in zip(sizes, ("-", "--"), ("penalty", "exact"), strict=True):
        points = start[:, None] + size * circle
        axis.plot(*points, style, c="0.5", lw=0.7, label=f"as far as {what}")
    axis.plot(*start, "ks", label="start")
    axis.plot(*penalty, "o", color=orange, label="penalty")
    axis.plot(*exact, "*", ms=11, label="exact")
    axis.text(0.06, 0.6, "class 0")
    axis.text(0.72, 0.1, "target 1")
    axis.text(0.3, 0.92, "class 2")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="pixel 1", ylabel="pixel 2")
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure
