"""What a learner is asked: guesses that cannot be, plain text, and the order of the options."""

import math

import pytest

from course_lib.authoring import wording
from course_lib.exercises import entries, predict, score, store

GUESS = "best-test-error"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))


# ---------------------------------------------------------------- guesses that cannot be


@pytest.mark.parametrize(
    ("slug", "guess", "says"),
    [
        (GUESS, -3, "cannot come out as -3%: it is from 0 to 100%"),
        (GUESS, 100.5, "cannot come out as 100%"),
        (GUESS, (-1, 5), "cannot come out as -1 to 5%"),
        (GUESS, (50, 101), "from 0 to 100%"),
        ("penalty-excess", -1, "it is at least 0%"),
        ("cosine-of-halves", 1.5, "it is from -1 to 1"),
        ("chance-of-purity", 13, "it is from 0 to 1"),
        ("discordant-images", 20_000, "it is from 0 to 10000 images"),
        ("discordant-images", -5, "cannot come out as -5 images"),
        ("random-over-nearest", -2, "it is at least 0"),
        (GUESS, 10**400, "A prediction is a number"),
    ],
)
def test_a_guess_that_cannot_be_is_not_kept(slug, guess, says, capsys):
    predict(slug, guess)
    assert says in (out := capsys.readouterr().out)
    assert "first" not in out
    assert not store.path().exists()
    predict(slug, 0.5)
    assert store.read()["predictions"][slug]["value"] == 0.5


@pytest.mark.parametrize(
    ("slug", "guess"),
    [(GUESS, 0), (GUESS, 100), ("penalty-excess", 250), ("reshaped-share", 120)],
)
def test_the_ends_and_what_may_be_above_all_of_it_are_kept(slug, guess, capsys):
    predict(slug, guess)
    assert "Your prediction is" in capsys.readouterr().out
    assert store.read()["predictions"][slug]["value"] == guess


def test_one_that_was_kept_formerly_gives_way(capsys):
    store.update(lambda data: data["predictions"].update({GUESS: {"value": -3}}))
    predict(GUESS)
    assert "No prediction" in capsys.readouterr().out
    score(GUESS, 2)
    assert "You made no prediction" in capsys.readouterr().out
    predict(GUESS, 3)
    assert "made after the result was out" in capsys.readouterr().out
    assert store.read()["predictions"][GUESS]["value"] == 3


def test_that_the_first_one_counts_is_said(capsys):
    predict(GUESS, 30)
    predict(GUESS, 3)
    out = capsys.readouterr().out
    assert "Your first prediction, 30%, is the one that is kept (not 3%). Only the first" in out


def test_every_share_of_the_lessons_has_its_ends():
    for slug, prediction in entries("PREDICTIONS").items():
        assert prediction.low < prediction.high, slug
        beyond = slug in ("penalty-excess", "reshaped-share")
        if prediction.unit == "%":
            assert (prediction.low, prediction.high) == (0, math.inf if beyond else 100), slug


# ---------------------------------------------------------------- what is shown as it stands


def shown():
    """Place and text of all that a learner sees as plain text; what stands in backquotes is code.

    True where backquotes are turned into code.
    """
    for slug, exercise in entries("EXERCISES").items():
        yield slug, exercise.title, False
        yield slug, exercise.done, True
        yield slug, exercise.loose, True
        for mistake in exercise.mistakes:
            yield f"{slug}, {mistake.name}", mistake.sentence, True
    for slug, prediction in entries("PREDICTIONS").items():
        yield slug, prediction.question, False
        yield slug, prediction.unit, False
    for slug, quiz in entries("QUIZZES").items():
        yield slug, quiz.question, False
        for option in quiz.options:
            yield slug, option.text, False
            yield slug, option.why, True
    for slug, short in entries("ANSWERS").items():
        yield slug, short.question, False
        for point in short.rubric:
            yield slug, point, True


def test_plain_text_has_no_markup_in_it():
    found = []
    for where, text, code in shown():
        found += [f"{where}: {mark!r} in {text!r}" for mark in wording.marks(text, code)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text", ["the *net* change", "**so**", "_so_ it is", "$x$", r"\lambda", "(*a b*)"]
)
def test_what_counts_as_markup(text):
    assert wording.MARKED.search(text)


@pytest.mark.parametrize(
    "text", ["2 * 3 * 4", "z_j = z_y", "x' - x||_2", "f(*args, **kwargs)", "5 $"]
)
def test_what_does_not(text):
    assert not wording.MARKED.search(text)


def test_no_place_among_the_options_gives_the_right_one_away():
    places = []
    for quiz in entries("QUIZZES").values():
        right_ones = [i for i, option in enumerate(quiz.options) if option.right]
        places += right_ones if len(right_ones) == 1 else []
    for place in set(places):
        assert places.count(place) <= len(places) / 2, place
    assert len(set(places)) > 2
