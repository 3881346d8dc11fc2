"""One answer on trial: what it gave, beside what is right, for the rules of :mod:`.judging`."""

import contextlib
import dataclasses
import functools
import inspect
import sys

from . import trials
from .comparing import same_form
from .exercise import Exercise, Mistake, core
from .feedback import Feedback
from .running import Case, Outcome, disagreement


@dataclasses.dataclass(eq=False)
class Trial:
    """An answer to an exercise. seconds: the time limit, None: the exercise's own."""

    exercise: Exercise
    answer: object
    seconds: float | None = None
    called: list = dataclasses.field(default_factory=list)  # of what is the course's
    tampered: bool = False  # whether it changed the engine that judges it
    unwatched: bool = False  # whether it switched off what sees the calls

    def feedback(self, status: str, *sentences: str, mistake: Mistake | None = None) -> Feedback:
        name = mistake.name if mistake else None
        return Feedback(status, self.exercise.slug, list(sentences), mistake=name)

    @functools.cached_property
    def cases(self) -> list[Case]:
        return self.exercise.draw()

    @functools.cached_property
    def signature(self) -> inspect.Signature | None:
        return self.exercise.signature()

    @property
    def courses(self) -> list:
        """The functions that the answer may not call, because they are not its author's."""
        e = self.exercise
        if core(self.answer) in [core(variant) for variant in e.variants]:
            return []  # an author's: it may be the oracle
        return [e.solution(), *([e.oracle] if e.oracle else []), *e.twins]

    @functools.cached_property
    def _ran(self) -> tuple[list[Outcome], bool]:
        e = self.exercise
        seconds = self.seconds or trials.limit(e)  # asked here: it may run the course's version
        with engine_untouched(self), trials.Calls(self.courses) as calls:
            ran = trials.outcomes(e, self.answer, seconds)
        self.called, self.unwatched = list(dict.fromkeys(calls.seen)), calls.switched_off
        return ran

    @property
    def got(self) -> list[Outcome]:
        """What the answer gave, on the cases that it came to."""
        return self._ran[0]

    @property
    def late(self) -> bool:
        """Whether the time ran out before the last case."""
        return self._ran[1]

    @functools.cached_property
    def want(self) -> list[Outcome]:
        return trials.expected(self.exercise)

    @property
    def pairs(self) -> list[tuple[Case, Outcome, Outcome]]:
        """Case, got, want, of the cases that the answer came to."""
        return list(zip(self.cases, self.got, self.want, strict=not self.late))

    @functools.cached_property
    def wrong(self) -> list[tuple[Case, str]]:
        """The cases on which the results are not the right ones, with the difference in words."""
        e = self.exercise
        told = [(case, disagreement(g, w, e.rtol, e.atol)) for case, g, w in self.pairs]
        return [(case, text) for case, text in told if text]

    @functools.cached_property
    def right_form(self) -> bool:
        """Whether all results have the shapes of the right ones: then a figure can draw them."""
        return all(same_form(g.value, w.value) for _, g, w in self.pairs)

    @functools.cached_property
    def mistake(self) -> Mistake | None:
        """The named mistake that gives the same."""
        return trials.recognise(self.exercise, self.got)


@contextlib.contextmanager
def engine_untouched(trial: Trial):
    """Put back what the answer changes in the modules that judge it, and remember that it did."""
    package = __package__ + "."
    engine = [m for name, m in list(sys.modules.items()) if name.startswith(package)]
    before = [(module, dict(vars(module))) for module in engine if not hasattr(module, "__path__")]
    try:
        yield
    finally:
        for module, names in before:
            now = vars(module)
            if any(now.get(name, _GONE) is not value for name, value in names.items()):
                trial.tampered = True
                now.update(names)


_GONE = object()
