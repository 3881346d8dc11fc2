"""docs/ADD_AN_EXERCISE.md does what it says, in a copy of the course; and what an author does wrong
is said in a sentence with file and line."""

import contextlib
import importlib.util
import linecache
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import exercises
from course_lib.authoring import build as build_module
from course_lib.authoring import examined, examining, ground, spots
from course_lib.exercises import registry

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
        ignore = shutil.ignore_patterns("*.safetensors", "*.gz")
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, root / name)
    return root


def run(root, *command):
    """A command of the page in the copy ``root``: (exit status, all that it printed)."""
    environment = os.environ | {"PYTHONPATH": str(root), "COURSE_HOME": str(root / "home")}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # two edits within a second
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


# ---------------------------------------------------------------- blunders, in this process


HEAD = '# %% id="imports"\nfrom course_lib.exercises import check\n\n'


@pytest.fixture
def author(tmp_path, monkeypatch):
    """A function: what ``course build`` and pytest say of the page's exercise after some edits."""
    root, name = tmp_path / "course", "99_page"
    folder = root / "lesson99"
    for inside in (folder, root / "solutions", root / "_references"):
        inside.mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.setattr(registry, "FOLDER", root)
    monkeypatch.setattr(exercises, "__path__", [*exercises.__path__, str(root)])
    monkeypatch.setattr(spots.storage, "checkout", lambda: root)
    monkeypatch.setattr(examined, "EXERCISES", root)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two edits within a second

    def forget():
        for key in [key for key in sys.modules if key.startswith("course_lib.exercises.lesson99")]:
            del sys.modules[key]
        linecache.clearcache()

    def load(module, cells=CELLS, built=None):
        """The exercise; built: the cells as they were when the references were made."""
        (folder / "black_share.py").write_text(module, encoding="utf-8")
        (root / "solutions" / f"{name}.py").write_text(HEAD + cells, encoding="utf-8")
        text = (built or cells).partition('exercise="black-share"\n')[2].partition("# %%")[0]
        text = "".join(line for line in text.splitlines(True) if "###" not in line)
        path = root / "_references" / f"{name}.py"
        path.write_text('ORDER = [\n    "black-share",\n]\n\n' + text, encoding="utf-8")
        forget()
        lesson = registry.load.__wrapped__(99)
        spec = importlib.util.spec_from_file_location("page_references", path)
        solutions = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(solutions)
        exercise = lesson.EXERCISES[0]
        monkeypatch.setattr(exercise, "solution", lambda: solutions.black_share)
        return exercise

    yield load
    forget()


def said(exercise):
    """All that a build says of an exercise: of its ground, else its solution, else the answers."""
    found = ground.groundwork(exercise) or examining.reference(exercise)[1]
    if found:
        return found
    found = [text for one in exercise.variants for text in examining.variant(exercise, one)[1]]
    found += [text for one in exercise.mistakes for text in examining.mistake(exercise, one)[1]]
    return found or examining.shapes(exercise)


def test_the_pages_exercise_is_right(author):
    exercise = author(MODULE)
    assert said(exercise) == []
    assert examined.stale(exercise) == []


LAST = "\n\n@EXERCISE.mistake("  # where the page's module can be added to
PROBE = "\n\n@EXERCISE.probe\ndef look(answer):\n    return {}\n"
# what is done -> the edit of the module, the text in the line that is named, what is said
BLUNDERS = {
    "two mistakes that give the same": (
        LAST,
        '\nEXERCISE.mistake("sums", "These are sums.", (".mean(1)", ".sum(dim=1)"))' + LAST,
        'mistake("sums"',
        "the mistake 'sums' of 'black-share' and the mistake 'count' give the same on every case: "
        "draw a case that tells them apart",
    ),
    "a mistake that is none": (
        '"< 0.5"',
        '"<= 0"',
        'mistake("dark"',
        "the mistake 'dark' of 'black-share' passes: no case tells it from the solution; draw one, "
        "or drop it.",
    ),
    "no full stop": (
        "all images together.",
        "all images together",
        'mistake("of all"',
        "its sentence begins with a capital and ends with . ? or !",
    ),
    "an empty sentence": (
        '"This is one number for all images together."',
        '""',
        'mistake("of all"',
        "the mistake 'of all' of 'black-share' has no sentence, which is what the learner reads",
    ),
    "a sentence twice": (
        "This is one number for all images together.",
        "These are counts: divide by the pixels.",
        'mistake("of all"',
        "the mistake 'of all' of 'black-share' has the sentence of 'count'",
    ),
    "a name twice": ('"of all"', '"count"', '"This is one', "two are called so (the other in "),
    "too few mistakes": (
        'EXERCISE.mistake("dark"',
        '(lambda *_: 0)("dark"',
        "EXERCISE = ",
        "it has 3 wrong answers, of at least 4",
    ),
    "no hint": (
        'hints=["Compare with 0, then take a mean.", "`.flatten(1)` makes every image a row."]',
        "hints=[]",
        "EXERCISE = ",
        "it has no hint: give it at least one",
    ),
    "too long": ("minutes=3", "minutes=50", "EXERCISE = ", "50 minutes, of at most 40: make it"),
    "a variant that is none": (
        LAST,
        '\nEXERCISE.variant("mean")' + LAST,
        "EXERCISE = ",
        "variants are functions; not 'mean'.",
    ),
    "cases called": (
        "cases=cases",
        "cases=cases(torch.Generator())",
        "EXERCISE = ",
        "cases is a function, as cases=cases, without brackets",
    ),
    "no label": (
        '"one image of four pixels", ',
        "",
        "yield Case(torch",
        "case 1 of 'black-share' has no label: the first argument of Case is a text that the "
        'learner reads, as yield Case("two images", images); here it is a Tensor of shape '
        "(1, 1, 2, 2).",
    ),
    "a label that is no text": (
        '"three images"',
        "3",
        "yield Case(3",
        "case 2 of 'black-share' has no label",
    ),
    "a label twice": (
        '"three images"',
        '"one image of four pixels"',
        'yield Case("one image of four pixels", grey',
        "two cases of 'black-share' are called 'one image of four pixels'",
    ),
    "cases that raise": (
        "view(3, 1, 1, 1)",
        "view(4, 1, 1, 1)",
        "view(4",
        "the cases of 'black-share' stop with RuntimeError: shape '[4, 1, 1, 1]' is invalid",
    ),
    "cases that return nothing": (
        "def cases(rng):\n",
        "def cases(rng):\n    return\n\n\ndef others(rng):\n",
        "def cases",
        "cases of 'black-share' returns nothing: write yield Case(",
    ),
    "one case, returned": (
        "def cases(rng):\n",
        'def cases(rng):\n    return Case("one", torch.zeros(1, 1, 2, 2))\n\n\ndef others(rng):\n',
        "def cases",
        "cases of 'black-share' returns one Case, not a series of them",
    ),
    "no case": (
        "def cases(rng):\n",
        "def cases(rng):\n    return []\n\n\ndef others(rng):\n",
        "def cases",
        "cases of 'black-share' yields no case",
    ),
    "a tensor, yielded": (
        'yield Case("three images", grey',
        "yield (grey",
        "yield (grey",
        "cases of 'black-share' yields a Tensor where a Case is asked",
    ),
    "cases without rng": (
        "def cases(rng):",
        "def cases(rng=torch.Generator(), *, more):",
        "def cases",
        "but is called with one argument, the seeded generator: def cases(rng).",
    ),
    "another number of arguments": (
        'Case("three images", ',
        'Case("three images", 3, ',
        'Case("three images"',
        "the case 'three images' of 'black-share' gives (3, a Tensor of shape (3, 1, 4, 5)), but "
        "the stub is black_share(images): give it the same arguments.",
    ),
    "cases that differ each time": (
        "torch.rand(3, 1, 4, 5, generator=rng)",
        "torch.empty(3, 1, 4, 5).uniform_(generator=torch.Generator().manual_seed(id([])))",
        "def cases",
        "the case 'three images' of 'black-share' is another each time: draw all its numbers",
    ),
    "an oracle of other arguments": (
        "def oracle(images):",
        "def oracle(images, labels):",
        "def oracle",
        "the oracle of 'black-share' takes (images, labels), but it is called as the stub is, "
        "black_share(images)",
    ),
    "an oracle that raises": (
        "image.numel()",
        "image.nummel()",
        "nummel",
        "the oracle of 'black-share' stops with AttributeError: 'Tensor' object has no",
    ),
    "an oracle that returns nothing": (
        "return [image",
        "[image",
        "def oracle",
        "the oracle of 'black-share' returns nothing (None): is there a `return`?",
    ),
    "an oracle that is wrong": (
        "count(0.0)",
        "count(1.0)",
        "def oracle",
        "the oracle of 'black-share' and the solution (99_page.py:8) disagree: mend the one that "
        "is wrong. Of the solution it says: On one image",
    ),
    "a gradient of nothing": (
        "oracle=oracle,",
        'oracle=oracle,\n    gradients=["picture"],',
        "EXERCISE = ",
        "gradients of 'black-share' names 'picture', which is no argument of black_share(images).",
    ),
    "a variant that is wrong": (
        ".double().mean()",
        ".double().sum()",
        "EXERCISE.variant(lambda images: [",
        "the variant <lambda> of 'black-share' is judged FAIL, and a variant must PASS: ",
    ),
    "a variant that raises": (
        ".numpy() == 0)",
        ".nunpy() == 0)",
        "nunpy",
        "is judged EXCEPTION, and a variant must PASS: AttributeError",
    ),
    "a probe that returns True": (
        LAST,
        PROBE.format("True") + LAST,
        "@EXERCISE.probe",
        "the probe look of 'black-share' returns True: it returns a sentence, or None where all",
    ),
    "a probe that objects": (
        LAST,
        PROBE.format('"No."') + LAST,
        "@EXERCISE.probe",
        "the probe look of 'black-share' objects to the solution: No. Mend one of the two.",
    ),
    "a probe that raises": (
        LAST,
        PROBE.format("answer(1)") + LAST,
        "@EXERCISE.probe",
        "objects to the solution: In a further test your function stopped with",
    ),
    "a mistake of another name of an argument": (
        "def not_black(images):",
        "def not_black(images, level):",
        '@EXERCISE.mistake("the others"',
        "is told another sentence than its own, which a rule for all exercises says first: FAIL: "
        "Your function takes `(images, level)`",
    ),
    "a mistake that changes its argument": (
        "return (images > 0)",
        "return (images.mul_(2) > 0)",
        '@EXERCISE.mistake("the others"',
        "FAIL: Your function changes its argument `images` in place",
    ),
    "an edit of what is not there": (
        '(".mean(1)", ".mean()")',
        '(".maen(1)", ".mean()")',
        'mistake("of all"',
        "'.maen(1)' is 0 times in the source of black_share, not once",
    ),
    "an edit of what is there twice": (
        '(".mean(1)", ".mean()")',
        '("images", "image")',
        'mistake("of all"',
        "times in the source of black_share, not once",
    ),
    "an edit that is no Python": (
        '(".mean(1)", ".mean()")',
        '(".mean(1)", ".mean(")',
        'mistake("of all"',
        "with its edits the solution is no Python",
    ),
    "an edit that changes nothing": (
        '(".mean(1)", ".mean()")',
        '(".mean(1)", ".mean(1)")',
        'mistake("of all"',
        "passes: no case tells it from the solution",
    ),
    "loose without a bound": (
        '(".mean(1)", ".mean()"))',
        '(".mean(1)", ".mean()"), loose=True)',
        'mistake("of all"',
        "is judged FAIL, not VALID BUT LOOSE: say loose=False, or mend `valid`.",
    ),
}


@pytest.mark.parametrize("blunder", BLUNDERS)
def test_a_blunder_in_a_module_is_one_sentence(author, blunder):
    old, new, at, sentence = BLUNDERS[blunder]
    assert old in MODULE
    text = MODULE.replace(old, new, 1)
    (told,) = said(author(text))
    line = next(i for i, one in enumerate(text.splitlines(), 1) if at in one)
    assert told.startswith(f"black_share.py:{line}: "), told
    assert sentence in told


def test_no_mistake_has_the_right_shape(author):
    module = MODULE.replace('(".mean(1)", ".sum(1)")', '(".mean(1)", ".sum(1)[None]")')
    module = module.replace(
        '("== 0", "< 0.5")', '("== 0", "< 0.5"), (".mean(1)", ".mean(1)[None]")'
    )
    module = module.replace(".double().mean(1)", ".double().mean(1)[None]")
    (told,) = said(author(module))
    assert "none of the 4 mistakes of 'black-share' has results of the right shape" in told


# what is done -> the edit of the cells, the text in the line that is named, what is said
WRONG_SOLUTIONS = {
    "a solution that raises": (
        ".flatten(1)",
        ".flaten(1)",
        "flaten",
        "the solution of 'black-share' stops on 'one image of four pixels' with AttributeError",
    ),
    "a solution with a side effect": (
        "    return (images",
        "    images += 1\n    return (images - 1",
        'exercise="black-share"',
        "is judged FAIL: Your function changes its argument `images` in place",
    ),
    "a solution of other arguments": (
        "def black_share(images):",
        "def black_share(images, level):",
        None,
        "the case 'one image of four pixels' of 'black-share' gives (a Tensor of shape "
        "(1, 1, 2, 2)), but the stub is black_share(images, level)",
    ),
}


@pytest.mark.parametrize("blunder", WRONG_SOLUTIONS)
def test_a_wrong_solution_is_told_where_it_stands_in_the_lesson(author, blunder):
    old, new, at, sentence = WRONG_SOLUTIONS[blunder]
    cells = CELLS.replace(old, new, 1)
    told = said(author(MODULE, cells))
    if at:
        line = next(i for i, one in enumerate((HEAD + cells).splitlines(), 1) if at in one)
        assert told[0].startswith(f"99_page.py:{line}: "), told
    assert sentence in told[0]


def test_a_solution_that_was_not_built_is_stale(author):
    exercise = author(MODULE, CELLS.replace("== 0", "== 0.0"), built=CELLS)
    assert examined.stale(exercise) == [
        "99_page.py:8: the solution of 'black-share' differs from the one that is judged: run "
        "'course build 99'."
    ]


# what is done -> the edit of the module, the text in the line that is named, what is said
UNLOADABLE = {
    "an edit that is no pair": (
        '(".mean(1)", ".mean()")',
        '".mean(1)"',
        'mistake("of all"',
        "the mistake 'of all' is a function, or pairs of texts (old, new); not '.mean(1)'.",
    ),
    "tabs": ('    yield Case("three', '\tyield Case("three', "\tyield", "does not load: TabError"),
    "indentation": ("    grey = ", "      grey = ", "grey = ", "does not load: IndentationError"),
    "the name": ("    minutes=3", "    minuts=3", "EXERCISE = ", "argument 'minuts'"),
    "no title": (
        '    title="How much of an image is black?",\n',
        "",
        "EXERCISE = ",
        "missing 1 required keyword-only argument: 'title'",
    ),
    "the solution, asked while it loads": (
        LAST,
        "\nEXERCISE.variant(EXERCISE.solution())" + LAST,
        "EXERCISE.solution()",
        "The solution is asked for while the exercise's module is being imported",
    ),
}


@pytest.mark.parametrize("blunder", UNLOADABLE)
def test_a_module_that_cannot_be_imported_is_one_sentence(author, blunder):
    old, new, at, sentence = UNLOADABLE[blunder]
    assert old in MODULE
    text = MODULE.replace(old, new, 1)
    with pytest.raises(registry.RegistryError) as caught:
        author(text)
    (told,) = caught.value.problems
    line = next(i for i, one in enumerate(text.splitlines(), 1) if at in one)
    assert told.startswith(f"black_share.py:{line}: "), told
    assert sentence in told
    assert told.count("black_share.py:") == 1


def test_a_solution_that_is_not_there_says_what_is_missing():
    unused = exercises.Exercise(
        slug="no-such", title="", difficulty=1, minutes=1, cases=lambda rng: [], lesson=0
    )
    with pytest.raises(LookupError, match=r"no cell of solutions/00_start_here\.py has exercise="):
        unused.solution()
    unused.slug = "pixel-rms"  # which has its cells there, with another function
    with pytest.raises(LookupError, match=r"the function `no_such`, has not .*`course build 00`"):
        unused.solution()


def test_what_was_right_is_not_judged_again_until_it_changes(author):
    lines = []

    def judged(module, seconds=60):
        before = len(lines)
        found = examined.lesson([author(module)], lines.append, seconds)
        return (*found, len(lines) > before)

    assert judged(MODULE, seconds=-1) == ([], ["black-share"], True)  # the solution alone
    assert judged(MODULE) == ([], [], True)
    assert judged(MODULE) == ([], [], False)
    old, new, _, sentence = BLUNDERS["a mistake that is none"]
    for _ in range(2):  # what is wrong is told each time
        (told,), later, new_one = judged(MODULE.replace(old, new))
        assert sentence in told
        assert (later, new_one) == ([], True)
    old, new, _, sentence = BLUNDERS["an oracle that is wrong"]
    (told,), later, _ = judged(MODULE.replace(old, new), seconds=-1)
    assert sentence in told
    assert later == []  # of what has no ground nothing more is said


def test_the_command_for_what_there_was_no_time_for():
    told = build_module._command({"00": ["a", "b-c"], "01": ["d"]})
    assert told.startswith("3 exercises were judged by their solution alone")
    assert told.endswith('-m pytest tests/test_exercises.py -k "a or b-c or d"')
