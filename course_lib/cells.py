"""The cells of a learner's notebook, however an editor stored them, and which cell of the lesson
each of them is.

Editors change more than what is typed: they give every cell a new id, or move the ids into the
metadata; converters strip the metadata as well; a cell is copied, split, merged with its neighbour,
or turned into text. So no single sign names a cell. :func:`match` weighs all of them: the id, the
exercise that the metadata name, the function that is defined, what the cell calls, its exact text,
and last how alike the texts are, between neighbours that are known.
"""

import ast
import bisect
import collections
import difflib
import hashlib
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field

KINDS = ("code", "markdown", "raw")
LONGEST = 400  # lines: a longer cell is nobody's merger of cells of the course
MOST_TOKENS = 4000  # of a text that is compared with others


# ---------------------------------------------------------------- cells as editors leave them


def whole(text: str) -> str:
    """``text`` with halves of a character put together, and � for one whose other half is lost."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def source(cell: dict) -> str:
    """The text of a cell, however it is stored, with Unix line ends."""
    text = cell.get("source", "")
    if isinstance(text, list):
        lines = [part for part in text if isinstance(part, str)]
        # some converters leave out the line ends: no line but the last may lack one
        ended = [one if one.endswith(("\n", "\r")) else one + "\n" for one in lines[:-1]]
        text = "".join(ended + lines[-1:])
    elif not isinstance(text, str):
        text = "" if text is None else str(text)
    return whole(text.replace("\r\n", "\n").replace("\r", "\n"))


def text_hash(text: str) -> str:
    """A digest of a cell's text."""
    # trailing blanks come and go with editors: they are nobody's change
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def kind(cell: dict) -> str | None:
    """``code``, ``markdown`` or ``raw``; None where the cell does not say."""
    if cell.get("cell_type") in KINDS:
        return cell["cell_type"]
    if "outputs" in cell or "execution_count" in cell:
        return "code"
    return None


def likely_kind(text: str) -> str:
    """What a cell of this text most likely is, where nothing else says it."""
    try:
        return "code" if ast.parse(text).body else "markdown"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "markdown"


def _mapping(thing) -> dict:
    return thing if isinstance(thing, dict) else {}


def metadata(cell: dict) -> dict:
    """The metadata of a cell, empty where there are none."""
    return _mapping(cell.get("metadata"))


def names(cell: dict) -> list[str]:
    """The ids of a cell: its own, and the one that Colab puts into the metadata."""
    found = [cell.get("id"), metadata(cell).get("id")]
    return [one for one in found if isinstance(one, str) and one]


def of_version_3(notebook: dict) -> list | None:
    """The cells of a notebook in the old format 3, as they are written today; None if it is none.

    Other programs still write it. Code was called ``input``, and headings were cells of their own.
    """
    sheets = notebook.get("worksheets")
    if not isinstance(sheets, list) or not all(isinstance(one, dict) for one in sheets):
        return None
    cells = []
    for sheet in sheets:
        for cell in sheet.get("cells") or []:
            if not isinstance(cell, dict):
                return None
            cell = dict(cell)
            if cell.get("cell_type") == "code":
                cell["source"] = cell.pop("input", cell.get("source", ""))
            elif cell.get("cell_type") == "heading":
                level = cell["level"] if cell.get("level") in range(1, 7) else 1
                cell |= {"cell_type": "markdown", "source": f"{'#' * level} {source(cell)}"}
            cells.append(cell)
    return cells


# ---------------------------------------------------------------- what tells one cell from others


CALLS = re.compile(r"""\b(check|predict|score|answer|quiz)\(\s*["']([\w-]+)["']""")


def defines(text: str, name: str) -> bool:
    """Whether code binds ``name``, by more than what a check gives back."""
    one = re.escape(name)
    pattern = rf"^(?:(?:async\s+def|def|class)\s+{one}\b|{one}\s*(?::[^=\n]+)?=(?!=)(?!\s*check\())"
    return re.search(pattern, text, re.MULTILINE) is not None


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text)[:MOST_TOKENS]


def alike(text: str, course: str) -> float:
    """Which share of the course's text stands in ``text``, in runs of at least three words."""
    a, b = _tokens(course), _tokens(text)
    if not a or not b:
        return 0.0
    common = collections.Counter(a) & collections.Counter(b)
    if common.total() < 0.5 * len(a):
        return common.total() / len(a)  # no run of words can make it more
    blocks = difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    run = min(3, len(a))
    return sum(block.size for block in blocks if block.size >= run) / len(a)


@dataclass
class Known:
    """A cell of the lesson, in its new version or only in the old one.

    place: where it stands in the new lesson; None if it is only in the old one. hashes: of its text
    in either version. old: whether the version that the learner had has it (None: nobody knows).
    """

    key: str
    hashes: set[str]
    place: int | None = None
    old: bool | None = None
    text: str = ""
    kind: str | None = None
    named: tuple = ()  # as ("exercise", slug)
    calls: frozenset = frozenset()
    function: str | None = None  # the one to be written in it


@dataclass
class Cell:
    """A cell of the learner's notebook, or a part of one.

    known: the cell of the lesson that it is, or None. copy: it says what a cell of the lesson says
    that is there already.
    """

    cell: dict
    text: str
    names: list[str] = field(default_factory=list)
    known: Known | None = None
    copy: Known | None = None

    def __post_init__(self):
        self.hash = text_hash(self.text)
        self.kind = kind(self.cell)
        named = _mapping(metadata(self.cell).get("course"))
        self.named = tuple((k, v) for k, v in named.items() if isinstance(v, str))
        self.calls = frozenset(CALLS.findall(self.text)) if self.kind != "markdown" else frozenset()

    @property
    def same(self) -> bool:
        """Whether it says what the lesson says there, in the old or the new version."""
        return self.known is not None and self.hash in self.known.hashes


def _known(lesson: list[dict], base: dict[str, str] | None) -> dict[str, Known]:
    """Every cell of the lesson's new version and of the old one, by id."""
    found = {}
    for place, cell in enumerate(lesson):
        text, course = source(cell), _mapping(metadata(cell).get("course"))
        slug = course.get("exercise")
        one = Known(cell["id"], {text_hash(text)}, place, text=text, kind=kind(cell))
        one.named = tuple((k, v) for k, v in course.items() if isinstance(v, str))
        one.calls = frozenset(CALLS.findall(text)) if one.kind == "code" else frozenset()
        if slug:
            default = re.search(r"^(?:def|class)\s+(\w+)", text, re.MULTILINE)
            wanted = slug.replace("-", "_")
            one.function = wanted if not default or defines(text, wanted) else default[1]
        one.old = None if base is None else cell["id"] in base
        found[cell["id"]] = one
    for key, digest in (base or {}).items():
        found.setdefault(key, Known(key, set(), old=True)).hashes.add(digest)
    return found


# ---------------------------------------------------------------- which cell is which


def match(mine: list[dict], lesson: list[dict], base: dict[str, str] | None) -> list[Cell]:
    """The learner's cells in their order, each with the cell of the lesson that it is.

    mine: the cells of the learner's notebook; lesson: those of the new version; base: the hashes,
    by id, of the version that the learner began with, or None. No two cells are the same one of the
    lesson. What was merged or split is taken apart or put together again where every part of it is
    the lesson's to the letter.
    """
    known = _known(lesson, base)
    cells = [Cell(cell, source(cell), names(cell)) for cell in mine]
    cells = list(_apart(_together(cells, known), known))
    _assign(cells, known)
    _assign_alike(cells, known)
    said = _by_hash(known)
    for cell in cells:
        if cell.known is None and cell.text.strip():
            cell.copy = next(iter(said.get(cell.hash, ())), None)
        if cell.kind is None:
            cell.kind = cell.known.kind if cell.known else None
            cell.kind = cell.kind or likely_kind(cell.text)
    return cells


def _claims(cells: list[Cell], known: dict[str, Known]) -> dict[str, set[int]]:
    """For each cell of the lesson the learner's cells that name it, or say the same."""
    by_hash, claims = _by_hash(known), collections.defaultdict(set)
    for i, cell in enumerate(cells):
        for one in cell.names:
            claims[one].add(i)
        for one in by_hash.get(cell.hash, ()):
            claims[one.key].add(i)
    return claims


def _by_hash(known: dict[str, Known]) -> dict[str, list[Known]]:
    found = collections.defaultdict(list)
    for one in known.values():
        for digest in one.hashes:
            found[digest].append(one)
    return found


def _together(cells: list[Cell], known: dict[str, Known]) -> list[Cell]:
    """Put together again what the learner only split."""
    by_hash, result, i = _by_hash(known), [], 0
    while i < len(cells):
        joined = None
        for n in range(2, 5):
            parts = cells[i : i + n]
            if len(parts) < n or any(p.hash in by_hash or p.kind != cells[i].kind for p in parts):
                break
            for gap in ("\n", "\n\n", "\n\n\n"):
                text = gap.join(part.text.strip("\n") for part in parts)
                for one in by_hash.get(text_hash(text), ()):
                    joined = Cell(cells[i].cell, text, [one.key])
            if joined:
                break
        result.append(joined or cells[i])
        i += n if joined else 1
    return result


def _apart(cells: list[Cell], known: dict[str, Known]) -> Iterator[Cell]:
    """Take off from the learner's cells the lesson's own ones that were merged with them."""
    by_hash, claims = _by_hash(known), _claims(cells, known)
    places = []  # where each cell stands in the lesson, as far as that is sure
    for cell in cells:
        sure = [known[n] for n in cell.names if n in known] + by_hash.get(cell.hash, [])
        places.append(next((one.place for one in sure if one.place is not None), None))
    for i, cell in enumerate(cells):
        before, after = [], []
        low = max((p for p in places[:i] if p is not None), default=-1)
        high = min((p for p in places[i + 1 :] if p is not None), default=len(known))

        def taken(text, i=i, low=low, high=high, kind=cell.kind):
            for one in by_hash.get(text_hash(text), ()):
                inside = one.place is None or low < one.place < high
                if inside and claims[one.key] <= {i} and one.kind in (None, kind):
                    return one
            return None

        rest = cell
        while rest.text.strip() and rest.hash not in by_hash:
            found = _taken_off(rest.text, taken)
            if found is None:
                break
            one, text, left, at_start = found
            part = Cell({"cell_type": one.kind or cell.kind}, text, [one.key])
            (before if at_start else after).append(part)
            named = [name for name in rest.names if name != one.key]
            of_rest = dict(cell.cell)
            if one.key in cell.names:  # the metadata are that cell's
                of_rest["metadata"] = {}
            rest = Cell(of_rest, left, named)
        if (before or after) and not _is_some_cell(rest, known, claims, i):
            # a cell of the lesson and more beside it: that is how a learner changes that cell
            first = bool(before)
            part = before.pop() if first else after.pop()
            if not before and not after:
                yield cell
                continue
            two = [part.text.strip("\n"), rest.text.strip("\n")]
            text = "\n\n".join(two if first else reversed(two))
            rest = Cell(cell.cell if part.names[0] in cell.names else part.cell, text, part.names)
        yield from before
        if rest is cell or rest.text.strip():
            yield rest
        yield from reversed(after)


def _is_some_cell(cell: Cell, known: dict[str, Known], claims: dict[str, set[int]], i: int) -> bool:
    """Whether cell ``i``, without what was taken off it, still is a cell of the lesson."""
    if any(name in known for name in cell.names) or not cell.text.strip():
        return True
    free = (one for one in known.values() if claims[one.key] <= {i})
    return any(
        cell.calls & one.calls or (one.function and defines(cell.text, one.function))
        for one in free
    )


def _taken_off(text: str, taken) -> tuple[Known, str, str, bool] | None:
    """A cell of the lesson at the start or the end of a text, what it says, and the rest."""
    lines = text.split("\n")
    if not 1 < len(lines) <= LONGEST:
        return None
    for n in range(len(lines) - 1, 0, -1):
        start, end = "\n".join(lines[:n]), "\n".join(lines[n:])
        if one := taken(start):
            return one, start, end.strip("\n"), True
    for n in range(1, len(lines)):
        start, end = "\n".join(lines[:n]), "\n".join(lines[n:])
        if one := taken(end):
            return one, end, start.strip("\n"), False
    return None


def _score(cell: Cell, one: Known, said: Container[str]) -> float:
    """How sure it is that the learner's cell is this one of the lesson; 0: it is not.

    A written answer comes before an empty stub that was copied, and an id alone, which editors deal
    out anew, after everything that the cell itself says. said: the hashes of all of the lesson.
    """
    exact = cell.hash in one.hashes and bool(cell.text.strip())
    same_id, same_name = one.key in cell.names, bool(set(cell.named) & set(one.named))
    same_kind = None in (cell.kind, one.kind) or cell.kind == one.kind
    if one.function:
        if exact:  # nothing was written
            return 90 + 2 * same_id + same_name if same_id or same_name else 80
        sure = same_kind or same_id or same_name
        written = cell.kind == "code" or "```" not in cell.text  # not quoted in a note
        if sure and written and defines(cell.text, one.function):
            return 90 + 3 * same_id + 5 * same_name
    if exact:
        return 80 + 17 * same_name + 20 * same_id
    if not same_kind or cell.hash in said:  # what it says is another cell's
        return 0
    if same_name:
        return 75 + 10 * same_id
    if same_id:
        says = cell.calls & one.calls or not one.text or alike(cell.text, one.text) >= 0.5
        return 82 if says and not cell.named else 60
    if one.calls and one.old is not False and cell.kind == "code" and not one.function:
        if cell.calls == one.calls:
            return 78
        return 65 if cell.calls & one.calls else 0
    return 0


def _assign(cells: list[Cell], known: dict[str, Known]) -> None:
    pairs, said = [], _by_hash(known)
    for i, cell in enumerate(cells):
        for j, one in enumerate(known.values()):
            if score := _score(cell, one, said):
                pairs.append((-score, i, j, cell, one))
    given = set()
    for *_, cell, one in sorted(pairs, key=lambda pair: pair[:3]):
        if cell.known is None and one.key not in given:
            cell.known = one
            given.add(one.key)


def _assign_alike(cells: list[Cell], known: dict[str, Known]) -> None:
    """Cells that have lost every name: by their texts, between neighbours that are known."""
    given = {cell.known.key for cell in cells if cell.known}
    free = [one for one in known.values() if one.key not in given and one.place is not None]
    # where it is known what the learner had: a cell that is new cannot be what was changed
    free = sorted((one for one in free if one.old is not False), key=lambda one: one.place)
    at = [one.place for one in free]
    pairs, said = [], _by_hash(known)
    for i, cell in enumerate(cells):
        if cell.known or cell.hash in said or not cell.text.strip():
            continue
        low = _nearest(reversed(cells[:i]), -1)
        high = _nearest(cells[i + 1 :], len(known))
        low, high = (low, high) if low < high else (-1, len(known))
        for one in free[bisect.bisect_right(at, low) : bisect.bisect_left(at, high)]:
            if one.kind == (cell.kind or one.kind) and not one.function:
                share = alike(cell.text, one.text)
                if share >= 0.6:
                    pairs.append((-share, i, one.place, cell, one))
    for *_, cell, one in sorted(pairs, key=lambda pair: pair[:3]):
        if cell.known is None and one.key not in given:
            cell.known = one
            given.add(one.key)


def _nearest(cells: Iterable[Cell], default: int) -> int:
    places = (cell.known.place for cell in cells if cell.known and cell.known.place is not None)
    return next(places, default)
