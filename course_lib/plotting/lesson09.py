"""The figures of lesson 09: photographs, what was done to them, rows of strongest crops."""

import io

import matplotlib.pyplot as plt
import numpy as np
import torch


def show(figure) -> None:
    """Show a figure of photographs as JPEG, and close it: PNG would fill a notebook."""
    from IPython.display import Image, display  # a script that only draws needs no notebook

    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=110, pil_kwargs={"quality": 82})
    plt.close(figure)
    display(Image(file.getvalue(), format="jpeg"))


def _picture(image):
    """(3, H, W) as matplotlib wants it: (H, W, 3), from 0 to 1."""
    return image.detach().cpu().clamp(0, 1).permute(1, 2, 0).numpy()


def enlargement(change) -> float:
    """How often a change (3, H, W) is to be enlarged for all but one number of 200 to be seen as
    it is, from black (down) by grey (none) to white (up); 0 for no change."""
    size = float(change.detach().abs().flatten().quantile(0.995))
    return 0.5 / size if size > 0 else 0.0


def gallery(images, adversarial, before, after, size: float = 1.6):
    """Three rows: photographs, the changes enlarged, what the network now reads; the figure.

    images, adversarial: (N, 3, H, W); before, after: N texts. Above each change stands by how much
    it is enlarged (:func:`enlargement`).
    """
    n = len(images)
    figure, axes = plt.subplots(3, n, figsize=(size * n, 3.5 * size), squeeze=False)
    for k in range(n):
        change = adversarial[k] - images[k]
        times = enlargement(change)
        shown = (images[k], 0.5 + times * change, adversarial[k])
        texts = (before[k], f"x {times:.0f}" if times else "not found", after[k])
        for axis, picture, text in zip(axes[:, k], shown, texts, strict=True):
            axis.imshow(_picture(picture))
            axis.set_title(text, fontsize=8)
            axis.axis("off")
    return figure


def beside(pictures, titles, size: float = 2.2):
    """Pictures (N, 3, H, W) beside each other, each with its title; the figure."""
    figure, axes = plt.subplots(1, len(titles), figsize=(size * len(titles), size + 0.5))
    for axis, picture, title in zip(np.atleast_1d(axes), pictures, titles, strict=True):
        axis.imshow(_picture(picture))
        axis.set_title(title, fontsize=8)
        axis.axis("off")
    return figure


def _sheet(parts, top, pixels: int = 56):
    """Rows of k crops as one picture; parts: (N, 3, s, s); top: (M, k) indices."""
    chosen = parts[top.flatten()]
    small = torch.nn.functional.interpolate(chosen, (pixels, pixels), mode="area")
    tiles = torch.nn.functional.pad(small, (1, 1, 3, 3), value=1.0)
    m, k = top.shape
    tiles = tiles.reshape(m, k, 3, *tiles.shape[2:]).permute(2, 0, 3, 1, 4)
    return tiles.reshape(3, m * tiles.shape[2], -1)


def strongest(parts, left, right, titles):
    """Two blocks of rows of crops beside each other; the figure.

    parts: (N, 3, s, s); left, right: (M, k) indices, a row for each direction; titles: of the two.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.65 * len(left) + 0.4))
    for axis, top, title in zip(axes, (left, right), titles, strict=True):
        axis.imshow(_picture(_sheet(parts, top)))
        axis.axis("off")
        axis.set_title(title)
    return figure


def numbered(parts, top):
    """Numbered rows of crops, the first half on the left; the figure. top: (M, k), M even."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.33 * len(top) + 0.3))
    half = len(top) // 2
    for axis, first in zip(axes, (0, half), strict=True):
        sheet = _sheet(parts, top[first : first + half])
        axis.imshow(_picture(sheet))
        height = sheet.shape[1] / half
        axis.set_yticks(height * (np.arange(half) + 0.5), range(first + 1, first + half + 1))
        axis.set_xticks([])
        for side in axis.spines.values():
            side.set_visible(False)
    return figure
