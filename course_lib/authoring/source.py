"""Read a lesson's source: its cells, each with its header's options, text and lines.

Nothing here imports the lesson's subject (no torch): a source is text and syntax.
"""

import difflib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

KEYS = ("id", "exercise", "check", "task", "tags")
TAGS = (
    "solution-only",
    "result",
    "hide-input",
    "hide-output",
    "raises-exception",
    "nbval-check-output",
    "nbval-ignore-output",
    "nbval-skip",
)
MANY = 20  # names that no sentence lists
SLUG = re.compile(r"[a-z0-9-]{1,64}")
HEADER = re.compile(r"# %%(?: \[(?P<kind>\w+)\])?(?P<options>.*)")


class SourceError(ValueError):
    """What is wrong with one or more sources: ``problems``, each a sentence with file and line."""

    def __init__(self, problems: list[str]):
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def near(name: str, names) -> str:
    """A clause that offers the names closest to ``name``; all where none is close, if not many."""
    names = sorted(names)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(repr(c) for c in close)}?"
    if len(names) > MANY:
        return f"none of the {len(names)} that there are is called like it."
    return f"there are: {', '.join(names)}." if names else "there are none."


@dataclass
class Cell:
    """One cell of a source, as it stands there. ``line`` is its header's line (from 1)."""

    kind: str  # "code" or "markdown"
    line: int
    text: str = ""
    first: int = 0  # the line of the first line of text
    options: dict = field(default_factory=dict)
    # what its pictures show, for who cannot see them: the line of each text, and the text
    alternatives: list[tuple[int, str]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.options.get("id", "")

    @property
    def tags(self) -> list[str]:
        return self.options.get("tags", [])

    def option(self, key: str) -> str | None:
        return self.options.get(key)


@dataclass
class Source:
    """A lesson's source. ``problems`` holds what reading it has found so far.

    ``unsure`` is the line of the first header that is not understood (0: none): an exercise may
    stand there, so the numbers of those behind it are not known. ``told`` holds the slugs of which
    a mistake is told that explains whatever else is wrong with them: nothing more is said of these.
    """

    path: Path
    cells: list[Cell] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unsure: int = 0
    told: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def number(self) -> int:
        return int(self.name[:2])

    def exercises(self) -> dict[str, int]:
        """The slugs of the exercises, in the order of their stubs, each with its cell's line."""
        found: dict[str, int] = {}
        for cell in self.cells:
            if cell.option("exercise"):
                found.setdefault(cell.option("exercise"), cell.line)
        return found

    def slugs(self) -> set[str]:
        """The slugs of all exercises that a cell names, as stub, check or task."""
        roles = ("exercise", "check", "task")
        return {slug for cell in self.cells for role in roles if (slug := cell.option(role))}

    def at(self, line: int) -> str:
        """How a line of the source is named, as solutions/01_training.py:12."""
        return f"{self.path.parent.name}/{self.path.name}:{line}"

    def problem(self, line: int, sentence: str, where: str = "") -> None:
        """Add a problem; ``where`` is its file and line, if that is not the source's ``line``."""
        full = f"{where or self.at(line)}: {sentence}"
        if full not in self.problems:  # the two shapes of a cell often share a mistake
            self.problems.append(full)


def read(path: Path) -> Source:
    """The cells of the source ``path``. Mistakes are collected in ``problems``, not raised.

    Raises SourceError if there is no such file, its name is not ``NN_name.py``, or it is no UTF-8.
    """
    path = Path(path)
    if not re.fullmatch(r"\d\d_[a-z0-9_]+\.py", path.name):
        raise SourceError(
            [f"{path.name}: a lesson's source is called NN_name.py, as 01_training.py."]
        )
    if not path.is_file():
        raise SourceError([f"There is no lesson source {path}."])
    source = Source(path)
    raw = path.read_bytes()
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        where = source.at(raw[: error.start].count(b"\n") + 1)
        raise SourceError(
            [f"{where}: not text in UTF-8 ({error.reason}): save it as such."]
        ) from None
    starts = [i for i, line in enumerate(lines) if re.match(r"# ?%%(\s|$)", line)]
    for i, line in enumerate(lines[: starts[0] if starts else len(lines)]):
        if line.strip() and not line.startswith("#"):
            source.problem(
                i + 1, "text before the first cell: begin with a line '# %% id=\"...\"'."
            )
            break
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        before = len(source.problems)
        cell = _header(source, lines[start], start + 1)
        if len(source.problems) > before:
            source.unsure = source.unsure or start + 1
        _body(source, cell, lines[start + 1 : end], start + 2)
        source.cells.append(cell)
    if not starts:
        source.problem(1, "there is no cell: each begins with a line '# %% id=\"...\"'.")
    return source


def _header(source: Source, line: str, number: int) -> Cell:
    match = HEADER.fullmatch(line.rstrip())
    if not match:
        source.problem(number, "a cell begins with '# %%', one blank, then id=\"...\".")
        return Cell("code", number)
    kind = match["kind"] or "code"
    if kind not in ("markdown", "code"):
        source.problem(number, f"a cell is [markdown] or code, not [{kind}].")
        kind = "markdown" if kind.startswith("m") else "code"  # [md]: judged as it was meant
    cell = Cell(kind, number)
    rest = match["options"].strip()
    while rest:
        pair = rest
        try:
            key, rest = re.match(r"([\w-]+)=(.*)", rest).groups()
            cell.options[key], end = json.JSONDecoder().raw_decode(rest)
        except (AttributeError, ValueError):
            source.problem(number, f'after [kind], a cell has key="value" pairs; not: {pair}')
            break
        rest = rest[end:].strip()
    for key, value in cell.options.items():
        if key not in KEYS:
            source.problem(number, f"a cell has no option {key!r}; {near(key, KEYS)}")
        elif key == "tags":
            if not isinstance(value, list):
                source.problem(number, 'tags are a list, as tags=["result"].')
                cell.options[key] = []
            for tag in cell.tags:
                if tag not in TAGS:
                    source.problem(number, f"there is no tag {tag!r}; {near(str(tag), TAGS)}")
        elif not isinstance(value, str):
            source.problem(number, f'{key} is a text, as {key}="weight-decay".')
            cell.options[key] = str(value)
    return cell


def _body(source: Source, cell: Cell, lines: list[str], number: int) -> None:
    while lines and not lines[0].strip():
        lines, number = lines[1:], number + 1
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    if cell.kind == "code":
        count = next((i for i, line in enumerate(lines) if not line.startswith("#|")), len(lines))
        _alternatives(source, cell, lines[:count], number)
        lines, number = lines[count:], number + count
    cell.first = number
    if cell.kind == "markdown":
        for i, line in enumerate(lines):
            if line.strip() and line != "#" and not line.startswith("# "):
                source.problem(number + i, "a line of a markdown cell begins with '# '.")
                break
        lines = [line[2:].rstrip() for line in lines]
    cell.text = "\n".join(line.rstrip() for line in lines)


def alternative_cells(cell: Cell) -> list[Cell]:
    """A cell's alternative texts, each as a cell of text, for what is asked of texts."""
    return [Cell("markdown", n, text, n, {"id": cell.id}) for n, text in cell.alternatives]


def _alternatives(source: Source, cell: Cell, lines: list[str], number: int) -> None:
    """The texts below a header: each begins with ``#| alt:`` and goes on behind ``#|``."""
    for i, line in enumerate(lines, number):
        words = " ".join(line.removeprefix("#|").split())
        if words.startswith("alt:"):
            cell.alternatives.append((i, words.removeprefix("alt:").strip()))
        elif cell.alternatives:
            first, text = cell.alternatives[-1]
            cell.alternatives[-1] = (first, f"{text} {words}".strip())
        else:
            source.problem(i, 'a line "#|" below a header begins with "#| alt:".')
    for line, text in cell.alternatives:
        if not text.endswith((".", "!", "?", "}}")):
            source.problem(
                line, "an alternative text says what the picture shows, in whole sentences."
            )
