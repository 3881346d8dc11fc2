"""A notebook that was handed in, as it is: damaged, cut down, converted, of another release."""

import functools
from dataclasses import dataclass, field
from pathlib import Path

from .. import workcopy
from ..cells import Cell, defines, match, metadata, source, text_hash

MOST_BYTES = 300_000_000  # of a notebook that is read at all
LONGEST = 200_000  # characters of a cell


@dataclass(eq=False)
class Released:
    """A lesson as it was given out. cells: of its notebook, plain JSON."""

    name: str
    cells: list[dict]

    @property
    def code(self) -> list[dict]:
        return [cell for cell in self.cells if cell.get("cell_type") == "code"]

    def cell(self, role: str, slug: str) -> dict | None:
        """The cell that is the "exercise" called ``slug``, or its "check"."""
        of = (c for c in self.code if metadata(c).get("course", {}).get(role) == slug)
        return next(of, None)


@functools.cache
def released(path: Path) -> Released:
    """The lesson at ``path``. Raises WorkError if it cannot be read."""
    return Released(path.stem, workcopy.load(path)["cells"])


@dataclass(eq=False)
class Submission:
    """What was handed in. problem: why nothing can be read of it; notes: what else is odd."""

    name: str
    cells: list[dict] = field(default_factory=list)
    lesson: str = ""
    problem: str | None = None
    notes: list[str] = field(default_factory=list)
    _matched: dict = field(default_factory=dict)

    def matched(self, lesson: Released) -> list[Cell]:
        """The cells, each with the one of ``lesson`` that it is."""
        if lesson not in self._matched:
            self._matched[lesson] = match(self.cells, lesson.cells, None)
        return self._matched[lesson]

    def answer(self, lesson: Released, slug: str, function: str) -> Cell | None:
        """The cell with the answer to ``slug``: the lesson's own, or where that says nothing of
        the learner's, the last other one that defines the function. None if there is none.
        """
        given = lesson.cell("exercise", slug)
        cells = [cell for cell in self.matched(lesson) if cell.kind == "code"]
        own = next((c for c in cells if given and c.known and c.known.key == given["id"]), None)
        if own is not None and not own.same and defines(own.text, function):
            return own
        others = [c for c in cells if c is not own and c.known is None and c.copy is None]
        others = [cell for cell in others if defines(cell.text, function)]
        return others[-1] if others else own

    def check_is(self, lesson: Released, slug: str) -> str:
        """A sentence where the cell with the check is not the released one, else nothing."""
        given = lesson.cell("check", slug)
        found = [
            c for c in self.matched(lesson) if given and c.known and c.known.key == given["id"]
        ]
        if given is None or (found and text_hash(found[0].text) == text_hash(source(given))):
            return ""
        what = "was changed" if found else "is not there"
        return f"The cell with its check {what}: it was graded by the released one."


def read(path: Path) -> Submission:
    """What lies at ``path``; raises nothing for what is no notebook."""
    path = Path(path)
    found = Submission(path.name)
    try:
        size = path.stat().st_size if path.exists() else None
        if size is None:
            found.problem = f"There is no notebook {path.name}."
        elif path.is_file() and size == 0:
            found.problem = f"{path.name} is an empty file."
        elif size > MOST_BYTES:
            found.problem = f"{path.name} has {size / 1e6:.0f} MB: nobody's answers are that long."
        else:
            _read(path, found)
    except workcopy.WorkError as error:
        found.problem = str(error).replace(str(path), path.name)
    except OSError as error:
        found.problem = f"{path.name} cannot be read: {error.strerror or error}."
    return found


def _read(path: Path, found: Submission) -> None:
    notebook = workcopy.load(path)
    for cell in notebook["cells"]:
        # outputs may be long, and say nothing that counts
        kept = {name: cell[name] for name in ("id", "cell_type", "metadata") if name in cell}
        kept["source"] = source(cell)
        if "cell_type" not in kept and ("outputs" in cell or "execution_count" in cell):
            kept["cell_type"] = "code"
        if len(kept["source"]) > LONGEST:
            found.notes.append(f"A cell of {len(kept['source'])} characters was left out.")
            continue
        found.cells.append(kept)
    if not any(cell["source"].strip() for cell in found.cells):
        found.problem = f"{path.name} is a notebook without any cell in it."
    about = metadata(notebook)
    spec, info = about.get("kernelspec"), about.get("language_info")
    languages = [
        one.get(key)
        for one, key in ((spec, "language"), (info, "name"))
        if isinstance(one, dict) and isinstance(one.get(key), str) and one.get(key)
    ]
    if languages and not any("python" in language.lower() for language in languages):
        found.notes.append(
            f"The notebook is one of another kernel ({languages[0][:40]}): its cells were read as "
            "Python all the same."
        )
    course = about.get("course")
    if isinstance(course, dict) and isinstance(course.get("lesson"), str):
        found.lesson = course["lesson"]
