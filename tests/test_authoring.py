"""The builder: what it makes of the sample lesson, and each mistake that it must name."""

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from course_lib import cli, storage
from course_lib.alternatives import picture_in
from course_lib.authoring import build, cards, execute, prose, results
from course_lib.authoring.judging import judge
from course_lib.authoring.names import free
from course_lib.authoring.registry import Registered, Registry
from course_lib.authoring.source import SourceError, read
from course_lib.exercises.answers import ShortAnswer
from course_lib.exercises.exercise import Exercise
from course_lib.exercises.predictions import Prediction
from course_lib.exercises.quizzes import Option, Quiz

sys.path.insert(0, str(Path(__file__).parent / "sample"))
import sample_course

ALT = "One of the small images, chosen by the slider, as squares of 4 greys."


@pytest.fixture
def course(tmp_path):
    return sample_course.Course(tmp_path / "course")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The sample, built and executed once; tests that change it work on ``again``."""
    made = sample_course.Course(tmp_path_factory.mktemp("built") / "course")
    made.outcomes = made.build()
    return made


@pytest.fixture
def again(built, tmp_path):
    """A copy of the built sample."""
    made = sample_course.Course(tmp_path / "course")
    for folder in ("lessons", "references", "solutions"):
        (made.root / folder).mkdir(exist_ok=True)
        for path in (built.root / folder).iterdir():
            if path.is_file():
                (made.root / folder / path.name).write_bytes(path.read_bytes())
    assert made.problems() == []
    return made


def cells(path):
    return {c.id: c for c in nbformat.read(path, as_version=nbformat.NO_CONVERT).cells}


# ---------------------------------------------------------------- what is made


def test_jupytext_reads_the_same_cells():
    jupytext = pytest.importorskip("jupytext")
    path = sample_course.HERE / "solutions" / "00_sample.py"
    theirs, mine = jupytext.read(path).cells, read(path).cells
    shown = [
        re.sub(r"\A(#\|.*\n)+", "", c.source) for c in theirs
    ]  # below a header: of its pictures
    assert [c.cell_type for c in theirs] == [c.kind for c in mine]
    assert shown == [c.text for c in mine]
    for a, b in zip(theirs, mine, strict=True):
        assert {k: v for k, v in a.metadata.items() if k != "lines_to_next_cell"} == b.options


def test_a_build_writes_lesson_solved_notebook_and_references(built):
    assert [o.kind for o in built.outcomes] == ["written", "written", "written", "executed"]
    assert built.problems() == []
    lines = []
    assert built.build(log=lines.append) == []  # nothing to do, and nothing is executed again
    assert lines == ["00: up to date."]


def test_the_lesson_has_stubs_and_no_outputs(built):
    lesson = cells(built.place.lesson("00_sample"))
    assert lesson["centre-columns"].source == (
        "def centre_columns(table):\n"
        '    """The table (n, k) with columns of mean zero."""\n'
        "    # YOUR CODE HERE\n"
        '    raise NotImplementedError("centre-columns")'
    )
    assert lesson["file-sum"].source == (
        "def sha256(path: Path) -> str:\n"
        '    """The SHA-256 sum of a file, in hexadecimal."""\n'
        "    # YOUR CODE HERE\n"
        '    raise NotImplementedError("file-sum")'
    )
    assert lesson["guess"].source == "guess = None  # a number, or (low, high)"
    assert "extra" not in lesson
    assert "for-teachers" not in lesson
    code = [c for c in lesson.values() if c.cell_type == "code"]
    assert all(c.outputs == [] and c.execution_count is None for c in code)


def test_a_bug_hunt_shows_the_bug_in_the_lesson_alone(built):
    lesson = cells(built.place.lesson("00_sample"))["mean-image"].source
    solved = cells(built.place.solved("00_sample"))["mean-image"].source
    assert "    total = images.sum()\n\n    return total" in lesson
    assert "images.sum(axis=0)" in solved
    assert "#|" not in lesson + solved
    assert "BUG" not in lesson + solved


def test_a_bug_hunt_in_a_library_function(course):
    course.edit(
        "### SOLUTION FROM course_lib.storage.sha256\n",
        "### SOLUTION FROM course_lib.storage.sha256\n### BEGIN BUG\n"
        "#| with open(path) as f:\n#|     return hashlib.md5(f.read()).hexdigest()\n### END BUG\n",
    )
    course.build(execute=False)
    lesson = cells(course.place.lesson("00_sample"))["file-sum"].source
    assert lesson.endswith(
        'in hexadecimal."""\n    with open(path) as f:\n'
        "        return hashlib.md5(f.read()).hexdigest()"
    )
    assert "md5" not in cells(course.place.solved("00_sample"))["file-sum"].source
    text = course.place.reference("00_sample").read_text(encoding="utf-8")
    assert "md5" in text.partition("BUGGY")[2]


def test_the_solved_notebook_has_outputs_of_a_strict_run(built):
    solved = cells(built.place.solved("00_sample"))
    assert solved["file-sum"].source == inspect.getsource(storage.sha256).rstrip()
    assert solved["centre-columns-check"].outputs[0].text == "centre-columns: PASS\n"
    assert solved["slider"].metadata.alt == [ALT]
    assert "image/png" not in solved["slider"].outputs[0].data
    assert picture_in(solved["slider"].outputs[0].data).text == ALT
    assert cells(built.place.lesson("00_sample"))["slider"].metadata.alt == [ALT]
    assert solved["mean-of-means"].outputs[1].data["text/plain"] == "(5, 5)"
    assert all("execution" not in c.metadata for c in solved.values())


# ---------------------------------------------------------------- alternative texts


def test_a_changed_alternative_text_reaches_the_picture_and_executes_nothing(again):
    again.edit('#| as squares of {{=len("grey")}} greys.', "#| in greys.")
    assert any("is out of date" in sentence for sentence in again.problems())
    assert all(outcome.kind == "written" for outcome in again.build())
    solved = cells(again.place.solved("00_sample"))["slider"]
    assert (
        picture_in(solved.outputs[0].data).text
        == "One of the small images, chosen by the slider, in greys."
    )
    assert again.problems() == []


def test_a_picture_without_an_alternative_text_is_told_where_it_is_drawn(again):
    text = again.source.read_text(encoding="utf-8")
    start, end = text.index("#| alt:"), text.index("greys.\n") + len("greys.\n")
    again.source.write_text(text[:start] + text[end:], encoding="utf-8")
    line = text[:start].count("\n")
    [problem] = [outcome.text for outcome in again.build() if not outcome.ok]
    assert problem.startswith(f"solutions/00_sample.py:{line}: the cell 'slider' shows a picture")
    assert '"#| alt: "' in problem
    assert problem in again.problems()  # as long as it is so


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "greys.\n",
            "greys.\n#| alt: Another.\n#| alt: A third.\n",
            "3 alternative texts for 1 pic",
        ),
        (
            '# %% id="images"\n',
            '# %% id="images"\n#| alt: Nothing.\n',
            "shows no picture: take the",
        ),
        ("#| alt: One", "#| One", 'below a header begins with "#| alt:"'),
        ("greys.\n", "greys\n", "in whole sentences"),
        ("greys.\n", "greys, 12.5 %.\n", "12.5 % stands bare in the text"),
        ("{{=len(", "{{=size(", "name 'size' is not defined"),
    ],
)
def test_what_is_wrong_with_an_alternative_text_is_a_sentence(again, old, new, sentence):
    again.edit(old, new)
    told = [outcome.text for outcome in again.build() if not outcome.ok]
    assert any(sentence in text for text in told), told


def test_the_exercises_blocks_come_from_the_registry(built):
    text = cells(built.place.lesson("00_sample"))["centre-columns-task"].source
    assert text.startswith(
        "### Exercise 0.1: Centre a table  (difficulty ●●○○○, about 5 minutes)\n\nWrite `centre"
    )
    assert text.endswith(
        "$$\n\n<details><summary>Hint 1</summary>\n\nWhich axis?\n\n</details>\n\n"
        "<details><summary>Hint 2</summary>\n\n`axis=0`: down a column.\n\n</details>"
    )
    lone = cells(built.place.lesson("00_sample"))["file-sum-task"].source
    assert "<summary>Hint</summary>" in lone


def test_labels_and_numbers_in_prose(built):
    for path in (built.place.lesson("00_sample"), built.place.solved("00_sample")):
        text = cells(path)["intro"].source
        assert "second exercise is 0.2; the record says 1.64%." in text


def test_ids_are_the_authors_and_the_notebooks_are_valid(built):
    source = read(built.source)
    for path in (built.place.lesson("00_sample"), built.place.solved("00_sample")):
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
        assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
        assert notebook.metadata.kernelspec.name == "python3"
        ids = [c.id for c in notebook.cells]
        assert ids == [c.id for c in source.cells if c.id in ids]
        assert path.read_bytes().endswith(b"}\n")
        assert b"\r" not in path.read_bytes()


def load_reference(path):
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_references_work_and_have_a_source(built):
    module = load_reference(built.place.reference("00_sample"))
    table = np.arange(6.0).reshape(3, 2)
    assert np.allclose(module.centre_columns(table), [[-2, -2], [0, 0], [2, 2]])
    assert "means = np" in inspect.getsource(module.centre_columns)
    assert not hasattr(module, "sha256")  # the library's, not kept twice ...
    assert module.file_sum is storage.sha256  # ... but found under the exercise's name
    assert module.ORDER == ["centre-columns", "file-sum", "mean-image"]
    lesson = cells(built.place.lesson("00_sample"))
    assert {"mean-image": lesson["mean-image"].source} == module.BUGGY


def test_references_are_clean_for_ruff(built):
    path = built.place.reference("00_sample")
    for command in (["check"], ["format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(path), str(path.parent / "__init__.py")],
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_a_reference_may_use_an_earlier_exercise_of_the_lesson(course):
    course.edit(
        "total = images.sum(axis=0)\n    return total",
        "centre_columns(images[0])\n    sha256\n    total = images.sum(axis=0)\n    return total",
    )
    course.build(execute=False)
    text = course.place.reference("00_sample").read_text(encoding="utf-8")
    assert "from course_lib.storage import sha256\n" in text
    assert load_reference(course.place.reference("00_sample")).mean_image(np.ones((2, 2, 2))).all()


IMPORTS = """# fmt: off

{needed}# the solutions that are the library's
from course_lib.storage import sha256{renamed}

ORDER = [
    "centre-columns",
    "file-sum",
    "mean-image",
]
"""


def test_the_order_is_the_first_thing_after_the_imports(built):
    text = built.place.reference("00_sample").read_text(encoding="utf-8")
    assert IMPORTS.format(needed="import numpy as np\n\n", renamed=" as file_sum") in text


def test_a_library_solution_that_a_later_one_uses_is_imported_once(course):
    course.edit("total = images.sum(axis=0)\n", "sha256\n    total = images.sum(axis=0)\n")
    functions = Registered(set(sample_course.REGISTRY.exercises), functions={"file-sum": "sha256"})
    registry = Registry(sample_course.REGISTRY.exercises, functions)
    course.build(execute=False, registry=registry)
    text = course.place.reference("00_sample").read_text(encoding="utf-8")
    assert IMPORTS.format(needed="import numpy as np\n\n", renamed="") in text
    assert text.count("import sha256") == 1
    module = load_reference(course.place.reference("00_sample"))
    assert module.sha256 is storage.sha256
    assert module.mean_image(np.ones((2, 2, 2))).all()


def test_a_lesson_whose_solutions_are_all_the_librarys_has_references(course):
    text = course.source.read_text(encoding="utf-8")
    head, task, rest = text.partition('# %% [markdown] id="file-sum-task"')
    parts = rest.partition('# %% [markdown] id="mean-image-task"')
    imports = head[head.index('# %% id="imports"') : head.index('# %% id="images"')]
    course.source.write_text(imports + task + parts[0], encoding="utf-8")
    course.build(execute=False)
    module = load_reference(course.place.reference("00_sample"))
    assert module.file_sum is storage.sha256
    assert module.ORDER == ["file-sum"]
    assert course.problems(names=["00"], check=False, execute=False) == []


# ---------------------------------------------------------------- comparing


def test_a_rebuild_elsewhere_gives_the_same_bytes(built, course):
    course.build(execute=False)
    for folder in ("lessons", "references"):
        for path in (built.root / folder).glob("*.*"):
            assert (course.root / folder / path.name).read_bytes() == path.read_bytes()
    one, two = (c.place.solved("00_sample") for c in (built, course))
    assert [(c.id, c.source) for c in cells(one).values()] == [
        (c.id, c.source) for c in cells(two).values()
    ]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("lessons/00_sample.ipynb", "YOUR CODE HERE", "MY CODE HERE"),
        ("lessons/00_sample.ipynb", ' "nbformat_minor": 5', ' "nbformat_minor":  5'),
        ("solutions/00_sample.ipynb", "means = np.asarray", "means= np.asarray"),
        ("solutions/00_sample.ipynb", '"id": "guess"', '"id": "guess2"'),
        ("references/00_sample.py", "axis=0", "axis=1"),
        ("references/__init__.py", "Never", "Always"),
    ],
)
def test_a_tampered_file_is_named_with_the_command_that_mends_it(again, path, old, new):
    file = again.root / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    problems = again.problems()
    assert len(problems) == 1
    assert problems[0].startswith(f"{path} is out of date: run 'course build")
    again.build()
    assert again.problems() == []


@pytest.mark.parametrize("path", ["lessons/00_sample.ipynb", "solutions/00_sample.ipynb"])
def test_a_missing_notebook_is_named(again, path):
    (again.root / path).unlink()
    assert again.problems() == [f"{path} is missing: run 'course build 00'."]


def test_a_broken_notebook_is_named(again):
    again.place.solved("00_sample").write_text("{", encoding="utf-8")
    (problem,) = again.problems()
    assert "is not a notebook that can be read: run 'course build 00'" in problem


def test_a_notebook_without_a_source_is_named(again):
    stray = again.root / "lessons" / "05_gone.ipynb"
    stray.write_text("{}", encoding="utf-8")
    assert again.problems() == [
        "lessons/05_gone.ipynb has no source solutions/05_gone.py: delete it, or bring the source "
        "back."
    ]


def test_changed_text_keeps_the_outputs_and_executes_nothing(again):
    again.edit("It belongs to the tests", "It is one of the tests")
    assert len(again.problems()) == 2  # lesson and solved notebook
    outcomes = again.build()
    assert {o.kind for o in outcomes} == {"written"}
    assert "PASS" in cells(again.place.solved("00_sample"))["file-sum-check"].outputs[0].text
    assert again.problems() == []


def test_changed_code_is_stale_until_it_is_executed(again):
    again.edit("round(float(mean.mean()), 4)", "round(float(mean.mean()), 3)")
    again.build(execute=False)
    (problem,) = again.problems()
    assert "The cell 'mean-of-means' was not executed. Run 'course build 00'." in problem
    solved = cells(again.place.solved("00_sample"))
    assert solved["mean-of-means"].outputs == []  # changed: its old output would be a lie
    assert solved["columns"].outputs != []
    assert [o.kind for o in again.build()] == ["executed"]
    assert again.problems() == []
    solved = cells(again.place.solved("00_sample"))
    assert "0.54" in solved["mean-of-means"].outputs[0].text


def test_lessons_are_chosen_by_number_or_name(again):
    for name in ("0", "00", "00_sample", "00_sample.ipynb"):
        assert again.build(names=[name]) == []
    (problem,) = again.problems(names=["00_sampel"])
    assert problem == "There is no lesson '00_sampel'; did you mean '00_sample'?"


def test_a_cell_that_fails_is_a_sentence_and_the_old_notebook_stays(again):
    before = again.place.solved("00_sample").read_bytes()
    again.edit("mean.shape", "1 / 0")
    (problem,) = [o for o in again.build() if not o.ok]
    assert re.match(
        r"solutions/00_sample\.py:\d+: the cell 'mean-of-means' raised ZeroDivisionError: division "
        r"by zero\. It had printed: 'mean of the mean image 0\.\d+'\. solutions/00_sample\.ipynb "
        r"is left as it was\.",
        problem.text,
    )
    line = int(problem.text.split(":")[1])
    assert again.source.read_text(encoding="utf-8").splitlines()[line - 1] == "1 / 0"
    assert again.place.solved("00_sample").read_bytes() == before


def test_an_assert_that_fails_is_told_with_its_line_its_text_and_its_values(again):
    again.edit("mean.shape", "# of the mean\nassert mean.max() < 0.5 < len(mean)\nmean.shape")
    (problem,) = [o.text for o in again.build() if not o.ok]
    line = 1 + again.source.read_text(encoding="utf-8").splitlines().index(
        "assert mean.max() < 0.5 < len(mean)"
    )
    assert re.match(
        rf"solutions/00_sample\.py:{line}: the cell 'mean-of-means' raised AssertionError at "
        r"`assert mean\.max\(\) < 0\.5 < len\(mean\)`, where mean\.max\(\) is \S*0\.\d+\S* and "
        r"len\(mean\) is 5\. It had printed: 'mean of the mean image",
        problem,
    ), problem


def test_the_line_of_a_failure_behind_a_marked_solution(again):
    again.edit(
        "return total / len(images)\n    ### END SOLUTION", "assert not 1\n    ### END SOLUTION"
    )
    (problem,) = [o.text for o in again.build() if not o.ok]
    # the sample's check catches it, and raises for the check cell
    line = 1 + again.source.read_text(encoding="utf-8").splitlines().index(
        'mean_image = check("mean-image", mean_image)'
    )
    assert problem.startswith(f"solutions/00_sample.py:{line}: the cell 'mean-image-check' raised")


def test_the_run_is_strict(again):
    again.edit("return table - means", "return table + means")
    (problem,) = [o for o in again.build() if not o.ok]
    assert "the cell 'centre-columns-check' raised AssertionError" in problem.text


# ---------------------------------------------------------------- each lesson alone


@pytest.fixture
def two(course):
    """The sample and, built as a second lesson, a few cells without any exercise of their own."""
    course.other = course.root / "solutions" / "01_other.py"
    course.other.write_text(
        '# %% [markdown] id="head"\n# # 1. See {{exercise:mean-image}}.\n\n'
        '# %% id="sum"\nprint(1 + 1)\n',
        encoding="utf-8",
    )
    return course


def break_sample(course):
    course.edit("mean.shape", "maen.shape")


def test_a_broken_lesson_blocks_no_other(two):
    break_sample(two)
    assert [o.kind for o in two.build(names=["01"])] == ["written", "written", "executed"]
    assert "See 0.3." in cells(two.place.lesson("01_other"))["head"].source
    assert two.problems(names=["01"]) == []
    assert not two.place.lesson("00_sample").exists()
    (problem,) = two.problems(names=["00"])
    assert "uses the name 'maen'" in problem


def test_the_good_lessons_are_built_and_every_problem_is_told_at_the_end(two):
    break_sample(two)
    lines = []
    outcomes = two.build(log=lines.append)
    assert [o.kind for o in outcomes] == ["written", "written", "executed", "problem"]
    assert two.place.solved("01_other").exists()
    assert not two.place.lesson("00_sample").exists()
    assert not two.place.reference("00_sample").exists()
    executing = lines.index("executing solutions/01_other.ipynb ...")
    assert lines.index(outcomes[-1].text) < executing  # nobody waits for a mistake in the text
    assert len(two.problems()) == 1  # nor is the broken lesson out of date


def test_references_are_written_and_compared_for_the_chosen_lessons(built, two):
    two.build(names=["01"])
    assert [p.name for p in two.place.references.iterdir()] == ["__init__.py"]
    two.build(execute=False)
    path = two.place.reference("00_sample")
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n", encoding="utf-8")
    assert two.problems(names=["01"]) == []
    two.build(names=["01"])
    assert path.read_text(encoding="utf-8") == text + "\n"
    two.build(names=["00"], execute=False)
    assert path.read_text(encoding="utf-8") == text


def test_a_slug_in_two_lessons_is_told_for_either_alone(two):
    two.other.write_text(two.source.read_text(encoding="utf-8"), encoding="utf-8")
    line = 1 + two.source.read_text(encoding="utf-8").splitlines().index(
        '# %% id="file-sum" exercise="file-sum"'
    )
    for name, sentence in (
        ("00_sample", "the exercise 'file-sum' is also one of 01_other."),
        ("01_other", "the exercise 'file-sum' is already one of 00_sample."),
    ):
        problems = two.problems(names=[name])
        assert f"solutions/{name}.py:{line}: {sentence}" in problems
        assert all(p.startswith(f"solutions/{name}.py:") for p in problems)


def test_a_header_that_is_not_understood_makes_only_the_numbers_behind_it_unknown(two):
    two.edit('# %% id="file-sum" exercise="file-sum"', '# %% id="file-sum" exercise=file-sum')
    (problem,) = two.problems(names=["01"])
    assert problem.startswith(
        "solutions/01_other.py:2: in the cell 'head', {{exercise:mean-image}}"
    )
    assert re.search(r"Not read yet: solutions/00_sample\.py:\d+ and what stands behind", problem)
    text = two.other.read_text(encoding="utf-8")
    two.other.write_text(text.replace("mean-image", "centre-columns"), encoding="utf-8")
    assert all(o.ok for o in two.build(names=["01"], execute=False))
    assert "See 0.1." in cells(two.place.lesson("01_other"))["head"].source


def test_a_source_that_is_no_text_is_a_sentence_and_blocks_no_other(two):
    two.source.write_bytes(two.source.read_bytes() + b'# %% id="last"\n"\xff"\n')
    two.other.write_text('# %% id="sum"\nprint(1 + 1)\n', encoding="utf-8")
    assert two.problems(names=["01"], check=False, execute=False) == []
    (problem,) = two.problems(names=["00"])
    lines = two.source.read_bytes().count(b"\n")
    assert problem.startswith(f"solutions/00_sample.py:{lines}: not text in UTF-8")
    (two.root / "solutions" / "02_Bad.py").write_text("", encoding="utf-8")
    assert two.problems(names=["01"], check=False, execute=False) == []
    assert "02_Bad.py: a lesson's source is called NN_name.py, as 01_training.py." in two.problems()


def test_a_registry_that_does_not_load_hides_no_mistake_in_the_text(two, monkeypatch):
    def broken(numbers):
        raise SourceError(["course_lib.exercises does not load: ImportError: no"])

    monkeypatch.setattr(Registry, "of_the_course", broken)
    break_sample(two)
    first, second = two.problems(registry=None)
    assert "uses the name 'maen'" in first
    assert "does not load" in second


def test_a_mistake_in_the_text_is_told_before_torch_is_imported(tmp_path):
    code = (
        "import sys\nfrom course_lib.authoring import build\nfrom course_lib import storage\n"
        "from course_lib.authoring.registry import Registry\nfrom pathlib import Path\n"
        "place = build.Place(Path(sys.argv[1]), Path(sys.argv[1]), storage.ASSETS / 'records')\n"
        "def log(line):\n    print('torch' in sys.modules, line)\n    sys.exit()\n"
        "build.build(place=place, log=log)\n"
    )
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "00_x.py").write_text(
        '# %% [markdown] id="a" task="plane"\n# {{=paper.TABLE1["FC10(1)"].test_error|.1%}}\n'
        '# %% id="b" exercise="plane"\n'
        "### SOLUTION FROM course_lib.attacks.measures.distortion\n",
        encoding="utf-8",
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("False solutions/00_x.py:3: "), run.stdout


def test_the_command_tells_problems_last_and_once(two, monkeypatch, capsys):
    monkeypatch.setattr(build.Place, "checkout", lambda: two.place)
    monkeypatch.setattr(Registry, "of_the_course", lambda numbers: sample_course.REGISTRY)
    break_sample(two)
    assert cli.main(["build", "00"]) == 1
    (problem,) = capsys.readouterr().out.splitlines()
    assert cli.main(["build", "--no-execute"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[-1] == problem
    assert lines[-2] == "What is wrong (1):"
    assert "lessons/01_other.ipynb: written." in lines
    assert cli.main(["build", "01", "--no-execute"]) == 0


# ---------------------------------------------------------------- mistakes in a source

MISTAKES = {
    "no end": (
        "    return table - means\n    ### END SOLUTION",
        "    return table - means",
        "BEGIN",
    ),
    "no begin": ("    ### BEGIN SOLUTION\n    means", "    means", "### END SOLUTION without its"),
    "crossed marks": (
        "    return total / len(images)\n    ### END SOLUTION",
        "    return total / len(images)\n    ### END BUG",
        "### END BUG without its ### BEGIN BUG",
    ),
    "nested": (
        "    return table - means\n",
        "    ### BEGIN SOLUTION\n    return table - means\n",
        "### BEGIN SOLUTION inside the SOLUTION begun in line",
    ),
    "misspelt mark": (
        "    ### BEGIN SOLUTION\n    means",
        "    ## begin solution\n    means",
        "mark",
    ),
    "empty solution": (
        "    means = np.asarray(table).mean(axis=0, keepdims=True)\n    return table - means\n",
        "",
        "the solution is empty",
    ),
    "bug without #|": ("    #| total = images.sum()\n", "    total = 1\n", "begins with '#| '"),
    "empty bug": (
        "    #| total = images.sum()\n    #|\n    #| return total / len(images)\n",
        "",
        "the BUG block is empty",
    ),
    "a bug alone": (
        '"""The table (n, k) with columns of mean zero."""\n',
        '"""The table."""\n    ### BEGIN BUG\n    #| pass\n    ### END BUG\n',
        "stands right after a solution",
    ),
    "a solution outside an exercise": (
        "### BEGIN STUB\n#| guess = None  # a number, or (low, high)\n### END STUB\n",
        "",
        "needs a '### BEGIN STUB' block",
    ),
    "no check": (
        '# %% id="centre-columns-check" check="centre-columns"\n',
        '# %% id="centre-columns-check"\n',
        "the exercise 'centre-columns' has no cell with check=",
    ),
    "check without exercise": (
        '# %% id="centre-columns" exercise="centre-columns"\n',
        '# %% id="centre-columns"\n',
        "a check of 'centre-columns', but no cell with exercise=",
    ),
    "no task": (' task="file-sum"', "", "has no cell with task="),
    "unknown slug": (
        'exercise="file-sum"',
        'exercise="file-sums"',
        "exercise=\"file-sums\" stands here alone; did you mean 'file-sum', which is the task in",
    ),
    "unknown slug in all cells": (
        "file-sum",
        "file-smu",
        "there is no exercise 'file-smu'; did you mean 'file-sum'? Its module would be "
        "course_lib/exercises/lesson00/file_smu.py.",
    ),
    "slug of the task": ('task="file-sum"', 'task="file-smu"', "which is the exercise in line"),
    "slug of the check": (
        ' check="file-sum"',
        ' check="file-smu"',
        "did you mean 'file-sum', which",
    ),
    "slug of the call": (
        'check("file-sum"',
        'check("file-smu"',
        "needs a line as file_sum = check(",
    ),
    "function of the call": (
        '-sum", sha256)',
        '-sum", sha265)',
        "needs a line as file_sum = check(",
    ),
    "check of another": (
        'sha256 = check("file-sum", sha256)',
        'sha256 = check("mean-image", sha256)',
        "needs a line as file_sum = check(",
    ),
    "result of the check not kept": (
        'sha256 = check("file-sum", sha256)',
        'check("file-sum", sha256)',
        "needs a line as file_sum = check(",
    ),
    "two exercises of a slug": (
        'exercise="mean-image"',
        'exercise="centre-columns"',
        "two exercise cells of the exercise 'centre-columns'",
    ),
    "no id": ('# %% id="images"', "# %%", "this cell has no id"),
    "bad id": ('# %% id="images"', '# %% id="Images!"', "'Images!' is not a slug"),
    "id twice": ('# %% id="images"', '# %% id="imports"', "already that of the cell in line"),
    "unknown option": ('id="images"', 'id="images" excercise="x"', "did you mean 'exercise'?"),
    "unknown tag": ('"columns" tags=["result"]', '"columns" tags=["results"]', "mean 'result'?"),
    "tags not a list": ('"columns" tags=["result"]', '"columns" tags="result"', "tags are a list"),
    "option not json": ('id="images"', "id='images'", 'has key="value" pairs; not: id='),
    "unknown kind": ('# %% [markdown] id="intro"', '# %% [md] id="intro"', "not [md]"),
    "text before": ('# %% [markdown] id="intro"', 'x = 1\n# %% [markdown] id="intro"', "before"),
    "text not commented": ("# It belongs", "It belongs", "begins with '# '"),
    "no such module": ("course_lib.storage.sha256", "course_lib.stowage.sha256", "no module"),
    "no such function": (
        "course_lib.storage.sha256",
        "course_lib.storage.sha265",
        "course_lib.storage has no function 'sha265'; did you mean 'sha256'?",
    ),
    "from with more": (
        "### SOLUTION FROM course_lib.storage.sha256",
        "### SOLUTION FROM course_lib.storage.sha256\nx = 1",
        "stands alone",
    ),
    "not imported": ("import hashlib\n", "", "course_lib.storage.sha256 uses 'hashlib' from its"),
    "imported otherwise": (
        "import hashlib\n",
        "import os as hashlib\n",
        "which is 'import hashlib' in its module, but 'import os as hashlib' in the lesson",
    ),
    "no docstring": (
        '    """The table (n, k) with columns of mean zero."""\n',
        "",
        "has no docstring: the stub would be empty",
    ),
    "nothing left of the stub": (
        'def centre_columns(table):\n    """The table (n, k) with columns of mean zero."""\n'
        "    ### BEGIN SOLUTION\n",
        '### BEGIN SOLUTION\ndef centre_columns(table):\n    """Doc."""\n',
        "",  # marks of unequal indent are still balanced; the stub has no function
    ),
    "another name": (
        "def centre_columns",
        "def center_columns",
        ":33: in the solved notebook, the exercise 'centre-columns' defines no function "
        "'centre_columns', which is asked, but 'center_columns': rename one of the two.",
    ),
    "not marked": (
        "    ### BEGIN SOLUTION\n    means = np.asarray(table).mean(axis=0, keepdims=True)\n"
        "    return table - means\n    ### END SOLUTION",
        "    return table",
        "has no marked solution",
    ),
    "not python": ("    return table - means", "    return table -", "is not Python in the solved"),
    "the lesson's not python": (
        "#| guess = None",
        "#| guess = = None",
        "is not Python in the lesson",
    ),
    "unknown name": ("mean.shape", "maen.shape", "uses the name 'maen', which no earlier cell"),
    "two statements": (
        "    return table - means",
        "    mean = 1\n    return table - - means)",
        ":38: the cell is not Python in the solved notebook: unmatched ')'",
    ),
    "unknown name in a solution": ("return table - means", "return table - maens", "name 'maens'"),
    "leans on a global": (
        "    means = np.asarray(table)",
        "    rng.random()\n    means = np.asarray(table)",
        "leans on the notebook's 'rng'",
    ),
    "too wide": (
        "mean.shape",
        "mean.shape  # " + "x" * 80,
        "a code cell of a notebook has at most 79",
    ),
    "magic": ("mean.shape", "# %time mean.shape", "no magics"),
    "shell": ("mean.shape", "!ls", "no magics"),
    "unknown prediction": (
        "#| guess = None",
        '#| check("mean-imag", mean_image)\n#| guess = None',
        "check('mean-imag'): there is none of that name; did you mean 'mean-image'?",
    ),
    "prose: no such record": ('records["sample"]', 'records["simple"]', "KeyError: 'simple'"),
    "prose: not python": ('["error"]|', '["error"|', "SyntaxError"),
    "prose: bad format": ("|.2%}}", "|.2q}}", "cannot be formatted as '.2q'"),
    "prose: a builtin": ('{{=records["sample"]["error"]|', "{{=open('x')|", "NameError"),
    "prose: not closed": ("|.2%}}", "|.2%}", "mark-up not understood"),
    "prose: unknown exercise": (
        "{{exercise:file-sum}}",
        "{{exercise:fil-sum}}",
        "mean 'file-sum'?",
    ),
    "prose: a percentage without data": (
        "It belongs to the tests",
        "It errs on 1.64 % and belongs to the tests",
        "sample.py:9: 1.64 % stands bare in the text",
    ),
    "prose: a number without data": (
        "It belongs to the tests",
        "Its distortion is 0.0378, and it belongs to the tests",
        "sample.py:9: 0.0378 stands bare in the text",
    ),
    "prose: a blank": ("{{exercise:file-sum}}", "{{ exercise:file-sum}}", "mark-up not understood"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_source_is_a_sentence(course, name):
    old, new, sentence = MISTAKES[name]
    if name == "unknown slug in all cells":
        text = course.source.read_text(encoding="utf-8")
        course.source.write_text(text.replace(old, new), encoding="utf-8")
    else:
        course.edit(old, new)
    problems = course.problems(check=False)
    assert any(sentence in problem for problem in problems), problems
    for problem in problems:
        assert re.match(r"solutions/00_sample\.py:\d+: \S", problem)
    assert len(problems) == 1  # what only follows from a mistake is not told
    assert not (course.root / "lessons").exists()  # nothing was written
    assert not course.place.references.exists()


def test_the_line_of_a_mistake_is_right(course):
    course.edit("mean.shape", "maen.shape")
    (problem,) = course.problems()
    line = int(problem.split(":")[1])
    lines = course.source.read_text(encoding="utf-8").splitlines()
    assert lines[line - 2] == '# %% id="mean-of-means" tags=["result"]'
    course.edit("maen.shape", "mean.shape  # " + "x" * 80)
    (problem,) = course.problems()
    assert "x" * 80 in lines[0] or int(problem.split(":")[1]) == lines.index("maen.shape") + 1


def test_all_mistakes_are_told_at_once(course):
    course.edit('# %% id="images"', "# %%")
    course.edit("mean.shape", "maen.shape")
    assert len(course.problems()) == 2


def test_a_long_library_function_is_too_wide_for_a_notebook(course, tmp_path, monkeypatch):
    module = tmp_path / "wide_module.py"
    module.write_text(
        f'def sha256(path):\n    """Doc."""\n    return {"1" * 80}\n', encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    course.edit("course_lib.storage.sha256", "wide_module.sha256")
    assert any("wide_module.py:3, which the notebook shows, has 91" in p for p in course.problems())


def test_the_same_exercise_in_two_lessons(course):
    text = course.source.read_text(encoding="utf-8")
    (course.root / "solutions" / "01_other.py").write_text(text, encoding="utf-8")
    assert any("is already one of 00_sample" in p for p in course.problems())


def test_no_sources_and_wrong_names(tmp_path):
    place = build.Place(tmp_path, tmp_path, tmp_path)
    assert "no lesson sources" in build.build(place=place, registry=sample_course.REGISTRY)[0].text
    with pytest.raises(SourceError, match=r"is called NN_name\.py"):
        read(tmp_path / "training.py")
    with pytest.raises(SourceError, match="There is no lesson source"):
        read(tmp_path / "01_training.py")


def test_an_installed_course_cannot_be_built(monkeypatch):
    monkeypatch.setattr(storage, "checkout", lambda: None)
    (outcome,) = build.build()
    assert not outcome.ok
    assert "needs the course's repository" in outcome.text


def test_free_names():
    import ast

    tree = ast.parse(
        "import numpy as np\n"
        "def f(x, y=default):\n"
        "    z = [w + x for w in y]\n"
        "    return np.sum(z) + helper(z) + len(z)\n"
        "result = f(data)\n"
    )
    assert free(tree) == {"default", "helper", "data"}


def test_judging_the_sample_finds_nothing():
    source = read(sample_course.HERE / "solutions" / "00_sample.py")
    judge(source, sample_course.REGISTRY.slugs)
    assert source.problems == []


# ---------------------------------------------------------------- the maintainer's asserts


def lesson_text(tmp_path, code, header='id="a"'):
    """What the lesson and the solved notebook have for a cell, and the problems."""
    path = tmp_path / "00_x.py"
    path.write_text(f"# %% {header}\n{code}\n", encoding="utf-8")
    source = read(path)
    shapes = judge(source)
    view = next(iter(shapes.values()))
    assert view.solved == code or "###" in code  # there, nothing is left out
    return view.lesson, source.problems


@pytest.mark.parametrize(
    ("code", "lesson"),
    [
        ("x = 1\nassert x", "x = 1"),
        ("x = 1\nassert x  # why", "x = 1"),
        ("x = 1\nassert x, 'Run it again.'", "x = 1\nassert x, 'Run it again.'"),
        ("x = 1\nassert x, ''\nassert x", "x = 1\nassert x, ''"),
        ("x = 1\nassert (\n    x\n    # one\n    == 1\n)\ny = x", "x = 1\ny = x"),
        ("assert 1\n\nx = 1", "x = 1"),
        ("x = 1\n\nassert x\n\ny = x", "x = 1\n\ny = x"),
        ("x = 1\n\nassert x\n\n\ndef f():\n    return x", "x = 1\n\n\ndef f():\n    return x"),
        ("x = 1\nassert x\n\ny = x", "x = 1\n\ny = x"),
        ("x = 1\n\nassert x\ny = x", "x = 1\n\ny = x"),
        ("for x in [1]:\n    assert x\n\n    print(x)", "for x in [1]:\n    print(x)"),
        ("for x in [1]:\n    print(x)\n    assert x\nassert x", "for x in [1]:\n    print(x)"),
        ('def f(x):\n    """Doc."""\n    assert x', 'def f(x):\n    """Doc."""'),
        ("if 1:\n    x = 1\n    assert x\nelse:\n    x = 2", "if 1:\n    x = 1\nelse:\n    x = 2"),
        ('x = """\nassert 1\n"""', 'x = """\nassert 1\n"""'),  # no statement, but a text
        ("é = 'é'; x = 1\nassert é == 'é'  # é", "é = 'é'; x = 1"),
        # a comment above goes where it can speak of nothing but the asserts
        ("x = 1\n# one\n# of them\nassert x\nassert x == 1", "x = 1"),
        ("x = 1\n# one\nassert x\n\ny = x", "x = 1\n\ny = x"),
        ("x = 1\n# one\nassert x\n# two\ny = x", "x = 1\n# two\ny = x"),
        ("x = 1\n# two lines\nassert x\ny = x", "x = 1\n# two lines\ny = x"),
        ("x = 1\n# of all\n\nassert x", "x = 1\n# of all"),
        ("for x in [1]:\n    x\n    # in\n    assert x\nprint()", "for x in [1]:\n    x\nprint()"),
        ("for x in [1]:\n    x\n# out\nassert x", "for x in [1]:\n    x"),
        ('x = """\n# no comment"""\nassert x', 'x = """\n# no comment"""'),
        # what the last line shows
        ("x = 1\nprint(x)\nassert x", "x = 1\nprint(x)"),
        ("x = 1\nassert x\nx", "x = 1\nx"),
    ],
)
def test_asserts_without_a_message_are_left_out_of_the_lesson(tmp_path, code, lesson):
    assert lesson_text(tmp_path, code) == (lesson, [])


@pytest.mark.parametrize(
    ("code", "line", "sentence"),
    [
        ("assert 1", 2, "this cell has nothing else. Give it a message"),
        ("# why\nassert 1\n# more", 3, 'or tag the cell "solution-only".'),
        ("for x in [1]:\n    assert x\n    assert 1", 3, "this block has nothing else."),
        ("x = 1\nif x:\n    print()\nelse:\n    assert x", 6, "this block has nothing else."),
        ("with open('x'):\n    assert 1", 3, "or write it as one assert all(...)."),
        ("def f(x):\n    assert x\n\n\nf(1)", 3, "this block has nothing else."),
        ("try:\n    x = 1\nexcept OSError:\n    assert 1", 5, "this block has nothing else."),
        ("match 1:\n    case 1:\n        assert 1", 4, "this block has nothing else."),
        ("x = 1; assert x", 2, "needs a line of its own."),
        ("x = 1\nassert x; y = 2", 3, "needs a line of its own."),
        ("x = 'é'\nif x: assert x", 3, "needs a line of its own."),
        ("x = 1\nx\nassert x", 3, "show this value, in the lesson alone: put it behind them"),
        ("x = {}\nx.get(1)\nassert 1", 3, "show this value, in the lesson alone"),
        (
            "### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n### BEGIN STUB\n#| x = 2\n#|\n"
            "#| assert x\n### END STUB\ny = x",
            2,
            "an assert without a message in a STUB block is in neither notebook.",
        ),
        (
            "### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n### BEGIN STUB\n#| x = 2\n"
            "### END STUB\nif x:\n    assert x",
            9,
            "this block has nothing else.",
        ),
    ],
)
def test_an_assert_that_cannot_be_left_out_is_a_sentence(tmp_path, code, line, sentence):
    _, (problem,) = lesson_text(tmp_path, code)
    assert problem.startswith(f"{tmp_path.name}/00_x.py:{line}: ")
    assert sentence in problem


def test_a_cell_for_teachers_may_be_asserts_alone(tmp_path):
    header = 'id="a" tags=["solution-only"]'
    assert lesson_text(tmp_path, "assert 1", header)[1] == []


def test_the_asserts_of_an_exercises_cell_stay(course):
    course.edit(
        "    ### BEGIN SOLUTION\n    means =",
        "    assert len(table)\n    ### BEGIN SOLUTION\n    means =",
    )
    course.build(execute=False)
    lesson = cells(course.place.lesson("00_sample"))
    assert "    assert len(table)\n    # YOUR CODE HERE" in lesson["centre-columns"].source


def test_the_asserts_run_in_the_solved_notebook(built):
    text = "assert abs(centred.mean(axis=0)).max() < 1e-12"
    assert text in cells(built.place.solved("00_sample"))["columns"].source
    assert text not in built.place.lesson("00_sample").read_text(encoding="utf-8")


def test_a_name_that_only_an_assert_binds_is_missing_in_the_lesson(course):
    course.edit("mean.shape", 'assert (mine := mean.shape)\n\n# %% id="later"\nprint(mine)')
    (problem,) = course.problems()
    assert (
        "the cell 'later' uses the name 'mine', which no earlier cell of the lesson binds"
        in problem
    )


# ---------------------------------------------------------------- the length of a cell


def test_a_cell_of_the_lesson_has_at_most_25_lines(tmp_path):
    code = "\n".join(["x = 1", *[""] * 23, "y = 2"])
    assert lesson_text(tmp_path, code)[1] == []
    (problem,) = lesson_text(tmp_path, "z = 3\n" + code)[1]
    sentence = "the cell 'a' has 26 lines in the lesson, of at most 25: make it two, or shorter."
    assert problem == f"{tmp_path.name}/00_x.py:1: {sentence}"
    assert lesson_text(tmp_path, "z = 3\n" + code, 'id="a" tags=["solution-only"]')[1] == []


def test_what_the_lesson_has_not_does_not_count(tmp_path, course):
    code = "\n".join(["x = 1", *[""] * 23, "y = 2", "assert x", "assert y"])
    assert lesson_text(tmp_path, code)[1] == []
    course.edit("    means = np", "    # a long solution" + "\n    #" * 30 + "\n    means = np")
    course.edit("    #| total = images.sum()\n", "    #| total = images.sum()\n" * 20)
    assert course.problems(check=False, execute=False) == []


@pytest.mark.parametrize(("lines", "told"), [(20, False), (21, True)])
def test_the_stub_of_an_exercise_counts(course, lines, told):
    course.edit(
        "The table (n, k) with columns of mean zero.",
        "The table (n, k) with columns of mean zero." + "\n    x" * lines + "\n    ",
    )
    problems = course.problems(check=False, execute=False)
    assert len(problems) == told
    assert all("'centre-columns' has 26 lines in the lesson, of at" in p for p in problems)


def test_the_docstring_of_a_library_solution_counts(course, tmp_path, monkeypatch):
    text = '    """Doc.\n' + "\n" * 21 + '    """\n    return hashlib.sha256(path)\n'
    (tmp_path / "long_module.py").write_text(
        f"import hashlib\n\n\ndef sha256(path):\n{text}", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    course.edit("course_lib.storage.sha256", "long_module.sha256")
    (problem,) = course.problems()
    assert "the cell 'file-sum' has 26 lines in the lesson, of at most 25" in problem


# ---------------------------------------------------------------- mistakes in the registry


def registered(slug="file-sum", **changes):
    """The sample's registry, in which the exercise ``slug`` is changed, or added."""
    exercises = dict(sample_course.REGISTRY.exercises)
    before = vars(exercises.get(slug) or exercises["file-sum"])
    exercises[slug] = SimpleNamespace(**{**before, "slug": slug, **changes})
    return Registry(exercises, Registered(set(exercises), {"a-guess"}, {"a-quiz"}, {"an-answer"}))


WHERE = "exercises/lesson00/file_sum.py:7"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("title", 5, 'title is a text, as title="The nearest plane"; not 5.'),
        ("title", " ", "title is a text, as title=\"The nearest plane\"; not ' '."),
        ("title", None, 'title is a text, as title="The nearest plane"; not nothing.'),
        ("difficulty", 0, "difficulty is one of 1, 2, 3, 4, 5; not 0."),
        ("difficulty", 6, "difficulty is one of 1, 2, 3, 4, 5; not 6."),
        ("difficulty", 2.5, "difficulty is one of 1, 2, 3, 4, 5; not 2.5."),
        ("difficulty", "2", "difficulty is one of 1, 2, 3, 4, 5; not '2'."),
        ("difficulty", True, "difficulty is one of 1, 2, 3, 4, 5; not True."),
        ("minutes", "15", "minutes is a number above 0, as minutes=15; not '15'."),
        ("minutes", -1, "minutes is a number above 0, as minutes=15; not -1."),
        ("minutes", float("nan"), "minutes is a number above 0, as minutes=15; not nan."),
        ("hints", "Look.", "hints is a list of texts, as hints=[\"Which axis?\"]; not 'Look.'."),
        ("hints", ["Look.", 2], "hint 2 is a text; not 2."),
        ("hints", [""], "hint 1 is a text; not ''."),
        (
            "hints",
            ["Which axis?Down a column.", "`mean`"],
            "hint 1 says 's?Down', two sentences without a blank: a comma between two hints is",
        ),
        ("hints", ["Use `mean`.Down."], "hint 1 says '`.Down', two sentences"),
        ("hints", ["Take the mean.Down."], "hint 1 says 'mean.Down', two sentences"),
        (
            "hints",
            ["Which axis?", "<details>Down a column.</details>"],
            "hint 2 has <details>: each hint is folded by the builder; write its words alone.",
        ),
        ("lesson", 4, "it is one of lesson 04, but stands in solutions/00_sample.py:"),
    ],
)
def test_a_wrong_entry_is_a_sentence_with_its_place(course, name, value, sentence):
    registry = registered(where=WHERE, **{name: value})
    (problem,) = course.problems(registry=registry, check=False)
    assert problem.startswith(f"{WHERE}: the exercise 'file-sum': {sentence}")
    assert not (course.root / "lessons").exists()


@pytest.mark.parametrize(
    "hint", ["`torch.Tensor.T` is it.", "E.g. 0.5; see `a.B`. Then more.", "nn.Linear, x.T"]
)
def test_code_and_numbers_in_a_hint_are_no_lost_comma(course, hint):
    assert course.problems(registry=registered(hints=[hint]), check=False, execute=False) == []


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (
            lambda: Exercise(title="The *net*", difficulty=1, minutes=1, cases=list),
            "its title says '*net*', which is shown as it stands: nothing is drawn there.",
        ),
        (
            lambda: Exercise(title="The `net`", difficulty=1, minutes=1, cases=list),
            "its title says '`', which is shown as it stands: nothing is drawn there.",
        ),
        (
            lambda: Exercise(title="A", difficulty=1, minutes=1, cases=list, done="See $x$."),
            "`done` says '$x$', which is shown as it stands: only `code` is drawn there.",
        ),
    ],
)
def test_marks_that_nobody_draws_are_told(build, sentence):
    told = [text for _, text in cards.card(build())]
    assert f"the exercise '': {sentence}" in told
    assert sum("as it stands" in text for text in told) == 1


def test_marks_in_the_sentence_of_a_mistake_are_told_where_it_stands():
    exercise = Exercise(title="A", difficulty=1, minutes=1, cases=list)
    exercise.mistake("doubled", "This is **twice** too much: leave `2 *` out.")(abs)
    ((where, text),) = [one for one in cards.card(exercise) if "as it stands" in one[1]]
    assert re.match(r"test_authoring\.py:\d+$|tests/test_authoring\.py:\d+$", where)
    assert text.startswith("the mistake 'doubled' of '': its sentence says '**twice**'")


@pytest.mark.parametrize(
    ("kind", "entry", "sentence"),
    [
        ("predict", Prediction("Which *error*?", unit="%"), "its question says '*error*'"),
        ("quiz", Quiz("Which?", [Option("`a`", True, ""), Option("b", False, "")]), "the option"),
        ("quiz", Quiz("Which?", [Option("a", True, "_b_"), Option("b", False, "")]), "feedback of"),
        ("answer", ShortAnswer("Why?", ["It says $x$."]), "its rubric says '$x$'"),
    ],
)
def test_marks_in_a_question_are_told_where_it_stands(course, kind, entry, sentence):
    entry.lesson, entry.where = 0, "exercises/lesson00/questions.py:4"
    slug = "a-question"
    course.edit("mean.shape", f'{kind}("{slug}")')
    course.edit("import check", f"import check, {kind}")
    registry = registered()
    setattr(registry.slugs, kind, {slug: entry})
    (problem,) = course.problems(registry=registry, check=False)
    assert problem.startswith(f"{entry.where}: {kind} '{slug}': ")
    assert sentence in problem


def test_an_entry_that_does_not_know_its_place_is_told_at_its_cells(course):
    (problem,) = course.problems(registry=registered(minutes="15"))
    assert re.match(r"solutions/00_sample\.py:\d+: the exercise 'file-sum': minutes is", problem)


def test_an_exercise_that_no_lesson_uses_is_a_problem_of_its_lesson(two):
    registry = registered("new", lesson=0, where="exercises/lesson00/new.py:3")
    sentence = (
        "exercises/lesson00/new.py:3: no lesson uses the exercise 'new': give it its cells, "
        "or delete it."
    )
    assert sentence in two.problems(registry=registry)
    assert two.problems(registry=registry, names=["00"]) == [sentence]
    assert two.problems(registry=registry, names=["01"], check=False, execute=False) == []


@pytest.mark.parametrize("lesson", [None, 9])
def test_an_exercise_of_no_lesson_at_all_blocks_none(course, lesson):
    outcomes = course.build(registry=registered("new", lesson=lesson), execute=False)
    assert [o.text for o in outcomes if not o.ok] == [
        "course_lib.exercises: no lesson uses the exercise 'new': give it its cells, or delete it."
    ]
    assert course.place.lesson("00_sample").exists()
    options = {"registry": registered("new"), "names": ["00"], "check": False, "execute": False}
    assert course.problems(**options) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('exercise="file-sum"', 'exercise="file-sums"'),
        ('exercise="file-sum"', "exercise=file-sum"),
        ('# %% id="file-sum" exercise="file-sum"', '# %% id="file-sum"'),
    ],
)
def test_a_misspelt_slug_is_not_also_an_exercise_that_no_lesson_uses(course, old, new):
    course.edit(old, new)
    problems = course.problems()
    assert problems
    assert not any("no lesson uses" in problem for problem in problems)


def test_sentences_of_the_registry_are_passed_on_and_block_their_lesson_alone(monkeypatch):
    from course_lib.exercises import registry

    load = registry.load

    def broken(number):
        if number == 1:
            raise registry.RegistryError(["a", "b"])
        return load(number)

    monkeypatch.setattr(registry, "load", broken)
    known = Registry.of_the_course([0, 1])
    assert known.problems == {1: ["a", "b"]}
    assert list(known.exercises) == ["pixel-rms"]
    assert "stable-cross-entropy" in known.slugs.check


# ---------------------------------------------------------------- prose


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("0.0164|.2%", "1.64%"),
        ("records['a'][0] * 2", "6"),
        ("max(records['a'])|.1f", "4.0"),
        ("7 | 8 |d", "15"),  # the format is behind the last bar
    ],
)
def test_expressions(markup, text):
    assert prose.evaluate(markup, {"records": {"a": [3, 4]}}) == text


def test_the_singular_minute():
    text = prose.task("Do.", "1.1", "A", 1, 1, [])
    assert text == "### Exercise 1.1: A  (difficulty ●○○○○, about 1 minute)\n\nDo."


# ---------------------------------------------------------------- the fingerprint


def test_substance_ignores_what_changes_no_result():
    one = (
        '"""Doc."""\nX = "#1"  # why\n\ndef f(a):\n    """Doc.\n\n    more"""\n    return a  # b\n'
    )
    two = 'X = "#1"\ndef f(a):\n    return a\n'
    assert execute.substance(one) == execute.substance(two) == two.rstrip()
    assert execute.substance(two) != execute.substance(two.replace("return a", "return -a"))
    assert execute.substance('def f(): "doc"\n') == 'def f(): "doc"'


def test_every_module_of_the_package_has_a_substance():
    for path in storage.PACKAGE.rglob("*.py"):
        text = execute.substance(path.read_text(encoding="utf-8"))
        compile(text or "pass", str(path), "exec") if "def" not in text else None


def test_the_modules_that_code_reads():
    read_by = execute.modules_read
    assert read_by("import numpy") == []
    assert read_by("from course_lib import data") == [
        "course_lib.checked",
        "course_lib.data",
        "course_lib.device",
        "course_lib.storage",
    ]
    assert read_by("from course_lib.storage import home") == ["course_lib.storage"]
    assert read_by("from course_lib.exercises import check") == []
    assert read_by("from course_lib.authoring import build") == []


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules in the place of course_lib."""
    root = tmp_path / "kit"
    (root / "sub").mkdir(parents=True)
    (root / "_assets" / "records").mkdir(parents=True)
    (root / "_assets" / "zoo").mkdir()
    (root / "a.py").write_text("def f():\n    from . import b\n    return b\n", encoding="utf-8")
    (root / "b.py").write_text("from .sub import c\n", encoding="utf-8")
    (root / "sub" / "__init__.py").write_text("from . import c\n", encoding="utf-8")
    (root / "sub" / "c.py").write_text("C = 1\n", encoding="utf-8")
    (root / "zoo.py").write_text("Z = 1\n", encoding="utf-8")
    (root / "other.py").write_text("O = 1\n", encoding="utf-8")
    monkeypatch.setattr(storage, "PACKAGE", root)
    monkeypatch.setattr(storage, "ASSETS", root / "_assets")
    return root


def mark(code):
    cell = nbformat.v4.new_code_cell(code, id="x")
    return execute.fingerprint(nbformat.v4.new_notebook(cells=[cell]))


def test_imports_are_followed_through_lazy_and_relative_ones(package):
    assert execute.modules_read("from kit import a") == ["kit.a", "kit.b", "kit.sub", "kit.sub.c"]


def test_the_fingerprint_changes_with_what_is_read_and_with_nothing_else(package):
    def write(name, text):
        (package / name).write_text(text, encoding="utf-8")

    before = mark("from kit import a")
    write("other.py", "O = 2\n")
    write("_assets/zoo/net.bin", "1")
    write("_assets/records/errors.json", "1")
    write("sub/c.py", '"""Doc."""\nC = 1  # one\n')
    assert mark("from kit import a") == before
    assert mark("from kit import a  # x") != before
    write("sub/c.py", "C = 2\n")
    assert mark("from kit import a") != before
    with_zoo, with_record = mark("from kit import zoo"), mark("print('errors')")
    write("_assets/zoo/net.bin", "2")
    write("_assets/records/errors.json", "2")
    assert mark("from kit import zoo") != with_zoo
    assert mark("print('errors')") != with_record


# ---------------------------------------------------------------- running and cleaning


def new(*codes):
    made = [nbformat.v4.new_code_cell(code, id=f"cell-{i}") for i, code in enumerate(codes)]
    return nbformat.v4.new_notebook(cells=made)


def test_the_kernels_environment():
    code = (
        "import os, pathlib\n"
        "[os.environ.get(n) for n in ('COURSE_STRICT', 'COURSE_STATIC', 'COURSE_DEVICE')], "
        "pathlib.Path(os.environ['COURSE_HOME']).is_dir(), 'COURSE_OTHER' in os.environ"
    )
    os.environ["COURSE_OTHER"] = "1"
    try:
        done, notes = execute.execute(new(code))
    finally:
        del os.environ["COURSE_OTHER"]
    assert done.cells[0].outputs[0].data["text/plain"] == "(['1', '1', 'cpu'], True, False)"
    assert notes == []


def test_outputs_are_cleaned_of_this_machine_and_this_run():
    code = (
        "import os, sys, pathlib, warnings, course_lib\n"
        "print(os.environ['COURSE_HOME'], os.getcwd(), sys.prefix)\n"
        "print(course_lib.__file__, pathlib.Path.home() / 'x')\n"
        "print('first\\rsecond')\n"
        "sys.stderr.write(' 50%|#####     | 5/10 [00:01<00:01,  5.0it/s]\\n')\n"
        "object()"
    )
    done, notes = execute.execute(new(code, "import warnings\nwarnings.warn('careful')"))
    out, shown = done.cells[0].outputs
    lines = out.text.splitlines()
    assert lines[0].split() == ["~/course-home", ".", "<python>"]
    assert lines[1].replace(os.sep, "/").split() == ["./course_lib/__init__.py", "~/x"]
    assert lines[2] == "second"
    assert shown.data["text/plain"] == "<object at 0x...>"
    assert len(notes) == 1
    assert "the cell 'cell-1' wrote to stderr: <cell>:2: UserWarning: careful" in notes[0]
    assert "/tmp" not in nbformat.writes(done)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os\nos._exit(1)", "killed its kernel"),
        ("import time\ntime.sleep(60)", "did not end within 3 seconds"),
        ("raise KeyError('x')", "raised KeyError: 'x'"),
        ("import sys\nsys.exit(3)", "raised SystemExit"),
    ],
)
def test_a_run_that_fails_names_its_cell(code, says):
    with pytest.raises(execute.ExecutionError, match=re.escape(says)) as caught:
        execute.execute(new("1", code, "2"), {"cell-1": 12}, "01_x.py", timeout=3)
    assert str(caught.value).startswith("01_x.py:12: the cell 'cell-1' ")


def test_a_failure_in_a_function_of_another_cell_is_told_where_it_stands():
    book = new("def f(x):\n    y = x\n    assert y > x\n", "z = 2\nf(z)")
    with pytest.raises(execute.ExecutionError) as caught:
        execute.execute(book, {"cell-0": [7, 9, 11], "cell-1": [20, 21]}, "01_x.py")
    assert str(caught.value) == (
        "01_x.py:11: the cell 'cell-1' (in a function of 'cell-0') raised AssertionError at "
        "`assert y > x`."
    )


def test_a_widget_in_a_solved_notebook_is_refused():
    with pytest.raises(execute.ExecutionError, match="'cell-0' shows a widget, which is blank"):
        execute.execute(new("import ipywidgets\nipywidgets.IntSlider()"))


def test_a_notebook_that_is_too_big_is_refused_with_its_biggest_output():
    with pytest.raises(execute.ExecutionError, match=r"has 2\.\d MB.*of the cell 'cell-1' \(2"):
        execute.execute(new("print('x' * 1000)", "print('y' * 2_000_000)"))


def test_what_is_stored_is_complained_about():
    notebook = new("1", "2", "3")
    notebook.cells[0].execution_count = 1
    notebook.cells[0].outputs = [
        nbformat.v4.new_output("error", ename="KeyError", evalue="", traceback=[])
    ]
    assert execute.complaints(notebook) == [
        "The cell 'cell-1' (and 1 more) was not executed.",
        "The cell 'cell-0' ended in KeyError.",
    ]


# ---------------------------------------------------------------- comparing results


@pytest.mark.parametrize(
    ("got", "want", "agree"),
    [
        ("error 1.72 %", "error 1.73 %", True),  # a unit of the last place
        ("error 1.72 %", "error 1.75 %", False),
        ("error 1.72 %", "error 1.72", False),
        ("0.12345", "0.12350", True),  # a thousandth
        ("0.12345", "0.12400", False),
        ("7", "8", False),  # small counts are exact
        ("7 of 40", "8 of 40", False),
        ("84%", "85%", True),  # a share is rounded as decimal numbers are
        ("84 %", "85 %", True),
        ("84%", "86%", False),
        ("84%", "84", False),
        ("84 %", "84%", False),
        ("+27 % (22 to 32)", "+27 % (22 to 33)", False),
        ("84.0%", "85.0%", False),
        ("shape (60000, 10)", "shape (60000, 11)", False),
        ("172 wrong", "173 wrong", True),
        ("172 wrong", "180 wrong", False),
        ("1.0e-05", "1.1e-05", True),
        ("1.0e-05", "1.0e-04", False),
        ("-1.5", "1.5", False),
        ("a  b\nc", "a b c\n", True),
        ("FC10 fails", "FC20 fails", False),
        ("nan", "0.5", False),
    ],
)
def test_texts_agree_to_a_stated_tolerance(got, want, agree):
    assert (results.difference(got, want) is None) == agree


def test_results_are_texts_and_not_figures():
    def show(**data):
        return nbformat.v4.new_output(
            "display_data", data={k.replace("_", "/"): v for k, v in data.items()}
        )

    stream = nbformat.v4.new_output("stream", name="stdout", text="1.0\n")
    noise = nbformat.v4.new_output("stream", name="stderr", text="warning\n")
    table = show(text_html="<style>x</style><b>2.0</b>", text_plain="<object>")
    assert results.texts([stream, noise, table, show(image_png="AAA")]) == ["1.0\n", "  2.0 "]
    assert results.compare([stream, noise], [stream]) is None
    assert "printed 1 texts, where 2" in results.compare([stream], [stream, table])
    assert "compares nothing" in results.compare([], [])


def test_generated_json_is_stable(built):
    text = built.place.lesson("00_sample").read_text(encoding="utf-8")
    again = json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert again == text  # what any tool that sorts keys would write


def test_a_stale_fingerprint_is_reported_and_mended(again):
    path = again.place.solved("00_sample")
    text = re.sub(r'("fingerprint": ")\w{4}', r"\1aaaa", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    (problem,) = again.problems()
    assert "was executed before its code, or what that reads, changed" in problem
    assert [o.kind for o in again.build()] == ["executed"]
    assert again.problems() == []
