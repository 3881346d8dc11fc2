"""docs/ARCHITECTURE.md is the code's: what it says of imports, and its steps, which are done."""

import ast
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from course_lib import storage

ROOT = storage.checkout()
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
ROWS = {
    part: int(row)
    for row, parts in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.M)
    for part in re.findall(r"`(\w+)`", parts)
}
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
BLOCK = re.compile(r"```(python|sh|text)\n(.*?)```", re.S)
PLACE = re.compile(r"`((?:course_lib|solutions)/[\w/]+\.py)`(?:, below the line `([^`]+)`)?")


# ---------------------------------------------------------------- what imports what


def imports_of(path, part):
    """The parts of course_lib that a file imports, wherever in it, its own apart."""
    package = ["course_lib", *path.relative_to(ROOT / "course_lib").parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            words = name.split(".")
            if words[0] == "course_lib" and len(words) > 1 and words[1] in ROWS.keys() - {part}:
                yield words[1]


@functools.cache
def graph():
    found = {}
    for path in sorted((ROOT / "course_lib").rglob("*.py")):
        part = path.relative_to(ROOT / "course_lib").parts[0].removesuffix(".py")
        if not part.startswith("_"):
            found.setdefault(part, set()).update(imports_of(path, part))
    return found


def test_every_part_has_a_row():
    assert set(graph()) == set(ROWS)


def test_no_part_imports_upwards_or_sideways():
    wrong = [
        f"{part} (row {ROWS[part]}) imports {other} (row {ROWS[other]})"
        for part, others in graph().items()
        for other in others
        if ROWS[other] >= ROWS[part]
    ]
    assert wrong == []


def test_a_part_stands_no_higher_than_it_must():
    for part, others in graph().items():
        assert ROWS[part] == max((ROWS[other] + 1 for other in others), default=0), part


def test_what_it_says_to_look_in_is_there():
    named = re.findall(r"`([\w/]+(?:\.py|/))`", SECTIONS["Where to look"])
    assert len(named) > 10
    for name in named:
        assert list(ROOT.rglob(name.rstrip("/"))) if "/" not in name else (
            (ROOT / name).exists() or (ROOT / "course_lib" / name).exists()
        ), name  # fmt: skip
    for link in re.findall(r"\]\((\w+\.md)\)", PAGE):
        assert (ROOT / "docs" / link).is_file(), link


# ---------------------------------------------------------------- the steps


@pytest.fixture
def course(tmp_path):
    """A copy of the repository to write in; the data and the networks are those of this one."""
    for name in ("lessons", "solutions", "course_lib"):
        ignore = shutil.ignore_patterns("_assets")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    try:
        (tmp_path / "course_lib" / "_assets").symlink_to(storage.ASSETS, target_is_directory=True)
    except OSError:
        pytest.skip("no links can be made here")
    return tmp_path


def do(course, title):
    """Do what a section says: its files written, its commands run, what they print compared."""
    text, done, printed = SECTIONS[title], 0, ""
    for match in BLOCK.finditer(text):
        kind, block = match.groups()
        if kind == "python":
            name, line = PLACE.findall(text[: match.start()])[-1]
            path = course / name
            old = path.read_text(encoding="utf-8") if path.is_file() else ""
            if line:
                assert old.count(line + "\n") == 1, f"{line!r} is not once in {name}"
                new = old.replace(line + "\n", line + "\n" + block)
            else:
                new = old + block
            path.write_text(new, encoding="utf-8")
        elif kind == "sh":
            (command,) = block.splitlines()
            program, *arguments = shlex.split(command)
            if program == ".venv/bin/course":
                arguments = ["-m", "course_lib", *arguments]
            else:
                assert program == ".venv/bin/python"
            env = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
            env |= {"PYTHONPATH": str(course), "COURSE_DEVICE": "cpu"}
            ended = subprocess.run(
                [sys.executable, *arguments], cwd=course, env=env, capture_output=True, text=True,
                timeout=300,
            )  # fmt: skip
            printed += ended.stdout + ended.stderr
            assert ended.returncode == 0, printed
            done += 1
        else:
            for line in block.splitlines():
                assert line in printed, (line, printed)
    assert done == 1
    return printed


def run(course, code):
    env = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
    env |= {"PYTHONPATH": str(course), "COURSE_DEVICE": "cpu"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=course, env=env, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_wrong_answer_is_added(course):
    do(course, "Add a wrong answer")
    told = run(
        course,
        "from course_lib.exercises import find, judge\n"
        "def pixel_rms(perturbation):\n"
        "    return [sorted(p.abs().flatten().tolist())[391] for p in perturbation]\n"
        "print(judge(find('pixel-rms'), pixel_rms).sentence)",
    )
    assert "This is the median change: a few large ones count nothing in it." in told


def test_a_wrong_answer_that_is_none_is_told(course):
    """The step can fail: the same wrong answer under another name is refused."""
    path = course / "course_lib" / "exercises" / "lesson00" / "pixel_rms.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text + '\n\nEXERCISE.mistake("twin", "Another sentence.", (".sqrt()", ""))\n',
        encoding="utf-8",
    )
    with pytest.raises(AssertionError, match=r"Another sentence|give the same on"):
        do(course, "Add a wrong answer")


def test_a_lesson_is_added(course):
    do(course, "Add a lesson")
    solved = json.loads((course / "solutions" / "10_my_lesson.ipynb").read_text(encoding="utf-8"))
    (output,) = solved["cells"][1]["outputs"]
    assert output["text"] == ["6 networks\n"]  # as the paper prints it
    lesson = json.loads((course / "lessons" / "10_my_lesson.ipynb").read_text(encoding="utf-8"))
    assert "Table 1 has 6 networks." in "".join(lesson["cells"][0]["source"])


def test_a_network_is_added(course):
    printed = do(course, "Add a network")
    error = float(re.search(r"FC30-10, seed 0: train [\d.]+%, test ([\d.]+)%", printed)[1])
    assert 2 < error < 20  # a small network after one epoch
    code = "from course_lib import zoo; print(zoo.load('FC30-10'))"
    assert "out_features=30" in run(course, code)


def test_a_kind_of_layer_is_added(course):
    do(course, "Add a kind of layer")
    code = "import torch; from course_lib import spectral\n"
    code += "print(spectral.operator_norm(torch.nn.Hardsigmoid(), (3,)))"
    assert float(run(course, code)) == pytest.approx(1 / 6, rel=1e-6)
