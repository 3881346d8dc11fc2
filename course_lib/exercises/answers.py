"""Short answers in the learner's own words, and the rubric to compare them with."""

import dataclasses
from collections.abc import Sequence

from ..cells import whole
from . import find, store
from .feedback import Feedback, show


@dataclasses.dataclass(eq=False)
class ShortAnswer:
    """A question, and what a good answer to it says."""

    question: str
    rubric: Sequence[str]
    lesson: int | None = None
    where: str = ""  # file and line: for authors


def answer(slug: str, text: str = "") -> None:
    """Keep a short answer and show its rubric. An empty text never replaces one that is kept.

    Raises LookupError for a slug that does not exist.
    """
    short = find(slug, "ANSWERS")
    text = whole(text if isinstance(text, str) else str(text or ""))
    empty = not text.strip(" \t\r\n.…")  # nothing, or the dots that the lesson put there

    def keep(data):
        entry = data["answers"].setdefault(slug, {})
        if not empty:
            entry.update(value=text, written=store.now())
        return entry

    if empty:
        data, problem = store.seen()
        entry = data["answers"].get(slug, {})
    else:
        entry, problem = store.kept(keep)
    if "value" not in entry:
        ask = "Write your answer between the quotes and run the cell: then the rubric comes."
        return show(Feedback("NOTE", short.question, [ask], [problem] * bool(problem)))
    sentences = [f"Your answer: {entry['value']}"] if empty else []
    sentences.append("A good answer says:\n" + "\n".join(f"• {point}" for point in short.rubric))
    notices = ["Compare it with yours: what is missing, and what did you say that is not here?"]
    return show(Feedback("NOTE", short.question, sentences, notices + [problem] * bool(problem)))
