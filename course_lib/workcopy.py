"""The learner's copy of the lessons, in ``work/``: made once, never overwritten, never lost.

``.course.json`` beside the copies remembers from which version of a lesson each was made, so that a
newer lesson can be announced, and which cells the learner changed can be told apart from those that
the course changed. Notebooks are read as plain JSON: nothing here needs more than the standard
library.
"""

import ast
import contextlib
import copy
import datetime
import difflib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from . import storage
from .cells import Cell, match, metadata, of_version_3, source, text_hash, whole

RECORD = ".course.json"


class WorkError(RuntimeError):
    """Something about the learner's copy; the message says what, and what to do."""


class ThereAlready(WorkError):
    """A file that was about to be made exists: somebody was faster."""


# ---------------------------------------------------------------- where things are


def lessons() -> dict[str, Path]:
    """The course's lessons by name, as 01_training. Raises WorkError if there are none."""
    folder = storage.released()
    found = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not found:
        raise WorkError(f"There are no lessons in {folder}: install the course again.")
    return found


def default_folder() -> Path:
    """``work`` in the checkout, or ``intriguing-course`` in the user's home where the checkout is
    another user's; for an installed course ``work`` in the current folder."""
    root = storage.checkout()
    if root and not storage.is_ours(root):
        return Path.home() / "intriguing-course"
    return (root or Path.cwd()) / "work"


def find(name: str, names) -> str:
    """The lesson that ``name`` (1, 01, 01_training, 01_training.ipynb) means.

    Raises WorkError with the lessons that exist if there is none.
    """
    short = Path(str(name)).name.removesuffix(".ipynb")
    for known in names:
        if known == short or (short.isdigit() and known[:2] == short.zfill(2)):
            return known
    close = difflib.get_close_matches(short, names, n=1) or sorted(names)
    raise WorkError(f"There is no lesson {name!r}: did you mean {', '.join(close)}?")


# ---------------------------------------------------------------- notebooks as JSON


def load(path: Path) -> dict:
    """The notebook ``path``. Raises WorkError, with file and line, if it cannot be read as one."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise WorkError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        # no number of JSON: some programs write it, and JupyterLab reads no file that has one
        notebook = json.loads(raw.decode("utf-8-sig"), parse_constant=str)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise WorkError(f"{path}, line {line}: not text in UTF-8 ({error.reason}).") from None
    except json.JSONDecodeError as error:
        raise WorkError(
            f"{path}, line {error.lineno}, column {error.colno}: not a notebook any more "
            f"({error.msg})."
        ) from None
    except (ValueError, RecursionError) as error:  # a number without end, brackets without end
        raise WorkError(f"{path}, line 1: not a notebook any more ({error}).") from None
    if isinstance(notebook, dict) and "cells" not in notebook:
        old = of_version_3(notebook)
        notebook = notebook if old is None else {**notebook, "cells": old}
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(isinstance(c, dict) for c in cells):
        raise WorkError(f"{path}, line 1: not a notebook (it has no list of cells).")
    return notebook


def _cells(notebook: dict) -> dict[str, str]:
    named = [cell for cell in notebook["cells"] if isinstance(cell.get("id"), str)]
    return {cell["id"]: text_hash(source(cell)) for cell in named}


# ---------------------------------------------------------------- the record


def _record(folder: Path) -> dict:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        known = record["lessons"]
        return known if isinstance(known, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # a lost record loses no work: see _base


def _remember(folder: Path, record: dict) -> None:
    text = json.dumps({"lessons": record}, indent=1, sort_keys=True) + "\n"
    storage.write_text(folder / RECORD, text)


def _entry(lesson: Path) -> dict:
    return {"sha256": storage.sha256(lesson), "cells": _cells(load(lesson))}


def _base(record: dict, name: str) -> dict | None:
    entry = record.get(name)
    if not isinstance(entry, dict) or not isinstance(entry.get("cells"), dict):
        return None
    words = [entry.get("sha256"), *entry["cells"].values()]
    return entry if all(isinstance(word, str) for word in words) else None


# ---------------------------------------------------------------- making and announcing


def prepare(folder: Path | None = None) -> tuple[Path, list[str]]:
    """Copy into ``folder`` the lessons that are not there yet.

    Returns the folder, and sentences about what is newer or damaged there. No file that exists is
    touched. Raises WorkError if a lesson cannot be copied.
    """
    folder, sentences = _resolved(folder), []
    record, changed = _record(folder), False
    for name, lesson in lessons().items():
        path = folder / lesson.name
        if not os.path.lexists(path):
            with contextlib.suppress(ThereAlready):  # another `course lab` at the same moment
                _copy(lesson, path)
                record[name], changed = _entry(lesson), True
            continue
        base = _base(record, name)
        if base is None and _is_of(path, lesson):
            record[name], changed = _entry(lesson), True
        elif sentence := _news(path, lesson, base):
            sentences.append(sentence)
    if changed:
        with _told(folder):
            _remember(folder, record)
    return folder, sentences


def _resolved(folder: Path | None) -> Path:
    return Path(folder).expanduser().resolve() if folder else default_folder()


def _news(path: Path, lesson: Path, base: dict | None) -> str | None:
    """What the learner should know about the copy ``path``, or None."""
    number = path.name[:2]
    try:
        load(path)
    except WorkError as error:
        return f"{error} It is left as it is. {_offer(number)}"
    if base is None or base["sha256"] != storage.sha256(lesson):
        return (
            f"lesson {number} has been updated: run `course update {number}` to carry your "
            "answers over."
        )
    return None


def _offer(number: str) -> str:
    return (
        f"Mend that, or run `course update {number} --fresh` for a fresh copy under another "
        "name beside it."
    )


def _is_of(path: Path, lesson: Path) -> bool:
    """Whether the copy without a record has all cells of the lesson as it is now."""
    try:
        return _cells(load(path)).keys() >= _cells(load(lesson)).keys()
    except WorkError:
        return False


class _told:
    """Turn what the system says about a folder into a WorkError."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise WorkError(
                f"Cannot write {self.path}: {reason}. Nothing was lost; make the folder writable, "
                "or choose another one with `course lab --folder FOLDER`."
            ) from None


def _copy(lesson: Path, path: Path) -> None:
    """Copy a lesson to a path at which there is nothing; never over a file."""
    _create(path, lesson.read_bytes())


def _create(path: Path, content: bytes) -> None:
    """Write a new file whole or not at all. Raises WorkError; a file that exists is left alone."""
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(content)
            try:
                os.link(part, path)  # unlike a rename, it fails where there is a file
            except FileExistsError:
                raise ThereAlready(f"{path} is there already: it is left as it is.") from None
            except OSError:  # a file system without links
                with open(path, "xb") as f:
                    f.write(content)
        finally:
            part.unlink(missing_ok=True)


# ---------------------------------------------------------------- carrying answers over


@dataclass(frozen=True)
class Updated:
    """The notebook that an update wrote, and in ``str()`` what the learner should know."""

    path: Path
    sentence: str
    kept: Path | None = None  # the learner's file as it was

    def __str__(self) -> str:
        return self.sentence


def update(name: str, folder: Path | None = None, fresh: bool = False) -> Updated:
    """Carry the learner's answers into the newest version of a lesson.

    Cells that the learner changed keep the learner's text, cells that the learner added stay behind
    the cell that they followed, everything else is the new lesson's. The old file is kept beside
    it as ``NN_name.before-DATE-n.ipynb``. With ``fresh`` a new copy is made under another name and
    the learner's file is not touched.

    Raises WorkError, having touched nothing, if there is no such lesson, if the copy is not a
    notebook any more, or if the folder cannot be written.
    """
    folder, known = _resolved(folder), lessons()
    name = find(name, known)
    lesson, path, number = known[name], folder / known[name].name, name[:2]
    if fresh:
        new = _unused(folder, f"{name}.fresh-")
        _copy(lesson, new)
        return Updated(new, f"{new} is a fresh copy of lesson {number}.")
    record = _record(folder)
    if not path.exists():
        _copy(lesson, path)
        done = Updated(path, f"{path} is a new copy of lesson {number}.")
    else:
        base = _base(record, name)
        if base is not None and base["sha256"] == storage.sha256(lesson):
            return Updated(path, f"{path} is already the newest lesson {number}: nothing to do.")
        try:
            mine = load(path)
        except WorkError as error:
            raise WorkError(f"{error} Nothing was touched. {_offer(number)}") from None
        merged, report = merge(mine, load(lesson), base["cells"] if base else None)
        kept = _unused(folder, f"{name}.before-{datetime.date.today():%Y-%m-%d}-")
        _create(kept, path.read_bytes())
        with _told(path):
            text = json.dumps(merged, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            storage.write_text(path, whole(text))
        sentence = (
            f"{path} is the new lesson {number}, {report}; the old file is {kept.name}. "
            "If it is open in JupyterLab, choose File > Reload Notebook from Disk."
        )
        done = Updated(path, sentence, kept)
    record[name] = _entry(lesson)
    with _told(folder):
        _remember(folder, record)
    return done


def _unused(folder: Path, stem: str) -> Path:
    n = 1
    while os.path.lexists(folder / f"{stem}{n}.ipynb"):
        n += 1
    return folder / f"{stem}{n}.ipynb"


def merge(mine: dict, lesson: dict, base: dict[str, str] | None) -> tuple[dict, str]:
    """The new lesson with the learner's cells in it, and a clause that says what was carried.

    ``base`` has the hashes, by id, of the cells of the version that ``mine`` was copied from. None
    if that is not known: then nobody can say who changed a cell, and only exercises, predictions
    and short answers are carried. Which cell is which, :func:`course_lib.cells.match` says.
    """
    new = copy.deepcopy(lesson)
    target = {cell["id"]: cell for cell in new["cells"]}
    places = {key: place for place, key in enumerate(target)}
    changed, unknown, copies, added, clashes = 0, 0, 0, [], []
    anchor = None  # the id of the cell of the new lesson that the learner's cells stand behind
    for cell in match(mine["cells"], lesson["cells"], base):
        key = cell.known.key if cell.known else None
        if key in target:
            theirs = target[key]
            anchor = _last_part(places[key], cell.text, lesson["cells"], base)
            if cell.same:
                continue  # the learner did not change it
            if base is None and not _is_the_learners(theirs, cell.text):
                unknown += 1
                continue
            if base is not None and key in base and base[key] != text_hash(source(theirs)):
                clashes.append((key, copy.deepcopy(theirs)))
            theirs["source"] = cell.text
            if isinstance(cell.cell.get("attachments"), dict):  # pictures pasted into a text cell
                theirs["attachments"] = cell.cell["attachments"]
            changed += 1
        elif cell.copy is not None:
            copies += 1
            behind = cell.copy.place  # a copy of what came before stands where it was put
            if behind is not None and behind > places.get(anchor, -1):
                anchor = cell.copy.key
        elif cell.text.strip() and not cell.same:  # else of the old lesson, dropped by the new one
            added.append((anchor, cell))
    _insert(new, added, clashes)
    report = f"with {_count(changed, 'cell')} that you changed and {_count(len(added), 'cell')} "
    report += "that you added"
    if clashes:
        ids = ", ".join(key for key, _ in clashes)
        report += f" (the course changed {ids} as well: its version stands behind yours)"
    if unknown:
        report += f" ({_count(unknown, 'other cell')} of the old file taken from the new lesson)"
    if copies:
        report += f" ({_count(copies, 'cell')} that said the course's own text again left out)"
    return new, report


def _is_the_learners(theirs: dict, text: str) -> bool:
    """Whether a cell that differs from the course's does so by what the learner was asked for."""
    if "exercise" in theirs["metadata"].get("course", {}):
        return True
    if theirs["cell_type"] != "code" or not re.search(r"\b(predict|answer)\(", source(theirs)):
        return False
    try:
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # something was written
    asked = [call for call in calls if getattr(call.func, "id", "") in ("predict", "answer")]
    values = [
        value for call in asked for value in [*call.args[1:], *(k.value for k in call.keywords)]
    ]
    return not all(
        isinstance(value, ast.Constant) and not str(value.value or "").strip(" \t\r\n.…")
        for value in values
    )


def _last_part(place: int, text: str, lesson: list[dict], base: dict[str, str] | None) -> str:
    """The id of the cell behind which stands what stood behind ``text``, the old cell there.

    Where the course has split the old cell that is the last of its parts: what the learner wrote
    below it may need all of them.
    """
    lines = {line.strip() for line in text.splitlines()}
    last = lesson[place]
    for cell in lesson[place + 1 :]:
        if base is None or cell["id"] in base or cell["cell_type"] != lesson[place]["cell_type"]:
            break
        new = [line.strip() for line in source(cell).splitlines() if line.strip()]
        if sum(line in lines for line in new) < 0.6 * len(new):
            break
        last = cell
    return last["id"]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _insert(new: dict, added: list, clashes: list) -> None:
    """Put the learner's own cells, and the course's version of cells both changed, in place."""
    taken = {cell["id"] for cell in new["cells"]}
    slugs = {v for c in new["cells"] for v in c["metadata"].get("course", {}).values()}
    behind: dict[str | None, list[dict]] = {}
    for key, cell in clashes:
        text = source(cell)
        if cell["cell_type"] == "code":
            text = f"```python\n{text}\n```"
        note = f"*The cell above is yours; the newer lesson has there:*\n\n{text}"
        behind.setdefault(key, []).append(
            {"cell_type": "markdown", "id": f"{key}-new", "metadata": {}, "source": note}
        )
    for key, cell in added:
        behind.setdefault(key, []).append(_own(cell, slugs))
    result = []
    for key in [None, *(cell["id"] for cell in new["cells"])]:
        result += [cell for cell in new["cells"] if cell["id"] == key]
        for cell in behind.get(key, []):
            cell["id"] = _free_id(cell["id"], taken)
            taken.add(cell["id"])
            result.append(cell)
    new["cells"] = result


def _own(cell: Cell, slugs: set[str]) -> dict:
    """A cell of the learner's own, as the format wants it; ``slugs``: the lesson's exercises."""
    about = copy.deepcopy(metadata(cell.cell))
    if any(slug in slugs for _, slug in cell.named):
        del about["course"]  # a copy of an exercise, or a part of one: the exercise is there
    key = next(iter(cell.names), None)
    made = {"cell_type": cell.kind, "id": key, "metadata": about, "source": cell.text}
    if cell.kind == "code":
        return made | {"outputs": [], "execution_count": None}
    if isinstance(cell.cell.get("attachments"), dict):
        made["attachments"] = copy.deepcopy(cell.cell["attachments"])
    return made


def _free_id(wanted: str | None, taken: set[str]) -> str:
    stem = re.sub(r"[^a-zA-Z0-9_-]", "-", wanted or "yours")[:56] or "yours"
    key, n = stem, 2
    while key in taken:
        key, n = f"{stem}-{n}", n + 1
    return key
