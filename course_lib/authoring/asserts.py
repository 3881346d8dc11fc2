"""The maintainer's asserts: those without a message, which the learner's copy of a cell has not.

What counts is the syntax tree, so that a text which looks like an assert stays.
"""

import ast
import io
import tokenize

from .source import Source

# calls whose value is None: a cell may end with them in the lesson and not in the solved notebook
SHOW_NOTHING = ("print", "show", "display")
MESSAGE = "Give it a message, which speaks to the learner"


def left_out(source: Source, lines: list[tuple[int, str]], stub: set[int]) -> list[str]:
    """The ``lines`` of a lesson's code cell, without its asserts that have no message.

    Each is its line number in the source and its text; ``stub`` holds the numbers of those that
    come from a marked block. A comment right above goes with the asserts if nothing else stands
    below it before a blank line, another comment, or the end of the block: it spoke of them alone.
    Where that would leave a block or the cell without a statement, or another value to show, it
    becomes a problem and the lines stay as they are.
    """
    texts = [text for _, text in lines]
    try:
        tree = ast.parse("\n".join(texts))
    except SyntaxError:
        return texts  # the judge says so, with its line
    bare = {n for n in ast.walk(tree) if isinstance(n, ast.Assert) and n.msg is None}
    if not bare:
        return texts
    problems = [
        (node.lineno, sentence)
        for node in sorted(bare, key=lambda node: node.lineno)
        if (sentence := _misplaced(node, texts, lines[node.lineno - 1][0] in stub))
    ]
    problems = problems or _emptied(tree, bare) or _shown(tree, bare)
    for number, sentence in problems:
        source.problem(lines[number - 1][0], sentence)
    if problems:
        return texts
    gone = {i for node in bare for i in range(node.lineno - 1, node.end_lineno)}
    gone |= _comments(texts, gone)
    return _tidied(texts, gone)


def _misplaced(node: ast.Assert, texts: list[str], in_stub: bool) -> str:
    """What is wrong with where the assert stands; "" if nothing is."""
    if in_stub:
        return f"an assert without a message in a STUB block is in neither notebook. {MESSAGE}."
    # the columns of a syntax tree count bytes
    before = texts[node.lineno - 1].encode("utf-8")[: node.col_offset].strip()
    after = texts[node.end_lineno - 1].encode("utf-8")[node.end_col_offset :].strip()
    if (before or after) and not after.startswith(b"#"):
        return "an assert without a message, which the lesson leaves out, needs a line of its own."
    return ""


def _emptied(tree: ast.Module, bare: set[ast.stmt]) -> list[tuple[int, str]]:
    """The blocks of which nothing would be left: the line of the first assert, and a sentence."""
    found = []
    for node in ast.walk(tree):
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if not isinstance(block, list) or not block or not set(block) <= bare:
                continue
            if node is tree:
                what, mend = "cell", 'tag the cell "solution-only"'
            else:
                what, mend = "block", "write it as one assert all(...)"
            sentence = (
                f"the lesson leaves out asserts without a message, and this {what} has nothing "
                f"else. {MESSAGE}, or {mend}."
            )
            found.append((block[0].lineno, sentence))
    return found


def _shown(tree: ast.Module, bare: set[ast.stmt]) -> list[tuple[int, str]]:
    """An expression that only the lesson would end with, and so show its value."""
    last = [node for node in tree.body if node not in bare][-1]
    name = getattr(last, "value", None)
    name = getattr(name, "func", None)
    name = getattr(name, "attr", getattr(name, "id", ""))
    if tree.body[-1] not in bare or not isinstance(last, ast.Expr) or name in SHOW_NOTHING:
        return []
    sentence = (
        "the lesson leaves out the asserts that follow, so the cell would end here and show this "
        "value, in the lesson alone: put it behind them, or bind it to a name."
    )
    return [(last.lineno, sentence)]


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _comments(texts: list[str], gone: set[int]) -> set[int]:
    """The lines of comments that belong to lines in ``gone`` alone."""
    readline = io.StringIO("\n".join(texts) + "\n").readline
    lone = {
        token.start[0] - 1
        for token in tokenize.generate_tokens(readline)
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip() == ""
    } - gone
    found = set()
    for first in gone:
        above = first - 1
        if above not in lone or _indent(texts[above]) != _indent(texts[first]):
            continue
        after = first
        while after in gone:
            after += 1
        if (
            after == len(texts)
            or not texts[after].strip()
            or after in lone
            or _indent(texts[after]) < _indent(texts[first])
        ):
            while above in lone and _indent(texts[above]) == _indent(texts[first]):
                found.add(above)
                above -= 1
    return found


def _tidied(texts: list[str], gone: set[int]) -> list[str]:
    """``texts`` without the lines in ``gone``, and without the blank lines that they leave."""
    kept: list[str] = []
    i = 0
    while i < len(texts):
        if i not in gone:
            kept.append(texts[i])
            i += 1
            continue
        blank = most = 0
        while kept and not kept[-1].strip():
            kept.pop()
            most += 1
        opened = most == 0  # nothing stood between the asserts and the line above them
        while i < len(texts) and (i in gone or not texts[i].strip()):
            blank = 0 if i in gone else blank + 1
            most = max(most, blank)
            i += 1
        if kept and i < len(texts) and not (opened and _indent(texts[i]) > _indent(kept[-1])):
            kept += [""] * most
    return kept
