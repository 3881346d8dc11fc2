"""Who is fooled by whose examples: Tables 2 and 4 (section 4.2) with their controls.

A row is a set of images: the examples made for one network, the same amplified to a stddev, noise
exactly as large as each of them, Gaussian noise of one stddev, or the clean images. A column is a
network. An entry is the share of the row's images that the column's network gets wrong, under two
conventions, which differ in the images that count:

``"paper"``   all images, those that a network has wrong without any attack included
``"strict"``  the same images in every cell of a row: the source has the clean image right, its
              attack succeeded, and all the columns' networks have the clean image right

With several seeds, everything is done for every pair of a source and a target network.
"""

import dataclasses
import functools

import numpy as np

from ..checked import NUMBER, Kind, takes
from .intervals import Cell, Estimate, hierarchical_bootstrap
from .shares import SIZES, Shares

CELL = Kind(
    "a tuple (table, row, column)",
    lambda value: (
        isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], TransferTable)
    ),
)
CONVENTIONS = ("paper", "strict")
CLEAN = "clean images"


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One row's images, as far as they matter: T replicates of its source, N images.

    kind: "minimal", "amplified", "equal noise", "noise" or "clean"; source: the network's label, or
    None; stddev: what the change was brought to, or None. ids: (T,) which network each replicate
    is, 0 in all of them where there is only one, or none. used: (T, N) bool, False where the attack
    failed (or there is no change to amplify); right: (T, N) bool, the source has the clean image
    right; targets: (T, N), -1 for none; distortion, overshoot: (T, N), the latter NaN but for
    minimal rows; answers: (T, T, C, N) int32, the class given by each network of the columns.
    """

    label: str
    kind: str
    source: str | None
    stddev: float | None
    ids: np.ndarray
    used: np.ndarray
    right: np.ndarray
    targets: np.ndarray
    distortion: np.ndarray
    overshoot: np.ndarray
    answers: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class TransferTable:
    """What :func:`transfer_table` measured; print it, or ask it.

    columns: C labels of networks; ids: (C, T) which network each column has in replicate t (the
    same one in all where there is one optimum); rows: by label; labels: (N,) the true classes;
    dataset: what the images are called.
    """

    columns: tuple[str, ...]
    ids: np.ndarray
    rows: dict[str, Row]
    labels: np.ndarray
    dataset: str

    @property
    def replicates(self) -> int:
        """How many networks of each name there are."""
        return self.ids.shape[1]

    @property
    def wrong(self) -> np.ndarray:
        """(R, C, N) bool: per image, whether the network is wrong. For one network of each name."""
        return np.stack([self._single(row).answers[0, 0] != self.labels for row in self._rows()])

    @property
    def hits(self) -> np.ndarray:
        """(R, C, N) bool: per image, whether the network gives the very class aimed at."""
        pairs = [(self._single(row).answers[0, 0], row.targets[0]) for row in self._rows()]
        return np.stack([answers == targets for answers, targets in pairs])

    def _rows(self) -> list[Row]:
        return list(self.rows.values())

    def _single(self, row: Row) -> Row:
        if self.replicates > 1:
            raise ValueError(
                f"There are {self.replicates} networks of each name here: ask for one cell, "
                "table.cell(row, column).values."
            )
        return row

    def row(self, label: str) -> Row:
        """The row called ``label``; KeyError, listing them, if there is none."""
        if label not in self.rows:
            raise KeyError(f"There is no row {label!r}: use one of {', '.join(self.rows)}.")
        return self.rows[label]

    def first(self, k: int) -> "TransferTable":
        """The table of the first ``k`` replicates alone."""
        if not 1 <= k <= self.replicates:
            raise ValueError(f"There are {self.replicates} networks of each name, not {k}.")
        rows = {}
        for label, row in self.rows.items():
            parts = ("ids", "used", "right", "targets", "distortion", "overshoot")
            cut = {name: getattr(row, name)[:k] for name in parts}
            rows[label] = dataclasses.replace(row, answers=row.answers[:k, :k], **cut)
        return dataclasses.replace(self, ids=self.ids[:, :k], rows=rows)

    # --- which images count --------------------------------------------------------------------

    @functools.cached_property
    def _all_right(self) -> np.ndarray:
        """(T, T, N) whether all columns' networks of both replicates have the clean image right."""
        right = (self.rows[CLEAN].answers[0] == self.labels).all(1)
        return right[:, None] & right

    @functools.cached_property
    def _all_made(self) -> np.ndarray:
        """(T, N) whether each row of minimal examples has one, and a source that was right."""
        made = [row.used & row.right for row in self._rows() if row.kind == "minimal"]
        return np.logical_and.reduce(made)

    def images_used(self, row: str, convention: str = "strict") -> np.ndarray:
        """(T, T, N) bool: which images count in every cell of ``row``, by source and target.

        "strict": for the pair (s, t), the row's source has the clean image right, its attack
        succeeded, and all columns' networks of both replicates, s and t, have it right. Noise and
        clean rows have no source: they use the images that count in all rows of minimal examples.
        """
        check_convention(convention)
        chosen = self.row(row)
        if convention == "paper":
            return np.repeat(chosen.used[:, None], self.replicates, axis=1)
        made = self._all_made if chosen.source is None else chosen.used & chosen.right
        return made[:, None] & self._all_right

    def left_out(self, row: str) -> int:
        """How many images have no example in ``row``, over all of its source networks."""
        chosen = self.row(row)
        return int((~chosen.used[np.unique(chosen.ids, return_index=True)[1]]).sum())

    def size(self, row: str, convention: str = "strict") -> float:
        """The mean distortion of the row's images that count (section 4.2)."""
        return _mean_over(self.row(row).distortion, self.images_used(row, convention))

    def overshoot(self, row: str, convention: str = "strict") -> float:
        """By how much, in logits, the row's images lie beyond the source's boundary, on average."""
        return _mean_over(self.row(row).overshoot, self.images_used(row, convention))

    # --- cells ---------------------------------------------------------------------------------

    def cell(
        self,
        row: str,
        column: str,
        convention: str = "strict",
        *,
        what: str = "wrong",
        strangers: bool = False,
    ) -> Cell:
        """The images' outcomes in one cell: values and valid, (T, T, N), source networks first.

        what: "wrong", or "hit", the class aimed at. In a source's own column only the network that
        the examples were made for counts; strangers: instead, only the others of its name.
        """
        chosen, k = self.row(row), self._column(column)
        if what not in ("wrong", "hit"):
            raise ValueError(f"An outcome is 'wrong' or 'hit', not {what!r}.")
        answers, aims = chosen.answers[:, :, k], chosen.targets[:, None]
        values = answers != self.labels if what == "wrong" else answers == aims
        valid = self.images_used(row, convention)
        valid = valid if what == "wrong" else valid & (aims >= 0)  # noise need not have an aim
        if chosen.source == column:
            own = chosen.ids[:, None] == self.ids[k]
            valid = valid & (~own if strangers else own)[..., None]
        elif strangers:
            raise ValueError(f"{row!r} was not made for networks called {column!r}.")
        return Cell(values, valid, chosen.source, column, chosen.ids, self.ids[k])

    def _column(self, column: str) -> int:
        if column not in self.columns:
            raise KeyError(f"There is no column {column!r}: use one of {', '.join(self.columns)}.")
        return self.columns.index(column)

    def estimate(self, row: str, column: str, convention: str = "strict", **how) -> Estimate:
        """The share of one cell with its interval; ``how`` as in :meth:`cell`."""
        return hierarchical_bootstrap(self.cell(row, column, convention, **how))

    def difference(
        self,
        first: tuple[str, str],
        second: tuple[str, str],
        convention: str = "strict",
        *,
        what: str = "wrong",
        times: float = 1.0,
        strangers: tuple[bool, bool] = (False, False),
    ) -> Estimate:
        """The share of the cell ``first`` (row, column) minus ``times`` that of ``second``.

        Paired: both are taken over the images that count in both, and image by image (and network
        by network) the same ones are drawn for the interval. :meth:`incomparable` says whether two
        rows should be compared at all.
        """
        return paired(
            (self, *first), (self, *second), convention, what=what, times=times, strangers=strangers
        )

    def control(self, row: str) -> str:
        """The row of noise that is as large as the changes of ``row``."""
        chosen = self.row(row)
        label = noise_label(chosen.stddev) if chosen.stddev else equal_label(chosen.source)
        return self.row(label).label

    def excess(self, row: str, column: str, convention: str = "strict", times: float = 1.0):
        """The share of a cell minus ``times`` that of equally large noise: an Estimate."""
        return self.difference((row, column), (self.control(row), column), convention, times=times)

    def incomparable(self, first: str, second: str, convention: str = "strict") -> str | None:
        """Why two rows should not be compared down a column, in a sentence; None if they may be."""
        sizes = [self.size(row, convention) for row in (first, second)]
        counts = [self._count(row, convention) for row in (first, second)]
        if min(counts) == 0 or abs(counts[0] - counts[1]) >= 0.5:
            return f"They rest on different images: n = {counts[0]:.0f} and {counts[1]:.0f}."
        if max(sizes) > SIZES * min(sizes):
            return f"Their changes differ in size: {sizes[0]:.4f} and {sizes[1]:.4f}."
        return None

    def _count(self, row: str, convention: str) -> float:
        return float(self.images_used(row, convention).sum(2).mean())

    # --- the whole -----------------------------------------------------------------------------

    def paper(self) -> Shares:
        """The table as the paper made it: all images, clean errors included."""
        return self.shares("paper")

    def strict(self) -> Shares:
        """The table over the images that everybody has right without an attack."""
        return self.shares("strict")

    def shares(self, convention: str = "strict", what: str = "wrong") -> Shares:
        """All cells: means over images and pairs of networks."""
        check_convention(convention)
        table = [
            [mean_pairs(self.cell(r, c, convention, what=what)) for c in self.columns]
            for r in self.rows
        ]
        return Shares(self, convention, what, np.array(table))

    def __str__(self) -> str:
        return f"{self.paper()}\n\n{self.strict()}"

    def __repr__(self) -> str:
        return f"TransferTable({len(self.rows)} rows, {len(self.columns)} columns, {self.dataset})"

    def _repr_html_(self) -> str:
        return self.paper()._repr_html_() + self.strict()._repr_html_()


@takes(first=CELL, second=CELL, times=NUMBER)
def paired(
    first: tuple[TransferTable, str, str],
    second: tuple[TransferTable, str, str],
    convention: str = "strict",
    *,
    what: str = "wrong",
    times: float = 1.0,
    strangers: tuple[bool, bool] = (False, False),
) -> Estimate:
    """:meth:`TransferTable.difference` for cells (table, row, column) of two tables.

    Where one table has more networks of a name, its first ones are taken. Raises ValueError if the
    tables are not about the same images.
    """
    tables = [first[0], second[0]]
    if tables[0].dataset != tables[1].dataset:
        names = " and ".join(repr(table.dataset) for table in tables)
        raise ValueError(f"A difference needs the same images: {names}.")
    k = min(table.replicates for table in tables)
    tables = [table if table.replicates == k else table.first(k) for table in tables]
    asked = (first[1:], second[1:])
    masks = [t.images_used(row, convention) for t, (row, _) in zip(tables, asked, strict=True)]
    both = masks[0] & masks[1]
    cells = []
    for table, (row, column), other in zip(tables, asked, strangers, strict=True):
        cell = table.cell(row, column, convention, what=what, strangers=other)
        cells.append(dataclasses.replace(cell, valid=cell.valid & both))
    cells[1] = dataclasses.replace(cells[1], values=times * cells[1].values)
    return hierarchical_bootstrap(*cells)


def check_convention(convention: str) -> None:
    """Raise ValueError, listing them, unless it is one of the two."""
    if convention not in CONVENTIONS:
        raise ValueError(
            f"There is no convention {convention!r}: use one of {', '.join(CONVENTIONS)}."
        )


def amplified_label(source: str, stddev: float) -> str:
    """The label of a row of amplified examples, as in paper.TABLE4."""
    return f"{source}, amplified to {stddev:g}"


def noise_label(stddev: float) -> str:
    """The label of a row of noise, as in paper.TABLE2 and TABLE4."""
    return f"Gaussian noise, stddev {stddev:g}"


def equal_label(source: str | None) -> str:
    """The label of the row of noise as large as the examples made for ``source``."""
    return f"noise as large as for {source}"


def mean_pairs(cell: Cell) -> float:
    """The mean over images, then over pairs of networks; NaN without any."""
    pairs = cell.by_pair()
    return float(np.nanmean(pairs)) if np.isfinite(pairs).any() else float("nan")


def _mean_over(values: np.ndarray, mask: np.ndarray) -> float:
    """The mean of (S, N) values over the images of a mask (S, T, N); NaN without any."""
    spread = np.broadcast_to(values[:, None], mask.shape)[mask]
    return float(spread.mean(dtype=float)) if spread.size else float("nan")
