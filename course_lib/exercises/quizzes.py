"""Multiple choice that works anywhere: in JupyterLab, in a static page, in a terminal.

Each option is a <details> element that unfolds its own feedback: no script, no style sheet and
nothing from a network, so that nothing is lost where a page's HTML is sanitised (a notebook that is
not trusted, a code host).
"""

import dataclasses
import html
from collections.abc import Sequence

from . import find
from .feedback import block, paragraph, show

LETTERS = "abcdefghij"


@dataclasses.dataclass
class Option:
    """One option: its text, whether it is right, and why."""

    text: str
    right: bool
    why: str


@dataclasses.dataclass(eq=False)
class Quiz:
    """A question and its options, of which at least one is right."""

    question: str
    options: Sequence[Option]
    lesson: int | None = None
    where: str = ""  # file and line: for authors

    def __post_init__(self):
        if len(self.options) < 2 or not any(o.right for o in self.options):
            raise ValueError(f"The quiz {self.question!r} needs two options, one of them right.")

    def __repr__(self) -> str:
        options = zip(LETTERS, self.options, strict=False)
        return "\n".join([self.question, *(f"  ({letter}) {o.text}" for letter, o in options)])

    def html(self, slug: str) -> str:
        """The question, and each option as a fold; opening one closes the one before."""
        style = "margin:3px 0;padding:3px 8px;border:1px solid #80808066;border-radius:4px"
        rows = []
        for option in self.options:
            colour = "#1b6e3c" if option.right else "#a3162e"
            verdict = "Right." if option.right else "Not so."
            mark = f'<b style="background:{colour};color:#fff;padding:0 6px">{verdict}</b>'
            rows.append(
                f'<details name="quiz-{html.escape(slug)}" style="{style}">'
                f'<summary style="cursor:pointer">{html.escape(option.text)}</summary>'
                f"{mark}{paragraph(option.why)}</details>"
            )
        head = f"<b>{html.escape(self.question)}</b> Choose one to see whether it is right."
        return block(head + "".join(rows))


@dataclasses.dataclass
class _Shown:
    slug: str
    quiz: Quiz

    def __repr__(self) -> str:
        return repr(self.quiz)

    def _repr_html_(self) -> str:
        return self.quiz.html(self.slug)


def quiz(slug: str) -> None:
    """Show the quiz called ``slug``; LookupError, offering near ones, if there is none."""
    show(_Shown(slug, find(slug, "QUIZZES")))
