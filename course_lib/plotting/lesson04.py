"""The figures of lesson 04: box-constrained L-BFGS."""

import matplotlib.pyplot as plt
import numpy as np
import torch

from . import OURS, PAPER


def field(points, fields, lowest, arrows, names):
    """Draw two fields of steps on the unit square side by side; return the figure.

    points: (N, 2); fields: twice (N, 2), of which the negative is drawn, a quarter of its length;
    lowest: (2,), a point that is marked; arrows: twice (2,), the fields there; names: two titles.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True)
    for axis, slopes, name, arrow in zip(axes, fields, names, arrows, strict=True):
        style = {"angles": "xy", "scale_units": "xy", "scale": 4}
        axis.add_patch(plt.Rectangle((0, 0), 1, 1, fill=False))
        axis.quiver(*points.T, *-slopes.T, width=0.005, **style)
        axis.plot(*lowest, "o", color=PAPER, markersize=7)
        axis.quiver(*lowest, *-arrow, width=0.01, color=PAPER, **style)
        axis.set(title=name, xlim=(-0.1, 1.2), ylim=(-0.1, 1.2), aspect="equal")
    return figure


def descent(path, step: int, height, lower, upper):
    """Draw a descent in two variables up to one of its steps; return the figure.

    path: the steps of ``lbfgsb.plain.minimize``, (2,) each; step: 1 to len(path); height(x, y): the
    function, drawn as contours that have its values; lower, upper: (2,), the box.
    """
    figure = plt.figure(figsize=(5.4, 4.6), layout="none")
    axis = figure.add_axes((0.12, 0.11, 0.85, 0.81), aspect="equal")
    across, down = torch.linspace(-1.7, 1.1, 120), torch.linspace(-0.7, 1.7, 120)
    x, y = torch.meshgrid(across, down, indexing="xy")
    logarithm, levels = height(x, y).log10(), [0, 1, 2]
    style = {"colors": "0.7", "linewidths": 0.7, "linestyles": "solid"}
    lines = axis.contour(x, y, logarithm, levels=levels, **style)
    axis.clabel(lines, fmt=lambda level: f"f = {10.0**level:g}", fontsize=7, colors="0.4")
    box = (float(v) for v in upper - lower)
    axis.add_patch(plt.Rectangle(lower.tolist(), *box, fill=False))
    way = torch.stack([s.x for s in path[:step]])
    axis.plot(*way.T, "o-", markersize=3, color=OURS)
    now = path[step - 1]
    unit = now.direction / now.direction.norm()
    ahead = torch.stack([now.x, now.x + 0.3 * unit])
    axis.plot(*ahead.T, color="black", linewidth=2, label="direction (not its length)")
    if now.tried[:-1]:
        axis.plot(*torch.stack(now.tried[:-1]).T, "x", color="0.4", label="tried, too high")
    if now.tried:  # hollow, so that a short step does not hide where it began
        style = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.5}
        axis.plot(*now.tried[-1][:, None], "s", color=PAPER, label="taken", **style)
    held = [name for name, h in zip("xy", now.active, strict=True) if h]
    axis.set_title(
        f"step {step} of {len(path)}: f = {now.value:.2g}, held: {', '.join(held) or 'nothing'}"
    )
    axis.set(xlim=(-1.7, 1.1), ylim=(-0.7, 1.7), xlabel="x", ylabel="y")
    axis.legend(loc=(0.1, 0.14))
    return figure


def noise_curves(levels, curves: dict, whose: str, theirs: dict):
    """Draw the error under noise, measured and predicted, a panel for each network.

    levels: K standard deviations; curves: name -> (number of images, distances, error without
    noise, K measured errors, K predicted ones); whose: the legend's title; theirs: name -> the
    K errors that another version predicts, or {}. Returns the figure.
    """
    figure, axes = plt.subplots(1, len(curves), figsize=(8, 2.9), sharey=True)
    for axis, (name, (n, _, clean, measured, predicted)) in zip(axes, curves.items(), strict=True):
        some = [k for k, error in enumerate(measured) if error > 0]
        shown = [levels[k] for k in some], [measured[k] for k in some]
        axis.loglog(*shown, "o-", label="measured")
        axis.loglog(levels, predicted, "s--", label="from the distance")
        if name in theirs:
            axis.loglog(levels, theirs[name], "x:", label="your last version")
        if clean:
            axis.axhline(clean, color="0.5", linestyle=":", zorder=0)
            axis.text(1, clean / 1.1, "without noise", ha="right", va="top")
        if len(some) < len(levels):  # 0 has no place on a logarithmic axis
            there, words = (levels[0], 3e-5), f"0 wrong\nof {10 * n}"
            arrow = {"arrowstyle": "->", "color": "0.4"}
            above = {
                "xytext": (0.93 * levels[0], 3e-4),
                "ha": "left",
                "color": "0.3",
                "fontsize": 7,
            }
            axis.annotate(words, there, arrowprops=arrow, **above)
        axis.set(title=f"{name}, n = {n}", xlabel="stddev of the noise")
        axis.set(ylim=(3e-5, 1))
        axis.axvline(0.06, color="0.8", zorder=0)
    axes[0].set_ylabel("error")
    axes[0].legend(title=whose, loc="lower right")
    return figure


def attack(image, r, label: int, target: int, probabilities, says: str):
    """Draw an image, its perturbation, their sum, and what a network says of it.

    image, r: (1, H, W), r is shown around grey; probabilities: (10,), of the sum's classes, the
    ``target`` in colour; says: their caption. Returns the figure.
    """
    size = float(r.square().mean()) ** 0.5
    figure = plt.figure(figsize=(7.2, 2.4), layout="none")
    pictures = (image, f"a {label}"), (0.5 + r, f"r, {size:.3f}"), (image + r, "sum")
    for k, (picture, name) in enumerate(pictures):
        axis = figure.add_axes((0.01 + 0.19 * k, 0.05, 0.18, 0.75))
        axis.imshow(picture[0], cmap="gray", vmin=0, vmax=1)
        axis.set_title(name)
        axis.axis("off")
    axis = figure.add_axes((0.65, 0.17, 0.33, 0.63))
    colours = [PAPER if k == target else "0.6" for k in range(10)]
    axis.bar(range(10), probabilities.tolist(), color=colours)
    axis.set(ylim=(0, 1), xticks=range(10), title=f"softmax: {says}")
    return figure


def sizes_over_c(cs, sizes, reached, whose: str):
    """Draw how large the minimiser's perturbation is for each c; return the figure.

    cs, sizes: K numbers each; reached: (K,) bool, whether the network says the target; whose:
    whose solver it was.
    """
    figure, axis = plt.subplots()
    axis.semilogx(cs, sizes, color="0.7", zorder=0)
    kinds = (True, OURS, "says the target"), (False, PAPER, "does not")
    for hit, colour, name in kinds:
        axis.plot(cs[reached == hit], sizes[reached == hit], "o", color=colour, label=name)
    axis.set(xlabel="c", ylabel="distortion of the minimiser", ylim=(0, None))
    axis.legend(title=f"the network ({whose})")
    return figure


def beside_proof(lower, upper, attacks: dict):
    """Draw for each image between which bounds the nearest mistake lies, and where attacks ended.

    lower, upper: N distances, ``upper`` finite; attacks: name -> N distances, NaN for a failure.
    The images are in the order of ``upper``; below ``lower`` there is proven to be nothing.
    Returns the figure.
    """
    upper, lower = np.asarray(upper, dtype=float), np.asarray(lower, dtype=float)
    order = upper.argsort()
    rank = np.arange(1, len(order) + 1)
    figure, axis = plt.subplots()
    axis.bar(rank, lower[order], width=0.8, color="0.88", label="proven to be empty", zorder=0)
    axis.vlines(rank, lower[order], upper[order], color="black", linewidth=2, label="the bracket")
    axis.plot(rank, upper[order], "_", color="black", markersize=8, label="nearest point found")
    for name, distances in attacks.items():
        distances = np.asarray(distances, dtype=float)[order]
        axis.plot(rank, distances, ".", markersize=6, label=name)
    axis.set(xlabel="image, by its distance", ylabel="L2 distance", ylim=(0, None))
    axis.legend(loc="upper left")
    return figure
