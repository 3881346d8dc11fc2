"""A class from end to end: exercises given out, submissions graded, each student told."""

import ast
import csv
import html.parser
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
import submissions
from submissions import DECAY, LESSON, STEP
from test_notebooks import SOURCES, leaks, plain, secrets_and_open_lines

from course_lib import cli, exercises, storage, workcopy
from course_lib.classroom import feedback, folder, handed_in, marking, roster, summary
from course_lib.classroom import given as course_version

RIGHT = {slug: submissions.RIGHT[slug] for slug in (DECAY, STEP)}
WRONG = RIGHT[DECAY].replace("weight.square()", "weight.abs()")
UNREADABLE = RIGHT[DECAY].replace('convention="paper"):', 'convention="paper")')
# whose notebook holds which answers; None: as it was given out; "": an empty file
CLASS = {
    "ada": RIGHT,
    "ben": RIGHT | {DECAY: WRONG},
    "cem": {},
    "dot": RIGHT | {DECAY: UNREADABLE},
    "eve": "",
}
# points and statuses that they deserve, in the order of the exercises
DESERVED = {
    "ada": [("8", "PASS"), ("8", "PASS")],
    "ben": [("0", "FAIL"), ("8", "PASS")],
    "cem": [("0", "UNATTEMPTED"), ("0", "UNATTEMPTED")],
    "dot": [("0", "EXCEPTION"), ("8", "PASS")],
    "eve": [("0", "MISSING"), ("0", "MISSING")],
    "flo": [("0", "NOT HANDED IN"), ("0", "NOT HANDED IN")],
}


def course(*arguments):
    return cli.main([str(argument) for argument in arguments])


def assigned(root, name="week-3", *what):
    assert course("assign", name, "--output", root, *(what or ("--exercises", DECAY, STEP))) == 0
    return sorted((root / "release" / name).glob("*.ipynb"))


def hand_in(release, path, answers):
    """What a student hands in: the release with answers in it; "" is an empty file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if answers == "":
        path.write_text("", encoding="utf-8")
        return
    notebook = json.loads(release.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["id"] in answers:
            cell["source"] = answers[cell["id"]].strip("\n").splitlines(True)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def table(root, name="week-3", file="grades.csv"):
    with open(root / "grades" / name / file, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def deserved(*students):
    return [
        {"student": s, "exercise": slug, "points": points, "max": "8", "status": status}
        for s in students or DESERVED
        for slug, (points, status) in zip((DECAY, STEP), DESERVED[s], strict=True)
    ]


# ---------------------------------------------------------------- from end to end


@pytest.fixture(scope="module")
def classroom(tmp_path_factory):
    """A class that was graded after the first grading was killed; and what that told."""
    root = tmp_path_factory.mktemp("of a class") / "class"
    [release] = assigned(root)
    for student, answers in CLASS.items():
        hand_in(release, root / "submitted" / student / "week-3" / f"{LESSON}.ipynb", answers)
    (root / "submitted" / "of-last-week" / "week-2").mkdir(parents=True)
    students = root / "students.csv"
    lines = ["student,name", "ada,Ada Lovelace", *CLASS, "flo,Flora"]
    students.write_text("\n".join(lines), encoding="utf-8")
    command = ["grade", "week-3", "--output", root, "--roster", students]
    env = {**os.environ, "PYTHONPATH": str(storage.PACKAGE.parent)}
    process = subprocess.Popen(
        [sys.executable, "-m", "course_lib", *map(str, command), "--jobs", "1"],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    first = process.stdout.readline()
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.wait(60)
    process.stdout.close()
    assert not (root / "grades" / "week-3" / "grades.csv").exists(), "it was ended before"
    told = subprocess.run(
        [sys.executable, "-m", "course_lib", *map(str, command)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return root, first, told.stdout


def test_everybody_gets_the_points_that_they_deserve(classroom):
    root, *_ = classroom
    assert table(root) == deserved()
    totals = {row["student"]: (row["name"], row["points"], row["max"]) for row in
              table(root, file="totals.csv")}  # fmt: skip
    assert totals["ada"] == ("Ada Lovelace", "16", "16")
    assert totals["ben"] == ("", "8", "16")
    assert totals["flo"] == ("Flora", "0", "16")


def test_what_was_finished_before_it_was_killed_is_not_done_again(classroom):
    _, first, told = classroom
    assert first == "[1/6] ada, lesson 01: 16 of 16 points\n"
    again = re.findall(r"^\[\d/6\] (\w+), .*, as before$", told, re.M)
    assert again[:1] == ["ada"]
    assert "dot" not in again, "the fourth cannot have been finished"


def test_the_table_of_the_whole_class(classroom, capsys):
    root, _, told = classroom
    assert course("grade", "week-3", "--output", root, "--summary") == 0
    text = capsys.readouterr().out
    assert text.strip() in told
    assert "week-3: 5 of 6 students handed in.\nNothing from: flo.\n" in text
    assert re.search(r"^weight-decay +1 of 5 solved it, 3 tried; 1.33 of 8 points", text, re.M)
    assert re.search(r"^training-step +3 of 5 solved it, 3 tried; 4 of 8 points", text, re.M)
    assert re.search(r"^  1 x  Python cannot read the cell", text, re.M)
    assert "ada, line" not in told
    assert "line 3: ada is there twice (first in line 2); counted once." in told


class Page(html.parser.HTMLParser):
    """The tags of a page, its text outside of tags, and what is closed wrongly."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.wrong, self.text = [], [], [], ""
        self.feed(text)
        self.wrong += self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.mark.parametrize("student", list(CLASS))
def test_each_student_gets_a_page(classroom, student):
    root, *_ = classroom
    text = (root / "feedback" / student / "week-3" / f"{LESSON}.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.wrong
    assert ("html", {"lang": "en"}) in page.tags
    assert [tag for tag, _ in page.tags if re.fullmatch(r"h\d", tag)] == ["h1", "h2", "h2"]
    ids = [about["id"] for _, about in page.tags if "id" in about]
    assert ids == [DECAY, STEP]
    assert not re.search(r"https?:|url\(|@import|<script|<link|<img", text)
    assert "prefers-color-scheme: dark" in text
    assert "Traceback" not in text
    assert str(root.parent) not in text
    assert str(storage.PACKAGE.parent) not in text
    total = sum(int(points) for points, _ in DESERVED[student])
    assert f"{total} of 16 points" in page.text
    said = [p for p in re.findall(r"<p>(.*?)</p>", text, re.S) if 'class="word' not in p]
    assert len(said) == len(set(said)), "each sentence once"


def test_the_pages_say_what_is_wrong(classroom):
    root, *_ = classroom

    def text(student):
        path = root / "feedback" / student / "week-3" / f"{LESSON}.html"
        return Page(path.read_text(encoding="utf-8")).text

    assert "Ada Lovelace (ada)" in text("ada")
    assert text("ada").count("Right: 8 of 8 points") == 2
    assert "Not right yet: 0 of 8 points" in text("ben")
    assert "weight.abs().sum()" in text("ben"), "the answer that was graded"
    assert "Python cannot read the cell" in text("dot")
    assert "Right: 8 of 8 points" in text("dot")
    assert text("eve").count("is an empty file") == 1
    assert text("cem").count("Not solved: 0 of 8 points") == 2
    assert not (root / "feedback" / "flo").exists()


def test_who_hands_in_again_is_graded_again(classroom, tmp_path, capsys):
    root = tmp_path / "class"
    shutil.copytree(classroom[0], root)
    [release] = sorted((root / "release" / "week-3").glob("*.ipynb"))
    hand_in(release, root / "submitted" / "cem" / "week-3" / f"{LESSON}.ipynb", {DECAY: WRONG})
    # by what it is of: the files' names are digests, whose order is another for other code
    eve = storage.sha256(root / "submitted" / "eve" / "week-3" / f"{LESSON}.ipynb")
    finished = (root / "grades" / "week-3" / "finished").glob("*.json")
    [spoilt] = [path for path in finished if eve in path.read_text(encoding="utf-8")]
    kept = spoilt.read_text(encoding="utf-8")
    assert '"points": 0.0' in kept
    spoilt.write_text(kept.replace('"points": 0.0', '"points": 8.0'), encoding="utf-8")
    assert course("grade", "week-3", "--output", root) == 0
    told = capsys.readouterr().out
    assert f"{spoilt} is damaged (its contents do not match their checksum)" in told
    assert sorted(re.findall(r"\] (\w+), .*as before", told)) == ["ada", "ben", "dot"]
    rows = {(row["student"], row["exercise"]): row["status"] for row in table(root)}
    assert rows["cem", DECAY] == "FAIL"
    assert rows["eve", DECAY] == "MISSING"


# ---------------------------------------------------------------- what is given out


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Every exercise as an assignment of its own, and every lesson whole: slug -> notebook."""
    root, found = tmp_path_factory.mktemp("releases") / "class", {}
    for slug in exercises.all_exercises():
        [found[slug]] = assigned(root, slug, "--exercises", slug)
    numbers = [name[:2] for name in workcopy.lessons()]
    assigned(root, "all", "--lessons", ",".join(numbers))
    return root, found


def test_no_release_holds_a_solution(releases):
    root, found = releases
    assert len(found) > 50
    handed_out = [*root.glob("release/*/*.ipynb"), *root.glob("source/*/*.ipynb")]
    assert len(handed_out) == 2 * (len(found) + len(workcopy.lessons()))
    assert leaks(SOURCES, handed_out) == []


def test_no_release_holds_a_named_wrong_answer(releases):
    root, _ = releases
    shown = set()
    for path in SOURCES:
        shown |= secrets_and_open_lines(path.read_text(encoding="utf-8"))[1]
    secret = set()
    for exercise in exercises.all_exercises().values():
        for mistake in exercise.mistakes:
            secret.add(plain(mistake.sentence))
            function = exercise.solution() if mistake.edits else mistake.function
            text = inspect.getsource(function)
            for old, new in mistake.edits:
                text = text.replace(old, new)
            lines = body(text)
            secret |= {line for line in lines if len(line) >= 20}
    secret = {line for line in secret if not any(line in one for one in shown)}
    assert len(secret) > 1000
    for path in root.glob("release/*/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = [re.sub(r"(?s)<details>.*?</details>", "", "".join(c["source"])) for c in cells]
        lines = {plain(line) for text in texts for line in text.splitlines()}
        assert not secret & lines, path


def body(text):
    """The lines of a function behind its docstring, without blanks."""
    text = textwrap.dedent(text)
    if "def " not in text:  # a partial, or a lambda
        return []
    node = ast.parse(text).body[0]
    first = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0]
    lines = text.splitlines()[first.lineno - 1 :]
    return [plain(line) for line in lines if not line.lstrip().startswith("#")]


def test_what_an_exercise_needs_comes_along(releases):
    """Its release, with the course's solution in place of the stub, runs without its lesson."""
    _, found = releases

    def cells(slug):
        return nbformat.read(found[slug], as_version=4).cells

    def given_in(slug):
        text = next((c.source for c in cells(slug) if "import given" in c.source), "")
        return re.findall(r'^(\w+) = given\("([\w-]+)"\)$', text, re.M)

    assert given_in("solve-for-c") == [
        ("two_loop", "two-loop"),
        ("projected_search", "projected-search"),
    ]
    assert given_in(STEP) == [
        ("stable_cross_entropy", "stable-cross-entropy"),
        ("weight_decay", DECAY),
    ]
    assert given_in(DECAY) == []
    for slug in found:
        asked = [c.metadata.course.exercise for c in cells(slug) if is_asked(c)]
        assert asked == [slug]


EACH = """
import contextlib, io, json, sys
wrong = {}
for slug, cells in json.load(sys.stdin).items():
    names, told = {}, io.StringIO()
    with contextlib.redirect_stdout(told):
        for text in cells:
            exec(text, names)
    if f"PASS  {slug}" not in told.getvalue():
        wrong[slug] = told.getvalue()
print(json.dumps(wrong))
"""


def test_every_exercise_can_be_solved_in_its_release(releases, tmp_path):
    """Its cells, with what the solved notebook has in the answer's place, run without the lesson's
    others, and its check passes."""
    solved = {}
    for path in SOURCES:
        for cell in nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells:
            if is_asked(cell):
                solved[cell.metadata.course.exercise] = cell.source
    jobs = {}
    for slug, path in releases[1].items():
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        jobs[slug] = [solved[slug] if is_asked(c) else c.source for c in cells]
    env = {**os.environ, "PYTHONPATH": str(storage.PACKAGE.parent), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-c", EACH],
        env=env,
        cwd=tmp_path,
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {}


def is_asked(cell):
    return "exercise" in cell.metadata.get("course", {})


def test_exercises_that_are_asked_for_are_not_given_away(tmp_path):
    [release] = assigned(tmp_path, "both", "--exercises", f"{STEP},{DECAY}")
    notebook = nbformat.read(release, as_version=4)
    assert [c.metadata.course.exercise for c in notebook.cells if is_asked(c)] == [DECAY, STEP]
    [text] = [c.source for c in notebook.cells if "import given" in c.source]
    assert "weight_decay" not in text
    assert 'stable_cross_entropy = given("stable-cross-entropy")' in text


def test_given_is_the_courses_version():
    assert course_version("pixel-rms") is exercises.find("pixel-rms").solution()
    with pytest.raises(LookupError, match="did you mean `pixel-rms`"):
        course_version("pixel-rsm")


@pytest.mark.parametrize("name", ["weight-decay", "all"])
def test_cells_say_whose_they_are(releases, name):
    root, _ = releases
    for path in (root / "release" / name).glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        ids, worth = [], 0
        for cell in notebook.cells:
            about, role = cell.metadata.get("nbgrader"), cell.metadata.get("course", {})
            if about is None:
                assert cell.cell_type == "code"
                assert not role
                continue
            ids.append(about["grade_id"])
            assert re.fullmatch(r"[\w-]+", about["grade_id"])
            assert (about["schema_version"], about["task"]) == (3, False)
            assert cell.metadata["deletable"] is False
            assert cell.metadata.get("editable", True) is not about["locked"]
            kind = (about["grade"], about["locked"], about["solution"])
            if "check" in role:
                assert kind == (True, True, False)
                assert about["points"] == exercises.find(role["check"]).minutes
                worth += about["points"]
            elif "exercise" in role:
                assert kind == (False, False, True)
            else:
                assert kind == (False, True, False)
                assert "points" not in about
        assert len(ids) == len(set(ids))
        assert worth > 0


def test_nbgrader_takes_the_cells_as_its_own(releases):
    validator = pytest.importorskip("nbgrader.nbgraderformat").MetadataValidator()
    root, _ = releases
    for path in root.glob("release/*/*.ipynb"):
        validator.validate_nb(nbformat.read(path, as_version=4))


def test_a_whole_lesson_is_the_lesson(releases):
    root, _ = releases
    for name, path in workcopy.lessons().items():
        lesson = nbformat.read(path, as_version=4).cells
        release = nbformat.read(root / "release" / "all" / f"{name}.ipynb", as_version=4).cells
        assert [(c.id, c.source) for c in release] == [(c.id, c.source) for c in lesson]


def test_a_learner_works_on_the_release_anywhere(tmp_path):
    """In a folder of its own: an exercise solved, the next one not, and each is told so."""
    nbclient = pytest.importorskip("nbclient")
    [release] = assigned(tmp_path / "class")
    elsewhere = tmp_path / "at home"
    hand_in(release, elsewhere / "mine.ipynb", {DECAY: RIGHT[DECAY]})
    notebook = nbformat.read(elsewhere / "mine.ipynb", as_version=4)
    os.environ["PYTHONPATH"], before = str(storage.PACKAGE.parent), os.environ.get("PYTHONPATH")
    try:
        nbclient.NotebookClient(
            notebook, timeout=120, resources={"metadata": {"path": str(elsewhere)}}
        ).execute()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    told = {c.id: json.dumps(c.outputs) for c in notebook.cells if c.cell_type == "code"}
    assert f"PASS  {DECAY}" in told[f"{DECAY}-check"]
    assert f"UNATTEMPTED  {STEP}" in told[f"{STEP}-check"]
    assert not any('"ename"' in text for text in told.values())


# ---------------------------------------------------------------- what is asked for wrongly


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["w", "--exercises", "weight-decey"], "did you mean `weight-decay`"),
        (["w", "--exercises", "weight-decay,weight-decay"], "Named twice"),
        (["w", "--exercises", ","], "No exercise was named"),
        (["w", "--lessons", "77"], "There is no lesson '77'"),
        (["w", "--lessons", "4", "04"], "Named twice"),
        (["w", "--lessons", ","], "No lesson was named"),
        (["w/x", "--lessons", "4"], "cannot be called 'w/x'"),
        (["..", "--lessons", "4"], "cannot be called '..'"),
        (["w+x", "--lessons", "4"], "cannot be called 'w+x'"),
    ],
)
def test_what_cannot_be_assigned_is_a_sentence(arguments, words, tmp_path, capsys):
    root = tmp_path / "class"
    assert course("assign", *arguments, "--output", root) == 1
    assert words in capsys.readouterr().err
    assert not root.exists()


def test_nothing_is_overwritten_without_force(tmp_path, capsys):
    [release] = assigned(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert course("assign", "week-3", "--output", tmp_path, "--exercises", DECAY) == 1
    assert f"other exercises ({DECAY}, {STEP}). Nothing was written" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    assert assigned(tmp_path) == [release], "the same again is no harm"
    assert "as it was" in capsys.readouterr().out
    release.write_text("my own notes", encoding="utf-8")
    assert course("assign", "week-3", "--output", tmp_path, "--exercises", DECAY, STEP) == 1
    assert "is there already, and is another" in capsys.readouterr().err
    assert release.read_text(encoding="utf-8") == "my own notes"
    [other] = assigned(tmp_path, "week-3", "--exercises", "pixel-rms", "--force")
    assert other.name == "00_start_here.ipynb", "and nothing of the old one is left"
    assert not (tmp_path / "source" / "week-3" / release.name).exists()


def test_the_class_is_this_folder_if_it_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert course("assign", "week-3", "--exercises", DECAY) == 0
    assert (tmp_path / "class" / "release" / "week-3" / f"{LESSON}.ipynb").is_file()
    monkeypatch.chdir(tmp_path / "class")
    assert course("assign", "week-4", "--exercises", DECAY) == 0
    assert (tmp_path / "class" / "release" / "week-4" / f"{LESSON}.ipynb").is_file()


def test_settings_of_nbgraders_that_are_there_are_left(tmp_path, capsys):
    own = tmp_path / "nbgrader_config.py"
    own.write_text("c = get_config()\n", encoding="utf-8")
    assigned(tmp_path, "week-3", "--exercises", DECAY, "--force")
    assert own.read_text(encoding="utf-8") == "c = get_config()\n"
    assert "your own, and was left as it is" in capsys.readouterr().out


def test_a_file_in_the_place_of_the_folder(tmp_path, capsys):
    (tmp_path / "class").write_text("", encoding="utf-8")
    assert course("assign", "w", "--lessons", "4", "--output", tmp_path / "class") == 1
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (None, "did you mean 'week-4'?"),
        ("{", "is damaged"),
        ('{"format": 9}', "its format is 9"),
        ('{"format": 1, "version": "0", "parts": []}', "it assigns nothing"),
        (
            '{"format": 1, "version": "0", "parts": [{"lesson": "x", "whole": false, '
            '"points": {"weight-decoy": 8}}]}',
            "made by another version of the course (0)",
        ),
    ],
)
def test_an_assignment_that_cannot_be_graded(record, words, tmp_path, capsys):
    assigned(tmp_path, "week-4")
    if record is not None:
        (tmp_path / "assignments" / "week-3.json").write_text(record, encoding="utf-8")
    hand_in(assigned(tmp_path, "week-4")[0], tmp_path / "submitted/ada/week-3/x.ipynb", {})
    assert course("grade", "week-3", "--output", tmp_path) == 1
    assert words in capsys.readouterr().err


def test_nothing_handed_in_and_nothing_graded(tmp_path, capsys):
    assigned(tmp_path)
    assert course("grade", "week-3", "--output", tmp_path) == 1
    assert "There is no folder" in capsys.readouterr().err
    (tmp_path / "submitted" / "ada" / "week-3").mkdir(parents=True)
    assert course("grade", "week-3", "--output", tmp_path) == 1
    assert "Nobody has handed in a notebook of 'week-3'" in capsys.readouterr().err
    assert course("grade", "week-3", "--output", tmp_path, "--summary") == 1
    assert "Nothing of 'week-3' has been graded yet" in capsys.readouterr().err


# ---------------------------------------------------------------- damaged submissions


def test_what_is_damaged_is_told_and_the_others_are_graded(tmp_path, capsys):
    """None of them has an answer that would run: this is about finding and reading them."""
    root, flat = tmp_path / "class", tmp_path / "from the mail"
    [release] = assigned(root)
    hand_in(release, flat / "ada.ipynb", {})
    hand_in(release, flat / f"ben_{LESSON}.ipynb", {})
    hand_in(release, flat / "cem" / "whatever I called it.ipynb", {})
    (flat / "dot").mkdir()
    (flat / "eve.ipynb").write_text("{", encoding="utf-8")
    (flat / "flo.ipynb").write_text('{"cells": [], "metadata": {}}', encoding="utf-8")
    (flat / "gus.ipynb").mkdir()
    (flat / "hal.txt").write_text("I do not know how.", encoding="utf-8")
    hand_in(release, flat / "ida.ipynb", {DECAY: "print('x')" * 30_000})
    (flat / ".hidden").write_text("", encoding="utf-8")
    long = json.loads(release.read_text(encoding="utf-8"))
    printed = {"output_type": "stream", "name": "stdout", "text": "x" * 50_000_000}
    next(c for c in long["cells"] if c["id"] == f"{STEP}-check")["outputs"] = [printed]
    (flat / "kim.ipynb").write_text(json.dumps(long), encoding="utf-8")
    older = json.loads(release.read_text(encoding="utf-8"))
    older["cells"] = [c for c in older["cells"] if not c["id"].startswith(STEP)]
    older["metadata"]["kernelspec"] = {"name": "ir", "language": "R", "display_name": "R"}
    older["metadata"]["language_info"] = {"name": "R"}
    (flat / "jon.ipynb").write_text(json.dumps(older), encoding="utf-8")
    assert course("grade", "week-3", "--output", root, "--submissions", flat) == 0
    told = capsys.readouterr().out
    assert "hal.txt is no notebook: it was left out." in told
    assert "Nothing from: dot." in told
    unread = told.partition("Could not be read:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split(":")[0].strip() for line in unread] == ["eve", "flo", "gus"]
    found = {(row["student"], row["exercise"]): row["status"] for row in table(root)}
    students = ["ada", "ben", "cem", "dot", "eve", "flo", "gus", "ida", "jon", "kim"]
    assert sorted({student for student, _ in found}) == students
    assert [found[student, STEP] for student in students] == [
        *["UNATTEMPTED"] * 3,
        "NOT HANDED IN",
        *["MISSING"] * 3,
        "UNATTEMPTED",
        "MISSING",
        "UNATTEMPTED",
    ]
    assert found["ida", DECAY] == "MISSING"
    page = (root / "feedback" / "eve" / "week-3" / f"{LESSON}.html").read_text(encoding="utf-8")
    assert "line 1, column 2: not a notebook any more" in page
    assert str(flat) not in page
    page = (root / "feedback" / "jon" / "week-3" / f"{LESSON}.html").read_text(encoding="utf-8")
    assert "of another kernel (R)" in page
    assert "comes from another release" in page


def test_an_answer_stands_on_what_was_given_out(tmp_path, capsys):
    """A name of the student's own, which the lesson binds to something else in a cell that the
    release has not got."""
    [release] = assigned(tmp_path, "week-3", "--exercises", STEP)
    lesson = workcopy.load(workcopy.lessons()[LESSON])["cells"]
    assert any("strengths = [1e-4" in "".join(cell["source"]) for cell in lesson)
    path = tmp_path / "submitted" / "ada" / "week-3" / f"{LESSON}.ipynb"
    hand_in(release, path, {STEP: RIGHT[STEP].replace("* g", "* strengths['one'] * g")})
    notebook = json.loads(path.read_text(encoding="utf-8"))
    own = {"id": "own", "cell_type": "code", "metadata": {}, "outputs": []}
    own |= {"execution_count": None, "source": "strengths = {'one': 1.0}\n"}
    where = next(i for i, cell in enumerate(notebook["cells"]) if cell["id"] == STEP)
    notebook["cells"].insert(where, own)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert course("grade", "week-3", "--output", tmp_path) == 0
    assert [(row["points"], row["status"]) for row in table(tmp_path)] == [("8", "PASS")]


def test_what_is_given_is_worth_nothing_as_an_answer(tmp_path):
    """`given` stands in a release, and could be asked for what is assigned."""
    [release] = assigned(tmp_path)
    head = RIGHT[DECAY].partition(":\n")[0]
    body = f'from course_lib.classroom import given\n    return given("{DECAY}")'
    answers = {DECAY: f"{head}:\n    {body}(net, strength, convention)\n"}
    hand_in(release, tmp_path / "submitted" / "ada" / "week-3" / f"{LESSON}.ipynb", answers)
    assert course("grade", "week-3", "--output", tmp_path) == 0
    first, _ = table(tmp_path)
    assert (first["points"], first["status"]) == ("0", "NOT RUN")


def test_a_source_that_was_lost_or_cut_is_told(tmp_path, capsys):
    [release] = assigned(tmp_path)
    hand_in(release, tmp_path / "submitted" / "ada" / "week-3" / f"{LESSON}.ipynb", {})
    source = tmp_path / "source" / "week-3" / f"{LESSON}.ipynb"
    notebook = json.loads(source.read_text(encoding="utf-8"))
    notebook["cells"] = [c for c in notebook["cells"] if c["id"] != STEP]
    source.write_text(json.dumps(notebook), encoding="utf-8")
    assert course("grade", "week-3", "--output", tmp_path) == 1
    assert f"has no cell for {STEP} any more" in capsys.readouterr().err
    source.unlink()
    assert course("grade", "week-3", "--output", tmp_path) == 1
    assert "Write the assignment again, with --force" in capsys.readouterr().err


def test_what_may_not_be_read_is_told(tmp_path, monkeypatch):
    [release] = assigned(tmp_path)
    for student in ("ada", "ben"):
        hand_in(release, tmp_path / "submitted" / student / "week-3" / f"{LESSON}.ipynb", {})
    real = Path.iterdir

    def guarded(path):
        if path.parent.name == "ben":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", guarded)
    assignment = folder.read(folder.Folder(tmp_path), "week-3")
    collected = handed_in.nbgraders(tmp_path, assignment)
    assert [(one.student, one.path is None) for one in collected.found] == [
        ("ada", False),
        ("ben", True),
    ]
    [sentence] = collected.sentences
    assert sentence.endswith("cannot be read: Permission denied.")


def test_a_notebook_that_may_not_be_read(tmp_path, monkeypatch, capsys):
    [release] = assigned(tmp_path)
    for student in ("ada", "ben"):
        hand_in(release, tmp_path / "submitted" / student / "week-3" / f"{LESSON}.ipynb", {})
    denied = PermissionError(13, "Permission denied")
    real, sums = Path.read_bytes, storage.sha256

    def refused(function, path):
        if "ben" in path.parts:
            raise denied
        return function(path)

    monkeypatch.setattr(Path, "read_bytes", lambda path: refused(real, path))
    monkeypatch.setattr(storage, "sha256", lambda path: refused(sums, path))
    assert course("grade", "week-3", "--output", tmp_path) == 0
    statuses = {row["student"]: row["status"] for row in table(tmp_path)}
    assert statuses == {"ada": "UNATTEMPTED", "ben": "MISSING"}
    told = capsys.readouterr().out
    assert f"ben: {LESSON}.ipynb cannot be read: Permission denied." in told


def test_what_a_student_writes_harms_no_terminal_and_no_file(tmp_path, monkeypatch, capsys):
    """Control characters and halves of characters, in names of files and in what errors say."""
    root, flat = tmp_path / "class", tmp_path / "flat"
    [release] = assigned(root)
    hand_in(release, flat / "a\x1b[2Jda.ipynb", {DECAY: WRONG})
    if sys.platform == "linux":  # elsewhere no file can be called so
        hand_in(release, flat / "ben\udcff.ipynb", {DECAY: WRONG})
    said = "It is \ud800 and \x1b[31mred\x00 <script>alert(1)</script> `x`."

    def told(path, slugs, **settings):
        return marking.Grade(
            path.name, [marking.Result(s, 0.0, 8.0, "FAIL", [said]) for s in slugs]
        )

    monkeypatch.setattr(marking, "grade_notebook", told)
    for more in ([], ["--summary"]):
        assert course("grade", "week-3", "--output", root, "--submissions", flat, *more) == 0
        text = capsys.readouterr().out
        assert "\x1b" not in text
        assert "It is \ufffd and \ufffd[31mred" in text
    for path in root.glob("grades/week-3/grades.*"):
        path.read_text(encoding="utf-8")
    for path in root.glob("feedback/*/week-3/*.html"):
        page = path.read_text(encoding="utf-8")
        assert "\x1b" not in page
        assert "<script" not in page
        assert "<code>x</code>" in page


def test_a_grader_that_stops_costs_one_notebook(tmp_path, monkeypatch, capsys):
    [release] = assigned(tmp_path)
    for student in ("ada", "ben"):
        hand_in(release, tmp_path / "submitted" / student / "week-3" / f"{LESSON}.ipynb", {})
    real = marking.grade_notebook

    def stops(path, *arguments, **settings):
        if "ada" in path.parts:
            raise RecursionError("of the grader's own")
        return real(path, *arguments, **settings)

    # the two notebooks are the same: what is finished of one would do for the other
    extra = tmp_path / "submitted" / "ada" / "week-3" / f"{LESSON}.ipynb"
    extra.write_text(extra.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    monkeypatch.setattr(marking, "grade_notebook", stops)
    assert course("grade", "week-3", "--output", tmp_path) == 0
    statuses = {row["student"]: row["status"] for row in table(tmp_path)}
    assert statuses == {"ada": "NOT GRADED", "ben": "UNATTEMPTED"}
    page = tmp_path / "feedback" / "ada" / "week-3" / f"{LESSON}.html"
    assert "RecursionError" not in page.read_text(encoding="utf-8")
    assert "no fault of yours" in page.read_text(encoding="utf-8")
    assert "Grading stopped with RecursionError" in (
        tmp_path / "grades" / "week-3" / "grades.json"
    ).read_text(encoding="utf-8")
    monkeypatch.setattr(marking, "grade_notebook", real)
    assert course("grade", "week-3", "--output", tmp_path) == 0
    assert {row["status"] for row in table(tmp_path)} == {"UNATTEMPTED"}, "that was not kept"
    capsys.readouterr()


def test_notebooks_of_two_lessons_are_told_apart(tmp_path):
    assigned(tmp_path, "two", "--exercises", "weight-decay,two-loop")
    assignment = folder.read(folder.Folder(tmp_path), "two")
    flat = tmp_path / "flat"
    first, second = sorted((tmp_path / "release" / "two").glob("*.ipynb"))
    (flat / "ada").mkdir(parents=True)
    shutil.copy(first, flat / "ada" / "x.ipynb")
    shutil.copy(second, flat / "ada" / "a.ipynb")
    shutil.copy(second, flat / f"ben-{second.name}")
    found = {
        (one.student, one.lesson[:2]): one.path and one.path.name
        for one in handed_in.flat(flat, assignment).found
    }
    assert found == {
        ("ada", "01"): "x.ipynb",
        ("ada", "04"): "a.ipynb",
        ("ben", "01"): None,
        ("ben", "04"): f"ben-{second.name}",
    }


# ---------------------------------------------------------------- the list of students


def test_a_list_of_students(tmp_path):
    path = tmp_path / "students.csv"
    text = "\ufeffid;first_name;last_name;email\nada;Ada;Lovelace;\nben;;;\n;Nobody;;\n\nada;;;\n"
    path.write_text(text, encoding="utf-8")
    found = roster.read(path)
    assert found.names == {"ada": "Ada Lovelace", "ben": ""}
    assert found.sentences == [
        "students.csv, line 3: ben has no name.",
        "students.csv, line 4: no student is named; left out.",
        "students.csv, line 6: ada is there twice (first in line 2); counted once.",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no column called student or id"),
        (b"name,age\nada,3\n", "has no column called student or id"),
        (b"student\n\n", "names no student"),
        (b"student\n\xff\n", "is not text in UTF-8"),
    ],
)
def test_what_is_no_list_of_students(content, words, tmp_path):
    path = tmp_path / "students.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        roster.read(path)


# ---------------------------------------------------------------- parts


def test_the_summary_counts_sentences():
    def student(name, status, *sentences):
        result = {"slug": DECAY, "status": status, "points": 0.0, "most": 8.0, "notices": []}
        results = [result | {"sentences": list(sentences)}]
        return {"student": name, "notebooks": [{"results": results}]}

    data = {
        "assignment": "week-3",
        "exercises": {DECAY: 8.0},
        "students": [
            student("a", "FAIL", "These are absolute values.", "More."),
            student("b", "FAIL", "These are absolute values."),
            student("c", "EXCEPTION", "It stopped."),
            student("d", "UNATTEMPTED", "Replace the line."),
            student("e", "NOT HANDED IN", "There is none."),
        ],
    }
    [row] = summary.rows(data)
    assert row["told"] == [("These are absolute values.", 2), ("It stopped.", 1)]
    assert (row["handed"], row["tried"], row["solved"]) == (4, 3, 0)


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x"])
def test_no_cell_of_a_table_is_a_formula(value):
    assert marking._harmless(value) == f"'{value}"


def test_places_of_the_grader_are_taken_out():
    path = storage.PACKAGE / "exercises" / "running.py"
    said = f"It stopped in {path}, line 3, and in {Path.home()}/a b."
    found = feedback.without_places(said)
    assert "running.py, line 3" in found
    assert str(storage.PACKAGE) not in found
    assert f"{Path.home()}/" not in found


def test_scores_in_nbgraders_gradebook(classroom, tmp_path, capsys):
    api = pytest.importorskip("nbgrader.api")
    root, *_ = classroom
    book = tmp_path / "gradebook.db"
    arguments = ["--roster", root / "students.csv", "--gradebook", book]
    for _ in range(2):  # a second time writes the same over it
        assert course("grade", "week-3", "--output", root, *arguments) == 0
    capsys.readouterr()
    with api.Gradebook(f"sqlite:///{book}") as found:
        for student, want in DESERVED.items():
            assert found.find_student(student).id == student
            if want[0][1] != "NOT HANDED IN":
                submission = found.find_submission("week-3", student)
                assert submission.score == sum(int(points) for points, _ in want)
        assert found.find_submission("week-3", "ada").max_score == 16
        assert found.find_student("ada").last_name == "Lovelace"


def test_without_nbgrader_the_gradebook_is_a_sentence(tmp_path, capsys, monkeypatch):
    assigned(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert course("grade", "week-3", "--output", tmp_path, "--gradebook") == 1
    assert "nbgrader is not installed here" in capsys.readouterr().err


def test_the_summary_names_an_input_and_says_what_came_out_on_it():
    from course_lib.classroom import summary

    sentence = "On two (s = (1, 0)) and one (gradient = [1, 3], pairs = a list):\nThe result is 2."
    assert summary._short(sentence) == "On two (s = (1, 0)) and one: The result is 2."
    lines = summary._short("word " * 100).split("\n")
    assert len(lines) == summary.LINES
    assert all(len(line) <= summary.WIDTH for line in lines)
    assert lines[-1].endswith(" ...")
