"""One-token changes of the solutions: made rightly, and the share that the checks catch."""

import pytest
import torch

from course_lib import exercises
from course_lib.exercises import mutants, sources

AT_LEAST = 0.9  # of an exercise's mutants that are not listed as equivalent
ALL = list(exercises.all_exercises())
SAMPLE = ALL[::5]  # all of them take minutes


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


def decorated(function):
    return function


@decorated
def example(x: torch.Tensor, k: int = 2) -> torch.Tensor:
    """Its docstring: 1 + 1 is not touched."""
    y = -(x + 1.5).clamp(min=0)
    if k < 3 and not x.any():
        y = torch.sqrt(y.sum(dim=0))
    x.detach_()
    return y


def test_what_is_changed():
    changes = [m.change for m in mutants.mutants(example)]
    assert len(changes) == len(set(changes))
    text = "\n".join(changes)
    for piece in (
        "+ y = -(x - 1.5).clamp(min=0)",
        "+ y = -(x + 3.0).clamp(min=0)",
        "+ y = -(x + 1.5).clamp(min=1)",
        "+ y = -(x + 1.5)",
        "+ y = (x + 1.5).clamp(min=0)",
        "+ if k <= 3 and (not x.any()):",
        "+ if k > 3 and (not x.any()):",
        "+ if k < 3 or not x.any():",
        "+ if k < 3 and x.any():",
        "+ if k < 4 and (not x.any()):",
        "+ y = torch.sqrt(y.mean(dim=0))",
        "+ y = torch.sqrt(y.sum(dim=1))",
        "+ y = y.sum(dim=0)",
        "- x.detach_() / + pass",
        "k: int=3",
    ):
        assert piece in text, piece
    assert "docstring" not in text


def test_the_mutants_run():
    x = torch.zeros(2)
    results = {m.change: m.function for m in mutants.mutants(example)}
    change = next(c for c in results if "(x - 1.5)" in c)
    assert torch.equal(results[change](x, k=5), torch.zeros(2))
    assert torch.equal(example(x, k=5), torch.full((2,), -1.5))


def test_functions_from_sources():
    assert sources.source(example).startswith("def example(")
    edited = sources.edited(example, ("1.5", "2.5"))
    assert torch.equal(edited(torch.zeros(2), k=5), torch.full((2,), -2.5))
    factor = 3

    def closure(x):
        return factor * x

    assert sources.edited(closure, ("* x", "+ x"))(1) == 4
    with pytest.raises(ValueError, match=r"'1' is [2-9] times"):
        sources.edited(example, ("1", "2"))


@pytest.mark.parametrize(
    "slug", [pytest.param(s, marks=() if s in SAMPLE else pytest.mark.thorough) for s in ALL]
)
def test_the_checks_catch_the_mutants(slug):
    rows = exercises.report([slug])
    print(mutants.table(rows))
    for row in rows:
        assert row.wrong[0] == row.wrong[1]
        assert row.right[0] == row.right[1]
        assert not row.stale, f"{row.slug}: listed as equivalent, but is not: {row.stale}"
    caught, number = (sum(row.mutants[i] for row in rows) for i in (0, 1))
    assert caught >= AT_LEAST * number, mutants.table(rows)


def test_survivors_are_listed(capsys):
    class Weak(exercises.Exercise):
        def solution(self):
            return example

    exercise = Weak(
        slug="weak",
        title="",
        difficulty=1,
        minutes=1,
        cases=lambda rng: [exercises.Case("zeros", torch.ones(2), 5)],
        mistakes=[],
        variants=[],
        equivalent_mutants={
            "- x.detach_() / + pass": "it does nothing",
            "- x / + y": "there is no such line",
        },
    )
    row = mutants.row(exercise)
    caught, number = row.mutants
    assert 0 < caught < number
    assert row.survivors
    assert "- x.detach_() / + pass" not in row.survivors
    assert row.stale == ["- x / + y"]
    text = mutants.table([row])
    assert f"survives: {row.survivors[0]}" in text
    assert "listed as equivalent, but is not: - x / + y" in text


def test_the_command(capsys):
    assert mutants.main(["pixel-rms"]) == 0
    number = len(exercises.find("pixel-rms").mistakes)
    assert f"pixel-rms  {number} of {number} " in capsys.readouterr().out
    assert mutants.main(["pixel-rsm"]) == 2
    assert "did you mean `pixel-rms`" in capsys.readouterr().err
    assert mutants.main(["black"]) == 2
    assert "There is no exercise called `black`: the nearest is `" in capsys.readouterr().err
