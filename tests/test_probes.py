"""What a probe says of a wrong result is true: it has seen it, or it says nothing."""

import inspect
import math

import pytest
import torch

from course_lib.exercises import all_exercises, find, judge, sources
from course_lib.exercises.exercise import Exercise
from course_lib.exercises.lesson02.changes_the_ranking import CHANGES
from course_lib.exercises.lesson04.shared import DIGITS, SINGLE
from course_lib.exercises.running import Case
from course_lib.exercises.trial import Trial

WILD = {
    "times 1.5": lambda v: 1.5 * v,
    "plus 0.3": lambda v: v + 0.3,
    "negated": lambda v: -v,
    "zero": lambda v: 0 * v,
    "times 1.001": lambda v: 1.001 * v,
    "plus 0.001": lambda v: v + 1e-3,
    "one": lambda v: 0 * v + 1,
    "random": lambda v: torch.rand(v.shape, generator=torch.Generator().manual_seed(3)).to(v),
    "not a number": lambda v: v * math.nan,
}


def changed(value, how):
    """A result with all its numbers that are no whole ones changed, and its truths to one truth."""
    if isinstance(value, bool):
        return bool(how(torch.tensor(0.25)) > 0)
    if isinstance(value, torch.Tensor) and value.dtype == torch.bool:
        return torch.full_like(value, bool(how(torch.tensor(0.25)) > 0))
    if isinstance(value, torch.Tensor):
        return how(value) if value.is_floating_point() else value
    if isinstance(value, float):
        return float(how(torch.tensor(value, dtype=torch.float64)))
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(changed(v, how) for v in value)
    return value


def wild(exercise, how):
    right = sources.own_copy(exercise.solution())

    def answer(*args, **kwargs):
        return changed(right(*args, **kwargs), how)

    return answer


def said_by_a_probe(exercise, answer):
    """The sentence of ``exercise``'s probes that a learner would hear, or None."""
    heard = []

    def listening(look):
        def listener(given):
            text = look(given)
            if text:
                heard.append(text)
            return text

        return listener

    ears = {look: listening(look) for look in exercise.probes}
    own = {look: ears[look] for look in exercise.only_right}
    was = exercise.probes, exercise.only_right
    exercise.probes, exercise.only_right = list(ears.values()), list(own.values())
    try:
        sentence = judge(exercise, answer).sentence
    finally:
        exercise.probes, exercise.only_right = was
    return heard[-1] if heard and heard[-1] in sentence else None


# --- sentences that are true of a wild result, each looked at by hand ----------------------------


def no_unit_columns_or_no_seed(answer, sentence):
    if "every seed the same" in sentence:
        draws = [answer(2, 3, torch.Generator().manual_seed(seed)) for seed in (1, 2)]
        return torch.equal(*draws)
    return "columns do not have length 1" in sentence and any(
        not (answer(*case.args).norm(dim=-2) - 1).abs().max() <= 1e-3
        for case in find("haar-bases").draw("cpu")
    )


def leaves_the_box_or_has_another_rms(answer, sentence):
    for case in find("amplify-in-box").draw("cpu"):
        if f"'{case.label}'" in sentence:
            _, images, stddev = case.args
            out = answer(*case.args)
            if "leave [0, 1]" in sentence:
                return bool(out.max() > 1.0001 or out.min() < -0.0001)
            rms = (out - images).flatten(1).square().mean(1).sqrt()
            return not bool((rms - stddev).abs().max() <= 1e-5)
    return False


def one_row_gives_no_whole_number(answer, sentence):
    """The number itself is right within what is allowed to one that is drawn."""
    labels = torch.arange(10) % 3
    shares = [
        4 * float(answer(labels, 4, torch.Generator().manual_seed(seed), 1)) for seed in range(4)
    ]
    return "with `draws=1`" in sentence and any(abs(s - round(s)) > 1e-4 for s in shares)


def equal_draws_have_unequal_means(answer, sentence):
    table, rows = torch.arange(6).reshape(2, 3) % 2 == 0, torch.arange(2).expand(5, -1)
    means = answer(table, rows, torch.arange(3).expand(5, -1))
    return "and yours are not" in sentence and bool(means.max() - means.min() > 1e-3)


def why_of_a_wrong_truth(answer, sentence):
    return any(
        sentence == why and answer(name) != changes for name, (changes, why) in CHANGES.items()
    )


def same_for_three_times_the_weights(slug):
    """A sentence on a number that does not depend on the weights of ``slug``'s first case."""

    def true(answer, sentence):
        weights, *rest = find(slug).draw("cpu")[0].args
        return "three times as large" in sentence and answer(weights, *rest) == answer(
            3 * weights, *rest
        )

    return true


TRUE = {
    "bootstrap-means": equal_draws_have_unequal_means,
    "changes-the-ranking": why_of_a_wrong_truth,
    "haar-bases": no_unit_columns_or_no_seed,
    "amplify-in-box": leaves_the_box_or_has_another_rms,
    "chance-purity": one_row_gives_no_whole_number,
    **{
        slug: same_for_three_times_the_weights(slug)
        for slug in ("norm-from-above", "symbol-norm", "strided-norm")
    },
}
PROBED = [slug for slug, exercise in all_exercises().items() if exercise.probes]


@pytest.mark.parametrize("slug", PROBED)
@pytest.mark.parametrize("name", WILD)
def test_no_probe_names_a_cause_that_it_has_not_seen(slug, name):
    exercise = find(slug)
    answer = wild(exercise, WILD[name])
    sentence = said_by_a_probe(exercise, answer)
    assert sentence is None or (slug in TRUE and TRUE[slug](answer, sentence)), sentence


# whether the scores, or the bound, are right, before it says so
LOOKS_ITSELF = {"only_ties_are_wrong", "above_probe"}


def test_sentences_that_take_the_numbers_for_right_are_heard_of_right_ones_only():
    for slug in PROBED:
        exercise = find(slug)
        for look in exercise.probes:
            names = look.__code__.co_names
            texts = [look.__globals__.get(name) for name in names]
            said = " ".join(t for t in texts if isinstance(t, str))
            said += " ".join(c for c in look.__code__.co_consts if isinstance(c, str))
            if any(f"{what} right, " in said for what in ("is", "are")):
                fine = look in exercise.only_right or look.__name__ in LOOKS_ITSELF
                assert fine, (slug, look.__name__)


def test_a_probe_of_right_results_is_not_asked_about_wrong_ones():
    asked = []
    exercise = Exercise(slug="doubled", title="", difficulty=1, minutes=1, cases=lambda rng: [])
    exercise.cases = lambda rng: [Case("two", torch.tensor([1.0, 2.0]))]
    exercise.solution = lambda: lambda x: 2 * x
    exercise.buggy = lambda: None

    @exercise.probe(only_right=True)
    def of_right(answer):
        asked.append("right")

    @exercise.probe
    def of_all(answer):
        asked.append("all")

    assert Trial(exercise, lambda x: 3 * x).wrong
    assert judge(exercise, lambda x: 3 * x).status == "FAIL"
    assert asked == ["all"]
    assert judge(exercise, lambda x: x + x).status == "PASS"
    assert asked == ["all", "right", "all"]


@pytest.mark.parametrize(
    "slug", ["projected-step", "projected-gradient", "two-loop", "projected-search"]
)
def test_as_many_digits_are_told_as_are_right(slug):
    exercise = find(slug)

    def told(how):
        feedback = judge(exercise, wild(exercise, how))
        assert feedback.status == "FAIL"
        return feedback.sentence

    assert told(lambda v: v.float().double()) == SINGLE
    assert told(lambda v: (1 + 3e-5) * v) == DIGITS.format(4)
    for plainly in (lambda v: 1.5 * v, lambda v: 0 * v - 1):
        assert "digits" not in told(plainly)


def in_the_box(make):
    def nearest_in_box(x, w, d):
        return x.clone() if w @ x + d >= 0 else make(x, w, d)

    return nearest_in_box


def test_a_point_that_falls_short_is_one_of_the_path():
    exercise = find("nearest-in-box")
    right = exercise.solution()

    def too_early(x, w, d):
        mu, step = 0.0, 1e-3 / float(w.abs().max())
        while w @ (x + mu * w).clamp(0, 1) + d < 0:
            mu += step
        return (x + max(mu - step, 0.0) * w).clamp(0, 1)

    probe = next(p for p in exercise.probes if p.__name__ == "reaches_the_plane")
    short = probe(lambda x, w, d: x + 0.999 * (right(x, w, d) - x))
    assert short is None  # on the chord, and not on the path
    assert "on the way" in probe(in_the_box(too_early))
    assert inspect.signature(right)  # the three arguments above are its own
