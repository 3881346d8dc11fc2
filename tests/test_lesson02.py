"""Lesson 02: what the generic tests of the exercises do not cover."""

import re

import numpy as np
import pytest
import scipy.stats
import torch

from course_lib import models, storage, units, zoo
from course_lib.authoring import files
from course_lib.exercises import find, judge, sources
from course_lib.exercises.lesson02 import chance_purity as chance
from course_lib.exercises.lesson02 import haar_bases as haar
from course_lib.exercises.lesson02.chance_purity import chance_cases, exact_chance
from course_lib.exercises.lesson02.changes_the_ranking import CHANGES
from course_lib.exercises.lesson02.strongest_images import NUMBERS, TIES

LESSON = "02_do_units_mean_anything"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


def record():
    return units.read_record()["networks"]


# ---------------------------------------------------------------- the exercises


def test_the_solutions_agree_with_the_library():
    h = torch.randn(300, 5, generator=torch.Generator().manual_seed(0)).sigmoid()
    directions = units.random_directions(20, 5, torch.Generator().manual_seed(1))
    parts = {"train": (h.flip(0), h.flip(0)), "test": (h, h.logit())}
    top = find("strongest-images").solution()(parts, directions, 8)
    assert torch.equal(top, units.top_images(h, directions, ties=h.logit()))
    labels = torch.randint(10, (300,), generator=torch.Generator().manual_seed(2))
    assert torch.equal(find("purity").solution()(labels, top), units.purity(labels, top))
    bases = find("haar-bases").solution()(3, 4, torch.Generator().manual_seed(3))
    assert torch.equal(bases, units.haar_bases(3, 4, torch.Generator().manual_seed(3)))
    table = torch.rand(30, 6, generator=torch.Generator().manual_seed(4))
    p = find("randomisation-p").solution()(table[0], table[1:])
    assert p == pytest.approx(units.randomisation_p(table[0], table[1:]))


@pytest.mark.parametrize("mean", [-0.2, -0.06, 0.0, 0.03, 0.1])
@pytest.mark.parametrize("sd", [0.01, 0.05, 0.1])
def test_the_verdict_agrees_with_the_library(mean, sd):
    draws = np.random.default_rng(1).normal(mean, sd, 10).tolist()
    verdict = find("equivalence-verdict").solution()(draws, 0.0625)
    assert verdict == units.equivalence(draws, 0.0625).verdict


def test_the_exact_chance_of_the_checks_is_the_librarys():
    for case in chance_cases(torch.Generator().manual_seed(0)):
        labels, k, *_ = case.args
        assert exact_chance(labels, k, None) == pytest.approx(units.chance_purity(labels, k))


def plain_qr(count, width, generator):
    return torch.linalg.qr(torch.randn(count, width, width, generator=generator)).Q


def test_a_basis_with_signs_of_its_own_is_right_too():
    """Random signs for the columns are as good; so are lists of bases."""

    def signed(count, width, generator):
        q = plain_qr(count, width, generator)
        return q * (2 * torch.randint(2, (count, 1, width), generator=generator) - 1)

    def as_lists(count, width, generator):
        return [signed(1, width, generator)[0].double().numpy() for _ in range(count)]

    for answer in (signed, as_lists, lambda *a: tuple(signed(*a)), lambda *a: signed(*a).tolist()):
        assert judge(find("haar-bases"), answer).status == "PASS", answer.__name__


def test_bases_that_are_not_all_equally_likely():
    def one_sign(count, width, generator):
        sign = 2 * torch.randint(2, (count, 1, 1), generator=generator) - 1
        return plain_qr(count, width, generator) * sign

    def rotations(count, width, generator):
        seed = int(torch.randint(2**31, (1,), generator=generator))
        rng = np.random.default_rng(seed)
        return scipy.stats.special_ortho_group.rvs(width, size=count, random_state=rng)

    def gaussian(count, width, generator):
        return torch.randn(count, width, width, generator=generator)

    def exchanged(count, width, generator):
        return plain_qr(width, count, generator)

    exercise = find("haar-bases")
    assert judge(exercise, one_sign).mistake == "one sign for each matrix"
    assert judge(exercise, rotations).mistake == "rotations only"
    assert judge(exercise, gaussian).mistake == "Gaussian numbers only"
    assert judge(exercise, exchanged).mistake == "count and width exchanged"

    def one_basis_with_signs(count, width, generator):
        sign = 2 * torch.randint(2, (count, 1, width), generator=generator) - 1
        return plain_qr(1, width, generator) * sign

    def each_twice(count, width, generator):
        signs = 2 * torch.randint(2, (count, 1, width), generator=generator) - 1
        return (plain_qr(count, width, generator) * signs).repeat_interleave(2, 0)[:count]

    def global_signs(count, width, generator):
        return plain_qr(count, width, generator) * (2 * torch.randint(2, (count, 1, width)) - 1)

    def seed_only(count, width, generator):
        again = torch.Generator().manual_seed(generator.initial_seed())
        signs = 2 * torch.randint(2, (count, 1, width), generator=again) - 1
        return plain_qr(count, width, again) * signs

    assert judge(exercise, one_basis_with_signs).sentence == haar.TOLD["no direction is preferred"]
    told = haar.TOLD["a basis says nothing about the next"]
    assert judge(exercise, each_twice).sentence == told
    assert judge(exercise, global_signs).sentence == haar.GENERATOR
    assert judge(exercise, seed_only).sentence == haar.AGAIN


def test_the_facts_of_a_basis_do_not_hang_on_the_seed():
    for seed in range(20):
        for width in (2, 3, 5):
            bases = units.haar_bases(1200, width, torch.Generator().manual_seed(seed))
            assert all(haar.facts(bases, 1200, width, None).values()), (seed, width)


def test_foreseen_mistakes_are_recognised_however_they_are_written():
    def top_of_training(parts, directions, k):
        h, before = parts["train"]
        found = []
        for v in directions:
            keys = [(-float(h[i] @ v), -float(before[i] @ v), i) for i in range(len(h))]
            found.append([i for *_, i in sorted(keys)[:k]])
        return torch.tensor(found)

    assert judge(find("strongest-images"), top_of_training).mistake == "training images"

    def plain_topk(parts, directions, k):
        return torch.topk(parts["test"][0] @ directions.T, k, dim=0, sorted=True).indices.T

    assert judge(find("strongest-images"), plain_topk).sentence == TIES

    def loop_without_signs(count, width, generator):
        draws = [torch.randn(width, width, generator=generator) for _ in range(count)]
        return np.stack([np.linalg.qr(d.numpy())[0] for d in draws])

    assert judge(find("haar-bases"), loop_without_signs).mistake == "signs left to the library"

    def one_sample_test(differences, margin):
        p = scipy.stats.ttest_1samp(differences, 0).pvalue
        mean = sum(differences) / len(differences)
        return "equivalent" if p > 0.05 else ("worse" if mean < 0 else "better")

    feedback = judge(find("equivalence-verdict"), one_sample_test)
    assert feedback.mistake == "p > 0.05, so equal"

    def every_direction(units, bases):
        pool = sorted(float(x) for row in bases for x in row)
        seen = float(sum(units) / len(units))
        above, below = sum(x >= seen for x in pool), sum(x <= seen for x in pool)
        return min(1.0, 2 * (min(above, below) + 1) / (len(pool) + 1))

    assert judge(find("randomisation-p"), every_direction).mistake == "directions as n"


def test_indices_are_whole_numbers():
    exercise = find("strongest-images")
    right = sources.own_copy(exercise.solution())
    assert judge(exercise, lambda *a: right(*a).double()).sentences == [NUMBERS]
    assert judge(exercise, lambda *a: right(*a).int()).status == "PASS"
    assert judge(exercise, lambda *a: right(*a).tolist()).status == "PASS"


def test_the_generator_and_the_number_of_draws_are_used():
    def drawn(labels, k, generator, draws):
        rows = torch.stack([torch.randperm(len(labels), generator=generator)[:k]] * draws)
        for i in range(1, draws):
            rows[i] = torch.randperm(len(labels), generator=generator)[:k]
        return float(units.purity(labels.cpu(), rows).mean())

    exercise = find("chance-purity")
    assert judge(exercise, lambda y, k, g, draws=4000: drawn(y, k, g, draws)).status == "PASS"
    for other in (None, 0):

        def with_another(labels, k, generator, draws=4000, other=other):
            made = torch.Generator().manual_seed(0) if other == 0 else None
            return drawn(labels, k, made, draws)

        assert judge(exercise, with_another).sentence == chance.GENERATOR
    many = judge(exercise, lambda y, k, g, draws=4000: drawn(y, k, g, 4000))
    assert many.sentence == chance.DRAWS_OBEYED


def test_the_wrong_quantile_is_called_by_its_name():
    def verdict(quantile):
        def answer(differences, margin):
            d = np.asarray(differences)
            reach = quantile(len(d)) * d.std(ddof=1) / len(d) ** 0.5
            return units.verdict(d.mean() - reach, d.mean() + reach, margin)

        return answer

    exercise, t, normal = find("equivalence-verdict"), scipy.stats.t, scipy.stats.norm
    for quantile, name in (
        (lambda n: t.ppf(0.90, n - 1), "80 % interval"),
        (lambda n: t.ppf(0.975, n - 1), "95 % interval"),
        (lambda n: normal.ppf(0.95), "normal for t"),
        (lambda n: 1.96, "normal at 95 %"),
        (lambda n: t.ppf(0.95, n), "n degrees of freedom"),
    ):
        assert judge(exercise, verdict(quantile)).mistake == name
    assert judge(exercise, verdict(lambda n: t.ppf(0.95, max(n - 2, 1)))).status == "FAIL"
    right = verdict(lambda n: t.ppf(0.95, n - 1))
    assert judge(exercise, lambda d, margin: np.str_(right(d, margin))).status == "PASS"
    assert judge(exercise, lambda d, margin: np.array(right(d, margin))).status == "PASS"
    assert "more networks are needed" not in exercise.done


def test_several_wrong_changes_get_the_reason_of_the_first():
    wrong = {"longer": True, "bias": False}
    answer = judge(find("changes-the-ranking"), lambda c: wrong.get(c, CHANGES[c][0]))
    assert answer.sentences == [CHANGES["longer"][1]]


def test_no_check_prints_a_warning_of_the_libraries(recwarn):
    for slug in ("randomisation-p", "strongest-images", "purity"):
        judge(find(slug), lambda *a, **k: 0.123)
    assert not [w for w in recwarn if "scipy" in str(w.filename)]


def test_the_rotation_is_found_by_its_name():
    right = find("rotated-network").solution()

    def unnamed(net, layer, basis):
        return torch.nn.Sequential(*right(net, layer, basis).children())

    assert judge(find("rotated-network"), unnamed).mistake == "names lost"


def test_rotations_that_are_refused_and_why():
    exercise = find("rotated-network")
    wanted = {
        "before the non-linearity": "no weights behind it can undo it",
        "B for its transpose": "B's inverse, which is its transpose",
    }
    for mistake in exercise.mistakes:
        if mistake.name in wanted:
            feedback = judge(exercise, exercise.wrong_answer(mistake))
            assert feedback.mistake == mistake.name
            assert wanted[mistake.name] in " ".join(feedback.sentences)


def test_the_untouched_list_of_changes_is_not_an_answer():
    def stub(change):
        can_change = dict.fromkeys(CHANGES, "?")
        if "?" in can_change.values():
            raise NotImplementedError("changes-the-ranking")
        return can_change[change]

    feedback = judge(find("changes-the-ranking"), stub)
    assert feedback.status == "UNATTEMPTED"
    assert "question mark" in feedback.sentence
    assert "raise" not in feedback.sentence, "there is none to replace"


# ---------------------------------------------------------------- what the lesson says


def purity_of(name, layer, state="trained"):
    return record()[name][layer][state]["summary"]["purity"]


def test_the_verdicts_that_the_lesson_reads_out():
    verdicts = {
        (name, layer): purity_of(name, layer)["verdict"]
        for name, layers in units.STUDIED.items()
        for layer in layers
    }
    assert len(verdicts) == 8
    assert verdicts.pop(("AE400-10", "sigmoid1")) == "better"
    for name in ("FC100-100-10", "FC200-200-10"):
        assert verdicts.pop((name, "sigmoid2")) == "undecided"
        assert purity_of(name, "sigmoid2")["difference"]["high"] < 0
    assert list(verdicts.values()) == ["equivalent"] * 5
    assert purity_of("AE400-10", "sigmoid1")["networks with p < 0.05"] == 10
    run = record()["FC100-100-10"]["sigmoid2"]["trained"]["seeds"]["0"]
    assert run["haar"]["purity"]["p"] == pytest.approx(2 / 200)


def test_what_the_lesson_says_of_the_other_measures():
    for name, layers in units.STUDIED.items():
        for layer in layers:
            for measure in units.MARGINS:
                summary = record()[name][layer]["untrained"]["summary"][measure]
                odd = name == "CONV" and measure == "selectivity"
                assert summary["verdict"] == ("worse" if odd else "equivalent")
    ae = record()["AE400-10"]["sigmoid1"]["trained"]["summary"]
    for measure in ("purity", "entropy", "pixels", "features"):
        assert ae[measure]["verdict"] == "better"
    wide = record()["FC200-200-10"]["sigmoid1"]["trained"]["summary"]
    assert wide["pixels"]["verdict"] == wide["features"]["verdict"] == "better"
    assert wide["purity"]["difference"]["high"] < 0
    assert record()["CONV"]["pool2"]["trained"]["summary"]["selectivity"]["verdict"] == "worse"


def test_what_the_lesson_says_of_the_controls():
    for name, layers in units.STUDIED.items():
        for layer in layers:
            summary = record()[name][layer]["trained"]["summary"]
            against = summary["purity against"]
            mean = summary["purity"]["units"]["mean"]
            assert against["white"]["verdict"] == "better"
            assert against["covariance"]["purity"]["mean"] > mean
            untrained = purity_of(name, layer, "untrained")["units"]["mean"]
            assert 0.5 < untrained < 0.62
            if name != "CONV":
                loud = against["unit variance"]["purity"]["mean"]
                assert abs(loud - summary["purity"]["haar"]["mean"]) < 0.04


def test_the_margins_have_the_reason_that_is_given():
    chance = units.read_record()["chance"]
    share = units.MARGINS["purity"] / (1 - chance["purity"])
    assert units.MARGINS["purity"] == 0.5 / units.K
    ranges = {"entropy": chance["entropy"], "selectivity": 0.5, "pixels": 1, "features": 1}
    for name, span in ranges.items():
        assert units.MARGINS[name] / span == pytest.approx(share, rel=0.03)


def test_a_rotation_of_a_real_network_and_one_before_its_sigmoid():
    net, images = zoo.load("FC100-100-10", device="cpu"), units.held_out("cpu")
    few = images[:500]
    basis = units.haar_bases(1, 100, torch.Generator().manual_seed(0))[0]
    rotated = find("rotated-network").solution()(net, "sigmoid1", basis)
    with torch.no_grad():
        torch.testing.assert_close(rotated(few.images), net(few.images), atol=1e-3, rtol=1e-3)
    h = units.activations(net, few.images, "sigmoid1")
    turned = units.activations(rotated, few.images, "rotation")
    torch.testing.assert_close(turned, h @ basis.T, atol=1e-4, rtol=1e-4)
    assert models.error_rate(net, few) == models.error_rate(rotated, few)


BLIND = pytest.mark.parametrize(
    ("name", "n"), [(LESSON, 20), ("09_from_digits_to_photographs", 10)]
)  # lesson 09 has the same test again, on crops of photographs


@BLIND
def test_the_blind_test_needs_no_guesses(name, n):
    """Unsolved, the lesson has an empty string there, and says that there is no score."""
    root = storage.checkout()
    lesson = files.load_notebook(root / "lessons" / f"{name}.ipynb")
    cells = {c.id: c.source for c in lesson.cells}
    assert re.search(r'^guesses = ""$', cells["blind-guesses"], re.M)
    said = []
    exec(cells["blind-score"], {"guesses": "", "print": lambda *a: said.append(" ".join(a))})
    assert said == [f"0 guesses of {n} so far: no score yet."]


@BLIND
def test_the_blind_score_has_an_exact_interval(name, n):
    root = storage.checkout()
    lesson = files.load_notebook(root / "lessons" / f"{name}.ipynb")
    source = {c.id: c.source for c in lesson.cells}["blind-score"]
    truth = [True, False] * (n // 2)
    said = []
    names = {
        "guesses": "ud" * (n // 2 - 2) + "du" * 2,
        "is_unit": truth,
        "scipy": scipy,
        "print": lambda *a: said.append(" ".join(a)),
    }
    exec(source, names)
    low, high = scipy.stats.binomtest(n - 4, n).proportion_ci(0.95, method="exact")
    assert said[0].startswith(f"{n - 4} of {n} right")
    assert f"{low:.0%} to {high:.0%}" in said[1]
    assert said[2].endswith("ud" * (n // 2))


def test_the_table_of_verdicts_is_in_the_solved_notebook():
    root = storage.checkout()
    cells = {c.id: c for c in files.load_notebook(root / "solutions" / f"{LESSON}.ipynb").cells}
    shown = cells["table"].outputs[0]["data"]["text/markdown"]
    for name, layers in units.STUDIED.items():
        for layer in layers:
            d = purity_of(name, layer)["difference"]
            row = f"{d['mean']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f})"
            assert f"| {name} | {layer} |" in shown
            assert row in shown
    assert shown.count("| better |") == 1


def test_what_the_rubric_of_the_first_figure_says():
    """The rows of random directions are the purer ones in that figure."""
    net, images = zoo.load("FC100-100-10", device="cpu"), units.held_out("cpu")
    h, before = (units.activations(net, images.images, name) for name in ("sigmoid2", "fc2"))
    rng = torch.Generator().manual_seed(11)
    chosen = torch.randperm(100, generator=rng)[:4]
    rows = [units.unit_directions(100)[chosen], units.random_directions(4, 100, rng)]
    found = [units.purity(images.labels, units.top_images(h, v, ties=before)) for v in rows]
    assert found[1].mean() > found[0].mean() + 0.1
    assert (found[1] == 1).sum() > (found[0] == 1).sum()
