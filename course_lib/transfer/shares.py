"""A transfer table under one convention, and how it is printed."""

import dataclasses

import numpy as np

SIZES = 1.1  # sizes whose ratio is above this are called different


@dataclasses.dataclass(frozen=True, eq=False)
class Shares:
    """A table under one convention: share (R, C) in [0, 1], and how it is printed."""

    table: object  # the TransferTable
    convention: str
    what: str
    share: np.ndarray

    @property
    def n(self) -> dict[str, float]:
        """How many images count, by row: the mean over the pairs of networks."""
        return {row: self.table._count(row, self.convention) for row in self.table.rows}

    def __getitem__(self, where: tuple[str, str]) -> float:
        """The share in (row, column)."""
        row, column = where
        self.table.row(row)
        return float(self.share[list(self.table.rows).index(row), self.table._column(column)])

    def caption(self) -> str:
        """What the numbers are."""
        what = "wrong" if self.what == "wrong" else "that get the class aimed at"
        rule = {
            "paper": "all images, clean errors included (the paper's convention)",
            "strict": "in each row the same images, which every network has right when clean",
        }[self.convention]
        some = self.table.replicates
        nets = f"; means over {some} networks of each name" if some > 1 else ""
        return f"Share of images {what}, {self.table.dataset}: {rule}{nets}"

    def lines(self) -> list[list[str]]:
        """The cells as they are printed, headings first."""
        found = [["made for", *self.table.columns, "distortion", "n"]]
        counts = self.n
        usual = max(set(counts.values()), key=list(counts.values()).count)
        for row, shares in zip(self.table.rows, self.share, strict=True):
            mark = "" if abs(counts[row] - usual) < 0.5 else "*"
            cells = ["" if np.isnan(share) else f"{share:.1%}" for share in shares]
            size = self.table.size(row, self.convention)
            found.append([row, *cells, f"{size:.4f}", f"{counts[row]:.0f}{mark}"])
        return found

    def notes(self) -> list[str]:
        """What must be known to read it: rows that cannot be compared, images left out."""
        found, table = [], self.table
        if any(line[-1].endswith("*") for line in self.lines()):
            found.append("* another n than the other rows: not comparable with them")
        minimal = [row.label for row in table._rows() if row.kind == "minimal"]
        sizes = [table.size(row, self.convention) for row in minimal]
        if len(sizes) > 1 and max(sizes) > SIZES * min(sizes):
            found.append(
                f"the examples' sizes go from {min(sizes):.4f} to {max(sizes):.4f}: compare along "
                "a row or with equal noise, not down a column (amplified rows have one size)"
            )
        failed = {row: table.left_out(row) for row in minimal if table.left_out(row)}
        if failed:
            counts = ", ".join(f"{row}: {count}" for row, count in failed.items())
            found.append(f"images left out because the attack failed: {counts}")
        beyond = ", ".join(f"{row} {table.overshoot(row, self.convention):.2g}" for row in minimal)
        if beyond and self.what == "wrong":
            found.append(f"beyond the source's own boundary, in logits: {beyond}")
        return found

    def __str__(self) -> str:
        lines = self.lines()
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        text = [
            "  ".join(
                [line[0].ljust(widths[0])]
                + [cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True)]
            )
            for line in lines
        ]
        return "\n".join([self.caption(), *text, *self.notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self.lines()
        row = "".join(f"<th>{cell}</th>" for cell in head)
        rows = [f"<tr>{row}</tr>"]
        for line in body:
            cells = "".join(f"<td>{cell}</td>" for cell in line[1:])
            rows.append(f"<tr><th style='text-align:left'>{line[0]}</th>{cells}</tr>")
        notes = "<br>".join(self.notes())
        return f"<p>{self.caption()}</p><table>{''.join(rows)}</table><p>{notes}</p>"
