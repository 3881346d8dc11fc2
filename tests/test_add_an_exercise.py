"""docs/ADD_AN_EXERCISE.md does what it says, in a copy of the course; and what an author does wrong
is said in a sentence with file and line."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ADD_AN_EXERCISE.md").read_text(encoding="utf-8")
MODULE, CELLS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
MODULE_PATH = re.search(r"`(course_lib/exercises/lesson\d\d/\w+\.py)`", PAGE)[1]
SOURCE_PATH = re.search(r"In `(solutions/\w+\.py)`", PAGE)[1]
COMMANDS = re.findall(r"```sh\n\.venv/bin/(.*?)\n```", PAGE)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the repository to write in."""
    root = tmp_path_factory.mktemp("course")
    for name in ("course_lib", "lessons", "solutions", "tests"):
        ignore = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.gz")
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, root / name)
    return root


def run(root, *command):
    """A command of the page in the copy ``root``: (exit status, all that it printed)."""
    environment = os.environ | {"PYTHONPATH": str(root), "COURSE_HOME": str(root / "home")}
    done = subprocess.run(
        [sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def build(root, *options):
    return run(root, "-m", "course_lib", "build", "00", "--no-execute", *options)


def test_the_page_needs_sixty_lines_in_two_files():
    assert len(MODULE.splitlines()) + len([x for x in CELLS.splitlines() if x.strip()]) <= 60
    assert MODULE.count("EXERCISE.mistake(") >= 4
    assert COMMANDS[0] == "course build 00"


def test_what_the_page_does_works(course):
    (course / MODULE_PATH).write_text(MODULE, encoding="utf-8")
    source = course / SOURCE_PATH
    source.write_text(source.read_text(encoding="utf-8") + "\n" + CELLS, encoding="utf-8")
    status, said = build(course)
    assert status == 0, said
    lesson = (course / "lessons" / f"{source.stem}.ipynb").read_text(encoding="utf-8")
    assert 'raise NotImplementedError(\\"black-share\\")' in lesson
    assert "How much of an image is black?" in lesson
    arguments = COMMANDS[1].removeprefix("python ").split()
    status, said = run(course, *arguments, "-p", "no:cacheprovider")
    assert status == 0, said
    assert int(re.search(r"(\d+) passed", said)[1]) >= 15
    status, said = run(course, *COMMANDS[2].removeprefix("python ").split())
    assert status == 0, said
    assert re.search(r"black-share +4 of 4 +2 of 2 +(\d+) of \1\n", said)


@pytest.fixture
def broken(course):
    """The copy with the exercise of the page; what a test breaks is mended afterwards."""
    paths = [course / MODULE_PATH, course / SOURCE_PATH]
    source = (ROOT / SOURCE_PATH).read_text(encoding="utf-8") + "\n" + CELLS
    for path, text in zip(paths, (MODULE, source), strict=True):
        path.write_text(text, encoding="utf-8")
    yield paths
    for path in (course / MODULE_PATH).parent.glob("new_*.py"):
        path.unlink()


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@contextlib.contextmanager
def moved(path, to):
    """The file ``path`` under another name, while the block runs."""
    shutil.move(path, to)
    try:
        yield
    finally:
        shutil.move(to, path)


def line_of(path, text):
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(i for i, line in enumerate(lines, 1) if text in line)


def test_a_module_without_an_exercise(course, broken):
    new = broken[0].parent / "new_thoughts.py"
    new.write_text('"""Nothing yet."""\n', encoding="utf-8")
    status, said = build(course)
    assert status != 0
    assert f"{MODULE_PATH.replace('black_share', 'new_thoughts')}:1: this module has no" in said


def test_an_exercise_that_no_lesson_uses(course, broken):
    new = broken[0].parent / "new_share.py"
    shutil.copy(broken[0], new)
    status, said = build(course)
    assert status != 0
    line = line_of(new, "EXERCISE = ")
    place = f"{MODULE_PATH.replace('black_share', 'new_share')}:{line}"
    assert re.search(rf"{re.escape(place)}: no lesson .*'new-share'", said), said


def test_two_exercises_of_one_slug(course, broken):
    twin = course / "course_lib" / "exercises" / "lesson01" / "black_share.py"
    shutil.copy(broken[0], twin)
    try:
        status, said = build(course)
    finally:
        twin.unlink()
    assert status != 0
    assert "lesson00/black_share.py" in said
    assert "lesson01/black_share.py" in said


def test_a_slug_that_is_not_the_modules_name(course, broken):
    edit(broken[0], "    title=", '    slug="black",\n    title=')
    status, said = build(course)
    assert status != 0
    assert "the exercise is called 'black' and its module black_share.py" in said


def test_an_edit_that_no_longer_fits_the_solution(course, broken):
    edit(broken[1], ".double().mean(1)", ".double().mean(dim=1)")
    status, said = build(course)
    assert status != 0
    line = line_of(broken[0], 'EXERCISE.mistake("count"')
    assert f"{MODULE_PATH}:{line}: " in said
    assert "'.mean(1)' is 0 times in the source of black_share" in said


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("minutes=3", 'minutes="3"', "minutes"),
        ("difficulty=1", "difficulty=9", "difficulty"),
        ('"Compare with 0, then take a mean.", ', "7, ", "hint"),
    ],
)
def test_a_card_that_is_filled_in_wrongly(course, broken, old, new, told):
    edit(broken[0], old, new)
    status, said = build(course)
    assert status != 0
    assert re.search(rf"{re.escape(MODULE_PATH)}:\d+: .*{told}", said), said


def test_a_module_in_another_lessons_folder(course, broken):
    other = course / "course_lib" / "exercises" / "lesson01" / "black_share.py"
    with moved(broken[0], other):
        status, said = build(course)
    assert status != 0
    assert "the exercise 'black-share' is one of another lesson, lesson01/black_share.py" in said


def test_an_edit_that_is_no_python(course, broken):
    edit(broken[0], '(".mean(1)", ".sum(1)")', '(".mean(1)", ".sum(1")')
    status, said = build(course)
    assert status != 0
    line = line_of(broken[0], 'EXERCISE.mistake("count"')
    assert f"{MODULE_PATH}:{line}: the mistake 'count': with its edits the solution is no" in said


def test_too_few_answers(course, broken):
    text = broken[0].read_text(encoding="utf-8")
    lines = [x for x in text.splitlines() if not x.startswith("EXERCISE.variant(")]
    broken[0].write_text("\n".join(lines) + "\n", encoding="utf-8")
    status, said = build(course)
    assert status != 0
    assert "it has 0 variants, of at least 2" in said


def test_a_hyphen_in_a_modules_name(course, broken):
    with moved(broken[0], broken[0].with_name("black-share.py")):
        status, said = build(course)
    assert status != 0
    assert "call it black_share.py" in said


def test_mutants_names_what_is_judged_otherwise(course, broken):
    assert build(course)[0] == 0
    edit(broken[0], "image.numel()", "(1 + image.numel())")
    status, said = run(course, "-m", "course_lib.exercises.mutants", "black-share")
    assert status == 1
    assert "the solution does not pass its own cases" in said


def test_a_module_that_does_not_load(course, broken):
    edit(broken[0], "def oracle(images):", "def oracle(images:")
    status, said = build(course)
    assert status != 0
    line = line_of(broken[0], "def oracle(images:")
    assert f"{MODULE_PATH}:{line}: does not load: SyntaxError" in said


def test_questions_that_do_not_exist_or_that_no_lesson_asks(course, broken):
    edit(
        broken[1],
        'black_share = check("black-share"',
        'quiz("no-such")\nblack_share = check("black-share"',
    )
    questions = broken[0].parent / "questions.py"
    before = questions.read_text(encoding="utf-8")
    added = 'ANSWERS["unasked"] = ShortAnswer("Why?", rubric=["It says why."])\n'
    questions.write_text(before + added, encoding="utf-8")
    try:
        status, said = build(course)
    finally:
        questions.write_text(before, encoding="utf-8")
    assert status != 0
    assert "quiz('no-such'): there is none of that name" in said
    assert re.search(r"lesson00/questions.py:\d+: no lesson .*'unasked'", said), said
