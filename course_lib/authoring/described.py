"""The pictures of a solved notebook get their alternative texts; what is missing is told."""

import copy
from collections.abc import Iterator

from ..alternatives import KEY, Picture, picture_in
from .source import Source


def pictures(cell) -> list[tuple[dict, Picture]]:
    """The outputs of a notebook's cell that are pictures, each with what it is."""
    outputs = cell.outputs if cell.cell_type == "code" else []
    return [(o, found) for o in outputs if (found := picture_in(o.get("data", {})))]


def describe(notebook):
    """A copy of ``notebook`` in which each picture has the text of its cell, and no other."""
    new = copy.deepcopy(notebook)
    for cell in new.cells:
        texts, shown = cell.metadata.get(KEY, []), pictures(cell)
        for k, (output, picture) in enumerate(shown):
            output.data.pop("text/html", None)
            output.data.pop(picture.kind, None)
            if not texts:
                output.data[picture.kind] = picture.encoded
                continue
            text = texts[min(k, len(texts) - 1)]
            if len(texts) == 1 < len(shown):  # of a slider's values, for one
                text += f" Picture {k + 1} of {len(shown)}."
            output.data["text/html"] = picture.html(text)
            output.metadata = type(output.metadata)()  # a PNG's own
    return new


def problems(source: Source, notebook) -> Iterator[str]:
    """A sentence for each cell of the executed ``notebook`` whose texts do not fit its pictures."""
    lines = {cell.id: cell.line for cell in source.cells}
    for cell in notebook.cells:
        texts, count = cell.metadata.get(KEY, []), len(pictures(cell))
        if len(texts) == min(count, 1) or len(texts) == count:
            continue
        where = f"{source.at(lines[cell.id])}: the cell {cell.id!r}"
        if not texts:
            yield (
                f"{where} shows a picture, and nothing for who cannot see it: below its header "
                'write "#| alt: " and what the picture shows, in a sentence or two.'
            )
        elif count:
            yield (
                f"{where} has {len(texts)} alternative texts for {count} "
                f"picture{'s' * (count > 1)}: give one for all, or one for each."
            )
        elif cell.get("execution_count") is not None:
            yield f"{where} has an alternative text and shows no picture: take the text out."
