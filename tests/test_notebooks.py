"""The notebooks of the repository: up to date, without leaks, right; and how nbval runs them.

nbval itself runs every cell (``pytest lessons solutions --nbval-lax``, see conftest.py).
"""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest

from course_lib import storage
from course_lib.authoring import build, execute, files, results, wording
from course_lib.authoring.source import read

sys.path.insert(0, str(Path(__file__).parent / "sample"))
import sample_course

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py"))
NAMES = [path.stem for path in SOURCES]
each_lesson = pytest.mark.parametrize("name", NAMES)


def load(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


DRAWS = {"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "normal"}
DRAWS |= {"bernoulli", "multinomial"}


@each_lesson
def test_a_lesson_draws_from_a_generator_of_its_own(name):
    """torch begins with another seed in each process: what a cell prints would be another number
    each time."""
    tree = ast.parse((ROOT / "solutions" / f"{name}.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    drawn = [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in DRAWS]
    seeded = [c for c in drawn if {"generator", None} & {word.arg for word in c.keywords}]
    assert [ast.unparse(c) for c in drawn if c not in seeded] == []


# ---------------------------------------------------------------- up to date


def test_there_are_lessons():
    assert NAMES, "no sources in solutions/"


@pytest.mark.skipif(not NAMES, reason="there are no lessons yet")
def test_everything_generated_is_up_to_date():
    assert [str(o) for o in build.build(check=True) if not o.ok] == []


@pytest.mark.skipif(not NAMES, reason="there are no lessons yet")
def test_a_rebuild_in_an_empty_folder_gives_the_committed_files(tmp_path):
    (tmp_path / "solutions").mkdir()
    for path in SOURCES:
        shutil.copy(path, tmp_path / "solutions")
    place = build.Place(tmp_path, tmp_path / "references", storage.ASSETS / "records")
    outcomes = build.build(execute=False, place=place)
    assert [str(o) for o in outcomes if not o.ok] == []
    for name in NAMES:
        mine = ROOT / "lessons" / f"{name}.ipynb"
        assert place.lesson(name).read_bytes() == mine.read_bytes()
        one, two = load(place.solved(name)), load(ROOT / "solutions" / f"{name}.ipynb")
        assert files.plain(one) == files.plain(two)
    committed = storage.PACKAGE / "exercises" / "_references"
    for path in (tmp_path / "references").glob("*.py"):
        assert (committed / path.name).read_bytes() == path.read_bytes()


@each_lesson
def test_lessons_hold_no_outputs(name):
    for cell in load(ROOT / "lessons" / f"{name}.ipynb").cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@each_lesson
def test_solved_notebooks_hold_results_and_nothing_of_the_machine(name):
    notebook = load(ROOT / "solutions" / f"{name}.ipynb")
    assert execute.complaints(notebook) == []
    text = json.dumps([c.get("outputs") for c in notebook.cells])
    for place in (str(ROOT), sys.prefix, str(Path.home()), "ipykernel_"):
        if len(place) > 2:
            assert place not in text, f"{place} in the outputs of {name}"
    tagged = [c for c in notebook.cells if "result" in c.metadata.get("tags", [])]
    for cell in tagged:
        assert results.texts(cell.outputs), f"the result {cell.id!r} prints no text"
    if read(ROOT / "solutions" / f"{name}.py").exercises():
        assert tagged, f"{name} has exercises and no cell tagged 'result' to compare"


@pytest.mark.skipif(not NAMES, reason="there are no lessons yet")
def test_every_registered_exercise_is_in_its_lesson():
    from course_lib.exercises import all_exercises

    written = {slug: path.stem for path in SOURCES for slug in read(path).exercises()}
    numbers = {int(name[:2]) for name in NAMES}
    for slug, exercise in all_exercises().items():
        if exercise.lesson in numbers:
            assert slug in written, f"{slug} is registered for lesson {exercise.lesson}, not used"
            assert int(written[slug][:2]) == exercise.lesson


@each_lesson
def test_numbers_in_the_prose_come_from_data(name):
    assert list(wording.bare(read(ROOT / "solutions" / f"{name}.py"))) == []


BARE = """\
# %% [markdown] id="a"
# About 1.64 % and `2.5 %` and $3.5 %$ and {{=x|.1%}} and 10 % and 7.25%.
# It is 0.0378 of $a
# + 1.234$; a length of 1.58, which is a setting, and 0.05 or section 4.2.
#
# See [3.141](https://x.org/2.718) and arXiv 1312.6199, at 12.5.

# %% id="b"
radius = 1.58

# %% [markdown] id="c"
# ## What we know now
#
# 62.8 % and 0.1234, says somebody.
"""


def test_a_bare_number_is_found(tmp_path):
    path = tmp_path / "00_x.py"
    path.write_text(BARE, encoding="utf-8")
    found = [(2, "1.64 %"), (2, "7.25%"), (3, "0.0378"), (6, "3.141"), (6, "12.5")]
    assert list(wording.bare(read(path))) == found


@each_lesson
def test_the_first_code_says_what_is_missing(name, monkeypatch):
    first = next(c for c in load(ROOT / "lessons" / f"{name}.ipynb").cells if c.cell_type == "code")
    exec(first.source, {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"The course is not installed .*%pip install"):
        exec(first.source, {})


# ---------------------------------------------------------------- leaks
#
# On purpose without the builder's own reading of the marks: a mistake there must not hide a leak.


def plain(line):
    """A line without blanks and comments' signs, so that a re-indented copy is the same."""
    return re.sub(r"\s+", "", line)


def secrets_and_open_lines(text):
    """The lines of a source that solutions consist of, and those that anybody may see."""
    secret, shown, where = set(), set(), "open"
    for line in text.splitlines():
        word = line.strip()
        if word.startswith("### BEGIN"):
            where = word.split()[2]
        elif word.startswith("### END"):
            where = "open"
        elif word.startswith("### SOLUTION FROM"):
            module, _, name = word.split()[-1].rpartition(".")
            path = storage.PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
            body = re.search(
                rf'^def {name}\(.*?""".*?"""\n(.*?)(?=^\S|\Z)',
                path.read_text(encoding="utf-8"),
                re.MULTILINE | re.DOTALL,
            )
            secret |= {plain(one) for one in body[1].splitlines()}
        elif where == "SOLUTION":
            secret.add(plain(line))
        else:
            shown.add(plain(word.removeprefix("#|")))
    # too short to give anything away, or given openly elsewhere in the lesson
    return {line for line in secret if len(line) >= 12 and not line.startswith("#")}, shown


def strings(value):
    """All texts inside some JSON, each as its lines."""
    if isinstance(value, str):
        yield value.splitlines()
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


def leaks(sources, lessons):
    """The solution lines that some lesson shows, as (lesson, cell, line)."""
    secret, shown = set(), set()
    for path in sources:
        more, open_lines = secrets_and_open_lines(path.read_text(encoding="utf-8"))
        secret, shown = secret | more, shown | open_lines
    secret = {line for line in secret if not any(line in one for one in shown)}
    found = []
    for path in lessons:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            # hints may come close to the solution: the learner chose to unfold them
            text = re.sub(r"<details>.*?</details>", "", "".join(cell["source"]), flags=re.DOTALL)
            lines = {plain(line) for line in text.splitlines()}
            lines |= {plain(str(value)) for value in cell["metadata"].values()}
            lines |= {plain(line) for text in strings(cell.get("outputs", [])) for line in text}
            found += [(path.stem, cell["id"], s) for s in secret if any(s in x for x in lines)]
    return sorted(found)


def test_no_solution_leaks_into_the_lessons():
    assert leaks(SOURCES, sorted((ROOT / "lessons").glob("*.ipynb"))) == []


@pytest.fixture
def sample(tmp_path):
    course = sample_course.Course(tmp_path / "course")
    course.build(execute=False)
    return course


def test_the_sample_does_not_leak(sample):
    secret, _ = secrets_and_open_lines(sample.source.read_text(encoding="utf-8"))
    assert plain("means = np.asarray(table).mean(axis=0, keepdims=True)") in secret
    assert plain('return hashlib.file_digest(f, "sha256").hexdigest()') in secret
    assert leaks([sample.source], [sample.place.lesson("00_sample")]) == []


@pytest.mark.parametrize(
    "line",
    [
        "    means = np.asarray(table).mean(axis=0, keepdims=True)",
        "  # means=np.asarray(table).mean( axis=0, keepdims=True )",
        '        return hashlib.file_digest(f, "sha256").hexdigest()',
        "    total = images.sum(axis=0)",
    ],
)
@pytest.mark.parametrize("kind", ["code", "markdown", "outputs"])
def test_a_leak_is_found(sample, line, kind):
    path = sample.place.lesson("00_sample")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cell = next(c for c in notebook["cells"] if c["cell_type"] == kind.replace("outputs", "code"))
    if kind == "outputs":
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [f"a\n{line}\n"]}]
    else:
        cell["source"] += ["\n", line]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    found = leaks([sample.source], [path])
    assert [(lesson, key) for lesson, key, _ in found] == [("00_sample", cell["id"])]


def test_a_builder_that_forgets_a_solution_is_found(sample):
    shutil.copy(sample.place.solved("00_sample"), sample.place.lesson("00_sample"))
    found = leaks([sample.source], [sample.place.lesson("00_sample")])
    assert {key for _, key, _ in found} == {"centre-columns", "file-sum", "mean-image", "guess"}


# ---------------------------------------------------------------- nbval, as conftest.py teaches it


def cell(key, code, *tags, text=None):
    made = nbformat.v4.new_code_cell(code, id=key, metadata={"tags": list(tags)} if tags else {})
    made.execution_count = 1
    if text is not None:
        made.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    return made


ENVIRONMENT = """
import os, pathlib
home = pathlib.Path(os.environ["COURSE_HOME"])
assert home.is_dir() and not (home / "seen").exists()
(home / "seen").touch()
got = [os.environ.get(name) for name in ("COURSE_STRICT", "COURSE_STATIC", "COURSE_DEVICE")]
assert got == {wanted}, got
assert "inline" in os.environ["MPLBACKEND"]
import course_lib
"""
UNSOLVED = ENVIRONMENT.replace("{wanted}", "[None, None, 'cpu']")
SOLVED = ENVIRONMENT.replace("{wanted}", "['1', '1', 'cpu']")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What pytest with nbval says about small notebooks, by 'folder/notebook cell'."""
    root = tmp_path_factory.mktemp("nbval")
    books = {
        "lessons/00_environment": [cell("a", UNSOLVED)],
        "solutions/00_environment": [cell("a", SOLVED)],
        "lessons/01_dies": [cell("a", "1"), cell("b", "import os\nos._exit(1)"), cell("c", "2")],
        "lessons/02_fails": [cell("a", "1 / 0"), cell("b", "1"), cell("c", "2")],
        "lessons/03_result": [
            cell("same", "print('error', 0.1234)", "result"),
            cell("other", "print('error', 0.3)", "result"),
            cell("free", "print('not compared')"),
        ],
        "solutions/03_result": [
            cell("same", "print('error', 0.1234)", "result", text="error 0.1235\n"),
            cell("other", "print('error', 0.1)", "result", text="error 0.1\n"),
            cell("free", "1", text="something\n"),
        ],
        "solutions/04_stale": [cell("a", "print(2)", "result", text="1\n")],
    }
    for name, made in books.items():
        path = root / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    shutil.copy(ROOT / "conftest.py", root)
    (root / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COURSE_"))}
    env["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "pytest", "lessons", "solutions", "--nbval-lax", "-q"]
    command += ["--nbval-current-env", "--nbval-cell-timeout=100", "--junitxml=report.xml"]
    run = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=300)
    found = {"": run.stdout}
    for case in ElementTree.parse(root / "report.xml").iter("testcase"):
        folder, _, book = case.get("classname").partition(".")
        state = next((c.tag for c in case if c.tag in ("failure", "error", "skipped")), "passed")
        text = "".join((c.get("message") or "") + (c.text or "") for c in case)
        key = f"{folder}/{book.removesuffix('.ipynb')} {case.get('name')}"
        found[key] = (state, text, float(case.get("time")))
    return found


def test_each_folder_gets_its_environment(reports):
    assert reports["lessons/00_environment Cell 0"][0] == "passed", reports[""]
    assert reports["solutions/00_environment Cell 0"][0] == "passed", reports[""]


def test_a_dead_kernel_is_noticed_at_once(reports):
    state, text, seconds = reports["lessons/01_dies Cell 1"]
    assert state == "failure"
    assert "killed its kernel" in text
    assert seconds < 60  # nbval alone waits for the cell's whole time limit
    assert reports["lessons/01_dies Cell 2"][0] == "skipped"


def test_cells_behind_a_failure_are_skipped(reports):
    assert reports["lessons/02_fails Cell 0"][0] == "failure"
    for behind in ("Cell 1", "Cell 2"):
        state, text, _ = reports[f"lessons/02_fails {behind}"]
        assert state == "skipped"
        assert "Cell 0 of this notebook failed" in text


def test_an_unsolved_lesson_must_print_the_solved_ones_results(reports):
    assert reports["lessons/03_result Cell 0"][0] == "passed"  # within the tolerance
    state, text, _ = reports["lessons/03_result Cell 1"]
    assert state == "failure"
    assert "printed 0.3, where 0.1 was expected" in text


def test_a_solved_notebook_must_print_its_stored_results(reports):
    assert all(reports[f"solutions/03_result Cell {i}"][0] == "passed" for i in range(3))
    state, text, _ = reports["solutions/04_stale Cell 0"]
    assert state == "failure"
    assert "printed 2, where 1 was expected" in text


def test_tests_write_into_a_folder_of_their_own():
    assert not storage.home().is_relative_to(ROOT)
    assert not storage.home().is_relative_to(Path.home() / ".intriguing-course")
