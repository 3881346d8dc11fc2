"""An exercise's card: what is wrong with its texts, numbers and answers, without running any."""

import math
import re
import reprlib
from typing import Any

from . import wording

FOLD = re.compile(r"</?(?:details|summary)\b", re.IGNORECASE)
# a sentence's end and the next one's beginning without a blank between; not nn.Linear or x.T
JOINED = re.compile(r"(?:\w[?!]|[)\]`][.?!]|(?!torch)\b\w{3,}\.(?=[A-Z][a-z]))[A-Z]\w*")
LONGEST = 40  # minutes: what takes a learner longer is two exercises
Problem = tuple[str, str]  # file and line, and the sentence


def wrong(exercise: Any) -> list[str]:
    """What is wrong with the texts and numbers of an exercise, of which the lesson shows all."""
    title, difficulty, minutes, hints = (
        getattr(exercise, name, None) for name in ("title", "difficulty", "minutes", "hints")
    )
    found = []
    if not _is_text(title):
        found.append(f'title is a text, as title="The nearest plane"; not {short(title)}.')
    if not _is_number(difficulty, int) or not 1 <= difficulty <= 5:
        found.append(f"difficulty is one of 1, 2, 3, 4, 5; not {short(difficulty)}.")
    if not _is_number(minutes, int | float) or not 0 < minutes < math.inf:
        found.append(f"minutes is a number above 0, as minutes=15; not {short(minutes)}.")
    if not isinstance(hints, list | tuple):
        found.append(f'hints is a list of texts, as hints=["Which axis?"]; not {short(hints)}.')
    else:
        found += [
            f"hint {i} is a text; not {short(hint)}."
            for i, hint in enumerate(hints, 1)
            if not _is_text(hint)
        ]
        found += [
            f"hint {i} {text}"
            for i, hint in enumerate(hints, 1)
            if _is_text(hint) and (text := _of_a_hint(hint))
        ]
    return found


def _of_a_hint(hint: str) -> str:
    """What is wrong with the text of a hint; nothing, where all is well."""
    fold = FOLD.search(hint)
    if fold:
        return f"has {fold[0]}>: each hint is folded by the builder; write its words alone."
    words = re.sub(r"`[^`]*`", "`", hint)
    joined = JOINED.search(words)
    if joined:
        return (
            f"says {joined[0]!r}, two sentences without a blank: a comma between two hints is "
            "missing, or a blank at the end of a line. (Code stands in backquotes.)"
        )
    return ""


def card(exercise: Any) -> list[Problem]:
    """All that is wrong with an exercise's card; of an object without mistakes, only the texts."""
    where, slug = getattr(exercise, "where", ""), getattr(exercise, "slug", "")
    found = wrong(exercise)
    if getattr(exercise, "mistakes", None) is None:
        return [(where, f"the exercise {slug!r}: {text}") for text in found]
    if not found and exercise.minutes > LONGEST:
        found.append(f"it has {exercise.minutes} minutes, of at most {LONGEST}: make it two.")
    if not found and not exercise.hints:
        found.append('it has no hint: give it at least one, as hints=["Which axis?"].')
    found += wording.plain(
        [
            ("its title", exercise.title, False),
            ("`done`", exercise.done, True),
            ("`loose`", exercise.loose, True),
        ]
    )
    found += _functions(exercise)
    for kind, least, what in (("mistakes", 4, "wrong answers"), ("variants", 2, "variants")):
        there = getattr(exercise, kind)
        if len(there) < least:
            found.append(f"it has {len(there)} {what}, of at least {least}: write more.")
    problems = [(where, f"the exercise {slug!r}: {text}") for text in found]
    return problems + _mistakes(exercise)


def _functions(exercise) -> list[str]:
    found = []
    for name in ("cases", "oracle", "observe", "valid"):
        value = getattr(exercise, name)
        if not callable(value) and (value is not None or name == "cases"):
            found.append(
                f"{name} is a function, as {name}={name}, without brackets; not {short(value)}."
            )
    for name in ("variants", "probes", "twins"):
        found += [
            f"{name} are functions; not {short(value)}."
            for value in getattr(exercise, name)
            if not callable(value)
        ]
    return found


def _mistakes(exercise) -> list[Problem]:
    """What is wrong with the names and sentences of the mistakes, each told where it stands."""
    found, names, sentences = [], {}, {}
    for mistake in exercise.mistakes:
        name, sentence = (getattr(mistake, part, None) for part in ("name", "sentence"))
        where = getattr(mistake, "where", "") or exercise.where
        told = f"the mistake {name!r} of {exercise.slug!r}"
        if not _is_text(name):
            text = f"a mistake of {exercise.slug!r} has the name {short(name)}: it needs a text."
            found.append((where, text))
        elif name in names:
            also = f"{told}: two are called so (the other in {names[name]}): rename one."
            found.append((where, also))
        if not _is_text(sentence):
            text = f"{told} has no sentence, which is what the learner reads: not {short(sentence)}"
            found.append((where, text + ", but a text."))
        elif not sentence[0].isupper() or sentence.rstrip()[-1] not in ".?!":
            text = f"{told}: its sentence begins with a capital and ends with . ? or !, which "
            found.append((where, text + f"{short(sentence)} does not."))
        elif marked := wording.plain([("its sentence", sentence, True)]):
            found.append((where, f"{told}: {marked[0]}"))
        elif sentence in sentences:
            text = f"{told} has the sentence of {sentences[sentence]!r}: a learner who reads it "
            found.append((where, text + "must know which of the two it is."))
        if _is_text(name):
            names.setdefault(name, where)
        if _is_text(sentence):
            sentences.setdefault(sentence, name)
    return found


def _is_text(value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value, kind) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def short(value) -> str:
    """A value in a sentence: "nothing" for None, else cut where it is long."""
    return "nothing" if value is None else reprlib.repr(value)
