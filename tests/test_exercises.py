"""Every registered exercise: what is right passes, what is wrong is told, in its own sentence."""

import ast
import functools
import importlib
import inspect
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib import exercises
from course_lib.authoring import examined, examining, ground
from course_lib.exercises import judge, running, sources, trials
from course_lib.exercises.comparing import difference, snapshot

try:
    EXERCISES = exercises.all_exercises()
except (
    ValueError
) as error:  # a sentence for each module that is wrong; pytest shows no code of ours
    pytest.fail(str(error), pytrace=False)
MISTAKES = [(e, m) for e in EXERCISES.values() for m in e.mistakes]
VARIANTS = [(e, v) for e in EXERCISES.values() for v in e.variants]
WITH_GRADIENTS = [e for e in EXERCISES.values() if e.gradients]


def is_bug_hunt(exercise):
    return exercise.buggy() is not None


each_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))
each_mistake = pytest.mark.parametrize(
    ("exercise", "mistake"),
    MISTAKES,
    ids=[f"{e.slug}: {getattr(m, 'name', m)}" for e, m in MISTAKES],
)
each_variant = pytest.mark.parametrize(
    ("exercise", "variant"),
    VARIANTS,
    ids=[f"{e.slug}: {getattr(v, '__name__', v)}" for e, v in VARIANTS],
)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


told: set[str] = set()


def tell(sentences):
    """Fail with sentences for the exercise's author, and no code; skip if all were told before."""
    if not sentences:
        return
    new = [sentence for sentence in sentences if sentence not in told]
    told.update(new)
    if not new:
        pytest.skip(f"told above: {sentences[0]}")
    pytest.fail("\n".join(new), pytrace=False)


@functools.cache
def unfit(exercise):
    """What is wrong with an exercise before anything is judged: then nothing can be tested."""
    return examined.stale(exercise) or ground.groundwork(exercise)


@pytest.fixture(autouse=True)
def _fit(request, own_home):
    exercise = getattr(request.node, "callspec", None) and request.node.callspec.params.get(
        "exercise"
    )
    if exercise:
        tell(unfit(exercise))


def learners(exercise):
    """The reference, as if a learner had written it (not recognised as the course's own)."""
    return sources.own_copy(exercise.solution())


def test_there_are_exercises():
    assert EXERCISES


@each_exercise
def test_its_card_is_filled_in(exercise):
    assert exercise.slug == exercise.slug.lower().replace("_", "-").replace(" ", "-")
    assert exercise.title
    assert 1 <= exercise.difficulty <= 5
    assert 1 <= exercise.minutes <= 40
    assert exercise.hints
    sentences = [m.sentence for m in exercise.mistakes]
    names = [m.name for m in exercise.mistakes]
    assert len(set(sentences)) == len(sentences)
    assert len(set(names)) == len(names)
    assert all(s[0].isupper() and s.rstrip()[-1] in ".?!" for s in sentences)
    labels = [case.label for case in exercise.draw()]
    assert len(set(labels)) == len(labels)


@each_exercise
def test_its_solution_is_the_one_in_the_lessons_source(exercise):
    """Else `course build` was not run, and another solution is judged than the one that is read."""
    assert examined.stale(exercise) == []


@each_exercise
def test_it_has_enough_wrong_and_right_answers(exercise):
    tell(examining.shapes(exercise))
    assert len(exercise.mistakes) >= 4
    assert any(examining.right_shape(exercise, m) for m in exercise.mistakes)
    assert len(exercise.variants) >= 2


@each_exercise
def test_the_cases_are_the_same_every_time(exercise):
    torch.manual_seed(1)
    first = [snapshot([*c.args, *c.kwargs.values()]) for c in exercise.draw("cpu")]
    torch.manual_seed(2)
    for case, before in zip(exercise.draw("cpu"), first, strict=True):
        for a, b in zip([*case.args, *case.kwargs.values()], before, strict=True):
            if isinstance(a, torch.Tensor | np.ndarray | torch.nn.Module):
                assert difference(a, b, 0, 0) is None


@each_exercise
def test_the_reference_passes(exercise):
    feedback, wrong = examining.reference(exercise)
    tell(wrong)
    assert feedback.status == "PASS", feedback
    assert not feedback.notices, "a notice about the course's own version"


@each_exercise
def test_the_stub_is_unattempted(exercise):
    def stub(*args, **kwargs):
        raise NotImplementedError(exercise.slug)

    assert judge(exercise, stub).status == "UNATTEMPTED"


@each_exercise
def test_the_reference_itself_is_not_run(exercise):
    assert judge(exercise, exercise.solution()).status == "NOT RUN"


@pytest.mark.parametrize(
    "exercise", list(filter(is_bug_hunt, EXERCISES.values())), ids=lambda e: e.slug
)
def test_a_bug_to_find_is_unattempted_as_it_was_given(exercise):
    given = sources.build(exercise.buggy(), exercise.solution(), exercise.function)
    assert judge(exercise, given).status == "UNATTEMPTED"
    # the same code behind another name is somebody's own attempt, and not right
    assert judge(exercise, lambda *a, **k: given(*a, **k)).status == "FAIL"


@each_mistake
def test_a_wrong_answer_gets_its_own_sentence(exercise, mistake):
    """All sentences of an exercise differ, so this is the confusion matrix being the identity."""
    feedback, wrong = examining.mistake(exercise, mistake)
    tell(wrong)
    assert feedback.status == ("VALID BUT LOOSE" if mistake.loose else "FAIL"), feedback
    assert feedback.sentence == mistake.sentence
    assert feedback.sentences == [mistake.sentence]


@each_variant
def test_another_right_answer_passes(exercise, variant):
    feedback, wrong = examining.variant(exercise, variant)
    tell(wrong)
    assert feedback.status == "PASS", feedback


@each_exercise
def test_one_that_changes_its_argument_is_told(exercise):
    right, signature = exercise.solution(), exercise.signature()

    def in_place(*args, **kwargs):
        result = right(*args, **kwargs)
        target = changeable(exercise, signature.bind(*args, **kwargs).arguments)[1]
        with torch.no_grad():
            target.reshape(-1)[:1] += 1
        return result

    first = exercise.draw()[0].named(signature)
    if changeable(exercise, first) is None:
        pytest.skip("no argument that must not change")
    feedback = judge(exercise, in_place)
    assert feedback.status == "FAIL"
    name = changeable(exercise, first)[0]
    assert feedback.sentence.startswith(f"Your function changes its argument `{name}` in place")


def changeable(exercise, arguments):
    """The first argument that holds numbers and must not change, with a tensor of it."""
    for name, value in arguments.items():
        if name in exercise.may_change:
            continue
        if isinstance(value, torch.nn.Module):
            return name, next(value.parameters()).data
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel():
            return name, value.data
    return None


@each_exercise
def test_one_that_returns_nothing_is_told(exercise):
    right = exercise.solution()
    if all(o.returned_none for o in trials.expected(exercise)):
        pytest.skip("returns nothing by design")

    def no_return(*args, **kwargs):
        right(*args, **kwargs)

    feedback = judge(exercise, no_return)
    assert feedback.status == "FAIL"
    assert feedback.sentence == "Your function returns nothing (None): is there a `return`?"


@each_exercise
def test_one_that_never_ends_is_stopped(exercise):
    def endless(*args, **kwargs):
        while True:
            pass

    feedback = judge(exercise, endless, seconds=0.1)
    assert feedback.status == "FAIL"
    assert "was still running after 0.1 s" in feedback.sentence


@each_exercise
def test_one_with_too_few_arguments_is_told(exercise):
    feedback = judge(exercise, lambda: None)
    assert feedback.status == "FAIL"
    assert feedback.sentence.startswith("Your function takes `()`")


@pytest.mark.parametrize("exercise", WITH_GRADIENTS, ids=lambda e: e.slug)
def test_gradients_of_the_reference_are_differences_of_its_values(exercise):
    """Autograd against a central difference along a random direction, in double precision."""
    reference, signature = exercise.solution(), exercise.signature()

    def mixture(result):
        parts = result if isinstance(result, list | tuple) else [result]
        parts = [p.flatten().double() for p in parts if isinstance(p, torch.Tensor)]
        flat = torch.cat([p * torch.arange(1, len(p) + 1).cos() for p in parts])
        return float(flat.sum().detach())

    for case in exercise.draw("cpu"):
        arguments = {
            name: value.detach().double() if _is_float(value) else value
            for name, value in case.named(signature).items()
        }
        for name in exercise.gradients:
            value = arguments[name]
            if not _is_float(value):
                continue
            leaf = value.clone().requires_grad_()
            with running.undisturbed():
                result = reference(**{**arguments, name: leaf})
            gradient = running.gradients(result, {name: [leaf]})[name][0].values
            direction = torch.randn(value.shape, dtype=value.dtype, generator=_generator())
            step, ends = 1e-5, []
            for sign in (1, -1):
                with running.undisturbed():
                    moved = {**arguments, name: value + sign * step * direction}
                    ends.append(mixture(reference(**moved)))
            slope = (ends[0] - ends[1]) / (2 * step)
            assert slope == pytest.approx((gradient * direction.numpy()).sum(), rel=1e-4, abs=1e-6)


def _is_float(value):
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.long  # a few of them always run in test_on_a_gpu.py
@pytest.mark.usefixtures("gpu")
@each_exercise
def test_everything_holds_on_a_gpu(exercise, monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    if exercise.on_device:
        tensors = [a for c in exercise.draw() for a in c.args if isinstance(a, torch.Tensor)]
        assert all(t.is_cuda for t in tensors)
    assert judge(exercise, learners(exercise)).status == "PASS"
    for mistake in exercise.mistakes:
        feedback = judge(exercise, exercise.wrong_answer(mistake))
        assert feedback.sentence == mistake.sentence


def imported(path):
    """The names of all that a module of course_lib imports, also inside its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def test_nothing_below_imports_the_exercises():
    """Only the builder, the grading, what instructors use and the command know that there are
    exercises; and nothing below knows of these."""
    above = ("exercises", "authoring", "grading", "classroom", "guide", "site", "cli", "__main__")
    package = Path(exercises.__file__).parents[1]
    for path in package.rglob("*.py"):
        inside = path.relative_to(package).with_suffix("").parts
        if inside[0] not in above:
            assert not [n for n in imported(path) if set(above) & set(n.split("."))], path


@functools.cache
def functions_of_the_library():
    """Every public function of course_lib that computes something."""
    found = []
    # what grades starts servers, and a time limit in the middle of that costs this process its PATH
    unasked = ("exercises", "authoring", "plotting", "cli", "doctor", "workcopy", "widgets")
    unasked += ("grading", "classroom", "guide", "site")
    package = Path(exercises.__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package).with_suffix("").parts
        if path.stem.startswith("_") or inside[0] in unasked:
            continue
        module = importlib.import_module(".".join(("course_lib", *inside)))
        for name, value in list(vars(module).items()):
            own = inspect.isfunction(value) and value.__module__ == module.__name__
            if own and not name.startswith("_"):
                found.append(value)
    return found


@each_exercise
def test_no_function_of_the_library_passes_for_a_learners_answer(exercise):
    cases = exercise.draw()
    warnings.simplefilter("ignore")  # of functions that are called with what is not meant for them
    for function in functions_of_the_library():
        signature = inspect.signature(function)
        try:
            for case in cases:
                signature.bind(*case.args, **case.kwargs)
            with running.time_limit(2), running.undisturbed():
                function(*cases[0].args, **cases[0].kwargs)
        except (Exception, running.TimeIsUp):
            continue  # it is called otherwise, or is for something else
        status = judge(exercise, function, seconds=2).status
        assert status != "PASS", f"add {function.__qualname__} to twins"


def test_no_module_is_too_long_to_be_read_at_once():
    for path in Path(exercises.__file__).parent.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


def test_the_code_of_a_wrong_answer_stands_beside_its_sentence():
    """Lines from where a mistake is named to where its code begins; edits have none between."""
    apart = [
        abs(inspect.getsourcelines(mistake.function)[1] - int(mistake.where.rpartition(":")[2]))
        for exercise, mistake in MISTAKES
        if callable(mistake.function)
        and inspect.getmodule(mistake.function).__name__.endswith(exercise.function)
    ]
    assert np.median(apart) <= 10


def test_the_package_is_light():
    """Importing it imports neither torch nor a lesson."""
    code = (
        "import sys, course_lib.exercises as e; "
        "assert not {'torch', 'IPython', 'course_lib.exercises.lesson00'} & set(sys.modules); "
        "assert set(dir(e)) >= {'check', 'yours', 'predict', 'score', 'quiz', 'answer', 'progress'}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_that_do_not_exist():
    with pytest.raises(AttributeError, match="no attribute 'chek'"):
        _ = exercises.chek
    with pytest.raises(LookupError, match="did you mean `pixel-rms`"):
        exercises.find("pixel_rms")
    for name in ("check", "yours", "predict", "score", "quiz", "answer", "progress", "report"):
        assert inspect.isfunction(getattr(exercises, name))
