"""For a class: give exercises out, grade what comes back, tell each student and see the whole.

::

    course assign week-3 --exercises two-loop,solve-for-c    # writes class/release/week-3/
    course grade week-3                                      # reads class/submitted/ADA/week-3/
    course grade week-3 --summary                            # what was solved, what was not

The folder (``class``, or ``--output``) is laid out as nbgrader has it, and needs no nbgrader: the
notebooks in ``release/`` can be handed out as they are, and the grading is
:mod:`course_lib.grading`'s. Where nbgrader is installed (the extra ``classroom``), its commands
find ``source/``, ``nbgrader_config.py`` and the metadata of its cells there, and ``course grade
--gradebook`` writes the scores into its gradebook.

===========================================  ====================================================
``release/NAME/NN_lesson.ipynb``             what students get
``source/NAME/NN_lesson.ipynb``              the same, for nbgrader; no solution is in it either
``assignments/NAME.json``                    what was assigned, and the points
``submitted/STUDENT/NAME/NN_lesson.ipynb``   what comes back (or a flat folder, ``--submissions``)
``grades/NAME/grades.csv``, ``grades.json``  every exercise of every student
``feedback/STUDENT/NAME/NN_lesson.html``     a page for each student
``grades/NAME/finished/``                    what is graded already: an interrupted run goes on
===========================================  ====================================================

Parts: :mod:`.choice` reads what is asked for, :mod:`.needs` finds which cells an exercise needs,
:mod:`.release` makes the notebook, :mod:`.folder` is the folder and its record, :mod:`.assign`
writes it. :mod:`.handed_in` finds the submissions and :mod:`.roster` reads the list of students,
:mod:`.marking` grades them, :mod:`.feedback` writes the pages, :mod:`.summary` counts,
:mod:`.gradebook` talks to nbgrader, and :mod:`.command` does all of this in its order.
"""


def given(slug: str):
    """The course's version of an exercise that an assignment builds on and does not ask for.

    What is assigned itself is not to be had in this way: the grader sees whose code has run.
    Raises LookupError for an exercise that does not exist.
    """
    from ..exercises import find

    return find(slug).solution()
