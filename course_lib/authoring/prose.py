"""The mark-up of the text cells: numbers that come from data, and the exercises' labels.

``{{=expression|format}}``   the value of an expression in ``paper`` and ``records``, formatted
``{{exercise:slug}}``        the number of an exercise, as 1.3
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .source import Cell, Source, near

MARKUP = re.compile(r"\{\{(=|exercise:)(.*?)\}\}")
# meant as mark-up, but not understood: a blank too many, not closed, or over two lines
ALMOST = re.compile(r"\{\{\s*(=|exercises?\b).*")
HELPERS = {f.__name__: f for f in (abs, float, int, len, max, min, round, sorted, str, sum)}


@dataclass(frozen=True)
class Numbers:
    """The numbers of all lessons' exercises, by slug: the first of lesson 01 is 1.1.

    ``doubts`` names the lines behind which a source may have more, whose number is not known.
    """

    known: dict[str, str]
    doubts: tuple[str, ...] = ()

    @classmethod
    def of(cls, sources: Iterable[Source], doubts: Iterable[str] = ()) -> "Numbers":
        """Those of ``sources``; ``doubts`` holds the sources that could not be read at all."""
        known, doubts = {}, list(doubts)
        for source in sources:
            places = source.exercises()
            if source.unsure:
                doubts.append(f"{source.at(source.unsure)} and what stands behind it")
                places = {slug: line for slug, line in places.items() if line < source.unsure}
            known |= {slug: f"{source.number}.{i}" for i, slug in enumerate(places, 1)}
        return cls(known, tuple(doubts))


def records(folder: Path) -> dict[str, object]:
    """The committed records in ``folder``, by file name without ``.json``."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(Path(folder).glob("*.json"))
    }


def evaluate(markup: str, names: dict) -> str:
    """The text of ``expression|format``. Raises ValueError with a sentence if it has none."""
    expression, _, spec = markup.rpartition("|") if "|" in markup else (markup, "", "")
    try:
        value = eval(expression.strip(), {"__builtins__": HELPERS, **names})
    except Exception as error:  # whatever an author's expression raises becomes the sentence
        raise ValueError(f"{type(error).__name__}: {error}") from None
    try:
        return format(value, spec.strip())
    except (TypeError, ValueError) as error:
        raise ValueError(f"{value!r} cannot be formatted as {spec!r} ({error})") from None


def render(source: Source, cell: Cell, numbers: Numbers, names: dict) -> str:
    """The text of a markdown cell with its mark-up replaced; mistakes become problems.

    ``names`` is what expressions may use.
    """
    lines = []
    for i, line in enumerate(cell.text.split("\n")):

        def replace(match, number=cell.first + i):
            kind, inside = match.groups()
            if kind == "exercise:":
                if inside in numbers.known:
                    return numbers.known[inside]
                if inside in source.told or source.unsure:  # told already, with its cause
                    return ""
                problem = f"there is no exercise {inside!r}; {near(inside, numbers.known)}"
                if numbers.doubts:
                    problem += f" (Not read yet: {', '.join(numbers.doubts)}. Mend that first.)"
            else:
                try:
                    return evaluate(inside, names)
                except ValueError as error:
                    problem = str(error)
            source.problem(number, f"in the cell {cell.id!r}, {match[0]}: {problem}")
            return ""

        lines.append(MARKUP.sub(replace, line))
        almost = ALMOST.search(MARKUP.sub("", line))
        if almost:
            source.problem(
                cell.first + i,
                f"in the cell {cell.id!r}, mark-up not understood: {almost[0]}. It is "
                "{{=expression|format}} or {{exercise:slug}}, closed on its line.",
            )
    return "\n".join(lines)


def task(text: str, label: str, title: str, difficulty: int, minutes: int, hints) -> str:
    """An exercise's text with its heading before and its hints, folded, behind."""
    dots = "●" * difficulty + "○" * (5 - difficulty)
    unit = "minute" if minutes == 1 else "minutes"
    blocks = [f"### Exercise {label}: {title}  (difficulty {dots}, about {minutes} {unit})", text]
    for i, hint in enumerate(hints, 1):
        name = f"Hint {i}" if len(hints) > 1 else "Hint"
        blocks.append(f"<details><summary>{name}</summary>\n\n{hint.strip()}\n\n</details>")
    return "\n\n".join(block.strip("\n") for block in blocks if block.strip())
