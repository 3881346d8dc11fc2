"""What a check, a prediction or a short answer tells the learner, as text and as a small block."""

import dataclasses
import html
import os
import sys

from .. import storage

# status -> (heading, background of its badge: dark enough for white letters in any theme)
STATUSES = {
    "PASS": ("Right", "#1b6e3c"),
    "FAIL": ("Not right yet", "#a3162e"),
    "EXCEPTION": ("Stopped with an error", "#a3162e"),
    "UNATTEMPTED": ("Not solved yet", "#7a5200"),
    "VALID BUT LOOSE": ("Valid, but loose", "#7a5200"),
    "NOT RUN": ("Run your own cell first", "#7a5200"),
    "NOTE": ("Note", "#2b5797"),
}


class CheckFailed(AssertionError):
    """Raised by a check that does not pass while :func:`strict` holds; its text is the feedback."""


@dataclasses.dataclass
class Feedback:
    """A status of :data:`STATUSES`, what it is about, sentences, and notices below them.

    mistake: the name of the :class:`~course_lib.exercises.Mistake` that was recognised, if any.
    ran: the learner's function came to its end on all cases.
    """

    status: str
    about: str
    sentences: list[str] = dataclasses.field(default_factory=list)
    notices: list[str] = dataclasses.field(default_factory=list)
    mistake: str | None = None
    ran: bool = False

    @property
    def sentence(self) -> str:
        """The first sentence, or nothing."""
        return self.sentences[0] if self.sentences else ""

    def __repr__(self) -> str:
        first = self.about if self.status == "NOTE" else f"{self.status}  {self.about}"
        lines = [first, *self.sentences, *(f"({notice})" for notice in self.notices)]
        return "\n  ".join(line.replace("\n", "\n  ") for line in lines)

    def _repr_html_(self) -> str:
        heading, colour = STATUSES[self.status]
        if self.status == "NOTE":
            title = f"<b>{html.escape(self.about)}</b>"
        else:
            badge = (
                f'<b style="background:{colour};color:#fff;border-radius:3px;padding:1px 7px">'
                f"{html.escape(heading)}</b>"
            )
            title = f"{badge} <code>{html.escape(self.about)}</code>"
        body = "".join(paragraph(sentence) for sentence in self.sentences)
        body += "".join(paragraph(notice, "opacity:.8;") for notice in self.notices)
        return block(title + body, colour)


def paragraph(text: str, style: str = "") -> str:
    """Escaped ``text`` as a paragraph; what stands in backquotes becomes code, lines stay lines."""
    pieces = html.escape(text).split("`")
    if len(pieces) % 2 == 0:  # an odd number of backquotes: leave them as they are
        pieces = ["`".join(pieces)]
    marked = "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces))
    return f'<p style="margin:4px 0;white-space:pre-line;{style}">{marked}</p>'


def block(inside: str, colour: str = "#2b5797") -> str:
    """A block with a coloured bar at its left; its text keeps the colour of the theme."""
    return (
        f'<div style="border-left:5px solid {colour};background:#8080801a;'
        f'padding:6px 12px;margin:4px 0;max-width:52em">{inside}</div>'
    )


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel (a terminal prints text)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def show(thing) -> None:
    """Display ``thing`` in a notebook, print it elsewhere."""
    if in_notebook():
        from IPython.display import display

        display(thing)
    else:
        print(repr(thing))


def strict() -> bool:
    """Whether checks raise: under ``COURSE_STRICT=1``, and when nbgrader executes."""
    return os.environ.get("COURSE_STRICT", "") not in ("", "0") or storage.graded()


def near(slug: str, known, kind: str) -> str:
    """The sentence for a slug that is not in ``known``, with those that look like it."""
    import difflib

    known = list(known)
    close = difflib.get_close_matches(str(slug), known, n=3, cutoff=0.5)
    if close:
        offer = "did you mean " + " or ".join(f"`{c}`" for c in close) + "?"
    elif len(known) > 20:  # too many to be read: the one that is least unlike it
        offer = f"the nearest is `{difflib.get_close_matches(str(slug), known, n=1, cutoff=0)[0]}`."
    else:
        offer = "there are: " + (", ".join(f"`{k}`" for k in known) or "none at all") + "."
    return f"There is no {kind} called `{slug}`: {offer}"
