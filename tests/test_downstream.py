"""What a check has accepted never stops a later cell: lists, arrays, other types, other answers.

Every lesson runs once with the course's answers, on few images, and then its dependent cells once
for each form of the results (:mod:`downstream`), and with each other right answer of the registry,
all exercises at once.
"""

import functools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import downstream
from downstream import FORMS, SOURCES, Cell, Lesson, cells_of, in_form, smaller

from course_lib.exercises import all_exercises, find

# Cells that stop today: lesson, form of the results, cell -> why. Take out what is mended: a strict
# expected failure says so.
KNOWN: dict[tuple[str, str], dict[str, str]] = {}
# Cells that need all of the test images, or more than the tests have, whatever the answers are.
TOO_FEW = {"01": {"hunt-measured"}, "05": {"margin"}}

VARIANTS = range(max(len(e.variants) for e in all_exercises().values()))

pytestmark = pytest.mark.filterwarnings("ignore")  # of a figure that is closed, of a history


BREAKAGES = [(f, n, c) for (n, f), cells in KNOWN.items() for c in cells]


@functools.cache
def lesson(name: str) -> Lesson:
    """A lesson after its run with the course's answers; what was made smaller stays so for it."""
    patch = pytest.MonkeyPatch()
    smaller(patch, name)
    try:
        made = Lesson(name, cells_of(name))
        made.start()
    finally:
        patch.undo()
    return made


@functools.cache
def failures(name: str, form: str) -> dict[str, str]:
    """The cells of a lesson that fail when all results have this form, with the errors."""
    patch, run = pytest.MonkeyPatch(), lesson(name)
    smaller(patch, name)
    try:
        return run.again({slug: in_form(form) for slug in run.slugs})[0]
    finally:
        patch.undo()


def culprits(name: str, answers: dict, cells) -> str:
    """Which answers make ``cells`` fail by themselves, in words."""
    patch, run, found = pytest.MonkeyPatch(), lesson(name), []
    smaller(patch, name)
    try:
        for slug, other in answers.items():
            alone = run.again({slug: other})[0]
            found += [f"{slug} stops {cell}" for cell in cells if cell in alone]
    finally:
        patch.undo()
    return "; ".join(found) or "no answer does it alone"


each_lesson = pytest.mark.parametrize("name", SOURCES)
each_form = pytest.mark.parametrize("form", FORMS)


@each_lesson
def test_the_cells_run_on_few_images(name):
    """With the course's answers: else nothing below says anything about a cell."""
    broken = lesson(name).broken
    assert broken.keys() == TOO_FEW.get(name[:2], set()), broken


@each_lesson
@each_form
def test_results_of_another_form_stop_no_cell(name, form):
    failed = failures(name, form)
    new = {c: why for c, why in failed.items() if c not in KNOWN.get((name[:2], form), {})}
    if new:
        answers = {slug: in_form(form) for slug in lesson(name).slugs}
        pytest.fail(f"{new} ({culprits(name, answers, new)})")


@pytest.mark.parametrize(("form", "number", "cell"), BREAKAGES)
@pytest.mark.xfail(strict=True, reason="known, and to be mended in the lesson")
def test_a_cell_that_is_known_to_stop(form, number, cell):
    (name,) = [n for n in SOURCES if n.startswith(number)]
    assert cell not in failures(name, form)


@each_lesson
@pytest.mark.parametrize("k", VARIANTS)
def test_a_variant_of_every_answer_stops_no_cell(name, k, monkeypatch):
    run = lesson(name)
    variants = {slug: find(slug).variants for slug in run.slugs}
    answers = {s: lambda _, other=v[k]: other for s, v in variants.items() if k < len(v)}
    smaller(monkeypatch, name)
    failed = run.again(answers)[0] if answers else {}
    if failed:
        pytest.fail(f"{failed} ({culprits(name, answers, failed)})")


# ---------------------------------------------------------------- the machinery itself


def made_of(*texts):
    return [Cell(f"c{k}", text) for k, text in enumerate(texts)]


def test_what_depends_on_an_answer_is_found():
    by_id = {cell.id: cell for cell in cells_of("00_start_here")}
    assert by_id["pixel-rms-result"].depends
    assert not by_id["errors"].depends
    assert not by_id["errors"].needed
    assert by_id["noise"].needed  # its noise is what the result measures
    assert not by_id["noise"].depends


def test_a_failing_cell_is_named_and_the_run_goes_on():
    cells = made_of("a = 1", "b = int(a)", "c = b.bit_length()", "d = c + 1", "e = a + 1")
    for cell in cells[1:4]:
        cell.depends = {"x"}
    run = Lesson("x", cells)
    run.start()
    assert not run.broken
    cells[1].text = "b = [a]"
    failed, accepted = run.again({"x": None})
    assert list(failed) == ["c2"]
    assert "'list' object has no attribute 'bit_length' in `c = b.bit_length()`" in failed["c2"]
    assert run.space["d"] == 2
    assert not accepted


def test_the_forms_keep_the_values():
    import numpy as np
    import torch

    result = (torch.tensor([1.5, 2.0]), 3, None, {"a": torch.tensor(True)}, "text")
    lists, arrays, tensors, single = (downstream.mapped(result, FORMS[form]) for form in FORMS)
    assert lists == ([1.5, 2.0], 3, None, {"a": True}, "text")
    assert arrays[0].dtype == np.float64
    assert isinstance(arrays[3]["a"], np.bool_)
    assert tensors[0].requires_grad
    assert tensors[0].dtype == torch.float64
    assert isinstance(tensors[1], torch.Tensor)
    assert single[0].dtype == torch.float32
