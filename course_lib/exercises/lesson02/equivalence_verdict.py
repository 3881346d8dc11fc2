"""`equivalence-verdict`, lesson 02: intervals at every place round the two margins.

Some lie so that only the right quantile, of the right degrees of freedom, decides as it should.
"""

import numpy as np
import scipy.stats
import torch

from course_lib.exercises import Case, Exercise


def verdict_cases(rng):
    def case(label, mean, sd, n=10, margin=1.0):
        z = torch.randn(n, generator=rng, dtype=torch.float64)
        z = (z - z.mean()) / z.std()
        return Case(label, (mean + sd * z).tolist(), margin)

    yield Case("two networks, far below", [-5.0, -5.2], 1.0)
    yield case("close to 0", 0.05, 0.3)
    yield case("clearly above 0, and small", 0.5, 0.3)
    yield case("clearly below 0, and small", -0.5, 0.3)
    yield case("far below", -2.0, 1.0)
    yield case("far above", 2.0, 1.0)
    yield case("a wide interval round 0", 0.3, 5.0)
    yield case("between 90 and 95 %", 0.0, 1.55)
    yield case("just narrow enough", 0.0, 1.712)
    yield case("just too wide", 0.0, 1.79)
    yield case("too wide, but not for a normal", 0.0, 1.88)
    yield case("too wide, but not at 80 %", 0.0, 2.1)
    yield case("far too wide", 0.0, 2.4)
    yield case("below 0, reaching past the margin", -1.2, 0.5)
    yield case("above 0, reaching past the margin", 0.9, 1.0)
    yield case("three networks", 0.0, 0.6525, n=3)
    yield case("another margin", 0.5, 0.3, margin=0.25)
    yield case("twenty-five networks", 0.3, 1.9, n=25)


def as_text(result, differences, margin):
    """What is compared: the word, also where NumPy has wrapped it."""
    if isinstance(result, np.ndarray | np.generic) and result.ndim == 0:
        return result.item()
    return result


def by_two_tests(differences, margin):
    lower = scipy.stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    upper = scipy.stats.ttest_1samp(differences, margin, alternative="less").pvalue
    if lower < 0.05 and upper < 0.05:
        return "equivalent"
    if lower > 0.95:
        return "worse"
    return "better" if upper > 0.95 else "undecided"


EXERCISE = Exercise(
    title="Worse, equivalent, better, undecided",
    difficulty=3,
    minutes=8,
    hints=[
        "Two one-sided tests at 5 % reject both 'below -margin' and 'above margin' exactly when "
        "the 90 % interval lies inside the margins. So make that interval, and look where it lies.",
        "`scipy.stats.t.ppf(0.95, n - 1) * standard deviation / sqrt(n)` is its half-width, with "
        "`ddof=1`; or `scipy.stats.ttest_1samp(...)`, twice, with `alternative=`.",
        "Four answers: inside both margins, wholly below -margin, wholly above margin, anything "
        "else.",
    ],
    cases=verdict_cases,
    oracle=by_two_tests,
    observe=as_text,
    done="Undecided is a verdict, too: these networks do not tell, which is no licence to add some "
    "until they do.",
    equivalent_mutants={
        f"- {line} / + {changed}": "An interval ends exactly on the margin with probability 0."
        for line, changed in (
            ("if high < -margin:", "if high <= -margin:"),
            ("if -margin < low and high < margin:", "if -margin <= low and high < margin:"),
            ("if -margin < low and high < margin:", "if -margin < low and high <= margin:"),
            (
                "return 'better' if low > margin else 'undecided'",
                "return 'better' if low >= margin else 'undecided'",
            ),
        )
    },
)


def _decide(low, high, margin):
    if low > -margin and high < margin:
        return "equivalent"
    if low > margin:
        return "better"
    if high < -margin:
        return "worse"
    return "undecided"


@EXERCISE.variant
def by_interval(differences, margin):
    d = np.asarray(differences, float)
    half = scipy.stats.t.ppf(0.95, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return _decide(d.mean() - half, d.mean() + half, margin)


@EXERCISE.variant
def by_scipy_interval(differences, margin):
    found = scipy.stats.ttest_1samp(differences, 0.0).confidence_interval(0.9)
    return _decide(found.low, found.high, margin)


@EXERCISE.mistake(
    "p > 0.05, so equal",
    "A difference that is not significant is not shown to be absent: with few or noisy "
    "networks nothing is significant. Equivalence is a claim of its own, and needs the "
    "interval inside the margins.",
)
def _not_significant(differences, margin):
    found = scipy.stats.ttest_1samp(differences, 0.0)
    if found.pvalue > 0.05:
        return "equivalent"
    return "better" if found.statistic > 0 else "worse"


EXERCISE.mistake(
    "against 0 first",
    "You compare with 0 first, so a difference that is surely there and surely too small "
    "to matter is called worse or better. The margin says what matters.",
    ("if -margin <", 'if low > 0:\n        return "better"\n    if -margin <'),
    ("if -margin <", 'if high < 0:\n        return "worse"\n    if -margin <'),
)

EXERCISE.mistake(
    "against 0 last",
    "An interval that excludes 0 and reaches from inside the margins to beyond is called "
    "worse or better: whether the difference is large enough to matter is then undecided.",
    ("high < -margin", "high < 0"),
    ("low > margin", "low > 0"),
)

EXERCISE.mistake(
    "95 % interval",
    "This is the 95 % interval: two one-sided tests at 5 % are the 90 % interval, 5 % on "
    "each side.",
    ("0.95", "0.975"),
)

EXERCISE.mistake(
    "80 % interval",
    "This is the 80 % interval: `t.ppf(0.90)` leaves 10 % on each side. Two one-sided tests at "
    "5 % leave 5 % on each, `t.ppf(0.95)`, which is the 90 % interval.",
    ("0.95", "0.90"),
)

EXERCISE.mistake(
    "normal at 95 %",
    "The quantile is the normal distribution's for a 95 % interval, 1.96: it is Student's with "
    "n - 1 degrees of freedom, with 5 % on each side.",
    ("t.ppf(0.95, len(d) - 1)", "norm.ppf(0.975)"),
)

EXERCISE.mistake(
    "normal for t",
    "The quantile is the normal distribution's, 1.64: with ten networks whose spread is "
    "itself an estimate it is Student's with n - 1 degrees of freedom, 1.83.",
    ("t.ppf(0.95, len(d) - 1)", "norm.ppf(0.95)"),
)

EXERCISE.mistake(
    "ddof 0",
    "The standard deviation divides by n (NumPy's habit): for an estimate from n networks "
    "divide by n - 1, `ddof=1`.",
    ("ddof=1", "ddof=0"),
)

EXERCISE.mistake(
    "n degrees of freedom",
    "Student's t has n - 1 degrees of freedom here, not n: one is spent on the mean.",
    ("len(d) - 1", "len(d)"),
)

EXERCISE.mistake(
    "the spread of one network",
    "This is the spread of single networks: the interval of their mean is narrower by sqrt(n).",
    (" / len(d) ** 0.5", ""),
)

EXERCISE.mistake(
    "the mean only",
    "Only the mean is looked at: without its interval, two networks would decide as firmly "
    "as two hundred.",
    ("t * d.std(ddof=1) / len(d) ** 0.5", "0"),
)

EXERCISE.mistake(
    "the margin forgotten",
    "The interval is compared with 1, not with `margin`.",
    ("if -margin < low and high < margin", "if -1 < low and high < 1"),
    ("if high < -margin", "if high < -1"),
    ("low > margin", "low > 1"),
)

EXERCISE.mistake(
    "one of the two tests",
    "One of the two tests is enough for you: equivalent needs both, not too low and not too high.",
    ("-margin < low and high < margin", "-margin < low <= margin or -margin <= high < margin"),
)

EXERCISE.mistake(
    "worse for better",
    "Worse and better are exchanged: a difference above 0 means that units are better.",
    ('return "worse"', 'return "better"'),
    ('return "better" if', 'return "worse" if'),
)
