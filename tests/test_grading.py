"""Submissions of every kind, each with the points that it deserves: course_lib.grading."""

import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from submissions import CHOSEN, DECAY, ENTROPY, LESSON, RIGHT, STEP

from course_lib import exercises, storage, workcopy
from course_lib.exercises import judge, trials
from course_lib.exercises.comparing import snapshot
from course_lib.exercises.running import Outcome
from course_lib.grading import Grade, grade_notebook, launch, points, wire
from course_lib.grading import grade as grading

WRONG_DECAY = RIGHT[DECAY].replace("strength * weight.square()", "strength * weight.abs()")
STUB = 'def stable_cross_entropy(logits, labels):\n    raise NotImplementedError("{}")\n'
E = dict.fromkeys(CHOSEN, 8.0)  # what each is worth


def handed_in(folder, answers, change=None, lesson=LESSON):
    """A notebook of the lesson with ``answers``: slug -> text of the cell; ``change`` edits it."""
    notebook = json.loads(workcopy.lessons()[lesson].read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["id"] in answers:
            cell["source"] = answers[cell["id"]].strip("\n").splitlines(True)
    notebook = (change and change(notebook)) or notebook
    path = folder / f"{lesson}.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def graded(path, chosen=CHOSEN, **settings):
    return grade_notebook(path, chosen, **{"time_limit": 2, **settings})


def scores(grade: Grade) -> list[float]:
    return [result.points for result in grade.results]


@pytest.fixture
def of(tmp_path):
    """The grade of a submission that is right but for what is given."""

    def grade(change=None, chosen=CHOSEN, given=None, **answers):
        answers = {slug.replace("_", "-"): text for slug, text in answers.items()}
        return graded(handed_in(tmp_path, (given or RIGHT) | answers, change), chosen)

    return grade


def test_points_are_the_planned_minutes():
    assert {slug: points(exercises.find(slug)) for slug in CHOSEN} == E


# --- answers ---------------------------------------------------------------------------------


def test_right(of):
    grade = of()
    assert scores(grade) == [8, 8, 8]
    assert (grade.points, grade.most, grade.notes) == (24, 24, [])
    assert [result.status for result in grade.results] == ["PASS"] * 3
    assert not any(result.notices for result in grade.results)
    assert all(0 < result.seconds < 60 for result in grade.results)


def test_right_in_numpy_and_beside_helpers_of_ones_own(of):
    """A new cell above with an import and a function, and an import in another answer's cell."""

    def helpers(notebook):
        where = next(i for i, c in enumerate(notebook["cells"]) if c["id"] == DECAY)
        text = "import functools, operator\ndef added(parts):\n"
        text += "    return functools.reduce(operator.add, parts)\n"
        cell = {"id": "mine", "cell_type": "code", "metadata": {}, "source": text}
        notebook["cells"].insert(where, cell | {"outputs": [], "execution_count": None})

    grade = of(
        helpers,
        stable_cross_entropy="import operator as op\n" + RIGHT[ENTROPY],
        weight_decay=RIGHT[DECAY]
        .replace("total = 0\n", "terms = []\n")
        .replace("total = total + strength", "terms.append(strength")
        .replace("/ units", "/ units)")
        .replace("return total", "return added(terms)"),
        training_step=RIGHT[STEP].replace("learning_rate * g", "op.mul(learning_rate, g)"),
    )
    assert scores(grade) == [8, 8, 8], grade.results


def test_a_helper_in_a_wrong_answers_cell_is_there_and_the_wrong_answer_is_not(of):
    wrong = "def less(p, by):\n    p.data -= by\n" + WRONG_DECAY
    step = RIGHT[STEP].replace("p.data -= learning_rate * g", "less(p, learning_rate * g)")
    grade = of(weight_decay=wrong, training_step=step)
    assert scores(grade) == [8, 0, 8], grade.results


def test_unsolved_wrong_and_half_right(tmp_path, of):
    grade = graded(handed_in(tmp_path, {}))
    assert scores(grade) == [0, 0, 0]
    assert {result.status for result in grade.results} == {"UNATTEMPTED"}
    grade = of(weight_decay=WRONG_DECAY, training_step=STUB.format(STEP))
    assert scores(grade) == [8, 0, 0]
    assert grade[DECAY].status == "FAIL"
    assert grade[DECAY].sentences
    assert "defines no `training_step`" in grade[STEP].sentences[0]
    # what the learner reads is what is reported
    names = {"weight_matrices": None, "CONVENTIONS": None}
    exec(f"from course_lib.training import {', '.join(names)}", names)
    exec(WRONG_DECAY, names)
    assert grade[DECAY].sentences == judge(exercises.find(DECAY), names["weight_decay"]).sentences


HEAD = "def weight_decay(net, strength, convention='paper'):\n"

FAILING = {
    "exception at the top": ("1 / 0\n", "ZeroDivisionError: division by zero, in the line `1 / 0`"),
    "exit at the top": ("exit()\n", "The cell ended the program, in the line `exit()`"),
    "syntax error": ("def weight_decay(net)\n    return 0\n", "Python cannot read the cell: "),
    "exception": (HEAD + "    return nett", "nett"),
    "loop at the top": ("while True:\n    pass\n", "The cell was still running after 2 s"),
    "loop that catches": (
        "while True:\n    try:\n        while True:\n            pass\n    except:\n        pass\n",
        "The cell was still running after 2 s",
    ),
    "loop": (
        HEAD + "    while True:\n        pass\n",
        "Your function was still running after 2 s",
    ),
    "killed at the top": ("import os\nos._exit(0)\n", "The process ended while the cell ran (exit"),
    "killed": (
        HEAD + "    import os\n    os.kill(os.getpid(), 9)\n",
        "The system ended the process while your function ran",
    ),
    "memory at the top": ("hoard = bytearray(10**11)\n", "MemoryError (there is a limit"),
    "memory": (
        HEAD + "    return torch.ones(10**11).sum()\n",
        "RuntimeError: ",
    ),
    "50 MB printed": (
        HEAD + "    print('x' * 50_000_000)\n",
        "prints and returns nothing",
    ),
    "a bomb of brackets": (f"x = {'[' * 5000}{']' * 5000}\n", "Python cannot read the cell"),
    "nothing": ("\n", "defines no `weight_decay`"),
    "text instead of code": ("I do not know how.\n", "Python cannot read the cell: invalid syntax"),
    "another name": (RIGHT[DECAY].replace("def w", "def my_w"), "defines no `weight_decay`"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_what_fails_costs_its_own_points_alone(kind, of):
    text, words = FAILING[kind]
    grade = of(weight_decay=text)
    assert scores(grade) == [8, 0, 8], grade.results
    assert words in grade[DECAY].sentences[0]
    assert grade[DECAY].seconds < 60


def test_what_goes_wrong_after_the_definition_is_a_notice(of):
    grade = of(weight_decay=RIGHT[DECAY] + "\nprint(weight_decay(no_such_net, 1.0))\n")
    assert scores(grade) == [8, 8, 8]
    assert "After its definition: The cell stopped with NameError" in grade[DECAY].notices[0]


# --- full marks without work -----------------------------------------------------------------

CHEATS = {
    "check is another": ("check = lambda slug, f: f\n" + HEAD + "    return 0\n", "FAIL"),
    "the environment": (
        "import os\nfor name in ('NBGRADER_EXECUTION', 'COURSE_STRICT'):\n"
        "    os.environ.pop(name, None)\n" + HEAD + "    return 0\n",
        "FAIL",
    ),
    "the function itself": (
        "from course_lib.training import weight_decay as theirs\nweight_decay = theirs\n",
        "NOT RUN",
    ),
    "the library": (
        HEAD + "    from course_lib import training\n"
        "    return training.weight_decay(net, strength, convention)\n",
        "NOT RUN",
    ),
    "the solution": (
        "from course_lib.exercises import find\n"
        + HEAD
        + "    f = find('weight-decay').solution()\n"
        "    return f(net, strength, convention)\n",
        "NOT RUN",
    ),
    "another right answer": (
        "from course_lib.exercises import find\n"
        + HEAD
        + "    f = find('weight-decay').variants[0]\n"
        "    return f(net, strength, convention)\n",
        "NOT RUN",
    ),
    "in a thread": (
        "import threading\n" + HEAD + "    from course_lib import training\n"
        "    found = []\n    def ask():\n"
        "        found.append(training.weight_decay(net, strength, convention))\n"
        "    if strength < 0 or convention not in CONVENTIONS:\n"
        "        raise ValueError(weight_decay_says(convention, strength))\n"
        "    thread = threading.Thread(target=ask)\n    thread.start()\n    thread.join()\n"
        "    return found[0]\n"
        "def weight_decay_says(convention, strength):\n"
        "    if convention not in CONVENTIONS:\n"
        "        return f\"The convention is {' or '.join(CONVENTIONS)}, not {convention!r}.\"\n"
        "    return f'A decay of {strength} would make weights grow.'\n",
        "NOT RUN",
    ),
    "unseen": (
        "import sys\n" + HEAD + "    from course_lib import training\n"
        "    sys.setprofile(None)\n"
        "    return training.weight_decay(net, strength, convention)\n",
        "NOT RUN",
    ),
    "unseen for a moment": (
        "import sys\n" + HEAD + "    from course_lib import training\n"
        "    profile = sys.getprofile()\n    sys.setprofile(None)\n"
        "    try:\n        return training.weight_decay(net, strength, convention)\n"
        "    finally:\n        sys.setprofile(profile)\n",
        "NOT RUN",
    ),
    "unseen by the engine's own": (
        "from course_lib.exercises import trials\n" + HEAD + "    from course_lib import training\n"
        "    with trials.Calls([]):\n"
        "        return training.weight_decay(net, strength, convention)\n",
        "NOT RUN",
    ),
    "the rules": (
        "from course_lib.exercises import judging\njudging.AFTER = (judging.right,)\n"
        "judging.Trial.wrong = []\n" + HEAD + "    return 0\n",
        "NOT RUN",
    ),
    "the comparison": (
        "from course_lib.exercises import trial\ntrial.disagreement = lambda *a: None\n"
        + HEAD
        + "    return 0\n",
        "NOT RUN",
    ),
    "in the function": (
        HEAD + "    from course_lib.exercises import trial\n"
        "    trial.disagreement = lambda *a: None\n    return 0\n",
        "NOT RUN",
    ),
    "the exercise": (
        "from course_lib.exercises import Case, find\ne = find('weight-decay')\n"
        "e.oracle = None\ne.cases = lambda rng: []\ne.probes.clear()\n" + HEAD + "    return 0\n",
        "NOT RUN",
    ),
    "the classes": (
        "from course_lib.exercises.feedback import Feedback\n"
        "said = {'status': 'PASS', 'sentences': [], 'notices': [], 'mistake': None}\n"
        "Feedback.__init__ = lambda self, *a, **k: vars(self).update(said)\n"
        + HEAD
        + "    return 0\n",
        "NOT RUN",
    ),
    "a forged verdict": (
        "import gc, json\nfrom multiprocessing.connection import Connection\n"
        "for c in [o for o in gc.get_objects() if isinstance(o, Connection) and not o.closed]:\n"
        "    try:\n"
        "        c.send_bytes(json.dumps({'what': 'defined'}).encode())\n"
        "        c.send_bytes(json.dumps({'what': 'ran', 'got': [], 'late': False}).encode())\n"
        "        c.send_bytes(json.dumps({'what': 'done', 'status': 'PASS', 'sentences': ['x'],\n"
        "            'notices': [], 'mistake': None}).encode())\n"
        "    except OSError:\n        pass\n" + HEAD + "    return 0\n",
        "NOT RUN",
    ),
}


@pytest.mark.parametrize("kind", CHEATS)
def test_what_is_not_the_students_is_worth_nothing(kind, of):
    text, status = CHEATS[kind]
    grade = of(weight_decay=text)
    assert scores(grade) == [8, 0, 8], grade.results
    assert grade[DECAY].status == status, grade[DECAY]
    assert grade[DECAY].sentences


def test_a_redefined_check_takes_nothing_from_who_is_right(of):
    grade = of(stable_cross_entropy="check = lambda slug, f: f\n" + RIGHT[ENTROPY])
    assert scores(grade) == [8, 8, 8]


def test_who_compares_with_the_library_is_looked_at_and_passes(of):
    more = "\nfrom course_lib import training\nprint(training.weight_decay(nn.Linear(2, 2), 1.0))\n"
    grade = of(weight_decay=RIGHT[DECAY] + more)
    assert scores(grade) == [8, 8, 8]
    assert "To be looked at: while its cell ran, it called" in grade[DECAY].notices[0]


LOOKED_AT = {
    "makes code out of other code": "c = (lambda: 0).__code__.replace(co_name='x')",
    "starts another program": "import subprocess, sys\nsubprocess.run([sys.executable, '-V'])",
    "sends signals": "import os\nos.kill(os.getpid(), 0)",
    "reads the course's own files": "import inspect\nfrom course_lib import training\n"
    "inspect.getsource(training.weight_decay)",
}


@pytest.mark.parametrize("what", LOOKED_AT)
def test_what_may_have_its_reasons_is_for_the_instructor_to_look_at(what, of):
    grade = of(chosen=[DECAY], weight_decay=RIGHT[DECAY] + "\n" + LOOKED_AT[what])
    assert scores(grade) == [8]
    assert f"To be looked at: its code {what}" in grade[DECAY].notices[0]


def test_a_check_in_the_answers_own_cell_does_no_harm(of):
    more = "\nfrom course_lib.exercises import check\nf = check('weight-decay', weight_decay)\n"
    grade = of(chosen=[DECAY], weight_decay=RIGHT[DECAY] + more)
    assert scores(grade) == [8]


# --- notebooks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no notebook"),
        ("", "is an empty file"),
        ("{", "line 1, column 2: not a notebook any more"),
        ("[" * 100_000, "not a notebook any more"),
        ("\x00\x01", "not a notebook any more"),
        ("3", "it has no list of cells"),
        ('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "without any cell"),
        ('{"cells": [{"cell_type": "code", "source": ""}]}', "without any cell"),
        (b"\xff\xfe", "not text in UTF-8"),
    ],
)
def test_what_is_no_notebook_is_a_sentence(content, words, tmp_path):
    path = tmp_path / f"{LESSON}.ipynb"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    grade = graded(path)
    assert scores(grade) == [0, 0, 0]
    for result in grade.results:
        assert result.status == "MISSING"
        assert words in result.sentences[0]
        assert str(tmp_path) not in result.sentences[0]


def test_a_folder_is_no_notebook(tmp_path):
    (grade,) = graded(tmp_path, [DECAY]).results
    assert grade.status == "MISSING"


def test_50_mb_of_output(of):
    def printed(notebook):
        cell = next(c for c in notebook["cells"] if c["id"] == f"{DECAY}-check")
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 50_000_000}]

    grade = of(printed, chosen=[DECAY])
    assert scores(grade) == [8]


def test_another_kernel_is_told(of):
    def in_r(notebook):
        notebook["metadata"] |= {
            "kernelspec": {"name": "ir", "language": "R", "display_name": "R"},
            "language_info": {"name": "R"},
        }

    grade = of(in_r, weight_decay="weight_decay <- function(net) { 0 }")
    assert scores(grade) == [8, 0, 8]
    assert "of another kernel (R)" in grade.notes[0]


def test_checks_deleted_and_edited_are_the_released_ones(of):
    def without(notebook):
        notebook["cells"] = [c for c in notebook["cells"] if not c["id"].endswith("-check")]

    def edited(notebook):
        for cell in notebook["cells"]:
            if cell["id"].endswith("-check"):
                cell["source"] = "print('PASS')"

    for change, words in ((without, "is not there"), (edited, "was changed")):
        grade = of(change, weight_decay=WRONG_DECAY)
        assert scores(grade) == [8, 0, 8]
        assert f"check {words}: it was graded by the released one" in grade[STEP].notices[0]


def test_cells_that_are_missing_or_lost_their_ids(of):
    def without(notebook):
        notebook["cells"] = [c for c in notebook["cells"] if c["id"] != DECAY]

    grade = of(without)
    assert scores(grade) == [8, 0, 8]
    assert "has no cell with `weight_decay`" in grade[DECAY].sentences[0]

    def converted(notebook):
        for number, cell in enumerate(notebook["cells"]):
            cell.update(id=f"cell-{number}", metadata={})

    assert scores(of(converted)) == [8, 8, 8]


def test_the_answer_in_a_new_cell_below_the_stub(of):
    def below(notebook):
        where = next(i for i, c in enumerate(notebook["cells"]) if c["id"] == DECAY)
        cell = {"id": "mine", "cell_type": "code", "metadata": {}, "source": RIGHT[DECAY]}
        notebook["cells"].insert(where + 1, cell)

    given = {slug: text for slug, text in RIGHT.items() if slug != DECAY}
    assert scores(of(below, given=given)) == [8, 8, 8]


def test_an_older_release(of):
    """Its texts are others, and an exercise of today was not there."""

    def older(notebook):
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = "Another text."
            if cell["id"] == "imports":
                cell["source"] = "import torch\nfrom course_lib.exercises import check"
        drop = (STEP, f"{STEP}-check", f"{STEP}-task")
        notebook["cells"] = [c for c in notebook["cells"] if c["id"] not in drop]

    grade = of(older)
    assert scores(grade) == [8, 8, 0]
    assert "comes from another release" in grade[STEP].sentences[0]


@pytest.mark.parametrize("lesson", sorted(workcopy.lessons()))
def test_every_lessons_own_solutions_are_worth_all_points(lesson):
    path = storage.PACKAGE.parent / "solutions" / f"{lesson}.ipynb"
    grade = grade_notebook(path)
    assert grade.points == grade.most > 0, [str(r) for r in grade.results if r.points < r.most]
    assert not any(result.notices for result in grade.results)


# --- who asks --------------------------------------------------------------------------------


def test_the_lesson_is_the_one_that_the_notebook_says(tmp_path):
    path = handed_in(tmp_path, {})
    slugs = [result.slug for result in grade_notebook(path).results]
    assert slugs == [e.slug for e in exercises.lessons()[1].EXERCISES]
    other = tmp_path / "mine.ipynb"
    other.write_text("", encoding="utf-8")
    with pytest.raises(LookupError, match=r"mine\.ipynb does not say which lesson it is"):
        grade_notebook(other)


def test_exercises_that_do_not_exist_or_come_twice(tmp_path):
    with pytest.raises(LookupError, match="did you mean `weight-decay`"):
        graded(tmp_path / "x.ipynb", ["weight-decey"])
    with pytest.raises(ValueError, match="graded once: weight-decay"):
        graded(tmp_path / "x.ipynb", [DECAY, DECAY])


def test_nothing_of_a_submission_is_left(of, tmp_path, monkeypatch):
    """Neither in the grader's home, nor for the next one; two at once do not meet."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COURSE_SECRET", "of the instructor")
    leave = (
        "\nfrom course_lib.exercises import answer, find, store\n"
        "import os\nanswer('filters-reading', 'Of somebody else.')\n"
        "assert store.read()['answers'] and not seen\nassert 'COURSE_SECRET' not in os.environ\n"
    )
    first = "from course_lib.exercises import store\nseen = store.read()['answers']\n"
    grade = of(stable_cross_entropy=first + RIGHT[ENTROPY] + leave)
    again = of(stable_cross_entropy=first + RIGHT[ENTROPY] + leave)
    assert scores(grade) == scores(again) == [8, 8, 8]
    assert not grade[ENTROPY].notices + again[ENTROPY].notices, "the asserts hold"
    assert not (tmp_path / "home").exists()


def test_two_threads_grade_at_once(tmp_path):
    paths, found = [], {}
    for name, text in (("a", RIGHT[DECAY]), ("b", WRONG_DECAY)):
        (tmp_path / name).mkdir()
        paths.append(handed_in(tmp_path / name, {DECAY: text}))

    def work(path):
        found[path] = scores(graded(path, [DECAY]))

    threads = [threading.Thread(target=work, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[path] for path in paths] == [[8], [0]]


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system cannot say whether it lives")
def test_the_graders_own_variables_stay_while_answers_are_graded(tmp_path, monkeypatch):
    """A thread that looked while each answer's process began once found none, and kept that."""
    from multiprocessing import forkserver

    monkeypatch.setenv("COURSE_SECRET", "a secret")
    launch.prepare()
    changed = []
    clear = os.environ.clear
    monkeypatch.setattr(os.environ, "clear", lambda: (changed.append(1), clear()), raising=False)
    assert scores(graded(handed_in(tmp_path, RIGHT), [DECAY, STEP])) == [8, 8]
    assert not changed
    # a server that has died is started again, and again without the grader's secrets
    server = forkserver._forkserver._forkserver_pid
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
    assert scores(graded(handed_in(tmp_path, RIGHT), [DECAY])) == [8]
    assert len(changed) == 2
    server = forkserver._forkserver._forkserver_pid
    if Path(f"/proc/{server}/environ").exists():
        told = Path(f"/proc/{server}/environ").read_bytes()
        assert b"PATH=" in told
        assert b"COURSE_SECRET" not in told
    assert os.environ["COURSE_SECRET"] == "a secret"


def test_without_a_server_each_answer_has_a_new_python(tmp_path, monkeypatch):
    """As on Windows."""
    monkeypatch.setattr(launch.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert scores(graded(handed_in(tmp_path, RIGHT), [DECAY])) == [8]


def test_who_changes_the_courses_files_is_not_graded(of, monkeypatch):
    """Pretended: the grader sees another file the second time that it looks."""
    looks = iter([{}, {storage.PACKAGE / "attacks.py": (1, 1)}])
    monkeypatch.setattr(grading, "_files", lambda: next(looks))
    grade = of(chosen=[DECAY])
    assert (grade.points, grade[DECAY].status) == (0, "NOT GRADED")
    assert "files of the course were changed (attacks.py)" in grade[DECAY].sentences[0]


def test_a_process_that_tells_without_end_is_ended(of):
    text = (
        "import gc\nfrom multiprocessing.connection import Connection\n"
        "for c in [o for o in gc.get_objects() if isinstance(o, Connection) and not o.closed]:\n"
        "    while True:\n"
        '        c.send_bytes(b\'{"what": "called"}\')\n'
    )
    grade = of(weight_decay=text)
    assert scores(grade) == [8, 0, 8]
    assert grade[DECAY].seconds < 20


# --- what travels ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor(3.5),
        torch.ones(2, 0, 3),
        torch.tensor([1 + 2j]),
        np.array([[np.nan, np.inf, -0.0]]),
        True,
        None,
        "text \ud83d",
        (1, [2.0, "x"], {"a": torch.arange(3)}),
    ],
)
def test_results_travel_as_they_are(value):
    before = Outcome(value=snapshot(value), gradients={"x": [snapshot(torch.ones(2))], "y": None})
    data = json.loads(json.dumps(wire.packed_outcome(before)))
    after = wire.unpacked_outcome(data, before)
    assert repr(after.value) == repr(before.value)
    assert repr(after.gradients) == repr(before.gradients)


def test_errors_travel_by_their_name():
    class Own(ValueError):
        pass

    want = Outcome(error=ValueError("no"))
    for error, same in ((ValueError("no"), True), (ValueError("x"), False), (Own("no"), False)):
        data = json.loads(json.dumps(wire.packed_outcome(Outcome(error=error))))
        assert (wire.unpacked_outcome(data, want).error is want.error) is same
    data = wire.packed_outcome(Outcome(value=object()))
    assert repr(wire.unpacked_outcome(data, want).value) == "a object"


def test_a_verdict_that_makes_no_sense_is_none():
    exercise = exercises.find(DECAY)
    over = {"what": "over", "why": "end"}
    good = [wire.packed_outcome(one) for one in trials.expected(exercise)]
    done = {"what": "done", "status": "PASS", "sentences": [], "notices": []}

    def status(got, last=done):
        ran = {"what": "ran", "got": got, "late": False}
        return grading.believed(exercise, [ran, last, over])[0]

    assert status(good) == "PASS"
    for bad in ([], good[:-1], [*good[:-1], {}], [3], None, [*good[:-1], good[0] | {"value": 3}]):
        assert status(bad) == "NOT RUN"
    for last in ({"what": "done"}, done | {"sentences": 3}):
        assert status(good, last) == "NOT RUN"
