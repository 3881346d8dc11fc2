"""Every test writes into a folder of its own, and computes on the CPU unless it says otherwise."""

import pytest


def pytest_terminal_summary(terminalreporter, config):
    """Where ``-k`` names no exercise, say which is nearest; pytest says only "deselected"."""
    stats, word = terminalreporter.stats, config.option.keyword
    asked = any("test_exercises.py" in str(argument) for argument in config.args)
    if asked and word and len(stats.get("deselected", ())) and set(stats) <= {"deselected", ""}:
        from course_lib.exercises import find

        try:
            find(word)
        except LookupError as error:
            terminalreporter.write_line(error.args[0])


@pytest.fixture(autouse=True)
def _own_folder(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.delenv("COURSE_STRICT", raising=False)
