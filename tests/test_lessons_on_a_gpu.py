"""Solved lessons on a pretended GPU: every cell runs, every result is the stored one.

``python -m pytest -m long tests`` runs those that take minutes, ``python -m tests.pretended_gpu``
all of them, and says what goes wrong in each.
"""

import pytest
from pretended_gpu import lessons

QUICK = ("00", "03", "06")
MARKS = {name: () if name[:2] in QUICK else pytest.mark.long for name in lessons.NAMES}


@pytest.mark.pretended_gpu
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [pytest.param(n, marks=marks) for n, marks in MARKS.items()])
def test_a_lesson_gives_its_results(name, tmp_path):
    operations, problems = lessons.run(name, tmp_path)
    assert problems == []
    assert operations > 0


def test_there_are_quick_ones():
    assert {name[:2] for name, marks in MARKS.items() if not marks} == set(QUICK)
