"""Questions to discuss and to examine, by hand: a module for each lesson, ``lesson04.py``.

Each has ``DISCUSSION`` and ``EXAM``, lists of :class:`Question`. What an answer claims stands in
the lesson, or in :mod:`course_lib.paper`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question, and a model answer; both are Markdown in one paragraph."""

    asks: str
    answer: str
