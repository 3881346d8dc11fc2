"""What a learner's right answers return must carry the rest of the lesson: lists, arrays, variants.

The code cells of a lesson run as the learner has them, on fewer images, with right answers of
another form in the places of the exercises.
"""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch

from course_lib.authoring import marks, source
from course_lib.exercises import judge, lessons, sources

ROOT = Path(__file__).resolve().parent.parent

# fewer images and draws, so that a lesson takes seconds: pattern -> replacement
FEWER = {
    3: {
        r"sample\(300, seed=3\)": "sample(120, seed=3)",
        r"\[:30\]": "[:3]",
        r"\[:10\]": "[:2]",
        r"integers\(30, size=\(2001, 30\)\)": "integers(3, size=(2001, 3))",
        r"np\.arange\(30\)": "np.arange(3)",
        r"\[few\]": "[few % 3]",
        r"range\(28\)\]": "range(6)]",
        r"\(9, 12, 25\)": "(1, 2, 5)",
        r"range\(10\):": "range(8, 10):",
        r"halvings=8": "halvings=3",
        r"0\.5, 80\)": "0.5, 12)",
    },
    4: {
        r"sample\(200, seed=4\)": "sample(24, seed=4)",
        r"sample\(1000, seed=5\)": "sample(100, seed=5)",
        r"many\[:300\]": "many[:20]",
        r"logspace\(-3, 1, 25\)": "logspace(-3, 1, 4)",
        r"few\[:10\]": "few[:2]",
        r"targets\[:10\]": "targets[:2]",
        r"images\[:10\]": "images[:2]",
        r"goal\[:10\]": "goal[:2]",
        r"range\(10\):": "range(2):",
    },
}


def as_lists(result):
    if isinstance(result, torch.Tensor):
        return result.tolist()
    return [as_lists(part) for part in result] if isinstance(result, tuple) else result


def as_arrays(result):
    if isinstance(result, torch.Tensor):
        return result.detach().numpy()
    return tuple(map(as_arrays, result)) if isinstance(result, tuple) else result


def as_single(result):
    if isinstance(result, torch.Tensor) and result.is_floating_point():
        return result.float()
    return tuple(map(as_single, result)) if isinstance(result, tuple) else result


SLOW = ("c_projected_gradient",)  # right, with 20 000 evaluations for each c

FORMS = {"lists": as_lists, "arrays": as_arrays, "single precision": as_single}


def answers(number, how):
    """Slug -> a right answer: the exercise's variant of that number, or its solution in a form."""
    found = {}
    for exercise in lessons()[number].EXERCISES:
        solution = sources.own_copy(exercise.solution())
        found[exercise.slug] = solution
        if isinstance(how, int):
            some = [v for v in exercise.variants if v.__name__ not in SLOW]
            found[exercise.slug] = some[how % len(some)]
            continue

        def other(*args, solution=solution, **kwargs):
            return FORMS[how](solution(*args, **kwargs))

        if judge(exercise, other).status == "PASS":  # only what passes is carried on
            found[exercise.slug] = other
    return found


@pytest.mark.parametrize("number", list(FEWER))
@pytest.mark.parametrize("how", ["lists", "arrays"])
def test_lists_and_arrays_pass(number, how):
    assert {answer.__name__ for answer in answers(number, how).values()} == {"other"}


def run(number, answers):
    """Run the lesson's code cells with ``answers`` where the checks are."""
    (path,) = (ROOT / "solutions").glob(f"{number:02d}_*.py")
    read = source.read(path)
    space = {"__name__": "__main__"}
    for cell in read.cells:
        if cell.kind == "markdown" or "solution-only" in cell.tags:
            continue
        if slug := cell.option("check"):
            space[slug.replace("-", "_")] = answers[slug]
            continue
        view = marks.views(read, cell)
        guess = re.search(r"^(predict|answer)\(", view.solved, re.M)
        text = view.solved if guess or cell.option("exercise") else view.lesson
        for old, new in FEWER[number].items():
            text = re.sub(old, new, text)
        exec(compile(text, f"<cell {cell.id}>", "exec"), space)


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.setenv("COURSE_STATIC", "1")
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    backend = mpl.get_backend()
    mpl.use("agg")
    yield
    mpl.pyplot.close("all")
    mpl.use(backend)


def runs():
    for number in FEWER:
        most = max(len(exercise.variants) for exercise in lessons()[number].EXERCISES)
        yield from ((number, how) for how in (*range(most), *FORMS))


@pytest.mark.parametrize(("number", "how"), list(runs()), ids=str)
def test_later_cells_take_what_a_right_answer_returns(number, how):
    np.random.seed(0)  # noqa: NPY002 - a cell may use the old global generator
    run(number, answers(number, how))
