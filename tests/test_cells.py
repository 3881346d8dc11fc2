"""Which cell of a lesson a learner's cell is, whatever editors and learners have done to it."""

import copy
import json
import random
import re

import pytest

from course_lib import workcopy
from course_lib.cells import defines, kind, likely_kind, match, of_version_3, source, text_hash
from course_lib.workcopy import merge, update

LESSONS = {name: workcopy.load(path) for name, path in workcopy.lessons().items()}
LONG = [name for name in LESSONS if name[:2] != "00"]


def texts(notebook):
    return {cell["id"]: source(cell) for cell in notebook["cells"]}


def tidy(by_id):
    """Without the blanks at the ends of lines and cells, which some editors add."""
    return {k: re.sub(r"[ \t]+$", "", text, flags=re.M).rstrip() for k, text in by_id.items()}


def hashes(notebook):
    return {cell["id"]: text_hash(source(cell)) for cell in notebook["cells"]}


def slug_of(cell):
    return cell["metadata"].get("course", {}).get("exercise")


def answered(text, mark):
    """The stub as a learner fills it: the function is there, and the mark in it."""
    filled, n = re.subn(
        r"^( *)raise NotImplementedError.*$", rf"\1return {mark!r}", text, flags=re.M
    )
    return filled if n else f"{text}\nhere = {mark!r}"


def solved(lesson):
    """The lesson with all exercises solved; id -> what was written there."""
    mine = copy.deepcopy(lesson)
    for cell in mine["cells"]:
        if slug_of(cell):
            cell["source"] = answered(source(cell), f"answer to {slug_of(cell)}").splitlines(True)
    return mine, {c["id"]: source(c) for c in mine["cells"] if slug_of(c)}


# ---------------------------------------------------------------- one editor at a time


def new_ids(cells):
    for i, cell in enumerate(cells):
        cell["id"] = f"{i * 2654435761 % 2**32:08x}"


def numbers_for_ids(cells):
    for i, cell in enumerate(cells):
        cell["id"] = i


def one_id_for_all(cells):
    for cell in cells:
        cell["id"] = cells[0]["id"]


def ids_in_another_order(cells):
    ids = [cell["id"] for cell in cells]
    for cell, key in zip(cells, reversed(ids), strict=True):
        cell["id"] = key


def no_ids(cells):
    for cell in cells:
        del cell["id"]


def colab(cells):
    for cell in cells:
        cell["metadata"]["id"] = cell.pop("id")


def nothing_but_text(cells):
    no_ids(cells)
    for cell in cells:
        cell["metadata"] = {}


def no_metadata_at_all(cells):
    no_ids(cells)
    for cell in cells:
        del cell["metadata"]


def no_types(cells):
    for cell in cells:
        del cell["cell_type"]


def windows(cells):
    for cell in cells:
        cell["source"] = source(cell).replace("\n", "\r\n")


def lines_without_ends(cells):
    for cell in cells:
        cell["source"] = source(cell).split("\n")


def blanks_at_the_ends(cells):
    for cell in cells:
        cell["source"] = "".join(line + "  \n" for line in source(cell).split("\n")) + "\n\n"


def null_metadata(cells):
    for cell in cells:
        cell["metadata"] = cell["metadata"] or None


def huge_outputs(cells):
    for cell in cells:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 200_000}]


EDITORS = [
    new_ids,
    numbers_for_ids,
    one_id_for_all,
    ids_in_another_order,
    no_ids,
    colab,
    nothing_but_text,
    no_metadata_at_all,
    no_types,
    windows,
    lines_without_ends,
    blanks_at_the_ends,
    null_metadata,
    huge_outputs,
]


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("editor", EDITORS)
def test_whatever_an_editor_does_every_answer_is_in_its_cell_and_nothing_else_is_changed(
    editor, recorded
):
    for name in ("01_training_mnist_networks", LONG[-1]):
        lesson = LESSONS[name]
        mine, answers = solved(lesson)
        editor(mine["cells"])
        new, report = merge(mine, lesson, hashes(lesson) if recorded else None)
        got = texts(new)
        assert list(got) == list(texts(lesson)), report
        assert tidy(got) == tidy(texts(lesson) | answers)
        assert f"with {len(answers)} cells that you changed and 0 cells" in report
        json.dumps(new)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_lesson_that_is_there_twice_comes_out_once_with_its_answers(recorded):
    lesson = LESSONS[LONG[0]]
    mine, answers = solved(lesson)
    new_ids(mine["cells"])
    mine["cells"] += copy.deepcopy(lesson["cells"])  # as an earlier update left such a copy
    new, report = merge(mine, lesson, hashes(lesson) if recorded else None)
    assert texts(new) == texts(lesson) | answers
    assert f"{len(lesson['cells'])} cells that said the course's own text again left out" in report


# ---------------------------------------------------------------- an older lesson


def older(lesson, rng):
    """A lesson from which today's may have come: cells split since, dropped, renamed, changed.

    Returns the lesson and the ids of its cells that today's has not got.
    """
    cells, gone = [], []
    for cell in copy.deepcopy(lesson["cells"]):
        before = cells[-1] if cells else None
        course = cell["metadata"].get("course")
        dice = rng.random()
        plain = before and not course and not before["metadata"].get("course")
        if dice < 0.1 and plain and before["cell_type"] == cell["cell_type"] == "code":
            before["source"] = f"{source(before)}\n\n{source(cell)}"  # today's has split it
            continue
        if dice < 0.2 and not course:
            if cell["cell_type"] == "code":
                cell["source"] = f"{source(cell)}\nassert 3 < {len(cells)} < 1000"
            else:
                cell["source"] = f"Formerly: {source(cell)}"
        elif dice < 0.25:
            gone.append(f"dropped-{len(cells)}")
            text = f"print('a cell of long ago, {len(cells)}')"
            cells.append(own_cell(text, gone[-1]))
        cells.append(cell)
    slug = {"course": {"exercise": "of-long-ago"}}
    text = "def of_long_ago(x):\n    raise NotImplementedError"
    cells.insert(len(cells) // 2, own_cell(text, "of-long-ago") | {"metadata": slug})
    return {**lesson, "cells": cells}


def own_cell(text, key=None, cell_type="code"):
    made = {"cell_type": cell_type, "metadata": {}, "source": text}
    made |= {} if key is None else {"id": key}
    return made | ({"outputs": [], "execution_count": None} if cell_type == "code" else {})


@pytest.mark.parametrize("editor", [None, *EDITORS])
@pytest.mark.parametrize("name", LONG)
def test_an_older_copy_comes_out_as_the_new_lesson_with_all_answers(name, editor):
    lesson = LESSONS[name]
    for seed in range(2):
        old = older(lesson, random.Random(f"{name} {seed}"))
        mine, answers = solved(old)
        lost = answers.pop("of-long-ago")
        if editor:
            editor(mine["cells"])
        new, report = merge(mine, lesson, hashes(old))
        got = tidy(texts(new))
        own = {key: text for key, text in got.items() if key not in texts(lesson)}
        assert list(own.values()) == [lost], report  # kept as the learner's
        assert {key: got[key] for key in texts(lesson)} == tidy(texts(lesson) | answers)


def test_own_cells_stand_behind_all_parts_of_a_cell_that_the_course_has_split():
    old = [own_cell("a = 1\nb = 2\n\nprint(a)\nprint(b)", "work"), own_cell("c = 1", "next")]
    new = [own_cell("a = 1\nb = 2", "work"), own_cell("print(a)\nprint(b)", "work-shown"), old[1]]
    mine = [old[0], own_cell("mine = a + b", "mine"), old[1]]
    base = hashes({"cells": old})
    got, _ = merge({"cells": mine}, {"cells": new}, base)
    assert list(texts(got)) == ["work", "work-shown", "mine", "next"]
    # changed in its first part only: the second is the new lesson's, and stands once
    mine[0] = own_cell("a = 10\nb = 2\n\nprint(a)\nprint(b)", "work")
    got, _ = merge({"cells": mine}, {"cells": new}, base)
    found = texts(got)
    assert list(found) == ["work", "work-new", "work-shown", "mine", "next"]
    assert found["work"] == "a = 10\nb = 2"


# ---------------------------------------------------------------- learners


LESSON = [
    own_cell("# Title", "title", "markdown"),
    own_cell("import math\nimport torch", "imports"),
    own_cell("Write it.", "decay-task", "markdown") | {"metadata": {"course": {"task": "decay"}}},
    own_cell("def decay(w):\n    raise NotImplementedError('decay')", "decay")
    | {"metadata": {"course": {"exercise": "decay"}}},
    own_cell('decay = check("decay", decay)', "decay-check")
    | {"metadata": {"course": {"check": "decay"}}},
    own_cell('predict("error", None)  # a number', "guess"),
    own_cell('answer("why", "...")', "why"),
    own_cell("The end of it all, for now.", "end", "markdown"),
]
BASE = hashes({"cells": LESSON})
ANSWER = "def decay(w):\n    return (w**2).sum()"


def carried(edit, base=BASE, lesson=LESSON):
    mine = copy.deepcopy(LESSON)
    mine = edit(mine) or mine
    return texts(merge({"cells": mine}, {"cells": copy.deepcopy(lesson)}, base)[0])


def test_a_cell_that_was_only_split_is_whole_again():
    def edit(cells):
        return [
            *cells[:1],
            own_cell("import math", "imports"),
            own_cell("import torch", "0a"),
            *cells[2:],
        ]

    assert carried(edit) == texts({"cells": LESSON})


@pytest.mark.parametrize("meta", [{}, {"course": {"exercise": "decay"}}])
@pytest.mark.parametrize("first_has_the_id", [True, False])
def test_of_a_split_answer_the_function_is_in_its_cell(meta, first_has_the_id):
    one, two = ("decay", "0a") if first_has_the_id else ("0a", "decay")
    course = {"metadata": {"course": {"exercise": "decay"}}}

    def edit(cells):
        first = own_cell("half = 0.5", one) | (course if one == "decay" else {"metadata": meta})
        second = own_cell(ANSWER, two) | (course if two == "decay" else {"metadata": meta})
        cells[3:4] = [first, second]

    got = carried(edit)
    assert got["decay"] == ANSWER
    order = list(got.values())
    assert order.index("half = 0.5") == order.index(ANSWER) - 1
    assert len(got) == len(LESSON) + 1


def test_cells_that_were_merged_are_apart_again():
    def with_the_check(cells):
        cells[3]["source"] = f'{ANSWER}\n\ndecay = check("decay", decay)'
        del cells[4]

    def with_the_imports(cells):
        cells[1]["source"] = f"{source(cells[1])}\n\n{ANSWER}"
        del cells[3]

    def with_all(cells):
        cells[1]["source"] = "\n\n".join(
            [source(cells[1]), ANSWER, source(cells[4]), source(cells[5])]
        )
        del cells[2:6]

    def with_a_prediction(cells):
        cells[4]["source"] += '\npredict("error", 3)'
        del cells[5]

    for edit in (with_the_check, with_the_imports, with_all):
        assert carried(edit) == texts({"cells": LESSON}) | {"decay": ANSWER}
    made = {"guess": 'predict("error", 3)'}
    assert carried(with_a_prediction) == texts({"cells": LESSON}) | made


def test_what_was_added_to_a_cell_that_was_merged_stays_with_it():
    bug = "def decay(w):\n    return w.sum()"  # a stub that is whole
    lesson = [*LESSON[:3], LESSON[3] | {"source": bug}, *LESSON[4:]]

    def edit(cells):
        cells[3]["source"] = f"{bug}\n\nmine = 1\n\n{source(cells[4])}"
        del cells[4]

    got = carried(edit, hashes({"cells": lesson}), lesson)
    assert got["decay"] == f"{bug}\n\nmine = 1"
    assert list(got) == list(BASE)


def test_a_changed_cell_merged_with_the_answer_does_not_hide_it_behind_the_stub():
    def edit(cells):
        cells[1]["source"] = f"import numpy\n\n{ANSWER}"
        del cells[3]

    got = carried(edit)
    assert got["decay"] == f"import numpy\n\n{ANSWER}"
    assert "raise" not in "".join(got.values())


def test_of_two_copies_of_an_exercise_the_one_that_was_written_is_taken():
    for written in (3, 4):

        def edit(cells, written=written):
            cells.insert(4, copy.deepcopy(cells[3]))
            cells[written]["source"] = ANSWER

        for ids_differ in (False, True):

            def both(cells, edit=edit, ids_differ=ids_differ):
                edit(cells)
                if ids_differ:
                    cells[4]["id"] = "0a"

            got = carried(both)
            assert got["decay"] == ANSWER
            assert list(got) == list(BASE)


def test_two_different_answers_are_both_there_in_their_order():
    def edit(cells):
        cells.insert(4, copy.deepcopy(cells[3]))
        cells[3]["source"] = ANSWER
        cells[4]["source"] = ANSWER.replace("sum", "mean")

    got = carried(edit)
    assert got["decay"] == ANSWER
    assert got["decay-2"] == ANSWER.replace("sum", "mean")
    assert list(got).index("decay-2") == list(got).index("decay") + 1


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_an_answer_whose_cell_became_text_is_code_again(kind):
    def edit(cells):
        cells[3] |= {"source": ANSWER, "cell_type": kind}
        cells[1] |= {"cell_type": kind}  # not changed: the lesson's again

    assert carried(edit) == texts({"cells": LESSON}) | {"decay": ANSWER}
    assert {c["id"]: c["cell_type"] for c in LESSON}["decay"] == "code"


@pytest.mark.parametrize("base", [BASE, None])
@pytest.mark.parametrize("editor", [new_ids, colab, nothing_but_text])
def test_predictions_and_short_answers_are_carried_by_what_they_call(editor, base):
    def edit(cells):
        cells[5]["source"] = 'predict("error", (1, 2))  # a number'
        cells[6]["source"] = 'answer("why", """Because\nof this.""")'
        editor(cells)

    got = carried(edit, base)
    assert "(1, 2)" in got["guess"]
    assert "Because" in got["why"]
    assert list(got) == list(BASE)


@pytest.mark.parametrize("editor", [new_ids, nothing_but_text])
def test_notes_in_the_courses_text_are_carried_without_any_name(editor):
    def edit(cells):
        cells[7]["source"] = "The end of it all, for now.\n\nMy note: read this again."
        cells[1]["source"] = "import math\nimport torch\nimport numpy"
        cells.insert(7, own_cell("A note of my own.", "note", "markdown"))
        editor(cells)

    got = carried(edit)
    assert "read this again" in got["end"]
    assert got["imports"].endswith("numpy")
    assert list(got.values())[-2] == "A note of my own."
    assert len(got) == len(LESSON) + 1


def test_a_function_of_ones_own_with_the_exercises_name_in_a_note_takes_no_place():
    def edit(cells):
        nothing_but_text(cells)
        cells.append(own_cell(f"I tried:\n\n```python\n{ANSWER}\n```", cell_type="markdown"))

    got = carried(edit)
    assert "raise" in got["decay"]
    assert "I tried" in list(got.values())[-1]


def test_a_cell_of_ones_own_with_no_type_a_number_for_an_id_or_half_a_character():
    def edit(cells):
        cells += [
            {"source": "x = 1", "metadata": {}},
            {"source": "A note, as it were.", "id": 7, "cell_type": "heading", "level": 2},
            {"source": ["cut: \ud83d", "whole: \ud83d\ude00"], "id": [], "cell_type": "markdown"},
            {"source": None, "id": "x" * 300, "cell_type": "code"},
            {"source": 5, "id": "y" * 300, "cell_type": "code", "metadata": []},
            {"source": "z = 1", "id": "é!", "cell_type": "code", "language": "python"},
        ]

    mine = copy.deepcopy(LESSON)
    edit(mine)
    new, _ = merge({"cells": mine}, {"cells": LESSON}, BASE)
    own = new["cells"][len(LESSON) :]
    assert [c["cell_type"] for c in own] == ["code", "markdown", "markdown", "code", "code"]
    assert own[2]["source"] == "cut: �\nwhole: 😀"
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", c["id"]) for c in own)
    nbformat = pytest.importorskip("nbformat")
    whole = {"cells": new["cells"], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    nbformat.validate(nbformat.from_dict(whole))


# ---------------------------------------------------------------- anything at all, many times


def random_ids(cells, rng):
    """What editors do with ids and metadata, to some cells or to all."""
    share = rng.choice([0, 0.1, 0.5, 1])
    for cell in cells:
        if rng.random() >= share:
            continue
        what = rng.randrange(6)
        if what == 0:
            cell["id"] = f"{rng.randrange(2**32):08x}"
        elif what == 1:
            cell.pop("id", None)
        elif what == 2:
            cell["metadata"] = {"id": cell.pop("id", "x")}
        elif what == 3:
            cell["metadata"] = {}
        elif what == 4:
            cell["id"] = rng.choice(cells).get("id", 3)
        else:
            other = rng.choice(cells)
            one, two = cell.get("id", 1), other.get("id", 2)
            cell["id"], other["id"] = two, one


def random_work(cells, rng):
    """What learners do. Returns all that they wrote: each text has a mark that nothing else has."""
    marks, answers = [], {}
    for cell in list(cells):
        slug, mark = slug_of(cell), f"mark{len(marks)}x"
        dice = rng.random()
        if slug and slug != "of-long-ago":
            if dice < 0.8:
                cell["source"] = answered(source(cell), mark)
                marks.append(mark)
                answers[cell["id"]] = mark
        elif dice < 0.1:
            more = f"# {mark}" if cell["cell_type"] == "code" else f"My note: {mark}."
            cell["source"] = f"{source(cell)}\n{more}"
            marks.append(mark)
        elif dice < 0.2:
            here = next(i for i, c in enumerate(cells) if c is cell)
            text, sort = rng.choice([(f"y = {mark!r}", "code"), (f"I see {mark}.", "markdown")])
            cells.insert(here + 1, own_cell(text, f"own-{mark}", sort))
            marks.append(mark)
        elif dice < 0.25:
            cells.insert(rng.randrange(len(cells)), copy.deepcopy(cell))  # pasted somewhere
        elif dice < 0.28 and not cell["metadata"].get("course"):
            cells[:] = [c for c in cells if c is not cell]
        elif dice < 0.31 and not cell["metadata"].get("course"):
            lines = source(cell).split("\n")
            here = next(i for i, c in enumerate(cells) if c is cell)
            if len(lines) > 1:
                cut = rng.randrange(1, len(lines))
                cell["source"] = "\n".join(lines[:cut])
                rest = own_cell("\n".join(lines[cut:]), "cut", cell["cell_type"])
                cells.insert(here + 1, rest)
        elif dice < 0.36:
            here = next(i for i, c in enumerate(cells) if c is cell)
            if here and cells[here - 1]["cell_type"] == cell["cell_type"]:
                before = cells.pop(here - 1)
                for place in ("id", "metadata"):
                    cell[place] = before[place]
                cell["source"] = f"{source(before)}\n\n{source(cell)}"
    return marks, answers


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_ever_lost_or_there_twice(seed):
    rng = random.Random(seed)
    lesson = LESSONS[rng.choice(LONG)]
    old = older(lesson, rng) if rng.random() < 0.7 else lesson
    mine = copy.deepcopy(old)
    marks, answers = random_work(mine["cells"], rng)
    random_ids(mine["cells"], rng)
    new, report = merge(mine, lesson, hashes(old))
    everything = "\0".join(source(cell) for cell in new["cells"])
    counts = {mark: everything.count(mark) for mark in marks}
    assert set(counts.values()) <= {1}, report
    course = texts(lesson)
    assert [key for key in texts(new) if key in course] == list(course)  # each cell once
    assert len(set(texts(new))) == len(new["cells"])
    for key, mark in answers.items():
        assert mark in texts(new)[key], f"{key}: {report}"
    said = {text_hash(text) for text in course.values()} | set(hashes(old).values())
    for cell in new["cells"]:
        if cell["id"] not in course:
            assert text_hash(source(cell)) not in said  # nothing of the course's stands again
    again, report = merge(new, lesson, hashes(lesson))  # nor by doing it again
    assert len(again["cells"]) <= len(new["cells"])
    everything = "\0".join(source(cell) for cell in again["cells"])
    assert {mark: everything.count(mark) for mark in marks} == counts, report


# ---------------------------------------------------------------- through the file


def test_a_notebook_of_format_3(tmp_path):
    name = LONG[0]
    mine, answers = solved(LESSONS[name])
    for cell in mine["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"input": cell.pop("source"), "prompt_number": 1, "language": "python"}
            del cell["execution_count"]
        del cell["id"]
    mine["cells"].append({"cell_type": "heading", "level": 2, "source": "Mine", "metadata": {}})
    old = {"worksheets": [{"cells": mine["cells"]}], "metadata": {}, "nbformat": 3}
    path = tmp_path / f"{name}.ipynb"
    path.write_text("\ufeff" + json.dumps(old), encoding="utf-8")  # and as Windows saves it
    done = update(name, tmp_path)
    got = texts(workcopy.load(path))
    assert {key: got[key] for key in answers} == answers
    assert list(got.values())[-1] == "## Mine"
    assert json.loads(done.kept.read_text(encoding="utf-8-sig")) == old
    assert of_version_3({"cells": []}) is None
    assert of_version_3({"worksheets": [3]}) is None


def test_half_a_character_and_no_number_do_not_stop_an_update(tmp_path):
    folder, _ = workcopy.prepare(tmp_path)
    (folder / workcopy.RECORD).unlink()
    path = folder / f"{LONG[0]}.ipynb"
    mine = json.loads(path.read_text(encoding="utf-8"))
    mine["cells"].append(own_cell("cut = '\ud83d'", "cut") | {"metadata": {"x": "\ud83d"}})
    mine["cells"][-1]["metadata"]["size"] = float("nan")
    path.write_text(json.dumps(mine), encoding="utf-8")
    update(LONG[0], folder)
    last = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)["cells"][-1]
    assert last["source"] == "cut = '�'"
    assert last["metadata"] == {"x": "�", "size": "NaN"}


# ---------------------------------------------------------------- the signs, one by one


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("def f(x):\n    pass", True),
        ("# first\nasync def f(x): pass", True),
        ("f = lambda x: x", True),
        ("f: Callable = g", True),
        ("class f:\n    pass", True),
        ("    def f(x): pass", False),
        ('f = check("f", f)', False),
        ("f == 3", False),
        ("def ff(x): pass", False),
        ("print(f)", False),
    ],
)
def test_what_defines_a_function(text, there):
    assert defines(text, "f") == there


def test_what_kind_a_cell_is():
    assert kind({"cell_type": "raw"}) == "raw"
    assert kind({"outputs": []}) == "code"
    assert kind({"cell_type": "heading"}) is None
    assert likely_kind("x = 1") == "code"
    assert likely_kind("A note, as it were.") == "markdown"
    assert likely_kind("# only a heading") == "markdown"
    assert likely_kind("x = '\0'") == "markdown"


def test_no_two_cells_are_the_same_one_of_the_lesson():
    mine = [own_cell("import math\nimport torch", "imports") for _ in range(3)]
    cells = match(mine, LESSON, BASE)
    assert [cell.known.key if cell.known else None for cell in cells] == ["imports", None, None]
    assert [cell.copy.key if cell.copy else None for cell in cells] == [None, "imports", "imports"]
