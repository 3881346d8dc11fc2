"""The instructor's guide, built from the same data as the lessons: ``course guide``.

::

    course guide                                  # the whole course, into guide/
    course guide --lessons 04,05 --output /tmp/g  # two lessons

For each lesson a page, as Markdown and as one HTML file that asks for no other: objectives, a
timetable, what to skip in an hour, each exercise with its solution, its hints and the wrong answers
that are recognised, what comes out of the predictions, rubrics and model answers, questions to
discuss and to examine, and the figures, which lie in ``figures/`` as well. The index has a plan of
a day and one of four weeks.

Nothing is typed twice: what a lesson says stands in its solved notebook, what a check knows in
:mod:`course_lib.exercises`. By hand are the discussion and exam questions, and which exercises lead
to which objective (:mod:`.questions`).

Parts: :mod:`.lesson` reads a lesson, :mod:`.minutes` counts how long it takes, :mod:`.plans` makes
the plans by stated rules, :mod:`.saying` tries the wrong answers, :mod:`.page` writes the Markdown
and :mod:`.html` the page that is made of it, with :mod:`.mathml` for its formulas; :mod:`.writing`
puts all into a folder, if that is none that learners see.
"""
