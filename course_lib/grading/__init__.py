"""Grade what students hand in, without trusting the kernel that they ran.

::

    from course_lib.grading import grade_notebook

    grade = grade_notebook("handed_in/ada/04_box_constrained_lbfgs.ipynb", ["projected-step"])
    for result in grade.results:
        print(result.points, "of", result.most, result.sentences)

What counts is the text of the answer's cell, found by its id (or by what else tells it: converters
give new ids), and nothing that the notebook shows. For each exercise :func:`grade_notebook` begins
a fresh process with a home of its own, and limits on processor time, on the clock and on memory. In
it run the cells of the *released* lesson that the answer's names lead to (:mod:`.plan`), with the
course's versions of the other exercises, then the answer's cell, then its function on the cases of
the check, as the check engine on the disk does it. The results go back as numbers
(:mod:`.wire`), and the grader itself, in whose process nothing of a student's ever runs, compares
them with the right ones: a PASS counts only if they are. Calls of the course's own functions (the
solution, what the check compares with, the other right answers) are seen by their code
(:mod:`.watch`): inside of the answer they cost the points.

So a ``check`` that was redefined, a check cell that was edited, variables of the environment, a
patched engine, a mended progress file count for nothing.

What a determined student can still do
--------------------------------------
- Copy the solution. It is in the repository and in the package, as text; so is the library. An
  answer that is right by its own code, wherever that came from, passes.
- Call the course's code in a way that is not seen: a copy of its code object, its source run by
  ``exec``, a program of its own that is started. Such things are noticed (:class:`.watch.Ears`,
  an audit hook), and so is a call of the course's code while the cell runs, which could fill a
  table: they are not refused, because to read the library and to compare with it is what good
  students do. ``Result.notices`` asks the instructor to look.
- Tell lies about what only the answer's process can see: that a probe of the check found nothing,
  that no argument was changed. It takes a patch of the engine that its own look at itself
  does not find. Numbers that are not right pass in no way.
- Read and write what the grading user may, the network included: the process has limits, but is no
  sandbox (:mod:`.runner`). Grade as a user of its own, who cannot write the course, nor read the
  other submissions; in a container without network, if it matters. Root may lift the limits again.
- Leave a process behind that has left its session; it costs time, not points.
"""

from .grade import Grade, Result, Totals, grade_notebook, points

__all__ = ["Grade", "Result", "Totals", "grade_notebook", "points"]
