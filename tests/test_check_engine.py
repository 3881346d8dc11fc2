"""The check engine itself: its statuses, the holes it closes, what it keeps and what it shows."""

import contextlib
import cProfile
import dataclasses
import functools
import json
import multiprocessing
import os
import pstats
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import exercises
from course_lib.exercises import (
    Case,
    CheckFailed,
    Exercise,
    Mistake,
    Option,
    Prediction,
    Quiz,
    ShortAnswer,
    answer,
    check,
    engine,
    judge,
    predict,
    progress,
    quiz,
    score,
    sources,
    store,
    trials,
    whose,
    yours,
)
from course_lib.exercises.comparing import describe, difference, pattern, snapshot
from course_lib.exercises.feedback import Feedback, paragraph, strict
from course_lib.exercises.predictions import verdict
from course_lib.exercises.running import TimeIsUp, _by_thread, time_limit, undisturbed

# --- a small registry of its own -------------------------------------------------------------


@dataclasses.dataclass(eq=False, kw_only=True)
class OwnExercise(Exercise):
    """An exercise whose solution stands in no lesson."""

    reference: Callable | None = None

    def solution(self):
        return self.reference or super().solution()


def row_sums(matrix, weight=1.0):
    """(N, D) -> (N,)"""
    return weight * matrix.sum(dim=1)


def row_cases(rng):
    yield Case("one row", torch.tensor([[1.0, 2.0]]))
    yield Case("three rows", torch.rand(3, 4, generator=rng), weight=2.0)


def greedy_probe(function):
    if not torch.isfinite(function(torch.full((1, 2), 1e30))).all():
        return "It overflows for large entries."


def make_row_sums(**changes):
    settings = {
        "slug": "row-sums",
        "title": "Sums & <rows>",
        "difficulty": 1,
        "minutes": 5,
        "reference": row_sums,
        "cases": row_cases,
        "mistakes": [
            Mistake("columns", "You sum columns.", ("dim=1", "dim=0")),
            Mistake("mean", "You take the mean.", (".sum(", ".mean(")),
        ],
        "variants": [],
        "probes": [greedy_probe],
        "done": "Done.",
    }
    return OwnExercise(**settings | changes)


def scale(net, factor):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(factor)


def scale_cases(rng):
    net = nn.Linear(2, 1)  # drawn from the global generator: seeded by the engine
    yield Case("a small network", net, 3.0)


def squares(x):
    return (x**2).sum()


def bound(values):
    return values.abs().max()


@pytest.fixture(autouse=True)
def registry(tmp_path, monkeypatch):
    """Lesson 7, made here, and a folder of its own for what is kept."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COURSE_STRICT", raising=False)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    lesson = types.SimpleNamespace(
        EXERCISES=[
            make_row_sums(),
            OwnExercise(
                slug="scale-weights",
                function="scale",
                title="Scale",
                difficulty=2,
                minutes=10,
                reference=scale,
                cases=scale_cases,
                may_change=("net",),
                observe=lambda result, net, factor: list(net.parameters()),
                mistakes=[],
                variants=[],
            ),
            OwnExercise(
                slug="squares",
                title="Squares",
                difficulty=1,
                minutes=1,
                reference=squares,
                cases=lambda rng: [Case("two", torch.tensor([1.0, 2.0]))],
                gradients=("x",),
                mistakes=[
                    Mistake("half", "A half too few.", lambda x: 0.5 * x @ x + 0.5 * x.detach() @ x)
                ],
                variants=[],
            ),
            OwnExercise(
                slug="bound",
                title="Bound",
                difficulty=1,
                minutes=1,
                reference=bound,
                cases=lambda rng: [Case("three", torch.tensor([1.0, -2.0, 0.5]))],
                valid=lambda got, want, case: bool(got >= want),
                loose="It holds, but there is a tighter one.",
                mistakes=[Mistake("norm", "This is the norm.", lambda v: v.norm(), loose=True)],
                variants=[],
            ),
        ],
        PREDICTIONS={"error": Prediction("Which error?", unit="%")},
        QUIZZES={
            "sum": Quiz(
                "What is 1 < 2?",
                [Option("true", True, "It is."), Option("<no>", False, "No & no.")],
            )
        },
        ANSWERS={"why": ShortAnswer("Why?", ["It says because.", "It says <so>."])},
    )
    exercises._lessons.clear()
    exercises._lessons[7] = lesson
    engine._yours.clear()
    yield lesson
    exercises._lessons.clear()


def right(matrix, weight=1.0):
    return weight * matrix.sum(1)


def wrong(matrix, weight=1.0):
    return weight * matrix.mean(1)


def stub(matrix, weight=1.0):
    raise NotImplementedError("row-sums")


def told(capsys):
    return capsys.readouterr().out


def kept(slug):
    return json.loads(store.path().read_text())["exercises"][slug]


# --- statuses --------------------------------------------------------------------------------


def test_pass_returns_the_learners_function(capsys):
    assert check("row-sums", right) is right
    assert told(capsys) == "PASS  row-sums\n  Done.\n"
    assert yours("row-sums") is right
    assert whose(right) == "your code"
    assert kept("row-sums")["status"] == "PASS"


def test_fail_returns_the_reference_and_says_so(capsys):
    got = check("row-sums", wrong)
    assert got is row_sums
    assert whose(got) == "the course's code"
    out = told(capsys)
    assert out.startswith("FAIL  row-sums\n  You take the mean.\n")
    assert "The lesson goes on with the course's version of `row_sums`." in out
    assert 'Yours stays at hand as `yours("row-sums")`' in out
    assert yours("row-sums") is wrong


def test_checking_again_after_a_fail_never_passes(capsys):
    name = check("row-sums", wrong)
    told(capsys)
    for again in (name, functools.wraps(name)(lambda *a, **k: name(*a, **k)), copy_of(name)):
        assert check("row-sums", again) is row_sums
        out = told(capsys)
        assert out.startswith("NOT RUN  row-sums")
        assert "run the cell with your own code first" in out
    assert judge(exercises.find("row-sums"), functools.partial(name)).status == "NOT RUN"
    assert yours("row-sums") is wrong
    assert kept("row-sums") == {"attempts": 1, "status": "FAIL"}
    # and then one's own cell is run
    assert check("row-sums", right) is right


def copy_of(function):
    return types.FunctionType(
        function.__code__, function.__globals__, "mine", function.__defaults__
    )


def test_a_version_of_the_wrong_form_is_nothing_to_draw(capsys):
    def table(matrix, weight=1.0):
        return matrix * weight

    assert check("row-sums", table) is row_sums
    assert "shape" in told(capsys)
    assert yours("row-sums") is None


def test_a_probe_does_not_speak_about_results_of_the_wrong_form():
    def look(answer):
        return None if float(answer(torch.ones(1, 3))[0]) == 3 else "never reached"

    exercise = make_row_sums(probes=[look])

    def table(matrix, weight=1.0):
        return matrix * weight

    feedback = judge(exercise, table)
    assert feedback.status == "FAIL"
    assert "shape" in feedback.sentences[0]
    assert "further test" not in feedback.sentences[0]


def test_the_stub_is_unattempted(capsys):
    assert check("row-sums", stub) is row_sums
    assert told(capsys).startswith("UNATTEMPTED  row-sums\n  Replace the line `raise")
    assert yours("row-sums") is None
    assert "attempts" not in kept("row-sums")


def test_a_not_implemented_error_of_a_library_is_an_exception():
    def uses_torch(matrix, weight=1.0):
        return torch.nn.Module()(matrix)

    assert judge(exercises.find("row-sums"), uses_torch).status == "EXCEPTION"

    def subtracts_booleans(matrix, weight=1.0):
        raise_here = (matrix > 0) - (matrix > 1)
        return raise_here.sum(1)

    assert judge(exercises.find("row-sums"), subtracts_booleans).status == "EXCEPTION"


def test_an_exception_is_told_with_the_learners_line(capsys):
    def broken(matrix, weight=1.0):
        rows = matrix.sum(1)
        return rows + torch.ones(7)

    assert check("row-sums", broken) is row_sums
    out = told(capsys)
    assert out.startswith("EXCEPTION  row-sums\n  RuntimeError: The size of tensor")
    assert "\n  On three rows (matrix = [[" in out
    assert "in your line `return rows + torch.ones(7)`." in out
    assert yours("row-sums") is None, "a version that stops is nothing to draw"


def test_exit_is_an_exception_and_an_interrupt_is_let_through():
    exercise = exercises.find("row-sums")
    assert judge(exercise, lambda matrix, weight=1.0: sys.exit(3)).status == "EXCEPTION"

    def interrupted(matrix, weight=1.0):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(exercise, interrupted)


def test_valid_but_loose(capsys):
    def loose(values):
        return values.abs().sum()

    assert check("bound", loose) is loose
    out = told(capsys)
    assert out == "VALID BUT LOOSE  bound\n  It holds, but there is a tighter one.\n"
    feedback = judge(exercises.find("bound"), lambda values: values.norm())
    assert (feedback.status, feedback.sentence) == ("VALID BUT LOOSE", "This is the norm.")
    for no_bound in (lambda values: values.mean(), lambda values: torch.ones(3), lambda v: "x"):
        assert judge(exercises.find("bound"), no_bound).status == "FAIL"
    assert progress().rows[3].state == "valid, but loose"


@pytest.mark.parametrize("variable", ["COURSE_STRICT", "NBGRADER_EXECUTION"])
def test_strict_raises_for_anything_but_a_pass(variable, monkeypatch, capsys):
    monkeypatch.setenv(variable, "1")
    assert strict()
    assert check("row-sums", right) is right
    told(capsys)
    with pytest.raises(CheckFailed, match="You take the mean"):
        check("row-sums", wrong)
    assert told(capsys).startswith("FAIL"), "it is shown as well"
    for other in (stub, row_sums, None):
        with pytest.raises(CheckFailed):
            check("row-sums", other)
    with pytest.raises(CheckFailed):
        check("bound", lambda values: values.norm())


def test_strict_zero_is_not_strict(monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "0")
    assert not strict()


# --- what is said ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (None, "given None"),
        (torch.ones(2, 3), "given a tensor of shape (2, 3)"),
        (3, "given an int"),
        ("row_sums", "given a text"),
    ],
)
def test_what_is_not_a_function(thing, words, capsys):
    assert check("row-sums", thing) is row_sums
    out = told(capsys)
    assert words in out
    assert '`check("row-sums", row_sums)`, its name without brackets' in out


def test_an_unknown_slug_offers_near_ones():
    with pytest.raises(LookupError, match="no exercise called `row-sum`: did you mean `row-sums`"):
        check("row-sum", right)
    with pytest.raises(LookupError, match="there are: `row-sums`, `scale-weights`"):
        yours("xyz")
    for ask, slug in ((predict, "eror"), (quiz, "sun"), (answer, "whi")):
        with pytest.raises(LookupError, match="did you mean"):
            ask(slug)
    with pytest.raises(LookupError, match="did you mean `error`"):
        score("eror", 1)


def test_a_wrong_signature():
    exercise = exercises.find("row-sums")
    feedback = judge(exercise, lambda matrix: matrix.sum(1))
    assert feedback.sentence == (
        "Your function takes `(matrix)`, but it is called with the arguments of the stub, "
        "`(matrix, weight=1.0)`: keep those."
    )
    assert judge(exercise, lambda matrix, extra, weight=1.0: 0).sentence.startswith("Your function")
    # other names for arguments that come by position are nobody's business
    assert judge(exercise, lambda m, weight=1.0: weight * m.sum(1)).status == "PASS"


def test_an_unforeseen_error_shows_the_smallest_failing_input():
    feedback = judge(
        exercises.find("row-sums"), lambda matrix, weight=1.0: 3 * right(matrix, weight)
    )
    assert feedback.sentence == (
        "On one row (matrix = [[1, 2]]):\n"
        "The result at [0] is 9, expected 3. All results are 3 times what is expected."
    )
    feedback = judge(exercises.find("row-sums"), lambda matrix, weight=1.0: matrix.sum(1))
    assert feedback.sentence.startswith("On three rows (matrix = [[")
    assert "weight = 2" in feedback.sentence


def test_a_probe_has_the_last_word():
    def overflows(matrix, weight=1.0):
        return weight * (matrix * 1e20).sum(1) / 1e20

    feedback = judge(exercises.find("row-sums"), overflows)
    assert (feedback.status, feedback.sentence) == ("FAIL", "It overflows for large entries.")

    def breaks(matrix, weight=1.0):
        if matrix.max() > 1e20:
            raise ValueError("too large")
        return weight * matrix.sum(1)

    feedback = judge(exercises.find("row-sums"), breaks)
    assert (
        feedback.sentence == "In a further test your function stopped with ValueError: too large."
    )

    def hangs(matrix, weight=1.0):
        while matrix.max() > 1e20:
            pass
        return weight * matrix.sum(1)

    assert "ran out of time" in judge(exercises.find("row-sums"), hangs, seconds=0.3).sentence


def test_other_kinds_of_right_results():
    exercise = exercises.find("row-sums")
    makers = [
        lambda m, weight=1.0: weight * m.double().sum(1),
        lambda m, weight=1.0: (weight * m.sum(1)).numpy(),
        lambda m, weight=1.0: [weight * float(row.sum()) for row in m],
        lambda m, weight=1.0: tuple(weight * row.sum() for row in m),
    ]
    feedbacks = [judge(exercise, f) for f in makers]
    assert [f.status for f in feedbacks] == ["PASS"] * 4
    assert not feedbacks[0].notices
    assert "returns a NumPy array" in feedbacks[1].notices[0]
    assert "returns a list" in feedbacks[2].notices[0]
    lazy = judge(exercise, lambda m, weight=1.0: (weight * row.sum() for row in m))
    assert (lazy.status, "generator" in lazy.sentence) == ("FAIL", True)


def test_shapes_get_a_sentence():
    exercise = exercises.find("row-sums")
    column = judge(exercise, lambda m, weight=1.0: weight * m.sum(1, keepdim=True))
    assert "has the shape (1, 1), expected (1,)" in column.sentence
    assert "axis of length 1 too many" in column.sentence
    one = judge(exercise, lambda m, weight=1.0: weight * m.sum())
    assert "one number for everything" in one.sentence


def test_printing_is_fine(capsys):
    def chatty(matrix, weight=1.0):
        print("hello")
        return right(matrix, weight)

    check("row-sums", chatty)
    assert "hello" in told(capsys)


# --- what a function does beside its result --------------------------------------------------


def test_changing_an_argument_in_place():
    def in_place(matrix, weight=1.0):
        return matrix.mul_(weight).sum(1)

    feedback = judge(exercises.find("row-sums"), in_place)
    assert feedback.status == "FAIL"
    assert feedback.sentence.startswith(
        "Your function changes its argument `matrix` in place: work"
    )


def test_changing_a_leaf_in_place():
    def in_place(x):
        x += 1
        return ((x - 1) ** 2).sum()

    feedback = judge(exercises.find("squares"), in_place)
    assert feedback.sentence.startswith("Your function changes its argument `x` in place")


def test_a_gradient_asked_of_an_argument_itself_is_a_change(registry, capsys):
    def row_sums_of_leaves(matrix, weight=1.0):
        matrix.requires_grad_()
        return weight * matrix.detach().sum(1)

    assert check("row-sums", row_sums_of_leaves) is row_sums
    assert "changes its argument `matrix` in place" in told(capsys)


def test_a_frozen_network_is_a_change():
    exercise = dataclasses.replace(exercises.find("scale-weights"), may_change=())
    exercise.observe = lambda result, net, factor: factor

    def freezes(net, factor):
        net.requires_grad_(False)

    def freezes_for_a_while(net, factor):
        net.requires_grad_(False)
        net.requires_grad_()

    feedback = judge(exercise, freezes)
    assert feedback.status == "FAIL"
    assert "leaves its argument `net` with another `requires_grad`" in feedback.sentence
    assert "changes its argument" not in judge(exercise, freezes_for_a_while).sentence


def test_one_piece_of_memory_for_all_results():
    exercise, kept = exercises.find("row-sums"), {}

    def buffered(matrix, weight=1.0):
        sums = weight * matrix.sum(1)
        return kept.setdefault(len(sums), torch.empty_like(sums)).copy_(sums)

    def buffered_array(matrix, weight=1.0):
        sums = weight * matrix.numpy().sum(1)
        buffer = kept.setdefault(("array", len(sums)), np.empty_like(sums))
        buffer[:] = sums
        return buffer

    for overwriting in (buffered, buffered_array):
        feedback = judge(exercise, overwriting)
        assert feedback.status == "FAIL"
        assert "what it gave before is overwritten" in feedback.sentence
    # a remembered result is the same memory, too, and nothing is written over it
    remembered = functools.cache(lambda n, weight: weight * torch.full((n,), 2.0))
    alike = make_row_sums(
        cases=lambda rng: [Case(f"{n} rows", torch.ones(n, 2)) for n in (1, 3)],
        mistakes=[],
    )
    mine = lambda matrix, weight=1.0: remembered(len(matrix), weight)  # noqa: E731
    assert judge(alike, mine).status == "PASS"
    assert torch.equal(remembered(3, 1.0), torch.full((3,), 2.0)), "it is left as it was"


def test_probes_get_plain_numbers_in_double_precision():
    one = 1 + 2**-30
    for result in (one, [one, one], [[one], [one]], (np.float64(one), one), np.array([one])):
        got = trials.returning_tensors(lambda result=result: result)()
        assert got.dtype == torch.float64
        assert (got == one).all()
    mixed = trials.returning_tensors(lambda: [torch.tensor(1.0), [2.0, 3.0][0]])()
    assert mixed.tolist() == [1, 2]
    assert trials.returning_tensors(lambda: [1, 2])().dtype == torch.int64


def test_what_is_meant_to_change_may():
    exercise = exercises.find("scale-weights")

    def mine(net, factor):
        for parameter in net.parameters():
            parameter.data = parameter.data * factor

    def forgets_the_bias(net, factor):
        net.weight.data *= factor

    assert judge(exercise, mine).status == "PASS"
    feedback = judge(exercise, forgets_the_bias)
    assert feedback.status == "FAIL"
    assert "Part 2 of the result" in feedback.sentence


def test_a_missing_gradient_and_a_wrong_one():
    exercise = exercises.find("squares")
    assert judge(exercise, lambda x: x @ x).status == "PASS"
    feedback = judge(exercise, lambda x: (x.detach() ** 2).sum())
    assert "no gradient flows back to `x`" in feedback.sentence
    assert judge(exercise, lambda x: (x**2).sum().item()).status == "FAIL"
    feedback = judge(exercise, lambda x: (x.detach() * x).sum())
    assert "The values are right, their gradient is not." in feedback.sentence
    half = exercise.mistakes[0].function
    assert judge(exercise, lambda x: half(x)).sentence == "A half too few."


def test_leaning_on_a_global_of_the_notebook():
    notebook = {"torch": torch, "images": torch.rand(3, 4), "factor": 2.0}

    def define(code):
        exec(code, notebook)
        return judge(exercises.find("row-sums"), notebook["f"])

    feedback = define("def f(matrix, weight=1.0):\n    return weight * images.sum(1)")
    assert feedback.status == "FAIL"
    assert feedback.sentence == (
        "Your function uses the notebook's variable `images`, not only its arguments: "
        "did you mean its argument `matrix`?"
    )
    # through a helper, and not where the name is only an attribute or a local one
    notebook["helper"] = None
    exec("def helper():\n    return images.sum(1)", notebook)
    feedback = define("def f(matrix, weight=1.0):\n    return weight * helper()")
    assert "variable `images`" in feedback.sentence
    feedback = define(
        "def f(matrix, weight=1.0):\n    images = matrix\n    return weight * images.sum(1)"
    )
    assert (feedback.status, feedback.notices) == ("PASS", [])
    # right all the same: it passes, with a notice
    feedback = define(
        "def f(matrix, weight=1.0):\n    images.shape\n    return weight * matrix.sum(1)"
    )
    assert feedback.status == "PASS"
    assert "variable `images`" in feedback.notices[0]
    # numbers and functions are fine
    feedback = define("def f(matrix, weight=1.0):\n    return factor / 2 * weight * matrix.sum(1)")
    assert (feedback.status, feedback.notices) == ("PASS", [])


def test_leaning_on_a_network_or_a_data_set():
    notebook = {"net": nn.Linear(2, 1), "test": types.SimpleNamespace(images=1, labels=2)}
    exec("def f(net_, factor):\n    net.weight\n    test.images", notebook)
    feedback = judge(exercises.find("scale-weights"), notebook["f"])
    assert feedback.sentence == (
        "Your function uses the notebook's variable `net`, not only its arguments: did you mean "
        "its argument `net_`?"
    )


def test_random_numbers_go_on_as_if_nothing_was():
    def seeds(matrix, weight=1.0):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.rand(3)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return right(matrix, weight)

    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert judge(exercises.find("row-sums"), seeds).status == "PASS"
    assert torch.equal(torch.rand(2), expected)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32


def test_a_function_that_draws_gets_the_same_numbers_as_the_course():
    def noisy(matrix):
        return matrix + torch.randn_like(matrix)

    exercise = make_row_sums(
        reference=noisy,
        cases=lambda rng: [Case("x", torch.zeros(2, 2))],
        probes=[],
        mistakes=[],
    )
    assert judge(exercise, lambda matrix: torch.randn(2, 2) + matrix).status == "PASS"


# --- loops that never end --------------------------------------------------------------------


def endless(*_, **__):
    while True:
        with contextlib.suppress(Exception):  # this must not swallow the end of time
            pass


@pytest.mark.parametrize("limit", [time_limit, _by_thread])
def test_time_is_up(limit):
    start = time.monotonic()
    with pytest.raises(TimeIsUp), limit(0.2):
        endless()
    assert time.monotonic() - start < 3
    with limit(0.05):
        pass
    time.sleep(0.1)  # nothing rings afterwards


@pytest.mark.parametrize("limit", [time_limit, _by_thread])
def test_a_busy_machine_is_no_endless_loop(limit):
    # asleep, the process has nothing of its time, as if others had the processor
    with limit(0.2):
        time.sleep(0.5)


def stubborn(matrix, weight=1.0):
    x = matrix
    while True:
        try:
            for _ in range(1000):
                x = x * 0.5 + 0.1
        except:  # noqa: E722 - it swallows the end of time, and Ctrl-C
            continue


def nested(matrix, weight=1.0):
    def forgiving():
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(0.01)

    while True:
        with contextlib.suppress(BaseException):
            forgiving()


@pytest.mark.parametrize("answer", [right, stubborn])
def test_a_profiler_goes_on_when_an_answer_was_checked(answer, registry):
    profile = cProfile.Profile()  # as %prun does
    profile.enable()
    try:
        judge(registry.EXERCISES[0], answer, 0.1)
        marked_for_the_profile()
    finally:
        profile.disable()
    seen = {function for _, _, function in pstats.Stats(profile).stats}
    assert "marked_for_the_profile" in seen


def marked_for_the_profile():
    pass


@pytest.mark.skipif(sys.platform == "win32", reason="no timer signals")
@pytest.mark.parametrize("answer", [stubborn, nested])
def test_an_except_that_swallows_everything_is_ended_all_the_same(answer, registry):
    before = sys.gettrace(), torch.get_rng_state()
    feedback = judge(registry.EXERCISES[0], answer, 0.1)
    assert "was still running after 0.1 s" in feedback.sentence
    assert sys.gettrace() is before[0]
    assert torch.equal(torch.get_rng_state(), before[1]), "what the engine puts back"
    assert judge(registry.EXERCISES[0], right, 5).status == "PASS"


BUSY = "while True: pass"


@pytest.fixture
def busy():
    """As many loops as there are processors, and as many again, beside the test."""
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2 * os.cpu_count())]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def test_on_a_busy_machine_only_the_answers_own_time_counts(busy, registry):
    def slow(matrix, weight=1.0):
        began = time.thread_time()
        while time.thread_time() - began < 0.35:  # of its own, on each of two cases
            pass
        return right(matrix, weight)

    began = time.monotonic()
    assert judge(registry.EXERCISES[0], slow, 2.0).status == "PASS"
    assert time.monotonic() - began > 0.7


def test_what_is_slow_for_the_course_is_slow_for_a_learner(registry):
    def slow(matrix, weight=1.0):
        began = time.thread_time()
        while time.thread_time() - began < 0.05:
            pass
        return (matrix * weight).sum(1)

    exercise = make_row_sums(reference=slow, time_limit=0.01, mistakes=[])
    assert judge(exercise, sources.build(sources.source(slow), slow, "slow")).status == "PASS"


def test_time_is_up_in_another_thread():
    caught = []

    def work():
        try:
            with time_limit(0.2):
                endless()
        except TimeIsUp:
            caught.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert caught == [True]


@pytest.mark.skipif(sys.platform == "win32", reason="no timer signals")
def test_a_sleep_is_woken_and_another_alarm_still_rings():
    import signal

    rang = []
    old = signal.signal(signal.SIGALRM, lambda *_: rang.append(True))
    before = signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(TimeIsUp), time_limit(0.1):
            time.sleep(20)
        assert signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL
        time.sleep(0.6)
        assert rang == [True]
    finally:
        signal.signal(signal.SIGALRM, old)
        signal.setitimer(signal.ITIMER_REAL, *before)


def test_the_courses_code_behind_another_name_is_not_run(registry):
    exercise = make_row_sums(mistakes=[], oracle=lambda m, weight=1.0: row_sums(m, weight))
    found = judge(exercise, lambda m, weight=1.0: row_sums(m, weight))
    assert (found.status, "the results are right, and not yours" in found.sentence) == (
        "NOT RUN",
        True,
    )
    assert judge(exercise, lambda m, weight=1.0: exercise.oracle(m, weight)).status == "NOT RUN"
    twin = make_row_sums(mistakes=[], twins=[right])
    found = judge(twin, lambda m, weight=1.0: right(m, weight))
    assert "which is the library's version" in found.sentence
    # wrong results are told as such, whoever helped
    assert judge(exercise, lambda m, weight=1.0: 2 * row_sums(m, weight)).status == "FAIL"
    assert judge(exercise, right).status == "PASS"


def test_an_answer_that_changes_the_check_is_not_run(registry, monkeypatch):
    from course_lib.exercises import running, trial

    def patched(matrix, weight=1.0):
        trial.disagreement = running.difference = lambda *_: None
        return matrix.sum() * 0

    before = trial.disagreement, running.difference
    found = judge(registry.EXERCISES[0], patched)
    assert found.status == "NOT RUN"
    assert "changes the check itself" in found.sentence
    assert (trial.disagreement, running.difference) == before


def test_what_an_answer_prints_is_told_and_not_spilled(registry, capsys):
    def chatty(matrix, weight=1.0):
        print("rows:", len(matrix))
        return right(matrix, weight)

    found = judge(registry.EXERCISES[0], chatty)
    assert found.status == "PASS"
    assert any("It printed 2 lines" in notice and "rows: 1" in notice for notice in found.notices)
    assert capsys.readouterr().out == ""

    def instead(matrix, weight=1.0):
        print(right(matrix, weight))

    found = judge(registry.EXERCISES[0], instead)
    assert "put `return` where `print` is" in found.sentence


def test_parts_are_called_by_their_names_and_numbers_have_none(registry):
    def both(matrix, weight=1.0):
        return matrix.sum(1), matrix.amax(1)

    exercise = make_row_sums(
        reference=both, mistakes=[], probes=[], parts=("sums", "largest entries")
    )
    found = judge(exercise, lambda m, weight=1.0: (m.sum(1), m.amin(1)))
    assert "`largest entries` of the result" in found.sentence
    assert "Part" not in found.sentence
    found = judge(exercise, lambda m, weight=1.0: m.sum(1)[:0])
    assert "expected something with the parts `sums`, `largest entries`" in found.sentence


def test_a_factor_that_looks_like_one_is_not_told():
    assert pattern([(np.full(3, 1.0000001) * np.array([1.0, 2, 3]), np.array([1.0, 2, 3]))]) == ""
    near = [(np.array([1.00001, 2.00002]), np.array([1.0, 2.0]))]
    assert "1 times" not in pattern(near, rtol=1e-6)


def test_not_a_number_gets_a_reason(registry):
    exercise = make_row_sums(probes=[])
    found = judge(exercise, lambda m, weight=1.0: m.sum(1) * float("nan"))
    assert "NaN is what 0/0" in found.sentence


def test_an_endless_loop_is_told(capsys, registry):
    registry.EXERCISES[0].time_limit = 0.2
    assert check("row-sums", endless) is row_sums
    out = told(capsys)
    assert "still running after 0.2 s (on 'one row') and was stopped" in out
    assert yours("row-sums") is None


def test_a_wrong_form_is_told_before_a_loop_that_never_ends(registry):
    exercise = registry.EXERCISES[0]
    exercise.time_limit = 0.2

    def ending(result):
        def answer(matrix, weight=1.0):
            while len(matrix) > 1:
                pass
            return result(matrix)

        return answer

    assert len(exercise.draw()[0].args[0]) == 1, "the first case ends"
    assert "shape" in judge(exercise, ending(lambda m: m)).sentence
    assert "returns nothing" in judge(exercise, ending(lambda m: None)).sentence
    assert "'text', expected" in judge(exercise, ending(lambda m: "text")).sentence
    failed = judge(exercise, ending(lambda m: m @ m))
    assert failed.status == "EXCEPTION"
    # a value that is not right says nothing about the loop
    for result in (lambda m: m.mean(1), lambda m: m.mean(1).tolist(), lambda m: m.sum(1)):
        assert "still running after" in judge(exercise, ending(result)).sentence


# --- the parts an author gives ---------------------------------------------------------------


def test_an_oracle_is_believed_over_the_reference():
    exercise = make_row_sums(oracle=lambda m, weight=1.0: weight * m.numpy().sum(1) + 1)
    assert judge(exercise, right).status == "FAIL"
    assert judge(exercise, lambda m, weight=1.0: right(m, weight) + 1).status == "PASS"


def test_a_mistake_that_raises_is_recognised():
    def not_a_matrix(matrix, weight=1.0):
        return matrix.sum(2)

    exercise = make_row_sums(mistakes=[Mistake("axis", "There is no third axis.", not_a_matrix)])
    feedback = judge(exercise, lambda matrix, weight=1.0: matrix.sum(2))
    assert (feedback.status, feedback.sentence) == ("FAIL", "There is no third axis.")


def test_an_edit_that_does_not_fit():
    exercise = make_row_sums(mistakes=[Mistake("x", "X.", ("dim=7", "dim=0"))])
    with pytest.raises(ValueError, match="'dim=7' is 0 times in the source of row_sums"):
        exercise.wrong_answer(exercise.mistakes[0])
    # the learner is not bothered with it
    assert judge(exercise, wrong).status == "FAIL"


def test_a_reference_that_is_not_built():
    with pytest.raises(LookupError, match="run `course build NN`"):
        make_row_sums(reference=None, slug="never-built").solution()


@pytest.fixture
def bug_hunt(monkeypatch):
    head = "import torch\n\n\ndef row_sums(matrix, weight=1.0):\n"
    buggy = f'{head}    """Doc."""\n    return matrix.sum(1)\n'
    module = types.SimpleNamespace(row_sums=row_sums, BUGGY={"row-sums": buggy})
    monkeypatch.setattr("course_lib.exercises.exercise.references", lambda lesson: [module])
    return buggy


def test_a_bug_hunt(bug_hunt):
    exercise = make_row_sums(reference=None)
    notebook = {}
    exec("# a comment\n" + bug_hunt, notebook)
    feedback = judge(exercise, notebook["row_sums"])
    assert feedback.status == "UNATTEMPTED"
    assert "the bug is in `row_sums` still" in feedback.sentence
    exec(bug_hunt.replace("matrix.sum(1)", "matrix.sum(dim=1)"), notebook)
    feedback = judge(exercise, notebook["row_sums"])
    assert feedback.sentence.startswith("Your version gives the same results as the code with the")
    exec(bug_hunt.replace("matrix.sum(1)", "weight * matrix.sum(1)"), notebook)
    assert judge(exercise, notebook["row_sums"]).status == "PASS"


def test_two_entries_with_one_slug(registry):
    registry.EXERCISES.append(make_row_sums())
    with pytest.raises(ValueError, match="Two entries of EXERCISES are called `row-sums`"):
        exercises.all_exercises()


# --- comparing -------------------------------------------------------------------------------


def test_results_are_compared_by_value():
    t = torch.tensor([1.0, 2.0])
    for got in (t, t.double(), t.numpy(), [1, 2], (1.0, np.float32(2)), iter([1.0, 2.0])):
        assert difference(got, t) is None
    assert difference(3, torch.tensor(3.0)) is None
    assert difference(torch.tensor(True), 1) is None
    assert difference({"a": t, "b": 1}, {"a": [1, 2]}) is None
    assert difference([1.0, float("nan"), float("inf")], [1.0, float("nan"), float("inf")]) is None
    assert "NaN" in difference([1.0, float("nan")], [1.0, 2.0]).replace("nan", "NaN")
    assert difference("left", "left") is None
    assert difference("left", "right") == "The result is 'left', expected 'right'."
    assert "lacks `b`" in difference({"a": 1}, {"a": 1, "b": 2})
    assert "a tuple or list of 2" in difference(1, [t, t])
    assert difference(float("inf"), 1.0) == "The result is inf, expected 1."


def test_small_entries_beside_large_ones_feel_rounding():
    want = torch.tensor([1e4, 1e-5])
    assert difference(want + torch.tensor([0.0, 1e-3]), want) is None
    assert difference(want + torch.tensor([0.0, 1e-1]), want)
    assert difference(want + torch.tensor([0.0, 1e-9]), want, 0, 0), "0, 0 is to the last bit"


def test_patterns_in_what_is_wrong():
    want = torch.tensor([1.0, 2.0, 4.0])
    assert pattern([(-want, want)]) == " Everything has the wrong sign."
    assert pattern([(want / 2, want)]) == " All results are 0.5 times what is expected."
    assert pattern([(want + 3, want)]) == " All results are 3 too large."
    assert pattern([(want**2, want)]) == ""
    assert pattern([(want[:2], want)]) == ""
    assert pattern([(want, want)]) == "", "right values, a wrong gradient"
    assert pattern([("left", "right")]) == ""
    assert "axes are in another order" in difference(torch.ones(2, 3), torch.ones(3, 2))


def test_a_snapshot_is_a_copy():
    t = torch.ones(2)
    before = snapshot({"t": [t]})
    t += 1
    assert before["t"][0].values.tolist() == [1, 1]
    assert describe(torch.ones(100)) == "a tensor of shape (100,)"
    assert describe(object).startswith("<class")


def test_undisturbed_also_after_an_error():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with contextlib.suppress(ZeroDivisionError), undisturbed():
        _ = torch.rand(5) + 1 / 0
    assert torch.equal(torch.rand(1), expected)


# --- what is shown ---------------------------------------------------------------------------


class Strict(HTMLParser):
    """Balanced tags, nothing from a network, no script and no style sheet."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text = [], ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "style", "link", "img", "iframe")
        assert not any(name.startswith("on") or "url(" in (v or "") for name, v in attributes)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_feedback_is_escaped():
    feedback = Feedback("FAIL", "a<b", ["x < `y & z` > 0", "odd ` one"], ["<script>1</script>"])
    page = Strict(feedback._repr_html_())
    assert "x < y & z > 0" in page.text
    assert "odd ` one" in page.text
    assert "<code>y &amp; z</code>" in paragraph("x < `y & z`")
    assert "FAIL  a<b" in repr(feedback)


def test_in_a_notebook_it_is_displayed(monkeypatch):
    shown = []
    monkeypatch.setattr("course_lib.exercises.feedback.in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.append)
    check("row-sums", right)
    assert [type(s) for s in shown] == [Feedback]


def test_the_source_of_the_reference_is_never_shown(capsys):
    for function in (wrong, stub, row_sums, endless, lambda matrix, weight=1.0: matrix.foo):
        if function is not endless:
            check("row-sums", function)
    assert "weight * matrix.sum(dim=1)" not in told(capsys)


# --- what is kept ----------------------------------------------------------------------------


def test_progress_is_a_table(capsys):
    check("row-sums", wrong)
    check("row-sums", right)
    check("row-sums", wrong)
    check("squares", wrong)
    predict("error", 3)
    table = progress()
    assert [row.state for row in table.rows] == ["solved", "open", "tried", "open"]
    assert table.rows[0].attempts == 3
    assert table.minutes_left == 12
    text = repr(table)
    assert text.startswith(
        "Lesson 07: 1 of 4 exercises solved, about 12 minutes left; "
        "1 of 1 predictions made, 0 of 1 short answers written"
    )
    assert "Sums & <rows>" in text
    assert "Sums & <rows>" in Strict(table._repr_html_()).text
    assert repr(progress(7)) == text
    with pytest.raises(LookupError, match="no lesson 3 with exercises: there are 07"):
        progress(3)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"exercises": 3}', '{"answers": {"why": 1}}', b"\xff\xfe", ""]
)
def test_a_damaged_file_is_kept_aside(content, capsys):
    store.path().parent.mkdir(parents=True)
    raw = content if isinstance(content, bytes) else content.encode()
    store.path().write_bytes(raw)
    with pytest.warns(UserWarning, match=r"could not be read .* kept as .*damaged-1"):
        check("row-sums", right)
    assert store.path().with_name("progress.json.damaged-1").read_bytes() == raw
    assert kept("row-sums")["status"] == "PASS"
    store.path().write_bytes(raw)
    with pytest.warns(UserWarning, match="damaged-2"):
        progress()
    assert store.path().with_name("progress.json.damaged-1").read_bytes() == raw


def test_what_a_newer_course_kept_is_not_lost():
    store.update(lambda data: data.update(more={"x": 1}))
    store.record("row-sums", "PASS")
    assert store.read()["more"] == {"x": 1}


def _write(n):
    for i in range(20):
        store.record(f"slug-{n}-{i}", "PASS")


def test_two_kernels_lose_nothing():
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    workers = [context.Process(target=_write, args=(n,)) for n in range(3)]
    threads = [threading.Thread(target=_write, args=(n,)) for n in range(3, 5)]
    for each in workers + threads:
        each.start()
    for each in workers + threads:
        each.join(60)
    assert len(store.read()["exercises"]) == 100


def test_a_folder_that_cannot_be_written_to(monkeypatch, capsys, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("COURSE_HOME", str(blocked / "below"))
    assert check("row-sums", right) is right
    assert "(This could not be kept in " in told(capsys)
    predict("error", 3)
    answer("why", "so")
    assert told(capsys).count("(This could not be kept in ") == 2


# --- predictions -----------------------------------------------------------------------------


def test_the_first_prediction_is_kept(capsys):
    predict("error", 3)
    assert "Your prediction is 3%." in told(capsys)
    predict("error", (1, 2))
    assert "Your first prediction, 3%, is the one that is kept (not 1 to 2%)." in told(capsys)
    predict("error", 3.0)
    assert "Your prediction is 3%." in told(capsys)
    predict("error")
    assert "Your prediction, 3%, is kept." in told(capsys)
    score("error", torch.tensor(2.0))
    out = told(capsys)
    assert out.startswith("Which error?\n")
    assert (
        "You predicted 3%. It came out as 2%: 1 percentage point lower than you thought (your "
        "guess is 1.5 times the result)." in out
    )


def test_how_far_a_guess_is_off_is_told_in_words_that_say_of_what():
    assert verdict(150, 16) == "134 lower than you thought (your guess is 9.4 times the result)"
    assert verdict(0.1, 2.0) == "1.9 higher than you thought (the result is 20 times your guess)"
    assert verdict(18, 16) == "2 lower than you thought"
    assert verdict(-1, 2) == "3 higher than you thought"
    assert verdict(5, 0, "%") == "5 percentage points lower than you thought"
    assert verdict([1, 2], 0.5, "%") == "0.5 percentage points below your range"


def test_ranges(capsys):
    predict("error", (1, 2))
    told(capsys)
    for actual, words in (
        (1.5, "inside your range"),
        (0.5, "0.5 percentage points below your range"),
        (2.25, "0.25 percentage points above your range"),
    ):
        score("error", actual)
        assert words in told(capsys)


@pytest.mark.parametrize(
    ("digits", "value", "words"),
    [
        (2, (80.0, 100.0), "80 to 100%"),
        (2, 99.7, "100%"),
        (2, 0.25, "0.25%"),
        (3, 1234.5, "1234%"),
        (3, 12.345, "12.3%"),
        (2, 3e-7, "3e-07%"),
    ],
)
def test_a_prediction_in_words(digits, value, words):
    assert Prediction("How many?", unit="%", digits=digits).words(value) == words


def test_no_prediction_does_not_stop_anything(capsys):
    predict("error", None)
    assert "No prediction: the lesson goes on" in told(capsys)
    score("error", 4)
    assert "It came out as 4%. You made no prediction." in told(capsys)
    predict("error", 4)
    assert "It was made after the result was out." in told(capsys)
    score("error", 4)
    out = told(capsys)
    assert "just that" in out
    assert "made after the result was out" in out


@pytest.mark.parametrize(
    ("guess", "words"),
    [
        ("three", "a number or a range"),
        (float("nan"), "a number or a range"),
        (True, "a number or a range"),
        (torch.ones(3), "a number or a range"),
        ((1, 2, 3), "needs two numbers"),
        ((2, 1), "upside down"),
    ],
)
def test_what_is_no_prediction(guess, words, capsys):
    predict("error", guess)
    assert words in told(capsys)
    assert not store.path().exists()


def test_a_score_needs_a_number():
    with pytest.raises(ValueError, match="needs the number that came out as `error`"):
        score("error", "x")


# --- quizzes and short answers ---------------------------------------------------------------


def test_a_quiz_without_script_or_network(capsys, registry):
    quiz("sum")
    out = told(capsys)
    assert out == "What is 1 < 2?\n  (a) true\n  (b) <no>\n"
    page = registry.QUIZZES["sum"].html("sum")
    text = Strict(page).text
    assert "<no>" in text
    assert "No & no." in text
    assert page.count('<details name="quiz-sum"') == 2, "one name: opening one closes the other"
    with pytest.raises(ValueError, match="needs two options, one of them right"):
        Quiz("?", [Option("a", False, "")])


def test_a_short_answer_and_its_rubric(capsys):
    answer("why", "")
    out = told(capsys)
    assert "then the rubric comes" in out
    assert "because" not in out
    answer("why", " ... ")
    assert "because" not in told(capsys)
    assert not store.path().exists()
    answer("why", "I think so")
    assert "It says because." in told(capsys)
    answer("why", "")
    out = told(capsys)
    assert "Your answer: I think so" in out
    assert "It says because." in out
    assert store.read()["answers"]["why"]["value"] == "I think so"
    answer("why", "Better")
    assert store.read()["answers"]["why"]["value"] == "Better"


# --- in a kernel -----------------------------------------------------------------------------


def test_a_notebook_in_a_kernel():
    """Blocks are displayed, a cell's line is quoted, an endless loop ends, nothing passes twice."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    define, ask = "def pixel_rms(x):\n    ", "pixel_rms = check('pixel-rms', pixel_rms)"
    cells = [
        "from course_lib.exercises import all_exercises, check, progress",
        f"{define}raise NotImplementedError('pixel-rms')\n\n{ask}",
        ask,
        f"{define}y = x.foo\n    return y\n\n{ask}",
        f"all_exercises()['pixel-rms'].time_limit = 0.5\n{define}while True: pass\n\n{ask}",
        f"{define}return x.square().mean(dim=(1, 2, 3)) ** 0.5\n\n{ask}",
        "progress()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [cell.outputs[0].data for cell in notebook.cells[1:]]
    for output, words in zip(
        shown,
        (
            "UNATTEMPTED  pixel-rms",
            "NOT RUN  pixel-rms",
            "in your line `y = x.foo`",
            "still running after 0.5 s",
            "PASS  pixel-rms",
            "Lesson 00: 1 of 1 exercise solved",
        ),
        strict=True,
    ):
        assert words in output["text/plain"]
        Strict(output["text/html"])


# --------------------------------------------------------- answers that raise what they like


class Stop(BaseException):
    pass


class Mute(BaseException):
    """An exception that cannot say what it is."""

    def __str__(self):
        raise RuntimeError("no text")


class Unspeakable:
    """A result whose own text and comparison raise."""

    def __repr__(self):
        raise RuntimeError("no text")

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


def raising(error):
    def answer(matrix, weight=1.0):
        raise error

    return answer


def closing(matrix, weight=1.0):
    sys.stdout.close()
    return 1.0


def only_later(error):
    """Right on the cases, and stopped by ``error`` in the tests that come after them."""
    asked = []

    def answer(matrix, weight=1.0):
        asked.append(1)
        if len(asked) > len(list(row_cases(torch.Generator()))):
            raise error
        return (matrix * weight).sum(1)

    return answer


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (raising(Stop()), "EXCEPTION", "Stop"),
        (raising(Mute()), "EXCEPTION", "Mute"),
        (raising(SystemExit(3)), "EXCEPTION", "SystemExit"),
        (raising(GeneratorExit()), "EXCEPTION", "GeneratorExit"),
        (only_later(Stop()), "FAIL", "stopped with Stop"),
        (only_later(SystemExit(3)), "FAIL", "stopped with SystemExit"),
        (lambda matrix, weight=1.0: Unspeakable(), "FAIL", "Unspeakable"),
        (closing, "FAIL", "one number for everything"),
    ],
)
def test_whatever_an_answer_raises_is_a_sentence(answer, status, said):
    feedback = judge(exercises.find("row-sums"), answer)
    assert feedback.status == status
    assert said in feedback.sentences[0]


@pytest.mark.parametrize("answer", [raising(KeyboardInterrupt()), only_later(KeyboardInterrupt())])
def test_an_interruption_is_the_learners_own(answer):
    with pytest.raises(KeyboardInterrupt):
        judge(exercises.find("row-sums"), answer)
