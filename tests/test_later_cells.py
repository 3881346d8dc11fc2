"""What a learner's right answers return must carry the rest of the lesson: lists, arrays, variants.

The code cells of a lesson run as the learner has them, on fewer images, with right answers of
another form in the places of the exercises.
"""

import copy
import functools
import hashlib
import pickle
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch

from course_lib import attacks, spectral
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
    6: {
        r"sample\(40, seed=6\)": "sample(6, seed=6)",
        r"sample\(1000, seed=6\)": "sample(50, seed=6)",
        r"\(1, 2, 3, 4, 6\)": "(1, 3)",
        r"range\(5, 31\)": "range(5, 18)",
        r"randn\(5, 784": "randn(2, 784",
        r"first, 500\)": "first, 100)",
        r"randn\(96, 3,": "randn(8, 3,",
        r'entry\["lower"\] < bound': "0 < bound",
    },
    7: {
        r"sample\(300, seed=7\)": "sample(100, seed=7)",
        r"in images\]": "in images[:4]]",
        r"images\[:100\], labels\[:100\]": "images[:12], labels[:12]",
        r"\[:100\] > 0": "[:12] > 0",
        r"figures\.states": "print",  # which draws a hundred
        r"linspace\(0, 3, 121\)": "linspace(0, 3, 7)",
        r"20_000, seed=1": "1000, seed=1",
        r'"epochs": 5': '"epochs": 1',
        r"\[:20\]": "[:3]",
        r"20_000, seed=2": "2000, seed=2",
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


def with_history(result):
    if isinstance(result, torch.Tensor) and result.is_floating_point():
        return result * torch.ones((), dtype=result.dtype, requires_grad=True)
    return tuple(map(with_history, result)) if isinstance(result, tuple) else result


SLOW = ("c_projected_gradient",)  # right, with 20 000 evaluations for each c

FORMS = {
    "lists": as_lists,
    "arrays": as_arrays,
    "single precision": as_single,
    "history": with_history,
}


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
    found = answers(number, how)
    found.pop("log-penalty", None)  # gradients flow through it: a list has none
    assert {answer.__name__ for answer in found.values()} == {"other"}


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


def once(function):
    """``function``, which computes the same results for the same arguments once for all runs."""

    @functools.wraps(function)
    def cached(*args, **kwargs):
        try:
            key = function.__name__, hashlib.sha256(pickle.dumps((args, kwargs))).digest()
        except (pickle.PicklingError, AttributeError):  # a class of the lesson's own
            return function(*args, **kwargs)
        if key not in KNOWN:
            KNOWN[key] = function(*args, **kwargs)
        return copy.deepcopy(KNOWN[key])

    return cached


KNOWN = {}
LONG = {  # of the library, and the same whatever the learner's answers are
    attacks: ("minimal_adversarial",),
    spectral: ("certified_radii", "certified_radius", "explicit_matrix", "lipschitz", "norm_row"),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for module, names in LONG.items():
        for name in names:
            monkeypatch.setattr(module, name, once(getattr(module, name)))


LEFT_OUT = (  # lesson 07 takes ten seconds each time; lesson 04 does not take a history yet
    (7, "arrays"),
    (7, "single precision"),
    (4, "history"),
)


def runs():
    for number in FEWER:
        most = max(len(exercise.variants) for exercise in lessons()[number].EXERCISES)
        forms = [form for form in FORMS if (number, form) not in LEFT_OUT]
        yield from ((number, how) for how in (*range(most), *forms))


@pytest.mark.parametrize(("number", "how"), list(runs()), ids=str)
def test_later_cells_take_what_a_right_answer_returns(number, how):
    np.random.seed(0)  # noqa: NPY002 - a cell may use the old global generator
    run(number, answers(number, how))
