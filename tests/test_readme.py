"""The README tells the truth: its table is the record's, its links lead somewhere."""

import re

import pytest

from course_lib import cli, storage
from course_lib.authoring import readme

ROOT = storage.checkout()
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_opens_with_the_two_commands():
    commands = re.findall(r"^python3 start.py (\w+)", README, re.M)
    assert commands[:2] == ["lab", "test"]
    assert README.index("start.py lab") < 200


def test_the_table_is_the_records():
    assert readme.updated(README) == README, "run `python -m course_lib.authoring.readme`"


def test_a_readme_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="marks"):
        readme.updated("no table here")


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) >= 6
    for link in links:
        assert (ROOT / link).is_file(), link


def test_every_command_it_names_is_there():
    named = set(re.findall(r"^\| `course (\w+)", README, re.M))
    there = set(cli.parser()._subparsers._group_actions[0].choices)
    assert named == there


def test_the_minutes_are_those_of_the_lessons():
    listed = re.findall(r"^\| (\d\d) \|.*\| (\d+) \|$", README, re.M)
    sources = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py"))
    said = [re.search(r"\*\*Time:\*\* about (\d+) minutes", s.read_text("utf-8")) for s in sources]
    assert listed == [(s.name[:2], m[1]) for s, m in zip(sources, said, strict=True)]


@pytest.mark.parametrize("pattern", ["README.md", "solutions/*.py", "lessons/*.ipynb", "docs/*.md"])
def test_nothing_is_left_to_fill_in(pattern):
    files = list(ROOT.glob(pattern))
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(TIME|DISK|TODO|TBD|FIXME|PENDING)\b", text), path


def test_the_versions_agree():
    import course_lib

    version = course_lib.__version__
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
