"""Questions to discuss and to examine, by hand: a module for each lesson, ``lesson04.py``.

Each has ``DISCUSSION`` and ``EXAM``, lists of :class:`Question`. What an answer claims stands in
the lesson, or in :mod:`course_lib.paper`. ``SERVES`` says for each of the lesson's objectives, in
their order, which exercises lead to it: a tuple of slugs, empty where reading does.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question, and a model answer; both are Markdown in one paragraph."""

    asks: str
    answer: str
