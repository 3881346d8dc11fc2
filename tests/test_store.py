"""What is kept of a learner may be damaged or out of reach: the verdict comes all the same."""

import json
import math
import warnings

import pytest

from course_lib import cli, storage
from course_lib.exercises import answer, check, predict, progress, score, store

SLUG, GUESS, WHY = "pixel-rms", "best-test-error", "noise-reading"


def right(perturbation):
    return perturbation.square().mean(dim=(1, 2, 3)).sqrt()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COURSE_STRICT", raising=False)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    return tmp_path / "home"


def write(data):
    path = store.path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def every_door(capsys):
    """Whatever a lesson and the command line call; what they print."""
    assert check(SLUG, right) is right
    predict(GUESS)
    predict(GUESS, 3)
    score(GUESS, 4)
    answer(WHY)
    answer(WHY, "The 8.")
    assert progress(0)._repr_html_()
    assert cli.main(["progress"]) == 0
    out = capsys.readouterr().out
    assert "PASS" in out
    assert "It came out as 4%" in out
    assert "A good answer says" in out
    assert "Lesson 00: 1 of 1 exercise solved" in out or "could not be kept" in out
    return out


GOOD = {
    "exercises": {"distortion": {"attempts": 2, "status": "PASS", "passed": "2026-01-01"}},
    "predictions": {"fc10-error": {"value": [7, 9], "made": "2026-01-01", "late": False}},
    "answers": {"why-larger": {"value": "Because.", "written": "2026-01-01"}},
    "of a newer course": {"x": 1},
}


DAMAGED = [
    ("exercises", {SLUG: {"attempts": None}}),
    ("exercises", {SLUG: {"attempts": -1}}),
    ("exercises", {SLUG: {"attempts": 2.5}}),
    ("exercises", {SLUG: {"attempts": "2"}}),
    ("exercises", {SLUG: {"attempts": True}}),
    ("exercises", {SLUG: {"attempts": [3]}}),
    ("exercises", {SLUG: {"attempts": 10**300}}),
    ("exercises", {SLUG: {"status": ["PASS"]}}),
    ("exercises", {SLUG: {"status": {}, "passed": 3}}),
    ("exercises", {SLUG: None}),
    ("exercises", {SLUG: [1, 2]}),
    ("exercises", {"no-slug-of-today": {"attempts": None}}),
    ("predictions", {GUESS: {"value": "three"}}),
    ("predictions", {GUESS: {"value": None}}),
    ("predictions", {GUESS: {"value": True}}),
    ("predictions", {GUESS: {"value": [1, 2, 3]}}),
    ("predictions", {GUESS: {"value": [2, 1]}}),
    ("predictions", {GUESS: {"value": [1, None]}}),
    ("predictions", {GUESS: {"value": []}}),
    ("predictions", {GUESS: {"value": {"low": 1}}}),
    ("predictions", {GUESS: {"value": math.nan}}),
    ("predictions", {GUESS: {"value": math.inf}}),
    ("predictions", {GUESS: {"value": 10**400}}),
    ("predictions", {GUESS: {"value": 1, "late": "yes", "scored": 3}}),
    ("predictions", {GUESS: {"value": 1, "scored": {"actual": "x"}}}),
    ("predictions", {GUESS: 3}),
    ("answers", {WHY: {"value": 3}}),
    ("answers", {WHY: {"value": None}}),
    ("answers", {WHY: {"value": ["a"]}}),
    ("answers", {WHY: "text"}),
]


@pytest.mark.parametrize(("section", "entry"), DAMAGED)
def test_a_damaged_entry_is_begun_anew_and_the_others_stay(section, entry, capsys, home):
    damaged = {**GOOD, section: GOOD[section] | entry}
    path = write(damaged)
    before = path.read_bytes()
    with pytest.warns(
        UserWarning, match=r"could not be read in part .*kept as .*damaged-1"
    ) as said:
        every_door(capsys)
    assert len(said) == 1  # the first door mends it
    assert next(iter(entry)) in str(said[0].message)
    assert path.with_name("progress.json.damaged-1").read_bytes() == before
    now = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    for name, kept in GOOD.items():
        assert now[name].items() >= kept.items()
    assert now["exercises"][SLUG]["status"] == "PASS"
    assert isinstance(now["exercises"][SLUG]["attempts"], int)
    assert now["answers"][WHY]["value"] == "The 8."


def test_what_is_right_in_a_damaged_entry_stays(capsys):
    write({"exercises": {SLUG: {"attempts": None, "passed": "2026-01-01", "newer": [1]}}})
    with pytest.warns(UserWarning, match="attempts is null"):
        assert progress(0).rows[0].state == "solved"
    assert store.read()["exercises"][SLUG] == {"passed": "2026-01-01", "newer": [1]}


@pytest.mark.parametrize("section", store.SECTIONS)
@pytest.mark.parametrize("instead", [[], [1], 3, None, "x"])
def test_a_section_of_a_wrong_type_is_begun_anew(section, instead, capsys):
    write({**GOOD, section: instead})
    with pytest.warns(UserWarning, match=f"in part \\({section} is not a mapping\\)"):
        every_door(capsys)
    others = [name for name in GOOD if name != section]
    assert all(store.read()[name].items() >= GOOD[name].items() for name in others)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"n": ' + "9" * 5000 + "}", "null", "3", '"x"'])
def test_a_file_that_is_something_else_is_begun_anew(text, capsys):
    path = write(text)
    with pytest.warns(UserWarning, match=r"could not be read \(.*kept as .*damaged-1"):
        every_door(capsys)
    assert path.with_name("progress.json.damaged-1").read_text(encoding="utf-8") == text


def test_a_status_of_a_newer_course_is_open_and_stays(capsys, recwarn):
    write({"exercises": {SLUG: {"status": "PASS WITH HONOURS", "attempts": 1}}})
    assert progress(0).rows[0].state == "open"
    assert store.read()["exercises"][SLUG]["status"] == "PASS WITH HONOURS"
    assert not recwarn


def test_a_folder_in_place_of_the_file(capsys):
    store.path().mkdir(parents=True)
    out = every_door(capsys)
    assert out.count("could not be kept in") == 4
    assert out.count("What you did before could not be read in") == 3
    assert "could not be read" in progress(0)._repr_html_()
    assert store.path().is_dir()


def refuse(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


def test_a_file_that_may_not_be_read(capsys, monkeypatch):
    # by hand, because root may read everything
    write(GOOD)
    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    monkeypatch.setattr("course_lib.exercises.registry.find", lambda *_: None)
    for value, words in ((None, "No prediction"), (3, "Your prediction is 3%")):
        predict(GUESS, value)
        assert words in (out := capsys.readouterr().out)
        assert "(Permission denied)" in out
    assert "(Permission denied)" in repr(progress(0))


def test_a_damaged_file_in_a_folder_that_takes_nothing(capsys, monkeypatch):
    path = write({"exercises": {SLUG: {"attempts": None}}})
    monkeypatch.setattr(storage, "write_text", refuse)
    monkeypatch.setattr(store.os, "rename", refuse)
    with pytest.warns(UserWarning, match=r"could not be mended there \(Permission denied\)"):
        every_door(capsys)
    assert "null" in path.read_text(encoding="utf-8")


def test_the_folder_of_nobody_is_a_sentence(capsys, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", "~nobody-of-this-name/x")
    out = every_door(capsys)
    assert "COURSE_HOME is '~nobody-of-this-name/x' (" in out
    assert "set it to a folder that you may write to)" in out
    with pytest.raises(OSError, match="set it to a folder"):
        storage.home()


def test_a_user_without_a_folder_is_a_sentence(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.setattr(storage, "checkout", lambda: None)
    monkeypatch.setattr(storage.Path, "home", nowhere)
    with pytest.raises(OSError, match=r"COURSE_HOME is not set \(Could not determine"):
        storage.home()


def test_a_lesson_that_is_none_is_a_sentence():
    for lesson in (99, "99", "²", "x", [1], -1):
        with pytest.raises(LookupError, match="no lesson"):
            progress(lesson)


def test_half_a_character_in_an_answer_can_be_shown(capsys):
    answer(WHY, "The 8 \ud83d")
    assert store.read()["answers"][WHY]["value"] == "The 8 �"
    answer(WHY)
    assert "The 8 �" in capsys.readouterr().out


def test_nothing_is_said_where_all_is_well(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        every_door(capsys)
