"""The exercises: checks that answer in a sentence, predictions, quizzes, short answers, progress.

A lesson imports ``check, yours, whose, predict, score, quiz, answer, progress`` from here.
Importing this package imports nothing else; each name pulls in its module when it is asked for.

How to write an exercise
------------------------
An exercise is one module, ``lessonNN/its_slug.py`` in this folder: its inputs, what is right, the
wrong answers with their sentences, other right answers. It is found by itself; the task's text, the
stub, the solution and the place in the lesson stand in ``solutions/NN_name.py``
(:mod:`course_lib.authoring`). docs/ADD_AN_EXERCISE.md adds one, step by step. The module of
``pixel-rms`` is ``lesson00/pixel_rms.py``, and begins like this::

    from course_lib.exercises import Case, Exercise

    def cases(rng):                          # rng: a seeded torch.Generator on the CPU
        yield Case("one tiny image", torch.rand(1, 1, 28, 28, generator=rng))     # label, arguments
        yield Case("three images", torch.rand(3, 1, 28, 28, generator=rng))

    def oracle(images):                      # what is right, best found by another way
        return np.linalg.norm(images.reshape(len(images), -1).numpy(), axis=1) / 28

    EXERCISE = Exercise(
        title="...", difficulty=1, minutes=2, hints=["...", "..."], cases=cases, oracle=oracle,
    )

    @EXERCISE.variant                        # another right answer; at least two
    def with_a_loop(images): ...

    @EXERCISE.mistake("no root", "These are mean squares: ...")   # a wrong answer; at least four
    def no_root(images):
        return images.square().mean(dim=(1, 2, 3))

    EXERCISE.mistake("sum", "This is a sum ...", (".mean(", ".sum("))   # edits of the solution

What several exercises of a lesson share stands in that lesson's ``shared.py``; its predictions,
quizzes and short answers in ``questions.py``, each a dict by slug::

    PREDICTIONS = {"fc10-error": Prediction("Which test error will FC10 have?", unit="%")}
    QUIZZES = {"softmax-sum": Quiz("What do they add up to?", [Option("1", True, "Yes: ..."), ...])}
    ANSWERS = {"why-decay": ShortAnswer("Why does ...?", rubric=["It says that ...", "..."])}

How an answer is judged: the rules of :mod:`.judging`, in their order; the first that has something
to say decides. Before it runs: it is no function; it is the course's own (NOT RUN); it is the bug
as it was given (UNATTEMPTED); it is called otherwise than the stub. When it has run: it changed the
check itself; it is the stub (UNATTEMPTED); it did not end in its time; it changed an argument that
is not in ``may_change``; it returned None, or a generator. Then its results are compared with the
oracle's on every case, and so are the ``gradients`` with respect to the arguments named there. If
all are right: the course's version, the oracle or one of ``twins`` computed them (NOT RUN), or the
``probes`` have a look and it PASSES. If they are wrong, the engine runs every Mistake on the same
cases: where the answer gives the same as one of them on all cases, that one's sentence is what the
learner reads ("your results are what you get when ..."). A bound may be VALID BUT LOOSE
(``valid``). Else an exception is told with the learner's line; else what a probe sees; else the
smallest failing input, got, expected. A global tensor, array, data set or network that the answer
leans on is named first.

What to know:

- The cases are drawn anew for each function that runs, so nothing is shared between them; global
  random numbers are seeded alike before each call and put back after the check. Inputs go to
  ``device.pick()``; the oracle always gets them on the CPU.
- Two mistakes must differ on at least one case, and each from the right answer on at least one:
  draw inputs that tell them apart (no batch of 1 only, no square shapes, labels that are not equal,
  extreme values where a NaN may hide). An error that a mistake raises is recognised as well.
- Results count by value and shape: float64, NumPy arrays, lists and plain numbers are accepted.
  The parts of a tuple have names, ``parts=("norm", "direction")``: feedback calls them so.
  For a function that works by changing something give ``observe=lambda result, *args: ...``, which
  says what is compared, and ``may_change=("net",)``.
- ``time_limit`` is the processor time that the answer gets, ten times the course's version at
  least: a machine that is slow or busy is no reason to fail.
- For mistakes that the results do not show, a probe: ``def probe(answer): ...`` calls the answer
  and returns a sentence or None. Its Mistake carries the same sentence (a shared constant). It is
  asked about wrong results as well: ``@EXERCISE.probe(only_right=True)`` if its sentence takes
  right ones for granted, else it says only what it has seen (tests/test_probes.py).
- tests/test_exercises.py holds every exercise to this: the reference PASSES, the stub is
  UNATTEMPTED, each of at least four mistakes (one of the right shape at least) gets exactly its own
  sentence, each of at least two variants PASSES. ``python -m course_lib.exercises.mutants SLUG``
  shows which one-token changes of the solution nobody notices: sharpen the cases, or give the
  reason in ``equivalent_mutants``. ``python -m course_lib.exercises.adversary SLUG`` makes wrong
  answers of the kinds that learners hand in (arguments ignored, types narrowed, loops cut short,
  one buffer for all results, ...): what passes is mended, or explained in ``adversary/known.py``.
- What a check accepts, later cells must stand: tests/test_downstream.py runs them with lists,
  arrays, other types and results that carry a history.
"""

import importlib

_HOME = {
    "Case": "running",
    "CheckFailed": "feedback",
    "Exercise": "exercise",
    "Mistake": "exercise",
    "Option": "quizzes",
    "Prediction": "predictions",
    "Quiz": "quizzes",
    "ShortAnswer": "answers",
    "check": "engine",
    "judge": "judging",
    "predict": "predictions",
    "progress": "store",
    "answer": "answers",
    "as_tensor": "tensors",
    "score": "predictions",
    "quiz": "quizzes",
    "report": "mutants",
    "whose": "engine",
    "yours": "engine",
}

_lessons: dict = {}


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return sorted([*globals(), *_HOME])


def lessons() -> dict:
    """Number -> :class:`.registry.Lesson` of every lesson that has exercises, in order.

    All are imported at the first call. Raises :class:`.registry.RegistryError` for what is wrong in
    the modules of one.
    """
    if not _lessons:
        from . import registry

        _lessons.update({number: registry.load(number) for number in registry.numbers()})
    return _lessons


def entries(kind: str) -> dict:
    """Slug -> entry over all lessons of "EXERCISES", "PREDICTIONS", "QUIZZES" or "ANSWERS".

    Every entry gets its ``lesson``. Raises ValueError if two have the same slug.
    """
    found = {}
    for number, lesson in lessons().items():
        listed = getattr(lesson, kind, {})
        pairs = listed.items() if isinstance(listed, dict) else [(e.slug, e) for e in listed]
        for slug, entry in pairs:
            if slug in found:
                places = " and ".join(e.where for e in (found[slug], entry) if e.where)
                raise ValueError(
                    f"Two entries of {kind} are called `{slug}`"
                    + (f" ({places})" if places else "")
                    + ": rename one."
                )
            entry.lesson = number
            found[slug] = entry
    return found


def all_exercises() -> dict:
    """Slug -> Exercise, in the order of the lessons."""
    return entries("EXERCISES")


def find(slug: str, kind: str = "EXERCISES"):
    """The entry called ``slug``; LookupError, offering near ones, if there is none.

    Only the lesson that has it is imported.
    """
    if not _lessons:
        from . import registry

        entry = registry.find(slug, kind)
        if entry is not None:
            return entry
    known = entries(kind)
    if slug not in known:
        from .feedback import near

        word = {"EXERCISES": "exercise", "PREDICTIONS": "prediction", "QUIZZES": "quiz"}
        raise LookupError(near(slug, known, word.get(kind, "short answer")))
    return known[slug]
