"""Where nbgrader executes a notebook: a home for every run, and later cells that still run."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from course_lib import exercises, storage
from course_lib.exercises import CheckFailed, check, judge
from course_lib.exercises.engine import missing_names
from course_lib.exercises.missing import Missing

RUN = """
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.colors = "NoColor"
for cell in sys.stdin.read().split("# ----\\n"):
    shell.run_cell(cell, store_history=True)
"""


def start(cells, **variables):
    """A process that runs ``cells`` one after the other as nbgrader's kernel does."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
    env |= {"NBGRADER_EXECUTION": "autograde", "COURSE_DEVICE": "cpu", **variables}
    env["PYTHONPATH"] = str(storage.PACKAGE.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    process.stdin.write("# ----\n".join(map(textwrap.dedent, cells)))
    process.stdin.close()
    return process


def told(process):
    text = process.stdout.read()
    process.wait(60)
    return text


def whose_cells(student):
    return [
        "from course_lib import storage\nfrom course_lib.exercises import answer, check, predict",
        f'predict("best-test-error", {student})\nanswer("noise-reading", "Of {student}.")',
        'predict("best-test-error", None)\nanswer("noise-reading")',
        "check('pixel-rms', lambda perturbation: perturbation.square().mean((1, 2, 3)).sqrt())",
        "print('HOME', storage.home(), storage.home().is_dir())",
    ]


def test_two_graded_runs_side_by_side_know_nothing_of_each_other(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_HOME")
    own = storage.home() / "progress.json"
    before = own.read_bytes() if own.exists() else None
    first, second = start(whose_cells(11)), start(whose_cells(22))
    texts = told(first), told(second)
    homes = [text.partition("HOME ")[2].split()[0] for text in texts]
    assert homes[0] != homes[1]
    for text, mine, others in zip(texts, ("11", "22"), ("22", "11"), strict=True):
        assert f"Your prediction, {mine}%, is kept." in text
        assert f"Your answer: Of {mine}." in text
        assert f"{others}%" not in text
        assert f"Of {others}." not in text
        assert text.rstrip().endswith("True")
    assert not any(Path(home).exists() for home in homes), "they are gone with the run"
    assert (own.read_bytes() if own.exists() else None) == before


def test_a_home_that_is_given_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "given"))
    assert storage.home() == (tmp_path / "given").resolve()
    monkeypatch.delenv("COURSE_HOME")
    graded = storage.home()
    assert graded == storage.home(), "one for the whole run"
    monkeypatch.delenv("NBGRADER_EXECUTION")
    assert storage.home() != graded


LESSON = [
    "from course_lib.exercises import check\nimport torch",
    # a syntax error: nothing is defined
    "def pixel_rms(perturbation)\n    return 0",
    'pixel_rms = check("pixel-rms", pixel_rms)',
    "print('A', float(pixel_rms(torch.ones(1, 1, 28, 28))))",
    # a stub
    'def purity(labels, of=None):\n    raise NotImplementedError("purity")',
    'purity = check("purity", purity)',
    "print('B', purity.__module__)",
    # right, after all that
    "def amplify(adversarial, images, stddev):\n"
    "    change = adversarial - images\n"
    "    axes = tuple(range(1, change.ndim))\n"
    "    sizes = change.square().mean(axes, keepdim=True).sqrt()\n"
    "    return images + stddev * change / sizes",
    'amplify = check("amplify", amplify)',
    "print('C', amplify.__module__)",
]


def test_one_exercise_that_fails_costs_no_later_one():
    text = told(start(LESSON))
    assert "NOT RUN  pixel-rms\n  There is no `pixel_rms`: the cell that is to define it" in text
    assert "NameError" not in text
    assert text.count("CheckFailed: ") >= 2
    assert "A 1.0" in text
    assert "UNATTEMPTED  purity" in text
    assert "B course_lib.exercises._references." in text
    assert "C __main__" in text


# --- the parts of it -------------------------------------------------------------------------


def test_what_is_missing_is_told_where_checks_are_strict(monkeypatch):
    text, names = 'pixel_rms = check(\n    "pixel-rms", pixel_rms\n)\ncheck("no-such", x)', {}
    missing_names(text, names)
    assert names == {}
    monkeypatch.setenv("COURSE_STRICT", "1")
    names["purity"] = len
    missing_names(text + '\npurity = check("purity", purity)\nscore("best-test-error", 3)', names)
    assert sorted(names) == ["pixel_rms", "purity"]
    assert names["purity"] is len
    feedback = judge(exercises.find("pixel-rms"), names["pixel_rms"])
    assert feedback.status == "NOT RUN"
    assert "There is no `pixel_rms`" in feedback.sentence


def test_a_strict_check_hands_over_only_in_a_cell(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(CheckFailed):
        check("pixel-rms", None)
    assert "pixel_rms" not in globals(), "a function asked, which has names of its own"
    cell = {"check": check, "pixel_rms": Missing("pixel_rms")}
    with pytest.raises(CheckFailed, match="There is no `pixel_rms`"):
        exec('pixel_rms = check("pixel-rms", pixel_rms)', cell)
    assert cell["pixel_rms"] is exercises.find("pixel-rms").solution()
    # a bound that is loose is the learner's, and goes on
    cell = {"check": check, "torch": torch}
    exec(LOOSE, cell)
    loose = cell["log_bound"]
    with pytest.raises(CheckFailed, match="VALID BUT LOOSE"):
        exec('log_bound = check("log-bound", log_bound)', cell)
    assert cell["log_bound"] is loose
    capsys.readouterr()


LOOSE = """
def log_bound(norms, activations):
    return torch.tensor(norms, dtype=torch.float64).log().sum()
"""
