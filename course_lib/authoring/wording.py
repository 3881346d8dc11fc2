"""What a lesson's words must not hold: numbers without data behind them, marks not drawn."""

import re
from collections.abc import Iterator
from typing import Any

from .source import Source, alternative_cells

# what is no prose: mark-up with data behind it, code, formulas, addresses
NO_PROSE = re.compile(
    r"\{\{.*?\}\}|```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<[^>]*>|arXiv[:\s]*[\d.v]+\b",
    re.DOTALL,
)
PERCENTAGE = re.compile(r"(?<![\w.{])\d+\.\d+ ?%")
DECIMAL = re.compile(r"(?<![\w.{])\d+\.\d+(?!\w|\.\d|[–-]\d| ?%)")
DIGITS = 3  # significant ones: what has fewer is a setting or a round number as often as a result
CITED = "## What we know now"  # other people's figures, each with its source

MARKED = re.compile(
    r"(?<![\w*])\*{1,3}(?=[^\s*])[^*\n]*(?<=[^\s*])\*{1,3}(?![\w*])|"  # *so* and **so**
    r"(?<!\w)_{1,2}(?=[^\s_])[^_\n]*(?<=[^\s_])_{1,2}(?!\w)|"  # _so_
    r"\$[^$]+\$|\\[a-zA-Z]+|\\[(\[]|^#+ |\]\("  # $so$, \so, # so, [so](there)
)


def significant(number: str) -> int:
    """How many significant digits a decimal number is written with: 3 of 0.0378 and of 1.60."""
    return len(number.replace(".", "").lstrip("0"))


def bare(source: Source) -> Iterator[tuple[int, str]]:
    """Line and text of each number in the prose that the records do not make.

    A percentage with decimals; and a decimal number of three significant digits or more that no
    code of the lesson says, as it says a setting. Section "What we know now" cites others and is
    not asked; alternative texts are. Whole numbers, and decimals of one or two digits, cannot be
    told from settings.
    """
    code = "\n".join(cell.text for cell in source.cells if cell.kind == "code")
    settings = set(re.findall(r"(?<![\w.])\d+\.\d+", code))
    texts = [*source.cells, *(one for cell in source.cells for one in alternative_cells(cell))]
    for cell in texts:
        if cell.kind != "markdown" or cell.text.startswith(CITED):
            continue
        # as many lines as before
        text = NO_PROSE.sub(lambda match: " " + "\n" * match[0].count("\n"), cell.text)
        for i, line in enumerate(text.split("\n")):
            found = [(hit.start(), hit[0]) for hit in PERCENTAGE.finditer(line)]
            found += [
                (hit.start(), hit[0])
                for hit in DECIMAL.finditer(line)
                if significant(hit[0]) >= DIGITS and hit[0] not in settings
            ]
            yield from ((cell.first + i, number) for _, number in sorted(found))


def judge(source: Source) -> None:
    """Add a problem to ``source`` for each number that :func:`bare` finds."""
    for line, number in bare(source):
        source.problem(
            line,
            f"{number} stands bare in the text: nobody notices when it is no longer true. Write "
            "{{=records[...]...|.1%}}, which takes it from a record, or `...` where it is code.",
        )


def marks(text: Any, code: bool = True) -> list[str]:
    """The mark-up in a text that is shown as it stands; ``code``: backquotes make code of it."""
    if not isinstance(text, str):
        return []
    plain = re.sub(r"`[^`]*`", "", text) if code else text
    return MARKED.findall(plain) + ["`"] * plain.count("`")


def plain(texts) -> list[str]:
    """The sentences for what is marked in ``texts``: what it is, the text, whether code may be."""
    return [
        f"{what} says {found[0]!r}, which is shown as it stands: "
        + ("only `code` is drawn there." if code else "nothing is drawn there.")
        for what, text, code in texts
        if (found := marks(text, code))
    ]


def asked(entry: Any) -> list[str]:
    """What is marked in a prediction, a quiz or a short answer, which are shown as they stand."""
    texts = [("its question", entry.question, False), ("its unit", getattr(entry, "unit", ""), 0)]
    for option in getattr(entry, "options", ()):
        texts += [(f"the option {option.text!r}", option.text, False)]
        texts += [(f"the feedback of {option.text!r}", option.why, True)]
    texts += [("its rubric", point, True) for point in getattr(entry, "rubric", ())]
    return plain(texts)
