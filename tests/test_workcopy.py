"""The learner's copy: made once, never overwritten, carried over by cell id, never lost."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import storage, workcopy
from course_lib.workcopy import WorkError, merge, prepare, update


def cell(key, text, kind="code", **metadata):
    made = {"cell_type": kind, "id": key, "metadata": metadata, "source": text.splitlines(True)}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def exercise(key, text):
    return cell(key, text, course={"exercise": key})


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


STUB = 'def decay(w):\n    """Doc."""\n    raise NotImplementedError("decay")'
ANSWER = 'def decay(w):\n    """Doc."""\n    return (w**2).sum()'
OLD = (
    cell("intro", "# Old text", "markdown"),
    cell("imports", "import torch"),
    exercise("decay", STUB),
    cell("decay-check", 'decay = check("decay", decay)'),
    cell("gone", "print('a cell that the next version drops')"),
    cell("end", "Bye.", "markdown"),
)
NEW = (
    cell("intro", "# New text", "markdown"),
    cell("imports", "import torch\nfrom course_lib import zoo"),
    cell("fresh", "print('a new cell')"),
    exercise("decay", STUB),
    cell("decay-check", 'decay = check("decay", decay)'),
    cell("end", "Bye.", "markdown"),
)


class Course:
    """A course of two lessons in a folder of its own, with a learner's copy beside it."""

    def __init__(self, root):
        self.lessons, self.work = root / "lessons", root / "work"
        self.lessons.mkdir()
        self.write("01_training", *OLD)
        self.write("02_units", cell("intro", "# 2", "markdown"))
        self.path = self.work / "01_training.ipynb"

    def write(self, name, *cells):
        text = json.dumps(notebook(*cells), indent=1) + "\n"
        (self.lessons / f"{name}.ipynb").write_text(text, encoding="utf-8")

    def mine(self):
        return json.loads(self.path.read_text(encoding="utf-8"))

    def change(self, edit):
        mine = self.mine()
        edit(mine["cells"])
        self.path.write_text(json.dumps(mine), encoding="utf-8")

    def texts(self):
        return {c["id"]: workcopy.source(c) for c in self.mine()["cells"]}

    def everything(self):
        return {p.name: p.read_bytes() for p in self.work.iterdir() if p.suffix == ".ipynb"}


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "checkout", lambda: tmp_path)
    return Course(tmp_path)


def answer(cells):
    next(c for c in cells if c["id"] == "decay")["source"] = ANSWER


# ---------------------------------------------------------------- prepare


def test_lessons_are_copied_once_and_byte_for_byte(course):
    folder, sentences = prepare()
    assert folder == course.work
    assert sentences == []
    for path in course.lessons.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == [
        ".course.json",
        "01_training.ipynb",
        "02_units.ipynb",
    ]


def test_a_file_that_exists_is_never_touched(course):
    prepare()
    course.change(answer)
    (course.work / "02_units.ipynb").unlink()
    before = course.path.read_bytes()
    assert prepare()[1] == []
    assert course.path.read_bytes() == before
    assert (course.work / "02_units.ipynb").exists()  # a deleted copy comes back fresh


def test_a_newer_lesson_is_announced_and_not_copied(course):
    prepare()
    before = course.everything()
    course.write("01_training", *NEW)
    _, sentences = prepare()
    assert sentences == [
        "lesson 01 has been updated: run `course update 01` to carry your answers over."
    ]
    assert course.everything() == before
    assert prepare()[1] == sentences  # until it is done


def test_another_folder_can_be_chosen(course, tmp_path):
    folder, _ = prepare(tmp_path / "elsewhere" / "mine")
    assert (folder / "01_training.ipynb").exists()
    assert not course.work.exists()


def test_an_installed_course_copies_into_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "package" / "_lessons").mkdir(parents=True)
    inside = tmp_path / "package" / "_lessons" / "00_start.ipynb"
    inside.write_text(json.dumps(notebook(*OLD)), encoding="utf-8")
    monkeypatch.setattr(storage, "checkout", lambda: None)
    monkeypatch.setattr(storage, "PACKAGE", tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    folder, _ = prepare()
    assert folder == tmp_path / "work"
    assert (folder / "00_start.ipynb").read_bytes() == inside.read_bytes()


def test_no_lessons_is_a_sentence(course):
    for path in course.lessons.iterdir():
        path.unlink()
    with pytest.raises(WorkError, match="no lessons in"):
        prepare()


@pytest.mark.parametrize(
    "text", ["", "not json", '{"lessons": 3}', '{"lessons": {"01_training": 1}}']
)
def test_a_lost_or_damaged_record_loses_nothing(course, text):
    prepare()
    course.change(answer)
    before = course.path.read_bytes()
    (course.work / ".course.json").write_text(text, encoding="utf-8")
    assert prepare()[1] == []  # it has all cells of the lesson: no news
    assert course.path.read_bytes() == before
    course.write("01_training", *NEW)
    assert "course update 01" in prepare()[1][0]


# ---------------------------------------------------------------- damaged copies


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"cells": [\n  {"id": "x"\n', r"01_training\.ipynb, line 3, column 1: not a notebook"),
        (b"<<<<<<< HEAD\n{}\n", r"line 1, column 1: not a notebook any more"),
        (b'{\n "a": "\xff\xfe"}', r"line 2: not text in UTF-8"),
        (b'{"nbformat": 4}', r"line 1: not a notebook"),
        (b"[1, 2]", r"line 1: not a notebook"),
        (b'{"cells": [1]}', r"line 1: not a notebook"),
        (b"", r"line 1, column 1"),
    ],
)
def test_a_damaged_copy_is_named_and_not_touched(course, content, says):
    prepare()
    course.path.write_bytes(content)
    before = course.everything()
    _, sentences = prepare()
    assert len(sentences) == 1
    assert re.search(says, sentences[0])
    assert "course update 01 --fresh" in sentences[0]
    course.write("01_training", *NEW)
    with pytest.raises(WorkError, match=says) as caught:
        update("01")
    assert "Nothing was touched" in str(caught.value)
    assert course.everything() == before


def test_a_folder_in_place_of_a_copy_is_a_sentence(course):
    prepare()
    course.path.unlink()
    course.path.mkdir()
    assert re.search(r"01_training\.ipynb cannot be read: .*--fresh", prepare()[1][0])
    course.write("01_training", *NEW)
    with pytest.raises(WorkError, match=r"cannot be read.*Nothing was touched"):
        update("01")


@pytest.mark.parametrize("number", [b"9" * 5000, b"[" * 200_000])
def test_what_json_itself_cannot_read_is_a_sentence(course, number):
    prepare()
    course.path.write_bytes(b'{"cells": [], "n": ' + number)
    assert "not a notebook any more" in prepare()[1][0]


@pytest.mark.parametrize("digest", [None, 3, ["x"], {}])
def test_a_record_with_a_wrong_type_inside_is_a_lost_record(course, digest):
    prepare()
    course.change(answer)
    record = json.loads((course.work / ".course.json").read_text(encoding="utf-8"))
    record["lessons"]["01_training"]["cells"]["intro"] = digest
    (course.work / ".course.json").write_text(json.dumps(record), encoding="utf-8")
    course.write("01_training", *NEW)
    update("01")
    assert course.texts()["decay"] == ANSWER
    assert prepare()[1] == []


def test_a_fresh_copy_lies_beside_the_learners(course):
    prepare()
    course.path.write_text("{", encoding="utf-8")
    first, second = update("01", fresh=True), update("01", fresh=True)
    assert first.path.name == "01_training.fresh-1.ipynb"
    assert second.path.name == "01_training.fresh-2.ipynb"
    assert first.path.read_bytes() == (course.lessons / "01_training.ipynb").read_bytes()
    assert course.path.read_text(encoding="utf-8") == "{"


# ---------------------------------------------------------------- update


def test_answers_are_carried_and_the_rest_is_new(course):
    prepare()
    course.change(answer)
    before = course.path.read_bytes()
    course.write("01_training", *NEW)
    done = update("1")
    texts = course.texts()
    assert list(texts) == ["intro", "imports", "fresh", "decay", "decay-check", "end"]
    assert texts["decay"] == ANSWER
    assert texts["intro"] == "# New text"
    assert "zoo" in texts["imports"]
    assert "1 cell that you changed" in str(done)
    assert re.fullmatch(r"01_training\.before-\d{4}-\d\d-\d\d-1\.ipynb", done.kept.name)
    assert done.kept.read_bytes() == before
    assert prepare()[1] == []  # it is up to date now


def test_added_cells_stay_behind_the_cell_they_followed(course):
    prepare()

    def edit(cells):
        cells.insert(0, cell("top", "# my own first line", "markdown"))
        cells.insert(4, cell("a", "mine = 1"))
        cells.insert(5, cell("b", "mine += 1"))
        cells.append(cell("last", "mine"))
        cells.append(cell("blank", "  \n"))

    course.change(edit)
    course.write("01_training", *NEW)
    update("01")
    assert list(course.texts()) == [
        *["top", "intro", "imports", "fresh", "decay", "a", "b", "decay-check", "end", "last"]
    ]


def test_a_cell_that_the_learner_changed_and_the_course_dropped_is_kept(course):
    prepare()

    def edit(cells):
        cells[4]["source"] = "print('I changed this one')"

    course.change(edit)
    course.write("01_training", *NEW)
    update("01")
    keys = list(course.texts())
    assert keys.index("gone") == keys.index("decay-check") + 1
    assert "I changed" in course.texts()["gone"]


def test_where_both_changed_a_cell_both_versions_are_there(course):
    prepare()

    def edit(cells):
        answer(cells)
        cells[1]["source"] = "import torch\nimport math"

    course.change(edit)
    better = STUB.replace("decay(w)", "decay(weights, k)")
    course.write("01_training", *NEW[:3], exercise("decay", better), *NEW[4:])
    done = update("01")
    texts = course.texts()
    assert texts["decay"] == ANSWER
    assert better in texts["decay-new"]
    assert texts["imports"] == "import torch\nimport math"
    assert "zoo" in texts["imports-new"]
    assert "decay" in str(done)
    keys = list(texts)
    assert keys[keys.index("decay") + 1] == "decay-new"


def test_without_a_record_exercises_are_carried_and_old_course_text_is_not(course):
    prepare()
    course.change(answer)
    (course.work / ".course.json").unlink()
    course.write("01_training", *NEW)
    update("01")
    texts = course.texts()
    assert texts["decay"] == ANSWER
    assert texts["intro"] == "# New text"
    assert "zoo" in texts["imports"]
    assert "gone" in texts  # nobody can say whose it is: kept


def test_cells_without_or_with_doubled_ids(course):
    prepare()

    def edit(cells):
        answer(cells)
        cells.append({"cell_type": "code", "metadata": {}, "source": "no_id = 1", "outputs": []})
        cells.append(cell("decay", "a_copy = 2"))

    course.change(edit)
    course.write("01_training", *NEW)
    update("01")
    texts = course.texts()
    assert texts["decay"] == ANSWER
    assert texts["yours"] == "no_id = 1"
    assert texts["decay-2"] == "a_copy = 2"
    ids = [c["id"] for c in course.mine()["cells"]]
    assert len(ids) == len(set(ids))


def test_a_copy_all_of_whose_ids_were_lost_keeps_its_texts(course):
    prepare()

    def edit(cells):
        answer(cells)
        for one in cells:
            del one["id"]

    course.change(edit)
    course.write("01_training", *NEW)
    update("01")
    texts = list(course.texts().values())
    assert ANSWER in texts
    assert texts.count('decay = check("decay", decay)') == 1


def test_pictures_in_text_cells_are_carried(course):
    prepare()

    def edit(cells):
        cells[0]["source"] = "My picture ![](attachment:p.png)"
        cells[0]["attachments"] = {"p.png": {"image/png": "AAAA"}}

    course.change(edit)
    course.write("01_training", *NEW)
    update("01")
    assert course.mine()["cells"][0]["attachments"] == {"p.png": {"image/png": "AAAA"}}


def test_updates_never_overwrite_an_older_backup(course):
    prepare()
    kept = []
    for version in range(3):
        course.change(lambda cells, v=version: cells.append(cell(f"try-{v}", f"x = {v}")))
        course.write("01_training", *NEW, cell(f"version-{version}", "pass"))
        kept.append(update("01").kept)
    assert len({p.name for p in kept}) == 3
    assert all(p.exists() for p in kept)
    assert {"try-0", "try-1", "try-2"} <= course.texts().keys()


def test_nothing_to_do(course):
    prepare()
    course.change(answer)
    before = course.everything()
    assert "nothing to do" in str(update("01"))
    assert course.everything() == before


def test_update_of_a_lesson_that_was_never_opened_copies_it(course):
    done = update("02_units.ipynb")
    assert done.path.read_bytes() == (course.lessons / "02_units.ipynb").read_bytes()


def test_a_wrong_lesson_is_a_sentence_with_near_names(course):
    with pytest.raises(WorkError, match="no lesson '01_trainin': did you mean 01_training"):
        update("01_trainin")
    with pytest.raises(WorkError, match="no lesson '7'"):
        update("7")


def test_the_result_is_a_valid_notebook(course):
    nbformat = pytest.importorskip("nbformat")
    prepare()
    course.change(lambda cells: (answer(cells), cells.append(cell("mine", "1 + 1"))))
    course.write("01_training", *NEW)
    update("01")
    nbformat.validate(nbformat.read(course.path, as_version=4))


def test_merge_does_not_change_what_it_is_given():
    mine, lesson = notebook(*OLD, cell("added", "1")), notebook(*NEW)
    before = json.dumps([mine, lesson])
    merge(mine, lesson, workcopy._cells(notebook(*OLD)))
    assert json.dumps([mine, lesson]) == before


# ---------------------------------------------------------------- folders that cannot be written


def test_a_file_where_the_folder_should_be(course):
    course.work.write_text("a file", encoding="utf-8")
    with pytest.raises(WorkError, match=r"Cannot write .*work.*--folder"):
        prepare()
    assert course.work.read_text(encoding="utf-8") == "a file"


def refuse(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


def test_a_folder_that_cannot_be_written_loses_nothing(course, monkeypatch):
    # by hand, because root may write into a folder without permission
    prepare()
    course.change(answer)
    course.write("01_training", *NEW)
    before = course.everything()
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(WorkError, match=r"Permission denied.*Nothing was lost"):
        update("01")
    assert course.everything() == before


def test_a_disk_that_fills_up_half_way_loses_nothing(course, monkeypatch):
    prepare()
    course.change(answer)
    course.write("01_training", *NEW)
    before = course.path.read_bytes()
    monkeypatch.setattr(storage, "write_text", refuse)
    with pytest.raises(WorkError, match="Permission denied"):
        update("01")
    assert course.path.read_bytes() == before
    monkeypatch.undo()
    monkeypatch.setattr(storage, "checkout", lambda: course.lessons.parent)
    update("01")  # and afterwards it goes on
    assert course.texts()["decay"] == ANSWER


def test_a_read_only_folder_that_has_everything_is_fine(course, monkeypatch):
    prepare()
    monkeypatch.setattr(storage, "write_text", refuse)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    course.write("01_training", *NEW)
    assert "course update 01" in prepare()[1][0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_without_permission(course):
    course.work.mkdir(mode=0o500)
    with pytest.raises(WorkError, match="Cannot write"):
        prepare()


def test_two_at_once_do_not_tear_a_copy(course):
    code = (
        "import sys; from pathlib import Path; from course_lib import storage, workcopy\n"
        "storage.checkout = lambda: Path(sys.argv[1])\n"
        "workcopy.prepare()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(storage.PACKAGE.parent)}
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(course.lessons.parent)], env=env)
        for _ in range(3)
    ]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    assert course.path.read_bytes() == (course.lessons / "01_training.ipynb").read_bytes()
    assert not list(course.work.glob("*.part"))
    assert not list(course.work.glob(".*.part"))
