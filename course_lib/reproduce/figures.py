"""The report's figures, from the records: each as PNG and SVG, with a text for those who cannot see
it, which is made of the same data."""

import math
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch

from .. import paper, plotting, storage
from ..data import load_mnist
from ..plotting import OURS, PAPER
from . import evidence as read
from . import photo_figures, showing
from .evidence import Evidence
from .pictures import decoded

# a file is the same at every drawing of the same data: no date, ids from a fixed salt
SETTINGS = {"svg.hashsalt": "reproduce", "savefig.dpi": 160, "figure.dpi": 80}
METADATA = {"png": {"Software": None}, "svg": {"Date": None}}


def _sheet(images: torch.Tensor, across: int) -> np.ndarray:
    """Images (N, 1, H, W) in rows of ``across``, white gaps between them; NaN is white."""
    n, _, height, width = images.shape
    down = -(-n // across)
    sheet = np.full((down * (height + 4) - 4, across * (width + 2) - 2), np.nan)
    for k, image in enumerate(images[:, 0].numpy()):
        top, left = k // across * (height + 4), k % across * (width + 2)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _grey(axis, images: torch.Tensor, across: int) -> None:
    axis.imshow(_sheet(images, across), cmap="gray", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _listed(rows: list[list[int]]) -> str:
    """The labels of rows of images, row by row."""
    return "; ".join(" ".join(map(str, row)) for row in rows)


def top_images(evidence: Evidence):
    """Figures 1 and 2: the strongest test images of units and of random directions."""
    found = evidence.get("pictures").get("top")
    if not found:
        return None
    pixels = load_mnist("test", "cpu").images
    across = len(found["units"]["images"][0])
    names = [f"unit {unit}" for unit in found["unit"]]
    kinds = {
        "units": ("single units (as the paper's Figure 1)", names),
        "directions": ("random directions (as its Figure 2)", None),
    }
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.6))
    for axis, (kind, (title, rows)) in zip(axes, kinds.items(), strict=True):
        chosen = torch.tensor(found[kind]["images"])
        _grey(axis, pixels[chosen.flatten()], across)
        axis.set_title(title)
        places = 14 + 32 * np.arange(len(chosen))
        labels = rows or [f"direction {k + 1}" for k in range(len(chosen))]
        axis.set_yticks(places, labels)
        axis.tick_params(length=0)
    purity = {k: np.mean(found[k]["purity"]) for k in kinds}
    alt = (
        f"Handwritten digits in two blocks of {len(names)} rows of {across}: the test images that "
        f"excite units {', '.join(map(str, found['unit']))} of {found['network']} most "
        f"({found['layer']}), and those for random directions of the same layer. The digits, row "
        f"by row, of the units: {_listed(found['units']['labels'])}; of the directions: "
        f"{_listed(found['directions']['labels'])}."
    )
    note = (
        f"The {across} test images that excite each most; units and directions are drawn with a "
        f"seed. The most frequent digit of a row has on average {100 * purity['units']:.0f} % of "
        f"it for these units and {100 * purity['directions']:.0f} % for these directions."
    )
    return figure, "Figures 1 and 2, here.", note, alt


def neighbours(evidence: Evidence):
    """Figure 7: images, their adversarial neighbours for two networks, and noise of stddev 1."""
    pictures = evidence.get("pictures")
    found = pictures.get("neighbours")
    if not found:
        return None
    rows = [("clean", "", found["clean"], found["labels"])]
    for name, e in found["networks"].items():
        size = f"{np.mean(e['distortion']):.3f}"
        rows.append((name, size, e["images"], e["answers"]))
    stddev = pictures.get("noise", {}).get("stddev", 1.0)
    rows.append(("noise", f"{stddev:.3f}", found["noise"]["images"], None))
    across = len(found["labels"])
    figure, axes = plt.subplots(len(rows), 1, figsize=(7, 0.95 * len(rows) + 0.1))
    for axis, (name, size, texts, answers) in zip(axes, rows, strict=True):
        _grey(axis, decoded(texts), across)
        caption = f"{name}\n{size}" if size else name
        axis.set_ylabel(caption, rotation=0, ha="right", va="center")
        if answers is not None:
            axis.set_xticks(14 + 30 * np.arange(across), answers)
            axis.tick_params(length=0, pad=1)
    parts = [
        f"for {name} the changed images are read as {' '.join(map(str, e['answers']))}, their mean "
        f"distortion is {np.mean(e['distortion']):.3f}"
        for name, e in found["networks"].items()
    ]
    shares = pictures.get("noise", {}).get("accuracy", {})
    accuracy = ", ".join(f"{100 * e['mean']:.1f} % ({name})" for name, e in shares.items())
    alt = (
        f"{across} training images in rows: as they are, the digits "
        f"{' '.join(map(str, found['labels']))}; {'; '.join(parts)}; and the same images under "
        f"Gaussian noise of stddev {stddev:g}."
    )
    note = (
        "Below each image what the network says of it; beside a row, its mean distortion. "
        f"Under noise of stddev {stddev:g}, {accuracy} of test images are read correctly; in the "
        f"paper {100 * paper.FIGURE7_NOISE_ACCURACY:g} % of its own."
        if shares
        else "Below each image what the network says of it; beside a row, its mean distortion."
    )
    return figure, "Figure 7, here.", note, alt


def beside_paper(evidence: Evidence):
    """The test errors and distortions of Tables 1 and 3, the paper's beside ours."""
    tables = paper.TABLE1 | paper.TABLE3
    errors = {p.row: p for p in read.error_pairs(evidence, tables, ("test",))}
    sizes = {p.row: p for p in read.distortion_pairs(evidence, tables)}
    names = [n for n in tables if errors[n].here is not None or sizes[n].here is not None]
    if not names:
        return None
    panels = (("test error / %", errors, 100.0), ("av. min. distortion", sizes, 1.0))
    figure, axes = plt.subplots(1, 2, figsize=(9, 0.34 * len(names) + 0.9), sharey=True)
    rows = np.arange(len(names))
    for axis, (label, pairs, scale) in zip(axes, panels, strict=True):
        for row, name in zip(rows, names, strict=True):
            pair = pairs[name]
            _line(axis, row + 0.14, pair.paper, scale, PAPER, "D", "paper, its sampling error")
            if pair.here is not None:
                _line(axis, row - 0.14, pair.here, scale, OURS, "o", "here, 95 %")
        axis.set_xlabel(label)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(rows, names)
    axes[0].invert_yaxis()
    axes[0].set_xscale("log")
    axes[0].xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes[0].xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes[0].set_xticks([1, 2, 5, 10, 20])
    axes[1].set_xlim(left=0)
    handles, labels = axes[1].get_legend_handles_labels()
    first = dict(zip(labels, handles, strict=True))
    axes[1].legend(first.values(), first.keys(), loc="lower right")
    said = "; ".join(
        f"{name}: {_said(errors[name], '%')} and {_said(sizes[name], 'distortion')}"
        for name in names
    )
    alt = f"Test error in per cent and average minimum distortion, here and in the paper: {said}."
    note = (
        "Test errors of networks trained on all images (Table 1) and on halves (Table 3), on a "
        "logarithmic scale, and the distortions of their own images. The paper's test errors are "
        "of 10 000 images, its distortions taken to be of 256."
    )
    return figure, "Errors and distances beside the paper's.", note, alt


def _line(axis, row, measured, scale, colour, marker, label) -> None:
    """A number with its interval, on a row of its own."""
    axis.plot(
        scale * measured.value, row, marker, color=colour, ms=4.5, mfc="none", mew=1.3, label=label
    )
    if math.isfinite(measured.half):
        ends = [scale * measured.low, scale * measured.high]
        axis.plot(ends, [row, row], color=colour, linewidth=1.3)


def _said(pair, unit: str) -> str:
    """A pair of numbers in words."""
    theirs = showing.plain(pair.paper.value, unit)
    if pair.here is None:
        return f"not measured, paper {theirs}"
    return f"{showing.plain(pair.here.value, unit)}, paper {theirs}"


def transfer_matrix(evidence: Evidence):
    """Table 2's shares as two tables of shades, the paper's and ours."""
    pairs = read.cells(evidence, "table2")
    if not any(p.here is not None for p in pairs):
        return None
    columns, rows = list(paper.TABLE2_COLUMNS), list(paper.TABLE2)
    theirs, ours = np.full((2, len(rows), len(columns)), np.nan)
    for p in pairs:
        place = rows.index(p.row), columns.index(p.column)
        theirs[place] = p.paper.value
        if p.here is not None:
            ours[place] = p.here.value
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.7), sharey=True)
    for axis, table, title in zip(axes, (theirs, ours), ("the paper", "here"), strict=True):
        percent = 100 * table
        axis.imshow(percent, cmap="Blues", vmin=0, vmax=130, aspect="auto")
        for (i, j), share in np.ndenumerate(percent):
            shown = "–" if math.isnan(share) else f"{share:.1f}"
            ink = "white" if share > 90 else "black"
            axis.text(j, i, shown, ha="center", va="center", size=8, color=ink)
        axis.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
        axis.set_yticks(range(len(rows)), rows)
        axis.tick_params(length=0)
        axis.set_title(title)
        axis.spines[:].set_visible(False)
    axes[0].set_ylabel("made for")
    n, seeds = evidence.get("transfer").get("n"), evidence.get("transfer").get("seeds", {})
    said = "; ".join(
        f"{row} read by "
        + ", ".join(
            f"{p.column} {showing.plain(p.paper.value, '%')} and "
            f"{showing.plain(p.here.value, '%') if p.here else 'not measured'}"
            for p in pairs
            if p.row == row and p.column != row
        )
        for row in rows
    )
    alt = f"Errors in per cent on others' examples and on noise, the paper's first: {said}."
    note = (
        f"Table 2: the share of images, in per cent, that the column's network gets wrong. Here "
        f"{n} training images, {len(seeds.get('table2', []))} networks of each name but FC10."
    )
    return figure, "Who is fooled by whose examples.", note, alt


# name, what draws it, and whether the page takes the PNG (pictures) or the SVG
FIGURES = (
    ("figures-1-2", top_images, "png", "pictures"),
    ("figures-3-4", photo_figures.strongest_crops, "png", "photographs"),
    ("figure-5", photo_figures.ostriches, "png", "photographs"),
    ("figure-6", photo_figures.switched_off, "png", "photographs"),
    ("figure-7", neighbours, "png", "pictures"),
    ("beside-the-paper", beside_paper, "svg", "networks"),
    ("transfer", transfer_matrix, "svg", "transfer"),
)


def write(evidence: Evidence, folder: Path) -> tuple[list[dict], list[Path]]:
    """Draw all figures that the records allow into ``folder``: what the report says of each (name,
    title, note, alt, inline), and the files.

    One whose record has a part that cannot be read is left out, and told in evidence.problems.
    """
    drawn, files = [], []
    for name, draw, inline, record in FIGURES:
        with matplotlib.rc_context():
            matplotlib.use("agg", force=False)
            plotting.style()
            plt.rcParams.update(SETTINGS)
            try:
                made = draw(evidence)
            except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
                evidence.problem(record, error)
                plt.close("all")
                continue
            if made is None:
                continue
            figure, title, note, alt = made
            for kind in ("png", "svg"):
                path = folder / f"{name}.{kind}"
                with storage.atomic(path) as part:
                    figure.savefig(part, format=kind, metadata=METADATA[kind])
                files.append(path)
            plt.close(figure)
        drawn.append({"name": name, "title": title, "note": note, "alt": alt, "inline": inline})
    return drawn, files
