"""The product speaks of itself and not of how it was made."""

import re

import pytest

from course_lib import storage

ROOT = storage.PACKAGE.parent
KINDS = (".py", ".md", ".ipynb", ".json", ".toml", ".txt", ".yml", ".cff")
# a learner's copy, a class's, the guide, what tools leave
LEFT_OUT = {"work", "class", "guide", "build", "dist"}
# headings and shorthands of plans; "issue" and the like only where they can mean nothing else
WORDS = re.compile(
    r"\b(MUST|AIM|PAPER_FACTS|DESIGN\.md|NOTES\.md|planning notes)\b|\b(?:the|this) issue\b|"
    r"\b[Tt]he plan(?:'s)?\b|\bour notes\b|(?<![\w/])shared/"
)


def files():
    """The text files of the checkout, those that hold the words to be found apart."""
    for path in sorted(ROOT.rglob("*")):
        place = path.relative_to(ROOT)
        hidden = any(part.startswith(".") or part.endswith(".egg-info") for part in place.parts)
        if hidden or place.parts[0] in LEFT_OUT or path == storage.PACKAGE / "_lessons":
            continue
        if path.suffix in KINDS and path.is_file() and path.name != "test_words.py":
            yield path


def test_no_word_of_the_making_is_left_in_the_product():
    if storage.checkout() is None:
        pytest.skip("an installed course has no tests and no benchmarks")
    paths = list(files())
    assert {"README.md", "attacks.json", "zoo.py", "SPECTRAL.md"} <= {path.name for path in paths}
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in WORDS.finditer(line)
    ]
    assert not found, found


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("MUST: at most 1e-6.", True),
        ("(see PAPER_FACTS)", True),
        ("for each aim of the issue", True),
        ("the plan's figures", True),
        ("read shared/notes", True),
        ("it must be; what is aimed at", False),
        ("share/jupyter; open an issue", False),
    ],
)
def test_what_counts_as_such_a_word(text, there):
    assert bool(WORDS.search(text)) == there
