"""What one types: each command does its work, and a mistake is answered in a sentence."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import cli, record, storage, zoo


@pytest.fixture
def started(monkeypatch):
    """What would have been started in this process's place."""
    calls = []

    def replace(command, folder=None, **variables):
        calls.append((command, folder, variables))
        return 0

    monkeypatch.setattr(cli, "replace_process", replace)
    return calls


def test_lab_opens_the_learners_copy(started, tmp_path, capsys):
    assert cli.main(["lab", "--folder", str(tmp_path / "work"), "--no-browser"]) == 0
    [(command, folder, _)] = started
    assert (folder / "00_start_here.ipynb").is_file()
    assert f"--ServerApp.root_dir={folder}" in command
    assert "--LabApp.default_url=/lab/tree/00_start_here.ipynb" in command
    assert command[-1] == "--no-browser", "options for JupyterLab are passed on"
    assert str(folder) in capsys.readouterr().out


def test_lab_can_open_another_lesson(started, tmp_path, capsys):
    assert cli.main(["lab", "--folder", str(tmp_path), "--lesson", "1"]) == 0
    assert "--LabApp.default_url=/lab/tree/01_training_mnist_networks.ipynb" in started[0][0]
    assert cli.main(["lab", "--folder", str(tmp_path), "--lesson", "77"]) == 1
    assert "no lesson '77'" in capsys.readouterr().err
    assert len(started) == 1


def test_lab_as_root_says_so_to_jupyter(started, tmp_path, monkeypatch):
    monkeypatch.setattr(cli.os, "geteuid", lambda: 0, raising=False)
    cli.main(["lab", "--folder", str(tmp_path)])
    monkeypatch.setattr(cli.os, "geteuid", lambda: 1000, raising=False)
    cli.main(["lab", "--folder", str(tmp_path)])
    assert ["--allow-root" in command for command, _, _ in started] == [True, False]


def test_test_runs_tests_and_notebooks_together(started):
    assert cli.main(["test", "-x"]) == 0
    [(command, folder, _)] = started
    assert folder == storage.checkout()
    for part in ("tests", "lessons", "solutions", "--nbval-lax", "loadfile", "-x"):
        assert part in command


def test_the_longest_files_run_first():
    found = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    order = runpy.run_path(str(Path(__file__).parents[1] / "conftest.py"))
    assert set(order["LONG"]) <= found
    tests = {Path("lessons/a.ipynb"): 3, Path("tests/test_b.py"): 9, Path("tests/test_c.py"): 10}
    paths = [*tests, Path("tests") / order["LONG"][1], Path("tests") / order["LONG"][0]]
    ordered = sorted(paths, key=lambda path: order["_place"](path, tests))
    assert [path.name for path in ordered] == [
        *order["LONG"][:2],
        "a.ipynb",
        "test_c.py",
        "test_b.py",
    ]


def test_test_in_a_browser_runs_every_lesson_and_keeps_the_pictures(started, monkeypatch):
    pytest.importorskip("playwright", reason="playwright is not installed")
    monkeypatch.setenv("CHROMIUM", sys.executable)  # any program: nothing starts it
    monkeypatch.delenv("COURSE_SCREENSHOTS", raising=False)
    assert cli.main(["test", "--browser", "-x"]) == 0
    [(command, folder, variables)] = started
    assert "tests/test_lab_browser.py" in command
    assert not {"tests", "lessons", "solutions", "--browser"} & set(command)
    assert command[-1] == "-x"
    assert variables["COURSE_BROWSER"] == "1"
    assert variables["COURSE_SCREENSHOTS"] == str(folder / "screenshots")


def test_test_in_a_browser_that_is_not_there_is_a_sentence(started, monkeypatch, capsys):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")
    assert cli.main(["test", "--browser"]) == 1
    assert started == []
    assert "The browser tests need Chromium or Chrome" in capsys.readouterr().err


def test_test_can_run_one_file(started):
    cli.main(["test", "tests/test_paper.py"])
    assert "lessons" not in started[0][0]


def test_test_keeps_the_notebooks_when_tests_are_chosen_by_name(started):
    cli.main(["test", "-k", "decay"])
    assert "lessons" in started[0][0]


def test_test_without_its_packages_says_how_to_get_them(started, monkeypatch, capsys):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["test"]) == 1
    assert "start.py test" in capsys.readouterr().err
    assert not started


def test_test_outside_a_checkout_says_where_the_tests_are(monkeypatch, capsys):
    monkeypatch.setattr(storage, "checkout", lambda: None)
    assert cli.main(["test"]) == 1
    assert "clone it" in capsys.readouterr().err


def test_train_says_a_wrong_name_before_any_work(monkeypatch, capsys):
    monkeypatch.setattr(record, "train_and_save", lambda *a, **k: pytest.fail("trained"))
    assert cli.main(["train", "FC10(1)", "FC100"]) == 1
    assert "no network called 'FC100': use one of" in capsys.readouterr().err


def test_train_leaves_the_shipped_networks_alone(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(zoo, "SHIPPED", tmp_path)
    monkeypatch.setitem(zoo.RECIPES, "FC10(1)", zoo.Recipe("convex", decay=1.0, tolerance=1e-2))
    assert cli.main(["train", "FC10(1)", "--seeds", "0", "7", "--quiet"]) == 0
    assert not list(tmp_path.glob("*.safetensors"))
    names = sorted(path.name for path in (storage.home() / "zoo").glob("*"))
    assert names == ["FC10-1.0.safetensors", "FC10-1.7.safetensors"]
    out = capsys.readouterr().out
    assert "FC10(1), seed 0: train" in out
    assert "FC10(1), seed 7: train" in out


def test_doctor_reports(capsys):
    assert cli.main(["doctor"]) in (0, 1)
    out = capsys.readouterr().out
    for word in ("Python", "torchvision", "MNIST"):
        assert word in out


def test_progress_is_shown(capsys):
    assert cli.main(["progress", "00"]) == 0
    assert "How much was an image changed?" in capsys.readouterr().out


def test_an_unknown_command_lists_the_commands(capsys):
    with pytest.raises(SystemExit):
        cli.main(["labb"])
    assert "doctor" in capsys.readouterr().err


def test_ctrl_c_is_answered_in_a_sentence(monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "train_and_save", interrupted)
    assert cli.main(["train", "FC10(1)"]) == 130
    assert "goes on from there" in capsys.readouterr().out


def test_the_package_imports_nothing_heavy():
    script = (
        "import sys, course_lib, course_lib.exercises, course_lib.cli;"
        "print([m for m in ('torch', 'torchvision', 'ipywidgets', 'matplotlib', 'numpy') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_torchvision_is_not_needed_for_a_network():
    script = "import sys; from course_lib import zoo, training; print('torchvision' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
