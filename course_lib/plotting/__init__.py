"""One look for all figures and tables. Call :func:`style` once, in a lesson's first cell.

Here is what several lessons draw. A figure that belongs to one lesson, and whose drawing teaches
nothing, is a function of ``lessonNN.py`` in this folder; the lesson imports that module as
``figures``::

    from course_lib.plotting import lesson03 as figures

Such a function takes what the lesson computed (arrays, names), draws it, and returns the figure.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from .. import alternatives

# Okabe and Ito's colours, told apart by readers with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
OURS, PAPER = COLOURS[0], COLOURS[1]


def style() -> None:
    """Set the course's style: small white figures, quiet axes, one cycle of colours.

    In a lesson's kernel its figures get their alternative texts from here on.
    """
    alternatives.install()
    plt.rcParams.update(
        {
            "figure.figsize": (6.4, 3.2),
            "figure.dpi": 80,
            "savefig.dpi": 80,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": plt.cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "legend.frameon": False,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
        }
    )


def _tiles(images, limits) -> np.ndarray:
    """The images (N, H, W) as grey values, or scaled to [-1, 1] each where there are no limits."""
    tiles = torch.as_tensor(images).detach().cpu().float().numpy()
    tiles = tiles.reshape(len(tiles), *tiles.shape[-2:])
    if limits is None:
        largest = np.abs(tiles).max(axis=(1, 2), keepdims=True)
        tiles = tiles / np.where(largest > 0, largest, 1)
    return tiles


def show_images(images, titles=None, columns: int = 10, limits=(0.0, 1.0), size: float = 0.75):
    """Draw images (N, 1, H, W) or (N, H, W) in a grid, white on black; return the figure.

    titles: N short texts; limits: the values that become black and white, None for each image's
    own range, symmetric about 0 (for weights and perturbations); size: inches per image.
    All tiles share one pair of axes: that draws fast enough to follow a slider.
    """
    tiles = _tiles(images, limits)
    n, height, width = tiles.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    gap = max(2, width // 14)
    above = height // 2 if titles is not None else gap
    sheet = np.full((rows * (height + above), columns * (width + gap)), np.nan)
    inches = size / (width + gap)
    figure, axis = plt.subplots(figsize=(sheet.shape[1] * inches, sheet.shape[0] * inches + 0.3))
    for k in range(n):
        top, left = k // columns * (height + above) + above, k % columns * (width + gap)
        sheet[top : top + height, left : left + width] = tiles[k]
        if titles is not None:
            middle = left + (width - 1) / 2
            axis.text(middle, top - 2, titles[k], ha="center", va="bottom", fontsize=8)
    low, high = limits or (-1.0, 1.0)
    axis.imshow(sheet, vmin=low, vmax=high, cmap="gray" if limits else "RdBu_r")
    axis.axis("off")
    return figure


def beside_paper(names, ours, paper, label: str, intervals=None):
    """Draw one row per name: what came out here and what the paper prints; return the figure.

    ours, paper: N numbers each, NaN where there is none; label: of the horizontal axis;
    intervals: N half-widths of ours, or None.
    """
    rows = np.arange(len(names))
    figure, axis = plt.subplots(figsize=(6.4, 0.32 * len(names) + 0.9))
    axis.errorbar(
        ours, rows, xerr=intervals, fmt="o", color=OURS, capsize=3, markersize=5, label="here"
    )
    axis.plot(paper, rows, "D", color=PAPER, markersize=5, fillstyle="none", label="paper")
    axis.set_yticks(rows, names)
    axis.invert_yaxis()
    axis.set_xlabel(label)
    axis.set_xlim(left=0)
    axis.grid(axis="x", alpha=0.3)
    axis.legend()
    return figure


def table(head, rows, caption: str | None = None):
    """A table, as IPython's Markdown: the last expression of a cell shows it.

    head: the titles of the columns; rows: sequences of as many cells, texts or anything that str()
    writes; caption: a line above. The first column is set to the left, the others to the right.
    Raises ValueError if a row has more or fewer cells than the head.
    """
    from IPython.display import Markdown  # a script that only draws needs no notebook

    head, lines = list(head), []
    for number, row in enumerate([head, *map(list, rows)]):
        if len(row) != len(head):
            raise ValueError(
                f"Row {number} of the table has {len(row)} cells, its head has {len(head)}: "
                f"give each column a cell, an empty text where there is nothing to say. "
                f"The row is {row}."
            )
        cells = [str(cell).replace("|", "\\|") for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    lines.insert(1, "| " + " | ".join([":--"] + ["--:"] * (len(head) - 1)) + " |")
    return Markdown("\n".join(([caption, ""] if caption else []) + lines))
